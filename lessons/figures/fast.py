"""The figures of lessons 14 to 18: the same work in less time."""
import math
import re
from pathlib import Path

import my_network
from drawing import BLUE, INK, LINE, ORANGE, PALE, QUIET, YELLOW, Drawing, Plot, mix

LESSONS = Path(__file__).resolve().parents[1]
SAMPLE = LESSONS.parent / "data" / "sample"


# --- 14. Skipping zeros


def picture(draw, x, y, image, cell=4):
    """Draw an image of 784 pixels in 4 greys, each grey as one path of its runs."""
    for level in 1, 2, 3:
        path = []
        for row in range(28):
            for column in range(28):
                if round(3 * image[28 * row + column]) == level:
                    path.append(f"M{x + cell * column} {y + cell * row}"
                                f"h{cell}v{cell}h-{cell}z")
        draw.add("path", d="".join(path), fill=mix(INK, level / 3),
                 shape_rendering="crispEdges")
    draw.box(x, y, 28 * cell, 28 * cell, "none", QUIET)


def first_images(count):
    """Return the first test images of the sample."""
    return my_network.read_images(SAMPLE / "t10k-images-idx3-ubyte.gz")[:count]


def zeros():
    """One line of an image, and the rows of W that its ink asks for."""
    draw = Drawing(740, 450, "Only the rows of W under the ink are added up")
    image, = first_images(1)
    line, cell, top = 16, 12, 48
    picture(draw, 40, 110, image, 6)
    draw.box(40, 110 + 6 * line, 168, 6, "none", BLUE, stroke_width=2)
    draw.text(124, 300, "an image, 28 x 28", 14, fill=QUIET)
    draw.text(296, 34, "its line 16", 14, fill=QUIET)
    draw.text(530, 34, "the rows of W for these 28 pixels", 14, fill=QUIET)
    draw.arrow(214, 209, 280, 209, BLUE)
    used = 0
    for j in range(28):
        x, y = image[28 * line + j], top + cell * j
        draw.box(290, y, cell, cell, mix(INK, x), LINE)
        draw.box(400, y, 260, cell, mix(BLUE, 0.15 + 0.5 * x) if x else "#ffffff", LINE)
        if x:
            draw.arrow(306, y + 6, 396, y + 6, BLUE, 1)
            used += 1
    draw.text(530, top + cell * 28 + 30, f"sum of {used} rows; "
              f"{28 - used} are not looked at", 15)
    draw.box(400, top + cell * 28 + 40, 260, 14, mix(BLUE, 0.5), INK)
    draw.text(386, top + cell * 28 + 52, "z", 15, "end", font_weight="bold")
    draw.save("zeros.svg")


def ladder():
    """The times of lesson 14 on a logarithmic scale."""
    text = (LESSONS / "14-skipping-zeros.md").read_text(encoding="utf-8")
    rungs = re.findall(r"^(\S.*?) {2,}([\d.]+) +([\d.]+)$", text, re.MULTILINE)
    draw = Drawing(740, 56 + 34 * len(rungs), "The ladder on a logarithmic scale")
    left, decade, bottom = 200, 125, 24 + 34 * len(rungs)
    for power in range(5):
        x = left + decade * power
        draw.path([(x, 14), (x, bottom)], LINE)
        draw.text(x, bottom + 22, f"{10 ** power:,}", 13, fill=QUIET)
    draw.text(left - 12, bottom + 22, "times faster", 13, "end", fill=QUIET)
    for number, (name, _, faster) in enumerate(rungs):
        y, width = 20 + 34 * number, decade * math.log10(float(faster))
        colour = mix(BLUE, 1 if "integer" in name else 0.5)
        colour = QUIET if "NumPy" in name else colour
        draw.text(left - 12, y + 18, name.replace(", for comparison", ""), 14, "end")
        draw.box(left, y + 2, max(2, width), 22, colour, "none")
        draw.text(left + width + 8, y + 18, f"{float(faster):,.4g}", 14, "start",
                  stroke="#ffffff", stroke_width=4, paint_order="stroke")
    draw.save("ladder.svg")


# --- 15. A row in one integer


def lane_boxes(draw, y, texts, fill="#ffffff", words="", total=""):
    """Draw two lanes, the higher one left, with words before and a total behind."""
    for number, text in enumerate(texts):
        draw.box(250 + 80 * number, y, 80, 40, fill, INK)
        draw.text(290 + 80 * number, y + 27, text, 19)
    draw.text(234, y + 26, words, 15, "end")
    draw.text(430, y + 26, total, 17, "start")


def lanes():
    """A negative lane borrows, and the bias pays it back."""
    draw = Drawing(740, 392, "The borrow of a negative lane, and the bias")
    draw.text(290, 26, "lane 1: hundreds", 13, "end", fill=QUIET)
    draw.text(340, 26, "lane 0: ones", 13, "start", fill=QUIET)
    lane_boxes(draw, 38, ("3", "\N{MINUS SIGN}2"), mix(BLUE, 0.2), "the numbers",
               "3 * 100 \N{MINUS SIGN} 2  =  298")
    lane_boxes(draw, 110, ("2", "98"), "#ffffff", "as it is written", "the integer 298")
    draw.arrow(290, 158, 360, 158, ORANGE, 2.4)
    draw.text(430, 164, "lane 0 has borrowed 1 from lane 1", 14, "start",
              fill="#8a5f00")
    lane_boxes(draw, 182, ("50", "50"), YELLOW, "add the bias", "+ 5050")
    lane_boxes(draw, 242, ("53", "48"), "#ffffff", "", "=  5348:  no lane is below 0")
    draw.arrow(360, 290, 290, 290, BLUE, 2.4)
    draw.text(430, 295, "98 + 50 = 148 gives the 1 back", 14, "start", fill=BLUE)
    lane_boxes(draw, 314, ("53 \N{MINUS SIGN} 50", "48 \N{MINUS SIGN} 50"),
               mix(BLUE, 0.2), "read off", "=  3  and  \N{MINUS SIGN}2")
    draw.save("lanes.svg")


# --- 16. What is still rounded


def dither():
    """0.3 + t for ten values of t: three of them reach 1."""
    draw = Drawing(740, 330, "Ten values of t lift 0.3 to 1 in three cases")
    plot = Plot(draw, (90, 36, 560, 236), (0, 1.4), (-0.5, 9.5))
    plot.axes([(n / 10, f"{n / 10:.1f}") for n in range(0, 15, 2)], [], "0.3 + t", "")
    for n in range(10):
        t, y = (2 * n + 1) / 20, 9 - n
        up = 0.3 + t >= 1
        plot.curve([(0.3, y), (0.3 + t, y)], BLUE if up else ORANGE, stroke_width=3)
        plot.dot(0.3 + t, y, BLUE if up else ORANGE, 6)
        plot.label(0.28, y - 0.2, f"t = {t:.2f}", size=13, anchor="end", fill=QUIET)
    plot.curve([(1, -0.5), (1, 9.5)], INK, stroke_width=2)
    plot.label(0.6, 7.8, "7 of 10: floor gives 0", size=15, fill="#8a5f00",
               anchor="start")
    plot.label(1.04, 8.4, "3 of 10:", size=15, fill=BLUE, anchor="start")
    plot.label(1.04, 7.5, "floor gives 1", size=15, fill=BLUE, anchor="start")
    draw.save("dither.svg")


# --- 17. Your network on integers


def packed():
    """The way of an image through my_fast.py, and of its step back."""
    draw = Drawing(740, 372, "Forward and back through the first layer on integers")
    draw.text(30, 34, "image: [126, 127, 154, ..., 784]", 15, "start")
    rows = (("row 126", 0.5), ("row 127", 0.3), ("row 154", 0.6), ("...", 0),
            ("row 784 = b1", 0.2))
    for number, (name, share) in enumerate(rows):
        y = 56 + 36 * number
        if share:
            for lane in range(6):
                colour = mix(BLUE if (lane + number) % 3 else ORANGE, share)
                draw.box(140 + 26 * lane, y, 26, 24, colour, QUIET)
        draw.text(128, y + 17, name, 14, "end")
    draw.text(218, 252, "785 integers of 32 lanes", 14, fill=QUIET)
    draw.arrow(312, 100, 396, 100, BLUE, 2.4)
    draw.text(354, 88, "sum", 15)
    draw.arrow(396, 196, 312, 196, ORANGE, 2.4)
    draw.text(354, 220, "+= change", 15)
    for y, name, words in ((76, "one integer", "to_numbers"),
                           (172, "one integer", "to_row")):
        draw.box(402, y, 104, 48, PALE)
        draw.text(454, y + 29, name, 15)
        draw.text(553, y + 12, words, 14)
    draw.arrow(512, 100, 606, 100, BLUE, 2.4)
    draw.arrow(586, 196, 512, 196, ORANGE, 2.4)
    draw.box(612, 76, 78, 48, PALE)
    draw.text(651, 105, "Z1", 17, font_weight="bold")
    draw.box(592, 172, 98, 48, PALE)
    draw.text(641, 201, "\N{MINUS SIGN}rate * dZ1", 15)
    draw.path([(694, 100), (714, 100), (714, 270)], BLUE, stroke_width=1.6)
    draw.arrow(714, 270, 714, 306, BLUE)
    draw.arrow(641, 306, 641, 226, ORANGE)
    draw.box(520, 310, 206, 44, "#ffffff", QUIET, stroke_dasharray="5 4")
    draw.text(623, 337, "the rest, as in lessons 5 to 8", 14)
    draw.text(30, 300, "blue: forward, one addition for each pixel of ink", 14, "start",
              fill=BLUE)
    draw.text(30, 324, "orange: back, one addition for each pixel of ink", 14, "start",
              fill="#8a5f00")
    draw.save("packed.svg")


# --- 18. Two processes


def exchange():
    """A batch in two processes."""
    draw = Drawing(740, 430, "A batch in two processes, with two exchanges")
    steps = ((50, "adds up its pixels", "of all 32 images"),
             (190, "finishes images {}:", "forward and back"),
             (330, "changes its rows by", "the steps of all 32"))
    for x, rank, pixels, own in ((60, 0, "0, 2, 4, ...", "0 to 15"),
                                 (470, 1, "1, 3, 5, ...", "16 to 31")):
        draw.text(x + 105, 30, f"process {rank}: pixels {pixels}", 15,
                  font_weight="bold")
        for y, first, second in steps:
            draw.box(x, y, 210, 66, mix(BLUE, 0.12), BLUE)
            draw.text(x + 105, y + 28, first.format(own), 15)
            draw.text(x + 105, y + 50, second, 15)
        for y in (120, 260):
            draw.arrow(x + 105, y, x + 105, y + 66, QUIET)
    for y, name, words in ((152, "exchange 1", "sums of images"),
                           (292, "exchange 2", "steps of images")):
        draw.arrow(280, y - 6, 460, y - 6, ORANGE, 2.4)
        draw.arrow(460, y + 8, 280, y + 8, ORANGE, 2.4)
        draw.text(370, y - 16, name, 15, font_weight="bold")
        draw.text(370, y + 30, words, 14, fill=QUIET)
    draw.save("exchange.svg")
