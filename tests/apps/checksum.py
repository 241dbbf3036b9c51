# SPDX-License-Identifier: MIT
"""An application whose answer depends on every byte that it was given, and that never fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    seen = f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} {environ.get('HTTP_X_NOISE', '')}"
    answer = b"%08x" % crc32(environ["wsgi.input"].read(), crc32(seen.encode("latin-1")))
    if environ["PATH_INFO"].startswith("/chunked"):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return pieces(answer)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "8")])
    return [answer]


def pieces(answer: bytes) -> Iterator[bytes]:
    yield answer[:5]
    yield answer[5:]
