"""The moments of a run: its network at the start, after 100 images, ... at the end.

A page can replay them.  They are rounded, so that those of a long run take less than a
megabyte, and they are in one file:

    one line of JSON    about the run, and for each moment what it made of test images
    the rest, zlib      moment 1 | moment 2 | ...

    a moment            weights of the first layer, 2 bytes each: multiples of 1/128
                        biases and later layers, 2 bytes each: half precision (binary16)

Of the weights there are the changes since the moment before, modulo 2^16: most are
small, which halves the file.  Rounding to 1/128 changes the answer to three to ten of
MNIST's 10,000 test images once a network has learnt, and the 14 moments of the 160
epochs of `best` take 0.7 MB.
"""
from __future__ import annotations

import json
import math
import struct
import zlib
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Iterator, Mapping, NamedTuple, Sequence

from engine.files import write_whole
from errors import DataError
from learning.checkpoint import Row, evaluated_on
from my_math import Matrix
from network import Dense, Evaluation, Network

MOMENTS = "moments.bin"         # lies beside the model
MARKS = (0, 100, 1000, 10000)   # images of the first epoch after which there is one
_STEPS = 128                    # a weight is a whole number of 1/128
_LARGEST_WEIGHT = 32767         # in these units: 256
_LARGEST_HALF = 65504.0         # of half precision
_RUNS = 3                       # zlib.Z_RLE, a name that PyPy lacks
_LONGEST_HEADER = 1 << 20       # bytes; that of 30 moments takes 5,000
_MOST = 40                      # moments; of a million epochs there are 29


class Moment(NamedTuple):
    """A network on its way, and how many test images of each class it has correct."""

    epoch: int              # epochs done
    images: int             # of the epoch after these
    correct: list[int]
    counts: list[int]       # test images of each class that it was evaluated on
    numbers: bytes          # weights and biases, see `pack`

    @classmethod
    def of(cls, epoch: int, images: int, network: Network, found: Evaluation) -> Moment:
        """Return the moment of a network with its evaluation on test images."""
        classes = range(network.sizes[-1])
        hits = [label for label, prediction in zip(found.labels, found.predictions)
                if label == prediction]
        return cls(epoch, images, list(map(hits.count, classes)),
                   list(map(found.labels.count, classes)), pack(network))

    @property
    def name(self) -> str:
        """Return how far the run is.

        >>> [Moment(*place, [], [], b"").name for place in ((0, 0), (0, 992), (3, 0))]
        ['start', '992 images', 'epoch 3']
        """
        epoch, images = f"epoch {self.epoch}", f"{self.images:,} images"
        if self.epoch and self.images:
            return f"{epoch} and {images}"
        return epoch if self.epoch else images if self.images else "start"


def is_milestone(epoch: int, images: int) -> bool:
    """Return True for epochs 1, 2, 3, 5, 10, 20, 30, 50 ... and parts of epochs.

    >>> [epoch for epoch in range(1, 101) if is_milestone(epoch, 0)]
    [1, 2, 3, 5, 10, 20, 30, 50, 100]
    """
    return bool(images) or str(epoch).rstrip("0") in ("", *"1235")


def add_moment(moments: list[Moment], moment: Moment) -> None:
    """Put a moment behind the others; milestones alone stay when the next one comes."""
    while moments and (moments[-1][:2] >= moment[:2]
                       or not is_milestone(*moments[-1][:2])):
        moments.pop()
    moments.append(moment)


def about_run(network: Network, levels: int, names: Sequence[str], data: str
              ) -> dict[str, Any]:
    """Return what the moments of a run have in common with its model."""
    return {"sizes": network.sizes, "activation": network.activation,
            "loss": network.loss, "grey_levels": levels, "class_names": list(names),
            "data": data}


class Recording(NamedTuple):
    """A run as a page replays it."""

    about: dict[str, Any]       # see `about_run`
    images: int                 # of the first epoch
    epochs: int                 # of the whole run
    evaluated_on: str           # the images of the evaluations: "test" or "validation"
    history: list[Sequence[float]]      # of each epoch `MEASURED`
    moments: list[Moment]


MEASURED = "loss", "train_accuracy", "{}_loss", "{}_accuracy", "seconds"


def measured(row: Row) -> list[float]:
    """Return the numbers of a row of a run's history that a page shows."""
    return [row[name.format(evaluated_on(row))] for name in MEASURED]


# --- the numbers of a network

def pack(network: Network) -> bytes:
    """Return the numbers of a network, rounded."""
    first, *later = network.layers
    weights = [round(weight * _STEPS) for row in first.weights for weight in row]
    rows = chain(first.bias, *chain(*((layer.weights, layer.bias) for layer in later)))
    return (_packed("h", weights, _LARGEST_WEIGHT)
            + _packed("e", list(chain(*rows)), _LARGEST_HALF))


def _packed(code: str, numbers: Sequence[float], largest: float) -> bytes:
    """Return numbers as little-endian bytes; what is too large is cut off."""
    form = f"<{len(numbers)}{code}"
    try:
        return struct.pack(form, *numbers)
    except (struct.error, OverflowError):
        return struct.pack(form, *(max(-largest, min(largest, x)) for x in numbers))


def unpack(numbers: bytes, sizes: Sequence[int], activation: str, loss: str) -> Network:
    """Return the network that `pack` was given, rounded."""
    count = sizes[0] * sizes[1]
    weights = struct.unpack(f"<{count}h", numbers[:2 * count])
    values = {weight: weight / _STEPS for weight in set(weights)}   # few, and shared
    others = struct.unpack(f"<{len(numbers) // 2 - count}e", numbers[2 * count:])
    flat = chain(map(values.__getitem__, weights), others)

    def matrix(height: int, width: int) -> Matrix:
        """Take the next numbers."""
        return Matrix([islice(flat, width) for _ in range(height)])

    layers = [Dense(matrix(height, width), matrix(1, width))
              for height, width in zip(sizes, sizes[1:])]
    return Network.of_layers(layers, activation, loss)


# --- the file

def save_recording(path: Path, recording: Recording) -> None:
    """Write the moments of a run, and what belongs to them."""
    height, width, *_ = recording.about["sizes"]
    count, before, parts = 2 * height * width, bytes(2 * height * width), []
    header = recording._replace(moments=[moment[:-1] for moment in recording.moments])
    # Noise has no repetitions but runs of zeros: to look for others takes ten times as
    # long and leaves a quarter more, as it spoils the statistics of single bytes.
    packer = zlib.compressobj(strategy=_RUNS)
    for moment in recording.moments:
        weights, others = moment.numbers[:count], moment.numbers[count:]
        parts += map(packer.compress, (_change(before, weights), others))
        before = weights
    write_whole(path, b"".join([json.dumps(header._asdict()).encode(), b"\n", *parts,
                                packer.flush()]))


def load_recording(path: Path, about: Mapping[str, Any]) -> Recording:
    """Return what `save_recording` wrote of the run with this model; DataError where
    the file is damaged or another run's."""
    try:
        with open(path, "rb") as file:
            header = _checked_header(json.loads(file.readline(_LONGEST_HEADER)), about)
            return header._replace(moments=list(_moments(header, file)))
    except OSError as error:
        found = error.strerror or str(error)
    except _Damage as error:
        found = str(error)
    except (ValueError, TypeError, OverflowError, RecursionError, zlib.error):
        found = "no moments of a run, or damaged ones"
    raise DataError(path, found, "the moments of the model beside it",
                    "without the file the model is used all the same")


class _Damage(Exception):
    """A file of moments is damaged; str() says in what way."""


def _checked_header(fields: dict, about: Mapping[str, Any]) -> Recording:
    """Return the first line of a file, whose moments lack their numbers as yet."""
    header = Recording(**fields)
    if header.about != about:
        raise _Damage("moments of another model")
    history, moments = header.history, header.moments
    checks = (
        isinstance(history, list) and isinstance(moments, list),
        header.evaluated_on in ("test", "validation"),
        type(header.images) is int and 0 < header.images < 1 << 53,
        type(header.epochs) is int and len(history) <= header.epochs < 1 << 53,
        all(len(row) == len(MEASURED) and all(map(math.isfinite, row))
            for row in history),
        0 < len(moments) <= _MOST,
        all(_is_place(moment, len(history), about["sizes"][-1]) for moment in moments),
        all(a[:2] < b[:2] for a, b in zip(moments, moments[1:])))
    if not all(checks):
        raise ValueError
    return header


def _is_place(fields: list, epochs: int, classes: int) -> bool:
    """Return True for the fields of a moment without its numbers."""
    epoch, images, correct, counts = fields
    numbers = [epoch, images, *correct, *counts]
    return (len(correct) == len(counts) == classes
            and all(type(n) is int and 0 <= n < 1 << 53 for n in numbers)
            and epoch <= epochs and all(k <= n for k, n in zip(correct, counts)))


def _moments(header: Recording, file: BinaryIO) -> Iterator[Moment]:
    """Yield the moments of a file from what follows its header."""
    sizes = header.about["sizes"]
    count, size = 2 * sizes[0] * sizes[1], 2 * sum(
        (k + 1) * n for k, n in zip(sizes, sizes[1:]))
    total, unpacker = size * len(header.moments), zlib.decompressobj()
    # Not a byte more than is wanted, however long it is and whatever it unpacks to.
    content = unpacker.decompress(file.read(2 * total), total + 1)
    if len(content) != total or not unpacker.eof or unpacker.unused_data:
        raise ValueError
    weights = bytes(count)
    for start, place in zip(range(0, total, size), header.moments):
        weights = _changed(weights, content[start:start + count])
        others = content[start + count:start + size]
        if not all(map(math.isfinite, struct.unpack(f"<{len(others) // 2}e", others))):
            raise ValueError
        yield Moment(*place, weights + others)


# A change from -128 to 127 has a high byte of 0 when 128 is added; all the low bytes
# come first, then all the high ones.

def _change(before: bytes, after: bytes) -> bytes:
    """Return the change from one moment's weights to the next one's."""
    form = f"<{len(after) // 2}H"
    change = struct.pack(form, *[(y - x + 128) & 0xFFFF for x, y in zip(
        struct.unpack(form, before), struct.unpack(form, after))])
    return change[::2] + change[1::2]


def _changed(before: bytes, change: bytes) -> bytes:
    """Return the weights after a change."""
    count = len(change) // 2
    form = f"<{count}H"
    return struct.pack(form, *[(x + low + 256 * high - 128) & 0xFFFF for x, low, high
                               in zip(struct.unpack(form, before), change[:count],
                                      change[count:])])
