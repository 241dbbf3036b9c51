# SPDX-License-Identifier: MIT
"""Every setting from every source: environment, file, GUNICORN_CMD_ARGS, command line."""

from __future__ import annotations

import ast
import json
import shlex
from typing import Any

import pytest
from config_cases import BAD, GOOD, HOOKS
from conftest import HERE, Load

from saola import _core

Result = dict[str, Any]

TABLE = {setting["name"]: setting for setting in _core.settings_table()}


def check_all(load: Load, cases: list[tuple[str, Result, Any]], verdict: Any) -> None:
    """Loads every case at once, and names all that are wrong."""
    results = load([case for _, case, _ in cases])
    wrong = [
        f"{name}: {case}: {result['status']} {result['config'].get(name)} {result['err']}"
        for (name, case, expected), result in zip(cases, results, strict=True)
        if not verdict(name, result, expected)
    ]
    assert not wrong, "\n".join(wrong)


def becomes(name: str, result: Result, expected: str) -> bool:
    """The value is taken; if it switches on what is not there yet, it is refused by its value."""
    if result["status"] == 0:
        return bool(result["config"][name] == expected)
    refusal = f"\nError: {name} = {expected} is not supported yet (from "
    return TABLE[name]["status"] == "later" and result["err"].startswith(refusal)


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
    tried = {row[0] for rows in (GOOD, HOOKS) for row in rows}
    hooks = {name for name, setting in TABLE.items() if setting["type"] == "hook"}
    assert set(TABLE) - tried - hooks == {"config", "paste"}
    flags = {row[0] for row in GOOD if row[1]}
    assert {name for name, setting in TABLE.items() if setting["flags"]} - flags == {
        *("config", "paste", "suppress_ragged_eofs")  # the last can only be set to its default
    }


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


# A value that a setting of each type cannot have, and what is said about it.
WRONG = {
    "int": ("-1", "Value must be positive: -1"),
    "bool": ("1", "Invalid type for casting: 1"),
    "str": ("5", "Not a string: 5"),
    "list": ("[5]", "Not a string: 5"),
    "class": ("5", "Not a string: 5"),
    "dict": ("5", "Value is not a dictionary: 5 "),
    "any": ("5", "Value is not a dictionary: 5 "),
    "hook": ("5", "Value is not callable: 5"),
}
ANYTHING_GOES = {"ssl_version"}


def test_a_bad_value_for_each_setting(load: Load) -> None:
    names = set(TABLE) - {row[0] for row in BAD} - ANYTHING_GOES
    cases = []
    for name in sorted(names):
        expression, text = WRONG[TABLE[name]["type"]]
        if TABLE[name]["type"] == "list" and TABLE[name]["cli"] != "append":
            text = "Not a string: [5]"
        cases.append((name, {"argv": ["a:b"], "file": f"{name} = {expression}"}, text))
    check_all(load, cases, fails)


def test_bad_values_on_the_command_line(load: Load) -> None:
    """What a flag that takes a number is given, and the words that other settings refuse."""
    cases = [
        (name, {"argv": [setting["flags"][-1], "x", "--", "a:b"]}, " value: 'x'\n")
        for name, setting in TABLE.items()
        if setting["cli"] in ("integer", "auto_integer")
    ]

    def usage(name: str, result: Result, expected: str) -> bool:
        return bool(result["status"] == 2 and result["err"].endswith(expected))

    check_all(load, cases, usage)
    cases = [
        (name, {"argv": [f"{TABLE[name]['flags'][-1]}={text}", "--", "a:b"]}, error)
        for name, text, error in bad_texts()
        if TABLE[name]["cli"] in ("value", "append", "optional")
    ]
    assert len(cases) >= 15
    check_all(load, cases, fails)


def bad_texts() -> list[tuple[str, str, str]]:
    """The rows of BAD whose expression is a string."""
    rows = [(name, expression, error) for name, expression, error in BAD if expression[0] == "'"]
    return [(name, ast.literal_eval(expression), error) for name, expression, error in rows]


def as_variable(expression: str) -> str | None:
    """How the environment says what a configuration file says by the expression."""
    try:
        value = ast.literal_eval(expression)
    except ValueError:
        return None
    if isinstance(value, list | tuple):
        return shlex.join(value)
    if isinstance(value, dict):
        return json.dumps(value)
    return None if value is None else str(value)


def test_a_variable_for_each_setting(load: Load) -> None:
    cases = []
    for name, _, expression, printed in GOOD:
        text = as_variable(expression) if TABLE[name]["cli"] != "integer" else printed
        if text is not None and name not in ("wsgi_app", "default_proc_name"):
            case = {"argv": ["a:b"], "env": {f"SAOLA_{name.upper()}": text}}
            cases.append((name, case, printed))
    tried = {case[0] for case in cases}
    hooks = {name for name, setting in TABLE.items() if setting["type"] == "hook"}
    assert set(TABLE) - tried - hooks == {"config", "default_proc_name", "paste", "wsgi_app"}
    cases += [
        (name, {"argv": ["a:b"], "env": {f"SAOLA_{name.upper()}": "os.path.join"}}, "<join()>")
        for name, setting in TABLE.items()
        if setting["hook_arity"] == 1
    ]
    check_all(load, cases, becomes)


@pytest.mark.parametrize("word", ["1", "yes", "Y", "on", "true", " True "])
def test_yes_in_the_environment(load: Load, word: str) -> None:
    result = load([{"argv": ["a:b"], "env": {"SAOLA_PRELOAD_APP": word}}])[0]
    assert result["config"]["preload_app"] == "True"


def test_no_in_the_environment(load: Load) -> None:
    words = ["0", "no", "N", "off", "false", " FALSE "]
    for result in load([{"argv": ["a:b"], "env": {"SAOLA_SENDFILE": word}} for word in words]):
        assert result["config"]["sendfile"] == "False"


def test_an_empty_variable_is_none(load: Load) -> None:
    env = {f"SAOLA_{name.upper()}": "" for name in TABLE}
    given, plain = load([{"argv": ["a:b"], "env": env}, {"argv": ["a:b"]}])
    assert given == plain
    assert given["status"] == 0


def test_other_variables_are_not_ours(load: Load) -> None:
    service = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP_ADDR", ""]
    internal = ["LOBBY_FD", "UNLINK_FD", "LISTENER_ID", "SYSTEMD"]
    env = {f"SAOLA_{name}": "1" for name in service + internal}
    env["SAOLA_CMD_ARGS"] = "--strict-config"
    result = load([{"argv": ["a:b"], "env": env}])[0]
    assert (result["status"], result["err"]) == (0, "")


MISSPELT = [
    ("SAOLA_WROKERS", "there is no setting wrokers. Did you mean SAOLA_WORKERS?"),
    ("SAOLA_KEEP_ALIVE", "there is no setting keep_alive. Did you mean SAOLA_KEEPALIVE?"),
    ("SAOLA_LOG_LEVEL", "there is no setting log_level. Did you mean SAOLA_LOGLEVEL?"),
    ("SAOLA_ACCESS_LOGFILE", "there is no setting access_logfile. Did you mean SAOLA_ACCESSLOG?"),
]


@pytest.mark.parametrize(("variable", "text"), MISSPELT)
def test_a_misspelt_variable(load: Load, variable: str, text: str) -> None:
    env = {variable: "2"}
    relaxed, strict = load(
        [{"argv": ["a:b"], "env": env}, {"argv": ["--strict-config", "a:b"], "env": env}]
    )
    assert relaxed["status"] == 0
    assert relaxed["err"] == f"Warning: {variable}: {text}\n"
    assert refused(strict) == [f"{variable}: {text}"]


def test_a_variable_beside_the_right_one_is_not_misspelt(load: Load) -> None:
    env = {"SAOLA_WORKER": "x", "SAOLA_WORKERS": "2", "SAOLA_WROKERS": ""}
    result = load([{"argv": ["--strict-config", "a:b"], "env": env}])[0]
    assert (result["status"], result["err"]) == (0, "")


def test_a_bad_variable_is_named(load: Load) -> None:
    def named(name: str, result: Result, expected: str) -> bool:
        error = f"\nError: SAOLA_{name.upper()}: {expected}"
        return bool(result["status"] == 1 and result["err"].startswith(error))

    apart = (
        "workers",
        "preload_app",
        "secure_scheme_headers",
    )  # read in another way than in a file
    texts = [row for row in bad_texts() if row[0] not in apart]
    for name, setting in TABLE.items():
        if setting["type"] == "int" and name not in ANYTHING_GOES | {"user", "group"}:
            texts.append((name, "x", ""))
        elif setting["type"] == "bool":
            texts.append((name, "maybe", "Invalid boolean: maybe"))
        elif setting["cli"] == "append":
            texts.append((name, "'", "No closing quotation"))
        elif setting["type"] in ("dict", "any"):
            texts.append((name, "{", "Expecting property name"))
        elif setting["type"] == "hook":
            texts.append((name, "no.such", "No module named 'no'"))
    cases = [
        (name, {"argv": ["a:b"], "env": {f"SAOLA_{name.upper()}": text}}, error)
        for name, text, error in texts
    ]
    check_all(load, cases, named)


# What is not there yet. ---------------------------------------------------------------------------


def refused(result: Result) -> list[str]:
    """The lines of the error."""
    assert result["status"] == 1, result
    assert result["err"].startswith("\nError: ")
    lines: list[str] = result["err"].removeprefix("\nError: ").splitlines()
    return lines


def test_what_is_not_supported_yet_is_refused_at_once(load: Load) -> None:
    """All of it in one error, with where each value comes from."""
    result = load(
        [
            {
                "argv": ["--certfile", "x.pem", "a:b"],
                "env": {
                    "GUNICORN_CMD_ARGS": "--dirty-workers 2",
                    "SAOLA_CMD_ARGS": "--proxy-protocol",
                    "SAOLA_PROTOCOL": "uwsgi",
                },
                "file": "import os\n\nhttp2_cleartext = True\n",
            }
        ]
    )[0]
    assert refused(result) == [
        "proxy_protocol = auto is not supported yet (from SAOLA_CMD_ARGS, --proxy-protocol). "
        "Remove it, or set it to off.",
        "protocol = uwsgi is not supported yet (from SAOLA_PROTOCOL). "
        "Remove it, or set it to http.",
        "certfile = x.pem is not supported yet (from the command line, --certfile). Remove it.",
        "http2_cleartext = prior-knowledge is not supported yet (from "
        "DIRECTORY/gunicorn.conf.py:3). Remove it, or set it to off.",
        "dirty_workers = 2 is not supported yet (from GUNICORN_CMD_ARGS, --dirty-workers). "
        "Remove it, or set it to 0.",
    ]


def test_what_only_shapes_a_feature_is_taken(load: Load) -> None:
    file = "ciphers = 'x'; cert_reqs = 2; dirty_timeout = 1; http2_max_frame_size = 20000"
    assert load([{"argv": ["a:b"], "file": file}])[0]["status"] == 0


def test_ssl_version_means_nothing(load: Load) -> None:
    files = ["ssl_version = 2", "ssl_version = 5", "ssl_version = 'TLSv1'"]
    plain, *others = load([{"argv": ["a:b"], "file": file} for file in files])
    warning = "Warning: option `ssl_version` is deprecated and it is ignored. Use ssl_context "
    assert plain["err"] == ""
    assert [(other["status"], other["err"]) for other in others] == [
        (0, f"{warning}instead.\n")
    ] * 2


def test_the_last_source_decides_what_is_refused(load: Load) -> None:
    result = load([{"argv": ["--threads", "1", "a:b"], "file": "threads = 4"}])[0]
    assert result["status"] == 0


WORKERS = [
    ("-k sync", ""),
    ("-k egg:gunicorn#sync", ""),
    ("-k egg:saola#sync", ""),
    ("-k gunicorn.workers.sync.SyncWorker", ""),
    ("-k saola.workers.sync.SyncWorker", ""),
    ("-k gthread", "worker_class = gthread is not supported yet (from the command line, --worker-"),
    ("-k gunicorn.workers.ggevent.GeventWorker", "worker_class = gunicorn.workers.ggevent.Gev"),
    ("-k uvicorn.workers.UvicornWorker", "worker_class = uvicorn.workers.UvicornWorker is not"),
    ("-k nosuch", "class uri 'nosuch' invalid or not found: worker_class (from the command line,"),
    ("-k gunicorn.workers.sync.Worker", "class uri 'gunicorn.workers.sync.Worker' invalid or "),
    ("-k egg:gunicorn#nosuch", "class uri 'egg:gunicorn#nosuch' invalid or not found: "),
]


@pytest.mark.parametrize(("words", "error"), WORKERS)
def test_worker_classes(load: Load, words: str, error: str) -> None:
    result = load([{"argv": [*words.split(), "a:b"]}])[0]
    if error:
        assert refused(result)[0].startswith(error)
    else:
        assert result["status"] == 0


def test_what_worker_classes_there_are_is_said(load: Load) -> None:
    text = refused(load([{"argv": ["-k", "nosuch", "a:b"]}])[0])[0]
    assert "can be sync" in text
    assert "gthread, gevent" in text


def test_a_worker_class_that_is_an_object(load: Load) -> None:
    files = [
        "from saola.workers.sync import SyncWorker as worker_class",
        "def worker_class():\n    from saola.workers.sync import SyncWorker\n    return SyncWorker",
        "class worker_class: pass",
    ]
    first, second, third = load([{"argv": ["a:b"], "file": file} for file in files])
    assert (first["config"]["worker_class"], second["status"]) == ("<SyncWorker()>", 0)
    text = (
        "worker_class = <worker_class()> is not supported yet (from DIRECTORY/gunicorn.conf.py:1)."
    )
    assert refused(third)[0].startswith(text)


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


def test_sources_of_saola_s_own(load: Load) -> None:
    env = {
        "WEB_CONCURRENCY": "1",
        "SAOLA_WORKERS": "2",
        "SAOLA_TIMEOUT": "2",
        "SAOLA_KEEPALIVE": "2",
        "SAOLA_BACKLOG": "2",
        "GUNICORN_CMD_ARGS": "--keep-alive 4 --backlog 4",
        "SAOLA_CMD_ARGS": "--backlog 5",
    }
    result = load([{"argv": ["a:b"], "env": env, "file": "timeout = 3; keepalive = 3"}])[0]
    names = ("workers", "timeout", "keepalive", "backlog")
    assert [result["config"][name] for name in names] == ["2", "3", "4", "5"]


# --strict-config. ---------------------------------------------------------------------------------

STRICT = [
    ("wrokers = 7", "gunicorn.conf.py:1: there is no setting wrokers. Did you mean workers?"),
    ("\n\nWorkers = 7", "gunicorn.conf.py:3: there is no setting Workers. Did you mean workers?"),
    (
        "access_logfile = '-'",
        "gunicorn.conf.py:1: there is no setting access_logfile. Did you mean ",
    ),
    ("TIMEOUT = 7", "gunicorn.conf.py:1: there is no setting TIMEOUT. Did you mean timeout?"),
    ("def post_forks(a, b): 0", "gunicorn.conf.py:1: there is no setting post_forks. Did you mean"),
    ("if True:\n    log_levle = 'x'", "gunicorn.conf.py:2: there is no setting log_levle. Did you"),
    ("hosts = ['a']", "gunicorn.conf.py:1: there is no setting hosts."),
    ("a, b = 1, 2", "gunicorn.conf.py:1: there is no setting a."),
    ("TIMEOUT = 7; timeout = TIMEOUT", None),
    ("HOSTS = ['a']; _hosts = 1; workers = 2", None),
    ("import multiprocessing as worker, os; from os import path", None),
    ("def helper(): wrokers = 1", None),
    ("ENV = 'x'; NAME = 'y'", None),
    ("def env(name): 0", None),
    ("class Helper: wrokers = 1", None),
    ("for each in 'ab': workers = ord(each)", None),
    ("with open('gunicorn.conf.py') as file: workers = len(file.read())", None),
    ("x = 1; del x", None),
    ("from string import digits; _counts = {}; _counts[digits] = 1", None),
]


@pytest.mark.parametrize(("file", "error"), STRICT)
def test_strict_config(load: Load, file: str, error: str | None) -> None:
    strict: Result = {"argv": ["--strict-config", "a:b"], "file": file}
    result, relaxed = load([strict, {"argv": ["a:b"], "file": file}])
    assert relaxed["status"] == 0, relaxed["err"]
    if error is None:
        assert result["status"] == 0, result["err"]
    else:
        assert refused(result)[0].startswith(f"DIRECTORY/{error}")


def test_strict_config_names_all(load: Load) -> None:
    file = "strict_config = True\nwrokers = 1\nlog_levle = 'x'\nthreads = 2\n"
    lines = refused(load([{"argv": ["a:b"], "file": file}])[0])
    assert [line.partition(". ")[0] for line in lines] == [
        "DIRECTORY/gunicorn.conf.py:2: there is no setting wrokers",
        "DIRECTORY/gunicorn.conf.py:3: there is no setting log_levle",
        "threads = 2 is not supported yet (from DIRECTORY/gunicorn.conf.py:4)",
    ]


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
