# SPDX-License-Identifier: MIT
"""`saola` and `python -m saola`."""

from __future__ import annotations


def main() -> None:
    from saola import _identity
    from saola.app.wsgiapp import run

    _identity.settle()
    run(prog=_identity.program())


if __name__ == "__main__":
    main()
