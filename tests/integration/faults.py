# SPDX-License-Identifier: MIT
"""Makes system calls of a server's workers fail: tests/faults, compiled when it is needed."""

from __future__ import annotations

import mmap
import os
import re
import struct
import subprocess
from pathlib import Path

from server import SANITIZED

SOURCE = Path(__file__).resolve().parent.parent / "faults"
NAMES = [
    f"{call}:{name}"
    for call, name in re.findall(
        r"^FAULT\((\w+), (\w+),", (SOURCE / "faults.def").read_text(), re.MULTILINE
    )
]
HEAD, ENTRY = struct.Struct("II"), struct.Struct("III")  # struct control of faults.c
WITHOUT_END = 2**32 - 1


def build_library(directory: Path) -> Path:
    library = directory / "faults.so"
    allocator = [] if SANITIZED else ["-DFAULTS_ALLOC"]
    subprocess.run(
        [
            *("cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", *allocator),
            *("-o", str(library), str(SOURCE / "faults.c")),
        ],
        check=True,
    )
    return library


class Faults:
    """What goes wrong in one server, from now on."""

    def __init__(self, path: Path, library: Path) -> None:
        size = HEAD.size + len(NAMES) * ENTRY.size
        path.write_bytes(bytes(size))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), size)
        preload = [str(library), *filter(None, [os.environ.get("LD_PRELOAD")])]
        self.environ = {"SAOLA_FAULTS": str(path), "LD_PRELOAD": " ".join(preload)}
        if SANITIZED:  # whose own wrappers come after these
            options = [os.environ.get("ASAN_OPTIONS", ""), "verify_asan_link_order=0"]
            self.environ["ASAN_OPTIONS"] = ":".join(filter(None, options))

    def begin(self, arbiter: int, seed: int) -> None:
        HEAD.pack_into(self.memory, 0, arbiter, seed)

    def set(self, per_mille: int, *names: str, times: int = WITHOUT_END) -> None:
        """These happen from now on, at that rate, and that often at most."""
        for name in names:
            ENTRY.pack_into(self.memory, self.offset(name), per_mille, times, 0)

    def stop(self) -> None:
        for name in NAMES:
            ENTRY.pack_into(self.memory, self.offset(name), 0, 0, self.count(name))

    def count(self, name: str) -> int:
        """How often it has happened since it was set."""
        return int(ENTRY.unpack_from(self.memory, self.offset(name))[2])

    @staticmethod
    def offset(name: str) -> int:
        return HEAD.size + NAMES.index(name) * ENTRY.size
