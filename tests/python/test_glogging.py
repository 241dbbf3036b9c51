# SPDX-License-Identifier: MIT
"""saola.glogging and the exceptions that C logs, each in an interpreter of its own: there is one
error log per process."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

STAMP = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[\d+\]"

PREAMBLE = """
import logging, os, sys
from saola import _core
from saola.glogging import Logger


class Settings:
    errorlog = "-"
    accesslog = None
    loglevel = "info"
    access_log_format = "%(h)s"
    uid = os.getuid()
    gid = os.getgid()
    syslog = False
    capture_output = False
    logconfig = logconfig_json = None
    logconfig_dict: dict = {}

    def __init__(self, **values):
        vars(self).update(values)

"""


def run(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(code)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def lines(text: str) -> list[str]:
    """The lines without stamp and process."""
    assert all(re.match(STAMP, line) for line in text.splitlines() if line.startswith("[2")), text
    return [re.sub(f"^{STAMP} ", "", line) for line in text.splitlines()]


def test_methods_and_levels(tmp_path: Path) -> None:
    result = run(
        """
        log = Logger(Settings())
        log.critical("c %s", 1)
        log.error("e")
        log.warning("w %(a)s", {"a": 2})
        log.info("i", extra={"metric": "x"})
        log.debug("no")
        log.log("warning", "by name")
        log.log("nonsense", "unknown name")
        log.log(logging.ERROR, "by number")
        """,
        tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert lines(result.stderr) == [
        "[CRITICAL] c 1",
        "[ERROR] e",
        "[WARNING] w 2",
        "[INFO] i",
        "[WARNING] by name",
        "[INFO] unknown name",
        "[ERROR] by number",
    ]


def test_exception_with_its_traceback(tmp_path: Path) -> None:
    result = run(
        """
        log = Logger(Settings())
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("Error handling request %s", "/x")
            log.warning("again", exc_info=True)
        """,
        tmp_path,
    )
    got = lines(result.stderr)
    assert got[0] == "[ERROR] Error handling request /x"
    assert got[1] == "Traceback (most recent call last):"
    assert got.count("ZeroDivisionError: division by zero") == 2


def test_files_and_rotation(tmp_path: Path) -> None:
    result = run(
        """
        log = Logger(Settings(errorlog="error.log", accesslog="access.log"))
        os.mkdir("elsewhere")
        os.chdir("elsewhere")
        log.info("one")
        log.access_log.info("first")
        app = logging.getLogger("app.of.mine")
        app.addHandler(logging.FileHandler("../app.log"))
        app.error("app one")
        for name in "error", "access", "app":
            os.rename(f"../{name}.log", f"../{name}.log.1")
        log.info("two")
        app.error("app two")
        log.reopen_files()
        log.info("three")
        log.access_log.info("second")
        app.error("app three")
        """,
        tmp_path,
    )
    assert (result.returncode, result.stderr, result.stdout) == (0, "", "")
    assert lines((tmp_path / "error.log.1").read_text()) == ["[INFO] one", "[INFO] two"]
    assert lines((tmp_path / "error.log").read_text()) == ["[INFO] three"]
    assert (tmp_path / "access.log.1").read_text() == "first\n"
    assert (tmp_path / "access.log").read_text() == "second\n"
    assert (tmp_path / "app.log.1").read_text() == "app one\napp two\n"
    assert (tmp_path / "app.log").read_text() == "app three\n"


def test_access_log_on_stdout(tmp_path: Path) -> None:
    result = run(
        """
        log = Logger(Settings(accesslog="-"))
        log.access_log.info("a line")
        assert log.access_log_enabled
        """,
        tmp_path,
    )
    assert (result.stdout, result.stderr) == ("a line\n", "")


def test_setup_again_does_not_stack_handlers(tmp_path: Path) -> None:
    result = run(
        """
        log = Logger(Settings())
        mine = logging.NullHandler()
        log.error_log.addHandler(mine)
        log.setup(Settings(errorlog="error.log", loglevel="DEBUG"))
        assert len(log.error_log.handlers) == 2 and mine in log.error_log.handlers
        assert log.access_log.handlers == []
        assert log.loglevel == logging.DEBUG
        log.debug("seen")
        """,
        tmp_path,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert lines((tmp_path / "error.log").read_text()) == ["[DEBUG] seen"]


def test_handlers_can_be_copied(tmp_path: Path) -> None:
    """The recipe of Flask's documentation."""
    result = run(
        """
        Logger(Settings(loglevel="warning"))
        source = logging.getLogger("gunicorn.error")
        app = logging.getLogger("flask.app")
        app.handlers = source.handlers
        app.setLevel(source.level)
        app.propagate = False
        app.info("no")
        app.error("from the app")
        assert isinstance(source.handlers[0], logging.StreamHandler)
        """,
        tmp_path,
    )
    assert lines(result.stderr) == ["[ERROR] from the app"]


def test_root_is_untouched(tmp_path: Path) -> None:
    result = run(
        """
        log = Logger(Settings())
        logging.basicConfig(stream=sys.stdout)
        log.error("once")
        """,
        tmp_path,
    )
    assert result.stdout == ""
    assert lines(result.stderr) == ["[ERROR] once"]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            'errorlog="/nonexistent/e.log"',
            "Error: '/nonexistent/e.log' isn't writable "
            "[FileNotFoundError(2, 'No such file or directory')]",
        ),
        (
            'accesslog="."',
            "Error: '.' isn't writable [IsADirectoryError(21, 'Is a directory')]",
        ),
        (
            'accesslog="-", access_log_format="%(h)s %(D)q"',
            "Invalid access_log_format: '%(D)q' at position 7: "
            "the type is none of s, d, i, u, x, X, o, f and F",
        ),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, settings: str, text: str) -> None:
    result = run(
        f"""
        try:
            Logger(Settings({settings}))
        except RuntimeError as error:
            print(error)
        """,
        tmp_path,
    )
    assert result.stdout == text + "\n"


def test_any_text_can_be_logged(tmp_path: Path) -> None:
    result = run(
        r"""
        log = Logger(Settings(errorlog="error.log"))
        log.info("é \udcff \x00 %s", "\U0001f984")
        _core.log(logging.INFO, "from C \udc80\n")
        """,
        tmp_path,
    )
    assert (result.returncode, result.stderr) == (0, "")
    text = (tmp_path / "error.log").read_bytes().decode()
    assert "[INFO] é \\udcff \0 \U0001f984\n" in text
    assert text.endswith("[INFO] from C \\udc80\n")


def test_agrees_with_the_line_of_c(tmp_path: Path) -> None:
    """What C logs and what Python logs cannot be told apart."""
    result = run(
        """
        log = Logger(Settings())
        for level in 10, 20, 30, 40, 50:
            log.log(level, "text")
            _core.log(level, "text")
        """,
        tmp_path,
    )
    got = lines(result.stderr)
    assert len(got) == 8
    assert got[::2] == got[1::2]
    stamps = {
        len(line) - len(rest) for line, rest in zip(result.stderr.splitlines(), got, strict=True)
    }
    assert len(stamps) == 1
