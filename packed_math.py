"""`PackedMatrix`: a matrix each of whose rows is one integer, see `lanes`.

Numbers between whole ones are whole multiples of a `unit`: lane v means v * unit.  The
unit is the same in a whole matrix (fixed point), so that integers are added as they
are.  As integer addition is exact, no order of summation, no number of processes and
no version of Python can change a single bit of a result.

A number that outgrew its lane would spoil its neighbour without a word.  Therefore
every matrix carries a `bound` that none of its |lanes| exceeds; each operation works
out the bound of its result and raises LaneOverflowError where that would not fit.
"""
from __future__ import annotations

from fractions import Fraction
from functools import reduce
from itertools import compress
from operator import add, mul, or_
from typing import Any, Callable, Iterable, Iterator, Sequence

from fixed_point import (bits_beyond_nine, floor_log2, log2_of_ratio, nearest,
                         scale_between, shifted, ten_bits, unit_of, whole_and_shift)
from lanes import NARROW, WIDE, LaneOverflowError, Lanes, lanes_of
from my_math import (Matrix, Shape, ShapeError, SparseMatrix, check_equal,
                     check_inner)

# A product of packed weights with floats rounds those to this.
_FINENESS_OF_FLOATS = unit_of(Fraction(1, 1 << 15))
# An update takes inputs as fine as `relu` makes them: the steps then have more bits.
_FINENESS_OF_INPUTS = unit_of(Fraction(1, 1 << 9))


class PackedMatrix:
    """An m x n matrix, each row one integer of n lanes; a lane of v means v * unit.

    >>> A = PackedMatrix.from_matrix(Matrix([[1.5, -2.0], [0.25, 3.0]]), Fraction(1, 8))
    >>> A
    <PackedMatrix 2 x 2, unit 1/8, lanes of 32 bits>
    >>> A.lanes(0)
    (12, -16)
    """

    __slots__ = ("shape", "rows", "unit", "bits", "bound", "product_unit",
                 "_row_bounds", "_positive", "_columns")
    __hash__ = None

    def __init__(self, rows: list[int], columns: int, unit: Fraction, bound: int,
                 bits: int = NARROW, row_bounds: Sequence[int] | None = None) -> None:
        """Take over integers in which no |lane| exceeds `bound`, nor the lanes of row i
        `row_bounds[i]`, where known.  LaneOverflowError where they do not fit."""
        if bound >= 1 << bits - 1:
            raise LaneOverflowError(f"numbers up to {float(bound * unit):.3g} in lanes "
                                    f"of {bits} bits with unit {unit}")
        self.shape, self.rows = (len(rows), columns), rows
        self.unit, self.bits, self.bound = unit_of(unit), bits, bound
        self._row_bounds = row_bounds
        self.product_unit = self._positive = self._columns = None

    @classmethod
    def from_matrix(cls, matrix: Matrix, unit: Fraction, bits: int = NARROW
                    ) -> PackedMatrix:
        """Each number rounded to the nearest multiple of the unit."""
        layout = lanes_of(matrix.shape[1], bits)
        rows = [layout.encode(nearest(row, float(1 / unit))) for row in matrix]
        return cls(rows, matrix.shape[1], unit, layout.measure(rows), bits)

    # --- looking at it

    @property
    def layout(self) -> Lanes:
        """The layout of a row."""
        return lanes_of(self.shape[1], self.bits)

    def lanes(self, i: int) -> tuple[int, ...]:
        """The whole numbers in the lanes of row i."""
        return self.layout.decode(self.rows[i])

    def __iter__(self) -> Iterator[list[float]]:
        """The rows in turn, as lists of floats."""
        decode, unit = self.layout.decode, float(self.unit)
        return ([v * unit for v in decode(row)] for row in self.rows)

    def to_matrix(self) -> Matrix:
        """The same numbers as floats: exact where unit is a power of two."""
        return Matrix._trusted(list(self))

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, PackedMatrix):
            return NotImplemented
        return ((self.shape, self.unit, self.rows)
                == (other.shape, other.unit, other.rows))

    def __repr__(self) -> str:
        m, n = self.shape
        return (f"<PackedMatrix {m} x {n}, unit {self.unit}, "
                f"lanes of {self.bits} bits>")

    @property
    def row_bounds(self) -> Sequence[int]:
        """For each row a number that none of its |lanes| exceeds."""
        return self._row_bounds or [self.bound] * len(self.rows)

    def tighten(self) -> int:
        """Make the bound a close one, by looking at all lanes, and return it."""
        self.bound = self.layout.measure(self.rows)
        return self.bound

    def in_lanes(self, bits: int) -> PackedMatrix:
        """The same numbers in lanes of another width."""
        if bits == self.bits:
            return self
        encode = lanes_of(self.shape[1], bits).encode
        return PackedMatrix([encode(self.lanes(i)) for i in range(len(self.rows))],
                            self.shape[1], self.unit, self.bound, bits, self.row_bounds)

    # --- products with the packed matrix on the right

    def __matmul__(self, other: Any) -> Any:
        packed = isinstance(other, (PackedMatrix, PackedTranspose))
        return other.__rmatmul__(self) if packed else NotImplemented

    def __rmatmul__(self, left: Any) -> PackedMatrix:
        """left @ self: each row a sum of rows of self, weighted by whole numbers.

        A sparse left has whole numbers already, its grey levels.  Others are rounded:
        to 10 bits a row where `product_unit` asks for a narrow result in that unit,
        else to multiples of 2^-15 with a wide result.
        """
        check_inner("@", left.shape, self.shape)
        if isinstance(left, SparseMatrix):
            return self._sparse_product(left)
        if self.product_unit is not None:
            return self._narrow_product(left)
        return _wide_product(left, self.in_lanes(WIDE).rows, self.shape[1], self)

    def _sparse_product(self, left: SparseMatrix) -> PackedMatrix:
        """The rows under the ink of each image, weighted by their grey levels."""
        return PackedMatrix(self._sums(left.groups), self.shape[1],
                            self.unit / left.denominator,
                            self._ink_bound(left) * self.bound, self.bits)

    def _sums(self, images: Iterable[list]) -> list[int]:
        """For each image the sum of value times row, over the rows under its ink.

        By parts (Abel): v1 S1 + v2 S2 + v3 S3 = (v1 - v2) S1 + (v2 - v3) (S1 + S2)
        + v3 (S1 + S2 + S3).  Grey levels mostly differ by 1, so little is multiplied.
        """
        row_of = self.rows.__getitem__
        rows = []
        for groups in images:
            total = running = above = 0
            for value, places in groups:        # the darkest first
                drop = above - value
                total += running if drop == 1 else drop * running
                running = sum(map(row_of, places), running)
                above = value
            rows.append(total + (running if above == 1 else above * running))
        return rows

    @property
    def room_for_sums(self) -> int:
        """What a product with this matrix may come to; a bias has to fit in as well."""
        return 7 << self.bits - 4

    def _ink_bound(self, left: SparseMatrix) -> int:
        """The largest sum of a row of left, as closely as the lanes here ask for."""
        fits = self.room_for_sums
        largest = left.largest * left.shape[1]      # a row of nothing but ink
        if largest * self.bound > fits and largest * self.tighten() > fits:
            largest = max(sum(abs(value) * len(places) for value, places in groups)
                          for groups in left.groups)
        return largest

    def _narrow_product(self, left: Matrix | PackedMatrix) -> PackedMatrix:
        """Each row of left is scaled so that its largest number has 10 bits; the sums
        use 30 bits of their lanes and are then shifted to `product_unit`."""
        layout = self.layout
        room = self.bits - 12 - self.shape[0].bit_length()
        excess = max(0, self.tighten().bit_length() - 1 - room)
        reduced = [layout.shift_right(row, excess) for row in self.rows]
        # a lane of q * reduced means q * 2^(exponent - 10) * unit * 2^excess
        to_unit = log2_of_ratio(self.product_unit, self.unit) - excess + 10
        rows, bounds = [], []
        for numbers in left:
            whole, exponent = ten_bits(numbers)
            row = sum(map(mul, whole, reduced))
            rows.append(layout.shift_right(row, to_unit - exponent) if row else 0)
            bounds.append(shifted(sum(map(abs, whole)) << room, to_unit - exponent))
        return PackedMatrix(rows, self.shape[1], self.product_unit,
                            max(bounds, default=0), self.bits, bounds)

    @property
    def T(self) -> PackedTranspose:
        """The transpose: the same integers, looked at as columns."""
        return PackedTranspose(self)

    # --- the rest of what a layer needs

    def __add__(self, other: Any) -> Any:
        """Z + b: a packed row (1 x n) is added to every row.

        Its unit must be a whole multiple of this one's.
        """
        if not isinstance(other, PackedMatrix):
            return NotImplemented
        if other.shape != (1, self.shape[1]):
            raise ShapeError.between("+", self.shape, other.shape, "needs one such row")
        if other.bits != self.bits:
            other.tighten()         # what fits into those lanes may not into these
        row, bound = other.in_lanes(self.bits)._in_units_of(self.unit, 1)
        return PackedMatrix([one + row[0] for one in self.rows], self.shape[1],
                            self.unit, self.bound + bound, self.bits)

    def sum(self, axis: int | None = None) -> Any:
        """axis 0: the sum of each column (1 x n), packed; else as in `Matrix.sum`."""
        if axis != 0:
            return self.to_matrix().sum(axis)
        return PackedMatrix([sum(self.rows)], self.shape[1], self.unit,
                            sum(self.row_bounds), self.bits)

    def __mul__(self, other: Any) -> Matrix:
        """Elementwise, as floats."""
        return self.to_matrix() * other

    def map(self, function: Callable) -> Matrix:
        """function(number) for each number, as floats."""
        return self.to_matrix().map(function)

    def map_rows(self, function: Callable, *others: Any) -> Matrix:
        """function(row i, row i of each of the others) for each row, as floats."""
        return Matrix._trusted(list(map(function, self, *others)))

    @property
    def positive(self) -> list[int]:
        """For each row the integer with a 1 at the foot of each lane that is > 0.

        v > 0 means v - 1 >= 0: with one off every lane the sign bit tells.
        """
        if self._positive is None:
            layout, rows = lanes_of(self.shape[1], NARROW), self.rows
            if self.bits != NARROW:
                rows = [layout.encode([v > 0 for v in self.lanes(i)])
                        for i in range(len(rows))]
            self._positive = [layout.signs(row - layout.ones) for row in rows]
        return self._positive

    def relu(self) -> PackedMatrix:
        """max(x, 0), in narrow lanes, cut to a unit between 1/1024 and 1/512.

        The activations are multiplied by weights next, and every bit less here leaves
        one more to those.
        """
        shift = bits_beyond_nine(self.unit)
        narrow = lanes_of(self.shape[1], NARROW)
        if self.bits == NARROW:
            bias, low = narrow.bias, (narrow.ones << 31 - shift) - narrow.ones
            rows = [(row + bias & (signs << 31) - signs) >> shift & low
                    for row, signs in zip(self.rows, self.positive)]
        else:
            rows = [narrow.encode([v >> shift if v > 0 else 0 for v in self.lanes(i)])
                    for i in range(len(self.rows))]
        return PackedMatrix(rows, self.shape[1], self.unit * 2 ** shift,
                            narrow.measure([reduce(or_, rows, 0)]))

    def where_positive(self, gate: PackedMatrix) -> PackedMatrix:
        """Each number where the gate's is > 0, else 0: the way back through ReLU."""
        check_equal("where_positive", self.shape, gate.shape)
        narrow = self.in_lanes(NARROW)      # as the signs are
        keep = narrow.layout.keep
        rows = [keep(row, signs) if row else 0
                for row, signs in zip(narrow.rows, gate.positive)]
        return PackedMatrix(rows, self.shape[1], self.unit, self.bound, NARROW,
                            self.row_bounds)

    def dropped(self, masks: Any) -> PackedMatrix:
        """Each number over 1 - p where the masks keep it, else 0 (see `Masks`)."""
        narrow = self.in_lanes(NARROW)
        keep = narrow.layout.keep
        rows = [keep(row, signs) if row else 0
                for row, signs in zip(narrow.rows, masks.signs())]
        kept = PackedMatrix(rows, self.shape[1], self.unit, self.bound, NARROW)
        rows, bound = kept._fraction(kept.rows, self.bound, 1 / (1 - masks.rate))
        return PackedMatrix(rows, self.shape[1], self.unit, bound)

    # --- what an optimizer needs of it

    grain = 1 / 256     # a smaller part of most weights would be rounded to nothing

    @property
    def stored(self) -> PackedMatrix:
        """The matrix in the order in which its numbers are kept: this very one."""
        return self

    @property
    def step_unit(self) -> Fraction:
        """The unit of what `take_up` and `add_rows` are given."""
        return self.unit

    @property
    def step_bits(self) -> int:
        """The bits of its lanes."""
        return self.bits

    def _alike(self, rows: list[int], unit: Fraction, bound: int) -> PackedMatrix:
        """Other rows of the same kind and width."""
        return PackedMatrix(rows, self.shape[1], unit, bound, self.bits)

    def copy(self) -> PackedMatrix:
        """A matrix of the same numbers that shares nothing with this one."""
        twin = self._alike(self.rows[:], self.unit, self.bound)
        twin.product_unit = self.product_unit
        return twin

    def accumulator(self) -> PackedMatrix:
        """Zeros of the same kind, in units as fine as gradients want."""
        finer = Fraction(1, 1 << max(0, 24 + floor_log2(self.unit)))
        return self._alike([0] * len(self.rows), self.unit * finer, 0)

    def clear(self) -> None:
        """Make all numbers 0."""
        self.rows, self.bound = [0] * len(self.rows), 0
        self._forget()

    def fill(self, rows: Iterable[Sequence[float]]) -> None:
        """Take over other numbers, rounded to the unit."""
        filled = PackedMatrix.from_matrix(Matrix(rows), self.unit, self.bits)
        check_equal("fill", self.shape, filled.shape)
        self.rows, self.bound = filled.rows, filled.bound
        self._forget()

    def add_scaled(self, other: Matrix | PackedMatrix, factor: float) -> None:
        """C <- C + factor B in place, rounded to the unit."""
        check_equal("+=", self.shape, other.shape)
        if isinstance(other, Matrix):
            scale, encode = scale_between(factor, 1, self.unit), self.layout.encode
            rows = [encode(nearest(row, scale)) for row in other]
            bound = self.layout.measure(rows)
        else:
            rows, bound = self._fraction(other.rows, other.bound, factor)
        PackedMatrix.add_rows(self, rows, bound)    # all workers of a team do the same

    def become(self, a: PackedMatrix, b: PackedMatrix, share: float) -> None:
        """C <- A + share (B - A): the share, in 0..1, of the way from A to B."""
        check_equal("becomes", self.shape, a.shape)
        check_equal("becomes", self.shape, b.shape)
        bound = a.bound + b.bound
        if not self._has_room(bound, share):
            bound = a.tighten() + b.tighten()
        way = [y - x for x, y in zip(a.rows, b.rows)]
        rows, _ = self._fraction(way, bound, share)
        _, first, _ = self._in_two_shifts(share)    # rounding may go so far beyond
        self.bound = max(a.bound, b.bound) + (1 << first)
        self.rows = list(map(add, a.rows, rows))
        self._forget()

    def _fraction(self, rows: Sequence[int], bound: int, factor: float
                  ) -> tuple[list[int], int]:
        """factor times rows of lanes like these, rounded, and a bound on its lanes.

        The factor is taken to 8 bits.
        """
        if not self._has_room(bound, factor):
            raise LaneOverflowError(f"numbers up to {float(bound * self.unit):.3g} "
                                    f"in lanes of {self.bits} bits")
        whole, first, shift = self._in_two_shifts(factor)
        reduced = self.layout.shift_right
        scaled = [reduced(reduced(row, first) * whole, shift - first) for row in rows]
        return scaled, shifted(shifted(bound, first) * abs(whole), shift - first)

    def _has_room(self, bound: int, factor: float) -> bool:
        """Whether `_fraction` can multiply lanes up to a bound."""
        whole, first, _ = self._in_two_shifts(factor)
        return not shifted(bound, first) * abs(whole) >> self.bits - 1

    def _in_two_shifts(self, factor: float) -> tuple[int, int, int]:
        """(k, first shift, whole shift s) with factor = k 2^-s: numbers in fine units
        lose those bits before k comes for which the product would have no room."""
        whole, shift = whole_and_shift(factor, self.unit, self.unit)
        return whole, min(max(0, -18 - floor_log2(self.unit)), max(0, shift)), shift

    def add_rounded(self, fine: PackedMatrix) -> None:
        """C <- C + B in place, for a B in 2^n times finer units, rounded to these.

        What rounding leaves stays in B.
        """
        shift, layout = log2_of_ratio(self.unit, fine.unit), fine.layout
        rounded = PackedMatrix([layout.shift_right(row, shift) for row in fine.rows],
                               self.shape[1], self.unit, shifted(fine.bound, shift),
                               fine.bits)
        fine.rows = [row - (whole << shift)
                     for row, whole in zip(fine.rows, rounded.rows)]
        fine.bound = 1 << shift
        fine._forget()
        if rounded.bound >> self.bits - 8:      # a sum of bounds says little
            rounded.tighten()
        PackedMatrix.add_rows(self, rounded.in_lanes(self.bits).rows, rounded.bound)

    def _forget(self) -> None:
        """Drop what was worked out from numbers that are no more."""
        self._row_bounds = self._positive = self._columns = None

    # --- changing it in place

    def add_matmul(self, a: SparseMatrix, b: Matrix | PackedMatrix, alpha: float = 1
                   ) -> None:
        """C <- C + alpha A B in place, for A = X^T with a sparse X.

        Row p of C takes up x[i, p] times row i of B for each image i with ink at p.
        """
        check_equal("+=", self.shape, (a.shape[0], b.shape[1]))
        x = a.T
        self.take_up(x, *self._steps(b, self.step_unit * x.denominator, alpha))

    def take_up(self, x: SparseMatrix, steps: Sequence[int], bound: int,
                samples: slice = slice(None)) -> None:
        """Add x[i, p] steps[i] to row p, for all p and for all i or those of a slice.

        `bound` is that of the sum of the steps.
        """
        chosen = x.groups[samples]
        if len(steps) != len(chosen):
            raise ShapeError(f"{len(steps)} steps for {len(chosen)} samples")
        self._make_room(bound * x.largest)
        rows = self.rows
        for groups, step in zip(chosen, steps):
            if step:
                for value, places in groups:
                    multiple = step if value == 1 else value * step
                    for place in places:
                        rows[place] += multiple

    def add_column_sums(self, b: Matrix | PackedMatrix, alpha: float = 1) -> None:
        """C <- C + alpha (sum of the rows of B) in place, for C of one row."""
        check_equal("+=", self.shape, (1, b.shape[1]))
        if isinstance(b, PackedMatrix):
            self.add_rows(*self._steps(b.sum(axis=0), self.step_unit, alpha))
        else:
            scale = scale_between(alpha, 1, self.step_unit)
            sums = [sum(nearest(column, scale)) for column in zip(*b)]
            self.add_rows([self.layout.encode(sums)], max(map(abs, sums)))

    def add_rows(self, rows: Sequence[int], bound: int) -> None:
        """Add an integer to each row, no |lane| of which exceeds `bound`."""
        self._make_room(bound)
        self.rows = [old + new for old, new in zip(self.rows, rows)]

    def _steps(self, b: Matrix | PackedMatrix, unit: Fraction, alpha: float
               ) -> tuple[list[int], int]:
        """The rows of alpha B as whole multiples of `unit` in lanes like these, and a
        bound on the lanes of their sum."""
        if isinstance(b, Matrix):
            b = PackedMatrix.from_matrix(b, unit / Fraction(alpha), self.bits)
            return b.rows, sum(b.row_bounds)
        return b.in_lanes(self.bits)._in_units_of(unit, alpha)

    def _in_units_of(self, unit: Fraction, alpha: float) -> tuple[list[int], int]:
        """alpha times the rows in multiples of `unit`, and a bound on their sum."""
        whole, shift = whole_and_shift(alpha, self.unit, unit)
        largest = self.bound * abs(whole)
        if largest >> self.bits - 8:        # look closer: bounds grow with every step
            largest = self.tighten() * abs(whole)
        if largest >> self.bits - 1:
            raise LaneOverflowError(f"{largest:,} in a lane of {self.bits} bits")
        rows = [row * whole for row in self.rows]
        if shift:
            rows = [self.layout.shift_right(row, shift) for row in rows]
        return rows, shifted(sum(self.row_bounds) * abs(whole), shift) + len(rows)

    def _make_room(self, growth: int) -> None:
        """Let the bound grow; LaneOverflowError where the lanes could run over."""
        fits = (1 << self.bits - 1) - 1
        if self.bound + growth > fits and self.tighten() + growth > fits:
            raise LaneOverflowError(f"a step of {growth:,} on numbers up to "
                                    f"{self.bound:,} in lanes of {self.bits} bits")
        self.bound += growth
        self._forget()


class PackedTranspose:
    """The transpose of a packed matrix: same integers, each now a column.

    The weights of the later layers (128 x 10) are kept this way, 10 integers of 128
    lanes: their update and the way back then cost a tenth of the operations that 128
    integers of 10 lanes would take.  Only the way forward needs them as rows, which
    are made once a batch.
    """

    __slots__ = ("base",)
    __hash__ = None

    def __init__(self, base: PackedMatrix) -> None:
        self.base = base

    @property
    def shape(self) -> Shape:
        """(rows, columns)."""
        return self.base.shape[::-1]

    @property
    def T(self) -> PackedMatrix:
        """The matrix that this is the transpose of."""
        return self.base

    @property
    def unit(self) -> Fraction:
        """What a lane of 1 means."""
        return self.base.unit

    def __iter__(self) -> Iterator[list[float]]:
        """The rows in turn, as lists of floats."""
        return map(list, zip(*self.base))

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, PackedTranspose):
            return NotImplemented
        return self.base == other.base

    def __repr__(self) -> str:
        return f"{self.base!r}.T"

    @property
    def stored(self) -> PackedMatrix:
        """The matrix in the order in which its numbers are kept: the base."""
        return self.base

    @property
    def grain(self) -> float:
        """As in `PackedMatrix`."""
        return self.base.grain

    def copy(self) -> PackedTranspose:
        """A matrix of the same numbers that shares nothing with this one."""
        return PackedTranspose(self.base.copy())

    def accumulator(self) -> PackedTranspose:
        """Zeros of the same kind."""
        return PackedTranspose(self.base.accumulator())

    def to_matrix(self) -> Matrix:
        """The same numbers as floats."""
        return Matrix(self)

    def __rmatmul__(self, left: Any) -> PackedMatrix:
        """left @ self in wide lanes: sums of rows, weighted by whole numbers."""
        check_inner("@", left.shape, self.shape)
        if self.base._columns is None:
            self.base._columns = self.base.layout.flip(self.base.rows, WIDE)
        return _wide_product(left, self.base._columns, self.shape[1], self.base)

    def add_matmul(self, a: Any, b: Matrix | PackedMatrix, alpha: float = 1) -> None:
        """C <- C + alpha A B in place, for A = X^T: C^T <- C^T + alpha B^T X.

        Column c of C takes up b[i, c] times row i of X, for each sample i.
        """
        shape = check_inner("add_matmul", a.shape, b.shape)
        check_equal("+=", self.shape, shape)
        base, x = self.base, a.T
        if isinstance(x, Matrix):       # 9 bits, as `relu` has: b then gets the others
            x = PackedMatrix.from_matrix(x, _FINENESS_OF_INPUTS)
        x = x.in_lanes(base.bits)
        scale = scale_between(alpha, x.unit, base.step_unit)
        whole = [nearest(numbers, scale) for numbers in b]
        growth = sum(bound * max(map(abs, numbers))
                     for bound, numbers in zip(x.row_bounds, whole))
        if base.step_bits == base.bits:
            rows = [_weighted_sum(column, x.rows) for column in zip(*whole)]
        else:
            rows = _wide_sums(x, whole)
        base.add_rows(rows, growth)


# ---------------------------------------------------------------------------
# Steps that both classes share
# ---------------------------------------------------------------------------

def _wide_product(left: Matrix | PackedMatrix, wide_rows: list[int], columns: int,
                  right: PackedMatrix) -> PackedMatrix:
    """left times wide rows of so many columns, whose unit and bound are right's."""
    if isinstance(left, PackedMatrix):
        unit, bound = left.unit, left.bound
        whole_rows = map(left.lanes, range(len(left.rows)))
    else:
        unit = _FINENESS_OF_FLOATS
        whole_rows = [nearest(row, float(1 / unit)) for row in left]
        bound = max(max(map(abs, row)) for row in whole_rows)
    rows = [_weighted_sum(row, wide_rows) for row in whole_rows]
    return PackedMatrix(rows, columns, unit * right.unit,
                        bound * right.bound * len(wide_rows), WIDE)


def _weighted_sum(numbers: Sequence[int], rows: Sequence[int]) -> int:
    """sum_k numbers[k] rows[k]: as many dot products as a row has lanes."""
    return sum(map(mul, filter(None, numbers), compress(rows, numbers)))


def _wide_sums(x: PackedMatrix, whole: Sequence[Sequence[int]]) -> list[int]:
    """sum_i whole[i][c] times row i of x, for each c, in wide lanes.

    Narrow ones hold the sum over so many samples as surely fit; these are then widened.
    """
    wide, step = lanes_of(x.shape[1], WIDE), 1
    largest = max(max(map(abs, numbers)) for numbers in whole) * x.bound
    if largest >> x.bits - 1:
        raise LaneOverflowError(f"{largest:,} in a lane of {x.bits} bits")
    if largest:
        step = ((1 << x.bits - 1) - 1) // largest
    totals = [0] * len(whole[0])
    for start in range(0, len(whole), step):
        columns = zip(*whole[start:start + step])
        rows = [_weighted_sum(column, x.rows[start:start + step]) for column in columns]
        totals = [total + wide.encode(x.layout.decode(row))
                  for total, row in zip(totals, rows)]
    return totals


def packed_rung(a: Sequence, b: Sequence) -> Callable[[], Iterable]:
    """The last rung of the ladder: grey levels k / 3 times weights in packed rows."""
    x = SparseMatrix.from_images([bytes(round(255 * v) for v in row) for row in a], 4)
    packed = PackedMatrix.from_matrix(Matrix(b), Fraction(1, 1 << 20))
    return lambda: x @ packed
