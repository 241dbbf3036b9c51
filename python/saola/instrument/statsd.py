# SPDX-License-Identifier: MIT
"""Metrics for a StatsD server, by Gunicorn's names and methods.

While this class is as it is, the metrics of requests and of the server's own messages are sent by
the core; the methods here are for hooks, for `extra` of a message, and for subclasses.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
from typing import TYPE_CHECKING, Any

from saola.glogging import Logger, set_or_default

if TYPE_CHECKING:
    from datetime import timedelta

    from saola.config import Config


def parse_prefix(prefix: str) -> str:
    """With one dot at its end, unless it has a single character."""
    return re.sub(r"^(.+[^.]+)\.*$", r"\g<1>.", prefix)


class Statsd(Logger):
    """The logger that sends metrics too."""

    def __init__(self, cfg: Config) -> None:
        self.sock: socket.socket | None = None
        super().__init__(cfg)

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        self.prefix = parse_prefix(set_or_default(cfg, "statsd_prefix"))
        self.dogstatsd_tags = set_or_default(cfg, "dogstatsd_tags")
        if self.sock is not None:
            self.sock.close()
        self.sock = _connect(cfg.statsd_host) if cfg.statsd_host else None

    # Messages that count.

    def critical(self, msg: object, *args: object, **kwargs: Any) -> None:
        super().critical(msg, *args, **kwargs)
        self.increment("gunicorn.log.critical", 1)

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        super().error(msg, *args, **kwargs)
        self.increment("gunicorn.log.error", 1)

    def warning(self, msg: object, *args: object, **kwargs: Any) -> None:
        super().warning(msg, *args, **kwargs)
        self.increment("gunicorn.log.warning", 1)

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        super().exception(msg, *args, **kwargs)
        self.increment("gunicorn.log.exception", 1)

    # Messages that are metrics: extra={"metric": ..., "value": ..., "mtype": ...}.

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.log(logging.INFO, msg, *args, **kwargs)

    def debug(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.log(logging.DEBUG, msg, *args, **kwargs)

    def log(self, lvl: int | str, msg: object, *args: object, **kwargs: Any) -> None:
        try:
            self._send_extra(kwargs.get("extra") or {})
            if msg:
                super().log(lvl, msg, *args, **kwargs)
        except Exception:
            super().warning("A message could not be made a metric", exc_info=True)

    def _send_extra(self, extra: dict[str, Any]) -> None:
        name, value, kind = extra.get("metric"), extra.get("value"), extra.get("mtype")
        send = {
            "gauge": self.gauge,
            "counter": self.increment,
            "histogram": self.histogram,
            "timer": self.timer,
        }.get(str(kind))
        if name and value is not None and send:
            send(name, value)

    # Requests.

    def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
        super().access(resp, req, environ, request_time)
        status = resp.status.decode() if isinstance(resp.status, bytes) else resp.status
        code = int(str(status).split(None, 1)[0])
        self.timer("gunicorn.request.duration", request_time.total_seconds() * 1000)
        self.increment("gunicorn.requests", 1)
        self.increment(f"gunicorn.request.status.{code}", 1)

    # Metrics of one's own.

    def gauge(self, name: str, value: float) -> None:
        self._sock_send(f"{self.prefix}{name}:{value}|g")

    def increment(self, name: str, value: float, sampling_rate: float = 1.0) -> None:
        self._sock_send(f"{self.prefix}{name}:{value}|c|@{sampling_rate}")

    def decrement(self, name: str, value: float, sampling_rate: float = 1.0) -> None:
        self._sock_send(f"{self.prefix}{name}:-{value}|c|@{sampling_rate}")

    def timer(self, name: str, value: float) -> None:
        self._sock_send(f"{self.prefix}{name}:{value}|ms")

    def histogram(self, name: str, value: float) -> None:
        self._sock_send(f"{self.prefix}{name}:{value}|h")

    def _sock_send(self, msg: str | bytes) -> None:
        # Bytes of the prefix and the tags that are not UTF-8 go out as they were given.
        data = msg.encode("utf-8", "surrogateescape") if isinstance(msg, str) else msg
        if self.dogstatsd_tags:
            data += b"|#" + self.dogstatsd_tags.encode("utf-8", "surrogateescape")
        if self.sock is not None:
            # Nobody listens: that is the metrics' loss, not the server's.
            with contextlib.suppress(OSError):
                self.sock.send(data)


def _connect(address: str | tuple[str, int]) -> socket.socket | None:
    """None if it cannot be reached: the server runs without metrics then."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.connect(address)
    except (OSError, OverflowError, TypeError, UnicodeError):  # no such port, or no name at all
        sock.close()
        return None
    return sock
