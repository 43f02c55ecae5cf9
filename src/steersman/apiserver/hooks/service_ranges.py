"""The ranges that cluster IPs are from: the server's own, and those of ServiceCIDRs (KEP-1880). IPAddresses hold addresses.

As the IPAddress is written in the commit of its Service, neither can be there without the other; those that people make
themselves keep addresses free. What repairs what people take away: service_repair.py.
"""

from __future__ import annotations

import ipaddress
import random

from steersman.api.resources import IP_ADDRESSES, SERVICES
from steersman.apiserver.contracts import Lister
from steersman.apiserver.hooks.address_pool import Exhausted, Pool, band
from steersman.apiserver.storage import prefix_of
from steersman.machinery.meta import Obj, condition, dig, is_deleting, name_of, namespace_of, new_uid
from steersman.store.interface import Store

IP_PREFIX = prefix_of(IP_ADDRESSES)
FAMILY_LABEL, MANAGED_LABEL = "ipaddress.kubernetes.io/ip-family", "ipaddress.kubernetes.io/managed-by"
MANAGER = "ipallocator.k8s.io"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Outside(Exception):
    """Why an address is in no range."""


class Ranges:
    """Of one IP family. `cidrs`: the ServiceCIDRs that there are, whose ranges are used up in the order of their names."""

    def __init__(self, store: Store, first: str, cidrs: Lister, rng: random.Random) -> None:
        self._store, self._rng, self._cidrs = store, rng, cidrs
        self._first = ipaddress.ip_network(first)
        self.version = self._first.version
        self._pools: dict[Network, Pool] = {}

    async def pick(self) -> str:
        """A free address. Raises Exhausted."""
        try:
            return await self._from(self._first)
        except Exhausted:
            # The others may have come or gone just now.
            await self._cidrs.settle()
        for network in self._now():
            try:
                return await self._from(network)
            except Exhausted:
                continue
        raise Exhausted

    async def _from(self, network: Network) -> str:
        pool = self._pool(network)
        return pool.key(await pool.pick(set())).removeprefix(IP_PREFIX)

    async def claim(self, address: Address) -> None:
        """Raises Outside; address_pool.Taken if somebody holds the address now."""
        if address not in self._first:
            await self._cidrs.settle()
        around = [network for network in self._now() if address in network]
        if not around:
            raise Outside("the provided network does not match the current range")
        for pool in map(self._pool, around):
            if pool.first <= int(address) <= pool.last:
                await pool.claim(int(address))
                return
        told = f"the provided IP ({address}) is not in the valid range. The range of valid IPs is {around[0]}"
        raise Outside(told)

    def _now(self) -> list[Network]:
        """The ranges that there are, each once."""
        others = map(ipaddress.ip_network, ready_cidrs(self._cidrs))
        return list(dict.fromkeys((self._first, *(network for network in others if network.version == self.version))))

    def _pool(self, network: Network) -> Pool:
        known = self._pools.get(network)
        if known is None:
            size, base = network.num_addresses, int(network.network_address)
            # Neither the network's own address nor, in IPv4, the broadcast address is given out.
            last = base + size - (2 if network.version == 4 else 1)
            address, static = type(network.network_address), band(size, 16, 256)
            known = Pool(self._store, IP_PREFIX, base + 1, last, static, lambda number: str(address(number)), self._rng)
            self._pools[network] = known
        return known


def ready_cidrs(lister: Lister) -> list[str]:
    """CIDRs of the ServiceCIDRs that give addresses now. One that nobody has judged does: the controllers may not run."""
    found = []
    for item in sorted(lister.list(), key=name_of):
        ready = condition(item, "Ready")
        if not is_deleting(item) and (ready is None or ready.get("status") == "True"):
            found += dig(item, "spec", "cidrs", default=[])
    return found


def ip_address(address: str, service: Obj, now: str) -> Obj:
    """The object that holds an address for a Service, as it is stored."""
    version = ipaddress.ip_address(address).version
    metadata = {
        "name": address,
        "uid": new_uid(),
        "creationTimestamp": now,
        "labels": {FAMILY_LABEL: f"IPv{version}", MANAGED_LABEL: MANAGER},
    }
    parent = {"resource": SERVICES.plural, "namespace": namespace_of(service), "name": name_of(service)}
    return {
        "kind": IP_ADDRESSES.kind,
        "apiVersion": IP_ADDRESSES.api_version,
        "metadata": metadata,
        "spec": {"parentRef": parent},
    }
