"""Dense layers whose numbers are lanes of integers, for 1 or several processes.

What differs between the engines is the layer.  This one has the steps of a textbook's

    forward     Z = X W + b
    backward    dA = dZ W^T             dZ of the layer before: dA where Z > 0
    step        W <- W - lr X^T dZ,     b <- b - lr (sum of the rows of dZ)

on whole numbers.  An image is a list of groups of pixels of one grey level.  A row of Z
or dZ belongs to an image, one lane a unit.  dZ reaches a layer as the step already,
times -lr / m (`Deltas`).
"""
from __future__ import annotations

import math
import random
import struct
from functools import lru_cache
from itertools import compress, zip_longest
from operator import itemgetter, mul
from typing import Callable, Iterable, NamedTuple, Sequence

from engine.lanes import (LaneOverflowError, Lanes, Row, lanes_of, spread,
                          transpose)
from engine.packed import PackedMatrix
from engine.portable import sigmoid
from my_math import Matrix


class Format(NamedTuple):
    """Widths of lanes and fractional bits: a number is v 2^-f ("Q format")."""

    lanes: int              # bits of a lane of the first layer and its Z
    fraction: int           # f of Z
    later_lanes: int        # bits of a lane of a later layer's weights
    later_fraction: int     # their f
    factor_fraction: int    # their f where they are multiplied
    activation_bytes: int   # of an activation
    activation_fraction: int
    in_64: int              # sums of a later layer that share 64 bits
    resolution: int         # steps of one image: dZ of the outputs has 2^resolution
    offset: int = 0         # what is added to activations, so that none is negative

    @property
    def product_fraction(self) -> int:
        """f of activation times weight, a later layer's Z."""
        return self.activation_fraction + self.factor_fraction


# One hidden layer of ReLU, plain descent, few grey levels: 24 bits a lane.
#   Z in Q8.16: -128..128.  Every sum is checked to lie within -64..64.
#   Activations in Q5.3: a byte, 0..32 by eighths.
#   Later weights in Q8.24, and rounded to Q4.12, within -8..8, for products: 256 units
#   give sums up to 2^8 2^8 2^15 = 2^31 at most; twice the units leave a bit less.
NARROW = Format(24, 16, 32, 24, 12, 1, 3, 2, 2)
# All else: 64 bits a lane.  Z in Q24.40, activations in Q8.8, weights in Q32.32.
WIDE = Format(64, 40, 64, 32, 32, 2, 8, 1, 8)
# Sigmoid and tanh, within -1..1, have finer activations: 1 + A in Q2.14.
SMOOTH = WIDE._replace(factor_fraction=26, activation_fraction=14, offset=1 << 14)


def format_for(hidden: Sequence[int], activation: str, levels: int, step_size: float,
               plain: bool) -> Format:
    """Return the narrowest lanes that will do.

    `step_size` is lr / m, `plain` whether steps go to the weights as they are, with
    neither momentum nor weight decay nor dropout.  A lane of the first layer then means
    (levels - 1) 2^-16 of a weight: 1/16 of what an image with dZ = 1 changes, or finer.
    """
    if activation != "relu":
        return SMOOTH
    small = step_size / (levels - 1) ** 2 < 2.0 ** -12
    if len(hidden) != 1 or max(hidden) > 1024 or levels > 4 or small or not plain:
        return WIDE
    return NARROW._replace(
        factor_fraction=12 - max(0, (max(hidden) - 1).bit_length() - 8))


# ---------------------------------------------------------------------------
# Rounding
# ---------------------------------------------------------------------------

DITHERS = 64


@lru_cache(maxsize=8)
def dithers(lanes: Lanes, shift: int) -> list[Row]:
    """Return 64 rows that round without bias: floor((v + t) / 2^shift) has mean
    v / 2^shift over them.

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
    """How dZ is made whole: as -lr / (m (levels - 1)^2) dZ = q 2^-fraction.

    That is the step of the first layer's weights over their unit and a grey level.
    """

    scale: float
    fraction: int

    @classmethod
    def of(cls, step_size: float, levels: int, form: Format) -> Deltas:
        """Return the fraction for which dZ = 1 becomes 2^resolution to twice that."""
        scale = step_size / (levels - 1) ** 2
        fraction = max(form.resolution + 1 - math.frexp(scale)[1],
                       form.fraction - form.factor_fraction)
        return cls(math.ldexp(scale, fraction), fraction)


# ---------------------------------------------------------------------------
# The first layer
# ---------------------------------------------------------------------------

# (grey level, level less the next one below, what picks its places out of a list)
Group = tuple[int, int, Callable[[list], Sequence]]
_TOGETHER = 64      # pixels that are added before a sum is checked


class Quantizer:
    """Turn an image, a byte a pixel, into groups of pixels of equal grey level.

    Level k of K = levels - 1 means k / K; zeros are left out.
    """

    def __init__(self, levels: int, count: int) -> None:
        """`count` is the number of pixels, those of one worker."""
        if not 2 <= levels <= 256:
            raise ValueError(f"found {levels} grey levels, expected 2 to 256")
        self.places = list(range(count))        # a list has its ints ready
        self._level_of = bytes((2 * grey * (levels - 1) + 255) // 510
                               for grey in range(256))
        self._only = [bytes(k) + b"\1" + bytes(255 - k) for k in range(levels)]

    def __call__(self, image: bytes) -> list[Group]:
        """Return the groups, the highest level first, 64 pixels at most in each."""
        image = image.translate(self._level_of)
        levels = sorted(set(image) - {0}, reverse=True)
        groups: list[Group] = []
        for level, below in zip(levels, [*levels[1:], 0]):
            places = list(compress(self.places, image.translate(self._only[level])))
            for start in range(0, len(places), _TOGETHER):
                some = places[start:start + _TOGETHER]
                drop = level - below if start + _TOGETHER >= len(places) else 0
                groups.append((level, drop, _picker(some)))
        return groups


def _picker(places: Sequence[int]) -> Callable[[list], Sequence]:
    """Return what picks these places out of a list: itemgetter, which wants two."""
    if len(places) == 1:
        return itemgetter(slice(places[0], places[0] + 1))
    return itemgetter(*places)


class FirstLayer:
    """The rows of W that belong to this worker's pixels, and b.

    A lane of v is (levels - 1) v 2^-fraction of a weight, so that grey levels stay
    whole: with V = W / (levels - 1),

        Z = sum_p level_p V_p + b,    V_p <- V_p + level_p q,    b <- b + (levels-1)^2 q

    for a step q = -lr / (m (levels - 1)^2) dZ.  Rows are residues, kept positive.
    """

    def __init__(self, weights: Matrix, bias: Matrix, levels: int, form: Format,
                 pixels: slice = slice(None)) -> None:
        """Take the rows `pixels` of the weights (d x h), and the bias (1 x h)."""
        unit, top = 2.0 ** -form.fraction, levels - 1
        self.lanes, self.top = lanes_of(bias.shape[1], form.lanes), top
        own = Matrix(list(weights)[pixels])
        self.quantizer = Quantizer(levels, own.shape[0])
        self.weights = PackedMatrix.from_matrix(own, self.lanes, top * unit)
        self.bias = PackedMatrix.from_matrix(bias, self.lanes, unit)
        # Checked sums: |sum| < 64 and 64 numbers up to 2 more stay below 3 * 64, and
        # what lies between 64 and 192 shows in the highest bit (`_reach`).  Unchecked
        # ones, of 64 bits: all pixels at the highest level stay below 2^62.
        self._reach = 1 << form.lanes - 2
        self._limit = (2 * self._reach // _TOGETHER if form.lanes < 64
                       else self._reach // (weights.shape[0] * top))
        self.margin = self.lanes.ones * self._reach
        self.target: tuple[PackedMatrix, PackedMatrix] | None = None
        self.tidy()

    def tidy(self) -> None:
        """Bring rows and bias back to n lanes, and look how large they are."""
        mask, guard = self.lanes.modulus - 1, self.lanes.modulus
        self._bound = 0
        for matrix in (self.weights, self.bias, *(self.target or ())):
            matrix.rows[:] = [row & mask | guard for row in matrix.rows]
            if matrix.shape == self.weights.shape:
                self._bound = max(self._bound, self.lanes.bound(matrix.rows))
        if self._bound > self._limit:
            raise LaneOverflowError(f"a weight of the first layer above "
                                    f"{self._limit * self.weights.unit:.3g}")

    def sums(self, images: Iterable[list[Group]]) -> list[Row]:
        """Return sum_p level_p V_p over this worker's pixels of each image.

        By parts (Abel): with S_k the sum of the rows under level k and above,
        3 A + 2 B + C = A + (A + B) + (A + B + C), additions only.
        """
        rows, margin, seen, sums = self.weights.rows, self.margin, 0, []
        for groups in images:
            total = running = 0
            for _, drop, pick in groups:
                running = sum(pick(rows), running)
                seen |= running + margin
                if drop:
                    total += running if drop == 1 else drop * running
            seen |= total + margin
            sums.append(total)
        self.check(seen)
        return sums

    def joined(self, parts: Sequence[list[Row]]) -> list[Row]:
        """Return Z from the sums over the pixels of every worker."""
        bias, seen, joined = self.bias.rows[0], 0, []
        for sums in zip(*parts):
            z = bias
            for part in sums:
                z += part
                seen |= z + self.margin
            joined.append(z)
        self.check(seen)
        return joined

    def check(self, seen: Row) -> None:
        """LaneOverflowError unless all v + reach in `seen` were in 0..2 reach - 1."""
        if seen & self.lanes.bias:
            raise LaneOverflowError("a sum of the first layer beyond its lane")

    def take(self, images: Sequence[list[Group]], steps: Iterable[tuple[int, Row]],
             growth: int) -> None:
        """Take the steps (place of an image among `images`, q); no |sum of q| exceeds
        `growth`."""
        weights, bias = self.target or (self.weights, self.bias)
        places, top = self.quantizer.places, self.top
        if growth * top * top >= self._reach:
            raise LaneOverflowError("a step of the first layer beyond its lane")
        self._bound += growth * top
        rows = weights.rows
        for number, step in steps:
            for level, _, pick in images[number]:
                multiple = step if level == 1 else level * step
                for place in pick(places):
                    rows[place] += multiple
            bias.rows[0] += top * top * step
        self.check(bias.rows[0] + self.margin)
        if self._bound > self._limit:
            self.tidy()


# ---------------------------------------------------------------------------
# Between layers: A = f(Z), and dZ = dA f'(Z)
# ---------------------------------------------------------------------------

class Relu:
    """max(Z, 0) and its gate, Z > 0, on all lanes at once."""

    def __init__(self, lanes: Lanes, form: Format) -> None:
        """`lanes` are those of Z."""
        self.lanes = lanes
        self._below = lanes.bias - lanes.ones       # v - 1 is >= 0 where v > 0
        # Of Z, `drop` bits are rounded off.  What is left is one byte or two, from
        # byte `first` after a shift by `align`; bits beyond them are to be 0.
        drop = form.fraction - form.activation_fraction
        self._first, self._align = drop // 8, drop % 8
        self._bytes = form.activation_bytes
        self._half = (lanes.ones << drop >> 1) + lanes.ones     # 1/2, and the 1 again
        self._beyond = lanes.bias - (lanes.ones << drop + 8 * self._bytes)

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
            raw = (rounded >> self._align).to_bytes(lanes.size, "little")
            if self._bytes == 1:
                activations.append(raw[first::width])
            else:
                both = bytearray(2 * lanes.count)
                both[0::2], both[1::2] = raw[first::width], raw[first + 1::width]
                activations.append(bytes(both))
            gates.append(gate)
        if seen & self._beyond:
            raise LaneOverflowError("an activation beyond its lane")
        return activations, gates

    def backward(self, sums: Row, dither: Row, gate: Row, shift: int) -> Row:
        """Return floor((v + t) / 2^shift) in the lanes with Z > 0, else 0.

        The row is kept positive by the bit above the highest lane.
        """
        kept = (gate << 1 >> shift) - (gate >> self.lanes.bits - 1)
        biased = sums + dither >> shift & kept
        return (biased | self.lanes.modulus) - (gate >> shift)


_SLOPE = 16         # fractional bits of f'
_CURVES: dict[str, Callable[[int], tuple[float, float]]] = {
    "relu": lambda z: (max(z / 256, 0), float(z > 0)),
    "sigmoid": lambda z: (a := sigmoid(z << 4, 0), a * (1 - a)),
    "tanh": lambda z: (a := 2 * sigmoid(z << 5, 0) - 1, 1 - a * a),
}


class Elementwise:
    """Any activation, with or without dropout, one number at a time: by a table of f
    and f' for Z in -64..64 by 1/256."""

    def __init__(self, lanes: Lanes, form: Format, activation: str) -> None:
        """`lanes` are those of Z."""
        self.lanes, self._shift = lanes, form.fraction - 8
        self._pack, self._offset = struct.Struct(f"<{lanes.count}H").pack, form.offset
        one = 1 << form.activation_fraction
        curve = map(_CURVES[activation], range(-1 << 14, 1 << 14))
        self._table = [(round(a * one), round(slope * (1 << _SLOPE)))
                       for a, slope in curve]

    def forward(self, zs: Sequence[Row], kept: Sequence[Sequence[int]] = ()
                ) -> tuple[list[bytes], list[Sequence[int]]]:
        """Return the bytes of A of each image, and for each the slopes f'(Z).

        `kept` has for each image the factors of dropout in units of 2^-8: 0, or
        2^8 / (1 - p).
        """
        activations, slopes = [], []
        for number, z in enumerate(zs):
            rounded = self.lanes.decode(self.lanes.shift_right(z, self._shift))
            if not -1 << 14 <= min(rounded) <= max(rounded) < 1 << 14:
                raise LaneOverflowError("a sum of a hidden layer beyond its lane")
            pairs = [self._table[v + (1 << 14)] for v in rounded]
            if kept:
                pairs = [(a * k >> 8, slope * k >> 8)
                         for (a, slope), k in zip(pairs, kept[number])]
            values, own_slopes = zip(*pairs)
            activations.append(self._pack(*[a + self._offset for a in values]))
            slopes.append(own_slopes)
        return activations, slopes

    def backward(self, sums: Row, dither: Row, slopes: Sequence[int], shift: int
                 ) -> Row:
        """Return floor((v f' + t) / 2^shift) in each lane."""
        fractions = self.lanes.decode(dither - self.lanes.bias)
        return self.lanes.encode([
            (v * slope >> _SLOPE) + t >> shift
            for v, slope, t in zip(self.lanes.decode(sums), slopes, fractions)])


# ---------------------------------------------------------------------------
# Later layers
# ---------------------------------------------------------------------------

class LaterLayer:
    """The columns of W, W^T in packed rows, and b, the same in every worker.

        Z^T = W^T A^T + b^T     images are the lanes, the numbers of W the factors
        dA  = sum_c q_c (column c of W)
        column c of W <- it + (levels - 1)^2 sum_i q_ic A_i
    """

    def __init__(self, weights: Matrix, bias: Matrix, form: Format, before: Lanes,
                 top: int) -> None:
        """`before` are the lanes of Z of the layer before, `top` is levels - 1."""
        inputs, outputs = weights.shape
        self.form, self.before, self._square = form, before, top * top
        self.lanes = lanes_of(inputs, form.later_lanes)
        self.weights = PackedMatrix.from_matrix(weights.T, self.lanes,
                                                2.0 ** -form.later_fraction)
        self.bias = PackedMatrix.from_matrix(bias, lanes_of(outputs, 64), 2.0 ** -40)
        self.target: tuple[PackedMatrix, PackedMatrix] | None = None
        # 8 in narrow lanes; in wide ones what keeps sums of activations times it, these
        # having 15 bits at most and twice that with dropout, below 2^62.
        self._limit = (8 << form.later_fraction if form.later_lanes == 32
                       else 1 << 62 - 16 - inputs.bit_length())

    def prepare(self) -> None:
        """Make the forms of the weights that a batch multiplies with."""
        form, lanes = self.form, self.lanes
        self.bound = lanes.bound(self.weights.rows)
        if self.bound > self._limit:
            raise LaneOverflowError("a weight of a later layer above "
                                    f"{self._limit * self.weights.unit:.3g}")
        drop = form.later_fraction - form.factor_fraction
        self.bound = (self.bound >> drop) + 1
        biases = [b >> 40 - form.product_fraction
                  for b in self.bias.lanes.decode(self.bias.rows[0])]
        if form.in_64 == 2:
            self._prepare_pairs(drop, biases)
        else:
            self.columns = [lanes.shift_right(row, drop) for row in self.weights.rows]
            numbers = list(map(lanes.decode, self.columns))
            self._factors = [(column, b - form.offset * sum(column))
                             for column, b in zip(numbers, biases)]
            self._surplus = 0

    def _prepare_pairs(self, drop: int, biases: Sequence[int]) -> None:
        """Make factors of two outputs each, of numbers rounded by `drop` bits.

        With 2^15 added such a number has two bytes, and eight bytes are a factor:

            byte    7 6 5 4        3 2 1 0
                    0 0 second     0 0 first         each + 2^15

        A sum of factors times A is then 2^15 (1 + 2^32) times the sum of A too large,
        which `forward` takes off.
        """
        lanes, before = self.lanes, self.before
        # v + 2^(15 + drop) is positive, and 2^(drop - 1) rounds it
        offset = lanes.ones * ((1 << 15 + drop) + (1 << drop >> 1))
        half = before.ones << 15
        pairs, self.columns = [], []
        for c, column in enumerate(self.weights.rows):
            raw = (column + offset >> drop).to_bytes(lanes.size, "little")
            low, high = raw[0::4], raw[1::4]
            new = bytearray(before.size)
            new[0::3], new[1::3] = low, high
            self.columns.append(int.from_bytes(new, "little") - half)
            if c % 2 == 0:
                pairs.append(bytearray(8 * lanes.count))
            pairs[-1][c % 2 * 4::8], pairs[-1][c % 2 * 4 + 1::8] = low, high
        both = [first + (second << 32)
                for first, second in zip_longest(*[iter(biases)] * 2, fillvalue=0)]
        numbers = map(struct.Struct(f"<{lanes.count}Q").unpack, pairs)
        self._factors = list(zip(numbers, both))
        self._surplus = (1 << 15) + (1 << 15 + 32)

    def forward(self, activations: Sequence[bytes]) -> list[Row]:
        """Return rows of Z^T: lanes of images, `in_64` outputs to a row of 64 bits."""
        units = transpose(activations, self.form.activation_bytes)
        ones = lanes_of(len(activations), 64).ones
        surplus = self._surplus * sum(units) if self._surplus else 0
        return [sum(map(mul, factors, units), bias * ones - surplus)
                for factors, bias in self._factors]

    def turned(self, columns: Sequence[Row], count: int) -> list[Row]:
        """Return Z of each of `count` images, a row of 64-bit lanes, from rows of Z^T.
        """
        images, bias = lanes_of(count, 64), lanes_of(len(columns), 64).bias
        rows = transpose([images.to_bytes(column) for column in columns], 8)
        return [row - bias for row in rows]

    def outputs(self, rows: Sequence[Row], count: int) -> list[tuple[int, ...]]:
        """Return Z of each of `count` images, whole numbers, from rows of Z^T."""
        share = self.form.in_64
        lanes = lanes_of(share * count, 64 // share)
        columns = [numbers[k::share] for numbers in map(lanes.decode, rows)
                   for k in range(share)]
        return list(zip(*columns[:self.weights.shape[0]]))

    def backward(self, q: Sequence[int]) -> Row:
        """Return dA = sum_c q_c (column c of W), in the lanes of Z before."""
        return sum(map(mul, filter(None, q), compress(self.columns, q)))

    def step(self, qs: Sequence[Sequence[int]], activations: Sequence[bytes]
             ) -> tuple[list[Row], list[int]]:
        """Return sum_i q_ic A_i and sum_i q_ic, for each output c."""
        if not qs:
            return [0] * self.weights.shape[0], [0] * self.weights.shape[0]
        form, ones = self.form, self.lanes.ones
        rows = [spread(a, form.activation_bytes, self.lanes) for a in activations]
        columns, biases = list(zip(*qs)), list(map(sum, zip(*qs)))
        return [sum(map(mul, filter(None, q), compress(rows, q)))
                - form.offset * total * ones
                for q, total in zip(columns, biases)], biases

    def take(self, sums: Sequence[Row], bias_sums: Sequence[int], fraction: int,
             growth: int) -> None:
        """Take the step of all workers: q is in units of 2^-fraction, and the sum of
        all |q| is `growth`."""
        weights, bias = self.target or (self.weights, self.bias)
        form = self.form
        shift = fraction + form.activation_fraction - form.later_fraction
        largest = growth * self._square << 8 * form.activation_bytes    # times A
        if max(largest, largest >> shift if shift > 0 else largest << -shift) >> (
                form.later_lanes - 2):
            raise LaneOverflowError("a step of a later layer beyond its lane")
        weights.rows[:] = [row + self.lanes.shift_right(own * self._square, shift)
                           for row, own in zip(weights.rows, sums)]
        bias.rows[0] += bias.lanes.encode(
            [b * self._square << 40 >> fraction for b in bias_sums])


def packed_rung(a: Sequence, b: Sequence) -> Callable[[], Iterable]:
    """The last rung of the ladder: grey levels k / 3 times weights in packed rows."""
    weights = Matrix(b)
    layer = FirstLayer(weights, Matrix.zeros(1, weights.shape[1]), 4, WIDE)
    images = [layer.quantizer(bytes(round(255 * v) for v in row)) for row in a]

    class Product:
        """Z, unpacked only where it is looked at."""

        def __iter__(self):
            rows = layer.sums(images)
            return iter(PackedMatrix(rows, layer.lanes, 2.0 ** -40).to_matrix())
    return lambda: Product()
