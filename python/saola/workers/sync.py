# SPDX-License-Identifier: MIT
"""The sync worker: one request at a time runs in Python; connections are the core's business."""

from __future__ import annotations

from saola.workers.base import Worker


class SyncWorker(Worker):
    """What worker_class = "sync" names."""
