"""IPAddresses and Services agree again, whatever people have done to either by hand (upstream controlplane repairip).

At the start and every few minutes: an address in use gets back the object that holds it, an object that holds one for no Service
goes. Also brings addresses that servers before kept under keys of their own into their objects.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

from steersman.api.resources import IP_ADDRESSES, SERVICES
from steersman.apiserver.contracts import Listers
from steersman.apiserver.hooks import service_fields as fields
from steersman.apiserver.hooks.service_ranges import IP_PREFIX, MANAGED_LABEL, MANAGER, ip_address
from steersman.apiserver.storage import encode
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj, dig, format_time, labels_of, name_of, parse_time, resource_version_of
from steersman.store.interface import Delete, Guard, Put, Store, Unavailable

log = logging.getLogger(__name__)

INTERVAL_S = 180.0
_YOUNG = timedelta(seconds=60)
"""An object may be made before its Service."""
_BEFORE = "/registry/ranges/serviceips/"


async def run(store: Store, listers: Listers, clock: Clock) -> None:
    """Until cancelled."""
    while True:
        try:
            await repair(store, listers, clock.now())
        except Unavailable as fault:
            log.warning("addresses of Services not looked at error=%s", fault)
        await clock.sleep(INTERVAL_S)


async def repair(store: Store, listers: Listers, now: datetime) -> None:
    """Once. Raises Unavailable."""
    services, held = listers(SERVICES), listers(IP_ADDRESSES)
    await services.settle()
    wanted = dict(_wanted(services.list()))
    for address, service in wanted.items():
        found = held.get("", address)
        if found is None:
            key = IP_PREFIX + address
            made = encode(ip_address(address, service, format_time(now)))
            done = await store.commit((Guard(key, 0),), (Put(key, made), Delete(_BEFORE + address)))
            if done.ok:
                log.info("address of a Service held again: address=%s service=%s", address, name_of(service))
    for item in held.list():
        name = name_of(item)
        if labels_of(item).get(MANAGED_LABEL) == MANAGER and name not in wanted and not _young(item, now):
            key = IP_PREFIX + name
            done = await store.commit((Guard(key, resource_version_of(item)),), (Delete(key),))
            if done.ok:
                log.info("address held for no Service given back: address=%s", name)


def _wanted(services: list[Obj]) -> Iterator[tuple[str, Obj]]:
    for service in services:
        for address in fields.cluster_ips(service):
            yield str(ipaddress.ip_address(address)), service


def _young(item: Obj, now: datetime) -> bool:
    created = parse_time(dig(item, "metadata", "creationTimestamp"))
    return created is not None and now - created < _YOUNG
