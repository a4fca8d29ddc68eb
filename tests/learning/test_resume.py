"""Resume: a run that was killed goes on to the bits of one that was not."""
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT
from tools.digest import digest, weights_of

from learning import checkpoint
from learning.settings import DEFAULTS
from network import Network

KILLS = 10

# Every kind of state that a run has: augmentation, skipped images, dropout, the
# optimizer's own matrices, L2; and checkpoints in the midst of epochs.
OPTIONS = [
    "--data", str(ROOT / "data" / "sample"), "--hidden", "12", "--limit", "900",
    "--batch-size", "8", "--epochs", "5", "--augment", "shift", "--skip-below", "0.3",
    "--optimizer", "momentum", "--learning-rate", "0.03", "--dropout", "0.1",
    "--l2", "0.002", "--save-every", "0.05"]


def command(*arguments):
    return [sys.executable, "-B", str(ROOT / "train.py"), "--no-plots", *arguments]


def run(*arguments):
    return subprocess.run(command(*arguments), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=120)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """(digest of the weights, seconds) of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    start = time.perf_counter()
    done = run(*OPTIONS, "--workers", "1", "--output", str(folder))
    assert done.returncode == 0, done.stderr
    return weights_of(folder), time.perf_counter() - start


def killed_after(seconds, arguments):
    """Whether the command had to be killed after so many seconds."""
    process = subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)      # its workers at the same moment
        process.wait()
        return True


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_killed_at_random_moments_it_ends_with_the_same_bits(uninterrupted, tmp_path):
    """KILLS times SIGKILL to the leader and its workers; each time what is in the
    folder is a whole checkpoint or none, and 1, 2 or 3 workers go on with it."""
    expected, seconds = uninterrupted
    rng, kills, in_midst = random.Random(6), 0, 0
    folder, number = tmp_path / "run0", 0
    while kills < KILLS:
        begun = (folder / "model.npz").exists()
        where = (["--resume", str(folder), "--data", OPTIONS[1]] if begun
                 else [*OPTIONS, "--output", str(folder)])
        wait = 0.15 + rng.random() * seconds * 0.8
        if killed_after(wait, [*where, "--workers", str(1 + kills % 3)]):
            kills += 1
            if (folder / "model.npz").exists():
                _, settings, state = checkpoint.load_checkpoint(folder)    # whole
                in_midst += state.epoch.done > 0
            else:
                shutil.rmtree(folder, ignore_errors=True)
        else:
            assert weights_of(folder) == expected
            number += 1
            folder = tmp_path / f"run{number}"
    if (folder / "model.npz").exists():
        done = run("--resume", str(folder), "--data", OPTIONS[1], "--workers", "2")
        assert done.returncode == 0, done.stderr
        assert weights_of(folder) == expected
    assert in_midst        # else this test does not show what it is there to show


@pytest.mark.parametrize("last", [1, 2, 3])
def test_killed_in_its_first_checkpoint_a_run_goes_on_or_leaves_nothing(
        last, tmp_path, monkeypatch):
    """It writes model.npz, best.npz and history.csv."""
    settings = {**DEFAULTS, "hidden": [3], "epochs": 3, "data": "ten", "patience": 2,
                "validation": 1, "class_names": ["a", "b"]}
    row = {"epoch": 1, "loss": 2.5, "train_accuracy": 0.25, "images": 3, "seconds": 0.5,
           "validation_loss": 2.25, "validation_accuracy": 0.125}
    net, replace, calls = Network([4, 3, 2]), os.replace, []

    def dying(*paths):
        calls.append(paths)
        if len(calls) == last:
            raise KeyboardInterrupt
        replace(*paths)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", dying)
        checkpoint.save_checkpoint(tmp_path, net, settings,
                                   checkpoint.RunState([row], [0, 2, 1]))
    if last == 1:
        assert list(tmp_path.iterdir()) == []
    else:
        kept, *_ = checkpoint.load_checkpoint(tmp_path)
        best, _ = Network.load(tmp_path / "best.npz")
        assert digest(kept) == digest(best) == digest(net)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX resource limits")
def test_a_full_disk_is_one_line_and_the_good_file_is_kept(tmp_path):
    """A limit on the size of files stands for the disk: writing ends with an error."""
    folder = tmp_path / "run"
    done = run("--data", OPTIONS[1], "--hidden", "4", "--limit", "100", "--epochs", "1",
               "--augment", "none", "--output", str(folder), "--workers", "1")
    assert done.returncode == 0, done.stderr
    before = (folder / "model.npz").read_bytes()
    limit = ("import resource, signal, sys; sys.path.insert(0, sys.argv.pop(1)); "
             "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); import train; "
             "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)); "
             "sys.exit(train.main())")
    done = subprocess.run(
        [sys.executable, "-B", "-c", limit, str(ROOT), "--resume", str(folder),
         *OPTIONS[:2], "--epochs", "2", "--no-plots", "--workers", "1"], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "the checkpoint before it is kept" in done.stderr
    assert (folder / "model.npz").read_bytes() == before
    assert {path.name for path in folder.iterdir()} == {"history.csv", "model.npz"}
