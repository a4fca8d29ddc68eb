"""Draw a digit on the page and save a picture of it: lessons/figures/page.png.

    python tests/tools/screenshot.py [FILE]

Needs a Chromium.  With Pillow the file has at most 128 colours, a third of its size.
"""
import random
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from browser import Browser, find_chromium
from draw_set import STYLES, strokes

from learning.models import Model
from show import page

WIDTH, HEIGHT = 860, 1084       # as wide as it is shown: its text is not made smaller


def take(model, path):
    """Draw a 3 with the mouse and save what the window shows."""
    with page.make_server(model.network, model.levels, model.names) as server, \
            tempfile.TemporaryDirectory() as profile:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = Browser(find_chromium(), profile)
        try:
            browser.look(WIDTH, HEIGHT)
            browser.open(server.url, "about")
            browser.draw("#paper", strokes(STYLES[3][1], (0.7, 0.05, 0.5, 0.5),
                                           random.Random(3)))
            browser.wait("!jobs && found")
            browser.screenshot(path)
        finally:
            browser.close()
            server.shutdown()


def reduce_colours(path):
    """Save a picture with 128 colours, where Pillow is installed."""
    try:
        from PIL import Image
    except ImportError:
        return
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(128).save(path, optimize=True)


if __name__ == "__main__":
    target = Path(*sys.argv[1:] or [ROOT / "lessons" / "figures" / "page.png"])
    take(Model.load(ROOT / "data" / "model.npz"), target)
    reduce_colours(target)
