# SPDX-License-Identifier: MIT
"""Who is measured.

Each server runs one worker, set up as its own documentation recommends for that: keep-alive on,
access log off (but where the log is what is measured), limits on connections out of the way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import layout
from .cases import LOADED, Case

CommandLine = Callable[[str, int, Case, str], list[str]]
"""(folder of executables, port, case, target "module:app") to the command that serves it."""


@dataclass(frozen=True)
class Server:
    name: str
    command: CommandLine
    requirement: str | None = None  # what pip installs, None: not from the package index
    env: str = ""  # name of the virtual environment, the server's own name unless told
    cases: frozenset[str] = frozenset()  # only these, empty: all
    log: bool = False  # measured for what its access log costs
    note: str = ""  # for the table

    @property
    def env_name(self) -> str:
        return self.env or self.name


def _canned(bin_dir: str, port: int, case: Case, target: str) -> list[str]:
    return [str(layout.CANNED), "--port", str(port), *case.canned]


def _gunicorn_flags(port: int, case: Case) -> list[str]:
    """The flags that Saola shares with Gunicorn."""
    flags = ["-w", "1", "-b", f"127.0.0.1:{port}"]
    flags += ["--worker-connections", "16000", "--log-level", "warning"]
    if case.holds:
        flags += ["--keep-alive", "300"]
    return flags


def _access_log(name: str) -> list[str]:
    return ["--access-logfile", str(layout.LOGS / f"{name}.access")]


def _saola(bin_dir: str, port: int, case: Case, target: str) -> list[str]:
    return [f"{bin_dir}/saola", *_gunicorn_flags(port, case), target]


def _saola_log(bin_dir: str, port: int, case: Case, target: str) -> list[str]:
    flags = _gunicorn_flags(port, case)
    return [f"{bin_dir}/saola", *flags, *_access_log("saola"), target]


def _gunicorn(bin_dir: str, port: int, case: Case, target: str) -> list[str]:
    flags = _gunicorn_flags(port, case)
    return [f"{bin_dir}/gunicorn", *flags, "--no-control-socket", target]


def _gunicorn_log(bin_dir: str, port: int, case: Case, target: str) -> list[str]:
    return [*_gunicorn(bin_dir, port, case, target), *_access_log("gunicorn")]


def _gthread(bin_dir: str, port: int, case: Case, target: str) -> list[str]:
    flags = ["-k", "gthread", "--threads", "4"]
    if not case.holds:
        flags += ["--keep-alive", "5"]
    return [*_gunicorn(bin_dir, port, case, target), *flags]


def _granian(bin_dir: str, port: int, case: Case, target: str) -> list[str]:
    flags = ["--interface", "wsgi", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    flags += ["--http", "1", "--no-ws", "--log-level", "error"]
    flags += ["--backlog", "4096", "--backpressure", "16000"]
    if case.name == "pipeline":
        flags += ["--http1-pipeline-flush"]
    return [f"{bin_dir}/granian", *flags, target]


def _fastpysgi(bin_dir: str, port: int, case: Case, target: str) -> list[str]:
    return [f"{bin_dir}/python", "serve_fastpysgi.py", str(port), target]


def _bjoern(bin_dir: str, port: int, case: Case, target: str) -> list[str]:
    return [f"{bin_dir}/python", "serve_bjoern.py", str(port), target]


def _uwsgi(bin_dir: str, port: int, case: Case, target: str) -> list[str]:
    # A uWSGI worker serves one connection until it is closed: keep-alive is its HTTP router's.
    flags = ["--http", f"127.0.0.1:{port}", "--http-keepalive", "--http-auto-chunked"]
    # The default buffer of that router, a page, sends larger responses in pieces, 40 ms apart.
    flags += ["--http-buffer-size", "65536", "--http-timeout", "300"]
    flags += ["--max-fd", "16000", "--listen", "4096"]
    flags += ["--master", "--processes", "1"]
    flags += ["--disable-logging", "--need-app", "--die-on-term"]
    return [f"{bin_dir}/uwsgi", *flags, "--module", target]


_LOG_CASES = frozenset({"hello"})
# The canned program runs no application: nothing to hold up, nothing to stream.
_CANNED_CASES = frozenset({case.name for case in LOADED} | {"idle"})

SERVERS: tuple[Server, ...] = (
    Server("canned", _canned, cases=_CANNED_CASES, note="`bench/canned.c`"),
    Server("saola", _saola),
    Server("saola-log", _saola_log, env="saola", cases=_LOG_CASES, log=True, note="access log on"),
    Server("fastpysgi", _fastpysgi, "fastpysgi"),
    Server("bjoern", _bjoern, "bjoern"),
    Server("granian", _granian, "granian", note="WSGI interface"),
    Server("uwsgi", _uwsgi, "uwsgi", note="HTTP router and one worker"),
    Server("gunicorn-gthread", _gthread, "gunicorn", "gunicorn", note="4 threads"),
    Server("gunicorn", _gunicorn, "gunicorn", note="sync: no keep-alive"),
    Server(
        "gunicorn-log",
        _gunicorn_log,
        "gunicorn",
        "gunicorn",
        cases=_LOG_CASES,
        log=True,
        note="access log on",
    ),
)

BY_NAME = {server.name: server for server in SERVERS}
