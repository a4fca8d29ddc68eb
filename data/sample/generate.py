"""Draw the sample data set: 6,000 + 1,000 digits from a pen of our own.

    python data/sample/generate.py [--output DIR]

How a digit comes about:

1. one of its skeletons (SKELETONS below) is chosen: strokes of a few control points;
2. every control point is moved a little, the ends of a stroke more (`wobble`);
3. a Catmull-Rom spline makes a smooth line through the points (`smooth`);
4. the whole figure is bent, narrowed or widened, slanted and turned (`distort`);
5. it is scaled to fit MNIST's 20x20 box (`fit`), and a pen of uneven width is drawn
   along it: a pixel is the lighter the nearer it lies to the line (`render`);
6. the centre of mass is moved to the middle of the 28x28 image (`centre`).

The same files come out on every machine, byte for byte: the only source of chance is
`random.Random(seed).random()`, which Python promises never to change, and the only
arithmetic is + - * / and sqrt, which IEEE 754 rounds correctly everywhere. Not so sin,
exp and hypot, nor `sum` of floats (Python 3.12 made it more exact): none is used here.
Only the gzip wrapping may differ, with the version of zlib.
"""

import argparse
import gzip
import struct
from math import floor, sqrt
from pathlib import Path
from random import Random
from typing import Callable, List, Optional, Sequence, Tuple

Point = Tuple[float, float]
Dice = Callable[[], float]                      # Random(seed).random

SIZE, BOX = 28, 20              # the image, and the box in it that the ink fills
LEVELS = 16                     # grey levels: 0, 17, 34, ..., 255
STEPS = 6                       # straight pieces between two control points
SOFT_EDGE = 1.2                 # pixels from full ink to none
RADIUS, RADIUS_SPREAD = 1.3, 0.16               # half the pen's width, in pixels
WOBBLE = 4.5                    # shift of a control point, the digit's height being 100
BEND = 0.14                     # of each quadratic term, the height being 2
WIDTH, WIDTH_SPREAD = 0.95, 0.20                # horizontal scale
SLANT_SPREAD = 0.20             # of the tangent of the slant
TURN = 0.06                     # of the tangent of half the angle of rotation
SETS = {"train": (6000, 1), "t10k": (1000, 2)}  # name: (images, seed)

# digit: (mean slant, [(how often, strokes), ...]). x runs right and y down, 0 to 100.
# "|" begins a new stroke; "!" after a point makes a corner of it.
SKELETONS = {
    0: (0.25, [
        (4, "50,0 22,15 10,50 20,85 48,100 76,86 90,50 78,15 50,0"),
        (3, "60,4 25,10 10,48 22,88 50,100 78,88 90,50 76,14 48,4 40,20"),
        (3, "42,4 18,20 10,55 24,90 52,100 80,86 88,50 80,20 62,6 40,8"),
        (3, "25,15 50,0 80,14 90,50 78,86 50,100 20,84 10,50 22,15 50,5"),
        (2, "60,0! 25,25 10,60 20,92 45,98 75,70 85,25 60,0"),
        (2, "40,25 70,10 60,0 25,15 10,60 25,95 55,98 85,70 85,25 60,5 40,12"),
        (2, "50,18 10,32 5,62 45,82 90,70 98,42 70,20 45,20"),
    ]),
    1: (0.30, [
        (9, "50,0 50,50 50,100"),
        (5, "46,0 53,50 50,100"),
        (2, "30,25 52,0! 52,50 52,100"),
        (2, "28,25 52,0! 52,50 52,100 | 25,98 52,100 82,98"),
        (4, "50,0 47,80 60,98"),
    ]),
    2: (0.12, [
        (2, "12,25 25,6 50,0 75,10 80,32 60,62 10,98! 55,96 95,98"),
        (3, "15,20 38,0 68,6 76,30 58,62 30,92 12,96 8,84 24,76 52,88 95,96"),
        (2, "12,8 50,4 80,10! 45,55 12,96! 90,94"),
        (3, "20,18 45,0 70,12 66,42 40,80 15,98 3,88 15,72 45,80 75,92 100,84"),
        (4, "12,22 40,0 75,8 80,40 60,75 30,98 8,92 12,66 45,64 72,82 98,98"),
        (2, "20,25 40,8 58,12 55,40 30,75 5,98! 50,90 110,84"),
        (2, "25,25 45,0 65,15 62,50 45,85 20,98 15,85 40,85 62,98 78,90"),
        (2, "20,25 40,0 72,10 70,45 45,80 20,100 5,88 20,72 50,85 72,100 88,98"),
        (1, "5,20 40,5 75,15 70,40 30,70 0,95! 50,85 80,95 105,105"),
    ]),
    3: (0.05, [
        (3, "15,12 45,0 78,14 72,36 40,47! 78,56 88,76 62,98 30,98 8,84"),
        (2, "12,4 50,4 82,4! 42,40! 80,55 85,78 60,98 28,98 8,86"),
        (2, "15,14 48,0 76,16 66,38 42,46 50,52 82,62 84,84 52,100 10,90"),
        (3, "18,8 55,0 78,15 68,36 38,46! 74,52 86,72 66,92 35,98 0,92"),
        (2, "18,15 45,0 74,12 66,38 38,50 36,42 52,46 84,62 78,90 42,100 8,86"),
        (1, "20,10 60,0 85,10 65,30 40,42! 68,50 72,72 50,94 20,100 5,92 18,84"),
        (2, "20,14 45,0 68,12 60,30 38,38! 75,44 92,66 75,92 40,100 12,88"),
        (2, "25,8 50,0 66,14 60,38 45,50! 62,58 68,80 48,98 25,92"),
        (2, "22,6 60,2 78,8 62,35 45,44! 72,50 70,75 45,95 15,92"),
    ]),
    4: (0.20, [
        (4, "25,5 15,52! 50,52 85,50 | 78,0 75,50 72,100"),
        (3, "20,5 15,40 28,55 55,52 78,40 | 80,0 74,50 68,100"),
        (2, "62,100 62,50 62,0! 10,62! 92,62"),
        (3, "20,8 14,45 35,55 75,45 80,5! 72,50 66,100"),
        (2, "32,0 10,55! 50,56 88,58 | 62,28 60,60 55,100"),
        (2, "22,5 12,65! 50,66 95,64 | 72,5 70,50 70,100"),
    ]),
    5: (0.10, [
        (3, "25,5 20,45! 50,38 80,52 82,78 55,100 10,92 | 25,5 55,4 85,2"),
        (4, "85,2 30,4! 22,44! 52,36 82,54 78,85 45,100 8,90"),
        (3, "85,5 45,5 28,25 45,45 70,60 65,88 35,98 8,90"),
        (2, "95,0 50,8! 38,45! 62,50 66,76 40,96 5,94"),
        (2, "90,2 40,10 35,40 60,52 65,80 35,100 0,90"),
        (4, "40,10 30,48! 55,42 72,58 62,85 35,98 5,88 | 40,12 75,6 115,2"),
        (2, "15,8 12,42! 50,34 88,50 85,82 50,100 5,90 | 15,8 50,6 85,4"),
        (1, "70,2 30,6! 28,35! 55,45 62,75 50,98 30,98"),
    ]),
    6: (0.08, [
        (2, "70,0 35,30 15,68 28,96 60,98 80,78 65,58 38,62 20,80"),
        (3, "55,0 25,40 18,80 40,100 72,88 74,64 50,58 22,78"),
        (1, "80,5 45,10 15,50 20,90 55,100 85,80 70,55 40,55 18,72"),
        (2, "30,0 20,50 20,85 45,100 72,84 66,60 44,56 22,74"),
        (2, "25,5 8,45 12,82 42,98 80,88 95,60 75,42 48,52 35,75 42,92"),
        (2, "58,0 38,35 28,72 38,98 58,94 62,76 48,70 32,84"),
        (3, "50,0 15,35 8,75 30,98 65,96 92,78 85,55 55,55 30,75 28,92"),
        (3, "35,5 10,45 5,80 25,98 60,95 88,70 76,52 50,60 18,88"),
        (2, "60,0 30,45 15,85 25,100 50,90 72,65 60,55 35,75 18,95"),
    ]),
    7: (0.13, [
        (4, "8,10 50,8 88,5! 65,40 45,100"),
        (2, "10,25 12,6! 50,6 85,6! 55,50 45,100"),
        (3, "8,10 50,8 88,5! 65,40 45,100 | 30,55 58,52 90,50"),
        (3, "8,18 25,5 50,8 82,5! 60,45 50,100"),
        (4, "10,15 35,2 70,4 85,18 75,45 50,100"),
        (3, "5,8 50,8 85,8! 80,50 78,100"),
        (2, "10,45 18,10! 45,8 80,4! 74,50 60,100"),
        (3, "25,12 55,0 78,18 70,55 45,100"),
        (1, "12,12 50,10 80,4! 60,45 50,100 | 25,60 58,55 95,52"),
    ]),
    8: (0.12, [
        (3, "75,12 50,0 25,12 30,32 55,48 78,66 72,92 45,100 20,88 22,66 50,46 75,28"
            " 75,12"),
        (2, "85,10 55,2 28,10 30,32 52,48 76,66 72,92 45,100 20,88 24,66 50,46 88,5"),
        (1, "50,0 25,10 25,36 50,46 75,36 75,10 50,0 |"
            " 50,46 20,60 20,90 50,100 80,90 80,60 50,46"),
        (3, "80,15 50,0 20,15 35,40 60,60 62,88 45,100 30,88 45,60 78,32 80,12"),
        (3, "80,22 60,2 30,6 22,28 45,48 58,70 50,95 30,98 22,80 40,58 70,38 100,8"),
        (4, "50,50 25,30 35,5 62,2 72,22 55,45 30,70 28,95 55,100 70,80 55,55 35,40"),
        (2, "70,8 45,0 30,14 40,34 62,55 66,85 48,100 34,84 48,55 66,34 70,8"),
        (2, "75,5 40,5 30,25 55,45 60,80 40,100 25,85 45,55 80,25 72,5"),
        (2, "95,12 60,2 35,22 50,50 48,92 25,96 28,72 60,42 105,5"),
    ]),
    9: (0.13, [
        (4, "78,20 50,2 22,18 20,42 45,52 72,38 78,15! 72,60 66,100"),
        (1, "78,15 45,0 18,22 25,46 55,46 78,15! 80,60 65,95 30,100 15,88"),
        (4, "75,35 45,50 20,40 22,12 50,0 75,15 75,55 68,100"),
        (3, "70,8 35,5 18,28 40,46 70,35 76,12! 72,55 66,100"),
        (3, "80,12 50,2 22,28 38,46 68,30 82,8! 60,60 35,100"),
        (2, "85,25 60,2 25,8 8,35 30,55 65,48 88,15 80,60 70,100"),
        (2, "68,15 48,2 30,18 36,36 58,34 68,12! 66,55 55,100"),
        (2, "75,12 35,2 15,25 35,45 75,22 78,12! 74,55 72,100"),
        (2, "70,12 30,5 5,35 30,55 62,40 75,10! 80,55 92,98"),
        (2, "80,25 45,10 10,35 25,55 80,25! 55,65 38,100"),
    ]),
}


def normal(dice: Dice) -> float:
    """A nearly normal number, mean 0 and variance 1: six uniform ones added up."""
    return (dice() + dice() + dice() + dice() + dice() + dice() - 3.0) * 1.4142135623731


def shuffle(items: list, dice: Dice) -> None:
    """Fisher-Yates, in place: every order is equally likely."""
    for i in range(len(items) - 1, 0, -1):
        j = int(dice() * (i + 1))
        items[i], items[j] = items[j], items[i]


def choose(forms: Sequence[Tuple[int, str]], dice: Dice) -> str:
    """One of the forms (weight, text), as often as its weight says."""
    tickets = [text for weight, text in forms for _ in range(weight)]
    return tickets[int(dice() * len(tickets))]


def wobble(stroke: str, amount: float, dice: Dice) -> List[List[Point]]:
    """The control points of a stroke moved at random, and cut at its corners.

    Part of a point's shift passes on to the next one: a shaky hand, but no zigzag.
    """
    words = stroke.split()
    pieces: List[List[Point]] = [[]]
    dx = dy = 0.0
    for i, word in enumerate(words):
        x, y = map(int, word.rstrip("!").split(","))
        reach = amount * (1.6 if i in (0, len(words) - 1) else 1.0)
        dx, dy = dx / 2 + reach * normal(dice), dy / 2 + reach * normal(dice)
        pieces[-1].append((x + dx, y + dy))
        if word.endswith("!"):
            pieces.append(pieces[-1][-1:])
    return pieces


def smooth(points: Sequence[Point]) -> List[Point]:
    """The Catmull-Rom spline through the points, STEPS line pieces between two.

    p(t) = ((2 b) + (c - a) t + (2 a - 5 b + 4 c - d) t^2 + (3 b - a - 3 c + d) t^3) / 2
    runs from b to c; a and d are the points before and after.
    """
    padded = [points[0], *points, points[-1]]
    line = [points[0]]
    for four in zip(padded, padded[1:], padded[2:], padded[3:]):
        terms = [(2 * b, c - a, 2 * a - 5 * b + 4 * c - d, 3 * b - a - 3 * c + d)
                 for a, b, c, d in zip(*four)]
        for step in range(1, STEPS + 1):
            t = step / STEPS
            x, y = ((k + t * (l + t * (m + t * n))) / 2 for k, l, m, n in terms)
            line.append((x, y))
    return line


def distort(lines: List[List[Point]], slant: float, dice: Dice) -> List[List[Point]]:
    """Bend, widen, slant and turn the figure: one random map for all of its lines.

    u, v in [-1, 1] are measured from the middle. The bend is quadratic; the rotation by
    2 atan(t) has cosine (1 - t^2) / (1 + t^2) and sine 2 t / (1 + t^2).
    """
    bends = [BEND * normal(dice) for _ in range(6)]
    width = WIDTH * (1.0 + WIDTH_SPREAD * normal(dice))
    slant += SLANT_SPREAD * normal(dice)
    t = TURN * normal(dice)
    cosine, sine = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)

    def moved(point: Point) -> Point:
        """Return a point, 0 to 100, where the map sends it, about -1 to 1."""
        u, v = point[0] / 50.0 - 1.0, point[1] / 50.0 - 1.0
        x = u + bends[0] * u * u + bends[1] * u * v + bends[2] * v * v
        y = v + bends[3] * u * u + bends[4] * u * v + bends[5] * v * v
        x = width * x - slant * y
        return cosine * x - sine * y, sine * x + cosine * y

    return [[moved(point) for point in line] for line in lines]


def fit(lines: List[List[Point]], margin: float) -> List[List[Point]]:
    """Scale and move the figure: its longer side fills BOX but for the margins."""
    xs = [x for line in lines for x, _ in line]
    ys = [y for line in lines for _, y in line]
    width, height = max(xs) - min(xs), max(ys) - min(ys)
    scale = (BOX - 2.0 * margin) / max(width, height)
    left = (BOX - width * scale) / 2 - min(xs) * scale
    top = (BOX - height * scale) / 2 - min(ys) * scale
    return [[(x * scale + left, y * scale + top) for x, y in line] for line in lines]


def pen_widths(count: int, radius: float, dice: Dice) -> List[float]:
    """`count` radii along a stroke: they drift from one random value to another."""
    start, end = (radius * (1.0 + 0.10 * normal(dice)) for _ in range(2))
    return [start + (end - start) * i / count for i in range(count)]


def stamp(depth: List[List[float]], a: Point, b: Point, radius: float) -> None:
    """Draw the line piece from a to b: depth = max(depth, radius - distance to it)."""
    (ax, ay), (bx, by) = a, b
    dx, dy = bx - ax, by - ay
    square = dx * dx + dy * dy or 1.0
    reach = radius + SOFT_EDGE / 2
    columns = range(max(0, floor(min(ax, bx) - reach)),
                    min(BOX, floor(max(ax, bx) + reach) + 1))
    for row in range(max(0, floor(min(ay, by) - reach)),
                     min(BOX, floor(max(ay, by) + reach) + 1)):
        line, y = depth[row], row + 0.5 - ay
        for column in columns:
            x = column + 0.5 - ax
            t = (x * dx + y * dy) / square          # the nearest point is a + t (b - a)
            t = 0.0 if t < 0.0 else 1.0 if t > 1.0 else t
            p, q = x - t * dx, y - t * dy
            inside = radius - sqrt(p * p + q * q)
            if inside > line[column]:
                line[column] = inside


def render(lines: List[List[Point]], radius: float, dice: Dice) -> List[List[int]]:
    """The BOX x BOX grey values, 0 to 255 in LEVELS steps, of a pen along the lines."""
    depth = [[-SOFT_EDGE] * BOX for _ in range(BOX)]
    for line in lines:
        for a, b, r in zip(line, line[1:], pen_widths(len(line), radius, dice)):
            stamp(depth, a, b, r)
    top = LEVELS - 1
    return [[min(top, max(0, floor((0.5 + d / SOFT_EDGE) * top + 0.5))) * (255 // top)
             for d in row] for row in depth]


def centre(box: List[List[int]]) -> bytes:
    """The SIZE x SIZE image with the centre of mass of the box at pixel (14, 14)."""
    mass = sum(map(sum, box))
    x = sum(j * grey for row in box for j, grey in enumerate(row)) / mass
    y = sum(i * grey for i, row in enumerate(box) for grey in row) / mass
    left, top = (min(SIZE - BOX, max(0, floor(SIZE / 2 - at + 0.5))) for at in (x, y))
    image = bytearray(SIZE * SIZE)
    for i, row in enumerate(box):
        start = (top + i) * SIZE + left
        image[start:start + BOX] = bytes(row)
    return bytes(image)


def draw_form(text: str, slant: float, dice: Dice) -> List[List[int]]:
    """A skeleton drawn by one random hand: BOX x BOX grey values, not yet centred."""
    amount = WOBBLE * (0.5 + dice())
    pieces = [piece for stroke in text.split("|")
              for piece in wobble(stroke, amount, dice)]
    lines = distort([smooth(piece) for piece in pieces], slant, dice)
    thickness = 1.0 + RADIUS_SPREAD * normal(dice)
    radius = max(0.7, RADIUS * thickness * thickness)
    return render(fit(lines, radius + (SOFT_EDGE - 1.0) / 2), radius, dice)


def make_set(count: int, seed: int) -> Tuple[List[bytes], bytes]:
    """`count` images of SIZE * SIZE bytes each, and their labels, all equally often."""
    dice = Random(seed).random
    labels = [i % 10 for i in range(count)]
    shuffle(labels, dice)
    images = []
    for slant, forms in map(SKELETONS.__getitem__, labels):
        images.append(centre(draw_form(choose(forms, dice), slant, dice)))
    return images, bytes(labels)


def write_sets(folder: Path) -> None:
    """Draw both sets and write their four IDX files, as .gz, into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (count, seed) in SETS.items():
        images, labels = make_set(count, seed)
        heads = (struct.pack(">4B3I", 0, 0, 8, 3, count, SIZE, SIZE),
                 struct.pack(">4BI", 0, 0, 8, 1, count))
        for kind, head, data in zip(("images-idx3", "labels-idx1"), heads,
                                    (b"".join(images), labels)):
            # No time and no name in the header, so that the same bytes come out again.
            packed = gzip.compress(head + data, compresslevel=9, mtime=0)
            (folder / f"{name}-{kind}-ubyte.gz").write_bytes(packed)


def main(argv: Optional[List[str]] = None) -> int:
    """Write the files into the folder --output; 0, or exit code 2 if that fails."""
    parser = argparse.ArgumentParser(description="Draw the sample data set.")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent,
                        metavar="DIR", help="default: the folder of this file")
    folder = parser.parse_args(argv).output
    try:
        write_sets(folder)
    except OSError as error:
        parser.error("cannot write to %s: %s" % (folder, error.strerror))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
