# SPDX-License-Identifier: MIT
"""Every vector over a real socket: what the client gets, and what the application has seen."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote_to_bytes

import pytest
from client import Connection, FramingError, Response
from conftest import Serve
from server import Server
from vectors import Vector, read_errors, read_vectors

pytestmark = pytest.mark.saola_only

BATCH = 50  # connections at once

VECTORS = read_vectors()
ERRORS = read_errors()
SETTINGS = sorted({vector.settings for vector in VECTORS})

PAGE = """\
<html>
  <head>
    <title>{reason}</title>
  </head>
  <body>
    <h1><p>{reason}</p></h1>
    {message}
  </body>
</html>
"""


def configuration(settings: str) -> str:
    """The configuration file for the `set` lines of a vector."""
    lines = ["keepalive = 60"]  # a batch may take longer than the 2 seconds of the default
    for word in settings.split():
        name, _, value = word.partition("=")
        if name == "untrusted":
            name, value = "forwarded_allow_ips", "192.0.2.1"
        lines.append(f"{name} = {int(value) if value.isdigit() else value or True!r}")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def servers(serve_module: Serve) -> dict[str, Server]:
    """A server for each combination of settings, started side by side."""
    with ThreadPoolExecutor(4) as pool:
        started = pool.map(
            lambda settings: serve_module("replay:app", config=configuration(settings)), SETTINGS
        )
        return dict(zip(SETTINGS, started, strict=True))


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings or "defaults")
def test_vectors(servers: dict[str, Server], settings: str) -> None:
    server = servers[settings]
    vectors = [vector for vector in VECTORS if vector.settings == settings]
    wrong: list[str] = []
    for start in range(0, len(vectors), BATCH):
        wrong += replay(server, vectors[start : start + BATCH])
    assert not wrong, "\n".join(wrong)


def replay(server: Server, vectors: Sequence[Vector]) -> Iterator[str]:
    """Sends all, each on a connection of its own, and yields what is wrong."""
    connections = [server.connect() for _ in vectors]
    for connection, vector in zip(connections, vectors, strict=True):
        connection.send_all_can(vector.sent)
    assert server.request("/").status in (200, 400)  # the others were there before it
    for connection, vector in zip(connections, vectors, strict=True):
        try:
            check(connection, vector)
        except (AssertionError, OSError) as error:
            yield f"{vector.name}: {type(error).__name__}: {error}"
        connection.close()


def check(connection: Connection, vector: Vector) -> None:
    if vector.want == "more":
        check_waiting(connection)
        return
    legacy = vector.wanted.get("version", b"1.1") < b"1.1"
    response = connection.read_response("GET", "1.0" if legacy else "1.1")
    if vector.want == "ok":
        check_seen(response, vector)
    else:
        check_refusal(response, vector)
        connection.expect_closed()


def check_waiting(connection: Connection) -> None:
    """The server has said nothing but 100, before or after it learns that this is all."""
    interim = connection.read_head() if connection.readable(0) else None
    assert not connection.readable(0), "closed too early"
    connection.shutdown_write()
    if interim is None and connection.fill():  # overtaken by the request that came after it
        interim = connection.read_head()
    if interim is not None and interim.status != 100:
        raise FramingError(f"answered too early: {interim.head!r}")
    connection.expect_end()


def check_refusal(response: Response, vector: Vector) -> None:
    _, status, name = vector.want.split()
    error = ERRORS[name]
    assert (response.status, response.reason) == (int(status), error.reason)
    assert response.status == error.status
    assert response.headers[:2] == [("Connection", "close"), ("Content-Type", "text/html")]
    before, _, after = PAGE.format(reason=error.reason, message="\0").partition("\0")
    page = response.text
    assert page.startswith(before), page
    assert page.endswith(after), page
    message = page[len(before) : len(page) - len(after)]
    assert html.escape(html.unescape(message)) == message
    pattern = error.page(vector.text("text"))
    assert pattern.fullmatch(html.unescape(message)), f"{pattern.pattern!r}: {message}"


def check_seen(response: Response, vector: Vector) -> None:
    assert response.status == 200, response.text
    assert response.version == (vector.text("version") or response.version)  # it is echoed
    seen = json.loads(response.get("X-Seen") or "")
    for name, value in expected_environ(vector).items():
        assert seen[name] == value, f"{name}: {seen[name]!r}, wanted {value!r}"
    if vector.headers:
        fields = {key for key in seen if key.startswith("HTTP_") or key in UNPREFIXED}
        assert {key: seen[key] for key in fields} == cgi_fields(vector.headers)
    if keep_alive := vector.text("keep-alive"):
        assert response.closes == (keep_alive == "no")
    if expect := vector.text("expect"):
        assert [each.status for each in response.interim] == ([100] if expect == "yes" else [])


def expected_environ(vector: Vector) -> dict[str, str]:
    """What the application should see, as far as the vector says."""
    script_name = vector.text("script-name") or ""
    expected = {
        "REQUEST_METHOD": vector.text("method"),
        "RAW_URI": vector.text("target"),
        "QUERY_STRING": vector.text("query"),
        "SCRIPT_NAME": script_name,
        "body": vector.text("body"),
    }
    if (path := vector.wanted.get("path")) is not None:
        expected["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1")[len(script_name) :]
    if version := vector.text("version"):
        expected["SERVER_PROTOCOL"] = f"HTTP/{version}"
    if scheme := vector.text("scheme"):
        expected["wsgi.url_scheme"] = "https" if scheme == "https" else "http"
    return {name: value for name, value in expected.items() if value is not None}


UNPREFIXED = {"CONTENT_TYPE", "CONTENT_LENGTH"}


def cgi_fields(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in headers:
        key = name.upper().replace("-", "_")
        key = key if key in UNPREFIXED else f"HTTP_{key}"
        fields[key] = f"{fields[key]},{value}" if key in fields else value
    return fields
