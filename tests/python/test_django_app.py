# SPDX-License-Identifier: MIT
"""`saola django`: which project it finds."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from saola.app import djangoapp
from saola.errors import ConfigError

MANAGE = """
import os, sys
def main():
    os.environ.setdefault({name!r}, {value!r})
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """top/shop/manage.py, top/shop/office/settings.py, top/shop/office/deep/er"""
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    shop = tmp_path / "top" / "shop"
    (shop / "office" / "deep" / "er").mkdir(parents=True)
    (shop / "office" / "__init__.py").touch()
    (shop / "office" / "settings.py").write_text("DEBUG = False\n")
    text = MANAGE.format(name="DJANGO_SETTINGS_MODULE", value="office.settings")
    (shop / "manage.py").write_text(text)
    return shop


def found(argument: str | None = None) -> tuple[str, Path]:
    project = djangoapp.find(argument)
    return project.settings, project.directory


@pytest.mark.parametrize("below", ["", "office", "office/deep/er"])
def test_the_next_manage_py_upwards(
    project: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    monkeypatch.chdir(project / below)
    assert found() == ("office.settings", project)


def test_settings_without_manage_py(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "manage.py").unlink()
    monkeypatch.chdir(project / "office")
    assert found() == ("office.settings", project)


def test_settings_outside_of_packages(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "office" / "__init__.py").unlink()
    (project / "manage.py").unlink()
    monkeypatch.chdir(project / "office")
    assert found() == ("settings", project / "office")


@pytest.mark.parametrize(
    "line",
    [
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'office.settings'",
        'os.environ["DJANGO_SETTINGS_MODULE"]="office.settings"',
        "environ.setdefault(\n    'DJANGO_SETTINGS_MODULE',\n    'office.settings',\n)",
    ],
)
def test_forms_of_manage_py(project: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    (project / "manage.py").write_text(line)
    monkeypatch.chdir(project)
    assert found() == ("office.settings", project)


def test_the_environment_names_the_settings(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "office" / "production.py").touch()
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "office.production")
    monkeypatch.chdir(project / "office" / "deep")
    assert found() == ("office.production", project)
    assert found("office.settings") == ("office.settings", project)


def test_settings_as_a_package(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "office" / "conf").mkdir()
    (project / "office" / "conf" / "__init__.py").touch()
    monkeypatch.chdir(project)
    assert found("office.conf") == ("office.conf", project)


@pytest.mark.parametrize("path", ["top/shop", "top/shop/", "top/shop/office/settings.py"])
def test_a_path(project: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(project.parent.parent)
    assert found(path) == ("office.settings", project)


def test_installed_settings(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python will find them, or say that it does not."""
    monkeypatch.chdir(project.parent)
    assert found("elsewhere.settings") == ("elsewhere.settings", project.parent)


def test_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^No Django project: .*saola django mysite.settings"):
        djangoapp.find()
    (tmp_path / "empty").mkdir()
    for path in ("empty", "top/shop/office/__init__.pyc", "./nothing"):
        with pytest.raises(ConfigError, match=r"^No Django project: "):
            djangoapp.find(path)


def test_entering_a_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "something.else")
    monkeypatch.setattr(sys, "path", ["/usr/lib"])
    entered = djangoapp.Project("office.settings", project)
    entered.enter()
    entered.enter()
    assert sys.path == [str(project), "/usr/lib"]
    assert os.environ["DJANGO_SETTINGS_MODULE"] == "office.settings"
