"""Colour and transparency into shades of grey in which the ink stands out.

    to_grey      the planes of a picture, row by row -> rows of grey, 0 black, 255 white
    shrink_to    rows -> fewer and shorter rows, by means of squares

A plane is a row of one channel, a byte a pixel.  A pixel has 1 to 4 of them: grey, grey
and alpha, RGB, or RGB and alpha, where alpha 0 is transparent and 255 opaque.

Luma, what the eye sees of brightness, is not always where the ink is: red ink on a
green board may be as bright as the board.  Then the mixture of channels is taken in
which neighbouring pixels differ most.
"""
from __future__ import annotations

import struct
from itertools import chain
from math import hypot
from operator import mul, sub
from typing import Iterable, NamedTuple, Sequence

INVERT = bytes(range(255, -1, -1))
READING_SIZE = 800     # pixels of the longer side, or up to twice that
_LUMA = (19595, 38470, 7471)        # 0.299 R + 0.587 G + 0.114 B in 65536ths (BT.601)


class Picture(NamedTuple):
    """A picture that is being read: its size, and its rows, each a tuple of planes."""

    width: int
    height: int
    rows: Iterable[Sequence[bytes]]


# --- Size -----------------------------------------------------------------------------


def shrink_factor(width: int, height: int, size: int) -> int:
    """Return the whole number by which to divide the sides of a picture.

    The longer side keeps `size` pixels, up to twice that.  In a row of many digits it
    keeps more: the shorter side has a sixth of `size`.
    """
    shorter, longer = sorted((width, height))
    return max(1, min(longer, 6 * shorter) // size)


def to_lanes(values: bytes, size: int) -> int:
    """Return an integer of values in `size` bytes each, the first lowest."""
    lanes = bytearray(size * len(values))
    lanes[::size] = values
    return int.from_bytes(lanes, "little")


def _mean_row(rows: Sequence[bytes], factor: int) -> bytes:
    """Return the mean of each factor x factor pixels in `factor` rows.

    A row's pixels have 32 bits each of a large integer: adding integers adds rows.
    """
    width, area = len(rows[0]) // factor, factor * factor
    total = sum(to_lanes(row[column:column + factor * width:factor], 4)
                for row in rows for column in range(factor))
    sums = struct.unpack(f"<{width}I", total.to_bytes(4 * width, "little"))
    return bytes([(s + area // 2) // area for s in sums])


def shrink_to(rows: Sequence[bytes], size: int) -> tuple[list[bytes], int]:
    """Return (rows, factor): by `shrink_factor`, and an incomplete edge is lost.

    >>> shrink_to([bytes([1, 3, 5, 7, 9]), bytes([1, 3, 5, 7, 9])], 2)
    ([b'\\x02\\x06'], 2)
    """
    factor = shrink_factor(len(rows[0]), len(rows), size)
    if factor == 1:
        return list(rows), 1
    return [_mean_row(block, factor) for block in zip(*[iter(rows)] * factor)], factor


# --- Colour ---------------------------------------------------------------------------


def _mix(planes: Sequence[bytes], weights: Sequence[int]) -> bytes:
    """Return sum_c w_c plane_c, rounded, a negative weight's plane being inverted.

    Each pixel has 24 bits of a large integer, and the weights are in 65536ths whose
    absolute values add up to 65536: the sum's third byte is the result.

    >>> list(_mix([b"\\xff\\x80\\0", b"\\0\\x80\\xff", b"\\0\\x80\\0"], _LUMA))
    [76, 128, 150]
    """
    total = int.from_bytes(b"\0\x80\0" * len(planes[0]), "little")  # a half, to round
    for plane, weight in zip(planes, weights):
        lanes = to_lanes(plane if weight >= 0 else plane.translate(INVERT), 3)
        total += abs(weight) * lanes
    return total.to_bytes(3 * len(planes[0]), "little")[2::3]


def _edge_products(channels: Sequence[Sequence[bytes]]) -> list[list[float]]:
    """Return C = sum of d d^T over edges, d being the step of RGB from pixel to pixel.

    Edges are the pairs of pixels, two columns apart in every fourth row, that differ
    by more than four times the median pair: so noise does not count.
    """
    steps = [list(chain.from_iterable(map(sub, row, row[2:]) for row in rows[::4]))
             for rows in channels]
    sizes = [abs(r) + abs(g) + abs(b) for r, g, b in zip(*steps)]
    least = 4 * sorted(sizes)[len(sizes) // 2] if sizes else 0
    edges = [[step for step, size in zip(channel, sizes) if size > least]
             for channel in steps]
    return [[float(sum(map(mul, a, b))) for b in edges] for a in edges]


def _weights(channels: Sequence[Sequence[bytes]]) -> Sequence[int]:
    """Return the weights of red, green and blue, in 65536ths: luma's, if it shows ink.

    v^T C v is the energy of the edges in the mixture v of length 1.  Its largest value
    belongs to the first eigenvector of C, found by power iteration; luma's mixture will
    do if it has two fifths of that, as it has for blue or red ink on white.
    """
    products = _edge_products(channels)
    length = hypot(*_LUMA)
    vector = [weight / length for weight in _LUMA]
    energies = []
    for _ in range(30):
        image = [sum(map(mul, row, vector)) for row in products]
        energies.append(sum(map(mul, image, vector)))
        length = hypot(*image)
        if not length:
            return _LUMA
        vector = [value / length for value in image]
    if energies[0] >= 0.4 * energies[-1]:
        return _LUMA
    total = sum(map(abs, vector))
    return [round(65536 * value / total) for value in vector]


# --- Transparency ---------------------------------------------------------------------

_FADED = bytes(255 - (x + 127) // 255 for x in range(255 * 255 + 1))


def _on_white(row: bytes, alpha: bytes) -> bytes:
    """Return (g alpha + 255 (255 - alpha)) / 255, rounded, for each pixel g of a row.

    That is  255 - x / 255  with  x = alpha (255 - g), looked up in a table.

    >>> list(_on_white(b"\\0\\x64\\x64\\x09", b"\\xff\\0\\x80\\x40"))
    [0, 255, 177, 193]
    """
    if not alpha.strip(b"\xff"):
        return row
    return bytes(map(_FADED.__getitem__, map(mul, row.translate(INVERT), alpha)))


def _on_black(white: bytes, alpha: bytes) -> bytes:
    """Return a row seen on white as it is on black: less what shone through."""
    return bytes([max(0, grey + a - 255) for grey, a in zip(white, alpha)])


# --- Grey -----------------------------------------------------------------------------


def _shrunk(picture: Picture) -> list[list[bytes]]:
    """Return the rows of each channel, colours on white, shrunk to the reading size.

    A block of rows is taken at a time: the whole picture is never in memory.
    """
    factor = shrink_factor(picture.width, picture.height, READING_SIZE)
    channels: list[list[bytes]] = []
    for block in zip(*[iter(picture.rows)] * factor):
        rows = [(*(_on_white(plane, planes[-1]) for plane in planes[:-1]), planes[-1])
                if len(planes) in (2, 4) else planes for planes in block]
        channels = channels or [[] for _ in rows[0]]
        for channel, planes in zip(channels, zip(*rows)):
            channel.append(planes[0] if factor == 1 else _mean_row(planes, factor))
    return channels


def to_grey(picture: Picture) -> list[bytes]:
    """Return the picture in shades of grey, its longer side at most 1,600 pixels.

    Transparent pixels are seen on white paper, but where all ink is light on black.
    """
    channels = _shrunk(picture)
    alpha = channels.pop() if len(channels) in (2, 4) else []
    rows = channels[0]
    if len(channels) == 3:
        weights = _weights(channels)
        rows = [_mix(planes, weights) for planes in zip(*channels)]
    if alpha and min(map(min, rows)) > 127:
        rows = list(map(_on_black, rows, alpha))
    return rows
