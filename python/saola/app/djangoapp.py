# SPDX-License-Identifier: MIT
"""`saola django [SETTINGS]`: finds the Django project and serves it.

SETTINGS is a module, or the path of a project or of its settings. Without it the environment's
DJANGO_SETTINGS_MODULE says which they are, or the next manage.py or settings.py in this directory
or above it.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from saola.errors import ConfigError

VARIABLE = "DJANGO_SETTINGS_MODULE"


class Project:
    """The settings module, and the directory from which it can be imported."""

    def __init__(self, settings: str, directory: Path) -> None:
        self.settings = settings
        self.directory = directory

    def enter(self) -> None:
        """Makes the project the one of this process."""
        os.environ[VARIABLE] = self.settings
        if str(self.directory) not in sys.path:
            sys.path.insert(0, str(self.directory))


def load() -> Any:
    """The application of the project that the process has entered."""
    conf, wsgi, loading = map(
        importlib.import_module,
        ("django.conf", "django.core.wsgi", "django.utils.module_loading"),
    )
    name = getattr(conf.settings, "WSGI_APPLICATION", None)
    if name is None:
        return wsgi.get_wsgi_application()
    try:
        return loading.import_string(name)
    except ImportError as error:
        module = os.environ[VARIABLE]
        text = f"WSGI_APPLICATION = {name!r} of {module} cannot be loaded: {error}"
        raise ImportError(text) from error


def find(wanted: str | None = None) -> Project:
    """The project that is meant. ConfigError if there is none."""
    here = Path.cwd()
    if wanted is not None and (os.sep in wanted or Path(wanted).exists()):
        return _at_path(Path(wanted).absolute())
    module = wanted or os.environ.get(VARIABLE)
    if module:
        return Project(module, _home(module, here))
    for directory in _upwards(here):
        project = _in_directory(directory)
        if project is not None:
            return project
    raise ConfigError(
        f"No Django project: there is no manage.py or settings.py in {here} or above it. "
        f"Name the settings (saola django mysite.settings), or set {VARIABLE}."
    )


def _upwards(directory: Path) -> Iterator[Path]:
    yield directory
    yield from directory.parents


def _at_path(path: Path) -> Project:
    project = _in_directory(path) if path.is_dir() else None
    if project is None and path.suffix == ".py" and path.is_file():
        project = _of_file(path)
    if project is None:
        raise ConfigError(f"No Django project: there is no manage.py or settings.py in {path}")
    return project


def _in_directory(directory: Path) -> Project | None:
    """The project whose manage.py or settings.py is there."""
    manage, settings = directory / "manage.py", directory / "settings.py"
    if manage.is_file():
        text = manage.read_text(encoding="utf-8", errors="replace")
        named = re.search(VARIABLE + r"""['"]\s*[],]\s*=?\s*['"]([\w.]+)['"]""", text)
        if named is not None:
            return Project(os.environ.get(VARIABLE) or named[1], directory)
    return _of_file(settings) if settings.is_file() else None


def _of_file(settings: Path) -> Project:
    """A module in the packages around it, and the directory above them."""
    parts = [settings.stem]
    directory = settings.parent
    while (directory / "__init__.py").exists():
        parts.insert(0, directory.name)
        directory = directory.parent
    return Project(".".join(parts), directory)


def _home(module: str, here: Path) -> Path:
    """The nearest directory upwards that has the module; this one if none has."""
    relative = Path(*module.split("."))
    for directory in _upwards(here):
        path = directory / relative
        if path.with_suffix(".py").exists() or (path / "__init__.py").exists():
            return directory
    return here
