"""packed_math: every operation against exact whole numbers or against `Matrix`."""
import math
import random
from fractions import Fraction
from itertools import product

import pytest

import lanes
import packed_math
from data_loader import SAMPLE_FOLDER, load
from lanes import NARROW, WIDE, LaneOverflowError
from my_math import Matrix, ShapeError, SparseMatrix
from network import ACTIVATIONS, LOSSES, Dense, Network
from packed_math import PackedMatrix, PackedTranspose
from parallel import Team, pack_network, unpack_network

UNIT = Fraction(1, 1 << 10)
SHAPES = [(1, 1), (1, 7), (5, 1), (3, 4), (20, 130), (2, 600)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids="{0[0]}x{0[1]}".format)
every_width = pytest.mark.parametrize("bits", [NARROW, WIDE])


@pytest.fixture
def packed(rng):
    """packed(m, n, reach, ...): random lanes in -reach..reach, a third of them 0."""
    def make(m, n, reach=1000, unit=UNIT, bits=NARROW):
        lanes = [[rng.randint(-reach, reach) if rng.random() < 0.7 else 0
                  for _ in range(n)] for _ in range(m)]
        return of_lanes(lanes, unit, bits)
    return make


def of_lanes(lanes, unit=UNIT, bits=NARROW):
    """A packed matrix of these whole numbers, with the closest bound there is."""
    bound = max(abs(v) for row in lanes for v in row)
    matrix = PackedMatrix([0] * len(lanes), len(lanes[0]), unit, bound, bits)
    matrix.rows = list(map(matrix.layout.encode, lanes))
    return matrix


def lanes_of(matrix):
    """The whole numbers of a packed matrix, row by row."""
    if isinstance(matrix, PackedTranspose):
        return [list(row) for row in zip(*lanes_of(matrix.base))]
    return [list(matrix.lanes(i)) for i in range(len(matrix.rows))]


def values(matrix):
    """The exact numbers of a packed matrix."""
    return [[v * matrix.unit for v in row] for row in lanes_of(matrix)]


def times(a, b):
    """The product of lists of exact numbers, as the definition says."""
    return [[sum(x * y for x, y in zip(row, column)) for column in zip(*b)]
            for row in a]


def test_matrices_of_equal_units_share_one():
    assert of_lanes([[1]], Fraction(1, 24)).unit is of_lanes([[2]], 1 / Fraction(24)).unit


def test_a_loose_bound_of_a_bias_is_looked_at_more_closely():
    """Where the bound has grown beyond what the lanes of the sums can have."""
    for bits, other in product((NARROW, WIDE), repeat=2):
        sums = of_lanes([[3, 4], [5, 6]], UNIT / 2, bits)
        bias = of_lanes([[7, -8]], UNIT, other)
        for _ in range(3):
            bias.add_rows([0], 1 << other - 3)
        total = sums + bias
        assert lanes_of(total) == [[17, -12], [19, -10]] and total.bound < 100


@pytest.mark.parametrize("value", [1000, -1000])
def test_values_beyond_the_denominator_do_not_run_over(value):
    x, bias = SparseMatrix.from_matrix(Matrix([[value, 0]])), Matrix([[100.0, 1.0]])
    weights = of_lanes([[0, 0], [0, 0]], Fraction(1, 1 << 16))
    with pytest.raises(LaneOverflowError):
        weights.add_matmul(x.T, bias)
    assert lanes_of(weights) == [[0, 0], [0, 0]]
    large = of_lanes([[1 << 25, 1], [0, 1]], Fraction(1, 1 << 16))
    with pytest.raises(LaneOverflowError):
        x @ large


def test_sums_do_not_depend_on_the_order_of_groups(packed):
    weights = packed(6, 5)
    groups = [(2, [0]), (7, [3, 5]), (1, [1]), (4, [2, 4])]
    expected = times([[2, 1, 4, 7, 4, 7]], values(weights))
    for order in (groups, groups[::-1], sorted(groups), groups[1:] + groups[:1]):
        x = SparseMatrix.from_groups(6, 7, [order])
        found = values(x @ weights)
        assert [[v * 7 for v in row] for row in found] == expected


def images(rng, count, size, ink=0.4):
    rows = [bytes(rng.randint(0, 255) if rng.random() < ink else 0
                  for _ in range(size)) for _ in range(count)]
    return [*rows[:-1], bytes([255] * size)]               # the last is nothing but ink


def bounds_hold(matrix):
    """Whether no |lane| exceeds the bound of its matrix, nor of its row."""
    rows = [max(map(abs, row)) for row in lanes_of(matrix)]
    return max(rows) <= matrix.bound < 1 << matrix.bits - 1 and all(
        row <= bound for row, bound in zip(rows, matrix.row_bounds))


def furthest(matrix, expected):
    """The largest |difference| between a matrix and exact numbers."""
    return max(abs(x - y) for row, other in zip(values(matrix), expected)
               for x, y in zip(row, other))


# --- in and out

@every_width
@every_shape
def test_the_way_in_and_out_is_exact(shape, bits, rng):
    top = (1 << 31 if bits == NARROW else 1 << 52) - 1
    rows = [[rng.choice([top // 2, -(top // 2), 0, 1, -1, rng.randint(-99, 99)])
             * float(UNIT) for _ in range(shape[1])] for _ in range(shape[0])]
    there = PackedMatrix.from_matrix(Matrix(rows), UNIT, bits)
    assert there.shape == shape and there.bits == bits and bounds_hold(there)
    assert there.to_matrix() == Matrix(rows) and list(there) == rows
    assert there.T.to_matrix() == Matrix(rows).T and list(there.T.T) == rows


@pytest.mark.parametrize("unit", [Fraction(1, 3), Fraction(1, 3 << 16), Fraction(5)])
def test_numbers_are_rounded_to_the_nearest_multiple_of_the_unit(unit, rng):
    rows = [[rng.uniform(-99, 99) for _ in range(20)] for _ in range(4)]
    there = PackedMatrix.from_matrix(Matrix(rows), unit)
    assert furthest(there, [[Fraction(x) for x in row] for row in rows]) <= (
        unit * Fraction(1 + 1e-9) / 2)
    again = PackedMatrix.from_matrix(there.to_matrix(), unit)
    assert again == there                  # what a checkpoint keeps comes back


def test_the_repr_is_short_even_where_python_would_refuse_the_number():
    huge = PackedMatrix.from_matrix(Matrix.ones(3, 600), UNIT)
    assert huge.rows[0].bit_length() > 4300 * 4
    for matrix in (huge, huge.T):
        assert len(repr(matrix)) < 80 and "3 x 600" in repr(matrix)


def test_equal_are_shape_unit_and_numbers(packed):
    a = packed(2, 3)
    assert a == of_lanes(lanes_of(a)) and a.T == of_lanes(lanes_of(a)).T
    assert a != of_lanes(lanes_of(a), UNIT / 2) and a != a.T and a != 1
    changed = lanes_of(a)
    changed[1][2] += 1
    assert a != of_lanes(changed) and a.T != of_lanes(changed).T


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan, 1e300, -2e6, 2.1e6])
def test_numbers_that_fit_no_lane_are_refused(number):
    rows = [[0.0, 1.0], [2.0, number]]
    with pytest.raises(LaneOverflowError):
        PackedMatrix.from_matrix(Matrix(rows), UNIT)
    a = of_lanes([[1, 2], [3, 4]])
    for use in (lambda m: m @ a, lambda m: m @ a.T,
                lambda m: a.add_matmul(SparseMatrix.from_images([b"ab"] * 2), m),
                lambda m: a.T.add_matmul(m, Matrix.ones(2, 2)),
                lambda m: a.T.add_matmul(Matrix.ones(2, 2), m),
                lambda m: of_lanes([[1, 2]]).add_column_sums(m)):
        if math.isfinite(number) and abs(number) < 1e7:
            continue                       # 2^-15 makes wide lanes of these
        before = lanes_of(a)
        with pytest.raises(LaneOverflowError):
            use(Matrix(rows))
        assert lanes_of(a) == before


# --- products

@pytest.mark.parametrize("levels, bits", [(2, NARROW), (4, NARROW), (16, NARROW),
                                          (4, WIDE), (256, WIDE)])
@every_shape
def test_a_sparse_product_is_exact(shape, levels, bits, packed, rng):
    (k, n), reach = shape, (1 << bits - 2) // (shape[0] * levels)
    x = SparseMatrix.from_images(images(rng, 6, k) if k > 1 else [b"\0", b"\xff"],
                                 levels)
    whole = [[round(v * (levels - 1)) for v in row] for row in x.to_matrix()]
    for b in (packed(k, n, min(reach, 2 ** 40), bits=bits),
              of_lanes([[reach] * n] * k, bits=bits),
              of_lanes([[-reach] * n] * k, bits=bits)):
        product = x @ b
        assert lanes_of(product) == times(whole, lanes_of(b))
        assert product.unit == b.unit / (levels - 1) and bounds_hold(product)


def test_the_order_of_rows_changes_no_bit(packed, rng):
    order = list(range(30))
    rng.shuffle(order)
    b, pictures = packed(49, 16, 10 ** 5), images(rng, 30, 49)
    steps = Matrix.random_normal(30, 16, rng)
    shuffled = [pictures[i] for i in order], Matrix([steps[i] for i in order])
    results = []
    for these, those in ((pictures, steps), shuffled):
        changed = of_lanes(lanes_of(b))
        changed.add_matmul(SparseMatrix.from_images(these, 4).T, those, -0.01)
        turned = of_lanes(lanes_of(b)[:16]).T
        turned.add_matmul(those.T, those, -0.01)
        bias = of_lanes([[5] * 16])
        bias.add_column_sums(those, -0.01)
        results.append((changed.rows, turned.base.rows, bias.rows))
    assert results[0] == results[1] and results[0][0] != b.rows


def test_a_wide_product_of_packed_matrices_is_exact(packed):
    for (m, k, n) in ((1, 1, 1), (1, 9, 1), (4, 9, 1), (3, 1, 5), (5, 128, 10),
                      (4, 4, 4), (2, 3, 3), (2, 10, 130)):
        a, b, c = packed(m, k, 2 ** 20), packed(k, n, 2 ** 30), packed(n, k, 2 ** 30)
        for right in (b, c.T):
            found = a @ right
            assert found.shape == (m, n) and found.bits == WIDE and bounds_hold(found)
            assert values(found) == times(values(a), values(right))


def test_a_wide_product_with_floats_on_the_left_rounds_these_to_15_bits(rng, packed):
    left = Matrix.random_normal(5, 20, rng)
    rounded = [[Fraction(round(x * 2 ** 15), 2 ** 15) for x in row] for row in left]
    for right in (packed(20, 7, 2 ** 30), packed(7, 20, 2 ** 30).T):
        found = left @ right
        assert values(found) == times(rounded, values(right)) and bounds_hold(found)


@pytest.mark.parametrize("reach", [100, 2 ** 18, 2 ** 24, 2 ** 31 - 1])
@pytest.mark.parametrize("inner", [1, 2, 10, 64])
def test_a_narrow_product_is_close(reach, inner, rng, packed):
    """10 bits of the left, half a unit of the cut weights, half a unit of the result.
    """
    b = packed(inner, 33, reach, Fraction(1, 1 << 25))
    b.product_unit = Fraction(1, 1 << 16)
    left = Matrix.random_normal(6, inner, rng, deviation=0.01)
    left[0, 0] = 0.75
    found = left @ b
    exact = times([[Fraction(x) for x in row] for row in left], values(b))
    assert found.unit == b.product_unit and found.bits == NARROW and bounds_hold(found)
    largest_b = max(abs(x) for row in values(b) for x in row)
    cut = max(0, reach.bit_length() - (NARROW - 12 - inner.bit_length()))
    for i, row in enumerate(left):
        scale = Fraction(max(map(abs, row)))
        tolerance = inner * (scale * largest_b / 2 ** 10
                             + 2 * scale * b.unit * 2 ** cut) + b.product_unit
        for x, y in zip(values(found)[i], exact[i]):
            assert abs(x - y) <= tolerance
    assert lanes_of(Matrix.zeros(2, inner) @ b) == [[0] * 33] * 2


@pytest.mark.parametrize("left, right, message", [
    ((2, 3), (4, 5), r"\(2 x 3\) @ \(4 x 5\)"), ((2, 5), (4, 5), r"\(2 x 5\) @")])
def test_products_of_matrices_that_do_not_fit_are_refused(left, right, message, packed):
    for b in (packed(*right), packed(*right[::-1]).T):
        for a in (Matrix.ones(*left), packed(*left)):
            with pytest.raises(ShapeError, match=message):
                a @ b
    with pytest.raises(ShapeError, match=message):
        SparseMatrix.from_matrix(Matrix.ones(*left)) @ packed(*right)
    with pytest.raises(TypeError):
        packed(2, 2) @ 3


# --- the rest of a layer

@every_width
@pytest.mark.parametrize("factor", [1, 3, 1 << 9])
def test_a_bias_is_added_to_every_row(factor, bits, packed):
    z = packed(4, 9, 10 ** 5, UNIT / factor, bits)
    bias = packed(1, 9, 10 ** 5)
    found = z + bias
    expected = [[x + y for x, y in zip(row, values(bias)[0])] for row in values(z)]
    assert values(found) == expected and bounds_hold(found)
    for other in (packed(2, 9), packed(1, 8)):
        with pytest.raises(ShapeError, match=r"\(4 x 9\) \+ "):
            z + other
    with pytest.raises(TypeError):
        z + 1


def extremes(rng, n, bits):
    top = (1 << bits) - 1
    numbers = [0, 1, -1, 2, -2, top, -top, 2 ** 20, -2 ** 20]
    return [[v] * n for v in numbers] + [[rng.choice(numbers) for _ in range(n)]
                                         for _ in range(9)]


@pytest.mark.parametrize("unit", [Fraction(1, 1 << 4), UNIT, Fraction(1, 3 << 16),
                                  Fraction(1, 1 << 20)])
@pytest.mark.parametrize("n", [1, 2, 16, 600])
def test_relu_is_that_of_matrix_cut_to_its_unit(unit, n, rng):
    z = of_lanes(extremes(rng, n, 30), unit)       # a power of two has to bound them
    a = z.relu()
    assert a.shape == z.shape and a.bits == NARROW and bounds_hold(a)
    assert a.unit == unit or Fraction(1, 1024) < a.unit <= Fraction(1, 512)
    assert values(a) == [[max(v, 0) // a.unit * a.unit for v in row]
                         for row in values(z)]
    close = z.to_matrix().relu() - a.to_matrix()
    assert 0 <= close.min() and close.max() <= float(a.unit)


def test_relu_of_wide_lanes_is_the_same_in_narrow_ones(rng, packed):
    z = packed(5, 40, 2 ** 40, Fraction(1, 255 << 24), WIDE)
    a = z.relu()
    assert a.bits == NARROW and bounds_hold(a)
    assert values(a) == [[max(v, 0) // a.unit * a.unit for v in row]
                         for row in values(z)]
    with pytest.raises(LaneOverflowError):
        packed(5, 40, 2 ** 62, Fraction(1, 1 << 20), WIDE).relu()


@pytest.mark.parametrize("bits, gate_bits", list(product([NARROW, WIDE], repeat=2)))
@pytest.mark.parametrize("n", [1, 2, 130])
def test_where_positive_is_that_of_matrix(bits, gate_bits, n, rng):
    gate = of_lanes(extremes(rng, n, gate_bits - 1), bits=gate_bits)
    lanes = extremes(rng, n, 31)
    rng.shuffle(lanes)
    grad = of_lanes(lanes, bits=bits)
    found = grad.where_positive(gate)
    assert bounds_hold(found) and lanes_of(found) == [
        [v if g > 0 else 0 for v, g in zip(row, gates)]
        for row, gates in zip(lanes, lanes_of(gate))]
    assert found.to_matrix() == grad.to_matrix().where_positive(gate.to_matrix())
    with pytest.raises(ShapeError, match="where_positive"):
        grad.where_positive(of_lanes([[1] * n]))


def test_what_is_positive_is_looked_at_again_after_a_change():
    a = of_lanes([[-1, 1]])
    assert lanes_of(of_lanes([[5, 5]]).where_positive(a)) == [[0, 5]]
    a.add_rows([a.layout.encode([2, -2])], 2)
    assert lanes_of(of_lanes([[5, 5]]).where_positive(a)) == [[5, 0]]


def test_maps_and_elementwise_products_are_those_of_matrix(packed):
    a = packed(3, 5)
    twin = a.to_matrix()
    assert a.map(abs) == twin.map(abs)
    assert a.map_rows(sorted) == twin.map_rows(sorted)
    assert a * twin == twin * twin and a * 3 == twin * 3
    assert values(a.sum(axis=0)) == [list(map(sum, zip(*values(a))))]
    assert a.sum() == twin.sum() and a.sum(axis=1) == twin.sum(axis=1)


# --- changing it in place

@pytest.mark.parametrize("levels, bits", [(4, NARROW), (256, WIDE)])
@pytest.mark.parametrize("alpha", [1, -1, -0.125])
def test_add_matmul_with_images_is_exact_where_steps_are_whole(
        levels, bits, alpha, packed, rng):
    x = SparseMatrix.from_images(images(rng, 7, 12), levels)
    unit = UNIT / (levels - 1)
    weights = packed(12, 9, 10 ** 4, unit, bits)
    steps = packed(7, 9, 500)
    greys = [[Fraction(round(v * (levels - 1)), levels - 1) for v in row]
             for row in x.to_matrix()]
    for b in (steps, steps.to_matrix()):
        changed, step = of_lanes(lanes_of(weights), unit, bits), steps
        changed.add_matmul(x.T, b, alpha)
        rounded = [[round(v * alpha) for v in row] for row in lanes_of(step)]
        if isinstance(b, PackedMatrix):    # a half goes up here, to even there
            rounded = [[math.floor(v * Fraction(alpha) + Fraction(1, 2)) for v in row]
                       for row in lanes_of(step)]
        growth = times(zip(*greys), [[v * UNIT for v in row] for row in rounded])
        assert bounds_hold(changed)
        assert values(changed) == [[w + g for w, g in zip(row, more)]
                                   for row, more in zip(values(weights), growth)]


@pytest.mark.parametrize("alpha", [1, -1, -0.125])
def test_add_matmul_of_a_transpose_is_close(alpha, packed, rng):
    weights = packed(9, 12, 10 ** 6, Fraction(1, 1 << 25))     # 12 x 9, as columns
    x, b = packed(7, 12, 2 ** 9, Fraction(1, 1 << 9)), Matrix.random_normal(7, 9, rng)
    exact = times(zip(*values(x)), [[Fraction(v) for v in row] for row in b])
    for a in (x.T, x.to_matrix().T, x.in_lanes(WIDE).T):
        changed = of_lanes(lanes_of(weights), weights.unit).T
        changed.add_matmul(a, b, alpha)
        assert bounds_hold(changed.base)
        expected = [[w + Fraction(alpha) * g for w, g in zip(row, more)]
                    for row, more in zip(values(weights.T), exact)]
        # Seven times a rounding of b to 2^-16, which x, at most 1, multiplies.
        assert furthest(changed, expected) <= 7 * Fraction(1, 1 << 17)


@every_width
@pytest.mark.parametrize("alpha", [1, -3, -0.25])
def test_add_column_sums_with_either_kind(alpha, bits, packed):
    b = packed(5, 9, 8000)
    sums = list(map(sum, zip(*lanes_of(b))))
    for these in (b, b.to_matrix()):
        bias = packed(1, 9, 10 ** 6, UNIT / 4, bits)
        expected = [w + 4 * Fraction(alpha) * s for w, s in zip(*lanes_of(bias), sums)]
        bias.add_column_sums(these, alpha)
        assert lanes_of(bias) == [expected] and bounds_hold(bias)
    for wrong in (packed(5, 8), Matrix.ones(5, 10)):
        with pytest.raises(ShapeError, match=r"\(1 x 9\) \+= \(1 x "):
            bias.add_column_sums(wrong)
    with pytest.raises(ShapeError):
        b.add_column_sums(b)


def test_changes_of_another_shape_are_refused(packed, rng):
    weights, x = packed(12, 9), SparseMatrix.from_images(images(rng, 7, 12), 4)
    for b in (packed(7, 8), packed(6, 9), Matrix.ones(6, 9)):
        with pytest.raises(ShapeError):
            weights.add_matmul(x.T, b)
        with pytest.raises(ShapeError):
            weights.T.T.T.add_matmul(Matrix.ones(9, 7), b)
    with pytest.raises(ShapeError):
        packed(11, 9).add_matmul(x.T, packed(7, 9))


def test_a_product_after_a_change_sees_the_change(packed):
    weights = packed(4, 6).T
    left = packed(2, 6)
    before = values(left @ weights)
    weights.add_matmul(Matrix.ones(6, 3), Matrix.ones(3, 4), 1)
    assert values(left @ weights) == times(values(left), values(weights)) != before


# --- lanes that are full

def grow(bits, levels, rng, factor):
    """Add steps to weights until they are refused; the exact value is kept beside."""
    x = SparseMatrix.from_images(images(rng, 3, 5), levels)
    greys = [[round(v * (levels - 1)) for v in row] for row in x.to_matrix()]
    weights = of_lanes([[0] * 7] * 5, UNIT, bits)
    exact, size = lanes_of(weights), 3.0
    while True:
        steps = Matrix([[rng.choice([-1, 1]) * size * float(UNIT)] * 7
                        for _ in greys])
        whole = [[round(v * 2 ** 10 / (levels - 1)) for v in row] for row in steps]
        try:
            weights.add_matmul(x.T, steps)
        except LaneOverflowError:
            return weights, exact
        exact = [[w + g for w, g in zip(row, more)]
                 for row, more in zip(exact, times(list(zip(*greys)), whole))]
        assert lanes_of(weights) == exact and bounds_hold(weights)
        size *= factor


@pytest.mark.parametrize("bits, levels", [(NARROW, 2), (NARROW, 4), (WIDE, 2)])
@pytest.mark.parametrize("factor", [2.0, 1.2])
def test_weights_grow_rightly_until_they_are_refused(bits, levels, factor, rng):
    weights, exact = grow(bits, levels, rng, factor)
    assert lanes_of(weights) == exact                      # the refused step left it
    largest = max(abs(v) for row in exact for v in row)
    assert largest >> bits - 8                             # and not long before need be


@pytest.mark.parametrize("what", ["sparse", "bias", "narrow", "wide", "turned",
                                  "columns"])
def test_results_grow_rightly_until_they_are_refused(what, rng):
    """Twice as large at every turn: each answer is right, and then there is none."""
    x = SparseMatrix.from_images(images(rng, 3, 5), 4)
    greys = [[round(v * 3) for v in row] for row in x.to_matrix()]
    refused = False
    for k in range(62):
        bits = NARROW if k < 31 else WIDE
        rows = [[rng.choice([-1, 1]) << k] * 4 for _ in range(5)]
        try:
            w = of_lanes(rows, UNIT, NARROW if what != "wide" else bits)
            if what == "sparse":
                assert lanes_of(x @ w) == times(greys, rows)
            elif what == "bias":
                found = w + of_lanes([[1 << 20] * 4])
                assert lanes_of(found) == [[v + (1 << 20) for v in row] for row in rows]
            elif what == "narrow":
                w.product_unit = UNIT
                found = Matrix.ones(2, 5) @ w
                assert lanes_of(found) == times([[1] * 5] * 2, rows)
            elif what == "wide":
                found = Matrix.ones(2, 5) @ w
                assert lanes_of(found) == times([[1 << 15] * 5] * 2, rows)
            elif what == "turned":
                w.T.add_matmul(Matrix.ones(4, 1), Matrix.ones(1, 5))
                assert lanes_of(w) == [[v + (1 << 10) for v in row] for row in rows]
            else:
                bias = of_lanes([[0] * 4])
                bias.add_column_sums(w)
                assert lanes_of(bias) == times([[1] * 5], rows)
        except LaneOverflowError:
            refused = True
            assert k >= 24 if what != "wide" else k >= 40
        else:
            assert not refused
    assert refused


@pytest.mark.parametrize("seed", range(30))
def test_bounds_hold_through_any_sequence_of_operations(seed):
    """Random operations, one upon another; the exact lanes never exceed the bounds."""
    rng = random.Random(seed)
    bits, done = rng.choice([NARROW, WIDE]), 0
    x = SparseMatrix.from_images(images(rng, 4, 6), rng.choice([2, 4, 7]))
    w = PackedMatrix.from_matrix(Matrix.random_normal(6, 8, rng), UNIT, bits)
    b = PackedMatrix.from_matrix(Matrix.random_normal(1, 8, rng), UNIT, bits)
    v = PackedMatrix.from_matrix(Matrix.random_normal(3, 8, rng), UNIT)
    v.product_unit = rng.choice([None, UNIT, UNIT / 64])
    for _ in range(25):
        largest = (3 if rng.random() < 0.9 else 12) if done else -6
        size = 2.0 ** rng.randint(-12, largest)
        try:
            z = x @ w + b.in_lanes(bits)
            a = z.relu()
            out = a @ v.T
            delta = Matrix.random_normal(4, 3, rng, size)
            back = delta @ v
            if back.bits == NARROW:
                back = back.where_positive(z)
            seen = [z, a, out, back, w, b, v, back.sum(axis=0)]
            v.T.add_matmul(a.T, delta, -1)
            if back.bits == WIDE or rng.random() < 0.5:
                back = back.to_matrix()
            w.add_matmul(x.T, back, -size)
            b.add_column_sums(back, -size)
        except LaneOverflowError:
            assert done, "refused at once, small as the numbers were"
            break
        assert all(map(bounds_hold, seen + [w, b, v]))
        done += 1


def test_the_bound_allows_for_every_row_that_is_rounded_up():
    """Eight halves become eight ones: twice as much as half of their sum."""
    x, steps = SparseMatrix.from_images([b"\xff\xff"] * 8, 2), of_lanes([[1]] * 8)
    weights = of_lanes([[0], [0]])
    weights.add_matmul(x.T, steps, 0.5)
    assert lanes_of(weights) == [[8], [8]] and bounds_hold(weights)


# --- what an optimizer needs

UNITS = [UNIT, Fraction(1, 3 << 16), Fraction(1, 1 << 25), Fraction(1, 1 << 28)]
every_unit = pytest.mark.parametrize("unit", UNITS, ids=str)


def lost_at_first(unit, factor):
    """Half of the largest lane that a product with `factor` starts by rounding off: in
    units below 2^-18 the bits below those, but no more than come off in all."""
    shift = 8 - math.frexp(float(factor))[1]
    bits = min(max(0, -18 - math.floor(math.log2(unit))), max(0, shift))
    return Fraction(1 << bits, 2) if bits and factor != round(factor) else 0


def within(matrix, expected, factor, moved):
    """Whether each lane is the exact one but for rounding: the factor's 8 bits, the
    bits lost before, half a unit.  `moved` are the lanes that were multiplied."""
    lost = lost_at_first(matrix.unit, factor) * abs(factor) * Fraction(257, 256)
    return all(abs(v - x) <= abs(factor * m) / 256 + lost + Fraction(1, 2)
               for found, row, by in zip(lanes_of(matrix), expected, moved)
               for v, x, m in zip(found, row, by))


def trouble(rng, m, n, top):
    """Rows of lanes that look for trouble: nothing, all alike, extremes, at random."""
    special = [0, 1, -1, 63, 64, -64, top, -top, top // 2, -top // 2]
    rows = [[special[i % len(special)]] * n for i in range(m // 2)]
    rows += [[rng.choice(special) for _ in range(n)] for _ in range(m - len(rows))]
    return rng.sample(rows, m)


every_kind = pytest.mark.parametrize("shape, bits", [
    ((1, 1), NARROW), ((9, 1), WIDE), ((3, 7), NARROW), ((3, 7), WIDE),
    ((2, 130), NARROW), ((1, 600), WIDE)], ids=str)


@every_kind
@every_unit
@pytest.mark.parametrize("factor", [-1, 0.5, -0.003, 0.99, -2.75])
def test_add_scaled_is_that_of_matrix_but_for_rounding(factor, unit, shape, bits,
                                                         rng):
    factor = Fraction(factor)
    ours, theirs = (trouble(rng, *shape, (1 << 21) - 1) for _ in range(2))
    expected = [[x + factor * y for x, y in zip(*rows)] for rows in zip(ours, theirs)]
    found = of_lanes(ours, unit, bits)
    found.add_scaled(of_lanes(theirs, unit, bits), float(factor))
    assert bounds_hold(found) and within(found, expected, factor, theirs)
    twin = of_lanes(ours, unit, bits).to_matrix()
    twin.add_scaled(of_lanes(theirs, unit, bits).to_matrix(), float(factor))
    assert (twin - Matrix(expected) * float(unit)).norm() <= 1e-9 * twin.norm() + 1e-12
    found = of_lanes(ours, unit, bits)     # floats are rounded once
    found.add_scaled(of_lanes(theirs, unit, bits).to_matrix(), float(factor))
    assert bounds_hold(found)
    assert furthest(found, [[x * unit for x in row] for row in expected]) <= (
        unit * Fraction(1 + 1e-9) / 2)


@every_kind
@every_unit
@pytest.mark.parametrize("share", [0.0, 1.0, 0.1, 0.99, 1e-4])
def test_become_goes_a_share_of_the_way(share, unit, shape, bits, rng):
    share, top = Fraction(share), (1 << 21) - 1
    a, b = (trouble(rng, *shape, top) for _ in range(2))
    way = [[y - x for x, y in zip(*rows)] for rows in zip(a, b)]
    expected = [[x + share * d for x, d in zip(*rows)] for rows in zip(a, way)]
    start, end = of_lanes(a, unit, bits), of_lanes(b, unit, bits)
    for found in (of_lanes(trouble(rng, *shape, top), unit, bits), start, end):
        before = lanes_of(start), lanes_of(end)
        found.become(start, end, float(share))
        assert bounds_hold(found) and within(found, expected, share, way)
        if found is start:                 # as a follower does
            start = of_lanes(a, unit, bits)
        elif found is not end:
            assert (lanes_of(start), lanes_of(end)) == before
    twin = of_lanes(a, unit, bits).to_matrix()
    twin.become(twin, of_lanes(b, unit, bits).to_matrix(), float(share))
    assert (twin - Matrix(expected) * float(unit)).norm() <= 1e-9 * twin.norm() + 1e-12


def test_what_arrives_stays():
    """The end of the way is reached, and left no more."""
    a, b = of_lanes([[0, 2 ** 20, -5]]), of_lanes([[2 ** 20, 0, 6]])
    for _ in range(200):
        a.become(a, b, 0.125)
    assert all(abs(x - y) <= 4 for x, y in zip(a.lanes(0), b.lanes(0)))
    b.become(b, b, 0.125)
    assert b.lanes(0) == (2 ** 20, 0, 6)


@every_unit
@pytest.mark.parametrize("factor", [0.5, 0.99, 255 / 256, 1.5, -0.75, 2 ** -9])
def test_numbers_too_large_for_a_factor_are_refused_and_no_others_spoilt(factor, unit):
    """Up to the largest lane there is: what is not refused is right."""
    for size, kind in product(range(16, 32), range(4)):
        top = (1 << size) - 1
        theirs = [[[top, -top, 0, top], [-top] * 4, [top] * 4,
                   [top - 63, 1, -1, 63 - top]][kind]]
        ours, other = of_lanes([[0] * 4], unit), of_lanes(theirs, unit)
        exact = [[Fraction(factor) * v for v in row] for row in theirs]
        try:
            ours.add_scaled(other, factor)
        except LaneOverflowError:
            assert size > 21 and lanes_of(ours) == [[0] * 4]
        else:
            assert bounds_hold(ours) and within(ours, exact, Fraction(factor), theirs)


def test_a_sum_too_large_for_its_lanes_is_refused():
    nearly = [[(1 << 31) - 10, 10 - (1 << 31)]]
    for other, factor in ((of_lanes([[100, -100]]), 1.0),
                          (Matrix([[100.0, -100.0]]), float(UNIT)),
                          (Matrix([[1e9, 0.0]]), 1.0), (Matrix([[math.nan, 0]]), 1.0)):
        full = of_lanes(nearly)
        with pytest.raises(LaneOverflowError):
            full.add_scaled(other, factor)
        assert lanes_of(full) == nearly


@every_shape
@every_width
@pytest.mark.parametrize("finer", [1, 2, 1 << 7, 1 << 11])
def test_add_rounded_takes_over_what_was_added_up_in_finer_units(finer, bits, shape,
                                                                 rng):
    """floor(v / 2^k + 1/2), from lanes of either width."""
    ours = trouble(rng, *shape, (1 << 28) - 1)
    fine = trouble(rng, *shape, min(finer << 28, 1 << bits - 2) - 1)
    found = of_lanes(ours)
    found.add_rounded(of_lanes(fine, UNIT / finer, bits))
    assert bounds_hold(found) and lanes_of(found) == [
        [x + (2 * y + finer) // (2 * finer) for x, y in zip(*rows)]
        for rows in zip(ours, fine)]


@pytest.mark.parametrize("bits, lane", [(NARROW, 1 << 30), (WIDE, 1 << 38),
                                        (WIDE, 1 << 45), (WIDE, -1 << 60)])
def test_add_rounded_notices_what_does_not_fit(bits, lane):
    full = of_lanes([[(1 << 31) - 1, 1 - (1 << 31)]])
    with pytest.raises(LaneOverflowError):
        full.add_rounded(of_lanes([[lane, lane]], UNIT / 128, bits))
    assert lanes_of(full) == [[(1 << 31) - 1, 1 - (1 << 31)]]
    with pytest.raises(ValueError, match="no power of two"):
        full.add_rounded(of_lanes([[1, 1]], UNIT / 3))


@every_shape
@every_width
def test_a_copy_shares_nothing_and_a_cleared_matrix_is_empty(bits, shape, packed):
    a = packed(*shape, bits=bits)
    a.product_unit, before = UNIT / 8, lanes_of(a)
    twin, turned = a.copy(), a.T.copy()
    assert twin == a and turned == a.T and twin.product_unit == UNIT / 8
    assert (twin.bits, twin.bound) == (a.bits, a.bound)
    positive = a.positive
    a.clear()
    assert lanes_of(a) == [[0] * shape[1]] * shape[0] and a.bound == 0
    assert lanes_of(twin) == before == lanes_of(turned.base)
    assert not any(a.where_positive(twin).rows) and twin.positive == positive
    a.add_scaled(twin, 1)                  # there is room for as much as ever
    assert lanes_of(a) == before


@every_width
def test_fill_takes_over_other_numbers_rounded(bits, packed):
    a = packed(3, 4, bits=bits)
    left = packed(2, 4)
    left @ a.T                             # works out columns, which are then others
    numbers = [[0.3, -0.3, 1000.0, 0.0]] * 3
    a.fill(numbers)
    assert lanes_of(a) == [[307, -307, 1024000, 0]] * 3 and bounds_hold(a)
    assert values(left @ a.T) == times(values(left), list(zip(*values(a))))
    for rows in ([[1.0] * 4] * 2, [[1.0] * 3] * 3):
        with pytest.raises(ShapeError, match="fill"):
            a.fill(rows)
    with pytest.raises(LaneOverflowError):
        a.fill([[math.inf] * 4] * 3)
    assert lanes_of(a) == [[307, -307, 1024000, 0]] * 3


@pytest.mark.parametrize("shape", [(1, 6), (4, 5), (6, 4)], ids=str)
def test_matrices_of_other_shapes_are_not_taken_up(shape, packed):
    a, other = packed(4, 6), packed(*shape)
    for take_up in (lambda: a.add_scaled(other, 2.0), lambda: a.become(other, a, 1.0),
                    lambda: a.add_scaled(other.to_matrix(), 2.0),
                    lambda: a.become(a, other, 1.0)):
        with pytest.raises(ShapeError, match=r"\(4 x 6\) .* must be equal"):
            take_up()


@pytest.mark.parametrize("change", ["clear", "fill", "become", "add_scaled", "rounded"])
def test_a_product_after_any_change_sees_it(change, packed):
    a, other, left, gate = packed(4, 6), packed(4, 6), packed(2, 6), packed(4, 6)
    left @ a.T
    gate.where_positive(a)
    {"clear": a.clear, "fill": lambda: a.fill(list(other)),
     "become": lambda: a.become(a, other, 0.75),
     "add_scaled": lambda: a.add_scaled(other, -2.0),
     "rounded": lambda: a.add_rounded(of_lanes(lanes_of(other), UNIT / 2))}[change]()
    assert values(left @ a.T) == times(values(left), list(zip(*values(a))))
    assert lanes_of(gate.where_positive(a)) == [
        [v if by > 0 else 0 for v, by in zip(*rows)]
        for rows in zip(lanes_of(gate), lanes_of(a))]


@pytest.mark.parametrize("unit, finest", [
    (Fraction(1, 1 << 10), Fraction(1, 1 << 24)), (Fraction(1), Fraction(1, 1 << 24)),
    (Fraction(1, 1 << 25), Fraction(1, 1 << 25)),
    (Fraction(1, 3 << 16), Fraction(1, 3 << 22))])
def test_an_accumulator_is_empty_and_as_fine_as_gradients_want(unit, finest, packed):
    a = packed(3, 5, unit=unit)
    for made, shape in ((a.accumulator(), (3, 5)), (a.T.accumulator(), (5, 3))):
        assert made.shape == shape and type(made) is type(a if shape == (3, 5) else a.T)
        assert not any(made.stored.rows) and made.unit == finest
    assert Matrix.ones(2, 3).accumulator() == Matrix.zeros(2, 3)


def test_of_one_matrix_and_of_its_transpose_the_same_is_stored(packed):
    a = packed(3, 5)
    assert a.stored is a and a.T.stored is a and a.T.grain == a.grain == 1 / 256
    assert (a.step_unit, a.step_bits) == (UNIT, NARROW)


@pytest.mark.parametrize("size", [1, 1 << 10, 1 << 20, (1 << 31) - 1])
@pytest.mark.parametrize("whole", [1, 1 << 12, (1 << 20) - 1])
@pytest.mark.parametrize("samples, units", [(1, 1), (5, 3), (40, 130)])
def test_wide_sums_are_exact_or_refused(size, whole, samples, units, rng):
    x = of_lanes(trouble(rng, samples, units, size))
    numbers = [[rng.choice([whole, -whole, 0, 1]) for _ in range(3)]
               for _ in range(samples)]
    numbers[0][0] = whole
    assert packed_math._wide_sums(x, [[0] * 3] * samples) == [0] * 3
    try:
        sums = packed_math._wide_sums(x, numbers)
    except LaneOverflowError:
        assert size * whole >> 31          # one product alone fits no narrow lane
    else:
        decode = lanes.lanes_of(units, WIDE).decode
        assert list(map(list, map(decode, sums))) == times(list(zip(*numbers)),
                                                           lanes_of(x))


def test_rows_are_mapped_beside_those_of_other_matrices(packed):
    a, b = packed(3, 5), packed(3, 5)
    for other in (b, b.to_matrix()):
        for one in (a, a.to_matrix()):
            added = one.map_rows(lambda x, y: [v + w for v, w in zip(x, y)], other)
            assert added == a.to_matrix() + b.to_matrix()


# --- one network on both engines

@pytest.fixture(scope="module")
def sample():
    return load(SAMPLE_FOLDER)[0].head(64)


def rounds_alike(net, steps, levels, rate, sample):
    """The same steps on the engine of lists and on the packed one; both networks."""
    copy = Network.of_layers([Dense(layer.weights.copy(), layer.bias.copy())
                              for layer in net.layers], net.activation, net.loss)
    team, data = Team(), sample.with_levels(levels)
    packed = pack_network(copy, team, levels, rate / 16)
    results = []
    for x, labels in list(data.batches(16))[:steps]:
        results.append([either.train_batch(x, labels, rate)
                        for either in (net, packed)])
        team.flush()
    return unpack_network(packed, team), results


@pytest.mark.parametrize("activation, loss, hidden, levels", [
    *product(ACTIVATIONS, LOSSES, [[16]], [4]),
    *product(["relu", "tanh"], ["cross-entropy"], [[], [16], [16, 16]], [4, 256])])
def test_both_engines_train_one_network_alike(activation, loss, hidden, levels, sample):
    """After 4 steps the engines are no further apart than 1/100 of the way that they
    have come, and the losses on the way agree to 1/500.

    Where a unit's sum is all but 0, rounding may switch its ReLU: then it is 1/20.
    """
    net = Network([784, *hidden, 10], activation, loss, random.Random(3))
    before = [m.copy() for layer in net.layers for m in (layer.weights, layer.bias)]
    packed, results = rounds_alike(net, 4, levels, 0.2, sample)
    for mine, other in results:
        assert other.loss == pytest.approx(mine.loss, rel=2e-3)
        assert abs(other.right - mine.right) <= 1
    lists = [m for layer in net.layers for m in (layer.weights, layer.bias)]
    after = [m for layer in packed.layers for m in (layer.weights, layer.bias)]
    for start, one, other in zip(before, lists, after):
        apart, way = (one - other).norm(), (one - start).norm()
        assert apart < way * (0.05 if activation == "relu" else 0.01)
