# SPDX-License-Identifier: MIT
"""The command line, the configuration file, the environment: what wins, and what is refused."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Serve
from procs import poll
from server import NAME, Finished, Server

Command = Callable[..., Finished]


def settings(done: Finished) -> dict[str, str]:
    """What --print-config has printed."""
    assert done.code == 0, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        name, equals, value = line.partition("=")
        if equals and re.fullmatch(r"[a-z0-9_]+ +", name):
            found[name.strip()] = value.strip()
    return found


def test_print_config(command: Command) -> None:
    done = command("--print-config", "basic:app")
    found = settings(done)
    names = [line.split()[0] for line in done.stdout.splitlines() if " = " in line]
    assert names == sorted(names)
    assert len({line.index(" = ") for line in done.stdout.splitlines() if " = " in line}) == 1
    for name, value in {
        "bind": "['127.0.0.1:8000']",
        "backlog": "2048",
        "workers": "1",
        "worker_connections": "1000",
        "max_requests": "0",
        "max_requests_jitter": "0",
        "timeout": "30",
        "graceful_timeout": "30",
        "keepalive": "2",
        "limit_request_line": "4094",
        "limit_request_fields": "100",
        "limit_request_field_size": "8190",
        "preload_app": "False",
        "reuse_port": "False",
        "raw_env": "[]",
        "pidfile": "None",
        "worker_tmp_dir": "None",
        "tmp_upload_dir": "None",
        "umask": "0",
        "accesslog": "None",
        "access_log_format": '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
        "errorlog": "-",
        "loglevel": "info",
        "proc_name": "None",
        "pythonpath": "None",
        "check_config": "False",
        "print_config": "True",
    }.items():
        assert found[name] == value, name


def test_precedence(command: Command) -> None:
    """Defaults, then the environment, then the file, then GUNICORN_CMD_ARGS, the command line."""
    config = "workers = 3\ntimeout = 33\nkeepalive = 3\nbacklog = 333\n"
    env = {
        "WEB_CONCURRENCY": "2",
        "GUNICORN_CMD_ARGS": "--timeout 44 --keep-alive=4 --bind 127.0.0.1:4444",
    }
    arguments = ["--print-config", "--keep-alive", "5", "basic:app"]
    assert settings(command("--print-config", "basic:app", env=env))["workers"] == "2"
    found = settings(command(*arguments, config=config, env=env))
    assert found["workers"] == "3"
    assert found["backlog"] == "333"
    assert found["timeout"] == "44"
    assert found["keepalive"] == "5"
    assert found["bind"] == "['127.0.0.1:4444']"


def test_lists_are_not_merged(command: Command) -> None:
    config = "bind = ['127.0.0.1:1', '127.0.0.1:2']\n"
    arguments = ["--print-config", "-b", "127.0.0.1:3", "-b", "127.0.0.1:4", "basic:app"]
    assert settings(command(*arguments, config=config))["bind"] == (
        "['127.0.0.1:3', '127.0.0.1:4']"
    )


def test_string_for_a_list(command: Command) -> None:
    found = settings(command("--print-config", "basic:app", config="bind = '127.0.0.1:5'\n"))
    assert found["bind"] == "['127.0.0.1:5']"


def test_abbreviated_option(command: Command) -> None:
    found = settings(command("--print-config", "--worker-conn", "77", "basic:app"))
    assert found["worker_connections"] == "77"


def test_short_options(command: Command) -> None:
    found = settings(
        command("--print-config", "-w", "4", "-t", "9", "-b", ":1", "-n", "shop", "basic:app")
    )
    assert (found["workers"], found["timeout"]) == ("4", "9")
    assert (found["bind"], found["proc_name"]) == ("[':1']", "shop")


def test_forms_of_values(command: Command) -> None:
    config = "workers = '0x10'\numask = 0o27\npreload_app = 'true'\nproc_name = ' x '\n"
    found = settings(command("--print-config", "basic:app", config=config))
    assert found["workers"] == "16"
    assert found["umask"] == "23"
    assert found["preload_app"] == "True"
    assert found["proc_name"] == "x"
    found = settings(command("--print-config", "-w", "010", "-m", "027", "basic:app"))
    assert (found["workers"], found["umask"]) == ("10", "23")


def test_file_named_on_the_command_line(command: Command, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("workers = 6\n")
    (tmp_path / "gunicorn.conf.py").write_text("workers = 7\n")
    for argument in ("other.py", "file:other.py", str(tmp_path / "other.py")):
        found = settings(command("--print-config", "-c", argument, "basic:app"))
        assert found["workers"] == "6"
    found = settings(command("--print-config", "-c", "python:other", "basic:app"))
    assert found["workers"] == "6"
    assert settings(command("--print-config", "basic:app"))["workers"] == "7"


def test_file_runs_as_python(command: Command) -> None:
    config = (
        "import multiprocessing\n"
        "workers = 2 + 3\n"
        "Workers = 99\n"
        "unknown_thing = object()\n"
        "def helper():\n    return 1\n"
    )
    assert settings(command("--print-config", "basic:app", config=config))["workers"] == "5"


def test_file_that_is_not_there(command: Command) -> None:
    done = command("-c", "no-such-file.py", "basic:app")
    assert done.code == 1
    assert "Error: 'no-such-file.py' doesn't exist" in done.stderr


def test_file_that_raises(command: Command) -> None:
    done = command("basic:app", config="workers = 1 / 0\n")
    assert done.code == 1
    assert "Failed to read config file: " in done.stderr
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("workers = -1", "Value must be positive: -1"),
        ("workers = 1.5", "1.5"),
        ("workers = 'many'", "many"),
        ("workers = []", ""),
        ("preload_app = 1", "Invalid type for casting: 1"),
        ("preload_app = 'maybe'", "Invalid boolean: maybe"),
        ("proc_name = 7", "7"),
        ("bind = 7", "7"),
        ("user = 'no-such-user'", "No such user: 'no-such-user'"),
        ("group = 'no-such-group'", "No such group: 'no-such-group'"),
        ("chdir = '/no/such/directory'", "can't chdir to '/no/such/directory'"),
        ("post_fork = 7", ""),
        ("post_fork = lambda: None", "Value must have an arity of: 2"),
        ("def on_starting(a, b): pass", "Value must have an arity of: 1"),
    ],
)
def test_bad_value_in_the_file(command: Command, line: str, message: str) -> None:
    done = command("basic:app", config=line + "\n")
    assert done.code == 1
    name = re.sub(r"^def |[ (].*", "", line)
    assert f"Invalid value for {name}: " in done.stderr
    assert "\nError: " in done.stderr
    assert message in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "-1"], "Value must be positive: -1"),
        (["--chdir", "/no/such/directory"], "can't chdir to '/no/such/directory'"),
        (["--user", "no-such-user"], "No such user: 'no-such-user'"),
    ],
)
def test_bad_value_on_the_command_line(
    command: Command, arguments: list[str], message: str
) -> None:
    done = command(*arguments, "basic:app")
    assert (done.code, done.stderr.strip()) == (1, f"Error: {message}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--no-such-option"], "unrecognized arguments: --no-such-option"),
        (["--workers", "many"], "argument -w/--workers: invalid int value: 'many'"),
        (["--max"], "ambiguous option"),
        (["--bind"], "expected one argument"),
    ],
)
def test_bad_command_line(command: Command, arguments: list[str], message: str) -> None:
    done = command("basic:app", *arguments)
    assert done.code == 2
    assert done.stderr.startswith("usage: ")
    assert f"{NAME}: error: " in done.stderr
    assert message in done.stderr


def test_bad_arguments_in_the_environment(command: Command) -> None:
    done = command("basic:app", env={"GUNICORN_CMD_ARGS": "--bind 'unbalanced"})
    assert done.code == 1
    assert "Error: No closing quotation" in done.stderr
    assert command("basic:app", env={"GUNICORN_CMD_ARGS": "--nope"}).code == 2


@pytest.mark.saola_only
def test_bad_web_concurrency(command: Command) -> None:
    done = command("--print-config", "basic:app", env={"WEB_CONCURRENCY": "many"})
    assert done.code == 1
    assert "WEB_CONCURRENCY" in done.stderr or "many" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_application(command: Command) -> None:
    done = command()
    assert (done.code, done.stderr.strip()) == (1, "Error: No application module specified.")


@pytest.mark.parametrize("option", ["--version", "-v"])
def test_version(command: Command, option: str) -> None:
    done = command(option)
    assert done.code == 0
    assert re.fullmatch(rf"{NAME} \(version \d+(\.\d+)+\S*\)", done.stdout.strip())


def test_help(command: Command) -> None:
    done = command("--help")
    assert done.code == 0
    assert done.stdout.startswith("usage: ")
    for option in ("--bind", "--workers", "--access-logfile", "--preload", "APP_MODULE"):
        assert option in done.stdout


def test_check_config(command: Command) -> None:
    assert command("--check-config", "basic:app").code == 0
    done = command("--check-config", "no_such_module:app")
    assert done.code == 1
    assert "Error while loading the application:" in done.stderr
    assert "No module named 'no_such_module'" in done.stderr
    done = command("--check-config", "basic:app", config="workers = -1\n")
    assert done.code == 1


def test_application_named_in_the_file(serve: Serve) -> None:
    server = serve(None, config="wsgi_app = 'basic:app'\n")
    assert server.request("/").body == b"hello\n"


def test_positional_application_wins(serve: Serve) -> None:
    server = serve("basic:app", config="wsgi_app = 'no_such_module:app'\n")
    assert server.request("/").body == b"hello\n"


def test_default_object_is_application(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("from basic import app as application\n")
    server = serve("plain", "--pythonpath", str(tmp_path))
    assert server.request("/").body == b"hello\n"


def state(server: Server) -> dict[str, object]:
    found: dict[str, object] = json.loads(server.request("/state").body)
    return found


def test_chdir(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "there.py").write_text("from basic import app\n")
    server = serve("there:app", "--chdir", str(tmp_path))
    found = state(server)
    assert found["cwd"] == os.path.realpath(tmp_path)
    assert str(tmp_path) in found["path"]  # type: ignore[operator]


def test_pythonpath(serve: Serve, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    server = serve("basic:app", "--pythonpath", f"{tmp_path}/one,{tmp_path}/two")
    path = state(server)["path"]
    assert isinstance(path, list)
    assert path.index(f"{tmp_path}/two") < path.index(f"{tmp_path}/one")


def test_raw_env(serve: Serve) -> None:
    server = serve("basic:app", "-e", "ONE=1", "--env", "TWO=a=b", "-e", "EMPTY=")
    variables = state(server)["environ"]
    assert isinstance(variables, dict)
    assert (variables["ONE"], variables["TWO"], variables["EMPTY"]) == ("1", "a=b", "")


@pytest.mark.parametrize(
    "text", ["NO_EQUALS_SIGN", pytest.param("=no_name", marks=pytest.mark.saola_only)]
)
def test_bad_raw_env(command: Command, text: str) -> None:
    done = command("-b", "127.0.0.1:0", "-e", text, "basic:app")
    assert done.code == 1
    assert f"environment setting {text!r} invalid" in done.stderr


def test_pidfile(serve: Serve) -> None:
    server = serve("basic:app", "--pid", "server.pid")
    path = server.tmp / "server.pid"
    assert path.read_text() == f"{server.pid}\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert server.terminate() == 0
    assert not path.exists()


@pytest.mark.parametrize("content", ["", "garbage\n", "999999999\n"])
def test_stale_pidfile_is_replaced(serve: Serve, tmp_path: Path, content: str) -> None:
    path = tmp_path / "stale"
    path.write_text(content)
    server = serve("basic:app", "--pid", str(path))
    assert path.read_text() == f"{server.pid}\n"


def test_pidfile_of_a_living_process(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "living"
    path.write_text(f"{os.getpid()}\n")
    done = command("-b", "127.0.0.1:0", "--pid", str(path), "basic:app")
    assert done.code == 1
    assert f"Already running on PID {os.getpid()} (or pid file '{path}' is stale)" in done.stderr
    assert path.read_text() == f"{os.getpid()}\n"


def test_pidfile_in_a_directory_that_is_not_there(command: Command) -> None:
    done = command("-b", "127.0.0.1:0", "--pid", "/no/such/dir/pid", "basic:app")
    assert done.code == 1
    assert "/no/such/dir doesn't exist. Can't create pidfile." in done.stderr


def test_unwritable_log(command: Command) -> None:
    for option in ("--error-logfile", "--access-logfile"):
        done = command("-b", "127.0.0.1:0", option, "/no/such/dir/log", "basic:app")
        assert done.code == 1
        assert "/no/such/dir/log" in done.stderr
        assert "isn't writable" in done.stderr


def test_unwritable_log_whose_name_is_no_text(command: Command) -> None:
    for option in ("--error-logfile", "--access-logfile"):
        path = os.fsdecode(b"/no/such/dir/\xff")
        done = command("-b", "127.0.0.1:0", option, path, "basic:app")
        assert done.code == 1
        assert r"'/no/such/dir/\xff' isn't writable" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.saola_only
def test_settings_that_are_no_text(serve: Serve, tmp_path: Path) -> None:
    """What need not be UTF-8 works, also as the name of a file or directory."""
    directory = tmp_path / os.fsdecode(b"d\xff")
    directory.mkdir()
    (directory / "c.py").write_text("keepalive = 3\n")
    server = serve(
        *("basic:app", "--log-level", os.fsdecode(b"\xff"), "--env", os.fsdecode(b"A=\xff")),
        *("-c", str(directory / "c.py"), "--pid", str(directory / "pid")),
        *("--worker-tmp-dir", str(directory), "--bind", os.fsdecode(b"unix:s\xff")),
    )
    assert (server.tmp / os.fsdecode(b"s\xff")).is_socket()
    before = server.workers()
    server.kill(signal.SIGHUP)
    server.wait_workers(1, before)
    assert server.request("/").status == 200


@pytest.mark.saola_only
def test_error_about_a_setting_that_is_no_text(command: Command) -> None:
    for option in ("--worker-tmp-dir", "--pid"):
        done = command("-b", "127.0.0.1:0", option, os.fsdecode(b"/no/such/\xff/x"), "basic:app")
        assert done.code == 1
        assert r"/no/such/\xff" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.saola_only
@pytest.mark.parametrize(
    "setting",
    [
        *("access_log_format", "loglevel", "logger_class", "syslog_addr", "syslog_facility"),
        *("statsd_prefix", "dogstatsd_tags"),
    ],
)
def test_none_for_the_logs_is_the_default(serve: Serve, setting: str) -> None:
    config = f"{setting} = None; accesslog = '-'; syslog = True; statsd_host = '127.0.0.1:9'"
    server = serve("basic:app", config=config)
    assert server.request("/").status == 200
    poll(lambda: '"GET / HTTP/1.1" 200' in server.output, "the access line")


def test_unknown_worker_class(command: Command) -> None:
    done = command("-b", "127.0.0.1:0", "-k", "no_such_class", "basic:app")
    assert done.code == 1
    assert "no_such_class" in done.stderr


# --- what Saola does not do yet

UNSUPPORTED = {
    "threads": ("--threads=2", "threads = 2"),
    "certfile": ("--certfile=x.pem", "certfile = 'x.pem'"),
    "proxy_protocol": ("--proxy-protocol=auto", "proxy_protocol = True"),
    "http_protocols": ("--http-protocols=h2,h1", "http_protocols = 'h2,h1'"),
    "dirty_workers": ("--dirty-workers=1", "dirty_workers = 1"),
}


@pytest.mark.saola_only
@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_settings_are_refused(command: Command, name: str) -> None:
    option, line = UNSUPPORTED[name]
    if option:
        done = command("-b", "127.0.0.1:0", option, "basic:app")
        assert done.code == 1, done.stderr
        assert "not supported yet" in done.stderr
        assert name in done.stderr or option.partition("=")[0] in done.stderr
    done = command("-b", "127.0.0.1:0", "basic:app", config=line + "\n")
    assert done.code == 1, done.stderr
    assert "not supported yet" in done.stderr
    assert name in done.stderr


@pytest.mark.saola_only
@pytest.mark.parametrize("worker_class", ["gthread", "gevent", "asgi", "tornado"])
def test_unsupported_worker_classes_are_refused(command: Command, worker_class: str) -> None:
    done = command("-b", "127.0.0.1:0", "-k", worker_class, "basic:app")
    assert done.code == 1
    assert "not supported yet" in done.stderr
    assert worker_class in done.stderr


# --- hooks

HOOKS = """
import os, threading

MASTER = os.getpid()

def note(name, *details):
    where = "master" if os.getpid() == MASTER else "worker"
    text = " ".join(str(each) for each in (name, where, *details))
    fd = os.open("hooks.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, (text + "\\n").encode())
    os.close(fd)

def on_starting(server): note("on_starting", server.pid == MASTER)
def on_reload(server): note("on_reload")
def when_ready(server): note("when_ready", len(server.LISTENERS))
def pre_fork(server, worker): note("pre_fork")
def post_fork(server, worker): note("post_fork", worker.pid == os.getpid())
def post_worker_init(worker): note("post_worker_init", worker.pid == os.getpid())
def worker_int(worker): note("worker_int")
def worker_abort(worker): note("worker_abort")
def worker_exit(server, worker): note("worker_exit")
def child_exit(server, worker): note("child_exit", worker.pid != MASTER)
def nworkers_changed(server, new, old): note("nworkers_changed", new, old)
def on_exit(server): note("on_exit")
def pre_request(worker, req): note("pre_request", req.method, req.path)
def post_request(worker, req, environ, resp):
    note("post_request", req.uri, environ["REQUEST_METHOD"], resp.status)
"""


def hooks(server: Server) -> list[str]:
    path = server.tmp / "hooks.txt"
    return path.read_text().splitlines() if path.exists() else []


def test_hooks_are_called_in_order(serve: Serve) -> None:
    server = serve(config=HOOKS, ready="booted")
    poll(lambda: "post_worker_init worker True" in hooks(server), "post_worker_init")
    assert server.request("/echo?x", method="POST", body=b"1").status == 200
    poll(lambda: any(line.startswith("post_request") for line in hooks(server)), "post_request")
    assert server.terminate() == 0
    assert hooks(server) == [
        "nworkers_changed master 1 None",
        "on_starting master True",
        "when_ready master 1",
        "pre_fork master",
        "post_fork worker True",
        "post_worker_init worker True",
        "pre_request worker POST /echo",
        "post_request worker /echo?x POST 200 OK",
        "worker_exit worker",
        "child_exit master True",
        "on_exit master",
    ]


def test_hooks_of_reload_and_scaling(serve: Serve) -> None:
    server = serve(config=HOOKS)
    server.allow(r"was sent SIG")
    first = server.worker
    server.kill(server_signal("HUP"))
    server.wait_workers(1, other_than=[first])
    poll(lambda: hooks(server).count("child_exit master True") == 1, "child_exit")
    lines = hooks(server)
    assert lines.count("on_reload master") == 1
    assert lines.count("pre_fork master") == 2
    assert lines.index("on_reload master") < len(lines) - 1 - lines[::-1].index("pre_fork master")
    server.kill(server_signal("TTIN"))
    server.wait_workers(2)
    poll(lambda: "nworkers_changed master 2 1" in hooks(server), "nworkers_changed")
    server.kill(server_signal("TTOU"))
    poll(lambda: "nworkers_changed master 1 2" in hooks(server), "nworkers_changed")
    server.wait_workers(1)


def server_signal(name: str) -> signal.Signals:
    return signal.Signals[f"SIG{name}"]


def test_hooks_of_int_and_abort(serve: Serve) -> None:
    server = serve(config=HOOKS)
    server.allow("was sent SIG", "exited with code", "Exception in worker process")
    first = server.worker
    server.kill(signal.SIGINT, first)
    poll(lambda: "worker_int worker" in hooks(server), "worker_int")
    second = server.wait_workers(1, other_than=[first])[0]
    assert server.request("/").status == 200
    server.kill(signal.SIGABRT, second)
    poll(lambda: "worker_abort worker" in hooks(server), "worker_abort")
    server.wait_workers(1, other_than=[first, second])


@pytest.mark.parametrize("hook", ["post_fork(server, worker)", "post_worker_init(worker)"])
def test_hook_that_raises_in_a_worker(command: Command, hook: str) -> None:
    done = command("-b", "127.0.0.1:0", "basic:app", config=f"def {hook}:\n    1 / 0\n")
    assert done.code == 3
    assert "ZeroDivisionError" in done.stderr
    assert "Reason: Worker failed to boot." in done.stderr


@pytest.mark.parametrize("hook", ["on_starting(server)", "when_ready(server)"])
def test_hook_that_raises_in_the_master(command: Command, hook: str) -> None:
    done = command("-b", "127.0.0.1:0", "basic:app", config=f"def {hook}:\n    1 / 0\n")
    assert done.code == 1
    assert "ZeroDivisionError" in done.stderr


def test_hook_that_ends_the_server(command: Command) -> None:
    config = "import sys\ndef when_ready(server):\n    sys.exit(9)\n"
    assert command("-b", "127.0.0.1:0", "basic:app", config=config).code == 9


def test_request_hooks_that_raise(serve: Serve) -> None:
    config = (
        "def pre_request(worker, req):\n"
        "    if req.path == '/pre':\n        raise ValueError('raised in pre_request')\n"
        "def post_request(worker, req, environ, resp):\n"
        "    if req.path == '/post':\n        raise ValueError('raised in post_request')\n"
    )
    server = serve(config=config)
    server.allow("raised in pre_request", "raised in post_request")
    assert server.request("/pre").status == 500
    assert server.request("/post").status == 404
    server.wait_log("Exception in post_request hook")
    assert server.request("/").status == 200


@pytest.mark.parametrize("parameters", ["worker, req", "worker, req, environ"])
def test_post_request_with_fewer_parameters(serve: Serve, parameters: str) -> None:
    config = f"def post_request({parameters}):\n    worker.log.info('after %s', req.path)\n"
    server = serve(config=config)
    server.request("/here")
    server.wait_log(r"\[INFO\] after /here")


def test_post_request_of_a_hooked_header(serve: Serve) -> None:
    """pre_request sees the headers, upper-case, in order."""
    config = (
        "def pre_request(worker, req):\n"
        "    worker.log.info('headers %s', [h for h in req.headers if h[0].startswith('X-')])\n"
    )
    server = serve(config=config)
    server.request("/", headers=[("x-a", "1"), ("X-B", "2")])
    server.wait_log(re.escape("headers [('X-A', '1'), ('X-B', '2')]"))
