"""Checkpoints: how far a run has come, written whole and checked when read.

The model file alone is enough to resume: beside the network it holds the settings, the
history, and what only a run that goes on needs, such as the optimizer's matrices.
"""
from __future__ import annotations

import base64
import csv
import io
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from engine.files import write_whole
from errors import DataError
from learning.settings import (DEFAULTS, check_settings, optimizer_maker,
                               with_new_names)
from my_math import Matrix
from network import Network, all_finite

RUNS, MODEL = Path(__file__).resolve().parent.parent / "runs", "model.npz"
HISTORY = "history.csv"
BEST = "best.npz"       # the best weights so far, where a run may end early
_PARTS = ("weights", "bias")     # of a layer, and of what an optimizer keeps for it


def shown_path(path: str | Path) -> str:
    """A path as short as it can be written from here: without the current folder."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


class Part(NamedTuple):
    """What has been done of an epoch."""

    done: int = 0               # images trained
    loss_sum: int = 0           # over these, in units of 2^-LOSS_BITS
    right: int = 0              # of these
    sure: list = []             # which of these the network was sure of
    seconds: float = 0.0


class Progress(NamedTuple):
    """How far a run has come, beside its network."""

    history: list[dict]         # a row for each epoch done
    resting: list[int]          # for each image the epochs that it still rests
    best: Network | None        # the best so far, where the run may end early
    memory: dict[str, list]     # the optimizer's matrices: kind, layer, part
    step_count: int             # its steps so far
    part: Part = Part()         # of the epoch after those of the history

    @classmethod
    def none(cls, images: int) -> Progress:
        """That of a run on so many images that has not begun."""
        return cls([], [0] * images, None, {}, 0)


def best_row(history: list[dict]) -> dict:
    """The epoch of the highest accuracy on the validation images, the first of equals.
    """
    return max(history, key=lambda row: row["validation_accuracy"])


def judged_by(row: dict) -> str:
    """What a run was judged by after each epoch: "validation" images, or "test"."""
    return "validation" if "validation_accuracy" in row else "test"


def is_over(history: list[dict], settings: dict) -> bool:
    """Whether all epochs are done, or so many (`patience`) have brought nothing."""
    if len(history) >= settings["epochs"]:
        return True
    patience = settings["patience"]
    return bool(patience and history
                and len(history) - best_row(history)["epoch"] >= patience)


def save_checkpoint(folder: Path, network: Network, settings: dict,
                    progress: Progress) -> None:
    """Write the network with its settings and history, and the history as CSV too.

    The model file alone is enough to resume, and it is replaced in one step.  Which
    images rest, and what the optimizer remembers, matters only to a run that goes on.
    """
    history, part = progress.history, progress.part
    state, memory = {**settings, "history": history}, {}
    if not is_over(history, settings):
        packed = zlib.compress(bytes(progress.resting))
        state["resting"] = base64.b64encode(packed).decode()
        state["part"] = part._asdict()
        state["optimizer_steps"], memory = progress.step_count, progress.memory
    there_is_one = (folder / MODEL).exists()
    try:
        if settings["patience"] and not part.done and history[-1] is best_row(history):
            network.save(folder / BEST, state)
        network.save(folder / MODEL, state, {
            f"optimizer.{kind}{number}.{name}": matrix
            for kind, pairs in memory.items() for number, pair in enumerate(pairs, 1)
            for name, matrix in zip(_PARTS, pair)})
        if history:
            write_whole(folder / HISTORY, _as_csv(history))
    except OSError as error:
        kept = "the checkpoint before it is kept" if there_is_one else ""
        raise DataError(folder, error.strerror or str(error),
                        "a folder that can be written", kept) from None


def _as_csv(rows: list[dict]) -> bytes:
    """Rows with the same names as the text of a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def load_checkpoint(folder: Path) -> tuple[Network, dict, Progress]:
    """(network, settings, progress) of a run; DataError where its folder has none."""
    path = folder / MODEL
    if not path.exists():
        raise DataError(folder, "no checkpoint", "the folder of a run",
                        "begin the run again with --output")
    network, saved, others = Network.load_all(path)
    saved = with_new_names(saved)
    if not set(DEFAULTS) <= set(saved) or "history" not in saved:
        raise DataError(path, "a model without the settings of a run",
                        "a checkpoint of train.py")
    try:
        check_settings(saved)
        history = _checked_history(saved.pop("history"))
        text, part = saved.pop("resting", ""), saved.pop("part", {})
        resting = list(zlib.decompress(base64.b64decode(text))) if text else []
        part = _checked_part(part, len(resting))
        step_count, memory = 0, {}
        if not is_over(history, saved):
            step_count = saved.pop("optimizer_steps")
            memory = _checked_memory(network, saved, others)
            if type(step_count) is not int or not 0 <= step_count < 1 << 53:
                raise ValueError(f"optimizer_steps is {step_count!r}")
        if not (resting or is_over(history, saved)):
            raise TypeError("nothing about resting images")
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise DataError(path, f"damaged settings ({error})",
                        "a checkpoint of train.py") from None
    best = None
    if saved["patience"] and history:
        best, _ = Network.load(folder / BEST)
    return network, saved, Progress(history, resting, best, memory, step_count, part)


def _checked_memory(network: Network, saved: dict, arrays: dict[str, Matrix]
                    ) -> dict[str, list]:
    """The optimizer's matrices; ValueError where they are others than it has."""
    memory: dict[str, list] = {}
    for kind in optimizer_maker(saved)([]).state:
        memory[kind] = []
        for number, layer in enumerate(network.layers, 1):
            pair = [arrays.get(f"optimizer.{kind}{number}.{name}") for name in _PARTS]
            for matrix, own in zip(pair, (layer.weights, layer.bias)):
                if matrix is None or matrix.shape != own.shape:
                    raise ValueError("other matrices than the optimizer's")
                if not all_finite(matrix):
                    raise ValueError("an optimizer's numbers that are not finite")
            memory[kind].append(pair)
    return memory


def _checked_history(history: Any) -> list[dict]:
    """The history; TypeError where that is no list of epochs."""
    rows = {"epoch", "loss", "train_accuracy", "images", "seconds"}
    if not (isinstance(history, list)
            and all(isinstance(row, dict) and rows <= set(row) for row in history)):
        raise TypeError("the history is no list of epochs")
    return history


def _checked_part(saved: Any, images: int) -> Part:
    """What was done of an epoch over so many images; TypeError where it is nonsense."""
    if not isinstance(saved, dict):
        raise TypeError("the part that is done of an epoch is none")
    part = Part(**saved)
    counts = [part.done, part.right, *part.sure]
    if not (all(isinstance(n, int) and 0 <= n <= images for n in counts)
            and part.sure == [i for i in part.sure if i < images]
            and isinstance(part.loss_sum, int) and isinstance(part.seconds, float)
            and 0 <= part.loss_sum <= images << 64):
        raise TypeError("the part that is done of an epoch is none")
    return part
