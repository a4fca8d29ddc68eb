"""Pictures of a run, a search and a trained network; all that needs matplotlib.

One colour language, as on the page and in the lessons: blue raises (or is correct),
orange lowers (or is wrong), white is zero.  What a colour says, a number, a marker or a
line's style says as well.  The foot of a sheet names the model and its accuracy.
matplotlib is imported when the first picture is drawn.
"""
from __future__ import annotations

import math
import os
import textwrap
from itertools import zip_longest
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from data_loader import Dataset
from learning.checkpoint import best_row, evaluated_on, shown_path
from learning.models import Model
from learning.settings import plain
from learning.survey import Survey
from network import Evaluation
from show.runs import best_line, over
from show.text import accuracy_text, class_scores

Figure = Axes = Image = Any     # classes of matplotlib, which is imported late
Progress = Callable[[str], None]
Rows = Sequence[Sequence[float]]
History = Sequence[Mapping[str, Any]]

OLDEST = (3, 6)                 # the first matplotlib whose subplots take width_ratios

BLUE, ORANGE, WHITE = "#0072b2", "#e69f00", "#ffffff"
PALE_BLUE, PALE_GREY, GREY = "#cce3f0", "#e3e5e9", "#999999"
INK = {"cmap": "gray_r", "vmin": 0, "vmax": 255}        # the scale of an image
LINES = (("train", "training images, as they came", "o-", "#1b1b1b"),
         ("validation", "validation images", "s--", "#00705a"),
         ("test", "test images", "^:", "#8f35a8"))


# --- The sheet

def new_figure(title: str, foot: str, width: float, height: float) -> Figure:
    """Return an empty sheet in inches, drawn straight to a file: no window, no display.

    Raises ImportError, in words for the user, where matplotlib is missing or too old.
    """
    os.environ["MPLBACKEND"] = "agg"        # the user's, even a wrong one, is not asked
    expected = (f"matplotlib {'.'.join(map(str, OLDEST))} or later: "
                "python -m pip install --upgrade matplotlib")
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(f"found no matplotlib ({error}), expected {expected}"
                          ) from None
    version = matplotlib.__version__
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise ImportError(f"found matplotlib {version}, expected {expected}")
    figure = Figure(figsize=(width, height), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13)
    # Letters of 9 points are 0.07 inch wide in the mean: 14 fit into an inch.
    figure.supxlabel(textwrap.fill(foot, int(14 * width)), fontsize=9)
    return figure


def colour_map(*colours: str, blank: str = WHITE) -> Any:
    """Return the scale that passes evenly through these colours; NaN is `blank`."""
    from matplotlib.colors import LinearSegmentedColormap
    return LinearSegmentedColormap.from_list("digits", colours).with_extremes(bad=blank)


def draw_tiles(axes: Axes, tiles: Sequence[Rows], texts: Sequence[str], columns: int,
               rows: int, **scale: Any) -> Image:
    """Draw images of equal size side by side, a text above each; returns the last."""
    height, width = len(tiles[0]), len(tiles[0][0])
    across, down = width + max(2, width // 8), height + max(2, height // 3)
    for place, (tile, text) in enumerate(zip(tiles, texts)):
        x, y = place % columns * across, place // columns * down
        image = axes.imshow(tile, extent=(x, x + width, y + height, y), **scale)
        axes.text(x + width / 2, y - 1, text, ha="center", va="bottom", fontsize=9)
    axes.set(xlim=(width - across, columns * across), xticks=[], yticks=[],
             ylim=(rows * down - down + height + across - width, height - down))
    axes.spines[:].set_visible(False)
    return image


def rows_of(pixels: Sequence[float], width: int) -> Rows:
    """Return the rows of an image given pixel by pixel."""
    return [list(pixels[start:start + width])
            for start in range(0, len(pixels), width)]


# --- A run

def training_curves(history: History, foot: str) -> Figure:
    """Draw loss and accuracy after each epoch, the gap between training and other
    images, and the best epoch if there are validation images."""
    figure = new_figure("Loss and accuracy after each epoch", foot, 11, 5.6)
    losses, accuracies = figure.subplots(1, 2)
    _draw_lines(losses, history, "loss", "{:.4f}")
    losses.set_ylabel("loss (mean of the images)")
    highest = max(x for line in losses.lines for x in line.get_ydata())
    losses.set_ylim(0, 1.08 * highest or 1.0)
    _draw_lines(accuracies, history, "accuracy", "{:.2f} %")
    accuracies.set_ylabel("accuracy (%)")
    _shade_gap(accuracies, history)
    for axes in (losses, accuracies):
        if evaluated_on(history[0]) == "validation":
            best = best_row(history)["epoch"]
            axes.axvline(best, color="black", linestyle=(0, (1, 2)),
                         label=f"best epoch: {best}")
        axes.set(xlabel="epoch", xlim=(history[0]["epoch"] - 0.5,
                                       history[-1]["epoch"] + 0.5))
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.3)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), fontsize=9)
    return figure


def _draw_lines(axes: Axes, history: History, measured: str, form: str) -> None:
    """Draw a line for each of training, validation and test images in the rows."""
    epochs, unit = [row["epoch"] for row in history], 1 if measured == "loss" else 100
    for name, images, style, colour in LINES:
        key = f"{name}_{measured}".replace("train_loss", "loss")
        if key in history[0]:
            values = [unit * row[key] for row in history]
            axes.plot(epochs, values, style, color=colour, markersize=4,
                      markevery=max(1, len(history) // 20),
                      label=f"{images}: {form.format(values[-1])} at the end")


def _shade_gap(axes: Axes, history: History) -> None:
    """Shade the area between training accuracy and that on the images evaluated on.

    Above 0 the gap is overfitting; below, training images are harder: bent, or seen
    while the network knew less.
    """
    part = evaluated_on(history[0])
    train, other = ([100 * row[f"{name}_accuracy"] for row in history]
                    for name in ("train", part))
    axes.fill_between([row["epoch"] for row in history], train, other, color=PALE_GREY,
                      linewidth=0, label=f"gap, training less {part}: "
                                         f"{train[-1] - other[-1]:+.2f} points")


# --- Predictions on a test set

def confusion_matrix(evaluation: Evaluation, test: Dataset, foot: str) -> Figure:
    """Draw how many images of each class were predicted as each, errors in orange, and
    precision, recall and F1 of a class beside its row."""
    names, counts = test.class_names, evaluation.confusion()
    side = len(names)
    figure = new_figure("Confusion matrix, errors in orange", foot, 0.5 * side + 3.5,
                        0.5 * side + 1.6)
    axes = figure.subplots()
    errors = [[math.nan if i == j else n for j, n in enumerate(row)]
              for i, row in enumerate(counts)]
    most = max([n for row in errors for n in row if n > 0], default=1)
    axes.imshow(errors, cmap=colour_map(WHITE, ORANGE, blank=PALE_BLUE), vmin=0,
                vmax=most)
    heads = [side + 0.4 + 1.4 * j for j in range(3)]
    places = [*range(side), *heads]
    for i, (row, scores) in enumerate(zip(counts, class_scores(counts))):
        texts = [*(str(n or "") for n in row),
                 *(f"{score:.1%}" for score in scores.values())]
        for j, (x, text) in enumerate(zip(places, texts)):
            axes.text(x, i, text, ha="center", va="center", fontsize=9,
                      fontweight="bold" if i == j else "normal")
    slanted = {"rotation": 45, "ha": "left", "rotation_mode": "anchor"}
    axes.set_xticks(places, [*names, "precision", "recall", "F1"],
                    **slanted if max(map(len, names)) > 3 else {})
    axes.set_yticks(range(side), names)
    axes.set_ylabel("label")
    axes.set_xlabel("predicted class", loc="left", labelpad=10)
    axes.xaxis.set_label_position("top")
    axes.tick_params(left=False, bottom=False, labeltop=True, labelbottom=False)
    edges = [i - 0.5 for i in range(side + 1)]
    axes.hlines(edges, -0.5, side - 0.5, color=PALE_GREY)
    axes.vlines(edges, -0.5, side - 0.5, color=PALE_GREY)
    axes.set(xlim=(-0.55, heads[-1] + 0.8), ylim=(side - 0.45, -0.55))
    axes.spines[:].set_visible(False)
    return figure


def worst_errors(evaluation: Evaluation, test: Dataset, foot: str) -> Figure:
    """Draw the wrong predictions of the highest probability, with all probabilities."""
    chosen, columns = evaluation.worst_errors(12), 3
    rows = max(1, math.ceil(len(chosen) / columns))
    title = ("The most confident errors: probability of the predicted class (orange) "
             "and of the label (blue)" + ", ten classes" * (test.class_count > 10))
    figure = new_figure(title if chosen else "No errors", foot, 3.9 * columns,
                        1.95 * rows + 0.9)
    grid = figure.subplots(rows, 2 * columns, squeeze=False,
                           width_ratios=[1, 1.1] * columns).flat
    for axes in grid:
        axes.set_axis_off()
    for image, bars, index in zip(grid[::2], grid[1::2], chosen):
        _draw_error(image, bars, evaluation, test, index)
    return figure


def _draw_error(image: Axes, bars: Axes, evaluation: Evaluation, test: Dataset,
                index: int) -> None:
    """Draw one wrong prediction; of more than ten probabilities, the ten largest."""
    names, answers = test.class_names, evaluation.outputs[index]
    label, guess = test.labels[index], evaluation.predictions[index]
    image.imshow(rows_of(test.image(index), test.width), **INK)
    image.set_title(f"image {index}: {names[label]}\npredicted {names[guess]}, "
                    f"{answers[guess]:.1%}", fontsize=10, loc="left")
    likely = sorted(range(len(names)), key=lambda j: (j != label, -answers[j]))
    shown = sorted(likely[:10])
    bars.set_axis_on()
    found = bars.barh(range(len(shown)), [100 * answers[j] for j in shown], color=GREY)
    found[shown.index(guess)].set_color(ORANGE)
    found[shown.index(label)].set(facecolor=WHITE, edgecolor=BLUE, hatch="/////")
    bars.text(min(100 * answers[label] + 3, 60), shown.index(label),
              f"{answers[label]:.1%}", va="center", fontsize=8, color=BLUE)
    bars.set_yticks(range(len(shown)), [names[j] for j in shown], fontsize=8)
    bars.set_xticks([0, 50, 100], ["0", "50", "100 %"], fontsize=8)
    bars.set_xlim(0, 100)
    bars.spines[["top", "right"]].set_visible(False)
    bars.invert_yaxis()


def right_and_wrong(evaluation: Evaluation, test: Dataset, foot: str) -> Figure:
    """Draw images classified correctly beside images that were not, classes in turn."""
    rows, columns = 5, 4
    figure = new_figure("Test images, all classes in turn", foot, 2.6 * columns,
                        1.45 * rows + 1.1)
    names, labels, guesses = test.class_names, evaluation.labels, evaluation.predictions
    for axes, correct in zip(figure.subplots(1, 2), (True, False)):
        every = [i for i, guess in enumerate(guesses)
                 if (guess == labels[i]) == correct]
        axes.set_title(f"{len(every):,} classified correctly" if correct else
                       f"{len(every):,} errors (image: label → prediction)")
        turns = zip_longest(*([i for i in every if labels[i] == label]
                              for label in range(test.class_count)))
        chosen = [i for turn in turns for i in turn if i is not None][:rows * columns]
        texts = [names[labels[i]] if correct else
                 f"{i}: {names[labels[i]]} → {names[guesses[i]]}" for i in chosen]
        texts = [text if len(text) < 16 else text.replace(" →", "\n→")
                 for text in texts]
        axes.set_axis_off()
        if chosen:
            draw_tiles(axes, [rows_of(test.image(i), test.width) for i in chosen],
                       texts, columns, rows, **INK)
    return figure


# --- Weights

def weight_tiles(model: Model, width: int, foot: str) -> Figure:
    """Draw the weights of each unit of the first layer as an image `width` wide.

    The units come by the length of their weights, longest first, each below its number,
    which --explain --unit takes; without a hidden layer below its class, in order.
    """
    weights = list(model.network.layers[0].weights.to_matrix().T)
    order = sorted(range(len(weights)), key=lambda unit: -math.hypot(*weights[unit]))
    texts, title = list(map(str, order)), "unit by unit, largest weights first"
    if len(model.network.layers) == 1:
        order, texts, title = list(range(len(weights))), model.names, "class by class"
    columns = min(len(weights), math.ceil(math.sqrt(2 * len(weights))))
    rows, tile = math.ceil(len(weights) / columns), max(0.55, min(1.2, 14 / columns))
    figure = new_figure(f"Weights of the first layer, {title}", foot,
                        max(7, tile * columns + 0.5), 1.2 * tile * rows + 1.5)
    axes = figure.subplots()
    axes.set_facecolor(PALE_GREY)
    sizes = sorted(abs(weight) for unit in weights for weight in unit)
    most = sizes[int(0.995 * len(sizes))] or 1.0        # a few are far larger than all
    image = draw_tiles(axes, [rows_of(weights[unit], width) for unit in order], texts,
                       columns, rows, cmap=colour_map(ORANGE, WHITE, BLUE), vmin=-most,
                       vmax=most)
    figure.colorbar(image, ax=axes, orientation="horizontal", aspect=40, pad=0.02,
                    shrink=0.6, extend="both", label="weight: ink on a blue pixel "
                    "raises the unit's sum, on an orange one lowers it")
    return figure


# --- A search over settings

def search_map(found: Survey, title: str) -> Figure:
    """Draw the scores of a search as a heat map of one or two settings, best framed."""
    *one, across = found.values
    down = one[0] if one else [""]
    figure = new_figure(title, best_line(found), max(7.0, 2.5 + 0.9 * len(across)),
                        2.0 + 0.7 * len(down))
    axes = figure.subplots()
    keys = [[(y, x)[-len(found.names):] for x in across] for y in down]
    cells = [[100 * found.cells.get(key, math.nan) for key in row] for row in keys]
    image = axes.imshow(cells, cmap=colour_map(WHITE, BLUE, blank=PALE_GREY),
                        aspect="auto")
    low, high = image.get_clim()
    for i, row in enumerate(cells):
        for j, value in enumerate(row):
            best = keys[i][j] == found.best_cell
            text = "diverged" if math.isnan(value) else f"{value:.2f}"
            axes.text(j, i, text + "\nbest" * best, ha="center", va="center",
                      fontweight="bold" if best else "normal",
                      color=WHITE if value > 0.9 * high + 0.1 * low else "black")
            if best:
                left, right, up, low_ = j - 0.5, j + 0.5, i - 0.5, i + 0.5
                axes.plot([left, right, right, left, left], [up, up, low_, low_, up],
                          color="black", linewidth=3, clip_on=False)
    axes.set_xticks(range(len(across)), across)
    axes.set_yticks(range(len(down)) if one else [], down if one else [])
    axes.set(xlabel=plain(found.names[-1]), ylabel=plain(found.names[0]) if one else "",
             xlim=(-0.5, len(across) - 0.5), ylim=(len(down) - 0.5, -0.5))
    score = "validation accuracy (%)"
    figure.colorbar(image, label=f"{score},\n{over(found)}" if found.others else score)
    return figure


# --- All of them

def draw_all(folder: Path, pictures: Mapping[str, Callable[[], Figure]],
             progress: Progress = lambda text: None) -> list[str]:
    """Draw pictures into files of a folder, made if need be; return their names."""
    for name, draw in pictures.items():
        progress(f"Drawing {name} ...")
        figure = draw()
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(folder / name)
    return list(pictures)


def foot_of(model: Model, evaluation: Evaluation, test: Dataset) -> str:
    """Return the line that names a model and its accuracy."""
    return (f"Model {shown_path(model.path)}: "
            + accuracy_text(evaluation.accuracy, len(test), test.name))


def draw_model(folder: Path, model: Model, test: Dataset, evaluation: Evaluation,
               history: History = (), progress: Progress = lambda text: None
               ) -> list[str]:
    """Draw the pictures of a trained model into a folder, those of its training too if
    its history is given; returns the files' names.

    `progress` is told in words what is under way.
    """
    foot = foot_of(model, evaluation, test)
    curves = {"curves.png": lambda: training_curves(history, foot)} if history else {}
    return draw_all(folder, {
        **curves, "confusion.png": lambda: confusion_matrix(evaluation, test, foot),
        "errors.png": lambda: worst_errors(evaluation, test, foot),
        "right_and_wrong.png": lambda: right_and_wrong(evaluation, test, foot),
        "weights.png": lambda: weight_tiles(model, test.width, foot)}, progress)


def draw_search(folder: Path, found: Survey) -> list[str]:
    """Draw the heat map of a search into its folder; returns the file's name."""
    title = f"Search {shown_path(folder)}"
    return draw_all(folder, {"heatmap.png": lambda: search_map(found, title)})
