"""ServiceCIDR `kubernetes`: shows the range that the server was started with (KEP-1880), as upstream's own does.

Others may be added: service_ranges.py gives addresses from them as well, controllers/servicecidrs.py keeps them while in use.
"""

from __future__ import annotations

import logging

from steersman.api.resources import SERVICE_CIDRS
from steersman.apiserver.config import ServerConfig
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.errors import AlreadyExists, Conflict, NotFound
from steersman.machinery.meta import Obj, condition, format_time

log = logging.getLogger(__name__)

_NAME = "kubernetes"


async def ensure(client: Client, config: ServerConfig, clock: Clock) -> None:
    try:
        found = await client.get(SERVICE_CIDRS, _NAME)
    except NotFound:
        try:
            found = await client.create(SERVICE_CIDRS, _made(config))
        except AlreadyExists:
            # Another API server that starts at the same time also says that it is ready.
            return
    if found["spec"]["cidrs"] != [config.service_cidr]:
        # The object cannot be changed, and what has addresses from the old range keeps them.
        log.warning("service range differs from ServiceCIDR name=%s is=%s shown=%s", _NAME, config.service_cidr, found["spec"])
        return
    ready = condition(found, "Ready")
    if ready is not None and ready.get("status") == "True":
        return
    others = [item for item in (found.get("status") or {}).get("conditions") or () if item.get("type") != "Ready"]
    try:
        await client.update(SERVICE_CIDRS, {**found, "status": {"conditions": [*others, _ready(clock)]}}, subresource="status")
    except Conflict:
        return


def _made(config: ServerConfig) -> Obj:
    return {
        "apiVersion": SERVICE_CIDRS.api_version,
        "kind": SERVICE_CIDRS.kind,
        "metadata": {"name": _NAME},
        "spec": {"cidrs": [config.service_cidr]},
    }


def _ready(clock: Clock) -> Obj:
    return {
        "type": "Ready",
        "status": "True",
        "lastTransitionTime": format_time(clock.now()),
        "reason": "",
        "message": "Kubernetes default Service CIDR is ready",
    }
