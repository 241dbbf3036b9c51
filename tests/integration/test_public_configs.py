# SPDX-License-Identifier: MIT
"""Configuration files as public projects have them: under Saola's name, and under Gunicorn's."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Serve
from procs import command_line, poll
from server import APPS, Server

pytestmark = [
    pytest.mark.saola_only,
    pytest.mark.parametrize("program", ["saola", "gunicorn"], indirect=True),
]

TESTS = APPS.parent
Start = Callable[..., Server]


@pytest.fixture
def program(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def start(serve: Serve, program: str, tmp_path: Path) -> Start:
    """Starts a server with a configuration file of tests/configs."""
    shim = TESTS.parent / "packaging" / "gunicorn-saola"
    path = [str(tmp_path), str(APPS), *([str(shim)] if program == "gunicorn" else [])]
    path += filter(None, [os.environ.get("PYTHONPATH")])

    def start(config: str, app: str | None, workers: int = 1, module: bool = False) -> Server:
        text = (TESTS / "configs" / f"{config}.py").read_text()
        text = re.sub(r"\bfrom gunicorn\.", f"from {program}.", text)
        (tmp_path / f"{config}.py").write_text(text)
        source = f"python:{config}" if module else str(tmp_path / f"{config}.py")
        env = {"PYTHONPATH": os.pathsep.join(path), "TEST_APPS": str(APPS)}
        env |= {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
        env |= {"DJANGOSITE_DATA": str(tmp_path)}
        command = [sys.executable, "-m", program]
        return serve(app, "-c", source, command=command, env=env, workers=workers)

    return start


def test_django(start: Start) -> None:
    pytest.importorskip("django")
    server = start("django_site", "djangosite.wsgi", workers=2)
    server.wait_log("Server is ready. Spawning workers")
    workers = server.wait_workers(2)
    server.wait_log(r"Worker spawned \(pid: \d+\)", 2)
    server.wait_log(r"Worker initialized \(pid: \d+\)", 2)
    server.allow("failed to boot")  # it may not have said yet that it is ready
    assert server.request("/").status == 200
    poll(lambda: '"GET / HTTP/1.1" 200' in server.output, "an access line")
    server.kill(signal.SIGINT, workers[0])
    server.wait_log("# Thread: MainThread")
    server.wait_workers(2, other_than=workers[:1])


def test_flask(start: Start) -> None:
    pytest.importorskip("flask")
    server = start("flask_factory", None, workers=2)
    response = server.request("/", headers=[("X-Forwarded-Proto", "https")])
    assert response.text == "hello"
    server.wait_log(r"^\[.*\] \[\d+\] \[INFO\] greeting, over https$")


# For where the package is not installed: its two functions.
SETPROCTITLE = """
from pathlib import Path
from saola import _core

def setproctitle(title):
    _core.set_title(title)

def getproctitle():
    return Path("/proc/self/cmdline").read_bytes().split(b"\\0")[0].rstrip(b".").decode()
"""


def test_airflow(start: Start, program: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("setproctitle") is None:
        (tmp_path / "setproctitle.py").write_text(SETPROCTITLE)
    server = start("airflow_like", "basic:app", module=True)
    server.wait_log("Looking for providers")
    title = f"[ready] {program}: worker [basic:app]"
    poll(
        lambda: command_line(server.worker).startswith(title),
        lambda: f"{title}; it is {command_line(server.worker)}",
    )
    assert command_line(server.pid).startswith(f"{program}: master [basic:app]")


def test_prometheus(start: Start, tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    server = start("prometheus", "metrics:app", workers=2)
    files = tmp_path / "metrics"

    def gauges() -> set[str]:
        return {path.name for path in files.glob("gauge_livesum_*.db")}

    def has_both() -> bool:
        return re.search(r"^workers 2\.0$", server.request("/").text, re.MULTILINE) is not None

    first, _ = server.wait_workers(2)
    poll(has_both, "both workers")
    assert f"gauge_livesum_{first}.db" in gauges()
    server.kill(signal.SIGTERM, first)
    poll(lambda: f"gauge_livesum_{first}.db" not in gauges(), "what child_exit does")
    counted = re.search(r"^requests_total (\d+)", server.request("/").text, re.MULTILINE)
    assert counted
    assert int(counted[1]) >= 2
    assert server.terminate() == 0
    assert not files.exists()


def test_sentry(start: Start) -> None:
    pytest.importorskip("sentry_sdk")
    server = start("sentry", "basic:app")
    server.allow("Error handling request", "Traceback")
    assert server.request("/raise-before").status == 500
    events = server.tmp / "events.txt"
    poll(lambda: events.exists() and events.read_text(), "an event")
    assert server.request("/").status == 200


def test_tracing(start: Start) -> None:
    server = start("tracing", "basic:app")
    assert str(server.worker) in server.request("/environ").text
    server.wait_log(rf"exported GET /environ 200 {server.worker}")


def test_json_logger(start: Start, program: str) -> None:
    server = start("json_logger", "basic:app")
    server.request("/echo", method="POST", body=b"x")

    def lines() -> list[dict[str, object]]:
        return [json.loads(line) for line in server.output.splitlines()]

    poll(lambda: any(line.get("path") == "/echo" for line in lines()), "an access line")
    assert {"logger": "gunicorn.access", "level": "INFO", "path": "/echo", "status": 200} in lines()
    texts = [json.loads(line)["text"] for line in server.log.splitlines()]
    assert any(text.startswith(f"Starting {program} ") for text in texts)
