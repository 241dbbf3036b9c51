# SPDX-License-Identifier: MIT
"""A worker's signs of life: `worker.tmp`.

They are in memory that the worker shares with the arbiter, not in a file as in Gunicorn. Only who
asks for a descriptor gets a file.
"""

from __future__ import annotations

import tempfile
from typing import IO, TYPE_CHECKING, Any

from saola import _core

if TYPE_CHECKING:
    from saola.config import Config
    from saola.workers.base import Worker


class WorkerTmp:
    def __init__(self, cfg: Config, worker: Worker | None = None) -> None:
        self._directory: str | None = cfg.worker_tmp_dir
        self._worker = worker
        self._file: IO[bytes] | None = None

    def notify(self) -> None:
        """Shows that the worker lives; the server does so by itself."""
        _core.worker_beat()

    def last_update(self) -> float:
        """When it last showed that it lives: seconds of the monotonic clock, 0.0 if it is gone."""
        pid: Any = self._worker.pid if self._worker else 0
        return _core.worker_heartbeat(pid if isinstance(pid, int) else 0)

    def fileno(self) -> int:
        """The descriptor of a file without a name."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(  # noqa: SIM115 - for as long as the worker lives
                prefix="wsaola-", dir=self._directory
            )
        return self._file.fileno()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
