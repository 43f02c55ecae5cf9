"""Follows the APIServices: passes requests on, says which servers are there, takes in what they serve, writes the server's own.

Every API server does this for itself. They may all write the same condition: the slower ones find it written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import orjson

from steersman.api.resources import API_SERVICES, ENDPOINT_SLICES, SERVICES
from steersman.apiserver.aggregation import automatic
from steersman.apiserver.aggregation.availability import PASSED, Condition, undiscovered, unreachable, written
from steersman.apiserver.aggregation.remote import Certificate, Registration, Remote, registration
from steersman.apiserver.contracts import CallHandler, UserInfo
from steersman.apiserver.discovery import Elsewhere
from steersman.apiserver.registry import Registry
from steersman.apiserver.upgrading import Unreachable
from steersman.apiserver.watchcache.cache import TooOld, WatchCache
from steersman.apiserver.watchcache.feed import Feed
from steersman.apiserver.watchcache.selection import Selection
from steersman.apiserver.watchcache.watcher import Item
from steersman.client.interface import Client
from steersman.machinery import depth
from steersman.machinery.clock import Clock
from steersman.machinery.errors import AlreadyExists, Conflict, NotFound, StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, condition, format_time, labels_of, name_of
from steersman.store.interface import Unavailable

log = logging.getLogger(__name__)

_RETRY_S = 1.0
_PAUSE_S = 1.0
_ASK_EVERY_S = 30.0
_ANSWER_S = 5.0
_ASKING = UserInfo("system:kube-aggregator", groups=("system:masters",))
_SERVICE_NAME = "kubernetes.io/service-name"


@dataclass(slots=True)
class _Followed:
    """A remote group-version, and what is known of it."""

    remote: Remote
    told: Elsewhere
    condition: Condition | None = None
    ask_at_s: float = 0.0
    """Of the monotonic clock."""
    pause_s: float = field(default=_PAUSE_S)
    """Until it is asked again after a failure; twice as long after each."""


class Aggregator:
    """`handlers` is what dispatch.py looks in; `others()` what documents.py tells clients."""

    def __init__(self, registry: Registry, feed: Feed, client: Client, clock: Clock, certificate: Certificate) -> None:
        self._registry, self._feed, self._client, self._clock = registry, feed, client, clock
        self._certificate = certificate
        self._followed: dict[str, _Followed] = {}
        self._changed, self._any, self._stirred = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.ready = asyncio.Event()
        """Once what was registered at the start is passed on, and the server's own APIServices are there."""
        self.handlers: dict[tuple[str, str], CallHandler] = {}

    def others(self) -> Sequence[Elsewhere]:
        return [followed.told for followed in self._followed.values()]

    async def run(self, *, make_objects: bool) -> None:
        """make_objects: whether APIServices of what this server serves are made."""
        served = self._registry.lookup(API_SERVICES.group, API_SERVICES.version, API_SERVICES.plural)
        if served is None:
            self.ready.set()
            return
        cache = served.cache
        self._registry.changed = self._changed.set
        await cache.ready.wait()
        first = True
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(cache, lambda _: self._changed.set()))
            tasks.create_task(self._watch_over(cache))
            tasks.create_task(self._notice(SERVICES))
            tasks.create_task(self._notice(ENDPOINT_SLICES))
            while True:
                self._changed.clear()
                self._take_in(cache)
                good = not make_objects or await self._write_own(cache, first)
                if good:
                    first = False
                    self.ready.set()
                    await self._changed.wait()
                else:
                    await self._clock.sleep(_RETRY_S)

    async def _follow(self, cache: WatchCache, changed: Callable[[Sequence[Item]], None]) -> None:
        """`changed` is told what has; nothing, when anything may have."""
        while True:
            await cache.ready.wait()
            try:
                watcher = cache.watch(Selection(), max(self._feed.revision, cache.version))
            except TooOld:
                await self._clock.sleep(_RETRY_S)
                continue
            try:
                changed(())
                while items := await watcher.next():
                    changed(items)
            finally:
                cache.unwatch(watcher)
            await self._clock.sleep(0)

    def _take_in(self, cache: WatchCache) -> None:
        """Registrations that came, changed or went. What is said of one holds until somebody has asked its server anew."""
        objects = {name_of(obj): obj for obj in cache.list()}
        wanted = {name: known for name, obj in objects.items() if (known := registration(obj)) is not None}
        changed = False
        for name in self._followed.keys() - wanted.keys():
            known = self._followed.pop(name).remote.known
            del self.handlers[known.group, known.version]
            changed = True
        for name, known in wanted.items():
            before = self._followed.get(name)
            if before is not None and before.remote.known == known:
                continue
            remote = Remote(known, self._registry.lister, self._certificate)
            remote.available = (condition(objects[name], "Available") or {}).get("status") == "True"
            said = before.told if before is not None else None
            told = _told(known, said.resources, said.openapi) if said is not None else _told(known, None, None)
            self._followed[name] = _Followed(remote, told)
            self.handlers[known.group, known.version] = remote.serve
            changed = True
        if self._followed:
            self._any.set()
        else:
            self._any.clear()
        if changed:
            self._stirred.set()
            self._registry.touch()

    async def _write_own(self, cache: WatchCache, first: bool) -> bool:
        """False if something could not be written."""
        places: dict[tuple[str, str], bool] = {}
        for served in self._registry.served:
            resource = served.resource
            places[resource.group, resource.version] = not served.bare_items
        create, update, delete = automatic.changes(places, cache.list(), first=first)
        async with asyncio.TaskGroup() as tasks:
            writes = [tasks.create_task(_done(self._client.create(API_SERVICES, obj))) for obj in create]
            writes += [tasks.create_task(_done(self._client.update(API_SERVICES, obj))) for obj in update]
            writes += [tasks.create_task(_done(self._client.delete(API_SERVICES, name))) for name in delete]
        return all(write.result() for write in writes)

    async def _notice(self, resource: Resource) -> None:
        """Changes of what APIServices lead to are looked at when they happen."""
        served = self._registry.lookup(resource.group, resource.version, resource.plural)
        if served is None:
            return
        await self._any.wait()
        await self._follow(served.cache, self._stir)

    def _stir(self, items: Sequence[Item]) -> None:
        namespaces = {followed.remote.known.namespace for followed in self._followed.values()}
        if not items or any(item.change is not None and item.stored.namespace in namespaces for item in items):
            self._stirred.set()

    async def _watch_over(self, cache: WatchCache) -> None:
        """Each is looked at when something near it changes, and when it is to be asked."""
        while True:
            await self._any.wait()
            self._stirred.clear()
            async with asyncio.TaskGroup() as tasks:
                looks = [tasks.create_task(self._look(cache, *item)) for item in self._followed.items()]
            again = self._clock.call_later(min((look.result() for look in looks), default=0.0), self._stirred.set)
            try:
                await self._stirred.wait()
            finally:
                again.cancel()

    async def _look(self, cache: WatchCache, name: str, followed: _Followed) -> float:
        """In how many seconds it wants to be looked at again, if nothing happens before."""
        known = followed.remote.known
        reference = {"name": known.service, "namespace": known.namespace, "port": known.port}
        slices = [
            item
            for item in self._registry.lister(ENDPOINT_SLICES).list(known.namespace)
            if labels_of(item).get(_SERVICE_NAME) == known.service
        ]
        wanted = unreachable(reference, self._registry.lister(SERVICES).get(known.namespace, known.service), slices)
        again_s = _ASK_EVERY_S
        if wanted is not None:
            followed.ask_at_s, followed.pause_s = 0.0, _PAUSE_S
            self._learn(followed, None, None)
        else:
            if followed.condition is None or followed.ask_at_s <= self._clock.monotonic():
                wanted = await self._asked(followed)
            else:
                wanted = followed.condition
            again_s = max(0.0, followed.ask_at_s - self._clock.monotonic())
        if self._followed.get(name) is not followed:
            return 0.0
        followed.condition = wanted
        available = wanted.status == "True"
        # Who is let through finds the condition that says so.
        followed.remote.available = available and followed.remote.available
        written = await self._write_condition(cache, name, wanted)
        followed.remote.available = available
        return again_s if written else _RETRY_S

    async def _asked(self, followed: _Followed) -> Condition:
        remote = followed.remote
        try:
            url = remote.url
            status, body = await remote.get(remote.known.path, _ASKING, "application/json", _ANSWER_S)
            if not 200 <= status < 300:
                raise Unreachable(f"bad status from {url}: {status}")
            resources = _resources(body)
            document = await self._openapi(remote)
        except Unreachable as fault:
            followed.ask_at_s = self._clock.monotonic() + followed.pause_s
            followed.pause_s = min(2 * followed.pause_s, _ASK_EVERY_S)
            self._learn(followed, None, None)
            return undiscovered(_url(remote), str(fault))
        followed.ask_at_s, followed.pause_s = self._clock.monotonic() + _ASK_EVERY_S, _PAUSE_S
        self._learn(followed, resources, document)
        return PASSED

    async def _openapi(self, remote: Remote) -> Obj | None:
        """Servers need not have one."""
        try:
            status, body = await remote.get(f"/openapi/v3{remote.known.path}", _ASKING, "application/json", _ANSWER_S)
            found = depth.loads(body) if status == 200 else None
        except (Unreachable, ValueError):
            return None
        return found if isinstance(found, dict) and isinstance(found.get("paths"), dict) else None

    def _learn(self, followed: _Followed, resources: Sequence[Obj] | None, document: Obj | None) -> None:
        told = _told(followed.remote.known, resources, document)
        if told != followed.told:
            followed.told = told
            self._registry.touch()

    async def _write_condition(self, cache: WatchCache, name: str, wanted: Condition) -> bool:
        """Whether it is as it should be."""
        obj = cache.get("", name)
        change = written(obj, wanted, format_time(self._clock.now())) if obj is not None else None
        if change is None:
            return True
        try:
            status: Obj = {"status": {"conditions": [change]}}
            await self._client.patch(API_SERVICES, name, status, kind="strategic", subresource="status")
        except (StatusError, Unavailable, ConnectionError) as fault:
            log.warning("condition of an APIService was not written: name=%s error=%s", name, fault)
            return False
        return True


async def _done(write: Awaitable[object]) -> bool:
    """Whether it was written; another API server may have been faster."""
    try:
        await write
    except (AlreadyExists, Conflict, NotFound):
        return True
    except (StatusError, Unavailable, ConnectionError) as fault:
        log.warning("an APIService of the server's own was not written: error=%s", fault)
        return False
    return True


def _url(remote: Remote) -> str:
    try:
        return remote.url
    except Unreachable:
        return remote.known.path


def _told(known: Registration, resources: Sequence[Obj] | None, document: Obj | None) -> Elsewhere:
    return Elsewhere(known.group, known.version, known.group_priority, known.version_priority, resources, document)


def _resources(body: bytes) -> list[Obj]:
    """Raises Unreachable for what is no APIResourceList."""
    try:
        found = orjson.loads(body)
        return [item for item in found["resources"] if isinstance(item, dict) and item.get("name") and item.get("kind")]
    except (ValueError, KeyError, TypeError) as fault:
        raise Unreachable("the answer is no APIResourceList") from fault
