"""The training command: python train.py [options], or --help for all of them.

An epoch is one pass over all images in a new random order.  After each one the network
is tested and a checkpoint is written, so that a run can be stopped and resumed.
"""
from __future__ import annotations

import argparse
import csv
import io
import math
import random
import sys
import time
from pathlib import Path
from typing import Any, Iterator, Sequence

import data_loader
import plots
from console import (LiveLine, OptionError, Parser, positive_number, rate_text,
                     run_command, whole_number)
from data_loader import DataError
from dataset import Dataset, shift_augmentation
from network import ACTIVATIONS, LOSSES, Network
from npz import write_whole

RUNS = Path(__file__).resolve().parent / "runs"
MODEL, HISTORY = "model.npz", "history.csv"

# What a run is made of, beside its data.  The same data, settings and seed give the
# same weights; a resumed run takes them from its checkpoint.
DEFAULTS = {
    "hidden": [128],
    "activation": "relu",
    "loss": "cross-entropy",
    "learning_rate": 0.2,
    "schedule": "cosine",
    "epochs": 5,
    "batch_size": 32,
    "augment": "none",
    "validation": 0,
    "limit": 0,
    "seed": 1,
    "engine": "lists",
}

EXAMPLES = """\
examples:
  python train.py                             train on MNIST, downloaded if need be
  python train.py --epochs 1 --limit 10000    a first impression in seconds
  python train.py --hidden 64-32 --augment shift
  python train.py --resume runs/default-1     go on where a run was stopped

Each run has a folder of its own: model.npz (its checkpoint), history.csv, pictures.
"""


# ---------------------------------------------------------------------------
# Options
# ---------------------------------------------------------------------------

def hidden_sizes(text: str) -> list[int]:
    """The sizes of the hidden layers from text such as "128" or "64-32".

    >>> hidden_sizes("64-32")
    [64, 32]
    """
    try:
        sizes = [int(part) for part in text.split("-")]
    except ValueError:
        sizes = [0]
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected sizes such as 128 or 64-32")
    return sizes


def build_parser() -> Parser:
    """The options of the command; those not given are None, see DEFAULTS."""
    parser = Parser(prog="train.py", epilog=EXAMPLES,
                    formatter_class=argparse.RawDescriptionHelpFormatter,
                    description="Train a network on handwritten digits.")
    add = parser.add_argument
    add("--data", metavar="DIR", help="folder with the four IDX files, or a .csv file "
        "(default: $MNIST_DIR, else data/mnist, else downloaded)")
    add("--hidden", type=hidden_sizes, metavar="N[-N...]",
        help="units of each hidden layer (128)")
    add("--activation", choices=ACTIVATIONS, help="of the hidden layers (relu)")
    add("--loss", choices=LOSSES, help="what is made small (cross-entropy)")
    add("--learning-rate", type=positive_number, metavar="X",
        help="how far a step goes down the slope (0.2)")
    add("--schedule", choices=("cosine", "constant"), help="of the learning rate: it "
        "falls to 0 along a half cosine, or stays (cosine)")
    add("--epochs", type=whole_number(1), metavar="N",
        help="passes over the images (5)")
    add("--batch-size", type=whole_number(1), metavar="N", help="images a step (32)")
    add("--augment", choices=("none", "shift"),
        help="shift: move each image by -1..1 pixels at random (none)")
    add("--validation", type=whole_number(0), metavar="N", help="hold the last N "
        "training images out and judge epochs by them, not by the test set (0)")
    add("--limit", type=whole_number(1), metavar="N",
        help="train on the first N images only (all)")
    add("--seed", type=whole_number(0), metavar="N",
        help="of all that is random: weights, order, shifts (1)")
    add("--engine", choices=("lists",), help="how a matrix keeps its numbers (lists)")
    add("--output", metavar="DIR", help="new folder of the run (runs/default-<number>)")
    add("--resume", metavar="DIR", help="go on with the run in this folder")
    add("--no-plots", action="store_true", help="draw no pictures")
    return parser


def settings_from(options: argparse.Namespace) -> dict[str, Any]:
    """The settings of a new run: what was given, else the defaults."""
    given = {name: getattr(options, name) for name in DEFAULTS}
    return {name: DEFAULTS[name] if value is None else value
            for name, value in given.items()}


# ---------------------------------------------------------------------------
# The folder of a run
# ---------------------------------------------------------------------------

def new_folder(output: str | None, recipe: str = "default") -> Path:
    """Make the folder of a new run: the one named, or the next free number in runs/."""
    try:
        if output:
            folder = Path(output)
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise DataError(folder, "a folder with files in it",
                                "a new or empty one",
                                "name another, or go on with a run by --resume")
            return folder
        RUNS.mkdir(exist_ok=True)
        return _next_free(recipe)
    except OSError as error:
        raise DataError(output or RUNS, error.strerror or str(error),
                        "a folder that can be written",
                        "name one by --output") from None


def _next_free(recipe: str) -> Path:
    """runs/<recipe>-<number>; making it takes it, so two runs never share one."""
    number = 1
    while True:
        folder = RUNS / f"{recipe}-{number}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1


def save_checkpoint(folder: Path, network: Network, settings: dict,
                    history: list[dict]) -> None:
    """Write the network with its settings and history, and the history as CSV too.

    The model file alone is enough to resume, and it is replaced in one step.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, history[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    try:
        network.save(folder / MODEL, {**settings, "history": history})
        write_whole(folder / HISTORY, text.getvalue().encode())
    except OSError as error:
        raise DataError(folder, error.strerror or str(error),
                        "a folder that can be written",
                        "the last whole checkpoint is kept") from None


def load_checkpoint(folder: Path) -> tuple[Network, dict, list[dict]]:
    """(network, settings, history) of a run; DataError where its folder has none."""
    path = folder / MODEL
    network, saved = Network.load(path)
    history = saved.pop("history", None)
    if not set(DEFAULTS) <= set(saved) or not history:
        raise DataError(path, "a model without the settings of a run",
                        "a checkpoint of train.py")
    return network, saved, history


# ---------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------

def learning_rate_at(settings: dict, progress: float) -> float:
    """The learning rate after a part `progress` (0..1) of the whole run.

    constant: lr.  cosine: lr (1 + cos(pi progress)) / 2, from lr down to 0 (Loshchilov
    and Hutter 2017, arXiv 1608.03983).
    """
    if settings["schedule"] == "constant":
        return settings["learning_rate"]
    return settings["learning_rate"] * (1 + math.cos(math.pi * progress)) / 2


def random_for(settings: dict, purpose: str, epoch: int) -> random.Random:
    """Random numbers of their own for each purpose and epoch.

    So an epoch does not depend on how many numbers were drawn before it, and a resumed
    run draws those of an uninterrupted one.
    """
    return random.Random(f"{settings['seed']} {purpose} {epoch}")


def epoch_batches(train: Dataset, settings: dict, epoch: int) -> Iterator:
    """The batches (X, labels) of one epoch: shuffled and, if asked for, moved about."""
    order = train.order(random_for(settings, "order", epoch))
    augment = None
    if settings["augment"] == "shift":
        augment = shift_augmentation(
            train.height, train.width, 1, random_for(settings, "augment", epoch))
    return train.batches(settings["batch_size"], order, augment)


def train_epoch(network: Network, train: Dataset, settings: dict, epoch: int,
                live: LiveLine) -> dict[str, float]:
    """Train for one epoch, counted from 1; returns its line of the history."""
    start = time.perf_counter()
    loss_sum, right, done = 0.0, 0, 0
    for x, labels in epoch_batches(train, settings, epoch):
        progress = (epoch - 1 + done / len(train)) / settings["epochs"]
        rate = learning_rate_at(settings, progress)
        loss, batch_right = network.train_batch(x, labels, rate)
        loss_sum += loss * len(labels)
        right += batch_right
        done += len(labels)
        live.show(f"Epoch {epoch:2}/{settings['epochs']}: "
                  + rate_text(done, len(train), time.perf_counter() - start))
    live.clear()
    return {"epoch": epoch, "loss": loss_sum / done, "train_accuracy": right / done,
            "seconds": round(time.perf_counter() - start, 3)}


def epoch_line(row: dict, epochs: int) -> str:
    """One epoch's results in one line."""
    name = "Val" if "validation_accuracy" in row else "Test"
    accuracy = row.get("validation_accuracy", row.get("test_accuracy"))
    return (f"Epoch {row['epoch']:2}/{epochs} | Loss: {row['loss']:.4f} | "
            f"Train Acc: {row['train_accuracy']:.2%} | {name} Acc: {accuracy:.2%} | "
            f"{row['seconds']:.1f} s")


def train_network(network: Network, parts: dict[str, Dataset], settings: dict,
                  folder: Path, history: list[dict]) -> None:
    """Train the epochs that are not in the history yet; print and keep each."""
    live = LiveLine()
    judged = "validation" if "validation" in parts else "test"
    for epoch in range(len(history) + 1, settings["epochs"] + 1):
        row = train_epoch(network, parts["train"], settings, epoch, live)
        if not math.isfinite(row["loss"]):
            raise OptionError("training diverged: the loss is no number any more, "
                              "expected it to fall; lower --learning-rate")
        live.show(f"Testing on {len(parts[judged]):,} images ...")
        row[f"{judged}_accuracy"] = network.accuracy(parts[judged])
        live.clear()
        history.append(row)
        save_checkpoint(folder, network, settings, history)
        print(epoch_line(row, settings["epochs"]), flush=True)


# ---------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------

def load_data(data: str | None) -> tuple[Dataset, Dataset]:
    """Train and test set; the sample, and a word on stderr, where there is no MNIST."""
    live = LiveLine()

    def progress(name: str, done: int, total: int) -> None:
        """Show how far a download is."""
        live.show(f"Downloading {name}: {done:,} of {total or done:,} bytes")

    train, test, notice = data_loader.load_or_sample(data, progress)
    live.clear()
    if notice:
        print(notice, file=sys.stderr)
    return train, test


def load_parts(data: str | None, settings: dict) -> dict[str, Dataset]:
    """The data sets "train", "test" and, if asked for, "validation"."""
    train, test = load_data(data)
    if settings["limit"]:
        train = train.head(settings["limit"])
    parts = {"train": train, "test": test}
    if settings["validation"]:
        if settings["validation"] >= len(train):
            raise OptionError(f"--validation {settings['validation']}: expected fewer "
                              f"than the {len(train):,} training images")
        parts["train"], parts["validation"] = train.split(settings["validation"])
    sizes = ", ".join(f"{len(part):,} to {'train on' if name == 'train' else name}"
                      for name, part in parts.items())
    print(f"Data: {train.name}, {sizes}")
    return parts


def start_or_resume(options: argparse.Namespace
                    ) -> tuple[Network | None, dict, list[dict]]:
    """(network or None, settings, history) as the options ask for."""
    if not options.resume:
        return None, settings_from(options), []
    for name in (*DEFAULTS, "output"):
        if getattr(options, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise OptionError(f"{option} cannot be given with --resume: a resumed run "
                              "keeps its settings and its folder")
    return load_checkpoint(Path(options.resume))


def check_same_data(network: Network, train: Dataset, settings: dict) -> None:
    """DataError where a run is resumed on other data than it was begun on."""
    if settings["data"] != train.name or network.sizes[0] != train.height * train.width:
        raise DataError(train.name, f"a run on {settings['data']}",
                        "to resume on the same data", "give its folder by --data")


def finish(network: Network, test: Dataset, folder: Path, history: list[dict],
           draw: bool) -> None:
    """Test on the whole test set, print the result and draw the pictures."""
    report = network.judge(test)
    print(f"\n{report.accuracy:.2%} of the {len(test):,} test images of {test.name} "
          f"are read right.\nModel: {folder / MODEL}")
    if draw:
        try:
            names = plots.draw_run(folder, history, report, test)
            print(f"Pictures: {', '.join(names)} in {folder}")
        except ImportError:
            print("No pictures drawn: matplotlib is not installed.")
    print("Try it: python predict.py --index 42")


def run(options: argparse.Namespace) -> int:
    """Train as the options say; returns the exit code."""
    network, settings, history = start_or_resume(options)
    parts = load_parts(options.data, settings)
    train = parts["train"]
    if network:
        check_same_data(network, train, settings)
        folder = Path(options.resume)
    else:
        settings["data"] = train.name
        sizes = [train.height * train.width, *settings["hidden"], train.class_count]
        network = Network(sizes, settings["activation"], settings["loss"],
                          random_for(settings, "weights", 0))
        folder = new_folder(options.output)
    print(f"Network: {'-'.join(map(str, network.sizes))}, {network.activation}, "
          f"{network.loss}, {network.parameter_count:,} parameters; "
          f"batch {settings['batch_size']}, seed {settings['seed']}")
    try:
        train_network(network, parts, settings, folder, history)
    except KeyboardInterrupt:
        return _interrupted(folder, history)
    finally:
        if not history:     # no checkpoint, so there is nothing in it
            folder.rmdir()
    finish(network, parts["test"], folder, history, not options.no_plots)
    return 0


def _interrupted(folder: Path, history: list[dict]) -> int:
    """Say what is kept."""
    if history:
        print(f"\nStopped. {len(history)} epochs are kept; go on with: "
              f"python train.py --resume {folder}", file=sys.stderr)
    else:
        print("\nStopped before the first epoch was done: nothing to keep.",
              file=sys.stderr)
    return 130


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    options = build_parser().parse_args(argv)
    return run_command("train.py", lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
