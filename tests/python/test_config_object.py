# SPDX-License-Identifier: MIT
"""Config as Python sees it: Gunicorn's interface."""

from __future__ import annotations

import gc
import sys
import weakref
from typing import Any

import pytest

from saola import _core
from saola.app.base import BaseApplication
from saola.config import Config
from saola.errors import ConfigError


@pytest.fixture
def cfg(monkeypatch: pytest.MonkeyPatch) -> Config:
    for name in ("PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "SENDFILE"):
        monkeypatch.delenv(name, raising=False)
    return Config(prog="saola")


def test_settings_are_attributes(cfg: Config) -> None:
    assert cfg.workers == 1
    assert cfg.bind == ["127.0.0.1:8000"]
    assert cfg.preload_app is False
    assert cfg.accesslog is None
    assert cfg.secure_scheme_headers["X-FORWARDED-PROTO"] == "https"
    assert cfg.logconfig_dict == {}
    assert sum(not setting.own for setting in cfg.settings.values()) == 119


def test_unknown_names_are_attribute_errors(cfg: Config) -> None:
    with pytest.raises(AttributeError, match=r"^No configuration setting for: wrokers$"):
        _ = cfg.wrokers
    with pytest.raises(AttributeError, match=r"^No configuration setting for: wrokers$"):
        cfg.set("wrokers", 1)
    with pytest.raises(AttributeError, match=r"^No configuration setting for: wrokers$"):
        cfg.get("wrokers")


def test_settings_cannot_be_assigned(cfg: Config) -> None:
    with pytest.raises(AttributeError, match=r"^Invalid access!$"):
        cfg.workers = 3  # type: ignore[misc]
    cfg.something_else = 3


def test_a_bad_value_changes_nothing(cfg: Config) -> None:
    cfg.set("workers", 3)
    for value, error in ((-1, ValueError), (None, TypeError), (2**70, ValueError)):
        with pytest.raises(error):
            cfg.set("workers", value)
    with pytest.raises(ValueError, match="null"):
        cfg.set("pidfile", "a\0b")
    with pytest.raises(ConfigError, match="No such user"):
        cfg.set("user", "no such one")
    assert cfg.workers == 3
    assert cfg.pidfile is None


def test_any_text_comes_back(cfg: Config) -> None:
    for text in ("é€😀", "\udcff", "a\nb"):
        cfg.set("proc_name", text)
        assert cfg.proc_name == text
        cfg.set("raw_env", [text])
        assert cfg.raw_env == [text]


def test_lists_may_be_any_iterable(cfg: Config) -> None:
    for value in (("a", "b"), iter(["a", "b"]), {"a": 1, "b": 2}.keys(), (c for c in "ab")):
        cfg.set("bind", value)
        assert cfg.bind == ["a", "b"]


def test_a_list_is_a_copy(cfg: Config) -> None:
    cfg.bind.append("x")
    assert cfg.bind == ["127.0.0.1:8000"]


def test_where_a_value_comes_from(cfg: Config) -> None:
    assert cfg.origin("workers") == ("default", None)
    cfg.set("workers", 2)
    assert cfg.origin("workers") == ("framework", None)
    cfg.set("workers", 2, "file", "x.conf.py")
    assert cfg.origin("workers") == ("file", "x.conf.py")


def test_setting_objects(cfg: Config) -> None:
    backlog = cfg.settings["backlog"]
    assert (backlog.name, backlog.value, backlog.get(), backlog.default) == (
        "backlog",
        2048,
        2048,
        2048,
    )
    assert backlog.section == "Server Socket"
    assert backlog.cli == ["--backlog"]
    backlog.set("1")
    assert cfg.backlog == 1
    assert cfg.settings["on_exit"].value.__qualname__ == "OnExit.on_exit"


def test_computed_values(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg.set("bind", ["0.0.0.0:80", "[::1]:81", "unix:/a", "unix://b", "fd://3", "tcp://H", ""])
    hosts = [("0.0.0.0", 80), ("::1", 81), "/a", "b", 3, ("h", 8000), ("0.0.0.0", 8000)]
    assert cfg.address == hosts
    cfg.set("bind", "host:http")
    with pytest.raises(RuntimeError, match=r"^'http' is not a valid port number.$"):
        _ = cfg.address
    cfg.set("raw_env", ["A=b", "C=d=e"])
    assert cfg.env == {"A": "b", "C": "d=e"}
    cfg.set("raw_env", "A")
    with pytest.raises(RuntimeError, match=r"^environment setting 'A' invalid$"):
        _ = cfg.env
    assert cfg.sendfile is True
    monkeypatch.setenv("SENDFILE", "no")
    assert cfg.sendfile is False
    cfg.set("sendfile", True)
    assert cfg.sendfile is True
    assert cfg.worker_class_str == "sync"
    assert (cfg.uid, cfg.gid) == (cfg.user, cfg.group)
    assert cfg.is_ssl is False
    assert set(cfg.ssl_options) >= {"certfile", "keyfile", "ciphers"}
    assert [str(network) for network in cfg.forwarded_allow_networks()] == [
        "127.0.0.1/32",
        "::1/128",
    ]


def test_hooks_are_kept_as_they_are(cfg: Config) -> None:
    def pre_fork(server: Any, worker: Any) -> None: ...

    cfg.set("pre_fork", pre_fork)
    assert cfg.pre_fork is pre_fork
    assert cfg.get("pre_fork") is pre_fork
    assert cfg.get("post_fork") is None
    assert cfg.post_fork("server", "worker") is None


def test_old_forms_of_post_request(cfg: Config) -> None:
    seen: list[Any] = []
    cfg.set("post_request", lambda worker, req: seen.append((worker, req)))
    cfg.post_request(1, 2, 3, 4)
    cfg.set("post_request", lambda worker, req, environ: seen.append((worker, req, environ)))
    cfg.post_request(1, 2, 3, 4)
    assert seen == [(1, 2), (1, 2, 3)]


def test_a_config_and_its_hooks_are_collected() -> None:
    class Hook:
        def __call__(self, server: Any) -> None: ...

    hook = Hook()
    gone = weakref.ref(hook)
    cfg = Config(prog="saola")
    cfg.set("on_exit", hook)
    hook.cfg = cfg  # type: ignore[attr-defined]
    assert cfg.render("on_exit")
    del hook, cfg
    gc.collect()
    assert gone() is None


def test_values_do_not_leak_references(cfg: Config) -> None:
    value = ["a" * 50, "b" * 50]
    before = [sys.getrefcount(value), sys.getrefcount(value[0])]
    for _ in range(100):
        cfg.set("bind", value)
        with pytest.raises(TypeError):
            cfg.set("bind", [*value, 5])
        cfg.get("bind")
    assert [sys.getrefcount(value), sys.getrefcount(value[0])] == before


def test_store_checks_its_arguments(cfg: Config) -> None:
    with pytest.raises(ValueError, match="no such source"):
        cfg.store("workers", 1, "elsewhere", None)
    with pytest.raises(TypeError):
        cfg.store("workers", 1)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        cfg.store(5, 1, "file", None)  # type: ignore[arg-type]
    assert not hasattr(_core.Config, "workers")


def test_an_embedded_application(monkeypatch: pytest.MonkeyPatch) -> None:
    class Standalone(BaseApplication):
        def load_config(self) -> None:
            for name, value in {"bind": "127.0.0.1:0", "workers": 2}.items():
                self.cfg.set(name.lower(), value)

        def load(self) -> Any:
            return lambda environ, start_response: []

    monkeypatch.setattr(sys, "argv", ["program", "--not-for-us"])
    app = Standalone()
    assert app.cfg.bind == ["127.0.0.1:0"]
    assert app.cfg.workers == 2
    assert app.wsgi() is app.wsgi()
