"""Files that are there whole or not at all, and folders that one process writes to."""
from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

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
    sync_folder(path.parent)


def sync_folder(folder: str | Path) -> None:
    """Force the names in a folder onto the disk, which fsync of a file does not do."""
    if os.name == "posix":      # Windows opens no folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a folder to this process; remove what one that was killed left half written.

    The system takes the lock away when this process and those that it has forked have
    ended, in whatever way.  DataError where another holds it.
    """
    deadline = time.monotonic() + _PATIENCE
    while (handle := _take(folder)) is None:
        if time.monotonic() > deadline:
            raise DataError(folder, "a training at work in it", "a folder of its own",
                            "wait for its end, or name another folder")
        time.sleep(0.05)
    try:
        for path in folder.glob(_UNFINISHED):
            path.unlink()
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
