# SPDX-License-Identifier: MIT
"""What has gone wrong in servers of this kind, and must not here."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from signal import Signals

import pytest
from client import Connection, build_request
from conftest import Serve
from faults import Faults, build_library
from load import Load
from procs import alive, children, poll
from server import SYNC, Finished, Server, kill_session, reserve, run
from upgrades import PIDFILE, SAYS_WHEN_READY, Upgrades

pytestmark = pytest.mark.saola_only

# --- daemons

Daemon = Callable[..., Upgrades]


@pytest.fixture
def daemon(serve: Serve) -> Iterator[Daemon]:
    """Starts servers in the background, found by their pid files."""
    sessions = []

    def start(*args: str, workers: int = 1) -> Upgrades:
        server = serve(
            *("basic:app", "--daemon", "--pid", PIDFILE, "--log-file", "stderr", *args),
            config=SAYS_WHEN_READY,
            workers=workers,
            ready="no",
        )
        assert server.wait() == 0  # the launcher
        upgrades = Upgrades(server, workers)
        sessions.append(os.getsid(upgrades.pid))
        return upgrades

    yield start
    for session in sessions:
        kill_session(session)


def own_workers(upgrades: Upgrades, arbiter: int) -> list[int]:
    return [pid for pid in children(arbiter) if pid in upgrades.serving(arbiter)]


def test_winch_of_a_daemon_then_ttin(daemon: Daemon) -> None:
    upgrades = daemon(workers=2)
    upgrades.send(signal.SIGWINCH)
    upgrades.wait(lambda: not children(upgrades.pid), "no worker")
    waiting = upgrades.server.connect()
    waiting.send(build_request("/"))  # the arbiter still has the socket
    upgrades.send(signal.SIGTTIN)
    upgrades.wait(lambda: len(upgrades.serving(upgrades.pid)) == 1, "one worker")
    assert waiting.read_response().body == b"hello\n"
    upgrades.send(signal.SIGTTIN)
    upgrades.wait(lambda: len(upgrades.serving(upgrades.pid)) == 2, "two workers")
    assert "graceful stop of workers" in upgrades.server.messages("INFO")
    upgrades.end(upgrades.pid)
    assert not upgrades.pidfile.exists()


def unread(connection: Connection) -> bool:
    """Whether the server's receive queue holds something of this client's, or is not known."""
    client = f":{connection.sock.getsockname()[1]:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[2].endswith(client):
            return int(fields[4].partition(":")[2], 16) > 0
    return True


def test_winch_of_a_daemon_with_a_request_that_waits(daemon: Daemon, tmp_path: Path) -> None:
    """No other worker will come for it."""
    upgrades = daemon("--keep-alive", "60")
    server = upgrades.server
    running, waiting = server.connect(), server.connect()
    for connection in (running, waiting):
        assert connection.request("/").status == 200
    running.send(build_request(f"/block?file={tmp_path}/release"))
    poll((tmp_path / "release.started").exists, "the application being called")
    waiting.send(build_request("/"))
    poll(lambda: not unread(waiting), "a request that waits")
    upgrades.send(signal.SIGWINCH)
    upgrades.wait(lambda: "graceful stop of workers" in server.log, "the signal being handled")
    (tmp_path / "release").touch()
    assert running.read_response().body == b"released"
    assert waiting.read_response().body == b"hello\n"
    upgrades.wait(lambda: not children(upgrades.pid), "no worker")
    upgrades.end(upgrades.pid)


def test_backing_out_of_an_upgrade(daemon: Daemon) -> None:
    upgrades = daemon(workers=2)
    old, server = upgrades.pid, upgrades.server
    for _ in range(2):
        new = upgrades.start()
        upgrades.send(signal.SIGWINCH, old)
        upgrades.wait(lambda: len(children(old)) == 1, "the old workers gone")
        assert server.request("/").status == 200
        upgrades.send(signal.SIGHUP, old)
        upgrades.wait(lambda: len(own_workers(upgrades, old)) == 2, "the old workers back")
        upgrades.end(new, signal.SIGQUIT)
        upgrades.wait(lambda: not upgrades.second.exists(), "no second pid file")
        assert upgrades.pidfile.read_text() == f"{old}\n"
        assert server.request("/").status == 200
        assert len(own_workers(upgrades, old)) == 2
    # It is the one server again: it can be upgraded, and takes its pid file along.
    upgrades.upgrade()
    assert server.request("/").status == 200
    upgrades.end(upgrades.pid)


# --- a second start


def test_second_start_fails_and_leaves_the_first_alone(
    serve: Serve, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = serve("basic:app", "--pid", PIDFILE, binds=["tcp", "unix"])
    path = str(server.addresses[1])
    inode = os.stat(path).st_ino
    pidfile = server.tmp / PIDFILE
    attempts = {
        "pid": ["--bind", "127.0.0.1:0", "--pid", str(pidfile)],
        "port": ["--bind", f"127.0.0.1:{server.tcp[1]}", "--pid", "own.pid"],
        "unix": ["--bind", f"unix:{path}", "--pid", "own.pid"],
    }
    results: dict[str, Finished] = {}
    places = {name: tmp_path_factory.mktemp(name) for name in attempts}

    def attempt(name: str) -> None:
        results[name] = run(places[name], *attempts[name], "basic:app")

    threads = [threading.Thread(target=attempt, args=[name]) for name in attempts]
    with Load(server.addresses, connections=4, short=True, interval=0.02) as load:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        load.stop().check()
    for name, said in (
        ("pid", f"Already running on PID {server.pid}"),
        ("port", "Connection in use"),
        ("unix", "Connection in use"),
    ):
        assert results[name].code == 1
        assert said in results[name].stderr
        assert not (places[name] / "own.pid").exists()
    assert pidfile.read_text() == f"{server.pid}\n"
    assert os.stat(path).st_ino == inode


def test_what_a_killed_server_leaves_is_taken_over(serve: Serve, tmp_path: Path) -> None:
    path, pidfile = f"{tmp_path}/stale.sock", tmp_path / "stale.pid"
    first = serve("basic:app", "--pid", str(pidfile), binds=[f"unix:{path}"])
    workers = first.workers()
    first.kill(signal.SIGKILL)
    first.wait()
    poll(lambda: not any(alive(pid) for pid in workers), "the workers gone")
    assert os.path.exists(path)
    second = serve("basic:app", "--pid", str(pidfile), binds=[f"unix:{path}"])
    assert pidfile.read_text() == f"{second.pid}\n"
    assert second.terminate() == 0
    assert not os.path.exists(path)
    assert not pidfile.exists()


# --- logs


def open_files(pid: int) -> set[str]:
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.add(os.readlink(f"/proc/{pid}/fd/{name}"))
        except FileNotFoundError:
            continue
    return found


def test_usr1_creates_renamed_logs_anew_in_all_processes(serve: Serve, tmp_path: Path) -> None:
    error, access = tmp_path / "error.log", tmp_path / "access.log"
    server = serve(
        *("basic:app", "--error-logfile", str(error), "--access-logfile", str(access)),
        config=SAYS_WHEN_READY,
        workers=2,
    )
    poll(lambda: error.read_text().count("a worker serves") == 2, "both workers")
    family = [server.pid, *server.wait_workers(2)]
    error.rename(tmp_path / "error.1")
    access.rename(tmp_path / "access.1")
    server.kill(signal.SIGUSR1)

    def all_moved() -> bool:
        files = [open_files(pid) for pid in family]
        new = all(str(error) in each for each in files)
        old = any(
            str(tmp_path / name) in each for each in files for name in ("error.1", "access.1")
        )
        return new and not old

    poll(all_moved, lambda: f"new logs everywhere: {[open_files(pid) for pid in family]}")
    assert server.request("/after").status == 404
    poll(lambda: access.exists() and "GET /after " in access.read_text(), "the line of a request")
    assert server.workers() == family[1:]


USR1_AT_ONCE = """
import os, signal, subprocess
def post_fork(server, worker):
    os.rename(server.cfg.errorlog, server.cfg.errorlog + ".1")
    os.kill(worker.pid, signal.SIGUSR1)
    with open("mask", "w") as mask:
        subprocess.run(["grep", "SigBlk", "/proc/self/status"], stdout=mask, check=True)
"""


def test_usr1_reaches_a_worker_that_has_just_been_forked(serve: Serve, tmp_path: Path) -> None:
    error = tmp_path / "error.log"
    server = serve("basic:app", "--error-logfile", str(error), config=USR1_AT_ONCE)
    poll(lambda: str(error) in open_files(server.worker), "the new log in the worker")
    assert (tmp_path / "error.log.1").read_text().count("Booting worker") == 1
    assert "Booting worker" not in error.read_text()
    blocked = int((server.tmp / "mask").read_text().split()[1], 16)
    assert not blocked & 1 << signal.SIGUSR1 - 1, "what is started meanwhile can get it"


# --- time that stands still, or jumps


def test_nobody_is_killed_because_the_arbiter_stood_still(serve: Serve) -> None:
    """SIGSTOP and SIGCONT for longer than the timeout: of the arbiter alone, and of all."""
    alone, together = (serve("basic:app", "--timeout", "2", workers=2) for _ in range(2))
    workers = {server: server.wait_workers(2) for server in (alone, together)}
    assert {os.getpgid(pid) for pid in workers[together]} == {together.pid}
    os.kill(alone.pid, signal.SIGSTOP)
    os.killpg(together.pid, signal.SIGSTOP)
    time.sleep(3.5)  # nothing is waited for: so long nobody runs
    os.kill(alone.pid, signal.SIGCONT)
    os.killpg(together.pid, signal.SIGCONT)  # all at the same moment
    time.sleep(2.5)  # and so long somebody could be found to be late
    for server in (alone, together):
        assert server.workers() == workers[server]
        assert server.request("/").status == 200
        assert not [each for each in server.messages() if "TIMEOUT" in each]


def date_of(connection: Connection) -> datetime:
    return parsedate_to_datetime(connection.request("/").get("Date") or "")


def test_nobody_is_killed_because_the_clock_jumped(
    serve: Serve, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A day forward and back again."""
    faults = Faults(tmp_path / "control", build_library(tmp_path_factory.mktemp("faults")))
    server = serve("basic:app", "--timeout", "2", "--keep-alive", "30", env=faults.environ)
    worker = server.worker
    faults.begin(0, 1)
    connection = server.connect()
    today = date_of(connection)
    for jump in (True, False):
        if jump:
            faults.set(1000, "clock_gettime:LATER")
        else:
            faults.stop()
        poll(lambda: (date_of(connection) - today > timedelta(hours=23)) == jump, "the jump")  # noqa: B023
        end = time.monotonic() + 2.6
        while time.monotonic() < end:
            date_of(connection)
            time.sleep(0.05)
        assert (date_of(connection) - today > timedelta(hours=23)) == jump
    assert faults.count("clock_gettime:LATER") > 10
    assert server.workers() == [worker]


# --- large transfers


PIECE = 1 << 20


class Hups(threading.Thread):
    """A HUP every 10 ms."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.01):
            self.server.kill(signal.SIGHUP)

    def __enter__(self) -> Hups:
        self.start()
        return self

    def __exit__(self, *args: object) -> None:
        self.over.set()
        self.join()


def reloads(server: Server) -> int:
    return server.log.count("Hang up: Master")


@pytest.fixture(scope="module")
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random bytes: 100 MB with --slow."""
    path = tmp_path_factory.mktemp("large") / "file"
    size = 100_000_000 if request.config.getoption("--slow") else 12_000_000
    path.write_bytes(random.Random(16).randbytes(size))
    return path


def test_large_response_during_reloads(serve: Serve, large: Path) -> None:
    server = serve("basic:app", "--graceful-timeout", "60", ready="answer")
    size = large.stat().st_size
    connection = server.connect(receive_buffer=65536)
    with Hups(server):
        connection.send(build_request(f"/file?path={large}&length={size}", close=True))
        received = hashlib.sha256()
        head = connection.read_head()
        assert head.status == 200
        begun = reloads(server)
        for at in range(0, size, PIECE):
            received.update(connection.take(min(size - at, PIECE), "the response"))
            time.sleep(0.05 if at < size // 2 else 0)  # at this pace several reloads go by
        poll(lambda: reloads(server) > begun, "a reload")
        connection.expect_end()
    assert received.hexdigest() == hashlib.sha256(large.read_bytes()).hexdigest()


def test_large_upload_during_reloads(serve: Serve, large: Path) -> None:
    server = serve("basic:app", "--graceful-timeout", "60")
    data = large.read_bytes()
    connection = server.connect()
    with Hups(server):
        connection.send(
            b"POST /length HTTP/1.1\r\nHost: t\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n" % len(data)
        )
        begun = reloads(server)
        for at in range(0, len(data), PIECE):
            connection.send(data[at : at + PIECE])
            time.sleep(0.05 if at < len(data) // 2 else 0)
        poll(lambda: reloads(server) > begun, "a reload")
        response = connection.read_response()
        connection.expect_end()
    assert response.text == f"{len(data)} {hashlib.sha256(data).hexdigest()}"


# --- listeners that move


def configure(server_dir: Path, ports: list[int]) -> None:
    binds = [f"127.0.0.1:{port}" for port in ports]
    (server_dir / "gunicorn.conf.py").write_text(f"bind = {binds}\n" + SAYS_WHEN_READY)


def test_hup_moves_listeners_without_a_refused_connection(serve: Serve, tmp_path: Path) -> None:
    reserved = [reserve("127.0.0.1") for _ in range(3)]
    stays, old, new = [each.getsockname()[1] for each in reserved]
    binds = [f"127.0.0.1:{stays}", f"127.0.0.1:{old}"]
    config = f"bind = {binds}\n" + SAYS_WHEN_READY
    server = serve("basic:app", *SYNC, binds=[], config=config, ready="no")
    server.wait_log("a worker serves")
    # The worker is busy, and clients of the address that goes wait in the kernel's queue.
    held = server.connect(("127.0.0.1", stays))
    held.send(build_request(f"/block?file={tmp_path / 'release'}"))
    poll((tmp_path / "release.started").exists, "the application being called")
    waiting = [server.connect(("127.0.0.1", old)) for _ in range(10)]
    for connection in waiting:
        connection.send(build_request("/"))
    configure(server.tmp, [stays, new])
    with Load(("127.0.0.1", stays), connections=4, short=True, interval=0.01) as load:
        server.kill(signal.SIGHUP)
        server.wait_log("Listening at: ", 2)
        moved = server.connect(("127.0.0.1", new))
        assert moved.request("/").body == b"hello\n"
        load.wait(answered=50)
        (tmp_path / "release").touch()
        result = load.stop()
    assert held.read_response().body == b"released"
    assert [connection.read_response().body for connection in waiting] == [b"hello\n"] * 10
    result.check()
    poll(lambda: refused(old), "the old address closed")
    for each in reserved:
        each.close()


def refused(port: int) -> bool:
    try:
        Connection(("127.0.0.1", port), timeout=5.0).close()
    except ConnectionRefusedError:
        return True
    return False


# --- the application's own processes


@pytest.mark.parametrize("kind", ["fork", "detach", "spawn"])
def test_children_of_the_application_are_no_workers(
    serve: Serve, tmp_path: Path, kind: str
) -> None:
    release = tmp_path / "release"
    server = serve("family:app")
    server.allow("was sent SIGKILL")
    worker = server.worker
    pids = [int(server.request(f"/{kind}?{release}").text) for _ in range(2)]
    server.kill(signal.SIGTTIN)
    server.wait_workers(2)
    server.kill(signal.SIGTTOU)
    server.wait_workers(1, other_than=[worker])
    # The worker that made them dies: they do not, and a successor comes.
    pids.append(int(server.request(f"/{kind}?{release}").text))
    (killed,) = server.workers()
    server.kill(signal.SIGKILL, killed)
    server.wait_workers(1, other_than=[killed])
    pids.append(int(server.request(f"/{kind}?{release}").text))
    assert all(alive(pid) for pid in pids)
    begun = time.monotonic()
    assert server.terminate(Signals.SIGTERM) == 0
    assert time.monotonic() - begun < 10
    # None of them keeps the port.
    assert refused(server.tcp[1])
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for reservation in server.reservations:
            reservation.close()
        again.bind(server.tcp)
        again.listen()
    assert all(alive(pid) for pid in pids)
    release.touch()
    poll(lambda: not any(alive(pid) for pid in pids), "the children gone")


# --- reuse_port


def test_reuse_port_with_max_requests_loses_nothing(serve: Serve) -> None:
    server = serve("basic:app", "--reuse-port", "--max-requests", "100", workers=2)
    with Load(server.address, connections=8, short=True) as load:
        server.wait_log("Autorestarting worker", 12, deadline=60)
        result = load.stop()
    result.check(at_least=1000)


def test_two_servers_share_an_address(serve: Serve) -> None:
    first = serve("basic:app", "--reuse-port")
    bind = f"127.0.0.1:{first.tcp[1]}"
    second = serve("basic:app", "--reuse-port", binds=[bind], ready="booted")
    second.wait_log("Listening at")
    assert first.terminate() == 0
    poll(lambda: second.probe("answer"), "an answer of the second server")
