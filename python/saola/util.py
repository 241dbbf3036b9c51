# SPDX-License-Identifier: MIT
"""Small things that several modules need, and what Gunicorn's users import from here."""

from __future__ import annotations

import contextlib
import fcntl
import html
import importlib
import inspect
import os
import pwd
import re
import socket
import sys
import traceback
import urllib.parse
from collections.abc import Callable, Iterable
from typing import Any

from saola import _core, _identity
from saola.app.loader import import_app as import_app


def warn(message: str) -> None:
    """A message that cannot be overlooked, on stderr, before there is a log."""
    print("!!!", file=sys.stderr)
    for index, line in enumerate(message.splitlines()):
        print("!!! " + ("WARNING: " if index == 0 else "") + line, file=sys.stderr)
    print("!!!\n", file=sys.stderr)
    sys.stderr.flush()


def getcwd() -> str:
    """The current directory, by the name that $PWD gives it if it is the same one."""
    try:
        named, here = os.stat(os.environ["PWD"]), os.stat(os.getcwd())
        if (named.st_ino, named.st_dev) == (here.st_ino, here.st_dev):
            return os.environ["PWD"]
    except (KeyError, OSError):
        pass
    return os.getcwd()


#: Where the program was started: a reload and an upgrade begin there again, whatever `chdir` says.
START_DIRECTORY = getcwd()


def get_arity(function: Callable[..., Any]) -> int:
    """How many positional parameters it has, those with a default counted."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return sum(parameter.kind in positional for parameter in parameters)


def parse_address(address: str, default_port: str = "8000") -> str | int | tuple[str, int]:
    """A bind string: a path (unix:), a descriptor (fd://), or host and port."""
    for prefix in ("unix://", "unix:"):
        if address.startswith(prefix):
            return address[len(prefix) :]
    if address.startswith("fd://"):
        try:
            return int(address[5:])
        except ValueError:
            text = f"{address[5:]!r} is not a valid file descriptor."
            raise RuntimeError(text) from None
    address = address.removeprefix("tcp://")
    host, port = address, default_port
    if "[" in address and "]" in address:
        host, _, rest = address.partition("]")
        host = host[1:]
        port = rest[1:] if rest.startswith(":") else default_port
    elif ":" in address:
        host, port = address.split(":")[:2]
    elif not address:
        host = "0.0.0.0"
    try:
        return host.lower(), int(port)
    except ValueError:
        raise RuntimeError(f"{port!r} is not a valid port number.") from None


# Classes. -----------------------------------------------------------------------------------------


def load_class(
    uri: Any, default: str = "saola.workers.sync.SyncWorker", section: str = "gunicorn.workers"
) -> Any:
    """The class that a setting names: an alias, a dotted path, or `egg:DISTRIBUTION#NAME`.

    RuntimeError if there is none.
    """
    if inspect.isclass(uri):
        return uri
    try:
        if uri.startswith("egg:"):
            distribution, _, name = uri[4:].partition("#")
            return _load_entry_point(distribution, section, name or default)
        return _load_dotted(uri, section)
    except Exception:
        text = f"class uri {uri!r} invalid or not found: \n\n[{traceback.format_exc()}]"
        raise RuntimeError(text) from None


def _load_dotted(uri: str, section: str) -> Any:
    from saola.workers import SUPPORTED_WORKERS

    if "." not in uri:
        if uri.startswith("#"):
            uri = uri[1:]
        if section != "gunicorn.workers" or uri not in SUPPORTED_WORKERS:
            return _load_entry_point("gunicorn", section, uri)
        uri = SUPPORTED_WORKERS[uri]
    module, _, name = uri.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _load_entry_point(distribution: str, section: str, name: str) -> Any:
    import importlib.metadata  # takes longer than all of Saola to import

    for entry in importlib.metadata.distribution(distribution).entry_points:
        if entry.group == section and entry.name == name:
            return entry.load()
    raise ImportError(f"Entry point {(section, name)!r} not found in {distribution}")


# HTTP. --------------------------------------------------------------------------------------------

#: What belongs to one connection, or to the server: never taken from an application.
hop_headers = frozenset(
    [
        *("connection", "date", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("server", "te", "trailers", "transfer-encoding", "upgrade"),
    ]
)


def is_hoppish(header: str) -> bool:
    return header.lower().strip() in hop_headers


def http_date(timestamp: float | None = None) -> str:
    """The time, now unless given, as HTTP writes it."""
    import email.utils  # which brings all of email along

    return email.utils.formatdate(timestamp, usegmt=True)


def unquote_to_wsgi_str(string: str | bytes) -> str:
    """A percent-encoded path as PEP 3333 wants it: one character for each byte."""
    return urllib.parse.unquote_to_bytes(string).decode("latin-1")


def to_bytestring(value: str | bytes, encoding: str = "utf8") -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value.encode(encoding)


def bytes_to_str(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def write_error(sock: socket.socket, status_int: int, reason: str, mesg: str) -> None:
    """Sends an error page."""
    text = (
        f"<html>\n  <head>\n    <title>{reason}</title>\n  </head>\n  <body>\n"
        f"    <h1><p>{reason}</p></h1>\n    {html.escape(mesg)}\n  </body>\n</html>\n"
    )
    page = text.encode("latin-1", "backslashreplace")
    head = (
        f"HTTP/1.1 {status_int} {reason}\r\nConnection: close\r\nContent-Type: text/html\r\n"
        f"Content-Length: {len(page)}\r\n\r\n"
    )
    sock.sendall(head.encode("latin-1", "backslashreplace") + page)


def make_fail_app(msg: str | bytes) -> Callable[..., Iterable[bytes]]:
    """An application that answers everything with 500 and this text."""
    body = msg if isinstance(msg, bytes) else msg.encode("utf-8", "backslashreplace")

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        start_response("500 Internal Server Error", headers)
        return [body]

    return app


# The system. --------------------------------------------------------------------------------------


def is_ipv6(address: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, address)
    except (OSError, ValueError):
        return False
    return True


def close_on_exec(fd: int) -> None:
    fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.fcntl(fd, fcntl.F_GETFD) | fcntl.FD_CLOEXEC)


def set_non_blocking(fd: int) -> None:
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)


def close(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.close()


def unlink(filename: str) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(filename)


def chown(path: str, uid: int, gid: int) -> None:
    os.chown(path, uid, gid)


def set_owner_process(uid: int, gid: int, initgroups: bool = False) -> None:
    """Changes to the user and the group; the groups first, while there is a right to."""
    if initgroups and gid:
        with contextlib.suppress(KeyError):
            os.initgroups(pwd.getpwuid(uid).pw_name, gid)
    if gid and gid != os.getgid():
        os.setgid(gid)
    if uid and uid != os.getuid():
        os.setuid(uid)


def daemonize(enable_stdio_inheritance: bool = False) -> None:
    """Goes on in the background, in a session of its own. For scripts: the server does it in C."""
    if "GUNICORN_FD" in os.environ:
        return
    for step in (os.setsid, lambda: os.umask(0o22)):
        if os.fork():
            os._exit(0)
        step()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        if not enable_stdio_inheritance or os.isatty(fd):
            os.dup2(null, fd)
    if null > 2:
        os.close(null)


def _setproctitle(title: str) -> None:
    """The title of this process, with the name of the program in front."""
    set_title(f"{_identity.program()}: {title}")


def set_title(title: str) -> None:
    """The whole title of this process.

    By setproctitle if that is installed, because only one of the two can write it: who uses that
    package in a hook, as Airflow does, goes on from the title that there is.
    """
    try:
        setproctitle = importlib.import_module("setproctitle").setproctitle
    except ImportError:
        setproctitle = _core.set_title
    # Names on a command line need not be UTF-8.
    setproctitle(title.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))


def parse_statsd_address(address: str) -> str | tuple[str, int]:
    """The path of a unix socket, or host and port; `unix:8125` is a host of that name."""
    if re.fullmatch(r"unix:\d+", address):
        return "unix", int(address.removeprefix("unix:"))
    parsed = parse_address(address, "8125")
    if isinstance(parsed, int):
        raise TypeError("Value must be one of ('host:port', 'unix://PATH')")
    return parsed
