# SPDX-License-Identifier: MIT
"""`saola --stacks`: what the workers of a running server are doing."""

from __future__ import annotations

import argparse
import os
import re
import secrets
import shutil
import socket
import struct
import sys
import time
from pathlib import Path
from typing import IO, NoReturn

from saola import _core

DEADLINE = 10.0  # seconds: workers that do not react take 0.2


class StacksError(Exception):
    """There is no such server, or it does not answer; the text is for the user."""


def print_stacks(parser: argparse.ArgumentParser, target: str) -> NoReturn:
    """Prints the stacks of that server's workers and ends the program, as --version does."""
    try:
        with ask(find_arbiter(target)) as answer:
            shutil.copyfileobj(answer, sys.stdout.buffer)
            sys.stdout.flush()
    except (StacksError, OSError) as error:
        parser.exit(1, f"{parser.prog}: error: {error}\n")
    parser.exit()


def find_arbiter(target: str) -> int:
    """The pid that is given, or that is in the file."""
    text = target
    if not target.isdecimal():
        try:
            text = Path(target).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise StacksError(f"cannot read the pid file: {error}") from None
    if not re.fullmatch(r"[0-9]{1,10}", text, re.ASCII) or int(text) == 0:
        raise StacksError(f"{target!r} does not hold a pid")
    check_arbiter(int(text))
    return int(text)


def check_arbiter(pid: int) -> None:
    """The signal would end a process that does not expect it: a pid file may be left over."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
        title = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise StacksError(f"there is no process {pid}") from None
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    expects = caught and int(caught[1], 16) >> (_core.stacks_signal() - 1) & 1
    if re.match(r"\S+: worker \[", title):
        raise StacksError(f"process {pid} is a worker: its arbiter is asked")
    if not expects or not re.match(r"\S+: master \[", title):
        raise StacksError(f"process {pid} is no arbiter of this server")


def ask(pid: int) -> IO[bytes]:
    """The answer of that arbiter, as a file."""
    key = secrets.randbelow(1 << 31)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(b"\0" + _core.stacks_name(os.getpid(), key))
        listener.listen()
        try:
            _core.stacks_ask(pid, key)
        except PermissionError:
            raise StacksError(f"process {pid} belongs to somebody else") from None
        with accept_from(listener, pid) as connection:
            _, fds, _, _ = socket.recv_fds(connection, 1, 1)
    if not fds:
        raise StacksError(f"process {pid} has not answered")
    return os.fdopen(fds[0], "rb")


def accept_from(listener: socket.socket, pid: int) -> socket.socket:
    """The connection of that process: anybody may connect."""
    end = time.monotonic() + DEADLINE
    while True:
        listener.settimeout(max(end - time.monotonic(), 0.001))
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            raise StacksError(
                f"process {pid} has not answered within {DEADLINE:g} s; its error log may tell why"
            ) from None
        credentials = connection.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
        )
        if struct.unpack("3i", credentials)[0] == pid:
            connection.settimeout(DEADLINE)
            return connection
        connection.close()
