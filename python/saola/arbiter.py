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
import signal
import sys
import traceback
from typing import Any, NoReturn

from saola import _core, _identity, _logcheck, _logroute, util
from saola.app.base import BaseApplication
from saola.config import Config
from saola.errors import AppImportError, ConfigError
from saola.glogging import Logger
from saola.pidfile import Pidfile
from saola.sock import BaseSocket, served
from saola.workers.base import Worker


def _command() -> list[str]:
    """What started this process: also `python -m saola`, which sys.argv does not show."""
    return [sys.executable, *(sys.orig_argv[1:] or sys.argv)]


_SIGNAL_NAMES = ["HUP", "QUIT", "INT", "TERM", "TTIN", "TTOU", "USR1", "USR2", "WINCH"]


class Arbiter:
    """Supervises the workers of one application.

    A subclass may put something of its own around start(), manage_workers(), spawn_worker(),
    reload(), reexec(), stop() and the handle_...() methods: they are what the core calls. The
    others are for calling. All of them are for the arbiter's process, while run() runs; a hook is
    a good place.
    """

    WORKER_BOOT_ERROR = 3
    APP_LOAD_ERROR = 4

    #: What an upgrade executes: {0: program, "args": arguments, "cwd": directory}.
    START_CTX: dict[Any, Any] = {}  # noqa: RUF012 - of the instance, as the next two
    #: The workers that run, by process id.
    WORKERS: dict[int, Worker] = {}  # noqa: RUF012
    LISTENERS: list[BaseSocket] = []  # noqa: RUF012

    SIGNALS = [getattr(signal, f"SIG{name}") for name in _SIGNAL_NAMES]  # noqa: RUF012 - as there
    SIG_NAMES = {each: each.name[3:].lower() for each in signal.Signals}  # noqa: RUF012

    def __init__(self, app: BaseApplication) -> None:
        os.environ["SERVER_SOFTWARE"] = f"{_identity.program()}/{_identity.version()}"
        self.START_CTX = {0: sys.executable, "args": _command(), "cwd": util.START_DIRECTORY}
        self.WORKERS = {}
        self.LISTENERS = []
        self.worker_class = Worker
        self.pid = os.getpid()
        # Kept up to date by the core, before each hook:
        self._num_workers = app.cfg.workers
        self.worker_age = 0
        self.master_pid = 0
        self.reexec_pid = 0
        self._old_env: dict[str, str | None] = {}
        self._old_cfg: Config | None = None
        self._old_cwd = ""
        self.setup(app)

    def setup(self, app: BaseApplication) -> None:
        """Takes over the application and its settings."""
        self.app = app
        self.cfg: Config = app.cfg
        self.log: Logger = self.cfg.logger_class(app.cfg)
        _logroute.route(self.log)

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
    def pidfile(self) -> Pidfile | None:
        """The pid file, to look at; the core keeps it."""
        if self.cfg.pidfile is None:
            return None
        file = Pidfile(self.cfg.pidfile + (".2" if self.master_pid else ""))
        file.pid = self.pid
        return file

    @property
    def num_workers(self) -> int:
        """How many workers there shall be."""
        return self._num_workers

    @num_workers.setter
    def num_workers(self, number: int) -> None:
        _core.arbiter_set_workers(number)
        self._num_workers = number

    # The run.

    def run(self) -> NoReturn:
        """Serves until a signal ends it."""
        sys.exit(_core.arbiter_run(self, _identity.program(), _identity.version()))

    def start(self) -> None:
        """Everything before the first worker is forked: application, sockets, hooks."""
        _core.arbiter_start()

    def stop(self, graceful: bool = True) -> None:
        """Begins to stop; the server ends when the workers have."""
        _core.arbiter_act(signal.SIGTERM if graceful else signal.SIGQUIT)

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """Begins to stop, for that reason and with that exit status."""
        _core.arbiter_halt(exit_status, reason)

    def reload(self) -> None:
        """Reads the settings anew and replaces the workers, as soon as none is starting."""
        _core.arbiter_act(signal.SIGHUP)

    def reexec(self) -> None:
        """Starts a second server with the sockets of this one."""
        _core.arbiter_act(signal.SIGUSR2)

    def wakeup(self) -> None:
        """Has the loop go round once more at once."""
        _core.arbiter_wakeup()

    # Workers.

    def manage_workers(self) -> None:
        """Starts and ends workers until there are as many as there shall be; at every turn."""
        _core.arbiter_manage()

    def spawn_worker(self) -> int:
        """Forks one worker, also beyond their number, and returns its process id."""
        return _core.arbiter_spawn()

    def spawn_workers(self) -> None:
        """Forks those that are missing."""
        _core.arbiter_manage()

    def kill_worker(self, pid: int, sig: int) -> None:
        """Sends a worker a signal; after SIGTERM it counts no longer. Nothing if it has gone."""
        _core.arbiter_kill(pid, sig)

    def kill_workers(self, sig: int) -> None:
        _core.arbiter_kill_all(sig)

    def murder_workers(self) -> None:
        """Aborts or kills the workers that are late."""
        _core.arbiter_murder()

    def reap_workers(self) -> None:
        """Buries the workers that have ended."""
        _core.arbiter_reap()

    # Signals.

    def handle_hup(self) -> None:
        self.reload()

    def handle_term(self) -> None:
        self.stop()

    def handle_int(self) -> None:
        self.stop(False)

    def handle_quit(self) -> None:
        self.stop(False)

    def handle_ttin(self) -> None:
        _core.arbiter_act(signal.SIGTTIN)

    def handle_ttou(self) -> None:
        _core.arbiter_act(signal.SIGTTOU)

    def handle_usr1(self) -> None:
        _core.arbiter_act(signal.SIGUSR1)

    def handle_usr2(self) -> None:
        self.reexec()

    def handle_winch(self) -> None:
        _core.arbiter_act(signal.SIGWINCH)

    def handle_chld(self) -> None:
        self.reap_workers()

    # Callbacks of the core.

    def _overridden(self) -> set[str]:
        """The methods that are somebody else's, and those that call them."""
        names = {name for name, stock in _STOCK.items() if not _is_method(self, name, stock)}
        return names | {caller for called in names for caller in _CALLERS.get(called, ())}

    def _preload(self) -> None:
        self.pid = os.getpid()
        _identity.server()
        _identity.server_software()
        if self.cfg.daemon and isinstance(self.log, Logger):
            self.log.capture_output()  # a daemon has just given up its standard streams
        self._set_env(self.cfg)
        if self.cfg.reload:
            self.log.warning("Reloader is on. Use in development only!")
            if self.cfg.preload_app:
                self.log.warning("preload_app has no effect while the reloader is on.")
        elif self.cfg.preload_app:
            try:
                self._load_application()
            except AppImportError as error:
                raise RuntimeError(str(error)) from None
            _logroute.route(self.log)

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

    def _set_title(self, title: str) -> None:
        util.set_title(title)

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
                self._check(self.app.cfg)
                self._set_env(self.app.cfg)
                if self.app.cfg.preload_app and not self.app.cfg.reload:
                    self._load_application()
        except SystemExit:
            # What is wrong with the settings was for the user at the terminal.
            self.log.error("Reading the configuration failed:\n%s", said.getvalue().strip())
        except ConfigError as error:
            self.log.error("Reading the configuration failed:\n%s", error)
        except Exception:
            self.log.exception("Reading the configuration failed")
        else:
            _tell(said.getvalue())
            return self.app.cfg
        self._reload_done(False)
        return None

    def _check(self, cfg: Config) -> None:
        """ConfigError if it has what ends a start, and would be found when it is too late."""
        try:
            cfg.env  # noqa: B018 - which looks at raw_env
            _logcheck.check(cfg)
        except RuntimeError as error:
            raise ConfigError(str(error)) from None

    def _reload_done(self, accepted: bool) -> None:
        if not accepted:
            assert self._old_cfg is not None
            self.app.cfg = self._old_cfg
            os.chdir(self._old_cwd)
            self._restore_env()
            self._set_env(self.cfg)
            return
        self.cfg = self.app.cfg
        before: Any = getattr(self.log, "cfg", self._old_cfg)
        try:
            self._set_up_logs(self.cfg)
        except Exception:
            text = "reloading the logger configuration failed, keeping the previous one"
            _tell(traceback.format_exc())
            self._keep_logs(before)
            self.log.error(text)
        self.log.reopen_files()

    def _set_up_logs(self, cfg: Config) -> None:
        logger_class = cfg.logger_class
        log = self.log
        if type(log) is logger_class:
            log.setup(cfg)
        else:
            log = logger_class(cfg)
        _logroute.route(log)
        self.log = log

    def _keep_logs(self, cfg: Config) -> None:
        """Again as they were: a part of them may have been exchanged."""
        try:
            self.log.setup(cfg)
            _logroute.route(self.log)
        except Exception:
            _tell(traceback.format_exc())

    def _new_worker(self, age: int) -> Worker:
        half = self.cfg.timeout / 2.0
        return Worker(age, self.pid, self.LISTENERS, self.app, half, self.cfg, self.log)

    def _worker_forked(self, worker: Worker, pid: int) -> None:
        worker.pid = pid
        self.WORKERS[pid] = worker

    def _worker_gone(self, pid: int) -> None:
        self.WORKERS.pop(pid, None)

    def _set_listeners(self, listeners: list[tuple[int, str]]) -> None:
        self.LISTENERS = [served(fd, name) for fd, name in listeners]


# What the core calls if it is somebody else's, and what else it has to call then.
_STOCK = {
    name: value
    for name, value in vars(Arbiter).items()
    if name in ("manage_workers", "spawn_worker", "reload", "reexec", "stop")
    or name.startswith("handle_")
}
_CALLERS = {
    "reload": ("handle_hup",),
    "reexec": ("handle_usr2",),
    "stop": ("handle_term", "handle_int", "handle_quit"),
}


def _tell(text: str) -> None:
    """On stderr, which may be closed, or a pipe that nobody reads any more."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sys.stderr.write(text)


def _is_method(arbiter: Arbiter, name: str, function: Any) -> bool:
    return getattr(getattr(arbiter, name), "__func__", None) is function
