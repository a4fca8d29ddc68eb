"""The prediction command: python predict.py --index 42, or --help for all options."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Sequence

from console import (MODEL, RUNS, LiveLine, OptionError, Parser, bar, can_print,
                     load_data, picture, run_command, shown_path, table, whole_number)
from data_loader import DataError
from dataset import Dataset
from my_math import SparseMatrix
from network import Network, Report

SHIPPED_MODEL = Path(__file__).resolve().parent / "data" / MODEL

EXAMPLES = """\
examples:
  python predict.py --index 42       one test image: picture, answer, probabilities
  python predict.py --test           the whole test set, digit by digit
  python predict.py --test --model runs/default-1/model.npz
"""


def build_parser() -> Parser:
    """The options of the command."""
    parser = Parser(prog="predict.py", epilog=EXAMPLES,
                    formatter_class=argparse.RawDescriptionHelpFormatter,
                    description="Read handwritten digits with a trained network.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--index", type=whole_number(0), metavar="N",
                      help="read test image N, counted from 0")
    what.add_argument("--test", action="store_true", help="read the whole test set")
    parser.add_argument("--data", metavar="DIR", help="folder with the four IDX files, "
                        "or a .csv file (default: $MNIST_DIR, else data/mnist)")
    parser.add_argument("--model", metavar="FILE", help="model.npz of a run "
                        "(default: the newest in runs/, else data/model.npz)")
    return parser


# ---------------------------------------------------------------------------
# Which model, which images
# ---------------------------------------------------------------------------

def find_model(given: str | None) -> Path:
    """The model named, else that of the newest run, else the shipped one."""
    if given:
        return Path(given)
    models = sorted(RUNS.glob(f"*/{MODEL}"), key=lambda path: path.stat().st_mtime)
    if models:
        return models[-1]
    if SHIPPED_MODEL.exists():
        return SHIPPED_MODEL
    raise DataError(RUNS, "no trained model", f"a run with a {MODEL}",
                    "make one with: python train.py")


def load_model(path: Path, test: Dataset) -> tuple[Network, int]:
    """(network, grey levels): as many inputs as pixels, as many answers as classes."""
    network, settings = Network.load(path)
    found = network.sizes[0], network.sizes[-1]
    expected = test.height * test.width, test.class_count
    if found != expected:
        raise DataError(path, f"a model of {found[0]} inputs and {found[1]} classes",
                        f"{expected[0]} and {expected[1]} for {test.name}")
    return network, settings.get("grey_levels", 256)


# ---------------------------------------------------------------------------
# Answers in text
# ---------------------------------------------------------------------------

def answer_lines(answers: Sequence[float], names: Sequence[str]) -> list[str]:
    """A line for each class: its name, its probability as a bar and in per cent."""
    blocks = can_print("█")
    width = max(map(len, names))
    return [f"{name.rjust(width)} |{bar(answer, blocks)}| {answer:7.2%}"
            for name, answer in zip(names, answers)]


def show_one(network: Network, test: Dataset, index: int) -> None:
    """Print one test image, the answers to it and whether the largest is right."""
    if index >= len(test):
        raise OptionError(f"--index {index}: expected 0 to {len(test) - 1}, the "
                          f"{len(test):,} test images of {test.name}")
    image, label = test.image(index), test.label(index)
    answers = network.predict(SparseMatrix.from_images([image], test.levels))[0]
    guess = answers.index(max(answers))
    verdict = "right" if guess == label else f"wrong, it is {test.class_names[label]}"
    print(f"Test image {index} of {test.name}\n")
    print(*picture(image, test.width, can_print("░▒▓█")), sep="\n")
    print("", *answer_lines(answers, test.class_names), sep="\n")
    print(f"\nAnswer: {test.class_names[guess]} ({max(answers):.2%}), {verdict}")


def show_report(report: Report, test: Dataset) -> None:
    """Print the accuracy, the confusion matrix and the most confident errors."""
    names = test.class_names
    right = sum(map(int.__eq__, report.guesses, report.labels))
    print(f"{report.accuracy:.2%} right: {right:,} of the {len(test):,} test images of "
          f"{test.name}\n\nRows are labels, columns answers:\n")
    rows = [[name, *counts, f"{counts[i] / max(sum(counts), 1):.1%}"]
            for i, (name, counts) in enumerate(zip(names, report.confusion()))]
    print(*table([["", *names, "right"], *rows]), sep="\n")
    worst = report.worst_errors(5)
    if worst:
        print("\nThe most confident errors:")
    for index in worst:
        label, guess = names[report.labels[index]], names[report.guesses[index]]
        print(f"  --index {index}: {label} taken for {guess} "
              f"({max(report.answers[index]):.2%})")


# ---------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------

def run(options: argparse.Namespace) -> int:
    """Answer as the options ask; returns the exit code."""
    path = find_model(options.model)
    test, = load_data(options.data, parts=("t10k",))
    network, levels = load_model(path, test)
    test = test.with_levels(levels)
    if options.test:
        live = LiveLine()
        live.show(f"Reading {len(test):,} images ...")
        report = network.judge(test)
        live.clear()
        show_report(report, test)
    else:
        show_one(network, test, options.index)
    print(f"Model: {shown_path(path)}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    options = build_parser().parse_args(argv)
    return run_command("predict.py", lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
