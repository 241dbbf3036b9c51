# SPDX-License-Identifier: MIT
"""Listeners as hooks see them."""

from __future__ import annotations

import functools
import socket
from typing import Any


class Listener:
    """A listening socket: its descriptor, its name, and a socket object on demand."""

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name

    @functools.cached_property
    def sock(self) -> socket.socket:
        """A socket object with a descriptor of its own."""
        return socket.socket(fileno=socket.dup(self._fd))

    @property
    def cfg_addr(self) -> Any:
        """What is bound: host and port, or a path."""
        return self.getsockname()

    def fileno(self) -> int:
        return self._fd

    def getsockname(self) -> Any:
        return self.sock.getsockname()

    def __str__(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name}>"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)
