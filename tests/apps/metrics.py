# SPDX-License-Identifier: MIT
"""Counts its requests for Prometheus, over all workers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest, multiprocess

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

REQUESTS = Counter("requests", "Requests that were answered")
WORKERS = Gauge("workers", "Workers that live", multiprocess_mode="livesum")
WORKERS.set(1)


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    REQUESTS.inc()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [generate_latest(registry)]
