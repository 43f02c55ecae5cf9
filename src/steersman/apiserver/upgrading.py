"""A request that changes protocols (SPDY, WebSocket), passed on: once the other side switches, bytes go both ways until one ends.

Who passes requests on (nodeproxy/ to kubelets and pods, aggregation/ to other API servers) says where to, and as what.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from steersman.apiserver.http import RawConnection, Request, Response
from steersman.client.connection import Address, chunked

HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade")
)
DIAL_S = 30.0
_HEAD_LIMIT = 64 * 1024
_BODY_LIMIT = 1024 * 1024


class Unreachable(Exception):
    """The other server cannot be reached; the text says why."""


def wants_upgrade(request: Request) -> bool:
    return "upgrade" in request.headers.get("connection", "").lower() and request.take_over is not None


async def pass_on(request: Request, address: Address, head: bytes) -> Response:
    """Send `head` and, if the answer is 101, splice the connections; else the answer. Raises Unreachable."""
    name = address.name if address.tls else None
    try:
        async with asyncio.timeout(DIAL_S):
            reader, writer = await asyncio.open_connection(address.host, address.port, ssl=address.tls, server_hostname=name)
    except (OSError, TimeoutError) as fault:
        raise Unreachable(str(fault) or type(fault).__name__) from fault
    try:
        writer.write(head)
        answer = await reader.readuntil(b"\r\n\r\n")
        status = int(answer.split(b" ", 2)[1])
        if status != 101:
            return await _refused(status, answer, reader)
        assert request.take_over is not None
        client = await request.take_over()
        await client.write(answer)
        await _splice(client, reader, writer)
        return Response(101, upgraded=True)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError) as fault:
        raise Unreachable(str(fault) or "connection closed") from fault
    except ValueError as fault:
        raise Unreachable("its answer is no HTTP") from fault
    finally:
        writer.close()


async def _refused(status: int, head: bytes, reader: asyncio.StreamReader) -> Response:
    """Raises ValueError."""
    headers: dict[str, str] = {}
    in_chunks = False
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if value and name.lower() not in HOP_BY_HOP:
            headers[name.title()] = value.strip()
        in_chunks = in_chunks or (name.lower(), value.strip().lower()) == ("transfer-encoding", "chunked")
    length = int(headers.pop("Content-Length", "0") or "0")
    body = await _whole(reader) if in_chunks else await reader.readexactly(min(length, _BODY_LIMIT))
    return Response(status, body, headers.pop("Content-Type", "text/plain"), headers)


async def _whole(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    async for chunk in chunked(reader):
        body += chunk
        if len(body) >= _BODY_LIMIT:
            break
    return bytes(body[:_BODY_LIMIT])


async def _splice(client: RawConnection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes both ways. When either side is done the other is closed: SPDY and WebSocket say goodbye inside the stream."""

    async def up() -> None:
        while data := await client.read():
            writer.write(data)
            await writer.drain()

    async def down() -> None:
        while data := await reader.read(_HEAD_LIMIT):
            await client.write(data)

    async def quiet(work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (ConnectionError, OSError):
            pass

    try:
        async with asyncio.TaskGroup() as tasks:
            both = [tasks.create_task(quiet(up)), tasks.create_task(quiet(down))]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in both:
                task.cancel()
    finally:
        await client.close()
