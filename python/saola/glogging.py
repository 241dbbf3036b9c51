# SPDX-License-Identifier: MIT
"""The logs as hooks, configuration files and applications see them: Gunicorn's Logger.

The server writes its own lines in C as long as nothing but the stock configuration is asked for.
What Python code logs through `server.log`, `worker.log` or the loggers `gunicorn.error` and
`gunicorn.access` takes the way of Python's logging, so handlers and filters that the application
adds, and handlers that it copies, work as they do everywhere; the handlers that are here end in the
same files. With a logger class or a logging configuration of the user's, the server's own lines
take that way too: saola._logroute.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import logging
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO, cast

from saola import _core, _logconfig
from saola._atoms import JsonFormat, TypedAtoms
from saola._atoms import SafeAtoms as SafeAtoms

if TYPE_CHECKING:
    from datetime import timedelta

    from saola.config import Config

#: `security` is the old name of `auth`.
SYSLOG_FACILITIES = {
    "kern": 0,
    "user": 1,
    "mail": 2,
    "daemon": 3,
    "auth": 4,
    "security": 4,
    "syslog": 5,
    "lpr": 6,
    "news": 7,
    "uucp": 8,
    "cron": 9,
    "authpriv": 10,
    "ftp": 11,
    **{f"local{number}": 16 + number for number in range(8)},
}

SYSLOG_PORT = 514

_MICROSECONDS = 1_000_000

#: What logconfig_dict and logconfig_json are laid over, key by key.
CONFIG_DEFAULTS: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "INFO", "handlers": ["console"]},
    "loggers": {
        "gunicorn.error": {
            "level": "INFO",
            "handlers": ["error_console"],
            "propagate": True,
            "qualname": "gunicorn.error",
        },
        "gunicorn.access": {
            "level": "INFO",
            "handlers": ["console"],
            "propagate": True,
            "qualname": "gunicorn.access",
        },
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "generic",
            "stream": "ext://sys.stdout",
        },
        "error_console": {
            "class": "logging.StreamHandler",
            "formatter": "generic",
            "stream": "ext://sys.stderr",
        },
    },
    "formatters": {
        "generic": {
            "format": "%(asctime)s [%(process)d] [%(levelname)s] %(message)s",
            "datefmt": "[%Y-%m-%d %H:%M:%S %z]",
            "class": "logging.Formatter",
        }
    },
}


def loggers() -> list[logging.Logger]:
    """All loggers that have a name."""
    return [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]


# Syslog. ------------------------------------------------------------------------------------------


def parse_syslog_address(
    addr: str,
) -> tuple[socket.SocketKind | None, str | tuple[str, int]]:
    """The type of the socket (None: any that a unix socket has), and where it is."""
    if addr.startswith("unix://"):
        path, _, wanted = addr.removeprefix("unix://").partition("#")
        return socket.SOCK_DGRAM if wanted == "dgram" else None, path
    scheme, separator, place = addr.partition("://")
    if scheme not in ("udp", "tcp") or not separator:
        raise RuntimeError("invalid syslog address")
    kind = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
    match = re.fullmatch(r"(?:\[([^]]*)\]|([^:]*))(?::(.*))?", place)
    if match is None:
        raise RuntimeError("invalid syslog address")
    host, port = match[1] or match[2] or "localhost", match[3]
    if port is not None and not port.isdigit():
        raise RuntimeError(f"{port!r} is not a valid port number.")
    return kind, (host.lower(), SYSLOG_PORT if port is None else int(port))


class SyslogHandler(logging.Handler):
    """Sends by the core: never blocks, and knows when a server comes back."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _core.log_syslog(record.levelno, self.format(record))
        except Exception:
            self.handleError(record)


# The logger. --------------------------------------------------------------------------------------


class ErrorLogStream:
    """The error log as the stream of a handler; each call of write() is one write(2)."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        _core.log_raw(text)
        return len(text)

    def flush(self) -> None:
        pass

    def fileno(self) -> int:
        return _core.log_fileno()

    def isatty(self) -> bool:
        return os.isatty(self.fileno())


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
    syslog_fmt = "[%(process)d] %(message)s"

    atoms_wrapper_class: type[SafeAtoms] = SafeAtoms

    def __init__(self, cfg: Config) -> None:
        self.error_log = logging.getLogger("gunicorn.error")
        self.error_log.propagate = False
        self.access_log = logging.getLogger("gunicorn.access")
        self.access_log.propagate = False
        self.error_handlers: list[logging.Handler] = []
        self.access_handlers: list[logging.Handler] = []
        self.logfile = None
        self.lock = threading.Lock()
        self.cfg = cfg
        self._stock_shape: tuple[Any, ...] = ()  # not set up yet
        self.setup(cfg)

    def setup(self, cfg: Config) -> None:
        """Opens the logs that the settings name; again when they are read anew.

        RuntimeError if something is wrong with one of them.
        """
        syslog = syslog_options(cfg) if cfg.syslog else None
        to_syslog = bool(syslog) and not cfg.disable_redirect_access_to_syslog
        layout = set_or_default(cfg, "access_log_format")
        level = set_or_default(cfg, "loglevel")
        _core.access_log_open(cfg.accesslog, layout, cfg.uid, cfg.gid, to_syslog)
        _core.log_open(cfg.errorlog, level, cfg.uid, cfg.gid)

        if self._stock_shape and self._has_logging_config():
            self._forget_logging_config()
        self.cfg = cfg
        self.loglevel = self.LOG_LEVELS.get(level.lower(), logging.INFO)
        self.error_log.setLevel(self.loglevel)
        self.access_log.setLevel(logging.INFO)
        self.capture_output()
        self._set_handler(
            self.error_log, cfg.errorlog, logging.Formatter(self.error_fmt, self.datefmt)
        )
        self._set_handler(
            self.access_log, cfg.accesslog, logging.Formatter(self.access_fmt), sys.stdout
        )
        self._set_syslog(syslog, to_syslog)
        self._configure_logging()
        self._stock_shape = self._shape()

    # Handlers.

    def _set_handler(
        self,
        log: logging.Logger,
        output: str | None,
        fmt: logging.Formatter,
        stream: TextIO | None = None,
    ) -> None:
        """Exchanges the handlers of ours for one that writes to `output`, if that is anything."""
        for handler in list(log.handlers):
            if getattr(handler, "_gunicorn", False):
                log.removeHandler(handler)
                if isinstance(handler, logging.FileHandler):
                    handler.close()
        if output is None:
            return
        if log is self.error_log and output == self.cfg.errorlog and stream is None:
            handler = logging.StreamHandler(cast(TextIO, ErrorLogStream()))
        elif output == "-":
            handler = logging.StreamHandler(stream)
        else:
            handler = self._file_handler(output)
        self._add_handler(log, handler, fmt)

    def _add_handler(
        self, log: logging.Logger, handler: logging.Handler, fmt: logging.Formatter
    ) -> None:
        handler.setFormatter(fmt)
        handler._gunicorn = True  # type: ignore[attr-defined] # the mark that Gunicorn sets
        log.addHandler(handler)

    def _file_handler(self, path: str) -> logging.FileHandler:
        try:
            handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise not_writable(path, error) from None
        with contextlib.suppress(OSError):  # it may be /dev/null
            os.chown(handler.baseFilename, self.cfg.uid, self.cfg.gid)
        return handler

    def _get_gunicorn_handler(self, log: logging.Logger) -> logging.Handler | None:
        return next((each for each in log.handlers if getattr(each, "_gunicorn", False)), None)

    def _set_syslog(self, options: tuple[Any, ...] | None, access: bool) -> None:
        if options is None:
            _core.log_syslog_close()
            return
        _core.log_syslog_open(*options)
        _core.log_syslog_connect()
        self._add_syslog_handler(self.error_log, options[-1], "error")
        if access:
            self._add_syslog_handler(self.access_log, options[-1], "access")

    def _add_syslog_handler(self, log: logging.Logger, prefix: str, name: str) -> None:
        prefix = prefix.replace("%", "%%")
        fmt = logging.Formatter(f"gunicorn.{prefix}.{name}: {self.syslog_fmt}")
        self._add_handler(log, SyslogHandler(), fmt)

    # Configurations of Python's logging.

    def _configure_logging(self) -> None:
        cfg = self.cfg
        if cfg.logconfig_dict:
            _logconfig.apply(CONFIG_DEFAULTS, cfg.logconfig_dict)
        elif cfg.logconfig_json:
            if os.path.exists(cfg.logconfig_json):
                _logconfig.apply(CONFIG_DEFAULTS, _logconfig.read_json(cfg.logconfig_json))
        elif cfg.logconfig:
            _logconfig.require_ini(cfg.logconfig)
            defaults = {
                **CONFIG_DEFAULTS,
                "__file__": cfg.logconfig,
                "here": os.path.dirname(cfg.logconfig),
            }
            _logconfig.apply_ini(cfg.logconfig, defaults)

    def _has_logging_config(self) -> bool:
        cfg = self.cfg
        return bool(cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json)

    def _forget_logging_config(self) -> None:
        """What a configuration before this one has given to the loggers."""
        for log in (self.error_log, self.access_log):
            log.propagate = False
            for handler in list(log.handlers):
                log.removeHandler(handler)
            for each in list(log.filters):
                log.removeFilter(each)

    def _shape(self) -> tuple[Any, ...]:
        """What a change of would make the core's own way of logging another one."""
        return tuple(
            (
                *(log.level, log.propagate, tuple(log.filters)),
                *((each, each.formatter, each.level, tuple(each.filters)) for each in log.handlers),
            )
            for log in (self.error_log, self.access_log)
        )

    # Output of the application.

    def capture_output(self) -> None:
        """Sends what is written to descriptors 1 and 2 to the error log's file."""
        if not self.cfg.capture_output or self.cfg.errorlog == "-":
            return
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        for number in (1, 2):
            os.dup2(_core.log_fileno(), number)

    # Messages.

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

    # Requests.

    def atoms(
        self, resp: Any, req: Any, environ: Mapping[str, Any], request_time: timedelta
    ) -> dict[str, Any]:
        """The atoms of access_log_format for a request, by name."""
        status = resp.status
        if isinstance(status, str):
            status = status.split(None, 1)[0]
        sent = getattr(resp, "sent", None)
        seconds, us = divmod(round(request_time.total_seconds() * _MICROSECONDS), _MICROSECONDS)
        atoms = {
            "h": environ.get("REMOTE_ADDR") or "-",
            "l": "-",
            "u": self._get_user(environ) or "-",
            "t": self.now(),
            "r": "{REQUEST_METHOD} {RAW_URI} {SERVER_PROTOCOL}".format_map(environ),
            "s": status,
            "m": environ.get("REQUEST_METHOD"),
            "U": environ.get("PATH_INFO"),
            "q": environ.get("QUERY_STRING"),
            "H": environ.get("SERVER_PROTOCOL"),
            "b": "-" if sent is None else str(sent),
            "B": sent,
            "f": environ.get("HTTP_REFERER", "-"),
            "a": environ.get("HTTP_USER_AGENT", "-"),
            "T": seconds,
            "M": seconds * 1000 + us // 1000,
            "D": seconds * _MICROSECONDS + us,
            "L": f"{seconds}.{us:06d}",
            "p": f"<{os.getpid()}>",
            "Q": getattr(req, "_queue_us", "-"),
        }
        atoms.update(_named("i", getattr(req, "headers", req)))
        atoms.update(_named("o", getattr(resp, "headers", resp)))
        atoms.update(_named("e", environ))
        return atoms

    def access(
        self, resp: Any, req: Any, environ: Mapping[str, Any], request_time: timedelta
    ) -> None:
        """Logs a request: the atoms are the arguments of the record."""
        if not self.access_log_enabled:
            return
        atoms = self.atoms(resp, req, environ, request_time)
        try:
            if self.cfg.access_log_format == "json":
                self.access_log.info(JsonFormat("json"), TypedAtoms(atoms))
            else:
                self.access_log.info(self.cfg.access_log_format, self.atoms_wrapper_class(atoms))
        except Exception:
            self.exception("A request could not be logged")

    @property
    def access_log_enabled(self) -> bool:
        cfg = self.cfg
        return bool(
            cfg.accesslog
            or self._has_logging_config()
            or (cfg.syslog and not cfg.disable_redirect_access_to_syslog)
        )

    def now(self) -> str:
        """The time as the access log has it."""
        return time.strftime("[%d/%b/%Y:%H:%M:%S %z]")

    def _get_user(self, environ: Mapping[str, Any]) -> str | None:
        """The user of Basic credentials."""
        scheme, _, coded = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user = base64.b64decode(coded.strip().encode("latin-1")).split(b":", 1)[0]
        except (binascii.Error, UnicodeEncodeError):
            return None
        return user.decode("latin-1")

    # Files.

    def reopen_files(self) -> None:
        """Opens the server's logs and the files of all named loggers anew, after a rotation."""
        _core.log_reopen()
        _core.access_log_reopen()
        self.capture_output()
        for handler in _file_handlers():
            _reopen(handler)

    def close_on_exec(self) -> None:
        for handler in _file_handlers():
            if handler.stream:
                os.set_inheritable(handler.stream.fileno(), False)


def _named(kind: str, items: Any) -> Iterator[tuple[str, Any]]:
    """Atoms such as {host}i, of a dictionary or of pairs."""
    pairs = items.items() if hasattr(items, "items") else items
    return ((f"{{{str(name).lower()}}}{kind}", value) for name, value in pairs)


def _file_handlers() -> list[logging.FileHandler]:
    found = [handler for log in loggers() for handler in log.handlers]
    return [each for each in dict.fromkeys(found) if isinstance(each, logging.FileHandler)]


def _reopen(handler: logging.FileHandler) -> None:
    handler.acquire()
    try:
        if handler.stream:
            handler.close()
            handler.stream = handler._open()
    finally:
        handler.release()


def not_writable(path: str, error: OSError) -> RuntimeError:
    """What Gunicorn says of a log file, and log_file_error() in C."""
    return RuntimeError(f"Error: {path!r} isn't writable [{error!r}]")


def set_or_default(cfg: Config, name: str) -> str:
    """Text of a setting without which there is no log; a file may have set it to None."""
    value: str | None = getattr(cfg, name)
    return cast(str, cfg.settings[name].default) if value is None else value


def syslog_options(cfg: Config) -> tuple[Any, ...]:
    """The arguments of log_syslog_open()."""
    prefix = cfg.syslog_prefix or cfg.proc_name.replace(":", ".")
    facility = SYSLOG_FACILITIES.get(set_or_default(cfg, "syslog_facility").lower())
    if facility is None:
        raise RuntimeError("unknown facility name")
    kind, place = parse_syslog_address(set_or_default(cfg, "syslog_addr"))
    if isinstance(place, str):
        return (kind or 0, None, 0, place, facility, prefix)
    return (kind, *place, None, facility, prefix)
