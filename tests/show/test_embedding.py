"""embedding: principal components against what they are, t-SNE against its formulas."""
import math
import random
from pathlib import Path

import pytest
from conftest import contrast

from engine.sparse import SparseMatrix
from learning.models import Model
from my_math import Matrix
from network import Network
from show import embedding
from show.embedding import (affinities, eigen_symmetric, gradient,
                            hidden_activations, neighbour_weights, pca, tsne)


def normal(rng, rows, columns):
    return Matrix.random_normal(rows, columns, rng)


@pytest.fixture
def blobs(rng):
    """Three clouds of 15 points in five dimensions, far apart: (X, labels)."""
    labels = [i % 3 for i in range(45)]
    centres = [[9.0 * (i == label) for i in range(5)] for label in labels]
    return Matrix(centres) + normal(rng, 45, 5), labels


# --- principal components

@pytest.fixture
def spread(rng):
    """60 samples of six numbers that are spread by 6, 5, ..., 1 along mixed axes."""
    return normal(rng, 60, 6) * Matrix([[6, 5, 4, 3, 2, 1]]) @ normal(rng, 6, 6)


def test_scores_are_uncorrelated_and_give_the_samples_back(spread):
    found = pca(spread, 6)
    products = found.axes.T @ found.axes
    assert all(products[i, j] == pytest.approx(float(i == j), abs=1e-9)
               for i in range(6) for j in range(6))
    assert all(max(axis, key=abs) > 0 for axis in found.axes.T)
    assert found.scores.mean(axis=0).norm() < 1e-9 * spread.norm()
    covariance = found.scores.T @ found.scores / 59
    expected = Matrix([[value * (i == j) for j in range(6)]
                       for i, value in enumerate(found.variances)])
    assert (covariance - expected).norm() < 1e-9 * sum(found.variances)
    assert found.variances == sorted(found.variances, reverse=True)
    assert sum(found.explained) == pytest.approx(1)
    again = found.scores @ found.axes.T + spread.mean(axis=0)
    assert (again - spread).norm() < 1e-9 * spread.norm()


@pytest.mark.parametrize("n", [1, 2, 3, 8])
@pytest.mark.parametrize("scale", [0, 1, 1e-200, 1e200])
def test_eigenvectors_only_grow_under_their_matrix(n, scale, rng):
    half = normal(rng, n, n) * scale
    a = half + half.T
    values, vectors = eigen_symmetric(a)
    scale = scale or 1
    assert (a @ vectors / scale - vectors * Matrix([values]) / scale).norm() < 1e-11
    assert (vectors.T @ vectors - Matrix.identity(n)).norm() < 1e-12
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("rank", [3, 30])
def test_the_first_components_are_the_leading_eigenvectors(rng, rank):
    """Against Jacobi's method; of rank 3 the basis has columns with no direction left.
    """
    samples = normal(rng, 40, rank) * Matrix([[0.7 ** i for i in range(rank)]])
    samples = samples @ normal(rng, rank, 30)
    found, centred = pca(samples, 4), samples - samples.mean(axis=0)
    values, vectors = eigen_symmetric(centred.T @ centred / 39)
    assert found.variances == pytest.approx(values[:4], abs=1e-9 * sum(found.variances))
    for i in range(min(rank, 4)):
        axis, other = found.axes.T[i], vectors.T[i]
        assert abs(math.fsum(a * b for a, b in zip(axis, other))) == pytest.approx(1)


def test_equal_samples_have_nothing_to_explain():
    found = pca(Matrix([[1.5, 2.5]] * 4), 2)
    assert found.explained == [0, 0] and found.scores == Matrix.zeros(4, 2)


# --- t-SNE: how near

def perplexity_of(weights):
    return 2 ** -sum(p * math.log2(p) for p in weights if p)


@pytest.mark.parametrize("perplexity", [1.5, 5, 30, 98.5])
def test_each_sample_has_as_many_neighbours_as_asked(perplexity, rng):
    for scale in (1e-6, 1, 1e6):
        distances = [scale * rng.random() for _ in range(99)]
        weights = neighbour_weights(distances, perplexity)
        assert sum(weights) == pytest.approx(1)
        assert perplexity_of(weights) == pytest.approx(perplexity, rel=1e-5)
        nearest_first = sorted(range(99), key=distances.__getitem__)
        ordered = [weights[i] for i in nearest_first]
        assert ordered == sorted(weights, reverse=True)


def test_far_and_equal_samples_have_neighbours_too():
    assert perplexity_of(neighbour_weights([1e8, 1e8 + 1, 1e8 + 2, 1e9], 2)
                         ) == pytest.approx(2)
    assert neighbour_weights([4.0] * 5, 2) == [0.2] * 5


def test_affinities_are_the_mean_of_both_sides(rng):
    samples = normal(rng, 12, 3)
    near = affinities(samples, 4)
    one_sided = []          # p_{j|i}, 0 for i itself
    for i in range(12):
        weights = neighbour_weights([math.dist(samples[i], samples[k]) ** 2
                                     for k in range(12) if k != i], 4)
        one_sided.append([*weights[:i], 0.0, *weights[i:]])
    for i, row in enumerate(near):
        assert row == pytest.approx([(one_sided[i][j] + one_sided[j][i]) / 24
                                     for j in range(i)], rel=1e-4)
    assert 2 * sum(map(sum, near)) == pytest.approx(1)


# --- t-SNE: the points

def divergence(near, xs, ys):
    """KL(P || Q) from its definition, for p_ij with j < i."""
    n = len(xs)
    w = {(i, j): 1 / (1 + (xs[i] - xs[j]) ** 2 + (ys[i] - ys[j]) ** 2)
         for i in range(n) for j in range(n) if i != j}
    z = sum(w.values())
    return sum(p * math.log(p * z / w[i, j]) for i, j in w
               for p in [near[max(i, j)][min(i, j)]] if p)


def test_the_gradient_is_the_slope_of_the_divergence(rng):
    near = affinities(normal(rng, 7, 4), 3)
    xs, ys = (list(column) for column in normal(rng, 7, 2).T)
    step = 1e-5
    for coordinate, slopes in zip((xs, ys), gradient(near, xs, ys)):
        for i, slope in enumerate(slopes):
            middle, ends = coordinate[i], []
            for offset in (-step, step):
                coordinate[i] = middle + offset
                ends.append(divergence(near, xs, ys))
            coordinate[i] = middle
            assert slope == pytest.approx((ends[1] - ends[0]) / (2 * step), abs=1e-8)
    # With e p in place of p it is linear in e, so three of them lie on a line.
    one, two, three = (gradient(near, xs, ys, e) for e in (1.0, 2.0, 3.0))
    for a, b, c in zip(one, two, three):
        assert [2 * y for y in b] == pytest.approx([x + z for x, z in zip(a, c)])


def test_clouds_stay_apart_and_the_divergence_falls(blobs):
    samples, labels = blobs
    near, start, heard = affinities(samples, 8), normal(random.Random(1), 45, 2), []
    pages = [tsne(samples, start, 8, steps, lambda *done: heard.append(done))
             for steps in (10, 30, 60, 120)]
    found = [divergence(near, *points.T) for points in (1e-4 * start, *pages)]
    assert found == sorted(found, reverse=True) and found[-1] < 0.3 * found[0]
    assert math.hypot(*sum(gradient(near, *pages[-1].T), [])) < 0.005   # a minimum
    assert all(points.mean(axis=0).norm() < 1e-9 for points in pages)
    for i, point in enumerate(pages[-1]):
        nearest = sorted(range(45), key=lambda j: math.dist(point, pages[-1][j]))[1:6]
        assert [labels[j] for j in nearest] == [labels[i]] * 5
    assert heard[-120:] == [(step, 120) for step in range(1, 121)]


def test_equal_samples_end_at_equal_points():
    samples = Matrix([[0, 0], [0, 0], [5, 1], [1, 4], [9, 9]])
    points = tsne(samples, samples, 2, 60)
    assert points[0] == points[1] != points[2]


# --- pages

NAMES = ["no", "yes", "T-shirt/top"]


def a_model(sizes):
    return Model(Path("model.npz"), Network(sizes, rng=random.Random(1)), 4, NAMES)


def test_the_hidden_layer_of_images_from_everywhere(tiny, monkeypatch):
    monkeypatch.setattr(embedding, "MAPPED", 20)
    model = a_model([36, 5, 3])
    hidden, labels = hidden_activations(model, tiny)
    assert hidden.shape == (20, 5)
    assert labels == [tiny.labels[3 * i] for i in range(20)]
    x = SparseMatrix.from_images([tiny.image(57)], 4)
    assert hidden[19] == model.network.forward(x).inputs[1].to_matrix()[0]
    monkeypatch.setattr(embedding, "MAPPED", 1000)
    assert hidden_activations(model, tiny)[0].shape == (60, 5)


@pytest.mark.parametrize("names", [list("012"), NAMES])
def test_points_are_told_apart_by_characters_not_colour_alone(drawn, names, rng):
    labels, points = [i % 3 for i in range(30)], normal(rng, 30, 2)
    axes = embedding.tsne_page(points, labels, names, "30 images", "foot").axes[0]
    assert [text.get_text() for text in axes.texts] == ["0", "1", "2"]
    assert [list(map(float, xy)) for xy in axes.collections[1].get_offsets()] == (
        [list(points[i]) for i in range(30) if labels[i] == 1])
    legend = axes.get_legend()
    assert (legend and [text.get_text() for text in legend.texts]) == (
        None if names != NAMES else NAMES)


def test_the_colours_of_classes_can_be_read_on_white():
    assert all(contrast(colour, "#ffffff") >= 5 for colour in embedding.CLASS_COLOURS)
    assert len(set(embedding.CLASS_COLOURS)) == 10


@pytest.mark.parametrize("columns", [1, 5])
def test_components_are_drawn_with_their_share(drawn, columns, rng, tmp_path):
    found = pca(normal(rng, 20, columns), columns)
    figure = embedding.principal_components(found, [0, 1] * 10, "ab", "x", "foot")
    page, shares = figure.axes
    heights = [bar.get_height() for bar in shares.patches]
    assert heights == pytest.approx([100 * part for part in found.explained])
    assert shares.lines[0].get_ydata()[-1] == pytest.approx(100)
    assert f"({heights[0]:.1f} % of the variance)" in page.get_xlabel()
    figure.savefig(tmp_path / "pca.png")


def test_pages_are_drawn_and_say_how_far_they_are(drawn, tmp_path, tiny,
                                                  monkeypatch):
    monkeypatch.setattr(embedding, "MAPPED", 24)
    said = []
    names = embedding.draw_hidden_layer(tmp_path, a_model([36, 5, 1, 3]), tiny,
                                        "foot", said.append)
    assert names == ["pca.png", "tsne.png"]
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in names)
    assert "Drawing tsne.png ..." in said and "t-SNE of 24 images: 100%" in said


@pytest.mark.parametrize("sizes, count, pages", [
    ([36, 4, 3], 9, 0), ([36, 4, 3], 10, 2), ([36, 3], 60, 0)])
def test_no_hidden_layer_and_few_images_have_no_pages(tiny, sizes, count, pages,
                                                      monkeypatch):
    monkeypatch.setattr(embedding, "draw_all", lambda folder, pictures, _: pictures)
    found = embedding.draw_hidden_layer(Path(), a_model(sizes), tiny.head(count),
                                        "foot", lambda text: None)
    assert len(found) == pages
