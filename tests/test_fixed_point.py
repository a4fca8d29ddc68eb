"""fixed_point: units, and floats as whole multiples of them, against exact fractions."""
import math
from fractions import Fraction

import pytest

import fixed_point
from lanes import LaneOverflowError

UNIT = Fraction(1, 1 << 10)


def test_units_are_fractions_that_know_their_products():
    unit = fixed_point.unit_of(Fraction(1, 24))
    assert unit == Fraction(1, 24) and hash(unit) == hash(Fraction(1, 24))
    assert fixed_point.unit_of(unit) is unit is fixed_point.unit_of(Fraction(1, 24))
    for other in (3, Fraction(2, 5), unit):
        for result, expected in ((unit * other, Fraction(1, 24) * other),
                                 (unit / other, Fraction(1, 24) / other)):
            assert result == expected and isinstance(result, fixed_point.Unit)
        assert unit * other is unit * other and unit / other is unit / other
    assert unit * 2.0 == pytest.approx(1 / 12) and isinstance(unit * 2.0, float)
    assert unit * 2 == Fraction(1, 12) and unit / 2.0 == 1 / 48
    with pytest.raises(TypeError):
        unit * "2"


def test_the_largest_power_of_two_in_a_number():
    for n in range(-40, 41):
        power = Fraction(2) ** n
        assert fixed_point.floor_log2(power) == n
        assert fixed_point.floor_log2(power * Fraction(1023, 1024)) == n - 1
        assert fixed_point.floor_log2(power * Fraction(1025, 1024)) == n


@pytest.mark.parametrize("alpha", [1, -1, 0.5, -0.1, 3.7, 1e-6, 12345.678])
@pytest.mark.parametrize("ratio", [Fraction(1), Fraction(3), Fraction(1, 3),
                                   Fraction(1, 1 << 15), Fraction(1 << 15)], ids=str)
def test_a_factor_is_a_whole_number_and_a_shift(alpha, ratio):
    whole, shift = fixed_point.whole_and_shift(alpha, UNIT * ratio, UNIT)
    exact = Fraction(alpha) * ratio
    assert type(whole) is int
    if exact.denominator == 1:
        assert (whole, shift) == (exact, 0)
    else:
        assert 128 <= abs(whole) <= 256
        assert abs(whole / Fraction(2) ** shift / exact - 1) <= Fraction(1, 256)


@pytest.mark.parametrize("alpha", [1, -1, 0.5, -0.1, 3.7])
def test_a_scale_is_the_quotient_of_the_units(alpha):
    for unit, new_unit in ((UNIT, UNIT / 3), (1, UNIT), (UNIT * 5, 1)):
        exact = Fraction(alpha) * unit / new_unit
        assert fixed_point.scale_between(alpha, unit, new_unit) == float(exact)


def test_the_logarithm_of_a_ratio_is_whole_or_refused():
    for n in (-40, -1, 0, 1, 40):
        assert fixed_point.log2_of_ratio(UNIT * Fraction(2) ** n, UNIT) == n
    for ratio in (3, Fraction(1, 3), Fraction(1023, 1024)):
        with pytest.raises(ValueError, match="no power of two"):
            fixed_point.log2_of_ratio(UNIT * ratio, UNIT)


def test_nine_bits_are_left_behind_the_point():
    for unit in (Fraction(1, 1 << 20), Fraction(1, 9 << 16), Fraction(1, 700), UNIT):
        left = unit * 2 ** fixed_point.bits_beyond_nine(unit)
        assert Fraction(1, 1024) < left <= Fraction(1, 512)
    assert fixed_point.bits_beyond_nine(Fraction(1, 8)) == 0


@pytest.mark.parametrize("by", range(-3, 8))
def test_a_shifted_bound_holds_for_what_is_shifted(by):
    for bound in (0, 1, 6, 7, 8, 1000):
        largest = math.floor(Fraction(bound) / Fraction(2) ** by + Fraction(1, 2))
        assert largest <= fixed_point.shifted(bound, by) <= largest + 1


def test_floats_become_the_nearest_whole_numbers():
    assert fixed_point.nearest([0.26, -0.26, 0.125, 0.375, 0], 4) == [1, -1, 0, 2, 0]
    for bad in (math.inf, -math.inf, math.nan):
        with pytest.raises(LaneOverflowError, match="not finite"):
            fixed_point.nearest([1.0, bad], 4)


def test_ten_bits_keep_the_largest_number_to_a_thousandth():
    for numbers in ([0.3, -0.7, 0.0], [1e-30, 5e-31], [-1e30, 1.0], [1.0]):
        whole, exponent = fixed_point.ten_bits(numbers)
        unit = 2.0 ** (exponent - 10)
        assert 512 <= max(map(abs, whole)) <= 1024
        assert all(abs(q * unit - x) <= unit / 2 for q, x in zip(whole, numbers))
    assert fixed_point.ten_bits([0.0, 0.0])[0] == [0, 0]
    with pytest.raises(LaneOverflowError, match="not finite"):
        fixed_point.ten_bits([1.0, math.inf])
