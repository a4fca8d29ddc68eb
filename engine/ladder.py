"""The ladder: one matrix product, written in nine ways, each faster than the last.

Each function returns the same product c = a b of lists of rows a (m x k) and b (k x n),
c[i][j] = sum_k a[i][k] b[k][j], and says what it changed.  `python my_math.py` measures
them.
"""
from __future__ import annotations

import math
import random
import sys
import time
from functools import partial
from itertools import compress
from typing import Any, Callable, Iterable, Iterator

from engine.fixed_point import WIDE
from engine.layers import FirstLayer
from my_math import (HAS_SUMPROD, Matrix, Rows, combine_rows, dot_by_map,
                     matmul_by_four, matmul_triple_loop)


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
    """A @ B without an index: `zip` walks a row of a and a column of b side by side."""
    columns = list(zip(*b))
    return [[sum(x * y for x, y in zip(row, column)) for column in columns]
            for row in a]


def matmul_map(a: Rows, b: Rows) -> list:
    """A @ B, no bytecode in the innermost loop: `sum`, `map` and `mul` are C."""
    columns = list(zip(*b))
    return [[dot_by_map(row, column) for column in columns] for row in a]


def matmul_sumprod(a: Rows, b: Rows) -> list:
    """A @ B by one C function, where Python has it (3.12 and later)."""
    columns = list(zip(*b))
    return [[math.sumprod(row, column) for column in columns] for row in a]


def matmul_skip_zeros(a: Rows, b: Rows) -> list:
    """A @ B by the rows of b whose factor is not 0: four fifths of an image are 0."""
    zero = [0] * len(b[0])
    return [combine_rows(zero[:], list(filter(None, row)), list(compress(b, row)))
            for row in a]


KERNELS = {
    "index triple loop": matmul_triple_loop,
    "i-k-j order": matmul_ikj,
    "columns by zip": matmul_zip,
    "sum(map(mul, ...))": matmul_map,
    **({"math.sumprod": matmul_sumprod} if HAS_SUMPROD else {}),
    "four rows a pass": matmul_by_four,
    "zeros skipped": matmul_skip_zeros,
}

def fastest_of(function: Callable[[], Any], seconds: float = 0.3) -> tuple[float, Any]:
    """Return (seconds of the fastest call, its result) of 3 calls, and of more until
    they have taken `seconds` together.

    The fastest run is the one least disturbed by whatever else the machine does.
    """
    fastest, total, done = math.inf, 0.0, 0
    while done < 3 or total < seconds:
        start = time.perf_counter()
        result = function()
        taken = time.perf_counter() - start
        fastest, total, done = min(fastest, taken), total + taken, done + 1
    return fastest, result


def largest_difference(c: Rows, reference: Rows) -> float:
    """Return max_ij |c[i][j] - reference[i][j]|."""
    return max(abs(x - y) for row, other in zip(c, reference)
               for x, y in zip(row, other))


def rungs(a: Rows, b: Rows) -> Iterator[tuple[str, Callable[[], Iterable]]]:
    """Yield (name, function that multiplies) of each way to make the product a b.

    Matrices that a way keeps in a form of their own are brought into it before.
    """
    for name, kernel in KERNELS.items():
        yield name, partial(kernel, a, b)
    # Grey levels k / 3 times weights in lanes, which are decoded only to be looked at.
    weights = Matrix(b)
    layer = FirstLayer(weights, Matrix.zeros(1, weights.shape[1]), 4, WIDE)
    images = [layer.quantizer(bytes(round(255 * v) for v in row)) for row in a]
    unit, decode = 2.0 ** -WIDE.fraction, layer.lanes.decode
    yield "a row in one integer", lambda: (
        [v * unit for v in decode(row)] for row in layer.sums(images))
    try:
        import numpy
    except ImportError:
        return
    left, right = numpy.array(a), numpy.array(b)
    yield "NumPy, for comparison", lambda: left @ right


def ladder(samples: int = 32, inputs: int = 784, units: int = 128) -> int:
    """Multiply one batch of images by the weights with every kernel; print the times.

    Returns 0 if all agree with the triple loop, else 1.
    """
    rng = random.Random(1)
    a = [[int(rng.random() * 3 + 1) / 3 if rng.random() < 0.19 else 0.0
          for _ in range(inputs)] for _ in range(samples)]
    b = [[int(rng.random() * 2 ** 20) / 2 ** 20 - 0.5 for _ in range(units)]
         for _ in range(inputs)]
    print(f"({samples} x {inputs}) @ ({inputs} x {units}), 81 % of the left are zeros, "
          f"Python {sys.version.split()[0]}\n\n"
          f"{'kernel':24}{'ns a multiply-add':>18}{'times faster':>14}")
    found = [(name, *fastest_of(multiply)) for name, multiply in rungs(a, b)]
    _, slowest, reference = found[0]
    for name, seconds, _ in found:
        print(f"{name:24}{seconds / (samples * inputs * units) * 1e9:18.2f}"
              f"{slowest / seconds:14.1f}")
    worst = max(largest_difference(product, reference) for _, _, product in found)
    print(f"\nlargest difference from the triple loop: {worst:.1e}")
    return 0 if worst < 1e-9 else 1


if __name__ == "__main__":
    from show.console import run_command  # floors up: a command ends like the others
    sys.exit(run_command("my_math.py", ladder))
