# SPDX-License-Identifier: MIT
"""Loggers and logging configurations of the user's: all takes the way of Python's logging."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
from client import build_request
from conftest import Serve
from procs import poll

# Writes everything it is called with, so that nothing can come from elsewhere.
LOGGER = """
import logging
from saola import glogging

def write(kind, text):
    with open("seen", "a") as file:
        file.write(kind + " " + text.replace("\\n", "|") + "\\n")

class logger_class(glogging.Logger):
    def setup(self, cfg):
        super().setup(cfg)
        for handler in [*self.error_log.handlers]:
            self.error_log.removeHandler(handler)

    def critical(self, msg, *args, **kwargs):
        write("critical", msg % args if args else msg)

    def error(self, msg, *args, **kwargs):
        write("error", msg % args if args else msg)

    def warning(self, msg, *args, **kwargs):
        write("warning", msg % args if args else msg)

    def info(self, msg, *args, **kwargs):
        write("info", msg % args if args else msg)

    def debug(self, msg, *args, **kwargs):
        write("debug", msg % args if args else msg)

    def exception(self, msg, *args, **kwargs):
        import sys, traceback
        write("exception", (msg % args if args else msg) + repr(sys.exc_info()[1]))

    def now(self):
        return "[now]"

    def atoms(self, resp, req, environ, request_time):
        atoms = super().atoms(resp, req, environ, request_time)
        atoms["x"] = "%s %s %s" % (resp.status, req.method, sorted(req.headers))
        return atoms

    def access(self, resp, req, environ, request_time):
        write("access", "%(t)s %(r)s %(s)s %(x)s" % glogging.SafeAtoms(
            self.atoms(resp, req, environ, request_time)))

    def reopen_files(self):
        write("reopen", "")
"""


def seen(path: Path, pattern: str) -> str:
    file = path / "seen"

    def found() -> str | None:
        matches = re.findall(pattern, file.read_text() if file.exists() else "", re.MULTILINE)
        return "\n".join(matches) if matches else None

    return poll(found, lambda: f"{pattern!r} in {file.read_text() if file.exists() else ''}") or ""


def test_a_logger_that_overrides_everything(serve: Serve) -> None:
    server = serve("logs:app", config=LOGGER, ready="no")
    where = server.tmp
    seen(where, r"^info Starting saola")
    seen(where, r"^info Listening at: ")
    seen(where, r"^info Booting worker with pid: \d+$")
    server.wait_ready("answer")
    server.send(b'GET /a%b" HTTP/1.1\r\nHost: a b\r\nX-A: 1\r\n\r\n')
    seen(where, r"^warning Invalid request from ip=127\.0\.0\.1: ")
    line = seen(where, r"^access \[now\] GET /a%b.*")
    assert line == (
        "access [now] GET /a%b\\\" HTTP/1.1 400 400 Bad Request GET [('Host', 'a b'), ('X-A', '1')]"
    )
    server.request("/?raise=oops")
    seen(where, r"^exception Error handling request GET /\?raise=oops.*ValueError\('oops'\)$")
    seen(where, r"^access \[now\] GET /\?raise=oops HTTP/1.1 500 500 Internal Server Error")
    server.request("/?sleep=0.1")
    seen(where, r"^access \[now\] GET /\?sleep=0.1 HTTP/1.1 200 200 OK GET \[\('CONNECTION'")
    server.kill(signal.SIGUSR1)
    seen(where, r"^reopen")
    server.kill(signal.SIGHUP)
    seen(where, r"^info Hang up: Master")
    seen(where, r"^info Worker exiting \(pid: \d+\)")
    server.terminate()
    seen(where, r"^info Shutting down: Master")
    assert server.log == ""


@pytest.mark.parametrize("name", ["gunicorn.glogging.Logger", "simple", "saola.glogging.Logger"])
def test_names_of_the_stock_logger(serve: Serve, name: str) -> None:
    server = serve("logs:app", "--logger-class", name)
    assert "Starting saola 0.1.0" in server.messages("INFO")


@pytest.mark.parametrize("name", ["no.such.module.Logger", "saola.glogging.None", "egg:none#x"])
def test_a_logger_that_does_not_exist(serve: Serve, name: str) -> None:
    server = serve("logs:app", "--logger-class", name, ready="no")
    server.allow("class uri")
    assert server.wait() == 1
    assert f"\nError: class uri {name!r} invalid or not found: " in server.log


FILTER = """
import logging
from saola.glogging import Logger

class Quiet(logging.Filter):
    def filter(self, record):
        return "/health" not in record.args["r"]

class logger_class(Logger):
    def setup(self, cfg):
        super().setup(cfg)
        self.access_log.addFilter(Quiet())
"""


def test_a_filter_of_the_access_log(serve: Serve) -> None:
    """The recipe that many have: no lines for health checks."""
    server = serve(
        *("logs:app", "--access-logfile", "-", "--access-logformat", "%(r)s %(s)s %(b)s"),
        config=FILTER,
    )
    for path in ("/health", "/one", "/health", "/two"):
        server.request(path)
    poll(lambda: "/two" in server.output, "the last line")
    assert [line for line in server.output.splitlines() if "-ready" not in line] == [
        *("GET /one HTTP/1.1 200 3", "GET /two HTTP/1.1 200 3"),
    ]


JSON_LOGGER = """
from pythonjsonlogger.json import JsonFormatter
from saola.glogging import Logger

class logger_class(Logger):
    def setup(self, cfg):
        super().setup(cfg)
        self._set_handler(self.error_log, cfg.errorlog, JsonFormatter("%(levelname)s %(message)s"))
        self._set_handler(self.access_log, cfg.accesslog, JsonFormatter("%(message)s"))
"""


def test_json_through_a_logger_class(serve: Serve, tmp_path: Path) -> None:
    pytest.importorskip("pythonjsonlogger")
    error, access = tmp_path / "error", tmp_path / "access"
    server = serve(
        *("logs:app", "--error-logfile", str(error), "--access-logfile", str(access)),
        config=JSON_LOGGER,
    )
    server.request('/?raise=a"b')
    poll(lambda: "raise" in access.read_text(), "the access line")
    records = [json.loads(line) for line in error.read_text().splitlines()]
    assert {"levelname": "INFO", "message": "Starting saola 0.1.0"} in records
    failure = records[-1]
    assert failure["message"].startswith("Error handling request GET /?raise=")
    assert "ValueError: a" in failure["exc_info"]
    for line in access.read_text().splitlines():
        assert "HTTP/1.1" in json.loads(line)["message"]
    for path in (error, access):
        path.rename(path.with_suffix(".1"))
    server.kill(signal.SIGUSR1)
    poll(lambda: error.exists() and access.exists(), "logs made anew")

    def reopened() -> bool:
        server.request("/again")
        return "/again" in access.read_text()

    poll(reopened, "a line in the new access log")


# Configurations of Python's logging. --------------------------------------------------------------

TO_FILES = {
    "version": 1,
    "root": {"level": "INFO", "handlers": []},
    "loggers": {
        "gunicorn.error": {"level": "DEBUG", "handlers": ["error"], "propagate": False},
        "gunicorn.access": {"level": "INFO", "handlers": ["access"], "propagate": False},
    },
    "handlers": {
        name: {"class": "logging.FileHandler", "formatter": name, "filename": name}
        for name in ("error", "access")
    },
    "formatters": {
        "error": {"format": "E %(levelname)s %(message)s"},
        "access": {"format": "A %(message)s"},
    },
}

INI = """
[loggers]
keys = root, gunicorn.error, gunicorn.access

[handlers]
keys = error, access

[formatters]
keys = error, access

[logger_root]
handlers =

[logger_gunicorn.error]
level = DEBUG
handlers = error
propagate = 0
qualname = gunicorn.error

[logger_gunicorn.access]
level = INFO
handlers = access
propagate = 0
qualname = gunicorn.access

[handler_error]
class = FileHandler
formatter = error
args = ("%(here)s/error",)

[handler_access]
class = FileHandler
formatter = access
args = ("%(here)s/access",)

[formatter_error]
format = E %(levelname)s %(message)s

[formatter_access]
format = A %(message)s
"""

FORMAT = ("--access-logformat", "%(r)s %(s)s")


@pytest.mark.parametrize("kind", ["dict", "json", "ini"])
def test_logging_configurations(serve: Serve, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "config"
    error, access = tmp_path / "error", tmp_path / "access"
    handlers = {
        name: {**handler, "filename": str(tmp_path / name)}
        for name, handler in TO_FILES["handlers"].items()  # type: ignore[attr-defined]
    }
    config = {**TO_FILES, "handlers": handlers}
    path.write_text(INI if kind == "ini" else json.dumps(config))
    args = {
        "dict": [],
        "json": ["--log-config-json", str(path)],
        "ini": ["--log-config", str(path)],
    }[kind]
    text = f"logconfig_dict = {config!r}" if kind == "dict" else ""
    server = serve("logs:app", *FORMAT, *args, config=text)
    server.request("/?gunicorn=said")
    poll(lambda: "said" in access.read_text(), "the access line")
    assert re.search(r"^A GET /\?gunicorn=said HTTP/1.1 200$", access.read_text(), re.MULTILINE)
    lines = error.read_text().splitlines()
    assert "E INFO Starting saola 0.1.0" in lines
    assert "E ERROR said" in lines
    # The arbiter says so when the worker is there, and that may be in use already.
    poll(lambda: "E DEBUG 1 workers" in error.read_text().splitlines(), "the number of workers")
    assert (server.log, server.output) == ("", "")
    for each in (error, access):
        each.rename(each.with_suffix(".1"))
    before = server.workers()
    server.kill(signal.SIGHUP)
    poll(lambda: error.exists() and "Booting" in error.read_text(), "the new error log")
    poll(access.exists, "the new access log")
    server.wait_workers(1, before)
    server.terminate()
    assert "E INFO Shutting down: Master" in error.read_text()


def test_dict_goes_before_json_and_json_before_ini(serve: Serve, tmp_path: Path) -> None:
    for name in ("dict", "json"):
        config = {"formatters": {"generic": {"format": f"{name} %(message)s"}}}
        (tmp_path / name).write_text(json.dumps(config))
    args = ["--log-config-json", f"{tmp_path}/json", "--log-config", "/no/such/file"]
    server = serve("logs:app", *FORMAT, *args)
    # The defaults propagate to the root logger, which has a handler of its own.
    assert "json Starting saola 0.1.0" in server.log.splitlines()
    assert "json Starting saola 0.1.0" in server.output.splitlines()
    text = f"import json; logconfig_dict = json.load(open('{tmp_path}/dict'))"
    server = serve("logs:app", *FORMAT, *args, config=text)
    assert "dict Starting saola 0.1.0" in server.log.splitlines()
    assert "json" not in server.log


@pytest.mark.parametrize(
    ("args", "config", "error"),
    [
        (["--log-config", "/no/such"], "", "Error: log config '/no/such' not found"),
        (["--log-config", "bad"], "open('bad', 'w')", "Error: log config 'bad' cannot be used: "),
        (["--log-config-json", "bad.json"], "open('bad.json', 'w').write('{')", "Expecting "),
        ([], "logconfig_dict = {'version': 2}", "Unsupported version: 2"),
        (
            [],
            "logconfig_dict = {'root': {'handlers': ['x']}}",
            "Unable to configure root logger: Unable to add handler 'x'",
        ),
        (["--error-logfile", "/no/such/file"], "", "Error: '/no/such/file' isn't writable ["),
        (["--access-logfile", "/no/such/file"], "", "Error: '/no/such/file' isn't writable ["),
    ],
)
def test_bad_configurations(serve: Serve, args: list[str], config: str, error: str) -> None:
    server = serve("logs:app", *args, config=config, ready="no")
    assert server.wait() == 1
    assert f"\nError: {error}" in server.log
    assert "Traceback" not in server.log


def test_json_file_that_is_missing(serve: Serve) -> None:
    """Gunicorn says nothing, so there are people who rely on it."""
    server = serve("logs:app", "--log-config-json", "missing.json")
    assert "Starting saola 0.1.0" in server.messages("INFO")


def test_bad_configuration_in_a_reload(serve: Serve) -> None:
    server = serve("logs:app", config="")
    before = server.workers()
    (server.tmp / "gunicorn.conf.py").write_text("logconfig_dict = {'version': 2}")
    server.kill(signal.SIGHUP)
    server.allow("reloading the logger configuration failed")
    server.wait_log("reloading the logger configuration failed, keeping the previous one")
    server.wait_workers(1, before)
    assert server.request("/").status == 200
    assert "ValueError" not in server.log
    server.allow("")  # its traceback is on stderr
    server.terminate()


UNCHANGED = "The configuration could not be read; everything stays as it was."


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ("errorlog = '/no/such/file'", r"Error: '/no/such/file' isn't writable \["),
        ("errorlog = '/'", r"Error: '/' isn't writable \["),
        ("accesslog = '/no/such/file'", r"Error: '/no/such/file' isn't writable \["),
        ("access_log_format = '%(h)r'", "Invalid access_log_format: "),
        ("logconfig = '/no/such'", "Error: log config '/no/such' not found"),
        ("logconfig_json = 'a.json'; open('a.json', 'w').write('{')", "Expecting "),
        ("syslog = True; syslog_addr = 'x://y'", "invalid syslog address"),
        ("logger_class = 'no.such.Class'", "class uri 'no.such.Class' invalid or not found"),
        ("raw_env = ['x']", "environment setting 'x' invalid"),
        ("raw_env = ['=x']", "environment setting '=x' invalid"),
    ],
)
def test_a_reload_whose_logs_cannot_be_had(serve: Serve, config: str, error: str) -> None:
    """Nothing changes, neither logs nor workers, and the next reload is as good as any."""
    server = serve("logs:app", config="")
    before = server.workers()
    path = server.tmp / "gunicorn.conf.py"
    path.write_text(f"{config}\nworkers = 2")
    server.allow("Reading the configuration failed", UNCHANGED)
    server.kill(signal.SIGHUP)
    server.wait_log(re.escape(UNCHANGED))
    server.wait_log(f"^{error}")
    assert server.workers() == before
    assert server.request("/").status == 200
    path.write_text("workers = 2")
    server.kill(signal.SIGHUP)
    server.wait_workers(2, before)


def test_a_reload_that_could_exchange_one_log_of_two(serve: Serve, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    server = serve("logs:app", *FORMAT, config=f"accesslog = '{old}'")
    (server.tmp / "gunicorn.conf.py").write_text(f"accesslog = '{new}'; errorlog = '/no/such/x'")
    server.allow("Reading the configuration failed", UNCHANGED)
    server.kill(signal.SIGHUP)
    server.wait_log(re.escape(UNCHANGED))
    server.request("/after")
    poll(lambda: "GET /after" in old.read_text(), "the line in the old log")


def test_logs_are_kept_whole_if_a_part_of_the_new_ones_fails(serve: Serve, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    server = serve("logs:app", *FORMAT, config=f"accesslog = '{old}'")
    before = server.workers()
    config = (
        f"accesslog = '{new}'; logconfig_dict = {{'handlers': {{'x': {{'class': 'no.such'}}}}}}"
    )
    (server.tmp / "gunicorn.conf.py").write_text(config)
    server.allow("")  # its traceback is on stderr
    server.kill(signal.SIGHUP)
    server.wait_log("reloading the logger configuration failed, keeping the previous one")
    server.wait_workers(1, before)
    server.request("/after?gunicorn=as%20ever")
    poll(lambda: "GET /after" in old.read_text(), "the line in the old log")
    assert "GET" not in new.read_text()
    assert server.messages("ERROR")[-1] == "as ever"


def test_a_configuration_that_a_reload_takes_away(serve: Serve) -> None:
    config = "logconfig_dict = {'formatters': {'generic': {'format': 'dict %(message)s'}}}"
    server = serve("logs:app", config=config)
    before = server.workers()
    (server.tmp / "gunicorn.conf.py").write_text("")
    server.kill(signal.SIGHUP)
    server.wait_log("dict Hang up: Master")
    server.wait_workers(1, before)
    server.request("/?gunicorn=said%20once")
    server.allow("said once")
    assert server.messages("ERROR") == ["said once"]
    assert "dict said once" not in server.log + server.output


# What the application does to the loggers. --------------------------------------------------------


def test_the_handlers_are_there_when_the_application_is_imported(serve: Serve) -> None:
    server = serve("logs:app")
    server.request("/?say=from%20the%20application")
    assert server.messages("INFO").count("imported with 1 handlers") == 1
    assert server.messages("INFO").count("from the application") == 1


ADDS = """
import logging

class Handler(logging.Handler):
    def emit(self, record):
        with open("added", "a") as file:
            file.write(record.getMessage() + "\\n")

def post_worker_init(worker):
    logging.getLogger("gunicorn.error").addHandler(Handler())
    logging.getLogger("gunicorn.access").addHandler(Handler())
"""


def test_handlers_that_the_application_adds_get_everything(serve: Serve) -> None:
    server = serve("logs:app", "--access-logfile", "-", *FORMAT, config=ADDS)
    server.request("/added")
    server.send(b"BAD\r\n\r\n")
    path = server.tmp / "added"
    poll(lambda: path.exists() and "Invalid request" in path.read_text(), "the warning")
    assert "GET /added HTTP/1.1 200" in path.read_text().splitlines()
    assert "GET /added HTTP/1.1 200" in server.output.splitlines()
    server.wait_log("Invalid request from ip=")
    assert server.log.count("Invalid request") == 1


# A Python logger meanwhile. -----------------------------------------------------------------------


def test_messages_while_the_application_runs(serve: Serve) -> None:
    """The standby thread does not run Python: what it says comes when the request is over."""
    server = serve("logs:app", config=LOGGER)
    slow = server.connect()
    slow.send(build_request("/?sleep=0.5"))
    connections = [server.connect() for _ in range(3)]
    for number, connection in enumerate(connections):
        connection.send(b"BAD%d\r\n\r\n" % number)
    for connection in connections:
        assert connection.read_response().status == 400
    slow.read_response()
    for number in range(3):
        seen(server.tmp, rf"^warning Invalid request .*BAD{number}")


def test_a_logger_that_raises(serve: Serve) -> None:
    """Requests are served, and messages get to the error log all the same."""
    config = """
from saola.glogging import Logger

class logger_class(Logger):
    def info(self, msg, *args, **kwargs):
        raise ValueError("info")

    warning = exception = access = info
"""
    server = serve("logs:app", "--access-logfile", "-", config=config)
    server.allow("")
    assert server.request("/").status == 200
    assert server.request("/?raise=deep").status == 500
    server.send(b"BAD\r\n\r\n")
    for text in ("Starting saola", "Error handling request", "ValueError: deep", "Invalid request"):
        server.wait_log(text)
    server.terminate()


# Output of the application. -----------------------------------------------------------------------


def test_capture_output(serve: Serve, tmp_path: Path) -> None:
    error = tmp_path / "error"
    server = serve("logs:app", "--capture-output", "--error-logfile", str(error))
    server.request("/?print=printed&stderr=complained&write=1&write=2&errors=wsgi")
    text = error.read_text()
    for line in ("printed", "complained", "wsgi"):
        assert line in text.splitlines()
    assert text.count("written to a descriptor") == 2
    assert (server.log, server.output) == ("", "")
    error.rename(tmp_path / "error.1")
    server.kill(signal.SIGUSR1)
    poll(error.exists, "the log made anew")

    def reopened() -> bool:
        server.request("/?print=after")
        return "after" in error.read_text().splitlines()

    poll(reopened, "output in the new log")


def test_capture_output_needs_a_file(serve: Serve) -> None:
    server = serve("logs:app", "--capture-output")
    server.request("/?print=printed")
    assert server.output == "printed\n"


def test_capture_output_of_a_daemon(serve: Serve, tmp_path: Path) -> None:
    error = tmp_path / "error"
    pidfile = tmp_path / "pid"
    args = ["--daemon", "--pid", str(pidfile), "--error-logfile", str(error)]
    server = serve("logs:app", *args, "--capture-output", ready="no")
    assert server.wait() == 0

    def answers() -> bool:
        try:
            return server.request("/?print=printed").status == 200
        except OSError:
            return False

    poll(answers, "a daemon that answers")
    assert "printed" in error.read_text().splitlines()
    os.kill(int(pidfile.read_text()), signal.SIGTERM)
    poll(lambda: not pidfile.exists(), "the end of the daemon")
