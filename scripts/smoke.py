# SPDX-License-Identifier: MIT
"""Serve the example with the given command and ask it for a page.

usage: smoke.py COMMAND...
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def fetch(url: str, server: subprocess.Popen[bytes], deadline: float) -> bytes:
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                body: bytes = response.read()
                return body
        except urllib.error.URLError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def main(command: list[str]) -> int:
    bind = f"127.0.0.1:{free_port()}"
    with subprocess.Popen(
        [*command, "--chdir", str(EXAMPLES), "--bind", bind, "hello:app"],
        stderr=subprocess.PIPE,
    ) as server:
        try:
            body = fetch(f"http://{bind}/", server, time.monotonic() + 20)
        finally:
            server.terminate()
            _, log = server.communicate(timeout=20)
    if b"Saola" not in body or server.returncode != 0:
        sys.stderr.buffer.write(log)
        print(f"exit code {server.returncode}, answer {body!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
