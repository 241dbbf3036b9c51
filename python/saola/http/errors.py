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
    #: The attributes that the arguments are.
    fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args)
        values = dict(zip(self.fields, args, strict=False)) | named
        for name in self.fields:
            setattr(self, name, values.get(name))

    def __str__(self) -> str:
        values = [getattr(self, name) for name in self.fields] or self.args
        return self.text.format(*values) if values else type(self).__name__


class NoMoreData(OSError):
    def __init__(self, buf: Any = None) -> None:
        super().__init__()
        self.buf = buf

    def __str__(self) -> str:
        return f"No more data after: {self.buf!r}"


class ConfigurationProblem(ParseException):
    code = 500
    fields = ("info",)
    text = "Configuration problem: {}"


class InvalidRequestLine(ParseException):
    code = 400
    fields = ("req",)
    text = "Invalid HTTP request line: {!r}"


class InvalidRequestMethod(ParseException):
    fields = ("method",)
    text = "Invalid HTTP method: {!r}"


class ExpectationFailed(ParseException):
    fields = ("expect",)
    text = "Unable to comply with expectation: {!r}"


class InvalidHTTPVersion(ParseException):
    fields = ("version",)
    text = "Invalid HTTP Version: {!r}"


class InvalidHeader(ParseException):
    fields = ("hdr", "req")
    text = "Invalid HTTP Header: {!r}"


class ObsoleteFolding(ParseException):
    fields = ("hdr",)
    text = "Obsolete line folding is unacceptable: {!r}"


class InvalidHeaderName(ParseException):
    fields = ("hdr",)
    text = "Invalid HTTP header name: {!r}"


class UnsupportedTransferCoding(ParseException):
    code = 501
    fields = ("hdr",)
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
    def __init__(self, reason: Any) -> None:
        super().__init__()
        self.reason = reason

    def __str__(self) -> str:
        return f"Invalid chunk extension: {self.reason}"


class LimitRequestLine(ParseException):
    fields = ("size", "max_size")
    text = "Request Line is too large ({} > {})"


class LimitRequestHeaders(ParseException):
    fields = ("msg",)
    text = "{}"


class InvalidProxyLine(ParseException):
    code = 400
    fields = ("line",)
    text = "Invalid PROXY line: {!r}"


class InvalidProxyHeader(ParseException):
    code = 400
    fields = ("msg",)
    text = "Invalid PROXY header: {}"


class ForbiddenProxyRequest(ParseException):
    code = 403
    fields = ("host",)
    text = "Proxy request from {!r} not allowed"


class InvalidSchemeHeaders(ParseException):
    text = "Contradictory scheme headers"

    def __str__(self) -> str:
        return self.text
