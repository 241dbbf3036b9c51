# SPDX-License-Identifier: MIT
"""Applications in Gunicorn's sense: where the settings and the WSGI callable come from."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from typing import Any, NoReturn

from saola import _configfile
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
            self.cfg.check()
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

        more_args = [(where, parser.parse_args(words)) for where, words in self.cfg.cmd_args()]
        locations = [args.config, *(more.config for _, more in reversed(more_args))]
        self._load_file(next(filter(None, locations), None))
        for where, more in more_args:
            self._load_args(more, "cmd_args_env", where)
        self._load_args(args, "command_line")
        self.chdir()

    def _load_file(self, location: str | None) -> None:
        """The file that is named there, or else by SAOLA_CONFIG or the framework, or else the one
        of the directory."""
        if location is None and self.cfg.origin("config")[0] != "default":
            location = self.cfg.config
        location = location or get_default_config_file()
        if location:
            self.load_config_from_file(location)

    def _load_args(self, args: argparse.Namespace, source: str, where: str | None = None) -> None:
        for name, value in vars(args).items():
            if value is not None and name != "args":
                self.cfg.set(name, value, source, where)

    # The configuration file.

    def load_config_from_file(self, filename: str) -> dict[str, Any]:
        return self.load_config_from_module_name_or_filename(filename)

    def load_config_from_module_name_or_filename(self, location: str) -> dict[str, Any]:
        """Takes over every global of the file, or of the module, that is named like a setting."""
        file = _configfile.ConfigFile(location)
        for name, value in file.values.items():
            if name not in self.cfg.settings:
                continue
            try:
                self.cfg.set(name, value, "file", file.where(name))
            except Exception:
                print(f"Invalid value for {name}: {value}\n", file=sys.stderr, flush=True)
                raise
        self.cfg.suspects += file.suspects(self.cfg.settings)
        return file.values

    def get_config_from_module_name(self, module_name: str) -> dict[str, Any]:
        return _configfile.run_module(module_name)

    def get_config_from_filename(self, filename: str) -> dict[str, Any]:
        """Runs the file as the module __config__ and returns its globals."""
        return _configfile.run_file(filename)

    # Serving.

    def run(self) -> None:
        if self.cfg.print_config:
            print(self.cfg, flush=True)
        if self.cfg.print_origins:
            print(self.cfg.origins(), flush=True)
        if self.cfg.print_config or self.cfg.print_origins or self.cfg.check_config:
            self._check_application()
            sys.exit(0)
        if self.cfg.spew:
            from saola import debug

            debug.spew()
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
