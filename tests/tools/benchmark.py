"""How long an epoch takes: python tests/tools/benchmark.py [--data DIR] [--repeat N]

Every engine takes the same training steps on the same images of MNIST, rounded to 4
grey levels: 784-128-10 (or --hidden N), ReLU, softmax, batch 32, every image once, in
random order as in training.  They run in turn, several times; the table has the medians
and their ratios.  The slow engines run on the first images only, and their time is
scaled to 60,000.

What is timed: the steps, and the loss and the number of right answers of each batch,
which the lines of `train.py` show.  Each engine starts from images in the form that it
keeps from epoch to epoch.  NumPy (8-byte floats) and PyTorch (4-byte floats, plain loop
over tensors) have arrays of floats, the packed engine has groups of equal pixels.
Where images are augmented they come as bytes and differ in every epoch: so start the
engine of lists and the packed one's lines "from bytes", and making groups is part of
their time.
The line "64 bits" is the packed engine without its coarse rounding: lanes of 64 bits,
and P - Y to 1/4096.

After the epoch the network reads the test images, in the table's last column.
"""
from __future__ import annotations

import argparse
import math
import platform
import random
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, NamedTuple, Sequence

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from data_loader import Dataset  # noqa: E402
from engine.formats import NARROW, WIDE, Format, format_for  # noqa: E402
from engine.lanes import lanes_of  # noqa: E402
from engine.packed_network import LOSS_BITS, PackedNetwork  # noqa: E402
from engine.team import Team, available_cores, run_team  # noqa: E402
from errors import OptionError  # noqa: E402
from learning.download import load_or_sample  # noqa: E402
from learning.optimizers import SGD  # noqa: E402
from my_math import Matrix  # noqa: E402
from my_math import matmul_triple_loop, transpose  # noqa: E402
from network import LOSSES, Dense, Network, softmax  # noqa: E402
from show.console import run_command  # noqa: E402

RATE, BATCH, LEVELS, EPOCH = 0.1, 32, 4, 60_000
SIZES = [784, 128, 10]      # main() may set another number of hidden units
SLOWEST, NUMPY, TORCH = "index triple loop", "NumPy, float64", "PyTorch, float32"


def first_network() -> Network:
    """The network that every engine starts from."""
    return Network(SIZES, rng=random.Random(1))


def order_of(dataset: Dataset) -> list[int]:
    """The order in which every engine takes the images."""
    return dataset.order(random.Random(1))


class Pass(NamedTuple):
    """Once through the images: how long it took, and what a line of training shows."""

    seconds: float      # of wall time
    loss: float         # the mean, each image's from before its step
    right: float        # the fraction of right answers, likewise
    layers: list        # (weights, bias) of each layer after it


def timed(steps: Iterable[tuple[float, int]], images: int,
          layers: Callable[[], list] = list) -> Pass:
    """Run the steps, each of which gives its batch's summed loss and right answers.

    `layers` tells the weights afterwards.
    """
    start = time.perf_counter()
    loss, right = map(sum, zip(*steps))
    seconds = time.perf_counter() - start
    return Pass(seconds, loss / images, right / images, layers())


# --- the engines: each takes one pass over the images

def triple_loop(dataset: Dataset) -> Pass:
    """Every product by the index triple loop on dense rows: where everybody begins."""
    first, last = first_network().layers
    w1, w2 = list(first.weights), list(last.weights)
    b1, b2 = first.bias[0], last.bias[0]
    batches = [(list(x.to_matrix()), list(Matrix.one_hot(labels, SIZES[-1])), labels)
               for x, labels in dataset.batches(
                   BATCH, order_of(dataset), levels=LEVELS)]

    def train() -> Iterator[tuple[float, int]]:
        for x, y, labels in batches:
            z1 = add_row(matmul_triple_loop(x, w1), b1)
            a1 = [[max(z, 0.0) for z in row] for row in z1]
            p = list(map(softmax, add_row(matmul_triple_loop(a1, w2), b2)))
            dz2 = [[(a - b) / len(x) for a, b in zip(*rows)] for rows in zip(p, y)]
            da1 = matmul_triple_loop(dz2, transpose(w2))
            dz1 = [[g if z > 0 else 0.0 for g, z in zip(*rows)]
                   for rows in zip(da1, z1)]
            for w, b, inputs, delta in ((w1, b1, x, dz1), (w2, b2, a1, dz2)):
                descend(w, matmul_triple_loop(transpose(inputs), delta))
                descend([b], [list(map(sum, zip(*delta)))])
            yield (-sum(math.log(row[label]) for row, label in zip(p, labels)),
                   sum(row[label] == max(row) for row, label in zip(p, labels)))
    return timed(train(), len(dataset))


def add_row(rows: list, row: list) -> list:
    """Add the same row to each row."""
    return [[x + y for x, y in zip(one, row)] for one in rows]


def descend(weights: list, gradient: list) -> None:
    """w <- w - lr dw, in place."""
    for row, slopes in zip(weights, gradient):
        row[:] = [w - RATE * g for w, g in zip(row, slopes)]


def lists(dataset: Dataset) -> Pass:
    """`Matrix` and `SparseMatrix` of this project."""
    network, order = first_network(), order_of(dataset)

    def train() -> Iterator[tuple[float, int]]:
        for x, labels in dataset.batches(BATCH, order, levels=LEVELS):
            yield network.train_batch(x, labels, RATE) * len(labels), 0
    return timed(train(), len(dataset))


def packed(dataset: Dataset, workers: int, keep: bool, wide: bool = False) -> Pass:
    """The packed engine, on so many processes, on groups made before or from bytes."""
    form = WIDE if wide else format_for(SIZES[1:-1], "relu", LEVELS, RATE / BATCH, True)
    return run_team(workers, _packed_pass, dataset, keep, form, SIZES)


def _packed_pass(team: Team, dataset: Dataset, keep: bool, form: Format,
                 sizes: list) -> Pass:
    SIZES[:] = sizes            # for a process that starts afresh
    network = PackedNetwork(first_network(), LOSSES["cross-entropy"], LEVELS, SGD, form,
                            team)
    order, labels, quantize = order_of(dataset), dataset.labels, network.first.quantizer

    def groups(index: int) -> list:
        return quantize(dataset.image(index)[team.pixels])
    kept = list(map(groups, range(len(dataset)))) if keep else None

    def train() -> Iterator[tuple[float, int]]:
        loss, right = 0, 0
        for start in range(0, len(order), BATCH):
            chosen = order[start:start + BATCH]
            result = network.train_batch(
                [kept[i] for i in chosen] if keep else list(map(groups, chosen)),
                [labels[i] for i in chosen], RATE, start)
            loss, right = loss + result.loss, right + result.correct
        # when all have ended
        yield from team.gather((loss / (1 << LOSS_BITS), right))
    team.gather(None)           # all have started
    return timed(train(), len(dataset), network.layers)


def numpy_steps(dataset: Dataset) -> Pass:
    """The same steps in NumPy with 8-byte floats."""
    import numpy as np
    (w1, b1), (w2, b2) = [[np.array(list(m)) for m in (layer.weights, layer.bias)]
                          for layer in first_network().layers]
    x_all, labels_all = as_floats(np, dataset), np.frombuffer(dataset.labels, np.uint8)
    order = np.array(order_of(dataset))

    def train() -> Iterator[tuple[float, int]]:
        for x, labels in batches_of(x_all, labels_all, order):
            z1 = x @ w1 + b1
            a1 = np.maximum(z1, 0)
            z2 = a1 @ w2 + b2
            p = np.exp(z2 - z2.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            own = np.arange(len(labels)), labels
            yield -np.log(p[own]).sum(), (p.argmax(axis=1) == labels).sum()
            p[own] -= 1
            dz2 = p / len(labels)
            dz1 = (dz2 @ w2.T) * (z1 > 0)
            for w, b, inputs, delta in ((w1, b1, x, dz1), (w2, b2, a1, dz2)):
                w -= RATE * (inputs.T @ delta)
                b -= RATE * delta.sum(axis=0)
    return timed(train(), len(dataset), lambda: [
        (Matrix(w.tolist()), Matrix([b.ravel().tolist()]))
        for w, b in ((w1, b1), (w2, b2))])


def as_floats(np: Any, dataset: Dataset) -> Any:
    """All images as one array of 8-byte floats, rounded to the grey levels."""
    grey = np.frombuffer(dataset.images, np.uint8).reshape(len(dataset), -1)
    return np.round(grey / 255 * (LEVELS - 1)) / (LEVELS - 1)


def batches_of(x_all: Any, labels_all: Any, order: Any) -> Iterator[tuple[Any, Any]]:
    """(X, labels) of each batch, all being arrays of NumPy or all of PyTorch."""
    for start in range(0, len(order), BATCH):
        chosen = order[start:start + BATCH]
        yield x_all[chosen], labels_all[chosen]


def torch_steps(dataset: Dataset) -> Pass:
    """The same steps in PyTorch, the way its tutorials write them."""
    import numpy as np
    import torch
    model = torch.nn.Sequential(torch.nn.Linear(*SIZES[:2]), torch.nn.ReLU(),
                                torch.nn.Linear(*SIZES[1:]))
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    loss_of = torch.nn.CrossEntropyLoss()
    with torch.no_grad():
        for linear, layer in zip(model[::2], first_network().layers):
            linear.weight[:] = torch.tensor(list(layer.weights.T))
            linear.bias[:] = torch.tensor(layer.bias[0])
    x_all = torch.tensor(as_floats(np, dataset), dtype=torch.float32)
    labels_all = torch.tensor(list(dataset.labels))
    order = torch.tensor(order_of(dataset))

    def train() -> Iterator[tuple[float, int]]:
        for x, labels in batches_of(x_all, labels_all, order):
            optimizer.zero_grad()
            logits = model(x)
            loss = loss_of(logits, labels)
            loss.backward()
            optimizer.step()
            yield loss.item() * len(x), (logits.argmax(1) == labels).sum().item()
    return timed(train(), len(dataset), lambda: [
        (Matrix(linear.weight.T.tolist()), Matrix([linear.bias.tolist()]))
        for linear in model[::2]])


def floor(dataset: Dataset) -> Pass:
    """Only the big-integer additions that the packed engine cannot do without: the rows
    of W1 under the ink, summed forward and each changed on the way back."""
    layout, rng = lanes_of(SIZES[1], NARROW.lanes), random.Random(1)
    rows = [layout.encode([rng.randrange(10 ** 5) for _ in range(SIZES[1])])
            for _ in range(SIZES[0])]
    places = [x.rows[0][0] for x, _ in dataset.batches(1, levels=LEVELS)]

    def add() -> Iterator[tuple[float, int]]:
        for ink in places:
            step = sum(map(rows.__getitem__, ink))
            for place in ink:
                rows[place] += step
            for place in ink:
                rows[place] -= step
            yield math.nan, 0
    # The way back is done twice, so that numbers stay small: take a third off.
    whole = timed(add(), len(dataset))
    return whole._replace(seconds=whole.seconds * 2 / 3)


# --- measuring

def engines(cores: int) -> dict[str, tuple[Callable[[Dataset], Pass], int]]:
    """What there is to run here: name -> (engine, images that it runs on)."""
    found = {SLOWEST: (triple_loop, 64), "lists": (lists, 640)}
    for keep, form in ((True, ""), (False, ", from bytes")):
        for workers in sorted({1, cores}):
            name = f"packed, {workers} process{'es' if workers > 1 else ''}{form}"
            found[name] = (partial(packed, workers=workers, keep=keep), EPOCH)
    found[f"packed, {cores} processes, 64 bits"] = (
        partial(packed, workers=cores, keep=True, wide=True), EPOCH)
    found["bare additions, 1 process"] = (floor, 6000)
    for module, name, engine in (("numpy", NUMPY, numpy_steps),
                                 ("torch", TORCH, torch_steps)):
        try:
            __import__(module)
        except ImportError:
            print(f"{name}: not installed here, left out", file=sys.stderr)
        else:
            found[name] = (engine, EPOCH)
    return found


def measure(options: argparse.Namespace) -> int:
    """Run all engines in turn and print the table."""
    if min(options.repeat, options.workers, options.hidden) < 1:
        raise OptionError("--repeat, --workers and --hidden: expected 1 or more")
    SIZES[1] = options.hidden
    train, test = load_or_sample(options.data)[:2]
    found = engines(options.workers)
    passes: dict[str, list[Pass]] = {name: [] for name in found}
    for turn in range(options.repeat):
        for name, (engine, images) in found.items():
            print(f"\rturn {turn + 1}/{options.repeat}: {name:40}", end="",
                  file=sys.stderr)
            part = train.head(images)
            done = engine(part)
            passes[name].append(done._replace(seconds=done.seconds / len(part) * EPOCH))
    print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    print(f"Python {platform.python_version()}, {available_cores()} cores; "
          f"{train.name}, {'-'.join(map(str, SIZES))}, batch {BATCH}, median of "
          f"{options.repeat}, seconds an epoch of {EPOCH:,}\n")
    report(passes, [name for name, (_, images) in found.items() if images == EPOCH],
           test)
    return 0


def test_accuracy(layers: list, test: Dataset) -> float:
    """The fraction of the test images that a network of these layers reads right."""
    network = Network.of_layers([Dense(*pair) for pair in layers], "relu",
                                "cross-entropy")
    reader = PackedNetwork(network, LOSSES["cross-entropy"], LEVELS, SGD)
    outputs, _ = reader.predict([reader.first.quantizer(test.image(i))
                                 for i in range(len(test))])
    return sum(row.index(max(row)) == label
               for row, label in zip(outputs, test.labels)) / len(test)


def report(passes: dict[str, list[Pass]], whole: Sequence[str], test: Dataset) -> None:
    """Print medians and ranges, the medians' ratios, and of those that saw the `whole`
    data set what they learnt."""
    times = {name: [each.seconds for each in some] for name, some in passes.items()}
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    print(f"{'':59}{'times the':>12}{'times as long as':>18}{'mean':>9}{'right':>9}\n"
          f"{'engine':32}{'median':>9}{'least':>9}{'most':>9}{'triple loop':>12}"
          f"{'NumPy':>9}{'PyTorch':>9}{'loss':>9}{'answers':>9}{'test':>9}")
    for name, median in medians.items():
        against = [f"{median / medians[other]:.2f}" if other in medians else ""
                   for other in (NUMPY, TORCH)]
        _, loss, right, layers = passes[name][-1]
        learnt = (f"{loss:9.4f}{right:9.2%}{test_accuracy(layers, test):9.2%}"
                  if name in whole else "")
        print(f"{name:32}{median:9.2f}{min(times[name]):9.2f}{max(times[name]):9.2f}"
              f"{medians[SLOWEST] / median:12.1f}{against[0]:>9}{against[1]:>9}"
              f"{learnt}")


def main(argv=None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="DIR",
                        help="folder with MNIST (default: as for train.py)")
    parser.add_argument("--repeat", type=int, default=3, metavar="N",
                        help="turns, half a minute each (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=available_cores(), metavar="N",
                        help="processes of the packed engine, beside 1 (default: the "
                             "cores that there are, %(default)s)")
    parser.add_argument("--hidden", type=int, default=128, metavar="N",
                        help="units of the hidden layer (default: %(default)s)")
    options = parser.parse_args(argv)
    return run_command("benchmark.py", lambda: measure(options))


if __name__ == "__main__":
    sys.exit(main())
