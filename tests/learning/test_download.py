"""Downloads from good and bad servers, in several processes, killed half-way."""
import gzip
import os
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from hashlib import sha256

import pytest
from conftest import ROOT, serving
from test_data_loader import (HTML, PARTS, PLAIN, check_little_set, contents, error_of,
                              idx_images, write_set)

import data_loader
from errors import DownloadError, MissingDataError
from learning import download
from learning.download import load_or_sample

SUMS = {part: sha256(raw).hexdigest() for part, raw in contents().items()}
FILES = {PLAIN[part] + ".gz": gzip.compress(raw, mtime=0)
         for part, raw in contents().items()}
BOMB = gzip.compress(struct.pack(">IIII", 2051, 1, 10**4, 10**4) + bytes(10**8), 1)


def whole(content, code=b"200 OK"):
    """An answer as it should be."""
    length = b"Content-Length: %d" % len(content)
    return b"HTTP/1.1 " + code + b"\r\n" + length + b"\r\n\r\n" + content


def sent_on(address):
    """A redirect."""
    return b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % address


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

# What a mirror says to the request for a file, and what is told about it.
BAD = {
    "missing": (whole(b"", b"404 Not Found"), "404"),
    "html": (whole(HTML), "an HTML page"),
    "huge": (whole(bytes(10**6 + 1)), "more than 1,000,000 bytes"),
    "not whole": (whole(b"ab", b"206 Partial Content"), "a file of 2 bytes"),
    "log in": (whole(b"<html>", b"401 No\r\nWWW-Authenticate: \""), "401"),
    "no answer": (b"", "without response"),
    "noise": (bytes(range(256)) * 9, "BadStatusLine"),
    "escape codes": (whole(b"", b"404 \x1b[31mred\x07"), r"404: \x1b[31mred\x07"),
    "endless reason": (whole(b"", b"404 " + b"x" * 60000), "404: xxx"),
    "endless line": (b"HTTP/1.1 200 " + b"x" * 70000, "LineTooLong"),
    "length below 0": (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nab", "2 bytes"),
    "length of years": (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 30
                        + b"\r\n\r\nab", "2 bytes"),
    "chunk of no length": (CHUNKED + b"zz\r\nab", "IncompleteRead"),
    "circle": (sent_on(b"/circle/"), "infinite loop"),
    "to a file": (sent_on(b"file:///etc/passwd"), "not allowed"),
    "to no address": (sent_on(b"http://[::1/x"), "Invalid IPv6 URL"),
    "to no port": (sent_on(b"http://127.0.0.1:abc/"), "nonnumeric port"),
    "garbage": (whole(os.urandom(3000)), "magic number"),
    "another file": (whole(gzip.compress(idx_images(5, first=1))), "SHA-256"),
    "bomb": (whole(BOMB), "claims 1 x 10,000 x 10,000 values"),
    "cut": (None, "reset", "ended before"),
    **dict.fromkeys(("silent", "headers", "drops"), (None, "bytes in 0.3 seconds")),
}


class Mirror(socketserver.StreamRequestHandler):
    """Answers /<kind>/<file> as the kind wants it."""

    def handle(self):
        """Read a request and do what its kind says."""
        path = self.rfile.readline().split()[1].decode()
        self.server.headers = b"".join(iter(lambda: self.rfile.readline().strip(), b""))
        kind, name = path[1:].split("/")
        kind = kind.replace("%20", " ")
        self.server.asked.append((kind, name))
        if kind in BAD and BAD[kind][0] is not None:
            self.wfile.write(BAD[kind][0])
        elif kind == "partly":
            self.good(gzip.compress(b"other") if "t10k-labels" in name else FILES[name])
        elif kind == "moved":
            self.wfile.write(sent_on(b"/good/" + name.encode()))
        else:
            getattr(self, kind)(FILES[name])

    def good(self, content):
        """The whole file, and the connection left open as old servers may."""
        self.wfile.write(whole(content))
        self.server.release.wait(0.3)

    def unsized(self, content):
        """The whole file, without its length."""
        self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + content)

    def silent(self, content):
        """Nothing for a long time."""
        self.server.release.wait(5)

    def cut(self, content):
        """Half the file, then the connection is torn down (RST)."""
        self.wfile.write(whole(content)[:-len(content) // 2])
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                   struct.pack("ii", 1, 0))
        self.connection.close()

    def headers(self, content):
        """The headers byte by byte, then the whole file."""
        for byte in b"HTTP/1.1 200 OK\r\nServer: a server that is in no hurry\r\n":
            self.wfile.write(bytes([byte]))
            self.server.release.wait(0.03)
        self.wfile.write(whole(content).partition(b"\r\n")[2])

    def drops(self, content):
        """A byte every now and then: never silent, and never done."""
        self.wfile.write(whole(content + bytes(9999))[:-9999])
        while not self.server.release.wait(0.02):
            self.wfile.write(b"\0")

    def pieces(self, content):
        """The whole file in eight pieces; after one of them nothing more comes."""
        answer = whole(content)
        step = -(-len(answer) // 8)
        for start in range(0, len(answer), step):
            self.wfile.write(answer[start:start + step])
            self.server.sent += 1
            if self.server.sent == self.server.last:
                self.server.stopped.set()
                self.server.release.wait(10)
            time.sleep(0.001)

    def finish(self):
        """Close what is still open; the client may have gone."""
        try:
            super().finish()
        except OSError:
            pass


class Server(socketserver.ThreadingTCPServer):
    """A server on a free port of this machine."""

    daemon_threads, allow_reuse_address = True, True

    def handle_error(self, request, client_address):
        """A client that hangs up is what these tests are about."""


@pytest.fixture(autouse=True)
def server(monkeypatch, tmp_path):
    """A server whose files have the checksums that MNIST's should have."""
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    home = tmp_path.resolve() / "home" / "mnist"
    monkeypatch.setattr(data_loader, "MNIST_FOLDER", home)
    monkeypatch.setattr(data_loader, "MNIST_SHA256", SUMS)
    monkeypatch.setattr(download, "_TIMEOUT", 0.3)
    monkeypatch.setattr(download, "_LARGEST", 10**6)
    with serving(Server(("127.0.0.1", 0), Mirror)) as server:
        server.asked, server.release = [], threading.Event()
        server.sent, server.last, server.stopped = 0, 0, threading.Event()
        server.url = f"http://127.0.0.1:{server.server_address[1]}/"
        yield server
        server.release.set()


def mirrors(server, *kinds):
    """The addresses of mirrors of these kinds."""
    return [f"{server.url}{kind.replace(' ', '%20')}/" for kind in kinds]


def check_complete(folder):
    """The four files, right, and nothing else."""
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    check_little_set(*data_loader.load(folder))
    assert data_loader.load(folder)[0].name == "MNIST"


# --- What a mirror may do -------------------------------------------------------------


@pytest.mark.parametrize("kind", ["good", "unsized", "moved"])
def test_a_download_and_its_progress(tmp_path, server, kind):
    folder, steps = tmp_path / "new" / "folder", {}

    def progress(url, done, total):     # a file is verified before it is there
        mirror, slash, name = url.rpartition("/")
        assert [mirror + slash] == mirrors(server, kind)
        assert not (folder / name).exists() and bool(done) == (name in steps)
        steps.setdefault(name, []).append((done, total))
    download.download(folder, mirrors(server, kind), progress)
    check_complete(folder)
    assert steps == {name: [(0, 0), (len(content), (kind != "unsized") * len(content))]
                     for name, content in FILES.items()}
    assert b"User-Agent" in server.headers and b"Python-urllib" not in server.headers
    (folder / "new").touch()
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1     # as for all


@pytest.mark.parametrize("kind", BAD)
def test_every_fault_is_named_and_leaves_nothing(tmp_path, server, kind):
    both = mirrors(server, kind, "missing")
    error = error_of(download.download, tmp_path, both)
    assert isinstance(error, DownloadError) and error.path == tmp_path
    assert any(word in error.found for word in BAD[kind][1:])
    assert "no mirror of 2" in error.found
    assert error.found.count("Error 404: Not Found") == 1   # both faults, each once
    assert kind == "missing" or all(url in error.found for url in both)
    assert len(error.found) < 500 and error.found.isprintable()
    assert all(name in error.expected for name in PLAIN.values())
    assert os.listdir(tmp_path) == []


def test_the_first_good_mirror_wins(tmp_path, server):
    download.download(tmp_path, mirrors(server, *BAD, "good", "pieces"))
    check_complete(tmp_path)
    assert [kind for kind, _ in server.asked][-4:] == ["good"] * 4
    assert set(dict(server.asked)) == {*BAD, "good"}


def test_what_is_there_is_neither_fetched_again_nor_overwritten(tmp_path, server):
    (tmp_path / "train-images.idx3-ubyte").write_bytes(b"mine")
    for name in (".of-another.12.part", ".of-one-that-was-killed.7.part"):
        (tmp_path / name).touch()
    os.utime(tmp_path / name, (0, 0))
    error_of(download.download, tmp_path, mirrors(server, "partly"))
    assert sorted(os.listdir(tmp_path)) == [
        ".of-another.12.part", "t10k-images-idx3-ubyte.gz",
        "train-images.idx3-ubyte", "train-labels-idx1-ubyte.gz"]
    download.download(tmp_path, mirrors(server, "good"))
    assert (tmp_path / "train-images.idx3-ubyte").read_bytes() == b"mine"
    assert [path for path in server.asked if path[0] == "good"] == [
        ("good", "t10k-labels-idx1-ubyte.gz")]


def test_a_folder_that_cannot_be_made_and_a_server_that_is_gone(tmp_path, server):
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for folder, found in ((tmp_path / "file" / "mnist", "Not a directory"),
                          (tmp_path / "link", "a link to nowhere")):
        error = error_of(download.download, folder, mirrors(server, "good"))
        assert (error.path, error.found) == (folder, found)
    assert (tmp_path / "file").read_bytes() == b"mine" and server.asked == []
    with Server(("127.0.0.1", 0), Mirror) as closed:
        url = f"http://127.0.0.1:{closed.server_address[1]}/"
    error = error_of(download.download, tmp_path / "new", [url])
    assert "refused" in error.found.lower() and os.listdir(tmp_path / "new") == []


# --- Several processes and signals ----------------------------------------------------


PROGRAM = """\
import sys, data_loader
from learning.download import download
data_loader.MNIST_SHA256 = dict(zip(data_loader.MNIST_SHA256, sys.argv[3:]))
download(sys.argv[1], [sys.argv[2]])
"""


@pytest.fixture
def start(tmp_path, server):
    """start(): a process that downloads the little set, piece by piece."""
    processes = []

    def begin():
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "mnist"),
                   *mirrors(server, "pieces"), *(SUMS[part] for part in PARTS)]
        processes.append(subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE))
        return processes[-1]
    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def test_processes_that_download_at_once_do_not_spoil_each_other(
        tmp_path, server, start):
    for process in [start() for _ in range(4)]:
        assert (process.communicate(timeout=60)[1], process.returncode) == (b"", 0)
    check_complete(tmp_path / "mnist")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
@pytest.mark.parametrize("piece", [1, 8, 9, 20, 31])    # of eight a file
def test_a_download_that_is_killed_leaves_whole_files_and_is_completed(
        tmp_path, server, start, name, piece):
    folder, server.last = tmp_path / "mnist", piece
    process = start()
    assert server.stopped.wait(30)
    process.send_signal(getattr(signal, name))
    process.communicate(timeout=30)
    assert process.returncode != 0
    for path in folder.iterdir():
        if path.name.endswith(".part") and name == "SIGKILL":
            os.utime(path, (0, 0))      # the next download clears it away, once old
        else:
            assert path.read_bytes() == FILES[path.name]
    error_of(data_loader.load, folder)
    download.download(folder, mirrors(server, "good"))
    check_complete(folder)


# --- Where the sets come from ---------------------------------------------------------


def test_mnist_is_downloaded_once(server, monkeypatch):
    monkeypatch.setattr(download, "MIRRORS", mirrors(server, "good"))
    for _ in range(2):
        train, test, notice = load_or_sample()
        check_little_set(train, test)
        assert (train.name, notice) == ("MNIST", "")
        assert download.folder_in_use() == data_loader.MNIST_FOLDER
    assert len(server.asked) == 4


def test_without_a_network_it_is_the_sample(tmp_path, server, monkeypatch):
    sample = write_set(tmp_path.resolve() / "mnist")
    monkeypatch.setattr(data_loader, "SAMPLE_FOLDER", sample)
    monkeypatch.setattr(download, "MIRRORS", mirrors(server, "missing", "html"))
    train, test, notice = load_or_sample()
    assert train.name == test.name == "sample (synthetic digits)"
    for words in [str(data_loader.MNIST_FOLDER), "SAMPLE", "synthetic",
                  *download.MIRRORS, *PLAIN.values()]:
        assert words in notice
    assert os.listdir(data_loader.MNIST_FOLDER) == []
    assert download.folder_in_use() == sample


def test_a_folder_that_the_user_named_is_never_replaced(tmp_path, server, monkeypatch):
    monkeypatch.setattr(download, "MIRRORS", mirrors(server, "good"))
    with pytest.raises(MissingDataError, match="no data set"):
        load_or_sample(tmp_path)
    monkeypatch.setenv("MNIST_DIR", str(tmp_path / "none"))
    with pytest.raises(MissingDataError, match="no such folder"):
        load_or_sample()
    monkeypatch.delenv("MNIST_DIR")
    write_set(data_loader.MNIST_FOLDER, train_images=HTML)    # nor is damage hidden
    assert error_of(load_or_sample).found == "an HTML page" and server.asked == []
