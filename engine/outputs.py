"""The end of a packed network: outputs, losses and dL/dZ of one image.

Logits come as whole numbers in units of 2^-(12 + shift).  Outputs and gradients, which
decide weights, are the same on every machine (`portable`); a loss is only printed, and
`math` will do.
"""
from __future__ import annotations

import math
from operator import mul
from typing import Callable, NamedTuple, Sequence

from engine.portable import sigmoid, softmax


class Outputs(NamedTuple):
    """The functions that belong to one loss; see `network.LOSSES` for the formulas."""

    of: Callable[[Sequence[int], int], list[float]]         # Z, shift -> P
    gradient: Callable[[Sequence[float], Sequence[float]], list[float]]  # P, Y -> dZ
    loss: Callable[..., float]                              # Z, shift, P, Y, label -> L


def _difference(p: Sequence[float], y: Sequence[float]) -> list[float]:
    """Return P - Y."""
    return [a - b for a, b in zip(p, y)]


def _cross_entropy(z: Sequence[int], shift: int, p: Sequence[float],
                   y: Sequence[float], label: int) -> float:
    """Return -sum_j Y[j] log P[j] = max Z - sum_j Y[j] Z[j] - log(max P)."""
    if p[label] and y[label] == 1:
        return -math.log(p[label])
    expected = sum(map(mul, y, z))
    return math.ldexp(max(z) - expected, -12 - shift) - math.log(max(p))


def _binary_cross_entropy(z: Sequence[int], shift: int, p: Sequence[float],
                          y: Sequence[float], label: int) -> float:
    """Return sum_j max(Z, 0) - Y Z + log(1 + e^-|Z|)."""
    floats = [math.ldexp(value, -12 - shift) for value in z]
    return math.fsum(max(v, 0) - b * v + math.log1p(math.exp(-abs(v)))
                     for v, b in zip(floats, y))


def _squared_error(z: Sequence[int], shift: int, p: Sequence[float],
                   y: Sequence[float], label: int) -> float:
    """Return sum_j (P[j] - Y[j])^2."""
    return math.fsum((a - b) ** 2 for a, b in zip(p, y))


def _sigmoids(z: Sequence[int], shift: int) -> list[float]:
    """Return sigmoid(Z[j]) for each j."""
    return [sigmoid(value, shift) for value in z]


OUTPUTS = {
    "cross-entropy": Outputs(softmax, _difference, _cross_entropy),
    "bce": Outputs(_sigmoids, _difference, _binary_cross_entropy),
    "mse": Outputs(
        _sigmoids,
        lambda p, y: [2 * (a - b) * a * (1 - a) for a, b in zip(p, y)],
        _squared_error),
}
