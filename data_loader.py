"""Find, verify and read sets of small grey images, MNIST first of all.

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

A file may be damaged and a header can claim anything: nothing is believed before it is
checked, and every fault is a DataError with the file, what was found and expected.
"""
from __future__ import annotations

import csv
import gzip
import hashlib
import math
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Callable, Iterator, NamedTuple, Sequence

from engine.sparse import SparseMatrix
from errors import DataError, MissingDataError, one_line

_DATA = Path(__file__).resolve().parent / "data"
MNIST_FOLDER, SAMPLE_FOLDER = _DATA / "mnist", _DATA / "sample"

MNIST_SHA256 = {    # of the uncompressed files: each packer makes another .gz of them
    "train-images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
FILE_NAMES = {part: f"{part}-idx{3 if 'images' in part else 1}-ubyte"
              for part in MNIST_SHA256}
FOUR_FILES = f"the four files {', '.join(FILE_NAMES.values())} (or with .gz)"
PARTS = "train", "t10k"
_MAGIC = {"images": 2051, "labels": 2049}
_CHUNK = 1 << 18    # bytes read at a time
_LARGEST_FILE = 600_000_000    # EMNIST by class, the largest of this form: 547 million
_SURELY_READ = 1 << 26    # bytes that any .gz may unpack to, and above it ...
_SWELLING = 20    # ... so many times its size: a set unpacks tenfold, zeros 1000-fold
_MOST_LINES = 1_000_000    # of CSV: EMNIST by class has 697,932 images
_LONGEST_LINE = 1 << 21    # characters of CSV: an image of 720 x 720 pixels has as many
_CLASS_NAMES = {    # of sets that we know only by the name of their folder
    "fashion": ("Fashion-MNIST", ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                  "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")),
    "kmnist": ("KMNIST", ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")),
}


class Dataset:
    """n grey images of height x width pixels with a label each.

    `images` is one bytes object of n * height * width pixels, `labels` one of n bytes;
    `class_names[label]` is a label's name, and there are `class_count` of them.  Raises
    ValueError where the sizes do not agree.

    >>> tiny = Dataset("tiny", b"abcdef", bytes([1, 0, 3]), height=1, width=2)
    >>> len(tiny), tiny.image(1), tiny.labels[2]
    (3, b'cd', 3)
    >>> train, validation = tiny.split(1)
    >>> train.images, validation.images
    (b'abcd', b'ef')
    """

    def __init__(self, name: str, images: bytes, labels: bytes, height: int, width: int,
                 class_names: Sequence[str] = "0123456789") -> None:
        if len(images) != len(labels) * height * width:
            raise ValueError(f"{len(images)} pixels are not {len(labels)} images "
                             f"of {height} x {width}")
        self.name, self.images, self.labels = one_line(name), images, labels
        self.height, self.width = height, width
        self.class_names, self.class_count = list(class_names), len(class_names)

    def __len__(self) -> int:
        return len(self.labels)

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

    def head(self, count: int) -> Dataset:
        """The first `count` images, or all where there are fewer."""
        if count < 1:
            raise ValueError(f"cannot take the first {count} images: 1 is the least")
        return self.pick(range(min(count, len(self))))

    def split(self, count: int) -> tuple[Dataset, Dataset]:
        """All but the last `count` images, to train on, and those, to validate on."""
        if not 0 < count < len(self):
            raise ValueError(f"cannot hold out {count} of {len(self)} images")
        border = len(self) - count
        return self.pick(range(border)), self.pick(range(border, len(self)))

    def pick(self, indices: Sequence[int]) -> Dataset:
        """The images of these indices, in their order; IndexError outside 0..n-1."""
        return Dataset(self.name, b"".join(map(self.image, indices)),
                       bytes(self.labels[i] for i in indices), self.height, self.width,
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


def _read_header(stream: BinaryIO, path: object, kind: str, most: int
                 ) -> tuple[bytes, tuple]:
    """The header as bytes, and the shape that it claims, of up to `most` values."""
    header = stream.read(4)
    if header != struct.pack(">I", _MAGIC[kind]):
        raise DataError(path, _describe(header + stream.read(60)),
                        f"an IDX file with magic number {_MAGIC[kind]} ({kind})")
    dimensions = header[3]
    header += stream.read(4 * dimensions)
    if len(header) < 4 + 4 * dimensions:
        raise DataError(path, f"a file of {len(header)} bytes", "a whole IDX header")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    if not 0 < math.prod(shape) <= most:
        claim = " x ".join(f"{n:,}" for n in shape)
        raise DataError(path, f"a header that claims {claim} values",
                        f"at least one value and at most {most:,}")
    return header, shape


def _pieces(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield what follows in a stream, up to `size` bytes and one that is too many.

    In pieces, because read(size) would reserve all the memory that a header claims.
    """
    size += 1
    while size and (piece := stream.read(min(size, _CHUNK))):
        size -= len(piece)
        yield piece


def _read_values(stream: BinaryIO, path: object, size: int) -> bytes:
    """The `size` bytes after the header, which must be all that there is."""
    start, values = stream.tell(), b""
    if size <= _SURELY_READ:
        values = b"".join(_pieces(stream, size))
    # What is larger is counted first: where it is refused it takes no memory.
    count = len(values) or sum(map(len, _pieces(stream, size)))
    if count != size:
        found = f"{count:,} bytes" if count < size else "still more bytes"
        raise DataError(path, f"{found} after the header", f"{size:,}, as it says")
    stream.seek(start)
    return values or b"".join(_pieces(stream, size))


def parse_idx(file: BinaryIO, path: object, kind: str) -> IdxFile:
    """Parse an open IDX file of "images" or "labels", packed by gzip or not.

    Format: LeCun, Cortes and Burges, "The MNIST database".  Raises DataError.
    """
    zipped = file.read(2) == b"\x1f\x8b"
    most = max(_SWELLING * file.seek(0, os.SEEK_END), _SURELY_READ)
    file.seek(0)
    stream = gzip.GzipFile(fileobj=file) if zipped else file
    try:
        header, shape = _read_header(stream, path, kind, min(most, _LARGEST_FILE))
        values = _read_values(stream, path, math.prod(shape))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(path, f"a damaged .gz file ({error})",
                        f"a whole IDX file of {kind}") from None
    digest = hashlib.sha256(header)
    digest.update(values)
    return IdxFile(shape, values, digest.hexdigest())


def read_idx(path, kind: str) -> IdxFile:
    """Read one IDX file of "images" or "labels".  Raises DataError."""
    try:
        with open(path, "rb") as file:
            return parse_idx(file, path, kind)
    except OSError as error:
        raise DataError(path, error.strerror or str(error),
                        f"a whole IDX file of {kind}") from None


def _check_labels(path: Path, labels: bytes) -> None:
    """Raise DataError for labels beyond 9; EMNIST, known by its name, has letters."""
    place, top = path.resolve(), max(labels)
    limit = 61 if "emnist" in f"{place.parent.name} {place.name}".lower() else 9
    if top > limit:
        raise DataError(path, f"label {top} for image {labels.index(top)}",
                        f"labels from 0 to {limit}")


def _read_pair(images_path: Path, labels_path: Path) -> tuple[Dataset, str, str]:
    """One file of images and one of labels, checked against each other; checksums."""
    images, labels = read_idx(images_path, "images"), read_idx(labels_path, "labels")
    count, height, width = images.shape
    if labels.shape != (count,):
        raise DataError(labels_path, f"{len(labels.values):,} labels",
                        f"{count:,}, one for each image in {images_path.name}")
    _check_labels(labels_path, labels.values)
    return (Dataset("", images.values, labels.values, height, width),
            images.sha256, labels.sha256)


# --- Reading CSV ----------------------------------------------------------------------


def _is_labelled(row: Sequence[str]) -> bool:
    """Return True if a line is a label and a square of pixels, such as 1 + 28 x 28."""
    return len(row) > 1 and math.isqrt(len(row) - 1) ** 2 == len(row) - 1


def _parse_lines(reader, path: Path) -> Iterator[bytes]:
    """Label and pixels of each line, a byte each; a heading is left out."""
    columns, byte = 0, {str(number): number for number in range(256)}
    for row in reader:
        if reader.line_num > _MOST_LINES:
            raise DataError(path, f"more than {_MOST_LINES:,} lines", "a smaller file")
        if not row:
            continue
        line = f"line {reader.line_num}"
        if not columns and _is_labelled(row):
            columns = len(row)
            if row[0].strip().isalpha():
                continue
        if len(row) != columns:
            found = ("an HTML page" if row[0].startswith("<")
                     else f"{len(row)} columns in {line}")
            raise DataError(path, found, f"{columns} columns" if columns else
                            "a label and a square of pixels (785 columns)")
        try:
            yield bytes(map(byte.__getitem__, row))
        except KeyError as error:
            raise DataError(path, f"{error.args[0][:20]!r} in {line}",
                            "whole numbers from 0 to 255") from None


def read_csv(path) -> Dataset:
    """Read lines of label,pixel0,pixel1,... under a heading, as Kaggle has it, or none.

    The images are square and the pixels whole numbers from 0 to 255.  Raises DataError.
    """
    path, expected = Path(path), "a CSV file of labels and pixels"
    labels, pixels, last = bytearray(), bytearray(), set()
    try:
        with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
            # An endless line comes in pieces, which have too few or too many columns.
            pieces = iter(lambda: file.readline(_LONGEST_LINE), "")
            for line in _parse_lines(csv.reader(pieces, skipinitialspace=True), path):
                labels.append(line[0])
                pixels += line[1:]
                last.add(line[-1])
    except (OSError, csv.Error) as error:
        found = getattr(error, "strerror", "") or str(error)
        raise DataError(path, found, expected) from None
    if not labels:
        raise DataError(path, "no images", expected)
    if not any(labels) and 1 < len(last) and max(last) <= 9:
        raise DataError(path, "nothing but 0 in the first column, and what may be "
                        "labels in the last one", "the label first")
    _check_labels(path, labels)
    side = math.isqrt(len(pixels) // len(labels))
    return Dataset(path.name, bytes(pixels), bytes(labels), side, side)


# --- Finding and loading --------------------------------------------------------------


def find_files(folder: Path) -> dict[str, Path]:
    """Return those of the four IDX files that a folder has, by part: "train-images" ...

    Each may be spelled `-idx3-ubyte` or `.idx3-ubyte`, with or without .gz.
    """
    found = {}
    for part, name in FILE_NAMES.items():
        for stem in (name, name.replace("-idx", ".idx")):    # 7-Zip restores the dot
            for path in (folder / stem, folder / f"{stem}.gz"):
                if os.path.isfile(path):
                    found.setdefault(part, path)
    return found


def check_sum(path: object, part: str, checksum: str) -> None:
    """Raise DataError if this is not the checksum of MNIST's file for that part."""
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
    """The sets asked for; in data/mnist/, where downloads go, they have to be MNIST's.
    """
    files, checksums, sets = find_files(folder), {}, []
    missing = [name for part, name in FILE_NAMES.items() if part not in files]
    if missing:
        found = f"no {' and no '.join(missing)}" if files else "no data set"
        if not folder.is_dir():
            found = "a file" if folder.exists() else "no such folder"
        raise MissingDataError(folder, found, FOUR_FILES)
    for part in parts:
        names = f"{part}-images", f"{part}-labels"
        data, *sums = _read_pair(*(files[name] for name in names))
        sets.append(data)
        checksums.update(zip(names, sums))
    if folder.resolve() == MNIST_FOLDER:
        for part, checksum in checksums.items():
            check_sum(files[part], part, checksum)
    name = "MNIST" if checksums.items() <= MNIST_SHA256.items() else ""
    if folder.resolve() == SAMPLE_FOLDER:
        name = "sample (synthetic digits)"
    return _named(name, folder, *sets)


def _load_csv(path: Path) -> tuple[Dataset, ...]:
    """Train and test set from a CSV file such as Kaggle's train.csv.

    The test set is the file beside it with "test" for "train" in its name if that one
    has labels (Kaggle's has none), else the last sixth of the lines.
    """
    partner = path.with_name(path.name.replace("train", "test"))
    data = read_csv(path)
    if partner != path and os.path.isfile(partner):
        with open(partner, encoding="utf-8-sig", errors="replace") as file:
            if _is_labelled(file.readline(_LONGEST_LINE).split(",")):
                return _named(f"{path.name} and {partner.name}", partner, data,
                              read_csv(partner))
    if len(data) < 2:
        raise DataError(path, "1 image", "at least 2, to train on and to be tested on")
    train, test = data.split(max(1, len(data) // 6))
    return _named(f"{path.name} (last sixth held out)", path, train, test)


def load(folder=None, parts: Sequence[str] = PARTS) -> tuple[Dataset, ...]:
    """Train and test set from `folder`, else from $MNIST_DIR, else from data/mnist/.

    A folder has the four IDX files, else one *train.csv; `folder` may also be a .csv
    file.  `parts` may name one set only: ("t10k",).  Raises DataError.
    """
    path = Path(folder or os.environ.get("MNIST_DIR") or MNIST_FOLDER)
    tables = [path] if path.suffix.lower() == ".csv" and not path.is_dir() else []
    if path.is_dir() and not find_files(path):
        tables = list(path.glob("*train.csv"))
    if len(tables) == 1:
        sets = dict(zip(PARTS, _load_csv(*tables)))
        return tuple(sets[part] for part in PARTS if part in parts)
    try:
        return _load_idx(path, parts)
    except DataError as error:
        if path.resolve() == MNIST_FOLDER and not isinstance(error, MissingDataError):
            error.hint = "delete this file and run again"
        raise
