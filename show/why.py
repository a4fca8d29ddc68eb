"""Why 3 and not 2: the difference of two logits, part by part.

With c = 3, r = 2, the last hidden layer's activations a, weights V and biases b,

    Z[c] - Z[r] = sum_k a_k (V[k, c] - V[k, r])  +  b[c] - b[r]     over hidden units k
                = sum_i x_i g_i  +  offset,   g = d(Z[c] - Z[r]) / dx     over pixels i

The first sum is exact for every network.  So is the second with ReLU, or where there is
no hidden layer: as long as no unit changes sides, Z is a straight line in x, and the
offset is what the biases come to on their way through the active units.  Sigmoid and
tanh are curved: there g holds for small changes, and the sum falls short.
"""
from __future__ import annotations

from typing import NamedTuple, Sequence

from engine.sparse import SparseMatrix
from my_math import Matrix, dot
from network import Network, Trace

# More changed pixels than this are hardly the same drawing: MNIST's have 150 of ink.
MOST_CHANGES = 100
_RIVALS = 5                     # classes that are tried for the fewest changes


class Why(NamedTuple):
    """The difference of two logits, as a sum over units and as one over pixels."""

    logits: list[float]         # Z
    difference: float           # Z[c] - Z[r]
    units: list[float]          # a_k (V[k, c] - V[k, r]); [] without a hidden layer
    bias: float                 # b[c] - b[r]
    slope: list[float]          # g, of each pixel
    offset: float               # the biases' part of the sum over pixels


def compare(network: Network, x: SparseMatrix, c: int, r: int,
            masks: Sequence[Matrix] = ()) -> Why:
    """Return why logit c differs from logit r for the one image in x (1 x d).

    `masks` (1 x h), of 0 and 1 for each hidden layer, switch units off.

    >>> net = Network([2, 2, 2])
    >>> net.layers[0].weights = Matrix([[1, -1], [2, 1]])
    >>> net.layers[1].weights = Matrix([[3, 1], [5, 5]])
    >>> compare(net, SparseMatrix.from_matrix(Matrix([[1, 0.5]])), 0, 1).units
    [4.0, 0.0]
    """
    trace, last = network.forward(x, masks), network.layers[-1].weights
    logits, depth = trace.logits[0], len(network.layers)
    slope, offset = slopes(network, trace, c, r)
    units = [a * (weights[c] - weights[r])
             for a, weights in zip(trace.inputs[-1][0], last)] if depth > 1 else []
    biases = network.layers[-1].bias[0]
    return Why(logits, logits[c] - logits[r], units, biases[c] - biases[r], slope,
               offset)


def slopes(network: Network, trace: Trace, c: int, r: int) -> tuple[list[float], float]:
    """Return (g, offset) of the module's second sum, by backpropagation.

    delta_l being d(Z[c] - Z[r]) / dZ of layer l, g = W_1 delta_1 and the offset is
    sum_l b_l delta_l: a bias goes the same way through the network as a pixel.
    """
    start = [0.0] * len(trace.logits[0])
    start[c], start[r] = 1.0, -1.0
    deltas = [gradient.delta for gradient in network.backward(trace, Matrix([start]))]
    offset = sum(dot(layer.bias[0], delta[0])
                 for layer, delta in zip(network.layers, deltas))
    return [g for g, in network.layers[0].weights @ deltas[0].T], offset


def fewest_changes(network: Network, image: bytes, goal: int | None = None,
                   masks: Sequence[Matrix] = ()) -> list[tuple[int, int]]:
    """Return the (pixel, new grey) that make another class of an image, or class
    `goal`; [] where no more than MOST_CHANGES were found to do it.

    One pixel at a time is inked or wiped, the one that takes most off the lead of the
    class on top; at the end those that turned out needless are put back.  So the
    changes are few, but a cleverer search might find fewer.
    """
    logits = _forward(network, image, masks)[0].logits[0]
    order = sorted(range(len(logits)), key=lambda k: -logits[k])
    found, most = [], MOST_CHANGES
    for rival in order[1:_RIVALS + 1] if goal is None else [goal]:
        changes = _changes_towards(network, image, order[0], rival, goal, masks, most)
        if changes:
            found, most = changes, len(changes) - 1     # the next has to be shorter
    return found


def _changes_towards(network: Network, image: bytes, old: int, rival: int,
                     goal: int | None, masks: Sequence[Matrix], most: int
                     ) -> list[tuple[int, int]]:
    """Return the changes that lead to one rival, [] where they are too many."""
    def is_done(top: int) -> bool:
        """Return True where the goal, or any class but the old one, is on top."""
        return top != old if goal is None else top == goal

    picture, changes = bytearray(image), {}
    trace, top = _forward(network, picture, masks)
    while not is_done(top):
        step = _best_change(picture, slopes(network, trace, top, rival)[0], changes)
        if step is None or len(changes) == most:
            return []
        pixel, picture[pixel] = step
        changes[pixel] = picture[pixel]
        trace, top = _forward(network, picture, masks)
    for pixel in list(changes):         # is each of them still needed?
        picture[pixel] = image[pixel]
        if is_done(_forward(network, picture, masks)[1]):
            del changes[pixel]
        else:
            picture[pixel] = changes[pixel]
    return list(changes.items())


def _forward(network: Network, image: bytes, masks: Sequence[Matrix]
             ) -> tuple[Trace, int]:
    """Return the trace of one image, and the class with the largest logit."""
    trace = network.forward(SparseMatrix.from_images([image]), masks)
    return trace, trace.logits[0].index(max(trace.logits[0]))


def _best_change(picture: bytes, slope: Sequence[float], done: dict[int, int]
                 ) -> tuple[int, int] | None:
    """Return the (pixel, grey) that takes most off the lead that has this slope."""
    gains = [(g * grey if g > 0 else -g * (255 - grey), pixel) for pixel, (g, grey)
             in enumerate(zip(slope, picture)) if pixel not in done]
    gain, pixel = max(gains)
    return (pixel, 0 if slope[pixel] > 0 else 255) if gain > 0 else None
