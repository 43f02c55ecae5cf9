"""The running DNS server: informers make the zone, and its own address is published as an endpoint of the DNS Service."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from steersman.api.resources import ENDPOINT_SLICES, NAMESPACES, SERVICES
from steersman.client.informer import Informer
from steersman.client.interface import Client
from steersman.dns import zone
from steersman.dns.server import DNSServer, upstream_servers
from steersman.machinery.clock import Clock
from steersman.machinery.errors import AlreadyExists, StatusError
from steersman.machinery.meta import Obj, name_of
from steersman.machinery.waiting import Backoff

log = logging.getLogger(__name__)

SERVICE_NAMESPACE, SERVICE = "kube-system", "kube-dns"
_SETTLE_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `steersman dns` is told. `address`: this node's, where it listens and which it publishes."""

    node_name: str
    address: str
    port: int = 10053
    domain: str = "cluster.local"
    resolv_conf: Path = Path("/etc/resolv.conf")
    publish: bool = True


async def run(client: Client, options: Options, clock: Clock) -> None:
    """Serve until cancelled. Raises OSError if the port is taken."""
    services = Informer(client, SERVICES, clock=clock)
    slices = Informer(client, ENDPOINT_SLICES, clock=clock, label_selector=zone.SERVICE_NAME)
    namespaces = Informer(client, NAMESPACES, clock=clock)
    dirty = asyncio.Event()
    current = zone.Zone(options.domain)
    async with asyncio.TaskGroup() as group:
        server = DNSServer(lambda: current, lambda: upstream_servers(options.resolv_conf), group)
        await server.start(options.address, options.port)
        try:
            informers = (services, slices, namespaces)
            for informer in informers:
                informer.add_handler(lambda _old, _new: dirty.set())
                group.create_task(informer.run())
            for informer in informers:
                await informer.synced.wait()
            if options.publish:
                group.create_task(_publish(client, options, clock))
            while True:
                names = [name_of(namespace) for namespace in namespaces]
                current = zone.build(options.domain, services, slices, names)
                await dirty.wait()
                dirty.clear()
                await clock.sleep(_SETTLE_S)
        finally:
            server.close()


def endpoint_slice(options: Options) -> Obj:
    """The slice that says: the DNS Service is answered here."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": SERVICE_NAMESPACE,
            "name": f"{SERVICE}-{options.node_name}",
            "labels": {zone.SERVICE_NAME: SERVICE, "endpointslice.kubernetes.io/managed-by": "dns.steersman"},
        },
        "addressType": "IPv4",
        "ports": [
            {"name": "dns", "port": options.port, "protocol": "UDP"},
            {"name": "dns-tcp", "port": options.port, "protocol": "TCP"},
        ],
        "endpoints": [
            {"addresses": [options.address], "nodeName": options.node_name, "conditions": {"ready": True, "serving": True}}
        ],
    }


async def _publish(client: Client, options: Options, clock: Clock) -> None:
    """Write the slice once; it is tried again until it is there."""
    wanted = endpoint_slice(options)
    name, backoff = name_of(wanted), Backoff(0.1, 10)
    while True:
        try:
            try:
                await client.create(ENDPOINT_SLICES, wanted)
            except AlreadyExists:
                patch = {key: wanted[key] for key in ("ports", "endpoints")}
                await client.patch(ENDPOINT_SLICES, name, patch, SERVICE_NAMESPACE)
            return
        except (StatusError, ConnectionError) as fault:
            log.warning("endpoint slice not written name=%s error=%s", name, fault)
            await clock.sleep(backoff.next())
