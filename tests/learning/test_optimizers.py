"""Optimizers: numbers from PyTorch, slopes of the loss with L2, both engines, state.
"""
from functools import partial

import pytest

from engine.formats import WIDE
from engine.packed_network import PackedNetwork, StepOptions, target_rows
from engine.portable import softmax
from engine.sparse import SparseMatrix
from learning.engines import ListEngine
from learning.optimizers import OPTIMIZERS, SGD, Adam, Momentum
from my_math import Matrix
from network import ACTIVATIONS, LOSSES, Dense, Network


def parameters(net):
    return [matrix for layer in net.layers for matrix in (layer.weights, layer.bias)]


def as_floats(net):
    """Copies of all weights and biases, whatever the engine."""
    if isinstance(net, PackedNetwork):
        return [matrix for pair in net.layers() for matrix in pair]
    return [matrix.copy() for matrix in parameters(net)]


def close(a, b, tolerance=1e-12):
    return a.shape == b.shape and (a - b).norm() <= tolerance * max(1, b.norm())


# --- numbers from outside

IMAGES = [bytes([0, 85, 255]), bytes([170, 0, 85]), bytes([255, 255, 0]),
          bytes([85, 170, 170])]                # four grey levels: thirds
LABELS = [0, 1, 1, 0]
STEPS = 5


def small_network():
    """3-4-2, ReLU and softmax, with the weights that PyTorch was given."""
    return Network.of_layers([
        Dense(Matrix([[.5, -.4, .3, .8], [-.7, .6, .2, .1], [.9, .3, -.5, .4]]),
              Matrix([[.05, -.1, .15, .2]])),
        Dense(Matrix([[.6, -.5], [-.3, .7], [.4, .2], [-.8, .9]]),
              Matrix([[.1, -.2]]))], "relu", "cross-entropy")


# optimizer, its options, learning rate, smoothing, then what PyTorch found: the loss
# before and after, and the first row of W1, b1, the first row of W2, b2.
FROZEN = {
    "sgd": (SGD, {}, 0.25, 0, [
        [0.7389633644769, 0.4137881581685],
        [0.4086542369848, -0.4329973148599, 0.2828998960493, 0.9987172800766],
        [0.1543221490258, -0.3128999284983, 0.1427447893812, 0.1120607649094],
        [0.659185994682, -0.559185994682],
        [0.1521987754755, -0.2521987754755]]),
    "sgd, smoothing": (SGD, {}, 0.25, 0.2, [
        [0.7515883644769, 0.5160846815616],
        [0.4340881345369, -0.4389396025961, 0.2868651146353, 0.9343881351775],
        [0.1396577822481, -0.308159409777, 0.1459874775661, 0.1061550308311],
        [0.6421544872113, -0.5421544872113],
        [0.1556514833389, -0.2556514833389]]),
    "sgd, l2": (SGD, {"l2": 0.1}, 0.25, 0, [
        [0.7389633644769, 0.4505343240728],
        [0.3520539865904, -0.3818015925727, 0.2483931549874, 0.8977033817284],
        [0.1493352330373, -0.3060448994338, 0.1424520338736, 0.12148159012],
        [0.5842685789573, -0.4961590096213],
        [0.1459645685198, -0.2459645685198]]),
    "momentum": (Momentum, {}, 0.05, 0, [
        [0.7389633644769, 0.4955801238023],
        [0.4814600676534, -0.4115103304438, 0.2913353308677, 0.8776292356341],
        [0.1787904667193, -0.2645104589857, 0.1506593844942, 0.05559822987788],
        [0.6547289672554, -0.5547289672554],
        [0.1854634600875, -0.2854634600875]]),
    "momentum 0.5, l2": (Momentum, {"momentum": 0.5, "l2": 0.1}, 0.1, 0, [
        [0.7389633644769, 0.4846317425623],
        [0.414193785715, -0.3882563262943, 0.2646832987317, 0.8499173940617],
        [0.1567786308019, -0.2810776308874, 0.1470035170523, 0.08708108470186],
        [0.603802510806, -0.511679253816],
        [0.1671623485882, -0.2671623485882]]),
    "momentum, l2, smoothing": (Momentum, {"l2": 0.1}, 0.05, 0.2, [
        [0.7515883644769, 0.5771341060236],
        [0.4562881666083, -0.3919039922134, 0.2756499732798, 0.7904185640594],
        [0.1611530920771, -0.2444990428586, 0.1534111244294, 0.05801854829336],
        [0.6069415588609, -0.5134364140737],
        [0.1845273091234, -0.2845273091234]]),
    "adam": (Adam, {}, 0.02, 0, [
        [0.7389633644769, 0.5094243700933],
        [0.4055448907329, -0.4912996127507, 0.2018398587791, 0.9001764086646],
        [0.1467171521124, -0.1986039564072, 0.1970757406422, 0.1086606407179],
        [0.6971799418397, -0.5971799418397],
        [0.1918717124538, -0.2918717124538]]),
    "adam, l2, smoothing": (Adam, {"l2": 0.1}, 0.02, 0.2, [
        [0.7515883644769, 0.5887357814574],
        [0.3997971842204, -0.3050659603322, 0.2000718968413, 0.7618460659557],
        [0.1449760104094, -0.1960060450296, 0.2119954047905, 0.1108608410142],
        [0.6450988775077, -0.5639056869761],
        [0.1896500817559, -0.2896500817559]]),
}
every_case = pytest.mark.parametrize("case", FROZEN)


def first_numbers(net):
    """The first row of each parameter, as FROZEN has them."""
    return [matrix[0] for matrix in as_floats(net)]


@every_case
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_five_steps_are_those_of_pytorch(case, sparse):
    """Frozen: made once with PyTorch 2 in float64, on `small_network`.

        groups = [{"params": weights, "weight_decay": l2},
                  {"params": biases, "weight_decay": 0.0}]
        optimizer = torch.optim.SGD(groups, lr=lr)      # momentum=0.9
        optimizer = torch.optim.Adam(groups, lr=lr)
        loss = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)
        for _ in range(5):
            optimizer.zero_grad()
            loss(net(X), Y).backward()
            optimizer.step()
    """
    kind, options, rate, smoothing, (losses, *rows) = FROZEN[case]
    net, x = small_network(), SparseMatrix.from_images(IMAGES)
    x = x if sparse else x.to_matrix()
    engine = ListEngine(net, kind(net.layers, **options), smoothing=smoothing)
    assert net.mean_loss(x, LABELS, smoothing) == pytest.approx(losses[0], rel=1e-12)
    for _ in range(STEPS):
        engine.train_batch(x, LABELS, rate)
    assert net.mean_loss(x, LABELS, smoothing) == pytest.approx(losses[1], rel=1e-11)
    for row, expected in zip(first_numbers(net), rows):
        assert row == pytest.approx(expected, rel=1e-10)


# What 5 steps on the packed engine may be off by, in a weight or the loss: activations
# lose what is below 1/512, errors in dZ what is below 2^-13 of a step, and shares of a
# way have 8 bits.
TOLERANCE = 1e-3


def packed_network(kind, options, levels=4):
    """`small_network` on the packed engine."""
    return PackedNetwork(small_network(), LOSSES["cross-entropy"], levels,
                         partial(kind, **options), WIDE)


def loss_of(net, images, labels, smoothing):
    """The mean loss on the packed engine."""
    logits = net.predict(images)[1]
    targets = target_rows(2, smoothing)
    return sum(net.loss(z, softmax(z, net._shift), targets[label], label)
               for z, label in zip(logits, labels)) / len(labels) / (1 << 32)


@every_case
@pytest.mark.parametrize("levels", [4, 256])
@pytest.mark.parametrize("times", [1, 100], ids=["batch of 4", "batch of 400"])
def test_five_packed_steps_are_close_to_those_of_pytorch(case, levels, times):
    """The mean slope over 100 copies is that over the four images, but the step of one
    is 100 times smaller, as with all images at once.
    """
    kind, options, rate, smoothing, (losses, *rows) = FROZEN[case]
    net, labels = packed_network(kind, options, levels), LABELS * times
    images = [net.first.quantizer(image) for image in IMAGES * times]
    found = [net.train_batch(images, labels, rate, 0, StepOptions(smoothing=smoothing))
             for _ in range(STEPS)]
    found = [found[0].loss / len(labels) / (1 << 32),
             loss_of(net, images, labels, smoothing)]
    assert found == pytest.approx(losses, abs=TOLERANCE)
    for row, expected in zip(first_numbers(net), rows):
        assert row == pytest.approx(expected, abs=TOLERANCE)


# --- L2

def weight_sum(net):
    """The sum of all squared weights, without the biases."""
    return sum(w * w for layer in net.layers for row in layer.weights for w in row)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("hidden", [[], [4], [4, 3]], ids=str)
def test_a_step_with_l2_is_down_the_slope_of_the_loss_and_half_the_squares(
        activation, loss, hidden, rng):
    """Of loss + l2 / 2 sum w^2, measured for every parameter."""
    net = Network([3, *hidden, 2], activation, loss, rng)
    for layer in net.layers:
        layer.bias = Matrix.random_normal(*layer.bias.shape, rng)
    x, l2, rate, step = SparseMatrix.from_images(IMAGES), 0.3, 0.2, 1e-4

    def whole_loss(matrix, i, j, value):
        before, matrix[i, j] = matrix[i, j], value
        found = net.mean_loss(x, LABELS) + l2 / 2 * weight_sum(net)
        matrix[i, j] = before
        return found
    slopes = [Matrix([[(whole_loss(m, i, j, w + step) - whole_loss(m, i, j, w - step))
                       / (2 * step) for j, w in enumerate(row)]
                      for i, row in enumerate(m)]) for m in parameters(net)]
    before = as_floats(net)
    ListEngine(net, SGD(net.layers, l2)).train_batch(x, LABELS, rate)
    for now, was, slope in zip(parameters(net), before, slopes):
        assert close(now, was - rate * slope, 1e-6)


# --- what a resumed run needs

def engine_of(name, engine, layers):
    """An engine with this optimizer and these layers."""
    net = Network.of_layers([Dense(*pair) for pair in layers], "relu", "cross-entropy")
    if engine == "packed":
        return PackedNetwork(net, LOSSES["cross-entropy"], 4,
                             partial(OPTIMIZERS[name], l2=0.001), WIDE)
    return ListEngine(net, OPTIMIZERS[name](net.layers, l2=0.001))


def parameters_of(engine):
    return as_floats(getattr(engine, "network", engine))


def train(engine, steps):
    x = (list(map(engine.first.quantizer, IMAGES))
         if isinstance(engine, PackedNetwork) else SparseMatrix.from_images(IMAGES, 4))
    for _ in range(steps):
        engine.train_batch(x, LABELS, 0.05)


def pairs(flat):
    return list(zip(flat[::2], flat[1::2]))


@pytest.mark.parametrize("engine", ["lists", "packed"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_is_restored_goes_on_with_the_same_bits(name, engine):
    layers = [(layer.weights, layer.bias) for layer in small_network().layers]
    copies = [[(w.copy(), b.copy()) for w, b in layers] for _ in range(2)]
    whole, first = (engine_of(name, engine, copy) for copy in copies)
    train(whole, 7)
    train(first, 4)
    kept = {kind: [[m.copy() for m in pair] for pair in layers]
            for kind, layers in first.optimizer_state().items()}
    second = engine_of(name, engine, pairs(parameters_of(first)))
    second.restore_optimizer(kept)
    second.optimizer.step_count = first.optimizer.step_count
    train(second, 3)
    assert parameters_of(second) == parameters_of(whole)
    assert second.optimizer_state() == whole.optimizer_state()
    assert second.optimizer.step_count == whole.optimizer.step_count
