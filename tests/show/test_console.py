"""How a command ends: streams that fail, a terminal that is lost, Ctrl-C at once."""
import io
import os
import signal
import struct
import subprocess
import sys

import pytest
from conftest import ROOT

from data_loader import SAMPLE_FOLDER
from network import Network
from show import console
from show.console import LiveLine

fcntl = pytest.importorskip("fcntl", reason="uses shells and terminals")
pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")

SAMPLE = str(SAMPLE_FOLDER)
NO_ROOM = "{}.py: standard output: found No space left"
TRAIN = [sys.executable, str(ROOT / "train.py"), "--data", SAMPLE, "--limit", "100",
         "--hidden", "4", "--augment", "none", "--epochs", "3", "--no-plots"]
PREDICT = [sys.executable, str(ROOT / "predict.py"), "--index", "1", "--data", SAMPLE,
           "--model", str(ROOT / "data" / "model.npz")]


def in_shell(redirection, command):
    """The command ended, its streams redirected by a shell."""
    return subprocess.run(["sh", "-c", f'"$@" {redirection}', "sh", *command],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=60)


def epochs_in(folder):
    return len(Network.load(folder / "model.npz")[1]["history"])


# --- streams

@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_closed_streams_are_like_the_null_device(redirection, workers, tmp_path):
    done = in_shell(redirection, [*TRAIN, "--workers", workers, "--output",
                                  str(tmp_path / "run")])
    assert (done.returncode, done.stderr) == (0, "")
    assert epochs_in(tmp_path / "run") == 3
    done = in_shell(redirection, PREDICT)
    assert (done.returncode, done.stderr) == (0, "")


needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")


@needs_full
def test_no_room_for_what_is_printed_costs_no_training(tmp_path):
    done = in_shell("> /dev/full", [*TRAIN, "--output", str(tmp_path / "run")])
    assert epochs_in(tmp_path / "run") == 3
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(NO_ROOM.format("train"))
    done = in_shell("2> /dev/full", [*TRAIN, "--output", str(tmp_path / "other")])
    assert done.returncode == 0 and "Epoch  3/3" in done.stdout
    assert in_shell("2> /dev/full", [*TRAIN, "--resume", str(tmp_path)]).returncode == 2


@needs_full
@pytest.mark.parametrize("command", [PREDICT, [*PREDICT[:2], "--help"]])
def test_an_answer_that_cannot_be_printed_is_one_line_and_code_2(command):
    done = in_shell("> /dev/full", command)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(NO_ROOM.format("predict"))


def test_a_pipe_that_nobody_reads_any_more_costs_no_training(tmp_path):
    """head -1 ends after the first line; what a pipe's status is, the shell tells."""
    done = in_shell('; echo "code $?"', ["sh", "-c", '{ "$@"; echo "$?" >&2; } | head -1',
                                         "sh", *TRAIN, "--output", str(tmp_path / "r")])
    assert done.stdout.startswith("Data: sample") and done.stderr == "141\n"
    assert epochs_in(tmp_path / "r") == 3


# --- the terminal

@pytest.fixture
def terminal():
    """(our end, the process's end) of a terminal of 24 lines of 40 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 40, 0, 0))
    yield ours, theirs
    os.close(theirs)


def test_a_training_outlives_its_terminal(terminal, tmp_path):
    """Closing it sends SIGHUP, and from then on writing to it fails."""
    ours, theirs = terminal
    process = subprocess.Popen(
        [*TRAIN, "--epochs", "30", "--workers", "2", "--output", str(tmp_path / "run")],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    said = b""
    while b"Epoch  2" not in said:
        said += os.read(ours, 1000)
    os.close(ours)
    process.wait(timeout=60)
    assert epochs_in(tmp_path / "run") == 30


def test_a_live_line_is_cut_to_its_terminal(terminal, monkeypatch):
    """A longer one would go on in the next line, where \\r does not reach it."""
    ours, theirs = terminal
    with open(theirs, "w", closefd=False) as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        live = LiveLine()
        live.show("x" * 100)
        assert os.read(ours, 1000) == b"\r" + 39 * b"x"
        live.show("too early")
        live.clear()
    assert os.read(ours, 1000) == b"\r" + 39 * b" " + b"\r"
    os.close(ours)


def test_without_a_terminal_a_line_comes_after_ten_silent_seconds(capsys, monkeypatch):
    """What is printed meanwhile, as each epoch's line, is no silence."""
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    live, said = LiveLine(), []
    for second in range(1, 40):
        now[0] = 100.0 + second
        live.show(f"second {second}")
        if second == 25:
            live.clear()
        said += [(second, line) for line in capsys.readouterr().err.splitlines()]
    assert said == [(10, "second 10"), (20, "second 20"), (35, "second 35")]


# --- Ctrl-C

AT_IMPORT = """
import os, runpy, signal, sys
class Interrupting:
    def find_spec(self, name, *_):
        if name == "learning.models":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("command", [TRAIN[1:], PREDICT[1:]], ids=["train", "predict"])
def test_ctrl_c_while_modules_are_imported_is_no_traceback(command):
    done = subprocess.run([sys.executable, "-c", AT_IMPORT, *command],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == -signal.SIGINT        # 130 in a shell
    assert (done.stdout, done.stderr) == (b"", b"")


def test_ctrl_c_when_all_is_done_is_ignored(monkeypatch):
    class Late(io.StringIO):
        """A stream that takes so long that Ctrl-C comes."""
        def flush(self):
            os.kill(os.getpid(), signal.SIGINT)
    monkeypatch.setattr(sys, "stdout", Late())
    try:
        assert console.run_command("train.py", lambda: 0) == 0
    except KeyboardInterrupt:
        pytest.fail("it was stopped")
