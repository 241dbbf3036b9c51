# SPDX-License-Identifier: MIT
"""A file that names a process: for scripts. The server's own is kept in C."""

from __future__ import annotations

import contextlib
import os
import tempfile


class Pidfile:
    """The file `fname` as the mark of one process."""

    def __init__(self, fname: str) -> None:
        self.fname = fname
        self.pid: int | None = None

    def create(self, pid: int) -> None:
        """Writes it. RuntimeError if it names another process that lives, or has no directory."""
        owner = self.validate()
        if owner == os.getpid():
            return
        if owner:
            raise RuntimeError(
                f"Already running on PID {owner} (or pid file '{self.fname}' is stale)"
            )
        self.pid = pid
        directory = os.path.dirname(self.fname)
        if directory and not os.path.isdir(directory):
            raise RuntimeError(f"{directory} doesn't exist. Can't create pidfile.")
        # Complete from the first moment on at which others can see it.
        fd, temporary = tempfile.mkstemp(dir=directory or ".")
        with os.fdopen(fd, "w") as file:
            file.write(f"{pid}\n")
            os.fchmod(file.fileno(), 0o644)
        os.rename(temporary, self.fname)

    def rename(self, path: str) -> None:
        self.unlink()
        self.fname = path
        assert self.pid is not None
        self.create(self.pid)

    def unlink(self) -> None:
        """Removes it if it still names the process that create() was called for."""
        with contextlib.suppress(OSError, ValueError):
            if self._read() == self.pid:
                os.unlink(self.fname)

    def validate(self) -> int | None:
        """The process that it names, if that lives."""
        try:
            pid = self._read()
        except (FileNotFoundError, ValueError):
            return None
        if pid <= 0:
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass  # somebody else's, but alive
        return pid

    def _read(self) -> int:
        with open(self.fname) as file:
            return int(file.read() or 0)
