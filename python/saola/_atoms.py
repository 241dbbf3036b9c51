# SPDX-License-Identifier: MIT
"""The atoms of access_log_format, made fit for a log that Python's logging writes.

What comes out is what the core writes: src/http/access_log_format.h.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from typing import Any

_UNSAFE = re.compile(r"[^ !#-\[\]-~]")


def _escape_match(match: re.Match[str]) -> str:
    char = match[0]
    if char == '"':
        return '\\"'
    data = bytes([ord(char)]) if char < "\u0100" else char.encode("utf-8", "surrogatepass")
    return "".join(f"\\x{byte:02x}" for byte in data)


def _escape(text: str) -> str:
    r"""A double quote as \", the backslash and all but printable ASCII as \xNN."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text  # nearly all are
    return _UNSAFE.sub(_escape_match, text)


class SafeAtoms(dict[str, Any]):
    """Atoms for the % operator: texts are escaped, unknown names are `-`."""

    def __init__(self, atoms: Mapping[str, Any]) -> None:
        super().__init__()
        for key, value in atoms.items():
            self[key] = _escape(value) if isinstance(value, str) else value
        if isinstance(self.get("u"), str):
            self["u"] = self["u"].replace(" ", "\\x20")

    def __getitem__(self, key: str) -> Any:
        return self.get(key.lower() if key.startswith("{") else key, "-")


class JsonFormat(str):
    """The access_log_format "json", for the % operator: the object that the core would write."""

    __slots__ = ()

    MEMBERS = (
        *(("remote_addr", "h"), ("user", "u"), ("method", "m"), ("target", "target")),
        *(("path", "U"), ("query", "q"), ("protocol", "H"), ("referer", "f")),
        *(("user_agent", "a"), ("status", "s"), ("body_bytes", "B"), ("duration_us", "D")),
        *(("queue_us", "Q"), ("pid", "pid")),
    )

    def __str__(self) -> str:
        return self

    def __mod__(self, atoms: Any) -> str:
        values = atoms.typed if isinstance(atoms, TypedAtoms) else atoms
        members: dict[str, Any] = {"time": time.strftime("%Y-%m-%dT%H:%M:%S")}
        zone = time.strftime("%z")
        members["time"] += f"{zone[:3]}:{zone[3:]}"
        for member, atom in self.MEMBERS:
            value = values.get(atom)
            members[member] = None if value == "-" else value
        return json.dumps(members, separators=(",", ":"))


class TypedAtoms(SafeAtoms):
    """Atoms that remember their values as they were."""

    def __init__(self, atoms: Mapping[str, Any]) -> None:
        super().__init__(atoms)
        self.typed = {key: _json_value(value) for key, value in atoms.items()}
        self.typed["pid"] = os.getpid()
        request = str(atoms.get("r", ""))
        self.typed["target"] = _json_value(request.partition(" ")[2].rpartition(" ")[0])
        if str(self.typed.get("s")).isdigit():
            self.typed["s"] = int(self.typed["s"])


def _json_value(value: Any) -> Any:
    r"""Bytes that are no UTF-8, and the backslash, as \xNN."""
    if not isinstance(value, str):
        return value
    data = value.replace("\\", "\\x5c").encode("latin-1", "backslashreplace")
    return data.decode("utf-8", "backslashreplace")
