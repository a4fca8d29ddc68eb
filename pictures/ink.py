"""Adaptive thresholding: how much ink each pixel of a picture on paper has.

Paper is never evenly bright: a lamp stands on one side, a hand throws a shadow, a lens
darkens the corners.  So no one number can part ink from paper.  Instead

1. a sheet that lies on a dark table is cut out of its picture (`cut_out_sheet`);
2. the brightness of bare paper is estimated everywhere, the ink painted over, but for
   a drawing that has two shades only, where that is easy (`_two_shades`);
3. ink is what a pixel lacks of it, in 255ths: half the light is 127, sun or shade.

Pictures are lists of rows, a byte a pixel.
"""
from __future__ import annotations

from collections import Counter
from itertools import chain
from operator import sub
from statistics import median_high
from typing import Callable, Sequence

from pictures.grey import INVERT, shrink_to, to_lanes
from pictures.pieces import Piece, area_of, find_pieces, grow, ranked, straightness

_EVEN = 16      # by how much the shades of a drawing on even paper may differ
_DARKEST = 32   # paper in deeper shade is taken for so bright, or its grain were ink
_CUBES = [difference ** 3 for difference in range(-255, 256)]


def _quantile(counts: Counter, share: float) -> int:
    """Return the least value that is not below this share of the counted ones."""
    return ranked(counts, share * sum(counts.values()))


# --- A sheet on a table ---------------------------------------------------------------

_CELLS = 200    # along the longer side, up to twice that, in which a sheet is sought
_BLURRED = 2    # cells at a sheet's edge that are neither paper nor table


def _otsu(counts: Counter) -> int:
    """Return the level that parts values into the two most different classes.

    Dark values are those up to it; the variance between the classes, w0 w1 (m0 - m1)^2
    with weights w and means m, is largest.  With n and s, the number and the sum of the
    dark values, and N and S of all, it is  (s N - S n)^2 / (n (N - n))  but for N^2.
    Source: Otsu, "A threshold selection method from gray-level histograms", 1979.
    """
    total, whole = sum(counts.values()), sum(v * n for v, n in counts.items())
    best, level, seen, mass = -1.0, 0, 0, 0
    for value in sorted(counts)[:-1]:
        seen += counts[value]
        mass += value * counts[value]
        variance = (mass * total - whole * seen) ** 2 / (seen * (total - seen))
        if variance > best:
            best, level = variance, value
    return level


def _steps(sheet: Piece, grid: Sequence[bytes]) -> list[float]:
    """Return brightness outside / inside of a piece, at both ends of each row."""
    ratios = []
    for y, (start, end) in sheet.spans().items():
        row = grid[y]
        inner = range(start, end)[_BLURRED:-_BLURRED] or range(start, end)
        if start > _BLURRED:
            ratios.append(row[start - _BLURRED - 1] / max(1, row[inner[0]]))
        if end + _BLURRED < len(row):
            ratios.append(row[end + _BLURRED] / max(1, row[inner[-1]]))
    return ratios


def _is_sheet(piece: Piece, grid: Sequence[bytes]) -> bool:
    """Tell if a bright piece is a sheet of paper that lies on a table.

    Its outline is convex and straight; just beyond it all is darker by a quarter or
    more; and so is the edge of the picture, as it is not around a hole in a zero.
    """
    width, height = len(grid[0]), len(grid)
    spans, hull = piece.spans(), piece.hull()
    inside, area = sum(end - start for start, end in spans.values()), area_of(hull)
    if not (0.03 * width * height < area < 0.97 * width * height
            and area > 0.25 * (piece.width ** 2 + piece.height ** 2)    # no bar
            and inside > 0.92 * area and straightness(hull, width, height) > 0.8):
        return False
    light = 0.85 * median_high(chain.from_iterable(
        grid[y][start:end] for y, (start, end) in spans.items()))
    edge = [grid[y][x] for y in range(height) for x in (
        range(width) if y in (0, height - 1) else (0, width - 1))
        if not spans.get(y, (0, 0))[0] <= x < spans.get(y, (0, 0))[1]]
    steps = sorted(_steps(piece, grid) + _steps(
        piece.transposed(), list(map(bytes, zip(*grid)))))
    sides = [piece.left, piece.top, piece.right - width, piece.bottom - height]
    # A shadow may be as dark as a light table, but it does not end on several sides.
    dark = 0.75 if sides.count(0) < 3 else 0.55
    return (bool(steps) and sum(value > light for value in edge) < 0.3 * len(edge)
            and steps[len(steps) // 2] < dark and steps[9 * len(steps) // 10] < 0.9)


def _without_table(rows: Sequence[bytes], grid: Sequence[bytes], cell: int,
                   sheet: Piece) -> list[bytes]:
    """Return the box around a sheet, the table in it painted over.

    In each row of cells the paper beside it is continued.  Twice the blurred cells are
    cut off, but not where the sheet ends at the edge of the picture; [] where nothing
    stays.
    """
    spans, width, cut = sheet.spans(), len(grid[0]), 2 * _BLURRED
    top = sheet.top + cut * (sheet.top > 0)
    bottom = sheet.bottom - cut * (sheet.bottom < len(grid))
    inner = {}
    for y in range(top, bottom):
        near = [spans[n] for n in range(y - cut, y + cut + 1) if n in spans]
        start, end = max(a for a, _ in near), min(b for _, b in near)
        start, end = start + cut * (start > 0), end - cut * (end < width)
        if end - start > cut:
            inner[y] = start, end
    first = min((start for start, _ in inner.values()), default=0)
    last = max((end for _, end in inner.values()), default=0)
    result = []
    for y, (start, end) in inner.items():
        before, after = (sum(part) // cut for part in (
            grid[y][start:start + cut], grid[y][end - cut:end]))
        left, right = bytes([before]) * (start - first), bytes([after]) * (last - end)
        paper = slice(start * cell, end * cell)
        result += [left * cell + row[paper] + right * cell
                   for row in rows[y * cell:(y + 1) * cell]]
    return result


def cut_out_sheet(rows: Sequence[bytes]) -> list[bytes]:
    """Return the sheet of paper that lies on a dark table alone; [] where none does.

    It is the largest bright piece by Otsu's threshold, or by those of the bright class
    alone, as a table of wood has bright streaks.  An opening (Serra 1982) parts what
    only touches it.
    """
    grid, cell = shrink_to(rows, _CELLS)
    counts = Counter(chain.from_iterable(grid))
    for _ in range(3):
        level = _otsu(counts)
        bits = bytes(value > level for value in range(256))
        opened = grow(grow([row.translate(bits) for row in grid], -2), 2)
        pieces = find_pieces([row[4:-4] for row in opened[4:-4]])   # as before it grew
        if not pieces:
            break
        sheet = max(pieces, key=lambda piece: piece.area)
        if _is_sheet(sheet, grid):
            return _without_table(rows, grid, cell, sheet)
        counts = Counter({v: n for v, n in counts.items() if v > level})
    return []


# --- Paper ----------------------------------------------------------------------------

_GRID = 48      # cells along the longer side, up to twice that, of even brightness


def _is_light_on_dark(rows: Sequence[bytes]) -> bool:
    """Tell if the ink is lighter than the paper: contrasts cubed, and added up.

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
            paper = median_high(chain.from_iterable(
                row[x - side:x + side + 1] for row in grid[y - up:y + up + 1]))
            cubes = _CUBES[255 - paper:511 - paper]         # (value - paper) ** 3
            for row in rows[y * cell:(y + 1) * cell:step]:
                skew += sum(map(cubes.__getitem__, row[x * cell:(x + 1) * cell:step]))
    return skew > 0


def _two_shades(rows: Sequence[bytes]) -> list[int]:
    """Return [paper, ink] of a picture with two shades and little between them, or [].

    So it is with what is drawn on a screen.  Which of them is paper its border tells:
    that even a fat digit, cut out tightly, only touches, though it may fill more than
    half the picture.  The darker shade has less than two fifths of the light, which no
    shadow takes away.
    """
    counts = Counter(chain.from_iterable(rows))
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
    """Repeat the outermost values of rows `reach` times on each side."""
    rows = [[row[0]] * reach + [*row] + [row[-1]] * reach for row in rows]
    return [rows[0]] * reach + rows + [rows[-1]] * reach


def _spread(rows: Sequence[Sequence[int]], reach: int, extreme: Callable) -> list:
    """Replace each value by the extreme (max or min) of those within reach of it."""
    for _ in "xy":              # along the columns, then along the rows
        rows = [[extreme(row[max(0, i - reach):i + reach + 1]) for i in range(len(row))]
                for row in zip(*rows)]
    return rows


def _paper(grid: Sequence[bytes], reach: int) -> list[list[int]]:
    """Return the brightness of bare paper in each cell, the ink in it painted over.

    This is a closing: the brightest cell within reach, and of these the darkest within
    reach.  What is dark and narrower than twice the reach goes, as ink does; a shadow
    that fades or has a straight edge stays, thanks to the padding at the borders too.
    Source: Serra, "Image Analysis and Mathematical Morphology", 1982.
    """
    closed = _spread(_spread(_pad(grid, reach), reach, max), reach, min)
    return [row[reach:-reach] for row in closed[reach:-reach]]


def _noise(rows: Sequence[bytes]) -> float:
    """Return the standard deviation of the noise, from pairs of neighbouring pixels.

    In the median pair neither is ink, and both differ by 0.954 deviations: by sqrt 2
    (of the difference) times 0.674 (of a normal number's absolute value).
    """
    counts = Counter(map(abs, chain.from_iterable(
        map(sub, row, row[1:]) for row in rows[::4])))
    return _quantile(counts, 0.5) / 0.954


def _ink(rows: Sequence[bytes], paper: Sequence[Sequence[int]], cell: int
         ) -> list[bytes]:
    """Return 255 (paper - pixel) / paper of each pixel, paper being given by cells."""
    tables = {level: bytes(255 * max(0, level - value) // max(_DARKEST, level)
                           for value in range(256)) for level in set(chain(*paper))}
    ink = []
    for y, row in enumerate(rows):
        levels = paper[min(y // cell, len(paper) - 1)]
        ends = [*range(cell, cell * len(levels), cell), len(row)]
        ink.append(b"".join(row[start:end].translate(tables[level])
                            for start, end, level in zip([0, *ends], ends, levels)))
    return ink


def find_ink(rows: Sequence[bytes]) -> tuple[list[bytes], float]:
    """Return (ink, noise): 0 for paper to 255 for all of its light gone, deviation.

    Ink may be darker or lighter than the paper.
    """
    shades = _two_shades(rows)
    if shades[0] < shades[1] if shades else _is_light_on_dark(rows):
        rows = [row.translate(INVERT) for row in rows]
        shades = [255 - shade for shade in shades]
    grid, cell = shrink_to(rows, _GRID)
    paper = ([shades[:1] * len(grid[0])] * len(grid) if shades
             else _paper(grid, max(1, min(len(grid), len(grid[0])) // 4)))
    shade = _quantile(Counter(chain(*paper)), 0.1)
    return _ink(rows, paper, cell), _noise(rows) * 255 / max(_DARKEST, shade)


# --- Faint ink ------------------------------------------------------------------------


def _smooth(rows: Sequence[bytes]) -> list[bytes]:
    """Blur by the weights 1 2 1, along rows and columns: noise has 3/8 of its size.

    All rows are one integer with 16 bits a pixel, of which sums need 12: a pixel's
    neighbours are reached by shifts.  The outermost pixels stay as they are.
    """
    width, height = len(rows[0]), len(rows)
    total = to_lanes(b"".join(rows), 2)
    for step in (16, 16 * width):
        total = (total << step) + 2 * total + (total >> step)
    mask = int.from_bytes(b"\xff\0" * (width * height), "little")
    means = (total >> 4 & mask).to_bytes(2 * width * height, "little")[::2]
    inner = [row[:1] + means[y * width + 1:(y + 1) * width - 1] + row[1:][-1:]
             for y, row in enumerate(rows)]
    return [rows[0], *inner[1:-1], *rows[1:][-1:]]


def find_faint_ink(rows: Sequence[bytes]) -> tuple[list[bytes], float]:
    """Return (ink, noise) as `find_ink` does, of thin and faint strokes.

    Noise is blurred, and paper is what is bright within three cells.  The median pixel
    is paper: what it seems to lack is no ink, and what others lack more is noise, the
    paper's texture too.  Darker and lighter ink are tried; what stands out is taken.
    """
    rows, found = _smooth(rows), []
    for view in (rows, [row.translate(INVERT) for row in rows]):
        grid, cell = shrink_to(view, _GRID)
        ink = _ink(view, _paper(grid, 3), cell)
        counts = Counter(chain.from_iterable(ink))
        median, high, *darkest = (_quantile(counts, share)
                                  for share in (0.5, 0.84, 0.995, 0.9995))
        noise = max(1, high - median)       # a standard deviation above the median
        ink_only = bytes(max(0, value - median) for value in range(256))
        found.append((sum(dark - median for dark in darkest) / noise, noise, ink,
                      ink_only))
    _, noise, ink, ink_only = max(found)
    return [row.translate(ink_only) for row in ink], noise
