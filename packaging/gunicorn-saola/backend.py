# SPDX-License-Identifier: MIT
"""Builds with meson-python, but not where the package would come to lie over Gunicorn's.

A wheel that was built elsewhere can ask nothing when it is installed: then gunicorn/__init__.py
refuses to be imported.
"""

from __future__ import annotations

import site
import sysconfig
from pathlib import Path

import mesonpy
from mesonpy import *  # noqa: F403 - the other hooks of the build are its own


def _refuse_to_replace_gunicorn() -> None:
    paths = {
        sysconfig.get_path("purelib"),
        sysconfig.get_path("platlib"),
        site.getusersitepackages(),
    }
    for path in paths:
        for found in Path(path).glob("gunicorn-[0-9]*.*-info"):
            raise SystemExit(
                f"gunicorn-saola cannot be installed over Gunicorn, which is in {found.parent}: "
                "run `pip uninstall gunicorn` first."
            )


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    _refuse_to_replace_gunicorn()
    return mesonpy.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    raise SystemExit("gunicorn-saola cannot be installed in editable mode.")
