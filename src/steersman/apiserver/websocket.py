"""Answers over a WebSocket that only the server speaks on: logs and watches asked for with an upgrade (upstream's
wsstream.Reader and WatchServer.HandleWS, RFC 6455). Browsers watch so.

Not here: exec, attach and port-forward, whose WebSockets the kubelet ends.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from steersman.apiserver.http import RawConnection, Request, Response
from steersman.machinery.errors import BadRequest

PROTOCOLS = ("binary.k8s.io", "base64.binary.k8s.io")
"""Without a protocol a client gets binary frames."""
BEARER_TOKEN = "base64url.bearer.authorization.k8s.io."
"""What a client's token comes behind that can only send it as a protocol."""
_ACCEPT_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_FIN, _TEXT, _BINARY, _CLOSE = 0x80, 0x1, 0x2, 0x8
_NORMAL_CLOSURE = (1000).to_bytes(2, "big")


def is_websocket(request: Request) -> bool:
    headers = request.headers
    return "upgrade" in headers.get("connection", "").lower() and headers.get("upgrade", "").lower() == "websocket"


async def stream(request: Request, chunks: AsyncIterator[bytes]) -> Response:
    """Send each chunk as a message, until they end or the client goes. Raises BadRequest."""
    async with _ending(chunks):
        wanted = _wanted(request)
        chosen = next((name for name in wanted if name in PROTOCOLS), "")
        if wanted and not chosen:
            raise BadRequest(f"unable to upgrade: the protocols of a stream are {', '.join(PROTOCOLS)}")
        if chosen.startswith("base64."):
            return await _serve(request, chosen, chunks, lambda chunk: frame(_TEXT, base64.b64encode(chunk)))
        return await _serve(request, chosen, chunks, lambda chunk: frame(_BINARY, chunk))


async def lines(request: Request, chunks: AsyncIterator[bytes]) -> Response:
    """Send each line as a message of text, whatever protocol the client asks for. Raises BadRequest."""
    asked = [name for name in _wanted(request) if not name.startswith(BEARER_TOKEN)]

    def framed(chunk: bytes) -> bytes:
        return b"".join([frame(_TEXT, line) for line in chunk.splitlines(True)])

    async with _ending(chunks):
        return await _serve(request, asked[0] if asked else "", chunks, framed)


@asynccontextmanager
async def _ending(chunks: AsyncIterator[bytes]) -> AsyncIterator[None]:
    """Whoever makes the chunks is to know at once that nobody takes any more, and not when they are collected."""
    try:
        yield
    finally:
        close: Any = getattr(chunks, "aclose", None)
        if close is not None:
            await close()


def _wanted(request: Request) -> list[str]:
    return [name.strip() for name in request.headers.get("sec-websocket-protocol", "").split(",") if name.strip()]


async def _serve(request: Request, protocol: str, chunks: AsyncIterator[bytes], framed: Callable[[bytes], bytes]) -> Response:
    key = request.headers.get("sec-websocket-key", "")
    if not key or request.take_over is None:
        raise BadRequest("unable to upgrade: this is no WebSocket handshake")
    client = await request.take_over()
    try:
        await client.write(_handshake(key, protocol))
        async with asyncio.TaskGroup() as tasks:
            both = {tasks.create_task(_send(client, chunks, framed)), tasks.create_task(_until_gone(client))}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in both:
                task.cancel()
    finally:
        await client.close()
    return Response(101, upgraded=True)


async def _send(client: RawConnection, chunks: AsyncIterator[bytes], framed: Callable[[bytes], bytes]) -> None:
    try:
        async for chunk in chunks:
            await client.write(framed(chunk))
        await client.write(frame(_CLOSE, _NORMAL_CLOSURE))
    except OSError:
        pass


async def _until_gone(client: RawConnection) -> None:
    """What a client says is of no interest, except that it has no more to say."""
    try:
        while data := await client.read():
            if data[0] & 0x0F == _CLOSE:
                return
    except OSError:
        pass


def frame(opcode: int, payload: bytes) -> bytes:
    """One unmasked frame."""
    length = len(payload)
    if length < 126:
        head = bytes((_FIN | opcode, length))
    elif length < 1 << 16:
        head = bytes((_FIN | opcode, 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((_FIN | opcode, 127)) + length.to_bytes(8, "big")
    return head + payload


def _handshake(key: str, protocol: str) -> bytes:
    # SHA-1 is what RFC 6455 prescribes; nothing depends on its strength.
    accept = base64.b64encode(hashlib.sha1(key.encode() + _ACCEPT_KEY, usedforsecurity=False).digest()).decode()
    head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}"]
    if protocol:
        head.append(f"Sec-WebSocket-Protocol: {protocol}")
    return "\r\n".join([*head, "", ""]).encode()
