"""Few requests at a time over one transport; what may not wait passes by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from steersman.client.bounded import BoundedTransport
from steersman.client.interface import Answer, StreamAnswer
from steersman.machinery.clock import VirtualClock


class Hanging:
    """A transport whose server answers nothing until it is let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = asyncio.Event()

    async def request(self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        self.asked.append(target)
        await self.go.wait()
        return Answer(200, {}, b"{}")

    @asynccontextmanager
    async def stream(self, method: str, target: str, *, headers: Mapping[str, str] | None = None) -> AsyncIterator[StreamAnswer]:
        raise AssertionError("nobody streams here")
        yield

    async def close(self) -> None:
        self.go.set()


def test_no_more_than_the_limit_are_under_way_and_what_may_not_wait_passes_by() -> None:
    async def scenario() -> None:
        server = Hanging()
        bounded = BoundedTransport(server, 2, past="/leases/")
        async with asyncio.TaskGroup() as group:
            for target in ("/a", "/b", "/c", "/leases/n1"):
                group.create_task(bounded.request("GET", target))
            await VirtualClock().advance(0)
            assert server.asked == ["/a", "/b", "/leases/n1"]
            server.go.set()
        assert server.asked == ["/a", "/b", "/leases/n1", "/c"]

    asyncio.run(scenario())
