"""Events that wait for whoever carries them away: a bounded queue, emptied in batches by one task."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from steersman.machinery.clock import Clock
from steersman.machinery.waiting import within


class Queue:
    """`put` never waits: what does not fit is refused."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit, self._clock = limit, clock
        self._waiting: deque[bytes] = deque()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, body: bytes) -> bool:
        """False if there is no room."""
        if len(self._waiting) >= self._limit:
            return False
        self._waiting.append(body)
        self._changed.set()
        return True

    def put_back(self, batch: Sequence[bytes]) -> None:
        """What was taken, in front of all others."""
        self._waiting.extendleft(reversed(batch))

    async def batch(self, size: int, wait_s: float = 0.0) -> list[bytes]:
        """Up to `size` events, at least one: as soon as there are so many, or `wait_s` after the first."""
        await self._gathered(1)
        if wait_s:
            await within(self._clock, wait_s, lambda: self._gathered(size))
        return self.take(size)

    def take(self, size: int) -> list[bytes]:
        """What is there, up to `size`."""
        return [self._waiting.popleft() for _ in range(min(size, len(self._waiting)))]

    async def _gathered(self, count: int) -> None:
        while len(self._waiting) < count:
            self._changed.clear()
            await self._changed.wait()
