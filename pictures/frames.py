"""Frames around digits: boxes, circles, the lines of a form.

A frame is told by what it surrounds, or, where a digit touches it, by what is left when
its outline is cut off.
"""
from __future__ import annotations

from math import ceil, floor, hypot
from statistics import median_high
from typing import Iterable, Sequence

from pictures.pieces import (Piece, Point, Run, area_of, components_of, edges_of, merge,
                             straightness)


def _is_along_edge(piece: Piece, width: int, height: int) -> bool:
    """Tell if a piece is lines along the picture, left by a cut through a form."""
    near = 0.06 * min(width, height)
    return (max(piece.width / width, piece.height / height) > 0.6 and all(
        y < near or y > height - near or end < near or start > width - near
        for y, start, end in piece.runs))


def _surrounds(frame: Piece, piece: Piece, width: int, height: int) -> bool:
    """Tell if there is ink of `frame` on all four sides of most of `piece`.

    Where the frame is cut off by the picture's edge, that edge stands for its side.
    """
    if piece.overlap(frame) != (piece.width, piece.height):
        return False
    left, right, above, below = set(), set(), set(), set()
    for y, start, end in frame.runs:
        if piece.top <= y < piece.bottom:
            if end <= piece.left:
                left.add(y)
            if start >= piece.right:
                right.add(y)
        columns = range(max(start, piece.left), min(end, piece.right))
        if y < piece.top:
            above.update(columns)
        if y >= piece.bottom:
            below.update(columns)
    rows, columns = 0.75 * piece.height, 0.75 * piece.width
    return ((len(left) > rows or frame.left == 0)
            and (len(right) > rows or frame.right == width)
            and (len(above) > columns or frame.top == 0)
            and (len(below) > columns or frame.bottom == height))


def _inside(runs: Iterable[Run], hull: Sequence[Point], depth: float) -> list[Run]:
    """Return what of the runs is farther than `depth` from all edges of a hull.

    Inside of the edge from (x0, y0) to (x1, y1) the distance of (x, y) is

        (across (y - y0) - down (x - x0)) / length,   across = x1 - x0, down = y1 - y0

    which bounds x in each row: from above where down > 0, from below where it is < 0.
    """
    result = []
    for y, start, end in runs:
        low, high = float(start), float(end)
        for (x0, y0), (x1, y1) in edges_of(hull):
            across, down = x1 - x0, y1 - y0
            bound = across * (y + 0.5 - y0) - depth * hypot(across, down)
            if down > 0:
                high = min(high, x0 + bound / down)
            elif down < 0:
                low = max(low, x0 + bound / down)
            elif bound < 0:
                high = low
        if floor(high) > ceil(low):
            result.append((y, ceil(low), floor(high)))
    return result


def _peeled(frame: Piece, hull: Sequence[Point], width: int, height: int
            ) -> list[Piece]:
    """Return what a piece leaves when its outline, if straight all around, is cut off.

    `hull` is that of the piece; [] for other outlines.  The lines are as thick as the
    median row's first run, and may miss the hull by 3 % of the frame; what does not get
    three times as far from it, or goes from side to side as between two boxes, is a
    part of the frame.  ValueError where a digit is left that goes from side to side.
    """
    if straightness(hull, width, height) < 0.8 or any(
            sum(end - start for start, end in piece.spans().values())
            < 0.92 * area_of(hull) for piece in (frame, frame.transposed())):
        return []
    firsts = {y: end - start for y, start, end in reversed(frame.runs)}
    depth = (1.5 * median_high(firsts.values()) + 2
             + 0.03 * min(frame.width, frame.height))
    kept = []
    for piece in components_of(_inside(frame.runs, hull, depth)):
        if 50 * piece.area < frame.area or not _inside(piece.runs, hull, 3 * depth):
            continue
        deeper = Piece.of(_inside(piece.runs, hull, depth + 2))
        if piece.top < deeper.top and deeper.bottom < piece.bottom:
            if piece.width < 2 * depth:
                continue
            if len(piece.runs) < 4 * piece.height:      # no tangle
                raise ValueError("a digit that touches its frame above and below")
        kept.append(piece)
    return kept


def drop_frames(pieces: Sequence[Piece], width: int, height: int) -> list[Piece]:
    """Return the pieces without the frames in a picture of this size.

    A frame is one piece, or all that others do not surround.  It surrounds something,
    or leaves something when its outline is cut off, that is a fifth as high as it is;
    and it is as wide as high, or fuller than an ellipse (pi / 4 = 0.785 of its box): a
    slash in a zero that does not touch it is no digit in a frame.
    """
    kept = [p for p in pieces if not _is_along_edge(p, width, height)] or list(pieces)
    outer = [piece for piece in kept if len(kept) == 1 or not _surrounds(
        merge(p for p in kept if p is not piece), piece, width, height)]
    candidates = [[piece] for piece in kept]
    if len(outer) > 1:
        candidates.append(outer)
    for lines in candidates:
        if not all(piece in kept for piece in lines):
            continue
        frame = merge(lines)
        hull = frame.hull()
        if (area_of(hull) < 0.82 * frame.width * frame.height
                and not 0.8 < frame.width / frame.height < 1.25):
            continue
        others = [piece for piece in kept if piece not in lines]
        left = _peeled(frame, hull, width, height)
        inside = left + [p for p in others if _surrounds(frame, p, width, height)]
        if any(5 * piece.height > frame.height for piece in inside):
            kept = others + left
    return kept
