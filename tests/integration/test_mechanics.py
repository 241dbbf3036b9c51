# SPDX-License-Identifier: MIT
"""What the server does to its own process: groups, the umask, the standard streams of a daemon."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Serve
from procs import descriptors, poll
from server import kill_session

pytestmark = pytest.mark.saola_only

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


def status(pid: int, field: str) -> list[int]:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, values = line.partition(":")
        if name == field:
            return [int(value) for value in values.split()]
    raise AssertionError(f"no {field} of {pid}")


@as_root
@pytest.mark.parametrize("initgroups", [True, False])
def test_groups(serve: Serve, initgroups: bool) -> None:
    user = pwd.getpwnam("nobody")
    # Preloaded: the worker might not be allowed to read this interpreter's library.
    args = ["--preload", "--user", "nobody", "--group", "nogroup"]
    server = serve("basic:app", *args, *(["--initgroups"] if initgroups else []))
    assert set(status(server.worker, "Uid")) == {user.pw_uid}
    assert set(status(server.worker, "Gid")) == {user.pw_gid}
    own = status(server.pid, "Groups")
    expected = os.getgrouplist("nobody", user.pw_gid) if initgroups else own
    assert sorted(status(server.worker, "Groups")) == sorted(expected)
    assert set(status(server.pid, "Uid")) == {0}


def test_umask_is_the_sockets_alone(serve: Serve) -> None:
    config = "def post_worker_init(worker):\n    open('made', 'w').close()\n"
    server = serve("basic:app", "--umask", "0777", config=config, ready="booted")
    made = server.tmp / "made"
    poll(made.exists, "what the hook makes")
    assert made.stat().st_mode & 0o777 == 0o666 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.fixture
def sessions() -> Iterator[list[int]]:
    """Of daemons, to be ended whatever happens."""
    found: list[int] = []
    yield found
    for session in found:
        kill_session(session)


@pytest.mark.parametrize("inherits", [True, False])
def test_streams_of_a_daemon(serve: Serve, sessions: list[int], inherits: bool) -> None:
    args = ["--daemon", "--pid", "pid", *(["-R"] if inherits else [])]
    server = serve("basic:app", *args, ready="no")
    assert server.wait() == 0  # the launcher
    file = server.tmp / "pid"
    poll(lambda: file.exists() and file.read_text().strip(), "a pid file")
    pid = int(file.read_text())
    sessions.append(os.getsid(pid))
    server.expected_files.add("pid")
    null = os.devnull
    streams = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)]
    out, err = str(server.stdout_path), str(server.stderr_path)
    assert streams == ([null, out, err] if inherits else [null, null, null])
    if inherits:  # the pid file comes first
        poll(lambda: "Listening at: " in server.log, "what the daemon says")


def test_worker_tmp_dir(serve: Serve, tmp_path: Path) -> None:
    """A large body goes there; the file has no name."""
    server = serve("basic:app", "--worker-tmp-dir", str(tmp_path))
    with server.connect() as connection:
        head = b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 200000\r\n\r\n"
        connection.send(head + bytes(100_000))

        def spooled() -> bool:
            return any(name.startswith(str(tmp_path)) for name in descriptors(server.worker))

        poll(spooled, "a file in worker_tmp_dir")
        assert not list(tmp_path.iterdir())
        connection.send(bytes(100_000))
        assert len(connection.read_response("POST").body) == 200_000
