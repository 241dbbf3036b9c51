# SPDX-License-Identifier: MIT
"""Configuration files: running them, and telling where in them a setting is.

A file is Python, so what it sets is known only when it has run; its text is looked at as well, for
the lines that messages name and for names that are written like settings and are none.
"""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import importlib.util
import inspect
import sys
import tokenize
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from saola import _spelling, util

if TYPE_CHECKING:
    from saola._settings import Setting


class ConfigFile:
    """What a configuration file has set: its globals, and the line of each assignment."""

    def __init__(self, location: str) -> None:
        #: As the user has named it: PATH, file:PATH or python:MODULE.
        self.location = location
        if location.startswith("python:"):
            self.values = run_module(location.removeprefix("python:"))
            self.source = self.values.get("__file__")
        else:
            self.source = location.removeprefix("file:")
            self.values = run_file(self.source)
        self.lines = _assignments(self.source)

    def where(self, name: str) -> str:
        line = self.lines.get(name)
        return self.location if line is None else f"{self.location}:{line}"

    def suspects(self, settings: Mapping[str, Setting]) -> Iterator[str]:
        """What to say about each global that looks like a setting and is none."""
        known = _spelling.spellings(settings.values())
        for name in self.lines:
            if name in settings or name not in self.values:
                continue
            meant = _meant(name, self.values, known)
            if meant or _is_plain(name, self.values[name]):
                hint = f" Did you mean {meant}?" if meant else ""
                yield f"{self.where(name)}: there is no setting {name}.{hint}"


def run_module(name: str) -> dict[str, Any]:
    return vars(importlib.import_module(name))


def run_file(path: str) -> dict[str, Any]:
    """Runs the file as the module __config__ and returns its globals; ends the program if it fails,
    as what is wrong is best told by its own traceback."""
    if not Path(path).exists():
        raise RuntimeError(f"{path!r} doesn't exist")
    loader = None
    if Path(path).suffix not in (".py", ".pyc"):
        util.warn("configuration file should have a valid Python extension.\n")
        loader = importlib.machinery.SourceFileLoader("__config__", path)
    try:
        spec = importlib.util.spec_from_file_location("__config__", path, loader=loader)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path!r} cannot be loaded")
        module = importlib.util.module_from_spec(spec)
        sys.modules["__config__"] = module
        spec.loader.exec_module(module)
    except Exception:
        print(f"Failed to read config file: {path}", file=sys.stderr)
        traceback.print_exc()
        sys.stderr.flush()
        sys.exit(1)
    return vars(module)


def _assignments(path: str | None) -> dict[str, int]:
    """The line of the last assignment or definition of each global; none if there is no text."""
    try:
        with tokenize.open(path or "") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return {}
    lines: dict[str, int] = {}
    for statement in _statements(tree.body):
        for name in _bound(statement):
            lines[name] = statement.lineno
    return lines


def _statements(body: Iterable[ast.AST]) -> Iterator[ast.stmt]:
    """All that runs with the file: also inside if, try, with and the like, in order."""
    for node in body:
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from _statements(ast.iter_child_nodes(node))


def _bound(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    else:
        return []
    names = (node for target in targets for node in ast.walk(target))
    return [node.id for node in names if _is_stored(node)]


def _is_stored(node: ast.AST) -> TypeGuard[ast.Name]:
    """Not merely used, as the index of what is assigned to."""
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


# Names that are no settings. ----------------------------------------------------------------------


def _meant(name: str, values: dict[str, Any], known: dict[str, str]) -> str | None:
    """The setting for which the name was probably meant."""
    if name.startswith("_") or inspect.ismodule(values[name]):
        return None
    lower = name.lower()
    # WORKERS may well be a constant, unless there is no workers.
    meant = _spelling.nearest(name, known) if name == lower else known.get(lower)
    if known.get(lower, lower) != lower and not _is_plain(name, values[name]):
        return None  # ENV and def env() are helpers, although there is --env
    return meant if meant not in values else None


def _is_plain(name: str, value: Any) -> bool:
    """Data under a name in lower case: in a configuration file, that is a setting."""
    helper = inspect.ismodule(value) or callable(value) or name.startswith("_")
    return name == name.lower() and not helper
