"""The cloud controllers on a whole API server in virtual time, each writing with upstream's role for it and no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.fakes.cloud import Machines, RouteTable
from tests.fakes.cluster import Cluster as Server
from tests.fakes.cluster import cluster as server

from steersman.api.resources import EVENTS, LEASES, NODES, SERVICES
from steersman.apiserver import local
from steersman.client.accounts import AccountTransport
from steersman.client.events import EventRecorder
from steersman.client.leases import LeaderElector
from steersman.client.rest import RestClient
from steersman.cloud import controllers
from steersman.cloud.interface import InstanceMetadata, Instances, LoadBalancer, Routes
from steersman.cloud.local import LocalProvider
from steersman.cloud.local.addresses import Ledger
from steersman.cluster import cloud
from steersman.loop import runner
from steersman.machinery.errors import NotFound
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, dig, is_condition_true

TAINT = {"key": "node.cloudprovider.kubernetes.io/uninitialized", "value": "true", "effect": "NoSchedule"}


class Cloud:
    """The local provider's load balancers, and machines and routes that tests decide about."""

    name = "tests"
    has_cluster_id = True

    def __init__(self, base: LocalProvider) -> None:
        self.base = base
        self.machines, self.table = Machines(InstanceMetadata("cloud://n", zone="z")), RouteTable()
        self.load_balancer: LoadBalancer = base.load_balancer
        self.instances: Instances = self.machines
        self.routes: Routes = self.table

    async def start(self) -> None:
        await self.base.start()

    async def close(self) -> None:
        """Nothing is held open."""


class World:
    def __init__(self, here: Server, provider: Cloud) -> None:
        self.here, self.cloud, self.admin = here, provider, here.admin

    async def until(self, what: str, holds: Callable[[], Awaitable[bool]], *, limit_s: int = 60) -> None:
        for _ in range(limit_s):
            if await holds():
                return
            await self.here.clock.advance(1, settle_turns=200)
        raise AssertionError(f"never happened: {what}")

    async def make(self, resource: Resource, name: str, **parts: Any) -> Obj:
        metadata: Obj = {"name": name, **({"namespace": "default"} if resource.namespaced else {})}
        return await self.admin.create(
            resource, {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **parts}
        )

    async def service(self, name: str, port: int) -> None:
        await self.make(SERVICES, name, spec={"type": "LoadBalancer", "ports": [{"port": port}]})

    async def addresses(self, name: str) -> list[str]:
        found = await self.admin.get(SERVICES, name, "default")
        return [item["ip"] for item in dig(found, "status", "loadBalancer", "ingress", default=())]

    async def node(self, name: str, address: str, *, ready: bool = True, taints: tuple[Obj, ...] = ()) -> None:
        conditions = [{"type": "Ready", "status": "True" if ready else "Unknown"}]
        status = {"addresses": [{"type": "InternalIP", "address": address}], "conditions": conditions}
        await self.make(NODES, name, spec={"taints": list(taints)}, status=status)

    async def gone(self, resource: Resource, name: str) -> bool:
        try:
            await self.admin.get(resource, name, "default" if resource.namespaced else "")
        except NotFound:
            return True
        return False


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[World]:
    async with server(directory) as here, asyncio.TaskGroup() as group:
        for resource, obj in cloud.objects():
            await here.admin.create(resource, obj)
        user = here.acting_as(cloud.USER)
        nameless = local.transport(here.server.handler)
        provider = Cloud(LocalProvider(user, Ledger()))

        def acting(name: str) -> RestClient:
            return RestClient(AccountTransport(nameless, user, "kube-system", cloud.ACCOUNTS[name], here.clock), user_agent=name)

        async def lead() -> None:
            await provider.start()
            specs = controllers.build(provider, "kubernetes", "10.244.0.0/16", here.clock)
            recorder = EventRecorder(user, cloud.NAME, "", here.clock)
            await runner.run(user, specs, here.clock, recorder=recorder, acting=acting)

        elector = LeaderElector(user, "kube-system", cloud.NAME, "me", here.clock)
        made = World(here, provider)
        await made.node("n1", "10.0.0.1")
        task = group.create_task(elector.run(lead))
        yield made
        task.cancel()


def test_a_load_balancer_from_creation_to_release(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as w:
            await w.service("web", 80)

            async def has(name: str, *addresses: str) -> bool:
                return await w.addresses(name) == list(addresses)

            await w.until("an address", lambda: has("web", "10.0.0.1"))
            await w.service("late", 80)
            lease = await w.admin.get(LEASES, cloud.NAME, "kube-system")
            assert lease["spec"]["holderIdentity"] == "me"
            await w.node("n2", "10.0.0.2")
            await w.until("the new node's address", lambda: has("web", "10.0.0.1", "10.0.0.2"))
            assert await w.addresses("late") == []
            await w.admin.delete(SERVICES, "web", "default")
            await w.until("the release", lambda: w.gone(SERVICES, "web"))
            await w.until("the other's turn", lambda: has("late", "10.0.0.1", "10.0.0.2"))
            await w.here.clock.advance(3, settle_turns=200)
            events = (await w.admin.list(EVENTS, "default"))["items"]
            told = {(event["source"]["component"], event["reason"]) for event in events}
            for reason in ("EnsuringLoadBalancer", "EnsuredLoadBalancer", "SyncLoadBalancerFailed", "UpdatedLoadBalancer"):
                assert ("service-controller", reason) in told
            assert ("service-controller", "DeletedLoadBalancer") in told

    asyncio.run(scenario())


def test_nodes_are_initialised_routed_and_removed_with_their_machines(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as w:
            await w.node("new", "10.0.0.3", taints=(TAINT,))

            async def initialised() -> bool:
                node = await w.admin.get(NODES, "new")
                return node["spec"].get("providerID") == "cloud://n" and TAINT not in node["spec"].get("taints", ())

            await w.until("initialisation", initialised)
            await w.admin.patch(NODES, "new", {"spec": {"podCIDR": "10.244.3.0/24", "podCIDRs": ["10.244.3.0/24"]}})

            async def routed() -> bool:
                node = await w.admin.get(NODES, "new")
                there = any(route.target_node == "new" for route in w.cloud.table.routes)
                return there and not is_condition_true(node, "NetworkUnavailable")

            await w.until("a route", routed)
            w.cloud.machines.gone.add("new")
            await w.here.clock.advance(12, settle_turns=200)
            assert not await w.gone(NODES, "new")
            silent = {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}
            await w.admin.patch(NODES, "new", silent, kind="strategic", subresource="status")
            await w.until("its end", lambda: w.gone(NODES, "new"))
            assert not await w.gone(NODES, "n1")

            async def unrouted() -> bool:
                return not w.cloud.table.routes

            await w.until("the route's end", unrouted)

    asyncio.run(scenario())
