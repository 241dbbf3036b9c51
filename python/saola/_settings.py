# SPDX-License-Identifier: MIT
"""The settings as classes, as Gunicorn has them: one per row of the table, and those of users.

A subclass of Setting is registered by being defined, and every Config made afterwards has it. The
values of the table's settings are checked and held in C (saola._core.Config); an instance that no
Config has adopted keeps its value itself, as every setting does that a user has defined.
"""

from __future__ import annotations

import argparse
import copy
import functools
import inspect
import json
import os
import re
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from saola import _core, util

if TYPE_CHECKING:
    from saola._core import SettingInfo
    from saola.config import Config

Hook = Callable[..., Any]

KNOWN_SETTINGS: list[type[Setting]] = []


class Setting:
    """One setting: what is known about it, and a value."""

    name: ClassVar[str] = None  # type: ignore[assignment]
    section: ClassVar[str] = "Other"
    cli: ClassVar[list[str] | None] = None
    validator: ClassVar[Any] = None
    type: ClassVar[Any] = None  # makes a value of the text behind a flag
    meta: ClassVar[str | None] = None
    action: ClassVar[str | None] = None
    nargs: ClassVar[Any] = None
    const: ClassVar[Any] = None
    default: ClassVar[Any] = None
    short: ClassVar[str] = ""
    desc: ClassVar[str] = ""
    order: ClassVar[int] = 0
    #: The row of the table; None for a setting that a user has defined.
    info: ClassVar[SettingInfo | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in ("validator", "default", "type"):
            if inspect.isfunction(cls.__dict__.get(name)):
                setattr(cls, name, staticmethod(cls.__dict__[name]))
        cls.order = len(KNOWN_SETTINGS)
        cls.desc = inspect.cleandoc(cls.desc or "")
        cls.short = cls.short or cls.desc.partition("\n")[0]
        cls.info = _TABLE.get(cls.name)
        KNOWN_SETTINGS.append(cls)

    def __init__(self) -> None:
        self._config: Config | None = None
        self._value: Any = None
        self._is_set = False
        if self.info is None and self.default is not None:
            self.set(self.default)

    @property
    def own(self) -> bool:
        """It is one of Saola's own, which Gunicorn does not have."""
        return self.info is not None and self.info["own"]

    @property
    def value(self) -> Any:
        return self.get()

    def get(self) -> Any:
        if self._config is not None and self.info is not None:
            value = _core.Config.get(self._config, self.name)
            if self.name == "statsd_host" and value is not None:
                return util.parse_statsd_address(value)
            return self.default if value is None and self.info["type"] == "hook" else value
        if not self._is_set and self.info is not None:
            return self._checked(self.default)
        return self._value

    def set(self, value: Any) -> None:
        if self._config is not None and self.info is not None:
            self._config.set(self.name, value)
        else:
            self._value = self._checked(value)
            self._is_set = True

    def _checked(self, value: Any) -> Any:
        if not callable(self.validator):
            raise TypeError(f"Invalid validator: {self.name}")
        return self.validator(value)

    def copy(self) -> Setting:
        return copy.copy(self)

    def adopt(self, config: Config) -> None:
        """From now on the value is that of the Config. A default that somebody has put in the
        class's place of the table's is its default."""
        self._config = config
        default = type(self).default
        if self.info is not None and default != _default(self.info):
            config.store(self.name, self.resolve(default), "default", None)

    def resolve(self, value: Any) -> Any:
        """The value with the Python objects that it names; anything else as it is."""
        return _resolve(self.info, value) if self.info is not None else value

    def from_text(self, text: str) -> Any:
        """What a variable of the environment stands for."""
        return _from_text(self, text)

    def add_option(self, parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
        """Adds the flags. An option that is not given is None, whatever the default."""
        if not self.cli:
            return
        option: dict[str, Any] = {"dest": self.name, "default": None, "help": self._help()}
        for keyword, value in (
            ("action", self.action),
            ("type", self.type),
            ("const", self.const),
            ("nargs", self.nargs),
            ("metavar", self.meta),
        ):
            if value is not None:
                option[keyword] = value
        parser.add_argument(*self.cli, **option)

    def _help(self) -> str:
        default = self.info["default_from"] if self.info is not None else None
        text = f"{self.short} [{default or self.default}]"
        if self.info is not None and self.info["status"] != "supported":
            text += " (not supported yet)"
        return text.replace("%", "%%")

    def __lt__(self, other: Setting) -> bool:
        return self.section == other.section and self.order < other.order

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__name__} {self.name} = {self.value!r}>"


def make_settings(ignore: list[str] | None = None) -> dict[str, Setting]:
    """An instance of each class, by the setting's name."""
    return {cls.name: cls() for cls in KNOWN_SETTINGS if cls.name not in (ignore or ())}


def auto_int(text: str) -> int:
    """An integer in any base; a leading zero means octal, as for modes it always has."""
    return int(re.sub(r"^0(?=\d)", "0o", text), 0)


# Values. ------------------------------------------------------------------------------------------


def _resolve(info: SettingInfo, value: Any) -> Any:
    if info["name"] == "post_request":
        return _resolve_post_request(value)
    if info["type"] == "hook":
        return resolve_hook(info["hook_arity"], value)
    if info["type"] == "class" and (inspect.isfunction(value) or inspect.ismethod(value)):
        return value()
    return value


def resolve_hook(arity: int, value: Any) -> Hook:
    """The function, found if it is named, with as many parameters as the hook has arguments."""
    if isinstance(value, str):
        value = _find_object(value)
    if not callable(value):
        raise TypeError(f"Value is not callable: {value}")
    hook: Hook = value
    if arity not in (-1, util.get_arity(hook)):
        raise TypeError(f"Value must have an arity of: {arity}")
    return hook


def _resolve_post_request(value: Any) -> Hook:
    hook = resolve_hook(-1, value)
    count = util.get_arity(hook)
    return _with_fewer_arguments(hook, count) if count in (2, 3) else resolve_hook(4, hook)


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
    """post_request once had fewer arguments."""

    @functools.wraps(hook)
    def call(worker: Any, req: Any, environ: Any, resp: Any) -> Any:
        return hook(*(worker, req, environ, resp)[:count])

    return call


def validate(name: str, value: Any) -> Any:
    """The value as a Config holds it under that name, or the error that it raises there."""
    scratch = _core.Config()
    scratch.store(name, _resolve(_TABLE[name], value), "default", None)
    return scratch.get(name)


# The classes of the table. ------------------------------------------------------------------------


def _log_request(worker: Any, req: Any) -> None:
    worker.log.debug("%s %s", req.method, req.path)


def _make_ssl_context(config: Any, default_ssl_context_factory: Callable[[], Any]) -> Any:
    return default_ssl_context_factory()


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


_TABLE: dict[str, SettingInfo] = {info["name"]: info for info in _core.settings_table()}
_DEFAULT_HOOKS = {name: _default_hook(info) for name, info in _TABLE.items() if info["hook_class"]}

#: Where the class is not named as the setting is.
_CLASS_NAMES = {
    "accesslog": "AccessLog",
    "asgi_disconnect_grace_period": "ASGIDisconnectGracePeriod",
    "asgi_lifespan": "ASGILifespan",
    "asgi_loop": "ASGILoop",
    "ca_certs": "CACerts",
    "casefold_http_method": "CasefoldHTTPMethod",
    "certfile": "CertFile",
    "check_config": "ConfigCheck",
    "config": "ConfigFile",
    "enable_backlog_metric": "BacklogMetric",
    "errorlog": "ErrorLog",
    "forwarded_allow_ips": "ForwardedAllowIPS",
    "http2_initial_window_size": "HTTP2InitialWindowSize",
    "http2_max_concurrent_streams": "HTTP2MaxConcurrentStreams",
    "http2_max_frame_size": "HTTP2MaxFrameSize",
    "http2_max_header_list_size": "HTTP2MaxHeaderListSize",
    "http_protocols": "HTTPProtocols",
    "keyfile": "KeyFile",
    "logconfig": "LogConfig",
    "logconfig_dict": "LogConfigDict",
    "logconfig_json": "LogConfigJson",
    "permit_unconventional_http_method": "PermitUnconventionalHTTPMethod",
    "permit_unconventional_http_version": "PermitUnconventionalHTTPVersion",
    "proc_name": "Procname",
    "proxy_allow_ips": "ProxyAllowFrom",
    "pythonpath": "PythonPath",
    "raw_env": "Env",
    "raw_paste_global_conf": "PasteGlobalConf",
    "secure_scheme_headers": "SecureSchemeHeader",
    "ssl_version": "SSLVersion",
    "suppress_ragged_eofs": "SuppressRaggedEOFs",
    "syslog_addr": "SyslogTo",
    "threads": "WorkerThreads",
    "uwsgi_allow_ips": "UWSGIAllowFrom",
    "wsgi_app": "WSGIApp",
}

#: What argparse is to do with the flags.
_OPTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "value": {},
    "integer": {"type": int},
    "auto_integer": {"type": auto_int},
    "append": {"action": "append"},
    "switch_on": {"action": "store_true"},
    "switch_off": {"action": "store_const", "const": False},
    "optional": {"nargs": "?", "const": "auto"},
}


#: Defaults that are not known before the program runs.
_AT_START = {"chdir": util.START_DIRECTORY, "user": os.geteuid(), "group": os.getegid()}


def _default(info: SettingInfo) -> Any:
    if info["type"] == "hook":
        return _DEFAULT_HOOKS[info["name"]]
    return _AT_START.get(info["name"], info["default"])


def _from_text(setting: Setting, text: str) -> Any:
    """What a variable of the environment says: flags as on the command line, lists as words of a
    shell, dictionaries as JSON, yes and no in the ways that people write them."""
    kind = setting.info["type"] if setting.info is not None else None
    if kind == "hook":
        return text
    if setting.action == "append":
        return shlex.split(text)
    if kind == "bool" or setting.action in ("store_true", "store_const"):
        return _YES_AND_NO.get(text.strip().lower(), text)
    if kind in ("dict", "any"):
        return json.loads(text)
    return setting.type(text) if setting.type is not None else text


_YES_AND_NO = dict.fromkeys(("1", "yes", "y", "on", "true"), True) | dict.fromkeys(
    ("0", "no", "n", "off", "false"), False
)


def _class_name(info: SettingInfo) -> str:
    plain = "".join(word.capitalize() for word in info["name"].split("_"))
    return info["hook_class"] or _CLASS_NAMES.get(info["name"], plain)


def _make_class(info: SettingInfo) -> type[Setting]:
    attributes = {
        "__module__": "saola.config",
        "__doc__": info["help"],
        "name": info["name"],
        "section": info["section"],
        "cli": list(info["flags"]) or None,
        "meta": info["metavar"],
        "default": _default(info),
        "validator": functools.partial(validate, info["name"]),
        "desc": info["help"],
        **({"type": callable} if info["type"] == "hook" else _OPTIONS[info["cli"]]),
    }
    return type(_class_name(info), (Setting,), attributes)


#: The class of each setting of the table, by the class's name.
CLASSES: dict[str, type[Setting]] = {
    cls.__name__: cls for cls in map(_make_class, _core.settings_table())
}
