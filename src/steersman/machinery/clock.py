"""The one clock. Everything that needs the time or waits takes a Clock, so that a whole cluster can run in virtual time.

Nothing else in steersman may call time.time(), datetime.now() or asyncio.sleep(): ruff's banned-api checks it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Wall time, monotonic time and waiting."""

    def now(self) -> datetime:
        """Wall time, aware, UTC, microseconds."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait that long; zero or less yields once."""

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call it on the running loop when that time has passed."""


class Timer(Protocol):
    def cancel(self) -> None:
        """It is not called any more."""


class RealClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    # Not a method around it: a request asks some forty times.
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(max(0.0, seconds), callback)


class _Due:
    """An entry in VirtualClock's order."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class VirtualClock:
    """A clock that moves only when told: `await clock.advance(seconds)` wakes sleepers in order of their deadlines."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed_s = 0.0
        self._order = itertools.count()
        self._waiting: list[tuple[float, int, _Due]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        return self._elapsed_s

    def set_wall(self, seconds: float) -> None:
        """Somebody sets the machine's clock, forward or back; sleepers and monotonic time don't notice."""
        self._start += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not future.done():
                future.set_result(None)

        timer = self.call_later(seconds, wake)
        try:
            await future
        finally:
            timer.cancel()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        due = _Due(callback)
        heapq.heappush(self._waiting, (self._elapsed_s + max(0.0, seconds), next(self._order), due))
        return due

    async def advance(self, seconds: float, *, settle_turns: int = 50) -> None:
        """Move time forward; after each wake-up the loop gets `settle_turns` turns so that woken tasks can act."""
        end = self._elapsed_s + seconds
        await self._settle(settle_turns)
        while self._waiting and self._waiting[0][0] <= end:
            self._elapsed_s, _, due = heapq.heappop(self._waiting)
            if due.callback is not None:
                due.callback()
                await self._settle(settle_turns)
        self._elapsed_s = end
        await self._settle(settle_turns)

    @staticmethod
    async def _settle(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
