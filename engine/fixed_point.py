"""Fixed point: how many bits numbers have, and how they are rounded.

A number is v 2^-f with a whole v; "Q8.16" has 8 bits before the point, one of them the
sign, and f = 16 behind it.
"""
from __future__ import annotations

import math
import random
from functools import lru_cache
from typing import NamedTuple, Sequence

from engine.lanes import Lanes, Row


class Format(NamedTuple):
    """Widths of lanes and fractional bits: a number is v 2^-f ("Q format")."""

    lanes: int              # bits of a lane of the first layer and its Z
    fraction: int           # f of Z
    later_lanes: int        # bits of a lane of a later layer's weights
    later_fraction: int     # their f
    factor_fraction: int    # their f where they are multiplied
    activation_bits: int    # of an activation, none of which is negative
    activation_fraction: int
    resolution: int         # dZ = 1 of an output becomes about 2^resolution
    offset: int = 0         # what is added to activations, so that none is negative

    @property
    def activation_bytes(self) -> int:
        """Bytes that an activation is kept in."""
        return -(-self.activation_bits // 8)

    @property
    def product_fraction(self) -> int:
        """f of activation times weight, a later layer's Z."""
        return self.activation_fraction + self.factor_fraction


# One hidden layer of ReLU, plain descent, few grey levels: 24 bits a lane.
#   Z in Q8.16: -128..128.  Every sum is checked to lie within -64..64.
#   Activations in UQ5.5, no sign: 10 bits, 0..32 by 1/32.
#   Later weights in Q8.24, and rounded to Q4.10, within -8..8, for products: sums over
#   256 units are 2^8 (2^10 - 1) 2^13 < 2^31 at most; twice the units leave a bit less.
NARROW = Format(24, 16, 32, 24, 10, 10, 5, 3)
# All else: 64 bits a lane.  Z in Q24.40, activations in UQ8.8, weights in Q32.32.
WIDE = Format(64, 40, 64, 32, 32, 16, 8, 12)
# Sigmoid and tanh, within -1..1, have finer activations, with 14 fractional bits.  With
# dropout their largest is 1 / (1 - p): they take four bytes, and 2^16 is added, which
# makes them positive for all p up to 1 - 2^-16.
SMOOTH = WIDE._replace(factor_fraction=26, activation_fraction=14, activation_bits=32,
                       offset=1 << 30)


def format_for(hidden: Sequence[int], activation: str, levels: int, step_size: float,
               plain: bool) -> Format:
    """Return the narrowest lanes that will do.

    `step_size` is the first learning rate, as the optimizer scales it, over m; `plain`
    means that steps go to the weights as they are, with neither momentum nor weight
    decay nor dropout.  A narrow lane of the first layer means (levels - 1) 2^-16 of a
    weight: at first 1/16, or less, of what an image with dZ = 1 changes at level 1.
    """
    if activation != "relu":
        return SMOOTH
    small = step_size / (levels - 1) ** 2 < 2.0 ** -12
    if len(hidden) != 1 or max(hidden) > 1024 or levels > 4 or small or not plain:
        return WIDE
    return NARROW._replace(
        factor_fraction=10 - max(0, (max(hidden) - 1).bit_length() - 8))


DITHERS = 64


@lru_cache(maxsize=8)
def dithers(lanes: Lanes, shift: int) -> list[Row]:
    """Return 64 rows that round without bias: floor((v + t) / 2^shift) has mean
    v / 2^shift over them (from shift 7 on to 1/128, and exactly over all v).

    In each lane t runs through 64 evenly spaced values of 0..2^shift - 1, in an order
    of its own: t = (r + 1/2) 2^shift / 64, whose mean over r = 0..63 is 1/2 more than
    (2^shift - 1) / 2 where nothing is rounded; so every second one is 1 less.  (With 64
    random values a lane, each lane would have a bias of its own.)  The lanes' bias is
    added, so that sums with numbers of both signs can be shifted.
    """
    rng = random.Random(1)
    orders = [sorted(range(DITHERS), key=lambda _: rng.random())
              for _ in range(lanes.count)]
    values = [((2 * r + 1 << shift) // (2 * DITHERS)) - (r & 1 if shift > 6 else 0)
              for r in range(DITHERS)]
    return [lanes.bias + lanes.encode([values[order[n]] for order in orders])
            for n in range(DITHERS)]


class Deltas(NamedTuple):
    """The unit of whole steps: -lr / (m (levels - 1)^2) dZ = q 2^-fraction.

    That is the step of the first layer's weights over their unit and a grey level.
    """

    scale: float
    fraction: int

    @classmethod
    def of(cls, step_size: float, levels: int, form: Format) -> Deltas:
        """Return the fraction for which dZ = 1 becomes about 2^resolution.

        It is kept to where a sum q W has 0 to `lanes` - 4 bits more than a lane of the
        first layer.  At 0, with very large steps, dZ = 1 becomes more than that; at the
        other end, with very small ones, less.
        """
        scale = step_size / (levels - 1) ** 2
        mantissa, exponent = math.frexp(scale)      # scale = mantissa 2^exponent
        least = form.fraction - form.factor_fraction
        fraction = form.resolution - exponent + (mantissa * mantissa < 0.5)
        fraction = min(max(fraction, least), least + form.lanes - 4)
        return cls(math.ldexp(scale, fraction), fraction)
