# SPDX-License-Identifier: MIT
"""Small things that several modules need."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

from saola.app.loader import import_app as import_app


def warn(message: str) -> None:
    """A message that cannot be overlooked, on stderr, before there is a log."""
    print("!!!", file=sys.stderr)
    for index, line in enumerate(message.splitlines()):
        print("!!! " + ("WARNING: " if index == 0 else "") + line, file=sys.stderr)
    print("!!!\n", file=sys.stderr)
    sys.stderr.flush()


def getcwd() -> str:
    """The current directory, by the name that $PWD gives it if it is the same one."""
    try:
        named, here = os.stat(os.environ["PWD"]), os.stat(os.getcwd())
        if (named.st_ino, named.st_dev) == (here.st_ino, here.st_dev):
            return os.environ["PWD"]
    except (KeyError, OSError):
        pass
    return os.getcwd()


#: Where the program was started: a reload and an upgrade begin there again, whatever `chdir` says.
START_DIRECTORY = getcwd()


def get_arity(function: Callable[..., Any]) -> int:
    """How many positional parameters it has, those with a default counted."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return sum(parameter.kind in positional for parameter in parameters)


def parse_address(address: str, default_port: str = "8000") -> str | int | tuple[str, int]:
    """A bind string: a path (unix:), a descriptor (fd://), or host and port."""
    for prefix in ("unix://", "unix:"):
        if address.startswith(prefix):
            return address[len(prefix) :]
    if address.startswith("fd://"):
        try:
            return int(address[5:])
        except ValueError:
            text = f"{address[5:]!r} is not a valid file descriptor."
            raise RuntimeError(text) from None
    address = address.removeprefix("tcp://")
    host, port = address, default_port
    if "[" in address and "]" in address:
        host, _, rest = address.partition("]")
        host = host[1:]
        port = rest[1:] if rest.startswith(":") else default_port
    elif ":" in address:
        host, port = address.split(":")[:2]
    elif not address:
        host = "0.0.0.0"
    try:
        return host.lower(), int(port)
    except ValueError:
        raise RuntimeError(f"{port!r} is not a valid port number.") from None
