"""parallel: messages of a team, processes that die, and the same bits from any number.
"""
import multiprocessing
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from conftest import ROOT

import digest
import parallel
import checkpoint
import recipes
import training
from dataset import Dataset
from lanes import LaneOverflowError
from my_math import SparseMatrix
from network import Network
from packed_math import PackedMatrix
from parallel import Team, WorkerError, judge, pack_network, run_team, unpack_network

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


SIZES = [10, parallel.Team._SMALL - 100, parallel.Team._SMALL + 100, 10 ** 6]


@several
@pytest.mark.parametrize("length", SIZES)
def test_everybody_gets_what_was_sent_to_him_however_long(size, length):
    """A pipe holds 64 KB: two that only send would wait for one another for ever."""
    def work(team):
        parts = [(team.rank, to, os.urandom(1) * length) for to in range(size)]
        send = parts.__getitem__
        return [parts, team.exchange(send), team.exchange(send)]
    sent = in_threads(size, work)
    for rank, (_, *received) in enumerate(sent):
        assert received == [[sent[k][0][rank] for k in range(size)]] * 2


@several
def test_long_messages_meet_short_ones(size):
    def work(team):
        return team.exchange(lambda k: bytes(10 ** 6 if (team.rank + k) % 2 else 1))
    for rank, received in enumerate(in_threads(size, work)):
        assert list(map(len, received)) == [
            10 ** 6 if (rank + k) % 2 else 1 for k in range(size)]


@several
@pytest.mark.parametrize("length", [1, 10 ** 6])
def test_gather_and_flush_give_the_same_to_all(size, length):
    def work(team):
        applied = []
        for number in (3, 1, 2):
            team.defer([team.rank] * length,
                       lambda rank, part, n=number: applied.append((n, rank, part)))
        nothing_yet = list(applied)
        team.flush()
        team.flush()                       # all has been applied: once, and no more
        return team.gather(team.rank * 10), nothing_yet, applied
    for gathered, nothing_yet, applied in in_threads(size, work):
        assert gathered == [10 * k for k in range(size)]
        assert nothing_yet == []
        assert len(applied) == 3 * size
        for rank in range(size):           # of each worker's in the order of `defer`
            parts = [(n, part) for n, who, part in applied if who == rank]
            assert parts == [(n, [rank] * length) for n in (3, 1, 2)]


@several
def test_what_is_done_meanwhile_is_done_once_an_exchange(size):
    def work(team):
        done = []
        team.meanwhile = lambda: done.append(len(done))
        received = [team.exchange(lambda k: team.rank), team.gather(bytes(10 ** 6))]
        return received[0], done
    for received, done in in_threads(size, work):
        assert received == list(range(size)) and done == [0, 1]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 10, 32])
def test_shares_follow_one_another_and_are_as_even_as_can_be(size, count):
    team = Team(0, [None] * size)
    shares = [range(count)[team.share(count, rank)] for rank in range(size)]
    assert [i for share in shares for i in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert Team(size - 1, [None] * size).share(count) == team.share(count, size - 1)


def test_one_alone_talks_to_himself():
    team = Team()
    assert team.gather("mine") == ["mine"] and team.exchange(lambda k: 1) == [1]
    assert list(range(9))[parallel.own_pixels(team)] == list(range(9))


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
@several
@pytest.mark.parametrize("how, error", [
    ("killed", WorkerError), ("gone", WorkerError), ("overflow", LaneOverflowError)])
def test_the_end_of_a_helper_ends_the_run(size, how, error, capfd):
    for victim in range(1, size):
        with pytest.raises(error, match="worker"):
            run_team(size, die, victim, how)
    assert capfd.readouterr().err == ""


@several
@pytest.mark.parametrize("how, error", [
    ("overflow", LaneOverflowError), ("interrupted", KeyboardInterrupt)])
def test_an_exception_in_the_leader_ends_the_helpers(size, how, error, capfd):
    start = time.monotonic()
    with pytest.raises(error):
        run_team(size, die, 0, how)
    assert time.monotonic() - start < 5    # nobody had to be killed
    assert capfd.readouterr().err == ""


# --- the network, split

def halves(team, network, levels):
    """The weights of a network, packed and unpacked again, as this worker has them."""
    packed = pack_network(network, team, levels, 0.01)
    rows = len(packed.layers[0].weights.rows)
    assert all(row == team.gather(row)[0] for row in packed.layers[-1].bias.rows)
    return rows, digest.digest(unpack_network(packed, team))


@pytest.mark.parametrize("levels", [4, 256])
def test_every_worker_keeps_its_pixels_and_all_have_the_whole_network(levels):
    whole = [run_team(size, halves, Network([10, 6, 5, 3]), levels)
             for size in (1, 2, 3)]
    assert [rows for rows, _ in whole] == [10, 5, 4]
    assert len({text for _, text in whole}) == 1


def sums_and_bound(team, network, images):
    """The sums of this worker's share of the images, and what is said to bound them."""
    first = pack_network(network, team, 4, 0.01).layers[0].weights
    own = parallel.own_pixels(team)
    sums = SparseMatrix.from_images([image[own] for image in images], 4) @ first
    return team.gather(([sums.lanes(i) for i in range(len(sums.rows))], sums.bound))


def test_the_bound_of_split_sums_is_that_of_the_whole(rng):
    images = [bytes(rng.choice([0, 255]) for _ in range(16)) for _ in range(5)]
    images.append(b"\xff" * 16)
    network = Network([16, 6, 3], rng=rng)
    (whole, _), = run_team(1, sums_and_bound, network_copy(network), images)
    for size in (2, 3):
        shares = run_team(size, sums_and_bound, network_copy(network), images)
        assert [row for rows, _ in shares for row in rows] == whole
        assert all(max(map(abs, row)) <= bound
                   for rows, bound in shares for row in rows)


def answers(team, network, dataset, batch_size):
    """The answers of the team to a data set."""
    packed = pack_network(network, team, dataset.levels, 0.01)
    return judge(packed, team, dataset, batch_size).answers


@pytest.mark.parametrize("hidden", [[], [6], [6, 5]], ids=str)
def test_a_team_judges_as_one_does_and_in_the_same_order(hidden, rng):
    pixels = bytes(rng.choice([0, 0, 85, 170, 255]) for _ in range(7 * 16))
    dataset = Dataset("seven", pixels, bytes(7), 4, 4, levels=4)
    network = Network([16, *hidden, 3], rng=rng)
    plain = list(network.answers(dataset))
    alone = run_team(1, answers, network_copy(network), dataset, 100)
    for row, expected in zip(alone, plain):
        assert row == pytest.approx(expected, abs=1e-3)
    for size, batch_size in ((2, 3), (3, 2), (3, 100)):
        assert run_team(size, answers, network_copy(network), dataset,
                        batch_size) == alone


def network_copy(network):
    layers = [type(layer)(layer.weights.copy(), layer.bias.copy())
              for layer in network.layers]
    return Network.of_layers(layers, network.activation, network.loss)


# --- the same bits

# Frozen: what `python tests/digest.py` prints.  A change of these is a change of the
# arithmetic: every model and every resumed run becomes another one.
FROZEN = {
    "affine":
        "6d684d1d78a838da05f3d6729d5359e7d22de41a4b3ec634de362c88cfbf7a7a",
    "elastic":
        "e34fef9b5dc93b7ec435eec37168ceabd3ba79e6f7c482df76789f51e0f80e25",
    "one layer":
        "7c831a79f8c42a9679dd0bcb482d0a91e94447e350411905305a55857fb12026",
    "two layers":
        "ac95d55772c11de25beab8fbf0a27d3a4e962e07698b4fff19e7a1f6bec16799",
    "sigmoid":
        "e752ad9ac38fe34ffcfcf81e31885c07f3534c5e1d1bdea22757bbef6c330e21",
    "256 levels":
        "27db74e600c8faab8f62e54d21a5363971490044394a5c9e161e1c8dedc15f52",
    "momentum":
        "41c34b07a2bbeca5aca4c0dea102e9972bce1dfdab71cac089b0074192b68306",
    "nesterov":
        "c857b8bc507094de5ead8fd29aa1b5a4250d19332b7be72bde75be8ece80c351",
    "adam":
        "807b34b1f9086c7be530ad718229d5abbe80fe2edd5a96354b0b1267264be2a4",
}


def test_every_run_is_frozen():
    assert list(FROZEN) == list(digest.RUNS)
    assert len(set(FROZEN.values())) == len(FROZEN)


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("run", FROZEN)
def test_the_weights_are_the_same_for_any_number_of_workers(run, workers):
    assert digest.digest_of(run, workers) == FROZEN[run]


def test_images_rest_and_last_batches_are_small_in_these_runs(tmp_path):
    """Else the digests would not show what they are there to show."""
    for run in ("elastic", "one layer", "two layers"):
        settings = {**recipes.DEFAULTS, **digest.RUNS[run]}
        folder = tmp_path / run
        folder.mkdir()
        digest.train(settings, 1, folder)
        _, _, progress = checkpoint.load_checkpoint(folder)
        counts = [row["images"] for row in progress.history]
        assert min(counts) < counts[0] == settings["limit"]
    assert settings["limit"] % settings["batch_size"] == 1


def changed(**settings):
    return {**recipes.DEFAULTS, **digest.RUNS["one layer"], "epochs": 1, **settings}


@pytest.mark.parametrize("settings", [
    {"seed": 2}, {"learning_rate": 0.351}, {"limit": 64}, {"augment": "none"},
    {"sure": 0.9}, {"grey_levels": 3}])
def test_the_digest_sees_every_change(settings, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert (digest.train(changed(**settings), 1, tmp_path / "a")
            != digest.train(changed(), 1, tmp_path / "b"))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("run, stop", [("elastic", 1), ("elastic", 2), ("one layer", 3),
                                       ("momentum", 1), ("nesterov", 1), ("adam", 2),
                                       ("256 levels", 1)])
def test_a_resumed_run_ends_with_the_same_bits(run, stop, workers, tmp_path,
                                               monkeypatch):
    """Stopped in a later epoch, resumed by another number of workers."""
    real = training.Epoch.train

    def interrupted(epoch, network, live, *more):
        if epoch.number == stop + 1 and epoch.team.rank == 0:
            raise KeyboardInterrupt
        return real(epoch, network, live, *more)
    settings = {**recipes.DEFAULTS, **digest.RUNS[run]}
    monkeypatch.setattr(training.Epoch, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        digest.train(settings, workers, tmp_path)
    monkeypatch.setattr(training.Epoch, "train", real)
    assert len(checkpoint.load_checkpoint(tmp_path)[2].history) == stop
    assert digest.train(settings, 3 - workers, tmp_path) == FROZEN[run]


def other_pythons():
    """Every Python from 3.9 up that is on the PATH or under pyenv, by its name."""
    names = [f"python3.{minor}" for minor in range(9, 15)] + ["pypy3"]
    found = {name: path for name in names if (path := shutil.which(name))}
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for path in sorted(versions.glob("*/bin/*")):
        if path.name in names:             # not pyenv's shims: those may lead nowhere
            found[path.name] = str(path)
    return found


PYTHONS = other_pythons()


@pytest.mark.skipif(not PYTHONS, reason="no other Python from 3.9 up on this machine")
@pytest.mark.parametrize("name", PYTHONS or ["none"])
def test_every_other_python_gives_the_same_bits(name):
    start = [PYTHONS[name], "-B", str(Path("tests", "digest.py"))]
    run = subprocess.run(start, cwd=ROOT, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, timeout=120)
    if run.returncode and "pyenv" in run.stderr:
        pytest.skip(f"{name} is a shim of pyenv without a Python behind it")
    assert run.returncode == 0, run.stderr
    found = dict(line.split(": ") for line in run.stdout.splitlines())
    assert found == FROZEN


# --- steps smaller than the unit of the weights

SMALL = 2.0 ** -12      # lr / m


def packed_small(levels=4, step_size=SMALL, team=None):
    return pack_network(Network([9, 6, 5, 3]), team or Team(), levels, step_size)


@pytest.mark.parametrize("levels", [4, 256])
@pytest.mark.parametrize("power, finer", [(-8, None), (-9, None), (-10, 4), (-12, 16),
                                          (-20, 4096)])
def test_steps_below_1_512_are_taken_in_finer_units(power, finer, levels):
    net = packed_small(levels, 2.0 ** power)
    stored = [m.stored for layer in net.layers for m in (layer.weights, layer.bias)]
    assert [m.fine is not None for m in stored] == [finer is not None] * 6
    for matrix in stored if finer else ():
        assert matrix.unit == matrix.step_unit * finer
        assert matrix.fine.bits == matrix.step_bits
        assert matrix.fine.shape == matrix.shape
        assert matrix.copy().step_unit == matrix.step_unit
        assert matrix.copy().fine is not matrix.fine
        assert matrix.accumulator().step_unit <= matrix.step_unit
    kinds = [matrix.step_bits for matrix in stored if finer]
    first = 32 if levels == 4 else 64
    assert not finer or kinds == [first] * 2 + [64] * 4


def test_what_is_carried_is_the_sum_rounded_once():
    """Nine times 0.3 is 2.8: 3 units, though each alone would be rounded to nothing.
    What rounding took too much, or left, is in the next sum."""
    weights = packed_small().layers[0].weights
    before = [weights.lanes(i) for i in range(9)]
    step = weights.fine.layout.encode([5, -5, 1, -1, 0, 8])      # of 16
    for _ in range(9):
        PackedMatrix.add_rows(weights.fine, [step] * 9, 8)
    assert [weights.lanes(i) for i in range(9)] == before
    weights._carry()
    for i, row in enumerate(before):
        moved = [now - was for now, was in zip(weights.lanes(i), row)]
        assert moved == [3, -3, 1, -1, 0, 5]                     # 45, 9, 72 of 16
    assert weights.fine.lanes(0) == (-3, 3, -7, 7, 0, -8)
    weights._carry()                                             # too little to move
    assert [now - was for now, was in zip(weights.lanes(0), before[0])] == moved


def small_steps(team, images, labels, batches):
    """The weights after so many batches of small steps, of the whole team."""
    net = packed_small(step_size=0.05 / len(images), team=team)
    own = parallel.own_pixels(team)
    x = SparseMatrix.from_images([image[own] for image in images], 4)
    for _ in range(batches):
        parallel.train_batch(net, team, x, labels, 0.05)
    return unpack_network(net, team)


def test_small_steps_are_those_of_lists_and_the_same_for_any_team(rng):
    images = [bytes(rng.choice([0, 85, 170, 255]) for _ in range(9)) for _ in range(31)]
    labels = [rng.randrange(3) for _ in images]
    alone = run_team(1, small_steps, images, labels, 8)
    for size in (2, 3):
        assert digest.digest(run_team(size, small_steps, images, labels, 8)) == (
            digest.digest(alone))
    lists, start = Network([9, 6, 5, 3]), Network([9, 6, 5, 3])
    for _ in range(8):
        lists.train_batch(SparseMatrix.from_images(images, 4), labels, 0.05)
    for one, other, was in zip(lists.layers, alone.layers, start.layers):
        for a, b, c in ((one.weights, other.weights, was.weights),
                        (one.bias, other.bias, was.bias)):
            assert (a - b).norm() < (a - c).norm() / 100


def loss_of(team, network, dataset, batch_size):
    return judge(pack_network(network, team, 4, 0.01), team, dataset, batch_size).loss


def test_a_team_s_mean_loss_is_that_of_all_images(rng):
    pixels = bytes(rng.choice([0, 85, 170, 255]) for _ in range(7 * 16))
    dataset = Dataset("seven", pixels, bytes([0, 1, 2, 2, 1, 0, 2]), 4, 4, levels=4)
    network = Network([16, 6, 3], rng=rng)
    x, labels = next(dataset.batches(7))
    expected = pytest.approx(network.mean_loss(x, list(labels)), abs=2e-3)
    for size, batch_size in ((1, 3), (1, 100), (2, 3), (3, 2), (3, 100)):
        assert run_team(size, loss_of, network_copy(network), dataset,
                        batch_size) == expected
    lists = judge(network, Team(), dataset, 4)
    assert lists.loss == pytest.approx(network.mean_loss(x, list(labels)), rel=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov", "adam"])
def test_the_memory_is_whole_in_every_worker_and_split_again(optimizer, rng):
    images = [bytes(rng.choice([0, 85, 170, 255]) for _ in range(10)) for _ in range(5)]
    alone = run_team(1, memory_of, optimizer, images, {})
    assert len(alone) == {"sgd": 0, "momentum": 4}.get(optimizer, 8)
    for size in (2, 3):
        assert run_team(size, memory_of, optimizer, images, {}) == alone
        assert run_team(size, memory_of, optimizer, images, alone) == (
            run_team(1, memory_of, optimizer, images, alone))


def memory_of(team, optimizer, images, state):
    """What the optimizer remembers after two steps, from a state or from nothing."""
    make = training.optimizer_maker({**recipes.DEFAULTS, "optimizer": optimizer}, 5)
    net = pack_network(Network([10, 4, 3]), team, 4, 0.01, make)
    if state:
        parallel.restore_optimizer(net, team, state)
        assert parallel.optimizer_state(net, team) == state
    own = parallel.own_pixels(team)
    for _ in range(2):
        parallel.train_batch(net, team, SparseMatrix.from_images(
            [image[own] for image in images], 4), [0, 1, 2, 1, 0], 0.01)
    return parallel.optimizer_state(net, team)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov", "adam"])
def test_a_worker_without_images_still_feels_l2(optimizer):
    alone = run_team(1, one_image, optimizer)
    for size in (2, 3):
        assert run_team(size, one_image, optimizer) == alone


def one_image(team, optimizer):
    """The weights' digest after two batches of one image, with L2."""
    settings = {**recipes.DEFAULTS, "optimizer": optimizer, "l2": 0.5}
    net = pack_network(Network([10, 4, 3]), team, 4, 0.01,
                       training.optimizer_maker(settings, 1))
    own = parallel.own_pixels(team)
    x = SparseMatrix.from_images([bytes([255] * 10)[own]], 4)
    for _ in range(2):
        parallel.train_batch(net, team, x, [1], 0.05)
    return digest.digest(unpack_network(net, team))
