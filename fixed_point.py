"""Fixed point: numbers as whole multiples of a unit, and units against one another.

A number x in units of u is the whole number round(x / u).  Where it is taken into
another unit, what it is multiplied by is worked out exactly, in fractions.
"""
from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any, Iterable, Sequence

from lanes import LaneOverflowError


# ---------------------------------------------------------------------------
# Units
# ---------------------------------------------------------------------------

class Unit(Fraction):
    """A Fraction that remembers its hash and what has been made of it.

    Units are exact, and fractions are slow: 2 us an operation, 1 us a hash.  A batch
    asks for the same dozens of them as the batch before.
    """

    __slots__ = ("_hash",)

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            self._hash = super().__hash__()
            return self._hash

    def __mul__(self, other: Any) -> Any:
        exact = isinstance(other, (int, Fraction))
        return _product(self, other) if exact else super().__mul__(other)

    def __truediv__(self, other: Any) -> Any:
        exact = isinstance(other, (int, Fraction))
        return _quotient(self, other) if exact else super().__truediv__(other)


def unit_of(number: Fraction) -> Unit:
    """The number itself if it is a Unit, else a Unit of its value, kept for later.

    All units are made here: equal ones are then one object, which a cache finds without
    comparing fractions.
    """
    return number if isinstance(number, Unit) else _unit_made(number)


@lru_cache(maxsize=1024)
def _unit_made(number: Fraction) -> Unit:
    return Unit(number)


@lru_cache(maxsize=1024)
def _product(unit: Unit, other: Fraction | int) -> Unit:
    return unit_of(Fraction(unit) * other)


@lru_cache(maxsize=1024)
def _quotient(unit: Unit, other: Fraction | int) -> Unit:
    return unit_of(Fraction(unit) / other)


# ---------------------------------------------------------------------------
# One unit against another
# ---------------------------------------------------------------------------

@lru_cache(maxsize=None)
def log2_of_ratio(a: Fraction, b: Fraction) -> int:
    """The whole number n with a / b = 2^n; ValueError where there is none."""
    ratio = a / b
    exponent = ratio.numerator.bit_length() - ratio.denominator.bit_length()
    if Fraction(2) ** exponent != ratio:
        raise ValueError(f"{a} over {b} is no power of two")
    return exponent


@lru_cache(maxsize=None)
def bits_beyond_nine(unit: Fraction) -> int:
    """By how much to shift numbers in this unit to have them in 1/1024 to 1/512."""
    return max(0, math.floor(math.log2(1 / (512 * unit))))


@lru_cache(maxsize=None)
def floor_log2(number: Fraction) -> int:
    """The largest n with 2^n <= number."""
    n = number.numerator.bit_length() - number.denominator.bit_length()
    return n if Fraction(2) ** n <= number else n - 1


@lru_cache(maxsize=64)
def scale_between(alpha: float, unit: Fraction, new_unit: Fraction) -> float:
    """What numbers in one unit are times in another, taken alpha times."""
    return float(Fraction(alpha) * unit / new_unit)


@lru_cache(maxsize=64)
def whole_and_shift(alpha: float, unit: Fraction, new_unit: Fraction
                    ) -> tuple[int, int]:
    """(k, s) for which k 2^-s times a number of units is alpha times it in new units.

    Where that is no whole number, k has 8 bits.
    """
    factor = Fraction(alpha) * unit / new_unit
    if factor.denominator == 1:
        return factor.numerator, 0
    shift = 8 - math.frexp(factor)[1]
    return round(factor * Fraction(2) ** shift), shift


def shifted(bound: int, by: int) -> int:
    """A bound on lanes after shifting them right, and rounding, or left."""
    return (bound >> by) + 1 if by > 0 else bound << -by


# ---------------------------------------------------------------------------
# Floats as whole numbers
# ---------------------------------------------------------------------------

def nearest(numbers: Iterable[float], scale: float) -> list[int]:
    """Each number times the scale, rounded; LaneOverflowError for infinity and NaN."""
    try:
        return [round(x * scale) for x in numbers]
    except (OverflowError, ValueError):
        raise LaneOverflowError("a number that is not finite") from None


def ten_bits(numbers: Sequence[float]) -> tuple[list[int], int]:
    """(q, e) with numbers = q 2^(e - 10), rounded, the largest |q| being at most 2^10.

    >>> ten_bits([0.5, -0.25])
    ([512, -256], 0)
    """
    largest = max(map(abs, numbers))
    if not largest < math.inf:
        raise LaneOverflowError("a number that is not finite")
    exponent = math.frexp(largest)[1]
    scale = math.ldexp(1.0, 10 - exponent)
    return [round(x * scale) for x in numbers], exponent
