# SPDX-License-Identifier: MIT
"""What hooks see of HTTP: the serving itself is done in C."""

from __future__ import annotations

from typing import TYPE_CHECKING

from saola._later import missing
from saola.http.message import Message, Request
from saola.http.wsgi import FileWrapper, Response

__all__ = ["FileWrapper", "Message", "Request", "Response"]

if not TYPE_CHECKING:

    def __getattr__(name):
        missing(__name__, name, frozenset({"RequestParser", "get_parser"}))
