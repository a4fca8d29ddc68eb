"""PNG pictures in plain Python: chunks, checksums, the five filters and interlacing.

A PNG file is eight bytes that no other file begins with, and then chunks:

    4 bytes    length of the data, big-endian
    4 bytes    type, letters; a capital at the start means that nobody may skip it
    the data
    4 bytes    CRC-32 of type and data

    IHDR       width, height, bits a sample, colour type, 0, 0, interlaced: comes first
    PLTE       up to 256 colours, three bytes each
    tRNS       how opaque each of these colours is, or the one colour that is not there
    IDAT       the pixels, one zlib stream cut into pieces that follow each other
    IEND       the end

The stream holds the rows from the top, in each the samples from the left, high bits
first, and before each row the filter that it went through.  A filter takes from each
byte a guess, made of the bytes a pixel to the left (a), above (b), and above left (c):
smooth pictures turn into small numbers, and zlib packs those better.

A file may be damaged, or made to do harm: 100 kB of zeros, well packed, are 100 MB of
pixels.  So nothing is believed before it is checked, no more is unpacked than the
header allows, and no header is allowed more than 50 million pixels.  The slowest
pictures have filter 4 all over: 12 million pixels of RGB take 1.5 s on CPython 3.11,
grey made of them too, 50 million of RGBA 9 to 15 s, in 16 bits 13 s.

Source: W3C, "Portable Network Graphics (PNG) Specification".
"""
from __future__ import annotations

import struct
import zlib
from typing import Callable, Iterable, Iterator, NamedTuple, Sequence

from pictures.grey import Picture

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LARGEST = 50_000_000        # pixels
LONGEST = 1 << 16           # pixels of a side: each row takes time as well
HEAVIEST = 100_000_000      # bytes of samples, unpacked: they take 2 to 3 s
LIMITS = f"1 to {LARGEST:,} pixels, {LONGEST:,} a side, {HEAVIEST:,} bytes"

_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}      # grey, RGB, palette, grey + A, RGB + A
_PALETTE = 3
_BLOCK, _BLOCK_BYTES = 64, 1 << 21      # rows, or their bytes, unfiltered at a time
_MOST_CHUNKS = 100_000      # each takes 200 bytes of memory; usual are pieces of 8 KB
_PIECE = 1 << 14            # bytes given to zlib at a time, which copies what it leaves

# Adam7, the seven passes of an interlaced picture: first column, first row, steps.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4),
          (1, 0, 2, 2), (0, 1, 1, 2))
_ONE_PASS = ((0, 0, 1, 1),)


class PngError(ValueError):
    """The bytes of a PNG file are damaged; str() says in what way."""


def fits(width: int, height: int, size: int) -> bool:
    """Tell if a picture of this size, with `size` bytes in a row, is within LIMITS."""
    return (0 < width * height <= LARGEST and max(width, height) <= LONGEST
            and height * size <= HEAVIEST)


# --- Chunks ---------------------------------------------------------------------------


class Header(NamedTuple):
    """The IHDR chunk: the size in pixels and how they are stored."""

    width: int
    height: int
    depth: int          # bits a sample
    colour: int
    interlaced: int

    @property
    def bits(self) -> int:
        """Bits a pixel."""
        return self.depth * _CHANNELS[self.colour]


def _chunks(content: bytes) -> Iterator[tuple[str, memoryview]]:
    """Type and data of each chunk up to IEND, its length and its CRC verified."""
    if not content.startswith(SIGNATURE):
        raise PngError("other bytes than a PNG file's at the start")
    view, place, kind, count = memoryview(content), len(SIGNATURE), b"", 0
    while kind != b"IEND":
        if len(content) < place + 12:
            raise PngError("a file cut short: no IEND chunk")
        size, kind = struct.unpack_from(">I4s", content, place)
        if not kind.isalpha():
            raise PngError(f"bytes that are no chunk at {place:,}")
        name, end = kind.decode(), place + 8 + size
        if len(content) < end + 4:
            raise PngError(f"a file cut short in a chunk {name} of {size:,} bytes")
        if zlib.crc32(view[place + 4:end]) != struct.unpack_from(">I", content, end)[0]:
            raise PngError(f"a wrong CRC in chunk {name}")
        yield name, view[place + 8:end]
        place, count = end + 4, count + 1
        if count > _MOST_CHUNKS:
            raise PngError(f"more than {_MOST_CHUNKS:,} chunks")


def _parse_header(name: str, data: memoryview) -> Header:
    """The first chunk, if it is a header of a picture that can be."""
    if name != "IHDR" or len(data) != 13:
        raise PngError(f"a first chunk {name} of {len(data):,} bytes, not IHDR of 13")
    *fields, compression, filtering, interlaced = struct.unpack(">IIBBBBB", data)
    header = Header(*fields, interlaced)
    if header.depth not in _DEPTHS.get(header.colour, ()):
        raise PngError(f"colour type {header.colour} with {header.depth} bits a sample")
    if not fits(header.width, header.height, header.width * header.bits // 8):
        raise PngError(f"a header that claims {header.width:,} x {header.height:,} "
                       f"pixels of {header.bits} bits, beyond {LIMITS}")
    if compression or filtering or interlaced > 1:
        raise PngError(f"methods {compression}, {filtering}, {interlaced}, "
                       "of which only 0, 0, 0 and 0, 0, 1 are defined")
    return header


def _parse(content: bytes) -> tuple[Header, dict[str, bytes], list[memoryview]]:
    """(header, PLTE and tRNS where there are such, IDATs): each one in its place."""
    chunks = _chunks(content)
    header = _parse_header(*next(chunks))
    extras: dict[str, bytes] = {}
    pixels: list[memoryview] = []
    previous = "IHDR"
    for name, data in chunks:
        misplaced = name == "IHDR"
        if name == "IDAT":
            misplaced = bool(pixels) and previous != "IDAT"
            pixels.append(data)
        elif name in ("PLTE", "tRNS"):
            misplaced = bool(pixels or name in extras or name == "PLTE" and extras)
            extras[name] = bytes(data)
        elif name[0].isupper() and name not in ("IHDR", "IEND"):
            raise PngError(f"an unknown chunk {name} that must not be skipped")
        if misplaced:
            raise PngError(f"a chunk {name} out of place")
        previous = name
    if not pixels or len(data):             # the last chunk is IEND
        raise PngError("no IDAT chunk" if not pixels else "an IEND chunk with data")
    _check_extras(header, extras)
    return header, extras, pixels


def _check_extras(header: Header, extras: dict[str, bytes]) -> None:
    """Check palette and transparency for the sizes that the colour type asks for."""
    colours, rest = divmod(len(extras.get("PLTE", b"")), 3)
    most = 1 << header.depth if header.colour == _PALETTE else 256
    most = 0 if header.colour in (0, 4) else most           # grey
    if "PLTE" in extras and (rest or not 0 < colours <= most):
        raise PngError(f"a palette of {len(extras['PLTE']):,} bytes for colour type "
                       f"{header.colour} with {header.depth} bits a sample")
    if header.colour == _PALETTE and not colours:
        raise PngError("no palette (PLTE chunk)")
    sizes = {0: (2,), 2: (6,), _PALETTE: range(1, colours + 1)}.get(header.colour, ())
    if "tRNS" in extras and len(extras["tRNS"]) not in sizes:
        raise PngError(f"{len(extras['tRNS']):,} bytes of transparency (tRNS) for "
                       f"colour type {header.colour}")


class _Inflater:
    """Unpacks a zlib stream in pieces, each as large as the reader asks for.

    zlib compares the checksum of all that it unpacked (Adler-32) at the end.
    """

    def __init__(self, chunks: Iterable[memoryview]) -> None:
        self._stream, self._left = zlib.decompressobj(), b""
        self._pieces = (chunk[start:start + _PIECE] for chunk in chunks
                        for start in range(0, len(chunk), _PIECE))

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer where the stream ends."""
        taken = b""
        while len(taken) < size and not self._stream.eof:
            piece = self._left or next(self._pieces, b"")
            try:
                part = self._stream.decompress(piece, size - len(taken))
            except zlib.error as error:
                raise PngError(f"damaged pixels ({error})") from None
            self._left = self._stream.unconsumed_tail
            if not piece and not part:
                break
            taken += part
        return taken

    def finish(self) -> None:
        """Raise PngError unless all has been taken and nothing comes after it."""
        if self.take(1):
            raise PngError("more pixels than the header says")
        if not self._stream.eof:
            raise PngError("fewer pixels than the header says")
        if self._stream.unused_data or next(self._pieces, None) is not None:
            raise PngError("bytes behind the pixels in IDAT")


# --- Filters --------------------------------------------------------------------------


def _paeth(a: int, b: int, c: int, high: int) -> int:
    """In each lane that of a, b and c which is nearest to p = a + b - c (Paeth 1991).

    In a tie a goes before b and b before c.  Where c is not between a and b, p is
    beyond the one that c is farther from, so that this one is nearest.  Where it is, p
    is as far from the lesser as c from the greater, and the other way round; so

        the lesser    if c - lesser >= 2 (greater - c),  or  3 c >= a + b + greater
        the greater   if greater - c >= 2 (c - lesser),  or  3 c <= a + b + lesser
        c             otherwise

    which says the same where c is beyond one of them, since that one is then lesser or
    greater.  `high` has the highest bit of each lane: in  (x | high) - y  it stays set
    where x >= y, and makes a mask of ones below it.
    """
    larger = (((a | high) - b & high) >> 15) * 255
    swap = larger & (a ^ b)
    lesser, greater = a ^ swap, b ^ swap
    both, triple = a + b, 3 * c
    take_lesser = (((triple | high) - both - greater & high) >> 15) * 255
    take_greater = (((both + lesser | high) - triple & high) >> 15) * 255
    return c ^ take_lesser & (c ^ lesser) ^ take_greater & (c ^ greater)


def _unfilter(kinds: Sequence[int], lines: Sequence[bytes], above: bytes, step: int
              ) -> list[bytes]:
    """Rows that follow each other, as they were before filters `kinds`.

    A byte has to wait for those on its left and above, but all bytes on a diagonal
    (x + y is the same) can be had at once: they are lanes of 16 bits in one integer,
    the top row lowest.  Of the diagonal before, a has the same row; b, the row above,
    is a moved by a row; and c is what b was then.  Left of the picture all are 0.

        filter      1       2       3                     4
        guess       a       b       (a + b) / 2           _paeth(a, b, c)
    """
    if not any(kinds):
        return list(lines)
    pixel = 2 * step                                # bytes of lanes
    diagonal, columns = pixel * len(lines), len(above) // step
    whole = diagonal * (columns + len(lines) - 1)
    places = [(y, channel, slice(y * (diagonal + pixel) + 2 * channel, (
        y + columns) * diagonal, diagonal)) for y in range(len(lines))
        for channel in range(step)]
    slanted, top = bytearray(whole), bytearray(pixel * columns)
    for y, channel, place in places:
        slanted[place] = lines[y][channel::step]
    top[::2] = above
    solved = b"".join(_diagonals(kinds, slanted, top, pixel))
    result = [bytearray(len(above)) for _ in lines]
    for y, channel, place in places:
        result[y][channel::step] = solved[place]
    return list(map(bytes, result))


def _diagonals(kinds: Sequence[int], slanted: bytes, top: bytes, pixel: int
               ) -> Iterator[bytes]:
    """Each diagonal of a slanted picture unfiltered; `top` is the row above it."""
    size = pixel * len(kinds)
    low, high = (int.from_bytes(lane * (size // 2), "little")
                 for lane in (b"\xff\0", b"\0\x80"))
    lefts, aboves, means, paeths = (int.from_bytes(b"".join(
        bytes([255 * (kind == wanted), 0]) * (pixel // 2) for kind in kinds), "little")
        for wanted in (1, 2, 3, 4))
    a = b = 0
    for number, start in enumerate(range(0, len(slanted), size)):
        c, b = b, (a << 8 * pixel & low) | int.from_bytes(
            top[number * pixel:(number + 1) * pixel], "little")
        guess = a & lefts | b & aboves
        if means:
            guess |= a + b >> 1 & means
        if paeths:
            guess |= _paeth(a, b, c, high) & paeths
        a = int.from_bytes(slanted[start:start + size], "little") + guess & low
        yield a.to_bytes(size, "little")


def _lines(header: Header, inflater: _Inflater, columns: int, rows: int
           ) -> Iterator[bytes]:
    """The rows of one pass as they were before filtering, each in whole bytes."""
    size, step = (columns * header.bits + 7) // 8, (header.bits + 7) // 8
    above, count = bytes(size), max(16, min(_BLOCK, _BLOCK_BYTES // size))
    for start in range(0, rows, count):
        block = [inflater.take(size + 1) for _ in range(min(count, rows - start))]
        if len(block[-1]) <= size:
            raise PngError("fewer pixels than the header says")
        kinds = [line[0] for line in block]
        if max(kinds) > 4:
            raise PngError(f"filter {max(kinds)}, where 0 to 4 are defined")
        lines = _unfilter(kinds, [line[1:] for line in block], above, step)
        yield from lines
        above = lines[-1]


# --- Pixels ---------------------------------------------------------------------------


def _painter(header: Header, extras: dict[str, bytes]
             ) -> Callable[[bytes, int], Sequence[bytes]]:
    """Return what makes the planes of a row of pixels out of its bytes.

    Each channel is a strided slice, of 16 bits the upper 8; the colours of a palette
    are looked up in tables, and so is grey of fewer than 8 bits.
    """
    depth, top = header.depth, (1 << header.depth) - 1
    size, step = (depth + 7) // 8, (header.bits + 7) // 8       # of a sample, a pixel
    key, known, tables = extras.get("tRNS", b""), b"", []
    if header.colour == _PALETTE:
        palette, opaque, key = extras["PLTE"], key, b""
        known = bytes(range(len(palette) // 3))
        tables = [palette[channel::3].ljust(256, b"\0") for channel in range(3)]
        tables += [opaque.ljust(256, b"\xff")] if opaque else []
    if depth < 8:
        tables = tables or [bytes(255 * (b & top) // top for b in range(256))]
        samples = [bytes(b >> shift & top for shift in range(8 - depth, -1, -depth))
                   for b in range(256)]
    if depth <= 8:
        key = bytes(b & top for b in key[1::2])

    def paint(line: bytes, width: int) -> Sequence[bytes]:
        """Take the planes apart; alpha from the colour that is not there."""
        if depth < 8:
            line = b"".join(map(samples.__getitem__, line))[:width]
        if known and line.translate(None, known):
            raise PngError(f"colour {max(line)} of a palette of {len(known)}")
        planes = tuple(map(line.translate, tables) if tables else
                       (line[start::step] for start in range(0, step, size)))
        if not key:
            return planes
        if key not in line:
            return *planes, b"\xff" * width
        return *planes, bytes(255 * (line[i:i + step] != key)
                              for i in range(0, len(line), step))
    return paint


def _rows(header: Header, extras: dict[str, bytes], chunks: Sequence[memoryview]
          ) -> Iterator[Sequence[bytes]]:
    """The planes of each row."""
    paint = _painter(header, extras)
    inflater, (width, height) = _Inflater(chunks), header[:2]
    picture: dict[int, list[bytearray]] = {}    # of an interlaced one, the rows so far
    for left, top, across, down in _ADAM7 if header.interlaced else _ONE_PASS:
        columns, places = len(range(left, width, across)), range(top, height, down)
        if not columns:
            continue
        for y, line in zip(places, _lines(header, inflater, columns, len(places))):
            planes = paint(line, columns)
            if not header.interlaced:
                yield planes
                continue
            for row, plane in zip(picture.setdefault(
                    y, [bytearray(width) for _ in planes]), planes):
                row[left::across] = plane
    inflater.finish()
    for y in sorted(picture):
        yield tuple(map(bytes, picture[y]))


def read(content: bytes) -> Picture:
    """Return the picture in a PNG file, whose rows are unpacked as they are taken.

    Raises PngError, whatever the bytes are, from the rows too: what is wrong at the end
    is found after the last one.

    >>> def chunk(kind, data):
    ...     return (struct.pack(">I", len(data)) + kind + data
    ...             + struct.pack(">I", zlib.crc32(kind + data)))
    >>> header = struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0)
    >>> content = SIGNATURE + chunk(b"IHDR", header)
    >>> content += chunk(b"IDAT", zlib.compress(bytes([0, 1, 2, 3, 2, 10, 10, 10])))
    >>> [list(grey) for grey, in read(content + chunk(b"IEND", b"")).rows]
    [[1, 2, 3], [11, 12, 13]]
    """
    header, extras, chunks = _parse(content)
    return Picture(header.width, header.height, _rows(header, extras, chunks))
