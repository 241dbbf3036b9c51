# SPDX-License-Identifier: MIT
"""`gunicorn` and `python -m gunicorn`."""

from __future__ import annotations


def main() -> None:
    from saola.app.wsgiapp import run

    run(prog="gunicorn")


if __name__ == "__main__":
    main()
