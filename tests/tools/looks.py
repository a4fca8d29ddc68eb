"""Give drawings other looks, and count what is read right.

    python tests/tools/looks.py FOLDER [EACH]

FOLDER has PNG files whose names begin with the digit that they show, such as those of
tests/tools/draw_set.py.  Each (or each 7th, if EACH is 7) is put on other paper with another
pen, and photographed: grey paper, a shadow from one side, darker corners, noise.
"""
import math
import random
import struct
import sys
import tempfile
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from errors import DataError
from learning.models import Ensemble, find_model
from pictures.digit import find_digits, read_picture

# (ink, paper) in red, green and blue, how dark the shadow is, how strong the noise.
LOOKS = {
    "as drawn": ((0, 0, 0), (255, 255, 255), 0.0, 0),
    "blue on cream": ((20, 40, 150), (250, 244, 220), 0.0, 0),
    "red on grey": ((190, 30, 40), (200, 200, 200), 0.0, 4),
    "pencil": ((110, 110, 112), (225, 225, 222), 0.0, 6),
    "white on black": ((240, 240, 240), (20, 25, 30), 0.0, 2),
    "photographed": ((45, 45, 60), (215, 210, 200), 0.45, 8),
    "photographed, dim": ((30, 30, 35), (120, 115, 110), 0.5, 6),
}


def look(rows, name, rng):
    """The picture as rows of RGB bytes: ink and paper mixed, then light and noise."""
    ink, paper, shadow, noise = LOOKS[name]
    height, width, turn = len(rows), len(rows[0]), rng.random() * 2 * math.pi
    for y, row in enumerate(rows):
        line = bytearray()
        for x, grey in enumerate(row):
            across, down = x / width - 0.5, y / height - 0.5
            aside = 0.5 + across * math.cos(turn) + down * math.sin(turn)
            light = 1 - shadow * (aside + across * across + down * down)
            for dark, bright in zip(ink, paper):
                value = (dark + (bright - dark) * grey / 255) * light
                value += noise * (rng.random() + rng.random() - 1) * 2
                line.append(max(0, min(255, round(value))))
        yield bytes(line)


def write_png(path, rows, width):
    """An RGB picture of 8 bits, no filters."""
    def chunk(kind, content):
        """Length, kind, content, checksum."""
        return (struct.pack(">I", len(content)) + kind + content
                + struct.pack(">I", zlib.crc32(kind + content)))
    lines = list(rows)
    header = struct.pack(">2I5B", width, len(lines), 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(
        b"IDAT", zlib.compress(b"".join(b"\0" + line for line in lines)))
        + chunk(b"IEND", b""))


def answer(model, path):
    """The digits that are read in a picture; "" where it is refused."""
    try:
        digits = find_digits(read_picture(path), path)
    except DataError:
        return ""
    rows = map(model.predict, digits)
    return "".join(str(row.index(max(row))) for row in rows)


def main():
    """Print a line for each look, and one for all."""
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python tests/tools/looks.py FOLDER [EACH]")
    each = int(sys.argv[2]) if len(sys.argv) == 3 else 1
    drawings = sorted(Path(sys.argv[1]).glob("[0-9]*.png"))[::each]
    model, rng, right = Ensemble([find_model()[0]]), random.Random(1), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "look.png"
        for name in LOOKS:
            found = []
            for drawing in drawings:
                rows = read_picture(drawing)
                write_png(path, look(rows, name, rng), len(rows[0]))
                found.append(answer(model, path) == drawing.name[0])
            print(f"{name:20} {sum(found):4} of {len(found)} right")
            right += found
    print(f"{'all':20} {sum(right):4} of {len(right)} right: "
          f"{sum(right) / len(right):.1%}")


if __name__ == "__main__":
    main()
