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
        [0.7389633644768542, 0.41378815816852194],
        [0.408654236984761, -0.43299731485994974, 0.28289989604932814,
         0.9987172800765913],
        [0.15432214902583505, -0.3128999284982741, 0.14274478938123603,
         0.11206076490943978],
        [0.6591859946819563, -0.5591859946819563],
        [0.15219877547554508, -0.25219877547554503]]),
    "sgd, smoothing": (SGD, {}, 0.25, 0.2, [
        [0.7515883644768542, 0.5160846815615858],
        [0.43408813453691714, -0.4389396025961425, 0.286865114635349,
         0.9343881351775213],
        [0.13965778224810052, -0.3081594097770164, 0.14598747756614047,
         0.10615503083110134],
        [0.6421544872113326, -0.5421544872113326],
        [0.15565148333885215, -0.2556514833388521]]),
    "sgd, l2": (SGD, {"l2": 0.1}, 0.25, 0, [
        [0.7389633644768542, 0.4505343240728418],
        [0.35205398659044357, -0.3818015925726897, 0.24839315498736952,
         0.8977033817283635],
        [0.14933523303730256, -0.3060448994338237, 0.14245203387358446,
         0.12148159012001752],
        [0.5842685789572863, -0.4961590096213488],
        [0.14596456851984108, -0.24596456851984108]]),
    "momentum": (Momentum, {}, 0.05, 0, [
        [0.7389633644768542, 0.49558012380228833],
        [0.481460067653408, -0.41151033044382024, 0.2913353308676503,
         0.8776292356341134],
        [0.17879046671930962, -0.26451045898570186, 0.15065938449420543,
         0.05559822987788436],
        [0.6547289672554223, -0.5547289672554223],
        [0.18546346008751025, -0.2854634600875103]]),
    "momentum 0.5, l2": (Momentum, {"momentum": 0.5, "l2": 0.1}, 0.1, 0, [
        [0.7389633644768542, 0.4846317425623179],
        [0.4141937857150276, -0.38825632629430473, 0.2646832987317091,
         0.8499173940616627],
        [0.1567786308019199, -0.28107763088738247, 0.14700351705231454,
         0.08708108470186136],
        [0.6038025108059596, -0.5116792538159596],
        [0.16716234858823023, -0.2671623485882302]]),
    "momentum, l2, smoothing": (Momentum, {"l2": 0.1}, 0.05, 0.2, [
        [0.7515883644768542, 0.5771341060235727],
        [0.45628816660828375, -0.3919039922133524, 0.2756499732797641,
         0.7904185640594014],
        [0.1611530920770514, -0.2444990428586018, 0.15341112442939692,
         0.05801854829336451],
        [0.6069415588609349, -0.5134364140737475],
        [0.18452730912335127, -0.2845273091233512]]),
    "adam": (Adam, {}, 0.02, 0, [
        [0.7389633644768542, 0.5094243700932772],
        [0.4055448907329094, -0.491299612750656, 0.20183985877910407,
         0.9001764086646052],
        [0.14671715211238007, -0.1986039564072139, 0.19707574064224362,
         0.10866064071785941],
        [0.6971799418396547, -0.5971799418396547],
        [0.19187171245377926, -0.2918717124537793]]),
    "adam, l2, smoothing": (Adam, {"l2": 0.1}, 0.02, 0.2, [
        [0.7515883644768542, 0.588735781457409],
        [0.3997971842204339, -0.3050659603321858, 0.20007189684129767,
         0.7618460659557177],
        [0.1449760104094271, -0.19600604502955618, 0.21199540479047596,
         0.1108608410142388],
        [0.6450988775077351, -0.5639056869760783],
        [0.18965008175589446, -0.2896500817558945]]),
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
