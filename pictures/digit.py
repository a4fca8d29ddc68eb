"""A person's own handwriting, scanned, photographed or drawn, in MNIST's 28x28 form.

    read_picture   a file                -> rows of grey, 255 white
    find_digits    rows of grey          -> each digit in MNIST's form, left to right
    digits_in      the ink of a drawing  -> the same
"""
from __future__ import annotations

import io
import re
import struct
import sys
import warnings
import zlib
from array import array
from collections import Counter
from operator import mul
from pathlib import Path
from typing import Any, NamedTuple, Sequence

from errors import DataError, read_limited
from pictures import png
from pictures.grey import READING_SIZE, Picture, shrink_factor, shrink_to, to_grey
from pictures.frames import drop_frames
from pictures.ink import cut_out_sheet, find_faint_ink, find_ink
from pictures.normalize import normalised
from pictures.pieces import (Piece, bridge_gaps, draw_pieces, find_pieces,
                             group_pieces, line_height, ranked, stroke_width)

_LARGEST_FILE = 1 << 26     # bytes: 22 million pixels of RGB that do not pack at all
_EXPECTED = "a picture of handwritten digits"


# --- PGM and PPM ----------------------------------------------------------------------

_BLANK = rb"(?:[ \t\r\n\v\f]|#[^\r\n]*[\r\n])+"       # white space, and comments
_PNM = re.compile(rb"P([2356])" + 3 * (_BLANK + rb"(\d{1,9})\b"))
_BITMAP = re.compile(rb"P[14]" + 2 * (_BLANK + rb"(\d{1,9})\b"))       # for Pillow
_LONGEST_HEADER = 1000      # bytes: a blank takes the patterns memory, Pillow 0.4 us
_LONGEST_TEXT = 1 << 20     # bytes of samples typed as text


def _pnm(content: bytes, path: object) -> Picture:
    """Return the picture in a PGM or PPM file.

        P6 640 480 255      kind, width, height, largest sample
        r g b r g b ...     rows from the top, one blank before them

    P2 and P5 are grey, P3 and P6 RGB.  P2 and P3 are text; the others have one byte a
    sample, or two for samples above 255.  Source: the manual pages pgm(5) and ppm(5).
    """
    match = _PNM.match(content, 0, _LONGEST_HEADER)
    kind, width, height, top = map(int, match.groups())
    channels = 3 if kind in (3, 6) else 1
    count = channels * width * height
    if not png.fits(width, height, channels * width) or not 0 < top < 65536:
        raise DataError(path, f"a header that claims {width:,} x {height:,} pixels and "
                        f"the largest sample {top:,}", f"{png.LIMITS}, and a largest "
                        "sample from 1 to 65,535")
    read = _typed_samples if kind < 4 else _pairs_of_bytes if top > 255 else bytes
    samples = read(content[match.end() + 1:])[:count]
    if len(samples) < count or max(samples) > top:
        raise DataError(path, "too few pixels or too large samples",
                        "a whole PGM or PPM file")
    shades = [(255 * value + top // 2) // top for value in range(top + 1)]
    rows = (bytes(map(shades.__getitem__, samples[start:start + channels * width]))
            for start in range(0, count, channels * width))
    return Picture(width, height, ([row[channel::channels] for channel in
                                    range(channels)] for row in rows))


def _typed_samples(text: bytes) -> list[int]:
    """Return the numbers in a text; none where there is anything else."""
    text = re.sub(rb"#[^\r\n]*", b"", text[:_LONGEST_TEXT])
    return [] if re.search(rb"[^\d\s]|\d{6}", text) else list(map(int, text.split()))


def _pairs_of_bytes(content: bytes) -> array:
    """Return the numbers that pairs of bytes are, the high one first."""
    samples = array("H", content[:len(content) // 2 * 2])
    if sys.byteorder == "little":
        samples.byteswap()
    return samples


# --- Other files ----------------------------------------------------------------------

# Beginnings of files: Pillow reads what is called a picture here.
_KINDS = {rb"\xff\xd8\xff": "a JPEG picture", rb"GIF8": "a GIF picture",
          rb"BM": "a BMP picture", rb"RIFF.{4}WEBP": "a WebP picture",
          rb"II[*+]\0|MM\0[*+]": "a TIFF picture", rb"P[1-7]\s": "a PNM picture",
          rb"\0\0\0\x0cjP": "a JPEG 2000 picture", rb"\0\0\x01\0": "an icon picture",
          rb".{4}ftyp": "a HEIC or AVIF photograph", rb"%PDF": "a PDF file",
          rb"PK": "a zip archive", rb"\x1f\x8b": "a .gz file",
          rb"\s*<": "a page of HTML or an SVG drawing", rb"\Z": "an empty file",
          rb"": "nothing that we know"}

# Pillow's readers raise whatever they stumble over in a damaged file.
_PILLOW_ERRORS = (ArithmeticError, AttributeError, EOFError, LookupError, MemoryError,
                  OSError, RuntimeError, SyntaxError, TypeError, ValueError,
                  struct.error, zlib.error)


def _with_pillow(content: bytes, path: object) -> Picture:
    """Return any other picture, turned upright as its EXIF data say."""
    kind = next(kind for start, kind in _KINDS.items()
                if re.match(start, content, re.DOTALL))
    if kind == "a PNM picture" and not _BITMAP.match(content, 0, _LONGEST_HEADER):
        raise DataError(path, f"a PNM file without a header in {_LONGEST_HEADER:,} "
                        "bytes", "a PNG or PGM file")
    try:
        from PIL import Image, ImageOps
    except ImportError:
        if kind.endswith("picture"):
            raise DataError(path, kind, "a PNG or PGM file, or Pillow installed",
                            "python -m pip install pillow") from None
        raise DataError(path, kind, "a PNG or PGM file") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")         # of sizes that are refused here
            with Image.open(io.BytesIO(content)) as image:
                factor = shrink_factor(*image.size, READING_SIZE)
                image.draft("RGB", [side // factor for side in image.size])
                width, height = image.size          # that of a JPEG is smaller now
                # 4 bytes a pixel are Pillow's RGB; EPS is a program, which it would run
                if not png.fits(width, height, 4 * width) or image.format == "EPS":
                    raise DataError(path, f"{image.format}, {width:,} x {height:,} "
                                    "pixels", f"a photograph, {png.LIMITS}")
                image = _upright(image, ImageOps)
    except (*_PILLOW_ERRORS, Image.DecompressionBombError):
        raise DataError(path, f"{kind}, damaged or not known to Pillow",
                        _EXPECTED) from None
    width, planes = image.width, [band.tobytes() for band in image.split()]
    starts = range(0, len(planes[0]), width)
    return Picture(width, image.height, (
        [plane[start:start + width] for plane in planes] for start in starts))


def _upright(image: Any, operations: Any) -> Any:
    """Return a Pillow image shrunk, as RGBA or grey, turned as its EXIF data say."""
    deep = image.mode.startswith("I")               # 16 bits: the upper 8 are taken
    factor = shrink_factor(*image.size, READING_SIZE)
    image = image.convert("I" if deep else "RGBA").reduce(factor)
    if deep:
        image = image.point(lambda value: value * (1 / 256)).convert("L")
    return operations.exif_transpose(image)


def read_picture(path: str | Path) -> list[bytes]:
    """Return the rows of the picture in a file, a byte a pixel: 0 black, 255 white.

    PNG, PGM and PPM are read here, others by Pillow where that is installed.
    Pictures of 1,600 pixels and more are shrunk.  Raises DataError for a file that is
    damaged, no picture, or beyond the limits of size.
    """
    try:
        with open(path, "rb") as file:
            content = read_limited(file, _LARGEST_FILE, path)
    except OSError as error:
        raise DataError(path, error.strerror or str(error), _EXPECTED) from None
    if b"PNG" in content[:8]:
        try:
            return to_grey(png.read(content))
        except png.PngError as error:
            raise DataError(path, str(error), "a whole PNG file") from None
    if _PNM.match(content, 0, _LONGEST_HEADER):
        return to_grey(_pnm(content, path))
    return to_grey(_with_pillow(content, path))


# --- Finding digits -------------------------------------------------------------------

_WORKING_SIZE = 400     # pixels of the longer side, or up to twice that
_FAINT = 80              # of 255: the peak of ink that may be a pencil's
_LONGEST_LINE = 50      # times the shorter side: of more digits than are read in one
_MOST_PIECES, _MOST_STROKES = 60, 10    # of ink in a picture, and for each digit


class Found(NamedTuple):
    """The digits in a picture, left to right, in MNIST's form, and what is no digit."""

    digits: list[bytes]
    left_out: list[str]         # such as "a dash", "a frame"


def _levels(ink: Sequence[bytes], noise: float) -> tuple[int, float]:
    """Return (peak, level): the darkness of the pen, and from where on there is ink.

    The pen is as dark as the darkest 2000th of the picture, a few strokes of a hair.
    Ink is what has two fifths of that, and is more than the grain of the paper.  (0, 0)
    where no pen stands out.
    """
    joined = b"".join(ink)
    total, counts = len(joined), Counter(joined.translate(None, b"\0"))
    counts[0] = joined.count(0)         # most of them, which it does not have to see
    peak = ranked(counts, total + 1 - max(8, total // 2000))
    level = max(0.4 * peak, 4 * noise)
    return (peak, level) if peak >= 16 and level <= 0.7 * peak else (0, 0)


def _large_pieces(ink: Sequence[bytes], level: float, path: object) -> list[Piece]:
    """Return the pieces of ink from `level` on, without the specks.

    A speck has less than 1/50 of the largest piece, and is no dot of 3 % of the line.
    """
    bits = bytes(value >= level for value in range(256))
    pieces = find_pieces([row.translate(bits) for row in ink])
    inked, area = sum(piece.area for piece in pieces), len(ink) * len(ink[0])
    if 10 * inked > 9 * area:
        raise DataError(path, "ink everywhere", _EXPECTED)
    largest = max((piece.area for piece in pieces), default=0)
    dot = (0.03 * line_height(pieces)) ** 2 if pieces else 0
    pieces = [piece for piece in pieces
              if piece.area >= max(3, min(largest // 50, dot))]
    if not 0 < len(pieces) <= _MOST_PIECES:
        found = f"{len(pieces)} pieces of ink" if pieces else "nothing but specks"
        raise DataError(path, found, _EXPECTED)
    return pieces


def _check_layout(digits: Sequence[Piece], left_out: Sequence[Piece], width: int,
                  height: int, path: object) -> None:
    """Refuse dots, blots, tangles, rules from side to side, and more than one line."""
    highest = max(digit.height for digit in digits)
    if highest < 6:
        raise DataError(path, "nothing but specks", _EXPECTED)
    for i, digit in enumerate(digits):
        if len(digits) > 1 and digit.width == width:
            raise DataError(path, "ink from side to side", _EXPECTED)
        if len(digit.runs) > 4 * digit.height:      # an 8 crosses most rows twice
            raise DataError(path, "a tangle of lines", _EXPECTED)
        for other in digits[:i]:
            if digit.overlap(other)[1] < 0.3 * min(digit.height, other.height):
                raise DataError(path, "digits in several lines", "one line of digits")
    for digit in digits:
        size = max(digit.width, digit.height)
        if stroke_width(digit.bits) > 0.44 * size:
            small = size < 0.15 * min(width, height)
            raise DataError(path, "a dot" if small else "a blot of ink", _EXPECTED)
        if _fills_a_side(digit, width, height):
            raise DataError(path, "a whole side full of ink", _EXPECTED)
    if any(0.3 * highest < piece.height > 0.5 * piece.width for piece in left_out):
        raise DataError(path, "digits of different heights", "one line of digits")


def _fills_a_side(digit: Piece, width: int, height: int) -> bool:
    """Tell if this is half a picture, or a table's edge: unbroken along a whole side.

    What fills the picture in both directions is a digit cut out tightly.
    """
    if (digit.width == width) == (digit.height == height):
        return False
    lines = digit.bits if digit.width == width else list(zip(*digit.bits))
    return all(lines[0]) or all(lines[-1])


def _mark(piece: Piece, highest: int) -> str:
    """Return the name of a piece beside digits of this height."""
    if piece.width > 2 * piece.height:
        return "a dash" if piece.width < 0.7 * highest else "a line"
    return "a dot" if piece.height < 0.2 * highest else "a mark"


def _cut_out(ink: Sequence[bytes], digit: Piece, shades: bytes) -> list[bytearray]:
    """Return the ink of one digit, with the pixels next to it, its soft edge."""
    result = [bytearray(digit.width + 2) for _ in range(digit.height + 2)]
    for row, start, end in digit.runs:
        first = max(0, start - 1)
        column = first - digit.left + 1
        for y in range(max(0, row - 1), min(len(ink), row + 2)):
            soft = ink[y][first:end + 1].translate(shades)
            result[y - digit.top + 1][column:column + len(soft)] = soft
    return result


def digits_in(ink: Sequence[bytes], noise: float = 0.0, path: object = "drawing"
              ) -> Found:
    """Return the digits in a drawing: rows of ink, 0 paper to 255, with some noise.

    They may be many or one, each of several strokes; they have to stand in one line and
    apart.  Raises DataError, which says what is there instead, for a drawing with no
    digits in it, as far as that can be told.
    """
    peak, level = _levels(ink, noise)
    if not peak:
        raise DataError(path, "nothing but paper", _EXPECTED)
    width, height, left_out = len(ink[0]), len(ink), []
    # The line of a frame may be thinner than the digits, so fainter in a small picture.
    pieces = _large_pieces(ink, max(0.5 * level, 4 * noise), path)
    try:
        kept = drop_frames(pieces, width, height)
    except ValueError as error:
        raise DataError(path, str(error), _EXPECTED) from None
    if kept != pieces:
        cut = any(piece not in pieces for piece in kept)
        left_out = ["a frame and what of a digit touches it" if cut else "a frame"]
        ink = [bytes(map(mul, row, mask)) for row, mask in zip(
            ink, draw_pieces(kept, width, height))]
    pieces = bridge_gaps(_large_pieces(ink, level, path), width, height)
    digits, others = group_pieces(pieces)
    if len(pieces) > _MOST_STROKES * len(digits):
        raise DataError(path, f"{len(pieces)} pieces of ink", _EXPECTED)
    _check_layout(digits, others, width, height, path)
    highest = max(digit.height for digit in digits)
    low = 3 * peak // 20            # a pen's soft edge begins here
    shades = bytes(255 * min(max(0, value - low), peak - low) // (peak - low)
                   for value in range(256))
    return Found([normalised(_cut_out(ink, digit, shades)) for digit in digits],
                 left_out + [_mark(piece, highest) for piece in others])


def find_digits(rows: Sequence[bytes], path: object = "picture") -> Found:
    """Return the digits in a picture: rows of grey, 255 white.

    They may be dark or light, on paper in shadow and with grain, on a sheet that lies
    on a dark table.  What `digits_in` refuses is looked at again as if it were faint.
    """
    shorter, longer = sorted((len(rows), len(rows[0])))
    if longer > _LONGEST_LINE * shorter:
        raise DataError(path, f"{len(rows[0]):,} x {len(rows):,} pixels", "a picture "
                        f"that is at most {_LONGEST_LINE} times as long as wide")
    rows, _ = shrink_to(cut_out_sheet(rows) or rows, _WORKING_SIZE)
    ink, noise = find_ink(rows)
    try:
        return digits_in(ink, noise, path)
    except DataError:
        if _levels(ink, noise)[0] > _FAINT:
            raise
    return digits_in(*find_faint_ink(rows), path)
