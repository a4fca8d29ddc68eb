"""Progress on a terminal: a line that is written over as work goes on."""
from __future__ import annotations

import os
import sys
import time
from typing import TextIO


class LiveLine:
    """A line on stderr, written over as work goes on; nothing where no terminal is."""

    def __init__(self, stream: TextIO | None = None, interval: float = 0.2,
                 shown: bool = True) -> None:
        """`interval` is the least time in seconds between two updates."""
        self._stream = sys.stderr if stream is None else stream
        self._shown = shown and self._stream.isatty()
        self._interval, self._next, self._width = interval, 0.0, 0

    @property
    def is_due(self) -> bool:
        """Whether a text given now would be shown."""
        return self._shown and time.monotonic() >= self._next

    def show(self, text: str) -> None:
        """Replace the line, unless it was replaced a moment ago."""
        if self.is_due:
            text = text[:_columns(self._stream) - 1]
            self._stream.write("\r" + text.ljust(self._width))
            self._stream.flush()
            self._next, self._width = time.monotonic() + self._interval, len(text)

    def clear(self) -> None:
        """Wipe the line out, so that a result can be printed in its place."""
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width, self._next = 0, 0.0


def _columns(stream: TextIO) -> int:
    """Return the width of a terminal; 80 where it does not tell."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def rate_text(done: int, total: int, seconds: float) -> str:
    """Progress in words: images done, images a second, time left.

    >>> rate_text(15000, 60000, 20.0)
    '15,000/60,000 images, 750 a second, 1:00 left'
    """
    rate = done / seconds if seconds > 0 else 0.0
    minutes, rest = divmod(round((total - done) / rate) if rate else 0, 60)
    return (f"{done:,}/{total:,} images, {rate:,.0f} a second, "
            f"{minutes}:{rest:02} left")
