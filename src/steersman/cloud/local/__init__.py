"""The built-in provider `local`: a cluster on machines of one's own, without a cloud.

Load balancers are addresses: the nodes' own, each port once, or some of a pool (addresses.py). The service proxy of every node
answers on them as on any load balancer's virtual IP; there is no other data path. What is held is in the Services' status,
from where a new leader learns it. Machines are what their kubelets say they are; the pool a node has joined becomes its role,
which a kubelet may not give itself. Routes between nodes are not the provider's: each node makes its own (network/overlay.py).
"""

from __future__ import annotations

from steersman.api import nodeagents
from steersman.api.resources import SERVICES
from steersman.client.interface import Client
from steersman.cloud.interface import InstanceMetadata, LoadBalancer, Objs
from steersman.cloud.local.addresses import Ledger
from steersman.machinery.meta import Obj, dig, labels_of, name_of

_ROLE = "node-role.kubernetes.io/"


class LocalProvider:
    """A Provider. `ledger` says who has which address."""

    name = "local"
    has_cluster_id = True
    routes = None

    def __init__(self, client: Client, ledger: Ledger) -> None:
        self._client, self._ledger = client, ledger
        self.load_balancer: LoadBalancer = _Balancer(ledger)
        self.instances = _Machines()

    async def start(self) -> None:
        """Services keep what they have, before new ones are given any."""
        answer = await self._client.list(SERVICES)
        for service in sorted(answer["items"], key=lambda item: str(dig(item, "metadata", "creationTimestamp"))):
            self._ledger.adopt(service)

    async def close(self) -> None:
        """Nothing is held open."""


class _Balancer:
    checks_health = False

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def get(self, cluster_name: str, service: Obj) -> Obj | None:
        held = self._ledger.held(service)
        return _status(held) if held else None

    async def ensure(self, cluster_name: str, service: Obj, nodes: Objs) -> Obj:
        return _status(self._ledger.assign(service, nodes))

    async def update(self, cluster_name: str, service: Obj, nodes: Objs) -> Obj:
        return _status(self._ledger.assign(service, nodes))

    async def ensure_deleted(self, cluster_name: str, service: Obj) -> None:
        self._ledger.release(service)


def _status(addresses: tuple[str, ...]) -> Obj:
    return {"ingress": [{"ip": address, "ipMode": "VIP"} for address in addresses]}


class _Machines:
    async def exists(self, node: Obj) -> bool:
        """Always: a machine that is silent may come back, and nobody here knows better. Its owner deletes the Node."""
        return True

    async def shutdown(self, node: Obj) -> bool:
        return False

    async def metadata(self, node: Obj) -> InstanceMetadata:
        """Its kubelet knows the addresses best."""
        pool = labels_of(node).get(nodeagents.POOL_LABEL, "")
        role = {f"{_ROLE}{pool}": ""} if pool and pool not in nodeagents.CONTROL_ROLES else {}
        addresses = tuple(dig(node, "status", "addresses", default=()))
        return InstanceMetadata(f"local://{name_of(node)}", addresses=addresses, additional_labels=role)
