"""survey: a search over settings, summed up."""
import pytest

from learning.survey import survey


def rows_of_search():
    """Three settings and two seeds; the score is the settings' digits, in a row."""
    return [{"hidden": [hidden], "learning_rate": rate, "dropout": dropout,
             "seed": seed,
             "validation_accuracy": hidden / 1000 + rate / 10 + dropout / 100
             + (seed - 1.5) / 10}
            for hidden in (128, 64) for rate in (0.05, 0.2, 0.1)
            for dropout in (0.1, 0.0) for seed in (1, 2)]


def test_a_survey_shows_two_settings_and_the_best_over_the_others():
    found = survey(rows_of_search(), ["hidden", "learning_rate", "dropout"])
    assert found.names == ["hidden", "learning_rate"] and found.others == ["dropout"]
    assert found.values == [["64", "128"], ["0.05", "0.1", "0.2"]]
    assert found.cells["64", "0.1"] == pytest.approx(0.064 + 0.01 + 0.001)
    assert found.best == {"hidden": "128", "learning_rate": "0.2", "dropout": "0.1"}
    assert found.best_cell == ("128", "0.2")


def test_settings_that_are_not_named_are_averaged():
    found = survey(rows_of_search(), ["dropout"])
    mean = 0.096 + 0.35 / 30
    assert found.cells == {("0",): pytest.approx(mean),
                           ("0.1",): pytest.approx(mean + 0.001)}


def test_values_come_in_rising_order_and_words_where_options_have_them():
    rows = [{"hidden": hidden, "optimizer": name, "validation_accuracy": 0.5}
            for hidden in ([64], [], [8, 8]) for name in ("sgd", "adam")]
    assert survey(rows, ["hidden", "optimizer"]).values == [
        ["none", "8-8", "64"], ["adam", "sgd"]]
