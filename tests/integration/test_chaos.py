# SPDX-License-Identifier: MIT
"""Short runs of tests/stress/chaos.py; `make chaos` makes a long one."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "stress"))

import chaos

pytestmark = pytest.mark.saola_only


def play(directory: Path, steps: list[str]) -> Counter[str]:
    server = chaos.start(directory)
    try:
        return chaos.run(server, steps, seed=8)
    finally:
        server.destroy()


def test_random_operations_under_load(tmp_path: Path) -> None:
    play(tmp_path, chaos.plan(40, seed=8))


def test_workers_are_ended_with_term_and_kill_in_turn(tmp_path: Path) -> None:
    outcome = play(tmp_path, ["term=3", "kill=3"] * 6)
    assert outcome["kills"] == 6


def test_workers_that_are_asked_to_end_lose_nothing(tmp_path: Path) -> None:
    outcome = play(tmp_path, ["term=", "term+0", "ttin=", "ttou=", "hup="] * 2)
    assert outcome["running"] == outcome["waiting"] == 0
