"""What a cloud is: load balancers, instances, routes. Vocabulary of upstream's cloud-provider (its InstancesV2).

A provider implements what it has and leaves the rest None. It is found by name (providers.py). Its methods may be slow and may
fail with ProviderError; the controllers call them by way of loop.spec.Call and try again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

from steersman.client.interface import Client
from steersman.machinery.clock import Clock
from steersman.machinery.meta import Obj, uid_of

Objs: TypeAlias = Sequence[Obj]


class ProviderError(Exception):
    """The provider could not do it; one sentence, which users read in events.

    `status`: what the service's LoadBalancerStatus is now, where the failure changed it (an address had to be given up).
    """

    def __init__(self, message: str, status: Obj | None = None) -> None:
        super().__init__(message)
        self.status = status


class InstanceNotFound(ProviderError):
    """The provider knows no such instance."""


class LoadBalancer(Protocol):
    """Load balancers, one for each Service. `nodes`: the Nodes that may take traffic."""

    @property
    def checks_health(self) -> bool:
        """Whether they find out by themselves which nodes answer. If not, nodes that are not Ready are left out here."""

    async def get(self, cluster_name: str, service: Obj) -> Obj | None:
        """The LoadBalancerStatus, None if there is no load balancer."""

    async def ensure(self, cluster_name: str, service: Obj, nodes: Objs) -> Obj:
        """Make it, or bring it into line with the service; the LoadBalancerStatus."""

    async def update(self, cluster_name: str, service: Obj, nodes: Objs) -> Obj | None:
        """Only the nodes changed. A new LoadBalancerStatus, None if it stays as it is."""

    async def ensure_deleted(self, cluster_name: str, service: Obj) -> None:
        """Remove it and all that belongs to it; no error if there is none."""


@dataclass(frozen=True, slots=True)
class InstanceMetadata:
    """What the provider knows of a node's machine. `addresses`: as in Node.status.addresses."""

    provider_id: str
    instance_type: str = ""
    addresses: tuple[Obj, ...] = ()
    zone: str = ""
    region: str = ""
    additional_labels: Mapping[str, str] = field(default_factory=dict)


class Instances(Protocol):
    """The machines behind Nodes."""

    async def exists(self, node: Obj) -> bool:
        """False: it is gone for good, and so is its Node."""

    async def shutdown(self, node: Obj) -> bool:
        """Whether it is switched off."""

    async def metadata(self, node: Obj) -> InstanceMetadata: ...


@dataclass(frozen=True, slots=True)
class Route:
    """Pods in `destination_cidr` are on that node. `blackhole`: it leads nowhere and should go."""

    destination_cidr: str
    target_node: str
    name: str = ""
    target_addresses: tuple[Obj, ...] = ()
    blackhole: bool = False


class Routes(Protocol):
    """Routes to nodes' pod ranges."""

    async def list(self, cluster_name: str) -> Sequence[Route]: ...

    async def create(self, cluster_name: str, name_hint: str, route: Route) -> None: ...

    async def delete(self, cluster_name: str, route: Route) -> None: ...


class Provider(Protocol):
    """A cloud. `start` is called once, before anything else and after leadership was won."""

    @property
    def name(self) -> str: ...

    @property
    def has_cluster_id(self) -> bool:
        """Whether it can tell this cluster's things from another's."""

    @property
    def load_balancer(self) -> LoadBalancer | None: ...

    @property
    def instances(self) -> Instances | None: ...

    @property
    def routes(self) -> Routes | None: ...

    async def start(self) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Setup:
    """What a provider is made of. `config_file`: --cloud-config, whose form is the provider's own."""

    client: Client
    clock: Clock
    config_file: Path | None = None


class Factory(Protocol):
    """What an entry point of the group `steersman.cloud_providers` names. Raises ProviderError for a bad configuration."""

    def __call__(self, setup: Setup) -> Provider: ...


def load_balancer_name(service: Obj) -> str:
    """The name upstream's providers give a service's load balancer: short enough for all of them."""
    return ("a" + uid_of(service).replace("-", ""))[:32]
