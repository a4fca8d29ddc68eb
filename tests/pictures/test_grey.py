"""Colours, transparency and size: what becomes of them in shades of grey."""
import pytest
from conftest import peak_memory

from pictures.grey import Picture, shrink_to, to_grey


def picture(width, height, pixel):
    """A picture of pixel(x, y), a tuple of samples."""
    return Picture(width, height, (
        [bytes(plane) for plane in zip(*(pixel(x, y) for x in range(width)))]
        for y in range(height)))


# --- size

@pytest.mark.parametrize("factor", [1, 3, 16])
def test_shrinking_takes_the_mean_of_each_square(factor, rng):
    rows = [bytes(rng.choice([0, 255, rng.randrange(256)]) for _ in range(83))
            for _ in range(45)]
    sums = [[sum(rows[y + i][x + j] for i in range(factor) for j in range(factor))
             for x in range(0, 83 - factor + 1, factor)]
            for y in range(0, 45 - factor + 1, factor)]
    area = factor * factor
    assert shrink_to(rows, 83 // factor) == (
        [bytes((2 * s + area) // (2 * area) for s in row) for row in sums], factor)


@pytest.mark.parametrize("height, width, factor", [
    (1, 1, 1), (10, 399, 1), (400, 10, 1), (900, 800, 2), (3000, 4000, 10),
    (2, 5000, 1), (100, 5000, 1), (1000, 20_000, 15)])
def test_the_longer_side_says_how_far_to_shrink(height, width, factor):
    rows, found = shrink_to([bytes(width)] * height, 400)
    assert found == factor
    assert (len(rows), len(rows[0])) == (height // factor, width // factor)


def test_large_pictures_are_shrunk_while_they_are_read():
    rows = ((bytes([y % 4 * 60]) * 2000,) for y in range(6400))
    large = Picture(2000, 6400, rows)       # 12.8 million pixels
    grey = []
    assert peak_memory(lambda: grey.append(to_grey(large))) < 3_000_000
    assert grey == [[bytes([90]) * 250] * 800]


# --- transparency

def test_each_alpha_shows_as_much_paper():
    """The last pixel is dark ink: with light ink alone, the paper would be black."""
    for alpha in range(256):
        row, = to_grey(picture(257, 1, lambda x, y: (
            x % 256, alpha if x < 256 else 255)))
        assert list(row[:256]) == [(g * alpha + 255 * (255 - alpha) + 127) // 255
                                   for g in range(256)]


@pytest.mark.parametrize("ink, paper, pen", [
    ((0,), 255, 0), ((90,), 255, 90), ((255,), 0, 255), ((200,), 0, 200),
    ((0, 0, 0), 255, 0), ((255, 255, 255), 0, 255), ((10, 20, 90), 255, 25)])
def test_light_ink_on_nothing_is_seen_on_black_and_dark_ink_on_white(ink, paper, pen):
    grey = to_grey(picture(20, 20, lambda x, y: (*ink, 255 * (x // 4 % 2))))
    for row in grey:
        assert list(row) == [pen if x // 4 % 2 else paper for x in range(20)]


# --- colour

def contrast(ink, paper):
    """The shades of ink and of paper in a picture of both."""
    row = to_grey(picture(64, 8, lambda x, y: ink if x // 8 % 2 else paper))[0]
    return row[12], row[2]


@pytest.mark.parametrize("ink, paper", [
    ((0, 0, 0), (255, 255, 255)), ((20, 40, 150), (250, 244, 220)),
    ((190, 30, 40), (255, 255, 255)), ((0, 120, 60), (240, 240, 240)),
    ((110, 110, 112), (225, 225, 222))])
def test_ink_that_luma_shows_is_seen_as_the_eye_sees_it(ink, paper):
    for shade, (r, g, b) in zip(contrast(ink, paper), (ink, paper)):
        assert abs(shade - (0.299 * r + 0.587 * g + 0.114 * b)) < 0.51


@pytest.mark.parametrize("ink, paper", [
    ((220, 70, 60), (70, 148, 60)), ((60, 80, 190), (130, 70, 40)),
    ((250, 235, 60), (252, 252, 250)), ((0, 0, 255), (97, 0, 0))])
def test_ink_as_bright_as_the_paper_is_told_by_its_colour(ink, paper):
    shade, other = contrast(ink, paper)
    luma = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in (ink, paper)]
    assert abs(luma[0] - luma[1]) < 35 and abs(shade - other) > 60


def test_the_noise_of_a_colour_is_no_ink(rng):
    rows = to_grey(picture(120, 60, lambda x, y: (
        120 if 50 < x < 60 else 220, 120 if 50 < x < 60 else 220,
        (120 if 50 < x < 60 else 200) + rng.randrange(50))))
    for row in rows:
        assert max(row[52:59]) < min(row[:49])
