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

from engine.files import write_whole
from errors import DataError, OptionError
from learning.settings import (DEFAULTS, check_settings, optimizer_maker, value_text,
                               with_new_names)
from my_math import Matrix
from network import Network, all_finite

RUNS, MODEL = Path(__file__).resolve().parent.parent / "runs", "model.npz"
HISTORY = "history.csv"
BEST = "best.npz"       # the best weights so far, where a run may end early
_PARTS = ("weights", "bias")     # of a layer, and of what an optimizer keeps for it
_NEW_NAMES = {"resting": "skipped", "part": "epoch_state"}      # in older checkpoints
_NEW_NAMES_IN_EPOCH = {"right": "correct", "sure": "easy"}


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

    history: list[dict]         # a row for each epoch done
    skipped: list[int]          # for each image the epochs for which it is left out yet
    best: Network | None        # the best so far, where the run may end early
    optimizer: dict[str, list]  # its matrices: kind, layer, (weights, bias)
    step_count: int             # its steps so far
    epoch: EpochState = EpochState()    # the one after those of the history

    @classmethod
    def initial(cls, images: int) -> RunState:
        """Return the state of a run that has not begun."""
        return cls([], [0] * images, None, {}, 0)


def best_row(history: list[dict]) -> dict:
    """Return the epoch of the highest validation accuracy, the first of equals."""
    return max(history, key=lambda row: row["validation_accuracy"])


def evaluated_on(row: dict) -> str:
    """Return the images that a run is evaluated on: "validation" or "test"."""
    return "validation" if "validation_accuracy" in row else "test"


def is_over(history: list[dict], settings: dict) -> bool:
    """Return True after the last epoch, or `patience` epochs that were no better."""
    if len(history) >= settings["epochs"]:
        return True
    patience = settings["patience"]
    return bool(patience and history
                and len(history) - best_row(history)["epoch"] >= patience)


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of settings and results as CSV; a row may lack some of the names."""
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: value_text(name, value) for name, value in row.items()})
    write_whole(path, text.getvalue().encode())


def save_checkpoint(folder: Path, network: Network, settings: dict, state: RunState
                    ) -> None:
    """Write the network with its settings and state, and the history as CSV too.

    The model file alone is enough to resume, and it is replaced in one step.
    """
    history, there_is_one = state.history, (folder / MODEL).exists()
    skipped = base64.b64encode(zlib.compress(bytes(state.skipped))).decode()
    saved = {**settings, "history": history, "skipped": skipped,
             "epoch_state": state.epoch._asdict(), "optimizer_steps": state.step_count}
    try:
        if (settings["patience"] and not state.epoch.done
                and history[-1] is best_row(history)):
            network.save(folder / BEST, saved)
        network.save(folder / MODEL, saved, {
            f"optimizer.{kind}{number}.{name}": matrix
            for kind, pairs in state.optimizer.items()
            for number, pair in enumerate(pairs, 1)
            for name, matrix in zip(_PARTS, pair)})
        if history:
            write_rows(folder / HISTORY, history)
    except OSError as error:
        kept = "the checkpoint before it is kept" if there_is_one else ""
        raise DataError(folder, error.strerror or str(error),
                        "a folder that can be written", kept) from None


def load_checkpoint(folder: Path, epochs: int | None = None
                    ) -> tuple[Network, dict, RunState]:
    """Return (network, settings, state) of a run, which may go on for more epochs.

    DataError where the folder has none.
    """
    path = folder / MODEL
    if not path.exists():
        raise DataError(folder, "no checkpoint", "the folder of a run",
                        "begin the run again with --output")
    network, saved, matrices = Network.load_all(path)
    saved = {_NEW_NAMES.get(name, name): value
             for name, value in with_new_names(saved).items()}
    if not set(DEFAULTS) <= set(saved) or "history" not in saved:
        raise DataError(path, "a model without the settings of a run",
                        "a checkpoint of train.py")
    try:
        check_settings(saved)
        history = _checked_history(saved.pop("history"))
        if epochs:
            _check_more(path, epochs, history, saved)
            saved["epochs"] = epochs
        state = _checked_state(network, saved, matrices, history)
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise DataError(path, f"damaged settings ({error})",
                        "a checkpoint of train.py") from None
    if saved["patience"] and history:
        state = state._replace(best=Network.load(folder / BEST)[0])
    return network, saved, state


def _check_more(path: Path, epochs: int, history: list[dict], saved: dict) -> None:
    """OptionError or DataError where a run cannot go on for more epochs."""
    if epochs <= saved["epochs"]:
        raise OptionError(f"--epochs {epochs}: expected more than the "
                          f"{saved['epochs']} of the run that is resumed")
    if is_over(history, saved) and "skipped" not in saved:
        raise DataError(path, "nothing but the weights of a run that has ended",
                        "its state, to go on for more epochs")


def _checked_state(network: Network, saved: dict, matrices: dict[str, Matrix],
                   history: list[dict]) -> RunState:
    """Take the state out of what was saved; ValueError or the like where it is damaged.

    A run that is over may lack what only one that goes on needs.
    """
    text, epoch = saved.pop("skipped", ""), saved.pop("epoch_state", {})
    skipped = list(zlib.decompress(base64.b64decode(text))) if text else []
    step_count = saved.pop("optimizer_steps", None)
    if is_over(history, saved):
        return RunState(history, skipped, None, {}, 0)
    if not skipped:
        raise TypeError("nothing about skipped images")
    if type(step_count) is not int or not 0 <= step_count < 1 << 53:
        raise ValueError(f"optimizer_steps is {step_count!r}")
    return RunState(history, skipped, None, _checked_matrices(network, saved, matrices),
                    step_count, _checked_epoch(epoch, len(skipped)))


def _checked_matrices(network: Network, saved: dict, arrays: dict[str, Matrix]
                      ) -> dict[str, list]:
    """Return the optimizer's matrices; ValueError where they are not those it has."""
    found: dict[str, list] = {}
    for kind in optimizer_maker(saved)([]).state:
        found[kind] = []
        for number, layer in enumerate(network.layers, 1):
            pair = [arrays.get(f"optimizer.{kind}{number}.{name}") for name in _PARTS]
            for matrix, own in zip(pair, (layer.weights, layer.bias)):
                if matrix is None or matrix.shape != own.shape:
                    raise ValueError("other matrices than the optimizer's")
                if not all_finite(matrix):
                    raise ValueError("an optimizer's numbers that are not finite")
            found[kind].append(pair)
    return found


def _checked_history(history: Any) -> list[dict]:
    """Return the history; TypeError where it is no list of epochs."""
    rows = {"epoch", "loss", "train_accuracy", "images", "seconds"}
    if not (isinstance(history, list)
            and all(isinstance(row, dict) and rows <= set(row) for row in history)):
        raise TypeError("the history is no list of epochs")
    return history


def _checked_epoch(saved: Any, images: int) -> EpochState:
    """Return the part that is done of an epoch; TypeError where it is nonsense."""
    if not isinstance(saved, dict):
        raise TypeError("the part that is done of an epoch is none")
    part = EpochState(**{_NEW_NAMES_IN_EPOCH.get(name, name): value
                         for name, value in saved.items()})
    counts = [part.done, part.correct, *part.easy]
    if not (all(isinstance(n, int) and 0 <= n <= images for n in counts)
            and part.easy == [i for i in part.easy if i < images]
            and isinstance(part.loss_sum, int) and isinstance(part.seconds, float)
            and 0 <= part.loss_sum <= images << 64):
        raise TypeError("the part that is done of an epoch is none")
    return part
