"""Dropout (Srivastava et al. 2014): hidden units left out at random while training.

Each image goes without a part p of the hidden units, chosen anew each time, so that no
unit can rely on another.  The others are divided by 1 - p ("inverted" dropout), so that
sums stay as large as they are when the trained network uses all units.

The masks are drawn from 1,000 that are made once: that is much faster than making one
for each image.
"""
from __future__ import annotations

import random
from typing import Sequence

MASKS = 1000


class Dropout:
    """Masks of all hidden layers of a network: rows of 0 and scale / (1 - p), rounded
    where the scale is a whole number.
    """

    def __init__(self, rate: float, hidden: Sequence[int], rng: random.Random,
                 scale: float = 1.0) -> None:
        """`rate` is p, 0 <= p < 1."""
        kept = scale / (1 - rate)
        kept = round(kept) if isinstance(scale, int) else kept
        self._masks = [[[kept * (rng.random() >= rate) for _ in range(units)]
                         for _ in range(MASKS)] for units in hidden]

    def draw(self, count: int, rng: random.Random, share: slice = slice(None)
             ) -> list[list[Sequence[float]]]:
        """Return masks for `count` images, of these for a share: layer, image, unit.

        Every process draws for all images, so that all have the same numbers next.
        """
        chosen = [[int(rng.random() * MASKS) for _ in range(count)]
                  for _ in self._masks]
        return [[masks[k] for k in numbers[share]]
                for masks, numbers in zip(self._masks, chosen)]
