"""Data sets in batches, and the maps of the augmentation."""
import math
import random

import pytest

from data_loader import Dataset
from engine.layers import InkTable, Quantizer
from learning.augment import (RandomWarp, affine_map, gather, scatter, shift_map,
                              shift_maps)

# --- data sets and batches


def small(count=11):
    pixels = bytes((7 * i) % 251 for i in range(6 * count))
    return Dataset("small", pixels, bytes(i % 10 for i in range(count)), 2, 3,
                   "abcdefghij")


def test_parts_of_a_data_set_have_its_images_and_labels():
    data = small()
    first, last = data.split(3)
    assert data.head(4).images == data.images[:24] and len(data.head(99)) == 11
    assert data.head(4).labels == data.labels[:4] and (len(first), len(last)) == (8, 3)
    assert first.images + last.images == data.images
    assert first.labels + last.labels == data.labels
    assert (last.labels[0], last.image(2)) == (data.labels[8], data.image(10))
    some = data.pick([2, 0, 2])
    assert some.labels == bytes([2, 0, 2]) and some.images == b"".join(
        map(data.image, [2, 0, 2]))
    for part in (first, data.head(1), some):
        assert (part.name, part.height, part.width) == ("small", 2, 3)
        assert part.class_names == data.class_names


@pytest.mark.parametrize("make, error, words", [
    (lambda data: data.pick([0, 11]), IndexError, "11"),
    (lambda data: list(data.batches(2, [-1])), IndexError, "-1 of 11"),
    (lambda data: data.head(0), ValueError, "0"),
    (lambda data: data.split(11), ValueError, "11 of 11"),
    (lambda data: next(data.batches(0)), ValueError, "batches of 0 images"),
    (lambda data: next(data.batches(1, levels=257)), ValueError, "257 grey levels"),
    (lambda data: Dataset("wrong", bytes(5), bytes(1), 2, 3), ValueError,
     "5 pixels are not 1 images of 2 x 3")])
def test_what_a_data_set_does_not_have_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make(small())


def test_the_order_is_a_permutation_that_nothing_but_random_decides():
    """Frozen; random.shuffle(x, rng.random) of Python 3.9 gave the same."""
    assert small(10).order(random.Random(1)) == [8, 0, 3, 4, 5, 2, 9, 6, 7, 1]
    rng, counts = random.Random(2), {}
    for _ in range(6000):
        key = tuple(small(3).order(rng))
        counts[key] = counts.get(key, 0) + 1
    assert len(counts) == 6 and all(880 < count < 1120 for count in counts.values())


@pytest.mark.parametrize("size", [1, 3, 11, 50])
def test_batches_cover_every_image_once(size):
    data, order = small(), small().order(random.Random(3))
    for chosen, turn in ((None, None), (order, None),
                         (order[:7], lambda image: image[::-1])):
        images, labels, sizes = [], [], []
        for sparse, batch_labels in data.batches(size, chosen, turn):
            images += [bytes(round(255 * x) for x in row) for row in sparse.to_matrix()]
            labels += batch_labels
            sizes.append(len(batch_labels))
            assert sparse.shape == (len(batch_labels), 6)
        indices = range(11) if chosen is None else chosen
        wanted = map(data.image, indices)
        assert images == list(map(turn, wanted) if turn else wanted)
        assert labels == [data.labels[i] for i in indices]
        assert set(sizes[:-1]) <= {size} and 0 < sizes[-1] <= size


@pytest.mark.parametrize("levels", [2, 3, 4, 255])
def test_batches_round_to_the_nearest_grey_level(levels):
    data = Dataset("greys", bytes(range(256)), bytes(1), 16, 16)
    (sparse, _), = data.batches(1, levels=levels)
    for grey, number in enumerate(sparse.to_matrix()[0]):
        assert abs(number - grey / 255) <= 0.5 / (levels - 1) + 1e-12


# --- augmentation

def moved(image, height, width, down, right):
    """Plain reference: copy each pixel to where it goes, if that is in the image."""
    new = [[0] * width for _ in range(height)]
    for y in range(height):
        for x in range(width):
            if 0 <= y + down < height and 0 <= x + right < width:
                new[y + down][x + right] = image[y * width + x]
    return bytes(sum(new, []))


IMAGE = bytes(range(1, 31))    # 5 x 6 without a zero, so that paper is told from ink


@pytest.mark.parametrize("down", [-5, -2, 0, 1])
@pytest.mark.parametrize("right", [-1, 0, 2, 6])
def test_each_shift_against_the_plain_reference(down, right):
    shift = gather(shift_map(5, 6, down, right))
    assert shift(IMAGE) == moved(IMAGE, 5, 6, down, right)


def test_random_shifts_reach_every_offset_by_a_pixel_and_follow_their_seed():
    one, same, other = (RandomWarp(list(map(gather, shift_maps(5, 6))),
                                   random.Random(seed)) for seed in (4, 4, 5))
    images = [one(IMAGE) for _ in range(200)]
    assert set(images) == {moved(IMAGE, 5, 6, down, right)
                           for down in (-1, 0, 1) for right in (-1, 0, 1)}
    assert images == [same(IMAGE) for _ in images] != [other(IMAGE) for _ in images]


@pytest.mark.parametrize("pixels", [1, 2, 784])
def test_a_map_takes_any_pixel_or_paper_of_bytes_and_of_ink(pixels, rng):
    """Some pixels go nowhere, some to several places; shares are those of workers."""
    image = bytes(rng.randrange(256) for _ in range(pixels))
    every = [*range(pixels)]
    some = [rng.randrange(pixels + 1) for _ in range(pixels)]
    for sources in (every, every[::-1], some, [pixels] * pixels, [0] * pixels):
        new = gather(sources)(image)
        assert new == bytes((image + b"\0")[k] for k in sources)
        for share in (slice(None), slice(0, None, 3), slice(1, None, 3)):
            table = InkTable([bytes(pixels), image], 5, pixels)
            assert [(level, list(places)) for level, places in table(1)
                    ] == Quantizer(5, pixels).ink(image) and table(0) == []
            found = scatter(sources, share)(table(1))
            own = Quantizer(5, len(new[share])).ink(new[share])
            assert [(level, sorted(places)) for level, places in found] == own


def test_an_affine_map_is_the_formula():
    """All random numbers 1: 12 degrees, 1.1 times, slanted by 0.1, moved by 1 pixel."""
    class Ones:
        def random(self):
            return 1.0
    sources, angle = affine_map(9, 7, Ones()), math.radians(12)
    for i in range(9):
        for j in range(7):
            x, y = j - 3 + 0.1 * (i - 4), i - 4
            u = 1.1 * (math.cos(angle) * x - math.sin(angle) * y)
            v = 1.1 * (math.sin(angle) * x + math.cos(angle) * y)
            column, row = math.floor(u + 4.5), math.floor(v + 5.5)
            inside = 0 <= row < 9 and 0 <= column < 7
            assert sources[7 * i + j] == (7 * row + column if inside else 63)


def test_an_elastic_bend_has_the_size_asked_for():
    """Angle, scale, slant and shift of a map are drawn before its bending."""
    plain, bent = (affine_map(28, 28, random.Random(1), bend=bend) for bend in (0, 2))
    squares = [(new % 28 - old % 28) ** 2
               for new, old in zip(plain, bent) if new < 784 and old < 784]
    assert 1 < math.sqrt(sum(squares) / len(squares)) < 3
    assert affine_map(28, 28, random.Random(1), 0.0, bend=2) == list(range(784))
