"""The watch cache of one version of a custom resource that a webhook converts: it follows the cache of what is stored.

Made when somebody first asks for that version. Requests wait until it has everything that was committed before them, or are told
why it cannot be converted; it goes on trying then, so that its watches go on when the webhook is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from steersman.apiserver.crd.converting import Converting
from steersman.apiserver.storage import Form, Stored
from steersman.apiserver.watchcache.cache import TooOld, WatchCache
from steersman.apiserver.watchcache.feed import Feed
from steersman.apiserver.watchcache.selection import Selection
from steersman.apiserver.watchcache.watcher import Item
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.lasting import being_cancelled
from steersman.machinery.waiting import within
from steersman.store.interface import Entry, Event

log = logging.getLogger(__name__)

_RETRY_S = 1.0
_OTHERWISE = "the kind is served differently now"
_T = TypeVar("_T")
_Given = TypeVar("_Given")


class _Arrival(asyncio.Event):
    """`ready` of a converted cache: waiting for it is waiting for all that was committed before."""

    def __init__(self, arrive: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self._arrive = arrive

    async def wait(self) -> Any:
        await self._arrive()
        return True


class ConvertedCache(WatchCache):
    """Made by the registry's `derive`."""

    lags = True

    def __init__(
        self,
        source: WatchCache,
        form: Form,
        converting: Converting,
        feed: Feed,
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        super().__init__(form, feed.ring, self._arrive)
        self._source, self._converting, self._feed, self._clock, self._spawn = source, converting, feed, clock, spawn
        self.ready = _Arrival(self._arrive)
        self._through = -1
        self._task: asyncio.Task[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._wanted = asyncio.Event()
        self._closed = False

    @property
    def source(self) -> WatchCache:
        return self._source

    def like(self, source: WatchCache, form: Form, converting: Converting) -> bool:
        """Whether a cache made of these would be the same."""
        return source is self._source and form.same(self.form) and converting.like(self._converting)

    def as_of(self, revision: int) -> int:
        return self._through if self._source.version > self._through else revision

    async def values(self, entries: Sequence[Entry]) -> Sequence[bytes]:
        return await self._read([entry.value for entry in entries])

    async def _read(self, values: Sequence[bytes]) -> list[bytes]:
        return await self._converting.read(values, self.form.resource.api_version)

    async def to_storage(self, value: bytes) -> bytes:
        return await self._converting.write(value)

    def close(self) -> None:
        self.end_watches()
        if self._task is not None:
            self._task.cancel()
        self._closed = True
        self._tell(StatusError(_OTHERWISE))

    async def _arrive(self) -> None:
        """Return when everything that was committed before the call is here. Raises StatusError."""
        if self._task is None and not self._closed:
            self._task = self._spawn(self._follow())
        await self._feed.settle()
        await self._source.ready.wait()
        wanted = self._source.version
        while self._through < wanted:
            if self._closed:
                raise StatusError(_OTHERWISE)
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            self._wanted.set()
            await waiter

    def _tell(self, fault: StatusError | None = None) -> None:
        """Wake who waits, at the end of every attempt."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if waiter.done():
                continue
            if fault is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(type(fault)(fault.message))

    async def _follow(self) -> None:
        while True:
            await self._source.ready.wait()
            at = max(self._feed.revision, self._source.version)
            try:
                watcher = self._source.watch(Selection(), at)
            except TooOld:
                await self._clock.sleep(_RETRY_S)
                continue
            try:
                snapshot = self._source.select(Selection())
                self._take_all(await self._surely(self._entries, snapshot), at)
                while items := await watcher.next():
                    events = await self._surely(self._events, items)
                    for event in events:
                        self.apply(event)
                    self._through = items[-1].revision
                    self._tell()
            except StatusError as fault:
                log.warning("stored objects cannot be read: resource=%s error=%s", self.form.resource.qualified, fault)
                self._tell(fault)
                await self._clock.sleep(_RETRY_S)
            except Exception as fault:
                if being_cancelled():
                    raise
                log.exception("stored objects cannot be followed: resource=%s", self.form.resource.qualified)
                self._tell(StatusError(f"stored objects cannot be followed: {fault}"))
                await self._clock.sleep(_RETRY_S)
            finally:
                self._source.unwatch(watcher)
            # History was lost, or objects look different now.
            self.end_watches()

    def _take_all(self, entries: list[Entry], at: int) -> None:
        self.end_watches()
        self.load(entries, at)
        self._through = at
        self._tell()

    async def _surely(self, work: Callable[[_Given], Awaitable[_T]], given: _Given) -> _T:
        """What comes of the work, tried until nothing fails; sooner when somebody waits for it."""
        while True:
            try:
                return await work(given)
            except StatusError as fault:
                log.warning("custom resources were not converted: resource=%s error=%s", self.form.resource.qualified, fault)
                self._wanted.clear()
                self._tell(fault)
                await within(self._clock, _RETRY_S, self._wanted.wait)

    async def _entries(self, snapshot: list[Stored]) -> list[Entry]:
        values = await self._read([stored.tail for stored in snapshot])
        return [Entry(it.key, value, it.revision, it.revision) for it, value in zip(snapshot, values, strict=True)]

    async def _events(self, items: list[Item]) -> list[Event]:
        left = [item for item in items if item.type != "DELETED"]
        values = iter(await self._read([item.stored.tail for item in left]))
        return [
            Event(item.stored.key, item.revision, None if item.type == "DELETED" else next(values), item.revision, None)
            for item in items
        ]
