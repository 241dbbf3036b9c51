# SPDX-License-Identifier: MIT
"""What /proc says about processes."""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

LISTEN = "0A"  # in /proc/net/tcp


def poll(condition: Callable[[], T], what: str | Callable[[], str], deadline: float = 20.0) -> T:
    """Waits until the condition is true, and returns what it returned."""
    end = time.monotonic() + deadline
    pause = 0.002
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:g} s: {what() if callable(what) else what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
    return value


@dataclass(frozen=True)
class Process:
    pid: int
    state: str
    parent: int
    session: int


def process(pid: int) -> Process | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, parent, _, session = stat.rpartition(")")[2].split()[:4]
    return Process(pid, state, int(parent), int(session))


def processes() -> list[Process]:
    """All that live; zombies do not."""
    found = (process(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return [each for each in found if each and each.state not in "ZX"]


def alive(pid: int) -> bool:
    found = process(pid)
    return found is not None and found.state not in "ZX"


def children(pid: int) -> list[int]:
    return sorted(each.pid for each in processes() if each.parent == pid)


def stop(pid: int) -> None:
    """Stops a process, and waits until it is."""
    os.kill(pid, signal.SIGSTOP)
    poll(lambda: (found := process(pid)) and found.state == "T", f"process {pid} stopped")


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except (FileNotFoundError, ProcessLookupError):
        return "(gone)"


def descriptors(pid: int) -> Counter[str]:
    """The open descriptors of a process by kind, sockets and pipes without their number."""
    found: Counter[str] = Counter()
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return found  # permission: of one that has ended, which nobody but root may look at
    for name in names:
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        found[re.sub(r":\[\d+\]$", "", target)] += 1
    return found


def served(address: tuple[str, int] | str) -> int:
    """Connections to an IPv4 or Unix address that a server has accepted and not closed, also those
    that it does not know yet to be closed."""
    if isinstance(address, str):
        lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
        connected = [line for line in lines if line[-1] == address and line[5] == "03"]
        return sum(line[6] != "0" for line in connected)
    port = f":{address[1]:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(line[1].endswith(port) and line[3] != LISTEN and line[9] != "0" for line in lines)


def resident_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError(f"no VmRSS of {pid}")


def private_kib(pid: int) -> int:
    """Memory that is this process's own: what it costs to have it."""
    total = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Private_Clean:", "Private_Dirty:", "Swap:")):
            total += int(line.split()[1])
    return total


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def blocked_signals(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigBlk:"):
            return int(line.split()[1], 16)
    raise AssertionError(f"no SigBlk of {pid}")
