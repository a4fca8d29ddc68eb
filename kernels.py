"""The ground floor: products and elimination on bare lists of rows.

A matrix is a list of rows here, a row is a list of numbers, and nothing is checked:
`my_math.Matrix` does that, one floor up.  What stands here is the text to read:

    dot, transpose, combine_rows        the steps that everything else is made of
    matmul_triple_loop ... matmul       the ladder: one product, written eight ways
    eliminate, rotate_to_zero           systems of equations; eigenvalues

`python my_math.py` measures the ladder.  Times in the comments are medians on a
2-core AMD EPYC with CPython 3.11, a multiply-add being one `c += a * b`.
"""
from __future__ import annotations

import math
import random
import sys
import time
from itertools import compress
from operator import mul
from typing import Any, Callable, Iterable, Sequence

Rows = Sequence[Sequence[Any]]


class SingularMatrixError(ArithmeticError):
    """A matrix without an inverse: its columns are linearly dependent."""


def dot_by_map(x: Iterable, y: Iterable) -> Any:
    """x . y = sum_k x[k] y[k]; `map` and `mul` keep the loop out of the interpreter."""
    return sum(map(mul, x, y))


# Python 3.12 brought the same sum in C, twice as fast and more exact on floats.
HAS_SUMPROD = hasattr(math, "sumprod")
dot = math.sumprod if HAS_SUMPROD else dot_by_map


def transpose(a: Rows) -> list:
    """The columns of `a` as rows: T[j][i] = a[i][j].

    >>> transpose([[1, 2, 3], [4, 5, 6]])
    [[1, 4], [2, 5], [3, 6]]
    """
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


# The ladder.  Each function returns the same product c = a b of a (m x k) and
# b (k x n), c[i][j] = sum_k a[i][k] b[k][j], and says what it changed.

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


def matmul_ikj(a: Rows, b: Rows) -> list:
    """The two inner loops change places: b is read along its rows.

    a[i][k], b[k] and c[i] are looked up once a row, not once a multiply-add.
    """
    n = len(b[0])
    c = []
    for row in a:
        total = [0] * n
        for factor, b_row in zip(row, b):
            for j in range(n):
                total[j] += factor * b_row[j]
        c.append(total)
    return c


def matmul_zip(a: Rows, b: Rows) -> list:
    """No index is left: `zip` walks a row of a and a column of b side by side."""
    columns = list(zip(*b))
    return [[sum(x * y for x, y in zip(row, column)) for column in columns]
            for row in a]


def matmul_map(a: Rows, b: Rows) -> list:
    """No Python bytecode is left in the innermost loop: `sum`, `map`, `mul` are C."""
    columns = list(zip(*b))
    return [[dot_by_map(row, column) for column in columns] for row in a]


def matmul_sumprod(a: Rows, b: Rows) -> list:
    """The same in one C function, where Python has it (3.12 and later)."""
    columns = list(zip(*b))
    return [[math.sumprod(row, column) for column in columns] for row in a]


def matmul_by_four(a: Rows, b: Rows) -> list:
    """Rows of b, weighted and added, four a pass: row i of c is sum_k a[i][k] b[k]."""
    zero = [0] * len(b[0])
    return [add_rows_by_four(zero, row, b) for row in a]


def matmul_skip_zeros(a: Rows, b: Rows) -> list:
    """Only rows of b whose factor is not 0: four fifths of an MNIST image are."""
    zero = [0] * len(b[0])
    return [combine_rows(zero[:], list(filter(None, row)), list(compress(b, row)))
            for row in a]


def matmul(a: Rows, b: Rows) -> list:
    """The product that `Matrix @ Matrix` uses: for each size the fastest kernel.

    Long rows of a make long dot products, where `dot` is at its best; short ones
    (a gradient has 10 columns) spend their time in calls, so rows are combined.
    """
    if len(b) >= 12:
        columns = list(zip(*b))
        return [[dot(row, column) for column in columns] for row in a]
    return matmul_by_four(a, b)


KERNELS = {
    "index triple loop": matmul_triple_loop,
    "i-k-j order": matmul_ikj,
    "columns by zip": matmul_zip,
    "sum(map(mul, ...))": matmul_map,
    **({"math.sumprod": matmul_sumprod} if HAS_SUMPROD else {}),
    "four rows a pass": matmul_by_four,
    "zeros skipped": matmul_skip_zeros,
}


def eliminate(a: list, b: list) -> Any:
    """Gauss-Jordan elimination in place: rows of `a` become I, those of `b` A^-1 B.

    Returns det(A).  Partial pivoting: of the rows left, the one with the largest
    number in the column comes to the top, so that no factor exceeds 1 and rounding
    errors do not grow (Golub and Van Loan, Matrix Computations, section 3.4).
    The numbers are all float or all exact.  Raises SingularMatrixError where no
    pivot is left.
    """
    n, determinant = len(a), _scale_rows(a, b)
    # A float pivot smaller than its column's rounding error is a zero in disguise.
    rounding = n * 2.0 ** -52 if isinstance(a[0][0], float) else 0
    noise = [rounding * max(map(abs, column)) for column in zip(*a)]
    for k in range(n):
        pivot_row = max(range(k, n), key=lambda i: abs(a[i][k]))
        pivot = a[pivot_row][k]
        if abs(pivot) <= noise[k]:
            raise SingularMatrixError(f"no pivot in column {k} of the {n} x {n} matrix")
        if pivot_row != k:
            for rows in (a, b):
                rows[k], rows[pivot_row] = rows[pivot_row], rows[k]
            determinant = -determinant
        determinant = determinant * pivot
        _clear_column(a, b, k)
    return determinant


def _scale_rows(a: list, b: list) -> Any:
    """Divide each row of a, and of b along with it, by its largest number.

    Equations in other units are the same equations; so no unit is taken for noise.
    Returns the product of what was divided by.
    """
    product = 1
    for i, row in enumerate(a):
        largest = max(map(abs, row))
        if not largest:
            raise SingularMatrixError(f"row {i} of the {len(a)} x {len(a)} matrix is 0")
        a[i], b[i] = [x / largest for x in row], [x / largest for x in b[i]]
        product = product * largest
    return product


def _clear_column(a: list, b: list, k: int) -> None:
    """Divide row k by its pivot and take multiples of it from all other rows."""
    pivot = a[k][k]
    for rows, pivot_row in ((a, a[k]), (b, b[k])):
        pivot_row[:] = [x / pivot for x in pivot_row]
    for i in range(len(a)):
        factor = a[i][k]
        if i != k and factor:
            a[i] = [x - factor * y for x, y in zip(a[i], a[k])]
            b[i] = [x - factor * y for x, y in zip(b[i], b[k])]


def rotate_to_zero(a: list, vectors: list, p: int, q: int) -> None:
    """One Jacobi rotation J: a <- J^T a J with a[p][q] = 0, in place.

    `vectors` holds the eigenvectors found so far as rows and turns along.
    """
    theta = (a[q][q] - a[p][p]) / (2 * a[p][q])
    tangent = math.copysign(1, theta) / (abs(theta) + math.hypot(theta, 1))
    cosine = 1 / math.hypot(tangent, 1)
    sine = tangent * cosine
    for rows in (a, vectors):
        row_p, row_q = rows[p], rows[q]
        rows[p] = [cosine * x - sine * y for x, y in zip(row_p, row_q)]
        rows[q] = [sine * x + cosine * y for x, y in zip(row_p, row_q)]
    for row in a:
        x, y = row[p], row[q]
        row[p], row[q] = cosine * x - sine * y, sine * x + cosine * y
    a[p][q] = a[q][p] = 0.0


def jacobi_sweeps(a: list, vectors: list, tolerance: float) -> None:
    """Rotate a symmetric `a` until no number off its diagonal exceeds `tolerance`.

    Each sweep visits every pair once; convergence is quadratic, so ten sweeps are
    many.  The diagonal then holds the eigenvalues, `vectors` the vectors as rows.
    """
    pairs = [(p, q) for p in range(len(a)) for q in range(p + 1, len(a))]
    while pairs and max(abs(a[p][q]) for p, q in pairs) > tolerance:
        for p, q in pairs:
            if abs(a[p][q]) > tolerance:
                rotate_to_zero(a, vectors, p, q)


# ---------------------------------------------------------------------------
# The ladder, measured
# ---------------------------------------------------------------------------

def fastest_of(function: Callable[[], Any], runs: int = 3, seconds: float = 0.0
               ) -> tuple[float, Any]:
    """(seconds of the fastest call, the result), of so many runs or for so long.

    The fastest run is the one least disturbed by whatever else the machine does.
    """
    fastest, total, done = math.inf, 0.0, 0
    while done < runs or total < seconds:
        start = time.perf_counter()
        result = function()
        taken = time.perf_counter() - start
        fastest, total, done = min(fastest, taken), total + taken, done + 1
    return fastest, result


def largest_difference(c: Rows, reference: Rows) -> float:
    """max_ij |c[i][j] - reference[i][j]|."""
    return max(abs(x - y) for row, other in zip(c, reference)
               for x, y in zip(row, other))


def ladder(prepared: dict[str, Callable] | None = None, samples: int = 32,
           inputs: int = 784, units: int = 128) -> int:
    """Multiply one batch of images by the weights with every kernel; print the times.

    `prepared` holds further rungs that keep matrices in a form of their own: functions
    of a and b that return a function without arguments, which alone is timed.  Returns
    0 if all agree with the triple loop, else 1.
    """
    rng = random.Random(1)
    a = [[int(rng.random() * 3 + 1) / 3 if rng.random() < 0.19 else 0.0
          for _ in range(inputs)] for _ in range(samples)]
    b = [[int(rng.random() * 2 ** 20) / 2 ** 20 - 0.5 for _ in range(units)]
         for _ in range(inputs)]
    print(f"({samples} x {inputs}) @ ({inputs} x {units}), 81 % of the left are zeros, "
          f"Python {sys.version.split()[0]}\n\n"
          f"{'kernel':24}{'ns a multiply-add':>18}{'times faster':>14}")
    rungs = [(name, *fastest_of(lambda: kernel(a, b)))
             for name, kernel in KERNELS.items()]
    for name, prepare in {**(prepared or {}), "NumPy, for comparison": _numpy}.items():
        product = prepare(a, b)
        if product:
            rungs.append((name, *fastest_of(product, seconds=0.3)))
    for name, seconds, _ in rungs:
        print(f"{name:24}{seconds / (samples * inputs * units) * 1e9:18.2f}"
              f"{rungs[0][1] / seconds:14.1f}")
    worst = max(largest_difference(product, rungs[0][2]) for _, _, product in rungs)
    print(f"\nlargest difference from the triple loop: {worst:.1e}")
    return 0 if worst < 1e-9 else 1


def _numpy(a: list, b: list) -> Callable[[], Any] | None:
    """NumPy's product, where NumPy happens to be installed."""
    try:
        import numpy
    except ImportError:
        return None
    left, right = numpy.array(a), numpy.array(b)
    return lambda: left @ right
