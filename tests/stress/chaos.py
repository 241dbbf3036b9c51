#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random operations on a server that is under load.

usage: chaos.py [--operations N] [--seed S] [--replay "OPERATION ..."]

Reloads, upgrades, workers more and fewer, workers ended with TERM and KILL, recycling by
max_requests, boots that are slow and boots that fail: one after the other or on top of each other,
while clients with keep-alive, over TCP and a unix socket, and clients with a connection per request
send requests. Every request gets its answer, but those that were in a worker that was killed; and
at the end there are exactly the processes, descriptors and files that there should be.

The operations are made from a seed and printed when something is wrong, so that they can be played
again, all or some. What also depends on the moment has to be tried a few times.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "integration"))

from client import Connection
from load import Failure, Load, Result
from procs import alive, children, descriptors, poll, processes, served
from server import Server, wait_session_over

WORKERS = 3
WORKERS_MAX = 5
CONFIG = "def post_worker_init(worker): worker.log.info('initialised')\n"
LAST_CONFIG = "def post_worker_init(worker): worker.log.info('initialised at last')\n"
RECYCLING = "max_requests = 150\nmax_requests_jitter = 100\n"
SLOW_BOOT = "import time; time.sleep(0.3)"
FAILING_BOOT = "raise RuntimeError('this boot fails')"
KILL_AFTER = 1.0  # seconds in which the client notices that a worker was killed, stalls apart

EXPECTED_IN_LOG = (
    r"Worker \(pid:\d+\) was sent SIGKILL!",
    r"Worker \(pid:\d+\) exited with code 3",
    r"Exception in worker process",
    r"Worker failed to boot",
    r"this boot fails",
    r"Shutting down: Master\.2",
)


@dataclass
class Kill:
    pid: int
    at: float
    until: float = 0.0  # the signal was sent between these moments


@dataclass
class Chaos:
    """A server in chaos, and what was done to it."""

    server: Server
    random: random.Random
    arbiter: int
    log: Path
    kills: list[Kill] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    workers: int = WORKERS  # about as many as the arbiter is to have
    config: str = CONFIG
    ready_when: str = "initialised"

    # --- looking

    @property
    def pidfile(self) -> Path:
        return self.server.tmp / "server.pid"

    @property
    def second(self) -> Path:
        return self.server.tmp / "server.pid.2"

    def read(self, file: Path) -> str:
        """Empty if it is not there, or not any more."""
        try:
            return file.read_text()
        except FileNotFoundError:
            return ""

    def initialised(self) -> list[int]:
        """Every worker that ever was ready."""
        pattern = rf"\[(\d+)\] \[INFO\] {self.ready_when}"
        return [int(pid) for pid in re.findall(pattern, self.server.log)]

    def ready(self, arbiter: int | None = None) -> list[int]:
        return sorted({*children(arbiter or self.arbiter)} & {*self.initialised()})

    def count(self, pattern: str) -> int:
        return len(re.findall(pattern, self.server.log))

    def wait_log(self, pattern: str, count: int) -> None:
        poll(lambda: self.count(pattern) >= count, f"{count} of {pattern!r} in the log", 60.0)

    def settle(self, exactly: int = 0) -> None:
        """Until all workers are ready, and have been for a moment. How many they are is known only
        at the end: a reload may be served after signals that came later."""
        since = time.monotonic()

        def settled() -> bool:
            nonlocal since
            ready = self.ready()
            if not ready or ready != children(self.arbiter) or exactly not in (0, len(ready)):
                since = time.monotonic()
            return time.monotonic() - since > 0.1

        poll(settled, lambda: f"workers ready: {self.ready()} of {children(self.arbiter)}", 60.0)

    # --- acting

    def send_signal(self, sig: signal.Signals) -> None:
        os.kill(self.arbiter, sig)

    def boot(self, code: str) -> None:
        """What the application does from now on when it is imported; never half of it."""
        new = self.server.tmp / "boot.py.new"
        new.write_text(code)
        new.rename(self.server.tmp / "boot.py")

    def configure(self, text: str) -> None:
        new = self.server.tmp / "gunicorn.conf.py.new"
        new.write_text(text)
        new.rename(self.server.tmp / "gunicorn.conf.py")

    def end_worker(self, sig: signal.Signals) -> None:
        """One of those that serve, unless it is the only one: then nobody would."""
        found = self.ready()
        if len(found) < 2:
            return
        pid = self.random.choice(found)
        at = time.monotonic()
        with suppress(ProcessLookupError):
            os.kill(pid, sig)
        if sig == signal.SIGKILL:
            self.kills.append(Kill(pid, at, time.monotonic()))

    # --- the operations

    def reload(self) -> None:
        self.workers = WORKERS
        self.send_signal(signal.SIGHUP)

    def more(self) -> None:
        if self.workers < WORKERS_MAX:
            self.workers += 1
            self.send_signal(signal.SIGTTIN)

    def fewer(self) -> None:
        if self.workers > 2:
            self.workers -= 1
            self.send_signal(signal.SIGTTOU)

    def term(self) -> None:
        self.end_worker(signal.SIGTERM)

    def kill(self) -> None:
        self.end_worker(signal.SIGKILL)

    def recycling(self) -> None:
        self.config = CONFIG + RECYCLING if self.config == CONFIG else CONFIG
        self.configure(self.config)
        self.reload()

    def slow(self) -> None:
        self.boot(SLOW_BOOT)

    def quick(self) -> None:
        self.boot("")

    def renew(self) -> None:
        """The last reload. Its workers are told from all earlier ones by what they say."""
        self.boot("")
        self.settle()
        self.configure(LAST_CONFIG)
        self.ready_when = "initialised at last"
        self.reload()
        self.settle(WORKERS)

    def failing(self) -> None:
        """A reload that fails, and the one after it that does not."""
        pattern = "Worker failed to boot"
        before = self.count(pattern)
        self.boot(FAILING_BOOT)
        self.reload()
        self.wait_log(pattern, before + 1)
        self.boot("")
        self.reload()

    def start_upgrade(self) -> int:
        """The pid of the new arbiter."""
        self.settle()  # a USR2 in the middle of a reload is served after it, and may take long
        self.send_signal(signal.SIGUSR2)
        return int(poll(lambda: self.read(self.second), "a second pid file", 60.0))

    def upgrade(self) -> None:
        new, old = self.start_upgrade(), self.arbiter
        poll(lambda: self.ready(new), "a worker of the new arbiter", 60.0)
        self.send_signal(signal.SIGTERM)
        poll(lambda: self.gone(old), "the old arbiter has gone", 60.0)
        poll(lambda: self.read(self.pidfile) == f"{new}\n", "the promotion", 60.0)
        self.arbiter = new
        self.workers = WORKERS

    def failing_upgrade(self) -> None:
        self.settle()
        self.boot(FAILING_BOOT)
        before = self.count("The arbiter of the upgrade .* has ended")
        self.send_signal(signal.SIGUSR2)
        self.wait_log("The arbiter of the upgrade .* has ended", before + 1)
        self.boot("")

    def gone(self, pid: int) -> bool:
        if pid == self.server.popen.pid:
            return self.server.popen.poll() is not None
        return not alive(pid)

    # --- judging

    def begun(self) -> dict[str, int]:
        """In which worker each request has begun, the last time."""
        found = {}
        for line in self.log.read_text().splitlines():
            event, identity, pid = line.split()
            if event == "begun":
                found[identity] = int(pid)
        return found

    def excuse(self, failure: Failure, begun: dict[str, int], result: Result) -> str:
        """Why a request may have failed: it was in a worker that was killed."""
        killed = {kill.pid for kill in self.kills}
        if begun.get(failure.id) in killed:
            return "running"
        # Or it was not, because it waited there for one that did, or came in the last moment.
        waited = failure.id not in begun and any(
            kill.at
            < failure.failed
            < kill.until + KILL_AFTER + result.stalled(kill.at, failure.failed)
            for kill in self.kills
        )
        return "waiting" if waited else ""

    def judge(self, results: list[Result]) -> Counter[str]:
        begun = self.begun()
        excuses: Counter[str] = Counter()
        lost = []
        for result in results:
            for failure in result.failures:
                excuse = self.excuse(failure, begun, result)
                excuses[excuse] += 1
                if not excuse:
                    lost.append(f"{failure}, begun in worker {begun.get(failure.id)}")
        kills = "".join(f"\n  {kill.pid} killed at {kill.at:.3f}" for kill in self.kills)
        assert not lost, "lost:\n  " + "\n  ".join(lost) + kills
        return excuses


OPERATIONS: dict[str, tuple[Callable[[Chaos], None], float]] = {
    "hup": (Chaos.reload, 4),
    "ttin": (Chaos.more, 2),
    "ttou": (Chaos.fewer, 2),
    "term": (Chaos.term, 4),
    "kill": (Chaos.kill, 4),
    "recycling": (Chaos.recycling, 2),
    "slow": (Chaos.slow, 1),
    "quick": (Chaos.quick, 1),
    "failing": (Chaos.failing, 1),
    "upgrade": (Chaos.upgrade, 1),
    "failing-upgrade": (Chaos.failing_upgrade, 0.5),
}


def plan(count: int, seed: int) -> list[str]:
    """Operations as words: NAME, then +MILLISECONDS until the next one, or = to let things settle
    first, or =WORKERS to have so many then."""
    rng = random.Random(seed)
    weights = [weight for _, weight in OPERATIONS.values()]
    steps = []
    for _ in range(count):
        name = rng.choices(list(OPERATIONS), weights)[0]
        pause = "=" if rng.random() < 0.2 else f"+{rng.choice([0, 0, 5, 20, 50, 100, 200])}"
        steps.append(name + pause)
    return steps


def play(chaos: Chaos, steps: list[str]) -> None:
    for step in steps:
        match = re.fullmatch(r"([a-z-]+)([=+])(\d*)", step)
        assert match, f"no such operation: {step}"
        chaos.done.append(step)
        OPERATIONS[match[1]][0](chaos)
        if match[2] == "=":
            chaos.settle(int(match[3] or 0))
        else:
            time.sleep(int(match[3]) / 1000)


# --- what is left


def check_spread(server: Server, workers: list[int]) -> None:
    """New connections spread evenly, so every worker has a slot with a mailbox."""
    poll(lambda: not any(map(served, server.addresses)), "the end of all connections")
    own = {pid: descriptors(pid)["socket"] for pid in workers}
    with ExitStack() as stack:
        for _ in range(3 * len(workers)):
            stack.enter_context(Connection(server.address)).request("/")

        def counts() -> list[int]:
            return [descriptors(pid)["socket"] - own[pid] for pid in workers]

        poll(lambda: min(counts()) >= 2, lambda: f"spread evenly: {counts()}")


def check_nothing_left(chaos: Chaos, arbiter_before: Counter[str]) -> None:
    server, workers = chaos.server, chaos.ready()
    session = {each.pid for each in processes() if each.session == server.popen.pid}
    assert session == {chaos.arbiter, *workers}, f"processes {session}"
    # An arbiter that has had more workers has more mailboxes, of two sockets, two for each worker.
    most = arbiter_before + Counter(socket=4 * (WORKERS_MAX - WORKERS))

    def too_many() -> Counter[str]:
        return descriptors(chaos.arbiter) - most

    # It may still have to reap the last ones that it has replaced.
    poll(lambda: not too_many(), lambda: f"the arbiter has no {too_many()} too many")

    def of_workers() -> set[tuple[tuple[str, int], ...]]:
        return {tuple(sorted(descriptors(pid).items())) for pid in workers}

    poll(lambda: len(of_workers()) == 1, lambda: f"workers have the same: {of_workers()}")
    check_spread(server, workers)


def run(server: Server, steps: list[str], seed: int) -> Counter[str]:
    """Plays the operations on a server that start() has started. What failed with an excuse."""
    chaos = Chaos(server, random.Random(seed), server.pid, server.tmp / "requests")
    paths = {"/": 6.0, "/5": 3.0, "/50": 1.0}
    bodies = {path: f"{path}\n".encode() for path in paths}
    try:
        chaos.settle()
        before = descriptors(chaos.arbiter)
        with ExitStack() as stack:
            loads = [
                stack.enter_context(
                    Load(
                        address,
                        connections=connections,
                        interval=0.06,
                        short=short,
                        paths=paths,
                        bodies=bodies,
                        timeout=60.0,
                        seed=number,
                    )
                )
                for number, (address, connections, short) in enumerate(
                    [
                        (server.addresses[0], 6, False),
                        (server.addresses[1], 3, False),
                        (server.addresses[0], 3, True),
                    ]
                )
            ]
            play(chaos, steps)
            chaos.renew()
            results = [load.stop() for load in loads]
        excuses = chaos.judge(results)
        assert excuses["waiting"] <= 5 * len(chaos.kills), f"excuses {excuses}"
        check_nothing_left(chaos, before)
        answered = sum(result.answered for result in results)
        assert answered > 5 * len(steps), f"only {answered} answers"
        excuses["answered"] = answered
        excuses["kills"] = len(chaos.kills)
        excuses["closes"] = sum(len(result.closes) for result in results)
        end(chaos)
    except AssertionError as error:
        done = " ".join(chaos.done)
        raise AssertionError(f"{error}\nseed {seed}, operations: {done}") from error
    return excuses


def end(chaos: Chaos) -> None:
    """Stops whichever arbiter there is by now, and looks for what it has left."""
    server = chaos.server
    os.kill(chaos.arbiter, signal.SIGTERM)
    poll(lambda: chaos.gone(chaos.arbiter), "the arbiter has gone")
    server.wait()
    wait_session_over(server.pid)
    server.allow(*EXPECTED_IN_LOG)
    server.check_log()
    server.check_files()


def start(directory: Path) -> Server:
    (directory / "gunicorn.conf.py").write_text(CONFIG)
    return Server(
        *(directory, "chaos:app", "--pid", "server.pid", "--keep-alive", "10"),
        binds=["tcp", "unix"],
        workers=WORKERS,
        env={"CHAOS_LOG": str(directory / "requests")},
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="random operations on a server under load")
    parser.add_argument("--operations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--replay", help="these operations, as they were printed")
    options = parser.parse_args()
    steps = options.replay.split() if options.replay else plan(options.operations, options.seed)
    print(f"seed {options.seed}, {len(steps)} operations", flush=True)
    with tempfile.TemporaryDirectory() as name:
        server = start(Path(name))
        begun = time.monotonic()
        try:
            outcome = run(server, steps, options.seed)
        except AssertionError as error:
            print(server.tail(500), error, sep="\n", file=sys.stderr)
            return 1
        finally:
            server.destroy()
        print(f"{dict(outcome)} in {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
