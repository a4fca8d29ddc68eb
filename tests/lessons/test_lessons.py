"""The lessons: every block prints what stands below it (see tools/pages.py)."""
import builtins
import doctest
import gzip
import importlib
import json
import math
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import pytest
from conftest import ROOT
from tools.pages import (LANGUAGES, Course, blocks, broken_links, check, imported,
                         items, obstacle, outside_blocks)

FOLDER = ROOT / "lessons"
LESSONS = sorted(FOLDER.glob("[0-9]*.md"))
PAGES = [FOLDER / "README.md", FOLDER / "teachers.md", *LESSONS]
ITEMS = [item for path in LESSONS for item in items(path)]


@pytest.fixture(scope="module")
def result(request, tmp_path_factory):
    """result(item): its exit code and what it printed.

    Lessons 20 to 27 take as long as all before: they run beside them in a second copy.
    """
    long, folder = request.config.getoption("--long"), tmp_path_factory.mktemp("two")
    first, second = (Course(folder / name, long, ITEMS) for name in ("first", "second"))
    chosen = [test.callspec.params["item"] for test in request.session.items
              if getattr(test, "function", None) is test_it_does_what_the_lesson_says]
    with ThreadPoolExecutor(1) as thread:
        beside = {item: thread.submit(second.result, item) for item in chosen
                  if item.page > "lessons/20" and not obstacle(item, long)}
        yield lambda item: (beside[item].result() if item in beside
                            else first.result(item))
        thread.shutdown(cancel_futures=True)


@pytest.mark.parametrize("item", ITEMS, ids=str)
def test_it_does_what_the_lesson_says(item, request, result):
    reason = obstacle(item, request.config.getoption("--long"))
    if reason:
        pytest.skip(reason)
    check(item, *result(item))


# --- what the learner has in the end


def written(name):
    """Return a file as the lessons' blocks alone make it."""
    blocks = [item.text for item in ITEMS if item.file == name and item.kind != "put"]
    return "\n\n".join(blocks)


@pytest.mark.parametrize("name", [
    "my_network.py", "tiny.py", "my_lanes.py", "my_fast.py", "my_bending.py",
    "my_shipped.py", "my_picture.py"])
def test_the_solution_is_what_the_lessons_add_up_to(name):
    assert (FOLDER / "solutions" / name).read_text(encoding="utf-8") == written(name)


def test_my_network_is_short_and_needs_the_standard_library_alone():
    lines = [line for line in written("my_network.py").splitlines()
             if line.strip() and '"""' not in line]
    assert len(lines) < 130
    names = set(imported(written("my_network.py")))
    assert names == {"gzip", "json", "math", "random", "sys", "time"}


@pytest.fixture
def few_images(tmp_path):
    """A folder with the first 300 training and 100 test images of the sample."""
    for name, count in ("train", 300), ("t10k", 100):
        for kind, start, size in ("images-idx3", 16, 784), ("labels-idx1", 8, 1):
            file = f"{name}-{kind}-ubyte.gz"
            with gzip.open(ROOT / "data" / "sample" / file) as whole:
                data = whole.read(start + count * size)
            with gzip.open(tmp_path / file, "wb") as part:
                part.write(data[:4] + count.to_bytes(4, "big") + data[8:])
    return tmp_path


def test_my_network_trains_and_keeps_what_it_learnt(tmp_path, few_images):
    path = tmp_path / "my_network.py"
    path.write_text(written("my_network.py"), encoding="utf-8")
    run = subprocess.run([sys.executable, path, few_images, "8", "2"], cwd=tmp_path,
                         stdout=subprocess.PIPE, text=True, check=True)
    losses = [float(line.split("loss ")[1].split(",")[0])
              for line in run.stdout.splitlines()]
    assert len(losses) == 2 and losses[1] < losses[0] < 2.6
    network = json.loads((tmp_path / "network.json").read_text())
    shapes = [(len(matrix), len(matrix[0])) for matrix in network]
    assert shapes == [(784, 8), (1, 8), (8, 10), (1, 10)]


# --- the pages themselves


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path):
    text = path.read_text(encoding="utf-8")
    assert "](" in text and not broken_links(path)
    assert text.count("<details>") == text.count("</details>")


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.name)
def test_a_lesson_has_all_its_parts(path):
    text = path.read_text(encoding="utf-8")
    assert re.match(rf"# {int(path.name[:2])}\. .+\n\n> \*\*The question\.\*\*", text)
    assert re.search(r"!\[[^\]]{30,}\]\(figures/\w+\.svg\)", text)
    exercise = text.split("\n## Exercise\n")[1]
    assert "```output" in exercise and "<summary>Hint</summary>" in exercise
    assert f"(solutions/{path.name[:2]}.py)" in exercise


def test_names_beside_a_link_to_the_code_are_in_it():
    cited, known = [], {*dir(builtins), *dir(math)}
    for page in LESSONS:
        for paragraph in page.read_text(encoding="utf-8").split("\n\n"):
            code = "".join((FOLDER / file).read_text(encoding="utf-8") for file in
                           re.findall(r"\]\((\.\./[\w/]+\.py)\)", paragraph))
            cited += [(name, code) for name in re.findall(r"`([\w.]+)`", paragraph)
                      if code and name not in known and not name.endswith(".py")]
    assert len(cited) > 9
    for name, code in cited:
        assert set(name.split(".")) <= set(re.findall(r"\w+", code)), name


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_line_of_a_formula_begins_a_list(path):
    """Markdown takes "+ 5x" at the start of a line for an item."""
    prose = outside_blocks(path.read_text(encoding="utf-8"))
    assert not re.search(r"^[^-+*\s].*\n[-+*] ", prose, re.MULTILINE)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.name)
def test_every_block_can_be_pasted(path):
    text = path.read_text(encoding="utf-8")
    assert {language for _, _, language, _ in blocks(text)} <= LANGUAGES
    assert ">>>" not in text
    assert all(item.kind != "python" for item in ITEMS if item.page.endswith(path.name))
    assert not [line for _, _, language, block in blocks(text) if language == "python"
                for line in block.splitlines() if len(line) > 88]


def test_the_contents_list_every_lesson_in_order():
    contents = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[.*\]\((.*)\)", contents, re.MULTILINE) == [
        path.name for path in LESSONS]
    titles = [path.read_text(encoding="utf-8").split("\n")[0][2:] for path in LESSONS]
    assert re.findall(r"^\| \[(.*)\]", contents, re.MULTILINE) == titles


def test_the_glossary_has_the_main_words():
    glossary = (FOLDER / "teachers.md").read_text(encoding="utf-8").lower()
    glossary = glossary.split("## glossary")[1]
    for word in ("logit", "transpose", "broadcasting", "bias", "activation", "softmax",
                 "gradient", "epoch", "learning rate", "overfitting", "variance",
                 "he's rule", "one-hot", "big-endian", "chain rule", "seed", "lane",
                 "dither", "augmentation", "schedule", "momentum", "adam",
                 "dropout", "pca"):
        assert re.search(rf"^\| {word}", glossary, re.MULTILINE), word


# --- the figures


@pytest.fixture
def figures(monkeypatch):
    """The script that draws the figures, and its module of SVG."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return [importlib.import_module(name) for name in ("draw_figures", "drawing")]


def test_the_examples_of_the_drawing_module_are_true(figures):
    assert doctest.testmod(figures[1]) == (0, 1)


def test_the_figures_are_those_that_the_script_draws(figures, tmp_path, monkeypatch):
    draw_figures, drawing = figures
    monkeypatch.setattr(drawing, "FOLDER", tmp_path)
    draw_figures.main([])
    drawn = sorted(tmp_path.iterdir())
    assert len(drawn) == len(draw_figures.FIGURES)
    for path in drawn:
        assert path.read_bytes() == (FOLDER / "figures" / path.name).read_bytes()


def test_the_spread_of_activations_is_that_of_the_lessons_table():
    figure = (FOLDER / "figures" / "spread.svg").read_text(encoding="utf-8")
    shown = re.findall(r"mean of a\^2: (.*?)<", figure)
    table = (FOLDER / "11-start-values.md").read_text(encoding="utf-8").split()
    assert len(shown) == 12 and set(shown) <= set(table)


@pytest.mark.parametrize("path", sorted((FOLDER / "figures").glob("*.svg")),
                         ids=lambda path: path.name)
def test_a_figure_is_shown_and_legible(path):
    text = path.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    assert 400 <= int(root.get("width")) <= 800         # so that it is not made smaller
    assert min(map(float, re.findall(r'font-size="([\d.]+)"', text))) >= 13
    card = root[1]                                      # for dark pages
    assert card.tag.endswith("rect") and card.get("fill") == "#ffffff"
    assert len(text) < 100_000
    assert any(f"figures/{path.name}" in page.read_text(encoding="utf-8")
               for page in PAGES)
