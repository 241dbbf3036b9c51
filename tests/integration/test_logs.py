# SPDX-License-Identifier: MIT
"""Access log and error log."""

from __future__ import annotations

import json
import os
import re
import signal
from base64 import b64encode
from pathlib import Path

import pytest
from client import build_request
from conftest import Serve
from procs import poll
from server import PATIENT, RECORD, Server

LINE = re.compile(
    r'(?P<h>\S+) (?P<l>\S+) (?P<u>\S+) \[(?P<t>[^]]+)\] "(?P<r>.*)" (?P<s>\d+) (?P<b>\d+|-) '
    r'"(?P<f>.*)" "(?P<a>.*)"'
)
TIME = re.compile(r"\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}")


def lines(server: Server, count: int, *, path: Path | None = None) -> list[str]:
    """The access log, without the server's own first request, once it has that many lines."""

    def found() -> list[str]:
        text = (path or server.stdout_path).read_text(errors="surrogateescape")
        return [line for line in text.splitlines() if "/-ready" not in line]

    poll(lambda: len(found()) >= count, lambda: f"{count} access lines: {found()}")
    return found()


def test_files_whose_names_are_no_text(serve: Serve, tmp_path: Path) -> None:
    access, error = (tmp_path / os.fsdecode(name) for name in (b"access-\xff", b"error-\xff"))
    server = serve("basic:app", "--access-logfile", str(access), "--error-logfile", str(error))
    server.request("/")
    assert len(lines(server, 1, path=access)) == 1
    assert "Listening at" in error.read_text()


def test_default_format(serve: Serve) -> None:
    server = serve("basic:app", "--access-logfile", "-")
    user = b64encode(b"alice:secret").decode()
    headers = [
        ("Referer", "http://example.com/"),
        ("User-Agent", 'agent "quoted"'),
        ("Authorization", f"Basic {user}"),
    ]
    server.request("/?a=b", headers=headers)
    server.request("/stream?count=2&size=5", method="GET")
    server.request("/no", method="HEAD")
    first, second, third = (LINE.fullmatch(line) for line in lines(server, 3))
    assert first is not None
    assert second is not None
    assert third is not None
    assert first["h"] == "127.0.0.1"
    assert first["l"] == "-"
    assert first["u"] == "alice"
    assert TIME.fullmatch(first["t"])
    assert first["r"] == "GET /?a=b HTTP/1.1"
    assert (first["s"], first["b"]) == ("200", "6")
    assert first["f"] == "http://example.com/"
    assert first["a"] == 'agent \\"quoted\\"'
    assert (second["r"], second["b"]) == ("GET /stream?count=2&size=5 HTTP/1.1", "10")
    assert (second["u"], second["f"], second["a"]) == ("-", "-", "-")
    assert (third["s"], third["b"]) == ("404", "0")


ATOMS = (
    "%(h)s|%(m)s|%(U)s|%(q)s|%(H)s|%(s)s|%(B)s|%(b)s|%(T)s|%(M)s|%(D)s|%(L)s|%(p)s|%({X-In}i)s"
    "|%({x-OUT}o)s|%({SERVER_PROTOCOL}e)s|%({none}i)s|%({none}o)s|%({none}e)s|100%%"
)


def test_atoms(serve: Serve) -> None:
    server = serve("basic:app", "--access-logfile", "-", "--access-logformat", ATOMS)
    server.request("/status?x-out=yes&-body=abcd", headers=[("X-In", "a"), ("x-in", "b")])
    (line,) = lines(server, 1)
    fields = line.split("|")
    assert fields[:8] == [
        *("127.0.0.1", "GET", "/status", "x-out=yes&-body=abcd", "HTTP/1.1", "200", "4", "4"),
    ]
    assert fields[8] == "0"
    assert re.fullmatch(r"\d+", fields[9])
    assert re.fullmatch(r"\d+", fields[10])
    assert re.fullmatch(r"\d+\.\d{6}", fields[11])
    assert fields[12] == f"<{server.worker}>"
    assert fields[13] == "b"
    assert fields[14] == "yes"
    assert fields[15] == "HTTP/1.1"
    assert fields[16:] == ["-", "-", "-", "100%"]


def test_path_is_decoded(serve: Serve) -> None:
    server = serve("basic:app", "--access-logfile", "-", "--access-logformat", "%(U)s %(r)s")
    server.request("/a%20b")
    assert lines(server, 1) == ["/a b GET /a%20b HTTP/1.1"]


def test_unix_socket_has_no_address(serve: Serve) -> None:
    server = serve("basic:app", "--access-logfile", "-", binds=["unix"])
    server.request("/")
    assert lines(server, 1)[0].split()[0] in ("-", "")


@pytest.mark.saola_only
def test_json(serve: Serve) -> None:
    server = serve("basic:app", "--access-logfile", "-", "--access-logformat", "json")
    server.request("/caf%C3%A9%00%FF?a=b", headers=[("User-Agent", 'a"b\\c\t\xe9')])
    server.send(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
    first, second = (json.loads(line) for line in lines(server, 2))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", first.pop("time"))
    assert first.pop("duration_us") >= 0
    assert 0 <= first.pop("queue_us") < 60_000_000
    assert first == {
        "remote_addr": "127.0.0.1",
        "user": None,
        "method": "GET",
        "target": "/caf%C3%A9%00%FF?a=b",
        "path": "/café\0\\xff",
        "query": "a=b",
        "protocol": "HTTP/1.1",
        "referer": None,
        "user_agent": 'a"b\\x5cc\t\\xe9',
        "status": 404,
        "body_bytes": 9,
        "pid": server.worker,
    }
    assert (second["status"], second["method"]) == (400, "GET")


@pytest.mark.saola_only
def test_queue_time(serve: Serve) -> None:
    """The requests that come while one runs wait for it."""
    server = serve("logs:app", "--access-logfile", "-", "--access-logformat", "%(Q)d %(M)d %(U)s")
    connections = [server.connect() for _ in range(4)]
    for connection in connections:
        connection.send(build_request("/?sleep=0.2"))
    for connection in connections:
        connection.read_response()
    queued, taken = zip(*(map(int, line.split()[:2]) for line in lines(server, 4)), strict=True)
    assert max(queued) > 50_000
    assert min(queued) < max(queued)
    assert min(taken) >= 200


def test_one_line_for_each_request(serve: Serve) -> None:
    server = serve("basic:app", "--access-logfile", "-", "--access-logformat", "%(r)s", *PATIENT)
    with server.connect() as connection:
        for number in range(50):
            connection.request(f"/{number}")
    assert lines(server, 50) == [f"GET /{number} HTTP/1.1" for number in range(50)]


@pytest.mark.saola_only
def test_pipelined_requests_are_logged_in_order(serve: Serve) -> None:
    server = serve("basic:app", "--access-logfile", "-", "--access-logformat", "%(r)s")
    with server.connect() as connection:
        connection.send(b"".join(build_request(f"/{number}") for number in range(100)))
        for _ in range(100):
            connection.read_response()
    assert lines(server, 100) == [f"GET /{number} HTTP/1.1" for number in range(100)]


def test_lines_are_written_before_the_server_ends(serve: Serve) -> None:
    server = serve("basic:app", "--access-logfile", "-", "--access-logformat", "%(r)s")
    server.request("/last")
    assert server.terminate() == 0
    assert "GET /last HTTP/1.1" in server.output


def test_access_log_is_off_by_default(serve: Serve) -> None:
    server = serve()
    server.request("/")
    assert server.terminate() == 0
    assert server.output == ""


@pytest.mark.parametrize("sort", ["after the head", "before the head"])
def test_failed_requests_are_logged(serve: Serve, sort: str) -> None:
    server = serve("basic:app", "--access-logfile", "-", "--access-logformat", "%(s)s %(U)s")
    server.allow("raised")
    path = "/raise-later" if sort == "after the head" else "/raise-before"
    with server.connect() as connection:
        connection.send(build_request(path))
        connection.read_to_end()
    if sort == "after the head":
        assert lines(server, 1) == ["200 /raise-later"]
    else:
        assert lines(server, 1)[0].startswith("500 ")


@pytest.mark.saola_only
def test_control_characters_cannot_forge_a_line(serve: Serve) -> None:
    server = serve("basic:app", "--access-logfile", "-")
    server.request("/%0A%1B", headers=[("User-Agent", "a\tb\xe9")])
    server.request("/")
    assert len(lines(server, 2)) == 2
    assert "\x1b" not in server.output


def test_usr1_reopens_the_logs(serve: Serve, tmp_path: Path) -> None:
    access, error = tmp_path / "access", tmp_path / "error"
    server = serve(
        *("basic:app", "--access-logfile", str(access), "--access-logformat", "%(r)s"),
        *("--error-logfile", str(error)),
    )
    server.request("/one")
    lines(server, 1, path=access)
    for path in (access, error):
        path.rename(path.with_suffix(".1"))
    server.kill(signal.SIGUSR1)
    poll(lambda: access.exists() and error.exists(), "logs made anew")

    def reaches_the_new_file() -> bool:
        server.request("/two")
        return "GET /two HTTP/1.1" in access.read_text()

    poll(reaches_the_new_file, "a line in the new access log")
    assert "GET /one HTTP/1.1" in access.with_suffix(".1").read_text()
    assert "Starting " in error.with_suffix(".1").read_text()
    server.terminate()
    assert "Shutting down: Master" in error.read_text()
    assert server.log == ""


def test_usr1_to_a_worker(serve: Serve, tmp_path: Path) -> None:
    access = tmp_path / "access"
    server = serve("basic:app", "--access-logfile", str(access), "--access-logformat", "%(r)s")
    server.request("/one")
    access.rename(tmp_path / "access.1")
    server.kill(signal.SIGUSR1, server.worker)

    def reopened() -> bool:
        server.request("/two")
        return access.exists() and "/two" in access.read_text()

    poll(reopened, "the new access log")


def test_every_line_of_the_error_log_has_the_format(serve: Serve) -> None:
    server = serve("basic:app", "--log-level", "debug", workers=2)
    before = server.wait_workers(2)
    server.request("/")
    server.kill(signal.SIGHUP)
    server.wait_log("Hang up: Master")
    server.wait_workers(2, before)
    server.terminate()
    text = server.log
    for line in text.splitlines():
        assert RECORD.match(line) or re.match(r"  \w+: ", line), line


def test_log_level(serve: Serve) -> None:
    server = serve("basic:app", "--log-level", "warning")
    server.send(b"BAD\r\n\r\n")
    server.wait_log("Invalid request")
    server.terminate()
    assert {record.level for record in server.records} == {"WARNING"}


def test_configuration_is_logged_at_debug(serve: Serve) -> None:
    server = serve("basic:app", "--log-level", "debug")
    assert "Current configuration:" in server.messages("DEBUG")
    assert re.search(r"^  workers: 1$", server.log, re.MULTILINE)


def test_access_log_of_several_workers(serve: Serve, tmp_path: Path) -> None:
    """Whole lines, whoever writes them."""
    path = tmp_path / "access"
    server = serve(
        *("basic:app", "--access-logfile", str(path), "--access-logformat", "%(r)s %({X-Long}i)s"),
        workers=3,
    )
    long = "y" * 3000
    connections = [server.connect() for _ in range(30)]
    for connection in connections:
        connection.send(build_request("/", headers=[("X-Long", long)], close=True))
    for connection in connections:
        connection.read_response()
    assert lines(server, 30, path=path) == [f"GET / HTTP/1.1 {long}"] * 30


@pytest.mark.saola_only
def test_logs_never_reach_a_client(serve: Serve) -> None:
    """The application has closed 0 to 2: no connection gets one of these numbers."""
    server = serve("closing:app", "--access-logfile", "-", *PATIENT)
    server.allow("RuntimeError", "Error handling request")
    assert server.request("/close-stdio").body == b"hello"
    clients = [server.connect() for _ in range(4)]
    for client in clients:
        assert client.request("/").body == b"hello"
    assert clients[-1].request("/raise").status == 500
    assert [client.readable(0.05) for client in clients[:-1]] == [False] * 3
