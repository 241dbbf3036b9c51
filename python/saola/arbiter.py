# SPDX-License-Identifier: MIT
"""The arbiter as hooks see it, and what it does in Python: configuration, logs, worker objects.

Everything else (signals, forks, timeouts, sockets) is C: src/proc. The methods with an underscore
are its callbacks.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
import traceback
from typing import Any, NoReturn

import saola
from saola import _core, util
from saola.app.base import BaseApplication
from saola.config import Config
from saola.errors import AppImportError
from saola.glogging import Logger
from saola.sock import Listener
from saola.workers.base import Worker


def _command() -> list[str]:
    """What started this process: also `python -m saola`, which sys.argv does not show."""
    return [sys.executable, *(sys.orig_argv[1:] or sys.argv)]


class Arbiter:
    """Supervises the workers of one application."""

    WORKER_BOOT_ERROR = 3
    APP_LOAD_ERROR = 4

    def __init__(self, app: BaseApplication) -> None:
        os.environ["SERVER_SOFTWARE"] = saola.SERVER_SOFTWARE
        self.app = app
        self.cfg: Config = app.cfg
        self.log = Logger(app.cfg)
        self.START_CTX: dict[Any, Any] = {
            0: sys.executable,
            "args": _command(),
            "cwd": util.START_DIRECTORY,
        }
        #: The workers that run, by process id.
        self.WORKERS: dict[int, Worker] = {}
        self.LISTENERS: list[Listener] = []
        self.worker_class = Worker
        self.pid = os.getpid()
        # Kept up to date by the core, before each hook:
        self.num_workers = 0
        self.worker_age = 0
        self.master_pid = 0
        self.reexec_pid = 0
        self._old_env: dict[str, str | None] = {}
        self._old_cfg: Config | None = None
        self._old_cwd = ""

    @property
    def address(self) -> list[str | int | tuple[str, int]]:
        return self.cfg.address

    @property
    def timeout(self) -> int:
        return self.cfg.timeout

    @property
    def proc_name(self) -> str:
        return self.cfg.proc_name

    @property
    def pidfile(self) -> str | None:
        return self.cfg.pidfile

    def run(self) -> NoReturn:
        """Serves until a signal ends it."""
        sys.exit(_core.arbiter_run(self, saola.PROGRAM, saola.__version__))

    # Callbacks of the core.

    def _preload(self) -> None:
        self.pid = os.getpid()
        self._set_env(self.cfg)
        if self.cfg.preload_app:
            try:
                self._load_application()
            except AppImportError as error:
                raise RuntimeError(str(error)) from None

    def _load_application(self) -> None:
        """Loads the application, once, for all workers to come. What it consists of will be there
        for good: the collector of the workers is not to touch, and so copy, its pages."""
        if self.app.callable is None:
            self.app.wsgi()
            gc.collect()
            gc.freeze()

    def _set_env(self, cfg: Config) -> None:
        for name, value in cfg.env.items():
            self._old_env[name] = os.environ.get(name)
            os.environ[name] = value

    def _restore_env(self) -> None:
        for name, value in self._old_env.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._old_env.clear()

    def _unset_env(self, name: str) -> None:
        os.environ.pop(name, None)

    def _reload(self) -> Config | None:
        """Reads the settings anew, as at the start. None if that fails: nothing has changed."""
        self._old_cfg = self.app.cfg
        self._old_cwd = os.getcwd()
        self._restore_env()
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                os.chdir(util.START_DIRECTORY)
                self.app.reload()
                self._set_env(self.app.cfg)
                if self.app.cfg.preload_app:
                    self._load_application()
        except SystemExit:
            # What is wrong with the settings was for the user at the terminal.
            self.log.error("Reading the configuration failed:\n%s", said.getvalue().strip())
        except Exception:
            self.log.exception("Reading the configuration failed")
        else:
            sys.stderr.write(said.getvalue())
            return self.app.cfg
        self._reload_done(False)
        return None

    def _reload_done(self, accepted: bool) -> None:
        if not accepted:
            assert self._old_cfg is not None
            self.app.cfg = self._old_cfg
            os.chdir(self._old_cwd)
            self._restore_env()
            self._set_env(self.cfg)
            return
        self.cfg = self.app.cfg
        try:
            self.log.setup(self.cfg)
        except Exception:
            text = "reloading the logger configuration failed, keeping the previous one"
            traceback.print_exc()
            self.log.error(text)
        self.log.reopen_files()

    def _new_worker(self, age: int) -> Worker:
        half = self.cfg.timeout / 2.0
        return Worker(age, self.pid, self.LISTENERS, self.app, half, self.cfg, self.log)

    def _worker_forked(self, worker: Worker, pid: int) -> None:
        worker.pid = pid
        self.WORKERS[pid] = worker

    def _worker_gone(self, pid: int) -> None:
        self.WORKERS.pop(pid, None)

    def _set_listeners(self, listeners: list[tuple[int, str]]) -> None:
        self.LISTENERS = [Listener(fd, name) for fd, name in listeners]
