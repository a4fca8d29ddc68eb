"""Files that are there whole or not at all, folders that one process writes to, and
JSON that is not believed before it is measured."""
from __future__ import annotations

import json
import math
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Iterator, NoReturn

from errors import DataError

try:
    import fcntl
except ImportError:         # Windows
    fcntl = None

_UNFINISHED = ".*.[0-9]*.part"      # .model.npz.4711.part, written by process 4711
_PATIENCE = 5.0     # seconds for the processes of a training that was killed to end


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, whatever happens.

    A temporary file beside it takes the bytes, is forced onto the disk and only then
    given the name: renaming is one step to everybody who looks.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":      # the name as well; Windows opens no folders
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sweep(folder: Path, until: float = math.inf) -> None:
    """Remove what processes that were killed until then have left half written."""
    for path in folder.glob(_UNFINISHED):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < until:
                path.unlink()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a folder to this process; remove what one that was killed left half written.

    The system takes the lock away when this process and those that it has forked have
    ended, in whatever way.  DataError where another holds it,
    or there is none.
    """
    if not os.path.isdir(folder):
        raise DataError(folder, "no folder", "the folder of a training")
    deadline = time.monotonic() + _PATIENCE
    while (handle := _take(folder)) is None:
        if time.monotonic() > deadline:
            raise DataError(folder, "a training at work in it", "a folder of its own",
                            "wait for its end, or name another folder")
        time.sleep(0.05)
    try:
        sweep(folder)
        yield
    finally:
        os.close(handle)


def _take(folder: Path) -> int | None:
    """Return the handle that holds the lock of a folder; None where another has it."""
    if fcntl is None:       # Windows removes a temporary file with its last handle
        try:
            return os.open(f"{folder.resolve()}.lock",
                           os.O_CREAT | os.O_EXCL | os.O_TEMPORARY)
        except FileExistsError:
            return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:         # some network drives have no locks: then there is none
        pass
    return handle


# Of what Python makes of a JSON text: in 16 MB of it would be room for 500 MB of lists.
# The history of 60,000 epochs has half a million parts; a million take PyPy 200 MB.
_LONGEST, _MOST_PARTS, _MOST_LISTS, _MOST_DIGITS = 1 << 24, 1_000_000, 300_000, 30


def read_json(path: Path) -> Any:
    """Return what a JSON file says; OSError or ValueError where it says nothing."""
    with open(path, "rb") as file:
        content = file.read(_LONGEST + 1)
    if len(content) > _LONGEST:
        raise ValueError(f"more than {_LONGEST:,} bytes")
    return parse_json(content.decode())


def parse_json(text: Any) -> Any:
    """Return what a JSON text says; ValueError where it is none, or one of harm.

    The time that a whole number takes grows with the square of its digits.  NaN and
    Infinity, which Python writes and reads, are no JSON.
    """
    if not isinstance(text, str):
        raise ValueError("settings that are no text")
    if (text.count(",") > _MOST_PARTS
            or text.count("[") + text.count("{") > _MOST_LISTS):
        raise ValueError("settings of too many parts")
    try:
        return json.loads(text, parse_int=_whole, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("brackets within brackets without end") from None


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is no number")
