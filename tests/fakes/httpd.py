"""A small HTTPS server on the loopback interface, in the test's own loop: a function answers. For webhooks and issuers."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from tests.fakes import certs

Respond = Callable[[str, str, Any], tuple[int, Any]]
"""respond(method, path, JSON body or None) -> status, JSON body."""


@dataclass
class Httpd:
    """Where it listens, the CA that vouches for it, and the requests that came."""

    url: str
    ca: Path
    seen: list[tuple[str, str, Any]] = field(default_factory=list)


@asynccontextmanager
async def serving(directory: Path, respond: Respond) -> AsyncIterator[Httpd]:
    ca = directory / "httpd-ca.crt"
    made, key = certs.authority(ca)
    cert_file, key_file = certs.signed(directory / "httpd", "127.0.0.1", made, key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert_file, key_file)
    httpd = Httpd("", ca)

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return False
        line, *fields = head.strip().split("\r\n")
        method, path, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in fields)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        sent = orjson.loads(body) if body else None
        httpd.seen.append((method, path, sent))
        status, answer = respond(method, path, sent)
        content = orjson.dumps(answer)
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(content), content))
        await writer.drain()
        return headers.get("connection", "") != "close"

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await one(reader, writer):
                pass
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    httpd.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield httpd
    finally:
        server.close()
