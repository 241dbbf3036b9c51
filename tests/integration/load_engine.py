# SPDX-License-Identifier: MIT
"""The process behind load.py: reads Options from its standard input, sends requests until that
ends, finishes those under way, and writes a Result to its standard output.

One thread around one epoll, no framework: what it costs must not be what is measured.
"""

from __future__ import annotations

import errno
import heapq
import itertools
import mmap
import os
import pickle
import random
import select
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from client import Address
from load import PROGRESS, STALL, Close, Failure, Options, Result, Sample, joined

CANARIES = 4  # at most
CANARY_PERIOD = 0.005
STALL_RECORD = struct.Struct("dd")
RECONNECT_PAUSE = 0.02  # after a connection could not be made
SCAN_PERIOD = 0.25  # how often requests are looked through for late ones
IN = select.EPOLLIN | select.EPOLLRDHUP

now = time.monotonic


class Request(NamedTuple):
    arrival: float
    path: str
    id: str
    retried: bool


class Answer:
    """Parses a response as it arrives."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.head_length = 0
        self.length: int | None = None
        self.chunked = False
        self.status = 0
        self.closes = False
        self.body = b""
        self.extra = 0  # bytes after the end

    def feed(self, data: bytes, ended: bool = False) -> bool:
        """Whether the response is complete."""
        self.data += data
        if not self.head_length and not self.parse_head():
            return False
        if self.chunked:
            return self.parse_chunks()
        if self.length is None:
            self.body = bytes(self.data[self.head_length :])
            return ended
        end = self.head_length + self.length
        if len(self.data) < end:
            return False
        self.body = bytes(self.data[self.head_length : end])
        self.extra = len(self.data) - end
        return True

    def parse_head(self) -> bool:
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            lines = bytes(self.data[:end]).decode("latin-1").split("\r\n")
            self.status = int(lines[0].split(" ")[1])
            if self.status < 200:
                del self.data[: end + 4]
                continue
            self.head_length = end + 4
            for line in lines[1:]:
                name, _, value = line.partition(":")
                self.note_field(name.lower(), value.strip().lower())
            return True
        return False

    def note_field(self, name: str, value: str) -> None:
        if name == "content-length":
            self.length = int(value)
        elif name == "transfer-encoding":
            self.chunked = value == "chunked"
        elif name == "connection":
            self.closes = value == "close"

    def parse_chunks(self) -> bool:
        """From the beginning each time: chunked answers to a load are short."""
        at, body = self.head_length, b""
        while (end := self.data.find(b"\r\n", at)) >= 0:
            size = int(bytes(self.data[at:end]), 16)
            if len(self.data) < end + 2 + size + 2:
                return False
            body += self.data[end + 2 : end + 2 + size]
            at = end + 2 + size + 2
            if size == 0:
                self.body = body
                self.extra = len(self.data) - at
                return True
        return False


class Client:
    """One connection, and those that follow it when it has been closed."""

    def __init__(self, engine: Engine, index: int, address: Address) -> None:
        self.engine = engine
        self.index = index
        self.address = address
        self.family = (
            socket.AF_UNIX
            if isinstance(address, str)
            else socket.AF_INET6
            if ":" in address[0]
            else socket.AF_INET
        )
        self.sock: socket.socket | None = None
        self.fd = -1
        self.port = 0
        self.connected = False
        self.ending = False  # answered, the server has to close
        self.gone = False  # closed for good
        self.began = 0.0  # when the request was sent, or the attempt to connect began
        self.rested = 0.0  # when the last answer came
        self.served = 0
        self.queue: deque[Request] = deque()
        self.request: Request | None = None
        self.rest = memoryview(b"")
        self.answer = Answer()

    @property
    def busy(self) -> bool:
        return self.request is not None or self.ending

    # --- connecting

    def open(self) -> None:
        self.sock = socket.socket(self.family)
        self.sock.setblocking(False)
        self.fd = self.sock.fileno()
        self.began = self.rested = now()
        self.connected = False
        self.served = 0
        self.engine.opened += 1
        if self.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = self.sock.connect_ex(self.address)
        if code in (0, errno.EINPROGRESS):
            self.engine.register(self, IN | (select.EPOLLOUT if code else 0))
            if code == 0:
                self.became_connected()
        elif code == errno.EAGAIN:  # the queue of a unix socket is full: no failure, a wait
            self.drop()
            self.engine.opened -= 1
            self.engine.at(now() + 0.002, self.pump)
        else:
            self.cannot_connect(code)

    def became_connected(self) -> None:
        assert self.sock
        self.connected = True
        self.engine.open_connections += 1
        name = self.sock.getsockname()
        self.port = name[1] if isinstance(name, tuple) else 0
        self.pump()

    def cannot_connect(self, code: int) -> None:
        what = "refused" if code == errno.ECONNREFUSED else f"cannot connect: {os.strerror(code)}"
        self.drop()
        self.fail(what)

    def drop(self) -> None:
        """Closes the socket, whatever its state."""
        if self.sock is None:
            return
        self.engine.clients.pop(self.fd, None)
        self.sock.close()
        self.sock = None
        self.engine.open_connections -= self.connected
        self.connected = self.ending = False

    # --- sending

    def enqueue(self, request: Request) -> None:
        self.queue.append(request)
        self.pump()

    def pump(self) -> None:
        """Does what comes next, if it can be done now."""
        if self.busy:
            return
        wanted = bool(self.queue) if self.engine.options.short else not self.engine.stopping
        if self.sock is None and not self.gone and (wanted or self.queue):
            self.open()  # comes back when it is connected
        elif self.connected and self.queue:
            self.begin(self.queue.popleft())

    def begin(self, request: Request) -> None:
        self.request = request
        self.answer = Answer()
        self.began = now()
        self.rest = memoryview(self.engine.render(request))
        self.send()

    def send(self) -> None:
        assert self.sock
        try:
            sent = self.sock.send(self.rest)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.lost(error.errno or errno.EIO)
            return
        self.rest = self.rest[sent:]
        self.engine.modify(self, IN | (select.EPOLLOUT if self.rest else 0))

    # --- receiving

    def ready(self, events: int) -> None:
        assert self.sock
        if not self.connected:
            code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self.cannot_connect(code)
                return
            self.engine.modify(self, IN)
            self.became_connected()
            return
        if events & select.EPOLLOUT and self.rest:
            self.send()
        if self.sock and events & ~select.EPOLLOUT:
            self.receive()

    def receive(self) -> None:
        assert self.sock
        try:
            data = self.sock.recv(262144)
        except BlockingIOError:
            return
        except OSError as error:
            self.lost(error.errno or errno.EIO)
            return
        if self.request is None:
            self.received_idle(data)
        elif self.answer.feed(data, ended=not data):
            self.answered()
        elif not data:
            self.lost(0)

    def received_idle(self, data: bytes) -> None:
        if data:
            self.drop()
            self.fail(f"{len(data)} bytes that no request has asked for: {data[:60]!r}")
        elif self.ending:
            self.drop()
            self.next()
        else:
            self.lost(0)

    def answered(self) -> None:
        assert self.request
        request, answer, options = self.request, self.answer, self.engine.options
        self.served += 1
        self.rested = now()
        wrong = self.engine.complaint(request, answer)
        if wrong:
            self.drop()
            self.fail(wrong)
            return
        note = answer.body.decode("latin-1") if options.notes else ""
        self.engine.note(
            Sample(
                request.arrival, self.began, self.rested, request.path, self.index, request.id, note
            )
        )
        self.request = None
        if options.short:
            self.ending = True
            return
        if answer.closes:
            self.note_close("Connection: close")
            self.drop()
        self.next()

    def next(self) -> None:
        self.engine.finished(self)
        self.pump()

    # --- what goes wrong

    def lost(self, code: int) -> None:
        """The connection has ended, with an error or without."""
        how = "closed" if code == 0 else "reset" if code in RESETS else os.strerror(code)
        begun = len(self.answer.data) > 0
        served, ending = self.served, self.ending
        if self.request is None and not ending:
            self.note_close(how)
            self.drop()
            self.next()
            return
        self.drop()
        if ending:
            self.fail(f"{how} after the answer")
        elif self.engine.options.retry and served and not begun and not self.request_retried():
            self.retry()
        else:
            self.fail(f"{how} within the answer" if begun else f"{how} before the answer")

    def request_retried(self) -> bool:
        return self.request is not None and self.request.retried

    def retry(self) -> None:
        assert self.request
        self.engine.retried += 1
        self.queue.appendleft(self.request._replace(retried=True))
        self.request = None
        self.pump()

    def late(self) -> None:
        self.drop()
        self.fail(f"no answer within {self.engine.options.timeout} s")

    def give_up(self) -> None:
        """Unless it is to reconnect."""
        if not self.engine.options.reconnect:
            self.gone = True
            self.queue.clear()

    def note_close(self, how: str) -> None:
        at = now()
        self.give_up()
        self.engine.closes.append(
            Close(at, how, self.index, self.served, at - self.rested, self.port)
        )

    def fail(self, what: str) -> None:
        request, self.request, self.ending = self.request, None, False
        if request is None and self.queue:
            request = self.queue.popleft()  # for which the connection was to be
        self.engine.fail(
            Failure(
                *(self.began, now(), what, request.path if request else "-", self.index),
                *(self.served, request.id if request else "-", self.port),
            )
        )
        self.give_up()
        self.engine.at(now() + RECONNECT_PAUSE, self.next)


RESETS = (errno.ECONNRESET, errno.EPIPE)


class Engine:
    def __init__(self, options: Options) -> None:
        self.options = options
        self.random = random.Random(options.seed)
        self.picks = random.Random(options.seed)  # apart, for they depend on what the server does
        self.epoll = select.epoll()
        self.clients: dict[int, Client] = {}
        self.registered: set[int] = set()  # in this turn: whose events are an older socket's
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.sequence = itertools.count()
        self.stopping = False
        self.samples: list[Sample] = []
        self.failures: list[Failure] = []
        self.closes: list[Close] = []
        self.arrivals: list[tuple[float, str]] = []
        self.opened = self.retried = self.open_connections = 0
        self.progress = mmap.mmap(options.progress_fd, PROGRESS.size)
        fields = [("Host", "test"), *options.headers]
        if options.short:
            fields.append(("Connection", "close"))
        if options.body is not None:
            fields.append(("Content-Length", str(len(options.body))))
        self.fields = "".join(f"{name}: {value}\r\n" for name, value in fields)
        self.choices = list(options.paths), list(itertools.accumulate(options.paths.values()))
        self.all = [
            Client(self, index, options.addresses[index % len(options.addresses)])
            for index in range(options.connections)
        ]

    # --- requests

    def new_request(self, arrival: float) -> Request:
        paths, weights = self.choices
        path = paths[0] if len(paths) == 1 else self.random.choices(paths, cum_weights=weights)[0]
        return Request(arrival, path, f"{self.options.seed}-{next(self.sequence)}", False)

    def render(self, request: Request) -> bytes:
        head = (
            f"{self.options.method} {request.path} HTTP/1.1\r\n{self.fields}"
            f"X-Request-Id: {request.id}\r\n\r\n"
        )
        return head.encode("latin-1") + (self.options.body or b"")

    def complaint(self, request: Request, answer: Answer) -> str:
        """What is wrong with an answer, if anything."""
        if answer.status != self.options.status:
            return f"status {answer.status}: {answer.body[:200]!r}"
        wanted = self.options.bodies.get(request.path)
        if wanted is not None and answer.body != wanted:
            return f"wrong body of {len(answer.body)} bytes: {answer.body[:60]!r}"
        if answer.extra:
            return f"{answer.extra} bytes after the answer"
        return ""

    def note(self, sample: Sample) -> None:
        self.samples.append(sample)
        self.publish()

    def fail(self, failure: Failure) -> None:
        self.failures.append(failure)
        self.publish()

    def publish(self) -> None:
        self.progress[:] = PROGRESS.pack(
            len(self.samples), len(self.failures), self.open_connections
        )

    # --- when to send

    def begin(self) -> None:
        start = now()
        for client in self.all:
            if not self.options.short:
                client.open()
            if self.options.interval is not None:
                offset = self.random.uniform(0, self.options.interval)
                self.pace(client, start + offset)
            elif self.options.rate is None:
                client.enqueue(self.new_request(now()))
        if self.options.rate is not None:
            self.arrive_at(start + self.random.expovariate(self.options.rate))

    def pace(self, client: Client, due: float) -> None:
        interval = self.options.interval
        assert interval

        def send() -> None:
            if self.stopping:
                return
            if not client.busy and not client.queue and not client.gone:
                client.enqueue(self.new_request(now()))
            self.pace(client, max(due + interval, now()))

        self.at(due, send)

    def arrive_at(self, due: float) -> None:
        rate = self.options.rate
        assert rate

        def arrive() -> None:
            if self.stopping:
                return
            request = self.new_request(due)
            self.arrivals.append((due, request.path))
            usable = [each for each in self.all if not each.gone]
            if usable:
                free = [each for each in usable if not each.busy and not each.queue]
                self.picks.choice(free or usable).enqueue(request)
            self.arrive_at(due + self.random.expovariate(rate))

        self.at(due, arrive)

    def finished(self, client: Client) -> None:
        """A closed loop goes on at once."""
        closed_loop = self.options.interval is None and self.options.rate is None
        if closed_loop and not self.stopping and not client.queue and not client.gone:
            client.queue.append(self.new_request(now()))

    def scan(self) -> None:
        limit = now() - self.options.timeout
        for client in self.all:
            if client.sock and (client.busy or not client.connected) and client.began < limit:
                client.late()
        self.at(now() + SCAN_PERIOD, self.scan)

    # --- the loop

    def register(self, client: Client, events: int) -> None:
        self.clients[client.fd] = client
        self.registered.add(client.fd)
        self.epoll.register(client.fd, events)

    def modify(self, client: Client, events: int) -> None:
        self.epoll.modify(client.fd, events)

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.timers, (when, next(self.sequence), what))

    def run_timers(self) -> float:
        """Seconds until the next one."""
        while self.timers[0][0] <= now():
            heapq.heappop(self.timers)[2]()
        return self.timers[0][0] - now()

    def unfinished(self) -> bool:
        return any(client.busy or client.queue for client in self.all if not client.gone)

    def run(self) -> None:
        self.epoll.register(0, select.EPOLLIN)
        self.at(now() + SCAN_PERIOD, self.scan)
        self.begin()
        while not self.stopping or self.unfinished():
            timeout = max(0.0, self.run_timers())
            self.registered.clear()
            for fd, events in self.epoll.poll(timeout):
                if fd == 0:
                    self.stopping = True
                    self.epoll.unregister(0)
                elif fd in self.clients and fd not in self.registered:
                    self.clients[fd].ready(events)
            self.publish()


# --- canaries


def watch_timers(cpu: int, alive: int, out: int) -> None:
    """Sleeps, and writes down when a sleep has lasted too long, until `alive` ends."""
    os.sched_setaffinity(0, {cpu})
    due = now() + CANARY_PERIOD
    while not select.select([alive], [], [], max(0.0, due - now()))[0]:
        moment = now()
        if moment - due > STALL:
            os.write(out, STALL_RECORD.pack(due, moment))
        due = moment + CANARY_PERIOD


def start_canaries() -> tuple[int, int]:
    """One process on each of a few CPUs. To stop them the first descriptor is closed; the other
    one brings their records."""
    alive, alive_end = os.pipe()
    records, out = os.pipe()
    for cpu in sorted(os.sched_getaffinity(0))[:CANARIES]:
        if os.fork() == 0:
            try:
                os.close(alive_end)
                watch_timers(cpu, alive, out)
            finally:
                os._exit(0)
    os.close(alive)
    os.close(out)
    return alive_end, records


def read_stalls(records: int) -> list[tuple[float, float]]:
    with os.fdopen(records, "rb") as file:
        data = file.read()
    return joined((begin, end) for begin, end in STALL_RECORD.iter_unpack(data))


def main() -> None:
    options: Options = pickle.load(sys.stdin.buffer)
    alive, records = start_canaries()
    engine = Engine(options)
    began = now()
    engine.run()
    ended = now()
    os.close(alive)
    result = Result(
        began=began,
        ended=ended,
        samples=engine.samples,
        failures=engine.failures,
        closes=engine.closes,
        stalls=read_stalls(records),
        opened=engine.opened,
        retried=engine.retried,
        arrivals=engine.arrivals,
    )
    pickle.dump(result, sys.stdout.buffer)


if __name__ == "__main__":
    main()
