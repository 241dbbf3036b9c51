# SPDX-License-Identifier: MIT
"""What is asked of a server, and a check that it answers as it should before it is measured."""

from __future__ import annotations

import http.client
import re
import socket
from dataclasses import dataclass

from . import layout

PIPELINE_DEPTH = 16
ECHO_BYTES = 10 * 1024
GREETING = b"Hello, world!"


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    path: str
    target: str = "bench_app:app"
    wrk: tuple[str, ...] = ()  # arguments of wrk.lua
    canned: tuple[str, ...] = ()  # how the canned program does the like
    body: bytes = b""  # request body, and then the method is POST
    close: bool = False
    reply_bytes: int = len(GREETING)
    depth: int = 1  # requests sent at once
    holds: bool = False  # connections are held, not loaded: no wrk


CASES: tuple[Case, ...] = (
    Case("hello", "Hello, world!", "/hello"),
    Case("10k", "10 KiB response", "/10k", canned=("--body", "10240"), reply_bytes=10240),
    Case(
        "echo",
        "POST echo of 10 KiB",
        "/echo",
        wrk=("post", str(ECHO_BYTES)),
        canned=("--body", str(ECHO_BYTES), "--request-body", str(ECHO_BYTES)),
        body=b"x" * ECHO_BYTES,
        reply_bytes=ECHO_BYTES,
    ),
    Case(
        "file",
        "1 MiB file through wsgi.file_wrapper",
        "/file",
        canned=("--file", str(layout.FILE)),
        reply_bytes=layout.FILE_BYTES,
    ),
    Case(
        "pipeline",
        f"{PIPELINE_DEPTH} pipelined requests",
        "/hello",
        wrk=("pipeline", str(PIPELINE_DEPTH)),
        depth=PIPELINE_DEPTH,
    ),
    Case("flask", "A Flask route", "/flask/world", target="bench_flask:app"),
    Case(
        "close",
        "A new connection per request",
        "/hello",
        wrk=("close",),
        canned=("--close",),
        close=True,
    ),
    Case("idle", "10,000 idle keep-alive connections", "/hello", holds=True),
    Case("slow", "5,000 slow clients", "/hello", holds=True),
    Case("stream", "1 GiB from a generator to a slow reader", "/1g", holds=True),
)

BY_NAME = {case.name: case for case in CASES}
LOADED = tuple(case for case in CASES if not case.holds)


def request_bytes(case: Case) -> bytes:
    method = "POST" if case.body else "GET"
    head = f"{method} {case.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if case.body:
        head += f"Content-Type: application/octet-stream\r\nContent-Length: {len(case.body)}\r\n"
    if case.close:
        head += "Connection: close\r\n"
    return head.encode() + b"\r\n" + case.body


def probe(case: Case, port: int, timeout: float = 5.0) -> str | None:
    """Sends one turn of the case. Returns None if all is well, else what is wrong."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as sock:
            sock.sendall(request_bytes(case) * case.depth)
            if case.depth > 1:
                return _probe_pipelined(sock, case.depth)
            response = http.client.HTTPResponse(sock)
            response.begin()
            size = len(response.read())
    except OSError as error:
        return str(error) or type(error).__name__
    except http.client.HTTPException as error:
        return f"{type(error).__name__}: {error}"
    if response.status != 200:
        return f"status {response.status}"
    if size != case.reply_bytes:
        return f"{size} bytes of body instead of {case.reply_bytes}"
    return None


def _probe_pipelined(sock: socket.socket, depth: int) -> str | None:
    data = b""
    while len(re.findall(GREETING, data)) < depth:
        try:
            block = sock.recv(65536)
        except TimeoutError:
            block = b""
        if not block:
            answered = len(re.findall(GREETING, data))
            return f"answers {answered} of {depth} pipelined requests"
        data += block
    return None
