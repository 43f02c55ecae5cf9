"""Port-forward over WebSocket channels (`v4.channel.k8s.io`, `ports=` in the query), as the Python client speaks it.

Two channels per port, data and error, each opened by the server with the port number in two bytes, little endian.
Source: upstream staging/src/k8s.io/kubelet/pkg/cri/streaming/portforward/websocket.go. SPDY's is spdyportforward.py.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import WSMsgType, web

from steersman.cri.interface import RuntimeFault, Tunnel

log = logging.getLogger(__name__)

V4, V4_BASE64 = "v4.channel.k8s.io", "v4.base64.channel.k8s.io"
PROTOCOLS = (V4, V4_BASE64)

Dial = Callable[[int], Awaitable[Tunnel]]


class _Session:
    def __init__(self, socket: web.WebSocketResponse, ports: Sequence[int], dial: Dial) -> None:
        self._socket, self._ports, self._dial = socket, ports, dial
        self._base64 = socket.ws_protocol == V4_BASE64
        self._tunnels: dict[int, Tunnel] = {}
        self._dialled = [asyncio.Event() for _ in ports]

    async def _send(self, channel: int, data: bytes) -> None:
        if self._base64:
            await self._socket.send_str(f"{channel}{base64.b64encode(data).decode()}")
        else:
            await self._socket.send_bytes(bytes([channel]) + data)

    async def run(self) -> None:
        for index, port in enumerate(self._ports):
            for channel in (2 * index, 2 * index + 1):
                await self._send(channel, port.to_bytes(2, "little"))
        try:
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(self._listen())
                forwarding = group.create_task(self._forward_all())
                # Until the client leaves, or the other end of every port has.
                await asyncio.wait((listening, forwarding), return_when=asyncio.FIRST_COMPLETED)
                listening.cancel()
                forwarding.cancel()
        finally:
            for tunnel in self._tunnels.values():
                await tunnel.close()

    async def _forward_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for index, port in enumerate(self._ports):
                group.create_task(self._forward(index, port))

    async def _forward(self, index: int, port: int) -> None:
        """Pod to client for one port."""
        try:
            try:
                tunnel = self._tunnels[index] = await self._dial(port)
            finally:
                self._dialled[index].set()
            while data := await tunnel.read():
                await self._send(2 * index, data)
        except (RuntimeFault, OSError) as error:
            log.info("port-forward failed port=%d error=%s", port, error)
            if not self._socket.closed:
                await self._send(2 * index + 1, f"error forwarding port {port} to pod: {error}".encode())

    async def _listen(self) -> None:
        """Client to pod, until the client leaves."""
        while True:
            message = await self._socket.receive()
            if message.type is WSMsgType.BINARY:
                data = bytes(message.data)
                channel, body = data[0] if data else 1, data[1:]
            elif message.type is WSMsgType.TEXT and message.data:
                try:
                    channel, body = int(message.data[0]), base64.b64decode(message.data[1:])
                except ValueError:
                    # Whatever that is, it is not this protocol.
                    return
            else:
                return
            if channel % 2 or channel // 2 >= len(self._ports) or not body:
                continue
            # A client speaks at once.
            await self._dialled[channel // 2].wait()
            tunnel = self._tunnels.get(channel // 2)
            if tunnel is not None:
                try:
                    await tunnel.write(body)
                except (RuntimeFault, OSError) as error:
                    log.debug("pod closed its end error=%s", error)


async def serve(socket: web.WebSocketResponse, ports: Sequence[int], dial: Dial) -> None:
    """Forward until the client leaves, or all that it is forwarded to."""
    await _Session(socket, ports, dial).run()
