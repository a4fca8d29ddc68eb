"""runs: what a search found, as a table and in words."""
from learning.survey import survey
from show.runs import grid_lines


def rows_of(*scores):
    """A row for each (hidden, learning rate, dropout, score in per cent)."""
    return [{"hidden": [h], "learning_rate": rate, "dropout": dropout,
             "validation_accuracy": score / 100} for h, rate, dropout, score in scores]


def test_the_table_of_a_search_has_the_best_in_brackets():
    rows = rows_of((128, 0.1, 0.0, 50), (128, 0.2, 0.1, 70), (128, 0.2, 0.0, 60),
                   (64, 0.1, 0.1, 40))
    lines = grid_lines(survey(rows, ["hidden", "learning_rate", "dropout"]))
    assert "down: hidden, across: learning rate; the best over dropout" in lines[0]
    assert [line.split() for line in lines[2:5]] == [      # one pair was not tried
        ["0.1", "0.2"], ["64", "40.00"], ["128", "50.00", "[70.00]"]]
    assert lines[-1] == "best: 70.00% with hidden 128, learning rate 0.2, dropout 0.1"


def test_the_table_of_one_setting():
    lines = grid_lines(survey(rows_of((64, 1, 0, 50), (16, 1, 0, 75)), ["hidden"]))
    assert [line.split() for line in lines[:3]] == [
        ["hidden", "validation", "accuracy,", "%"], ["16", "[75.00]"], ["64", "50.00"]]
