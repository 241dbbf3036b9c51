# SPDX-License-Identifier: MIT
"""WSGI beyond the ordinary: early hints, gunicorn.socket, odd files and headers, handles that are
kept, and the hooks pre_request and post_request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from client import build_request
from procs import poll
from server import PATIENT, Server

Serve = Callable[..., Server]

HOOKS = """
def pre_request(worker, req):
    worker.log.info("pre %s %s %s", req.method, req.path, req.headers[0])
    if req.path == "/refused":
        raise ValueError("refused by pre_request")
    if req.path == "/added":
        req.headers.append(("X-ADDED", "by the hook"))

def post_request(worker, req, environ, resp):
    worker.log.info("post %s %s %s", req.path, environ.get("PATH_INFO"), resp and resp.status)
    if req.path == "/":
        raise ValueError("raised by post_request")
"""


@pytest.fixture(scope="module")
def bridge(serve_module: Serve) -> Server:
    return serve_module("bridge:app", *PATIENT)


def test_early_hints(bridge: Server) -> None:
    response = bridge.request("/hints")
    assert [each.status for each in response.interim] == [103, 103]
    assert response.interim[0].all("Link") == ["</a.css>", "</b.css>"]
    assert response.interim[1].all("Link") == ["</c.css>"]
    assert response.body == b"hello\n"


def test_early_hints_are_not_for_http_1_0(bridge: Server) -> None:
    response = bridge.request("/hints", version="1.0")
    assert (response.interim, response.body) == ([], b"hello\n")


@pytest.mark.saola_only
def test_bad_early_hint_is_refused(bridge: Server) -> None:
    bridge.allow("invalid value of response header 'Link'")
    response = bridge.request("/bad-hint")
    assert response.status == 500
    assert response.interim == []


def test_questions_to_the_socket_leave_the_response_alone(bridge: Server) -> None:
    with bridge.connect() as connection:
        for _ in range(3):
            host, port, remote_port = connection.request("/ask-socket").body.split()
            assert (host, port) == (b"127.0.0.1", remote_port)


def test_application_takes_the_socket(bridge: Server) -> None:
    with bridge.connect() as connection:
        connection.send(build_request("/take-socket"))
        assert connection.take(6, "the greeting") == b"READY\n"
        connection.send(b"shout")
        assert connection.read_to_end() == b"SHOUT"
    assert bridge.request("/").body == b"hello\n"


@pytest.mark.saola_only
def test_application_takes_the_socket_and_returns(bridge: Server) -> None:
    with bridge.connect() as connection:
        connection.send(build_request("/take-and-return"))
        assert connection.read_to_end() == b"mine"


@pytest.mark.saola_only
def test_handles_die_with_their_request(bridge: Server) -> None:
    with bridge.connect() as connection:
        assert connection.request("/keep").body == b""
        for body in (b"", b"never seen"):
            outcomes = connection.request("/keep", method="POST", body=body).body.split()
            assert outcomes == [b"ValueError"] * 7


@pytest.mark.saola_only
def test_close_cannot_answer_again(bridge: Server) -> None:
    with bridge.connect() as connection:
        assert connection.request("/close-answers").body == b"body"
        assert connection.request("/").body == b"hello\n"


@pytest.mark.saola_only
def test_file_that_python_has_read_ahead(bridge: Server) -> None:
    """Sent from where Python is, not from where its buffer has left the descriptor."""
    response = bridge.request("/read-ahead")
    assert response.body.startswith(b"SPDX-License-Identifier")
    assert b'"read-ahead": read_ahead' in response.body


@pytest.mark.saola_only
def test_file_that_gives_something_else_than_its_descriptor(bridge: Server, tmp_path: Path) -> None:
    assert bridge.request(f"/zipped?{tmp_path / 'packed'}").body == b"plain text"


def test_file_wrapper_in_blocks(bridge: Server) -> None:
    assert bridge.request("/blocks").body == b"0123456789"


def test_headers_of_any_iterable(bridge: Server) -> None:
    response = bridge.request("/pairs")
    assert response.all("X-Number") == [str(i) for i in range(100)]


def test_other_thread_reads_and_writes(bridge: Server) -> None:
    for size in (10, 1_000_000):
        response = bridge.request("/thread", method="POST", body=b"a" * size)
        assert response.body == b"A" * size


def test_subclass_of_list_is_iterated(bridge: Server) -> None:
    assert bridge.request("/growing").body == b"from the iterator"


@pytest.mark.saola_only
@pytest.mark.parametrize(
    ("route", "error"), [("disconnect", "the database has gone"), ("stop", "StopIteration")]
)
def test_error_that_looks_like_the_end_of_a_connection(
    bridge: Server, route: str, error: str
) -> None:
    bridge.allow(f"(?s)Error handling request GET /{route}.*{error}")
    assert bridge.request(f"/{route}").status == 500
    bridge.wait_log(error)


def test_hooks_see_the_request_and_the_response(serve: Serve) -> None:
    server = serve("bridge:app", config=HOOKS, ready="booted")
    server.allow("refused by pre_request", "raised by post_request")
    assert server.request("/").body == b"hello\n"
    server.wait_log(r"pre GET / \('HOST', 'test'\)")
    server.wait_log(r"post / / 200 OK")
    server.wait_log(r"Exception in post_request hook")
    assert server.request("/refused").status == 500
    server.wait_log(r"post /refused None None")
    assert server.request("/added").body == b"by the hook"


@pytest.mark.parametrize("parameters", ["worker, req", "worker, req, environ"])
def test_post_request_with_fewer_parameters(serve: Serve, parameters: str) -> None:
    config = f"def post_request({parameters}):\n    worker.log.info('post %s', req.path)\n"
    server = serve("bridge:app", config=config, ready="booted")
    assert server.request("/").body == b"hello\n"
    server.wait_log("post /$")


@pytest.mark.saola_only
def test_access_log_of_environ_and_response_header(serve: Serve) -> None:
    """The name in braces is compared without case."""
    server = serve(
        "bridge:app",
        "--access-logfile=access",
        "--access-logformat=%({wsgi.url_scheme}e)s %({CONTENT-TYPE}o)s %({x-none}o)s %(s)s",
    )
    server.allow("StopIteration")
    server.request("/")
    server.request("/stop")
    path = server.tmp / "access"
    poll(lambda: path.read_text().endswith("500\n"), "both lines")
    assert path.read_text().splitlines()[-2:] == ["http text/plain - 200", "http - - 500"]


@pytest.mark.saola_only
@pytest.mark.parametrize(
    ("route", "body"), [("exit", b"3"), ("return", b"0 0"), ("terminate", b"-15")]
)
def test_a_child_of_the_application_is_no_worker(bridge: Server, route: str, body: bytes) -> None:
    """It obeys signals, does not answer, and leaves the worker and its listeners alone."""
    before = bridge.worker
    assert bridge.request(f"/fork-{route}").body == body
    assert bridge.request("/").body == b"hello\n"
    assert bridge.worker == before
