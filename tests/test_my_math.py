"""Matrix and SparseMatrix: exact oracles, algebraic laws, and what must be refused."""
import math
import operator
import random
from fractions import Fraction
from itertools import product

import pytest

from engine.sparse import SparseMatrix
from my_math import Matrix, ShapeError, SingularMatrixError, matmul_triple_loop

KINDS = [int, Fraction, float]
OPERATORS = {"+": operator.add, "-": operator.sub,
             "*": operator.mul, "/": operator.truediv}
every_operator = pytest.mark.parametrize("symbol", OPERATORS)
exact_kinds = pytest.mark.parametrize("kind", [int, Fraction])


@pytest.fixture
def random_matrix(random_rows):
    """random_matrix(m, n, kind), int unless told."""
    return lambda m, n, kind=int: Matrix(random_rows(m, n, kind))


def close(a, b, tolerance=1e-12):
    """Whether two matrices of one shape differ by rounding only."""
    return a.shape == b.shape and (a - b).norm() <= tolerance * max(1, b.norm())


# --- constructors

@pytest.mark.parametrize("rows, error, message", [
    ([], ShapeError, "at least one"), ([[], []], ShapeError, "at least one"),
    ([[1, 2], [3, 4, 5]], ShapeError, "row 1 has 3 numbers, row 0 has 2"),
    (["12", "34"], TypeError, "row 0 holds a str"),
    ([[1], [2j]], TypeError, "row 1 holds a complex"),
    ([1, 2], TypeError, "row 0 is 1, not a row")], ids=str)
def test_ragged_rows_and_what_is_no_number_are_refused(rows, error, message):
    with pytest.raises(error, match=message):
        Matrix(rows)


def test_rows_may_be_any_iterables():
    rows = (range(i, i + 2) for i in range(2))
    assert Matrix(rows) == Matrix([(0, 1), [1, 2]]) == Matrix(Matrix([[0, 1], [1, 2]]))


def test_zeros_are_floats():
    made = Matrix.zeros(2, 3)
    assert list(made) == [[0.0] * 3] * 2 and type(made[0, 0]) is float
    for shape in ((0, 1), (1, 0), (-1, 2)):
        with pytest.raises(ShapeError):
            Matrix.zeros(*shape)


def test_random_normal_repeats_itself_in_every_version_of_python():
    # Frozen, to the bit: sqrt(3) times four numbers of random.Random(5).random() less
    # 2, and four more.  With fractions the second ends in 4.
    normal = Matrix.random_normal(1, 2, random.Random(5))
    assert normal[0] == [1.9092959548463055, 0.271674687685217]


# --- nothing is shared

A_COPY = {
    "Matrix(A)": Matrix, "copy": Matrix.copy, "T": lambda a: a.T,
    "row slice": lambda a: a[0:2], "A + 0": lambda a: a + 0,
    "A + row": lambda a: a + Matrix([[0, 0, 0]]), "zeros": lambda a: Matrix.zeros(2, 3),
    "column times row": lambda a: Matrix([[1], [1]]) * Matrix([[2, 3]]),
    "map": lambda a: a.map(lambda x: x),
    "map_rows": lambda a: a.map_rows(lambda row: row),
    "I @ A": lambda a: Matrix.identity(2) @ a,
}


@pytest.mark.parametrize("make", A_COPY.values(), ids=A_COPY)
def test_results_share_no_numbers_with_their_operand(make):
    a = Matrix([[1, 2, 3], [4, 5, 6]])
    made = make(a)
    before = made.copy()
    made[0, 0] = 99
    assert a == Matrix([[1, 2, 3], [4, 5, 6]]) and list(made)[1:] == list(before)[1:]
    kept = made.copy()
    a[0, 0] = a[0, 1] = a[1, 2] = -7
    assert made == kept


def test_neither_the_lists_given_nor_the_rows_handed_out_are_its_own():
    rows = [[1, 2], [3, 4]]
    a = Matrix(rows)
    for row in (rows[0], a[0], next(iter(a))):
        row[0] = 99
    a[1, 1] = -5
    assert (a[0, 0], rows[1][1]) == (1, 4)


# --- looking at it

def test_numbers_rows_and_slices_are_found_by_index():
    a = Matrix([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    assert (a[0, 2], a[2, 0], a[-1, -1], a[1]) == (3, 7, 9, [4, 5, 6])
    assert a[1:] == Matrix([[4, 5, 6], [7, 8, 9]])
    assert a[::-2] == Matrix([[7, 8, 9], [1, 2, 3]])
    assert list(a) == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert (len(a), a.shape, a[:2].shape) == (3, (3, 3), (2, 3))


@pytest.mark.parametrize("key, read, write", [
    ((0, 2), IndexError, IndexError), (5, IndexError, TypeError),
    ((slice(0, 2), 0), TypeError, TypeError), ((0, 0, 0), ValueError, ValueError),
    (slice(2, 2), ShapeError, TypeError)], ids=str)
def test_an_index_that_names_no_number_is_refused(key, read, write):
    a = Matrix([[1, 2], [3, 4]])
    with pytest.raises(read):
        a[key]
    with pytest.raises(write):
        a[key] = 5
    with pytest.raises(TypeError):
        a[0, 0] = "5"
    assert a == Matrix([[1, 2], [3, 4]])


def test_equal_means_same_shape_and_same_numbers():
    a = Matrix([[1, 2], [3, 4]])
    assert a == Matrix([[1.0, 2], [Fraction(3), 4]])
    assert a != Matrix([[1, 2], [3, 5]])
    assert a != Matrix([[1, 2]]) and a != Matrix([[1, 2, 3, 4]])
    assert (a == [[1, 2], [3, 4]]) is False
    with pytest.raises(TypeError):
        hash(a)


def test_a_short_repr_can_be_evaluated_and_a_long_one_is_one_line():
    a = Matrix([[1, Fraction(2, 3)], [0.5, -4]])
    assert eval(repr(a)) == a
    assert repr(Matrix.zeros(784, 128)) == "<Matrix 784 x 128, from 0.0 to 0.0>"


# --- elementwise arithmetic

SHAPES = list(product((1, 2, 3), repeat=2))


@every_operator
@pytest.mark.parametrize("left", SHAPES, ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("right", SHAPES, ids="{0[0]}x{0[1]}".format)
def test_shapes_broadcast_where_each_size_is_equal_or_one(
        symbol, left, right, random_matrix):
    """Row or column 0 stands for all where there is but one."""
    function = OPERATORS[symbol]
    a = random_matrix(*left, Fraction)
    b = random_matrix(*right, Fraction).map(lambda x: x or Fraction(1, 2))
    (m, n), (p, q) = left, right
    if all(s == t or 1 in (s, t) for s, t in zip(left, right)):
        assert list(function(a, b)) == [
            [function(a[i % m, j % n], b[i % p, j % q]) for j in range(max(n, q))]
            for i in range(max(m, p))]
    else:
        expected = rf"\({m} x {n}\) \{symbol} \({p} x {q}\)"
        with pytest.raises(ShapeError, match=expected):
            function(a, b)


@every_operator
@pytest.mark.parametrize("scalar", [3, Fraction(2, 3), 0.5], ids=str)
def test_a_scalar_meets_every_number_on_either_side(symbol, scalar):
    function, rows = OPERATORS[symbol], [[1, 2], [-4, 8]]
    assert list(function(Matrix(rows), scalar)) == [
        [function(x, scalar) for x in row] for row in rows]
    assert list(function(scalar, Matrix(rows))) == [
        [function(scalar, x) for x in row] for row in rows]


class Foreign:
    """A type that knows what to do with a Matrix, though Matrix does not know it."""

    def _answer(self, other):
        return "answered"

    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rmatmul__ = _answer


@pytest.mark.parametrize("function", [*OPERATORS.values(), operator.matmul])
def test_foreign_types_are_left_to_answer_for_themselves(function):
    a = Matrix([[1, 2], [3, 4]])
    assert function(a, Foreign()) == "answered"
    for other in ("ab", None, 1j, [[1, 2], [3, 4]], *[2, 0.5] * (
            function is operator.matmul)):
        for operands in ((a, other), (other, a)):
            with pytest.raises(TypeError):
                function(*operands)


def test_exact_numbers_stay_exact():
    a = Matrix([[Fraction(1, 3), Fraction(2, 7)]])
    for result in (a + 1, 1 - a, a * 3, a / 3, 1 / a, -a, a @ a.T, a.mean(axis=0)):
        assert {type(x) for row in result for x in row} == {Fraction}
    assert {type(x) for x in (Matrix([[1, 2]]) * 3 - 1)[0]} == {int}
    assert list(-a) == list(a * -1)


def test_a_function_is_mapped_over_numbers_or_over_rows(random_rows):
    a, b, c = (Matrix(random_rows(3, 4)) for _ in range(3))
    assert a.map(lambda x: x * x) == a * a
    assert a.map_rows(lambda x: [sum(x)]) == a.sum(axis=1)
    found = a.map_rows(lambda x, y, z: [u * v - w for u, v, w in zip(x, y, z)], b, c)
    assert found == a * b - c


# --- sums and extremes

REDUCED = {     # of the matrix below: all, each column, each row
    "sum": (13, [[6, 10, -3]], [[10], [3]]),
    "mean": (Fraction(13, 6), [[3, 5, Fraction(-3, 2)]], [[Fraction(10, 3)], [1]]),
    "max": (9, [[5, 9, 0]], [[9], [5]]),
}


@pytest.mark.parametrize("name", REDUCED)
def test_reductions_go_over_all_columns_or_rows(name):
    a = Matrix([[1, 9, 0], [5, 1, -3]]).map(Fraction)
    whole, of_columns, of_rows = REDUCED[name]
    reduce = getattr(a, name)
    assert reduce() == reduce(axis=None) == whole
    assert reduce(axis=0) == Matrix(of_columns)
    assert reduce(axis=1) == Matrix(of_rows)


def test_argmax_finds_the_first_of_the_largest():
    a = Matrix([[1, 9, 0, 9], [1, 5, 0, 3], [0, 9, 0, 2]])
    assert a.argmax() == 1 and Matrix([[1, 2], [3, 0]]).argmax() == 2
    assert a.argmax(axis=0) == [0, 0, 0, 0]
    assert a.argmax(axis=1) == [1, 1, 1]


@pytest.mark.parametrize("name", [*REDUCED, "argmax"])
def test_a_matrix_has_two_axes(name):
    for axis in (2, -1, "rows"):
        with pytest.raises(ValueError, match="axis"):
            getattr(Matrix([[1]]), name)(axis)


def test_the_norm_is_the_root_of_the_sum_of_squares():
    assert Matrix([[1, -2], [4, 2]]).norm() == 5
    assert Matrix([[Fraction(3, 2)], [2]]).norm() == 2.5
    assert Matrix([[3e200, 4e200]]).norm() == pytest.approx(5e200)


# --- products

@exact_kinds
def test_a_product_is_that_of_the_triple_loop(kind, random_rows):
    """Other sizes and kernels: test_ladder.py."""
    a, b = random_rows(3, 14, kind), random_rows(14, 5, kind)
    assert list(Matrix(a) @ Matrix(b)) == matmul_triple_loop(a, b)


def test_a_product_names_inner_sizes_that_differ():
    a, b = Matrix.zeros(2, 3), Matrix.zeros(4, 5)
    with pytest.raises(ShapeError, match=r"\(2 x 3\) @ \(4 x 5\).* 3 and 4 "):
        a @ b


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("alpha", [1, Fraction(-2, 3)], ids=str)
def test_add_matmul_adds_the_scaled_product_in_place(sparse, alpha, random_matrix):
    for k, n in ((1, 1), (3, 2), (13, 2), (13, 40)):
        c, a, b = random_matrix(4, n), random_matrix(4, k), random_matrix(k, n)
        for j in range(k):
            a[2, j] = 0                                    # a row without numbers
        expected = c + alpha * (a @ b)
        c.add_matmul(SparseMatrix.from_matrix(a) if sparse else a, b, alpha)
        assert c == expected


def test_add_matmul_may_add_a_matrix_to_itself(random_matrix):
    a, c = random_matrix(3, 3), random_matrix(3, 3)
    for factors in ((a, c), (c, a), (c, c)):
        mine = c.copy()
        expected = c + factors[0] @ factors[1]
        mine.add_matmul(*(mine if factor is c else factor for factor in factors))
        assert mine == expected


def test_add_matmul_does_not_broadcast():
    for a, b, words in (((2, 3), (4, 5), "inner sizes 3 and 4"),
                        ((3, 3), (3, 5), r"\(2 x 5\) \+= \(3 x 5\)")):
        with pytest.raises(ShapeError, match=words):
            Matrix.zeros(2, 5).add_matmul(Matrix.zeros(*a), Matrix.zeros(*b))


# --- systems of equations

@pytest.fixture
def invertible(random_matrix):
    """invertible(n, kind): L U with ones on one diagonal, so that det is not 0."""
    def make(n, kind=Fraction):
        half, other = random_matrix(n, n, kind), random_matrix(n, n, kind)
        lower = Matrix([[half[i, j] if j < i else kind(i == j) for j in range(n)]
                        for i in range(n)])
        upper = Matrix([[other[i, j] if j > i else kind(i == j) * (i + 2)
                         for j in range(n)] for i in range(n)])
        return (lower @ upper)[::-1]       # upside down: pivots have to be looked for
    return make


@pytest.mark.parametrize("n", [1, 2, 3, 6])
@exact_kinds
def test_inverses_solutions_and_determinants_are_exact(
        n, kind, invertible, random_matrix):
    a, b = invertible(n, kind), random_matrix(n, 3, kind)
    before = a.copy(), b.copy()
    x = a.solve(b)
    assert x.shape == (n, 3) and a @ x == b
    assert a @ a.inverse() == Matrix.identity(n)
    # L has det 1, U the product 2 3 ... (n + 1); turning n rows over n // 2 swaps.
    assert a.determinant() == (-1) ** (n // 2) * math.factorial(n + 1)
    assert (a, b) == before


@pytest.mark.parametrize("rows, kind", [
    ([[1, 2], [3, 5]], Fraction), ([[1, Fraction(2)], [3, 5]], Fraction),
    ([[1, 2.0], [3, 5]], float), ([[Fraction(1), 2.0], [3, 5]], float)], ids=str)
def test_one_float_makes_a_solution_float_else_it_is_a_fraction(rows, kind):
    a = Matrix(rows)
    assert {type(x) for row in a.inverse() for x in row} == {kind}
    assert {type(x) for row in Matrix([[1, 0], [0, 1]]).solve(a) for x in row} == {kind}
    assert type(a.determinant()) is kind


def test_the_solution_of_floats_is_rounded_once():
    """In floats 1 - 1e20 swallows the 2 of the right side: x = 0 instead of 1."""
    x = Matrix([[1e-20, 1.0], [1.0, 1.0]]).solve(Matrix([[1.0], [2.0]]))
    assert [row[0] for row in x] == [1, 1]
    a = Matrix([[0.1, 0.7], [0.3, 0.2]])
    assert a.determinant() == float(Fraction(0.1) * Fraction(0.2)
                                    - Fraction(0.7) * Fraction(0.3))


@pytest.mark.parametrize("rows", [
    [[0]], [[1, 2], [2, 4]], [[0, 1], [0, 2]], [[1, 2, 3], [4, 5, 6], [5, 7, 9]],
    [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]], ids=str)
def test_a_singular_matrix_has_determinant_0_and_no_inverse(rows):
    a = Matrix(rows)
    assert a.determinant() == 0
    with pytest.raises(SingularMatrixError):
        a.inverse()


@pytest.mark.parametrize("name", ["solve", "inverse", "determinant"])
def test_only_square_matrices_are_solved(name):
    a = Matrix.zeros(2, 3)
    with pytest.raises(ShapeError, match="square matrix, but 2 x 3"):
        getattr(a, name)(*([a] if name == "solve" else []))
    with pytest.raises(ShapeError, match=r"\(2 x 2\) solve \(3 x 1\)"):
        Matrix.identity(2).solve(Matrix.zeros(3, 1))


# --- sparse

IMAGES = [bytes([0, 255, 0, 51]), bytes(4), bytes([1, 2, 3, 4])]


def test_images_become_compressed_rows_of_grey_levels():
    s = SparseMatrix.from_images(IMAGES)
    assert s.shape == (3, 4)
    assert s.rows == [([1, 3], [1.0, 0.2]), ([], []),
                      ([0, 1, 2, 3], [1 / 255, 2 / 255, 3 / 255, 4 / 255])]
    assert s.to_matrix() == Matrix([[byte / 255 for byte in image] for image in IMAGES])


def test_images_of_two_sizes_or_of_none_are_refused():
    for images in ([], [b""], [b"ab", b"abc"]):
        with pytest.raises(ShapeError):
            SparseMatrix.from_images(images)


@exact_kinds
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (5, 14), (14, 40)])
def test_a_sparse_matrix_multiplies_as_its_dense_twin(kind, shape, random_matrix):
    a = random_matrix(*shape, kind)
    for j in range(shape[1]):
        a[0, j] = kind(0)                                  # a row without numbers
    s = SparseMatrix.from_matrix(a)
    assert all(all(numbers) for _, numbers in s.rows)        # no zero is stored
    assert s.to_matrix() == a == s.T.T.to_matrix() and s.T.to_matrix() == a.T
    for n in (1, 3, 33):
        b, c = random_matrix(shape[1], n, kind), random_matrix(shape[0], n, kind)
        product = s @ b
        assert product == a @ b and s.T @ c == a.T @ c
        product[0, 0] = 99                                 # rows are not shared
        assert s @ b == a @ b


def test_a_sparse_product_refuses_what_does_not_fit():
    s = SparseMatrix.from_images(IMAGES)
    with pytest.raises(ShapeError, match=r"\(3 x 4\) @ \(3 x 4\)"):
        s @ Matrix.zeros(3, 4)
    for other in (2, [[1]] * 4, "a", s.T):
        with pytest.raises(TypeError):
            s @ other
