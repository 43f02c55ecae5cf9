"""A cloud in memory: what it was asked, and what it shall answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from steersman.cloud.interface import InstanceMetadata, Objs, ProviderError, Route, load_balancer_name
from steersman.machinery.meta import Obj, name_of


@dataclass
class Balancers:
    """Gives each service an address of its own. `broken`: what every change fails with."""

    there: dict[str, list[str]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    broken: ProviderError | None = None
    checks_health: bool = True

    async def get(self, cluster_name: str, service: Obj) -> Obj | None:
        return {"ingress": []} if load_balancer_name(service) in self.there else None

    async def ensure(self, cluster_name: str, service: Obj, nodes: Objs) -> Obj:
        self._note("ensure", service)
        self.there[load_balancer_name(service)] = [name_of(node) for node in nodes]
        return {"ingress": [{"ip": "203.0.113.7", "ipMode": "VIP"}]}

    async def update(self, cluster_name: str, service: Obj, nodes: Objs) -> Obj | None:
        self._note("update", service)
        self.there[load_balancer_name(service)] = [name_of(node) for node in nodes]
        return None

    async def ensure_deleted(self, cluster_name: str, service: Obj) -> None:
        self._note("delete", service)
        self.there.pop(load_balancer_name(service), None)

    def _note(self, verb: str, service: Obj) -> None:
        self.calls.append(f"{verb} {name_of(service)}")
        if self.broken is not None:
            raise self.broken


@dataclass
class Machines:
    """`gone` and `off`: names of nodes; all share one InstanceMetadata."""

    known: InstanceMetadata = field(default_factory=lambda: InstanceMetadata("cloud://1"))
    gone: set[str] = field(default_factory=set)
    off: set[str] = field(default_factory=set)
    asked: int = 0
    broken: ProviderError | None = None

    async def exists(self, node: Obj) -> bool:
        return name_of(node) not in self.gone

    async def shutdown(self, node: Obj) -> bool:
        return name_of(node) in self.off

    async def metadata(self, node: Obj) -> InstanceMetadata:
        self.asked += 1
        if self.broken is not None:
            raise self.broken
        return self.known


@dataclass
class RouteTable:
    """`refused`: nodes that no route can be made to."""

    routes: list[Route] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    async def list(self, cluster_name: str) -> Sequence[Route]:
        return tuple(self.routes)

    async def create(self, cluster_name: str, name_hint: str, route: Route) -> None:
        if route.target_node in self.refused:
            raise ProviderError("the table is full")
        self.routes.append(route)

    async def delete(self, cluster_name: str, route: Route) -> None:
        self.routes.remove(route)
