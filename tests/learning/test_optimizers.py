"""Optimizers: the steps that PyTorch takes, on either engine."""

import pytest

from engine.fixed_point import WIDE
from engine.packed_network import PackedNetwork
from engine.portable import softmax
from engine.sparse import SparseMatrix
from learning.engines import ListEngine
from learning.settings import DEFAULTS, optimizer_maker
from my_math import Matrix
from network import LOSSES, Dense, Network

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


# Settings, the learning rate, then what PyTorch found: the loss before and after five
# steps, and the first row of W1, b1, the first row of W2, b2.
FROZEN = [
    ({"optimizer": "sgd", "l2": 0.1}, 0.25, [
        [0.738963364477, 0.450534324073],
        [0.352053986590, -0.381801592573, 0.248393154987, 0.897703381728],
        [0.149335233037, -0.306044899434, 0.142452033874, 0.121481590120],
        [0.584268578957, -0.496159009621],
        [0.145964568520, -0.245964568520]]),
    ({"optimizer": "momentum", "momentum": 0.5, "l2": 0.1}, 0.1, [
        [0.738963364477, 0.484631742562],
        [0.414193785715, -0.388256326294, 0.264683298732, 0.849917394062],
        [0.156778630802, -0.281077630887, 0.147003517052, 0.087081084702],
        [0.603802510806, -0.511679253816],
        [0.167162348588, -0.267162348588]]),
    ({"optimizer": "momentum", "l2": 0.1, "label_smoothing": 0.2}, 0.05, [
        [0.751588364477, 0.577134106024],
        [0.456288166608, -0.391903992213, 0.275649973280, 0.790418564059],
        [0.161153092077, -0.244499042859, 0.153411124429, 0.058018548293],
        [0.606941558861, -0.513436414074],
        [0.184527309123, -0.284527309123]]),
    ({"optimizer": "adam", "l2": 0.1, "label_smoothing": 0.2}, 0.02, [
        [0.751588364477, 0.588735781457],
        [0.399797184220, -0.305065960332, 0.200071896841, 0.761846065956],
        [0.144976010409, -0.196006045030, 0.211995404790, 0.110860841014],
        [0.645098877508, -0.563905686976],
        [0.189650081756, -0.289650081756]])]
every_case = pytest.mark.parametrize("case", FROZEN, ids=lambda case: str(case[0]))


def settings_of(changes):
    return {**DEFAULTS, "skip_below": 0.0, "momentum": 0.9, **changes}


def list_engine(changes):
    return ListEngine(small_network(), settings_of(changes))


def packed_network(changes, levels=4):
    return PackedNetwork(small_network(), LOSSES["cross-entropy"], levels,
                         optimizer_maker(settings_of(changes)), WIDE,
                         smoothing=changes.get("label_smoothing", 0))


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
    changes, rate, (losses, *rows) = case
    x, smoothing = SparseMatrix.from_images(IMAGES), changes.get("label_smoothing", 0)
    x, engine = x if sparse else x.to_matrix(), list_engine(changes)
    net = engine.network
    assert net.mean_loss(x, LABELS, smoothing) == pytest.approx(losses[0], rel=1e-10)
    for _ in range(STEPS):
        engine.train_batch(x, LABELS, rate)
    assert net.mean_loss(x, LABELS, smoothing) == pytest.approx(losses[1], rel=1e-10)
    found = [matrix[0] for layer in net.layers
             for matrix in (layer.weights, layer.bias)]
    assert found == [pytest.approx(row, rel=1e-10) for row in rows]


# What 5 steps on the packed engine may be off by, in a weight or the loss: activations
# lose what is below 1/512, errors in dZ what is below 2^-13 of a step, and shares of a
# way have 8 bits.
TOLERANCE = 1e-3


@every_case
@pytest.mark.parametrize("levels, times", [(4, 1), (256, 100)])
def test_five_packed_steps_are_close_to_those_of_pytorch(case, levels, times):
    """The mean slope over 100 copies is that over the four images, but the step of one
    is 100 times smaller, as with all images at once.
    """
    changes, rate, (losses, *rows) = case
    net, labels = packed_network(changes, levels), LABELS * times
    images = [net.first.quantizer(image) for image in IMAGES * times]
    found = [net.train_batch(images, labels, rate) for _ in range(STEPS)]
    targets = small_network().targets([0, 1], changes.get("label_smoothing", 0))
    last = sum(net.loss(z, softmax(z, net._shift), targets[label], label)
               for z, label in zip(net.predict(images)[1], labels))
    assert [total / len(labels) / (1 << 32) for total in (found[0].loss, last)] == (
        pytest.approx(losses, abs=TOLERANCE))
    found = [matrix[0] for pair in net.layers() for matrix in pair]
    assert found == [pytest.approx(row, abs=TOLERANCE) for row in rows]
