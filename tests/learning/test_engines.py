"""Lists or lanes: the two engines behind one interface."""
import random

import pytest

from engine.packed_network import LOSS_BITS
from engine.sparse import SparseMatrix
from learning.engines import ListEngine
from learning.settings import DEFAULTS
from my_math import Matrix
from network import LOSSES, Network


@pytest.mark.parametrize("loss", LOSSES)
def test_an_easy_sample_takes_no_part_in_the_step_but_counts(loss, rng):
    """Easy by how far its answers are from their targets, not by its slope."""
    net = Network([9, 4, 3], loss=loss, rng=random.Random(3))
    x, labels = SparseMatrix.from_images(
        [bytes(rng.randrange(256) for _ in range(9)) for _ in range(6)]), [0, 1, 2, 0, 1, 2]
    answers, targets = net.predict(x), net.targets(labels)
    slopes = LOSSES[loss].gradient(answers, targets)
    errors = [max(map(abs, row)) for row in answers - targets]
    limit = sorted(errors)[2] + 1e-9                       # half of the samples
    _, gradients = net.loss_and_gradients(x, labels)
    hard = Matrix([[float(error >= limit)] for error in errors])
    expected = [matrix - 0.1 * slope for layer, gradient in zip(net.layers, gradients)
                for matrix, slope in ((layer.weights, gradient.weights),
                                      (layer.bias, gradient.bias))]
    total, correct, easy = ListEngine(
        net, {**DEFAULTS, "skip_below": limit}).train_batch(x, labels, 0.1)
    assert easy == [i for i in range(6) if errors[i] < limit] and len(easy) == 3
    last = net.layers[-1].bias
    moved = (slopes * hard).sum(axis=0) * (0.1 / 6)
    assert last != expected[-1]                   # that of all six
    again = Network([9, 4, 3], loss=loss, rng=random.Random(3))
    for found, wanted in zip(last, again.layers[-1].bias - moved):
        assert found == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    assert correct == sum(map(int.__eq__, answers.argmax(axis=1), labels))
    assert total / 6 / (1 << LOSS_BITS) == pytest.approx(again.mean_loss(x, labels))
