"""runs: what a search found, as a table and in words."""
from learning.survey import survey
from show.runs import grid_lines


def rows_of_search():
    """Three settings and two seeds; the score is the settings' digits, in a row."""
    return [{"hidden": [hidden], "learning_rate": rate, "dropout": dropout,
             "seed": seed, "epochs": 5, "seconds": 1.5 * seed, "test_accuracy": 0.1,
             "validation_accuracy": hidden / 1000 + rate / 10 + dropout / 100
             + (seed - 1.5) / 10}
            for hidden in (128, 64) for rate in (0.05, 0.2, 0.1)
            for dropout in (0.0, 0.1) for seed in (1, 2)]


def test_the_table_of_a_search_has_the_best_in_brackets():
    lines = grid_lines(survey(rows_of_search(), ["hidden", "learning_rate", "dropout"]))
    assert "down: hidden, across: learning rate; the best over dropout" in lines[0]
    assert [line.split() for line in lines[2:5]] == [
        ["0.05", "0.1", "0.2"], ["64", "7.00", "7.50", "8.50"],
        ["128", "13.40", "13.90", "[14.90]"]]
    assert lines[-1] == "best: 14.90% with hidden 128, learning rate 0.2, dropout 0.1"
    assert "\n".join(lines).count("[") == 1


def test_the_table_of_one_setting():
    rows = [{"hidden": [64, 32], "validation_accuracy": 0.5},
            {"hidden": [16], "validation_accuracy": 0.75}]
    lines = grid_lines(survey(rows, ["hidden"]))
    assert [line.split() for line in lines[:3]] == [
        ["hidden", "validation", "accuracy,", "%"], ["16", "[75.00]"],
        ["64-32", "50.00"]]


def test_pairs_that_were_not_tried_stay_blank():
    rows = [{"a": 1, "b": 1, "validation_accuracy": 0.5},
            {"a": 2, "b": 2, "validation_accuracy": 0.6}]
    lines = grid_lines(survey(rows, ["a", "b"]))
    assert [line.split() for line in lines[3:5]] == [["1", "50.00"], ["2", "[60.00]"]]
