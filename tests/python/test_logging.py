# SPDX-License-Identifier: MIT
"""What saola.glogging and saola.instrument.statsd are made of, without a server."""

from __future__ import annotations

import json
import random
import re
import socket
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from saola.glogging import (
    CONFIG_DEFAULTS,
    SYSLOG_FACILITIES,
    Logger,
    SafeAtoms,
    parse_syslog_address,
)
from saola.instrument.statsd import parse_prefix
from saola.util import parse_statsd_address

UDP, TCP = socket.SOCK_DGRAM, socket.SOCK_STREAM


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("udp://localhost:514", (UDP, ("localhost", 514))),
        ("udp://LOGS.example", (UDP, ("logs.example", 514))),
        ("udp://", (UDP, ("localhost", 514))),
        ("udp://:1514", (UDP, ("localhost", 1514))),
        ("tcp://10.0.0.1:601", (TCP, ("10.0.0.1", 601))),
        ("tcp://[::1]:601", (TCP, ("::1", 601))),
        ("udp://[::1]", (UDP, ("::1", 514))),
        ("unix:///dev/log", (None, "/dev/log")),
        ("unix:///dev/log#dgram", (UDP, "/dev/log")),
        ("unix:///dev/log#stream", (None, "/dev/log")),
        ("unix://relative", (None, "relative")),
    ],
)
def test_syslog_addresses(address: str, expected: object) -> None:
    assert parse_syslog_address(address) == expected


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("localhost", "invalid syslog address"),
        ("localhost:514", "invalid syslog address"),
        ("udp", "invalid syslog address"),
        ("http://localhost", "invalid syslog address"),
        ("/dev/log", "invalid syslog address"),
        ("", "invalid syslog address"),
        ("udp://localhost:", "'' is not a valid port number."),
        ("tcp://localhost:x", "'x' is not a valid port number."),
    ],
)
def test_bad_syslog_addresses(address: str, error: str) -> None:
    with pytest.raises(RuntimeError, match=f"^{re.escape(error)}$"):
        parse_syslog_address(address)


def test_facilities() -> None:
    assert len(SYSLOG_FACILITIES) == 21
    assert SYSLOG_FACILITIES["security"] == SYSLOG_FACILITIES["auth"] == 4
    assert (SYSLOG_FACILITIES["kern"], SYSLOG_FACILITIES["local7"]) == (0, 23)


def test_configuration_defaults() -> None:
    assert set(CONFIG_DEFAULTS["loggers"]) == {"gunicorn.error", "gunicorn.access"}
    assert CONFIG_DEFAULTS["disable_existing_loggers"] is False


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("localhost:8125", ("localhost", 8125)),
        ("localhost", ("localhost", 8125)),
        ("[::1]:9", ("::1", 9)),
        ("unix:///run/statsd", "/run/statsd"),
        ("unix:statsd.sock", "statsd.sock"),
        ("unix:8125", ("unix", 8125)),
    ],
)
def test_statsd_addresses(address: str, expected: object) -> None:
    assert parse_statsd_address(address) == expected


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", ""),
        ("a", "a"),
        ("ab", "ab."),
        ("ab..", "ab."),
        ("a.", "a."),
        ("...", "..."),
        (".a", ".a."),
    ],
)
def test_statsd_prefixes(prefix: str, expected: str) -> None:
    assert parse_prefix(prefix) == expected


def test_atoms_that_are_missing() -> None:
    atoms = SafeAtoms({"h": "a", "{x-y}i": "b", "B": 7})
    assert atoms["h"] == "a"
    assert atoms["B"] == 7
    assert atoms["{X-Y}i"] == "b"
    assert atoms["{none}o"] == atoms["none"] == "-"


def unescape(text: str) -> str:
    """What was logged, as it was."""
    return re.sub(r'\\(x(..)|")', lambda each: chr(int(each[2], 16)) if each[2] else '"', text)


FORMAT = '"%(r)s" "%({x}e)s" %(u)s'


def test_hostile_atoms_can_be_read_back() -> None:
    chance = random.Random(26)
    pieces = ['"', "\\", "\\x41", "\n", "\r", "\x1b", "\x7f", "\xff", " ", "plain", '" 200 "']
    for _ in range(2000):
        text = "".join(chance.choice([*pieces, chr(chance.randrange(256))]) for _ in range(12))
        line = FORMAT % SafeAtoms({"r": text, "{x}e": text, "u": text})
        assert re.fullmatch(r"[ -~]*", line)
        match = re.fullmatch(r'"((?:\\.|[^"\\])*)" "((?:\\.|[^"\\])*)" (\S*)', line)
        assert match is not None
        assert [unescape(group) for group in match.groups()] == [text] * 3


class Settings(SimpleNamespace):
    accesslog: Any = "-"
    errorlog = "-"
    logconfig = logconfig_json = None
    logconfig_dict: Any = {}  # noqa: RUF012
    syslog = False


@pytest.fixture
def logger() -> Logger:
    made = Logger.__new__(Logger)
    made.cfg = Settings(access_log_format="json")  # type: ignore[assignment]
    return made


REQUEST = SimpleNamespace(headers=[("HOST", "h"), ("X-IN", "1"), ("X-IN", "2")], _queue_us=9)
RESPONSE = SimpleNamespace(status="200 OK", sent=12, headers=[("X-Out", "out")])
ENVIRON = {
    "REMOTE_ADDR": "192.0.2.7",
    "REQUEST_METHOD": "GET",
    "RAW_URI": "/caf%C3%A9?a=b",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "PATH_INFO": "/caf\xc3\xa9\xff\\",
    "QUERY_STRING": "a=b",
    "HTTP_AUTHORIZATION": "Basic YWxpY2U6c2VzYW1l",
    "HTTP_USER_AGENT": "curl",
}


def test_atoms(logger: Logger) -> None:
    atoms = logger.atoms(
        RESPONSE, REQUEST, ENVIRON, timedelta(days=1, seconds=1, microseconds=2345)
    )
    assert re.fullmatch(r"\[.*\]", atoms.pop("t"))
    assert re.fullmatch(r"<\d+>", atoms.pop("p"))
    assert {name: value for name, value in atoms.items() if not name.endswith("e")} == {
        "h": "192.0.2.7",
        "l": "-",
        "u": "alice",
        "r": "GET /caf%C3%A9?a=b HTTP/1.1",
        "s": "200",
        "m": "GET",
        "U": "/caf\xc3\xa9\xff\\",
        "q": "a=b",
        "H": "HTTP/1.1",
        "b": "12",
        "B": 12,
        "f": "-",
        "a": "curl",
        "T": 86401,
        "M": 86401002,
        "D": 86401002345,
        "L": "86401.002345",
        "Q": 9,
        "{host}i": "h",
        "{x-in}i": "2",
        "{x-out}o": "out",
    }
    assert atoms["{request_method}e"] == "GET"


def test_json_is_that_of_the_core(logger: Logger) -> None:
    lines: list[str] = []
    logger.access_log = SimpleNamespace(info=lambda msg, atoms: lines.append(str(msg) % atoms))  # type: ignore[assignment]
    logger.access(RESPONSE, REQUEST, ENVIRON, timedelta(microseconds=1834))
    record = json.loads(lines[0])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", record.pop("time"))
    assert record.pop("pid") > 1
    assert record == {
        "remote_addr": "192.0.2.7",
        "user": "alice",
        "method": "GET",
        "target": "/caf%C3%A9?a=b",
        "path": "/café\\xff\\x5c",
        "query": "a=b",
        "protocol": "HTTP/1.1",
        "referer": None,
        "user_agent": "curl",
        "status": 200,
        "body_bytes": 12,
        "duration_us": 1834,
        "queue_us": 9,
    }
