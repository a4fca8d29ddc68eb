"""Training: epochs, learning rates, skipping of easy images, checkpoints.

An epoch is one pass over the images in a new random order.  Two things make it short
without making it worse.  An image whose outputs are all within `skip_below` of their
targets would hardly move a weight, so it takes no part in the step; and it is left out
of the next `skip_epochs` epochs.  By the end of a run two images in three are skipped.
"""
from __future__ import annotations

import math
import random
import time
from functools import partial
from itertools import chain
from operator import add
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple, Sequence

from data_loader import Dataset
from engine.npz import MOST_NUMBERS
from engine.packed_network import LOSS_BITS
from engine.portable import cos
from engine.team import Team
from errors import DataError, OptionError
from learning.augment import Map, RandomGather, affine_maps, shift_maps
from learning.checkpoint import (MODEL, EpochState, History, Row, RunState, best_row,
                                 checksums, is_over, save_checkpoint)
from learning.dropout import Dropout
from learning.engines import ENGINES, DivergedError, Engine
from learning.settings import Settings, optimizer_maker
from network import Evaluation, Network, all_finite

Parts = dict[str, Dataset]      # train, test, validation

ABSURD_LOSS = 100.0     # guessing among ten classes has 2.3
MAPS = 500      # random maps that images are sent through, made once a run
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
        text = (f"Epoch {self.epoch:2}/{self.epochs}: {self.done:,} of {self.images:,} "
                "images")
        if self.left is None:
            return text
        minutes, seconds = divmod(round(self.left), 60)
        return f"{text}, {minutes}:{seconds:02} left"


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
        """Take the network at a mark or after an epoch, and its evaluation.

        It goes on learning, so that a copy has to be made of what is kept.
        """

    def note(self, text: str) -> None:
        """Take a remark for the user."""

    def __reduce__(self) -> tuple:
        return Listener, (), {"marks": self.marks}


def check_learnable(train: Dataset) -> None:
    """DataError where there is nothing to tell apart: no ink, or a single class."""
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
    if len(history) != 1 or history[0]["images"] < 1000:
        return ""
    guessing = max(map(labels.count, set(labels))) / len(labels)
    if history[0]["train_accuracy"] > guessing * 1.2:
        return ""
    return (f"After an epoch {history[0]['train_accuracy']:.1%} of the training images "
            f"are classified correctly, and guessing gives {guessing:.1%}: if the next "
            "epochs do not change that, try another --learning-rate, first a tenth of "
            "it.")


# ---------------------------------------------------------------------------
# Epochs
# ---------------------------------------------------------------------------

def learning_rate_at(settings: Settings, progress: float) -> float:
    """Return the learning rate after a part `progress` (0..1) of the whole run.

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
        # not `**`, whose last digit is the C library's
        steps = epoch // settings["decay_every"]
        return rate * math.prod([settings["decay"]] * steps)
    return rate * (1 + cos(math.pi * progress)) / 2


def random_for(settings: Settings, purpose: str, epoch: int = 0) -> random.Random:
    """Return random numbers of their own for each purpose and epoch.

    So an epoch does not depend on how many numbers were drawn before it, and a resumed
    run draws those of an uninterrupted one.
    """
    return random.Random(f"{settings['seed']} {purpose} {epoch}")


def augmentation_strength(settings: Settings, epoch: int) -> float:
    """Return the strength of the maps in an epoch: 1, or 1/2 in the last ones.

    In the last epochs, a part `cooldown` of all, the network sees images more like
    those that it will be asked about.
    """
    return 0.5 if epoch > settings["epochs"] * (1 - settings["cooldown"]) else 1.0


def augmentation_maps(settings: Settings, strength: float, height: int, width: int
                      ) -> list[Map]:
    """Return the maps that images are sent through; [] for none."""
    kind = settings["augment"]
    if kind == "none":
        return []
    if kind == "shift":
        return shift_maps(height, width)
    return affine_maps(height, width, MAPS, random_for(settings, "maps"), strength,
                       bend=0.6 if kind == "elastic" else 0.0)


# ---------------------------------------------------------------------------
# One epoch
# ---------------------------------------------------------------------------

class Epoch:
    """One pass over the images that are not skipped, shuffled and sent through maps.

    `skipped[i]` counts the epochs for which image i is left out yet.
    """

    def __init__(self, number: int, train: Dataset, settings: Settings, team: Team,
                 maps: list[Map], skipped: list[int], dropout: Dropout | None) -> None:
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
        self._augment = (RandomGather(maps, self._augment_rng, team.pixels)
                         if maps else None)

    def train(self, engine: Engine, report: Callable[..., None],
              state: EpochState = EpochState(),
              save: Callable[[EpochState], None] | None = None,
              look: Callable[[int], None] = lambda done: None) -> dict[str, float]:
        """Train the network; return the epoch's row of the history.

        Begins after the part that is done already.  look(images done) is called after
        each batch but the last, and now and then save(the part done by then) and
        report(images done, images in all, and of this worker's images since the last
        report their number, their loss and how many are correct).  Loss and accuracy
        are those of the images as they came, each from just before its step.
        """
        start, done, easy = time.perf_counter() - state.seconds, state.done, []
        loss_sum, correct, recent, saved = 0, 0, (0, 0, 0), time.perf_counter()
        batches, due = self._batches_from(done, engine), saved
        for number, (x, labels) in enumerate(batches, 1):
            mine, masks = self.team.share(len(labels)), ()
            if self.dropout:
                masks = self.dropout.draw(len(labels), self._dropout_rng, mine)
            result = engine.train_batch(x, labels, self._rate(done, len(labels)), done,
                                        masks)
            loss_sum, correct = loss_sum + result[0], correct + result[1]
            easy += [self.order[done + mine.start + place] for place in result[2]]
            recent = tuple(map(add, recent, (mine.stop - mine.start, *result[:2])))
            done += len(labels)
            if (now := time.perf_counter()) >= due:
                report(done, len(self.order), *recent)
                due, recent = now + _BETWEEN_REPORTS, (0, 0, 0)
            if done < len(self.order):
                look(done)
            if save and number % _BATCHES_BETWEEN_LOOKS == 0 and self._is_due(saved):
                save(self._gathered(state, done, loss_sum, correct, easy, start))
                saved = time.perf_counter()
        whole = self._gathered(state, done, loss_sum, correct, easy, start)
        for i in whole.easy:
            self.skipped[i] = self.settings["skip_epochs"]
        return {"epoch": self.number, "loss": whole.loss_sum / (1 << LOSS_BITS) / done,
                "train_accuracy": whole.correct / done, "images": done,
                "seconds": round(whole.seconds, 3)}

    def _batches_from(self, done: int, engine: Engine) -> Iterator:
        """Return the batches that are left when `done` images have been trained."""
        for _ in range(done):       # as if these had been drawn for
            self._augment_rng.random()
            for _ in self.settings["hidden"] if self.dropout else ():
                self._dropout_rng.random()
        return engine.batches(self._train, self.batch_size, self.order[done:],
                              self._augment)

    def _rate(self, done: int, images: int) -> float:
        """Return the learning rate of a batch that comes after `done` images.

        An image of a last, smaller batch moves the weights as far as others.
        """
        progress = (self.number - 1 + done / len(self.order)) / self.settings["epochs"]
        return learning_rate_at(self.settings, progress) * images / self.batch_size

    def _is_due(self, saved: float) -> bool:
        """Return True where the leader finds it time to save again."""
        late = time.perf_counter() - saved >= self.settings["save_every"]
        return self.team.gather(late)[0]

    def _gathered(self, before: EpochState, done: int, loss_sum: int, correct: int,
                  easy: list[int], start: float) -> EpochState:
        """Return the part of the epoch that the whole team has done."""
        losses, corrects, easies = zip(*self.team.gather((loss_sum, correct, easy)))
        return EpochState(done, before.loss_sum + sum(losses),
                          sum(corrects, before.correct),
                          [*before.easy, *chain(*easies)],
                          time.perf_counter() - start)


# ---------------------------------------------------------------------------
# All epochs
# ---------------------------------------------------------------------------

class Run:
    """All epochs of a run, together with the team; the leader tells and saves."""

    def __init__(self, team: Team, network: Network, parts: Parts,
                 settings: Settings, folder: Path, state: RunState,
                 listener: Listener = Listener()) -> None:
        self.team, self.parts, self.settings = team, parts, settings
        self.folder, self.state, self.best = folder, state, state.best
        self.listener = listener if team.rank == 0 else Listener()
        self._begun: tuple[float, float] | None = None      # time, part of the run
        self.evaluated_on = "validation" if "validation" in parts else "test"
        self._marks = list(listener.marks)
        self._few = parts[self.evaluated_on].head(_FEW) if self._marks else None
        self.engine = self._on_engine(network)
        if state.optimizer:
            self.engine.restore_optimizer(state.optimizer)
        self.engine.optimizer.step_count = state.step_count
        self.dropout = None
        if settings["dropout"]:
            self.dropout = Dropout(settings["dropout"], settings["hidden"],
                                   random_for(settings, "masks"),
                                   self.engine.dropout_scale)

    def _on_engine(self, network: Network) -> Engine:
        """Return the network on its engine, with its optimizer."""
        return ENGINES[self.settings["engine"]](network, self.settings, self.team,
                                                len(self.parts["train"]))

    def train(self) -> Evaluation | None:
        """Train the epochs that are not in the history yet.

        Returns the evaluation on the test set, if there is one, with the best weights
        where the run may end early.
        """
        settings, history = self.settings, self.state.history
        train = self.parts["train"]
        maps, strength, found = [], 0.0, None
        self.listener.begin()
        self._look(self.state.epoch.done)
        while not is_over(history, settings):
            number = len(history) + 1
            if strength != augmentation_strength(settings, number):
                self.listener.working("Making maps ...")
                strength = augmentation_strength(settings, number)
                maps = augmentation_maps(settings, strength, train.height, train.width)
            before = self.state.skipped[:]      # as an epoch that goes on needs it
            epoch = Epoch(number, train, settings, self.team, maps, self.state.skipped,
                          self.dropout)
            row = epoch.train(self.engine, partial(self._report, number),
                              self.state.epoch, partial(self._save, before),
                              self._look)
            self.state = self.state._replace(epoch=EpochState())
            found = self._end_epoch(row)
        if settings["patience"]:
            self._restore_best()
        if "test" in self.parts and (found is None or self.evaluated_on != "test"):
            found = self.engine.evaluate(self.parts["test"])
        return found

    def _report(self, number: int, done: int, images: int, recent: int, loss_sum: int,
                correct: int) -> None:
        """Tell how far an epoch is, and the time left at the pace since the first word.
        """
        epochs, now, left = self.settings["epochs"], time.monotonic(), None
        part = (number - 1 + done / images) / epochs
        start, before = self._begun = self._begun or (now, part)
        if part > before:
            left = (now - start) / (part - before) * (1 - part)
        self.listener.progress(Progress(number, epochs, done, images, left, recent,
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
        history = self.state.history
        self._check(row["loss"])
        images = self.parts[self.evaluated_on]
        self.listener.working(f"Evaluating on {len(images):,} images ...")
        found = self.engine.evaluate(images)
        row[f"{self.evaluated_on}_loss"] = found.loss
        row[f"{self.evaluated_on}_accuracy"] = found.accuracy
        history.append(row)
        whole = self._save(self.state.skipped, EpochState())
        if self.settings["patience"] and row is best_row(history):
            self.best = whole.copy()
        self.listener.epoch(row)
        self.listener.moment(len(history), 0, whole, found)
        if note := advice(history, self.parts["train"].labels):
            self.listener.note(note)
        return found

    def _save(self, skipped: list[int], epoch: EpochState) -> Network:
        """Have the leader write a checkpoint; return the network in floats."""
        if epoch.done:
            self._check(epoch.loss_sum / (1 << LOSS_BITS) / epoch.done)
        whole, matrices = self.engine.whole(), self.engine.optimizer_state()
        if self.team.rank == 0:
            pairs = [(layer.weights, layer.bias) for layer in whole.layers]
            if not all_finite(*chain(*pairs, *chain(*matrices.values()))):
                raise DivergedError("weights that are not finite")
            save_checkpoint(self.folder, whole, self.settings, self.state._replace(
                skipped=skipped, epoch=epoch, optimizer=matrices,
                step_count=self.engine.optimizer.step_count))
        return whole

    def _check(self, loss: float) -> None:
        """DivergedError, in the leader, where a mean loss is beyond all sense."""
        if self.team.rank == 0 and not loss < ABSURD_LOSS:
            raise DivergedError(f"a mean loss of {loss:.4g}")

    def _restore_best(self) -> None:
        """Go back to the weights of the best epoch, in the model file too."""
        if self.team.rank == 0:
            history = self.state.history
            self.best.save(self.folder / MODEL, {
                **self.settings, "history": history,
                "best_epoch": best_row(history)["epoch"]})
        self.engine = self._on_engine(self.best)


def check_size(settings: Settings, train: Dataset) -> list[int]:
    """Return the sizes of a run's network; OptionError where it would be too large.

    A checkpoint holds the parameters, and as many numbers again for each kind of matrix
    that the optimizer keeps.
    """
    sizes = [train.height * train.width, *settings["hidden"], train.class_count]
    count = sum((k + 1) * n for k, n in zip(sizes, sizes[1:]))
    most = MOST_NUMBERS // (1 + len(optimizer_maker(settings)([]).state))
    if count > most:
        raise OptionError(f"--hidden {'-'.join(map(str, settings['hidden']))}: found "
                          f"{count:,} parameters, expected at most {most:,}")
    return sizes


def begin(settings: Settings, parts: Parts) -> tuple[Network, Settings, RunState]:
    """Return (network, settings, state) of a run on these data sets that has not begun,
    its weights drawn by the seed."""
    train = parts["train"]
    network = Network(check_size(settings, train), settings["activation"],
                      settings["loss"], random_for(settings, "weights"))
    return (network, {**settings, "data": train.name, "class_names": train.class_names,
                      "sha256": checksums(parts)}, RunState.initial(len(train)))


def train_network(team: Team, *arguments: Any) -> Evaluation:
    """Do what is left of a run, as a member of the team; the arguments are those of
    `Run`.  Returns its evaluation on the test set."""
    return Run(team, *arguments).train()
