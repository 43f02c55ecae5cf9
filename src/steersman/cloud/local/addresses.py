"""Which load balancer has which address: the local provider's bookkeeping. No I/O but for asking `in_use`.

Without a pool, services share the nodes' own addresses, and each port of an address goes to one service only. Ports that
something else answers on are never given away, or the balancer's rules would take them from it: those of the node ports, those
reserved by name (ssh, the API server, the kubelet), and those `in_use` tells of. With a pool, each service has an address to
itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from steersman.cloud.interface import ProviderError
from steersman.machinery.meta import Key, Obj, dig, is_deleting, key_of, uid_of

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Port: TypeAlias = tuple[str, int]
"""Protocol and number."""

RESERVED = frozenset((22, 2379, 2380, 6443, 10250, 10053))


@dataclass(frozen=True, slots=True)
class Pool:
    """Ranges of addresses, first and last included."""

    ranges: tuple[tuple[Address, Address], ...]

    def __contains__(self, text: str) -> bool:
        address = ipaddress.ip_address(text)
        return any(low.version == address.version and int(low) <= int(address) <= int(high) for low, high in self.ranges)

    def of_family(self, version: int) -> Iterator[str]:
        for low, high in self.ranges:
            if low.version == version:
                yield from (str(type(low)(number)) for number in range(int(low), int(high) + 1))


def parse_pool(text: str) -> Pool:
    """Networks and ranges with commas between: `192.0.2.16/28,198.51.100.7-198.51.100.9`. Raises ValueError."""
    ranges: list[tuple[Address, Address]] = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        first, dash, last = part.partition("-")
        if dash:
            low, high = ipaddress.ip_address(first.strip()), ipaddress.ip_address(last.strip())
            if low.version != high.version or int(low) > int(high):
                raise ValueError(f"{part} is not a range of addresses")
        else:
            network = ipaddress.ip_network(part)
            # The first and the last address of an IPv4 network mean the network and everybody.
            spare = 1 if network.version == 4 and network.prefixlen < 31 else 0
            low, high = network[spare], network[-1 - spare]
        ranges.append((low, high))
    if not ranges:
        raise ValueError("a pool needs an address")
    return Pool(tuple(ranges))


@dataclass(frozen=True, slots=True)
class _Holding:
    key: Key
    addresses: tuple[str, ...]
    ports: frozenset[Port]


@dataclass(slots=True)
class Ledger:
    """`in_use(address, protocol, port)`: whether a program of this machine listens there."""

    pool: Pool | None = None
    node_ports: tuple[int, int] = (30000, 32767)
    reserved: frozenset[int] = RESERVED
    in_use: Callable[[str, str, int], bool] = lambda address, protocol, port: False
    _holdings: dict[str, _Holding] = field(default_factory=dict)

    def held(self, service: Obj) -> tuple[str, ...]:
        holding = self._holdings.get(uid_of(service))
        return holding.addresses if holding else ()

    def adopt(self, service: Obj) -> None:
        """What the service's status says it has, unless another has it."""
        spec = service.get("spec") or {}
        if spec.get("type") != "LoadBalancer" or spec.get("loadBalancerClass") is not None or is_deleting(service):
            return
        addresses = [item["ip"] for item in dig(service, "status", "loadBalancer", "ingress", default=()) if item.get("ip")]
        kept = tuple(address for address in addresses if not self._taken(service, address))
        if kept:
            self._hold(service, kept)

    def assign(self, service: Obj, nodes: Sequence[Obj]) -> tuple[str, ...]:
        """The addresses the service has from now on, as far as possible those it had.

        Raises ProviderError if it can have none; it then holds none, and the error's status says so.
        """
        try:
            addresses = self._from_nodes(service, nodes) if self.pool is None else self._from_pool(service, self.pool)
        except ProviderError as error:
            had = self._holdings.pop(uid_of(service), None)
            raise ProviderError(str(error), {} if had or dig(service, "status", "loadBalancer", "ingress") else None) from None
        self._hold(service, addresses)
        return addresses

    def release(self, service: Obj) -> None:
        self._holdings.pop(uid_of(service), None)

    def _hold(self, service: Obj, addresses: tuple[str, ...]) -> None:
        self._holdings[uid_of(service)] = _Holding(key_of(service), addresses, frozenset(_ports(service)))

    # --- the nodes' addresses --------------------------------------------------------------------------------------

    def _from_nodes(self, service: Obj, nodes: Sequence[Obj]) -> tuple[str, ...]:
        offered = list(dict.fromkeys(address for node in nodes for address in _addresses(node, service)))
        asked = dig(service, "spec", "loadBalancerIP")
        if asked:
            if asked not in offered:
                raise ProviderError(f"{asked} is not an address of the nodes")
            offered = [asked]
        if not offered:
            raise ProviderError("no node has an address to offer")
        objections = {address: self._objection(service, address) for address in offered}
        free = tuple(address for address, objection in objections.items() if not objection)
        if not free:
            raise ProviderError(objections[offered[0]])
        return free

    def _objection(self, service: Obj, address: str) -> str:
        """Why the service can't have its ports there; empty if it can."""
        before = self._holdings.get(uid_of(service))
        for protocol, port in _ports(service):
            where = f"port {port}/{protocol} of {address}"
            if self.node_ports[0] <= port <= self.node_ports[1]:
                return f"{where} is in the range of node ports"
            if port in self.reserved:
                return f"{where} is reserved for the node"
            for uid, other in self._holdings.items():
                if uid != uid_of(service) and address in other.addresses and (protocol, port) in other.ports:
                    return f"{where} is used by service {'/'.join(other.key)}"
            mine = before is not None and address in before.addresses and (protocol, port) in before.ports
            if not mine and self.in_use(address, protocol, port):
                return f"{where} is used by another program"
        return ""

    def _taken(self, service: Obj, address: str) -> bool:
        others = (each for uid, each in self._holdings.items() if uid != uid_of(service) and address in each.addresses)
        ports = set(_ports(service))
        return any(self.pool is not None or each.ports & ports for each in others)

    # --- a pool's --------------------------------------------------------------------------------------------------

    def _from_pool(self, service: Obj, pool: Pool) -> tuple[str, ...]:
        asked = dig(service, "spec", "loadBalancerIP")
        if asked:
            if asked not in pool:
                raise ProviderError(f"{asked} is not in the pool of addresses")
            if self._taken(service, asked):
                raise ProviderError(f"{asked} is used by another service")
            return (asked,)
        held = [address for address in self.held(service) if address in pool]
        taken = {address for each in self._holdings.values() for address in each.addresses}
        chosen: list[str] = []
        for version in _families(service):
            kept = (address for address in held if ipaddress.ip_address(address).version == version)
            fresh = (address for address in pool.of_family(version) if address not in taken)
            found = next(kept, None) or next(fresh, None)
            if found is not None:
                chosen.append(found)
        if not chosen:
            raise ProviderError("the pool of addresses is used up")
        return tuple(chosen)


def _ports(service: Obj) -> Iterator[Port]:
    for port in dig(service, "spec", "ports", default=()):
        yield port.get("protocol", "TCP"), int(port["port"])


def _families(service: Obj) -> list[int]:
    families = dig(service, "spec", "ipFamilies", default=("IPv4",))
    return [6 if family == "IPv6" else 4 for family in families]


def _addresses(node: Obj, service: Obj) -> Iterable[str]:
    """Where the node is reached from outside if it says so, else its internal addresses; of the service's families."""
    listed = dig(node, "status", "addresses", default=())
    families = _families(service)
    for kind in ("ExternalIP", "InternalIP"):
        found = [item["address"] for item in listed if item.get("type") == kind]
        fitting = [address for address in found if (6 if ":" in address else 4) in families]
        if fitting:
            return fitting
    return ()
