"""One client connection: requests off the wire one after another, answers and streams back, raw bytes after an upgrade.

An asyncio protocol with one task. While a request is served, what follows it waits in the buffer; a client that goes away
cancels the handler. One that makes the server wait is found out by the server, which asks `is_stuck` every few seconds.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, cast
from urllib.parse import unquote

from cryptography import x509

from steersman.apiserver import http1, responsehead
from steersman.apiserver.http import Handler, RawConnection, Request, Response
from steersman.apiserver.patience import Patience
from steersman.machinery.errors import BadRequest, RequestEntityTooLarge

log = logging.getLogger(__name__)

_PAUSE_AT = 256 * 1024
_WRITE_HIGH = 256 * 1024
_NO_BODY = http1.Body(0)
_LINGER_S = 0.5
"""Go's rstAvoidanceDelay."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.Protocol):
    """Implements http.RawConnection too, for handlers that take it over."""

    def __init__(self, handler: Handler, body_limit: int, date: Callable[[], str], opened: Callable[[Connection], None]) -> None:
        self._handler = handler
        self._body_limit = body_limit
        self._date = date
        self._opened = opened
        self._buffer = bytearray()
        self._body = _NO_BODY
        self._fields: http1.Fields | None = None
        self._declared = 0
        self._continue = False
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._paused = False
        self._eof = False
        self._taken_over = False
        self._broken = False
        self._streaming = self._long_stream = False
        self._turn = 0
        self._patience = Patience()
        self.busy = False
        self.closing = False
        self.task: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport
        self.peer: x509.Certificate | None = None
        self.remote = ""

    # --- asyncio's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_WRITE_HIGH)
        tls = transport.get_extra_info("ssl_object")
        der = tls.getpeercert(True) if tls is not None else None
        if der:
            self.peer = x509.load_der_x509_certificate(der)
        # A client whose machine has gone without a word is found out by the system.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        address = transport.get_extra_info("peername")
        self.remote = address[0] if address else ""
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > _PAUSE_AT and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._eof = True
        for waiter in (self._waiter, self._drained):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
        if self.busy and not self._taken_over and self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # --- serving ---

    async def run(self) -> None:
        """Serve requests until either side has enough."""
        try:
            while True:
                head = await self._next_head()
                if head is None:
                    break
                self.busy = True
                self._turn += 1
                if not await self._serve(head):
                    break
                self.busy = False
        except http1.Malformed as fault:
            self._send(Response(fault.status, f"{fault.status} {fault}".encode(), "text/plain; charset=utf-8"), "GET", False)
            self.busy = False
            if self._buffer:
                await self._linger()
        except ConnectionError as fault:
            log.debug("client gone: remote=%s error=%s", self.remote, fault)
        except Exception:
            log.exception("connection failed: remote=%s", self.remote)
        finally:
            self.transport.close()

    def close_when_idle(self) -> None:
        """Serve what is being served, or has come already, then close."""
        self.closing = True
        if not self.busy and b"\r\n\r\n" not in self._buffer:
            self.transport.close()
            # TLS would wait for the client's goodbye, which does not come from one that only reads when it has asked.
            asyncio.get_running_loop().call_soon(self.transport.abort)

    @property
    def long_running(self) -> bool:
        """Whether what it serves is not expected to end by itself: a watch, an exec."""
        return self._streaming or self._taken_over

    def is_stuck(self, now_s: float) -> bool:
        """Whether it has waited too long for its client. Asked again and again."""
        unsent = None
        if self.busy and self._drained is not None and not self._long_stream and not self._taken_over:
            unsent = self.transport.get_write_buffer_size()
        return self._patience.is_over(now_s, self._turn, self.busy, bool(self._buffer), unsent)

    async def _next_head(self) -> http1.Head | None:
        buffer = self._buffer
        searched = 0
        while True:
            end = buffer.find(b"\r\n\r\n", searched)
            if end >= 0:
                head = http1.parse_head(bytes(buffer[:end]), self._fields)
                self._fields = head.fields
                del buffer[: end + 4]
                return head
            if len(buffer) > http1.HEAD_LIMIT:
                raise http1.Malformed(431, "Request Header Fields Too Large")
            if self._eof:
                return None
            searched = max(len(buffer) - 3, 0)
            await self._more()

    async def _more(self) -> None:
        """Wait until more bytes have come, or the client has gone."""
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def _serve(self, head: http1.Head) -> bool:
        """Answer one request. False: the connection is at its end."""
        fields = head.fields
        self._declared = fields.length
        self._body = http1.Body(fields.length) if fields.length else _NO_BODY
        self._continue = "expect" in fields.headers and fields.headers["expect"].lower() == "100-continue"
        path, _, query = head.target.partition("?")
        if "%" in path:
            path = unquote(path)
        request = Request(
            head.method, path, query, fields.headers, self.peer, self.remote, self.read_body, self.take_over, fields.repeated
        )  # fmt: skip
        response = await self._handler(request)
        if response.upgraded:
            return False
        keep = head.keep_alive and not self.closing and (self._body.done or self._can_skip())
        if response.chunks is not None:
            await self._stream(response, response.chunks, head.method, keep)
        else:
            self._send(response, head.method, keep)
            if self._drained is not None:
                await self._drain()
            if response.parts is not None and head.method != "HEAD":
                await self._send_parts(response.parts)
        if not self._body.done:
            # What is left of the body would be taken for the next request.
            self.busy = False
            keep = await (self._skip_body() if keep else self._linger())
        return keep and not self._eof and not self.closing

    async def read_body(self) -> bytes:
        """Raises RequestEntityTooLarge, BadRequest, ConnectionResetError."""
        if self._body.done:
            return b""
        try:
            return await self._read_body()
        except http1.Malformed as fault:
            self._broken = True
            raise BadRequest(str(fault)) from None

    async def _read_body(self) -> bytes:
        if self._declared > self._body_limit:
            raise RequestEntityTooLarge.of(self._body_limit)
        if self._continue:
            self._continue = False
            self.transport.write(_CONTINUE)
        piece = self._body.take(self._buffer)
        if self._body.done and len(piece) <= self._body_limit:
            return piece
        body = bytearray(piece)
        while len(body) <= self._body_limit:
            if self._body.done:
                return bytes(body)
            if self._eof:
                raise ConnectionResetError("client gone")
            await self._more()
            body += self._body.take(self._buffer)
        raise RequestEntityTooLarge.of(self._body_limit)

    def _can_skip(self) -> bool:
        """Whether it is worth while to read what a handler left of a body."""
        return not self._continue and not self._broken and self._declared <= 2 * self._body_limit

    async def _skip_body(self) -> bool:
        """Read what a handler left of a body. False: it is too much, or none; the answer has been given already."""
        skipped = 0
        while not self._eof and skipped <= 2 * self._body_limit:
            try:
                skipped += len(self._body.take(self._buffer))
            except http1.Malformed:
                return False
            if self._body.done:
                return True
            await self._more()
        return False

    async def _linger(self) -> bool:
        """Let a client that is still sending read its answer: were the connection closed now, it would be reset before. False."""
        try:
            async with asyncio.timeout(_LINGER_S):
                while not self._eof and not self._continue:
                    self._buffer.clear()
                    await self._more()
        except TimeoutError:
            pass
        return False

    def _send(self, response: Response, method: str, keep: bool) -> None:
        """Head and body in one write; of an answer in parts only the head."""
        if response.parts is not None:
            self.transport.write(responsehead.encoded(response, self._date(), keep, response.length))
            return
        head = responsehead.encoded(response, self._date(), keep, len(response.body))
        self.transport.write(head if method == "HEAD" else head + response.body)

    async def _send_parts(self, parts: Iterable[bytes]) -> None:
        for part in parts:
            self.transport.write(part)
            if self._drained is not None:
                await self._drain()

    async def _stream(self, response: Response, chunks: AsyncIterator[bytes], method: str, keep: bool) -> None:
        self._streaming, self._long_stream = True, not response.hurried
        try:
            self.transport.write(responsehead.encoded(response, self._date(), keep, None))
            if method == "HEAD" or response.status in responsehead.BODILESS:
                return
            framed = "Content-Length" not in response.headers
            async for chunk in chunks:
                if chunk:
                    self.transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if framed else chunk)
                    if self._drained is not None:
                        await self._drain()
            if framed:
                self.transport.write(b"0\r\n\r\n")
        finally:
            self._streaming = self._long_stream = False
            close: Any = getattr(chunks, "aclose", None)
            if close is not None:
                await close()

    async def _drain(self) -> None:
        """Wait until the client has taken what was written. Raises ConnectionResetError if it has gone."""
        if self._drained is not None:
            await self._drained
        if self._eof:
            raise ConnectionResetError("client gone")

    # --- http.RawConnection ---

    async def take_over(self) -> RawConnection:
        if self._eof:
            raise ConnectionResetError("client gone")
        self._taken_over = True
        return self

    async def read(self) -> bytes:
        while not self._buffer:
            if self._eof:
                return b""
            await self._more()
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    async def write(self, data: bytes) -> None:
        if self._eof:
            raise ConnectionResetError("client gone")
        self.transport.write(data)
        if self._drained is not None:
            await self._drain()

    async def close(self) -> None:
        self.transport.close()
