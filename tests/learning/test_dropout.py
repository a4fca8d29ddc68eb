"""Dropout: masks by chance and by seed, the scaling, every share alike.

That both engines leave out the same units stands in test_packed_network.py, that the
gradient is right without them in test_network.py.
"""
import math
import random

import pytest

from engine.team import Team
from learning.dropout import Dropout


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_units_are_left_out_with_the_chance_asked_for_and_the_others_are_larger(rate):
    floats, whole = (Dropout(rate, [50], random.Random(1), scale).draw(
        400, random.Random(2))[0] for scale in (1.0, 256))
    kept = 1 / (1 - rate)
    assert [len(row) for row in floats] == [50] * 400
    assert {k for row in floats for k in row} <= {0, kept}
    assert whole == [[round(256 * k) for k in row] for row in floats]
    share = sum(k == 0 for row in floats for k in row) / (400 * 50)
    assert abs(share - rate) <= 4 * math.sqrt(rate * (1 - rate) / (400 * 50))
    # Not the same for all images: 400 of 1,000 masks are 330 different ones.
    assert not rate or len(set(map(tuple, floats))) > 300


def drawn(seed, share=slice(None)):
    rng = random.Random(seed)
    dropout = Dropout(0.3, [5, 8], rng)
    return [dropout.draw(9, rng, share) for _ in range(3)]


@pytest.mark.parametrize("workers", [1, 3, 12])
def test_all_shares_together_are_the_masks_of_all_images(workers):
    """Also in the batches after: every worker has drawn as many numbers."""
    team = Team(0, [None] * workers)
    shares = [drawn(4, team.share(9, rank)) for rank in range(workers)]
    for batch, whole in enumerate(drawn(4)):
        assert [len(masks[0]) for masks in whole] == [5, 8]     # for each layer
        for layer, masks in enumerate(whole):
            assert [row for share in shares for row in share[batch][layer]] == masks
    assert drawn(4)[0] != drawn(4)[1] and drawn(4) != drawn(5)
