# SPDX-License-Identifier: MIT
"""A WSGI application for what only some applications ask of a server: hints, the socket, odd files,
threads, handles kept beyond their request."""

from __future__ import annotations

import gzip
import io
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    Route = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]

TEXT = [("Content-Type", "text/plain")]
kept: list[Any] = []


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return ROUTES[environ["PATH_INFO"].strip("/")](environ, start_response)


def hello(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*TEXT, ("Content-Length", "6")])
    return [b"hello\n"]


def added(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """What the hooks have added to the request."""
    start_response("200 OK", TEXT)
    return [environ.get("HTTP_X_ADDED", "-").encode()]


def hints(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    environ["wsgi.early_hints"]([("Link", "</a.css>"), (b"Link", b"</b.css>")])
    environ["wsgi.early_hints"]([("Link", "</c.css>")])
    return hello(environ, start_response)


def bad_hint(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    environ["wsgi.early_hints"]([("Link", "</a>\r\nX-Injected: yes")])
    return hello(environ, start_response)


def ask_socket(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Questions do not disturb the response."""
    peer = environ["gunicorn.socket"].getpeername()
    start_response("200 OK", TEXT)
    return [f"{peer[0]} {peer[1]} {environ['REMOTE_PORT']}".encode()]


def take_socket(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Speaks a protocol of its own and leaves as websocket libraries do."""
    sock = environ["gunicorn.socket"]
    assert isinstance(sock, socket.socket)
    sock.sendall(b"READY\n")
    sock.sendall(sock.recv(100).upper())
    sock.close()
    raise StopIteration


def take_and_return(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    environ["gunicorn.socket"].sendall(b"mine")
    environ["gunicorn.socket"].close()
    start_response("200 OK", TEXT)
    return [b"never sent"]


def keep(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Uses what it kept of the request before, then keeps its own."""
    outcomes = []
    for use in kept:
        try:
            use()
        except (ValueError, RuntimeError) as error:
            outcomes.append(type(error).__name__)
        else:
            outcomes.append("worked")
    stream, early_hints, sock = (
        environ["wsgi.input"],
        environ["wsgi.early_hints"],
        environ["gunicorn.socket"],
    )
    write = start_response("200 OK", TEXT)
    kept[:] = [
        stream.read,
        stream.readline,
        stream.readlines,
        lambda: start_response("200 OK", []),
        lambda: write(b"stray"),
        lambda: early_hints([]),
        lambda: sock.recv(1),
    ]
    return [" ".join(outcomes).encode()]


def close_answers(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """close() tries to begin the response anew, and to write."""
    write: Any = None

    class Result:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"body"])

        def close(self) -> None:
            for attempt in (lambda: start_response("500 No", []), lambda: write(b"stray")):
                try:
                    attempt()
                except (AssertionError, RuntimeError):
                    continue
                raise SystemError("it worked")

    write = start_response("200 OK", TEXT)
    return Result()


def read_ahead(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A file that Python has begun to read: the descriptor is ahead of it."""
    opened = open(__file__, "rb")  # noqa: SIM115, the server closes it
    opened.read(2)
    start_response("200 OK", TEXT)
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](opened)
    return wrapped


def zipped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A file whose descriptor holds something else than what it gives."""
    path = environ["QUERY_STRING"]
    with gzip.open(path, "wb") as packed:
        packed.write(b"plain text")
    start_response("200 OK", TEXT)
    opened = gzip.open(path)  # noqa: SIM115, the server closes it
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](opened)
    return wrapped


def blocks(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    wrapper = environ["wsgi.file_wrapper"]
    assert wrapper(io.BytesIO()).blksize == 8192
    assert not hasattr(wrapper(object()), "close")
    return list(wrapper(io.BytesIO(b"0123456789"), blksize=4))


def pairs(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Headers that are neither a list nor of tuples; arguments by name."""
    headers: Any = (["X-Number", str(i)] for i in range(100))
    start_response(status="200 OK", headers=headers, exc_info=None)  # type: ignore[call-arg]
    return [b"pairs"]


def thread(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Another thread reads the body and writes the response."""

    def run() -> None:
        write(environ["wsgi.input"].read().upper())

    write = start_response("200 OK", TEXT)
    worker = threading.Thread(target=run)
    worker.start()
    worker.join()
    return []


def growing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A list subclass is an iterable like any other."""

    class Body(list[bytes]):
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"from ", b"the iterator"])

    start_response("200 OK", TEXT)
    return Body([b"from the list"])


def disconnect(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A connection of the application's own breaks: that is no disconnect of the client."""
    raise ConnectionResetError(104, "the database has gone")


def stop(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    next(iter([]))
    return []


def fork_terminate(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A child that waits, as multiprocessing makes it, and is told to end."""
    begun, begin = os.pipe()
    child = multiprocessing.get_context("fork").Process(target=wait_for_ever, args=(begin,))
    child.start()
    os.read(begun, 1)
    os.close(begun)
    os.close(begin)
    child.terminate()
    child.join(10)
    code = child.exitcode
    child.kill()
    start_response("200 OK", TEXT)
    return [str(code).encode()]


def wait_for_ever(begin: int) -> None:
    os.write(begin, b"!")
    while True:
        signal.pause()


def fork_exit(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    child = os.fork()
    if child == 0:
        sys.exit(3)
    start_response("200 OK", TEXT)
    return [str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode()]


def fork_return(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A child that does not know that it is one, in the application and in its iterator."""
    start_response("200 OK", TEXT)
    child = os.fork()
    return generate(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) if child else [b"child"]


def generate(code: int) -> Iterator[bytes]:
    yield b"%d " % code
    child = os.fork()
    yield b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if child else b"child"


ROUTES: dict[str, Route] = {
    "": hello,
    "-ready": hello,
    "added": added,
    "ask-socket": ask_socket,
    "bad-hint": bad_hint,
    "blocks": blocks,
    "close-answers": close_answers,
    "disconnect": disconnect,
    "fork-exit": fork_exit,
    "fork-return": fork_return,
    "fork-terminate": fork_terminate,
    "growing": growing,
    "hints": hints,
    "keep": keep,
    "pairs": pairs,
    "read-ahead": read_ahead,
    "stop": stop,
    "take-and-return": take_and_return,
    "take-socket": take_socket,
    "thread": thread,
    "zipped": zipped,
}
