"""The sheet that pictures are drawn on, and pictures of what is inside a network.

Colours are told apart by the colour-blind and in grey: Okabe and Ito's, and the map
"cividis", whose every step is lighter than the one before.  What colour says, a
marker, a line's style or a character says as well.  `charts` has what the pictures
show, in numbers and as text.  matplotlib is imported only when a picture is drawn.
"""
from __future__ import annotations

import math
from itertools import accumulate
from typing import Mapping, Sequence

from data_loader import Dataset
from learning.survey import Survey
from my_math import Matrix
from network import Network
from show import charts
from show.embedding import Components

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#999999"
CLASS_COLOURS = ("#000000", ORANGE, "#56B4E9", GREEN, "#CC79A7", BLUE, "#D55E00",
                 "#882255", "#777777", "#6B4C9A")
LINES = (("o-", BLUE), ("s--", ORANGE), ("^:", GREEN), ("D-.", "#D55E00"),
         ("v-", "#CC79A7"), ("x--", "#000000"))


def new_figure(width: float, height: float):
    """An empty figure in inches, drawn straight to a file: no window, no display.

    Raises ImportError where matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    return figure


def mosaic(tiles: Sequence[Sequence[Sequence[float]]], columns: int, down: int,
           across: int, blank: float) -> list[list[float]]:
    """One image of many of equal size, row by row; above each `down` blank rows, beside
    it `across` blank columns, in halves.

    >>> mosaic([[[1]], [[2]], [[3]]], 2, 1, 0, 9)
    [[9, 9], [1, 2], [9, 9], [3, 9]]
    """
    height, width = len(tiles[0]), len(tiles[0][0])
    left, right = [blank] * (across // 2), [blank] * (across - across // 2)
    page = []
    for start in range(0, len(tiles), columns):
        some = list(tiles[start:start + columns])
        some += [[[blank] * width] * height] * (columns - len(some))
        page += [[blank] * (columns * (width + across)) for _ in range(down)]
        page += [[x for tile in some for x in (*left, *tile[y], *right)]
                 for y in range(height)]
    return page


# ---------------------------------------------------------------------------
# Weights
# ---------------------------------------------------------------------------

def weight_tiles(network: Network, test: Dataset):
    """The weights of each unit of the first layer on the page of an image.

    The units come by the length of their weights, longest first.  The scale is
    symmetric, so that the grey in its middle is 0: no effect.  Printed in grey, a map
    with two dark ends loses the sign; this one is dark below 0 and bright above.
    """
    units = sorted(network.layers[0].weights.to_matrix().T,
                   key=lambda weights: -math.hypot(*weights))
    width, columns = test.width, tile_columns(len(units))
    tiles = [[weights[start:start + width] for start in range(0, len(weights), width)]
             for weights in units]
    rows = math.ceil(len(units) / columns)
    tile = min(0.75, 14 / columns)      # inches
    figure = new_figure(max(6.5, tile * columns + 1), tile * rows + 1.8)
    axes = figure.subplots()
    sizes = sorted(abs(w) for weights in units for w in weights)
    most = sizes[int(0.995 * len(sizes))] or 1.0       # a few are far larger than all
    image = axes.imshow(mosaic(tiles, columns, 2, 2, math.nan), cmap="cividis",
                        vmin=-most, vmax=most)
    axes.axis("off")
    what = "unit" if len(units) == 1 else f"{len(units)} units, the largest first"
    axes.set_title(f"Weights of the first layer: {what}")
    figure.colorbar(image, ax=axes, orientation="horizontal", aspect=40, pad=0.02,
                    extend="both",
                    label="weight: ink on a dark pixel lowers the unit (below 0), "
                          "on a bright one raises it (above 0)")
    return figure


def tile_columns(count: int) -> int:
    """In how many columns to lay `count` tiles: about twice the rows, few blanks.

    >>> tile_columns(128), tile_columns(16), tile_columns(10)
    (16, 4, 5)
    """
    choices = range(math.ceil(math.sqrt(count)), math.isqrt(3 * count) + 1)
    return min(choices or [count], key=lambda columns: (
        -count % columns, abs(columns - math.sqrt(2 * count))))


# ---------------------------------------------------------------------------
# Pages of points
# ---------------------------------------------------------------------------

def principal_components(found: Components, labels: Sequence[int],
                         names: Sequence[str], title: str):
    """The first two principal components, and how much of the spread each one has."""
    figure = new_figure(13, 6.5)
    page, shares = figure.subplots(1, 2, width_ratios=[1.7, 1])
    scores = [(row + [0.0])[:2] for row in found.scores]
    percents = [100 * part for part in found.explained[:found.axes.shape[1]]]
    _draw_points(page, scores, labels, names)
    page.set_xlabel(f"component 1 ({percents[0]:.1f} % of the variance)")
    if len(percents) > 1:
        page.set_ylabel(f"component 2 ({percents[1]:.1f} % of the variance)")
    numbers = range(1, len(percents) + 1)
    together = list(accumulate(percents))
    shares.bar(numbers, percents, color=BLUE, label="each component")
    shares.plot(numbers, together, "o--", color="black", markersize=4,
                label=f"all up to it: {together[-1]:.0f} % in the first "
                      f"{len(percents)}")
    shares.set(title="Variance explained", xlabel="component",
               ylabel="% of the variance", ylim=(0, 105))
    shares.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    shares.grid(alpha=0.3, axis="y")
    shares.legend(loc="upper left")
    figure.suptitle(f"Principal components of {title}")
    return figure


def tsne_page(points: Matrix, labels: Sequence[int], names: Sequence[str], title: str):
    """The page of t-SNE: neighbours are alike; distances across it mean little."""
    figure = new_figure(8.5, 7.5)
    axes = figure.subplots()
    _draw_points(axes, list(points), labels, names)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("neighbours are alike; the axes have no unit, and large "
                    "distances mean little")
    figure.suptitle(f"t-SNE of {title}")
    return figure


def _draw_points(axes, points: Sequence[Sequence[float]], labels: Sequence[int],
                 names: Sequence[str]) -> None:
    """Each point as the character of its class, and a large one in their middle.

    Where the character is not the name itself, a legend has both.
    """
    from matplotlib.patheffects import withStroke
    keys = charts.class_keys(names)
    for label in sorted(set(labels)):
        colour = CLASS_COLOURS[label % len(CLASS_COLOURS)]
        xs, ys = zip(*(point for point, own in zip(points, labels) if own == label))
        axes.scatter(xs, ys, marker=rf"$\mathrm{{{keys[label]}}}$", s=26, color=colour,
                     linewidths=0.3, label=names[label])
        axes.text(_middle(xs), _middle(ys), keys[label], color=colour, ha="center",
                  va="center", fontsize=22, fontweight="bold",
                  path_effects=[withStroke(linewidth=4, foreground="white")])
    if keys != list(names):
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=1.6)


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


# ---------------------------------------------------------------------------
# Searches and shifts
# ---------------------------------------------------------------------------

def grid_search(found: Survey):
    """The scores of a search over settings: one as bars, two as a map, best marked."""
    if len(found.names) == 1:
        return _bars(found)
    down, across = found.values
    figure = new_figure(3.5 + 0.9 * len(across), 2.4 + 0.55 * len(down))
    axes = figure.subplots()
    cells = [[100 * found.cells.get((y, x), math.nan) for x in across] for y in down]
    image = axes.imshow(cells, cmap="cividis", aspect="auto")
    low, high = image.get_clim()
    for i, row in enumerate(cells):
        for j, value in enumerate(row):
            best = (down[i], across[j]) == found.best_cell
            text = "not tried" if math.isnan(value) else f"{value:.2f}"
            axes.text(j, i, text + "\nbest" * best, ha="center", va="center",
                      fontsize=9, fontweight="bold" if best else "normal",
                      color="white" if value < (low + high) / 2 else "black")
    _frame(axes, down.index(found.best_cell[0]), across.index(found.best_cell[1]))
    axes.set_xticks(range(len(across)), across)
    axes.set_yticks(range(len(down)), down)
    axes.set(xlabel=charts.plain(found.names[1]), ylabel=charts.plain(found.names[0]))
    figure.colorbar(image, label=f"{charts.plain(found.score)} (%)")
    _head(figure, found)
    return figure


def _frame(axes, row: int, column: int) -> None:
    """A frame in black and white around a cell, to be seen on every colour."""
    from matplotlib.patches import Rectangle
    for inset, colour in ((0.0, "black"), (0.04, "white")):
        axes.add_patch(Rectangle((column - 0.5 + inset, row - 0.5 + inset),
                                 1 - 2 * inset, 1 - 2 * inset, fill=False,
                                 edgecolor=colour, linewidth=2.5, clip_on=False))


def _bars(found: Survey):
    """One setting: a bar for each value.  The axis does not begin at 0, and says so."""
    values = found.values[0]
    scores = [100 * found.cells[value,] for value in values]
    figure = new_figure(max(4.5, 1.5 + 0.9 * len(values)), 4)
    axes = figure.subplots()
    bottom = max(0.0, min(scores) - max(max(scores) - min(scores), 0.5))
    bars = axes.bar(values, scores, color=GREY, edgecolor="black")
    best = values.index(found.best_cell[0])
    bars[best].set(facecolor=ORANGE, hatch="//")
    axes.bar_label(bars, [f"{score:.2f}" + "\nbest" * (i == best)
                          for i, score in enumerate(scores)])
    top = max(scores) + 0.3 * (max(scores) - bottom)
    axes.set(xlabel=charts.plain(found.names[0]), ylim=(bottom, top),
             ylabel=f"{charts.plain(found.score)} (%), from {bottom:.1f}")
    _head(figure, found)
    return figure


def _head(figure, found: Survey) -> None:
    over = f"\n(each cell: {charts.over(found)})" if found.others else ""
    figure.suptitle(f"Search, {charts.best_line(found)}{over}", fontsize=10)


def shift_curves(curves: Mapping[str, Sequence[tuple[float, float]]], data_name: str):
    """Accuracy against how far images were moved: {model: [(pixels, 0..1), ...]}."""
    figure = new_figure(7, 4.5)
    axes = figure.subplots()
    for i, (name, rows) in enumerate(curves.items()):
        style, colour = LINES[i % len(LINES)]
        axes.plot([shift for shift, _ in rows], [100 * part for _, part in rows],
                  style, color=colour, label=name)
    axes.set(title=f"Test images of {data_name}, moved", xlabel="moved by (pixels)",
             ylabel="accuracy (%)")
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    return figure
