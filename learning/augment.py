"""Augmentation: each image is sent through a random map, so that none comes twice.

A map has, for each pixel of the new image, the number of the pixel of the old one that
goes there; the number after the last pixel stands for a blank one (0).
"""
from __future__ import annotations

import math
from functools import lru_cache
from operator import itemgetter
from random import Random
from typing import Callable, Sequence

from engine.portable import cos, exp
from my_math import Matrix, matmul_by_four, transpose

Map = list[int]


def gather(sources: Map) -> Callable[[bytes], bytes]:
    """Return a function that makes the image whose pixel k is pixel sources[k].

    `bytes.translate` looks all pixels up in one call, but in a table of 256: so 255
    pixels of the old image and a 0 make one table, and the results are joined by "or".
    Measured: 5 us an image of 784 with CPython 3.11, where `itemgetter` takes 14 and a
    comprehension 27; from some 3,000 pixels on, with a dozen tables, `itemgetter` is
    faster.

    >>> list(gather([2, 3, 0])(bytes([10, 20, 30])))
    [30, 0, 10]
    """
    if len(sources) > 3000:
        pick = itemgetter(*sources)
        return lambda image: bytes(pick(image + b"\0"))
    parts, last, number = [], max(sources, default=0), int.from_bytes
    for start in range(0, last + 1, 255):
        part = bytes(source - start if 0 <= source - start < 255 else 255
                     for source in sources)
        if part.count(255) < len(part):
            parts.append((start, part))

    def gathered(image: bytes) -> bytes:
        """Return the new image."""
        if last > len(image):
            raise IndexError(f"pixel {last} of an image of {len(image)}")
        total = 0
        for start, part in parts:
            table = image[start:start + 255].ljust(256, b"\0")
            total |= number(part.translate(table), "little")
        return total.to_bytes(len(sources), "little")
    return gathered


class RandomGather:
    """Sends each image through one of several maps, chosen at random."""

    def __init__(self, maps: Sequence[Map], rng: Random, pixels: slice = slice(None)
                 ) -> None:
        """`pixels` are the ones of the new image that are made: all, or a worker's."""
        self._rng, self._gathers = rng, [gather(sources[pixels]) for sources in maps]

    def __call__(self, image: bytes) -> bytes:
        return self._gathers[int(self._rng.random() * len(self._gathers))](image)


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
