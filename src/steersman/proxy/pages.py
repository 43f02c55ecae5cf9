"""The few small pages a proxy has: one request per connection, answered by its path, without an HTTP library.

Asked by load balancers and people every few seconds at most. What the pages say: healthchecks.py, status.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from steersman.machinery.clock import Clock
from steersman.machinery.waiting import within

_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Page:
    """An answer. `headers`: whole lines."""

    status: HTTPStatus
    content_type: str
    text: str
    headers: tuple[str, ...] = ()

    def response(self) -> bytes:
        body = self.text.encode()
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            f"Content-Type: {self.content_type}",
            "X-Content-Type-Options: nosniff",
            *self.headers,
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        return "\r\n".join((*head, "", "")).encode() + body


NOT_FOUND = Page(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", "404 page not found\n")


async def listen(addresses: Sequence[str], port: int, page_of: Callable[[str], Page], clock: Clock) -> asyncio.Server:
    """Answer with `page_of(path)`. Raises OSError if a port is taken."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = bytearray()

        async def read() -> None:
            head.extend(await reader.readuntil(b"\r\n\r\n"))

        try:
            if await within(clock, _PATIENCE_S, read):
                writer.write(page_of(_path(bytes(head))).response())
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(serve, list(addresses), port)


def _path(head: bytes) -> str:
    """Of the request line; empty if it is none."""
    parts = head.split(b"\r\n", 1)[0].split(b" ")
    return parts[1].split(b"?", 1)[0].decode("latin-1") if len(parts) == 3 else ""
