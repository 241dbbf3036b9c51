# SPDX-License-Identifier: MIT
"""Works on after its response is complete, and closes what is not its own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Body:
    """Its close() takes a moment, as a framework's that ends a database transaction does."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"hello"

    def close(self) -> None:
        time.sleep(0.002)


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Body:
    if environ["PATH_INFO"] == "/close-stdio":
        for fd in (0, 1, 2):
            os.close(fd)
    if environ["PATH_INFO"] == "/raise":
        raise RuntimeError("for the log")
    start_response("200 OK", [("Content-Length", "5")])
    return Body()
