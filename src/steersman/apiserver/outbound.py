"""Asking others over HTTPS: issuers of tokens, webhooks. One request, one connection, one time limit."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from steersman.client.connection import Address, connect

_LIMIT = 1024 * 1024


class Unreachable(Exception):
    """No answer; the text says why."""


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


async def fetch(
    method: str,
    url: str,
    tls: ssl.SSLContext | None,
    *,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Answer:
    """The answer whatever its status. tls is for https. Raises Unreachable."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host = parts.hostname or ""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        async with asyncio.timeout(timeout_s):
            connection = await connect(Address(host, parts.port or (443 if secure else 80), tls if secure else None, host))
            try:
                await connection.send(method, target, {"Host": parts.netloc, "Connection": "close", **(headers or {})}, body)
                received = bytearray()
                async for chunk in connection.chunks():
                    received += chunk
                    if len(received) > _LIMIT:
                        raise Unreachable(f"{url}: its answer is too long")
                return Answer(connection.status, connection.headers, bytes(received))
            finally:
                connection.close()
    except TimeoutError as fault:
        raise Unreachable(f"{url}: no answer within {timeout_s:g} s") from fault
    except (OSError, ValueError) as fault:
        raise Unreachable(f"{url}: {fault or type(fault).__name__}") from fault
