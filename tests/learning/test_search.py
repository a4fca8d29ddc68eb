"""Searches from outside and from within: what they try, print, write and resume."""
import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import fmean, stdev

import pytest
from conftest import ROOT, children_of, is_refusal
from tools.digest import weights_of

import data_loader
import train
from data_loader import Dataset
from engine.team import Team
from errors import DataError
from learning import search, training
from learning.checkpoint import save_checkpoint
from learning.search import Plan, Trial, fold_parts, grid_rows, parse_grid, summed_up
from learning.settings import DEFAULTS, RECIPES
from show.runs import under_way

SAMPLE = str(data_loader.SAMPLE_FOLDER)
SMALL = ["--data", SAMPLE, "--limit", "120", "--augment", "none", "--epochs", "2"]
GRID = ["--grid", "hidden=4,none", "learning-rate=0.1,0.3"]
SETTINGS = {**DEFAULTS, "recipe": "default", "validation": 2, "augment": "none",
            "epochs": 2, "hidden": [3]}


def plan_of(grid=None, folds=0, **settings):
    return Plan({**SETTINGS, **settings}, grid or {}, folds, "tiny", "some checksum",
                "some/folder")


def tiny():
    """Twelve images of 2 x 2 in two classes that a network can tell apart."""
    pixels = [bytes([255, 0, 0, i]) if i % 2 else bytes([0, 0, 255, i])
              for i in range(12)]
    return Dataset("tiny", b"".join(pixels), bytes([0, 1] * 6), 2, 2, "ab")


def result(accuracy):
    return {"outcome": "done", "epochs_run": 2, "best_epoch": 1, "epoch": 2,
            "validation_accuracy": accuracy, "validation_loss": 1 - accuracy,
            "seconds": 0.5}


DIVERGED = {"outcome": "diverged", "why": "too large"}


@pytest.fixture
def run(tmp_path, capsys):
    """Run the command; (exit code, stdout, stderr, folder)."""
    def command(*options, folder="search"):
        output = [] if "--resume" in options else [
            *SMALL, "--output", str(tmp_path / folder)]
        code = train.main([*output, "--no-plots", *options])
        out, err = capsys.readouterr()
        return code, out, err, tmp_path / folder
    return command


def rows_in(path):
    """The rows of a table without the seconds, which alone differ from run to run."""
    rows = list(csv.DictReader(open(path, newline="")))
    for row in rows:
        del row["seconds"]
    return rows


def scores_in(path):
    return [float(row["validation_accuracy"] or 0) for row in rows_in(path)]


def test_recipes_are_listed_without_data_by_what_they_have_otherwise(capsys):
    assert train.main(["--recipe", "list", "--data", "no/such/folder"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()
             if line[0] != " "]
    assert names == ["(defaults)", *RECIPES]
    lines = train.recipe_lines(60)
    assert max(map(len, lines)) <= 60
    text = " ".join(" ".join(lines).split())
    assert " fast --epochs 6 best --epochs 160 " in text and "--batch-size all" in text


# --- what is tried

def test_values_are_parsed_as_their_options_are():
    assert parse_grid(["hidden=64-32,none", "batch-size=32,all", "l2=0,1e-5",
                      "engine=lists,packed", "optimizer=adam"]) == {
        "hidden": [[64, 32], []], "batch_size": [32, 0], "l2": [0.0, 1e-5],
        "engine": ["lists", "packed"], "optimizer": ["adam"]}


def test_all_combinations_in_order():
    plan = plan_of({"hidden": [[4], []], "seed": [1, 2]})
    assert plan.combinations == [
        {"hidden": [4], "seed": 1}, {"hidden": [4], "seed": 2},
        {"hidden": [], "seed": 1}, {"hidden": [], "seed": 2}]
    assert [trial.name for trial in plan.trials] == ["run-1", "run-2", "run-3", "run-4"]
    assert plan.trials[2].settings == {**SETTINGS, "hidden": [], "seed": 1}
    both = plan._replace(folds=2)
    assert [trial.name for trial in both.trials[:3]] == [
        "run-1-fold-1", "run-1-fold-2", "run-2-fold-1"]
    assert [trial.name for trial in plan_of(folds=2).trials] == ["fold-1", "fold-2"]
    assert (plan.size, both.size, plan_of(folds=2).size) == (4, 8, 2)


@pytest.mark.parametrize("count", [2, 3, 7, 11])
def test_every_image_is_evaluated_once_and_never_by_a_network_that_saw_it(count):
    for folds in range(2, count + 1):
        order = list(range(100, 100 + count))
        parts = [fold_parts(order, fold, folds) for fold in range(1, folds + 1)]
        assert sorted(i for _, held_out in parts for i in held_out) == order
        assert all(sorted(seen + held_out) == order for seen, held_out in parts)
        sizes = {len(held_out) for _, held_out in parts}
        assert max(sizes) - min(sizes) <= 1


def test_the_images_of_a_fold_are_shuffled_by_the_seed_else_the_last_are_evaluated():
    first, again, other = (
        Trial(1, {**SETTINGS, "seed": seed}, 1, 3).parts(tiny()) for seed in (1, 1, 2))
    assert len(first["train"]) == 8 and len(first["validation"]) == 4
    assert first["validation"].images == again["validation"].images
    assert first["validation"].images != other["validation"].images
    parts = Trial(1, SETTINGS).parts(tiny())
    assert parts["validation"].images == tiny().images[-8:]
    assert len(parts["train"]) == 10


def test_a_plan_comes_back_whole(tmp_path):
    plan = plan_of({"hidden": [[4], []], "skip_below": [0.1, 0.2]}, 3)
    plan.save(tmp_path)
    assert Plan.load(tmp_path) == plan


@pytest.mark.parametrize("change, words", [
    ("[]", r"plan is \[\]"), ("{", ""), ("\xff", ""), ({"grid": []}, "plan.grid is"),
    ({"settings": {}}, "no plan.settings.activation"), ({"data": None}, "data is"),
    ({"settings": {**SETTINGS, "hidden": [0]}}, r"settings.hidden is \[0\]"),
    ({"grid": {"seed": []}}, "grid.seed is"), ({"grid": {"limit": [1]}}, "an unknown"),
    ({"grid": {"epochs": [1, 1e308]}}, r"grid.epochs\[1\] is 1e\+308"),
    ({"folds": 10 ** 9}, "folds is"), ({"sha256": 1}, "sha256 is"),
    ({"settings": {**SETTINGS, "recipe": "x"}}, "settings.recipe is 'x'")])
def test_a_damaged_plan_is_refused(change, words, tmp_path):
    text = change if isinstance(change, str) else json.dumps(
        {**plan_of({"seed": [1]})._asdict(), **change})
    (tmp_path / "search.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=rf"search.json.*damaged settings \(.*{words}"):
        Plan.load(tmp_path)


@pytest.mark.parametrize("settings, expected", [
    ({}, "--hidden none --seed 2"),
    ({"recipe": "fast", "epochs": 3},
     "--recipe fast --hidden none --epochs 3 --seed 2"),
    ({"patience": 4}, "--hidden none --validation 2 --patience 4 --seed 2")])
def test_the_command_that_trains_a_combination(settings, expected):
    """The settings that are not the recipe's, and those of the grid in any case."""
    plan = plan_of(**{"augment": "elastic", "epochs": 40, **settings})
    assert plan.command({"hidden": [], "seed": 2}) == f"python train.py {expected}"
    assert "--hidden 128 " in plan.command({"hidden": [128], "seed": 2})


# --- one run

@pytest.mark.parametrize("patience, kept", [(0, 6), (2, 2)])
def test_the_result_is_of_the_weights_kept(patience, kept, tmp_path):
    history = [{"epoch": n, "validation_accuracy": a, "validation_loss": n / 8,
                "seconds": 0.5, "loss": 1.0, "train_accuracy": 0.5, "images": 9}
               for n, a in enumerate([.1, .9, .2, .3, .4, .5], 1)]
    trial = Trial(1, {**SETTINGS, "epochs": 6, "patience": patience})
    net, settings, state = training.begin(trial.settings, trial.parts(tiny()))
    (tmp_path / "run-1").mkdir()
    for rows in (history[:2], history):
        save_checkpoint(tmp_path / "run-1", net, settings, state._replace(history=rows))
        found = search.result_of(trial, tmp_path)
        assert (found is None) == (len(rows) == 2)
    assert (found["epoch"], found["best_epoch"], found["epochs_run"]) == (kept, 2, 6)
    assert found["validation_accuracy"] == history[kept - 1]["validation_accuracy"]
    assert found["validation_loss"] == kept / 8 and found["seconds"] == 3


def test_a_run_never_prints_and_leaves_its_result_in_its_files(tmp_path, capsys,
                                                               monkeypatch):
    monkeypatch.setattr(search, "_images_in", lambda folder, limit: tiny())
    trial, folder = Trial(1, SETTINGS), tmp_path / "run-1"
    plan = plan_of({"seed": [1]})
    assert under_way(plan, {}, tmp_path) == "0/1 runs done; epochs of those under way: "
    assert search.result_of(trial, tmp_path) is None
    assert search.train_trial(Team(), trial, "folder", folder) == ""
    assert {path.name for path in folder.iterdir()} == {"history.csv", "model.npz"}
    assert under_way(plan, {}, tmp_path).endswith("under way: run-1 (2)")
    assert under_way(plan, {"run-1": {}}, tmp_path).startswith("1/1 runs done;")
    found = search.result_of(trial, tmp_path)
    assert found["outcome"] == "done" and found["epochs_run"] == 2
    last = list(csv.DictReader(open(folder / "history.csv", newline="")))[-1]
    assert float(last["validation_accuracy"]) == found["validation_accuracy"]
    assert capsys.readouterr() == ("", "")


# --- what was found

def test_folds_are_summed_up_by_mean_and_deviation():
    plan = plan_of({"hidden": [[4], [8]]}, folds=3)
    names = [trial.name for trial in plan.trials]
    results = dict(zip(names, map(result, [0.5, 0.75, 1.0, 0.25, 0.25, 0.25])))
    first, second = grid_rows(plan, results)
    assert first["validation_accuracy"] == 0.75 and first["deviation"] == 0.25
    assert second["validation_accuracy"] == 0.25 and second["deviation"] == 0
    assert first["seconds"] == 1.5 and first["hidden"] == [4]
    first, second = grid_rows(plan, {**results, "run-1-fold-2": DIVERGED})
    assert first["outcome"] == "diverged" and "validation_accuracy" not in first
    assert second["outcome"] == "done"


def test_seeds_count_by_their_mean_and_diverged_ones_not_at_all():
    plan = plan_of({"hidden": [[4], [], [8]], "seed": [1, 2]})
    scores = [0.9, 0.1, 0.7, 0.6, 0.95, None]
    results = {trial.name: DIVERGED if score is None else result(score)
               for trial, score in zip(plan.trials, scores)}
    found, best = summed_up(plan, grid_rows(plan, results))
    assert best == {"hidden": [], "seed": 1} and found.best == {"hidden": "none"}
    assert found.cells == {("4",): 0.5, ("none",): pytest.approx(0.65)}
    nothing = dict.fromkeys(results, DIVERGED)
    assert summed_up(plan, grid_rows(plan, nothing)) is None


# --- the command

def test_a_grid_is_the_same_for_any_number_of_workers_and_names_the_best(run):
    code, out, err, folder = run(*GRID, "--workers", "3")
    assert code == 0 and err == "" and "Test Acc" not in out and "to test" not in out
    assert "100 to train on, 20 to validate on (the last sixth" in out
    assert out.count(" | Val Acc: ") == 4 and "Epoch" not in out
    rows = rows_in(folder / "grid.csv")
    assert [(row["hidden"], row["learning_rate"]) for row in rows] == [
        ("4", "0.1"), ("4", "0.3"), ("none", "0.1"), ("none", "0.3")]
    best = max(rows, key=lambda row: float(row["validation_accuracy"]))
    assert (f"Train the best: python train.py --hidden {best['hidden']} --learning-rate "
            f"{best['learning_rate']} --epochs 2 --augment none --limit 120 "
            f"--data {SAMPLE}\n") in out
    assert f"[{100 * float(best['validation_accuracy']):.2f}]" in out
    *_, one = run(*GRID, "--workers", "1", folder="one")
    assert rows_in(one / "grid.csv") == rows
    assert weights_of(one / "run-4") == weights_of(folder / "run-4")
    alone = folder.with_name("alone")       # a run of the search is that of its command
    assert train.main([*SMALL, "--hidden", "4", "--learning-rate", "0.1", "--workers",
                       "1", "--validation", "20", "--no-plots", "--output",
                       str(alone)]) == 0
    assert weights_of(alone) == weights_of(folder / "run-1")


def test_the_test_set_is_not_even_loaded(run, monkeypatch, tmp_path):
    asked, real = [], data_loader.load

    def load(folder, parts):
        asked.append(parts)
        return real(folder, parts)
    monkeypatch.setattr(data_loader, "load", load)
    code, *_ = run("--grid", "hidden=none")
    assert code == 0 and asked == [("train",)]
    trial = Trial(1, {**SETTINGS, "limit": 20})
    assert search.train_trial(Team(), trial, SAMPLE, tmp_path / "run") == ""
    assert asked == [("train",)] * 2


def test_folds_print_mean_and_deviation(run):
    code, out, err, folder = run("--folds", "3", "--hidden", "none")
    assert code == 0 and err == "" and "120 training images, in 3 parts" in out
    scores = scores_in(folder / "folds.csv")
    assert all(f"Fold {k}/3 | Val Acc: {score:.2%} | " in out
               for k, score in enumerate(scores, 1))
    assert (f"Mean of 3 folds: {fmean(scores):.2%}, standard deviation "
            f"{100 * stdev(scores):.2f} points") in out


def test_a_grid_evaluated_on_folds_and_a_combination_that_diverges(run):
    code, out, err, folder = run("--grid", "learning-rate=0.1,1.7e308", "--folds", "2",
                                 "--hidden", "none", "--epochs", "1")
    assert code == 0 and err == "" and "1 of 2 combinations, which diverged" in out
    rows = rows_in(folder / "grid.csv")
    assert [row["outcome"] for row in rows] == ["done", "diverged"]
    assert rows[1]["validation_accuracy"] == ""
    mean = fmean(scores_in(folder / "folds.csv")[:2])
    assert float(rows[0]["validation_accuracy"]) == pytest.approx(mean)


def test_a_plan_without_end_takes_neither_memory_nor_time(run, limited):
    *_, folder = run("--grid", "hidden=4", "--epochs", "1")
    plan = (folder / "search.json").read_text()
    for text in ("[" * 10 ** 7, plan.replace('"seed": 1', '"seed": ' + "9" * 10 ** 6),
                 plan.replace("[\n   [", "[\n" + "[4]," * 10 ** 6 + "[")):
        (folder / "search.json").write_text(text)
        assert is_refusal(limited("train.py", "--resume", folder)), text[:100]


@pytest.mark.parametrize("options", [["--grid", "learning-rate=1e9"],
                                     ["--folds", "2", "--learning-rate", "1e9"]])
def test_where_all_diverge_it_is_one_line_and_code_2(options, run):
    code, _, err, folder = run(*options, "--hidden", "none")
    assert code == 2 and "diverged" in err and err.count("\n") == 1
    assert "diverged" in next(folder.glob("*.csv")).read_text()


def test_patience_ends_runs_early_and_takes_the_best(run):
    code, out, _, folder = run("--grid", "learning-rate=0.0001", "--patience", "1",
                               "--hidden", "none", "--epochs", "30")
    row, = rows_in(folder / "grid.csv")
    assert code == 0 and int(row["epochs_run"]) < 30
    assert row["epoch"] == row["best_epoch"] == str(int(row["epochs_run"]) - 1)
    assert "--validation 20 --patience 1" in out


def test_a_picture_is_drawn_or_its_absence_is_said(tmp_path, capsys):
    code = train.main([*SMALL, "--grid", "hidden=none,4", "--epochs", "1",
                       "--output", str(tmp_path / "g")])
    out = capsys.readouterr().out
    there_is_one = bool(importlib.util.find_spec("matplotlib"))
    words = "Picture: heatmap.png" if there_is_one else "No picture drawn: "
    assert code == 0 and words in out
    assert (tmp_path / "g" / "heatmap.png").exists() == there_is_one


# --- refused

@pytest.mark.parametrize("options, words", [
    (["--grid", "batch_size=32"], "'batch_size=32', expected values of a setting"),
    (["--grid", "hidden"], "'hidden'"), (["--grid", "hidden="], "'hidden='"),
    (["--grid", "learning-rate=0.1,0.10"], "each of its values once"),
    (["--grid", "seed=1", "--grid", "seed=2"], "each setting"),
    (["--grid", "validation=10,20"], "'validation=10,20'"), (["--grid"], "--grid"),
    (["--grid", "hidden=64,x"], "hidden: found 'x', expected sizes such as 128"),
    (["--grid", "momentum=0.5,0.9"], "--momentum has no effect with --optimizer sgd"),
    (["--grid", "seed=1,2", "--seed", "3"], "--seed cannot be given with a --grid"),
    (["--grid", "seed=1", "--validation", "120"], "--validation 120"),
    (["--folds", "1"], "--folds"), (["--folds", "121"], "--folds 121"),
    (["--folds", "3", "--validation", "10"], "--validation cannot"),
    (["--folds", "3", "--patience", "2"], "--patience cannot"),
    (["--folds", "3", "--grid", "patience=2,3"], "--patience cannot"),
    (["--folds", "3", "--resume", "x"], "--folds cannot be given with --resume"),
    (["--grid", "hidden=4,100000"], "--hidden 100000: found 79,500,010 parameters"),
    (["--grid", f"seed={','.join(map(str, range(10_001)))}"],
     "a search of 10,001 runs: expected at most 10,000"),
    (["--grid", "seed=1", "--watch"], "--watch goes with one run"),
    (["--port", "1"], "--port and --no-browser go with --watch only")])
def test_what_makes_no_sense_is_one_line_and_code_2(options, words, run):
    code, _, err, folder = run(*options)
    assert code == 2 and words in err and err.count("\n") == 1
    assert not folder.exists()


def test_resuming_with_other_data_or_settings_is_refused(run, other_data, monkeypatch):
    monkeypatch.setenv("MNIST_DIR", "elsewhere")    # else other data would be read
    *_, folder = run("--grid", "hidden=none", "--epochs", "1")
    code, out, *_ = run("--resume", str(folder))        # it remembers where its data is
    assert code == 0 and "1 of them were done before" in out and " --data " in out
    path = folder / "search.json"
    for more, plan, words in (
            (["--data", str(other_data)], path.read_text(), "same data"),
            (["--epochs", "3"], path.read_text(), "--epochs cannot"),
            ([], path.read_text().replace('"seed": 1', '"seed": 2'),
             "run-1/model.npz: found seed 1")):
        path.write_text(plan)
        code, _, err, _ = run("--resume", str(folder), *more)
        assert code == 2 and words in err and err.count("\n") == 1


# --- real processes, real signals

LONG = ["--grid", "epochs=1,12,16", "--hidden", "4", "--data", SAMPLE, "--limit", "120",
        "--augment", "none", "--no-plots", "--workers", "2"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search of LONG that nothing disturbs."""
    folder = tmp_path_factory.mktemp("whole") / "grid"
    assert train.main([*LONG, "--output", str(folder)]) == 0
    return folder


@pytest.fixture
def begun(train_process, tmp_path):
    """The same search in a process, its short first run done; (process, folder)."""
    folder = tmp_path / "grid"
    return train_process(*LONG, "--output", str(folder), until="Run "), folder


needs_posix = pytest.mark.skipif(not hasattr(os, "killpg"),
                                 reason="signals to process groups")


@needs_posix
@pytest.mark.parametrize("send, sent, code", [
    (os.killpg, signal.SIGINT, 130),        # as a terminal does at Ctrl-C
    (os.kill, signal.SIGTERM, 143), (os.killpg, signal.SIGTERM, 143),
    (os.kill, signal.SIGKILL, -9)], ids=["Ctrl-C", "kill", "kill all", "kill -KILL"])
def test_a_stopped_search_goes_on_to_the_same_results(send, sent, code, begun, whole,
                                                      run):
    process, folder = begun
    (folder / "run-2").mkdir(exist_ok=True)
    (folder / "run-2" / ".model.npz.1.part").write_bytes(b"half")
    send(process.pid, sent)
    # The pipes end when the last process that could write to them has ended.
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    if code == -9:                  # what is half written stays until the next time
        assert err == ""
    else:
        assert len(err.strip().splitlines()) == 1
        assert "of 3 runs are done" in err and f"--resume {folder}" in err
        assert not list(folder.glob("*/*.part"))
    assert not (folder / "grid.csv").exists()
    code, out, *_ = run("--resume", str(folder))
    assert code == 0 and "were done before" in out and 1 <= out.count(" | Val Acc") <= 2
    assert rows_in(folder / "grid.csv") == rows_in(whole / "grid.csv")
    assert not list(folder.glob("*/*.part"))
    for name in ("run-1", "run-2", "run-3"):
        assert weights_of(folder / name) == weights_of(whole / name)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_a_killed_run_is_one_line_and_code_2(begun):
    process, folder = begun
    os.kill(children_of(process.pid)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2 and err.count("\n") == 1
    assert "has ended early" in err and f"--resume {folder}" in err


@pytest.mark.skipif(hasattr(ProcessPoolExecutor, "_adjust_process_count_cpython"),
                    reason="PyPy 7.3.11's own pool starts no process afresh")
def test_processes_that_start_afresh_find_the_same(run, whole):
    """As on Windows and macOS: nothing comes to a process but what is sent to it."""
    *_, folder = run("--grid", "hidden=4", "--epochs", "1", folder="forked")
    code = ("import multiprocessing, sys; multiprocessing.set_start_method('spawn'); "
            f"sys.path.insert(0, {str(ROOT)!r}); import train; "
            "sys.exit(train.main(sys.argv[1:]))")
    spawned = folder.parent / "spawned"
    subprocess.run([sys.executable, "-c", code, *SMALL, "--grid", "hidden=4", "--epochs",
                    "1", "--no-plots", "--output", str(spawned)], check=True,
                   stdout=subprocess.DEVNULL)
    assert rows_in(spawned / "grid.csv") == rows_in(folder / "grid.csv")
