"""text: scores of each class, tables and pictures of characters."""
import io

import pytest

from show import text
from show.text import class_scores, picture

# --- scores of each class

def test_precision_recall_and_f1_by_hand():
    """0 is predicted as 1, 1 is correct, 2 is neither there nor predicted, 3 is absent.
    """
    counts = [[0, 3, 0, 0], [0, 5, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert [list(found.values()) for found in class_scores(counts)] == [
        [0, 0, 0], pytest.approx([5 / 8, 5 / 6, 10 / 14]), [0, 0, 0], [0, 0, 0]]


# --- characters

class Encoded(io.StringIO):
    """A stream of some encoding."""

    encoding = "ascii"


@pytest.mark.parametrize("encoding, pixels, full", [
    ("utf-8", "██▓▓", "██"), ("cp437", "██▓▓", "██"), ("ascii", "##**", "##"),
    ("latin-1", "##**", "##"), (None, "##**", "##"), ("no such", "##**", "##")])
def test_blocks_are_printed_where_the_encoding_has_them(
        monkeypatch, encoding, pixels, full):
    monkeypatch.setattr(Encoded, "encoding", encoding)
    monkeypatch.setattr("sys.stdout", Encoded())
    assert picture(bytes([0, 0, 255, 128, 0, 0]), 2) == [pixels]
    assert text.bar(0.5, 4) == full + "  "


def test_a_picture_ends_with_its_ink_and_a_frame_has_all(monkeypatch):
    monkeypatch.setattr("sys.stdout", Encoded())
    image = bytes([0, 0, 255, 0, 0, 1, 0, 0])
    assert picture(image, 2) == ["##  ", "  .."]
    assert text.framed(image, 2) == [
        "+----+", "|    |", "|##  |", "|  ..|", "|    |", "+----+"]
    assert picture(bytes(4), 2) == ["    "]
