# SPDX-License-Identifier: MIT
"""An application that ends its worker, leaves orphans, and can fail to load."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

if os.path.exists(os.environ.get("FAIL_IF_EXISTS", "")):
    raise RuntimeError("told to fail")

nothing = None
number = 7


def text(start_response: StartResponse, body: str) -> Iterable[bytes]:
    data = body.encode()
    start_response("200 OK", [("Content-Length", str(len(data)))])
    return [data]


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/exit":
        os._exit(int(environ["QUERY_STRING"]))
    if environ["PATH_INFO"] == "/orphan":
        leave_orphan()
    return text(start_response, "alive")


def leave_orphan() -> None:
    """A child of a child that is gone: it belongs to PID 1 then, and ends."""
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            os._exit(5)
        os._exit(0)
    os.waitpid(child, 0)


def make(first: str, second: str) -> WSGIApplication:
    def made(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return text(start_response, f"{first} {second}")

    return made


def fail() -> Callable[..., Iterable[bytes]]:
    raise RuntimeError("raised by the factory")
