#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random requests, valid and broken, over many connections.

usage: random_requests.py [--count N] [--seed S] [--connections C] [--workers W]

Every connection is a script made from a seed of its own: some valid requests, sent one by one or
pipelined, whole or in fragments, and an end: the connection is kept until all is answered, cut
within a request, reset, or ended with a request that was damaged. Each valid request has exactly
one right answer, which is a checksum of what the application saw; whatever is sent after that gets
well-formed responses and an end of the connection. At the end the workers are those of the
beginning, and their memory and descriptors are what they were.

A failure names the seed of the connection; --only SEED replays it alone.
"""

from __future__ import annotations

import argparse
import random
import re
import selectors
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

sys.path.append(str(Path(__file__).resolve().parent.parent / "integration"))

from client import FramingError, chunked, parse_head
from procs import descriptors, poll, resident_kib
from server import IS_GUNICORN, PATIENT, SANITIZED, Server

STALL = 30.0  # seconds without any progress of a connection that make a hang
GROWTH_KIB = 4 * 1024
OK_HEAD = re.compile(rb"HTTP/1\.1 200 OK\r\n(?:[^\r\n]+\r\n)+\r\n")
METHODS = ["GET", "GET", "GET", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]
PATH = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@/"
TOKEN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^`|~"
VALUE = [chr(code) for code in (*range(0x20, 0x7F), *range(0x80, 0x100), 9)]

# Damage that chance alone would seldom do.
BROKEN = [
    b"\r\n\r\n",
    b"\0" * 50,
    b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(160)),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\nHost: t\n\n",
    b"GET / HTTP/9.9\r\nHost: t\r\n\r\n",
    b"GET  /  HTTP/1.1\r\nHost: t\r\n\r\n",
    b"GET /%s HTTP/1.1\r\nHost: t\r\n\r\n" % (b"a" * 9000),
    b"GET / HTTP/1.1\r\nHost: t\r\nX: %s\r\n\r\n" % (b"y" * 9000),
    b"GET / HTTP/1.1\r\nHost: t\r\n%s\r\n" % (b"X: y\r\n" * 200),
    b"GET / HTTP/1.1\r\nHost: t\r\nX: a\r\n b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: t\r\nX\0: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999999999999\r\n\r\nx",
    b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxxx",
    b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\nxxxxxx",
    b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
    b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: x, chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"CONNECT t:80 HTTP/1.1\r\nHost: t\r\n\r\n",
]


@dataclass(frozen=True)
class Valid:
    """A request and the one right answer to it."""

    data: bytes
    head: bool
    answer: bytes


def make_valid(rng: random.Random) -> Valid:
    method = rng.choice(METHODS)
    target = "/chunked" if rng.random() < 0.2 else "/"
    target += "".join(rng.choices(PATH, k=rng.choice((0, 1, 5, 20, 20, 300))))
    if rng.random() < 0.3:
        target += "?" + "".join(rng.choices(PATH + "?%", k=rng.randrange(40)))
    if rng.random() < 0.1:
        target += "%" + "".join(rng.choices("0123456789abcdefABCDEF", k=2))
    noise = "".join(rng.choices(VALUE, k=rng.choice((0, 3, 30, 30, 2000)))).strip(" \t")
    lines = [f"{method} {target} HTTP/1.1", "Host: example.com", f"X-Noise: {noise}"]
    for _ in range(rng.choice((0, 0, 2, 5, 40))):
        name = "".join(rng.choices(TOKEN, k=rng.randrange(1, 20)))
        lines.append(f"R-{name}:{' ' * rng.randrange(3)}{rng.getrandbits(rng.choice((8, 200)))}")
    body = b""
    sent = b""
    if rng.random() < 0.4:
        body = rng.randbytes(rng.choice((0, 1, 10, 100, 3000)))
        if rng.random() < 0.5:
            lines.append(f"Content-Length: {len(body)}")
            sent = body
        else:
            lines.append("Transfer-Encoding: chunked")
            step = rng.randrange(1, 1 + max(1, len(body)))
            pieces = [body[at : at + step] for at in range(0, len(body), step)][:50]
            body = b"".join(pieces)
            sent = chunked(pieces, b"X-Trailer: 1\r\n" if rng.random() < 0.3 else b"")
    rest = lines[1:]
    rng.shuffle(rest)
    data = "\r\n".join([lines[0], *rest, "", ""]).encode("latin-1") + sent
    crc = crc32(body, crc32(f"{method} {target} {noise}".encode("latin-1")))
    answer = b"" if method == "HEAD" else b"%08x" % crc
    if target.startswith("/chunked") and answer:
        answer = b"5\r\n%s\r\n3\r\n%s\r\n0\r\n\r\n" % (answer[:5], answer[5:])
    return Valid(data, method == "HEAD", answer)


def damage(rng: random.Random, data: bytes) -> bytes:
    """One to three wounds."""
    wounded = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(wounded) + 1)
        kind = rng.randrange(6)
        if kind == 0 and at < len(wounded):
            wounded[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            wounded[at:at] = rng.choice(
                (b"\r\n", b"\n", b"\r", b" ", b"\0", b":", rng.randbytes(3))
            )
        elif kind == 2:
            del wounded[at : at + rng.randrange(1, 20)]
        elif kind == 3:
            wounded[at:at] = wounded[: rng.randrange(1, 60)]
        elif kind == 4:
            del wounded[at:]
        elif at < len(wounded):
            wounded[at] = rng.randrange(256)
    return bytes(wounded)


class Script:
    """What one connection does. `step` is called when its socket is ready."""

    def __init__(self, address: tuple[str, int], pool: list[Valid], seed: int, depth: int) -> None:
        self.seed = seed
        rng = self.rng = random.Random(seed)
        self.end = rng.choices(("wait", "cut", "reset", "broken"), (40, 10, 5, 45))[0]
        count = rng.choice((0, 1, 1, 2, 3, 8)) if self.end != "wait" else rng.choice((1, 5, 30, 60))
        self.valid = rng.choices(pool, k=count)
        self.depth = 1 if depth == 1 else rng.choice((1, 2, 16, 100))
        self.fragment = rng.choice((0, 0, 0, 0, 100, 7))  # bytes sent at once; 0: all
        self.tail = self.make_tail(pool)
        self.count = count + (1 if self.tail else 0)
        self.sent = 0  # valid requests put into `out`
        self.answered = 0
        self.out = bytearray()
        self.into = bytearray()
        self.tail_sent = False
        self.moved = time.monotonic()
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.connect_ex(address)
        self.done = False

    def make_tail(self, pool: list[Valid]) -> bytes:
        rng = self.rng
        if self.end == "wait":
            return b""
        data = rng.choice(pool).data
        if self.end in ("cut", "reset"):
            return data[: rng.randrange(1, len(data))]
        return rng.choice(BROKEN) if rng.random() < 0.3 else damage(rng, data)

    def fail(self, why: str) -> FramingError:
        return FramingError(
            f"connection with seed {self.seed} ({self.end}, {self.answered} of {len(self.valid)} "
            f"answered): {why}\n  tail {self.tail[:600]!r}\n  received {bytes(self.into[:600])!r}"
        )

    def wants(self) -> int:
        write = self.out or self.sent < len(self.valid) or not self.tail_sent
        waiting = self.sent - self.answered >= self.depth and not self.out
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if write and not waiting else 0)

    def prepare(self) -> None:
        """Puts as many requests into `out` as may be under way."""
        while self.sent < len(self.valid) and self.sent - self.answered < self.depth:
            self.out += self.valid[self.sent].data
            self.sent += 1
        if self.sent == len(self.valid) and not self.tail_sent and not self.out:
            if self.depth == 1 and self.answered < self.sent:
                return
            self.tail_sent = True
            self.out += self.tail

    def step(self, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self.write()
            if events & selectors.EVENT_READ and not self.done:
                self.read()
        except (ConnectionResetError, BrokenPipeError):
            # With unread input of ours: allowed once it got something that it may refuse.
            if not self.tail_sent or self.end == "wait":
                raise self.fail("reset by the server") from None
            self.finish()

    def write(self) -> None:
        self.prepare()
        if self.out:
            limit = self.fragment or len(self.out)
            n = self.sock.send(self.out[:limit])
            del self.out[:n]
            self.moved = time.monotonic()
        if self.tail_sent and not self.out:
            self.all_sent()

    def all_sent(self) -> None:
        if self.end == "reset":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.finish()
        elif self.end != "wait":
            self.sock.shutdown(socket.SHUT_WR)
        elif self.answered == len(self.valid):
            self.finish()
        self.prepare = lambda: None  # type: ignore[method-assign]
        self.all_sent = lambda: None  # type: ignore[method-assign]

    def read(self) -> None:
        data = self.sock.recv(262144)
        self.moved = time.monotonic()
        self.into += data
        self.match()
        if not data:
            if self.answered < len(self.valid) or self.end == "wait":
                raise self.fail("closed before all was answered")
            self.check_rest()
            self.finish()
        elif self.end == "wait" and self.answered == len(self.valid) and self.tail_sent:
            if self.into:
                raise self.fail("bytes after the last response")
            self.finish()

    def match(self) -> None:
        """Compares what has arrived with the answers that are due."""
        at = 0
        while self.answered < self.sent:
            match = OK_HEAD.match(self.into, at)
            if not match:
                if self.into.find(b"\r\n\r\n", at) >= 0:
                    raise self.fail(f"not the answer expected: {bytes(self.into[at : at + 300])!r}")
                break
            answer = self.valid[self.answered].answer
            body = match.end()
            if len(self.into) < body + len(answer):
                break
            if self.into[body : body + len(answer)] != answer:
                raise self.fail(
                    f"{bytes(self.into[body : body + 40])!r} and not {answer!r} for "
                    f"{self.valid[self.answered].data[:300]!r}"
                )
            at = body + len(answer)
            self.answered += 1
        del self.into[:at]

    def check_rest(self) -> None:
        """After the valid requests: nothing, or what begins like a response."""
        if not self.into:
            return
        end = self.into.find(b"\r\n\r\n")
        if end < 0:
            raise self.fail("half a response head")
        try:
            parse_head(bytes(self.into[: end + 4]))
        except FramingError as error:
            raise self.fail(str(error)) from None

    def finish(self) -> None:
        self.done = True
        self.sock.close()


def play(
    address: tuple[str, int],
    scripts: Iterator[Script],
    at_once: int,
    progress: Callable[[int], None],
) -> int:
    """Runs the scripts, so many at once. Returns the number of requests."""
    selector = selectors.DefaultSelector()
    running: set[Script] = set()
    total = 0
    exhausted = False
    swept = time.monotonic()
    try:
        while True:
            while not exhausted and len(running) < at_once:
                script = next(scripts, None)
                if script is None:
                    exhausted = True
                    break
                running.add(script)
                selector.register(script.sock, script.wants(), script)
            if not running:
                return total
            for key, events in selector.select(1.0):
                script = key.data
                before = key.events
                fd = key.fd
                script.step(events)
                if script.done:
                    selector.unregister(fd)
                    running.remove(script)
                    total += script.count
                    progress(total)
                elif (wanted := script.wants()) != before:
                    selector.modify(fd, wanted, script)
            if time.monotonic() - swept > 1.0:
                swept = time.monotonic()
                for script in running:
                    if swept - script.moved > STALL:
                        raise script.fail(f"nothing has moved for {STALL} s")
    finally:
        for script in running:
            script.sock.close()
        selector.close()


@dataclass
class Outcome:
    requests: int
    seconds: float
    growth_kib: int


def hammer(server: Server, count: int, seed: int, at_once: int = 100) -> Outcome:
    """So many random requests to a server of checksum:app; raises what it finds wrong."""
    address = server.tcp
    rng = random.Random(seed)
    pool = [make_valid(rng) for _ in range(min(2000, max(200, count // 20)))]
    depth = 1 if IS_GUNICORN else 100
    workers = server.wait_workers(server.workers_expected)
    memory = 0
    before = dict(server.baseline)  # a worker that still boots has less
    assert {*before} == {*workers}, "workers were replaced"
    issued = 0

    def scripts() -> Iterator[Script]:
        nonlocal issued
        while issued < count:
            script = Script(address, pool, rng.getrandbits(48), depth)
            issued += script.count
            yield script

    def progress(done: int) -> None:
        nonlocal memory
        if not memory and done > count // 4:  # warm: pools and caches have their size
            memory = max(map(resident_kib, workers))  # one may have had little to do so far

    begun = time.monotonic()
    total = play(address, scripts(), at_once, progress)
    seconds = time.monotonic() - begun
    assert server.workers() == workers, "workers were replaced"
    poll(
        lambda: all(not descriptors(pid) - before[pid] for pid in workers),
        lambda: f"descriptors as before: {[descriptors(pid) - before[pid] for pid in workers]}",
    )
    growth = max(map(resident_kib, workers)) - memory
    if not SANITIZED:
        assert growth < GROWTH_KIB, f"the memory of a worker grew by {growth} KiB"
    return Outcome(total, seconds, growth)


def main() -> int:
    parser = argparse.ArgumentParser(description="random requests, valid and broken")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", type=int, help="seed of the one connection to replay")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        server = Server(
            Path(directory),
            *("checksum:app", "--log-level", "error", *PATIENT),
            workers=options.workers,
        )
        try:
            if options.only is not None:
                rng = random.Random(options.seed)
                pool = [make_valid(rng) for _ in range(min(2000, max(200, options.count // 20)))]
                play(
                    server.tcp,
                    iter([Script(server.tcp, pool, options.only, 100)]),
                    1,
                    lambda done: None,
                )
                return 0
            outcome = hammer(server, options.count, options.seed, options.connections)
        except AssertionError as error:
            print(f"{error}\n{server.tail()}", file=sys.stderr)
            return 1
        else:
            print(
                f"{outcome.requests} requests in {outcome.seconds:.1f} s, "
                f"{outcome.requests / outcome.seconds:.0f} a second; "
                f"memory grew by {outcome.growth_kib} KiB"
            )
            server.finish()
        finally:
            server.destroy()
    return 0


if __name__ == "__main__":
    sys.exit(main())
