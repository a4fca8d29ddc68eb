"""What is ink in a picture and what is paper, and which ink belongs together.

Paper is never evenly bright: a lamp stands on one side, a hand throws a shadow, a lens
darkens the corners.  So no one number can part ink from paper.  Instead

1. the brightness of bare paper is judged everywhere, the ink painted over (`_paper`),
   but for a drawing that has two shades only, where that is easy (`_two_shades`);
2. ink is what a pixel lacks of it, in 255ths: half the light is 127, sun or shade;
3. pixels of ink that touch are a piece (`find_pieces`), and pieces that lie as strokes
   of one digit do are a digit (`group_pieces`).

Pictures are lists of rows, a byte a pixel.
"""
from __future__ import annotations

import re
import struct
from collections import Counter
from itertools import accumulate, chain
from operator import sub
from typing import Iterable, NamedTuple, Sequence

_GRID = 48      # cells along the longer side of a picture in which paper is judged
_EVEN = 16      # by how much the shades of a drawing on even paper may differ
_DARKEST = 32   # paper in deeper shade is taken for so bright, or its grain were ink
_INVERT = bytes(range(255, -1, -1))
_CUBES = [difference ** 3 for difference in range(-255, 256)]


def shrink(rows: Sequence[bytes], factor: int) -> list[bytes]:
    """Every factor x factor pixels become one, their mean; what is left over is lost.

    A row's pixels have 32 bits each of a large integer: adding integers adds rows.

    >>> [list(row) for row in shrink([bytes([1, 3, 5]), bytes([1, 3, 5])], 2)]
    [[2]]
    """
    if factor == 1:
        return list(rows)
    width, area = len(rows[0]) // factor, factor * factor
    result = []
    for top in range(0, len(rows) - factor + 1, factor):
        total = 0
        for row in rows[top:top + factor]:
            for column in range(factor):
                lanes = bytearray(4 * width)
                lanes[::4] = row[column:column + factor * width:factor]
                total += int.from_bytes(lanes, "little")
        sums = struct.unpack(f"<{width}I", total.to_bytes(4 * width, "little"))
        result.append(bytes([(s + area // 2) // area for s in sums]))
    return result


def shrink_to(rows: Sequence[bytes], size: int) -> tuple[list[bytes], int]:
    """(rows shrunk, factor): the longer side gets `size` pixels, up to twice that.

    In a row of many digits it gets more: the shorter side has a sixth of `size`.
    """
    shorter, longer = sorted((len(rows), len(rows[0])))
    factor = max(1, min(longer, 6 * shorter) // size)
    return shrink(rows, factor), factor


def _middle(values: Iterable[int]) -> int:
    """The median, or the upper one of two."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


# --- Paper ----------------------------------------------------------------------------


def _is_light_on_dark(rows: Sequence[bytes]) -> bool:
    """Whether the ink is lighter than the paper: contrasts cubed, and added up.

    Each pixel is compared with the median of a window around it, half as large as the
    picture, in which paper is the majority; it ends at the same distance on both sides,
    so that a slope of brightness makes no difference.
    """
    grid, cell = shrink_to(rows, 16)
    height, width = len(grid), len(grid[0])
    skew, step = 0, max(1, cell // 8)       # one in 64 pixels is enough of a large cell
    for y in range(height):
        for x in range(width):
            up = min(height // 4, 8, y, height - 1 - y)
            side = min(width // 4, 8, x, width - 1 - x)
            paper = _middle(chain.from_iterable(
                row[x - side:x + side + 1] for row in grid[y - up:y + up + 1]))
            cubes = _CUBES[255 - paper:511 - paper]         # (value - paper) ** 3
            for row in rows[y * cell:(y + 1) * cell:step]:
                skew += sum(map(cubes.__getitem__, row[x * cell:(x + 1) * cell:step]))
    return skew > 0


def _two_shades(rows: Sequence[bytes]) -> list[int]:
    """[paper, ink] of a picture that has two shades and little between them; else [].

    So it is with what is drawn on a screen.  Which of them is paper its border tells:
    that even a fat digit, cut out tightly, only touches, though it may fill more than
    half the picture.  The darker shade has less than two fifths of the light, which no
    shadow takes away.
    """
    counts = Counter()
    for row in rows:
        counts.update(row)
    middle = (min(counts) + max(counts)) // 2
    dark, light = (max(side, key=counts.__getitem__, default=0) for side in (
        [v for v in counts if v <= middle], [v for v in counts if v > middle]))
    between = sum(seen for value, seen in counts.items()
                  if min(abs(value - dark), abs(value - light)) > _EVEN)
    if dark >= 0.4 * light or between > 0.1 * len(rows) * len(rows[0]):
        return []
    border = b"".join([rows[0], rows[-1], *(row[:1] + row[-1:] for row in rows)])
    darker = sum(value <= middle for value in border)
    return [dark, light] if 2 * darker > len(border) else [light, dark]


def _pad(rows: Sequence[Sequence[int]], reach: int) -> list[list[int]]:
    """The rows with their outermost values repeated `reach` times on each side."""
    rows = [[row[0]] * reach + [*row] + [row[-1]] * reach for row in rows]
    return [rows[0]] * reach + rows + [rows[-1]] * reach


def _spread(rows: Sequence[Sequence[int]], reach: int, extreme) -> list[list[int]]:
    """Each value becomes the extreme (max or min) of those within reach of it."""
    for _ in "xy":              # along the columns, then along the rows
        rows = [[extreme(row[max(0, i - reach):i + reach + 1]) for i in range(len(row))]
                for row in zip(*rows)]
    return rows


def _paper(grid: Sequence[bytes]) -> list[list[int]]:
    """The brightness of bare paper in each cell, the ink in it painted over.

    This is a closing: the brightest cell within reach, and of these the darkest within
    reach.  What is dark and narrower than twice the reach goes, as ink does; a shadow
    that fades or has a straight edge stays, thanks to the padding at the borders too.
    Source: Serra, "Image Analysis and Mathematical Morphology", 1982.
    """
    reach = max(1, min(len(grid), len(grid[0])) // 4)
    closed = _spread(_spread(_pad(grid, reach), reach, max), reach, min)
    return [row[reach:-reach] for row in closed[reach:-reach]]


def _grain(rows: Sequence[bytes]) -> float:
    """The standard deviation of the noise, judged by neighbouring pixels.

    In the median pair neither is ink, and both differ by 0.954 deviations.
    """
    counts = Counter(map(abs, chain.from_iterable(
        map(sub, row, row[1:]) for row in rows[::4])))
    differences = sorted(counts)
    sums = accumulate(map(counts.__getitem__, differences))
    half = sum(counts.values()) / 2
    return next((d for d, seen in zip(differences, sums) if seen >= half), 0) / 0.954


def find_ink(rows: Sequence[bytes]) -> tuple[list[bytes], float]:
    """(ink, noise): 255 (paper - pixel) / paper of each pixel, and its deviation.

    Ink may be darker or lighter than the paper; 0 is paper, 255 all of the light gone.
    """
    shades = _two_shades(rows)
    if shades[0] < shades[1] if shades else _is_light_on_dark(rows):
        rows = [row.translate(_INVERT) for row in rows]
        shades = [255 - shade for shade in shades]
    grid, cell = shrink_to(rows, _GRID)
    paper = [shades[:1] * len(grid[0])] * len(grid) if shades else _paper(grid)
    tables = {level: bytes(255 * max(0, level - value) // max(_DARKEST, level)
                           for value in range(256)) for level in set(chain(*paper))}
    ink = []
    for y, row in enumerate(rows):
        levels = paper[min(y // cell, len(paper) - 1)]
        ends = [*range(cell, cell * len(levels), cell), len(row)]
        ink.append(b"".join(row[start:end].translate(tables[level])
                            for start, end, level in zip([0, *ends], ends, levels)))
    shade = sorted(chain(*paper))[len(paper) * len(paper[0]) // 10]
    return ink, _grain(rows) * 255 / max(_DARKEST, shade)


# --- Pieces ---------------------------------------------------------------------------


class Piece(NamedTuple):
    """Ink that belongs together: its runs (row, start, end) and the box around them."""

    runs: list
    left: int
    top: int
    right: int          # the first column outside
    bottom: int         # the first row outside

    @classmethod
    def of(cls, runs: list) -> Piece:
        """The piece of these runs."""
        rows, starts, ends = zip(*runs)
        return cls(runs, min(starts), min(rows), max(ends), max(rows) + 1)

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
        rows = [bytearray(self.width) for _ in range(self.height)]
        for y, start, end in self.runs:
            places = slice(start - self.left, end - self.left)
            rows[y - self.top][places] = b"\1" * (end - start)
        return list(map(bytes, rows))

    def overlap(self, other: Piece) -> tuple[int, int]:
        """By how many columns and rows two boxes overlap; below 0, they are apart."""
        return (min(self.right, other.right) - max(self.left, other.left),
                min(self.bottom, other.bottom) - max(self.top, other.top))

    def gap(self, other: Piece) -> int:
        """Pixels between two boxes, across or down, whichever are more."""
        return -min(self.overlap(other))


def _merge(pieces: Iterable[Piece]) -> Piece:
    return Piece.of([run for piece in pieces for run in piece.runs])


def find_pieces(masks: Sequence[bytes]) -> list[Piece]:
    """What hangs together, diagonally too, in rows of 0 (paper) and 1 (ink).

    Runs of ink that touch one in the row above join its set (Galler and Fischer 1964).

    >>> pieces = find_pieces([bytes([1, 0, 0, 1]), bytes([0, 1, 0, 1])])
    >>> sorted(piece.runs for piece in pieces)
    [[(0, 0, 1), (1, 1, 2)], [(0, 3, 4), (1, 3, 4)]]
    """
    parents: list[int] = []         # of run i; the root of a set is its own parent
    runs: list[tuple[int, int, int]] = []

    def root(i: int) -> int:
        """The run that stands for the set of run i."""
        while parents[i] != i:
            parents[i] = i = parents[parents[i]]
        return i

    above, first = 0, 0             # the row above has the runs above..first - 1
    for y, row in enumerate(masks):
        runs.extend((y, *match.span()) for match in re.finditer(rb"\x01+", row))
        parents.extend(range(first, len(runs)))
        for i in range(first, len(runs)):
            _, start, end = runs[i]
            while above < first and runs[above][2] < start:
                above += 1
            j = above
            while j < first and runs[j][1] <= end:
                parents[root(j)] = root(i)
                j += 1
        above, first = first, len(runs)
    sets: dict[int, list] = {}
    for i, run in enumerate(runs):
        sets.setdefault(root(i), []).append(run)
    return list(map(Piece.of, sets.values()))


def _are_stacked(a: Piece, b: Piece, reach: float) -> bool:
    """Whether two pieces lie one above the other, as the halves of a torn digit do."""
    across, down = a.overlap(b)
    # Neighbours in a slanted hand share some columns as well, but most of their rows.
    beside = down > 0.5 * min(a.height, b.height)
    return down > -reach and across >= (0.8 if beside else 0.1) * min(a.width, b.width)


def group_pieces(pieces: Iterable[Piece]) -> list[Piece]:
    """A piece for each digit, left to right.

    Pieces above each other are joined.  Then what is half as high as the highest one is
    a digit, and the rest, such as the bar of a 5 drawn apart, goes to the nearest digit
    if it is near, or is a speck or a full stop and is left out.
    """
    digits: list[Piece] = []
    pieces = sorted(pieces, key=lambda piece: piece.height, reverse=True)
    for piece in pieces:
        near = [d for d in digits if _are_stacked(d, piece, 0.25 * pieces[0].height)]
        digits = [d for d in digits if d not in near] + [_merge([piece, *near])]
    highest = max(digit.height for digit in digits)
    rest = [digit for digit in digits if digit.height < 0.5 * highest]
    digits = [digit for digit in digits if digit.height >= 0.5 * highest]
    strokes = [[digit] for digit in digits]
    for piece in rest:
        nearest = min(strokes, key=lambda stroke: stroke[0].gap(piece))
        if (nearest[0].gap(piece) < 0.25 * highest
                and piece.width + piece.height > 0.2 * highest):
            nearest.append(piece)
    return sorted(map(_merge, strokes), key=lambda d: (d.left + d.right, d.top))
