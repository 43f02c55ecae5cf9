"""The pod network: a bridge per node, host-local addresses, masquerading for what leaves the cluster, host ports.

Implements cri.interface.SandboxNetwork's shape (network/ and cri/ are siblings and do not import each other: the runtime is
given this object by cluster/, structurally typed). Routes between nodes: overlay.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

from steersman.network import firewall, links, overlay
from steersman.network.addresses import AddressPool, NoAddress
from steersman.network.firewall import HostPort
from steersman.network.rtnetlink import Netlink

log = logging.getLogger(__name__)

T = TypeVar("T")


class PortMapping(Protocol):
    @property
    def protocol(self) -> str: ...
    @property
    def container_port(self) -> int: ...
    @property
    def host_port(self) -> int: ...
    @property
    def host_ip(self) -> str: ...


class SandboxConfig(Protocol):
    """What this network reads of a sandbox's configuration."""

    @property
    def port_mappings(self) -> tuple[PortMapping, ...]: ...


class NetworkFault(OSError):
    """A sandbox could not be wired; one sentence. An OSError, which is what the runtime expects of a network."""


class BridgeNetwork:
    """One per node. `cluster_cidr`: the pods of all nodes, never masqueraded to one another. `address`: the node's own."""

    def __init__(self, directory: Path, bridge: str, cluster_cidr: str, address: str = "") -> None:
        self._directory, self._address = directory, address
        self._bridge = bridge
        self._cluster_cidr = cluster_cidr
        self._thread = ThreadPoolExecutor(1, "network")
        self._socket: Netlink | None = None
        self._pool: AddressPool | None = None
        self._mtu = 1500
        self._fault = "the node has no pod CIDR yet"
        self._host_ports: dict[str, tuple[HostPort, ...]] = {}

    async def set_pod_cidr(self, pod_cidr: str) -> None:
        await self._run(self._set_up, pod_cidr)

    async def ready(self) -> str:
        return self._fault

    async def attach(self, sandbox_id: str, netns_path: str, config: SandboxConfig) -> tuple[str, ...]:
        """The pod's addresses. Raises NetworkFault."""
        try:
            return (await self._run(self._attach, sandbox_id, netns_path, config),)
        except (NoAddress, OSError) as fault:
            raise NetworkFault(str(fault)) from fault

    async def detach(self, sandbox_id: str, netns_path: str, config: SandboxConfig) -> None:
        await self._run(self._detach, sandbox_id)

    async def keep_only(self, sandbox_ids: Collection[str]) -> None:
        """Release what sandboxes that are no more still hold."""
        for owner in (self._pool.owners() if self._pool else set()).difference(sandbox_ids):
            log.info("releasing the address of a sandbox that is no more sandbox=%s", owner)
            await self._run(self._detach, owner)

    async def remove(self) -> None:
        """Take the whole node network down: bridge and rules."""
        await self._run(self._remove)
        self._thread.shutdown()

    async def close(self) -> None:
        """Let go of netlink; the network stays as it is."""
        await self._run(self._close_netlink)
        self._thread.shutdown()

    async def _run(self, function: Callable[..., T], *args: object) -> T:
        """In the network's one thread: netlink work is blocking, and never concurrent."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    def _netlink(self) -> Netlink:
        if self._socket is None:
            self._socket = Netlink()
        return self._socket

    def _set_up(self, pod_cidr: str) -> None:
        if self._pool is not None and str(self._pool.network) == pod_cidr:
            return
        self._pool = AddressPool(self._directory / "addresses", pod_cidr)
        netlink = self._netlink()
        self._mtu = overlay.pod_mtu(netlink, self._address)
        links.ensure_bridge(netlink, self._bridge, self._pool.gateway, self._pool.network.prefixlen, self._mtu)
        links.set_sysctls(self._bridge, self._directory / "sysctls.json")
        self._host_ports = firewall.load(self._directory / "hostports.json")
        firewall.apply(self._cluster_cidr, self._bridge, self._host_ports)
        self._fault = ""

    def _attach(self, sandbox_id: str, netns_path: str, config: SandboxConfig) -> str:
        if self._pool is None:
            raise NetworkFault(self._fault)
        address = self._pool.take(sandbox_id)
        try:
            links.attach(self._netlink(), self._bridge, sandbox_id, netns_path, address, self._pool.gateway, self._mtu)
        except Exception:
            self._detach(sandbox_id)
            raise
        ports = tuple(
            HostPort(m.protocol.lower() or "tcp", m.host_ip, m.host_port, address, m.container_port)
            for m in config.port_mappings
            if m.host_port
        )
        if ports:
            self._set_host_ports(sandbox_id, ports)
        return address

    def _detach(self, sandbox_id: str) -> None:
        links.detach(self._netlink(), sandbox_id)
        if sandbox_id in self._host_ports:
            self._set_host_ports(sandbox_id, ())
        if self._pool:
            self._pool.release(sandbox_id)

    def _set_host_ports(self, sandbox_id: str, ports: tuple[HostPort, ...]) -> None:
        if ports:
            self._host_ports[sandbox_id] = ports
        else:
            self._host_ports.pop(sandbox_id, None)
        firewall.save(self._directory / "hostports.json", self._host_ports)
        firewall.apply(self._cluster_cidr, self._bridge, self._host_ports)

    def _remove(self) -> None:
        firewall.remove()
        links.delete_link(self._netlink(), self._bridge)
        links.restore_sysctls(self._directory / "sysctls.json")
        self._close_netlink()
        self._pool = None

    def _close_netlink(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
