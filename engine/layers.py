"""Dense layers whose numbers are lanes of integers, for 1 or several processes.

What differs between the engines is the layer.  This one has the steps of a textbook's

    forward     Z = X W + b
    backward    dA = dZ W^T             dZ of the layer before: dA where Z > 0
    step        W <- W - lr/m X^T dZ,   b <- b - lr/m (sum of the rows of dZ)

on whole numbers; dZ of the outputs is P - Y here, not yet divided by the m images.  An
image is a list of groups of pixels of one grey level.  A row of Z or dZ belongs to an
image, one lane a unit.  dZ reaches a layer as the step already, times
-lr / (m (levels - 1)^2) (`Deltas`).
"""
from __future__ import annotations

import struct
from array import array
from itertools import chain, compress, zip_longest
from operator import itemgetter, mul
from typing import Callable, Iterable, Sequence

from engine.fixed_point import Format
from engine.lanes import LaneOverflowError, Lanes, Row, lanes_of, spread, transpose
from engine.packed import PackedMatrix
from engine.sparse import grey_table
from my_math import Matrix

# (grey level; in the last group of a level, the level less the next one below, else 0:
# see `FirstLayer.sums`, which it is made for; what picks its places out of a list)
Group = tuple[int, int, Callable[[list], Sequence]]
# Of an image: (grey level, its places) for each level but 0 that it has, highest first.
Ink = list[tuple[int, Sequence[int]]]
_TOGETHER = 64      # pixels that are added before a sum is checked
# The eight bytes of a pair of outputs before they are set: 0 + 2^15 in the second half,
# which stays where the number of outputs is odd.
_NO_PAIR = b"\0\0\0\0\0\x80\0\0"


class Quantizer:
    """Turn an image, a byte a pixel, into groups of pixels of equal grey level.

    Level k of K = levels - 1 means k / K; zeros are left out.
    """

    def __init__(self, levels: int, count: int) -> None:
        """`count` is the number of pixels: of an image, or of one worker."""
        self.places = list(range(count))        # a list has its ints ready
        self._level_of = grey_table(levels)
        self._only = [bytes(k) + b"\1" + bytes(255 - k) for k in range(levels)]

    def ink(self, image: bytes) -> Ink:
        """Return the places of each grey level of an image."""
        if len(image) != len(self.places):
            raise ValueError(f"an image of {len(image)} pixels for {len(self.places)}")
        image = image.translate(self._level_of)
        ink, values = list(compress(self.places, image)), image.translate(None, b"\0")
        return [(level, list(compress(ink, values.translate(self._only[level]))))
                for level in sorted(set(values), reverse=True)]

    def __call__(self, image: bytes) -> list[Group]:
        """Return the groups, the highest level first, 64 pixels at most in each."""
        return groups_of(self.ink(image))


class InkTable:
    """The ink of many images as compressed sparse rows (CSR): a row of places for each
    image and level but 0, all in one array.

    Lists of their own would lie all over the memory: it takes 2 bytes a pixel of ink,
    not 8, and to read and bend an image 8 us, not 10.
    """

    def __init__(self, images: Iterable[bytes], levels: int, count: int) -> None:
        """`count` is the number of pixels of an image."""
        ink_of, code = Quantizer(levels, count).ink, "H" if count <= 1 << 16 else "I"
        self._levels, self._places = range(levels - 1, 0, -1), array(code)
        self._starts = array("Q", [0])              # of each row, and the end of all
        for image in images:
            ink = dict(ink_of(image))
            for level in self._levels:
                self._places.extend(ink.get(level, ()))
                self._starts.append(len(self._places))

    def __call__(self, i: int) -> Ink:
        """Return the ink of image i."""
        first, places = i * len(self._levels), self._places
        starts = self._starts[first:first + len(self._levels) + 1]
        return [(level, places[start:end])
                for level, start, end in zip(self._levels, starts, starts[1:])
                if start < end]


def groups_of(ink: Ink) -> list[Group]:
    """Return ink as groups of at most 64 pixels."""
    groups: list[Group] = []
    lower = [level for level, _ in ink[1:]] + [0]
    for (level, places), below in zip(ink, lower):
        for start in range(0, len(places), _TOGETHER):
            drop = level - below if start + _TOGETHER >= len(places) else 0
            groups.append((level, drop, _picker(places[start:start + _TOGETHER])))
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
        # Narrow lanes, in units of Z: |sum| < 64 and 64 numbers up to 2 more stay below
        # 3 * 64, and what lies between 64 and 192 shows in the highest bit (`_reach`).
        # So V stays below 2, that is W below 2 (levels - 1): 6 with 4 grey levels.
        # The total of up to 3 such sums (4 grey levels) lies below 192 too.
        # Lanes of 64 bits: all pixels at the highest level stay below 2^62.
        self._reach = 1 << form.lanes - 2
        self._limit = (2 * self._reach // _TOGETHER if form.lanes < 64
                       else self._reach // (weights.shape[0] * top))
        self.margin = self.lanes.ones * self._reach
        self.target: tuple[PackedMatrix, PackedMatrix] | None = None
        self.tidy()

    def tidy(self) -> None:
        """Bring rows and bias back to n lanes, and look how large they are.

        `guard`, a bit above the lanes, keeps the integers positive.
        """
        mask, guard = self.lanes.modulus - 1, self.lanes.modulus
        pairs = [(self.weights, self.bias)] + [self.target] * bool(self.target)
        for matrix in chain(*pairs):
            matrix.rows[:] = [row & mask | guard for row in matrix.rows]
        self._bound = max(self.lanes.bound(weights.rows) for weights, _ in pairs)
        if self._bound > self._limit:
            raise LaneOverflowError(f"a weight of the first layer above "
                                    f"{self._limit * self.weights.unit:.3g}")

    def sums(self, images: Iterable[list[Group]]) -> list[Row]:
        """Return sum_p level_p V_p over this worker's pixels of each image.

        By parts (Abel): with S_k the sum of the rows under level k and above,
        3 A + 2 B + C = A + (A + B) + (A + B + C): a product only where levels between
        two that occur are missing.
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
        """Raise LaneOverflowError where `seen` has v + reach beyond 0..2 reach - 1."""
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


_BIAS_FRACTION = 40     # of a later layer's biases: Q24.40, whatever the weights have


class LaterLayer:
    """The columns of W, W^T in packed rows, and b, the same in every worker.

        Z^T = W^T A^T + b^T     images are the lanes, the numbers of W the factors
        dA  = sum_c q_c (column c of W)
        column c of W <- it + (levels - 1)^2 sum_i q_ic A_i
    """

    def __init__(self, weights: Matrix, bias: Matrix, form: Format, before: Lanes,
                 top: int, largest: int) -> None:
        """`before` are the lanes of Z of the layer before, `top` is levels - 1, and
        `largest` is the largest |activation|."""
        inputs, outputs = weights.shape
        self.form, self.before, self._square = form, before, top * top
        self.lanes = lanes_of(inputs, form.later_lanes)
        self.weights = PackedMatrix.from_matrix(weights.T, self.lanes,
                                                2.0 ** -form.later_fraction)
        self.bias = PackedMatrix.from_matrix(bias, lanes_of(outputs, 64),
                                             2.0 ** -_BIAS_FRACTION)
        self.target: tuple[PackedMatrix, PackedMatrix] | None = None
        # 8 in narrow lanes; in wide ones what keeps sums of products below 2^62.
        self._limit = (8 << form.later_fraction if form.later_lanes == 32
                       else (1 << 62) // (inputs * largest))
        self._largest = largest

    def prepare(self) -> None:
        """Make the forms of the weights that a batch multiplies with."""
        form, lanes = self.form, self.lanes
        self.bound = lanes.bound(self.weights.rows)
        if self.bound > self._limit:
            raise LaneOverflowError("a weight of a later layer above "
                                    f"{self._limit * self.weights.unit:.3g}")
        drop = form.later_fraction - form.factor_fraction
        self.bound = (self.bound >> drop) + 1
        biases = [b >> _BIAS_FRACTION - form.product_fraction
                  for b in self.bias.lanes.decode(self.bias.rows[0])]
        # units * activation * weight + bias * 1 in the product's unit
        # = 2^8 (2^10 - 1) 2^13 + 2^6 2^15 = 2^31: what a narrow sum has room for
        if max(map(abs, biases)) >> form.product_fraction + 6:
            raise LaneOverflowError("a bias of a later layer above 64")
        if form.later_lanes == 32:
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
            new[0::before.width], new[1::before.width] = low, high
            self.columns.append(int.from_bytes(new, "little") - half)
            if c % 2 == 0:
                pairs.append(bytearray(_NO_PAIR * lanes.count))
            pairs[-1][c % 2 * 4::8], pairs[-1][c % 2 * 4 + 1::8] = low, high
        both = [first + (second << 32)
                for first, second in zip_longest(*[iter(biases)] * 2, fillvalue=0)]
        numbers = map(struct.Struct(f"<{lanes.count}Q").unpack, pairs)
        self._factors = list(zip(numbers, both))
        self._surplus = (1 << 15) + (1 << 15 + 32)

    def forward(self, activations: Sequence[bytes]) -> list[Row]:
        """Return rows of Z^T: 64 bits for each image, with one output or two."""
        units = transpose(activations, self.form.activation_bytes)
        ones = lanes_of(len(activations), 64).ones
        surplus = self._surplus * sum(units) if self._surplus else 0
        return [sum(map(mul, factors, units), bias * ones - surplus)
                for factors, bias in self._factors]

    def transposed(self, columns: Sequence[Row], count: int) -> list[Row]:
        """Return Z of each of `count` images in 64-bit lanes, from rows of Z^T."""
        images, bias = lanes_of(count, 64), lanes_of(len(columns), 64).bias
        rows = transpose([images.to_bytes(column) for column in columns], 8)
        return [row - bias for row in rows]

    def outputs(self, rows: Sequence[Row], count: int) -> list[tuple[int, ...]]:
        """Return Z of each of `count` images, whole numbers, from rows of Z^T."""
        share = 64 // self.form.later_lanes     # sums of one image in 64 bits
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
        largest = growth * self._square * self._largest
        if max(largest, largest >> shift if shift > 0 else largest << -shift) >> (
                form.later_lanes - 2):
            raise LaneOverflowError("a step of a later layer beyond its lane")
        weights.rows[:] = [row + self.lanes.shift_right(own * self._square, shift)
                           for row, own in zip(weights.rows, sums)]
        bias.rows[0] += bias.lanes.encode(
            [b * self._square << _BIAS_FRACTION >> fraction for b in bias_sums])
