"""Between layers: A = f(Z) and dZ = dA f'(Z), on lanes.

Z and dA are rows of lanes, one for each image; A is bytes, one number a unit after the
other, as `lanes.transpose` and `lanes.spread` want them.
"""
from __future__ import annotations

import struct
from typing import Callable, Sequence

from engine.fixed_point import Format
from engine.lanes import LaneOverflowError, Lanes, Row
from engine.portable import sigmoid


class Relu:
    """max(Z, 0) and its gate, Z > 0, on all lanes at once.

    A lane of Z with a bias, here of 24 bits with 16 fractional ones:

        bit    23       22 21        20 ... 11           10 ... 0
               Z > 0    must be 0    A, 5 fractional     rounded off
    """

    def __init__(self, lanes: Lanes, form: Format) -> None:
        """`lanes` are those of Z."""
        self.lanes = lanes
        self._below = lanes.bias - lanes.ones       # one bit tells v > 0: v - 1 >= 0
        low = form.fraction - form.activation_fraction      # bits that are rounded off
        high = low + form.activation_bits
        self._half = (lanes.ones << low >> 1) + lanes.ones      # 1/2, and the 1 again
        self._field = (lanes.ones << high) - (lanes.ones << low)
        self._beyond = lanes.bias - (lanes.ones << high)
        # A is in two bytes, from byte `first` after a shift by `align`.
        self._first, self._align = low // 8, low % 8

    def forward(self, zs: Sequence[Row]) -> tuple[list[bytes], list[Row]]:
        """Return the bytes of A of each image, and the gates: 2^(bits - 1) in each lane
        with Z > 0."""
        lanes, first, seen = self.lanes, self._first, 0
        mask, width, top = lanes.modulus - 1, lanes.width, lanes.bits - 1
        activations, gates = [], []
        for z in zs:
            biased = z + self._below & mask
            gate = biased & lanes.bias
            # gate - (gate >> top) has all bits below the highest, where that is 1
            rounded = (biased & gate - (gate >> top)) + self._half
            seen |= rounded
            field = (rounded & self._field) >> self._align
            raw = field.to_bytes(lanes.size, "little")
            both = bytearray(2 * lanes.count)
            both[0::2], both[1::2] = raw[first::width], raw[first + 1::width]
            activations.append(both)
            gates.append(gate)
        if seen & self._beyond:
            raise LaneOverflowError("an activation beyond its bits")
        return activations, gates

    def backward(self, sums: Row, dither: Row, gate: Row, shift: int) -> Row:
        """Return floor((v + t) / 2^shift) in the lanes with Z > 0, else 0.

        The row is kept positive by the bit above the highest lane.
        """
        # In each lane with Z > 0 the lowest bits - shift bits: 2^(bits - shift) - 1
        mask = (gate << 1 >> shift) - (gate >> self.lanes.bits - 1)
        biased = sums + dither >> shift & mask
        return (biased | self.lanes.modulus) - (gate >> shift)


_SLOPE = 16         # fractional bits of f'
_CURVES: dict[str, Callable[[int], tuple[float, float]]] = {
    "relu": lambda z: (max(z / 256, 0), float(z > 0)),
    "sigmoid": lambda z: (a := sigmoid(z << 4, 0), a * (1 - a)),
    "tanh": lambda z: (a := 2 * sigmoid(z << 5, 0) - 1, 1 - a * a),
}


class Elementwise:
    """Any activation, with or without dropout, one number at a time: by a table of f
    and f' for Z in -64..64 by 1/256 (2^-8; `portable` has steps of 2^-12)."""

    def __init__(self, lanes: Lanes, form: Format, activation: str) -> None:
        """`lanes` are those of Z."""
        self.lanes, self._shift = lanes, form.fraction - 8
        self._pack, self._offset = struct.Struct(f"<{lanes.count}I").pack, form.offset
        curve = list(map(_CURVES[activation], range(-1 << 14, 1 << 14)))
        self._values = [round(a * (1 << form.activation_fraction)) for a, _ in curve]
        self._slopes = [round(slope * (1 << _SLOPE)) for _, slope in curve]

    def forward(self, zs: Sequence[Row], kept: Sequence[Sequence[int]] = ()
                ) -> tuple[list[bytes], list[Sequence[int]]]:
        """Return the bytes of A of each image, and for each the slopes f'(Z).

        `kept` has for each image the factors of dropout in units of 2^-8: 0, or
        2^8 / (1 - p).
        """
        activations, slopes, middle = [], [], 1 << 14
        for number, z in enumerate(zs):
            rounded = self.lanes.decode(self.lanes.shift_right(z, self._shift))
            if not -middle <= min(rounded) <= max(rounded) < middle:
                raise LaneOverflowError("a sum of a hidden layer beyond its lane")
            values = [self._values[v + middle] for v in rounded]
            slope = [self._slopes[v + middle] for v in rounded]
            if kept:
                values = [a * k >> 8 for a, k in zip(values, kept[number])]
                slope = [s * k >> 8 for s, k in zip(slope, kept[number])]
            activations.append(self._pack(*[a + self._offset for a in values]))
            slopes.append(slope)
        return activations, slopes

    def backward(self, sums: Row, dither: Row, slopes: Sequence[int], shift: int
                 ) -> Row:
        """Return floor((v f' + t) / 2^shift) in each lane."""
        fractions = self.lanes.decode(dither - self.lanes.bias)
        return self.lanes.encode([
            (v * slope >> _SLOPE) + t >> shift
            for v, slope, t in zip(self.lanes.decode(sums), slopes, fractions)])
