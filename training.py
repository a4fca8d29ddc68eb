"""Training: epochs, learning rates, images that rest, checkpoints.

An epoch is one pass over the images in a new random order.  Two things make it short
without making it worse.  An image whose answers are all within `sure` of right would
hardly move a weight, so it takes no part in the step; and it is left out of the next
`rest` epochs altogether.  By the end of a run two images in three rest.
"""
from __future__ import annotations

import base64
import csv
import io
import math
import random
import sys
import time
import zlib
from functools import partial
from itertools import chain, compress
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple, Sequence, TextIO

from console import MODEL, LiveLine, rate_text
from data_loader import DataError
from dataset import Dataset, RandomGather, affine_maps, shift_maps
from dropout import Dropout
from my_math import Matrix
from network import ACTIVATIONS, LOSSES, Network, Report
from npz import write_whole
from optimizers import OPTIMIZERS
from parallel import (How, Team, judge, optimizer_state, own_pixels, pack_network,
                      prepared, restore_optimizer, train_batch, unpack_network)

HISTORY = "history.csv"

BEST = "best.npz"       # the best weights so far, where a run may end early

# What a run is made of, beside its data.  On the packed engine the same data, settings
# and seed give the same weights, bit for bit, whatever the number of workers; a resumed
# run takes its settings from its checkpoint.
DEFAULTS = {
    "hidden": [128],
    "activation": "relu",
    "loss": "cross-entropy",
    "optimizer": "sgd",
    "momentum": 0.9,            # of the optimizers momentum and nesterov
    "learning_rate": 0.35,
    "schedule": "linear",
    "decay": 0.8,               # of the schedule step: times this ...
    "decay_every": 5,           # ... each so many epochs
    "epochs": 40,
    "batch_size": 32,           # 0: all images at once
    "augment": "elastic",
    "calm": 0.1,
    "sure": 0.01,
    "rest": 2,
    "dropout": 0.0,
    "l2": 0.0,
    "label_smoothing": 0.0,
    "grey_levels": 4,
    "validation": 0,
    "patience": 0,
    "limit": 0,
    "seed": 1,
    "engine": "packed",
    "save_every": 60.0,         # seconds between checkpoints within an epoch
}

# What settings may be: names, or numbers from 0 up, or in these ranges.
CHOICES = {
    "activation": tuple(ACTIVATIONS), "loss": tuple(LOSSES),
    "optimizer": tuple(OPTIMIZERS), "engine": ("packed", "lists"),
    "schedule": ("linear", "cosine", "step", "constant"),
    "augment": ("none", "shift", "affine", "elastic"),
}
_BELOW_1, _ABOVE_0 = (0, math.nextafter(1, 0)), (math.ulp(0), sys.float_info.max)
RANGES = {
    "momentum": _BELOW_1, "dropout": _BELOW_1, "label_smoothing": _BELOW_1,
    "learning_rate": _ABOVE_0, "save_every": _ABOVE_0, "l2": (0, sys.float_info.max),
    "decay": (0, 1), "calm": (0, 1), "sure": (0, 1), "epochs": (1, math.inf),
    "decay_every": (1, math.inf), "rest": (0, 255), "grey_levels": (2, 256),
}

# Training as the textbooks have it: every image, as it is, in every epoch.
_PLAIN = {"schedule": "constant", "augment": "none", "sure": 0.0, "rest": 0}

# What each recipe has otherwise than the defaults.  Those after `best` are what
# well-known small projects and lessons do, so that they can be compared.
RECIPES = {
    "default": {},
    "fast": {"epochs": 6},
    "best": {"epochs": 160},
    "textbook": {**_PLAIN, "learning_rate": 0.1, "batch_size": 128, "epochs": 20},
    "sigmoid": {**_PLAIN, "activation": "sigmoid", "loss": "bce", "learning_rate": 0.1,
                "batch_size": 128, "epochs": 100},
    "sigmoid-wide": {**_PLAIN, "hidden": [256], "activation": "sigmoid", "loss": "bce",
                     "learning_rate": 0.2, "batch_size": 128, "epochs": 100},
    "tiny": {**_PLAIN, "hidden": [10], "learning_rate": 0.1, "batch_size": 0,
             "epochs": 500},
    "two-layer": {**_PLAIN, "hidden": [16, 16], "activation": "sigmoid", "loss": "mse",
                  "learning_rate": 1.0, "batch_size": 50, "epochs": 5},
    "adam": {**_PLAIN, "hidden": [512], "optimizer": "adam", "learning_rate": 0.001,
             "schedule": "step", "batch_size": 500, "dropout": 0.1, "l2": 1e-5,
             "epochs": 40},
}
ABSURD_LOSS = 100.0     # guessing among ten classes has 2.3
MAPS = 500      # random maps that images are sent through, made once a run
_FINEST_DELTA = 1 / 64      # what dL/dZ of one image is times for Adam
_BATCHES_BETWEEN_LOOKS = 50     # at the clock, whether to save


class DivergedError(Exception):
    """Training has left the range in which it can learn."""


def check_learnable(train: Dataset) -> None:
    """DataError where there is nothing to tell apart: no ink, or a single class."""
    if not any(train.images):
        raise DataError(train.name, f"no ink in any of {len(train):,} training images",
                        "images that differ")
    if len(set(train.labels)) < 2:
        raise DataError(train.name, f"the label {train.labels[0]} on all {len(train):,} "
                        "training images", "at least two classes")


def advice(history: list[dict], labels: Sequence[int]) -> str:
    """What to try where the first epoch has brought no more than guessing does; ""
    where it has.

    Guessing is to give the commonest label to all images.  The first epoch on a few
    images says nothing.
    """
    guessing = max(map(labels.count, set(labels))) / len(labels)
    if (len(history) != 1 or history[0]["images"] < 1000
            or history[0]["train_accuracy"] > guessing * 1.2):
        return ""
    return (f"After an epoch {history[0]['train_accuracy']:.1%} of the training images "
            f"are read right, and guessing gives {guessing:.1%}: if the next epochs do "
            "not change that, try another --learning-rate, first a tenth of it.")


# ---------------------------------------------------------------------------
# Checkpoints
# ---------------------------------------------------------------------------

class Part(NamedTuple):
    """What has been done of an epoch."""

    done: int = 0               # images trained
    loss_sum: float = 0.0       # over these
    right: int = 0              # of these
    sure: list = []             # which of these the network was sure of
    seconds: float = 0.0


class Progress(NamedTuple):
    """How far a run has come, beside its network."""

    history: list[dict]         # a row for each epoch done
    resting: list[int]          # for each image the epochs that it still rests
    best: Network | None        # the best so far, where the run may end early
    memory: dict[str, Matrix]   # the optimizer's matrices
    counts: dict[str, float]    # its numbers
    part: Part = Part()         # of the epoch after those of the history

    @classmethod
    def none(cls, images: int) -> Progress:
        """That of a run on so many images that has not begun."""
        return cls([], [0] * images, None, {}, {})


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
        state["optimizer_counts"], memory = progress.counts, progress.memory
    there_is_one = (folder / MODEL).exists()
    try:
        if settings["patience"] and not part.done and history[-1] is best_row(history):
            network.save(folder / BEST, state)
        network.save(folder / MODEL, state,
                     {f"optimizer.{name}": m for name, m in memory.items()})
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
    network, saved, others = Network.load_all(path)
    if not set(DEFAULTS) <= set(saved) or "history" not in saved:
        raise DataError(path, "a model without the settings of a run",
                        "a checkpoint of train.py")
    try:
        _check_settings(saved)
        history = _checked_history(saved.pop("history"))
        text, part = saved.pop("resting", ""), saved.pop("part", {})
        resting = list(zlib.decompress(base64.b64decode(text))) if text else []
        part = _checked_part(part, len(resting))
        if not (resting or is_over(history, saved)):
            raise TypeError("nothing about resting images")
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise DataError(path, f"damaged settings ({error})",
                        "a checkpoint of train.py") from None
    best = None
    if saved["patience"] and history:
        best, _ = Network.load(folder / BEST)
    memory = {name[len("optimizer."):]: matrix for name, matrix in others.items()
              if name.startswith("optimizer.")}
    return network, saved, Progress(history, resting, best, memory,
                                    saved.pop("optimizer_counts", {}), part)


def _check_settings(saved: dict) -> None:
    """TypeError or ValueError where a setting is not what its option would accept."""
    for name, default in DEFAULTS.items():
        value = saved[name]
        kinds = (int, float) if isinstance(default, float) else type(default)
        least, most = RANGES.get(name, (0, math.inf))
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise TypeError(f"{name} is {value!r}")
        if (name in CHOICES and value not in CHOICES[name]
                or isinstance(value, (int, float)) and not least <= value <= most):
            raise ValueError(f"{name} is {value!r}")
    if not all(isinstance(units, int) and units > 0 for units in saved["hidden"]):
        raise ValueError(f"hidden is {saved['hidden']!r}")


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
            and isinstance(part.loss_sum + part.seconds, (int, float))):
        raise TypeError("the part that is done of an epoch is none")
    return part


# ---------------------------------------------------------------------------
# The end of a run
# ---------------------------------------------------------------------------

def best_row(history: list[dict]) -> dict:
    """The epoch of the highest accuracy on the validation images, the first of equals.
    """
    return max(history, key=lambda row: row["validation_accuracy"])


def is_over(history: list[dict], settings: dict) -> bool:
    """Whether all epochs are done, or so many (`patience`) have brought nothing."""
    if len(history) >= settings["epochs"]:
        return True
    patience = settings["patience"]
    return bool(patience and history
                and len(history) - best_row(history)["epoch"] >= patience)


# ---------------------------------------------------------------------------
# Epochs
# ---------------------------------------------------------------------------

def learning_rate_at(settings: dict, progress: float) -> float:
    """The learning rate after a part `progress` (0..1) of the whole run.

    constant: lr.  linear: lr (1 - progress).  cosine: lr (1 + cos(pi progress)) / 2
    (Loshchilov and Hutter 2017, arXiv 1608.03983).  The last two fall to 0.
    step: lr decay^k after k times `decay_every` epochs.
    """
    rate = settings["learning_rate"]
    if settings["schedule"] == "constant":
        return rate
    if settings["schedule"] == "linear":
        return rate * (1 - progress)
    if settings["schedule"] == "step":
        epoch = int(progress * settings["epochs"] + 1e-9)
        return rate * settings["decay"] ** (epoch // settings["decay_every"])
    return rate * (1 + math.cos(math.pi * progress)) / 2


def random_for(settings: dict, purpose: str, epoch: int = 0) -> random.Random:
    """Random numbers of their own for each purpose and epoch.

    So an epoch does not depend on how many numbers were drawn before it, and a resumed
    run draws those of an uninterrupted one.
    """
    return random.Random(f"{settings['seed']} {purpose} {epoch}")


def augmentation_strength(settings: dict, epoch: int) -> float:
    """How much images are bent in this epoch: 1, or 1/2 in the last ones.

    In the last epochs, a part `calm` of all, the network settles on images more like
    those it will be asked about.
    """
    return 0.5 if epoch > settings["epochs"] * (1 - settings["calm"]) else 1.0


def augmentation_maps(settings: dict, strength: float, height: int, width: int) -> list:
    """The maps that images are sent through; [] for none."""
    kind = settings["augment"]
    if kind == "none":
        return []
    if kind == "shift":
        return shift_maps(height, width)
    return affine_maps(height, width, MAPS, random_for(settings, "maps"), strength,
                       bend=0.6 if kind == "elastic" else 0.0)


class Epoch:
    """One pass over the images that do not rest, shuffled and sent through maps.

    `resting[i]` says for how many more epochs image i is left out.
    """

    def __init__(self, number: int, train: Dataset, settings: dict, team: Team,
                 maps: list, resting: list[int], dropout: Dropout | None) -> None:
        self.number, self.settings = number, settings
        self.team, self.resting = team, resting
        self.how = How(settings["sure"], settings["label_smoothing"], dropout,
                       random_for(settings, "dropout", number))
        self.batch_size = settings["batch_size"] or len(train)
        shuffled = train.order(random_for(settings, "order", number))
        # Where all would rest, as with --sure 1 or very few images, none does.
        self.order = [i for i in shuffled if not resting[i]] or shuffled
        resting[:] = [max(0, epochs - 1) for epochs in resting]
        self._train, self._augment = train, own_pixels(team)
        self._augment_rng = random_for(settings, "augment", number)
        if maps:
            self._augment = RandomGather(maps, self._augment_rng,
                                         slice(team.rank, None, team.size))

    def train(self, network: Network, live: LiveLine, part: Part = Part(),
              save: Callable[[Part], None] | None = None) -> dict[str, float]:
        """Train the team's network; returns the epoch's line of the history.

        Begins after the part that has been done already, and now and then has the
        part done by then saved.  Loss and accuracy are of the images as they came, each
        from just before the step that it took part in.
        """
        start, done, sure = time.perf_counter() - part.seconds, part.done, []
        loss_sum, right, saved = 0.0, 0, time.perf_counter()
        batches = prepared(self.team, self._batches_after(done))
        for number, (x, labels) in enumerate(batches, 1):
            mine = self.team.share(len(labels))
            result = train_batch(network, self.team, x, labels,
                                 self._rate(done, len(labels)), self.how)
            loss_sum += result.loss * len(labels[mine])
            right += result.right
            sure += compress(self.order[done:done + len(labels)][mine], result.sure)
            done += len(labels)
            if live.is_due:
                rate = rate_text(done, len(self.order), time.perf_counter() - start)
                live.show(f"Epoch {self.number:2}/{self.settings['epochs']}: {rate}")
            if save and number % _BATCHES_BETWEEN_LOOKS == 0 and self._is_due(saved):
                save(self._gathered(part, done, loss_sum, right, sure, start))
                saved = time.perf_counter()
        live.clear()
        whole = self._gathered(part, done, loss_sum, right, sure, start)
        for i in whole.sure:
            self.resting[i] = self.settings["rest"]
        return {"epoch": self.number, "loss": whole.loss_sum / done,
                "train_accuracy": whole.right / done, "images": done,
                "seconds": round(whole.seconds, 3)}

    def _batches_after(self, done: int) -> Iterator:
        """The batches that come after so many images."""
        for _ in range(done):       # as if these had been drawn for
            self._augment_rng.random()
            for _ in self.settings["hidden"] if self.how.dropout else ():
                self.how.rng.random()
        return self._train.batches(self.batch_size, self.order[done:], self._augment)

    def _rate(self, done: int, images: int) -> float:
        """The learning rate of a batch of so many images after so many others.

        An image of a last, smaller batch moves the weights as far as others.
        """
        progress = (self.number - 1 + done / len(self.order)) / self.settings["epochs"]
        return learning_rate_at(self.settings, progress) * images / self.batch_size

    def _is_due(self, saved: float) -> bool:
        """Whether the leader finds it time to save again."""
        late = time.perf_counter() - saved >= self.settings["save_every"]
        return self.team.gather(late)[0]

    def _gathered(self, part: Part, done: int, loss_sum: float, right: int, sure: list,
                  start: float) -> Part:
        """What the whole team has done of the epoch, `part` of it earlier."""
        losses, rights, sures = zip(*self.team.gather((loss_sum, right, sure)))
        return Part(done, sum(losses, part.loss_sum), sum(rights, part.right),
                    [*part.sure, *chain(*sures)], time.perf_counter() - start)


def epoch_line(row: dict, epochs: int) -> str:
    """One epoch's results in one line."""
    name = "Val" if "validation_accuracy" in row else "Test"
    accuracy = row.get("validation_accuracy", row.get("test_accuracy"))
    return (f"Epoch {row['epoch']:2}/{epochs} | Loss: {row['loss']:.4f} | "
            f"Train Acc: {row['train_accuracy']:.2%} | {name} Acc: {accuracy:.2%} | "
            f"{row['seconds']:.1f} s")


class Run:
    """All epochs of a run, together with the team; the leader prints and saves."""

    def __init__(self, team: Team, network: Network, parts: dict[str, Dataset],
                 settings: dict, folder: Path, progress: Progress) -> None:
        self.team, self.parts, self.settings = team, parts, settings
        self.folder, self.progress, self.best = folder, progress, progress.best
        self.live = LiveLine(shown=team.rank == 0)
        self.judged = "validation" if "validation" in parts else "test"
        self.network = self._on_engine(network)
        if progress.memory:
            restore_optimizer(self.network, team, progress.memory)
        if progress.counts:
            self.network.optimizer.restore_counts(progress.counts)
        self.dropout = None
        if settings["dropout"]:
            self.dropout = Dropout(settings["dropout"], settings["hidden"],
                                   random_for(settings, "masks"))

    def _on_engine(self, network: Network) -> Network:
        """The network in the engine's matrices, with its optimizer."""
        settings, count = self.settings, len(self.parts["train"])
        batch_size = settings["batch_size"] or count
        make = optimizer_maker(settings, batch_size)
        network.optimizer = make(network.layers)
        if settings["engine"] == "packed":
            scale = network.optimizer.scale(settings["learning_rate"])
            network = pack_network(network, self.team, settings["grey_levels"],
                                   scale / batch_size, make)
        return network

    def train(self) -> Report | None:
        """Train the epochs that are not in the history yet.

        Returns the answers to the test set, if there is one, with the best weights
        where the run may end early.
        """
        settings, history, train = self.settings, self.progress.history, self.parts["train"]
        maps, strength, report = [], 0.0, None
        while not is_over(history, settings):
            number = len(history) + 1
            if strength != augmentation_strength(settings, number):
                self.live.show("Making maps ...")
                strength = augmentation_strength(settings, number)
                maps = augmentation_maps(settings, strength, train.height, train.width)
            rested = self.progress.resting[:]       # as an epoch that goes on needs it
            epoch = Epoch(number, train, settings, self.team, maps,
                          self.progress.resting, self.dropout)
            row = epoch.train(self.network, self.live, self.progress.part,
                              partial(self._save, rested))
            self.progress = self.progress._replace(part=Part())
            report = self._end_epoch(row)
        if settings["patience"]:
            self._restore_best()
        if "test" in self.parts and (report is None or self.judged != "test"):
            report = judge(self.network, self.team, self.parts["test"])
        return report

    def _end_epoch(self, row: dict) -> Report:
        """Judge the network, write a checkpoint, print the epoch's line."""
        history = self.progress.history
        self._check(row["loss"])
        self.live.show(f"Testing on {len(self.parts[self.judged]):,} images ...")
        report = judge(self.network, self.team, self.parts[self.judged])
        self.live.clear()
        row[f"{self.judged}_loss"] = report.loss
        row[f"{self.judged}_accuracy"] = report.accuracy
        history.append(row)
        whole = self._save(self.progress.resting, Part())
        if self.settings["patience"] and row is best_row(history):
            self.best = whole.copy()
        if self.team.rank == 0:
            self.say(epoch_line(row, self.settings["epochs"]))
            note = advice(history, self.parts["train"].labels)
            if note:
                self.say(note, sys.stderr)
        return report

    def _save(self, resting: list[int], part: Part) -> Network:
        """Have the leader write a checkpoint; returns the network in floats."""
        if part.done:
            self._check(part.loss_sum / part.done)
        whole = unpack_network(self.network, self.team)
        memory = optimizer_state(self.network, self.team)
        if self.team.rank == 0:
            save_checkpoint(self.folder, whole, self.settings, self.progress._replace(
                resting=resting, part=part, memory=memory,
                counts=self.network.optimizer.counts))
        return whole

    def _check(self, loss: float) -> None:
        """DivergedError, in the leader, where a mean loss is beyond all sense."""
        if self.team.rank == 0 and not loss < ABSURD_LOSS:
            raise DivergedError(f"a mean loss of {loss:.4g}")

    def _restore_best(self) -> None:
        """Go back to the weights of the best epoch, in the model file too."""
        row = best_row(self.progress.history)
        if self.team.rank == 0:
            self.say(f"The best epoch is {row['epoch']}, with "
                     f"{row['validation_accuracy']:.2%} of the validation images right.")
            self.best.save(self.folder / MODEL, {
                **self.settings, "history": self.progress.history,
                "best_epoch": row["epoch"]})
        self.network = self._on_engine(self.best)

    def say(self, text: str, stream: TextIO | None = None) -> None:
        """Tell the user how the run goes on: a line on stdout, or on the stream."""
        print(text, file=stream, flush=True)


def new_network(settings: dict, train: Dataset) -> Network:
    """The network that a run begins with, its weights drawn by the seed."""
    sizes = [train.height * train.width, *settings["hidden"], train.class_count]
    return Network(sizes, settings["activation"], settings["loss"],
                   random_for(settings, "weights"))


def train_network(team: Team, network: Network, parts: dict[str, Dataset],
                  settings: dict, folder: Path, progress: Progress) -> Report:
    """Do the rest of a run, together with the team; returns its answers to the test set.
    """
    return Run(team, network, parts, settings, folder, progress).train()


def optimizer_maker(settings: dict, batch_size: int) -> Callable:
    """What makes the optimizer of a network from its layers."""
    kind, more = settings["optimizer"], {}
    if kind in ("momentum", "nesterov"):
        more = {"momentum": settings["momentum"]}
    elif kind == "adam":
        more = {"gain": batch_size * _FINEST_DELTA}
    return partial(OPTIMIZERS[kind], l2=settings["l2"], **more)
