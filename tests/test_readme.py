"""Every command and example of the READMEs does what it says: see tools/pages.py."""
import doctest
import math
import re

import pytest
from conftest import ROOT
from tools import pages
from tools.pages import (LANGUAGES, Course, blocks, broken_links, check, file_of, items,
                         masked, matches, obstacle, outside_blocks, seconds_of)

from data_loader import load
from engine.lanes import Lanes
from my_math import Matrix
from network import Activation, Network, sigmoid

PAGES = [ROOT / "README.md", ROOT / "data" / "README.md"]
ITEMS = [item for path in PAGES for item in items(path)]


@pytest.fixture(scope="module")
def course(request, tmp_path_factory):
    return Course(tmp_path_factory.mktemp("readme") / "digits",
                  request.config.getoption("--long"), ITEMS)


@pytest.mark.parametrize("item", ITEMS, ids=str)
def test_it_does_what_the_readme_says(item, course, monkeypatch):
    reason = obstacle(item, course.long)
    if reason:
        pytest.skip(reason)
    monkeypatch.chdir(course.folder)
    check(item, *course.result(item))


# --- the pages themselves

@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.parent.name)
def test_no_example_escapes(path):
    text = path.read_text(encoding="utf-8")
    assert {language for _, _, language, _ in blocks(text)} <= LANGUAGES
    assert not re.search(r"^ {4,}(\$|>>>|python) ?", outside_blocks(text), re.MULTILINE)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.parent.name)
def test_every_link_leads_somewhere(path):
    assert "](" in path.read_text(encoding="utf-8") and not broken_links(path)


def test_every_module_is_in_the_reading_order():
    text = PAGES[0].read_text(encoding="utf-8")
    assert not [path.name for path in ROOT.glob("*.py")
                if f"[{path.name}]({path.name})" not in text]


# --- the test's own rules

@pytest.mark.parametrize("lines, expected, fits", [
    ("a b", "a b", True), ("a b", "a", False), ("a", "a b", False), ("", "", True),
    ("a b c", "a ... c", True), ("a c", "a ... c", True), ("a b", "... a", False),
    ("a b c d", "... c ...", True), ("a b", "...", True)])
def test_dots_stand_for_any_lines_and_nothing_else_does(lines, expected, fits):
    assert matches(lines.split(), expected.split()) is fits


def test_what_is_masked():
    assert masked("in 3.1 s by 1 process \n", False) == ["in # s by # processes"]
    assert masked("kernel  12.50   1.0\nNumPy 3", True) == ["kernel # #"]
    assert masked("Loss: 2.3021", False) == ["Loss: 2.3021"]


@pytest.mark.parametrize("above, file", [
    ("Create `a.py`:", ("create", "a.py")), ("Put into `x/b.py`:", ("put", "x/b.py")),
    ("Append to `a.py`, two empty lines below what is there:", ("append", "a.py")),
    ("Run `a.py`:", ("", "")), ("Create `a.py`.", ("", ""))])
def test_the_line_above_a_block_names_its_file(above, file):
    assert file_of([above, "", "```python", "pass", "```"], 4) == file


def test_output_stands_below_the_file_that_prints_it(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("Put into `a.py`:\n\n```python\nprint(1)\n```\n\n"
                    "```output\n1\n```\n")
    item, = items(page)
    assert (item.kind, item.file, item.expected) == ("put", "a.py", "1\n")
    check(item, 0, "1\n")
    with pytest.raises(AssertionError):
        check(item, 0, "2\n")
    page.write_text("```python\npass\n```\n\n```output\n1\n```\n")
    with pytest.raises(AssertionError, match="what prints this"):
        items(page)


@pytest.mark.parametrize("command, seconds", [
    ("python train.py   # 2.5 minutes", 150), ("python my_math.py  # 5 s", 5),
    ("python train.py --limit 100  # numbers will differ", 0), ("python x.py 30 s", 0),
    ("python train.py --data x  # minutes; needs x", 60),
    ("python train.py  # finds, trains and saves: 2 minutes", 120)])
def test_a_command_says_how_long_it_takes(command, seconds):
    assert seconds_of(command) == seconds


# --- solutions of the exercises

def j_k_i(a, b):
    """Exercise 3: down a column of the product, a multiple of a column of a at a time.
    """
    c = [[0] * len(b[0]) for _ in a]
    for j in range(len(b[0])):
        for k in range(len(b)):
            for i in range(len(a)):
                c[i][j] += a[i][k] * b[k][j]
    return c


def dot_by_one_product(x, y):
    """Exercise 7: the middle of the product of two polynomials, the second reversed."""
    n = len(x)
    product = Lanes(n, 32).encode(x) * Lanes(n, 32).encode(y[::-1])
    return Lanes(2 * n - 1, 32).decode(product)[n - 1]


SOFTPLUS = Activation(                              # exercise 5
    lambda z: z.map(lambda x: math.log1p(math.exp(x))),
    lambda grad, z, a: grad * z.map(sigmoid))

MOST = ["--batch-size", "4", "--learning-rate", "0.1", "--augment", "shift"]  # 9


def fooled(network, x, label):
    """Exercise 10: each pixel a tenth up the slope of the loss, within 0..1."""
    _, gradients = network.loss_and_gradients(x, [label])
    uphill = gradients[0].delta @ network.layers[0].weights.T
    return Matrix([[min(1, max(0, pixel + math.copysign(0.1, slope)))
                    for pixel, slope in zip(x[0], uphill[0])]])


@pytest.mark.parametrize("exercise, stand_in, instead, names", [
    (3, "from engine.ladder import matmul_ikj as yours", "pass", {"yours": j_k_i}),
    (5, 'ACTIVATIONS["tanh"]', "yours", {"yours": SOFTPLUS}),
    (7, "from my_math import dot as yours", "pass", {"yours": dot_by_one_product})])
def test_solutions_pass_the_checks_of_the_readme(exercise, stand_in, instead, names):
    lines = PAGES[0].read_text(encoding="utf-8").splitlines()
    item, = (item for item in ITEMS if item.kind == "python" and lines[
        item.section - 1].startswith(f"### Exercise {exercise}:"))
    assert stand_in in item.text
    text = item.text.replace(stand_in, instead)
    test = doctest.DocTestParser().get_doctest(text, names, "README.md", None, 0)
    assert doctest.DocTestRunner().run(test).failed == 0


def test_more_than_85_percent_can_be_had_of_1000_images(course):
    item, = (item for item in ITEMS if "runs/lessons/ninth" in item.text)
    command = item.text.replace("lessons/ninth", "lessons/best")
    code, printed = course.run_command(
        " ".join([command.replace("--augment none ", ""), *MOST]))
    assert code == 0 and float(re.search(r"([\d.]+)% of the", printed)[1]) > 85


def test_a_tenth_up_the_slope_fools_the_network():
    _, test = load(ROOT / "data" / "sample")
    network, _ = Network.load(ROOT / "data" / "model.npz")
    x = Matrix([[grey / 255 for grey in test.image(0)]])
    moved = fooled(network, x, test.label(0))
    assert (moved - x).map(abs).max() < 0.1 + 1e-9
    assert network.predict(moved).argmax(axis=1) != [test.label(0)]
    assert network.predict(x).argmax(axis=1) == [test.label(0)]
