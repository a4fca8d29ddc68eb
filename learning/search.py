"""Searches: many runs judged alike, side by side in processes of their own.

    grid        every combination of the values given for some settings, each judged on
                the same validation images
    folds       k-fold cross-validation (Stone 1974): the images in k parts, k networks
                each judged on the part that it has not seen
    both        every combination judged by k folds

The test set takes no part.  A run is trained by one process, so the results are the
same for any number of them.  A search has a folder:

    search.json                     what it tries; enough to go on with it
    grid.csv, folds.csv             its results
    run-1/, run-2-fold-1/, ...      a folder for each run, with result.json at its end
"""
from __future__ import annotations

import itertools
import json
import math
import multiprocessing
import os
import signal
import sys
import threading
from argparse import ArgumentTypeError
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Callable, Collection, Mapping, NamedTuple, Sequence

from data_loader import Dataset
from engine.lanes import LaneOverflowError
from engine.files import write_whole
from engine.team import Team, WorkerError, begin_helper, ctrl_c_later, run_team
from errors import DataError, OptionError
from learning.checkpoint import (MODEL, RunState, best_row, load_checkpoint,
                                 write_rows)
from learning.settings import (DEFAULTS, SETTINGS, as_options, option, value_text)
from learning.survey import Survey, survey
from learning.engines import DivergedError
from learning.training import Listener, Run, new_network, random_for

PLAN, RESULT, GRID, FOLDS = "search.json", "result.json", "grid.csv", "folds.csv"

# What result.json has: of a run that has learnt, of one that has diverged.
_RESULTS = ({"epochs_run", "best_epoch", "epoch", "validation_accuracy",
             "validation_loss", "seconds", "outcome"}, {"outcome", "why"})

Rows = Sequence[Mapping[str, Any]]


# ---------------------------------------------------------------------------
# Settings as text
# ---------------------------------------------------------------------------

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


# ---------------------------------------------------------------------------
# What is tried
# ---------------------------------------------------------------------------

class Trial(NamedTuple):
    """One run of a search: combination `number` from 1, fold `fold` of `folds` from 1;
    no folds where validation images judge."""

    number: int
    settings: dict[str, Any]
    fold: int = 0
    folds: int = 0
    grid: bool = True

    @property
    def name(self) -> str:
        """That of its folder."""
        parts = [f"run-{self.number}"] * self.grid + [f"fold-{self.fold}"] * bool(
            self.folds)
        return "-".join(parts)

    def parts(self, images: Dataset) -> dict[str, Dataset]:
        """The images to train on and those to judge by, as a run wants them."""
        if self.folds:
            order = images.order(random_for(self.settings, "folds"))
            train, judged = fold_parts(order, self.fold, self.folds)
            train, validation = images.pick(train), images.pick(judged)
        else:
            train, validation = images.split(self.settings["validation"])
        return {"train": train, "validation": validation}


def fold_parts(order: Sequence[int], fold: int, folds: int
               ) -> tuple[list[int], list[int]]:
    """(indices to train on, indices to judge by) of a fold from 1; the sizes of all
    parts differ by 1 at most.

    >>> [fold_parts([3, 0, 2, 1, 4], fold, 2)[1] for fold in (1, 2)]
    [[3, 0], [2, 1, 4]]
    """
    start, stop = (len(order) * k // folds for k in (fold - 1, fold))
    return [*order[:start], *order[stop:]], list(order[start:stop])


class Plan(NamedTuple):
    """What a search tries.

    `given` names the settings that were asked for beside the recipe; `images` counts
    those of the data set `data`, both parts together.
    """

    settings: dict[str, Any]        # of all runs, but for those that the grid varies
    grid: dict[str, list]           # the values of each setting that is varied
    folds: int                      # 0: validation images judge
    given: list[str]
    data: str
    images: int

    @property
    def combinations(self) -> list[dict[str, Any]]:
        """Every combination of the grid; the last setting changes first."""
        return [dict(zip(self.grid, values))
                for values in itertools.product(*self.grid.values())]

    @property
    def trials(self) -> list[Trial]:
        """All runs, in order."""
        return [Trial(number, {**self.settings, **chosen}, fold, self.folds,
                      bool(self.grid))
                for number, chosen in enumerate(self.combinations, 1)
                for fold in (range(1, self.folds + 1) if self.folds else [0])]

    def command(self, chosen: Mapping[str, Any]) -> str:
        """The options that train this combination on all images; with validation images
        only where they say when to stop."""
        whole = {**self.settings, **chosen}
        names = set(self.given) | set(chosen)
        names = names | {"validation"} if whole["patience"] else names - {"validation"}
        recipe = [f"--recipe {whole['recipe']}"] * (whole["recipe"] != "default")
        return " ".join(["python train.py", *recipe, *as_options(
            {name: whole[name] for name in names})])

    def save(self, folder: Path) -> None:
        """Write it into the folder of the search."""
        write_whole(folder / PLAN, json.dumps(self._asdict(), indent=1).encode())

    @classmethod
    def load(cls, folder: Path) -> Plan:
        """That of a search begun earlier; DataError where there is none."""
        path, expected = folder / PLAN, "the plan of a search"
        plan = cls(**_read_json(path, expected, cls._fields))
        kinds = dict, dict, int, list, str, int
        if not (all(map(isinstance, plan, kinds))
                and {*DEFAULTS, "recipe"} <= set(plan.settings)
                and set(plan.grid) <= set(DEFAULTS)
                and all(isinstance(v, list) and v for v in plan.grid.values())):
            raise DataError(path, "damaged settings", expected)
        return plan


def _read_json(path: Path, expected: str, *names: Collection[str]) -> dict:
    """The object in a JSON file, which has one of these sets of names."""
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(path, error.strerror or str(error), expected) from None
    except ValueError:
        raise DataError(path, "a damaged file", expected) from None
    if not isinstance(found, dict) or not any(
            set(found) == set(some) for some in names):
        raise DataError(path, f"{found!r:.40}", expected)
    return found


# ---------------------------------------------------------------------------
# One run, in a process of its own
# ---------------------------------------------------------------------------

class _Counter(Listener):
    """Tells how many epochs are done."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell

    def epoch(self, row: dict[str, Any]) -> None:
        """Tell the number of this one."""
        self._tell(row["epoch"])


def train_trial(team: Team, trial: Trial, images: Dataset, folder: Path,
                tell: Callable[[int], None] = lambda epochs: None) -> dict[str, Any]:
    """Do what is left of a run in its folder; returns its result and writes it there.

    Accuracy and loss are those of the weights kept: of the last epoch, or the best one
    (`epoch`) where a run may end early.
    """
    folder.mkdir(exist_ok=True)
    parts = trial.parts(images)
    try:
        if (folder / MODEL).exists():
            network, settings, state = load_checkpoint(folder)
        else:
            settings = {**trial.settings, "data": images.name,
                        "class_names": list(images.class_names)}
            network = new_network(settings, parts["train"])
            state = RunState.initial(len(parts["train"]))
        Run(team, network, parts, settings, folder, state, _Counter(tell)).train()
        result = _result(state.history, settings)
    except (DivergedError, LaneOverflowError) as error:
        result = {"outcome": "diverged", "why": str(error)}
    write_whole(folder / RESULT, json.dumps(result, indent=1).encode())
    return result


def _result(history: list[dict], settings: Mapping[str, Any]) -> dict[str, Any]:
    best = best_row(history)
    kept = best if settings["patience"] else history[-1]
    return {"epochs_run": len(history), "best_epoch": best["epoch"],
            "epoch": kept["epoch"],
            "validation_accuracy": kept["validation_accuracy"],
            "validation_loss": kept["validation_loss"],
            "seconds": round(math.fsum(row["seconds"] for row in history), 3),
            "outcome": "done"}


def done_before(plan: Plan, folder: Path) -> dict[str, dict]:
    """The results that are in the folder of a search already, by the runs' names."""
    paths = {trial.name: folder / trial.name / RESULT for trial in plan.trials}
    return {name: _read_json(path, "the result of a run", *_RESULTS)
            for name, path in paths.items() if path.exists()}


# ---------------------------------------------------------------------------
# Many runs, each in a process
# ---------------------------------------------------------------------------

class _Job:
    """A run in a process, seen from the one that started it."""

    def __init__(self, trial: Trial, images: Dataset, folder: Path) -> None:
        self.trial, self.epochs = trial, 0
        self.connection, far_end = multiprocessing.Pipe(duplex=False)
        self._process = multiprocessing.Process(
            target=_work, args=(far_end, trial, images, folder / trial.name),
            daemon=True)
        self._process.start()
        far_end.close()             # so that a process that ends closes the pipe

    def end(self) -> None:
        """Wait for the process a moment, then no longer."""
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
        self.connection.close()

    def stop(self) -> None:
        """Ask the process to end at once."""
        self._process.terminate()


def _work(connection: Connection, trial: Trial, images: Dataset, folder: Path) -> None:
    """The life of a process: one run, and word of it."""
    begin_helper()
    # Ended so, it still removes a file that it has only half written.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        connection.send(_outcome(connection, trial, images, folder))
    except BrokenPipeError:
        sys.exit(1)                 # nobody listens any more


def _outcome(connection: Connection, trial: Trial, images: Dataset, folder: Path
             ) -> tuple[str, Any]:
    """("done", the result of the run) or ("failed", the error that stopped it)."""
    try:
        return "done", run_team(1, train_trial, trial, images, folder,
                                lambda epochs: connection.send(("epochs", epochs)))
    except BrokenPipeError:
        raise
    except (DataError, OSError, MemoryError) as error:
        return "failed", error


def _end_with_parent() -> None:
    """End this process when the one that leads the search has gone."""
    wait([multiprocessing.parent_process().sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def train_all(trials: Sequence[Trial], images: Dataset, folder: Path, at_once: int,
              show: Callable[[dict[str, int]], None],
              done: Callable[[Trial, dict], None]) -> None:
    """Train all these runs, at most `at_once` at a time.

    done(trial, result) is called as each ends, and show({name: epochs done}) whenever
    one of those under way has got on.  Whatever ends this ends the processes too.
    Raises what stopped a run, DataError or OSError; WorkerError where a process was
    ended from outside.
    """
    waiting, jobs = list(reversed(trials)), {}
    try:
        while waiting or jobs:
            while waiting and len(jobs) < at_once:
                with ctrl_c_later():
                    job = _Job(waiting.pop(), images, folder)
                    jobs[job.connection] = job
            show({job.trial.name: job.epochs for job in jobs.values()})
            for connection in wait(list(jobs)):
                word, value = _hear(jobs[connection])
                if word == "epochs":
                    jobs[connection].epochs = value
                else:
                    job = jobs.pop(connection)
                    job.end()
                    done(job.trial, value)
    finally:
        for act in (_Job.stop, _Job.end):
            for job in jobs.values():
                act(job)


def _hear(job: _Job) -> tuple[str, Any]:
    """What the process of a job has to tell."""
    try:
        word, value = job.connection.recv()
    except EOFError:
        raise WorkerError(f"the process of {job.trial.name} has ended early") from None
    if word == "failed":
        raise value
    return word, value


# ---------------------------------------------------------------------------
# What was found
# ---------------------------------------------------------------------------

def fold_rows(plan: Plan, results: Mapping[str, dict]) -> list[dict]:
    """A row for each fold of each combination: what was varied, and its result."""
    chosen = plan.combinations
    return [{**({"number": trial.number} if plan.grid else {}),
             **chosen[trial.number - 1], "fold": trial.fold, **results[trial.name]}
            for trial in plan.trials]


def grid_rows(plan: Plan, results: Mapping[str, dict]) -> list[dict]:
    """A row for each combination: what was varied, and its result.

    Over folds it is the mean, with the standard `deviation` of the accuracies, and the
    sum of the seconds.
    """
    groups: dict[int, list[dict]] = {}
    for trial in plan.trials:
        groups.setdefault(trial.number, []).append(results[trial.name])
    return [{"number": number, **chosen, **_over_folds(groups[number])}
            for number, chosen in enumerate(plan.combinations, 1)]


def _over_folds(results: list[dict]) -> dict[str, Any]:
    diverged = [result for result in results if result["outcome"] == "diverged"]
    if diverged or len(results) == 1:
        return (diverged or results)[0]

    return {"epochs_run": results[0]["epochs_run"], "epoch": results[0]["epoch"],
            "validation_accuracy": mean_accuracy(results),
            "deviation": deviation(results),
            "validation_loss": _mean([row["validation_loss"] for row in results]),
            "seconds": round(math.fsum(row["seconds"] for row in results), 3),
            "outcome": "done"}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def mean_accuracy(rows: Rows) -> float:
    """The mean of their accuracies."""
    return _mean([row["validation_accuracy"] for row in rows])


def deviation(rows: Rows) -> float:
    """Their standard deviation, sqrt(sum (accuracy_i - mean)^2 / (k - 1))."""
    mean = mean_accuracy(rows)
    return math.sqrt(math.fsum((row["validation_accuracy"] - mean) ** 2
                               for row in rows) / (len(rows) - 1))


def summed_up(plan: Plan, rows: Rows) -> tuple[Survey, dict[str, Any]] | None:
    """(what a grid found, the best combination by the mean over its seeds).

    What diverged with any seed is left out; None where nothing is left.
    """
    names = [name for name in plan.grid if name != "seed"] or ["seed"]
    groups: dict[tuple, list] = {}
    for row in rows:
        groups.setdefault(tuple(value_text(name, row[name]) for name in names),
                          []).append(row)
    sound = [group for group in groups.values()
             if all(row["outcome"] == "done" for row in group)]
    if not sound:
        return None
    best = max(sound, key=mean_accuracy)[0]
    varied = [name for name in names if len(plan.grid[name]) > 1] or names[:1]
    return survey([row for group in sound for row in group], varied), {name: best[name] for name in plan.grid}
