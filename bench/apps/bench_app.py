# SPDX-License-Identifier: MIT
"""The WSGI application that every server of the benchmark serves, one path per case."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Handler = Callable[[Environ, StartResponse], Iterable[bytes]]

HELLO = b"Hello, world!"
TEN_KIB = bytes(10 * 1024)
QUARTER_MIB = bytes(256 * 1024)
BLOCK = bytes(64 * 1024)
FILE = os.environ.get("BENCH_FILE", os.devnull)
FILE_BLOCK = 64 * 1024


def _respond(start_response: StartResponse, body: bytes) -> Iterable[bytes]:
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]


def hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return _respond(start_response, HELLO)


def ten_kib(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return _respond(start_response, TEN_KIB)


def quarter_mib(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return _respond(start_response, QUARTER_MIB)


def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return _respond(start_response, environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))


def file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    source: BinaryIO = open(FILE, "rb")  # noqa: SIM115 (the server closes it)
    length = os.fstat(source.fileno()).st_size
    headers = [("Content-Type", "application/octet-stream"), ("Content-Length", str(length))]
    start_response("200 OK", headers)
    wrapper = environ.get("wsgi.file_wrapper")
    if wrapper is None:
        return _blocks(source)
    wrapped: Iterable[bytes] = wrapper(source, FILE_BLOCK)
    return wrapped


def gibibyte(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return (BLOCK for _ in range(1024 * 1024 * 1024 // len(BLOCK)))


def _blocks(source: BinaryIO) -> Iterator[bytes]:
    with source:
        while block := source.read(FILE_BLOCK):
            yield block


def _not_found(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "0")])
    return []


ROUTES: dict[str, Handler] = {
    "/hello": hello,
    "/10k": ten_kib,
    "/256k": quarter_mib,
    "/echo": echo,
    "/file": file,
    "/1g": gibibyte,
}


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return ROUTES.get(environ["PATH_INFO"], _not_found)(environ, start_response)
