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
import time
import zlib
from itertools import chain, compress
from pathlib import Path

from console import MODEL, LiveLine, rate_text
from data_loader import DataError
from dataset import Dataset, RandomGather, affine_maps, shift_maps
from network import Network, Report
from npz import write_whole
from parallel import (Team, judge, own_pixels, pack_network, prepared, train_batch,
                      unpack_network)

HISTORY = "history.csv"

# What a run is made of, beside its data.  On the packed engine the same data, settings
# and seed give the same weights, bit for bit, whatever the number of workers; a resumed
# run takes its settings from its checkpoint.
DEFAULTS = {
    "hidden": [128],
    "activation": "relu",
    "loss": "cross-entropy",
    "learning_rate": 0.35,
    "schedule": "linear",
    "epochs": 40,
    "batch_size": 32,
    "augment": "elastic",
    "calm": 0.1,
    "sure": 0.01,
    "rest": 2,
    "grey_levels": 4,
    "validation": 0,
    "limit": 0,
    "seed": 1,
    "engine": "packed",
}
RECIPES = {
    "default": {},
    "fast": {"epochs": 6},
    "best": {"epochs": 160},
}
MAPS = 500      # random maps that images are sent through, made once a run


class DivergedError(Exception):
    """Training has left the range in which it can learn."""


# ---------------------------------------------------------------------------
# Checkpoints
# ---------------------------------------------------------------------------

def save_checkpoint(folder: Path, network: Network, settings: dict,
                    history: list[dict], resting: list[int]) -> None:
    """Write the network with its settings and history, and the history as CSV too.

    The model file alone is enough to resume, and it is replaced in one step.  Which
    images rest matters only to a run that goes on.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, history[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    state = {**settings, "history": history}
    if len(history) < settings["epochs"]:
        state["resting"] = base64.b64encode(zlib.compress(bytes(resting))).decode()
    try:
        network.save(folder / MODEL, state)
        write_whole(folder / HISTORY, text.getvalue().encode())
    except OSError as error:
        kept = "the checkpoint before it is kept" if len(history) > 1 else ""
        raise DataError(folder, error.strerror or str(error),
                        "a folder that can be written", kept) from None


def load_checkpoint(folder: Path) -> tuple[Network, dict, list[dict]]:
    """(network, settings, history) of a run; DataError where its folder has none."""
    path = folder / MODEL
    network, saved = Network.load(path)
    history = saved.pop("history", None)
    if not set(DEFAULTS) <= set(saved) or not history:
        raise DataError(path, "a model without the settings of a run",
                        "a checkpoint of train.py")
    return network, saved, history


def resting_images(settings: dict, count: int) -> list[int]:
    """For each of `count` images the epochs that it still rests, from a checkpoint."""
    text = settings.pop("resting", None)
    resting = zlib.decompress(base64.b64decode(text)) if text else bytes(count)
    return list(resting)


# ---------------------------------------------------------------------------
# Epochs
# ---------------------------------------------------------------------------

def learning_rate_at(settings: dict, progress: float) -> float:
    """The learning rate after a part `progress` (0..1) of the whole run.

    constant: lr.  linear: lr (1 - progress).  cosine: lr (1 + cos(pi progress)) / 2
    (Loshchilov and Hutter 2017, arXiv 1608.03983).  The last two fall to 0.
    """
    rate = settings["learning_rate"]
    if settings["schedule"] == "constant":
        return rate
    if settings["schedule"] == "linear":
        return rate * (1 - progress)
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
                 maps: list, resting: list[int]) -> None:
        self.number, self.settings = number, settings
        self.team, self.resting = team, resting
        shuffled = train.order(random_for(settings, "order", number))
        # Where all would rest, as with --sure 1 or very few images, none does.
        self.order = [i for i in shuffled if not resting[i]] or shuffled
        resting[:] = [max(0, epochs - 1) for epochs in resting]
        augment = own_pixels(team)
        if maps:
            augment = RandomGather(maps, random_for(settings, "augment", number),
                                   slice(team.rank, None, team.size))
        self._batches = train.batches(settings["batch_size"], self.order, augment)

    def train(self, network: Network, live: LiveLine) -> dict[str, float]:
        """Train the team's network; returns the epoch's line of the history.

        Loss and accuracy are of the images as they came, each from just before the step
        that it took part in.
        """
        start, done, sure = time.perf_counter(), 0, []
        loss_sum, right = 0.0, 0
        for x, labels in prepared(self.team, self._batches):
            progress = self.number - 1 + done / len(self.order)
            rate = learning_rate_at(self.settings, progress / self.settings["epochs"])
            # An image of a last, smaller batch moves the weights as far as others.
            rate *= len(labels) / self.settings["batch_size"]
            mine = self.team.share(len(labels))
            result = train_batch(network, self.team, x, labels, rate,
                                 self.settings["sure"])
            loss_sum += result.loss * len(labels[mine])
            right += result.right
            sure += compress(self.order[done:done + len(labels)][mine], result.sure)
            done += len(labels)
            live.show(f"Epoch {self.number:2}/{self.settings['epochs']}: "
                      + rate_text(done, len(self.order), time.perf_counter() - start))
        live.clear()
        losses, rights, sures = zip(*self.team.gather((loss_sum, right, sure)))
        for i in chain(*sures):
            self.resting[i] = self.settings["rest"]
        return {"epoch": self.number, "loss": sum(losses) / done,
                "train_accuracy": sum(rights) / done, "images": done,
                "seconds": round(time.perf_counter() - start, 3)}


def epoch_line(row: dict, epochs: int) -> str:
    """One epoch's results in one line."""
    name = "Val" if "validation_accuracy" in row else "Test"
    accuracy = row.get("validation_accuracy", row.get("test_accuracy"))
    return (f"Epoch {row['epoch']:2}/{epochs} | Loss: {row['loss']:.4f} | "
            f"Train Acc: {row['train_accuracy']:.2%} | {name} Acc: {accuracy:.2%} | "
            f"{row['seconds']:.1f} s")


def train_network(team: Team, network: Network, parts: dict[str, Dataset],
                  settings: dict, folder: Path, history: list[dict],
                  resting: list[int]) -> Report:
    """Train the epochs that are not in the history yet, together with the team.

    The leader prints each and writes a checkpoint.  Returns the answers to the test
    set.
    """
    live = LiveLine() if team.rank == 0 else LiveLine(shown=False)
    if settings["engine"] == "packed":
        network = pack_network(network, team, settings["grey_levels"],
                               settings["learning_rate"] / settings["batch_size"])
    judged = "validation" if "validation" in parts else "test"
    train, maps, strength, report = parts["train"], [], 0.0, None
    for number in range(len(history) + 1, settings["epochs"] + 1):
        if strength != augmentation_strength(settings, number):
            live.show("Making maps ...")
            strength = augmentation_strength(settings, number)
            maps = augmentation_maps(settings, strength, train.height, train.width)
        row = Epoch(number, train, settings, team, maps, resting).train(network, live)
        if team.rank == 0 and not math.isfinite(row["loss"]):
            raise DivergedError("the loss is not finite")
        live.show(f"Testing on {len(parts[judged]):,} images ...")
        report = judge(network, team, parts[judged])
        live.clear()
        row[f"{judged}_accuracy"] = report.accuracy
        history.append(row)
        whole = unpack_network(network, team)
        if team.rank == 0:
            save_checkpoint(folder, whole, settings, history, resting)
            print(epoch_line(row, settings["epochs"]), flush=True)
    if report is None or judged != "test":
        report = judge(network, team, parts["test"])
    return report
