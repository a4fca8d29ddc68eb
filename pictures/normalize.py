"""The ink of one digit in MNIST's form.

MNIST's digits were fitted into 20 x 20 pixels without changing their aspect, and laid
into 28 x 28 with their centre of mass in the middle (LeCun, Cortes and Burges, "The
MNIST database").  A network has seen no others: a digit that is smaller, in a corner,
or drawn with a hair is none to it, so all of that is undone first.
"""
from __future__ import annotations

import struct
from functools import lru_cache
from itertools import accumulate
from operator import mul, sub
from typing import Sequence

from pictures.grey import to_lanes
from pictures.pieces import grow, stroke_width

SIZE, BOX = 28, 20          # MNIST's image, and the box in it that a digit fills

# --- MNIST's form ---------------------------------------------------------------------

_FULL = b"\0\xff".ljust(256, b"\0")
_FINE = 4 * BOX         # a digit's size while its stroke is measured and changed
_THINNEST, _THIN, _THICK = 1.7, 2.5, 4.5        # MNIST's strokes: 5 %, median, 97 %


def normalised(ink: Sequence[Sequence[int]]) -> bytes:
    """The ink of one digit, rows of 0 (paper) to 255, as 784 bytes in MNIST's form.

    It is cut out, its stroke made as wide as a pen's on MNIST's scale if it is much
    thinner or thicker, fitted into 20 x 20 pixels (each the mean of the area under it),
    raised to a peak of 255, and laid with its centre of mass on pixel (14, 14) of
    28 x 28.  No ink gives an empty image.

    >>> image = normalised([[0, 7]] * 8)            # a one, drawn small and faint
    >>> [list(image[28 * y + 12:28 * y + 17]) for y in (3, 4, 23, 24)]
    [[0, 0, 0, 0, 0], [0, 255, 255, 255, 0], [0, 255, 255, 255, 0], [0, 0, 0, 0, 0]]
    """
    rows = _crop(list(map(bytes, ink)))
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


@lru_cache(maxsize=256)
def _cuts(count: int, parts: int) -> list[tuple[int, int]]:
    """Return where each of equal parts of `count` numbers begins: before a number, or
    some `parts`-ths behind that."""
    return [divmod(part * count, parts) for part in range(parts)]


def _parts(values: Sequence[int], parts: int) -> list[int]:
    """Return the sums of a line of numbers cut into equal parts, in 1 / parts.

    A cut through a number divides it.  They are the differences of the sums up to each
    cut, here 0, 1.5 and 3 numbers from the start:

    >>> _parts([1, 2, 3], 2)            # (1 + 2 / 2, 2 / 2 + 3) times 2
    [4, 8]
    """
    before = [0, *accumulate(values)]
    sums = [before[whole] * parts + values[whole] * rest
            for whole, rest in _cuts(len(values), parts)]
    return list(map(sub, [*sums[1:], before[-1] * parts], sums))


def _fit(rows: Sequence[bytes], side: int) -> list[bytes]:
    """The rows scaled so that the longer side has `side` pixels, by exact area means.

    Down the columns first: a row has 32 bits a pixel in an integer, so that adding
    integers adds rows.  Then across, number by number.
    """
    height, width = len(rows), len(rows[0])
    longest, area = max(height, width), height * width
    tall, wide = (max(1, (2 * n * side + longest) // (2 * longest))
                  for n in (height, width))
    result = []
    for total in _parts([to_lanes(row, 4) for row in rows], tall):
        sums = struct.unpack(f"<{width}I", total.to_bytes(4 * width, "little"))
        result.append(bytes([(s + area // 2) // area for s in _parts(sums, wide)]))
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
    stroke = stroke_width(fine)
    width = BOX * stroke / _FINE
    if _THINNEST <= width <= _THICK:
        return rows
    aim = _THIN if width < _THINNEST else _THICK
    radius = round((aim * _FINE - BOX * stroke) / (2 * BOX - 2 * aim))
    return _crop([row.translate(_FULL) for row in grow(fine, radius)]) or rows


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
