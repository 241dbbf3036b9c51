# SPDX-License-Identifier: MIT
"""An application whose requests leave processes behind, which live until a file is there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def wait_and_end(file: str) -> NoReturn:
    end = time.monotonic() + 60
    while not os.path.exists(file) and time.monotonic() < end:
        time.sleep(0.01)
    os._exit(0)


def fork(file: str) -> int:
    pid = os.fork()
    if pid == 0:
        wait_and_end(file)
    return pid


def detach(file: str) -> int:
    """As a daemon does it: nobody's child but that of process 1, in a session of its own."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writing, str(os.getpid()).encode())
            wait_and_end(file)
        os._exit(0)
    os.waitpid(pid, 0)
    detached = int(os.read(reading, 100))
    os.close(reading)
    os.close(writing)
    return detached


def spawn(file: str) -> int:
    """Another program, which gets every descriptor that is not closed on exec."""
    code = "import family, sys; family.wait_and_end(sys.argv[1])"
    return subprocess.Popen([sys.executable, "-c", code, file], close_fds=False).pid


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    what = {"/fork": fork, "/detach": detach, "/spawn": spawn}.get(environ["PATH_INFO"])
    data = str(what(environ["QUERY_STRING"]) if what else os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(data)))])
    return [data]
