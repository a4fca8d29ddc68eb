"""What pictures are made of, in numbers and in text: no matplotlib is needed here.

    per_class       precision, recall and F1 of each class
    curve_lines     the curves of a run as a table, with the gap and the best epoch
    survey          what a search over settings found; grid_lines is its table
    scatter_lines   points on a page, each as a character
    weight_lines    what a hidden unit looks for, in signs
"""
from __future__ import annotations

import math
from collections import Counter
from typing import Any, Mapping, NamedTuple, Sequence

from learning.checkpoint import best_row, judged_by
from learning.settings import plain
from learning.survey import Survey
from network import Evaluation
from show.console import table

# ---------------------------------------------------------------------------
# Scores of each class
# ---------------------------------------------------------------------------

class Scores(NamedTuple):
    """How well one class was told from the others, each number in 0..1."""

    precision: float
    recall: float
    f1: float


def per_class(report: Evaluation) -> list[Scores]:
    """Precision, recall and F1 of each class, from the counts of the confusion matrix.

        precision = right / answered    of those taken for the class, how many are of it
        recall    = right / present     of those of the class, how many were found
        F1        = 2 right / (answered + present)      the harmonic mean of both

    (van Rijsbergen 1979.)  What would be 0 / 0 is 0: the precision of a class that was
    never answered, the recall of one that is absent, the F1 of one that is both.
    """
    counts = report.confusion()
    answered = [sum(column) for column in zip(*counts)]
    return [Scores(_part(row[i], answered[i]), _part(row[i], sum(row)),
                   _part(2 * row[i], answered[i] + sum(row)))
            for i, row in enumerate(counts)]


def _part(some: int, whole: int) -> float:
    return some / whole if whole else 0.0


# ---------------------------------------------------------------------------
# The curves of a run
# ---------------------------------------------------------------------------

def best_epoch(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The row of the highest validation accuracy, the first of equals.

    None where there are no validation images: a test set chooses nothing.
    """
    if judged_by(history[0]) == "test":
        return None
    return best_row(history)


def gap(row: Mapping[str, Any]) -> float:
    """Accuracy on training images less that on the images judged by, in points (%).

    Above 0 the network knows its training images better than others: it overfits.
    Below 0 its training images were harder: bent, or seen while it knew less.
    """
    return 100 * (row["train_accuracy"] - row[f"{judged_by(row)}_accuracy"])


def curve_lines(history: Sequence[Mapping[str, Any]], most: int = 20) -> list[str]:
    """A table of the epochs, about `most` of them, the first, last and best among them.

    The gap is in points; an arrow is at the best epoch.
    """
    judged, best = judged_by(history[0]), best_epoch(history)
    step = max(1, math.ceil((len(history) - 1) / most))
    loss_too = f"{judged}_loss" in history[0]
    heads = ["epoch", "loss", *([f"{judged} loss"] if loss_too else []),
             "training", judged, "gap", ""]
    rows = [[row["epoch"], f"{row['loss']:.4f}",
             *([f"{row[f'{judged}_loss']:.4f}"] if loss_too else []),
             f"{row['train_accuracy']:.2%}", f"{row[f'{judged}_accuracy']:.2%}",
             f"{gap(row):+.2f}", "<- best" if row is best else ""]
            for i, row in enumerate(history)
            if i % step == 0 or row is best or row is history[-1]]
    return [line.rstrip() for line in table([heads, *rows])]


# ---------------------------------------------------------------------------
# A search over settings
# ---------------------------------------------------------------------------

def best_line(found: Survey) -> str:
    """What was best, in words: "best: 97.00% with hidden 64, learning rate 0.1"."""
    chosen = ", ".join(f"{plain(name)} {value}" for name, value in found.best.items())
    return f"best: {found.cells[found.best_cell]:.2%} with {chosen}"


def grid_lines(found: Survey) -> list[str]:
    """A table of the scores in per cent, the best in brackets, and words below it."""
    def cell(key: tuple) -> str:
        """One score; a bar of blanks where this pair was not tried."""
        if key not in found.cells:
            return ""
        best = key == found.best_cell
        return "[{:.2f}]".format(100 * found.cells[key]) if best else (
            f"{100 * found.cells[key]:.2f} ")

    if len(found.names) == 1:
        rows = [[plain(found.names[0]), plain(found.score) + ", %"],
                *([value, cell((value,))] for value in found.values[0])]
    else:
        down, across = found.values
        rows = [["", *(f"{value} " for value in across)],
                *([value, *(cell((value, other)) for other in across)]
                  for value in down)]
    heading = [] if len(found.names) == 1 else [
        f"{plain(found.score)}, %; down: {plain(found.names[0])}, "
        f"across: {plain(found.names[1])}" + (f"; {over(found)}" * bool(found.others)),
        ""]
    return [*heading, *(line.rstrip() for line in table(rows)), "", best_line(found)]


def over(found: Survey) -> str:
    """What a score is the best of, where more settings vary than are shown; or ""."""
    others = ", ".join(map(plain, found.others))
    return f"the best over {others}" if others else ""


# ---------------------------------------------------------------------------
# Points and weights as characters
# ---------------------------------------------------------------------------

def class_keys(names: Sequence[str]) -> list[str]:
    """A character for each class: its name where all names are one, else A, B, C, ...

    >>> class_keys(["cat", "dog"]), class_keys("01")
    (['A', 'B'], ['0', '1'])
    """
    if all(len(name) == 1 for name in names):
        return list(names)
    letters = [chr(code) for code in (*range(65, 91), *range(97, 123), *range(192, 448))
               if chr(code) not in "IOl"]        # too much like one another and digits
    return letters[:len(names)]


def scatter_lines(points: Sequence[Sequence[float]], labels: Sequence[int],
                  names: Sequence[str], width: int = 72, height: int = 26) -> list[str]:
    """Points (x, y) on a page of characters, y upwards, each shown by its class.

    Where several fall on one place, the class of most of them is shown.

    >>> scatter_lines([(0, 0), (1, 1)], [0, 1], "ab", width=3, height=2)
    ['  b', 'a']
    """
    lows = [min(axis) for axis in zip(*points)]
    spans = [max(axis) - low or 1.0 for axis, low in zip(zip(*points), lows)]
    places: dict[tuple, Counter] = {}
    for (x, y), label in zip(points, labels):
        column = round((x - lows[0]) / spans[0] * (width - 1))
        row = height - 1 - round((y - lows[1]) / spans[1] * (height - 1))
        places.setdefault((row, column), Counter())[label] += 1
    keys = class_keys(names)
    page = [[" "] * width for _ in range(height)]
    for (row, column), found in places.items():
        page[row][column] = keys[found.most_common(1)[0][0]]
    lines = ["".join(row).rstrip() for row in page]
    if keys != list(names):
        lines += ["", ", ".join(f"{key} {name}" for key, name in zip(keys, names))]
    return lines


def weight_lines(weights: Sequence[float], width: int) -> list[str]:
    """The weights of one hidden unit, a pixel each, in signs on the page of the image.

    `#` and `+` where ink raises the unit, `=` and `-` where it lowers it: beyond a
    half, and beyond a sixth, of the largest weight; blank in between.

    >>> weight_lines([0.9, 0.2, 0.0, -0.2, -0.9, 0.0], 3)
    ['##++  ', '--==  ']
    """
    largest = max(map(abs, weights)) or 1.0

    def sign(weight: float) -> str:
        """Two characters, as high as they are wide."""
        size = abs(weight) / largest
        strong, weak = ("#", "+") if weight > 0 else ("=", "-")
        return 2 * (strong if size > 1 / 2 else weak if size > 1 / 6 else " ")

    return ["".join(map(sign, weights[start:start + width]))
            for start in range(0, len(weights), width)]
