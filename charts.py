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

from checkpoint import best_row, judged_by
from console import table
from network import Report

# Keys of a search's row that are results, not settings; so is whatever ends like these.
RESULTS = {"seconds", "epoch", "epochs_run", "best_epoch", "images", "folder", "number"}
RESULT_ENDINGS = ("accuracy", "loss")


# ---------------------------------------------------------------------------
# Scores of each class
# ---------------------------------------------------------------------------

class Scores(NamedTuple):
    """How well one class was told from the others, each number in 0..1."""

    precision: float
    recall: float
    f1: float


def per_class(report: Report) -> list[Scores]:
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

class Survey(NamedTuple):
    """What a search found, on one or two settings; the best over all others."""

    score: str                      # what was measured: "validation_accuracy"
    names: list[str]                # the one or two settings shown
    values: list[list[str]]         # of each of them, in rising order
    cells: dict[tuple, float]       # values of these settings -> the score
    others: list[str]               # settings that vary too
    best: dict[str, str]            # the best value of every setting that varies

    @property
    def best_cell(self) -> tuple:
        """The values of the shown settings at the best score."""
        return tuple(self.best[name] for name in self.names)


def survey(rows: Sequence[Mapping[str, Any]], settings: Sequence[str] | None = None,
           score: str = "validation_accuracy") -> Survey:
    """Sum up rows of settings and results, {"hidden": 64, ..., score: 0.97}.

    `settings` names those to look at, the first two to be shown; without it all that
    vary.  Rows that are alike in them, runs with other seeds, count as their mean.
    Raises ValueError where there is no row, or one without the score.
    """
    if not rows or not all(score in row for row in rows):
        raise ValueError(f"a survey of {len(rows)} rows: expected some, with a {score}")
    names = list(settings or _varying(rows, score))
    runs: dict[tuple, list[float]] = {}
    for row in rows:
        runs.setdefault(tuple(value_text(row.get(name)) for name in names), []).append(
            row[score])
    means = {key: math.fsum(found) / len(found) for key, found in runs.items()}
    cells: dict[tuple, float] = {}
    for key, mean in means.items():
        cells[key[:2]] = max(mean, cells.get(key[:2], -math.inf))
    values = [[value_text(value)
               for value in sorted((row.get(name) for row in rows), key=_order)]
              for name in names[:2]]
    best = max(means, key=lambda key: means[key])
    return Survey(score, names[:2], [list(dict.fromkeys(some)) for some in values],
                  cells, names[2:], dict(zip(names, best)))


def _varying(rows: Sequence[Mapping[str, Any]], score: str) -> list[str]:
    """The settings that have more than one value; the first one where none has."""
    names = [name for name in dict.fromkeys(name for row in rows for name in row)
             if name not in RESULTS and name not in ("seed", score)
             and not name.endswith(RESULT_ENDINGS)]
    varying = [name for name in names
               if len({value_text(row.get(name)) for row in rows}) > 1]
    return varying or names[:1]


# Values that options take as words: (setting, value, word).
WORDS = ("hidden", [], "none"), ("batch_size", 0, "all")


def value_text(value: Any, name: str = "") -> str:
    """The value of a setting as its option takes it.

    >>> value_text([64, 32]), value_text([], "hidden"), value_text(0, "batch_size")
    ('64-32', 'none', 'all')
    """
    for word_for, special, word in WORDS:
        if (name, value) == (word_for, special):
            return word
    if isinstance(value, (list, tuple)):
        return "-".join(map(str, value))
    short = f"{value:g}" if isinstance(value, float) else ""
    return short if short and float(short) == value else str(value)


def _order(value: Any) -> tuple:
    """Numbers, and lists of them, by size; then all else by its letters."""
    if isinstance(value, (int, float)):
        return 0, [value], ""
    return (0, list(value), "") if isinstance(value, (list, tuple)) else (
        1, [], str(value))


def plain(name: str) -> str:
    """The name of a setting or a result as words.

    >>> plain("learning_rate")
    'learning rate'
    """
    return name.replace("_", " ")


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
