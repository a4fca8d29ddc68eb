"""The figures of lessons 1 to 9: matrices, arrows and curves."""
import math

from drawing import (BLUE, INK, LINE, ORANGE, PALE, QUIET, YELLOW, Drawing, Plot, mix,
                     short, signed)

DOT = "\N{DOT OPERATOR}"                              # between factors of a product


# --- 1. A matrix product


def product():
    """One number of C: a row of A times a column of B."""
    draw = Drawing(720, 300, "C[1][0] is row 1 of A times column 0 of B")
    a, b, c = [[3, 1, 0], [2, 2, 4]], [[2, 3], [5, 4], [1, 2]], [[11, 13], [18, 22]]
    cell, left, top = 42, 60, 172                   # of A; B above C, C right of A
    right = left + 3 * cell + 40
    draw.matrix(left, top, a, cell, {(1, 0), (1, 1), (1, 2)})
    draw.matrix(right, top - 3 * cell - 20, b, cell, {(0, 0), (1, 0), (2, 0)})
    draw.matrix(right, top, c, cell, {(1, 0)})
    draw.text(left - 10, top + 68, "row 1", 14, "end", fill=QUIET)
    draw.text(right + 21, top - 3 * cell - 28, "column 0", 14, fill=QUIET)
    draw.text(left + 63, top + 112, "A  (2 x 3)", 16)
    draw.text(right + 98, top - 90, "B  (3 x 2)", 16, "start")
    draw.text(right + 42, top + 112, "C = A B  (2 x 2)", 16)
    draw.path([(left + 3 * cell, top + 63), (right, top + 63)], QUIET,
              stroke_dasharray="4 4")             # they meet in C
    draw.path([(right + 21, top - 20), (right + 21, top)], QUIET,
              stroke_dasharray="4 4")
    x, y = 430, 120
    for row, text in enumerate(("2 * 2  =  4", "2 * 5  =  10", "4 * 1  =  4")):
        draw.text(x, y + 30 * row, text, 18, "start")
    draw.path([(x - 4, y + 72), (x + 120, y + 72)])
    draw.text(x, y + 98, "sum  =  18  =  C[1][0]", 18, "start", font_weight="bold")
    draw.save("product.svg")


# --- 2. Broadcasting


def broadcasting():
    """A row that is added to each row."""
    draw = Drawing(720, 190, "A row of fees is added to each row of the costs")
    cell, top = 46, 30
    draw.matrix(40, top, [[11, 13], [18, 22]], cell)
    draw.text(165, top + 54, "+", 26)
    draw.matrix(200, top, [[10, 20]], cell, colour=lambda value: YELLOW)
    for j, text in enumerate(("10", "20")):         # the row once more, in thought
        draw.box(200 + j * cell, top + cell, cell, cell, "#ffffff", QUIET,
                 stroke_dasharray="4 4")
        draw.text(223 + j * cell, top + cell + 29, text, 15, fill=QUIET)
    draw.arrow(308, top + 20, 308, top + 78, QUIET)
    draw.text(345, top + 54, "=", 26)
    draw.matrix(380, top - 16, [["11+10", "13+20"], ["18+10", "22+20"]], 62, size=16)
    draw.text(530, top + 54, "=", 26)
    draw.matrix(565, top, [[21, 33], [28, 42]], cell)
    for x, text in ((86, "costs (2 x 2)"), (246, "fees (1 x 2)"), (611, "(2 x 2)")):
        draw.text(x, top + 118, text, 14, fill=QUIET)
    draw.save("broadcasting.svg")


# --- 3. One neuron


def faint(value):
    """Return the colour of a weight or product of 1, light enough to write on."""
    return signed(value, 1.8)


def neuron():
    """The weights of one neuron, on three pictures."""
    draw = Drawing(720, 412, "A neuron that seeks an upright stroke, on three pictures")
    weights = [[-1, 1, -1]] * 3
    cases = (("upright", [[0, 1, 0]] * 3), ("lying", [[0] * 3, [1] * 3, [0] * 3]),
             ("black", [[1] * 3] * 3))
    for x, text in ((96, "picture x"), (236, "weights w"), (376, "products x w")):
        draw.text(x, 28, text, 15, font_weight="bold")
    draw.text(560, 28, "sum of products + bias", 15, font_weight="bold")
    for number, (name, image) in enumerate(cases):
        top, cell = 46 + number * 112, 30
        products = [[x * w for x, w in zip(*rows)] for rows in zip(image, weights)]
        draw.matrix(51, top, image, cell, size=14,
                    colour=lambda value: mix(INK, 0.35 * value))
        draw.text(166, top + 52, "*", 24)
        draw.matrix(191, top, weights, cell, size=14, colour=faint)
        draw.text(306, top + 52, "=", 22)
        draw.matrix(331, top, products, cell, size=14, colour=faint)
        draw.arrow(432, top + 45, 466, top + 45)
        total = sum(map(sum, products))
        words = f"{short(total)} {short(-2)[0]} 2 = {short(total - 2)}"
        draw.text(478, top + 51, words, 18, "start")
        answer, colour = ("yes", BLUE) if total > 2 else ("no", ORANGE)
        draw.box(590, top + 27, 76, 36, mix(colour, 0.55), colour, rx=8)
        draw.text(628, top + 51, answer, 17)
    draw.text(236, 396, "times place by place: not the matrix product of lesson 1", 14,
              fill=QUIET)
    draw.save("neuron.svg")


def layer():
    """A layer as rectangles."""
    draw = Drawing(720, 240, "Z = X W + b in rectangles")
    draw.shape(60, 70, 180, 80, "X", "4 x 9")
    draw.text(60 + 90, 58, "a row for each picture", 14, fill=QUIET)
    draw.text(265, 123, DOT, 40)
    draw.shape(290, 20, 44, 180, "W", "9 x 2")
    draw.lines(345, 40, ["a column", "for each", "neuron"], 14, anchor="start",
               fill=QUIET)
    draw.text(440, 118, "+", 26)
    draw.shape(474, 100, 44, 20, "b", "1 x 2", YELLOW)
    draw.text(556, 118, "=", 26)
    draw.shape(596, 70, 44, 80, "Z", "4 x 2")
    draw.text(618, 58, "scores", 14, fill=QUIET)
    draw.save("layer.svg")


# --- 4. Why a hidden layer


CORNERS = (((0, 0), "no"), ((1, 0), "yes"), ((0, 1), "yes"), ((1, 1), "no"))


def corner(plot, x, y, answer):
    """Draw a point of XOR: blue and filled for yes, orange for no."""
    plot.dot(x, y, BLUE if answer == "yes" else ORANGE, 9)


def plane(draw, left, title, x_range, y_range, names):
    """Draw empty axes 0, 1, 2, ... below a title; return the plot."""
    plot = Plot(draw, (left, 70, 180, 180), x_range, y_range)
    draw.text(left + 90, 28, title[0], 15, font_weight="bold")
    draw.text(left + 90, 47, title[1], 14, fill=QUIET)
    ticks = [[(n, str(n)) for n in range(3) if n < high]
             for _, high in (x_range, y_range)]
    plot.axes(*ticks, names[0], "")
    draw.text(left - 26, 165, names[1], 14)
    return plot


def xor():
    """XOR before and after the hidden layer."""
    draw = Drawing(760, 310, "XOR: no line parts the points, until a layer moves them")
    square = (-0.5, 1.5)
    plot = plane(draw, 50, ("the input", "no line will do"), square, square, "xy")
    for line in ([(-0.5, 0.5), (1.5, 0.5)], [(-0.4, 1.5), (1.3, -0.5)],
                 [(0.35, -0.5), (0.6, 1.5)]):
        plot.curve(line, QUIET, stroke_dasharray="5 5", stroke_width=1.5)
    for point, answer in CORNERS:
        corner(plot, *point, answer)
    parted = "f \N{MINUS SIGN} 2g = 0.5 parts them"
    moved = plane(draw, 295, ("after the hidden layer", parted), (-0.5, 2.5),
                  (-0.75, 1.5), "fg")
    moved.curve([(-0.5, -0.5), (2.5, 1)], INK)
    for (x, y), answer in CORNERS:
        corner(moved, x + y, max(x + y - 1, 0), answer)
    moved.label(1, -0.34, "two points", size=14, fill=QUIET)
    seen = plane(draw, 540, ("seen from the input", "yes is a band"), square, square,
                 "xy")
    (left, top), (right, bottom) = seen.place(-0.5, 1.5), seen.place(1.5, -0.5)
    draw.path([seen.place(-0.5, 1), (left, top), seen.place(0, 1.5),
               seen.place(1.5, 0), (right, bottom), seen.place(1, -0.5)], "none",
              fill=mix(BLUE, 0.25))
    for line in ([(-0.5, 1), (1, -0.5)], [(0, 1.5), (1.5, 0)]):
        seen.curve(line, INK)
    for point, answer in CORNERS:
        corner(seen, *point, answer)
    draw.save("xor.svg")


def relu():
    """The curve of ReLU."""
    draw = Drawing(420, 250, "relu(z) = max(z, 0)")
    plot = Plot(draw, (60, 45, 320, 150), (-3, 3), (-0.4, 3))
    plot.axes([(n, short(n)) for n in range(-3, 4)], [(n, str(n)) for n in range(4)],
              "z", "relu(z)")
    plot.curve([(-3, 0), (0, 0), (3, 3)], BLUE, stroke_width=3)
    plot.label(-1.5, 0.25, "silent", size=14, fill=QUIET)
    plot.label(1.35, 2.1, "passes", size=14, fill=QUIET, anchor="end")
    draw.save("relu.svg")


# --- 5. The forward pass


def forward():
    """The whole network as rectangles."""
    draw = Drawing(780, 230, "The forward pass of 784-32-10, for a batch of m images")
    draw.shape(20, 80, 140, 44, "X", "m x 784")
    draw.text(170, 115, DOT, 40)
    draw.shape(180, 30, 46, 144, "W1", "784 x 32")
    draw.shape(262, 93, 46, 20, "b1", "1 x 32", YELLOW)
    draw.shape(346, 80, 46, 44, "Z1", "m x 32")
    draw.arrow(398, 102, 450, 102)
    draw.text(421, 92, "relu", 15)
    draw.shape(456, 80, 46, 44, "A1", "m x 32", mix(BLUE, 0.25))
    draw.text(518, 115, DOT, 40)
    draw.shape(534, 79, 40, 46, "W2", "32 x 10")
    draw.shape(622, 93, 40, 20, "b2", "1 x 10", YELLOW)
    draw.shape(710, 80, 40, 44, "Z2", "m x 10")
    for x, sign in ((244, "+"), (327, "="), (598, "+"), (686, "=")):
        draw.text(x, 110, sign, 22)
    for x, width, name in ((20, 372, "layer 1"), (456, 294, "layer 2")):
        draw.path([(x, 206), (x, 212), (x + width, 212), (x + width, 206)], QUIET)
        draw.box(x + width / 2 - 34, 202, 68, 20, stroke="none")
        draw.text(x + width / 2, 217, name, 14, fill=QUIET)
    draw.save("forward.svg")


# --- 6. Softmax and the loss


def softmax():
    """Logits, probabilities, and what they cost."""
    draw = Drawing(760, 300, "Logits, probabilities by softmax, and the loss")
    logits = (2.0, 1.0, -1.5)
    powers = [math.exp(z) for z in logits]
    columns = [(logits, 40, 150, 36, ("logits z", "any numbers")),
               ([power / sum(powers) for power in powers], 240, 230, 150,
                ("probabilities p", "together 1"))]
    for values, left, foot, scale, (name, note) in columns:
        draw.text(left + 75, 30, name, 15, font_weight="bold")
        draw.text(left + 75, 50, note, 14, fill=QUIET)
        for k, value in enumerate(values):
            size, colour = scale * abs(value), BLUE if value > 0 else ORANGE
            draw.box(left + 50 * k + 6, foot - size * (value > 0), 38, size,
                     mix(colour, 0.55), colour)
            text = foot - 8 - size if value > 0 else foot + 17 + size
            draw.text(left + 50 * k + 25, text, short(round(value, 3)), 14)
            draw.text(left + 50 * k + 25, 250, str(k), 14, fill=QUIET)
        draw.path([(left, foot), (left + 150, foot)])
        draw.text(left + 75, 272, "class", 14, fill=QUIET)
    draw.arrow(200, 155, 228, 155)
    plot = Plot(draw, (490, 70, 240, 160), (0, 1), (0, 5))
    plot.axes([(p, short(p)) for p in (0, 0.25, 0.5, 0.75, 1)],
              [(n, str(n)) for n in range(6)], "probability of the label", "")
    draw.text(610, 30, "loss = -log p", 15, font_weight="bold")
    plot.curve([(p / 400, -math.log(p / 400)) for p in range(3, 401)], ORANGE)
    for p, words in ((columns[1][0][1], "label 1: 1.335"),
                     (0.1, "knows nothing: 2.303")):
        plot.dot(p, -math.log(p), INK, 5)
        plot.label(p + 0.04, -math.log(p) + 0.15, words, size=14, anchor="start")
    draw.save("softmax.svg")


# --- 7. The chain rule


def node(draw, x, y, name):
    """Draw a number as a circle with its name."""
    draw.circle(x, y, 24, PALE)
    draw.text(x, y + 6, name, 17, font_weight="bold")


def slope_arrow(draw, start, end, slope, above=True):
    """Draw an arrow between two nodes with the slope along it."""
    (x, y), (to_x, to_y) = start, end
    length = math.hypot(to_x - x, to_y - y)
    step_x, step_y = 27 * (to_x - x) / length, 27 * (to_y - y) / length
    draw.arrow(x + step_x, y + step_y, to_x - step_x, to_y - step_y, BLUE, 2.2)
    draw.text((x + to_x) / 2, (y + to_y) / 2 + (-14 if above else 26), slope, 16)


def chain():
    """Slopes along a chain, and along two ways."""
    draw = Drawing(740, 250, "Slopes multiply along a way, and ways add up")
    places = [(60, 110), (170, 110), (280, 110)]
    for place, name in zip(places, "xzL"):
        node(draw, *place, name)
    slope_arrow(draw, places[0], places[1], "3")
    slope_arrow(draw, places[1], places[2], "5")
    draw.text(170, 210, "dx = 3 * 5 = 15", 17)
    draw.path([(345, 30), (345, 220)], LINE)
    x, z0, z1, end = (410, 110), (545, 55), (545, 165), (680, 110)
    for place, name in ((x, "x"), (z0, "z0"), (z1, "z1"), (end, "L")):
        node(draw, *place, name)
    slope_arrow(draw, x, z0, "3")
    slope_arrow(draw, z0, end, "5")
    slope_arrow(draw, x, z1, "2", above=False)
    slope_arrow(draw, z1, end, "7", above=False)
    draw.text(545, 228, "dx = 3 * 5 + 2 * 7 = 29", 17)
    draw.save("chain.svg")


def weight():
    """One weight of a layer, and the numbers that depend on it."""
    draw = Drawing(740, 300, "The weight w10 touches only column 0 of Z")
    draw.matrix(40, 110, [["1", "2"], ["3", "5"]], 56, {(0, 1), (1, 1)}, size=18)
    draw.matrix(200, 110, [["w00", "w01"], ["w10", "w11"]], 56, {(1, 0)}, size=18)
    draw.text(332, 174, "=", 24)
    draw.matrix(380, 110, [["z00", "z01"], ["z10", "z11"]], 56, {(0, 0), (1, 0)},
                size=18)
    for x, name in ((96, "X"), (256, "W"), (436, "Z"), (660, "L")):
        draw.text(x, 96 if name != "L" else 140, name, 17, font_weight="bold")
    draw.circle(660, 166, 15, PALE)
    for left, down, right, up, factor in ((228, 246, 352, 138, 2),
                                          (214, 272, 364, 194, 5)):
        draw.path([(left, 224), (left, down), (right, down), (right, up)], BLUE,
                  stroke_width=2)
        draw.arrow(right, up, 380, up, BLUE, 2)
        draw.text(290, down - 6, f"times {factor}", 15)
    draw.arrow(494, 138, 640, 160, BLUE, 2)
    draw.arrow(494, 194, 640, 172, BLUE, 2)
    draw.text(565, 132, "dz00 = 1", 15)
    draw.text(565, 206, "dz10 = 3", 15)
    draw.text(370, 48, "dw10  =  2 * dz00 + 5 * dz10  =  2 * 1 + 5 * 3  =  17", 18)
    draw.text(96, 250, "column 1 of X", 14, fill=QUIET)
    draw.save("weight.svg")


# --- 8. Backpropagation


def backward():
    """The way forward, and the way back."""
    draw = Drawing(760, 300, "Forward from X to the loss, and back again")
    names = ("X", "Z1", "A1", "Z2", "P", "L")
    steps = ("W1, b1", "relu", "W2, b2", "softmax", "-log p")
    back = ("", "dZ1", "dA1", "dZ2", "", "")
    for k, name in enumerate(names):
        x = 60 + 128 * k
        draw.box(x - 26, 50, 52, 44, PALE, rx=6)
        draw.text(x, 79, name, 18, font_weight="bold")
        if k < 5:
            draw.arrow(x + 30, 72, x + 96, 72, BLUE, 2.2)
            draw.text(x + 64, 42, steps[k], 14)
        if back[k]:
            draw.box(x - 26, 146, 52, 44, mix(ORANGE, 0.3), ORANGE, rx=6)
            draw.text(x, 175, back[k], 18, font_weight="bold")
    for start, end, text in ((700, 474, "(P - Y) / m"), (414, 346, "W2^T"),
                             (286, 218, "Z1 > 0")):
        draw.arrow(start, 168, end, 168, ORANGE, 2.2)
        draw.text((start + end) / 2 + 6, 158, text, 14)
    draw.path([(700, 98), (700, 168)], ORANGE, stroke_width=2.2)
    for x, texts in ((188, ("dW1 = X^T dZ1", "db1 = sum of rows")),
                     (444, ("dW2 = A1^T dZ2", "db2 = sum of rows"))):
        draw.arrow(x, 194, x, 226, ORANGE, 2.2)
        draw.lines(x, 248, texts, 16)
    for route in ([(83, 96), (83, 243), (122, 243)],        # X serves dW1 too, A1 dW2
                  [(338, 96), (358, 120), (358, 243), (378, 243)]):
        draw.path(route, BLUE, stroke_dasharray="5 4", stroke_width=1.6)
    draw.text(20, 24, "forward", 14, "start", fill=QUIET)
    draw.text(20, 175, "backward", 14, "start", fill=QUIET)
    draw.save("backward.svg")


# --- 9. The gradient, checked


def slope():
    """One-sided and centred differences beside the tangent."""
    draw = Drawing(740, 320, "The centred difference is nearly parallel to the tangent")
    plot = Plot(draw, (60, 40, 640, 220), (0, 3.2), (0, 3.6))

    def curve(x):
        return 0.12 * x ** 3 + 0.08

    plot.axes([(1, "w - t"), (2, "w"), (3, "w + t")], [], "one parameter", "loss")
    plot.curve([(x / 50, curve(x / 50)) for x in range(0, 156)], INK)
    tangent = 0.36 * 4
    plot.curve([(x, curve(2) + tangent * (x - 2)) for x in (1.3, 3.1)], QUIET,
               stroke_dasharray="6 5", stroke_width=2)
    plot.curve([(1, curve(1)), (3, curve(3))], BLUE)
    plot.curve([(2, curve(2)), (3, curve(3))], ORANGE)
    for x in (1, 2, 3):
        plot.dot(x, curve(x), INK, 5)
    draw.text(680, 28, "(t is drawn far too large)", 14, "end", fill=QUIET)
    for x, y, words, colour in (
            (0.1, 3.2, "tangent at w: slope 1.44", QUIET),
            (0.1, 2.85, "through w - t and w + t: slope 1.56", BLUE),
            (0.1, 2.5, "through w and w + t: slope 2.28", "#8a5f00")):
        plot.label(x, y, words, anchor="start", fill=colour, stroke="#ffffff",
                   stroke_width=5, paint_order="stroke")
    draw.save("slope.svg")
