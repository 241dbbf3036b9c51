# SPDX-License-Identifier: MIT
"""Applications of PasteDeploy: `saola --paste INI`, `saola paster INI`, and pserve's server."""

from __future__ import annotations

import configparser
import importlib
import os
from typing import Any

from saola.app.wsgiapp import WSGIApplication
from saola.config import Config, get_default_config_file
from saola.errors import AppImportError, ConfigError


def get_wsgi_app(
    config_uri: str, name: str | None = None, defaults: dict[str, str] | None = None
) -> Any:
    """The application of an INI file: FILE or FILE#NAME."""
    try:
        deploy = importlib.import_module("paste.deploy")
    except ImportError as error:
        text = f"{error}: to load {config_uri}, install PasteDeploy"
        raise AppImportError(text) from None
    uri = config_uri if ":" in config_uri else f"config:{config_uri}"
    return deploy.loadapp(uri, name=name, relative_to=os.getcwd(), global_conf=defaults)


def has_logging_config(config_file: str) -> bool:
    return _read(config_file).has_section("loggers")


def use_file(cfg: Config, config_uri: str) -> None:
    """Sets what an INI file means to the server, whoever loads the application from it."""
    path = config_uri.partition("#")[0]
    if not os.path.isfile(path):
        raise ConfigError(f"{path!r} not found")
    cfg.set("default_proc_name", path, where=path)
    if has_logging_config(path):
        cfg.set("logconfig", path, where=path)


def use_server_section(cfg: Config, config_uri: str) -> None:
    """Sets what the section [server:main] says, if it is about this server or Gunicorn."""
    path = config_uri.partition("#")[0]
    parser = _read(path)
    if not parser.has_section("server:main"):
        return
    values = dict(parser.items("server:main", raw=True))
    used = values.pop("use", "egg:saola")
    if used.partition("#")[0] not in ("egg:saola", "egg:gunicorn"):
        return
    own = {name: value for name, value in values.items() if name not in parser.defaults()}
    for name, value in _settings(own).items():
        cfg.set(name, value, where=f"{path} [server:main]")


def _read(path: str) -> configparser.ConfigParser:
    here = os.path.dirname(os.path.abspath(path))
    parser = configparser.ConfigParser(
        defaults={"here": here, "__file__": os.path.abspath(path)}, interpolation=None
    )
    parser.read([path])
    return parser


def _settings(conf: dict[str, Any]) -> dict[str, Any]:
    """The keys of a server section as settings: host and port are its own."""
    settings = {name.lower(): value for name, value in conf.items() if value is not None}
    host, port = settings.pop("host", ""), settings.pop("port", "")
    if host and port:
        settings["bind"] = f"{host}:{port}"
    elif host:
        settings["bind"] = host.split(",")
    return settings


def serve(app: Any, global_conf: dict[str, str], **local_conf: Any) -> None:
    """Serves an application that PasteDeploy has loaded, as pserve asks for by egg:saola#main.

    The settings are those of the server section, over those of a configuration file; nobody asks
    the command line, which is pserve's.
    """
    path = global_conf["__file__"]
    location = local_conf.pop("config", None)
    settings = _settings(local_conf)

    class PasterServerApplication(WSGIApplication):
        def load_config(self) -> None:
            use_file(self.cfg, path)
            file = location or get_default_config_file()
            if file:
                self.load_config_from_file(file)
            for name, value in settings.items():
                self.cfg.set(name, value, where=path)

        def load(self) -> Any:
            return app

    PasterServerApplication().run()
