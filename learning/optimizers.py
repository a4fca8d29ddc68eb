"""Optimizers make a step of a gradient: plain descent, momentum, Adam; with L2.

They work on the layers of either engine: objects with `weights` and `bias`, matrices
with +, - and * by a number, and `target`, the matrices that take the steps of a batch.
A learning rate goes into dZ before anything else is made of it (`scale`), so that a
step, -scale / m X^T dZ summed over the batch, arrives there.
"""
from __future__ import annotations

import math
from typing import Any, Sequence

from my_math import Matrix

Matrices = dict[str, list[list[Matrix]]]     # kind, layer, [of weights, of bias]


class SGD:
    """Stochastic gradient descent: W <- W - lr (dL/dW + l2 W).

    The second part is the slope of l2/2 times the sum of all squared weights; biases
    have none.
    """

    step_count = 0              # t of Adam
    state: Matrices = {}        # of a run beside its weights

    def __init__(self, layers: Sequence[Any], l2: float = 0.0) -> None:
        self.layers, self.l2 = layers, l2

    @property
    def is_plain(self) -> bool:
        """Return True if nothing but steps changes the weights."""
        return type(self) is SGD and not self.l2

    def scale(self, learning_rate: float) -> float:
        """Return the factor of dL/dZ on its way to the targets."""
        return learning_rate

    def decay(self, learning_rate: float) -> None:
        """Subtract the part of L2, before the steps of the batch."""
        shrink = self.scale(learning_rate) * self.l2
        if not shrink:
            return
        for layer in self.layers:
            less = layer.weights * shrink
            if layer.target:
                layer.target = (layer.target[0] - less, layer.target[1])
            else:
                layer.weights = layer.weights - less

    def apply(self, learning_rate: float) -> None:
        """Finish the batch, when all steps have arrived."""


class Momentum(SGD):
    """Momentum (Polyak 1964): V <- mu V + lr dL/dW, W <- W - V.

    Kept in another form with the same W.  For T = W - mu / (1 - mu) V, the limit of W
    if all further gradients were 0, the two lines mean

        T <- T - lr / (1 - mu) dL/dW,      W <- W + (1 - mu) (T - W):

    plain descent by larger steps, and weights that follow at a distance, smoothed.  The
    gradient stays in its factors, and rounding cannot make W drift away from T.
    """

    def __init__(self, layers: Sequence[Any], l2: float, momentum: float) -> None:
        """`momentum` is mu, in 0..1; 0.9 is usual."""
        super().__init__(layers, l2)
        self.follow = 1 - momentum
        for layer in layers:
            layer.target = (layer.weights.copy(), layer.bias.copy())

    def scale(self, learning_rate: float) -> float:
        """Return lr / (1 - mu)."""
        return learning_rate / self.follow

    def apply(self, learning_rate: float) -> None:
        """W <- W + (1 - mu) (T - W)."""
        for layer in self.layers:
            weights, bias = layer.target
            layer.weights = layer.weights + (weights - layer.weights) * self.follow
            layer.bias = layer.bias + (bias - layer.bias) * self.follow

    @property
    def state(self) -> Matrices:
        """The matrices T."""
        return {"target": [[m.to_matrix() for m in layer.target]
                           for layer in self.layers]}

    @state.setter
    def state(self, state: Matrices) -> None:
        """Set the matrices T, in the form that each engine has."""
        for layer, matrices in zip(self.layers, state["target"]):
            layer.target = tuple(old * 0 + new      # in the units of old
                                 for old, new in zip(layer.target, matrices))


def _power(base: float, exponent: int) -> float:
    """Return base^exponent by products alone: `**` is the C library's.

    x^13 = x^8 x^4 x: one factor for each 1 of 13 = 1101 in binary.
    """
    result = 1.0
    while exponent:
        if exponent & 1:
            result *= base
        base, exponent = base * base, exponent >> 1
    return result


class Adam(SGD):
    """Adam (Kingma and Ba 2015, arXiv 1412.6980), with bias correction.

        M <- b1 M + (1 - b1) G          the mean slope of late
        V <- b2 V + (1 - b2) G^2        the mean squared slope
        W <- W - lr m / (sqrt(v) + e)   with m = M / (1 - b1^t), v = V / (1 - b2^t)

    in step t; G = dL/dW + l2 W.  The square root of each number takes floats, on either
    engine.
    """

    B1, B2, EPSILON = 0.9, 0.999, 1e-8

    def __init__(self, layers: Sequence[Any], l2: float) -> None:
        super().__init__(layers, l2)
        self.state = {
            kind: [[Matrix.zeros(*m.shape) for m in (layer.weights, layer.bias)]
                   for layer in layers] for kind in ("mean", "square")}

    def scale(self, learning_rate: float) -> float:
        """Return 1: the learning rate comes in later."""
        return 1.0

    def decay(self, learning_rate: float) -> None:
        """Set the targets to 0, for the steps of the batch; L2 is part of G here."""
        for layer in self.layers:
            layer.target = (layer.weights * 0, layer.bias * 0)

    def apply(self, learning_rate: float) -> None:
        """Take one step by the sum of the batch, -G without L2."""
        self.step_count += 1
        for number, layer in enumerate(self.layers):
            weights, bias = (target.to_matrix() for target in layer.target)
            slope = -weights
            if self.l2:
                slope = slope + layer.weights.to_matrix() * self.l2
            layer.weights = layer.weights + self._move(number, 0, slope, learning_rate)
            layer.bias = layer.bias + self._move(number, 1, -bias, learning_rate)

    def _move(self, number: int, kind: int, slope: Matrix, learning_rate: float
              ) -> Matrix:
        """Return -lr m / (sqrt(v) + e), M and V of one parameter being updated."""
        b1, b2, e, root = self.B1, self.B2, self.EPSILON, math.sqrt
        means, squares = self.state["mean"][number], self.state["square"][number]
        means[kind] = means[kind].map_rows(
            lambda old, g: [b1 * m + (1 - b1) * x for m, x in zip(old, g)], slope)
        squares[kind] = squares[kind].map_rows(
            lambda old, g: [b2 * v + (1 - b2) * x * x for v, x in zip(old, g)], slope)
        rest1, rest2 = (1 - _power(b, self.step_count) for b in (b1, b2))
        rate = -learning_rate / rest1
        return means[kind].map_rows(
            lambda m, v: [rate * x / (root(y / rest2) + e) for x, y in zip(m, v)],
            squares[kind])


OPTIMIZERS = {"sgd": SGD, "momentum": Momentum, "adam": Adam}
