"""The packed network on several processes at once, with the same bits from any number.

Every process ("worker") runs the same program on the same batches.  Of the 784 x 128
weights of the first layer, where nearly all work is, worker w of n keeps the rows of
the pixels w, w + n, w + 2n, ...; the small rest of the network is in every worker.
A batch of m images takes two exchanges:

    forward     each worker multiplies its pixels of all m images by its rows of W1;
                the partial sums of an image go to the one worker that is to finish it
    backward    that worker does the rest of the pass for its m / n images, and all
                tell one another the steps: dZ1 of their images, their sums for the
                other layers

Floats added in another order give other floats, so programs that do this with floats
give other weights for every number of workers.  Here all sums are of integers.
(Splitting the inputs of a layer is row parallelism, in the words of Shoeybi et al.
2019, "Megatron-LM", arXiv 1909.08053; the rest is data parallelism.)
"""
from __future__ import annotations

import gc
import math
import multiprocessing
import os
import pickle
import random
import signal
import sys
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection
from operator import add
from typing import Any, Callable, Iterable, Iterator, NamedTuple, Sequence

from dataset import Dataset
from dropout import Dropout
from fixed_point import unit_of
from my_math import Matrix, SparseMatrix
from network import BatchResult, Dense, Network, Report
from optimizers import SGD
from packed_math import NARROW, WIDE, LaneOverflowError, PackedMatrix

# Units of the steps of the first layer, lr / m dZ1.  In narrow lanes, with 4 grey
# levels, 2^-16 leaves room for weights up to 4.6 under an image that is all ink.
NARROW_STEP, FINE_STEP = (unit_of(Fraction(1, 1 << bits)) for bits in (16, 24))


class WorkerError(Exception):
    """A worker process has ended before its work was done."""


# ---------------------------------------------------------------------------
# Talking to one another
# ---------------------------------------------------------------------------

class Team:
    """The connections of one worker to all others: `rank` of `size`, from 0.

    >>> alone = Team()
    >>> alone.size, alone.share(32)
    (1, slice(0, 32, None))
    """

    # Bytes that surely fit into a pipe with nobody reading yet: it holds some 200 KB on
    # Linux, as little as 8 KB elsewhere.
    _SMALL = 1 << 15 if sys.platform.startswith("linux") else 1 << 12

    def __init__(self, rank: int = 0, connections: Sequence[Connection | None] = (None,)
                 ) -> None:
        """`connections[k]` leads to worker k; there is none to oneself."""
        self.rank, self.size, self._connections = rank, len(connections), connections
        self._deferred: list[tuple[Any, Callable, Callable]] = []
        self.meanwhile: Callable[[], Any] = lambda: None

    def share(self, count: int, rank: int | None = None) -> slice:
        """Which of `count` images a worker finishes: this one, or the one named."""
        rank = self.rank if rank is None else rank
        return slice(count * rank // self.size, count * (rank + 1) // self.size)

    def exchange(self, part_for: Callable[[int], Any]) -> list[Any]:
        """Send part_for(k) to worker k; returns what each sent here, by rank."""
        received = [None] * self.size
        for rank, part in self.exchanged(part_for):
            received[rank] = part
        return received

    def exchanged(self, part_for: Callable[[int], Any]) -> Iterator[tuple[int, Any]]:
        """The same in pairs (rank, part), this worker's own first.

        All else is on its way before that one is made, so making it, what the caller
        does with it, and what `meanwhile` does, fill the time of waiting.  Two that
        both had more to send than a pipe holds would wait for one another for ever:
        there the lower rank sends first, and the higher one reads before it sends.
        """
        late = {}
        try:
            for peer, connection in enumerate(self._connections):
                if connection is not None:
                    message = pickle.dumps(part_for(peer), pickle.HIGHEST_PROTOCOL)
                    if len(message) > self._SMALL:
                        late[peer] = message
                    else:
                        connection.send_bytes(message)
            yield self.rank, part_for(self.rank)
            self.meanwhile()
            for peer, connection in enumerate(self._connections):
                if connection is not None:
                    if peer in late and self.rank < peer:
                        connection.send_bytes(late[peer])
                    received = pickle.loads(connection.recv_bytes())
                    if peer in late and self.rank > peer:
                        connection.send_bytes(late[peer])
                    yield peer, received
        except (EOFError, ConnectionError):
            raise WorkerError("a worker process has ended") from None

    def gather(self, part: Any) -> list[Any]:
        """What every worker has given, by rank."""
        return self.exchange(lambda rank: part)

    def defer(self, part: Any, apply: Callable[[int, Any], None],
              done: Callable[[], Any] = lambda: None) -> None:
        """Have apply(rank, part) called with each worker's part at the next `flush`,
        and done() after the last."""
        self._deferred.append((part, apply, done))

    def flush(self) -> None:
        """Exchange all that was deferred in one message, and apply what comes."""
        deferred, self._deferred = self._deferred, []
        own = [part for part, *_ in deferred]
        for rank, parts in self.exchanged(lambda rank: own):
            for (_, apply, _), part in zip(deferred, parts):
                apply(rank, part)
        for _, _, done in deferred:
            done()


# ---------------------------------------------------------------------------
# Matrices that a team shares
# ---------------------------------------------------------------------------

class _OfTeam(PackedMatrix):
    """A packed matrix that knows its team.

    Steps too small for its unit are first added up in a matrix `fine`, where there is
    one, and carried over at the end of a batch.
    """

    __slots__ = ("team", "fine")

    def refine(self, unit: Fraction, bits: int) -> None:
        """Have steps in a finer unit from now on."""
        self.fine = PackedMatrix([0] * len(self.rows), self.shape[1], unit, 0, bits)

    @property
    def step_unit(self) -> Fraction:
        """The unit of the steps that this takes up."""
        return self.fine.unit if self.fine else self.unit

    @property
    def step_bits(self) -> int:
        """The bits of their lanes."""
        return self.fine.bits if self.fine else self.bits

    def _alike(self, rows: list[int], unit: Fraction, bound: int) -> PackedMatrix:
        """Of the same class and team, and as fine."""
        twin = type(self)(rows, self.shape[1], unit, bound, self.bits)
        twin.team, twin.fine = self.team, None
        if self.step_unit < unit:
            twin.refine(self.step_unit, self.step_bits)
        return twin

    def _defer(self, part: Any, apply: Callable) -> None:
        """Have apply(matrix, rank, part) called with each worker's part."""
        self.team.defer(part, partial(apply, self.fine or self), self._carry)

    def _carry(self) -> None:
        """Take over what was added up, but for what is too small yet."""
        if self.fine:
            self.add_rounded(self.fine)


class SplitWeights(_OfTeam):
    """Those rows of the first layer's weights that belong to this worker's pixels."""

    __slots__ = ()

    def _sparse_product(self, left: SparseMatrix) -> PackedMatrix:
        """The whole sums of this worker's share of the images."""
        bound = self._ink_bound(left) * self.bound
        parts = self.team.exchange(lambda rank: (
            self._sums(left.groups[self.team.share(left.shape[0], rank)]), bound))
        rows, bound = parts[0]
        for more, more_bound in parts[1:]:
            rows, bound = list(map(add, rows, more)), bound + more_bound
        unit = self.unit / left.denominator
        return PackedMatrix(rows, self.shape[1], unit, bound, self.bits)

    @property
    def room_for_sums(self) -> int:
        """This worker's part of the room: the sums of all are added."""
        return super().room_for_sums // self.team.size

    def take_up(self, x: SparseMatrix, steps: Sequence[int], bound: int) -> None:
        """Take up the steps of all images, the team's shares as they come."""
        def apply(matrix: PackedMatrix, rank: int, part: tuple) -> None:
            """One worker's steps, all others being 0, to this one's rows."""
            steps, bound = part
            share = self.team.share(x.shape[0], rank)
            PackedMatrix.take_up(matrix, x, steps, bound, share)
        self._defer((steps, bound), apply)


class SharedWeights(_OfTeam):
    """Weights of which every worker has all, kept equal."""

    __slots__ = ()

    def add_rows(self, rows: Sequence[int], bound: int) -> None:
        """Add what all workers have to add."""
        self._defer((rows, bound),
                    lambda matrix, _, part: PackedMatrix.add_rows(matrix, *part))


def pack_network(network: Network, team: Team, levels: int, step_size: float,
                 optimizer: Callable = SGD) -> Network:
    """The same network in packed matrices, for images of so many grey levels.

    `step_size` is the learning rate (or the optimizer's `scale` of it) over the batch
    size, what an image's dZ is times in a step.  More than 4 levels need more bits than
    narrow lanes have for the first layer; steps smaller than 1/512 are added up in
    finer units than the weights have.
    """
    def pack(kind: type, matrix: Matrix, unit: Fraction, bits: int = NARROW) -> Any:
        """One matrix of the team's."""
        packed = kind.from_matrix(matrix, unit, bits)
        packed.team, packed.fine = team, None
        if small:
            packed.refine(unit / fineness, WIDE if unit == later_unit else bits)
        return packed

    smallness = round(-math.log2(step_size))
    small, fineness = step_size * 512 < 1, 1 << max(0, smallness - 8)
    bits, step = (NARROW, NARROW_STEP) if levels <= 4 else (WIDE, FINE_STEP)
    # The smaller the steps, the finer the unit of the later weights: room for 64 to 8.
    later_unit = unit_of(Fraction(1, 1 << 25 + min(3, max(0, smallness - 8))))
    first, *later = network.layers
    own = Matrix(first.weights[pixel]
                 for pixel in range(team.rank, network.sizes[0], team.size))
    first.weights = pack(SplitWeights, own, step / (levels - 1), bits)
    first.bias = pack(SharedWeights, first.bias, step / (levels - 1), bits)
    for layer in later:
        layer.weights = pack(SharedWeights, layer.weights.T, later_unit).T
        layer.bias = pack(SharedWeights, layer.bias, later_unit, WIDE)
        layer.weights.T.product_unit = FINE_STEP / (fineness if small else 1)
    network.optimizer = optimizer(network.layers)
    network.optimizer.flush = team.flush
    if later:                   # dZ1 in the unit of what takes it up
        taken = network.optimizer.targets[0][0].step_unit * (levels - 1)
        later[0].weights.T.product_unit = taken
    return network


def unpack_network(network: Network, team: Team) -> Network:
    """The whole network as floats, in every worker; the same if it is not packed."""
    if isinstance(network.layers[0].weights, Matrix):
        return network
    first, *later = network.layers
    layers = [Dense(_joined(first.weights, team), first.bias.to_matrix())]
    layers += [Dense(layer.weights.to_matrix(), layer.bias.to_matrix())
               for layer in later]
    return Network.of_layers(layers, network.activation, network.loss)


def _joined(own: PackedMatrix | Matrix, team: Team) -> Matrix:
    """The matrix of all pixels from each worker's rows."""
    shares = team.gather(list(own))
    return Matrix(shares[p % team.size][p // team.size]
                  for p in range(sum(map(len, shares))))


def optimizer_state(network: Network, team: Team) -> dict[str, Matrix]:
    """The optimizer's matrices by name, whole, in every worker."""
    return {name: _joined(matrix, team) if split else Matrix(matrix)
            for name, matrix, split in _memory(network)}


def restore_optimizer(network: Network, team: Team, state: dict[str, Matrix]) -> None:
    """Take over what `optimizer_state` gave, perhaps to another number of workers."""
    for name, matrix, split in _memory(network):
        rows = list(state[name])
        matrix.fill(rows[team.rank::team.size] if split else rows)


def _memory(network: Network) -> Iterator[tuple[str, PackedMatrix | Matrix, bool]]:
    """(name, matrix as it is stored, whether each worker has but its rows of it)."""
    for kind, layers in network.optimizer.memory.items():
        for number, (weights, bias) in enumerate(layers):
            yield f"{kind}{number + 1}.weights", weights.stored, number == 0
            yield f"{kind}{number + 1}.bias", bias.stored, False
    for number, (weights, bias) in enumerate(network.optimizer.targets):
        for name, target in (("weights", weights.stored), ("bias", bias.stored)):
            if getattr(target, "fine", None):       # steps too small to be taken yet
                split = (number, name) == (0, "weights")
                yield f"fine{number + 1}.{name}", target.fine, split


# ---------------------------------------------------------------------------
# A batch, a data set
# ---------------------------------------------------------------------------

class How(NamedTuple):
    """What a step is like beside its learning rate; see `Network.train_batch`."""

    sure: float = 0.0
    smoothing: float = 0.0
    dropout: Dropout | None = None
    rng: random.Random | None = None        # draws the units that are left out


def train_batch(network: Network, team: Team, x: SparseMatrix, labels: Sequence[int],
                learning_rate: float, how: How = How()) -> BatchResult:
    """One step of the whole team on x, this worker's pixels of all images.

    The result is that of this worker's share.
    """
    share = team.share(len(labels))
    mine, masks = labels[share], ()
    if how.dropout:
        masks = how.dropout.draw(len(labels), how.rng, share)
    if mine:
        return network.train_batch(x, mine, learning_rate, how.sure, how.smoothing,
                                   masks)
    network.layers[0].forward(x)        # fewer images than workers
    network.optimizer.decay(learning_rate)
    _add_nothing(network, x)
    network.optimizer.settle(learning_rate)
    return BatchResult(0.0, 0, [])


def prepared(team: Team, batches: Iterable) -> Iterator:
    """The batches in turn; the next is made while workers wait for one another."""
    if team.size == 1:
        yield from batches
        return
    rest, ready = iter(batches), []

    def prepare() -> None:
        """Make one batch and the groups of its pixels, unless one is there."""
        for x, labels in islice(rest, 0 if ready else 1):
            ready.append((x, labels, x.groups))

    team.meanwhile = prepare
    prepare()
    while ready:
        x, labels, _ = ready.pop()
        yield x, labels
        prepare()
    team.meanwhile = lambda: None


def _add_nothing(network: Network, x: SparseMatrix) -> None:
    """Defer empty parts in the order in which an optimizer defers full ones."""
    for number, (weights, bias) in enumerate(network.optimizer.targets):
        if number == 0:
            weights.take_up(x, [], 0)
        else:
            weights.T.add_rows([0] * weights.shape[1], 0)
        bias.add_rows([0], 0)


def judge(network: Network, team: Team, dataset: Dataset, batch_size: int = 100,
          keep: bool = False) -> Report:
    """The answers of the team to a whole data set, in every worker.

    With `keep` their sparse rows are kept for the next time.
    """
    mine, loss_sum = [], 0.0
    batches = dataset.batches(batch_size, pixels=own_pixels(team), keep=keep)
    for x, labels in prepared(team, batches):
        own = labels[team.share(len(labels))]
        if own:
            answers, loss = network.predict_and_judge(x, own)
            mine.append(list(answers))
            loss_sum += loss * len(own)
        else:
            network.layers[0].forward(x)
            mine.append([])
    shares, losses = zip(*team.gather((mine, loss_sum)))
    return Report([row for parts in zip(*shares) for part in parts for row in part],
                  dataset.labels, math.fsum(losses) / len(dataset))


def own_pixels(team: Team) -> slice:
    """Which pixels of an image are this worker's."""
    return slice(team.rank, None, team.size)


# ---------------------------------------------------------------------------
# Processes
# ---------------------------------------------------------------------------

def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_team(size: int, work: Callable, *arguments: Any) -> Any:
    """Run work(team, *arguments) in `size` processes, this one among them as rank 0.

    Returns what it returns here.  `work` is a function of a module, and it and its
    arguments can be pickled, as a process may be started afresh ("spawn").  When it
    ends here, in whatever way, the other processes end too.  WorkerError where one of
    them ends too early; LaneOverflowError where that was its reason.
    """
    # Reference counting frees all that training makes; looking for cycles as well took
    # a quarter of the time and found none.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return _run_team(size, work, arguments)
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def ctrl_c_later() -> Iterator[None]:
    """Ctrl-C is for the process that leads, which ends the others.

    So it waits while others are started, which take over what is blocked here.
    (Ignoring it for that time would lose it.)
    """
    if not hasattr(signal, "pthread_sigmask"):      # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run_team(size: int, work: Callable, arguments: tuple) -> Any:
    if size == 1:
        return work(Team(), *arguments)
    mesh = _mesh(size)
    helpers = [multiprocessing.Process(target=_help, daemon=True,
                                       args=(rank, mesh, work, arguments))
               for rank in range(1, size)]
    try:
        with ctrl_c_later():
            for helper in helpers:
                helper.start()
        result = work(_join(0, mesh), *arguments)
    except WorkerError:
        _close(mesh[0])
        for helper in helpers:
            helper.join(5)
        if any(helper.exitcode == _OVERFLOW for helper in helpers):
            raise LaneOverflowError("in a worker process") from None
        raise
    finally:
        _close(connection for row in mesh for connection in row)
        for helper in helpers:
            helper.join(5)
            if helper.is_alive():
                helper.kill()
    return result


_OVERFLOW = 3      # exit code of a worker whose numbers outgrew their lanes


def _mesh(size: int) -> list[list[Connection | None]]:
    """mesh[j][k] leads from worker j to worker k."""
    mesh: list = [[None] * size for _ in range(size)]
    for j in range(size):
        for k in range(j):
            mesh[j][k], mesh[k][j] = multiprocessing.Pipe()
    return mesh


def _join(rank: int, mesh: Sequence[Sequence[Connection | None]]) -> Team:
    """This worker's team; the ends of the others are closed here, so that a pipe is
    broken as soon as the one worker at its other end is gone."""
    _close(connection for other, row in enumerate(mesh) if other != rank
           for connection in row)
    return Team(rank, mesh[rank])


def _close(connections: Iterable[Connection | None]) -> None:
    for connection in connections:
        if connection is not None:
            connection.close()


def _help(rank: int, mesh: list, work: Callable, arguments: tuple) -> None:
    """The life of a worker other than the leader."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    try:
        work(_join(rank, mesh), *arguments)
    except WorkerError:
        sys.exit(1)         # the leader, or another, has gone first and has said why
    except LaneOverflowError:
        sys.exit(_OVERFLOW)
