"""Pieces of ink: what belongs together, frames, and what is beside the digits."""
import pytest

from pictures.pieces import (Piece, bridge_gaps, find_pieces, group_pieces,
                             line_height)


def box(left, top, right, bottom):
    """A piece that fills its box."""
    return Piece.of([(y, left, right) for y in range(top, bottom)])


def boxes(pieces):
    return [piece[1:] for piece in pieces]


# --- pieces

def test_pieces_are_those_of_a_flood_fill(rng):
    for density in (0.2, 0.4, 0.6):
        masks = [bytes(rng.random() < density for _ in range(30)) for _ in range(30)]
        left = {(y, x) for y in range(30) for x in range(30) if masks[y][x]}
        expected = []
        while left:
            piece, border = set(), {left.pop()}
            while border:
                y, x = border.pop()
                piece.add((y, x))
                near = {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
                left -= near
                border |= near
            expected.append(sorted(piece))
        found = [sorted((y, x) for y, start, end in piece.runs
                        for x in range(start, end))
                 for piece in find_pieces(masks)]
        assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("pieces, digits", [
    ([(60, 0, 80, 50), (0, 0, 30, 50)], [(0, 0, 30, 50), (60, 0, 80, 50)]),
    ([(0, 0, 30, 24), (5, 28, 25, 50)], [(0, 0, 30, 50)]),              # torn
    ([(0, 0, 30, 20), (0, 60, 30, 80)], [(0, 0, 30, 20), (0, 60, 30, 80)]),
    ([(0, 5, 30, 50), (33, 0, 50, 6)], [(0, 0, 50, 50)]),               # the bar of a 5
    ([(0, 5, 30, 50), (60, 0, 80, 6)], [(0, 5, 30, 50)]),               # far off
    ([(0, 5, 30, 50), (42, 0, 60, 6)], [(0, 5, 30, 50)]),
    ([(0, 0, 30, 50), (33, 46, 37, 50)], [(0, 0, 30, 50)]),             # a full stop
    ([(0, 0, 30, 50), (22, 0, 52, 50)], [(0, 0, 30, 50), (22, 0, 52, 50)]),  # slanted
    ([(0, 0, 30, 50), (5, 10, 25, 40)], [(0, 0, 30, 50)]),              # within
])
def test_strokes_are_grouped_into_digits(pieces, digits):
    for order in (pieces, pieces[::-1]):
        assert boxes(group_pieces([box(*piece) for piece in order])[0]) == digits


@pytest.mark.parametrize("pieces, left_out", [
    ([(20, 0, 50, 50), (53, 46, 57, 50)], [(53, 46, 57, 50)]),          # a full stop
    ([(20, 0, 50, 50), (4, 23, 16, 28)], [(4, 23, 16, 28)]),            # a minus
    ([(20, 0, 50, 50), (10, 58, 60, 61)], [(10, 58, 60, 61)]),          # an underline
    ([(20, 0, 50, 50), (54, 0, 70, 5)], []),                            # the bar of a 5
    ([(20, 0, 50, 40), (22, 45, 48, 50)], []),                          # a torn 2
    ([(20, 0, 50, 50)], [])])
def test_marks_beside_the_digits_are_left_out(pieces, left_out):
    for order in (pieces, pieces[::-1]):
        digits, others = group_pieces([box(*piece) for piece in order])
        assert len(digits) == 1 and boxes(others) == left_out


# --- gaps

def torn(*cuts):
    """A thin zero in a picture of 100 x 100, cut at these rows by gaps of 4 pixels."""
    masks = [bytes(0.81 < ((x - 50) / 30) ** 2 + ((y - 50) / 45) ** 2 < 1
                   and not any(cut <= y < cut + 4 for cut in cuts)
                   for x in range(100)) for y in range(100)]
    return find_pieces(masks)


@pytest.mark.parametrize("cuts", [(20, 45, 70), (10, 30, 50, 70, 85), (50,)])
def test_a_thin_stroke_with_gaps_is_one_digit(cuts):
    pieces = torn(*cuts)
    assert len(pieces) > 1 and len(bridge_gaps(pieces, 100, 100)) == 1


def test_digits_that_nearly_touch_stay_apart():
    pieces = [box(10, 5, 13, 95), box(15, 5, 18, 95)]
    assert bridge_gaps(pieces, 100, 100) == pieces
    thick = [box(10, 5, 40, 95), box(42, 5, 72, 45), box(42, 49, 72, 95)]
    assert bridge_gaps(thick, 100, 100) == thick


def test_the_height_of_a_line_knows_no_dots():
    assert line_height([box(0, 20, 10, 80), box(0, 1, 3, 3)]) == 60 - 1
