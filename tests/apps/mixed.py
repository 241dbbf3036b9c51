# SPDX-License-Identifier: MIT
"""Fast requests and slow ones; every answer is the worker's pid."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """/MILLISECONDS sleeps that long, anything else does not."""
    name: str = environ["PATH_INFO"].strip("/")
    if name.isdigit():
        time.sleep(int(name) / 1000)
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
