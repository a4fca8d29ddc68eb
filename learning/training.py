"""Training: epochs, learning rates, images that rest, checkpoints.

An epoch is one pass over the images in a new random order.  Two things make it short
without making it worse.  An image whose answers are all within `sure` of right would
hardly move a weight, so it takes no part in the step; and it is left out of the next
`rest` epochs altogether.  By the end of a run two images in three rest.
"""
from __future__ import annotations

import math
import random
import sys
import time
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Callable, Iterator, Sequence, TextIO

from data_loader import Dataset
from engine.packed_network import LOSS_BITS
from engine.portable import cos
from engine.team import Team
from errors import DataError
from learning.augment import RandomGather, affine_maps, shift_maps
from learning.checkpoint import (MODEL, Part, Progress, best_row, is_over, judged_by,
                                 save_checkpoint)
from learning.dropout import Dropout
from learning.engines import ENGINES, DivergedError, ListEngine, PackedEngine
from learning.live import LiveLine, rate_text
from network import Evaluation, Network

ABSURD_LOSS = 100.0     # guessing among ten classes has 2.3
MAPS = 500      # random maps that images are sent through, made once a run
_BATCHES_BETWEEN_LOOKS = 50     # at the clock, whether to save


def check_learnable(train: Dataset) -> None:
    """DataError where there is nothing to tell apart: no ink, or a single class."""
    if not any(train.images):
        raise DataError(train.name, f"no ink in any of {len(train):,} training images",
                        "images that differ")
    if len(set(train.labels)) < 2:
        raise DataError(train.name, f"the label {train.labels[0]} on all "
                        f"{len(train):,} training images", "at least two classes")


def advice(history: list[dict], labels: Sequence[int]) -> str:
    """What to try where the first epoch has brought no more than guessing does; ""
    where it has.

    Guessing is to give the commonest label to all images.  The first epoch on a few
    images says nothing.
    """
    if len(history) != 1 or history[0]["images"] < 1000:
        return ""
    guessing = max(map(labels.count, set(labels))) / len(labels)
    if history[0]["train_accuracy"] > guessing * 1.2:
        return ""
    return (f"After an epoch {history[0]['train_accuracy']:.1%} of the training images "
            f"are read right, and guessing gives {guessing:.1%}: if the next epochs do "
            "not change that, try another --learning-rate, first a tenth of it.")


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
        # not `**`, whose last digit is the C library's
        steps = epoch // settings["decay_every"]
        return rate * math.prod([settings["decay"]] * steps)
    return rate * (1 + cos(math.pi * progress)) / 2


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
    return 0.5 if epoch > settings["epochs"] * (1 - settings["cooldown"]) else 1.0


def augmentation_maps(settings: dict, strength: float, height: int, width: int) -> list:
    """The maps that images are sent through; [] for none."""
    kind = settings["augment"]
    if kind == "none":
        return []
    if kind == "shift":
        return shift_maps(height, width)
    return affine_maps(height, width, MAPS, random_for(settings, "maps"), strength,
                       bend=0.6 if kind == "elastic" else 0.0)


# ---------------------------------------------------------------------------
# The loop
# ---------------------------------------------------------------------------

class Epoch:
    """One pass over the images that are not skipped, shuffled and sent through maps.

    `resting[i]` says for how many more epochs image i is left out.
    """

    def __init__(self, number: int, train: Dataset, settings: dict, team: Team,
                 maps: list, resting: list[int], dropout: Dropout | None) -> None:
        self.number, self.settings = number, settings
        self.team, self.resting, self.dropout = team, resting, dropout
        self.batch_size = settings["batch_size"] or len(train)
        shuffled = train.order(random_for(settings, "order", number))
        # Where all would be skipped, as with --sure 1 or very few images, none is.
        self.order = [i for i in shuffled if not resting[i]] or shuffled
        resting[:] = [max(0, epochs - 1) for epochs in resting]
        self._train = train
        self._augment_rng = random_for(settings, "augment", number)
        self._dropout_rng = random_for(settings, "dropout", number)
        self._augment = (RandomGather(maps, self._augment_rng, team.pixels)
                         if maps else None)

    def train(self, engine: ListEngine | PackedEngine, live: LiveLine,
              part: Part = Part(), save: Callable[[Part], None] | None = None
              ) -> dict[str, float]:
        """Train the network; returns the epoch's line of the history.

        Begins after the part that has been done already, and now and then has the
        part done by then saved.  Loss and accuracy are of the images as they came, each
        from just before the step that it took part in.
        """
        start, done, sure = time.perf_counter() - part.seconds, part.done, []
        loss_sum, right, saved = 0, 0, time.perf_counter()
        batches = self._batches_after(done, engine)
        for number, (x, labels) in enumerate(batches, 1):
            mine, masks = self.team.share(len(labels)), ()
            if self.dropout:
                masks = self.dropout.draw(len(labels), self._dropout_rng, mine)
            loss, correct, easy = engine.train_batch(
                x, labels, self._rate(done, len(labels)), done, masks)
            loss_sum, right = loss_sum + loss, right + correct
            sure += [self.order[done + mine.start + place] for place in easy]
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
            self.resting[i] = self.settings["skip_epochs"]
        return {"epoch": self.number, "loss": whole.loss_sum / (1 << LOSS_BITS) / done,
                "train_accuracy": whole.right / done, "images": done,
                "seconds": round(whole.seconds, 3)}

    def _batches_after(self, done: int, engine: ListEngine | PackedEngine) -> Iterator:
        """The batches that come after so many images."""
        for _ in range(done):       # as if these had been drawn for
            self._augment_rng.random()
            for _ in self.settings["hidden"] if self.dropout else ():
                self._dropout_rng.random()
        return engine.batches(self._train, self.batch_size, self.order[done:],
                              self._augment)

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

    def _gathered(self, part: Part, done: int, loss_sum: int, right: int, sure: list,
                  start: float) -> Part:
        """What the whole team has done of the epoch, `part` of it earlier."""
        losses, rights, sures = zip(*self.team.gather((loss_sum, right, sure)))
        return Part(done, part.loss_sum + sum(losses), sum(rights, part.right),
                    [*part.sure, *chain(*sures)], time.perf_counter() - start)


def epoch_line(row: dict, epochs: int) -> str:
    """One epoch's results in one line."""
    judged = judged_by(row)
    name = {"validation": "Val", "test": "Test"}[judged]
    accuracy = row[f"{judged}_accuracy"]
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
        self.engine = self._on_engine(network)
        if progress.memory:
            self.engine.restore_optimizer(progress.memory)
        self.engine.optimizer.step_count = progress.step_count
        self.dropout = None
        if settings["dropout"]:
            self.dropout = Dropout(settings["dropout"], settings["hidden"],
                                   random_for(settings, "masks"),
                                   self.engine.dropout_scale)

    def _on_engine(self, network: Network) -> ListEngine | PackedEngine:
        """The network on its engine, with its optimizer."""
        return ENGINES[self.settings["engine"]](network, self.settings, self.team,
                                                len(self.parts["train"]))

    def train(self) -> Evaluation | None:
        """Train the epochs that are not in the history yet.

        Returns the answers to the test set, if there is one, with the best weights
        where the run may end early.
        """
        settings, history = self.settings, self.progress.history
        train = self.parts["train"]
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
            row = epoch.train(self.engine, self.live, self.progress.part,
                              partial(self._save, rested))
            self.progress = self.progress._replace(part=Part())
            report = self._end_epoch(row)
        if settings["patience"]:
            self._restore_best()
        if "test" in self.parts and (report is None or self.judged != "test"):
            report = self.engine.evaluate(self.parts["test"])
        return report

    def _end_epoch(self, row: dict) -> Evaluation:
        """Judge the network, write a checkpoint, print the epoch's line."""
        history = self.progress.history
        self._check(row["loss"])
        self.live.show(f"Testing on {len(self.parts[self.judged]):,} images ...")
        report = self.engine.evaluate(self.parts[self.judged])
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
            self._check(part.loss_sum / (1 << LOSS_BITS) / part.done)
        whole, memory = self.engine.whole(), self.engine.optimizer_state()
        if self.team.rank == 0:
            save_checkpoint(self.folder, whole, self.settings, self.progress._replace(
                resting=resting, part=part, memory=memory,
                step_count=self.engine.optimizer.step_count))
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
                     f"{row['validation_accuracy']:.2%} of the validation images "
                     "right.")
            self.best.save(self.folder / MODEL, {
                **self.settings, "history": self.progress.history,
                "best_epoch": row["epoch"]})
        self.engine = self._on_engine(self.best)

    def say(self, text: str, stream: TextIO | None = None) -> None:
        """Tell the user how the run goes on: a line on stdout, or on the stream."""
        print(text, file=stream, flush=True)


def new_network(settings: dict, train: Dataset) -> Network:
    """The network that a run begins with, its weights drawn by the seed."""
    sizes = [train.height * train.width, *settings["hidden"], train.class_count]
    return Network(sizes, settings["activation"], settings["loss"],
                   random_for(settings, "weights"))


def train_network(team: Team, network: Network, parts: dict[str, Dataset],
                  settings: dict, folder: Path, progress: Progress) -> Evaluation:
    """Do the rest of a run, with the team; returns its answers to the test set."""
    return Run(team, network, parts, settings, folder, progress).train()
