"""Draw a set of digits in the page, save each as a picture, count what is read right.

    python tests/tools/draw_set.py FOLDER [--model FILE] [--random N]

A Chromium draws every digit in several styles with thin, middle and thick lines, at
several sizes, places and slants, by a hand that is not quite steady.  FOLDER gets a
screenshot of each drawing, such as 7-thin-2.png, and saved/7-thin-2.png, which the page
itself saves.  Printed is how many the page reads right, how many `predict.py --image`
does, and how long a stroke takes until it is answered.
"""
import argparse
import base64
import math
import random
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from tools.browser import NAMES, Browser, find_chromium

from errors import DataError
from learning.models import Model, find_model
from pictures.digit import find_digits, read_picture

SOURCES = "the page", "--image, saved by the page", "--image, a screenshot"
BRUSHES = {"thin": 6, "middle": 12, "thick": 20}
# Scale, slant (right at the top) and where the middle is; the paper is 1 wide and high.
PLACES = [(0.72, 0.0, 0.5, 0.5), (0.45, 0.15, 0.3, 0.35), (0.6, -0.1, 0.62, 0.6),
          (0.3, 0.1, 0.75, 0.75)]


def arc(x, y, across, down, start, end):
    """Points on an ellipse about (x, y), from angle to angle; 0 is right, 90 below."""
    count = max(2, round(abs(end - start) / 20))
    angles = [math.radians(start + (end - start) * k / count) for k in range(count + 1)]
    return [(x + across * math.cos(a), y + down * math.sin(a)) for a in angles]


# A style is a list of strokes, each of them points in a box 0.6 wide and 1 high.
STYLES = {
    0: [[arc(0.3, 0.5, 0.3, 0.5, -90, -450)],
        [arc(0.3, 0.5, 0.22, 0.5, -60, 300)],
        [arc(0.3, 0.5, 0.3, 0.38, -110, -430)]],
    1: [[[(0.3, 0), (0.3, 1)]],
        [[(0.12, 0.2), (0.32, 0), (0.32, 1)]],
        [[(0.12, 0.2), (0.32, 0), (0.32, 1)], [(0.1, 1), (0.54, 1)]]],
    2: [[arc(0.3, 0.27, 0.27, 0.27, -170, 30) + [(0.03, 1), (0.6, 1)]],
        [arc(0.3, 0.25, 0.25, 0.25, -160, 60) + arc(0.14, 0.87, 0.12, 0.1, -90, -400)
         + [(0.4, 1), (0.6, 0.93)]],
        [[(0.05, 0.1), (0.3, 0), (0.5, 0.15), (0.45, 0.45), (0.05, 0.95), (0.3, 0.93),
          (0.6, 1)]]],
    3: [[arc(0.28, 0.25, 0.26, 0.25, -160, 80) + arc(0.28, 0.74, 0.3, 0.26, -80, 150)],
        [[(0.05, 0), (0.55, 0), (0.28, 0.4)] + arc(0.28, 0.7, 0.28, 0.3, -90, 150)],
        [arc(0.25, 0.22, 0.25, 0.22, -150, 90)
         + arc(0.25, 0.72, 0.32, 0.28, -90, 120)]],
    4: [[[(0.1, 0), (0.05, 0.55), (0.58, 0.55)], [(0.48, 0), (0.45, 1)]],   # open
        [[(0.42, 0), (0.02, 0.66), (0.6, 0.66)], [(0.42, 0), (0.42, 1)]],   # closed
        [[(0.05, 0.05), (0.1, 0.4), (0.3, 0.5), (0.5, 0.4)],
         [(0.52, 0.02), (0.45, 1)]]],
    5: [[[(0.55, 0), (0.1, 0), (0.07, 0.42)] + arc(0.27, 0.68, 0.3, 0.32, -125, 140)],
        [[(0.1, 0), (0.07, 0.45)] + arc(0.27, 0.7, 0.3, 0.3, -120, 150),
         [(0.1, 0), (0.58, 0.02)]],
        [[(0.6, 0.05), (0.2, 0), (0.12, 0.4), (0.4, 0.45), (0.5, 0.7), (0.3, 0.95),
          (0, 1)]]],
    6: [[[(0.45, 0), (0.2, 0.25), (0.05, 0.6)] + arc(0.3, 0.72, 0.26, 0.27, 170, -190)],
        [[(0.12, 0), (0.05, 0.4), (0.04, 0.7)]
         + arc(0.29, 0.77, 0.25, 0.23, 180, -180)],
        [arc(0.45, 0.55, 0.42, 0.53, -80, -180)
         + arc(0.28, 0.72, 0.25, 0.27, 165, -170)]],
    7: [[[(0.02, 0), (0.6, 0), (0.2, 1)]],
        [[(0.02, 0), (0.6, 0), (0.2, 1)], [(0.18, 0.48), (0.56, 0.48)]],    # with a bar
        [[(0.02, 0.15), (0.04, 0.02), (0.58, 0), (0.38, 0.4), (0.3, 1)]]],
    8: [[arc(0.3, 0.24, 0.22, 0.24, 0, -270) + arc(0.3, 0.75, 0.28, 0.26, -90, 270)
         + arc(0.3, 0.24, 0.22, 0.24, 90, 0)],
        [arc(0.3, 0.24, 0.23, 0.24, 90, 450), arc(0.3, 0.74, 0.27, 0.26, -90, 270)],
        [[(0.52, 0.1), (0.3, 0), (0.1, 0.15), (0.2, 0.4), (0.48, 0.65), (0.45, 0.92),
          (0.2, 1), (0.06, 0.8), (0.25, 0.5), (0.5, 0.3), (0.52, 0.1)]]],
    9: [[arc(0.28, 0.27, 0.24, 0.27, 0, -360) + [(0.52, 0.3), (0.48, 1)]],  # closed
        [arc(0.28, 0.27, 0.25, 0.27, -30, -330) + [(0.53, 0.1), (0.45, 1)]],    # open
        [arc(0.28, 0.27, 0.24, 0.27, 0, -360)
         + arc(0.22, 0.66, 0.3, 0.34, -40, 120)]],
}


def strokes(style, place, rng):
    """The strokes of a style on the paper, drawn by a hand that is not quite steady."""
    scale, slant, middle_x, middle_y = place
    turn = rng.uniform(-0.08, 0.08)
    drawn = []
    for stroke in style:
        bent = [(x + rng.gauss(0, 0.012), y + rng.gauss(0, 0.012)) for x, y in stroke]
        points = []
        for x, y in dense(bent):
            x, y = x - 0.3 + slant * (0.5 - y), y - 0.5
            x, y = x - turn * y, y + turn * x
            points.append((middle_x + scale * x, middle_y + scale * y))
        drawn.append(points)
    return drawn


def dense(points):
    """The points, and two others between each and the next."""
    return [points[0]] + [
        (x0 + (x1 - x0) * k / 3, y0 + (y1 - y0) * k / 3)
        for (x0, y0), (x1, y1) in zip(points, points[1:]) for k in (1, 2, 3)]


def drawings():
    """(file name, digit, brush, strokes) of each drawing of the set."""
    rng = random.Random(10)
    for digit, styles in STYLES.items():
        for brush, width in BRUSHES.items():
            places = [(style, place) for style in styles for place in PLACES]
            for number, (style, place) in enumerate(places, 1):
                yield (f"{digit}-{brush}-{number}.png", digit, width,
                       strokes(style, place, rng))


def random_drawings(count):
    """The same for digits of sizes 0.15 to 0.92 and brushes 4 to 26, anywhere."""
    rng = random.Random(17)
    for number in range(count):
        digit, scale = number % 10, rng.uniform(0.15, 0.92)
        reach = 0.5 * (1 - scale) * 0.9
        place = (scale, rng.uniform(-0.15, 0.15), 0.5 + rng.uniform(-reach, reach),
                 0.5 + rng.uniform(-reach, reach))
        style = STYLES[digit][rng.randrange(len(STYLES[digit]))]
        yield (f"{digit}-any-{number + 1}.png", digit, rng.randint(4, 26),
               strokes(style, place, rng))


# In the page: how long each stroke takes from the pen to the picture of its answer, and
# what the answer is.  An answer's time begins with the first event that it is about.
SETUP = """
const delays = [];
(() => {
  let drawn = null, asked = null;       // times of the earliest event of each
  for (const kind of ["pointerdown", "pointermove"]) {
    paper.addEventListener(kind, (event) => { drawn = drawn || event.timeStamp; });
  }
  const [realFetch, realShow] = [window.fetch, show];
  window.fetch = (path, ...others) => {
    if (path.startsWith("/ink")) { [asked, drawn] = [drawn, null]; }
    return realFetch(path, ...others);
  };
  show = () => {
    const since = asked;
    asked = null;
    realShow();
    if (since) {
      requestAnimationFrame(() => setTimeout(() =>
        delays.push(performance.now() - since)));
    }
  };
  paper.style.borderRadius = 0;
})();
const answer = () =>
  found.remark || found.digits.map((steps) => named(steps[0])).join("");
"""


@contextmanager
def page_of(model, width=1280, height=800):
    """A browser with the page to draw on, whose server is a process of its own, as it
    is to a user; ends both."""
    chromium = find_chromium()
    if not chromium:
        sys.exit(f"no browser: none of {', '.join(NAMES)} is installed")
    command = [sys.executable, "-u", str(ROOT / "predict.py"), "--draw", "--no-browser",
               "--model", str(model.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, \
            tempfile.TemporaryDirectory() as profile:
        browser = Browser(chromium, profile)
        try:
            url = next(word for line in server.stdout for word in line.split()
                       if word.startswith("http://"))
            browser.look(width, height)
            browser.open(url, "about")
            yield browser
        finally:
            browser.close()
            server.terminate()


def draw_all(browser, folder, wanted):
    """Draw all; yield (file name, digit, what the page answers).

    The folder gets a screenshot of each, and in saved/ what the page itself saves.
    """
    (folder / "saved").mkdir(parents=True, exist_ok=True)
    browser.ask(SETUP)
    for name, digit, width, lines in wanted:
        browser.ask(f"(clearPaper(), $('brush').value = {width})")
        browser.settle()
        browser.draw("#paper", lines, pause=0.008)      # as a mouse does, 125 a second
        browser.wait("!jobs && found")
        browser.screenshot(folder / name, "#paper")
        saved = base64.b64decode(browser.ask("png()").partition(",")[2])
        (folder / "saved" / name).write_bytes(saved)
        yield name, str(digit), browser.ask("answer()")


def answer_to_file(model, path):
    """What predict.py --image answers to a picture file: digits, or what it found."""
    try:
        pictures = find_digits(read_picture(path), path).digits
    except DataError as error:
        return error.found
    outputs = map(model.predict, pictures)
    return "".join(model.names[row.index(max(row))] for row in outputs)


def report(found):
    """Print what is read right of `found`, rows of a file name, the digit and three
    answers: of the page, to the saved picture and to the screenshot."""
    for name, digit, *answers in found:
        if set(answers) != {digit}:
            print(f"{name}: " + ", ".join(map(" ".join, zip(SOURCES, answers))))
    print(f"{len(found)} drawings:")
    for k, source in enumerate(SOURCES, 2):
        right = sum(row[k] == row[1] for row in found)
        same = sum(row[k] == row[2] for row in found)
        print(f"  {source}: {right} right, {right / len(found):.1%}; the same answer "
              f"as the page's to {same}")


def main():
    """Draw, save, count."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", help="model.npz of a run (default: as predict.py)")
    parser.add_argument("--random", type=int, metavar="N", help="N drawings of any size "
                        "from 0.15 to 0.92 and any brush instead of the set")
    options = parser.parse_args()
    model = Model.load(options.model) if options.model else find_model()[0]
    wanted = random_drawings(options.random) if options.random else drawings()
    with page_of(model) as browser:
        found = [(*row, *(answer_to_file(model, options.folder / part / row[0])
                          for part in ("saved", ".")))
                 for row in draw_all(browser, options.folder, wanted)]
        delays = browser.ask("delays")
    report(found)
    print(f"{len(delays)} answers shown, in the median {median(delays):.1f} ms after "
          "the first movement of the pen that they are about")


if __name__ == "__main__":
    main()
