# SPDX-License-Identifier: MIT
"""Workers share the work: connections spread evenly, no request waits while a worker is idle."""

from __future__ import annotations

import heapq
import time
from collections.abc import Sequence

import pytest
from client import Address, Connection, build_request
from conftest import Serve
from load import Load, Result, percentile
from procs import descriptors, poll, served
from server import SANITIZED, Server

pytestmark = pytest.mark.saola_only

WORKERS = 4
SLOW_MS = 200


def sockets(pid: int) -> int:
    return descriptors(pid)["socket"]


def start(serve: Serve, binds: Sequence[str] = ("tcp",)) -> Server:
    """A server all of whose workers have answered a request."""
    server = serve("mixed:app", "--keep-alive", "60", binds=binds, workers=WORKERS)
    pids: set[bytes] = set()

    def all_answer() -> bool:
        """A worker that is busy takes no new connection, so it is another one's."""
        connections = [Connection(server.address) for _ in range(WORKERS)]
        for connection in connections:
            connection.send(build_request("/50", close=True))
        pids.update(connection.read_response().body for connection in connections)
        for connection in connections:
            connection.close()
        return len(pids) == WORKERS

    poll(all_answer, lambda: f"answers of {WORKERS} workers: {pids}")
    return server


class Spread:
    """How many connections each worker has, beyond the sockets that it always has."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.own: dict[int, int] = {}

        def settled() -> bool:
            if any(map(served, server.addresses)):
                return False
            self.own = {pid: sockets(pid) for pid in server.wait_workers(WORKERS)}
            return len({*self.own.values()}) == 1

        poll(settled, lambda: f"as many sockets in every worker: {self.own}")

    def now(self) -> list[int]:
        return sorted(sockets(pid) - own for pid, own in self.own.items())


def check_spread(server: Server, address: Address, count: int, ask: bool) -> None:
    spread = Spread(server)
    for _ in range(count):
        connection = server.connect(address)
        if ask:
            assert connection.request("/").status == 200

    def even() -> bool:
        counts = spread.now()
        return sum(counts) == count and counts[-1] <= count // WORKERS + 1

    poll(even, lambda: f"{count} connections spread evenly: {spread.now()}")


@pytest.mark.parametrize("bind", ["tcp", "unix"])
def test_connections_that_have_asked_once_spread(serve: Serve, bind: str) -> None:
    server = start(serve, [bind])
    check_spread(server, server.address, 32, ask=True)


def test_connections_that_are_silent_spread(serve: Serve) -> None:
    server = start(serve)
    check_spread(server, server.address, 32, ask=False)


def test_connections_to_several_addresses_spread(serve: Serve) -> None:
    server = start(serve, ["tcp", "unix"])
    spread = Spread(server)
    connections: list[Connection] = []
    for number in range(16):
        connections.append(server.connect(server.addresses[number % 2]))
        assert connections[-1].request("/").status == 200
    poll(
        lambda: sum(spread.now()) == 16 and spread.now()[-1] <= 5,
        lambda: f"spread evenly: {spread.now()}",
    )
    assert all(each.request("/").status == 200 for each in connections)


def test_connections_opened_at_once_spread(serve: Serve) -> None:
    server = start(serve)
    spread = Spread(server)
    with Load(server.address, connections=32, interval=0.1) as load:
        poll(
            lambda: sum(spread.now()) == 32 and spread.now()[-1] <= 9,
            lambda: f"spread evenly: {spread.now()}",
        )
        load.stop().check()


def test_short_connections_stay_where_they_are_accepted(serve: Serve) -> None:
    server = serve("mixed:app", workers=WORKERS)
    with Load(server.address, connections=4, short=True) as load:
        load.wait(answered=50)
        load.stop().check()


# --- the tail


def ideal(result: Result, servers: int) -> list[float]:
    """Latencies of the fast requests if the very arrivals of a load had been served by so many
    servers from one queue, first come, first served."""
    free = [0.0] * servers
    latencies: list[float] = []
    for arrival, path in result.arrivals:
        begin = max(arrival, heapq.heappop(free))
        service = SLOW_MS / 1000 if path == SLOW else 0.0
        heapq.heappush(free, begin + service)
        if path == FAST:
            latencies.append(begin - arrival)
    return latencies


FAST, SLOW = "/", f"/{SLOW_MS}"


def measure(server: Server, rate: float, seconds: float, seed: int) -> Result:
    paths = {FAST: 95.0, SLOW: 5.0}
    with Load(server.address, connections=64, rate=rate, paths=paths, seed=seed) as load:
        load.wait(answered=int(rate * seconds), deadline=3 * seconds + 60)
        return load.stop().check(at_least=int(rate * seconds))


def is_calm(result: Result) -> bool:
    """Whether the machine has left most of the requests alone."""
    return len(result.undisturbed(FAST)) > result.answered / 2


def tail(result: Result, slack: float) -> str:
    """What is wrong with the 99th percentile of the fast requests, if anything."""
    best = percentile(ideal(result, WORKERS), 99)
    fast = result.undisturbed(FAST)
    assert is_calm(result), f"the machine stalls all the time: {result.describe()}"
    found = percentile([each.latency for each in fast], 99)
    shown = ", ".join(
        f"{p}%: {1000 * percentile([each.latency for each in fast], p):.1f} ms"
        f" (ideal {1000 * percentile(ideal(result, WORKERS), p):.1f})"
        for p in (50, 90, 95, 98, 99, 99.5)
    )
    print(f"{len(fast)} fast requests: {shown}; {len(result.stalls)} stalls")
    return "" if found <= 1.3 * best + slack else shown


@pytest.mark.skipif(SANITIZED, reason="latencies")
@pytest.mark.parametrize(("rate", "seed"), [(100, 35), (200, 8)])
def test_fast_requests_do_not_wait_behind_slow_ones(serve: Serve, rate: int, seed: int) -> None:
    """What makes them wait does so every time; what else a machine does may disturb one run."""
    server = start(serve)
    runs: list[Result] = []
    wrong = ""
    until = time.monotonic() + 120
    while len(runs) < 5 and time.monotonic() < until:
        runs.append(measure(server, rate, 5.0, seed))
        wrong = tail(runs[-1], 0.02) if is_calm(runs[-1]) else "the machine stalls all the time"
        if not wrong:
            return
    if not any(map(is_calm, runs)):
        pytest.skip(wrong)
    raise AssertionError(wrong)


@pytest.mark.slow
@pytest.mark.skipif(SANITIZED, reason="latencies")
@pytest.mark.parametrize("rate", [100, 200])
def test_the_tail_is_that_of_one_queue(serve: Serve, rate: int) -> None:
    server = start(serve)
    result = measure(server, rate, 60.0, 1)
    assert not tail(result, 0.0)
