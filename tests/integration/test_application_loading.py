# SPDX-License-Identifier: MIT
"""Where the application comes from: Django projects, INI files, programs that embed the server."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Serve
from procs import children, poll
from server import APPS, Finished, Server

pytestmark = pytest.mark.saola_only

Command = Callable[..., Finished]

MANAGE = """
import os, sys
if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "office.settings")
"""
SETTINGS = """
SECRET_KEY = "not one"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "office.urls"
GREETING = "hello"
"""
URLS = """
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("", lambda request: HttpResponse(settings.GREETING))]
"""
WSGI = """
from django.core.wsgi import get_wsgi_application
inner = get_wsgi_application()
def application(environ, start_response):
    return inner(environ, lambda status, headers, *more: start_response(
        status, [*headers, ("X-Wsgi", __name__)], *more))
"""


def reload(server: Server) -> None:
    """Has all workers replaced."""
    before = set(server.workers())
    server.kill(signal.SIGHUP)
    poll(lambda: server.workers() and before.isdisjoint(server.workers()), "other workers")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project as `django-admin startproject` lays it out."""
    shop = tmp_path / "shop"
    (shop / "office").mkdir(parents=True)
    (shop / "manage.py").write_text(MANAGE)
    for name, text in (
        ("__init__.py", ""),
        ("settings.py", SETTINGS),
        ("production.py", "from office.settings import *\nGREETING = 'good day'\n"),
        (
            "custom.py",
            "from office.settings import *\nWSGI_APPLICATION = 'office.wsgi.application'",
        ),
        ("wrong.py", "from office.settings import *\nWSGI_APPLICATION = 'office.wsgy.application'"),
        ("urls.py", URLS),
        ("wsgi.py", WSGI),
    ):
        (shop / "office" / name).write_text(text)
    return shop


def test_the_django_project_of_the_directory(serve: Serve, project: Path) -> None:
    server = serve(None, "django", prefix=["env", "-C", str(project / "office")])
    response = server.request("/")
    assert response.text == "hello"
    assert response.get("X-Wsgi") is None
    reload(server)  # finds it again
    assert server.request("/").text == "hello"


@pytest.mark.parametrize(
    ("settings", "text", "wsgi"),
    [("production", "good day", None), ("custom", "hello", "office.wsgi")],
)
def test_named_settings(
    serve: Serve, project: Path, settings: str, text: str, wsgi: str | None
) -> None:
    prefix = ["env", "-C", str(project)]
    server = serve(None, "django", f"office.{settings}", prefix=prefix)
    response = server.request("/")
    assert (response.text, response.get("X-Wsgi")) == (text, wsgi)


def test_a_path_and_options_behind_it(serve: Serve, project: Path) -> None:
    server = serve(None, "django", str(project), "--workers", "2", "--preload")
    assert server.request("/").text == "hello"


def test_django_that_cannot_be(command: Command, project: Path) -> None:
    done = command("-b", "127.0.0.1:0", "django")
    assert done.code == 1
    assert "Error: No Django project: there is no manage.py or settings.py in " in done.stderr
    env = {"DJANGO_SETTINGS_MODULE": "office.wrong", "PYTHONPATH": str(project)}
    env["PYTHONPATH"] += os.pathsep + os.environ.get("PYTHONPATH", "")
    done = command("-b", "127.0.0.1:0", "django", env=env)
    assert done.code == 3
    assert "WSGI_APPLICATION = 'office.wsgy.application' of office.wrong cannot be" in done.stderr


# --- PasteDeploy

INI = """
[app:main]
use = call:paste_app:factory
greeting = hello

[server:main]
use = egg:saola#main
workers = 2
"""
FACTORY = """
def factory(global_conf, greeting):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{greeting} {global_conf.get('colour')}".encode()]
    return app
"""
needs_paste = pytest.mark.skipif(
    importlib.util.find_spec("paste") is None, reason="PasteDeploy is not installed"
)


@needs_paste
def test_an_ini_file(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "shop.ini").write_text(INI)
    (tmp_path / "paste_app.py").write_text(FACTORY)
    path = ["--pythonpath", str(tmp_path), "--paste-global", "colour=red"]
    ini = str(tmp_path / "shop.ini")
    assert serve(None, *path, "--paste", ini).request("/").text == "hello red"
    server = serve(None, *path, "paster", ini)
    assert server.request("/").text == "hello red"
    poll(lambda: len(children(server.pid)) == 2, "two workers")


# --- embedding


def test_a_program_that_embeds_the_server(serve: Serve) -> None:
    command = [sys.executable, "-m", "embedded"]
    server = serve(None, command=command, ready="booted")
    server.workers_expected = 2
    server.wait_log("ready, says the program: ")
    pid, parent, path = server.request("/x").text.split()
    assert (int(parent), path) == (server.pid, "/x")
    assert int(pid) in children(server.pid)
    reload(server)
    assert server.request("/").status == 200


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("certfile", "x.pem", "certfile = x.pem is not supported yet (from the application)."),
        ("workers", "many", "invalid literal for int() with base 0: 'many'"),
        ("worker_class", "nosuch", "class uri 'nosuch' invalid or not found: "),
    ],
)
def test_bad_options_of_a_program(command: Command, name: str, value: str, error: str) -> None:
    embedded = [sys.executable, "-m", "embedded"]
    done = command("--bind", "127.0.0.1:0", "--set", name, value, command=embedded)
    assert done.code == 1
    assert done.stderr.startswith(f"\nError: {error}")


# --- what cannot be loaded


def test_a_daemon_tells_its_log(command: Command, tmp_path: Path) -> None:
    """Nobody sees what it writes to its standard error output."""
    log = tmp_path / "log"
    log.touch()
    done = command("-D", "-b", "127.0.0.1:0", "--log-file", str(log), "basic:nothing")
    assert (done.code, done.stderr) == (0, "")
    poll(lambda: "Reason: App failed to load." in log.read_text(), "the end of the daemon")
    assert "[ERROR] Failed to find attribute 'nothing' in 'basic'." in log.read_text()
    assert f"'basic' is {APPS / 'basic.py'}, whose callables are " in log.read_text()


def test_a_module_that_is_not_there(command: Command) -> None:
    done = command("-b", "127.0.0.1:0", "basik:app")
    assert done.code == 3
    assert "ModuleNotFoundError: No module named 'basik'\n" in done.stderr
    assert "There is basic" in done.stderr


def test_an_application_that_ends_with_a_message(command: Command, tmp_path: Path) -> None:
    """sys.exit("text") is how many say what they miss, and the interpreter shows it."""
    (tmp_path / "lacking.py").write_text("import sys\nsys.exit('DATABASE_URL is not set')\n")
    config = "import sys\ndef child_exit(server, worker):\n    sys.exit(9)\n"
    done = command("-b", "127.0.0.1:0", "lacking:app", config=config)
    assert done.code == 9
    assert "\nDATABASE_URL is not set\n" in done.stderr
