# SPDX-License-Identifier: MIT
"""Which setting or option a name that there is not was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from saola._settings import Setting


def spellings(settings: Iterable[Setting]) -> dict[str, str]:
    """The settings' names, by what people write for them: those, or the words of a long flag."""
    known = list(settings)
    flags = {
        flag[2:].replace("-", "_"): setting.name
        for setting in known
        for flag in setting.cli or ()
        if flag.startswith("--")
    }
    return flags | {setting.name: setting.name for setting in known}


def nearest(name: str, known: Mapping[str, str]) -> str | None:
    """The one of `known`, which are by their spellings, that comes close enough."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    return known[close[0]] if close else None


def nearest_option(word: str, options: Iterable[str], settings: Iterable[Setting]) -> str | None:
    """The long option that was mistyped, or that of the setting which was written as one."""
    if not word.startswith("--"):
        return None
    known = {option[2:].replace("-", "_"): option for option in options if option.startswith("--")}
    named = {setting.name: setting.cli[-1] for setting in settings if setting.cli}
    return nearest(word[2:].partition("=")[0].replace("-", "_"), named | known)
