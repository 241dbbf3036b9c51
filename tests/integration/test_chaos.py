# SPDX-License-Identifier: MIT
"""Short runs of tests/stress/chaos.py; `make chaos` makes a long one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "stress"))

import chaos

pytestmark = pytest.mark.saola_only


def test_random_operations_under_load(tmp_path: Path) -> None:
    server = chaos.start(tmp_path)
    try:
        chaos.run(server, chaos.plan(40, seed=8), seed=8)
    finally:
        server.destroy()
