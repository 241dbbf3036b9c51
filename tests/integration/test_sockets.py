# SPDX-License-Identifier: MIT
"""Where the server listens."""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from client import Connection
from conftest import Serve
from procs import poll
from server import COMMAND, Finished, Server, reserve, run

Command = Callable[..., Finished]


def hello(server: Server, address: tuple[str, int] | str | None = None) -> None:
    with server.connect(address) as connection:
        assert connection.request("/", close=True).body == b"hello\n"


def listening() -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    sock.listen(16)
    return sock


def test_several_binds(serve: Serve) -> None:
    server = serve(binds=["tcp", "tcp", "tcp6", "unix"])
    first, second, sixth, unix = server.addresses
    assert server.messages("INFO")[1] == (
        f"Listening at: http://127.0.0.1:{first[1]},http://127.0.0.1:{second[1]},"
        f"http://[::1]:{sixth[1]},unix:{unix} ({server.pid})"
    )
    for address in server.addresses * 3:
        hello(server, address)
    assert server.terminate() == 0
    for address in server.addresses:
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
            Connection(address)
    assert not Path(str(unix)).exists()


def test_port_0(serve: Serve) -> None:
    server = serve(binds=["127.0.0.1:0"], ready="booted")
    ((port,),) = [server.wait_log(r"Listening at: http://127\.0\.0\.1:(\d+) ")]
    assert port != "0"
    hello(server, ("127.0.0.1", int(port)))


def test_name_of_a_host(serve: Serve) -> None:
    with reserve("127.0.0.1") as reservation:
        port = reservation.getsockname()[1]
        server = serve(binds=[f"LocalHost:{port}"], ready="booted")
        hello(server, ("127.0.0.1", port))


def test_bind_forms(serve: Serve, tmp_path: Path) -> None:
    with reserve("127.0.0.1") as first, reserve("0.0.0.0") as second:
        ports = [each.getsockname()[1] for each in (first, second)]
        binds = [
            f"tcp://127.0.0.1:{ports[0]}",
            f":{ports[1]}",
            f"unix://{tmp_path}/two-slashes",
        ]
        server = serve(binds=binds, ready="booted")
        hello(server, ("127.0.0.1", ports[0]))
        hello(server, ("127.0.0.1", ports[1]))
        hello(server, f"{tmp_path}/two-slashes")


def test_bind_of_the_port_variable(serve: Serve) -> None:
    with reserve("0.0.0.0") as reservation:
        port = reservation.getsockname()[1]
        server = serve(binds=[], env={"PORT": str(port)}, ready="booted")
        server.wait_log(rf"Listening at: http://0\.0\.0\.0:{port} ")
        hello(server, ("127.0.0.1", port))


@pytest.mark.parametrize(("umask", "mode"), [("0", 0o777), ("0o077", 0o700), ("007", 0o770)])
def test_mode_of_a_unix_socket(serve: Serve, umask: str, mode: int) -> None:
    server = serve("basic:app", "--umask", umask, binds=["unix"])
    path = Path(str(server.address))
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    hello(server)


def test_old_unix_socket_is_replaced(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "old"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    server = serve(binds=[f"unix:{path}"])
    hello(server)


def test_file_in_the_place_of_a_unix_socket(command: Command, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    done = command("--bind", f"unix:{tmp_path}/precious", "basic:app")
    assert done.code == 1
    assert "precious" in done.stderr
    assert (tmp_path / "precious").read_text() == "data"


@pytest.mark.saola_only
def test_unix_socket_in_a_directory_that_is_not_there(command: Command) -> None:
    done = command("--bind", "unix:/no/such/directory/sock", "basic:app")
    assert done.code == 1
    assert "/no/such/directory/sock" in done.stderr
    assert "Traceback" not in done.stderr


def test_inherited_descriptor(serve: Serve) -> None:
    with listening() as sock:
        server = serve(binds=[f"fd://{sock.fileno()}"], pass_fds=[sock.fileno()], ready="booted")
        address = sock.getsockname()
        server.wait_log(rf"Listening at: http://127\.0\.0\.1:{address[1]} ")
        hello(server, address)


LISTEN_FDS = 'exec 3<&"$1" && shift && LISTEN_PID=$$ exec "$@"'


def test_systemd_sockets(serve: Serve) -> None:
    with listening() as sock:
        server = serve(
            "basic:app",
            binds=[],
            prefix=["bash", "-c", LISTEN_FDS, "sh", str(sock.fileno())],
            env={"LISTEN_FDS": "1"},
            pass_fds=[sock.fileno()],
            ready="booted",
        )
        address = sock.getsockname()
        hello(server, address)
        with server.connect(address) as connection:
            variables = connection.request("/state", close=True).text
        assert "LISTEN_FDS" not in variables
        assert "LISTEN_PID" not in variables


def test_systemd_unix_socket_is_not_removed(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "activated"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        server = serve(
            "basic:app",
            binds=[],
            prefix=["bash", "-c", LISTEN_FDS, "sh", str(sock.fileno())],
            env={"LISTEN_FDS": "1"},
            pass_fds=[sock.fileno()],
            ready="booted",
        )
        hello(server, str(path))
        assert server.terminate() == 0
        assert path.exists()


def test_listen_fds_of_another_process_are_ignored(serve: Serve) -> None:
    server = serve(env={"LISTEN_FDS": "1", "LISTEN_PID": "1"})
    hello(server)


def test_reuse_port(serve: Serve) -> None:
    server = serve("basic:app", "--reuse-port", workers=2)
    server.wait_workers(2)
    for _ in range(20):
        hello(server)
    # Gunicorn says "Listening at:  (PID)": its arbiter has no socket.
    assert server.wait_log(rf"Listening at: (.*) \({server.pid}\)")[0] in (
        *("", f"http://127.0.0.1:{server.tcp[1]}"),
    )


def test_port_in_use(tmp_path: Path) -> None:
    """Five attempts, a second apart, then a clear error; and so for an address that is not ours."""
    results: dict[str, Finished] = {}

    def attempt(name: str, bind: str) -> None:
        (tmp_path / name).mkdir()
        results[name] = run(tmp_path / name, "--log-level", "debug", "--bind", bind, "basic:app")

    with listening() as sock:
        port = sock.getsockname()[1]
        threads = [
            threading.Thread(target=attempt, args=each)
            for each in (("used", f"127.0.0.1:{port}"), ("foreign", "192.0.2.1:8000"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    used = results["used"]
    assert used.code == 1
    assert used.stderr.count(f"Connection in use: ('127.0.0.1', {port})") == 5
    assert used.stderr.count("Retrying in 1 second.") == 5
    assert re.search(r"\[ERROR\] connection to \('127.0.0.1', \d+\) failed: ", used.stderr)
    assert f"Can't connect to ('127.0.0.1', {port})" in used.stderr
    assert "Traceback" not in used.stderr
    foreign = results["foreign"]
    assert foreign.code == 1
    assert foreign.stderr.count("Invalid address: ('192.0.2.1', 8000)") == 5
    assert "Can't connect to ('192.0.2.1', 8000)" in foreign.stderr


def test_port_that_becomes_free(serve: Serve) -> None:
    with listening() as sock:
        address = sock.getsockname()
        server = serve(binds=[f"127.0.0.1:{address[1]}"], ready="no")
        server.allow("Connection in use", "connection to .* failed")
        server.wait_log("Connection in use")
    server.wait_log("Listening at: ")
    poll(lambda: server.probe("answer"), "an answer")


@pytest.mark.parametrize(
    ("bind", "message"),
    [
        ("127.0.0.1:http", "'http' is not a valid port number."),
        ("::1", "is not a valid port number."),
        ("127.0.0.1:", "'' is not a valid port number."),
        ("fd://x", "'x' is not a valid file descriptor."),
    ],
)
def test_bad_bind(command: Command, bind: str, message: str) -> None:
    done = command("--bind", bind, "basic:app")
    assert done.code == 1
    assert f"Error: {message}" in done.stderr or message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.saola_only
@pytest.mark.parametrize(
    ("bind", "message"),
    [
        ("127.0.0.1:http", "(bind = '127.0.0.1:http')"),
        ("::1", "(bind = '::1': an IPv6 address belongs in brackets, [::1])"),
        ("http://localhost:80", "(bind = 'http://localhost:80': write localhost:80)"),
        ("fd://x", "(bind = 'fd://x')"),
    ],
)
def test_a_bad_bind_is_shown_whole(command: Command, bind: str, message: str) -> None:
    done = command("--bind", bind, "basic:app")
    assert (done.code, done.stderr.rstrip().endswith(message)) == (1, True), done.stderr


UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


@pytest.mark.saola_only
@pytest.mark.skipif(
    not UNPRIVILEGED.exists() or int(UNPRIVILEGED.read_text()) <= 81 or not shutil.which("setpriv"),
    reason="any process may bind any port",
)
def test_a_port_that_takes_privileges(command: Command) -> None:
    prefix = ["setpriv", "--bounding-set=-net_bind_service"] if os.geteuid() == 0 else []
    done = command("--bind", "127.0.0.1:81", "basic:app", command=[*prefix, *COMMAND])
    assert done.code == 1
    assert "connection to ('127.0.0.1', 81) failed: " in done.stderr
    assert "A port below 1024 takes root, the capability CAP_NET_BIND_SERVICE, or" in done.stderr


@pytest.mark.saola_only
@pytest.mark.parametrize("bind", ["127.0.0.1:99999", "fd://77", "no.such.host.invalid:80"])
def test_bind_that_cannot_be(command: Command, bind: str) -> None:
    done = command("--bind", bind, "basic:app")
    assert done.code == 1
    assert "Error" in done.stderr or "[ERROR]" in done.stderr
    assert "Traceback" not in done.stderr
