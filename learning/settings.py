"""What a training run is made of: settings, what they may be, and the recipes.

A recipe is data, not code: what it has otherwise than the defaults.
"""
from __future__ import annotations

import math
import sys
from functools import partial
from typing import Callable

from learning.optimizers import OPTIMIZERS
from network import ACTIVATIONS, LOSSES

# What a run is made of, beside its data.  On the packed engine the same data, settings
# and seed give the same weights, bit for bit, whatever the number of workers; a resumed
# run takes its settings from its checkpoint.
DEFAULTS = {
    "hidden": [128],
    "activation": "relu",
    "loss": "cross-entropy",
    "optimizer": "sgd",
    "momentum": 0.9,            # of the optimizer momentum
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


def optimizer_maker(settings: dict) -> Callable:
    """What makes the optimizer of a network from its layers."""
    kind, more = settings["optimizer"], {}
    if kind == "momentum":
        more = {"momentum": settings["momentum"]}
    return partial(OPTIMIZERS[kind], l2=settings["l2"], **more)
