"""Kinds of values: what options take as text, and what may come back from a file.

One kind says both, so that a file cannot bring what its option would refuse.
"""
from __future__ import annotations

import argparse
import math
import sys
from typing import Any, Mapping


class Kind:
    """Values as text, and as they come from a file; this one takes any.

    A kind is called to parse a text, and works as a type of argparse.  `words` stand
    for special values, such as "all" for 0.

    >>> Sizes()("64-32"), Sizes()("none"), FRACTION("0.5"), whole(1, all=0)("all")
    ([64, 32], [], 0.5, 0)
    """

    expected = metavar = ""
    words: Mapping[str, Any] = {}

    def parse(self, text: str) -> Any:
        """Return the value that a text stands for; ValueError where there is none."""
        return text

    def accepts(self, value: Any) -> bool:
        """Return True for a value of this kind."""
        return True

    def check(self, value: Any, name: str) -> None:
        """Raise ValueError, which names it, unless a value is of this kind."""
        if not self.accepts(value):
            raise ValueError(f"{name} is {value!r:.40}")

    def __call__(self, text: str) -> Any:
        try:
            value = self.words[text] if text in self.words else self.parse(text)
        except ValueError:
            value = None
        if not self.accepts(value):
            raise argparse.ArgumentTypeError(
                f"found {text!r:.40}, expected {self.expected}")
        return value

    def text(self, value: Any) -> str:
        """Return the value as its option takes it.

        >>> Sizes().text([64, 32]), Sizes().text([]), POSITIVE.text(0.5)
        ('64-32', 'none', '0.5')
        """
        for word, special in self.words.items():
            if value == special:
                return word
        if isinstance(value, list):
            return "-".join(map(str, value))
        short = f"{value:g}" if isinstance(value, float) else ""
        return short if short and float(short) == value else str(value)


class Choice(Kind):
    """One of several names."""

    def __init__(self, *names: str) -> None:
        *most, last = names
        self.names, self.metavar = names, f"{{{','.join(names)}}}"
        self.expected = f"{', '.join(most)} or {last}" if most else last

    def accepts(self, value: Any) -> bool:
        """Return True for one of the names."""
        return value in self.names


class Number(Kind):
    """Numbers in a range: floats where `least` is one, else whole numbers."""

    def __init__(self, expected: str, least: float, most: float = sys.float_info.max,
                 words: Mapping[str, int] = {}) -> None:
        self.expected, self.least, self.most, self.words = expected, least, most, words
        self.type, self.metavar = type(least), "X" if type(least) is float else "N"

    def parse(self, text: str) -> float:
        """Return the number; ValueError below the range, where special values are."""
        value = self.type(text)
        if value < self.least:
            raise ValueError
        return value

    def accepts(self, value: Any) -> bool:
        """Return True for a number of the range, or one that a word stands for."""
        if type(value) not in (int, self.type):      # a bool is neither
            return False
        return self.least <= value <= self.most or value in self.words.values()


class Sizes(Kind):
    """Sizes of up to 100 hidden layers of up to 100,000 units."""

    expected, metavar = "sizes such as 128 or 64-32, or none", "N[-N...]"
    words = {"none": []}

    def parse(self, text: str) -> list[int]:
        """Return the numbers between the hyphens."""
        return list(map(int, text.split("-")))

    def accepts(self, value: Any) -> bool:
        """Return True for a list of whole numbers, not too many, none too large."""
        return isinstance(value, list) and len(value) <= 100 and all(
            type(units) is int and 0 < units <= 100_000 for units in value)


class Text(Kind):
    """Text in one line, without what would do something to a terminal."""

    def __init__(self, longest: int = 1000) -> None:    # two names of files have 510
        self.longest = longest

    def accepts(self, value: Any) -> bool:
        """Return True for printable text; a lone surrogate is none."""
        return (isinstance(value, str) and value.isprintable()
                and len(value) <= self.longest)


class ListOf(Kind):
    """Lists of `least` to `most` values of one kind."""

    def __init__(self, kind: Kind, least: int = 0, most: float = math.inf) -> None:
        self.kind, self.least, self.most = kind, least, most

    def check(self, value: Any, name: str) -> None:
        """Raise ValueError that names the first value of another kind."""
        if not isinstance(value, list) or not self.least <= len(value) <= self.most:
            raise ValueError(f"{name} is {value!r:.40}")
        for place, one in enumerate(value):
            self.kind.check(one, f"{name}[{place}]")


class Record(Kind):
    """Objects that have these fields, each of its kind, and no others."""

    def __init__(self, fields: Mapping[str, Kind], optional: Mapping[str, Kind] = {}
                 ) -> None:
        self.needed, self.fields = set(fields), {**fields, **optional}

    def check(self, value: Any, name: str = "") -> None:
        """Raise ValueError that names the first field at fault."""
        if not isinstance(value, dict):
            raise ValueError(f"{name} is {value!r:.40}")
        prefix = f"{name}." if name else ""
        for field in sorted(self.needed - set(value)):
            raise ValueError(f"no {prefix}{field}")
        for field, one in value.items():
            if field not in self.fields:
                raise ValueError(f"an unknown {prefix}{field!r:.40}")
            self.fields[field].check(one, prefix + field)


def whole(least: int, most: float = math.inf, **words: int) -> Number:
    """Whole numbers from `least` up, to `most` if there is one."""
    end = "up" if most == math.inf else f"to {most}"
    other = "".join(f", or {word}" for word in words)
    return Number(f"a whole number from {least} {end}{other}", least, most, words)


POSITIVE = Number("a number above 0", math.ulp(0))
NOT_NEGATIVE = Number("a number from 0 up", 0.0)
FRACTION = Number("a number from 0 to 1", 0.0, 1)
BELOW_1 = Number("a number from 0 up to, not including, 1", 0.0, math.nextafter(1, 0))
