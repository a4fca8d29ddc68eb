"""The prediction command from outside, on the sample and a small model of it."""
import json
import math
import os
import re
import shlex
import subprocess
import sys
import threading
import webbrowser
from unittest.mock import create_autospec

import pytest
from conftest import ROOT, write_idx

import data_loader
import predict
import train
from data_loader import Dataset
from engine.sparse import SparseMatrix
from learning import models
from learning.augment import gather, shift_map
from learning.models import Ensemble, Model
from network import Network
from pictures import digit
from show import embedding, figures, page, text
from show.text import picture

SAMPLE = str(data_loader.SAMPLE_FOLDER)
TEST, = data_loader.load(SAMPLE, ("t10k",))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A network that reads the sample better than chance, trained in a second."""
    folder = tmp_path_factory.mktemp("model") / "run"
    code = train.main(["--data", SAMPLE, "--limit", "1000", "--hidden", "16",
                       "--epochs", "3", "--augment", "none", "--workers", "1",
                       "--no-plots", "--output", str(folder)])
    assert code == 0
    return folder / "model.npz"


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A folder with 150 of the sample's test images, to save time."""
    return write_idx(tmp_path_factory.mktemp("data") / "few", *[TEST.head(150)] * 2)


@pytest.fixture(scope="module")
def network(model):
    """The network of that model; it was trained on 4 grey levels."""
    network, settings = Network.load(model)
    assert settings["grey_levels"] == 4
    return network


def check_refused(code, out, err, *words):
    """One line on stderr with these words in it, nothing on stdout, exit code 2."""
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert err.startswith("predict.py: ") and all(str(word) in err for word in words)


@pytest.fixture
def run(capsys):
    """run(option, ...): (exit code, stdout, stderr) of the command."""
    return lambda *options: (predict.main(list(map(str, options))),
                             *capsys.readouterr())


@pytest.fixture
def ask(run, model):
    """ask(option, ...): the same with that model, on the sample."""
    return lambda *options, use=model, data=SAMPLE: run("--data", data, "--model", use,
                                                        *options)


def test_index_shows_picture_probabilities_and_verdict(ask, model, network):
    wrong = network.evaluate(TEST, 4).worst_errors(1)[0]
    for index in (42, wrong):
        code, out, err = ask("--index", str(index))
        assert code == 0 and err == ""
        assert f"Test image {index} of sample (synthetic digits)" in out
        assert all(row in out for row in picture(TEST.image(index), 28))
        rows = [line for line in out.splitlines() if line.endswith("%")]
        assert [row[0] for row in rows] == list("0123456789")
        percents = [float(row.split("|")[-1].strip("% ")) for row in rows]
        assert sum(percents) == pytest.approx(100, abs=0.1)
        answer, label = percents.index(max(percents)), TEST.labels[index]
        verdict = "right" if answer == label else f"wrong, it is {label}"
        assert re.search(rf"\nAnswer: {answer}(, perhaps \d)? \(", out)
        assert out.count(verdict) == 1 and f"Model: {model}" in out
    assert answer != label


def test_the_whole_test_set(ask, network, monkeypatch):
    """The counts, the scores of each class, and the most confident errors, drawn."""
    monkeypatch.setenv("COLUMNS", "100")
    report = network.evaluate(TEST, 4)
    counts, worst = report.confusion(), report.worst_errors(text.WORST)
    code, out, _ = ask("--test")
    assert code == 0 and f"{report.accuracy:.2%} of the 1,000 test images of " in out
    lines = out.split("columns predictions:\n\n")[1].split("\n\n")[0].splitlines()[1:]
    assert [list(map(int, line.split()[1:])) for line in lines] == counts
    lines = re.split(r"recall +F1\n", out)[1].split("\n\n")[0].splitlines()
    for i, line in enumerate(lines):
        correct, precision = counts[i][i], counts[i][i] / sum(row[i] for row in counts)
        assert line.split()[:4] == [
            str(i), str(sum(counts[i])), str(correct), f"{precision:.2%}"]
    part = out.split("The most confident errors:\n")[1]
    assert list(map(int, re.findall(r"--index (\d+): ", part))) == worst
    for index in worst:
        assert f"--index {index}: {TEST.labels[index]}" in part
        answer = f"{report.predictions[index]} ({max(report.outputs[index]):.2%})"
        assert f"predicted {answer}" in part
        assert all(row.strip() in part for row in picture(TEST.image(index), 28))
    assert max(map(len, part.splitlines()[:-1])) <= 100
    found, = strict(ask("--test", "--json")[1])
    assert (found["confusion"], found["worst"]) == (counts, worst)
    assert found["accuracy"] == report.accuracy == found["right"] / found["images"]
    assert [c["images"] for c in found["classes"]] == list(map(sum, counts))
    assert set(found["classes"][0]) == {"name", "images", "right", "precision",
                                        "recall", "f1"}


@pytest.mark.parametrize("options, words", [
    (f"--index 1000 --data {shlex.quote(str(SAMPLE))}",
     "--index 1000: expected 0 to 999"),
    ("--index -1", "from 0 up"), ("--json", "expected one of --index"),
    ("--index 1 --test", "not allowed with"), ("--image", "at least one"),
    ("--image ''", "found '', expected a path"), ("--test --data ''", "--data"),
    ("--test --explain", "--explain goes with --index or --image only"),
    ("--index 1 --unit 2", "--unit goes with --explain only"),
    ("--index 1 --show", "--show goes with --image only"),
    ("--index 1 --shift 2", "--shift goes with --test only"),
    ("--image x --data y", "--data goes with"), ("--test --port 8", "--port goes with"),
    ("--index 1 --no-browser", "--no-browser goes with --draw only"),
    ("--test --shift 28", "from 1 to 27"), ("--draw --port 65536", "from 0 to 65535"),
    ("--test --shift 2 --pictures x", "--pictures does not go with --shift"),
    ("--index 1 --pictures x", "--pictures does not go with --index"),
    ("--draw --json", "--json does not go with --draw"),
    ("--image x --show --json", "--json does not go with --show"),
    ("--index 1 --explain --json", "--json does not go with --explain"),
    ("--test --pictures x --json", "--json does not go with --pictures"),
    ("--index 1 --explain --model a b", "--explain takes one model, found 2"),
    ("--draw --model a b", "--draw takes"), ("--pictures x --model a b", "takes one")])
def test_nonsense_options_are_one_line_and_code_2(options, words, run):
    check_refused(*run(*shlex.split(options)), words)


@pytest.mark.parametrize("sizes, settings, words", [
    ([784, 10], {"grey_levels": 257}, "grey_levels is 257"),
    ([784, 10], {"grey_levels": 4.0}, "grey_levels is 4.0"),
    ([784, 10], {"class_names": ["a\x1b[2J"] * 10}, "class_names[0] is 'a\\x1b[2J'"),
    ([784, 10], {"class_names": ["a"]}, "class_names is ['a']"),
    ([100, 10], {}, "100 inputs"), ([784, 3], {}, "3 classes")])
def test_models_that_make_no_sense_are_one_line(ask, tmp_path, sizes, settings, words):
    path = tmp_path / "model.npz"
    check_refused(*ask("--index", "1", use=path), path)     # there is none yet
    Network(sizes).save(path, settings)
    check_refused(*ask("--index", "1", use=path), path, words)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """runs((data set, limit), ...): the model files of runs a, b, ..., each newer than
    the last."""
    monkeypatch.setattr(models, "RUNS", tmp_path)

    def make(*trained):
        paths = [tmp_path / name / "model.npz" for name, _ in zip("ab", trained)]
        for age, (path, (data, limit)) in enumerate(zip(paths, trained)):
            path.parent.mkdir()
            Network([784, 10]).save(path, {"data": data, "limit": limit, "patience": 0,
                                           "history": history_of(0.5)})
            os.utime(path, (age, age))
        return paths
    return make


SAMPLE_NAME = "sample (synthetic digits)"


@pytest.mark.parametrize("trained, data, taken", [
    ([("MNIST", 0), (SAMPLE_NAME, 0)], SAMPLE_NAME, True),
    ([("MNIST", 0), (SAMPLE_NAME, 0)], "MNIST", False),
    ([(SAMPLE_NAME, 300)], SAMPLE_NAME, False),
    # Pictures: a run on what the shipped model knows too.
    ([("MNIST", 0)], "", True), ([("MNIST", 500)], "", False),
    ([("sample", 0)], "", False), ([(None, 0)], "", False)])
def test_the_newest_run_is_taken_where_its_data_fits(trained, data, taken, runs):
    newest = runs(*trained)[-1]
    model, passed_over = models.find_model(data)
    assert model.path == (newest if taken else models.SHIPPED_MODEL)
    assert (passed_over and passed_over.path) == (None if taken else newest)


def test_a_toy_run_never_takes_the_place_of_the_shipped_model_in_silence(runs, run):
    path, = map(str, runs((SAMPLE_NAME, 300)))
    code, out, err = run("--index", "3", "--data", SAMPLE)
    assert code == 0 and "data/model.npz" in out and path not in out
    assert f"Not taken, as it was not trained on all of {SAMPLE_NAME}: " in err
    assert path in err and "--model takes it" in err and err.count("\n") == 1


def test_without_the_shipped_model_a_run_is_taken_or_asked_for(runs, run, tmp_path,
                                                               monkeypatch):
    monkeypatch.setattr(models, "SHIPPED_MODEL", tmp_path / "none.npz")
    check_refused(*run("--index", "1", "--data", SAMPLE), "python train.py")
    path, = runs(("sample", 300))
    model, passed_over = models.find_model("MNIST")
    assert (model.path, passed_over) == (path, None)


@pytest.mark.parametrize("options", [
    ["--index", "1"], ["--index", "1", "--json"], ["--index", "1", "--explain"],
    ["--test"], ["--test", "--shift", "1"]])
@pytest.mark.parametrize("size", [1e308, 1e80, 1e72])
def test_weights_beyond_all_measure_are_one_line(ask, few, tmp_path, size, options):
    """Sums of them, forward or backward, may be infinite, and differences of these NaN.
    The largest that are taken give numbers."""
    network = Network([784, 4, 10])
    for layer in network.layers:
        layer.weights = layer.weights.map(lambda x: math.copysign(size, x))
    network.save(tmp_path / "model.npz")
    code, out, err = ask(*options, use=tmp_path / "model.npz", data=few)
    if size > 1e72:
        check_refused(code, out, err, "model.npz", "may be no numbers")
    else:
        assert (code, err) == (0, "")
        assert "nan" not in out.lower() and "inf" not in out.lower()


# --- --json

def strict(text: str) -> list[dict]:
    """The objects on the lines of a text; NaN and infinity are no JSON."""
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def test_json_of_an_index(ask, model, network):
    code, out, err = ask("--index", "42", "--json")
    found, = strict(out)
    expected = network.predict(SparseMatrix.from_images([TEST.image(42)], 4))[0]
    assert (code, err) == (0, "")
    assert found == {"file": None, "index": 42,
                     "digit": expected.index(max(expected)),
                     "probabilities": expected, "perhaps": text.perhaps(expected),
                     "label": TEST.labels[42],
                     "models": [text.model_object(Model.load(model))]}


# --- the model that answers

def test_a_part_of_a_set_may_lack_the_last_classes(ask, tmp_path):
    """Twelve classes, of which only the first eleven have test images."""
    eleven = Dataset("", bytes(11 * 784), bytes(range(11)), 28, 28)
    folder = write_idx(tmp_path / "emnist", eleven, eleven)
    path = tmp_path / "model.npz"
    Network([784, 12]).save(path, {"class_names": list("abcdefghijkl")})
    code, out, _ = ask("--test", use=path, data=folder)
    assert code == 0 and "a b c d e f g h i j k l".split() in map(
        str.split, out.splitlines())
    found, = strict(ask("--index", "10", "--json", use=path, data=folder)[1])
    assert found["name"] == "abcdefghijkl"[found["digit"]]
    Network([784, 10]).save(path)
    check_refused(*ask("--test", use=path, data=folder),
                  "10 classes, expected 784 and 11 for")


def history_of(*accuracies, judged="test"):
    return [{"epoch": i, "loss": 0.5, "train_accuracy": 0.5, "images": 9, "seconds": 1,
             f"{judged}_loss": 0.5, f"{judged}_accuracy": accuracy}
            for i, accuracy in enumerate(accuracies, 1)]


@pytest.fixture
def trained(tmp_path):
    """trained(changes): a model whose settings, with these changes, tell of a run."""
    def make(changes):
        settings = {"data": "Kuzushiji", "limit": 0, "patience": 0,
                    "history": history_of(0.6, 0.7), **changes}
        Network([784, 10]).save(tmp_path / "m.npz", settings)
        return Model.load(tmp_path / "m.npz")
    return make


@pytest.mark.parametrize("settings, words", [
    ({}, ", trained on Kuzushiji: 70.00% of its test images classified correctly"),
    ({"limit": 1500}, ", trained on 1,500 images of Kuzushiji: 70.00% of its test "),
    ({"history": history_of(0.5, 0.75, 0.7, judged="validation")},
     "Kuzushiji: 70.00% of its validation images classified correctly"),
    ({"history": history_of(0.5, 0.75, 0.7, judged="validation"), "patience": 2},
     "Kuzushiji: 75.00% of its validation images classified correctly")])
def test_a_model_says_how_accurate_it_is_on_what(trained, settings, words):
    model = trained(settings)
    line, found = text.models_text([model]), text.model_object(model)
    assert line.startswith(f"Model: {model.path}, trained on ") and words in line
    assert found["trained_on"] == "Kuzushiji"
    assert f"{found['accuracy']:.2%} of its {found['evaluated_on']} images" in line


@pytest.mark.parametrize("settings", [
    {"history": None}, {"history": []}, {"history": [{}]}, {"data": "\x1b[2J"},
    {"limit": "all"}, {"history": history_of(1.5)}, {"patience": 1}])
def test_a_model_without_a_history_of_ours_has_a_name_alone(trained, settings):
    model = trained(settings)
    assert text.models_text([model]) == f"Model: {model.path}"
    found = text.model_object(model)
    assert found.pop("file") == str(model.path) and not any(found.values())


# --- --explain

def test_explain_of_an_index(ask, network):
    code, out, err = ask("--index", "42", "--explain")
    assert code == 0 and err == "" and f"is labelled {TEST.labels[42]}" in out
    assert "(1 x 784)(784 x 16)" in out and "Answer: " in out
    x = SparseMatrix.from_images([TEST.image(42)], 4)
    assert f" = {network.mean_loss(x, [TEST.labels[42]]):.6f}" in out
    assert "Z1[3] " in ask("--index", "42", "--explain", "--unit", "3")[1]
    check_refused(*ask("--index", "42", "--explain", "--unit", "16"), "--unit", "16")


# --- --test --shift

def test_accuracy_on_moved_images(ask, run, model, network, few):
    code, out, _ = ask("--test", "--shift", "3", "--json", data=few)
    found, = strict(out)
    test = TEST.head(150)
    assert code == 0 and found["shifts"] == [0, 1, 2, 3]
    curve, = found["accuracies"]
    assert curve[0] == network.evaluate(test, 4).accuracy
    assert curve[0] > curve[2] > curve[3]
    correct = [Model.load(model).evaluate(test, gather(shift_map(28, 28, *way))).correct
               for way in ((0, 2), (0, -2), (2, 0), (-2, 0))]
    assert curve[2] == pytest.approx(sum(correct) / 600)
    code, out, _ = run("--data", few, "--test", "--shift", "1", "--model", model,
                       models.SHIPPED_MODEL)            # with a column for each model
    lines = [line for line in out.splitlines() if re.match(r" +[01] ", line)]
    assert code == 0 and [line.count("%") for line in lines] == [2, 2]
    assert f"| {curve[0]:.2%}" in re.sub(" +", " ", lines[0])
    assert f"Model 1: {model}" in out and "Model 2: " in out


# --- several models

@pytest.fixture
def two_models(tmp_path):
    """Paths of two networks of different sizes, losses and grey levels."""
    paths = [tmp_path / "a.npz", tmp_path / "b.npz"]
    Network([784, 5, 10]).save(paths[0], {"grey_levels": 2})
    Network([784, 8, 6, 10], "tanh", "bce").save(paths[1])
    return paths


def test_several_models_answer_with_their_mean(two_models, run):
    rows = [Network.load(path)[0].predict(
        SparseMatrix.from_images([TEST.image(7)], levels))[0]
        for path, levels in zip(two_models, (2, 256))]
    options = ["--data", SAMPLE, "--index", "7", "--model", *two_models]
    found, = strict(run(*options, "--json")[1])
    assert found["probabilities"] == pytest.approx(
        [(p + q) / 2 for p, q in zip(*rows)], rel=1e-12)
    code, out, _ = run(*options)
    assert code == 0 and "The mean of the outputs of 2 models:" in out
    assert all(f"Model {i}: {path}" in out for i, path in enumerate(two_models, 1))
    assert [model["file"] for model in found["models"]] == list(map(str, two_models))


def test_a_whole_set_is_read_as_its_images_are(two_models):
    ensemble, few, counts = Ensemble(map(Model.load, two_models)), TEST.head(150), []
    report = ensemble.evaluate(few, counts.append)
    assert counts == [100, 150, 250, 300] and report.labels == few.labels
    for index in (0, 99, 100, 149):
        assert report.outputs[index] == pytest.approx(
            ensemble.predict(few.image(index)), abs=1e-10)


@pytest.mark.parametrize("size", [0.0, 1e-280, 1e-8, 1e12, 1e250])
@pytest.mark.parametrize("levels", [2, 4, 256])
def test_packed_reading_is_exact_whatever_the_size_of_the_weights(size, levels, rng):
    network = Network([6, 4], rng=rng)
    layer = network.layers[0]
    layer.weights = layer.weights * size
    images = bytes(rng.randrange(256) for _ in range(60))
    few = Dataset("few", images, bytes(10), 2, 3, list("abcd"))
    packed = models.PackedInput(layer, levels)
    groups = [packed.packed.quantizer(few.image(i)) for i in range(10)]
    (x, _), = few.batches(10, levels=levels)
    for row, expected in zip(packed.forward(groups), layer.forward(x)):
        assert row == pytest.approx(expected, rel=1e-9, abs=1e-9 * size)


@pytest.mark.parametrize("sizes, settings, words", [
    ([100, 10], {}, "100 inputs"), ([784, 3], {}, "3 classes"),
    ([784, 10], {"class_names": list("abcdefghij")}, "classes a, b")])
def test_models_that_do_not_go_together_are_one_line(two_models, tmp_path, run, sizes,
                                                     settings, words):
    first, odd = two_models[0], tmp_path / "odd.npz"
    Network(sizes).save(odd, settings)
    check_refused(*run("--image", "x.png", "--model", first, odd), words, odd, first)
    if sizes[0] == 100:                             # nor with a picture
        check_refused(*run("--image", "x.png", "--model", odd), words, "28 x 28")


# --- --image

@pytest.fixture(scope="module")
def clear_digits():
    """For each label the sample's image that the shipped model is surest of."""
    report = Model.load(models.SHIPPED_MODEL).evaluate(TEST.head(300))
    return [TEST.image(max(range(300), key=lambda i: report.outputs[i][label]))
            for label in range(10)]


@pytest.fixture
def written(tmp_path, clear_digits):
    """written(name, labels): the path of a picture of these digits, dark on white."""
    def write(name, labels):        # PGM, 3 x 3 pixels for each, room between digits
        rows = []
        for y in range(-10, 38):
            row = b""
            for label in labels:
                image = clear_digits[int(label)]
                part = image[28 * y:28 * y + 28] if 0 <= y < 28 else bytes(28)
                row += bytes(10) + part + bytes(10)
            wide = bytes(255 - grey for grey in row for _ in range(3))
            rows += [wide] * 3
        path = tmp_path / name
        path.write_bytes(b"P5 %d %d 255\n" % (len(rows[0]), len(rows)) + b"".join(rows))
        return str(path)
    return write


@pytest.fixture
def ask_shipped(run, monkeypatch):
    """ask_shipped(option, ...): with the shipped model, where there is no data set."""
    monkeypatch.delattr(predict, "load_data")
    return lambda *options: run("--model", models.SHIPPED_MODEL, *options)


def test_a_picture_of_a_digit(ask_shipped, written):
    """It is answered, shown as the network sees it, and explained without a label."""
    path = written("eight.pgm", "8")
    code, out, err = ask_shipped("--image", path)
    assert (code, err) == (0, "") and "\nAnswer: 8 (" in out and path in out
    assert len([line for line in out.splitlines() if line.endswith("%")]) == 10
    lines = ask_shipped("--image", path, "--show")[1].splitlines()
    top, bottom = (i for i, line in enumerate(lines) if line.startswith("+--"))
    rows = lines[top + 1:bottom]
    image, = digit.find_digits(digit.read_picture(path), path).digits
    assert len(rows) == 28 and {len(row) for row in rows} == {58}
    ink = sum(map(bool, models.quantized(image, 4)))
    assert sum(c not in " |" for row in rows for c in row) == 2 * ink
    code, out, _ = ask_shipped("--image", path, "--explain")
    assert code == 0 and "no gradient" in out and "Answer: 8" in out and "dZ" not in out


def test_a_doubtful_answer_says_perhaps_in_text_and_json(ask_shipped, written,
                                                         monkeypatch):
    outputs = [0.0, 0.55, 0.0, 0.0, 0.0, 0.0, 0.0, 0.45, 0.0, 0.0]
    monkeypatch.setattr(models.Ensemble, "predict", lambda *_: outputs)
    one, two = written("one.pgm", "1"), written("two.pgm", "11")
    assert "\nAnswer: 1, perhaps 7 (55.00%)\n" in ask_shipped("--image", one)[1]
    out = ask_shipped("--image", two)[1]
    assert "\nAnswer: 11, perhaps 77\n" in out and out.count("1, perhaps 7\n") == 2
    found, = strict(ask_shipped("--image", one, "--json")[1])
    assert (found["digit"], found["perhaps"], found["left_out"]) == (1, 7, [])


def test_what_is_left_out_of_a_picture_is_told(ask_shipped, tmp_path):
    dash = bytearray(b"\xff" * 100 * 100)
    for y in range(20, 80):
        dash[100 * y + 60:100 * y + 66] = bytes(6)
    for y in range(48, 52):
        dash[100 * y + 20:100 * y + 45] = bytes(25)
    path = tmp_path / "minus.pgm"
    path.write_bytes(b"P5 100 100 255\n" + dash)
    code, out, err = ask_shipped("--image", path)
    assert (code, err) == (0, "") and "\nAnswer: 1 (" in out
    assert "\nLeft out, as no digit: a dash\n" in out
    found, = strict(ask_shipped("--image", path, "--json")[1])
    assert (found["digit"], found["left_out"]) == (1, ["a dash"])


def test_several_digits_are_read_from_left_to_right(ask_shipped, written):
    code, out, _ = ask_shipped("--image", written("year.pgm", "2015"))
    assert code == 0 and "4 digits" in out and "\nAnswer: 2015\n" in out
    rows = [line.split() for line in out.splitlines() if re.match(" *[1-4] ", line)]
    assert [row[-1] for row in rows] == list("2015")
    for row in rows:
        assert sum(map(float, row[1:-1])) == pytest.approx(100, abs=0.6)


def test_bad_pictures_cost_a_line_each_and_the_others_are_read(ask_shipped, written,
                                                              tmp_path):
    one, two = written("one.pgm", "3"), written("two.pgm", "60")
    bad, blank = tmp_path / "bad.png", tmp_path / "blank.pgm"
    bad.write_bytes(b"<!DOCTYPE html>")
    blank.write_bytes(b"P5 40 40 255\n" + b"\xff" * 1600)
    files = ["--image", one, str(bad), two, str(blank), str(tmp_path / "missing.png")]
    for form in ([], ["--json"]):
        code, out, err = ask_shipped(*files, *form)
        assert code == 2 and all(line.startswith("predict.py: ") and name in line
                                 for line, name in zip(err.splitlines(), (
                                     str(bad), str(blank), "missing.png")))
        assert err.count("\n") == 3 and ("Answer: 60" in out or form)
    first, *others = strict(out)
    assert (first["file"], first["digit"], first["label"]) == (one, 3, None)
    assert "position" not in first and first["index"] is None
    assert [(x["file"], x["position"], x["digit"]) for x in others] == [
        (two, 0, 6), (two, 1, 0)]
    assert all(math.fsum(x["probabilities"]) == pytest.approx(1)
               for x in (first, *others))


# --- --draw and --pictures

def test_draw_serves_the_page_with_this_model(model, run, monkeypatch):
    served, opened = [], threading.Event()

    def serve(server):
        served.append(server)
        assert opened.wait(5)
        raise KeyboardInterrupt

    monkeypatch.setattr(page.Server, "serve_forever", serve)
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.set())
    code, out, _ = run("--draw", "--model", model)
    server, = served
    about = server.questions["/start"].answer()
    assert about["sizes"] == [784, 16, 10] and about["levels"] == 4
    assert about["class_names"] == list("0123456789")
    assert code == 0 and f"Draw on {server.url} (Ctrl-C ends)\n" in out


def test_a_port_in_use_is_one_line(model, run):
    with page.Server({}, {}) as other:
        port = other.server_port
        check_refused(*run("--draw", "--port", port, "--model", model), f"port {port}")


def test_pictures_are_drawn_into_a_new_folder(ask, few, tmp_path, monkeypatch):
    draw = create_autospec(figures.draw_model, return_value=["a.png"])
    pages = create_autospec(embedding.draw_hidden_layer, return_value=["b.png"])
    monkeypatch.setattr(figures, "draw_model", draw)
    monkeypatch.setattr(embedding, "draw_hidden_layer", pages)
    folder = tmp_path / "new" / "pictures"
    code, out, err = ask("--pictures", folder, data=few)
    assert (code, err) == (0, "") and "confident errors" not in out
    assert "a.png, b.png" in out and str(folder) in out
    place, model, test, report = draw.call_args[0]
    assert (place, model.network.sizes, model.levels) == (folder, [784, 16, 10], 4)
    assert report.labels == test.labels and len(report.outputs) == 150
    assert f"{report.accuracy:.2%} of the 150 test images" in pages.call_args[0][3]
    _, out, _ = ask("--test", "--pictures", folder, data=few)
    assert "confident errors" in out and "a.png, b.png" in out


def test_without_matplotlib_pictures_are_one_line(ask, few, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "new_figure", create_autospec(
        figures.new_figure, side_effect=ImportError("found none, expected one")))
    check_refused(*ask("--pictures", tmp_path, data=few), "--pictures: found none, exp")


# --- from a shell

@pytest.mark.parametrize("options", [["--test"], ["--index", "3", "--explain"],
                                     ["--test", "--shift", "1"]])
def test_ascii_terminals_get_ascii_for_every_form(model, few, options):
    done = subprocess.run(      # -S: without installed packages
        [sys.executable, "-S", str(ROOT / "predict.py"), *options, "--data", str(few),
         "--model", str(model)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert done.returncode == 0 and done.stderr == b""
    assert done.stdout.isascii() and b"\\u" not in done.stdout


def test_starting_up_loads_nothing_that_is_not_needed(model):
    code = ("import sys, predict; predict.main(sys.argv[1:]); "
            "print(sorted(set(sys.modules) & {'pictures.digit', 'show.page', "
            "'show.figures', 'show.embedding', 'show.explain', 'http.server', "
            "'engine.packed_network', 'engine.team', 'multiprocessing', 'numpy'}))")
    done = subprocess.run([sys.executable, "-c", code, "--index", "1", "--data", SAMPLE,
                           "--model", str(model)], cwd=ROOT, stdout=subprocess.PIPE)
    assert done.stdout.split(b"\n")[-2] == b"[]"
