# SPDX-License-Identifier: MIT
"""The request as the hooks pre_request and post_request see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from saola._later import missing

if TYPE_CHECKING:
    from collections.abc import MutableMapping

Header = tuple[str, str]
Address = tuple[str, int] | str


class Message:
    """What has a head and a body."""


class Request(Message):
    """A request head, and its body as a file-like object.

    A pre_request hook may change the attributes: environ is made from what it leaves behind.
    """

    def __init__(
        self,
        method: str,
        uri: str,
        path: str,
        query: str,
        fragment: str,
        version: tuple[int, int],
        headers: list[Header],
        scheme: str,
        peer_addr: Address,
        body: Any,
        trailers: list[Header] | None = None,
        req_number: int = 1,
    ) -> None:
        self.method = method
        self.uri = uri
        self.path = path
        self.query = query
        self.fragment = fragment
        self.version = version
        self.headers = headers
        self.trailers = trailers or []
        self.scheme = scheme
        self.peer_addr = peer_addr
        self.remote_addr = peer_addr
        self.body = body
        self.unreader: Any = None
        self.req_number = req_number
        self.proxy_protocol_info: dict[str, Any] | None = None
        self.must_close = False
        self._received = self._attributes()

    def force_close(self) -> None:
        """Have the connection closed after the response."""
        self.must_close = True

    def should_close(self) -> bool:
        """Whether the client, or force_close(), wants the connection closed."""
        if self.must_close:
            return True
        for name, value in self.headers:
            if name == "CONNECTION":
                option = value.lower().strip(" \t")
                if option in ("close", "keep-alive"):
                    return option == "close"
                break
        return self.version <= (1, 0)

    def _attributes(self) -> tuple[Any, ...]:
        return (
            self.method,
            self.uri,
            self.path,
            self.query,
            self.version,
            self.scheme,
            tuple(self.headers),
        )

    def _amend(self, environ: MutableMapping[str, Any]) -> bool:
        """Bring changes into environ; return whether the connection is to be closed."""
        attributes = self._attributes()
        if attributes != self._received:
            self._rewrite(environ)
            if attributes[-1] != self._received[-1]:
                self._rewrite_headers(environ)
        return self.must_close

    def _rewrite(self, environ: MutableMapping[str, Any]) -> None:
        environ["REQUEST_METHOD"] = self.method
        environ["RAW_URI"] = self.uri
        environ["QUERY_STRING"] = self.query
        environ["SERVER_PROTOCOL"] = "HTTP/{}.{}".format(*self.version)
        environ["wsgi.url_scheme"] = self.scheme
        path = self.path.removeprefix(environ["SCRIPT_NAME"])
        environ["PATH_INFO"] = unquote_to_bytes(path.encode("latin-1")).decode("latin-1")

    def _rewrite_headers(self, environ: MutableMapping[str, Any]) -> None:
        received = ("CONTENT_TYPE", "CONTENT_LENGTH")
        for key in [key for key in environ if key.startswith("HTTP_") or key in received]:
            del environ[key]
        for name, value in self.headers:
            key = name.replace("-", "_")
            if key in received:
                environ[key] = value
                continue
            key = "HTTP_" + key
            environ[key] = f"{environ[key]},{value}" if key in environ else value


if not TYPE_CHECKING:
    _LATER = frozenset(
        {"METHOD_BADCHAR_RE", "RFC9110_5_5_INVALID_AND_DANGEROUS", "TOKEN_RE", "VERSION_RE"}
    )

    def __getattr__(name):
        """What the parser goes by: to change it has no effect, because the parser is C."""
        missing(__name__, name, _LATER)
