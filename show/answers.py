"""What a reading comes to: lines of text to print, and objects for --json."""
from __future__ import annotations

from typing import Any, Iterator, Sequence

from data_loader import Dataset
from network import Evaluation
from show.console import bar, can_print, picture, table

WORST = 6           # errors that a report of the test set shows


# ---------------------------------------------------------------------------
# One image
# ---------------------------------------------------------------------------

def best(answers: Sequence[float]) -> int:
    """The class with the largest answer."""
    return answers.index(max(answers))


def perhaps(probabilities: Sequence[float]) -> int | None:
    """Return the runner-up where the largest probability leaves room for doubt.

    Of the 10,000 test images of MNIST that is so in 125; the shipped network is wrong
    in 49 of these, and in 45 of the 49 the runner-up is the label.

    >>> perhaps([0.7, 0.05, 0.25]), perhaps([0.9, 0.1, 0.0])
    (2, None)
    """
    order = sorted(range(len(probabilities)), key=lambda k: -probabilities[k])
    if len(order) < 2:
        return None
    doubtful = probabilities[order[0]] < 0.6 or probabilities[order[1]] >= 0.2
    return order[1] if doubtful else None


def bar_lines(answers: Sequence[float], names: Sequence[str]) -> list[str]:
    """A line for each class: its name, its probability as a bar and in per cent."""
    blocks = can_print("█")
    width = max(map(len, names))
    return [f"{name.rjust(width)} |{bar(answer, blocks)}| {answer:7.2%}"
            for name, answer in zip(names, answers)]


def row_lines(several: Sequence[Sequence[float]], names: Sequence[str]) -> list[str]:
    """A row for each of several images: its answers in per cent, and the largest."""
    rows = [[i, *(f"{100 * p:.1f}" for p in answers), names[best(answers)]]
            for i, answers in enumerate(several, 1)]
    return table([["%", *names, "answer"], *rows])


def framed(image: bytes, width: int) -> list[str]:
    """All rows of an image in a frame, two characters a pixel.

    >>> framed(bytes([0, 255]), 1)[2][1] != " "
    True
    """
    blocks = can_print("░▒▓█")
    edge = "+" + "-" * 2 * width + "+"
    rows = (picture(image[start:start + width], width, blocks)[0]
            for start in range(0, len(image), width))
    return [edge, *(f"|{row}|" for row in rows), edge]


def answer_object(answers: Sequence[float], names: Sequence[str], **known: Any) -> dict:
    """What --json prints of an image: null stands for what is not known of it.

    `digit` is the number of the class with the largest answer; a class that is called
    something else has a `name` as well.
    """
    guess = best(answers)
    named = {} if names[guess] == str(guess) else {"name": names[guess]}
    return {"file": None, "index": None, "digit": guess,
            "probabilities": list(answers), "label": None, **named, **known}


# ---------------------------------------------------------------------------
# A test set
# ---------------------------------------------------------------------------

def report_lines(report: Evaluation, test: Dataset, columns: int) -> Iterator[str]:
    """Accuracy, confusion matrix, figures of each class, the most confident errors.

    The errors are drawn side by side, as many as so many columns hold.
    """
    from show.charts import per_class  # an answer to one image starts faster without
    names, counts = test.class_names, report.confusion()
    right = sum(row[i] for i, row in enumerate(counts))
    yield (f"{report.accuracy:.2%} right: {right:,} of the {len(test):,} test images "
           f"of {test.name}")
    yield from ["", "Rows are labels, columns answers:", ""]
    yield from table([["", *names],
                      *([name, *row] for name, row in zip(names, counts))])
    yield from ["", "Recall: how many of a class were found.  Precision: how many of "
                "those taken for", "it are of it.  F1: the harmonic mean of both.", ""]
    rows = [["", "images", "right", "recall", "precision", "F1"]]
    for i, (precision, recall, f1) in enumerate(per_class(report)):
        rows.append([names[i], sum(counts[i]), counts[i][i],
                     f"{recall:.2%}", f"{precision:.2%}", f"{f1:.2%}"])
    yield from table(rows)
    worst = report.worst_errors(WORST)
    if worst:
        yield from ["", "The most confident errors:", ""]
        yield from side_by_side([error_lines(report, test, i) for i in worst], columns)


def error_lines(report: Evaluation, test: Dataset, index: int) -> list[str]:
    """An image that was got wrong: what it is, what it was taken for, and its ink."""
    answers, names = report.outputs[index], test.class_names
    rows = picture(test.image(index), test.width, can_print("░▒▓█"))
    margin = min((len(row) - len(row.lstrip()) for row in rows if row.strip()),
                 default=0)
    return [f"--index {index}: {names[test.label(index)]}",
            f"read as {names[best(answers)]} ({max(answers):.2%})", "",
            *(row[margin:].rstrip() for row in rows), ""]


def side_by_side(blocks: Sequence[list[str]], columns: int, gap: int = 4) -> list[str]:
    """Blocks of lines beside each other, as many as fit in so many columns.

    >>> side_by_side([["a", "b"], ["cc"], ["d"]], columns=7)
    ['a    cc', 'b', 'd']
    """
    rows: list[list[list[str]]] = []
    used = columns
    for block in blocks:
        width = gap + max(map(len, block))
        if not rows or used + width > columns:
            rows.append([])
            used = -gap
        rows[-1].append(block)
        used += width
    return [line for row in rows for line in _joined(row, " " * gap)]


def _joined(blocks: Sequence[list[str]], gap: str) -> list[str]:
    """The lines of blocks that stand beside each other."""
    height = max(map(len, blocks))
    padded = []
    for block in blocks:
        width = max(map(len, block))
        padded.append([line.ljust(width) for line in block]
                      + [" " * width] * (height - len(block)))
    return [gap.join(parts).rstrip() for parts in zip(*padded)]


def report_object(report: Evaluation, test: Dataset, models: Sequence[str]) -> dict:
    """What --test --json prints, the classes and the confusion matrix in it."""
    from show.charts import per_class
    counts = report.confusion()
    classes = [{"name": test.class_names[i], "images": sum(row), "right": row[i],
                "precision": precision, "recall": recall, "f1": f1}
               for i, (row, (precision, recall, f1)) in enumerate(
                   zip(counts, per_class(report)))]
    return {"data": test.name, "models": list(models), "images": len(test),
            "right": sum(row[i] for i, row in enumerate(counts)),
            "accuracy": report.accuracy, "classes": classes, "confusion": counts,
            "worst": report.worst_errors(WORST)}


# ---------------------------------------------------------------------------
# A test set, moved about
# ---------------------------------------------------------------------------

def shift_lines(accuracies: Sequence[Sequence[float]], test: Dataset,
                models: Sequence[str]) -> Iterator[str]:
    """A line for each number of pixels, a column of accuracies for each model."""
    yield (f"Accuracy on the {len(test):,} test images of {test.name}, each moved by "
           "so many pixels:")
    yield from ["the mean of moves to the left, to the right, up and down", ""]
    blocks, width = can_print("█"), max(8, 40 // len(models))
    heads = [f"model {i}".ljust(width + 10) for i in range(1, len(models) + 1)]
    rows = [[pixels, *(f"|{bar(x, blocks, width)}| {x:7.2%}" for x in row)]
            for pixels, row in enumerate(zip(*accuracies))]
    yield from map(str.rstrip, table([["pixels", *heads], *rows]))
    yield ""
    yield from (f"Model {i}: {path}" for i, path in enumerate(models, 1))


def shift_object(accuracies: Sequence[Sequence[float]], test: Dataset,
                 models: Sequence[str]) -> dict:
    """What --test --shift --json prints: a list of accuracies for each model."""
    return {"data": test.name, "models": list(models), "images": len(test),
            "shifts": list(range(len(accuracies[0]))),
            "accuracies": list(map(list, accuracies))}
