"""How long an epoch takes: python tests/tools/benchmark.py [--data DIR] [--repeat N]

Every engine takes the same training steps on the same images of MNIST, rounded to 4
grey levels: 784-128-10 (or --hidden N), ReLU, softmax, batch 32, every image once, in
random order as in training.  They run in turn, several times; the table has the medians
and their ratios.  The slow engines run on the first images only, and their time is
scaled to 60,000.

What is timed: the steps, and the loss and the number of right answers of each batch,
which the lines of `train.py` show.  Each engine starts from images in the form that it
keeps from epoch to epoch: NumPy (8-byte floats) and PyTorch (4-byte floats, plain loop
over tensors) from arrays of floats, the packed engine from groups of equal pixels.
Where images are augmented, each is sent through a random map in every epoch: so are
those of the packed engine's lines "bent", from the ink that it keeps.  The maps here
leave it as it is, so that the results can be compared.  The line "64 bits" is the
packed engine without its coarse rounding: lanes of 64 bits, and P - Y to 1/4096.

After the epoch the network reads the test images, in the table's last column.
"""
from __future__ import annotations

import argparse
import platform
import random
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from data_loader import Dataset  # noqa: E402
from engine.fixed_point import WIDE, Format, format_for  # noqa: E402
from engine.layers import InkTable, groups_of  # noqa: E402
from engine.packed_network import LOSS_BITS, PackedNetwork  # noqa: E402
from engine.team import Team, available_cores, run_team  # noqa: E402
from errors import OptionError  # noqa: E402
from learning.augment import RandomWarp, scatter  # noqa: E402
from learning.download import load_or_sample  # noqa: E402
from learning.optimizers import SGD  # noqa: E402
from learning.training import MAPS  # noqa: E402
from my_math import Matrix, matmul_triple_loop  # noqa: E402
from network import ACTIVATIONS, LOSSES, Dense, Network, softmax  # noqa: E402
from show.console import run_command  # noqa: E402

RATE, BATCH, LEVELS, EPOCH = 0.1, 32, 4, 60_000
SIZES = [784, 128, 10]      # main() may set another number of hidden units
SLOWEST, NUMPY, TORCH = "index triple loop", "NumPy, float64", "PyTorch, float32"
Steps = Iterable[tuple[float, int]]     # of each batch: summed loss, right answers


def first_network() -> Network:
    """Return the network that every engine starts from."""
    return Network(SIZES, rng=random.Random(1))


def order_of(dataset: Dataset) -> list[int]:
    """Return the order in which every engine takes the images."""
    return dataset.order(random.Random(1))


class Pass(NamedTuple):
    """Once through the images: how long it took, and what a line of training shows."""

    seconds: float      # of wall time
    loss: float         # the mean, each image's from before its step
    right: float        # the fraction of right answers, likewise
    layers: list        # (weights, bias) of each layer after it


def timed(steps: Steps, images: int, layers: Callable[[], list] = list) -> Pass:
    """Run the steps; `layers` returns the weights afterwards."""
    start = time.perf_counter()
    loss, right = map(sum, zip(*steps))
    seconds = time.perf_counter() - start
    return Pass(seconds, loss / images, right / images, layers())


# --- the engines: each takes one pass over the images

def triple_loop(dataset: Dataset) -> Pass:
    """Every product by the index triple loop on dense rows: where everybody begins."""
    network = first_network()
    (w1, b1), (w2, b2) = [(layer.weights, layer.bias) for layer in network.layers]
    batches = [(x.to_matrix(), network.targets(labels))
               for x, labels in dataset.batches(
                   BATCH, order_of(dataset), levels=LEVELS)]
    relu = ACTIVATIONS["relu"]

    def times(a: Matrix, b: Matrix) -> Matrix:
        return Matrix(matmul_triple_loop(list(a), list(b)))

    def train() -> Steps:
        nonlocal w1, b1, w2, b2
        for x, y in batches:
            z1 = times(x, w1) + b1
            a1 = z1.map(relu.value)
            p = (times(a1, w2) + b2).map_rows(softmax)
            dz2 = (p - y) / len(x)
            dz1 = times(dz2, w2.T) * a1.map(relu.slope)
            w1, b1 = w1 - times(x.T, dz1) * RATE, b1 - dz1.sum(axis=0) * RATE
            w2, b2 = w2 - times(a1.T, dz2) * RATE, b2 - dz2.sum(axis=0) * RATE
            yield 0, sum(map(int.__eq__, p.argmax(axis=1), y.argmax(axis=1)))
    return timed(train(), len(dataset))


def lists(dataset: Dataset) -> Pass:
    """`Matrix` and `SparseMatrix` of this project."""
    network = first_network()
    batches = dataset.batches(BATCH, order_of(dataset), levels=LEVELS)
    return timed(((network.train_batch(x, labels, RATE) * len(labels), 0)
                  for x, labels in batches), len(dataset))


def packed(dataset: Dataset, workers: int, bent: bool = False, wide: bool = False
           ) -> Pass:
    """The packed engine, in some processes, on groups made before or of bent images."""
    form = WIDE if wide else format_for(SIZES[1:-1], "relu", LEVELS, RATE / BATCH, True)
    return run_team(workers, _packed_pass, dataset, bent, form, SIZES)


def _packed_pass(team: Team, dataset: Dataset, bent: bool, form: Format,
                 sizes: list) -> Pass:
    SIZES[:] = sizes            # for a process that starts afresh
    network = PackedNetwork(first_network(), LOSSES["cross-entropy"], LEVELS, SGD, form,
                            team)
    order, labels = order_of(dataset), dataset.labels
    images = map(dataset.image, range(len(dataset)))
    if bent:
        ink = InkTable(images, LEVELS, SIZES[0])
        warp = RandomWarp([scatter(list(range(SIZES[0])), team.pixels)
                           for _ in range(MAPS)], random.Random(1))
    else:
        kept = [network.first.quantizer(image[team.pixels]) for image in images]

    def groups(index: int) -> list:
        return groups_of(warp(ink(index))) if bent else kept[index]

    def train() -> Steps:
        loss, right = 0, 0
        for start in range(0, len(order), BATCH):
            chosen = order[start:start + BATCH]
            result = network.train_batch(list(map(groups, chosen)),
                                         [labels[i] for i in chosen], RATE, start)
            loss, right = loss + result.loss, right + result.correct
        # when all have ended
        yield from team.gather((loss / (1 << LOSS_BITS), right))
    team.gather(None)           # all have started
    return timed(train(), len(dataset), network.layers)


def arrays_of(np: Any, dataset: Dataset) -> Iterator[Any]:
    """Yield arrays of the images, rounded to the grey levels, labels, and their order.
    """
    grey = np.frombuffer(dataset.images, np.uint8).reshape(len(dataset), -1)
    yield np.round(grey / 255 * (LEVELS - 1)) / (LEVELS - 1)
    yield np.frombuffer(dataset.labels, np.uint8).astype(np.int64)
    yield np.array(order_of(dataset))


def numpy_steps(dataset: Dataset) -> Pass:
    """The same steps in NumPy with 8-byte floats."""
    import numpy as np
    (w1, b1), (w2, b2) = [[np.array(list(m)) for m in (layer.weights, layer.bias)]
                          for layer in first_network().layers]
    images, all_labels, order = arrays_of(np, dataset)

    def train() -> Steps:
        for start in range(0, len(order), BATCH):
            chosen = order[start:start + BATCH]
            x, labels = images[chosen], all_labels[chosen]
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
        (Matrix(w.tolist()), Matrix(b.tolist())) for w, b in ((w1, b1), (w2, b2))])


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
    images, all_labels, order = map(torch.from_numpy, arrays_of(np, dataset))
    images = images.float()

    def train() -> Steps:
        for start in range(0, len(order), BATCH):
            chosen = order[start:start + BATCH]
            x, labels = images[chosen], all_labels[chosen]
            optimizer.zero_grad()
            logits = model(x)
            loss = loss_of(logits, labels)
            loss.backward()
            optimizer.step()
            yield loss.item() * len(x), (logits.argmax(1) == labels).sum().item()
    return timed(train(), len(dataset), lambda: [
        (Matrix(linear.weight.T.tolist()), Matrix([linear.bias.tolist()]))
        for linear in model[::2]])


# --- measuring

def engines(cores: int) -> dict[str, tuple[Callable[[Dataset], Pass], int]]:
    """Return what there is to run here: name -> (engine, images that it runs on).

    The packed engine runs in one process and in as many as there are cores.
    """
    found = {SLOWEST: (triple_loop, 64), "lists": (lists, 640)}
    for bent, form in ((False, ""), (True, ", bent")):
        for workers in sorted({1, cores}):
            name = f"packed, {workers} process{'es' if workers > 1 else ''}{form}"
            found[name] = (partial(packed, workers=workers, bent=bent), EPOCH)
    found[f"packed, {cores} processes, 64 bits"] = (
        partial(packed, workers=cores, wide=True), EPOCH)
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
    if min(options.repeat, options.hidden) < 1:
        raise OptionError("--repeat and --hidden: expected 1 or more")
    SIZES[1] = options.hidden
    train, test = load_or_sample(options.data)[:2]
    found = engines(available_cores())
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
    report(passes, test)
    return 0


def test_accuracy(layers: list, test: Dataset) -> float:
    """Return the fraction of the test images that a network of these layers classifies
    correctly."""
    network = Network.of_layers([Dense(*pair) for pair in layers], "relu",
                                "cross-entropy")
    reader = PackedNetwork(network, LOSSES["cross-entropy"], LEVELS, SGD)
    outputs, _ = reader.predict([reader.first.quantizer(test.image(i))
                                 for i in range(len(test))])
    return sum(row.index(max(row)) == label
               for row, label in zip(outputs, test.labels)) / len(test)


def report(passes: dict[str, list[Pass]], test: Dataset) -> None:
    """Print medians and ranges, the medians' ratios, and what was learnt by those that
    kept their layers."""
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
                  if layers else "")
        print(f"{name:32}{median:9.2f}{min(times[name]):9.2f}{max(times[name]):9.2f}"
              f"{medians[SLOWEST] / median:12.1f}{against[0]:>9}{against[1]:>9}"
              f"{learnt}")


def main(argv=None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="DIR",
                        help="folder with MNIST (default: as for train.py)")
    parser.add_argument("--repeat", type=int, default=3, metavar="N",
                        help="turns, half a minute each (default: %(default)s)")
    parser.add_argument("--hidden", type=int, default=128, metavar="N",
                        help="units of the hidden layer (default: %(default)s)")
    options = parser.parse_args(argv)
    return run_command("benchmark.py", lambda: measure(options))


if __name__ == "__main__":
    sys.exit(main())
