# SPDX-License-Identifier: MIT
"""What systemd would do for a service: a notify socket, and sockets that it hands over."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

CREDENTIALS = struct.Struct("iii")

# A prefix of a command, with the numbers of sockets as arguments: it starts as systemd starts it.
# The numbers passed are above those that are wanted, so that none is overwritten.
ACTIVATION = """
n=3
while [ "$1" != -- ]; do eval "exec $n<&$1 $1<&-"; n=$((n + 1)); shift; done
shift
LISTEN_FDS=$((n - 3)) LISTEN_PID=$$ exec "$@"
"""


def activation(*sockets: socket.socket) -> list[str]:
    return ["bash", "-c", ACTIVATION, "sh", *(str(each.fileno()) for each in sockets), "--"]


@dataclass
class Message:
    pid: int  # who sent it
    time: float  # time.monotonic() of its arrival
    fields: dict[str, str]


class NotifySocket:
    """NOTIFY_SOCKET of a service, and what came through it."""

    def __init__(self, name: str | Path) -> None:
        self.name = str(name)
        self.messages: list[Message] = []
        self.taken = 0
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.sock.bind("\0" + self.name[1:] if self.name[0] == "@" else self.name)

    def __enter__(self) -> NotifySocket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.sock.close()

    def receive(self, seconds: float) -> bool:
        """Takes one message more, unless none comes."""
        self.sock.settimeout(max(seconds, 0.001))
        try:
            data, ancillary, _, _ = self.sock.recvmsg(4096, socket.CMSG_SPACE(CREDENTIALS.size))
        except TimeoutError:
            return False
        pid = CREDENTIALS.unpack(ancillary[0][2])[0]
        fields = dict(line.split("=", 1) for line in data.decode().splitlines())
        self.messages.append(Message(pid, time.monotonic(), fields))
        return True

    def wait(self, wanted: Callable[[Message], bool], what: str, deadline: float = 20.0) -> Message:
        """The first message of that kind that no call has returned yet, or skipped."""
        end = time.monotonic() + deadline
        while True:
            while self.taken < len(self.messages):
                self.taken += 1
                if wanted(self.messages[self.taken - 1]):
                    return self.messages[self.taken - 1]
            left = end - time.monotonic()
            assert left > 0, f"no {what} within {deadline:g} s, but {self.messages}"
            self.receive(left)

    def wait_field(self, name: str, value: str = "1", deadline: float = 20.0) -> Message:
        return self.wait(
            lambda message: message.fields.get(name) == value, f"{name}={value}", deadline
        )
