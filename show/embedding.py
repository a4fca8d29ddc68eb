"""The last hidden layer on a flat page: principal components, and t-SNE.

Both take an n x d matrix, a sample a row, here the hidden layer's activations for n
images, and return fewer columns, which are drawn:

    pca     turns the axes so that the first ones show as much of the spread as axes can
    tsne    moves n points on a page until those that were neighbours are neighbours

Notation of t-SNE (van der Maaten and Hinton 2008, JMLR 9): x_i a sample, y_i its point
on the page, p_ij how near two samples are, q_ij how near their points are.
"""
from __future__ import annotations

import math
import random
import statistics
import string
from itertools import accumulate, chain, combinations, zip_longest
from pathlib import Path
from typing import Callable, NamedTuple, Sequence

from data_loader import Dataset
from engine.sparse import SparseMatrix
from learning.models import Model
from my_math import Matrix, dot
from show.figures import GREY, Axes, Figure, Progress, Rows, draw_all, new_figure

MAPPED = 1000           # images on a page
COMPONENTS = 20         # principal components whose share is shown
CLASS_KEYS = string.digits + string.ascii_uppercase + string.ascii_lowercase
# Dark enough to be read as small characters on white: a contrast of 5 or more.
CLASS_COLOURS = ("#1b1b1b", "#8a5000", "#00705a", "#b01560", "#4b2fa0", "#c0101c",
                 "#5c6000", "#00668a", "#5f6570", "#8f35a8")

# p_ij times 4 at first: clusters form while points can still pass one another.  With
# 12, usual for large n, 250 steps on 1,000 images ended at KL = 0.85; with 4, 200 steps
# ended at 0.75, where the usual settings were after 1,000.
EXAGGERATION = 4.0


# --- Principal components

class Components(NamedTuple):
    """Principal components of n samples of d numbers, the widest spread first."""

    scores: Matrix             # (n x k) the samples on the new axes
    variances: list[float]     # of each column of scores
    explained: list[float]     # their parts of all d columns' variance; 0 without any
    axes: Matrix               # (d x k) unit vectors at right angles, one a column


def pca(samples: Matrix, components: int) -> Components:
    """Return the k directions in which the samples (n x d) are spread most.

        C = 1 / (n - 1) (X - mean)^T (X - mean)   (d x d)   = V diag(variances) V^T
        scores = (X - mean) V[:, :k]              (n x d)(d x k)

    (Pearson 1901; Hotelling 1933.)  The largest number of each axis is above 0, for v
    and -v are equally good.  Needs two samples, and 1 <= components <= d.

    >>> found = pca(Matrix([[0, 0], [3, 4], [6, 8]]), 1)
    >>> [round(x, 9) for x, in found.axes], [round(x, 9) for x in found.variances]
    ([0.6, 0.8], [25.0])
    """
    n, d = samples.shape
    centred = samples - samples.mean(axis=0)
    covariance = centred.T @ centred / (n - 1)
    values, vectors = _leading_eigenvectors(covariance, components)
    axes = Matrix(vector if max(vector, key=abs) > 0 else [-x for x in vector]
                  for vector in vectors.T).T
    variances = [max(value, 0.0) for value in values]     # not -1e-17 where it is 0
    total = sum(covariance[i, i] for i in range(d)) or 1.0
    return Components(centred @ axes, variances, [x / total for x in variances], axes)


def eigen_symmetric(matrix: Matrix) -> tuple[list[float], Matrix]:
    """Return the eigenvalues, largest first, and eigenvectors as columns of a matrix.

    For a symmetric A: A v = lambda v, the vectors of length 1 and at right angles to
    each other.  Jacobi rotations (Golub and Van Loan, section 8.5): each sweep turns
    every pair once, until no number off the diagonal counts.  Convergence is quadratic,
    so ten sweeps are many.
    """
    n = len(matrix)
    a, vectors = list(matrix.map(float)), list(Matrix.identity(n))
    tolerance, pairs = 1e-15 * matrix.norm(), list(combinations(range(n), 2))
    while any(abs(a[p][q]) > tolerance for p, q in pairs):
        for p, q in pairs:
            if abs(a[p][q]) > tolerance:
                _rotate_to_zero(a, vectors, p, q)
    order = sorted(range(n), key=lambda i: -a[i][i])
    return [a[i][i] for i in order], Matrix(vectors[i] for i in order).T


def _rotate_to_zero(a: list, vectors: list, p: int, q: int) -> None:
    """One Jacobi rotation J: a <- J^T a J with a[p][q] = 0, in place.

    `vectors` holds the eigenvectors found so far as rows and turns along.
    """
    theta = (a[q][q] - a[p][p]) / (2 * a[p][q])
    tangent = math.copysign(1, theta) / (abs(theta) + math.hypot(theta, 1))
    cosine = 1 / math.hypot(tangent, 1)
    sine = tangent * cosine
    for rows in (a, vectors):
        row_p, row_q = rows[p], rows[q]
        rows[p] = [cosine * x - sine * y for x, y in zip(row_p, row_q)]
        rows[q] = [sine * x + cosine * y for x, y in zip(row_p, row_q)]
    for row in a:
        x, y = row[p], row[q]
        row[p], row[q] = cosine * x - sine * y, sine * x + cosine * y
    a[p][q] = a[q][p] = 0.0


def _leading_eigenvectors(matrix: Matrix, count: int, rounds: int = 30
                          ) -> tuple[list[float], Matrix]:
    """Return the `count` largest eigenvalues of a symmetric A >= 0, and their vectors.

    Subspace iteration (Golub and Van Loan, section 8.2.4): Q <- orthonormal(A Q) turns
    a few columns more than are wanted towards the leading vectors, then the small
    Q^T A Q has their eigenvalues.  Jacobi's rotations of all of 512 columns would take
    minutes.
    """
    d, rng = len(matrix), random.Random(0)
    basis = Matrix.random_normal(d, min(d, 2 * count + 8), rng)
    for _ in range(rounds):
        basis = _orthonormal(matrix @ basis)
    small = basis.T @ (matrix @ basis)
    values, vectors = eigen_symmetric((small + small.T) / 2)
    return values[:count], basis @ Matrix(row[:count] for row in vectors)


def _orthonormal(matrix: Matrix) -> Matrix:
    """Return columns of length 1 at right angles of the same span (Gram and Schmidt).

    A column that the ones before it span already has no direction of its own: it
    becomes 0, and so do its eigenvalue and its part in the result.
    """
    columns: list[list[float]] = []
    for column in matrix.T:
        before = math.hypot(*column)
        for _ in range(2):          # once more: the first time leaves rounding errors
            for other in columns:
                factor = dot(column, other)
                column = [x - factor * y for x, y in zip(column, other)]
        length = math.hypot(*column)
        columns.append([x / length for x in column] if length > 1e-12 * before
                       else [0.0] * len(column))
    return Matrix(columns).T


# --- t-SNE: how near are two samples?

def neighbour_weights(distances: Sequence[float], perplexity: float) -> list[float]:
    """Return p_{j|i}, how near the others are to sample i, from squared distances.

        p_{j|i} = exp(-b d_j) / sum_k exp(-b d_k),    sum_j p_{j|i} = 1

    with the b >= 0 for which 2^(entropy in bits) is the perplexity, the number of
    neighbours that count.  The entropy falls as b grows: bisection finds b.
    Equal samples, which no b tells apart, get equal weights.
    """
    nearest, target = min(distances), math.log(perplexity)
    distances = [d - nearest for d in distances]        # cancels; exp stays above 0
    low, high, b = 0.0, math.inf, len(distances) / (sum(distances) or 1.0)
    for _ in range(64):
        weights = [math.exp(-b * d) for d in distances]
        total = sum(weights)
        entropy = math.log(total) + b * dot(weights, distances) / total
        if abs(entropy - target) < 1e-6:
            break
        low, high = (b, high) if entropy > target else (low, b)
        b = 2 * b if high == math.inf else (low + high) / 2
    return [weight / total for weight in weights]


def affinities(samples: Matrix, perplexity: float) -> list[list[float]]:
    """Return p_ij = (p_{j|i} + p_{i|j}) / 2n for j < i: row i has i numbers.

    p_ij = p_ji, so half of them are all of them; with both halves their sum is 1.
    1 <= perplexity < n - 1, the number of neighbours there are.
    """
    rows, n = list(samples), len(samples)
    squares = _mirrored([[math.dist(x, other) ** 2 for other in rows[:i]]
                         for i, x in enumerate(rows)])
    near = []
    for i, distances in enumerate(squares):
        del distances[i]                                # the distance to itself
        near.append(neighbour_weights(distances, perplexity))
        near[i].insert(i, 0.0)
    return [[(p + near[j][i]) / (2 * n) for j, p in enumerate(row[:i])]
            for i, row in enumerate(near)]


def _mirrored(lower: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return all of a symmetric matrix with a diagonal of 0, from the rows below it.

    >>> _mirrored([[], [1], [2, 3]])
    [[0.0, 1, 2], [1, 0.0, 3], [2, 3, 0.0]]
    """
    # Row i ends where the diagonal begins: what is missing above it is filled with 0.
    columns = chain(zip_longest(*lower, fillvalue=0.0), [(0.0,) * len(lower)])
    return [[*row, *column[i:]] for i, (row, column) in enumerate(zip(lower, columns))]


# --- t-SNE: points that are as near

def _closeness(xs: Sequence[float], ys: Sequence[float]) -> list[list[float]]:
    """Return w_ij = 1 / (1 + |y_i - y_j|^2) for j < i, Student's t of one degree.

    Its heavy tail lets points that are no neighbours lie far apart at little cost.
    """
    return [[1 / (1 + (a - x) * (a - x) + (b - y) * (b - y))
             for x, y in zip(xs[:i], ys)] for i, (a, b) in enumerate(zip(xs, ys))]


def gradient(near: Sequence[Sequence[float]], xs: Sequence[float],
             ys: Sequence[float], exaggeration: float = 1.0
             ) -> tuple[list[float], list[float]]:
    """Return dKL/dx_i and dKL/dy_i for the points (x_i, y_i), e p_ij in place of p_ij.

        KL(P || Q) = sum_{i != j} p_ij log(p_ij / q_ij)
        q_ij = w_ij / Z,    Z = sum_{k != l} w_kl
        dKL/dx_i = 4 sum_j (e p_ij - q_ij) w_ij (x_i - x_j) = 4 (x_i sum_j f_ij
                                                             - sum_j f_ij x_j)

    Exact: all n^2 pairs, none left out.  f_ij = f_ji, so that each pair is computed
    once, and the sums run in C: 0.25 s for 1,000 points on CPython 3.11.
    """
    closeness = _closeness(xs, ys)
    scale = 1 / (2 * exaggeration * sum(map(sum, closeness)))      # 1 / e Z
    forces = _mirrored([[w * (p - scale * w) for w, p in zip(w_row, p_row)]
                        for w_row, p_row in zip(closeness, near)])
    factor = 4 * exaggeration
    sums = list(map(sum, forces))
    return tuple([factor * (total * x - dot(row, along))
                  for total, x, row in zip(sums, along, forces)] for along in (xs, ys))


def _descend(places: list[float], speeds: list[float], gains: list[float],
             slopes: Sequence[float], rate: float, momentum: float
             ) -> tuple[list[float], list[float], list[float]]:
    """Return one coordinate y of all points after a step, their speeds v and gains.

    v <- momentum v - rate gain slope;  y <- y + v, with a mean of 0.  A gain grows
    while its point goes on downhill and shrinks when the slope turns (Jacobs 1988, the
    delta-bar-delta rule; the numbers are van der Maaten's).
    """
    gains = [gain + 0.2 if (slope > 0) != (speed > 0) else max(gain * 0.8, 0.01)
             for gain, slope, speed in zip(gains, slopes, speeds)]
    speeds = [momentum * speed - rate * gain * slope
              for speed, gain, slope in zip(speeds, gains, slopes)]
    places = [place + speed for place, speed in zip(places, speeds)]
    mean = math.fsum(places) / len(places)
    return [place - mean for place in places], speeds, gains


def tsne(samples: Matrix, start: Matrix, perplexity: float, iterations: int = 200,
         progress: Callable[[int, int], None] = lambda done, total: None) -> Matrix:
    """Return points on a page (n x 2) with the neighbours of the samples (n x d).

    Steepest descent of KL(P || Q) with momentum and gains.  The points begin within
    1e-4 of one another, as in `start` (n x 2; the first principal components keep the
    large picture, Kobak and Berens 2019).  For a fifth of the time p_ij is exaggerated;
    the learning rate is n / exaggeration (Belkina et al. 2019), n without.  `progress`
    is told of each step.  Python 3.12 adds floats in another way than those before, and
    its pages differ.  1,000 points take a minute on one core, CPython 3.11.

    Neighbours on the page are alike.  Distances between clusters, and how large they
    are, mean little.
    """
    n, near = len(samples), affinities(samples, perplexity)
    spread = start.norm() / math.sqrt(n) or 1.0
    axes = [(column, [0.0] * n, [1.0] * n) for column in (start * (1e-4 / spread)).T]
    for step in range(iterations):
        early = step < iterations / 5
        exaggeration, momentum = (EXAGGERATION, 0.5) if early else (1.0, 0.8)
        slopes = gradient(near, *(places for places, *_ in axes), exaggeration)
        axes = [_descend(*axis, along, n / exaggeration, momentum)
                for axis, along in zip(axes, slopes)]
        progress(step + 1, iterations)
    return Matrix(places for places, *_ in axes).T


# --- Pages of the last hidden layer

def hidden_activations(model: Model, test: Dataset) -> tuple[Matrix, list[int]]:
    """Return (A, labels): the last hidden layer's activations for n images, A (n x h).

    They are evenly spread: the first half of MNIST's are easier than the second.
    """
    count = min(MAPPED, len(test))
    chosen = [i * len(test) // count for i in range(count)]
    images = SparseMatrix.from_images([test.image(i) for i in chosen], model.levels)
    activations = model.network.forward(images).inputs[-1].to_matrix()
    return activations, [test.labels[i] for i in chosen]


def principal_components(found: Components, labels: Sequence[int],
                         names: Sequence[str], title: str, foot: str) -> Figure:
    """Draw the first two principal components, and the variance that each explains."""
    figure = new_figure(f"Principal components of {title}", foot, 13, 6.8)
    page, shares = figure.subplots(1, 2, width_ratios=[1.9, 1])
    percents = [100 * part for part in found.explained]
    _draw_points(page, [(row + [0.0])[:2] for row in found.scores], labels, names)
    for axis, number, percent in zip((page.xaxis, page.yaxis), (1, 2), percents):
        axis.set_label_text(f"component {number} ({percent:.1f} % of the variance)")
    numbers, together = range(1, len(percents) + 1), list(accumulate(percents))
    shares.bar(numbers, percents, color=GREY, label="each component")
    shares.plot(numbers, together, "o--", color="black", markersize=4,
                label=f"together: {together[-1]:.0f} % in the first {len(percents)}")
    shares.set(title="Variance explained", xlabel="component",
               ylabel="% of the variance", ylim=(0, 105))
    shares.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    shares.grid(alpha=0.3, axis="y")
    shares.legend(loc="upper left")
    return figure


def tsne_page(points: Matrix, labels: Sequence[int], names: Sequence[str], title: str,
              foot: str) -> Figure:
    """Draw the page of t-SNE."""
    figure = new_figure(f"t-SNE of {title}", foot, 9.5, 8.6)
    axes = figure.subplots()
    _draw_points(axes, list(points), labels, names)
    axes.set(xticks=[], yticks=[], xlabel="neighbours are alike; the axes have no "
                                          "unit, and large distances mean little")
    return figure


def _draw_points(axes: Axes, points: Rows, labels: Sequence[int], names: Sequence[str]
                 ) -> None:
    """Draw each point as the character of its class, and a large one in their middle.

    Where a character is not the name itself, a legend has both.
    """
    for label in sorted(set(labels)):
        key, colour = CLASS_KEYS[label], CLASS_COLOURS[label % len(CLASS_COLOURS)]
        xs, ys = zip(*(point for point, own in zip(points, labels) if own == label))
        axes.scatter(xs, ys, marker=rf"$\mathrm{{{key}}}$", s=42, color=colour,
                     linewidths=0.2, label=names[label])
        axes.text(statistics.median(xs), statistics.median(ys), key, ha="center",
                  va="center", fontsize=22, fontweight="bold", color=colour,
                  bbox={"boxstyle": "round,pad=0.1", "alpha": 0.7, "facecolor": "white",
                        "edgecolor": "none"})
    if any(names[label] != CLASS_KEYS[label] for label in labels):
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=1.6)


def draw_hidden_layer(folder: Path, model: Model, test: Dataset, foot: str,
                      progress: Progress) -> list[str]:
    """Draw the pages that PCA and t-SNE make of the last hidden layer; returns their
    names.  A network without one, or fewer than ten images, go without.
    """
    if len(model.network.layers) == 1 or len(test) < 10:
        return []
    progress("Finding principal components ...")
    hidden, labels = hidden_activations(model, test)
    units, names = hidden.shape[1], test.class_names
    found = pca(hidden, min(units, COMPONENTS))
    start = Matrix((row + [0.0])[:2] for row in found.scores)
    points = tsne(hidden, start, min(30.0, (len(labels) - 1) / 3),
                  progress=lambda done, total: progress(
                      f"t-SNE of {len(labels):,} images: {done / total:.0%}"))
    title = f"the {units} hidden units for {len(labels):,} test images"
    return draw_all(folder, {
        "pca.png": lambda: principal_components(found, labels, names, title, foot),
        "tsne.png": lambda: tsne_page(points, labels, names, title, foot)}, progress)
