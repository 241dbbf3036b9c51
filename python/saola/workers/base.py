# SPDX-License-Identifier: MIT
"""A worker as hooks see it, and what it does in Python: signals, and loading the application.

The arbiter makes the object before it forks, and keeps its copy; the worker goes on with its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from saola import _core, _logroute
from saola.errors import AppImportError
from saola.glogging import Logger
from saola.util import make_fail_app
from saola.workers.workertmp import WorkerTmp

if TYPE_CHECKING:
    from saola.app.base import BaseApplication
    from saola.config import Config
    from saola.errors import AppImportError
    from saola.sock import BaseSocket


class Worker:
    """One worker process."""

    SIGNALS = [  # noqa: RUF012 - subclasses add to it
        *(signal.SIGABRT, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT, signal.SIGTERM),
        *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGCHLD),
    ]

    def __init__(
        self,
        age: int,
        ppid: int,
        sockets: list[BaseSocket],
        app: BaseApplication,
        timeout: float,
        cfg: Config,
        log: Logger,
    ) -> None:
        #: The number of the fork, from 1.
        self.age = age
        self.pid: int | str = "[booting]"
        self.ppid = ppid
        self.sockets = sockets
        self.app = app
        self.timeout = timeout
        self.cfg = cfg
        self.log = log
        self.booted = False
        self.aborted = False
        self.alive = True
        self.reloader: Any = None
        self.tmp = WorkerTmp(cfg, self)
        self.wsgi: Any = None
        self._requests = 0  # set by the core at the end
        #: With its jitter, which is drawn in the worker.
        self.max_requests = sys.maxsize

    def __str__(self) -> str:
        return f"<Worker {self.pid}>"

    @property
    def nr(self) -> int:
        """How many requests this worker has begun."""
        return _core.worker_requests() or self._requests

    def notify(self) -> None:
        """Shows that the worker lives. The core does so by itself, between requests."""
        self.tmp.notify()

    def load_wsgi(self) -> Any:
        """The application, loaded now unless preload_app has done it."""
        if self.cfg.reload:
            self._start_reloader()
        try:
            self.wsgi = self.app.wsgi()
        except AppImportError:
            raise
        except Exception as error:
            if self.reloader is None:
                raise
            self.wsgi = self._show_until_changed(error)
        if self.reloader is not None:
            self.reloader.remember()  # what has been loaded is what the next look is compared with
        return self.wsgi

    def post_worker_init(self) -> None:
        self.cfg.post_worker_init(self)
        _logroute.route(self.log)

    # The reloader.

    def _start_reloader(self) -> None:
        from saola import reloader

        engine, files = self.cfg.reload_engine, self.cfg.reload_extra_files
        try:
            self.reloader = reloader.reloader_engines[engine](
                extra_files=files, callback=self._files_changed
            )
        except OSError as error:
            if engine != "auto":
                raise
            self.log.warning("Looking for changes every second: %s", error)
            self.reloader = reloader.Reloader(extra_files=files, callback=self._files_changed)
        self.reloader.start()

    def _files_changed(self, filename: str) -> None:
        """Called in the reloader's thread: the worker goes, as after TERM, and a new one comes."""
        self.log.info("Worker reloading: %s modified", filename)
        self.alive = False
        try:
            self.cfg.worker_int(self)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def _show_until_changed(self, error: Exception) -> Any:
        """An application that shows everybody why the real one cannot be loaded."""
        self.log.exception("Error loading the application; waiting for a change")
        for filename in _files_of(error):
            self.reloader.add_extra_file(filename)
        return make_fail_app("".join(traceback.format_exception(error)))

    def _tell_app_error(self, error: AppImportError) -> None:
        """The application is not where the command line says: no case for a traceback. A daemon
        has no terminal, and its log is where one looks."""
        print(error, file=sys.stderr, flush=True)
        if self.cfg.errorlog != "-":
            self.log.error("%s", error)

    # Signals.

    def init_signals(self) -> None:
        for number, handler in (
            (signal.SIGTERM, self.handle_exit),
            (signal.SIGQUIT, self.handle_quit),
            (signal.SIGINT, self.handle_quit),
            (signal.SIGWINCH, self.handle_winch),
            (signal.SIGUSR1, self.handle_usr1),
            (signal.SIGABRT, self.handle_abort),
        ):
            signal.signal(number, handler)
        if self.cfg.request_timeout:
            signal.signal(_core.SIGNAL_DEADLINE, _core.worker_deadline)
        # A system call of the application is resumed after these two.
        signal.siginterrupt(signal.SIGTERM, False)
        signal.siginterrupt(signal.SIGUSR1, False)
        # In this order: once the core knows, the handlers do nothing.
        os.register_at_fork(after_in_child=_core.worker_forked)
        os.register_at_fork(after_in_child=self.reset_signals)

    def reset_signals(self) -> None:
        """A child that the application has forked is no worker: TERM ends it, and so on."""
        signal.set_wakeup_fd(-1)
        for number in self.SIGNALS:
            if getattr(signal.getsignal(number), "__self__", None) is self:
                signal.signal(number, signal.SIG_DFL)

    def end_signals(self) -> None:
        """The worker has left its loop: nothing is to be interrupted any more."""
        for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
            # The handlers of signals that have just come are still called, and raise SystemExit.
            while signal.getsignal(number) is not signal.SIG_IGN:
                with contextlib.suppress(SystemExit):
                    signal.signal(number, signal.SIG_IGN)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """TERM: finish what is in progress; while it boots that is nothing."""
        self.alive = False
        _core.worker_retire()
        if not self.booted:
            sys.exit(0)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """INT and QUIT: end now."""
        self.alive = False
        _core.worker_stop()
        self.cfg.worker_int(self)
        time.sleep(0.1)
        sys.exit(0)

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """ABRT: the arbiter has waited for a sign of life for too long."""
        self.alive = False
        self.aborted = True
        _core.worker_stop()
        self.cfg.worker_abort(self)
        sys.exit(1)

    def handle_usr1(self, sig: int, frame: FrameType | None) -> None:
        self.log.reopen_files()

    def handle_winch(self, sig: int, frame: FrameType | None) -> None:
        self.log.debug("worker: SIGWINCH ignored.")


def _files_of(error: Exception) -> Iterator[str]:
    """Where the reason for it may be: modules that failed to load are in no list."""
    if isinstance(error, SyntaxError) and error.filename:
        yield error.filename
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if os.path.exists(frame.f_code.co_filename):
            yield frame.f_code.co_filename
