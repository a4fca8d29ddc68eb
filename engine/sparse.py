"""Matrices that are mostly zeros: each row keeps its non-zero numbers only."""
from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import compress
from typing import Any

from my_math import Matrix, Shape, ShapeError, check_inner, combine_rows

SparseRow = tuple[Sequence[int], list]          # (columns, the numbers there)


class SparseMatrix:
    """An m x n matrix of sparse rows: for each the columns of its numbers, and these.

    >>> S = SparseMatrix.from_matrix(Matrix([[0, 5, 0], [8, 0, 7]]))
    >>> S.rows
    [([1], [5]), ([0, 2], [8, 7])]
    >>> S @ Matrix([[1], [10], [100]])
    Matrix([[50], [708]])
    """

    __slots__ = ("shape", "rows")

    def __init__(self, shape: Shape, rows: list[SparseRow]):
        """Take over the rows: neither checked nor copied."""
        self.shape, self.rows = shape, rows

    @classmethod
    def from_matrix(cls, matrix: Matrix) -> SparseMatrix:
        """Return the same numbers without the zeros."""
        columns = range(matrix.shape[1])
        return cls(matrix.shape, [(list(compress(columns, row)),
                                   list(filter(None, row))) for row in matrix])

    @classmethod
    def from_images(cls, images: Sequence[bytes], levels: int = 256) -> SparseMatrix:
        """Return a row for each image: byte b means b / 255, rounded to `levels` greys.

        `compress` finds the places of the ink and `translate` strikes out the zeros,
        both in C.

        >>> SparseMatrix.from_images([bytes([0, 255, 90])], levels=4).to_matrix()
        Matrix([[0, 1.0, 0.3333333333333333]])
        """
        size = len(images[0]) if images else 0
        if not size or any(len(image) != size for image in images):
            raise ShapeError("images of one size are needed, at least one")
        places = list(range(size))  # a list has its ints ready; a range makes them anew
        table, numbers = grey_table(levels), [k / (levels - 1) for k in range(levels)]
        rows = []
        for image in images:
            image = image.translate(table)
            rows.append((list(compress(places, image)),
                         [numbers[k] for k in image.translate(None, b"\0")]))
        return cls((len(images), size), rows)

    @property
    def T(self) -> SparseMatrix:
        """The transpose, a new matrix."""
        m, n = self.shape
        columns: list[SparseRow] = [([], []) for _ in range(n)]
        for i, (places, numbers) in enumerate(self.rows):
            for j, number in zip(places, numbers):
                rows, values = columns[j]
                rows.append(i)
                values.append(number)
        return SparseMatrix((n, m), columns)

    def entries(self) -> list[SparseRow]:
        """Return for each row its columns and the numbers there."""
        return self.rows

    def __matmul__(self, other: Any) -> Any:
        """C[i] = sum over the non-zero A[i, k] of A[i, k] times row k of B."""
        if not isinstance(other, Matrix):
            return NotImplemented
        _, n = check_inner("@", self.shape, other.shape)
        zero, b_rows = [0] * n, other._rows
        return Matrix._trusted([
            combine_rows(zero[:], numbers, [b_rows[k] for k in places])
            for places, numbers in self.rows])

    def to_matrix(self) -> Matrix:
        """Return the same numbers with the zeros written out."""
        rows = [[0] * self.shape[1] for _ in self.rows]
        for row, (places, numbers) in zip(rows, self.rows):
            for j, number in zip(places, numbers):
                row[j] = number
        return Matrix(rows)


@lru_cache(maxsize=None)
def grey_table(levels: int) -> bytes:
    """Return the nearest grey level, 0..levels - 1, of each byte 0..255."""
    if not 2 <= levels <= 256:
        raise ValueError(f"found {levels} grey levels, expected 2 to 256")
    return bytes((2 * grey * (levels - 1) + 255) // 510 for grey in range(256))
