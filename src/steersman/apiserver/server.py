"""The HTTPS front: aiohttp's low-level server on one side, the server-neutral request core (a Handler) on the other.

No router: paths are parsed by the pipeline. Whole answers go out in one write; streams with backpressure; upgraded connections
are handed over raw (rawconn.py). What is not here: anything that knows Kubernetes.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import zlib
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_protocol import RequestHandler
from cryptography import x509

from steersman.apiserver.config import ServerConfig
from steersman.apiserver.http import Handler, RawConnection, Request, Response
from steersman.apiserver.rawconn import TakenOver
from steersman.machinery.errors import RequestEntityTooLarge

log = logging.getLogger(__name__)

_GZIP_FROM = 128 * 1024
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_DRAIN_S = 5.0


class Connection(RequestHandler):
    """aiohttp's protocol, with the client's certificate parsed once per connection."""

    __slots__ = ("peer", "remote")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.peer: x509.Certificate | None = None
        tls = transport.get_extra_info("ssl_object")
        der = tls.getpeercert(True) if tls is not None else None
        if der:
            self.peer = x509.load_der_x509_certificate(der)
        address = transport.get_extra_info("peername")
        self.remote: str = address[0] if address else ""
        super().connection_made(transport)


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class _Whole(web.StreamResponse):
    """An answer whose bytes are made here: head and body leave in one write."""

    def __init__(self, response: Response, head_only: bool) -> None:
        super().__init__(status=response.status)
        self._answer = response
        self._head_only = head_only

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        answer = self._answer
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("client gone")
        parts = answer.parts or (answer.body,)
        length = sum(map(len, parts))
        keep_alive = request.keep_alive
        self._keep_alive = keep_alive
        lines = [_STATUS_LINES.get(answer.status) or f"HTTP/1.1 {answer.status} Unknown\r\n"]
        if answer.content_type:
            lines.append(f"Content-Type: {answer.content_type}\r\n")
        if answer.status not in (204, 304):
            lines.append(f"Content-Length: {length}\r\n")
        lines += [f"{name}: {value}\r\n" for name, value in answer.headers.items()]
        if answer.warnings:
            lines += [f"Warning: {value}\r\n" for value in warning_headers(answer.warnings)]
        lines.append("\r\n" if keep_alive else "Connection: close\r\n\r\n")
        head = "".join(lines).encode("latin-1", "replace")
        if self._head_only:
            transport.write(head)
        elif len(parts) == 1:
            transport.write(head + parts[0])
        else:
            transport.write(head)
            for part in parts:
                transport.write(part)
                await request.writer.drain()
        await request.writer.drain()
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        self._eof_sent = True


def warning_headers(texts: list[str]) -> list[str]:
    """RFC 7234 warnings, code 299, no duplicates; too much text is cut (facts: Warnings)."""
    unique = list(dict.fromkeys(text.replace("\n", " ").replace("\r", " ") for text in texts))
    if sum(map(len, unique)) > 4096:
        unique = [text[:256] for text in unique]
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in unique)
    return [f'299 - "{text}"' for text in quoted]


class HTTPServer:
    """Listens and answers. `start()` binds, `stop()` lets requests finish for a moment and closes."""

    def __init__(self, config: ServerConfig, handler: Handler) -> None:
        self._config = config
        self._handler = handler
        self._server: _Server | None = None
        self._listener: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = _Server(self._serve, access_log=None, lingering_time=1.0, max_line_size=65536, max_field_size=65536)
        self._listener = await loop.create_server(
            self._server, self._config.bind_address, self._config.secure_port, ssl=tls_context(self._config), backlog=1024
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
        if self._server is not None:
            self._server.pre_shutdown()
            await self._server.shutdown(_DRAIN_S)
        if self._listener is not None:
            await self._listener.wait_closed()

    async def _serve(self, raw: web.BaseRequest) -> web.StreamResponse:
        request = self._request(raw)
        response = await self._handler(request)
        if response.upgraded:
            return _Gone()
        if response.chunks is not None:
            return await self._stream(raw, response)
        if "accept-encoding" in request.headers:
            await _compress(request, response)
        return _Whole(response, raw.method == "HEAD")

    def _request(self, raw: web.BaseRequest) -> Request:
        path, _, query = raw.raw_path.partition("?")
        if "%" in path:
            path = unquote(path)
        headers: dict[str, str] = {}
        repeated: dict[str, tuple[str, ...]] = {}
        for name, value in raw.headers.items():
            name = name.lower()
            if name in headers:
                repeated[name] = (*repeated.get(name, (headers[name],)), value)
            else:
                headers[name] = value
        connection = raw.protocol
        assert isinstance(connection, Connection)

        async def read_body() -> bytes:
            return await _read_body(raw, self._config.max_body_bytes)

        async def take_over() -> RawConnection:
            return TakenOver.of(raw)

        return Request(
            raw.method, path, query, headers, connection.peer, connection.remote, read_body, take_over, repeated
        )  # fmt: skip

    async def _stream(self, raw: web.BaseRequest, response: Response) -> web.StreamResponse:
        assert response.chunks is not None
        headers = {"Content-Type": response.content_type, **response.headers}
        answer = web.StreamResponse(status=response.status, headers=headers)
        for value in warning_headers(response.warnings):
            answer.headers.add("Warning", value)
        if raw.version >= (1, 1):
            answer.enable_chunked_encoding()
        await answer.prepare(raw)
        try:
            async for chunk in response.chunks:
                await answer.write(chunk)
            await answer.write_eof()
        except ConnectionError:
            log.debug("client gone while streaming: path=%s", raw.path)
        finally:
            await _close(response.chunks)
        return answer


class _Gone(web.StreamResponse):
    """Stands for a connection that was taken over: nothing is sent, and it is not kept."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        self._keep_alive = False
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        self._eof_sent = True


async def _close(chunks: AsyncIterator[bytes]) -> None:
    close: Any = getattr(chunks, "aclose", None)
    if close is not None:
        await close()


async def _read_body(raw: web.BaseRequest, limit: int) -> bytes:
    content = raw.content
    declared = raw.content_length
    if declared is not None and declared > limit:
        raise RequestEntityTooLarge.of(limit)
    chunks: list[bytes] = []
    size = 0
    while not content.at_eof():
        chunk = await content.readany()
        size += len(chunk)
        if size > limit:
            raise RequestEntityTooLarge.of(limit)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _compress(request: Request, response: Response) -> None:
    """gzip large answers for those who accept it, off the loop."""
    size = sum(map(len, response.parts)) if response.parts else len(response.body)
    if size <= _GZIP_FROM or "gzip" not in request.headers.get("accept-encoding", "") or response.status != 200:
        return
    if "Content-Encoding" in response.headers:
        return
    parts = response.parts or (response.body,)

    def work() -> list[bytes]:
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        packed = [packer.compress(part) for part in parts]
        return [part for part in (*packed, packer.flush()) if part]

    response.parts = await asyncio.get_running_loop().run_in_executor(None, work)
    response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"


def tls_context(config: ServerConfig) -> ssl.SSLContext:
    """TLS 1.2 or newer; client certificates are optional and, if given, must be of the client CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(config.tls_cert, config.tls_key)
    context.load_verify_locations(config.client_ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context
