"""Every kernel against the triple loop; the ladder."""
import os
import runpy
import subprocess
import sys
from fractions import Fraction

import pytest
from conftest import ROOT

import my_math
from engine import ladder
from engine.layers import FirstLayer

ALL = {**ladder.KERNELS, "chosen by size": my_math.matmul}
every_kernel = pytest.mark.parametrize("kernel", ALL.values(), ids=ALL)

# (m, k, n): a single number, row, column or inner step, then the sizes round the limits
# at which a kernel changes its way: 4 rows a pass, 12 rows, 32 columns.
SHAPES = [(1, 1, 1), (1, 7, 5), (5, 7, 1), (1, 13, 1), (4, 1, 3), (3, 2, 40)]
SHAPES += [(3, k, n) for k in (3, 4, 5, 8, 11, 12, 13) for n in (2, 31, 32, 33)]


@pytest.fixture(params=[False, True], ids=["without sumprod", "with sumprod"])
def either_python(request, monkeypatch):
    """Both ways a kernel can take, whichever of them this Python would choose."""
    monkeypatch.setattr(my_math, "HAS_SUMPROD", request.param)
    monkeypatch.setattr(my_math, "dot", my_math.dot_by_map)


# --- products

def test_the_triple_loop_multiplies_as_the_definition_says():
    # The oracle of all others, so its own answer is written out by hand.
    a = [[1, 2, 3], [4, 5, 6]]
    b = [[1, 0, -1, 2], [0, 1, 5, 1], [2, -2, 0, 3]]
    assert my_math.matmul_triple_loop(a, b) == [[7, -4, 9, 13], [16, -7, 21, 31]]


@every_kernel
@pytest.mark.parametrize("shape", SHAPES, ids="{0[0]}x{0[1]}x{0[2]}".format)
def test_kernels_agree_with_the_triple_loop(
        kernel, shape, either_python, random_rows):
    m, k, n = shape
    for kind in (int, Fraction, float):
        a, b = random_rows(m, k, kind), random_rows(k, n, kind)
        product, expected = kernel(a, b), my_math.matmul_triple_loop(a, b)
        assert product == expected if kind is not float else all(
            row == pytest.approx(sums, rel=1e-12, abs=1e-13)
            for row, sums in zip(product, expected))


# --- the ladder

def test_fastest_of_takes_the_shortest_time_and_the_result(monkeypatch):
    times = iter([0, 1, 2, 4, 4, 6, 9, 12])         # runs of 1, 2, 2 and 3 seconds
    monkeypatch.setattr(ladder.time, "perf_counter", lambda: next(times))
    assert ladder.fastest_of(lambda: "result", 8) == (1, "result")
    assert list(times) == []


@pytest.fixture
def hurried(monkeypatch):
    """The ladder measures each rung three times, however short that is."""
    monkeypatch.setattr(ladder.fastest_of, "__defaults__", (0.0,))


def test_the_ladder_measures_every_kernel_and_finds_them_equal(hurried, capsys,
                                                               monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", None)     # import then fails
    assert ladder.ladder(2, 14, 3) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("(2 x 14) @ (14 x 3)")
    measured = {line[:24].strip(): line[24:].split() for line in lines[3:-2]}
    assert list(measured) == [*ladder.KERNELS, "a row in one integer"]
    assert all(float(nanoseconds) > 0 for nanoseconds, _ in measured.values())
    assert measured["index triple loop"][1] == "1.0"       # its own factor
    assert "largest difference" in lines[-1]


@pytest.mark.skipif(os.name != "posix", reason="other codes")
def test_the_ladder_ends_with_its_reader():
    command = f"{{ '{sys.executable}' '{ROOT / 'my_math.py'}'; echo $? >&2; }} | true"
    done = subprocess.run(command, shell=True, stderr=subprocess.PIPE, text=True)
    assert done.stderr == "141\n"


def test_the_ladder_reports_a_kernel_that_is_wrong(hurried, monkeypatch, capsys):
    def wrong(a, b):
        product = my_math.matmul(a, b)
        product[1][2] += 1e-6
        return product
    monkeypatch.setitem(ladder.KERNELS, "wrong", wrong)
    assert ladder.ladder(2, 14, 3) == 1
    assert "1.0e-06" in capsys.readouterr().out


def test_the_last_rung_of_the_ladder_multiplies_when_it_is_called(monkeypatch):
    """Else the ladder would time nothing."""
    real, calls = FirstLayer.sums, []
    monkeypatch.setattr(FirstLayer, "sums", lambda layer, images: calls.append(
        len(images)) or real(layer, images))
    multiply = dict(ladder.rungs([[0, 1 / 3, 1], [1, 0, 0]], [[3.0], [6.0], [0.75]])
                    )["a row in one integer"]
    assert calls == []
    rows = multiply()
    assert calls == [2] and list(rows) == [[2.75], [3.0]]


def test_the_command_is_that_of_my_math(monkeypatch):
    """`python my_math.py` ends with the code of the ladder."""
    monkeypatch.setattr(runpy, "run_module",
                        lambda *told, **more: sys.exit((told, more)))
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "my_math.py"), run_name="__main__")
    assert ended.value.code == (("engine.ladder",), {"run_name": "__main__"})
