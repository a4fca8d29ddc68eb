"""What both commands share: options, one-line errors, streams, data sets."""
from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, Callable, Iterator, Sequence, TextIO

from data_loader import PARTS, Dataset
from errors import DataError, OptionError, one_line
from learning.download import load_or_sample

# --- progress

_REFRESH = 0.2          # seconds from one text to the next on a terminal
_SILENCE = 10           # seconds without a word where there is no terminal


class LiveLine:
    """Progress on stderr: on a terminal a line that is written over, elsewhere a new
    line where nothing has been said for a while."""

    def __init__(self) -> None:
        self._width, self._next = 0, 0.0
        self.clear()

    def show(self, text: str) -> None:
        """Replace the line, unless it was replaced a moment ago."""
        now, stream = time.monotonic(), sys.stderr
        if now < self._next:
            return
        if stream.isatty():
            text = text[:_columns(stream) - 1]
            stream.write("\r" + text.ljust(self._width))
            self._next, self._width = now + _REFRESH, len(text)
        else:
            stream.write(text + "\n")
            self._next = now + _SILENCE
        stream.flush()

    def clear(self) -> None:
        """Wipe the line out, so that a result can be printed in its place."""
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
        self._width = 0
        self._next = 0.0 if sys.stderr.isatty() else time.monotonic() + _SILENCE


def _columns(stream: TextIO) -> int:
    """Return the width of a terminal; 80 where it does not tell."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


# --- options and errors

class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are like all errors here."""

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None
                   ) -> Any:
        """Parse options; OptionError for a value of "--", which argparse before Python
        3.13 would drop, and take the option without any value."""
        for text in sys.argv[1:] if args is None else args:
            if text.startswith("--") and text.endswith("=--"):
                self.error(f"{text[:-3]}: found '--', expected a value")
        return super().parse_args(args, namespace)

    def error(self, message: str) -> Any:
        """Raise OptionError."""
        raise OptionError(f"{message} (--help lists the options)")


def path_name(text: str) -> str:
    """A type for argparse: paths, which an unset variable of a shell is not."""
    if not text:
        raise argparse.ArgumentTypeError("found '', expected a path")
    return text


class Output:
    """A stream that never fails: what it cannot take is dropped.

    A full disk, a closed pipe or a terminal that is gone must not end a training.  The
    first error is kept in `error`.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream, self.error = stream, None
        if hasattr(stream, "reconfigure"):      # a path may have any character in it
            stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        self._attempt(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        """Send what has been written so far, or drop it."""
        self._attempt(self._stream.flush)

    def _attempt(self, act: Callable, *arguments: str) -> None:
        try:
            act(*arguments)
        except OSError as error:        # from here on all goes to the null device
            self.error = error
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)


def _open_closed_streams() -> None:
    """Make the null device of streams that were closed when Python started (>&-).

    Else print would fail, and the next file that is opened would take their number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))


def _ignore_stops() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _stoppable(outlives_terminal: bool) -> Iterator[list[int]]:
    """Let Ctrl-C and SIGTERM raise KeyboardInterrupt; yield the list that takes their
    numbers.

    Only the first one does: what comes while the command ends is ignored, and so is
    what nohup or & had it ignore from the start.
    """
    received = [signal.SIGINT]

    def stop(number: int, frame: Any) -> None:
        """Interrupt the command."""
        received.append(number)
        _ignore_stops()
        raise KeyboardInterrupt

    handlers: dict[int, Any] = {signal.SIGINT: stop, signal.SIGTERM: stop}
    if outlives_terminal and hasattr(signal, "SIGHUP"):
        handlers[signal.SIGHUP] = signal.SIG_IGN
    before = {number: signal.signal(number, handler)
              for number, handler in handlers.items()
              if signal.getsignal(number) != signal.SIG_IGN}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _outcome(command: Callable[[], int], received: list[int]) -> tuple[int, str]:
    """(exit code, what went wrong) of a command."""
    try:
        return command(), ""
    except SystemExit as end:       # of --help
        return int(end.code or 0), ""
    except (DataError, OptionError, OSError) as error:
        return 2, str(error)
    except MemoryError:
        return 2, "out of memory: expected smaller sizes"
    except KeyboardInterrupt as stop:
        return 128 + received[-1], ": ".join(["stopped", *map(str, stop.args)])


def run_command(name: str, command: Callable[[], int], outlives_terminal: bool = False
                ) -> int:
    """Run a command; return its exit code.

    What its user can mend is one line on stderr and exit code 2.  Ctrl-C and SIGTERM
    are KeyboardInterrupt in it, whose text is told, and 128 and the signal's number.
    """
    _open_closed_streams()
    with _stoppable(outlives_terminal) as received, \
            redirect_stdout(Output(sys.stdout)) as out, \
            redirect_stderr(Output(sys.stderr)):
        code, message = _outcome(command, received)
        _ignore_stops()
        out.flush()
        if isinstance(out.error, BrokenPipeError):      # head or less has gone
            code = code or 141      # as for a program that the closed pipe has ended
        elif out.error and not code:
            code, message = 2, (f"standard output: found {out.error.strerror}, "
                                "expected it to take what is printed; all else is done")
        if message:
            print("\n" * (code > 2) +      # behind the ^C of a terminal
                  f"{name}: {one_line(message)}", file=sys.stderr, flush=True)
    return code


# --- data

def load_data(folder: str | None, parts: Sequence[str] = PARTS) -> list[Dataset]:
    """The data sets; where there is no MNIST the sample, and a word on stderr."""
    live = LiveLine()

    def progress(url: str, done: int, total: int) -> None:
        """Show how far a download is."""
        live.show(f"Downloading ({done:,} of {total or done:,} bytes) {url}")

    *sets, notice = load_or_sample(folder, progress, parts=parts)
    live.clear()
    if notice:
        print(notice, file=sys.stderr)
    return sets
