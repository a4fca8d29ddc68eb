"""figures: what is inside a network, drawn; what the pictures say is read back."""
import math
import random

import pytest

from data_loader import Dataset
from learning.survey import survey
from my_math import Matrix
from network import Dense, Network
from show import charts, figures
from show.embedding import pca

NAMES = ["T-shirt/top", "Trouser", "Bag"]
SIDE = Dataset("tiny", bytes(range(12)), bytes([0, 1]), 2, 3, NAMES)


@pytest.fixture
def drawn():
    """Skips a test that looks at pictures where none can be drawn."""
    pytest.importorskip("matplotlib")


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_tiles_show_the_weights_longest_first_on_a_symmetric_scale(drawn):
    weights = Matrix([[1, 2, 0, 0, 0, 1], [0, 0, 3, 0, 0, 0], [-4, 4, 4, 4, 4, 4]]).T
    network = Network.of_layers([Dense(weights, Matrix.zeros(1, 3))], "relu",
                                "cross-entropy")
    figure = figures.weight_tiles(network, SIDE)
    image = figure.axes[0].images[0]
    low, high = image.get_clim()
    assert (low, high) == (-4, 4)
    page = image.get_array().filled(math.nan).tolist()
    # Three tiles in a row, each 2 x 3 with two blank rows above, a blank either side.
    tiles = [[row[start:start + 3] for row in page[2:]] for start in (1, 6, 11)]
    assert tiles == [[[-4, 4, 4], [4, 4, 4]], [[0, 0, 3], [0, 0, 0]],
                     [[1, 2, 0], [0, 0, 1]]]
    assert all(math.isnan(x) for x in page[0] + page[1])
    assert "below 0" in figure.axes[1].get_xlabel()


@pytest.mark.parametrize("count, columns", [
    (128, 16), (64, 8), (16, 4), (10, 5), (1, 1), (2, 2), (3, 3), (256, 16)])
def test_tiles_fill_their_page(count, columns):
    assert figures.tile_columns(count) == columns
    assert -count % columns == 0


def test_any_number_of_tiles_has_a_page_no_higher_than_wide():
    for count in range(1, 600):
        columns = figures.tile_columns(count)
        assert math.ceil(count / columns) <= columns <= count


@pytest.mark.parametrize("names, legend", [("012", None), (NAMES, NAMES)])
def test_points_are_told_apart_by_characters_not_colour_alone(drawn, names, legend):
    rng = random.Random(1)
    labels = [i % 3 for i in range(30)]
    points = Matrix.random_normal(30, 2, rng)
    figure = figures.tsne_page(points, labels, names, "30 images")
    axes = figure.axes[0]
    assert texts(axes) == charts.class_keys(names)
    assert len(axes.collections) == 3
    assert [list(map(float, xy)) for xy in axes.collections[1].get_offsets()] == (
        [list(points[i]) for i in range(30) if labels[i] == 1])
    shown = axes.get_legend() and [t.get_text() for t in axes.get_legend().texts]
    assert shown == legend


@pytest.mark.parametrize("columns", [1, 5])
def test_components_are_drawn_with_their_share(drawn, columns, tmp_path):
    samples = Matrix.random_normal(20, columns, random.Random(1))
    found = pca(samples, columns)
    figure = figures.principal_components(found, [0, 1] * 10, "ab", "20 images")
    page, shares = figure.axes
    heights = [bar.get_height() for bar in shares.patches]
    assert heights == pytest.approx([100 * part for part in found.explained])
    assert shares.lines[0].get_ydata()[-1] == pytest.approx(100)
    assert f"({heights[0]:.1f} % of the variance)" in page.get_xlabel()
    figure.savefig(tmp_path / "pca.png")


def rows_of_search(*settings):
    return [dict(zip(("hidden", "rate", "dropout"), values),
                 validation_accuracy=sum(values) / 1000) for values in settings]


def test_a_search_over_two_settings_is_a_map_with_the_best_framed(drawn, tmp_path):
    found = survey(rows_of_search((64, 1, 0), (64, 2, 0), (128, 1, 5),
                                         (64, 1, 9)))
    figure = figures.grid_search(found)
    axes = figure.axes[0]
    assert texts(axes) == ["7.40", "6.60", "13.40\nbest", "not tried"]
    assert [patch.get_xy() for patch in axes.patches][0] == (-0.5, 0.5)
    assert axes.get_xlabel() == "rate" and axes.get_ylabel() == "hidden"
    assert "best: 13.40% with hidden 128" in figure.get_suptitle()
    assert "the best over dropout" in figure.get_suptitle()
    figure.savefig(tmp_path / "search.png")


@pytest.mark.parametrize("hidden", [[64], [64, 128, 32]])
def test_a_search_over_one_setting_is_bars(drawn, hidden, tmp_path):
    found = survey(rows_of_search(*((units, 1) for units in hidden)))
    axes = figures.grid_search(found).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == (
        [str(units) for units in sorted(hidden)])
    assert [text for text in texts(axes) if "best" in text] == (
        [f"{(max(hidden) + 1) / 10:.2f}\nbest"])
    bottom, top = axes.get_ylim()
    assert all(bottom < bar.get_height() < top for bar in axes.patches)
    assert f"from {bottom:.1f}" in axes.get_ylabel()


def test_curves_over_shifts_differ_in_style_and_marker(drawn):
    curves = {f"model {i}": [(0, 0.9), (1, 0.8 - i / 10)] for i in range(4)}
    axes = figures.shift_curves(curves, "MNIST").axes[0]
    assert list(axes.lines[1].get_ydata()) == pytest.approx([90, 70])
    assert len({(line.get_linestyle(), line.get_marker()) for line in axes.lines}) == 4
    assert [text.get_text() for text in axes.get_legend().texts] == list(curves)
