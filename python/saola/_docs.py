# SPDX-License-Identifier: MIT
"""Writes what is made from the settings table: docs/settings.md and the stubs of the settings.

    python -m saola._docs [--check] [ROOT]

ROOT is the source tree, the current directory unless given. With --check nothing is written, and
the status is 1 if something would be.
"""

from __future__ import annotations

import argparse
import itertools
import pathlib
import sys
import textwrap
from typing import TYPE_CHECKING

from saola import _core

if TYPE_CHECKING:
    from saola._core import SettingInfo

WIDTH = 100

BEGIN = "    # Made from the settings table by `make docs`: begin."
END = "    # Made from the settings table by `make docs`: end."

INTRODUCTION = """\
<!-- SPDX-License-Identifier: MIT -->
<!-- Made from src/config/settings.def by `make docs`: do not edit. -->
# Settings

A setting is given on the command line, by its name in the configuration file, or by a variable of
the environment: `workers` by `-w` or `--workers`, `workers = ...`, or `SAOLA_WORKERS`.
[configuration.md](configuration.md) says where values come from and which of them win.

A setting that is *not supported yet* is known and checked, but any value that would switch it on is
refused. One with *no effect yet* says how such a feature behaves. `SIGHUP` makes the server read
its configuration anew; what it says about a setting marked *at start only* then waits for the next
start.
"""

KINDS = {
    "int": "integer",
    "bool": "boolean",
    "str": "string",
    "list": "list of strings",
    "dict": "dictionary",
    "class": "string or class",
    "any": "dictionary",
}

STUBS = {
    "int": "int",
    "bool": "bool",
    "list": "list[str]",
    "dict": "dict[str, str]",
    "hook": "Callable[..., Any]",
    "class": "Any",
    "any": "Any",
}


def _kind(setting: SettingInfo) -> str:
    if setting["type"] != "hook":
        return KINDS[setting["type"]]
    count = setting["hook_arity"]
    return f"function with {count} parameter" + ("s" if count > 1 else "")


def _default(setting: SettingInfo) -> str:
    if setting["default_from"]:
        return setting["default_from"]
    if setting["type"] == "hook":
        return "does nothing"
    return f"`{setting['default']!r}`"


def _entry(setting: SettingInfo) -> str:
    metavar = f" {setting['metavar']}" if setting["metavar"] else ""
    lines = [f"### {setting['name']}", ""]
    if setting["flags"]:
        flags = ", ".join(f"`{flag}{metavar}`" for flag in setting["flags"])
        lines.append(f"- command line: {flags}")
    lines += [f"- type: {_kind(setting)}", f"- default: {_default(setting)}"]
    if not setting["reloadable"]:
        lines.append("- at start only")
    if setting["own"]:
        lines.append("- of Saola's own")
    if setting["status"] == "later":
        lines.append("- not supported yet")
    if setting["status"] == "dormant":
        lines.append("- no effect yet")
    return "\n".join([*lines, "", textwrap.fill(setting["help"], WIDTH), ""])


def reference() -> str:
    """docs/settings.md."""
    sections: dict[str, list[str]] = {}
    for setting in _core.settings_table():
        sections.setdefault(setting["section"], []).append(_entry(setting))
    chapters = ([f"## {name}\n", *entries] for name, entries in sections.items())
    return "\n".join([INTRODUCTION, *itertools.chain.from_iterable(chapters)])


def _stub(setting: SettingInfo) -> str:
    known = setting["default"] is not None or setting["default_from"] is not None
    optional = "" if known else " | None"
    kind = f"str{optional}" if setting["type"] == "str" else STUBS[setting["type"]]
    return f"    @property\n    def {setting['name']}(self) -> {kind}: ..."


def stubs(text: str) -> str:
    """The stub file with the properties of Config made anew."""
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    properties = map(_stub, _core.settings_table())
    return "\n".join([before + BEGIN, *properties, END]) + after


def main() -> int:
    parser = argparse.ArgumentParser(prog="saola._docs")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("root", nargs="?", default=".", type=pathlib.Path)
    args = parser.parse_args()
    settings_md = args.root / "docs" / "settings.md"
    core_pyi = args.root / "python" / "saola" / "_core.pyi"
    stale = False
    for path, text in (
        (settings_md, reference()),
        (core_pyi, stubs(core_pyi.read_text(encoding="utf-8"))),
    ):
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale = True
        if args.check:
            print(f"{path}: not up to date: run `make docs`", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
    return 1 if stale and args.check else 0


if __name__ == "__main__":
    sys.exit(main())
