"""lanes: every operation against plain lists, on random and on extreme values."""
import random

import pytest

from lanes import NARROW, WIDE, LaneOverflowError, Lanes, lanes_of

WIDTHS = (NARROW, WIDE)
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
def test_raw_bytes_are_the_lanes_in_two_s_complement(layout):
    for row in rows_of(layout):
        raw = b"".join(v.to_bytes(layout.bits // 8, "little", signed=True) for v in row)
        assert layout.from_raw(raw) == layout.encode(row)


@every_layout
def test_adding_and_multiplying_rows_works_on_all_lanes_at_once(layout):
    rng, reach = random.Random(7), 1 << layout.bits - 12
    for _ in range(20):
        rows = [[rng.randint(-reach, reach) for _ in range(layout.count)]
                for _ in range(4)]
        factors = [rng.randint(-255, 255) for _ in rows]
        total = sum(f * layout.encode(row) for f, row in zip(factors, rows))
        assert layout.decode(total) == tuple(
            sum(f * v for f, v in zip(factors, column)) for column in zip(*rows))


@every_layout
def test_signs_are_1_where_a_lane_is_not_negative(layout):
    for row in rows_of(layout):
        signs = layout.signs(layout.encode(row))
        assert layout.decode(signs) == tuple(int(v >= 0) for v in row)


@every_layout
def test_keep_leaves_the_lanes_with_a_sign_and_wipes_the_others(layout):
    rng = random.Random(8)
    for row in rows_of(layout):
        chosen = [rng.randint(0, 1) for _ in row]
        for signs in (chosen, [0] * len(row), [1] * len(row)):
            kept = layout.keep(layout.encode(row), layout.encode(signs))
            assert layout.decode(kept) == tuple(v * s for v, s in zip(row, signs))


@every_layout
def test_shift_right_divides_and_rounds_every_lane(layout):
    """floor(v / 2^k + 1/2), written in whole numbers; not one bit reaches a neighbour,
    not even where the largest number is rounded up."""
    for by in {1, 2, 7, layout.bits // 2, layout.bits - 2, layout.bits - 1,
               layout.bits, layout.bits + 9}:
        for row in rows_of(layout):
            expected = tuple((2 * v + (1 << by)) >> by + 1 for v in row)
            shifted = layout.shift_right(layout.encode(row), by)
            assert layout.decode(shifted) == expected, by


@every_layout
@pytest.mark.parametrize("by", [0, -1, -5])
def test_shift_right_by_less_than_nothing_multiplies(layout, by):
    for row in rows_of(layout):
        row = tuple(v >> 6 for v in row)
        shifted = layout.shift_right(layout.encode(row), by)
        assert layout.decode(shifted) == tuple(v << -by for v in row)


@every_layout
def test_measure_is_the_power_of_two_that_bounds_all_lanes(layout):
    rng, rows = random.Random(9), rows_of(layout)
    assert layout.measure([]) == 1 and layout.measure([0, 0]) == 1
    for row in rows + [[v >> rng.randint(0, layout.bits) for v in row] for row in rows]:
        largest = max(map(abs, row))
        measured = layout.measure([layout.encode(row)])
        assert bin(measured).count("1") == 1
        assert largest <= measured <= max(1, 2 * largest)
    several = [layout.encode(row) for row in rows[:6]]
    assert layout.measure(several) == max(map(layout.measure, ([r] for r in several)))


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


def test_a_layout_is_made_once():
    assert lanes_of(128, 32) is lanes_of(128, 32)
    assert lanes_of(128, 32) is not lanes_of(128, 64)
    assert Lanes(2, 32).ones == 1 + (1 << 32)


@every_layout
@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("width", [1, 2])
def test_flip_makes_columns_of_rows_in_as_wide_lanes_or_wider(layout, count, width):
    rng, bits = random.Random(10), min(WIDE, layout.bits * width)
    columns, all_rows = lanes_of(count, bits), rows_of(layout)
    least = -1 << layout.bits - 1
    chosen = [rng.choices(all_rows, k=count) for _ in range(10)]
    for rows in [*chosen, [(least,) * layout.count] * count]:
        encoded = list(map(layout.encode, rows))
        flipped = layout.flip(encoded, bits)
        assert [columns.decode(column) for column in flipped] == list(zip(*rows))
        if bits == layout.bits:
            assert columns.flip(flipped, bits) == encoded          # and back


@every_layout
def test_measure_takes_any_rows_together(layout):
    """Lanes of both signs, next to one another, in different rows."""
    rng, rows = random.Random(11), rows_of(layout)
    for _ in range(20):
        some = rng.choices(rows, k=3)
        shifted = [[v >> rng.randint(0, layout.bits) for v in row] for row in some]
        largest = max(abs(v) for row in shifted for v in row)
        measured = layout.measure(map(layout.encode, shifted))
        assert measured >> 1 <= largest <= measured or largest <= measured == 1
