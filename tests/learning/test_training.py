"""Training: random numbers, skipped images, early ends, listeners."""
import pickle
import random

import pytest
from tools.digest import digest, weights_of

from data_loader import SAMPLE_FOLDER, Dataset, load
from engine.packed_network import LOSS_BITS
from engine.team import Team
from errors import DataError, OptionError
from learning import checkpoint, training
from learning.checkpoint import load_checkpoint
from learning.engines import ENGINES, PackedEngine
from learning.settings import DEFAULTS
from learning.training import Epoch, Listener


def test_random_numbers_differ_by_seed_purpose_and_epoch_and_are_frozen():
    """Frozen: a change would turn every run that is resumed into another one."""
    names = [({"seed": 1}, "order", 1), ({"seed": 2}, "order", 1),
             ({"seed": 1}, "augment", 1), ({"seed": 1}, "order", 2)]
    numbers = [training.random_for(*name).random() for name in names]
    assert len(set(numbers)) == 4 and numbers[0] == random.Random("1 order 1").random()


@pytest.mark.parametrize("kind, count", [("none", 0), ("shift", 9), ("affine", 20),
                                         ("elastic", 20)])
def test_each_augmentation_has_its_maps(kind, count, monkeypatch):
    monkeypatch.setattr(training, "MAPS", 20)
    maps, again = (training.augmentation_maps({"augment": kind, "seed": 1}, 1.0, 28, 28)
                   for _ in "12")
    assert maps == again and len(set(map(tuple, maps))) == count


@pytest.mark.parametrize("kind, height, width, count", [
    ("elastic", 28, 28, 500), ("elastic", 64, 64, 252), ("elastic", 784, 1, 39),
    ("affine", 800, 800, 7), ("elastic", 300, 300, None), ("affine", 1500, 999, None)])
def test_maps_of_large_images_are_few_or_refused(kind, height, width, count,
                                                 monkeypatch):
    settings = {**DEFAULTS, "augment": kind, "hidden": []}
    data = Dataset("two", bytes(2 * height * width), b"\0\1", height, width, "ab")
    if count:
        monkeypatch.setattr(training, "affine_map", lambda *arguments: [0])
        maps = training.augmentation_maps(settings, 1.0, height, width)
        assert len(maps) == count and training.check_size(settings, data)
        return
    with pytest.raises(OptionError, match=f"{kind}: found .* {height} x {width}"):
        training.check_size(settings, data)


# --- skipping of easy images

class EvenAreEasy:
    """Stands for an engine; it keeps the labels and the learning rates that it sees."""

    def __init__(self):
        self.seen, self.rates = [], []

    def batches(self, dataset, *arguments):
        return dataset.batches(*arguments)

    def train_batch(self, x, labels, rate, position, masks):
        assert (position, masks) == (len(self.seen), ())
        assert x.shape == (len(labels), 4)
        self.seen += labels
        self.rates.append(rate)
        easy = [place for place, label in enumerate(labels) if label % 2 == 0]
        return len(labels) * 3 << LOSS_BITS - 1, 1, easy


@pytest.mark.parametrize("number, skipped, seen, after", [
    (1, [0] * 10, range(10), [2, 0] * 5), (2, [2, 0] * 5, [1, 3, 5, 7, 9], [1, 0] * 5),
    (3, [1, 0] * 5, [1, 3, 5, 7, 9], [0] * 10), (4, [2] * 10, range(10), [2, 1] * 5)])
def test_easy_images_are_skipped_and_the_others_step_equally_far(number, skipped, seen,
                                                                 after):
    """Also those of a last, smaller batch; where all would be skipped, none is."""
    data = Dataset("ten", bytes(range(40)), bytes(range(10)), 2, 2)
    settings = {**DEFAULTS, "batch_size": 4, "skip_epochs": 2, "epochs": 5,
                "schedule": "constant"}
    engine = EvenAreEasy()
    epoch = Epoch(number, data, settings, Team(), [], skipped, None)
    assert sum(images for images, *_ in epoch.train(engine)) == len(seen)
    assert sorted(engine.seen) == list(seen) and engine.seen != list(seen)
    rate, row = DEFAULTS["learning_rate"], epoch.end()
    assert engine.rates == pytest.approx(
        [rate * min(4, len(seen) - k) / 4 for k in range(0, len(seen), 4)])
    assert skipped == after and (row["images"], row["loss"]) == (len(seen), 1.5)
    assert row["train_accuracy"] == len(engine.rates) / len(seen)


# --- what cannot be learnt

@pytest.mark.parametrize("images, labels, found", [
    (bytes(40), bytes(range(10)), "no ink in any of 10"),
    (bytes(range(40)), bytes([3] * 10), "the label 3 on all 10")])
def test_data_without_anything_to_tell_apart_is_refused(images, labels, found):
    with pytest.raises(DataError, match=found):
        training.check_learnable(Dataset("dull", images, labels, 2, 2))


def test_a_first_epoch_no_better_than_guessing_gets_advice():
    labels, row = bytes([0] * 60 + [1] * 40), {"train_accuracy": 0.61, "images": 5000}
    text = training.advice([row], labels)
    assert "61.0%" in text and "60.0%" in text
    for quiet in ([{**row, "train_accuracy": 0.75}], [row, row],
                  [{**row, "images": 100}]):
        assert training.advice(quiet, labels) == ""


# --- runs that end early

@pytest.mark.parametrize("patience, over_after", [(0, 7), (1, 3), (2, 6), (3, 7)])
def test_a_run_is_over_when_so_many_epochs_have_brought_nothing(patience, over_after):
    rows = [{"epoch": number, "validation_accuracy": accuracy} for number, accuracy in
            enumerate([0.1, 0.3, 0.3, 0.4, 0.2, 0.4, 0.5], 1)]
    over = [checkpoint.is_over(rows[:done], {"epochs": 7, "patience": patience})
            for done in range(8)]
    assert over.index(True) == over_after
    assert [checkpoint.best_row(rows[:n])["epoch"]
            for n in (1, 3, 6, 7)] == [1, 2, 4, 7]


@pytest.fixture(scope="module")
def early(tmp_path_factory):
    """early(patience, ...) runs on 200 images of the sample and 40 to validate on;
    returns its folder.  With a folder it goes on there, from its checkpoint."""
    loaded = load(SAMPLE_FOLDER)
    train, validation = loaded[0].head(240).split(40)
    parts = {"train": train, "validation": validation, "test": loaded[1].head(30)}

    def run(patience, folder=None, listener=Listener(), **more):
        settings = {**DEFAULTS, "hidden": [16], "augment": "none", "skip_below": 0.0,
                    "schedule": "constant", "batch_size": 20, "learning_rate": 0.3,
                    "epochs": 16, "patience": patience, **more}
        network, settings, state = (load_checkpoint(folder) if folder
                                    else training.begin(settings, parts))
        folder = folder or tmp_path_factory.mktemp("early")
        training.train_network(Team(), network, parts, settings, folder, state,
                               listener)
        return folder
    run.parts = parts
    return run


class Recorder(Listener):
    """Keeps what it hears, and the moments that it is shown."""

    def __init__(self, *marks):
        self.marks, self.heard, self.steps, self.moments = marks, [], [], []
        for name in ("working", "epoch", "note"):
            setattr(self, name, lambda what, name=name: self.heard.append((name, what)))

    def all(self, name):
        return [what for said, what in self.heard if said == name]

    def progress(self, progress):
        self.steps.append(progress)
        super().progress(progress)

    def moment(self, epoch, images, network, found):
        self.moments.append((epoch, images, digest(network), len(found.labels)))


@pytest.mark.parametrize("patience", [1, 2])
def test_a_run_that_gets_no_better_stops_and_keeps_the_best(patience, early):
    """The weights are those of a run that was told to end with that epoch."""
    folder = early(patience)
    net, settings, state = load_checkpoint(folder)
    best, history = settings["best_epoch"], state.history
    assert 1 < best == len(history) - patience < 16 - patience
    assert digest(net) == weights_of(early(0, epochs=best))
    assert digest(net) != weights_of(early(0, epochs=len(history)))
    right = history[best - 1]["validation_accuracy"]
    engine = PackedEngine(net, settings, Team(), 200)
    assert engine.evaluate(early.parts["validation"]).accuracy == right
    early(patience, folder, listener := Recorder())     # it does not go on
    after, again, same = load_checkpoint(folder)
    assert (again, same.history, digest(after)) == (settings, history, digest(net))
    assert not listener.all("epoch")


@pytest.mark.parametrize("optimizer, engine, rate, after_best", [
    ("momentum", "packed", 0.02, 1), ("momentum", "lists", 0.02, 1),
    ("adam", "packed", 0.02, 0), ("adam", "lists", 0.005, -1)])
def test_a_run_that_may_end_early_is_resumed_with_the_same_bits(
        optimizer, engine, rate, after_best, early, monkeypatch):
    """Stopped right after the best epoch, one later, or one before it."""
    more = {"optimizer": optimizer, "engine": engine, "learning_rate": rate,
            "dropout": 0.1, "hidden": [4]}
    whole = early(2, **more)
    _, settings, state = load_checkpoint(whole)
    stop, folders = settings["best_epoch"] + after_best, []
    assert 0 < stop < len(state.history)
    real = training.Run._end_epoch

    def interrupted(run, row):
        real(run, row)
        if row["epoch"] == stop:
            folders.append(run.folder)
            raise KeyboardInterrupt
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training.Run, "_end_epoch", interrupted)
        early(2, **more)
    assert len(load_checkpoint(folders[0])[2].history) == stop
    early(2, folders[0])
    assert weights_of(folders[0]) == weights_of(whole)
    assert load_checkpoint(folders[0])[1]["best_epoch"] == settings["best_epoch"]


# --- listeners

def test_a_run_tells_its_listener_how_it_goes_and_prints_nothing(early, capsys,
                                                                 monkeypatch):
    """A minute between two looks at the clock: the time left is at that pace."""
    minutes = iter(range(1000))
    monkeypatch.setattr(training.time, "monotonic", lambda: 60 * next(minutes))
    monkeypatch.setattr(training, "_BETWEEN_REPORTS", 0)
    folder = early(0, listener=(listener := Recorder()), epochs=2, augment="shift")
    rows = load_checkpoint(folder)[2].history
    assert listener.all("epoch") == rows and len(rows) == 2
    said = listener.all("working")
    assert said[:4] == ["Making maps ...", "Epoch  1/2: 20 of 200 images",
                        "Epoch  1/2: 40 of 200 images, 18:00 left",
                        "Epoch  1/2: 60 of 200 images, 17:00 left"]
    assert "Evaluating on 40 images ..." in said
    assert said[-2] == "Epoch  2/2: 200 of 200 images, 0:00 left"
    assert capsys.readouterr() == ("", "")
    assert [moment[:2] for moment in listener.moments] == [(1, 0), (2, 0)]
    for row in rows:
        steps = [step for step in listener.steps if step.epoch == row["epoch"]]
        assert [step.done for step in steps] == list(range(20, 201, 20))
        assert [step.recent for step in steps] == [20] * 10
        assert sum(step.loss for step in steps) / 200 == pytest.approx(row["loss"])
        assert sum(step.correct for step in steps) / 200 == row["train_accuracy"]


def test_the_time_left_of_a_resumed_run_is_that_of_what_is_left(early, monkeypatch):
    network, settings, state = load_checkpoint(early(0, epochs=2), epochs=4)
    minutes = iter(range(1000))
    monkeypatch.setattr(training.time, "monotonic", lambda: 60 * next(minutes))
    run = training.Run(Team(), network, early.parts, settings, None, state,
                       listener := Recorder())
    for images in (50, 100, 200):
        run._report(3, images, 200, 10, 1 << LOSS_BITS, 9)
    assert [text.partition(", ")[2] for text in listener.all("working")] == [
        "", "6:00 left", "2:40 left"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_listener_sees_the_network_at_its_marks_and_after_epochs(engine, early):
    """The marks change nothing in the weights; 200 images come in batches of 20."""
    settings = {"epochs": 2, "engine": engine, "augment": "shift"}
    folder = early(0, **settings)
    marked = early(0, listener=(marker := Recorder(0, 50, 55, 100, 200, 999)),
                   **settings)
    assert weights_of(folder) == weights_of(marked) == marker.moments[-1][2]
    assert [moment[:2] for moment in marker.moments] == [
        (0, 0), (0, 60), (0, 100), (1, 0), (2, 0)]
    assert len({moment[2] for moment in marker.moments}) == 5
    assert {moment[3] for moment in marker.moments} == {40}     # validation images


@pytest.mark.parametrize("rank", [0, 1])
def test_only_the_process_that_leads_has_a_listener(rank, early):
    """Sent to another it is deaf, but for its marks."""
    network, settings, state = training.begin({**DEFAULTS, "hidden": []}, early.parts)
    run = training.Run(Team(rank, [None, None]), network, early.parts, settings, None,
                       state, listener := Recorder(0, 100))
    assert (run.listener is listener) == (rank == 0)
    sent = pickle.loads(pickle.dumps(listener))
    assert type(sent) is Listener and vars(sent) == {"marks": (0, 100)}
