"""exec, attach and port-forward requests: which protocol the client speaks, and who serves it.

WebSocket and SPDY both reach here, from the API server's proxy byte for byte. Source: upstream kubelet/pkg/cri/streaming.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import parse_qsl

from aiohttp import web

from steersman.cri.interface import Runtime, Terminal, Tunnel
from steersman.kubelet.server import channels, portforward, remotecommand, spdychannels, spdyportforward
from steersman.kubelet.server.remotecommand import Wanted
from steersman.kubelet.server.spdychannels import SpdyChannels
from steersman.kubelet.server.spdysession import SpdySession, WebSocketBytes
from steersman.kubelet.server.upgrade import Gone, TakenOver
from steersman.machinery.clock import Clock

_VERSION = "X-Stream-Protocol-Version"
MAX_MESSAGE = 32 * 1024 * 1024
_TRUE = ("1", "true", "True", "t", "")


class Streaming:
    def __init__(self, runtime: Runtime, clock: Clock) -> None:
        self._runtime, self._clock = runtime, clock

    async def command(self, request: web.BaseRequest, container_id: str, *, attach: bool) -> web.StreamResponse:
        """exec or attach."""
        pairs = parse_qsl(request.raw_path.partition("?")[2], keep_blank_values=True)
        flags = {key: value for key, value in pairs if key != "command"}
        command = [value for key, value in pairs if key == "command"]
        tty = _asked(flags, "tty")
        wanted = Wanted(
            stdin=_asked(flags, "input") or _asked(flags, "stdin"),
            stdout=_asked(flags, "output") or _asked(flags, "stdout"),
            stderr=not tty and (_asked(flags, "error") or _asked(flags, "stderr")),
            tty=tty,
        )
        if not (wanted.stdin or wanted.stdout or wanted.stderr):
            return web.Response(status=400, text="you must specify at least 1 of stdin, stdout, stderr\n")

        async def open_terminal() -> Terminal:
            if attach:
                return await self._runtime.attach(container_id, tty=tty, stdin=wanted.stdin)
            return await self._runtime.exec(container_id, command, tty=tty, stdin=wanted.stdin)

        told = None if attach else command
        if _is_spdy(request):
            return await self._spdy_command(request, wanted, told, open_terminal)
        if not _is_websocket(request):
            return _upgrade_required()
        if _no_subprotocol(request, channels.PROTOCOLS):
            return web.Response(status=403)
        socket = web.WebSocketResponse(protocols=channels.PROTOCOLS, max_msg_size=MAX_MESSAGE)
        await socket.prepare(request)
        await remotecommand.serve(channels.WebSocketChannels(socket), wanted, told, open_terminal)
        return socket

    async def port_forward(self, request: web.BaseRequest, sandbox_id: str) -> web.StreamResponse:
        async def dial(port: int) -> Tunnel:
            return await self._runtime.port_forward(sandbox_id, port)

        if _is_spdy(request):
            protocol = _negotiated(request, (spdyportforward.PROTOCOL,))
            if not protocol:
                return _no_common_protocol((spdyportforward.PROTOCOL,))
            connection = await _switch(request, protocol)
            await spdyportforward.serve(SpdySession(connection), dial)
            return Gone()
        if not _is_websocket(request):
            return _upgrade_required()
        protocols = (spdyportforward.TUNNEL_PROTOCOL, *portforward.PROTOCOLS)
        if _no_subprotocol(request, protocols):
            return web.Response(status=403)
        socket = web.WebSocketResponse(protocols=protocols, max_msg_size=MAX_MESSAGE)
        await socket.prepare(request)
        if socket.ws_protocol == spdyportforward.TUNNEL_PROTOCOL:
            await spdyportforward.serve(SpdySession(WebSocketBytes(socket)), dial)
            return socket
        pairs = parse_qsl(request.raw_path.partition("?")[2])
        ports = [int(part) for key, value in pairs if key in ("port", "ports") for part in value.split(",") if part.isdigit()]
        await portforward.serve(socket, ports, dial)
        return socket

    async def _spdy_command(
        self,
        request: web.BaseRequest,
        wanted: Wanted,
        command: list[str] | None,
        open_terminal: Callable[[], Awaitable[Terminal]],
    ) -> web.StreamResponse:
        # A client that names no version speaks the first.
        protocol = _negotiated(request, spdychannels.PROTOCOLS) if _VERSION in request.headers else spdychannels.PROTOCOLS[-1]
        if not protocol:
            return _no_common_protocol(spdychannels.PROTOCOLS)
        session = SpdySession(await _switch(request, protocol))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(session.run())]
            joined = SpdyChannels(session, protocol, group)
            if await joined.open(wanted, self._clock):
                await remotecommand.serve(joined, wanted, command, open_terminal)
            await session.close()
            for task in (*tasks, *joined.tasks):
                task.cancel()
        return Gone()


async def _switch(request: web.BaseRequest, protocol: str) -> TakenOver:
    """Answer 101 and take the connection over. Raises ConnectionResetError."""
    connection = TakenOver(request)
    lines = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: SPDY/3.1", f"{_VERSION}: {protocol}"]
    await connection.write("\r\n".join([*lines, "", ""]).encode())
    return connection


def _negotiated(request: web.BaseRequest, known: Sequence[str]) -> str:
    """The client's first choice that is known here; '' if there is none."""
    offered = [name.strip() for line in request.headers.getall(_VERSION, []) for name in line.split(",")]
    return next((name for name in offered if name in known), "")


def _no_common_protocol(known: Sequence[str]) -> web.Response:
    headers = {"X-Accepted-Stream-Protocol-Versions": ",".join(known)}
    return web.Response(status=403, headers=headers, text="unable to upgrade: unable to negotiate protocol\n")


def _upgrade_required() -> web.Response:
    return web.Response(status=400, text="Upgrade request required\n")


def _is_spdy(request: web.BaseRequest) -> bool:
    return request.headers.get("Upgrade", "").lower() == "spdy/3.1"


def _no_subprotocol(request: web.BaseRequest, known: Sequence[str]) -> bool:
    """Whether the client asks for WebSocket subprotocols, and for none of these."""
    offered = [name.strip() for line in request.headers.getall("Sec-WebSocket-Protocol", []) for name in line.split(",")]
    return bool(offered) and not any(name in known for name in offered)


def _asked(flags: dict[str, str], key: str) -> bool:
    return key in flags and flags[key] in _TRUE


def _is_websocket(request: web.BaseRequest) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"
