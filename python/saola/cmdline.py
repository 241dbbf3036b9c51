# SPDX-License-Identifier: MIT
"""The command line: argparse, fed from the settings table."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from saola import __version__, _core

if TYPE_CHECKING:
    from saola._core import SettingInfo


def auto_int(text: str) -> int:
    """An integer in any base; a leading zero means octal, as for modes it always has."""
    return int(re.sub(r"^0(?=\d)", "0o", text), 0)


def build_parser(usage: str | None, prog: str) -> argparse.ArgumentParser:
    """The parser for the command line and for GUNICORN_CMD_ARGS.

    An option that is not given is None, so that the sources can be told apart.
    """
    parser = argparse.ArgumentParser(usage=usage, prog=prog)
    parser.add_argument(
        "-v",
        "--version",
        action="version",
        default=argparse.SUPPRESS,
        version=f"%(prog)s (version {__version__})",
        help="show program's version number and exit",
    )
    parser.add_argument("args", nargs="*", help=argparse.SUPPRESS)
    groups: dict[str, argparse._ArgumentGroup] = {}
    for setting in _core.settings_table():
        if setting["flags"]:
            section = setting["section"]
            if section not in groups:
                groups[section] = parser.add_argument_group(section)
            groups[section].add_argument(*setting["flags"], **_option(setting))
    return parser


def _option(setting: SettingInfo) -> dict[str, Any]:
    """The keywords for add_argument()."""
    default = setting["default_from"] or setting["default"]
    option: dict[str, Any] = {
        "dest": setting["name"],
        "default": None,
        "help": f"{setting['help']} [{default}]".replace("%", "%%"),
    }
    kind = setting["cli"]
    if kind == "switch_on":
        option["action"] = "store_true"
    elif kind == "switch_off":
        option.update(action="store_const", const=False)
    elif kind == "append":
        option["action"] = "append"
    elif kind == "optional":
        option.update(nargs="?", const="auto")
    elif kind == "integer":
        option["type"] = int
    elif kind == "auto_integer":
        option["type"] = auto_int
    if setting["metavar"] is not None:
        option["metavar"] = setting["metavar"]
    return option
