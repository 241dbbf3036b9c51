# SPDX-License-Identifier: MIT
"""A raw HTTP/1.1 client that trusts nobody.

It sends whatever bytes a test wants to send, at whatever pace, and reads responses with a parser of
its own that is stricter than the RFC asks a client to be: a response that is framed wrongly, or is
followed by bytes that belong to none, raises FramingError.
"""

from __future__ import annotations

import re
import select
import socket
import struct
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

DEADLINE = 20.0  # seconds that a server may take for anything, sanitizers included

STATUS_LINE = re.compile(rb"HTTP/([0-9]\.[0-9]) ([1-5][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
IMF_FIXDATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3][0-9] "
    r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4} "
    r"[0-2][0-9]:[0-5][0-9]:[0-6][0-9] GMT"
)

Address = tuple[str, int] | str
Headers = Sequence[tuple[str, str]]


class FramingError(AssertionError):
    """The server broke the rules of HTTP."""


class ConnectionClosed(FramingError):
    """The connection ended before, or within, a response."""


@dataclass
class Response:
    version: str
    status: int
    reason: str
    headers: list[tuple[str, str]]
    head: bytes
    framing: str = "none"  # none, length, chunked or close
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    interim: list[Response] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of a field that may be there once at most."""
        values = self.all(name)
        if len(values) > 1:
            raise FramingError(f"{len(values)} fields {name}: {self.head!r}")
        return values[0] if values else None

    @property
    def closes(self) -> bool:
        """Whether the connection ends after this response, going by its head."""
        options = [option.strip().lower() for option in ",".join(self.all("Connection")).split(",")]
        if self.framing == "close" or "close" in options:
            return True
        return self.version == "1.0" and "keep-alive" not in options

    @property
    def text(self) -> str:
        return self.body.decode()


def parse_head(head: bytes) -> Response:
    """Parses a response head, the empty line at its end included."""
    lines = head.split(b"\r\n")
    if lines[-2:] != [b"", b""]:
        raise FramingError(f"head without end: {head!r}")
    if any(byte in line for line in lines for byte in (b"\r", b"\n", b"\0")):
        raise FramingError(f"bare CR, LF or NUL in a head: {head!r}")
    match = STATUS_LINE.fullmatch(lines[0])
    if not match:
        raise FramingError(f"bad status line: {lines[0]!r}")
    version, status, reason = (group.decode("latin-1") for group in match.groups())
    return Response(version, int(status), reason, parse_fields(lines[1:-2]), head)


def parse_fields(lines: Iterable[bytes]) -> list[tuple[str, str]]:
    fields = []
    for line in lines:
        match = FIELD_LINE.fullmatch(line)
        if not match:
            raise FramingError(f"bad field line: {line!r}")
        fields.append((match[1].decode("latin-1"), match[2].decode("latin-1")))
    return fields


def decide_framing(response: Response, method: str, request_version: str) -> tuple[str, int]:
    """How the body ends (RFC 9112 section 6.3), and its length if that is how."""
    length = response.get("Content-Length")
    coding = response.get("Transfer-Encoding")
    bodiless = response.status in (204, 304) or response.status < 200
    if length is not None and not re.fullmatch("[0-9]+", length):
        raise FramingError(f"bad Content-Length {length!r}")
    if coding is not None:
        if coding.lower() != "chunked":
            raise FramingError(f"unexpected Transfer-Encoding {coding!r}")
        if length is not None:
            raise FramingError("both Transfer-Encoding and Content-Length")
        if request_version == "1.0" or bodiless:
            raise FramingError(f"Transfer-Encoding where it may not be: {response.head!r}")
    if (response.status == 204 or response.status < 200) and length is not None:
        raise FramingError(f"Content-Length on a {response.status}")
    date = response.get("Date")
    if date is not None and not IMF_FIXDATE.fullmatch(date):
        raise FramingError(f"bad Date {date!r}")
    if bodiless or method == "HEAD":
        return "none", 0
    if coding is not None:
        return "chunked", 0
    if length is not None:
        return "length", int(length)
    return "close", 0


def build_request(
    target: str = "/",
    *,
    method: str = "GET",
    headers: Headers = (),
    body: bytes | None = None,
    version: str = "1.1",
    host: str | None = "test",
    close: bool = False,
) -> bytes:
    """The bytes of a well-formed request; Content-Length is added if there is a body."""
    names = {name.lower() for name, _ in headers}
    lines = [f"{method} {target} HTTP/{version}"]
    if host is not None and "host" not in names:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def chunked(chunks: Iterable[bytes], trailers: bytes = b"") -> bytes:
    """The chunked coding of a body."""
    coded = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks if chunk)
    return coded + b"0\r\n" + trailers + b"\r\n"


class Connection:
    """One connection. Every wait has a deadline: a server that hangs fails the test."""

    def __init__(
        self, address: Address, *, timeout: float = DEADLINE, receive_buffer: int | None = None
    ) -> None:
        self.timeout = timeout
        self.buffer = bytearray()
        self.ended = False
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX)
        else:
            self.sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        try:
            self.sock.connect(address)
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # --- sending

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send_slowly(self, data: bytes, *, step: int = 1, pause: float = 0.002) -> None:
        """In many small segments. The pause is part of the input, not a wait for a state."""
        for start in range(0, len(data), step):
            self.send(data[start : start + step])
            time.sleep(pause)

    def send_all_can(self, data: bytes) -> bool:
        """Sends; False if the server closed the connection before it had taken everything."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def request(
        self,
        target: str = "/",
        *,
        method: str = "GET",
        headers: Headers = (),
        body: bytes | None = None,
        version: str = "1.1",
        host: str | None = "test",
        close: bool = False,
    ) -> Response:
        self.send(
            build_request(
                target,
                method=method,
                headers=headers,
                body=body,
                version=version,
                host=host,
                close=close,
            )
        )
        response = self.read_response(method, version)
        if close:
            self.expect_end()
        return response

    def shutdown_write(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Ends the connection with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self.sock.close()

    # --- receiving

    def fill(self, limit: int = 65536) -> bool:
        """Receives once; False at the end."""
        if self.ended:
            return False
        try:
            data = self.sock.recv(limit)
        except TimeoutError:
            raise FramingError(
                f"nothing received for {self.timeout} s; so far {bytes(self.buffer[:200])!r}"
            ) from None
        except ConnectionResetError:
            raise ConnectionClosed(
                f"reset by the server; so far {bytes(self.buffer[:200])!r}"
            ) from None
        self.buffer += data
        self.ended = not data
        return not self.ended

    def take(self, n: int, what: str) -> bytes:
        while len(self.buffer) < n:
            if not self.fill(max(65536, n - len(self.buffer))):
                raise ConnectionClosed(
                    f"closed within {what} after {len(self.buffer)} of {n} bytes: "
                    f"{bytes(self.buffer[:200])!r}"
                )
        data = bytes(self.buffer[:n])
        del self.buffer[:n]
        return data

    def take_until(self, mark: bytes, limit: int, what: str) -> bytes:
        start = 0
        while (at := self.buffer.find(mark, start)) < 0:
            start = max(0, len(self.buffer) - len(mark) + 1)
            if len(self.buffer) > limit:
                raise FramingError(f"{what} longer than {limit}: {bytes(self.buffer[:200])!r}")
            if not self.fill():
                raise ConnectionClosed(f"closed within {what}: {bytes(self.buffer[:200])!r}")
        data = bytes(self.buffer[: at + len(mark)])
        del self.buffer[: at + len(mark)]
        return data

    def read_head(self) -> Response:
        return parse_head(self.take_until(b"\r\n\r\n", 256 * 1024, "a response head"))

    def read_response(self, method: str = "GET", version: str = "1.1") -> Response:
        """One final response; interim ones before it are in `interim`."""
        interim = []
        response = self.read_head()
        while 100 <= response.status < 200 and response.status != 101:
            if version == "1.0":
                raise FramingError("an interim response to HTTP/1.0")
            decide_framing(response, method, version)
            interim.append(response)
            response = self.read_head()
        response.interim = interim
        response.framing, length = decide_framing(response, method, version)
        if response.framing == "length":
            response.body = self.take(length, "a body")
        elif response.framing == "chunked":
            self.read_chunks(response)
        elif response.framing == "close":
            while self.fill():
                pass
            response.body = bytes(self.buffer)
            self.buffer.clear()
        return response

    def read_chunk(self) -> bytes:
        """The next chunk, b"" for the last one (its trailers are left)."""
        line = self.take_until(b"\r\n", 64, "a chunk size")[:-2]
        if not re.fullmatch(rb"[0-9A-Fa-f]+", line):
            raise FramingError(f"bad chunk size {line!r}")
        size = int(line, 16)
        if size == 0:
            return b""
        data = self.take(size + 2, "a chunk")
        if data[-2:] != b"\r\n":
            raise FramingError(f"chunk without CRLF: {data[-20:]!r}")
        return data[:-2]

    def read_chunks(self, response: Response) -> None:
        while chunk := self.read_chunk():
            response.chunks.append(chunk)
        lines = []
        while line := self.take_until(b"\r\n", 8192, "a trailer")[:-2]:
            lines.append(line)
        response.trailers = parse_fields(lines)
        response.body = b"".join(response.chunks)

    def expect_end(self) -> None:
        """The server closes, and sends nothing before."""
        if self.fill() or self.buffer:
            raise FramingError(f"bytes after the last response: {bytes(self.buffer[:200])!r}")

    def expect_closed(self) -> None:
        """The server closes or resets, and sends nothing before."""
        try:
            self.expect_end()
        except ConnectionClosed:
            if self.buffer:
                raise

    def readable(self, seconds: float) -> bool:
        """Whether anything, the end included, arrives within that time."""
        if self.buffer:
            return True
        poll = select.poll()  # unlike select() also for descriptors above 1023
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(1000 * seconds))

    def read_to_end(self) -> bytes:
        while self.fill():
            pass
        data = bytes(self.buffer)
        self.buffer.clear()
        return data


def pipeline(connection: Connection, requests: Sequence[bytes]) -> list[Response]:
    """Sends all requests (of any method but HEAD) at once and reads as many responses."""
    connection.send(b"".join(requests))
    return [connection.read_response() for _ in requests]
