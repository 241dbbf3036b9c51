# SPDX-License-Identifier: MIT
"""Which logs are written by the core, and the way from the core to a logger for those that are not.

The core writes the stock configuration by itself. A logger class or a logging configuration of the
user's gets everything; so does a stock logger whose handlers, filters or level the application has
changed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from saola import _core, util
from saola.glogging import Logger, set_or_default

if TYPE_CHECKING:
    from saola.config import Config

STOCK = "saola.glogging.Logger"
STATSD = "saola.instrument.statsd.Statsd"

#: Names that Gunicorn's users write for what is ours here.
_ALIASES = {
    "simple": STOCK,
    "gunicorn.glogging.Logger": STOCK,
    "gunicorn.instrument.statsd.Statsd": STATSD,
}

#: Methods of the stock classes that the core stands in for, as they are before anybody changes one.
_STOCK_METHODS = {
    name: getattr(Logger, name) for name in ("access", "atoms", "now", "atoms_wrapper_class")
}


def find_logger_class(cfg: Config) -> Any:
    """The class that the settings name; StatsD's if there is a StatsD server and no other name."""
    uri: Any = cfg.settings["logger_class"].get() or STOCK
    if isinstance(uri, str):
        uri = _ALIASES.get(uri, uri)
    if uri == STOCK and cfg.statsd_host is not None:
        uri = STATSD
    found = util.load_class(uri, "main", "gunicorn.loggers")
    if hasattr(found, "install"):
        found.install()
    return found


def route(log: Any) -> None:
    """Tells the core what to give to this logger; anew when something may have changed."""
    to = _Logs(log)
    errors, access = _is_custom(log)
    _core.log_set_level(_least_level(log))
    wanted = access and _wants_requests(log)
    _core.log_route(
        to.message if errors else None,
        to.exception,
        to.access if wanted else None,
        to.refused if wanted else None,
    )
    _route_metrics(log, errors and access)
    _core.log_syslog_connect()  # a worker has a connection of its own


def _is_custom(log: Any) -> tuple[bool, bool]:
    """Whether messages, and whether requests, are Python's business."""
    from saola.instrument.statsd import Statsd

    if type(log) not in (Logger, Statsd) or log._has_logging_config():
        return True, True
    if any(getattr(Logger, name) is not each for name, each in _STOCK_METHODS.items()):
        return True, True
    before, now = log._stock_shape, log._shape()
    return before[0] != now[0], before[1] != now[1]


def _least_level(log: Any) -> int:
    """Who has methods of their own may have levels of their own."""
    from saola.instrument.statsd import Statsd

    for name in ("critical", "error", "warning", "info", "debug"):
        method = getattr(type(log), name, None)
        if method not in (getattr(Logger, name), getattr(Statsd, name)):
            return logging.DEBUG
    level: int = log.error_log.getEffectiveLevel()
    return level


def _wants_requests(log: Any) -> bool:
    own = getattr(type(log), "access", None) is not Logger.access
    return own or log.access_log_enabled


def _route_metrics(log: Any, all_in_python: bool) -> None:
    """StatsD, for what stays in the core."""
    from saola.instrument.statsd import Statsd

    if type(log) is not Statsd or all_in_python:
        _core.log_statsd_close()
        return
    address: Any = log.cfg.statsd_host
    host, port, path = (None, 0, address) if isinstance(address, str) else (*address, None)
    try:
        prefix = set_or_default(log.cfg, "statsd_prefix")
        _core.log_statsd_open(host, port, path, prefix, log.dogstatsd_tags)
    except RuntimeError as error:
        _core.log_statsd_close()
        log.error_log.warning("No metrics are sent: %s", error)


class _Logs:
    """What the core calls. Texts may contain a percent sign, so they are no formats."""

    def __init__(self, log: Any) -> None:
        self.log = log

    def message(
        self, level: int, text: str, metric: str | None, mtype: str | None, value: int
    ) -> None:
        method = getattr(self.log, logging.getLevelName(level).lower(), self.log.info)
        extra = {"extra": {"metric": metric, "value": value, "mtype": mtype}} if metric else {}
        method(*_as_format(text), **extra)

    def exception(self, level: int, text: str, error: BaseException) -> bool:
        """False if the logger is off: then the core says it, or nobody would."""
        error_log = getattr(self.log, "error_log", None)
        if error_log is not None and (error_log.disabled or not error_log.isEnabledFor(level)):
            return False
        method = self.log.exception if level == logging.ERROR else self.log.warning
        method(*_as_format(text), exc_info=error)
        return True

    def access(
        self,
        req: Any,
        environ: Mapping[str, Any] | None,
        resp: Any,
        status: int,
        duration_us: int,
        queue_us: int,
    ) -> None:
        req._queue_us = queue_us
        if resp is None or resp.status_code != status:
            resp = _Answer(status, getattr(resp, "sent", 0))
        if environ is None:
            version = "HTTP/{}.{}".format(*req.version)
            peer = req.peer_addr[0] if req.peer_addr else ""
            environ = _environ(req.method, req.uri, req.path, req.query, version, req.headers, peer)
        self.log.access(resp, req, environ, timedelta(microseconds=duration_us))

    def refused(
        self,
        method: str,
        uri: str,
        path: str,
        query: str,
        version: tuple[int, int],
        headers: list[tuple[str, str]],
        peer: str,
        status: int,
    ) -> None:
        """A request that never got to the application."""
        req = _Refused(method, uri, path, query, version, headers)
        protocol = "HTTP/{}.{}".format(*version)
        environ = _environ(method, uri, path, query, protocol, headers, peer)
        self.log.access(_Answer(status, 0), req, environ, timedelta())


def _as_format(text: str) -> tuple[str, ...]:
    return ("%s", text) if "%" in text else (text,)


class _Answer:
    """The response that the server itself gave."""

    def __init__(self, code: int, sent: int) -> None:
        try:
            self.status = f"{code} {HTTPStatus(code).phrase}"
        except ValueError:
            self.status = str(code)
        self.status_code = code
        self.headers: list[tuple[str, str]] = []
        self.headers_sent = True
        self.response_length = self.sent = sent


class _Refused:
    """What is known of a request that was refused."""

    def __init__(
        self,
        method: str,
        uri: str,
        path: str,
        query: str,
        version: tuple[int, int],
        headers: list[tuple[str, str]],
    ) -> None:
        self.method = method
        self.uri = uri
        self.path = path
        self.query = query
        self.fragment = ""
        self.version = version
        self.headers = headers
        self._queue_us = 0


def _environ(
    method: str,
    uri: str,
    path: str,
    query: str,
    protocol: str,
    headers: list[tuple[str, str]],
    peer: str,
) -> dict[str, Any]:
    """What atoms are made of, for a request that has no environ."""
    environ = {
        "REQUEST_METHOD": method,
        "RAW_URI": uri,
        "PATH_INFO": unquote_to_bytes(path.encode("latin-1")).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": protocol,
        "REMOTE_ADDR": peer,
    }
    known = {"referer", "user-agent", "authorization"}
    for name, value in headers:
        if name.lower() in known:
            environ["HTTP_" + name.upper().replace("-", "_")] = value
    return environ
