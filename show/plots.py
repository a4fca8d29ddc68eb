"""The pictures of a run and of a trained model, each set drawn into a folder.

What is here shows a run's history and the answers to a test set; `figures` has the
sheet that all are drawn on and what shows the network's inside.  matplotlib is
imported only when a picture is drawn.
"""
from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from data_loader import Dataset
from learning.checkpoint import MODEL, judged_by
from my_math import Matrix
from network import Evaluation, Network
from show import charts
from show.embedding import pca, tsne
from show.figures import (BLUE, GREY, LINES, ORANGE, mosaic, new_figure,
                          principal_components, tsne_page, weight_tiles)

MAPPED = 1000           # images on the pages that PCA and t-SNE make
COMPONENTS = 20         # principal components whose share is shown

Draw = Callable[[], Any]


# ---------------------------------------------------------------------------
# A run
# ---------------------------------------------------------------------------

def training_curves(history: Sequence[Mapping[str, Any]], data_name: str):
    """Loss and accuracy after each epoch, side by side, with the gap between the
    training images and the others, and the best epoch if there are validation images.
    """
    figure = new_figure(10, 4.4)
    losses, accuracies = figure.subplots(1, 2)
    _draw_curves(losses, history, "loss", 1)
    losses.set(title="Loss", ylabel="mean loss an image")
    highest = max(x for line in losses.lines for x in line.get_ydata())
    losses.set_ylim(0, 1.08 * highest or 1.0)
    _draw_curves(accuracies, history, "accuracy", 100)
    accuracies.set(title="Images read right", ylabel="accuracy (%)")
    _shade_gap(accuracies, history)
    best = charts.best_epoch(history)
    for axes in (losses, accuracies):
        if best:
            axes.axvline(best["epoch"], color="black", linestyle=(0, (1, 2)),
                         label=f"best epoch: {best['epoch']}")
        axes.set_xlabel("epoch")
        axes.set_xlim(history[0]["epoch"] - 0.5, history[-1]["epoch"] + 0.5)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.3)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=9)
    figure.suptitle(f"Training on {data_name}")
    return figure


def _draw_curves(axes, history: Sequence[Mapping[str, Any]], what: str,
                 unit: float) -> None:
    """A line for each of training, validation and test images that the rows have."""
    epochs = [row["epoch"] for row in history]
    for (style, colour), name in zip(LINES, ("train", "validation", "test")):
        key = what if (name, what) == ("train", "loss") else f"{name}_{what}"
        if key not in history[0]:
            continue
        values = [unit * row[key] for row in history]
        label = "training images, as they came" if name == "train" else f"{name} images"
        end = f"{values[-1]:.2f} %" if what == "accuracy" else f"{values[-1]:.4f}"
        axes.plot(epochs, values, style, color=colour, markersize=4,
                  markevery=max(1, len(history) // 20),
                  label=f"{label}: {end} at the end")


def _shade_gap(axes, history: Sequence[Mapping[str, Any]]) -> None:
    """Shade what lies between the training images and those judged by."""
    judged = judged_by(history[0])
    lines = [[100 * row[f"{name}_accuracy"] for row in history]
             for name in ("train", judged)]
    axes.fill_between([row["epoch"] for row in history], *lines, color=GREY, alpha=0.3,
                      linewidth=0, label=f"gap, training less {judged}: "
                                         f"{charts.gap(history[-1]):+.2f} points")


# ---------------------------------------------------------------------------
# Answers to a test set
# ---------------------------------------------------------------------------

def confusion_matrix(report: Evaluation, test: Dataset):
    """Counts of each true class taken for each class, the errors in colour; beside
    them precision, recall and F1 of each class."""
    names = test.class_names
    size = max(3.5, 2.5 + 0.45 * len(names))
    figure = new_figure(size + 3.6, size)
    matrix, scores = figure.subplots(1, 2, sharey=True,
                                     width_ratios=[max(len(names), 4), 4])
    image = _draw_counts(matrix, report.confusion())
    slanted = 45 if max(map(len, names)) > 4 else 0
    matrix.set_xticks(range(len(names)), names, rotation=slanted)
    matrix.set_yticks(range(len(names)), names)
    matrix.set(xlabel="answer of the network", ylabel="label")
    figure.colorbar(image, label="images read wrong", shrink=0.8, ax=matrix,
                    ticks=_few_whole_numbers(image.get_clim()[1]))
    _draw_scores(scores, report)
    figure.suptitle(f"{report.accuracy:.2%} of the {len(test):,} test images of "
                    f"{test.name} right (in bold)")
    return figure


def _draw_counts(axes, counts: Sequence[Sequence[int]]):
    """The counts in their cells, coloured by how many errors each is."""
    errors = [[0 if i == j else n for j, n in enumerate(row)]
              for i, row in enumerate(counts)]
    most = max(max(map(max, errors)), 1)
    image = axes.imshow(errors, cmap="cividis", vmin=0, vmax=most)
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            axes.text(j, i, count or "", ha="center", va="center", fontsize=8,
                      color="white" if errors[i][j] < most / 2 else "black",
                      fontweight="bold" if i == j else "normal")
    return image


def _few_whole_numbers(most: float) -> list[int]:
    step = max(1, math.ceil(most / 5))
    return list(range(0, int(most) + 1, step))


def _draw_scores(axes, report: Evaluation) -> None:
    """A table beside the matrix, a row for each class, in per cent."""
    for i, scores in enumerate(charts.per_class(report)):
        for j, value in enumerate(scores):
            axes.text(j, i, f"{100 * value:.1f}", ha="center", va="center", fontsize=9)
    axes.set_xlim(-0.6, 2.6)
    axes.set_xticks(range(3), ["precision", "recall", "F1"])
    axes.tick_params(left=False, labelleft=False, bottom=False)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("each class, %")


def worst_errors(report: Evaluation, test: Dataset, rows: int = 4, columns: int = 3):
    """The images that the network got wrong while most sure of itself, and its answers.
    """
    chosen = report.worst_errors(rows * columns)
    rows = max(1, math.ceil(len(chosen) / columns))
    figure = new_figure(3.6 * columns, 1.75 * rows + 0.7)
    ten = "; the ten largest answers" if test.class_count > 10 else ""
    figure.suptitle(f"The most confident errors on {test.name} (label hatched, answer "
                    f"filled{ten})" if chosen else f"No errors on {test.name}")
    grid = figure.subplots(rows, 2 * columns, squeeze=False,
                           width_ratios=[1, 1.1] * columns)
    for place in range(rows * columns):
        image, bars = grid[place // columns][2 * (place % columns):][:2]
        image.axis("off")
        if place < len(chosen):
            _draw_error(image, bars, report, test, chosen[place])
        else:
            bars.axis("off")
    return figure


def _draw_error(image, bars, report: Evaluation, test: Dataset, index: int) -> None:
    """One image that was got wrong; of more than ten answers, the ten largest."""
    names, answers = test.class_names, report.outputs[index]
    label, guess = test.label(index), report.predictions[index]
    image.imshow(_rows_of(test, index), cmap="gray_r", vmin=0, vmax=255)
    image.set_title(f"#{index}: a {names[label]}\nread as {names[guess]}, "
                    f"{answers[guess]:.1%}", fontsize=8)
    shown = sorted(sorted(range(len(names)), key=lambda j: (j != label, -answers[j])
                          )[:10])
    found = bars.barh(range(len(shown)), [100 * answers[j] for j in shown], color=GREY)
    for j, bar in zip(shown, found):
        if j == guess:
            bar.set_color(ORANGE)
        elif j == label:
            bar.set(facecolor="white", edgecolor=BLUE, hatch="/////")
    bars.text(min(100 * answers[label] + 3, 60), shown.index(label),
              f"label: {answers[label]:.1%}", va="center", fontsize=6)
    bars.set_yticks(range(len(shown)), [names[j] for j in shown], fontsize=6)
    bars.set_xticks([0, 50, 100], ["0", "50", "100 %"], fontsize=6)
    bars.set_xlim(0, 100)
    bars.invert_yaxis()


def _rows_of(test: Dataset, index: int) -> list[list[int]]:
    pixels, width = test.image(index), test.width
    return [list(pixels[start:start + width])
            for start in range(0, len(pixels), width)]


def right_and_wrong(report: Evaluation, test: Dataset, rows: int = 5, columns: int = 4):
    """Images that were read right beside images that were not, all classes in turn."""
    figure = new_figure(2.6 * columns, 1.35 * rows + 0.8)
    figure.suptitle(f"Test images of {test.name}")
    for axes, right in zip(figure.subplots(1, 2), (True, False)):
        axes.axis("off")
        every = [i for i, guess in enumerate(report.predictions)
                 if (guess == report.labels[i]) == right]
        axes.set_title(f"{len(every):,} read {'right' if right else 'wrong'}"
                       f"{'' if right else ' (label → answer)'}")
        chosen = _classes_in_turn(every, report.labels)[:rows * columns]
        _draw_sheet(axes, report, test, chosen, rows, columns)
    return figure


def _draw_sheet(axes, report: Evaluation, test: Dataset, chosen: Sequence[int],
                rows: int, columns: int) -> None:
    """Images in rows and columns, the label above each, and the answer if it differs.
    """
    blank = [[255] * test.width] * test.height
    tiles = [[[255 - grey for grey in row] for row in _rows_of(test, i)]
             for i in chosen] + [blank] * (rows * columns - len(chosen))
    down, across = test.height // 3, test.width // 8
    axes.imshow(mosaic(tiles, columns, down, across, 255), cmap="gray", vmin=0,
                vmax=255)
    for place, i in enumerate(chosen):
        row, column = divmod(place, columns)
        label, guess = (test.class_names[found[i]]
                        for found in (report.labels, report.predictions))
        text = label if guess == label else f"{label} → {guess}"
        if len(text) > 12:
            text = text.replace(" → ", " →\n")
        axes.text((column + 0.5) * (test.width + across),
                  row * (test.height + down) + 0.95 * down, text, ha="center",
                  va="bottom", fontsize=9 if len(text) < 12 else 6)


def _classes_in_turn(indices: Sequence[int], labels: Sequence[int]) -> list[int]:
    """The indices so that each class comes once before any comes again."""
    seen: dict[int, int] = {}
    turns = []
    for i in indices:
        seen[labels[i]] = seen.get(labels[i], 0) + 1
        turns.append((seen[labels[i]], labels[i], i))
    return [i for *_, i in sorted(turns)]


# ---------------------------------------------------------------------------
# All of them
# ---------------------------------------------------------------------------

def draw_run(folder: Path, history: Sequence[Mapping[str, Any]], report: Evaluation,
             test: Dataset) -> list[str]:
    """Draw the pictures of a finished run into its folder; returns the files' names.

    The weights are those of the folder's model.npz, if it has one.  Raises ImportError
    where matplotlib is not installed.
    """
    pictures: dict[str, Draw] = {
        "curves.png": lambda: training_curves(history, test.name),
        "confusion.png": lambda: confusion_matrix(report, test),
        "errors.png": lambda: worst_errors(report, test)}
    model = folder / MODEL
    if model.exists():
        network, _ = Network.load(model)
        pictures["weights.png"] = lambda: weight_tiles(network, test)
    return _draw_all(folder, pictures, lambda text: None)


def draw_model(folder: Path, network: Network, test: Dataset, report: Evaluation,
               levels: int = 256,
               progress: Callable[[str], None] = lambda text: None) -> list[str]:
    """Draw the pictures of a trained model into a folder; returns the files' names.

    `progress` gets a line of text now and then: t-SNE takes a minute.  PCA and t-SNE
    look at the last hidden layer; a network without one, or fewer than ten images, go
    without.  Raises ImportError where matplotlib is not installed.
    """
    pictures: dict[str, Draw] = {
        "confusion.png": lambda: confusion_matrix(report, test),
        "errors.png": lambda: worst_errors(report, test),
        "right_and_wrong.png": lambda: right_and_wrong(report, test),
        "weights.png": lambda: weight_tiles(network, test)}
    names = _draw_all(folder, pictures, progress)
    if len(network.layers) > 1 and len(test) >= 10:
        names += _draw_hidden_layer(folder, network, test, levels, progress)
    return names


def _draw_all(folder: Path, pictures: Mapping[str, Draw],
              progress: Callable[[str], None]) -> list[str]:
    for name, draw in pictures.items():
        progress(f"Drawing {name} ...")
        draw().savefig(folder / name)
    return list(pictures)


def _draw_hidden_layer(folder: Path, network: Network, test: Dataset, levels: int,
                       progress: Callable[[str], None]) -> list[str]:
    """The pages that PCA and t-SNE make of the last hidden layer."""
    progress("Finding principal components ...")
    hidden, labels = hidden_activations(network, test, MAPPED, levels)
    units = hidden.shape[1]
    found = pca(hidden, min(units, COMPONENTS))
    title = f"{len(labels):,} test images of {test.name}, in {units} hidden units"
    names = _draw_all(folder, {"pca.png": lambda: principal_components(
        found, labels, test.class_names, title)}, progress)
    start = Matrix((row + [0.0])[:2] for row in found.scores)
    points = tsne(hidden, random.Random(0), min(30.0, (len(labels) - 1) / 3),
                  start=start, progress=lambda done, total: progress(
                      f"t-SNE of {len(labels):,} images: {done / total:.0%}"))
    return names + _draw_all(folder, {"tsne.png": lambda: tsne_page(
        points, labels, test.class_names, title)}, progress)


def hidden_activations(network: Network, test: Dataset, count: int,
                       levels: int = 256) -> tuple[Matrix, list[int]]:
    """(A, labels): what the last hidden layer makes of `count` images, or of all if
    there are fewer; A (count x h).  Every n-th image: the first half of MNIST's are
    easier than the rest."""
    count = min(count, len(test))
    rows: list[list[float]] = []
    order = [i * len(test) // count for i in range(count)]
    for x, _ in test.batches(100, order, levels=levels):
        rows.extend(network.forward(x).inputs[-1].to_matrix())
    return Matrix(rows), [test.label(i) for i in order]
