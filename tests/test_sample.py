"""The sample data set: what its generator draws is what the repository holds."""
import gzip
import importlib.util
from collections import Counter
from itertools import combinations

import pytest
from conftest import SAMPLE

from data_loader import FILE_NAMES, PARTS, load

COUNTS = 6000, 1000


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", SAMPLE / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def shipped():
    """(images, labels) of the training and of the test set."""
    return [([data.image(i) for i in range(len(data))], data.labels)
            for data in load(SAMPLE)]


def test_the_generator_reproduces_the_files(generate, tmp_path):
    """Not the .gz bytes: these depend on the version of zlib, but not on the time."""
    assert generate.main(["--output", str(tmp_path / "new")]) == 0
    for name in FILE_NAMES.values():
        drawn, kept = ((folder / f"{name}.gz").read_bytes()
                       for folder in (tmp_path / "new", SAMPLE))
        assert len(kept) < 1_500_000
        assert drawn[3:8] == kept[3:8] == bytes(5)          # no name's flag, no time
        assert gzip.decompress(drawn) == gzip.decompress(kept)


@pytest.mark.parametrize("part, count", list(enumerate(COUNTS)))
def test_labels_are_balanced_and_shuffled(shipped, part, count):
    labels = shipped[part][1]
    assert Counter(labels) == {digit: count // 10 for digit in range(10)}
    repeats = sum(a == b for a, b in zip(labels, labels[1:]))
    assert 0.07 < repeats / count < 0.13        # 1 in 10 when the order is random
    assert set(labels[:100]) == set(range(10))


def ink_box(image):
    """(rows, columns) that the ink spans."""
    rows = [i for i in range(28) if any(image[28 * i:28 * i + 28])]
    columns = [j for j in range(28) if any(image[j::28])]
    return rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1


def test_the_images_are_like_those_of_mnist(shipped):
    """Sixteen levels, 81 % paper, a box of 20 pixels, its mass in the middle."""
    images = [image for part, _ in shipped for image in part]
    grey, longer, inside = Counter(b"".join(images)), Counter(), 0
    assert set(grey) == set(range(0, 256, 17))
    assert 0.75 < grey[0] / sum(grey.values()) < 0.87
    for image in images:
        longer[max(ink_box(image))] += 1
        aside = max(abs(sum(divmod(p, 28)[axis] * v for p, v in enumerate(image) if v)
                        / sum(image) - 14) for axis in (0, 1))
        assert aside < 1.5
        inside += aside <= 0.51
    assert set(longer) <= {18, 19, 20}
    assert longer[20] > 0.9 * len(images) and inside > 0.99 * len(images)


def bitmap(image):
    """The half of the image that is inked, as one integer of 784 bits."""
    return sum(1 << p for p, grey in enumerate(image) if grey > 127)


def test_no_two_digits_are_alike(shipped):
    everything = shipped[0][0] + shipped[1][0]
    assert len(set(everything)) == len(everything)
    by_digit = {digit: [] for digit in range(10)}
    for part, _ in enumerate(PARTS):
        for image, label in list(zip(*shipped[part]))[:1000]:
            by_digit[label].append(bitmap(image))
    for digit, shapes in by_digit.items():
        apart = sorted(bin(a ^ b).count("1") for a, b in combinations(shapes, 2))
        # About 100 pixels are inked. A 1 is often no more than a bar, so the nearest
        # two may be near indeed, but not one pair in a hundred.
        assert apart[0] >= (1 if digit == 1 else 10)
        assert apart[len(apart) // 100] >= (12 if digit == 1 else 40)
        assert apart[len(apart) // 2] > (60 if digit == 1 else 100)


def test_another_seed_draws_other_digits_of_every_form(generate):
    one, other = (generate.make_set(20, seed) for seed in (1, 3))
    assert not set(one[0]) & set(other[0])
    dice = generate.Random(5).random
    for digit, (slant, forms) in generate.SKELETONS.items():
        for _, text in forms:
            image = generate.centre(generate.draw_form(text, slant, dice))
            assert 30 < sum(image) / 255 < 400, (digit, text)


def test_an_output_that_cannot_be_written_is_one_line_and_exit_code_2(
        generate, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stop:
        generate.main(["--output", str(tmp_path / "file")])
    assert stop.value.code == 2
    assert "cannot write to" in capsys.readouterr().err
