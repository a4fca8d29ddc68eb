"""Dropout: masks by chance and by seed, the scaling, both engines, every share alike.
"""
import math
import random
from fractions import Fraction
from functools import lru_cache
from itertools import product

import pytest

from dropout import STOCK, Dropout
from lanes import NARROW, WIDE, LaneOverflowError, lanes_of
from my_math import Matrix, SparseMatrix
from network import ACTIVATIONS, LOSSES, Network, gradient_check
from packed_math import PackedMatrix
from parallel import How, Team, pack_network, train_batch, unpack_network

UNIT = Fraction(1, 1024)
every_rate = pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])


@lru_cache(maxsize=None)
def stock(units, rate):
    """Dropout for one layer."""
    return Dropout(rate, [units], random.Random(1))


def masks_for(count, units, rate):
    """Masks for so many images and one layer."""
    return stock(units, rate).draw(count, random.Random(2))[0]


# --- masks

@every_rate
def test_units_are_left_out_with_the_chance_asked_for(rate):
    factors = masks_for(400, 50, rate).factors()
    assert len(factors) == 400 and all(len(row) == 50 for row in factors)
    kept = pytest.approx(1 / (1 - rate), rel=1e-15)
    assert all(k == 0 or k == kept for row in factors for k in row)
    share = sum(k == 0 for row in factors for k in row) / (400 * 50)
    assert abs(share - rate) <= 4 * math.sqrt(rate * (1 - rate) / (400 * 50))
    if rate:
        assert len(set(map(tuple, factors))) > 250         # not the same for all images


@every_rate
@pytest.mark.parametrize("units", [1, 2, 33, 600])
def test_signs_say_the_same_as_factors(units, rate):
    masks, layout = masks_for(20, units, rate), lanes_of(units, NARROW)
    assert [list(layout.decode(signs)) for signs in masks.signs()] == [
        [int(k > 0) for k in row] for row in masks.factors()]
    assert masks.rate == rate


def drawn(seed, rate=0.3, share=slice(None)):
    rng = random.Random(seed)
    dropout = Dropout(rate, [5, 8], rng)
    return [[masks.factors() for masks in dropout.draw(9, rng, share)]
            for _ in range(3)]


def test_the_seed_decides_the_masks_and_each_batch_has_its_own():
    assert drawn(1) == drawn(1) != drawn(2)
    first, second, _ = drawn(1)
    assert first != second
    assert [len(masks[0]) for masks in first] == [5, 8]    # a mask for each layer


@pytest.mark.parametrize("workers", [1, 2, 3, 12])
def test_all_shares_together_are_the_masks_of_all_images(workers):
    """Also in the batches after: every worker has drawn as many numbers."""
    team = Team(0, [None] * workers)
    shares = [drawn(4, share=team.share(9, rank)) for rank in range(workers)]
    for batch, whole in enumerate(drawn(4)):
        for layer, masks in enumerate(whole):
            assert [row for share in shares for row in share[batch][layer]] == masks


def test_masks_are_drawn_from_the_whole_stock():
    rng = random.Random(5)
    masks, = Dropout(0.5, [3], rng).draw(20 * STOCK, rng)
    assert set(masks.chosen) == set(range(STOCK))


@pytest.mark.parametrize("rate", [1, 1.0, -0.1, 1.5, math.nan, math.inf, -math.inf])
def test_a_part_that_cannot_be_left_out_is_refused(rate):
    with pytest.raises(ValueError, match=r"dropout of .*: expected 0 up to, not incl"):
        Dropout(rate, [4], random.Random(1))


# --- matrices

@every_rate
def test_the_mean_over_many_masks_is_the_matrix_without_dropout(rate, rng):
    a = Matrix.random_normal(1, 6, rng)
    count = 20 * STOCK
    rows = Matrix.from_rows([a[0]] * count).dropped(masks_for(count, 6, rate))
    for mean, x in zip(rows.mean(axis=0)[0], a[0]):
        # The stock of 1,000 is what decides, however often a mask is drawn.
        error = abs(x) * math.sqrt(rate / (1 - rate) / STOCK)
        assert abs(mean - x) <= 4 * error + 1e-9


def extremes(rng, count, units, top):
    numbers = [0, 1, -1, 2, -3, top, -top, top // 2, -top // 2]
    return ([[number] * units for number in numbers]
            + [[rng.choice(numbers) for _ in range(units)] for _ in range(count - 9)])


@every_rate
@pytest.mark.parametrize("bits", [NARROW, WIDE])
@pytest.mark.parametrize("units", [1, 2, 128, 600])
def test_packed_numbers_are_dropped_as_those_of_a_list(units, bits, rate, rng):
    """With signs as well as without: gradients go the same way back.

    1 / (1 - p) has 8 bits, and what comes out is rounded to the unit.
    """
    lanes = extremes(rng, 20, units, (1 << 23) - 1)
    packed = PackedMatrix.from_matrix(Matrix(lanes) / 1024.0, UNIT, bits)
    a, masks = packed.to_matrix(), masks_for(20, units, rate)
    found, expected = packed.dropped(masks), a.dropped(masks)
    assert found.shape == a.shape and found.unit == packed.unit
    for i, row in enumerate(expected):
        assert max(map(abs, found.lanes(i))) <= found.bound
        for x, y, kept in zip(found.to_matrix()[i], row, masks.factors()[i]):
            assert abs(x - y) <= abs(y) / 256 + 0.5 / 1024 if kept else x == 0
    if rate == 0:
        assert found.to_matrix() == a


def test_numbers_that_dropout_makes_too_large_are_refused():
    top = (1 << 30) - 1
    packed = PackedMatrix.from_matrix(Matrix([[top, -top, 1]]), Fraction(1))
    with pytest.raises(LaneOverflowError):
        packed.dropped(masks_for(1, 3, 0.5))


# --- networks

X = SparseMatrix.from_images([bytes([0, 85, 255, 170]), bytes([170, 255, 85, 85]),
                              bytes([255, 85, 0, 85])], 4)
LABELS = [2, 0, 2]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("hidden", [[6], [6, 5]], ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_every_gradient_is_the_measured_slope_with_masks(activation, loss, hidden,
                                                         smoothing, rng):
    net = Network([4, *hidden, 3], activation, loss, rng)
    for layer in net.layers:
        layer.bias = Matrix.random_normal(*layer.bias.shape, rng, deviation=0.5)
    masks = Dropout(0.4, hidden, rng).draw(3, rng)
    assert gradient_check(net, X, LABELS, smoothing=smoothing, masks=masks) < 1e-6
    with_masks = net.mean_loss(X, LABELS, smoothing, masks)
    assert with_masks != net.mean_loss(X, LABELS, smoothing)
    assert with_masks == net.loss_and_gradients(X, LABELS, smoothing, masks)[0]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_unit_left_out_has_no_part_and_learns_nothing(activation, rng):
    net = Network([4, 6, 3], activation, rng=rng)
    masks, = Dropout(0.5, [6], rng).draw(3, rng)
    factors = masks.factors()
    _, (first, second) = net.loss_and_gradients(X, LABELS, masks=[masks])
    hidden = net.forward(X).active[0]
    assert second.inputs == Matrix([[a * k for a, k in zip(row, kept)]
                                    for row, kept in zip(hidden, factors)])
    for row, kept in zip(first.delta, factors):
        assert all(d == 0 for d, k in zip(row, kept) if k == 0)
    assert any(k == 0 for row in factors for k in row)


@pytest.mark.parametrize("activation, hidden", [
    *product(["relu", "sigmoid"], [[12], [12, 8]])], ids=str)
@pytest.mark.parametrize("rate, dropout", [(0.3, 0.4), (0.003, 0.4), (0.03, 0.9)])
def test_both_engines_leave_out_the_same_units(activation, hidden, rate, dropout):
    """After 3 steps the engines are no further apart than 1/100 of the way, and half a
    unit of the first layer a step.

    With the small rate the steps of images are added up in finer units.
    """
    rng = random.Random(3)
    lists = Network([4, *hidden, 3], activation, rng=rng)
    packed = pack_network(lists.copy(), Team(), 4, rate / 3)
    before = [m.copy() for layer in lists.layers for m in (layer.weights, layer.bias)]
    masks = Dropout(dropout, hidden, rng)
    for net in (lists, packed):
        how = How(smoothing=0.1, dropout=masks, rng=random.Random(7))
        for _ in range(3):
            train_batch(net, Team(), X, LABELS, rate, how)
    packed = unpack_network(packed, Team())
    for number, (one, other) in enumerate(zip(lists.layers, packed.layers)):
        for a, b, start in ((one.weights, other.weights, before[2 * number]),
                            (one.bias, other.bias, before[2 * number + 1])):
            rounding = 3 / (3 << 16) / 2 * math.sqrt(math.prod(a.shape))
            assert (a - b).norm() <= (a - start).norm() / 100 + rounding
