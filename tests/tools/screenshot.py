"""Draw a digit on the page and save a picture of it: lessons/figures/page.png.

    python tests/tools/screenshot.py [FILE]

Needs a Chromium.  With Pillow the file has at most 128 colours, a third of its size.
"""
import random
import sys
from pathlib import Path

from draw_set import STYLES, Model, page_of, strokes

ROOT = Path(__file__).resolve().parents[2]
SIZE = 860, 1084        # as wide as it is shown: its text is not made smaller

if __name__ == "__main__":
    path = Path(*sys.argv[1:] or [ROOT / "lessons" / "figures" / "page.png"])
    with page_of(Model.load(ROOT / "data" / "model.npz"), *SIZE) as browser:
        browser.send("Emulation.setScrollbarsHidden", hidden=True)
        browser.draw("#paper", strokes(STYLES[3][1], (0.7, 0.05, 0.5, 0.5),
                                       random.Random(3)))
        browser.wait("!jobs && found")
        browser.screenshot(path)
    try:
        from PIL import Image
    except ImportError:
        sys.exit()
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(128).save(path, optimize=True)
