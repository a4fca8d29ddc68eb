"""Lists or lanes: the two engines behind one interface."""
import random
from copy import deepcopy

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
    return ENGINES[kind](deepcopy(net), settings, team, 20)


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
    bias = net.layers[-1].bias - step
    assert after["lists"][0] == pytest.approx(bias[0], abs=1e-12)
    assert after["packed"][0] == pytest.approx(after["lists"][0], abs=1e-3)
    assert packed.loss == pytest.approx(total / 20, rel=1e-3)
    for one, other in zip(packed.outputs, answers):
        assert one == pytest.approx(other, abs=1e-2)
    assert result == (pytest.approx(loss, rel=2e-3), correct, easy)


# --- what the packed engine keeps

def levels_of(batches, width):
    """The levels of the pixels of each image, read back from its groups."""
    rows = []
    for groups in (groups for images, _ in batches for groups in images):
        rows.append([0] * width)
        for level, _, pick in groups:
            for place in pick(range(width)):
                rows[-1][place] = level
    return rows


@pytest.mark.parametrize("turn", [1, -1], ids=["as they are", "turned"])
@pytest.mark.parametrize("levels, rank, size, kept", [
    (2, 0, 1, True), (4, 0, 1, False), (4, 1, 2, True), (256, 2, 3, False)])
def test_groups_of_pixels_are_kept_where_nothing_augments_and_there_is_room(
        levels, rank, size, kept, turn, monkeypatch):
    """Of 8 images of 96 pixels; of a pixel each 8 bytes, of a group 180."""
    monkeypatch.setattr(engines, "_KEPT_BYTES", 10_000)
    engine = engine_of("packed", Network([96, 3, 10]), Team(rank, [None] * size),
                       grey_levels=levels)
    augment = engine.warp(list(range(96))[::-1]) if turn < 0 else None
    for step in (1, -1):                        # each data set has groups of its own
        data = Dataset("greys", (bytes(range(256)) * 3)[::step], bytes(range(8)), 8, 12)
        for order in (None, [7, 0, 3, 3, 5]):
            first, again = (list(engine.batches(data, 2, order, augment)) for _ in "12")
            chosen = order or list(range(8))
            assert [a is b for (x, _), (y, _) in zip(first, again) for a, b in zip(x, y)
                    ] == [kept and not augment] * len(chosen)
            assert levels_of(first, 96 // size) == levels_of(again, 96 // size) == [
                [(2 * grey * (levels - 1) + 255) // 510
                 for grey in data.image(i)[::turn][rank::size]] for i in chosen]
            assert sum((labels for _, labels in first), []) == chosen
            assert {len(labels) for _, labels in first[:-1]} == {2}
