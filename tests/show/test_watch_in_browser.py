"""The page to watch a run on, in a real browser: during a training and after it."""
import random
import re
import signal
import subprocess
import sys

import pytest
from conftest import ROOT, SAMPLE, SEVEN, serving
from tools import digest

from learning.moments import MOMENTS, Moment, Recording, about_run, pack
from network import Network
from show.page import Reader, make_server
from show.server import Server
from show.watch import RunPage, page_of

NAMES = list("0123456789")
SHOWN = "now && !jobs"          # true when the page has been told all

# The first tile's pixels, read from a copy that is made for it.
TILES = """(() => {
    const context = new OffscreenCanvas(28, 28).getContext("2d",
                                                           {willReadFrequently: true});
    context.drawImage(weightsCanvas, 0, 0);
    return [...context.getImageData(0, 0, 28, 28).data].join(); })()"""


@pytest.fixture(scope="module")
def server(shipped):
    """The pages of the shipped model: to draw on, and how it has learnt."""
    with serving(make_server(shipped, run=page_of(shipped))) as server:
        yield server


@pytest.fixture
def page(opened, server):
    """page(width, ...): the page of how the shipped model has learnt."""
    return lambda *size, **look: opened(server.url + "learning", SHOWN, *size, **look)


@pytest.fixture
def browser(page):
    return page()


def slide(browser, at):
    """Bring the slider to a moment, as a hand does."""
    browser.ask(f"$('slider').value = {at}; "
                "$('slider').dispatchEvent(new Event('input'))")
    browser.settle()


def draw_seven(browser):
    """Draw a seven, and wait for the answers."""
    browser.scroll_to("#paper")
    browser.draw("#paper", SEVEN)
    browser.wait("said && !jobs")


# --- During a training

@pytest.fixture
def training(train_process, tmp_path):
    """training(option, ...): (process, url) of a training on the sample, watched."""
    def start(*options):
        process = train_process("--data", str(SAMPLE), "--no-plots", "--output",
                                str(tmp_path / "run"), "--watch", "--no-browser",
                                *options, until="Network:")
        return process, re.search("http://127.0.0.1:[0-9]+/",
                                  process.stdout.readline())[0]
    return start


def test_a_real_training_is_watched_from_its_start_to_its_end(training, opened):
    # Slow enough for some points of the curves, which come five times a second.
    process, url = training("--hidden", "400", "--workers", "1", "--epochs", "4")
    browser = opened(url, "now && moments.length")
    assert browser.ask("now.live && !$('part').hidden")
    browser.draw("#paper", SEVEN)
    browser.wait("now.points.length > 2 || !now.live")      # within the first epoch
    browser.wait("epochs.length > 0")
    assert browser.ask("document.querySelector('#loss polyline').points.length") > 2
    browser.wait("!now.live")
    browser.settle()
    assert browser.ask("moments.map(({name}) => name)") == [
        "start", "128 images", "1,024 images", *(f"epoch {k}" for k in (1, 2, 3, 4))]
    assert browser.ask("epochs.length") == 4
    accuracies = browser.ask("moments.map(accuracy)")
    assert accuracies[0] < 0.3 < 0.7 < accuracies[-1]
    assert "Trained for 4 epochs" in browser.text("#doing")
    assert browser.ask("$('doing').closest('[role=status]')") is None     # each second
    assert f"{100 * accuracies[-1]:.2f}\xa0%" in browser.text("#moment")
    wrong = round(1000 * (1 - accuracies[-1]))
    assert f"Still wrong: {wrong:,} of 1,000" in browser.text("#wrong-title")
    assert browser.count("#errors figcaption") == min(24, wrong)
    assert browser.count("#story li") == 7
    assert browser.ask("Object.keys(said.outputs).length") == 7
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


def test_closing_the_page_changes_nothing(training, opened, tmp_path):
    options = ["--hidden", "16", "--limit", "1000", "--epochs", "5", "--workers", "2"]
    process, url = training(*options)
    opened(url, "now && moments.length").draw("#paper", SEVEN)
    opened("about:blank", "true")                           # in the middle of it
    while "The page stays" not in (line := process.stdout.readline()):
        assert line, process.stderr.read()
    assert opened(url, "now && !now.live && !jobs").ask("epochs.length") == 5
    plain, watched = tmp_path / "plain", tmp_path / "run"
    subprocess.run([sys.executable, str(ROOT / "train.py"), "--data", str(SAMPLE),
                    "--no-plots", "--output", str(plain), *options], check=True,
                   stdout=subprocess.DEVNULL)
    one, other = (digest.digest(Network.load(folder / "model.npz")[0])
                  for folder in (plain, watched))
    assert one == other
    assert {path.name for path in watched.iterdir()} - {
        path.name for path in plain.iterdir()} == {MOMENTS}


def test_a_training_that_is_killed_is_noticed(training, opened):
    process, url = training("--epochs", "500")
    browser = opened(url, "now && moments.length && !jobs")
    process.kill()
    process.wait()
    browser.wait("$('trouble').textContent.includes('still running')")
    assert browser.ask("moments.length && !($('slider').disabled && moments.length > 1)")
    opened("about:blank", "true")       # forgets what failed: it asked again and again


# --- Afterwards

def test_the_slider_replays_the_run(browser):
    assert browser.ask("[slider.value, slider.max]") == ["13", "13"]
    assert browser.text("#moment") == "Epoch 160: 99.18\xa0% correct"
    assert "160 epochs in 5 min 39 s" in browser.text("#doing")
    seen = {}
    for at, name, part, full in ((13, "Epoch 160", "10,000", 0.68),
                                 (0, "Start", "500", 0.13),     # small weights show too
                                 (2, "1,024 images", "500", 0.13),
                                 (4, "Epoch 1", "10,000", 0.24)):
        slide(browser, at)
        assert browser.text("#moment").startswith(f"{name}: ")
        assert browser.text("#classes-text") == f"Of {part} test images."
        assert f"full colour from {full} on" in browser.text("#tiles-text")
        seen[at] = (browser.ask(TILES), tuple(browser.texts("#bars .percent")),
                    browser.ask("document.querySelector('#loss .now').getAttribute('x1')"))
    assert all(len(set(column)) == 4 for column in zip(*seen.values()))
    assert browser.ask("slider.getAttribute('aria-valuetext')") == browser.text("#moment")
    browser.ask("const real = setInterval; "
                "window.setInterval = (job, ms) => real(job, ms / 30)")
    browser.ask("window.seen = []; new MutationObserver(() => seen.push("
                "$('moment').textContent)).observe($('moment'), {childList: true})")
    browser.click("#play")
    assert browser.text("#play") == "Stop"
    browser.wait("!replaying && !jobs")
    assert browser.ask("seen.map(text => text.split(':')[0])") == [
        "Start", "128 images", "1,024 images", "10,016 images",
        *(f"Epoch {n}" for n in (1, 2, 3, 5, 10, 20, 30, 50, 100, 160))]
    assert browser.text("#play") == "Replay"


def test_the_answers_to_a_drawing_are_those_of_each_moment(browser, shipped):
    assert browser.shows("#answers-hint") and not browser.shows("#story")
    draw_seven(browser)
    ink = bytes(browser.ask("[...inkPixels()]"))
    (reading,), = Reader(shipped).ink(ink, "", "")["digits"]
    assert browser.ask("said.outputs['160-0']") == pytest.approx(
        reading["outputs"], abs=0.02)
    assert browser.texts("#story b")[-1] == "7" and browser.count("#story li") == 14
    assert re.fullmatch("epoch 160: 7 [(].* %[)]", browser.text("#outputs-title")
                        .replace("\xa0", " "))
    last = browser.texts("#outputs-now .percent")
    slide(browser, 0)
    assert browser.text("#outputs-title").startswith("start: ")
    assert browser.texts("#outputs-now .percent") != last
    # A click on a moment, and keys from there, choose it too.
    browser.click("#story li:nth-child(5)")
    assert browser.text("#moment").startswith("Epoch 1: ")
    browser.ask("$('story').children[4].focus()")
    browser.key("ArrowDown", 40)
    browser.key("Enter", 13, "\r")
    assert browser.text("#moment").startswith("Epoch 2: ")
    assert browser.ask("document.activeElement === $('story').children[5]")
    browser.click("#clear")
    browser.wait("!said && !jobs")
    assert browser.shows("#answers-hint")


def test_the_pages_lead_to_each_other(browser):
    loaded = "location.pathname === '/{}' && document.readyState === 'complete' && {}"
    browser.click("#home")
    browser.wait(loaded.format("", "about && !jobs"))
    browser.click("#learnt")
    browser.wait(loaded.format("learning", SHOWN))
    assert not browser.shows("#wrong")                          # no images are kept


# --- Other networks, sizes and themes

def page_with(sizes, names, moments=3):
    """A server of the page of a run of networks that have not learnt."""
    kept = [Moment(n, 0, [1] * len(names), [9] * len(names), pack(Network(
        sizes, rng=random.Random(n)))) for n in range(moments)]
    about = about_run(Network(sizes), 256, names, "things")
    history = [[2.0 / n, 0.5, 1.0 / n, 0.75, 1.0] for n in range(1, max(2, moments))]
    run = RunPage(Recording(about, 600, 9, "validation", history, kept))
    return Server({"/": RunPage.path}, run.questions)


@pytest.mark.parametrize("sizes, names, what", [
    ([784, 10], NAMES, "10 outputs"), ([784, 800, 10], NAMES, "800 hidden units"),
    ([784, 40, 30, 2], ["an old hat", "T-shirt/top"], "40 hidden units")])
@pytest.mark.parametrize("width, phone", [(1280, False), (360, True)])
def test_other_networks_have_their_words_and_fit(opened, served, sizes, names, what,
                                                 width, phone):
    browser = opened(served(page_with(sizes, names)), SHOWN, width, phone=phone)
    draw_seven(browser)
    assert not browser.scrolls_sideways()
    assert browser.text("#tiles-title") == f"Weights of the {what}"
    assert browser.text("#classes-title").endswith(
        "digit" if names is NAMES else "class")
    assert browser.text("#evaluated-on") == "validation"
    assert browser.texts("#bars .name") == names


def test_a_run_without_moments_says_so(opened, served):
    browser = opened(served(page_with([784, 10], NAMES, 0)), SHOWN)
    browser.draw("#paper", SEVEN)
    browser.settle()
    assert "no moments were kept" in browser.text("#moment")
    assert browser.ask("$('slider').disabled && $('play').disabled")


@pytest.mark.parametrize("width", [360, 768, 1280, 2560])
def test_it_fits_every_width_in_both_themes_and_names_its_controls(page, width):
    browser = page(width, phone=width == 360)
    draw_seven(browser)
    assert not browser.scrolls_sideways()
    assert browser.ask("[...document.querySelectorAll('.bars span')].every(span => "
                       "span.scrollWidth <= span.parentElement.clientWidth)")
    names = browser.names_of_controls()
    assert len(names) > 20 and all(names)
    light = browser.ask(TILES)
    browser.look(width, 800, dark=True, phone=width == 360)
    browser.wait(f"{TILES} !== '{light}'")
