# SPDX-License-Identifier: MIT
"""One virtual environment per server, and the canned-reply program.

An environment is made once and kept under build/bench/envs; Saola's is made again whenever the
checkout has changed. What cannot be installed is reported with its reason and left out.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import layout
from .servers import Server

SAOLA_SOURCES = ("meson.build", "pyproject.toml", "src", "python")
CFLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra")


class NotInstalled(Exception):
    """The server cannot be installed; says why."""


def prepare(servers: Iterable[Server], python: str, refresh: bool) -> dict[str, str]:
    """Makes what the servers need. Returns the reason for each that is not to be had."""
    missing: dict[str, str] = {}
    done: dict[str, str | None] = {}
    for server in servers:
        if server.env_name not in done:
            print(f"installing {server.env_name}", file=sys.stderr)
            try:
                _install(server, python, refresh)
                done[server.env_name] = None
            except NotInstalled as error:
                done[server.env_name] = str(error)
        reason = done[server.env_name]
        if reason is not None:
            missing[server.name] = reason
    return missing


def version(server: Server) -> str:
    """Version of an installed server."""
    if server.env_name == "canned":
        return ""
    name = server.requirement or "saola"
    code = f"from importlib.metadata import version; print(version({name!r}))"
    python = layout.ENVS / server.env_name / "bin" / "python"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _install(server: Server, python: str, refresh: bool) -> None:
    if server.env_name == "canned":
        _compile_canned()
        return
    env = layout.ENVS / server.env_name
    what = server.requirement or str(layout.ROOT)
    key = f"{python} {what} {'' if server.requirement else _checkout_key()}"
    stamp = env / "installed"
    if not refresh and stamp.exists() and stamp.read_text() == key:
        return
    log = layout.LOGS / f"install-{server.env_name}.log"
    shutil.rmtree(env, ignore_errors=True)
    _run([python, "-m", "venv", str(env)], log)
    _run([str(env / "bin" / "python"), "-m", "pip", "install", what, "flask"], log)
    stamp.write_text(key)


def _compile_canned() -> None:
    source, program = layout.CANNED_SOURCE, layout.CANNED
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return
    log = layout.LOGS / "install-canned.log"
    _run(["cc", *CFLAGS, "-o", str(program), str(source)], log)


def _run(command: list[str], log: Path) -> None:
    with log.open("w") as out:
        try:
            code = subprocess.call(command, stdout=out, stderr=subprocess.STDOUT)
        except OSError as error:
            raise NotInstalled(f"{command[0]}: {error.strerror}") from error
    if code != 0:
        raise NotInstalled(f"{_reason(log)} (see {log.relative_to(layout.ROOT)})")


def _reason(log: Path) -> str:
    """The first line that says what went wrong: a compiler's, else anyone's."""
    text = log.read_text(errors="replace")
    for pattern in (r"fatal error: .*", r"(?i)\berror: .*"):
        found = re.search(pattern, text)
        if found is not None:
            return found.group().strip()[:160]
    return "pip failed"


def _checkout_key() -> str:
    """Changes when a source file of Saola does."""
    digest = hashlib.sha256()
    for path in _source_files():
        stat = path.stat()
        digest.update(f"{path} {stat.st_mtime_ns} {stat.st_size}\n".encode())
    return digest.hexdigest()


def _source_files() -> Iterator[Path]:
    for name in SAOLA_SOURCES:
        top = layout.ROOT / name
        if top.is_file():
            yield top
        for path in sorted(top.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path
