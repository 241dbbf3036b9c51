# SPDX-License-Identifier: MIT
"""The end of a server: what waits is answered, nothing else is waited for."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from signal import Signals

import pytest
from client import build_request
from conftest import Serve
from procs import poll
from server import SANITIZED, SYNC, Server

pytestmark = pytest.mark.saola_only


def hold_and_queue(server: Server, file: Path, waiting: int) -> None:
    """One request that runs until `file` is there, and others behind it."""
    first = server.connect()
    first.send(build_request(f"/block?file={file}"))
    poll(file.with_name(file.name + ".started").exists, "the application being called")
    for _ in range(waiting):
        server.connect().send(build_request("/"))


def unaccepted(server: Server) -> int:
    """Connections in the kernel's queue of the listener: its receive queue in /proc/net/tcp."""
    port = f":{server.tcp[1]:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(port) and fields[3] == "0A":
            return int(fields[4].partition(":")[2], 16)
    return 0


def test_what_waits_in_the_kernels_queue_is_answered(serve: Serve, tmp_path: Path) -> None:
    server = serve("basic:app", *SYNC)
    hold_and_queue(server, tmp_path / "release", 0)
    # The standby has taken the listener out of the loop: nobody accepts any more.
    poll(lambda: queue_grows(server), "connections that stay in the queue")
    while unaccepted(server) < 7:
        server.connect().send(build_request("/"))
    server.kill(signal.SIGTERM)
    server.wait_log("Handling signal: term")
    poll(lambda: unaccepted(server) == 0, "the queue drained")
    (tmp_path / "release").touch()
    bodies = [connection.read_response().body for connection in server.connections]
    assert len(bodies) >= 8
    assert bodies == [b"released", *[b"hello\n"] * (len(bodies) - 1)]
    assert server.wait() == 0


def queue_grows(server: Server) -> bool:
    server.connect().send(build_request("/"))
    time.sleep(0.02)
    return unaccepted(server) > 0


def time_to_stop(server: Server, clients: int) -> float:
    idle = [server.connect() for _ in range(clients)]
    for connection in idle:
        connection.request("/")
    begun = time.monotonic()
    assert server.terminate() == 0
    took = time.monotonic() - begun
    for connection in idle:
        connection.expect_closed()
    return took


def test_idle_clients_do_not_delay_the_end(serve: Serve) -> None:
    """Within 200 ms; or, where a server without clients takes as long, within 100 ms more
    than that."""
    with_clients: list[float] = []
    without: list[float] = []

    def fast() -> bool:
        return min(with_clients) <= max(0.2, min(without) + 0.1)

    while not with_clients or (not fast() and len(with_clients) < 8):
        with_clients.append(time_to_stop(serve("basic:app", "--keep-alive", "60"), 16))
        without.append(time_to_stop(serve("basic:app"), 0))
    assert SANITIZED or fast(), (with_clients, without)


# --- shutdown_delay


def test_shutdown_delay_goes_on_accepting(serve: Serve) -> None:
    server = serve("basic:app", "--shutdown-delay", "60", workers=2)
    server.allow("was sent SIGKILL")
    workers = server.wait_workers(2)
    server.kill(signal.SIGTERM)
    server.wait_log(r"Accepting connections for 60 s more")
    for _ in range(4):
        assert not server.connect().request("/").closes
    server.kill(signal.SIGKILL, workers[0])  # is replaced, as ever
    server.wait_workers(2, other_than=workers[:1])
    assert server.request("/").status == 200
    begun = time.monotonic()
    assert server.terminate() == 0  # a second TERM ends the delay
    assert time.monotonic() - begun < 20
    assert "Quick shutdown requested" not in server.messages("INFO")


def test_shutdown_delay_ends_by_itself(serve: Serve) -> None:
    server = serve("basic:app", "--shutdown-delay", "1")
    begun = time.monotonic()
    assert server.terminate() == 0
    assert 1.0 <= time.monotonic() - begun < 20


@pytest.mark.parametrize("sig", [Signals.SIGINT, Signals.SIGQUIT])
def test_shutdown_delay_is_for_term_alone(serve: Serve, sig: Signals) -> None:
    server = serve("basic:app", "--shutdown-delay", "60")
    assert server.terminate(sig) == 0
    server = serve("basic:app", "--shutdown-delay", "60")
    server.kill(signal.SIGTERM)
    server.wait_log("Accepting connections")
    assert server.terminate(sig) == 0


# --- as it was agreed with the client


def test_request_that_has_begun_to_arrive_is_answered(serve: Serve) -> None:
    """If the rest of it comes within a second, which is up to the machine too."""
    for _ in range(5):
        server = serve()
        connection = server.connect()
        connection.send(b"GET / HTTP/1.1\r\nHost: t\r\n")
        poll(lambda: unaccepted(server) == 0, "the connection accepted")  # noqa: B023
        begun = time.monotonic()
        server.kill(signal.SIGTERM)
        connection.send(b"\r\n")
        in_time = time.monotonic() - begun < 0.5
        if in_time:
            assert connection.read_response().body == b"hello\n"
        assert server.wait() == 0
        if in_time:
            return
    raise AssertionError("the machine is too slow for this test")


def test_request_in_progress_outlives_timeout(serve: Serve, tmp_path: Path) -> None:
    """graceful_timeout alone governs what a worker gets once it has been told to end."""
    server = serve("basic:app", *SYNC, "--timeout", "3", "--graceful-timeout", "30")
    hold_and_queue(server, tmp_path / "release", 0)
    server.kill(signal.SIGTERM)
    server.wait_log("Handling signal: term")
    time.sleep(4.5)  # nothing is waited for: longer than `timeout` would allow
    (tmp_path / "release").touch()
    assert server.connections[0].read_response().body == b"released"
    assert server.wait() == 0
