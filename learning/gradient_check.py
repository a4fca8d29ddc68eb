"""Is the gradient right?  Backpropagation against finite differences."""
from __future__ import annotations

from itertools import product
from typing import Sequence

from my_math import Matrix
from network import Inputs, Network


def gradient_check(network: Network, x: Inputs, labels: Sequence[int],
                   step: float = 1e-3, smoothing: float = 0.0,
                   masks: Sequence[Matrix] = ()) -> float:
    """The largest relative error of backpropagation against finite differences.

    For each parameter w the slope is measured by the centred difference of fourth order

        dL/dw = (8 [L(w + s) - L(w - s)] - [L(w + 2s) - L(w - 2s)]) / 12 s + O(s^4)

    and compared with backpropagation's: |difference| / the larger of the two.
    Below 1e-6 the gradient is right; a forgotten factor shows as 0.1 or more.
    """
    def slope(matrix: Matrix, i: int, j: int) -> float:
        """The centred difference for one parameter."""
        middle, at = matrix[i, j], {}
        for offset in (-2, -1, 1, 2):
            matrix[i, j] = middle + offset * step
            at[offset] = network.mean_loss(x, labels, smoothing, masks)
        matrix[i, j] = middle
        return (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * step)

    _, gradients = network.loss_and_gradients(x, labels, smoothing, masks)
    worst = 0.0
    for layer, gradient in zip(network.layers, gradients):
        for matrix, computed in ((layer.weights, gradient.weights),
                                 (layer.bias, gradient.bias)):
            for i, j in product(*map(range, matrix.shape)):
                pair = computed[i, j], slope(matrix, i, j)
                if any(pair):
                    worst = max(worst, abs(pair[0] - pair[1]) / max(map(abs, pair)))
    return worst
