# SPDX-License-Identifier: MIT
"""A program that serves its own application, with its options in a dictionary.

python -m embedded --bind ADDRESS [--set NAME VALUE]
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from saola.app.base import BaseApplication


def handler(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {os.getppid()} {environ['PATH_INFO']}".encode()]


class StandaloneApplication(BaseApplication):
    def __init__(self, app: Any, options: dict[str, Any] | None = None) -> None:
        self.options = options or {}
        self.application = app
        super().__init__()

    def load_config(self) -> None:
        known = {
            key: value
            for key, value in self.options.items()
            if key in self.cfg.settings and value is not None
        }
        for key, value in known.items():
            self.cfg.set(key.lower(), value)

    def load(self) -> Any:
        return self.application


def when_ready(server: Any) -> None:
    server.log.info("ready, says the program: %s", server.cfg.bind)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--bind")
    parser.add_argument("--set", nargs=2, action="append", default=[])
    args = parser.parse_args()
    options = {
        "bind": args.bind,
        "workers": 2,
        "proc_name": "embedded",
        "when_ready": when_ready,
        "unknown": "ignored",
        **dict(args.set),
    }
    sys.argv = ["program", "--not-for-the-server"]
    StandaloneApplication(handler, options).run()
