# SPDX-License-Identifier: MIT
"""The `saola` command."""

from __future__ import annotations

import argparse
import os
from typing import Any

from saola.app import djangoapp, loader
from saola.app.base import Application
from saola.errors import ConfigError


class WSGIApplication(Application):
    """The application that the command line or the setting wsgi_app names, that of an INI file
    (--paste INI, paster INI), or a Django project (django [SETTINGS])."""

    app_uri: str | None = None
    project: djangoapp.Project | None = None
    is_paste = False

    def init(
        self, parser: argparse.ArgumentParser, opts: argparse.Namespace, args: list[str]
    ) -> dict[str, Any] | None:
        self.app_uri = None
        self.project = None
        self.is_paste = False
        if opts.paste:
            self._use_paste(opts.paste)
        elif args[:1] == ["paster"] and len(args) > 1:
            self._use_paster(args[1])
        elif args[:1] == ["django"]:
            self._use_project(*args[1:2])
        elif args:
            self.cfg.set("default_proc_name", args[0])
            self.app_uri = args[0]
        return None

    def _use_paste(self, uri: str) -> None:
        from saola.app.pasterapp import use_file

        self.app_uri = os.path.abspath(uri)
        self.is_paste = True
        use_file(self.cfg, self.app_uri)

    def _use_paster(self, uri: str) -> None:
        from saola.app.pasterapp import use_server_section

        self._use_paste(uri)
        self.cfg.set("paste", uri)
        use_server_section(self.cfg, os.path.abspath(uri))

    def _use_project(self, settings: str | None = None) -> None:
        self.project = djangoapp.find(settings)
        self.project.enter()
        self.app_uri = self.project.settings
        self.cfg.set("default_proc_name", self.project.settings)

    def load_config(self) -> None:
        super().load_config()
        if self.app_uri is None and self.cfg.paste is not None:
            self._use_paste(self.cfg.paste)  # named elsewhere than on the command line
        if self.app_uri is None:
            self.app_uri = self.cfg.wsgi_app
        if self.app_uri is None:
            raise ConfigError("No application module specified.")

    def load_wsgiapp(self) -> Any:
        assert self.app_uri is not None
        return loader.import_app(self.app_uri)

    def load_pasteapp(self) -> Any:
        from saola.app.pasterapp import get_wsgi_app

        assert self.app_uri is not None
        return get_wsgi_app(self.app_uri, defaults=self.cfg.paste_global_conf)

    def load(self) -> Any:
        if self.project is not None:
            return djangoapp.load()
        return self.load_pasteapp() if self.is_paste else self.load_wsgiapp()


def run(prog: str | None = None) -> None:
    """Serves until the server is told to stop."""
    WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]", prog=prog).run()


if __name__ == "__main__":
    run()
