"""Every picture drawn with matplotlib, which is imported only when one is drawn.

Colours are told apart by the colour-blind and in grey (Okabe and Ito's blue and orange;
the map "cividis"), and lines differ in style as well.
"""
from __future__ import annotations

from pathlib import Path
from typing import Sequence

from dataset import Dataset
from network import Report

BLUE, ORANGE = "#0072B2", "#E69F00"


def _new_figure(width: float, height: float):
    """An empty figure in inches, drawn straight to a file: no window, no display.

    Raises ImportError where matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    return figure


def draw_run(folder: Path, history: Sequence[dict], report: Report,
             test: Dataset) -> list[str]:
    """Draw the pictures of a finished run into its folder; returns the files' names.

    Raises ImportError where matplotlib is not installed.
    """
    figures = {
        "curves.png": training_curves(history, test.name),
        "confusion.png": confusion_matrix(report, test),
        "errors.png": worst_errors(report, test),
    }
    for name, figure in figures.items():
        figure.savefig(folder / name)
    return list(figures)


def training_curves(history: Sequence[dict], data_name: str):
    """Loss and accuracy after each epoch, side by side."""
    figure = _new_figure(9, 3.8)
    losses, accuracies = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    judged = "validation" if "validation_accuracy" in history[0] else "test"
    losses.plot(epochs, [row["loss"] for row in history], color=BLUE, marker="o")
    losses.set(title="Loss on the training images", ylabel="mean loss an image")
    losses.set_ylim(bottom=0)
    for name, label, colour, style in (
            ("train", "training images as they came", BLUE, "o-"),
            (judged, f"{judged} images", ORANGE, "s--")):
        percent = [100 * row[f"{name}_accuracy"] for row in history]
        accuracies.plot(epochs, percent, style, color=colour,
                        label=f"{label}: {percent[-1]:.2f} % at the end")
    accuracies.set(title="Images read right", ylabel="accuracy (%)")
    accuracies.legend(loc="best")
    accuracies.margins(y=0.2)
    for axes in (losses, accuracies):
        axes.set_xlabel("epoch")
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.3)
    figure.suptitle(f"Training on {data_name}")
    return figure


def confusion_matrix(report: Report, test: Dataset):
    """Counts of each true class taken for each class; the errors carry the colour."""
    counts = report.confusion()
    names = test.class_names
    size = 3 + 0.45 * len(names)
    figure = _new_figure(size + 1, size)
    axes = figure.subplots()
    errors = [[0 if i == j else n for j, n in enumerate(row)]
              for i, row in enumerate(counts)]
    image = axes.imshow(errors, cmap="cividis")
    brightest = max(max(map(max, errors)), 1)
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            dark = errors[i][j] < brightest / 2
            axes.text(j, i, count or "", ha="center", va="center", fontsize=8,
                      color="white" if dark else "black",
                      fontweight="bold" if i == j else "normal")
    slanted = 45 if max(map(len, names)) > 2 else 0
    axes.set_xticks(range(len(names)), names, rotation=slanted)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="answer of the network", ylabel="label",
             title=f"{report.accuracy:.2%} of {len(test):,} test images right\n"
                   f"{test.name}; right answers in bold")
    figure.colorbar(image, label="images read wrong", shrink=0.8)
    return figure


def worst_errors(report: Report, test: Dataset, rows: int = 3, columns: int = 8):
    """The images that the network got wrong while most sure of itself."""
    figure = _new_figure(1.3 * columns, 1.75 * rows + 0.5)
    figure.suptitle(f"The most confident errors on {test.name}")
    grid = figure.subplots(rows, columns, squeeze=False)
    chosen = report.worst_errors(rows * columns)
    for place in range(rows * columns):
        axes = grid[place // columns][place % columns]
        axes.axis("off")
        if place < len(chosen):
            _draw_error(axes, report, test, chosen[place])
    return figure


def _draw_error(axes, report: Report, test: Dataset, index: int) -> None:
    pixels, width = test.image(index), test.width
    axes.imshow([list(pixels[start:start + width])
                 for start in range(0, len(pixels), width)], cmap="gray_r")
    answers = report.answers[index]
    guess = test.class_names[report.guesses[index]]
    axes.set_title(f"a {test.class_names[test.label(index)]}, #{index}\n"
                   f"read as {guess}, {max(answers):.0%}", fontsize=8)
