"""The running proxy: informers feed it, and whenever something changed the node's rules are brought up to date.

Changes that come together are applied together: a sync starts at once, and the next one not before MIN_INTERVAL_S later.
A refused script is followed by a full one, so that a table somebody else damaged heals.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from steersman.api.resources import ENDPOINT_SLICES, NODES, SERVICES
from steersman.client.informer import Informer
from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.meta import dig, labels_of
from steersman.proxy import conntrack, healthchecks, kernel, rules
from steersman.proxy.healthchecks import HealthChecks
from steersman.proxy.nftables import NftFault, run_script
from steersman.proxy.rules import ProxyConfig, Table
from steersman.proxy.services import SERVICE_NAME, NodeView, ServicePort, service_ports
from steersman.proxy.status import Bind, Status

log = logging.getLogger(__name__)

MIN_INTERVAL_S = 0.05
RETRY_S = 5.0
ZONE_LABEL = "topology.kubernetes.io/zone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `steersman proxy` is told. node_ips: where node ports are answered. healthz, metrics: where its pages are."""

    node_name: str
    node_ips: tuple[str, ...]
    cluster_cidr: str = "10.244.0.0/16"
    service_cidr: str = "10.96.0.0/16"
    healthz: Bind | None = ("0.0.0.0", 10256)
    metrics: Bind | None = ("127.0.0.1", 10249)


async def run(client: Client, options: Options, clock: Clock) -> None:
    """Keep the node's rules current until cancelled. The rules stay when it ends: traffic goes on."""
    await Proxy(client, options, clock).run()


async def remove(clock: Clock) -> None:
    """Take the proxy's table away."""
    await run_script(f"add table ip {rules.TABLE}\ndelete table ip {rules.TABLE}\n", clock)


class Proxy:
    """One node's proxy."""

    def __init__(self, client: Client, options: Options, clock: Clock) -> None:
        self._options, self._clock = options, clock
        self._services = Informer(client, SERVICES, clock=clock)
        self._slices = Informer(client, ENDPOINT_SLICES, clock=clock, label_selector=SERVICE_NAME)
        self._node = Informer(client, NODES, clock=clock, field_selector=f"metadata.name={options.node_name}")
        self._config = ProxyConfig(options.cluster_cidr, options.service_cidr, options.node_ips)
        self._applied: Table | None = None
        self._status = Status(clock, lambda: self._node.get("", options.node_name))
        self._health = HealthChecks(options.node_ips, self._status.keeps_up, clock)
        self._flows: conntrack.Backends = {}
        self._dirty = asyncio.Event()

    async def run(self) -> None:
        informers = (self._services, self._slices, self._node)
        async with asyncio.TaskGroup() as group:
            for informer in informers:
                informer.add_handler(lambda _old, _new: self._changed())
                group.create_task(informer.run())
            for informer in informers:
                await informer.synced.wait()
            self._changed()
            try:
                await self._status.open(self._options.healthz, self._options.metrics)
                await self._follow()
            finally:
                self._health.close()
                self._status.close()

    def _changed(self) -> None:
        self._status.queued()
        self._dirty.set()

    async def _follow(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            if await self.sync():
                self._status.updated()
                if self._dirty.is_set():
                    # This came meanwhile, and is not among what was applied.
                    self._status.queued()
                await self._clock.sleep(MIN_INTERVAL_S)
            else:
                self._dirty.set()
                await self._clock.sleep(RETRY_S)

    async def sync(self) -> bool:
        """Apply what changed; False if nft refused."""
        node = self._node.get("", self._options.node_name)
        zone = labels_of(node).get(ZONE_LABEL, "") if node else ""
        view = NodeView(self._options.node_name, zone)
        ports = service_ports(self._services, self._slices, view)
        wanted = rules.table(ports, self._config)
        script = rules.difference(self._applied or Table(), wanted)
        if self._applied is None:
            script = rules.base(self._config) + script
        try:
            if script:
                await run_script(script, self._clock)
        except NftFault as fault:
            log.error("service rules not applied node=%s error=%s", dig(node, "metadata", "name"), fault)
            self._applied = None
            return False
        if self._applied is None:
            # Not earlier: it is the first rules that make the kernel track connections.
            kernel.set_timeouts()
        self._applied = wanted
        await self._health.update(healthchecks.wanted(ports))
        await self._end_stale_flows(ports)
        return True

    async def _end_stale_flows(self, ports: list[ServicePort]) -> None:
        """Not before the rules are there: what a client sends next is to find them. What fails is tried at the next change."""
        backends = conntrack.udp_backends(ports, self._options.node_ips)
        if backends == self._flows:
            return
        try:
            ended = await asyncio.to_thread(conntrack.end_stale_flows, backends)
        except OSError as fault:
            log.warning("flows to endpoints that are gone not ended error=%s", fault)
        else:
            log.debug("flows to endpoints that are gone ended count=%d", ended)
            self._flows = backends
