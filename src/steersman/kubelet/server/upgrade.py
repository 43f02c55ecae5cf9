"""Takes a connection over from aiohttp after a 101 answer, for protocols it does not speak (SPDY)."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

_HIGH = 1 << 20


class TakenOver:
    """Bytes in, bytes out. aiohttp feeds it what arrives as if it were its own WebSocket parser."""

    def __init__(self, request: web.BaseRequest) -> None:
        """Raises ConnectionResetError if the client is gone."""
        if request.transport is None:
            raise ConnectionResetError("client gone")
        self._request, self._transport = request, request.transport
        self._pieces: deque[bytes] = deque()
        self._size, self._eof, self._paused = 0, False, False
        self._arrived = asyncio.Event()
        request.protocol.keep_alive(False)
        request.protocol.set_parser(cast(Any, self))

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._pieces.append(bytes(data))
        self._size += len(data)
        if self._size > _HIGH and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._arrived.set()
        return False, b""

    def feed_eof(self) -> None:
        self._eof = True
        self._arrived.set()

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        self.feed_eof()

    async def read(self) -> bytes:
        """b'' when the client is gone."""
        while not self._pieces:
            if self._eof or self._transport.is_closing():
                return b""
            self._arrived.clear()
            await self._arrived.wait()
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
        await self._request.writer.drain()

    async def close(self) -> None:
        self._transport.close()


class Gone(web.StreamResponse):
    """Stands for a connection that was taken over: nothing is sent, and it is not kept."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        self._keep_alive = False
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        self._eof_sent = True
