# SPDX-License-Identifier: MIT
"""Tests of the Python side that need no server: configurations are loaded, commands are run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent

Load = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


def clean_environment() -> dict[str, str]:
    """Without what the settings would read from it."""
    names = {"PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "SENDFILE", "GUNICORN_CMD_ARGS"}
    ours = ("SAOLA_",)
    items = os.environ.items()
    return {name: value for name, value in items if name not in names and not name.startswith(ours)}


def load_by(
    package: str, cases: list[dict[str, Any]], env: dict[str, str] | None = None
) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, HERE / "load_config.py", package],
        input=json.dumps(cases),
        env=clean_environment() | (env or {}),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results: list[dict[str, Any]] = json.loads(done.stdout)
    return results


@pytest.fixture(scope="session")
def load() -> Load:
    """Loads the configurations of many cases by Saola: see load_config.py."""
    return lambda cases: load_by("saola", cases)


Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Runs `python -m saola` to its end in a directory of its own."""

    def run(*args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "saola", *args],
            cwd=tmp_path,
            env=clean_environment() | {"PWD": str(tmp_path)} | (env or {}),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
