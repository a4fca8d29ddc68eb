"""`PackedMatrix`: a matrix in fixed point, each row one integer of lanes.

A lane of v means v * unit.  The unit is the same in a whole matrix, so that integers
are added as they are.  As integer addition is exact, no order of summation, no number
of processes and no version of Python can change a single bit of a result.
"""
from __future__ import annotations

import math
from operator import add, sub

from engine.lanes import LaneOverflowError, Lanes, Row
from my_math import Matrix, Shape, check_equal


class PackedMatrix:
    """An m x n matrix: m rows, each one integer of n lanes; a lane of v is v * unit.

    >>> A = PackedMatrix.from_matrix(Matrix([[1.5, -2.0], [0.25, 3.0]]),
    ...                              Lanes(2, 24), 2.0 ** -3)
    >>> A.lanes.decode(A.rows[0])
    (12, -16)
    >>> (A + A * 0.5).to_matrix()
    Matrix([[2.25, -3.0], [0.375, 4.5]])
    """

    __slots__ = ("rows", "lanes", "unit")

    def __init__(self, rows: list[Row], lanes: Lanes, unit: float) -> None:
        """Take over the rows: neither checked nor copied."""
        self.rows, self.lanes, self.unit = rows, lanes, unit

    @classmethod
    def from_matrix(cls, matrix: Matrix, lanes: Lanes, unit: float) -> PackedMatrix:
        """Return the matrix with each number rounded to a multiple of the unit."""
        scale = 1 / unit
        try:
            rows = [[round(x * scale) for x in row] for row in matrix]
        except (OverflowError, ValueError):
            raise LaneOverflowError("a number that is not finite") from None
        return cls(list(map(lanes.encode, rows)), lanes, unit)

    @property
    def shape(self) -> Shape:
        """(rows, columns)."""
        return len(self.rows), self.lanes.count

    def to_matrix(self) -> Matrix:
        """Return the same numbers as floats."""
        return Matrix([v * self.unit for v in self.lanes.decode(row)]
                      for row in self.rows)

    def copy(self) -> PackedMatrix:
        """Return a matrix of the same numbers that shares nothing with this one."""
        return PackedMatrix(self.rows[:], self.lanes, self.unit)

    def _same(self, other: Matrix | PackedMatrix, symbol: str) -> PackedMatrix:
        """Return the other operand in the same unit and lanes; ValueError where it is
        packed in others."""
        check_equal(symbol, self.shape, other.shape)
        if isinstance(other, Matrix):
            return PackedMatrix.from_matrix(other, self.lanes, self.unit)
        if (other.unit, other.lanes) != (self.unit, self.lanes):
            raise ValueError(f"{symbol} of lanes with the units {self.unit:.3g} and "
                             f"{other.unit:.3g}")
        return other

    def __add__(self, other: Matrix | PackedMatrix) -> PackedMatrix:
        rows = map(add, self.rows, self._same(other, "+").rows)
        return PackedMatrix(list(rows), self.lanes, self.unit)

    def __sub__(self, other: Matrix | PackedMatrix) -> PackedMatrix:
        rows = map(sub, self.rows, self._same(other, "-").rows)
        return PackedMatrix(list(rows), self.lanes, self.unit)

    def __mul__(self, factor: float) -> PackedMatrix:
        """Return each number times a factor that is rounded to 8 bits, k 2^-s.

        LaneOverflowError where the numbers leave no room for that: 8 bits for k, and -s
        more where the factor is above 2^8.
        """
        if not factor:
            return PackedMatrix([0] * len(self.rows), self.lanes, self.unit)
        shift = 8 - math.frexp(factor)[1]
        k = round(math.ldexp(factor, shift))
        if not self.lanes.has_room(self.rows, 8 - min(0, shift)):
            raise LaneOverflowError("a number without room for a factor")
        rows = [self.lanes.shift_right(row * k, shift) for row in self.rows]
        return PackedMatrix(rows, self.lanes, self.unit)
