"""A connection to the API server that changes its protocol (RFC 9110 section 7.8), with the credentials of the kubeconfig."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.errors import KubectlError, Unreachable
from steersman.client.http import make_ssl_context
from steersman.machinery.errors import from_status

_HEAD_LIMIT = 1 << 16
_CONNECT_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Upgraded:
    """After `101 Switching Protocols`. `headers` have lower-case names."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    headers: Mapping[str, str]

    def close(self) -> None:
        self.writer.transport.abort()


async def upgrade(ctx: Context, method: str, target: str, headers: Mapping[str, str]) -> Upgraded:
    """Raises Unreachable, the server's StatusError, or KubectlError with what it said instead."""
    at = ctx.connection.at
    parts = urlsplit(at.server)
    tls = make_ssl_context(at.ca, at.cert, at.key, insecure=at.insecure) if parts.scheme == "https" else None
    host = parts.hostname or ""
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(
                host,
                parts.port or (443 if tls else 80),
                ssl=tls,
                server_hostname=(at.tls_server_name or host) if tls else None,
                limit=1 << 20,
            )
    except OSError as error:
        raise Unreachable(ctx.server, error) from error
    sent = {"Host": parts.netloc, **headers, **ctx.impersonation}
    if token := _token(at.token, at.token_file):
        sent["Authorization"] = f"Bearer {token}"
    lines = [f"{method} {parts.path.rstrip('/')}{target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    if method == "POST":
        lines.append("Content-Length: 0")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    try:
        status, answered = await _head(reader)
        if status != 101:
            body = await _body(reader, answered)
            writer.close()
            raise _refusal(status, body)
    except (asyncio.IncompleteReadError, OSError) as error:
        raise Unreachable(ctx.server, ConnectionError(str(error))) from error
    return Upgraded(reader, writer, answered)


def _token(token: str, token_file: Path | None) -> str:
    return token_file.read_text().strip() if token_file is not None else token


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, colon, value in (line.partition(":") for line in head[1:]) if colon}
    words = head[0].split(" ", 2)
    return (int(words[1]) if len(words) > 1 and words[1].isdigit() else 0), headers


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        parts: list[bytes] = []
        while size := int((await reader.readuntil(b"\n")).split(b";", 1)[0], 16):
            parts.append((await reader.readexactly(size + 2))[:-2])
        return b"".join(parts)
    return await reader.readexactly(int(headers.get("content-length", "0")))


def _refusal(status: int, body: bytes) -> Exception:
    """The API server answers with a Status, what stands behind it (a kubelet) with a line of text."""
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if isinstance(found, dict) and found.get("kind") == "Status":
        return from_status(found, status)
    text = body.decode(errors="replace").strip() or f"the server answered {status}"
    return KubectlError(f"unable to upgrade connection: {text}")
