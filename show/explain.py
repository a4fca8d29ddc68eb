"""The forward and backward pass of one image, in numbers and shapes.

All numbers are the network's own.  Sums are written out as their largest terms, the sum
of the other terms, and the bias, so that they can be added up again.  Names are those
of `network`; with one image m = 1, so X is (1 x 784), Z1 (1 x 128) and so on.
"""
from __future__ import annotations

import math
from heapq import nlargest
from typing import Iterator, NamedTuple, Sequence

from engine.sparse import SparseMatrix
from my_math import argmax
from network import LOSSES, Gradient, Network
from show.text import counted, table

_TERMS = 8          # terms of a sum that have a line each
_NAMED = 3          # units, or entries of a gradient, that are told by number


class Pass(NamedTuple):
    """An image and all that a network computes from it."""

    network: Network
    image: bytes
    width: int                          # pixels in a row of the image
    levels: int                         # grey levels that it is rounded to
    names: Sequence[str]                # of the classes
    label: int | None                   # None where it is not known
    inputs: list[dict[int, float]]      # of each layer: {place: number}, without zeros
    sums: list[list[float]]             # of each layer: Z1, Z2, ...
    outputs: list[float]                # of the last layer
    letter: str                         # P for outputs that sum to 1, else A


# --- Words and numbers

def _number(x: float) -> str:
    """Return six decimals, or two digits and a power of ten where those would hide it.

    >>> _number(0.25), _number(-0.0000031), _number(0.0)
    ('0.250000', '-3.1e-06', '0.000000')
    """
    return f"{x:.1e}" if 0 < abs(x) < 1e-4 else f"{x:.6f}"


def _listed(numbers: dict[int, float], form: str, otherwise: str) -> str:
    """Return the few largest in words, "7 (+0.3), 2 (+0.1)", or what else to say."""
    return ", ".join(f"{k} ({numbers[k]:{form}})" for k in nlargest(
        _NAMED, numbers, key=lambda k: abs(numbers[k]))) or otherwise


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}".rstrip() for line in lines]


# --- Forward

def image_lines(run: Pass) -> list[str]:
    """Return how many pixels of the image have ink, and in which greys."""
    pixels, ink = len(run.image), list(run.inputs[0].values())
    faint = pixels - run.image.count(0) - len(ink)
    lines = [f"X, the image: {pixels // run.width} x {run.width} pixels, one after the "
             f"other (1 x {pixels}); 0 is paper, 1 full ink",
             f"  {counted(len(ink), 'pixel')} of {pixels} ({len(ink) / pixels:.1%}) "
             f"{'has' if len(ink) == 1 else 'have'} ink, {math.fsum(ink):.2f} in all"]
    if faint:
        lines.append(f"  {counted(faint, 'pixel')} more, too faint, became 0 in "
                     f"rounding to {run.levels} grey levels")
    greys = sorted(set(ink))
    if 0 < len(greys) <= 16:
        counts = [pixels - len(ink), *map(ink.count, greys)]
        lines += _indented(table([["grey", *(f"{grey:.2f}" for grey in [0, *greys])],
                                  ["pixels", *counts]]))
    elif greys:
        lines.append(f"  {len(greys)} different greys from {greys[0]:.4f} to "
                     f"{greys[-1]:.4f}, {math.fsum(ink) / len(ink):.4f} in the mean")
    return lines


def _inputs(i: int) -> str:
    """Return the name of what goes into layer i + 1."""
    return f"A{i}" if i else "X"


def sum_lines(run: Pass, i: int, unit: int) -> list[str]:
    """Return Z[unit] = sum_k x[k] W[k, unit] + b[unit] of layer i + 1, term by term."""
    layer, inputs = run.network.layers[i], run.inputs[i]
    products = {k: value * layer.weights[k, unit] for k, value in inputs.items()}
    order = sorted(products, key=lambda k: -abs(products[k]))
    rows = [["unit" if i else "row, column", _inputs(i), f"W{i + 1}", "product"]]
    for k in order[:_TERMS]:
        place = k if i else f"{k // run.width}, {k % run.width}"
        rows.append([place, f"{inputs[k]:.4f}", f"{layer.weights[k, unit]:.4f}",
                     f"{products[k]:.4f}"])
    if others := [products[k] for k in order[_TERMS:]]:
        rows.append([f"{len(others)} more", "", "", f"{math.fsum(others):.4f}"])
    rows += [[f"bias b{i + 1}[{unit}]", "", "", f"{layer.bias[0, unit]:.4f}"],
             [f"Z{i + 1}[{unit}]", "", "", f"{run.sums[i][unit]:.4f}"]]
    return table(rows)


def _spread(name: str, outputs: Sequence[float]) -> str:
    """Return how many outputs of an activation are low, high and between, in words."""
    units = counted(len(outputs), "unit")
    if name == "relu":
        off = sum(a <= 0 for a in outputs)
        return (f"max(z, 0) switches off {off} of {units}, whose sums are not above 0; "
                f"{len(outputs) - off} pass theirs on")
    formula, foot = {"sigmoid": ("1 / (1 + e^-z) lies in 0..1", 0.1),
                     "tanh": ("tanh z lies in -1..1", -0.9)}[name]
    low, high = sum(a < foot for a in outputs), sum(a > 0.9 for a in outputs)
    return (f"{formula}: {low} of {units} below {foot}, {high} above 0.9, "
            f"{len(outputs) - low - high} between")


def layer_lines(run: Pass, i: int, unit: int | None) -> list[str]:
    """Return the sums of layer i + 1, one of them term by term: that of a unit, or of
    the one with the largest output.  Of a hidden layer, A as well."""
    sums, is_last = run.sums[i], i == len(run.sums) - 1
    outputs = (run.outputs if is_last else
               [run.inputs[i + 1].get(j, 0.0) for j in range(len(sums))])
    why = "the most active one" if unit is None else "as asked"
    chosen = argmax(list(map(abs, outputs))) if unit is None else unit
    k, n = run.network.layers[i].weights.shape
    lines = [f"Z{i + 1} = {_inputs(i)} W{i + 1} + b{i + 1}   "
             f"(1 x {k})({k} x {n}) + (1 x {n}) -> (1 x {n})",
             f"  {counted(n, 'logit')}, one for each class; that of "
             f"{run.names[chosen]}:" if is_last else
             f"  {counted(n, 'sum')} from {min(sums):.4f} to {max(sums):.4f}; that of "
             f"unit {chosen}, {why}:", "", *_indented(sum_lines(run, i, chosen))]
    if is_last:
        return lines
    name = run.network.activation
    return [*lines, "", f"A{i + 1} = {name}(Z{i + 1})   (1 x {n})",
            f"  {_spread(name, outputs)}", f"  A{i + 1}[{chosen}] = "
            f"{name}({sums[chosen]:.4f}) = {outputs[chosen]:.4f}"]


def output_lines(run: Pass) -> list[str]:
    """Return how the logits become outputs: softmax step by step, or sigmoids."""
    logits, outputs = run.sums[-1], run.outputs
    if run.letter == "A":
        rows = [["", "Z", "A"], *([name, f"{z:.4f}", _number(a)] for name, z, a in
                                  zip(run.names, logits, outputs))]
        return ["A = sigmoid(Z) = 1 / (1 + e^-Z), each class for itself: they need not "
                "sum to 1", "", *_indented(table(rows)),
                f"  sum of A: {math.fsum(outputs):.6f}"]
    largest = max(logits)
    powers = [math.exp(z - largest) for z in logits]
    rows = [["", "Z", "Z - max", "e^(Z - max)", "P"],
            *([name, f"{z:.4f}", f"{z - largest:.4f}", _number(power), _number(p)]
              for name, z, power, p in zip(run.names, logits, powers, outputs)),
            ["sum", "", "", *(f"{math.fsum(x):.6f}" for x in (powers, outputs))]]
    return ["P = softmax(Z): take the largest off all logits, raise e to each, divide "
            "by the sum", "", *_indented(table(rows))]


def argument_lines(run: Pass) -> list[str]:
    """Return the inputs of the last layer for and against the two best classes, and
    the label where it is neither."""
    best, *others = sorted(range(len(run.names)), key=lambda c: -run.outputs[c])
    what = "units" if len(run.sums) > 1 else "pixels (counted row by row)"
    lines = [f"The {what} for and against a class: their terms in the logit's sum"]
    roles = {run.label: "the label"} if run.label is not None else {}
    roles.update(zip([best, *others], ["the answer", "the runner-up"]))
    for c in sorted(roles, key=lambda c: -run.sums[-1][c]):
        lines += _indented(_arguments(run, c, roles[c]))
    if others:
        rival, weights = others[0], run.network.layers[-1].weights
        leads = {k: value * (weights[k, best] - weights[k, rival])
                 for k, value in run.inputs[-1].items()}
        told = _listed({k: x for k, x in leads.items() if x > 0}, "+.4f", "its bias")
        lines.append(f"  {run.names[best]} is ahead of {run.names[rival]} by "
                     f"{run.sums[-1][best] - run.sums[-1][rival]:.4f}, above all by "
                     f"{told}")
    return lines


def _arguments(run: Pass, c: int, role: str) -> Iterator[str]:
    """Yield Z[c] as the sum of all that is for it, all that is against it, the bias."""
    layer = run.network.layers[-1]
    terms = {k: value * layer.weights[k, c] for k, value in run.inputs[-1].items()}
    pros = {k: term for k, term in terms.items() if term > 0}
    cons = {k: term for k, term in terms.items() if term < 0}
    plus, minus = math.fsum(pros.values()), math.fsum(cons.values())
    yield (f"{run.names[c]}, {role}: Z{len(run.sums)}[{c}] = {plus:.4f} for, "
           f"{minus:.4f} against, {layer.bias[0, c]:+.4f} bias: {run.sums[-1][c]:.4f}")
    for word, side in (("for:", pros), ("against:", cons)):
        yield f"  {word:8} {len(side)}, above all {_listed(side, '+.4f', 'none')}"


# --- Backward

def loss_lines(run: Pass, loss: float) -> list[str]:
    """Return the loss as the sum of its terms, for the label that is known."""
    y, z = run.label, run.sums[-1]
    head = f"L, the loss, as the image is labelled {run.names[y]}"
    if run.network.loss == "cross-entropy":
        total = math.fsum(math.exp(logit - max(z)) for logit in z)
        return [head, f"  -log P[{y}] = log(sum) - (Z[{y}] - max) = "
                f"log {total:.6f} - ({z[y] - max(z):.4f}) = {loss:.6f}"]
    if run.network.loss == "bce":
        own = max(-z[y], 0) + math.log1p(math.exp(-abs(z[y])))
        formula = f"-log A[{y}] - (sum of log(1 - A[j]) over the others)"
    else:
        own = (run.outputs[y] - 1) ** 2
        formula = f"(A[{y}] - 1)^2 + (sum of A[j]^2 over the others)"
    return [head, f"  {formula} = {own:.6f} + {loss - own:.6f} = {loss:.6f}"]


def backward_lines(run: Pass, gradients: Sequence[Gradient]) -> list[list[str]]:
    """Return a part for each step of the backward pass: dZ of the last layer first."""
    parts = [_output_gradient(run, list(gradients[-1].delta)[0])]
    for i in range(len(run.sums) - 1, -1, -1):
        delta = list(gradients[i].delta)[0]
        if i < len(run.sums) - 1:
            parts.append(_through_activation(run, i, delta))
        parts.append(_weight_gradient(run, i, delta))
    return parts


def _output_gradient(run: Pass, delta: Sequence[float]) -> list[str]:
    """Return dL/dZ of the last layer: how far each output is from its target."""
    a, last = run.letter, len(run.sums)
    formula = f"{a} - Y"
    if run.network.loss == "mse":
        formula = f"2 ({formula}) {a} (1 - {a})"
    rows = [["", a, "Y", f"dZ{last}"],
            *([run.names[j], _number(run.outputs[j]), int(j == run.label), _number(x)]
              for j, x in enumerate(delta))]
    return [f"dZ{last} = {formula}   (1 x {len(delta)}), the slope of L; Y is 1 at the "
            "label, else 0", "", *_indented(table(rows))]


def _through_activation(run: Pass, i: int, delta: Sequence[float]) -> list[str]:
    """Return dZ of hidden layer i + 1, by the chain rule."""
    k, n = run.network.layers[i + 1].weights.shape
    a = f"A{i + 1}"
    slope = {"relu": f"(Z{i + 1} > 0)", "sigmoid": f"{a} (1 - {a})",
             "tanh": f"(1 - {a}^2)"}[run.network.activation]
    moved = {j: x for j, x in enumerate(delta) if x}
    return [f"d{a} = dZ{i + 2} W{i + 2}^T   (1 x {n})({n} x {k}) -> (1 x {k});   "
            f"dZ{i + 1} = d{a} * {slope}",
            f"  {len(moved)} of {counted(k, 'unit')} get{'s' * (len(moved) == 1)} a "
            "share of the blame"
            + f", above all {_listed(moved, '+.3g', '')}" * bool(moved)]


def _weight_gradient(run: Pass, i: int, delta: Sequence[float]) -> list[str]:
    """Return dW = inputs^T dZ of layer i + 1, an outer product: its largest entries."""
    k, n = run.network.layers[i].weights.shape
    inputs = run.inputs[i]
    number = len(inputs) * sum(map(bool, delta))
    lines = [f"dW{i + 1} = {_inputs(i)}^T dZ{i + 1}   ({k} x 1)(1 x {n}) -> "
             f"({k} x {n}),   db{i + 1} = dZ{i + 1}",
             f"  {number:,} of {k * n:,} entries are not 0"
             + "; the largest:" * bool(number)]
    steepest = nlargest(_NAMED, range(n), key=lambda j: abs(delta[j]))
    for p, j in nlargest(_NAMED, ((p, j) for p in inputs for j in steepest if delta[j]),
                         key=lambda place: abs(inputs[place[0]] * delta[place[1]])):
        pixel = "" if i else f", from pixel {p // run.width}, {p % run.width},"
        lines.append(f"    dW{i + 1}[{p}, {j}]{pixel} = {inputs[p]:.4f} x "
                     f"{delta[j]:+.3g} = {inputs[p] * delta[j]:+.3g}")
    return lines


# --- All of it

def explain(network: Network, image: bytes, width: int, levels: int,
            names: Sequence[str], label: int | None = None, unit: int | None = None
            ) -> list[str]:
    """Return lines on the forward pass and, with a label, on the backward pass.

    `unit` is the unit of the first layer whose sum is written out; the most active one
    unless given.  Raises IndexError where there is no such unit.
    """
    x = SparseMatrix.from_images([image], levels)
    trace = network.forward(x)
    inputs = [{k: value for k, value in enumerate(matrix.to_matrix()[0]) if value}
              for matrix in trace.inputs]
    run = Pass(network, image, width, levels, names, label, inputs,
               [matrix.to_matrix()[0] for matrix in trace.sums],
               LOSSES[network.loss].outputs(trace.logits)[0],
               "P" if network.loss == "cross-entropy" else "A")
    units = len(run.sums[0])
    if unit is not None and not 0 <= unit < units:
        raise IndexError(f"unit {unit} of {units}, counted from 0")
    parts = [image_lines(run), *(layer_lines(run, i, None if i else unit)
                                 for i in range(len(run.sums))),
             output_lines(run), argument_lines(run)]
    if label is None:
        parts.append(["Without a label there is no loss and no gradient."])
    else:
        loss, gradients = network.loss_and_gradients(x, [label])
        parts += [loss_lines(run, loss), *backward_lines(run, gradients)]
    return "\n\n".join("\n".join(part) for part in parts).splitlines()
