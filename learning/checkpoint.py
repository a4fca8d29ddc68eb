"""Checkpoints: the state of a run, written whole and checked when read.

The model file alone is enough to resume: beside the network it holds the settings, the
history, and what only a run that goes on needs, such as the optimizer's matrices.
"""
from __future__ import annotations

import base64
import csv
import io
import zlib
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Sequence

from data_loader import Dataset
from engine.files import write_whole
from errors import DataError, OptionError
from learning.kinds import FRACTION, NOT_NEGATIVE, ListOf, Record, Text, whole
from learning.optimizers import Matrices
from learning.settings import (DEFAULTS, KINDS, Settings, optimizer_maker, value_text,
                               with_new_names)
from my_math import Matrix
from network import Network, all_finite

Row = dict[str, Any]        # the results of an epoch
History = list[Row]

RUNS, MODEL = Path(__file__).resolve().parent.parent / "runs", "model.npz"
HISTORY = "history.csv"
BEST = "best.npz"       # the best weights so far, where a run may end early
_PARTS = ("weights", "bias")     # of a layer, and of what an optimizer keeps for it
_MOST_SKIPPED = 10 ** 7         # images of which a text may tell how long they are


def shown_path(path: str | Path) -> str:
    """Return a path from the current folder, where it is in there."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


class EpochState(NamedTuple):
    """The part of an epoch that is done."""

    done: int = 0               # images trained
    loss_sum: int = 0           # over these, in units of 2^-LOSS_BITS
    correct: int = 0            # of these
    easy: list = []             # of these, by number
    seconds: float = 0.0


class RunState(NamedTuple):
    """The state of a run beside its network."""

    history: History            # a row for each epoch done
    skipped: list[int]          # for each image the epochs for which it is left out yet
    optimizer: Matrices = {}    # its state
    step_count: int = 0         # its steps so far
    epoch: EpochState = EpochState()    # the one after those of the history


# What model.npz of a run has beside its matrices.
_EVALUATED = [{f"{part}_loss": NOT_NEGATIVE, f"{part}_accuracy": FRACTION}
              for part in ("validation", "test")]
ROW = Record(
    {"epoch": whole(1), "loss": NOT_NEGATIVE, "train_accuracy": FRACTION,
     "images": whole(1), "seconds": NOT_NEGATIVE}, {**_EVALUATED[0], **_EVALUATED[1]})
_STATE = {
    "history": ListOf(ROW), "skipped": Text(4 * _MOST_SKIPPED),
    "epoch_state": Record({"done": whole(0), "loss_sum": whole(0), "correct": whole(0),
                           "easy": ListOf(whole(0)), "seconds": NOT_NEGATIVE}),
    "optimizer_steps": whole(0, 2 ** 53 - 1)}
_SAVED = Record(
    {**KINDS, "data": Text(), "class_names": ListOf(Text()), "history": ListOf(ROW)},
    {**_STATE, "recipe": Text(), "best_epoch": whole(1),
     "sha256": Record({}, {name: Text() for name in ("train", "validation", "test")})})


def best_row(history: History) -> Row:
    """Return the epoch of the highest validation accuracy, the first of equals."""
    return max(history, key=lambda row: row["validation_accuracy"])


def evaluated_on(row: Row) -> str:
    """Return the images that a run is evaluated on: "validation" or "test"."""
    return "validation" if "validation_accuracy" in row else "test"


def is_over(history: History, settings: Settings) -> bool:
    """Return True after the last epoch, or `patience` epochs that were no better."""
    if len(history) >= settings["epochs"]:
        return True
    patience = settings["patience"]
    return bool(patience and history
                and len(history) - best_row(history)["epoch"] >= patience)


# --- writing

def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of settings and results as CSV; a row may lack some of the names."""
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: value_text(name, value) for name, value in row.items()})
    write_whole(path, text.getvalue().encode())


def save_checkpoint(folder: Path, network: Network, settings: Settings, state: RunState
                    ) -> None:
    """Write the network with its settings and state, in one step, and the history as
    CSV too; where the run may end early the best network so far as well."""
    history, there_is_one = state.history, (folder / MODEL).exists()
    saved = {**settings, "history": history, "epoch_state": state.epoch._asdict(),
             "skipped": base64.b64encode(zlib.compress(bytes(state.skipped))).decode(),
             "optimizer_steps": state.step_count}
    is_best = (settings["patience"] and not state.epoch.done
               and history[-1] is best_row(history))
    try:
        if is_best and there_is_one:
            network.save(folder / BEST, saved)
        network.save(folder / MODEL, saved, {
            f"optimizer.{kind}{number}.{name}": matrix
            for kind, pairs in state.optimizer.items()
            for number, pair in enumerate(pairs, 1)
            for name, matrix in zip(_PARTS, pair)})
        if is_best and not there_is_one:    # without a model there is no way to go on
            network.save(folder / BEST, saved)
        if history:
            write_rows(folder / HISTORY, history)
    except OSError as error:
        kept = "the checkpoint before it is kept" if there_is_one else ""
        raise DataError(folder, error.strerror or str(error),
                        "a folder that can be written", kept) from None


def restore_best(folder: Path, settings: Settings, history: History) -> None:
    """Put the network of the best epoch into the model file: its run is over."""
    best, _ = Network.load(folder / BEST)
    best.save(folder / MODEL, {**settings, "history": history,
                               "best_epoch": best_row(history)["epoch"]})


# --- reading

def load_checkpoint(folder: Path, epochs: int | None = None
                    ) -> tuple[Network, Settings, RunState]:
    """Return (network, settings, state) of a run, which may go on for more epochs.

    DataError where the folder has none.
    """
    path = folder / MODEL
    if not path.exists():
        raise DataError(folder, "no checkpoint", "the folder of a run",
                        "begin the run again with --output")
    network, saved, matrices = Network.load_all(path)
    saved = with_new_names(saved, {"resting": "skipped", "part": "epoch_state"})
    if not set(DEFAULTS) <= set(saved) or "history" not in saved:
        raise DataError(path, "a model without the settings of a run",
                        "a checkpoint of train.py")
    try:
        if "epoch_state" in saved:
            saved["epoch_state"] = with_new_names(
                saved["epoch_state"], {"right": "correct", "sure": "easy"})
        _SAVED.check(saved)
        _check_fit(network, saved)
        if epochs:
            _check_more(path, epochs, saved)
            saved["epochs"] = epochs
        state = _state(network, saved, matrices)
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise DataError(path, f"damaged settings ({error})",
                        "a checkpoint of train.py") from None
    if saved["patience"] and state.history:
        if (len(state.history), state.epoch.done) == (1, 0) and not (
                folder / BEST).exists():    # killed before it could write that
            network.save(folder / BEST, saved)
        best, _ = Network.load(folder / BEST)
        if best.sizes != network.sizes:
            raise DataError(folder / BEST, f"{best!r}", f"one like {network!r}")
    settings = {name: value for name, value in saved.items() if name not in _STATE}
    return network, settings, state


def _check_fit(network: Network, saved: dict) -> None:
    """Raise ValueError where parts of what was saved do not fit one another."""
    history = saved["history"]
    evaluated = [set(row) - ROW.needed for row in history]
    fits = {
        "hidden": saved["hidden"] == network.sizes[1:-1],
        "class_names": len(saved["class_names"]) == network.sizes[-1],
        "history": [row["epoch"] for row in history] == [*range(1, len(history) + 1)]
        and any(all(names == set(part) for names in evaluated)
                for part in _EVALUATED[:1 if saved["patience"] else 2])}
    for name, is_so in fits.items():
        if not is_so:
            raise ValueError(f"{name} that does not fit the rest")


def _check_more(path: Path, epochs: int, saved: dict) -> None:
    """Raise OptionError or DataError where a run cannot go on for more epochs."""
    if epochs <= saved["epochs"]:
        raise OptionError(f"--epochs {epochs}: expected more than the "
                          f"{saved['epochs']} of the run that is resumed")
    if is_over(saved["history"], saved) and "skipped" not in saved:
        raise DataError(path, "nothing but the weights of a run that has ended",
                        "its state, to go on for more epochs")


def _state(network: Network, saved: dict, matrices: dict[str, Matrix]) -> RunState:
    """Take the state out of what was saved; ValueError or the like where it is damaged.

    A run that is over may lack what only one that goes on needs.
    """
    history, skipped = saved["history"], _unpacked(saved.get("skipped", ""))
    if is_over(history, saved):
        return RunState(history, skipped)
    epoch, images = EpochState(**saved["epoch_state"]), len(skipped)
    if not (max(1, epoch.done, *(row["images"] for row in history)) <= images
            and set(epoch.easy) <= set(range(images))
            and max(epoch.correct, len(set(epoch.easy))) <= epoch.done
            and epoch.loss_sum <= epoch.done << 64):
        raise ValueError("an epoch_state that does not fit the rest")
    return RunState(history, skipped, _checked_matrices(network, saved, matrices),
                    saved["optimizer_steps"], epoch)


def _unpacked(text: str) -> list[int]:
    """Return the skipped images of which a text was made, up to a limit; [] for ""."""
    unpack = zlib.decompressobj()
    numbers = unpack.decompress(base64.b64decode(text, validate=True), _MOST_SKIPPED)
    if text and not unpack.eof:
        raise ValueError(f"skipped images without end, or more than {_MOST_SKIPPED:,}")
    return list(numbers)


def _checked_matrices(network: Network, saved: dict, arrays: dict[str, Matrix]
                      ) -> Matrices:
    """Return the optimizer's matrices; ValueError where they are not those it has."""
    found: Matrices = {}
    for kind in optimizer_maker(saved)([]).state:
        found[kind] = []
        for number, layer in enumerate(network.layers, 1):
            pair = [arrays.get(f"optimizer.{kind}{number}.{name}") for name in _PARTS]
            for own, matrix in zip((layer.weights, layer.bias), pair):
                if not (matrix and matrix.shape == own.shape and all_finite(matrix)):
                    raise ValueError("other matrices than the optimizer's")
            found[kind].append(pair)
    return found


# --- the same data

def checksums(parts: Mapping[str, Dataset]) -> dict[str, str]:
    """Return the checksum of each of the data sets of a run."""
    return {name: part.checksum for name, part in parts.items()}


def other_data(name: str, before: str) -> DataError:
    """Return the error of a run or a search that is resumed on other data."""
    return DataError(name, f"other images or labels than those of {before}",
                     "the same data that it was begun on", "give its folder by --data")


def check_same_data(parts: Mapping[str, Dataset], network: Network, settings: Settings,
                    state: RunState) -> None:
    """Raise DataError where a run is resumed on other data than it was begun on.

    Older checkpoints have no checksums: they are taken from what is there now.
    """
    train, found = parts["train"], checksums(parts)
    if not (settings.setdefault("sha256", found) == found
            and network.sizes[0] == train.height * train.width
            and network.sizes[-1] == train.class_count
            and len(state.skipped) in (0, len(train))):
        raise other_data(train.name, settings["data"])
