"""How long an epoch takes: python tests/benchmark.py [--data DIR]

Every engine takes the same training steps of 784-128-10 (ReLU, softmax, batch 32) on
the same first images of MNIST, several times in turn; the table has the medians, the time
that a whole epoch of 60,000 would take, and the factor over the triple loop.
"""
from __future__ import annotations

import argparse
import platform
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import data_loader                                                      # noqa: E402
from kernels import matmul_triple_loop, transpose                       # noqa: E402
from my_math import Matrix                                              # noqa: E402
from network import Network, softmax                                    # noqa: E402

RATE = 0.1
SIZES = [784, 128, 10]


def first_network() -> Network:
    """The network that every engine starts from."""
    return Network(SIZES, rng=random.Random(1))


# --- the engines: each makes a function that trains on one batch (X sparse, labels)

def triple_loop_engine() -> Callable:
    """Every product by the index triple loop on dense rows: where everybody begins."""
    first, last = first_network().layers
    w1, w2 = [list(row) for row in first.weights], [list(row) for row in last.weights]
    b1, b2 = first.bias[0], last.bias[0]

    def train(x, labels):
        x, y = list(x.to_matrix()), list(Matrix.one_hot(labels, SIZES[-1]))
        z1 = add_row(matmul_triple_loop(x, w1), b1)
        a1 = [[max(z, 0.0) for z in row] for row in z1]
        p = list(map(softmax, add_row(matmul_triple_loop(a1, w2), b2)))
        dz2 = [[(a - b) / len(x) for a, b in zip(*rows)] for rows in zip(p, y)]
        da1 = matmul_triple_loop(dz2, transpose(w2))
        dz1 = [[g if z > 0 else 0.0 for g, z in zip(*rows)] for rows in zip(da1, z1)]
        for w, b, inputs, delta in ((w1, b1, x, dz1), (w2, b2, a1, dz2)):
            descend(w, matmul_triple_loop(transpose(inputs), delta))
            descend([b], [list(map(sum, zip(*delta)))])
    return train


def add_row(rows: list, row: list) -> list:
    """Add the same row to each row."""
    return [[x + y for x, y in zip(one, row)] for one in rows]


def descend(weights: list, gradient: list) -> None:
    """w <- w - lr dw, in place."""
    for row, slopes in zip(weights, gradient):
        row[:] = [w - RATE * g for w, g in zip(row, slopes)]


def list_engine() -> Callable:
    """`Matrix` and `SparseMatrix` of this project."""
    network = first_network()
    return lambda x, labels: network.train_batch(x, labels, RATE)


def numpy_engine() -> Callable | None:
    """The same steps in NumPy with 8-byte floats, where it is installed."""
    try:
        import numpy as np
    except ImportError:
        return None
    (w1, b1), (w2, b2) = [[np.array(list(m)) for m in (layer.weights, layer.bias)]
                          for layer in first_network().layers]

    def train(x, labels):
        z1 = x @ w1 + b1
        a1 = np.maximum(z1, 0)
        z2 = a1 @ w2 + b2
        p = np.exp(z2 - z2.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(labels)), labels] -= 1
        dz2 = p / len(labels)
        dz1 = (dz2 @ w2.T) * (z1 > 0)
        for w, b, inputs, delta in ((w1, b1, x, dz1), (w2, b2, a1, dz2)):
            w -= RATE * (inputs.T @ delta)
            b -= RATE * delta.sum(axis=0)
    return train


ENGINES = {"index triple loop": triple_loop_engine, "list engine": list_engine,
           "NumPy, float64": numpy_engine}


# --- measuring

def batches_for(name: str, dataset, size: int) -> list:
    """The batches in the form that an engine takes; preparing them is not timed
    for NumPy and the triple loop, and is for our engines."""
    batches = list(dataset.batches(size))
    if name.startswith("NumPy"):
        import numpy as np
        return [(np.array(list(x.to_matrix())), labels) for x, labels in batches]
    return batches


def seconds_for(name: str, train: Callable, dataset, size: int) -> float:
    """Wall time of one pass over the data set."""
    if name == "list engine":
        start = time.perf_counter()
        batches = dataset.batches(size)
    else:
        batches = batches_for(name, dataset, size)
        start = time.perf_counter()
    for x, labels in batches:
        train(x, labels)
    return time.perf_counter() - start


def main(argv=None) -> int:
    """Measure and print; returns 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="DIR")
    parser.add_argument("--images", type=int, default=320, metavar="N")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N")
    parser.add_argument("--repeat", type=int, default=3, metavar="N")
    options = parser.parse_args(argv)
    dataset = data_loader.load_or_sample(options.data)[0]
    part = dataset.head(options.images)
    trainers = {name: make() for name, make in ENGINES.items()}
    times = {name: [] for name, train in trainers.items() if train}
    for _ in range(options.repeat):
        for name, seconds in times.items():
            seconds.append(seconds_for(name, trainers[name], part, options.batch_size))
    print(f"Python {platform.python_version()}, {platform.machine()}; {dataset.name}, "
          f"{len(part)} images, batch {options.batch_size}, "
          f"median of {options.repeat}\n")
    print(f"{'engine':20}{'ms an image':>12}{'s an epoch':>12}{'times faster':>14}")
    first = statistics.median(next(iter(times.values())))
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(f"{name:20}{median / len(part) * 1e3:12.3f}"
              f"{median / len(part) * 60_000:12.1f}{first / median:14.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
