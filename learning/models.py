"""Trained models: loading and finding them, evaluating them, and ensembles of them."""
from __future__ import annotations

import math
from itertools import chain
from pathlib import Path
from typing import Any, Callable, Iterable, NamedTuple, Sequence

from data_loader import Dataset
from engine.fixed_point import WIDE
from engine.layers import FirstLayer
from engine.packed import PackedMatrix
from engine.sparse import SparseMatrix, grey_table
from errors import DataError
from learning.augment import gather, shift_map
from learning.checkpoint import MODEL, ROW, RUNS, best_row, evaluated_on
from learning.kinds import ListOf, Text
from learning.settings import KINDS
from my_math import Matrix
from network import Dense, Evaluation, Network

SHIPPED_MODEL = Path(__file__).resolve().parent.parent / "data" / MODEL

Progress = Callable[[int], None]      # called with the number of images read so far


class PackedInput:
    """The first layer in packed rows, its sums as floats: Z = X W + b, only forward.

    Whole data sets take a quarter of the time of lists, with the same precision: of
    the 64 bits of a lane 43 or more are left for the largest weight.
    """

    def __init__(self, layer: Dense, levels: int) -> None:
        largest = max(max(map(abs, row)) for row in layer.weights)
        # A row of nothing but ink times the largest weight comes to 2^61 at most.
        room = 61 - (layer.weights.shape[0] * (levels - 1)).bit_length()
        fraction = room - max(math.frexp(largest / (levels - 1))[1], -960)
        self.weights, self.bias = layer.weights, layer.bias
        self._unit = 2.0 ** -fraction
        self.packed = FirstLayer(
            layer.weights, Matrix.zeros(*layer.bias.shape), levels,
            WIDE._replace(fraction=fraction))

    def forward(self, images: Sequence) -> Matrix:
        """Z = X W + b as floats, from groups of pixels."""
        rows = self.packed.sums(images)
        return PackedMatrix(rows, self.packed.lanes, self._unit).to_matrix() + self.bias


def evaluate(network: Network, levels: int, dataset: Dataset,
             augment: Callable[[bytes], bytes] | None = None,
             progress: Progress = lambda done: None) -> Evaluation:
    """Return the outputs of a network in floats for a data set, its images sent through
    `augment` and rounded to grey levels first, and the mean loss."""
    first, *later = network.layers
    packed = PackedInput(first, levels)
    network = Network.of_layers([packed, *later], network.activation, network.loss)
    batches = ((list(map(packed.packed.quantizer, images)), labels)
               for images, labels in dataset.raw_batches(100, None, augment))
    return Evaluation.of(batches, network.evaluate_batch, progress)


_LARGEST_SUM = 1e150        # the product of two such is finite still


def bound_of_sums(network: Network) -> float:
    """Return what no |Z| of any layer exceeds for inputs of 0..1, nor any sum on the
    way back; inf where that is beyond all floats.

    The largest sum of |W| over a column bounds how much a layer can make of its inputs,
    that over a row what backpropagation can make of dZ.
    """
    bound = 1.0
    for layer in network.layers:
        rows = list(layer.weights)
        growth = max(sum(map(abs, line)) for line in chain(rows, zip(*rows)))
        bound = bound * max(growth, 1.0) + max(map(abs, layer.bias[0]))
    return bound


_TRAINED = {"data": Text(), "limit": KINDS["limit"], "patience": KINDS["patience"],
            "history": ListOf(ROW, least=1)}


def _training(settings: dict[str, Any]) -> tuple[str, int, float | None, str]:
    """Return (data, limit, accuracy, evaluated_on) of a model from its settings, which
    are anybody's where it was not trained here: then ("", 0, None, "")."""
    try:
        for name, kind in _TRAINED.items():
            kind.check(settings[name], name)
        history = settings["history"]
        row = best_row(history) if settings["patience"] else history[-1]
        part = evaluated_on(row)
        return settings["data"], settings["limit"], row[f"{part}_accuracy"], part
    except (KeyError, ValueError):
        return "", 0, None, ""


class Model(NamedTuple):
    """A network, the file it came from and what its settings say about its images."""

    path: Path
    network: Network
    levels: int                # grey levels that it wants its images rounded to
    names: Sequence[str]       # of its classes
    data: str = ""             # the set that it was trained on; this and below if known
    limit: int = 0             # the number of its images, where it was not all of them
    accuracy: float | None = None
    evaluated_on: str = ""     # the images with this accuracy: "test", "validation"

    @classmethod
    def load(cls, path: str | Path) -> Model:
        """Read a model file; settings that it lacks mean 256 levels and 0, 1, 2, ...

        Raises DataError.
        """
        network, settings = Network.load(path)
        if not bound_of_sums(network) <= _LARGEST_SUM:
            raise DataError(path, "weights so large that sums may be no numbers",
                            "weights of a network that has learnt")
        count = network.sizes[-1]
        levels = settings.get("grey_levels", 256)
        names = settings.get("class_names", list(map(str, range(count))))
        try:
            KINDS["grey_levels"].check(levels, "grey_levels")
            ListOf(Text(), count, count).check(names, "class_names")
        except ValueError as error:
            raise DataError(path, f"settings in which {error}", "2 to 256 grey levels "
                            f"and {count} printable names") from None
        return cls(Path(path), network, levels, names, *_training(settings))

    def predict(self, image: bytes) -> list[float]:
        """Return the outputs for one image, on lists: packing W would take longer."""
        x = SparseMatrix.from_images([image], self.levels)
        return self.network.predict(x)[0]

    def evaluate(self, dataset: Dataset,
                 augment: Callable[[bytes], bytes] | None = None,
                 progress: Progress = lambda done: None) -> Evaluation:
        """Return what the function `evaluate` finds."""
        return evaluate(self.network, self.levels, dataset, augment, progress)

    def check_form(self, form: tuple[int, int], of_what: str) -> None:
        """Raise DataError unless the model has these inputs and classes."""
        inputs, *_, classes = self.network.sizes
        if (inputs, classes) != form:
            raise DataError(self.path, f"a model of {inputs} inputs and {classes} "
                            "classes", f"{form[0]} and {form[1]} {of_what}")


def find_model(data: str = "") -> tuple[Model, Model | None]:
    """Return the model to take where none is named, and one passed over for it, if any.

    That of the newest run is taken where it was trained on all of the data set that is
    read - for pictures, of the one that the shipped model was trained on.
    """
    newest = max(RUNS.glob(f"*/{MODEL}"), key=lambda path: path.stat().st_mtime,
                 default=None)
    run = Model.load(newest) if newest else None
    if run and data and (run.data, run.limit) == (data, 0):
        return run, None
    if SHIPPED_MODEL.exists():
        shipped = Model.load(SHIPPED_MODEL)
        if data or not run or (run.data, run.limit) != (shipped.data, 0):
            return shipped, run
    if run:
        return run, None
    raise DataError(RUNS, "no trained model", f"a run with a {MODEL}",
                    "make one with: python train.py")


def quantized(image: bytes, levels: int) -> bytes:
    """Return an image with each pixel rounded to the nearest of the grey levels.

    >>> list(quantized(bytes([0, 20, 100, 255]), levels=4))
    [0, 0, 85, 255]
    """
    return bytes(round(255 * level / (levels - 1))
                 for level in image.translate(grey_table(levels)))


def shift_accuracies(model: Model, dataset: Dataset, reach: int,
                     progress: Progress = lambda done: None) -> list[float]:
    """Return the accuracy on images moved by 0, 1, ..., reach pixels: the mean over
    moves left, right, up and down."""
    accuracies, done = [], 0
    for n in range(reach + 1):
        ways, correct = {(0, -n), (0, n), (-n, 0), (n, 0)}, 0       # (down, right)
        for way in ways:
            move = gather(shift_map(dataset.height, dataset.width, *way))
            correct += model.evaluate(dataset, move,
                                      lambda count: progress(done + count)).correct
            done += len(dataset)
        accuracies.append(correct / (len(ways) * len(dataset)))
    return accuracies


# --- several models

class Ensemble:
    """Models of the same inputs and classes that answer together, each with its own
    grey levels: P[j] = 1/k sum_i P_i[j]."""

    def __init__(self, models: Iterable[Model]) -> None:
        """Raise DataError where inputs or classes differ."""
        first, *others = self.models = list(models)
        for model in others:
            model.check_form((first.network.sizes[0], len(first.names)),
                             f"like {first.path}")
            if list(model.names) != list(first.names):
                raise DataError(model.path, f"classes {', '.join(model.names)}",
                                f"{', '.join(first.names)} like {first.path}")

    @property
    def names(self) -> Sequence[str]:
        """Return the names of the classes."""
        return self.models[0].names

    def named(self, dataset: Dataset) -> Dataset:
        """Return a data set with a name for each class of the models, of which it may
        lack the last; DataError where images or labels are not those of the models."""
        classes, largest = len(self.names), max(dataset.labels)
        self.models[0].check_form(
            (dataset.height * dataset.width, max(classes, largest + 1)),
            f"for {dataset.name}")
        if dataset.class_count == classes:
            return dataset
        return Dataset(dataset.name, dataset.images, dataset.labels, dataset.height,
                       dataset.width, self.names)

    def predict(self, image: bytes) -> list[float]:
        """Return the outputs for one image."""
        return _mean([model.predict(image) for model in self.models])

    def evaluate(self, dataset: Dataset, progress: Progress = lambda done: None
                 ) -> Evaluation:
        """Return the outputs for a data set; the models take their turns."""
        each = [model.evaluate(dataset, None, lambda done, before=place * len(dataset):
                               progress(before + done)).outputs
                for place, model in enumerate(self.models)]
        return Evaluation(list(map(_mean, zip(*each))), dataset.labels)


def _mean(rows: Sequence[Sequence[float]]) -> list[float]:
    """The mean of each column; fsum gives the same in every Python."""
    return [math.fsum(column) / len(rows) for column in zip(*rows)]
