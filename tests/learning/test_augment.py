"""Data sets in batches, and the maps of the augmentation."""
import math
import random

import pytest

from data_loader import Dataset
from learning.augment import RandomGather, affine_maps, gather, shift_map, shift_maps
from my_math import Matrix

# --- Dataset and batches --------------------------------------------------------------


def small(count=11, height=2, width=3):
    pixels = bytes((7 * i) % 251 for i in range(count * height * width))
    return Dataset("small", pixels, bytes(i % 10 for i in range(count)), height, width)


def rows_of(sparse):
    """The images in a sparse batch, read back from its rows."""
    images = []
    for columns, numbers in sparse.rows:
        image = bytearray(sparse.shape[1])
        for column, number in zip(columns, numbers):
            image[column] = round(255 * number)
        images.append(bytes(image))
    return images


def test_images_and_labels_by_index():
    data = small()
    assert b"".join(data.image(i) for i in range(11)) == data.images
    assert bytes(data.label(i) for i in range(11)) == data.labels
    for index in (-1, 11, 1000):
        with pytest.raises(IndexError, match=f"{index} of 11"):
            data.image(index)
        with pytest.raises(IndexError, match=f"{index} of 11"):
            data.label(index)
    with pytest.raises(ValueError, match="5 pixels are not 1 images of 2 x 3"):
        Dataset("wrong", bytes(5), bytes(1), 2, 3)


def test_head_and_split():
    data = small()
    assert data.head(4).images == data.images[:24]
    assert data.head(4).labels == data.labels[:4]
    assert len(data.head(99)) == 11 and data.head(99).images == data.images
    first, last = data.split(3)
    assert (len(first), len(last)) == (8, 3)
    assert first.images + last.images == data.images
    assert first.labels + last.labels == data.labels
    assert last.label(0) == data.label(8) and last.image(2) == data.image(10)
    named = Dataset("n", data.images, data.labels, 2, 3, list("abcdefghijk"))
    assert named.split(1)[1].class_names == list("abcdefghijk")
    assert named.head(1).class_count == 11 and named.head(1).name == "n"
    for count in (-1, 0):
        with pytest.raises(ValueError, match=str(count)):
            data.head(count)
    for count in (-1, 0, 11, 12):
        with pytest.raises(ValueError, match=f"{count} of 11"):
            data.split(count)


def test_order_is_a_permutation_that_the_seed_decides():
    data = small(1000, 1, 1)
    order = data.order(random.Random(5))
    assert sorted(order) == list(range(1000)) and order != sorted(order)
    assert data.order(random.Random(5)) == order != data.order(random.Random(6))
    # Frozen; random.shuffle(x, rng.random) of Python 3.9 gave the same.
    assert small(10).order(random.Random(1)) == [8, 0, 3, 4, 5, 2, 9, 6, 7, 1]


def test_order_uses_nothing_but_random():
    class Halves:
        def random(self):
            return 0.5
    assert small(4).order(Halves()) == [0, 3, 1, 2]


def test_every_permutation_is_about_equally_likely():
    rng, counts = random.Random(2), {}
    for _ in range(6000):
        key = tuple(small(3).order(rng))
        counts[key] = counts.get(key, 0) + 1
    assert len(counts) == 6 and all(880 < count < 1120 for count in counts.values())


@pytest.mark.parametrize("size", [1, 3, 4, 11, 50])
def test_batches_cover_every_image_once(size):
    data, order = small(), small().order(random.Random(3))
    for chosen in (None, order, order[:7]):
        images, labels, sizes = [], [], []
        for sparse, batch_labels in data.batches(size, chosen):
            images += rows_of(sparse)
            labels += batch_labels
            sizes.append(len(batch_labels))
            assert sparse.shape == (len(batch_labels), 6)
        indices = range(11) if chosen is None else chosen
        assert images == [data.image(i) for i in indices]
        assert labels == [data.label(i) for i in indices]
        assert set(sizes[:-1]) <= {size} and 0 < sizes[-1] <= size


def test_batches_augment_each_image_and_leave_the_data_alone():
    data = small()
    before = data.images
    upside_down = [rows_of(sparse) for sparse, _ in
                   data.batches(4, augment=lambda image: image[::-1])]
    assert sum(upside_down, []) == [data.image(i)[::-1] for i in range(11)]
    assert data.images == before


@pytest.mark.parametrize("levels", [2, 3, 4, 16, 255])
def test_batches_round_to_the_nearest_grey_level(levels):
    data = Dataset("greys", bytes(range(256)), bytes(1), 16, 16)
    (sparse, _), = data.batches(1, levels=levels)
    for grey, number in enumerate(sparse.to_matrix()[0]):
        assert abs(number - grey / 255) <= 0.5 / (levels - 1) + 1e-12
        assert round(number * (levels - 1)) == pytest.approx(number * (levels - 1))


@pytest.mark.parametrize("levels", [-1, 0, 1, 257])
def test_numbers_of_grey_levels_that_cannot_be(levels):
    with pytest.raises(ValueError, match=f"{levels} grey levels, expected 2 to 256"):
        next(small().batches(1, levels=levels))


@pytest.mark.parametrize("size", [0, -3])
def test_batches_of_nothing(size):
    with pytest.raises(ValueError, match=f"batches of {size} images"):
        next(small().batches(size))


@pytest.mark.parametrize("order", [[-1], [0, 11]], ids=str)
def test_no_index_of_a_batch_counts_from_the_end_or_beyond_it(order):
    with pytest.raises(IndexError):
        list(small().batches(2, order))


# --- Augmentation ---------------------------------------------------------------------


def moved(image, height, width, down, right):
    """Plain reference: copy each pixel to where it goes, if that is in the image."""
    new = [[0] * width for _ in range(height)]
    for y in range(height):
        for x in range(width):
            if 0 <= y + down < height and 0 <= x + right < width:
                new[y + down][x + right] = image[y * width + x]
    return bytes(sum(new, []))


IMAGE = bytes(range(1, 31))    # 5 x 6 without a zero, so that paper is told from ink


@pytest.mark.parametrize("down", [-5, -2, -1, 0, 1, 2, 5])
@pytest.mark.parametrize("right", [-6, -2, -1, 0, 1, 2, 6])
def test_each_shift_against_the_plain_reference(down, right):
    sources = shift_map(5, 6, down, right)
    shift = RandomGather([sources], random.Random(0))
    assert shift(IMAGE) == moved(IMAGE, 5, 6, down, right)
    assert len(shift(IMAGE).replace(b"\0", b"")) == (5 - abs(down)) * (6 - abs(right))


@pytest.mark.parametrize("reach", [0, 1, 2])
def test_shift_augmentation_reaches_every_offset_and_no_other(reach):
    shift = RandomGather(shift_maps(5, 6, reach), random.Random(4))
    offsets = range(-reach, reach + 1)
    expected = {moved(IMAGE, 5, 6, down, right)
                for down in offsets for right in offsets}
    assert {shift(IMAGE) for _ in range(400)} == expected
    assert len(expected) == (2 * reach + 1) ** 2


@pytest.mark.parametrize("pixels", [1, 2, 254, 255, 256, 510, 784, 2999, 3001, 4000])
def test_gather_takes_any_pixel_or_paper(pixels, rng):
    image = bytes(rng.randrange(256) for _ in range(pixels))
    every = [*range(pixels), pixels]
    some = [rng.randrange(pixels + 1) for _ in range(pixels)]
    for sources in (every, every[::-1], some, [pixels] * 3, [pixels - 1], [0]):
        expected = bytes((image + b"\0")[k] for k in sources)
        assert gather(sources)(image) == expected


@pytest.mark.parametrize("pixels", [9, 3500])
def test_gather_refuses_pixels_that_are_not_there(pixels):
    for sources in ([0] * pixels + [pixels + 1], [pixels + 1] * 5):
        with pytest.raises(IndexError):
            gather(sources)(bytes(pixels))
    assert gather([])(bytes(pixels)) == b""


def test_augmentation_follows_its_seed():
    shift, copy = (RandomGather(shift_maps(5, 6, 2), random.Random(4)) for _ in "12")
    first = [shift(IMAGE) for _ in range(20)]
    assert [copy(IMAGE) for _ in range(20)] == first
    other = RandomGather(shift_maps(5, 6, 2), random.Random(5))
    assert [other(IMAGE) for _ in range(20)] != first


def test_no_shift_gives_an_equal_image():
    maps = shift_maps(5, 6, 0)
    assert maps == [list(range(30))]
    assert RandomGather(maps, random.Random(1))(IMAGE) == IMAGE


def test_a_map_of_one_pixel():
    mapped = RandomGather([[1]], random.Random(1))
    assert mapped(bytes([10, 20])) == bytes([20])
    assert mapped(bytes([10])) == bytes([0])        # paper


def test_augmentations_that_cannot_be():
    with pytest.raises(ValueError, match="-1 pixels"):
        shift_maps(5, 6, -1)
    for maps in ([], [[]], [[0], []]):
        with pytest.raises(ValueError, match="at least one map"):
            RandomGather(maps, random.Random(1))


def test_shares_of_the_pixels_come_from_the_same_random_maps():
    maps = shift_maps(5, 6, 2)
    whole, *shares = (RandomGather(maps, random.Random(4), pixels) for pixels in
                      (slice(None), slice(0, None, 2), slice(1, None, 2)))
    for _ in range(30):
        image, even, odd = whole(IMAGE), *(share(IMAGE) for share in shares)
        assert (image[::2], image[1::2]) == (even, odd)


@pytest.mark.parametrize("bend", [0.0, 0.6])
def test_affine_maps_of_no_strength_leave_the_image_as_it_is(bend):
    maps = affine_maps(28, 28, 3, random.Random(1), strength=0.0, bend=bend)
    assert maps == [list(range(784))] * 3


@pytest.mark.parametrize("bend", [0.0, 0.6])
def test_affine_maps_differ_follow_their_seed_and_move_no_pixel_far(bend):
    maps = affine_maps(28, 28, 8, random.Random(1), bend=bend)
    assert maps == affine_maps(28, 28, 8, random.Random(1), bend=bend)
    assert len(set(map(tuple, maps))) == 8
    moves = []
    for sources in maps:
        assert len(sources) == 784 and set(sources) <= set(range(785))
        moves += [math.dist(divmod(new, 28), divmod(old, 28))
                  for new, old in enumerate(sources) if old < 784]
    # The corners turn by 12 degrees of 19 pixels, stretch by 2 and slant by 1.4.
    assert 0.5 < sum(moves) / len(moves) < 4 and max(moves) < 10


def test_an_affine_map_is_the_formula(monkeypatch):
    """All random numbers 1: 12 degrees, 1.1 times, slanted by 0.1, moved by 1 pixel."""
    class Ones:
        def random(self):
            return 1.0
    sources, = affine_maps(9, 7, 1, Ones())
    angle = math.radians(12)
    turn = Matrix([[math.cos(angle), -math.sin(angle)],
                   [math.sin(angle), math.cos(angle)]]) * 1.1
    for i in range(9):
        for j in range(7):
            x, y = j - 3, i - 4
            (u,), (v,) = turn @ Matrix([[x + 0.1 * y], [y]])
            column, row = math.floor(u + 4.5), math.floor(v + 5.5)
            inside = 0 <= row < 9 and 0 <= column < 7
            assert sources[7 * i + j] == (7 * row + column if inside else 63)


def test_an_elastic_bend_has_the_size_asked_for():
    plain, bent = (affine_maps(28, 28, 40, random.Random(1), bend=bend)
                   for bend in (0.0, 2.0))
    # The first map's angle, scale, slant and shift are drawn before its bending.
    assert plain[0] != bent[0]
    squares = [(new % 28 - old % 28) ** 2
               for new, old in zip(plain[0], bent[0]) if new < 784 and old < 784]
    assert 1 < math.sqrt(sum(squares) / len(squares)) < 3


def test_pick_takes_images_and_labels_in_the_order_named():
    data = Dataset("abc", b"aabbcc", bytes([3, 4, 5]), 1, 2)
    some = data.pick([2, 0, 2])
    assert (some.images, some.labels) == (b"ccaacc", bytes([5, 3, 5]))
    assert (some.name, some.width) == ("abc", 2)
    with pytest.raises(IndexError):
        data.pick([0, 3])
