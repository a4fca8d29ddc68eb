"""A person's own handwriting, scanned, photographed or drawn, in MNIST's 28x28 form.

    read_picture   a file                -> rows of grey, 255 white
    find_digits    rows of grey          -> each digit in MNIST's form, left to right
    normalised     the ink of one digit  -> MNIST's form: 784 bytes, 0 paper, 255 ink

MNIST's digits were fitted into 20 x 20 pixels without changing their aspect, and laid
into 28 x 28 with their centre of mass in the middle (LeCun, Cortes and Burges, "The
MNIST database").  A network has seen no others: a digit that is smaller, in a corner,
dark on light or drawn with a hair is none to it, so all of that is undone first.
"""
from __future__ import annotations

import os
import re
import struct
import warnings
import zlib
from collections import Counter
from itertools import accumulate, islice
from math import hypot
from operator import mul
from pathlib import Path
from typing import Iterator, Sequence

from errors import DataError
from pictures import png
from pictures.ink import Piece, find_ink, find_pieces, group_pieces, shrink_to

SIZE, BOX = 28, 20          # MNIST's image, and the box in it that a digit fills

_LARGEST_FILE = 1 << 28     # bytes; png.LARGEST is the limit of pixels
_EXPECTED = "a picture of handwritten digits"


# --- Reading files --------------------------------------------------------------------

_GAP = rb"(?:[ \t\r\n\v\f]|#[^\r\n]*[\r\n])+"       # white space, and comments
_PNM = re.compile(rb"P([1-6])" + 2 * (_GAP + rb"(\d{1,9})\b"))
_PNM_TOP = re.compile(_GAP + rb"(\d{1,5})\b")

_KINDS = {b"\xff\xd8\xff": "a JPEG picture", b"GIF8": "a GIF picture",
          b"BM": "a BMP picture", b"RIFF": "a WebP picture",
          b"II*\0": "a TIFF picture", b"MM\0*": "a TIFF picture",
          b"%PDF": "a PDF file", b"PK": "a zip archive", b"\x1f\x8b": "a .gz file",
          b"<": "a page of HTML or an SVG drawing"}

# Pillow's readers raise whatever they stumble over in a damaged file.
_PILLOW_ERRORS = (ArithmeticError, EOFError, LookupError, OSError, RuntimeError,
                  SyntaxError, TypeError, ValueError, struct.error, zlib.error)


def _describe(start: bytes) -> str:
    """What a file that begins so seems to be, in words."""
    if start[4:8] == b"ftyp":
        return "a HEIC or AVIF picture"
    for magic, kind in _KINDS.items():
        if start.startswith(magic):
            return kind
    return "no picture that we know" if start else "an empty file"


def read_picture(path: str | Path) -> list[bytes]:
    """The rows of a picture in a file, a byte a pixel: 0 black, 255 white.

    PNG, PGM, PPM and PBM are read here, others by Pillow where that is installed.
    Colours become their luma, and what is see-through is seen on white.  Raises
    DataError for a file that is damaged, no picture, or of more than 50 million pixels
    or 65,536 on a side.
    """
    content = _read_whole(path)
    if b"PNG" in content[:8]:
        return list(map(png.grey, png.rows(content, path)))
    if _PNM.match(content):
        return list(map(png.grey, _pnm_rows(content, path)))
    return _read_with_pillow(path, content[:16])


def _read_whole(path: str | Path) -> bytes:
    """The bytes of a file that is not too large.

    They are read in pieces, because read(n) takes n bytes of memory first, however few
    there are; and a pipe does not say how many will come.
    """
    content, too_large = bytearray(), DataError(
        path, "a very large file", f"at most {_LARGEST_FILE:,} bytes")
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > _LARGEST_FILE:
                raise too_large
            while piece := file.read(1 << 16):
                content += piece
                if len(content) > _LARGEST_FILE:
                    raise too_large
    except OSError as error:
        raise DataError(path, error.strerror or str(error), _EXPECTED) from None
    return bytes(content)


def _pnm_rows(content: bytes, path: object) -> Iterator[tuple]:
    """The planes of each row of a PBM, PGM or PPM file, in text (P1-P3) or in bytes.

    Source: the manual pages pbm(5), pgm(5) and ppm(5) of Netpbm.
    """
    match = _PNM.match(content)
    kind, width, height = map(int, match.groups())
    top, place = 1, match.end()
    if kind not in (1, 4):
        match = _PNM_TOP.match(content, place)
        top, place = (int(match[1]), match.end()) if match else (0, place)
    if not png.fits(width, height) or not 0 < top < 65536:
        raise DataError(path, f"a header that claims {width:,} x {height:,} pixels and "
                        f"the largest value {top:,}", f"{png.LIMITS}, and a largest "
                        "value from 1 to 65,535")
    channels = 3 if kind in (3, 6) else 1
    samples = _plain_samples if kind < 4 else _packed_samples
    for row in samples(content, place, kind, width * channels, height, top):
        if len(row) < width * channels or max(row) > top:
            raise DataError(path, "a row with too few pixels or too large values",
                            "a whole PBM, PGM or PPM file")
        if kind in (1, 4):
            row = [1 - bit for bit in row]          # 1 is black here
        shades = bytes(row) if top == 255 else bytes(
            (255 * value + top // 2) // top for value in row)
        yield tuple(shades[channel::channels] for channel in range(channels))


def _plain_samples(content: bytes, place: int, kind: int, width: int, height: int,
                   top: int) -> Iterator[list[int]]:
    """`height` rows of numbers from text; short ones after what is no number."""
    text = re.sub(rb"#[^\r\n]*", b"", content[place:])
    end = re.search(rb"[^\d\s]", text)
    number = rb"\d" if kind == 1 else rb"\d{1,9}"      # bits need no blanks between
    numbers = re.finditer(number, text[:end and end.start()])
    for _ in range(height):
        yield [int(match[0]) for match in islice(numbers, width)]


def _packed_samples(content: bytes, place: int, kind: int, width: int, height: int,
                    top: int) -> Iterator[Sequence[int]]:
    """`height` rows of bits (P4), bytes or, for values above 255, pairs of bytes."""
    place += 1                                      # one blank ends the header
    size = (width + 7) // 8 if kind == 4 else width * (1 + (top > 255))
    for start in range(place, place + height * size, size):
        row = content[start:start + size]
        if kind == 4:
            bits = [byte >> shift & 1 for byte in row for shift in range(7, -1, -1)]
            yield bits[:width]
        elif top > 255:
            yield [256 * high + low for high, low in zip(row[::2], row[1::2])]
        else:
            yield row


def _read_with_pillow(path: str | Path, start: bytes) -> list[bytes]:
    """The rows of any other picture, turned upright as its EXIF data say."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise DataError(
            path, _describe(start), "a PNG or PGM file, or Pillow installed",
            "python -m pip install pillow") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")         # of sizes that are refused here
            with Image.open(path) as image:
                width, height = image.size
                if not png.fits(width, height) or image.format == "EPS":
                    raise DataError(    # EPS is a program, which Pillow would run
                        path, f"{image.format}, {width:,} x {height:,} pixels",
                        f"a photograph, {png.LIMITS}")
                if image.mode.startswith("I"):      # 16 bits; the upper 8 are taken
                    image = image.convert("I").point(lambda v: v * (1 / 256))
                    image = image.convert("L")
                image = ImageOps.exif_transpose(image).convert("RGBA")
    except (*_PILLOW_ERRORS, Image.DecompressionBombError):
        raise DataError(path, f"{_describe(start)}, damaged or not known to Pillow",
                        _EXPECTED) from None
    width, planes = image.width, [band.tobytes() for band in image.split()]
    return [png.grey([plane[at:at + width] for plane in planes])
            for at in range(0, len(planes[0]), width)]


# --- MNIST's form ---------------------------------------------------------------------

_FINE = 4 * BOX         # a digit's size while its stroke is measured and changed
_THINNEST, _THIN, _THICK = 1.7, 2.5, 4.5        # MNIST's strokes: 5 %, median, 97 %


def normalised(ink: Sequence[Sequence[int]]) -> bytes:
    """The ink of one digit, rows of 0 (paper) to 255, as 784 bytes in MNIST's form.

    It is cut out, its stroke made as wide as a pen's on MNIST's scale if it is much
    thinner or thicker, fitted into 20 x 20 pixels (each the mean of the area under it),
    raised to a peak of 255, and laid with its centre of mass on pixel (14, 14) of
    28 x 28.  No ink gives an empty image.  Raises ValueError for rows of unequal length
    or values outside 0..255.

    >>> image = normalised([[0, 7]] * 8)            # a one, drawn small and faint
    >>> [list(image[28 * y + 12:28 * y + 17]) for y in (3, 4, 23, 24)]
    [[0, 0, 0, 0, 0], [0, 255, 255, 255, 0], [0, 255, 255, 255, 0], [0, 0, 0, 0, 0]]
    """
    rows = [bytes(row) for row in ink]
    if len(set(map(len, rows))) > 1:
        raise ValueError("rows of unequal length")
    rows = _crop(rows)
    return _centre(_fit(_with_pen(rows), BOX)) if rows else bytes(SIZE * SIZE)


def _crop(rows: Sequence[bytes]) -> list[bytes]:
    """The rows without the paper around the ink; [] where there is none."""
    inked = [i for i, row in enumerate(rows) if any(row)]
    if not inked:
        return []
    rows = rows[inked[0]:inked[-1] + 1]
    left = min(len(row) - len(row.lstrip(b"\0")) for row in rows)
    right = max(len(row.rstrip(b"\0")) for row in rows)
    return [row[left:right] for row in rows]


def _shares(count: int, parts: int) -> list[tuple[int, list[int]]]:
    """Cut a line of `count` cells into equal parts: (first cell, weights) of each.

    A weight says how much of a cell lies in the part, in units of 1 / parts.

    >>> _shares(3, 2)
    [(0, [2, 1]), (1, [1, 2])]
    """
    result = []
    for start in range(0, count * parts, count):
        first, last = start // parts, (start + count - 1) // parts
        weights = [parts] * (last - first + 1)
        weights[0] -= start - first * parts
        weights[-1] -= (last + 1) * parts - start - count
        result.append((first, weights))
    return result


def _fit(rows: Sequence[bytes], side: int) -> list[bytes]:
    """The rows scaled so that the longer side has `side` pixels, by exact area means.

    Down the columns first: a row has 32 bits a pixel in an integer, so that a weighted
    sum of rows is one of integers.  Then across, number by number.
    """
    height, width = len(rows), len(rows[0])
    longest, area = max(height, width), height * width
    tall, wide = (max(1, (2 * n * side + longest) // (2 * longest))
                  for n in (height, width))
    lanes, columns = [], _shares(width, wide)
    for row in rows:
        spaced = bytearray(4 * width)
        spaced[::4] = row
        lanes.append(int.from_bytes(spaced, "little"))
    result = []
    for top, weights in _shares(height, tall):
        total = sum(map(mul, lanes[top:top + len(weights)], weights))
        sums = struct.unpack(f"<{width}I", total.to_bytes(4 * width, "little"))
        result.append(bytes([(sum(map(mul, sums[left:left + len(shares)], shares))
                              + area // 2) // area for left, shares in columns]))
    return result


def _with_pen(rows: list[bytes]) -> list[bytes]:
    """The digit itself, or larger or smaller with a stroke as wide as it has to be.

    A hair would fade to nothing when it is scaled down, and the holes of a fat 8 close.
    On BOX pixels a stroke of w _FINE pixels is  BOX w / _FINE  wide, and once it is
    thickened by r on each side, BOX (w + 2 r) / (_FINE + 2 r), the digit being larger.
    """
    fine = _fit(rows, _FINE)
    level = 2 * max(map(max, fine)) // 5 or 1
    bits = bytes(value >= level for value in range(256))
    fine = [row.translate(bits) for row in fine]
    stroke = _stroke_width(fine)
    width = BOX * stroke / _FINE
    if _THINNEST <= width <= _THICK:
        return rows
    aim = _THIN if width < _THINNEST else _THICK
    radius = round((aim * _FINE - BOX * stroke) / (2 * BOX - 2 * aim))
    return _grow(fine, radius) or rows


def _stroke_width(bits: Sequence[bytes]) -> float:
    """Area / length of the strokes in rows of 0 and 1.

    A straight stroke of length l and slope t enters l sin t rows and l cos t columns,
    and hypot of these numbers is l.  All rows together are one integer, a byte a pixel
    and a blank between rows: what has no ink on its left enters a row, what has none
    above it a column.
    """
    stride = len(bits[0]) + 1
    ink = int.from_bytes(b"\0".join(bits), "little")

    def count(number: int) -> int:
        """How many of its bytes are 1."""
        return number.to_bytes(stride * len(bits), "little").count(1)

    rows, columns = (count(ink & ~(ink << 8 * step)) for step in (1, stride))
    return count(ink) / hypot(rows, columns)


def _grow(bits: Sequence[bytes], radius: int) -> list[bytes]:
    """Rows of 0 and 1, each stroke `radius` wider on each side (or thinner): 0 and 255.

    All rows are one integer; or (and) with the integer moved by a pixel to four sides
    adds (takes) one, and to eight sides in every second step makes an octagon of it.
    """
    pad = abs(radius)
    edge, stride = bytes(pad), len(bits[0]) + 2 * pad
    blank = bytes(stride * pad)
    joined = b"".join([blank, *(edge + row + edge for row in bits), blank])
    ink = int.from_bytes(joined, "little")
    if radius < 0:
        ink ^= int.from_bytes(b"\1" * len(joined), "little")    # it is the paper's turn
    for step in range(pad):
        wide = ink | ink << 8 | ink >> 8
        tall = wide if step % 2 else ink
        ink = wide | tall << 8 * stride | tall >> 8 * stride
    ink &= (1 << 8 * len(joined)) - 1       # what has been moved beyond the last row
    shades = (b"\xff\0" if radius < 0 else b"\0\xff").ljust(256, b"\0")
    result = ink.to_bytes(len(joined), "little").translate(shades)
    return _crop([result[i:i + stride] for i in range(0, len(result), stride)])


def _centre(box: Sequence[bytes]) -> bytes:
    """The image with the box in it, placed so that its centre of mass is (14, 14)."""
    peak = max(map(max, box))
    raised = bytes((255 * min(value, peak) + peak // 2) // peak for value in range(256))
    box = [row.translate(raised) for row in box]
    top, left = (
        min(SIZE - len(sums), max(0, round(
            SIZE / 2 - sum(map(mul, range(len(sums)), sums)) / sum(sums))))
        for sums in (list(map(sum, box)), list(map(sum, zip(*box)))))
    image = bytearray(SIZE * SIZE)
    for start, row in enumerate(box, top):
        image[start * SIZE + left:start * SIZE + left + len(row)] = row
    return bytes(image)


# --- Finding digits -------------------------------------------------------------------

_WORKING_SIZE = 400     # pixels of the longer side, or up to twice that
_LONGEST_LINE = 50      # times the shorter side: of more digits than are read in one
_MOST_PIECES, _MOST_STROKES = 60, 10    # of ink in a picture, and for each digit


def find_digits(rows: Sequence[bytes], path: object = "picture") -> list[bytes]:
    """The digits in a picture, from left to right, each as `normalised` makes it.

    They may be dark or light, many or one, each of several strokes, on paper in shadow
    and with grain; they have to stand in one line and apart.  Raises DataError, which
    names `path`, for a picture with no digits in it, as far as that can be told.
    """
    shorter, longer = sorted((len(rows), len(rows[0])))
    if longer > _LONGEST_LINE * shorter:
        raise DataError(path, f"{len(rows[0]):,} x {len(rows):,} pixels", "a picture "
                        f"that is at most {_LONGEST_LINE} times as long as wide")
    rows, _ = shrink_to(rows, _WORKING_SIZE)
    ink, noise = find_ink(rows)
    peak, level = _levels(ink, noise)
    if not peak:
        raise DataError(path, "nothing but paper", _EXPECTED)
    bits = bytes(value >= level for value in range(256))
    pieces = _large_pieces([row.translate(bits) for row in ink], path)
    digits = group_pieces(pieces)
    if len(pieces) > _MOST_STROKES * len(digits):
        raise DataError(path, f"{len(pieces)} pieces of ink", _EXPECTED)
    _check_layout(digits, rows, path)
    low = 3 * peak // 20            # a pen's soft edge begins here
    shades = bytes(255 * min(max(0, value - low), peak - low) // (peak - low)
                   for value in range(256))
    return [normalised(_cut_out(ink, digit, shades)) for digit in digits]


def _levels(ink: Sequence[bytes], noise: float) -> tuple[int, float]:
    """(peak, level): how dark the pen is, and from where on there is ink; else (0, 0).

    The pen is as dark as the darkest 2000th of the picture, a few strokes of a hair.
    Ink is what has two fifths of that, and is more than the grain of the paper.
    """
    counts = Counter()
    for row in ink:
        counts.update(row)
    shades = sorted(counts, reverse=True)
    wanted = max(8, sum(counts.values()) // 2000)
    sums = accumulate(map(counts.__getitem__, shades))
    peak = next((shade for shade, seen in zip(shades, sums) if seen >= wanted), 0)
    level = max(0.4 * peak, 4 * noise)
    return (peak, level) if peak >= 16 and level <= 0.7 * peak else (0, 0)


def _large_pieces(masks: Sequence[bytes], path: object) -> list[Piece]:
    """The pieces of ink without the specks, if they can be digits by their number."""
    inked, area = sum(row.count(1) for row in masks), len(masks) * len(masks[0])
    if 10 * inked > 9 * area:
        raise DataError(path, "ink everywhere", _EXPECTED)
    pieces = find_pieces(masks)
    least = max(3, max(piece.area for piece in pieces) // 50)
    pieces = [piece for piece in pieces if piece.area >= least]
    if not 0 < len(pieces) <= _MOST_PIECES:
        found = f"{len(pieces)} pieces of ink" if pieces else "nothing but specks"
        raise DataError(path, found, _EXPECTED)
    return pieces


def _check_layout(digits: Sequence[Piece], rows: Sequence[bytes], path: object) -> None:
    """Refuse blots, tangles, rules from side to side and several lines."""
    for i, digit in enumerate(digits):
        if len(digits) > 1 and digit.width == len(rows[0]):
            raise DataError(path, "ink from side to side", _EXPECTED)
        if len(digit.runs) > 4 * digit.height:      # an 8 crosses most rows twice
            raise DataError(path, "a tangle of lines", _EXPECTED)
        for other in digits[:i]:
            if digit.overlap(other)[1] < 0.3 * min(digit.height, other.height):
                raise DataError(path, "digits in several lines", "one line of digits")
    if max(digit.height for digit in digits) < 6:
        raise DataError(path, "nothing but specks", _EXPECTED)
    for digit in digits:
        if _stroke_width(digit.bits) > 0.44 * max(digit.width, digit.height):
            raise DataError(path, "a blot of ink", _EXPECTED)
        if _fills_a_side(digit, len(rows[0]), len(rows)):
            raise DataError(path, "a whole side full of ink", _EXPECTED)


def _fills_a_side(digit: Piece, width: int, height: int) -> bool:
    """Whether this is half a picture, or a table's edge: unbroken along a whole side.

    What fills the picture in both directions is a digit cut out tightly.
    """
    if (digit.width == width) == (digit.height == height):
        return False
    lines = digit.bits if digit.width == width else list(zip(*digit.bits))
    return all(lines[0]) or all(lines[-1])


def _cut_out(ink: Sequence[bytes], digit: Piece, shades: bytes) -> list[bytearray]:
    """The ink of one digit alone, and of the pixels next to it, its soft edge."""
    result = [bytearray(digit.width + 2) for _ in range(digit.height + 2)]
    for row, start, end in digit.runs:
        first = max(0, start - 1)
        column = first - digit.left + 1
        for y in range(max(0, row - 1), min(len(ink), row + 2)):
            soft = ink[y][first:end + 1].translate(shades)
            result[y - digit.top + 1][column:column + len(soft)] = soft
    return result
