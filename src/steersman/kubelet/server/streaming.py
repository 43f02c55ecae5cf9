"""exec, attach and port-forward requests: which protocol the client speaks, and who serves it.

WebSocket and SPDY both reach here, from the API server's proxy byte for byte. Source: upstream kubelet/pkg/cri/streaming.
"""

from __future__ import annotations

import logging
from urllib.parse import parse_qsl

from aiohttp import web

from steersman.cri.interface import Runtime, Terminal, Tunnel
from steersman.kubelet.server import channels, portforward, remotecommand
from steersman.kubelet.server.remotecommand import Wanted

log = logging.getLogger(__name__)

MAX_MESSAGE = 32 * 1024 * 1024
_TRUE = ("1", "true", "True", "t", "")


class Streaming:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

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

        if not _is_websocket(request):
            return web.Response(status=400, text="Upgrade request required\n")
        socket = web.WebSocketResponse(protocols=channels.PROTOCOLS, max_msg_size=MAX_MESSAGE, heartbeat=None)
        await socket.prepare(request)
        await remotecommand.serve(channels.WebSocketChannels(socket), wanted, command, open_terminal)
        return socket

    async def port_forward(self, request: web.BaseRequest, sandbox_id: str) -> web.StreamResponse:
        async def dial(port: int) -> Tunnel:
            return await self._runtime.port_forward(sandbox_id, port)

        if not _is_websocket(request):
            return web.Response(status=400, text="Upgrade request required\n")
        socket = web.WebSocketResponse(protocols=portforward.PROTOCOLS, max_msg_size=MAX_MESSAGE)
        await socket.prepare(request)
        pairs = parse_qsl(request.raw_path.partition("?")[2])
        ports = [int(part) for key, value in pairs if key in ("port", "ports") for part in value.split(",") if part.isdigit()]
        await portforward.serve(socket, ports, dial)
        return socket


def _asked(flags: dict[str, str], key: str) -> bool:
    return key in flags and flags[key] in _TRUE


def _is_websocket(request: web.BaseRequest) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"
