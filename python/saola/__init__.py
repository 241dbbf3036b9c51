# SPDX-License-Identifier: MIT
"""Saola: a pre-fork application server for Python web applications, written in C."""

from __future__ import annotations

from saola._core import __version__
from saola.errors import RequestTimeout

#: The name under which the program answers: version line, process titles, Server header.
PROGRAM = "saola"

version_info = tuple(int(part) for part in __version__.split("."))
SERVER = PROGRAM
SERVER_SOFTWARE = f"{SERVER}/{__version__}"

__all__ = [
    "PROGRAM",
    "SERVER",
    "SERVER_SOFTWARE",
    "RequestTimeout",
    "__version__",
    "version_info",
]
