# SPDX-License-Identifier: MIT
"""Watches the source files of the application: the setting `reload`.

A thread in the worker remembers what each file of sys.modules, and each extra file, looked like
when it was first seen, and calls back once, when one of them has changed. The two engines differ in
when they look: every second, or when the kernel reports something in the files' directories.
"""

from __future__ import annotations

import ctypes
import glob
import os
import select
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator

Callback = Callable[[str], object]
_Look = tuple[int, int, int]

INTERVAL = 1.0  # seconds


class Reloader(threading.Thread):
    """Looks at every file once in a while."""

    def __init__(
        self,
        extra_files: Iterable[str] | None = None,
        interval: float = INTERVAL,
        callback: Callback | None = None,
    ) -> None:
        super().__init__(name="reloader", daemon=True)
        self._interval = interval
        self._callback = callback
        self._lock = threading.Lock()
        self._extra_files = set(extra_files or ())
        self._seen: dict[str, _Look] = {}

    def add_extra_file(self, filename: str) -> None:
        """One more, which may be a glob pattern."""
        with self._lock:
            self._extra_files.add(filename)

    def get_files(self) -> list[str]:
        """What is watched at the moment: modules come and go, and files that a pattern matches."""
        with self._lock:
            extra = list(self._extra_files)
        return [*_module_files(), *(file for entry in extra for file in _expand(entry))]

    def _looks(self) -> Iterator[tuple[str, _Look]]:
        """What the files look like that there are."""
        for filename in self.get_files():
            if look := _look_at(filename):
                yield filename, look

    def remember(self) -> None:
        """Takes note of new files. What has changed since an earlier look is left for changed()."""
        for filename, look in self._looks():
            with self._lock:
                self._seen.setdefault(filename, look)

    def changed(self) -> str | None:
        """A file that is not what it was when it was first seen; new ones are taken note of."""
        found = None
        for filename, look in self._looks():
            with self._lock:
                if self._seen.setdefault(filename, look) != look:
                    self._seen[filename] = look
                    found = found or filename
        return found

    def wait(self) -> None:
        """Until it is worth looking again."""
        time.sleep(self._interval)

    def run(self) -> None:
        filename = self.changed()
        while filename is None:
            self.wait()
            filename = self.changed()
        if self._callback:
            self._callback(filename)


def _module_files() -> Iterator[str]:
    for module in list(sys.modules.values()):
        filename = getattr(module, "__file__", None)
        if isinstance(filename, str):
            yield filename[:-1] if filename.endswith((".pyc", ".pyo")) else filename


def _expand(entry: str) -> list[str]:
    if not glob.has_magic(entry):
        return [entry]
    files = glob.glob(entry, recursive=True)
    if not files:
        warnings.warn(f"Pattern {entry} currently matches no files.", RuntimeWarning, stacklevel=2)
    return files


def _look_at(filename: str) -> _Look | None:
    """None while it is not there: many editors replace files."""
    try:
        found = os.stat(filename)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class InotifyReloader(Reloader):
    """Looks at once when the kernel says that something has changed in a directory of the files."""

    # IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE, IN_DELETE: see inotify(7).
    _EVENTS = 0x2 | 0x4 | 0x8 | 0x80 | 0x100 | 0x200
    _QUIET_MS = 50  # files change in several steps, and often several at a time
    _BUSY_MS = 1000

    def __init__(
        self, extra_files: Iterable[str] | None = None, callback: Callback | None = None
    ) -> None:
        super().__init__(extra_files, INTERVAL, callback)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._fd < 0:
            error = ctypes.get_errno()
            raise OSError(error, f"inotify: {os.strerror(error)}")
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._directories: set[str] = set()

    def get_files(self) -> list[str]:
        files = super().get_files()
        directories = {os.path.dirname(os.path.abspath(file)) for file in files}
        for directory in directories - self._directories:
            # One that cannot be watched (too many are, or it is a zip file) is looked at every
            # second all the same.
            self._libc.inotify_add_watch(self._fd, os.fsencode(directory), self._EVENTS)
        self._directories |= directories
        return files

    def wait(self) -> None:
        if self._poll.poll(self._interval * 1000):
            for _ in range(self._BUSY_MS // self._QUIET_MS):
                os.read(self._fd, 65536)
                if not self._poll.poll(self._QUIET_MS):
                    break


preferred_reloader: type[Reloader] = InotifyReloader if sys.platform == "linux" else Reloader

reloader_engines: dict[str, type[Reloader]] = {
    "auto": preferred_reloader,
    "poll": Reloader,
    "inotify": InotifyReloader,
}
