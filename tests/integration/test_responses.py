# SPDX-License-Identifier: MIT
"""What becomes of what the application returns: heads, framing, bodies, files, exceptions."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from client import ConnectionClosed, Response
from conftest import Serve
from procs import poll
from server import Server


def status(
    server: Server, line: str, *headers: tuple[str, str], body: str = "", method: str = "GET"
) -> Response:
    """The answer of basic:app's /status, which says what it is told to."""
    query = [f"-status={quote(line)}", f"-body={quote(body)}"]
    query += [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in headers]
    with server.connect() as connection:
        response = connection.request(f"/status?{'&'.join(query)}", method=method)
        if not response.closes and response.status != 101:
            assert connection.request("/", close=True).body == b"hello\n"
        return response


def closed(server: Server) -> list[str]:
    names: list[str] = json.loads(server.request("/closed").body)
    return names


# --- framing


def test_content_length(basic: Server) -> None:
    response = status(basic, "200 OK", ("Content-Length", "3"), body="abc")
    assert (response.framing, response.body) == ("length", b"abc")


def test_chunked_without_a_length(basic: Server) -> None:
    response = basic.request("/stream?count=3&size=4")
    assert response.framing == "chunked"
    assert response.chunks == [b"xxxx"] * 3


def test_empty_chunks_do_not_end_the_body(basic: Server) -> None:
    response = status(basic, "200 OK", body="a,,b,")
    assert response.body == b"ab"
    assert response.chunks == [b"a", b"b"]


def test_body_is_cut_at_content_length(basic: Server) -> None:
    response = status(basic, "200 OK", ("Content-Length", "4"), body="abc,def")
    assert response.body == b"abcd"


def test_body_shorter_than_content_length_ends_the_connection(basic: Server) -> None:
    basic.allow("shorter|Content-Length|content length")
    with basic.connect() as connection:
        connection.send(b"GET /status?Content-Length=9&-body=abc HTTP/1.1\r\nHost: t\r\n")
        connection.send(b"Connection: close\r\n\r\n")
        with pytest.raises(ConnectionClosed):
            connection.read_response()
        assert connection.buffer == b"abc"


def test_no_iterable_at_all(basic: Server) -> None:
    response = basic.request("/returns?what=empty")
    assert (response.status, response.body) == (200, b"")
    assert basic.request("/returns?what=empties").body == b""


def test_iterables(basic: Server) -> None:
    assert basic.request("/returns?what=tuple").body == b"ab"
    assert basic.request("/start-lazily").body == b"lazy"


@pytest.mark.parametrize(("line", "code"), [("204 No Content", 204), ("304 Not Modified", 304)])
def test_no_body(basic: Server, line: str, code: int) -> None:
    response = status(basic, line, body="dropped")
    assert response.status == code
    assert response.framing == "none"
    assert response.get("Transfer-Encoding") is None


def test_content_length_of_204_is_dropped(basic: Server) -> None:
    assert status(basic, "204 No Content", ("Content-Length", "0")).get("Content-Length") is None


def test_content_length_of_304_is_kept(basic: Server) -> None:
    response = status(basic, "304 Not Modified", ("Content-Length", "42"))
    assert response.get("Content-Length") == "42"


def test_head_keeps_content_length(basic: Server) -> None:
    response = status(basic, "200 OK", ("Content-Length", "42"), method="HEAD", body="dropped")
    assert response.get("Content-Length") == "42"
    assert response.body == b""


def test_each_chunk_is_sent_when_it_is_yielded(basic: Server, tmp_path: Path) -> None:
    release = tmp_path / "release"
    with basic.connect() as connection:
        connection.send(f"GET /steps?file={release} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
        connection.read_head()
        assert connection.read_chunk() == b"first"
        release.touch()
        assert connection.read_chunk() == b"second"
        assert connection.read_chunk() == b""


def test_big_response(basic: Server) -> None:
    for query in ("count=1&size=20000000", "count=2000&size=10000", "count=50000&size=11"):
        response = basic.request(f"/stream?{query}")
        count, size = (int(part.split("=")[1]) for part in query.split("&"))
        assert len(response.body) == count * size


def test_big_response_with_length(basic: Server) -> None:
    response = basic.request("/stream?count=100&size=100000&length=10000000")
    assert (response.framing, len(response.body)) == ("length", 10_000_000)


# --- heads


def test_headers_go_out_in_order_and_as_given(basic: Server) -> None:
    given = [("x-b", "2"), ("X-A", "1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("x-B", "")]
    response = status(basic, "200 OK", *given)
    names = {"x-b", "x-a", "set-cookie"}
    assert [pair for pair in response.headers if pair[0].lower() in names] == given


def test_values_are_stripped(basic: Server) -> None:
    response = status(basic, "200 OK", ("X-Padded", "  in the middle \t"))
    assert b"X-Padded: in the middle\r\n" in response.head


def test_latin_1_in_a_value(basic: Server) -> None:
    response = basic.request("/status?X-Name=caf%E9")
    assert response.get("X-Name") == "caf\xe9"


@pytest.mark.parametrize("length", [7, 8, 15, 16, 24, 31, 300])
def test_values_of_any_length(basic: Server, length: int) -> None:
    """With what a value may contain beside letters: tabs, and bytes that are no ASCII."""
    value = ("a\t\xe9 ~\u0100/" * length)[:length].strip().encode().decode("latin-1")
    with basic.connect() as connection:
        response = connection.request(f"/status?X-Name={quote(value, encoding='latin-1')}")
    assert response.get("X-Name") == value


@pytest.mark.parametrize(
    "name",
    [
        *("Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "TE"),
        *("Trailers", "Transfer-Encoding", "Upgrade"),
    ],
)
def test_hop_by_hop_headers_are_dropped(basic: Server, name: str) -> None:
    response = status(basic, "200 OK", (name, "from the application"))
    assert "from the application" not in response.head.decode()


@pytest.mark.parametrize(
    "name",
    [
        *("TF", "Dat-", "Upgrad3", "Trailert", "Konnection", "Keep_Alive", "Content-Lengtn"),
        *("Transfer-Encodinh", "Proxy-Authenticato", "Proxy-Aufhorization", "X-Proxy-Authenticate"),
    ],
)
def test_names_that_are_nearly_the_servers_are_the_applications(basic: Server, name: str) -> None:
    response = status(basic, "200 OK", (name, "from the application"))
    assert response.get(name) == "from the application"


def test_server_and_date_are_the_servers(basic: Server) -> None:
    response = status(basic, "200 OK", ("Server", "mine"), ("date", "today"))
    assert response.get("Server") != "mine"
    assert response.get("Date") != "today"


def test_connection_close_of_the_application(basic: Server) -> None:
    """Dropped, as hop-by-hop: the server alone decides."""
    response = status(basic, "200 OK", ("Connection", "close"))
    assert len(response.all("Connection")) == 1


def test_custom_reason(basic: Server) -> None:
    response = status(basic, "418 I'm a teapot")
    assert (response.status, response.reason) == (418, "I'm a teapot")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Split", "a\r\nX-Injected: yes"),
        ("X-Split", "a\nb"),
        ("X-Split", "a\rb"),
        ("X-Split", "a\0b"),
        ("X-Split", "a\x7fb"),
        ("X-Split", 20 * "a" + "\r\nX-Injected: yes"),
        *(
            ("X-Split", f"{before * 'a'}\x1f{(29 - before) * 'b'}")
            for before in (0, 15, 16, 23, 24, 29)
        ),
        ("X Name", "a"),
        ("X-Name:", "a"),
        ("", "a"),
        ("X\r\nInjected", "a"),
    ],
)
def test_header_injection_is_refused(basic: Server, name: str, value: str) -> None:
    basic.allow("header|Header")
    response = basic.request(f"/status?{quote(name, safe='')}={quote(value, safe='')}")
    assert response.status in (400, 500)
    assert b"njected" not in response.head


@pytest.mark.saola_only
@pytest.mark.parametrize("line", ["200 OK\r\nX-Injected: yes", "200 O\nK", "2", "abc", "", "20 OK"])
def test_bad_status_is_refused(basic: Server, line: str) -> None:
    basic.allow("tatus")
    response = basic.request(f"/status?-status={quote(line)}")
    assert response.status == 500
    assert b"njected" not in response.head


@pytest.mark.parametrize("route", ["bad-status", "bad-header"])
def test_wrong_types_in_the_head(basic: Server, route: str) -> None:
    basic.allow("Error handling request")
    assert basic.request(f"/{route}").status == 500


@pytest.mark.saola_only
def test_value_beyond_latin_1(basic: Server) -> None:
    basic.allow("Error handling request")
    response = basic.request("/beyond-latin-1")
    assert response.status == 500


# --- start_response, write, exc_info


def test_write(basic: Server) -> None:
    assert basic.request("/write").body == b"written twice and returned"
    assert "write" in closed(basic)


def test_exc_info_replaces_a_head_that_was_not_sent(basic: Server) -> None:
    response = basic.request("/exc-info")
    assert (response.status, response.reason) == (503, "Service Unavailable")
    assert response.get("X-Second") == "2"
    assert response.body == b"replaced"


@pytest.mark.saola_only
def test_exc_info_drops_the_old_headers(basic: Server) -> None:
    assert basic.request("/exc-info").get("X-First") is None


def test_exc_info_after_the_head_raises(basic: Server) -> None:
    basic.allow("too late")
    with basic.connect() as connection:
        with pytest.raises(ConnectionClosed):
            connection.request("/exc-info-sent")
        assert b"never" not in connection.buffer


def test_start_response_twice(basic: Server) -> None:
    basic.allow("Response headers already set!")
    assert basic.request("/start-twice").status == 500


@pytest.mark.saola_only
def test_no_start_response(basic: Server) -> None:
    basic.allow("Error handling request")
    assert basic.request("/start-never").status == 500


@pytest.mark.parametrize("what", ["none", "int"])
def test_result_that_is_not_iterable(basic: Server, what: str) -> None:
    basic.allow("Error handling request")
    assert basic.request(f"/returns?what={what}").status == 500


def test_result_of_str(basic: Server) -> None:
    basic.allow("Error handling request")
    with basic.connect() as connection:
        try:
            assert connection.request("/returns?what=str").status == 500
        except ConnectionClosed:
            assert b"text" not in connection.buffer


# --- exceptions


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ("raise-before", "raised before start_response"),
        ("raise-started", "raised after start_response"),
        ("raise-first", "raised before the first chunk"),
    ],
)
def test_exception_before_the_head(basic: Server, route: str, message: str) -> None:
    basic.allow(f"(?s)Error handling request GET /{route}.*Traceback.*ValueError: {message}")
    response = basic.request(f"/{route}?a=b")
    assert (response.status, response.reason) == (500, "Internal Server Error")
    assert b"<h1><p>Internal Server Error</p></h1>" in response.body
    assert message.encode() not in response.body
    basic.wait_log(f"ValueError: {message}")
    assert any(f"/{route}?a=b" in each for each in basic.messages("ERROR"))
    assert basic.request("/").status == 200


def test_exception_after_the_head_closes_the_connection(basic: Server) -> None:
    basic.allow("raised after the first chunk")
    with basic.connect() as connection:
        connection.send(b"GET /raise-later HTTP/1.1\r\nHost: t\r\n\r\n")
        head = connection.read_head()
        assert head.status == 200
        assert head.get("X-Sent") == "yes"
        assert connection.read_chunk() == b"some"
        assert connection.read_to_end() == b""  # no last chunk
    basic.wait_log("ValueError: raised after the first chunk")
    assert "raise-later" in closed(basic)


def test_close_is_called_after_an_exception(basic: Server) -> None:
    basic.allow("raised before the first chunk")
    basic.request("/raise-first")
    assert "raise-first" in closed(basic)


def test_exception_in_close(basic: Server) -> None:
    basic.allow("raised in close")
    with basic.connect() as connection:
        response = connection.request("/raise-close")
        assert response.body == b"ok"
    basic.wait_log("ValueError: raised in close")
    assert basic.request("/").status == 200


def test_os_error_of_the_application(basic: Server) -> None:
    basic.allow("raised by the application|Socket error processing request")
    with basic.connect() as connection:
        connection.send(b"GET /raise-os HTTP/1.1\r\nHost: t\r\n\r\n")
        data = connection.read_to_end()
        assert data == b"" or data.startswith(b"HTTP/1.1 500 ")
    basic.wait_log("PermissionError: .*raised by the application")


@pytest.mark.saola_only
def test_system_exit_is_answered_and_the_worker_lives(basic: Server) -> None:
    basic.allow("SystemExit|Error handling request")
    worker = basic.worker
    assert basic.request("/raise-exit").status == 500
    assert basic.request("/").status == 200
    assert basic.worker == worker


def test_close_is_called(basic: Server) -> None:
    closed(basic)
    basic.request("/stream")
    assert closed(basic) == ["stream"]
    basic.request("/stream", method="HEAD")
    assert closed(basic) == ["stream"]


def test_close_is_called_when_the_client_has_left(basic: Server) -> None:
    closed(basic)
    with basic.connect(receive_buffer=4096) as connection:
        connection.send(b"GET /stream?count=2000&size=100000 HTTP/1.1\r\nHost: t\r\n\r\n")
        connection.read_head()
        connection.reset()
    poll(lambda: closed(basic) == ["stream"], "the iterable closed")
    assert basic.request("/").status == 200


# --- files


@pytest.fixture
def big_file(tmp_path: Path) -> Path:
    path = tmp_path / "big"
    path.write_bytes(bytes(range(256)) * 4096 + b"end")
    return path


def test_file(basic: Server, big_file: Path) -> None:
    response = basic.request(f"/file?path={big_file}")
    assert response.body == big_file.read_bytes()


def test_file_with_length(basic: Server, big_file: Path) -> None:
    size = big_file.stat().st_size
    with basic.connect() as connection:
        response = connection.request(f"/file?path={big_file}&length={size}")
        assert response.framing == "length"
        assert response.body == big_file.read_bytes()
        assert connection.request("/").body == b"hello\n"


def test_file_from_an_offset(basic: Server, big_file: Path) -> None:
    response = basic.request(f"/file?path={big_file}&offset=1048570")
    assert response.body == big_file.read_bytes()[1048570:]
    response = basic.request(f"/file?path={big_file}&offset=100&length=1000")
    assert response.body == big_file.read_bytes()[100:1100]


def test_file_of_http_1_0(basic: Server, big_file: Path) -> None:
    with basic.connect() as connection:
        response = connection.request(f"/file?path={big_file}", version="1.0")
        assert response.body == big_file.read_bytes()


def test_file_head(basic: Server, big_file: Path) -> None:
    with basic.connect() as connection:
        response = connection.request(f"/file?path={big_file}&length=77", method="HEAD")
        assert (response.get("Content-Length"), response.body) == ("77", b"")
        assert connection.request("/").body == b"hello\n"


@pytest.mark.saola_only
def test_empty_file(basic: Server, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with basic.connect() as connection:
        assert connection.request(f"/file?path={tmp_path / 'empty'}").body == b""
        assert connection.request(f"/file?path={tmp_path / 'empty'}&length=0").body == b""


@pytest.mark.saola_only
def test_file_that_is_at_its_end(basic: Server, big_file: Path) -> None:
    assert basic.request(f"/file?path={big_file}&offset={big_file.stat().st_size}").body == b""


def test_file_without_a_descriptor(basic: Server) -> None:
    closed(basic)
    assert basic.request("/file-like").body == b"0123456789" * 3
    assert closed(basic) == ["file-like"]


def test_files_one_after_another(basic: Server, big_file: Path) -> None:
    with basic.connect() as connection:
        for offset in range(0, 1_000_000, 100_000):
            response = connection.request(f"/file?path={big_file}&offset={offset}")
            assert response.body == big_file.read_bytes()[offset:]


def test_no_sendfile(serve: Serve, big_file: Path) -> None:
    server = serve("basic:app", "--no-sendfile")
    response = server.request(f"/file?path={big_file}&offset=7")
    assert response.body == big_file.read_bytes()[7:]
