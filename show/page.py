"""The draw-a-digit page: a small web server for the browser on this very machine.

The page is one file, page.html; what it asks for, and what it gets:

    GET  /          the page
    GET  /start     names of the classes, sizes of the network, digits to try (JSON)
    GET  /unit/17   the weights of unit 17 of the first layer (JSON)
    POST /ink       140 x 140 bytes, 0 paper and 255 ink  -> readings (JSON)
    POST /picture   28 x 28 bytes, in MNIST's form        -> readings (JSON)

A reading is a picture as the network sees it, the sums and activations of the first
layer's units, and the answers.  `?damage=noise` behind a POST gets seven of them, from
the whole picture to the most damaged one.

Every page that is open in a browser can reach a server on the same machine.  So this
one listens on the loopback alone and refuses what names another host (one that points
here: "DNS rebinding") and any POST that does not come from its own page.
"""
from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import random
import re
import socket
import socketserver
import sys
import threading
import time
import webbrowser
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Callable, Sequence

import data_loader
from data_loader import Dataset
from engine.sparse import SparseMatrix
from learning.augment import gather, shift_map
from network import LOSSES, Network
from pictures.digit import normalised

SIDE, INK_SIDE = 28, 140      # pixels of a picture and of the drawing, each way
PIXELS = SIDE * SIDE
STEPS = 6                     # how many times a damage can be made worse

_PAGE = Path(__file__).with_name("page.html")
_LENGTHS = {"/ink": INK_SIDE ** 2, "/picture": PIXELS}      # of a POST, in bytes
_BODY_TYPE = "application/octet-stream"


# ---------------------------------------------------------------------------
# Damage: step 0 leaves a picture as it is, each further step makes it worse
# ---------------------------------------------------------------------------

def shifted(picture: bytes, step: int) -> bytes:
    """The picture moved `step` pixels to the right."""
    return _mover(down=0, right=step)(picture)


def noisy(picture: bytes, step: int) -> bytes:
    """2 % of the pixels a step are turned into ink: the same ones in every picture."""
    rng, noise = random.Random(28), bytearray(picture)
    places = sorted(range(PIXELS), key=lambda place: rng.random())
    for place in places[:step * PIXELS // 50]:
        noise[place] = 255
    return bytes(noise)


def thinned(picture: bytes, step: int) -> bytes:
    """Lines lose a third of a pixel on each side with every step.

    A whole pixel is lost where each pixel becomes the least of itself and its four
    neighbours (erosion, by a cross); a third of one, where it goes a third of the way.
    """
    for _ in range(step // 3):
        picture = _eroded(picture)
    third = step % 3
    return bytes((old * (3 - third) + new * third) // 3
                 for old, new in zip(picture, _eroded(picture))) if third else picture


def _eroded(picture: bytes) -> bytes:
    """Each pixel the least of itself and its neighbours above, below, left, right."""
    neighbours = [_mover(down, right)(picture)
                  for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    return bytes(map(min, picture, *neighbours))


def turned(picture: bytes, step: int) -> bytes:
    """The picture turned about its middle, 10 degrees clockwise a step."""
    return _turner(10 * step)(picture)


@lru_cache(maxsize=None)
def _mover(down: int, right: int) -> Callable[[bytes], bytes]:
    """What moves a picture."""
    return gather(shift_map(SIDE, SIDE, down, right))


@lru_cache(maxsize=None)
def _turner(degrees: int) -> Callable[[bytes], bytes]:
    """What turns a picture: each new pixel is the old one that is nearest to where it
    came from."""
    middle = (SIDE - 1) / 2
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    sources = []
    for row in range(SIDE):
        for column in range(SIDE):
            x, y = column - middle, row - middle
            j = math.floor(cosine * x + sine * y + middle + 0.5)
            i = math.floor(-sine * x + cosine * y + middle + 0.5)
            inside = 0 <= i < SIDE and 0 <= j < SIDE
            sources.append(i * SIDE + j if inside else PIXELS)
    return gather(sources)


DAMAGES: dict[str, Callable[[bytes, int], bytes]] = {
    "shift": shifted, "noise": noisy, "thin": thinned, "turn": turned}


# ---------------------------------------------------------------------------
# What the page asks for, as objects that JSON can write
# ---------------------------------------------------------------------------

class Reader:
    """Reads pictures for the page with one network.

    Pictures are rounded to so many grey `levels`.  The first image of each class of
    `samples` can be tried: of the shipped sample's test images, unless told, and none
    where the classes are others.  Raises ValueError for a network that does not take
    784 pixels or has not an answer for each of the `class_names`.
    """

    def __init__(self, network: Network, levels: int, class_names: Sequence[str],
                 samples: Dataset | None = None) -> None:
        expected = [PIXELS, len(class_names)]
        if [network.sizes[0], network.sizes[-1]] != expected:
            raise ValueError(f"{network!r}: expected {expected[0]} inputs and "
                             f"{expected[1]} answers")
        if samples is None:
            samples, = data_loader.load(data_loader.SAMPLE_FOLDER, ("t10k",))
        self._network, self._levels = network, levels
        self._names, self._samples = list(class_names), []
        self._units = network.layers[0].weights.to_matrix().T       # (h x d)
        if samples.class_names == self._names:
            self._samples = _first_of_each_class(samples)

    def start(self) -> dict:
        """What the page must know before anything is drawn."""
        return {"classes": self._names, "sizes": self._network.sizes,
                "activation": self._network.activation, "levels": self._levels,
                "damages": list(DAMAGES), "steps": STEPS, "samples": self._samples}

    def unit(self, number: int) -> dict | None:
        """A unit's weights (784), bias and weights to the next layer; None: no such."""
        layers = self._network.layers
        if not 0 <= number < self._units.shape[0]:
            return None
        onward = layers[1].weights.to_matrix()[number] if len(layers) > 1 else []
        return {"weights": _rounded(self._units[number]),
                "bias": round(layers[0].bias.to_matrix()[0, number], 4),
                "onward": _rounded(onward)}

    def read(self, picture: bytes, damage: str = "") -> list[dict]:
        """The reading of a picture, or of all steps of a damage, in one batch."""
        steps = range(STEPS + 1) if damage else ()
        pictures = [DAMAGES[damage](picture, step) for step in steps] or [picture]
        x = SparseMatrix.from_images(pictures, self._levels)        # (m x d)
        trace = self._network.forward(x)
        answers = LOSSES[self._network.loss].outputs(trace.logits)  # (m x c)
        sums = trace.sums[0].to_matrix()                            # (m x h)
        # Without a hidden layer the page shows the sums behind the answers instead.
        units = trace.inputs[1].to_matrix() if len(trace.inputs) > 1 else sums
        return [{"picture": _text(bytes(round(255 * grey) for grey in row)),
                 "answers": _rounded(answer, 6), "sums": _rounded(z),
                 "units": _rounded(a)}
                for row, answer, z, a in zip(x.to_matrix(), answers, sums, units)]


def _first_of_each_class(samples: Dataset) -> list[dict]:
    """The name and the picture of the first image of each class that has one."""
    if (samples.height, samples.width) != (SIDE, SIDE):
        raise ValueError(f"{samples!r}: expected {SIDE} x {SIDE} pixels")
    return [{"name": name, "picture": _text(samples.image(samples.labels.index(label)))}
            for label, name in enumerate(samples.class_names)
            if label in samples.labels]


def _text(content: bytes) -> str:
    """Bytes as JSON can carry them: base64."""
    return base64.b64encode(content).decode("ascii")


def _rounded(values: Sequence[float], digits: int = 4) -> list[float]:
    """The numbers with as many decimals as the page can show: JSON writes them all."""
    return [round(value, digits) for value in values]


# ---------------------------------------------------------------------------
# The server
# ---------------------------------------------------------------------------

class _Refusal(Exception):
    """A request that gets no more than a status of 4xx and a line of text: its args."""


def _unknown(other_method: object) -> _Refusal:
    """Why there is nothing at a path: only for the other method, or no such."""
    if other_method:
        return _Refusal(405, "not with this method")
    return _Refusal(404, "there is nothing here")


def _as_json(found: object) -> tuple[str, bytes]:
    """The content type of JSON and an object as JSON."""
    return "application/json", json.dumps(found).encode("ascii")


class _Handler(BaseHTTPRequestHandler):
    """One connection of a browser: requests come in, answers go out."""

    protocol_version = "HTTP/1.1"           # one connection for all the strokes
    default_request_version = "HTTP/1.0"    # of a broken request: it gets a status too
    server_version, sys_version = "draw-page", ""
    timeout = 5.0                           # seconds for a request to arrive in
    disable_nagle_algorithm = True          # send headers and answer without a wait
    server: _Server

    def do_GET(self) -> None:
        """Answer a GET."""
        self._respond(self._get)

    def do_POST(self) -> None:
        """Answer a POST: a drawing, or a picture."""
        self._respond(self._post)

    def _respond(self, find: Callable[[], tuple[str, bytes]]) -> None:
        """Send what `find` returns, a content type and bytes, or the refusal."""
        try:
            self._check_host()
            content_type, content = find()
        except _Refusal as refusal:
            self.send_error(*refusal.args)
        else:
            self._send(200, content_type, content)

    # --- GET

    def _get(self) -> tuple[str, bytes]:
        """The page, or an object that it asks for."""
        if (self.headers.get("Content-Length", "0") != "0"
                or "Transfer-Encoding" in self.headers):
            raise _Refusal(400, "a GET has no content")
        path = self.path.partition("?")[0]
        if path == "/":
            return "text/html; charset=utf-8", self.server.page
        if path == "/start":
            return _as_json(self.server.reader.start())
        number = re.fullmatch(r"/unit/([0-9]{1,6})", path)
        unit = number and self.server.reader.unit(int(number[1]))
        if not unit:
            raise _unknown(path in _LENGTHS)
        return _as_json(unit)

    # --- POST

    def _post(self) -> tuple[str, bytes]:
        """The readings of a drawing or of a picture."""
        path, _, query = self.path.partition("?")
        if path not in _LENGTHS:
            raise _unknown(re.fullmatch("/(start|unit/[0-9]+)?", path))
        damage = query.partition("damage=")[2]
        if query and (query != f"damage={damage}" or damage not in DAMAGES):
            raise _Refusal(400, f"expected ?damage= and one of {', '.join(DAMAGES)}")
        self._check_origin()
        picture = self._body(_LENGTHS[path])
        if path == "/ink":
            picture = normalised([picture[start:start + INK_SIDE]
                                  for start in range(0, len(picture), INK_SIDE)])
        return _as_json(self.server.reader.read(picture, damage))

    def _body(self, expected: int) -> bytes:
        """The content of the request, which must be of that many bytes."""
        lengths = self.headers.get_all("Content-Length", [])
        if not lengths or "Transfer-Encoding" in self.headers:      # sent in chunks
            raise _Refusal(411, "no Content-Length")
        if len(lengths) > 1 or not re.fullmatch("[0-9]{1,18}", lengths[0]):
            raise _Refusal(400, "Content-Length is no number")
        length = int(lengths[0])
        if length > max(_LENGTHS.values()):
            raise _Refusal(413, f"{length} bytes, expected {expected}")
        content = self._take_in(length)
        if len(content) != expected:
            raise _Refusal(400, f"{len(content)} bytes, expected {expected}")
        return content

    def _take_in(self, length: int) -> bytes:
        """Read so many bytes, fewer where the client ends; refuse one that is slow."""
        chunks, deadline = [], time.monotonic() + self.timeout
        try:
            while length and (chunk := self.rfile.read1(length)):
                chunks.append(chunk)
                length -= len(chunk)
                if time.monotonic() > deadline:
                    raise socket.timeout
        except socket.timeout:
            raise _Refusal(408, "the content did not arrive in time") from None
        return b"".join(chunks)

    # --- what is refused

    def _check_host(self) -> None:
        """Refuse a request meant for another name than this machine's own ones."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1:
            raise _Refusal(400, "expected one Host")
        if hosts[0].strip().lower() not in self.server.hosts:
            raise _Refusal(403, "this is not that host")

    def _check_origin(self) -> None:
        """Refuse a POST that some other page, or no page at all, has made."""
        origins = self.headers.get_all("Origin", [])
        if origins != [f"http://{self.headers['Host'].strip().lower()}"]:
            raise _Refusal(403, "expected a request of the page here")
        if self.headers.get("Content-Type") != _BODY_TYPE:
            raise _Refusal(415, f"expected {_BODY_TYPE}")

    def send_error(self, code: int, message: str | None = None,
                   explain: str | None = None) -> None:
        """Refuse with a line of text; http.server calls this for broken requests."""
        if code == 501:                             # PUT, DELETE and other methods
            code, message = 405, "only GET and POST"
        elif code >= 500:                           # a version of HTTP to come
            code = 400
        self.close_connection = True                # content may be left unread
        text = (message or self.responses[code][0])[:80]    # it may quote the request
        self._send(code, "text/plain; charset=utf-8", f"{text}\n".encode("utf-8"))

    # --- what is sent

    def _send(self, status: int, content_type: str, content: bytes) -> None:
        """One whole response, which no other page may frame, read or keep."""
        self.send_response(status)
        for name, value in (
                ("Content-Type", content_type), ("Content-Length", str(len(content))),
                ("Content-Security-Policy", self.server.policy),
                ("Cross-Origin-Resource-Policy", "same-origin"),
                ("Cross-Origin-Opener-Policy", "same-origin"),
                ("X-Content-Type-Options", "nosniff"),
                ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-store")):
            self.send_header(name, value)
        if status == 405:
            self.send_header("Allow", "GET, POST")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal belongs to the command that runs the server."""


class _Server(ThreadingHTTPServer):
    """A server on the loopback, with what its handlers need."""

    allow_reuse_address = os.name == "posix"    # elsewhere it lets others take the port
    request_queue_size = 32

    def __init__(self, port: int, reader: Reader) -> None:
        self.reader = reader
        page = _PAGE.read_text(encoding="utf-8")
        self.page, self.policy = page.encode("utf-8"), _content_policy(page)
        super().__init__(("127.0.0.1", port), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        names = "127.0.0.1", "localhost", "[::1]"
        self.hosts = {f"{name}:{self.server_port}" for name in names}
        if self.server_port == 80:              # which browsers leave out
            self.hosts.update(names)

    def server_bind(self) -> None:
        """Bind without http.server's search for our name, which may ask a network."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def shutdown_request(self, request: socket.socket) -> None:
        """End a connection, but let the client speak first: where content is left
        unread, closing would cut it off before it has read why it was refused."""
        try:
            request.shutdown(socket.SHUT_WR)
            request.settimeout(1.0)
            for _ in range(64):         # 4 MB: who sends more may be cut off
                if not request.recv(1 << 16):
                    break
        except OSError:
            pass                        # it has gone already, or sends nothing more
        self.close_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that went away is no error; what else there is should be seen."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def _content_policy(page: str) -> str:
    """The Content-Security-Policy: the script and style of the page and no others."""
    def hashes(tag: str) -> str:
        """The SHA-256 of each element of that name."""
        return " ".join(
            f"'sha256-{_text(hashlib.sha256(content.encode('utf-8')).digest())}'"
            for content in re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL))
    return (f"default-src 'none'; script-src {hashes('script')}; "
            f"style-src {hashes('style')}; img-src data:; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")


def make_server(network: Network, levels: int, class_names: Sequence[str],
                port: int = 0, samples: Dataset | None = None) -> _Server:
    """A server of the page that listens already; port 0 takes a free one.

    Call `serve_forever()` of it, and close it.  The other arguments are `Reader`'s.
    Raises OSError where the port cannot be had.
    """
    reader = Reader(network, levels, class_names, samples)
    try:
        return _Server(port, reader)
    except OSError as error:
        if error.filename:      # not the port but the page could not be opened
            raise
        raise OSError(f"port {port}: found {error.strerror}, expected a free port "
                      "(0 takes any)") from None


def serve(network: Network, levels: int, class_names: Sequence[str], port: int = 0,
          open_browser: bool = True, samples: Dataset | None = None,
          ready: Callable[[str], None] = lambda url: None) -> None:
    """Serve the page until Ctrl-C; `ready(url)` is called once it can be opened.

    The arguments and errors are those of `make_server`.
    """
    with make_server(network, levels, class_names, port, samples) as server:
        try:
            ready(server.url)
            if open_browser:    # a browser in a terminal would hold up this thread
                threading.Thread(target=webbrowser.open, args=(server.url,),
                                 daemon=True).start()
            server.serve_forever()
        except KeyboardInterrupt:
            return
