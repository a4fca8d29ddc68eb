"""Frames: what is dropped, what stays, and what cannot be told apart."""
import pytest

from pictures.frames import drop_frames
from pictures.pieces import find_pieces

WIDTH, HEIGHT = 120, 100


def ellipse(x, y, across, down, pen):
    """A function that tells of a pixel if it is on an ellipse."""
    return lambda a, b: (((a - x) / across) ** 2 + ((b - y) / down) ** 2 <= 1
                         and ((a - x) / (across - pen)) ** 2
                         + ((b - y) / (down - pen)) ** 2 > 1)


def ring(left, top, right, bottom, pen=3):
    """A function that tells of a pixel if it is on the line around a box."""
    return lambda x, y: (left <= x < right and top <= y < bottom and not (
        left + pen <= x < right - pen and top + pen <= y < bottom - pen))


def bar(left, top, right, bottom):
    return lambda x, y: left <= x < right and top <= y < bottom


def drawn(shapes):
    """The pieces of ink that these shapes are."""
    return find_pieces([bytes(any(shape(x, y) for shape in shapes)
                              for x in range(WIDTH)) for y in range(HEIGHT)])


def kept(*shapes):
    """The boxes of what stays of these shapes, left to right."""
    pieces = drop_frames(drawn(shapes), WIDTH, HEIGHT)
    return sorted(tuple(piece[1:]) for piece in pieces)


ONE = bar(50, 30, 56, 70)


@pytest.mark.parametrize("frame", [
    [ring(20, 10, 90, 90)], [ring(30, 20, 80, 80, pen=1)],
    [ellipse(54, 50, 40, 40, 3)],
    [ring(20, 10, 90, 90), ring(24, 14, 86, 86, 1)],                    # double
    [bar(20, 10, 80, 13), bar(20, 20, 23, 80), bar(87, 20, 90, 80),     # in four lines
     bar(25, 88, 90, 91)],
    [ring(-5, 10, 90, 90)], [ring(20, -5, 90, 120)],    # cut off by the picture's edge
    [bar(0, 2, 120, 4)], [bar(0, 2, 120, 4), bar(2, 2, 4, 100)]])       # what it left
def test_a_digit_in_a_frame_stays_alone(frame):
    assert kept(*frame, ONE) == [(50, 30, 56, 70)]


def test_all_digits_in_a_form_of_boxes_stay():
    boxes = [ring(10 + 25 * k, 20, 38 + 25 * k, 80) for k in range(4)]
    ones = [bar(22 + 25 * k, 35, 26 + 25 * k, 65) for k in range(4)]
    assert kept(*boxes, *ones) == [(22 + 25 * k, 35, 26 + 25 * k, 65) for k in range(4)]


@pytest.mark.parametrize("top, bottom", [(12, 70), (30, 88)])
def test_a_digit_that_touches_its_frame_is_cut_off_it(top, bottom):
    (left, above, right, below), = kept(ring(20, 10, 90, 90), bar(50, top, 60, bottom))
    assert (left, right) == (50, 60)
    assert 0 <= above - top < 12 and 0 <= bottom - below < 12


def test_a_digit_that_touches_its_frame_twice_cannot_be_told_from_it():
    with pytest.raises(ValueError, match="touches its frame above and below"):
        kept(ring(20, 10, 90, 90), bar(40, 10, 70, 90))


@pytest.mark.parametrize("shapes", [
    [ONE], [bar(0, 0, 12, 100)], [ring(0, 0, 120, 100)],
    [ellipse(54, 50, 25, 40, 5)],                           # 0
    [ellipse(54, 50, 25, 40, 5), bar(52, 30, 56, 70)],      # 0 with a slash
    [ellipse(54, 50, 40, 45, 5), bar(50, 46, 58, 54)],      # 0 with a dot
    [ellipse(30, 50, 25, 40, 5), ONE, ellipse(85, 50, 25, 40, 5)]])     # 010
def test_what_is_no_frame_stays(shapes):
    assert len(kept(*shapes)) == len(drawn(shapes))
