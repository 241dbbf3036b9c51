# SPDX-License-Identifier: MIT
"""Random command lines, configuration files and environments: an error message or a start, never a
traceback from inside the server; and what Gunicorn takes has the same values here."""

from __future__ import annotations

import os
import random
import re
import shlex
from typing import Any

import pytest
from config_cases import GOOD, HOOKS
from conftest import load_by
from test_config_gunicorn import EXPRESSIONS, outcome, summary

from saola import _core

Case = dict[str, Any]
Result = dict[str, Any]

TABLE = _core.settings_table()
# Saola's own options cannot be compared, nor what needs a package that may be missing.
APART = {setting["name"] for setting in TABLE if setting["own"]} | {"paste", "http2_cleartext"}
FLAGS = [
    (flag, s["cli"], s["name"]) for s in TABLE for flag in s["flags"] if s["name"] not in APART
]
LATER = {setting["name"] for setting in TABLE if setting["status"] == "later"}
NAMES = [setting["name"] for setting in TABLE if setting["name"] not in APART]
WORDS = [
    "3",
    "-1",
    "x",
    "010",
    "0x10",
    "",
    " 1 ",
    "true",
    "a,b",
    "root",
    "/",
    "127.0.0.1",
    "*",
    "-",
]

# Those that are read once, when the program starts: each for a part of the cases.
ENVIRONMENTS: list[dict[str, str]] = [
    {},
    {"PORT": "9000"},
    {"WEB_CONCURRENCY": "3", "FORWARDED_ALLOW_IPS": "10.0.0.0/8,::1"},
    {"SENDFILE": "no", "FORWARDED_ALLOW_IPS": "*", "PORT": "1"},
]

COUNT = 1000


def random_args(chance: random.Random, flags: list[tuple[str, str, str]]) -> list[str]:
    """Options as a hurried user types them."""
    argv: list[str] = []
    for flag, cli, name in chance.sample(flags, chance.choice((0, 1, 1, 2, 3, 5))):
        words = [row[1] for row in GOOD if row[0] == name and row[1]]
        if words and chance.random() < 0.9:
            argv += chance.choice(words)
            continue
        argv.append(flag[: chance.randint(4, 20)] if chance.random() < 0.2 else flag)
        if not cli.startswith("switch") and chance.random() < 0.9:
            argv.append(chance.choice(WORDS))
    return argv


def random_line(chance: random.Random, names: list[str]) -> str:
    """One line of a configuration file."""
    name = chance.choice(names)
    kind = chance.random()
    if kind < 0.8:
        values = [expression for row, _, expression, _ in GOOD if row == name]
        hooks = [source for row, source, _ in HOOKS if row == name]
        if values:
            return f"{name} = {chance.choice(values)}"
        return f"{chance.choice(hooks)}\n{name} = hook" if hooks else "pass"
    if kind < 0.9:
        return f"{name} = {chance.choice(EXPRESSIONS)}"
    if kind < 0.97:
        return chance.choice(("import os", f"{name}s = 1", f"{name.upper()} = 1", f"_{name} = 1"))
    return chance.choice(("raise ValueError('no')", "1/0", "def", "import no_such", "\0"))


def random_case(chance: random.Random, flags: list[tuple[str, str, str]], names: list[str]) -> Case:
    if chance.random() < 0.8:  # mostly without what the one server has and the other has not
        flags = [flag for flag in flags if flag[2] not in LATER]
        names = [name for name in names if name not in LATER]
    app = chance.choice([["a:b"]] * 18 + [["a"], ["a:c"], ["n:o"], ["a:f()"], [], ["a:b", "c"]])
    case: Case = {"argv": [*random_args(chance, flags), *app], "run": True}
    if chance.random() < 0.9:
        case["argv"].insert(0, "--check-config")
    if chance.random() < 0.6:
        lines = [random_line(chance, names) for _ in range(chance.randint(1, 4))]
        case["file"] = "\n".join(lines)
    if chance.random() < 0.3:
        words = shlex.join(random_args(chance, flags))
        case["env"] = {"GUNICORN_CMD_ARGS": words + chance.choice(("",) * 9 + (" '",))}
    if chance.random() < 0.1:
        case["argv"][:0] = ["-c", chance.choice(("gunicorn.conf.py", "file:no.py", "python:n"))]
    return case


def traceback_from_inside(result: Result) -> bool:
    """The error is a traceback that ends in a file of the package, unless it is the one error that
    is made for the user and shown so by --check-config."""
    files = re.findall(r'^  File "([^"]+)", line', result["err"], re.MULTILINE)
    inside = bool(files) and re.search(r"/saola/(\w+/)*\w+\.py$", files[-1]) is not None
    looked_up = ("saola.errors.AppImportError: ", "\nLooked for '")
    return inside and not any(text in result["err"] for text in looked_up)


def broken(case: Case, result: Result) -> str | None:
    if traceback_from_inside(result):
        return f"{case}: {result['err']}"
    if result["status"] != 0 and not result["err"].strip():
        return f"{case}: status {result['status']} without a word"
    return None


def compare(case: Case, ours: Result, theirs: Result) -> str | None:
    """What Gunicorn takes is taken with the same values, or refused for a listed reason."""
    if theirs["status"] != 0 or outcome(ours) == outcome(theirs) or is_known(ours):
        return None
    if ours["status"] != 0:
        return f"{case}: {summary(ours)}, accepted by gunicorn"
    pairs = zip(outcome(ours)[1].items(), outcome(theirs)[1].items(), strict=True)
    return f"{case}: {[pair for pair in pairs if pair[0] != pair[1]]}"


# Deliberate differences: what is refused here and taken by Gunicorn.
KNOWN = ("not supported yet", "Value is too large", "Not a string: None\n")


def is_known(ours: Result) -> bool:
    return ours["status"] == 1 and any(text in ours["err"] for text in KNOWN)


@pytest.mark.parametrize("part", range(len(ENVIRONMENTS)))
def test_against_gunicorn(part: int) -> None:
    chance = random.Random(2600 + part)
    count = COUNT // len(ENVIRONMENTS)
    cases = [random_case(chance, FLAGS, NAMES) for _ in range(count)]
    ours = load_by("saola", cases, ENVIRONMENTS[part])
    theirs = load_by("gunicorn", cases, ENVIRONMENTS[part])
    wrong = [broken(case, result) for case, result in zip(cases, ours, strict=True)]
    wrong += map(compare, cases, ours, theirs)
    assert not [text for text in wrong if text], "\n".join(text for text in wrong if text)
    started = sum(result["status"] == 0 for result in ours)
    agreed = sum(a["status"] == b["status"] == 0 for a, b in zip(ours, theirs, strict=True))
    assert started > count / 4
    assert agreed > count / 4


def test_everything_of_our_own() -> None:
    """Also the options that Gunicorn does not have, and a variable for each setting."""
    chance = random.Random(26)
    flags = [(flag, s["cli"], s["name"]) for s in TABLE for flag in s["flags"]]
    names = [setting["name"] for setting in TABLE]
    cases = []
    for _ in range(COUNT // 2):
        case = random_case(chance, flags, names)
        env = case.setdefault("env", {})
        for name in chance.sample(names, chance.choice((0, 1, 2))):
            env[f"SAOLA_{name.upper()}"] = chance.choice([*WORDS, "1", "os.getcwd", "{}", "'"])
        cases.append(case)
    results = load_by("saola", cases, {"PWD": os.getcwd()})
    wrong = [broken(case, result) for case, result in zip(cases, results, strict=True)]
    assert not [text for text in wrong if text], "\n".join(text for text in wrong if text)
