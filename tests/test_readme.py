"""Every command and example of the READMEs does what it says: see tools/pages.py."""
import re

import pytest
from conftest import ROOT
from tools import pages
from tools.pages import (LANGUAGES, Course, blocks, broken_links, check, items, matches,
                         obstacle, outside_blocks, seconds_of)

PAGES = [ROOT / "README.md", ROOT / "data" / "README.md"]
ITEMS = [item for path in PAGES for item in items(path)]


@pytest.fixture(scope="module")
def course(request, tmp_path_factory):
    return Course(tmp_path_factory.mktemp("readme") / "digits",
                  request.config.getoption("--long"), ITEMS)


@pytest.mark.parametrize("item", ITEMS, ids=str)
def test_it_does_what_the_readme_says(item, course):
    reason = obstacle(item, course.long)
    if reason:
        pytest.skip(reason)
    check(item, *course.result(item))


# --- the pages themselves

@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.parent.name)
def test_no_example_escapes(path):
    text = path.read_text(encoding="utf-8")
    assert {language for _, _, language, _ in blocks(text)} <= LANGUAGES
    assert not re.search(r"^ {4,}(\$|>>>|python) ?", outside_blocks(text), re.MULTILINE)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.parent.name)
def test_every_link_leads_somewhere(path):
    assert "](" in path.read_text(encoding="utf-8") and not broken_links(path)


def test_it_is_read_in_ten_minutes():
    assert len(PAGES[0].read_text(encoding="utf-8").splitlines()) <= 250


def test_a_first_afternoon_is_not_longer():
    text = PAGES[0].read_text(encoding="utf-8")
    paragraph = text.split("**A first afternoon**")[1].split("\n\n")[0]
    files = re.findall(r"\]\((\S+\.py)\)", paragraph)
    assert 1 <= len(files) <= 6
    lines = [len((ROOT / file).read_text(encoding="utf-8").splitlines())
             for file in files]
    assert sum(lines) < 1500


def test_every_module_is_in_the_reading_order():
    text = PAGES[0].read_text(encoding="utf-8")
    assert not [path.name for path in ROOT.glob("*.py")
                if f"[{path.name}]({path.name})" not in text]


# --- the test's own rules

@pytest.mark.parametrize("lines, expected, fits", [
    ("a b", "a b", True), ("a b", "a", False), ("a", "a b", False), ("", "", True),
    ("a b c", "a ... c", True), ("a c", "a ... c", True), ("a b", "... a", False),
    ("a b c d", "... c ...", True), ("a b", "...", True)])
def test_dots_stand_for_any_lines_and_nothing_else_does(lines, expected, fits):
    assert matches(lines.split(), expected.split()) is fits


def test_output_stands_below_the_file_that_prints_it(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("Put into `a.py`:\n\n```python\nprint(1)\n```\n\n"
                    "```output\n1\n```\n")
    item, = items(page)
    assert (item.kind, item.file, item.expected) == ("put", "a.py", "1\n")
    check(item, 0, "1\n")
    with pytest.raises(AssertionError):
        check(item, 0, "2\n")
    page.write_text("```python\npass\n```\n\n```output\n1\n```\n")
    with pytest.raises(AssertionError, match="what prints this"):
        items(page)


@pytest.mark.parametrize("command, seconds", [
    ("python my_math.py  # 5 s", 5), ("python x.py 30 s", 0),
    ("python train.py --limit 100  # numbers will differ", 0),
    ("python train.py --data x  # minutes; needs x", 60),
    ("python train.py  # finds, trains and saves: 2.5 minutes", 150)])
def test_a_command_says_how_long_it_takes(command, seconds):
    assert seconds_of(command) == seconds
