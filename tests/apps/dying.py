# SPDX-License-Identifier: MIT
"""An application that hangs or ends its worker in every way there is."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# A PyDLL keeps the GIL while it is in a function of its own.
libc = ctypes.PyDLL(None)
mutex = ctypes.create_string_buffer(128)


def boot() -> None:
    """Says that the import has begun, and waits while that file is there."""
    path = os.environ.get("HANG_AT_IMPORT", "")
    if path and os.path.exists(path):
        with open(path + ".started", "w"):
            pass
        while os.path.exists(path):
            time.sleep(0.01)


boot()


def sleep_with_the_gil(environ: WSGIEnvironment) -> None:
    libc.usleep(15_000_000)


def lock_with_the_gil(environ: WSGIEnvironment) -> None:
    """Waits for itself: no signal interrupts that."""
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)


def crash(environ: WSGIEnvironment) -> None:
    ctypes.string_at(0)


def abort(environ: WSGIEnvironment) -> None:
    libc.abort()


def exit_now(environ: WSGIEnvironment) -> None:
    os._exit(int(environ["QUERY_STRING"]))


def crash_in_a_child(environ: WSGIEnvironment) -> None:
    child = os.fork()
    if child == 0:
        ctypes.string_at(0)
    os.waitpid(child, 0)


def hold(environ: WSGIEnvironment) -> None:
    """Holds the worker until the file of the query exists; says so by making FILE.started."""
    (path,) = parse_qs(environ["QUERY_STRING"])["file"]
    with open(path + ".started", "w"):
        pass
    while not os.path.exists(path):
        time.sleep(0.01)


ROUTES: dict[str, Callable[[WSGIEnvironment], None]] = {
    "/sleep": sleep_with_the_gil,
    "/lock": lock_with_the_gil,
    "/crash": crash,
    "/abort": abort,
    "/exit": exit_now,
    "/child": crash_in_a_child,
    "/hold": hold,
}


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    if route := ROUTES.get(environ["PATH_INFO"]):
        route(environ)
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
