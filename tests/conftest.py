"""What the test files share: the way to the modules, and matrices to compute with."""
import gzip
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path

import pytest
from tools.browser import NAMES, Browser, find_chromium

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "data" / "sample"
SEVEN = [[(0.25, 0.25), (0.5, 0.25), (0.75, 0.25), (0.65, 0.45), (0.55, 0.65),
          (0.45, 0.88)]]        # a stroke over the paper of a page, from 0 to 1
sys.path.insert(0, str(ROOT))


# Where the tests run in the background, as with "&" in a script, Ctrl-C may be ignored,
# and what they start would ignore it too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def contrast(one, other):
    """The contrast of two colours such as "#e69f00", 1 to 21, as WCAG 2 reckons it."""
    def luminance(colour):
        parts = [int(colour[k:k + 2], 16) / 255 for k in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
                            for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@contextmanager
def serving(server):
    """A server that runs beside the test, and is closed after it."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """A browser."""
    path = find_chromium()
    if not path:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    browser = Browser(path, tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def served():
    """served(server): its address; it runs beside the test."""
    with ExitStack() as running:
        yield lambda server: running.enter_context(serving(server)).url


@pytest.fixture
def opened(chromium, served):
    """opened(url, until, width, height, dark=True ...): the browser, with that page,
    in which JavaScript `until` is true; it must report no problem."""
    def open_page(url, until, width=1280, height=800, **look):
        chromium.problems.clear()
        chromium.look(width, height, **look)
        chromium.open(url, until)
        return chromium

    yield open_page
    chromium.open("about:blank", "true")        # no page asks a server that is closed
    assert chromium.problems == []


@pytest.fixture(scope="session")
def shipped():
    """The model that the repository ships."""
    from learning.models import Model
    return Model.load(ROOT / "data" / "model.npz")


@pytest.fixture(scope="session")
def sample():
    """The test images of the sample that the repository ships."""
    from data_loader import load
    return load(SAMPLE, ("t10k",))[0]


@pytest.fixture(scope="session")
def tiny():
    """60 images of 6 x 6 pixels, of three classes in turn."""
    from data_loader import Dataset
    pixels = random.Random(1)
    return Dataset("tiny", bytes(int(256 * pixels.random()) for _ in range(60 * 36)),
                   bytes(i % 3 for i in range(60)), 6, 6, ["no", "yes", "T-shirt/top"])


@pytest.fixture
def drawn():
    """Skips a test that looks at pictures where none can be drawn."""
    pytest.importorskip("matplotlib")


def pytest_addoption(parser):
    """pytest --fuzz 50000: look longer for inputs that do harm; --long: do it all."""
    parser.addoption("--fuzz", type=int, default=2000, metavar="N",
                     help="damaged inputs of each format to try (2000)")
    parser.addoption("--long", action="store_true",
                     help="run the README's commands that take more than 10 s too")


@pytest.fixture
def rng():
    """A fresh generator, seeded alike for every test."""
    return random.Random(1867)


@pytest.fixture
def train_process():
    """train_process(*options, until=text): train.py in a process that has printed this.

    Its whole process group is killed behind the test.
    """
    started = []

    def start(*options, until, stdin=subprocess.DEVNULL):
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *options], text=True, stdin=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        started.append(process)
        while until not in process.stdout.readline():
            assert process.poll() is None, process.stderr.read()
        return process

    yield start
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.communicate()


def children_of(pid):
    """The processes that a process has started and that still run (Linux), but for the
    one that multiprocessing itself keeps where processes start afresh."""
    children = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            own = b"resource_tracker" not in (stat.parent / "cmdline").read_bytes()
        except OSError:                                    # it has ended meanwhile
            continue
        if int(parent) == pid and state != "Z" and own:
            children.append(int(stat.parent.name))
    return children


@pytest.fixture
def limited():
    """limited(command, *options): that command, ended, in a process that the system
    gives 300 MB of memory and 5 seconds of its time: enough to refuse any input."""
    resource = pytest.importorskip("resource")

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))
        resource.setrlimit(resource.RLIMIT_CPU, (5, 5))

    def run(command, *options):
        return subprocess.run([sys.executable, str(ROOT / command), *map(str, options)],
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ, "MNIST_DIR": str(SAMPLE)},
                              preexec_fn=limit)
    return run


def write_idx(folder, *sets):
    """A new folder with these data sets, to train and to be tested on, as IDX files."""
    from data_loader import FILE_NAMES, PARTS
    folder.mkdir()
    for part, data in zip(PARTS, sets):
        shape = len(data), data.height, data.width
        contents = {"images": struct.pack(">4I", 2051, *shape) + data.images,
                    "labels": struct.pack(">2I", 2049, len(data)) + data.labels}
        for kind, content in contents.items():
            name = FILE_NAMES[f"{part}-{kind}"]
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, 1))
    return folder


def peak_memory(action, *arguments):
    """The most bytes that Python has taken for something at a time."""
    tracemalloc = pytest.importorskip("tracemalloc", reason="PyPy cannot tell")
    tracemalloc.start()
    try:
        action(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def is_refusal(done):
    """Whether a command ended with one printable line and exit code 2."""
    line, end = done.stderr[:-1], done.stderr[-1:]
    return (done.returncode, end) == (2, "\n") and line.isprintable()


@pytest.fixture
def other_data(tmp_path):
    """The sample with one label changed."""
    folder = shutil.copytree(ROOT / "data" / "sample", tmp_path / "other")
    path = folder / "train-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[8] = (content[8] + 1) % 10
    path.write_bytes(gzip.compress(content))
    return folder


@pytest.fixture
def random_rows(rng):
    """random_rows(m, n, kind): m lists of n numbers of a kind, about a third zeros.

    int and Fraction make an oracle exact, so that == is the right comparison.
    """
    make = {int: lambda: rng.randint(-9, 9),
            Fraction: lambda: Fraction(rng.randint(-9, 9), rng.randint(1, 7)),
            float: lambda: rng.uniform(-1, 1)}

    def rows(m, n, kind=int):
        return [[make[kind]() if rng.random() < 0.7 else kind(0) for _ in range(n)]
                for _ in range(m)]
    return rows
