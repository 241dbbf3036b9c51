# SPDX-License-Identifier: MIT
"""The settings of a server: the values are checked and held in C, this is what Python sees of them.

Every setting can be read as an attribute of Config. Hooks and classes are resolved in Python,
because they are Python objects; everything else is checked by saola._core.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from saola import _core, _identity, _settings, _spelling, cmdline, util
from saola._settings import (
    KNOWN_SETTINGS,
    Setting,
    auto_int,
    make_settings,
    resolve_hook,
    validate,
)
from saola._worker_classes import load_worker_class, worker_class_error, worker_class_name
from saola.errors import ConfigError

if TYPE_CHECKING:
    import argparse

__all__ = ["KNOWN_SETTINGS", "Config", "Setting", "auto_int", "make_settings"]

#: Configuration files that are read without being named, the first that exists.
DEFAULT_FILES = ("saola.conf.py", "gunicorn.conf.py")

#: Variables with more arguments, behind the configuration file and before the command line.
CMD_ARGS_VARIABLES = ("GUNICORN_CMD_ARGS", "SAOLA_CMD_ARGS")

#: What the variables of the settings begin with.
PREFIX = "SAOLA_"

SSL_VERSION_IS_IGNORED = (
    "Warning: option `ssl_version` is deprecated and it is ignored. Use ssl_context instead."
)

Networks = list[ipaddress.IPv4Network | ipaddress.IPv6Network]


def get_default_config_file() -> str | None:
    """The configuration file of the current directory, if there is one."""
    for name in DEFAULT_FILES:
        path = os.path.join(os.path.abspath(os.getcwd()), name)
        if os.path.exists(path):
            return path
    return None


class Config(_core.Config):
    """All settings, with Gunicorn's interface."""

    settings: dict[str, Setting]

    def __init__(self, usage: str | None = None, prog: str | None = None) -> None:
        self.settings = make_settings()
        self.usage = usage
        self.prog = prog or os.path.basename(sys.argv[0])
        self.env_orig = dict(os.environ)
        #: What to say of names in configuration files that look like settings, if that matters.
        self.suspects: list[str] = []
        for setting in self.settings.values():
            setting.adopt(self)
        if _identity.program() != self.default_proc_name:
            self.set("default_proc_name", _identity.program())
        self.read_environment()
        self._read_own_environment()

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
        setting = self.settings[name]
        if setting.info is None:
            setting.set(value)
        else:
            self.store(name, setting.resolve(value), source, where)
        if name == "ssl_version" and value != setting.default:
            print(SSL_VERSION_IS_IGNORED, file=sys.stderr)

    def _read_own_environment(self) -> None:
        """SAOLA_WORKERS and the like: a variable for each setting. An empty one is none."""
        for name, setting in self.settings.items():
            variable = PREFIX + name.upper()
            text = self.env_orig.get(variable)
            if not text:
                continue
            try:
                self.set(name, setting.from_text(text), "environment", variable)
            except Exception as error:
                raise ConfigError(f"{variable}: {error}") from None

    def _suspect_variables(self) -> Iterator[str]:
        """What to say about each variable that seems to be a misspelt one of a setting. There may
        be others of that prefix: those of a service in Kubernetes with the name saola, say."""
        known = _spelling.spellings(self.settings.values())
        names = [name for name in self.env_orig if name.startswith(PREFIX) and self.env_orig[name]]
        for variable in names:
            name = variable.removeprefix(PREFIX).lower()
            meant = None if name in self.settings else _spelling.nearest(name, known)
            right = f"{PREFIX}{meant}".upper()
            if meant and variable not in CMD_ARGS_VARIABLES and right not in names:
                yield f"{variable}: there is no setting {name}. Did you mean {right}?"

    def check(self) -> None:
        """ConfigError if values switch on what is not there: all of them, each with its origin.
        With strict_config also if files or variables set what is no setting; without it there is
        a warning of variables, which are nobody's but this server's."""
        variables = list(self._suspect_variables())
        suspects = [*variables, *self.suspects] if self.strict_config else []
        if variables and not self.strict_config:
            print(*(f"Warning: {text}" for text in variables), sep="\n", file=sys.stderr)
        told = [*suspects, worker_class_error(self), *map(self.unsupported, self._of_the_table())]
        texts = [text for text in told if text is not None]
        if texts:
            raise ConfigError("\n".join(texts))

    def _of_the_table(self) -> list[str]:
        return [name for name, setting in self.settings.items() if setting.info is not None]

    def __str__(self) -> str:
        """Every setting of Gunicorn's; of Saola's own, those that are not at their defaults."""
        shown = sorted(
            name
            for name, setting in self.settings.items()
            if not setting.own or setting.get() != setting.default
        )
        width = max(map(len, shown))
        return "\n".join(f"{name.ljust(width)} = {self._show(name)}" for name in shown)

    def origins(self) -> str:
        """Every setting there is, as by str(), and where its value comes from."""
        width = max(map(len, self.settings))
        return "\n".join(
            f"{name.ljust(width)} = {self._show(name)}  # {self._show_origin(name)}"
            for name in sorted(self.settings)
        )

    def _show(self, name: str) -> str:
        if self.settings[name].info is not None and name != "statsd_host":
            return self.render(name)
        value = self.settings[name].get()
        return f"<{value.__qualname__}()>" if callable(value) else str(value)

    def _show_origin(self, name: str) -> str:
        if self.settings[name].info is None:
            return "the program"
        return self.describe_origin(name)

    def parser(self) -> argparse.ArgumentParser:
        return cmdline.build_parser(self.settings.values(), self.usage, self.prog)

    def get_cmd_args_from_env(self) -> list[str]:
        return shlex.split(self.env_orig.get("GUNICORN_CMD_ARGS", ""))

    def cmd_args(self) -> Iterator[tuple[str, list[str]]]:
        """The variables with arguments that are set, and the arguments."""
        for variable in CMD_ARGS_VARIABLES:
            if variable in self.env_orig:
                yield variable, shlex.split(self.env_orig[variable])

    # What is computed from settings.

    @property
    def worker_class_str(self) -> str:
        return worker_class_name(self)

    @property
    def worker_class(self) -> Any:
        return load_worker_class(self)

    @property
    def logger_class(self) -> Any:
        from saola import _logroute

        return _logroute.find_logger_class(self)

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
    def reuse_port(self) -> bool:
        value: bool = self.settings["reuse_port"].get()
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
        variables = dict(_split_pairs(self.raw_env, "="))
        if "" in variables:
            raise RuntimeError(f"environment setting {'=' + variables['']!r} invalid")
        return variables

    @property
    def paste_global_conf(self) -> dict[str, str]:
        pairs = _split_pairs(self.raw_paste_global_conf, r"(?<!\\)=")
        return {name.replace("\\=", "="): value.replace("\\=", "=") for name, value in pairs}

    def forwarded_allow_networks(self) -> Networks:
        return _networks(self.forwarded_allow_ips)

    def proxy_allow_networks(self) -> Networks:
        return _networks(self.proxy_allow_ips)


def _networks(items: list[str]) -> Networks:
    return [ipaddress.ip_network(item) for item in items if item != "*"]


def _split_pairs(entries: list[str], separator: str) -> Iterator[tuple[str, str]]:
    for entry in entries:
        name, *value = re.split(separator, entry, maxsplit=1)
        if not value:
            raise RuntimeError(f"environment setting {entry!r} invalid")
        yield name, value[0]


# Gunicorn's names. --------------------------------------------------------------------------------


def _validator(name: str) -> Callable[[Any], Any]:
    return functools.partial(validate, name)


validate_asgi_lifespan = _validator("asgi_lifespan")
validate_asgi_loop = _validator("asgi_loop")
validate_bool = _validator("preload_app")
validate_chdir = _validator("chdir")
validate_class = _validator("worker_class")
validate_dict = _validator("logconfig_dict")
validate_group = _validator("group")
validate_header_map_behaviour = _validator("header_map")
validate_http2_cleartext = _validator("http2_cleartext")
validate_http2_frame_size = _validator("http2_max_frame_size")
validate_http_parser = _validator("http_parser")
validate_http_protocols = _validator("http_protocols")
validate_list_of_files_or_patterns = _validator("reload_extra_files")
validate_list_string = _validator("bind")
validate_pos_int = _validator("workers")
validate_post_request = _validator("post_request")
validate_proxy_protocol = _validator("proxy_protocol")
validate_reload_engine = _validator("reload_engine")
validate_ssl_version = _validator("ssl_version")
validate_string = _validator("proc_name")
validate_string_to_addr_list = _validator("forwarded_allow_ips")
validate_string_to_list = _validator("forwarder_headers")
validate_user = _validator("user")


def validate_statsd_address(value: Any) -> str | tuple[str, int] | None:
    address: str | None = validate("statsd_host", value)
    return None if address is None else util.parse_statsd_address(address)


def validate_callable(arity: int) -> Callable[[Any], Any]:
    """A validator for functions with so many parameters; -1: with any number."""
    return functools.partial(resolve_hook, arity)


def validate_file_exists(value: str | None) -> str | None:
    if value is not None and not os.path.exists(value):
        raise ValueError(f"File {value} does not exists.")
    return value


# A class for each setting of the table: Workers, AccessLogFormat and so on.
if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


globals().update(_settings.CLASSES)
__all__ += [*_settings.CLASSES, *(name for name in dir() if name.startswith("validate_"))]
