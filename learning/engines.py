"""The two engines behind one interface: a network, its optimizer, and its input.

Both turn images into batches, take a step, and evaluate a data set: `ListEngine` on
lists of floats, the textbook's way, and `PackedEngine` on lanes, with a team.
"""
from __future__ import annotations

import math
from functools import lru_cache
from itertools import chain
from typing import Any, Callable, Iterator, Sequence, Union

from data_loader import Dataset
from engine.fixed_point import format_for
from engine.layers import Group, InkTable, groups_of
from engine.packed_network import LOSS_BITS, PackedNetwork
from engine.team import Team
from learning.augment import Map, gather, scatter
from learning.optimizers import Matrices
from learning.settings import Settings, optimizer_maker
from my_math import Matrix
from network import LOSSES, Dense, Evaluation, Network


class DivergedError(OverflowError):
    """Training has left the range in which it can learn."""


# For groups of pixels that are kept from epoch to epoch, in each process.  Those of a
# digit in 4 grey levels take 2 KB and save 20 us in every epoch.
_KEPT_BYTES = 150 << 20
_FEW_LEVELS = 16        # with more of them there is little ink on each


class ListEngine:
    """A network of lists of floats: the textbook's, alone in its process."""

    dropout_scale = 1.0

    def __init__(self, network: Network, settings: Settings, *others: Any) -> None:
        """Take over a network; team and number of images are nothing to lists."""
        self.network, self.settings = network, settings
        self.optimizer = optimizer_maker(settings)(network.layers)

    def warp(self, sources: Map) -> Callable[[bytes], bytes]:
        """Return what sends an image through a map, for `batches`."""
        return gather(sources)

    def batches(self, dataset: Dataset, size: int, order: Sequence[int] | None = None,
                augment: Callable[[bytes], bytes] | None = None) -> Iterator:
        """Yield (input, labels) of each batch."""
        return dataset.batches(size, order, augment, self.settings["grey_levels"])

    def train_batch(self, x: Any, labels: Sequence[int], learning_rate: float,
                    position: int = 0, masks: Sequence = ()
                    ) -> tuple[int, int, list[int]]:
        """Take a step; return the summed loss in units of 2^-LOSS_BITS, how many
        images were classified correctly, and the places of those too easy to take part:
        with all outputs within `skip_below` of their targets.

        It is the step of `Network.train_batch`, but the scale of the optimizer goes
        into dZ, and rows of dZ are 0 where a sample takes no part, which counts in m.
        """
        network, optimizer, settings = self.network, self.optimizer, self.settings
        trace, outputs, targets, loss = network.try_batch(
            x, labels, settings["label_smoothing"], list(map(Matrix, masks)))
        errors = (outputs - targets).map(abs).max(axis=1)               # (m x 1)
        hard = errors.map(lambda error: float(error >= settings["skip_below"]))
        delta = LOSSES[network.loss].gradient(outputs, targets) * hard  # (m x c)
        scale = optimizer.scale(learning_rate) / len(labels)
        steps = network.backward(trace, delta * scale)
        optimizer.decay(learning_rate)
        for layer, step in zip(network.layers, steps):
            layer.take(step)
        optimizer.apply(learning_rate)
        correct = sum(map(int.__eq__, outputs.argmax(axis=1), labels))
        if not math.isfinite(loss):
            raise DivergedError(f"a loss of {loss}")
        return (round(loss * len(labels) * (1 << LOSS_BITS)), correct,
                [place for place, (takes_part,) in enumerate(hard) if not takes_part])

    def evaluate(self, dataset: Dataset) -> Evaluation:
        """Return the outputs for a data set beside its labels, and the mean loss."""
        return self.network.evaluate(dataset, self.settings["grey_levels"])

    def whole(self) -> Network:
        """Return the network in floats."""
        return self.network

    def optimizer_state(self) -> Matrices:
        """Return the optimizer's matrices."""
        return self.optimizer.state

    def restore_optimizer(self, state: Matrices) -> None:
        """Take over what `optimizer_state` gave."""
        self.optimizer.state = state


class PackedEngine:
    """A network of packed rows, shared by a team; the methods of `ListEngine`."""

    dropout_scale = 1 << 8

    def __init__(self, network: Network, settings: Settings, team: Team, images: int
                 ) -> None:
        make, levels = optimizer_maker(settings), settings["grey_levels"]
        optimizer, batch_size = make([]), settings["batch_size"] or images
        form = format_for(settings["hidden"], settings["activation"], levels,
                          optimizer.scale(settings["learning_rate"]) / batch_size,
                          optimizer.is_plain and not settings["dropout"])
        self.names, self.team = (network.activation, network.loss), team
        self.network = PackedNetwork(network, LOSSES[network.loss], levels, make, form,
                                     team, settings["dropout"], settings["skip_below"],
                                     settings["label_smoothing"])
        self.optimizer = self.network.optimizer
        # As in `ListEngine`: a step, of which this worker does its share; the state.
        self.train_batch = self.network.train_batch
        self.optimizer_state = self.network.optimizer_state
        self.restore_optimizer = self.network.restore_optimizer
        self._targets = network.targets(range(self.network.classes))    # one-hot
        self._by_ink = levels <= _FEW_LEVELS
        # What is made of a data set once serves all epochs.
        self._kept_groups, self._kept_ink = map(
            lru_cache(maxsize=None), (self._all_groups, self._ink_table))

    def warp(self, sources: Map) -> Callable:
        """Return what makes this worker's pixels of an image by a map: from its ink, or
        from its bytes where there are many grey levels."""
        pixels = self.team.pixels
        return scatter(sources, pixels) if self._by_ink else gather(sources[pixels])

    def batches(self, dataset: Dataset, size: int, order: Sequence[int] | None = None,
                augment: Callable | None = None) -> Iterator:
        """Yield (groups of this worker's pixels of each image, labels) of each batch.

        `augment` takes and gives what a `warp` does.
        """
        order = range(len(dataset)) if order is None else order
        groups = self._groups(dataset, augment)
        for start in range(0, len(order), size):
            chosen = order[start:start + size]
            yield list(map(groups, chosen)), [dataset.labels[i] for i in chosen]

    def _groups(self, dataset: Dataset, augment: Callable | None
                ) -> Callable[[int], list[Group]]:
        """Return what makes the groups of an image from its number."""
        image, quantize = dataset.image, self.network.first.quantizer
        if augment is None:
            pixels, kept = self.team.pixels, self._kept_groups(dataset)
            return kept.__getitem__ if kept else lambda i: quantize(image(i)[pixels])
        if not self._by_ink:
            return lambda i: quantize(augment(image(i)))
        ink = self._kept_ink(dataset)
        return lambda i: groups_of(augment(ink(i)))

    def _all_groups(self, dataset: Dataset) -> list[list[Group]]:
        """Return the groups of all images; [] where they would take too much room."""
        ink = len(dataset.images) - dataset.images.count(0)
        count = min(self.network.levels - 1, 60) + 1        # of groups, about
        if 8 * ink // self.team.size + 180 * count * len(dataset) > _KEPT_BYTES:
            return []
        quantize, pixels = self.network.first.quantizer, self.team.pixels
        return [quantize(dataset.image(i)[pixels]) for i in range(len(dataset))]

    def _ink_table(self, dataset: Dataset) -> InkTable:
        """Return the ink of all images."""
        return InkTable(map(dataset.image, range(len(dataset))), self.network.levels,
                        dataset.height * dataset.width)

    def evaluate(self, dataset: Dataset) -> Evaluation:
        """As in `ListEngine`, in every worker."""
        return Evaluation.of(self.batches(dataset, 500), self._evaluate_batch)

    def _evaluate_batch(self, images: Sequence, labels: Sequence[int]
                        ) -> tuple[list[list[float]], float]:
        """Return the outputs of the whole batch and the sum of its losses."""
        outputs, logits = self.network.predict(images)
        own = labels[self.team.share(len(labels))]
        loss = sum(self.network.loss(z, p, self._targets[label], label)
                   for z, p, label in zip(logits, outputs, own))
        shares, losses = zip(*self.team.gather((outputs, loss)))
        return list(chain(*shares)), sum(losses) / (1 << LOSS_BITS)

    def whole(self) -> Network:
        """Return the network in floats, in every worker."""
        return Network.of_layers([Dense(*pair) for pair in self.network.layers()],
                                 *self.names)


Engine = Union[ListEngine, PackedEngine]
ENGINES = {"packed": PackedEngine, "lists": ListEngine}
