# SPDX-License-Identifier: MIT
"""N requests of every kind leave the references and the descriptors of a worker where they were.

usage: python3-dbg refleak.py [N]

Run with a debug build of Python, which counts references. One worker serves rounds of N requests
of each kind; after a warm-up, the counts after a round must be those after the round before. Caches
may still fill, so a kind has several rounds to come to rest: a leak never does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).resolve().parent

ROUNDS = 8
BOOT_SECONDS = 30
REST_SECONDS = 20


@dataclass(frozen=True)
class Kind:
    """Bytes to send on a new connection; the client then reads until the server closes it."""

    name: str
    sent: bytes
    expected: bytes  # how the answer begins; empty: no answer


def get(path: str) -> bytes:
    return b"GET /%b HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n" % path.encode()


def post(path: str, head: bytes, body: bytes) -> bytes:
    return b"POST /%b HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%b\r\n\r\n%b" % (
        path.encode(),
        head,
        body,
    )


CHUNKED = b"Transfer-Encoding: chunked"
OK = b"HTTP/1.1 200 OK\r\n"
ERROR = b"HTTP/1.1 500 Internal Server Error\r\n"
BAD = b"HTTP/1.1 400 Bad Request\r\n"

KINDS = [
    *(
        Kind(path, get(path), OK)
        for path in ("hello", "generator", "closing", "write", "file", "memory_file")
    ),
    *(Kind(path, get(path), ERROR) for path in ("raising", "exc_info", "bad_header", "bad_chunk")),
    Kind("raising_late", get("raising_late"), OK),
    Kind("errors", get("errors"), b"HTTP/1.1 204 No Content\r\n"),
    Kind("missing", get("missing"), b"HTTP/1.1 404 Not Found\r\n"),
    Kind("head", get("generator").replace(b"GET", b"HEAD"), OK),
    Kind("http10", b"GET /generator HTTP/1.0\r\n\r\n", b"HTTP/1."),
    Kind("pipelined", get("hello").replace(b"close", b"keep-alive") * 5 + get("hello"), OK),
    Kind("post", post("echo", b"Content-Length: 5", b"hello"), OK),
    Kind("lines", post("lines", b"Content-Length: 6", b"a\nb\nc\n"), OK),
    Kind("spooled", post("echo", b"Content-Length: 3000000", b"x" * 3_000_000), OK),
    Kind("unread", post("hello", b"Content-Length: 5", b"hello"), OK),
    Kind("chunked", post("echo", CHUNKED, b"3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n"), OK),
    Kind("bad_chunked", post("echo", CHUNKED, b"zz\r\n"), BAD),
    Kind("bad_head", b"GET / HTTP/1.1\r\nBad Name: x\r\n\r\n", BAD),
    Kind("bad_version", b"GET / HTTP/9.9\r\n\r\n", b"HTTP/1.1 "),
    Kind("nothing", b"", b""),
    Kind("half_head", b"GET / HT", b""),
    Kind("half_body", post("echo", b"Content-Length: 5", b"he"), b""),
]


#: What is logged in different ways.
LOGGED_KINDS = [
    kind
    for kind in KINDS
    if kind.name
    in ("hello", "generator", "raising", "errors", "missing", "bad_head", "bad_chunked")
]


def exchange(address: str, kind: Kind) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(address)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(kind.sent)
        if not kind.expected:
            return b""
        answer = bytearray()
        with contextlib.suppress(ConnectionResetError):
            while data := sock.recv(65536):
                answer += data
    if not answer.startswith(kind.expected):
        raise SystemExit(f"{kind.name}: expected {kind.expected!r}, got {bytes(answer[:200])!r}")
    return bytes(answer)


def counts(address: str) -> tuple[int, int]:
    body = exchange(address, Kind("counts", b"GET /counts HTTP/1.0\r\n\r\n", b"HTTP/1."))
    references, descriptors = body.rpartition(b"\r\n")[2].split()
    return int(references), int(descriptors)


def counts_at_rest(address: str, descriptors: int) -> tuple[int, int]:
    """The counts once connections that their clients have left are closed."""
    deadline = time.monotonic() + REST_SECONDS
    while (now := counts(address))[1] > descriptors and time.monotonic() < deadline:
        time.sleep(0.02)
    return now


def check(address: str, kind: Kind, number: int) -> str | None:
    """Rounds of requests until the counts are at rest."""
    history = [counts(address)]
    descriptors = history[0][1]
    while len(history) < ROUNDS:
        for _ in range(number):
            exchange(address, kind)
        history.append(counts_at_rest(address, descriptors))
        if history[-1] <= history[-2] and history[-1][1] <= descriptors:
            return None
    grown = [after[0] - before[0] for before, after in pairwise(history)]
    return (
        f"{kind.name}: references grow by {grown} in rounds of {number} requests; "
        f"descriptors from {descriptors} to {history[-1][1]}"
    )


#: Everything takes the way through Python's logging.
LOGGER = """
from saola.glogging import Logger

class logger_class(Logger):
    pass
"""


@contextlib.contextmanager
def serve(config: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/socket"
        log = Path(folder, "log")
        Path(folder, "conf.py").write_text(config)
        options = (
            f"--config {folder}/conf.py --chdir {HERE} --workers 1 --bind unix:{address} "
            f"--error-logfile {log} --access-logfile {folder}/access"
        )
        server = subprocess.Popen([sys.executable, "-m", "saola", *options.split(), "app:app"])
        try:
            deadline = time.monotonic() + BOOT_SECONDS
            while not os.path.exists(address):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("the server did not start:\n" + read_if_any(log))
                time.sleep(0.05)
            yield address
        finally:
            server.send_signal(signal.SIGTERM)
            if server.wait(timeout=40) != 0:
                print(read_if_any(log)[-5000:], file=sys.stderr)
                raise SystemExit(f"the server's exit code is {server.returncode}")


def read_if_any(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def leaks_of(config: str, kinds: list[Kind], number: int) -> list[str]:
    with serve(config) as address:
        for kind in kinds:  # the warm-up
            for _ in range(10):
                exchange(address, kind)
        return [leak for kind in kinds if (leak := check(address, kind, number))]


def main(number: int) -> int:
    if not hasattr(sys, "gettotalrefcount"):
        raise SystemExit("refleak.py: this takes a debug build of Python")
    leaks = leaks_of("", KINDS, number) + leaks_of(LOGGER, LOGGED_KINDS, number // 2)
    print(*leaks, sep="\n", end="\n" if leaks else "")
    print(f"{len(KINDS) + len(LOGGED_KINDS) - len(leaks)} passed, {len(leaks)} failed")
    return 1 if leaks else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 300))
