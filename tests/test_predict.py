"""The prediction command from outside, on the sample and a small model of it."""
import io
import os
import sys
from pathlib import Path

import pytest

import data_loader
import predict
import train
from console import picture
from my_math import Matrix
from network import Network
from npz import write_npz

SAMPLE = str(data_loader.SAMPLE_FOLDER)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A network that reads the sample better than chance, trained in a second."""
    folder = tmp_path_factory.mktemp("model") / "run"
    code = train.main(["--data", SAMPLE, "--limit", "1000", "--hidden", "16",
                       "--epochs", "3", "--augment", "none", "--workers", "1",
                       "--no-plots", "--output", str(folder)])
    assert code == 0
    return folder / "model.npz"


@pytest.fixture
def ask(model, capsys):
    """Run predict on the sample; (exit code, stdout, stderr)."""
    def run(*options, use=None):
        code = predict.main(["--data", SAMPLE, "--model", str(use or model), *options])
        return (code, *capsys.readouterr())
    return run


def test_index_shows_picture_probabilities_and_verdict(ask, model):
    code, out, err = ask("--index", "42")
    assert code == 0 and err == ""
    assert "Test image 42 of sample (synthetic digits)" in out
    rows = [line for line in out.splitlines() if line.endswith("%")]
    assert [row[0] for row in rows] == list("0123456789")
    percents = [float(row.split("|")[-1].strip("% ")) for row in rows]
    assert sum(percents) == pytest.approx(100, abs=0.1)
    _, test = data_loader.load(SAMPLE)
    answer = percents.index(max(percents))
    verdict = "right" if answer == test.label(42) else f"wrong, it is {test.label(42)}"
    assert f"Answer: {answer} (" in out and out.count(verdict) == 1
    assert f"Model: {model}" in out


def test_a_wrong_answer_is_called_wrong(ask, model):
    _, test = data_loader.load(SAMPLE)
    network, settings = Network.load(model)
    test = test.with_levels(settings["grey_levels"])
    index = network.judge(test).worst_errors(1)[0]
    _, out, _ = ask("--index", str(index))
    assert f"wrong, it is {test.label(index)}" in out


def test_whole_test_set_is_counted(ask, model):
    code, out, _ = ask("--test")
    _, test = data_loader.load(SAMPLE)
    network, settings = Network.load(model)
    assert settings["grey_levels"] == 4
    report = network.judge(test.with_levels(4))
    assert code == 0 and f"{report.accuracy:.2%} right" in out
    assert "1,000 test images of sample" in out
    lines = out.split("columns answers:\n")[1].split("\n\n")[0].split("\n")
    counts = [list(map(int, line.split()[1:-1])) for line in lines if "%" in line]
    assert counts == report.confusion()
    assert sum(map(sum, counts)) == 1000


def test_ascii_terminal_gets_ascii(model, monkeypatch):
    buffer = io.BytesIO()
    stdout = io.TextIOWrapper(buffer, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    code = predict.main(["--data", SAMPLE, "--model", str(model), "--index", "1"])
    stdout.flush()
    assert code == 0 and b"##" in buffer.getvalue()


@pytest.mark.parametrize("index", ["1000", "99999999"])
def test_index_out_of_range_is_one_line_and_code_2(ask, index):
    code, out, err = ask("--index", index)
    assert code == 2 and err.count("\n") == 1
    assert index in err and "0 to 999" in err and out == ""


@pytest.mark.parametrize("options", [["--index", "-1"], ["--index", "x"], [],
                                     ["--index", "1", "--test"]])
def test_nonsense_options_are_one_line_and_code_2(options, capsys):
    with pytest.raises(SystemExit) as stop:
        predict.main(options)
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def damaged(model: Path, tmp_path: Path, how: str) -> Path:
    """A model file spoilt in one way."""
    path, content = tmp_path / "model.npz", bytearray(model.read_bytes())
    if how == "cut in half":
        content = content[:len(content) // 2]
    elif how == "a flipped bit":
        content[5000] ^= 16
    elif how == "an HTML page":
        content = b"<!DOCTYPE html><title>Not found</title>"
    elif how == "empty":
        content = b""
    if how != "not there":
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("how", ["cut in half", "a flipped bit", "an HTML page",
                                 "empty", "not there"])
def test_damaged_model_is_one_line_and_code_2(ask, model, tmp_path, how):
    path = damaged(model, tmp_path, how)
    code, out, err = ask("--index", "1", use=path)
    assert code == 2 and str(path) in err and err.count("\n") == 1 and out == ""


def matrices(inputs: int, outputs: int, bias: int) -> dict:
    return {"layer1.weights": Matrix.zeros(inputs, outputs),
            "layer1.bias": Matrix.zeros(1, bias)}


@pytest.mark.parametrize("arrays, words", [
    (matrices(100, 10, 10), "100 inputs"),
    (matrices(784, 3, 3), "3 classes"),
    (matrices(784, 10, 9), "layer1.bias"),
    ({"weights": Matrix.zeros(784, 10)}, "layer1.weights"),
    ({"layer1.weights": Matrix([[float("nan")]] * 784) * Matrix.ones(1, 10),
      "layer1.bias": Matrix.zeros(1, 10)}, "not finite"),
])
def test_model_of_another_shape_is_one_line_and_code_2(ask, tmp_path, arrays, words):
    path = tmp_path / "model.npz"
    write_npz(path, arrays, {})
    code, _, err = ask("--index", "1", use=path)
    assert code == 2 and words in err and str(path) in err and err.count("\n") == 1


def test_without_any_model_it_says_how_to_get_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(predict, "RUNS", tmp_path)
    monkeypatch.setattr(predict, "SHIPPED_MODEL", tmp_path / "none.npz")
    assert predict.main(["--index", "1"]) == 2
    err = capsys.readouterr().err
    assert "python train.py" in err and err.count("\n") == 1


def test_newest_run_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "RUNS", tmp_path)
    for age, name in enumerate(["old-1", "new-1"]):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.npz").write_bytes(b"")
        os.utime(tmp_path / name / "model.npz", (age, age))
    assert predict.find_model(None) == tmp_path / "new-1" / "model.npz"


def test_picture_has_a_pair_of_characters_a_pixel():
    assert picture(bytes([0, 0, 255, 128, 0, 0]), 2, blocks=True) == ["██▓▓"]
    assert picture(bytes(4), 2, blocks=False) == ["    "]
