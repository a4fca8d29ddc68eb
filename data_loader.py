"""Find, download, verify and read sets of small grey images, MNIST first of all.

A set is four files: images and labels, to train on and to be tested on.  MNIST's are

    train-images-idx3-ubyte   60,000 images     train-labels-idx1-ubyte   60,000 labels
    t10k-images-idx3-ubyte    10,000 images     t10k-labels-idx1-ubyte    10,000 labels

IDX, their format, is a header of big-endian 32-bit integers, then the bare values:

    images: 2051, count, rows, columns | a byte a pixel, row by row; 0 paper, 255 ink
    labels: 2049, count                | a byte a label

The first number, the "magic" one, is really four bytes: 0, 0, 8 for "unsigned byte",
and the number of dimensions, 3 or 1: 0x00000803 = 2051 and 0x00000801 = 2049.  The byte
order must be said (">" in struct), as most processors put the small end first:

>>> header = bytes.fromhex("00000803 0000ea60 0000001c 0000001c")
>>> struct.unpack(">IIII", header), struct.unpack("<I", header[:4])
((2051, 60000, 28, 28), (50855936,))

A file may be damaged or no IDX file at all, and a header can claim anything.  So
nothing is believed before it is checked, and every fault is a DataError that names the
file, what was found and what was expected.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import math
import os
import shutil
import struct
import tempfile
import time
import zlib
from pathlib import Path
from typing import Callable, Iterator, NamedTuple, Sequence

from engine.files import sync_folder
from engine.sparse import SparseMatrix
from errors import DataError, DownloadError, MissingDataError, one_line

_DATA = Path(__file__).resolve().parent / "data"
MNIST_FOLDER, SAMPLE_FOLDER = _DATA / "mnist", _DATA / "sample"

MIRRORS = (    # the original site is gone; these hold the same files
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)
MNIST_SHA256 = {    # of the uncompressed files: each packer makes another .gz of them
    "train-images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
FILE_NAMES = {part: f"{part}-idx{3 if 'images' in part else 1}-ubyte"
              for part in MNIST_SHA256}
_FOUR_FILES = f"the four files {', '.join(FILE_NAMES.values())} (or with .gz)"

PARTS = "train", "t10k"

_MAGIC = {"images": 2051, "labels": 2049}
_CHUNK = 1 << 18    # bytes read at a time
_LARGEST_FILE = 600_000_000    # EMNIST by class, the largest of this form: 547 million
_SURELY_READ = 1 << 26    # bytes that any .gz may unpack to, and above it ...
_SWELLING = 20    # ... so many times its size: a set unpacks tenfold, zeros 1000-fold
_LARGEST_DOWNLOAD = 1 << 24    # MNIST's largest .gz has 9.9 MB
_LONGEST_LINE = 1 << 21    # characters of CSV: an image of 720 x 720 pixels has as many
_TIMEOUT = 15    # seconds that a mirror has for a file, however it spends them ...
_SLOWEST = 5000    # ... and one more for so many bytes; less is as good as silence

_DIGITS = tuple("0123456789")
_CLASS_NAMES = {    # of sets that we know only by the name of their folder
    "fashion": ("Fashion-MNIST", ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                  "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")),
    "kmnist": ("KMNIST", ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")),
}


# --- The data set ---------------------------------------------------------------------


class Dataset:
    """n grey images of height x width pixels with a label each.

    `images` is one bytes object of n * height * width pixels, `labels` one of n bytes;
    `class_names[label]` is a label's name, and there are `class_count` of them.  Raises
    ValueError where the sizes do not agree.

    >>> tiny = Dataset("tiny", b"abcdef", bytes([1, 0, 3]), height=1, width=2)
    >>> len(tiny), tiny.image(1), tiny.label(2)
    (3, b'cd', 3)
    >>> train, validation = tiny.split(1)
    >>> train.images, validation.images
    (b'abcd', b'ef')
    """

    def __init__(self, name: str, images: bytes, labels: bytes, height: int, width: int,
                 class_names: Sequence[str] = _DIGITS) -> None:
        if len(images) != len(labels) * height * width:
            raise ValueError(f"{len(images)} pixels are not {len(labels)} images "
                             f"of {height} x {width}")
        self.name, self.images, self.labels = one_line(name), images, labels
        self.height, self.width = height, width
        self.class_names, self.class_count = list(class_names), len(class_names)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return (f"<Dataset {self.name}: {len(self)} images of {self.height} x "
                f"{self.width}, {self.class_count} classes>")

    @property
    def checksum(self) -> str:
        """SHA-256 of the sizes, the pixels and the labels."""
        digest = hashlib.sha256(b"%d %d %d " % (len(self), self.height, self.width))
        digest.update(self.images)
        digest.update(self.labels)
        return digest.hexdigest()

    def image(self, index: int) -> bytes:
        """The pixels of one image, row by row.  Raises IndexError outside 0..n-1."""
        if not 0 <= index < len(self.labels):
            raise IndexError(f"image {index} of {len(self)}, counted from 0")
        size = self.height * self.width
        return self.images[index * size:(index + 1) * size]

    def label(self, index: int) -> int:
        """The label of one image.  Raises IndexError outside 0..n-1."""
        if not 0 <= index < len(self.labels):
            raise IndexError(f"label {index} of {len(self)}, counted from 0")
        return self.labels[index]

    def _part(self, start: int, stop: int) -> Dataset:
        size = self.height * self.width
        images, labels = self.images[start * size:stop * size], self.labels[start:stop]
        return Dataset(self.name, images, labels, self.height, self.width,
                       self.class_names)

    def head(self, count: int) -> Dataset:
        """The first `count` images, or all where there are fewer."""
        if count < 1:
            raise ValueError(f"cannot take the first {count} images: 1 is the least")
        return self._part(0, min(count, len(self)))

    def split(self, count: int) -> tuple[Dataset, Dataset]:
        """All but the last `count` images, to train on, and those, to validate on."""
        if not 0 < count < len(self):
            raise ValueError(f"cannot hold out {count} of {len(self)} images")
        border = len(self) - count
        return self._part(0, border), self._part(border, len(self))

    def pick(self, indices: Sequence[int]) -> Dataset:
        """The images of these indices, in their order.

        Raises IndexError where one is outside 0..n-1.
        """
        return Dataset(self.name, b"".join(map(self.image, indices)),
                       bytes(map(self.label, indices)), self.height, self.width,
                       self.class_names)

    def order(self, rng) -> list[int]:
        """0..n-1 shuffled (Fisher and Yates): every permutation is equally likely.

        `rng.shuffle` would do the same, but only the numbers of `rng.random()` are
        promised to be the same in every version of Python.
        """
        order = list(range(len(self)))
        for last in range(len(order) - 1, 0, -1):
            chosen = int(rng.random() * (last + 1))
            order[last], order[chosen] = order[chosen], order[last]
        return order

    def batches(self, size: int, order: Sequence[int] | None = None,
                augment: Callable[[bytes], bytes] | None = None, levels: int = 256,
                ) -> Iterator[tuple[SparseMatrix, list[int]]]:
        """Yield (X, labels), X a SparseMatrix, pixels / 255, with a row for each image.

        The pixels are rounded to `levels` grey levels; all else is as in `raw_batches`.
        """
        for images, labels in self.raw_batches(size, order, augment):
            yield SparseMatrix.from_images(images, levels), labels

    def raw_batches(self, size: int, order: Sequence[int] | None = None,
                    augment: Callable[[bytes], bytes] | None = None,
                    ) -> Iterator[tuple[list[bytes], list[int]]]:
        """Yield (images, labels) in the given order, else as they are stored.

        Each image goes through `augment`.  The last batch has what is left.
        """
        if size < 1:
            raise ValueError(f"cannot make batches of {size} images: 1 is the least")
        order = range(len(self)) if order is None else order
        for start in range(0, len(order), size):
            chosen = order[start:start + size]
            images = map(self.image, chosen)
            images = map(augment, images) if augment else images
            yield list(images), [self.labels[i] for i in chosen]


# --- Reading IDX ----------------------------------------------------------------------


class IdxFile(NamedTuple):
    """Shape, (count, rows, columns) or (count,); values; checksum of the whole file."""

    shape: tuple
    values: bytes
    sha256: str


def _describe(start: bytes) -> str:
    """Return in words the kind of file that begins with these bytes."""
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return "an HTML page"
    if start.startswith(b"PK"):
        return "a zip archive"
    if len(start) < 4:
        return f"a file of {len(start)} bytes"
    magic, = struct.unpack(">I", start[:4])
    kinds = [f" ({kind})" for kind, number in _MAGIC.items() if number == magic]
    return f"magic number {magic}" + "".join(kinds)


def _read_header(stream, path: Path, kinds: Sequence[str]) -> tuple[bytes, tuple]:
    """The header as bytes, and the shape that it claims."""
    numbers = " or ".join(f"{_MAGIC[kind]} ({kind})" for kind in kinds)
    header = stream.read(4)
    if header not in [struct.pack(">I", _MAGIC[kind]) for kind in kinds]:
        raise DataError(path, _describe(header + stream.read(60)),
                        f"an IDX file with magic number {numbers}")
    dimensions = header[3]
    header += stream.read(4 * dimensions)
    if len(header) < 4 + 4 * dimensions:
        raise DataError(path, f"a file of {len(header)} bytes", "a whole IDX header")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    most = max(_SWELLING * os.path.getsize(path), _SURELY_READ)
    if not 0 < math.prod(shape) <= min(most, _LARGEST_FILE):
        claim = " x ".join(f"{n:,}" for n in shape)
        raise DataError(path, f"a header that claims {claim} values", "at least one "
                        f"value and at most {min(most, _LARGEST_FILE):,}")
    return header, shape


def _pieces(stream, size: int) -> Iterator[bytes]:
    """Yield what follows in a stream, up to `size` bytes and one that is too many.

    In chunks, because read(size) would reserve all the memory that a header claims.
    """
    wanted = size + 1
    while wanted and (chunk := stream.read(min(wanted, _CHUNK))):
        wanted -= len(chunk)
        yield chunk


def _check_count(count: int, size: int, path: Path) -> None:
    if count != size:
        found = f"{count:,} bytes" if count < size else "still more bytes"
        raise DataError(path, f"{found} after the header", f"{size:,}, as it says")


def _read_values(stream, path: Path, size: int) -> bytes:
    """The `size` bytes after the header, which must be all that there is."""
    if size > _SURELY_READ:     # counted first: what is refused takes no memory
        start = stream.tell()
        _check_count(sum(map(len, _pieces(stream, size))), size, path)
        stream.seek(start)
    values = b"".join(_pieces(stream, size))
    _check_count(len(values), size, path)
    return values


def _open(path: Path):
    """Open a file through gzip if its content, not its name, asks for that."""
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if zipped else open(path, "rb")


def read_idx(path, kind: str = "") -> IdxFile:
    """Read one IDX file, compressed by gzip or not; `kind` is "images", "labels" or "".

    Raises DataError.  Format: LeCun, Cortes and Burges, "The MNIST database".
    """
    path, kinds = Path(path), [kind] if kind else list(_MAGIC)
    expected = f"a whole IDX file of {' or '.join(kinds)}"
    try:
        with _open(path) as stream:
            header, shape = _read_header(stream, path, kinds)
            values = _read_values(stream, path, math.prod(shape))
    except EOFError:
        raise DataError(path, "a .gz file cut short", expected) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(path, f"a damaged .gz file ({error})", expected) from None
    except OSError as error:
        raise DataError(path, error.strerror or str(error), expected) from None
    digest = hashlib.sha256(header)
    digest.update(values)
    return IdxFile(shape, values, digest.hexdigest())


def _largest_label(path: Path) -> int:
    """9, but 61 where the folder or the file says that it is EMNIST, with letters."""
    path = path.resolve()
    return 61 if "emnist" in f"{path.parent.name} {path.name}".lower() else 9


def _read_pair(images_path: Path, labels_path: Path) -> tuple[Dataset, list[str]]:
    """One file of images and one of labels, checked against each other; checksums."""
    images, labels = read_idx(images_path, "images"), read_idx(labels_path, "labels")
    count, height, width = images.shape
    if labels.shape != (count,):
        raise DataError(labels_path, f"{len(labels.values):,} labels",
                        f"{count:,}, one for each image in {images_path.name}")
    limit, top = _largest_label(labels_path), max(labels.values)
    if top > limit:
        index = labels.values.index(top)
        raise DataError(labels_path, f"label {top} for image {index}",
                        f"labels from 0 to {limit}")
    data = Dataset("", images.values, labels.values, height, width)
    return data, [images.sha256, labels.sha256]


# --- Reading CSV ----------------------------------------------------------------------


def _is_labelled(row: Sequence[str]) -> bool:
    """Return True if a line is a label and a square of pixels, such as 1 + 28 x 28."""
    return len(row) > 1 and math.isqrt(len(row) - 1) ** 2 == len(row) - 1


def _parse_lines(reader, path: Path) -> Iterator[bytes]:
    """Label and pixels of each line, a byte each; a heading is left out."""
    columns, limit = 0, _largest_label(path)
    byte = {str(number): number for number in range(256)}
    for row in filter(None, reader):
        line = f"line {reader.line_num}"
        if not columns and _is_labelled(row):
            columns = len(row)
            if row[0].strip().isalpha():
                continue
        if len(row) != columns:
            html = row[0].startswith("<")
            found = "an HTML page" if html else f"{len(row)} columns in {line}"
            raise DataError(path, found, f"{columns} columns" if columns else
                            "a label and a square of pixels (785 columns)")
        try:
            values = bytes(map(byte.__getitem__, row))
        except KeyError as error:
            raise DataError(path, f"{error.args[0][:20]!r} in {line}",
                            "whole numbers from 0 to 255") from None
        if values[0] > limit:
            raise DataError(path, f"label {values[0]} in {line}",
                            f"labels from 0 to {limit}")
        yield values


def _lines(file, path: Path) -> Iterator[str]:
    """Yield the lines of a file, as long as they are no longer than that of an image.
    """
    while line := file.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise DataError(path, f"a line of more than {_LONGEST_LINE:,} characters",
                            "a label and a square of pixels (785 columns)")
        yield line


def read_csv(path) -> Dataset:
    """Read lines of label,pixel0,pixel1,... under a heading, as Kaggle has it, or none.

    The images are square and the pixels whole numbers from 0 to 255.  Raises DataError.
    """
    path, expected = Path(path), "a CSV file of labels and pixels"
    labels, pixels, last = bytearray(), bytearray(), set()
    try:
        with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
            for line in _parse_lines(csv.reader(_lines(file, path),
                                                skipinitialspace=True), path):
                labels.append(line[0])
                pixels += line[1:]
                last.add(line[-1])
    except OSError as error:
        raise DataError(path, error.strerror or str(error), expected) from None
    except csv.Error as error:
        raise DataError(path, str(error), expected) from None
    if not labels:
        raise DataError(path, "no images", expected)
    if not any(labels) and 1 < len(last) and max(last) <= _largest_label(path):
        raise DataError(path, f"0 in the first column of all {len(labels):,} lines, "
                        f"and what may be labels in the last one", "the label first")
    side = math.isqrt(len(pixels) // len(labels))
    return Dataset(path.name, bytes(pixels), bytes(labels), side, side)


# --- Finding and loading --------------------------------------------------------------


def _list_files(folder: Path) -> dict[str, Path]:
    """Return the paths of the four files that the folder has, in any spelling, by part.
    """
    found = {}
    for part, name in FILE_NAMES.items():
        for stem in (name, name.replace("-idx", ".idx")):    # 7-Zip restores the dot
            for path in (folder / stem, folder / f"{stem}.gz"):
                if os.path.isfile(path):
                    found.setdefault(part, path)
    return found


def find_files(folder) -> dict[str, Path]:
    """The four IDX files in a folder by part: "train-images", ..., "t10k-labels".

    Each may be spelled `-idx3-ubyte` or `.idx3-ubyte`, with or without .gz.  Raises
    MissingDataError, which names all four and those that are not there.
    """
    folder = Path(folder)
    files = _list_files(folder)
    missing = [name for part, name in FILE_NAMES.items() if part not in files]
    if missing:
        found = f"no {' and no '.join(missing)}" if files else "no data set"
        if not folder.is_dir():
            found = "a file" if folder.exists() else "no such folder"
        raise MissingDataError(folder, found, _FOUR_FILES)
    return files


def _check_sum(path: object, part: str, checksum: str) -> None:
    if checksum != MNIST_SHA256[part]:
        raise DataError(path, f"SHA-256 {checksum[:16]}...",
                        f"{MNIST_SHA256[part][:16]}... for MNIST's {part}")


def _named(name: str, path: Path, *parts: Dataset) -> tuple[Dataset, ...]:
    """The parts under their name, or under that of their folder, with class names."""
    first, last = parts[0], parts[-1]
    if (first.height, first.width) != (last.height, last.width):
        raise DataError(path, f"test images of {last.height} x {last.width}",
                        f"{first.height} x {first.width}, like those to train on")
    count = max(10, *(max(part.labels) + 1 for part in parts))
    classes, folder = list(map(str, range(count))), path.resolve().name
    for word, (known_name, known_classes) in _CLASS_NAMES.items():
        if word in (name or folder).lower() and count == len(known_classes):
            name, classes = name or known_name, known_classes
    if not name:
        doubt = "mnist" in folder.lower() and "emnist" not in folder.lower()
        name = f"{folder} (not MNIST's checksums)" if doubt else folder
    return tuple(Dataset(name, part.images, part.labels, part.height, part.width,
                         classes) for part in parts)


def _load_idx(folder: Path, parts: Sequence[str]) -> tuple[Dataset, ...]:
    files, checksums, sets = find_files(folder), {}, []
    for part in parts:
        names = f"{part}-images", f"{part}-labels"
        data, sums = _read_pair(*(files[name] for name in names))
        sets.append(data)
        checksums.update(zip(names, sums))
    if folder.resolve() == MNIST_FOLDER:
        for part, checksum in checksums.items():
            _check_sum(files[part], part, checksum)
    name = "MNIST" if checksums.items() <= MNIST_SHA256.items() else ""
    if folder.resolve() == SAMPLE_FOLDER:
        name = "sample (synthetic digits)"
    return _named(name, folder, *sets)


def load_csv(path) -> tuple[Dataset, ...]:
    """Train and test set from a CSV file such as Kaggle's train.csv.

    The test set is the file beside it with "test" for "train" in its name if that one
    has labels (Kaggle's has none), else the last sixth of the lines.
    """
    path = Path(path)
    partner = path.with_name(path.name.replace("train", "test"))
    data = read_csv(path)
    if partner != path and os.path.isfile(partner):
        with open(partner, encoding="utf-8-sig", errors="replace") as file:
            labelled = _is_labelled(file.readline(_CHUNK).split(","))
        if labelled:
            return _named(f"{path.name} and {partner.name}", partner, data,
                          read_csv(partner))
    if len(data) < 2:
        raise DataError(path, "1 image", "at least 2, to train on and to be tested on")
    train, test = data.split(max(1, len(data) // 6))
    return _named(f"{path.name} (last sixth held out)", path, train, test)


def load_folder(folder, parts: Sequence[str] = PARTS) -> tuple[Dataset, ...]:
    """The sets asked for from a folder with four IDX files, else with one *train.csv.

    In data/mnist/, where downloads go, the checksums have to be MNIST's; anywhere else
    they only decide whether the set may be called MNIST.  Raises DataError.
    """
    folder = Path(folder)
    try:
        return _load_idx(folder, parts)
    except MissingDataError:
        tables = sorted(folder.glob("*train.csv"))
        if len(tables) != 1 or _list_files(folder):
            raise
        return _chosen(load_csv(tables[0]), parts)
    except DataError as error:
        if folder.resolve() != MNIST_FOLDER:
            raise
        raise DataError(error.path, error.found, error.expected,
                        "delete this file and run again") from None


def _chosen(sets: Sequence[Dataset], parts: Sequence[str]) -> tuple[Dataset, ...]:
    return tuple(data for part, data in zip(PARTS, sets) if part in parts)


def folder_in_use(folder=None) -> Path:
    """Return the folder, or the CSV file, from which `load_or_sample` has read."""
    chosen = folder or os.environ.get("MNIST_DIR")
    if not chosen and len(_list_files(MNIST_FOLDER)) < len(FILE_NAMES):
        return SAMPLE_FOLDER
    return Path(chosen or MNIST_FOLDER)


def load(folder=None, parts: Sequence[str] = PARTS) -> tuple[Dataset, ...]:
    """Train and test set from `folder`, else from $MNIST_DIR, else from data/mnist/.

    `folder` may also be a .csv file; `parts` may name one set only: ("t10k",).  Raises
    DataError; nothing is downloaded.
    """
    path = Path(folder or os.environ.get("MNIST_DIR") or MNIST_FOLDER)
    if path.suffix.lower() == ".csv" and not path.is_dir():
        return _chosen(load_csv(path), parts)
    return load_folder(path, parts)


# --- Downloading ----------------------------------------------------------------------

Progress = Callable[[str, int, int], None]    # address, bytes done, bytes in all or 0


def _ask(url: str, tell: Callable[[object], None]) -> None:
    """Tell the pieces of what is at a URL, each with the size of all, or 0; behind the
    last one an empty piece, or the error."""
    # Needed only here, and as long to import as all the rest of a prediction takes.
    import http.client
    import urllib.request
    agent = {"User-Agent": "digits-in-plain-python/1.0"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=agent),
                                    timeout=2 * _TIMEOUT) as answer:
            done, total = 0, getattr(answer, "length", 0) or 0      # FTP does not tell
            # read1 returns what there is: read would wait for all of a chunk.
            while ((done < total or not total) and done <= _LARGEST_DOWNLOAD
                   and (chunk := answer.read1(_CHUNK))):
                done += len(chunk)
                tell((chunk, total))
        tell((b"", total))
    # ValueError: sent on to what is no address, a negative length, and the like.
    except (http.client.HTTPException, ValueError) as error:
        tell(DataError(url, f"{type(error).__name__} {error}", "a file"))
    except OSError as error:
        tell(error)


def _told_in_time(url: str, progress: Progress | None) -> Iterator[bytes]:
    """Yield the pieces of what is at a URL, up to a deadline.

    The time-out of a socket begins anew with each byte and each address, and looking
    up a name has none.  So a thread asks, and is left to itself when it is late.
    """
    import queue
    import threading
    told: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_ask, args=(url, told.put), daemon=True).start()
    start, done, total = time.monotonic(), 0, 0
    while True:
        left = start + _TIMEOUT + done / _SLOWEST - time.monotonic()
        if left < 0:
            raise DataError(url, f"only {done:,} bytes in {_TIMEOUT} seconds and more",
                            f"{_SLOWEST:,} a second")
        if progress is not None:
            progress(url, done, total)
        try:
            found = told.get(timeout=min(left, 1.0))
        except queue.Empty:
            continue
        if isinstance(found, Exception):
            raise found
        piece, total = found
        if not piece:
            return
        done += len(piece)
        if done > _LARGEST_DOWNLOAD:
            raise DataError(url, f"more than {_LARGEST_DOWNLOAD:,} bytes", "less")
        yield piece


def _fetch_verified(url: str, part: str, folder: Path, progress) -> None:
    """Download one file to a scratch folder, verify it, and only then move it here.

    The scratch folder has a name of its own, so that two processes may do this at once.
    """
    with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as scratch:
        path = Path(scratch, url.rpartition("/")[2])
        with open(path, "xb") as file:
            for piece in _told_in_time(url, progress):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        _check_sum(url, part, read_idx(path).sha256)
        os.replace(path, folder / path.name)
        sync_folder(folder)


def _sweep(folder: Path) -> None:
    """Remove the scratch folders of downloads that were killed: none takes an hour."""
    for scratch in folder.glob(".download-*"):
        try:
            if time.time() - scratch.stat().st_mtime > 2 * _LARGEST_DOWNLOAD / _SLOWEST:
                shutil.rmtree(scratch)
        except FileNotFoundError:
            pass    # another process is done with it, or sweeps as well


def download(folder=MNIST_FOLDER, mirrors: Sequence[str] = MIRRORS,
             progress: Progress | None = None) -> None:
    """Download those of MNIST's four files that the folder does not have yet.

    A mirror that fails is left for the next one, and a file appears in the folder only
    when it is whole and right.  Raises DownloadError with the fault of each mirror.
    """
    folder, faults = Path(folder), []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
    except OSError as error:
        stale = folder.is_symlink() and not folder.exists()
        found = "a link to nowhere" if stale else error.strerror or str(error)
        raise DownloadError(folder, found, "a folder that can be written") from None
    for mirror in mirrors:
        try:
            present = _list_files(folder)
            for part, name in FILE_NAMES.items():
                if part not in present:
                    _fetch_verified(f"{mirror}{name}.gz", part, folder, progress)
            return
        except (DataError, OSError) as error:
            reason = error.found if isinstance(error, DataError) else str(error)
            faults.append((mirror, one_line(reason)[:200]))
    reasons = dict.fromkeys(reason for _, reason in faults)
    if len(reasons) > 1:
        reasons = [f"{mirror}: {reason}" for mirror, reason in faults]
    raise DownloadError(folder, f"no mirror of {len(faults)} that works "
                                f"({'; '.join(reasons)})", _FOUR_FILES)


def load_or_sample(folder=None, progress: Progress | None = None,
                   mirrors: Sequence[str] = MIRRORS, parts: Sequence[str] = PARTS
                   ) -> tuple:
    """Like `load`, but MNIST is downloaded where it is missing and no folder is named.

    The value after the sets is "" unless that fails too: then they are the sample's,
    and it says so in plain words for the user to read.  Raises DataError where a
    folder that the user named, as `folder` or in MNIST_DIR, has no good data.
    """
    try:
        return (*load(folder, parts), "")
    except MissingDataError:
        if folder or os.environ.get("MNIST_DIR"):
            raise
    try:
        download(MNIST_FOLDER, mirrors, progress)
    except DownloadError as error:
        return (*load_folder(SAMPLE_FOLDER, parts), f"""\
MNIST is not in {MNIST_FOLDER} and could not be downloaded:
{error.found}.
To train on it, put {_FOUR_FILES}
into that folder, or name their own folder with --data or MNIST_DIR.
Until then the SAMPLE is used, synthetic digits drawn by a program:
results are the sample's and say nothing about MNIST.""")
    return (*load(MNIST_FOLDER, parts), "")
