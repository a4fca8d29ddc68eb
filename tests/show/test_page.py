"""The page to draw on: what its script is answered."""
import base64
import json
import random

import pytest
from conftest import ROOT, serving
from tools.asking import ask, is_short_refusal

import data_loader
from data_loader import Dataset
from engine.sparse import SparseMatrix
from errors import DataError
from learning import models
from my_math import Matrix
from network import Network
from pictures.digit import Found
from show import page
from show.server import Refusal, assemble

DIGITS = list("0123456789")
WEB = ROOT / "show" / "web"
INK = bytes(140 * 140)


def with_line(width=12, left=64):
    """Ink of a 1 in the drawing."""
    row = bytes(left) + bytes([255] * width) + bytes(140 - left - width)
    return bytes(140 * 20) + row * 100 + bytes(140 * 20)


@pytest.fixture(scope="module")
def network():
    return Network.load(ROOT / "data" / "model.npz")[0]


@pytest.fixture(scope="module")
def sample():
    return data_loader.load(data_loader.SAMPLE_FOLDER, ("t10k",))[0]


@pytest.fixture(scope="module")
def reader(network):
    return page.Reader(network, 4, DIGITS)


@pytest.fixture(scope="module")
def server(network):
    with serving(page.make_server(network, 4, DIGITS)) as server:
        yield server


def reading_of(reader, image, damage="", off=""):
    """The one reading of a picture."""
    (reading,), = reader.picture(image, damage, off)["digits"]
    return reading


# ---------------------------------------------------------------------------
# The page itself
# ---------------------------------------------------------------------------

def test_the_page_is_one_file_that_needs_nothing_from_elsewhere(server):
    content = ask(server, "GET", "/")[2].decode()
    assert content == assemble(WEB / "page.html")
    names = [path.name for path in WEB.iterdir()]
    assert len(names) > 10 and not any(f'"{name}"' in content for name in names)
    for text in "https://", "src=", "@import", "url(", "href=\"http":
        assert text not in content
    # The one address is the name of a set of elements, which nothing is fetched from.
    assert content.count("http://") == content.count("http://www.w3.org/2000/svg") == 1


@pytest.mark.parametrize("path", sorted(WEB.iterdir()), ids=lambda path: path.name)
def test_the_parts_of_the_page_are_short_enough_to_be_read(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 450 and max(map(len, lines)) <= 88


def test_the_server_answers_what_the_page_asks(server, sample):
    about = json.loads(ask(server, "GET", "/start")[2])
    assert about["sizes"] == [784, 128, 10]
    assert len(json.loads(ask(server, "GET", "/unit?number=17")[2])["weights"]) == 784
    image = sample.image(0)
    for path, body in (("/ink?damage=turn&off=0-3", INK), ("/picture?off=", image),
                       ("/why?digit=3&rival=2", image), ("/change?goal=", image)):
        status, kind, content, _ = ask(server, "POST", path, body)
        assert (status, kind) == (200, "application/json"), content


def test_what_is_no_field_of_a_question_is_refused(server):
    for path, status in (
            ("/picture?damage=fire", 400), ("/picture?damage=turn&damage=turn", 400),
            ("/picture?off=0-128", 404), ("/picture?off=1-0", 404),
            ("/picture?off=3", 404), ("/picture?off=0-%D9%A1", 404),
            ("/why?digit=3", 404), ("/why?digit=3&rival=10", 404),
            ("/why?digit=-1&rival=1", 404), ("/change?goal=x", 404)):
        assert is_short_refusal(ask(server, "POST", path, bytes(784)), status), path
    for number in "", "128", "-1", "x", "99999999999999999999":
        answer = ask(server, "GET", f"/unit?number={number}")
        assert is_short_refusal(answer, 404), number


# ---------------------------------------------------------------------------
# What is answered
# ---------------------------------------------------------------------------

def test_start_tells_the_network_and_a_sample_of_each_class(reader, network, sample):
    about = reader.start()
    assert about["sizes"] == [784, 128, 10] and about["classes"] == DIGITS
    assert about["activation"] == "relu" and about["loss"] == "cross-entropy"
    assert about["onward"] == list(network.layers[1].weights)
    assert about["bias"] == network.layers[1].bias.to_matrix()[0]
    assert about["damages"] == ["shift", "noise", "thin", "turn"]
    assert [digit["name"] for digit in about["samples"]] == DIGITS
    for label, digit in enumerate(about["samples"]):
        index = sample.labels.index(label)
        assert base64.b64decode(digit["picture"]) == sample.image(index)


def test_a_unit_is_a_column_of_the_weights(reader, network):
    unit, layer = reader.unit("17"), network.layers[0]
    assert unit["weights"] == [row[17] for row in layer.weights]
    assert unit["bias"] == layer.bias[0, 17]


def test_a_picture_is_answered_as_predict_answers_it(reader, network, sample):
    for index in range(5):
        image = sample.image(index)
        reading = reading_of(reader, image)
        x = SparseMatrix.from_images([image], 4)
        trace = network.forward(x)
        assert reading["outputs"] == network.predict(x)[0]
        assert reading["logits"] == trace.logits[0]
        assert reading["sums"] == trace.sums[0][0]
        assert reading["hidden"] == [trace.inputs[1][0]]
        seen = base64.b64decode(reading["picture"])
        assert seen == bytes(round(grey / 85) * 85 for grey in image)


def test_units_that_are_switched_off_add_nothing(reader, network, sample):
    image, last = sample.image(0), network.layers[1]
    whole = reading_of(reader, image)
    top = whole["hidden"][0].index(max(whole["hidden"][0]))
    rest = reading_of(reader, image, off=f"0-{top},0-39")
    assert rest["hidden"][0][top] == rest["hidden"][0][39] == 0
    lost = [sum(whole["hidden"][0][k] * last.weights[k, j] for k in (top, 39))
            for j in range(10)]
    assert any(lost)
    assert rest["logits"] == pytest.approx(
        [z - x for z, x in zip(whole["logits"], lost)])
    damaged, = reader.picture(image, "turn", f"0-{top},0-39")["digits"]
    assert damaged[0]["logits"] == rest["logits"]
    assert all(reading["hidden"][0][top] == 0 for reading in damaged)


def test_a_line_is_read_as_1_wherever_it_is(reader):
    ink = with_line()
    for drawing in ink, ink[1400:] + bytes(1400), ink[40:] + bytes(40):
        found = reader.ink(drawing, "", "")
        (reading,), = found["digits"]
        assert found["remark"] == "" and reading["outputs"].index(
            max(reading["outputs"])) == 1


def test_two_lines_are_two_digits(reader):
    ink = bytes(map(max, with_line(left=30), with_line(left=90)))
    found = reader.ink(ink, "noise", "")
    assert found["remark"] == "" and [len(digit) for digit in found["digits"]] == [7, 7]
    for digit in found["digits"]:
        assert digit[0]["outputs"].index(max(digit[0]["outputs"])) == 1


@pytest.mark.parametrize("remark, ink", [
    ("ink everywhere", b"\xff" * 19600),
    ("a blot of ink", b"".join(bytes(50) + b"\xff" * 40 + bytes(50) if 50 < y < 90
                               else bytes(140) for y in range(140))),
    ("nothing but paper", bytes(9800) + b"\xff" * 4 + bytes(9796))])
def test_what_is_no_digit_is_named_and_answered_all_the_same(reader, remark, ink):
    found = reader.ink(ink, "", "")
    (reading,), = found["digits"]
    assert found["remark"] == remark and sum(reading["outputs"]) == pytest.approx(1)


def test_a_drawing_is_found_and_refused_as_in_a_picture_file(reader, monkeypatch):
    given, garments = [], [f"garment {k}" for k in range(10)]

    def stub(rows):
        given.append(b"".join(map(bytes, rows)))
        if len(given) > 1:
            raise DataError("picture", "a tangle of lines", "digits")
        return Found([bytes([255] * 784)], [])

    monkeypatch.setattr(page, "digits_in", stub)
    found = reader.ink(with_line(), "", "")
    assert given == [with_line()]
    assert set(base64.b64decode(found["digits"][0][0]["picture"])) == {255}
    assert reader.ink(with_line(), "", "")["remark"] == "a tangle of lines"
    # Rules about digits are none about other classes: a garment may well be a blot.
    others = page.Reader(Network([784, 10]), 4, garments)
    assert others.ink(with_line(), "", "")["remark"] == "" and len(given) == 2


def test_an_empty_drawing_is_an_empty_picture(reader):
    found = reader.ink(INK, "", "")
    (reading,), = found["digits"]
    assert found["remark"] == "" and base64.b64decode(reading["picture"]) == bytes(784)


@pytest.mark.parametrize("damage", list(page.DAMAGES))
def test_each_damage_gives_seven_readings_from_whole_to_worst(reader, sample, damage):
    image = sample.image(0)
    readings, = reader.picture(image, damage, "")["digits"]
    assert len(readings) == 7 and readings[0] == reading_of(reader, image)
    assert len({reading["picture"] for reading in readings}) == 7


def test_why_has_the_logits_and_the_sum_of_its_parts(reader, sample):
    image = sample.image(3)
    reading = reading_of(reader, image)
    why = reader.why(image, "3", "2", "")
    assert why["logits"] == reading["logits"] and (why["digit"], why["rival"]) == (3, 2)
    difference = reading["logits"][3] - reading["logits"][2]
    assert why["difference"] == difference
    assert sum(why["units"]) + why["bias"] == pytest.approx(difference)
    ink = sum(grey / 255 * slope for grey, slope in
              zip(base64.b64decode(reading["picture"]), why["slope"]))
    assert ink + why["offset"] == pytest.approx(difference)
    unit = max(range(128), key=lambda k: abs(why["units"][k]))
    assert reader.why(image, "3", "2", f"0-{unit}")["units"][unit] == 0


def test_changed_pixels_change_the_answer(reader, sample):
    image = sample.image(5)
    label = reading_of(reader, image)["outputs"]
    for goal in "", "8":
        changed = bytearray(image)
        for pixel, grey in reader.change(image, goal, "")["pixels"]:
            changed[pixel] = grey
        outputs = reading_of(reader, bytes(changed))["outputs"]
        top = outputs.index(max(outputs))
        assert top != label.index(max(label)) and (not goal or top == 8)


def test_the_largest_weights_that_are_loaded_give_numbers(sample):
    """Larger ones Model.load refuses: sums could run over, and JSON has no infinity."""
    network = Network([784, 4, 3, 10], rng=random.Random(1))
    for layer in network.layers:
        layer.weights = layer.weights * 1e48
    assert 1e146 < models.bound_of_sums(network) <= 1e150
    reader, image = page.Reader(network, 4, DIGITS), sample.image(5)
    for found in (reader.picture(image, "noise", ""), reader.why(image, "3", "2", ""),
                  reader.change(image, "", ""), reader.start(), reader.unit("1")):
        json.dumps(found, allow_nan=False)


# ---------------------------------------------------------------------------
# Damage, networks of other shapes, the start and the end
# ---------------------------------------------------------------------------

def test_no_damage_at_step_0_and_paper_stays_paper():
    picture = bytes(random.Random(1).randrange(256) for _ in range(784))
    for name, damage in page.DAMAGES.items():
        assert damage(picture, 0) == picture, name
        assert len(damage(picture, 6)) == 784
        if name != "noise":
            assert damage(bytes(784), 6) == bytes(784)


def test_shift_moves_to_the_right_and_turn_clockwise():
    dot = bytearray(784)
    dot[4 * 28 + 14] = 200                  # above the middle
    moved, turned = page.shifted(dot, 3), page.turned(dot, 6)
    assert moved.index(200) == 4 * 28 + 17 and moved.count(200) == 1
    row, column = divmod(turned.index(200), 28)
    assert 7 <= row <= 11 and 21 <= column <= 24        # 60 degrees to the right of it


def test_noise_is_as_much_as_it_says_and_the_same_in_every_picture():
    grains = [page.noisy(bytes(784), step) for step in range(7)]
    assert [g.count(255) for g in grains] == [step * 784 // 50 for step in range(7)]
    for less, more in zip(grains, grains[1:]):
        assert all(b or not a for a, b in zip(less, more))


def test_thinner_takes_a_line_of_five_pixels_down_to_three_and_one():
    line = bytes([0] * 10 + [240] * 5 + [0] * 13) * 28
    assert page.thinned(line, 3)[28 * 14:28 * 15].count(240) == 3
    assert page.thinned(line, 6)[28 * 14:28 * 15].count(240) == 1
    assert list(page.thinned(line, 1)[28 * 14 + 10:28 * 14 + 12]) == [160, 240]


@pytest.mark.parametrize("sizes, activation, units", [
    ([784, 10], "relu", 10), ([784, 5, 7, 10], "tanh", 5),
    ([784, 300, 10], "sigmoid", 300)])
def test_networks_of_other_shapes_are_shown(sizes, activation, units):
    network = Network(sizes, activation)
    reader, image = page.Reader(network, 256, DIGITS), bytes(range(196)) * 4
    reading = reading_of(reader, image)
    assert len(reading["sums"]) == units and len(reading["outputs"]) == 10
    assert list(map(len, reading["hidden"])) == sizes[1:-1]
    onward = reader.start()["onward"]
    assert len(onward) == (sizes[-2] if len(sizes) > 2 else 0)
    assert len(reader.unit(str(units - 1))["weights"]) == 784
    with pytest.raises(Refusal, match=f"0 to {units - 1}"):
        reader.unit(str(units))
    assert len(reader.why(image, "1", "2", "")["units"]) == len(onward)


def test_samples_are_those_given_if_they_are_of_the_classes_known(network):
    given = Dataset("g", bytes([7] * 784 + [9] * 784 * 2), bytes([3, 1, 3]), 28, 28)
    offered = page.Reader(network, 4, DIGITS, given).start()["samples"]
    assert [digit["name"] for digit in offered] == ["1", "3"]
    assert base64.b64decode(offered[1]["picture"]) == bytes([7] * 784)
    clothes = [f"garment {number}" for number in range(10)]
    assert page.Reader(network, 4, clothes).start()["samples"] == []


@pytest.mark.parametrize("sizes, names", [([100, 10], DIGITS), ([784, 3], DIGITS),
                                          ([784, 10], ["a", "b"])])
def test_a_network_for_something_else_is_refused(sizes, names):
    with pytest.raises(ValueError, match="expected 784 inputs"):
        page.Reader(Network(sizes), 4, names)


def test_serve_makes_a_server_of_these_and_runs_it(network, monkeypatch):
    ran = []
    monkeypatch.setattr(page.Server, "run", lambda *arguments: ran.append(arguments))
    page.serve(network, 4, DIGITS, open_browser=False, ready=print)
    (server, open_browser, ready), = ran
    assert set(server.questions) == {"/start", "/unit", "/ink", "/picture", "/why",
                                     "/change"}
    assert not open_browser and ready is print
