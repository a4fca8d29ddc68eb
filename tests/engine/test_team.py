"""engine.team: messages, processes that die, and the same bits from any number.
"""
import math
import multiprocessing
import os
import signal
import threading
from copy import deepcopy
from types import SimpleNamespace

import pytest
from tools import digest

from data_loader import Dataset
from engine import team as parallel
from engine.lanes import LaneOverflowError
from engine.team import Team, WorkerError, run_team
from learning import checkpoint, engines, training
from learning.settings import DEFAULTS
from network import Network

START_METHODS = multiprocessing.get_all_start_methods()
needs_kill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
several = pytest.mark.parametrize("size", [2, 3])


@pytest.fixture(autouse=True)
def nobody_stays():
    """After every test no process is left, and Ctrl-C does what it did before."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    assert multiprocessing.active_children() == []
    assert signal.getsignal(signal.SIGINT) is handler


# --- messages, between threads

def in_threads(size, work, seconds=20):
    """[work(team) of each rank], each in a thread; fails where they never end."""
    mesh, results = parallel._mesh(size), {}

    def run(rank):
        results[rank] = work(Team(rank, mesh[rank]))
    threads = [threading.Thread(target=run, args=(rank,), daemon=True)
               for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    assert not any(thread.is_alive() for thread in threads), "deadlock"
    parallel._close(connection for row in mesh for connection in row)
    return [results[rank] for rank in range(size)]


LENGTHS = {"short": lambda j, k: 10, "long": lambda j, k: 10 ** 6,
           "both": lambda j, k: 10 ** 6 if (j + k) % 2 else 1}


@several
@pytest.mark.parametrize("length", LENGTHS.values(), ids=LENGTHS)
def test_everybody_gets_what_was_sent_to_him_however_long(size, length):
    """A pipe holds 64 KB: two that only send would wait for one another for ever."""
    def work(team):
        parts = [(team.rank, k, os.urandom(1) * length(team.rank, k))
                 for k in range(size)]
        send = parts.__getitem__
        return [parts, team.exchange(send), team.exchange(send)]
    sent = in_threads(size, work)
    for rank, (_, *received) in enumerate(sent):
        assert received == [[sent[k][0][rank] for k in range(size)]] * 2


@several
def test_one_s_own_part_is_made_last_and_comes_first(size):
    def work(team):
        made, order = [], []
        for rank, part in team.exchanged(lambda k: made.append(k) or (team.rank, k)):
            order.append((rank, part))
        return team.rank, made, order
    for rank, made, order in in_threads(size, work):
        others = [k for k in range(size) if k != rank]
        assert made == [*others, rank]
        assert order == [(k, (k, rank)) for k in (rank, *others)]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 10, 32])
def test_shares_follow_one_another_and_are_as_even_as_can_be(size, count):
    team = Team(0, [None] * size)
    shares = [range(count)[team.share(count, rank)] for rank in range(size)]
    assert [i for share in shares for i in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert Team(size - 1, [None] * size).share(count) == team.share(count, size - 1)


# --- processes

def report(team, *arguments):
    """What a worker is told, and that all can hear it."""
    return team.rank, arguments, team.gather((team.rank, os.getpid()))


@pytest.mark.parametrize("method", START_METHODS)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_leader_s_result_is_returned(size, method, monkeypatch):
    monkeypatch.setattr(parallel, "multiprocessing",
                        multiprocessing.get_context(method))
    rank, arguments, told = run_team(size, report, "a", [2])
    assert (rank, arguments) == (0, ("a", [2]))
    assert [who for who, _ in told] == list(range(size))
    assert told[0][1] == os.getpid() and len({pid for _, pid in told}) == size


def die(team, victim, how):
    """Go on for ever, but for the victim."""
    for turn in range(10 ** 9):
        if turn == 3 and team.rank == victim:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            elif how == "overflow":
                raise LaneOverflowError("too much")
            elif how == "interrupted":
                raise KeyboardInterrupt
            else:
                os._exit(0)
        team.gather(bytes(turn))


@needs_kill
@pytest.mark.parametrize("victim, how, error", [
    (1, "killed", WorkerError), (2, "gone", WorkerError),
    (1, "overflow", LaneOverflowError), (2, "overflow", LaneOverflowError),
    (0, "overflow", LaneOverflowError), (0, "interrupted", KeyboardInterrupt)])
def test_the_end_of_one_worker_ends_the_run(victim, how, error, capfd):
    with pytest.raises(error):
        run_team(3, die, victim, how)
    assert capfd.readouterr().err == ""


@several
def test_a_worker_killed_in_the_middle_of_a_message_is_noticed(size):
    """Its header has said 100 bytes, and three came."""
    mesh = parallel._mesh(size)
    os.write(mesh[size - 1][0].fileno(), (100).to_bytes(4, "big") + b"abc")
    parallel._close(mesh[size - 1])
    with pytest.raises(WorkerError, match="has ended"):
        Team(0, [None] + [mesh[0][size - 1]]).gather(1)
    parallel._close(connection for row in mesh[:-1] for connection in row)


@several
def test_a_process_that_cannot_be_started_is_told_and_the_others_end(size, monkeypatch):
    real, started = multiprocessing.Process.start, []

    def start(process):
        if len(started) == size - 2:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        started.append(process)
        real(process)
    monkeypatch.setattr(multiprocessing.Process, "start", start)
    with pytest.raises(WorkerError, match=f"not all of {size} worker processes could "
                                          "be started .Resource temporarily"):
        run_team(size, report)


# --- how many

@pytest.mark.parametrize("files, quota", [
    ({"cpu.max": "max 100000\n"}, math.inf), ({"cpu.max": "150000 100000\n"}, 1.5),
    ({"cpu.max": "nonsense"}, math.inf), ({}, math.inf),
    ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
    ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
    ({"cpu/cpu.cfs_quota_us": "x", "cpu/cpu.cfs_period_us": "0"}, math.inf)])
def test_a_container_s_quota_is_read(files, quota, tmp_path):
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert parallel._cpu_quota(tmp_path) == quota


@pytest.mark.parametrize("cores, quota, workers", [
    (1, math.inf, 1), (2, math.inf, 2), (64, 2, 2), (64, 1.5, 2), (64, 0.05, 1),
    (64, math.inf, parallel.MOST_BY_DEFAULT)])
def test_as_many_workers_are_started_as_are_worth_it(cores, quota, workers,
                                                     monkeypatch):
    monkeypatch.setattr(parallel, "_cpu_quota", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)),
                        raising=False)
    assert parallel.default_workers() == workers


@pytest.mark.parametrize("count, pixels, allowed, found", [
    (33, 784, 10 ** 6, "33 worker processes: each talks to all others, and 32 are"),
    (5, 4, 10 ** 6, "5 worker processes share 4 pixels"),
    (16, 784, 256, "16 worker processes need 304 open files")])
def test_what_cannot_work_is_refused_before_it_starts(count, pixels, allowed, found,
                                                      monkeypatch):
    monkeypatch.setattr(parallel, "resource", SimpleNamespace(
        RLIMIT_NOFILE=0, getrlimit=lambda which: (allowed, allowed)))
    with pytest.raises(WorkerError, match=found):
        parallel.check_workers(count, pixels)
    parallel.check_workers(2, 784)


# --- the network, split

def engine_of(team, network, images=32, **settings):
    """The network on the packed engine, as a run with these settings has it."""
    settings = {**DEFAULTS, "hidden": network.sizes[1:-1], **settings}
    return engines.PackedEngine(deepcopy(network), settings, team, images)


def outputs(team, network, dataset):
    """The outputs of the team for a data set, and the mean loss."""
    found = engine_of(team, network).evaluate(dataset)
    return found.outputs, found.loss


@pytest.mark.parametrize("hidden", [[], [6], [6, 5]], ids=str)
def test_a_team_evaluates_as_one_does_and_in_the_same_order(hidden, rng):
    """Also where a last batch leaves a worker without an image; the loss is the same to
    the last digit."""
    pixels = bytes(rng.choice([0, 0, 85, 170, 255]) for _ in range(501 * 16))
    labels = bytes(rng.randrange(3) for _ in range(501))
    dataset = Dataset("501", pixels, labels, 4, 4)
    network = Network([16, *hidden, 3], rng=rng)
    alone, loss = run_team(1, outputs, network, dataset)
    for row, expected in zip(alone, network.evaluate(dataset, 4).outputs):
        # narrow lanes round activations to 1/8
        assert row == pytest.approx(expected, abs=0.05 if len(hidden) == 1 else 4e-3)
    x, _ = next(dataset.batches(501, levels=4))
    assert loss == pytest.approx(network.mean_loss(x, list(labels)), abs=0.01)
    for size in (2, 3, 5):
        assert run_team(size, outputs, network, dataset) == (alone, loss)


# --- the same bits

# Frozen: what `python tests/tools/digest.py` prints.  A change of these is a change of
# the arithmetic: every model and every resumed run becomes another one.
FROZEN = {
    "affine": "2f925575b47422e497afa7e4df74a94b038cf6b0f023a9e78a2313caf4eb5305",
    "elastic": "5936605904c0560f850b2d82f40e55b36d639a363486bcb68ed1d23d1682a207",
    "one layer": "ad37261816c2e70551c6d26903d21b431571b0cdf63f6fee1a63f832dd8b8e81",
    "two layers": "407af52dbfee129bfc039776539da547b73b487ef0f91576c726aacb8abd3e7a",
    "sigmoid": "67f51efe5af76381c30aa1850987371852c2118fb19cb791dc5cf1527ef4bdbc",
    "256 levels": "a4f0f11bd38a0ee39c4b8578c7ce1824ff1226348a2e1860c3d97b45448c6d4b",
    "momentum": "ca99d0cd4dda48ae2eb99edf12b6eb433018fd6a3b16dfa721d6784a7ecdf23b",
    "dropout": "30634185ecea491fd82987419e0db7b8e4668ad995bf77fee3378dc9c5e8f4bf",
    "cosine": "67682b6c1286bee70e61a88f93a0132c77743db2255b69585c412ed65e099de3",
    "adam": "cc97e5d7e79b5ec2f321418c452ba9f4471465fc88defbcaa6f66aef99c94f89",
}


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("run", digest.RUNS)
def test_the_weights_are_the_same_for_any_number_of_workers(run, workers):
    assert digest.digest_of(run, workers) == FROZEN[run]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("run, stop", [("elastic", 1), ("elastic", 2), ("one layer", 3),
                                       ("momentum", 1), ("dropout", 1), ("adam", 2),
                                       ("256 levels", 1)])
def test_a_resumed_run_ends_with_the_same_bits(run, stop, workers, tmp_path,
                                               monkeypatch):
    """Stopped in a later epoch, resumed by another number of workers."""
    real = training.Epoch.train

    def interrupted(epoch, network, live, *more):
        if epoch.number == stop + 1 and epoch.team.rank == 0:
            raise KeyboardInterrupt
        return real(epoch, network, live, *more)
    settings = {**DEFAULTS, **digest.RUNS[run]}
    monkeypatch.setattr(training.Epoch, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        digest.train(settings, workers, tmp_path)
    monkeypatch.setattr(training.Epoch, "train", real)
    assert len(checkpoint.load_checkpoint(tmp_path)[2].history) == stop
    assert digest.train(settings, 3 - workers, tmp_path) == FROZEN[run]
