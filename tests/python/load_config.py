# SPDX-License-Identifier: MIT
"""Loads configurations as the command would, many in one process, for the tests beside it.

    python load_config.py PACKAGE < CASES > RESULTS

PACKAGE is saola or gunicorn. A case is an object with `argv`, `env`, `file` (the text of
gunicorn.conf.py) and `run` (with --check-config, load the application a:b too); its result has
`status`, `out`, `err` and `config`, the lines of --print-config.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
import tempfile
from typing import Any


def load(package: str, case: dict[str, Any]) -> dict[str, Any]:
    """The result of one case; the process is afterwards as it was."""
    application = importlib.import_module(f"{package}.app.wsgiapp").WSGIApplication
    environ, path, cwd = dict(os.environ), list(sys.path), os.getcwd()
    out, err = io.StringIO(), io.StringIO()
    result: dict[str, Any] = {"status": 0, "config": {}}
    with (
        tempfile.TemporaryDirectory() as directory,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        os.chdir(directory)
        if package == "gunicorn":  # which asks for it once, when it is imported
            importlib.import_module("gunicorn.config").Chdir.default = os.getcwd()
        os.environ.pop("PWD", None)
        os.environ.update(case.get("env", {}))
        sys.argv = [package, *case.get("argv", [])]
        if case.get("file") is not None:
            with open("gunicorn.conf.py", "w", encoding="utf-8") as file:
                file.write(case["file"])
        try:
            app = application("%(prog)s [OPTIONS] [APP_MODULE]", prog=package)
            lines = str(app.cfg).splitlines()
            pairs = (line.partition(" = ") for line in lines)
            result["config"] = {name.rstrip(): value for name, _, value in pairs}
            if case.get("run") and (app.cfg.check_config or app.cfg.print_config):
                with open("a.py", "w", encoding="utf-8") as file:
                    file.write("def b(environ, start_response): return []\n")
                app.run()
        except SystemExit as end:
            result["status"] = end.code or 0
        finally:
            os.chdir(cwd)
            os.environ.clear()
            os.environ.update(environ)
            sys.path[:] = path
            sys.modules.pop("__config__", None)
            sys.modules.pop("a", None)
            importlib.invalidate_caches()
    where = os.path.realpath(directory)
    for name, value in result["config"].items():
        result["config"][name] = value.replace(where, "DIRECTORY")
    result["out"] = out.getvalue().replace(where, "DIRECTORY")
    result["err"] = err.getvalue().replace(where, "DIRECTORY")
    return result


def main() -> None:
    package = sys.argv[1]
    cases = json.load(sys.stdin)
    json.dump([load(package, case) for case in cases], sys.stdout)


if __name__ == "__main__":
    main()
