# SPDX-License-Identifier: MIT
"""INI files of PasteDeploy: what they say about the application, the server and the logs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Command

from saola.app import pasterapp
from saola.config import Config
from saola.errors import AppImportError, ConfigError

needs_paste = pytest.mark.skipif(
    importlib.util.find_spec("paste") is None, reason="PasteDeploy is not installed"
)

INI = """
[app:main]
use = call:paste_app:factory
greeting = hello

[app:other]
use = call:paste_app:factory
greeting = other

[DEFAULT]
threads = 9

[server:main]
use = egg:gunicorn#main
host = 127.0.0.1
port = 8001
workers = 3
preload_app = true
"""
APP = """
def factory(global_conf, **local_conf):
    def app(environ, start_response):
        return [repr((local_conf["greeting"], global_conf.get("colour"))).encode()]
    return app
"""


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    (tmp_path / "paste_app.py").write_text(APP)
    path = tmp_path / "shop.ini"
    path.write_text(INI)
    return path


def config_with(ini: Path, text: str, *, section: bool = True) -> Config:
    ini.write_text(text)
    cfg = Config(prog="saola")
    pasterapp.use_file(cfg, str(ini))
    if section:
        pasterapp.use_server_section(cfg, str(ini))
    return cfg


def test_the_server_section(ini: Path) -> None:
    cfg = config_with(ini, INI)
    assert cfg.bind == ["127.0.0.1:8001"]
    assert (cfg.workers, cfg.preload_app) == (3, True)
    assert cfg.default_proc_name == str(ini)
    assert cfg.origin("workers") == ("framework", f"{ini} [server:main]")


@pytest.mark.parametrize(
    ("section", "bind"),
    [
        ("host = a,unix:b", ["a", "unix:b"]),
        ("port = 1", ["127.0.0.1:8000"]),
        ("bind = x:1", ["x:1"]),
        ("use = egg:saola\nhost = a\nport = 2", ["a:2"]),
        ("use = egg:waitress\nhost = a\nport = 2\nthreads = 4", ["127.0.0.1:8000"]),
    ],
)
def test_where_it_listens(ini: Path, section: str, bind: list[str]) -> None:
    assert config_with(ini, f"[server:main]\n{section}\n").bind == bind


def test_no_server_section(ini: Path) -> None:
    assert config_with(ini, "[DEFAULT]\nworkers = 7\n[app:main]\nx = 1\n").workers == 1


def test_an_unknown_key(ini: Path) -> None:
    with pytest.raises(AttributeError, match=r"^No configuration setting for: wrokers$"):
        config_with(ini, "[server:main]\nwrokers = 7\n")


def test_the_logging_of_an_ini_file(ini: Path) -> None:
    assert config_with(ini, "[loggers]\nkeys = root\n").logconfig == str(ini)
    assert config_with(ini, INI).logconfig is None
    assert pasterapp.has_logging_config(str(ini)) is False


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.ini' not found$"):
        pasterapp.use_file(Config(prog="saola"), str(tmp_path / "no.ini#x"))


@needs_paste
def test_loading_an_application(ini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ini.parent)
    monkeypatch.syspath_prepend(ini.parent)

    def call(app: Any) -> bytes:
        (body,) = app({}, None)
        return bytes(body)

    assert call(pasterapp.get_wsgi_app("shop.ini")) == b"('hello', None)"
    assert call(pasterapp.get_wsgi_app("shop.ini#other")) == b"('other', None)"
    assert call(pasterapp.get_wsgi_app("config:shop.ini", name="other")) == b"('other', None)"
    defaults = {"colour": "red", "unused": "x"}
    assert call(pasterapp.get_wsgi_app(str(ini), defaults=defaults)) == b"('hello', 'red')"


@needs_paste
def test_the_command(ini: Path, command: Command) -> None:
    for args in (["paster", "shop.ini"], ["--paste", "shop.ini"], ["--paste", "shop.ini#other"]):
        done = command("--print-config", *args)
        assert done.returncode == 0, done.stderr
        expected = "3" if args[0] == "paster" else "1"
        assert f"\nworkers                            = {expected}\n" in done.stdout
    done = command("--print-config", "-w", "9", "paster", "shop.ini")
    assert "\nworkers                            = 9\n" in done.stdout
    done = command("--check-config", "-c", "x.py", env={"SAOLA_PASTE": "shop.ini"})
    assert done.stderr == "\nError: 'x.py' doesn't exist\n"
    done = command("--check-config", env={"SAOLA_PASTE": "shop.ini"})
    assert (done.returncode, done.stderr) == (0, "")


def test_without_paste_deploy(ini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paste.deploy", None)
    with pytest.raises(AppImportError, match=r"install PasteDeploy$"):
        pasterapp.get_wsgi_app(str(ini))


def test_the_server_runner(ini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """serve() is egg:saola#main: pserve calls it with the application and the section."""
    seen: list[Config] = []

    def run(self: Any) -> None:
        seen.append(self.cfg)
        assert self.wsgi() == "the application"

    monkeypatch.setattr("saola.app.base.Application.run", run)
    monkeypatch.setattr(sys, "argv", ["pserve", "--not-for-us"])
    monkeypatch.chdir(ini.parent)
    (ini.parent / "gunicorn.conf.py").write_text("workers = 5; timeout = 5\n")
    (ini.parent / "other.py").write_text("workers = 6\n")
    conf = {"__file__": str(ini)}
    pasterapp.serve("the application", conf, host="a", port="1", Workers="4")
    assert (seen[-1].workers, seen[-1].timeout, seen[-1].bind) == (4, 5, ["a:1"])
    pasterapp.serve("the application", conf, config="other.py")
    assert (seen[-1].workers, seen[-1].timeout) == (6, 30)
    with pytest.raises(SystemExit):
        pasterapp.serve("the application", conf, wrokers="4")
