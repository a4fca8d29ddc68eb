"""data_loader: every form of the files, and every fault in them."""
import gzip
import hashlib
import os
import pathlib
import pickle
import struct

import pytest
from conftest import ROOT

import data_loader
from errors import DataError, MissingDataError

PLAIN = data_loader.FILE_NAMES
PARTS = list(PLAIN)
REAL_MNIST = os.environ.get("MNIST_DIR")
HTML = b"<!DOCTYPE html>\n<html><body>Not Found</body></html>\n"


def idx_images(count, height=2, width=3, first=0):
    pixels = bytes((first + i) % 256 for i in range(count * height * width))
    return struct.pack(">IIII", 2051, count, height, width) + pixels


def idx_labels(labels):
    return struct.pack(">II", 2049, len(labels)) + bytes(labels)


def contents():
    """A set of 5 + 2 images of 2 x 3, as {part: uncompressed IDX file}."""
    return {"train-images": idx_images(5), "train-labels": idx_labels([3, 1, 4, 1, 5]),
            "t10k-images": idx_images(2, first=100), "t10k-labels": idx_labels([9, 2])}


def write_set(folder, names=None, packed=PARTS, **changes):
    """Write the four files; `changes` replaces some, or with None leaves them out."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, content in contents().items():
        content = changes.get(part.replace("-", "_"), content)
        if content is not None:
            name = (names or PLAIN)[part] + (".gz" if part in packed else "")
            zipped = gzip.compress(content) if part in packed else content
            (folder / name).write_bytes(zipped)
    return folder


def error_of(function, *args):
    """The DataError that a call raises: one line that starts with the path."""
    with pytest.raises(DataError) as caught:
        function(*args)
    error = caught.value
    assert str(error).startswith(f"{error.path}: found {error.found}, expected ")
    assert error.expected in str(error)
    assert "\n" not in str(error)
    return error


@pytest.fixture(autouse=True)
def at_home(tmp_path, monkeypatch):
    """No test sees the user's MNIST or the real data/mnist/."""
    monkeypatch.delenv("MNIST_DIR", raising=False)
    home = tmp_path.resolve() / "home" / "mnist"
    monkeypatch.setattr(data_loader, "MNIST_FOLDER", home)


@pytest.fixture
def known(monkeypatch):
    """Give the little set the standing of MNIST: its checksums are the known ones."""
    sums = {part: hashlib.sha256(raw).hexdigest() for part, raw in contents().items()}
    monkeypatch.setattr(data_loader, "MNIST_SHA256", sums)


# --- Reading IDX ----------------------------------------------------------------------


def check_little_set(train, test):
    assert (len(train), len(test)) == (5, 2)
    assert (train.height, train.width) == (test.height, test.width) == (2, 3)
    assert train.images == bytes(range(30)) and test.images == bytes(range(100, 112))
    assert train.labels == bytes([3, 1, 4, 1, 5]) and test.labels == bytes([9, 2])
    assert train.class_count == test.class_count == 10
    assert train.class_names == list("0123456789")


DOTTED = {part: name.replace("-idx", ".idx") for part, name in PLAIN.items()}
MIXED = {**PLAIN, "train-labels": DOTTED["train-labels"],
         "t10k-images": DOTTED["t10k-images"]}


@pytest.mark.parametrize("names", [PLAIN, DOTTED, MIXED])
@pytest.mark.parametrize("packed", [PARTS, [], PARTS[:1] + PARTS[3:]])
def test_every_spelling_loads(tmp_path, names, packed):
    folder = write_set(tmp_path / "digits", names, packed)
    check_little_set(*data_loader.load(str(folder)))
    found = data_loader.find_files(folder)
    assert list(found) == PARTS
    assert all(path.name.startswith(names[part]) for part, path in found.items())
    write_set(folder, names, train_images=GOOD)     # there twice: the unpacked is taken
    if "train-images" not in packed:
        check_little_set(*data_loader.load(folder))


def test_content_decides_about_gzip_not_the_name(tmp_path):
    for content in idx_labels([7]), gzip.compress(idx_labels([7])):
        (tmp_path / "labels.gz").write_bytes(content)
        idx = data_loader.read_idx(tmp_path / "labels.gz", "labels")
        assert (idx.shape, idx.values) == ((1,), b"\7")
        assert idx.sha256 == hashlib.sha256(idx_labels([7])).hexdigest()


def broken(data, at):
    """The data with all bits of one byte turned over."""
    data = bytearray(data)
    data[at] ^= 255
    return bytes(data)


GOOD = idx_images(400)    # long enough for a deflate stream with something to damage
ZIPPED = gzip.compress(GOOD)
CLAIM = struct.pack(">IIII", 2051, 2**32 - 1, 28, 28)
FAULTS = {    # content, what the message says was found, and what was expected
    "cut .gz": (ZIPPED[:-2], "ended before", "whole IDX file of images"),
    "cut after its header": (ZIPPED[:10], "ended before", "IDX file of images"),
    "wrong crc": (broken(ZIPPED, -8), "a damaged .gz file (CRC", "IDX file of images"),
    "damaged stream": (ZIPPED[:12] + b"\xff" * 40 + ZIPPED[52:], "a damaged .gz file",
                       "IDX file of images"),
    "garbage after the .gz": (ZIPPED + b"garbage", "a damaged .gz file", "IDX file"),
    "html after blanks": (b"\n\r\n  \t" + HTML, "an HTML page", "magic number 2051"),
    "zipped html": (gzip.compress(HTML), "an HTML page", "number 2051 (images)"),
    "zip archive": (b"PK\3\4" + bytes(60), "a zip archive", "magic number 2051"),
    "empty .gz": (gzip.compress(b""), "a file of 0 bytes", "magic number 2051"),
    "three bytes": (b"\0\0\x08", "a file of 3 bytes", "magic number 2051"),
    "labels for images": (idx_labels([1, 2]), "magic number 2049 (labels)", "2051"),
    "another magic": (struct.pack(">I", 2052) + GOOD[4:], "magic number 2052", "2051"),
    "little-endian": (struct.pack("<IIII", 2051, 400, 2, 3) + GOOD[16:],
                      "magic number 50855936", "2051 (images)"),
    "cut header": (GOOD[:13], "a file of 13 bytes", "a whole IDX header"),
    "no images": (idx_images(0), "claims 0 x 2 x 3 values", "at least one value"),
    "boundless claim": (CLAIM + bytes(99), "claims 4,294,967,295 x 28 x 28", "at most"),
    "boundless .gz": (gzip.compress(CLAIM), "claims 4,294,967,295 x 28", "at most"),
    "too short": (GOOD[:-1], "2,399 bytes after the header", "2,400"),
    "too short .gz": (gzip.compress(GOOD[:16]), "0 bytes after the header", "2,400"),
    "too long": (GOOD + b"\0", "still more bytes after the header", "2,400"),
    "too long .gz": (gzip.compress(GOOD + bytes(500000)), "still more bytes", "2,400"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_each_fault_is_one_clear_line(tmp_path, fault, ending):
    content, found, expected = FAULTS[fault]
    folder = write_set(tmp_path / "set", train_images=None)
    path = folder / (PLAIN["train-images"] + ending)
    path.write_bytes(content)
    for error in (error_of(data_loader.read_idx, path, "images"),
                  error_of(data_loader.load, folder)):
        assert error.path == path
        assert found in error.found and expected in error.expected
    assert path.read_bytes() == content and len(list(folder.iterdir())) == 4


def test_the_good_file_of_the_faults_is_good(tmp_path):
    """It is longer than what is read at a time."""
    long = idx_images(1000, 28, 28)
    for content in (GOOD, ZIPPED, gzip.compress(long, 1)):
        (tmp_path / "good").write_bytes(content)
        idx = data_loader.read_idx(tmp_path / "good", "images")
        assert idx.shape in [(400, 2, 3), (1000, 28, 28)]
    assert idx.values == long[16:] and idx.sha256 == hashlib.sha256(long).hexdigest()


def test_a_file_that_cannot_be_opened(tmp_path):
    error = error_of(data_loader.read_idx, tmp_path / "none", "labels")
    assert error.found == "No such file or directory"
    error_of(data_loader.read_idx, tmp_path, "labels")    # a folder


# --- Sets -----------------------------------------------------------------------------


SET_FAULTS = [     # what is changed, and path (or none: the folder), found and expected
    ({"train_labels": idx_labels([3, 1, 4])}, PLAIN["train-labels"], "3 labels",
     f"5, one for each image in {PLAIN['train-images']}.gz"),
    ({"train_labels": idx_labels([0, 26, 4, 1, 5])}, PLAIN["train-labels"],
     "label 26 for image 1", "labels from 0 to 9"),
    ({"t10k_images": idx_images(2, 3, 3)}, "", "test images of 3 x 3",
     "2 x 3, like those to train on")]


@pytest.mark.parametrize("changes, name, found, expected", SET_FAULTS)
def test_files_that_do_not_go_together(tmp_path, changes, name, found, expected):
    folder = write_set(tmp_path / "set", **changes)
    error = error_of(data_loader.load, folder)
    assert error.path == (folder / f"{name}.gz" if name else folder)
    assert (error.found, error.expected) == (found, expected)


def test_labels_over_nine_need_emnist_in_the_name(tmp_path):
    labels = idx_labels([0, 26, 4, 1, 5])
    train, test = data_loader.load(write_set(tmp_path / "EMNIST", train_labels=labels))
    assert train.class_count == test.class_count == 27
    assert train.class_names[26] == "26" and train.name == "EMNIST"
    write_set(tmp_path / "EMNIST", train_labels=idx_labels([0, 62, 4, 1, 5]))
    error = error_of(data_loader.load, tmp_path / "EMNIST")
    assert error.expected == "labels from 0 to 61"


@pytest.mark.parametrize("left_out", [PARTS, PARTS[:1], PARTS[2:]])
def test_a_folder_without_the_files(tmp_path, left_out):
    folder = write_set(tmp_path / "set",
                       **{part.replace("-", "_"): None for part in left_out})
    (folder / "t10k-images.idx3-ubyte").mkdir()    # a folder is no file
    error = error_of(data_loader.load, folder)
    assert isinstance(error, MissingDataError) and error.path == folder
    missing = " and ".join(f"no {PLAIN[part]}" for part in left_out)
    assert error.found == ("no data set" if left_out == PARTS else missing)
    assert all(name in error.expected for name in PLAIN.values())


def test_what_is_no_folder(tmp_path):
    assert error_of(data_loader.load, tmp_path / "none").found == "no such folder"
    (tmp_path / "none").write_bytes(b"x")
    assert error_of(data_loader.load, tmp_path / "none").found == "a file"


def test_search_order(tmp_path, monkeypatch, known):
    home = data_loader.MNIST_FOLDER
    assert error_of(data_loader.load).path == home
    write_set(home)
    assert data_loader.load()[0].name == "MNIST"
    other = write_set(tmp_path / "other", train_labels=idx_labels([0] * 5))
    monkeypatch.setenv("MNIST_DIR", str(other))
    assert data_loader.load()[0].name == "other"
    assert data_loader.load(home)[0].name == "MNIST"
    monkeypatch.setenv("MNIST_DIR", "")
    assert data_loader.load()[0].name == "MNIST"


def test_files_must_be_mnists_in_our_own_folder_alone(tmp_path, known):
    write_set(data_loader.MNIST_FOLDER, train_images=HTML)
    error = error_of(data_loader.load)
    assert error.found == "an HTML page" and "delete this file" in error.hint
    changed = idx_labels([9, 3])
    folder = write_set(data_loader.MNIST_FOLDER, t10k_labels=changed)
    for path in (None, os.path.relpath(folder)):
        error = error_of(data_loader.load, path)
        assert error.path == pathlib.Path(path or folder) / "t10k-labels-idx1-ubyte.gz"
        checksum = hashlib.sha256(changed).hexdigest()
        assert error.found.startswith(f"SHA-256 {checksum[:16]}")
        assert data_loader.MNIST_SHA256["t10k-labels"][:16] in error.expected
        assert str(error).endswith("; delete this file and run again")
    _, test = data_loader.load(write_set(tmp_path / "elsewhere", t10k_labels=changed))
    assert test.name == "elsewhere" and test.labels == bytes([9, 3])


@pytest.mark.parametrize("folder, name, first_class", [
    ("MNIST_data", "MNIST_data (not MNIST's checksums)", "0"),
    ("FashionMNIST", "Fashion-MNIST", "T-shirt/top"),
    ("kmnist", "KMNIST", "o"),
    ("my digits", "my digits", "0"),
])
def test_names_of_unknown_sets(tmp_path, folder, name, first_class):
    for data in data_loader.load(write_set(tmp_path / folder)):
        assert data.name == name
        assert data.class_names[0] == first_class and data.class_count == 10


def test_only_all_four_checksums_make_mnist(tmp_path, known):
    assert data_loader.load(write_set(tmp_path / "kmnist"))[1].name == "MNIST"
    almost = write_set(tmp_path / "mnist", train_labels=idx_labels([3, 1, 4, 1, 6]))
    assert data_loader.load(almost)[1].name != "MNIST"


# --- CSV ------------------------------------------------------------------------------


def csv_text(labels, pixels=4, heading=True):
    lines = [",".join(map(str, [label] + [(i + j) % 256 for j in range(pixels)]))
             for i, label in enumerate(labels)]
    names = ",".join(["label"] + [f"pixel{j}" for j in range(pixels)])
    return "\n".join([names] * heading + lines) + "\n"


@pytest.mark.parametrize("heading", [True, False])
@pytest.mark.parametrize("as_folder", [True, False])
def test_csv_with_and_without_heading(tmp_path, heading, as_folder):
    path = tmp_path / ("train.csv" if as_folder else "digits.CSV")
    labels = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4]
    path.write_text(csv_text(labels, 784, heading))
    (tmp_path / "test.csv").write_text(csv_text([7, 7], 783, heading))    # no labels
    train, test = data_loader.load(tmp_path if as_folder else path)
    assert train.labels + test.labels == bytes(labels)
    assert (len(train), len(test)) == (17, 3)
    assert (train.height, train.width, train.class_count) == (28, 28, 10)
    assert train.image(1) == bytes(j % 256 for j in range(1, 785))
    assert test.image(0) == bytes(j % 256 for j in range(17, 801))
    assert train.name == test.name == f"{path.name} (last sixth held out)"


def test_csv_with_a_labelled_test_file(tmp_path):
    (tmp_path / "fashion_train.csv").write_text(csv_text([3, 1, 4]))
    (tmp_path / "fashion_test.csv").write_text(csv_text([8, 9], heading=False))
    for source in (tmp_path, tmp_path / "fashion_train.csv"):
        train, test = data_loader.load(source)
        assert train.labels == bytes([3, 1, 4]) and test.labels == bytes([8, 9])
        assert (test.height, test.width) == (2, 2)
        assert train.name == test.name == "fashion_train.csv and fashion_test.csv"
        assert train.class_names[9] == "Ankle boot"


def test_csv_habits_of_other_programs(tmp_path):
    path = tmp_path / "train.csv"
    path.write_bytes(b"\xef\xbb\xbf\"label\",\"a\"\r\n\r\n3, 255\r\n\r\n\"4\",0")
    data = data_loader.read_csv(path)
    assert (data.labels, data.images) == (b"\3\4", b"\xff\0")


def test_csv_of_large_images(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text(("7" + ",255" * 256 ** 2 + "\n") * 2)      # longer than one chunk
    data = data_loader.read_csv(path)
    assert (data.height, data.width, data.labels) == (256, 256, b"\7\7")


TWO = csv_text([3, 1])
CSV_FAULTS = {    # text, found, expected
    "no number": (TWO + "4,x,0,0,0\n", "'x' in line 4", "whole numbers from 0 to 255"),
    "a fraction": (TWO + "4,0,0.5,0,0\n", "'0.5' in line 4", "whole numbers"),
    "too large": (TWO + "4,0,0,256,0\n", "'256' in line 4", "from 0 to 255"),
    "nothing": (TWO + "4,0,,0,0\n", "'' in line 4", "whole numbers"),
    "few columns": (TWO + "4,0,0,0\n", "4 columns in line 4", "5 columns"),
    "many columns": (TWO + "4,0,0,0,0,0\n", "6 columns in line 4", "5 columns"),
    "no labels": (csv_text([3], 783), "784 columns in line 1", "(785 columns)"),
    "label over 9": (TWO + "10,0,0,0,0\n", "label 10 for image 2", "from 0 to 9"),
    "html": (HTML.decode(), "an HTML page", "a label and a square of pixels"),
    "empty": ("", "no images", "a CSV file of labels and pixels"),
    "only a heading": (csv_text([]), "no images", "a CSV file of labels and pixels"),
    "one image": (csv_text([3]), "1 image", "at least 2"),
    "endless cell": (TWO + "4," + 200000 * "1", "field larger than", "a CSV file"),
    "endless line": (TWO + "4," + 2**20 * "1,", "1048577 columns in line", "5 columns"),
    "endless lines": (TWO + "\n" * 10**6, "more than 1,000,000 lines", "smaller file"),
    "label last": ("0,9,9,0,7\n0,8,8,0,2\n" * 9, "in the last one", "the label first"),
}


@pytest.mark.parametrize("fault", CSV_FAULTS)
def test_each_csv_fault_is_one_clear_line(tmp_path, fault):
    text, found, expected = CSV_FAULTS[fault]
    path = tmp_path / "train.csv"
    path.write_text(text)
    error = error_of(data_loader.load, tmp_path)
    assert error.path == path and found in error.found and expected in error.expected
    assert path.read_text() == text


def test_csv_files_that_cannot_be_had(tmp_path):
    error = error_of(data_loader.load, tmp_path / "none.csv")
    assert error.found == "No such file or directory" and error.path.name == "none.csv"
    for name in ("a_train.csv", "b_train.csv"):    # which of them is not for us to say
        (tmp_path / name).write_text(TWO)
    assert "train-images" in error_of(data_loader.load, tmp_path).expected
    folder = write_set(tmp_path / "half", t10k_labels=None)
    (folder / "train.csv").write_text(TWO)    # does not stand in for a missing file
    assert "no t10k-labels" in error_of(data_loader.load, folder).found


# --- The module -----------------------------------------------------------------------


def test_errors_survive_pickling():
    error = pickle.loads(pickle.dumps(DataError("a", "two\nlines", "one", "mend it")))
    assert str(error) == "a: found two lines, expected one; mend it"


def test_the_folders_are_beside_the_module():
    assert data_loader.SAMPLE_FOLDER == ROOT / "data" / "sample"
    train, test = data_loader.load(data_loader.SAMPLE_FOLDER)
    assert train.name == test.name == "sample (synthetic digits)"
    assert (train.height, train.width, train.class_count) == (28, 28, 10)


@pytest.mark.skipif(not REAL_MNIST, reason="MNIST_DIR is not set")
def test_the_real_mnist():
    train, test = data_loader.load(REAL_MNIST)
    assert train.name == test.name == "MNIST"
    assert (len(train), len(test)) == (60000, 10000)
    assert (train.height, train.width, train.class_count) == (28, 28, 10)
    assert list(train.labels[:5]) == [5, 0, 4, 1, 9]
    assert list(test.labels[:5]) == [7, 2, 1, 0, 4]
    assert sum(map(bool, train.image(0))) == 166    # pixels with ink
    sparse, labels = next(train.batches(32))
    assert sparse.shape == (32, 784) and labels[:5] == [5, 0, 4, 1, 9]
    assert sparse.to_matrix()[31] == [grey / 255 for grey in train.image(31)]
