#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write formats.txt: access log formats, and what Python's % operator makes of them.

The values are those of test_access_log.c. A line is FORMAT, a tab and the result; formats have no
tab and no line end. Nothing here is taken from the renderer under test: the values go into a
dictionary that answers `-` for what it has not, as Gunicorn does it, and Python formats.
"""

from __future__ import annotations

import random
from pathlib import Path

TEXT: dict[str, str] = {
    "h": "192.0.2.7",
    "l": "-",
    "u": "alice",
    "t": "[22/Aug/2026:10:00:00 +0000]",
    "r": "GET /some/where?x=1&y=2 HTTP/1.1",
    "m": "GET",
    "U": "/some/where",
    "q": "x=1&y=2",
    "H": "HTTP/1.1",
    "f": "-",
    "a": 'curl/8.0 "quoted" and long enough for more than one block',
    "L": "3.004005",
    "p": "<4242>",
    "{x-request-id}i": "0123456789abcdef0123456789abcdef",
    "{host}i": "example.com",
    "{content-type}o": "text/html; charset=utf-8",
    "{wsgi.url_scheme}e": "http",
}
NUMBERS: dict[str, int] = {
    "B": 12345,
    "T": 3,
    "M": 3004,
    "D": 3004005,
    "{app.items}e": 17,
    "{app.balance}e": -250,
}
# Text for Gunicorn, numbers in the same digits for Saola, which takes either type.
BOTH: dict[str, int] = {"s": 404, "b": 12345}

SPELLINGS = ["{X-Request-Id}i", "{HOST}i", "{Content-Type}o", "{x-missing}i", "{none}e", "zz"]


class Atoms(dict[str, object]):
    """What Gunicorn formats with: quotes escaped, names in braces in any case, `-` for the rest."""

    def __missing__(self, key: str) -> object:
        lower = key.lower()
        return self[lower] if key.startswith("{") and lower in self else "-"


def spec(rng: random.Random, numeric: bool) -> str:
    flags = "".join(flag for flag in "#0- +" if rng.random() < 0.2)
    width = str(rng.randrange(1, 45)) if rng.random() < 0.5 else ""
    precision = "." + rng.choice(["", "0", "1", "2", "5", "9", "30"]) if rng.random() < 0.4 else ""
    modifier = rng.choice(["", "", "", "l", "h"])
    return flags + width + precision + modifier + (rng.choice("diuxXofF") if numeric else "s")


def atom(rng: random.Random) -> str:
    if rng.random() < 0.45:
        name = rng.choice([*NUMBERS, *BOTH])
        return f"%({name}){spec(rng, numeric=rng.random() < 0.8)}"
    return f"%({rng.choice([*TEXT, *SPELLINGS])}){spec(rng, numeric=False)}"


def pieces(rng: random.Random) -> str:
    literal = rng.choice([" ", '"', " - ", "a=", "%%", "[", "] ", "é"])
    return literal if rng.random() < 0.4 else atom(rng)


def expected(text: str) -> str:
    values: dict[str, object] = {key: value.replace('"', '\\"') for key, value in TEXT.items()}
    values.update(NUMBERS)
    values.update(BOTH)
    return text % Atoms(values)


def cuts_an_escape(text: str, line: str) -> bool:
    """A precision has split a backslash and its quote, which Saola never does."""
    return "(a)" in text and line.count("\\") != line.count('\\"')


def main() -> None:
    rng = random.Random(20260822)
    formats = [
        '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
        "%(h)s %(r)s %(s)s %(T)s %(M)s %(D)s %(L)s %(p)s",
        "%(m)s %(U)s %(q)s %(H)s %(B)d %(B)s",
        "100%% %(a(b)c)s %()s",
        "",
    ]
    formats += ["".join(pieces(rng) for _ in range(rng.randrange(1, 7))) for _ in range(1500)]
    lines = []
    for text in formats:
        line = expected(text)
        if not cuts_an_escape(text, line):
            lines.append(f"{text}\t{line}\n")
    Path(__file__).with_name("formats.txt").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
