# SPDX-License-Identifier: MIT
"""An application that says which process has imported it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

importer = os.getpid()


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    data = str(importer).encode()
    start_response("200 OK", [("Content-Length", str(len(data)))])
    return [data]
