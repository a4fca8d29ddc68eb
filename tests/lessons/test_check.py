"""lessons/check.py on correct networks and on wrong ones of every kind."""
import importlib.util
import os

import pytest
from conftest import ROOT

LESSONS = ROOT / "lessons"
SOLUTION = LESSONS / "solutions" / "my_network.py"


def load_checker():
    spec = importlib.util.spec_from_file_location("check", LESSONS / "check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


checker = load_checker()


@pytest.fixture
def run(tmp_path, capsys):
    """run(text): exit code, stdout and stderr for a my_network.py with this text."""
    def check(text):
        path = tmp_path / "my_network.py"
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        code = checker.main([str(path)])
        return (code, *capsys.readouterr())
    return check


def test_the_solution_is_correct(capsys):
    assert checker.main([str(SOLUTION)]) == 0
    printed = capsys.readouterr().out
    assert "DIFFERS" not in printed and "23 of 23 parts are correct." in printed
    assert printed.count("correct\n") == 23


def test_what_is_not_written_yet_comes_next(run):
    text = SOLUTION.read_text(encoding="utf-8").partition("def matmul")[0]
    code, printed, _ = run(text)
    assert code == 0
    assert printed.endswith("2 of 23 parts are correct. Next: matmul, in lesson 1.\n")


def test_what_was_left_out_is_missing(run):
    code, printed, _ = run("def transpose(A):\n    return [list(c) for c in zip(*A)]\n")
    assert code == 1
    assert "dot                missing" in printed and "1 of 23" in printed


def test_the_smallest_example_is_shown(run):
    code, printed, _ = run("def dot(u, v):\n    return u[0] * v[0]\n")
    assert code == 1
    assert printed.splitlines() == [
        "lesson  1  dot                DIFFERS", "  for  u = [1, 2]",
        "       v = [3, 4]", "  expected  11", "  found     3", "",
        "0 of 23 parts are correct. Next: transpose, in lesson 1."]


def test_an_editor_may_begin_the_file_with_a_byte_order_mark(run):
    assert run(b"\xef\xbb\xbfdef dot(u, v):\n    return 0\n")[0] == 1
    assert run(b"\xef\xbb\xbf# nothing yet\n")[0] == 0


def test_tuples_do_as_well_as_lists(run):
    assert run("def dot(u, v):\n    return sum(a * b for a, b in zip(u, v))\n"
               "def transpose(A):\n    return tuple(zip(*A))\n")[0] == 0


# One wrong function each, and what is told of it.
WRONG = {
    "no return": ("def dot(u, v):\n    u[0] * v[0]\n", "is `return` missing?"),
    "an exception": ("def dot(u, v):\n    return u[9]\n",
                     "IndexError: list index out of range in line 2"),
    "a hard exit": ("import os\ndef dot(u, v):\n    os._exit(0)\n", "ended without"),
    "input": ("def dot(u, v):\n    return input()\n", "EOFError"),
    "no function": ("dot = 3\n", "TypeError: 'int' object is not callable"),
    "text": ("def dot(u, v):\n    return '6'\n", "str in the place of a number"),
    "not a number": ("def dot(u, v):\n    return float('nan')\n", "nan"),
    "ragged": ("def relu(Z):\n    return [[1], [2, 3]]\n",
               "2 x 1 and 2 in the place of 1 x 1"),
    "a flat row": ("def sum_rows(A):\n    return [sum(c) for c in zip(*A)]\n",
                   "[1]"),
    "the wrong axis": ("def sum_rows(A):\n    return [[sum(row)] for row in A]\n",
                       "1 x 1 in the place of 1 x 2"),
    "large logits": ("import math\ndef softmax(Z):\n"
                     "    E = [[math.exp(z) for z in row] for row in Z]\n"
                     "    return [[e / sum(row) for e in row] for row in E]\n",
                     "OverflowError"),
    "no division by m": ("def loss_backward(P, labels):\n"
                         "    return [[p - (k == y) for k, p in enumerate(row)]"
                         " for row, y in zip(P, labels)]\n",
                         "0.25 in the place of 0.125"),
    "the corner of ReLU": ("def relu_backward(dA, Z):\n"
                           "    return [[d if z >= 0 else 0 for d, z in zip(*rows)]"
                           " for rows in zip(dA, Z)]\n", "5 in the place of 0"),
    "a check that sees nothing": ("def largest_error(network, X, labels):\n"
                                  "    return 0\n", "0.5 too large"),
    "a trial that leaves a trace": (
        "def slope_by_trial(network, X, labels, row, j, t=1e-5):\n"
        "    before = loss_and_gradient(network, X, labels)[1]\n"
        "    row[j] += t\n    return before[2][0][1]\n",
        "-0.99999 in the place of -1"),
    "a rule that is not He's": (
        "def new_network(inputs, hidden, outputs, rng):\n"
        "    return [random_matrix(inputs, hidden, (1 / inputs) ** 0.5, rng),"
        " [[0] * hidden], random_matrix(hidden, outputs, (2 / hidden) ** 0.5, rng),"
        " [[0] * outputs]]\n", "0.14 in the place of 0.2"),
    "a short header": ("import gzip\ndef read_labels(path):\n"
                       "    return list(gzip.open(path).read()[4:])\n",
                       "a list of 7 in the place of a list of 3")}


@pytest.mark.parametrize("text, told", WRONG.values(), ids=WRONG)
def test_a_wrong_function_is_told(run, text, told):
    code, printed, errors = run(text)
    assert code == 1 and errors == ""
    assert "DIFFERS" in printed and told in printed
    assert len(printed) < 3000


@pytest.mark.parametrize("body", ["    while True: pass\n",
                                  "    u = [0]\n    for x in u: u.append(x)\n"])
def test_an_endless_loop_is_ended(run, body, monkeypatch):
    monkeypatch.setattr(checker, "SECONDS", 1.5)
    code, printed, _ = run(f"def dot(u, v):\n{body}")
    assert code == 1 and "u = [2]" in printed
    assert "an endless loop?" in printed or "MemoryError" in printed


def test_behind_functions_that_break_the_process_the_others_are_tried(run, monkeypatch):
    monkeypatch.setattr(checker, "SECONDS", 1.5)
    code, printed, _ = run(
        "import os\ndef dot(u, v):\n    os._exit(0)\n"
        "def transpose(A):\n    while True: pass\n"
        "def add_row(A, b):\n    return 1 / 0\n"
        "def sum_rows(A):\n    return [[sum(column) for column in zip(*A)]]\n")
    assert code == 1 and printed.count("DIFFERS") == 3
    for told in "ended without", "an endless loop?", "ZeroDivisionError":
        assert told in printed
    assert printed.endswith("1 of 23 parts are correct. Next: dense, in lesson 3.\n")


def test_what_it_prints_itself_does_not_disturb(run):
    code, printed, _ = run("import sys\nprint('{}')\ndef dot(u, v):\n    print(u)\n"
                           "    print(v, file=sys.stderr)\n"
                           "    return sum(a * b for a, b in zip(u, v))\n")
    assert code == 0 and printed.startswith("lesson  1  dot                correct\n")


@pytest.mark.parametrize("text, told", [
    ("def dot(:\n", "syntax error in line 1"), (b"\xff\xfe\x00", "no UTF-8 text"),
    ("1 / 0\n", "ZeroDivisionError: division by zero in line 1, when it is imported"),
    ("import sys\nmain(sys.argv[1])\n", "in line 2, when it is imported"),
    ("import nowhere\n", "ModuleNotFoundError"),
    ("exit()\n", "ended without an answer"),
    ("(" * 5000 + ")" * 5000, "found")])
def test_a_file_that_cannot_be_used_is_told_in_one_line(run, text, told):
    code, printed, errors = run(text)
    assert (code, printed, errors.count("\n")) == (2, "", 1)
    assert errors.startswith("check.py: ") and told in errors
    assert "expected your my_network.py" in errors


@pytest.mark.parametrize("name", ["nowhere.py", ".", pytest.param(
    "/dev/zero", marks=pytest.mark.skipif(os.name != "posix", reason="no such file"))])
def test_no_file_is_told_in_one_line(tmp_path, capsys, name):
    assert checker.main([str(tmp_path / name)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_without_the_solutions_the_file_is_not_blamed(tmp_path, run, monkeypatch):
    monkeypatch.setattr(checker, "REFERENCE", tmp_path / "solutions" / "my_network.py")
    code, printed, errors = run("def dot(u, v):\n    return 0\n")
    assert (code, printed, errors.count("\n")) == (2, "", 1)
    assert "is missing; your own file was not looked at" in errors


def test_nothing_is_written_beside_the_file(tmp_path, run):
    run("def dot(u, v):\n    return 0\n")
    assert [path.name for path in tmp_path.iterdir()] == ["my_network.py"]
