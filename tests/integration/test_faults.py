# SPDX-License-Identifier: MIT
"""System calls that fail or come short, allocations that fail, workers that are killed."""

from __future__ import annotations

import hashlib
import json
import random
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from client import Connection, ConnectionClosed, FramingError, build_request, chunked, pipeline
from conftest import Serve
from faults import Faults, build_library
from procs import poll, stop
from server import PATIENT, SANITIZED, Server

pytestmark = pytest.mark.saola_only

# Short transfers and what has to be tried again: nobody may notice.
SOFT = [
    *("recv:SHORT", "recv:EINTR", "recv:EAGAIN"),
    *("sendmsg:SHORT", "sendmsg:EINTR", "sendmsg:EAGAIN"),
    *("sendfile:SHORT", "sendfile:EINTR", "sendfile:EAGAIN"),
    *("accept4:EINTR", "accept4:EAGAIN", "accept4:ECONNABORTED"),
    *("epoll_wait:SHORT", "epoll_wait:EINTR"),
    *("pread:SHORT", "pread:EINTR", "pwrite:SHORT", "pwrite:EINTR"),
]

# What costs a connection, and nothing but that connection; with what the log says about it.
HARD: dict[str, str | None] = {
    "recv:ECONNRESET": None,
    "recv:ENOMEM": None,
    "sendmsg:EPIPE": None,
    "sendmsg:ENOBUFS": "Closing a connection from ip=127.0.0.1: No buffer space available",
    "sendmsg:ENOMEM": "Closing a connection from ip=127.0.0.1: Cannot allocate memory",
    "sendfile:EIO": "Closing a connection from ip=127.0.0.1: Input/output error",
    "accept4:EMFILE": "Cannot accept a connection: Too many open files",
    "accept4:ENFILE": "Cannot accept a connection: Too many open files in system",
    "accept4:ENOMEM": "Cannot accept a connection: Cannot allocate memory",
    "epoll_ctl:ENOSPC": "Closing a connection from ip=127.0.0.1: No space left on device",
    "open:EMFILE": "Cannot keep a request body in a temporary file: Too many open files",
    "open:ENOSPC": "Cannot keep a request body in a temporary file: No space left on device",
    "pwrite:ENOSPC": "Cannot keep a request body in a temporary file: No space left on device",
    "dup:EMFILE": "Closing a connection from ip=127.0.0.1: Too many open files",
    "pread:EIO": "OSError: [Errno 5] Input/output error",
}

BODY = random.Random(26).randbytes(150_000)  # goes to a temporary file
FILE = random.Random(27).randbytes(300_000)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_library(tmp_path_factory.mktemp("faults"))


Start = Callable[..., tuple[Server, Faults]]


@pytest.fixture
def start(serve: Serve, library: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts a server in whose workers faults happen once they are set."""
    made = []

    def start(*args: str, seed: int = 1, workers: int = 1) -> tuple[Server, Faults]:
        faults = Faults(tmp_path / "control", library)
        server = serve("basic:app", *PATIENT, *args, env=faults.environ, workers=workers)
        faults.begin(server.pid, seed)
        made.append(faults)
        return server, faults

    yield start
    for faults in made:
        faults.stop()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "download"
    path.write_bytes(FILE)
    return path


# --- what is asked


def ask_basics(connection: Connection) -> None:
    for _ in range(3):
        assert connection.request("/").body == b"hello\n"
    assert connection.request("/", method="HEAD").body == b""
    assert connection.request("/no").status == 404


def ask_echo(connection: Connection) -> None:
    response = connection.request("/echo", method="POST", body=BODY)
    assert response.body == BODY or response.status == 500


def ask_chunked(connection: Connection) -> None:
    pieces = [BODY[start : start + 9_999] for start in range(0, len(BODY), 9_999)]
    connection.send(
        build_request("/length", method="POST", headers=[("Transfer-Encoding", "chunked")])
    )
    connection.send(chunked(pieces))
    response = connection.read_response()
    digest = hashlib.sha256(BODY).hexdigest()
    assert response.text == f"{len(BODY)} {digest}" or response.status == 500


def ask_expecting(connection: Connection) -> None:
    expect = [("Expect", "100-continue")]
    response = connection.request("/echo", method="POST", body=b"expected", headers=expect)
    assert [each.status for each in response.interim] == [100]
    assert response.body == b"expected"


def ask_stream(connection: Connection) -> None:
    assert connection.request("/stream?count=40&size=5000").body == b"x" * 200_000


def ask_pipelined(connection: Connection) -> None:
    bodies = [b"body %d" % number for number in range(20)]
    requests = [build_request("/echo", method="POST", body=body) for body in bodies]
    assert [response.body for response in pipeline(connection, requests)] == bodies


def ask_bad(connection: Connection) -> None:
    connection.send(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
    assert connection.read_response().status == 400


def ask_file(connection: Connection, path: Path) -> None:
    for query in ("", "&offset=7", f"&length={len(FILE)}"):
        start = 7 if "offset" in query else 0
        assert connection.request(f"/file?path={path}{query}").body == FILE[start:]


def mix(path: Path) -> list[Callable[[Connection], None]]:
    def ask_this_file(connection: Connection) -> None:
        ask_file(connection, path)

    return [
        *(ask_basics, ask_echo, ask_chunked, ask_expecting),
        *(ask_stream, ask_pipelined, ask_this_file, ask_bad),
    ]


def ask_all(server: Server, asks: Sequence[Callable[[Connection], None]]) -> None:
    """Each kind on a connection of its own; every one of them must be right."""
    for ask in asks:
        with Connection(server.address) as connection:
            ask(connection)


def survive_all(server: Server, asks: Sequence[Callable[[Connection], None]]) -> int:
    """How many connections were lost; what comes of the others must be right."""
    lost = 0
    for ask in asks:
        try:
            with Connection(server.address) as connection:
                ask(connection)
        except (FramingError, ConnectionError):
            lost += 1
    return lost


# --- tests


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_short_and_interrupted_calls(start: Start, file: Path, seed: int) -> None:
    server, faults = start(seed=seed)
    worker = server.worker
    faults.set(200, *SOFT)
    for _ in range(10):
        slow = server.connect(receive_buffer=4096)
        slow.send(build_request("/stream?count=300&size=10000", close=True))
        ask_all(server, mix(file))  # while that response waits in a temporary file
        assert slow.read_response().body == b"x" * 3_000_000
        if all(map(faults.count, SOFT)):
            break
    assert [name for name in SOFT if faults.count(name) == 0] == []
    assert server.worker == worker


@pytest.mark.parametrize("name", HARD)
def test_failing_calls(start: Start, file: Path, name: str) -> None:
    server, faults = start()
    worker = server.worker
    server.allow(*map(re.escape, filter(None, HARD.values())), "lines like the next one")
    faults.set(400, name)
    for _ in range(50):  # until the log says it
        survive_all(server, mix(file))
        if faults.count(name) >= 5 and (HARD[name] or "") in server.log:
            break
    assert faults.count(name) > 0
    faults.stop()
    ask_all(server, mix(file))
    assert server.worker == worker
    assert (HARD[name] or "") in server.log


@pytest.mark.parametrize("name", ["open:EMFILE", "open:ENOSPC", "pwrite:ENOSPC", "pread:EIO"])
def test_a_response_that_cannot_be_kept(start: Start, file: Path, name: str) -> None:
    server, faults = start()
    worker = server.worker
    server.allow("Closing a connection from ip=127.0.0.1: ")
    faults.set(1000, name)
    slow = server.connect(receive_buffer=4096)
    slow.send(build_request("/stream?count=1500&size=10000"))
    poll(lambda: server.request("/closed").text == '["stream"]', "the end of the stream")
    with pytest.raises(ConnectionClosed):
        slow.read_response()
    assert len(server.wait_log("Closing a connection from ip=127.0.0.1: ")) == 1
    faults.stop()
    ask_all(server, mix(file))
    assert server.worker == worker


def access_lines(server: Server) -> list[str]:
    return (server.tmp / "access").read_text().splitlines()


def test_an_access_log_that_is_written_in_pieces(start: Start) -> None:
    server, faults = start("--access-logfile=access", "--access-logformat=%(q)s %(s)s end")
    poll(lambda: access_lines(server), "the line of the request at the start")
    faults.set(300, "write:SHORT", "write:EINTR")
    before = len(access_lines(server))
    with server.connect() as connection:
        for number in range(300):
            assert connection.request(f"/?{number}").status == 200
    expected = [f"{number} 200 end" for number in range(300)]
    poll(lambda: len(access_lines(server)) >= before + 300, "300 lines")
    assert access_lines(server)[before:] == expected
    assert faults.count("write:SHORT") > 0
    assert faults.count("write:EINTR") > 0


def test_a_full_disk_below_the_logs(start: Start, file: Path) -> None:
    """Requests are served, and whole lines come again once there is room."""
    server, faults = start("--access-logfile=access", "--access-logformat=%(q)s %(s)s end")
    worker = server.worker
    server.allow("access log")
    faults.set(500, "write:ENOSPC", "write:SHORT")
    for _ in range(3):
        ask_all(server, mix(file))
    faults.stop()
    for number in range(20):
        assert server.request(f"/?{number}").status == 200
    expected = [f"{number} 200 end" for number in range(20)]
    poll(lambda: access_lines(server)[-20:] == expected, lambda: str(access_lines(server)))
    assert server.worker == worker


def test_a_lost_watch_while_an_error_page_waits(start: Start, file: Path) -> None:
    """The connection was closed amid its own closing, and the worker panicked."""
    server, faults = start()
    worker = server.worker
    server.allow("Closing a connection from ip=127.0.0.1: No space left on device")
    stop(worker)
    connection = server.connect()
    connection.send(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")  # there when it is accepted
    faults.set(1000, "sendmsg:EAGAIN", "epoll_ctl:ENOSPC")
    server.kill(signal.SIGCONT, worker)
    connection.expect_closed()
    faults.stop()
    ask_all(server, mix(file))
    assert server.worker == worker


def test_listening_sockets_that_cannot_be_watched(start: Start, file: Path, tmp_path: Path) -> None:
    """They leave the loop while the application holds the worker, and have to come back."""
    server, faults = start()
    worker = server.worker
    server.allow("Cannot watch the listening sockets: No space left on device")
    held, bystander = server.connect(), server.connect()
    for connection in (held, bystander, held):  # so that both are watched when the faults begin
        assert connection.request("/").status == 200
    held.send(build_request(f"/block?file={tmp_path}/held"))
    poll((tmp_path / "held.started").exists, "the application")
    faults.set(1000, "epoll_ctl:ENOSPC", times=2)
    bystander.send(b"bad\r\n\r\n")
    assert bystander.read_response().status == 400  # by the standby
    (tmp_path / "held").touch()
    assert held.read_response().text == "released"
    ask_all(server, mix(file))
    assert faults.count("epoll_ctl:ENOSPC") == 2
    server.wait_log("Cannot watch the listening sockets: No space left on device", 2)
    assert server.worker == worker


@pytest.mark.skipif(SANITIZED, reason="a sanitizer has an allocator of its own")
def test_a_failing_allocation(start: Start, file: Path) -> None:
    """The worker panics, which the arbiter tells, and another takes its place."""
    server, faults = start()
    worker = server.worker
    server.allow("out of memory", "Worker")
    faults.set(1000, "alloc:ENOMEM", times=1)
    survive_all(server, mix(file))
    assert faults.count("alloc:ENOMEM") == 1
    server.wait_workers(1, other_than=[worker])
    ask_all(server, mix(file))
    assert re.search(rf"pid:{worker}\b.*panic at .*: out of memory: \d+ bytes", server.log)
    server.wait_log(rf"Last stacks of worker \(pid:{worker}\):\nNative stack .*\n.*_core\b")
    server.wait_log(r"\nCurrent thread .*\n  File \".*\n")  # and Python's


def test_a_worker_is_killed_amid_a_request(start: Start, file: Path, tmp_path: Path) -> None:
    server, _ = start(workers=2)
    server.allow("SIGKILL")
    held = server.connect()
    held.send(build_request(f"/block?file={tmp_path}/held"))
    poll((tmp_path / "held.started").exists, "the application")
    # The other one accepts everything by now: the first has its listeners out of the loop.
    other = server.connect()
    survivor = json.loads(other.request("/state").body)["pid"]
    (victim,) = set(server.workers()) - {survivor}
    server.kill(signal.SIGKILL, victim)
    held.expect_closed()
    ask_all(server, mix(file))
    assert other.request("/").body == b"hello\n"
    assert survivor in server.wait_workers(2, other_than=[victim])
    assert re.search(rf"pid:{victim}\b.*SIGKILL", server.log)
    (tmp_path / "held").touch()
