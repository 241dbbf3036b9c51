# SPDX-License-Identifier: MIT
"""Names of Gunicorn's that Saola will have but has not yet: importing one says so."""

from __future__ import annotations

from typing import NoReturn


def later(module: str, name: str | None = None) -> ImportError:
    """The error for a module, or for a name in a module that is there.

    It is no AttributeError, also where an attribute is asked for: `from module import name` would
    put a text of its own in the place of this one.
    """
    wanted = f"{module}.{name}" if name else module
    return ImportError(f"{wanted} is not supported yet by Saola", name=module)


def missing(module: str, name: str, names: frozenset[str]) -> NoReturn:
    """For the __getattr__ of a module: `names` come later, every other one never."""
    if name in names:
        raise later(module, name)
    raise AttributeError(f"module {module!r} has no attribute {name!r}")
