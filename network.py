"""A neural network of dense layers: forward pass, backpropagation, training step.

The network of the README, 784-128-10 with ReLU and softmax, and the shapes of its
matrices (m images in a batch; the names are those of `my_math`):

    Z1 = X W1 + b1     (m x 784)(784 x 128)     dZ2 = (P - Y) / m      (m x 10)
    A1 = relu(Z1)      (m x 128)                dW2 = A1^T dZ2         (128 x 10)
    Z2 = A1 W2 + b2    (m x 128)(128 x 10)      dA1 = dZ2 W2^T         (m x 128)
    P  = softmax(Z2)   (m x 10)                 dZ1 = dA1 * (Z1 > 0)   (m x 128)
    L  = -1/m sum_i log P[i, y_i]               dW1 = X^T dZ1          (784 x 128)

Why dZ2 is so simple.  For one image with label y, L = -log P[y] and
P[j] = exp(Z[j]) / S with S = sum_k exp(Z[k]), so that

    L = log S - Z[y],    dL/dZ[j] = exp(Z[j]) / S - (1 if j = y else 0) = P[j] - Y[j].

This is the textbook's network, on lists of floats.  `engine.packed_network` takes the
same steps on integers, many times as fast.
"""
from __future__ import annotations

import math
import operator
import random
from itertools import chain
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, NamedTuple, Sequence, Union

from data_loader import Dataset
from engine.npz import read_npz, write_npz
from engine.sparse import SparseMatrix
from errors import DataError
from my_math import Matrix, ShapeError, argmax, dot

Row = Sequence[float]           # of one sample: a number for each unit or class
Inputs = Union[Matrix, SparseMatrix]

# --- Activations: A = f(Z), and the way back, dL/dZ = dL/dA * f'(Z)

def sigmoid(z: float) -> float:
    """1 / (1 + e^-z), for z < 0 as e^z / (1 + e^z) so that nothing overflows."""
    if z >= 0:
        return 1 / (1 + math.exp(-z))
    e = math.exp(z)
    return e / (1 + e)


class Activation(NamedTuple):
    """A function of every number of Z, and its slope, which the result tells."""

    value: Callable[[float], float]     # z -> a
    slope: Callable[[float], float]     # a -> da/dz


ACTIVATIONS = {
    "relu": Activation(lambda z: z if z > 0 else 0.0, lambda a: float(a > 0)),
    "sigmoid": Activation(sigmoid, lambda a: a * (1 - a)),
    "tanh": Activation(math.tanh, lambda a: 1 - a * a),
}


# --- Losses: what the last layer's sums Z mean, how wrong that is, and dL/dZ

def softmax(logits: Row) -> list[float]:
    """P[j] = exp(Z[j]) / sum_k exp(Z[k]); the largest Z is taken off all of them first.

    That changes nothing in the quotient and keeps exp from overflowing.

    >>> [round(p, 3) for p in softmax([1000.0, 1000.0 + math.log(3)])]
    [0.25, 0.75]
    """
    largest = max(logits)
    powers = [math.exp(z - largest) for z in logits]
    total = math.fsum(powers)     # the same in every Python, which `sum` is not
    return [power / total for power in powers]


def _cross_entropy(logits: Row, outputs: Row, target: Row) -> float:
    """-sum_j Y[j] log P[j] = log sum_k exp(Z[k]) - sum_j Y[j] Z[j].

    log sum_k exp(Z[k]) = Z[j] - log P[j] for every j: taken where P[j] is largest, 1/c
    at least, it needs no more exponentials and no small number's logarithm.
    """
    return max(logits) - math.log(max(outputs)) - dot(target, logits)


def _binary_cross_entropy(logits: Row, outputs: Row, target: Row) -> float:
    """-sum_j Y log A + (1 - Y) log(1 - A) with A = sigmoid(Z), without overflow."""
    return sum(max(z, 0) - y * z + math.log1p(math.exp(-abs(z)))
               for z, y in zip(logits, target))


def _squared_error(logits: Row, outputs: Row, target: Row) -> float:
    """sum_j (A[j] - Y[j])^2 with A = sigmoid(Z)."""
    return sum((a - y) ** 2 for a, y in zip(outputs, target))


class Loss(NamedTuple):
    """The end of the network, for logits Z (m x c) and targets Y (m x c, one-hot)."""

    outputs: Callable[[Matrix], Matrix]           # Z -> outputs in 0..1, one a class
    of_sample: Callable[..., float]   # a row each of Z, of the outputs, of Y -> loss
    gradient: Callable  # outputs, Y -> m dL/dZ: of matrices, or (as the packed engine
    #                     has it) of two numbers


LOSSES = {
    "cross-entropy": Loss(
        lambda logits: logits.map_rows(softmax),
        _cross_entropy,
        operator.sub),              # P - Y
    "bce": Loss(
        lambda logits: logits.map(sigmoid),
        _binary_cross_entropy,
        operator.sub),              # (A - Y) / (A (1 - A)) times A (1 - A)
    "mse": Loss(
        lambda logits: logits.map(sigmoid),
        _squared_error,
        lambda a, y: 2 * (a - y) * a * (1 - a)),
}


# --- Layers and the network

class Gradient(NamedTuple):
    """dL/dW and dL/db of one layer, kept in the factors that make them up.

    The full dW (784 x 128) is never needed for a training step; `weights` and `bias`
    build it for those who want to see it.
    """

    inputs: Inputs                  # (m x k) what went into the layer
    delta: Matrix                   # (m x n) dL/dZ

    @property
    def weights(self) -> Matrix:
        """dL/dW = inputs^T dZ   (k x m)(m x n)."""
        return self.inputs.T @ self.delta

    @property
    def bias(self) -> Matrix:
        """dL/db = the column sums of dZ   (1 x n)."""
        return self.delta.sum(axis=0)


class Dense:
    """A fully connected layer: Z = X W + b, X (m x k), W (k x n), b (1 x n).

    Steps go to the weights and bias, unless an optimizer such as Momentum sets `target`
    to matrices of its own.
    """

    def __init__(self, weights: Matrix, bias: Matrix) -> None:
        self.weights, self.bias = weights, bias
        self.target: tuple[Matrix, Matrix] | None = None

    @classmethod
    def random(cls, inputs: int, outputs: int, activation: str,
               rng: random.Random) -> Dense:
        """Weights that keep the spread of the numbers as they pass through; bias 0.

        ReLU: variance 2 / inputs (He et al. 2015, arXiv 1502.01852).  Sigmoid and tanh:
        2 / (inputs + outputs) (Glorot and Bengio 2010, "Xavier").
        """
        variance = 2 / inputs if activation == "relu" else 2 / (inputs + outputs)
        return cls(Matrix.random_normal(inputs, outputs, rng, math.sqrt(variance)),
                   Matrix.zeros(1, outputs))

    def forward(self, x: Inputs) -> Matrix:
        """Z = X W + b."""
        return x @ self.weights + self.bias

    def take(self, step: Gradient) -> None:
        """W <- W - inputs^T dZ, b <- b - 1^T dZ (1 x m)(m x n); dZ is times lr here.

        A bias is the weight of an input that is always 1.
        """
        weights, bias = self.target or (self.weights, self.bias)
        weights.add_matmul(step.inputs.T, step.delta, -1)
        bias.add_matmul(Matrix([[1] * len(step.delta)]), step.delta, -1)


class Trace(NamedTuple):
    """The numbers of a forward pass that the way back needs."""

    inputs: list         # of each layer: X, A1, ..., less what dropout left out
    sums: list           # of each layer: Z1, Z2, ..., the last being the logits
    active: list         # of each hidden layer: A1, A2, ... in full
    masks: Sequence      # of each hidden layer, where there is dropout

    @property
    def logits(self) -> Matrix:
        """The sums of the last layer (m x c)."""
        return self.sums[-1]


class Evaluation(NamedTuple):
    """Outputs for a data set (n rows of c), its labels, the mean loss if known."""

    outputs: list
    labels: Sequence[int]
    loss: float = math.nan

    @classmethod
    def of(cls, batches: Iterable[tuple[Any, Sequence[int]]], evaluate_batch: Callable,
           progress: Callable[[int], None] = lambda done: None) -> Evaluation:
        """Run batches (X, labels) through evaluate_batch(X, labels), which returns the
        outputs and the sum of the losses; `progress` gets the number of images done."""
        outputs, labels, losses = [], [], []
        for x, some in batches:
            rows, loss = evaluate_batch(x, some)
            outputs.extend(rows)
            labels.extend(some)
            losses.append(loss)
            progress(len(labels))
        return cls(outputs, bytes(labels), math.fsum(losses) / len(labels))

    @property
    def predictions(self) -> list[int]:
        """The class of the largest output for each image."""
        return list(map(argmax, self.outputs))

    @property
    def correct(self) -> int:
        """The number of images classified correctly."""
        return sum(map(int.__eq__, self.predictions, self.labels))

    @property
    def accuracy(self) -> float:
        """The fraction of images classified correctly, 0..1."""
        return self.correct / len(self.labels)

    def confusion(self) -> list[list[int]]:
        """Return counts[i][j], the number of images of class i classified as j."""
        classes = range(len(self.outputs[0]))
        counts = [[0 for _ in classes] for _ in classes]
        for label, prediction in zip(self.labels, self.predictions):
            counts[label][prediction] += 1
        return counts

    def worst_errors(self, count: int) -> list[int]:
        """Return the indices of the misclassified images with the largest outputs."""
        wrong = [i for i, prediction in enumerate(self.predictions)
                 if prediction != self.labels[i]]
        return sorted(wrong, key=lambda i: -max(self.outputs[i]))[:count]


class Network:
    """Dense layers with one activation between them and a loss at the end.

    >>> net = Network([784, 128, 10], rng=random.Random(1))
    >>> net
    <Network 784-128-10, relu, cross-entropy, 101770 parameters>
    """

    def __init__(self, sizes: Sequence[int], activation: str = "relu",
                 loss: str = "cross-entropy", rng: random.Random | None = None) -> None:
        """Layers of `sizes` with random weights from `rng` (Random(0) if none)."""
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"sizes {list(sizes)}: expected at least 2, all above 0")
        rng = rng or random.Random(0)
        self._name_parts(activation, loss)
        self.layers = [Dense.random(inputs, outputs, activation, rng)
                       for inputs, outputs in zip(sizes, sizes[1:])]

    @classmethod
    def of_layers(cls, layers: Sequence[Dense], activation: str, loss: str) -> Network:
        """A network of layers that there are already."""
        network = object.__new__(cls)
        network._name_parts(activation, loss)
        network.layers = list(layers)
        return network

    def _name_parts(self, activation: str, loss: str) -> None:
        """Keep the names of activation and loss; ValueError for one that is unknown."""
        for kind, name, known in (("activation", activation, ACTIVATIONS),
                                  ("loss", loss, LOSSES)):
            if name not in known:
                raise ValueError(f"{kind} {name!r:.40} is none of {', '.join(known)}")
        self.activation, self.loss = activation, loss

    @property
    def sizes(self) -> list[int]:
        """Numbers in a sample, units of each hidden layer, classes: [784, 128, 10]."""
        return [self.layers[0].weights.shape[0],
                *(layer.weights.shape[1] for layer in self.layers)]

    @property
    def parameter_count(self) -> int:
        """The count of weights and biases: sum of inputs * outputs + outputs."""
        sizes = self.sizes
        return sum((k + 1) * n for k, n in zip(sizes, sizes[1:]))

    def __repr__(self) -> str:
        return (f"<Network {'-'.join(map(str, self.sizes))}, {self.activation}, "
                f"{self.loss}, {self.parameter_count} parameters>")

    # --- forward

    def forward(self, x: Inputs, masks: Sequence[Matrix] = ()) -> Trace:
        """Z = A W + b and A = f(Z), layer by layer; the last Z are the logits.

        With `masks` (m x h), one for each hidden layer, of 0 and 1 / (1 - p), some
        units are left out (dropout).
        """
        activation = ACTIVATIONS[self.activation].value
        inputs, sums, active = [x], [self.layers[0].forward(x)], []  # (m x d), (m x h)
        for number, layer in enumerate(self.layers[1:]):
            active.append(sums[-1].map(activation))                  # (m x h)
            inputs.append(active[-1] * masks[number] if masks else active[-1])
            sums.append(layer.forward(inputs[-1]))                   # (m x c) at last
        return Trace(inputs, sums, active, masks)

    def predict(self, x: Inputs) -> Matrix:
        """Return the outputs (m x c); with cross-entropy each row is probabilities."""
        return LOSSES[self.loss].outputs(self.forward(x).logits)

    def try_batch(self, x: Inputs, labels: Sequence[int],
                  smoothing: float = 0.0, masks: Sequence[Matrix] = ()
                  ) -> tuple[Trace, Matrix, Matrix, float]:
        """Return the forward pass of a batch, the outputs and the targets (m x c), and
        the mean loss L = 1/m sum_i of the loss of sample i."""
        trace, targets = self.forward(x, masks), self.targets(labels, smoothing)
        if trace.logits.shape != targets.shape:
            raise ShapeError.between("loss of", trace.logits.shape, targets.shape,
                                     "one label is needed for each sample")
        outputs = LOSSES[self.loss].outputs(trace.logits)
        losses = map(LOSSES[self.loss].of_sample, trace.logits, outputs, targets)
        return trace, outputs, targets, math.fsum(losses) / len(labels)

    def targets(self, labels: Sequence[int], smoothing: float = 0.0) -> Matrix:
        """Y (m x c), one-hot: 1 where the column is the row's label, else 0; with label
        smoothing (1 - s) Y + s / c (Szegedy et al. 2016)."""
        classes = range(self.sizes[-1])
        for label in labels:
            if label not in classes:
                raise ValueError(f"label {label} is not in 0..{classes[-1]}")
        off = smoothing / len(classes)
        return Matrix([1 - smoothing + off if j == label else off for j in classes]
                      for label in labels)

    def mean_loss(self, *batch: Any) -> float:
        """Return the mean loss of a batch; arguments as in `try_batch`."""
        return self.try_batch(*batch)[-1]

    def evaluate_batch(self, x: Inputs, labels: Sequence[int]) -> tuple[Matrix, float]:
        """Return the outputs (m x c) and the sum of the losses of a batch."""
        _, outputs, _, loss = self.try_batch(x, labels)
        return outputs, loss * len(labels)

    def evaluate(self, dataset: Dataset, levels: int = 256) -> Evaluation:
        """Return the outputs for a data set, its pixels rounded to grey levels."""
        return Evaluation.of(dataset.batches(100, levels=levels), self.evaluate_batch)

    # --- backward

    def loss_and_gradients(self, x: Inputs, labels: Sequence[int],
                           smoothing: float = 0.0, masks: Sequence[Matrix] = ()
                           ) -> tuple[float, list[Gradient]]:
        """Return the mean loss over a batch and its gradient in each layer."""
        trace, outputs, targets, loss = self.try_batch(x, labels, smoothing, masks)
        delta = LOSSES[self.loss].gradient(outputs, targets) / len(labels)  # (m x c)
        return loss, self.backward(trace, delta)

    def backward(self, trace: Trace, delta: Matrix) -> list[Gradient]:
        """The chain rule from dL/dZ of the last layer, (m x c), back to the first."""
        slope = ACTIVATIONS[self.activation].slope
        gradients = [Gradient(trace.inputs[-1], delta)]
        for i in range(len(self.layers) - 1, 0, -1):
            grad = delta @ self.layers[i].weights.T            # dA1 (m x c)(c x h)
            if trace.masks:
                grad = grad * trace.masks[i - 1]
            delta = grad * trace.active[i - 1].map(slope)      # dZ1 (m x h)
            gradients.append(Gradient(trace.inputs[i - 1], delta))
        return gradients[::-1]

    # --- learning

    def step(self, gradients: Sequence[Gradient], learning_rate: float) -> None:
        """W <- W - lr dL/dW and b <- b - lr dL/db in each layer: gradient descent.

        The learning rate goes into dZ (m x n), the smallest of the matrices.
        """
        for layer, gradient in zip(self.layers, gradients):
            layer.take(Gradient(gradient.inputs, gradient.delta * learning_rate))

    def train_batch(self, x: Inputs, labels: Sequence[int], learning_rate: float
                    ) -> float:
        """Take one step on one batch; return the mean loss from before it."""
        loss, gradients = self.loss_and_gradients(x, labels)
        self.step(gradients, learning_rate)
        return loss

    # --- files

    def save(self, path: str | Path, settings: dict | None = None,
             others: dict[str, Matrix] | None = None) -> None:
        """Write `layer1.weights`, `layer1.bias`, ..., other matrices and the settings
        as .npz file."""
        matrices = dict(others or {})
        for number, layer in enumerate(self.layers, 1):
            matrices[f"layer{number}.weights"] = layer.weights
            matrices[f"layer{number}.bias"] = layer.bias
        named = {"activation": self.activation, "loss": self.loss}
        write_npz(path, matrices, {**(settings or {}), **named})

    @classmethod
    def load(cls, path: str | Path) -> tuple[Network, dict]:
        """(network, settings) from a file of `save`; DataError for any other."""
        return cls.load_all(path)[:2]

    @classmethod
    def load_all(cls, path: str | Path) -> tuple[Network, dict, dict[str, Matrix]]:
        """The network and the settings of `load`, and all matrices in the file."""
        matrices, settings = read_npz(path)
        layers = list(_layers_of(path, matrices))
        try:
            network = cls.of_layers(layers, settings.get("activation", "relu"),
                                    settings.get("loss", "cross-entropy"))
            return network, settings, matrices
        except (ValueError, TypeError) as error:
            raise DataError(path, str(error), "a network of this project") from None


def all_finite(*matrices: Matrix) -> bool:
    """Return True where no number is infinite or NaN."""
    return all(map(math.isfinite, chain.from_iterable(chain.from_iterable(matrices))))


def _layers_of(path: str | Path, matrices: dict) -> Iterator[Dense]:
    """The layers in a model file, each shape checked against the one before it."""
    units = 0
    count = sum(name.startswith("layer") and name.endswith(".weights")
                for name in matrices)
    for number in range(1, max(count, 1) + 1):
        names = f"layer{number}.weights", f"layer{number}.bias"
        if not all(name in matrices for name in names):
            raise DataError(path, f"arrays {', '.join(matrices) or 'none at all'}",
                            f"a model: {' and '.join(names)}")
        weights, bias = (matrices[name] for name in names)
        units = units or weights.shape[0]
        if weights.shape[0] != units or bias.shape != (1, weights.shape[1]):
            raise DataError(path, f"{names[0]} of shape {weights.shape}, "
                                  f"{names[1]} of shape {bias.shape}",
                            f"({units}, n) and (1, n)")
        if not all_finite(weights, bias):
            raise DataError(path, f"numbers in layer {number} that are not finite",
                            "weights of a network that has learnt")
        units = weights.shape[1]
        yield Dense(weights, bias)
