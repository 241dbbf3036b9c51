# SPDX-License-Identifier: MIT
"""The arbiter: start, signals, respawn, timeouts, boot failures, its own death."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from signal import Signals

import pytest
from client import Connection, build_request
from conftest import Serve
from procs import alive, children, cpu_seconds, poll, processes
from server import IS_GUNICORN, NAME, PATIENT, SYNC, Finished, Server

Command = Callable[..., Finished]
KILLED = r"Worker \(pid:\d+\) was sent SIG"


def pid_of(server: Server) -> int:
    pid: int = json.loads(server.request("/state").body)["pid"]
    return pid


def hold(server: Server, file: Path) -> Connection:
    """A request in progress, until the file is there."""
    connection = server.connect()
    connection.send(build_request(f"/block?file={file}"))
    poll(file.with_name(file.name + ".started").exists, "the application being called")
    return connection


def test_start_and_stop_are_logged_in_order(serve: Serve) -> None:
    server = serve(workers=2)
    server.wait_serving(2)  # one that still boots says nothing
    assert server.terminate() == 0
    host, port = server.tcp
    lines = iter(server.messages("INFO"))
    for pattern in (
        rf"Starting {NAME} \d+\.\d+",
        rf"Listening at: http://{host}:{port} \({server.pid}\)",
        r"Using worker: \w+",
        r"Booting worker with pid: \d+",
        r"Booting worker with pid: \d+",
        r"Handling signal: term",
        r"Worker exiting \(pid: \d+\)",
        r"Worker exiting \(pid: \d+\)",
        r"Shutting down: Master",
    ):
        assert any(re.fullmatch(pattern + r"\S*", each) for each in lines), pattern


def test_lines_carry_the_pid_of_their_process(serve: Serve) -> None:
    server = serve()
    for record in server.records:
        if match := re.fullmatch(r"Booting worker with pid: (\d+)", record.message):
            assert record.pid == int(match[1])
            assert record.pid in server.workers()
        else:
            assert record.pid == server.pid


def test_workers_are_children_and_share_the_load(serve: Serve) -> None:
    server = serve(workers=3)
    workers = server.wait_workers(3)
    seen: set[int] = set()

    def all_seen() -> bool:
        connections = [server.connect() for _ in range(12)]
        for connection in connections:
            connection.send(build_request("/state", close=True))
        for connection in connections:
            seen.add(json.loads(connection.read_response().body)["pid"])
            connection.close()
        return len(seen) == 3

    poll(all_seen, "an answer of each worker")
    assert seen == set(workers)


@pytest.mark.parametrize("sig", [Signals.SIGTERM, Signals.SIGINT, Signals.SIGQUIT])
def test_stop(serve: Serve, sig: Signals) -> None:
    server = serve("basic:app", "--graceful-timeout", "60", workers=2)
    server.wait_workers(2)
    assert server.terminate(sig, timeout=20) == 0
    name = sig.name.removeprefix("SIG").lower()
    assert f"Handling signal: {name}" in server.messages("INFO")
    assert "Shutting down: Master" in server.messages("INFO")


def test_signal_right_after_the_start(serve: Serve) -> None:
    for _ in range(5):
        server = serve(ready="booted")
        server.allow(KILLED)
        assert server.terminate() == 0


def test_term_finishes_the_request_in_progress(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    held = hold(server, tmp_path / "release")
    server.kill(signal.SIGTERM)
    server.wait_log("Handling signal: term")
    (tmp_path / "release").touch()
    response = held.read_response()
    assert response.body == b"released"
    assert server.wait() == 0


@pytest.mark.saola_only
def test_idle_connections_do_not_delay_the_stop(serve: Serve) -> None:
    server = serve("basic:app", "--keep-alive", "60", "--graceful-timeout", "60")
    idle = [server.connect() for _ in range(20)]
    for connection in idle:
        connection.request("/")
    half = server.connect()
    half.send(b"GET / HTTP/1.1\r\n")
    assert server.terminate(timeout=20) == 0
    for connection in idle:
        connection.expect_closed()


def test_graceful_timeout(serve: Serve, tmp_path: Path) -> None:
    server = serve("basic:app", "--graceful-timeout", "1")
    server.allow(KILLED, "TIMEOUT", "Error handling request")
    held = hold(server, tmp_path / "never")
    begun = time.monotonic()
    assert server.terminate(timeout=20) == 0  # the default is 30
    assert time.monotonic() - begun > 0.5
    held.read_to_end()


def test_second_signal_hurries(serve: Serve, tmp_path: Path) -> None:
    server = serve("basic:app", *SYNC, "--graceful-timeout", "60")
    server.allow(KILLED, "Error handling request", "Exception in worker")
    hold(server, tmp_path / "never")
    server.kill(signal.SIGTERM)
    server.wait_log("Handling signal: term")
    assert server.terminate(signal.SIGINT, timeout=20) == 0
    assert "Quick shutdown requested" in server.messages("INFO")


def test_hup_replaces_the_workers(serve: Serve) -> None:
    server = serve(workers=2)
    before = server.wait_workers(2)
    server.kill(signal.SIGHUP)
    server.wait_log("Hang up: Master")
    server.wait_workers(2, other_than=before)
    poll(lambda: pid_of(server) not in before, "an answer of a new worker")
    assert server.popen.poll() is None


def test_hup_loads_the_application_again(serve: Serve, tmp_path: Path) -> None:
    def write(text: str) -> None:
        (tmp_path / "changing.py").write_text(
            f"def app(environ, start_response):\n"
            f"    start_response('200 OK', [('Content-Length', '{len(text)}')])\n"
            f"    return [b'{text}']\n"
        )

    write("old")
    server = serve("changing:app", "--pythonpath", str(tmp_path))
    assert server.request("/").body == b"old"
    write("newer")
    server.kill(signal.SIGHUP)
    poll(lambda: server.request("/").body == b"newer", "the new application")


def test_hup_reads_the_configuration_again(serve: Serve) -> None:
    server = serve(config="workers = 1\nraw_env = ['WHICH=first']\n")
    assert json.loads(server.request("/state").body)["environ"]["WHICH"] == "first"
    (server.tmp / "gunicorn.conf.py").write_text("workers = 3\nraw_env = ['WHICH=second']\n")
    server.kill(signal.SIGHUP)
    server.wait_workers(3)
    poll(
        lambda: json.loads(server.request("/state").body)["environ"]["WHICH"] == "second",
        "the new environment",
    )


def test_ttin_and_ttou(serve: Serve) -> None:
    server = serve()
    server.allow(KILLED)
    first = server.worker
    server.kill(signal.SIGTTIN)
    server.wait_workers(2)
    server.kill(signal.SIGTTIN)
    workers = server.wait_workers(3)
    assert first in workers
    server.kill(signal.SIGTTOU)
    workers = server.wait_workers(2)
    assert first not in workers  # the oldest goes first
    server.kill(signal.SIGTTOU)
    (last,) = server.wait_workers(1)
    server.kill(signal.SIGTTOU)
    server.wait_log("Handling signal: ttou", 3)
    assert server.request("/").status == 200
    assert server.workers() == [last]


def test_winch_is_ignored_in_the_foreground(serve: Serve) -> None:
    server = serve("basic:app", "--log-level", "debug")
    worker = server.worker
    server.kill(signal.SIGWINCH)
    server.wait_log("SIGWINCH ignored. Not daemonized")
    assert server.request("/").status == 200
    assert server.worker == worker


@pytest.mark.parametrize("sig", [Signals.SIGKILL, Signals.SIGSEGV, Signals.SIGTERM])
def test_killed_worker_is_replaced(serve: Serve, sig: Signals) -> None:
    server = serve()
    server.allow(KILLED, "SIGSEGV|Segmentation|Fatal Python error")
    worker = server.worker
    server.kill(sig, worker)
    server.wait_workers(1, other_than=[worker])
    assert server.request("/").status == 200
    if sig is not Signals.SIGTERM:
        server.wait_log(rf"Worker \(pid:{worker}\) was sent {sig.name}!")


def test_all_workers_killed(serve: Serve) -> None:
    server = serve(workers=3)
    server.allow(KILLED, "failed to boot")  # one may be killed before it is ready
    workers = server.wait_workers(3)
    for worker in workers:
        server.kill(signal.SIGKILL, worker)
    server.wait_workers(3, other_than=workers)
    assert server.request("/").status == 200


def test_worker_that_exits(serve: Serve) -> None:
    server = serve("exits:app")
    server.allow("exited with code 7", "Worker")
    worker = server.worker
    with server.connect() as connection:
        connection.send(build_request("/exit?7"))
        connection.read_to_end()
    server.wait_log(rf"Worker \(pid:{worker}\) exited with code 7")
    server.wait_workers(1, other_than=[worker])


@pytest.mark.saola_only
@pytest.mark.parametrize("code", [3, 4])
def test_exit_code_of_a_booted_worker_stops_nothing(serve: Serve, code: int) -> None:
    server = serve("exits:app")
    server.allow(f"exited with code {code}", "Worker")
    worker = server.worker
    with server.connect() as connection:
        connection.send(build_request(f"/exit?{code}"))
        connection.read_to_end()
    server.wait_workers(1, other_than=[worker])
    assert server.request("/").status == 200


@pytest.mark.parametrize("deep", ["", "yes"])
def test_worker_timeout(serve: Serve, tmp_path: Path, deep: str) -> None:
    server = serve("basic:app", *SYNC, "--timeout", "1")
    server.allow(
        "WORKER TIMEOUT", KILLED, "Error handling request", "exited with code", "Exception"
    )
    worker = server.worker
    with server.connect(timeout=20) as connection:  # the default is 30
        connection.send(build_request(f"/hang?file={tmp_path / 'started'}&deep={deep}"))
        data = connection.read_to_end()
        assert data == b"" or data.startswith(b"HTTP/1.1 500 ")
    server.wait_log(rf"\[CRITICAL\] WORKER TIMEOUT \(pid:{worker}\)")
    server.wait_workers(1, other_than=[worker])
    assert server.request("/").status == 200


def test_timeout_0_is_none(serve: Serve, tmp_path: Path) -> None:
    server = serve("basic:app", *SYNC, "--timeout", "0")
    held = hold(server, tmp_path / "release")
    worker = server.worker
    assert not held.readable(1.5)
    (tmp_path / "release").touch()
    assert held.read_response().body == b"released"
    assert server.worker == worker


@pytest.mark.saola_only
def test_idle_worker_does_not_time_out(serve: Serve) -> None:
    # Long enough for a machine that holds the worker up, but not the arbiter.
    server = serve("basic:app", *SYNC, "--timeout", "4")
    worker = server.worker
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: t\r\n")  # neither does half a request count
        deadline = time.monotonic() + 6
        while time.monotonic() < deadline:
            time.sleep(0.1)
            assert server.workers() == [worker]
        connection.send(b"\r\n")
        assert connection.read_response().status == 200


def test_death_of_the_arbiter_ends_the_workers(serve: Serve) -> None:
    server = serve(workers=2)
    workers = server.wait_workers(2)
    server.kill(signal.SIGKILL)
    assert server.wait() == -signal.SIGKILL
    poll(lambda: not any(alive(pid) for pid in workers), "the workers gone")
    server.wait_log("Parent changed, shutting down|[Aa]rbiter")


@pytest.mark.saola_only
def test_death_of_the_arbiter_is_noticed_while_the_application_runs(
    serve: Serve, tmp_path: Path
) -> None:
    """The request in progress is finished, then the worker goes."""
    server = serve()
    held = hold(server, tmp_path / "release")
    worker = server.worker
    server.kill(signal.SIGKILL)
    server.wait()
    before = cpu_seconds(worker)
    time.sleep(1)  # nothing is waited for: this is how long it is watched
    assert cpu_seconds(worker) - before < 0.5
    (tmp_path / "release").touch()
    held.read_to_end()
    poll(lambda: not alive(worker), "the worker gone")


FORKS = """
import os, time
def when_ready(server):
    if os.fork() == 0:
        with open("forking", "w") as file:
            file.write(str(os.getpid()))
        os.rename("forking", "forked")
        time.sleep(300)
        os._exit(0)
"""


def forked(server: Server) -> int:
    path = server.tmp / "forked"
    poll(path.exists, "a process that the hook has forked")
    return int(path.read_text())


@pytest.mark.saola_only
def test_a_process_that_a_hook_has_forked_is_not_the_arbiter(serve: Serve) -> None:
    """Its signals are its own."""
    server = serve(config=FORKS, ready="listening")
    other = forked(server)
    server.kill(signal.SIGTERM, other)
    poll(lambda: not alive(other), "its end")
    assert server.connect().request("/").status == 200
    assert "Handling signal: term" not in server.log


@pytest.mark.saola_only
def test_death_of_the_arbiter_is_noticed_while_a_process_of_its_hooks_lives(serve: Serve) -> None:
    server = serve(config=FORKS, ready="listening")
    other = forked(server)
    assert server.connect().request("/").status == 200
    (worker,) = {*server.wait_workers(2)} - {other}
    server.kill(signal.SIGKILL)
    server.wait()
    poll(lambda: not alive(worker), "the worker gone")
    assert alive(other)
    server.kill(signal.SIGKILL, other)


# --- boot failures

APP_ERRORS = [
    ("basic:nothing", "Failed to find attribute 'nothing' in 'basic'."),
    ("basic:app.call", "Failed to parse 'app.call' as an attribute name or function call."),
    ("basic:(", "Failed to parse '(' as an attribute name or function call."),
    ("basic:app.x()", "Function reference must be a simple name: 'app.x()'"),
    ("exits:make(x)", "Failed to parse arguments as literal values: 'make(x)'"),
    ("exits:make(1, 2, 3)", "takes"),
    ("exits:nothing", "Failed to find application object: 'nothing'"),
    ("exits:number", "Application object must be callable."),
]


@pytest.mark.parametrize(("app", "message"), APP_ERRORS, ids=[app for app, _ in APP_ERRORS])
def test_application_that_cannot_be_found(command: Command, app: str, message: str) -> None:
    done = command("--bind", "127.0.0.1:0", app)
    assert message in done.stderr
    assert done.code == 4, done.stderr
    assert "Reason: App failed to load." in done.stderr
    assert "Shutting down: Master" in done.stderr


@pytest.mark.parametrize(
    ("app", "message"),
    [
        ("no_such_module:app", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("boot_error:app", "RuntimeError: raised while the module is imported"),
        ("boot_syntax:app", "SyntaxError"),
        ("exits:fail()", "RuntimeError: raised by the factory"),
    ],
)
def test_application_that_fails_to_import(
    command: Command, tmp_path: Path, app: str, message: str
) -> None:
    (tmp_path / "boot_error.py").write_text(
        "raise RuntimeError('raised while the module is imported')\n"
    )
    (tmp_path / "boot_syntax.py").write_text("this is no Python\n")
    done = command("--bind", "127.0.0.1:0", app)
    assert message in done.stderr
    assert "Exception in worker process" in done.stderr
    assert "Traceback (most recent call last)" in done.stderr
    assert done.code == 3, done.stderr
    assert "Reason: Worker failed to boot." in done.stderr


def test_name_of_a_file_for_an_application(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("app = None\n")
    done = command("--bind", "127.0.0.1:0", "mine.py")
    assert "Failed to find application, did you mean 'mine:" in done.stderr
    assert done.code == 3


@pytest.mark.saola_only
def test_several_workers_fail_to_boot(command: Command) -> None:
    done = command("--bind", "127.0.0.1:0", "--workers", "4", "basic:nothing")
    assert done.code == 4
    assert "Traceback" not in done.stderr


def test_factory_with_arguments(serve: Serve) -> None:
    server = serve("exits:make('a', second='b')")
    assert server.request("/").text == "a b"


@pytest.mark.saola_only
def test_boot_failure_later_does_not_stop_the_server(serve: Serve, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    server = serve("exits:app", env={"FAIL_IF_EXISTS": str(broken)})
    server.allow(KILLED, "Exception in worker process", "exited with code", "boot", "Worker")
    broken.touch()
    server.kill(signal.SIGKILL, server.worker)
    server.wait_log("Exception in worker process")
    broken.unlink()
    poll(lambda: server.workers() and server.popen.poll() is None, "a worker")
    assert server.request("/", timeout=30).status == 200


@pytest.mark.saola_only
def test_preloaded_application(serve: Serve) -> None:
    server = serve("preloaded:app", "--preload", workers=2)
    assert server.request("/").text == str(server.pid)


def test_preloaded_application_that_fails(command: Command) -> None:
    done = command("--bind", "127.0.0.1:0", "--preload", "basic:nothing")
    assert "Failed to find attribute 'nothing' in 'basic'." in done.stderr
    assert done.code == 1


# --- binary upgrade, PID 1


@pytest.mark.saola_only
def test_usr2_starts_a_second_arbiter(serve: Serve) -> None:
    server = serve("basic:app", "--pid", "server.pid")
    pidfile, second = server.tmp / "server.pid", server.tmp / "server.pid.2"
    assert pidfile.read_text() == f"{server.pid}\n"
    server.kill(signal.SIGUSR2)
    poll(second.exists, "a second pid file")
    new = int(second.read_text())
    poll(lambda: children(new), "workers of the new arbiter")
    server.kill(signal.SIGUSR2)
    server.wait_log("USR2 signal ignored. Child exists.")
    old_workers = [pid for pid in server.workers() if pid != new]
    server.kill(signal.SIGTERM)
    poll(lambda: not any(alive(pid) for pid in old_workers), "the old workers gone")
    server.wait()
    server.wait_log("Master has been promoted.")
    poll(lambda: pidfile.exists() and pidfile.read_text() == f"{new}\n", "the promotion")
    assert server.request("/").status == 200
    os.kill(new, signal.SIGTERM)
    poll(lambda: not alive(new), "the new arbiter gone")


def unshare_works() -> bool:
    return (
        subprocess.run(["unshare", "-pf", "--mount-proc", "true"], capture_output=True).returncode
        == 0
    )


@pytest.mark.skipif(not unshare_works(), reason="no new PID namespace to be had")
def test_as_pid_1(serve: Serve) -> None:
    """Strangers that end are reaped, TERM works, the exit code is right."""
    prefix = ["unshare", "-pf", "--mount-proc"]
    server = serve("exits:app", "--log-level", "debug", prefix=prefix)
    (arbiter,) = children(server.pid)
    server.request("/orphan")  # a grandchild, whose parent has gone, and which then ends
    if not IS_GUNICORN:
        server.wait_log(r"Reaped unknown child process \(pid:\d+, status:1280\)")

    def zombies() -> list[int]:
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    stat = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if stat[0] == "Z" and int(stat[1]) == arbiter:
                    found.append(int(name))
        return found

    poll(lambda: len(children(arbiter)) == 1 and not zombies(), "strangers reaped")
    assert server.request("/").status == 200
    os.kill(arbiter, signal.SIGTERM)
    assert server.wait() == 0
    assert not any(each.parent == server.pid for each in processes())


# --- privileges

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


@as_root
def test_user_and_group(serve: Serve) -> None:
    # Preloaded: the worker might not be allowed to read this interpreter's library.
    server = serve("basic:app", "--preload", "--user", "nobody", "--group", "nogroup")
    state = json.loads(server.request("/state").body)
    assert (state["uid"], state["gid"]) == (65534, 65534)
    assert os.stat(f"/proc/{server.pid}").st_uid == 0


@pytest.mark.saola_only
def test_process_titles(serve: Serve) -> None:
    server = serve("basic:app", "--name", "shop")
    assert Path(f"/proc/{server.pid}/cmdline").read_bytes().rstrip(b"\0") == (
        f"{NAME}: master [shop]".encode()
    )
    assert Path(f"/proc/{server.worker}/cmdline").read_bytes().rstrip(b"\0") == (
        f"{NAME}: worker [shop]".encode()
    )


@pytest.mark.saola_only
def test_title_of_a_name_that_is_no_text(serve: Serve) -> None:
    server = serve("basic:app", "--name", os.fsdecode(b"shop\xff"))
    for pid, role in (server.pid, "master"), (server.worker, "worker"):
        title = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()
        assert title == rf"{NAME}: {role} [shop\xff]"


# --- max_requests


RECYCLING = "Autorestarting worker after current request."


def successor_of(server: Server, worker: int) -> int:
    """The worker that answers once the other has gone: until then the old one serves on."""
    poll(lambda: not alive(worker), "the worker gone")
    return pid_of(server)


def test_max_requests(serve: Serve) -> None:
    server = serve("basic:app", "--max-requests", "3", ready="booted")
    worker = server.worker
    assert [pid_of(server) for _ in range(2)] == [worker] * 2
    assert RECYCLING not in server.messages("INFO")
    assert pid_of(server) == worker
    server.wait_log(RECYCLING, 1)
    assert successor_of(server, worker) != worker
    server.wait_log(rf"Worker exiting \(pid: {worker}\)")


def test_max_requests_ends_a_kept_connection(serve: Serve) -> None:
    server = serve("basic:app", "--max-requests", "3", "--keep-alive", "5", ready="booted")
    with server.connect() as connection:
        first = [connection.request("/").closes for _ in range(3)]
        assert first[:2] == [False, False]
        if IS_GUNICORN:
            assert first[2]
        connection.expect_end()
    assert server.request("/").status == 200


@pytest.mark.saola_only
def test_recycling_resets_no_kept_connection(serve: Serve) -> None:
    """A connection that was told keep-alive just before TERM can send its next request."""
    server = serve("closing:app", *PATIENT, "--max-requests", "20", ready="booted")
    connection = server.connect()

    def recycled() -> bool:
        """However long a successor takes to boot: until then the worker serves on."""
        nonlocal connection
        for _ in range(75):
            if connection.request("/").closes:
                connection.expect_end()
                connection.close()
                connection = server.connect()
        return server.messages("INFO").count(RECYCLING) > 3

    for _ in range(4):
        recycled()
    poll(recycled, "more than three workers recycled", 120)
    connection.close()


def test_max_requests_jitter(serve: Serve) -> None:
    server = serve(
        "basic:app", "--max-requests", "2", "--max-requests-jitter", "5", ready="booted", workers=1
    )
    worker = server.worker
    lives = []
    for life in range(8):
        served = 0 if life == 0 else 1
        while server.messages("INFO").count(RECYCLING) == life:
            assert pid_of(server) == worker
            served += 1
        lives.append(served)
        worker = successor_of(server, worker)
    assert all(2 <= life <= 7 for life in lives), lives
    assert len(set(lives)) > 1, lives


def test_max_requests_loses_nothing(serve: Serve) -> None:
    server = serve("basic:app", "--max-requests", "7", ready="booted", workers=2)
    for _ in range(60):
        assert server.request("/").body == b"hello\n"
