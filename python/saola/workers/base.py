# SPDX-License-Identifier: MIT
"""A worker as hooks see it, and what it does in Python: signals, and loading the application.

The arbiter makes the object before it forks, and keeps its copy; the worker goes on with its own.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from saola import _core
from saola.glogging import Logger

if TYPE_CHECKING:
    from saola.app.base import BaseApplication
    from saola.config import Config
    from saola.sock import Listener


class Worker:
    """One worker process."""

    SIGNALS = (
        *(signal.SIGABRT, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT, signal.SIGTERM),
        *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGCHLD),
    )

    def __init__(
        self,
        age: int,
        ppid: int,
        sockets: list[Listener],
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
        self.tmp: Any = None
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
        """Shows that the worker lives. The core does so by itself."""

    def load_wsgi(self) -> Any:
        """The application, loaded now unless preload_app has done it."""
        self.wsgi = self.app.wsgi()
        return self.wsgi

    def post_worker_init(self) -> None:
        self.cfg.post_worker_init(self)

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
            signal.signal(number, signal.SIG_IGN)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """TERM: finish what is in progress."""
        self.alive = False
        _core.worker_retire()

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
