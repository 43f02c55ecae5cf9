"""Cluster IPs and node ports of Services, allocated in the commit that writes the Service (StoreHook).

An address is held by its IPAddress object, a node port by a key of its own.

Source: upstream pkg/registry/core/service/{ipallocator,portallocator,storage/alloc.go}; KEP-3070 and KEP-3668 (static bands).
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Sequence

from steersman.apiserver.contracts import Lister
from steersman.apiserver.hooks import service_fields as fields
from steersman.apiserver.hooks.address_pool import Exhausted, Pool, Taken, Transfer, band
from steersman.apiserver.hooks.service_ranges import IP_PREFIX, Outside, Ranges, ip_address
from steersman.apiserver.storage import encode
from steersman.machinery import fielderrors, names
from steersman.machinery.clock import Clock
from steersman.machinery.errors import InternalError, Invalid
from steersman.machinery.fielderrors import FieldError
from steersman.machinery.meta import Obj, format_time, name_of, namespace_of
from steersman.store.interface import Delete, Guard, Put, Store

_PORT_PREFIX = "/registry/ranges/servicenodeports/"


class ServiceAddresses:
    """`service_cidr` of one family; `node_ports` inclusive. cidrs: ServiceCIDRs, which add ranges."""

    def __init__(
        self,
        store: Store,
        service_cidr: str,
        node_ports: tuple[int, int],
        clock: Clock,
        cidrs: Lister,
        *,
        rng: random.Random | None = None,
    ) -> None:
        rng = rng or random.Random()
        self._clock = clock
        self._ranges = Ranges(store, service_cidr, cidrs, rng)
        self._family = f"IPv{self._ranges.version}"
        low, high = node_ports
        self._ports = Pool(store, _PORT_PREFIX, low, high, band(high - low + 1, 32, 128), str, rng)

    async def prepare(self, new: Obj | None, old: Obj | None, *, dry_run: bool) -> tuple[Sequence[Guard], Sequence[Put | Delete]]:
        transfer = Transfer("/".join((namespace_of(new or old or {}), name_of(new or old or {}))))
        if new is not None:
            if old is not None:
                fields.drop_inapplicable(new, old)
                fields.inherit(new, old)
            await self._addresses(new, old, transfer)
            await self._node_ports(new, old, transfer)
        self._release(new, old, transfer)
        return ((), ()) if dry_run else (transfer.guards, transfer.ops)

    async def _addresses(self, new: Obj, old: Obj | None, transfer: Transfer) -> None:
        if not fields.needs_cluster_ip(new):
            return
        spec = new["spec"]
        if old is not None and not fields.needs_cluster_ip(old):
            old = None
        fields.normalize_cluster_ips(new, old)
        errors = fields.fill_families(new, old, self._family)
        if errors:
            raise _invalid(new, *errors)
        if not spec.get("internalTrafficPolicy"):
            spec["internalTrafficPolicy"] = "Cluster"
        if old is not None or fields.is_headless(new):
            # Addresses don't change once they are set: validation refuses what differs.
            return
        given = fields.cluster_ips(new)
        for address in given:
            self._hold(new, await self._claim_ip(new, address), transfer)
        if not given:
            try:
                address = await self._ranges.pick()
            except Exhausted:
                why = f'failed to allocate a serviceIP for Service "{name_of(new)}": range is full'
                raise InternalError.of(why) from None
            self._hold(new, address, transfer)
            spec["clusterIP"] = address
            spec["clusterIPs"] = [address]

    def _hold(self, service: Obj, address: str, transfer: Transfer) -> None:
        made = ip_address(address, service, format_time(self._clock.now()))
        transfer.hold(IP_PREFIX + address, encode(made))

    async def _claim_ip(self, service: Obj, text: str) -> str:
        """The address in its canonical form. Raises Invalid."""

        def refusal(why: str) -> Invalid:
            value = service["spec"]["clusterIPs"]
            return _invalid(service, fielderrors.invalid("spec.clusterIPs", value, f"failed to allocate IP {text}: {why}"))

        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            # No address, or written in a way that some take for another: validation, which comes later, has the words.
            where = f"spec.clusterIPs[{service['spec']['clusterIPs'].index(text)}]"
            raise _invalid(service, *(fielderrors.invalid(where, text, fault) for fault in names.ip(text))) from None
        try:
            await self._ranges.claim(address)
        except Outside as fault:
            raise refusal(str(fault)) from None
        except Taken:
            raise refusal("provided IP is already allocated") from None
        return str(address)

    async def _node_ports(self, new: Obj, old: Obj | None, transfer: Transfer) -> None:
        before = fields.node_ports(old)
        mine = set(before)
        if fields.needs_node_port(new):
            await self._service_ports(new, old, mine, transfer)
        if not fields.needs_health_check_port(new):
            return
        spec = new["spec"]
        asked = int(spec.get("healthCheckNodePort") or 0)
        if asked in mine:
            return
        try:
            spec["healthCheckNodePort"] = await self._take_port(asked, mine, transfer)
        except (_PortRefused, Exhausted) as error:
            raise InternalError.of(f"failed to allocate requested HealthCheck NodePort {asked}: {error}") from None

    async def _service_ports(self, new: Obj, old: Obj | None, mine: set[int], transfer: Transfer) -> None:
        """`mine`: ports the service already holds; grows. On create, equal port numbers (TCP and UDP) share a node port."""
        automatic = fields.allocates_node_ports(new)
        ports: list[Obj] = new["spec"].get("ports") or []
        shared: dict[int, int] = {}
        if old is None:
            for port in ports:
                if port.get("nodePort"):
                    shared.setdefault(int(port.get("port") or 0), int(port["nodePort"]))
        for index, port in enumerate(ports):
            asked = int(port.get("nodePort") or 0) or shared.get(int(port.get("port") or 0), 0)
            if not asked and not automatic:
                continue
            if asked not in mine:
                try:
                    asked = await self._take_port(asked, mine, transfer)
                except _PortRefused as refused:
                    raise _invalid(new, fielderrors.invalid(f"spec.ports[{index}].nodePort", asked, str(refused))) from None
                except Exhausted:
                    raise InternalError.of("failed to allocate a nodePort: range is full") from None
            port["nodePort"] = asked
            if old is None:
                shared.setdefault(int(port.get("port") or 0), asked)

    async def _take_port(self, asked: int, mine: set[int], transfer: Transfer) -> int:
        """Hold the asked port, or any when it is 0."""
        if not asked:
            asked = await self._ports.pick(mine)
        elif not self._ports.first <= asked <= self._ports.last:
            valid = f"{self._ports.first}-{self._ports.last}"
            raise _PortRefused(f"provided port is not in the valid range. The range of valid ports is {valid}")
        else:
            try:
                await self._ports.claim(asked)
            except Taken:
                raise _PortRefused("provided port is already allocated") from None
        transfer.hold(self._ports.key(asked))
        mine.add(asked)
        return asked

    def _release(self, new: Obj | None, old: Obj | None, transfer: Transfer) -> None:
        """Give back what the old object held and the new one doesn't."""
        kept = set(fields.cluster_ips(new))
        for address in fields.cluster_ips(old):
            if address not in kept:
                transfer.release(IP_PREFIX + str(ipaddress.ip_address(address)))
        for port in fields.node_ports(old) - fields.node_ports(new):
            transfer.release(self._ports.key(port))


class _PortRefused(Exception):
    """Why a port that was asked for can't be had."""


def _invalid(service: Obj, *errors: FieldError) -> Invalid:
    return Invalid.of("", "Service", name_of(service), errors)
