"""engine.packed_network: its steps beside those of the textbook's network."""
import random
from copy import deepcopy
from itertools import product

import pytest

from data_loader import SAMPLE_FOLDER, load
from engine.fixed_point import NARROW, SMOOTH, WIDE
from engine.packed_network import LOSS_BITS, PackedNetwork
from engine.portable import OUTPUTS
from engine.sparse import SparseMatrix
from learning.dropout import Dropout
from learning.engines import ListEngine
from learning.optimizers import SGD
from learning.settings import DEFAULTS
from my_math import Matrix
from network import ACTIVATIONS, LOSSES, Dense, Network


@pytest.fixture(scope="module")
def sample():
    return load(SAMPLE_FOLDER)[0].head(64)


def packed(net, levels, form=WIDE, **more):
    return PackedNetwork(net, LOSSES[net.loss], levels, SGD, form, **more)


def parameters(layers):
    return [matrix for pair in layers for matrix in pair]


def lists_of(net):
    return parameters((layer.weights.copy(), layer.bias.copy()) for layer in net.layers)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_end_of_the_network_is_that_of_the_textbook(name, smoothing, rng):
    """Outputs, gradient and loss of the same logits, rounded to 1/4096."""
    net = Network([3, 4, 5], loss=name)
    mine, shift = packed(net, 4), 28
    for spread in (0.1, 3, 15, 900):         # where outputs become 0 too
        z = [round(rng.uniform(-spread, spread) * 4096) << shift for _ in range(5)]
        logits, label = Matrix([[v / 2 ** 40 for v in z]]), rng.randrange(5)
        y = net.targets([label], smoothing)
        expected = LOSSES[name].outputs(logits)
        p = OUTPUTS[name](z, shift)
        assert p == pytest.approx(expected[0], rel=1e-9)
        assert list(map(LOSSES[name].gradient, p, y[0])) == pytest.approx(
            LOSSES[name].gradient(expected, y)[0], rel=1e-9, abs=1e-12)
        loss = LOSSES[name].of_sample(logits[0], expected[0], y[0])
        assert mine.loss(z, p, y[0], label) / (1 << LOSS_BITS) == pytest.approx(
            loss, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("activation, loss, hidden, levels", [
    *product(ACTIVATIONS, LOSSES, [[16]], [4]),
    *product(["relu", "tanh"], ["cross-entropy"], [[], [16], [16, 16]], [2, 4, 256])])
def test_a_wide_step_is_that_of_the_textbook(activation, loss, hidden, levels, sample):
    """The engines end no further apart than 1/200 of the way of the step: activations,
    or Z where they come from a table, are rounded to 1/256.  The losses agree to
    1/2000.

    Where a sum is all but 0, rounding may switch a ReLU behind it: then it is 1/8.
    """
    for seed in (2, 4, 5):
        net = Network([784, *hidden, 10], activation, loss, random.Random(seed))
        before = lists_of(net)
        mine = packed(net, levels, WIDE if activation == "relu" else SMOOTH)
        x, labels = next(sample.batches(16, levels=levels))
        images = [mine.first.quantizer(sample.image(i)) for i in range(16)]
        correct = sum(map(int.__eq__, net.predict(x).argmax(axis=1), labels))
        before_step = net.train_batch(x, labels, 0.2)
        found = mine.train_batch(images, labels, 0.2)
        assert found.loss / 16 / (1 << LOSS_BITS) == pytest.approx(
            before_step, rel=5e-4)
        assert found.correct == correct
        for start, one, other in zip(before, lists_of(net), parameters(mine.layers())):
            limit = 8 if activation == "relu" and len(hidden) == 2 else 200
            assert (one - other).norm() < (one - start).norm() / limit


def test_the_mean_of_narrow_steps_is_the_step_of_the_textbook(sample):
    """Over 2,048 ways to round: one step from the same weights each time.

    What is left is the rounding of activations to 1/8, of W2 to 2^-12 and of Z.
    """
    net = Network([784, 12, 10], rng=random.Random(3))
    x, labels = next(sample.batches(8, levels=4))
    before, mean = lists_of(net), None
    mine = packed(net, 4, NARROW)
    images = [mine.first.quantizer(sample.image(i)) for i in range(8)]
    for position in range(0, 8 * 256, 8):
        mine = packed(net, 4, NARROW)
        mine.train_batch(images, labels, 0.1, position)
        after = parameters(mine.layers())
        mean = after if mean is None else [a + b for a, b in zip(mean, after)]
    net.train_batch(x, labels, 0.1)
    for start, one, total in zip(before, lists_of(net), mean):
        way, other = one - start, total / 256 - start
        # Rows of W1 start from weights rounded to 3 / 2^16.
        assert (way - other).norm() < 0.1 * way.norm() + 2.0 ** -16 * len(list(one))


X = [bytes([0, 85, 255, 170]), bytes([170, 255, 85, 85]), bytes([255, 85, 0, 85])]
LABELS = [2, 0, 2]


@pytest.mark.parametrize("activation, hidden", [
    *product(["relu", "sigmoid"], [[12], [12, 8]])], ids=str)
@pytest.mark.parametrize("rate, part", [(0.3, 0.4), (0.003, 0.4), (0.03, 0.9)])
def test_both_engines_leave_out_the_same_units(activation, hidden, rate, part):
    """After 3 steps the engines are no further apart than 1/50 of the way."""
    rng = random.Random(3)
    net = Network([4, *hidden, 3], activation, rng=rng)
    before = lists_of(net)
    mine = packed(net, 4, WIDE if activation == "relu" else SMOOTH, dropout=part,
                  smoothing=0.1)
    factors = Dropout(part, hidden, random.Random(5))
    whole = Dropout(part, hidden, random.Random(5), 256)
    one, other = random.Random(7), random.Random(7)
    images = [mine.first.quantizer(image) for image in X]
    for _ in range(3):
        _, gradients = net.loss_and_gradients(
            SparseMatrix.from_images(X, 4), LABELS, 0.1,
            list(map(Matrix, factors.draw(3, one))))
        net.step(gradients, rate)
        mine.train_batch(images, LABELS, rate, 0, whole.draw(3, other))
    for start, a, b in zip(before, lists_of(net), parameters(mine.layers())):
        assert (a - b).norm() <= (a - start).norm() / 50 + 1e-6


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("form", [NARROW, WIDE], ids=["narrow", "wide"])
def test_easy_are_those_whose_outputs_are_near_their_targets(form, loss, rng):
    """A sample that is wrong for sure is not easy, though mean squared error has no
    slope there."""
    weights = Matrix([[20.0 * (i == j) - 10 for j in range(2)] for i in range(2)]) / 8
    net = Network([2, 2, 2], loss=loss, rng=rng)
    net.layers[0].weights, net.layers[1].weights = Matrix([[5.0, 0], [0, 5]]), weights
    images, labels = [b"\xff\0", b"\0\xff", b"\xff\0"], [0, 1, 1]
    x = SparseMatrix.from_images(images, 4)
    engine = ListEngine(deepcopy(net), {**DEFAULTS, "skip_below": 0.05})
    *_, easy = engine.train_batch(x, labels, 0.1)
    mine = packed(net, 4, form, easy_below=0.05)
    found = mine.train_batch(list(map(mine.first.quantizer, images)), labels, 0.1)
    assert easy == found.easy == [0, 1]


@pytest.mark.parametrize("units", [10, 50, 128, 1000])
def test_logits_of_the_largest_weights_and_activations_are_right(units):
    """ReLU lets 255 through in wide lanes: the weights' limit has to allow for it."""
    mine = packed(Network([1, units, 2]), 2)
    power = 1 << mine.later[0]._limit.bit_length() - 1      # bounds are powers of 2
    largest = (power - 1) * mine.later[0].weights.unit
    for weight in (largest, -largest):
        net = Network.of_layers([
            Dense(Matrix([[255.0] * units]), Matrix.zeros(1, units)),
            Dense(Matrix([[weight, 0.0]] * units), Matrix.zeros(1, 2))],
            "relu", "cross-entropy")
        mine = packed(net, 2)
        _, logits = mine.predict([mine.first.quantizer(b"\xff")])
        assert logits[0][0] / 2 ** WIDE.product_fraction == pytest.approx(
            255 * units * weight, rel=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_an_image_has_the_same_logits_wherever_it_stands(classes, rng):
    """Two outputs share 64 bits; where one is left over, its half stays empty."""
    units = 256
    net = Network.of_layers([
        Dense(Matrix([[1.99] * units] * 16), Matrix.zeros(1, units)),
        Dense(Matrix([[rng.uniform(-1, 1) for _ in range(classes)]
                      for _ in range(units)]), Matrix.zeros(1, classes))],
        "relu", "cross-entropy")
    mine = packed(net, 2, NARROW)
    _, logits = mine.predict([mine.first.quantizer(b"\xff" * 16)] * 5)
    assert len(set(logits)) == 1


def test_other_images_are_refused():
    with pytest.raises(ValueError, match="5 pixels for 4"):
        packed(Network([4, 2, 3]), 4).first.quantizer(bytes(5))
