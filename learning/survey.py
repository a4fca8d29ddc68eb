"""Sums up a search over settings: which values were best, and how the others did."""
from __future__ import annotations

import math
from statistics import fmean
from typing import Any, Mapping, NamedTuple, Sequence

from learning.settings import value_text


class Survey(NamedTuple):
    """The accuracies of a search by one or two settings; the best over all others."""

    names: list[str]                # the one or two settings shown
    values: list[list[str]]         # of each of them, in rising order
    cells: dict[tuple, float]       # values of these settings -> validation accuracy
    others: list[str]               # settings that vary too
    best: dict[str, str]            # the best value of every setting that varies

    @property
    def best_cell(self) -> tuple:
        """The values of the shown settings at the best score."""
        return tuple(self.best[name] for name in self.names)


def survey(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Survey:
    """Sum up rows of settings and results.

    `names` are the settings to look at, the first two to be shown.  Rows that agree in
    them, runs with other seeds, count as their mean.
    """
    runs: dict[tuple, list[float]] = {}
    for row in rows:
        key = tuple(value_text(name, row[name]) for name in names)
        runs.setdefault(key, []).append(row["validation_accuracy"])
    means = {key: fmean(found) for key, found in runs.items()}
    cells: dict[tuple, float] = {}
    for key, mean in means.items():
        cells[key[:2]] = max(mean, cells.get(key[:2], -math.inf))
    values = [[value_text(name, value)
               for value in sorted((row[name] for row in rows), key=_order)]
              for name in names[:2]]
    best = max(means, key=means.__getitem__)
    return Survey(list(names[:2]), [list(dict.fromkeys(some)) for some in values],
                  cells, list(names[2:]), dict(zip(names, best)))


def _order(value: Any) -> tuple:
    """Numbers, and lists of them, by size; then all else by its letters."""
    if isinstance(value, str):
        return 1, [], value
    return 0, value if isinstance(value, list) else [value], ""
