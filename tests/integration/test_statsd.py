# SPDX-License-Identifier: MIT
"""Metrics for StatsD: by the core, and by a logger class of the user's."""

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

SUBCLASS = """
from saola.instrument.statsd import Statsd

class logger_class(Statsd):
    pass
"""

HOOKS = """
def when_ready(server):
    for value, mtype in (0, "gauge"), (None, "gauge"), (7, "counter"), (1.5, "histogram"):
        server.log.debug("", extra={"metric": "my." + mtype, "value": value, "mtype": mtype})
    server.log.info("said", extra={"metric": "my.timer", "value": 12, "mtype": "timer"})
    server.log.debug("no kind", extra={"metric": "my.nothing", "value": 1, "mtype": "else"})
    log = server.log
    if hasattr(log, "gauge"):
        log.decrement("my.decrement", 3)
        log.increment("my.sampled", 1, 0.5)
        log.timer("my.time", 2.5)
    log.critical("c"), log.error("e"), log.warning("w"), log.exception("x")
"""


@pytest.fixture
def receive() -> Iterator[Receive]:
    started: list[Receiver] = []

    def start(kind: str = "udp", path: Path | None = None) -> Receiver:
        started.append(Receiver(kind, path))
        return started[-1]

    yield start
    for receiver in started:
        receiver.close()


def of_requests(receiver: Receiver) -> list[str]:
    return [each for each in [*receiver.messages] if ".request" in each or "requests" in each]


@pytest.mark.parametrize("config", ["", SUBCLASS], ids=["core", "subclass"])
def test_requests(serve: Serve, receive: Receive, config: str) -> None:
    """Three datagrams per request, also for those that are refused or fail, with no access log."""
    receiver = receive()
    server = serve("logs:app", "--statsd-host", f"127.0.0.1:{receiver.port}", config=config)
    server.allow("deep")
    poll(lambda: len(of_requests(receiver)) == 3, "the metrics of the first request")
    receiver.messages.clear()
    server.request("/?sleep=0.05")
    poll(lambda: len(of_requests(receiver)) == 3, lambda: f"metrics: {receiver.messages}")
    duration, count, status = of_requests(receiver)
    match = re.fullmatch(r"gunicorn\.request\.duration:(\d+\.\d+)\|ms", duration)
    assert match is not None
    assert 50 <= float(match[1]) < 10_000
    assert count == "gunicorn.requests:1|c|@1.0"
    assert status == "gunicorn.request.status.200:1|c|@1.0"
    server.request("/?raise=deep")
    receiver.wait("gunicorn.request.status.500:1|c|@1.0")
    receiver.wait("gunicorn.log.exception:1|c|@1.0")
    server.send(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
    receiver.wait("gunicorn.request.status.400:1|c|@1.0")
    receiver.wait("gunicorn.log.warning:1|c|@1.0")
    assert len(of_requests(receiver)) == 9


@pytest.mark.parametrize("config", ["", SUBCLASS], ids=["core", "subclass"])
def test_prefix_tags_and_arbiter(serve: Serve, receive: Receive, config: str) -> None:
    receiver = receive()
    serve(
        *("logs:app", "--statsd-host", f"127.0.0.1:{receiver.port}", "--statsd-prefix", "my.app.."),
        *("--dogstatsd-tags", "a:b,c:d", "--enable-backlog-metric"),
        config=config,
        workers=2,
    )
    tags = "|#a:b,c:d"
    assert receiver.wait("requests") == f"my.app.gunicorn.requests:1|c|@1.0{tags}"
    assert receiver.wait("workers:2") == f"my.app.gunicorn.workers:2|g{tags}"
    # How many connections wait at a moment is chance: there is a client.
    backlog = receiver.wait("backlog")
    assert re.fullmatch(r"my\.app\.gunicorn\.backlog:\d+\|h\|#a:b,c:d", backlog)


@pytest.mark.parametrize("config", ["", SUBCLASS], ids=["core", "subclass"])
def test_prefix_and_tags_that_are_no_text(serve: Serve, receive: Receive, config: str) -> None:
    receiver = receive()
    prefix, tags = os.fsdecode(b"my\xff"), os.fsdecode(b"a:\xfe")
    serve(
        *("logs:app", "--statsd-host", f"127.0.0.1:{receiver.port}"),
        *("--statsd-prefix", prefix, "--dogstatsd-tags", tags),
        config=config,
    )
    assert receiver.wait("requests") == f"{prefix}.gunicorn.requests:1|c|@1.0|#{tags}"


@pytest.mark.parametrize("config", ["", SUBCLASS], ids=["core", "subclass"])
def test_a_host_that_is_no_text(serve: Serve, config: str) -> None:
    server = serve("logs:app", "--statsd-host", os.fsdecode(b"\xff:1"), config=config)
    server.allow("No metrics are sent")
    assert server.request("/").status == 200


@pytest.mark.parametrize("config", ["", SUBCLASS], ids=["core", "subclass"])
def test_messages_that_are_metrics(serve: Serve, receive: Receive, config: str) -> None:
    receiver = receive()
    server = serve(
        *("logs:app", "--statsd-host", f"127.0.0.1:{receiver.port}"), config=config + HOOKS
    )
    server.allow("")
    receiver.wait("gunicorn.log.exception:1|c|@1.0")
    assert [each for each in receiver.messages if each.startswith("my.")] == [
        *("my.gauge:0|g", "my.counter:7|c|@1.0", "my.histogram:1.5|h", "my.timer:12|ms"),
        *("my.decrement:-3|c|@1.0", "my.sampled:1|c|@0.5", "my.time:2.5|ms"),
    ]
    logs = [each for each in receiver.messages if each.startswith("gunicorn.log.")]
    assert logs == [
        f"gunicorn.log.{name}:1|c|@1.0" for name in ("critical", "error", "warning", "exception")
    ]
    assert "said" in server.messages("INFO")


def test_unix_socket(serve: Serve, receive: Receive) -> None:
    short = Path(tempfile.mkdtemp(prefix="saola-"))
    receiver = receive("unix-dgram", short / "statsd")
    serve("logs:app", "--statsd-host", f"unix://{short}/statsd", "--statsd-prefix", "x")
    assert receiver.wait("status") == "xgunicorn.request.status.200:1|c|@1.0"
    shutil.rmtree(short)


def test_access_log_too(serve: Serve, receive: Receive) -> None:
    receiver = receive()
    server = serve(
        *("logs:app", "--statsd-host", f"127.0.0.1:{receiver.port}", "--access-logfile", "-"),
        *("--access-logformat", "%(r)s %({x-out}o)s"),
    )
    server.request("/line")
    poll(lambda: "GET /line HTTP/1.1 out" in server.output, "the access line")
    poll(lambda: len(of_requests(receiver)) == 6, lambda: f"metrics: {receiver.messages}")


@pytest.mark.parametrize("config", ["", SUBCLASS], ids=["core", "subclass"])
def test_nobody_listens(serve: Serve, config: str) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
    server = serve("logs:app", "--statsd-host", host, config=config)
    for _ in range(20):
        assert server.request("/").status == 200
    before = server.workers()
    server.kill(signal.SIGHUP)
    server.wait_log("Hang up")
    server.wait_workers(1, before)
    assert server.request("/").status == 200


@pytest.mark.parametrize("config", ["", SUBCLASS], ids=["core", "subclass"])
@pytest.mark.parametrize("host", ["no.such.host.invalid:8125", "a..b:8125", "127.0.0.1:99999"])
def test_a_host_that_does_not_exist(serve: Serve, host: str, config: str) -> None:
    """No metrics, but a server."""
    server = serve("logs:app", "--statsd-host", host, config=config)
    if not config:
        server.wait_log(f"No metrics are sent: {host.partition(':')[0]}: ")
    assert server.request("/").status == 200
