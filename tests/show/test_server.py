"""The server of a page, from outside: what it answers, what it refuses, who may ask."""
import base64
import hashlib
import http.client
import json
import socket
import time
import urllib.request
from contextlib import ExitStack

import pytest
from conftest import serving
from tools.asking import ask, connected, is_short_refusal, raw

from show import server as page_server
from show.server import Question, Refusal, Server

SHORT, LONG = bytes(784), bytes(19600)

PAGE = """<!DOCTYPE html>
<html><head><link rel="stylesheet" href="look.css"></head>
<body><p>Hello</p><script src="first.js"></script><script src="second.js"></script>
</body></html>
"""


def double(content, times, of):
    """An answer with content and fields."""
    if of == "nothing":
        raise Refusal(404, "there is no such thing")
    return {"sum": sum(content) * int(times or 2), "of": of}


QUESTIONS = {"/about": Question(lambda: {"sizes": [784, 10]}),
             "/field": Question(lambda number: {"number": number}, ("number",)),
             "/huge": Question(lambda: {"weight": float("inf")}),
             "/short": Question(double, ("times", "of"), len(SHORT)),
             "/long": Question(double, ("times", "of"), len(LONG))}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page of four files."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "look.css").write_text("p { color: red }\n")
    (folder / "first.js").write_text("const a = 1;\n")
    (folder / "second.js").write_text("let b = a;\n")
    (folder / "page.html").write_text(PAGE)
    return folder / "page.html"


@pytest.fixture(scope="module")
def server(page):
    with serving(Server({"/": page}, QUESTIONS)) as server:
        yield server


def head(server, line, *fields):
    """The head of a request to this server."""
    host = f"Host: localhost:{server.server_port}"
    return "\r\n".join([line, host, *fields, "", ""]).encode()


def head_of_drawing(server, *more):
    """The head of a request that the page would send with a drawing."""
    return head(server, "POST /long HTTP/1.1", "Content-Length: 19600",
                f"Origin: http://localhost:{server.server_port}",
                "Content-Type: application/octet-stream", *more)


# --- What is answered

def test_the_page_comes_in_one_piece_that_its_policy_allows_alone(server):
    status, kind, content, headers = ask(server, "GET", "/")
    assert (status, kind) == (200, "text/html; charset=utf-8")
    style, scripts = b"\np { color: red }\n", [b"\nconst a = 1;\n", b"\nlet b = a;\n"]
    first, second = scripts
    assert content == PAGE.encode().replace(
        b'<link rel="stylesheet" href="look.css">', b"<style>%b</style>" % style
        ).replace(b'<script src="first.js">', b"<script>" + first).replace(
        b'<script src="second.js">', b"<script>" + second)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    policy = dict(part.split(" ", 1)
                  for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    for tag, texts in (("script", scripts), ("style", [style])):
        assert policy[f"{tag}-src"] == " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'"
            for text in texts)


def test_questions_are_answered_with_their_content_and_fields(server):
    assert json.loads(ask(server, "GET", "/about")[2]) == {"sizes": [784, 10]}
    assert ask(server, "GET", "/field?number=%2017")[:3] == (
        200, "application/json", b'{"number": " 17"}')
    assert json.loads(ask(server, "GET", "/field")[2]) == {"number": ""}
    content = ask(server, "POST", "/short?of=x&times=3", b"\1" * 784)[2]
    assert json.loads(content) == {"sum": 3 * 784, "of": "x"}
    assert json.loads(ask(server, "POST", "/long", LONG)[2]) == {"sum": 0, "of": ""}


def test_a_hundred_questions_at_once_get_their_own_answers(page):
    server = Server({"/": page}, QUESTIONS)
    with ExitStack() as stack:          # it accepts no connection yet
        waiting = [stack.enter_context(connected(server)) for _ in range(100)]
        stack.enter_context(serving(server))
        for number, connection in enumerate(waiting):
            connection.sendall(head(server, f"GET /field?number={number} HTTP/1.0"))
        for number, connection in enumerate(waiting):
            assert connection.makefile("rb").read().endswith(
                b'\r\n\r\n{"number": "%d"}' % number)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "[::1]", "127.0.0.1"])
def test_the_names_of_this_machine_are_answered(server, host):
    host = f"{host}:{server.server_port}"
    assert ask(server, "GET", "/about", Host=host)[0] == 200
    origin = f"http://{host.lower()}"
    assert ask(server, "POST", "/short", SHORT, Host=host, Origin=origin)[0] == 200
    assert server.server_address[0] == "127.0.0.1"      # the loopback alone listens


# --- What is refused

@pytest.mark.parametrize("method, path, status", [
    ("GET", "/first.js", 404), ("GET", "/about/", 404), ("GET", "/../server.py", 404),
    ("GET", "/%00", 404), ("GET", "http://[", 404), ("GET", "/short", 405),
    ("POST", "/", 405), ("POST", "/about", 405), ("POST", "/nothing", 404),
    ("OPTIONS", "/", 405), ("BREW", "/", 405), ("HEAD", "/", 405)])
def test_unknown_paths_and_methods_are_refused(server, method, path, status):
    text = head(server, f"{method} {path} HTTP/1.1", "Content-Length: 0")
    lines = raw(server, text).split(b"\r\n")
    assert lines[0].startswith(b"HTTP/1.1 %d " % status), lines[0]
    assert (b"Allow: GET, POST" in lines) == (status == 405)
    assert lines[-1].count(b"\n") == (method != "HEAD") and len(lines[-1]) < 100


def refusals():
    """(status, method, path, content, headers) of requests that are refused."""
    for host in ("127.0.0.1", "localhost:80", "", "127.0.0.1.evil.example:PORT",
                 "evil.example:PORT", "0.0.0.0:PORT", "user@localhost:PORT"):
        yield 403, "GET", "/", None, {"Host": host}
        yield 403, "POST", "/short", SHORT, {"Host": host, "Origin": f"http://{host}"}
    for status, name, values in (
            # another page, or none, has sent it
            (403, "Origin", (None, "null", "http://evil.example",
                             "https://127.0.0.1:PORT", "http://127.0.0.1",
                             "http://127.0.0.1:PORT/", "http://localhost:PORT")),
            # a form could send it
            (415, "Content-Type", (None, "text/plain")),
            (400, "Content-Length", ("-1", "+784", "7_84", "", "9" * 50, "784, 784"))):
        for value in values:
            yield status, "POST", "/short", SHORT, {name: value}
    for path, lengths in (("/long", (0, 784, 19599)), ("/short", (0, 783, 785, 19600))):
        for length in lengths:
            yield 400, "POST", path, bytes(length), {}
    for query in ("x=1", "times", "times=1&times=2", "of=%ff", "&".join("abcdefghi")):
        yield 400, "POST", f"/short?{query}", SHORT, {}
    yield 404, "POST", "/short?of=nothing", SHORT, {}
    yield 422, "GET", "/huge", None, {}         # JSON has no such numbers
    yield 400, "GET", "/", None, {"Host": None}
    yield 400, "GET", "/", None, {"Transfer-Encoding": "chunked"}
    yield 400, "GET", "/", None, {"Content-Length": "5"}
    yield 411, "POST", "/short", b"", {"Content-Length": None}
    yield 411, "POST", "/short", b"0\r\n\r\n", {"Content-Length": None,
                                                "Transfer-Encoding": "chunked"}


def test_what_the_page_would_not_send_is_refused(server):
    for status, method, path, content, headers in refusals():
        headers = {name: value and value.replace("PORT", str(server.server_port))
                   for name, value in headers.items()}
        answer = ask(server, method, path, content, **headers)
        assert is_short_refusal(answer, status), (method, path, headers)


def test_headers_that_are_sent_twice_are_refused(server):
    for text in (head(server, "GET /about HTTP/1.1", "Host: localhost:1"),
                 head_of_drawing(server, "Content-Length: 5")):
        assert raw(server, text).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("length", [19601, 200_000, 5_000_000])
def test_content_that_is_too_long_is_refused(server, length):
    """A client that sends all of it at once must still get to read why."""
    head = head_of_drawing(server).replace(b"19600", b"%d" % length)
    answer = raw(server, head + bytes(min(length, 2_000_000)), end=True)
    assert answer.startswith(b"HTTP/1.1 413 "), answer


@pytest.mark.parametrize("text, status", [
    (b"\0\xff\r\n\r\n", 400), (b"GET / HTTP/9.9\r\n\r\n", 400),
    (b"a" * 5000 + b"\r\n\r\n", 400), (b"GET / / /\r\n\r\n", 400),
    (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\n" + b"A: a\r\n" * 200 + b"\r\n", 431),
    (b"GET / HTTP/1.0\r\n\r\n", 400),
    (b"GET https://127.0.0.1/ HTTP/1.1\r\n\r\n", 400)])
def test_what_is_no_request_is_refused(server, capfd, text, status):
    answer = raw(server, text, end=True)
    assert b" %d " % status in answer.split(b"\r\n")[0]
    assert len(answer.split(b"\r\n")[-1]) < 100
    assert b"Traceback" not in answer and capfd.readouterr() == ("", "")


# --- Clients that stop, drip or go away

def test_a_client_that_stops_or_goes_away_hurts_nobody(page, monkeypatch, capfd):
    monkeypatch.setattr(page_server._Handler, "timeout", 0.2)
    with serving(Server({"/": page}, QUESTIONS)) as server:
        head = head_of_drawing(server)
        assert raw(server, head + bytes(100)).startswith(b"HTTP/1.1 408 ")   # it stops
        assert raw(server, head + bytes(100), end=True).startswith(b"HTTP/1.1 400 ")
        assert raw(server, b"GET / HT") == b""                    # cut off in silence
        assert raw(server, b"") == b""
        with connected(server) as connection:
            connection.sendall(head + LONG)                       # and does not listen
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                  b"\1\0\0\0\0\0\0\0")            # reset when closed
        with urllib.request.urlopen(server.url) as page:
            assert page.status == 200
    assert capfd.readouterr() == ("", "")


def drip(server, text):
    """Send what is given and then a byte each 0.05 s; what comes back within 10 s."""
    with connected(server) as connection:
        connection.sendall(text)
        connection.settimeout(0.05)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            connection.sendall(b"x")
            try:
                return connection.recv(1000)
            except socket.timeout:
                pass
            except ConnectionResetError:
                return b""
    raise TimeoutError("it is still waited for")


@pytest.mark.parametrize("text, answer", [
    (b"", b""), (b"GET / HTTP/1.1\r\nHost: ", b""), (None, b"HTTP/1.1 408 ")])
def test_a_client_that_drips_is_not_waited_for(page, monkeypatch, text, answer):
    monkeypatch.setattr(page_server._Handler, "timeout", 0.3)
    with serving(Server({"/": page}, QUESTIONS)) as server:
        text = head_of_drawing(server) if text is None else text
        assert drip(server, text).startswith(answer)


def test_each_request_of_a_connection_has_its_own_time(page, monkeypatch):
    monkeypatch.setattr(page_server._Handler, "timeout", 1.0)
    with serving(Server({"/": page}, QUESTIONS)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
        for _ in range(4):
            connection.request("GET", "/about")
            assert connection.getresponse().read() == b'{"sizes": [784, 10]}'
            time.sleep(0.4)             # 1.6 s in all, but never 1 s without a request
        connection.close()


# --- The start and the end

def test_a_port_in_use_is_one_line(server, page):
    with pytest.raises(OSError, match=f"port {server.server_port}: found .*, expected"):
        Server({"/": page}, QUESTIONS, server.server_port)
