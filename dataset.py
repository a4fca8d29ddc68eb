"""A set of small grey images with their labels: parts, shuffles, batches, augmentation.

Images stay in one `bytes` object (47 MB for MNIST) until `Dataset.batches` turns a few
of them at a time into a SparseMatrix.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Callable, Iterator, Sequence

from my_math import SparseMatrix

_DIGITS = tuple("0123456789")


# --- The data set ---------------------------------------------------------------------


class Dataset:
    """n grey images of height x width pixels with a label each.

    `images` is one bytes object of n * height * width pixels, `labels` one of n bytes;
    `class_names[label]` is a label's name, and there are `class_count` of them.
    Raises ValueError where the sizes do not agree.

    >>> tiny = Dataset("tiny", b"abcdef", bytes([1, 0, 3]), height=1, width=2)
    >>> len(tiny), tiny.image(1), tiny.label(2)
    (3, b'cd', 3)
    >>> train, validation = tiny.split(1)
    >>> train.images, validation.images
    (b'abcd', b'ef')
    """

    def __init__(self, name: str, images: bytes, labels: bytes, height: int, width: int,
                 class_names: Sequence[str] = _DIGITS) -> None:
        if len(images) != len(labels) * height * width:
            raise ValueError(f"{len(images)} pixels are not {len(labels)} images "
                             f"of {height} x {width}")
        self.name, self.images, self.labels = name, images, labels
        self.height, self.width = height, width
        self.class_names, self.class_count = list(class_names), len(class_names)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return (f"<Dataset {self.name}: {len(self)} images of {self.height} x "
                f"{self.width}, {self.class_count} classes>")

    def image(self, index: int) -> bytes:
        """The pixels of one image, row by row.  Raises IndexError outside 0..n-1."""
        if not 0 <= index < len(self.labels):
            raise IndexError(f"image {index} of {len(self)}, counted from 0")
        size = self.height * self.width
        return self.images[index * size:(index + 1) * size]

    def label(self, index: int) -> int:
        """The label of one image.  Raises IndexError outside 0..n-1."""
        if not 0 <= index < len(self.labels):
            raise IndexError(f"label {index} of {len(self)}, counted from 0")
        return self.labels[index]

    def _part(self, start: int, stop: int) -> Dataset:
        size = self.height * self.width
        images, labels = self.images[start * size:stop * size], self.labels[start:stop]
        return Dataset(self.name, images, labels, self.height, self.width,
                       self.class_names)

    def head(self, count: int) -> Dataset:
        """The first `count` images, or all where there are fewer."""
        if count < 1:
            raise ValueError(f"cannot take the first {count} images: 1 is the least")
        return self._part(0, min(count, len(self)))

    def split(self, count: int) -> tuple[Dataset, Dataset]:
        """All but the last `count` images, to train on, and those, to validate on."""
        if not 0 < count < len(self):
            raise ValueError(f"cannot hold out {count} of {len(self)} images")
        border = len(self) - count
        return self._part(0, border), self._part(border, len(self))

    def order(self, rng) -> list[int]:
        """0..n-1 shuffled (Fisher and Yates): every permutation is equally likely.

        `rng.shuffle` would do the same, but only the numbers of `rng.random()` are
        promised to be the same in every version of Python.
        """
        order = list(range(len(self)))
        for last in range(len(order) - 1, 0, -1):
            chosen = int(rng.random() * (last + 1))
            order[last], order[chosen] = order[chosen], order[last]
        return order

    def batches(self, size: int, order: Sequence[int] | None = None,
                augment: Callable[[bytes], bytes] | None = None,
                ) -> Iterator[tuple[SparseMatrix, list[int]]]:
        """Yield (X, labels), X a SparseMatrix of size x (height * width), pixels / 255.

        The images come in the given order, else as they are stored, and each goes
        through `augment` first.  The last batch has what is left.
        """
        if size < 1:
            raise ValueError(f"cannot make batches of {size} images: 1 is the least")
        order = range(len(self)) if order is None else order
        for start in range(0, len(order), size):
            chosen = order[start:start + size]
            images = [self.image(index) for index in chosen]
            if augment is not None:
                images = [augment(image) for image in images]
            yield SparseMatrix.from_images(images), [self.labels[i] for i in chosen]


# --- Augmentation ---------------------------------------------------------------------


class RandomGather:
    """Send each image through one of several maps, chosen at random.

    A map says for each pixel of the new image which pixel of the old one to take; the
    number after the last pixel stands for paper (0).  `itemgetter` then moves all 784
    pixels in one call: 14 us an image, where a comprehension takes 27.

    >>> import random
    >>> mirrored = RandomGather([[2, 1, 0]], random.Random(1))
    >>> list(mirrored(bytes([10, 20, 30])))
    [30, 20, 10]
    """

    def __init__(self, maps: Sequence[Sequence[int]], rng) -> None:
        if not maps or any(len(sources) < 2 for sources in maps):
            raise ValueError("needs at least one map, and two pixels in each")
        self._rng = rng
        self._getters = [None if list(sources) == list(range(len(sources)))
                         else itemgetter(*sources) for sources in maps]

    def __call__(self, image: bytes) -> bytes:
        getter = self._getters[int(self._rng.random() * len(self._getters))]
        return image if getter is None else bytes(getter(image + b"\0"))


def shift_map(height: int, width: int, down: int, right: int) -> list[int]:
    """The map that moves an image; what leaves it is lost, what comes in is paper.

    >>> shift_map(2, 3, down=0, right=1)    # 6 stands for paper
    [6, 0, 1, 6, 3, 4]
    """
    return [y * width + x if 0 <= y < height and 0 <= x < width else height * width
            for y in range(-down, height - down) for x in range(-right, width - right)]


def shift_augmentation(height: int, width: int, reach: int, rng) -> RandomGather:
    """Move each image at random by -reach..reach pixels, up or down, left or right."""
    if reach < 0:
        raise ValueError(f"cannot move images by up to {reach} pixels")
    offsets = range(-reach, reach + 1)
    return RandomGather([shift_map(height, width, down, right)
                         for down in offsets for right in offsets], rng)
