"""Port-forwards of one SPDY session: what one of them leaves unread must not hold up the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from steersman.cri.interface import Tunnel
from steersman.cri.server import sessions
from steersman.cri.server.spdyserver import ServerSession
from steersman.kubelet.server import spdyportforward
from steersman.kubelet.server.spdysession import SpdySession
from steersman.machinery.clock import VirtualClock
from steersman.machinery.spdy import Data, SpdyConnection

Dial = Callable[[int], Awaitable[Tunnel]]


class Client:
    """The client's end of a session, in memory. `answers`: what came, by stream."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader()
        self.spdy = SpdyConnection(server=False)
        self.answers: dict[int, bytes] = {}

    def open(self, **headers: str) -> int:
        number, frame = self.spdy.new_stream(headers)
        self.reader.feed_data(frame)
        return number

    def say(self, stream: int, data: bytes) -> None:
        self.reader.feed_data(self.spdy.data(stream, data))

    def take(self, data: bytes) -> None:
        for frame in self.spdy.feed(data):
            if isinstance(frame, Data):
                self.answers[frame.stream_id] = self.answers.get(frame.stream_id, b"") + frame.data


class Server:
    """A server in a pod: one that stops to listen, says so when `leaving` is set and is gone; or one that echoes."""

    def __init__(self, leaving: asyncio.Event | None) -> None:
        self._leaving, self._said = leaving, asyncio.Queue[bytes]()

    async def read(self) -> bytes:
        if self._leaving is None:
            return await self._said.get()
        await self._leaving.wait()
        return b""

    async def write(self, data: bytes) -> None:
        if self._leaving is not None:
            await asyncio.Event().wait()
        self._said.put_nowait(data)

    async def close_write(self) -> None: ...
    async def close(self) -> None: ...


async def of_the_kubelet(client: Client, dial: Dial) -> None:
    class Connection:
        async def read(self) -> bytes:
            return await client.reader.read(1 << 16)

        async def write(self, data: bytes) -> None:
            client.take(data)

        async def close(self) -> None: ...

    await spdyportforward.serve(SpdySession(Connection()), dial)


async def of_the_runtime(client: Client, dial: Dial) -> None:
    async def drain() -> None: ...

    writer: Any = SimpleNamespace(
        write=client.take, drain=drain, is_closing=lambda: False, transport=SimpleNamespace(abort=lambda: None)
    )
    session = ServerSession(client.reader, writer)
    async with asyncio.TaskGroup() as group:
        group.create_task(session.run())
        await sessions.ports(session, dial)


@pytest.mark.parametrize("serve", [of_the_kubelet, of_the_runtime])
def test_a_pod_that_leaves_without_having_listened_does_not_end_the_other_connections(
    serve: Callable[[Client, Dial], Awaitable[None]],
) -> None:
    """An upload that a server refuses midway: what had come of it filled the stream, and the session was read no further."""

    async def scenario() -> None:
        client, clock, leaving = Client(), VirtualClock(), asyncio.Event()

        async def dial(port: int) -> Tunnel:
            return Server(leaving if port == 80 else None)

        async def served() -> None:
            await serve(client, dial)

        async with asyncio.TaskGroup() as group:
            serving = group.create_task(served())
            client.open(streamtype="error", port="80", requestid="0")
            upload = client.open(streamtype="data", port="80", requestid="0")
            for _ in range(600):
                client.say(upload, b"much")
            await clock.advance(0, settle_turns=2000)
            leaving.set()
            await clock.advance(0, settle_turns=2000)
            client.open(streamtype="error", port="81", requestid="1")
            other = client.open(streamtype="data", port="81", requestid="1")
            client.say(other, b"hello")
            await clock.advance(0, settle_turns=2000)
            serving.cancel()
        assert client.answers.get(other) == b"hello"

    asyncio.run(scenario())
