"""Searches: many runs evaluated alike, side by side in processes of their own.

    grid        every combination of the values given for some settings, each evaluated
                on the same validation images
    folds       k-fold cross-validation (Stone 1974): the images in k parts, k networks
                each evaluated on the part that it has not seen
    both        every combination evaluated by k folds

The test set takes no part.  A run is trained by one process, so the results are the
same for any number of them.  A search has a folder:

    search.json                     what it tries; enough to go on with it
    grid.csv, folds.csv             its results
    run-1/, run-2-fold-1/, ...      a folder for each run, from which its result is read
"""
from __future__ import annotations

import itertools
import json
import math
import multiprocessing
import os
import signal
import threading
from argparse import ArgumentTypeError
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from multiprocessing import connection
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

import data_loader
from data_loader import Dataset
from engine.files import locked, read_json, sweep, write_whole
from engine.team import Team, WorkerError, begin_helper, ctrl_c_later, run_team
from errors import DataError, OptionError
from learning.checkpoint import (MODEL, Row, best_row, check_same_data,
                                 is_over, load_checkpoint)
from learning.kinds import Choice, ListOf, Record, Text, whole
from learning.settings import (DEFAULTS, KINDS, RECIPES, SETTINGS, Settings, as_options,
                               option, value_text)
from learning.survey import Survey, survey
from learning.training import Run, begin, random_for

PLAN, GRID, FOLDS = "search.json", "grid.csv", "folds.csv"
MOST_RUNS = 10_000

Rows = Sequence[Mapping[str, Any]]


# --- what is tried

def parse_grid(texts: Sequence[str]) -> dict[str, list]:
    """Return the values of each setting from text such as "hidden=64,128".

    A value is spelled as the option of that name takes it.
    """
    grid: dict[str, list] = {}
    known = {option(name)[2:]: name for name, line in SETTINGS.items() if line.varies}
    for text in texts:
        spelled, _, values = text.partition("=")
        if spelled not in known or not values:
            raise OptionError(f"--grid: found {text!r}, expected values of a setting, "
                              "such as hidden=64,128; the settings are "
                              + ", ".join(known))
        name = known[spelled]
        try:
            found = list(map(SETTINGS[name].kind, values.split(",")))
        except ArgumentTypeError as error:
            raise OptionError(f"--grid {spelled}: {error}") from None
        if name in grid or any(found.count(value) > 1 for value in found):
            raise OptionError(f"--grid: found {text!r}, expected each setting and each "
                              "of its values once")
        grid[name] = found
    return grid


class Trial(NamedTuple):
    """One run of a search: combination `number` from 1, fold `fold` of `folds` from 1;
    without folds it is evaluated on validation images."""

    number: int
    settings: Settings
    fold: int = 0
    folds: int = 0
    name: str = "run-1"         # of its folder

    def parts(self, images: Dataset) -> dict[str, Dataset]:
        """Return the images to train on and those to evaluate on, as a run wants them.
        """
        if self.folds:
            order = images.order(random_for(self.settings, "folds"))
            parts = map(images.pick, fold_parts(order, self.fold, self.folds))
        else:
            parts = images.split(self.settings["validation"])
        return dict(zip(("train", "validation"), parts))


def fold_parts(order: Sequence[int], fold: int, folds: int
               ) -> tuple[list[int], list[int]]:
    """Return (indices to train on, indices to evaluate on) of a fold from 1; the sizes
    of all parts differ by 1 at most.

    >>> [fold_parts([3, 0, 2, 1, 4], fold, 2)[1] for fold in (1, 2)]
    [[3, 0], [2, 1, 4]]
    """
    start, stop = (len(order) * k // folds for k in (fold - 1, fold))
    return [*order[:start], *order[stop:]], list(order[start:stop])


class Plan(NamedTuple):
    """The combinations and folds that a search tries, and its data.

    `sha256` is the checksum of the images of the data set `data` from `folder`.
    """

    settings: Settings        # of all runs, but for those that the grid varies
    grid: dict[str, list]           # the values of each setting that is varied
    folds: int                      # 0: evaluated on validation images
    data: str = ""
    sha256: str = ""
    folder: str = ""

    @property
    def size(self) -> int:
        """The number of runs, before they are made."""
        return math.prod(map(len, self.grid.values())) * max(1, self.folds)

    @property
    def combinations(self) -> list[Settings]:
        """Every combination of the grid; the last setting changes first."""
        return [dict(zip(self.grid, values))
                for values in itertools.product(*self.grid.values())]

    @property
    def trials(self) -> list[Trial]:
        """All runs, in order: the folds of the first combination, of the second ..."""
        return [Trial(number, {**self.settings, **chosen}, fold, self.folds, "-".join(
                    [f"run-{number}"] * bool(self.grid)
                    + [f"fold-{fold}"] * bool(self.folds)))
                for number, chosen in enumerate(self.combinations, 1)
                for fold in (range(1, self.folds + 1) if self.folds else [0])]

    def command(self, chosen: Mapping[str, Any]) -> str:
        """Return the command that trains this combination on all images; with
        validation images only where they say when to stop."""
        recipe = self.settings["recipe"]
        usual = {**DEFAULTS, **RECIPES[recipe]}
        others = {name: value for name, value in self.settings.items()
                  if name in usual and value != usual[name]}
        if not {**self.settings, **chosen}["patience"]:
            others.pop("validation", None)
        return " ".join(["python train.py", *[f"--recipe {recipe}"] * (
            recipe != "default"), *as_options({**others, **chosen})])

    def save(self, folder: Path) -> None:
        """Write it into the folder of the search."""
        write_whole(folder / PLAN, json.dumps(self._asdict(), indent=1).encode())

    @classmethod
    def load(cls, folder: Path) -> Plan:
        """Return the plan of a search begun earlier; DataError where there is none."""
        path = folder / PLAN
        try:
            _PLAN.check(saved := read_json(path), "plan")
        except (OSError, ValueError) as error:
            found = getattr(error, "strerror", None) or f"damaged settings ({error})"
            raise DataError(path, found, "the plan of a search") from None
        return cls(**saved)


_PLAN = Record(
    {"settings": Record({**KINDS, "recipe": Choice(*RECIPES)}),
     "grid": Record({}, {name: ListOf(line.kind, 1)
                         for name, line in SETTINGS.items() if line.varies}),
     "folds": whole(2, MOST_RUNS, none=0), "data": Text(), "sha256": Text(),
     "folder": Text()})


# --- one run

@lru_cache(maxsize=1)
def _images_in(folder: str, limit: int) -> Dataset:
    """Return the training images of a search; each process reads them once."""
    images, = data_loader.load(folder, parts=("train",))
    return images.head(limit) if limit else images


def train_trial(team: Team, trial: Trial, data: str, folder: Path) -> str:
    """Do what is left of a run in its folder, on the images in `data`; return "", or
    why it has diverged."""
    parts = trial.parts(_images_in(data, trial.settings["limit"]))
    folder.mkdir(exist_ok=True)
    with locked(folder):
        if (folder / MODEL).exists():
            network, settings, state = load_checkpoint(folder)
            check_same_data(parts, network, settings, state)
        else:
            network, settings, state = begin(trial.settings, parts)
        try:
            Run(team, network, parts, settings, folder, state).train()
        except OverflowError as error:
            return str(error)
    return ""


def result_of(trial: Trial, folder: Path) -> dict[str, Any] | None:
    """Return the result of a run of the search in a folder; None where it is not over.

    Accuracy and loss are those of the weights kept: of the last epoch, or the best one
    (`epoch`) where a run may end early.
    """
    folder = folder / trial.name
    if not (folder / MODEL).exists():
        return None
    _, settings, (history, *_) = load_checkpoint(folder)
    for name in SETTINGS:
        if settings[name] != trial.settings[name]:
            raise DataError(folder / MODEL, f"{name} {settings[name]}", "that of the "
                            f"search's plan, {trial.settings[name]}")
    if not is_over(history, settings):
        return None
    best = best_row(history)
    kept = best if settings["patience"] else history[-1]
    return {"outcome": "done", "epochs_run": len(history), "best_epoch": best["epoch"],
            "epoch": kept["epoch"], "validation_accuracy": kept["validation_accuracy"],
            "validation_loss": kept["validation_loss"],
            "seconds": round(math.fsum(row["seconds"] for row in history), 3)}


def done_before(plan: Plan, folder: Path) -> dict[str, dict]:
    """Return the results that are in the folder of a search, by the runs' names."""
    found = {trial.name: result_of(trial, folder) for trial in plan.trials}
    return {name: result for name, result in found.items() if result}


# --- many runs, each in a process

def _begin() -> None:
    """Begin the life of a process of a search: it ends with the one that leads."""
    begin_helper()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that leads the search has gone."""
    connection.wait([multiprocessing.parent_process().sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def train_all(trials: Sequence[Trial], data: str, folder: Path, at_once: int
              ) -> Iterator[tuple[Trial, Row] | None]:
    """Train all these runs on the images in `data`, at most `at_once` at a time.

    Yields (run, its result) as each ends, and None once a second meanwhile.  Whatever
    ends this ends the processes too.  Raises what stopped a run, DataError or OSError;
    WorkerError where a process was ended from outside.
    """
    others, jobs = set(multiprocessing.active_children()), {}
    size = min(at_once, max(1, len(trials)), 61)        # 61: all that Windows allows
    pool = ProcessPoolExecutor(size, initializer=_begin)
    try:
        with ctrl_c_later():
            for trial in trials:
                jobs[pool.submit(run_team, 1, train_trial, trial, data,
                                 folder / trial.name)] = trial
        waiting = set(jobs)
        while waiting:
            ended, waiting = wait(waiting, 1, FIRST_COMPLETED)
            for job in sorted(ended, key=lambda job: jobs[job].name):
                why = job.result()
                yield jobs[job], ({"outcome": "diverged", "why": why} if why
                                  else result_of(jobs[job], folder))
            yield None
    except BrokenProcessPool:
        raise WorkerError("the process of a run has ended early") from None
    finally:
        if not all(map(Future.done, jobs)):
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
        pool.shutdown(cancel_futures=True)      # and wait for all of it to end
        for trial in trials:        # a process may have ended in the midst of a write
            sweep(folder / trial.name)


# --- what was found

def fold_rows(plan: Plan, results: Mapping[str, Row]) -> list[Row]:
    """Return a row for each fold of each combination: its settings, its result."""
    chosen = plan.combinations
    return [{**({"number": trial.number} if plan.grid else {}),
             **chosen[trial.number - 1], "fold": trial.fold, **results[trial.name]}
            for trial in plan.trials]


def grid_rows(plan: Plan, results: Mapping[str, Row]) -> list[Row]:
    """Return a row for each combination: its settings, its result.

    Over folds it is the mean, with the standard `deviation` of the accuracies, and the
    sum of the seconds.
    """
    found, folds = [results[trial.name] for trial in plan.trials], max(1, plan.folds)
    return [{"number": n + 1, **chosen, **_over_folds(found[n * folds:(n + 1) * folds])}
            for n, chosen in enumerate(plan.combinations)]


def _over_folds(results: list[dict]) -> dict[str, Any]:
    diverged = [result for result in results if result["outcome"] == "diverged"]
    if diverged or len(results) == 1:
        return (diverged or results)[0]
    mean, deviation = mean_and_deviation(results)
    return {"outcome": "done", "epochs_run": results[0]["epochs_run"],
            "epoch": results[0]["epoch"], "validation_accuracy": mean,
            "deviation": deviation,
            "validation_loss": fmean(row["validation_loss"] for row in results),
            "seconds": round(math.fsum(row["seconds"] for row in results), 3)}


def mean_and_deviation(rows: Rows) -> tuple[float, float]:
    """Return mean and standard deviation of their accuracies."""
    accuracies = [row["validation_accuracy"] for row in rows]
    return fmean(accuracies), stdev(accuracies)


def summed_up(plan: Plan, rows: Rows) -> tuple[Survey, dict[str, Any]] | None:
    """Return (what a grid found, the best combination by the mean over its seeds).

    What diverged with any seed is left out; None where nothing is left.
    """
    names = [name for name in plan.grid if name != "seed"] or ["seed"]
    varied = [name for name in names if len(plan.grid[name]) > 1] or names[:1]

    def key(row: Row) -> dict[str, str]:
        """Return the values that are varied, as text."""
        return {name: value_text(name, row[name]) for name in varied}

    diverged = [key(row) for row in rows if row["outcome"] == "diverged"]
    sound = [row for row in rows if key(row) not in diverged]
    if not sound:
        return None
    found = survey(sound, varied)
    best = next(row for row in sound if key(row) == found.best)
    return found, {name: best[name] for name in plan.grid}
