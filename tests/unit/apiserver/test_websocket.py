"""Answers over a WebSocket: who cannot have one is refused, and what would have been sent is let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from steersman.apiserver import websocket
from steersman.apiserver.http import RawConnection, Request, Response
from steersman.machinery.errors import BadRequest

HANDSHAKE = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}


class Chunks(AsyncIterator[bytes]):
    closed = False

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed = True


async def gone() -> RawConnection:
    raise ConnectionResetError


@pytest.mark.parametrize(
    ("serve", "headers", "error"),
    [
        (websocket.stream, {**HANDSHAKE, "sec-websocket-protocol": "v4.channel.k8s.io"}, BadRequest),
        (websocket.stream, {"connection": "Upgrade", "upgrade": "websocket"}, BadRequest),
        (websocket.lines, {"connection": "Upgrade", "upgrade": "websocket"}, BadRequest),
        (websocket.lines, HANDSHAKE, ConnectionResetError),
    ],
    ids=["unknown protocol", "no key", "no key, lines", "client gone"],
)
def test_what_cannot_be_sent_is_let_go(
    serve: Callable[[Request, AsyncIterator[bytes]], Awaitable[Response]], headers: dict[str, str], error: type[Exception]
) -> None:
    chunks = Chunks()

    async def scenario() -> None:
        with pytest.raises(error):
            await serve(Request("GET", "/log", "", headers=headers, take_over=gone), chunks)

    asyncio.run(scenario())
    assert chunks.closed
