# SPDX-License-Identifier: MIT
"""The load: wrk, and clients that hold connections, on the core that the server has not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from . import layout
from .cases import Case

REPLY_TIMEOUT_S = 10
WRK_GRACE_S = 30.0


class LoadFailed(Exception):
    """wrk or the holding clients did not do their work."""


@dataclass(frozen=True)
class Load:
    """What wrk saw."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    errors: int

    @property
    def rps(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0


def wrk_version() -> str:
    path = shutil.which("wrk")
    if path is None:
        raise LoadFailed("wrk is not installed: apt-get install wrk")
    text = subprocess.run([path, "-v"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d[\w.]*", text)
    return found.group() if found else "unknown"


def wrk(case: Case, port: int, connections: int, seconds: int, core: int) -> Load:
    command = ["taskset", "-c", str(core), "wrk", "--threads", "1"]
    command += ["--connections", str(connections), "--duration", f"{seconds}s"]
    command += ["--timeout", f"{REPLY_TIMEOUT_S}s", "--script", str(layout.WRK_SCRIPT)]
    command += [f"http://127.0.0.1:{port}{case.path}", "--", *case.wrk]
    limit = seconds + WRK_GRACE_S
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as error:
        raise LoadFailed("wrk does not end") from error
    line = re.search(r"^RESULT (.*)$", done.stdout, re.MULTILINE)
    if line is None:
        raise LoadFailed(f"wrk: {(done.stderr or done.stdout).strip()[:160]}")
    # A server that closes without saying so in its head leaves wrk with a read error, which is no
    # error where a new connection per request was asked for.
    kinds = ("connect", "write", "status", "timeout", *(() if case.close else ("read",)))
    figures = {name: float(value) for name, value in re.findall(r"(\w+)=(\S+)", line.group(1))}
    return Load(
        requests=int(figures["requests"]),
        seconds=figures["duration"] / 1e6,
        p50_us=figures["p50"],
        p99_us=figures["p99"],
        errors=int(sum(figures[kind] for kind in kinds)),
    )


class Clients:
    """clients.py in a process of its own. Returns from the constructor once all are open."""

    def __init__(self, kind: str, port: int, count: int, core: int) -> None:
        script = Path(__file__).with_name("clients.py")
        self._popen = subprocess.Popen(
            ["taskset", "-c", str(core), sys.executable, str(script), kind, str(port), str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.opened = self._read_report()

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.close()
        self._popen.wait()
        self._popen.stdout.close()

    def held(self) -> int:
        """Number of connections that the server has not closed."""
        assert self._popen.stdin is not None
        self._popen.stdin.write("\n")
        self._popen.stdin.flush()
        return self._read_report()

    def _read_report(self) -> int:
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        if not line:
            raise LoadFailed("the holding clients died")
        return int(json.loads(line)["held"])
