# SPDX-License-Identifier: MIT
"""Slow, silent and hostile clients, on one sync worker: the others are served as if they were not.

While the application itself holds the main thread, the standby thread goes on with the connections.
"""

from __future__ import annotations

import resource
import signal
import time
from pathlib import Path

import pytest
from client import Connection, build_request
from conftest import Serve
from procs import alive, poll, private_kib, resident_kib
from server import PATIENT, SANITIZED, Server

pytestmark = pytest.mark.saola_only

HALF_HEAD = b"GET / HTTP/1.1\r\nHost: test\r\nX-Half: "
HALF_BODY = build_request(
    "/echo", method="POST", headers=[("Content-Length", "1000")], body=b"x" * 500
)


def quick(server: Server, *, limit: float = 3.0) -> None:
    """Another client is served, and at once (with room for a busy machine: one of three is)."""
    took: list[float] = []
    while not took or (took[-1] >= limit and len(took) < 3):
        begun = time.monotonic()
        assert server.request("/").body == b"hello\n"
        took.append(time.monotonic() - begun)
    assert took[-1] < limit, took


@pytest.mark.parametrize(
    "data", [b"", b"G", HALF_HEAD, HALF_BODY], ids=["silent", "G", "head", "body"]
)
def test_half_a_request_holds_nobody_up(basic: Server, data: bytes) -> None:
    slow = [basic.connect() for _ in range(100)]
    for connection in slow:
        connection.send(data)
    for _ in range(5):
        quick(basic)
    with basic.connect() as connection:
        for _ in range(20):
            assert connection.request("/").body == b"hello\n"


def test_half_a_request_is_completed_later(basic: Server) -> None:
    with basic.connect() as head, basic.connect() as body:
        head.send(HALF_HEAD)
        body.send(HALF_BODY)
        quick(basic)
        head.send(b"done\r\n\r\n")
        assert head.read_response().body == b"hello\n"
        body.send(b"y" * 500)
        assert body.read_response().body == b"x" * 500 + b"y" * 500


def test_byte_by_byte_holds_nobody_up(basic: Server) -> None:
    data = build_request("/echo", method="POST", body=b"abc")
    with basic.connect() as connection:
        for at in range(0, len(data), 4):
            connection.send(data[at : at + 4])
            quick(basic)
        assert connection.read_response().body == b"abc"


def test_reader_that_does_not_read_holds_nobody_up(basic: Server) -> None:
    """The response is spooled; it arrives complete when the client wakes up."""
    size = 10_000_000
    slow = [basic.connect(receive_buffer=4096) for _ in range(5)]
    for connection in slow:
        connection.send(build_request(f"/stream?count=1000&size={size // 1000}"))
    quick(basic, limit=10.0)
    for connection in slow:
        assert connection.read_response().body == b"x" * size


def test_file_reader_that_does_not_read_holds_nobody_up(basic: Server, tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(range(256)) * 40_000)
    slow = [basic.connect(receive_buffer=4096) for _ in range(5)]
    for connection in slow:
        connection.send(build_request(f"/file?path={path}&length={path.stat().st_size}"))
    quick(basic)
    for connection in slow:  # it may have been overtaken: the file is there until it is open
        assert connection.read_head().status == 200
    path.unlink()
    for connection in slow:
        assert connection.take(256 * 40_000, "a body") == bytes(range(256)) * 40_000


def test_slow_reader_that_leaves(basic: Server) -> None:
    for _ in range(20):
        with basic.connect(receive_buffer=4096) as connection:
            connection.send(build_request("/stream?count=100&size=100000"))
            connection.read_head()
            connection.reset()
    quick(basic)


def test_pipelining_without_reading(basic: Server) -> None:
    """A client that only asks: the server stops to read from it, and is not filled up."""
    with basic.connect(receive_buffer=4096, timeout=1.0) as connection:
        request = build_request("/stream?count=1&size=100000")
        try:
            for _ in range(3000):
                connection.send(request * 10)
        except (TimeoutError, ConnectionError):
            pass
        quick(basic)
        assert resident_kib(basic.worker) < 400 * 1024


@pytest.mark.memory
def test_response_of_1_gib_to_a_slow_reader(serve: Serve) -> None:
    """Memory stays where it was; the reader gets every byte."""
    server = serve()
    worker = server.worker
    server.request("/stream?count=300&size=1000000")
    before = resident_kib(worker)
    total = 1 << 30
    scratch = memoryview(bytearray(1 << 20))
    most = before
    with server.connect() as connection:
        connection.send(build_request(f"/stream?count=1024&size={1 << 20}&length={total}"))
        head = connection.read_head()
        assert head.get("Content-Length") == str(total)
        left = total - len(connection.buffer)
        pauses = 0
        while left:
            left -= (received := connection.sock.recv_into(scratch))
            assert received
            if left < total - (pauses + 1) * (total >> 5):
                pauses += 1
                time.sleep(0.01)  # a slow reader
                most = max(most, resident_kib(worker))
    assert most - before < 8 * 1024


def spooled_bytes(pid: int) -> int:
    """The size of the worker's temporary files."""
    total = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        try:
            total += each.stat().st_size if "(deleted)" in str(each.readlink()) else 0
        except FileNotFoundError:
            continue
    return total


@pytest.mark.memory
def test_signal_while_the_application_waits_for_its_reader(serve: Serve) -> None:
    """Beyond 1 GiB the application has to wait, but not the one who stops the server."""
    server = serve()
    server.allow("SystemExit", "Error handling request")
    worker = server.worker
    with server.connect(receive_buffer=4096) as connection:
        connection.send(build_request(f"/stream?count=2000&size={1 << 20}"))
        poll(lambda: spooled_bytes(worker) >= 1 << 30, "the application waiting", 60.0)
        server.kill(signal.SIGQUIT, worker)
        poll(lambda: not alive(worker), "the worker gone")
    quick(server)


@pytest.mark.slow
@pytest.mark.memory
def test_5000_slow_clients_at_once(serve: Serve) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 6000:
        pytest.skip(f"needs 6,000 descriptors, and there are {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000), hard))
    try:
        server = serve("basic:app", "--worker-connections", "6000")
        worker = server.worker
        before = private_kib(worker)
        connections: list[Connection] = []
        for number in range(5000):
            connection = server.connect()
            connection.send((HALF_HEAD, HALF_BODY, b"GET")[number % 3])
            connections.append(connection)
        for _ in range(20):
            quick(server)
        assert private_kib(worker) - before < 64 * 1024
        for connection in connections:
            connection.close()
        quick(server)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_flood_of_half_open_requests_is_evicted(serve: Serve) -> None:
    """Beyond worker_connections the one that has gone longest without a request goes first."""
    server = serve("basic:app", "--worker-connections", "20", *PATIENT)
    with server.connect() as good:
        flood = []
        for _ in range(60):
            flood.append(server.connect())
            flood[-1].send(HALF_HEAD)
            assert good.request("/").body == b"hello\n"
        quick(server)
        for connection in flood[:30]:
            connection.expect_closed()
        assert not flood[-1].readable(0)
        assert good.request("/").body == b"hello\n"


def test_long_half_heads_do_not_fill_the_memory(serve: Serve) -> None:
    """300 heads of 300 KiB that do not end: beyond the budget, long ones are refused."""
    server = serve()
    server.allow("Invalid request from")
    before = private_kib(server.worker)
    field = b"X: " + b"x" * 8000 + b"\r\n"
    flood = [server.connect() for _ in range(300)]
    for connection in flood:
        connection.send_all_can(b"GET / HTTP/1.1\r\nHost: test\r\n" + field * 38)
    quick(server)
    # What was sent may not have been read yet.
    refused = poll(lambda: [each for each in flood if each.readable(0)], "a refusal")
    assert refused[0].read_response().status == 431
    if not SANITIZED:  # which keeps freed memory for a while
        assert private_kib(server.worker) - before < 48 * 1024


# --- while the application holds the main thread


class Held:
    """A request whose application waits for a file."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.file = directory / "release"
        self.connection = server.connect()
        self.connection.send(build_request(f"/block?file={self.file}"))
        poll((directory / "release.started").exists, "the application being called")

    def release(self) -> None:
        self.file.touch()
        assert self.connection.read_response().body == b"released"


def test_requests_wait_and_are_answered_in_the_end(serve: Serve, tmp_path: Path) -> None:
    server = serve("basic:app", *PATIENT)
    waiting = [server.connect() for _ in range(10)]
    for connection in waiting:
        connection.request("/")
    held = Held(server, tmp_path)
    for number, connection in enumerate(waiting):
        connection.send(build_request("/echo", method="POST", body=b"%d" % number))
    assert not waiting[0].readable(0.05)
    held.release()
    for number, connection in enumerate(waiting):
        assert connection.read_response().body == b"%d" % number


def test_standby_answers_bad_requests(serve: Serve, tmp_path: Path) -> None:
    server = serve("basic:app", *PATIENT)
    other = server.connect()
    other.request("/")
    held = Held(server, tmp_path)
    other.send(b"BAD\r\n\r\n")
    assert other.read_response().status == 400
    held.release()


def test_standby_sends_what_is_queued(serve: Serve, tmp_path: Path) -> None:
    server = serve("basic:app", *PATIENT)
    other = server.connect(receive_buffer=4096)
    other.send(build_request("/stream?count=100&size=100000&length=10000000"))
    other.read_head()
    held = Held(server, tmp_path)
    assert other.take(10_000_000, "a body") == b"x" * 10_000_000
    held.release()


def test_standby_reads_bodies(serve: Serve, tmp_path: Path) -> None:
    server = serve("basic:app", *PATIENT)
    other = server.connect()
    other.request("/")
    held = Held(server, tmp_path)
    body = b"z" * 5_000_000  # more than the sockets hold
    other.send(build_request("/length", method="POST", body=body))
    held.release()
    assert other.read_response().text.startswith("5000000 ")


def test_standby_sends_100_continue(serve: Serve, tmp_path: Path) -> None:
    server = serve("basic:app", *PATIENT)
    other = server.connect()
    other.request("/")
    held = Held(server, tmp_path)
    headers = [("Expect", "100-continue"), ("Content-Length", "3")]
    other.send(build_request("/echo", method="POST", headers=headers))
    assert other.read_head().status == 100
    other.send(b"abc")
    held.release()
    assert other.read_response().body == b"abc"


def test_standby_closes_idle_connections(serve: Serve, tmp_path: Path) -> None:
    server = serve("basic:app", "--keep-alive", "1")
    other = server.connect()
    other.request("/")
    held = Held(server, tmp_path)
    other.expect_end()
    held.release()


def test_client_leaves_while_its_request_runs(serve: Serve, tmp_path: Path) -> None:
    server = serve("basic:app", *PATIENT)
    held = Held(server, tmp_path)
    held.connection.reset()
    held.file.touch()
    quick(server)


def test_clients_leave_while_their_requests_wait(serve: Serve, tmp_path: Path) -> None:
    server = serve("basic:app", *PATIENT)
    waiting = [server.connect() for _ in range(10)]
    for connection in waiting:
        connection.request("/")
    held = Held(server, tmp_path)
    for connection in waiting:
        connection.send(build_request("/"))
        connection.reset()
    held.release()
    quick(server)
