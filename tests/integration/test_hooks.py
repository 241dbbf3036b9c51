# SPDX-License-Identifier: MIT
"""What hooks see, and what becomes of the server if one raises."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from client import build_request, chunked
from conftest import Serve
from procs import poll
from server import PATIENT, Finished, Server, run

pytestmark = pytest.mark.saola_only

# Each hook writes what it sees, as a line of JSON.
NOTES = """
import json, os
def note(**values):
    fd = os.open("notes.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, (json.dumps(values, default=str) + "\\n").encode())
    os.close(fd)
"""


def notes(server: Server, count: int) -> list[dict[str, Any]]:
    path = server.tmp / "notes.txt"

    def found() -> list[dict[str, Any]] | None:
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines] if len(lines) >= count else None

    return poll(found, f"{count} notes") or []


def test_server_and_worker(serve: Serve) -> None:
    config = (
        NOTES
        + """
proc_name = "named"
max_requests = 1000
timeout = 40
def when_ready(server):
    note(workers=server.num_workers, pid=server.pid, is_pid=server.pid == os.getpid(),
         address=server.address, timeout=server.timeout, name=server.proc_name,
         listener=str(server.LISTENERS[0]), bound=server.LISTENERS[0].getsockname(),
         cfg=server.cfg is server.app.cfg, age=server.worker_age, running=len(server.WORKERS),
         master=server.master_pid, reexec=server.reexec_pid, pidfile=server.pidfile)
def pre_fork(server, worker):
    note(age=worker.age, pid=worker.pid, ppid=worker.ppid == server.pid, alive=worker.alive,
         timeout=worker.timeout, booted=worker.booted, wsgi=worker.wsgi, app=str(type(worker.app)))
def post_worker_init(worker):
    note(pid=worker.pid == os.getpid(), booted=worker.booted, wsgi=callable(worker.wsgi),
         nr=worker.nr, max=worker.max_requests, sockets=[str(s) for s in worker.sockets],
         aborted=worker.aborted, cfg=worker.cfg.proc_name, beat=worker.tmp.last_update())
    worker.notify()
    worker.log.info("here it is")
def post_request(worker, req, environ, resp):
    note(nr=worker.nr, alive=worker.tmp.last_update() > 0, file=worker.tmp.fileno() > 2)
    worker.tmp.close()
def worker_exit(server, worker):
    note(nr=worker.nr, pid=server.pid != os.getpid())
def child_exit(server, worker):
    note(left=worker.pid in server.WORKERS, booted=worker.booted, age=worker.age)
"""
    )
    server = serve(config=config, ready="booted")
    server.wait_log("here it is")
    server.request("/")
    ready, fork, init, _ = notes(server, 4)
    host, port = server.tcp
    assert ready == {
        "workers": 1,
        "pid": server.pid,
        "is_pid": True,
        "address": [[host, port]],
        "timeout": 40,
        "name": "named",
        "listener": f"http://{host}:{port}",
        "bound": [host, port],
        "cfg": True,
        "age": 0,
        "running": 0,
        "master": 0,
        "reexec": 0,
        "pidfile": None,
    }
    assert fork == {
        "age": 1,
        "pid": "[booting]",
        "ppid": True,
        "alive": True,
        "timeout": 20.0,
        "booted": False,
        "wsgi": None,
        "app": "<class 'saola.app.wsgiapp.WSGIApplication'>",
    }
    assert init.pop("beat") >= 0
    assert init == {
        "pid": True,
        "booted": True,
        "wsgi": True,
        "nr": 0,
        "max": 1000,
        "sockets": [f"http://{host}:{port}"],
        "aborted": False,
        "cfg": "named",
    }
    assert server.terminate() == 0
    request, exiting, left = notes(server, 6)[3:]
    assert request == {"nr": 1, "alive": True, "file": True}
    assert exiting == {"nr": 1, "pid": True}
    assert left == {"left": False, "booted": False, "age": 1}


def test_the_pid_file_of_the_server(serve: Serve) -> None:
    config = NOTES + (
        "pidfile = 'name'\n"
        "def when_ready(server): note(name=server.pidfile.fname, pid=server.pidfile.pid)\n"
    )
    server = serve(config=config)
    assert notes(server, 1) == [{"name": "name", "pid": server.pid}]


def test_request_and_response(serve: Serve) -> None:
    config = (
        NOTES
        + """
def pre_request(worker, req):
    note(method=req.method, uri=req.uri, path=req.path, query=req.query, fragment=req.fragment,
         version=req.version, headers=req.headers, trailers=req.trailers, scheme=req.scheme,
         peer=req.peer_addr, remote=req.remote_addr, number=req.req_number,
         proxy=req.proxy_protocol_info, unreader=req.unreader, must_close=req.must_close,
         close=req.should_close())
def post_request(worker, req, environ, resp):
    note(status=resp.status, code=resp.status_code, headers=resp.headers, sent=resp.sent,
         length=resp.response_length, chunked=resp.chunked, head=resp.headers_sent,
         upgrade=resp.upgrade, must_close=resp.must_close, version=resp.version,
         same=resp.req is req, cfg=resp.cfg is worker.cfg, close=resp.should_close(),
         body=req.body.read().decode(), method=environ["REQUEST_METHOD"])
"""
    )
    server = serve("basic:app", *PATIENT, config=config, ready="booted")
    with server.connect() as connection:
        connection.request("/first")
        body = chunked([b"abc"], trailers=b"X-One: 1\r\nx-two:two \r\n")
        headers = [("Transfer-Encoding", "chunked"), ("x-a", "1")]
        head = build_request("/echo?a=b#c", method="POST", headers=headers)
        connection.send(head + body)
        assert connection.read_response("POST").body == b"abc"
        before, after = notes(server, 4)[2:]
        peer = list(connection.sock.getsockname())
    assert [each for each in before.pop("headers") if each[0] == "X-A"] == [["X-A", "1"]]
    assert before == {
        "method": "POST",
        "uri": "/echo?a=b#c",
        "path": "/echo",
        "query": "a=b",
        "fragment": "c",
        "version": [1, 1],
        "scheme": "http",
        "peer": peer,
        "remote": peer,
        "trailers": [["X-ONE", "1"], ["X-TWO", "two"]],
        "number": 2,
        "proxy": None,
        "unreader": None,
        "must_close": False,
        "close": False,
    }
    assert after.pop("headers")
    assert after.pop("body") == ""
    assert after == {
        "status": "200 OK",
        "code": 200,
        "sent": 3,
        "length": 3,
        "chunked": False,
        "head": True,
        "upgrade": False,
        "must_close": False,
        "version": "saola",
        "same": True,
        "cfg": True,
        "close": False,
        "method": "POST",
    }


def test_too_many_bytes_of_trailers(serve: Serve) -> None:
    server = serve(config="def pre_request(worker, req): pass\n")
    trailers = b"".join(b"X-%d: %s\r\n" % (i, b"x" * 8000) for i in range(10))
    head = build_request("/echo", method="POST", headers=[("Transfer-Encoding", "chunked")])
    assert server.send(head + chunked([b"abc"], trailers=trailers), "POST").status == 431


def test_force_close(serve: Serve) -> None:
    server = serve(config="def pre_request(worker, req): req.force_close()\n")
    with server.connect() as connection:
        assert connection.request("/").get("Connection") == "close"
        connection.expect_closed()


# --- hooks that raise


def run_with(tmp: Path, hook: str, **options: Any) -> Finished:
    return run(tmp, "-b", "127.0.0.1:0", "basic:app", config=f"def {hook}: 1 / 0\n", **options)


@pytest.mark.parametrize(
    ("hook", "code", "text"),
    [
        ("nworkers_changed(server, new, old)", 1, "Traceback"),
        ("on_starting(server)", 1, "Traceback"),
        ("when_ready(server)", 1, "Traceback"),
        ("pre_fork(server, worker)", 255, "Unhandled exception in main loop"),
        ("post_fork(server, worker)", 3, "Reason: Worker failed to boot."),
        ("post_worker_init(worker)", 3, "Reason: Worker failed to boot."),
    ],
)
def test_raises_at_the_start(tmp_path: Path, hook: str, code: int, text: str) -> None:
    done = run_with(tmp_path, hook)
    assert done.code == code, done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert text in done.stderr
    assert ("Starting saola" in done.stderr) == (not hook.startswith("nworkers"))


def raising(serve: Serve, hook: str) -> Server:
    server = serve(config=f"def {hook}: 1 / 0\n")
    server.allow("ZeroDivisionError", "Shutting down", "exited with code", "was sent SIG")
    return server


@pytest.mark.parametrize(
    ("hook", "number", "code", "text"),
    [
        ("on_reload(server)", signal.SIGHUP, 255, "Unhandled exception in main loop"),
        ("nworkers_changed(server, n, o): o and", signal.SIGTTIN, 255, "Unhandled exception"),
        ("on_exit(server)", signal.SIGTERM, 1, "ZeroDivisionError"),
        ("child_exit(server, worker)", signal.SIGTERM, 1, "ZeroDivisionError"),
        ("worker_exit(server, worker)", signal.SIGTERM, 0, "Exception during worker exit:"),
    ],
)
def test_raises_in_the_arbiter(
    serve: Serve, hook: str, number: signal.Signals, code: int, text: str
) -> None:
    config = f"def {hook}: 1 / 0\n" if ": " not in hook else f"def {hook} 1 / 0\n"
    server = serve(config=config)
    server.allow("ZeroDivisionError", "Shutting down", "exited with code", "was sent SIG")
    server.kill(number)
    assert server.wait() == code
    assert text in server.log
    assert "ZeroDivisionError" in server.log


def test_child_exit_raises_while_the_server_runs(serve: Serve) -> None:
    server = raising(serve, "child_exit(server, worker)")
    server.kill(signal.SIGKILL, server.worker)
    assert server.wait() == 255
    assert "Unhandled exception in main loop" in server.log


def test_pre_exec_raises(serve: Serve) -> None:
    """The upgrade ends, the server does not."""
    server = raising(serve, "pre_exec(server)")
    worker = server.worker
    server.kill(signal.SIGUSR2)
    server.wait_log("ZeroDivisionError")
    server.wait_workers(1)
    assert server.worker == worker
    assert server.request("/").status == 200


def test_worker_int_raises(serve: Serve) -> None:
    server = raising(serve, "worker_int(worker)")
    worker = server.worker
    server.kill(signal.SIGINT, worker)
    server.wait_log(rf"\[{worker}\] \[ERROR\] Exception in worker process")
    server.wait_log(rf"Worker \(pid:{worker}\) exited with code 255")
    server.wait_workers(1, other_than=[worker])


def test_worker_abort_raises(serve: Serve, tmp_path: Path) -> None:
    """Into whatever runs: here the application."""
    (tmp_path / "sleeper.py").write_text(
        "import time\n"
        "def app(environ, start_response):\n"
        "    open('started', 'w').close()\n"
        "    time.sleep(60)\n"
    )
    config = "def worker_abort(worker): 1 / 0\n"
    args = ("sleeper:app", "--pythonpath", str(tmp_path))
    server = serve(*args, config=config, ready="booted")
    server.allow("ZeroDivisionError", "exited with code 1")
    worker = server.worker
    with server.connect() as connection:
        connection.send(build_request())
        poll((server.tmp / "started").exists, "the request")
        server.kill(signal.SIGABRT, worker)
        assert connection.read_response().status == 500
    server.wait_log("Error handling request GET /\n")
    server.wait_workers(1, other_than=[worker])


def test_request_hooks_raise(serve: Serve) -> None:
    config = """
def pre_request(worker, req):
    if req.path == "/pre":
        1 / 0
def post_request(worker, req, environ, resp):
    worker.log.info("after %s: %s, %s", req.path, len(environ), resp)
    if req.path == "/post":
        1 / 0
"""
    server = serve(config=config, ready="booted")
    server.allow("ZeroDivisionError")
    assert server.request("/pre").status == 500
    server.wait_log("Error handling request GET /pre")
    server.wait_log("after /pre: 0, None")
    assert server.request("/post").status == 404
    server.wait_log("Exception in post_request hook")
    assert server.request("/").status == 200


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("def on_starting(): pass", "Value must have an arity of: 1"),
        ("def pre_fork(server): pass", "Value must have an arity of: 2"),
        ("def nworkers_changed(a, b): pass", "Value must have an arity of: 3"),
        ("def post_request(worker): pass", "Value must have an arity of: 4"),
        ("on_exit = 7", "Value is not callable: 7"),
        ("on_exit = 'nowhere.at_all'", "No module named 'nowhere'"),
        ("on_exit = 'os.nonsense'", "Can not load 'nonsense' from 'os'"),
    ],
)
def test_wrong_hooks_are_refused(tmp_path: Path, line: str, text: str) -> None:
    done = run(tmp_path, "basic:app", config=line + "\n")
    assert done.code == 1
    assert f"Error: {text}" in done.stderr
    assert "Traceback" not in done.stderr


def test_hook_by_name(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "my_hooks.py").write_text("def ready(server): server.log.info('found by name')\n")
    config = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nwhen_ready = 'my_hooks.ready'\n"
    serve(config=config).wait_log("found by name")


def test_a_hook_that_waits_for_workers(serve: Serve) -> None:
    """What it has taken from the arbiter is missed at once, and replaced."""
    config = """
import os, signal

def nworkers_changed(server, new, old):
    if old is not None:
        for pid in list(server.WORKERS):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

def child_exit(server, worker):
    server.reap_workers()
    server.log.info("child_exit of %s", worker.pid)
"""
    server = serve("basic:app", "--timeout", "0", config=config)
    server.allow(r"Worker \(pid:\d+\) has ended, and somebody else")
    lost = server.worker
    server.kill(signal.SIGTTIN)
    server.wait_workers(2, other_than=[lost])
    assert server.wait_log(r"child_exit of (\d+)") == [str(lost)]
    assert server.request("/").status == 200
    server.terminate()
    assert len(server.wait_log(r"child_exit of (\d+)", 3)) == 3
