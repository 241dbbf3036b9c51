# SPDX-License-Identifier: MIT
"""Workers give each other connections: what a client must not notice."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from client import Connection, build_request
from conftest import Serve
from load import Load
from procs import alive, descriptors, poll, stop
from server import PATIENT, Server

pytestmark = pytest.mark.saola_only

CLIENTS = 16
TURNS = 20
KILLED = r"Worker \(pid:\d+\) was sent SIG"


def pid_of(connection: Connection) -> int:
    pid: int = json.loads(connection.request("/state").body)["pid"]
    return pid


def replace_all(server: Server, count: int) -> list[int]:
    """A reload, up to the moment at which the last of the old workers has gone."""
    before = server.wait_workers(count)
    server.kill(signal.SIGHUP)
    return server.wait_workers(count, other_than=before)


def ready_workers(server: Server, count: int) -> list[int]:
    """The workers, when each of them serves: the last thing that it does before is to start its
    standby, which has an eventfd."""

    def ready() -> list[int]:
        workers = server.wait_workers(count)
        found = [descriptors(worker) for worker in workers]
        same = all(each == found[0] for each in found)
        return workers if same and found[0]["anon_inode:[eventfd]"] == 1 else []

    return poll(ready, f"{count} workers that serve")


def port_of(connection: Connection) -> str:
    port: int = connection.sock.getsockname()[1]
    return str(port)


def connections_of(server: Server, worker: int, count: int) -> list[Connection]:
    """Keep-alive connections that this worker has; the others are closed."""
    found: list[Connection] = []

    def enough() -> bool:
        opened = [server.connect() for _ in range(count)]
        for connection in opened:
            pid_of(connection)  # after this one it may be placed elsewhere
        for connection in opened:
            if pid_of(connection) == worker:
                found.append(connection)
        # Kept open until now, or all of them would go to the same worker.
        for connection in opened:
            if connection not in found:
                connection.close()
        return len(found) >= count

    poll(enough, f"{count} connections of worker {worker}")
    return found


# --- keep-alive clients


def test_reloads(serve: Serve) -> None:
    server = serve("basic:app", "--keep-alive", "30", workers=2)
    with Load(server.address, connections=CLIENTS, interval=0.1) as load:
        load.wait(answered=CLIENTS)
        for _ in range(TURNS):
            replace_all(server, 2)
        load.wait(answered=CLIENTS)
        result = load.stop()
    result.check(at_least=CLIENTS)
    assert result.opened == CLIENTS


def test_recycling(serve: Serve) -> None:
    server = serve("basic:app", "--keep-alive", "30", "--max-requests", "20", workers=2)
    with Load(server.address, connections=CLIENTS, interval=0.1) as load:
        server.wait_log("Autorestarting worker", TURNS, deadline=120)
        load.wait(answered=CLIENTS)
        result = load.stop()
    result.check(at_least=CLIENTS)
    assert result.opened == CLIENTS


def test_one_worker(serve: Serve) -> None:
    """Its successor serves before it goes, and takes everything."""
    server = serve("basic:app", "--keep-alive", "30", "--max-requests", "20")
    with Load(server.address, connections=CLIENTS, interval=0.1) as load:
        server.wait_log("Autorestarting worker", 5, deadline=60)
        load.wait(answered=CLIENTS)
        replace_all_but_recycled(server)
        load.wait(answered=CLIENTS)
        result = load.stop()
    result.check(at_least=CLIENTS)
    assert result.opened == CLIENTS


def replace_all_but_recycled(server: Server) -> None:
    server.kill(signal.SIGHUP)
    server.wait_log("Hang up: Master")


def test_fewer_workers(serve: Serve) -> None:
    server = serve("basic:app", "--keep-alive", "30", workers=4)
    with Load(server.address, connections=CLIENTS, interval=0.1) as load:
        load.wait(answered=CLIENTS)
        for count in (3, 2, 1):
            server.kill(signal.SIGTTOU)
            server.wait_workers(count)
        load.wait(answered=2 * CLIENTS)
        result = load.stop()
    result.check(at_least=CLIENTS)
    assert result.opened == CLIENTS


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGHUP]])
def test_descriptors_stay_the_same(serve: Serve, signals: list[signal.Signals]) -> None:
    """Of the arbiter and of the workers, after many replacements with connections open."""
    server = serve("basic:app", "--keep-alive", "30", workers=2)

    def counts() -> Counter[str]:
        total = descriptors(server.pid)
        for worker in server.wait_workers(2):
            total += descriptors(worker)
        return total

    ready_workers(server, 2)
    before = counts()
    with Load(server.address, connections=CLIENTS, interval=0.05) as load:
        load.wait(answered=CLIENTS)
        for _ in range(5):
            workers = server.wait_serving(2)  # to end one that boots is something else
            if signals == [signal.SIGTERM]:
                server.kill(signal.SIGTERM, workers[0])
                server.wait_workers(2, other_than=workers[:1])
            else:
                replace_all(server, 2)
        result = load.stop()
    result.check(at_least=CLIENTS)
    poll(lambda: counts() == before, lambda: f"{before}; there is {counts()}")


# --- what a connection may be in the middle of


@pytest.mark.parametrize("bind", ["tcp", "unix"])
def test_every_state_across_a_reload(serve: Serve, bind: str) -> None:
    server = serve("basic:app", "--keep-alive", "30", binds=(bind,), workers=2)
    new, idle, half, pipelined = (server.connect() for _ in range(4))
    idle.request("/")
    head = build_request("/echo", method="POST", body=b"hello")
    half.send(head[:20])
    pipelined.send(build_request("/") * 3 + head[:50])
    for _ in range(3):
        assert pipelined.read_response().body == b"hello\n"
    old = server.wait_workers(2)
    replace_all(server, 2)
    half.send(head[20:])
    pipelined.send(head[50:])
    for connection in (half, pipelined):
        response = connection.read_response()
        assert response.body == b"hello"
        assert not response.closes
    for connection in (new, idle, half, pipelined):
        assert pid_of(connection) not in old
        assert not connection.request("/").closes


def test_the_peer_is_still_known(serve: Serve, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    server = serve(
        *("basic:app", "--keep-alive", "30", "--access-logfile", str(log)),
        *("--access-logformat", "%(h)s %(U)s %(p)s %({x-id}i)s"),
        workers=2,
    )
    connections = [server.connect() for _ in range(4)]
    for connection in connections:
        connection.request("/environ")
    workers = replace_all(server, 2)
    for connection in connections:
        environ = json.loads(connection.request("/environ", headers=[("X-Id", "moved")]).body)
        assert environ["REMOTE_ADDR"] == "127.0.0.1"
        assert environ["REMOTE_PORT"] == port_of(connection)
        assert environ["SERVER_PORT"] == str(server.tcp[1])

    def moved() -> list[str]:
        return [line for line in log.read_text().splitlines() if line.endswith("moved")]

    poll(lambda: len(moved()) == 4, "four lines in the access log")
    assert {*moved()} <= {f"127.0.0.1 /environ <{worker}> moved" for worker in workers}


def test_limits_and_timeouts_go_on(serve: Serve) -> None:
    server = serve("basic:app", "--keep-alive", "2", workers=2)
    idle = server.connect()
    idle.request("/")
    long = server.connect()
    long.send(b"GET /")
    replace_all(server, 2)
    long.send(b"x" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n")
    assert long.read_response().status == 400
    idle.expect_end()


def test_a_body_in_a_file(serve: Serve, tmp_path: Path) -> None:
    """The request that waits behind a slow one is answered by another worker."""
    server = serve("basic:app", "--keep-alive", "30", workers=2)
    held, waiting = connections_of(server, ready_workers(server, 2)[0], 2)[:2]
    release = tmp_path / "release"
    held.send(build_request(f"/block?file={release}"))
    poll((tmp_path / "release.started").exists, "the application being called")
    body = os.urandom(300_000)
    waiting.send(build_request("/length", method="POST", body=body))
    server.kill(signal.SIGTERM, server.workers()[0])
    assert waiting.read_response().text == f"{len(body)} {hashlib.sha256(body).hexdigest()}"
    release.touch()
    assert held.read_response().body == b"released"


# --- mail of the dead


HOLD = """
import os, time

def post_fork(server, worker):
    while os.path.exists("hold"):
        time.sleep(0.01)
"""


@pytest.mark.parametrize("successor", ["ready", "booting"])
def test_a_worker_that_dies_with_mail(serve: Serve, successor: str) -> None:
    """It does not read what it is given. When it dies, that goes to whoever serves, or waits for
    the next worker."""
    # No timeout: the one that is stopped does not live either.
    server = serve("basic:app", *PATIENT, "--timeout", "0", config=HOLD, workers=2)
    server.allow(KILLED)
    giver, dying = ready_workers(server, 2)
    connections = connections_of(server, giver, 4)
    connections[0].send(build_request("/echo", method="POST", body=b"hello")[:30])
    stop(dying)
    if successor == "booting":
        (server.tmp / "hold").touch()
    server.kill(signal.SIGTERM, giver)
    poll(lambda: not alive(giver), "the end of the worker")
    server.wait_log("Booting worker", 3)
    connections[0].send(build_request("/echo", method="POST", body=b"hello")[30:])
    for connection in connections[1:]:
        connection.send(build_request("/"))
    server.kill(signal.SIGKILL, dying)
    if successor == "booting":
        server.wait_log("Booting worker", 4)
        (server.tmp / "hold").unlink()
    assert connections[0].read_response().body == b"hello"
    for connection in connections[1:]:
        assert connection.read_response().body == b"hello\n"
    for connection in connections:
        assert pid_of(connection) not in (giver, dying)


# --- workers that have no time left


def check_others(server: Server, victim: int, connections: list[Connection]) -> int:
    """What a worker had besides the request that ran when it was ended: one that waits, half a
    one, and idle connections. Returns who has answered the first."""
    waiting, half = connections[:2]
    answered: int = json.loads(waiting.read_response().body)["pid"]
    half.send(HALF[10:])
    assert half.read_response().body == b"hello\n"
    for connection in connections:
        assert pid_of(connection) != victim
        assert not connection.request("/").closes
    server.wait_log("Booting worker", server.workers_expected + 1)
    return answered


HALF = build_request("/")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("stuck", ["/spin", "/sleep", "/hold-gil"])
def test_a_late_worker(serve: Serve, stuck: str, workers: int) -> None:
    """Only the request that runs is lost, also if it keeps Python from calling any handler."""
    server = serve("lifecycle:app", "--keep-alive", "60", "--timeout", "4", workers=workers)
    server.allow(r"Worker \(pid:\d+\)", "WORKER TIMEOUT", "Stacks of worker", "Error handling")
    victim = ready_workers(server, workers)[0]
    late, *others = connections_of(server, victim, 16)[:16]
    late.send(build_request(stuck))
    others[0].send(build_request("/state"))
    others[1].send(HALF[:10])
    # An arbiter that the machine has held up gives everybody the whole time again.
    server.wait_log(rf"WORKER TIMEOUT \(pid:{victim}\)", deadline=90)
    check_others(server, victim, others)
    late.read_to_end()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("sig", [signal.SIGQUIT, signal.SIGINT, signal.SIGABRT])
def test_a_worker_that_is_to_end_at_once(
    serve: Serve, tmp_path: Path, sig: signal.Signals, workers: int
) -> None:
    server = serve("basic:app", "--keep-alive", "60", workers=workers)
    server.allow(r"Worker \(pid:\d+\)", "Error handling")
    victim = ready_workers(server, workers)[0]
    running, *others = connections_of(server, victim, 16)[:16]
    running.send(build_request(f"/block?file={tmp_path}/never"))
    poll((tmp_path / "never.started").exists, "the application being called")
    others[0].send(build_request("/state"))
    others[1].send(HALF[:10])
    server.kill(sig, victim)
    running.read_to_end()
    assert check_others(server, victim, others) != victim


# --- the end of the server


def test_nobody_takes_anything_when_the_server_stops(serve: Serve) -> None:
    server = serve("basic:app", "--keep-alive", "30", workers=4)
    idle = [server.connect() for _ in range(8)]
    for connection in idle:
        connection.request("/")
    assert server.terminate() == 0
    for connection in idle:
        connection.expect_closed()
