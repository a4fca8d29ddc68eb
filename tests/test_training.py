"""training: learning rates, random numbers, images that rest, checkpoints."""
import json
import math
import random

import pytest

import training
from console import LiveLine
from data_loader import DataError
from dataset import Dataset
from my_math import Matrix
from network import BatchResult, Network
from parallel import Team
from training import DEFAULTS, Epoch, Progress, learning_rate_at

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
    memory = {"goal1.bias": Matrix([[0.1, 0.2, 0.3]])}
    progress = Progress([ROW], resting, None, memory, {"owed": 0.25})
    training.save_checkpoint(tmp_path, net, SETTINGS, progress)
    loaded, settings, found = training.load_checkpoint(tmp_path)
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
        training.load_checkpoint(tmp_path)


def test_a_run_that_is_over_needs_no_list_of_resting_images(tmp_path):
    Network([4, 2]).save(tmp_path / "model.npz", {**SETTINGS, "history": [ROW] * 3})
    assert training.load_checkpoint(tmp_path)[2].resting == []


@pytest.mark.parametrize("left_out", ["seed", "history", "grey_levels"])
def test_a_model_that_is_no_checkpoint_is_refused(left_out, tmp_path):
    state = {**SETTINGS, "history": [ROW]}
    del state[left_out]
    Network([4, 2]).save(tmp_path / "model.npz", state)
    with pytest.raises(DataError, match="without the settings of a run"):
        training.load_checkpoint(tmp_path)
