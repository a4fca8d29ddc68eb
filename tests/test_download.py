"""Downloads from hostile servers, in several processes, killed half-way.

test_data_loader.py has the usual faults of a mirror; here are the nasty ones, and what
a signal or a second process may do to a folder.
"""
import gzip
import os
import signal
import socketserver
import struct
import subprocess
import sys
import threading
import time
from hashlib import sha256

import pytest
from conftest import ROOT, serving
from test_data_loader import PARTS, PLAIN, contents, error_of

import data_loader

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
    "server error": (whole(b"", b"500 Internal Server Error"), "500"),
    "busy": (whole(b"later", b"503 Busy"), "503"),
    "not whole": (whole(b"ab", b"206 Partial Content"), "a file of 2 bytes"),
    "log in": (whole(b"<html>", b"401 No\r\nWWW-Authenticate: \""), "401"),
    "no answer": (b"", "without response"),
    "noise": (bytes(range(256)) * 9, "BadStatusLine"),
    "bare html": (b"<html>" * 999, "BadStatusLine"),
    "escape codes": (whole(b"", b"404 \x1b[31mred\x07"), r"404: \x1b[31mred\x07"),
    "endless reason": (whole(b"", b"404 " + b"x" * 60000), "404: xxx"),
    "endless line": (b"HTTP/1.1 200 " + b"x" * 70000, "LineTooLong"),
    "endless headers": (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200, "100 headers"),
    "endless continue": (b"HTTP/1.1 100 Continue\r\n\r\n" * 50, "without response"),
    "wrong length": (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nab", "2 bytes"),
    "length below 0": (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nab", "2 bytes"),
    "length of years": (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 30
                        + b"\r\n\r\nab", "2 bytes"),
    "chunk of no length": (CHUNKED + b"zz\r\nab", "IncompleteRead"),
    "chunk below 0": (CHUNKED + b"-5\r\nab", "IncompleteRead"),
    "chunk of years": (CHUNKED + b"f" * 16 + b"\r\nab", "IncompleteRead"),
    "circle": (sent_on(b"/circle/"), "infinite loop"),
    "to a file": (sent_on(b"file:///etc/passwd"), "not allowed"),
    "to no address": (sent_on(b"http://[::1/x"), "Invalid IPv6 URL"),
    "to no host": (sent_on(b"http://a..b/x"), "label"),
    "to no port": (sent_on(b"http://127.0.0.1:abc/"), "nonnumeric port"),
    "garbage": (whole(os.urandom(3000)), "magic number"),
    "another file": (whole(FILES[PLAIN["t10k-labels"] + ".gz"]), "SHA-256"),
    "bomb": (whole(BOMB), "claims 1 x 10,000 x 10,000 values"),
}


class Mirror(socketserver.StreamRequestHandler):
    """Answers /<kind>/<file>, byte by byte as the kind wants it."""

    def handle(self):
        """Read a request and do what its kind says."""
        path = self.rfile.readline().split()[1].decode()
        while self.rfile.readline().strip():
            pass
        kind, name = path[1:].split("/")
        kind = kind.replace("%20", " ")
        self.server.asked.append((kind, name))
        if kind in BAD:
            self.wfile.write(BAD[kind][0])
        elif kind == "moved":
            self.wfile.write(sent_on(b"/good/" + name.encode()))
        else:
            getattr(self, kind)(FILES[name])

    def good(self, content):
        """The whole file, and the connection left open as old servers may."""
        self.wfile.write(whole(content))
        self.server.release.wait(0.5)

    def cut(self, content):
        """Half the file, then the connection is torn down (RST)."""
        self.wfile.write(whole(content)[:-len(content) // 2])
        self.connection.setsockopt(*LINGER)
        self.connection.close()

    def drops(self, content):
        """A byte every now and then: never silent, and never done."""
        self.wfile.write(whole(content + bytes(9999))[:-9999])
        while not self.server.release.wait(0.02):
            self.wfile.write(b"\0")

    def headers(self, content):
        """The headers byte by byte, then the whole file."""
        for byte in b"HTTP/1.1 200 OK\r\nServer: a server that is in no hurry\r\n":
            self.wfile.write(bytes([byte]))
            self.server.release.wait(0.03)
        self.wfile.write(whole(content).partition(b"\r\n")[2])

    def continues(self, content):
        """Go on, go on, go on, and then the whole file."""
        for _ in range(50):
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.server.release.wait(0.03)
        self.wfile.write(whole(content))

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


LINGER = (socketserver.socket.SOL_SOCKET, socketserver.socket.SO_LINGER,
          struct.pack("ii", 1, 0))


class Server(socketserver.ThreadingTCPServer):
    """A server on a free port of this machine."""

    daemon_threads, allow_reuse_address = True, True

    def handle_error(self, request, client_address):
        """A client that hangs up is what these tests are about."""


@pytest.fixture(autouse=True)
def server(monkeypatch, tmp_path):
    """A server, MNIST's checksums replaced by those of the little set it has."""
    monkeypatch.setattr(data_loader, "MNIST_SHA256", SUMS)
    monkeypatch.setattr(data_loader, "_TIMEOUT", 0.5)
    monkeypatch.setenv("no_proxy", "*")
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
    assert data_loader.load(folder)[0].name == "MNIST"


# --- What a mirror may do -------------------------------------------------------------


@pytest.mark.parametrize("kind", BAD)
def test_every_fault_is_named_and_leaves_nothing(tmp_path, server, kind):
    error = error_of(data_loader.download, tmp_path, mirrors(server, kind))
    assert isinstance(error, data_loader.DownloadError)
    assert BAD[kind][1] in error.found
    assert len(error.found) < 300 and error.found.isprintable()
    assert os.listdir(tmp_path) == []


def test_the_first_good_mirror_wins(tmp_path, server):
    kinds = [*BAD, "cut", "drops", "good", "pieces"]
    data_loader.download(tmp_path, mirrors(server, *kinds))
    check_complete(tmp_path)
    assert [kind for kind, _ in server.asked if kind != "circle"][-4:] == ["good"] * 4
    assert "pieces" not in dict(server.asked)


def test_a_connection_that_is_torn_down(tmp_path, server):
    error = error_of(data_loader.download, tmp_path, mirrors(server, "cut"))
    assert "reset" in error.found or "cut short" in error.found
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", ["headers", "continues", "drops"])     # 1.5 s; ever
def test_a_server_that_sends_drop_by_drop_is_given_up(tmp_path, server, kind):
    error = error_of(data_loader.download, tmp_path, mirrors(server, kind))
    assert "bytes in 0.5 seconds" in error.found and os.listdir(tmp_path) == []


def test_a_redirect_is_followed(tmp_path, server):
    data_loader.download(tmp_path, mirrors(server, "moved"))
    check_complete(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="Windows opens no folders")
def test_the_names_of_files_are_forced_onto_the_disk(tmp_path, server, monkeypatch):
    names, inode = [], tmp_path.stat().st_ino
    monkeypatch.setattr(os, "fsync", lambda handle: names.append(
        len(os.listdir(tmp_path)) if os.fstat(handle).st_ino == inode else 0))
    data_loader.download(tmp_path, mirrors(server, "good"))
    assert [count for count in names if count] == [2, 3, 4, 5]     # and a scratch folder


# --- Several processes and signals ----------------------------------------------------


PROGRAM = """\
import sys, data_loader
data_loader.MNIST_SHA256 = dict(zip(data_loader.MNIST_SHA256, sys.argv[3:]))
data_loader.download(sys.argv[1], [sys.argv[2]])
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


# Eight pieces a file: these are before, in and between the files, and in the last one.
KILLED_AT = [1, 4, 7, 8, 9, 16, 17, 24, 28, 31]


def killed_download(server, start, name, piece):
    """Begin a download and send it a signal once `piece` pieces have been sent."""
    server.last = piece
    process = start()
    assert server.stopped.wait(30)
    process.send_signal(getattr(signal, name))
    process.communicate(timeout=30)
    assert process.returncode != 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("piece", KILLED_AT)
def test_a_download_that_is_killed_leaves_nothing_that_passes_for_a_file(
        tmp_path, server, start, piece):
    folder = tmp_path / "mnist"
    killed_download(server, start, "SIGKILL", piece)
    names = {path.name: path for path in folder.iterdir()}
    scratch = [names.pop(name) for name in list(names) if name.startswith(".download-")]
    assert len(scratch) <= 1
    assert all(path.read_bytes() == FILES[name] for name, path in names.items())
    error_of(data_loader.load, folder)
    for path in scratch:        # the next download clears it away, once it is old
        os.utime(path, (0, 0))
    data_loader.download(folder, mirrors(server, "good"))
    check_complete(folder)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("piece", [1, 8, 20])
def test_ctrl_c_leaves_nothing_but_whole_files(tmp_path, server, start, piece):
    killed_download(server, start, "SIGINT", piece)
    for path in (tmp_path / "mnist").iterdir():
        assert path.read_bytes() == FILES[path.name]


def test_a_download_that_runs_is_not_cleared_away(tmp_path, server):
    running = tmp_path / ".download-running"
    running.mkdir()
    data_loader.download(tmp_path, mirrors(server, "good"))
    assert running.is_dir()
