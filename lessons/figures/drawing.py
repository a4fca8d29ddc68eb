"""SVG pictures for the lessons, in one style and one colour language.

Blue raises, orange lowers, white is zero.  Each picture has a white card behind it, so
that it is legible on a dark page too, and no text is smaller than 13 px.
"""
import math
from html import escape
from pathlib import Path

INK, QUIET, LINE = "#16181d", "#555b66", "#c3c8d1"
BLUE, ORANGE, PALE = "#0072b2", "#e69f00", "#f3f4f6"
YELLOW = "#fff3b8"                                   # marks what the text speaks of
FOLDER = Path(__file__).resolve().parent
FONT = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"


def mix(colour, share):
    """Return the colour laid over white: all of it for a share of 1, white for 0."""
    parts = (int(colour[i:i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (part - 255) * share):02x}" for part in parts)


def signed(value, largest=1.0):
    """Return the colour of a number: blue above 0, orange below, white at 0."""
    return mix(BLUE if value > 0 else ORANGE, min(1.0, abs(value) / largest))


def short(number):
    """Return a number as text without needless zeros, with a real minus sign.

    >>> short(0.5), short(-2.0), short(3)
    ('0.5', '−2', '3')
    """
    return f"{number:.3g}".replace("-", "\N{MINUS SIGN}")


def fixed(number):
    """Return a coordinate with one decimal at most: nobody sees a hundredth of a pixel.
    """
    return f"{number:.1f}".removesuffix(".0")


class Drawing:
    """An SVG picture; sizes and places in pixels, y grows downwards."""

    def __init__(self, width, height, title):
        self.width, self.height, self.title, self.parts = width, height, title, []

    def add(self, kind, text=None, **attributes):
        """Append an element; attributes in SVG's words, with _ for -."""
        words = [kind]
        for name, value in attributes.items():
            value = fixed(value) if isinstance(value, (int, float)) else escape(value)
            words.append(f'{name.rstrip("_").replace("_", "-")}="{value}"')
        end = "/>" if text is None else f">{escape(text)}</{kind}>"
        self.parts.append("<" + " ".join(words) + end)

    def box(self, x, y, width, height, fill="#ffffff", stroke=INK, **more):
        """Draw a rectangle with its upper left corner at (x, y)."""
        self.add("rect", x=x, y=y, width=width, height=height, fill=fill, stroke=stroke,
                 **more)

    def circle(self, x, y, radius, fill="#ffffff", stroke=INK, **more):
        """Draw a circle around (x, y)."""
        self.add("circle", cx=x, cy=y, r=radius, fill=fill, stroke=stroke, **more)

    def text(self, x, y, text, size=15, anchor="middle", fill=INK, **more):
        """Write a line of text whose middle (or "start", "end") is at x, its foot at y.
        """
        self.add("text", text, x=x, y=y, font_size=size, text_anchor=anchor, fill=fill,
                 **more)

    def lines(self, x, y, texts, size=15, **more):
        """Write lines of text below one another."""
        for number, text in enumerate(texts):
            self.text(x, y + number * size * 1.3, text, size, **more)

    def path(self, points, stroke=INK, fill="none", **more):
        """Draw a line through points."""
        places = " L".join(f"{fixed(x)} {fixed(y)}" for x, y in points)
        self.add("path", d=f"M{places}", stroke=stroke, fill=fill, **more)

    def arrow(self, x, y, to_x, to_y, stroke=INK, stroke_width=1.6, **more):
        """Draw a line from (x, y) that ends in an arrow head at (to_x, to_y)."""
        angle, head = math.atan2(to_y - y, to_x - x), 5 + 2 * stroke_width
        back_x, back_y = to_x - head * math.cos(angle), to_y - head * math.sin(angle)
        self.path([(x, y), (back_x, back_y)], stroke, stroke_width=stroke_width, **more)
        side_x, side_y = head / 2 * math.sin(angle), head / 2 * math.cos(angle)
        self.path([(to_x, to_y), (back_x - side_x, back_y + side_y),
                   (back_x + side_x, back_y - side_y)], "none", fill=stroke)

    def matrix(self, x, y, rows, cell=36, marked=(), colour=None, size=15):
        """Draw the numbers of a matrix in cells, those in `marked` in yellow.

        `marked` holds pairs (i, j); `colour` is a function from number to fill.
        """
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                fill = colour(value) if colour else "#ffffff"
                if (i, j) in marked:
                    fill = YELLOW
                left, top = x + j * cell, y + i * cell
                self.box(left, top, cell, cell, fill, QUIET)
                text = value if isinstance(value, str) else short(value)
                self.text(left + cell / 2, top + cell / 2 + size * 0.35, text, size)

    def shape(self, x, y, width, height, name, size, fill=PALE):
        """Draw a matrix as a rectangle with its name inside and its size below."""
        self.box(x, y, width, height, fill)
        self.text(x + width / 2, y + height / 2 + 6, name, 17, font_weight="bold")
        self.text(x + width / 2, y + height + 20, size, 14, fill=QUIET)

    def save(self, name):
        """Write the picture to a file in FOLDER."""
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" '
                f'height="{self.height}" viewBox="0 0 {self.width} {self.height}" '
                f'font-family="{FONT}">')
        card = (f'<rect width="{self.width}" height="{self.height}" rx="10" '
                'fill="#ffffff"/>')
        title = f"<title>{escape(self.title)}</title>"
        text = "\n".join([head, title, card, *self.parts, "</svg>", ""])
        (FOLDER / name).write_bytes(text.encode("utf-8"))


class Plot:
    """Axes within a drawing: points in the units of the data."""

    def __init__(self, drawing, box, x_range, y_range):
        self.drawing, (self.left, self.top, self.width, self.height) = drawing, box
        self.x_range, self.y_range = x_range, y_range

    def place(self, x, y):
        """Return the pixel of a point."""
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        return (self.left + (x - x0) / (x1 - x0) * self.width,
                self.top + (y1 - y) / (y1 - y0) * self.height)

    def axes(self, x_ticks, y_ticks, x_label, y_label):
        """Draw the frame, and lines and numbers at the ticks: pairs (value, text)."""
        draw, bottom = self.drawing, self.top + self.height
        for value, text in x_ticks:
            x, _ = self.place(value, self.y_range[0])
            draw.path([(x, self.top), (x, bottom)], LINE)
            draw.text(x, bottom + 18, text, 13, fill=QUIET)
        for value, text in y_ticks:
            _, y = self.place(self.x_range[0], value)
            draw.path([(self.left, y), (self.left + self.width, y)], LINE)
            draw.text(self.left - 8, y + 5, text, 13, "end", fill=QUIET)
        draw.text(self.left + self.width / 2, bottom + 40, x_label, 14)
        draw.text(self.left - 8, self.top - 14, y_label, 14, "start")

    def curve(self, points, colour, **more):
        """Draw a line through points of the data."""
        self.drawing.path([self.place(x, y) for x, y in points], colour,
                          **{"stroke_width": 2.5, **more})

    def dot(self, x, y, fill, radius=6, **more):
        """Draw a filled circle at a point of the data."""
        self.drawing.circle(*self.place(x, y), radius, fill, **more)

    def label(self, x, y, text, **more):
        """Write at a point of the data."""
        self.drawing.text(*self.place(x, y), text, **more)
