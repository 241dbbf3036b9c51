# SPDX-License-Identifier: MIT
"""Syslog over every kind of socket, and what happens when nobody listens there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Serve
from procs import poll
from receivers import Receiver

Receive = Callable[..., Receiver]

OPTIONS = ("--log-syslog", "--access-logformat", "%(r)s")

USER_INFO, USER_WARNING, USER_ERROR = "<14>", "<12>", "<11>"


@pytest.fixture
def receive() -> Iterator[Receive]:
    """Starts a receiver."""
    started: list[Receiver] = []

    def start(kind: str, path: Path | None = None, port: int = 0) -> Receiver:
        started.append(Receiver(kind, path, port))
        return started[-1]

    yield start
    for receiver in started:
        if not receiver.closed:
            receiver.close()


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose name is short enough for a unix socket."""
    path = Path(tempfile.mkdtemp(prefix="saola-"))
    yield path
    shutil.rmtree(path)


def address_of(receiver: Receiver, kind: str) -> str:
    if receiver.path is None:
        return f"{kind}://127.0.0.1:{receiver.port}"
    return f"unix://{receiver.path}" + ("#dgram" if kind == "unix-dgram" else "")


@pytest.mark.parametrize("kind", ["udp", "tcp", "unix-dgram", "unix-stream"])
def test_messages(serve: Serve, receive: Receive, short: Path, kind: str) -> None:
    """Errors, access lines and what applications say arrive whole, from arbiter and workers."""
    receiver = receive(kind, short / "log" if kind.startswith("unix") else None)
    to = address_of(receiver, kind)
    server = serve("logs:app", *OPTIONS, "--log-syslog-to", to)
    server.allow("oops")
    server.request("/?gunicorn=oops")
    begin = f"{USER_INFO}gunicorn.logs.app.error: [{server.pid}] "
    assert receiver.wait("Starting") == f"{begin}Starting saola 0.1.0\0"
    assert (
        receiver.wait("] oops") == f"{USER_ERROR}gunicorn.logs.app.error: [{server.worker}] oops\0"
    )
    access = receiver.wait("GET /?gunicorn=oops")
    assert access == (
        f"{USER_INFO}gunicorn.logs.app.access: [{server.worker}] GET /?gunicorn=oops HTTP/1.1\0"
    )
    assert "Starting saola" in server.log  # the error log goes on
    assert server.output == ""
    server.request("/?raise=deep")
    server.allow("deep")
    whole = receiver.wait("ValueError: deep")
    assert whole.startswith(USER_ERROR)
    assert "Traceback (most recent call last):\n" in whole
    server.send(b"BAD\r\n\r\n")
    assert receiver.wait("Invalid request").startswith(USER_WARNING)


def test_options(serve: Serve, receive: Receive) -> None:
    receiver = receive("udp")
    server = serve(
        *("logs:app", *OPTIONS, "--log-syslog-to", address_of(receiver, "udp")),
        *("--log-syslog-prefix", "a%b", "--log-syslog-facility", "LOCAL7"),
        "--disable-redirect-access-to-syslog",
    )
    server.request("/?gunicorn=last")
    server.allow("last")
    assert re.match(r"<187>gunicorn\.a%b\.error: \[\d+\] last\0$", receiver.wait("last"))
    assert not [message for message in receiver.messages if ".access:" in message]


def test_a_prefix_that_is_no_text(serve: Serve, receive: Receive) -> None:
    """The messages of the core and those of Python code have the same."""
    receiver = receive("udp")
    prefix = os.fsdecode(b"shop\xff")
    server = serve(
        *("logs:app", *OPTIONS, "--log-syslog-to", address_of(receiver, "udp")),
        *("--log-syslog-prefix", prefix),
    )
    server.request("/?gunicorn=last")
    server.allow("last")
    for part, log in (("Starting", "error"), ("] last", "error"), ("GET /?gunicorn", "access")):
        assert f">gunicorn.{prefix}.{log}: [" in receiver.wait(part)


def test_access_log_goes_to_file_and_syslog(serve: Serve, receive: Receive, tmp_path: Path) -> None:
    receiver = receive("udp")
    access = tmp_path / "access"
    to = address_of(receiver, "udp")
    server = serve(
        *("logs:app", *OPTIONS, "--log-syslog-to", to, "--access-logfile", str(access)),
    )
    server.request("/both")
    receiver.wait("GET /both")
    poll(lambda: "GET /both" in access.read_text(), "the line in the file")


@pytest.mark.parametrize("kind", ["udp", "tcp", "unix-dgram", "unix-stream"])
def test_nobody_listens(serve: Serve, short: Path, kind: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        to = f"unix://{short}/missing" if kind.startswith("unix") else f"{kind}://127.0.0.1:{port}"
        server = serve("logs:app", *OPTIONS, "--log-syslog-to", to)
        for _ in range(50):
            assert server.request("/").status == 200


@pytest.mark.parametrize("kind", ["tcp", "unix-stream", "unix-dgram"])
def test_a_server_that_comes_back(serve: Serve, receive: Receive, short: Path, kind: str) -> None:
    path = short / "log" if kind.startswith("unix") else None
    first = receive(kind, path)
    port = 0 if path else first.port
    server = serve("logs:app", *OPTIONS, "--log-syslog-to", address_of(first, kind))
    server.request("/one")
    first.wait("GET /one")
    first.close()
    for _ in range(3):
        assert server.request("/lost").status == 200
    again = receive(kind, path, port)

    def arrives() -> bool:
        server.request("/two")
        return any("GET /two" in message for message in [*again.messages])

    poll(arrives, "a message after the restart", 20.0)
    assert re.search(r"\d+ messages could not be sent", again.wait("messages could not be sent"))


@pytest.mark.parametrize("kind", ["tcp", "unix-stream", "unix-dgram"])
def test_a_server_that_does_not_read(serve: Serve, short: Path, kind: str) -> None:
    """It takes what fits into the socket, and never holds a request up."""
    stream = kind != "unix-dgram"
    family = socket.AF_INET if kind == "tcp" else socket.AF_UNIX
    with socket.socket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.bind(("127.0.0.1", 0) if kind == "tcp" else f"{short}/log")
        if stream:
            deaf.listen(1)
        to = f"tcp://127.0.0.1:{deaf.getsockname()[1]}" if kind == "tcp" else f"unix://{short}/log"
        server = serve("logs:app", "--log-syslog", "--log-syslog-to", to)
        with server.connect() as connection:
            for _ in range(300):
                head = [("User-Agent", "a" * 4000)]
                assert connection.request("/", headers=head).status == 200


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["--log-syslog-to", "localhost:514"], "invalid syslog address"),
        (["--log-syslog-to", "http://localhost"], "invalid syslog address"),
        (["--log-syslog-to", "udp://localhost:port"], "'port' is not a valid port number."),
        (["--log-syslog-facility", "nonsense"], "unknown facility name"),
        (["--log-syslog-to", "udp://no.such.host.invalid"], "no.such.host.invalid: "),
        (["--log-syslog-to", "unix:///" + 200 * "x"], "the path of a unix socket is too long"),
    ],
)
def test_bad_settings(serve: Serve, args: list[str], error: str) -> None:
    server = serve("logs:app", "--log-syslog", *args, ready="no")
    assert server.wait() == 1
    assert f"\nError: {error}" in server.log
    assert "Traceback" not in server.log


def test_reload_turns_it_on_and_off(serve: Serve, receive: Receive) -> None:
    receiver = receive("udp")
    server = serve("logs:app", config="syslog = False")
    config = server.tmp / "gunicorn.conf.py"
    before = server.workers()
    config.write_text(f"syslog = True; syslog_addr = 'udp://127.0.0.1:{receiver.port}'")
    server.kill(signal.SIGHUP)
    receiver.wait("Booting worker")
    server.wait_workers(1, before)
    server.request("/")
    receiver.wait("GET /")
    before = server.workers()
    config.write_text("")
    server.kill(signal.SIGHUP)
    server.wait_workers(1, before)
    receiver.catch_up("before")
    receiver.messages.clear()
    server.request("/")
    assert server.terminate() == 0
    receiver.catch_up("after")
    assert receiver.messages == ["after"]
