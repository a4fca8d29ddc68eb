"""Kinds of values: as text, and as they come from a file."""
from argparse import ArgumentTypeError

import pytest

from learning.kinds import (BELOW_1, FRACTION, POSITIVE, Choice, ListOf, Record, Sizes,
                            Text, whole)


@pytest.mark.parametrize("kind, texts", [
    (whole(1), {"1": 1, "007": 7, "9" * 30: int("9" * 30)}),
    (whole(0, 255), {"0": 0, "255": 255}),
    (whole(1, all=0), {"all": 0, "3": 3}),
    (POSITIVE, {"1e-300": 1e-300, "3": 3.0}), (FRACTION, {"0": 0, "1": 1, "0.5": 0.5}),
    (BELOW_1, {"0": 0, "0.999": 0.999}), (Choice("a", "b"), {"a": "a"}),
    (Sizes(), {"none": [], "8": [8], "64-32": [64, 32]})])
def test_texts_become_values_and_values_texts(kind, texts):
    for text, value in texts.items():
        assert kind(text) == value and kind.accepts(value)
        assert kind(kind.text(value)) == value


@pytest.mark.parametrize("kind, texts, expected", [
    (whole(1), ["0", "-1", "1.5", "", "x", "nan"], "a whole number from 1 up"),
    (whole(0, 255), ["256", "-1", "9" * 4000], "a whole number from 0 to 255"),
    (whole(1, all=0), ["0", "ALL"], "a whole number from 1 up, or all"),
    (POSITIVE, ["0", "-1", "nan", "inf", "x"], "a number above 0"),
    (BELOW_1, ["1", "1.5", "-0.1"], "a number from 0 up to, not including, 1"),
    (Choice("a", "b", "c"), ["", "d", "A"], "a, b or c"),
    (Sizes(), ["", "0", "8-", "8-0", "x", "-8"],
     "sizes such as 128 or 64-32, or none")])
def test_other_texts_are_refused_with_what_is_expected(kind, texts, expected):
    for text in texts:
        with pytest.raises(ArgumentTypeError) as error:
            kind(text)
        assert str(error.value) == f"found {text!r:.40}, expected {expected}"


# --- as they come from a file

ROW = Record({"epoch": whole(1), "names": ListOf(Text(), least=1)}, {"loss": POSITIVE})


@pytest.mark.parametrize("value, words", [
    (None, "row is None"), ([], "row is []"), ({}, "no row.epoch"),
    ({"epoch": 1}, "no row.names"), ({"epoch": 0, "names": ["a"]}, "row.epoch is 0"),
    ({"epoch": 1, "names": []}, "row.names is []"),
    ({"epoch": 1, "names": "a"}, "row.names is 'a'"),
    ({"epoch": 1, "names": ["a", 1]}, "row.names[1] is 1"),
    ({"epoch": 1, "names": ["a"], "loss": "0"}, "row.loss is '0'"),
    ({"epoch": 1, "names": ["a"], "more": 0}, "an unknown row.'more'"),
    ({"epoch": 1, "names": ["a\x1b[2J"]}, "row.names[0] is 'a\\x1b[2J'"),
    ({"epoch": 1, "names": ["\ud800"]}, "row.names[0] is '\\ud800'"),
    ({"epoch": 1, "names": ["a" * 1001]}, "row.names[0] is '" + "a" * 39)])
def test_the_first_fault_of_a_record_is_named(value, words):
    ROW.check({"epoch": 1, "names": ["ä b"] * 3, "loss": 0.5}, "row")
    with pytest.raises(ValueError) as error:
        ROW.check(value, "row")
    assert str(error.value) == words
