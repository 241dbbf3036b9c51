# SPDX-License-Identifier: MIT
"""Requests that are answered with an error page before the application is called."""

from __future__ import annotations

import html
import re
import time
from dataclasses import dataclass

import pytest
from client import Response, build_request, chunked
from conftest import Serve
from server import Server


@dataclass
class Bad:
    name: str
    request: bytes
    status: int
    reason: str
    message: str  # on the page, before escaping
    text: str | None = None  # in the log, if it is not the message
    saola_only: bool = False


def line(request_line: str) -> str:
    return f"Invalid Request Line 'Invalid HTTP request line: '{request_line}''"


def get(*fields: bytes, method: bytes = b"GET", body: bytes = b"") -> bytes:
    return b"\r\n".join([method + b" / HTTP/1.1", b"Host: test", *fields, b"", b""]) + body


BAD = [
    Bad("one word", b"GET\r\n\r\n", 400, "Bad Request", line("GET")),
    Bad("two words", b"GET /\r\n\r\n", 400, "Bad Request", line("GET /")),
    Bad(
        "four words",
        b"GET / x HTTP/1.1\r\n\r\n",
        400,
        "Bad Request",
        "Invalid HTTP Version 'Invalid HTTP Version: 'x HTTP/1.1''",
    ),
    Bad(
        "two spaces",
        b"GET  / HTTP/1.1\r\n\r\n",
        400,
        "Bad Request",
        line("GET  / HTTP/1.1"),
        saola_only=True,
    ),
    Bad(
        "relative target",
        b"GET index.html HTTP/1.1\r\n\r\n",
        400,
        "Bad Request",
        line("GET index.html HTTP/1.1"),
    ),
    Bad("asterisk with GET", b"GET * HTTP/1.1\r\n\r\n", 400, "Bad Request", line("GET * HTTP/1.1")),
    Bad(
        "markup in the line",
        b"GET <b>&\"' HTTP/1.1\r\n\r\n",
        400,
        "Bad Request",
        "",
        saola_only=True,
    ),
    Bad(
        "lower-case method",
        b"get / HTTP/1.1\r\nHost: t\r\n\r\n",
        400,
        "Bad Request",
        "Invalid Method 'Invalid HTTP method: 'get''",
    ),
    Bad(
        "method of two letters",
        b"GO / HTTP/1.1\r\nHost: t\r\n\r\n",
        400,
        "Bad Request",
        "Invalid Method 'Invalid HTTP method: 'GO''",
    ),
    Bad(
        "method of 21 letters",
        b"G" * 21 + b" / HTTP/1.1\r\nHost: t\r\n\r\n",
        400,
        "Bad Request",
        f"Invalid Method 'Invalid HTTP method: '{'G' * 21}''",
    ),
    Bad(
        "method that is no token",
        b"GE(T / HTTP/1.1\r\nHost: t\r\n\r\n",
        400,
        "Bad Request",
        "Invalid Method 'Invalid HTTP method: 'GE(T''",
    ),
    Bad(
        "method with number sign",
        b"GE#T / HTTP/1.1\r\nHost: t\r\n\r\n",
        400,
        "Bad Request",
        "Invalid Method 'Invalid HTTP method: 'GE#T''",
    ),
    Bad(
        "TLS to a plain socket",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        400,
        "Bad Request",
        "",
        saola_only=True,
    ),
    Bad(
        "version without minor",
        b"GET / HTTP/1\r\nHost: t\r\n\r\n",
        400,
        "Bad Request",
        "Invalid HTTP Version 'Invalid HTTP Version: 'HTTP/1''",
    ),
    Bad(
        "version of another protocol",
        b"GET / XTTP/1.1\r\nHost: t\r\n\r\n",
        400,
        "Bad Request",
        "Invalid HTTP Version 'Invalid HTTP Version: 'XTTP/1.1''",
    ),
    Bad(
        "version 2.0",
        b"GET / HTTP/2.0\r\nHost: t\r\n\r\n",
        400,
        "Bad Request",
        "Invalid HTTP Version 'Invalid HTTP Version: (2, 0)'",
    ),
    Bad(
        "version 0.9",
        b"GET / HTTP/0.9\r\nHost: t\r\n\r\n",
        400,
        "Bad Request",
        "Invalid HTTP Version 'Invalid HTTP Version: (0, 9)'",
    ),
    Bad(
        "request line over the limit",
        b"GET /" + b"a" * 4090 + b" HTTP/1.1\r\nHost: t\r\n\r\n",
        400,
        "Bad Request",
        "Request Line is too large (4104 > 4094)",
    ),
    Bad(
        "field without colon",
        get(b"Colonless"),
        400,
        "Bad Request",
        "Invalid HTTP Header: 'Colonless'",
    ),
    Bad("field without name", get(b": value"), 400, "Bad Request", "", saola_only=True),
    Bad(
        "blank before the colon",
        get(b"Name : value"),
        400,
        "Bad Request",
        "Invalid HTTP header name: 'Name '",
    ),
    Bad(
        "name that is no token",
        get(b"Na(me: value"),
        400,
        "Bad Request",
        "Invalid HTTP header name: 'Na(me'",
    ),
    Bad("NUL in a value", get(b"Name: a\0b"), 400, "Bad Request", "Invalid HTTP Header: 'NAME'"),
    Bad(
        "bare CR in a value", get(b"Name: a\rb"), 400, "Bad Request", "Invalid HTTP Header: 'NAME'"
    ),
    Bad(
        "bare LF in a value", get(b"Name: a\nb"), 400, "Bad Request", "Invalid HTTP Header: 'NAME'"
    ),
    Bad("DEL in a value", get(b"Name: a\x7fb"), 400, "Bad Request", "", saola_only=True),
    Bad(
        "folded field",
        get(b"Name: a", b" b"),
        400,
        "Bad Request",
        "Obsolete line folding is unacceptable: 'NAME'",
    ),
    Bad("folded first field", b"GET / HTTP/1.1\r\n Host: t\r\n\r\n", 400, "Bad Request", ""),
    Bad("two Hosts", get(b"Host: other"), 400, "Bad Request", "Invalid HTTP Header: 'HOST'"),
    Bad(
        "two Content-Types",
        get(b"Content-Type: a/b", b"Content-Type: a/b"),
        400,
        "Bad Request",
        "Invalid HTTP Header: 'CONTENT-TYPE'",
        saola_only=True,
    ),
    Bad(
        "two Content-Lengths",
        get(b"Content-Length: 1", b"Content-Length: 1", body=b"x"),
        400,
        "Bad Request",
        "Invalid HTTP Header: 'CONTENT-LENGTH'",
    ),
    *(
        Bad(
            f"Content-Length {value!r}",
            get(b"Content-Length: " + value),
            400,
            "Bad Request",
            "Invalid HTTP Header: 'CONTENT-LENGTH'",
        )
        for value in (b"-1", b"+1", b"1_0", b"0x10", b"1,1", b"1 1", b"ten")
    ),
    Bad(
        "empty Content-Length",
        get(b"Content-Length:"),
        400,
        "Bad Request",
        "Invalid HTTP Header: 'CONTENT-LENGTH'",
    ),
    Bad(
        "huge Content-Length",
        get(b"Content-Length: 99999999999999999999999999"),
        400,
        "Bad Request",
        "Invalid HTTP Header: 'CONTENT-LENGTH'",
        saola_only=True,
    ),
    Bad(
        "length and chunked",
        get(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        400,
        "Bad Request",
        "Invalid HTTP Header: 'CONTENT-LENGTH'",
    ),
    Bad(
        "chunked twice",
        get(b"Transfer-Encoding: chunked, chunked"),
        400,
        "Bad Request",
        "Invalid HTTP Header: 'TRANSFER-ENCODING'",
    ),
    Bad(
        "chunked not last",
        get(b"Transfer-Encoding: chunked, gzip"),
        400,
        "Bad Request",
        "Invalid HTTP Header: 'TRANSFER-ENCODING'",
    ),
    Bad(
        "chunked in HTTP/1.0",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "Bad Request",
        "Invalid HTTP Header: 'TRANSFER-ENCODING'",
    ),
    Bad(
        "unknown transfer coding",
        get(b"Transfer-Encoding: xchunked"),
        501,
        "Not Implemented",
        "Unsupported transfer coding: 'xchunked'",
        saola_only=True,
    ),
    Bad(
        "empty transfer coding",
        get(b"Transfer-Encoding:"),
        501,
        "Not Implemented",
        "Unsupported transfer coding: ''",
        saola_only=True,
    ),
    Bad(
        "101 fields",
        get(*[b"A%d: b" % number for number in range(100)]),
        431,
        "Request Header Fields Too Large",
        "Error parsing headers: 'limit request headers fields'",
        "limit request headers fields",
    ),
    Bad(
        "field over the limit",
        get(b"Name: " + b"a" * 8190),
        431,
        "Request Header Fields Too Large",
        "Error parsing headers: 'limit request headers fields size'",
        "limit request headers fields size",
    ),
    Bad(
        "unknown expectation",
        get(b"Expect: 200-maybe"),
        417,
        "Expectation Failed",
        "Unable to comply with expectation: '200-maybe'",
    ),
    Bad(
        "schemes that disagree",
        get(b"X-Forwarded-Proto: https", b"X-Forwarded-Ssl: off"),
        400,
        "Bad Request",
        "Contradictory scheme headers",
    ),
    Bad(
        "no Host in HTTP/1.1",
        b"GET / HTTP/1.1\r\n\r\n",
        400,
        "Bad Request",
        "Missing HTTP Header: 'HOST'",
        saola_only=True,
    ),
    *(
        Bad(
            f"chunked body {body!r}",
            get(b"Transfer-Encoding: chunked", method=b"POST", body=body),
            400,
            "Bad Request",
            "",
            saola_only=True,
        )
        for body in (
            b"x\r\n\r\n",
            b"-1\r\n\r\n",
            b"0x1\r\na\r\n0\r\n\r\n",
            b"1_0\r\n",
            b" 1\r\na\r\n0\r\n\r\n",
            b"1\r\nab\r\n0\r\n\r\n",
            b"1\r\na\n0\r\n\r\n",
            b"1;a\rb\r\na\r\n0\r\n\r\n",
            b"ffffffffffffffffff\r\n",
            b"1\r\na\r\n0\r\nBad Name: x\r\n\r\n",
            b"1\r\na\r\n0\r\nContent-Length: 1\r\n\r\n",
            b"\r\n",
        )
    ),
]


def page(reason: str, message: str) -> bytes:
    return (
        f"<html>\n  <head>\n    <title>{reason}</title>\n  </head>\n  <body>\n"
        f"    <h1><p>{reason}</p></h1>\n    {html.escape(message)}\n  </body>\n</html>\n"
    ).encode()


def check_page(response: Response, status: int, reason: str, message: str) -> None:
    assert (response.status, response.reason) == (status, reason), response.body
    assert [name for name, _ in response.headers] == [
        *("Connection", "Content-Type", "Content-Length"),
    ]
    assert response.get("Connection") == "close"
    assert response.get("Content-Type") == "text/html"
    if message:
        assert response.body == page(reason, message)
    else:
        assert response.body.startswith(page(reason, "").split(b"    \n")[0])


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(bad, id=bad.name, marks=[pytest.mark.saola_only] if bad.saola_only else [])
        for bad in BAD
    ],
)
def test_error_page(basic: Server, bad: Bad) -> None:
    response = basic.send(bad.request)
    check_page(response, bad.status, bad.reason, bad.message)
    assert basic.request("/").status == 200


def test_error_page_escapes(basic: Server) -> None:
    response = basic.send(b"GET <b>&\"' HTTP/1.1\r\nHost: t\r\n\r\n")
    assert b"&lt;b&gt;&amp;&quot;" in response.body
    assert b"<b>" not in response.body


@pytest.mark.parametrize(
    ("request_bytes", "text"),
    [
        (b"GE(T / HTTP/1.1\r\nHost: t\r\n\r\n", r"Invalid HTTP method: 'GE\(T'"),
        (get(b"Name: a", b" b"), r"Obsolete line folding is unacceptable: 'NAME'"),
        (get(b"Expect: x"), r"Unable to comply with expectation: 'x'"),
    ],
)
def test_error_is_logged(serve: Serve, request_bytes: bytes, text: str) -> None:
    server = serve()
    server.send(request_bytes)
    server.wait_log(rf"\[WARNING\] Invalid request from ip=127\.0\.0\.1: .*{text}")


@pytest.mark.saola_only
def test_log_is_not_flooded(serve: Serve) -> None:
    """A line that a peer can provoke is written so many times, then counted."""
    server = serve()
    begun = time.monotonic()
    for _ in range(300):
        assert server.send(b"BAD\r\n\r\n").status == 400
    seconds = int(time.monotonic() - begun) + 2  # of the clock, begun ones included
    assert 1 <= server.log.count("Invalid request from") <= 10 * seconds


@pytest.mark.saola_only
def test_log_line_cannot_be_forged(serve: Serve) -> None:
    """What a peer sends never begins a line of the log."""
    server = serve()
    server.send(b"GET forged\x1b[31m\r[2026-01-01 00:00:00 +0000] [1] [ERROR] x HTTP/1.1\r\n\r\n")
    server.wait_log("forged")
    assert not re.search(r"^\[2026-01-01 00:00:00", server.log, re.MULTILINE)
    assert "\x1b" not in server.log


def test_error_page_is_readable_while_the_client_still_sends(basic: Server) -> None:
    """The server lingers: a reset must not destroy the answer on its way."""
    with basic.connect() as connection:
        connection.send_all_can(b"BAD\r\n\r\n" + b"x" * 30_000)
        assert connection.read_response().status == 400
        connection.expect_closed()


@pytest.mark.saola_only
def test_head_that_never_ends(basic: Server) -> None:
    with basic.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: t\r\n")
        field = b"X: " + b"y" * 4000 + b"\r\n"
        while connection.send_all_can(field) and not connection.readable(0):
            pass
        response = connection.read_response()
        assert response.status == 431


@pytest.mark.saola_only
def test_request_line_that_never_ends(basic: Server) -> None:
    with basic.connect() as connection:
        connection.send(b"GET /")
        while connection.send_all_can(b"a" * 1000) and not connection.readable(0.001):
            pass
        check_page(connection.read_response(), 400, "Bad Request", "")


@pytest.mark.saola_only
def test_bare_lf_is_no_line_end(basic: Server) -> None:
    with basic.connect() as connection:
        connection.send(b"GET / HTTP/1.1\nHost: t\n\n")
        connection.shutdown_write()
        data = connection.read_to_end()
        assert data == b"" or data.startswith(b"HTTP/1.1 400 ")


def test_limits_can_be_set(serve: Serve) -> None:
    server = serve(
        "basic:app",
        *("--limit-request-line", "64", "--limit-request-fields", "3"),
        *("--limit-request-field_size", "40"),
    )
    exact = b"GET /" + b"a" * (64 - 14) + b" HTTP/1.1\r\nHost: t\r\n\r\n"
    assert server.send(exact).status == 404
    check_page(
        server.send(exact.replace(b"/a", b"/aa")),
        400,
        "Bad Request",
        "Request Line is too large (65 > 64)",
    )
    assert server.send(get(b"A: 1", b"B: 2")).status == 200
    assert server.send(get(b"A: 1", b"B: 2", b"C: 3")).status == 431
    assert server.send(get(b"A: " + b"x" * 35)).status == 200
    assert server.send(get(b"A: " + b"x" * 36)).status == 431


def test_request_line_without_limit_is_8190(serve: Serve) -> None:
    server = serve("basic:app", "--limit-request-line", "0")
    assert server.send(b"GET /" + b"a" * 8100 + b" HTTP/1.1\r\nHost: t\r\n\r\n").status == 404


def test_largest_head_within_the_limits(basic: Server) -> None:
    fields = [(f"X-{number:02}", "v" * 8000) for number in range(98)]
    with basic.connect() as connection:
        response = connection.request("/", headers=fields)
        assert response.status == 200


@pytest.mark.saola_only
def test_truncated_body_reaches_nobody(basic: Server) -> None:
    """A client that leaves within a body: the application is not called."""
    for request in (
        build_request("/echo", method="POST", headers=[("Content-Length", "10")], body=b"half"),
        build_request(
            "/echo",
            method="POST",
            headers=[("Transfer-Encoding", "chunked")],
            body=chunked([b"half"])[:-5],
        ),
    ):
        with basic.connect() as connection:
            connection.send(request)
            connection.shutdown_write()
            data = connection.read_to_end()
            assert not data or data.startswith(b"HTTP/1.1 400 ")


@pytest.mark.saola_only
@pytest.mark.parametrize(("setting", "status"), [("False", 400), ("True", 200)])
def test_permit_missing_host(serve: Serve, setting: str, status: int) -> None:
    server = serve("basic:app", config=f"permit_missing_host = {setting}")
    response = server.send(b"GET /environ HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert response.status == status
    assert (b"Missing HTTP Header: &#x27;HOST&#x27;" in response.body) == (status == 400)
    assert (b"HTTP_HOST" in response.body) is False


@pytest.mark.saola_only
def test_head_that_is_refused_gets_no_body(basic: Server) -> None:
    with basic.connect() as connection:
        connection.send(b"HEAD / HTTP/1.1\r\nHost: a b\r\n\r\n")
        response = connection.read_response("HEAD")
        assert (response.status, response.reason) == (400, "Bad Request")
        assert int(response.get("Content-Length") or 0) > 100
        connection.expect_closed()
    refused = b"GET\r\n\r\n"  # by a request that was HEAD's before
    assert basic.send(refused).body.startswith(b"<html>")
