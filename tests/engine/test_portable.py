"""engine.portable: against `math` and `decimal`, and without their last digits."""
import math
import subprocess
import sys
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from conftest import ROOT

from engine.portable import COARSE, FINE, cos, exp, exp_falls, sigmoid, softmax


def test_powers_of_e_are_right_to_1e_12():
    with localcontext() as context:
        context.prec = 40
        for n in [*range(600), *range(600, 46 * 4096, 977), 46 * 4096 - 1]:
            exact = (Decimal(-n) / 4096).exp()
            assert abs(Decimal(exp_falls([n])[0]) / exact - 1) < Decimal("1.2e-13")


def test_exp_rounds_to_1_4096_goes_up_as_well_and_to_0():
    assert exp(0.0) == 1.0 and exp(-1e9) == 0.0 and exp(1e9) == math.inf
    for x in (-40.0, -3.25, -0.5, 0.25, 2.0, 30.0):
        assert exp(x) == pytest.approx(math.exp(x), rel=1e-12)
    for n in (46 * 4096, 46 * 4096 + 255, 10 ** 30):
        assert exp_falls([0, n, 4096]) == [1.0, 0.0, exp(-1.0)]


def test_cosine_is_that_of_math():
    for k in range(-400, 401):
        assert cos(k / 100) == pytest.approx(math.cos(k / 100), abs=1e-11)


@pytest.mark.parametrize("shift", [0, 3, 28])
def test_softmax_is_that_of_the_textbook(shift, rng):
    unit = 2.0 ** -(12 + shift)
    for spread in (0.1, 3, 30, 3000):
        z = [rng.randrange(-10 ** 6, 10 ** 6) for _ in range(10)]
        z = [int(v * spread * 2 ** (12 + shift)) // 10 ** 6 for v in z]
        powers = [math.exp((v - max(z)) * unit) for v in z]
        for p, power in zip(softmax(z, shift), powers):
            assert p == pytest.approx(power / sum(powers), rel=3e-4, abs=1e-19)
        assert sum(softmax(z, shift)) == pytest.approx(1)


def test_sigmoid_is_symmetric_and_that_of_the_textbook():
    for z in range(-200000, 200000, 1777):
        assert sigmoid(z, 0) == pytest.approx(1 / (1 + math.exp(-z / 4096)), rel=1e-11)
        assert sigmoid(z, 0) + sigmoid(-z, 0) == pytest.approx(1, abs=1e-15)
    assert sigmoid(3 << 40, 28) == sigmoid(3 << 12, 0)


def test_only_ieee_operations_are_used():
    """The tables by exact fractions: each entry is one rounding of the one before."""
    for table, ratio in ((COARSE, COARSE[1]), (FINE, FINE[1])):
        for before, entry in zip(table, table[1:]):
            assert entry == float(Fraction(before) * Fraction(ratio))


# Every function of `math` that C libraries round otherwise is off by one unit in the
# last place, upwards or downwards by turns.
_OTHER_LIBRARY = """
import math, itertools, sys
turns = itertools.cycle([math.inf, -math.inf])
def off(function):
    return lambda *x: math.nextafter(function(*x), next(turns))
for name in ("exp", "expm1", "log", "log1p", "log2", "log10", "cos", "sin", "tan",
             "tanh", "cosh", "sinh", "atan", "atan2", "acos", "asin", "hypot", "pow",
             "cbrt"):
    if hasattr(math, name):
        setattr(math, name, off(getattr(math, name)))
sys.argv = ["digest.py"]
sys.path.insert(0, "tests")
import runpy
runpy.run_path("tests/tools/digest.py", run_name="__main__")
"""


def test_another_c_library_gives_the_same_bits():
    from test_team import FROZEN
    run = subprocess.run([sys.executable, "-B", "-c", _OTHER_LIBRARY], cwd=ROOT,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         timeout=120)
    assert run.returncode == 0, run.stderr
    assert dict(line.split(": ") for line in run.stdout.splitlines()) == FROZEN
