"""Keeps every WatchCache current through one watch on the whole store, and tells readers when it has caught up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from steersman.apiserver.storage import ROOT, Form
from steersman.apiserver.watchcache.cache import WatchCache
from steersman.machinery.clock import Clock
from steersman.machinery.errors import Timeout
from steersman.machinery.lasting import being_cancelled, lasting
from steersman.store.interface import Compacted, Event, Store, Unavailable

log = logging.getLogger(__name__)

FRESHNESS_S = 3.0
"""How long a reader waits for a revision that is not there yet."""
_MINUTE_S = 60.0
_KEEP_MINUTES = 5


class Feed:
    """`run()` follows the store until cancelled or the store closes. `revision`: all caches have every change up to it."""

    def __init__(self, store: Store, clock: Clock, ring: int) -> None:
        self._store = store
        self._clock = clock
        self.ring = ring
        self.revision = 0
        self._whole_from = 0
        """Every change since that revision has been seen."""
        self.started = asyncio.Event()
        self._caches: dict[str, WatchCache] = {}
        self._to_load: asyncio.Queue[WatchCache] = asyncio.Queue()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._tasks: asyncio.TaskGroup | None = None
        self._listeners: dict[str, Callable[[Event], None]] = {}

    def listen(self, prefix: str, heard: Callable[[Event], None]) -> None:
        """Tell of changes to keys `/registry/<one word>/...` that are no resource's."""
        self._listeners[prefix[len(ROOT) : -1]] = heard

    def open(self, form: Form) -> WatchCache:
        """The cache of a resource; made, and loaded in the background, at the first call."""
        short = form.prefix[len(ROOT) : -1]
        cache = self._caches.get(short)
        if cache is None:
            cache = self._caches[short] = WatchCache(form, self.ring, self.settle)
            self._to_load.put_nowait(cache)
        return cache

    def reform(self, cache: WatchCache, form: Form) -> None:
        """Let a cache's objects look as another form has them; they are loaded anew, and its watches end then."""
        cache.reform(form)
        self._to_load.put_nowait(cache)

    def load_unreadable(self) -> None:
        """Load those caches anew in which something could not be read."""
        for cache in self._caches.values():
            if not cache.sound:
                self.reform(cache, cache.form_to_be)

    def close(self, cache: WatchCache) -> None:
        """Forget a resource that is no longer served. Who still reads it sees what was there last."""
        cache.end_watches()
        short = cache.form.prefix[len(ROOT) : -1]
        if self._caches.get(short) is cache:
            del self._caches[short]

    @property
    def caches(self) -> Iterable[WatchCache]:
        return self._caches.values()

    async def settle(self) -> None:
        """Return when the caches have everything that was committed before the call: a consistent read."""
        revision = await self._store.progress()
        if revision > self.revision:
            await self._reach(revision)

    async def reach(self, revision: int) -> None:
        """Wait for a revision a client has named. Raises Timeout if it does not come within 3 s."""
        if revision <= self.revision:
            return
        assert self._tasks is not None
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append((revision, waiter))
        timer = self._tasks.create_task(self._give_up(waiter))
        try:
            await waiter
        finally:
            timer.cancel()
        if revision > self.revision:
            raise Timeout.too_large_resource_version(revision, self.revision)

    async def _reach(self, revision: int) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append((revision, waiter))
        await waiter

    async def _give_up(self, waiter: asyncio.Future[None]) -> None:
        await self._clock.sleep(FRESHNESS_S)
        if not waiter.done():
            waiter.set_result(None)

    async def run(self) -> None:
        """Raises Unavailable at the start, and nothing later."""
        self.revision = await self._store.progress()
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            loading, ageing = lasting("caches", self._load, self._clock), lasting("history", self._age, self._clock)
            helpers = [tasks.create_task(loading), tasks.create_task(ageing)]
            try:
                await self._follow()
            finally:
                for helper in helpers:
                    helper.cancel()

    async def _follow(self) -> None:
        lost = False
        while True:
            try:
                if lost:
                    await self._begin_anew()
                    lost = False
                async with self._store.watch(ROOT, after=self.revision) as batches:
                    self.started.set()
                    async for events in batches:
                        self._take(events)
                    return
            except Compacted:
                log.warning("history lost, caches reload")
                lost = True
            except Unavailable as fault:
                log.warning("store watch failed, will retry: error=%s", fault)
                await self._clock.sleep(1.0)
            except Exception:
                if being_cancelled():
                    raise
                # Whatever it was that could not be taken, the state as a whole may well be.
                log.exception("store watch failed, caches reload")
                lost = True
                await self._clock.sleep(1.0)

    async def _begin_anew(self) -> None:
        """Go on from the store's revision of now: what was between is not known. Raises Unavailable."""
        self.revision = self._whole_from = await self._store.progress()
        for cache in self._caches.values():
            cache.reset()
            self._to_load.put_nowait(cache)
        self._release()

    def _take(self, events: list[Event]) -> None:
        caches = self._caches
        for event in events:
            parts = event.key.split("/", 4)
            # /registry/pods/default/web or /registry/apps/deployments/default/web: groups and core plurals never meet.
            cache = caches.get(parts[2]) or caches.get(f"{parts[2]}/{parts[3]}")
            if cache is not None:
                cache.apply(event)
            elif (heard := self._listeners.get(parts[2])) is not None:
                heard(event)
        self.revision = events[-1].revision
        if self._waiting:
            self._release()

    def _release(self) -> None:
        still: list[tuple[int, asyncio.Future[None]]] = []
        for revision, waiter in self._waiting:
            if revision > self.revision and not waiter.done():
                still.append((revision, waiter))
            elif not waiter.done():
                waiter.set_result(None)
        self._waiting = still

    async def _load(self) -> None:
        await self.started.wait()
        while True:
            cache = await self._to_load.get()
            if not cache.wants_loading:
                # Asked for twice, and done: loading it once more would end its watches for nothing.
                continue
            try:
                found = await self._store.range(cache.form.prefix)
                if found.revision >= self._whole_from:
                    cache.load(found.entries, found.revision)
                else:
                    # Read before history was lost, so what follows it is not known.
                    self._to_load.put_nowait(cache)
            except Unavailable as fault:
                log.warning("cache load failed, will retry: resource=%s error=%s", cache.form.resource.qualified, fault)
                await self._load_later(cache)
            except Exception:
                log.exception("cache load failed, will retry: resource=%s", cache.form.resource.qualified)
                await self._load_later(cache)

    async def _load_later(self, cache: WatchCache) -> None:
        await self._clock.sleep(1.0)
        self._to_load.put_nowait(cache)

    async def _age(self) -> None:
        """Each minute drop the changes that are more than five minutes old."""
        marks: list[int] = []
        while True:
            await self._clock.sleep(_MINUTE_S)
            marks.append(self.revision)
            if len(marks) > _KEEP_MINUTES:
                oldest = marks.pop(0)
                for cache in self._caches.values():
                    cache.forget_before(oldest)
