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

from engine.files import parse_json, write_whole
from errors import DataError
from learning.checkpoint import Row, evaluated_on
from learning.kinds import NOT_NEGATIVE, Choice, Kind, ListOf, Record, whole
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
        counts = found.confusion()
        return cls(epoch, images, [row[i] for i, row in enumerate(counts)],
                   list(map(sum, counts)), pack(network))

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
            header = parse_json(file.readline(_LONGEST_HEADER).decode())
            if isinstance(header, dict) and header.pop("about", about) != about:
                raise ValueError("of another model")
            _check_header(header, about["sizes"][-1])
            recording = Recording(about, **header)
            return recording._replace(moments=list(_moments(recording, file)))
    except OSError as error:
        found = error.strerror or str(error)
    except (ValueError, zlib.error) as error:
        found = f"no moments of this model ({error})"
    raise DataError(path, found, "the moments of the model beside it",
                    "without the file the model is used all the same")


_COUNT = whole(0, 2 ** 53)
_HEADER = Record({
    "images": whole(1, 2 ** 53), "epochs": whole(1, 2 ** 53),
    "evaluated_on": Choice("test", "validation"),
    "history": ListOf(ListOf(NOT_NEGATIVE, len(MEASURED), len(MEASURED))),
    "moments": ListOf(ListOf(Kind(), 4, 4), 1, _MOST)})     # without their numbers


def _check_header(header: Any, classes: int) -> None:
    """Raise ValueError where a header is damaged."""
    _HEADER.check(header, "header")
    before, epochs = (-1, 0), len(header["history"])
    for *place, correct, counts in header["moments"]:
        ListOf(_COUNT).check(place, "place")
        for numbers in correct, counts:
            ListOf(_COUNT, classes, classes).check(numbers, "counts")
        if not (before < tuple(place) and place[0] <= epochs <= header["epochs"]
                and all(k <= n for k, n in zip(correct, counts))):
            raise ValueError("a moment that does not fit the rest")
        before = tuple(place)


def _moments(run: Recording, file: BinaryIO) -> Iterator[Moment]:
    """Yield the moments of a file from what follows its header."""
    sizes = run.about["sizes"]
    count, size = 2 * sizes[0] * sizes[1], 2 * sum(
        (k + 1) * n for k, n in zip(sizes, sizes[1:]))
    total, unpacker = size * len(run.moments), zlib.decompressobj()
    # Not a byte more than is wanted, however long it is and whatever it unpacks to.
    content = unpacker.decompress(file.read(2 * total), total + 1)
    if len(content) != total or not unpacker.eof or unpacker.unused_data:
        raise ValueError("other numbers than its network has")
    weights = bytes(count)
    for start, place in zip(range(0, total, size), run.moments):
        weights = _changed(weights, content[start:start + count])
        others = content[start + count:start + size]
        if not all(map(math.isfinite, struct.unpack(f"<{len(others) // 2}e", others))):
            raise ValueError("numbers that are not finite")
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
