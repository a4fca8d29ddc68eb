"""The progress and the results of runs and searches, as lines of text."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Callable, Mapping

from errors import OptionError
from learning.checkpoint import (HISTORY, Row, RunState, best_row, evaluated_on,
                                 is_over, shown_path, write_rows)
from learning.search import (FOLDS, GRID, Plan, Rows, Trial, fold_rows, grid_rows,
                             mean_and_deviation, summed_up)
from learning.settings import Settings, in_words, plain, value_text
from learning.survey import Survey
from learning.training import Listener
from show.console import LiveLine
from show.text import counted, table

# --- A run

def epoch_line(row: Mapping[str, Any], epochs: int) -> str:
    """Return the results of an epoch in one line."""
    part = evaluated_on(row)
    name = {"validation": "Val", "test": "Test"}[part]
    return (f"Epoch {row['epoch']:2}/{epochs} | Loss: {row['loss']:.4f} | "
            f"Train Acc: {row['train_accuracy']:.2%} | "
            f"{name} Acc: {row[f'{part}_accuracy']:.2%} | {row['seconds']:.1f} s")


class Printer(Listener):
    """Prints how a run goes: results on stdout, all else on stderr."""

    def __init__(self, epochs: int) -> None:
        self._epochs, self._live = epochs, LiveLine()

    def working(self, text: str) -> None:
        """Show the text on the live line."""
        self._live.show(text)

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Print a line."""
        self._live.clear()
        print(epoch_line(row, self._epochs), flush=True)

    def note(self, text: str) -> None:
        """Print the text."""
        self._live.clear()
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Wipe out the live line: the run is over, in whatever way."""
        self._live.clear()


def resume_line(state: RunState, settings: Settings) -> str:
    """Return where a resumed run goes on, or that it is finished."""
    done, epochs = len(state.history), settings["epochs"]
    if done >= epochs:
        return (f"The run is finished: all {epochs} epochs are done (--epochs N with a "
                "larger N goes on).")
    if is_over(state.history, settings):
        best, patience = best_row(state.history)["epoch"], settings["patience"]
        return (f"The run is finished: no epoch was better than epoch {best} "
                f"(--patience {patience}).")
    part = f", after {state.epoch.done:,} images" * bool(state.epoch.done)
    return f"Going on with epoch {done + 1} of {epochs}{part}."


def training_note(row: Mapping[str, Any], accuracy: float, settings: Settings) -> str:
    """Return why training accuracy lies below test accuracy, where it does."""
    if row["train_accuracy"] >= accuracy:
        return ""
    why = (["on augmented images"] * (settings["augment"] != "none")
           + ["without the easy ones"]
           * bool(settings["skip_below"] and settings["skip_epochs"])
           + ["with units left out"] * bool(settings["dropout"]))
    return ("Training accuracy is lower: it is measured while the network learns"
            + "".join(f", {reason}" for reason in why) + ".")


# --- A search

def plan_line(plan: Plan, at_once: int) -> str:
    """Return what a search is going to do, in one line."""
    varied = [f"{plain(name)} ({', '.join(value_text(name, x) for x in values)})"
              for name, values in plan.grid.items()]
    found = [f"{counted(len(plan.combinations), 'combination')} of " + ", ".join(varied)
             ] * bool(varied) + [f"{plan.folds} folds"] * bool(plan.folds)
    return (f"Search: {', each by '.join(found)}; {counted(len(plan.trials), 'run')}, "
            f"{min(at_once, len(plan.trials))} at once")


def trial_line(plan: Plan, trial: Trial, result: Mapping[str, Any]) -> str:
    """Return the result of one run in one line."""
    parts = []
    if plan.grid:
        count = len(plan.combinations)
        parts += [f"Run {trial.number:{len(str(count))}}/{count}"]
    if plan.folds:
        parts += [f"Fold {trial.fold:{len(str(plan.folds))}}/{plan.folds}"]
    if plan.grid:
        parts += [in_words(plan.combinations[trial.number - 1])]
    if result["outcome"] == "diverged":
        return " | ".join([*parts, f"diverged: {result['why']}"])
    return " | ".join([*parts, f"Val Acc: {result['validation_accuracy']:.2%}",
                       f"epoch {result['epoch']}", f"{result['seconds']:.1f} s"])


def under_way(plan: Plan, results: Mapping[str, Row], folder: Path) -> str:
    """Return how far a search is, in one line, from the histories of its runs."""
    paths = {trial.name: folder / trial.name / HISTORY for trial in plan.trials
             if trial.name not in results}
    running = [f"{name} ({path.read_bytes().count(10) - 1})"        # line ends
               for name, path in paths.items() if path.exists()]
    return (f"{len(results)}/{len(plan.trials)} runs done; epochs of those under way: "
            + ", ".join(running))


def fold_lines(plan: Plan, rows: Rows) -> list[str]:
    """Return mean and standard deviation over the folds of each combination."""
    return [f"{in_words(chosen)}: "
            + (f"mean {row['validation_accuracy']:.2%}, standard deviation "
               f"{100 * row['deviation']:.2f} points" if "deviation" in row
               else row["outcome"])
            for chosen, row in zip(plan.combinations, rows)]


def best_line(found: Survey) -> str:
    """Return the best settings in words: "best: 97.00% with hidden 64, epochs 5"."""
    chosen = ", ".join(f"{plain(name)} {value}" for name, value in found.best.items())
    return f"best: {found.cells[found.best_cell]:.2%} with {chosen}"


def over(found: Survey) -> str:
    """Return the settings that vary unseen, a score being the best of them; or ""."""
    return "the best over " * bool(found.others) + ", ".join(map(plain, found.others))


def grid_lines(found: Survey) -> list[str]:
    """Return a table of the scores in per cent, the best in brackets, and words."""
    def cell(*key: str) -> str:
        """Return one score; nothing where this pair has none."""
        score = f"{100 * found.cells[key]:.2f}" if key in found.cells else ""
        return f"[{score}]" if key == found.best_cell else score + " "

    first, *second = map(plain, found.names)
    if not second:
        rows = [[first, "validation accuracy, %"],
                *([value, cell(value)] for value in found.values[0])]
        return [*table(rows), "", best_line(found)]
    down, across = found.values
    rows = [["", *(f"{value} " for value in across)],
            *([y, *(cell(y, x) for x in across)] for y in down)]
    return [f"validation accuracy, %; down: {first}, across: {second[0]}"
            + f"; {over(found)}" * bool(found.others), "", *table(rows), "",
            best_line(found)]


def report_folds(plan: Plan, results: dict[str, dict], folder: Path) -> None:
    """Write the table of all folds; where there is no grid, print what they say."""
    rows = fold_rows(plan, results)
    write_rows(folder / FOLDS, rows)
    if plan.grid:
        return
    diverged = [row for row in rows if row["outcome"] == "diverged"]
    if diverged:
        raise OptionError(f"training diverged in {len(diverged)} of {plan.folds} folds "
                          f"({diverged[0]['why']}): expected the loss to fall; lower "
                          "--learning-rate")
    mean, deviation = mean_and_deviation(rows)
    print(f"\nMean of {plan.folds} folds: {mean:.2%}, standard deviation "
          f"{100 * deviation:.2f} points\nTable: {shown_path(folder / FOLDS)}")


def report_grid(plan: Plan, results: dict[str, dict], folder: Path,
                draw: Callable[[Path, Survey], list[str]] | None) -> dict[str, Any]:
    """Write, print and draw the table of all combinations; return the best one."""
    rows = grid_rows(plan, results)
    write_rows(folder / GRID, rows)
    found = summed_up(plan, rows)
    if found is None:
        raise OptionError(f"training diverged in all of {len(rows)} combinations: "
                          "expected the loss to fall; lower --learning-rate")
    if plan.folds:
        print("", *fold_lines(plan, rows), sep="\n")
    print("", *grid_lines(found[0]), "", sep="\n")
    diverged = sum(row["outcome"] == "diverged" for row in rows)
    if diverged:
        print(f"Not in it: {diverged} of {len(rows)} combinations, which diverged")
    tables = [GRID] + [FOLDS] * bool(plan.folds)
    print("Table:", ", ".join(shown_path(folder / name) for name in tables))
    if draw:
        try:
            print("Picture:", *draw(folder, found[0]))
        except ImportError as error:
            print(f"No picture drawn: {error}")
    return found[1]
