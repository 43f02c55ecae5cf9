"""What the API server brings along at start (bootstrap) and what joins its writes (store hooks).

Each file is one concern; each bootstrap concern is idempotent: it adds what is missing, and on a second start writes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from steersman.api.resources import SERVICE_CIDRS, SERVICES
from steersman.apiserver.config import ServerConfig
from steersman.apiserver.contracts import Listers, StoreHook
from steersman.apiserver.hooks import (
    authentication_config,
    kubernetes_service,
    priority_classes,
    rbac,
    service_cidr,
    system_namespaces,
    token_tracking,
)  # fmt: skip
from steersman.apiserver.hooks.service_addresses import ServiceAddresses
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.gvk import Resource
from steersman.store.interface import Store

__all__ = ["bootstrap", "store_hooks"]

log = logging.getLogger(__name__)


async def bootstrap(client: Client, config: ServerConfig, clock: Clock) -> None:
    """Make what every cluster has. `client` is in-process, as LOOPBACK. Raises what the writes raise."""
    began = clock.monotonic()
    await system_namespaces.ensure(client)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(kubernetes_service.ensure(client, config))
            group.create_task(service_cidr.ensure(client, config, clock))
            group.create_task(priority_classes.ensure(client))
            group.create_task(rbac.ensure(client))
            group.create_task(authentication_config.ensure(client, config, clock))
            group.create_task(token_tracking.ensure(client, clock))
    except* Exception as failures:
        raise _first(failures) from failures
    log.info("bootstrap objects stand ms=%d", (clock.monotonic() - began) * 1000)


def _first(failure: BaseException) -> BaseException:
    """The first error in nested groups: one plain reason why the server doesn't start."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure


def store_hooks(config: ServerConfig, store: Store, listers: Listers, clock: Clock) -> Mapping[Resource, StoreHook]:
    """What joins the writes of a kind."""
    addresses = ServiceAddresses(store, config.service_cidr, config.node_port_range, clock, listers(SERVICE_CIDRS))
    return {SERVICES: addresses}
