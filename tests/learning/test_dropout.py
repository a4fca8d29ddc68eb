"""Dropout: masks by chance and by seed, the scaling, every share alike.

That both engines leave out the same units stands in test_packed_network.py.
"""
import math
import random
from functools import lru_cache

import pytest

from engine.team import Team
from learning.dropout import MASKS, Dropout
from my_math import Matrix
from network import ACTIVATIONS, Network

every_rate = pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])


@lru_cache(maxsize=None)
def dropout_of(units, rate, scale=1.0):
    return Dropout(rate, [units], random.Random(1), scale)


def masks_for(count, units, rate, scale=1.0):
    """Masks for so many images and one layer."""
    return dropout_of(units, rate, scale).draw(count, random.Random(2))[0]


@every_rate
def test_units_are_left_out_with_the_chance_asked_for(rate):
    factors = masks_for(400, 50, rate)
    assert len(factors) == 400 and all(len(row) == 50 for row in factors)
    kept = pytest.approx(1 / (1 - rate), rel=1e-15)
    assert all(k == 0 or k == kept for row in factors for k in row)
    share = sum(k == 0 for row in factors for k in row) / (400 * 50)
    assert abs(share - rate) <= 4 * math.sqrt(rate * (1 - rate) / (400 * 50))
    if rate:
        assert len(set(map(tuple, factors))) > 250         # not the same for all images


@every_rate
def test_whole_factors_are_the_same_rounded(rate):
    for row, whole in zip(masks_for(20, 33, rate), masks_for(20, 33, rate, 256)):
        assert whole == [round(256 * k) for k in row]


def drawn(seed, rate=0.3, share=slice(None)):
    rng = random.Random(seed)
    dropout = Dropout(rate, [5, 8], rng)
    return [dropout.draw(9, rng, share) for _ in range(3)]


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


def test_masks_are_drawn_from_all_that_are_made():
    rng = random.Random(5)
    masks, = Dropout(0.5, [3], rng).draw(20 * MASKS, rng)
    assert len({id(row) for row in masks}) == MASKS


@every_rate
def test_the_mean_over_many_masks_is_the_matrix_without_dropout(rate, rng):
    a = Matrix.random_normal(1, 6, rng)
    mean = a * Matrix(masks_for(20 * MASKS, 6, rate)).mean(axis=0)
    for found, x in zip(mean[0], a[0]):
        # The 1,000 masks are what decides, however often a mask is drawn.
        error = abs(x) * math.sqrt(rate / (1 - rate) / MASKS)
        assert abs(found - x) <= 4 * error + 1e-9


# --- networks (test_network.py checks gradients with masks)

@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_unit_left_out_has_no_part_and_learns_nothing(activation, rng):
    net, x = Network([4, 6, 3], activation, rng=rng), Matrix.random_normal(3, 4, rng)
    masks = Matrix(Dropout(0.5, [6], rng).draw(3, rng)[0])
    _, (first, second) = net.loss_and_gradients(x, [2, 0, 2], masks=[masks])
    assert second.inputs == net.forward(x).active[0] * masks
    for row, kept in zip(first.delta, masks):
        assert all(d == 0 for d, k in zip(row, kept) if k == 0)
    assert any(k == 0 for row in masks for k in row)
