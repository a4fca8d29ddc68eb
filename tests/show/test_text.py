"""text: scores of each class, tables and pictures of characters."""
import io

import pytest

from show import text
from show.text import class_scores, picture, weight_lines

# --- scores of each class

def test_precision_recall_and_f1_by_hand():
    scores = [tuple(found.values()) for found in class_scores([[8, 2], [4, 6]])]
    assert scores[0] == pytest.approx((8 / 12, 8 / 10, 16 / 22))
    assert scores[1] == pytest.approx((6 / 8, 6 / 10, 12 / 18))
    for precision, recall, f1 in scores:
        assert f1 == pytest.approx(2 * precision * recall / (precision + recall))


def test_classes_never_predicted_absent_or_always_wrong():
    """0 is predicted as 1, 1 is correct, 2 is neither there nor predicted, 3 is absent.
    """
    counts = [[0, 3, 0, 0], [0, 5, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    scores = [tuple(found.values()) for found in class_scores(counts)]
    assert scores[0] == scores[2] == scores[3] == (0, 0, 0)
    assert scores[1] == pytest.approx((5 / 8, 5 / 6, 10 / 14))


def test_the_scores_agree_with_the_accuracy():
    """Weighted by the images of each class, recall is accuracy."""
    counts = [[5, 1, 0], [2, 7, 1], [0, 0, 4]]
    found = sum(scores["recall"] * sum(row)
                for scores, row in zip(class_scores(counts), counts)) / 20
    assert found == pytest.approx((5 + 7 + 4) / 20)


# --- characters

class Encoded(io.StringIO):
    """A stream of some encoding."""

    def __init__(self, encoding):
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self):
        return self._encoding


@pytest.mark.parametrize("encoding, pixels, full", [
    ("utf-8", "██▓▓", "██"), ("cp437", "██▓▓", "██"), ("ascii", "##**", "##"),
    ("latin-1", "##**", "##"), (None, "##**", "##"), ("no such", "##**", "##")])
def test_blocks_are_printed_where_the_encoding_has_them(
        monkeypatch, encoding, pixels, full):
    monkeypatch.setattr("sys.stdout", Encoded(encoding))
    assert picture(bytes([0, 0, 255, 128, 0, 0]), 2) == [pixels]
    assert text.bar(0.5, 4) == full + "  "


def test_a_picture_ends_with_its_ink_and_a_frame_has_all(monkeypatch):
    monkeypatch.setattr("sys.stdout", Encoded("ascii"))
    image = bytes([0, 0, 255, 0, 0, 1, 0, 0])
    assert picture(image, 2) == ["##  ", "  .."]
    assert text.framed(image, 2) == [
        "+----+", "|    |", "|##  |", "|  ..|", "|    |", "+----+"]
    assert picture(bytes(4), 2) == ["    "]


def test_weights_of_zero_are_blank():
    assert weight_lines([0.0] * 4, 2) == ["    ", "    "]


def test_blocks_of_unequal_height_stand_side_by_side():
    blocks = [["ab", "c"], ["d"], ["efg", "", "h"]]
    assert text.side_by_side(blocks, 15) == ["ab    d    efg", "c", "           h"]
    assert text.side_by_side(blocks, 7) == ["ab    d", "c", "efg", "", "h"]
    assert text.side_by_side(blocks, 1) == ["ab", "c", "d", "efg", "", "h"]
