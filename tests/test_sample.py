"""The sample data set: what its generator draws is what the repository holds."""
import gzip
import importlib.util
from collections import Counter
from operator import mul

import pytest
from conftest import SAMPLE

from data_loader import FILE_NAMES, load

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


def test_labels_are_balanced_and_shuffled(shipped):
    for labels, count in zip((labels for _, labels in shipped), (6000, 1000)):
        assert Counter(labels) == {digit: count // 10 for digit in range(10)}
        repeats = sum(a == b for a, b in zip(labels, labels[1:]))
        assert 0.07 < repeats / count < 0.13        # 1 in 10 when the order is random


def test_the_images_are_like_those_of_mnist(shipped):
    """Sixteen levels, 81 % paper, a box of 20 pixels, its mass in the middle."""
    images = shipped[0][0] + shipped[1][0]
    grey, longer, inside = Counter(b"".join(images)), Counter(), 0
    assert set(grey) == set(range(0, 256, 17))
    assert 0.75 < grey[0] / sum(grey.values()) < 0.87
    for image in images:
        ys, xs = zip(*(divmod(p, 28) for p, v in enumerate(image) if v))
        longer[max(max(ys) - min(ys), max(xs) - min(xs)) + 1] += 1
        aside = max(abs(sum(map(mul, places, filter(None, image))) / sum(image) - 14)
                    for places in (ys, xs))
        assert aside < 1.5
        inside += aside <= 0.51
    assert set(longer) <= {18, 19, 20}
    assert longer[20] > 0.9 * len(images) and inside > 0.99 * len(images)


def test_no_two_digits_are_alike_and_another_seed_draws_others(generate, shipped):
    images = shipped[0][0] + shipped[1][0]
    assert len(set(images)) == len(images)
    assert not set(generate.make_set(20, 1)[0]) & set(generate.make_set(20, 3)[0])


def test_an_output_that_cannot_be_written_is_one_line_and_exit_code_2(
        generate, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stop:
        generate.main(["--output", str(tmp_path / "file")])
    assert stop.value.code == 2
    assert "cannot write to" in capsys.readouterr().err
