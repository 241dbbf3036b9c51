# SPDX-License-Identifier: MIT
"""The `saola` command."""

from __future__ import annotations

import argparse
from typing import Any

from saola import util
from saola.app.base import Application
from saola.errors import ConfigError


class WSGIApplication(Application):
    """The application that the command line or the setting wsgi_app names."""

    app_uri: str | None = None

    def init(
        self, parser: argparse.ArgumentParser, opts: argparse.Namespace, args: list[str]
    ) -> dict[str, Any] | None:
        self.app_uri = None
        if args:
            self.cfg.set("default_proc_name", args[0])
            self.app_uri = args[0]
        return None

    def load_config(self) -> None:
        super().load_config()
        if self.app_uri is None:
            self.app_uri = self.cfg.wsgi_app
        if self.app_uri is None:
            raise ConfigError("No application module specified.")

    def load_wsgiapp(self) -> Any:
        assert self.app_uri is not None
        return util.import_app(self.app_uri)

    def load(self) -> Any:
        return self.load_wsgiapp()


def run(prog: str | None = None) -> None:
    """Serves until the server is told to stop."""
    WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]", prog=prog).run()


if __name__ == "__main__":
    run()
