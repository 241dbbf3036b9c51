# SPDX-License-Identifier: MIT
"""The WSGI environ, key by key."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from client import Headers, build_request
from conftest import Serve
from server import IS_GUNICORN, NAME, Server


def environ(server: Server, target: str = "/environ", headers: Headers = (), **options: Any) -> Any:
    response = server.request(target, headers=headers, **options)
    assert response.status == 200, response.body
    return json.loads(response.body)


def test_every_key(basic: Server) -> None:
    found = environ(basic, "/environ?a=1&b", host="example.com:81")
    host, port = basic.tcp
    remote_port = found.pop("REMOTE_PORT")
    assert 0 < int(remote_port) < 65536
    software = found.pop("SERVER_SOFTWARE")
    assert software.startswith(f"{NAME}/")
    if not IS_GUNICORN:
        assert found.pop("saola.extend_deadline").startswith("<")
    assert found == {
        "wsgi.errors": found["wsgi.errors"],
        "wsgi.version": [1, 0],
        "wsgi.multithread": IS_GUNICORN,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": "<type>",
        "wsgi.input_terminated": True,
        "wsgi.input": found["wsgi.input"],
        "wsgi.url_scheme": "http",
        "wsgi.early_hints": found["wsgi.early_hints"],
        "gunicorn.socket": found["gunicorn.socket"],
        "REQUEST_METHOD": "GET",
        "RAW_URI": "/environ?a=1&b",
        "QUERY_STRING": "a=1&b",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "example.com:81",
        "HTTP_CONNECTION": "close",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "PATH_INFO": "/environ",
        "SCRIPT_NAME": "",
    }
    for key in ("wsgi.errors", "wsgi.input", "wsgi.early_hints"):
        assert found[key].startswith("<")


def test_gunicorn_socket(basic: Server) -> None:
    """The connection itself: questions may be asked, and it may be taken over."""
    with basic.connect() as connection:
        names = connection.request("/socket-names").text
        ours = connection.sock.getsockname()
        assert names == f"{basic.tcp} {ours} {socket.AF_INET}"
        assert connection.request("/").body == b"hello\n"
    with basic.connect() as connection:
        connection.send(build_request("/socket-speak"))
        assert connection.read_to_end() == b"spoken by the application"


def test_headers(basic: Server) -> None:
    found = environ(
        basic,
        headers=[
            ("X-One", "1"),
            ("x-two", " \t two words \t"),
            ("X-Repeated", "a"),
            ("X-Repeated", "b, c"),
            ("Cookie", "a=1"),
            ("Cookie", "b=2"),
            ("X-Empty", ""),
            ("X-Latin", "caf\xe9"),
            ("!#$%&'*+-.^`|~9", "odd"),
        ],
    )
    assert found["HTTP_X_ONE"] == "1"
    assert found["HTTP_X_TWO"] == "two words"
    assert found["HTTP_X_REPEATED"] == "a,b, c"
    assert found["HTTP_COOKIE"] == "a=1,b=2"
    assert found["HTTP_X_EMPTY"] == ""
    assert found["HTTP_X_LATIN"] == "caf\xe9"
    assert found["HTTP_!#$%&'*+_.^`|~9"] == "odd"


def test_content_type_and_length(basic: Server) -> None:
    found = environ(basic, method="POST", headers=[("Content-Type", "text/x; a=b")], body=b"12345")
    assert found["CONTENT_TYPE"] == "text/x; a=b"
    assert found["CONTENT_LENGTH"] == "5"
    assert "HTTP_CONTENT_TYPE" not in found
    assert "HTTP_CONTENT_LENGTH" not in found
    found = environ(basic)
    assert "CONTENT_TYPE" not in found
    assert "CONTENT_LENGTH" not in found


def test_chunked(basic: Server) -> None:
    found = environ(
        basic, method="POST", headers=[("Transfer-Encoding", "chunked")], body=b"0\r\n\r\n"
    )
    assert found["HTTP_TRANSFER_ENCODING"] == "chunked"
    assert "CONTENT_LENGTH" not in found
    assert found["wsgi.input_terminated"] is True


def test_underscores_are_dropped(basic: Server) -> None:
    found = environ(basic, headers=[("X_Under", "a"), ("X-Dash", "b"), ("X_Dash", "c")])
    assert "HTTP_X_UNDER" not in found
    assert found["HTTP_X_DASH"] == "b"


def test_version_1_0(basic: Server) -> None:
    assert environ(basic, version="1.0")["SERVER_PROTOCOL"] == "HTTP/1.0"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/environ", "/environ", ""),
        ("/environ?", "/environ", ""),
        ("/environ??a", "/environ", "?a"),
        ("/environ/a%20b", "/environ/a b", ""),
        ("/environ/%E2%82%AC", "/environ/\xe2\x82\xac", ""),
        ("/environ/%2e%2e/%2F", "/environ/..//", ""),
        ("/environ/../x", "/environ/../x", ""),
        ("/environ/a;b=c", "/environ/a;b=c", ""),
        ("/environ/%zz%4", "/environ/%zz%4", ""),
        ("/environ/a?b?c%20d", "/environ/a", "b?c%20d"),
    ],
)
def test_path_and_query(basic: Server, target: str, path: str, query: str) -> None:
    found = environ(basic, target)
    assert (found["PATH_INFO"], found["QUERY_STRING"], found["RAW_URI"]) == (path, query, target)


def test_two_slashes_are_a_path(basic: Server) -> None:
    assert basic.request("//environ").status in (200, 404)
    assert basic.request("//test/environ").status in (200, 404)


@pytest.mark.parametrize(
    ("headers", "scheme"),
    [
        ([("X-Forwarded-Proto", "https")], "https"),
        ([("X-Forwarded-Protocol", "ssl")], "https"),
        ([("X-Forwarded-Ssl", "on")], "https"),
        ([("X-Forwarded-Proto", "http")], "http"),
        ([("X-Forwarded-Proto", "HTTPS")], "http"),
        ([("X-Forwarded-Proto", "https"), ("X-Forwarded-Ssl", "on")], "https"),
    ],
)
def test_scheme_from_a_trusted_proxy(basic: Server, headers: Headers, scheme: str) -> None:
    assert environ(basic, headers=headers)["wsgi.url_scheme"] == scheme


def test_scheme_from_a_stranger(serve: Serve) -> None:
    server = serve("basic:app", env={"FORWARDED_ALLOW_IPS": "192.0.2.1"})
    found = environ(server, headers=[("X-Forwarded-Proto", "https"), ("X-Forwarded-Ssl", "off")])
    assert found["wsgi.url_scheme"] == "http"


def test_script_name_of_the_environment(serve: Serve) -> None:
    # The server's own first request, at its start, is outside: hence no readiness by answer.
    server = serve("basic:app", env={"SCRIPT_NAME": "/pre"}, ready="booted")
    found = environ(server, "/pre/environ?x")
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("/pre", "/environ")
    assert found["RAW_URI"] == "/pre/environ?x"
    server.allow("Configuration problem|Invalid request")
    response = server.request("/environ")
    assert response.status == 500
    assert b"Configuration problem: Request path" in response.body


def test_script_name_of_a_trusted_proxy(basic: Server) -> None:
    found = environ(basic, "/pre/environ", headers=[("SCRIPT_NAME", "/pre")])
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("/pre", "/environ")


def test_multiprocess(serve: Serve) -> None:
    assert environ(serve(workers=2))["wsgi.multiprocess"] is True


def test_unix_socket(serve: Serve) -> None:
    server = serve(binds=["unix"])
    found = environ(server, host="example.com:8080")
    assert found["REMOTE_ADDR"] == ""
    assert "REMOTE_PORT" not in found
    assert (found["SERVER_NAME"], found["SERVER_PORT"]) == ("example.com", "8080")
    found = environ(server, host="example.com")
    assert (found["SERVER_NAME"], found["SERVER_PORT"]) == ("example.com", "80")


def test_ipv6(serve: Serve) -> None:
    server = serve(binds=["tcp6"])
    found = environ(server)
    assert found["REMOTE_ADDR"] == "::1"
    assert found["SERVER_NAME"] == "::1"
    assert found["SERVER_PORT"] == str(server.address[1])


def test_requests_do_not_share_an_environ(basic: Server) -> None:
    with basic.connect() as connection:
        first = json.loads(connection.request("/environ", headers=[("X-Once", "1")]).body)
        second = json.loads(connection.request("/environ").body)
    assert first.pop("HTTP_X_ONCE") == "1"
    assert first == second


def test_server_software_in_the_process_environment(basic: Server) -> None:
    variables = json.loads(basic.request("/state").body)["environ"]
    assert variables["SERVER_SOFTWARE"].startswith(f"{NAME}/")


def test_wsgi_errors(basic: Server) -> None:
    assert basic.request("/errors?text=to-the-log").status == 200
    basic.wait_log("^to-the-log$")
    basic.wait_log("^second line$")


def test_many_different_headers(basic: Server) -> None:
    """More names than any table of them may hold."""
    with basic.connect() as connection:
        for round_ in range(100):
            headers = [(f"X-Name-{round_}-{number}", "v") for number in range(50)]
            found = json.loads(connection.request("/environ", headers=headers).body)
            assert found[f"HTTP_X_NAME_{round_}_49"] == "v"
