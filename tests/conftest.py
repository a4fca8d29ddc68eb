"""What the test files share: the way to the modules, and matrices to compute with."""
import random
import sys
from fractions import Fraction
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def pytest_addoption(parser):
    """pytest --fuzz 50000: look longer for inputs that do harm; --long: do it all."""
    parser.addoption("--fuzz", type=int, default=2000, metavar="N",
                     help="damaged inputs of each format to try (2000)")
    parser.addoption("--long", action="store_true",
                     help="run the README's commands that take more than 10 s too")


@pytest.fixture
def rng():
    """A fresh generator, seeded alike for every test."""
    return random.Random(1867)


@pytest.fixture
def random_rows(rng):
    """random_rows(m, n, kind): m lists of n numbers of a kind, about a third zeros.

    int and Fraction make an oracle exact, so that == is the right comparison.
    """
    make = {int: lambda: rng.randint(-9, 9),
            Fraction: lambda: Fraction(rng.randint(-9, 9), rng.randint(1, 7)),
            float: lambda: rng.uniform(-1, 1)}

    def rows(m, n, kind=int):
        return [[make[kind]() if rng.random() < 0.7 else kind(0) for _ in range(n)]
                for _ in range(m)]
    return rows
