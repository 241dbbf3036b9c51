# SPDX-License-Identifier: MIT
"""A WSGI application with a route for each way of asking and answering."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    Route = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]

TEXT = [("Content-Type", "text/plain")]

closed: list[str] = []  # routes whose iterable was closed
calls = 0


def query(environ: WSGIEnvironment, name: str, default: str = "") -> str:
    text: str = environ["QUERY_STRING"]
    return parse_qs(text, keep_blank_values=True).get(name, [default])[-1]


def number(environ: WSGIEnvironment, name: str, default: int = 0) -> int:
    return int(query(environ, name, str(default)))


def reply(
    start_response: StartResponse,
    body: bytes | str,
    headers: Iterable[tuple[str, str]] = (),
    status: str = "200 OK",
) -> list[bytes]:
    data = body.encode() if isinstance(body, str) else body
    start_response(status, [*TEXT, ("Content-Length", str(len(data))), *headers])
    return [data]


class Chunks:
    """An iterable that notes its close()."""

    def __init__(self, name: str, chunks: Iterable[bytes]) -> None:
        self.name = name
        self.chunks = iter(chunks)

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks

    def close(self) -> None:
        closed.append(self.name)


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    global calls
    calls += 1
    path = environ["PATH_INFO"]
    name = path.split("/")[1] if path.startswith("/") else path
    return ROUTES.get(name, missing)(environ, start_response)


def missing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return reply(start_response, "not found", status="404 Not Found")


def hello(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return reply(start_response, "hello\n")


def show_environ(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The environ as JSON; what JSON cannot hold by its type."""
    shown = {
        key: list(value)
        if isinstance(value, tuple)
        else value
        if isinstance(value, str | bool | int | None)
        else f"<{type(value).__name__}>"
        for key, value in environ.items()
    }
    return reply(start_response, json.dumps(shown))


def echo(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return reply(start_response, environ["wsgi.input"].read())


def length(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Size and digest of the body, read in pieces."""
    size = number(environ, "piece", 65536)
    digest = hashlib.sha256()
    total = 0
    while piece := environ["wsgi.input"].read(size):
        digest.update(piece)
        total += len(piece)
    return reply(start_response, f"{total} {digest.hexdigest()}")


def ignore(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Does not read the body."""
    return reply(start_response, "ignored")


def read(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Evaluates calls on wsgi.input, in the query as repeated call=NAME:ARGUMENTS."""
    stream: Any = environ["wsgi.input"]
    results: list[Any] = []
    for call in parse_qs(environ["QUERY_STRING"])["call"]:
        name, _, text = call.partition(":")
        arguments = json.loads(f"[{text}]")
        try:
            if name == "iter":
                value: Any = list(stream)
            elif name == "next":
                value = next(iter(stream))
            else:
                value = getattr(stream, name)(*arguments)
        except Exception as error:
            results.append(type(error).__name__)
            continue
        if isinstance(value, list):
            results.append([each.decode("latin-1") for each in value])
        else:
            results.append(value.decode("latin-1"))
    return reply(start_response, json.dumps(results))


def status(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The status of the query, with headers and body as it says."""
    headers = [
        (unquote(name, "latin-1"), unquote(value, "latin-1"))
        for name, _, value in (
            each.partition("=") for each in environ["QUERY_STRING"].split("&") if each
        )
        if not name.startswith("-")
    ]
    start_response(query(environ, "-status", "200 OK"), headers)
    return [each.encode() for each in query(environ, "-body", "").split(",")]


def stream(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """`count` chunks of `size` bytes, without a length unless it is asked for."""
    count, size = number(environ, "count", 3), number(environ, "size", 4)
    headers = list(TEXT)
    if query(environ, "length"):
        headers.append(("Content-Length", query(environ, "length")))
    start_response("200 OK", headers)
    chunk = b"x" * size
    return Chunks("stream", (chunk for _ in range(count)))


def steps(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """Yields a chunk; yields the next one once the file of the query exists."""
    start_response("200 OK", TEXT)
    yield b"first"
    wait_for_file(environ)
    yield b"second"


def wait_for_file(environ: WSGIEnvironment) -> None:
    deadline = time.monotonic() + 60
    while not os.path.exists(query(environ, "file")):
        if time.monotonic() > deadline:
            raise TimeoutError("nobody has made the file")
        time.sleep(0.005)


def block(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Holds the thread until the file of the query exists; says so by making FILE.started."""
    with open(query(environ, "file") + ".started", "w"):
        pass
    wait_for_file(environ)
    return reply(start_response, "released")


def hang(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Holds the thread for good: only a signal ends it."""
    if query(environ, "file"):
        with open(query(environ, "file"), "w"):
            pass
    while True:
        time.sleep(3600 if query(environ, "deep") else 0.01)


def writer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", TEXT)
    write(b"written ")
    write(b"")
    write(b"twice ")
    return Chunks("write", [b"and ", b"returned"])


def raise_before(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    raise ValueError("raised before start_response")


def raise_started(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    raise ValueError("raised after start_response")


def raise_first(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    def chunks() -> Iterator[bytes]:
        raise ValueError("raised before the first chunk")
        yield b""

    start_response("200 OK", TEXT)
    return Chunks("raise-first", chunks())


def raise_later(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    def chunks() -> Iterator[bytes]:
        yield b"some"
        raise ValueError("raised after the first chunk")

    start_response("200 OK", [*TEXT, ("X-Sent", "yes")])
    return Chunks("raise-later", chunks())


def raise_close(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    class Bad(Chunks):
        def close(self) -> None:
            raise ValueError("raised in close")

    start_response("200 OK", [*TEXT, ("Content-Length", "2")])
    return Bad("raise-close", [b"ok"])


def raise_exit(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    sys.exit(3)


def raise_os(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    raise PermissionError(13, "raised by the application")


def exc_info(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Replaces a head that was not sent."""
    start_response("200 OK", [*TEXT, ("X-First", "1")])
    try:
        raise ValueError("handled")
    except ValueError:
        start_response("503 Service Unavailable", [*TEXT, ("X-Second", "2")], sys.exc_info())
    return [b"replaced"]


def exc_info_sent(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """Tries to replace a head that was sent."""
    start_response("200 OK", TEXT)
    yield b"sent"
    try:
        raise ValueError("too late")
    except ValueError:
        start_response("500 Oops", TEXT, sys.exc_info())
    yield b"never"


def start_twice(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    start_response("200 OK", TEXT)
    return [b"never"]


def start_never(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return [b"no head"]


def start_lazily(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """start_response at the first next(), as generators do."""
    start_response("200 OK", [*TEXT, ("Content-Length", "4")])
    yield b"lazy"


def returns(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
    """Something that is no iterable of bytes."""
    values: dict[str, Any] = {
        "none": None,
        "str": ["text"],
        "bytes": b"ab",
        "int": 7,
        "tuple": (b"a", b"b"),
        "empty": [],
        "empties": [b"", b"", b""],
        "bytearray": [bytearray(b"x")],
    }
    start_response("200 OK", TEXT)
    return values[query(environ, "what")]


def bad_status(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response(200, TEXT)  # type: ignore[arg-type]
    return [b"never"]


def bad_header(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*TEXT, ("X-Number", 1)])  # type: ignore[list-item]
    return [b"never"]


def beyond_latin_1(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*TEXT, ("X-Euro", "\u20ac")])
    return [b"never"]


def file(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The file of the query, from `offset`, with a length if one is asked for."""
    opened = open(query(environ, "path"), "rb", buffering=0)  # noqa: SIM115, the server closes it
    opened.seek(number(environ, "offset"))
    headers = [("Content-Type", "application/octet-stream")]
    if query(environ, "length"):
        headers.append(("Content-Length", query(environ, "length")))
    start_response("200 OK", headers)
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](opened, 4096)
    return wrapped


def file_like(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A file without a descriptor."""

    class Memory(io.BytesIO):
        def close(self) -> None:
            closed.append("file-like")
            super().close()

    start_response("200 OK", TEXT)
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](Memory(b"0123456789" * 3), 7)
    return wrapped


def show_closed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The routes closed since the last time."""
    shown = json.dumps(closed)
    closed.clear()
    return reply(start_response, shown)


def show_state(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    state = {
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "calls": calls,
        "threads": threading.active_count(),
        "main": threading.current_thread() is threading.main_thread(),
        "cwd": os.getcwd(),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "path": sys.path,
        "environ": dict(os.environ),
    }
    return reply(start_response, json.dumps(state))


def errors(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    stream = environ["wsgi.errors"]
    stream.write(query(environ, "text") + "\n")
    stream.writelines(["first line\n", "second line\n"])
    stream.flush()
    return reply(start_response, "written")


def keep(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Keeps the input of this request and reads that of the one before."""
    outcome = "none"
    if kept:
        try:
            outcome = repr(kept.pop().read())
        except Exception as error:
            outcome = type(error).__name__
    kept.append(environ["wsgi.input"])
    return reply(start_response, outcome)


kept: list[Any] = []


def socket_names(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    sock = environ["gunicorn.socket"]
    return reply(start_response, f"{sock.getsockname()} {sock.getpeername()} {int(sock.family)}")


def socket_speak(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Takes the connection over, and ends it."""
    sock = environ["gunicorn.socket"]
    sock.sendall(b"spoken by the application")
    sock.shutdown(socket.SHUT_RDWR)
    raise OSError(errno.EPIPE, "the connection is not the server's any more")  # no error


ROUTES: dict[str, Route] = {
    "": hello,
    "environ": show_environ,
    "echo": echo,
    "length": length,
    "ignore": ignore,
    "read": read,
    "status": status,
    "stream": stream,
    "steps": steps,
    "block": block,
    "hang": hang,
    "write": writer,
    "raise-before": raise_before,
    "raise-started": raise_started,
    "raise-first": raise_first,
    "raise-later": raise_later,
    "raise-close": raise_close,
    "raise-exit": raise_exit,
    "raise-os": raise_os,
    "exc-info": exc_info,
    "exc-info-sent": exc_info_sent,
    "start-twice": start_twice,
    "start-never": start_never,
    "start-lazily": start_lazily,
    "returns": returns,
    "bad-status": bad_status,
    "bad-header": bad_header,
    "beyond-latin-1": beyond_latin_1,
    "file": file,
    "file-like": file_like,
    "closed": show_closed,
    "state": show_state,
    "errors": errors,
    "keep": keep,
    "socket-names": socket_names,
    "socket-speak": socket_speak,
}
