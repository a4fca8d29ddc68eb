"""Linear algebra on plain Python lists.

Notation, used in every module of this project:

    m    samples in a batch                 X (m x d)   images, one a row
    d    numbers in an image (784)          W (d x h)   weights, one unit a column
    h    hidden units (128)                 b (1 x h)   bias
    c    classes (10)                       A[i, j]     row i, column j, from 0

Functions on bare lists of rows check nothing; the class `Matrix` above them checks
shapes and turns operators into calls of these functions.  The numbers may be int, float
or fractions.Fraction; only a division or a root turns one kind into another.

Times in the comments are medians on a 2-core AMD EPYC with CPython 3.11, a multiply-add
being one `c += a * b`.  `python my_math.py` measures all ways that `engine.ladder` has.
"""
from __future__ import annotations

import math
import numbers
import operator
import random
import runpy
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain, repeat
from operator import mul
from typing import Any

Shape = tuple[int, int]
Rows = Sequence[Sequence[Any]]


class SingularMatrixError(ArithmeticError):
    """A matrix without an inverse: its columns are linearly dependent."""


class ShapeError(ValueError):
    """Matrices whose sizes do not fit together."""

    @classmethod
    def between(cls, symbol: str, left: Shape, right: Shape, rule: str) -> ShapeError:
        """The error of one operator: its symbol, both shapes and the rule broken."""
        (m, n), (p, q) = left, right
        return cls(f"({m} x {n}) {symbol} ({p} x {q}): {rule}")


# --- Products and elimination on bare lists of rows: nothing is checked here

def dot_by_map(x: Iterable, y: Iterable) -> Any:
    """x . y = sum_k x[k] y[k]; `map` and `mul` keep the loop out of the interpreter."""
    return sum(map(mul, x, y))


# Python 3.12 brought the same sum in C, twice as fast and more exact on floats.
HAS_SUMPROD = hasattr(math, "sumprod")
dot = math.sumprod if HAS_SUMPROD else dot_by_map


def argmax(numbers: Sequence) -> int:
    """Return the place of the largest number, of equals the first."""
    return numbers.index(max(numbers))


def transpose(a: Rows) -> list:
    """The columns of `a` as rows: T[j][i] = a[i][j]."""
    return [list(column) for column in zip(*a)]


def add_rows_by_four(total: list, factors: Sequence, rows: Sequence) -> list:
    """total + sum_k factors[k] rows[k], four rows a pass.

    One pass over the row makes four multiply-adds, so the loop's own cost is paid a
    quarter as often (loop unrolling; BLAS calls the step AXPY).  Measured on CPython
    3.11 with 128 columns: 42 ns a multiply-add row by row, 27 ns four rows a pass;
    eight rows a pass gained nothing more, and lost where rows are few.

    >>> add_rows_by_four([0, 0], [2, 3], [[1, 10], [1, 100]])
    [5, 320]
    """
    whole = len(factors) // 4 * 4
    for k in range(0, whole, 4):
        a, b, c, d = factors[k:k + 4]
        total = [t + a * p + b * q + c * r + d * s
                 for t, p, q, r, s in zip(total, *rows[k:k + 4])]
    for a, row in zip(factors[whole:], rows[whole:]):
        total = [t + a * p for t, p in zip(total, row)]
    return total


def combine_rows(total: list, factors: Sequence, rows: Sequence) -> list:
    """total + sum_k factors[k] rows[k]: the step that every product here is made of.

    Many rows that are short, or the C loop of `math.sumprod`, make it cheaper to go
    down the columns; few rows, or long ones, to go along the rows.  The limits of 12
    and 32 are where the two were measured to cross.
    """
    if len(factors) >= 12 and (HAS_SUMPROD or len(total) < 32):
        return [t + dot(factors, column) for t, column in zip(total, zip(*rows))]
    return add_rows_by_four(total, factors, rows)


def matmul_triple_loop(a: Rows, b: Rows) -> list:
    """The definition, index by index: the reference for every other kernel.

    >>> matmul_triple_loop([[1, 2], [3, 4]], [[5, 6], [7, 8]])
    [[19, 22], [43, 50]]
    """
    m, inner, n = len(a), len(b), len(b[0])
    c = [[0] * n for _ in range(m)]
    for i in range(m):
        for j in range(n):
            for k in range(inner):
                c[i][j] += a[i][k] * b[k][j]
    return c


def matmul_by_four(a: Rows, b: Rows) -> list:
    """Rows of b, weighted and added, four a pass: row i of c is sum_k a[i][k] b[k]."""
    zero = [0] * len(b[0])
    return [add_rows_by_four(zero, row, b) for row in a]


def matmul(a: Rows, b: Rows) -> list:
    """The product that `Matrix @ Matrix` uses: for each size the fastest kernel.

    Long rows of a make long dot products, where `dot` is at its best; short ones
    (a gradient has 10 columns) spend their time in calls, so rows are combined.
    """
    if len(b) >= 12:
        columns = list(zip(*b))
        return [[dot(row, column) for column in columns] for row in a]
    return matmul_by_four(a, b)


def eliminate(rows: list) -> Fraction:
    """Gauss-Jordan elimination in place: rows [A | B] become [I | A^-1 B].

    Returns det(A), and ends where that is 0.  The numbers are fractions: nothing is
    rounded, so any pivot but 0 will do.  (In floats it has to be the largest in its
    column, else rounding errors grow: Golub and Van Loan, Matrix Computations, 3.4.)
    """
    n, determinant = len(rows), Fraction(1)
    for k in range(n):
        pivot_row = next((i for i in range(k, n) if rows[i][k]), None)
        if pivot_row is None:
            return Fraction(0)
        rows[k], rows[pivot_row] = rows[pivot_row], rows[k]
        pivot = rows[k][k]
        determinant *= pivot if pivot_row == k else -pivot
        rows[k] = [x / pivot for x in rows[k]]
        for i, row in enumerate(rows):
            if i != k and row[k]:
                rows[i] = [x - row[k] * y for x, y in zip(row, rows[k])]
    return determinant


# --- The matrix

class Matrix:
    """An m x n matrix: a list of m rows, each a list of n numbers.

    >>> A = Matrix([[1, 2], [3, 4]])
    >>> A @ A
    Matrix([[7, 10], [15, 22]])
    >>> A * Matrix([[1, 10]]) - 1
    Matrix([[0, 19], [2, 39]])
    """

    __slots__ = ("_rows",)
    __hash__ = None  # a matrix can change
    __array_ufunc__ = None  # a NumPy number on the left leaves the operator to us

    def __init__(self, rows: Iterable[Iterable]):
        """Copy `rows`; ShapeError where ragged or empty, TypeError where no numbers."""
        self._rows: list[list] = []
        for i, row in enumerate(rows):
            if not isinstance(row, Iterable):
                raise TypeError(f"row {i} is {row!r:.40}, not a row of numbers")
            row = list(row)
            self._rows.append(row)
            width, first = len(row), len(self._rows[0])
            if width != first:
                raise ShapeError(f"row {i} has {width} numbers, row 0 has {first}")
            for kind in set(map(type, row)):
                if not issubclass(kind, numbers.Real):
                    raise TypeError(f"row {i} holds a {kind.__name__}, not a number")
        if not self._rows or not self._rows[0]:
            raise ShapeError("a matrix needs at least one row and one column")

    @classmethod
    def _trusted(cls, rows: list) -> Matrix:
        """Take over freshly made rows: neither checked nor copied."""
        matrix = object.__new__(cls)
        matrix._rows = rows
        return matrix

    @classmethod
    def zeros(cls, rows: int, columns: int) -> Matrix:
        """The rows x columns matrix of 0.0."""
        return cls([0.0] * columns for _ in range(rows))

    @classmethod
    def identity(cls, size: int) -> Matrix:
        """I[i, j] = 1 where i = j, else 0."""
        return cls([int(i == j) for j in range(size)] for i in range(size))

    @classmethod
    def random_normal(cls, rows: int, columns: int, rng: random.Random,
                      deviation: float = 1.0) -> Matrix:
        """Return independent numbers of mean 0, all but normal.

        The sum of 4 numbers even in 0..1 has mean 2 and variance 4 / 12, and the shape
        of a bell (Irwin and Hall 1927); none is beyond 3.5 deviations.  `rng.random()`
        alone is promised to be the same in every version of Python, and no logarithm
        or cosine brings in the last digits of a C library.
        """
        even, scale = rng.random, deviation * math.sqrt(3)
        return cls([scale * (even() + even() + even() + even() - 2)
                    for _ in range(columns)] for _ in range(rows))

    # --- looking at it

    @property
    def shape(self) -> Shape:
        """(rows, columns)."""
        return len(self._rows), len(self._rows[0])

    @property
    def T(self) -> Matrix:
        """The transpose, a new matrix: A.T[j, i] = A[i, j]."""
        return Matrix._trusted(transpose(self._rows))

    def __getitem__(self, key: Any) -> Any:
        """M[i, j] a number; M[i] row i as a new list; M[i:k] those rows as a matrix."""
        if isinstance(key, tuple):
            i, j = map(operator.index, key)     # no slices: these give rows only
            return self._rows[i][j]
        if isinstance(key, slice):
            return Matrix(self._rows[key])
        return list(self._rows[key])

    def __setitem__(self, key: tuple, value: Any) -> None:
        """M[i, j] = number."""
        i, j = map(operator.index, key)
        if not isinstance(value, numbers.Real):
            raise TypeError(f"cannot store a {type(value).__name__} in a matrix")
        self._rows[i][j] = value

    def __iter__(self) -> Iterator[list]:
        """The rows in turn, each a new list."""
        return map(list, self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> Any:
        """True where the shapes and all numbers are equal."""
        if not isinstance(other, Matrix):
            return NotImplemented
        return self._rows == other._rows

    def __repr__(self) -> str:
        m, n = self.shape
        if m * n <= 16:
            return f"Matrix({self._rows})"
        return f"<Matrix {m} x {n}, from {self._rows[0][0]} to {self._rows[-1][-1]}>"

    def to_matrix(self) -> Matrix:
        """This matrix itself, as a packed matrix returns its numbers in one."""
        return self

    def copy(self) -> Matrix:
        """A matrix of the same numbers that shares nothing with this one."""
        return Matrix._trusted([list(row) for row in self._rows])

    # --- elementwise arithmetic, with NumPy's broadcasting in two dimensions

    def _elementwise(self, other: Any, function: Callable, symbol: str) -> Any:
        """C[i, j] = function(A[i, j], B[i, j]); a size of 1 stretches to fit."""
        if isinstance(other, numbers.Real):
            other = Matrix._trusted([[other]])
        if not isinstance(other, Matrix):
            return NotImplemented
        (m, n), (p, q) = self.shape, other.shape
        if (m != p and 1 not in (m, p)) or (n != q and 1 not in (n, q)):
            raise ShapeError.between(symbol, (m, n), (p, q),
                                     "each size must be equal, or 1 on one side")
        left, right = _stretch(self._rows, p, q), _stretch(other._rows, m, n)
        return Matrix._trusted([list(map(function, x, y)) for x, y in zip(left, right)])

    def __add__(self, other: Any) -> Any:
        return self._elementwise(other, operator.add, "+")

    def __sub__(self, other: Any) -> Any:
        return self._elementwise(other, operator.sub, "-")

    def __mul__(self, other: Any) -> Any:
        return self._elementwise(other, operator.mul, "*")

    def __truediv__(self, other: Any) -> Any:
        return self._elementwise(other, operator.truediv, "/")

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Any) -> Any:
        return self._elementwise(other, lambda x, y: y - x, "-")

    def __rtruediv__(self, other: Any) -> Any:
        return self._elementwise(other, lambda x, y: y / x, "/")

    def __neg__(self) -> Matrix:
        return self.map(operator.neg)

    def map(self, function: Callable) -> Matrix:
        """C[i, j] = function(A[i, j])."""
        return Matrix._trusted([list(map(function, row)) for row in self._rows])

    def map_rows(self, function: Callable, *others: Matrix) -> Matrix:
        """The matrix of rows function(row i, row i of each of the others)."""
        return Matrix._trusted(list(map(function, self, *others)))

    # --- sums and extremes, of all numbers or along an axis

    def sum(self, axis: int | None = None) -> Any:
        """The sum of all (axis None), each column (0: 1 x n) or each row (1: m x 1)."""
        return self._reduce(sum, axis)

    def mean(self, axis: int | None = None) -> Any:
        """The sum divided by how many numbers were added; axes as in `sum`."""
        return self._reduce(lambda values: sum(values) / len(values), axis)

    def max(self, axis: int | None = None) -> Any:
        """The largest number; axes as in `sum`."""
        return self._reduce(max, axis)

    def argmax(self, axis: int | None = None) -> Any:
        """The place of the largest number, the first of equals: axis None counts row by
        row, 0 gives a list of the row in each column, 1 one of the column in each row.

        >>> Matrix([[1, 9], [7, 3]]).argmax(axis=1)
        [1, 0]
        """
        found = self._reduce(argmax, axis)
        return found if axis is None else list(chain.from_iterable(found))

    def _reduce(self, function: Callable, axis: int | None) -> Any:
        """function(list of numbers) of the whole matrix, each column or each row."""
        if axis is None:
            return function(list(chain.from_iterable(self._rows)))
        if axis == 0:
            return Matrix._trusted([list(map(function, map(list, zip(*self._rows))))])
        if axis == 1:
            return Matrix._trusted([[function(row)] for row in self._rows])
        raise ValueError(f"axis is {axis!r}; a matrix has axes 0 and 1 (None for all)")

    def norm(self) -> float:
        """The Frobenius norm: sqrt(sum_ij A[i, j]^2)."""
        return math.hypot(*chain.from_iterable(self._rows))     # no square overflows

    # --- products

    def __matmul__(self, other: Any) -> Any:
        """C[i, j] = sum_k A[i, k] B[k, j]; (m x k) @ (k x n) is (m x n)."""
        if not isinstance(other, Matrix):
            return NotImplemented
        check_inner("@", self.shape, other.shape)
        return Matrix._trusted(matmul(self._rows, other._rows))

    def add_matmul(self, a: Matrix, b: Matrix, alpha: Any = 1) -> None:
        """C <- C + alpha A B in place: the step that BLAS calls GEMM.

        (m x n) + (m x k)(k x n).  The product is never built: rows of B are added to
        each row of C, and only those under numbers of A where that is a SparseMatrix.
        """
        check_equal("+=", self.shape, check_inner("add_matmul", a.shape, b.shape))
        rows, b_rows = self._rows, list(b._rows)       # b may be this very matrix
        for i, (places, values) in enumerate(a.entries()):
            if values:
                rows[i] = combine_rows(
                    rows[i], [alpha * x for x in values], [b_rows[k] for k in places])

    def entries(self) -> Iterator[tuple[Sequence[int], list]]:
        """For each row the columns and the numbers there, as `SparseMatrix` has it."""
        columns = range(self.shape[1])
        return ((columns, row) for row in self._rows)

    # --- systems of equations

    def solve(self, right: Matrix) -> Matrix:
        """The X with A X = B, for a square A, in fractions; where A or B has a float,
        the floats next to these (40 x 40 take 2 s, twice the size 20 times as long).

        >>> Matrix([[2, 1], [1, 3]]).solve(Matrix([[3], [5]]))
        Matrix([[Fraction(4, 5)], [Fraction(7, 5)]])
        """
        self._check_square()
        check_inner("solve", self.shape, right.shape)
        rows = [list(map(Fraction, a + b)) for a, b in zip(self, right)]
        if not eliminate(rows):
            raise SingularMatrixError("its columns are linearly dependent")
        return Matrix(row[len(self):] for row in rows).map(_exact_kind(self, right))

    def inverse(self) -> Matrix:
        """A^-1 with A A^-1 = I; SingularMatrixError where there is none."""
        return self.solve(Matrix.identity(len(self)))

    def determinant(self) -> Any:
        """det A, the factor by which A scales a volume; 0 where A is singular.

        >>> Matrix([[1, 2], [3, 4]]).determinant()
        Fraction(-2, 1)
        """
        self._check_square()
        return _exact_kind(self)(eliminate([list(map(Fraction, row)) for row in self]))

    def _check_square(self) -> None:
        if len(set(self.shape)) > 1:
            raise ShapeError("not a square matrix, but {} x {}".format(*self.shape))


def _stretch(rows: list, height: int, width: int) -> Iterable:
    """Rows for broadcasting: a single row or column repeats as often as is needed."""
    if len(rows[0]) == 1 and width > 1:
        rows = [row * width for row in rows]
    return repeat(rows[0], height) if len(rows) == 1 else rows


def check_inner(symbol: str, left: Shape, right: Shape) -> Shape:
    """The shape of a product; ShapeError where the inner sizes differ."""
    if left[1] != right[0]:
        raise ShapeError.between(symbol, left, right,
                                 f"inner sizes {left[1]} and {right[0]} must be equal")
    return left[0], right[1]


def check_equal(symbol: str, left: Shape, right: Shape) -> None:
    """Raise ShapeError where two shapes differ."""
    if left != right:
        raise ShapeError.between(symbol, left, right, "must be equal")


def _exact_kind(*matrices: Matrix) -> type:
    """Fraction, or float if any number is one."""
    kinds = {type(x) for matrix in matrices for row in matrix for x in row}
    return float if any(issubclass(kind, float) for kind in kinds) else Fraction


if __name__ == "__main__":
    runpy.run_module("engine.ladder", run_name="__main__")
