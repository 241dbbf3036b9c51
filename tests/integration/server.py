# SPDX-License-Identifier: MIT
"""The server under test, as real processes.

SAOLA_TEST_SERVER is the command that is tested, `python -m saola` by default. What is not
particular to Saola can be proven to be tested right against Gunicorn:

    SAOLA_TEST_SERVER='python -m gunicorn -k gthread --threads 4 --no-control-socket' pytest ...
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from client import DEADLINE, Address, Connection, FramingError, Headers, Response
from procs import children, command_line, descriptors, poll, processes

APPS = Path(__file__).resolve().parent.parent / "apps"
COMMAND = shlex.split(os.environ.get("SAOLA_TEST_SERVER", "")) or [sys.executable, "-m", "saola"]
GUNICORN = [
    *(sys.executable, "-m", "gunicorn", "-k", "gthread", "--threads", "4", "--no-control-socket"),
]
IS_GUNICORN = "gunicorn" in COMMAND
SYNC = ["-k", "sync", *(["--threads", "1"] if IS_GUNICORN else [])]
NAME = "gunicorn" if IS_GUNICORN else "saola"
SANITIZED = "asan" in os.environ.get("LD_PRELOAD", "")
#: For tests that use a connection again: a machine may hold a client up for longer than keepalive.
PATIENT = ["--keep-alive", "60"]

# What would configure the server behind a test's back.
FOREIGN_ENVIRONMENT = {
    *("GUNICORN_CMD_ARGS", "WEB_CONCURRENCY", "PORT", "FORWARDED_ALLOW_IPS", "SENDFILE"),
    *("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET"),
    *("WATCHDOG_PID", "WATCHDOG_USEC", "SCRIPT_NAME", "XDG_RUNTIME_DIR"),
    *("GUNICORN_PID", "GUNICORN_FD", "DJANGO_SETTINGS_MODULE", "COLUMNS", "PWD"),
}
FOREIGN_PREFIX = "SAOLA_"

START_DEADLINE = 60.0  # seconds for the imports of an application, under a sanitizer too

RECORD = re.compile(r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[(\d+)\] \[([A-Z]+)\] (.*)$")
ALARM = re.compile(
    r"Traceback \(most recent call last\)|Sanitizer|: runtime error: |[Aa]ssertion .*failed"
    r"|Fatal Python error|core dumped|ResourceWarning|without being closed"
)

# TERM during a boot, where Python has called something back: all that it can do is to say so.
IGNORED_EXIT = re.compile(
    r"^Exception ignored in: .*\nTraceback \(most recent call last\):\n(?:(?:  .*)?\n)*?"
    r"  File .*, in handle_exit\n    sys\.exit\(0\)\nSystemExit: 0\n",
    re.MULTILINE,
)

Ready = Literal["answer", "booted", "listening", "no"]


class ServerError(AssertionError):
    """The server did not do what a test needs in order to begin, or to end."""


@dataclass
class Record:
    """A record of the error log: its first line, parsed, and what follows up to the next one."""

    pid: int
    level: str
    message: str
    text: str


def parse_log(log: str) -> list[Record]:
    records: list[Record] = []
    texts: list[list[str]] = []  # by record; joined at the end, as there may be 100,000 lines
    for line in log.splitlines():
        match = RECORD.match(line)
        if match or not records:
            fields = (int(match[1]), match[2], match[3]) if match else (0, "", line)
            records.append(Record(*fields, text=""))
            texts.append([])
        texts[-1].append(line)
    for record, lines in zip(records, texts, strict=True):
        record.text = "\n".join(lines)
    return records


@dataclass
class Finished:
    """A run of the server that was to end by itself."""

    code: int
    stdout: str
    stderr: str


def environment(tmp: Path, extra: Mapping[str, str] | None) -> dict[str, str]:
    env = {
        key: value
        for key, value in os.environ.items()
        if key not in FOREIGN_ENVIRONMENT and not key.startswith(FOREIGN_PREFIX)
    }
    path = [str(APPS), *filter(None, [env.get("PYTHONPATH")])]
    for name in ("tmpdir", "home"):
        (tmp / name).mkdir(exist_ok=True)
    env |= {
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
        "PYTHONHASHSEED": "0",
        "TMPDIR": str(tmp / "tmpdir"),
        "HOME": str(tmp / "home"),
    }
    return env | dict(extra or {})


def run(
    tmp: Path,
    *args: str,
    config: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 60.0,
    command: Sequence[str] = COMMAND,
) -> Finished:
    """Runs the server until it ends by itself."""
    if config is not None:
        (tmp / "gunicorn.conf.py").write_text(config)
    process = subprocess.Popen(
        [*command, *args],
        cwd=tmp,
        env=environment(tmp, env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        kill_session(process.pid)
        stdout, stderr = process.communicate()
        raise ServerError(f"still running after {timeout} s; its log:\n{stderr}") from None
    try:
        wait_session_over(process.pid)
    except AssertionError as error:
        raise AssertionError(f"{error}; log:\n{stderr}") from None
    finally:
        kill_session(process.pid)
    return Finished(process.returncode, stdout, stderr)


def wait_session_over(session: int) -> None:
    """Until nothing is left of a server; what was killed needs its moment to be gone."""

    def left() -> list[str]:
        return [
            f"{each.pid} {command_line(each.pid)}"
            for each in processes()
            if each.session == session and each.pid != session
        ]

    poll(lambda: not left(), lambda: f"no process left; there is {left()}")


def kill_session(session: int) -> None:
    """Kills what is left of a server: everything is in a session of its own."""
    for each in processes():
        if each.session == session:
            try:
                os.kill(each.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def reserve(host: str) -> socket.socket:
    """A socket that keeps a port free for a server: bound, not listening, and with SO_REUSEADDR."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, 0))
    return sock


def parse_bind(bind: str) -> Address | None:
    """Where to connect to, for a bind that says so."""
    if bind.startswith("unix:"):
        return bind.removeprefix("unix:").removeprefix("//")
    host, _, port = bind.rpartition(":")
    return (host.strip("[]"), int(port)) if port.isdigit() and host else None


class Server:
    """One arbiter and its workers."""

    def __init__(
        self,
        tmp: Path,
        app: str | None,
        *args: str,
        config: str | None = None,
        env: Mapping[str, str] | None = None,
        binds: Sequence[str] = ("tcp",),
        ready: Ready = "answer",
        workers: int = 1,
        pass_fds: Sequence[int] = (),
        prefix: Sequence[str] = (),
        command: Sequence[str] = COMMAND,
    ) -> None:
        """`binds`: tcp, tcp6 and unix stand for an address of that kind that is free; anything else
        is passed as it is. `ready`: when the start is over. `prefix` runs the command."""
        self.tmp = tmp
        self.connections: list[Connection] = []
        self.reservations: list[socket.socket] = []
        self.addresses: list[Address] = []
        self.allowed: list[str] = []
        self.checked = 0  # characters of the log that were checked
        self.test_began = 0  # characters of the log before this test
        self.baseline: dict[int, Counter[str]] = {}
        self.reaped = False
        self.expected_files: set[str] = set()
        bind_args: list[str] = []
        for bind in binds:
            bind_args += ["--bind", self.claim(bind)]
        if config is not None:
            (tmp / "gunicorn.conf.py").write_text(config)
        self.stderr_path = tmp / "stderr"
        self.stdout_path = tmp / "stdout"
        worker_args = ["--workers", str(workers)] if workers != 1 else []
        self.command = [*prefix, *command, *bind_args, *worker_args, *args, *([app] if app else [])]
        self.workers_expected = workers
        with open(self.stdout_path, "ab") as stdout, open(self.stderr_path, "ab") as stderr:
            self.popen = subprocess.Popen(
                self.command,
                cwd=tmp,
                env=environment(tmp, env),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                pass_fds=pass_fds,
            )
        try:
            self.wait_ready(ready)
        except BaseException:
            self.destroy()
            raise

    def claim(self, bind: str) -> str:
        if bind in ("tcp", "tcp6"):
            reservation = reserve("::1" if bind == "tcp6" else "127.0.0.1")
            self.reservations.append(reservation)
            host, port = reservation.getsockname()[:2]
            bind = f"[{host}]:{port}" if bind == "tcp6" else f"{host}:{port}"
        elif bind == "unix":
            bind = f"unix:{self.tmp}/{len(self.addresses)}.sock"
        if address := parse_bind(bind):
            self.addresses.append(address)
        return bind

    # --- what it says

    @property
    def log(self) -> str:
        return self.stderr_path.read_text(errors="replace")

    @property
    def output(self) -> str:
        return self.stdout_path.read_text(errors="replace")

    @property
    def records(self) -> list[Record]:
        return parse_log(self.log)

    def messages(self, level: str | None = None) -> list[str]:
        return [each.message for each in self.records if level in (None, each.level)]

    def wait_log(self, pattern: str, count: int = 1, deadline: float = DEADLINE) -> list[str]:
        """Waits until the error log has `count` matches, and returns all."""

        def found() -> list[str] | None:
            matches = re.findall(pattern, self.log, re.MULTILINE)
            if len(matches) >= count:
                return matches
            self.require_running(f"looking for {pattern!r}", final=pattern)
            return None

        return poll(found, lambda: f"{count} of {pattern!r} in the log", deadline) or []

    def require_running(self, what: str, final: str | None = None) -> None:
        if self.popen.poll() is None:
            return
        if final and re.search(final, self.log, re.MULTILINE):
            return
        raise ServerError(
            f"the server ended with {self.popen.returncode} {what}; "
            f"{shlex.join(self.command)}\n{self.tail()}"
        )

    def tail(self, lines: int = 150) -> str:
        """The end of the log, at most what was written since the test began."""
        return "\n".join(self.log[self.test_began :].splitlines()[-lines:])

    def allow(self, *patterns: str) -> None:
        """Records of the log that this test provokes, as regular expressions."""
        self.allowed += patterns

    # --- its processes

    @property
    def pid(self) -> int:
        """The arbiter's, as far as the command is the server itself."""
        return self.popen.pid

    def workers(self) -> list[int]:
        return children(self.pid)

    def wait_workers(self, count: int, other_than: Sequence[int] = ()) -> list[int]:
        """Waits until exactly `count` workers live, none of which is in `other_than`."""

        def found() -> list[int] | None:
            self.require_running(f"waiting for {count} workers")
            workers = self.workers()
            return workers if len(workers) == count and not {*workers} & {*other_than} else None

        return poll(found, lambda: f"{count} workers; there are {self.workers()}") or []

    def wait_serving(self, count: int) -> list[int]:
        """Waits until exactly `count` workers live, and each of them serves: the last thing that
        it does before is to start its standby, which has an eventfd."""

        def found() -> list[int] | None:
            workers = self.wait_workers(count)
            ready = all(descriptors(pid)["anon_inode:[eventfd]"] for pid in workers)
            return workers if ready or IS_GUNICORN else None

        return poll(found, lambda: f"{count} workers that serve; there are {self.workers()}") or []

    @property
    def worker(self) -> int:
        """The one worker."""
        (pid,) = self.wait_workers(1)
        return pid

    def kill(self, sig: signal.Signals, pid: int | None = None) -> None:
        os.kill(self.pid if pid is None else pid, sig)

    # --- start

    def wait_ready(self, ready: Ready) -> None:
        if ready == "no":
            return
        if ready == "booted":
            self.wait_log(r"Booting worker with pid: \d+", self.workers_expected)
            return
        end = time.monotonic() + START_DEADLINE
        while not self.probe(ready):
            self.require_running("at its start")
            if time.monotonic() > end:
                raise ServerError(
                    f"not ready after {START_DEADLINE} s: {shlex.join(self.command)}\n{self.tail()}"
                )
            time.sleep(0.01)
        if ready == "answer":
            self.note_baseline()

    def probe(self, ready: Ready) -> bool:
        try:
            with Connection(self.addresses[0], timeout=5.0) as connection:
                if ready == "answer":
                    connection.request("/-ready", headers=[("Connection", "close")])
                    connection.expect_end()
        except (OSError, FramingError) as error:
            self.probe_error = error
            return False
        return True

    def note_baseline(self) -> None:
        """Remembers which descriptors a worker has when it has no connection.

        One of them has answered, and so has all it needs. Another may still be at its boot, even
        where one is expected: a configuration file may ask for more.
        """
        if self.workers_expected > 1:
            self.wait_workers(self.workers_expected)
        workers = self.workers()
        most: Counter[str] = Counter()
        for pid in workers:
            settled = descriptors(pid)
            # The answer is at the client before its connection is closed here.
            poll(lambda: self.settled(pid, settled), "settled descriptors")  # noqa: B023
            most |= descriptors(pid)
        self.baseline = dict.fromkeys(workers, most)

    def settled(self, pid: int, before: Counter[str]) -> bool:
        time.sleep(0.005)
        now = descriptors(pid)
        same = now == before
        before.clear()
        before.update(now)
        return same

    # --- requests

    @property
    def address(self) -> Address:
        return self.addresses[0]

    @property
    def tcp(self) -> tuple[str, int]:
        assert isinstance(self.address, tuple)
        return self.address

    def connect(
        self,
        address: Address | None = None,
        *,
        timeout: float = DEADLINE,
        receive_buffer: int | None = None,
    ) -> Connection:
        """A new connection, closed at the end of the test if it still is open."""
        connection = Connection(
            self.address if address is None else address,
            timeout=timeout,
            receive_buffer=receive_buffer,
        )
        self.connections.append(connection)
        return connection

    def request(
        self,
        target: str = "/",
        *,
        method: str = "GET",
        headers: Headers = (),
        body: bytes | None = None,
        version: str = "1.1",
        host: str | None = "test",
        timeout: float = DEADLINE,
    ) -> Response:
        """One request on a connection of its own, which the server closes."""
        with Connection(self.address, timeout=timeout) as connection:
            return connection.request(
                target,
                method=method,
                headers=headers,
                body=body,
                version=version,
                host=host,
                close=True,
            )

    def send(self, data: bytes, method: str = "GET") -> Response:
        """Raw bytes on a connection of their own, one response, and no more after it."""
        with Connection(self.address) as connection:
            connection.send_all_can(data)
            response = connection.read_response(method)
            if response.closes:
                connection.expect_closed()
            return response

    # --- end

    def check_idle(self) -> None:
        """After a test: nothing in the log that should not be there, and nothing left open."""
        for connection in self.connections:
            connection.close()
        self.connections.clear()
        try:
            if self.popen.poll() is None:
                self.check_descriptors()
        finally:
            self.check_log()
            self.allowed.clear()

    def check_descriptors(self) -> None:
        def leaks() -> dict[int, Counter[str]]:
            # A number that is not a worker's any more may be that of something else by now.
            known = [pid for pid in self.workers() if pid in self.baseline]
            found = {pid: descriptors(pid) - self.baseline[pid] for pid in known}
            return {pid: more for pid, more in found.items() if more}

        poll(lambda: not leaks(), lambda: f"closed what a test has opened: {leaks()}")

    def check_log(self) -> None:
        begin = self.checked

        def bad() -> list[str]:
            log = self.log
            # What is not a whole line yet is for the next time, unless there is none.
            self.checked = len(log) if self.reaped else max(begin, log.rfind("\n") + 1)
            records = parse_log(IGNORED_EXIT.sub("", log[begin : self.checked]))
            return [each.text for each in records if self.is_bad(each)]

        found = bad()
        end = time.monotonic() + 1.0
        while found and time.monotonic() < end:  # what makes it allowed may still be written
            time.sleep(0.02)
            found = bad()
        assert not found, "unexpected in the log:\n" + "\n".join(found)

    def is_bad(self, record: Record) -> bool:
        if record.level not in ("ERROR", "CRITICAL") and not ALARM.search(record.text):
            return False
        return not any(re.search(pattern, record.text) for pattern in self.allowed)

    def wait(self, timeout: float = DEADLINE) -> int:
        """Waits until the server has ended, and returns its exit code."""
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ServerError(f"still running after {timeout} s\n{self.tail()}") from None
        self.reaped = True
        return code

    def terminate(self, sig: signal.Signals = signal.SIGTERM, timeout: float = DEADLINE) -> int:
        if self.popen.poll() is None:  # else the test has ended it, and its exit code tells
            self.kill(sig)
        return self.wait(timeout)

    def finish(self) -> None:
        """The end of a server: stops it, unless the test has, and looks at what is left.

        What the test has allowed may also come now: a worker that fails to boot again, say.
        """
        allowed = [*self.allowed]
        try:
            self.check_idle()
            self.allow(*allowed)
            if not self.reaped:
                code = self.terminate()
                assert code == 0, f"exit code {code} after SIGTERM"
            wait_session_over(self.pid)
            self.check_log()
            self.check_files()
        finally:
            self.destroy()

    def check_files(self) -> None:
        left = sorted(str(path) for path in (self.tmp / "tmpdir").rglob("*"))
        left += sorted(
            path.name
            for pattern in ("*.sock", "*.pid", "*.pid.2")
            for path in self.tmp.glob(pattern)
            if path.name not in self.expected_files
        )
        assert not left, f"files left: {left}"

    def destroy(self) -> None:
        kill_session(self.pid)
        self.popen.wait()
        self.reaped = True
        for connection in self.connections:
            connection.close()
        for reservation in self.reservations:
            reservation.close()
        self.connections.clear()
        self.reservations.clear()
