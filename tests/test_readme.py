"""Every command and every example of the README does what it says there.

What a fenced block is taken for:

    console     a line that begins with "$ " is a command, the lines below it are what
                it prints; with no such lines it only has to succeed
    python      a doctest where it has ">>>", else a program; the Python blocks below
                one heading share their names
    text        shown and not run

Commands run from top to bottom in a copy of the repository, by the Python that runs
the tests.  Where it says so at the end of a command, "# 3 minutes", it takes so long on
two cores; what takes more than 10 s is run with `pytest --long` only.  A command that
reads MNIST is run where there is one, one with "# needs FILE" (or a package's name)
where that is.  One that prints a line of an error ends with code 2.

Before outputs are compared, blanks at line ends go, and on both sides

    12.3 s                              becomes     # s
    1 process, 2 processes              becomes     # processes
    http://127.0.0.1:8000               becomes     http://127.0.0.1:#

and after a command with "numbers will differ" every number becomes #, and lines that
only some Pythons have are left out.  A line "..." stands for any number of lines.
"""
import ast
import contextlib
import doctest
import importlib.util
import io
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import ROOT

from data_loader import load
from engine.lanes import Lanes
from my_math import Matrix
from network import Activation, Network, sigmoid

PAGES = [ROOT / "README.md", ROOT / "data" / "README.md"]
LONG = 10                                           # seconds
NOT_RUN = {"-m pytest": "would run the tests within the tests",
           "-m pip": "needs a network", "-m venv": "changes the shell that types it",
           ".": "changes the shell that types it"}
THIRD_PARTY = ("numpy", "torch")
MASKS = [(r"\d+\.\d s\b", "# s"), (r"\b\d+ process(es)?\b", "# processes"),
         (r"(http://127\.0\.0\.1:)\d+", r"\1#")]
NOT_EVERYWHERE = ("math.sumprod", "NumPy", "No module")


class Item(NamedTuple):
    """A command or a block of Python."""

    page: str
    line: int           # where it begins
    section: int        # line of its heading
    kind: str           # "console" or "python"
    text: str
    expected: str = ""

    def __str__(self):
        start = self.text.splitlines()[0][:60]
        return f"{self.page}:{self.line}: {start}"


def blocks(text):
    """(line, line of the heading, language, text) of each fenced block."""
    section, opened = 0, None
    for number, line in enumerate(text.splitlines(), 1):
        if opened is None:
            section = number if line.startswith("#") else section
            if line.startswith("```"):
                opened, language, inside = number, line[3:], []
        elif line == "```":
            yield opened + 1, section, language, "\n".join(inside) + "\n"
            opened = None
        else:
            inside.append(line)
    assert opened is None, f"the block of line {opened} has no end"


def items(path):
    """All that is to be run on one page."""
    page, found = path.relative_to(ROOT).as_posix(), []
    for line, section, language, text in blocks(path.read_text(encoding="utf-8")):
        if language == "python":
            found.append(Item(page, line, section, language, text))
        elif language == "console":
            for piece in re.split(r"^(?=\$ )", text, flags=re.MULTILINE)[1:]:
                command, _, expected = piece[2:].partition("\n")
                found.append(Item(page, line, section, language, command, expected))
    return found


ITEMS = [item for path in PAGES for item in items(path)]


# --- what stands in the way of running it

def seconds_of(command):
    """How long it takes by its own word, "# 3 minutes" or "# 5 s"; else 0."""
    found = re.search(r"# (?:.*?([\d.]+) )?(s|minutes?)\b", command)
    return float(found[1] or 1) * (1 if found[2] == "s" else 60) if found else 0


def words_of(command):
    return shlex.split(command, comments=True)


def needs_mnist(words):
    """Whether a command reads the data set that is found where none is named."""
    without = {"--data", "--image", "--draw", "--help", "list"}
    return words[1:2] in (["train.py"], ["predict.py"]) and not without & set(words)


def find_mnist():
    """The folder that holds MNIST on this machine, or None."""
    for folder in (os.environ.get("MNIST_DIR"), ROOT / "data" / "mnist",
                   ROOT.parent / "shared" / "mnist"):
        if folder and any(Path(folder).glob("t10k-images*")):
            return str(Path(folder).resolve())
    return None


def imported(program):
    """The modules that a program imports."""
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def obstacle(item, long):
    """Why an item cannot be run here, or ""."""
    if item.kind == "python":
        names = imported(item.text) if ">>>" not in item.text else []
        missing = [name for name in names if name in THIRD_PARTY and not is_there(name)]
        return f"needs {' and '.join(missing)}" if missing else ""
    command = " ".join(words_of(item.text)[1 if item.text.startswith("python") else 0:])
    for start, reason in NOT_RUN.items():
        if command.startswith(start + " ") or command == start:
            return reason
    if seconds_of(item.text) > LONG and not long:
        return "takes more than 10 s: pytest --long runs it"
    if needs_mnist(words_of(item.text)) and not find_mnist():
        return "needs MNIST: name its folder by MNIST_DIR"
    needed = re.search(r"#.*needs (\S+)", item.text)
    if needed and not is_there(needed[1]):
        return f"needs {needed[1]}, which is not here"
    if "--pictures" in item.text and not is_there("matplotlib"):
        return "needs matplotlib"
    return ""


def is_there(name):
    """Whether there is such a package, or such a file in the repository."""
    return (ROOT / name).exists() or (
        "." not in name and importlib.util.find_spec(name) is not None)


# --- running it

class Course:
    """A copy of the repository in which the commands are typed, one after another."""

    def __init__(self, folder, long):
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(
            ".git", "__pycache__", ".*_cache", "runs", "mnist"))
        self.folder, self.long, self.results, self.names = folder, long, {}, {}
        self.environment = {
            **os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "80", "MNIST_DIR": find_mnist() or ""}

    def result(self, item):
        """What an item prints, after all that comes before it below its heading."""
        for earlier in ITEMS[:ITEMS.index(item) + 1]:
            is_near = (earlier.page, earlier.section) == (item.page, item.section)
            if (is_near and earlier not in self.results
                    and not obstacle(earlier, self.long)):
                run = self.run_python if earlier.kind == "python" else self.run_command
                self.results[earlier] = run(earlier)
        return self.results[item]

    def run_python(self, item):
        """(failures, their text) of a doctest; (0, "") after a program."""
        names = self.names.setdefault((item.page, item.section), {"__name__": "lesson"})
        if ">>>" not in item.text:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(item.text, str(item), "exec"), names)
            return 0, ""
        test = doctest.DocTestParser().get_doctest(
            item.text, names, item.page, item.page, item.line - 1)
        told = io.StringIO()
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        failures, _ = runner.run(test, out=told.write, clear_globs=False)
        names.update(test.globs)
        return failures, told.getvalue()

    def run_command(self, item):
        """(exit code, what it printed on stdout and stderr)."""
        words = [sys.executable, *words_of(item.text)[1:]]
        with subprocess.Popen(
                words + ["--no-browser"] * ("--draw" in words), cwd=self.folder,
                env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, encoding="utf-8") as process:
            begun = ""
            if "--draw" in words:                   # until Ctrl-C, as it says itself
                while "Ctrl-C" not in begun and process.poll() is None:
                    begun += process.stdout.readline()
                address = re.search(r"http://\S+", begun)[0]
                with urllib.request.urlopen(address, timeout=10) as page:
                    assert b"<canvas" in page.read()
                process.send_signal(signal.SIGINT)
            try:
                rest, _ = process.communicate(timeout=3600 if self.long else 120)
            finally:
                process.kill()      # leaving "with" waits for it; if it has ended, fine
        return process.returncode, begun + rest


@pytest.fixture(scope="module")
def course(request, tmp_path_factory):
    return Course(tmp_path_factory.mktemp("readme") / "digits",
                  request.config.getoption("--long"))


# --- comparing

def masked(text, differ):
    """The lines of an output without what changes from machine to machine."""
    for pattern, instead in MASKS:
        text = re.sub(pattern, instead, text)
    if differ:
        text = re.sub(r"[ \t]*\d[\d.]*(e-?\d+)?", " #", text)
    return [line.rstrip() for line in text.rstrip().splitlines()
            if not (differ and any(word in line for word in NOT_EVERYWHERE))]


def matches(lines, expected):
    """Whether lines are as expected, where "..." stands for any number of them."""
    if not expected:
        return not lines
    if expected[0] == "...":
        return any(matches(lines[skip:], expected[1:])
                   for skip in range(len(lines) + 1))
    return bool(lines) and lines[0] == expected[0] and matches(lines[1:], expected[1:])


@pytest.mark.parametrize("item", ITEMS, ids=str)
def test_it_does_what_the_readme_says(item, course, monkeypatch):
    reason = obstacle(item, course.long)
    if reason:
        pytest.skip(reason)
    monkeypatch.chdir(course.folder)
    code, printed = course.result(item)
    is_error = re.match(r"(train|predict)\.py: ", item.expected)
    assert code == (2 if is_error else 0), printed
    if item.kind == "console" and item.expected:
        differ = "numbers will differ" in item.text
        lines, expected = masked(printed, differ), masked(item.expected, differ)
        assert matches(lines, expected), printed


# --- the pages themselves

@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.parent.name)
def test_no_example_escapes(path):
    text = path.read_text(encoding="utf-8")
    languages = {language for _, _, language, _ in blocks(text)}
    assert languages <= {"console", "python", "text"}
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert not re.search(r"^ {4,}(\$|>>>|python) ?", outside, re.MULTILINE)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.parent.name)
def test_every_link_to_a_file_leads_to_one(path):
    links = re.findall(r"\]\((?!http)([^)#]+)", path.read_text(encoding="utf-8"))
    assert links and not [link for link in links if not (path.parent / link).exists()]


def test_every_link_within_the_page_leads_to_a_heading():
    text = PAGES[0].read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")
               for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors


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
    code, printed = course.run_command(item._replace(
        text=" ".join([command.replace("--augment none ", ""), *MOST])))
    assert code == 0 and float(re.search(r"([\d.]+)% of the", printed)[1]) > 85


def test_a_tenth_up_the_slope_fools_the_network():
    _, test = load(ROOT / "data" / "sample")
    network, _ = Network.load(ROOT / "data" / "model.npz")
    x = Matrix([[grey / 255 for grey in test.image(0)]])
    moved = fooled(network, x, test.label(0))
    assert (moved - x).map(abs).max() < 0.1 + 1e-9
    assert network.predict(moved).argmax(axis=1) != [test.label(0)]
    assert network.predict(x).argmax(axis=1) == [test.label(0)]
