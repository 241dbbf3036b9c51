# SPDX-License-Identifier: MIT
"""Why a worker has died: who has sent the signal, the request in progress, the stacks; --stacks."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from signal import Signals

import pytest
from client import Connection, build_request
from conftest import Serve
from load import Load
from procs import alive, poll, stop
from server import COMMAND, SANITIZED, Finished, Record, Server, environment
from upgrades import SAYS_WHEN_READY

pytestmark = pytest.mark.saola_only

STACKS = signal.SIGRTMIN + 7
DEATH = r"Worker \(pid:\d+\)|Stacks of worker|Last stacks|WORKER (BOOT )?TIMEOUT|Error handling"


def ask(server: Server, target: str) -> Connection:
    connection = server.connect()
    connection.send(build_request(target))
    return connection


def hold(server: Server, file: Path) -> Connection:
    """A request in progress, until the file is there."""
    connection = ask(server, f"/hold?file={file}")
    poll(file.with_name(file.name + ".started").exists, "the application being called")
    return connection


def record(server: Server, start: str) -> Record:
    """The record that begins so, when it is in the log as a whole: another one follows it."""

    def found() -> Record | None:
        for index, each in enumerate(server.records[:-1]):
            if each.message.startswith(start):
                return server.records[index]
        return None

    server.wait_log(r"\] " + re.escape(start))
    value = poll(found, f"a record after {start!r}")
    assert value is not None
    return value


def stacks(tmp: Path, *args: str) -> Finished:
    process = subprocess.run(
        [*COMMAND, "--stacks", *args],
        cwd=tmp,
        env=environment(tmp, None),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Finished(process.returncode, process.stdout, process.stderr)


# --- late workers


@pytest.mark.parametrize("call", ["sleep", "lock"])
def test_a_call_that_holds_the_gil(serve: Serve, call: str) -> None:
    """Within 2 s of the deadline the log has URI, age and stack; other workers serve meanwhile."""
    server = serve("dying:app", "--timeout", "2", workers=2)
    server.allow(DEATH)
    with Load(server.address, connections=1, interval=0.1) as load:
        load.wait(answered=5)
        begun = time.monotonic()
        victim = ask(server, f"/{call}?a=%41%22")
        (pid,) = server.wait_log(r"\[CRITICAL\] WORKER TIMEOUT \(pid:(\d+)\)")
        record(server, f"Stacks of worker (pid:{pid}):")
        logged = time.monotonic()
        end = r"exited with code 1\." if call == "sleep" else "was sent SIGKILL!"
        server.wait_log(rf"Worker \(pid:{pid}\) {end}")
        server.wait_log(rf"Worker \(pid:{pid}\) ended: .*SIG(ABRT|KILL)\b.* the arbiter; ")
        server.wait_workers(2, other_than=[int(pid)])
        load.wait(answered=5)
        result = load.stop()
    victim.read_to_end()
    if not SANITIZED:
        assert logged - begun - result.stalled(begun, logged) < 4
    what = record(server, f"Worker (pid:{pid}) had a request in progress: ")
    match = re.search(rf": GET /{call}\?a=%41%22 from 127\.0\.0\.1 for (\d+\.\d+) s$", what.message)
    assert match
    assert float(match[1]) >= 1.5
    text = record(server, f"Stacks of worker (pid:{pid}):").text
    assert re.search(rf'dying\.py", line \d+ in {call}_with_the_gil\n', text)
    if call == "lock":
        server.wait_log(rf"Worker \(pid:{pid}\) ended: SIGKILL came from the arbiter; ")
    # Said once, though it has died since.
    assert len(re.findall(rf"pid:{pid}\) had a request", server.log)) == 1
    assert len(re.findall(rf"tacks of worker \(pid:{pid}\)", server.log)) == 1


def test_an_import_that_hangs(serve: Serve, tmp_path: Path) -> None:
    flag = tmp_path / "hang"
    flag.touch()
    server = serve(
        *("dying:app", "--boot-timeout", "3"), env={"HANG_AT_IMPORT": str(flag)}, ready="booted"
    )
    server.allow(DEATH, "failed to boot", "Exception in worker process")
    (pid, *_) = server.wait_log(r"\[CRITICAL\] WORKER BOOT TIMEOUT \(pid:(\d+)\)")
    text = record(server, f"Stacks of worker (pid:{pid}):").text
    assert re.search(r'dying\.py", line \d+ in boot\n', text)
    flag.unlink()
    server.wait_ready("answer")


def test_a_worker_that_cannot_show_its_stacks(serve: Serve) -> None:
    server = serve("dying:app", "--timeout", "1")
    server.allow(DEATH)
    worker = server.worker
    server.kill(signal.SIGSTOP, worker)
    server.wait_log(
        rf"\[WARNING\] Worker \(pid:{worker}\) does not show its stacks: it is stopped$"
    )
    server.wait_workers(1, other_than=[worker])
    server.wait_log(rf"Worker \(pid:{worker}\) ended: SIGKILL came from the arbiter; ")


def test_a_worker_that_does_not_stop_in_time(serve: Serve, tmp_path: Path) -> None:
    server = serve("dying:app", "--graceful-timeout", "1")
    server.allow(DEATH)
    held = hold(server, tmp_path / "never")
    worker = server.worker
    assert server.terminate() == 0
    held.read_to_end()
    assert re.search(rf"pid:{worker}\) had a request in progress: GET /hold\?", server.log)
    assert re.search(r'dying\.py", line \d+ in hold\n', server.log)


# --- crashes


@pytest.mark.skipif(SANITIZED, reason="a sanitizer has handlers of its own")
@pytest.mark.parametrize(
    ("path", "cause"),
    [("crash", "SIGSEGV at address 0x0"), ("abort", "SIGABRT came from the worker itself")],
)
def test_crash(serve: Serve, path: str, cause: str) -> None:
    server = serve("dying:app")
    server.allow("Fatal Python error")
    worker = server.worker
    ask(server, f"/{path}?x").read_to_end()
    server.wait_workers(1, other_than=[worker])
    assert server.request("/").status == 200
    last = record(server, f"Last stacks of worker (pid:{worker}):")
    assert re.search(rf'dying\.py", line \d+ in {path}\n', last.text)
    mine = [each.message for each in server.records if f"pid:{worker})" in each.message]
    name = cause.split()[0]
    assert mine[0] == f"Worker (pid:{worker}) was sent {name}!"
    details = r"lived \d+\.\d s; requests: \d; peak memory: [1-9]\d*\.\d MiB"
    assert re.fullmatch(
        rf"Worker \(pid:{worker}\) ended: {cause};( left a core file;)? {details}", mine[1]
    )
    assert mine[2].startswith(
        f"Worker (pid:{worker}) had a request in progress: GET /{path}?x from 127.0.0.1 for "
    )


@pytest.mark.skipif(SANITIZED, reason="a sanitizer has handlers of its own")
def test_faulthandler_of_the_user_is_left_alone(serve: Serve) -> None:
    server = serve("dying:app", env={"PYTHONFAULTHANDLER": "1"})
    server.allow("Fatal Python error")
    worker = server.worker
    ask(server, "/crash").read_to_end()
    server.wait_workers(1, other_than=[worker])
    server.wait_log(rf"Worker \(pid:{worker}\) ended: SIGSEGV at address 0x0; ")
    assert "Fatal Python error" in server.log
    assert "Last stacks" not in server.log


@pytest.mark.skipif(SANITIZED, reason="a sanitizer has handlers of its own")
def test_a_child_of_the_application_crashes(serve: Serve) -> None:
    """It is no worker: its stack goes to stderr, and the worker gets no obituary."""
    server = serve("dying:app")
    server.allow("Fatal Python error")
    worker = server.worker
    assert server.request("/child").text == str(worker)
    assert "Fatal Python error" in server.log
    server.kill(signal.SIGKILL, worker)
    server.allow("SIGKILL")
    server.wait_log(rf"Worker \(pid:{worker}\) ended: the sender is unknown; ")
    server.wait_workers(1, other_than=[worker])
    assert "Last stacks" not in server.log


@pytest.mark.parametrize("code", [0, 7])
def test_a_worker_that_exits_by_itself(serve: Serve, code: int) -> None:
    server = serve("dying:app")
    server.allow("exited with code")
    worker = server.worker
    ask(server, f"/exit?{code}").read_to_end()
    reason = "by itself" if code else "exited with code 0, which nobody had asked for"
    server.wait_log(rf"\[WARNING\] Worker \(pid:{worker}\) ended: {reason}; ")
    server.wait_log(rf"Worker \(pid:{worker}\) had a request in progress: GET /exit\?{code} from ")
    server.wait_workers(1, other_than=[worker])


# --- signals of others


@pytest.mark.parametrize(
    ("sig", "headline", "level"),
    [
        (Signals.SIGTERM, False, "INFO"),
        (Signals.SIGINT, False, "INFO"),
        (Signals.SIGHUP, True, "WARNING"),
        (Signals.SIGUSR2, True, "WARNING"),
    ],
)
def test_who_has_sent_a_signal(serve: Serve, sig: Signals, headline: bool, level: str) -> None:
    server = serve("dying:app")
    worker = server.worker
    server.kill(sig, worker)
    me = rf"pid {os.getpid()} \({re.escape(Path('/proc/self/comm').read_text().strip())}\)"
    server.wait_log(
        rf"\[{level}\] Worker \(pid:{worker}\) ended: {sig.name} came from {me}, uid {os.getuid()};"
    )
    assert (f"Worker (pid:{worker}) was sent {sig.name}!" in server.log) == headline
    server.wait_workers(1, other_than=[worker])
    assert server.request("/").status == 200


def test_a_worker_that_is_killed(serve: Serve, tmp_path: Path) -> None:
    """Nobody can know by whom; and nobody is hungry."""
    server = serve("dying:app")
    server.allow("SIGKILL")
    held = hold(server, tmp_path / "never")
    worker = server.worker
    server.kill(signal.SIGKILL, worker)
    held.expect_closed()
    server.wait_log(rf"Worker \(pid:{worker}\) had a request in progress: GET /hold\?file=")
    messages = [each.message for each in server.records if f"pid:{worker})" in each.message]
    assert messages[0] == f"Worker (pid:{worker}) was sent SIGKILL!"
    assert messages[1].startswith(f"Worker (pid:{worker}) ended: the sender is unknown; ")
    server.wait_workers(1, other_than=[worker])


def test_a_worker_that_is_told_to_go_gets_none(serve: Serve) -> None:
    server = serve("dying:app", config=SAYS_WHEN_READY, workers=2)
    server.wait_log("a worker serves", 2)  # one that boots would be ended by the signal
    before = server.wait_workers(2)
    server.kill(signal.SIGHUP)
    workers = server.wait_workers(2, other_than=before)
    server.kill(signal.SIGTTOU)
    server.wait_workers(1)
    assert server.terminate() == 0
    assert not [pid for pid in (*before, *workers) if f"Worker (pid:{pid})" in server.log]


# --- on demand


def test_stacks_of_a_running_server(serve: Serve, tmp_path: Path) -> None:
    """A worker that runs a request, one that waits, one that is stopped, one that boots."""
    flag = tmp_path / "hang"
    pidfile = tmp_path / "its pid"
    server = serve(
        *("dying:app", "--pid", str(pidfile), "--timeout", "300"),
        config=SAYS_WHEN_READY,
        env={"HANG_AT_IMPORT": str(flag)},
        workers=3,
    )
    server.allow("Worker")
    server.wait_log("a worker serves", 3)
    before = server.wait_workers(3)
    held = hold(server, tmp_path / "release")
    free = int(server.request("/").text)
    flag.touch()
    server.kill(signal.SIGTTIN)
    poll((tmp_path / "hang.started").exists, "a worker that boots")
    (booting,) = set(server.workers()) - set(before)
    (tmp_path / "elsewhere").mkdir()

    def show() -> dict[int, str] | None:
        """By worker; once the free one, which has only just answered, is through with that."""
        done = stacks(tmp_path / "elsewhere", str(pidfile))
        assert (done.code, done.stderr) == (0, "")
        texts = re.findall(
            r"^Worker \(pid:(\d+)\) (.*?)(?=\n\n|\Z)", done.stdout, re.MULTILINE | re.DOTALL
        )
        found = {int(pid): text for pid, text in texts}
        return None if found[free].startswith("is busy: GET / ") else found

    parts = poll(show, "an idle worker")
    assert parts is not None
    assert set(parts) == {*before, booting}
    (busy,) = [pid for pid in before if parts[pid].startswith("is busy: ")]
    assert re.match(
        rf"is busy: GET /hold\?file={tmp_path}/release from 127\.0\.0\.1 for \d+\.\d+ s:\n"
        r"(.*\n)+?  File \".*dying\.py\", line \d+ in hold\n",
        parts[busy],
    )
    assert parts[free].startswith("is idle:\n")
    assert 'File "' in parts[free]
    assert re.match(
        r'is booting:\n(.*\n)+?  File ".*dying\.py", line \d+ in boot\n', parts[booting]
    )

    stop(free)
    done = stacks(tmp_path, str(server.pid))  # the pid does as well
    server.kill(signal.SIGCONT, free)
    assert f"Worker (pid:{free}) is idle\n(no stacks: it is stopped)\n" in done.stdout
    assert done.stdout.count(" in hold\n") == 1

    flag.unlink()
    (tmp_path / "release").touch()
    assert held.read_response().text == str(busy)
    assert {*before, booting} == set(server.wait_workers(4))
    assert "dying.py" not in server.log


def test_stacks_while_the_server_stops(serve: Serve, tmp_path: Path) -> None:
    server = serve("dying:app", "--graceful-timeout", "300")
    held = hold(server, tmp_path / "release")
    server.kill(signal.SIGTERM)
    server.wait_log("Handling signal: term")
    done = stacks(tmp_path, str(server.pid))
    assert " in hold\n" in done.stdout
    (tmp_path / "release").touch()
    held.read_response()
    assert server.wait() == 0


def test_stacks_by_kill_go_to_the_log(serve: Serve) -> None:
    server = serve("dying:app")
    worker = server.worker
    os.kill(server.pid, STACKS)
    assert f"Worker (pid:{worker}) is " in record_text(server, "Stacks of all workers:")
    os.kill(worker, STACKS)
    start = f"Stacks of worker (pid:{worker}), for pid {os.getpid()}:"
    assert 'File "' in record_text(server, start)
    assert server.worker == worker


def record_text(server: Server, start: str) -> str:
    """Of a record that may be the last one: it comes in one write."""
    server.wait_log(r"\] " + re.escape(start))
    (found,) = [each for each in server.records if each.message.startswith(start)]
    return found.text


def test_stacks_of_no_server(serve: Serve, tmp_path: Path) -> None:
    server = serve("dying:app")
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    dead = subprocess.Popen(["true"])
    dead.wait()
    files = {
        "stranger": f"{stranger.pid}\n",
        "dead": f"{dead.pid}\n",
        "text": "hello\n",
        "empty": "",
        "zero": "0\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    for target, error in (
        ("no-such-file", "cannot read the pid file: "),
        ("stranger", f"process {stranger.pid} is no arbiter of this server"),
        ("dead", f"there is no process {dead.pid}"),
        ("text", "'text' does not hold a pid"),
        ("empty", "'empty' does not hold a pid"),
        ("zero", "'zero' does not hold a pid"),
        (str(server.worker), f"process {server.worker} is a worker: its arbiter is asked"),
    ):
        done = stacks(tmp_path, target)
        assert done.code == 1
        assert done.stdout == ""
        assert f": error: {error}" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert alive(stranger.pid)
    stranger.communicate()
    assert stacks(tmp_path).code == 2
    assert server.request("/").status == 200


def test_a_foreign_listener_gets_nothing(serve: Serve, tmp_path: Path) -> None:
    """The socket has to be of the process that has sent the signal."""
    server = serve("dying:app")
    code = (
        "import sys; from saola import _core; input()"
        "; _core.stacks_ask(int(sys.argv[1]), 5); input()"
    )
    asker = subprocess.Popen(
        [sys.executable, "-c", code, str(server.pid)],
        env=environment(tmp_path, None),
        stdin=subprocess.PIPE,
    )
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(b"\0" + f"saola-stacks-{asker.pid}-5".encode())
        listener.listen()
        assert asker.stdin is not None
        asker.stdin.write(b"\n")  # now: the name is taken
        asker.stdin.flush()
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(1) == b""
    server.wait_log(rf"Cannot hand the stacks to pid {asker.pid}, .*: Operation not permitted$")
    assert "Worker (pid:" in record_text(server, "Stacks of all workers:")
    asker.communicate()
    assert server.request("/").status == 200
