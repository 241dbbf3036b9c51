# SPDX-License-Identifier: MIT
"""An application that uses everything PEP 3333 has, under the eyes of wsgiref.validate."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING
from wsgiref.validate import validator

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

warnings.simplefilter("error")  # the validator's warnings are failures too

TEXT = [("Content-Type", "text/plain")]


def everything(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    routes: dict[str, Callable[..., Iterable[bytes]]] = {
        "/list": as_list,
        "/generator": generator,
        "/write": written,
        "/exc-info": replaced,
        "/input": inputs,
        "/errors": errors,
        "/empty": empty,
        "/file": file,
    }
    return routes.get(environ["PATH_INFO"], as_list)(environ, start_response)


def as_list(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*TEXT, ("Content-Length", "6")])
    return [b"a ", b"list"]


def generator(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    yield b"a "
    yield b""
    yield b"generator"


def written(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", TEXT)
    write(b"written, ")
    return [b"returned"]


def replaced(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    try:
        raise ValueError("handled")
    except ValueError:
        start_response("503 Service Unavailable", TEXT, sys.exc_info())
    return [b"replaced"]


def inputs(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    stream = environ["wsgi.input"]
    parts = [stream.read(3), stream.readline(), stream.readline(4)]
    parts += stream.readlines(1)
    parts += list(stream)
    parts.append(stream.read(10))
    start_response("200 OK", TEXT)
    return [b"|".join(parts)]


def errors(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    stream = environ["wsgi.errors"]
    stream.write("validated: written\n")
    stream.writelines(["validated: a line\n"])
    stream.flush()
    start_response("200 OK", TEXT)
    return [b"see the log"]


def empty(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("204 No Content", [])
    return []


def file(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    wrapper: Callable[..., Iterable[bytes]] = environ["wsgi.file_wrapper"]
    return wrapper(open(__file__, "rb"), 1000)


app = validator(everything)
