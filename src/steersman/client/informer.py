"""Informer: a local copy of one resource, kept by list and watch, with indexes, handlers and waiters.

Handlers see every object's history as (old, new) without gaps in meaning: after a relist (a watch that could not be
resumed) they get the difference, deletions included. Objects are shared and never changed here; managedFields are left
out, since no component reads them and they are a good part of an object's memory.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeVar

from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.errors import Expired, NotFound, StatusError, UnknownStatus
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Key, Obj, controller_of, key_of, resource_version_of, uid_of
from steersman.machinery.waiting import Backoff

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[Obj | None, Obj | None], None]
"""Gets (old, new): (None, obj) for a new object, (old, None) for one that is gone. Must not block or change objects."""

Objs: TypeAlias = list[Obj]
IndexFunction: TypeAlias = Callable[[Obj], Iterable[str]]

WATCH_TIMEOUT_S = 300
"""Watches end after this long, times 1 to 2 (as upstream's), so that load moves between servers."""

_CONTROLLER = "controller-uid"


class Informer:
    """`run()` keeps it current; `synced` is set once the first list is in. Reads are plain dictionary look-ups."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        *,
        clock: Clock,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        indexes: dict[str, IndexFunction] | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        self.last_seen = 0
        self._client, self._clock, self._namespace = client, clock, namespace
        self._label_selector, self._field_selector = label_selector, field_selector
        self._rng = rng or random.Random()
        self._objects: dict[str, dict[str, Obj]] = {}
        self._handlers: list[Handler] = []
        self._index_functions: dict[str, IndexFunction] = {}
        self._indexes: dict[str, dict[str, dict[Key, Obj]]] = {}
        self._order = itertools.count()
        self._version_waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._key_waiters: dict[Key, list[asyncio.Future[None]]] = {}
        self.add_index(_CONTROLLER, _controller_uid)
        for name, function in (indexes or {}).items():
            self.add_index(name, function)

    # --- reading ---------------------------------------------------------------------------------------------------

    def get(self, namespace: str, name: str) -> Obj | None:
        found = self._objects.get(namespace)
        return found.get(name) if found is not None else None

    def list(self, namespace: str | None = None) -> Objs:
        """All objects, or those of one namespace ("" for cluster-scoped ones)."""
        if namespace is not None:
            return list(self._objects.get(namespace, {}).values())
        return list(self)

    def __iter__(self) -> Iterator[Obj]:
        return itertools.chain.from_iterable(space.values() for space in self._objects.values())

    def __len__(self) -> int:
        return sum(map(len, self._objects.values()))

    def indexed(self, index: str, value: str) -> Objs:
        return list(self._indexes[index].get(value, {}).values())

    def owned_by(self, uid: str) -> Objs:
        """Objects whose controller owner reference has that uid."""
        return self.indexed(_CONTROLLER, uid)

    # --- following -------------------------------------------------------------------------------------------------

    def add_handler(self, handler: Handler) -> None:
        """Calls it at once for what is there already, then for every change."""
        for obj in self.list():
            self._call(handler, None, obj)
        self._handlers.append(handler)

    def remove_handler(self, handler: Handler) -> None:
        self._handlers.remove(handler)

    def add_index(self, name: str, function: IndexFunction) -> None:
        """May be added at any time; a name is added once."""
        if name in self._index_functions:
            return
        self._index_functions[name] = function
        self._indexes[name] = {}
        for obj in self:
            self._file(name, function, key_of(obj), obj)

    async def wait_for(self, resource_version: int) -> None:
        """Until everything up to that resourceVersion has been seen."""
        if self.last_seen >= resource_version:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._version_waiters, (resource_version, next(self._order), future))
        await future

    async def wait_until(self, key: Key, holds: Callable[[Obj | None], bool]) -> None:
        """Until the object with that key, or its absence, satisfies the condition."""
        while not holds(self.get(*key)):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._key_waiters.setdefault(key, []).append(future)
            await future

    # --- keeping current -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """List and watch until cancelled. Failures are logged and tried again, later and later up to 10 s."""
        backoff = Backoff(0.1, 10, rng=self._rng)
        # "0" lets the server answer from its cache. After it could not resume us, only the newest state will do.
        list_at: str | None = "0"
        while True:
            try:
                if list_at is not None:
                    await self._relist(list_at)
                    list_at = None
                started_s = self._clock.monotonic()
                if await self._follow() or self._clock.monotonic() - started_s > 1:
                    backoff.reset()
                    continue
            except Expired:
                log.info("watch can't be resumed, listing again resource=%s", self.resource.qualified)
                list_at = ""
            except (StatusError, ValueError, KeyError) as error:
                # Refused, or an answer that makes no sense (a proxy's page): only a fresh list is sure to be right.
                list_at = ""
                if not _is_not_served(error):
                    log.warning("list or watch refused resource=%s error=%s", self.resource.qualified, error)
                elif backoff.fresh:
                    # Not served here, or not yet: no fault, so it is told once.
                    log.info("not served, waiting for it resource=%s", self.resource.qualified)
            except ConnectionError as error:
                # Not a reason to list again: the watch goes on from where it was.
                # That a server is only just starting is no news.
                level = logging.WARNING if backoff.upcoming_s > 1 else logging.DEBUG
                log.log(level, "list or watch failed resource=%s error=%s", self.resource.qualified, error)
            except Exception:
                # Objects without metadata, say: no reason to end everything in this process that has an informer.
                list_at = ""
                log.exception("list or watch makes no sense resource=%s", self.resource.qualified)
            await self._clock.sleep(backoff.next())

    async def _relist(self, resource_version: str) -> None:
        found = await self._client.list(
            self.resource,
            self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            resource_version=resource_version,
        )
        fresh: dict[Key, Obj] = {key_of(obj): obj for obj in found["items"]}
        for gone in [key for key in map(key_of, self) if key not in fresh]:
            self._apply(gone, None)
        for key, obj in fresh.items():
            self._apply(key, obj)
        # Set, not raised: a store restored from a backup may count from an earlier version.
        self.last_seen = resource_version_of(found)
        self._wake_versions()
        self.synced.set()

    async def _follow(self) -> bool:
        """One watch, to its end. True if anything came."""
        timeout_s = int(WATCH_TIMEOUT_S * (1 + self._rng.random()))
        events = self._client.watch(
            self.resource,
            self._namespace,
            resource_version=str(self.last_seen),
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            timeout_s=timeout_s,
        )
        any_came = False
        async with closing(events):
            async for kind, obj in events:
                any_came = True
                if kind != "BOOKMARK":
                    self._apply(key_of(obj), None if kind == "DELETED" else obj)
                self.last_seen = resource_version_of(obj)
                self._wake_versions()
        return any_came

    def _apply(self, key: Key, new: Obj | None) -> None:
        space = self._objects.setdefault(key[0], {})
        old = space.get(key[1])
        if new is not None:
            new["metadata"].pop("managedFields", None)
            if old is not None:
                if _same_version(old, new):
                    return
                if uid_of(old) != uid_of(new):
                    # Deleted and made again unseen: two objects, so two changes.
                    self._apply(key, None)
                    old = None
                    space = self._objects.setdefault(key[0], {})
            space[key[1]] = new
        elif old is None:
            return
        else:
            del space[key[1]]
            if not space:
                del self._objects[key[0]]
        for name, function in self._index_functions.items():
            if old is not None:
                self._unfile(name, function, key, old)
            if new is not None:
                self._file(name, function, key, new)
        self._tell(key, old, new)

    def _tell(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        for handler in self._handlers:
            self._call(handler, old, new)
        for future in self._key_waiters.pop(key, ()):
            if not future.done():
                future.set_result(None)

    def _call(self, handler: Handler, old: Obj | None, new: Obj | None) -> None:
        try:
            handler(old, new)
        except Exception:
            log.exception("informer handler failed resource=%s key=%s/%s", self.resource.qualified, *key_of(new or old or {}))

    def _values(self, name: str, function: IndexFunction, obj: Obj) -> Iterable[str]:
        try:
            return tuple(function(obj))
        except Exception:
            # One odd object must not end the cache for everybody; it is just not found under this index.
            log.exception("index failed resource=%s index=%s key=%s/%s", self.resource.qualified, name, *key_of(obj))
            return ()

    def _file(self, name: str, function: IndexFunction, key: Key, obj: Obj) -> None:
        index = self._indexes[name]
        for value in self._values(name, function, obj):
            index.setdefault(value, {})[key] = obj

    def _unfile(self, name: str, function: IndexFunction, key: Key, obj: Obj) -> None:
        index = self._indexes[name]
        for value in self._values(name, function, obj):
            filed = index.get(value)
            if filed is not None:
                filed.pop(key, None)
                if not filed:
                    del index[value]

    def _wake_versions(self) -> None:
        waiters = self._version_waiters
        while waiters and (waiters[0][0] <= self.last_seen or waiters[0][2].done()):
            future = heapq.heappop(waiters)[2]
            if not future.done():
                future.set_result(None)


def _is_not_served(error: Exception) -> bool:
    """A group that nobody serves is answered with a bare page, a kind of a known group with a Status."""
    return isinstance(error, NotFound) or (isinstance(error, UnknownStatus) and error.http_code == 404)


def _same_version(old: Obj, new: Obj) -> bool:
    version = old["metadata"].get("resourceVersion")
    return version is not None and version == new["metadata"].get("resourceVersion")


_T = TypeVar("_T")


@asynccontextmanager
async def closing(events: AsyncIterator[_T]) -> AsyncIterator[AsyncIterator[_T]]:
    """End a watch on the way out, so that its connection is given back now and not when the garbage collector comes."""
    try:
        yield events
    finally:
        close: Any = getattr(events, "aclose", None)
        if close is not None:
            await close()


def _controller_uid(obj: Obj) -> Iterable[str]:
    ref = controller_of(obj)
    return (ref["uid"],) if ref is not None else ()
