"""Processes that work as one: messages between them, and how they start and end."""
from __future__ import annotations

import gc
import math
import multiprocessing
import os
import pickle
import signal
import sys
from contextlib import contextmanager
from itertools import chain
from operator import itemgetter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Sequence

from engine.lanes import LaneOverflowError

try:
    import resource
except ImportError:         # Windows
    resource = None


class WorkerError(Exception):
    """Worker processes could not be started, or ended before their work was done."""


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

    @property
    def pixels(self) -> slice:
        """The pixels of an image that are this worker's."""
        return slice(self.rank, None, self.size)

    def share(self, count: int, rank: int | None = None) -> slice:
        """Return which of `count` images a worker finishes: the one named, or this."""
        rank = self.rank if rank is None else rank
        return slice(count * rank // self.size, count * (rank + 1) // self.size)

    def exchange(self, part_for: Callable[[int], Any]) -> list[Any]:
        """Send part_for(k) to worker k; return what each sent here, by rank."""
        return [part for _, part in sorted(self.exchanged(part_for), key=itemgetter(0))]

    def exchanged(self, part_for: Callable[[int], Any]) -> Iterator[tuple[int, Any]]:
        """The same in pairs (rank, part), this worker's own first.

        All else is on its way before that one is made, so making it, and what the
        caller does with it, fill the time of waiting.  Two that both had more to send
        than a pipe holds would wait for one another for ever: there the lower rank
        sends first, and the higher one reads before it sends.
        """
        late = {}
        peers = [(k, link) for k, link in enumerate(self._connections) if link]
        try:
            for peer, connection in peers:
                message = pickle.dumps(part_for(peer), pickle.HIGHEST_PROTOCOL)
                if len(message) > self._SMALL:
                    late[peer] = message
                else:
                    connection.send_bytes(message)
            yield self.rank, part_for(self.rank)
            for peer, connection in peers:
                if peer in late and self.rank < peer:
                    connection.send_bytes(late[peer])
                received = pickle.loads(connection.recv_bytes())
                if peer in late and self.rank > peer:
                    connection.send_bytes(late[peer])
                yield peer, received
        except (EOFError, OSError):     # also in the middle of a message
            raise WorkerError("a worker process has ended") from None

    def gather(self, part: Any) -> list[Any]:
        """Return what every worker has given, by rank."""
        return self.exchange(lambda rank: part)


# --- How many

# A batch of 32 images costs one process about 1,100 us that n processes share, each
# about 50 us that they do not, and 20 us for every other one that it talks to.
# 1100 / n + 50 + 20 (n - 1) is least for n = 7; wider networks gain from some more.
MOST_BY_DEFAULT = 8
MOST = 32


def available_cores() -> int:
    """Return how many cores this process may use, a container's quota included."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _cpu_quota())))


def _cpu_quota(root: Path = Path("/sys/fs/cgroup")) -> float:
    """Return the cores' worth of time that Linux's control groups grant; inf for no
    limit.

    Version 2 has "quota period" in cpu.max, of which a quota may be "max"; version 1
    has a file for each, and -1 for no limit.
    """
    for names in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        try:
            text = " ".join((root / name).read_text() for name in names)
            quota, period = map(int, text.split())
        except (OSError, ValueError):       # no such file; "max"
            continue
        if quota > 0 < period:
            return quota / period
    return math.inf


def default_workers() -> int:
    """Return how many processes are worth starting here."""
    return min(available_cores(), MOST_BY_DEFAULT)


def check_workers(count: int, pixels: int) -> None:
    """Raise WorkerError if `count` processes cannot share this number of pixels."""
    if count > MOST:
        raise WorkerError(f"{count:,} worker processes: each talks to all others, and "
                          f"{MOST} are the most")
    if count > pixels:
        raise WorkerError(f"{count} worker processes share {pixels} pixels")
    handles = count * (count - 1) + 64
    if resource and 0 <= resource.getrlimit(resource.RLIMIT_NOFILE)[0] < handles:
        raise WorkerError(f"{count} worker processes need {handles} open files, more "
                          "than are allowed (ulimit -n)")


# --- Processes

def run_team(size: int, work: Callable, *arguments: Any) -> Any:
    """Run work(team, *arguments) in `size` processes, this one among them as rank 0.

    Returns what it returns here.  `work` is a function of a module, and it and its
    arguments can be pickled, as a process may be started afresh ("spawn").  When it
    ends here, in whatever way, the other processes end too.  WorkerError where one of
    them cannot be started or ends too early; LaneOverflowError where that was its
    reason.
    """
    # Reference counting frees all that training makes; looking for cycles as well took
    # a quarter of the time and found none.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return work(Team(), *arguments) if size == 1 else _lead(size, work, arguments)
    finally:
        if was_enabled:
            gc.enable()


_STOPS = {signal.SIGINT, signal.SIGTERM}    # what stops a command: Ctrl-C, kill


@contextmanager
def ctrl_c_later() -> Iterator[None]:
    """Block Ctrl-C and SIGTERM while others are started, which take over what is
    blocked here.

    They are for the process that leads, which ends the others.  (Ignoring them for that
    time would lose them.)
    """
    if not hasattr(signal, "pthread_sigmask"):      # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_helper() -> None:
    """Leave Ctrl-C to the process that leads; end at SIGTERM, as programs do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)


def _lead(size: int, work: Callable, arguments: tuple) -> Any:
    """Start the other workers, work, and see them end."""
    mesh, helpers = _mesh(size), []
    try:
        with ctrl_c_later():
            for rank in range(1, size):
                helper = multiprocessing.Process(target=_help, daemon=True,
                                                 args=(rank, mesh, work, arguments))
                try:
                    helper.start()
                except OSError as error:
                    raise WorkerError(f"not all of {size} worker processes could be "
                                      f"started ({error.strerror or error})") from None
                helpers.append(helper)
        return work(_join(0, mesh), *arguments)
    except WorkerError:
        _close(mesh[0])
        for helper in helpers:
            helper.join(5)
        if any(helper.exitcode == _OVERFLOW for helper in helpers):
            raise LaneOverflowError("in a worker process") from None
        raise
    finally:
        _close(chain(*mesh))
        for helper in helpers:
            helper.join(5)
            if helper.is_alive():
                helper.kill()


_OVERFLOW = 3      # exit code of a worker whose numbers outgrew their lanes


def _mesh(size: int) -> list[list[Connection | None]]:
    """Return connections: mesh[j][k] leads from worker j to worker k."""
    mesh: list = [[None] * size for _ in range(size)]
    for j in range(size):
        for k in range(j):
            mesh[j][k], mesh[k][j] = multiprocessing.Pipe()
    return mesh


def _join(rank: int, mesh: Sequence[Sequence[Connection | None]]) -> Team:
    """Return this worker's team.

    The ends of the others are closed here, so that a pipe is broken as soon as the one
    worker at its other end is gone.
    """
    _close(chain(*mesh[:rank], *mesh[rank + 1:]))
    return Team(rank, mesh[rank])


def _close(connections: Iterable[Connection | None]) -> None:
    for connection in filter(None, connections):
        connection.close()


def _help(rank: int, mesh: list, work: Callable, arguments: tuple) -> None:
    """Work as a worker other than the leader."""
    begin_helper()
    gc.disable()
    try:
        work(_join(rank, mesh), *arguments)
    except WorkerError:
        sys.exit(1)         # the leader, or another, has gone first and has said why
    except OverflowError:
        sys.exit(_OVERFLOW)
