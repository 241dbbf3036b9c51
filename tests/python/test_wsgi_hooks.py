# SPDX-License-Identifier: MIT
"""The objects that the hooks pre_request and post_request get."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from saola.http.message import Request
from saola.http.wsgi import FileWrapper, Response


def make_request(**changes: Any) -> Request:
    arguments: dict[str, Any] = {
        "method": "GET",
        "uri": "/a%20b?x=1",
        "path": "/a%20b",
        "query": "x=1",
        "fragment": "",
        "version": (1, 1),
        "headers": [("HOST", "test"), ("CONTENT-TYPE", "text/plain"), ("X-ONE", "1")],
        "scheme": "http",
        "peer_addr": ("127.0.0.1", 1234),
        "body": None,
    }
    return Request(**(arguments | changes))


def make_environ() -> dict[str, Any]:
    return {
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b",
        "CONTENT_TYPE": "text/plain",
        "HTTP_HOST": "test",
        "HTTP_X_ONE": "1",
    }


def test_nothing_changed() -> None:
    environ = make_environ()
    assert make_request()._amend(environ) is False
    assert environ == make_environ()


def test_added_headers() -> None:
    request, environ = make_request(), make_environ()
    request.headers += [("X-ONE", "2"), ("X-TWO", "3")]
    request._amend(environ)
    assert environ["HTTP_X_ONE"] == "1,2"
    assert environ["HTTP_X_TWO"] == "3"
    assert environ["CONTENT_TYPE"] == "text/plain"


def test_removed_headers() -> None:
    request, environ = make_request(), make_environ()
    request.headers = [("HOST", "other")]
    request._amend(environ)
    assert [key for key in environ if key.startswith(("HTTP_", "CONTENT_"))] == ["HTTP_HOST"]
    assert environ["HTTP_HOST"] == "other"


def test_changed_request_line() -> None:
    request, environ = make_request(), make_environ() | {"SCRIPT_NAME": "/app"}
    request.method, request.path, request.scheme = "PUT", "/app/%C3%A9\xe9", "https"
    request._amend(environ)
    assert environ["REQUEST_METHOD"] == "PUT"
    assert environ["PATH_INFO"] == "/\xc3\xa9\xe9"
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["HTTP_X_ONE"] == "1"


@pytest.mark.parametrize(
    ("version", "connection", "close"),
    [
        ((1, 1), None, False),
        ((1, 0), None, True),
        ((1, 1), " Close ", True),
        ((1, 0), "Keep-Alive", False),
        ((1, 1), "close, x", False),
    ],
)
def test_should_close(version: tuple[int, int], connection: str | None, close: bool) -> None:
    headers = [("CONNECTION", connection)] if connection else []
    assert make_request(version=version, headers=headers).should_close() is close


def test_force_close() -> None:
    request = make_request()
    request.force_close()
    assert request.should_close() is True
    assert request._amend(make_environ()) is True


def test_response() -> None:
    worker = SimpleNamespace(cfg="configuration")
    headers = [("Content-Length", "5"), ("Connection", "Upgrade")]
    response = Response(make_request(), "201 Created", headers, worker, 5, 5, False, False)
    assert (response.status, response.status_code) == ("201 Created", 201)
    assert (response.response_length, response.sent) == (5, 5)
    assert (response.cfg, response.upgrade, response.headers) == ("configuration", True, headers)
    assert not response.should_close()
    assert not response.is_chunked()


def test_response_without_a_head() -> None:
    response = Response(make_request(), None, None, None, -1, 0, True, True)
    assert (response.status_code, response.headers, response.response_length) == (None, [], None)
    assert response.should_close()
    assert response.is_chunked()


class Source:
    """A file that gives what it is told, one item at a read."""

    def __init__(self, *items: Any) -> None:
        self.items = list(items)
        self.sizes: list[int] = []

    def read(self, size: int) -> Any:
        self.sizes.append(size)
        item = self.items.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> str:
        return "closed"


def test_file_wrapper() -> None:
    source = Source(b"a", b"b", b"")
    wrapper = FileWrapper(source, blksize=3)
    assert (list(wrapper), source.sizes) == ([b"a", b"b"], [3, 3, 3])
    assert (wrapper.filelike, wrapper.blksize, wrapper.close()) == (source, 3, "closed")


def test_file_wrapper_by_index() -> None:
    wrapper: Any = FileWrapper(Source(b"a", b""))
    assert wrapper[17] == b"a"
    with pytest.raises(IndexError):
        wrapper[0]


def test_file_wrapper_of_a_failing_file() -> None:
    with pytest.raises(ValueError, match="broken"):
        next(FileWrapper(Source(ValueError("broken"))))


def test_file_wrapper_without_a_close() -> None:
    assert not hasattr(FileWrapper(object()), "close")


def test_file_wrapper_that_was_not_initialised() -> None:
    with pytest.raises(ValueError, match="not initialised"):
        next(FileWrapper.__new__(FileWrapper))


def test_subclass_of_file_wrapper() -> None:
    class Named(FileWrapper):
        name = "named"

    assert list(Named(Source(b"x", b""))) == [b"x"]
