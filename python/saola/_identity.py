# SPDX-License-Identifier: MIT
"""The name under which the program answers: version line, process titles, log lines, Server field.

It is Saola's own, unless the package gunicorn of the distribution gunicorn-saola has been imported
first: then tools that were made for Gunicorn find what they look for.
"""

from __future__ import annotations

import sys
from types import ModuleType


class _Identity:
    """Its `package` has PROGRAM, __version__, SERVER and SERVER_SOFTWARE.

    They are read when they are needed: configuration files change the last two.
    """

    def __init__(self) -> None:
        self.package: ModuleType = sys.modules["saola"]
        self.settled = False


_identity = _Identity()


def settle() -> None:
    """The name stays what it is, whatever is imported later: the command `saola` has been run."""
    _identity.settled = True


def assume(package: ModuleType) -> None:
    """The program answers to the name of that package from now on, unless it is settled."""
    if not _identity.settled:
        _identity.package = package


def program() -> str:
    name: str = _identity.package.PROGRAM
    return name


def version() -> str:
    number: str = _identity.package.__version__
    return number


def server() -> str:
    """What the Server field of responses says. RuntimeError if a header cannot."""
    return _checked("SERVER")


def server_software() -> str:
    """The same for environ, with the version."""
    return _checked("SERVER_SOFTWARE")


def _checked(name: str) -> str:
    value = getattr(_identity.package, name)
    if not isinstance(value, str):
        raise RuntimeError(f"{_identity.package.__name__}.{name} is no string: {value!r}")
    if not value.isprintable() or not value.isascii():
        raise RuntimeError(f"{_identity.package.__name__}.{name} cannot be sent: {value!r}")
    return value
