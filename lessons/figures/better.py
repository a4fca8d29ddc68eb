"""The figures of lessons 19 to 27: higher accuracy, and what is inside."""
import math
import random
import re
import sys
from pathlib import Path

import my_network
from drawing import (BLUE, INK, LINE, ORANGE, PALE, QUIET, Drawing, Plot, mix, short)
from fast import LESSONS, SAMPLE, first_images, picture
from my_bending import affine_map, bend
from my_picture import cut_out, normalise
from my_shipped import shipped
from runs import tile

MODEL = Path(__file__).resolve().parents[2] / "data" / "model.npz"
DARK_ORANGE = "#8a5f00"                         # for text: orange is too pale to read


# --- 19. Bending images


def wave_map():
    """Return a map that pulls rows and columns to and fro, as rubber."""
    sources = []
    for i in range(28):
        for j in range(28):
            row = round(i + 1.6 * math.sin(j / 3.5))
            column = round(j + 1.6 * math.sin(i / 4 + 2))
            inside = 0 <= row < 28 and 0 <= column < 28
            sources.append(28 * row + column if inside else 784)
    return sources


def bending():
    """A digit of the sample in six shapes."""
    draw = Drawing(740, 170, "A digit moved, turned, stretched, slanted and bent")
    image = first_images(4)[3]
    for place, (name, sources) in enumerate((
            ("as it is", affine_map(0, 1, 0, 0, 0)),
            ("moved", affine_map(0, 1, 0, 2, -1)),
            ("turned", affine_map(0.2, 1, 0, 0, 0)),
            ("stretched", affine_map(0, 1.2, 0, 0, 0)),
            ("slanted", affine_map(0, 1, 0.25, 0, 0)), ("elastic", wave_map()))):
        picture(draw, 16 + 120 * place, 16, bend(image, sources))
        draw.text(72 + 120 * place, 150, name, 15)
    draw.save("bending.svg")


# --- 20. Learning rate schedules


def schedules():
    """Two walks towards 0, and four schedules."""
    draw = Drawing(740, 330, "A constant rate trembles on, a falling one comes to rest")
    plot = Plot(draw, (50, 50, 310, 210), (0, 100), (-2, 4))
    plot.axes([(n, str(n)) for n in range(0, 101, 20)],
              [(n, short(n)) for n in range(-2, 5)], "step", "w")
    for colour, rate in ((ORANGE, lambda n: 0.5),
                         (BLUE, lambda n: 0.5 * (1 - n / 100))):
        rng, w, points = random.Random(4), 4.0, [(0, 4.0)]
        for n in range(100):
            w -= rate(n) * (w + rng.gauss(0, 1))
            points.append((n + 1, w))
        plot.curve(points, colour, stroke_width=2)
    plot.label(30, 3.1, "constant rate 0.5", fill=DARK_ORANGE, anchor="start")
    plot.label(30, 2.5, "falling from 0.5 to 0", fill=BLUE, anchor="start")
    plot = Plot(draw, (430, 50, 280, 210), (0, 40), (0, 1.1))
    plot.axes([(n, str(n)) for n in range(0, 41, 10)],
              [(0, "0"), (0.5, "0.5"), (1, "1")],
              "epoch", "rate, as a part of the first")
    plans = ((INK, "constant", lambda s: 1), (BLUE, "linear", lambda s: 1 - s),
             (ORANGE, "cosine", lambda s: (1 + math.cos(math.pi * s)) / 2),
             (QUIET, "step", lambda s: 0.5 ** int(s * 5)))
    for place, (colour, name, plan) in enumerate(plans):
        plot.curve([(n / 4, plan(n / 160)) for n in range(160)], colour)
        plot.label(28, 0.9 - 0.1 * place, name, anchor="start",
                   fill=DARK_ORANGE if colour == ORANGE else colour)
    draw.save("schedules.svg")


# --- 21. Momentum, 22. Adam


def descent(rate, mu, steps):
    """Return the places of momentum from (10, 1) in the valley x^2 / 2 + 50 y^2."""
    x, y, vx, vy, places = 10.0, 1.0, 0.0, 0.0, [(10.0, 1.0)]
    for _ in range(steps):
        vx, vy = mu * vx + rate * x, mu * vy + rate * 100 * y
        x, y = x - vx, y - vy
        places.append((x, y))
    return places


def adam_walk(rate, steps):
    """Return the places of Adam from (10, 1) in the same valley."""
    w, means, squares, places = [10.0, 1.0], [0.0, 0.0], [0.0, 0.0], [(10.0, 1.0)]
    for t in range(1, steps + 1):
        for i, slope in enumerate((w[0], 100 * w[1])):
            means[i] = 0.9 * means[i] + 0.1 * slope
            squares[i] = 0.999 * squares[i] + 0.001 * slope * slope
            size = math.sqrt(squares[i] / (1 - 0.999 ** t)) + 1e-8
            w[i] -= rate * means[i] / (1 - 0.9 ** t) / size
        places.append((w[0], w[1]))
    return places


def contours(plot):
    """Draw lines of equal loss of the valley, blue where it is high."""
    for loss in (80, 50, 25, 10, 3, 0.5):
        a, b = math.sqrt(2 * loss), math.sqrt(loss / 50)
        points = [(a * math.cos(k * math.pi / 60), b * math.sin(k * math.pi / 60))
                  for k in range(121)]
        (x0, x1), (y0, y1) = plot.x_range, plot.y_range
        runs = [[]]
        for x, y in points:
            if x0 <= x <= x1 and y0 <= y <= y1:
                runs[-1].append((x, y))
            elif runs[-1]:
                runs.append([])
        for run in filter(None, runs):
            plot.curve(run, mix(BLUE, 0.35), stroke_width=1.2)
    plot.dot(0, 0, INK, 4)


def way(plot, places, colour):
    """Draw a walk with a dot at each step."""
    plot.curve(places, colour, stroke_width=1.8)
    for x, y in places:
        plot.dot(x, y, colour, 2.6, stroke_width=0)


def valley_plot(draw, top, title, colour):
    """Return a plot of the valley with its contours and a title."""
    plot = Plot(draw, (60, top, 640, 160), (-4.5, 11), (-1.15, 1.25))
    contours(plot)
    draw.text(60, top - 10, title, 15, "start", fill=colour)
    draw.box(60, top, 640, 160, "none", LINE)
    return plot


def valley():
    """Plain descent and momentum, 40 steps each at the same rate."""
    draw = Drawing(740, 420, "A valley: plain descent creeps, momentum rolls")
    for top, title, mu, colour in (
            (36, "plain descent, rate 0.018, 40 steps", 0, ORANGE),
            (242, "momentum 0.9, rate 0.018, 40 steps", 0.9, BLUE)):
        way(valley_plot(draw, top, title, DARK_ORANGE if colour == ORANGE else colour),
            descent(0.018, mu, 40), colour)
    draw.save("valley.svg")


def adam():
    """Adam in the same valley."""
    draw = Drawing(740, 214, "The same valley: Adam sets out diagonally")
    plot = valley_plot(draw, 36, "Adam, rate 0.5, 40 steps", BLUE)
    way(plot, adam_walk(0.5, 40), BLUE)
    draw.save("adam.svg")


# Validation accuracies of lesson 22's three searches, in per cent: for each rate those
# of seeds 1, 2 and 3, as the searches' grid.csv has them.
SEARCHES = {
    "plain descent": {0.1: (91.41, 90.21, 90.72), 0.2: (91.90, 90.57, 91.64),
                      0.3: (92.09, 91.18, 91.78), 0.4: (92.38, 91.25, 91.98),
                      0.5: (90.24, 90.97, 91.42)},
    "momentum 0.9": {0.005: (90.17, 90.44, 89.86), 0.01: (91.10, 90.48, 90.31),
                     0.02: (91.71, 90.50, 91.66), 0.04: (92.66, 91.34, 92.03),
                     0.08: (91.76, 91.59, 91.52)},
    "Adam": {0.0005: (90.54, 90.28, 90.20), 0.001: (91.01, 91.05, 91.12),
             0.002: (91.55, 91.01, 91.85), 0.004: (91.58, 90.88, 92.01),
             0.008: (91.93, 90.58, 91.30)}}


def optimizers():
    """The accuracies of three optimizers by learning rate."""
    draw = Drawing(740, 350, "Validation accuracy by learning rate")
    plot = Plot(draw, (60, 40, 640, 240), (math.log10(0.0003), 0), (89.5, 93))
    plot.axes([(math.log10(rate), f"{rate:g}") for rate in (0.001, 0.01, 0.1, 1)],
              [(share, str(share)) for share in range(90, 94)],
              "learning rate, each line ten times the one before",
              "correct of 10,000 validation images, in per cent")
    for (name, found), colour in zip(SEARCHES.items(), (ORANGE, BLUE, INK)):
        means = [(math.log10(rate), sum(shares) / 3) for rate, shares in found.items()]
        plot.curve(means, colour)
        for rate, shares in found.items():
            for share in shares:
                plot.dot(math.log10(rate), share, colour, 3.5, stroke_width=0)
        x, y = max(means, key=lambda point: point[1])
        plot.label(x, 92.75, name, size=15,
                   fill=DARK_ORANGE if colour == ORANGE else colour)
    draw.save("optimizers.svg")


# --- 23. Overfitting


def dropout():
    """L2 as arrows towards 0, dropout as units that are left out."""
    draw = Drawing(740, 270, "L2 shrinks weights, dropout leaves units out")
    draw.text(180, 30, "L2: every weight shrinks a little", 15, font_weight="bold")
    draw.path([(30, 140), (340, 140)], QUIET)
    for place, weight in enumerate((0.9, -0.5, 0.3, -0.8, 0.15, 0.6)):
        x, y = 44 + 50 * place, 140 - 90 * weight
        draw.box(x, min(140, y), 26, 90 * abs(weight), mix(
            BLUE if weight > 0 else ORANGE, 0.6), QUIET)
        less = 140 - 90 * weight * 0.7
        draw.path([(x - 4, less), (x + 30, less)], INK, stroke_width=2)
        if abs(weight) > 0.2:
            draw.arrow(x + 36, y, x + 36, less, INK, 1.2)
    draw.text(180, 250, "bars: before; lines: after (here by a third)", 14, fill=QUIET)
    draw.text(560, 30, "dropout: other units each time", 15, font_weight="bold")
    for column, out in ((430, {1, 3}), (600, {0, 4, 2})):
        for unit in range(6):
            for digit in range(3):
                if unit not in out:
                    ends = (column, 62 + 30 * unit), (column + 80, 92 + 45 * digit)
                    draw.path(ends, mix(BLUE, 0.4))
        for unit in range(6):
            gone = unit in out
            fill, line = ("#ffffff", LINE) if gone else (mix(BLUE, 0.6), INK)
            draw.circle(column, 62 + 30 * unit, 11, fill, line,
                        stroke_dasharray="4 3" if gone else "none")
        for digit in range(3):
            draw.circle(column + 80, 92 + 45 * digit, 11, PALE)
    draw.text(475, 250, "one image", 14, fill=QUIET)
    draw.text(645, 250, "the next", 14, fill=QUIET)
    draw.save("dropout.svg")


# --- 24. Seeing inside


def units():
    """Weights of 24 hidden units of the network that comes with the project."""
    W1, _, W2, _ = shipped(MODEL)
    draw = Drawing(760, 832, "Weights of 24 hidden units of the shipped network")
    force = [sum(map(abs, row)) for row in W2]
    strongest = sorted(range(len(W2)), key=lambda unit: -force[unit])[:24]
    for place, unit in enumerate(strongest):
        x, y = 22 + 122 * (place % 6), 24 + 206 * (place // 6)
        numbers = [row[unit] for row in W1]
        tile(draw, x, y, numbers, 0.8 * max(map(abs, numbers)))
        draw.text(x + 56, y - 5, f"unit {unit}", 13, fill=QUIET)
        for digit, weight in enumerate(W2[unit]):
            size = 24 * min(1, abs(weight) / max(map(abs, W2[unit])))
            draw.box(x + 11.2 * digit + 1.5, y + 140 - max(0, size * (weight > 0)), 8.2,
                     size, BLUE if weight > 0 else ORANGE, "none")
            draw.text(x + 11.2 * digit + 5.6, y + 179, str(digit), 13, fill=QUIET)
        draw.path([(x, y + 140), (x + 112, y + 140)], LINE)
    draw.save("units.svg")


COLOURS = ("#0072b2", "#b35900", "#00795a", "#b0397a", "#5b3fa8", "#7a6000", "#16181d",
           "#a8322a", "#3a6ea5", "#4d7d2a")


def scatter(draw, left, title, points, labels):
    """Draw points as their digits, each digit in a colour of its own."""
    xs, ys = zip(*points)
    draw.text(left + 175, 30, title, 15, font_weight="bold")
    draw.box(left, 44, 350, 350, "none", LINE)
    for x, y, label in zip(xs, ys, labels):
        draw.text(left + 10 + 330 * (x - min(xs)) / (max(xs) - min(xs)),
                  388 - 330 * (y - min(ys)) / (max(ys) - min(ys)), str(label), 13,
                  fill=COLOURS[label])


def maps():
    """PCA and t-SNE of what the hidden layer makes of 300 test images of the sample."""
    sys.path.append(str(MODEL.parents[1]))
    from my_math import Matrix              # the project's, for this figure alone
    from show.embedding import pca, tsne
    labels = my_network.read_labels(SAMPLE / "t10k-labels-idx1-ubyte.gz")[:300]
    _, A1, _ = my_network.forward(shipped(MODEL), first_images(300))
    start = pca(Matrix(A1), 2).scores
    draw = Drawing(760, 410, "Hidden activations of 300 images: PCA and t-SNE")
    scatter(draw, 20, "PCA", list(start), labels)
    scatter(draw, 390, "t-SNE", list(tsne(Matrix(A1), start, 20, 400)), labels)
    draw.save("maps.svg")


# --- 25. 99 %


def techniques():
    """The accuracies of lesson 25, each as a bar from 96.5 % on."""
    text = (LESSONS / "25-99-percent.md").read_text(encoding="utf-8")
    row = re.compile(r"^\| ([^|]*) \|(?: `.*?`)? \| (9\d\.\d\d) % \|", re.MULTILINE)
    found = row.findall(text)
    draw = Drawing(740, 50 + 34 * len(found), "Test accuracy by technique")
    left, point, bottom = 230, 150, 20 + 34 * len(found)        # pixels of a point
    for tenth in range(965, 996, 5):
        x = left + (tenth / 10 - 96.5) * point
        draw.path([(x, 10), (x, bottom)], LINE)
        draw.text(x, bottom + 22, f"{tenth / 10} %", 13, fill=QUIET)
    for number, (name, share) in enumerate(found):
        y, width = 16 + 34 * number, (float(share) - 96.5) * point
        draw.text(left - 10, y + 17, name.replace("`", ""), 14, "end")
        draw.box(left, y + 2, width, 20, mix(BLUE, 0.4 + 0.05 * number), "none")
        draw.text(left + width + 6, y + 17, share, 14, "start", stroke="#ffffff",
                  stroke_width=4, paint_order="stroke")
    draw.save("techniques.svg")


def answers(images):
    """Yield the probabilities that the shipped network gives to each image."""
    W1, b1, W2, b2 = shipped(MODEL)
    for image in images:
        z = b1[0]
        for x, row in zip(image, W1):
            if x:                                       # lesson 14
                z = [total + x * w for total, w in zip(z, row)]
        yield my_network.softmax(my_network.dense(my_network.relu([z]), W2, b2))[0]


def mistakes():
    """The first twelve test images of the sample that the network gets wrong."""
    draw = Drawing(740, 340, "Twelve images that the shipped network takes for others")
    images = first_images(300)
    labels = my_network.read_labels(SAMPLE / "t10k-labels-idx1-ubyte.gz")
    wrong = [case for case in zip(images, labels, answers(images))
             if case[2].index(max(case[2])) != case[1]]
    for place, (image, label, P) in enumerate(wrong[:12]):
        x, y = 16 + 120 * (place % 6), 16 + 164 * (place // 6)
        picture(draw, x, y, image)
        draw.text(x + 56, y + 130, f"{label} taken for {P.index(max(P))}", 14)
        draw.text(x + 56, y + 147, f"{max(P):.0%}", 13, fill=QUIET)
    draw.save("mistakes.svg")


# --- 26. Your own digit


SMALL = """
...................................
..####.............................
.##..##............................
.....##............................
....##.............................
..###..............................
....##.............................
.....##............................
.##..##............................
..####.............................
""" + 25 * (35 * "." + "\n")


def pixels(draw, x, y, rows, cell):
    """Draw a picture of any size in greys."""
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            if value:
                draw.box(x + cell * j, y + cell * i, cell, cell, mix(INK, value),
                         "none")
    draw.box(x, y, cell * len(rows[0]), cell * len(rows), "none", QUIET)


def normalised():
    """A small digit in a corner, cut out, scaled and centred."""
    draw = Drawing(740, 232, "A digit in a corner is cut out, scaled and centred")
    rows = [[float(sign == "#") for sign in line] for line in SMALL.split()]
    image = normalise(rows)
    lines = [image[i:i + 28] for i in range(0, 784, 28)]
    digit = cut_out(lines)
    pixels(draw, 24, 24, rows, 4)
    pixels(draw, 210, 24, cut_out(rows), 8)
    pixels(draw, 340, 24, digit, 6)
    pixels(draw, 530, 24, lines, 6)
    draw.path([(530, 108), (698, 108)], ORANGE)
    draw.path([(614, 24), (614, 192)], ORANGE)
    for start, end in ((170, 202), (274, 332), (480, 522)):
        draw.arrow(start, 84, end, 84, BLUE, 2)
    for x, words in ((94, "35 x 35 pixels"), (238, "cut out"),
                     (400, "20 pixels high"), (614, "centre of mass in the middle")):
        draw.text(x, 216, words, 14, fill=QUIET)
    draw.save("normalised.svg")


# --- 27. Fooling it


def fooling():
    """An image, the change of each pixel, and the sum."""
    draw = Drawing(740, 260, "A change of a tenth in each pixel fools the network")
    W1, b1, W2, b2 = network = shipped(MODEL)
    image, = first_images(1)
    label = my_network.read_labels(SAMPLE / "t10k-labels-idx1-ubyte.gz")[0]
    Z1, _, Z2 = my_network.forward(network, [image])
    dZ2 = my_network.loss_backward(my_network.softmax(Z2), [label])
    dZ1 = my_network.relu_backward(my_network.matmul(dZ2, my_network.transpose(W2)), Z1)
    slopes, = my_network.matmul(dZ1, my_network.transpose(W1))
    plan = [1 if slope > 0 else -1 for slope in slopes]
    changed = [min(1, max(0, x + 0.1 * sign)) for x, sign in zip(image, plan)]
    for x, numbers, words in ((30, image, "the image"),
                              (282, None, "0.1 up or down, enlarged"),
                              (534, changed, "the sum")):
        if numbers:
            pixels(draw, x, 20, [numbers[i:i + 28] for i in range(0, 784, 28)], 6)
            P = my_network.softmax(my_network.forward(network, [numbers])[2])[0]
            digit = P.index(max(P))
            words = f"{words}: {digit} with {P[digit]:.1%}"
        else:
            tile(draw, x, 20, plan, 3, 6)
        draw.text(x + 84, 220, words, 15)
    draw.text(240, 112, "+", 28)
    draw.text(492, 112, "=", 28)
    draw.save("fooling.svg")
