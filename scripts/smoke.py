# SPDX-License-Identifier: MIT
"""Serve the example with the given command and ask it for a page.

usage: smoke.py COMMAND...
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

#: No proxy that the environment names.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Nobody else gets it meanwhile: bound, not listening, and with SO_REUSEADDR."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def fetch(url: str, server: subprocess.Popen[bytes], deadline: float) -> bytes:
    while True:
        try:
            with OPENER.open(url, timeout=20) as response:
                body: bytes = response.read()
                return body
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def main(command: list[str]) -> int:
    with reserved_port() as port:
        return serve(command, f"127.0.0.1:{port}")


def serve(command: list[str], bind: str) -> int:
    with subprocess.Popen(
        [*command, "--chdir", str(EXAMPLES), "--bind", bind, "hello:app"],
        stderr=subprocess.PIPE,
    ) as server:
        try:
            body = fetch(f"http://{bind}/", server, time.monotonic() + 60)
        finally:
            server.terminate()
            _, log = server.communicate(timeout=60)
    if b"Saola" not in body or server.returncode != 0:
        sys.stderr.buffer.write(log)
        print(f"exit code {server.returncode}, answer {body!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
