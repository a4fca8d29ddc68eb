"""engine.lanes: every operation against plain lists, random and extreme values."""
import random

import pytest

from engine.lanes import LaneOverflowError, lanes_of, spread, transpose

WIDTHS = (24, 32, 64)
COUNTS = (1, 2, 3, 10, 128, 600)
every_layout = pytest.mark.parametrize(
    "layout", [lanes_of(count, bits) for bits in WIDTHS for count in COUNTS],
    ids="{0.count}x{0.bits}".format)


def rows_of(layout, least=None):
    """Rows that look for trouble: extremes alone, side by side, and at random."""
    top, rng = (1 << layout.bits - 1) - 1, random.Random(layout.count)
    least = -top - 1 if least is None else least
    n, special = layout.count, [0, 1, -1, top, -top, least, top // 2, -top // 2]
    rows = [[value] * n for value in special]
    rows += [[a, b] * n for a in special for b in (0, -1, top, least)]
    rows += [[rng.choice(special) for _ in range(n)] for _ in range(5)]
    rows += [[rng.randint(least, top) >> rng.randint(0, layout.bits)
              for _ in range(n)] for _ in range(5)]
    return [tuple(row[:n]) for row in rows]


@every_layout
def test_a_row_is_the_sum_of_its_lanes_times_powers_of_two(layout):
    for row in rows_of(layout):
        number = sum(v << layout.bits * j for j, v in enumerate(row))
        assert layout.encode(row) == number
        assert layout.decode(number) == row


@every_layout
def test_only_residues_count(layout):
    """What lies above the top lane changes nothing that is read."""
    for row in rows_of(layout)[:8]:
        number = layout.encode(row)
        for other in (number + layout.modulus, number - 3 * layout.modulus):
            assert layout.decode(other) == row
            assert layout.decode(layout.shift_right(other, 3)) == layout.decode(
                layout.shift_right(number, 3))
            assert layout.bound([other]) == layout.bound([number])


@every_layout
def test_shift_right_divides_and_rounds_every_lane_or_multiplies(layout):
    """floor(v / 2^k + 1/2), written in whole numbers; not one bit reaches a neighbour,
    not even where the largest number is rounded up."""
    for by in {1, 2, 7, layout.bits // 2, layout.bits - 2, layout.bits - 1,
               layout.bits, layout.bits + 9}:
        for row in rows_of(layout):
            expected = tuple((2 * v + (1 << by)) >> by + 1 for v in row)
            shifted = layout.shift_right(layout.encode(row), by)
            assert layout.decode(shifted) == expected, by
    for by in (0, 1, 5):
        for row in rows_of(layout):
            row = tuple(v >> 6 for v in row)
            shifted = layout.shift_right(layout.encode(row), -by)
            assert layout.decode(shifted) == tuple(v << by for v in row)


@every_layout
def test_bound_is_the_power_of_two_that_bounds_all_lanes_together(layout):
    """Lanes of both signs, next to one another, in different rows."""
    rng, rows = random.Random(11), rows_of(layout)
    assert layout.bound([]) == 1 and layout.bound([0, 0]) == 1
    for some in [[row] for row in rows] + [rng.choices(rows, k=3) for _ in range(40)]:
        shifted = [[v >> rng.randint(0, layout.bits) for v in row] for row in some]
        largest = max(abs(v) for row in shifted for v in row)
        measured = layout.bound(map(layout.encode, shifted))
        assert bin(measured).count("1") == 1
        assert measured >> 1 <= largest <= measured or largest <= measured == 1


@every_layout
@pytest.mark.parametrize("beyond", [0, 1, 1 << 40, 10 ** 300])
def test_what_does_not_fit_is_refused(layout, beyond):
    top = 1 << layout.bits - 1
    for place in (0, layout.count // 2, layout.count - 1):
        for value in (top + beyond, -top - 1 - beyond):
            row = [1] * layout.count
            row[place] = value
            with pytest.raises(LaneOverflowError, match=f"lane of {layout.bits} bits"):
                layout.encode(row)


@every_layout
@pytest.mark.parametrize("values", [
    lambda n: [0] * (n + 1), lambda n: [0] * (n - 1), lambda n: [0.0] * n,
    lambda n: ["1"] * n])
def test_other_things_than_as_many_integers_are_refused(layout, values):
    with pytest.raises(ValueError, match=f"expected {layout.count} integers"):
        layout.encode(values(layout.count))


@pytest.mark.parametrize("width, bits", [(1, 24), (1, 32), (2, 24), (2, 64), (8, 64)])
@pytest.mark.parametrize("count, rows", [(1, 1), (3, 2), (128, 16), (5, 33)])
def test_bytes_become_rows_and_columns(width, bits, count, rows, rng):
    numbers = [[rng.randrange(1 << 8 * min(width, bits // 8) - (width == 8))
                for _ in range(count)] for _ in range(rows)]
    raw = [b"".join(v.to_bytes(width, "little") for v in row) for row in numbers]
    layout, columns = lanes_of(count, bits), lanes_of(rows, 64)
    assert [layout.decode(spread(row, width, layout)) for row in raw] == [
        tuple(row) for row in numbers]
    assert [columns.decode(column) for column in transpose(raw, width)] == list(
        zip(*numbers))
