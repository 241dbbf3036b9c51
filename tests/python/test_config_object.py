# SPDX-License-Identifier: MIT
"""Config as Python sees it: Gunicorn's interface."""

from __future__ import annotations

import gc
import importlib
import os
import re
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import saola.config
from saola import _core
from saola.app.base import BaseApplication
from saola.config import KNOWN_SETTINGS, Config, Setting, make_settings
from saola.errors import ConfigError

theirs_module: Any = importlib.import_module("gunicorn.config")


@pytest.fixture
def cfg(monkeypatch: pytest.MonkeyPatch) -> Config:
    for name in ("PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "SENDFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in filter(lambda name: name.startswith("SAOLA_"), list(os.environ)):
        monkeypatch.delenv(name)
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


# Settings as classes. -----------------------------------------------------------------------------


@pytest.fixture
def registry() -> Iterator[None]:
    """Classes that a test defines are gone after it."""
    count = len(KNOWN_SETTINGS)
    yield
    del KNOWN_SETTINGS[count:]


def test_the_names_are_gunicorn_s() -> None:
    """Every public name of its module but what it imports itself; each class for the same name."""
    ours = vars(saola.config)
    for name, theirs in vars(theirs_module).items():
        if isinstance(theirs, type) and issubclass(theirs, theirs_module.Setting):
            assert ours[name].name == getattr(theirs, "name")  # noqa: B009
            assert issubclass(ours[name], Setting)
        elif getattr(theirs, "__module__", None) == "gunicorn.config" and not name.startswith("_"):
            assert name in {*ours, "SettingMeta"}, name
    public = {name for name in dir(theirs_module.Config) if not name.startswith("_")}
    assert public - set(dir(Config)) == set()


def test_attributes_of_the_classes() -> None:
    theirs = {cls.name: cls for cls in theirs_module.KNOWN_SETTINGS}
    own = {info["name"] for info in _core.settings_table() if info["own"]}
    compared = [cls for cls in KNOWN_SETTINGS if cls.name not in own | {"http2_cleartext"}]
    assert len(compared) == 118
    for cls in compared:
        other = theirs[cls.name]
        for name in ("section", "cli", "meta", "action", "nargs"):
            assert getattr(cls, name) == getattr(other, name), (cls, name)
        assert other.type is callable or (cls.type is None) == (other.type is None) or not cls.cli
        assert callable(cls.validator)
        assert cls.short


def test_known_settings_are_in_order(cfg: Config) -> None:
    assert [cls.order for cls in KNOWN_SETTINGS] == list(range(len(KNOWN_SETTINGS)))
    assert [cls.name for cls in KNOWN_SETTINGS] == list(cfg.settings)
    workers, backlog, bind = (cfg.settings[name] for name in ("workers", "backlog", "bind"))
    assert bind < backlog
    assert not workers < backlog
    assert sorted([backlog, bind])[0].name == "bind"


def test_a_setting_without_a_config() -> None:
    workers = saola.config.Workers()
    assert workers.get() == 1
    workers.set("0x10")
    assert workers.value == 16
    copy = workers.copy()
    copy.set(3)
    assert (workers.value, copy.value) == (16, 3)
    with pytest.raises(ValueError, match="Value must be positive: -1"):
        workers.set(-1)
    settings = make_settings(ignore=["workers"])
    assert "workers" not in settings
    assert settings["bind"].get() == ["127.0.0.1:8000"]


def test_a_default_that_is_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As monitoring packages do it before the server reads its configuration."""
    before = Config(prog="saola")

    def hook(server: Any) -> None: ...

    monkeypatch.setattr(saola.config.WhenReady, "default", hook)
    monkeypatch.setattr(saola.config.AccessLogFormat, "default", "%(h)s")
    monkeypatch.setattr(saola.config.Workers, "default", 7)
    after = Config(prog="saola")
    assert (before.workers, after.workers) == (1, 7)
    assert after.access_log_format == "%(h)s"
    assert after.when_ready is hook
    assert _core.Config.get(after, "when_ready") is hook
    assert after.origin("workers")[0] == "default"


@pytest.mark.usefixtures("registry")
def test_a_setting_of_the_user_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    class Colour(Setting):
        name = "colour"
        section = "Paint"
        cli = ["--colour"]  # noqa: RUF012
        meta = "STRING"
        validator = saola.config.validate_string
        default = "red"
        desc = """\
            The colour.

            Of the server.
            """

    class Count(Setting):
        name = "count"
        validator = lambda value: int(value)  # noqa: E731
        default = 5

    cfg = Config(prog="saola")
    assert (cfg.colour, cfg.count) == ("red", 5)
    assert re.search(r"^colour +=", str(cfg), re.MULTILINE)
    cfg.set("colour", " blue ")
    assert cfg.colour == cfg.settings["colour"].value == "blue"
    assert (Colour.short, Colour.order) == ("The colour.", len(KNOWN_SETTINGS) - 2)
    with pytest.raises(AttributeError, match="Invalid access!"):
        cfg.colour = "green"
    with pytest.raises(TypeError, match="Not a string: 5"):
        cfg.set("colour", 5)
    assert cfg.parser().parse_args(["--colour", "x"]).colour == "x"
    assert "the program" in cfg.origins()
    monkeypatch.setenv("SAOLA_COUNT", "12")
    assert Config(prog="saola").count == 12


@pytest.mark.usefixtures("registry")
def test_a_class_in_the_place_of_another() -> None:
    class MoreWorkers(saola.config.Workers):  # type: ignore[misc]
        default = 9

    assert Config(prog="saola").workers == 9
    assert MoreWorkers.cli == ["-w", "--workers"]


def _two(a: Any, b: Any) -> None: ...


def test_validators() -> None:
    config: Any = saola.config
    function: Any
    value: Any
    for function, value, result in (
        (config.validate_bool, "true", True),
        (config.validate_pos_int, "0x10", 16),
        (config.validate_string, " a ", "a"),
        (config.validate_string, None, None),
        (config.validate_list_string, "a", ["a"]),
        (config.validate_string_to_list, "a, b", ["a", "b"]),
        (config.validate_string_to_addr_list, "*", ["*"]),
        (config.validate_dict, {"a": 1}, {"a": 1}),
        (config.validate_statsd_address, "h:1", ("h", 1)),
        (config.validate_statsd_address, "unix:/run/s", "/run/s"),
        (config.validate_statsd_address, None, None),
        (config.validate_class, str, str),
        (config.validate_class, lambda: "x", "x"),
        (config.validate_callable(2), _two, _two),
        (config.validate_callable(-1), print, print),
        (config.validate_file_exists, None, None),
        (config.validate_file_exists, "/", "/"),
        (config.validate_header_map_behaviour, "DROP", "drop"),
        (config.validate_user, None, os.geteuid()),
        (config.validate_group, None, os.getegid()),
        (config.validate_list_of_files_or_patterns, ["/*"], ["/*"]),
        (config.validate_http2_frame_size, 20000, 20000),
        (config.validate_reload_engine, "poll", "poll"),
    ):
        assert function(value) == (value if result is None else result)
    for function, value, error in (
        (config.validate_bool, "x", ValueError),
        (config.validate_pos_int, -1, ValueError),
        (config.validate_string, 5, TypeError),
        (config.validate_callable(2), len, TypeError),
        (config.validate_callable(2), 5, TypeError),
        (config.validate_file_exists, "/no/where", ValueError),
        (config.validate_user, "no such one", ConfigError),
    ):
        with pytest.raises(error):
            function(value)


def test_what_a_config_lacks_is_told_at_once(cfg: Config) -> None:
    cfg.check()
    cfg.set("certfile", "x")
    cfg.set("worker_class", "gthread")
    with pytest.raises(ConfigError) as caught:
        cfg.check()
    assert str(caught.value).splitlines() == [
        "worker_class = gthread is not supported yet (from the application). "
        "Remove it, or set it to sync.",
        "certfile = x is not supported yet (from the application). Remove it.",
    ]


def test_the_worker_class(cfg: Config) -> None:
    from saola.workers.sync import SyncWorker

    assert cfg.worker_class is SyncWorker
    cfg.set("worker_class", SyncWorker)
    assert cfg.worker_class is SyncWorker
    assert cfg.worker_class_str == "SyncWorker"
    cfg.set("worker_class", "gthread")
    with pytest.raises(RuntimeError, match="worker_class = gthread is not supported yet"):
        _ = cfg.worker_class


def test_paste_global_conf(cfg: Config) -> None:
    assert cfg.paste_global_conf == {}
    cfg.set("raw_paste_global_conf", ["a=b", "c\\=d=e\\=f"])
    assert cfg.paste_global_conf == {"a": "b", "c=d": "e=f"}
    cfg.set("raw_paste_global_conf", ["a"])
    with pytest.raises(RuntimeError, match="environment setting 'a' invalid"):
        _ = cfg.paste_global_conf
