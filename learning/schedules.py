"""Learning rate and strength of augmentation in the course of a run."""
from __future__ import annotations

import math

from engine.portable import cos
from learning.settings import Settings


def learning_rate_at(settings: Settings, progress: float) -> float:
    """Return the learning rate after a part `progress` (0..1) of the whole run.

    constant: lr.  linear: lr (1 - progress).  cosine: lr (1 + cos(pi progress)) / 2
    (Loshchilov and Hutter 2017, arXiv 1608.03983).  The last two fall to 0.
    step: lr decay^k after k times `decay_every` epochs.
    """
    rate, schedule = settings["learning_rate"], settings["schedule"]
    if schedule == "linear":
        return rate * (1 - progress)
    if schedule == "cosine":
        return rate * (1 + cos(math.pi * progress)) / 2
    if schedule == "step":
        epoch = int(progress * settings["epochs"] + 1e-9)
        steps = epoch // settings["decay_every"]    # no `**`: its last digit differs
        return rate * math.prod([settings["decay"]] * steps)
    return rate


def augmentation_strength(settings: Settings, epoch: int) -> float:
    """Return the strength of the maps in an epoch: 1, or 1/2 in the last ones.

    In the last epochs, a part `cooldown` of all, the network sees images more like
    those that it will be asked about.
    """
    return 0.5 if epoch > settings["epochs"] * (1 - settings["cooldown"]) else 1.0
