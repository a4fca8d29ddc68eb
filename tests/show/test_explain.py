"""The numbers in an explanation are the network's own, and what is added up adds up."""
import math
import random
import re

import pytest

from engine.sparse import SparseMatrix
from my_math import Matrix
from network import ACTIVATIONS, LOSSES, Network
from show.explain import explain

IMAGE = bytes([0, 255, 90, 200, 0, 17, 128, 0, 64, 31, 250, 1])     # 4 rows of 3
NAMES = ["zero", "one", "two"]
NUMBER = r"[-+]?\d+\.?\d*(?:e[-+]\d+)?"
ROUNDING = 0.51e-4          # of a number that is shown with four decimals


def a_network(hidden=(9,), activation="relu", loss="cross-entropy", seed=3):
    """12 inputs, 3 classes; biases that are not zero."""
    rng = random.Random(seed)
    network = Network([12, *hidden, 3], activation, loss, rng)
    for layer in network.layers:
        layer.bias = Matrix.random_normal(1, layer.weights.shape[1], rng)
    return network


def explained(network, image=IMAGE, levels=256, label=1, unit=None):
    return explain(network, image, 3, levels, NAMES, label, unit)


def seen(levels=256):
    """The image as the network sees it (1 x 12)."""
    return list(SparseMatrix.from_images([IMAGE], levels).to_matrix())


def written_sums(lines):
    """{"Z1[4]": (terms, the number of terms that are lumped together, total)}."""
    sums, terms, lumped = {}, [], 0
    for line in lines:
        last = re.search(rf"({NUMBER})$", line)
        if line.endswith("product"):
            terms, lumped = [], 0
        elif re.match(r" +Z\d\[\d+\] ", line):
            sums[line.split()[0]] = terms, lumped, float(last[1])
            terms, lumped = [], 0
        elif last:
            terms.append(float(last[1]))
            if " more " in line:
                lumped = int(line.split()[0])
    return sums


def column(lines, heading, name):
    """{class: number} of the table with such a heading below a line that starts so."""
    start = next(i for i, line in enumerate(lines) if line.startswith(heading))
    titles = re.split(r" {2,}", lines[start + 2].strip())
    place = titles.index(name) - len(titles)
    return {row.split()[0]: float(row.split()[place])
            for row in lines[start + 3:start + 6]}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (9,), (20, 5), (4, 3, 2)])
def test_every_written_sum_adds_up_to_the_networks_own(hidden, activation, loss):
    network = a_network(hidden, activation, loss)
    sums = written_sums(explained(network))
    trace = network.forward(SparseMatrix.from_images([IMAGE]))
    assert len(sums) == len(hidden) + 1
    for i, (name, (terms, _, total)) in enumerate(sums.items()):
        layer, unit = map(int, re.findall(r"\d+", name))
        assert layer == i + 1
        assert total == pytest.approx(trace.sums[i][0, unit], abs=ROUNDING)
        assert sum(terms) == pytest.approx(total, abs=ROUNDING * (len(terms) + 1))


def test_a_term_is_input_times_weight_of_the_pixel_named():
    network = a_network()
    lines = explained(network, unit=4)
    terms, lumped, _ = written_sums(lines)["Z1[4]"]
    assert lumped == 9 - 8 and len(terms) == 8 + 1 + 1      # 9 of 12 pixels have ink
    rows = [line for line in lines if re.match(r" +\d, \d ", line)]
    assert len(rows) == 8
    image, = seen()
    for row, term in zip(rows, terms):
        i, j, *numbers = map(float, re.findall(NUMBER, row))
        ink, weight = image[int(3 * i + j)], network.layers[0].weights[int(3 * i + j), 4]
        assert numbers == pytest.approx([ink, weight, ink * weight], abs=ROUNDING)
        assert numbers[2] == term
    assert terms[:8] == sorted(terms[:8], key=abs, reverse=True)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_the_most_active_unit_is_written_out_unless_told(activation):
    network = a_network(activation=activation)
    outputs = network.forward(SparseMatrix.from_images([IMAGE])).inputs[1][0]
    most = max(range(9), key=lambda j: abs(outputs[j]))
    assert f"Z1[{most}]" in written_sums(explained(network))
    lines = explained(network, unit=7)
    first, second = written_sums(lines)
    assert first == "Z1[7]" and second.startswith("Z2[")    # a unit of the first layer
    shown = next(line for line in lines if line.startswith("  A1[7] = "))
    assert float(shown.split()[-1]) == pytest.approx(outputs[7], abs=ROUNDING)


@pytest.mark.parametrize("activation, words, low, high", [
    ("relu", r"switches off (\d+) of 20 units.*not above 0; (\d+) pass", 0, 0),
    ("sigmoid", r"(\d+) of 20 units below 0.1, (\d+) above 0.9", 0.1, 0.9),
    ("tanh", r"(\d+) of 20 units below -0.9, (\d+) above 0.9", -0.9, 0.9)])
def test_units_that_are_low_and_high_are_counted(activation, words, low, high):
    network = a_network((20,), activation)
    network.layers[0].weights = network.layers[0].weights * 3
    outputs = network.forward(SparseMatrix.from_images([IMAGE])).inputs[1][0]
    found = re.search(words, "\n".join(explained(network)))
    below = sum(a <= low for a in outputs)
    assert tuple(map(int, found.groups())) == (below, sum(a > high for a in outputs))
    assert 0 < below < 20


def test_softmax_step_by_step():
    network = a_network()
    lines = explained(network)
    z, below, powers, p = (list(column(lines, "P = softmax", name).values())
                           for name in ("Z", "Z - max", "e^(Z - max)", "P"))
    assert below == pytest.approx([logit - max(z) for logit in z], abs=2e-4)
    assert powers == pytest.approx([math.exp(x) for x in below], rel=2e-4)
    assert p == pytest.approx(network.predict(Matrix(seen()))[0], abs=1e-6)
    total = next(line for line in lines if re.match(" +sum +", line)).split()
    assert list(map(float, total[1:])) == pytest.approx([sum(powers), 1], abs=2e-6)


@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_sigmoid_outputs_and_their_sum(loss):
    network = a_network(loss=loss)
    lines, answers = explained(network), network.predict(Matrix(seen()))[0]
    shown = list(column(lines, "A = sigmoid", "A").values())
    assert shown == pytest.approx(answers, abs=1e-6)
    total = next(line for line in lines if line.startswith("  sum of A: "))
    assert float(total.split()[-1]) == pytest.approx(sum(answers), abs=2e-6)


@pytest.mark.parametrize("hidden", [(), (9,), (20, 5)])
def test_arguments_for_and_against_add_up_to_the_logit(hidden):
    network = a_network(hidden)
    trace = network.forward(SparseMatrix.from_images([IMAGE]))
    logits = trace.logits[0]
    order = sorted(range(3), key=lambda j: -logits[j])
    lines = explained(network)
    for c, role in zip(order, ("the answer", "the runner-up")):
        line = next(x for x in lines if x.startswith(f"  {NAMES[c]}, {role}: "))
        pros, cons, bias, logit = map(
            float, re.findall(NUMBER, line.split(" = ")[1]))
        assert pros >= 0 >= cons
        assert logit == pytest.approx(logits[c], abs=ROUNDING)
        assert pros + cons + bias == pytest.approx(logit, abs=4 * ROUNDING)
    third = f"  {NAMES[order[2]]}, the label: "
    assert any(x.startswith(third) for x in explained(network, label=order[2]))
    assert "the label: " not in "".join(explained(network, label=order[1]))
    ahead = next(x for x in lines if " is ahead of " in x)
    assert ahead.startswith(f"  {NAMES[order[0]]} is ahead of {NAMES[order[1]]} by ")
    margin = float(re.search(rf"by ({NUMBER})", ahead)[1])
    assert margin == pytest.approx(logits[order[0]] - logits[order[1]], abs=ROUNDING)
    weights = network.layers[-1].weights
    leads = [x * (weights[k, order[0]] - weights[k, order[1]])
             for k, x in enumerate(trace.inputs[-1].to_matrix()[0])]
    shown = re.findall(rf"(\d+) \(({NUMBER})\)", ahead)
    assert float(shown[0][1]) == pytest.approx(max(leads), abs=ROUNDING)
    for k, lead in shown:
        assert float(lead) == pytest.approx(leads[int(k)], abs=ROUNDING)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_is_shown_as_its_parts(loss):
    network = a_network(loss=loss)
    lines = explained(network, label=2)
    line = next(b for a, b in zip(lines, lines[1:]) if a.startswith("L, the loss"))
    computed, _ = network.loss_and_gradients(SparseMatrix.from_images([IMAGE]), [2])
    answer = network.predict(SparseMatrix.from_images([IMAGE]))[0][2]
    own = {"bce": -math.log(answer), "mse": (answer - 1) ** 2}
    assert float(line.split()[-1]) == pytest.approx(computed, abs=1e-6)
    parts = list(map(float, re.findall(NUMBER, line.split(" = ")[-2])))
    if loss == "cross-entropy":
        total, below = parts
        assert math.log(total) - below == pytest.approx(computed, abs=1e-4)
    else:
        assert sum(parts) == pytest.approx(computed, abs=2e-6)
        assert parts[0] == pytest.approx(own[loss], abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (9,), (20, 5)])
def test_the_way_back_shows_the_networks_own_gradient(hidden, activation, loss):
    network = a_network(hidden, activation, loss)
    lines = explained(network, label=0)
    _, gradients = network.loss_and_gradients(SparseMatrix.from_images([IMAGE]), [0])
    last = f"dZ{len(network.layers)}"
    assert list(column(lines, f"{last} = ", last).values()) == pytest.approx(
        gradients[-1].delta[0], rel=0.06, abs=1e-6)
    y = column(lines, f"{last} = ", "Y")
    assert y == dict(zip(NAMES, [1, 0, 0]))
    entries = [re.findall(rf"dW(\d)\[(\d+), (\d+)\].* = ({NUMBER}) x ({NUMBER}) = "
                          rf"({NUMBER})$", line) for line in lines]
    entries = [match[0] for match in entries if match]
    assert {int(entry[0]) for entry in entries} == set(range(1, len(gradients) + 1))
    for entry in entries:
        number, i, j = map(int, entry[:3])
        value, slope, product = map(float, entry[3:])
        whole = gradients[number - 1].weights
        assert product == pytest.approx(whole[i, j], rel=6e-3)
        assert slope == pytest.approx(gradients[number - 1].delta[0, j], rel=6e-3)
        assert value * slope == pytest.approx(product, rel=0.02, abs=1e-5)
    for number, gradient in enumerate(gradients, 1):
        largest = max(abs(x) for row in gradient.weights for x in row)
        shown = [abs(float(e[5])) for e in entries if int(e[0]) == number]
        assert shown[0] == pytest.approx(largest, rel=6e-3)
        count = sum(x != 0 for row in gradient.weights for x in row)
        k, n = gradient.weights.shape
        assert any(f"  {count:,} of {k * n:,} entries are not 0" in x for x in lines)


def test_shapes_of_the_network_of_the_readme():
    network = Network([784, 128, 10], rng=random.Random(1))
    lines = explain(network, bytes(range(256)) * 3 + bytes(16), 28, 4,
                    list("0123456789"), label=3)
    text = "\n".join(lines)
    for shapes in ("(1 x 784)(784 x 128) + (1 x 128) -> (1 x 128)",
                   "(1 x 128)(128 x 10) + (1 x 10) -> (1 x 10)",
                   "(128 x 1)(1 x 10) -> (128 x 10)",
                   "(1 x 10)(10 x 128) -> (1 x 128)",
                   "(784 x 1)(1 x 128) -> (784 x 128)"):
        assert shapes in text
    assert max(map(len, lines)) <= 100


def test_ink_is_that_which_the_network_sees():
    text = "\n".join(explained(a_network(), levels=4))
    image, = seen(4)
    ink = sum(x > 0 for x in image)
    faint = sum(x > 0 for x in IMAGE) - ink
    assert 0 < faint
    assert f"{ink} pixels of 12 ({ink / 12:.1%}) have ink, {sum(image):.2f} in" in text
    assert f"  {faint} pixels more, too faint" in text
    greys, pixels = (re.split(r" {2,}", line.strip())[1:] for line in text.splitlines()
                     if line.startswith(("    grey ", "  pixels ")))
    assert greys == ["0.00", "0.33", "0.67", "1.00"]
    assert list(map(int, pixels)) == [image.count(k / 3) for k in range(4)]


def test_an_image_without_ink_or_label_is_explained_as_well(capsys):
    lines = explained(a_network(), image=bytes(12))
    assert "  0 pixels of 12 (0.0%) have ink, 0.00 in all" in lines
    (terms, _, total), *_ = written_sums(lines).values()
    assert len(terms) == 1 and terms[0] == total        # the bias is all there is
    assert "  0 of 108 entries are not 0" in lines
    text = "\n".join(explained(a_network(), label=None))
    assert "no gradient" in text and "dZ" not in text and "L, the loss" not in text
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("loss", LOSSES)
def test_numbers_beyond_the_range_of_exp_are_no_trouble(loss):
    network = a_network(loss=loss)
    network.layers[-1].weights = network.layers[-1].weights * 1e5
    assert not re.search(r"\b(nan|inf)\b", "\n".join(explained(network, label=2)))


@pytest.mark.parametrize("unit", [9, 1000, -1])
def test_a_unit_that_is_not_there(unit):
    with pytest.raises(IndexError, match=f"unit {unit} of 9"):
        explained(a_network(), unit=unit)
