"""A small web server for pages in the browser of this very machine.

A page is one file of HTML: `assemble` puts its style sheets, its scripts and what it
shares with other pages, which lie beside it, into it.  What else the page asks for are
`Question`s, answered with JSON.

Every page that is open in a browser can reach a server on the same machine.  So this
one listens on the loopback alone and refuses what names another host (one that points
here: "DNS rebinding") and any POST that does not come from its own page.
"""
from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import socket
import socketserver
import sys
import threading
import time
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable, Mapping, NamedTuple
from urllib.parse import parse_qsl

_BODY_TYPE = "application/octet-stream"


class Refusal(Exception):
    """A request that gets no more than a status of 4xx and a line of text: its args."""


class Question(NamedTuple):
    """A path of the server: GET, or POST with content of a known length.

    `answer` is called with the content, if any, and with all `fields` of the query as
    keywords, "" standing for those not sent; it returns what JSON can write.
    """

    answer: Callable[..., Any]
    fields: tuple[str, ...] = ()
    length: int = 0             # bytes of a POST; 0: a GET


# --- The page

_INCLUDED = re.compile("<!-- ([a-z-]+[.]html) -->\n")
_ELEMENTS = {"style": re.compile('<link rel="stylesheet" href="([a-z-]+[.]css)">'),
             "script": re.compile('<script src="([a-z-]+[.]js)"></script>')}


def assemble(path: Path) -> str:
    """Return the text of a page, with all that lies beside it put into it."""
    def beside(match: re.Match) -> str:
        """The text of the file that is named."""
        return path.with_name(match[1]).read_text(encoding="utf-8")
    page = _INCLUDED.sub(beside, path.read_text(encoding="utf-8"))
    for tag, pattern in _ELEMENTS.items():
        page = pattern.sub(lambda match: f"<{tag}>\n{beside(match)}</{tag}>", page)
    return page


def content_policy(page: str) -> str:
    """Return a Content-Security-Policy: the scripts and styles of a page, or of several
    joined, and no others."""
    def hashes(tag: str) -> str:
        """The SHA-256 of each element of that name."""
        contents = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digests = (hashlib.sha256(content.encode("utf-8")).digest()
                   for content in dict.fromkeys(contents))
        return " ".join(f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
                        for digest in digests)
    return (f"default-src 'none'; script-src {hashes('script')}; "
            f"style-src {hashes('style')}; img-src data:; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")


# --- Connections

class _Incoming(io.RawIOBase):
    """The bytes of a connection, up to a deadline.

    A time-out of the socket alone begins anew with each byte, so that a client that
    drips would never run into it.  `timeout` is in seconds: for the first byte of a
    request, and for all the others together.
    """

    def __init__(self, connection: socket.socket, timeout: float) -> None:
        self._connection, self._timeout = connection, timeout
        self.deadline: float | None = None      # None: no byte has come yet

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what has come, at least a byte; socket.timeout when it is late."""
        now = time.monotonic()
        left = self._timeout if self.deadline is None else self.deadline - now
        if left <= 0:
            raise socket.timeout
        self._connection.settimeout(left)
        count = self._connection.recv_into(buffer)
        if self.deadline is None:
            self.deadline = time.monotonic() + self._timeout
        return count


class _Handler(BaseHTTPRequestHandler):
    """One connection of a browser: requests come in, answers go out."""

    protocol_version = "HTTP/1.1"           # one connection for all the strokes
    default_request_version = "HTTP/1.0"    # of a broken request: it gets a status too
    server_version, sys_version = "page", ""
    timeout = 5.0                           # seconds for a request to arrive in
    disable_nagle_algorithm = True          # send headers and answer without a wait
    server: Server

    def setup(self) -> None:
        """Read with a deadline."""
        super().setup()
        self._incoming = _Incoming(self.connection, self.timeout)
        self.rfile = io.BufferedReader(self._incoming)

    def handle_one_request(self) -> None:
        """Give each request of a connection its own time."""
        self._incoming.deadline = None
        super().handle_one_request()

    def do_GET(self) -> None:
        """Send what is asked for, or the refusal."""
        try:
            self._check_host()
            found = self._answer(self.command == "POST")
        except Refusal as refusal:
            self.send_error(*refusal.args)
        else:
            self._send(200, *found)

    do_POST = do_GET

    # --- what is asked

    def _answer(self, posted: bool) -> tuple[str, bytes]:
        """The page, or an object that it asks for."""
        if not posted and (self.headers.get("Content-Length", "0") != "0"
                           or "Transfer-Encoding" in self.headers):
            raise Refusal(400, "a GET has no content")
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is not None and not posted:
            return "text/html; charset=utf-8", page
        question, fields = self._question(posted)
        if not posted:
            return _as_json(question.answer(**fields))
        self._check_origin()
        return _as_json(question.answer(self._body(question.length), **fields))

    def _question(self, posted: bool) -> tuple[Question, dict[str, str]]:
        """The question that the path names, and the fields of its query."""
        path, _, query = self.path.partition("?")
        question = self.server.questions.get(path)
        if question is None and path not in self.server.pages:
            raise Refusal(404, "there is nothing here")
        if question is None or bool(question.length) != posted:
            raise Refusal(405, "not with this method")
        try:
            pairs = parse_qsl(query, keep_blank_values=True, errors="strict",
                              strict_parsing=bool(query), max_num_fields=8)
        except ValueError:
            raise Refusal(400, "expected a query like a=1&b=2") from None
        found = dict(pairs)
        if len(found) < len(pairs) or not found.keys() <= set(question.fields):
            raise Refusal(400, "expected " + (", ".join(question.fields) or "no query"))
        return question, {**dict.fromkeys(question.fields, ""), **found}

    def _body(self, expected: int) -> bytes:
        """The content of the request, which must be of that many bytes."""
        lengths = self.headers.get_all("Content-Length", [])
        if not lengths or "Transfer-Encoding" in self.headers:      # sent in chunks
            raise Refusal(411, "no Content-Length")
        if len(lengths) > 1 or not re.fullmatch("[0-9]{1,18}", lengths[0]):
            raise Refusal(400, "Content-Length is no number")
        length = int(lengths[0])
        if length != expected:
            raise Refusal(413 if length > self.server.longest else 400,
                          f"{length} bytes, expected {expected}")
        try:
            content = self.rfile.read(length)
        except socket.timeout:
            raise Refusal(408, "the content did not arrive in time") from None
        if len(content) != expected:
            raise Refusal(400, f"{len(content)} bytes, expected {expected}")
        return content

    # --- what is refused

    def _check_host(self) -> None:
        """Refuse a request meant for another name than this machine's own ones."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1:
            raise Refusal(400, "expected one Host")
        if hosts[0].strip().lower() not in self.server.hosts:
            raise Refusal(403, "this is not that host")

    def _check_origin(self) -> None:
        """Refuse a POST that some other page, or no page at all, has made."""
        origins = self.headers.get_all("Origin", [])
        if origins != [f"http://{self.headers['Host'].strip().lower()}"]:
            raise Refusal(403, "expected a request of the page here")
        if self.headers.get("Content-Type") != _BODY_TYPE:
            raise Refusal(415, f"expected {_BODY_TYPE}")

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
        self.connection.settimeout(self.timeout)    # the deadline was for reading
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


def _as_json(found: object) -> tuple[str, bytes]:
    """The content type of JSON and an object as JSON, which knows no NaN."""
    try:
        text = json.dumps(found, allow_nan=False)
    except ValueError:
        raise Refusal(422, "numbers that are not finite: the weights are too large"
                      ) from None
    return "application/json", text.encode("ascii")


# --- The server

class Server(ThreadingHTTPServer):
    """A server of pages, by path, on the loopback; it listens already.

    Port 0 takes a free one; OSError where a port cannot be had.
    """

    allow_reuse_address = os.name == "posix"    # elsewhere it lets others take the port
    request_queue_size = 512    # connections that wait; when it is full they are reset

    def __init__(self, pages: Mapping[str, Path], questions: Mapping[str, Question],
                 port: int = 0) -> None:
        texts = {path: assemble(page) for path, page in pages.items()}
        self.pages = {path: text.encode("utf-8") for path, text in texts.items()}
        self.policy, self.questions = content_policy("".join(texts.values())), questions
        self.longest = max((q.length for q in questions.values()), default=0)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise OSError(f"port {port}: found {error.strerror}, expected a free port "
                          "(0 takes any)") from None
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
            deadline = time.monotonic() + 2.0
            for _ in range(64):         # 4 MB: who sends more may be cut off
                if not request.recv(1 << 16) or time.monotonic() > deadline:
                    break
        except OSError:
            pass                        # it has gone already, or sends nothing more
        self.close_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that went away is no error; what else there is should be seen."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def open_browser(self) -> None:
        """Open the page; a browser in a terminal would hold up this thread."""
        threading.Thread(target=webbrowser.open, args=(self.url,), daemon=True).start()
