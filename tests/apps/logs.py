# SPDX-License-Identifier: MIT
"""An application that logs in every way there is."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# As the documentation of Flask has it: the handlers are there when the application is imported.
log = logging.getLogger("app")
log.handlers = logging.getLogger("gunicorn.error").handlers
log.setLevel(logging.INFO)
log.propagate = False
log.info("imported with %d handlers", len(log.handlers))


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """What is to be done is in the query: ?say=x&print=y"""
    for action, text in parse_qsl(environ["QUERY_STRING"]):
        if action == "say":
            log.info(text)
        elif action == "print":
            print(text, flush=True)
        elif action == "stderr":
            print(text, file=sys.stderr, flush=True)
        elif action == "write":
            os.write(int(text), b"written to a descriptor\n")
        elif action == "errors":
            environ["wsgi.errors"].write(text + "\n")
        elif action == "gunicorn":
            logging.getLogger("gunicorn.error").error(text)
        elif action == "sleep":
            time.sleep(float(text))
        elif action == "environ":
            environ["app.item"] = text
        elif action == "raise":
            raise ValueError(text)
    start_response("200 OK", [("Content-Length", "3"), ("X-Out", "out")])
    return [b"ok\n"]
