# SPDX-License-Identifier: MIT
"""Notes in the file $CHAOS_LOG which request has begun and ended in which worker.

When it is imported it runs boot.py of the current directory, if there is one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LOG = os.open(os.environ["CHAOS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

try:
    BOOT = Path("boot.py").read_text()
except FileNotFoundError:
    BOOT = ""
exec(BOOT)


def note(event: str, identity: str) -> None:
    os.write(LOG, f"{event} {identity} {os.getpid()}\n".encode())


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """/MILLISECONDS takes that long."""
    identity = environ.get("HTTP_X_REQUEST_ID", "-")
    note("begun", identity)
    name: str = environ["PATH_INFO"].strip("/")
    if name.isdigit():
        time.sleep(int(name) / 1000)
    body = f"{environ['PATH_INFO']}\n".encode()
    note("ended", identity)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
