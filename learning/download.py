"""Download MNIST where it is missing, or make do with the sample.

A mirror may be gone, send something else, send for ever, or never.  So no more is
taken from one than MNIST's files have, for no longer than a slow line needs, and a file
is verified in memory before it is written.
"""
from __future__ import annotations

import io
import os
import queue
import threading
import time
from pathlib import Path
from typing import Callable, Sequence

import data_loader
from data_loader import FILE_NAMES, FOUR_FILES, PARTS
from engine.files import sweep, write_whole
from errors import DataError, DownloadError, MissingDataError, one_line

MIRRORS = (    # the original site is gone; these hold the same files
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)
_CHUNK = 1 << 18    # bytes read at a time
_LARGEST = 1 << 24    # bytes: MNIST's largest .gz has 9.9 MB
_TIMEOUT = 15    # seconds that a mirror has for a file, however it spends them ...
_SLOWEST = 5000    # ... and one more for so many bytes; less is as good as silence

Progress = Callable[[str, int, int], None]    # address, bytes done, bytes in all or 0


def _ask(url: str, tell: Callable[[object], None]) -> None:
    """Tell the pieces of what is at a URL, each with the size of all, or 0; behind the
    last one an empty piece, or the error."""
    # Needed only here, and as long to import as all the rest of a prediction takes.
    import http.client
    import urllib.request
    agent = {"User-Agent": "digits-in-plain-python/1.0"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=agent),
                                    timeout=2 * _TIMEOUT) as answer:
            done, total = 0, getattr(answer, "length", 0) or 0      # FTP does not tell
            # read1 returns what there is: read would wait for all of a chunk.
            while ((done < total or not total) and done <= _LARGEST
                   and (piece := answer.read1(_CHUNK))):
                done += len(piece)
                tell((piece, total))
        tell((b"", total))
    # ValueError: sent on to what is no address, a negative length, and the like.
    except (http.client.HTTPException, ValueError) as error:
        tell(DataError(url, f"{type(error).__name__} {error}", "a file"))
    except OSError as error:
        tell(error)


def _fetch(url: str, progress: Progress) -> bytes:
    """Return what is at a URL; DataError or OSError where that is no file in time.

    The time-out of a socket begins anew with each byte and each address, and looking
    up a name has none.  So a thread asks, and is left to itself when it is late.
    """
    told: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_ask, args=(url, told.put), daemon=True).start()
    start, content, total = time.monotonic(), bytearray(), 0
    while True:
        left = start + _TIMEOUT + len(content) / _SLOWEST - time.monotonic()
        if left < 0:
            raise DataError(url, f"only {len(content):,} bytes in {_TIMEOUT} seconds "
                            "and more", f"{_SLOWEST:,} a second")
        progress(url, len(content), total)
        try:
            found = told.get(timeout=min(left, 1.0))
        except queue.Empty:
            continue
        if isinstance(found, Exception):
            raise found
        piece, total = found
        if not piece:
            return bytes(content)
        content += piece
        if len(content) > _LARGEST:
            raise DataError(url, f"more than {_LARGEST:,} bytes", "less")


def _fetch_missing(mirror: str, folder: Path, progress: Progress) -> None:
    """Download the files that a folder does not have, each verified before it is there.
    """
    present = data_loader.find_files(folder)
    for part, name in FILE_NAMES.items():
        if part not in present:
            url = f"{mirror}{name}.gz"
            content = _fetch(url, progress)
            idx = data_loader.parse_idx(io.BytesIO(content), url, part.split("-")[1])
            data_loader.check_sum(url, part, idx.sha256)
            write_whole(folder / f"{name}.gz", content)


def download(folder, mirrors: Sequence[str], progress: Progress = lambda *_: None
             ) -> None:
    """Download those of MNIST's four files that the folder does not have yet.

    A mirror that fails is left for the next one.  Raises DownloadError with the fault
    of each mirror.
    """
    folder, faults = Path(folder), []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Another process may be writing a file, which takes it a moment.
        sweep(folder, time.time() - 60)
    except OSError as error:
        stale = folder.is_symlink() and not folder.exists()
        found = "a link to nowhere" if stale else error.strerror or str(error)
        raise DownloadError(folder, found, "a folder that can be written") from None
    for mirror in mirrors:
        try:
            return _fetch_missing(mirror, folder, progress)
        except (DataError, OSError) as error:
            reason = error.found if isinstance(error, DataError) else str(error)
            faults.append((mirror, one_line(reason)[:200]))
    reasons = dict.fromkeys(reason for _, reason in faults)
    if len(reasons) > 1:
        reasons = [f"{mirror}: {reason}" for mirror, reason in faults]
    raise DownloadError(folder, f"no mirror of {len(faults)} that works "
                                f"({'; '.join(reasons)})", FOUR_FILES)


def load_or_sample(folder=None, progress: Progress = lambda *_: None,
                   parts: Sequence[str] = PARTS) -> tuple:
    """Load as `load` does, but download MNIST where it is missing and no folder named.

    The value after the sets is "" unless that fails too: then they are the sample's,
    and it says so in plain words for the user to read.  Raises DataError where a
    folder that the user named, as `folder` or in MNIST_DIR, has no good data.
    """
    home = data_loader.MNIST_FOLDER
    try:
        return (*data_loader.load(folder, parts), "")
    except MissingDataError:
        if folder or os.environ.get("MNIST_DIR"):
            raise
    try:
        download(home, MIRRORS, progress)
    except DownloadError as error:
        return (*data_loader.load(data_loader.SAMPLE_FOLDER, parts), f"""\
MNIST is not in {home} and could not be downloaded:
{error.found}.
To train on it, put {FOUR_FILES}
into that folder, or name their own folder with --data or MNIST_DIR.
Until then the SAMPLE is used, synthetic digits drawn by a program:
results are the sample's and say nothing about MNIST.""")
    return (*data_loader.load(home, parts), "")


def folder_in_use(folder=None) -> Path:
    """Return the folder, or the CSV file, from which `load_or_sample` has read."""
    chosen = folder or os.environ.get("MNIST_DIR")
    home = data_loader.MNIST_FOLDER
    if not chosen and len(data_loader.find_files(home)) < len(FILE_NAMES):
        return data_loader.SAMPLE_FOLDER
    return Path(chosen or home)
