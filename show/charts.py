"""What pictures are made of, in numbers and in text: no matplotlib is needed here.

    per_class       precision, recall and F1 of each class
    survey          what a search over settings found; grid_lines is its table
    weight_lines    what a hidden unit looks for, in signs
"""
from __future__ import annotations

from typing import NamedTuple, Sequence

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
# Weights as characters
# ---------------------------------------------------------------------------

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
