"""The page to draw on, in a real browser: what is drawn, what it shows of it."""
import base64
import json
import math
import time

import pytest
from conftest import ROOT, serving

import data_loader
from engine.sparse import SparseMatrix
from errors import DataError
from network import Network
from pictures.digit import find_digits, read_picture
from show import page as page_module

DIGITS = list("0123456789")
GARMENTS = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt",
            "Sneaker", "Bag", "Ankle boot"]

SEVEN = [[(0.25, 0.25), (0.5, 0.25), (0.75, 0.25), (0.65, 0.45), (0.55, 0.65),
          (0.45, 0.88)]]
ONE = [[(0.5, 0.15), (0.5, 0.4), (0.5, 0.6), (0.5, 0.85)]]


@pytest.fixture(scope="module")
def network():
    return Network.load(ROOT / "data" / "model.npz")[0]


@pytest.fixture(scope="module")
def sample():
    return data_loader.load(data_loader.SAMPLE_FOLDER, ("t10k",))[0]


@pytest.fixture(scope="module")
def server(network):
    with serving(page_module.make_server(network, 4, DIGITS)) as server:
        yield server


@pytest.fixture
def page(chromium, server):
    """The page, freshly opened in a window of 1280 x 800; it must report no problem."""
    def opened(width=1280, height=800, url=server.url, **theme):
        chromium.problems.clear()
        chromium.look(width, height, **theme)
        chromium.open(url, "about")
        return chromium
    yield opened
    assert chromium.problems == []


def reads(digit):
    """JavaScript that is true when the page answers with that digit."""
    return f"(document.querySelector('#digit').textContent === '{digit}')"


def text(browser, selector):
    return browser.ask(f"document.querySelector('{selector}').textContent")


def texts(browser, selector):
    return browser.ask(f"[...document.querySelectorAll('{selector}')]"
                       ".map(element => element.textContent)")


def number(shown):
    """A number as the page writes it."""
    return float(shown.replace("−", "-").replace("%", ""))


def rgba(browser, selector):
    """The numbers of a canvas, read from a copy that is made for it."""
    return browser.ask(f"""(() => {{
        const canvas = document.querySelector("{selector}");
        const copy = new OffscreenCanvas(canvas.width, canvas.height);
        const context = copy.getContext("2d", {{willReadFrequently: true}});
        context.drawImage(canvas, 0, 0);
        return [...context.getImageData(0, 0, copy.width, copy.height).data]; }})()""")


def settle(browser):
    """Wait until all has been asked and shown."""
    browser.wait("!jobs")


# ---------------------------------------------------------------------------
# Drawing
# ---------------------------------------------------------------------------

def test_a_digit_drawn_with_the_mouse_is_read(page, tmp_path):
    browser = page()
    assert text(browser, "#share") == "nothing drawn yet"
    browser.draw("#paper", SEVEN)
    browser.wait(reads(7))
    browser.wait("/Answer: 7/.test(document.querySelector('#spoken').textContent)")
    shares = [number(share.lstrip(">\xa0")) for share in
              texts(browser, "#outputs .percent")]
    assert len(shares) == 10 and shares.index(max(shares)) == 7
    assert sum(shares) == pytest.approx(100, abs=0.6)
    browser.screenshot(tmp_path / "seven.png")
    assert (tmp_path / "seven.png").read_bytes().startswith(b"\x89PNG")


def test_undo_and_clear(page):
    browser = page()
    browser.draw("#paper", ONE)
    browser.wait(reads(1))
    browser.draw("#paper", [[(0.5, 0.15), (0.3, 0.15), (0.25, 0.3)],
                            [(0.5, 0.5), (0.75, 0.5)]])
    browser.wait("!" + reads(1))
    browser.click("#undo")
    browser.click("#undo")
    browser.wait(reads(1))
    browser.click("#clear")
    browser.wait(reads("–"))
    browser.click("#undo")          # even that can be undone
    browser.wait(reads(1))


@pytest.mark.parametrize("code, key, left", [(8, "Backspace", 0), (46, "Delete", 1)])
def test_undo_or_clear_in_the_middle_of_a_stroke_ends_it(page, code, key, left):
    browser = page()
    browser.draw("#paper", ONE)
    browser.ask("document.querySelector('#paper').focus()")
    browser.mouse("mousePressed", "#paper", 0.2, 0.3)
    browser.mouse("mouseMoved", "#paper", 0.3, 0.3)
    browser.key(key, code)
    browser.mouse("mouseMoved", "#paper", 0.4, 0.9)
    browser.mouse("mouseReleased", "#paper", 0.4, 0.9)
    settle(browser)
    # What was there before is whole, and nothing goes to where the mouse went then.
    assert browser.ask("done.filter(deed => deed.points).length") == 1 + left
    assert browser.ask("done[0].points.length") == len(ONE[0])
    assert browser.ask("visible().length") == 1 - left
    browser.draw("#paper", SEVEN)
    assert browser.ask("done.at(-1).points.length") == len(SEVEN[0])


def test_a_digit_drawn_with_the_keyboard_is_read(page):
    browser = page()
    browser.ask("document.querySelector('#paper').focus()")
    browser.key("ArrowUp", 38)
    browser.key(" ", 32, " ")
    for _ in range(7):
        browser.key("ArrowDown", 40, modifiers=8)
    browser.key(" ", 32, " ")
    browser.wait(reads(1))
    assert "Pen up" in text(browser, "#spoken") or "Answer" in text(browser, "#spoken")
    browser.key("Delete", 46)
    browser.wait(reads("–"))


def test_a_held_space_is_one_and_other_keys_are_the_browsers(page):
    browser = page()
    browser.ask("document.querySelector('#paper').focus()")
    browser.ask("""window.handled = [];
        document.addEventListener("keydown", (event) =>
          handled.push([event.key, event.defaultPrevented]))""")
    browser.key(" ", 32, " ", repeats=6)
    assert browser.ask("pen.down") and browser.ask("done.length") == 1
    at = browser.ask("[pen.x, pen.y]")
    browser.ask("handled.length = 0")
    for modifiers in 1, 2, 4:                                   # Alt, Control, Meta
        browser.ask(f"""paper.dispatchEvent(new KeyboardEvent("keydown", {{
            key: "ArrowLeft", bubbles: true, cancelable: true,
            altKey: {str(modifiers == 1).lower()},
            ctrlKey: {str(modifiers == 2).lower()},
            metaKey: {str(modifiers == 4).lower()}}}))""")
    assert browser.ask("handled") == [["ArrowLeft", False]] * 3
    assert browser.ask("[pen.x, pen.y]") == at


def test_a_sample_is_seen_as_it_is(page, sample):
    browser = page()
    browser.click("#samples button:nth-child(5)")
    browser.wait(reads(4))
    image = sample.image(sample.labels.index(4))
    shown = rgba(browser, "#picture")[::4]
    ink = [i for i, grey in enumerate(image) if grey > 213]     # the darkest of 4 greys
    assert ink == [i for i, red in enumerate(shown) if red == min(shown)]


def test_samples_are_one_stop_of_the_tab_key(page):
    browser = page()
    stops = "document.querySelectorAll('#samples [tabindex=\"0\"]').length"
    assert browser.ask(stops) == 1
    browser.ask("document.querySelector('#samples button').focus()")
    browser.key("ArrowRight", 39)
    browser.key("ArrowRight", 39)
    assert browser.ask("document.activeElement.ariaLabel") == "sample: 2"
    browser.key("End", 35)
    assert browser.ask("document.activeElement.ariaLabel") == "sample: 9"
    assert browser.ask(stops) == 1
    browser.key("Enter", 13, "\r")
    browser.wait(reads(9))


# ---------------------------------------------------------------------------
# The answer
# ---------------------------------------------------------------------------

def test_the_output_layer_has_the_networks_logits(page, network, sample):
    browser = page()
    browser.click("#samples button:nth-child(5)")
    browser.wait(reads(4))
    x = SparseMatrix.from_images([sample.image(sample.labels.index(4))], 4)
    logits, = network.forward(x).logits
    outputs, = network.predict(x)
    assert list(map(number, texts(browser, "#outputs .logit"))) == pytest.approx(
        logits, abs=0.0051)
    for shown, output in zip(texts(browser, "#outputs .percent"), outputs):
        assert shown == (">\xa099.9\xa0%" if output > 0.999
                         else f"{100 * output:.1f}\xa0%")


def test_lines_are_activations_times_weights(page, network, sample):
    browser = page()
    browser.click("#samples button:nth-child(5)")
    browser.wait(reads(4))
    settle(browser)
    lines = "document.querySelectorAll('#lines path').length"
    trace = network.forward(SparseMatrix.from_images(
        [sample.image(sample.labels.index(4))], 4))
    hidden, weights = trace.inputs[1][0], network.layers[1].weights
    for digit in 4, 9:
        terms = [a * row[digit] for a, row in zip(hidden, weights)]
        browser.ask(f"document.querySelector('#output-{digit}').focus()")
        browser.hover(f"#output-{digit}")
        caption = text(browser, "#caption")
        up, down = sum(t for t in terms if t > 0), sum(t for t in terms if t < 0)
        assert f"+{up:.2f}" in caption and f"−{-down:.2f}" in caption
        assert number(caption.split("logit ")[1].rstrip(".")) == pytest.approx(
            trace.logits[0][digit], abs=0.0051)
        widths = browser.ask("[...document.querySelectorAll('#lines path')].map(path "
                             "=> [path.getAttribute('class'), "
                             "Number(path.getAttribute('stroke-width'))])")
        assert 3 < len(widths) <= sum(map(bool, terms))
        strongest = sorted((t for t in terms if t), key=abs, reverse=True)
        assert [kind for kind, _ in widths] == [
            "blue" if t > 0 else "orange" for t in strongest[:len(widths)]]
        ratio = widths[0][1] / abs(strongest[0])
        for (_, width), term in zip(widths, strongest):
            assert width == pytest.approx(ratio * abs(term), abs=0.02)
    unit = hidden.index(max(hidden))
    browser.hover(f"#unit-0-{unit}")
    terms = [hidden[unit] * weight for weight in weights[unit]]
    best = terms.index(max(terms))
    assert f"{best} (+{terms[best]:.2f})" in text(browser, "#caption")
    assert 0 < browser.ask(lines) <= 10


def test_hovering_shows_and_clicking_keeps(page):
    browser = page()
    browser.click("#samples button:nth-child(4)")
    settle(browser)
    first = text(browser, "#unit-title")
    browser.hover("#unit-0-40")
    assert text(browser, "#unit-title") == "Unit 40 at work"
    browser.hover("#title")
    assert text(browser, "#unit-title") == first != "Unit 40 at work"
    browser.click("#unit-0-40")
    browser.hover("#title")
    assert text(browser, "#unit-title") == "Unit 40 at work"
    assert browser.ask("document.querySelector('#unit-0-40').ariaSelected") == "true"
    browser.click("#unit-0-40")
    browser.hover("#title")
    assert text(browser, "#unit-title") == first
    assert browser.ask("document.querySelector('#unit-0-40').ariaSelected") == "false"


def test_a_doubtful_answer_names_the_runner_up(page):
    browser = page()
    browser.draw("#paper", ONE)
    browser.wait(reads(1))
    settle(browser)
    browser.ask("""(() => { const reading = current();
        reading.outputs = [0, 0.55, 0, 0, 0, 0, 0, 0.45, 0, 0];
        reading.perhaps = 7; show(); })()""")
    assert text(browser, "#share") == "55.0\xa0%, perhaps 7"
    assert text(browser, "#brief") == "1 55.0 %, perhaps 7"


def test_two_digits_are_two(page):
    browser = page()
    browser.draw("#paper", [[(0.25, 0.2), (0.25, 0.5), (0.25, 0.8)],
                            [(0.5 + 0.4 * x, 0.2 + 0.6 * y) for x, y in SEVEN[0]]])
    settle(browser)
    assert texts(browser, "#digit button") == ["1", "7"]
    assert browser.ask("best(current())") == 1
    browser.click("#digit button:nth-child(2)")
    settle(browser)
    assert browser.ask("best(current())") == 7
    assert text(browser, "#share").startswith("digit 2 is 7")
    assert text(browser, "#why-digit") == "7"


@pytest.mark.parametrize("remark, brush, strokes", [
    ("a blot of ink", 26, [[(0.45, 0.45), (0.55, 0.5), (0.45, 0.55), (0.55, 0.55)]]),
    ("ink everywhere", 26, [[(x / 100, y / 10) for x in (0, 100)]
                            for y in range(11)])])
def test_what_is_no_digit_is_named(page, remark, brush, strokes):
    browser = page()
    browser.ask(f"document.querySelector('#brush').value = {brush}")
    browser.draw("#paper", strokes)
    settle(browser)
    assert text(browser, "#digit") == "?"
    assert text(browser, "#share").startswith(f"{remark}: no digit. If it has to be ")


# ---------------------------------------------------------------------------
# Why, and one unit at work
# ---------------------------------------------------------------------------

def draw_and_wait_for_why(browser, digit=3):
    browser.click(f"#samples button:nth-child({digit + 1})")
    browser.wait(reads(digit))
    settle(browser)


def test_the_parts_of_why_add_up_to_the_difference(page, network, sample):
    browser = page()
    draw_and_wait_for_why(browser)
    logits, = network.forward(SparseMatrix.from_images(
        [sample.image(sample.labels.index(3))], 4)).logits
    rival = max((k for k in range(10) if k != 3), key=lambda k: logits[k])
    for chosen in rival, 7:
        if chosen != rival:
            browser.ask(f"""(() => {{ const select = document.querySelector("#rival");
                select.value = {chosen}; select.onchange(); }})()""")
            settle(browser)
        assert browser.ask("document.querySelector('#rival').value") == str(chosen)
        shown = list(map(number, texts(browser, "#why-units .number")))
        assert len(shown) == 8          # six units, all others together, the biases
        difference = logits[3] - logits[chosen]
        assert sum(shown) == pytest.approx(difference, abs=0.005 * len(shown) + 0.001)
        total, units, pixels, odds = texts(browser, "#why-sum p")
        assert total.endswith(f"= {difference:.2f}.")
        for sentence in units, pixels:
            assert sentence.endswith(f"Together exactly {difference:.2f}.")
        assert f"e^{difference:.2f}" in odds
        assert 0.99 < number(odds.split("= ")[1].split(" times")[0].replace(",", "")
                             ) / math.exp(difference) < 1.01
    widths = browser.ask("[...document.querySelectorAll('#why-units .scale span')]"
                         ".map(bar => parseFloat(bar.style.width))")
    assert widths == pytest.approx([50 * abs(x) / max(map(abs, shown)) for x in shown],
                                   abs=0.5)


def test_why_says_where_its_sums_are_not_exact(page):
    browser = page()
    draw_and_wait_for_why(browser)
    browser.ask("(why.units[5] += 0.25, showWhy())")
    assert "not exact" in texts(browser, "#why-sum p")[1]
    browser.ask("(why.slope.fill(1), showWhy())")
    assert "not exact" in texts(browser, "#why-sum p")[2]


def test_ink_is_coloured_for_and_against(page):
    browser = page()
    draw_and_wait_for_why(browser)
    signs = browser.ask("""[...bytes(why.now.picture)].map((grey, k) =>
        Math.sign(grey * why.slope[k]))""")
    data = rgba(browser, "#why-ink")
    pixels = [blue - red for red, blue in zip(data[::4], data[2::4])]
    assert signs.count(1) > 20 and signs.count(-1) > 5
    for sign, blue_minus_red in zip(signs, pixels):
        if abs(blue_minus_red) > 6:
            assert (blue_minus_red > 0) == (sign > 0)
        if sign == 0:
            assert blue_minus_red == 0


def test_a_unit_multiplies_adds_and_activates(page, network, sample):
    browser = page()
    draw_and_wait_for_why(browser)
    x = SparseMatrix.from_images([sample.image(sample.labels.index(3))], 4)
    sums, ink = network.forward(x).sums[0][0], x.to_matrix()[0]
    layer = network.layers[0]
    for unit in (sums.index(max(sums)), sums.index(min(sums))):
        browser.ask(f"document.querySelector('#unit-0-{unit}').focus()")
        browser.hover(f"#unit-0-{unit}")
        settle(browser)
        products = [grey * row[unit] for grey, row in zip(ink, layer.weights)]
        up = sum(p for p in products if p > 0)
        down = sum(p for p in products if p < 0)
        shown = [number(b) for b in texts(browser, "#chain b") if b != "→"]
        assert shown == pytest.approx([up, down, layer.bias[0, unit], sums[unit],
                                       max(0, sums[unit])], abs=0.0051)
        assert ("silent" in text(browser, "#unit-text")) == (sums[unit] < 0)


def test_units_are_one_stop_of_the_tab_key_and_arrows_move_between_them(page):
    browser = page()
    draw_and_wait_for_why(browser)
    stops = "document.querySelectorAll('.units [tabindex=\"0\"]').length"
    assert browser.ask(stops) == 1
    first = text(browser, "#unit-title")
    browser.ask("document.querySelector('#tour-start').focus()")
    browser.key("Tab", 9)
    browser.ask("document.querySelector('#unit-0-0').focus({focusVisible: true})")
    browser.key("ArrowRight", 39)
    assert text(browser, "#unit-title") == "Unit 1 at work"
    browser.key("ArrowDown", 40)
    row = browser.ask("[...document.querySelectorAll('.units > *')].filter("
                      "(unit, _, all) => unit.offsetTop === all[0].offsetTop).length")
    assert text(browser, "#unit-title") == f"Unit {1 + row} at work"
    browser.ask("document.activeElement.blur()")        # the focus alone keeps nothing
    assert text(browser, "#unit-title") == first
    browser.ask(f"$('unit-0-{row}').focus({{focusVisible: true}})")
    browser.key("Enter", 13, "\r")
    browser.ask("document.activeElement.blur()")
    assert text(browser, "#unit-title") == f"Unit {row} at work"


def test_after_clear_nothing_is_left_of_the_drawing(page):
    browser = page()
    draw_and_wait_for_why(browser)
    browser.click("#unit-0-40")
    browser.click("#clear")
    browser.wait(reads("–"))
    settle(browser)
    assert browser.ask("getComputedStyle($('why-content')).visibility") == "hidden"
    assert "activation" not in text(browser, "#chain")
    assert text(browser, "#unit-text") == "" and text(browser, "#caption") == ""
    assert browser.ask("document.querySelectorAll('#lines path').length") == 0
    assert set(texts(browser, "#outputs .percent")) == {""}


# ---------------------------------------------------------------------------
# Play
# ---------------------------------------------------------------------------

def test_damage_is_shown_step_by_step_and_cleared(page):
    browser = page()
    browser.draw("#paper", SEVEN)
    browser.wait(reads(7))
    for _ in range(3):
        browser.click("#damages button:nth-child(5)")
        browser.wait("document.querySelector('#verdict').textContent.includes('°')")
    settle(browser)
    assert text(browser, "#verdict").startswith("Rotated by 30°")
    assert text(browser, "#notes") == "Rotated by 30°"
    browser.click("#steps button:nth-child(7)")
    browser.wait("document.querySelector('#verdict').textContent.includes('60°')")
    assert text(browser, "#notes") == "Rotated by 60°"
    pressed = "document.querySelectorAll('#steps [aria-pressed=true]').length"
    assert browser.ask(pressed) == 1
    browser.click("#clear")
    settle(browser)
    assert browser.ask("damage") == "" and text(browser, "#notes") == ""
    browser.draw("#paper", SEVEN)
    browser.wait(reads(7))
    settle(browser)
    assert not browser.ask("document.querySelector('#steps').checkVisibility()")


def test_choosing_quickly_mixes_nothing_up(page):
    browser = page()
    browser.draw("#paper", SEVEN)
    browser.ask("""(async () => {
        const buttons = document.querySelectorAll('#damages button');
        for (let k = 0; k < 40; k++) {
            buttons[(k * 7) % 5].click();
            await new Promise(done => setTimeout(done, k % 4 * 3));
        }
        buttons[2].click();
        buttons[0].click(); })()""")
    browser.wait("!jobs && " + reads(7))
    assert text(browser, "#trouble") == "" and text(browser, "#verdict") == ""


def test_units_are_switched_off_and_on(page):
    browser = page()
    draw_and_wait_for_why(browser)
    before = text(browser, "#outputs .best .logit")
    deciders = texts(browser, "#why-units button")
    browser.click("#switch-deciders")
    settle(browser)
    assert text(browser, "#notes").startswith("6 units switched off")
    assert not set(deciders) & set(texts(browser, "#why-units button"))
    unit = deciders[0].split()[1]
    browser.hover(f"#unit-0-{unit}")
    assert text(browser, "#unit-text") == "It is switched off: activation 0."
    browser.click("#notes button")
    settle(browser)
    assert text(browser, "#notes") == ""
    assert texts(browser, "#why-units button") == deciders
    assert text(browser, "#outputs .best .logit") == before
    browser.click(f"#unit-0-{unit}")
    browser.click("#switch")
    settle(browser)
    assert text(browser, "#notes").startswith("1 unit switched off")
    assert browser.ask(f"current().hidden[0][{unit}]") == 0
    assert text(browser, "#switch") == "Switch this unit on"


def test_pixels_are_inked_and_wiped(page):
    browser = page()
    at = "bytes(current().picture)[5 * 28 + 3]"
    for x, y in ((3, 5), (3, 5), (3, 5)):
        browser.draw("#picture", [[((x + 0.5) / 28, (y + 0.5) / 28)]])
        settle(browser)
    assert browser.ask(at) == 255       # inked, wiped, inked
    browser.draw("#picture", [[(4.5 / 28, 10.5 / 28), (19.5 / 28, 10.5 / 28)]])
    settle(browser)
    assert browser.ask("bytes(current().picture).filter(Boolean).length") == 17
    browser.click("#undo")
    settle(browser)
    assert browser.ask("bytes(current().picture).filter(Boolean).length") == 1
    browser.ask("document.querySelector('#picture').focus({focusVisible: true})")
    browser.key("ArrowRight", 39)
    browser.key(" ", 32, " ", repeats=3)
    settle(browser)
    assert browser.ask("bytes(current().picture)[10 * 28 + 20]") == 255
    assert text(browser, "#spoken") == "Row 11, column 21: ink."


def test_a_finger_inks_with_a_tap_and_scrolls_otherwise(page):
    browser = page(360, 740, phone=True)
    browser.ask("$('picture').scrollIntoView({block: 'end'})")
    left, top, width, height = browser.box("#picture")
    at = {"x": left + 10.5 / 28 * width, "y": top + 20.5 / 28 * height}
    browser.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[at])
    browser.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    browser.wait("current() && bytes(current().picture)[20 * 28 + 10] === 255")
    settle(browser)
    before = browser.ask("window.scrollY")
    browser.send("Input.synthesizeScrollGesture", **at, yDistance=-150)
    assert browser.ask("window.scrollY") > before
    assert browser.ask("bytes(current().picture).filter(Boolean).length") == 1


def test_pixels_of_a_damaged_picture_are_changed_as_they_are_seen(page):
    browser = page()
    draw_and_wait_for_why(browser)
    browser.click("#damages button:nth-child(2)")
    settle(browser)
    seen = browser.ask("[...bytes(current().picture)]")
    browser.ask("window.scrollTo(0, 0)")
    browser.draw("#picture", [[(0.5 / 28, 0.5 / 28)]])
    settle(browser)
    assert browser.ask("damage") == "" and text(browser, "#notes") == ""
    assert browser.ask("[...bytes(current().picture)]") == [255, *seen[1:]]


def test_the_fewest_pixels_are_changed_marked_and_undone(page):
    browser = page()
    draw_and_wait_for_why(browser)
    before = browser.ask("[...bytes(current().picture)]")
    for goal in "", "8":
        browser.ask(f"document.querySelector('#goal').value = '{goal}'")
        browser.click("#fewest")
        browser.wait("$('fewest-text').textContent.startsWith('It read 3')")
        settle(browser)
        after = browser.ask("[...bytes(current().picture)]")
        changed = [k for k in range(784) if before[k] != after[k]]
        answer = text(browser, "#digit")
        assert answer == goal if goal else answer != "3"
        assert text(browser, "#notes") == (f"{len(changed)} pixel"
                                           f"{'s' * (len(changed) > 1)} changed")
        data = rgba(browser, "#marks")
        marked = [k for k in range(784)         # the middle of its upper edge
                  if data[4 * (280 * (k // 28 * 10 + 1) + k % 28 * 10 + 5) + 3]]
        assert marked == changed
        browser.click("#undo")
        browser.wait(reads(3))
        assert text(browser, "#fewest-text") == "" and text(browser, "#notes") == ""
    browser.ask("document.querySelector('#goal').value = '3'")
    browser.click("#fewest")
    assert text(browser, "#fewest-text") == "That is what it reads already."


# ---------------------------------------------------------------------------
# Class mode and tour
# ---------------------------------------------------------------------------

def test_class_mode_counts_what_was_drawn_and_read(page):
    browser = page()
    assert not browser.ask("document.querySelector('#tally').checkVisibility()")
    small = browser.ask("getComputedStyle(document.body).fontSize")
    browser.click("#class-mode")
    assert browser.ask("document.querySelector('#tally').checkVisibility()")
    assert float(browser.ask("getComputedStyle(document.body).fontSize")[:-2]) \
        >= 1.3 * float(small[:-2])
    browser.ask("document.querySelectorAll('#meant button')[3].click()")
    assert text(browser, "#tally-text") == "Nothing counted yet."
    for read, meant in ((3, 3), (3, 3), (5, 6)):
        draw_and_wait_for_why(browser, read)
        browser.ask(f"document.querySelectorAll('#meant button')[{meant}].click()")
        browser.wait(reads("–"))
    assert text(browser, "#tally-text") == "3 drawn, 2 read as meant (67\xa0%)."
    cells = texts(browser, "#confusion td")
    assert {divmod(k, 10): cell for k, cell in enumerate(cells) if cell} == {
        (3, 3): "2", (6, 5): "1"}
    browser.click("#tally-back")
    assert text(browser, "#tally-text") == "2 drawn, 2 read as meant (100\xa0%)."
    browser.click("#class-mode")
    assert browser.ask("getComputedStyle(document.body).fontSize") == small


def test_a_saved_drawing_is_what_was_sent(page, tmp_path):
    browser = page()
    browser.send("Browser.setDownloadBehavior", behavior="allow",
                 downloadPath=str(tmp_path))
    browser.click("#class-mode")
    browser.draw("#paper", SEVEN)
    browser.wait(reads(7))
    settle(browser)
    sent = browser.ask("[...body(visible())]")
    browser.click("#save")
    path = tmp_path / "drawing-7.png"
    end = time.monotonic() + 10
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)
    rows = read_picture(path)
    assert [255 - grey for row in rows for grey in row] == sent
    assert len(find_digits(rows).digits) == 1


@pytest.mark.parametrize("size, brush", [(0.15, 4), (0.15, 12), (0.15, 26), (0.4, 20),
                                         (0.6, 4), (0.92, 12), (0.92, 26)])
def test_a_saved_drawing_is_answered_as_the_page_answers(page, network, tmp_path, size,
                                                         brush):
    browser = page()
    browser.ask(f"$('brush').value = {brush}")
    browser.draw("#paper", [[(0.05 + size * x, 0.05 + size * y) for x, y in stroke]
                            for stroke in SEVEN])
    settle(browser)
    path = tmp_path / "drawing.png"
    path.write_bytes(base64.b64decode(browser.ask("png()").partition(",")[2]))
    try:
        digits = find_digits(read_picture(path)).digits
    except DataError as error:
        assert text(browser, "#digit") == "?"
        assert text(browser, "#share").startswith(f"{error.found}: ")
    else:
        answers = network.predict(SparseMatrix.from_images(digits, 4))
        assert browser.ask("found.digits.map(steps => steps[0].outputs)") == [
            pytest.approx(outputs) for outputs in answers]
        assert text(browser, "#digit") == "".join(
            str(outputs.index(max(outputs))) for outputs in answers)


def test_the_tour_lights_five_panels_one_after_the_other(page):
    browser = page()
    browser.click("#tour-start")
    lit = []
    for step in range(5):
        assert text(browser, "#tour-text").startswith(f"{step + 1} of 5: ")
        lit += browser.ask("[...document.querySelectorAll('.lit')].map(lit => lit.id)")
        browser.key("Enter", 13, "\r")
    assert lit == ["draw", "seen", "layers", "answer", "why"]
    assert not browser.ask("document.querySelector('#tour').checkVisibility()")
    assert browser.ask("document.activeElement.id") == "tour-start"
    browser.key("Enter", 13, "\r")
    browser.key("Escape", 27)
    assert browser.ask("document.querySelectorAll('.lit').length") == 0


# ---------------------------------------------------------------------------
# A server that is slow or has gone
# ---------------------------------------------------------------------------

def test_a_server_that_has_gone_is_told_and_asked_again(page):
    browser = page()
    before = browser.box("#paper")
    browser.ask("window.real = window.fetch; "
                "window.fetch = () => Promise.reject(new TypeError('gone'))")
    browser.draw("#paper", ONE)
    browser.wait("$('trouble').textContent.includes('no connection')")
    assert browser.box("#paper") == before          # nothing moves under the pen
    assert text(browser, "#speed") == "No answer."
    browser.ask("window.fetch = window.real")
    browser.wait(reads(1))
    settle(browser)
    assert text(browser, "#trouble") == ""


def test_a_server_that_hangs_is_noticed(page):
    browser = page()
    browser.ask("""(() => { const real = AbortSignal.timeout;
        AbortSignal.timeout = () => real.call(AbortSignal, 700); })()""")
    browser.ask("""(() => { window.real = window.fetch;
        window.fetch = (path, {signal}) => new Promise((_, fail) => {
            signal.onabort = () => fail(signal.reason); }); })()""")
    browser.draw("#paper", ONE)
    browser.wait("document.querySelector('#speed').textContent === 'Asking …'")
    browser.wait("document.querySelector('#trouble').textContent.includes('no answer')")
    browser.ask("window.fetch = window.real")
    browser.wait(reads(1))


def test_the_first_load_is_tried_again(page, server):
    browser = page()
    found = browser.ask("""(async () => {
        about = null;
        const real = window.fetch, calls = [];
        window.fetch = (...all) => (calls.push(all[0]), calls.length < 3
            ? Promise.reject(new TypeError("gone")) : real(...all));
        for (const id of ["outputs", "layers", "rival", "damages", "steps", "goal",
                          "samples", "meant"]) { $(id).replaceChildren(); }
        grids.length = 0;
        start();
        while (!about) { await pause(50); }
        return calls; })()""")
    assert found == ["/start"] * 3


def test_a_refusal_is_told_and_not_repeated(page):
    browser = page()
    browser.ask("""(() => { window.asked = 0;
        window.fetch = async () => (window.asked += 1,
            new Response("that is no drawing", {status: 400})); })()""")
    browser.draw("#paper", [[(0.5, 0.5)]])
    browser.wait("$('trouble').textContent.includes('no drawing')")
    settle(browser)
    assert browser.ask("window.asked") == 1


# ---------------------------------------------------------------------------
# Other models, sizes and themes
# ---------------------------------------------------------------------------

@pytest.mark.parametrize("sizes, activation, names", [
    ([784, 10], "relu", DIGITS), ([784, 800, 10], "relu", GARMENTS),
    ([784, 40, 30, 10], "tanh", DIGITS), ([784, 2], "relu", ["shoe", "an old hat"])])
@pytest.mark.parametrize("width, phone", [(1280, False), (360, True)])
def test_other_networks_have_their_words_and_fit(page, sizes, activation, names, width,
                                                 phone):
    network = Network(sizes, activation)
    with serving(page_module.make_server(network, 256, names)) as server:
        browser = page(width, 800, server.url, phone=phone)
        browser.draw("#paper", SEVEN)
        settle(browser)
        assert browser.ask("document.documentElement.scrollWidth") <= width
        assert [grid for grid in browser.ask("grids.map(grid => grid.children.length)")
                ] == sizes[1:-1]
        sums = texts(browser, "#why-sum p")
        assert all("Together exactly" in sentence for sentence in sums[1:-1]) == (
            activation == "relu")
        assert any("tanh is curved" in sentence for sentence in sums) == (
            activation == "tanh")
        page_text = browser.ask("document.body.innerText")
        assert ("relu" in page_text) == (activation == "relu" and len(sizes) > 2)
        assert ("digit" in page_text.lower()) == (names is DIGITS)
        browser.ask(f"points; pin({{digit: {len(names) - 1}}})")
        settle(browser)
        if len(sizes) == 2:
            assert text(browser, "#unit-title") == f"The output {names[-1]} at work"
            assert browser.ask("document.querySelectorAll('#lines path').length") == 0
        if len(sizes) == 4:
            browser.hover("#unit-1-3")
            assert "layer before it" in text(browser, "#unit-text")
            assert browser.ask("document.querySelectorAll('#lines path').length") > 0


@pytest.mark.parametrize("dark", [False, True])
def test_a_narrow_phone_needs_no_scrolling_sideways(page, dark, tmp_path):
    browser = page(360, 740, dark=dark, phone=True)
    browser.draw("#paper", SEVEN)
    browser.wait(reads(7))
    settle(browser)
    browser.click("#damages button:nth-child(2)")
    browser.wait("document.querySelector('#verdict').textContent")
    assert browser.ask("document.documentElement.scrollWidth") <= 360
    background = browser.ask("getComputedStyle(document.documentElement)"
                             ".backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 384) == dark
    browser.screenshot(tmp_path / "phone.png")


@pytest.mark.parametrize("width", [1280, 1920, 2560])
def test_the_width_of_the_window_is_used(page, width):
    browser = page(width, 1000)
    edges = browser.ask("[...document.querySelectorAll('section')].filter(panel => "
                        "panel.checkVisibility()).map(panel => "
                        "panel.getBoundingClientRect()).map("
                        "box => [box.left, box.right])")
    used = max(right for _, right in edges) - min(left for left, _ in edges)
    assert used >= 0.95 * width


def test_type_follows_the_readers_size(page):
    browser = page()
    sizes = "[...document.querySelectorAll('h1, p, button, .node')].map(element => " \
            "parseFloat(getComputedStyle(element).fontSize))"
    before = browser.ask(sizes)
    browser.ask("document.documentElement.style.fontSize = '32px'")
    assert browser.ask(sizes) == pytest.approx([2 * size for size in before])
    assert browser.ask("document.documentElement.scrollWidth") <= 1280


def contrast(one, other):
    """The contrast of two colours as WCAG 2 reckons it."""
    def luminance(colour):
        """The relative luminance of [red, green, blue]."""
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
                  for c in (value / 255 for value in colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_edges_bars_and_text_stand_out(page, dark):
    browser = page(dark=dark)
    names = ["page", "panel", "paper", "ink", "quiet", "edge", "blue", "orange",
             "alarm", "on-blue", "focus"]
    values = browser.ask(f"{names}.map(name => getComputedStyle("
                         "document.documentElement).getPropertyValue('--' + name))")
    colour = {name: [int(value.strip()[k:k + 2], 16) for k in (1, 3, 5)]
              for name, value in zip(names, values)}
    for name in "edge", "blue", "orange", "focus":
        assert contrast(colour[name], colour["panel"]) >= 3, name
        assert contrast(colour[name], colour["paper"]) >= 3, name
    for name in "ink", "quiet", "alarm":
        assert contrast(colour[name], colour["panel"]) >= 4.5, name
        assert contrast(colour[name], colour["page"]) >= 4.5, name
    assert contrast(colour["on-blue"], colour["blue"]) >= 4.5


def test_a_bar_does_not_shrink_when_it_is_full(page):
    browser = page()
    width = "document.querySelector('#output-4 .track').clientWidth"
    empty = browser.ask(width)
    browser.click("#samples button:nth-child(5)")
    browser.wait(reads(4))
    assert text(browser, "#output-4 .percent") == ">\xa099.9\xa0%"
    assert browser.ask(width) == empty


def test_forced_colours_leave_bars_lines_and_legend_visible(page):
    browser = page(forced=True)
    browser.draw("#paper", ONE)
    browser.wait(reads(1))
    settle(browser)
    shown = "getComputedStyle(document.querySelector('{}')).{}"
    panel = browser.ask(shown.format("#network", "backgroundColor"))
    for selector in ("#output-1 .track span", ".swatch.blue", ".swatch.orange",
                     "#why-units .scale span"):
        assert browser.ask(shown.format(selector, "backgroundColor")) != panel, selector
    assert browser.ask(shown.format("#lines path", "stroke")) != panel
    blue, orange = (browser.ask(shown.format(f".swatch.{name}", "backgroundColor"))
                    for name in ("blue", "orange"))
    assert blue != orange


def test_a_disabled_button_looks_disabled(page):
    browser = page()
    look = "(style => [style.color, style.borderStyle])(getComputedStyle(" \
           "document.querySelector('#undo')))"
    assert browser.ask("document.querySelector('#undo').disabled")
    disabled = browser.ask(look)
    browser.draw("#paper", ONE)
    browser.wait(reads(1))
    assert all(a != b for a, b in zip(disabled, browser.ask(look)))


def test_every_control_has_a_name(page):
    browser = page()
    browser.draw("#paper", ONE)
    settle(browser)
    browser.send("Accessibility.enable")
    tree = browser.send("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "slider", "listbox", "option", "application", "img", "combobox",
             "list", "group", "table"}
    found = [node for node in tree if not node.get("ignored")
             and node["role"]["value"].lower() in roles]
    assert len(found) > 128 + 10        # the units, the samples and more
    nameless = [node for node in found if not node.get("name", {}).get("value")]
    assert json.dumps(nameless) == "[]"
    browser.send("Accessibility.disable")
