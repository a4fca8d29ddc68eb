"""Requests to a server of a page, as its script makes them or as no script would."""
import http.client
import socket


def ask(server, method, path, body=None, **changed):
    """Send a request as the page would; (status, content type, content, headers).

    Headers given by name replace those of the page; None leaves one out.
    """
    host = f"127.0.0.1:{server.server_port}"
    headers = {"Host": host}
    if body is not None:
        headers.update({"Origin": f"http://{host}", "Content-Length": len(body),
                        "Content-Type": "application/octet-stream"})
    headers.update(changed)
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers["Content-Type"], content, answer.headers


def connected(server):
    """A connection to the server."""
    return socket.create_connection(("127.0.0.1", server.server_port), timeout=10)


def raw(server, text, end=False):
    """Send bytes as they are; all that comes back."""
    with connected(server) as connection:
        connection.sendall(text)
        if end:
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def is_short_refusal(answer, status):
    """Whether an answer is that status and one line of plain text."""
    found, kind, content, headers = answer
    return (found == status and kind == "text/plain; charset=utf-8"
            and content.count(b"\n") == 1 and len(content) < 100
            and b"Traceback" not in content and headers["Connection"] == "close")
