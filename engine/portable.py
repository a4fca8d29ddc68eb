"""Functions that give the same bits on every machine.

`math.exp`, `math.cos` and their like may differ in the last digit from one C library to
the next.  IEEE 754 fixes every bit of + - * /, and `decimal` rounds correctly: what
decides a weight is made of these alone.
"""
from __future__ import annotations

from decimal import Decimal
from itertools import accumulate, repeat
from math import fsum
from operator import mul
from typing import Sequence

# exp(-n / 4096) = COARSE[n >> 8] * FINE[n & 255]: two geometric progressions, in steps
# of 1/16 up to 46 (1e-20) and of 1/4096 up to 1/16.  The relative error of a product of
# at most 736 + 255 rounded factors is below 1000 * 2^-53 < 1.2e-13.
_RANGE = 46 * 16
STEP_BITS = 12      # 4096 = 2^12


def _progression(ratio: float, count: int) -> list[float]:
    """Return 1, r, r^2, ...: `count` numbers."""
    return list(accumulate(repeat(ratio, count - 1), mul, initial=1.0))


COARSE = _progression(float((Decimal(-1) / 16).exp()), _RANGE)
FINE = _progression(float((Decimal(-1) / 4096).exp()), 256)


def exp_falls(steps: Sequence[int]) -> list[float]:
    """Return exp(-n / 4096) for each n >= 0 of `steps`; 0 from n = 46 * 4096 on.

    >>> [round(x, 6) for x in exp_falls([0, 4096, 10 ** 9])]
    [1.0, 0.367879, 0.0]
    """
    try:
        return [COARSE[n >> 8] * FINE[n & 255] for n in steps]
    except IndexError:
        return [COARSE[n >> 8] * FINE[n & 255] if n < _RANGE << 8 else 0.0
                for n in steps]


def exp(x: float) -> float:
    """Return e^x, x being rounded to the nearest 1/4096.

    >>> round(exp(-2.0), 6), round(exp(2.0), 6)
    (0.135335, 7.389056)
    """
    power, = exp_falls([round(abs(x) * 4096)])
    return power if x < 0 else 1 / power if power else float("inf")


def softmax(logits: Sequence[int], shift: int) -> list[float]:
    """Return P[j] = exp(Z[j]) / sum_k exp(Z[k]) for whole Z in units of
    2^-(STEP_BITS + shift).

    fsum rounds the exact sum once, in every Python, which `sum` does not.
    """
    top = max(logits) + (1 << shift >> 1)       # rounds the difference to a step
    powers = exp_falls([top - z >> shift for z in logits])
    total = fsum(powers)
    return [power / total for power in powers]


def sigmoid(z: int, shift: int) -> float:
    """Return 1 / (1 + e^-z) for a whole z in units of 2^-(STEP_BITS + shift)."""
    fall, = exp_falls([abs(z) + (1 << shift >> 1) >> shift])
    return 1 / (1 + fall) if z >= 0 else fall / (1 + fall)


def _sigmoids(logits: Sequence[int], shift: int) -> list[float]:
    return [sigmoid(z, shift) for z in logits]


# The outputs that belong to each loss.
OUTPUTS = {"cross-entropy": softmax, "bce": _sigmoids, "mse": _sigmoids}


def cos(x: float) -> float:
    """Return cos x = sum_n (-x^2)^n / (2n)!, to 1e-12 for |x| <= 4.

    >>> round(cos(3.141592653589793 / 3), 12)
    0.5
    """
    total = term = 1.0
    for n in range(1, 16):
        term *= -x * x / ((2 * n - 1) * (2 * n))
        total += term
    return total
