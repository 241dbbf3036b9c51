# SPDX-License-Identifier: MIT
"""Prints every line of Python as it runs: the setting `spew`."""

from __future__ import annotations

import linecache
import sys
import threading
from collections.abc import Container
from types import FrameType
from typing import Any

__all__ = ["Spew", "spew", "unspew"]


class Spew:
    """A trace function. `trace_names` limits it to modules, `show_values` adds variables."""

    def __init__(self, trace_names: Container[str] | None = None, show_values: bool = True) -> None:
        self.trace_names = trace_names
        self.show_values = show_values

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Spew:
        if event == "line":
            name = frame.f_globals.get("__name__", "[unknown]")
            if self.trace_names is None or name in self.trace_names:
                self.show(frame, name)
        return self

    def show(self, frame: FrameType, name: str) -> None:
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).rstrip()
        # Not print(): traced itself, or replaced by who knows what.
        sys.__stderr__.write(f"{name}:{frame.f_lineno}: {line}\n")  # type: ignore[union-attr]
        if self.show_values:
            names = frame.f_code.co_names + frame.f_code.co_varnames
            values = [
                f"{each}={frame.f_locals[each]!r}" for each in names if each in frame.f_locals
            ]
            if values:
                sys.__stderr__.write(f"\t{' '.join(values)}\n")  # type: ignore[union-attr]


def spew(trace_names: Container[str] | None = None, show_values: bool = False) -> None:
    """Begins, in this thread and in those that start later."""
    tracer = Spew(trace_names, show_values)
    threading.settrace(tracer)
    sys.settrace(tracer)


def unspew() -> None:
    threading.settrace(None)
    sys.settrace(None)
