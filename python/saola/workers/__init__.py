# SPDX-License-Identifier: MIT
"""The kinds of workers."""

from __future__ import annotations

SUPPORTED_WORKERS = {"sync": "saola.workers.sync.SyncWorker"}
