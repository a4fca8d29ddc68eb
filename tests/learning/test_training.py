"""training: learning rates, random numbers, skipped images, checkpoints."""
import json
import math
import pickle
import random

import pytest

from data_loader import SAMPLE_FOLDER, Dataset, load
from engine.npz import read_npz, write_npz
from engine.packed_network import LOSS_BITS
from engine.team import Team
from errors import DataError, OptionError
from learning import checkpoint, engines, training
from learning.checkpoint import EpochState, RunState
from learning.dropout import Dropout
from learning.engines import ENGINES, PackedEngine
from learning.optimizers import OPTIMIZERS
from learning.settings import DEFAULTS, optimizer_maker
from learning.training import Epoch, Listener, learning_rate_at
from my_math import Matrix
from network import Network

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


@pytest.mark.parametrize("cooldown, strengths", [
    (0, [1] * 10), (0.1, [1] * 9 + [0.5]), (0.25, [1] * 7 + [0.5] * 3),
    (1, [0.5] * 10)])
def test_the_last_epochs_have_weaker_maps(cooldown, strengths):
    settings = {"epochs": 10, "cooldown": cooldown}
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


@pytest.mark.parametrize("kind, height, width, count", [
    ("elastic", 28, 28, 500), ("elastic", 64, 64, 252), ("elastic", 784, 1, 39),
    ("elastic", 1, 784, 228), ("affine", 784, 1, 500), ("affine", 800, 800, 7),
    ("elastic", 300, 300, None), ("elastic", 5000, 1, None),
    ("affine", 1500, 999, None)])
def test_maps_of_large_images_are_few_or_refused(kind, height, width, count,
                                                 monkeypatch):
    settings = {**DEFAULTS, "augment": kind, "hidden": []}
    data = Dataset("two", bytes(2 * height * width), b"\0\1", height, width, "ab")
    if count:
        monkeypatch.setattr(training, "affine_map", lambda *arguments: [0])
        maps = training.augmentation_maps(settings, 1.0, height, width)
        assert len(maps) == count and training.check_size(settings, data)
        return
    with pytest.raises(OptionError, match=f"{kind}: found images of {height} x {width}"):
        training.check_size(settings, data)


# --- skipping of easy images

@pytest.fixture
def one_epoch():
    """one_epoch(number, skipped) trains ten images on a network for which the even ones
    are easy; returns (labels seen, learning rates, row of the history)."""
    data = Dataset("ten", bytes(range(40)), bytes(range(10)), 2, 2)
    settings = {**DEFAULTS, "batch_size": 4, "skip_epochs": 2, "epochs": 5,
                "schedule": "constant"}

    def run(number, skipped):
        seen, rates = [], []

        class Engine:
            """Stands for one of the two."""

            def batches(self, dataset, *arguments):
                return dataset.batches(*arguments)

            def train_batch(self, x, labels, rate, position, masks):
                assert (position, masks) == (len(seen), ())
                assert x.shape == (len(labels), 4)
                seen.extend(labels)
                rates.append(rate)
                even = [place for place, label in enumerate(labels) if label % 2 == 0]
                return len(labels) * 3 << LOSS_BITS - 1, 1, even
        epoch = Epoch(number, data, settings, Team(), [], skipped, None)
        assert sum(images for images, *_ in epoch.train(Engine())) == len(seen)
        return seen, rates, epoch.end()
    return run


def test_easy_images_are_skipped(one_epoch):
    skipped = [0] * 10
    seen, _, row = one_epoch(1, skipped)
    assert sorted(seen) == list(range(10)) and seen != sorted(seen)
    assert skipped == [2, 0] * 5 and row["images"] == 10
    for number, left in ((2, 1), (3, 0)):
        seen, _, row = one_epoch(number, skipped)
        assert sorted(seen) == [1, 3, 5, 7, 9] and skipped == [left, 0] * 5
        assert row["images"] == 5
    seen, *_ = one_epoch(4, skipped)
    assert sorted(seen) == list(range(10))


def test_every_image_steps_equally_far_even_in_a_last_smaller_batch(one_epoch):
    _, rates, row = one_epoch(1, [0] * 10)
    rate = DEFAULTS["learning_rate"]
    assert rates == pytest.approx([rate, rate, rate * 2 / 4])
    assert row["loss"] == 1.5 and row["train_accuracy"] == 0.3


def test_an_epoch_in_which_all_would_be_skipped(one_epoch):
    """Then none is: an epoch without images has no mean loss."""
    seen, _, row = one_epoch(1, [2] * 10)
    assert sorted(seen) == list(range(10)) and row["images"] == 10


# --- the two engines

def engine_of(kind, net, team=Team(), **settings):
    """A copy of a network on an engine, as a run with these settings has it."""
    settings = {**DEFAULTS, "hidden": net.sizes[1:-1], "batch_size": 20, **settings}
    return ENGINES[kind](net.copy(), settings, team, 20)


@pytest.mark.parametrize("more", [
    {}, {"skip_below": 0.9}, {"skip_below": 1.0}, {"label_smoothing": 0.3}, {"dropout": 0.5},
    {"hidden": [8, 6]}, {"activation": "tanh"}, {"loss": "mse"}], ids=str)
def test_both_engines_take_the_step_that_the_settings_ask_for(more):
    """The lists to the bit, the packed one but for rounding."""
    settings = {"hidden": [8], "skip_below": 0.0, "grey_levels": 16, **more}
    data = load(SAMPLE_FOLDER)[0].head(20)
    net = Network([784, *settings["hidden"], 10], more.get("activation", "relu"),
                  more.get("loss", "cross-entropy"), random.Random(3))
    (x, labels), = data.batches(20, levels=16)
    masks, found = {}, {}
    for kind in ENGINES:
        engine = engine_of(kind, net, **settings)
        report = engine.evaluate(data)
        masks[kind] = () if "dropout" not in more else Dropout(
            0.5, [8], random.Random(5), engine.dropout_scale).draw(20, random.Random(7))
        (images, _), = engine.batches(data, 20)
        found[kind] = report, engine.train_batch(images, labels, 0.2, 0, masks[kind])
    (lists, (loss, correct, easy)), (packed, result) = found["lists"], found["packed"]
    answers, total = net.evaluate_batch(x, labels)
    mean = total / 20
    assert lists.outputs == list(answers) and list(lists.labels) == labels
    assert lists.loss == pytest.approx(mean, abs=2 ** -LOSS_BITS)
    smoothing = more.get("label_smoothing", 0)
    _, outputs, targets, mean_loss = net.try_batch(x, labels, smoothing,
                                                   list(map(Matrix, masks["lists"])))
    assert loss == round(mean_loss * 20 * (1 << LOSS_BITS))
    assert correct == sum(map(int.__eq__, outputs.argmax(axis=1), labels))
    errors = [max(map(abs, row)) for row in outputs - targets]
    assert easy == [i for i in range(20) if errors[i] < settings["skip_below"]]
    assert len(easy) in {0: [0], 0.9: range(1, 20), 1: [20]}[settings["skip_below"]]
    assert packed.loss == pytest.approx(mean, rel=1e-3)
    for one, other in zip(packed.outputs, answers):
        assert one == pytest.approx(other, abs=1e-2)
    assert result == (pytest.approx(loss, rel=2e-3), correct, easy)


def greys():
    """Eight images that have every grey."""
    return Dataset("greys", bytes(range(256)) * 3, bytes(range(8)), 8, 12)


def packed_engine(levels, team=Team()):
    return engine_of("packed", Network([96, 3, 10]), team, grey_levels=levels)


def rows_of(batches, width):
    """The levels of the pixels of each image, read back from its groups."""
    rows = []
    for images, _ in batches:
        for groups in images:
            row = [0] * width
            for level, _, pick in groups:
                for place in pick(range(width)):
                    row[place] = level
            rows.append(row)
    return rows


def same_objects(some, others):
    """For each image of two lists of batches whether its groups are the same list."""
    return [a is b for (x, _), (y, _) in zip(some, others) for a, b in zip(x, y)]


@pytest.mark.parametrize("rank, size", [(0, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize("levels", [2, 4, 9, 256])
def test_kept_groups_are_those_made_anew(levels, rank, size):
    data, team = greys(), Team(rank, [None] * size)
    engine = packed_engine(levels, team)
    for order in ([7, 0, 3, 3, 5], None):       # the second time from what was kept
        fresh = list(engine.batches(data, 2, order, lambda image: image[rank::size]))
        kept, again = (list(engine.batches(data, 2, order)) for _ in "12")
        assert all(same_objects(kept, again)) and not any(same_objects(kept, fresh))
        chosen = order or list(range(8))
        expected = [[(2 * grey * (levels - 1) + 255) // 510
                     for grey in data.image(i)[rank::size]] for i in chosen]
        for batches in (kept, fresh):
            assert rows_of(batches, len(expected[0])) == expected
            assert sum((labels for _, labels in batches), []) == chosen
            assert [len(labels) for _, labels in batches[:-1]] == [2] * (
                (len(chosen) - 1) // 2)


def test_what_is_augmented_is_not_kept():
    data, engine = greys(), packed_engine(4)
    plain = list(engine.batches(data, 8))
    flipped, again = (list(engine.batches(data, 8, None, lambda image: image[::-1]))
                      for _ in "12")
    assert not any(same_objects(flipped, again))
    assert rows_of(flipped, 96) == [row[::-1] for row in rows_of(plain, 96)]
    assert all(same_objects(plain, engine.batches(data, 8)))


@pytest.mark.parametrize("levels, size, kept", [
    (2, 1, True), (4, 1, False), (4, 2, True), (256, 1, False), (256, 3, False)])
def test_groups_that_take_too_much_room_are_made_anew(levels, size, kept, monkeypatch):
    """Of 8 images of 96 pixels; of a pixel each 8 bytes, of a group 180."""
    monkeypatch.setattr(engines, "_KEPT_BYTES", 10_000)
    data, team = greys(), Team(0, [None] * size)
    engine = packed_engine(levels, team)
    first, second = (list(engine.batches(data, 3)) for _ in "12")
    assert same_objects(first, second) == [kept] * 8
    assert rows_of(first, 96 // size) == rows_of(second, 96 // size)


def test_each_data_set_keeps_its_own_groups():
    data, engine = greys(), packed_engine(4)
    parts = data.split(3)
    for _ in "12":
        for part in parts:
            assert rows_of(engine.batches(part, 2), 96) == rows_of(
                packed_engine(4).batches(part, 2), 96)


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

SETTINGS = {**DEFAULTS, "hidden": [3], "recipe": "default", "data": "ten",
            "class_names": ["a", "b"], "epochs": 3}
ROW = {"epoch": 1, "loss": 2.5, "train_accuracy": 0.25, "images": 3, "seconds": 0.5,
       "test_loss": 2.25, "test_accuracy": 0.125}
EPOCH = EpochState()._asdict()


def test_a_checkpoint_comes_back_whole(tmp_path, rng):
    net, skipped = Network([4, 3, 2], rng=rng), [0, 2, 1]
    momentum = {**SETTINGS, "optimizer": "momentum"}
    matrices = {"target": [[layer.weights * 0.1, layer.bias - 0.1]
                           for layer in net.layers]}
    epoch = EpochState(2, (1 << 60) + 1, 1, [0, 2], 0.25)
    state = RunState([ROW], skipped, matrices, 7, epoch)
    checkpoint.save_checkpoint(tmp_path, net, momentum, state)
    loaded, settings, found = checkpoint.load_checkpoint(tmp_path)
    assert found == state
    assert settings == json.loads(json.dumps(momentum))
    assert [layer.weights for layer in loaded.layers] == [
        layer.weights for layer in net.layers]
    assert (tmp_path / "history.csv").read_text() == (
        "epoch,loss,train_accuracy,images,seconds,test_loss,test_accuracy\n"
        "1,2.5,0.25,3,0.5,2.25,0.125\n")


def test_a_checkpoint_with_the_names_of_old_is_read(tmp_path, rng):
    """Of settings and of the state."""
    state = RunState([ROW], [0, 2, 1], {}, 7, EpochState(2, 5, 1, [0, 2], 0.25))
    settings = {**SETTINGS, "skip_below": 0.125, "skip_epochs": 3, "cooldown": 0.25}
    checkpoint.save_checkpoint(tmp_path, Network([4, 3, 2], rng=rng), settings, state)
    matrices, saved = read_npz(tmp_path / "model.npz")
    for old, new in {"sure": "skip_below", "rest": "skip_epochs", "calm": "cooldown",
                     "resting": "skipped", "part": "epoch_state"}.items():
        saved[old] = saved.pop(new)
    for old, new in {"right": "correct", "sure": "easy"}.items():
        saved["part"][old] = saved["part"].pop(new)
    write_npz(tmp_path / "model.npz", matrices, saved)
    _, found, again = checkpoint.load_checkpoint(tmp_path)
    assert again == state and found == json.loads(json.dumps(settings))


@pytest.mark.parametrize("text", ["?", "YWJj", 7, "", "eJw=", "é"])
def test_a_damaged_list_of_skipped_images_is_refused(text, tmp_path):
    Network([4, 2]).save(tmp_path / "model.npz",
                         {**SETTINGS, "hidden": [], "history": [ROW],
                          "epoch_state": EPOCH, "optimizer_steps": 1, "skipped": text})
    with pytest.raises(DataError, match="damaged settings"):
        checkpoint.load_checkpoint(tmp_path)


def test_a_run_that_is_over_needs_no_list_of_skipped_images(tmp_path):
    rows = [{**ROW, "epoch": number} for number in (1, 2, 3)]
    Network([4, 3, 2]).save(tmp_path / "model.npz", {**SETTINGS, "history": rows})
    assert checkpoint.load_checkpoint(tmp_path)[2].skipped == []


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
    ("sgd", "SGD", {}), ("momentum", "Momentum", {"follow": 0.25}),
    ("adam", "Adam", {})])
def test_the_optimizer_is_the_one_of_the_settings(name, kind, more):
    settings = {**DEFAULTS, "optimizer": name, "momentum": 0.75, "l2": 0.125}
    optimizer = optimizer_maker(settings)(Network([4, 3, 2]).layers)
    assert type(optimizer).__name__ == kind and optimizer.l2 == 0.125
    assert {key: getattr(optimizer, key) for key in more} == more


# --- runs that end early

def validated(*accuracies):
    return [{"epoch": number, "validation_accuracy": accuracy}
            for number, accuracy in enumerate(accuracies, 1)]


@pytest.mark.parametrize("accuracies, best", [
    ([0.5], 1), ([0.1, 0.3, 0.2], 2), ([0.2, 0.3, 0.3, 0.3], 2), ([0.3, 0.1, 0.4], 3)])
def test_the_best_epoch_is_the_first_of_the_highest_accuracy(accuracies, best):
    assert checkpoint.best_row(validated(*accuracies))["epoch"] == best


@pytest.mark.parametrize("patience, over_after", [(0, 7), (1, 3), (2, 6), (3, 7)])
def test_a_run_is_over_when_so_many_epochs_have_brought_nothing(patience, over_after):
    rows = validated(0.1, 0.3, 0.3, 0.4, 0.2, 0.4, 0.5)
    settings = {"epochs": 7, "patience": patience}
    over = [checkpoint.is_over(rows[:done], settings) for done in range(8)]
    assert over.index(True) == over_after


@pytest.fixture(scope="module")
def early(tmp_path_factory):
    """early(patience, ...) runs on 200 images of the sample and 40 to validate on; returns
    (folder, data sets).  With a folder it goes on there, from its checkpoint."""
    loaded = load(SAMPLE_FOLDER)
    train, validation = loaded[0].head(240).split(40)
    parts = {"train": train, "validation": validation, "test": loaded[1].head(30)}

    def run(patience, folder=None, listener=Listener(), **more):
        settings = {**DEFAULTS, "hidden": [16], "augment": "none", "skip_below": 0.0,
                    "schedule": "constant", "batch_size": 20, "learning_rate": 0.3,
                    "epochs": 16, "patience": patience, **more}
        network, settings, state = training.begin(settings, parts)
        if folder:
            network, settings, state = checkpoint.load_checkpoint(folder)
        folder = folder or tmp_path_factory.mktemp("early")
        training.train_network(Team(), network, parts, settings, folder, state,
                               listener)
        return folder, parts
    return run


def parameters(net):
    return [matrix for layer in net.layers for matrix in (layer.weights, layer.bias)]


@pytest.mark.parametrize("patience", [1, 2])
def test_a_run_that_gets_no_better_stops_and_keeps_the_best(patience, early):
    """The weights are those of a run that was told to end with that epoch."""
    folder, parts = early(patience)
    net, settings, state = checkpoint.load_checkpoint(folder)
    best, history = settings["best_epoch"], state.history
    assert 1 < best == len(history) - patience < 16 - patience
    assert best == checkpoint.best_row(history)["epoch"]
    right = history[best - 1]["validation_accuracy"]
    same, _, _ = checkpoint.load_checkpoint(early(0, epochs=best)[0])
    assert parameters(net) == parameters(same)
    engine = PackedEngine(net, settings, Team(), 200)
    assert engine.evaluate(parts["validation"]).accuracy == right
    # The textbook's network reads with the same weights, but without rounding.
    assert net.evaluate(parts["validation"], 4).accuracy == pytest.approx(right, abs=2 / 40)
    last, _, _ = checkpoint.load_checkpoint(early(0, epochs=len(history))[0])
    assert parameters(net) != parameters(last)


class Recorder(Listener):
    """Keeps what it hears."""

    def __init__(self):
        self.heard = []
        for name in ("working", "epoch", "note"):
            setattr(self, name, lambda what, name=name: self.heard.append((name, what)))

    def all(self, name):
        return [what for said, what in self.heard if said == name]


def test_a_run_that_has_stopped_does_not_go_on_when_it_is_resumed(early):
    folder, _ = early(1)
    before, settings, state = checkpoint.load_checkpoint(folder)
    early(1, folder, listener := Recorder())
    after, again, same = checkpoint.load_checkpoint(folder)
    assert again == settings and same.history == state.history
    assert parameters(after) == parameters(before)
    assert not listener.all("epoch")


# --- listeners

def test_a_run_tells_its_listener_how_it_goes_and_prints_nothing(early, capsys,
                                                                 monkeypatch):
    """A minute between two looks at the clock: the time left is at that pace."""
    minutes = iter(range(1000))
    monkeypatch.setattr(training.time, "monotonic", lambda: 60 * next(minutes))
    monkeypatch.setattr(training, "_BETWEEN_REPORTS", 0)
    folder, _ = early(0, listener=(listener := Recorder()), epochs=2, augment="affine")
    rows = checkpoint.load_checkpoint(folder)[2].history
    assert listener.all("epoch") == rows and len(rows) == 2
    said = listener.all("working")
    assert said[:4] == ["Making maps ...", "Epoch  1/2: 20 of 200 images",
                        "Epoch  1/2: 40 of 200 images, 18:00 left",
                        "Epoch  1/2: 60 of 200 images, 17:00 left"]
    assert "Evaluating on 40 images ..." in said
    assert said[-2] == "Epoch  2/2: 200 of 200 images, 0:00 left"
    assert capsys.readouterr() == ("", "")


class Marker(Recorder):
    """Keeps the moments that it is shown, and how far the run was."""

    def __init__(self, *marks):
        super().__init__()
        self.marks, self.moments, self.steps = marks, [], []

    def progress(self, progress):
        self.steps.append(progress)

    def moment(self, epoch, images, network, found):
        self.moments.append((epoch, images, parameters(network.copy()),
                             len(found.labels)))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_listener_sees_the_network_at_its_marks_and_after_epochs(engine, early):
    """The marks change nothing in the weights; 200 images come in batches of 20."""
    settings = {"epochs": 2, "engine": engine}
    folder, _ = early(0, **settings)
    marked, _ = early(0, listener=(marker := Marker(0, 50, 55, 100, 200, 999)),
                      **settings)
    ends = [parameters(Network.load(path / "model.npz")[0]) for path in (folder, marked)]
    assert ends[0] == ends[1] == marker.moments[-1][2]
    assert [moment[:2] for moment in marker.moments] == [
        (0, 0), (0, 60), (0, 100), (1, 0), (2, 0)]
    assert all(a[2] != b[2] for a, b in zip(marker.moments, marker.moments[1:]))
    assert {moment[3] for moment in marker.moments} == {40}     # validation images
    start = Network([784, 16, 10], rng=training.random_for({"seed": 1}, "weights"))
    found = [x for matrix in marker.moments[0][2] for row in matrix for x in row]
    drawn = [x for matrix in parameters(start) for row in matrix for x in row]
    assert found == pytest.approx(drawn, abs=1e-3)


def test_a_listener_without_marks_is_shown_only_what_epochs_end_with(early):
    early(0, listener=(marker := Marker()), epochs=2)
    assert [moment[:2] for moment in marker.moments] == [(1, 0), (2, 0)]


def test_progress_is_told_of_all_images_since_the_last_word(early, monkeypatch):
    monkeypatch.setattr(training, "_BETWEEN_REPORTS", 0)
    folder, _ = early(0, listener=(marker := Marker()), epochs=2)
    for row in checkpoint.load_checkpoint(folder)[2].history:
        steps = [step for step in marker.steps if step.epoch == row["epoch"]]
        assert [step.done for step in steps] == list(range(20, 201, 20))
        assert [step.recent for step in steps] == [20] * 10
        assert sum(step.loss for step in steps) / 200 == pytest.approx(row["loss"])
        assert sum(step.correct for step in steps) == 200 * row["train_accuracy"]


def test_the_time_left_of_a_resumed_run_is_that_of_what_is_left(early, monkeypatch):
    folder, _ = early(0, epochs=2)
    network, settings, state = checkpoint.load_checkpoint(folder, epochs=4)
    minutes = iter(range(1000))
    monkeypatch.setattr(training.time, "monotonic", lambda: 60 * next(minutes))
    train = load(SAMPLE_FOLDER)[0].head(200)
    run = training.Run(Team(), network, {"train": train, "test": train}, settings,
                       folder, state, listener := Recorder())
    for images in (50, 100, 200):
        run._report(3, images, 200, 10, 1 << LOSS_BITS, 9)
    assert [text.partition(", ")[2] for text in listener.all("working")] == [
        "", "6:00 left", "2:40 left"]


def test_a_listener_sent_to_another_process_is_deaf():
    listener = pickle.loads(pickle.dumps(Recorder()))
    listener.working("loud"), listener.epoch({}), listener.note("!")
    assert type(listener) is Listener and vars(listener) == {"marks": ()}
    assert pickle.loads(pickle.dumps(Marker(0, 100))).marks == (0, 100)


@pytest.mark.parametrize("rank", [0, 1])
def test_only_the_process_that_leads_has_a_listener(rank, early, tmp_path):
    settings = {**DEFAULTS, "hidden": []}
    run = training.Run(Team(rank, [None, None]), Network([784, 10]),
                       {"train": load(SAMPLE_FOLDER)[0], "test": None}, settings,
                       tmp_path, RunState([], [0] * 9), listener := Recorder())
    assert (run.listener is listener) == (rank == 0)


@pytest.mark.parametrize("optimizer, engine, rate, after_best", [
    ("momentum", "lists", 0.02, 0), ("momentum", "packed", 0.02, 1),
    ("adam", "packed", 0.02, 0), ("adam", "lists", 0.005, -1)])
def test_a_run_that_may_end_early_is_resumed_with_the_same_bits(
        optimizer, engine, rate, after_best, early, monkeypatch):
    """Stopped right after the best epoch, one later, or one before it."""
    more = {"optimizer": optimizer, "engine": engine, "learning_rate": rate,
            "dropout": 0.1, "hidden": [4]}
    whole, settings, state = checkpoint.load_checkpoint(early(2, **more)[0])
    stop = settings["best_epoch"] + after_best
    assert 0 < stop < len(state.history)
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
    settings = {**SETTINGS, "optimizer": optimizer}
    engine = PackedEngine(Network([4, 3, 2]), settings, Team(), 3)
    images = [engine.network.first.quantizer(bytes([0, 85, 255, 170]))] * 3
    engine.train_batch(images, [0, 1, 1], 0.01, 0)
    state, step_count = engine.optimizer_state(), engine.optimizer.step_count
    SAVE(folder, engine.whole(), settings,
         RunState([ROW], [0, 2, 1], state, step_count))
    if change:
        matrices, saved = read_npz(folder / "model.npz")
        change(matrices, saved)
        write_npz(folder / "model.npz", matrices, saved)
    return state, step_count


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_state_of_an_optimizer_comes_back_exactly(optimizer, tmp_path):
    state, step_count = half_run(tmp_path, optimizer)
    _, _, found = checkpoint.load_checkpoint(tmp_path)
    assert found.optimizer == state and found.step_count == step_count
    assert step_count == (optimizer == "adam")
    assert all(m.norm() for layers in state.values() for pair in layers for m in pair)


NAME = {"momentum": "optimizer.target1.weights", "adam": "optimizer.square2.bias"}


def steps(value):
    """What puts another number of steps into the settings."""
    return lambda name, matrices, saved: saved.update(optimizer_steps=value)


DAMAGE = {
    "missing": lambda name, matrices, saved: matrices.pop(name),
    "all missing": lambda name, matrices, saved: [
        matrices.pop(other) for other in list(matrices) if "optimizer." in other],
    "misshapen": lambda name, matrices, saved: matrices.update(
        {name: Matrix.zeros(3, 5)}),
    "not finite": lambda name, matrices, saved: matrices.update(
        {name: matrices[name] * math.nan}),
    "no steps": lambda name, matrices, saved: saved.pop("optimizer_steps"),
    "steps of a kind": steps({"x": 1}), "steps of text": steps("x"),
    "steps that are a list": steps([1]), "steps that are true": steps(True),
    "half a step": steps(0.5), "negative steps": steps(-1), "too many": steps(1 << 53),
}


@pytest.mark.parametrize("optimizer", NAME)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_state_of_the_optimizer_is_refused(damage, optimizer, tmp_path):
    half_run(tmp_path, optimizer,
             lambda *parts: DAMAGE[damage](NAME[optimizer], *parts))
    with pytest.raises(DataError, match="optimizer.*, expected a checkpoint"):
        checkpoint.load_checkpoint(tmp_path)
