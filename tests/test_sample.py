"""The sample data set: what its generator draws is what the repository holds."""

import gzip
import importlib.util
import struct
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "sample"
COUNTS = {"train": 6000, "t10k": 1000}
FILES = [name + kind for name in COUNTS
         for kind in ("-images-idx3-ubyte", "-labels-idx1-ubyte")]


def unpacked(folder, name):
    return gzip.decompress((folder / (name + ".gz")).read_bytes())


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", SAMPLE / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def drawn(generate, tmp_path_factory):
    """A folder into which the whole set has just been drawn again."""
    folder = tmp_path_factory.mktemp("sample") / "new"
    assert generate.main(["--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def shipped():
    """{"train": (images, labels), "t10k": ...} as the repository holds them."""
    sets = {}
    for name in COUNTS:
        pixels = unpacked(SAMPLE, name + "-images-idx3-ubyte")[16:]
        labels = unpacked(SAMPLE, name + "-labels-idx1-ubyte")[8:]
        sets[name] = [pixels[i:i + 784] for i in range(0, len(pixels), 784)], labels
    return sets


def ink_box(image):
    """(rows, columns) that the ink spans."""
    rows = [i for i in range(28) if any(image[28 * i:28 * i + 28])]
    columns = [j for j in range(28) if any(image[j::28])]
    return rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1


def centre_of_mass(image):
    mass = sum(image)
    return (sum(p // 28 * grey for p, grey in enumerate(image)) / mass,
            sum(p % 28 * grey for p, grey in enumerate(image)) / mass)


@pytest.mark.parametrize("name", FILES)
def test_the_generator_reproduces_the_files(drawn, name):
    # Not the .gz bytes: these depend on the version of zlib.
    same = unpacked(drawn, name) == unpacked(SAMPLE, name)
    assert same, name + " is not what generate.py draws"


def test_the_files_are_small_and_carry_no_time_or_name():
    packed = [(SAMPLE / (name + ".gz")).read_bytes() for name in FILES]
    assert sum(map(len, packed)) < 2_000_000
    assert all(data[3:8] == bytes(5) for data in packed)    # flags, then the time


@pytest.mark.parametrize("name, count", COUNTS.items())
def test_headers_and_lengths_are_those_of_idx(name, count):
    images = unpacked(SAMPLE, name + "-images-idx3-ubyte")
    labels = unpacked(SAMPLE, name + "-labels-idx1-ubyte")
    assert struct.unpack(">4I", images[:16]) == (0x803, count, 28, 28)
    assert struct.unpack(">2I", labels[:8]) == (0x801, count)
    assert len(images) == 16 + 784 * count
    assert len(labels) == 8 + count


@pytest.mark.parametrize("name, count", COUNTS.items())
def test_labels_are_balanced_and_shuffled(shipped, name, count):
    labels = shipped[name][1]
    assert Counter(labels) == {digit: count // 10 for digit in range(10)}
    repeats = sum(a == b for a, b in zip(labels, labels[1:]))
    assert 0.07 < repeats / count < 0.13        # 1 in 10 when the order is random
    assert set(labels[:100]) == set(range(10))


def test_ink_is_light_on_dark_in_sixteen_levels(shipped):
    grey = Counter()
    for images, _ in shipped.values():
        grey.update(b"".join(images))
    assert set(grey) == set(range(0, 256, 17))
    assert 0.75 < grey[0] / sum(grey.values()) < 0.87       # MNIST: 0.81


def test_ink_fills_a_box_of_twenty_pixels(shipped):
    longer = Counter(max(ink_box(image))
                     for images, _ in shipped.values() for image in images)
    assert max(longer) == 20
    assert longer[20] > 0.9 * sum(longer.values())
    assert min(longer) >= 18


def test_centre_of_mass_is_in_the_middle(shipped):
    centres = [centre_of_mass(image)
               for images, _ in shipped.values() for image in images]
    inside = sum(max(abs(y - 14), abs(x - 14)) <= 0.51 for y, x in centres)
    assert inside > 0.99 * len(centres)
    assert all(max(abs(y - 14), abs(x - 14)) < 1.5 for y, x in centres)


def bitmap(image):
    """The half of the image that is inked, as one integer of 784 bits."""
    return sum(1 << p for p, grey in enumerate(image) if grey > 127)


def test_no_two_digits_are_alike(shipped):
    everything = shipped["train"][0] + shipped["t10k"][0]
    assert len(set(everything)) == len(everything)
    by_digit = {digit: [] for digit in range(10)}
    for name in COUNTS:
        for image, label in list(zip(*shipped[name]))[:1000]:
            by_digit[label].append(bitmap(image))
    for digit, shapes in by_digit.items():
        apart = sorted(bin(a ^ b).count("1") for a, b in combinations(shapes, 2))
        # About 100 pixels are inked. A 1 is often no more than a bar, so the nearest
        # two may be near indeed, but not one pair in a hundred.
        assert apart[0] >= (1 if digit == 1 else 10)
        assert apart[len(apart) // 100] >= (12 if digit == 1 else 40)
        assert apart[len(apart) // 2] > (60 if digit == 1 else 100)


def test_another_seed_draws_other_digits(generate):
    one, same, other = (generate.make_set(20, seed) for seed in (1, 1, 3))
    assert one == same
    assert not set(one[0]) & set(other[0])


def test_every_skeleton_can_be_drawn(generate):
    dice = generate.Random(5).random
    for digit, (slant, forms) in generate.SKELETONS.items():
        for _, text in forms:
            image = generate.centre(generate.draw_form(text, slant, dice))
            assert 30 < sum(image) / 255 < 400, (digit, text)


def test_choice_follows_the_weights(generate):
    dice = generate.Random(6).random
    counts = Counter(generate.choose([(3, "a"), (1, "b")], dice) for _ in range(4000))
    assert 2850 < counts["a"] < 3150


def test_spline_runs_through_its_points(generate):
    points = [(0.0, 0.0), (30.0, 10.0), (40.0, 60.0)]
    line = generate.smooth(points)
    assert len(line) == 2 * generate.STEPS + 1
    for point, drawn_at in zip(points, line[::generate.STEPS]):
        assert drawn_at == pytest.approx(point)


def test_a_corner_cuts_a_stroke_in_two(generate):
    def still():
        return 0.5                              # six of them make a shift of zero
    pieces = generate.wobble("0,0 50,10! 90,90", 4.0, still)
    assert pieces == [[(0, 0), (50, 10)], [(50, 10), (90, 90)]]


def test_wobble_moves_every_point(generate):
    (line,) = generate.wobble("10,20 30,40 50,60", 4.0, generate.Random(7).random)
    for (x, y), before in zip(line, (10, 30, 50)):
        assert 0 < abs(x - before) < 40
        assert 0 < abs(y - before - 10) < 40


def test_an_output_that_cannot_be_written_is_one_line_and_exit_code_2(
        generate, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stop:
        generate.main(["--output", str(tmp_path / "file")])
    assert stop.value.code == 2
    assert "cannot write to" in capsys.readouterr().err
