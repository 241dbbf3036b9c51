# SPDX-License-Identifier: MIT
"""The server as a service of systemd, which a socket of the test's own stands for."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from client import build_request
from conftest import Serve
from procs import alive, children, poll, stop
from server import Server
from systemd import NotifySocket, activation

pytestmark = pytest.mark.saola_only

SAYS_WHEN_READY = "def post_worker_init(worker): worker.log.info('a worker serves')\n"
UNITS = Path(__file__).resolve().parents[2] / "deploy" / "systemd"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[NotifySocket]:
    with NotifySocket(tmp_path / "notify") as socket:
        yield socket


def serve_notifying(
    serve: Serve, manager: NotifySocket, *args: str, env: dict[str, str] | None = None
) -> Server:
    env = {"NOTIFY_SOCKET": manager.name, **(env or {})}
    server = serve("basic:app", *args, config=SAYS_WHEN_READY, env=env)
    manager.wait_field("READY")
    return server


@pytest.mark.parametrize("abstract", [False, True])
def test_ready_when_the_first_worker_is(serve: Serve, tmp_path: Path, abstract: bool) -> None:
    name = f"@saola-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(0.5)\nfrom basic import app\n")
    with NotifySocket(name) as manager:
        begun = time.monotonic()
        server = serve(
            "slow:app", "--pythonpath", str(tmp_path), env={"NOTIFY_SOCKET": name}, ready="no"
        )
        ready = manager.wait_field("READY")
        assert ready.pid == server.pid
        assert ready.time - begun > 0.5
        assert ready.fields["STATUS"] == "saola arbiter booted"
        assert server.request("/").status == 200
        # A slow boot is no failed start.
        assert int(manager.messages[0].fields["EXTEND_TIMEOUT_USEC"]) >= 60e6


def test_start_that_fails_is_never_ready(serve: Serve, manager: NotifySocket) -> None:
    server = serve("basic:nothing", env={"NOTIFY_SOCKET": manager.name}, ready="no")
    server.allow(".")
    assert server.wait() == 4
    while manager.receive(0.01):
        pass
    assert not [each for each in manager.messages if "READY" in each.fields]


def test_reload(serve: Serve, manager: NotifySocket) -> None:
    server = serve_notifying(serve, manager)
    before = server.workers()
    asked_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    server.kill(signal.SIGHUP)
    reloading = manager.wait_field("RELOADING")
    assert reloading.pid == server.pid
    # Only a reload that began after it was asked for counts.
    now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert asked_us <= int(reloading.fields["MONOTONIC_USEC"]) <= now_us
    assert manager.wait_field("READY").fields["STATUS"] == "saola arbiter reloaded"
    server.wait_workers(1, other_than=before)


def test_reload_that_fails_ends_too(serve: Serve, manager: NotifySocket, tmp_path: Path) -> None:
    (tmp_path / "changing.py").write_text("from basic import app\n")
    server = serve(
        "changing:app",
        *("--pythonpath", str(tmp_path), "--config", "changing.conf.py"),
        env={"NOTIFY_SOCKET": manager.name, "PYTHONDONTWRITEBYTECODE": "1"},
        prefix=["sh", "-c", 'touch changing.conf.py && exec "$@"', "sh"],
    )
    manager.wait_field("READY")
    server.allow(".")
    (server.tmp / "changing.conf.py").write_text("no Python\n")
    server.kill(signal.SIGHUP)
    manager.wait_field("RELOADING")
    assert "stays as it was" in manager.wait_field("READY").fields["STATUS"]
    (server.tmp / "changing.conf.py").write_text("")
    (tmp_path / "changing.py").write_text("no Python\n")
    server.kill(signal.SIGHUP)
    manager.wait_field("RELOADING")
    assert "fail to boot" in manager.wait_field("READY").fields["STATUS"]
    assert server.request("/").status == 200


def test_stop(serve: Serve, manager: NotifySocket) -> None:
    server = serve_notifying(serve, manager, "--graceful-timeout", "120", "--shutdown-delay", "50")
    server.kill(signal.SIGTERM)
    stopping = manager.wait_field("STOPPING")
    assert stopping.pid == server.pid
    assert int(stopping.fields["EXTEND_TIMEOUT_USEC"]) >= 170e6
    assert server.terminate() == 0
    while manager.receive(0.01):
        pass
    assert sum("STOPPING" in each.fields for each in manager.messages) == 1


def test_watchdog(serve: Serve, manager: NotifySocket) -> None:
    """As long as the arbiter turns, twice as often as it must."""
    begun = time.monotonic()
    server = serve_notifying(serve, manager, env={"WATCHDOG_USEC": "400000"})
    for _ in range(6):
        last = manager.wait_field("WATCHDOG", deadline=5)
    # Not more often: counted from the start, as some may have waited here for us.
    signs = sum("WATCHDOG" in each.fields for each in manager.messages)
    assert signs <= 2 + (last.time - begun) / 0.2
    stop(server.pid)
    while manager.receive(0.3):
        pass
    manager.taken = len(manager.messages)
    assert not manager.receive(1.0)
    server.kill(signal.SIGCONT)
    manager.wait_field("WATCHDOG")


def test_watchdog_of_another_process(serve: Serve, manager: NotifySocket) -> None:
    serve_notifying(serve, manager, env={"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"})
    assert not manager.receive(0.5)


def upgrade(server: Server) -> int:
    """The pid of a second arbiter that serves."""
    server.kill(signal.SIGUSR2)
    server.wait_log("a worker serves", 2)
    return next(pid for pid in server.workers() if children(pid))


def test_upgrade_moves_the_main_process(serve: Serve, manager: NotifySocket) -> None:
    """systemd listens to the main process alone: the old one names the new one."""
    watchdog = ["bash", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh"]
    server = serve(
        "basic:app",
        env={"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "400000"},
        config=SAYS_WHEN_READY,
        prefix=watchdog,
    )
    manager.wait_field("READY")
    new = upgrade(server)
    server.kill(signal.SIGTERM)
    handed_over = manager.wait_field("MAINPID", str(new))
    assert handed_over.pid == server.pid
    assert server.wait() == 0
    promoted = manager.wait_field("MAINPID", str(new))
    assert promoted.pid == new
    assert manager.wait_field("READY").pid == new
    assert manager.wait_field("WATCHDOG").pid == new
    assert not [each for each in manager.messages if "STOPPING" in each.fields]
    silent = manager.messages[: manager.messages.index(handed_over)]
    assert {each.pid for each in silent} == {server.pid}
    os.kill(new, signal.SIGTERM)
    assert manager.wait_field("STOPPING").pid == new
    poll(lambda: not alive(new), "the end")


def test_upgrade_that_is_stopped_says_nothing(serve: Serve, manager: NotifySocket) -> None:
    server = serve_notifying(serve, manager)
    new = upgrade(server)
    os.kill(new, signal.SIGTERM)
    server.wait_log("arbiter of the upgrade .* has ended")
    server.kill(signal.SIGHUP)
    manager.wait_field("RELOADING")
    assert {each.pid for each in manager.messages} == {server.pid}


# --- the unit files


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_unit_files_are_valid(tmp_path: Path) -> None:
    for unit in UNITS.glob("saola.*"):
        text = unit.read_text()
        # What the example takes for granted: the program is there.
        (tmp_path / unit.name).write_text(text.replace("/srv/shop/venv/bin/saola", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "saola.service")],
        capture_output=True,
        text=True,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    assert done.returncode == 0, done.stderr
    assert "saola" not in done.stderr, done.stderr


def test_exec_line_of_the_unit_file(serve: Serve, tmp_path: Path) -> None:
    """The options of the example start a server, on a socket that systemd would have opened."""
    service = (UNITS / "saola.service").read_text()
    (line,) = [each for each in service.splitlines() if each.startswith("ExecStart=")]
    options = line.split()[1:-1]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "shop"))
        listener.listen()
        server = serve(
            "basic:app",
            *options,
            binds=[],
            prefix=activation(listener),
            pass_fds=[listener.fileno()],
            ready="booted",
        )
        connection = server.connect(str(tmp_path / "shop"))
        connection.send(build_request("/"))
        assert connection.read_response().status == 200
