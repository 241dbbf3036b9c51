# SPDX-License-Identifier: MIT
"""Reads tests/vectors (README.md there) and src/http/errors.def."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VECTORS = ROOT / "tests" / "vectors" / "h1"
ERRORS = ROOT / "src" / "http" / "errors.def"

ESCAPE = re.compile(rb"\\(?:\{(\d+)\*([^}]*)\}|x([0-9a-f]{2})|([rnt\\]))")
PLAIN = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"\\": b"\\"}
ENTRY = re.compile(
    r'^HTTP_ERROR\((\w+), (\d+), "([^"]*)",.*?,\s*"((?:[^"\\]|\\.)*)",\s*"((?:[^"\\]|\\.)*)"\)',
    re.MULTILINE | re.DOTALL,
)


def unescape(text: bytes) -> bytes:
    def plain(match: re.Match[bytes]) -> bytes:
        count, repeated, digits, letter = match.groups()
        if count:
            return repeated * int(count)
        return bytes.fromhex(digits.decode()) if digits else PLAIN[letter]

    return ESCAPE.sub(plain, text)


@dataclass
class Vector:
    name: str
    settings: str = ""
    sent: bytes = b""
    wanted: dict[str, bytes] = field(default_factory=dict)
    headers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def want(self) -> str:
        return self.wanted["want"].decode()

    def text(self, key: str) -> str | None:
        """What WSGI makes of the bytes."""
        value = self.wanted.get(key)
        return None if value is None else value.decode("latin-1")

    def add(self, line: bytes) -> None:
        if line.startswith(b">> "):
            self.sent += unescape(line[3:])
        elif line.startswith(b">"):
            self.sent += unescape(line[2:]) + b"\r\n"
        elif line.startswith(b"set: "):
            self.settings = f"{self.settings} {line[5:].decode()}".strip()
        else:
            key, _, value = line.partition(b": ")
            if key == b"header":
                name, _, text = value.partition(b": ")
                self.headers.append((name.decode(), unescape(text).decode("latin-1")))
            else:
                self.wanted[key.rstrip(b":").decode()] = unescape(value)


def read_vectors() -> list[Vector]:
    vectors: list[Vector] = []
    for path in sorted(VECTORS.glob("*.txt")):
        for line in path.read_bytes().split(b"\n"):
            if line.startswith(b"--- "):
                vectors.append(Vector(f"{path.stem}: {line[4:].decode()}"))
            elif line and not line.startswith(b"#"):
                vectors[-1].add(line)
    return vectors


@dataclass
class HttpError:
    status: int
    reason: str
    text: str  # with a %, for which something stands
    message: str  # with a %s, for which the text stands

    def page(self, text: str | None) -> re.Pattern[str]:
        """The message on the page, before escaping, for a text or for any."""
        if text is None:
            parts = re.split("%[a-zA-Z]", self.text, maxsplit=1)
            pattern = ".*".join(map(re.escape, parts))
        else:
            pattern = re.escape(text)
        return re.compile(pattern.join(map(re.escape, self.message.split("%s"))), re.DOTALL)


def read_errors() -> dict[str, HttpError]:
    def plain(text: str) -> str:
        return text.replace("\\\\", "\\").replace('\\"', '"')

    return {
        name: HttpError(int(status), reason, plain(text), plain(message))
        for name, status, reason, text, message in ENTRY.findall(ERRORS.read_text())
    }
