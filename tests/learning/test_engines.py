"""Lists or lanes: the two engines behind one interface."""
import random

import pytest

from data_loader import SAMPLE_FOLDER, Dataset, load
from engine.packed_network import LOSS_BITS
from engine.team import Team
from learning import engines
from learning.dropout import Dropout
from learning.engines import ENGINES
from learning.settings import DEFAULTS
from my_math import Matrix
from network import LOSSES, Network


def engine_of(kind, net, team=Team(), **settings):
    """A copy of a network on an engine, as a run with these settings has it."""
    settings = {**DEFAULTS, "hidden": net.sizes[1:-1], "batch_size": 20, **settings}
    return ENGINES[kind](net.copy(), settings, team, 20)


@pytest.mark.parametrize("more", [
    {}, {"skip_below": 0.9}, {"skip_below": 1.0}, {"label_smoothing": 0.3},
    {"dropout": 0.5}, {"hidden": [8, 6]}, {"activation": "tanh"},
    {"loss": "mse", "skip_below": 0.65}], ids=str)
def test_both_engines_take_the_step_that_the_settings_ask_for(more):
    """The lists to the bit, the packed one but for rounding.

    Easy is an image by how far its outputs are from their targets, not by its slope;
    it takes no part, but counts in the mean."""
    settings = {"hidden": [8], "skip_below": 0.0, "grey_levels": 16, **more}
    data = load(SAMPLE_FOLDER)[0].head(20)
    net = Network([784, *settings["hidden"], 10], more.get("activation", "relu"),
                  more.get("loss", "cross-entropy"), random.Random(3))
    (x, labels), = data.batches(20, levels=16)
    masks, found, after = {}, {}, {}
    for kind in ENGINES:
        engine = engine_of(kind, net, **settings)
        report = engine.evaluate(data)
        masks[kind] = () if "dropout" not in more else Dropout(
            0.5, [8], random.Random(5), engine.dropout_scale).draw(20, random.Random(7))
        (images, _), = engine.batches(data, 20)
        found[kind] = report, engine.train_batch(images, labels, 0.2, 0, masks[kind])
        after[kind] = engine.whole().layers[-1].bias
    (lists, (loss, correct, easy)), (packed, result) = found["lists"], found["packed"]
    answers, total = net.evaluate_batch(x, labels)
    assert lists.outputs == list(answers) and list(lists.labels) == labels
    assert lists.loss == pytest.approx(total / 20, abs=2 ** -LOSS_BITS)
    _, outputs, targets, mean_loss = net.try_batch(
        x, labels, more.get("label_smoothing", 0), list(map(Matrix, masks["lists"])))
    assert loss == round(mean_loss * 20 * (1 << LOSS_BITS))
    assert correct == sum(map(int.__eq__, outputs.argmax(axis=1), labels))
    hard = Matrix([[float(max(map(abs, row)) >= settings["skip_below"])]
                   for row in outputs - targets])
    assert easy == [i for i in range(20) if not hard[i, 0]]
    assert (len(easy) == 20) == (more == {"skip_below": 1.0})
    assert bool(easy) == bool(settings["skip_below"])
    step = (LOSSES[net.loss].gradient(outputs, targets) * hard).sum(axis=0) * (0.2 / 20)
    assert after["lists"][0] == pytest.approx((net.layers[-1].bias - step)[0], abs=1e-12)
    assert after["packed"][0] == pytest.approx(after["lists"][0], abs=1e-3)
    assert packed.loss == pytest.approx(total / 20, rel=1e-3)
    for one, other in zip(packed.outputs, answers):
        assert one == pytest.approx(other, abs=1e-2)
    assert result == (pytest.approx(loss, rel=2e-3), correct, easy)


# --- what the packed engine keeps

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
@pytest.mark.parametrize("levels", [2, 4, 256])
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
            assert {len(labels) for _, labels in batches[:-1]} == {2}


def test_each_data_set_keeps_its_own_groups_of_images_that_nothing_augments():
    data, engine = greys(), packed_engine(4)
    for part in data.split(3):
        plain = list(engine.batches(part, 8))
        flipped, again = (list(engine.batches(part, 8, None, lambda image: image[::-1]))
                          for _ in "12")
        assert not any(same_objects(flipped, again))
        assert rows_of(flipped, 96) == [row[::-1] for row in rows_of(plain, 96)]
        assert all(same_objects(plain, engine.batches(part, 8)))
        assert rows_of(plain, 96) == rows_of(packed_engine(4).batches(part, 8), 96)


@pytest.mark.parametrize("levels, size, kept", [
    (2, 1, True), (4, 1, False), (4, 2, True), (256, 3, False)])
def test_groups_that_take_too_much_room_are_made_anew(levels, size, kept, monkeypatch):
    """Of 8 images of 96 pixels; of a pixel each 8 bytes, of a group 180."""
    monkeypatch.setattr(engines, "_KEPT_BYTES", 10_000)
    data, engine = greys(), packed_engine(levels, Team(0, [None] * size))
    first, second = (list(engine.batches(data, 3)) for _ in "12")
    assert same_objects(first, second) == [kept] * 8
    assert rows_of(first, 96 // size) == rows_of(second, 96 // size)
