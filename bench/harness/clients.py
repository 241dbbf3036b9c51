# SPDX-License-Identifier: MIT
"""Clients that hold connections: clients.py KIND PORT COUNT, run by load.Clients.

idle    each has had one answer and waits on its keep-alive connection
slow    a third sends half a head, a third half a body, a third reads one byte a second
stream  reads the 1 GiB response at about 1 MiB a second

Prints {"held": N, "failed": N} once all are open, and again for every line on standard input: how
many the server has not closed by then. Ends with its standard input.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import sys
import time
from collections.abc import Callable
from itertools import cycle

CONNECT_TIMEOUT_S = 5.0
OPEN_TIMEOUT_S = 60.0
FAILURES_MAX = 3
READS_PER_SECOND = 10
STREAM_BLOCK = 64 * 1024
STREAM_INTERVAL_S = 1 / 16

HELLO = b"GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
HALF_HEAD = b"GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: "
HALF_BODY = b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10240\r\n\r\n" + b"x" * 5120
LARGE = b"GET /256k HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
OK = b"HTTP/1.1 200"
ENDLESS = b"GET /1g HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

Opener = Callable[[int], socket.socket]


def connect(port: int, request: bytes, small_window: bool = False) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if small_window:
            # Over loopback the kernel would otherwise take the whole response at once.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1460)
        sock.settimeout(CONNECT_TIMEOUT_S)
        sock.connect(("127.0.0.1", port))
        sock.sendall(request)
    except BaseException:
        sock.close()
        raise
    return sock


def open_idle(port: int) -> socket.socket:
    sock = connect(port, HELLO)
    data = b""
    while b"Hello, world!" not in data:
        block = sock.recv(4096)
        data += block
        if not block or b"\r\nconnection: close" in data.lower():
            sock.close()
            raise ConnectionError("not kept alive")
    return sock


def open_half_head(port: int) -> socket.socket:
    return connect(port, HALF_HEAD)


def open_half_body(port: int) -> socket.socket:
    return connect(port, HALF_BODY)


def open_reader(port: int) -> socket.socket:
    return expect_ok(connect(port, LARGE, small_window=True))


def open_stream(port: int) -> socket.socket:
    return expect_ok(connect(port, ENDLESS, small_window=True))


def expect_ok(sock: socket.socket) -> socket.socket:
    status = b""
    while len(status) < len(OK):
        block = sock.recv(len(OK) - len(status))
        if not block:
            break
        status += block
    if status != OK:
        sock.close()
        raise ConnectionError(f"answered {status!r}")
    return sock


OPENERS: dict[str, tuple[Opener, ...]] = {
    "idle": (open_idle,),
    "slow": (open_half_head, open_half_body, open_reader),
    "stream": (open_stream,),
}


def open_all(kind: str, port: int, count: int) -> tuple[list[socket.socket], list[socket.socket]]:
    """Returns all sockets and those of them that read slowly."""
    socks: list[socket.socket] = []
    readers: list[socket.socket] = []
    failures = 0
    deadline = time.monotonic() + OPEN_TIMEOUT_S
    for opener, _ in zip(cycle(OPENERS[kind]), range(count)):
        if time.monotonic() > deadline:
            break
        try:
            sock = opener(port)
        except OSError:
            failures += 1
            if failures == FAILURES_MAX:
                break
            continue
        sock.setblocking(False)
        socks.append(sock)
        if opener is open_reader:
            readers.append(sock)
    return socks, readers


def held(socks: list[socket.socket]) -> int:
    return sum(not closed(sock) for sock in socks)


def closed(sock: socket.socket) -> bool:
    try:
        return not sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def read_some(sock: socket.socket, size: int) -> None:
    with contextlib.suppress(OSError):
        sock.recv(size)


def hold(kind: str, socks: list[socket.socket], readers: list[socket.socket], count: int) -> None:
    interval = STREAM_INTERVAL_S if kind == "stream" else 1 / READS_PER_SECOND
    turn = 0
    while True:
        started = time.monotonic()
        if kind == "stream":
            for sock in socks:
                read_some(sock, STREAM_BLOCK)
        for sock in readers[turn % READS_PER_SECOND :: READS_PER_SECOND]:
            read_some(sock, 1)
        turn += 1
        left = max(0.0, started + interval - time.monotonic())
        if select.select([sys.stdin], [], [], left)[0]:
            if not sys.stdin.readline():
                return
            report(socks, count)


def report(socks: list[socket.socket], count: int) -> None:
    now = held(socks)
    print(json.dumps({"held": now, "failed": count - now}), flush=True)


def main() -> None:
    kind, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    socks, readers = open_all(kind, port, count)
    report(socks, count)
    hold(kind, socks, readers, count)


if __name__ == "__main__":
    main()
