# SPDX-License-Identifier: MIT
"""Listening sockets: those of the server as hooks see them, and how a script makes its own."""

from __future__ import annotations

import errno
import functools
import os
import socket
import ssl
import stat
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from saola import util

if TYPE_CHECKING:
    from saola.config import Config
    from saola.glogging import Logger

ATTEMPTS = 5


class BaseSocket:
    """A listener. What it does not have itself it asks the socket for."""

    FAMILY = socket.AF_UNSPEC

    def __init__(self, address: Any, conf: Config, log: Logger, fd: int | None = None) -> None:
        """Binds the address, or takes over a descriptor that is bound already."""
        self.conf = conf
        self.log = log
        self.cfg_addr = address
        if fd is None:
            sock = socket.socket(self.FAMILY, socket.SOCK_STREAM)
        else:
            sock = socket.socket(self.FAMILY, socket.SOCK_STREAM, fileno=fd)
        self.sock = self.set_options(sock, bound=fd is not None)

    def set_options(self, sock: socket.socket, bound: bool = False) -> socket.socket:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.conf.reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if not bound:
            self.bind(sock)
        sock.setblocking(False)
        sock.set_inheritable(True)
        sock.listen(self.conf.backlog)
        return sock

    def bind(self, sock: socket.socket) -> None:
        sock.bind(self.cfg_addr)

    def fileno(self) -> int:
        return self.sock.fileno()

    def close(self) -> None:
        self.sock.close()

    def __str__(self) -> str:
        return f"<socket {self.fileno()}>"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    def __getattr__(self, name: str) -> Any:
        if name == "sock":
            raise AttributeError(name)
        return getattr(self.sock, name)


class TCPSocket(BaseSocket):
    FAMILY = socket.AF_INET

    def __str__(self) -> str:
        scheme = "https" if self.conf.is_ssl else "http"
        host, port = self.sock.getsockname()[:2]
        return f"{scheme}://{host}:{port}"

    def set_options(self, sock: socket.socket, bound: bool = False) -> socket.socket:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return super().set_options(sock, bound)


class TCP6Socket(TCPSocket):
    FAMILY = socket.AF_INET6

    def __str__(self) -> str:
        host, port = self.sock.getsockname()[:2]
        return f"http://[{host}]:{port}"


class UnixSocket(BaseSocket):
    FAMILY = socket.AF_UNIX

    def __init__(self, address: Any, conf: Config, log: Logger, fd: int | None = None) -> None:
        if fd is None:
            self._make_room(address)
        super().__init__(address, conf, log, fd)

    @staticmethod
    def _make_room(path: str) -> None:
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise ValueError(f"{path!r} is not a socket")
        os.remove(path)

    def bind(self, sock: socket.socket) -> None:
        before = os.umask(self.conf.umask)
        try:
            sock.bind(self.cfg_addr)
            util.chown(self.cfg_addr, self.conf.uid, self.conf.gid)
        finally:
            os.umask(before)

    def __str__(self) -> str:
        return f"unix:{self.cfg_addr}"


# The server's own. ------------------------------------------------------------------------------


class _Served(BaseSocket):
    """A listener of the server: the descriptor is its, a socket object is made when one is used."""

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name

    @functools.cached_property
    def sock(self) -> socket.socket:  # type: ignore[override]
        """A socket object with a descriptor of its own."""
        return socket.socket(fileno=socket.dup(self._fd))

    @functools.cached_property
    def cfg_addr(self) -> Any:
        """What is bound: host and port, or a path."""
        name = self.sock.getsockname()
        return name[:2] if isinstance(name, tuple) else name

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        """The server closes it; only the socket object is dropped."""
        if "sock" in vars(self):
            vars(self).pop("sock").close()

    def __str__(self) -> str:
        return self._name


class _ServedTCP(_Served, TCPSocket):
    pass


class _ServedTCP6(_Served, TCP6Socket):
    pass


class _ServedUnix(_Served, UnixSocket):
    pass


def served(fd: int, name: str) -> BaseSocket:
    """The listener of the server with that descriptor and that name in the log."""
    if name.startswith("unix:"):
        return _ServedUnix(fd, name)
    return _ServedTCP6(fd, name) if "://[" in name else _ServedTCP(fd, name)


# For scripts. -----------------------------------------------------------------------------------


def _sock_type(address: Any) -> type[BaseSocket]:
    if isinstance(address, tuple):
        return TCP6Socket if util.is_ipv6(address[0]) else TCPSocket
    if isinstance(address, (str, bytes)):
        return UnixSocket
    raise TypeError(f"Unable to create socket from: {address!r}")


def create_sockets(conf: Config, log: Logger, fds: Iterable[int] | None = None) -> list[BaseSocket]:
    """Listeners for the addresses of the settings, or for descriptors that are bound already."""
    _check_certificates(conf)
    descriptors = [*(fds or ()), *(each for each in conf.address if isinstance(each, int))]
    if descriptors:
        return [_from_descriptor(fd, conf, log) for fd in descriptors]
    return [_bind_patiently(address, conf, log) for address in conf.address]


def _check_certificates(conf: Config) -> None:
    for name in ("certfile", "keyfile"):
        path = getattr(conf, name)
        if path and not os.path.exists(path):
            raise ValueError(f'{name} "{path}" does not exist')


def _from_descriptor(fd: int, conf: Config, log: Logger) -> BaseSocket:
    with socket.socket(fileno=os.dup(fd)) as sock:
        address = sock.getsockname()
    return _sock_type(address)(address, conf, log, fd=fd)


def _bind_patiently(address: Any, conf: Config, log: Logger) -> BaseSocket:
    for _ in range(ATTEMPTS):
        try:
            return _sock_type(address)(address, conf, log)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                log.error("Connection in use: %s", address)
            elif error.errno == errno.EADDRNOTAVAIL:
                log.error("Invalid address: %s", address)
            log.error("connection to %s failed: %s", address, error)
            log.debug("Retrying in 1 second.")
            time.sleep(1)
    log.error("Can't connect to %s", address)
    sys.exit(1)


def close_sockets(listeners: Iterable[BaseSocket], unlink: bool = True) -> None:
    for listener in listeners:
        name = listener.getsockname()
        listener.close()
        if unlink and isinstance(name, str) and name:
            os.unlink(name)


def ssl_context(conf: Config) -> ssl.SSLContext:
    """What the settings say about TLS, as the hook ssl_context may change it."""

    def default() -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=conf.ca_certs)
        context.load_cert_chain(conf.certfile or "", conf.keyfile)
        context.verify_mode = ssl.VerifyMode(conf.cert_reqs)
        if conf.ciphers:
            context.set_ciphers(conf.ciphers)
        return context

    context: ssl.SSLContext = conf.ssl_context(conf, default)
    return context


def ssl_wrap_socket(sock: socket.socket, conf: Config) -> ssl.SSLSocket:
    return ssl_context(conf).wrap_socket(
        sock,
        server_side=True,
        suppress_ragged_eofs=conf.suppress_ragged_eofs,
        do_handshake_on_connect=conf.do_handshake_on_connect,
    )
