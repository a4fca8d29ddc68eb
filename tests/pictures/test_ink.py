"""Ink and paper: areas, shadows, noise, and what belongs together."""
import random

import pytest

from pictures import ink
from pictures.ink import Piece, find_ink, find_pieces, group_pieces, shrink, shrink_to


def box(left, top, right, bottom):
    """A piece that fills its box."""
    return Piece.of([(y, left, right) for y in range(top, bottom)])


def boxes(pieces):
    return [piece[1:] for piece in pieces]


# --- shrinking

@pytest.mark.parametrize("factor", [1, 2, 3, 7, 16, 40])
def test_shrinking_takes_the_mean_of_each_square(factor, rng):
    rows = [bytes(rng.choice([0, 255, rng.randrange(256)]) for _ in range(83))
            for _ in range(45)]
    expected = [[sum(rows[y + i][x + j] for i in range(factor) for j in range(factor))
                 for x in range(0, 83 - factor + 1, factor)]
                for y in range(0, 45 - factor + 1, factor)]
    area = factor * factor
    assert [list(row) for row in shrink(rows, factor)] == [
        [(2 * s + area) // (2 * area) for s in row] for row in expected]


@pytest.mark.parametrize("height, width, factor", [
    (1, 1, 1), (10, 399, 1), (400, 10, 1), (900, 800, 2), (3000, 4000, 10),
    (2, 5000, 1), (100, 5000, 1), (1000, 20_000, 15)])
def test_the_longer_side_says_how_far_to_shrink(height, width, factor):
    rows, found = shrink_to([bytes(width)] * height, 400)
    assert found == factor
    assert (len(rows), len(rows[0])) == (height // factor, width // factor)


# --- paper

def light(x, y):
    return 220 - x // 2 - y // 4


@pytest.mark.parametrize("paper", [
    lambda x, y: 200, light, lambda x, y: 120 if y < 70 else 210,
    lambda x, y: 230 - ((x - 60) ** 2 + (y - 60) ** 2) // 60])
def test_ink_is_the_part_of_the_light_that_is_gone(paper):
    rows = [bytearray(paper(x, y) for x in range(120)) for y in range(120)]
    for y in range(30, 90):
        for x in range(50, 60):
            rows[y][x] = rows[y][x] * 2 // 5
    found, _ = find_ink([bytes(row) for row in rows])
    inside = [v for row in found[32:88] for v in row[52:58]]
    outside = [v for y, row in enumerate(found) for x, v in enumerate(row)
               if not (29 <= y <= 90 and 49 <= x <= 60)]
    inside.sort()
    assert 143 < inside[len(inside) // 20] <= inside[-len(inside) // 20] < 163  # 3/5
    assert sorted(outside)[len(outside) * 98 // 100] < 40 and max(outside) < 130


def test_of_two_shades_that_along_the_border_is_paper():
    ring = [bytes(0 if 30 < max(abs(x - 60), abs(y - 60)) <= 60 else 255
                  for x in range(-9, 130)) for y in range(-9, 130)]
    inside = [row[20:-20] for row in ring[20:-20]]
    assert ink._two_shades(ring) == [255, 0] and ink._two_shades(inside) == [0, 255]
    soft = [bytes(max(v, 40) - (x + y) % 8 for x, v in enumerate(row))
            for y, row in enumerate(ring)]
    paper, pen = ink._two_shades(soft)
    assert abs(paper - 251) < 6 and abs(pen - 36) < 6
    ramp = [bytes(range(256))] * 9
    shadow = [bytes([230] * 60 + [138] * 40)] * 9
    for rows in (ramp, shadow, [b"a"], [bytes(9)] * 9):
        assert ink._two_shades(rows) == []


def test_ink_may_be_lighter_than_paper():
    rows = [bytes(200 if 40 < x < 50 and y > 9 else 30 for x in range(90))
            for y in range(90)]
    found, _ = find_ink(rows)
    assert found[50][45] > 190 and found[50][10] == 0 == found[2][45]


def test_a_thick_digit_in_a_tight_frame_is_still_the_ink():
    rows = [bytes(0 if 3 < max(abs(x - 13.5), abs(y - 13.5)) < 10 else 255
                  for x in range(28)) for y in range(28)]
    found, _ = find_ink(rows)
    assert found[2][2] == 0 == found[13][13] and found[6][6] == 255 == found[14][5]


@pytest.mark.parametrize("sigma", [2, 5, 10])
def test_noise_is_measured_and_ink_does_not_disturb_it(sigma):
    dice = random.Random(sigma)
    rows = [bytes(round((90 if x % 20 < 4 else 200) + dice.gauss(0, sigma))
                  for x in range(100)) for _ in range(100)]
    assert ink._grain(rows) == pytest.approx(sigma, rel=0.25)


def test_no_noise_where_there_are_no_neighbours():
    assert ink._grain([b"a"]) == 0 == ink._grain([bytes([7]) * 9] * 9)


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


def test_no_ink_has_no_pieces():
    assert find_pieces([bytes(5)] * 3) == []


def test_a_piece_knows_its_box_and_its_neighbours():
    piece = Piece.of([(3, 5, 9), (4, 4, 6)])
    assert piece[1:] == (4, 3, 9, 5)
    assert (piece.width, piece.height, piece.area) == (5, 2, 6)
    assert piece.bits == [bytes([0, 1, 1, 1, 1]), bytes([1, 1, 0, 0, 0])]
    assert piece.overlap(box(8, 0, 20, 4)) == (1, 1)
    assert piece.overlap(box(12, 9, 20, 12)) == (-3, -4)
    assert piece.gap(box(12, 3, 20, 12)) == 3


@pytest.mark.parametrize("pieces, digits", [
    ([(60, 0, 80, 50), (0, 0, 30, 50)], [(0, 0, 30, 50), (60, 0, 80, 50)]),
    ([(0, 0, 30, 24), (5, 28, 25, 50)], [(0, 0, 30, 50)]),              # torn
    ([(0, 0, 30, 20), (0, 60, 30, 80)], [(0, 0, 30, 20), (0, 60, 30, 80)]),
    ([(0, 5, 30, 50), (33, 0, 50, 6)], [(0, 0, 50, 50)]),               # the bar of a 5
    ([(0, 5, 30, 50), (60, 0, 80, 6)], [(0, 5, 30, 50)]),               # far off
    ([(0, 0, 30, 50), (33, 46, 37, 50)], [(0, 0, 30, 50)]),             # a full stop
    ([(0, 0, 30, 50), (22, 0, 52, 50)], [(0, 0, 30, 50), (22, 0, 52, 50)]),  # slanted
    ([(0, 0, 30, 50), (5, 10, 25, 40)], [(0, 0, 30, 50)]),              # within
])
def test_strokes_are_grouped_into_digits(pieces, digits):
    for order in (pieces, pieces[::-1]):
        assert boxes(group_pieces([box(*piece) for piece in order])) == digits
