"""The options of the training command: what each is, what they make of a run.

A run is described by its settings (training.DEFAULTS); nearly every option is one.
"""
from __future__ import annotations

import argparse
import textwrap
from typing import Any, Callable, Sequence

from errors import OptionError
from learning.optimizers import OPTIMIZERS
from learning.search import FIXED, as_options
from learning.settings import CHOICES, DEFAULTS, RECIPES
from network import ACTIVATIONS, LOSSES
from show.console import (Parser, fraction, fraction_below_one, not_negative,
                          path_name, positive_number, whole_number)

EXAMPLES = """\
examples:
  python train.py                             train on MNIST, downloaded if need be
  python train.py --recipe fast               over in 12 seconds
  python train.py --recipe best               the most accurate
  python train.py --hidden 64-32 --augment shift --learning-rate 0.2
  python train.py --resume runs/default-1     go on where a run was stopped
  python train.py --grid hidden=64,128 learning-rate=0.1,0.2 --epochs 5
  python train.py --folds 5 --epochs 5        cross-validation

Each run has a folder of its own: model.npz (its checkpoint), history.csv, pictures.
"""


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
    """The options that decide what network learns, and how."""
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
    add("--decay-every", type=whole_number(1), metavar="N",
        help="... each N epochs (5)")
    add("--optimizer", choices=OPTIMIZERS,
        help="how a step is made of a gradient (sgd)")
    add("--momentum", type=fraction_below_one, metavar="X",
        help="what momentum keeps of the last step (0.9)")
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


def add_images(add: Callable) -> None:
    """The options that say from which images it is learnt, and in which form."""
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
    add("--data", type=path_name, metavar="DIR", help="folder with the four IDX files, "
        "or a .csv file (default: $MNIST_DIR, else data/mnist, else downloaded)")
    add("--recipe", choices=(*RECIPES, "list"), metavar="NAME", help="a set of "
        "settings; options given beside it change them (default); list prints all")
    add_settings(add)
    add_images(add)
    add("--save-every", type=positive_number, metavar="S", help="write a checkpoint "
        "within an epoch after S seconds too (60)")
    add("--engine", choices=CHOICES["engine"], help="how a matrix keeps its numbers: "
        "a row in one integer, or lists of floats (packed)")
    add("--grid", nargs="+", action="extend", metavar="SETTING=VALUE[,VALUE...]",
        help="train every combination of these values and compare them by --validation "
        "images (a sixth) or --folds; --workers is how many at once")
    add("--folds", type=whole_number(2), metavar="K", help="cross-validation: the "
        "training images in K parts, K networks each judged on the part not seen")
    add("--workers", type=whole_number(1), metavar="N", help="processes that share the "
        "work, with the same result for any number (as many as there are cores)")
    add("--output", type=path_name, metavar="DIR",
        help="new folder of the run (runs/<recipe>-<number>)")
    add("--resume", type=path_name, metavar="DIR",
        help="go on with the run or search in this folder")
    add("--no-plots", action="store_true", help="draw no pictures")
    return parser


def settings_from(options: argparse.Namespace) -> dict[str, Any]:
    """The settings of a new run: what was given, else the recipe's, else the defaults.
    """
    recipe = options.recipe or "default"
    given = {name: getattr(options, name) for name in DEFAULTS}
    settings = {**DEFAULTS, **RECIPES[recipe], "recipe": recipe,
                **{name: value for name, value in given.items() if value is not None}}
    searching = options.grid or options.folds       # it has its own images to judge by
    if settings["patience"] and not (settings["validation"] or searching):
        raise OptionError("--patience needs images to judge by: give --validation too, "
                          "such as --validation 10000")
    return settings


def grid_from(texts: Sequence[str]) -> dict[str, list]:
    """The values of each setting from text such as "hidden=64,128".

    Each value is parsed by the option of that name, which also says what is wrong.
    """
    grid: dict[str, list] = {}
    for text in texts:
        option, _, values = text.partition("=")
        name = option.replace("-", "_")
        if name in FIXED:
            raise OptionError(f"--grid {option}: expected no setting that changes what "
                              f"is compared; give --{option} beside the grid")
        if name not in DEFAULTS or not values:
            raise OptionError(f"--grid: found {text!r}, expected the name of a setting "
                              "and its values, such as hidden=64,128")
        found = [getattr(build_parser().parse_args(
            [f"--{name.replace('_', '-')}={value}"]), name)
            for value in values.split(",")]
        if name in grid or any(found.count(value) > 1 for value in found):
            raise OptionError(f"--grid: found {text!r}, expected each setting and each "
                              "of its values once")
        grid[name] = found
    return grid


def refuse_beside_resume(options: argparse.Namespace) -> None:
    """OptionError where an option would change a run that is resumed."""
    for name in ("recipe", "output", "grid", "folds", *DEFAULTS):
        if getattr(options, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise OptionError(f"{option} cannot be given with --resume: a resumed run "
                              "keeps its settings and its folder")


def recipe_lines(width: int = 88) -> list[str]:
    """What each recipe has otherwise than the defaults, as the options that do it."""
    lines, first = [], max(map(len, (*RECIPES, "(defaults)"))) + 2
    defaults = {name: value for name, value in DEFAULTS.items() if name != "limit"}
    for name, settings in {"(defaults)": defaults, **RECIPES}.items():
        # An option and its value stay on one line.
        options = [option.replace(" ", "\xa0") for option in as_options(settings)]
        text = " ".join(options) or "like the defaults"
        wrapped = textwrap.wrap(text, max(40, width) - first, break_on_hyphens=False)
        lines += [(name if i == 0 else "").ljust(first) + line.replace("\xa0", " ")
                  for i, line in enumerate(wrapped)]
    return lines
