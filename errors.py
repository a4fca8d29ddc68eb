"""Errors that a user can mend: a command prints them as one line and exits with 2."""
from __future__ import annotations

from typing import BinaryIO


def one_line(text: str) -> str:
    """Text without line ends and what else might change the state of a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1]
                   for c in " ".join(text.splitlines()))


class DataError(Exception):
    """A file or folder is not what it has to be.

    `path` says where, `found` what is there, `expected` what should be, and `hint`,
    which may be empty, what to do about it; str() is all of it in one line.

    >>> str(DataError("a.gz", "an HTML page", "an IDX file"))
    'a.gz: found an HTML page, expected an IDX file'
    """

    def __init__(self, path: object, found: str, expected: str, hint: str = "") -> None:
        super().__init__(path, found, expected, hint)
        self.path, self.found, self.expected, self.hint = path, found, expected, hint

    def __str__(self) -> str:
        hint = f"; {self.hint}" if self.hint else ""
        line = f"{self.path}: found {self.found}, expected {self.expected}{hint}"
        return one_line(line)


class MissingDataError(DataError):
    """A folder has no data set in it, or only a part of one."""


class DownloadError(DataError):
    """No mirror delivered the files."""


class OptionError(Exception):
    """Options that make no sense as they were given, alone or together."""


def read_limited(stream: BinaryIO, most: int, path: object) -> bytes:
    """Return all that a stream holds; DataError if that is more than `most` bytes.

    It is read in pieces, because read(n) takes n bytes of memory first, however few
    there are, and because a pipe or a device does not say how many will come.
    """
    content = bytearray()
    while piece := stream.read(1 << 16):
        content += piece
        if len(content) > most:
            raise DataError(path, f"more than {most:,} bytes", "a smaller file")
    return bytes(content)
