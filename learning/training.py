"""Training: epochs, skipping of easy images, checkpoints.

An epoch is one pass over the images in a new random order.  Two things make it short
without making it worse.  An image whose outputs are all within `skip_below` of their
targets would hardly move a weight, so it takes no part in the step; and it is left out
of the next `skip_epochs` epochs.  By the end of a run two images in three are skipped.
"""
from __future__ import annotations

import random
import time
from itertools import chain
from operator import add
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, NamedTuple, Sequence

from data_loader import Dataset
from engine.npz import MOST_NUMBERS
from engine.packed_network import LOSS_BITS
from engine.team import Team
from errors import DataError, OptionError
from learning.augment import Map, RandomWarp, affine_map, shift_maps, work_of_a_map
from learning.checkpoint import (MODEL, EpochState, History, Row, RunState, checksums,
                                 is_over, restore_best, save_checkpoint)
from learning.dropout import Dropout
from learning.engines import ENGINES, DivergedError, Engine
from learning.models import evaluate
from learning.schedules import augmentation_strength, learning_rate_at
from learning.settings import Settings, optimizer_maker
from my_math import Matrix
from network import Evaluation, Network, all_finite

Parts = dict[str, Dataset]      # train, test, validation

ABSURD_LOSS = 100.0     # guessing among ten classes has 2.3
MAPS = 500      # random maps that images are sent through, made once a run; fewer ...
_MOST_WORK = 100_000_000    # ... where they took more multiplications than these: 5 s
_FEWEST_MAPS = 5
_BATCHES_BETWEEN_LOOKS = 50     # at the clock, whether to save
_BETWEEN_REPORTS = 0.2          # seconds from one word to the listener to the next
_FEW = 500      # images to evaluate on within an epoch: 20 ms, and 2 points of error


class Progress(NamedTuple):
    """Images done and to do within an epoch."""

    epoch: int
    epochs: int             # of the whole run
    done: int               # images of this epoch
    images: int             # in this epoch
    left: float | None      # seconds to the end of the run, at the pace so far
    recent: int             # images of the leader's share since the last word
    loss: float             # sum over these
    correct: int            # of these

    def __str__(self) -> str:
        minutes, seconds = divmod(round(self.left or 0), 60)
        left = "" if self.left is None else f", {minutes}:{seconds:02} left"
        return (f"Epoch {self.epoch:2}/{self.epochs}: {self.done:,} of {self.images:,} "
                f"images{left}")


class Listener:
    """The one who hears how a run goes; this one does nothing with it.

    Only the process that leads a run has one: sent to another it becomes deaf.  Each
    process knows the `marks`, as all of them have a part of the network: the images of
    the first epoch, 0 at the start, after which the listener wants to see it.
    """

    marks: Sequence[int] = ()

    def begin(self) -> None:
        """Take note that training begins, and all processes have been started."""

    def working(self, text: str) -> None:
        """Take a text that says what is going on, until the next one."""

    def progress(self, progress: Progress) -> None:
        """Take how far the run is: as a text, unless a listener knows better."""
        self.working(str(progress))

    def epoch(self, row: Row) -> None:
        """Take the row of the history of an epoch that has ended."""

    def moment(self, epoch: int, images: int, network: Network, found: Evaluation
               ) -> None:
        """Take the network at a mark or after an epoch, which goes on learning: copy
        what is kept of it; and its evaluation."""

    def note(self, text: str) -> None:
        """Take a remark for the user."""

    def __reduce__(self) -> tuple:
        return Listener, (), {"marks": self.marks}


def check_learnable(train: Dataset) -> None:
    """Raise DataError where there is nothing to learn: no ink, or a single class."""
    if not any(train.images):
        raise DataError(train.name, f"no ink in any of {len(train):,} training images",
                        "images that differ")
    if len(set(train.labels)) < 2:
        raise DataError(train.name, f"the label {train.labels[0]} on all "
                        f"{len(train):,} training images", "at least two classes")


def advice(history: History, labels: Sequence[int]) -> str:
    """Return what to try where the first epoch was no better than guessing, else "".

    Guessing is to give the commonest label to all images.  The first epoch on a few
    images says nothing.
    """
    guessing = max(map(labels.count, set(labels))) / len(labels)
    found = history[0]["train_accuracy"]
    if len(history) > 1 or history[0]["images"] < 1000 or found > guessing * 1.2:
        return ""
    return (f"After an epoch {found:.1%} of the training images are classified "
            f"correctly, and guessing gives {guessing:.1%}: if the next epochs do not "
            "change that, try another --learning-rate, first a tenth of it.")


# --- what changes from epoch to epoch

def random_for(settings: Settings, purpose: str, epoch: int = 0) -> random.Random:
    """Return random numbers of their own for each purpose and epoch.

    So an epoch does not depend on how many numbers were drawn before it, and a resumed
    run draws those of an uninterrupted one.
    """
    return random.Random(f"{settings['seed']} {purpose} {epoch}")


def augmentation_maps(settings: Settings, strength: float, height: int, width: int
                      ) -> list[Map]:
    """Return the maps that images are sent through; [] for none."""
    kind = settings["augment"]
    if kind == "none":
        return []
    if kind == "shift":
        return shift_maps(height, width)
    rng, bend = random_for(settings, "maps"), 0.6 if kind == "elastic" else 0.0
    return [affine_map(height, width, rng, strength, bend)
            for _ in range(_map_count(settings, height, width))]


def _map_count(settings: Settings, height: int, width: int) -> int:
    work = work_of_a_map(height, width, settings["augment"] == "elastic")
    return min(MAPS, _MOST_WORK // work)


# --- one epoch

class Epoch:
    """One pass over the images that are not skipped, shuffled and sent through maps.

    `skipped[i]` counts the epochs for which image i is left out yet.
    """

    def __init__(self, number: int, train: Dataset, settings: Settings, team: Team,
                 warps: list[Callable], skipped: list[int], dropout: Dropout | None
                 ) -> None:
        self.number, self.settings = number, settings
        self.team, self.skipped, self.dropout = team, skipped, dropout
        self.batch_size = settings["batch_size"] or len(train)
        shuffled = train.order(random_for(settings, "order", number))
        # Where all would be skipped, as with --skip-below 1 or few images, none is.
        self.order = [i for i in shuffled if not skipped[i]] or shuffled
        skipped[:] = [max(0, epochs - 1) for epochs in skipped]
        self._train = train
        self._augment_rng = random_for(settings, "augment", number)
        self._dropout_rng = random_for(settings, "dropout", number)
        self._augment = RandomWarp(warps, self._augment_rng) if warps else None

    def train(self, engine: Engine, before: EpochState = EpochState()
              ) -> Iterator[tuple[int, int, int]]:
        """Train the network on what is not done before; yield after each batch of this
        worker's share of it (images, summed loss, images classified correctly).

        Loss and accuracy are those of the images as they came, each from just before
        its step.
        """
        self._start = time.perf_counter() - before.seconds
        if self.team.rank:      # the leader adds what was done before, all for the team
            before = EpochState(before.done)
        self.done, self._loss_sum, self._correct, self._easy = before[:4]
        self._easy = list(self._easy)
        for x, labels in self._batches(engine):
            mine, masks = self.team.share(len(labels)), ()
            if self.dropout:
                masks = self.dropout.draw(len(labels), self._dropout_rng, mine)
            loss, correct, easy = engine.train_batch(
                x, labels, self._rate(len(labels)), self.done, masks)
            self._loss_sum += loss
            self._correct += correct
            self._easy += [self.order[self.done + mine.start + place] for place in easy]
            self.done += len(labels)
            yield mine.stop - mine.start, loss, correct

    def _batches(self, engine: Engine) -> Iterator:
        """Return the batches that are left."""
        for _ in range(self.done):      # as if these had been drawn for
            self._augment_rng.random()
            for _ in self.settings["hidden"] if self.dropout else ():
                self._dropout_rng.random()
        return engine.batches(self._train, self.batch_size, self.order[self.done:],
                              self._augment)

    def _rate(self, images: int) -> float:
        """Return the learning rate of the next batch.

        An image of a last, smaller batch moves the weights as far as others.
        """
        epochs = self.number - 1 + self.done / len(self.order)
        rate = learning_rate_at(self.settings, epochs / self.settings["epochs"])
        return rate * images / self.batch_size

    def state(self) -> EpochState:
        """Return the part of the epoch that the whole team has done."""
        losses, corrects, easies = zip(*self.team.gather(
            (self._loss_sum, self._correct, self._easy)))
        return EpochState(self.done, sum(losses), sum(corrects), [*chain(*easies)],
                          time.perf_counter() - self._start)

    def end(self) -> Row:
        """Have the easy images skipped; return the epoch's row of the history."""
        whole = self.state()
        for i in whole.easy:
            self.skipped[i] = self.settings["skip_epochs"]
        return {"epoch": self.number, "loss": _mean_loss(whole),
                "train_accuracy": whole.correct / whole.done, "images": whole.done,
                "seconds": round(whole.seconds, 3)}


def _mean_loss(state: EpochState) -> float:
    return state.loss_sum / (1 << LOSS_BITS) / state.done


# --- all epochs

class Run:
    """All epochs of a run, together with the team; the leader tells and saves."""

    def __init__(self, team: Team, network: Network, parts: Parts, settings: Settings,
                 folder: Path, state: RunState, listener: Listener = Listener()
                 ) -> None:
        self.team, self.parts, self.settings = team, parts, settings
        self.folder, self.state = folder, state
        self.listener = listener if team.rank == 0 else Listener()
        self._begun: tuple[float, float] | None = None      # time, part of the run
        self._warps: tuple[float, list[Callable]] = 0.0, []     # with their strength
        self.evaluated_on = "validation" if "validation" in parts else "test"
        self._marks = list(listener.marks)
        self._few = parts[self.evaluated_on].head(_FEW) if self._marks else None
        self.engine = ENGINES[settings["engine"]](network, settings, team,
                                                  len(parts["train"]))
        if state.optimizer:
            self.engine.restore_optimizer(state.optimizer)
        self.engine.optimizer.step_count = state.step_count
        self.dropout = Dropout(settings["dropout"], settings["hidden"],
                               random_for(settings, "masks"), self.engine.dropout_scale
                               ) if settings["dropout"] else None

    def train(self) -> Evaluation | None:
        """Train the epochs that are not in the history yet.

        Returns, to the leader, the evaluation of the saved model on the test set, if
        there is one: with the best weights where the run may end early.
        """
        settings, found = self.settings, None
        self.listener.begin()
        self._look(self.state.epoch.done)
        while not is_over(self.state.history, settings):
            found = self._end_epoch(self._train_epoch())
        if self.team.rank or "test" not in self.parts:
            return None
        if settings["patience"]:
            restore_best(self.folder, settings, self.state.history)
        if found is None or self.evaluated_on != "test":
            saved, _ = Network.load(self.folder / MODEL)
            found = evaluate(saved, settings["grey_levels"], self.parts["test"])
        return found

    def _train_epoch(self) -> Row:
        """Train what is left of the epoch that comes next; return its row."""
        number = len(self.state.history) + 1
        skipped = self.state.skipped[:]     # as an epoch that goes on needs it
        epoch = Epoch(number, self.parts["train"], self.settings, self.team,
                      self._warps_for(number), self.state.skipped, self.dropout)
        due = saved = time.perf_counter()
        recent = 0, 0, 0
        for batch, found in enumerate(epoch.train(self.engine, self.state.epoch), 1):
            recent, now = tuple(map(add, recent, found)), time.perf_counter()
            if now >= due:
                self._report(number, epoch.done, len(epoch.order), *recent)
                due, recent = now + _BETWEEN_REPORTS, (0, 0, 0)
            if epoch.done < len(epoch.order):
                self._look(epoch.done)
            late = now - saved >= self.settings["save_every"]
            if batch % _BATCHES_BETWEEN_LOOKS == 0 and self.team.gather(late)[0]:
                _check_loss(_mean_loss(state := epoch.state()))
                self._save(self._whole(), skipped, state)
                saved = time.perf_counter()
        self.state = self.state._replace(epoch=EpochState())
        return epoch.end()

    def _warps_for(self, number: int) -> list[Callable]:
        """Return the warps of an epoch, made anew where their strength changes."""
        strength = augmentation_strength(self.settings, number)
        if strength != self._warps[0]:
            self.listener.working("Making maps ...")
            train = self.parts["train"]
            maps = augmentation_maps(self.settings, strength, train.height, train.width)
            self._warps = strength, list(map(self.engine.warp, maps))
        return self._warps[1]

    def _report(self, number: int, done: int, images: int, *recent: int) -> None:
        """Tell how far an epoch is, and the time left at the pace since the first word;
        `recent` is what a batch yields, since the last word."""
        epochs, now, left = self.settings["epochs"], time.monotonic(), None
        part = (number - 1 + done / images) / epochs
        start, before = self._begun = self._begun or (now, part)
        if part > before:
            left = (now - start) / (part - before) * (1 - part)
        count, loss_sum, correct = recent
        self.listener.progress(Progress(number, epochs, done, images, left, count,
                                        loss_sum / (1 << LOSS_BITS), correct))

    def _look(self, done: int) -> None:
        """Have the whole team show the network to the listener, where that is due."""
        if self.state.history or not self._marks or done < self._marks[0]:
            return
        self._marks = [mark for mark in self._marks if mark > done]
        found = self.engine.evaluate(self._few)
        self.listener.moment(0, done, self.engine.whole(), found)

    def _end_epoch(self, row: Row) -> Evaluation:
        """Evaluate the network, write a checkpoint, tell the epoch's results."""
        history, images = self.state.history, self.parts[self.evaluated_on]
        _check_loss(row["loss"])
        self.listener.working(f"Evaluating on {len(images):,} images ...")
        whole = self._whole()
        if self.evaluated_on == "test" and row["epoch"] == self.settings["epochs"]:
            # The accuracy that stays is that of the saved model, not of its lanes.
            found = evaluate(whole, self.settings["grey_levels"], images)
        else:
            found = self.engine.evaluate(images)
        _check_loss(found.loss)
        row[f"{self.evaluated_on}_loss"] = found.loss
        row[f"{self.evaluated_on}_accuracy"] = found.accuracy
        history.append(row)
        self._save(whole, self.state.skipped, EpochState())
        self.listener.epoch(row)
        self.listener.moment(len(history), 0, whole, found)
        if note := advice(history, self.parts["train"].labels):
            self.listener.note(note)
        return found

    def _whole(self) -> Network:
        """Return the network in floats; DivergedError where these are not finite."""
        whole = self.engine.whole()
        _check_finite(chain(*((layer.weights, layer.bias) for layer in whole.layers)))
        return whole

    def _save(self, whole: Network, skipped: list[int], epoch: EpochState) -> None:
        """Have the leader write a checkpoint of the network."""
        matrices = self.engine.optimizer_state()
        if self.team.rank == 0:
            _check_finite(chain(*chain(*matrices.values())))
            save_checkpoint(self.folder, whole, self.settings, self.state._replace(
                skipped=skipped, epoch=epoch, optimizer=matrices,
                step_count=self.engine.optimizer.step_count))


def _check_loss(loss: float) -> None:
    if not loss < ABSURD_LOSS:
        raise DivergedError(f"a mean loss of {loss:.4g}")


def _check_finite(matrices: Iterable[Matrix]) -> None:
    if not all_finite(*matrices):
        raise DivergedError("weights that are not finite")


def check_size(settings: Settings, train: Dataset) -> list[int]:
    """Return the sizes of a run's network; OptionError where it, or an image, would be
    too large.

    A checkpoint holds the parameters, and as many numbers again for each kind of matrix
    that the optimizer keeps.
    """
    sizes = [train.height * train.width, *settings["hidden"], train.class_count]
    count = sum((k + 1) * n for k, n in zip(sizes, sizes[1:]))
    most = MOST_NUMBERS // (1 + len(optimizer_maker(settings)([]).state))
    if count > most:
        raise OptionError(f"--hidden {'-'.join(map(str, settings['hidden']))}: found "
                          f"{count:,} parameters, expected at most {most:,}")
    if (settings["augment"] in ("affine", "elastic")
            and _map_count(settings, train.height, train.width) < _FEWEST_MAPS):
        raise OptionError(f"--augment {settings['augment']}: found images of "
                          f"{train.height} x {train.width} pixels, expected smaller "
                          "ones; give --augment shift or none")
    return sizes


def begin(settings: Settings, parts: Parts) -> tuple[Network, Settings, RunState]:
    """Return (network, settings, state) of a run on these data sets that has not begun,
    its weights drawn by the seed."""
    train = parts["train"]
    network = Network(check_size(settings, train), settings["activation"],
                      settings["loss"], random_for(settings, "weights"))
    return (network, {**settings, "data": train.name, "class_names": train.class_names,
                      "sha256": checksums(parts)}, RunState([], [0] * len(train)))


def train_network(team: Team, *arguments: Any) -> Evaluation:
    """Do what is left of a run, as a member of the team; the arguments are those of
    `Run`.  Returns its evaluation on the test set."""
    return Run(team, *arguments).train()
