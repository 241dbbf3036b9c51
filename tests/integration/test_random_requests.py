# SPDX-License-Identifier: MIT
"""A short run of tests/stress/random_requests.py; the long one is 1,000,000 requests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from conftest import Serve
from server import PATIENT

sys.path.append(str(Path(__file__).resolve().parent.parent / "stress"))

from random_requests import hammer

# Gunicorn passes too, slowly, but for errors of chunked bodies in its log.
pytestmark = pytest.mark.saola_only


@pytest.mark.parametrize("seed", [1, 2])
def test_random_requests(serve: Serve, seed: int) -> None:
    server = serve("checksum:app", "--log-level", "error", *PATIENT)
    outcome = hammer(server, 20_000, seed)
    assert outcome.requests >= 20_000


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_million_random_requests(serve: Serve) -> None:
    server = serve("checksum:app", "--log-level", "error", *PATIENT)
    assert hammer(server, 1_000_000, seed=3).requests >= 1_000_000


def test_random_requests_to_several_workers(serve: Serve) -> None:
    server = serve("checksum:app", "--log-level", "error", *PATIENT, workers=2)
    hammer(server, 10_000, seed=4)
