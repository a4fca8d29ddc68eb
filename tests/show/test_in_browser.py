"""The page to draw on, in a real browser: what is drawn, what it shows of it."""
import math
import time
from functools import partial

import pytest
from conftest import SEVEN, contrast, serving
from tools.draw_set import draw_all, random_drawings

from engine.sparse import SparseMatrix
from errors import DataError
from learning.models import Model
from network import Network
from pictures.digit import find_digits, read_picture
from show.page import make_server

DIGITS = list("0123456789")
GARMENTS = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt",
            "Sneaker", "Bag", "Ankle boot"]
ONE = [[(0.5, 0.15), (0.5, 0.4), (0.5, 0.6), (0.5, 0.85)]]
PICTURE = "[...bytes(current().picture)]"


@pytest.fixture(scope="module")
def server(shipped):
    with serving(make_server(shipped)) as server:
        yield server


@pytest.fixture
def page(opened, server):
    return partial(opened, server.url, "about")


@pytest.fixture
def browser(page):
    return page()


@pytest.fixture
def three(browser, sample):
    """The image of the sample of a 3, which the page reads."""
    choose(browser, 3)
    return SparseMatrix.from_images([sample.image(sample.labels.index(3))], 4)


def choose(browser, digit):
    browser.press(f"#samples button:nth-child({digit + 1})")
    assert browser.text("#digit") == str(digit)


def draw(browser, strokes, onto="#paper"):
    browser.draw(onto, strokes)
    browser.settle()


def reads(digit):
    """JavaScript that is true when the page answers with that digit."""
    return f"($('digit').textContent === '{digit}')"


def number(shown):
    """A number as the page writes it."""
    return float(shown.replace("−", "-").replace("%", "").replace(",", ""))


def both_sides(terms):
    """(sum of those above 0, sum of those below)."""
    return sum(t for t in terms if t > 0), sum(t for t in terms if t < 0)


def rgba(browser, selector):
    """The numbers of a canvas, read from a copy that is made for it."""
    return browser.ask(f"""(() => {{
        const canvas = document.querySelector("{selector}");
        const copy = new OffscreenCanvas(canvas.width, canvas.height);
        const context = copy.getContext("2d", {{willReadFrequently: true}});
        context.drawImage(canvas, 0, 0);
        return [...context.getImageData(0, 0, copy.width, copy.height).data]; }})()""")


# --- Drawing

def test_a_digit_drawn_with_the_mouse_is_read_undone_and_cleared(browser):
    assert browser.text("#share") == "nothing drawn yet"
    draw(browser, SEVEN)
    assert browser.text("#digit") == "7"
    browser.wait("/Answer: 7/.test($('spoken').textContent)")
    shares = [number(share.lstrip(">\xa0")) for share in
              browser.texts("#outputs .percent")]
    assert len(shares) == 10 and shares.index(max(shares)) == 7
    assert sum(shares) == pytest.approx(100, abs=0.6)
    browser.draw("#paper", [[(0.92, 0.3), (0.92, 0.8)]])         # a 1 beside it
    browser.wait("!" + reads(7))
    browser.click("#undo")
    browser.wait(reads(7))
    browser.click("#clear")
    browser.wait(reads("–"))
    assert browser.ask("document.activeElement === paper")      # Clear is disabled
    browser.click("#undo")          # even that can be undone
    browser.wait(reads(7))


@pytest.mark.parametrize("key, code, kept", [("Backspace", 8, [4]),
                                              ("Delete", 46, [4, 2, 0])])
def test_undo_or_clear_in_the_middle_of_a_stroke_ends_it(browser, key, code, kept):
    browser.draw("#paper", ONE)
    browser.focus("#paper")
    browser.mouse("#paper", [("mousePressed", (0.2, 0.3)), ("mouseMoved", (0.3, 0.3))])
    browser.key(key, code)
    browser.mouse("#paper", [("mouseMoved", (0.4, 0.9)),    # draws nothing any more
                             ("mouseReleased", (0.4, 0.9))])
    draw(browser, SEVEN)
    assert browser.ask("done.map(({points}) => points ? points.length : 0)") == [
        *kept, len(SEVEN[0])]


def test_keys_draw_a_held_space_is_one_and_other_keys_are_the_browsers(browser):
    browser.focus("#paper")
    browser.key("ArrowUp", 38)
    browser.key(" ", 32, " ", repeats=6)
    assert browser.ask("pen.down") and browser.ask("done.length") == 1
    for _ in range(7):
        browser.key("ArrowDown", 40, modifiers=8)
    browser.key(" ", 32, " ")
    browser.wait(reads(1))
    at = browser.ask("[pen.x, pen.y]")
    assert browser.ask("""["altKey", "ctrlKey", "metaKey"].map(name => {
        const event = new KeyboardEvent("keydown", {
            key: "ArrowLeft", bubbles: true, cancelable: true, [name]: true});
        paper.dispatchEvent(event);
        return event.defaultPrevented; })""") == [False] * 3
    assert browser.ask("[pen.x, pen.y]") == at


def test_samples_are_one_stop_of_the_tab_key_and_seen_as_they_are(browser, sample):
    stops = "document.querySelectorAll('#samples [tabindex=\"0\"]').length"
    assert browser.ask(stops) == 1
    browser.focus("#samples button")
    browser.key("ArrowRight", 39)
    browser.key("ArrowRight", 39)
    assert browser.ask("document.activeElement.ariaLabel") == "sample: 2"
    browser.key("End", 35)
    assert browser.ask("document.activeElement.ariaLabel") == "sample: 9"
    assert browser.ask(stops) == 1
    browser.key("Enter", 13, "\r")
    browser.wait(reads(9))
    image = sample.image(sample.labels.index(9))
    shown = rgba(browser, "#picture")[::4]
    ink = [i for i, grey in enumerate(image) if grey > 213]     # the darkest of 4 greys
    assert ink == [i for i, red in enumerate(shown) if red == min(shown)]


# --- The answer

def test_logits_and_lines_are_those_of_the_network(browser, three, shipped):
    trace, (outputs,) = shipped.network.forward(three), shipped.network.predict(three)
    logits, = trace.logits
    assert list(map(number, browser.texts("#outputs .logit"))) == pytest.approx(
        logits, abs=0.0051)
    for shown, output in zip(browser.texts("#outputs .percent"), outputs):
        assert shown == (">\xa099.9\xa0%" if output > 0.999
                         else f"{100 * output:.1f}\xa0%")
    hidden, weights = trace.inputs[1][0], shipped.network.layers[1].weights
    for digit in 3, 9:
        terms = [a * row[digit] for a, row in zip(hidden, weights)]
        browser.hover(f"#output-{digit}")
        caption, (up, down) = browser.text("#caption"), both_sides(terms)
        assert f"+{up:.2f}" in caption and f"−{-down:.2f}" in caption
        bias, logit = caption.rstrip(".").split("bias ")[1].split(": logit ")
        assert [number(bias), number(logit)] == pytest.approx(
            [shipped.network.layers[1].bias[0, digit], logits[digit]], abs=0.0051)
        lines = browser.ask("[...document.querySelectorAll('#lines path')].map(path => "
                            "[path.getAttribute('class'), "
                            "Number(path.getAttribute('stroke-width'))])")
        assert 3 < len(lines) <= sum(map(bool, terms))
        strongest = sorted((t for t in terms if t), key=abs, reverse=True)
        for (kind, width), term in zip(lines, strongest):
            assert kind == ("blue" if term > 0 else "orange")
            assert width == pytest.approx(
                lines[0][1] * abs(term / strongest[0]), abs=0.02)
    unit = hidden.index(max(hidden))
    browser.hover(f"#unit-0-{unit}")
    terms = [hidden[unit] * weight for weight in weights[unit]]
    best = terms.index(max(terms))
    assert f"{best} (+{terms[best]:.2f})" in browser.text("#caption")
    assert 0 < browser.count("#lines path") <= 10


def test_two_digits_are_two_and_a_doubtful_answer_names_the_runner_up(browser):
    draw(browser, [[(0.25, 0.2), (0.25, 0.5), (0.25, 0.8)],
                   [(0.5 + 0.4 * x, 0.2 + 0.6 * y) for x, y in SEVEN[0]]])
    assert browser.texts("#digit button") == ["1", "7"]
    assert browser.ask("best(current())") == 1
    browser.press("#digit button:nth-child(2)")
    assert browser.ask("best(current())") == 7
    assert browser.text("#share").startswith("digit 2 is 7")
    assert browser.text("#why-digit") == "7"
    browser.press("#clear")
    draw(browser, ONE)
    browser.ask("""(() => { const reading = current();
        reading.outputs = [0, 0.55, 0, 0, 0, 0, 0, 0.45, 0, 0];
        reading.perhaps = 7; show(); })()""")
    assert browser.text("#share") == "55.0\xa0%, perhaps 7"
    assert browser.text("#brief") == "1 55.0\xa0%, perhaps 7"


def test_what_is_no_digit_is_named(browser):
    browser.ask("$('brush').value = 26")
    draw(browser, [[(0.45, 0.45), (0.55, 0.5), (0.45, 0.55), (0.55, 0.55)]])
    assert browser.text("#digit") == "?"
    assert browser.text("#share").startswith(
        "a blot of ink: no digit. If it has to be ")


# --- Why, and one unit at work

def test_the_parts_of_why_add_up_to_the_difference(browser, three, shipped):
    logits, = shipped.network.forward(three).logits
    rival = max((k for k in range(10) if k != 3), key=lambda k: logits[k])
    for chosen in rival, 7:
        if chosen != rival:
            browser.ask(f"($('rival').value = {chosen}, $('rival').onchange())")
            browser.settle()
        assert browser.ask("$('rival').value") == str(chosen)
        shown = list(map(number, browser.texts("#why-units .number")))
        assert len(shown) == 8          # six units, all others together, the biases
        difference = logits[3] - logits[chosen]
        assert sum(shown) == pytest.approx(difference, abs=0.005 * len(shown) + 0.001)
        total, units, pixels, odds = browser.texts("#why-sum p")
        assert total.endswith(f"= {difference:.2f}.")
        for sentence in units, pixels:
            assert sentence.endswith(f"Together exactly {difference:.2f}.")
        assert f"e^{difference:.2f}" in odds
        assert number(odds.split("about ")[1].split(" times")[0]) == pytest.approx(
            math.exp(difference), rel=0.05)
    widths = browser.ask("[...document.querySelectorAll('#why-units .scale span')]"
                         ".map(bar => parseFloat(bar.style.width))")
    assert widths == pytest.approx([50 * abs(x) / max(map(abs, shown)) for x in shown],
                                   abs=0.5)
    # Where they do not add up, as those of other networks, the page says so.
    browser.ask("(why.units[5] += 0.25, why.slope.fill(1), showWhy())")
    assert all("not exact" in sum for sum in browser.texts("#why-sum p")[1:3])


def test_ink_is_coloured_and_units_multiply_add_and_activate(browser, three, shipped):
    signs = browser.ask("""[...bytes(why.now.picture)].map((grey, k) =>
        Math.sign(grey * why.slope[k]))""")
    data = rgba(browser, "#why-ink")
    assert signs.count(1) > 20 and signs.count(-1) > 5
    for sign, red, blue in zip(signs, data[::4], data[2::4]):
        if abs(blue - red) > 6 or not sign:         # for, against, or no ink
            assert (blue > red) - (blue < red) == sign
    sums, layer = shipped.network.forward(three).sums[0][0], shipped.network.layers[0]
    for unit in (sums.index(max(sums)), sums.index(min(sums))):
        browser.hover(f"#unit-0-{unit}")
        browser.settle()
        products = [grey * row[unit] for grey, row in
                    zip(three.to_matrix()[0], layer.weights)]
        shown = [number(b) for b in browser.texts("#chain b") if b != "→"]
        assert shown == pytest.approx([*both_sides(products), layer.bias[0, unit],
                                       sums[unit], max(0, sums[unit])], abs=0.0051)
        assert ("silent" in browser.text("#unit-text")) == (sums[unit] < 0)


def test_units_are_shown_by_mouse_and_keys_and_kept_when_chosen(browser, three):
    first = browser.text("#unit-title")
    for title, selected in (("Unit 40 at work", "true"), (first, "false")):
        browser.hover("#unit-0-40")
        assert browser.text("#unit-title") == "Unit 40 at work" != first
        browser.click("#unit-0-40")
        browser.hover("#title")
        assert browser.text("#unit-title") == title
        assert browser.ask("$('unit-0-40').ariaSelected") == selected
    assert browser.count(".units [tabindex=\"0\"]") == 1
    browser.ask("$('unit-0-0').focus({focusVisible: true})")
    browser.key("ArrowRight", 39)
    assert browser.text("#unit-title") == "Unit 1 at work"
    browser.key("ArrowDown", 40)
    row = browser.ask("[...document.querySelectorAll('.units > *')].filter("
                      "(unit, _, all) => unit.offsetTop === all[0].offsetTop).length")
    assert browser.text("#unit-title") == f"Unit {1 + row} at work"
    browser.ask("document.activeElement.blur()")        # the focus alone keeps nothing
    assert browser.text("#unit-title") == first
    browser.ask(f"$('unit-0-{row}').focus({{focusVisible: true}})")
    browser.key("Enter", 13, "\r")
    browser.ask("document.activeElement.blur()")
    assert browser.text("#unit-title") == f"Unit {row} at work"


def test_clear_leaves_nothing_of_the_drawing(browser, three):
    browser.click("#unit-0-40")
    browser.click("#clear")
    browser.wait(reads("–"))
    browser.settle()
    assert browser.ask("getComputedStyle($('why-content')).visibility") == "hidden"
    assert "activation" not in browser.text("#chain")
    assert browser.text("#unit-text") == browser.text("#caption") == ""
    assert browser.count("#lines path") == 0
    assert set(browser.texts("#outputs .percent")) == {""}


# --- Play

def test_damage_is_shown_step_by_step_and_cleared(browser):
    draw(browser, SEVEN)
    for _ in range(3):
        browser.press("#damages button:nth-child(5)")
    assert browser.text("#verdict").startswith("Rotated by 30°")
    assert browser.text("#notes") == "Rotated by 30°"
    browser.press("#steps button:nth-child(7)")
    assert browser.text("#notes") == "Rotated by 60°"
    assert browser.count("#steps [aria-pressed=true]") == 1
    browser.press("#clear")
    assert browser.ask("damage") == "" and browser.text("#notes") == ""
    draw(browser, SEVEN)
    assert browser.text("#digit") == "7" and not browser.shows("#steps")
    # However quickly they are chosen, the last choice is what is shown.
    browser.ask("""(async () => {
        const buttons = document.querySelectorAll('#damages button');
        for (let k = 0; k < 40; k++) {
            buttons[(k * 7) % 5].click();
            await new Promise(done => setTimeout(done, k % 4 * 3));
        }
        buttons[2].click();
        buttons[0].click(); })()""")
    browser.wait("!jobs && " + reads(7))
    assert browser.text("#trouble") == browser.text("#verdict") == ""
    # Pixels of a damaged picture are changed as they are seen.
    browser.press("#damages button:nth-child(2)")
    seen = browser.ask(PICTURE)
    browser.ask("window.scrollTo(0, 0)")
    draw(browser, [[(0.5 / 28, 0.5 / 28)]], "#picture")
    assert browser.ask("damage") == "" and browser.text("#notes") == ""
    assert browser.ask(PICTURE) == [255, *seen[1:]]


def test_units_are_switched_off_and_on(browser, three):
    before = browser.text("#outputs .best .logit")
    deciders = browser.texts("#why-units button")
    browser.press("#switch-deciders")
    assert browser.text("#notes").startswith("6 units switched off")
    assert not set(deciders) & set(browser.texts("#why-units button"))
    unit = deciders[0].split()[1]
    browser.hover(f"#unit-0-{unit}")
    assert browser.text("#unit-text") == "It is switched off: activation 0."
    browser.press("#notes button")
    assert browser.text("#notes") == ""
    assert browser.texts("#why-units button") == deciders
    assert browser.text("#outputs .best .logit") == before
    browser.click(f"#unit-0-{unit}")
    browser.press("#switch")
    assert browser.text("#notes").startswith("1 unit switched off")
    assert browser.ask(f"current().hidden[0][{unit}]") == 0
    assert browser.text("#switch") == "Switch this unit on"


def test_pixels_are_inked_and_wiped(browser):
    for _ in range(3):
        draw(browser, [[(3.5 / 28, 5.5 / 28)]], "#picture")
    assert browser.ask(PICTURE)[5 * 28 + 3] == 255       # inked, wiped, inked
    draw(browser, [[(4.5 / 28, 10.5 / 28), (19.5 / 28, 10.5 / 28)]], "#picture")
    assert sum(map(bool, browser.ask(PICTURE))) == 17
    browser.press("#undo")
    assert sum(map(bool, browser.ask(PICTURE))) == 1
    browser.ask("$('picture').focus({focusVisible: true})")
    browser.key("ArrowRight", 39)
    browser.key(" ", 32, " ", repeats=3)
    browser.settle()
    assert browser.ask(PICTURE)[10 * 28 + 20] == 255
    assert browser.text("#spoken") == "Row 11, column 21: ink."


def test_a_finger_inks_with_a_tap_and_scrolls_otherwise(page):
    browser = page(360, 740, phone=True)
    browser.ask("$('picture').scrollIntoView({block: 'end'})")
    left, top, width, height = browser.box("#picture")
    at = {"x": left + 10.5 / 28 * width, "y": top + 20.5 / 28 * height}
    for kind, points in (("touchStart", [at]), ("touchEnd", [])):
        browser.send("Input.dispatchTouchEvent", type=kind, touchPoints=points)
    browser.wait("current() && bytes(current().picture)[20 * 28 + 10] === 255")
    browser.settle()
    before = browser.ask("scrollY")
    browser.send("Input.synthesizeScrollGesture", **at, yDistance=-150)
    assert browser.ask("scrollY") > before
    assert sum(map(bool, browser.ask(PICTURE))) == 1


def test_the_fewest_pixels_are_changed_marked_and_undone(browser, three):
    before = browser.ask(PICTURE)
    for goal in "", "8":
        browser.ask(f"$('goal').value = '{goal}'")
        browser.click("#fewest")
        browser.wait("$('fewest-text').textContent.startsWith('It read 3')")
        browser.settle()
        after = browser.ask(PICTURE)
        changed = [k for k in range(784) if before[k] != after[k]]
        answer = browser.text("#digit")
        assert answer == goal if goal else answer != "3"
        assert browser.text("#notes") == (f"{len(changed)} pixel"
                                          f"{'s' * (len(changed) > 1)} changed")
        data = rgba(browser, "#marks")
        marked = [k for k in range(784)         # the middle of its upper edge
                  if data[4 * (280 * (k // 28 * 10 + 1) + k % 28 * 10 + 5) + 3]]
        assert marked == changed
        browser.click("#undo")
        browser.wait(reads(3))
        assert browser.text("#fewest-text") == browser.text("#notes") == ""
    browser.ask("$('goal').value = '3'")
    browser.click("#fewest")
    assert browser.text("#fewest-text") == "That is what it reads already."


# --- Class mode and tour

def test_class_mode_counts_what_was_drawn_and_read(browser):
    size = "parseFloat(getComputedStyle(document.body).fontSize)"
    small = browser.ask(size)
    assert not browser.shows("#tally")
    browser.click("#class-mode")
    assert browser.shows("#tally") and browser.ask(size) >= 1.3 * small
    left, top, *_ = browser.box("#digit")       # beside the paper on a projector
    assert left > sum(browser.box("#paper")[::2])
    assert top < browser.box("#meant")[1] < 800
    browser.ask("document.querySelectorAll('#meant button')[3].click()")
    assert browser.text("#tally-text") == "Nothing counted yet."
    for read, meant in ((3, 3), (3, 3), (5, 6)):
        choose(browser, read)
        browser.ask(f"document.querySelectorAll('#meant button')[{meant}].click()")
        browser.wait(reads("–"))
    assert browser.text("#tally-text") == "3 drawn, 2 read as meant (67\xa0%)."
    cells = browser.texts("#confusion td")
    assert {divmod(k, 10): cell for k, cell in enumerate(cells) if cell} == {
        (3, 3): "2", (6, 5): "1"}
    browser.click("#tally-back")
    assert browser.text("#tally-text") == "2 drawn, 2 read as meant (100\xa0%)."
    browser.click("#class-mode")
    assert browser.ask(size) == small


@pytest.mark.parametrize("size, brush", [(0.15, 4), (0.15, 12), (0.15, 26), (0.4, 20),
                                         (0.6, 4), (0.92, 12), (0.92, 26)])
def test_a_saved_drawing_is_answered_as_on_the_page(browser, shipped, tmp_path, size,
                                                    brush):
    browser.send("Browser.setDownloadBehavior", behavior="allow",
                 downloadPath=str(tmp_path))
    browser.ask(f"$('brush').value = {brush}")
    draw(browser, [[(0.05 + size * x, 0.05 + size * y) for x, y in SEVEN[0]]])
    browser.ask("$('save').click()")
    end = time.monotonic() + 10
    while not (paths := list(tmp_path.glob("*.png"))) and time.monotonic() < end:
        time.sleep(0.05)
    rows = read_picture(paths[0])
    assert [255 - grey for row in rows for grey in row] == browser.ask(
        "[...body(visible())]")
    try:
        digits = find_digits(rows).digits
    except DataError as error:
        assert browser.text("#digit") == "?"
        assert browser.text("#share").startswith(f"{error.found}: ")
    else:
        answers = shipped.network.predict(SparseMatrix.from_images(digits, 4))
        assert browser.ask("found.digits.map(steps => steps[0].outputs)") == [
            pytest.approx(outputs) for outputs in answers]
        assert browser.text("#digit") == "".join(
            str(outputs.index(max(outputs))) for outputs in answers)
        assert paths[0].name == f"drawing-{browser.text('#digit')}.png"


def test_the_tool_that_draws_sees_each_answer(browser, tmp_path):
    assert list(draw_all(browser, tmp_path, random_drawings(1)))[0][1:] == ("0", "0")
    assert len(browser.ask("delays")) > 1


def test_the_tour_lights_five_panels_one_after_the_other(browser):
    browser.click("#tour-start")
    lit = []
    for step in range(5):
        assert browser.text("#tour-text").startswith(f"{step + 1} of 5: ")
        lit += browser.ask("[...document.querySelectorAll('.lit')].map(lit => lit.id)")
        browser.key("Enter", 13, "\r")
    assert lit == ["draw", "seen", "layers", "answer", "why"]
    assert not browser.shows("#tour")
    assert browser.ask("document.activeElement.id") == "tour-start"
    browser.key("Enter", 13, "\r")
    browser.key("Escape", 27)
    assert browser.count(".lit") == 0


# --- A server that is slow or has gone

GONE = "window.fetch = () => Promise.reject(new TypeError('gone'))"
HANGS = """(() => { const real = AbortSignal.timeout;
    AbortSignal.timeout = () => real.call(AbortSignal, 700);
    window.fetch = (path, {signal}) => new Promise((_, fail) => {
        signal.onabort = () => fail(signal.reason); }); })()"""


@pytest.mark.parametrize("fault, speed, trouble", [
    (GONE, "No answer.", "no connection"), (HANGS, "Asking …", "no answer")])
def test_a_server_that_hangs_or_has_gone_is_asked_again(browser, fault, speed, trouble):
    before = browser.box("#paper")
    browser.ask("window.real = window.fetch")
    browser.ask(fault)
    browser.draw("#paper", ONE)
    browser.wait(f"$('speed').textContent === '{speed}'")
    browser.wait(f"$('trouble').textContent.includes('{trouble}')")
    assert browser.box("#paper") == before          # nothing moves under the pen
    browser.ask("window.fetch = window.real")
    browser.wait(reads(1))
    browser.settle()
    assert browser.text("#trouble") == ""


def test_the_first_load_is_tried_again(browser):
    found = browser.ask("""(async () => {
        about = null;
        const real = window.fetch, calls = [];
        window.fetch = (...all) => (calls.push(all[0]), calls.length < 3
            ? Promise.reject(new TypeError("gone")) : real(...all));
        start();
        while (!about) { await pause(50); }
        return calls; })()""")
    assert found == ["/start"] * 3


def test_a_refusal_is_told_and_not_repeated(browser):
    browser.ask("""(() => { window.asked = 0;
        window.fetch = async () => (window.asked += 1,
            new Response("that is no drawing", {status: 400})); })()""")
    browser.draw("#paper", [[(0.5, 0.5)]])
    browser.wait("$('trouble').textContent.includes('no drawing')")
    browser.settle()
    assert browser.ask("window.asked") == 1


# --- Other models, sizes and themes

@pytest.mark.parametrize("sizes, activation, names", [
    ([784, 10], "relu", DIGITS), ([784, 800, 10], "relu", GARMENTS),
    ([784, 40, 30, 10], "tanh", DIGITS), ([784, 2], "relu", ["shoe", "an old hat"])])
@pytest.mark.parametrize("width, phone", [(1280, False), (360, True)])
def test_other_networks_have_their_words_and_fit(opened, served, sizes, activation,
                                                 names, width, phone):
    url = served(make_server(Model(None, Network(sizes, activation), 256, names)))
    browser = opened(url, "about", width, phone=phone)
    draw(browser, SEVEN)
    assert not browser.scrolls_sideways()
    assert browser.ask("grids.map(grid => grid.children.length)") == sizes[1:-1]
    sums = browser.texts("#why-sum p")
    assert all("Together exactly" in sentence for sentence in sums[1:-1]) == (
        activation == "relu")
    assert any("tanh is curved" in sentence for sentence in sums) == (
        activation == "tanh")
    page_text = browser.ask("document.body.innerText")
    assert ("relu" in page_text) == (activation == "relu" and len(sizes) > 2)
    assert ("digit" in page_text.lower()) == (names is DIGITS)
    assert browser.ask("stops.every(([id]) => $(id).checkVisibility())")    # of a tour
    browser.ask(f"points; pin({{digit: {len(names) - 1}}})")
    browser.settle()
    if len(sizes) == 2:
        assert browser.text("#unit-title") == f"The output {names[-1]} at work"
        assert browser.count("#lines path") == 0
    if len(sizes) == 4:
        browser.hover("#unit-1-3")
        assert "layer before it" in browser.text("#unit-text")
        assert browser.count("#lines path") > 0


@pytest.mark.parametrize("width", [360, 1280, 1920, 2560])
def test_any_width_is_used_and_not_exceeded_and_controls_have_names(page, width):
    browser = page(width, 740, phone=width == 360)
    draw(browser, SEVEN)
    browser.press("#damages button:nth-child(2)")
    assert not browser.scrolls_sideways()
    edges = browser.ask("[...document.querySelectorAll('section')].filter(panel => "
                        "panel.checkVisibility()).map(panel => "
                        "panel.getBoundingClientRect()).map("
                        "box => [box.left, box.right])")
    used = max(right for _, right in edges) - min(left for left, _ in edges)
    assert used >= 0.9 * width
    left = browser.ask("document.documentElement.scrollHeight - Math.max(innerHeight, "
                       "scrollY + $('harm').getBoundingClientRect().bottom)")
    assert left <= 40               # nothing but a margin below the last panel
    names = browser.names_of_controls()
    assert len(names) > 128 + 10 and all(names)     # the units, the samples and more


def test_type_follows_the_readers_size(browser):
    sizes = "[...document.querySelectorAll('h1, p, button, .name')].map(element => " \
            "parseFloat(getComputedStyle(element).fontSize))"
    before = browser.ask(sizes)
    browser.ask("document.documentElement.style.fontSize = '32px'")
    assert browser.ask(sizes) == pytest.approx([2 * size for size in before])
    assert not browser.scrolls_sideways()


@pytest.mark.parametrize("dark", [False, True])
def test_edges_bars_and_text_stand_out(page, dark):
    names = ["page", "panel", "paper", "ink", "quiet", "edge", "blue", "orange",
             "alarm", "on-blue", "focus"]
    values = page(dark=dark).ask(f"{names}.map(name => getComputedStyle(document."
                                 "documentElement).getPropertyValue('--' + name))")
    colour = dict(zip(names, map(str.strip, values)))
    assert (contrast(colour["page"], "#ffffff") > 4.5) == dark
    for ratio, texts, grounds in ((3, "edge blue orange focus", "panel paper"),
                                  (4.5, "ink quiet alarm", "panel page"),
                                  (4.5, "on-blue", "blue")):
        for text in texts.split():
            for ground in grounds.split():
                assert contrast(colour[text], colour[ground]) >= ratio, (text, ground)


def test_forced_colours_leave_bars_lines_and_legend_visible(page):
    browser = page(forced=True)
    draw(browser, ONE)

    shown = ["#output-1 .track span", "#why-units .scale span", ".swatch.blue",
             ".swatch.orange", "#network"]
    *bars, blue, orange, ground = browser.ask(f"{shown}.map(selector => "
        "getComputedStyle(document.querySelector(selector)).backgroundColor)")
    line = browser.ask("getComputedStyle(document.querySelector('#lines path')).stroke")
    assert ground not in (*bars, blue, orange, line) and blue != orange


def test_full_bars_are_as_wide_as_empty_ones_and_disabled_buttons_look_so(browser):
    width = "document.querySelector('#output-4 .track').clientWidth"
    look = "(style => [style.color, style.borderStyle])(getComputedStyle($('undo')))"
    assert browser.ask("$('undo').disabled")
    empty, disabled = browser.ask(width), browser.ask(look)
    choose(browser, 4)
    assert browser.text("#output-4 .percent") == ">\xa099.9\xa0%"
    assert browser.ask(width) == empty
    assert all(a != b for a, b in zip(disabled, browser.ask(look)))
