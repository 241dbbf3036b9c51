# SPDX-License-Identifier: MIT
"""Python code that steers the arbiter: its methods, from hooks and from a subclass."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from conftest import Serve
from procs import poll
from server import Ready, Server

pytestmark = pytest.mark.saola_only

# A program of its own, as those that embed the server: what it overrides is the test's.
EMBEDDED = """
import os, signal, sys, time
from saola.app.base import BaseApplication
from saola.arbiter import Arbiter
from saola.errors import HaltServer
import basic

class Mine(Arbiter):
{methods}

class App(BaseApplication):
    def load_config(self):
        self.cfg.set("bind", sys.argv[2])
        self.cfg.set("workers", 2)
    def load(self):
        return basic.app
    def run(self):
        Mine(self).run()

App().run()
"""


def embed(serve: Serve, tmp_path: Path, methods: str, ready: Ready = "answer") -> Server:
    file = tmp_path / "embedded.py"
    indented = "".join(f"    {line}\n" for line in methods.strip("\n").splitlines())
    file.write_text(EMBEDDED.format(methods=indented))
    return serve(None, command=[sys.executable, str(file)], ready=ready)


def test_methods_that_are_overridden(serve: Serve, tmp_path: Path) -> None:
    methods = """
passes = 0
def start(self):
    super().start()
    self.log.info("mine: start at %s", self.LISTENERS[0])
def manage_workers(self):
    self.passes += 1
    if self.passes == 2:
        self.log.info("mine: managed")
    super().manage_workers()
def spawn_worker(self):
    pid = super().spawn_worker()
    self.log.info("mine: spawned %s %s", pid, pid in self.WORKERS)
    return pid
def handle_hup(self):
    self.log.info("mine: hup")
    super().handle_hup()
def reload(self):
    self.log.info("mine: reload")
    super().reload()
def handle_ttin(self):
    self.log.info("mine: %s", self.num_workers)
    self.num_workers += 2
def stop(self, graceful=True):
    self.log.info("mine: stop %s", graceful)
    super().stop(graceful)
"""
    server = embed(serve, tmp_path, methods)
    server.wait_log(r"mine: start at http://127\.0\.0\.1:\d+")
    server.wait_log(r"mine: managed")
    server.wait_log(r"mine: spawned \d+ True", 2)
    old = server.wait_workers(2)
    server.kill(signal.SIGHUP)
    server.wait_log("mine: hup\n.*mine: reload")
    server.wait_workers(2, other_than=old)
    server.kill(signal.SIGTTIN)
    server.wait_log("mine: 2$")
    server.wait_workers(4)
    assert server.terminate() == 0
    assert server.wait_log("mine: stop True")


def test_worker_beyond_the_number(serve: Serve, tmp_path: Path) -> None:
    """As programs do that refresh their workers: one more is forked, then the oldest goes."""
    methods = """
def handle_usr1(self):
    oldest = min(self.WORKERS, key=lambda pid: self.WORKERS[pid].age)
    pid = self.spawn_worker()
    assert len(self.WORKERS) == 3, self.WORKERS
    assert self.WORKERS[pid].tmp.last_update() >= 0
    assert time.monotonic() - self.WORKERS[oldest].tmp.last_update() < 3600
    self.kill_worker(oldest, signal.SIGTERM)
    self.kill_worker(oldest, signal.SIGTERM)
    self.kill_worker(1, signal.SIGTERM)
    self.log.info("mine: %s for %s", pid, oldest)
"""
    server = embed(serve, tmp_path, methods)
    before = server.wait_workers(2)
    server.kill(signal.SIGUSR1)
    server.wait_log("mine: ")
    poll(lambda: len(set(server.workers()) - set(before)) == 1 == len(server.workers()) - 1, "two")
    assert server.request("/").status == 200


@pytest.mark.parametrize(
    ("method", "code", "text"),
    [
        ("def handle_usr1(self): raise HaltServer('enough', 7)", 7, "Reason: enough"),
        ("def handle_usr1(self): raise HaltServer('all done', 0)", 0, "Reason: all done"),
        ("def handle_usr1(self): raise HaltServer('\\udcff', 7)", 7, r"Reason: \\udcff"),
        ("def handle_usr1(self): raise HaltServer(None, 7)", 7, "Shutting down: Master"),
        ("def handle_usr1(self): self.halt('\\udcff', 7)", 7, "Reason: "),
        ("def handle_usr1(self): self.halt('no more', 9)", 9, "Reason: no more"),
        ("def handle_usr1(self): raise StopIteration", 0, "Shutting down: Master"),
        ("def handle_usr1(self): self.stop(graceful=False)", 0, "Shutting down: Master"),
        ("def handle_usr1(self): sys.exit(5)", 5, "Shutting down: Master"),
        ("def handle_usr1(self): 1 / 0", 255, "Unhandled exception in main loop"),
    ],
)
def test_ways_to_end(serve: Serve, tmp_path: Path, method: str, code: int, text: str) -> None:
    server = embed(serve, tmp_path, method)
    server.allow("Reason: ", "Shutting down", "Unhandled exception", "ZeroDivisionError")
    server.kill(signal.SIGUSR1)
    assert server.wait() == code
    server.wait_log(text)


def test_methods_in_a_hook(serve: Serve) -> None:
    config = """
import signal
def when_ready(server):
    server.num_workers = 2
def child_exit(server, worker):
    server.log.info("left: %s", server.num_workers)
    server.wakeup()
    server.reap_workers()
    server.murder_workers()
    if server.num_workers == 2:
        server.num_workers = 3
def post_fork(server, worker):
    try:
        server.kill_workers(signal.SIGTERM)
    except RuntimeError as error:
        worker.log.info("in a worker: %s", error)
"""
    server = serve(config=config)
    server.allow("was sent SIG", "failed to boot")  # the worker may not be ready yet
    workers = server.wait_workers(2)
    server.wait_log("in a worker: no arbiter is running in this process", 2)
    server.kill(signal.SIGKILL, workers[0])
    server.wait_log("left: 2")
    server.wait_workers(3)


def test_patched_method(serve: Serve) -> None:
    """As instrumentation does: the class itself is changed."""
    config = """
from saola.arbiter import Arbiter
stock = Arbiter.spawn_worker
def spawn_worker(self):
    self.log.info("patched")
    return stock(self)
Arbiter.spawn_worker = spawn_worker
"""
    serve(config=config).wait_log("patched")
