# SPDX-License-Identifier: MIT
"""Workers give each other connections: what a client must not notice."""

from __future__ import annotations

import json
import signal

import pytest
from client import Connection
from conftest import Serve
from load import Load
from server import Server

pytestmark = pytest.mark.saola_only

CLIENTS = 16
TURNS = 20


def pid_of(connection: Connection) -> int:
    pid: int = json.loads(connection.request("/state").body)["pid"]
    return pid


def renewed(server: Server, before: list[int], count: int) -> list[int]:
    """The workers, when all of them are new."""
    return server.wait_workers(count, other_than=before)


def test_keep_alive_clients_survive_reloads(serve: Serve) -> None:
    server = serve("basic:app", "--keep-alive", "30", workers=2)
    with Load(server.address, connections=CLIENTS, interval=0.1) as load:
        load.wait(answered=CLIENTS)
        for _ in range(TURNS):
            workers = server.wait_workers(2)
            server.kill(signal.SIGHUP)
            renewed(server, workers, 2)
        load.wait(answered=CLIENTS)
        result = load.stop()
    result.check(at_least=CLIENTS)
    assert result.opened == CLIENTS


def test_keep_alive_clients_survive_recycling(serve: Serve) -> None:
    server = serve("basic:app", "--keep-alive", "30", "--max-requests", "20", workers=2)
    with Load(server.address, connections=CLIENTS, interval=0.1) as load:
        server.wait_log("Autorestarting worker", TURNS)
        load.wait(answered=CLIENTS)
        result = load.stop()
    result.check(at_least=CLIENTS)
    assert result.opened == CLIENTS
