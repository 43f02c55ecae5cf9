"""One HTTP/1.1 connection to an API server (RFC 9112): a request out, a status, headers and a body back, one at a time.

A third of the cost of a general HTTP client, in processes whose every request is small and goes to the same server.
What is not here: which connection to use, credentials, time limits (http.py).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

_BUFFER = 1 << 18
_CHUNK = 1 << 17
_HEAD_LIMIT = 1 << 18
_BODILESS = frozenset({204, 304})


class Address(NamedTuple):
    """Where a server is. `name`: what its certificate must be for."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    name: str


class Broken(ConnectionError):
    """The connection ended early, or what came was no HTTP. `unanswered`: not one byte of an answer had come."""

    def __init__(self, why: str, *, unanswered: bool = False) -> None:
        super().__init__(why)
        self.unanswered = unanswered


class HttpConnection:
    """Made by `connect()`. After an error it must be closed; `reusable` tells after each body whether it may be used again."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self._length: int | None = 0  # of the body; None: chunked; negative: until the connection ends
        self._left_over = True
        self.used_at = 0.0
        self.generation = 0  # of the credentials it was made with

    @property
    def reusable(self) -> bool:
        """The last body has been read whole, and neither side has ended the connection."""
        return not (self._left_over or self._writer.is_closing() or self._reader.at_eof())

    def close(self) -> None:
        """At once: there is nothing to say goodbye for, and a peer that is gone would not answer."""
        self._writer.transport.abort()

    async def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, *, more: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Send a request and read the answer's head. `more`: further headers, which may repeat. Raises Broken, OSError."""
        self._left_over = True
        self._writer.write(request_head(method, target, headers, body, more))
        try:
            self.status, self.headers = _parsed(await self._head_lines())
            while self.status < 200:
                self.status, self.headers = _parsed(await self._head_lines())
        except asyncio.IncompleteReadError as fault:
            raise Broken("it closed the connection", unanswered=not fault.partial) from None
        except asyncio.LimitOverrunError:
            raise Broken("the head of its answer is too long") from None
        except ConnectionResetError as fault:
            raise Broken(str(fault) or "it reset the connection", unanswered=True) from None
        self._length = self._framing(method)

    async def _head_lines(self) -> list[str]:
        """The lines of a head. A bare line feed ends one as well (RFC 9112 section 2.2): small servers in pods do so."""
        lines: list[str] = []
        size = 0
        while True:
            line = await self._reader.readuntil(b"\n")
            size += len(line)
            if size > _HEAD_LIMIT:
                raise Broken("the head of its answer is too long")
            text = line.rstrip(b"\r\n").decode("latin-1")
            if not text:
                return lines
            lines.append(text)

    async def body(self) -> bytes:
        """The whole body. Raises Broken, OSError."""
        if self._length is not None and self._length >= 0:
            try:
                body = await self._reader.readexactly(self._length) if self._length else b""
            except asyncio.IncompleteReadError:
                raise Broken("its answer ended in the middle") from None
            self._finish()
            return body
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises Broken, OSError."""
        try:
            if self._length is None:
                async for chunk in chunked(self._reader):
                    yield chunk
            elif self._length < 0:
                while chunk := await self._reader.read(_CHUNK):
                    yield chunk
                return
            else:
                left = self._length
                while left:
                    chunk = await self._reader.read(min(left, _CHUNK))
                    if not chunk:
                        raise Broken("its answer ended in the middle")
                    left -= len(chunk)
                    yield chunk
        except asyncio.IncompleteReadError:
            raise Broken("its answer ended in the middle") from None
        except (asyncio.LimitOverrunError, ValueError):
            raise Broken("its answer is no HTTP") from None
        self._finish()

    def _finish(self) -> None:
        self._left_over = self.headers.get("connection", "").lower() == "close"

    def _framing(self, method: str) -> int | None:
        if method == "HEAD" or self.status in _BODILESS:
            return 0
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            return None
        length = self.headers.get("content-length", "-1")
        try:
            return int(length)
        except ValueError:
            raise Broken(f"its answer has the length {length!r}") from None


async def chunked(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """A body in chunks (RFC 9112 section 7.1). Extensions and trailers are passed over. Raises asyncio's errors, ValueError."""
    while size := int((await reader.readuntil(b"\n")).split(b";", 1)[0], 16):
        chunk = await reader.readexactly(size + 2)
        yield chunk[:-2]
    while (await reader.readuntil(b"\n")).strip():
        pass


async def connect(address: Address) -> HttpConnection:
    """A fresh connection. Raises OSError."""
    name = address.name if address.tls else None
    reader, writer = await asyncio.open_connection(
        address.host, address.port, ssl=address.tls, server_hostname=name, limit=_BUFFER
    )
    _keep_alive(writer.get_extra_info("socket"))
    return HttpConnection(reader, writer)


def _keep_alive(made: socket.socket) -> None:
    """A silent peer is noticed within about 30 s: a watch on a dead server would else wait forever."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)


def request_head(
    method: str, target: str, headers: Mapping[str, str], body: bytes, more: Sequence[tuple[str, str]] = ()
) -> bytes:
    """The request as sent. Raises ValueError for a line break where it would forge another header."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if more:
        lines += [f"{name}: {value}" for name, value in more]
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
        raise ValueError("a line break in a request's target or headers")
    return text.encode("latin-1", "replace") + b"\r\n\r\n" + body


def _parsed(head: list[str]) -> tuple[int, dict[str, str]]:
    """Status and headers: lower-case names; repeated headers (Warning) joined as RFC 9110 has it, cookies by lines."""
    version, _, rest = head[0].partition(" ") if head else ("", "", "")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise Broken("its answer is no HTTP")
    headers: dict[str, str] = {}
    for line in head[1:]:
        name, colon, value = line.partition(":")
        if colon:
            name, value = name.lower(), value.strip()
            if name in headers:
                value = headers[name] + ("\n" if name == "set-cookie" else ", ") + value
            headers[name] = value
    if version == "HTTP/1.0":
        headers["connection"] = "close"
    return int(rest[:3]), headers
