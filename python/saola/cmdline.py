# SPDX-License-Identifier: MIT
"""The command line: argparse, fed from the settings."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from saola import _identity, _spelling

if TYPE_CHECKING:
    from saola._settings import Setting


class StacksAction(argparse.Action):
    """`--stacks`, whose work is in a module that no server needs."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        from saola.stacks import print_stacks

        print_stacks(parser, str(values))


class Parser(argparse.ArgumentParser):
    """An abbreviation that means an option of Gunicorn's means that, and never one of Saola's own:
    else each new option could break a command line."""

    def __init__(self, own: set[str], settings: Collection[Setting], **options: Any) -> None:
        super().__init__(**options)
        self._own = own
        self._settings = settings

    def parse_args(  # type: ignore[override] # the same, but for what it says
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            meant = ", ".join(self._meant(unknown))
            hint = f" (did you mean {meant}?)" if meant else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return found

    def _meant(self, unknown: list[str]) -> list[str]:
        options = self._option_string_actions
        meant = [_spelling.nearest_option(word, options, self._settings) for word in unknown]
        return [option for option in dict.fromkeys(meant) if option is not None]

    def _get_option_tuples(self, option_string: str) -> list[Any]:
        found: list[Any] = super()._get_option_tuples(option_string)
        theirs = [option for option in found if option[0].dest not in self._own]
        return theirs or found


def build_parser(
    settings: Collection[Setting], usage: str | None, prog: str
) -> argparse.ArgumentParser:
    """The parser for the command line and for GUNICORN_CMD_ARGS.

    An option that is not given is None, so that the sources can be told apart.
    """
    own = {"stacks", *(setting.name for setting in settings if setting.own)}
    parser = Parser(own, settings, usage=usage, prog=prog)
    parser.add_argument(
        "-v",
        "--version",
        action="version",
        default=argparse.SUPPRESS,
        version=f"%(prog)s (version {_identity.version()})",
        help="show program's version number and exit",
    )
    parser.add_argument(
        "--stacks",
        action=StacksAction,
        default=argparse.SUPPRESS,
        metavar="PIDFILE",
        help="print what all workers of the server with that pid file (or pid) are doing, and exit",
    )
    parser.add_argument("args", nargs="*", help=argparse.SUPPRESS)
    groups: dict[str, argparse._ArgumentGroup] = {}
    for setting in settings:
        if setting.cli:
            if setting.section not in groups:
                groups[setting.section] = parser.add_argument_group(setting.section)
            setting.add_option(groups[setting.section])
    return parser
