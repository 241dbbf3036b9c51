# SPDX-License-Identifier: MIT
"""The logs as hooks, configuration files and applications see them: Gunicorn's Logger.

The server writes its own lines in C. What Python code logs through `server.log`, `worker.log` or
the loggers `gunicorn.error` and `gunicorn.access` takes the way of Python's logging, so handlers
and filters that the application adds, and handlers that it copies, work as they do everywhere; the
handlers that are here end in the same files.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO, cast

from saola import _core

if TYPE_CHECKING:
    from saola.config import Config


class ErrorLogStream:
    """The error log as the stream of a handler; each call of write() is one write(2)."""

    def write(self, text: str) -> None:
        _core.log_raw(text)

    def flush(self) -> None:
        pass


class AccessLogStream:
    """The access log as the stream of a handler, for the few lines that do not come from C.

    The file is opened for each of them: it may be renamed at any time.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)

    def write(self, text: str) -> None:
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.write(fd, text.encode("utf-8", "backslashreplace"))
        finally:
            os.close(fd)

    def flush(self) -> None:
        pass


class Logger:
    """What `server.log`, `worker.log` and `cfg.logger_class` are."""

    LOG_LEVELS = {  # noqa: RUF012 - subclasses read it, nobody changes it
        "critical": logging.CRITICAL,
        "error": logging.ERROR,
        "warning": logging.WARNING,
        "info": logging.INFO,
        "debug": logging.DEBUG,
    }
    loglevel = logging.INFO

    error_fmt = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
    datefmt = "[%Y-%m-%d %H:%M:%S %z]"
    access_fmt = "%(message)s"

    def __init__(self, cfg: Config) -> None:
        self.error_log = logging.getLogger("gunicorn.error")
        self.access_log = logging.getLogger("gunicorn.access")
        self.error_log.propagate = False
        self.access_log.propagate = False
        self.setup(cfg)

    def setup(self, cfg: Config) -> None:
        """Opens the logs that the settings name; again when they are read anew.

        RuntimeError if one of them cannot be written; the error log stays where it was then.
        """
        _core.access_log_open(cfg.accesslog, cfg.access_log_format, cfg.uid, cfg.gid)
        _core.log_open(cfg.errorlog, cfg.loglevel, cfg.uid, cfg.gid)

        self.cfg = cfg
        self.loglevel = self.LOG_LEVELS.get(cfg.loglevel.lower(), logging.INFO)
        self.error_log.setLevel(self.loglevel)
        self.access_log.setLevel(logging.INFO)
        self._set_handler(
            self.error_log, ErrorLogStream(), logging.Formatter(self.error_fmt, self.datefmt)
        )
        self._set_handler(
            self.access_log, self._access_stream(), logging.Formatter(self.access_fmt)
        )

    def _access_stream(self) -> AccessLogStream | TextIO | None:
        if self.cfg.accesslog is None:
            return None
        return sys.stdout if self.cfg.accesslog == "-" else AccessLogStream(self.cfg.accesslog)

    def _set_handler(
        self,
        log: logging.Logger,
        stream: ErrorLogStream | AccessLogStream | TextIO | None,
        formatter: logging.Formatter,
    ) -> None:
        for handler in list(log.handlers):
            if getattr(handler, "_gunicorn", False):
                log.removeHandler(handler)
        if stream is not None:
            handler = logging.StreamHandler(cast(TextIO, stream))
            handler.setFormatter(formatter)
            handler._gunicorn = True  # type: ignore[attr-defined] # the mark that Gunicorn sets
            log.addHandler(handler)

    @property
    def access_log_enabled(self) -> bool:
        return bool(self.cfg.accesslog)

    def critical(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.critical(msg, *args, **kwargs)

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.error(msg, *args, **kwargs)

    def warning(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.warning(msg, *args, **kwargs)

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.info(msg, *args, **kwargs)

    def debug(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.debug(msg, *args, **kwargs)

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.exception(msg, *args, **kwargs)

    def log(self, lvl: int | str, msg: object, *args: object, **kwargs: Any) -> None:
        """`lvl` is a number of the logging module or a name; an unknown name is INFO."""
        if isinstance(lvl, str):
            lvl = self.LOG_LEVELS.get(lvl.lower(), logging.INFO)
        self.error_log.log(lvl, msg, *args, **kwargs)

    def now(self) -> str:
        """The time as the access log has it."""
        return time.strftime("[%d/%b/%Y:%H:%M:%S %z]")

    def reopen_files(self) -> None:
        """Opens the server's logs and the files of all named loggers anew, after a rotation."""
        _core.log_reopen()
        _core.access_log_reopen()
        for name in list(logging.root.manager.loggerDict):
            for handler in logging.getLogger(name).handlers:
                if isinstance(handler, logging.FileHandler):
                    _reopen(handler)


def _reopen(handler: logging.FileHandler) -> None:
    handler.acquire()
    try:
        if handler.stream:
            handler.close()
            handler.stream = handler._open()
    finally:
        handler.release()
