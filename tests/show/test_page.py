"""The page to draw on: what its script is answered."""
import base64
import json
import random

import pytest
from conftest import ROOT, serving
from tools.asking import ask, is_short_refusal

from engine.sparse import SparseMatrix
from learning import models
from my_math import Matrix
from network import LOSSES, Network
from show import page
from show.server import assemble
from show.why import compare

DIGITS = list("0123456789")
WEB = ROOT / "show" / "web"


@pytest.fixture(scope="module")
def network(shipped):
    return shipped.network


@pytest.fixture(scope="module")
def reader(shipped):
    return page.Reader(shipped)


@pytest.fixture(scope="module")
def server(shipped):
    with serving(page.make_server(shipped)) as server:
        yield server


def reading_of(reader, image, off=""):
    """The one reading of a picture."""
    (reading,), = reader.picture(image, "", off)["digits"]
    return reading


# --- The page itself

@pytest.mark.parametrize("name", ["page.html", "watch.html"])
def test_a_page_is_one_file_that_needs_nothing_from_elsewhere(name):
    content = assemble(WEB / name)
    assert not any(f'"{path.name}"' in content for path in WEB.iterdir())
    for text in "https://", "src=", "@import", "url(", 'href="http', '<link rel="style':
        assert text not in content
    # The one address is the name of a set of elements, which nothing is fetched from.
    assert content.count("http://") == content.count("http://www.w3.org/2000/svg") == 1


@pytest.mark.parametrize("path", sorted(WEB.iterdir()), ids=lambda path: path.name)
def test_the_parts_of_the_page_are_short_enough_to_be_read(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 450 and max(map(len, lines)) <= 88


def test_the_server_answers_what_the_page_asks(server, sample):
    assert ask(server, "GET", "/")[2].decode() == assemble(WEB / "page.html")
    assert json.loads(ask(server, "GET", "/start")[2])["sizes"] == [784, 128, 10]
    assert len(json.loads(ask(server, "GET", "/unit?number=17")[2])["weights"]) == 784
    image = sample.image(0)
    for path, body in (("/ink?damage=turn&off=0-3", bytes(140 * 140)),
                       ("/picture?off=", image), ("/why?digit=3&rival=2", image),
                       ("/change?goal=", image)):
        status, kind, content, _ = ask(server, "POST", path, body)
        assert (status, kind) == (200, "application/json"), content
    assert is_short_refusal(ask(server, "POST", "/picture?damage=fire", image), 400)
    for query in ("picture?off=0-128", "picture?off=1-0", "picture?off=3",
                  "picture?off=0-%D9%A1", "why?digit=3", "why?digit=3&rival=10",
                  "why?digit=-1&rival=1", "change?goal=x"):
        assert is_short_refusal(ask(server, "POST", "/" + query, image), 404), query
    for number in "", "128", "9" * 20:
        answer = ask(server, "GET", f"/unit?number={number}")
        assert is_short_refusal(answer, 404), number


# --- What is answered

@pytest.mark.parametrize("off, units", [("", []), ("0-3,0-39", [3, 39])])
def test_answers_are_those_of_the_network(reader, network, sample, off, units):
    masks = [Matrix([[float(k not in units) for k in range(128)]])]
    for index in range(3):
        image = sample.image(index)
        x = SparseMatrix.from_images([image], 4)
        trace = network.forward(x, masks)
        (reading,), = reader.picture(image, "", off)["digits"]
        assert reading == {
            "picture": page.as_text(bytes(round(grey / 85) * 85 for grey in image)),
            "outputs": LOSSES["cross-entropy"].outputs(trace.logits)[0],
            "perhaps": None,
            "logits": trace.logits[0], "sums": trace.sums[0][0],
            "hidden": [trace.inputs[1][0]]}
        assert all(reading["hidden"][0][k] == 0 for k in units)
        assert reader.why(image, "3", "2", off) == {
            **compare(network, x, 3, 2, masks)._asdict(), "logits": trace.logits[0],
            "digit": 3, "rival": 2}


@pytest.mark.parametrize("remark, ink", [
    ("", bytes(19600)), ("ink everywhere", b"\xff" * 19600),
    ("a blot of ink", b"".join(bytes(50) + b"\xff" * 40 + bytes(50) if 50 < y < 90
                               else bytes(140) for y in range(140))),
    ("nothing but paper", bytes(9800) + b"\xff" * 4 + bytes(9796))])
def test_what_is_no_digit_is_named_and_answered_all_the_same(reader, remark, ink):
    found = reader.ink(ink, "", "")
    (reading,), = found["digits"]
    assert found["remark"] == remark and sum(reading["outputs"]) == pytest.approx(1)
    assert any(ink) or base64.b64decode(reading["picture"]) == bytes(784)


def test_rules_about_digits_are_none_about_other_classes():
    garments = [f"garment {k}" for k in range(10)]
    others = page.Reader(models.Model(None, Network([784, 10]), 4, garments))
    assert others.start()["samples"] == []
    found = others.ink(b"\xff" * 19600, "", "")        # a garment may well be a blot
    assert found["remark"] == "" and len(found["digits"]) == 1


def test_the_largest_weights_that_are_loaded_give_numbers(sample):
    """Larger ones Model.load refuses: sums could run over, and JSON has no infinity."""
    network = Network([784, 4, 3, 10], rng=random.Random(1))
    for layer in network.layers:
        layer.weights = layer.weights * 1e48
    assert 1e146 < models.bound_of_sums(network) <= 1e150
    reader = page.Reader(models.Model(None, network, 4, DIGITS))
    image = sample.image(5)
    for found in (reader.picture(image, "noise", ""), reader.why(image, "3", "2", ""),
                  reader.change(image, "", ""), reader.start(), reader.unit("1")):
        json.dumps(found, allow_nan=False)


# --- Damage

@pytest.mark.parametrize("name", list(page.DAMAGES))
def test_a_damage_makes_a_picture_worse_step_by_step(reader, sample, name):
    image, damage = sample.image(0), page.DAMAGES[name]
    readings, = reader.picture(image, name, "0-3")["digits"]
    assert len(readings) == 7 and readings[0] == reading_of(reader, image, "0-3")
    assert all(reading["hidden"][0][3] == 0 for reading in readings)
    assert len({reading["picture"] for reading in readings}) == 7
    picture = bytes(random.Random(1).randrange(256) for _ in range(784))
    assert damage(picture, 0) == picture and len(damage(picture, 6)) == 784
    assert name == "noise" or damage(bytes(784), 6) == bytes(784)   # paper stays paper


def test_shift_noise_thin_and_turn_are_what_they_say():
    dot = bytearray(784)
    dot[4 * 28 + 14] = 200                  # above the middle
    moved, turned = page.shifted(dot, 3), page.turned(dot, 6)
    assert moved.index(200) == 4 * 28 + 17 and moved.count(200) == 1
    row, column = divmod(turned.index(200), 28)
    assert 7 <= row <= 11 and 21 <= column <= 24        # 60 degrees clockwise
    grains = [page.noisy(bytes(784), step) for step in range(7)]
    assert [g.count(255) for g in grains] == [step * 784 // 50 for step in range(7)]
    for less, more in zip(grains, grains[1:]):
        assert all(b or not a for a, b in zip(less, more))
    line = bytes([0] * 10 + [240] * 5 + [0] * 13) * 28
    for step, ends, width in ((1, [160, 240], 3), (2, [80, 240], 3), (3, [0, 240], 3),
                              (6, [0, 0], 1)):
        thin = page.thinned(line, step)[28 * 14:28 * 15]
        assert list(thin[10:12]) == ends and thin.count(240) == width
