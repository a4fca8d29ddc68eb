"""The settings of a run: one table, from which all that deals with them is made.

The options of train.py and their help, the values of --grid, the listing of recipes,
and the check of what comes back from a file: each looks a setting up here.  On the
packed engine the same data, settings and seed give the same weights, bit for bit.
"""
from __future__ import annotations

import argparse
from functools import partial
from typing import Any, Callable, Collection, Mapping, NamedTuple

from errors import OptionError
from learning.kinds import (BELOW_1, FRACTION, NOT_NEGATIVE, POSITIVE, Choice, Kind,
                            Sizes, whole)
from learning.optimizers import OPTIMIZERS
from network import ACTIVATIONS, LOSSES

Settings = dict[str, Any]   # of a run: a value for each name

_MOST_EPOCHS = 50_000       # the history of so many is 12 MB of the 16 that are read
_MOST_IN_STEP, _MOST_IMAGES = 10 ** 6, 10 ** 9


# --- the table

class Setting(NamedTuple):
    """A line of the table."""

    default: Any
    kind: Kind
    help: str
    # (another setting, the values of it without which this one has no effect)
    needs: tuple[str, Kind] | None = None
    old: str = ""               # the name that it had in older files
    varies: bool = True         # False where a search compares runs that agree in it


GROUPS = {
    "most used": {
        "hidden": Setting([128], Sizes(), "units of each hidden layer, or none"),
        "learning_rate": Setting(0.35, POSITIVE, "length of a step down the gradient"),
        "epochs": Setting(40, whole(1, _MOST_EPOCHS),
                          "passes over the training images"),
        "augment": Setting(
            "elastic", Choice("none", "shift", "affine", "elastic"),
            "send each image through a random map: move it by a pixel; rotate, scale "
            "and shear it (affine), or distort it as well"),
    },
    "network and loss": {
        "activation": Setting("relu", Choice(*ACTIVATIONS), "of the hidden layers"),
        "loss": Setting("cross-entropy", Choice(*LOSSES), "function to minimize"),
        "label_smoothing": Setting(
            0.0, BELOW_1, "share a part X of each target among all classes"),
        "l2": Setting(0.0, NOT_NEGATIVE,
                      "add X / 2 times the sum of all squared weights to the loss"),
        "dropout": Setting(0.0, BELOW_1, "leave out a part X of the hidden units for "
                           "each image"),
    },
    "steps": {
        "batch_size": Setting(32, whole(1, _MOST_IN_STEP, all=0),
                              "images in a step, or all"),
        "optimizer": Setting("sgd", Choice(*OPTIMIZERS), "step made of a gradient"),
        "momentum": Setting(0.9, BELOW_1, "part of the last step that momentum keeps",
                            needs=("optimizer", Choice("momentum"))),
        "schedule": Setting(
            "linear", Choice("linear", "cosine", "step", "constant"),
            "learning rate over the run: falls to 0 along a line or a half cosine, "
            "falls in steps, or stays"),
        "decay": Setting(0.8, FRACTION, "multiply the learning rate by X ...",
                         needs=("schedule", Choice("step"))),
        "decay_every": Setting(5, whole(1, _MOST_EPOCHS), "... each N epochs",
                               needs=("schedule", Choice("step"))),
    },
    "images": {
        "skip_below": Setting(
            0.01, FRACTION, "an image whose outputs are all within X of their targets "
            "takes no part in the step ...", old="sure"),
        "skip_epochs": Setting(2, whole(0, 255), "... and is skipped for N epochs",
                               needs=("skip_below", POSITIVE), old="rest"),
        "cooldown": Setting(
            0.1, FRACTION, "the last part X of the epochs has maps half as strong",
            needs=("augment", Choice("affine", "elastic")), old="calm"),
        "grey_levels": Setting(4, whole(2, 256), "round pixels to N levels"),
        "limit": Setting(0, whole(1, _MOST_IMAGES, all=0),
                         "train on the first N images only", varies=False),
        "validation": Setting(
            0, whole(0, _MOST_IMAGES), "hold out the last N training images and "
            "evaluate on them, not on the test set, after each epoch", varies=False),
        "patience": Setting(0, whole(0, _MOST_EPOCHS, never=0), "stop after N epochs "
                            "without a better accuracy on the validation images, and "
                            "take the best"),
    },
    "the run": {
        "engine": Setting("packed", Choice("packed", "lists"),
                          "a row of a matrix is one integer, or a list of floats"),
        "seed": Setting(1, whole(0, 2 ** 63 - 1),
                        "of all that is random: weights, order, maps"),
        "save_every": Setting(60.0, POSITIVE, "write a checkpoint after X seconds "
                              "within an epoch too", varies=False),
    },
}
SETTINGS = {name: line for group in GROUPS.values() for name, line in group.items()}
DEFAULTS = {name: line.default for name, line in SETTINGS.items()}
KINDS = {name: line.kind for name, line in SETTINGS.items()}


# --- recipes

# Training as the textbooks have it: every image, as it is, in every epoch.
_PLAIN = {"schedule": "constant", "augment": "none", "skip_below": 0.0,
          "skip_epochs": 0}

# Where each recipe differs from the defaults.  Those after `wide` are what well-known
# small projects and lessons do, so that they can be compared.
RECIPES = {
    "default": {},
    "fast": {"epochs": 6},
    "best": {"epochs": 160},
    "wide": {"hidden": [800], "epochs": 120},
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


# --- what is made of the table

def option(name: str) -> str:
    """Return the option that sets a setting: "--learning-rate"."""
    return "--" + name.replace("_", "-")


def add_options(add: Callable, settings: Mapping[str, Setting]) -> None:
    """Add an option for each setting to a parser; the old names say the new ones."""
    for name, line in settings.items():
        add(option(name), type=line.kind, metavar=line.kind.metavar,
            help=f"{line.help} ({line.kind.text(line.default)})")
        if line.old:
            add(option(line.old), type=partial(_refuse_old, name),
                default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def _refuse_old(name: str, text: str) -> None:
    raise argparse.ArgumentTypeError(f"this option is now called {option(name)}")


def value_text(name: str, value: Any) -> str:
    """Return the value of a setting, or of a result of a run, as text."""
    return (SETTINGS[name].kind if name in SETTINGS else Kind()).text(value)


def plain(name: str) -> str:
    """Return the name of a setting or a result as words: "learning rate"."""
    return name.replace("_", " ")


def in_words(settings: Settings) -> str:
    """Return settings for people to read: "hidden 64-32, learning rate 0.1"."""
    return ", ".join(f"{plain(name)} {value_text(name, value)}"
                     for name, value in settings.items())


def as_options(settings: Settings) -> list[str]:
    """Return settings as options of the training command, in the order of the table.

    >>> as_options({"learning_rate": 0.1, "hidden": [64, 32]})
    ['--hidden 64-32', '--learning-rate 0.1']
    """
    return [f"{option(name)} {value_text(name, settings[name])}"
            for name in SETTINGS if name in settings]


def check_effects(settings: Settings, given: Collection[str],
                  grid: Mapping[str, list] = {}) -> None:
    """Raise OptionError where a setting given has no effect beside the others."""
    for name in given:
        if SETTINGS[name].needs:
            other, kind = SETTINGS[name].needs
            values = grid.get(other, [settings[other]])
            if not any(map(kind.accepts, values)):
                found, = as_options({other: values[0]})
                raise OptionError(f"{option(name)} has no effect with {found}: "
                                  f"expected {option(other)} to be {kind.expected}")


def with_new_names(saved: Any, more: Mapping[str, str] = {}) -> Any:
    """Return an object, as read from a file, with the names of today: of settings, and
    `more` (old name: new name)."""
    new = {**{line.old: name for name, line in SETTINGS.items() if line.old}, **more}
    if not isinstance(saved, dict):
        return saved
    return {new.get(name, name): value for name, value in saved.items()}


def optimizer_maker(settings: Settings) -> Callable:
    """Return a function that makes the optimizer of a list of layers."""
    kind = settings["optimizer"]
    more = {"momentum": settings["momentum"]} if kind == "momentum" else {}
    return partial(OPTIMIZERS[kind], l2=settings["l2"], **more)
