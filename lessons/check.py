"""Compare the functions of your my_network.py with those of the lessons.

    python lessons/check.py my_network.py

Each function is tried on small examples, the smallest first; where yours gives
something else, the first such example is shown.  While one function is tried, all
others that it calls are those of the lessons, so that a mistake is told where it is.
All run in another process, where each may take 5 seconds.  Behind one that breaks that
process a new one goes on: your file cannot stop the checker.

Exit code 0: all that is there is correct; 1: something differs; 2: the file cannot be
read or imported, or the lessons' own is missing.
"""
import argparse
import copy
import faulthandler
import gzip
import importlib.util
import inspect
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, Callable, NamedTuple

SECONDS = 5
IMPORT = -1             # the task before the first of PARTS
LONGEST = 1_000_000     # characters of a file; that of the solutions has 6,000
MEMORY = 2 << 30        # bytes: an endless list ends before the machine's memory does
REFERENCE = Path(__file__).resolve().parent / "solutions" / "my_network.py"


# --- Examples: two networks, 1-1-2 and 2-3-2, with images and labels for them


SMALL = [[[2.0]], [[0.5]], [[1.0, -1.0]], [[0.0, 0.25]]]
LARGER = [[[0.5, -1.0, 0.25], [1.0, 0.5, -0.75]], [[0.1, 0.2, -0.3]],
          [[1.0, -0.5], [0.25, 0.75], [-1.0, 0.5]], [[0.05, -0.05]]]
X1, Y1 = [[1.0]], [1]
X3, Y3 = [[1.0, 0.5], [-0.5, 1.0], [0.25, -2.0]], [0, 1, 1]
ON_BOTH = [(SMALL, X1, Y1), (LARGER, X3, Y3)]


def write_idx(folder, name, *sizes, values):
    """Write an IDX file of bytes; return its path."""
    path = str(Path(folder, name))
    header = [bytes([0, 0, 8, len(sizes)]), *(n.to_bytes(4, "big") for n in sizes)]
    with gzip.open(path, "wb") as file:
        file.write(b"".join(header) + bytes(values))
    return path


def image_files(folder):
    """Return the arguments of read_images: files of one pixel, and of 2 x 2 x 3."""
    return [(write_idx(folder, "1-image-of-1-x-1.gz", 1, 1, 1, values=[51]),),
            (write_idx(folder, "2-images-of-2-x-3.gz", 2, 2, 3, values=range(12)),)]


def label_files(folder):
    """Return the arguments of read_labels."""
    return [(write_idx(folder, "labels-7-0-9.gz", 3, values=[7, 0, 9]),)]


def wrong_gradient(network, X, labels):
    """Return the gradient of the lessons, but with one slope of b2 0.5 too large."""
    loss, gradient = load(REFERENCE, "other").loss_and_gradient(network, X, labels)
    gradient[3][0][1] += 0.5
    return loss, gradient


# --- What is looked at


def result(found, arguments):
    """Return what a function returns."""
    return found


def network_after(found, arguments):
    """Return the network, which the function was to change."""
    return arguments[0]


def result_and_network(found, arguments):
    """Return what a function returns, and the network after it."""
    return [found, arguments[0]]


def size_and_spread(matrix, arguments):
    """Return rows, columns, mean and standard deviation of a random matrix."""
    numbers = [number for row in matrix for number in row]
    mean = sum(numbers) / len(numbers)
    spread = math.sqrt(sum(number * number for number in numbers) / len(numbers))
    return [len(matrix), len(matrix[0]), round(mean, 1), round(spread, 2)]


def sizes_and_spreads(network, arguments):
    """Return rows, columns, mean and standard deviation of each matrix."""
    return [size_and_spread(matrix, arguments) for matrix in network]


class Part(NamedTuple):
    """A function of the lessons, and how it is tried."""

    lesson: int
    name: str
    cases: Any          # a list of tuples of arguments, or a function of a folder
    look: Callable = result
    shown: str = ""     # what `look` returns, where it is not simply the result
    tolerance: float = 1e-9
    instead: dict = {}  # functions that take the place of the lessons' own


ROWS = "rows, columns, mean, standard deviation"
RNG = random.Random(1)
PARTS = [
    Part(1, "dot", [([2], [3]), ([1, 2], [3, 4]), ([0.5, -1, 2], [4, 1, 0.25])]),
    Part(1, "transpose", [([[1]],), ([[1, 2]],), ([[1], [2]],),
                          ([[1, 2, 3], [4, 5, 6]],)]),
    Part(1, "matmul", [([[2]], [[3]]), ([[1, 2]], [[3], [4]]), ([[1], [2]], [[3, 4]]),
                       ([[1, 2], [3, 4]], [[5, 6], [7, 8]]),
                       ([[1, 2, 3], [4, 5, 6]], [[1], [0.5], [-1]])]),
    Part(2, "add_row", [([[1]], [[10]]), ([[1, 2]], [[10, 20]]),
                        ([[1, 2], [3, 4], [5, 6]], [[10, 20]])]),
    Part(2, "sum_rows", [([[1]],), ([[1, 2]],), ([[1], [2]],),
                         ([[1, 2], [3, 4], [5, -6]],)]),
    Part(3, "dense", [([[2]], [[3]], [[1]]), ([[1, 2]], [[3, 5], [4, 6]], [[10, 20]]),
                      ([[1, 0], [0, 1], [1, 1]], [[1, 2], [3, 4]], [[-1, 1]])]),
    Part(4, "relu", [([[2]],), ([[-2]],), ([[0.5, -0.5], [0, -3], [7, 1e-9]],)]),
    Part(5, "random_matrix", [(40, 50, 0.5, RNG), (40, 50, 0.2, RNG)],
         size_and_spread, ROWS, 0.15),
    Part(5, "forward", [(SMALL, X1), (LARGER, X3)]),
    Part(6, "softmax", [([[0, 0]],), ([[2.0, 1.0, 0.1]],), ([[0, 1], [1, -1]],),
                        ([[1000.0, 1000.0]],), ([[-1000.0, 0.0]],)]),
    Part(6, "mean_loss", [([[0.25, 0.75]], [0]), ([[0.25, 0.75], [0.5, 0.5]], [1, 0])]),
    Part(6, "loss_backward", [([[0.25, 0.75]], [0]),
                              ([[0.25, 0.75], [0.5, 0.5]], [1, 0])]),
    Part(7, "relu_backward", [([[5]], [[2]]), ([[5]], [[-2]]), ([[5]], [[0]]),
                              ([[1, 2], [3, 4]], [[-1, 1], [0.5, -0.5]])]),
    Part(8, "loss_and_gradient", ON_BOTH),
    Part(9, "slope_by_trial", [(SMALL, X1, Y1, SMALL[2][0], 1),
                               (LARGER, X3, Y3, LARGER[0][1], 2)],
         result_and_network, "the slope, and the network, which is as before", 1e-7),
    Part(9, "largest_error", ON_BOTH, tolerance=1e-7),
    Part(9, "largest_error", [(SMALL, X1, Y1)], tolerance=1e-7,
         shown="where one slope of b2 is made 0.5 too large",
         instead={"loss_and_gradient": wrong_gradient}),
    Part(10, "step", [(SMALL, [[[1.0]], [[2.0]], [[3.0, 4.0]], [[5.0, 6.0]]], 0.1)],
         network_after, "the network after it"),
    Part(10, "train_epoch", [(SMALL, X1, Y1, 0.5, 1, RNG),
                             (LARGER, X3, Y3, 0.5, 3, RNG),
                             (LARGER, X3[:1] * 3, Y3[:1] * 3, 0.5, 2, RNG)],
         result_and_network, "the mean loss, and the network after it"),
    Part(10, "predict", [(SMALL, X1), (LARGER, X3)]),
    Part(10, "accuracy", [(SMALL, X1, Y1), (LARGER, X3, Y3)]),
    Part(11, "new_network", [(50, 40, 30, RNG)], sizes_and_spreads,
         f"of W1, b1, W2, b2: {ROWS}", 0.15),
    Part(12, "read_images", image_files),
    Part(12, "read_labels", label_files)]


# --- Comparing


def shape(value):
    """Return "2 x 3" for a matrix, else what kind of value it is."""
    if value is None:
        return "nothing (is `return` missing?)"
    if not isinstance(value, (list, tuple)):
        return type(value).__name__
    if value and all(isinstance(row, (list, tuple)) for row in value):
        widths = sorted({len(row) for row in value})
        return f"{len(value)} x {' and '.join(map(str, widths))}"
    return f"a list of {len(value)}"


def difference(found, expected, tolerance):
    """Return "" if two results are equal within tolerance, else in what they differ."""
    if isinstance(expected, (list, tuple)):
        is_list = isinstance(found, (list, tuple)) and len(found) == len(expected)
        is_matrix = is_list and isinstance(expected[0], list) and not isinstance(
            expected[0][0], list)
        if not is_list or is_matrix and shape(found) != shape(expected):
            return f"{shape(found)} in the place of {shape(expected)}"
        pairs = zip(found, expected)
        return next(filter(None, (difference(*pair, tolerance) for pair in pairs)), "")
    if not isinstance(found, (int, float)):
        return f"{shape(found)} in the place of a number"
    is_close = math.isclose(found, expected, rel_tol=tolerance, abs_tol=tolerance / 10)
    return "" if is_close else f"{text(found)} in the place of {text(expected)}"


def text(value):
    """Return a value as short text: 6 digits, and at most 300 characters."""
    if isinstance(value, (list, tuple)):
        shown = f"[{', '.join(map(text, value))}]"
    elif isinstance(value, float):
        shown = f"{value:.6g}"
    else:
        shown = "random.Random(1)" if isinstance(value, random.Random) else repr(value)
    return shown if len(shown) <= 300 else f"{shown[:297]}..."


# --- In the process that tries the functions


def load(path, name):
    """Return a Python file as a module of that name."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def described(error, path):
    """Return an exception with the line of the learner's file where it came from."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
             if frame.filename == str(path)]
    where = f" in line {lines[-1]}" if lines else ""
    return f"{type(error).__name__}: {error}"[:300] + where


def lend(module, reference, part):
    """Replace all functions of a module but one by those of the lessons."""
    for other in PARTS:
        if other.name != part.name:
            setattr(module, other.name, getattr(reference, other.name))
    for name, function in part.instead.items():
        setattr(module, name, function)


def attempt(function, part, case):
    """Return what a function makes of its own copy of the arguments."""
    arguments = copy.deepcopy(case)
    return part.look(function(*arguments), arguments)


def try_part(part, path, report):
    """Report the first case in which the learner's function differs, if any."""
    module, reference = load(path, "my_network"), load(REFERENCE, "reference")
    lend(module, reference, part)
    lend(reference, reference, part)
    expects, function = getattr(reference, part.name), getattr(module, part.name)
    names = inspect.signature(expects).parameters
    with tempfile.TemporaryDirectory() as folder:
        for case in part.cases(folder) if callable(part.cases) else part.cases:
            expected = attempt(expects, part, case)
            inputs = [f"{name} = {text(value)}" for name, value in zip(names, case)]
            report(inputs=inputs, expected=text(expected))
            found = attempt(function, part, case)
            why = difference(found, expected, part.tolerance)
            if why:
                report(found=text(found), why=why)
                return
    report(correct=True)


def limit_memory():
    """Let Python say MemoryError at 2 GB, where the system can do that reliably."""
    if sys.platform == "linux":
        import resource                             # not there on Windows
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def child(first, seconds, path):
    """Import the learner's file, try its parts from `first` on; report lines of JSON.

    What takes longer than `seconds` ends the process, with a line "Timeout ...".
    """
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")
    sys.argv, sys.path[0] = [str(path)], str(path.parent)

    def report(**facts):
        print(json.dumps(facts), file=channel, flush=True)

    def begin(task):
        faulthandler.dump_traceback_later(seconds, exit=True, file=channel)
        report(task=task)

    sys.excepthook = lambda kind, error, trace: report(error=described(error, path))
    limit_memory()
    begin(IMPORT)
    names = list(vars(load(path, "my_network")))
    report(names=names)
    for task, part in enumerate(PARTS):
        if task >= first and part.name in names:
            begin(task)
            try_part(part, path, report)


# --- In the process that was started


def child_reports(first, path):
    """Return {task: facts} of what a child began, in this order."""
    command = [sys.executable, "-B", __file__, str(path), "--first", str(first),
               "--seconds", str(SECONDS)]
    output = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL).stdout
    reports, facts = {}, {}
    for line in output.decode("utf-8").splitlines():
        if line.startswith("Timeout"):
            facts["error"] = f"no end after {SECONDS} seconds: an endless loop?"
            break
        new = json.loads(line)
        if "task" in new:
            facts = reports[new["task"]] = {}
        facts.update(new)
    return reports


def ask(path):
    """Return {task: facts}; "error" is among these where a task breaks the child."""
    answers, first = {}, 0
    while first < len(PARTS):
        reports = child_reports(first, path) or {IMPORT: {}}
        answers.update(reports)
        last = max(reports)
        if answers[last].keys() & {"correct", "found", "names"}:
            break
        answers[last].setdefault("error", "the process ended without an answer")
        if last == IMPORT:
            break
        first = last + 1
    return answers


def unreadable(path):
    """Return why a file cannot be used at all, or ""."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read(LONGEST + 1)
        if len(text) > LONGEST:
            return f"found more than {LONGEST:,} characters"
        compile(text, str(path), "exec")
    except OSError as error:
        return f"found {error.strerror}"
    except UnicodeDecodeError:
        return "found bytes that are no UTF-8 text"
    except SyntaxError as error:
        return f"found a syntax error in line {error.lineno} ({error.msg})"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"found something that Python cannot read ({error})"
    return ""


def show(part, facts):
    """Print where a function differs."""
    print(f"  for  {facts['inputs'][0]}" if facts.get("inputs") else "  at import")
    for line in facts.get("inputs", [])[1:]:
        print(f"       {line}")
    if part.shown:
        print(f"  ({part.shown})")
    if "expected" in facts:
        print(f"  expected  {facts['expected']}")
    print(f"  found     {facts.get('found') or facts['error']}")
    if facts.get("why", "").split(" in ")[0] not in (facts.get("found"), ""):
        print(f"            {facts['why']}")


def check(answers):
    """Print what is correct and what differs; return whether anything does."""
    names = answers[IMPORT]["names"]
    last = max((i for i, part in enumerate(PARTS) if part.name in names), default=-1)
    verdicts = {}
    for task, part in enumerate(PARTS[:last + 1]):
        if verdicts.get(part.name) not in (None, "correct"):
            continue
        facts = answers.get(task, {})
        verdict = ("missing" if not facts else
                   "correct" if "correct" in facts else "DIFFERS")
        if (part.name, verdict) not in verdicts.items():
            print(f"lesson {part.lesson:2}  {part.name:18} {verdict}")
        verdicts[part.name] = verdict
        if verdict == "DIFFERS":
            show(part, facts)
    summary(verdicts, PARTS[last + 1:])
    return set(verdicts.values()) - {"correct"}


def summary(verdicts, rest):
    """Print how many functions are correct, and what comes next."""
    total = len({part.name for part in PARTS})
    correct = list(verdicts.values()).count("correct")
    then = f" Next: {rest[0].name}, in lesson {rest[0].lesson}." if rest else ""
    print(f"\n{correct} of {total} parts are correct.{then}")


def main(argv=None):
    """Check the file named on the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        description="Compare the functions of your my_network.py with the lessons'.")
    parser.add_argument("file", type=Path, help="your my_network.py")
    parser.add_argument("--first", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    path = Path(os.path.abspath(options.file))
    if options.first is not None:
        child(options.first, options.seconds, path)
        return 0
    if not REFERENCE.is_file():
        print("check.py: lessons/solutions/my_network.py, to compare yours with, "
              "is missing; your own file was not looked at: get the whole folder "
              "lessons/", file=sys.stderr)
        return 2
    problem, answers = unreadable(path), {}
    if not problem:
        answers = ask(path)
        if "error" in answers[IMPORT]:
            problem = f"found {answers[IMPORT]['error']}, when it is imported"
    if problem:
        print(f"check.py: {options.file}: {problem}, expected your my_network.py, "
              "as the lessons build it", file=sys.stderr)
        return 2
    return 1 if check(answers) else 0


if __name__ == "__main__":
    for name in {"SIGINT", "SIGPIPE"} & set(dir(signal)):       # Ctrl-C; | head
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    sys.exit(main())
