"""Whatever is fed to the readers, they read it or say in one line what is wrong.

Every input has a number and can be had again.  `pytest tests/test_fuzz.py --fuzz N`
tries the first N of each format; where one does harm, its number is told.
"""
import gzip
import math
import random
import re
import shutil
import socket
import struct
import time
import warnings
import zipfile
import zlib
from collections import Counter
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from conftest import is_refusal, serving
from tools import fuzzing

import data_loader
from engine import npz
from errors import DataError
from learning.models import Model
from my_math import Matrix
from network import Network
from pictures import digit
from show.page import make_server

try:
    import tracemalloc
except ImportError:     # PyPy has none; memory is then measured on CPython alone
    tracemalloc = None

SECONDS = 2.0       # of this process; an input takes about a millisecond
MEGABYTES = 40      # at most, for files of a few kilobytes
LONGEST = 1000      # characters of an error, without the path

PARTS = list(data_loader.FILE_NAMES)


def idx(magic, *shape):
    """An IDX file of this shape whose values are all below 10."""
    rng = random.Random(1)
    return (struct.pack(f">{1 + len(shape)}I", magic, *shape)
            + bytes(rng.randrange(10) for _ in range(math.prod(shape))))


IDX_SEEDS = [idx(2051, 5, 4, 4), idx(2049, 5), idx(2051, 5, 1, 1), idx(2051, 50, 6, 7),
             idx(2049, 50)]
CSV_SEEDS = [b"label,a,b,c,d\n1,0,255,7,9\n2,3,4,5,6\n0,0,0,0,0\n",
             b"3,1,2,3,4\r\n4,5,6,7,8\r\n",
             b"\xef\xbb\xbf\"label\",\"x\"\n\"1\", 2\n3,4\n",
             b"label," + b",".join(b"p%d" % i for i in range(784)) + b"\n"
             + (b"7" + b",0" * 784 + b"\n") * 3]
CSV_TOKENS = (b",", b"\n", b"\r", b'"', b'""', b"\0", b"-1", b"256", b"1e2", b" ", b"<",
              "٣".encode(), "²".encode(), b"\xff", b"label,", b"0x1", b"+1", b"1_0",
              b"\xef\xbb\xbf", b"\x1b[31m", b"00", b"," * 99, b"9" * 5000)


# Each colour type of PNG at its smallest and largest depth, plain and interlaced.
PNG_SEEDS = [fuzzing.png_chunks(fuzzing.rng_for("PNG", kind), *kind, interlaced)
             for kind in ((0, 1), (0, 16), (2, 8), (2, 16), (3, 1), (3, 8), (4, 8),
                          (4, 16), (6, 8), (6, 16))
             for interlaced in (False, True)]
PNM_SEEDS = [b"P1 3 2 0 1 0 1 0 1", b"P2\n# by hand\n3 2\n9\n0 1 2 3 4 9\n",
             b"P3 1 2 255 1 2 3 4 5 6", b"P4 9 2\n" + bytes(range(4)),
             b"P5 4 4 255\n" + bytes(range(16)), b"P5 2 2 65535\n" + bytes(range(8)),
             b"P6 2 2 255\n" + bytes(range(12))]
OTHER_SEEDS = [     # a BMP and a GIF of a few pixels: Pillow's, where that is installed
    b"BM" + struct.pack("<IIIIiiHHIIIIII", 70, 0, 54, 40, 2, 2, 1, 24, *[0] * 6)
    + bytes(range(16)),
    b"GIF89a\2\0\2\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\2\0\2\0\0\2\2\x8c\n\0;"]


@pytest.fixture
def npz_seeds(tmp_path):
    """The members of good model files: a small network, and another with no settings.
    """
    path = tmp_path / "seed.npz"
    Network([4, 3, 2]).save(path, {"grey_levels": 4, "history": [{"epoch": 1}]})
    with zipfile.ZipFile(path) as archive:
        model = [(name, archive.read(name)) for name in archive.namelist()]
    arrays = {"layer1.weights": Matrix([[1, 2]]), "layer1.bias": Matrix([[3, 4]])}
    return [model, [(f"{name}.npy", npz.matrix_to_npy(matrix))
                    for name, matrix in arrays.items()]]


# --- Every format: how a damaged file of it is made and read


def idx_reader(tmp_path):
    """read(content, rng): a file, now and then as one of the four in a folder."""
    good = {tmp_path / data_loader.FILE_NAMES[part]: content
            for part, content in zip(PARTS, IDX_SEEDS[:2] * 2)}
    for path, content in good.items():
        path.write_bytes(content)

    def read(content, rng):
        if rng.random() < 0.9:
            path = tmp_path / rng.choice(["file", "file.gz"])
            path.write_bytes(content)
            idx = data_loader.read_idx(path, rng.choice(["images", "labels"]))
            assert len(idx.values) == math.prod(idx.shape) > 0
            return
        path, ending = rng.choice(list(good)), rng.choice(["", ".gz"])
        path.unlink()
        damaged = path.with_name(path.name + ending)
        damaged.write_bytes(content)
        try:
            check_sets(data_loader.load(tmp_path))
        finally:
            damaged.unlink()
            path.write_bytes(good[path])
    return read


def check_sets(sets):
    """What every data set promises."""
    for data in sets:
        assert len(data.images) == len(data) * data.height * data.width
        assert 0 <= min(data.labels) and max(data.labels) < data.class_count


def csv_reader(tmp_path):
    """read(content, rng): a CSV file, now and then found in its folder or a partner."""
    def read(content, rng):
        if rng.random() < 0.8:
            (tmp_path / "file").write_bytes(content)
            check_sets([data_loader.read_csv(tmp_path / "file")])
            return
        train, test = tmp_path / "train.csv", tmp_path / "test.csv"
        files = rng.choice([(train,), (test, train)])
        for path, text in zip(files, (content, CSV_SEEDS[0])):
            path.write_bytes(text)
        try:
            check_sets(data_loader.load(rng.choice([tmp_path, train])))
        finally:
            test.unlink(missing_ok=True)
    return read


def npz_reader(tmp_path):
    """read(content, rng): a model."""
    def read(content, rng):
        path = tmp_path / rng.choice(["model.npz", "model.png", "model"])
        path.write_bytes(content)
        matrices, settings = npz.read_npz(path)
        assert isinstance(settings, dict)
        assert all(isinstance(matrix, Matrix) for matrix in matrices.values())
        if rng.random() < 0.5:
            network, _ = Network.load(path)
            assert network.parameter_count > 0
    return read


def picture_reader(tmp_path):
    """read(content, rng): a picture, and half the time the digits in it."""
    def read(content, rng):
        path = tmp_path / rng.choice(["digit.png", "digit.pgm", "digit.jpg", "digit"])
        path.write_bytes(content)
        rows = digit.read_picture(path)
        assert rows and len(set(map(len, rows))) == 1 and len(rows[0]) > 0
        if rng.random() < 0.5:
            digits = digit.find_digits(rows, path).digits
            assert digits and all(len(digit) == 784 for digit in digits)
    return read


@pytest.fixture
def formats(tmp_path, npz_seeds):
    """make(rng) -> content and read(content, rng), by the name of the format."""
    folder = tmp_path / "fuzz"
    folder.mkdir()
    return {
        "IDX": (lambda rng: fuzzing.damage(rng, IDX_SEEDS), idx_reader(folder)),
        "gzip": (lambda rng: fuzzing.damaged_gzip(rng, IDX_SEEDS), idx_reader(folder)),
        "CSV": (lambda rng: fuzzing.damage(rng, CSV_SEEDS, CSV_TOKENS),
                csv_reader(folder)),
        "npz": (lambda rng: fuzzing.damaged_npz(rng, npz_seeds), npz_reader(folder)),
        "PNG": (lambda rng: fuzzing.damaged_png(rng, PNG_SEEDS),
                picture_reader(folder)),
        "other pictures": (lambda rng: fuzzing.damage(rng, PNM_SEEDS + OTHER_SEEDS),
                           picture_reader(folder)),
    }


# --- What has to hold for each input


def check_one_line(error):
    """A DataError is one printable line of bounded length."""
    line = str(error).replace(str(error.path), "", 1)
    assert line.isprintable() and len(line) <= LONGEST, line
    assert error.found and error.expected


@contextmanager
def within_limits(weighed=True):
    """Whatever is done takes little time and, where it is weighed, little memory."""
    if weighed and tracemalloc:
        tracemalloc.start()
    start, peak = time.process_time(), 0
    try:
        yield
    finally:
        seconds = time.process_time() - start
        if weighed and tracemalloc:
            peak = tracemalloc.get_traced_memory()[1] / 1e6
            tracemalloc.stop()
    assert seconds < SECONDS and peak < MEGABYTES


def error_of(read, *arguments):
    """The DataError of reading, or None.  Any other exception goes through."""
    try:
        read(*arguments)
    except DataError as error:
        check_one_line(error)
        return error
    return None


@pytest.fixture
def inputs(pytestconfig):
    """inputs(name): (number, its random numbers) of each input to try.

    The last number is told where a test fails.  Nothing may warn: a warning would be a
    further line on stderr.
    """
    def numbered(name):
        for tried.last in range(pytestconfig.getoption("--fuzz")):
            yield tried.last, fuzzing.rng_for(name, tried.last)
    tried = SimpleNamespace(last=None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", ResourceWarning)    # of sockets of other tests
        yield numbered
    print(f"The last input was number {tried.last}.")
    assert [str(warning.message) for warning in caught] == []


@pytest.mark.parametrize("name", ["IDX", "gzip", "CSV", "npz", "PNG",
                                  "other pictures"])
def test_damaged_files_are_read_or_refused_in_one_line(name, formats, inputs):
    make, read = formats[name]
    reasons, count, refused = set(), 0, 0
    for number, rng in inputs(name):
        content, count = make(rng), number + 1
        with within_limits(weighed=number % 20 == 0):     # it takes far longer
            error = error_of(read, content, rng)
        if error:
            refused += 1
            reasons.add("".join(c for c in error.found if c.isalpha() or c == " ")[:20])
    # Nearly all of it is harmful, and it gets to many different places in the reader.
    assert refused > count / 4 and count - refused > count / 1000
    assert len(reasons) >= min(8, count)


# --- Files made to fill the memory


def lying_zip():
    """An archive whose only member claims 100 bytes and unpacks to 100 million."""
    data = bytearray(fuzzing.zip_of([("a.npy", bytes(10**8))], zipfile.ZIP_DEFLATED))
    for signature, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        struct.pack_into("<I", data, data.index(signature) + offset, 100)
    return bytes(data)


def overlapping_zip():
    """An archive with a thousand entries for one and the same member of a megabyte."""
    data = fuzzing.zip_of([("a.npy", bytes(10**6))], zipfile.ZIP_DEFLATED)
    start = data.index(b"PK\1\2")
    entries, end = data[start:-22] * 1000, bytearray(data[-22:])
    struct.pack_into("<HHI", end, 8, 1000, 1000, len(entries))
    return data[:start] + entries + bytes(end)


def read_images(path):
    """Read a file of images."""
    return data_loader.read_idx(path, "images")


HUGE = {    # reader, content, what is said about it
    "IDX of 4 billion images": (
        read_images, lambda: struct.pack(">IIII", 2051, 2**32 - 1, 28, 28),
        "claims 4,294,967,295 x 28 x 28"),
    "IDX of 85,000 images": (
        read_images, lambda: struct.pack(">IIII", 2051, 85_000, 28, 28),
        "0 bytes after the header"),
    "IDX of more than its size": (
        read_images, lambda: struct.pack(">IIII", 2051, 90_000, 28, 28),
        "claims 90,000 x 28 x 28"),
    ".gz of 200 MB, a byte short": (    # in random pixels it could claim 20 times more
        read_images, lambda: gzip.compress(
            struct.pack(">IIII", 2051, 2000, 10**3, 100) + bytes(2 * 10**8 - 1), 1)
        + gzip.compress(random.Random(1).randbytes(10**7), 0),
        "still more bytes"),
    ".gz of a set of 100 MB": (
        read_images, lambda: gzip.compress(struct.pack(
            ">IIII", 2051, 1, 10**4, 10**4) + bytes(10**8), 1),
        "claims 1 x 10,000 x 10,000 values"),
    ".gz of zeros": (read_images, lambda: gzip.compress(bytes(10**8), 1),
                     "magic number 0"),
    ".gz of ten pixels and zeros": (
        read_images,
        lambda: gzip.compress(struct.pack(">IIII", 2051, 10, 1, 1) + bytes(10**8), 1),
        "still more bytes"),
    "CSV of one line": (data_loader.read_csv, lambda: b"1," * 10**7, "in line 1"),
    "CSV of one cell": (data_loader.read_csv, lambda: b"1" * 10**6, "field larger"),
    "CSV of zeros": (data_loader.read_csv, lambda: bytes(10**7), ""),
    "zip of zeros": (
        npz.read_npz,
        lambda: fuzzing.zip_of([("a.npy", bytes(10**8))], zipfile.ZIP_DEFLATED),
        "of 100,000,000 bytes"),
    "zip that lies": (npz.read_npz, lying_zip, "damaged"),
    "zip that overlaps": (npz.read_npz, overlapping_zip, "unpack to 1,000,000,000"),
}


@pytest.mark.parametrize("kind", HUGE)
def test_files_made_to_fill_the_memory_do_not(kind, tmp_path):
    read, make, found = HUGE[kind]
    path = tmp_path / "file"
    path.write_bytes(make())
    with within_limits():
        error = error_of(read, path)
    assert error and found in error.found


def claims(*shape):
    """A .gz file of 10 MB of noise that claims to be images of this shape."""
    noise = random.Random(1).randbytes(10**7)
    return gzip.compress(struct.pack(">4I", 2051, *shape) + noise, 1)


REFUSED = {     # name, content: for a command in a process of 300 MB and 5 seconds
    "blanks in a PGM's header": ("a.pgm", lambda: b"P5 28" + b" " * 6 * 10**7 + b"28"),
    "a PNG of no end of chunks": ("a.png", lambda: (
        fuzzing.png_of([(b"IHDR", struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0))])
        + fuzzing.png_of([(b"IDAT", b"")])[8:] * 2 * 10**6)),
    "a PNG that unpacks to 200 MB": ("a.png", lambda: fuzzing.png_of([
        (b"IHDR", struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(2 * 10**8), 1)), (b"IEND", b"")])),
    "a set that claims 1 GiB": (
        "train-images-idx3-ubyte", lambda: claims(1, 32768, 32768)),
    "a set that claims 200 MB": (
        "train-images-idx3-ubyte", lambda: claims(2, 10**4, 10**4)),
    "a CSV of no end of images": ("a.csv", lambda: b"1,0\n" * 10**7),
    "a CSV of no end of blank lines": ("a.csv", lambda: b"\n" * 5 * 10**7),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_takes_neither_memory_nor_time(kind, tmp_path, limited):
    name, make = REFUSED[kind]
    folder = shutil.copytree(data_loader.SAMPLE_FOLDER, tmp_path / "sample")
    (folder / f"{name}.gz").unlink(missing_ok=True)
    (folder / name).write_bytes(make())
    is_picture = name in ("a.pgm", "a.png")
    command = ["predict.py", "--image", folder / name] if is_picture else [
        "train.py", "--data", folder / name if name.endswith(".csv") else folder]
    assert is_refusal(limited(*command))


@pytest.mark.parametrize("width, height", [
    (2, 50_000), (50_000, 2), (1, 9999), (1, 65_536), (2000, 40), (30, 1500)])
def test_long_pictures_take_no_longer_than_others(width, height, tmp_path):
    path = tmp_path / "long.pgm"
    pixels = random.Random(1).randbytes(width * height)
    path.write_bytes(b"P5 %d %d 255\n" % (width, height) + pixels)
    with within_limits(weighed=False):
        assert error_of(lambda: digit.find_digits(
            digit.read_picture(path), path))


# --- The page's server


@pytest.fixture
def port():
    """The port of a server of the page for a small network."""
    model = Model(None, Network([784, 4, 10]), 4, "0123456789")
    with serving(make_server(model)) as server:
        yield server.server_port


def exchange(port, request):
    """All that the server answers to these bytes, after which nothing more comes."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass    # it has heard enough and hung up; what it said can still be read
        answer = bytearray()
        try:
            while chunk := connection.recv(1 << 16):
                answer += chunk
        except ConnectionResetError:
            pass    # it hung up on what was left unread
    return bytes(answer)


def statuses(answer):
    """The status of each response in turn; each has to be whole, but for HEAD's."""
    found = []
    while answer:
        head, blank, rest = answer.partition(b"\r\n\r\n")
        if head == b"HTTP/1.1 100 Continue":    # no answer yet
            answer = rest
            continue
        if answer.startswith(b"Bad request") and answer.count(b"\n") == 1:
            return [*found, 400]                # to HTTP/0.9, which knew no headers
        status, size = re.match(
            rb"HTTP/1\.[01] (\d{3}) .*\r\nContent-Length: (\d+)\r\n", head + b"\r\n",
            re.DOTALL).groups()
        assert blank and len(rest) >= int(size) or not rest
        found.append(int(status))
        answer = rest[int(size):]
    return found


def test_damaged_requests_are_answered_or_refused(port, inputs, capfd):
    host = f"127.0.0.1:{port}"
    seeds = [fuzzing.request("GET", path, host)
             for path in ("/", "/start", "/unit?number=3")]
    seeds += [fuzzing.request("POST", path, host, bytes(size)) for path, size in (
        ("/picture", 784), ("/picture?damage=noise", 784), ("/ink", 19600))]
    assert [statuses(exchange(port, seed)) for seed in seeds] == [[200]] * 6
    count, seen = 0, Counter()
    for number, rng in inputs("page"):
        request, count = fuzzing.damaged_request(rng, seeds), number + 1
        with within_limits(weighed=False):
            found = statuses(exchange(port, request))
        assert all(status == 200 or 400 <= status < 500 for status in found)
        seen.update(found)
    assert [statuses(exchange(port, seed)) for seed in seeds] == [[200]] * 6
    assert capfd.readouterr() == ("", "")       # no traceback in any of its threads
    assert seen[200] and seen[400] > count / 20 and len(seen) >= min(6, count)
