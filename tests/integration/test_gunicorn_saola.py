# SPDX-License-Identifier: MIT
"""The distribution gunicorn-saola: Saola answers to Gunicorn's name, for tools that look for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Serve
from procs import command_line, poll
from server import Finished, run

import saola

pytestmark = pytest.mark.saola_only

SOURCE = Path(__file__).resolve().parents[2] / "packaging" / "gunicorn-saola"


@dataclass
class Place:
    """A virtual environment with Saola in it."""

    path: Path

    @property
    def python(self) -> str:
        return str(self.path / "bin" / "python")

    @property
    def packages(self) -> Path:
        return next((self.path / "lib").glob("python3*")) / "site-packages"

    def install(self) -> subprocess.CompletedProcess[str]:
        """By pip, with the build tools of the environment in which the tests run."""
        source = self.path / "source"
        shutil.copytree(SOURCE, source, dirs_exist_ok=True)
        env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        env["PYTHONPATH"] = sysconfig.get_path("purelib")
        env["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), env["PATH"]])
        options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
        return subprocess.run(
            [self.python, "-m", "pip", "install", *options, str(source)],
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def make_place(path: Path) -> Place:
    venv.create(path, with_pip=False, symlinks=True)
    place = Place(path)
    (place.packages / "saola").symlink_to(Path(saola.__file__).parent)
    return place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = make_place(tmp_path_factory.mktemp("place"))
    done = place.install()
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def gunicorn(place: Place) -> list[str]:
    return [str(place.path / "bin" / "gunicorn")]


def execute(place: Place, tmp: Path, program: str) -> Finished:
    return run(tmp, "-c", program, command=[place.python])


@pytest.mark.parametrize("option", ["--version", "-v"])
def test_version(place: Place, gunicorn: list[str], tmp_path: Path, option: str) -> None:
    for command in (gunicorn, [place.python, "-m", "gunicorn"]):
        done = run(tmp_path, option, command=command)
        assert (done.code, done.stdout) == (0, "gunicorn (version 26.1.0)\n")
    done = run(tmp_path, option, command=[place.python, "-m", "saola"])
    assert (done.code, done.stdout) == (0, f"saola (version {saola.__version__})\n")


def test_usage(gunicorn: list[str], tmp_path: Path) -> None:
    done = run(tmp_path, "--nonsense", command=gunicorn)
    assert done.code == 2
    assert done.stderr.startswith("usage: gunicorn [OPTIONS] [APP_MODULE]")
    assert "gunicorn: error: unrecognized arguments: --nonsense" in done.stderr
    shown = run(tmp_path, "--print-config", "basic:app", command=gunicorn).stdout
    assert re.search(r"^proc_name += None$", shown, re.MULTILINE)


def test_what_tools_look_for(serve: Serve, gunicorn: list[str]) -> None:
    server = serve(command=gunicorn)
    server.wait_log(r"\[INFO\] Starting gunicorn 26\.1\.0$")
    response = server.request("/environ")
    assert response.get("Server") == "gunicorn"
    assert "gunicorn/26.1.0" in response.text
    poll(
        lambda: command_line(server.pid).startswith("gunicorn: master [basic:app]"),
        lambda: f"a title; it is {command_line(server.pid)}",
    )
    assert command_line(server.worker).startswith("gunicorn: worker [basic:app]")


def test_saola_keeps_its_name(serve: Serve, place: Place) -> None:
    """Also if something imports gunicorn, which then still has Gunicorn's version."""
    config = "import gunicorn\nassert gunicorn.version_info >= (26,), gunicorn\n"
    server = serve(command=[place.python, "-m", "saola"], config=config)
    server.wait_log(r"Starting saola ")
    assert server.request("/").get("Server") == "saola"


def test_title_without_a_name(serve: Serve, gunicorn: list[str]) -> None:
    server = serve(None, command=gunicorn, config='wsgi_app = "basic:app"\n')
    poll(
        lambda: command_line(server.pid).startswith("gunicorn: master [gunicorn]"),
        lambda: f"a title; it is {command_line(server.pid)}",
    )


@pytest.mark.parametrize("package", ["gunicorn", "saola"])
def test_names_of_the_configuration_file(serve: Serve, place: Place, package: str) -> None:
    config = f"import {package}\n{package}.SERVER = 'mine'\n{package}.SERVER_SOFTWARE = 'mine/1'\n"
    server = serve(command=[place.python, "-m", package], config=config)
    response = server.request("/environ")
    assert response.get("Server") == "mine"
    assert "mine/1" in response.text


@pytest.mark.parametrize("value", ["'a\\r\\nX: y'", "None", "'\\xe9'"])
def test_name_that_cannot_be_sent(tmp_path: Path, value: str) -> None:
    config = f"import saola\nsaola.SERVER = {value}\n"
    done = run(tmp_path, "-b", "127.0.0.1:0", "basic:app", config=config)
    assert done.code == 1
    assert "Error: saola.SERVER " in done.stderr
    assert "Traceback" not in done.stderr


def test_modules_are_the_same(place: Place, tmp_path: Path) -> None:
    program = """
import gunicorn.app.base, gunicorn.config, gunicorn.glogging, gunicorn.workers.base
import gunicorn.http.errors
from gunicorn import util
from gunicorn.arbiter import Arbiter
from gunicorn.app.wsgiapp import WSGIApplication
import saola.app.base, saola.arbiter, saola.config, saola.http.errors
assert gunicorn.app.base is saola.app.base
assert gunicorn.config is saola.config and gunicorn.util is util is saola.util
assert gunicorn.http.errors is saola.http.errors
assert Arbiter is saola.arbiter.Arbiter
assert saola.config.__spec__.name == saola.config.__name__ == "saola.config"
assert (gunicorn.__version__, gunicorn.version_info) == ("26.1.0", (26, 1, 0))
assert gunicorn.SERVER_SOFTWARE == "gunicorn/26.1.0"
for wrong, text in [("gunicorn.nonsense", "No module named 'gunicorn.nonsense'"),
                    ("gunicorn.workers.gthread", "not supported yet")]:
    try:
        __import__(wrong)
    except ImportError as error:
        assert text in str(error), error
    else:
        raise AssertionError(wrong)
from importlib.metadata import version
assert version("gunicorn-saola") == "26.1.0"
"""
    done = execute(place, tmp_path, program)
    assert (done.code, done.stderr) == (0, "")


EMBEDDED = """
import sys
from gunicorn.app.base import BaseApplication
import basic

class Standalone(BaseApplication):
    def __init__(self, app, options):
        self.options, self.application = options, app
        super().__init__()
    def load_config(self):
        for key, value in self.options.items():
            self.cfg.set(key, value)
    def load(self):
        return self.application

Standalone(basic.app, {"bind": sys.argv[2]}).run()
"""


def test_embedded(serve: Serve, place: Place, tmp_path: Path) -> None:
    file = tmp_path / "embedded.py"
    file.write_text(EMBEDDED)
    server = serve(None, command=[place.python, str(file)])
    server.wait_log("Starting gunicorn 26.1.0")
    assert server.request("/").get("Server") == "gunicorn"


def test_module_as_a_program(place: Place, tmp_path: Path) -> None:
    for module in ("gunicorn", "gunicorn.app.wsgiapp"):
        done = run(tmp_path, "--check-config", "basic:app", command=[place.python, "-m", module])
        assert (done.code, done.stderr) == (0, "")


# --- beside the real one


@pytest.fixture
def occupied(tmp_path: Path) -> Place:
    """A place where Gunicorn is, or looks as if it were."""
    place = make_place(tmp_path / "occupied")
    info = place.packages / "gunicorn-23.0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gunicorn\nVersion: 23.0.0\n")
    return place


def test_is_not_installed_over_gunicorn(occupied: Place) -> None:
    done = occupied.install()
    assert done.returncode != 0
    assert "gunicorn-saola cannot be installed over Gunicorn" in done.stderr
    assert "pip uninstall gunicorn" in done.stderr
    assert not (occupied.packages / "gunicorn").exists()


def test_does_not_run_over_gunicorn(occupied: Place, tmp_path: Path) -> None:
    """As after the installation of a wheel, which asks nobody."""
    shutil.copytree(SOURCE / "gunicorn", occupied.packages / "gunicorn")
    done = execute(occupied, tmp_path, "import gunicorn")
    assert done.code == 1
    assert "gunicorn-saola has been installed over Gunicorn 23.0.0" in done.stderr
