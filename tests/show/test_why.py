"""The difference of two logits as sums, and the fewest pixels that change an answer."""
import random

import pytest

from engine.sparse import SparseMatrix
from my_math import Matrix, dot
from network import Network
from show import why
from show.why import compare, fewest_changes


@pytest.fixture(scope="module")
def network(shipped):
    return shipped.network


@pytest.fixture(scope="module")
def images(sample):
    return [sample.image(index) for index in range(12)]


def small(sizes, activation):
    """A network with biases too, and an image for it."""
    rng = random.Random(17)
    network = Network(sizes, activation, rng=rng)
    for layer in network.layers:
        layer.bias = Matrix([[rng.uniform(-1, 1) for _ in range(layer.bias.shape[1])]])
    return network, SparseMatrix.from_matrix(Matrix([[0.5, 0.0, 1.0, 0.25, 0.0, 0.75]]))


@pytest.mark.parametrize("sizes", [[6, 10], [6, 8, 10], [6, 7, 7, 7, 4]])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_units_add_up_always_and_pixels_where_nothing_is_curved(sizes, activation):
    network, x = small(sizes, activation)
    ink = x.to_matrix()[0]
    for c, r in ((0, 1), (3, 2), (1, 3)):
        logits, why = network.forward(x).logits[0], compare(network, x, c, r)
        assert why.difference == logits[c] - logits[r]
        if len(sizes) > 2:
            assert sum(why.units) + why.bias == pytest.approx(why.difference)
        total = dot(ink, why.slope) + why.offset
        is_straight = activation == "relu" or len(sizes) == 2
        assert (total == pytest.approx(why.difference)) == is_straight


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_slopes_are_those_of_a_small_change_of_the_ink(activation):
    network, x = small([6, 9, 8, 4], activation)
    ink, slope = x.to_matrix()[0], compare(network, x, 3, 1).slope
    for pixel in range(6):
        differences = []
        for step in (1e-6, -1e-6):
            moved = [value + step * (k == pixel) for k, value in enumerate(ink)]
            logits = network.forward(Matrix([moved])).logits[0]
            differences.append(logits[3] - logits[1])
        assert slope[pixel] == pytest.approx(
            (differences[0] - differences[1]) / 2e-6, rel=1e-5, abs=1e-7)


def test_a_mask_switches_units_off(network, images):
    x, mask = SparseMatrix.from_images(images[:1]), [1.0] * 128
    whole = compare(network, x, 1, 7)
    top = max(range(128), key=lambda k: abs(whole.units[k]))
    mask[top] = 0.0
    rest = compare(network, x, 1, 7, [Matrix([mask])])
    assert rest.units[top] == 0 and whole.units[top] != 0
    assert rest.difference == pytest.approx(whole.difference - whole.units[top])
    ink = dot(x.to_matrix()[0], rest.slope)
    assert ink + rest.offset == pytest.approx(rest.difference)


def top_of(network, image):
    logits = network.forward(SparseMatrix.from_images([image])).logits[0]
    return logits.index(max(logits))


def test_the_fewest_changes_lead_to_another_class_and_none_is_needless(network, images):
    for image in images[:4]:
        old = top_of(network, image)
        for goal in None, (old + 5) % 10:
            changes = dict(fewest_changes(network, image, goal))
            changed = bytearray(image)
            for pixel, grey in changes.items():
                assert grey in (0, 255) and grey != image[pixel]
                changed[pixel] = grey
            assert 0 < len(changes) <= 60
            top = top_of(network, changed)
            assert top == goal if goal is not None else top != old
            for pixel in changes:
                fewer = bytearray(changed)
                fewer[pixel] = image[pixel]
                top = top_of(network, fewer)
                assert top != goal if goal is not None else top == old


def test_any_other_class_takes_no_more_changes_than_a_certain_one(network, images):
    counts = [len(fewest_changes(network, images[0], goal)) for goal in range(10)
              if goal != top_of(network, images[0])]
    assert len(fewest_changes(network, images[0])) <= min(filter(None, counts))


def test_no_changes_where_they_are_too_many_or_not_needed(network, images, monkeypatch):
    monkeypatch.setattr(why, "MOST_CHANGES", 1)
    top = top_of(network, images[0])
    assert fewest_changes(network, images[0], (top + 5) % 10) == []
    assert fewest_changes(network, images[0], top) == []
    stuck = Network([784, 10])
    stuck.layers[0].weights = Matrix.zeros(784, 10)
    stuck.layers[0].bias = Matrix([[1.0] + [0.0] * 9])
    assert fewest_changes(stuck, images[0]) == []
