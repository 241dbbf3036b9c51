# SPDX-License-Identifier: MIT
"""An application whose start is what the test says: `boot.py` in the current directory is executed
at import. Its routes take their time, and do what a deadline has to deal with."""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from basic import TEXT, number, query, reply

import saola

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

if os.path.exists("boot.py"):
    with open("boot.py") as boot:
        exec(boot.read())

seen: list[str] = []  # what was caught
ballast: list[bytes] = []
extend: Any = None


def hello(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return reply(start_response, "hello\n")


def pid(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return reply(start_response, str(os.getpid()))


def state(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return reply(start_response, json.dumps({"pid": os.getpid()}))


def sleep(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    time.sleep(float(query(environ, "seconds", "60")))
    return reply(start_response, "slept")


def spin(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Python code without an end."""
    while True:
        pass


def hold_gil(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A call of C code that no signal interrupts."""
    sum(range(10**11))
    return reply(start_response, "never")


def stream(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [*TEXT, ("Content-Length", "100")])
    yield b"some"
    time.sleep(60)
    yield b"never"


def flood(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """More than a peer that does not read can be given."""
    start_response("200 OK", TEXT)
    chunk = bytes(1 << 20)
    for _ in range(4096):
        yield chunk


def extended(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    global extend
    extend = environ["saola.extend_deadline"]
    extend(float(query(environ, "by")))
    time.sleep(float(query(environ, "seconds")))
    return reply(start_response, "in time")


def extend_afterwards(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Uses what an earlier request was given, and wrong arguments."""
    outcome: list[str] = []
    for function, arguments in (
        (extend, [1]),
        (environ["saola.extend_deadline"], [-1]),
        (environ["saola.extend_deadline"], [float("nan")]),
        (environ["saola.extend_deadline"], ["1"]),
        (environ["saola.extend_deadline"], []),
        (environ["saola.extend_deadline"], [float("inf")]),
        (environ["saola.extend_deadline"], [0]),
    ):
        try:
            function(*arguments)
        except Exception as error:
            outcome.append(type(error).__name__)
        else:
            outcome.append("ok")
    return reply(start_response, json.dumps(outcome))


def catch(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """What frameworks do catches nothing; whoever catches it on purpose may go on."""
    try:
        try:
            time.sleep(60)
        except Exception:
            return reply(start_response, "caught by a framework")
    except saola.RequestTimeout as error:
        if by := number(environ, "then"):
            environ["saola.extend_deadline"](by)
            time.sleep(60)
        return reply(start_response, f"caught: {error}")
    return []


def slow_close(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"complete"])

        def close(self) -> None:
            time.sleep(60)

    start_response("200 OK", [*TEXT, ("Content-Length", "8")])
    return Body()


def grow(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    ballast.append(os.urandom(1 << 20) * number(environ, "mib"))
    return reply(start_response, str(os.getpid()))


def garbage(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return reply(start_response, json.dumps([gc.get_freeze_count(), len(gc.get_objects())]))


ROUTES: dict[str, Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]] = {
    "/pid": pid,
    "/state": state,
    "/sleep": sleep,
    "/spin": spin,
    "/hold-gil": hold_gil,
    "/stream": stream,
    "/flood": flood,
    "/extended": extended,
    "/extend-afterwards": extend_afterwards,
    "/catch": catch,
    "/slow-close": slow_close,
    "/grow": grow,
    "/garbage": garbage,
}


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return ROUTES.get(environ["PATH_INFO"], hello)(environ, start_response)
