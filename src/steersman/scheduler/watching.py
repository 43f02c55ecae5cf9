"""The informers that keep Surroundings current. Kinds a server does not serve (an old or partial one) are done without."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from steersman.api.resources import (
    CSI_NODES,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    SERVICES,
    STATEFUL_SETS,
    STORAGE_CLASSES,
)
from steersman.client.informer import Informer
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.errors import NotFound, StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj
from steersman.machinery.waiting import Backoff
from steersman.scheduler.framework import Event, Happening
from steersman.scheduler.surroundings import Surroundings

log = logging.getLogger(__name__)

_WORKLOADS = (SERVICES, REPLICATION_CONTROLLERS, REPLICA_SETS, STATEFUL_SETS)
_STORAGE = {
    PERSISTENT_VOLUME_CLAIMS: Happening.CLAIM,
    PERSISTENT_VOLUMES: Happening.VOLUME,
    STORAGE_CLASSES: Happening.STORAGE_CLASS,
    CSI_NODES: Happening.CSI_NODE,
}


class SurroundingsWatch:
    """`run()` keeps `around` current; `synced` is set when all that is served has been listed.

    `happened` hears of changes that may make a rejected pod fit.
    """

    def __init__(self, client: Client, clock: Clock, around: Surroundings, happened: Callable[[Event], None]) -> None:
        self._client, self._clock, self._around, self._happened = client, clock, around, happened
        self.synced = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            informers = [self._informer(resource) for resource in (NAMESPACES, *_WORKLOADS)]
            informers += [self._informer(resource) for resource in (PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES)]
            for optional in (POD_DISRUPTION_BUDGETS, STORAGE_CLASSES, CSI_NODES):
                if await self._served(optional):
                    informers.append(self._informer(optional))
            for informer in informers:
                group.create_task(informer.run())
            for informer in informers:
                await informer.synced.wait()
            self.synced.set()

    def _informer(self, resource: Resource) -> Informer:
        informer = Informer(self._client, resource, clock=self._clock)

        def changed(old: Obj | None, new: Obj | None) -> None:
            if resource == NAMESPACES:
                self._around.set_namespace(old, new)
            elif resource == POD_DISRUPTION_BUDGETS:
                self._around.set_budget(old, new)
            elif resource in _STORAGE:
                self._around.set_storage(resource.kind, old, new)
                self._happened(Event(_STORAGE[resource], old, new))
            else:
                self._around.set_workload(resource.kind, old, new)

        informer.add_handler(changed)
        return informer

    async def _served(self, resource: Resource) -> bool:
        backoff = Backoff(0.1, 10)
        while True:
            try:
                await self._client.list(resource, limit=1)
                return True
            except NotFound:
                log.info("not served resource=%s", resource.qualified)
                return False
            except (StatusError, ConnectionError, ValueError) as error:
                log.debug("can't tell whether served resource=%s error=%s", resource.qualified, error)
                await self._clock.sleep(backoff.next())
