"""Results as lines of text to print, and as objects for --json.

Bars and pictures are made of blocks, or of ASCII where stdout's encoding has none.
"""
from __future__ import annotations

import sys
from heapq import nlargest
from itertools import zip_longest
from typing import Any, Iterator, Sequence

from data_loader import Dataset
from learning.checkpoint import shown_path
from learning.models import Model
from my_math import argmax
from network import Evaluation

WORST = 6           # errors that are drawn below the figures of a test set
_BLOCKS, _ASCII = " ░▒▓█", " .:*#"


# --- Tables and pictures

def can_print(characters: str) -> bool:
    """Return True if the encoding of stdout has them all."""
    try:
        characters.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def counted(count: int, thing: str) -> str:
    """Return a number of things in words: 1 unit, 2 units."""
    return f"{count:,} {thing}{'s' * (count != 1)}"


def table(rows: Sequence[Sequence[object]]) -> list[str]:
    """Return lines with the columns of `rows` set flush right, two blanks apart.

    >>> table([["a", 1], ["b", 100]])
    ['a    1', 'b  100']
    """
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)).rstrip()
            for row in texts]


def bar(fraction: float, width: int = 40) -> str:
    """Return a bar of `fraction` (0..1) of `width` characters, filled up with blanks.

    >>> bar(0.5, width=8)
    '####    '
    """
    mark = "█" if can_print("█") else "#"
    return (mark * round(fraction * width)).ljust(width)


def pixel_rows(image: bytes, width: int) -> list[str]:
    """Return a line for each row of a grey image, two characters a pixel.

    >>> pixel_rows(bytes([0, 60, 255, 0, 0, 0]), 3)
    ['  ..##', '      ']
    """
    shades = _BLOCKS if can_print(_BLOCKS) else _ASCII
    signs = [2 * shades[-(-4 * grey // 255)] for grey in image]
    return ["".join(signs[start:start + width])
            for start in range(0, len(signs), width)]


def picture(image: bytes, width: int) -> list[str]:
    """Return the lines of a grey image from its first row with ink to its last."""
    rows = pixel_rows(image, width)
    inked = [i for i, row in enumerate(rows) if row.strip()] or [0]
    return rows[inked[0]:inked[-1] + 1]


def framed(image: bytes, width: int) -> list[str]:
    """Return the lines of a whole grey image in a frame."""
    edge = "+" + "--" * width + "+"
    return [edge, *(f"|{row}|" for row in pixel_rows(image, width)), edge]


def side_by_side(blocks: Sequence[list[str]], columns: int, gap: int = 4) -> list[str]:
    """Return blocks of lines beside one another, as many as fit into the columns.

    >>> side_by_side([["a", "b"], ["cc"], ["d"]], columns=7)
    ['a    cc', 'b', 'd']
    """
    rows: list[list[list[str]]] = []
    used = columns
    for block in blocks:
        width = max(map(len, block))
        if not rows or used + gap + width > columns:
            rows.append([])
            used = -gap
        rows[-1].append([line.ljust(width) for line in block])
        used += gap + width
    return [(" " * gap).join(part or " " * len(block[0])
                             for part, block in zip(parts, row)).rstrip()
            for row in rows for parts in zip_longest(*row)]


# --- The models that answer

def model_text(model: Model) -> str:
    """Return a model's file, its training images and accuracy, where they are known."""
    path = shown_path(model.path)
    if model.accuracy is None:
        return path
    trained = f"{model.limit:,} images of " * bool(model.limit) + model.data
    return (f"{path}, trained on {trained}: {model.accuracy:.2%} of its "
            f"{model.evaluated_on} images classified correctly")


def models_text(models: Sequence[Model]) -> str:
    """Return a line on one model, or a line on each of several."""
    if len(models) == 1:
        return f"Model: {model_text(models[0])}"
    return "\n".join([f"The mean of the outputs of {len(models)} models:",
                      *(f"Model {i}: {model_text(model)}"
                        for i, model in enumerate(models, 1))])


def model_object(model: Model) -> dict[str, Any]:
    """Return the object of --json for a model: null stands for what is not known."""
    return {"file": shown_path(model.path), "trained_on": model.data or None,
            "limit": model.limit or None, "accuracy": model.accuracy,
            "evaluated_on": model.evaluated_on or None}


# --- One image

def perhaps(probabilities: Sequence[float]) -> int | None:
    """Return the runner-up where the largest probability leaves room for doubt.

    Of the 10,000 test images of MNIST that is so in 125; the shipped network is wrong
    in 49 of these, and in 45 of the 49 the runner-up is the label.

    >>> perhaps([0.7, 0.05, 0.25]), perhaps([0.9, 0.1, 0.0])
    (2, None)
    """
    best, *others = nlargest(2, range(len(probabilities)),
                             key=probabilities.__getitem__)
    if others and (probabilities[best] < 0.6 or probabilities[others[0]] >= 0.2):
        return others[0]
    return None


def answer_text(several: Sequence[Sequence[float]], names: Sequence[str]) -> str:
    """Return the classes of the largest outputs of images, and perhaps others instead.

    >>> answer_text([[0.7, 0.05, 0.25], [0, 1, 0]], "012")
    '01, perhaps 21'
    """
    joint = "" if max(map(len, names)) == 1 else " "
    first = [argmax(outputs) for outputs in several]
    second = [best if perhaps(outputs) is None else perhaps(outputs)
              for best, outputs in zip(first, several)]
    texts = [joint.join(names[k] for k in row) for row in (first, second)]
    return ", perhaps ".join(dict.fromkeys(texts))


def bar_lines(outputs: Sequence[float], names: Sequence[str]) -> list[str]:
    """Return a line for each class: its name, its output as a bar and in per cent."""
    width = max(map(len, names))
    return [f"{name.rjust(width)} |{bar(output)}| {output:7.2%}"
            for name, output in zip(names, outputs)]


def row_lines(several: Sequence[Sequence[float]], names: Sequence[str]) -> list[str]:
    """Return a row for each of several images: outputs in per cent, the largest."""
    rows = [[i, *(f"{100 * p:.1f}" for p in outputs), answer_text([outputs], names)]
            for i, outputs in enumerate(several, 1)]
    return table([["%", *names, "answer"], *rows])


def image_object(outputs: Sequence[float], names: Sequence[str],
                 models: Sequence[Model], **known: Any) -> dict[str, Any]:
    """Return the object of --json for an image: null stands for what is not known.

    `digit` is the number of the class with the largest output; a class that is called
    something else has a `name` as well.  `perhaps` is the class that it may be instead.
    """
    digit = argmax(outputs)
    named = {} if names[digit] == str(digit) else {"name": names[digit]}
    return {"file": None, "index": None, "digit": digit,
            "probabilities": list(outputs), "perhaps": perhaps(outputs), "label": None,
            **named, **known, "models": list(map(model_object, models))}


# --- A test set

def class_scores(counts: Sequence[Sequence[int]]) -> list[dict[str, float]]:
    """Return the scores of each class, from the counts of the confusion matrix.

        precision = correct / predicted     of those predicted as the class
        recall    = correct / present       of those of the class
        F1        = 2 correct / (predicted + present)    the harmonic mean of both

    (van Rijsbergen 1979.)  0 / 0 counts as 0: the precision of a class that is never
    predicted, the recall of one that is absent, the F1 of one that is both.

    >>> class_scores([[3, 1], [3, 2]])[0]
    {'precision': 0.5, 'recall': 0.75, 'f1': 0.6}
    """
    return [{"precision": row[i] / (sum(column) or 1),
             "recall": row[i] / (sum(row) or 1),
             "f1": 2 * row[i] / (sum(column) + sum(row) or 1)}
            for i, (row, column) in enumerate(zip(counts, zip(*counts)))]


def accuracy_text(accuracy: float, images: int, data: str) -> str:
    """Return an accuracy in words.

    >>> accuracy_text(0.9918, 10000, "MNIST")
    '99.18% of the 10,000 test images of MNIST classified correctly'
    """
    return (f"{accuracy:.2%} of the {images:,} test images of {data} "
            "classified correctly")


def evaluation_lines(evaluation: Evaluation, test: Dataset, columns: int
                     ) -> Iterator[str]:
    """Yield accuracy, confusion matrix, scores of each class, most confident errors.

    The errors are drawn side by side, as many as fit into the columns.
    """
    names, counts = test.class_names, evaluation.confusion()
    yield from [accuracy_text(evaluation.accuracy, len(test), test.name), "",
                "Rows are labels, columns predictions:", ""]
    yield from table([["", *names],
                      *([name, *row] for name, row in zip(names, counts))])
    yield from ["", "Precision: the part of those predicted as a class that belong to "
                "it.  Recall: the", "part of a class that was predicted as it.  F1: "
                "the harmonic mean of both.", ""]
    rows = [["", "images", "correct", "precision", "recall", "F1"]]
    for i, scores in enumerate(class_scores(counts)):
        rows.append([names[i], sum(counts[i]), counts[i][i],
                     *(f"{score:.2%}" for score in scores.values())])
    yield from table(rows)
    if worst := evaluation.worst_errors(WORST):
        yield from ["", "The most confident errors:", ""]
        yield from side_by_side([error_lines(evaluation, test, i) for i in worst],
                                columns)


def error_lines(evaluation: Evaluation, test: Dataset, index: int) -> list[str]:
    """Return the lines of a misclassified image: label, prediction, picture."""
    outputs, names = evaluation.outputs[index], test.class_names
    rows = picture(test.image(index), test.width)
    margin = min((len(row) - len(row.lstrip()) for row in rows if row.strip()),
                 default=0)
    return [f"--index {index}: {names[test.labels[index]]}",
            f"predicted {names[argmax(outputs)]} ({max(outputs):.2%})", "",
            *(row[margin:].rstrip() for row in rows), ""]


def evaluation_object(evaluation: Evaluation, test: Dataset, models: Sequence[Model]
                      ) -> dict[str, Any]:
    """Return the object of --test --json, with the confusion matrix and all classes."""
    counts = evaluation.confusion()
    classes = [{"name": test.class_names[i], "images": sum(row), "right": row[i],
                **scores}
               for i, (row, scores) in enumerate(zip(counts, class_scores(counts)))]
    return {"data": test.name, "models": list(map(model_object, models)),
            "images": len(test), "right": evaluation.correct,
            "accuracy": evaluation.accuracy, "classes": classes, "confusion": counts,
            "worst": evaluation.worst_errors(WORST)}


def shift_lines(accuracies: Sequence[Sequence[float]], test: Dataset) -> Iterator[str]:
    """Yield a line for each number of pixels, a column of accuracies for each model."""
    yield (f"Accuracy on the {len(test):,} test images of {test.name}, each moved by "
           "some pixels:")
    yield from ["the mean of moves to the left, to the right, up and down", ""]
    width = max(8, 40 // len(accuracies))
    heads = [f"model {i}".ljust(width + 10) for i in range(1, len(accuracies) + 1)]
    rows = [[pixels, *(f"|{bar(x, width)}| {x:7.2%}" for x in row)]
            for pixels, row in enumerate(zip(*accuracies))]
    yield from table([["pixels", *heads], *rows])
    yield ""


def shift_object(accuracies: Sequence[Sequence[float]], test: Dataset,
                 models: Sequence[Model]) -> dict[str, Any]:
    """Return the object of --test --shift --json: each model's list of accuracies."""
    return {"data": test.name, "models": list(map(model_object, models)),
            "images": len(test), "shifts": list(range(len(accuracies[0]))),
            "accuracies": list(map(list, accuracies))}
