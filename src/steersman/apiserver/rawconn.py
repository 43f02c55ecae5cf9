"""A client connection taken over from aiohttp: bytes in, bytes out, for exec, attach and port-forward."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

_HIGH = 1 << 20


class TakenOver:
    """Implements http.RawConnection. aiohttp feeds it what arrives, as if it were a WebSocket parser."""

    def __init__(self, connection: RequestHandler, transport: asyncio.Transport, raw: web.BaseRequest) -> None:
        self._connection = connection
        self._transport = transport
        self._raw = raw
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._eof = False
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None

    @classmethod
    def of(cls, raw: web.BaseRequest) -> TakenOver:
        """Raises ConnectionResetError if the client is gone."""
        transport = raw.transport
        if transport is None:
            raise ConnectionResetError("client gone")
        taken = cls(raw.protocol, transport, raw)
        raw.protocol.keep_alive(False)
        raw.protocol.set_parser(cast(Any, taken))
        return taken

    # --- called by aiohttp ---

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._pieces.append(bytes(data))
        self._size += len(data)
        if self._size > _HIGH and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()
        return False, b""

    def feed_eof(self) -> None:
        self._eof = True
        self._wake()

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        self.feed_eof()

    # --- RawConnection ---

    async def read(self) -> bytes:
        while not self._pieces:
            if self._eof or self._transport.is_closing():
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError("client gone")
        self._transport.write(data)
        await self._raw.writer.drain()

    async def close(self) -> None:
        self._transport.close()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
