# SPDX-License-Identifier: MIT
"""What can be wrong with a request, by the names under which Gunicorn's parser raises it.

The parser is C and answers bad requests itself. These classes are for the `except` clauses and the
`isinstance` of hooks, applications and tests.
"""

from __future__ import annotations

from typing import Any


class ParseException(Exception):
    """The request cannot be understood, or not be accepted."""

    #: Text of the error; {} stands for the arguments.
    text = "{}"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.args = args

    def __str__(self) -> str:
        return self.text.format(*self.args) if self.args else type(self).__name__


class NoMoreData(OSError):
    def __init__(self, buf: Any = None) -> None:
        super().__init__()
        self.buf = buf

    def __str__(self) -> str:
        return f"No more data after: {self.buf!r}"


class ConfigurationProblem(ParseException):
    code = 500
    text = "Configuration problem: {}"


class InvalidRequestLine(ParseException):
    code = 400
    text = "Invalid HTTP request line: {!r}"


class InvalidRequestMethod(ParseException):
    text = "Invalid HTTP method: {!r}"


class ExpectationFailed(ParseException):
    text = "Unable to comply with expectation: {!r}"


class InvalidHTTPVersion(ParseException):
    text = "Invalid HTTP Version: {!r}"


class InvalidHeader(ParseException):
    text = "Invalid HTTP Header: {!r}"


class ObsoleteFolding(ParseException):
    text = "Obsolete line folding is unacceptable: {!r}"


class InvalidHeaderName(ParseException):
    text = "Invalid HTTP header name: {!r}"


class UnsupportedTransferCoding(ParseException):
    code = 501
    text = "Unsupported transfer coding: {!r}"


class InvalidChunkSize(OSError):
    def __init__(self, data: Any) -> None:
        super().__init__()
        self.data = data

    def __str__(self) -> str:
        return f"Invalid chunk size: {self.data!r}"


class ChunkMissingTerminator(OSError):
    def __init__(self, term: Any) -> None:
        super().__init__()
        self.term = term

    def __str__(self) -> str:
        return f"Invalid chunk terminator is not '\\r\\n': {self.term!r}"


class InvalidChunkExtension(OSError):
    def __init__(self, chunk_ext: Any) -> None:
        super().__init__()
        self.chunk_ext = chunk_ext

    def __str__(self) -> str:
        return f"Invalid chunk extension: {self.chunk_ext!r}"


class LimitRequestLine(ParseException):
    text = "Request Line is too large ({} > {})"

    def __init__(self, size: int, max_size: int) -> None:
        super().__init__(size, max_size)
        self.size = size
        self.max_size = max_size


class LimitRequestHeaders(ParseException):
    text = "{}"


class InvalidProxyLine(ParseException):
    code = 400
    text = "Invalid PROXY line: {!r}"


class InvalidProxyHeader(ParseException):
    text = "Invalid PROXY header: {!r}"


class ForbiddenProxyRequest(ParseException):
    code = 403
    text = "Proxy request from {!r} not allowed"


class InvalidSchemeHeaders(ParseException):
    text = "Contradictory scheme headers"

    def __str__(self) -> str:
        return self.text
