"""What both commands share: options, one-line errors, a live line, pictures in text."""
from __future__ import annotations

import argparse
import math
import os
import sys
from typing import Any, Callable, Sequence, TextIO

import data_loader
from data_loader import PARTS, Dataset
from errors import DataError, OptionError
from learning.live import LiveLine

# --- options and errors

class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, like all errors here."""

    def error(self, message: str) -> Any:
        """Print what is wrong and end with exit code 2."""
        self.exit(2, f"{self.prog}: {message} (--help lists the options)\n")


def whole_number(least: int, most: float = math.inf) -> Callable[[str], int]:
    """A type for argparse: whole numbers from `least` up, to `most` if there is one."""
    def parse(text: str) -> int:
        """The number that an option was given."""
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            end = "up" if most == math.inf else f"to {most}"
            raise argparse.ArgumentTypeError(
                f"found {text!r}, expected a whole number from {least} {end}")
        return value
    return parse


def _number(expected: str, accepts: Callable[[float], bool]) -> Callable[[str], float]:
    """A type for argparse: numbers that are accepted, described by `expected`."""
    def parse(text: str) -> float:
        """The number that an option was given."""
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not accepts(value):
            raise argparse.ArgumentTypeError(f"found {text!r}, expected {expected}")
        return value
    return parse


positive_number = _number("a number above 0", lambda x: 0 < x < math.inf)
not_negative = _number("a number from 0 up", lambda x: 0 <= x < math.inf)
fraction = _number("a number from 0 to 1", lambda x: 0 <= x <= 1)
fraction_below_one = _number("a number from 0 up to, not including, 1",
                             lambda x: 0 <= x < 1)


def run_command(name: str, command: Callable[[], int]) -> int:
    """Run a command; what its user can mend is one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):     # a path may have any character in it
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = command()
        sys.stdout.flush()
        return code
    except (DataError, OptionError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:     # the reader of our output (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141              # as for a program that the closed pipe has ended
    except OSError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except MemoryError:
        print(f"{name}: out of memory: expected smaller sizes", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{name}: stopped", file=sys.stderr)
        return 130


# --- data

def load_data(folder: str | None, parts: Sequence[str] = PARTS) -> list[Dataset]:
    """The data sets; where there is no MNIST the sample, and a word on stderr."""
    live = LiveLine()

    def progress(name: str, done: int, total: int) -> None:
        """Show how far a download is."""
        live.show(f"Downloading {name}: {done:,} of {total or done:,} bytes")

    *sets, notice = data_loader.load_or_sample(folder, progress, parts=parts)
    live.clear()
    if notice:
        print(notice, file=sys.stderr)
    return sets


# --- pictures in text

def can_print(characters: str, stream: TextIO | None = None) -> bool:
    """Whether the encoding of a stream, stdout unless given, has these characters."""
    stream = sys.stdout if stream is None else stream
    try:
        characters.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


_BLOCKS, _ASCII = " ░▒▓█", " .:*#"


def picture(image: bytes, width: int, blocks: bool) -> list[str]:
    """The lines of a grey image, two characters a pixel, without its empty rows.

    >>> picture(bytes([0, 60, 255, 0, 0, 0]), 3, blocks=False)
    ['  ..##']
    """
    shades = _BLOCKS if blocks else _ASCII
    rows = [image[start:start + width] for start in range(0, len(image), width)]
    inked = [i for i, row in enumerate(rows) if any(row)] or [0]
    return ["".join(shades[-(-4 * grey // 255)] * 2 for grey in row)
            for row in rows[inked[0]:inked[-1] + 1]]


def bar(fraction: float, blocks: bool, width: int = 40) -> str:
    """A bar whose length is `fraction` (0..1) of `width` characters, blank to the end.

    >>> bar(0.5, blocks=False, width=8)
    '####    '
    """
    return ("█" if blocks else "#") * round(fraction * width) + " " * (
        width - round(fraction * width))


def table(rows: Sequence[Sequence[object]]) -> list[str]:
    """Lines with the columns of `rows` set flush right, two blanks between them.

    >>> table([["a", 1], ["b", 100]])
    ['a    1', 'b  100']
    """
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths))
            for row in texts]
