# SPDX-License-Identifier: MIT
"""--reload: workers restart when files change, and errors are shown until they are mended."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from client import Response
from conftest import Serve
from procs import poll
from server import SANITIZED, Server

pytestmark = pytest.mark.saola_only

SITE = """
import time
import parts
def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        open("started", "w").close()
        time.sleep(2)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"site " + parts.TEXT]
"""

HOOKS = """
def worker_int(worker):
    worker.log.info("worker_int of %s", worker.age)
"""


def put(file: Path, text: str) -> None:
    """In one step: half a change must not be taken for the whole. Always longer than before."""
    size = file.stat().st_size + 1 if file.exists() else 0
    data = text.ljust(size, "\n").encode()
    fd = os.open(file, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        assert os.write(fd, data) == len(data)
    finally:
        os.close(fd)


def write(folder: Path, text: str = SITE, part: str = "TEXT = b'one'\n") -> None:
    put(folder / "parts.py", part)
    put(folder / "site_.py", text)


def start(serve: Serve, folder: Path, *args: str, config: str = HOOKS) -> Server:
    return serve("site_:app", "--reload", "--pythonpath", str(folder), *args, config=config)


def wait_body(server: Server, part: bytes) -> Response:
    """Asks until the answer has `part` in it."""

    def found() -> Response | None:
        response = server.request("/")
        return response if part in response.body else None

    found_one = poll(found, f"{part!r} in the answer")
    assert found_one
    return found_one


@pytest.mark.parametrize("engine", ["poll", "inotify", "auto"])
def test_changed_module(serve: Serve, tmp_path: Path, engine: str) -> None:
    write(tmp_path)
    server = start(serve, tmp_path, "--reload-engine", engine)
    assert server.wait_log(r"\[WARNING\] Reloader is on. Use in development only!")
    first = server.worker
    put(tmp_path / "parts.py", "TEXT = b'other'\n")
    wait_body(server, b"site other")
    assert server.wait_log(rf"\[{first}\] \[INFO\] Worker reloading: {tmp_path}/parts.py modified")
    assert server.wait_log(r"worker_int of 1")
    assert server.worker != first
    put(tmp_path / "parts.py", "TEXT = b'again and again'\n")
    wait_body(server, b"site again")
    assert not server.messages("ERROR")


def test_every_worker_restarts(serve: Serve, tmp_path: Path) -> None:
    write(tmp_path)
    config = "def post_worker_init(worker): worker.log.info('loaded')\n"
    args = ("site_:app", "--reload", "--pythonpath", str(tmp_path))
    server = serve(*args, config=config, workers=3)
    server.wait_log("loaded", 3)
    old = server.wait_workers(3)
    put(tmp_path / "parts.py", "TEXT = b'other'\n")
    server.wait_workers(3, other_than=old)
    assert len(server.wait_log("Worker reloading: ", 3)) == 3
    wait_body(server, b"other")
    assert server.terminate() == 0
    assert ") ended: " not in server.log  # no obituary: everybody knows why they went


def test_request_in_progress_is_finished(serve: Serve, tmp_path: Path) -> None:
    write(tmp_path)
    server = start(serve, tmp_path)
    answers: list[Response] = []
    client = threading.Thread(target=lambda: answers.append(server.request("/slow")))
    client.start()
    poll((server.tmp / "started").exists, "the slow request")
    put(tmp_path / "parts.py", "TEXT = b'other'\n")
    wait_body(server, b"other")
    client.join()
    assert (answers[0].status, answers[0].body) == (200, b"site one")


def test_extra_files(serve: Serve, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "a.html").write_text("one")
    pattern = str(tmp_path / "*.html")
    server = start(serve, tmp_path, "--reload-extra-file", pattern)
    first = server.worker
    put(tmp_path / "a.html", "longer")
    server.wait_log("Worker reloading: .*/a.html modified")
    server.wait_workers(1, other_than=[first])


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        ("TEXT = (\n", b"SyntaxError"),
        ("import no_such_module_at_all\n", b"ModuleNotFoundError"),
        ("TEXT = 1 / 0\n", b"ZeroDivisionError"),
    ],
)
def test_error_is_shown_until_it_is_mended(
    serve: Serve, tmp_path: Path, broken: str, error: bytes
) -> None:
    write(tmp_path)
    server = start(serve, tmp_path)
    server.allow(error.decode(), "Error loading the application")
    put(tmp_path / "parts.py", broken)
    page = wait_body(server, error)
    assert (page.status, page.get("Content-Type")) == (500, "text/plain")
    assert b"Traceback" in page.body
    assert b"parts.py" in page.body
    put(tmp_path / "parts.py", "TEXT = b'mended'\n")
    assert wait_body(server, b"site mended").status == 200
    server.wait_workers(1)
    assert not server.messages("CRITICAL")


def test_error_at_the_start(serve: Serve, tmp_path: Path) -> None:
    write(tmp_path, text="def app(\n")
    server = start(serve, tmp_path)
    server.allow("SyntaxError", "Error loading the application")
    assert b"SyntaxError" in server.request("/").body
    write(tmp_path)
    wait_body(server, b"site one")


def test_preload_app_makes_way(serve: Serve, tmp_path: Path) -> None:
    write(tmp_path)
    server = start(serve, tmp_path, "--preload")
    server.wait_log("preload_app has no effect while the reloader is on")
    put(tmp_path / "parts.py", "TEXT = b'other'\n")
    wait_body(server, b"site other")


@pytest.mark.skipif(SANITIZED, reason="every line of Python is printed, and takes long enough")
def test_spew(serve: Serve) -> None:
    server = serve("basic:app", "--spew")
    server.request("/echo", method="POST", body=b"x")
    server.wait_log(r"^basic:\d+: ")
