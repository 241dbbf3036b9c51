# SPDX-License-Identifier: MIT
"""The response as the hook post_request sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from saola._core import FileWrapper
from saola._later import missing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from saola.http.message import Header, Request

__all__ = ["FileWrapper", "Response"]


class Response:
    """A response that was sent: its head as the application gave it, and how much of a body."""

    def __init__(
        self,
        req: Request,
        status: str | None,
        headers: Iterable[Header] | None,
        worker: Any,
        length: int,
        sent: int,
        chunked: bool,
        must_close: bool,
    ) -> None:
        self.req = req
        self.sock: Any = None
        self.version = "saola"
        self.cfg: Any = getattr(worker, "cfg", None)
        self.status = status
        self.headers: list[Header] = list(headers or ())
        self.headers_sent = True
        self.response_length = None if length < 0 else length
        self.sent = sent
        self.chunked = chunked
        self.upgrade = any(
            name.lower() == "connection" and value.strip().lower() == "upgrade"
            for name, value in self.headers
        )
        self.must_close = must_close

    @property
    def status_code(self) -> int | None:
        return int(self.status.split(" ", 1)[0]) if self.status else None

    def should_close(self) -> bool:
        return self.must_close or self.req.should_close()

    def is_chunked(self) -> bool:
        return self.chunked


if not TYPE_CHECKING:
    _LATER = frozenset(
        {"WSGIErrorsWrapper", "base_environ", "create", "default_environ", "proxy_environ"}
    )

    def __getattr__(name):
        missing(__name__, name, _LATER)
