# SPDX-License-Identifier: MIT
"""Every setting from every source: command line, GUNICORN_CMD_ARGS, configuration file."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from config_cases import BAD, GOOD, HOOKS, LATER
from conftest import HERE, Load

from saola import _core

Result = dict[str, Any]


def check_all(load: Load, cases: list[tuple[str, Result, Any]], verdict: Any) -> None:
    """Loads every case at once, and names all that are wrong."""
    results = load([case for _, case, _ in cases])
    wrong = [
        f"{name}: {case}: {result}"
        for (name, case, expected), result in zip(cases, results, strict=True)
        if not verdict(name, result, expected)
    ]
    assert not wrong, "\n".join(wrong)


def becomes(name: str, result: Result, expected: str) -> bool:
    return bool(result["status"] == 0 and result["config"][name] == expected)


def fails(name: str, result: Result, expected: str) -> bool:
    return bool(result["status"] == 1 and result["err"].endswith(f"\nError: {expected}\n"))


def test_the_table_is_gunicorn_s() -> None:
    names = ("name", "section", "flags", "metavar", "default", "hook_arity")
    table = [setting for setting in _core.settings_table() if not setting["own"]]
    ours = [[setting[name] for name in names] for setting in table]  # type: ignore[literal-required]
    with open(HERE / "settings.json", encoding="utf-8") as file:
        theirs = json.load(file)
    assert [[name, section, list(flags), *rest] for name, section, flags, *rest in ours] == theirs


def test_saola_s_own_come_last_and_are_off() -> None:
    own = [setting["own"] for setting in _core.settings_table()]
    assert own == sorted(own)
    on = {s["name"]: s["default"] for s in _core.settings_table() if s["own"] and s["default"]}
    assert on == {"reload_batch": 1, "boot_timeout": 60}


def test_every_setting_has_a_case() -> None:
    tried = {row[0] for rows in (GOOD, HOOKS, LATER) for row in rows}
    supported = {setting["name"] for setting in _core.settings_table() if setting["supported"]}
    later = {setting["name"] for setting in _core.settings_table() if not setting["supported"]}
    hooks = {setting["name"] for setting in _core.settings_table() if setting["type"] == "hook"}
    assert supported - tried - hooks == {"config"}
    assert later == {row[0] for row in LATER}


def test_the_command_line(load: Load) -> None:
    rows = [(name, argv, value) for name, argv, _, value in GOOD if argv]
    cases = [(name, {"argv": [*argv, "--", "a:b"]}, value) for name, argv, value in rows]
    check_all(load, cases, becomes)


def test_cmd_args(load: Load) -> None:
    rows = [(name, argv, value) for name, argv, _, value in GOOD if argv]
    cases = [
        (name, {"argv": ["a:b"], "env": {"GUNICORN_CMD_ARGS": shlex.join(argv)}}, value)
        for name, argv, value in rows
    ]
    check_all(load, cases, becomes)


def test_the_file(load: Load) -> None:
    cases = [
        (name, {"argv": ["a:b"], "file": f"{name} = {expression}"}, value)
        for name, _, expression, value in GOOD
        if expression != "None"
    ]
    check_all(load, cases, becomes)


def test_each_source_beats_those_before_it(load: Load) -> None:
    env = {"GUNICORN_CMD_ARGS": "--workers 3 --timeout 3 -b c -b d", "WEB_CONCURRENCY": "1"}
    file = "workers = 2; timeout = 2; keepalive = 2; bind = 'b'"
    result = load([{"argv": ["-w", "4", "-b", "e", "a:b"], "env": env, "file": file}])[0]
    names = ("workers", "timeout", "keepalive", "bind")
    assert [result["config"][name] for name in names] == ["4", "3", "2", "['e']"]


def test_hooks(load: Load) -> None:
    cases = [
        (name, {"argv": ["a:b"], "file": f"{source}\n{name} = hook"}, value)
        for name, source, value in HOOKS
    ]
    check_all(load, cases, becomes)


def test_bad_values_in_the_file(load: Load) -> None:
    cases = [
        (name, {"argv": ["a:b"], "file": f"{name} = {expression}"}, text)
        for name, expression, text in BAD
    ]
    check_all(load, cases, fails)
    for result in load([case for _, case, _ in cases]):
        assert result["err"].startswith("Invalid value for ")


def test_what_is_not_supported_yet_is_refused(load: Load) -> None:
    cases: list[tuple[str, Result, str]] = []
    for name, argv, expression in LATER:
        cases.append((name, {"argv": ["a:b"], "file": f"{name} = {expression}"}, "gunicorn.conf"))
        if argv:
            env = {"GUNICORN_CMD_ARGS": shlex.join(argv)}
            cases.append((name, {"argv": [*argv, "--", "a:b"]}, "the command line, --"))
            cases.append((name, {"argv": ["a:b"], "env": env}, "GUNICORN_CMD_ARGS, --"))

    def refuses(name: str, result: Result, where: str) -> bool:
        error = result["err"].rpartition("\nError: ")[2]
        told = error.startswith(f"{name} = ") and " is not supported yet (from " in error
        return result["status"] == 1 and told and where in error and "Remove it" in error

    check_all(load, cases, refuses)


def test_unknown_names_in_the_file_are_ignored(load: Load) -> None:
    file = "Workers = 7; wrokers = 7; import os; BIND = 'x'"
    result = load([{"argv": ["a:b"], "file": file}])[0]
    assert result["status"] == 0
    assert result["config"]["workers"] == "1"


@pytest.mark.parametrize(
    ("env", "name", "value"),
    [
        ({"PORT": "9000"}, "bind", "['0.0.0.0:9000']"),
        ({"WEB_CONCURRENCY": "5"}, "workers", "5"),
        ({"FORWARDED_ALLOW_IPS": "*"}, "forwarded_allow_ips", "['*']"),
    ],
)
def test_the_environment(load: Load, env: dict[str, str], name: str, value: str) -> None:
    assert load([{"argv": ["a:b"], "env": env}])[0]["config"][name] == value


def test_a_bad_environment_is_an_error(load: Load) -> None:
    result = load([{"argv": ["a:b"], "env": {"WEB_CONCURRENCY": "many"}}])[0]
    text = "WEB_CONCURRENCY: invalid literal for int() with base 0: 'many'"
    assert result["status"] == 1
    assert result["err"] == f"\nError: {text}\n"


def test_the_application_names_the_process(load: Load) -> None:
    cases: list[Result] = [{"argv": ["a:b"]}, {"file": "wsgi_app = 'c:d'"}, {}]
    named, by_file, unnamed = load(cases)
    assert named["config"]["default_proc_name"] == "a:b"
    assert by_file["config"]["default_proc_name"] == "saola"
    assert unnamed["status"] == 1
    assert unnamed["err"] == "\nError: No application module specified.\n"
