"""A SPDY session on a byte connection: streams that the client opens, read and written as byte pipes.

The framing is machinery.spdy's; which streams mean what is spdychannels.py's and spdyportforward.py's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from aiohttp import WSMsgType, web

from steersman.machinery.spdy import (
    INVALID_STREAM,
    Data,
    GoAway,
    Headers,
    Ping,
    RstStream,
    SpdyConnection,
    SpdyError,
    SynStream,
)  # fmt: skip

log = logging.getLogger(__name__)

QUEUED_FRAMES = 256
"""Frames a stream may have waiting before the whole session is read no further: SPDY's peers know no windows."""


class Bytes(Protocol):
    """The connection below: a raw one (upgrade.TakenOver) or a WebSocket's binary messages."""

    async def read(self) -> bytes:
        """b'' at the end."""

    async def write(self, data: bytes) -> None: ...
    async def close(self) -> None: ...


class WebSocketBytes:
    """SPDY tunnelled in a WebSocket (KEP-4006)."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        while True:
            message = await self._socket.receive()
            if message.type is not WSMsgType.BINARY:
                return b""
            if message.data:
                return bytes(message.data)

    async def write(self, data: bytes) -> None:
        await self._socket.send_bytes(data)

    async def close(self) -> None:
        await self._socket.close()


class SpdyStream:
    """One stream the client opened."""

    def __init__(self, session: SpdySession, stream_id: int, headers: Mapping[str, str], fin: bool) -> None:
        self.id, self.headers = stream_id, headers
        self._session = session
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUED_FRAMES)
        self._over = False
        self._closed = False
        self._unread = False
        if fin:
            self._queue.put_nowait(b"")

    async def read(self) -> bytes:
        """b'' once the client has ended its side."""
        if self._over:
            return b""
        data = await self._queue.get()
        self._over = not data
        return data

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError."""
        if data and not self._closed:
            await self._session.send_data(self.id, data, fin=False)

    async def close_write(self) -> None:
        if not self._closed:
            self._closed = True
            await self._session.send_data(self.id, b"", fin=True)

    async def feed(self, data: bytes) -> None:
        """Called by the session."""
        if not self._unread:
            await self._queue.put(data)

    def drop(self) -> None:
        """Called by the session: nobody reads it any more. Whoever waits for room in it goes on."""
        self._unread = True
        while not self._queue.empty():
            self._queue.get_nowait()

    def end(self) -> None:
        """The client is gone: the last waiting piece gives way to the end mark if there is no room."""
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(b"")


class SpdySession:
    """`run()` reads until the connection ends; `accept()` gives the streams as they are opened."""

    def __init__(self, connection: Bytes) -> None:
        self._connection = connection
        self._spdy = SpdyConnection(server=True)
        self._streams: dict[int, SpdyStream] = {}
        self._opened: asyncio.Queue[SpdyStream | None] = asyncio.Queue()
        # Header blocks share one zlib stream: frames must leave in the order they are made in.
        self._order = asyncio.Lock()

    async def accept(self) -> SpdyStream | None:
        """None when the connection is over."""
        return await self._opened.get()

    async def opened(self) -> AsyncIterator[SpdyStream]:
        while (stream := await self.accept()) is not None:
            yield stream

    async def run(self) -> None:
        """Never raises for what the peer does."""
        try:
            while data := await self._connection.read():
                for frame in self._spdy.feed(data):
                    await self._handle(frame)
        except (SpdyError, ConnectionError, OSError) as error:
            log.debug("SPDY session ended error=%s", error)
        finally:
            for stream in self._streams.values():
                stream.end()
            self._opened.put_nowait(None)

    async def _handle(self, frame: object) -> None:
        match frame:
            case SynStream(stream_id, headers, fin):
                stream = self._streams[stream_id] = SpdyStream(self, stream_id, headers, fin)
                async with self._order:
                    await self._connection.write(self._spdy.syn_reply(stream_id))
                self._opened.put_nowait(stream)
            case Data(stream_id, data, fin):
                await self._data(stream_id, data, fin)
            case Headers(stream_id, _, True):
                await self._data(stream_id, b"", True)
            case RstStream(stream_id):
                if (reset := self._streams.pop(stream_id, None)) is not None:
                    reset.end()
            case Ping(ping_id) if not self._spdy.is_own(ping_id):
                async with self._order:
                    await self._connection.write(self._spdy.ping(ping_id))
            case GoAway():
                self._opened.put_nowait(None)

    async def _data(self, stream_id: int, data: bytes, fin: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            async with self._order:
                await self._connection.write(self._spdy.rst(stream_id, INVALID_STREAM))
            return
        if data:
            await stream.feed(data)
        if fin:
            await stream.feed(b"")

    async def send_data(self, stream_id: int, data: bytes, *, fin: bool) -> None:
        async with self._order:
            await self._connection.write(self._spdy.data(stream_id, data, fin=fin))

    def forget(self, stream: SpdyStream) -> None:
        """It is done with, though the client may still be sending: the session's other streams must not wait for that."""
        self._streams.pop(stream.id, None)
        stream.drop()

    async def close(self) -> None:
        await self._connection.close()
