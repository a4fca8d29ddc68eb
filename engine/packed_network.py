"""A network of packed layers: the training step of `network.Network`, on lanes.

A batch of m images takes two exchanges between the processes ("workers") of a team.  Of
the first layer's rows, where nearly all work is, worker w of n has those of the pixels
w, w + n, w + 2n, ...; the small rest of the network is in every worker.

    1   each worker multiplies its pixels of all m images by its rows; the sums of an
        image go to the one worker that finishes it
    2   each worker tells all others the steps of its m / n images

Floats added in another order give other floats, so that programs which do this with
floats give other weights for every number of workers.  Here all sums are of integers.
(Splitting the inputs of a layer is row parallelism in the words of Shoeybi et al. 2019,
"Megatron-LM", arXiv 1909.08053; the rest is data parallelism.)
"""
from __future__ import annotations

import math
from math import floor
from operator import sub
from typing import Any, Callable, NamedTuple, Sequence

from engine.activations import Elementwise, Relu
from engine.fixed_point import DITHERS, WIDE, Deltas, Format, dithers
from engine.lanes import LaneOverflowError, Row, lanes_of
from engine.layers import FirstLayer, Group, LaterLayer
from engine.portable import OUTPUTS, STEP_BITS
from engine.team import Team
from my_math import Matrix

LOSS_BITS = 32      # losses are added as whole multiples of 2^-32: in any order
_GOLDEN = 0.6180339887498949    # frac(n * it) is spread evenly, for every run of n


class ShareResult(NamedTuple):
    """The results of one worker's share of a batch, from before the step."""

    loss: int               # sum over the samples, in units of 2^-LOSS_BITS
    correct: int            # samples whose largest output is the label's
    easy: list[int]         # places in the share of those that took no part


class Steps(NamedTuple):
    """The changes by one worker's images, as pure data: sent to all others."""

    first: list[tuple[int, Row]]    # (place in the worker's share, step of the rows)
    growth: int                     # no |lane| of their sum exceeds this
    later: list[tuple[list[Row], list[int], int]]   # columns, biases, sum of all |q|


class PackedNetwork:
    """A network in packed layers, of which this worker has its share."""

    def __init__(self, network: Any, loss: Any, levels: int, optimizer: Callable,
                 form: Format = WIDE, team: Team = Team(), dropout: float = 0.0,
                 easy_below: float = 0.0, smoothing: float = 0.0) -> None:
        """Take over the layers of a `network.Network`; `levels` are the grey levels.

        `loss` is what `network.LOSSES` has for it, `optimizer` makes one of a list of
        layers, and `dropout` is the part of the hidden units that steps leave out.
        Samples with all |P - Y| below `easy_below` take no part in a step.
        """
        activation = network.activation
        on_lanes = activation == "relu" and not dropout     # else number by number
        if not on_lanes:
            form = form._replace(activation_bits=32)
        self.form, self.team, self.levels = form, team, levels
        self._outputs, self._loss_function = OUTPUTS[network.loss], loss
        self._is_log = network.loss == "cross-entropy"
        first, *later = network.layers
        self.first = FirstLayer(first.weights, first.bias, levels, form, team.pixels)
        self.later, self.activations, lanes = [], [], self.first.lanes
        # |A|: all bits that Relu lets through; else f of |Z| <= 64 over 1 - p, rounded.
        largest = ((1 << form.activation_bits) - 1 if on_lanes else
                   round((64 if activation == "relu" else 1) / (1 - dropout) + 1)
                   << form.activation_fraction)
        for layer in later:
            self.activations.append(Relu(lanes, form) if on_lanes
                                    else Elementwise(lanes, form, activation))
            self.later.append(LaterLayer(layer.weights, layer.bias, form, lanes,
                                         levels - 1, largest))
            lanes = lanes_of(layer.bias.shape[1], 64)
        self.classes, self.easy_below = network.layers[-1].bias.shape[1], easy_below
        self._targets = list(network.targets(range(self.classes), smoothing))
        self._steepest = math.ceil(1 / (1 - dropout))       # no f' is above this
        self.optimizer = optimizer([self.first, *self.later])

    # --- forward

    def _forward(self, images: Sequence[list[Group]], kept: Sequence = ()
                 ) -> tuple[list, list]:
        """Return the logits of this worker's share, and each hidden layer's A, f'."""
        sums = self.team.exchange(                                      # exchange 1
            lambda rank: self.first.sums(images[self.team.share(len(images), rank)]))
        z = self.first.joined(sums)
        for layer in self.later:
            layer.prepare()
        if not z:                               # more workers than images
            return [], [([], [])] * len(self.later)
        trace: list = []
        logits = [] if self.later else list(map(self.first.lanes.decode, z))
        for number, (activation, layer) in enumerate(zip(self.activations, self.later)):
            masks = [kept[number]] if kept else []
            a, slopes = activation.forward(z, *masks)                   # (m x h)
            trace.append((a, slopes))
            columns = layer.forward(a)                                  # (c x m)
            if layer is self.later[-1]:
                logits = layer.outputs(columns, len(a))
            else:
                z = layer.transposed(columns, len(a))
        return logits, trace

    @property
    def _shift(self) -> int:
        """Return s where the logits are whole multiples of 2^-(STEP_BITS + s)."""
        form = self.form
        return (form.product_fraction if self.later else form.fraction) - STEP_BITS

    def predict(self, images: Sequence[list[Group]]) -> tuple[list[list[float]], list]:
        """Return the outputs of this worker's share of the images, and their logits."""
        logits, _ = self._forward(images)
        return [self._outputs(z, self._shift) for z in logits], logits

    def loss(self, z: Sequence[int], p: Sequence[float], y: Sequence[float], label: int
             ) -> int:
        """Return the loss of one image in units of 2^-LOSS_BITS."""
        if self._is_log and p[label] and y[label] == 1:     # the usual, in one step
            loss = -math.log(p[label])
        else:
            floats = [math.ldexp(v, -STEP_BITS - self._shift) for v in z]
            loss = self._loss_function.of_sample(floats, p, y)
        return int(loss * (1 << LOSS_BITS))

    # --- a step

    def train_batch(self, images: Sequence[list[Group]], labels: Sequence[int],
                    learning_rate: float, position: int = 0,
                    kept: Sequence[Sequence[Sequence[int]]] = ()) -> ShareResult:
        """Take one step of the whole team; the result is from before it.

        `images` are this worker's pixels of all images, `position` is the number of
        the first image in the epoch: it chooses how dZ is rounded.  `kept` has what
        dropout multiplies by, in units of 2^-8: for each layer, image of the share and
        unit.
        """
        team, own = self.team, self.team.share(len(images))
        step_size = self.optimizer.scale(learning_rate) / len(images)
        deltas = Deltas.of(step_size, self.levels, self.form)
        logits, trace = self._forward(images, kept)                     # exchange 1
        result, qs = self._output_deltas(logits, labels[own], deltas,
                                         position + own.start)
        steps = self._backward(qs, trace, deltas, position + own.start)
        # An optimizer has `scale` before, `decay` (of L2) and `apply` around the steps.
        self.optimizer.decay(learning_rate)
        later = []
        for rank, theirs in team.exchanged(lambda rank: steps):         # exchange 2
            share = images[team.share(len(images), rank)]   # our pixels, their images
            self.first.take(share, theirs.first, theirs.growth)
            later.append(theirs.later)
        for layer, parts in zip(self.later, zip(*later)):
            sums, biases, growths = zip(*parts)
            layer.take(list(map(sum, zip(*sums))), list(map(sum, zip(*biases))),
                       deltas.fraction, sum(growths))
        self.optimizer.apply(learning_rate)
        if not self.optimizer.is_plain:
            self.first.tidy()
        return result

    def _output_deltas(self, logits: Sequence[Sequence[int]], labels: Sequence[int],
                       deltas: Deltas, position: int
                       ) -> tuple[ShareResult, dict[int, list[int]]]:
        """Return the results of these images, and q = -dZ in units of `deltas` for
        each that takes a step, by its place.

        q = floor(t - scale dZ), t = frac(0.618 n) for image n of the epoch: rounded
        down or up, so that the mean over images is right.  (In the rows of `_backward`
        each lane needs a t of its own: those are made once, in `dithers`.)
        """
        shift, scale = self._shift, deltas.scale
        gradient = self._loss_function.gradient
        targets, limit, easy, qs = self._targets, self.easy_below, [], {}
        outputs = [self._outputs(z, shift) for z in logits]
        loss = sum([self.loss(z, p, targets[label], label)
                    for z, p, label in zip(logits, outputs, labels)])
        correct = sum([z.index(max(z)) == label for z, label in zip(logits, labels)])
        for place, (p, label) in enumerate(zip(outputs, labels)):
            y = targets[label]
            if limit and max(map(abs, map(sub, p, y))) < limit:
                easy.append(place)
                continue
            t = (position + place) * _GOLDEN % 1.0
            q = [floor(t - scale * d) for d in map(gradient, p, y)]
            if any(q):
                qs[place] = q
        return ShareResult(loss, correct, easy), qs

    def _backward(self, qs: dict[int, list[int]], trace: Sequence, deltas: Deltas,
                  position: int) -> Steps:
        """Return the steps of all layers, from the last to the first."""
        later: list = []
        for number in range(len(self.later) - 1, -1, -1):
            layer, activation = self.later[number], self.activations[number]
            a, slopes = trace[number]
            sizes = [sum(map(abs, q)) for q in qs.values()]
            if max(sizes, default=0) * layer.bound >> layer.before.bits - 2:
                raise LaneOverflowError("a gradient beyond its lane")
            columns, biases = layer.step(list(qs.values()), [a[place] for place in qs])
            later.insert(0, (columns, biases, sum(sizes)))
            # dA is in units of 2^-(fraction of q + fraction of W)
            shift = self.form.factor_fraction
            if number == 0:
                shift += deltas.fraction - self.form.fraction
            rounding = dithers(layer.before, shift)
            rows = {place: activation.backward(
                        layer.backward(q), rounding[(position + place) % DITHERS],
                        slopes[place], shift)
                    for place, q in qs.items()}
            growth = (sum(sizes) * layer.bound * self._steepest >> shift) + len(rows)
            qs = {place: layer.before.decode(row) for place, row in rows.items()
                  } if number else rows
        if not self.later:
            lanes, down = self.first.lanes, deltas.fraction - self.form.fraction
            rows = {place: lanes.shift_right(lanes.encode(q), down)
                    for place, q in qs.items()}
            growth = sum(max(map(abs, q)) for q in qs.values())
            growth = growth << -down if down < 0 else (growth >> down) + len(rows)
        return Steps(list(rows.items()), growth, later)

    # --- in and out

    def layers(self) -> list[tuple[Matrix, Matrix]]:
        """Return (weights, bias) of each layer as floats, whole, in every worker."""
        return [self._whole(number, [layer.weights.to_matrix(), layer.bias.to_matrix()])
                for number, layer in enumerate([self.first, *self.later])]

    def optimizer_state(self) -> dict[str, list[list[Matrix]]]:
        """Return the optimizer's matrices as they belong to `layers`."""
        return {kind: [self._whole(number, pair) for number, pair in enumerate(pairs)]
                for kind, pairs in self.optimizer.state.items()}

    def restore_optimizer(self, state: dict[str, list[list[Matrix]]]) -> None:
        """Take over what `optimizer_state` gave, perhaps to another team."""
        self.optimizer.state = {
            kind: [[Matrix(list(weights)[self.team.pixels]) if number == 0
                    else weights.T, bias]
                   for number, (weights, bias) in enumerate(pairs)]
            for kind, pairs in state.items()}

    def _whole(self, number: int, pair: Sequence[Matrix]) -> list[Matrix]:
        """Return the weights' matrix of a layer, and the bias', as others have them:
        the first layer's with the rows of all workers, the others' transposed."""
        weights, bias = pair
        if number:
            return [weights.T, bias]
        parts, size = self.team.gather(list(weights)), self.team.size
        return [Matrix(parts[p % size][p // size]
                       for p in range(sum(map(len, parts)))), bias]
