# SPDX-License-Identifier: MIT
"""The names that programs written for Gunicorn import: there, or saying that they come later."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from saola import arbiter, debug, errors, pidfile, reloader, sock, systemd, util
from saola.arbiter import Arbiter
from saola.http import errors as http_errors
from saola.workers.base import Worker

PRESENT = """
saola: version_info __version__ SERVER SERVER_SOFTWARE
saola.__main__: main
saola.app.base: BaseApplication Application
saola.app.wsgiapp: WSGIApplication run
saola.arbiter: Arbiter
saola.app.pasterapp: serve get_wsgi_app has_logging_config
saola.config: Config Setting KNOWN_SETTINGS make_settings get_default_config_file AccessLogFormat
saola.config: WorkerClass validate_string validate_bool validate_pos_int validate_callable
saola.config: validate_class validate_dict validate_list_string
saola.errors: HaltServer ConfigError AppImportError
saola.glogging: Logger SafeAtoms CONFIG_DEFAULTS SYSLOG_FACILITIES loggers
saola.glogging: parse_syslog_address
saola.instrument.statsd: Statsd
saola.workers: SUPPORTED_WORKERS
saola.workers.base: Worker
saola.workers.sync: SyncWorker
saola.workers.workertmp: WorkerTmp
saola.http: Request Response FileWrapper
saola.http.message: Request Message
saola.http.wsgi: Response FileWrapper
saola.http.errors: ParseException NoMoreData ConfigurationProblem InvalidRequestLine
saola.http.errors: InvalidRequestMethod InvalidHTTPVersion InvalidHeader InvalidHeaderName
saola.http.errors: ObsoleteFolding UnsupportedTransferCoding ExpectationFailed InvalidChunkSize
saola.http.errors: ChunkMissingTerminator InvalidChunkExtension LimitRequestLine
saola.http.errors: LimitRequestHeaders InvalidProxyLine InvalidProxyHeader ForbiddenProxyRequest
saola.http.errors: InvalidSchemeHeaders
saola.util: import_app load_class parse_address http_date getcwd daemonize close_on_exec
saola.util: set_owner_process write_error is_hoppish hop_headers unquote_to_wsgi_str
saola.util: to_bytestring warn make_fail_app get_arity _setproctitle
saola.sock: create_sockets TCPSocket TCP6Socket UnixSocket BaseSocket close_sockets ssl_context
saola.sock: ssl_wrap_socket
saola.pidfile: Pidfile
saola.systemd: listen_fds sd_notify
saola.reloader: Reloader InotifyReloader reloader_engines preferred_reloader
saola.debug: spew unspew
"""

LATER = """
saola.workers.gthread: ThreadWorker TConn
saola.workers.base_async: AsyncWorker ALREADY_HANDLED
saola.workers.ggevent: GeventWorker GeventPyWSGIWorker PyWSGIHandler PyWSGIServer
saola.workers.gtornado: TornadoWorker
saola.workers.gasgi: ASGIWorker
saola.dirty: get_dirty_client
saola.dirty.client: DirtyClient
saola.ctl.client: ControlClient
saola.http: get_parser RequestParser
saola.http.parser: Parser
saola.http.body: Body LengthReader ChunkedReader EOFReader
saola.http.unreader: SocketUnreader IterUnreader
saola.http.message: TOKEN_RE METHOD_BADCHAR_RE VERSION_RE RFC9110_5_5_INVALID_AND_DANGEROUS
saola.http.wsgi: create default_environ base_environ proxy_environ WSGIErrorsWrapper
"""


def names(table: str) -> list[tuple[str, str]]:
    lines = (line.split(": ") for line in table.strip().splitlines())
    return [(module, name) for module, line in lines for name in line.split()]


@pytest.mark.parametrize(("module", "name"), names(PRESENT))
def test_present(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize(("module", "name"), names(LATER))
def test_later(module: str, name: str) -> None:
    with pytest.raises(ImportError, match=r"^saola\.[\w.]+ is not supported yet by Saola$"):
        exec(f"from {module} import {name}")


@pytest.mark.parametrize("module", ["saola", "saola.http", "saola.http.message", "saola.http.wsgi"])
def test_no_name_at_all(module: str) -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = importlib.import_module(module).nonsense


ARBITER = """
WORKER_BOOT_ERROR APP_LOAD_ERROR WORKERS LISTENERS SIGNALS SIG_NAMES START_CTX num_workers
start run setup stop halt reload reexec manage_workers spawn_worker spawn_workers kill_worker
kill_workers murder_workers reap_workers wakeup handle_hup handle_term handle_int handle_quit
handle_ttin handle_ttou handle_usr1 handle_usr2 handle_winch handle_chld
"""
WORKER = """
SIGNALS load_wsgi notify init_signals handle_exit handle_quit handle_abort handle_usr1 handle_winch
"""


@pytest.mark.parametrize("name", ARBITER.split())
def test_arbiter(name: str) -> None:
    assert hasattr(Arbiter, name)


@pytest.mark.parametrize("name", WORKER.split())
def test_worker(name: str) -> None:
    assert hasattr(Worker, name)


def test_arbiter_constants() -> None:
    assert (Arbiter.WORKER_BOOT_ERROR, Arbiter.APP_LOAD_ERROR) == (3, 4)
    assert Arbiter.SIG_NAMES[signal.SIGHUP] == "hup"
    assert Arbiter.SIG_NAMES[signal.SIGKILL] == "kill"
    assert signal.SIGTTIN in Arbiter.SIGNALS
    assert isinstance(Arbiter.SIGNALS, list)
    assert isinstance(Worker.SIGNALS, list)


def test_what_is_told_may_go_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload must not fail because stderr is closed, or a pipe that nobody reads any more."""

    class Broken:
        def write(self, text: str) -> None:
            raise BrokenPipeError

    for stream in (None, Broken()):
        with monkeypatch.context() as patch:
            patch.setattr("sys.stderr", stream)
            arbiter._tell("warning\n")


def test_steering_without_an_arbiter() -> None:
    from saola import _core

    with pytest.raises(RuntimeError, match="no arbiter is running"):
        _core.arbiter_spawn()


# --- errors


def test_halt_server() -> None:
    error = errors.HaltServer("enough", 7)
    assert (error.reason, error.exit_status) == ("enough", 7)
    assert not isinstance(error, Exception)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (http_errors.InvalidRequestLine("GET"), "Invalid HTTP request line: 'GET'"),
        (http_errors.InvalidHTTPVersion((2, 0)), "Invalid HTTP Version: (2, 0)"),
        (http_errors.LimitRequestLine(5000, 4094), "Request Line is too large (5000 > 4094)"),
        (http_errors.NoMoreData(b"x"), "No more data after: b'x'"),
        (http_errors.InvalidSchemeHeaders(), "Contradictory scheme headers"),
        (http_errors.LimitRequestHeaders("max buffer headers"), "max buffer headers"),
        (http_errors.ConfigurationProblem("{x}"), "Configuration problem: {x}"),
        (http_errors.InvalidHeader("X", req=None), "Invalid HTTP Header: 'X'"),
        (http_errors.InvalidProxyHeader("no"), "Invalid PROXY header: no"),
        (http_errors.InvalidChunkExtension("bare CR"), "Invalid chunk extension: bare CR"),
    ],
)
def test_texts_of_errors(error: Exception, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize(
    ("name", "field"),
    [
        *(("ConfigurationProblem", "info"), ("InvalidRequestLine", "req")),
        *(("InvalidRequestMethod", "method"), ("ExpectationFailed", "expect")),
        *(("InvalidHTTPVersion", "version"), ("InvalidHeader", "hdr"), ("ObsoleteFolding", "hdr")),
        *(("InvalidHeaderName", "hdr"), ("UnsupportedTransferCoding", "hdr")),
        *(("LimitRequestHeaders", "msg"), ("InvalidProxyLine", "line")),
        *(("InvalidProxyHeader", "msg"), ("ForbiddenProxyRequest", "host")),
    ],
)
def test_what_errors_carry(name: str, field: str) -> None:
    error = getattr(http_errors, name)("what")
    assert getattr(error, field) == "what"
    assert error.args == ("what",)


@pytest.mark.parametrize(
    "name", ["NoMoreData", "InvalidChunkSize", "ChunkMissingTerminator", "InvalidChunkExtension"]
)
def test_errors_of_reading_are_os_errors(name: str) -> None:
    assert issubclass(getattr(http_errors, name), OSError)


# --- util


def test_load_class() -> None:
    from saola.workers.sync import SyncWorker

    assert util.load_class("sync") is SyncWorker
    assert util.load_class("saola.workers.sync.SyncWorker") is SyncWorker
    assert util.load_class(SyncWorker) is SyncWorker
    for uri in ("saola.workers.sync.NoWorker", "nonsense", "egg:nonsense#main", "egg:pytest#main"):
        with pytest.raises(RuntimeError, match=r"class uri '.*' invalid or not found"):
            util.load_class(uri)


def test_http() -> None:
    assert util.http_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert util.is_hoppish(" Transfer-Encoding ")
    assert not util.is_hoppish("Content-Type")
    assert util.unquote_to_wsgi_str(b"/%C3%A9") == "/\xc3\xa9"
    assert util.to_bytestring("é") == b"\xc3\xa9"
    with pytest.raises(TypeError):
        util.to_bytestring(1)  # type: ignore[arg-type]


def test_write_error() -> None:
    here, there = socket.socketpair()
    with here, there:
        util.write_error(here, 400, "Bad Request", "<&> \u20ac")
        page = there.recv(4096)
    assert page.startswith(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n")
    assert rb"&lt;&amp;&gt; \u20ac" in page
    head, _, body = page.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head


def test_make_fail_app() -> None:
    seen: list[Any] = []
    body = util.make_fail_app("why")({}, lambda *args: seen.append(args))
    assert list(body) == [b"why"]
    assert seen[0][0] == "500 Internal Server Error"
    # A traceback may show whatever there is in an application's file names.
    assert list(util.make_fail_app("\udcff")({}, lambda *args: None)) == [rb"\udcff"]


def test_is_ipv6() -> None:
    assert util.is_ipv6("::1")
    assert not util.is_ipv6("127.0.0.1")


def test_close_on_exec() -> None:
    read, write = os.pipe()
    os.set_inheritable(read, True)
    util.close_on_exec(read)
    assert not os.get_inheritable(read)
    os.close(read)
    os.close(write)


def test_title() -> None:
    """In a process of its own: the title would be pytest's."""
    pid = os.fork()
    if pid == 0:
        util._setproctitle("master [x]")
        title = Path("/proc/self/cmdline").read_bytes().split(b"\0")[0]
        os._exit(0 if title.startswith(b"saola: master [x]") else 1)
    assert os.waitpid(pid, 0)[1] == 0


# --- sock


def settings(**changes: Any) -> Any:
    values: dict[str, Any] = {
        "address": [("127.0.0.1", 0)],
        "backlog": 5,
        "reuse_port": False,
        "is_ssl": False,
        "certfile": None,
        "keyfile": None,
        "umask": 0o077,
        "uid": os.getuid(),
        "gid": os.getgid(),
    }
    return SimpleNamespace(**(values | changes))


def test_tcp_socket() -> None:
    (listener,) = sock.create_sockets(settings(), SimpleNamespace())  # type: ignore[arg-type]
    assert isinstance(listener, sock.TCPSocket)
    port = listener.getsockname()[1]
    assert str(listener) == f"http://127.0.0.1:{port}"
    assert os.get_inheritable(listener.fileno())
    socket.create_connection(("127.0.0.1", port)).close()
    sock.close_sockets([listener])


def test_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    conf = settings(address=[path])
    (listener,) = sock.create_sockets(conf, SimpleNamespace())  # type: ignore[arg-type]
    assert (str(listener), listener.cfg_addr) == (f"unix:{path}", path)
    assert os.stat(path).st_mode & 0o777 == 0o700
    sock.close_sockets([listener])
    assert not os.path.exists(path)


def test_sockets_of_descriptors() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        fd = os.dup(server.fileno())
        listeners = sock.create_sockets(settings(), SimpleNamespace(), fds=[fd])  # type: ignore[arg-type]
        assert listeners[0].getsockname() == server.getsockname()
        sock.close_sockets(listeners)


def test_missing_certificate() -> None:
    with pytest.raises(ValueError, match="certfile"):
        sock.create_sockets(settings(certfile="/nowhere"), SimpleNamespace())  # type: ignore[arg-type]


def test_listener_of_the_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        listener = sock.served(server.fileno(), "http://127.0.0.1:1")
        assert isinstance(listener, sock.TCPSocket)
        assert (listener.fileno(), str(listener)) == (server.fileno(), "http://127.0.0.1:1")
        assert listener.cfg_addr == server.getsockname() == listener.getsockname()
        listener.close()
        assert listener.family == socket.AF_INET
        listener.close()


# --- pidfile, systemd


def test_pidfile(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("garbage")
    file = pidfile.Pidfile(str(path))
    assert file.validate() is None
    file.create(os.getpid())
    assert path.read_text() == f"{os.getpid()}\n"
    assert path.stat().st_mode & 0o777 == 0o644
    file.rename(str(tmp_path / "other"))
    assert [each.name for each in tmp_path.iterdir()] == ["other"]
    file.unlink()
    assert not list(tmp_path.iterdir())


def test_pidfile_of_another(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text(f"{os.getppid()}\n")
    with pytest.raises(RuntimeError, match=rf"Already running on PID {os.getppid()}"):
        pidfile.Pidfile(str(path)).create(os.getpid())
    with pytest.raises(RuntimeError, match="Can't create pidfile"):
        pidfile.Pidfile(str(tmp_path / "no" / "pid")).create(os.getpid())


def test_listen_fds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDS", "2")
    monkeypatch.setenv("LISTEN_PID", "1")
    assert systemd.listen_fds() == 0
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    assert systemd.listen_fds(unset_environment=False) == 2
    assert systemd.listen_fds() == 2
    assert "LISTEN_FDS" not in os.environ


def test_sd_notify(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        systemd.sd_notify("READY=1", SimpleNamespace(), unset_environment=True)  # type: ignore[arg-type]
        assert receiver.recv(100) == b"READY=1"
    assert "NOTIFY_SOCKET" not in os.environ


# --- reloader, debug


@pytest.mark.parametrize("engine", ["poll", "inotify"])
@pytest.mark.parametrize("how", ["written", "replaced", "matched", "touched"])
def test_reloader(engine: str, how: str, tmp_path: Path) -> None:
    file = tmp_path / "templates" / "a.html"
    file.parent.mkdir()
    file.write_text("one")
    found = threading.Event()
    names: list[str] = []

    def note(name: str) -> None:
        names.append(name)
        found.set()

    entry = str(file.parent / "*.html") if how == "matched" else str(file)
    thread = reloader.reloader_engines[engine](extra_files=[entry], callback=note)
    thread._interval = 0.05
    thread.changed()
    thread.start()
    if how == "replaced":
        new = tmp_path / "new"
        new.write_text("two")
        new.rename(file)
    elif how == "touched":
        os.utime(file, (1, 1))
    else:
        file.write_text("longer")
    assert found.wait(30)
    assert names == [str(file)]
    thread.join(30)
    assert not thread.is_alive()


def test_inotify_does_not_wait(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("one")
    found = threading.Event()
    thread = reloader.InotifyReloader([str(file)], lambda name: found.set())
    thread._interval = 3600.0
    thread.changed()
    thread.start()
    file.write_text("longer")
    assert found.wait(30)


def test_what_changes_while_the_application_is_loaded_is_not_forgotten(tmp_path: Path) -> None:
    """The thread has looked at a file, which then changes; and the worker takes note of all."""
    file = tmp_path / "a"
    file.write_text("one")
    thread = reloader.Reloader([str(file)])
    assert thread.changed() is None
    file.write_text("longer")
    thread.remember()
    assert thread.changed() == str(file)
    assert thread.changed() is None


def test_reloader_watches_modules() -> None:
    files = reloader.Reloader().get_files()
    assert __file__ in files
    assert util.__file__ in files


def test_pattern_without_files(tmp_path: Path) -> None:
    with pytest.warns(RuntimeWarning, match="currently matches no files"):
        reloader.Reloader([str(tmp_path / "*.x")]).get_files()


def test_spew(capfd: pytest.CaptureFixture[str]) -> None:
    debug.spew(trace_names=[__name__], show_values=True)
    try:
        spewed(17)
    finally:
        debug.unspew()
    said = capfd.readouterr().err
    assert "doubled = number * 2" in said
    assert "number=17" in said


def spewed(number: int) -> int:
    doubled = number * 2
    return doubled + time.daylight
