"""The numbers in an explanation are the network's own, and what is added up adds up."""
import math
import random
import re

import pytest

from engine.sparse import SparseMatrix
from my_math import Matrix, argmax
from network import ACTIVATIONS, LOSSES, Network
from show.explain import explain

IMAGE = bytes([0, 255, 90, 200, 0, 17, 128, 0, 64, 31, 250, 1])     # 4 rows of 3
NAMES = ["zero", "one", "two"]


def a_network(hidden=(9,), activation="relu", loss="cross-entropy"):
    """12 inputs, 3 classes; biases that are not zero."""
    rng = random.Random(3)
    network = Network([12, *hidden, 3], activation, loss, rng)
    for layer in network.layers:
        layer.bias = Matrix.random_normal(1, layer.weights.shape[1], rng)
    return network


def explained(network, image=IMAGE, levels=256, label=1, unit=None):
    return explain(network, image, 3, levels, NAMES, label, unit)


def words(network, **options):
    """The words of each line."""
    return [line.split() for line in explained(network, **options)]


def number(x):
    """A number as it is written where it may be small."""
    return f"{x:.1e}" if 0 < abs(x) < 1e-4 else f"{x:.6f}"


@pytest.fixture
def x():
    return SparseMatrix.from_images([IMAGE])


every_network = pytest.mark.parametrize("hidden, activation, loss", [
    (hidden, activation, loss) for hidden in [(), (9,), (20, 5), (4, 3, 2)]
    for activation in ACTIVATIONS for loss in LOSSES])


@every_network
def test_sums_are_written_out_term_by_term(x, hidden, activation, loss):
    network = a_network(hidden, activation, loss)
    trace, rows = network.forward(x), words(network)
    outputs = [[abs(a) for a in matrix.to_matrix()[0]] for matrix in trace.inputs[1:]]
    for i, layer in enumerate(network.layers):
        unit = argmax([*outputs, network.predict(x)[0]][i])     # the most active one
        terms = [(k, ink, layer.weights[k, unit], ink * layer.weights[k, unit])
                 for k, ink in enumerate(trace.inputs[i].to_matrix()[0]) if ink]
        terms.sort(key=lambda term: -abs(term[3]))
        start = rows.index([f"Z{i + 1}[{unit}]", f"{trace.sums[i][0, unit]:.4f}"])
        assert rows[start - 1] == ["bias", f"b{i + 1}[{unit}]",
                                   f"{layer.bias[0, unit]:.4f}"]
        others = [term[3] for term in terms[8:]]
        if others:
            start -= 1
            assert rows[start - 1] == [str(len(others)), "more", f"{sum(others):.4f}"]
        shown = rows[start - 1 - len(terms[:8]):start - 1]
        for row, (k, *numbers) in zip(shown, terms):
            place = [str(k)] if i else [f"{k // 3},", str(k % 3)]
            assert row == [*place, *(f"{x:.4f}" for x in numbers)]


def test_a_unit_of_the_first_layer_is_written_out_where_told(x):
    network = a_network((9, 3))
    trace, lines = network.forward(x), explained(network, unit=7)
    z, a = trace.sums[0][0, 7], trace.inputs[1][0, 7]
    assert f"  A1[7] = relu({z:.4f}) = {a:.4f}" in lines
    sums = [line.split()[0] for line in lines if re.match(r" +Z\d\[", line)]
    assert [name[:3] for name in sums] == ["Z1[", "Z2[", "Z3["] and sums[0] == "Z1[7]"
    for unit in 9, 1000, -1:
        with pytest.raises(IndexError, match=f"unit {unit} of 9"):
            explained(network, unit=unit)


@pytest.mark.parametrize("activation, told, low, high", [
    ("relu", r"switches off (\d+) of 20 units.*not above 0; (\d+) pass", 0, 0),
    ("sigmoid", r"(\d+) of 20 units below 0.1, (\d+) above 0.9", 0.1, 0.9),
    ("tanh", r"(\d+) of 20 units below -0.9, (\d+) above 0.9", -0.9, 0.9)])
def test_units_that_are_low_and_high_are_counted(x, activation, told, low, high):
    network = a_network((20,), activation)
    network.layers[0].weights = network.layers[0].weights * 3
    outputs = network.forward(x).inputs[1][0]
    found = re.search(told, "\n".join(explained(network)))
    below = sum(a <= low for a in outputs)
    assert tuple(map(int, found.groups())) == (below, sum(a > high for a in outputs))
    assert 0 < below < 20


@pytest.mark.parametrize("loss", LOSSES)
def test_outputs_and_loss_step_by_step(x, loss):
    network = a_network(loss=loss)
    logits, outputs = network.forward(x).logits[0], network.predict(x)[0]
    rows, (computed, _) = words(network, label=2), network.loss_and_gradients(x, [2])
    top, total = max(logits), sum(math.exp(z - max(logits)) for z in logits)
    softmax = loss == "cross-entropy"
    for name, z, p in zip(NAMES, logits, outputs):
        steps = [f"{z - top:.4f}", number(math.exp(z - top))] * softmax
        assert [name, f"{z:.4f}", *steps, number(p)] in rows
    assert (["sum", number(total), "1.000000"] if softmax else
            ["sum", "of", "A:", number(sum(outputs))]) in rows
    own = -math.log(outputs[2]) if loss == "bce" else (outputs[2] - 1) ** 2
    parts = (f"log {total:.6f} - ({logits[2] - top:.4f})" if softmax else
             f"{own:.6f} + {computed - own:.6f}")
    assert any(line.endswith(f" = {parts} = {computed:.6f}")
               for line in explained(network, label=2))


@pytest.mark.parametrize("hidden", [(), (9,), (20, 5)])
def test_arguments_for_and_against_add_up_to_the_logit(x, hidden):
    network = a_network(hidden)
    trace, last = network.forward(x), network.layers[-1]
    logits, inputs = trace.logits[0], trace.inputs[-1].to_matrix()[0]
    first, second, third = sorted(range(3), key=lambda j: -logits[j])
    lines = explained(network, label=third)
    for c, role in ((first, "answer"), (second, "runner-up"), (third, "label")):
        terms = [a * last.weights[k, c] for k, a in enumerate(inputs)]
        start = lines.index(
            f"  {NAMES[c]}, the {role}: Z{len(hidden) + 1}[{c}] = "
            f"{sum(t for t in terms if t > 0):.4f} for, "
            f"{sum(t for t in terms if t < 0):.4f} against, "
            f"{last.bias[0, c]:+.4f} bias: {logits[c]:.4f}")
        for line, sign in ((start + 1, 1), (start + 2, -1)):
            side = {k: t for k, t in enumerate(terms) if sign * t > 0}
            assert f" {len(side)}, above all " in lines[line]
            for k in sorted(side, key=lambda k: -abs(side[k]))[:3]:
                assert f" {k} ({side[k]:+.4f})" in lines[line]
    leads = {k: a * (last.weights[k, first] - last.weights[k, second])
             for k, a in enumerate(inputs)}
    best = max(leads, key=leads.get)
    lead = logits[first] - logits[second]
    assert any(line.startswith(
        f"  {NAMES[first]} is ahead of {NAMES[second]} by {lead:.4f}, above all by "
        f"{best} ({leads[best]:+.4f})") for line in lines)
    assert "the label: " not in "".join(explained(network, label=second))


@every_network
def test_the_way_back_shows_the_networks_own_gradient(x, hidden, activation, loss):
    network = a_network(hidden, activation, loss)
    lines, rows = explained(network, label=0), words(network, label=0)
    _, gradients = network.loss_and_gradients(x, [0])
    outputs = network.predict(x)[0]
    for j, slope in enumerate(gradients[-1].delta[0]):
        assert [NAMES[j], number(outputs[j]), str(int(j == 0)), number(slope)] in rows
    for i, gradient in enumerate(gradients):
        k, n = gradient.weights.shape
        entries = {(p, j): gradient.weights[p, j] for p in range(k) for j in range(n)
                   if gradient.weights[p, j]}
        start = next(place for place, line in enumerate(lines)
                     if line.startswith(f"dW{i + 1} = "))
        assert f"({k} x 1)(1 x {n}) -> ({k} x {n})" in lines[start]
        assert lines[start + 1].startswith(
            f"  {len(entries):,} of {k * n:,} entries are not 0")
        largest = sorted(entries, key=lambda place: -abs(entries[place]))[:3]
        for line, (p, j) in zip(lines[start + 2:], largest):
            assert line.startswith(f"    dW{i + 1}[{p}, {j}]")
            slope, entry = gradient.delta[0, j], entries[p, j]
            assert line.endswith(f" x {slope:+.3g} = {entry:+.3g}")


def test_ink_is_that_which_the_network_sees():
    text = "\n".join(explained(a_network(), levels=4))
    image, = SparseMatrix.from_images([IMAGE], 4).to_matrix()
    ink = sum(x > 0 for x in image)
    faint = sum(x > 0 for x in IMAGE) - ink
    assert f"{ink} pixels of 12 ({ink / 12:.1%}) have ink, {sum(image):.2f} in" in text
    assert f"  {faint} pixels more, too faint" in text and faint
    greys, pixels = (re.split(r" {2,}", line.strip())[1:] for line in text.splitlines()
                     if line.startswith(("    grey ", "  pixels ")))
    assert greys == ["0.00", "0.33", "0.67", "1.00"]
    assert list(map(int, pixels)) == [image.count(k / 3) for k in range(4)]


def test_an_image_without_ink_or_label_is_explained_as_well(capsys):
    lines = explained(a_network(), image=bytes(12))
    assert "  0 pixels of 12 (0.0%) have ink, 0.00 in all" in lines
    assert "  0 of 108 entries are not 0" in lines
    text = "\n".join(explained(a_network(), label=None))
    assert "no gradient" in text and "dZ" not in text and "L, the loss" not in text
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("loss", LOSSES)
def test_numbers_beyond_the_range_of_exp_are_no_trouble(loss):
    network = a_network(loss=loss)
    network.layers[-1].weights = network.layers[-1].weights * 1e5
    assert not re.search(r"\b(nan|inf)\b", "\n".join(explained(network, label=2)))
