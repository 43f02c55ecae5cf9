"""Follows the FlowSchemas and PriorityLevelConfigurations: has control.py go by them, and says which schemas dangle.

Every API server does this for itself. They may all write the same condition: the slower ones find it written.
Source: upstream util/flowcontrol/apf_controller.go.
"""

from __future__ import annotations

import asyncio
import logging

from steersman.api.resources import FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS
from steersman.apiserver.flowcontrol.control import FlowControl
from steersman.apiserver.watchcache.cache import TooOld, WatchCache
from steersman.apiserver.watchcache.feed import Feed
from steersman.apiserver.watchcache.selection import Selection
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, format_time, name_of
from steersman.store.interface import Unavailable

log = logging.getLogger(__name__)

FIELD_MANAGER = "api-priority-and-fairness-config-consumer-v1"
_RETRY_S = 1.0


class Configuration:
    """`ready` is set once what was there at the start is gone by, and says so. `client` writes as FIELD_MANAGER."""

    def __init__(
        self, control: FlowControl, schemas: WatchCache, levels: WatchCache, feed: Feed, client: Client, clock: Clock
    ) -> None:
        self._control, self._schemas, self._levels = control, schemas, levels
        self._feed, self._client, self._clock = feed, client, clock
        self._changed = asyncio.Event()
        self.ready = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for cache in (self._schemas, self._levels):
                tasks.create_task(self._follow(cache))
            await self._schemas.ready.wait()
            await self._levels.ready.wait()
            while True:
                self._changed.clear()
                self._control.configure(self._schemas.list(), self._levels.list())
                good = await self._write_conditions()
                self.ready.set()
                if good:
                    await self._changed.wait()
                else:
                    await self._clock.sleep(_RETRY_S)

    async def _follow(self, cache: WatchCache) -> None:
        while True:
            await cache.ready.wait()
            try:
                watcher = cache.watch(Selection(), max(self._feed.revision, cache.version))
            except TooOld:
                await self._clock.sleep(_RETRY_S)
                continue
            try:
                self._changed.set()
                while await watcher.next():
                    self._changed.set()
            finally:
                cache.unwatch(watcher)
            await self._clock.sleep(0)

    async def _write_conditions(self) -> bool:
        """False if one could not be written, and no event will come that says why."""
        there = {name_of(level) for level in self._levels.list()}
        now = format_time(self._clock.now())
        wanted = {name_of(schema): dangling(schema, there, now) for schema in self._schemas.list()}
        async with asyncio.TaskGroup() as tasks:
            writes = [tasks.create_task(self._write(name, condition)) for name, condition in wanted.items() if condition]
        return all(write.result() for write in writes)

    async def _write(self, name: str, condition: Obj) -> bool:
        try:
            status: Obj = {"status": {"conditions": [condition]}}
            await self._client.patch(FLOW_SCHEMAS, name, status, kind="strategic", subresource="status")
        except (StatusError, Unavailable) as fault:
            log.warning("condition not written: flowschema=%s error=%s", name, fault)
            return False
        return True


def dangling(schema: Obj, levels: set[str], now: str) -> Obj | None:
    """The condition Dangling as it has to be; None if it is so already. `now` is metav1.Time."""
    level = schema["spec"]["priorityLevelConfiguration"]["name"]
    kind = PRIORITY_LEVEL_CONFIGURATIONS.kind
    text = f'This FlowSchema references the {kind} object named "{level}" '
    if level in levels:
        wanted = {"type": "Dangling", "status": "False", "reason": "Found", "message": text + "and it exists"}
    else:
        wanted = {"type": "Dangling", "status": "True", "reason": "NotFound", "message": text + "but there is no such object"}
    conditions: list[Obj] = (schema.get("status") or {}).get("conditions") or []
    found = next((item for item in conditions if item.get("type") == "Dangling"), {})
    if all(found.get(key) == value for key, value in wanted.items()):
        return None
    changed = found.get("status") != wanted["status"]
    return {**wanted, "lastTransitionTime": now if changed else found.get("lastTransitionTime") or now}
