"""The client's side of a WebSocket (RFC 6455): binary messages over an upgraded connection.

Not here: extensions; text messages, which the API server does not send.
"""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from collections.abc import AsyncIterator, Mapping

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.streaming.upgrade import Upgraded, upgrade

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_MAX_MESSAGE = 1 << 26


class WebSocket:
    """`protocol` is the subprotocol that the server chose."""

    def __init__(self, connection: Upgraded) -> None:
        self._connection = connection
        self._reader, self._writer = connection.reader, connection.writer
        self.protocol = connection.headers.get("sec-websocket-protocol", "")

    async def send(self, message: bytes) -> None:
        await self._send(_BINARY, message)

    async def messages(self) -> AsyncIterator[bytes]:
        """Until either side ends it. A connection that breaks ends them too: what it was about says whether that is a failure."""
        parts: list[bytes] = []
        try:
            while True:
                final, opcode, payload = await self._frame()
                if opcode == _PING:
                    await self._send(_PONG, payload)
                elif opcode == _CLOSE:
                    await self._send(_CLOSE, payload[:2])
                    return
                elif opcode in (_CONTINUATION, _TEXT, _BINARY):
                    parts.append(payload)
                    if final:
                        yield b"".join(parts)
                        parts = []
        except (asyncio.IncompleteReadError, OSError):
            return

    async def close(self) -> None:
        try:
            await self._send(_CLOSE, struct.pack(">H", 1000))
        except OSError:
            pass
        self._connection.close()

    async def _send(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = struct.pack(">BB", 0x80 | opcode, 0x80 | size)
        elif size < 1 << 16:
            head = struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack(">BBQ", 0x80 | opcode, 0x80 | 127, size)
        key = os.urandom(4)
        self._writer.write(head + key + _masked(payload, key))
        await self._writer.drain()

    async def _frame(self) -> tuple[bool, int, bytes]:
        first, second = await self._reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", await self._reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", await self._reader.readexactly(8))
        if size > _MAX_MESSAGE:
            raise ConnectionError("a message of the server is too large")
        key = await self._reader.readexactly(4) if second & 0x80 else b""
        payload = await self._reader.readexactly(size)
        return bool(first & 0x80), first & 0x0F, _masked(payload, key) if key else payload


async def connect(ctx: Context, target: str, protocols: str) -> WebSocket:
    """Raises as `upgrade` does."""
    headers: Mapping[str, str] = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Protocol": protocols,
    }
    return WebSocket(await upgrade(ctx, "GET", target, headers))


def _masked(payload: bytes, key: bytes) -> bytes:
    """As one number: a loop over bytes would be a hundred times slower."""
    size = len(payload)
    repeated = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")
