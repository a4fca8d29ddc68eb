"""The network: numbers from outside, gradients against slopes, learning, files."""
import math
import random

import pytest

import network
from data_loader import Dataset
from engine.npz import write_npz
from engine.sparse import SparseMatrix
from errors import DataError
from learning.gradient_check import gradient_check
from my_math import Matrix
from network import ACTIVATIONS, LOSSES, Dense, Evaluation, Network

every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)
every_loss = pytest.mark.parametrize("loss", LOSSES)


def random_images(rng, count, size, ink=0.4):
    return [bytes(rng.randint(1, 255) if rng.random() < ink else 0 for _ in range(size))
            for _ in range(count)]


def random_network(sizes, rng, **options):
    """A network whose biases are random too, so that no slope is 0 by symmetry."""
    net = Network(sizes, rng=rng, **options)
    for layer in net.layers:
        layer.bias = Matrix.random_normal(*layer.bias.shape, rng, deviation=0.5)
    return net


def parameters(net):
    return [matrix for layer in net.layers for matrix in (layer.weights, layer.bias)]


def copies(net):
    return [matrix.copy() for matrix in parameters(net)]


def close(a, b, tolerance=1e-12):
    return a.shape == b.shape and (a - b).norm() <= tolerance * max(1, b.norm())


# --- numbers from outside
# Frozen: made once with NumPy 2 from the formulas at the head of network.py, written
# with exp and log directly, without the tricks that keep them from overflowing.

LOGITS, LABELS = Matrix([[2.0, -1.0, 0.5], [0.0, 3.0, -2.5]]), [0, 2]
SOFTMAX = Matrix([[0.7855970345892759, 0.039112573270687456, 0.1752903921400367],
                  [0.0472419624506605, 0.9488801811265868, 0.003877856422752746]])
SIGMOID = Matrix([[0.8807970779778823, 0.2689414213699951, 0.6224593312018546],
                  [0.5, 0.9525741268224334, 0.07585818002124355]])


@pytest.mark.parametrize("loss, answers, mean", [
    ("cross-entropy", SOFTMAX, 2.896892021516842), ("bce", SIGMOID, 3.867445474583771),
    ("mse", SIGMOID, 1.2427150071362771)])
def test_answers_and_losses_are_those_of_numpy(loss, answers, mean):
    net = Network([3, 3], loss=loss)
    net.layers = [Dense(Matrix([[1, 0, 0], [0, 1, 0], [0, 0, 1]]),    # logits = X
                        Matrix.zeros(1, 3))]
    assert close(net.predict(LOGITS), answers)
    assert net.mean_loss(LOGITS, LABELS) == pytest.approx(mean, rel=1e-12)


def test_one_training_step_is_that_of_numpy():
    net = Network([2, 3, 2])
    net.layers = [
        Dense(Matrix([[0.1, -0.2, 0.3], [0.4, 0.5, -0.6]]),
              Matrix([[0.01, -0.02, 0.03]])),
        Dense(Matrix([[0.7, -0.8], [-0.9, 1.0], [1.1, 1.2]]), Matrix([[0.05, -0.05]]))]
    x = Matrix([[1.0, -2.0], [0.5, 0.25]])
    loss = net.train_batch(x, [1, 0], learning_rate=0.5)
    assert loss == pytest.approx(0.6048714925436043, rel=1e-12)
    expected = [
        [[0.17853419419573868, -0.299476645981269, 0.3069332145719467],
         [0.4392670970978694, 0.4502616770093655, -0.6269554615098498]],
        [[0.16706838839147736, -0.21895329196253796, 0.03169760162556418]],
        [[0.7167539614284242, -0.8167539614284243],
         [-0.8994764387053618, 0.9994764387053617],
         [0.9169583067373906, 1.3830416932626093]],
        [[0.033023983744358124, -0.03302398374435814]]]
    assert all(map(close, parameters(net), map(Matrix, expected)))


# --- the parts

@pytest.mark.parametrize("loss, right, wrong", [
    ("cross-entropy", 0, 2000), ("bce", 0, 2000), ("mse", 0, 2)])
def test_losses_of_huge_logits_are_finite_and_right(loss, right, wrong):
    logits = Matrix([[1000.0, -1000.0]])
    row, answers = logits[0], LOSSES[loss].outputs(logits)[0]
    assert LOSSES[loss].of_sample(row, answers, [1, 0]) == pytest.approx(right)
    assert LOSSES[loss].of_sample(row, answers, [0, 1]) == pytest.approx(wrong)


@pytest.mark.parametrize("activation, function", [
    ("relu", lambda x: max(x, 0.0)), ("tanh", math.tanh),
    ("sigmoid", lambda x: 1 / (1 + math.exp(-x)))])
def test_activations_are_the_functions_of_their_names(activation, function):
    z = Matrix([[-2.0, -0.5, 0.0, 0.5, 2.0]])
    assert close(z.map(ACTIVATIONS[activation].value), z.map(function))


@pytest.mark.parametrize("activation, variance", [
    ("relu", 2 / 300), ("sigmoid", 2 / 340), ("tanh", 2 / 340)])
def test_first_weights_have_the_variance_of_he_or_xavier(activation, variance, rng):
    layer = Dense.random(300, 40, activation, rng)
    assert layer.weights.shape == (300, 40)
    squares = layer.weights.map(lambda w: w * w)
    assert squares.mean() == pytest.approx(variance, rel=0.04)
    assert abs(layer.weights.mean()) < 3 * math.sqrt(variance / 12000)
    assert layer.bias == Matrix.zeros(1, 40)


def test_the_seed_decides_the_weights():
    first, same, other = (Network([5, 4, 3], rng=random.Random(seed))
                          for seed in (1, 1, 2))
    assert parameters(first) == parameters(same) != parameters(other)
    assert parameters(Network([5, 4])) == parameters(
        Network([5, 4], rng=random.Random(0)))


@pytest.mark.parametrize("sizes, count", [
    ([784, 128, 10], 101770), ([784, 16, 16, 10], 13002), ([2, 1], 3)], ids=str)
def test_parameters_are_counted_for_any_list_of_layers(sizes, count):
    net = Network(sizes)
    assert net.parameter_count == count
    assert net.sizes == sizes
    assert f"{'-'.join(map(str, sizes))}, relu, cross-entropy, {count} " in repr(net)


@pytest.mark.parametrize("sizes, options, message", [
    ([784], {}, "784"), ([], {}, "sizes"), ([4, 0, 2], {}, "4, 0, 2"),
    ([4, 2], {"activation": "softmax"}, "relu, sigmoid, tanh"),
    ([4, 2], {"loss": "mae"}, "'mae' is none of cross-entropy, bce, mse")], ids=str)
def test_a_network_that_cannot_be_is_refused(sizes, options, message):
    with pytest.raises(ValueError, match=message):
        Network(sizes, **options)


@pytest.mark.parametrize("labels, message", [
    ([0], "one label is needed for each sample"), ([], "at least one row"),
    ([0, 2], r"label 2 is not in 0\.\.1"), ([0, -1], "label -1")], ids=str)
def test_each_sample_needs_one_label_that_is_a_class(labels, message):
    # One label for two samples would broadcast without a word.
    net, x = Network([3, 2]), Matrix([[1, 2, 3], [4, 5, 6]])
    before = copies(net)
    with pytest.raises(ValueError, match=message):
        net.train_batch(x, labels, 0.1)
    assert parameters(net) == before


# --- gradients

def some_masks(rng, units):
    """Factors of dropout for three samples."""
    return Matrix([[rng.choice([0, 1.25]) for _ in range(units)] for _ in range(3)])


@every_activation
@every_loss
@pytest.mark.parametrize("hidden", [[], [4], [4, 3]], ids=str)
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_every_gradient_is_the_measured_slope(activation, loss, hidden, sparse):
    rng = random.Random(1)      # which leaves no slope so near 0 that rounding counts
    net = random_network([5, *hidden, 3], rng, activation=activation, loss=loss)
    x, labels = SparseMatrix.from_images(random_images(rng, 3, 5, ink=0.7)), [2, 0, 2]
    x, before = x if sparse else x.to_matrix(), copies(net)
    masks = [some_masks(rng, units) for units in hidden]
    for smoothing, some in ((0.0, ()), (0.3, ()), (0.0, masks), (0.3, masks)):
        assert gradient_check(net, x, labels, 1e-3, smoothing, some) < 1e-6
        mean = net.mean_loss(x, labels, smoothing, some)
        assert (mean != net.mean_loss(x, labels)) == bool(smoothing or some)
    assert parameters(net) == before       # measured on the network, but not changed


def test_the_check_notices_a_wrong_gradient(monkeypatch, rng):
    net = random_network([5, 4, 3], rng)
    right = network.Gradient.weights.fget

    def wrong(gradient):
        matrix = right(gradient)
        matrix[0, 1] = matrix[0, 1] * 1.01
        return matrix
    monkeypatch.setattr(network.Gradient, "weights", property(wrong))
    assert gradient_check(net, Matrix.random_normal(3, 5, rng), [2, 0, 1]) > 1e-3


# --- learning

@every_activation
@every_loss
def test_eight_images_are_learnt_by_heart(activation, loss, rng):
    net = Network([49, 16, 8], activation, loss, rng=rng)
    images = random_images(rng, 8, 49)
    x, labels = SparseMatrix.from_images(images), list(range(8))
    first = net.mean_loss(x, labels)
    for _ in range(700):
        if net.train_batch(x, labels, learning_rate=1.0) < 0.02:
            break
    assert net.mean_loss(x, labels) < 0.02 < 0.5 < first
    eight = Dataset("eight", b"".join(images), bytes(labels), 7, 7)
    assert net.evaluate(eight).accuracy == 1


# --- evaluating

FOUR = Evaluation([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.2, 0.5, 0.3], [0.9, 0.1, 0.0]],
                  bytes([0, 1, 1, 2]))


def test_an_evaluation_counts_what_was_classified_as_what():
    assert FOUR.predictions == [0, 2, 1, 0]
    assert FOUR.correct == 2 and FOUR.accuracy == 0.5 and math.isnan(FOUR.loss)
    assert FOUR.confusion() == [[1, 0, 0], [0, 1, 1], [1, 0, 0]]
    assert [FOUR.worst_errors(count) for count in (0, 1, 9)] == [[], [3], [3, 1]]


@pytest.mark.parametrize("levels", [2, 4, 256])
def test_a_data_set_is_evaluated_in_its_own_order_whatever_the_batch(levels, rng):
    images = random_images(rng, 7, 9)
    dataset = Dataset("seven", b"".join(images), bytes([0, 1, 2, 0, 1, 2, 0]), 3, 3)
    net = random_network([9, 4, 3], rng)
    x = SparseMatrix.from_images(images, levels)
    expected, loss = net.predict(x), net.mean_loss(x, dataset.labels)
    correct = sum(map(int.__eq__, expected.argmax(axis=1), dataset.labels))
    done = []
    for found in (net.evaluate(dataset, levels), *(
            Evaluation.of(dataset.batches(size, levels=levels), net.evaluate_batch,
                          done.append) for size in (1, 3, 7, 100))):
        assert close(Matrix(found.outputs), expected)
        assert found.loss == pytest.approx(loss, rel=1e-12)
        assert found.labels == dataset.labels and found.correct == correct
    assert done == [1, 2, 3, 4, 5, 6, 7, 3, 6, 7, 7, 7]


# --- files

@every_activation
@every_loss
@pytest.mark.parametrize("sizes", [[4, 2], [4, 3, 2], [4, 3, 5, 2]], ids=str)
def test_a_saved_network_is_loaded_exactly(activation, loss, sizes, tmp_path, rng):
    """With what stands beside it in the file."""
    path = tmp_path / "model.npz"
    net = random_network(sizes, rng, activation=activation, loss=loss)
    others = {"optimizer.target1.bias": Matrix([[1.5, -2.5]]), "x": Matrix([[7.0]])}
    net.save(path, {"seed": 7, "loss": "not to be believed"}, others)
    loaded, settings, matrices = Network.load_all(path)
    assert settings == {"seed": 7, "activation": activation, "loss": loss}
    assert repr(loaded) == repr(net) and parameters(loaded) == parameters(net)
    assert {name: matrices[name] for name in others} == others


def test_settings_that_are_missing_mean_relu_and_cross_entropy(tmp_path):
    write_npz(tmp_path / "bare.npz", {"layer1.weights": Matrix([[1, 2]]),
                                      "layer1.bias": Matrix([[3, 4]])}, {})
    loaded, settings = Network.load(tmp_path / "bare.npz")
    assert repr(loaded).startswith("<Network 1-2, relu, cross-entropy") and not settings
    assert loaded.forward(Matrix([[10]])).logits == Matrix([[13, 24]])


def zeros(**shapes):
    """Arrays of a model: w1=(4, 3) stands for layer1.weights of that shape."""
    names = {"w": "layer{}.weights", "b": "layer{}.bias"}
    return {names[key[0]].format(key[1]): Matrix.zeros(*shape)
            for key, shape in shapes.items()}


GOOD = zeros(w1=(4, 3), b1=(1, 3), w2=(3, 2), b2=(1, 2))
NO_MODEL = {     # arrays, settings, what the line has to say
    "no arrays": ({}, {}, "none at all"),
    "no bias": (zeros(w1=(4, 3)), {}, "layer1.weights, expected .* and layer1.bias"),
    "no layer 2": ({**zeros(w1=(4, 3), b1=(1, 3)), **zeros(w3=(3, 2), b3=(1, 2))}, {},
                   "layer2.weights"),
    "bias too long": (zeros(w1=(4, 3), b1=(1, 4)), {}, r"\(1, 4\), expected \(4, n\)"),
    "layers apart": ({**GOOD, **zeros(w2=(4, 2))}, {},
                     r"layer2.weights of shape \(4, 2\).*expected \(3, n\)"),
    "nan": ({**GOOD, "layer2.bias": Matrix([[0, math.nan]])}, {},
            "layer 2 .*not finite"),
    "infinity": ({**GOOD, "layer1.weights": Matrix.zeros(4, 3) - math.inf}, {},
                 "layer 1 .*not finite"),
    "activation": (GOOD, {"activation": "swish"}, "'swish' is none of relu, "),
    "loss": (GOOD, {"loss": "hinge"}, "'hinge' is none of cross-entropy, "),
    "long name": (GOOD, {"loss": "a" * 99}, "'" + "a" * 39 + " is none of cross-"),
    "list for a loss": (GOOD, {"loss": []}, "expected a network"),
}


@pytest.mark.parametrize("matrices, settings, message", NO_MODEL.values(), ids=NO_MODEL)
def test_a_model_of_another_make_is_refused_in_one_line(
        matrices, settings, message, tmp_path):
    path = tmp_path / "other.npz"
    write_npz(path, matrices, settings)
    with pytest.raises(DataError, match=message) as caught:
        Network.load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: found ") and ", expected " in text
    assert "\n" not in text
    write_npz(path, GOOD, {})              # else the refusal would prove nothing
    assert Network.load(path)[0].sizes == [4, 3, 2]


# --- label smoothing

def test_smoothing_gives_a_part_of_each_target_to_all_classes():
    targets = Matrix([[0.1, 0.1, 0.8], [0.8, 0.1, 0.1]])         # 1 - s + s / c, s / c
    assert close(Network([5, 3]).targets([2, 0], 0.3), targets)
