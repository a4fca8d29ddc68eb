"""Digits of 5 x 7 pixels, with some pixels turned around."""

SHAPES = """
.###. ..#.. .###. .###. ...#. ##### .###. ##### .###. .###.
#...# .##.. #...# #...# ..##. #.... #.... ....# #...# #...#
#...# ..#.. ....# ....# .#.#. ####. #.... ...#. #...# #...#
#...# ..#.. ...#. ..##. #..#. ....# ####. ..#.. .###. .####
#...# ..#.. ..#.. ....# ##### ....# #...# ..#.. #...# ....#
#...# ..#.. .#... #...# ...#. #...# #...# ..#.. #...# ....#
.###. .###. ##### .###. ...#. .###. .###. ..#.. .###. .###.
"""


def tiny_digits(count, rng, chance=0.1):
    """Return count images, lists of 35 numbers, and their labels."""
    rows = [line.split() for line in SHAPES.strip().split("\n")]
    images, labels = [], []
    for _ in range(count):
        digit = int(10 * rng.random())
        ink = "".join(row[digit] for row in rows)
        images.append([int((pixel == "#") != (rng.random() < chance)) for pixel in ink])
        labels.append(digit)
    return images, labels
