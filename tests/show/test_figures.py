"""figures: pictures of runs, searches and networks; their contents are read back."""
import os
import random
import subprocess
import sys
import types
from pathlib import Path

import pytest
from conftest import ROOT

from data_loader import Dataset
from learning.models import Model
from learning.survey import survey
from my_math import Matrix
from network import Dense, Evaluation, Network
from show import figures

NAMES = ["no", "yes", "T-shirt/top"]
FOOT = "Model runs/x-1/model.npz: 98.00% of the 60 test images of tiny"


def evaluation(tiny, wrong):
    """One that predicts these images as the class after their own."""
    return Evaluation([[0.7 - i / 1000 if j == (label + (i in wrong)) % 3 else 0.15
                        for j in range(3)] for i, label in enumerate(tiny.labels)],
                      tiny.labels)


@pytest.fixture(scope="module")
def report(tiny):
    return evaluation(tiny, range(0, 60, 4))


@pytest.fixture(scope="module")
def good_report(tiny):
    """Two errors alone: each that is drawn takes its time."""
    return evaluation(tiny, (0, 1))


def a_model(sizes):
    network = Network(sizes, rng=random.Random(1))
    return Model(Path("runs/x-1/model.npz"), network, 256, NAMES)


def history(epochs, part="validation", losses=False):
    rows = [{"epoch": i, "loss": 1 / i, "train_accuracy": 1 - 0.1 / i, "images": 60,
             "seconds": 1.0, f"{part}_accuracy": 0.9 - 0.01 * (i - 3) ** 2}
            for i in range(1, epochs + 1)]
    return [{**row, **({f"{part}_loss": 2 / row["epoch"]} if losses else {})}
            for row in rows]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def labels_of(ticks):
    return [tick.get_text() for tick in ticks]


def parts_of(colour):
    """Red, green and blue, each 0..1, of a colour such as "#e69f00"."""
    return tuple(int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5))


def lies_inside(figure, *artists):
    """Check that nothing of what is drawn there is cut off by the sheet's edge."""
    figure.draw_without_rendering()
    for artist in artists:
        box = artist.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert 0 <= box.y0 < box.y1 <= figure.bbox.y1


# --- curves

def test_curves_show_the_gap_and_the_best_epoch(drawn):
    figure = figures.training_curves(history(5, losses=True), FOOT)
    losses, accuracies = figure.axes
    assert [list(line.get_ydata()) for line in losses.lines[:2]] == [
        [1 / i for i in range(1, 6)], [2 / i for i in range(1, 6)]]
    assert labels_of(accuracies.get_legend().texts) == [
        "training images, as they came: 98.00 % at the end",
        "validation images: 86.00 % at the end",
        "gap, training less validation: +12.00 points", "best epoch: 3"]
    shaded = accuracies.collections[0].get_paths()[0].get_extents()
    assert (shaded.ymin, shaded.ymax) == pytest.approx((86, 98))
    assert list(accuracies.lines[2].get_xdata()) == [3, 3]


def test_nothing_of_the_curves_is_cut_off(drawn):
    rows = [{**row, "test_accuracy": 0.9, "test_loss": 0.1}
            for row in history(6, losses=True)]
    figure = figures.training_curves(rows, FOOT)
    for axes in figure.axes:
        lies_inside(figure, axes.yaxis.label, axes.xaxis.label, axes.get_legend())
        label, axis = axes.yaxis.label.get_window_extent(), axes.get_window_extent()
        assert axis.y0 < label.y0 and label.y1 < axis.y1    # no longer than its axis


@pytest.mark.parametrize("epochs", [1, 2, 160])
@pytest.mark.parametrize("part", ["validation", "test"])
def test_runs_of_any_length_and_kind_are_drawn(drawn, epochs, part):
    losses, accuracies = figures.training_curves(history(epochs, part), FOOT).axes
    words = labels_of(accuracies.get_legend().texts)
    assert any("best epoch" in word for word in words) == (part == "validation")
    assert losses.get_ylim()[0] == 0 < 1 < losses.get_ylim()[1]


# --- predictions

def test_the_confusion_matrix_has_the_scores_of_a_class_beside_its_row(
        drawn, report, tiny):
    axes, = figures.confusion_matrix(report, tiny, FOOT).axes
    assert texts(axes) == ["15", "5", "", *["75.0%"] * 3, "", "15", "5", *["75.0%"] * 3,
                           "5", "", "15", *["75.0%"] * 3]
    assert labels_of(axes.get_xticklabels()) == [*NAMES, "precision", "recall", "F1"]
    assert labels_of(axes.get_yticklabels()) == NAMES
    assert [text.get_position()[1] for text in axes.texts] == (
        [0] * 6 + [1] * 6 + [2] * 6)
    image, = axes.images
    (blue, orange, white), *_ = image.to_rgba(image.get_array()).tolist()
    assert orange[:3] == pytest.approx(parts_of(figures.ORANGE))        # 5 errors
    assert white[:3] == [1, 1, 1] and blue[2] > blue[0]     # none; what is correct


def test_the_worst_error_comes_first_with_its_probabilities(drawn, report, tiny):
    figure = figures.worst_errors(report, tiny, FOOT)
    image, bars = figure.axes[:2]
    assert image.get_title(loc="left") == "image 0: no\npredicted yes, 70.0%"
    assert [bar.get_width() for bar in bars.patches] == pytest.approx([15, 70, 15])
    assert bars.patches[0].get_hatch() and not bars.patches[1].get_hatch()
    assert bytes(image.images[0].get_array().ravel().tolist()) == tiny.image(0)
    assert len(figure.axes) == 2 * 12
    names = [f"the class number {i}" for i in range(3)]         # long, but not cut off
    figure = figures.worst_errors(
        report, Dataset("tiny", tiny.images, tiny.labels, 6, 6, names), FOOT)
    lies_inside(figure, *(axes._left_title for axes in figure.axes[::2]))


def test_of_many_classes_the_label_is_among_the_ten_shown(drawn):
    names = [f"class {i}" for i in range(26)]
    test = Dataset("letters", bytes(9), bytes([25]), 3, 3, names)
    report = Evaluation([[(26 - i) / 351 for i in range(26)]], bytes([25]))
    figure = figures.worst_errors(report, test, FOOT)
    assert labels_of(figure.axes[1].get_yticklabels()) == [*names[:9], "class 25"]
    assert "ten classes" in figure.get_suptitle()


def test_right_and_wrong_are_side_by_side(drawn, report, tiny):
    right, wrong = figures.right_and_wrong(report, tiny, FOOT).axes
    assert right.get_title() == "45 classified correctly"
    assert wrong.get_title() == "15 errors (image: label → prediction)"
    assert texts(right)[:6] == NAMES * 2        # the classes in turn
    assert texts(wrong)[:2] == ["0: no → yes", "4: yes\n→ T-shirt/top"]
    assert bytes(wrong.images[1].get_array().ravel().tolist()) == tiny.image(4)


def test_where_nothing_is_wrong_it_is_said(drawn, tiny):
    perfect = evaluation(tiny, ())
    assert figures.worst_errors(perfect, tiny, FOOT).get_suptitle() == "No errors"
    _, wrong = figures.right_and_wrong(perfect, tiny, FOOT).axes
    assert wrong.get_title().startswith("0 errors")


# --- weights

def test_tiles_are_named_and_white_is_zero(drawn):
    columns = [1, 2, 0, 0, 0, 1], [0, 0, 3, 0, 0, 0], [-4, 4, 4, 4, 4, 4]
    network = Network.of_layers([Dense(Matrix(columns).T, Matrix.zeros(1, 3))], "relu",
                                "cross-entropy")
    axes = figures.weight_tiles(Model(Path("x"), network, 256, NAMES), 3, FOOT).axes[0]
    assert texts(axes) == NAMES
    assert [image.get_array().tolist() for image in axes.images] == [
        [list(column[:3]), list(column[3:])] for column in columns]
    assert {image.get_clim() for image in axes.images} == {(-4, 4)}
    scale = axes.images[0].cmap
    assert [scale(x)[:3] for x in (0.0, 0.5, 1.0)] == [
        pytest.approx(parts_of(colour), abs=0.01)
        for colour in (figures.ORANGE, "#ffffff", figures.BLUE)]
    network = Network([6, 3, 3])        # hidden units: numbers, longest weights first
    network.layers[0].weights = Matrix([[0, 1, 0], [2, 0, 0], [0, 0, 3],
                                        *[[0] * 3] * 3])
    axes = figures.weight_tiles(Model(Path("x"), network, 256, NAMES), 3, FOOT).axes[0]
    assert texts(axes) == ["2", "0", "1"]
    assert axes.images[0].get_array().tolist() == [[0, 0, 3], [0, 0, 0]]


@pytest.mark.parametrize("units", [1, 2, 10, 127, 128])
def test_tiles_lie_apart_on_their_page(drawn, units):
    axes = figures.weight_tiles(a_model([36, units, 3]), 6, FOOT).axes[0]
    # Left, right, bottom and top of each; y grows downwards.
    places = sorted(tuple(image.get_extent()) for image in axes.images)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert len(set(places)) == units
    assert all(left <= a < b <= right and top <= d < c <= bottom
               for a, b, c, d in places)
    assert {(b - a, c - d) for a, b, c, d in places} == {(6, 6)}


# --- searches

def rows_of_search(*settings):
    return [dict(zip(("hidden", "rate", "dropout"), values),
                 validation_accuracy=sum(values) / 1000) for values in settings]


def test_a_search_over_two_settings_is_a_map_with_the_best_framed(drawn, tmp_path):
    found = survey(rows_of_search((64, 1, 0), (64, 2, 0), (128, 1, 5), (64, 1, 9)),
                   ["hidden", "rate", "dropout"])
    figure = figures.search_map(found, "Search x")
    axes, scale = figure.axes
    assert texts(axes) == ["7.40", "6.60", "13.40\nbest", "diverged"]
    frame, = axes.lines
    assert (min(frame.get_xdata()), min(frame.get_ydata())) == (-0.5, 0.5)
    assert axes.get_xlabel() == "rate" and axes.get_ylabel() == "hidden"
    assert "best: 13.40% with hidden 128" in figure.get_supxlabel()
    assert "the best over dropout" in scale.get_ylabel()
    figure.savefig(tmp_path / "search.png")


@pytest.mark.parametrize("hidden", [[64], [64, 128, 32]])
def test_a_search_over_one_setting_is_a_map_of_one_row(drawn, hidden):
    found = survey(rows_of_search(*((units, 1) for units in hidden)), ["hidden"])
    axes = figures.search_map(found, "Search x").axes[0]
    assert labels_of(axes.get_xticklabels()) == [str(n) for n in sorted(hidden)]
    assert labels_of(axes.get_yticklabels()) == []
    best = f"{(max(hidden) + 1) / 10:.2f}\nbest"
    assert [text for text in texts(axes) if "best" in text] == [best]
    assert axes.images[0].get_array().tolist() == [
        [pytest.approx((n + 1) / 10) for n in sorted(hidden)]]


# --- whole sets

def test_each_sheet_of_a_model_names_it_and_its_accuracy(
        drawn, tmp_path, good_report, tiny, monkeypatch):
    sheets, said, draw = [], [], figures.new_figure

    def spy(*arguments):
        sheets.append(draw(*arguments))
        return sheets[-1]

    monkeypatch.setattr(figures, "new_figure", spy)
    names = figures.draw_model(tmp_path / "new", a_model([36, 4, 3]), tiny,
                               good_report, history(2), said.append)
    assert names == ["curves.png", "confusion.png", "errors.png", "right_and_wrong.png",
                     "weights.png"]
    for name in names:
        assert (tmp_path / "new" / name).read_bytes().startswith(b"\x89PNG")
    assert said == [f"Drawing {name} ..." for name in names]
    assert [sheet.get_supxlabel().replace("\n", " ") for sheet in sheets] == 5 * [
        "Model runs/x-1/model.npz: 96.67% of the 60 test images of tiny classified "
        "correctly"]


# --- a matplotlib that will not do

@pytest.fixture
def instead(monkeypatch):
    """instead(module): take it for matplotlib; None for one that is not there."""
    def replace(module):
        for name in list(sys.modules):
            if name.split(".")[0] == "matplotlib":
                monkeypatch.delitem(sys.modules, name)
        for name in ("", ".figure", ".backends", ".backends.backend_agg"):
            monkeypatch.setitem(sys.modules, f"matplotlib{name}", module)
    return replace


@pytest.mark.parametrize("version, words", [
    (None, "found no matplotlib .*, expected matplotlib 3.6 or later: python -m "),
    ("3.5.3", "found matplotlib 3.5.3, expected matplotlib 3.6 or later: python -m "),
    ("2.2.5rc1", "found matplotlib 2.2.5rc1, expected")])
def test_a_matplotlib_that_is_missing_or_old_is_named_in_one_line(
        instead, tmp_path, good_report, tiny, version, words):
    instead(version and types.SimpleNamespace(
        __version__=version, Figure=None, FigureCanvasAgg=None))
    with pytest.raises(ImportError, match=words) as stop:
        figures.draw_model(tmp_path / "new", a_model([36, 4, 3]), tiny, good_report)
    assert "\n" not in str(stop.value) and list(tmp_path.iterdir()) == []


def test_a_backend_that_does_not_exist_keeps_nothing_from_being_drawn(drawn):
    code = "from show import figures; figures.new_figure('', '', 1, 1); print('drawn')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True,
                          env={**os.environ, "MPLBACKEND": "bogus"},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.stdout == "drawn\n"
