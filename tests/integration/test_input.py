# SPDX-License-Identifier: MIT
"""wsgi.input: its methods, bodies small and big, chunked and slow."""

from __future__ import annotations

import hashlib
import json
import random
import time
from typing import Any

import pytest
from client import build_request, chunked
from conftest import Serve
from procs import private_kib
from server import Server

BODY = b"first line\nsecond line\n\nlast"


def calls(server: Server, *names: str, body: bytes = BODY, coded: bool = False) -> Any:
    """What the calls on wsgi.input return, one after another."""
    target = "/read?" + "&".join(f"call={name}" for name in names)
    headers = [("Transfer-Encoding", "chunked")] if coded else []
    if coded:
        body = chunked([body[:3], body[3:11], body[11:]])
    response = server.request(target, method="POST", headers=headers, body=body)
    assert response.status == 200
    return json.loads(response.body)


LINES = ["first line\n", "second line\n", "\n", "last"]


@pytest.mark.parametrize("coded", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["read"], [BODY.decode()]),
        (["read", "read", "read:1"], [BODY.decode(), "", ""]),
        (["read:-1"], [BODY.decode()]),
        (["read:null"], [BODY.decode()]),
        (["read:0", "read"], ["", BODY.decode()]),
        (["read:5", "read:6", "read"], ["first", " line\n", "second line\n\nlast"]),
        (["read:1000"], [BODY.decode()]),
        (["readline"] * 6, [*LINES, "", ""]),
        (["readline:5", "readline:100"], ["first", " line\n"]),
        (["readline:0", "readline"], ["", "first line\n"]),
        (["readline:-1"], ["first line\n"]),
        (["readline:null"], ["first line\n"]),
        (["readlines"], [LINES]),
        (["readlines:1000"], [LINES]),
        (["readlines", "readlines", "read"], [LINES, [], ""]),
        (["iter", "iter"], [LINES, []]),
        (["readline", "iter"], ["first line\n", LINES[1:]]),
        (["next", "readline", "read:3", "readlines"], [*LINES[:2], "\nla", ["st"]]),
    ],
)
def test_methods(basic: Server, names: list[str], expected: list[Any], coded: bool) -> None:
    assert calls(basic, *names, coded=coded) == expected


def test_wrong_argument(basic: Server) -> None:
    assert calls(basic, 'read:"x"', 'readline:"x"', "read") == [
        *("TypeError", "TypeError", BODY.decode())
    ]


@pytest.mark.parametrize("body", [None, b""])
def test_no_body(basic: Server, body: bytes | None) -> None:
    target = "/read?call=read&call=readline&call=readlines&call=iter&call=read:10"
    response = basic.request(target, body=body)
    assert json.loads(response.body) == ["", "", [], [], ""]


def test_every_byte(basic: Server) -> None:
    body = bytes(range(256)) * 3
    assert basic.request("/echo", method="POST", body=body).body == body


@pytest.mark.parametrize("size", [1, 4095, 4096, 8192, 65535, 65536, 65537, 200_000, 1_100_000])
@pytest.mark.parametrize("coded", [False, True], ids=["length", "chunked"])
def test_sizes(basic: Server, size: int, coded: bool) -> None:
    body = random.Random(size).randbytes(size)
    with basic.connect() as connection:
        if coded:
            step = max(1, size // 7)
            pieces = [body[at : at + step] for at in range(0, size, step)]
            response = connection.request(
                "/echo",
                method="POST",
                headers=[("Transfer-Encoding", "chunked")],
                body=chunked(pieces),
            )
        else:
            response = connection.request("/echo", method="POST", body=body)
        assert response.body == body
        assert connection.request("/").body == b"hello\n"


def test_upload_of_20_mib(basic: Server) -> None:
    body = random.Random(20).randbytes(1 << 20) * 20
    expected = f"{len(body)} {hashlib.sha256(body).hexdigest()}"
    assert basic.request("/length", method="POST", body=body).text == expected
    assert basic.request("/length?piece=1000003", method="PUT", body=body).text == expected


@pytest.mark.saola_only
@pytest.mark.memory
def test_upload_is_spooled_not_kept_in_memory(serve: Serve) -> None:
    server = serve()
    server.request("/length", method="POST", body=b"x" * (4 << 20))
    worker = server.worker
    before = private_kib(worker)
    body = b"y" * (64 << 20)
    with server.connect() as connection:
        connection.send(
            build_request("/length", method="POST", headers=[("Content-Length", str(len(body)))])
        )
        connection.send(body[:-1])
        held = private_kib(worker)
        connection.send(body[-1:])
        assert connection.read_response().text.startswith(f"{len(body)} ")
    assert held - before < 4 * 1024
    assert private_kib(worker) - before < 4 * 1024


def test_chunked_upload_of_many_small_chunks(basic: Server) -> None:
    pieces = [b"%05d" % number for number in range(20_000)]
    response = basic.request(
        "/echo", method="POST", headers=[("Transfer-Encoding", "chunked")], body=chunked(pieces)
    )
    assert response.body == b"".join(pieces)


def test_chunk_extensions_and_trailers(basic: Server) -> None:
    body = b"3;name=value\r\nabc\r\n2;x\r\nde\r\n0;last\r\nX-Trailer: yes\r\nX-Other: 1\r\n\r\n"
    with basic.connect() as connection:
        response = connection.request(
            "/echo", method="POST", headers=[("Transfer-Encoding", "chunked")], body=body
        )
        assert response.body == b"abcde"
        assert connection.request("/").body == b"hello\n"


def test_chunk_sizes_in_any_case_with_zeros(basic: Server) -> None:
    body = b"00a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n"
    response = basic.request(
        "/echo", method="POST", headers=[("Transfer-Encoding", "Chunked")], body=body
    )
    assert response.body == b"0123456789" * 2


def test_chunked_body_byte_by_byte(basic: Server) -> None:
    request = build_request(
        "/echo",
        method="POST",
        headers=[("Transfer-Encoding", "chunked")],
        body=chunked([b"abc", b"d" * 20], b"X-Trailer: t\r\n"),
    )
    with basic.connect() as connection:
        connection.send_slowly(request, pause=0.001)
        assert connection.read_response().body == b"abc" + b"d" * 20


def test_body_in_pieces(basic: Server) -> None:
    with basic.connect() as connection:
        connection.send(build_request("/echo", method="POST", headers=[("Content-Length", "30")]))
        for _ in range(3):
            connection.send(b"0123456789")
            time.sleep(0.01)  # so that the pieces arrive as such
        assert connection.read_response().body == b"0123456789" * 3


def test_leading_zeros_in_content_length(basic: Server) -> None:
    response = basic.request(
        "/echo", method="POST", headers=[("Content-Length", "0003")], body=b"abc"
    )
    assert response.body == b"abc"


def test_body_that_is_not_read(basic: Server) -> None:
    """The next request of the connection begins where the body ends."""
    with basic.connect() as connection:
        for size in (10, 3000):
            assert connection.request("/ignore", method="POST", body=b"x" * size).text == "ignored"
        response = connection.request(
            "/ignore",
            method="POST",
            headers=[("Transfer-Encoding", "chunked")],
            body=chunked([b"GET / HTTP/1.1\r\n\r\n"]),
        )
        assert response.text == "ignored"
        assert connection.request("/").body == b"hello\n"


@pytest.mark.saola_only
def test_big_body_that_is_not_read(basic: Server) -> None:
    with basic.connect() as connection:
        assert connection.request("/ignore", method="POST", body=b"x" * 3_000_000).text == "ignored"
        assert connection.request("/").body == b"hello\n"


def test_get_with_a_body(basic: Server) -> None:
    with basic.connect() as connection:
        assert connection.request("/echo", body=b"of a GET").body == b"of a GET"
        assert connection.request("/").body == b"hello\n"


@pytest.mark.saola_only
def test_input_kept_beyond_its_request(basic: Server) -> None:
    """It raises, or is at its end; it never reads the next request."""
    with basic.connect() as connection:
        connection.request("/keep", method="POST", body=b"first")
        outcome = connection.request("/keep", method="POST", body=b"second").text
        assert outcome in ("b''", "ValueError", "RuntimeError", "OSError"), outcome


@pytest.mark.saola_only
def test_readlines_with_a_hint(basic: Server) -> None:
    lines = calls(basic, "readlines:1")[0]
    assert lines in (LINES, LINES[:1])


def test_long_lines(basic: Server) -> None:
    body = b"a" * 100_000 + b"\n" + b"b" * 70_000
    result = calls(basic, "readline", "readline", "readline", body=body)
    assert [len(each) for each in result] == [100_001, 70_000, 0]


def test_lines_of_a_spooled_body(basic: Server) -> None:
    body = b"".join(b"line %d %s\n" % (number, b"." * 90) for number in range(30_000))
    result = calls(basic, "readlines", body=body)[0]
    assert len(result) == 30_000
    assert "".join(result).encode() == body
