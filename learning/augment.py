"""Augmentation: each image is sent through a random map, so that none comes twice.

A map has, for each pixel of the new image, the number of the pixel of the old one that
goes there; the number after the last pixel stands for a blank one (0).
"""
from __future__ import annotations

import math
from functools import lru_cache
from itertools import chain
from random import Random
from typing import Any, Callable, Sequence

from engine.layers import Ink
from engine.portable import cos, exp
from my_math import Matrix, matmul_by_four, transpose

Map = list[int]


def gather(sources: Map) -> Callable[[bytes], bytes]:
    """Return a function that makes the image whose pixel k is pixel sources[k].

    >>> list(gather([2, 3, 0])(bytes([10, 20, 30])))
    [30, 0, 10]
    """
    return lambda image: bytes(map((image + b"\0").__getitem__, sources))


@lru_cache(maxsize=1 << 14)
def _same(places: tuple) -> tuple:
    """Return the first tuple that was equal to this one."""
    return places


def scatter(sources: Map, pixels: slice = slice(None)) -> Callable[[Ink], Ink]:
    """Return a function that does the same to the ink of an image: each of its pixels
    goes to the new ones that it is the source of.

    An image has 130 pixels of ink among its 784.  `pixels` are the new ones that are
    made, all or a worker's, and counted from 0 in the result.  500 maps have 400,000
    tuples of such targets, but only a few thousand different ones: as one object each
    they stay in the processor's cache, and that makes all of this twice as fast.

    >>> scatter([2, 3, 0])([(9, [2]), (5, [0, 1])])
    [(9, [0]), (5, [2])]
    """
    lists: list[list[int]] = [[] for _ in range(len(sources) + 1)]
    for place, source in enumerate(sources[pixels]):
        lists[source].append(place)
    targets = [_same(tuple(places)) for places in lists[:-1]]       # no ink is blank

    def scattered(ink: Ink) -> Ink:
        """Return the ink of the new image."""
        moved = [(level, list(chain.from_iterable(map(targets.__getitem__, places))))
                 for level, places in ink]
        return [(level, places) for level, places in moved if places]
    return scattered


class RandomWarp:
    """Sends each image through one of several warps, chosen at random."""

    def __init__(self, warps: Sequence[Callable], rng: Random) -> None:
        """A warp is a function of an image, made of a map."""
        self._warps, self._rng = warps, rng

    def __call__(self, image: Any) -> Any:
        return self._warps[int(self._rng.random() * len(self._warps))](image)


def shift_map(height: int, width: int, down: int, right: int) -> Map:
    """Return the map that moves an image; what leaves it is lost, what comes in blank.

    >>> shift_map(2, 3, down=0, right=1)    # 6 stands for a blank pixel
    [6, 0, 1, 6, 3, 4]
    """
    return [y * width + x if 0 <= y < height and 0 <= x < width else height * width
            for y in range(-down, height - down) for x in range(-right, width - right)]


def shift_maps(height: int, width: int) -> list[Map]:
    """Return the maps that move an image by -1, 0 or 1 pixels down and across."""
    return [shift_map(height, width, down, right)
            for down in (-1, 0, 1) for right in (-1, 0, 1)]


_SIGMA = 3.0        # pixels over which an elastic distortion is smooth


def _grid_points(count: int) -> int:
    """Return the points of a grid over `count` pixels and a little beyond."""
    return math.ceil(count / _SIGMA) + 5


def _smooth_field(height: int, width: int, rng: Random, size: float
                  ) -> list[list[float]]:
    """Return smooth normal numbers of deviation `size`.

    Normal numbers on a coarse grid are blurred along both axes: G N G^T, each row of G
    a Gaussian bell of length 1.
    """
    if not size:
        return [[0.0] * width] * height
    down, across = _bells(height), _bells(width)
    grid = list(Matrix.random_normal(len(down[0]), len(across[0]), rng, size))
    # This kernel adds floats one by one in the same order in every Python.
    return matmul_by_four(matmul_by_four(down, grid), transpose(across))


@lru_cache(maxsize=None)
def _bells(count: int) -> list[list[float]]:
    """G[i][k] ~ exp(-(i - x_k)^2 / 2 sigma^2) for grid points x_k sigma apart, with
    sum_k G[i][k]^2 = 1."""
    points = [_SIGMA * k - 2 * _SIGMA for k in range(_grid_points(count))]
    rows = [[exp(-(i - x) * (i - x) / (2 * _SIGMA * _SIGMA)) for x in points]
            for i in range(count)]
    return [[g / math.sqrt(math.fsum(h * h for h in row)) for g in row] for row in rows]


def affine_map(height: int, width: int, rng: Random, strength: float = 1.0,
               bend: float = 0.0) -> Map:
    """Return a random map that rotates, scales, shears and moves an image a little:
    source = A (pixel - middle) + offset + bending.

    By up to 12 degrees, 10 %, 0.1 and 1 pixel, all uniformly distributed, and times
    `strength`; `bend` is the root mean square, in pixels, of an elastic distortion
    (Simard, Steinkraus and Platt 2003).  A new pixel takes the nearest old one.
    """
    def even(reach: float) -> float:
        """Return a number uniformly distributed in -reach..reach, times strength."""
        return (2 * rng.random() - 1) * reach * strength

    angle, scale, slant = even(math.pi / 15), 1 + even(0.1), even(0.1)
    cosine, sine = scale * cos(angle), scale * cos(angle - math.pi / 2)
    to_x, to_y = width / 2 + even(1), height / 2 + even(1)
    bend_x, bend_y = (_smooth_field(height, width, rng, bend * strength)
                      for _ in "xy")
    sources = []
    for i in range(height):
        y = i - (height - 1) / 2
        for j in range(width):
            x = j - (width - 1) / 2 + slant * y
            column = math.floor(cosine * x - sine * y + to_x + bend_x[i][j])
            row = math.floor(sine * x + cosine * y + to_y + bend_y[i][j])
            inside = 0 <= row < height and 0 <= column < width
            sources.append(row * width + column if inside else height * width)
    return sources


def work_of_a_map(height: int, width: int, bent: bool) -> int:
    """Return about how many multiplications an affine map of an image takes.

    A pixel counts for 20; bending is two fields, each a product of three matrices.

    >>> work_of_a_map(28, 28, bent=False), work_of_a_map(28, 28, bent=True)
    (15680, 51800)
    """
    down, across = _grid_points(height), _grid_points(width)
    field = height * down * across + height * across * width
    return 20 * height * width + 2 * field * bent
