# SPDX-License-Identifier: MIT
"""Servers on loopback that take what others send: syslog, StatsD."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

from procs import poll


class Receiver:
    """A datagram or stream server; what it gets is in `messages`, in order of arrival,
    bytes that are not UTF-8 as surrogates."""

    def __init__(self, kind: str, path: Path | None = None, port: int = 0) -> None:
        """`kind`: udp, tcp, unix-dgram or unix-stream. Messages of a stream end with a NUL."""
        family = socket.AF_UNIX if kind.startswith("unix") else socket.AF_INET
        stream = kind in ("tcp", "unix-stream")
        self.path = path
        self.messages: list[str] = []
        self.sockets: list[socket.socket] = []
        self.sock = socket.socket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
        self.sockets.append(self.sock)
        if path is None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.sock.bind(("127.0.0.1", port))
        else:
            self.sock.bind(str(path))
        if stream:
            self.sock.listen(16)
        self.closed = False
        threading.Thread(target=self._accept if stream else self._receive, daemon=True).start()

    @property
    def port(self) -> int:
        port: int = self.sock.getsockname()[1]
        return port

    def _receive(self) -> None:
        with contextlib.suppress(OSError):
            while not self.closed:
                self.messages.append(self.sock.recv(65536).decode(errors="surrogateescape"))

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self.closed:
                connection, _ = self.sock.accept()
                self.sockets.append(connection)
                threading.Thread(target=self._read, args=[connection], daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while data := connection.recv(65536):
                *whole, rest = (rest + data).split(b"\0")
                self.messages += [each.decode(errors="surrogateescape") + "\0" for each in whole]

    def wait(self, part: str) -> str:
        """The first message that contains it, once it is there."""

        def found() -> list[str]:
            return [message for message in [*self.messages] if part in message]

        poll(lambda: bool(found()), lambda: f"{part!r} in {self.messages}")
        return found()[0]

    def catch_up(self, mark: str) -> None:
        """Until all that was sent to it (a socket of UDP) is in `messages`, and then this."""
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.sendto(mark.encode(), ("127.0.0.1", self.port))
        self.wait(mark)

    def close(self) -> None:
        self.closed = True
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)
