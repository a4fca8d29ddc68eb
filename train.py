"""The training command: python train.py [options], or --help for all of them.

After each epoch the network is tested and a checkpoint is written, so that a run can
be stopped and resumed.
"""
from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any, Callable, Sequence

import plots
from console import (MODEL, RUNS, OptionError, Parser, fraction, fraction_below_one,
                     load_data, not_negative, positive_number, run_command, shown_path,
                     whole_number)
from data_loader import DataError
from dataset import Dataset
from network import ACTIVATIONS, LOSSES, Network, Report
from packed_math import LaneOverflowError
from parallel import WorkerError, available_cores, run_team
from optimizers import OPTIMIZERS
from training import (CHOICES, DEFAULTS, RECIPES, DivergedError, Progress, check_learnable,
                      load_checkpoint,
                      random_for, train_network)


EXAMPLES = """\
examples:
  python train.py                             train on MNIST, downloaded if need be
  python train.py --recipe fast               over in half a minute
  python train.py --recipe best               the most accurate
  python train.py --hidden 64-32 --augment shift --learning-rate 0.2
  python train.py --resume runs/default-1     go on where a run was stopped

Each run has a folder of its own: model.npz (its checkpoint), history.csv, pictures.
"""


# ---------------------------------------------------------------------------
# Options
# ---------------------------------------------------------------------------

def hidden_sizes(text: str) -> list[int]:
    """The sizes of the hidden layers from text such as "128", "64-32" or "none".

    >>> hidden_sizes("64-32")
    [64, 32]
    """
    if text == "none":
        return []
    try:
        sizes = [int(part) for part in text.split("-")]
    except ValueError:
        sizes = [0]
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected sizes such as 128 or 64-32, "
            "or none")
    return sizes


def batch_size(text: str) -> int:
    """How many images a step takes; 0 for "all"."""
    return 0 if text == "all" else whole_number(1)(text)


def add_settings(add: Callable) -> None:
    """The options that decide what is learnt, and how."""
    add("--hidden", type=hidden_sizes, metavar="N[-N...]",
        help="units of each hidden layer, or none (128)")
    add("--activation", choices=ACTIVATIONS, help="of the hidden layers (relu)")
    add("--loss", choices=LOSSES, help="what is made small (cross-entropy)")
    add("--learning-rate", type=positive_number, metavar="X",
        help="how far a step goes down the slope (0.35)")
    add("--schedule", choices=CHOICES["schedule"], help="of the "
        "learning rate: it falls to 0, along a line or a half cosine, falls in steps, "
        "or stays (linear)")
    add("--decay", type=fraction, metavar="X",
        help="a step of the schedule multiplies the learning rate by X (0.8) ...")
    add("--decay-every", type=whole_number(1), metavar="N", help="... each N epochs (5)")
    add("--optimizer", choices=OPTIMIZERS, help="how a step is made of a gradient (sgd)")
    add("--momentum", type=fraction_below_one, metavar="X",
        help="what momentum and nesterov keep of the last step (0.9)")
    add("--epochs", type=whole_number(1), metavar="N",
        help="passes over the images (40)")
    add("--batch-size", type=batch_size, metavar="N",
        help='images a step, or "all" (32)')
    add("--dropout", type=fraction_below_one, metavar="X",
        help="leave out a part X of the hidden units for each image (0)")
    add("--l2", type=not_negative, metavar="X",
        help="add X / 2 times the sum of all squared weights to the loss (0)")
    add("--label-smoothing", type=fraction_below_one, metavar="X",
        help="take a part X of each target away and share it among all classes (0)")
    add("--augment", choices=CHOICES["augment"], help="send each "
        "image through a random map: moved by a pixel; turned, stretched and slanted; "
        "bent as well (elastic)")
    add("--calm", type=fraction, metavar="X",
        help="the last part X of the epochs has maps half as strong (0.1)")
    add("--sure", type=fraction, metavar="X", help="an image whose answers are all "
        "within X of right takes no part in the step (0.01) ...")
    add("--rest", type=whole_number(0, 255), metavar="N",
        help="... and is left out of the next N epochs (2)")
    add("--grey-levels", type=whole_number(2, 256), metavar="N",
        help="round pixels to N levels, 256 being all (4)")
    add("--validation", type=whole_number(0), metavar="N", help="hold the last N "
        "training images out and judge epochs by them, not by the test set (0)")
    add("--patience", type=whole_number(0), metavar="N", help="stop after N epochs "
        "without a better accuracy on the validation images, and take the best (0: "
        "never stop)")
    add("--limit", type=whole_number(1), metavar="N",
        help="train on the first N images only (all)")
    add("--seed", type=whole_number(0), metavar="N",
        help="of all that is random: weights, order, maps (1)")


def build_parser() -> Parser:
    """The options of the command; those not given are None, see DEFAULTS."""
    parser = Parser(prog="train.py", epilog=EXAMPLES,
                    formatter_class=argparse.RawDescriptionHelpFormatter,
                    description="Train a network on handwritten digits.")
    add = parser.add_argument
    add("--data", metavar="DIR", help="folder with the four IDX files, or a .csv file "
        "(default: $MNIST_DIR, else data/mnist, else downloaded)")
    add("--recipe", choices=RECIPES, help="a set of settings; options given beside it "
        "change them (default)")
    add_settings(add)
    add("--save-every", type=positive_number, metavar="S", help="write a checkpoint "
        "within an epoch after S seconds too (60)")
    add("--engine", choices=CHOICES["engine"], help="how a matrix keeps its numbers: "
        "a row in one integer, or lists of floats (packed)")
    add("--workers", type=whole_number(1), metavar="N", help="processes that share the "
        "work, with the same result for any number (as many as there are cores)")
    add("--output", metavar="DIR",
        help="new folder of the run (runs/<recipe>-<number>)")
    add("--resume", metavar="DIR", help="go on with the run in this folder")
    add("--no-plots", action="store_true", help="draw no pictures")
    return parser


def settings_from(options: argparse.Namespace) -> dict[str, Any]:
    """The settings of a new run: what was given, else the recipe's, else the defaults.
    """
    recipe = options.recipe or "default"
    given = {name: getattr(options, name) for name in DEFAULTS}
    settings = {**DEFAULTS, **RECIPES[recipe], "recipe": recipe,
                **{name: value for name, value in given.items() if value is not None}}
    if settings["patience"] and not settings["validation"]:
        raise OptionError("--patience needs images to judge by: give --validation too, "
                          "such as --validation 10000")
    return settings


# ---------------------------------------------------------------------------
# The folder of a run
# ---------------------------------------------------------------------------

def new_folder(output: str | None, recipe: str) -> Path:
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


# ---------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------

def load_parts(data: str | None, settings: dict) -> dict[str, Dataset]:
    """The data sets "train", "test" and, if asked for, "validation"."""
    train, test = (part.with_levels(settings["grey_levels"])
                   for part in load_data(data))
    if settings["limit"]:
        train = train.head(settings["limit"])
    parts = {"train": train, "test": test}
    if settings["validation"]:
        if settings["validation"] >= len(train):
            raise OptionError(f"--validation {settings['validation']}: expected fewer "
                              f"than the {len(train):,} training images")
        parts["train"], parts["validation"] = train.split(settings["validation"])
    check_learnable(parts["train"])
    words = {"train": "to train on", "test": "to test", "validation": "to validate on"}
    sizes = ", ".join(f"{len(part):,} {words[name]}" for name, part in parts.items())
    print(f"Data: {train.name}, {sizes}")
    return parts


def start_or_resume(options: argparse.Namespace
                    ) -> tuple[Network | None, dict, Progress | None]:
    """(network, settings, progress) as the options ask for; no network, no progress
    where a run begins."""
    if not options.resume:
        return None, settings_from(options), None
    for name in ("recipe", "output", *DEFAULTS):
        if getattr(options, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise OptionError(f"{option} cannot be given with --resume: a resumed run "
                              "keeps its settings and its folder")
    return load_checkpoint(Path(options.resume))


def check_same_data(network: Network, train: Dataset, settings: dict,
                    progress: Progress) -> None:
    """DataError where a run is resumed on other data than it was begun on."""
    resting = len(progress.resting) or len(train)
    if (settings["data"], network.sizes[0], resting) != (
            train.name, train.height * train.width, len(train)):
        raise DataError(train.name, f"a run on {settings['data']}",
                        "to resume on the same data", "give its folder by --data")


def worker_count(options: argparse.Namespace, settings: dict) -> int:
    """How many processes train: as many as there are cores, unless told otherwise."""
    if settings["engine"] == "lists":
        if (options.workers or 1) > 1:
            raise OptionError(f"--workers {options.workers}: expected 1 with --engine "
                              "lists, which cannot be split")
        return 1
    return options.workers or available_cores()


def finish(report: Report, test: Dataset, folder: Path,
           history: list[dict], draw: bool, data: str | None) -> None:
    """Print the result on the whole test set and draw the pictures."""
    model = shown_path(folder / MODEL)
    print(f"\n{report.accuracy:.2%} of the {len(test):,} test images of {test.name} "
          f"are read right.\nModel: {model}")
    if draw:
        try:
            names = plots.draw_run(folder, history, report, test)
            print(f"Pictures: {', '.join(names)}")
        except ImportError:
            print("No pictures drawn: matplotlib is not installed.")
    print(f"Try it: python predict.py --index 42 --model {shlex.quote(model)}"
          f"{data_option(data)}")


def data_option(data: str | None) -> str:
    """What a command has to be given in order to find the same data."""
    return f" --data {shlex.quote(data)}" if data else ""


def run(options: argparse.Namespace) -> int:
    """Train as the options say; returns the exit code."""
    network, settings, progress = start_or_resume(options)
    workers = worker_count(options, settings)
    parts = load_parts(options.data, settings)
    train = parts["train"]
    if network:
        check_same_data(network, train, settings, progress)
    else:
        progress = Progress.none(len(train))
        settings["data"], settings["class_names"] = train.name, list(train.class_names)
        sizes = [train.height * train.width, *settings["hidden"], train.class_count]
        network = Network(sizes, settings["activation"], settings["loss"],
                          random_for(settings, "weights"))
    print(f"Network: {'-'.join(map(str, network.sizes))}, {network.activation}, "
          f"{network.loss}, {network.parameter_count:,} parameters; "
          f"batch {settings['batch_size']}, seed {settings['seed']}, "
          f"{settings['engine']} engine, {workers} "
          f"{'process' if workers == 1 else 'processes'}")
    history = progress.history
    folder = (Path(options.resume) if options.resume
              else new_folder(options.output, settings["recipe"]))
    try:
        report = run_team(workers, train_network, network, parts, settings, folder,
                          progress)
    except KeyboardInterrupt:
        kept = _what_is_kept(folder, history, options.data)
        print(f"\nStopped: {kept}", file=sys.stderr)
        return 130
    except (DivergedError, LaneOverflowError) as error:
        raise OptionError(f"training diverged ({error}): expected the loss to fall; "
                          "lower --learning-rate") from None
    except WorkerError as error:
        raise OptionError(f"{error}: expected all {workers} to work to the end; "
                          f"{_what_is_kept(folder, history, options.data)}") from None
    finally:
        if not history and not options.output:
            folder.rmdir()      # no checkpoint came to be, so it is empty
    finish(report, parts["test"], folder, history, not options.no_plots, options.data)
    return 0


def _what_is_kept(folder: Path, history: list[dict], data: str | None) -> str:
    """What a run that ends early leaves behind, and how to go on with it."""
    if not history:
        return "nothing to keep before the first epoch is done"
    epochs = f"{len(history)} epoch{'s are' if len(history) > 1 else ' is'} kept"
    return (f"{epochs}; go on with: python train.py "
            f"--resume {shlex.quote(shown_path(folder))}{data_option(data)}")


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    options = build_parser().parse_args(argv)
    return run_command("train.py", lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
