# SPDX-License-Identifier: MIT
"""A server that is upgraded (USR2), again and again, and found by its pid file."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from signal import Signals

from procs import alive, children, poll
from server import Server

PIDFILE = "server.pid"
#: A configuration whose workers say when they are ready.
SAYS_WHEN_READY = "def post_worker_init(worker): worker.log.info('a worker serves')\n"
SERVES = r"^\[[^]]*\] \[(\d+)\] \[INFO\] a worker serves"


def console_script(directory: Path) -> list[str]:
    """The command `saola`: what pip installs, or would."""
    installed = Path(sys.executable).with_name("saola")
    if installed.exists():
        return [str(installed)]
    script = directory / "saola"
    script.write_text(f"#!{sys.executable}\nfrom saola.__main__ import main\nmain()\n")
    script.chmod(0o755)
    return [str(script)]


class Upgrades:
    """Follows the arbiter of a server that was started with PIDFILE and SAYS_WHEN_READY."""

    def __init__(self, server: Server, workers: int = 1) -> None:
        self.server = server
        self.workers = workers
        self.pidfile = server.tmp / PIDFILE
        self.second = server.tmp / (PIDFILE + ".2")
        self.pid = 0
        self.old: list[int] = []
        self.wait(lambda: self.pidfile.exists(), "a pid file")
        self.pid = int(self.pidfile.read_text())
        self.wait_serving(self.pid)

    def wait(self, condition: Callable[[], object], what: str) -> None:
        poll(condition, lambda: f"{what}\n{self.server.tail()}")

    def serving(self, arbiter: int) -> list[int]:
        """Workers of an arbiter that are ready."""
        ready = {int(pid) for pid in re.findall(SERVES, self.server.log, re.MULTILINE)}
        return [pid for pid in children(arbiter) if pid in ready]

    def wait_serving(self, arbiter: int) -> None:
        self.wait(
            lambda: len(self.serving(arbiter)) >= self.workers, f"{self.workers} workers serving"
        )

    def send(self, sig: Signals, pid: int | None = None) -> None:
        os.kill(self.pid if pid is None else pid, sig)

    def start(self) -> int:
        """A second arbiter, whose workers serve."""
        self.send(signal.SIGUSR2)
        self.wait(self.second.exists, "a second pid file")
        new = int(self.second.read_text())
        self.wait_serving(new)
        return new

    def gone(self, pid: int) -> bool:
        if pid == self.server.pid:
            return self.server.popen.poll() is not None
        return not alive(pid)

    def end(self, pid: int, sig: Signals = signal.SIGTERM) -> None:
        """Ends an arbiter with its workers."""
        family = [pid, *(child for child in children(pid) if not children(child))]
        self.send(sig, pid)
        self.wait(lambda: all(self.gone(each) for each in family), f"the end of {family}")
        if pid == self.server.pid:
            self.server.reaped = True

    def promoted(self, pid: int) -> bool:
        """It has the pid file, and has removed that of its own."""
        try:
            return self.pidfile.read_text() == f"{pid}\n" and not self.second.exists()
        except FileNotFoundError:
            return False

    def upgrade(self) -> int:
        """A new arbiter in the place of the old one; its pid."""
        new = self.start()
        self.end(self.pid)
        self.wait(lambda: self.promoted(new), "the promotion")
        self.pid = new
        assert not self.second.exists()
        return new
