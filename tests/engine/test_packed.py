"""engine.packed: fixed point against floats and fractions."""
import random
from operator import add, sub

import pytest

from engine.lanes import LaneOverflowError, lanes_of
from engine.packed import PackedMatrix
from my_math import Matrix

every_width = pytest.mark.parametrize("bits", [24, 32, 64])
UNIT = 2.0 ** -10


def packed_matrix(m, n, bits, reach=1000, seed=5):
    rng, lanes = random.Random(seed), lanes_of(n, bits)
    rows = [[rng.randint(-reach, reach) for _ in range(n)] for _ in range(m)]
    return PackedMatrix(list(map(lanes.encode, rows)), lanes, UNIT), rows


@every_width
@pytest.mark.parametrize("m, n", [(1, 1), (3, 4), (20, 130)])
def test_the_way_in_and_out_is_exact(m, n, bits):
    packed, rows = packed_matrix(m, n, bits)
    floats = packed.to_matrix()
    assert floats == Matrix([[v * UNIT for v in row] for row in rows])
    assert PackedMatrix.from_matrix(floats, packed.lanes, UNIT).rows == packed.rows
    assert packed.shape == (m, n) and packed.copy().rows == packed.rows
    assert packed.copy().rows is not packed.rows


@pytest.mark.parametrize("number", [float("inf"), float("nan"), 1e300])
def test_numbers_that_fit_no_lane_are_refused(number):
    with pytest.raises(LaneOverflowError):
        PackedMatrix.from_matrix(Matrix([[number]]), lanes_of(1, 64), UNIT)


@every_width
def test_sums_and_differences_are_exact_with_either_kind(bits):
    a, b = packed_matrix(5, 7, bits)[0], packed_matrix(5, 7, bits, seed=6)[0]
    for right in (b, b.to_matrix()):
        assert (a + right).to_matrix() == a.to_matrix() + b.to_matrix()
        assert (a - right).to_matrix() == a.to_matrix() - b.to_matrix()


@every_width
@pytest.mark.parametrize("factor", [0, 1, 0.5, -0.25, 0.1, 1 / 3, 1e-3, 3e-6, 0.9])
def test_a_factor_has_8_bits_and_the_product_is_rounded(factor, bits):
    """The first layer's rows are residues, with bits above the top lane."""
    a, rows = packed_matrix(5, 7, bits)
    a.rows = [row + a.lanes.modulus for row in a.rows]
    product = a * factor
    for row, found in zip(rows, map(a.lanes.decode, product.rows)):
        for v, p in zip(row, found):
            assert abs(p - v * factor) <= abs(v * factor) / 256 + 0.5


def test_other_shapes_units_and_lanes_are_refused():
    a, _ = packed_matrix(2, 3, 24)
    for other, message in (
            (packed_matrix(3, 2, 24)[0], r"\(2 x 3\) [+-]"),
            (Matrix.zeros(2, 2), r"\(2 x 3\) [+-]"),
            (PackedMatrix(a.rows, a.lanes, UNIT / 2), "units"),
            (PackedMatrix(a.rows, lanes_of(3, 32), UNIT), "units")):
        for operate in (add, sub):
            with pytest.raises(ValueError, match=message):
                operate(a, other)


@every_width
@pytest.mark.parametrize("factor, room", [
    (0.999, 8), (-1 / 3, 8), (300.0, 9), (1e-9, 8)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_product_that_outgrows_its_lane_is_refused(bits, factor, room, sign):
    lanes, edge = lanes_of(3, bits), 1 << bits - 1 - room
    last = edge - 1 if sign > 0 else -edge
    fits = PackedMatrix([lanes.encode([0, last, 0])], lanes, 1.0)
    found, = map(lanes.decode, (fits * factor).rows)
    assert found[1] == pytest.approx(last * factor, rel=2 ** -8, abs=0.5)
    beyond = PackedMatrix([lanes.encode([0, last + sign, 0])], lanes, 1.0)
    with pytest.raises(LaneOverflowError):
        beyond * factor
