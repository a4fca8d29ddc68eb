"""training: learning rates, random numbers, images that rest, checkpoints."""
import json
import math
import random

import pytest

import checkpoint
import training
from console import LiveLine
from data_loader import SAMPLE_FOLDER, DataError, load
from dataset import Dataset
from my_math import Matrix, SparseMatrix
from network import BatchResult, Network
from npz import read_npz, write_npz
from optimizers import OPTIMIZERS
from parallel import Team, optimizer_state, pack_network, unpack_network
from checkpoint import Progress
from recipes import DEFAULTS
from training import Epoch, learning_rate_at

EVERY_PART = [0, 0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize("schedule, rates", [
    ("constant", [0.4] * 5),
    ("linear", [0.4, 0.3, 0.2, 0.1, 0]),
    ("cosine", [0.4, 0.2 + 0.2 / math.sqrt(2), 0.2, 0.2 - 0.2 / math.sqrt(2), 0])])
def test_the_learning_rate_follows_its_schedule(schedule, rates):
    settings = {"schedule": schedule, "learning_rate": 0.4}
    found = [learning_rate_at(settings, part) for part in EVERY_PART]
    assert found == pytest.approx(rates)


def test_random_numbers_differ_by_seed_purpose_and_epoch_and_are_frozen():
    """Frozen: a change would turn every run that is resumed into another one."""
    names = [({"seed": 1}, "order", 1), ({"seed": 2}, "order", 1),
             ({"seed": 1}, "augment", 1), ({"seed": 1}, "order", 2)]
    numbers = [training.random_for(*name).random() for name in names]
    assert len(set(numbers)) == 4
    assert numbers == [training.random_for(*name).random() for name in names]
    assert numbers[0] == random.Random("1 order 1").random()


@pytest.mark.parametrize("calm, strengths", [
    (0, [1] * 10), (0.1, [1] * 9 + [0.5]), (0.25, [1] * 7 + [0.5] * 3),
    (1, [0.5] * 10)])
def test_the_last_epochs_are_calm(calm, strengths):
    settings = {"epochs": 10, "calm": calm}
    assert [training.augmentation_strength(settings, epoch)
            for epoch in range(1, 11)] == strengths


@pytest.mark.parametrize("kind, count", [("none", 0), ("shift", 9), ("affine", 20),
                                         ("elastic", 20)])
def test_each_augmentation_has_its_maps(kind, count, monkeypatch):
    monkeypatch.setattr(training, "MAPS", 20)
    settings = {"augment": kind, "seed": 1}
    maps = training.augmentation_maps(settings, 1.0, 28, 28)
    assert len(set(map(tuple, maps))) == count
    assert maps == training.augmentation_maps(settings, 1.0, 28, 28)


# --- images that rest

@pytest.fixture
def one_epoch(monkeypatch):
    """one_epoch(number, resting) trains ten images on a network that is sure of the
    even ones; returns (labels seen, learning rates, line of the history)."""
    data = Dataset("ten", bytes(range(40)), bytes(range(10)), 2, 2)
    settings = {**DEFAULTS, "batch_size": 4, "rest": 2, "epochs": 5,
                "schedule": "constant"}

    def run(number, resting):
        seen, rates = [], []

        def step(network, team, x, labels, rate, how):
            assert how.sure == settings["sure"] and x.shape == (len(labels), 4)
            seen.extend(labels)
            rates.append(rate)
            return BatchResult(1.5, 1, [label % 2 == 0 for label in labels])
        monkeypatch.setattr(training, "train_batch", step)
        row = Epoch(number, data, settings, Team(), [], resting, None).train(
            None, LiveLine(shown=False))
        return seen, rates, row
    return run


def test_images_that_the_network_is_sure_of_rest(one_epoch):
    resting = [0] * 10
    seen, _, row = one_epoch(1, resting)
    assert sorted(seen) == list(range(10)) and seen != sorted(seen)
    assert resting == [2, 0] * 5 and row["images"] == 10
    for number, left in ((2, 1), (3, 0)):
        seen, _, row = one_epoch(number, resting)
        assert sorted(seen) == [1, 3, 5, 7, 9] and resting == [left, 0] * 5
        assert row["images"] == 5
    seen, *_ = one_epoch(4, resting)
    assert sorted(seen) == list(range(10))


def test_every_image_steps_equally_far_even_in_a_last_smaller_batch(one_epoch):
    _, rates, row = one_epoch(1, [0] * 10)
    rate = DEFAULTS["learning_rate"]
    assert rates == pytest.approx([rate, rate, rate * 2 / 4])
    assert row["loss"] == pytest.approx(1.5) and row["train_accuracy"] == 0.3


def test_an_epoch_in_which_all_would_rest(one_epoch):
    """Then none does: an epoch without images has no mean loss."""
    seen, _, row = one_epoch(1, [2] * 10)
    assert sorted(seen) == list(range(10)) and row["images"] == 10


# --- what cannot be learnt

@pytest.mark.parametrize("images, labels, found", [
    (bytes(40), bytes(range(10)), "no ink in any of 10"),
    (bytes(range(40)), bytes([3] * 10), "the label 3 on all 10")])
def test_data_without_anything_to_tell_apart_is_refused(images, labels, found):
    with pytest.raises(DataError, match=found):
        training.check_learnable(Dataset("dull", images, labels, 2, 2))


def test_a_first_epoch_no_better_than_guessing_gets_advice():
    labels = bytes([0] * 60 + [1] * 40)
    row = {"train_accuracy": 0.61, "images": 5000}
    assert "61.0%" in training.advice([row], labels)
    assert "60.0%" in training.advice([row], labels)
    for quiet in ([{**row, "train_accuracy": 0.75}], [row, row],
                  [{**row, "images": 100}]):
        assert training.advice(quiet, labels) == ""


# --- checkpoints

SETTINGS = {**DEFAULTS, "recipe": "default", "data": "ten", "epochs": 3}
ROW = {"epoch": 1, "loss": 2.5, "train_accuracy": 0.25, "images": 3, "seconds": 0.5,
       "test_accuracy": 0.125}


def test_a_checkpoint_comes_back_whole(tmp_path, rng):
    net, resting = Network([4, 3, 2], rng=rng), [0, 2, 1]
    memory = {"fine1.bias": Matrix([[0.1, 0.2, 0.3]])}
    progress = Progress([ROW], resting, None, memory, {"owed": 0.25})
    checkpoint.save_checkpoint(tmp_path, net, SETTINGS, progress)
    loaded, settings, found = checkpoint.load_checkpoint(tmp_path)
    assert found == progress
    assert settings == json.loads(json.dumps(SETTINGS))
    assert [layer.weights for layer in loaded.layers] == [
        layer.weights for layer in net.layers]
    assert (tmp_path / "history.csv").read_text() == (
        "epoch,loss,train_accuracy,images,seconds,test_accuracy\n"
        "1,2.5,0.25,3,0.5,0.125\n")


@pytest.mark.parametrize("text", ["?", "YWJj", 7, "", "eJw=", "é"])
def test_a_damaged_list_of_resting_images_is_refused(text, tmp_path):
    Network([4, 2]).save(tmp_path / "model.npz",
                         {**SETTINGS, "history": [ROW], "resting": text})
    with pytest.raises(DataError, match="damaged settings"):
        checkpoint.load_checkpoint(tmp_path)


def test_a_run_that_is_over_needs_no_list_of_resting_images(tmp_path):
    Network([4, 2]).save(tmp_path / "model.npz", {**SETTINGS, "history": [ROW] * 3})
    assert checkpoint.load_checkpoint(tmp_path)[2].resting == []


@pytest.mark.parametrize("left_out", ["seed", "history", "grey_levels"])
def test_a_model_that_is_no_checkpoint_is_refused(left_out, tmp_path):
    state = {**SETTINGS, "history": [ROW]}
    del state[left_out]
    Network([4, 2]).save(tmp_path / "model.npz", state)
    with pytest.raises(DataError, match="without the settings of a run"):
        checkpoint.load_checkpoint(tmp_path)


# --- the schedule of steps, the optimizer that settings ask for

@pytest.mark.parametrize("epochs", [1, 7, 40, 500])
@pytest.mark.parametrize("every", [1, 2, 5])
def test_the_steps_of_the_learning_rate_come_between_epochs(epochs, every):
    """At an epoch's very first image and up to its last: no rounding makes it early."""
    settings = {"schedule": "step", "learning_rate": 0.4, "decay": 0.5,
                "decay_every": every, "epochs": epochs}
    for epoch in range(epochs):
        for done in (0, 0.5, 59_999 / 60_000):
            assert learning_rate_at(settings, (epoch + done) / epochs) == pytest.approx(
                0.4 * 0.5 ** (epoch // every), rel=1e-12)


@pytest.mark.parametrize("name, kind, more", [
    ("sgd", "SGD", {}), ("momentum", "Momentum", {"share": 0.25}),
    ("nesterov", "Nesterov", {"share": 0.25}), ("adam", "Adam", {"gain": 0.5})])
def test_the_optimizer_is_the_one_of_the_settings(name, kind, more):
    settings = {**DEFAULTS, "optimizer": name, "momentum": 0.75, "l2": 0.125}
    optimizer = training.optimizer_maker(settings, 32)(Network([4, 3, 2]).layers)
    assert type(optimizer).__name__ == kind and optimizer.l2 == 0.125
    assert {key: getattr(optimizer, key) for key in more} == more


# --- runs that end early

def judged(*accuracies):
    return [{"epoch": number, "validation_accuracy": accuracy}
            for number, accuracy in enumerate(accuracies, 1)]


@pytest.mark.parametrize("accuracies, best", [
    ([0.5], 1), ([0.1, 0.3, 0.2], 2), ([0.2, 0.3, 0.3, 0.3], 2), ([0.3, 0.1, 0.4], 3)])
def test_the_best_epoch_is_the_first_of_the_highest_accuracy(accuracies, best):
    assert checkpoint.best_row(judged(*accuracies))["epoch"] == best


@pytest.mark.parametrize("patience, over_after", [(0, 7), (1, 3), (2, 6), (3, 7)])
def test_a_run_is_over_when_so_many_epochs_have_brought_nothing(patience, over_after):
    rows = judged(0.1, 0.3, 0.3, 0.4, 0.2, 0.4, 0.5)
    settings = {"epochs": 7, "patience": patience}
    over = [checkpoint.is_over(rows[:done], settings) for done in range(8)]
    assert over.index(True) == over_after


@pytest.fixture(scope="module")
def early(tmp_path_factory):
    """early(patience, ...) runs on 60 images of the sample and 40 to judge by; returns
    (folder, data sets).  With a folder it goes on there, from its checkpoint."""
    loaded = [part.with_levels(4) for part in load(SAMPLE_FOLDER)]
    train, validation = loaded[0].head(100).split(40)
    parts = {"train": train, "validation": validation, "test": loaded[1].head(30)}

    def run(patience, folder=None, **more):
        settings = {**DEFAULTS, "hidden": [8], "augment": "none", "sure": 0.0,
                    "schedule": "constant", "batch_size": 20, "learning_rate": 0.2,
                    "epochs": 12, "recipe": "default", "data": "sample",
                    "patience": patience, **more}
        network = Network([784, *settings["hidden"], 10],
                          rng=training.random_for(settings, "weights"))
        progress = Progress.none(len(train))
        if folder:
            network, settings, progress = checkpoint.load_checkpoint(folder)
        folder = folder or tmp_path_factory.mktemp("early")
        training.train_network(Team(), network, parts, settings, folder, progress)
        return folder, parts
    return run


def parameters(net):
    return [matrix for layer in net.layers for matrix in (layer.weights, layer.bias)]


@pytest.mark.parametrize("patience", [1, 2])
def test_a_run_that_gets_no_better_stops_and_keeps_the_best(patience, early, capsys):
    """The weights are those of a run that was told to end with that epoch."""
    folder, parts = early(patience)
    net, settings, progress = checkpoint.load_checkpoint(folder)
    best, history = settings["best_epoch"], progress.history
    assert 1 < best == len(history) - patience < 12 - patience
    assert best == checkpoint.best_row(history)["epoch"]
    right = history[best - 1]["validation_accuracy"]
    assert f"The best epoch is {best}, with {right:.2%}" in capsys.readouterr().out
    same, _, _ = checkpoint.load_checkpoint(early(0, epochs=best)[0])
    assert parameters(net) == parameters(same)
    assert net.accuracy(parts["validation"]) == right
    last, _, _ = checkpoint.load_checkpoint(early(0, epochs=len(history))[0])
    assert parameters(net) != parameters(last)


def test_a_run_that_has_stopped_does_not_go_on_when_it_is_resumed(early, capsys):
    folder, _ = early(1)
    before, settings, progress = checkpoint.load_checkpoint(folder)
    capsys.readouterr()
    early(1, folder)
    after, again, same = checkpoint.load_checkpoint(folder)
    assert again == settings and same.history == progress.history
    assert parameters(after) == parameters(before)
    assert "Epoch" not in capsys.readouterr().out


@pytest.mark.parametrize("optimizer, engine, rate, after_best", [
    ("momentum", "lists", 0.02, 0), ("momentum", "packed", 0.02, 1),
    ("adam", "packed", 0.02, 0), ("adam", "lists", 0.02, -1)])
def test_a_run_that_may_end_early_is_resumed_with_the_same_bits(
        optimizer, engine, rate, after_best, early, monkeypatch):
    """Stopped right after the best epoch, one later, or one before it."""
    more = {"optimizer": optimizer, "engine": engine, "learning_rate": rate,
            "dropout": 0.1, "hidden": [4]}
    whole, settings, progress = checkpoint.load_checkpoint(early(2, **more)[0])
    stop = settings["best_epoch"] + after_best
    assert 0 < stop < len(progress.history)
    real = training.Run._end_epoch

    def interrupted(run, row):
        real(run, row)
        if row["epoch"] == stop:
            raise KeyboardInterrupt
    folders = []
    monkeypatch.setattr(training.Run, "_end_epoch", interrupted)
    monkeypatch.setattr(training, "save_checkpoint", lambda folder, *rest: (
        folders.append(folder), SAVE(folder, *rest)))
    with pytest.raises(KeyboardInterrupt):
        early(2, **more)
    monkeypatch.undo()
    assert len(checkpoint.load_checkpoint(folders[0])[2].history) == stop
    early(2, folders[0])
    found, again, _ = checkpoint.load_checkpoint(folders[0])
    assert parameters(found) == parameters(whole)
    assert again["best_epoch"] == settings["best_epoch"]


# --- the optimizer in a checkpoint

SAVE = checkpoint.save_checkpoint


def half_run(folder, optimizer, change=None):
    """A checkpoint after 1 epoch of 3; change(matrices, settings) spoils it."""
    settings = {**SETTINGS, "optimizer": optimizer, "hidden": [3]}
    team, net = Team(), Network([4, 3, 2])
    make = training.optimizer_maker(settings, 4)
    net.optimizer = make(net.layers)
    packed = pack_network(net.copy(), team, 4, 0.01, make)
    x = SparseMatrix.from_images([bytes([0, 85, 255, 170])] * 3, 4)
    packed.train_batch(x, [0, 1, 1], 0.01)
    state, counts = optimizer_state(packed, team), packed.optimizer.counts
    SAVE(folder, unpack_network(packed, team), settings,
         Progress([ROW], [0, 2, 1], None, state, counts))
    if change:
        matrices, saved = read_npz(folder / "model.npz")
        change(matrices, saved)
        write_npz(folder / "model.npz", matrices, saved)
    return state, counts


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_what_an_optimizer_remembers_comes_back_exactly(optimizer, tmp_path):
    state, counts = half_run(tmp_path, optimizer)
    _, _, found = checkpoint.load_checkpoint(tmp_path)
    assert found.memory == state and found.counts == counts
    assert all(matrix.norm() for matrix in state.values())


NAME = {"momentum": "optimizer.goal1.weights", "adam": "optimizer.square2.bias"}
DAMAGE = {
    "missing": lambda name, matrices, saved: matrices.pop(name),
    "all missing": lambda name, matrices, saved: [
        matrices.pop(other) for other in list(matrices) if "optimizer." in other],
    "misshapen": lambda name, matrices, saved: matrices.update(
        {name: Matrix.zeros(3, 5)}),
    "not finite": lambda name, matrices, saved: matrices.update(
        {name: matrices[name] * math.nan}),
    "no counts": lambda name, matrices, saved: saved.pop("optimizer_counts"),
    "other counts": lambda name, matrices, saved: saved.update(
        optimizer_counts={"x": 1}),
    "counts of text": lambda name, matrices, saved: saved.update(
        optimizer_counts={"owed": "x", "steps": "x"}),
    "counts that are a list": lambda name, matrices, saved: saved.update(
        optimizer_counts=[1]),
    "negative counts": lambda name, matrices, saved: saved.update(
        optimizer_counts={"owed": -1, "steps": -1}),
}


@pytest.mark.parametrize("optimizer", NAME)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_memory_of_the_optimizer_is_refused(damage, optimizer, tmp_path):
    half_run(tmp_path, optimizer,
             lambda *parts: DAMAGE[damage](NAME[optimizer], *parts))
    with pytest.raises(DataError, match="optimizer.*, expected a checkpoint"):
        checkpoint.load_checkpoint(tmp_path)
