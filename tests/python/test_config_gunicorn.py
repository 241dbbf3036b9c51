# SPDX-License-Identifier: MIT
"""The same configurations by Gunicorn itself: the same values, or the same words of refusal."""

from __future__ import annotations

import os
import random
import re
from typing import Any

from config_cases import BAD, GOOD, HOOKS
from conftest import load_by

from saola import _core

# Settings whose defaults differ on purpose, or that the released Gunicorn does not have.
DIFFERENT = {
    *("control_socket", "default_proc_name", "http2_cleartext", "logger_class"),
    "ssl_version",  # means nothing
}

OWN = {setting["name"] for setting in _core.settings_table() if setting["own"]}

# fmt: off
EXPRESSIONS = [
    "None", "True", "False", "0", "1", "-1", "1.5", "2**70", "''", "' '", "'a'", "'-'", "'1'",
    "'010'", "'0x10'", "'-1'", "'1_0'", "' 2 '", "'1__0'", "'0b12'", "'true'", "'FALSE'", "'yes'",
    "'a,b'", "' a , b '", "'*'", "'::1'", "'127.0.0.1,::1/128'", "'root'", "'/'", "'.'", "[]",
    "['a']", "[1]", "['a', None]", "()", "('a', 'b')", "{}", "{'a': 'b'}", "{'a'}", "b'x'", "b''",
    "object", "len", "print", "lambda: None", "lambda *a: None", "lambda *, k: None",
    "'os.getcwd'", "'os.path.split'", "'no.no'", "range(2)", "'é'", r"'\\udcff'", "1j",
]
# fmt: on

# How many of the settings and values to combine; all of them with CONFIG_SAMPLE=0.
SAMPLE = int(os.environ.get("CONFIG_SAMPLE", "500"))

Case = dict[str, Any]
Result = dict[str, Any]


def outcome(result: Result) -> tuple[Any, ...]:
    """What has to agree: the values, or the status and the last line of the error."""
    if result["status"] == 0:
        config = result["config"].items()
        return 0, {name: value for name, value in config if name not in DIFFERENT}
    error = result["err"].strip().rpartition("\n")[2].replace("gunicorn", "saola")
    error = error.replace(", --http2-cleartext", "")  # of a later release
    return result["status"], re.sub(" at 0x[0-9a-f]+", "", error)


def disagreements(cases: list[Case]) -> list[str]:
    pairs = zip(cases, load_by("saola", cases), load_by("gunicorn", cases), strict=True)
    return [
        f"{case}: saola {summary(ours)}, gunicorn {summary(theirs)}"
        for case, ours, theirs in pairs
        if outcome(ours) != outcome(theirs) and not is_known(case, ours, theirs)
    ]


def summary(result: Result) -> str:
    return "accepts" if result["status"] == 0 else repr(outcome(result)[1])


def is_known(case: Case, ours: Result, theirs: Result) -> bool:
    """The deliberate differences."""
    if "not supported yet" in ours["err"] or case.get("file") in KNOWN:
        return True
    if "Value is too large" in ours["err"] or ours["err"].endswith("Not a string: None\n"):
        return True
    # Both refuse, but Gunicorn's text is an accident of Python's: ours says what is wrong.
    if "http2_cleartext" in ours["err"]:  # of a later release
        return True
    refused = ours["status"] == theirs["status"] == 1
    return refused and any(text in theirs["err"] for text in ACCIDENTS)


KNOWN = {
    "chdir = None",  # the current directory, as if it were not set
    "header_map = None",  # shown as what it means
    "user = True",
    "user = False",
    "group = True",
    "group = False",
    "ssl_version = ' 2 '",
}

ACCIDENTS = (
    "arguments for format string",
    "during string formatting",
    "has no attribute",
    "must be str",
    "int() with base 0: b'",
    "not iterable",
    "unhashable type",
)


def test_good_and_bad_values() -> None:
    cases: list[Case] = [{"argv": ["a:b"]}]
    good = [row for row in GOOD if row[0] not in OWN]
    cases += [{"argv": [*argv, "--", "a:b"]} for _, argv, _, _ in good if argv]
    cases += [{"argv": ["a:b"], "file": f"{name} = {value}"} for name, _, value, _ in good]
    cases += [{"argv": ["a:b"], "file": f"{name} = {value}"} for name, value, _ in BAD]
    cases += [{"argv": ["a:b"], "file": f"{source}\n{name} = hook"} for name, source, _ in HOOKS]
    assert disagreements(cases) == []


def test_every_setting_with_every_kind_of_value() -> None:
    names = [setting["name"] for setting in _core.settings_table()]
    cases = [
        {"argv": ["a:b"], "file": f"{name} = {value}"}
        for name in names
        if name not in DIFFERENT | OWN
        for value in EXPRESSIONS
    ]
    assert disagreements(random.Random(26).sample(cases, SAMPLE or len(cases))) == []


def test_random_command_lines() -> None:
    chance = random.Random(26)
    words = ["3", "-1", "x", "010", "0x10", "", " 1 ", "true", "a,b", "root", "/", "127.0.0.1"]
    flags = [
        (flag, setting["cli"])
        for setting in _core.settings_table()
        for flag in setting["flags"]
        if setting["status"] == "supported"
        and setting["name"] not in {"config", "http2_cleartext", "paste"} | OWN
    ]
    cases = []
    for _ in range(300):
        argv: list[str] = []
        for flag, cli in chance.sample(flags, 3):
            abbreviated = flag[: chance.randint(5, 20)] if chance.random() < 0.2 else flag
            argv.append(abbreviated)
            if not cli.startswith("switch") and chance.random() < 0.95:
                argv.append(chance.choice(words))
        cases.append({"argv": [*argv, "--", "a:b"] if chance.random() < 0.9 else argv})
    assert disagreements(cases) == []
