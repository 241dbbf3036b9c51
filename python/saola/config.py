# SPDX-License-Identifier: MIT
"""The settings of a server: the values are checked and held in C, this is what Python sees of them.

Every setting can be read as an attribute of Config. Hooks and classes are resolved here, because
they are Python objects; everything else is checked by saola._core.
"""

from __future__ import annotations

import functools
import inspect
import ipaddress
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from saola import _core, cmdline, util

if TYPE_CHECKING:
    import argparse

    from saola._core import SettingInfo

#: Configuration files that are read without being named, the first that exists.
DEFAULT_FILES = ("saola.conf.py", "gunicorn.conf.py")

Hook = Callable[..., Any]


def get_default_config_file() -> str | None:
    """The configuration file of the current directory, if there is one."""
    for name in DEFAULT_FILES:
        path = os.path.join(os.path.abspath(os.getcwd()), name)
        if os.path.exists(path):
            return path
    return None


class Setting:
    """One setting of one Config: what the table says about it, and its value."""

    def __init__(self, config: Config, info: SettingInfo, order: int) -> None:
        self._config = config
        self.name = info["name"]
        self.section = info["section"]
        self.cli = list(info["flags"]) or None
        self.meta = info["metavar"]
        self.default = info["default"] if info["type"] != "hook" else _default_hook(info)
        self.desc = self.short = info["help"]
        self.order = order
        self.kind = info["type"]
        self.arity = info["hook_arity"]
        self.own = info["own"]

    @property
    def value(self) -> Any:
        return self.get()

    def get(self) -> Any:
        value = _core.Config.get(self._config, self.name)
        return self.default if value is None and self.kind == "hook" else value

    def set(self, value: Any) -> None:
        self._config.set(self.name, value)

    def resolve(self, value: Any) -> Any:
        """The value with the Python objects that it names; anything else as it is."""
        if self.kind == "hook":
            return _resolve_hook(self, value)
        if self.kind == "class" and (inspect.isfunction(value) or inspect.ismethod(value)):
            return value()
        return value

    def __lt__(self, other: Setting) -> bool:
        return self.section == other.section and self.order < other.order

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__name__} {self.name} = {self.value!r}>"


class Config(_core.Config):
    """All settings, with Gunicorn's interface."""

    settings: dict[str, Setting]

    def __init__(self, usage: str | None = None, prog: str | None = None) -> None:
        table = enumerate(_core.settings_table())
        self.settings = {info["name"]: Setting(self, info, order) for order, info in table}
        self.usage = usage
        self.prog = prog or os.path.basename(sys.argv[0])
        self.env_orig = dict(os.environ)
        self.read_environment()

    def __getattr__(self, name: str) -> Any:
        if name == "settings" or name not in self.settings:
            raise AttributeError(f"No configuration setting for: {name}")
        return self.settings[name].get()

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "settings" and name in self.settings:
            raise AttributeError("Invalid access!")
        super().__setattr__(name, value)

    def set(
        self, name: str, value: Any, source: str = "framework", where: str | None = None
    ) -> None:
        """Checks and stores a value. `source` and `where` say who set it, for messages."""
        if name not in self.settings:
            raise AttributeError(f"No configuration setting for: {name}")
        self.store(name, self.settings[name].resolve(value), source, where)

    def __str__(self) -> str:
        """Every setting of Gunicorn's; of Saola's own, those that are not at their defaults."""
        shown = sorted(
            name
            for name, setting in self.settings.items()
            if not setting.own or setting.get() != setting.default
        )
        width = max(map(len, shown))
        return "\n".join(f"{name.ljust(width)} = {self.render(name)}" for name in shown)

    def parser(self) -> argparse.ArgumentParser:
        return cmdline.build_parser(self.usage, self.prog)

    def get_cmd_args_from_env(self) -> list[str]:
        return shlex.split(self.env_orig.get("GUNICORN_CMD_ARGS", ""))

    # What is computed from settings.

    @property
    def worker_class_str(self) -> str:
        uri = self.settings["worker_class"].get()
        return uri if isinstance(uri, str) else uri.__name__

    @property
    def address(self) -> list[str | int | tuple[str, int]]:
        return [util.parse_address(bind) for bind in self.bind]

    @property
    def uid(self) -> int:
        return self.user

    @property
    def gid(self) -> int:
        return self.group

    @property
    def proc_name(self) -> str:
        name: str | None = self.settings["proc_name"].get()
        return self.default_proc_name if name is None else name

    @property
    def sendfile(self) -> bool:
        value: bool | None = self.settings["sendfile"].get()
        if value is None:
            return os.environ.get("SENDFILE", "yes").lower() in ("y", "1", "yes", "true")
        return value

    @property
    def is_ssl(self) -> bool:
        return bool(self.certfile or self.keyfile)

    @property
    def ssl_options(self) -> dict[str, Any]:
        settings = self.settings.values()
        return {setting.name: setting.get() for setting in settings if setting.section == "SSL"}

    @property
    def env(self) -> dict[str, str]:
        """The variables of raw_env. RuntimeError for an entry that is not NAME=VALUE."""
        return dict(_split_pairs(self.raw_env, "="))

    @property
    def paste_global_conf(self) -> dict[str, str]:
        pairs = _split_pairs(self.raw_paste_global_conf, r"(?<!\\)=")
        return {name.replace("\\=", "="): value.replace("\\=", "=") for name, value in pairs}

    def forwarded_allow_networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        return [ipaddress.ip_network(item) for item in self.forwarded_allow_ips if item != "*"]


def _split_pairs(entries: list[str], separator: str) -> Iterator[tuple[str, str]]:
    for entry in entries:
        name, *value = re.split(separator, entry, maxsplit=1)
        if not value:
            raise RuntimeError(f"environment setting {entry!r} invalid")
        yield name, value[0]


# Hooks. -------------------------------------------------------------------------------------------


def _resolve_hook(setting: Setting, value: Any) -> Hook:
    """The function, found if it is named, with as many parameters as the hook has arguments."""
    if isinstance(value, str):
        value = _find_object(value)
    if not callable(value):
        raise TypeError(f"Value is not callable: {value}")
    hook: Hook = value
    arity = util.get_arity(hook)
    if setting.name == "post_request" and arity in (2, 3):
        return _with_fewer_arguments(hook, arity)
    if arity != setting.arity:
        raise TypeError(f"Value must have an arity of: {setting.arity}")
    return hook


def _find_object(name: str) -> Any:
    module_name, dot, attribute = name.rpartition(".")
    if not dot:
        raise TypeError(
            f"Value '{name}' is not import string. Format: module[.submodules...].object"
        )
    try:
        return getattr(__import__(module_name, fromlist=[attribute]), attribute)
    except ImportError as error:
        raise TypeError(str(error)) from None
    except AttributeError:
        raise TypeError(f"Can not load '{attribute}' from '{module_name}'") from None


def _with_fewer_arguments(hook: Hook, count: int) -> Hook:
    """For post_request, which once had fewer arguments."""

    @functools.wraps(hook)
    def call(worker: Any, req: Any, environ: Any, resp: Any) -> Any:
        return hook(*(worker, req, environ, resp)[:count])

    return call


def _log_request(worker: Any, req: Any) -> None:
    worker.log.debug("%s %s", req.method, req.path)


def _make_ssl_context(config: Any, default_factory: Callable[[], Any]) -> Any:
    return default_factory()


_DOES_NOTHING: dict[int, Callable[[], Hook]] = {
    1: lambda: lambda server: None,
    2: lambda: lambda server, worker: None,
    3: lambda: lambda server, new, old: None,
    4: lambda: lambda worker, req, environ, resp: None,
}


def _default_hook(info: SettingInfo) -> Hook:
    """What runs when the hook is not set, for those who call it through the setting."""
    special = {"pre_request": _log_request, "ssl_context": _make_ssl_context}
    hook = special.get(info["name"]) or _DOES_NOTHING[info["hook_arity"]]()
    hook.__name__ = info["name"]
    hook.__qualname__ = f"{info['hook_class']}.{info['name']}"
    return hook
