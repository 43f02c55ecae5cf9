"""The feed of the watch caches, whose store loses history, is away, or gives what cannot be taken: nothing is missed after it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from tests.fakes.server import pod

from steersman.api.resources import CONFIG_MAPS, PODS
from steersman.apiserver.storage import Form, Stored, encode, prefix_of
from steersman.apiserver.watchcache.cache import WatchCache
from steersman.apiserver.watchcache.feed import Feed
from steersman.apiserver.watchcache.selection import Selection
from steersman.machinery.clock import VirtualClock
from steersman.store.interface import Compacted, Event, Put, RangeResult, Unavailable
from steersman.store.memory import MemoryStore
from steersman.store.watchers import Watchers


class Store(MemoryStore):
    """A store whose watch can be broken off, whose `progress` can fail, and whose ranges can be held up after they were read."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.broken: list[Exception] = []
        self.progress_faults: list[Exception] = []
        self.to_read: asyncio.Semaphore | None = None
        """So many ranges may be read; None: any number."""
        self.to_answer: asyncio.Semaphore | None = None
        """So many of those that were read come to who asked."""

    @asynccontextmanager
    async def watch(self, prefix: str, *, after: int) -> AsyncIterator[AsyncIterator[list[Event]]]:
        async with super().watch(prefix, after=after) as batches:
            yield self._until_broken(batches)

    async def _until_broken(self, batches: AsyncIterator[list[Event]]) -> AsyncIterator[list[Event]]:
        async for events in batches:
            if self.broken:
                break
            yield events
        if self.broken:
            raise self.broken.pop()

    def break_off(self, why: Exception) -> None:
        """The watches tell nothing more, not even what was changed before they noticed."""
        self.broken.append(why)
        self._watchers.close()
        self._watchers = Watchers()

    async def range(
        self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0, count_only: bool = False
    ) -> RangeResult:
        if self.to_read is not None:
            await self.to_read.acquire()
        found = await super().range(prefix, start=start, limit=limit, revision=revision, count_only=count_only)
        if self.to_answer is not None:
            await self.to_answer.acquire()
        return found

    async def progress(self) -> int:
        if self.progress_faults:
            raise self.progress_faults.pop(0)
        return await super().progress()

    async def make(self, name: str) -> None:
        obj = pod(name)
        await self.commit((), (Put(f"{prefix_of(PODS)}default/{name}", encode(obj)),))


Scenario = Callable[[Store, Feed, VirtualClock], Awaitable[None]]


def run(scenario: Scenario) -> None:
    async def main() -> None:
        clock = VirtualClock()
        store = Store(clock)
        feed = Feed(store, clock, 100)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(feed.run())
            await feed.started.wait()
            await scenario(store, feed, clock)
            running.cancel()

    asyncio.run(main())


def names(cache: WatchCache) -> list[str]:
    return [stored.name for stored in cache.select(Selection())]


def test_a_store_that_is_away_just_when_history_is_lost_is_waited_for() -> None:
    async def scenario(store: Store, feed: Feed, clock: VirtualClock) -> None:
        cache = feed.open(Form(PODS, {}))
        await cache.ready.wait()
        store.progress_faults = [Unavailable("an election"), Unavailable("an election")]
        store.break_off(Compacted(1))
        await clock.advance(0)
        await store.make("a")
        await clock.advance(5)
        await feed.settle()
        assert names(cache) == ["a"]

    run(scenario)


def test_a_read_that_waits_while_history_is_lost_sees_what_was_committed_before_it() -> None:
    async def scenario(store: Store, feed: Feed, clock: VirtualClock) -> None:
        cache = feed.open(Form(PODS, {}))
        await cache.ready.wait()
        # A change of which the watch tells nothing: history is lost first.
        store.to_answer = asyncio.Semaphore(0)
        store.break_off(Compacted(1))
        await store.make("a")
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(cache.settle())
            await clock.advance(0)
            assert (feed.revision, reading.done()) == (2, False)
            store.to_answer.release()
        assert names(cache) == ["a"]

    run(scenario)


def test_a_cache_is_not_filled_with_what_was_read_before_history_was_lost() -> None:
    async def scenario(store: Store, feed: Feed, clock: VirtualClock) -> None:
        store.to_answer = asyncio.Semaphore(0)
        cache = feed.open(Form(PODS, {}))
        await clock.advance(0)
        store.break_off(Compacted(1))
        await store.make("a")
        await clock.advance(0)
        assert feed.revision == 2
        store.to_answer.release()
        await clock.advance(0)
        assert not cache.ready.is_set()
        store.to_answer.release()
        await cache.ready.wait()
        assert names(cache) == ["a"]

    run(scenario)


def test_a_watch_between_two_loads_of_a_cache_misses_no_change() -> None:
    """Two new forms in a row: the second load would take in what the watch had not been told yet."""

    async def scenario(store: Store, feed: Feed, clock: VirtualClock) -> None:
        cache = feed.open(Form(PODS, {}))
        await cache.ready.wait()
        store.to_read = asyncio.Semaphore(1)
        feed.reform(cache, Form(PODS, {"spec.a": lambda obj: ""}))
        feed.reform(cache, Form(PODS, {"spec.b": lambda obj: ""}))
        await clock.advance(0)
        watcher = cache.watch(Selection(), feed.revision)
        store.to_read.release()
        await store.make("a")
        await clock.advance(0)
        watcher.end()
        assert [item.stored.name for item in await watcher.next()] == ["a"]

    run(scenario)


def test_what_no_cache_can_take_costs_its_watches_and_not_the_server(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(store: Store, feed: Feed, clock: VirtualClock) -> None:
        cache, other = feed.open(Form(PODS, {})), feed.open(Form(CONFIG_MAPS, {}))
        await cache.ready.wait()
        await other.ready.wait()
        watcher = cache.watch(Selection(), feed.revision)

        def heard(event: Event) -> None:
            raise AttributeError("odd")

        feed.listen("/registry/odd/", heard)
        await store.commit((), (Put("/registry/odd/a", b"{}"),))
        await store.make("a")
        await clock.advance(5)
        assert await watcher.next() == []
        await feed.settle()
        assert names(cache) == ["a"]
        await store.make("b")
        await cache.settle()
        assert names(cache) == ["a", "b"]

    with caplog.at_level(logging.ERROR):
        run(scenario)
    assert "store watch failed, caches reload" in caplog.text


def test_a_cache_that_cannot_be_loaded_keeps_no_other_waiting_for_good(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(store: Store, feed: Feed, clock: VirtualClock) -> None:
        await store.make("a")
        cache = feed.open(_Odd(PODS, {}))
        other = feed.open(Form(CONFIG_MAPS, {}))
        await clock.advance(3)
        assert (cache.ready.is_set(), other.ready.is_set()) == (False, True)

    with caplog.at_level(logging.ERROR):
        run(scenario)
    assert "cache load failed, will retry: resource=pods" in caplog.text


class _Odd(Form):
    """One that stumbles over an object in a way that nobody has thought of."""

    def stored(self, key: str, value: bytes, revision: int) -> Stored:
        raise AttributeError("odd")
