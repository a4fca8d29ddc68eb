"""Sums up a search over settings: which values were best, and how the others did."""
from __future__ import annotations

import math
from typing import Any, Mapping, NamedTuple, Sequence

from learning.settings import value_text

# Keys of a search's row that are results, not settings; so is whatever ends like these.
RESULTS = {"seconds", "epoch", "epochs_run", "best_epoch", "images", "folder", "number"}
RESULT_ENDINGS = ("accuracy", "loss")


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
        runs.setdefault(tuple(value_text(name, row.get(name)) for name in names), []
                        ).append(row[score])
    means = {key: math.fsum(found) / len(found) for key, found in runs.items()}
    cells: dict[tuple, float] = {}
    for key, mean in means.items():
        cells[key[:2]] = max(mean, cells.get(key[:2], -math.inf))
    values = [[value_text(name, value)
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
               if len({value_text(name, row.get(name)) for row in rows}) > 1]
    return varying or names[:1]


def _order(value: Any) -> tuple:
    """Numbers, and lists of them, by size; then all else by its letters."""
    if isinstance(value, (int, float)):
        return 0, [value], ""
    return (0, list(value), "") if isinstance(value, (list, tuple)) else (
        1, [], str(value))
