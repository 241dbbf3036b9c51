# SPDX-License-Identifier: MIT
"""`saola` and `python -m saola`."""

from __future__ import annotations


def main() -> None:
    from saola import PROGRAM
    from saola.app.wsgiapp import run

    run(prog=PROGRAM)


if __name__ == "__main__":
    main()
