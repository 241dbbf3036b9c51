# SPDX-License-Identifier: MIT
"""The exceptions that end a server, or keep it from starting."""

from __future__ import annotations


class HaltServer(BaseException):
    """Ends the arbiter with an exit status; applications cannot catch it by accident."""

    def __init__(self, reason: str, exit_status: int = 1) -> None:
        super().__init__(reason, exit_status)
        self.reason = reason
        self.exit_status = exit_status

    def __str__(self) -> str:
        return f"<HaltServer {self.reason!r} {self.exit_status}>"


class RequestTimeout(BaseException):
    """Raised in a request that has taken longer than request_timeout.

    A BaseException, as asyncio.CancelledError is: what frameworks do with the errors of an
    application is not to keep it alive. Whoever catches it has to be brief, or to ask for more time
    by environ["saola.extend_deadline"].
    """

    __module__ = "saola"  # where it is to be imported from


class ConfigError(Exception):
    """A setting has a value that it cannot have."""


class AppImportError(Exception):
    """The application cannot be found where the command line says."""
