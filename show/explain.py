"""One image's way through a network and back, in numbers and shapes.

Everything shown is what the network itself works out: sums are written out as terms,
a rest and a bias, so that they can be added up again.  Names are those of `network`;
with one image m = 1, so X is (1 x 784), Z1 (1 x 128) and so on.
"""
from __future__ import annotations

import math
from heapq import nlargest
from typing import NamedTuple, Sequence

from engine.sparse import SparseMatrix
from network import LOSSES, Gradient, Network
from show.text import table

_TERMS = 8          # of a sum that are written out
_NAMED = 3          # units, or entries of a gradient, that are called by name


class Subject(NamedTuple):
    """An image and all that a network makes of it."""

    network: Network
    image: bytes
    width: int                        # pixels in a row of the image
    levels: int                       # grey levels that it is rounded to
    names: Sequence[str]              # of the classes
    label: int | None                 # None where nobody knows
    inputs: list                      # of each layer [(place, number not 0), ...]
    sums: list                        # of each layer Z, as a list of numbers
    answers: list                     # P, or A where the outputs are sigmoids

    @property
    def depth(self) -> int:
        """How many layers there are."""
        return len(self.sums)

    @property
    def letter(self) -> str:
        """P for probabilities that sum to 1, else A."""
        return "P" if self.network.loss == "cross-entropy" else "A"


def explain(network: Network, image: bytes, width: int, levels: int,
            names: Sequence[str], label: int | None = None, unit: int | None = None
            ) -> list[str]:
    """Lines on the forward pass and, with a label, on the first step back.

    `unit` is the unit of the first layer whose sum is written out; the most active one
    unless given.  Raises IndexError where there is no such unit.
    """
    x = SparseMatrix.from_images([image], levels)
    trace = network.forward(x)
    inputs = [_not_zero(matrix) for matrix in trace.inputs]
    subject = Subject(network, image, width, levels, names, label, inputs,
                      sums=[list(z)[0] for z in trace.sums],
                      answers=LOSSES[network.loss].outputs(trace.logits)[0])
    units = len(subject.sums[0])
    if unit is not None and not 0 <= unit < units:
        raise IndexError(f"unit {unit} of {units}, counted from 0")
    parts = [ink_lines(subject)]
    for i in range(subject.depth - 1):
        parts.append(layer_lines(subject, i, unit if i == 0 else None))
    parts += [output_lines(subject, unit), answer_lines(subject),
              argument_lines(subject)]
    if label is None:
        parts.append(["Nobody has said what this is: without a label there is no loss "
                      "and no gradient."])
    else:
        loss, gradients = network.loss_and_gradients(x, [label])
        parts += [loss_lines(subject, loss), *backward_lines(subject, gradients)]
    return "\n\n".join("\n".join(part) for part in parts).splitlines()


def _not_zero(matrix) -> list[tuple[int, float]]:
    """[(place, number), ...] of the one row of a matrix, without its zeros."""
    (places, values), = matrix.entries()
    return [(place, value) for place, value in zip(places, values) if value]


def _counted(count: int, thing: str) -> str:
    """A number of things: 1 unit, 2 units."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _number(x: float) -> str:
    """Six decimals, or two digits and a power of ten where those would hide it.

    >>> _number(0.25), _number(-0.0000031), _number(0.0)
    ('0.250000', '-3.1e-06', '0.000000')
    """
    return f"{x:.1e}" if 0 < abs(x) < 1e-4 else f"{x:.6f}"


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}".rstrip() for line in lines]


# ---------------------------------------------------------------------------
# Forward
# ---------------------------------------------------------------------------

def ink_lines(subject: Subject) -> list[str]:
    """How much ink the image has, and in which greys."""
    pixels, ink = len(subject.image), dict(subject.inputs[0])
    faint = pixels - subject.image.count(0) - len(ink)
    lines = [f"X, the image: {pixels // subject.width} x {subject.width} pixels, one "
             f"after the other (1 x {pixels}); 0 is paper, 1 full ink",
             f"  {_counted(len(ink), 'pixel')} of {pixels} "
             f"({len(ink) / pixels:.1%}) {'has' if len(ink) == 1 else 'have'} ink, "
             f"{math.fsum(ink.values()):.2f} in all"]
    if faint:
        lines.append(f"  {_counted(faint, 'pixel')} more, too faint, became paper in "
                     f"rounding to {subject.levels} grey levels")
    greys = sorted(set(ink.values()))
    if 0 < len(greys) <= 16:
        counts = [list(ink.values()).count(grey) for grey in greys]
        lines += _indented(table([["grey", *(f"{grey:.2f}" for grey in [0, *greys])],
                                  ["pixels", pixels - len(ink), *counts]]))
    elif greys:
        mean = math.fsum(ink.values()) / len(ink)
        lines.append(f"  {len(greys)} different greys from {greys[0]:.4f} to "
                     f"{greys[-1]:.4f}, {mean:.4f} in the mean")
    return lines


def layer_lines(subject: Subject, i: int, unit: int | None = None) -> list[str]:
    """Hidden layer i + 1: its sums, one of them term by term, and the activation."""
    sums, outputs = subject.sums[i], [0.0] * len(subject.sums[i])
    for j, value in subject.inputs[i + 1]:
        outputs[j] = value
    chosen = unit
    if unit is None:
        chosen = max(range(len(sums)), key=lambda j: abs(outputs[j]))
    name = subject.network.activation
    why = "as asked" if unit is not None else "the most active one"
    return [*_sum_heading(subject, i),
            f"  {_counted(len(sums), 'sum')} from {min(sums):.4f} to {max(sums):.4f}; "
            f"that of unit {chosen}, {why}:", "",
            *_indented(sum_lines(subject, i, chosen)), "",
            f"A{i + 1} = {name}(Z{i + 1})   (1 x {len(sums)})",
            f"  {_made_of(name, outputs)}",
            f"  A{i + 1}[{chosen}] = {name}({sums[chosen]:.4f}) = "
            f"{outputs[chosen]:.4f}"]


def _sum_heading(subject: Subject, i: int) -> list[str]:
    """What layer i + 1 works out, with its shapes."""
    k, n = subject.network.layers[i].weights.shape
    inputs = f"A{i}" if i else "X"
    return [f"Z{i + 1} = {inputs} W{i + 1} + b{i + 1}   "
            f"(1 x {k})({k} x {n}) + (1 x {n}) -> (1 x {n})"]


def sum_lines(subject: Subject, i: int, unit: int) -> list[str]:
    """Z[unit] = sum_k x[k] W[k, unit] + b[unit]: the largest terms, the rest, the bias.

    As many terms as `_TERMS` have a line each; the others are one sum.
    """
    layer, width = subject.network.layers[i], subject.width
    terms = [(k, value, layer.weights[k, unit]) for k, value in subject.inputs[i]]
    terms.sort(key=lambda term: -abs(term[1] * term[2]))
    rest = [value * weight for _, value, weight in terms[_TERMS:]]
    rows = [["row, column" if i == 0 else "unit", f"A{i}" if i else "X", f"W{i + 1}",
             "product"]]
    for k, value, weight in terms[:_TERMS]:
        place = k if i else f"{k // width}, {k % width}"
        rows.append([place, f"{value:.4f}", f"{weight:.4f}", f"{value * weight:.4f}"])
    if rest:
        rows.append([f"{len(rest)} more", "", "", f"{math.fsum(rest):.4f}"])
    rows += [[f"bias b{i + 1}[{unit}]", "", "", f"{layer.bias[0, unit]:.4f}"],
             [f"Z{i + 1}[{unit}]", "", "", f"{subject.sums[i][unit]:.4f}"]]
    return table(rows)


def _made_of(name: str, outputs: Sequence[float]) -> str:
    """What an activation made of the sums of a layer."""
    units = _counted(len(outputs), "unit")
    if name == "relu":
        off = sum(a <= 0 for a in outputs)
        return (f"max(z, 0) switches off {off} of {units}, whose sums are not above 0; "
                f"{len(outputs) - off} pass theirs on")
    formula, foot = {"sigmoid": ("1 / (1 + e^-z) lies in 0..1", 0.1),
                     "tanh": ("tanh z lies in -1..1", -0.9)}[name]
    low, high = sum(a < foot for a in outputs), sum(a > 0.9 for a in outputs)
    return (f"{formula}: {low} of {units} below {foot}, {high} above 0.9, "
            f"{len(outputs) - low - high} between")


def output_lines(subject: Subject, unit: int | None) -> list[str]:
    """The last layer's sums, the logits; one of them term by term.

    It is that of the answer, or where there is no other layer, of the unit asked for.
    """
    last = subject.depth - 1
    chosen = _ranking(subject)[0] if last or unit is None else unit
    return [*_sum_heading(subject, last),
            f"  {_counted(len(subject.answers), 'logit')}, one for each class; that of "
            f"{subject.names[chosen]}:", "",
            *_indented(sum_lines(subject, last, chosen))]


def _ranking(subject: Subject) -> list[int]:
    """The classes, the one with the largest answer first."""
    return sorted(range(len(subject.answers)), key=lambda j: -subject.answers[j])


def answer_lines(subject: Subject) -> list[str]:
    """How the logits become answers: softmax step by step, or sigmoids."""
    logits, answers = subject.sums[-1], subject.answers
    if subject.letter == "A":
        rows = [["", "Z", "A"], *([name, f"{z:.4f}", _number(a)] for name, z, a in
                                  zip(subject.names, logits, answers))]
        return ["A = sigmoid(Z) = 1 / (1 + e^-Z), each class for itself: the answers "
                "need not sum to 1", "", *_indented(table(rows)),
                f"  sum of A: {math.fsum(answers):.6f}"]
    largest = max(logits)
    powers = [math.exp(z - largest) for z in logits]
    total = math.fsum(powers)
    rows = [["", "Z", "Z - max", "e^(Z - max)", "P"]]
    for name, z, power, p in zip(subject.names, logits, powers, answers):
        rows.append([name, f"{z:.4f}", f"{z - largest:.4f}", _number(power),
                     _number(p)])
    rows.append(["sum", "", "", f"{total:.6f}", f"{math.fsum(answers):.6f}"])
    return ["P = softmax(Z): take the largest off all logits, raise e to each, divide "
            "by the sum", "", *_indented(table(rows))]


def argument_lines(subject: Subject) -> list[str]:
    """Which inputs of the last layer spoke for and against the two best answers, and
    the label where it is neither."""
    best, *others = _ranking(subject)
    what = "units" if subject.depth > 1 else "pixels (counted row by row)"
    lines = [f"Which {what} argued for and against: their terms in the logit's sum"]
    roles = {subject.label: "the label"} if subject.label is not None else {}
    roles.update(zip([best, *others], ["the answer", "the runner-up"]))
    for c in sorted(roles, key=lambda c: -subject.sums[-1][c]):
        lines += _indented(_arguments(subject, c, roles[c]))
    if others:
        rival = others[0]
        margin = subject.sums[-1][best] - subject.sums[-1][rival]
        weights = subject.network.layers[-1].weights
        leads = [(value * (weights[k, best] - weights[k, rival]), k)
                 for k, value in subject.inputs[-1]]
        told = ", ".join(f"{k} ({lead:+.4f})" for lead, k in nlargest(_NAMED, leads))
        lines.append(f"  {subject.names[best]} is ahead of {subject.names[rival]} by "
                     f"{margin:.4f}, above all by {told or 'its bias'}")
    return lines


def _arguments(subject: Subject, c: int, role: str) -> list[str]:
    """Z[c] as all that is for it, all that is against it and the bias."""
    layer, depth = subject.network.layers[-1], subject.depth
    parts = [(value * layer.weights[k, c], k) for k, value in subject.inputs[-1]]
    lines, totals = [], []
    for sign, word in ((1, "for"), (-1, "against")):
        side = [(sign * part, k) for part, k in parts if sign * part > 0]
        totals.append(sign * math.fsum(part for part, _ in side))
        told = ", ".join(f"{k} ({sign * part:+.4f})"
                         for part, k in nlargest(_NAMED, side)) or "none"
        lines.append(f"  {word + ':':8} {len(side)}, above all {told}")
    return [f"{subject.names[c]}, {role}: Z{depth}[{c}] = {totals[0]:.4f} for, "
            f"{totals[1]:.4f} against, {layer.bias[0, c]:+.4f} bias: "
            f"{subject.sums[-1][c]:.4f}", *lines]


# ---------------------------------------------------------------------------
# Backward
# ---------------------------------------------------------------------------

def loss_lines(subject: Subject, loss: float) -> list[str]:
    """How wrong the answers are, for the label that is known."""
    y, name = subject.label, subject.names[subject.label]
    z, answers = subject.sums[-1], subject.answers
    head = f"L, the loss, as the image is labelled {name}"
    if subject.network.loss == "cross-entropy":
        total = math.fsum(math.exp(logit - max(z)) for logit in z)
        return [head, f"  -log P[{y}] = log(sum) - (Z[{y}] - max) = "
                f"log {total:.6f} - ({z[y] - max(z):.4f}) = {loss:.6f}"]
    if subject.network.loss == "bce":
        own = max(-z[y], 0) + math.log1p(math.exp(-abs(z[y])))
        return [head, f"  -log A[{y}] - (sum of log(1 - A[j]) over the others) = "
                f"{own:.6f} + {loss - own:.6f} = {loss:.6f}"]
    own = (answers[y] - 1) ** 2
    return [head, f"  (A[{y}] - 1)^2 + (sum of A[j]^2 over the others) = "
            f"{own:.6f} + {loss - own:.6f} = {loss:.6f}"]


def backward_lines(subject: Subject, gradients: Sequence[Gradient]) -> list[list[str]]:
    """The way back, a part for each step: dZ of the last layer first."""
    parts, depth = [_first_step(subject, list(gradients[-1].delta)[0])], subject.depth
    for i in range(depth - 1, -1, -1):
        delta = list(gradients[i].delta)[0]
        if i < depth - 1:
            parts.append(_through_activation(subject, i, delta))
        parts.append(_weight_gradient(subject, i, delta))
    return parts


def _first_step(subject: Subject, delta: Sequence[float]) -> list[str]:
    """dL/dZ of the last layer: how far each answer is from what it should be."""
    a, last = subject.letter, subject.depth
    formula = f"{a} - Y"
    if subject.network.loss == "mse":
        formula = f"2 ({formula}) {a} (1 - {a})"
    rows = [["", a, "Y", f"dZ{last}"]]
    for j, slope in enumerate(delta):
        rows.append([subject.names[j], _number(subject.answers[j]),
                     int(j == subject.label), _number(slope)])
    return [f"dZ{last} = {formula}   (1 x {len(delta)}), the slope of L; Y is 1 at the "
            "label, else 0", "", *_indented(table(rows))]


def _through_activation(subject: Subject, i: int, delta: Sequence[float]) -> list[str]:
    """dZ of hidden layer i + 1: what each of its sums has to do with the loss."""
    k, n = subject.network.layers[i + 1].weights.shape
    a = f"A{i + 1}"
    slope = {"relu": f"(Z{i + 1} > 0)", "sigmoid": f"{a} (1 - {a})",
             "tanh": f"(1 - {a}^2)"}[subject.network.activation]
    moved = sum(map(bool, delta))
    told = ", ".join(f"{j} ({delta[j]:+.3g})" for j in _largest(delta))
    return [f"d{a} = dZ{i + 2} W{i + 2}^T   (1 x {n})({n} x {k}) -> (1 x {k});   "
            f"dZ{i + 1} = d{a} * {slope}",
            f"  {moved} of {_counted(k, 'unit')} {'gets' if moved == 1 else 'get'} a "
            "share of the blame" + (f", above all {told}" if told else "")]


def _weight_gradient(subject: Subject, i: int, delta: Sequence[float]) -> list[str]:
    """dW = inputs^T dZ of layer i + 1, an outer product, and its largest entries."""
    k, n = subject.network.layers[i].weights.shape
    inputs, letter = subject.inputs[i], f"A{i}" if i else "X"
    number = len(inputs) * sum(map(bool, delta))
    lines = [f"dW{i + 1} = {letter}^T dZ{i + 1}   ({k} x 1)(1 x {n}) -> ({k} x {n}),   "
             f"db{i + 1} = dZ{i + 1}",
             f"  {number:,} of {k * n:,} entries are not 0" + (
                 "; the largest:" if number else "")]
    entries = [(value * delta[j], p, j, value) for p, value in inputs
               for j in _largest(delta)]
    for entry, p, j, value in nlargest(_NAMED, entries, key=lambda one: abs(one[0])):
        place = f"[{p}, {j}]" + ("" if i else f", from pixel {p // subject.width}, "
                                 f"{p % subject.width},")
        lines.append(f"    dW{i + 1}{place} = {value:.4f} x {delta[j]:+.3g} = "
                     f"{entry:+.3g}")
    return lines


def _largest(numbers: Sequence[float]) -> list[int]:
    """The places of the few numbers that are furthest from 0."""
    return nlargest(_NAMED, (j for j, x in enumerate(numbers) if x),
                    key=lambda j: abs(numbers[j]))
