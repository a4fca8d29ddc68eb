"""text: scores of each class, tables and pictures of characters."""
import io

import pytest

from learning.survey import survey
from show import text
from show.text import class_scores, grid_lines, picture, weight_lines

# --- scores of each class

def test_precision_recall_and_f1_by_hand():
    scores = class_scores([[8, 2], [4, 6]])
    assert scores[0] == pytest.approx((8 / 12, 8 / 10, 16 / 22))
    assert scores[1] == pytest.approx((6 / 8, 6 / 10, 12 / 18))
    for precision, recall, f1 in scores:
        assert f1 == pytest.approx(2 * precision * recall / (precision + recall))


def test_classes_never_predicted_absent_or_always_wrong():
    """0 is predicted as 1, 1 is correct, 2 is neither there nor predicted, 3 is absent.
    """
    scores = class_scores([[0, 3, 0, 0], [0, 5, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert scores[0] == scores[2] == scores[3] == (0, 0, 0)
    assert scores[1] == pytest.approx((5 / 8, 5 / 6, 10 / 14))


def test_the_scores_agree_with_the_accuracy():
    """Weighted by the images of each class, recall is accuracy."""
    counts = [[5, 1, 0], [2, 7, 1], [0, 0, 4]]
    found = sum(scores.recall * sum(row)
                for scores, row in zip(class_scores(counts), counts)) / 20
    assert found == pytest.approx((5 + 7 + 4) / 20)


# --- searches

def rows_of_search():
    """Three settings and two seeds; the score is the settings' digits, in a row."""
    return [{"hidden": [hidden], "learning_rate": rate, "dropout": dropout,
             "seed": seed, "epochs": 5, "seconds": 1.5 * seed, "test_accuracy": 0.1,
             "validation_accuracy": hidden / 1000 + rate / 10 + dropout / 100
             + (seed - 1.5) / 10}
            for hidden in (128, 64) for rate in (0.05, 0.2, 0.1)
            for dropout in (0.0, 0.1) for seed in (1, 2)]


def test_a_survey_shows_two_settings_and_the_best_over_the_others():
    found = survey(rows_of_search())
    assert found.names == ["hidden", "learning_rate"] and found.others == ["dropout"]
    assert found.values == [["64", "128"], ["0.05", "0.1", "0.2"]]
    assert found.cells["64", "0.1"] == pytest.approx(0.064 + 0.01 + 0.001)
    assert found.best == {"hidden": "128", "learning_rate": "0.2", "dropout": "0.1"}
    assert found.best_cell == ("128", "0.2")


def test_settings_can_be_named_and_seeds_are_averaged():
    found = survey(rows_of_search(), ["dropout"], score="seconds")
    assert found.names == ["dropout"] and found.cells == {("0",): 2.25, ("0.1",): 2.25}


def test_the_table_of_a_search_has_the_best_in_brackets():
    lines = grid_lines(survey(rows_of_search()))
    assert "down: hidden, across: learning rate; the best over dropout" in lines[0]
    assert [line.split() for line in lines[2:5]] == [
        ["0.05", "0.1", "0.2"], ["64", "7.00", "7.50", "8.50"],
        ["128", "13.40", "13.90", "[14.90]"]]
    assert lines[-1] == "best: 14.90% with hidden 128, learning rate 0.2, dropout 0.1"
    assert "\n".join(lines).count("[") == 1


def test_the_table_of_one_setting():
    rows = [{"hidden": [64, 32], "validation_accuracy": 0.5},
            {"hidden": [16], "validation_accuracy": 0.75}]
    lines = grid_lines(survey(rows))
    assert [line.split() for line in lines[:3]] == [
        ["hidden", "validation", "accuracy,", "%"], ["16", "[75.00]"],
        ["64-32", "50.00"]]


def test_pairs_that_were_not_tried_stay_blank():
    rows = [{"a": 1, "b": 1, "validation_accuracy": 0.5},
            {"a": 2, "b": 2, "validation_accuracy": 0.6}]
    lines = grid_lines(survey(rows))
    assert [line.split() for line in lines[3:5]] == [["1", "50.00"], ["2", "[60.00]"]]


def test_one_run_is_a_search_too():
    found = survey([{"hidden": [64], "validation_accuracy": 0.5}])
    assert found.names == ["hidden"] and found.best == {"hidden": "64"}


@pytest.mark.parametrize("rows", [[], [{"hidden": 1}]])
def test_a_survey_of_nothing_is_refused(rows):
    with pytest.raises(ValueError, match="expected some, with a validation_accuracy"):
        survey(rows)


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
