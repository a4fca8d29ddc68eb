"""The SHA-256 of the weights after a short training run on the sample.

    python tests/tools/digest.py [affine] [elastic] ...

prints a line for each run named, or for all.  It needs nothing but Python, so that
every Python that there is can be asked; test_team.py holds the expected answers.
"""
import hashlib
import struct
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import data_loader  # noqa: E402
from engine.team import run_team  # noqa: E402
from learning import training  # noqa: E402
from learning import checkpoint
from learning.settings import DEFAULTS
from network import Network  # noqa: E402

# 300 = 9 x 32 + 12 images; 65 = 8 x 8 + 1 leaves one for two workers or three.
SHORT = {"hidden": [16], "epochs": 2, "limit": 300, "augment": "affine"}
RUNS = {
    "affine": SHORT,
    "elastic": {**SHORT, "augment": "elastic", "skip_below": 0.75, "epochs": 3},
    "one layer": {**SHORT, "hidden": [], "limit": 65, "batch_size": 8, "epochs": 4,
                  "skip_below": 0.3, "augment": "shift"},
    "two layers": {**SHORT, "hidden": [16, 16], "augment": "none", "limit": 65,
                   "batch_size": 8, "learning_rate": 0.1, "skip_below": 0.8, "epochs": 4},
    "sigmoid": {**SHORT, "activation": "sigmoid", "loss": "mse", "augment": "shift"},
    "256 levels": {**SHORT, "grey_levels": 256, "activation": "tanh", "loss": "bce",
                   "augment": "shift", "learning_rate": 0.05},
    "momentum": {**SHORT, "optimizer": "momentum", "learning_rate": 0.05, "l2": 0.003,
                 "label_smoothing": 0.1, "augment": "none"},
    "dropout": {**SHORT, "hidden": [16, 16], "optimizer": "momentum", "dropout": 0.2,
                "learning_rate": 0.05, "schedule": "step", "augment": "none"},
    "cosine": {**SHORT, "hidden": [9], "schedule": "cosine", "grey_levels": 2,
               "augment": "elastic", "batch_size": 7},
    "adam": {**SHORT, "optimizer": "adam", "learning_rate": 0.01, "l2": 0.003,
             "dropout": 0.1, "batch_size": 0, "epochs": 4, "augment": "none"},
}
MAPS = 20           # instead of 500: making those takes longer than all the rest


def digest(network):
    """The SHA-256 of all weights and biases, as exact 8-byte floats."""
    sha = hashlib.sha256()
    for layer in network.layers:
        for matrix in (layer.weights, layer.bias):
            for row in matrix:
                sha.update(struct.pack(f"<{len(row)}d", *row))
    return sha.hexdigest()


def weights_of(folder):
    """The digest of the model in the folder of a run."""
    return digest(Network.load(Path(folder) / "model.npz")[0])


def begin(settings):
    """Return (data sets, (network, settings, state)) of a run that has not begun."""
    train, test = data_loader.load(data_loader.SAMPLE_FOLDER)
    parts = {"train": train.head(settings["limit"]), "test": test.head(50)}
    return parts, training.begin(settings, parts)


def train_with_few_maps(team, *arguments):
    """Train, as a process that starts afresh has to be told of the few maps too."""
    usual, training.MAPS = training.MAPS, MAPS
    try:
        return training.train_network(team, *arguments)
    finally:
        training.MAPS = usual


def train(settings, workers, folder, *listener):
    """Go on with the run in a folder, or begin it there; returns the weights' digest.
    """
    folder = Path(folder)
    parts, (network, settings, state) = begin(settings)
    if (folder / "model.npz").exists():
        network, settings, state = checkpoint.load_checkpoint(folder)
    run_team(workers, train_with_few_maps, network, parts, settings, folder, state,
             *listener)
    return digest(Network.load(folder / "model.npz")[0])


def digest_of(name, workers=1):
    """The digest of one of RUNS, trained by so many workers."""
    with tempfile.TemporaryDirectory() as folder:
        return train({**DEFAULTS, **RUNS[name]}, workers, folder)


if __name__ == "__main__":
    for run in sys.argv[1:] or RUNS:
        print(f"{run}: {digest_of(run)}")
