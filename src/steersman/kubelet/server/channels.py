"""The streams of exec and attach as the client sees them, over WebSocket (v5, v4, v1 channel protocols).

spdychannels.py is the same over SPDY; remotecommand.py joins either to a process. Source: upstream
staging/src/k8s.io/streaming, apimachinery pkg/util/remotecommand; KEP-4006.
"""

from __future__ import annotations

import base64
import json
from enum import IntEnum
from typing import Protocol

from aiohttp import WSMsgType, web

from steersman.machinery.meta import Obj

V5, V4, V1 = "v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"
V4_BASE64, V1_BASE64 = "v4.base64.channel.k8s.io", "base64.channel.k8s.io"
PROTOCOLS = (V5, V4, V4_BASE64, V1, V1_BASE64)
_CLOSE = 255


class Channel(IntEnum):
    STDIN = 0
    STDOUT = 1
    STDERR = 2
    ERROR = 3
    RESIZE = 4


class Channels(Protocol):
    """What remotecommand.py needs of a connection."""

    async def receive(self) -> tuple[Channel, bytes] | None:
        """Input or a resize; (STDIN, b'') when stdin ended; None when the client is gone."""

    async def send(self, channel: Channel, data: bytes) -> None:
        """Raises ConnectionError when the client is gone."""

    async def finish(self, status: Obj) -> None:
        """Send the final status and close."""


class WebSocketChannels:
    """Implements Channels on a prepared WebSocket."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._protocol = socket.ws_protocol or V1
        self._base64 = "base64" in self._protocol

    async def receive(self) -> tuple[Channel, bytes] | None:
        while True:
            message = await self._socket.receive()
            if message.type is WSMsgType.BINARY:
                data = bytes(message.data)
            elif message.type is WSMsgType.TEXT:
                data = str(message.data).encode()
            else:
                return None
            if not data:
                continue
            number, body = data[0], data[1:]
            if self._base64:
                number, body = number - ord("0"), base64.b64decode(body)
            if number == _CLOSE and self._protocol == V5:
                if body[:1] == bytes([Channel.STDIN]):
                    return Channel.STDIN, b""
                continue
            if number in (Channel.STDIN, Channel.RESIZE) and body:
                return Channel(number), body

    async def send(self, channel: Channel, data: bytes) -> None:
        if self._base64:
            await self._socket.send_str(f"{channel.value}{base64.b64encode(data).decode()}")
        else:
            await self._socket.send_bytes(bytes([channel]) + data)

    async def finish(self, status: Obj) -> None:
        if self._protocol in (V5, V4, V4_BASE64):
            await self.send(Channel.ERROR, json.dumps(status, separators=(",", ":")).encode())
        elif status["status"] != "Success":
            await self.send(Channel.ERROR, str(status.get("message") or "").encode())
        await self._socket.close()
