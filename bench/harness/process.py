# SPDX-License-Identifier: MIT
"""A server under test: start, stop, CPU time and memory.

A server leads a session of its own, and everything that it starts belongs to that session: CPU time
and memory are summed over it, so a server that spreads its work over processes or threads gains
nothing by it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import IO

from . import cases, layout
from .cases import Case
from .servers import Server

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
QUIET_S = 0.1
SETTLE_TIMEOUT_S = 10.0

# Fields of /proc/PID/stat, counted from the one after the name.
_SESSION, _UTIME, _CSTIME = 3, 11, 14


class ServerFailed(Exception):
    """The server does not start, or does not answer as it should."""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Running:
    """A server that has been started. Use as a context manager or call stop()."""

    def __init__(self, server: Server, case: Case, core: int) -> None:
        self.server = server
        self.case = case
        self.port = free_port()
        self._log_path = layout.LOGS / f"{server.name}.log"
        self._log: IO[bytes] = self._log_path.open("wb")
        for log in layout.LOGS.glob(f"{server.env_name}.access"):
            log.unlink()
        bin_dir = layout.ENVS / server.env_name / "bin"
        command = server.command(str(bin_dir), self.port, case, case.target)
        self._popen = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            cwd=layout.APPS,
            env=_environment(bin_dir),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._await_ready()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def alive(self) -> bool:
        return self._popen.poll() is None

    def stop(self) -> None:
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while self._members() and time.monotonic() < deadline:
            self._popen.poll()
            time.sleep(0.02)
        self._signal(signal.SIGKILL)
        self._popen.wait()
        self._log.close()

    def cpu_seconds(self) -> float:
        """User and system time of the session, including children that have been reaped."""
        ticks = 0
        for pid in self._members():
            fields = _stat(pid)
            if fields:
                ticks += sum(int(field) for field in fields[_UTIME : _CSTIME + 1])
        return ticks / TICKS_PER_SECOND

    def memory_kib(self) -> int:
        """Proportional set size of the session."""
        return sum(_pss_kib(pid) for pid in self._members())

    def settle(self) -> None:
        """Waits until the server has worked off what it was left with."""
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        before = -1.0
        while time.monotonic() < deadline:
            now = self.cpu_seconds()
            if now == before:
                return
            before = now
            time.sleep(QUIET_S)

    def last_words(self) -> str:
        lines = self._log_path.read_text(errors="replace").strip().splitlines()
        return lines[-1].strip()[:160] if lines else "it said nothing"

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if not self.alive():
                raise ServerFailed(f"exited at start: {self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
                continue
            self._check_answer()
            return
        raise ServerFailed(f"not listening after {START_TIMEOUT_S:.0f} s")

    def _check_answer(self) -> None:
        if self.case.holds:
            return
        problem = cases.probe(self.case, self.port)
        if problem is not None:
            raise ServerFailed(problem)

    def _members(self) -> list[int]:
        session = str(self._popen.pid)
        members = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                fields = _stat(int(entry))
                if fields and fields[_SESSION] == session and fields[0] != "Z":
                    members.append(int(entry))
        return members

    def _signal(self, number: signal.Signals) -> None:
        # The leader first: it is the one that knows how to stop the others.
        if number == signal.SIGTERM and self.alive():
            self._popen.send_signal(number)
            return
        for pid in self._members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _environment(bin_dir: Path) -> dict[str, str]:
    env = {"PATH": f"{bin_dir}:/usr/local/bin:/usr/bin:/bin", "HOME": str(layout.BUILD)}
    env["BENCH_FILE"] = str(layout.FILE)
    env["PYTHONPATH"] = str(layout.APPS)
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    return env


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()


def _pss_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
