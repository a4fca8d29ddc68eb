"""Matrices that are mostly zeros: compressed sparse rows (CSR)."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, chain, compress
from typing import Any

from my_math import Matrix, Shape, ShapeError, check_inner, combine_rows


class SparseMatrix:
    """An m x n matrix that keeps only its non-zero numbers, row by row (CSR).

    Compressed sparse rows: row i has `values[indptr[i]:indptr[i + 1]]` in the columns
    `indices[indptr[i]:indptr[i + 1]]`.  Its numbers are values / denominator, so that
    grey levels 0..255 stay integers and still mean 0..1.

    >>> S = SparseMatrix.from_matrix(Matrix([[0, 5, 0], [0, 0, 7]]))
    >>> S.indptr, S.indices, S.values
    ([0, 1, 2], [1, 2], [5, 7])
    >>> S @ Matrix([[1], [10], [100]])
    Matrix([[50], [700]])
    """

    __slots__ = ("shape", "indptr", "indices", "values", "denominator", "_mirror",
                 "_ink")

    def __init__(self, shape: Shape, indptr: list, indices: list, values: list,
                 denominator: int = 1):
        """Take over the three lists; ValueError where they are no CSR matrix."""
        m, n = shape
        starts_fit = (len(indptr) == m + 1 and indptr[0] == 0
                      and indptr == sorted(indptr) and indptr[-1] == len(indices))
        if m < 1 or n < 1 or not starts_fit or len(indices) != len(values):
            raise ShapeError(f"{len(indptr)} row starts, {len(indices)} columns and "
                             f"{len(values)} values are no {m} x {n} sparse matrix")
        if indices and not (0 <= min(indices) and max(indices) < n):
            raise ShapeError(f"a column is not in 0..{n - 1}")
        self.shape, self.indptr, self.indices = shape, indptr, indices
        self.values, self.denominator = values, denominator
        self._mirror = self._ink = None

    @classmethod
    def from_matrix(cls, matrix: Matrix) -> SparseMatrix:
        """The same numbers without the zeros."""
        return cls._from_entries(
            matrix.shape, ((compress(columns, row), filter(None, row))
                           for columns, row in matrix.entries()))

    @classmethod
    def from_images(cls, images: Sequence[bytes], levels: int = 256) -> SparseMatrix:
        """Return a row for each image: byte b means b / 255, rounded to `levels` greys.

        `compress` finds the places of the ink and `translate` strikes out the zeros,
        both in C: 8 us an image.  They are put together as CSR when first asked for.

        >>> SparseMatrix.from_images([bytes([0, 255, 90])], levels=4).to_matrix()
        Matrix([[0, 1.0, 0.3333333333333333]])
        """
        places = range(len(images[0]) if images else 0)
        if not places or any(len(image) != len(places) for image in images):
            raise ShapeError("images of one size are needed, at least one")
        places = list(places)       # a list has its ints ready; a range makes them anew
        if levels != 256:
            table = grey_table(levels)
            images = [image.translate(table) for image in images]
        sparse = object.__new__(cls)
        sparse.shape, sparse.denominator = (len(images), len(places)), levels - 1
        sparse._ink = [(list(compress(places, image)), image.translate(None, b"\0"))
                       for image in images]
        sparse._mirror = None
        return sparse

    @classmethod
    def _from_entries(cls, shape: Shape, rows: Iterable, denominator: int = 1
                      ) -> SparseMatrix:
        """Join (columns, values) of each row."""
        indptr, indices, values = [0], [], []
        for row_columns, row_values in rows:
            indices.extend(row_columns)
            values.extend(row_values)
            indptr.append(len(values))
        sparse = object.__new__(cls)
        sparse.shape, sparse.indptr, sparse.indices = shape, indptr, indices
        sparse.values, sparse.denominator = values, denominator
        sparse._mirror = sparse._ink = None
        return sparse

    @property
    def T(self) -> SparseMatrix:
        """The transpose, again in compressed rows, which are made when first read."""
        if self._mirror is not None:
            return self._mirror
        transpose = object.__new__(SparseMatrix)
        transpose.shape, transpose.denominator = self.shape[::-1], self.denominator
        transpose._mirror, transpose._ink = self, None
        return transpose

    def __getattr__(self, name: str) -> Any:
        """Make the CSR lists at first use: most products need only `entries`."""
        if name not in ("indptr", "indices", "values"):
            raise AttributeError(f"SparseMatrix has no {name!r}")
        if self._ink is not None:
            self.indptr = [0, *accumulate(len(values) for _, values in self._ink)]
            self.indices = list(chain.from_iterable(places for places, _ in self._ink))
            self.values = b"".join(values for _, values in self._ink)
        else:
            built = SparseMatrix._from_entries(self.shape, self._mirror._columns())
            self.indptr, self.indices = built.indptr, built.indices
            self.values = built.values
        return getattr(self, name)

    def _columns(self) -> list[tuple[list, list]]:
        """For each column (the rows, the values) that it has."""
        columns = [([], []) for _ in range(self.shape[1])]
        for i, (places, row_values) in enumerate(self._slices()):
            for j, value in zip(places, row_values):
                rows, values = columns[j]
                rows.append(i)
                values.append(value)
        return columns

    def _slices(self) -> Iterable[tuple[list, list]]:
        """For each row its columns and its values, as they are stored."""
        return self._ink or ((self.indices[start:end], self.values[start:end])
                             for start, end in zip(self.indptr, self.indptr[1:]))

    def entries(self) -> Iterator[tuple[Sequence[int], list]]:
        """For each row its columns and its numbers, the denominator divided out."""
        denominator = self.denominator
        for places, values in self._slices():
            if denominator != 1:
                values = [x / denominator for x in values]
            yield places, values

    def __matmul__(self, other: Any) -> Any:
        """C[i] = sum over the non-zero A[i, k] of A[i, k] times row k of B."""
        if not isinstance(other, Matrix):
            return NotImplemented
        _, n = check_inner("@", self.shape, other.shape)
        zero, b_rows = [0] * n, other._rows
        return Matrix._trusted([
            combine_rows(zero[:], values, [b_rows[k] for k in places])
            for places, values in self.entries()])

    def to_matrix(self) -> Matrix:
        """The same numbers with the zeros written out."""
        rows = []
        for places, values in self.entries():
            row = [0] * self.shape[1]
            for j, value in zip(places, values):
                row[j] += value
            rows.append(row)
        return Matrix(rows)

    def __repr__(self) -> str:
        m, n = self.shape
        return f"<SparseMatrix {m} x {n}, {len(self.values)} numbers not zero>"


@lru_cache(maxsize=None)
def grey_table(levels: int) -> bytes:
    """Return the nearest grey level, 0..levels - 1, of each byte 0..255."""
    if not 2 <= levels <= 256:
        raise ValueError(f"found {levels} grey levels, expected 2 to 256")
    return bytes((2 * grey * (levels - 1) + 255) // 510 for grey in range(256))
