"""The training command from outside: what it prints, writes, refuses and resumes."""
import csv
import importlib.util
import os
import re
import signal
import time
from itertools import islice
from pathlib import Path

import pytest
from conftest import children_of
from tools.digest import weights_of

import data_loader
import train
from data_loader import Dataset
from engine import files
from learning import download, training
from learning.checkpoint import EpochState, RunState
from learning.engines import PackedEngine
from learning.models import Model
from learning.settings import DEFAULTS
from network import Network
from show.runs import resume_line, training_note

SAMPLE = str(data_loader.SAMPLE_FOLDER)
SMALL = ["--data", SAMPLE, "--limit", "200", "--hidden", "8", "--augment", "none",
         "--workers", "1", "--no-plots"]


@pytest.fixture
def small_run(tmp_path, capsys):
    """Train a small network with these options; (exit code, stdout, stderr, folder)."""
    def run(*options, folder="run"):
        output = [] if "--resume" in options else ["--output", str(tmp_path / folder)]
        start = ["--data", SAMPLE, "--workers", "1"] if "--resume" in options else SMALL
        code = train.main([*start, *output, *options])
        out, err = capsys.readouterr()
        return code, out, err, tmp_path / folder
    return run


def rows_in(folder: Path) -> list[dict]:
    rows = csv.DictReader(open(folder / "history.csv", newline=""))
    return [{name: float(value) for name, value in row.items()} for row in rows]


def test_a_run_prints_an_epoch_a_line_and_writes_model_and_history(small_run):
    """1,000 images and three epochs are enough for far more than chance (10 %)."""
    code, out, err, folder = small_run("--epochs", "3", "--limit", "1000", "--hidden",
                                       "16", "--batch-size", "50")
    assert (code, err) == (0, "") and "MNIST" not in out and "; batch 50, seed 1" in out
    pattern = (r"Epoch  1/3 \| Loss: \d\.\d{4} \| Train Acc: \d+\.\d\d% \| "
               r"Test Acc: \d+\.\d\d% \| \d+\.\d s\n")
    assert re.search(pattern, out) and "Epoch  3/3" in out
    assert {path.name for path in folder.iterdir()} == {"history.csv", "model.npz"}
    rows = rows_in(folder)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[2]["loss"] < rows[0]["loss"]
    assert min(rows[2]["test_accuracy"], rows[2]["train_accuracy"]) > 0.5
    network, settings = Network.load(folder / "model.npz")
    assert network.sizes == [784, 16, 10]
    assert settings["epochs"] == 3 and settings["seed"] == 1
    assert "; batch all, " in small_run("--batch-size", "all", "--epochs", "1",
                                        folder="all")[1]


@pytest.mark.parametrize("options", [[], ["--validation", "50"],
                                     ["--validation", "50", "--patience", "1"]])
def test_the_accuracy_at_the_end_is_that_of_the_saved_model(options, small_run,
                                                            monkeypatch):
    """Not what training counts in its lanes, which round: here they see no ink."""
    real = PackedEngine.evaluate
    monkeypatch.setattr(PackedEngine, "evaluate", lambda engine, images: real(
        engine, Dataset("blank", bytes(len(images.images)), images.labels, 28, 28)))
    _, out, _, folder = small_run("--epochs", "2", *options)
    model, (_, test) = Model.load(folder / "model.npz"), data_loader.load(SAMPLE)
    accuracy = model.evaluate(test).accuracy
    assert f"\n{accuracy:.2%} of the 1,000 test images of " in out
    assert options or model.accuracy == accuracy


def test_resumed_run_ends_with_the_same_weights(small_run, monkeypatch):
    options = ["--epochs", "3", "--augment", "shift", "--validation", "50"]
    *_, whole = small_run(*options, folder="whole")
    real = training.Epoch.train

    def stop_in_epoch_two(epoch, *arguments):
        if epoch.number == 2:
            raise KeyboardInterrupt
        return real(epoch, *arguments)
    with monkeypatch.context() as patch:
        patch.setattr(training.Epoch, "train", stop_in_epoch_two)
        code, _, err, stopped = small_run(*options, folder="stopped")
    assert code == 130 and f"--resume {stopped}" in err and "1 epoch is kept" in err
    code, out, *_ = small_run("--resume", str(stopped))
    assert code == 0 and "Epoch  2/3" in out and "Epoch  1/3" not in out
    assert "150 to train on" in out and "50 to validate on" in out
    assert "Val Acc" in out and "Test Acc" not in out
    assert "validation_accuracy" in rows_in(stopped)[2]
    assert weights_of(stopped) == weights_of(whole)


def test_a_finished_run_goes_on_for_more_epochs(small_run):
    """Where the schedule does not look at the end, as one that was told so at first."""
    options = ["--schedule", "constant", "--skip-below", "0.3", "--optimizer",
               "momentum", "--learning-rate", "0.02", "--dropout", "0.2"]
    *_, folder = small_run("--epochs", "2", *options)
    *_, whole = small_run("--epochs", "5", *options, folder="whole")
    code, out, err, _ = small_run("--resume", str(folder), "--epochs", "5")
    assert (code, err) == (0, "") and "Going on with epoch 3 of 5.\n" in out
    assert "Epoch  3/5" in out and "Epoch  2/5" not in out
    assert weights_of(folder) == weights_of(whole)


@pytest.mark.parametrize("options, why, epochs, words", [
    (["--epochs", "2"], "all 2 epochs are done", "2", "expected more than the 2 of"),
    (["--epochs", "30", "--validation", "50", "--patience", "1", "--learning-rate",
      "1e-4"], "no epoch was better than", "40", "nothing but the weights")])
def test_a_finished_run_says_so_and_stays(options, why, epochs, words, small_run):
    *_, folder = small_run(*options)
    before = weights_of(folder)
    code, out, *_ = small_run("--resume", str(folder))
    assert code == 0 and f"The run is finished: {why}" in out and "Epoch" not in out
    code, _, err, _ = small_run("--resume", str(folder), "--epochs", epochs)
    assert code == 2 and words in err and err.count("\n") == 1
    assert weights_of(folder) == before


def test_an_epoch_that_is_half_done_says_where_it_goes_on():
    state = RunState([{}], [0] * 9, epoch=EpochState(done=1234))
    assert resume_line(state, {"epochs": 3, "patience": 0}) == (
        "Going on with epoch 2 of 3, after 1,234 images.")


@pytest.mark.parametrize("settings, words", [
    ({}, "while the network learns, on augmented images, without the easy ones."),
    ({"augment": "none", "skip_below": 0.0}, "while the network learns."),
    ({"augment": "none", "dropout": 0.1}, "learns, without the easy ones, with units")])
def test_lower_training_accuracy_is_explained(settings, words):
    row, settings = {"train_accuracy": 0.9}, {**DEFAULTS, **settings}
    assert words in training_note(row, 0.95, settings)
    assert training_note(row, 0.9, settings) == ""


@pytest.mark.parametrize("batches, words, left", [
    (0, "nothing to keep before the first epoch is done", []),
    (1, "a part of the first epoch is kept", ["default-1", "default-1/model.npz"])])
def test_ctrl_c_in_the_first_epoch_keeps_what_was_saved(
        batches, words, left, tmp_path, capsys, monkeypatch):
    real, runs = training.Epoch.train, tmp_path / "runs"

    def stop(epoch, *arguments):
        yield from islice(real(epoch, *arguments), batches)
        raise KeyboardInterrupt
    monkeypatch.setattr(training.Epoch, "train", stop)
    monkeypatch.setattr(training, "_BATCHES_BETWEEN_LOOKS", 1)
    monkeypatch.setattr(train, "RUNS", runs)
    assert train.main([*SMALL, "--save-every", "1e-9"]) == 130
    err = capsys.readouterr().err
    assert words in err and len(err.strip().splitlines()) == 1
    assert (f"--resume {runs / 'default-1'}" in err) == bool(left)
    assert sorted(runs.rglob("*")) == [runs / name for name in left]


# --- real processes, real signals

@pytest.fixture
def real_run(train_process, tmp_path):
    """Start a training without end; (process, its helpers' ids) after its first epoch.
    """
    def run(workers):
        process = train_process(
            "--data", SAMPLE, "--no-plots", "--hidden", "8", "--limit", "300",
            "--epochs", "50000", "--augment", "none", "--workers", str(workers),
            "--output", str(tmp_path / "run"), until="Epoch")
        return process, children_of(process.pid)
    return run


def group_is_empty(pid: int) -> bool:
    """Return True once no process of this process group runs any more; False where
    some hang, for a minute."""
    for _ in range(1200):
        try:
            os.killpg(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


needs_linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(),
                                 reason="helpers are found in Linux's /proc")


@needs_linux
@pytest.mark.parametrize("sent, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)],
                         ids=["INT", "TERM"])
@pytest.mark.parametrize("whole_group", [True, False], ids=["group", "leader"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_stopped_process_says_how_to_go_on(
        sent, code, whole_group, workers, real_run, tmp_path):
    """A terminal sends Ctrl-C to the helpers as well: they must not mind."""
    process, helpers = real_run(workers)
    assert len(helpers) == workers - 1
    (os.killpg if whole_group else os.kill)(process.pid, sent)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "--resume" in err and "Traceback" not in err
    assert len(err.strip().splitlines()) == 1
    assert group_is_empty(process.pid)
    Network.load(tmp_path / "run" / "model.npz")


@needs_linux
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_helper_is_one_line_and_code_2(sent, real_run, tmp_path):
    process, helpers = real_run(3)
    assert len(helpers) == 2
    os.kill(helpers[0], sent)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert err.startswith("train.py: ") and err.count("\n") == 1
    assert "worker" in err and f"--resume {tmp_path / 'run'}" in err
    assert group_is_empty(process.pid)
    Network.load(tmp_path / "run" / "model.npz")


@needs_linux
def test_helpers_do_not_outlive_a_killed_leader(real_run):
    process, helpers = real_run(3)
    assert len(helpers) == 2
    os.kill(process.pid, signal.SIGKILL)
    _, err = process.communicate(timeout=30)
    assert err == "" and group_is_empty(process.pid)


def test_runs_are_numbered_and_never_overwritten(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "RUNS", tmp_path / "runs")
    for number in (1, 2):
        assert train.main([*SMALL, "--epochs", "1"]) == 0
        assert (tmp_path / "runs" / f"default-{number}" / "model.npz").exists()
    before = weights_of(folder := tmp_path / "runs" / "default-1")
    code, _, err, _ = small_run("--epochs", "1", "--seed", "9", "--output", str(folder))
    assert code == 2 and str(folder) in err and err.count("\n") == 1
    assert weights_of(folder) == before


@needs_linux
def test_two_runs_never_share_a_folder(real_run, small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_PATIENCE", 0.2)
    process, _ = real_run(2)
    for options in ([], ["--resume", str(tmp_path / "run")]):
        code, _, err, _ = small_run(*options)
        assert code == 2 and err.count("\n") == 1 and "a training at work in it" in err
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert group_is_empty(process.pid)
    code, _, err, _ = small_run()
    assert code == 2 and "a folder with files in it" in err


def test_a_folder_whose_first_checkpoint_was_cut_short_can_be_used(small_run, tmp_path):
    (folder := tmp_path / "run").mkdir()
    (folder / ".model.npz.4711.part").write_bytes(b"half")
    assert small_run("--resume", str(folder))[0] == 2
    (folder / ".model.npz.4711.part").write_bytes(b"half")
    assert small_run("--epochs", "1")[0] == 0
    assert {path.name for path in folder.iterdir()} == {"history.csv", "model.npz"}


@pytest.mark.parametrize("options, words", [
    (["--epochs", "many"], "--epochs: found 'many', expected a whole number"),
    (["--seed", "9" * 309], "--seed: found '999"), (["--nonsense"], "--nonsense"),
    (["--resume", ""], "--resume: found '', expected a path"),
    (["--output", ""], "--output"), (["--data", "no/such/folder"], "no/such/folder"),
    (["--resume", "no/such/run"], "no/such/run"),
    (["--resume", str(Path(__file__).parent)], "tests: found no checkpoint"),
    (["--resume", "x", "--seed", "3"], "--seed cannot be given with --resume"),
    (["--patience", "3"], "--patience needs images to evaluate on"),
    ([*SMALL, "--validation", "200"], "--validation 200"),
    ([*SMALL, "--workers", "33"], "--workers 33: "),
    ([*SMALL, "--engine", "lists", "--workers", "2"], "--workers 2: expected 1 with"),
    ([*SMALL, "--output", __file__], "test_train.py"),
    ([*SMALL, "--hidden", "100000-100000"],
     "--hidden 100000-100000: found 10,079,600,010 parameters")],
    ids=lambda text: str(text)[:40])
def test_what_cannot_be_followed_is_one_line_and_code_2(options, words, capsys):
    assert train.main(options) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1 and len(err) < 300


MOMENTUM, ADAM = ["--optimizer", "momentum"], ["--optimizer", "adam"]


@pytest.mark.parametrize("options", [
    ["--learning-rate", "1e4"], ["--learning-rate", "1e300"], ["--l2", "1e308"],
    ["--learning-rate", "1.7e308", *MOMENTUM], ["--l2", "1e308", *MOMENTUM],
    ["--learning-rate", "1.7e308", *ADAM]])
@pytest.mark.parametrize("engine", ["packed", "lists"])
def test_divergence_is_named_and_leaves_no_model(engine, options, small_run):
    code, _, err, folder = small_run(*options, "--epochs", "2", "--engine", engine)
    assert code == 2 and "diverged" in err and "--learning-rate" in err
    assert err.count("\n") == 1 and not folder.exists()


@pytest.mark.parametrize("options", [
    ["--learning-rate", "5e-324", *MOMENTUM], ["--learning-rate", "1e-310", *ADAM],
    ["--l2", "5e-324"], ["--dropout", "0.999"], ["--schedule", "step", "--decay", "0"],
    ["--batch-size", "1000000", "--save-every", "1.7e308"]])
@pytest.mark.parametrize("engine", ["packed", "lists"])
def test_extreme_numbers_that_harm_no_run(engine, options, small_run):
    code, out, err, folder = small_run(*options, "--epochs", "2", "--engine", engine)
    assert code == 0 and "Epoch  2/2" in out and err == ""
    Network.load(folder / "model.npz")              # all its weights are finite


def test_sample_is_announced_where_mnist_is_out_of_reach(tmp_path, monkeypatch, capsys):
    """No folder named, none in data/mnist, no network: the sample, said loudly."""
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setattr(data_loader, "MNIST_FOLDER", tmp_path / "mnist")
    monkeypatch.setattr(download, "MIRRORS", ("http://127.0.0.1:9/",))
    code = train.main([*SMALL[2:], "--epochs", "1", "--output", str(tmp_path / "run")])
    out, err = capsys.readouterr()
    assert code == 0
    assert str(tmp_path / "mnist") in err and "SAMPLE" in err
    for name in data_loader.FILE_NAMES.values():
        assert name in err
    assert "sample (synthetic digits)" in out and "of MNIST" not in out


def test_pictures_are_drawn_or_their_absence_is_said(tmp_path, capsys):
    assert SMALL[-1] == "--no-plots"
    code = train.main([*SMALL[:-1], "--epochs", "1", "--output", str(tmp_path / "run")])
    out, names = capsys.readouterr().out, ("curves.png", "confusion.png", "errors.png")
    there_is_one = bool(importlib.util.find_spec("matplotlib"))
    assert code == 0 and ("No pictures drawn: " in out) != there_is_one
    for name in names:
        assert (name in out) == (tmp_path / "run" / name).exists() == there_is_one
