# SPDX-License-Identifier: MIT
"""Where the benchmark finds its files and leaves its results."""

from __future__ import annotations

from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent
APPS = BENCH / "apps"
WRK_SCRIPT = BENCH / "wrk.lua"
CANNED_SOURCE = BENCH / "canned.c"
DOCUMENT = ROOT / "docs" / "benchmarks.md"

BUILD = ROOT / "build" / "bench"
ENVS = BUILD / "envs"
LOGS = BUILD / "logs"
CANNED = BUILD / "canned"
FILE = BUILD / "1m.bin"
FILE_BYTES = 1024 * 1024
RESULTS = BUILD / "last.json"


def make_folders() -> None:
    for folder in (ENVS, LOGS):
        folder.mkdir(parents=True, exist_ok=True)
    if not FILE.exists() or FILE.stat().st_size != FILE_BYTES:
        FILE.write_bytes(bytes(FILE_BYTES))
