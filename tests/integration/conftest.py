# SPDX-License-Identifier: MIT
"""Fixtures of the integration tests.

`serve` starts servers for one test; `basic` is one that the tests of a module share. After every
test each server that runs is asked what it has left behind: open descriptors in its workers, errors
in its log; and when it stops also processes, temporary files, sockets and pid files. A test says in
advance which records of the log it provokes: `server.allow(...)`.

Markers: `saola_only` for what Gunicorn does otherwise or not at all (skipped when it stands in),
`slow` for what takes more than a few seconds (skipped without --slow), `memory` for measurements of
memory (skipped under a sanitizer).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest
from server import IS_GUNICORN, PATIENT, SANITIZED, Finished, Ready, Server, run

LIVE: list[Server] = []


class Serve(Protocol):
    def __call__(
        self,
        app: str | None = "basic:app",
        *args: str,
        config: str | None = None,
        env: Mapping[str, str] | None = None,
        binds: Sequence[str] = ("tcp",),
        ready: Ready = "answer",
        workers: int = 1,
        pass_fds: Sequence[int] = (),
        prefix: Sequence[str] = (),
        command: Sequence[str] = ...,
    ) -> Server: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def pytest_configure(config: pytest.Config) -> None:
    for line in (
        "saola_only: Gunicorn does otherwise or not at all",
        "slow: takes more than a few seconds, needs --slow",
        "memory: measures memory, not under a sanitizer",
    ):
        config.addinivalue_line("markers", line)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reasons = {
        "saola_only": IS_GUNICORN and "Gunicorn stands in for Saola",
        "slow": not config.getoption("--slow") and "needs --slow",
        "memory": SANITIZED and "memory is not measured under a sanitizer",
    }
    for item in items:
        for name, reason in reasons.items():
            if reason and item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=reason))
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(300))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for server in LIVE:
            if server.stderr_path.exists():
                report.sections.append((f"log of {' '.join(server.command)}", server.tail()))
    return report


class Launcher:
    """Starts servers, each in a directory of its own, and ends them."""

    def __init__(self, directory: Callable[[], Path]) -> None:
        self.directory = directory
        self.servers: list[Server] = []

    def start(self, app: str | None = "basic:app", *args: str, **options: object) -> Server:
        server = Server(self.directory(), app, *args, **options)  # type: ignore[arg-type]
        self.servers.append(server)
        LIVE.append(server)
        return server

    def finish(self) -> None:
        """Ends all servers, whatever one of them has left; the first complaint is the result."""
        complaints: list[Exception] = []
        for server in self.servers:
            try:
                server.finish()
            except Exception as error:
                complaints.append(error)
        if complaints:
            raise complaints[0]


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Checks the shared servers after every test; those of the test's own are at their end."""
    LIVE[:] = [server for server in LIVE if not server.reaped]
    for server in LIVE:
        server.test_began = len(server.log)
    yield
    for server in LIVE:
        if server.popen.poll() is None:
            server.check_idle()


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    launcher = Launcher(lambda: tmp_path_factory.mktemp("server"))
    yield launcher.start
    launcher.finish()


@pytest.fixture(scope="module")
def serve_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    launcher = Launcher(lambda: tmp_path_factory.mktemp("server"))
    yield launcher.start
    launcher.finish()


@pytest.fixture(scope="module")
def basic(serve_module: Serve) -> Server:
    """A server of basic:app that the tests of the module share."""
    return serve_module("basic:app", *PATIENT)


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., Finished]:
    """Runs the server with some arguments until it ends by itself."""

    def command(*args: str, **options: object) -> Finished:
        return run(tmp_path, *args, **options)  # type: ignore[arg-type]

    return command
