"""Ink and paper: shadows, noise, faint strokes, a sheet on a table."""
import random

import pytest

from pictures.ink import cut_out_sheet, find_faint_ink, find_ink


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
    found, noise = find_ink([bytes(row) for row in rows])
    assert noise < 2
    inside = [v for row in found[32:88] for v in row[52:58]]
    outside = [v for y, row in enumerate(found) for x, v in enumerate(row)
               if not (29 <= y <= 90 and 49 <= x <= 60)]
    inside.sort()
    assert 143 < inside[len(inside) // 20] <= inside[-len(inside) // 20] < 163  # 3/5
    assert sorted(outside)[len(outside) * 98 // 100] < 40 and max(outside) < 130


@pytest.mark.parametrize("paper", [30, 90])     # two shades, or what may be a shadow
def test_ink_may_be_lighter_than_paper(paper):
    rows = [bytes(200 if 40 < x < 50 and y > 9 else paper for x in range(90))
            for y in range(90)]
    found, _ = find_ink(rows)
    assert found[50][45] > 160 and found[50][10] == 0 == found[2][45]


# --- faint ink

@pytest.mark.parametrize("paper, pen, sigma", [(220, 206, 3), (220, 190, 8),
                                               (60, 75, 3)])
def test_faint_ink_stands_out_from_noise_and_shade(paper, pen, sigma):
    dice = random.Random(7)
    rows = [bytes(max(0, min(255, round(
        (pen if 40 <= x < 43 and 20 < y < 100 else paper) * (1 - x / 400)
        + dice.gauss(0, sigma)))) for x in range(120)) for y in range(120)]
    found, noise = find_faint_ink(rows)
    assert sorted(row[41] for row in found[24:96])[36] > 4 * noise
    others = sorted(v for row in found for v in row[:36] + row[48:])
    assert others[99 * len(others) // 100] < 4 * noise


# --- a sheet on a table

def on_table(inside, paper=210, table=60, side=160):
    """A sheet with a line of ink on a table; inside(x, y) tells where the sheet is."""
    return [bytes((20 if 78 < x < 82 and 60 < y < 100 else paper) if inside(x, y)
                  else table + (x + y) % 9 for x in range(side)) for y in range(side)]


@pytest.mark.parametrize("inside", [
    lambda x, y: 30 < x < 130 and 30 < y < 120,
    lambda x, y: abs(x - 80 + (y - 80) / 5) < 50 and abs(y - 80 - (x - 80) / 5) < 45,
    lambda x, y: abs(x - 80) < 40 + y / 8 and 30 < y < 130,             # perspective
    lambda x, y: x > 30 and 20 < y, lambda x, y: 30 < x < 130])         # cut off
def test_a_sheet_is_cut_out_of_the_table(inside):
    rows = on_table(inside)
    sheet = cut_out_sheet(rows)
    values = b"".join(sheet)
    assert set(values) == {20, 210} and values.count(20) == b"".join(rows).count(20)


@pytest.mark.parametrize("rows", [
    on_table(lambda x, y: True), on_table(lambda x, y: False),
    on_table(lambda x, y: (x - 80) ** 2 + (y - 80) ** 2 < 3600),        # a spotlight
    on_table(lambda x, y: x + y > 120, table=130),                      # a shadow
    on_table(lambda x, y: 70 < x < 90 and 20 < y < 140),                # a light 1
    on_table(lambda x, y: 30 < y < 60 or 75 < x < 105)])                # a light 7
def test_light_and_ink_are_no_sheets(rows):
    assert cut_out_sheet(rows) == []
