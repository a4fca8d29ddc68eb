"""The figures of lessons 10 to 13, which show what came out of runs."""
import gzip
import itertools
import json
import math
import random
from pathlib import Path

import my_network
from drawing import (BLUE, INK, LINE, ORANGE, QUIET, YELLOW, Drawing, Plot, mix, short,
                     signed)
from tiny import tiny_digits

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"


# --- 10. Training


def rates():
    """The loss for three learning rates: lesson 10's run of ten epochs each."""
    draw = Drawing(740, 330, "The loss over ten epochs for three learning rates")
    plot = Plot(draw, (60, 50, 540, 220), (1, 10), (0, 2.8))
    plot.axes([(n, str(n)) for n in range(1, 11)],
              [(n / 2, short(n / 2)) for n in range(6)], "epoch", "mean loss")
    for rate, colour, words, down in ((0.005, QUIET, "0.005: too small", 1),
                                      (0.1, BLUE, "0.1", 0),
                                      (2, ORANGE, "2: too large", 0)):
        rng = random.Random(1)
        images, labels = tiny_digits(500, rng)
        tiny_digits(500, rng)           # the test images, so that rng draws as there
        network = [my_network.random_matrix(35, 16, 0.25, rng), [[0] * 16],
                   my_network.random_matrix(16, 10, 0.35, rng), [[0] * 10]]
        losses = [my_network.train_epoch(network, images, labels, rate, 10, rng)
                  for _ in range(10)]
        plot.curve(list(enumerate(losses, 1)), colour)
        for epoch, loss in enumerate(losses, 1):
            plot.dot(epoch, loss, colour, 4)
        plot.label(10.15, losses[-1] - 0.05 - 0.05 * down, words, anchor="start")
    draw.save("rates.svg")


# --- 11. Start values


def histogram(draw, x, y, values, colour):
    """Draw how often values from 0 to 3 occur, in 15 bars; beyond 3 in a last one."""
    counts = [0] * 16
    for value in values:
        counts[min(15, int(5 * value))] += 1
    for k, count in enumerate(counts):
        height = 64 * min(1, count / len(values) * 3)
        left = x + 8 * k + (4 if k == 15 else 0)
        if count:
            draw.box(left, y - height, 8, height, colour, "#ffffff", stroke_width=0.5)
    draw.path([(x, y), (x + 132, y)], QUIET)


def ten_layers(factors):
    """Yield (layer, factor, activations) of lesson 11's experiment, in its order."""
    he, rng = math.sqrt(2 / 100), random.Random(1)
    images = my_network.random_matrix(20, 100, 1, rng)
    activations = {factor: images for factor in factors}
    for layer in range(1, 11):
        for factor, A in activations.items():
            weights = my_network.random_matrix(100, 100, factor * he, rng)
            A = my_network.relu(my_network.matmul(A, weights))
            activations[factor] = A
            yield layer, factor, [a for row in A for a in row]


def spread():
    """The activations of ten layers for three start values: a real run."""
    draw = Drawing(740, 425, "Activations above 0, layer by layer, for three scales")
    columns = {1: 120, 2: 275, 4: 430, 10: 585}
    for layer, x in columns.items():
        draw.text(x + 66, 26, f"layer {layer}", 15, font_weight="bold")
        for value, text in ((0, "0"), (1, "1"), (2, "2"), (3, "3+")):
            draw.text(x + 40 * value, 382, text, 13, fill=QUIET)
        draw.text(x + 66, 406, "activation", 13, fill=QUIET)
    rows = {0.5: (130, ORANGE, ("half of", "He's")), 1: (245, QUIET, ("He's", "rule")),
            2: (360, BLUE, ("twice", "He's"))}
    for y, _, words in rows.values():
        draw.lines(60, y - 36, words, 15)
    for layer, factor, values in ten_layers(rows):
        if layer in columns:
            y, colour, _ = rows[factor]
            histogram(draw, columns[layer], y, [a for a in values if a > 0], colour)
            size = sum(a * a for a in values) / len(values)
            shown = f"{size:,.0f}" if factor > 1 else f"{size:.2g}"
            draw.text(columns[layer] + 66, y - 72, f"mean of a^2: {shown}", 13)
    draw.save("spread.svg")


# --- 12. Reading MNIST's bytes


def idx():
    """The header of an IDX file, and its first image."""
    draw = Drawing(740, 330, "The first bytes of the sample's images")
    with gzip.open(SAMPLE / "train-images-idx3-ubyte.gz") as file:
        data = file.read(16 + 784)
    groups = (("a byte each, 3 sizes", "#ffffff"), ("count 6000", mix(BLUE, 0.3)),
              ("height 28", mix(ORANGE, 0.4)), ("width 28", YELLOW))
    for k, byte in enumerate(data[:16]):
        x, y = 30 + 46 * (k % 8), 60 + 92 * (k // 8)
        draw.box(x, y, 44, 38, groups[k // 4][1], QUIET)
        draw.text(x + 22, y + 25, str(byte), 16)
        draw.text(x + 22, y - 6, str(k), 13, fill=QUIET)
    for group, (words, _) in enumerate(groups):
        draw.text(121 + 184 * (group % 2), 118 + 92 * (group // 2), words, 14)
    draw.text(30, 28, "header: bytes 0 to 15", 15, "start", font_weight="bold")
    draw.text(30, 262, "then 784 bytes for each image:", 15, "start")
    draw.text(30, 286, "28 rows of 28 pixels, from byte 16 on", 15, "start")
    draw.arrow(300, 274, 452, 200)
    cell, left, top = 9, 460, 44
    for k, byte in enumerate(data[16:]):
        if byte:
            draw.box(left + cell * (k % 28), top + cell * (k // 28), cell, cell,
                     mix(INK, byte / 255), "none")
    draw.box(left, top, 28 * cell, 28 * cell, "none", QUIET)
    draw.text(left + 14 * cell, 28, "the first image", 15, font_weight="bold")
    draw.save("idx.svg")


# --- 13. 97 %


def tile(draw, x, y, numbers, largest, cell=4):
    """Draw 28 x 28 weights in 7 colours, each colour as one path of its runs."""
    levels = [round(3 * max(-1, min(1, number / largest))) for number in numbers]
    paths = {}
    for row in range(28):
        column = 0
        for level, run in itertools.groupby(levels[28 * row:28 * row + 28]):
            length = len(list(run))
            place = f"M{x + cell * column} {y + cell * row}"
            paths.setdefault(level, []).append(
                f"{place}h{cell * length}v{cell}h-{cell * length}z")
            column += length
    for level in sorted(paths.keys() - {0}):
        draw.add("path", d="".join(paths[level]), fill=signed(level / 3),
                 shape_rendering="crispEdges")
    draw.box(x, y, 28 * cell, 28 * cell, "none", LINE)


def weights(path="network.json"):
    """The weights of twelve hidden units, from what my_network.py wrote."""
    W1, _, W2, _ = json.loads(Path(path).read_text())
    draw = Drawing(760, 420, "Weights of twelve hidden units after training")
    force = [sum(map(abs, row)) for row in W2]
    units = sorted(range(len(W2)), key=lambda unit: -force[unit])[:12]
    for place, unit in enumerate(units):
        x, y = 22 + 122 * (place % 6), 20 + 200 * (place // 6)
        numbers = [row[unit] for row in W1]
        tile(draw, x, y, numbers, 0.8 * max(map(abs, numbers)))
        for digit, weight in enumerate(W2[unit]):
            size = 26 * min(1, abs(weight) / 1.2)
            draw.box(x + 11.2 * digit + 1.5, y + 142 - max(0, size * (weight > 0)), 8.2,
                     size, BLUE if weight > 0 else ORANGE, "none")
            draw.text(x + 11.2 * digit + 5.6, y + 182, str(digit), 13, fill=QUIET)
        draw.path([(x, y + 142), (x + 112, y + 142)], LINE)
    draw.save("weights.svg")
