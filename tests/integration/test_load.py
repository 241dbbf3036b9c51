# SPDX-License-Identifier: MIT
"""The load generator itself: what it must notice, from servers that misbehave on purpose."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from client import Address
from load import Load, Result, Sample, joined, percentile
from procs import poll
from server import Server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def listening(serve: Callable[[socket.socket, int], None]) -> Iterator[Address]:
    """A server that does with each connection, of which it has one at a time, what `serve` says."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        ended = threading.Event()

        def run() -> None:
            for number in range(1 << 30):
                sock = listener.accept()[0]
                with sock:
                    if ended.is_set():
                        return
                    serve(sock, number)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            ended.set()
            with socket.create_connection(listener.getsockname()):
                thread.join()


def request(sock: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        more = sock.recv(65536)
        if not more:
            return b""
        data += more
    return data


def test_a_closed_loop_keeps_its_connections(basic: Server) -> None:
    with Load(basic.address, connections=2, bodies={"/": b"hello\n"}) as load:
        load.wait(answered=50)
        result = load.stop().check(at_least=50)
    assert result.opened == 2
    assert {each.connection for each in result.samples} == {0, 1}
    assert len({each.id for each in result.samples}) == result.answered
    assert all(result.began <= each.sent <= each.done <= result.ended for each in result.samples)


def test_paced_requests_keep_their_distance(basic: Server) -> None:
    with Load(basic.address, connections=4, interval=0.05) as load:
        load.wait(answered=24)
        result = load.stop().check(at_least=24)
    most = (result.ended - result.began) / 0.05 + 1
    for index in range(4):
        assert 1 <= sum(each.connection == index for each in result.samples) <= most


def test_arrivals_are_random_and_repeatable(basic: Server) -> None:
    def paths() -> list[str]:
        with Load(basic.address, connections=4, rate=200, paths={"/": 3, "/state": 1}) as load:
            load.wait(answered=40)
            result = load.stop().check(at_least=40)
        assert [path for _, path in result.arrivals[:40]].count("/") > 15
        assert len(result.arrivals) == result.answered
        return [path for _, path in result.arrivals[:40]]

    assert paths() == paths()


def test_short_connections(basic: Server) -> None:
    with Load(basic.address, connections=3, short=True) as load:
        load.wait(answered=30)
        result = load.stop().check(at_least=30)
    assert result.opened >= result.answered


def test_bodies_notes_and_several_addresses(serve: Callable[..., Server]) -> None:
    server = serve("basic:app", binds=["tcp", "unix"])
    with Load(
        server.addresses, connections=2, paths="/echo", method="POST", body=b"abc", notes=True
    ) as load:
        load.wait(answered=10)
        result = load.stop().check(at_least=10)
    assert {each.note for each in result.samples} == {"abc"}


def test_a_wrong_answer(basic: Server) -> None:
    with Load(basic.address, connections=1, interval=0.01, paths={"/": 1, "/none": 1}) as load:
        load.wait(answered=3)
        result = load.stop()
    assert {each.what[:10] for each in result.failures} == {"status 404"}
    with pytest.raises(AssertionError, match="status 404"):
        result.check()
    with Load(basic.address, connections=1, interval=0.01, bodies={"/": b"other"}) as load:
        load.wait(failed=1)
        assert "wrong body" in load.stop().failures[0].what


def test_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with Load(bound.getsockname(), connections=1) as load:
            load.wait(failed=1)
            assert load.stop().kinds().keys() == {"refused"}


def test_a_server_that_closes_in_every_way() -> None:
    def serve(sock: socket.socket, number: int) -> None:
        assert number == 0 or request(sock) or number > 4
        if number == 0:  # answered, then closed while idle
            request(sock)
            sock.sendall(OK)
        elif number == 1:
            pass  # before the answer
        elif number == 2:  # within it
            sock.sendall(OK[:-1])
        elif number == 3:  # with a word
            sock.sendall(OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"))
        elif number == 4:  # too much
            sock.sendall(OK + b"x")

    with listening(serve) as address, Load(address, connections=1, interval=0.02) as load:
        load.wait(answered=2, failed=3)
        result = load.stop()
    assert [each.how for each in result.closes[:2]] == ["closed", "Connection: close"]
    assert [each.what for each in result.failures[:3]] == [
        "closed before the answer",
        "closed within the answer",
        "1 bytes after the answer",
    ]
    with pytest.raises(AssertionError, match="have failed"):
        result.check()


def test_a_used_connection_that_closes_under_a_request() -> None:
    def serve(sock: socket.socket, number: int) -> None:
        request(sock)
        sock.sendall(OK)
        request(sock)  # and no answer

    with listening(serve) as address:
        with Load(address, connections=1, interval=0.01) as load:
            load.wait(answered=3)
            assert load.stop().kinds().keys() == {"closed before the answer"}
        with Load(address, connections=1, interval=0.01, retry=True) as load:
            load.wait(answered=3)
            result = load.stop()
            assert not result.failures
            assert result.retried >= 1


def test_a_connection_that_stays_closed() -> None:
    def serve(sock: socket.socket, number: int) -> None:
        request(sock)
        sock.sendall(OK)

    with (
        listening(serve) as address,
        Load(address, connections=1, interval=0.01, reconnect=False) as load,
    ):
        load.wait(answered=1)
        poll(lambda: not load.open, "the connection is closed")
        result = load.stop()
    assert result.opened == result.answered == len(result.closes) == 1
    with pytest.raises(AssertionError, match="closed by the server"):
        result.check()


def test_an_answer_that_does_not_come() -> None:
    def serve(sock: socket.socket, number: int) -> None:
        while request(sock):
            pass

    with listening(serve) as address, Load(address, connections=1, timeout=0.3) as load:
        load.wait(failed=1)
        assert load.stop().failures[0].what == "no answer within 0.3 s"


def test_latencies_without_what_the_machine_caused() -> None:
    def sample(arrival: float, latency: float) -> Sample:
        return Sample(arrival, arrival, arrival + latency, "/", 0, "", "")

    samples = [sample(1.0, 0.01), sample(2.0, 0.5), sample(2.55, 0.03), sample(3.0, 0.2)]
    stalls = joined([(2.1, 2.2), (2.15, 2.5), (9.0, 9.1)])
    result = Result(0.0, 10.0, samples, [], [], stalls, 1, 0)
    assert stalls == [(2.1, 2.5), (9.0, 9.1)]
    assert result.latencies() == pytest.approx([0.01, 0.1, 0.0, 0.2])
    assert result.undisturbed() == [samples[0], samples[3]]
    assert result.check_faster_than(0.25) is result
    with pytest.raises(AssertionError, match="1 answers took longer"):
        result.check_faster_than(0.15)
    assert percentile([4, 1, 3, 2], 50) == 2
    assert percentile([4, 1, 3, 2], 99) == 4
