"""Connected components of ink, and which of them make one digit.

    find_pieces    rows of 0 (paper) and 1 (ink) -> connected components
    bridge_gaps    ... joined where a pen has left gaps
    group_pieces   ... joined to digits, left to right, and what is beside them

Two lengths give the scale of everything: the height of the line of digits, and the
width of a stroke.
"""
from __future__ import annotations

import re
from collections import Counter
from itertools import accumulate
from math import atan2, degrees, hypot
from typing import Iterable, Iterator, NamedTuple, Sequence

Run = tuple         # (row, first column, column after the last) of unbroken ink
Point = tuple       # (x, y), the corner of a pixel


# --- Outlines -------------------------------------------------------------------------


def _half_hull(points: Sequence[Point]) -> list[Point]:
    """Return one side of the hull of sorted points, without its last point."""
    side: list[Point] = []
    for x, y in points:
        while len(side) > 1:
            (x0, y0), (x1, y1) = side[-2:]
            if (x1 - x0) * (y - y0) > (y1 - y0) * (x - x0):
                break
            side.pop()
        side.append((x, y))
    return side[:-1]


def edges_of(hull: Sequence[Point]) -> Iterator[tuple[Point, Point]]:
    """Yield both ends of each edge of a polygon."""
    return zip(hull, [*hull[1:], hull[0]])


def area_of(hull: Sequence[Point]) -> float:
    """Return the area of a polygon (the shoelace formula).

    >>> area_of([(0, 0), (4, 0), (4, 2)])
    4.0
    """
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in edges_of(hull))) / 2


def straightness(hull: Sequence[Point], width: int, height: int) -> float:
    """Return the share of a hull's outline that its four longest sides have.

    Sides on the edge of the picture, which has this size, do not count.  Neighbouring
    edges whose directions differ by less than 10 degrees are one side: a rectangle has
    4, also in perspective, an ellipse 36, and the four longest of them are a third.
    """
    sides: list[list[float]] = []       # [direction of the first edge, length]
    for (x0, y0), (x1, y1) in edges_of(hull):
        if x0 == x1 in (0, width) or y0 == y1 in (0, height):
            continue
        direction = degrees(atan2(y1 - y0, x1 - x0))
        turned = abs(direction - sides[-1][0]) % 360 if sides else 180
        if min(turned, 360 - turned) > 10:
            sides.append([direction, 0.0])
        sides[-1][1] += hypot(x1 - x0, y1 - y0)
    lengths = sorted((length for _, length in sides), reverse=True)
    return sum(lengths[:4]) / sum(lengths) if lengths else 0.0


# --- Pieces ---------------------------------------------------------------------------


class Piece(NamedTuple):
    """A component: its runs of ink, row by row, and the box around them."""

    runs: list
    left: int
    top: int
    right: int          # the first column outside
    bottom: int         # the first row outside

    @classmethod
    def of(cls, runs: Iterable[Run]) -> Piece:
        """Return the piece of these runs."""
        runs = sorted(runs)
        rows, starts, ends = zip(*runs)
        return cls(runs, min(starts), rows[0], max(ends), rows[-1] + 1)

    @property
    def width(self) -> int:
        """Columns of the box."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Rows of the box."""
        return self.bottom - self.top

    @property
    def area(self) -> int:
        """Pixels of ink."""
        return sum(end - start for _, start, end in self.runs)

    @property
    def bits(self) -> list[bytes]:
        """The box, row by row: 1 for the ink of this piece, 0 for all else."""
        rows = draw_pieces([self], self.right, self.bottom)
        return [row[self.left:] for row in rows[self.top:]]

    def spans(self) -> dict[int, tuple[int, int]]:
        """Return the first column of ink and the one after the last, by row."""
        found: dict[int, tuple[int, int]] = {}
        for y, start, end in self.runs:
            first, last = found.get(y, (start, end))
            found[y] = min(first, start), max(last, end)
        return found

    def hull(self) -> list[Point]:
        """Return the corners of the convex hull of its pixels, squares of size 1.

        Andrew's monotone chain (1979) over the corners of each row's span.
        """
        points = sorted({(x, y + down) for y, ends in self.spans().items()
                         for x in ends for down in (0, 1)})
        return _half_hull(points) + _half_hull(points[::-1])

    def transposed(self) -> Piece:
        """Return the piece with rows and columns exchanged."""
        return Piece.of((x, self.top + match.start(), self.top + match.end())
                        for x, column in enumerate(zip(*self.bits), self.left)
                        for match in re.finditer(rb"\x01+", bytes(column)))

    def overlap(self, other: Piece) -> tuple[int, int]:
        """Return the columns and rows that two boxes share; below 0, they are apart."""
        return (min(self.right, other.right) - max(self.left, other.left),
                min(self.bottom, other.bottom) - max(self.top, other.top))

    def gap(self, other: Piece) -> int:
        """Return the pixels between two boxes, across or down, whichever are more."""
        return -min(self.overlap(other))


def merge(pieces: Iterable[Piece]) -> Piece:
    """Return one piece with the ink of all."""
    return Piece.of(run for piece in pieces for run in piece.runs)


def draw_pieces(pieces: Iterable[Piece], width: int, height: int) -> list[bytes]:
    """Return the rows of a picture with these pieces in it: 1 for ink, 0 for paper."""
    rows = [bytearray(width) for _ in range(height)]
    for y, start, end in (run for piece in pieces for run in piece.runs):
        rows[y][start:end] = b"\1" * (end - start)
    return list(map(bytes, rows))


def components_of(runs: Sequence[Run]) -> list[Piece]:
    """Return the 8-connected components of runs that come row by row, left to right.

    A run that touches one in the row above joins its set (Galler and Fischer 1964).
    """
    parents = list(range(len(runs)))    # the root of a set is its own parent

    def root(i: int) -> int:
        """Return the run that stands for the set of run i."""
        while parents[i] != i:
            parents[i] = i = parents[parents[i]]
        return i

    above = 0                           # the first run that may touch run i from above
    for i, (y, start, end) in enumerate(runs):
        while runs[above][0] < y - 1 or runs[above][0] < y and runs[above][2] < start:
            above += 1
        j = above
        while runs[j][0] < y and runs[j][1] <= end:
            parents[root(j)] = root(i)
            j += 1
    sets: dict[int, list] = {}
    for i, run in enumerate(runs):
        sets.setdefault(root(i), []).append(run)
    return list(map(Piece.of, sets.values()))


def find_pieces(masks: Sequence[bytes]) -> list[Piece]:
    """Return the 8-connected components of rows of 0 (paper) and 1 (ink).

    >>> pieces = find_pieces([bytes([1, 0, 0, 1]), bytes([0, 1, 0, 1])])
    >>> sorted(piece.runs for piece in pieces)
    [[(0, 0, 1), (1, 1, 2)], [(0, 3, 4), (1, 3, 4)]]
    """
    return components_of([(y, *match.span()) for y, row in enumerate(masks)
                        for match in re.finditer(rb"\x01+", row)])


# --- Strokes --------------------------------------------------------------------------


def stroke_width(bits: Sequence[bytes]) -> float:
    """Return area / length of the strokes in rows of 0 and 1.

    A straight stroke of length l and slope t enters l sin t rows and l cos t columns,
    and hypot of these numbers is l.  All rows together are one integer, a byte a pixel
    and a blank between rows: what has no ink on its left enters a row, what has none
    above it a column.
    """
    stride = len(bits[0]) + 1
    ink = int.from_bytes(b"\0".join(bits), "little")

    def count(number: int) -> int:
        """Return the number of its bytes that are 1."""
        return number.to_bytes(stride * len(bits), "little").count(1)

    rows, columns = (count(ink & ~(ink << 8 * step)) for step in (1, stride))
    return count(ink) / hypot(rows, columns)


def grow(bits: Sequence[bytes], radius: int) -> list[bytes]:
    """Dilate rows of 0 and 1 by `radius` pixels, or erode them by -radius.

    The result has |radius| more pixels on each side.  All rows are one integer; or
    (and) with the integer moved by a pixel to four sides adds (takes) one, and to eight
    sides in every second step makes an octagon of it.
    """
    pad = abs(radius)
    edge, stride = bytes(pad), len(bits[0]) + 2 * pad
    blank = bytes(stride * pad)
    joined = b"".join([blank, *(edge + row + edge for row in bits), blank])
    ink, ones = int.from_bytes(joined, "little"), b"\1" * len(joined)
    flip = int.from_bytes(ones, "little") if radius < 0 else 0
    ink ^= flip                             # eroding the ink is dilating the paper
    for step in range(pad):
        wide = ink | ink << 8 | ink >> 8
        tall = wide if step % 2 else ink
        ink = wide | tall << 8 * stride | tall >> 8 * stride
    ink = (ink & (1 << 8 * len(joined)) - 1) ^ flip     # nothing beyond the last row
    result = ink.to_bytes(len(joined), "little")
    return [result[i:i + stride] for i in range(0, len(result), stride)]


def ranked(counts: Counter, rank: float) -> int:
    """Return the value of this rank, 1 for the least, among counted ones; 0 beyond.

    >>> [ranked(Counter([7, 7, 9]), rank) for rank in (1, 2, 3, 4)]
    [7, 7, 9, 0]
    """
    values = sorted(counts)
    sums = accumulate(map(counts.__getitem__, values))
    return next((value for value, seen in zip(values, sums) if seen >= rank), 0)


def line_height(pieces: Iterable[Piece]) -> int:
    """Return the rows from the highest to the lowest ink, but for 2 % at each end.

    These 2 % are a dot or a dash above or below the line, which is not part of it.
    """
    ink: Counter = Counter()
    for y, start, end in (run for piece in pieces for run in piece.runs):
        ink[y] += end - start
    total = sum(ink.values())
    return ranked(ink, total - total // 50) - ranked(ink, total // 50 + 1) + 1


# --- Gaps -----------------------------------------------------------------------------

_THIN = 0.05                        # of the line's height: a stroke that may have gaps
_GAPS = 0.02, 0.04, 0.06, 0.08      # of it, the lengths of gaps that are tried


def _joined(pieces: Sequence[Piece], gap: int, width: int, height: int) -> list[Piece]:
    """Join pieces that touch when all are dilated by half a gap."""
    radius = (gap + 1) // 2
    owners: dict[int, list] = {}        # (start, end, number) of dilated runs, by row
    for number, piece in enumerate(find_pieces(grow(
            draw_pieces(pieces, width, height), radius))):
        for y, start, end in piece.runs:
            owners.setdefault(y - radius, []).append(
                (start - radius, end - radius, number))
    sets: dict[int, list] = {}
    for piece in pieces:
        y, x, _ = piece.runs[0]
        number = next(n for start, end, n in owners[y] if start <= x < end)
        sets.setdefault(number, []).append(piece)
    return list(map(merge, sets.values()))


def bridge_gaps(pieces: Sequence[Piece], width: int, height: int) -> list[Piece]:
    """Join the fragments of thin strokes in which a pen has left gaps.

    The shortest gap is bridged with which the fewest pieces stay that are lower than
    half the line.  Digits that nearly touch leave no such pieces, and thick strokes
    have no gaps.
    """
    line = line_height(pieces)
    if stroke_width(draw_pieces(pieces, width, height)) > _THIN * line:
        return list(pieces)

    def fragments(pieces: Sequence[Piece]) -> int:
        """Return the number of pieces that are too low for a digit."""
        return sum(2 * piece.height < line for piece in pieces)

    tried = [list(pieces)]
    if fragments(pieces):
        tried += [_joined(pieces, max(1, round(gap * line)), width, height)
                  for gap in _GAPS]
    return min(tried, key=fragments)


# --- Digits ---------------------------------------------------------------------------


def _is_underline(piece: Piece, pieces: Iterable[Piece], line: int) -> bool:
    """Tell if a piece is a flat line below the upper four fifths of all others."""
    return (piece.height < 0.15 * piece.width and piece.width > 0.7 * line
            and all(piece.top > (other.top + 4 * other.bottom) / 5
                    for other in pieces if other is not piece))


def _are_stacked(a: Piece, b: Piece, reach: float) -> bool:
    """Tell if two pieces lie one above the other, as the halves of a torn digit do."""
    across, down = a.overlap(b)
    # Neighbours in a slanted hand share some columns as well, but most of their rows.
    beside = down > 0.5 * min(a.height, b.height)
    return down > -reach and across >= (0.8 if beside else 0.1) * min(a.width, b.width)


def _is_stroke_of(digit: Piece, piece: Piece) -> bool:
    """Tell if a piece is a stroke of a digit that it does not touch: near and no speck.

    Beside the digit, only the bar of a 5 is one, at the top; others are dots or dashes.
    """
    return (8 * digit.gap(piece) < digit.height
            and 5 * (piece.width + piece.height) > digit.height
            and (digit.overlap(piece)[0] > 0
                 or piece.top + piece.bottom < 2 * digit.top + 0.6 * digit.height))


def group_pieces(pieces: Sequence[Piece]) -> tuple[list[Piece], list[Piece]]:
    """Return (a piece for each digit, left to right; the pieces that are left out).

    Pieces above each other are joined, but for a line below all.  Then what is half as
    high as the highest one is a digit, and the others are strokes of the nearest one,
    or left out: dots and dashes.
    """
    line = line_height(pieces)
    left_out = [p for p in pieces if len(pieces) > 1 and _is_underline(p, pieces, line)]
    digits: list[Piece] = []
    pieces = sorted((piece for piece in pieces if piece not in left_out),
                    key=lambda piece: piece.height, reverse=True)
    for piece in pieces:
        near = [d for d in digits if _are_stacked(d, piece, 0.25 * pieces[0].height)]
        digits = [d for d in digits if d not in near] + [merge([piece, *near])]
    highest = max(digit.height for digit in digits)
    strokes = [[digit] for digit in digits if 2 * digit.height >= highest]
    for piece in (digit for digit in digits if 2 * digit.height < highest):
        nearest = min(strokes, key=lambda stroke: stroke[0].gap(piece))
        (nearest if _is_stroke_of(nearest[0], piece) else left_out).append(piece)
    return (sorted(map(merge, strokes), key=lambda d: (d.left + d.right, d.top)),
            left_out)
