# SPDX-License-Identifier: MIT
"""The application of the reference leak test: one route for each way of answering."""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

TEXT = [("Content-Type", "text/plain")]


class Closing:
    """An iterable with a close method, as PEP 3333 has it."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = iter(chunks)

    def __iter__(self) -> Closing:
        return self

    def __next__(self) -> bytes:
        return next(self.chunks)

    def close(self) -> None:
        self.chunks = iter(())


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    route = ROUTES.get(environ["PATH_INFO"], missing)
    return route(environ, start_response)


def hello(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*TEXT, ("Content-Length", "6")])
    return [b"hello\n"]


def generator(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    yield b"one"
    yield b""
    yield b"two" * 1000


def closing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    return Closing([b"a", b"b"])


def write(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    writer = start_response("200 OK", TEXT)
    writer(b"written")
    return [b" and returned"]


def echo(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    return [environ["wsgi.input"].read()]


def lines(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    body = environ["wsgi.input"]
    first = body.readline()
    rest = b"".join(body) + b"".join(body.readlines())
    start_response("200 OK", TEXT)
    return [first, rest]


def file(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    wrapper: Callable[..., Iterable[bytes]] = environ["wsgi.file_wrapper"]
    return wrapper(open(__file__, "rb"), 512)  # the server closes it


def memory_file(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    wrapper: Callable[..., Iterable[bytes]] = environ["wsgi.file_wrapper"]
    return wrapper(io.BytesIO(b"in memory"))


def raising(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    raise ValueError("raised before the head")


def raising_late(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    yield b"some"
    raise ValueError("raised after the head")


def exc_info(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    try:
        raise ValueError("handled")
    except ValueError:
        start_response("500 Internal Server Error", TEXT, sys.exc_info())
    return [b"error page"]


def bad_header(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("X-Injected", "a\r\nb: c")])
    return [b""]


def bad_chunk(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[Any]:
    start_response("200 OK", TEXT)
    return ["text, not bytes"]


def errors(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    environ["wsgi.errors"].write("to the error log\n")
    environ["wsgi.errors"].flush()
    start_response("204 No Content", [])
    return []


def missing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("404 Not Found", TEXT)
    return [b"no such route\n"]


def counts(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The references and the descriptors of this worker."""
    gc.collect()
    total: int = sys.gettotalrefcount()
    start_response("200 OK", TEXT)
    return [b"%d %d" % (total, len(os.listdir("/proc/self/fd")))]


ROUTES: dict[str, Callable[[Any, Any], Iterable[Any]]] = {
    "/hello": hello,
    "/generator": generator,
    "/closing": closing,
    "/write": write,
    "/echo": echo,
    "/lines": lines,
    "/file": file,
    "/memory_file": memory_file,
    "/raising": raising,
    "/raising_late": raising_late,
    "/exc_info": exc_info,
    "/bad_header": bad_header,
    "/bad_chunk": bad_chunk,
    "/errors": errors,
    "/counts": counts,
}
