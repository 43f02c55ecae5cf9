"""Waiting for an event or a time limit, on the injected clock (asyncio.timeout would use the machine's)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from steersman.machinery.clock import Clock


async def within(clock: Clock, seconds: float, waiting: Callable[[], Awaitable[Any]]) -> bool:
    """Await `waiting()`, at most that long. True if it finished; else it is cancelled. Its errors are raised as they are."""
    failure: list[Exception] = []

    async def guarded() -> None:
        # Kept and raised below, so that the caller gets the error itself and not an ExceptionGroup around it.
        try:
            await waiting()
        except Exception as error:
            failure.append(error)

    async with asyncio.TaskGroup() as group:
        waiter = group.create_task(guarded())
        timer = group.create_task(clock.sleep(seconds))
        await asyncio.wait((waiter, timer), return_when=asyncio.FIRST_COMPLETED)
        finished = waiter.done()
        waiter.cancel()
        timer.cancel()
    if failure:
        raise failure[0]
    return finished


class Nudge:
    """An event for one that waits, who may set a limit without paying two tasks for it, as with `within`."""

    __slots__ = ("_given", "_waiter")

    def __init__(self) -> None:
        self._given = False
        self._waiter: asyncio.Future[bool] | None = None

    def set(self) -> None:
        self._given = True
        self._wake(True)

    def clear(self) -> None:
        self._given = False

    async def wait(self) -> None:
        """Until it is set. Not by two at a time."""
        if not self._given:
            await self._woken()

    async def wait_within(self, clock: Clock, seconds: float) -> bool:
        """Until it is set, at most that long. Whether it was."""
        if self._given:
            return True
        timer = clock.call_later(seconds, lambda: self._wake(False))
        try:
            return await self._woken()
        finally:
            timer.cancel()

    async def _woken(self) -> bool:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            return await self._waiter
        finally:
            self._waiter = None

    def _wake(self, given: bool) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(given)


_Key = TypeVar("_Key", bound=Hashable)


class Locks(Generic[_Key]):
    """A lock per key, there for as long as somebody holds it or waits for it: `async with locks[key]`."""

    def __init__(self) -> None:
        self._used: WeakValueDictionary[_Key, asyncio.Lock] = WeakValueDictionary()

    def __getitem__(self, key: _Key) -> asyncio.Lock:
        return self._used.setdefault(key, asyncio.Lock())


class Backoff:
    """Growing pauses with jitter: `initial_s` doubled up to `limit_s`, each stretched by up to `jitter` of itself."""

    def __init__(self, initial_s: float, limit_s: float, *, jitter: float = 0.5, rng: random.Random | None = None) -> None:
        self._initial_s, self._limit_s, self._jitter = initial_s, limit_s, jitter
        self._rng = rng or random.Random()
        self._next_s = initial_s

    @property
    def upcoming_s(self) -> float:
        """The next pause without its jitter: how long this has been going on."""
        return self._next_s

    @property
    def fresh(self) -> bool:
        """Whether there was no pause yet."""
        return self._next_s == self._initial_s

    def next(self) -> float:
        pause_s = self._next_s
        self._next_s = min(self._limit_s, self._next_s * 2)
        return pause_s * (1 + self._jitter * self._rng.random())

    def reset(self) -> None:
        self._next_s = self._initial_s
