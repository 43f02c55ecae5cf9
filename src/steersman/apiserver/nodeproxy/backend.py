"""The connection behind a passed-on request: a fetched and streamed answer, or an upgraded connection spliced both ways."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from steersman.apiserver.config import ServerConfig
from steersman.apiserver.http import RawConnection, Request, Response
from steersman.apiserver.nodeproxy.locate import Target
from steersman.client.connection import Address, HttpConnection, connect

_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade")
)
_DIAL_S = 30.0
_HEAD_LIMIT = 64 * 1024
_BODY_LIMIT = 1024 * 1024


class Unreachable(Exception):
    """The backend cannot be reached; the text says why."""


class Backends:
    """Makes connections, one per request: to loads of backends, seldom twice to the same."""

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._kubelet_tls: ssl.SSLContext | None = None

    async def fetch(self, method: str, target: Target, headers: Mapping[str, str], body: bytes) -> Response:
        """The backend's answer, streamed. Raises Unreachable."""
        try:
            async with asyncio.timeout(_DIAL_S):
                connection = await connect(Address(target.host, target.port, self._tls(target), target.host))
        except (OSError, TimeoutError) as fault:
            raise Unreachable(str(fault) or type(fault).__name__) from fault
        try:
            host = target.origin.partition("://")[2]
            await connection.send(method, target.path, {"Host": host, "Connection": "close", **headers}, body)
        except BaseException as fault:
            connection.close()
            if isinstance(fault, OSError):
                raise Unreachable(str(fault) or type(fault).__name__) from fault
            raise
        kept = {name.title(): value for name, value in connection.headers.items() if name not in _HOP_BY_HOP}
        content_type = kept.pop("Content-Type", "")
        kept.pop("Content-Length", None)
        return Response(connection.status, content_type=content_type, headers=kept, chunks=_body(connection))

    async def upgrade(self, request: Request, target: Target) -> Response:
        """Pass an upgrade on and, if the backend switches, splice the connections until one side ends. Raises Unreachable."""
        try:
            async with asyncio.timeout(_DIAL_S):
                reader, writer = await asyncio.open_connection(target.host, target.port, ssl=self._tls(target))
        except (OSError, TimeoutError) as fault:
            raise Unreachable(str(fault) or type(fault).__name__) from fault
        try:
            writer.write(_request_head(request, target))
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            if status != 101:
                return await _refused(status, head, reader)
            assert request.take_over is not None
            client = await request.take_over()
            await client.write(head)
            await _splice(client, reader, writer)
            return Response(101, upgraded=True)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError) as fault:
            raise Unreachable(str(fault) or "connection closed") from fault
        finally:
            writer.close()

    def _tls(self, target: Target) -> ssl.SSLContext | None:
        if target.scheme != "https":
            return None
        if not target.kubelet:
            return _trusting()
        if self._kubelet_tls is None:
            self._kubelet_tls = self._make_kubelet_tls()
        return self._kubelet_tls

    def _make_kubelet_tls(self) -> ssl.SSLContext:
        config = self._config
        context = ssl.create_default_context(cafile=str(config.kubelet_ca)) if config.kubelet_ca else _trusting()
        if config.kubelet_client_cert and config.kubelet_client_key:
            context.load_cert_chain(config.kubelet_client_cert, config.kubelet_client_key)
        return context


def _trusting() -> ssl.SSLContext:
    """For backends whose certificates nobody vouches for: proxied pods and services, kubelets without a CA."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _body(connection: HttpConnection) -> AsyncIterator[bytes]:
    try:
        async for chunk in connection.chunks():
            yield chunk
    except OSError as fault:
        raise ConnectionResetError(str(fault)) from fault
    finally:
        connection.close()


def _request_head(request: Request, target: Target) -> bytes:
    """The client's request with another address, less its credentials. Repeated headers stay repeated."""
    lines = [f"{request.method} {target.path} HTTP/1.1", f"Host: {target.host}:{target.port}"]
    for name, value in request.headers.items():
        if name not in ("host", "authorization", "content-length") and not name.startswith("impersonate-"):
            lines += [f"{name}: {item}" for item in request.repeated.get(name, (value,))]
    if request.method not in ("GET", "HEAD"):
        lines.append("Content-Length: 0")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


async def _refused(status: int, head: bytes, reader: asyncio.StreamReader) -> Response:
    headers: dict[str, str] = {}
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if value and name.lower() not in _HOP_BY_HOP:
            headers[name.lower()] = value.strip()
    length = int(headers.pop("content-length", "0") or "0")
    body = await reader.readexactly(min(length, _BODY_LIMIT)) if length else b""
    return Response(status, body, headers.pop("content-type", "text/plain"), headers)


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
