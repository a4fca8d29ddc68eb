"""plots: pictures of runs and of answers; what they say is read back from them."""
import random
import struct
import sys

import pytest

from data_loader import Dataset
from network import Evaluation, Network
from show import plots

NAMES = ["no", "yes", "T-shirt/top"]
PAGES = ["pca.png", "tsne.png"]


@pytest.fixture(scope="module")
def test_set():
    rng = random.Random(1)
    labels = bytes(i % 3 for i in range(60))
    return Dataset("tiny", bytes(int(256 * rng.random()) for _ in range(60 * 36)),
                   labels, 6, 6, NAMES)


@pytest.fixture(scope="module")
def report(test_set):
    """Every fourth image is taken for the class after its own."""
    answers = [[0.7 - i / 1000 if j == (label + (i % 4 == 0)) % 3 else 0.15
                for j in range(3)] for i, label in enumerate(test_set.labels)]
    return Evaluation(answers, test_set.labels)


@pytest.fixture(scope="module")
def good_report(test_set):
    """Two errors alone: what draws many takes its time."""
    answers = [[0.7 if j == (label + (i < 2)) % 3 else 0.15 for j in range(3)]
               for i, label in enumerate(test_set.labels)]
    return Evaluation(answers, test_set.labels)


@pytest.fixture
def drawn():
    """Skips a test that looks at pictures where none can be drawn."""
    pytest.importorskip("matplotlib")


def history(epochs, judged="validation", losses=False):
    rows = [{"epoch": i, "loss": 1 / i, "train_accuracy": 1 - 0.1 / i, "images": 60,
             "seconds": 1.0, f"{judged}_accuracy": 0.9 - 0.01 * (i - 3) ** 2}
            for i in range(1, epochs + 1)]
    return [dict(row, **{f"{judged}_loss": 2 / row["epoch"]}) if losses else row
            for row in rows]


def size_of(path):
    """(width, height) of a PNG file."""
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", data[16:24])


# --- curves

def test_curves_show_the_gap_and_the_best_epoch(drawn):
    losses, accuracies = plots.training_curves(history(5, losses=True), "tiny").axes
    assert [list(line.get_ydata()) for line in losses.lines[:2]] == [
        [1 / i for i in range(1, 6)], [2 / i for i in range(1, 6)]]
    words = [text.get_text() for text in accuracies.get_legend().texts]
    assert words == ["training images, as they came: 98.00 % at the end",
                     "validation images: 86.00 % at the end",
                     "gap, training less validation: +12.00 points", "best epoch: 3"]
    shaded = accuracies.collections[0].get_paths()[0].get_extents()
    assert (shaded.ymin, shaded.ymax) == pytest.approx((86, 98))
    assert list(accuracies.lines[2].get_xdata()) == [3, 3]


@pytest.mark.parametrize("epochs", [1, 2, 160])
@pytest.mark.parametrize("judged", ["validation", "test"])
def test_runs_of_any_length_and_kind_are_drawn(drawn, epochs, judged):
    losses, accuracies = plots.training_curves(history(epochs, judged), "tiny").axes
    words = [text.get_text() for text in accuracies.get_legend().texts]
    assert any("best epoch" in word for word in words) == (judged == "validation")
    assert len(losses.lines) == 1 + (judged == "validation")     # and the best epoch
    bottom, top = losses.get_ylim()
    assert bottom == 0 and top > 1


# --- answers

def test_the_confusion_matrix_has_counts_and_scores(drawn, report, test_set):
    figure = plots.confusion_matrix(report, test_set)
    matrix, scores = figure.axes[:2]
    shown = [text.get_text() for text in matrix.texts]
    assert shown == ["15", "5", "", "", "15", "5", "5", "", "15"]
    assert [text.get_text() for text in scores.texts] == ["75.0"] * 9
    assert [tick.get_text() for tick in scores.get_xticklabels()] == [
        "precision", "recall", "F1"]
    assert [tick.get_text() for tick in matrix.get_yticklabels()] == NAMES
    assert "75.00% of the 60 test images of tiny" in figure.get_suptitle()


def test_the_worst_error_comes_first_with_its_probabilities(drawn, report, test_set):
    figure = plots.worst_errors(report, test_set, rows=2, columns=2)
    image, bars = figure.axes[:2]
    assert image.get_title() == "#0: a no\nread as yes, 70.0%"
    assert [bar.get_width() for bar in bars.patches] == pytest.approx([15, 70, 15])
    assert bars.patches[0].get_hatch() and not bars.patches[1].get_hatch()
    assert image.images[0].get_array().tolist() == plots._rows_of(test_set, 0)
    assert len(figure.axes) == 8


def test_of_many_classes_the_label_is_among_the_ten_shown(drawn):
    names = [f"class {i}" for i in range(26)]
    test = Dataset("letters", bytes(9), bytes([25]), 3, 3, names)
    report = Evaluation([[(26 - i) / 351 for i in range(26)]], bytes([25]))
    figure = plots.worst_errors(report, test)
    shown = [tick.get_text() for tick in figure.axes[1].get_yticklabels()]
    assert shown == [*names[:9], "class 25"]
    assert "the ten largest" in figure.get_suptitle()


def test_right_and_wrong_are_side_by_side(drawn, report, test_set):
    right, wrong = plots.right_and_wrong(report, test_set, rows=2, columns=3).axes
    assert right.get_title() == "45 read right"
    assert wrong.get_title() == "15 read wrong (label → answer)"
    assert [text.get_text() for text in right.texts] == NAMES * 2
    assert [text.get_text() for text in wrong.texts[:2]] == ["no → yes",
                                                            "yes →\nT-shirt/top"]


def test_where_nothing_is_wrong_it_is_said(drawn, test_set):
    labels = test_set.labels
    perfect = Evaluation([[float(j == label) for j in range(3)] for label in labels], labels)
    assert plots.worst_errors(perfect, test_set).get_suptitle() == "No errors on tiny"
    _, wrong = plots.right_and_wrong(perfect, test_set).axes
    assert wrong.get_title().startswith("0 read wrong")


def test_classes_take_turns():
    assert plots._classes_in_turn([0, 1, 2, 3, 4, 5], [2, 2, 1, 1, 2, 0]) == [
        5, 2, 0, 3, 1, 4]


# --- whole sets

def test_the_hidden_layer_of_images_from_everywhere(test_set):
    network = Network([36, 5, 3], rng=random.Random(1))
    hidden, labels = plots.hidden_activations(network, test_set, 20)
    assert hidden.shape == (20, 5)
    assert labels == [test_set.label(3 * i) for i in range(20)]
    (x, _), = test_set.batches(1, [57])
    assert hidden[19] == network.forward(x).inputs[1][0]
    assert plots.hidden_activations(network, test_set, 1000)[0].shape == (60, 5)


def test_a_run_is_drawn_into_its_folder(drawn, tmp_path, good_report, test_set):
    assert plots.draw_run(tmp_path, history(2), good_report, test_set) == [
        "curves.png", "confusion.png", "errors.png"]
    Network([36, 4, 3]).save(tmp_path / "model.npz")
    names = plots.draw_run(tmp_path, history(2), good_report, test_set)
    assert names == ["curves.png", "confusion.png", "errors.png", "weights.png"]
    assert all(min(size_of(tmp_path / name)) > 200 for name in names)


def test_a_model_is_drawn_and_says_how_far_it_is(drawn, tmp_path, good_report, test_set,
                                                 monkeypatch):
    monkeypatch.setattr(plots, "MAPPED", 24)
    said = []
    names = plots.draw_model(tmp_path, Network([36, 4, 3]), test_set, good_report, 4,
                             said.append)
    assert names == ["confusion.png", "errors.png", "right_and_wrong.png",
                     "weights.png", *PAGES]
    assert all(min(size_of(tmp_path / name)) > 200 for name in names)
    assert "Drawing tsne.png ..." in said and "t-SNE of 24 images: 100%" in said


@pytest.mark.parametrize("sizes, count, pages", [
    ([36, 5, 1, 3], 60, PAGES), ([36, 4, 3], 10, PAGES), ([36, 4, 3], 9, []),
    ([36, 3], 60, [])])
def test_which_models_have_pages_of_their_hidden_layer(
        tmp_path, good_report, test_set, sizes, count, pages, monkeypatch):
    """One hidden unit is enough; no hidden layer, or fewer than ten images, is not."""
    monkeypatch.setattr(plots, "_draw_all", lambda folder, pictures, _: list(pictures))
    few = Evaluation(good_report.outputs[:count], good_report.labels[:count])
    names = plots.draw_model(tmp_path, Network(sizes), test_set.head(count), few)
    assert names[4:] == pages


def test_without_matplotlib_the_first_picture_says_so(tmp_path, good_report, test_set,
                                                      monkeypatch):
    for name in list(sys.modules):
        if name.split(".")[0] == "matplotlib":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError):
        plots.draw_model(tmp_path, Network([36, 4, 3]), test_set, good_report)
    assert list(tmp_path.iterdir()) == []
