# SPDX-License-Identifier: MIT
"""Saola under Gunicorn's name: the module gunicorn.x is the module saola.x, the same object.

This package itself is not saola: it has Gunicorn's version, and a configuration file may assign its
SERVER and SERVER_SOFTWARE. The program answers to its name from the import on, unless the command
`saola` runs.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import sys
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType

PROGRAM = "gunicorn"
version_info = (26, 1, 0)
__version__ = ".".join(map(str, version_info))
SERVER = "gunicorn"
SERVER_SOFTWARE = f"{SERVER}/{__version__}"


def _refuse_to_replace_gunicorn() -> None:
    """If both are installed in one place, some files are its and some are these."""
    here = os.path.dirname(os.path.realpath(__file__))
    for found in importlib.metadata.distributions(name="gunicorn"):
        if os.path.realpath(str(found.locate_file("gunicorn"))) == here:
            raise ImportError(
                f"gunicorn-saola has been installed over Gunicorn {found.version}. Run "
                "`pip uninstall gunicorn gunicorn-saola`, then install one of the two."
            )


class _Aliases(MetaPathFinder, InspectLoader):
    """Finds gunicorn.x as saola.x, which keeps its own name and spec."""

    def __init__(self) -> None:
        self._specs: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: object = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, rest = fullname.partition(".")
        if package != __name__ or rest in ("", "__main__"):
            return None
        spec = importlib.util.find_spec(f"saola.{rest}")
        if spec is None:
            return None
        is_package = spec.submodule_search_locations is not None
        return ModuleSpec(fullname, self, origin=spec.origin, is_package=is_package)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._real_name(spec.name))
        self._specs[module.__name__] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._specs.pop(module.__name__)

    def get_source(self, fullname: str) -> None:
        return None

    def get_code(self, fullname: str) -> CodeType | None:
        """For `python -m gunicorn.app.wsgiapp`."""
        spec = importlib.util.find_spec(self._real_name(fullname))
        loader = spec.loader if spec else None
        return loader.get_code(spec.name) if spec and isinstance(loader, InspectLoader) else None

    def _real_name(self, fullname: str) -> str:
        return "saola" + fullname.removeprefix(__name__)


_refuse_to_replace_gunicorn()
sys.meta_path.insert(0, _Aliases())

from saola import _identity  # noqa: E402

_identity.assume(sys.modules[__name__])
