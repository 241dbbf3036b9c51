# SPDX-License-Identifier: MIT
"""USR2: a new arbiter in the place of the old one, without a request lost."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import Serve
from load import Load
from procs import alive, children, descriptors, poll
from server import PATIENT, SANITIZED, Server
from systemd import activation
from upgrades import PIDFILE, SAYS_WHEN_READY, Upgrades, console_script

pytestmark = pytest.mark.saola_only


@pytest.fixture
def scripts(tmp_path: Path) -> dict[str, list[str]]:
    return {
        "saola": console_script(tmp_path),
        "python -m saola": [sys.executable, "-m", "saola"],
    }


def serve_upgradable(serve: Serve, *args: str, **options: object) -> Upgrades:
    server = serve("basic:app", "--pid", PIDFILE, *args, config=SAYS_WHEN_READY, **options)  # type: ignore[arg-type]
    return Upgrades(server)


@pytest.mark.parametrize("name", ["saola", "python -m saola"])
def test_upgrades_in_a_row_lose_nothing(
    serve: Serve, scripts: dict[str, list[str]], name: str
) -> None:
    upgrades = serve_upgradable(serve, *PATIENT, command=scripts[name])
    address = upgrades.server.address
    with (
        Load(address, connections=4, short=True, interval=0.01) as short,
        Load(address, connections=16, interval=0.1) as kept,
    ):
        short.wait(answered=20)
        kept.wait(answered=20)
        for _ in range(5 if SANITIZED else 20):
            upgrades.upgrade()
            short.wait(answered=1)
        short.wait(answered=20)
        kept.wait(answered=20)
        results = [short.stop(), kept.stop()]
    upgrades.end(upgrades.pid)
    for result in results:
        result.check(at_least=100)  # and no connection was closed by the server


def settled_descriptors(pid: int) -> Counter[str]:
    def same_as_before() -> bool:
        before = descriptors(pid)
        time.sleep(0.02)
        return descriptors(pid) == before

    poll(same_as_before, "settled descriptors")
    return descriptors(pid)


def family_descriptors(upgrades: Upgrades) -> list[Counter[str]]:
    """Of the arbiter and its worker, when no client is there."""
    (worker,) = children(upgrades.pid)
    return [settled_descriptors(upgrades.pid), settled_descriptors(worker)]


def test_upgrades_leave_no_descriptor(serve: Serve, request: pytest.FixtureRequest) -> None:
    upgrades = serve_upgradable(serve)
    first = family_descriptors(upgrades)
    for _ in range(51 if request.config.getoption("--slow") else 6):
        upgrades.upgrade()
        # A worker that says it serves may still have to open something for that.
        poll(
            lambda: family_descriptors(upgrades) == first,
            lambda: f"{first}; there are {family_descriptors(upgrades)}",
        )
    upgrades.end(upgrades.pid)


def test_upgrade_with_reuse_port(serve: Serve) -> None:
    upgrades = serve_upgradable(serve, "--reuse-port")
    with Load(upgrades.server.address, connections=4, short=True, interval=0.005) as load:
        for _ in range(3):
            load.wait(answered=20)
            upgrades.upgrade()
        load.wait(answered=20)
        result = load.stop()
    upgrades.end(upgrades.pid)
    result.check()


def test_upgrade_with_a_unix_socket(serve: Serve) -> None:
    upgrades = serve_upgradable(serve, binds=["unix"])
    path = str(upgrades.server.address)
    inode = os.stat(path).st_ino
    with Load(path, connections=4, short=True, interval=0.005) as load:
        for _ in range(3):
            load.wait(answered=20)
            upgrades.upgrade()
            assert os.stat(path).st_ino == inode
        load.wait(answered=20)
        result = load.stop()
    # One that is backed out of leaves the file as well.
    upgrades.end(upgrades.start())
    assert os.stat(path).st_ino == inode
    upgrades.end(upgrades.pid)
    assert not os.path.exists(path)
    result.check()


def test_upgrade_with_sockets_of_systemd(serve: Serve) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("127.0.0.1", 0)) as second,
    ):
        addresses = [first.getsockname(), second.getsockname()]
        upgrades = serve_upgradable(
            serve,
            binds=[],
            prefix=activation(first, second),
            pass_fds=[first.fileno(), second.fileno()],
            ready="booted",
        )
        with Load(addresses, connections=4, short=True, interval=0.005) as load:
            for _ in range(3):
                load.wait(answered=20)
                upgrades.upgrade()
            load.wait(answered=20)
            result = load.stop()
        upgrades.end(upgrades.pid)
        result.check()


def check_as_it_was(upgrades: Upgrades, worker: int) -> None:
    server = upgrades.server
    assert children(upgrades.pid) == [worker]
    assert upgrades.pidfile.read_text() == f"{upgrades.pid}\n"
    assert not upgrades.second.exists()
    assert server.request("/").status == 200


def test_upgrade_that_fails_to_start(serve: Serve, tmp_path: Path) -> None:
    """The new application cannot be loaded; when it can be, the upgrade works."""
    module = tmp_path / "changing.py"
    module.write_text("from basic import app\n")
    server = serve(
        *("changing:app", "--pythonpath", str(tmp_path), "--pid", PIDFILE),
        config=SAYS_WHEN_READY,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
    )
    server.allow("Exception in worker process", "boot", "Worker", "Shutting down: Master.2")
    upgrades = Upgrades(server)
    worker = server.worker
    module.write_text("raise RuntimeError('not this one')\n")
    server.kill(signal.SIGUSR2)
    server.wait_log(r"The arbiter of the upgrade \(pid:\d+\) has ended")
    check_as_it_was(upgrades, worker)
    module.write_text("from basic import app\n")
    upgrades.upgrade()
    upgrades.end(upgrades.pid)


def test_upgrade_to_a_broken_configuration(serve: Serve) -> None:
    upgrades = serve_upgradable(serve)
    server, worker = upgrades.server, upgrades.server.worker
    server.allow("Traceback|Error")
    (server.tmp / "gunicorn.conf.py").write_text("no Python\n")
    server.kill(signal.SIGUSR2)
    server.wait_log(r"The arbiter of the upgrade \(pid:\d+\) has ended")
    check_as_it_was(upgrades, worker)


def test_pre_exec_that_raises(serve: Serve) -> None:
    hook = "\ndef pre_exec(server):\n    raise RuntimeError('raised by pre_exec')\n"
    server = serve("basic:app", "--pid", PIDFILE, config=SAYS_WHEN_READY + hook)
    upgrades = Upgrades(server)
    server.allow("raised by pre_exec")
    worker = server.worker
    server.kill(signal.SIGUSR2)
    server.wait_log(r"The arbiter of the upgrade \(pid:\d+\) has ended")
    check_as_it_was(upgrades, worker)


def test_predecessor_that_is_killed(serve: Serve) -> None:
    """Nobody reaps it (its pid seems to be alive), and its pid file is still there."""
    upgrades = serve_upgradable(serve)
    server = upgrades.server
    new = upgrades.start()
    server.kill(signal.SIGKILL)
    upgrades.wait(lambda: upgrades.promoted(new), "the promotion")
    assert not upgrades.second.exists()
    assert "Master has been promoted." in server.messages("INFO")
    server.wait()
    assert server.request("/").status == 200
    upgrades.end(new)


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGQUIT])
def test_predecessor_that_ends_before_its_successor_begins(
    serve: Serve, sig: signal.Signals
) -> None:
    """What it has left is taken over: the sockets above all."""
    config = SAYS_WHEN_READY + (
        "import os, time\n"
        "if 'GUNICORN_PID' in os.environ:\n"
        "    open('successor', 'w').write(str(os.getpid()))\n"
        "    os.rename('successor', 'begun')\n"
        "    while not os.path.exists('go'): time.sleep(0.01)\n"
    )
    server = serve("basic:app", "--pid", PIDFILE, config=config)
    upgrades = Upgrades(server)
    server.kill(signal.SIGUSR2)
    begun = server.tmp / "begun"
    upgrades.wait(begun.exists, "a successor")
    new = int(begun.read_text())
    server.kill(sig)
    server.wait()
    (server.tmp / "go").touch()
    upgrades.wait(lambda: upgrades.promoted(new), "the promotion")
    upgrades.wait_serving(new)
    assert server.request("/").status == 200
    upgrades.end(new)


def test_second_usr2_is_refused(serve: Serve) -> None:
    upgrades = serve_upgradable(serve)
    new = upgrades.start()
    for pid, whom in ((upgrades.pid, "Child"), (new, "Parent")):
        upgrades.send(signal.SIGUSR2, pid)
        upgrades.server.wait_log(f"USR2 signal ignored. {whom} exists.")
    upgrades.end(new)
    check_as_it_was(upgrades, upgrades.server.worker)


def test_predecessor_serves_until_its_successor_does(serve: Serve, tmp_path: Path) -> None:
    release = tmp_path / "release"
    module = tmp_path / "changing.py"
    module.write_text("from basic import app\n")
    server = serve(
        *("changing:app", "--pythonpath", str(tmp_path), "--pid", PIDFILE, *PATIENT),
        config=SAYS_WHEN_READY,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
    )
    upgrades = Upgrades(server)
    module.write_text(
        "import os, time\nfrom basic import app\n"
        f"while not os.path.exists({str(release)!r}): time.sleep(0.01)\n"
    )
    server.kill(signal.SIGUSR2)
    upgrades.wait(upgrades.second.exists, "a second pid file")
    new = int(upgrades.second.read_text())
    server.kill(signal.SIGTERM)
    server.wait_log("Serving until the arbiter of the upgrade does")
    with Load(server.address, connections=4, interval=0.02) as load:
        load.wait(answered=40)
        release.touch()
        server.wait()
        load.wait(answered=40)
        load.stop().check()
    upgrades.wait(lambda: upgrades.promoted(new), "the promotion")
    upgrades.end(new)


def test_predecessor_whose_successor_fails_while_it_waits_to_stop(
    serve: Serve, tmp_path: Path
) -> None:
    module = tmp_path / "changing.py"
    module.write_text("from basic import app\n")
    server = serve(
        *("changing:app", "--pythonpath", str(tmp_path), "--pid", PIDFILE),
        config=SAYS_WHEN_READY,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
    )
    server.allow("Exception in worker process", "boot", "Worker", "Shutting down: Master.2")
    upgrades = Upgrades(server)
    module.write_text("import time\ntime.sleep(0.5)\nraise RuntimeError('not this one')\n")
    server.kill(signal.SIGUSR2)
    upgrades.wait(upgrades.second.exists, "a second pid file")
    assert server.terminate() == 0
    assert not upgrades.pidfile.exists()
    assert not upgrades.second.exists()


def test_predecessor_that_is_told_to_stop_has_no_delay(serve: Serve) -> None:
    """shutdown_delay is for clients that would find nobody."""
    upgrades = serve_upgradable(serve, "--shutdown-delay", "60")
    upgrades.upgrade()
    upgrades.send(signal.SIGQUIT)
    upgrades.wait(lambda: not alive(upgrades.pid), "the end")


def test_titles_of_an_upgrade(serve: Serve) -> None:
    def title(pid: int) -> str:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()

    upgrades = serve_upgradable(serve, "--name", "shop")
    server: Server = upgrades.server
    new = upgrades.start()
    assert title(server.pid) == "saola: master [shop]"
    assert title(new) == "saola: master [shop.2]"
    assert [title(pid) for pid in children(new)] == ["saola: worker [shop.2]"]
    upgrades.end(server.pid)
    upgrades.wait(lambda: title(new) == "saola: master [shop]", "the promotion")
    upgrades.end(new)
