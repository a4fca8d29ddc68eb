"""Files that are there whole or not at all, and the lock of a folder."""
import os
import subprocess
import sys

import pytest
from conftest import ROOT

from engine import files
from errors import DataError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_the_old_file_stays_when_writing_fails(path, call, monkeypatch):
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space"):
        files.write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]      # nothing half-written beside it


def test_a_new_file_replaces_the_old_one_and_leaves_nothing_beside_it(path):
    for content in b"old", b"new":
        files.write_whole(path, content)
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_file_gets_the_permissions_that_every_new_file_gets(path):
    (path.parent / "other").write_bytes(b"")
    files.write_whole(path, b"new")
    assert path.stat().st_mode == (path.parent / "other").stat().st_mode


@pytest.mark.skipif(os.name != "posix", reason="Windows opens no folders")
def test_the_new_name_is_forced_onto_the_disk_behind_the_file(path, monkeypatch):
    """Else a power cut may take the name back, though the bytes are there."""
    calls = []

    def noted(handle):
        inode = os.fstat(handle).st_ino
        calls.append((inode, path.exists()))
    monkeypatch.setattr(os, "fsync", noted)
    files.write_whole(path, b"new")
    assert calls == [(path.stat().st_ino, False), (path.parent.stat().st_ino, True)]


# --- the lock

HOLD = ("import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "from engine.files import locked\n"
        "with locked(Path(sys.argv[2])): print('held', flush=True); sys.stdin.read()")


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of tmp_path."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(ROOT), str(tmp_path)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline().strip() == b"held"
        yield process
        process.kill()


def test_a_locked_folder_is_refused_to_another_process(holder, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_PATIENCE", 0.2)
    with pytest.raises(DataError, match="a training at work in it"):
        with files.locked(tmp_path):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_ends_with_its_process(holder, tmp_path):
    holder.kill()
    with files.locked(tmp_path):        # it waits a moment for the other to end
        assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    """And nothing else: the folder may be one that the user has files in."""
    others = {"film.part", ".film.part", "model.npz", "model.npz.4711.part"}
    for name in {*others, ".model.npz.4711.part"}:
        (tmp_path / name).write_bytes(b"half")
    with files.locked(tmp_path):
        assert set(os.listdir(tmp_path)) == others


def test_a_drive_without_locks_is_no_error(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", refuse)
    with files.locked(tmp_path):
        pass


def test_a_lock_where_there_is_no_fcntl(tmp_path, monkeypatch):
    """As on Windows, but for the file that the system removes there."""
    monkeypatch.setattr(files, "fcntl", None)
    monkeypatch.setattr(os, "O_TEMPORARY", 0, raising=False)
    monkeypatch.setattr(files, "_PATIENCE", 0.1)
    folder = tmp_path / "run"
    folder.mkdir()
    with files.locked(folder):
        assert list(folder.iterdir()) == []
        with pytest.raises(DataError, match="a training at work in it"):
            with files.locked(folder):
                pass
