# SPDX-License-Identifier: MIT
"""The turns: who is measured when.

For each case all servers are started and warmed up; then for each number of connections they take
turns, A B C A B C, as many rounds as asked for, so that what else goes on on the machine falls on
all of them alike. One server works at a time, the others wait for events.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from . import cases, load
from .cases import Case
from .load import Clients, Load, LoadFailed
from .process import Running, ServerFailed
from .servers import Server

IDLE_CONNECTIONS = 10_000
SLOW_CLIENTS = 5_000
BESIDE_CONNECTIONS = 16
STREAM_SECONDS = 5.0
STREAM_SAMPLE_S = 0.1
WARM_UP_S = 1
ERRORS_TOLERATED = 0.01


@dataclass(frozen=True)
class Options:
    rounds: int
    seconds: int
    server_core: int
    load_core: int
    progress: bool = True


@dataclass(frozen=True)
class Sample:
    """One round of one server in one case."""

    server: str
    case: str
    connections: int
    round_no: int
    requests: int
    cpu_us: float  # per request
    rps: float
    p50_us: float
    p99_us: float
    memory_kib: int
    errors: int


@dataclass(frozen=True)
class Holding:
    """A case whose connections are held, once for each server."""

    server: str
    case: str
    connections: int
    held: int
    before_kib: int
    after_kib: int
    alone: Load | None = None  # wrk without the held connections
    beside: Load | None = None  # and with them

    @property
    def grown_kib(self) -> int:
        return self.after_kib - self.before_kib


@dataclass
class Results:
    """All that was measured, and what could not be."""

    samples: list[Sample] = field(default_factory=list)
    holdings: list[Holding] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)  # "server case" to reason
    missing: dict[str, str] = field(default_factory=dict)  # server to reason
    about: dict[str, Any] = field(default_factory=dict)  # machine, versions, command, date

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Results:
        def holding(item: dict[str, Any]) -> Holding:
            loads = {
                name: Load(**item[name]) if item[name] else None for name in ("alone", "beside")
            }
            return Holding(**{**item, **loads})

        return cls(
            samples=[Sample(**item) for item in data["samples"]],
            holdings=[holding(item) for item in data["holdings"]],
            failures=data["failures"],
            missing=data["missing"],
            about=data["about"],
        )


Cells = dict[Case, dict[int, list[Server]]]
"""For each case and number of connections the servers that take turns in it."""


class Plan:
    def __init__(self, cells: Cells, options: Options, results: Results) -> None:
        self.cells = cells
        self.options = options
        self.results = results

    def run(self) -> None:
        for case, by_connections in self.cells.items():
            if case.holds:
                self._hold(case, _union(by_connections.values()))
            else:
                self._load(case, by_connections)

    def _load(self, case: Case, by_connections: dict[int, list[Server]]) -> None:
        running: dict[str, Running] = {}
        try:
            for server in _union(by_connections.values()):
                self._attempt(server, case, partial(self._start, server, case, running))
            for connections, servers in by_connections.items():
                for round_no in range(self.options.rounds):
                    for server in servers:
                        if server.name in running:
                            self._turn(running, server, case, connections, round_no)
        finally:
            for one in running.values():
                one.stop()

    def _start(self, server: Server, case: Case, running: dict[str, Running]) -> None:
        one = Running(server, case, self.options.server_core)
        running[server.name] = one
        load.wrk(case, one.port, BESIDE_CONNECTIONS, WARM_UP_S, self.options.load_core)

    def _turn(
        self,
        running: dict[str, Running],
        server: Server,
        case: Case,
        connections: int,
        round_no: int,
    ) -> None:
        one = running[server.name]

        def measure() -> None:
            if not one.alive():
                raise ServerFailed(f"died: {one.last_words()}")
            sample = self._sample(one, connections, round_no)
            self.results.samples.append(sample)
            self._say(server, case, connections, f"{sample.cpu_us:8.2f} us {sample.rps:9.0f}/s")

        if not self._attempt(server, case, measure, connections):
            running.pop(server.name).stop()

    def _sample(self, one: Running, connections: int, round_no: int) -> Sample:
        options = self.options
        one.settle()
        before = one.cpu_seconds()
        seen = load.wrk(one.case, one.port, connections, options.seconds, options.load_core)
        cpu = one.cpu_seconds() - before
        if seen.requests == 0:
            raise LoadFailed("no request was answered")
        if seen.errors > seen.requests * ERRORS_TOLERATED:
            raise LoadFailed(f"{seen.errors} errors beside {seen.requests} answers")
        return Sample(
            server=one.server.name,
            case=one.case.name,
            connections=connections,
            round_no=round_no,
            requests=seen.requests,
            cpu_us=cpu * 1e6 / seen.requests,
            rps=seen.rps,
            p50_us=seen.p50_us,
            p99_us=seen.p99_us,
            memory_kib=one.memory_kib(),
            errors=seen.errors,
        )

    def _hold(self, case: Case, servers: list[Server]) -> None:
        kinds = {"idle": self._idle, "slow": self._slow, "stream": self._stream}
        for server in servers:
            self._attempt(server, case, partial(self._hold_one, server, case, kinds[case.name]))

    def _hold_one(self, server: Server, case: Case, kind: Callable[[Running], Holding]) -> None:
        with Running(server, case, self.options.server_core) as one:
            hello = cases.BY_NAME["hello"]
            load.wrk(hello, one.port, BESIDE_CONNECTIONS, WARM_UP_S, self.options.load_core)
            one.settle()
            holding = kind(one)
        self.results.holdings.append(holding)
        grown = f"{holding.grown_kib / 1024:8.2f} MiB more, {holding.held} held"
        self._say(server, case, holding.connections, grown)

    def _idle(self, one: Running) -> Holding:
        before = one.memory_kib()
        with Clients("idle", one.port, IDLE_CONNECTIONS, self.options.load_core) as clients:
            one.settle()
            after = one.memory_kib()
            held = clients.held()
        if held == 0:
            raise ServerFailed("keeps no connection alive")
        return Holding(one.server.name, "idle", IDLE_CONNECTIONS, held, before, after)

    def _slow(self, one: Running) -> Holding:
        alone = self._others(one)
        one.settle()
        before = one.memory_kib()
        with Clients("slow", one.port, SLOW_CLIENTS, self.options.load_core) as clients:
            beside = self._others(one)
            after = one.memory_kib()
            held = clients.held()
        return Holding(one.server.name, "slow", SLOW_CLIENTS, held, before, after, alone, beside)

    def _others(self, one: Running) -> Load:
        """What other clients get: the round in the middle."""
        hello, options = cases.BY_NAME["hello"], self.options
        loads = [
            load.wrk(hello, one.port, BESIDE_CONNECTIONS, options.seconds, options.load_core)
            for _ in range(options.rounds)
        ]
        return sorted(loads, key=lambda seen: seen.rps)[len(loads) // 2]

    def _stream(self, one: Running) -> Holding:
        before = after = one.memory_kib()
        with Clients("stream", one.port, 1, self.options.load_core) as clients:
            deadline = time.monotonic() + STREAM_SECONDS
            while time.monotonic() < deadline:
                after = max(after, one.memory_kib())
                time.sleep(STREAM_SAMPLE_S)
            held = clients.held()
        return Holding(one.server.name, "stream", 1, held, before, after)

    def _attempt(
        self, server: Server, case: Case, action: Callable[[], None], connections: int = 0
    ) -> bool:
        """Runs the action; a failure is noted for the table and ends nothing else."""
        try:
            action()
        except (ServerFailed, LoadFailed, OSError) as error:
            where = f"{case.name}, {connections} connections" if connections else case.name
            self.results.failures[f"{server.name}: {where}"] = str(error)
            self._say(server, case, connections, f"failed: {error}")
            return False
        return True

    def _say(self, server: Server, case: Case, connections: int, text: str) -> None:
        if self.options.progress:
            print(f"{case.name:9} {connections:5} {server.name:17} {text}", file=sys.stderr)


def _union(groups: Iterable[list[Server]]) -> list[Server]:
    """Every server of the groups once, in order."""
    return list(dict.fromkeys(server for group in groups for server in group))
