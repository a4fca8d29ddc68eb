"""From a picture file to MNIST's form: reading, finding digits, and what is refused."""
import io
import os
import random
import sys
import threading
from contextlib import suppress

import pytest
from conftest import SAMPLE as FOLDER
from conftest import ROOT, peak_memory
from tools import looks

from data_loader import load
from errors import DataError
from learning.models import Model
from my_math import argmax
from pictures import digit, normalize
from pictures.digit import find_digits, read_picture
from pictures.normalize import normalised
from pictures.pieces import stroke_width

SAMPLE, = load(FOLDER, ("t10k",))
MODEL = Model.load(ROOT / "data" / "model.npz")


@pytest.fixture
def read(tmp_path):
    """read(content): the rows of a picture file of these bytes, as lists."""
    def rows(content):
        path = tmp_path / "picture"
        path.write_bytes(content)
        return [list(row) for row in read_picture(path)]
    return rows


def refusal(action, *arguments):
    """The DataError, which has to be one line that names the file."""
    with pytest.raises(DataError) as caught:
        action(*arguments)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 300 and "picture: found" in text
    return text


# --- reading

def test_a_damaged_png_is_never_given_to_pillow(read):
    content = (ROOT / "lessons" / "figures" / "page.png").read_bytes()
    assert "wrong CRC" in refusal(read, content[:-2] + b"xx")
    assert "PNG" in refusal(read, content.replace(b"\r\n", b"\n"))


@pytest.mark.parametrize("content, rows", [
    (b"P2\n# a comment 9 9\n3 1\n# and 7\n5\n0 1 # here 8\n5\n", [[0, 51, 255]]),
    (b"P2 2 1 65535 0 65535", [[0, 255]]),
    (b"P5 3 2 255\n\n #\3\4\xff", [[10, 32, 35], [3, 4, 255]]),   # one blank ends it
    (b"P5 2 1 65535\n\x7f\xff\xff\xff", [[127, 255]]),
    (b"P3 2 1 255 9 9 9 255 0 0", [[9, 76]]),
    (b"P6 2 1 255\n\t\t\t\xff\0\0", [[9, 76]]),
])
def test_the_formats_of_netpbm(read, content, rows):
    assert read(content) == rows


@pytest.mark.parametrize("content", [
    b"P2 2 2 255 1 2 3", b"P2 2 1 255 1 x", b"P2 2 1 9 1 10",
    b"P2 2 1 255 1 99999999999", b"P5 2 2 255\n123", b"P5 2 2 0\n1234",
    b"P5 2 2 70000\n12345678", b"P5 0 2 255\n", b"P5 99999 99999 255\n",
    b"P1 2 1 01", b"P5 2", b"P7 2 2 255\n1234"])
def test_damaged_netpbm_files_are_refused(read, monkeypatch, content):
    monkeypatch.setitem(sys.modules, "PIL", None)       # as if it were not installed
    refusal(read, content)


@pytest.mark.parametrize("content, kind", [
    (b"RIFF\0\0\0\0WEBPVP8 ", "a WebP picture"), (b"MM\0*\0", "a TIFF picture"),
    (b"P4 9 2\n", "a PNM picture"), (b"P7\nWIDTH 9", "a PNM file without a header"),
    (b"\0\0\0\x18ftypheic", "a HEIC or AVIF photograph"), (b"", "an empty file"),
    (b"\n<svg>", "a page of HTML or an SVG drawing"),
    (b"RIFF\0\0\0\0WAVEfmt ", "nothing that we know")])
def test_pillow_is_advised_only_for_what_it_reads(read, monkeypatch, content, kind):
    monkeypatch.setitem(sys.modules, "PIL", None)
    text = refusal(read, content)
    assert kind in text and "expected a PNG or PGM file" in text
    assert ("pip install pillow" in text) == ("picture" in kind)


def test_missing_files_and_folders_are_data_errors(tmp_path):
    for path in (tmp_path / "picture", tmp_path):
        with pytest.raises(DataError) as caught:
            read_picture(path)
        assert str(caught.value).startswith(f"{path}: found ")


def test_no_more_memory_is_taken_than_a_file_needs(tmp_path):
    path = tmp_path / "digit.pgm"
    path.write_bytes(b"P5 3 3 255\n" + bytes(9))
    assert peak_memory(read_picture, path) < 1_000_000


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
@pytest.mark.parametrize("size, read", [(9, True), (100_000, False)])
def test_a_pipe_is_read_up_to_the_limit(tmp_path, monkeypatch, size, read):
    monkeypatch.setattr(digit, "_LARGEST_FILE", 70_000)
    path = tmp_path / "picture"
    os.mkfifo(path)

    def write():
        with suppress(BrokenPipeError), open(path, "wb") as file:
            file.write(b"P5 3 3 255\n" + bytes(size))
    writer = threading.Thread(target=write)
    writer.start()
    if read:
        assert read_picture(path) == [bytes(3)] * 3
    else:
        assert "more than " in refusal(read_picture, path)
    writer.join()


def pillow_file(form, mode="L", orientation=1):
    """A file of 24 x 16 pixels, its left upper quarter black, the rest white."""
    image_module = pytest.importorskip("PIL.Image")
    image = image_module.new(mode, (24, 16), "white")
    image.paste("black", (0, 0, 12, 8))
    exif = image_module.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, form, **{"exif": exif} if form == "JPEG" else {})
    return buffer.getvalue()


@pytest.mark.parametrize("form, mode, orientation, height, dark", [
    ("JPEG", "RGB", 1, 16, 0), ("GIF", "L", 1, 16, 0), ("BMP", "1", 1, 16, 0),
    ("JPEG", "L", 6, 24, 1)])           # to be turned by a quarter, its EXIF data say
def test_pillow_reads_the_rest(read, form, mode, orientation, height, dark):
    rows = read(pillow_file(form, mode, orientation))
    quarters = [rows[y][x] for y in (3, -4) for x in (3, -4)]
    assert len(rows) == height
    assert [grey > 246 for grey in quarters] == [k != dark for k in range(4)]


def test_the_upper_bits_of_sixteen_are_taken(read):
    image_module = pytest.importorskip("PIL.Image")
    buffer = io.BytesIO()
    image_module.new("I;16", (3, 2), 32768).save(buffer, "TIFF")
    assert read(buffer.getvalue()) == [[128] * 3] * 2


def test_what_pillow_cannot_read_is_refused(read):
    content = pillow_file("JPEG", "RGB")
    assert "a JPEG picture, damaged" in refusal(read, content[:len(content) // 2])
    assert "nothing that we know" in refusal(read, b"hello")
    assert "EPS" in refusal(read, pillow_file("EPS"))


# --- one digit in MNIST's form

def rows_of(image, factor=1):
    """The rows of an image of the sample, enlarged."""
    return [bytes(v for v in image[i:i + 28] for _ in range(factor))
            for i in range(0, 784, 28) for _ in range(factor)]


def test_what_is_in_mnists_form_stays_as_it_is():
    same = [normalised(rows_of(SAMPLE.image(i))) == SAMPLE.image(i) for i in range(60)]
    assert sum(same) > 50       # all but those whose mass lies between two pixels


def pasted(rows, left, top, right, bottom):
    """The rows with paper around them."""
    width = left + len(rows[0]) + right
    return ([bytes(width)] * top + [bytes(left) + row + bytes(right) for row in rows]
            + [bytes(width)] * bottom)


@pytest.mark.parametrize("factor", [2, 3, 10])
def test_size_and_place_make_no_difference(factor):
    for index in range(3):
        image = SAMPLE.image(index)
        large = pasted(rows_of(image, factor), 17, 0, 0, 9)
        assert normalised(large) == normalised(rows_of(image))


def test_the_digit_fills_twenty_pixels_and_its_mass_is_in_the_middle():
    for index in range(20):
        rows = [bytes(v // 3 for v in row[::2]) for row in rows_of(SAMPLE.image(index))]
        image = normalised(rows)                # narrower, and fainter
        ys, xs = zip(*(divmod(i, 28) for i, v in enumerate(image) if v))
        assert max(image) == 255
        assert max(max(ys) - min(ys), max(xs) - min(xs)) + 1 == 20
        for places in (0, 1):
            mass = sum(v * divmod(i, 28)[places] for i, v in enumerate(image))
            assert abs(mass / sum(image) - 14) < 0.51


def canvas(width, strokes, size=200, margin=40):
    """A canvas with lines of a width in a square of this size."""
    rows = [bytearray(size + 2 * margin) for _ in range(size + 2 * margin)]
    looks.draw(rows, [[(x + margin, y + margin) for x, y in line] for line in strokes],
               width)
    return list(map(bytes, rows))


SEVEN = [[(20, 0), (120, 0), (60, 200)]]


def guesses(images):
    return [argmax(MODEL.predict(image)) for image in images]


@pytest.mark.parametrize("width", [1, 4, 16, 50])
def test_a_hair_and_a_brush_become_a_pen(width):
    image = normalised(canvas(width, SEVEN))
    bits = [row.translate(bytes(v > 100 for v in range(256))) for row in rows_of(image)]
    assert 1.5 < stroke_width(bits) < 5 and max(image) == 255
    assert guesses([image]) == [7]


def test_any_canvas_can_be_normalised():
    assert normalised([bytes(5)] * 4) == normalised([]) == bytes(784)
    for rows in ([[3]], [[255] * 9] * 9, [[1] * 300], [[1]] * 300):
        assert len(normalised(rows)) == 784 and any(normalised(rows))


# --- finding digits

def on_paper(rows, paper=230, grain=0.0):
    """A picture of ink (0..255) on paper."""
    dice = random.Random(1)
    return [bytes(max(0, min(255, round(paper + (60 - paper) * v / 255 + grain * (
        dice.random() + dice.random() + dice.random() - 1.5) * 2))) for v in row)
            for row in rows]


@pytest.mark.parametrize("factor", [1, 5])
def test_the_size_of_a_picture_makes_little_difference(factor):
    images = [digit for i in range(6) for digit in find_digits(
        on_paper(rows_of(SAMPLE.image(i), factor))).digits]
    assert guesses(images) == guesses([SAMPLE.image(i) for i in range(6)])


@pytest.mark.parametrize("indices, factor", [
    ((5, 5, 5), 4), ((2, 3, 4, 7, 8, 9), 4), (range(40), 3)])
def test_several_digits_come_from_left_to_right(indices, factor):
    images = [rows_of(SAMPLE.image(i), factor) for i in indices]
    line = [b"".join(rows) for rows in zip(*images)]
    digits = find_digits(on_paper(pasted(line, 20, 20, 20, 20), grain=3.0)).digits
    before = guesses([SAMPLE.image(i) for i in indices])
    assert len(digits) == len(indices)
    assert sum(map(int.__eq__, guesses(digits), before)) >= 0.95 * len(indices)


@pytest.mark.parametrize("paper, pen", [(0, 255), (255, 0), (250, 60), (20, 200)])
@pytest.mark.parametrize("margin", [0, 3])
def test_a_fat_digit_may_be_cut_out_tightly(paper, pen, margin):
    """The pen is a quarter as wide as the digit is high, and most of the frame ink."""
    zero = [(40, 30), (90, 0), (140, 40), (140, 160), (90, 200), (40, 160), (40, 30)]
    images = []
    for strokes in ([zero], [[(50, 0), (60, 200)]], [[(20, 0), (150, 0), (60, 200)]]):
        rows = pasted(normalize._crop(canvas(50, strokes)), *[margin] * 4)
        rows = [bytes(pen if v else paper for v in row) for row in rows]
        image, = find_digits(rows).digits
        images.append(image)
    assert guesses(images) == [0, 1, 7]


def test_neighbours_of_one_digit_are_not_in_its_picture():
    one, slash = (canvas(12, [[(x, 0), (0, 100)]], 100, 20) for x in (0, 60))
    single, = find_digits(on_paper(slash)).digits
    both = [a[:35] + b[12:] for a, b in zip(one, slash)]
    assert find_digits(on_paper(both)).digits[1] == single


def test_specks_and_full_stops_are_left_out():
    rows = [bytearray(row) for row in canvas(12, SEVEN)]
    clean = find_digits(on_paper(rows)).digits
    for x, y in [(5, 5), (270, 30), (100, 270), (260, 200)]:
        rows[y][x] = rows[y][x + 1] = 255
    for y in range(230, 241):                       # a full stop
        rows[y][200:211] = b"\xff" * 11
    assert find_digits(on_paper(rows)).digits == clean


# --- pictures of anything else

@pytest.mark.parametrize("pixel, found", [
    (lambda x, y: 255, "nothing but paper"), (lambda x, y: 0, "nothing but paper"),
    (lambda x, y: 250 - x, "nothing but paper"),
    (lambda x, y: 255 * ((x - 90) ** 2 + (y - 80) ** 2 > 2000), "a blot of ink"),
    (lambda x, y: 255 * (x in (0, 179) or y in (0, 159)), "ink everywhere"),
    (lambda x, y: 255 * (y % 30 > 9), "from side to side"),
    (lambda x, y: 255 * (x % 9 > 2 or y % 9 > 2), "pieces of ink"),
    (lambda x, y: 255 * ((x // 12 + y // 12) % 2), "a tangle of lines"),
    (lambda x, y: 255 * (x < 90), "nothing but paper"),      # on a table
    (lambda x, y: 255 * (x < 50), "nothing but paper"),
    (lambda x, y: 255 - x // 2 - 50 * (x >= 130), "a whole side full of ink"),
])
def test_what_is_no_handwriting_is_refused(pixel, found):
    rows = [bytes(pixel(x, y) for x in range(180)) for y in range(160)]
    assert found in refusal(find_digits, rows)


@pytest.mark.parametrize("grain", [1.0, 5.0, 30.0, 200.0])
@pytest.mark.parametrize("paper", [40, 128, 230])
def test_empty_paper_has_no_digits_however_coarse(grain, paper):
    rows = on_paper([bytes(150)] * 120, paper=paper, grain=grain)
    refusal(find_digits, rows)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (2000, 1), (2, 3), (5, 5)])
def test_pictures_too_small_for_a_digit_are_refused(shape):
    refusal(find_digits, [bytes([255] * (shape[1] - 1) + [0])] * shape[0])


@pytest.mark.parametrize("shape", [(1, 51), (501, 10)])
def test_a_picture_that_is_very_long_is_refused(shape):
    text = refusal(find_digits, [bytes(shape[1])] * shape[0])
    assert f"found {shape[1]:,} x {shape[0]:,} pixels, expected a picture that" in text


def test_two_lines_are_refused():
    line = rows_of(SAMPLE.image(0), 3)
    assert "several lines" in refusal(find_digits, on_paper(line + line))
