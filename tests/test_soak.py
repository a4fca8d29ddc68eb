"""Long runs do not grow: training for many epochs, the page under many requests.

Memory is that of whole processes, as the system counts it (VmRSS in Linux's /proc).
"""
import http.client
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT, SAMPLE

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(),
                                reason="memory of a process is read from Linux's /proc")


def megabytes(process):
    """The memory of a process and of those that it started."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    status = Path(f"/proc/{process}/status").read_text()
    own = int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024
    return own + sum(map(megabytes, children))


def is_flat(samples, allowed=1.5):
    """Whether the last third needs hardly more megabytes than the second third; in the
    first one caches fill, and the allocator finds its size."""
    third = len(samples) // 3
    return max(samples[-third:]) - max(samples[third:-third]) < allowed


def test_what_grows_is_not_flat():
    assert is_flat([9, 30] + [40, 41] * 30)
    assert not is_flat([40 + 0.1 * epoch for epoch in range(60)])


@pytest.mark.parametrize("workers", [1, 2])
def test_memory_stays_flat_over_sixty_epochs(tmp_path, workers):
    command = [sys.executable, str(ROOT / "train.py"), "--data", str(SAMPLE),
               "--limit", "100", "--epochs", "60", "--hidden", "8", "--augment", "shift",
               "--no-plots", "--workers", str(workers),
               "--output", str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as process:
        lines, samples = [], []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Epoch") and "60/60" not in line:
                samples.append(megabytes(process.pid))
    assert process.returncode == 0, "".join(lines)
    assert len(samples) == 59
    assert is_flat(samples), samples


SERVER = """\
from learning.models import Model
from show.page import make_server
from network import Network
with make_server(Model(None, Network([784, 16, 10]), 4, "0123456789")) as server:
    print(server.url, flush=True)
    server.serve_forever()
"""

REQUESTS = [("GET", "/", b""), ("GET", "/start", b""), ("GET", "/unit?number=3", b""),
            ("POST", "/picture", bytes(range(256)) * 3 + bytes(16)),
            ("POST", "/ink", bytes(9000) + b"\xff" * 900 + bytes(9700)),
            ("POST", "/picture?damage=noise", bytes(784)),
            ("POST", "/why?digit=3&rival=2", bytes(784))]


@pytest.fixture
def page():
    """(process id, port) of a server of the page; it must have said nothing in the end.
    """
    with subprocess.Popen([sys.executable, "-c", SERVER], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        yield process.pid, int(process.stdout.readline().strip(" /\n").split(":")[-1])
        process.terminate()
        assert process.communicate(timeout=30) == ("", "")


def ask(port, number):
    """Send one of the requests on a new connection; the status of the answer."""
    method, path, content = REQUESTS[number % len(REQUESTS)]
    host = f"127.0.0.1:{port}"
    connection = http.client.HTTPConnection(host, timeout=30)
    headers = {"Origin": f"http://{host}", "Content-Type": "application/octet-stream"}
    connection.request(method, path, content, headers if content else {})
    answer = connection.getresponse()
    whole = len(answer.read()) == int(answer.headers["Content-Length"])
    connection.close()
    return answer.status, whole


def test_a_thousand_requests_at_once_leave_no_trace(page):
    process, port = page
    samples = []
    with ThreadPoolExecutor(16) as pool:
        for start in range(0, 1020, 34):
            answers = list(pool.map(lambda number: ask(port, number),
                                    range(start, start + 34)))
            assert answers == [(200, True)] * 34
            samples.append(megabytes(process))
    assert is_flat(samples), samples
    threads = len(os.listdir(f"/proc/{process}/task"))
    handles = len(os.listdir(f"/proc/{process}/fd"))
    assert threads < 30 and handles < 30
