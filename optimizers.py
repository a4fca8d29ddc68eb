"""How a step is made of a gradient: plain descent, momentum, Nesterov, Adam; L2.

Each optimizer takes a batch in two moves.  `take` hands the gradients over, still in
the two factors that make them up, so that no dW is ever built; what several processes
found is then put together; `settle` does the rest.

A learning rate goes into dZ before anything else is made of it (`scale`), so that what
arrives here is a step already, to be taken off.  They work on any class that has the
methods of `my_math.Matrix`.
"""
from __future__ import annotations

import math
from typing import Any, Callable, Iterable, Sequence

from my_math import Matrix


class SGD:
    """Stochastic gradient descent: W <- W - lr (dL/dW + l2 W).

    The second part is the slope of l2/2 times the sum of all squared weights; biases
    have none.  Where numbers are rounded, weights would not feel the very small part of
    one batch: it is owed until it is large enough (`Matrix.grain`).
    """

    def __init__(self, layers: Sequence[Any], l2: float = 0.0) -> None:
        self.layers, self.l2, self.owed = layers, l2, 0.0
        self.targets = self._targets()
        self.flush: Callable[[], Any] = lambda: None

    def _targets(self) -> list[tuple[Any, Any]]:
        """For each layer the matrices that take up the steps of weights and bias."""
        return [(layer.weights, layer.bias) for layer in self.layers]

    def scale(self, learning_rate: float) -> float:
        """What dL/dZ is multiplied by on its way to `take`."""
        return learning_rate

    def take(self, gradients: Sequence[Any], learning_rate: float) -> None:
        """Take up a batch: -inputs^T dZ for the weights, -(sum of dZ) for the bias."""
        self.decay(learning_rate)
        for (weights, bias), gradient in zip(self.targets, gradients):
            weights.add_matmul(gradient.inputs.T, gradient.delta, -1)
            bias.add_column_sums(gradient.delta, -1)

    def settle(self, learning_rate: float) -> None:
        """Finish the batch, when the steps of all processes have been taken up."""
        self.flush()

    def decay(self, learning_rate: float) -> None:
        """The part of L2: W <- W - lr l2 W, now or when it is worth it."""
        self.owed += self.scale(learning_rate) * self.l2
        if self.owed and self.owed >= self.layers[0].weights.grain:
            for layer, (target, _) in zip(self.layers, self.targets):
                target.stored.add_scaled(layer.weights.stored, -self.owed)
            self.owed = 0.0

    # --- for checkpoints: what a resumed run needs beside the weights

    @property
    def memory(self) -> dict[str, list]:
        """Matrices of each kind: for each layer one for the weights, one for the bias.
        """
        return {}

    @property
    def counts(self) -> dict[str, float]:
        """Numbers by name."""
        return {"owed": self.owed}

    def restore_counts(self, counts: dict[str, float]) -> None:
        """Take over what `counts` gave."""
        self.owed = counts["owed"]


class Momentum(SGD):
    """Momentum (Polyak 1964): V <- mu V + lr dL/dW, W <- W - V.

    Kept in another form with the same W.  For Z = W - mu / (1 - mu) V, where the ball
    would come to rest with no more slope, these two lines mean

        Z <- Z - lr / (1 - mu) dL/dW,      W <- W + (1 - mu) (Z - W):

    plain descent by larger steps, and weights that follow at a distance, smoothed.  The
    gradient stays in its factors, and rounding cannot make W drift away from Z.
    """

    def __init__(self, layers: Sequence[Any], l2: float = 0.0, momentum: float = 0.9
                 ) -> None:
        """mu = `momentum`, in 0..1; 0.9 is usual."""
        self.share = 1 - momentum
        super().__init__(layers, l2)

    def _targets(self) -> list[tuple[Any, Any]]:
        return [(layer.weights.copy(), layer.bias.copy()) for layer in self.layers]

    def scale(self, learning_rate: float) -> float:
        """lr / (1 - mu)."""
        return learning_rate / self.share

    def settle(self, learning_rate: float) -> None:
        """Let the weights follow."""
        self.flush()
        for followers, targets in zip(self._followers(), self.targets):
            for follower, target in zip(followers, targets):
                follower.stored.become(follower.stored, target.stored, self.share)

    def _followers(self) -> Iterable[tuple[Any, Any]]:
        return [(layer.weights, layer.bias) for layer in self.layers]

    @property
    def memory(self) -> dict[str, list]:
        """Z."""
        return {"goal": self.targets}


class Nesterov(Momentum):
    """Nesterov's momentum (1983), as PyTorch has it: W <- W - lr dL/dW - mu V.

    The slope is taken where momentum is about to carry the weights.  With U the weights
    of `Momentum`, these are W = U + (1 - mu) (Z - U), one more move of the follower.
    """

    def __init__(self, layers: Sequence[Any], l2: float = 0.0, momentum: float = 0.9
                 ) -> None:
        self.plain = [(layer.weights.copy(), layer.bias.copy()) for layer in layers]
        super().__init__(layers, l2, momentum)

    def _followers(self) -> Iterable[tuple[Any, Any]]:
        return self.plain

    def settle(self, learning_rate: float) -> None:
        """Let U follow Z, and W run ahead of U."""
        super().settle(learning_rate)
        for layer, plain, targets in zip(self.layers, self.plain, self.targets):
            for own, u, z in zip((layer.weights, layer.bias), plain, targets):
                own.stored.become(u.stored, z.stored, self.share)

    @property
    def memory(self) -> dict[str, list]:
        """Z and U."""
        return {"goal": self.targets, "plain": self.plain}


class Adam(SGD):
    """Adam (Kingma and Ba 2015, arXiv 1412.6980), with bias correction.

        M <- b1 M + (1 - b1) G          the mean slope of late
        V <- b2 V + (1 - b2) G^2        the mean squared slope
        W <- W - lr m / (sqrt(v) + e)   with m = M / (1 - b1^t), v = V / (1 - b2^t)

    in step t, b1 = 0.9, b2 = 0.999, e = 1e-8; G = dL/dW + l2 W.  The square root of
    each number takes floats, on either engine.  Here M and V are without their factors
    (1 - b1) and (1 - b2), which are made up for in the last line.
    """

    def __init__(self, layers: Sequence[Any], l2: float = 0.0, gain: float = 1.0,
                 betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8
                 ) -> None:
        """Gradients come multiplied by `gain`, to use lanes of fixed point well."""
        self.gain, self.betas, self.epsilon, self.steps = gain, betas, epsilon, 0
        super().__init__(layers, l2)
        self.means, self.squares = ([[Matrix.zeros(*m.stored.shape)
                                      for m in (layer.weights, layer.bias)]
                                     for layer in layers] for _ in "MV")

    def _targets(self) -> list[tuple[Any, Any]]:
        return [(layer.weights.accumulator(), layer.bias.accumulator())
                for layer in self.layers]

    def scale(self, learning_rate: float) -> float:
        """The gain: the learning rate comes in later."""
        return self.gain

    def decay(self, learning_rate: float) -> None:
        """L2 is part of G here."""

    def settle(self, learning_rate: float) -> None:
        """One step by the gradients of all processes."""
        self.flush()
        self.steps += 1
        for number, layer in enumerate(self.layers):
            for kind, own in enumerate((layer.weights.stored, layer.bias.stored)):
                taken = self.targets[number][kind].stored
                l2 = self.l2 if kind == 0 else 0.0      # for the weights alone
                slope = taken.map_rows(
                    lambda sums, row: self._slope(sums, row, l2), own)
                own.add_scaled(self._move(number, kind, slope), -learning_rate)
                taken.clear()

    def _slope(self, sums: list[float], weights: list[float], l2: float) -> list[float]:
        """A row of G from one of -gain dL/dW."""
        back = -1 / self.gain
        if not l2:
            return [back * x for x in sums]
        return [back * x + l2 * w for x, w in zip(sums, weights)]

    def _move(self, number: int, kind: int, slope: Matrix) -> Matrix:
        """m / (sqrt(v) + e), with M and V of one parameter brought up to date."""
        (b1, b2), root = self.betas, math.sqrt
        means, squares = self.means[number], self.squares[number]
        means[kind] = means[kind].map_rows(
            lambda old, g: [b1 * m + x for m, x in zip(old, g)], slope)
        squares[kind] = squares[kind].map_rows(
            lambda old, g: [b2 * v + x * x for v, x in zip(old, g)], slope)
        mean_part = (1 - b1) / (1 - b1 ** self.steps)
        square_part = root((1 - b2) / (1 - b2 ** self.steps))
        rate, floor = mean_part / square_part, self.epsilon / square_part
        return means[kind].map_rows(
            lambda m, v: [rate * x / (root(y) + floor) for x, y in zip(m, v)],
            squares[kind])

    @property
    def memory(self) -> dict[str, list]:
        """M and V, in the order in which a parameter is stored."""
        return {"mean": self.means, "square": self.squares}

    @property
    def counts(self) -> dict[str, float]:
        """t."""
        return {"steps": self.steps}

    def restore_counts(self, counts: dict[str, float]) -> None:
        """Take over t."""
        self.steps = int(counts["steps"])


OPTIMIZERS = {"sgd": SGD, "momentum": Momentum, "nesterov": Nesterov, "adam": Adam}
