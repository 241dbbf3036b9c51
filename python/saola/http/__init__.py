# SPDX-License-Identifier: MIT
"""What hooks see of HTTP: the serving itself is done in C."""

from __future__ import annotations

from saola.http.message import Request
from saola.http.wsgi import FileWrapper, Response

__all__ = ["FileWrapper", "Request", "Response"]
