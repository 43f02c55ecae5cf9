"""Follows the CustomResourceDefinitions: serves their kinds, writes their conditions, has their instances deleted.

Every API server does this for itself from its own watch cache, so that a definition made through one of them is served by all.
They may all write the same condition: the slower ones find it written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import orjson

from steersman.api.customresources import specs
from steersman.api.customresources.status import next_status
from steersman.api.kinds import KindSpec
from steersman.api.resources import CUSTOM_RESOURCE_DEFINITIONS, SERVICES
from steersman.api.strategies.apiextensions import CLEANUP
from steersman.apiserver.crd.cleanup import Cleanup
from steersman.apiserver.crd.converting import Converting
from steersman.apiserver.crd.versions import ConvertedCache
from steersman.apiserver.hookclient import HookClient
from steersman.apiserver.registry import Derive, Registry
from steersman.apiserver.storage import Form
from steersman.apiserver.watchcache.cache import TooOld, WatchCache
from steersman.apiserver.watchcache.feed import Feed
from steersman.apiserver.watchcache.selection import Selection
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.errors import Conflict, InternalError, NotFound, StatusError
from steersman.machinery.lasting import lasting
from steersman.machinery.meta import Obj, is_condition_true, is_deleting, name_of, uid_of
from steersman.store.interface import Unavailable

log = logging.getLogger(__name__)

_RETRY_S = 1.0
_SERVED_BY = ("NamesAccepted", "Established", "Terminating")


class Definitions:
    """`ready` is set once all definitions that were there at the start are served."""

    def __init__(self, registry: Registry, feed: Feed, client: Client, clock: Clock) -> None:
        self._registry, self._feed, self._client, self._clock = registry, feed, client, clock
        self._cleanup = Cleanup(registry, client, clock)
        self._installed: dict[str, tuple[tuple[str, str], bytes]] = {}
        self._cleaning: dict[str, str] = {}
        self.ready = asyncio.Event()

    @property
    def _cache(self) -> WatchCache:
        resource = CUSTOM_RESOURCE_DEFINITIONS
        served = self._registry.lookup(resource.group, resource.version, resource.plural)
        assert served is not None
        return served.cache

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            self._registry.derive = self._deriving(tasks)
            # Not around the group: what follows the versions that webhooks convert lives in it.
            await lasting("custom resources", lambda: self._follow(tasks), self._clock)

    async def _follow(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            cache = self._cache
            await cache.ready.wait()
            try:
                watcher = cache.watch(Selection(), max(self._feed.revision, cache.version))
            except TooOld:
                await self._clock.sleep(_RETRY_S)
                continue
            try:
                self._install_all(cache)
                await self._serving()
                self.ready.set()
                while True:
                    if not await self._look(tasks, cache):
                        await self._clock.sleep(_RETRY_S)
                    elif not await watcher.next():
                        break
                    self._install_all(cache)
            except InternalError as fault:
                log.error("definitions cannot be read, what is served stays as it is: error=%s", fault)
                await self._clock.sleep(_RETRY_S)
            finally:
                cache.unwatch(watcher)

    async def _serving(self) -> None:
        """Return when what is installed has its objects."""
        for served in self._registry.served:
            if served.stored and not served.bare_items:
                # A webhook that converts may well run in this cluster, which is only just beginning.
                await served.cache.source.ready.wait()

    def _deriving(self, tasks: asyncio.TaskGroup) -> Derive:
        client = HookClient(lambda: self._registry.lister(SERVICES))

        def derive(source: WatchCache, form: Form, kinds: Mapping[str, KindSpec], before: WatchCache | None) -> WatchCache:
            webhook = kinds[form.resource.api_version].webhook
            assert webhook is not None
            converting = Converting(webhook, kinds, client)
            if isinstance(before, ConvertedCache) and before.like(source, form, converting):
                return before
            return ConvertedCache(source, form, converting, self._feed, self._clock, tasks.create_task)

        return derive

    def _install_all(self, cache: WatchCache) -> None:
        found = {name_of(definition): definition for definition in cache.list()}
        for name, definition in found.items():
            mark = _mark(definition)
            place = (definition["spec"]["group"], definition["spec"]["names"]["plural"])
            if self._installed.get(name) == (place, mark):
                continue
            self._installed[name] = (place, mark)
            try:
                self._registry.serve(*place, specs.specs(definition))
            except Exception:
                # It is stored: without this, no API server would ever get past it again.
                log.exception("a definition is not served as it is now: name=%s", name)
        for name in self._installed.keys() - found.keys():
            place, _ = self._installed.pop(name)
            self._registry.serve(*place, ())

    async def _look(self, tasks: asyncio.TaskGroup, cache: WatchCache) -> bool:
        """One step for every definition that is not as it should be. False if one could not be taken."""
        definitions = cache.list()
        good = True
        for definition in definitions:
            name = name_of(definition)
            if is_deleting(definition):
                if CLEANUP in (definition["metadata"].get("finalizers") or ()) and self._cleaning.get(name) != uid_of(definition):
                    self._cleaning[name] = uid_of(definition)
                    tasks.create_task(self._clean(name, definition))
                continue
            status = next_status(definition, definitions, self._clock.now())
            if status is not None:
                good = await self._write(definition, status) and good
        return good

    async def _clean(self, name: str, definition: Obj) -> None:
        try:
            await self._cleanup.run(definition)
        finally:
            if self._cleaning.get(name) == uid_of(definition):
                del self._cleaning[name]

    async def _write(self, definition: Obj, status: Mapping[str, object]) -> bool:
        """False if it was not written, and no event will come that says why."""
        resource = CUSTOM_RESOURCE_DEFINITIONS
        try:
            await self._client.update(resource, {**definition, "status": status}, subresource="status")
        except (Conflict, NotFound):
            return True
        except (StatusError, Unavailable, ConnectionError) as fault:
            log.warning("condition of a definition was not written: name=%s error=%s", name_of(definition), fault)
            return False
        return True


def _mark(definition: Obj) -> bytes:
    """Changes when what is to be served changes. Anybody may write conditions, also some without a type or a status."""
    status = definition.get("status") or {}
    told = {kind: is_condition_true(definition, kind) for kind in _SERVED_BY}
    return orjson.dumps((definition["spec"], status.get("acceptedNames"), told), option=orjson.OPT_SORT_KEYS)
