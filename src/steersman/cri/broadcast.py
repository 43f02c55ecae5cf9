"""A runtime's events, told to everyone who listens: what is behind `Runtime.events()` of the runtimes that make their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from weakref import WeakSet

from steersman.cri.messages import RuntimeEvent


class Broadcast:
    """`limit`: how many events wait for one listener; one that is slower loses what comes then. 0: any number."""

    def __init__(self, limit: int = 0) -> None:
        self._limit = limit
        self._queues: WeakSet[asyncio.Queue[RuntimeEvent]] = WeakSet()

    def listen(self) -> AsyncIterator[RuntimeEvent]:
        """Every event from this call on, not only from the first one waited for: who listens and then looks misses nothing.

        Letting go of the iterator ends it, though nothing was ever taken from it.
        """
        queue: asyncio.Queue[RuntimeEvent] = asyncio.Queue(self._limit)
        self._queues.add(queue)
        return _taken(queue)

    def tell(self, event: RuntimeEvent) -> None:
        for queue in self._queues:
            if not queue.full():
                queue.put_nowait(event)


async def _taken(queue: asyncio.Queue[RuntimeEvent]) -> AsyncIterator[RuntimeEvent]:
    while True:
        yield await queue.get()
