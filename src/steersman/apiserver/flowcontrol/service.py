"""Priority and fairness put together: what the server starts, and what it hands to the pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from steersman.api.resources import FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS
from steersman.apiserver.contracts import RequestInfo
from steersman.apiserver.flowcontrol.configuration import FIELD_MANAGER as CONSUMER
from steersman.apiserver.flowcontrol.configuration import Configuration
from steersman.apiserver.flowcontrol.control import FlowControl, Size
from steersman.apiserver.flowcontrol.dump import Dump
from steersman.apiserver.flowcontrol.maintenance import FIELD_MANAGER as PRODUCER
from steersman.apiserver.flowcontrol.maintenance import Maintenance
from steersman.apiserver.registry import Registry
from steersman.apiserver.routes import Routes
from steersman.apiserver.serving import ServingSettings
from steersman.apiserver.watchcache.cache import WatchCache
from steersman.apiserver.watchcache.feed import Feed
from steersman.client.interface import Transport
from steersman.client.rest import RestClient
from steersman.machinery.clock import Clock
from steersman.machinery.gvk import Resource
from steersman.machinery.lasting import lasting

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_AGENT = "steersman-apiserver"
_NOTHING = Size(0, 0)


class PriorityAndFairness:
    """`control` is the pipeline's. `start` once the caches run; `make_objects`: write those that every cluster has."""

    def __init__(self, total: int, registry: Registry, feed: Feed, transport: Transport, clock: Clock) -> None:
        self._registry, self._feed, self._transport, self._clock = registry, feed, transport, clock
        self.control = FlowControl(total, clock, self._size)

    def install(self, routes: Routes) -> None:
        """The debug pages."""
        Dump(self.control, self._clock).install(routes)

    def collect(self) -> Iterable[Metric]:
        # Imported by the first who looks.
        from steersman.apiserver.flowcontrol import exposition

        return exposition.collect(self.control)

    async def start(self, tasks: asyncio.TaskGroup, *, make_objects: bool) -> list[asyncio.Task[None]]:
        """What was started, to be cancelled at the end."""
        if self._registry.lookup(FLOW_SCHEMAS.group, FLOW_SCHEMAS.version, FLOW_SCHEMAS.plural) is None:
            return []
        started: list[asyncio.Task[None]] = []
        if make_objects:
            maintenance = Maintenance(self._registry.lister, self._client(PRODUCER), self._clock)
            await maintenance.ensure()
            started.append(tasks.create_task(lasting("bootstrap of flow control", maintenance.run, self._clock)))
        caches = (self._served(FLOW_SCHEMAS), self._served(PRIORITY_LEVEL_CONFIGURATIONS))
        configuration = Configuration(self.control, *caches, self._feed, self._client(CONSUMER), self._clock)
        started.append(tasks.create_task(lasting("configuration of flow control", configuration.run, self._clock)))
        started.append(tasks.create_task(lasting("flow control", self.control.run, self._clock)))
        await configuration.ready.wait()
        return started

    def _served(self, resource: Resource) -> WatchCache:
        served = self._registry.lookup(resource.group, resource.version, resource.plural)
        assert served is not None
        return served.cache

    def _client(self, manager: str) -> RestClient:
        return RestClient(self._transport, user_agent=_AGENT, field_manager=manager)

    def _size(self, info: RequestInfo) -> Size:
        served = self._registry.lookup(info.group, info.version, info.plural)
        if served is None or not served.stored:
            return _NOTHING
        return Size(served.cache.count, served.cache.typical_bytes)


def priority_and_fairness(
    settings: ServingSettings, registry: Registry, feed: Feed, transport: Transport, clock: Clock
) -> PriorityAndFairness | None:
    """None where it is off, or where there is no limit to share out."""
    seats = settings.max_requests_inflight + settings.max_mutating_requests_inflight
    return PriorityAndFairness(seats, registry, feed, transport, clock) if settings.priority_and_fairness and seats else None
