# SPDX-License-Identifier: MIT
"""Configurations of Python's logging, with the errors that users are told."""

from __future__ import annotations

import json
import logging.config
import os
from typing import Any


def apply(defaults: dict[str, Any], config: dict[str, Any]) -> None:
    try:
        logging.config.dictConfig({**defaults, **config})
    except (AttributeError, ImportError, ValueError, TypeError) as error:
        # Behind "Unable to configure root logger" is the reason: the handler that is not there.
        reason = f": {error.__cause__}" if error.__cause__ else ""
        raise RuntimeError(f"{error}{reason}") from None


def require_ini(path: str) -> None:
    if not os.path.exists(path):
        raise RuntimeError(f"Error: log config '{path}' not found")


def apply_ini(path: str, defaults: dict[str, Any]) -> None:
    try:
        logging.config.fileConfig(path, defaults, disable_existing_loggers=False)
    except Exception as error:  # also what a section that is not there has become
        raise RuntimeError(f"Error: log config {path!r} cannot be used: {error!r}") from error


def read_json(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            config: dict[str, Any] = json.load(file)
    except (OSError, ValueError) as error:
        raise RuntimeError(str(error)) from error
    return config
