# SPDX-License-Identifier: MIT
"""Requests and connections: methods, versions, keep-alive, pipelining, segments."""

from __future__ import annotations

import json
import time

import pytest
from client import Response, build_request, pipeline
from conftest import Serve
from server import NAME, Server


def test_hello(basic: Server) -> None:
    response = basic.request("/")
    assert (response.version, response.status, response.reason) == ("1.1", 200, "OK")
    assert response.body == b"hello\n"
    assert response.framing == "length"
    assert response.get("Content-Type") == "text/plain"
    assert response.get("Connection") == "close"
    assert response.get("Server") == NAME
    date = response.get("Date")
    assert date
    then = time.mktime(time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone
    assert abs(time.time() - then) < 60


def test_order_of_the_head(basic: Server) -> None:
    response = basic.request("/")
    names = [name for name, _ in response.headers]
    assert names == ["Server", "Date", "Connection", "Content-Type", "Content-Length"]


def test_unknown_path_reaches_the_application(basic: Server) -> None:
    response = basic.request("/no/such/route")
    assert (response.status, response.reason, response.body) == (404, "Not Found", b"not found")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
def test_methods(basic: Server, method: str) -> None:
    response = basic.request("/environ", method=method)
    assert json.loads(response.body)["REQUEST_METHOD"] == method


def test_head_has_the_headers_of_get_and_no_body(basic: Server) -> None:
    with basic.connect() as connection:
        head = connection.request("/", method="HEAD")
        get = connection.request("/", close=True)
    assert head.body == b""
    assert head.get("Content-Length") == "6"

    def names(response: Response) -> list[str]:
        return [name for name, _ in response.headers]

    assert names(head) == names(get)


def test_head_of_a_stream(basic: Server) -> None:
    with basic.connect() as connection:
        response = connection.request("/stream", method="HEAD")
        assert response.body == b""
        assert connection.request("/").body == b"hello\n"


def test_options_asterisk(basic: Server) -> None:
    response = basic.request("*", method="OPTIONS")
    assert response.status == 404  # by the application
    assert response.body == b"not found"


def test_absolute_form(basic: Server) -> None:
    environ = json.loads(basic.request("http://test/environ?a=b").body)
    assert environ["PATH_INFO"] == "/environ"
    assert environ["QUERY_STRING"] == "a=b"
    assert environ["RAW_URI"] == "http://test/environ?a=b"


def test_keep_alive_is_the_default_of_http_1_1(basic: Server) -> None:
    with basic.connect() as connection:
        for _ in range(5):
            response = connection.request("/")
            assert response.body == b"hello\n"
            assert response.get("Connection") == "keep-alive"
        assert connection.request("/", close=True).closes


def test_http_1_0_closes(basic: Server) -> None:
    with basic.connect() as connection:
        response = connection.request("/", version="1.0")
        assert response.get("Connection") == "close"
        assert response.body == b"hello\n"
        connection.expect_end()


def test_http_1_0_keep_alive(basic: Server) -> None:
    with basic.connect() as connection:
        for _ in range(3):
            response = connection.request(
                "/", version="1.0", headers=[("Connection", "keep-alive")]
            )
            assert response.get("Connection") == "keep-alive"
            assert response.body == b"hello\n"


def test_http_1_0_without_host(basic: Server) -> None:
    assert basic.send(b"GET / HTTP/1.0\r\n\r\n").body == b"hello\n"


def test_http_1_0_stream_ends_with_the_connection(basic: Server) -> None:
    with basic.connect() as connection:
        response = connection.request(
            "/stream", version="1.0", headers=[("Connection", "keep-alive")]
        )
        assert response.framing == "close"
        assert response.get("Connection") == "close"
        assert response.body == b"xxxx" * 3


@pytest.mark.parametrize("option", ["close", "Close", "CLOSE"])
def test_connection_close(basic: Server, option: str) -> None:
    with basic.connect() as connection:
        response = connection.request("/", headers=[("Connection", option)])
        assert response.get("Connection") == "close"
        connection.expect_end()


@pytest.mark.saola_only
@pytest.mark.parametrize("option", ["close, x", "x,close", "keep-alive, close", "Upgrade , Close"])
def test_connection_close_in_a_list(basic: Server, option: str) -> None:
    with basic.connect() as connection:
        response = connection.request("/", headers=[("Connection", option)])
        assert response.get("Connection") == "close"
        connection.expect_end()


def test_half_close_after_the_request(basic: Server) -> None:
    with basic.connect() as connection:
        connection.send(build_request("/", close=True))
        connection.shutdown_write()
        assert connection.read_response().body == b"hello\n"
        connection.expect_end()


def test_half_close_of_an_idle_connection(basic: Server) -> None:
    with basic.connect() as connection:
        connection.request("/")
        connection.shutdown_write()
        connection.expect_end()


def test_client_that_says_nothing_and_leaves(basic: Server) -> None:
    basic.connect().close()
    basic.connect().reset()
    assert basic.request("/").status == 200


def test_client_that_leaves_within_a_head(basic: Server) -> None:
    with basic.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nHo")
        connection.shutdown_write()
        connection.expect_end()
    with basic.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nHo")
        connection.reset()
    assert basic.request("/").status == 200


def test_head_byte_by_byte(basic: Server) -> None:
    with basic.connect() as connection:
        connection.send_slowly(build_request("/environ?q=1", headers=[("X-Some", "thing")]))
        environ = json.loads(connection.read_response().body)
        assert environ["HTTP_X_SOME"] == "thing"
        assert environ["QUERY_STRING"] == "q=1"


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5])
def test_head_cut_near_its_end(basic: Server, cut: int) -> None:
    data = build_request("/", headers=[("A", "b")])
    with basic.connect() as connection:
        connection.send(data[:-cut])
        assert not connection.readable(0.03)
        connection.send(data[-cut:])
        assert connection.read_response().body == b"hello\n"


def test_two_requests_in_three_segments(basic: Server) -> None:
    data = build_request("/echo", method="POST", body=b"one") + build_request("/")
    with basic.connect() as connection:
        connection.send(data[:20])
        assert not connection.readable(0.02)
        connection.send(data[20:-10])
        assert connection.read_response().body == b"one"
        assert not connection.readable(0.02)
        connection.send(data[-10:])
        assert connection.read_response().body == b"hello\n"


@pytest.mark.saola_only
def test_pipelined_requests_are_answered_in_order(basic: Server) -> None:
    with basic.connect() as connection:
        requests = [
            build_request("/echo", method="POST", body=b"%d" % number) for number in range(16)
        ]
        responses = pipeline(connection, requests)
        assert [response.body for response in responses] == [b"%d" % n for n in range(16)]


@pytest.mark.saola_only
def test_pipelined_requests_of_many_kinds(basic: Server) -> None:
    with basic.connect() as connection:
        connection.send(
            build_request("/stream?count=2&size=3")
            + build_request("/", method="HEAD")
            + build_request("/echo", method="POST", body=b"x" * 100_000)
            + build_request("/no")
            + build_request("/", close=True)
        )
        assert connection.read_response().body == b"xxxxxx"
        assert connection.read_response("HEAD").get("Content-Length") == "6"
        assert connection.read_response().body == b"x" * 100_000
        assert connection.read_response().status == 404
        assert connection.read_response().closes
        connection.expect_end()


@pytest.mark.saola_only
def test_nothing_is_answered_after_close(basic: Server) -> None:
    with basic.connect() as connection:
        connection.send(build_request("/", close=True) + build_request("/environ"))
        assert connection.read_response().body == b"hello\n"
        connection.expect_closed()


@pytest.mark.saola_only
def test_many_pipelined_requests(basic: Server) -> None:
    count = 2000
    with basic.connect() as connection:
        for _ in range(5):
            connection.send(build_request("/") * (count // 5))
        for _ in range(count):
            assert connection.read_response().body == b"hello\n"


@pytest.mark.saola_only
def test_pipelined_bad_request_comes_last(basic: Server) -> None:
    with basic.connect() as connection:
        connection.send(build_request("/") + b"BAD\r\n\r\n" + build_request("/"))
        assert connection.read_response().status == 200
        assert connection.read_response().status == 400
        connection.expect_closed()


def test_many_connections(basic: Server) -> None:
    connections = [basic.connect() for _ in range(100)]
    for connection in connections:
        connection.send(build_request("/", close=True))
    for connection in connections:
        assert connection.read_response().body == b"hello\n"
        connection.close()


@pytest.mark.saola_only
def test_idle_keep_alive_connections_hold_nobody_up(basic: Server) -> None:
    idle = [basic.connect() for _ in range(50)]
    for connection in idle:
        assert connection.request("/").status == 200
    assert basic.request("/").status == 200
    for connection in idle:
        assert connection.request("/").status == 200


def test_keep_alive_expires(serve: Serve) -> None:
    server = serve("basic:app", "--keep-alive", "1")
    with server.connect() as connection:
        begun = time.monotonic()
        connection.request("/")
        connection.expect_end()
        assert time.monotonic() - begun > 0.5


def test_keep_alive_0_closes(serve: Serve) -> None:
    server = serve("basic:app", "--keep-alive", "0")
    with server.connect() as connection:
        assert connection.request("/").get("Connection") == "close"
        connection.expect_end()


def test_expect_100_continue(basic: Server) -> None:
    with basic.connect() as connection:
        head = build_request(
            "/echo",
            method="POST",
            headers=[("Expect", "100-continue"), ("Content-Length", "4")],
        )
        connection.send(head)
        interim = connection.read_head()
        assert (interim.status, interim.reason) == (100, "Continue")
        connection.send(b"body")
        assert connection.read_response().body == b"body"


@pytest.mark.parametrize("value", ["100-Continue", "100-CONTINUE"])
def test_expect_in_any_case(basic: Server, value: str) -> None:
    with basic.connect() as connection:
        response = connection.request(
            "/echo", method="POST", headers=[("Expect", value)], body=b"abc"
        )
        assert response.body == b"abc"


def test_expect_of_http_1_0_is_ignored(basic: Server) -> None:
    with basic.connect() as connection:
        response = connection.request(
            "/echo", method="POST", version="1.0", headers=[("Expect", "100-continue")], body=b"x"
        )
        assert not response.interim
        assert response.body == b"x"


def test_percent_and_plus_in_the_target(basic: Server) -> None:
    environ = json.loads(basic.request("/environ/%C3%A9/a+b%2Fc?x=%20+").body)
    assert environ["PATH_INFO"] == "/environ/\xc3\xa9/a+b/c"
    assert environ["QUERY_STRING"] == "x=%20+"
    assert environ["RAW_URI"] == "/environ/%C3%A9/a+b%2Fc?x=%20+"
