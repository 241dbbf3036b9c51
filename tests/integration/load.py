# SPDX-License-Identifier: MIT
"""Load on a server, from a process of its own, with everything noted that a client can notice.

    with Load(server.address, connections=16, interval=0.1) as load:
        load.wait(answered=50)  # the load is really there
        server.kill(signal.SIGHUP)
        ...
        result = load.stop()  # no new requests; those under way are waited for
    result.check()  # nothing failed, no connection was closed by the server
    result.check_faster_than(0.1)  # apart from what the machine itself held up

What a connection does (`connections` of them, each with a request at a time):

    Load(address)                  closed loop: the next request as soon as the answer is in
    Load(address, interval=0.1)    paced: a request every `interval` seconds on each connection,
                                   begun at random moments; a late answer delays the next request
    Load(address, rate=200)        Poisson arrivals, `rate` per second in all, each on a connection
                                   picked at random among those that are free; if none is, it queues
    Load(..., short=True)          a new connection for each request, with Connection: close; the
                                   server has to close it, without a reset

Options: `paths` is one path or a mapping of paths to weights; `bodies` maps a path to the exact
body that its answer must have; `method`, `body` and `headers` are those of every request; `address`
may be a list, TCP and unix mixed, over which the connections are dealt. `reconnect=False` leaves a
connection closed that the server has closed. `retry=True` sends a request again, once and on a new
connection, if it went out on a used connection that was closed before a byte of the answer: what
browsers and proxies do. `notes=True` keeps the body of each answer in its sample. `seed` makes
arrivals and picks repeatable. Every request has a field `X-Request-Id` of its own, which also is in
its Sample or Failure, for tests that want to know whether the application saw it.

`load.stop()` returns a Result. Its `failures` are requests without a right answer: refused, reset,
closed, short, late, wrong. Its `closes` are connections that the server closed after an answer or
while idle; a server that loses nothing may still have to, so they are apart. `samples` are the
answered requests. All times are those of time.monotonic(), so that a test can compare them with
what it did when.

Machines stall: processes that only sleep, one on each CPU and at most four, note every timer that
was more than STALL seconds late. The latencies of a Sample are as the client saw them; what
overlaps a stall, or begins within RECOVERY seconds after one, is corrected in latencies(). Under a
sanitizer measure nothing at all (SANITIZED of server.py).

The process that makes the load is load_engine.py.
"""

from __future__ import annotations

import bisect
import mmap
import os
import pickle
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from client import Address, Headers
from procs import poll

ENGINE = Path(__file__).with_name("load_engine.py")
STALL = 0.02  # seconds that a timer may be late on a machine that is well
RECOVERY = 0.1  # seconds after a stall in which its victims may still queue
PROGRESS = struct.Struct("QQQ")  # answered, failed, connections that are open


@dataclass
class Options:
    """What the engine is told."""

    addresses: Sequence[Address]
    connections: int
    interval: float | None
    rate: float | None
    short: bool
    paths: Mapping[str, float]
    bodies: Mapping[str, bytes]
    status: int
    method: str
    headers: Headers
    body: bytes | None
    reconnect: bool
    retry: bool
    timeout: float
    notes: bool
    seed: int
    progress_fd: int


class Sample(NamedTuple):
    """An answered request."""

    arrival: float  # when it was to be sent; later than that if its connection was busy
    sent: float
    done: float
    path: str
    connection: int
    id: str
    note: str  # the body, with notes=True

    @property
    def latency(self) -> float:
        return self.done - self.arrival


class Failure(NamedTuple):
    """A request that did not get its answer."""

    sent: float  # when it, or the attempt to connect, began
    failed: float
    what: str
    path: str
    connection: int
    served: int  # requests answered before on the same connection
    id: str
    port: int  # the client's, 0 for a unix socket

    def __str__(self) -> str:
        return (
            f"{self.what}: {self.path} ({self.id}), sent at {self.sent:.3f}, failed"
            f" {1000 * (self.failed - self.sent):.1f} ms later, after {self.served} answers on"
            f" connection {self.connection}, port {self.port}"
        )


class Close(NamedTuple):
    """A keep-alive connection that the server closed while no request was under way."""

    at: float
    how: str  # "closed", "reset", or "Connection: close" if the last answer said so
    connection: int
    served: int
    idle: float  # seconds since the last answer, or since it was opened
    port: int


def joined(stalls: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Stalls as intervals that do not overlap, in order."""
    found: list[tuple[float, float]] = []
    for begin, end in sorted(stalls):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` percent are not above."""
    ordered = sorted(values)
    assert ordered, "no latency was measured"
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]


@dataclass
class Result:
    began: float
    ended: float
    samples: list[Sample]
    failures: list[Failure]
    closes: list[Close]
    stalls: list[tuple[float, float]]
    opened: int  # connections
    retried: int
    arrivals: list[tuple[float, str]] = field(default_factory=list)  # with `rate`

    @property
    def answered(self) -> int:
        return len(self.samples)

    # --- what the machine did

    def stalled(self, begin: float, end: float) -> float:
        """Seconds of a request between two moments that the machine's stalls may have cost."""
        total = 0.0
        at = bisect.bisect_left(self.stalls, begin - RECOVERY, key=lambda stall: stall[1])
        for start, stop in self.stalls[at:]:
            if start >= end:
                break
            total += stop - start
        return total

    def beyond_stalls(self, sample: Sample) -> float:
        """The latency of a request less what the machine may have added."""
        return max(0.0, sample.latency - self.stalled(sample.arrival, sample.done))

    def undisturbed(self, path: str | None = None) -> list[Sample]:
        """The requests that no stall has touched: for percentiles."""
        return [
            each
            for each in self.samples
            if path in (None, each.path) and not self.stalled(each.arrival, each.done)
        ]

    def latencies(self, path: str | None = None) -> list[float]:
        """Without what the machine may have added, of all requests or those of a path."""
        return [self.beyond_stalls(each) for each in self.samples if path in (None, each.path)]

    # --- judgements

    def describe(self) -> str:
        """In a few lines, for the message of an assertion."""
        lines = [
            f"{self.answered} answered, {len(self.failures)} failed, {self.opened} connections,"
            f" {len(self.closes)} of them closed by the server, {self.retried} retried,"
            f" in {self.ended - self.began:.2f} s from {self.began:.3f};"
            f" {len(self.stalls)} stalls of the machine, {sum(b - a for a, b in self.stalls):.3f} s"
        ]
        lines += [f"  {count} x {what}" for what, count in self.kinds().most_common()]
        lines += [f"  {failure}" for failure in self.failures[:10]]
        lines += [f"  {close}" for close in self.closes[:5]]
        return "\n".join(lines)

    def kinds(self) -> Counter[str]:
        return Counter(failure.what for failure in self.failures)

    def check(self, at_least: int = 1, closes: int | None = 0) -> Result:
        """At least so many answers, no failure, and no more than `closes` connections (None: any
        number) closed by the server."""
        assert not self.failures, f"requests have failed: {self.describe()}"
        assert self.answered >= at_least, f"less than {at_least} answers: {self.describe()}"
        assert closes is None or len(self.closes) <= closes, (
            f"more than {closes} connections were closed by the server: {self.describe()}"
        )
        return self

    def check_faster_than(self, seconds: float, path: str | None = None) -> Result:
        """No answer was slower, beyond stalls of the machine."""
        slow = [
            each
            for each in self.samples
            if path in (None, each.path) and self.beyond_stalls(each) > seconds
        ]
        slow.sort(key=self.beyond_stalls, reverse=True)
        shown = "\n".join(
            f"  {1000 * each.latency:.1f} ms ({1000 * self.beyond_stalls(each):.1f} beyond stalls):"
            f" {each.path} ({each.id}), due at {each.arrival:.3f}, sent {each.sent:.3f},"
            f" answered {each.done:.3f}, connection {each.connection}"
            for each in slow[:10]
        )
        assert not slow, f"{len(slow)} answers took longer than {seconds} s:\n{shown}"
        return self


class Load:
    """A process that sends requests; see above."""

    def __init__(
        self,
        address: Address | Sequence[Address],
        *,
        connections: int = 8,
        interval: float | None = None,
        rate: float | None = None,
        short: bool = False,
        paths: str | Mapping[str, float] = "/",
        bodies: Mapping[str, bytes] | None = None,
        status: int = 200,
        method: str = "GET",
        headers: Headers = (),
        body: bytes | None = None,
        reconnect: bool = True,
        retry: bool = False,
        timeout: float = 20.0,
        notes: bool = False,
        seed: int = 1,
    ) -> None:
        self.stopped: Result | None = None
        with tempfile.TemporaryFile() as file:
            file.truncate(PROGRESS.size)
            self.progress = mmap.mmap(file.fileno(), PROGRESS.size)
            options = Options(
                addresses=[address] if is_address(address) else list(address),  # type: ignore[list-item, arg-type]
                connections=connections,
                interval=interval,
                rate=rate,
                short=short,
                paths={paths: 1.0} if isinstance(paths, str) else dict(paths),
                bodies=dict(bodies or {}),
                status=status,
                method=method,
                headers=list(headers),
                body=body,
                reconnect=reconnect,
                retry=retry,
                timeout=timeout,
                notes=notes,
                seed=seed,
                progress_fd=file.fileno(),
            )
            self.popen = subprocess.Popen(
                [sys.executable, str(ENGINE)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[file.fileno()],
                env={key: value for key, value in os.environ.items() if key != "LD_PRELOAD"},
            )
        assert self.popen.stdin
        pickle.dump(options, self.popen.stdin)
        self.popen.stdin.flush()

    def __enter__(self) -> Load:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.stopped is None:
            self.popen.kill()
            self.popen.communicate()
        self.progress.close()

    @property
    def answered(self) -> int:
        """Requests so far."""
        return int(PROGRESS.unpack(self.progress[:])[0])

    @property
    def failed(self) -> int:
        """Requests so far."""
        return int(PROGRESS.unpack(self.progress[:])[1])

    @property
    def open(self) -> int:
        """Connections now."""
        return int(PROGRESS.unpack(self.progress[:])[2])

    def wait(self, answered: int = 0, failed: int = 0, deadline: float = 60.0) -> None:
        """Waits for so many more requests to be answered, and to have failed."""
        goal = self.answered + answered, self.failed + failed

        def enough() -> bool:
            assert self.popen.poll() is None, "the load generator has ended"
            return self.answered >= goal[0] and self.failed >= goal[1]

        def missing() -> str:
            return f"{goal} answers and failures; there are {self.answered, self.failed}"

        poll(enough, missing, deadline)

    def stop(self) -> Result:
        """Ends the load; its result, also when asked again."""
        if self.stopped is None:
            output, _ = self.popen.communicate(timeout=60.0)
            assert self.popen.returncode == 0, "the load generator has failed"
            self.stopped = pickle.loads(output)
        return self.stopped


def is_address(address: Address | Sequence[Address]) -> bool:
    return isinstance(address, str) or (len(address) == 2 and isinstance(address[1], int))
