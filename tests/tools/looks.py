"""Draw digits as people draw them, give them other looks, count what is answered.

    python tests/tools/looks.py FOLDER [--count N]

Each look is a way in which pictures of handwriting come: a pen, a paper, a light, a
frame around the digit, a table under the sheet.  N digits of each (30) are drawn with a
simulated pen along the strokes of draw_set.py, written as PNG files in FOLDER and read
like any picture.  Those that are not read right are listed, and counted apart where
they are refused, or where the answer says "perhaps".
"""
import argparse
import math
import random
import sys
import zlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER.parents[1]), str(FOLDER)]

from draw_set import STYLES, dense, strokes
from fuzzing import png_header, png_of

from errors import DataError
from learning.models import Ensemble, find_model
from my_math import argmax
from pictures.digit import find_digits, read_picture
from show.text import perhaps

SIDE = 240          # pixels of a picture: a sheet of paper in it may be smaller

# A one with a flag, as much of Europe writes it: a long upstroke, then the stem.
UPSTROKES = [[[(0.02, 0.5), (0.38, 0), (0.36, 1)]],
             [[(0.05, 0.36), (0.33, 0), (0.33, 1)]],
             [[(0.0, 0.62), (0.2, 0.36), (0.36, 0.02), (0.34, 1)]],
             [[(0.08, 0.42), (0.4, 0), (0.3, 1)]],
             [[(0.0, 0.8), (0.38, 0), (0.38, 1)]],
             [[(0.05, 0.9), (0.4, 0), (0.36, 1)]]]


class Look(NamedTuple):
    """How a picture is made; colours are red, green and blue."""

    ink: tuple = (0, 0, 0)
    paper: tuple = (255, 255, 255)
    shadow: float = 0.0         # share of the light that is gone at the darkest side
    noise: float = 0            # of each channel, in grey levels
    pens: tuple = (5, 9, 14)    # widths in pixels, for a digit some 150 high
    scene: str = ""             # what else is in the picture
    styles: dict = STYLES


SIZES = {"table": 0.42, "table beside": 0.42, "light table": 0.42, "black table": 0.45,
         "frame": 0.48, "box": 0.48, "circle": 0.45, "touching": 0.5, "crop": 0.6,
         "dash": 0.55, "dot": 0.55}     # of the digit, as a share of the picture's side

LOOKS = {
    "as drawn": Look(),
    "blue on cream": Look((20, 40, 150), (250, 244, 220)),
    "red on grey": Look((190, 30, 40), (200, 200, 200), noise=4),
    "pencil": Look((110, 110, 112), (225, 225, 222), noise=6),
    "white on black": Look((240, 240, 240), (20, 25, 30), noise=2),
    "photographed, dim": Look((30, 30, 35), (120, 115, 110), 0.5, 6),
    "faintest pencil": Look((207, 207, 207), (226, 225, 221), 0.15, 3, (3, 4)),
    "faint, noisy": Look((185, 185, 186), (226, 225, 221), 0.3, 9, (4, 6)),
    "green on red": Look((60, 150, 60), (205, 85, 80), 0.15, 4),
    "red on green, as bright": Look((220, 70, 60), (70, 148, 60), 0.25, 5),
    "blue on brown": Look((60, 80, 190), (130, 70, 40), 0.2, 4),
    "yellow on white": Look((250, 235, 60), (252, 252, 250), 0.1, 3),
    "white on transparent": Look((255, 255, 255), scene="transparent"),
    "black on transparent": Look((0, 0, 0), scene="transparent"),
    "framed": Look(scene="frame"),
    "framed, photographed": Look((40, 45, 90), (215, 210, 200), 0.3, 6, scene="frame"),
    "framed by hand": Look((20, 40, 150), (250, 250, 240), 0.1, 4, scene="box"),
    "in a circle": Look(scene="circle"),
    "touching the frame": Look((40, 45, 90), (235, 230, 220), 0.2, 4, scene="touching"),
    "parts of a frame": Look((40, 45, 90), (235, 230, 220), 0.2, 4, scene="crop"),
    "sheet on a table": Look((40, 40, 60), (222, 220, 214), 0.25, 5, (4, 6, 9),
                             "table"),
    "sheet, table beside": Look((40, 40, 60), (222, 220, 214), 0.25, 5, (4, 6, 9),
                                "table beside"),
    "sheet on a light table": Look((40, 40, 60), (235, 234, 230), 0.15, 4, (4, 6, 9),
                                   "light table"),
    "clean sheet on black": Look(pens=(4, 6, 9), scene="black table"),
    "gaps, photographed": Look((70, 75, 110), (215, 210, 200), 0.3, 5, (2, 3, 4),
                               "gaps"),
    "upstroke, photographed": Look((45, 45, 60), (215, 210, 200), 0.4, 6,
                                   styles={1: UPSTROKES}),
    "a dot beside": Look(scene="dot"),
    "a dash beside": Look(scene="dash"),
}


# --- Pen ------------------------------------------------------------------------------


def draw(canvas, lines, width):
    """Add strokes to rows of ink (0..255), each line a list of points in pixels.

    A pixel at the distance d from the line has the ink  width / 2 + 1/2 - d.
    """
    reach, size = width / 2 + 0.5, (len(canvas[0]), len(canvas))
    for line in lines:
        for (x0, y0), (x1, y1) in zip(line, line[1:] or line):
            spans = [range(max(0, math.floor(min(a, b) - reach)),
                           min(most, math.ceil(max(a, b) + reach) + 1))
                     for a, b, most in zip((x0, y0), (x1, y1), size)]
            length = (x1 - x0) ** 2 + (y1 - y0) ** 2 or 1.0
            for y in spans[1]:
                row = canvas[y]
                for x in spans[0]:
                    along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length
                    along = max(0.0, min(1.0, along))
                    distance = math.hypot(x - x0 - along * (x1 - x0),
                                          y - y0 - along * (y1 - y0))
                    shade = min(255, round(255 * (reach - distance)))
                    if shade > row[x]:
                        row[x] = shade


def erase_gaps(canvas, lines, width, rng):
    """Take the ink away where the pen has left none: a dot every 15 to 40 pixels."""
    blank = [bytearray(SIDE) for _ in canvas]
    for line in lines:
        left, points = rng.uniform(10, 30), dense(dense(line))
        for start, end in zip(points, points[1:]):
            left -= math.dist(start, end)
            if left < 0:
                left = rng.uniform(15, 40)
                draw(blank, [[end]], width + rng.uniform(1.5, 3.5))
    for row, gaps in zip(canvas, blank):
        row[:] = bytes(max(0, ink - gap) for ink, gap in zip(row, gaps))


# --- Scenes ---------------------------------------------------------------------------


def turned(x, y, angle):
    """A point turned around (0, 0)."""
    return (x * math.cos(angle) - y * math.sin(angle),
            x * math.sin(angle) + y * math.cos(angle))


def corners(rng, left, top, right, bottom, turn=0.0, unsteady=0.0):
    """A closed line around a box, turned a little, its corners not quite there."""
    x, y = (left + right) / 2, (top + bottom) / 2
    points = []
    for corner in ((left, top), (right, top), (right, bottom), (left, bottom)):
        a, b = turned(*(at - middle + rng.gauss(0, unsteady)
                        for at, middle in zip(corner, (x, y))), turn)
        points.append((x + a, y + b))
    return [*points, points[0]]


def frame(rng, scene):
    """The lines around a digit of a scene, and the pen's width."""
    middle, reach = SIDE / 2, rng.uniform(0.36, 0.46) * SIDE
    aside = rng.choice([0.75, 0.85, 1.0]) * reach
    if scene == "circle":
        return [[(middle + reach * math.cos(a / 9), middle + reach * math.sin(a / 9))
                 for a in range(58)]], rng.choice([2, 4, 6])
    if scene == "crop":             # what a cut along the lines of a form leaves
        sides = rng.sample(range(4), rng.choice([1, 2, 3]))
        far = SIDE - rng.uniform(2, 5)
        near = rng.uniform(2, 5)
        lines = [[(near, 0), (near, SIDE)], [(far, 0), (far, SIDE)],
                 [(0, near), (SIDE, near)], [(0, far), (SIDE, far)]]
        return [lines[side] for side in sides], rng.choice([2, 3])
    by_hand = scene == "box"
    line = corners(rng, middle - aside, middle - reach, middle + aside, middle + reach,
                   rng.uniform(-0.06, 0.06), 4.0 * by_hand)
    if by_hand:                     # the end misses the beginning
        x, y = line[-1]
        line[-1] = x + rng.uniform(-8, 8), y + rng.uniform(-4, 12)
    return [line], rng.choice([2, 3, 6])


def mark(rng, scene, digit):
    """A dot or a dash beside the digit: a line, and the pen's width."""
    edge = max(x for line in digit for x, _ in line)
    low = max(y for line in digit for _, y in line)
    if scene == "dot":
        return [[(edge + rng.uniform(22, 30), low), (edge + 30, low)]], 10
    start = min(x for line in digit for x, _ in line) - rng.uniform(30, 36)
    return [[(start - 4, 120), (start + 14, 119)]], rng.choice([5, 8])


def table(rng, scene):
    """A function that tells the brightness of a table at a pixel, or None: a sheet."""
    half_x, half_y = rng.uniform(0.3, 0.44) * SIDE, rng.uniform(0.33, 0.45) * SIDE
    x, y = (SIDE / 2 + rng.uniform(-10, 10) for _ in "xy")
    turn, grain = rng.uniform(-0.25, 0.25), rng.uniform(0, math.pi)
    far = [scene == "table beside" and rng.random() < 0.5 for _ in range(3)]
    dark = rng.uniform(0.4, 0.6) if scene == "light table" else rng.uniform(0.1, 0.35)
    waves = [(rng.uniform(0.02, 0.3), rng.uniform(0, 6), rng.uniform(0.0, 0.12))
             for _ in range(4)]                 # of wood
    if scene == "black table":
        turn = dark = 0.0

    def brightness(column, row):
        across, down = turned(column - x, row - y, -turn)
        if ((across > -half_x or far[0]) and (across < half_x or far[1])
                and (down > -half_y or far[2]) and down < half_y):
            return None
        along = turned(column, row, -grain)[0]
        return 255 * dark * (1 + sum(a * math.sin(f * along + p) for f, p, a in waves))
    return brightness


def picture(name, digit, rng):
    """(RGB or RGBA rows, samples a pixel) of one digit in a look."""
    look = LOOKS[name]
    scene, width = look.scene, rng.choice(look.pens)
    size = SIZES.get(scene) or rng.uniform(0.5, 0.75)
    place = size, rng.uniform(-0.1, 0.15), 0.5 + rng.uniform(-0.03, 0.03), 0.5
    lines = [[(SIDE * x, SIDE * y) for x, y in line]
             for line in strokes(rng.choice(look.styles[digit]), place, rng)]
    canvas = [bytearray(SIDE) for _ in range(SIDE)]
    draw(canvas, lines, width)
    if scene == "gaps":
        erase_gaps(canvas, lines, width, rng)
    if scene == "touching":         # ... the line above it, or the one below
        top, low = (side(y for line in lines for _, y in line) for side in (min, max))
        draw(canvas, [corners(rng, 35, *rng.choice([(top - 1, 205, low + 40),
                                                    (top - 40, 205, low + 1)]))], 3)
    if scene in ("frame", "box", "circle", "crop"):
        draw(canvas, *frame(rng, scene))
    if scene in ("dot", "dash"):
        draw(canvas, *mark(rng, scene, lines))
    if scene == "transparent":
        return [bytes(v for grey in row for v in (*look.ink, grey))
                for row in canvas], 4
    ground = table(rng, scene) if "table" in scene else lambda x, y: None
    return list(shaded(canvas, look, rng, ground)), 3


def shaded(canvas, look, rng, ground):
    """Rows of RGB bytes: ink and paper mixed, or the ground, then light and noise."""
    turn = rng.random() * 2 * math.pi
    for y, row in enumerate(canvas):
        line = bytearray()
        for x, ink in enumerate(row):
            across, down = x / SIDE - 0.5, y / SIDE - 0.5
            light = 1 - look.shadow * (0.5 + turned(across, down, -turn)[0]
                                       + across * across + down * down)
            table = ground(x, y)
            for dark, bright in zip(look.ink, look.paper):
                value = bright + (dark - bright) * ink / 255 if table is None else table
                noise = look.noise * (rng.random() + rng.random() - 1) * 2
                line.append(max(0, min(255, round(value * light + noise))))
        yield bytes(line)


def write_png(path, rows, samples):
    """An RGB or RGBA picture of 8 bits, no filters."""
    header = png_header(len(rows[0]) // samples, len(rows), 8, {3: 2, 4: 6}[samples])
    lines = b"".join(b"\0" + line for line in rows)
    path.write_bytes(png_of([header, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]))


def answer(model, path):
    """(the digits read, whether one is doubtful, what is left out), or what is wrong.
    """
    try:
        digits, left_out = find_digits(read_picture(path), path)
    except DataError as error:
        return error.found, False, []
    rows = list(map(model.predict, digits))
    return ("".join(str(argmax(row)) for row in rows),
            any(perhaps(row) is not None for row in rows), left_out)


def pictures(name, count, folder):
    """Write `count` pictures of a look into a folder; yield (digit, path)."""
    rng = random.Random(name)
    digits = sorted(LOOKS[name].styles)
    for number in range(count):
        digit = digits[number * 7 % len(digits)]
        path = Path(folder) / f"{digit}-{name.replace(' ', '-')}-{number}.png"
        write_png(path, *picture(name, digit, rng))
        yield digit, path


def main():
    """Print a line for each look, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--count", type=int, default=30, metavar="N")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    model, total = Ensemble([find_model()[0]]), Counter()
    for name in LOOKS:
        counts = Counter()
        for digit, path in pictures(name, options.count, options.folder):
            found, doubtful, _ = answer(model, path)
            kind = ("right" if found == str(digit) else "refused"
                    if not found.isdigit() else "doubtful" if doubtful else "wrong")
            counts[kind] += 1
            if kind != "right":
                print(f"    {path.name}: {found}")
        total += counts
        print(f"{name:24}", dict(counts), flush=True)
    print("all", dict(total))


if __name__ == "__main__":
    main()
