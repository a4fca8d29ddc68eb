"""checkpoint: what comes back from a file is checked before it is believed."""
import base64
import math
import zlib

import pytest
from conftest import SAMPLE, is_refusal, write_idx
from tools.digest import digest

import train
from data_loader import Dataset, load
from engine.npz import read_npz, write_npz
from errors import DataError
from learning import checkpoint
from learning.checkpoint import EpochState
from learning.settings import DEFAULTS
from my_math import Matrix
from network import Network


@pytest.fixture(scope="module")
def two_epochs(tmp_path_factory):
    """(matrices, settings) of a run of 100 images and two epochs, of which one is done.
    """
    folder = tmp_path_factory.mktemp("half") / "run"
    assert train.main(["--data", str(SAMPLE), "--limit", "100", "--hidden", "4",
                       "--epochs", "1", "--augment", "none", "--no-plots", "--workers",
                       "1", "--optimizer", "momentum", "--output", str(folder)]) == 0
    matrices, settings = read_npz(folder / "model.npz")
    return matrices, {**settings, "epochs": 2}


@pytest.fixture
def half(two_epochs, tmp_path):
    """half(matrices, **changes): the folder of the run, these of its matrices and its
    settings changed; what becomes None is left out."""
    matrices, settings = two_epochs

    def make(others={}, **changes):
        parts = [{name: value for name, value in {**old, **new}.items()
                  if value is not None}
                 for old, new in ((matrices, others), (settings, changes))]
        write_npz(tmp_path / "model.npz", *parts)
        return tmp_path
    return make


@pytest.mark.parametrize("optimizer, kinds", [
    ("sgd", []), ("momentum", ["target"]), ("adam", ["mean", "square"])])
def test_a_checkpoint_comes_back_whole(optimizer, kinds, tmp_path, rng):
    """Also one with the names of old, of settings and of the state."""
    net = Network([4, 3, 2], rng=rng)
    settings = {**DEFAULTS, "hidden": [3], "optimizer": optimizer, "data": "ten",
                "class_names": ["a", "b"], "recipe": "default", "skip_below": 0.125}
    state = checkpoint.RunState(
        [{**ROW, "images": 2}], [0, 2, 1],
        {kind: [[layer.weights * 0.1, layer.bias - 0.1] for layer in net.layers]
         for kind in kinds}, 7, EpochState(2, (1 << 60) + 1, 1, [0, 2], 0.25))
    checkpoint.save_checkpoint(tmp_path, net, settings, state)
    loaded, found, again = checkpoint.load_checkpoint(tmp_path)
    assert (again, found, digest(loaded)) == (state, settings, digest(net))
    assert (tmp_path / "history.csv").read_text() == (
        "epoch,loss,train_accuracy,images,seconds,test_loss,test_accuracy\n"
        "1,2.5,0.25,2,0.5,2.25,0.125\n")
    matrices, saved = read_npz(tmp_path / "model.npz")
    for old, new in {"sure": "skip_below", "rest": "skip_epochs", "calm": "cooldown",
                     "resting": "skipped", "part": "epoch_state"}.items():
        saved[old] = saved.pop(new)
    for old, new in {"right": "correct", "sure": "easy"}.items():
        saved["part"][old] = saved["part"].pop(new)
    write_npz(tmp_path / "model.npz", matrices, saved)
    assert checkpoint.load_checkpoint(tmp_path)[1:] == (settings, state)


def packed(content):
    return base64.b64encode(zlib.compress(content)).decode()


ROW = {"epoch": 1, "loss": 2.5, "train_accuracy": 0.25, "images": 3, "seconds": 0.5,
       "test_loss": 2.25, "test_accuracy": 0.125}
EPOCH = EpochState()._asdict()
# What a setting may be is tested with the settings, what a record is with the kinds.
DAMAGE = [
    {"data": None}, {"class_names": ["a"]}, {"class_names": [*"012345678", "\x1b[31m"]},
    {"sha256": {"more": ""}}, {"unheard_of": 1}, {"hidden": [3]}, {"optimizer": "adam"},
    {"hidden": [10 ** 400]}, {"epochs": 10 ** 308}, {"learning_rate": float("nan")},
    {"patience": 1}, {"seed": None}, {"history": None}, {"history": [1]},
    {"history": [{**ROW, "epoch": 2}]}, {"history": [{**ROW, "images": 101}]},
    {"history": [{**ROW, "validation_accuracy": 0.5}]},
    {"history": [{name: value for name, value in ROW.items() if name != "test_loss"}]},
    {"skipped": None}, {"skipped": ""}, {"skipped": "?"}, {"skipped": "é"},
    {"skipped": packed(bytes(100))[:-6]}, {"skipped": packed(bytes(10 ** 7 + 1))},
    {"epoch_state": 7}, {"epoch_state": {"done": 1}},
    {"epoch_state": {**EPOCH, "done": 101}},
    {"epoch_state": {**EPOCH, "done": 8, "correct": 9}},
    {"epoch_state": {**EPOCH, "done": 8, "easy": [100]}},
    {"epoch_state": {**EPOCH, "done": 2, "easy": [1, 2, 3]}},
    {"epoch_state": {**EPOCH, "done": 8, "loss_sum": 8 << 65}},
    {"optimizer_steps": None}, {"optimizer_steps": 1 << 53}]


@pytest.mark.parametrize("changes", DAMAGE, ids=lambda changes: repr(changes)[:60])
def test_nonsense_is_refused_in_one_line(changes, half, capsys):
    code = train.main(["--resume", str(half(**changes)), "--data", str(SAMPLE)])
    out, err = capsys.readouterr()
    assert code == 2 and err[:-1].isprintable() and err.endswith("\n"), err
    assert "model.npz: found" in err and ", expected a " in err
    assert len(err) < 400 and out == ""


@pytest.mark.parametrize("change", [
    lambda matrix: None, lambda matrix: Matrix.zeros(3, 5),
    lambda matrix: matrix * math.nan])
def test_other_matrices_than_the_optimizers_are_refused(change, half, two_epochs):
    name = "optimizer.target1.weights"
    folder = half({name: change(two_epochs[0][name])})
    with pytest.raises(DataError, match="optimizer.*, expected a checkpoint"):
        checkpoint.load_checkpoint(folder)


@pytest.mark.parametrize("changes", [
    {"hidden": [100_000], "dropout": 0.5},
    {"skipped": base64.b64encode(zlib.compress(bytes(2_700_000_000), 1)).decode()},
], ids=["hidden units", "skipped images"])
def test_nonsense_takes_neither_memory_nor_time(changes, half, limited):
    done = limited("train.py", "--resume", half(**changes), "--data", SAMPLE)
    assert is_refusal(done), done.stderr


def test_best_weights_of_another_network_are_refused(half):
    row = {**{name: value for name, value in ROW.items() if "test" not in name},
           "validation_loss": 1.5, "validation_accuracy": 0.5}
    folder = half(patience=1, validation=50, history=[row])
    Network([784, 5, 10]).save(folder / "best.npz")
    with pytest.raises(DataError, match="best.npz: found <Network 784-5-10"):
        checkpoint.load_checkpoint(folder)


# --- the same data

def relabelled(data):
    labels = bytes((label + 1) % 10 for label in data.labels)
    return Dataset("", data.images, labels, data.height, data.width)


CHANGES = {
    "labels": lambda train, test: (relabelled(train), test),
    "size": lambda train, test: (
        Dataset("", train.images, train.labels, 14, 56),
        Dataset("", test.images, test.labels, 14, 56)),
    "test set": lambda train, test: (train, relabelled(test)),
    "fewer": lambda train, test: (train.head(99), test),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_goes_on_with_the_data_it_was_begun_on(change, half, tmp_path, capsys):
    folder = half()
    data = write_idx(tmp_path / "sample (synthetic digits)",
                     *CHANGES[change](*load(SAMPLE)))
    assert train.main(["--resume", str(folder), "--data", str(data)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "found other images or labels than those" in err
    assert "the same data" in err and "--data" in err


def test_the_same_data_may_have_another_name(half, tmp_path, capsys):
    data = write_idx(tmp_path / "copy", *load(SAMPLE))
    assert train.main(["--resume", str(half()), "--data", str(data), "--workers", "1",
                       "--no-plots"]) == 0
    assert "Epoch  2/2" in capsys.readouterr().out
