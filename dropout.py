"""Dropout (Srivastava et al. 2014): hidden units left out at random while training.

Each image goes without a part p of the hidden units, chosen anew each time, so that no
unit can rely on another.  What is kept is divided by 1 - p ("inverted" dropout), so
that sums stay as large as they are when the trained network answers with all units.

The masks come from a stock of 1,000 that is made once: as with the maps that bend
images, drawing one of these is much faster than making one.
"""
from __future__ import annotations

import random
from typing import Sequence

from lanes import NARROW, lanes_of

STOCK = 1000


class Masks:
    """Which numbers of a matrix are kept: for each row one mask of a stock."""

    def __init__(self, stock: Stock, chosen: Sequence[int]) -> None:
        self.stock, self.chosen, self.rate = stock, chosen, stock.rate

    def factors(self) -> list[list[float]]:
        """For each row the factors: 0, or 1 / (1 - p)."""
        return [self.stock.factors[k] for k in self.chosen]

    def signs(self) -> list[int]:
        """For each row one integer with a 1 at the foot of each narrow lane kept."""
        return [self.stock.signs[k] for k in self.chosen]


class Stock:
    """Masks for a layer of so many units, each of which is left out with chance p."""

    def __init__(self, units: int, rate: float, rng: random.Random) -> None:
        self.rate = rate
        kept = [[rng.random() >= rate for _ in range(units)] for _ in range(STOCK)]
        self.factors = [[keep / (1 - rate) for keep in row] for row in kept]
        self.signs = list(map(lanes_of(units, NARROW).encode, kept))


class Dropout:
    """Dropout for all hidden layers of a network."""

    def __init__(self, rate: float, hidden: Sequence[int], rng: random.Random) -> None:
        """`rate` is p, 0 <= p < 1."""
        if not 0 <= rate < 1:
            raise ValueError(f"dropout of {rate}: expected 0 up to, not including, 1")
        self._stocks = [Stock(units, rate, rng) for units in hidden]

    def draw(self, count: int, rng: random.Random, share: slice = slice(None)
             ) -> list[Masks]:
        """Masks for `count` images, of these for a share, one `Masks` a hidden layer.

        Every process draws for all images, so that all have the same numbers next.
        """
        chosen = [[int(rng.random() * STOCK) for _ in range(count)]
                  for _ in self._stocks]
        return [Masks(stock, numbers[share])
                for stock, numbers in zip(self._stocks, chosen)]
