# SPDX-License-Identifier: MIT
"""Sockets from systemd and notification of it: for scripts. The server's own way is C."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from saola.glogging import Logger

SD_LISTEN_FDS_START = 3


def listen_fds(unset_environment: bool = True) -> int:
    """How many sockets systemd has passed to this process; they begin at SD_LISTEN_FDS_START."""
    count = int(os.environ.get("LISTEN_FDS", 0))
    if int(os.environ.get("LISTEN_PID", 0)) != os.getpid():
        return 0
    if unset_environment:
        os.environ.pop("LISTEN_PID", None)
        os.environ.pop("LISTEN_FDS", None)
    return count


def sd_notify(state: str, logger: Logger, unset_environment: bool = False) -> None:
    """Tells systemd how things stand, `READY=1` for instance; nothing without $NOTIFY_SOCKET."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.connect(address)
            sock.sendall(state.encode())
    except OSError:
        logger.debug("Exception while invoking sd_notify()", exc_info=True)
    finally:
        if unset_environment:
            os.environ.pop("NOTIFY_SOCKET")
