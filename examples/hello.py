# SPDX-License-Identifier: MIT
"""A small WSGI application that says what it was asked.

    saola --chdir examples hello:app

- `/` is a page with the environment of the request.
- `/stream` sends ten lines, one as soon as it is made.
- `/echo` sends the body of the request back: `curl --data-binary @FILE .../echo`.
"""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PAGE = """<!doctype html>
<html lang="en">
<title>Saola</title>
<h1>Saola is running</h1>
<p>Worker {pid} has answered. It was asked:</p>
<table>
{rows}
</table>
</html>
"""


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    routes = {"/": index, "/stream": stream, "/echo": echo}
    handler = routes.get(environ["PATH_INFO"], not_found)
    return handler(environ, start_response)


def index(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    rows = "\n".join(
        f"<tr><th>{html.escape(name)}<td>{html.escape(str(value))}"
        for name, value in sorted(environ.items())
    )
    body = PAGE.format(pid=os.getpid(), rows=rows).encode()
    start_response(
        "200 OK",
        [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))],
    )
    return [body]


def stream(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    for number in range(10):
        yield b"line %d\n" % number


def echo(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return iter(lambda: environ["wsgi.input"].read(65536), b"")


def not_found(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "10")])
    return [b"Not found\n"]
