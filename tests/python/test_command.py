# SPDX-License-Identifier: MIT
"""The command as a user meets it: what it prints, and its status."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import HERE, Command

import saola

APP = "def app(environ, start_response): return []\n"


def test_version(command: Command) -> None:
    for done in (command("--version"), command("-v", "a:b")):
        assert (done.returncode, done.stdout) == (0, f"saola (version {saola.__version__})\n")


def test_version_in_cmd_args(command: Command) -> None:
    done = command("a:b", env={"GUNICORN_CMD_ARGS": "--version"})
    assert (done.returncode, done.stdout) == (0, f"saola (version {saola.__version__})\n")


def test_help_names_every_flag(command: Command) -> None:
    done = command("--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: saola [OPTIONS] [APP_MODULE]")
    for setting in saola._core.settings_table():
        for flag in setting["flags"]:
            assert flag in done.stdout


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["--no-such-option"], "unrecognized arguments: --no-such-option"),
        (["--wrokers=3"], "unrecognized arguments: --wrokers=3 (did you mean --workers?)"),
        (
            ["--max_requests", "3"],
            "unrecognized arguments: --max_requests (did you mean --max-requests?)",
        ),
        (["--proc-name", "x"], "unrecognized arguments: --proc-name (did you mean --name?)"),
        (
            ["--loglevel=x", "--acess-logfile=-", "--loglevel=y"],
            "unrecognized arguments: --loglevel=x --acess-logfile=- --loglevel=y"
            " (did you mean --log-level, --access-logfile?)",
        ),
        (["-w", "x"], "argument -w/--workers: invalid int value: 'x'"),
        (["-w", "0x10"], "argument -w/--workers: invalid int value: '0x10'"),
        (["-m", "x"], "argument -m/--umask: invalid auto_int value: 'x'"),
        (["-b"], "argument -b/--bind: expected one argument"),
    ],
)
def test_argparse_s_errors(command: Command, args: list[str], error: str) -> None:
    done = command(*args)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: saola [OPTIONS] [APP_MODULE]\n")
    assert done.stderr.endswith(f"saola: error: {error}\n")


def test_an_ambiguous_abbreviation(command: Command) -> None:
    done = command("--work", "3", "a:b")
    assert done.returncode == 2
    assert "ambiguous option: --work could match --work" in done.stderr


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ([], "No application module specified."),
        (["-w", "-1", "a:b"], "Value must be positive: -1"),
        (["-c", "no.py", "a:b"], "'no.py' doesn't exist"),
        (["-c", "python:no_such", "a:b"], "No module named 'no_such'"),
        (["--chdir", "/no/where", "a:b"], "can't chdir to '/no/where'"),
        (["--header-map", "x", "a:b"], "Invalid header map behaviour: x"),
        (["--proxy-protocol", "a:b"], "proxy_protocol must be: off, v1, v2, or auto"),
    ],
)
def test_errors_of_values(command: Command, args: list[str], error: str) -> None:
    done = command(*args)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"\nError: {error}\n")


def test_an_unbalanced_quote(command: Command) -> None:
    done = command("a:b", env={"GUNICORN_CMD_ARGS": "--bind 'a"})
    assert (done.returncode, done.stderr) == (1, "\nError: No closing quotation\n")


def test_a_file_that_fails(command: Command, tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("workers = 1 / 0\n")
    done = command("a:b")
    assert done.returncode == 1
    assert done.stderr.startswith("Failed to read config file: ")
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_a_file_with_a_bad_value(command: Command, tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("workers = 'many'\n")
    done = command("a:b")
    text = "invalid literal for int() with base 0: 'many'"
    assert done.returncode == 1
    assert done.stderr == f"Invalid value for workers: many\n\n\nError: {text}\n"


def test_the_forms_of_the_file_s_name(command: Command, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "settings.py").write_text("workers = 7\n")
    (tmp_path / "settings.conf").write_text("workers = 7\n")
    for name in ("settings.py", "file:settings.py", "python:settings", "settings.conf"):
        done = command("-c", name, "--print-config", "app:app")
        assert done.returncode == 0, done.stderr
        assert "\nworkers                            = 7\n" in done.stdout
        warned = "!!! WARNING: configuration file should have a valid Python extension."
        assert (warned in done.stderr) == (name == "settings.conf")


def test_saola_conf_py_comes_first(command: Command, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "gunicorn.conf.py").write_text("workers = 7\n")
    (tmp_path / "saola.conf.py").write_text("workers = 8\n")
    assert "workers                            = 8\n" in command("--print-config", "app:app").stdout


def test_chdir_does_not_move_the_file(command: Command, tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("workers = 7\nchdir = 'sub'\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "app.py").write_text(APP)
    (tmp_path / "sub" / "gunicorn.conf.py").write_text("workers = 8\n")
    done = command("--print-config", "app:app")
    assert done.returncode == 0, done.stderr
    assert "workers                            = 7\n" in done.stdout
    assert f"chdir                              = {tmp_path / 'sub'}\n" in done.stdout


def test_check_config(command: Command, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    done = command("--check-config", "app:app")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = command("--check-config", "app:nothing")
    assert done.returncode == 1
    assert done.stderr.startswith("\nError while loading the application:\n\nTraceback ")
    assert "AppImportError: Failed to find attribute 'nothing' in 'app'.\n" in done.stderr


def test_print_config_lists_all(command: Command, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    lines = command("--print-config", "app:app").stdout.splitlines()
    names = [line.partition("=")[0].strip() for line in lines]
    table = saola._core.settings_table()
    assert names == sorted(setting["name"] for setting in table if not setting["own"])
    assert {line.index("=") for line in lines} == {35}


def test_print_config_shows_own_settings_that_are_set(command: Command, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    without = command("--print-config", "app:app").stdout.splitlines()
    given = command("--print-config", "--permit-missing-host", "app:app").stdout.splitlines()
    assert set(given) - set(without) == {"permit_missing_host".ljust(34) + " = True"}
    assert given == sorted(given)


def test_the_documents_are_up_to_date() -> None:
    root = HERE.parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "saola._docs", "--check", root],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_help_marks_what_is_not_supported_yet(command: Command) -> None:
    text = " ".join(command("--help").stdout.split())
    assert text.count("(not supported yet)") == sum(
        setting["status"] != "supported" and bool(setting["flags"])
        for setting in saola._core.settings_table()
    )


def test_print_origins(command: Command, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "gunicorn.conf.py").write_text("import os\nif True:\n    timeout = 3\n")
    env = {
        "WEB_CONCURRENCY": "2",
        "SAOLA_KEEPALIVE": "5",
        "GUNICORN_CMD_ARGS": "--backlog 6",
        "SAOLA_CMD_ARGS": "--max-requests 7",
        "SENDFILE": "no",
    }
    done = command("--print-origins", "--reuse-port", "app:app", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    names = [line.partition(" ")[0] for line in lines]
    assert names == sorted(setting["name"] for setting in saola._core.settings_table())
    found = {line.partition(" ")[0]: line.partition(" = ")[2] for line in lines}
    assert found["workers"] == "2  # WEB_CONCURRENCY"
    assert found["keepalive"] == "5  # SAOLA_KEEPALIVE"
    assert found["timeout"] == f"3  # {tmp_path}/gunicorn.conf.py:3"
    assert found["backlog"] == "6  # GUNICORN_CMD_ARGS, --backlog"
    assert found["max_requests"] == "7  # SAOLA_CMD_ARGS, --max-requests"
    assert found["reuse_port"] == "True  # the command line, --reuse-port"
    assert found["sendfile"] == "None  # SENDFILE"
    assert found["default_proc_name"] == "app:app  # the application"
    assert found["threads"] == "1  # the defaults"


def test_print_origins_loads_the_application(command: Command) -> None:
    done = command("--print-origins", "no_such:app")
    assert done.returncode == 1
    assert done.stdout.count("  # ") > 100
    assert "Error while loading the application:" in done.stderr


def test_the_origins_of_a_module(command: Command, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "base.py").write_text("timeout = 3\n")
    (tmp_path / "conf.py").write_text("from base import *\n\nworkers = 4\n")
    done = command("--print-origins", "-c", "python:conf", "app:app")
    assert re.search(r"^workers +=? *= 4  # python:conf:3$", done.stdout, re.MULTILINE)
    assert re.search(r"^timeout +=? *= 3  # python:conf$", done.stdout, re.MULTILINE)


def test_saola_config_names_the_file(command: Command, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "gunicorn.conf.py").write_text("workers = 7\n")
    (tmp_path / "other.py").write_text("workers = 8\n")
    (tmp_path / "third.py").write_text("workers = 9\n")
    env = {"SAOLA_CONFIG": "other.py"}
    for args, more, workers in (
        ([], {}, 8),
        ([], {"GUNICORN_CMD_ARGS": "-c third.py"}, 9),
        ([], {"GUNICORN_CMD_ARGS": "-c other.py", "SAOLA_CMD_ARGS": "-c third.py"}, 9),
        (["-c", "gunicorn.conf.py"], {"GUNICORN_CMD_ARGS": "-c third.py"}, 7),
    ):
        done = command(*args, "--print-config", "app:app", env=env | more)
        assert f"\nworkers                            = {workers}\n" in done.stdout


def test_abbreviations_are_gunicorn_s(command: Command, tmp_path: Path) -> None:
    """Saola's own options do not make them ambiguous."""
    (tmp_path / "app.py").write_text(APP)
    done = command("--pri", "app:app")
    assert (done.returncode, done.stdout.count("\n")) == (0, 119)
    done = command("--print-o", "app:app")
    assert done.returncode == 0
    assert done.stdout.count("  # ") > 119
