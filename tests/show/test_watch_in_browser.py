"""The page to watch a run on, in a real browser: during a training and after it."""
import random
import re
import signal
import subprocess
import sys

import pytest
from conftest import ROOT, serving
from tools import digest
from tools.browser import Browser

from data_loader import SAMPLE_FOLDER
from learning.models import Model
from learning.moments import MOMENTS, Moment, Recording, about_run, pack
from network import Network
from show import page as drawing
from show.server import Server
from show.watch import RunPage, page_of

NAMES = list("0123456789")
SEVEN = [[(0.25, 0.25), (0.5, 0.25), (0.75, 0.25), (0.65, 0.45), (0.55, 0.65),
          (0.45, 0.88)]]


@pytest.fixture(scope="module")
def server():
    """The pages of the shipped model: to draw on, and how it has learnt."""
    model = Model.load(ROOT / "data" / "model.npz")
    with serving(drawing.make_server(model.network, model.levels, model.names,
                                     run=page_of(model))) as server:
        yield server


@pytest.fixture
def page(chromium, server):
    """The page, freshly opened in a window of 1280 x 800; it must report no problem."""
    def opened(width=1280, height=800, url=server.url + "learning", **theme):
        chromium.problems.clear()
        chromium.look(width, height, **theme)
        chromium.open(url, "now && !jobs")
        return chromium
    yield opened
    assert chromium.problems == []


def text(browser, selector):
    return browser.ask(f"document.querySelector('{selector}').textContent")


def texts(browser, selector):
    return browser.ask(f"[...document.querySelectorAll('{selector}')]"
                       ".map(element => element.textContent)")


def settle(browser):
    """Wait until all has been asked and shown."""
    browser.wait("!jobs")


def slide(browser, at):
    """Bring the slider to a moment, as a hand does."""
    browser.ask(f"$('slider').value = {at}; "
                "$('slider').dispatchEvent(new Event('input'))")
    settle(browser)


def draw_seven(browser):
    """Draw a seven, and wait for the answers."""
    browser.ask("$('paper').scrollIntoView({block: 'center'})")
    browser.draw("#paper", SEVEN)
    browser.wait("said && !jobs")


# The first tile's pixels, read from a copy that is made for it.
TILES = """(() => {
    const context = new OffscreenCanvas(28, 28).getContext("2d",
                                                           {willReadFrequently: true});
    context.drawImage(weightsCanvas, 0, 0);
    return [...context.getImageData(0, 0, 28, 28).data].join(); })()"""


# ---------------------------------------------------------------------------
# During a training
# ---------------------------------------------------------------------------

@pytest.fixture
def training(tmp_path):
    """training(option, ...): a training on the sample that has begun; (process, url).
    """
    started = []

    def start(*options):
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), "--data", str(SAMPLE_FOLDER),
             "--no-plots", "--output", str(tmp_path / "run"), *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True)
        started.append(process)
        while not (url := re.search("http://127.0.0.1:[0-9]+/",
                                    process.stdout.readline())):
            assert process.poll() is None, process.stderr.read()
        return process, url[0]
    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_real_training_is_watched_from_its_start_to_its_end(training, chromium):
    process, url = training("--watch", "--no-browser", "--hidden", "16", "--epochs", "4")
    chromium.problems.clear()
    chromium.look(1280, 800)
    chromium.open(url, "now && moments.length")
    assert chromium.ask("now.live && !$('part').hidden")
    chromium.draw("#paper", SEVEN)
    chromium.wait("now.points.length > 2 || !now.live")     # within the first epoch
    chromium.wait("epochs.length > 0")
    assert len(text(chromium, "#loss polyline")) == 0
    assert chromium.ask("document.querySelector('#loss polyline').points.length") > 2
    chromium.wait("!now.live")
    settle(chromium)
    assert chromium.ask("moments.map(({name}) => name)") == [
        "start", "128 images", "1,024 images", "epoch 1", "epoch 2", "epoch 3", "epoch 4"]
    assert chromium.ask("epochs.length") == 4
    accuracies = chromium.ask("moments.map(accuracy)")
    assert accuracies[0] < 0.3 < 0.7 < accuracies[-1]
    assert "Trained for 4 epochs" in text(chromium, "#doing")
    assert f"{accuracies[-1]:.2%}".replace("%", "\xa0%") in text(chromium, "#moment")
    wrong = int(re.search("Still wrong: ([0-9,]+) of 1,000",
                          text(chromium, "#wrong-title"))[1])
    assert wrong == round(1000 * (1 - accuracies[-1]))
    assert len(texts(chromium, "#errors figcaption")) == min(24, wrong)
    assert len(texts(chromium, "#story li")) == 7
    assert chromium.ask("said && Object.keys(said.outputs).length") == 7
    assert chromium.problems == []
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


def test_closing_the_page_changes_nothing(training, chromium, tmp_path):
    options = ["--hidden", "16", "--limit", "1000", "--epochs", "5", "--workers", "2"]
    process, url = training("--watch", "--no-browser", *options)
    chromium.problems.clear()
    chromium.open(url, "now && moments.length")
    chromium.draw("#paper", SEVEN)
    chromium.open("about:blank", "true")                    # in the middle of it
    while "The page stays" not in (line := process.stdout.readline()):
        assert line, process.stderr.read()
    chromium.open(url, "now && !now.live && !jobs")         # and opened again
    assert chromium.ask("epochs.length") == 5 and chromium.problems == []
    watched = digest.digest(Network.load(tmp_path / "run" / "model.npz")[0])
    plain = tmp_path / "plain"
    subprocess.run([sys.executable, str(ROOT / "train.py"), "--data", str(SAMPLE_FOLDER),
                    "--no-plots", "--output", str(plain), *options], check=True,
                   stdout=subprocess.DEVNULL)
    assert digest.digest(Network.load(plain / "model.npz")[0]) == watched
    assert {path.name for path in (tmp_path / "run").iterdir()} - {
        path.name for path in plain.iterdir()} == {MOMENTS}


def test_a_training_that_is_killed_is_noticed(training, chromium):
    process, url = training("--watch", "--no-browser", "--epochs", "500")
    chromium.problems.clear()
    chromium.open(url, "now && moments.length && !jobs")
    process.kill()
    process.wait()
    chromium.wait("$('trouble').textContent.includes('still running')")
    assert chromium.ask("moments.length") and not chromium.ask("$('slider').disabled "
                                                               "&& moments.length > 1")
    chromium.open("about:blank", "true")        # which was asking again and again
    chromium.problems.clear()


# ---------------------------------------------------------------------------
# Afterwards
# ---------------------------------------------------------------------------

def test_the_slider_replays_the_run(page):
    browser = page()
    assert browser.ask("[slider.value, slider.max]") == ["13", "13"]
    assert text(browser, "#moment") == "Epoch 160: 99.19\xa0% correct"
    assert "160 epochs in 5 min 39 s" in text(browser, "#doing")
    seen = {}
    for at, name, part in ((13, "Epoch 160", "10,000"), (0, "Start", "500"),
                           (2, "1,024 images", "500"), (4, "Epoch 1", "10,000")):
        slide(browser, at)
        assert text(browser, "#moment").startswith(f"{name}: ")
        assert text(browser, "#classes-text") == f"Of {part} test images."
        seen[at] = (browser.ask(TILES), tuple(texts(browser, "#bars .percent")),
                    browser.ask("document.querySelector('#loss .now').getAttribute('x1')"))
    assert all(len(set(column)) == 4 for column in zip(*seen.values()))
    assert browser.ask("slider.getAttribute('aria-valuetext')") == "epoch 1"


def test_the_answers_to_a_drawing_are_replayed(page):
    browser = page()
    assert browser.ask("$('answers-hint').checkVisibility() && !$('story')."
                       "checkVisibility()")
    draw_seven(browser)
    assert len(texts(browser, "#story li")) == 14
    assert texts(browser, "#story b")[-1] == "7"
    assert re.fullmatch("epoch 160: 7 [(].* %[)]", text(browser, "#outputs-title")
                        .replace("\xa0", " "))
    last = texts(browser, "#outputs-now .percent")
    slide(browser, 0)
    assert text(browser, "#outputs-title").startswith("start: ")
    assert texts(browser, "#outputs-now .percent") != last
    # A click on a moment, and keys from there, choose it too.
    browser.click("#story li:nth-child(5)")
    assert text(browser, "#moment").startswith("Epoch 1: ")
    browser.ask("$('story').children[4].focus()")
    browser.key("ArrowDown", 40)
    browser.key("Enter", 13, "\r")
    assert text(browser, "#moment").startswith("Epoch 2: ")
    assert browser.ask("document.activeElement === $('story').children[5]")
    browser.click("#clear")
    browser.wait("!said && !jobs")
    assert browser.ask("$('answers-hint').checkVisibility()")


def test_the_answers_are_those_of_the_networks(page, server):
    browser = page()
    draw_seven(browser)
    ink = bytes(browser.ask("[...inkPixels()]"))
    model = Model.load(ROOT / "data" / "model.npz")
    found = page_of(model).answers(ink)["outputs"]
    assert browser.ask("said.outputs") == found
    reading, = drawing.Reader(model.network, 4, NAMES).ink(ink, "", "")["digits"]
    assert found["160-0"] == pytest.approx(reading[0]["outputs"], abs=0.02)


def test_replay_goes_from_the_start_to_the_end(page):
    browser = page()
    browser.ask("const real = setInterval; "
                "window.setInterval = (job, ms) => real(job, ms / 30)")
    browser.ask("window.seen = []; new MutationObserver(() => seen.push("
                "$('moment').textContent)).observe($('moment'), {childList: true})")
    browser.click("#play")
    assert text(browser, "#play") == "Stop"
    browser.wait("!replaying")
    settle(browser)
    seen = browser.ask("seen.map(text => text.split(':')[0])")
    assert seen == ["Start", "128 images", "1,024 images", "10,016 images",
                    *(f"Epoch {n}" for n in (1, 2, 3, 5, 10, 20, 30, 50, 100, 160))]
    assert text(browser, "#play") == "Replay"


def test_the_pages_lead_to_each_other(page, server):
    browser = page(url=server.url.rstrip("/") + "/learning")
    browser.click("#home")
    browser.wait("location.pathname === '/' && document.readyState === 'complete' "
                 "&& about && !jobs")
    browser.click("#learnt")
    browser.wait("location.pathname === '/learning' && document.readyState === "
                 "'complete' && now && !jobs")
    assert not browser.ask("$('wrong').checkVisibility()")      # no images are kept


# ---------------------------------------------------------------------------
# Other networks, sizes and themes
# ---------------------------------------------------------------------------

def page_with(sizes, names, moments=3):
    """The page of a run of networks that have not learnt."""
    kept = [Moment(n, 0, [1] * len(names), [9] * len(names), pack(Network(
        sizes, rng=random.Random(n)))) for n in range(moments)]
    about = about_run(Network(sizes), 256, names, "things")
    history = [[2.0 / n, 0.5, 1.0 / n, 0.75, 1.0] for n in range(1, max(2, moments))]
    return RunPage(Recording(about, 600, 9, "validation", history, kept))


@pytest.mark.parametrize("sizes, names, what", [
    ([784, 10], NAMES, "10 outputs"), ([784, 800, 10], NAMES, "800 hidden units"),
    ([784, 40, 30, 2], ["an old hat", "T-shirt/top"], "40 hidden units")])
@pytest.mark.parametrize("width, phone", [(1280, False), (360, True)])
def test_other_networks_have_their_words_and_fit(chromium, sizes, names, what, width,
                                                 phone):
    run = page_with(sizes, names)
    with serving(Server({"/": RunPage.path}, run.questions)) as server:
        chromium.problems.clear()
        chromium.look(width, 800, phone=phone)
        chromium.open(server.url, "now && !jobs")
        draw_seven(chromium)
        assert chromium.ask("document.documentElement.scrollWidth") <= width
        assert text(chromium, "#tiles-title") == f"Weights of the {what}"
        assert text(chromium, "#classes-title").endswith(
            "digit" if names is NAMES else "class")
        assert text(chromium, "#evaluated-on") == "validation"
        assert texts(chromium, "#bars .name") == names
        chromium.open("about:blank", "true")
    assert chromium.problems == []


def test_a_run_without_moments_says_so(chromium):
    run = page_with([784, 10], NAMES, 0)
    with serving(Server({"/": RunPage.path}, run.questions)) as server:
        chromium.problems.clear()
        chromium.look(1280, 800)
        chromium.open(server.url, "now && !jobs")
        chromium.draw("#paper", SEVEN)
        settle(chromium)
        assert "no moments were kept" in text(chromium, "#moment")
        assert chromium.ask("$('slider').disabled && $('play').disabled")
        chromium.open("about:blank", "true")
    assert chromium.problems == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 768, 1280, 1920, 2560])
def test_it_fits_every_width(page, width, dark, tmp_path):
    browser = page(width, 800, dark=dark, phone=width == 360)
    draw_seven(browser)
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask("[...document.querySelectorAll('.bars span')].every(span => "
                       "span.scrollWidth <= span.parentElement.clientWidth)")
    background = browser.ask("getComputedStyle(document.documentElement)"
                             ".backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 384) == dark
    browser.screenshot(tmp_path / "page.png")


def test_a_change_of_theme_repaints_the_tiles(page):
    browser = page(dark=False)
    light = browser.ask(TILES)
    browser.look(1280, 800, dark=True)
    browser.wait(f"{TILES} !== '{light}'")


def test_every_control_has_a_name(page):
    browser = page()
    draw_seven(browser)
    browser.send("Accessibility.enable")
    tree = browser.send("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "slider", "listbox", "option", "application", "img", "list",
             "image", "progressindicator"}
    found = [node for node in tree if not node.get("ignored")
             and node["role"]["value"].lower() in roles]
    assert len(found) > 20
    nameless = [node for node in found if not node.get("name", {}).get("value")]
    assert nameless == []
    browser.send("Accessibility.disable")
