"""Whatever is fed to the readers, they read it or say in one line what is wrong.

Every input has a number and can be had again.  `pytest tests/test_fuzz.py --fuzz N`
tries the first N of each format; where one does harm, its number is told.
"""
import gzip
import math
import random
import re
import shutil
import struct
import time
import zipfile
import zlib
from collections import Counter
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from conftest import is_refusal, serving
from tools import fuzzing
from tools.asking import raw

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
SHADES = bytes(range(256)) * 3
PNG_SEEDS = [fuzzing.png_chunks(
    fuzzing.random_pixels(width, 20, depth, colour), depth, colour, interlaced,
    (4, 2, 3, 0, 1), [(b"PLTE", SHADES[:3 << depth])] if colour == 3 else
    [(b"tRNS", bytes(2))] if colour == 0 else [], 50)
    for colour, depth in ((0, 1), (0, 16), (2, 8), (2, 16), (3, 1), (3, 8), (4, 8),
                          (4, 16), (6, 8), (6, 16))
    for interlaced, width in ((0, 31), (1, 3))]
PNM_SEEDS = [b"P1 3 2 0 1 0 1 0 1", b"P2\n# by hand\n3 2\n9\n0 1 2 3 4 9\n",
             b"P3 1 2 255 1 2 3 4 5 6", b"P4 9 2\n" + bytes(range(4)),
             b"P5 4 4 255\n" + bytes(range(16)), b"P5 2 2 65535\n" + bytes(range(8)),
             b"P6 2 2 255\n" + bytes(range(12))]
OTHER_SEEDS = [     # a BMP and a GIF of a few pixels: Pillow's, where that is installed
    b"BM" + struct.pack("<IIIIiiHHIIIIII", 70, 0, 54, 40, 2, 2, 1, 24, *[0] * 6)
    + bytes(range(16)),
    b"GIF89a\2\0\2\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\2\0\2\0\0\2\2\x8c\n\0;"]


# --- Every format: how a damaged file of it is read


def check_folder(folder, files, name="."):
    """Load a data set from a folder of these files, or by the name of one of them."""
    with TemporaryDirectory(dir=folder) as place:
        for file, content in files.items():
            Path(place, file).write_bytes(content)
        for data in data_loader.load(Path(place, name)):
            assert len(data.images) == len(data) * data.height * data.width
            assert 0 <= min(data.labels) and max(data.labels) < data.class_count


def check_idx(folder, content, rng):
    """Read a file, now and then as one of the four in a folder."""
    if rng.random() < 0.1:
        files = dict(zip(data_loader.FILE_NAMES.values(), IDX_SEEDS[:2] * 2))
        damaged = rng.choice(list(files))
        del files[damaged]
        files[damaged + rng.choice(["", ".gz"])] = content
        return check_folder(folder, files)
    path = folder / rng.choice(["file", "file.gz"])
    path.write_bytes(content)
    idx = data_loader.read_idx(path, rng.choice(["images", "labels"]))
    assert len(idx.values) == math.prod(idx.shape) > 0


def check_csv(folder, content, rng):
    """Read a CSV file, which may be the second one of its folder."""
    files = rng.choice([{"train.csv": content},
                        {"train.csv": CSV_SEEDS[0], "test.csv": content}])
    check_folder(folder, files, rng.choice([".", "train.csv"]))


def check_npz(folder, content, rng):
    """Read a model."""
    path = folder / rng.choice(["model.npz", "model.png", "model"])
    path.write_bytes(content)
    matrices, settings = npz.read_npz(path)
    assert isinstance(settings, dict)
    assert all(isinstance(matrix, Matrix) for matrix in matrices.values())
    if rng.random() < 0.5:
        network, _ = Network.load(path)
        assert network.parameter_count > 0


def check_picture(folder, content, rng):
    """Read a picture, and half the time the digits in it."""
    path = folder / rng.choice(["digit.png", "digit.pgm", "digit.jpg", "digit"])
    path.write_bytes(content)
    rows = digit.read_picture(path)
    assert rows and len(set(map(len, rows))) == 1 and len(rows[0]) > 0
    if rng.random() < 0.5:
        digits = digit.find_digits(rows, path).digits
        assert digits and all(len(digit) == 784 for digit in digits)


@lru_cache(maxsize=1)
def npz_seeds(folder):
    """The members of good model files, with settings and without."""
    path = folder / "seed.npz"
    Network([4, 3, 2]).save(path, {"grey_levels": 4, "history": [{"epoch": 1}]})
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    return [members, [member for member in members if member[0] != "settings.npy"]]


FORMATS = {     # make(rng, folder) -> content, check(folder, content, rng)
    "IDX": (lambda rng, _: fuzzing.damage(rng, IDX_SEEDS), check_idx),
    "gzip": (lambda rng, _: fuzzing.damaged_gzip(rng, IDX_SEEDS), check_idx),
    "CSV": (lambda rng, _: fuzzing.damage(rng, CSV_SEEDS, CSV_TOKENS), check_csv),
    "npz": (lambda rng, folder: fuzzing.damaged_npz(rng, npz_seeds(folder)), check_npz),
    "PNG": (lambda rng, _: fuzzing.damaged_png(rng, PNG_SEEDS), check_picture),
    "other pictures": (lambda rng, _: fuzzing.damage(rng, PNM_SEEDS + OTHER_SEEDS),
                       check_picture),
}


# --- What has to hold for each input


def error_of(read, *arguments, weighed=True):
    """The DataError of reading, a printable line of bounded length, or None.

    It takes little time and, where it is weighed, little memory.
    """
    error, peak = None, 0
    if weighed and tracemalloc:
        tracemalloc.start()
    start = time.process_time()
    try:
        read(*arguments)
    except DataError as refused:
        error = refused
        line = str(error).replace(str(error.path), "", 1)
        assert line.isprintable() and len(line) <= LONGEST, line
        assert error.found and error.expected
    finally:
        seconds = time.process_time() - start
        if weighed and tracemalloc:
            peak = tracemalloc.get_traced_memory()[1] / 1e6
            tracemalloc.stop()
    assert seconds < SECONDS and peak < MEGABYTES
    return error


@pytest.fixture
def inputs(pytestconfig, recwarn):
    """inputs(name): (number, its random numbers) of each input to try.

    The last number is told where a test fails.  Nothing may warn: a warning would be a
    further line on stderr.
    """
    def numbered(name):
        nonlocal last
        for last in range(pytestconfig.getoption("--fuzz")):
            yield last, fuzzing.rng_for(name, last)
    last = None
    yield numbered
    print(f"The last input was number {last}.")
    assert [warning for warning in recwarn.list     # sockets may be other tests'
            if warning.category is not ResourceWarning] == []


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_read_or_refused_in_one_line(name, tmp_path, inputs):
    make, check = FORMATS[name]
    reasons, count, refused = set(), 0, 0
    for number, rng in inputs(name):
        content, count = make(rng, tmp_path), number + 1
        error = error_of(check, tmp_path, content, rng,
                         weighed=number % 20 == 0)      # it takes far longer
        if error:
            refused += 1
            reasons.add("".join(c for c in error.found if c.isalpha() or c == " ")[:20])
    # Nearly all of it is harmful, and it gets to many different places in the reader.
    assert refused > count / 4 and count - refused > count / 1000
    assert len(reasons) >= min(8, count)


# --- Files made to fill the memory


def lying_zip():
    """An archive whose only member claims 100 bytes and unpacks to 100 million."""
    data = bytearray(zip_of_zeros(10**8))
    for signature, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        struct.pack_into("<I", data, data.index(signature) + offset, 100)
    return bytes(data)


def overlapping_zip():
    """An archive with a thousand entries for one and the same member of a megabyte."""
    data = zip_of_zeros(10**6)
    start = data.index(b"PK\1\2")
    entries, end = data[start:-22] * 1000, bytearray(data[-22:])
    struct.pack_into("<HHI", end, 8, 1000, 1000, len(entries))
    return data[:start] + entries + bytes(end)


def zip_of_zeros(count):
    """An archive of one member."""
    return fuzzing.zip_of([("a.npy", bytes(count))], zipfile.ZIP_DEFLATED)


def images(*shape, content=b""):
    """The header of an IDX file of images, and what follows it."""
    return struct.pack(">4I", 2051, *shape) + content


def read_images(path):
    """Read a file of images."""
    return data_loader.read_idx(path, "images")


HUGE = {    # reader, content, what is said about it
    "IDX of 85,000 images": (read_images, lambda: images(85_000, 28, 28),
                             "0 bytes after the header"),
    "IDX of more than its size": (read_images, lambda: images(90_000, 28, 28),
                                  "claims 90,000 x 28 x 28"),
    ".gz of 200 MB, a byte short": (    # in random pixels it could claim 20 times more
        read_images, lambda: gzip.compress(
            images(2000, 10**3, 100, content=bytes(2 * 10**8 - 1)), 1)
        + gzip.compress(random.Random(1).randbytes(10**7), 0),
        "still more bytes"),
    ".gz of a set of 100 MB": (
        read_images,
        lambda: gzip.compress(images(1, 10**4, 10**4, content=bytes(10**8)), 1),
        "claims 1 x 10,000 x 10,000 values"),
    ".gz of ten pixels and zeros": (
        read_images, lambda: gzip.compress(images(10, 1, 1, content=bytes(10**8)), 1),
        "still more bytes"),
    "CSV of one line": (data_loader.read_csv, lambda: b"1," * 10**7, "in line 1"),
    "CSV of zeros": (data_loader.read_csv, lambda: bytes(10**7), ""),
    "zip of zeros": (npz.read_npz, lambda: zip_of_zeros(10**8), "of 100,000,000 bytes"),
    "zip that lies": (npz.read_npz, lying_zip, "damaged"),
    "zip that overlaps": (npz.read_npz, overlapping_zip, "unpack to 1,000,000,000"),
}


@pytest.mark.parametrize("kind", HUGE)
def test_files_made_to_fill_the_memory_do_not(kind, tmp_path):
    read, make, found = HUGE[kind]
    path = tmp_path / "file"
    path.write_bytes(make())
    error = error_of(read, path)
    assert error and found in error.found


def png_of_28(*chunks):
    """A PNG file of 28 x 28 grey pixels with these chunks after its header."""
    return fuzzing.png_of([fuzzing.png_header(28, 28), *chunks])


REFUSED = {     # name, content: for a command in a process of 300 MB and 5 seconds
    "blanks in a PGM's header": ("a.pgm", lambda: b"P5 28" + b" " * 6 * 10**7 + b"28"),
    "a PNG of no end of chunks": ("a.png", lambda: (
        png_of_28() + fuzzing.png_of([(b"IDAT", b"")])[8:] * 2 * 10**6)),
    "a PNG that unpacks to 200 MB": ("a.png", lambda: png_of_28(
        (b"IDAT", zlib.compress(bytes(2 * 10**8), 1)), (b"IEND", b""))),
    "a set that claims 200 MB": ("train-images-idx3-ubyte", lambda: gzip.compress(
        images(2, 10**4, 10**4, content=random.Random(1).randbytes(10**7)), 1)),
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
    (2, 50_000), (50_000, 2), (1, 65_536), (30, 1500)])
def test_long_pictures_take_no_longer_than_others(width, height, tmp_path):
    path = tmp_path / "long.pgm"
    pixels = random.Random(1).randbytes(width * height)
    path.write_bytes(b"P5 %d %d 255\n" % (width, height) + pixels)
    assert error_of(lambda: digit.find_digits(digit.read_picture(path), path),
                    weighed=False)


# --- The page's server


def statuses(server, request):
    """The status of each response in turn; each has to be whole, but for HEAD's."""
    answer, found = b"", []
    with suppress(ConnectionError):     # it may hang up on what it will not read
        answer = raw(server, request, end=True)
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


def test_damaged_requests_are_answered_or_refused(inputs, capfd):
    count, seen = 0, Counter()
    with serving(make_server(
            Model(None, Network([784, 4, 10]), 4, "0123456789"))) as server:
        host = f"127.0.0.1:{server.server_port}"
        seeds = [fuzzing.request("GET", path, host)
                 for path in ("/", "/start", "/unit?number=3")]
        seeds += [fuzzing.request("POST", path, host, bytes(size)) for path, size in (
            ("/picture", 784), ("/picture?damage=noise", 784), ("/ink", 19600))]
        for number, rng in inputs("page"):
            request, count = fuzzing.damaged_request(rng, seeds), number + 1
            found = statuses(server, request)
            assert all(status == 200 or 400 <= status < 500 for status in found)
            seen.update(found)
        assert [statuses(server, seed) for seed in seeds] == [[200]] * 6
    assert capfd.readouterr() == ("", "")       # no traceback in any of its threads
    assert seen[200] and seen[400] > count / 20 and len(seen) >= min(6, count)
