# SPDX-License-Identifier: MIT
"""Applications in Gunicorn's sense: where the settings and the WSGI callable come from."""

from __future__ import annotations

import argparse
import importlib
import importlib.machinery
import importlib.util
import os
import sys
import traceback
from typing import Any, NoReturn

from saola import util
from saola.config import Config, get_default_config_file
from saola.errors import ConfigError


def _fail(text: str) -> NoReturn:
    print(f"\nError: {text}", file=sys.stderr, flush=True)
    sys.exit(1)


class BaseApplication:
    """For embedding: a subclass loads the settings and the callable, run() serves it."""

    cfg: Config

    def __init__(self, usage: str | None = None, prog: str | None = None) -> None:
        self.usage = usage
        self.prog = prog
        self.callable: Any = None
        self.logger: Any = None
        self.do_load_config()

    def do_load_config(self) -> None:
        """Loads the settings, anew on a reload; what is wrong with them ends the program."""
        try:
            self.load_default_config()
            self.load_config()
        except Exception as error:
            _fail(str(error))

    def load_default_config(self) -> None:
        self.cfg = Config(self.usage, prog=self.prog)

    def init(
        self, parser: argparse.ArgumentParser, opts: argparse.Namespace, args: list[str]
    ) -> dict[str, Any] | None:
        """Settings of the application's own, from the command line."""
        raise NotImplementedError

    def load(self) -> Any:
        """The WSGI callable."""
        raise NotImplementedError

    def load_config(self) -> None:
        """Sets what differs from the defaults, by self.cfg.set()."""
        raise NotImplementedError

    def reload(self) -> None:
        self.do_load_config()

    def wsgi(self) -> Any:
        """The WSGI callable, loaded once."""
        if self.callable is None:
            self.callable = self.load()
        return self.callable

    def run(self) -> None:
        from saola.arbiter import Arbiter

        try:
            Arbiter(self).run()
        except (ConfigError, RuntimeError) as error:
            _fail(f"{error}\n")


class Application(BaseApplication):
    """Settings from a configuration file, GUNICORN_CMD_ARGS and the command line."""

    def chdir(self) -> None:
        """Changes to the directory of the settings, and lets Python import from it."""
        os.chdir(self.cfg.chdir)
        if self.cfg.chdir not in sys.path:
            sys.path.insert(0, self.cfg.chdir)

    def load_config(self) -> None:
        parser = self.cfg.parser()
        args = parser.parse_args()
        for name, value in (self.init(parser, args, args.args) or {}).items():
            self.cfg.set(name.lower(), value)
        self.chdir()

        env_args = parser.parse_args(self.cfg.get_cmd_args_from_env())
        location = args.config or env_args.config or get_default_config_file()
        if location:
            self.load_config_from_file(location)
        self._load_args(env_args, "cmd_args_env")
        self._load_args(args, "command_line")
        self.chdir()

    def _load_args(self, args: argparse.Namespace, source: str) -> None:
        for name, value in vars(args).items():
            if value is not None and name != "args":
                self.cfg.set(name, value, source)

    # The configuration file.

    def load_config_from_file(self, filename: str) -> dict[str, Any]:
        return self.load_config_from_module_name_or_filename(filename)

    def load_config_from_module_name_or_filename(self, location: str) -> dict[str, Any]:
        """Takes over every global of the file, or of the module, that is named like a setting."""
        if location.startswith("python:"):
            values = self.get_config_from_module_name(location.removeprefix("python:"))
        else:
            values = self.get_config_from_filename(location.removeprefix("file:"))
        for name, value in values.items():
            if name not in self.cfg.settings:
                continue
            try:
                self.cfg.set(name, value, "file", location)
            except Exception:
                print(f"Invalid value for {name}: {value}\n", file=sys.stderr, flush=True)
                raise
        return values

    def get_config_from_module_name(self, module_name: str) -> dict[str, Any]:
        return vars(importlib.import_module(module_name))

    def get_config_from_filename(self, filename: str) -> dict[str, Any]:
        """Runs the file as the module __config__ and returns its globals."""
        if not os.path.exists(filename):
            raise RuntimeError(f"{filename!r} doesn't exist")
        loader = None
        if os.path.splitext(filename)[1] not in (".py", ".pyc"):
            util.warn("configuration file should have a valid Python extension.\n")
            loader = importlib.machinery.SourceFileLoader("__config__", filename)
        try:
            spec = importlib.util.spec_from_file_location("__config__", filename, loader=loader)
            if spec is None or spec.loader is None:
                raise ImportError(f"{filename!r} cannot be loaded")
            module = importlib.util.module_from_spec(spec)
            sys.modules["__config__"] = module
            spec.loader.exec_module(module)
        except Exception:
            print(f"Failed to read config file: {filename}", file=sys.stderr)
            traceback.print_exc()
            sys.stderr.flush()
            sys.exit(1)
        return vars(module)

    # Serving.

    def run(self) -> None:
        if self.cfg.print_config:
            print(self.cfg, flush=True)
        if self.cfg.print_config or self.cfg.check_config:
            self._check_application()
            sys.exit(0)
        if self.cfg.pythonpath:
            for path in map(os.path.abspath, self.cfg.pythonpath.split(",")):
                if path not in sys.path:
                    sys.path.insert(0, path)
        super().run()

    def _check_application(self) -> None:
        try:
            self.load()
        except Exception:
            print("\nError while loading the application:\n", file=sys.stderr)
            traceback.print_exc()
            sys.stderr.flush()
            sys.exit(1)
