"""World: a whole cluster in virtual time: API server with its real policy, scheduler, controllers, and simulated nodes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes.cluster import Cluster, cluster

from steersman import controllers
from steersman.api.resources import DEPLOYMENTS, NODES, PODS
from steersman.apiserver import local
from steersman.apiserver.contracts import UserInfo
from steersman.client.events import EventRecorder
from steersman.client.relay import Relay, RelayedClient
from steersman.client.rest import RestClient
from steersman.cluster import simulated
from steersman.cluster.settings import ClusterSettings, Paths
from steersman.cri.simulated.program import Program, ready_after, runs
from steersman.cri.simulated.script import Programs
from steersman.kubelet import nodeinfo
from steersman.loop import runner
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, dig, is_condition_true, is_deleting
from steersman.scheduler import run as scheduling

PROGRAMS: dict[str, Program] = {"crashing": runs(3, 2), "slow": ready_after(20)}


@dataclass
class World:
    here: Cluster
    root: Path
    group: asyncio.TaskGroup
    relay: Relay
    nodes: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    @property
    def client(self) -> RestClient:
        return self.here.admin

    def start(self, name: str) -> None:
        """Switch a node on."""
        settings = ClusterSettings(node_name="machine", advertise_address="192.168.0.9")
        machine = nodeinfo.system_info(("", ""))
        config = simulated.node_config(name, Paths(self.root), settings, machine, serving=False)
        user = UserInfo(f"system:node:{name}", groups=("system:nodes", "system:authenticated"))
        transport = local.transport(self.here.server.pipeline.acting_as(user))
        client = RelayedClient(transport, self.relay, user_agent="kubelet")
        node = simulated.be_node(
            config, client, self.here.clock, programs=Programs(by_image=PROGRAMS), rng=random.Random(name), log_files=False
        )
        self.nodes[name] = self.group.create_task(node)

    def kill(self, name: str) -> None:
        """Pull the plug."""
        self.nodes.pop(name).cancel()

    async def objects(self, resource: Resource, namespace: str = "") -> list[Obj]:
        items: list[Obj] = (await self.client.list(resource, namespace))["items"]
        return items

    async def pods(self) -> list[Obj]:
        return [pod for pod in await self.objects(PODS, "default") if not is_deleting(pod)]

    async def until(self, what: str, holds: Callable[[], Awaitable[bool]], *, limit_s: float = 60) -> None:
        for _ in range(int(limit_s)):
            if await holds():
                return
            await self.here.clock.advance(1, settle_turns=60)
        raise AssertionError(f"never happened: {what}")

    async def deploy(self, replicas: int, **template: Any) -> None:
        labels = {"app": "web"}
        spec: Obj = {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": template},
        }
        metadata = {"name": "web", "namespace": "default"}
        await self.client.create(DEPLOYMENTS, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})

    async def available(self) -> int:
        found = await self.client.get(DEPLOYMENTS, "web", "default")
        return int(dig(found, "status", "availableReplicas", default=0))


def play(root: Path, nodes: int, scenario: Callable[[World], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with running(root, nodes) as made:
            await scenario(made)

    asyncio.run(whole())


@asynccontextmanager
async def running(root: Path, nodes: int) -> AsyncIterator[World]:
    """Everything switched on, and the nodes Ready."""
    async with cluster(root) as here, asyncio.TaskGroup() as group:
        clock, admin = here.clock, here.admin
        recorder = EventRecorder(admin, "controller-manager", "", clock)
        specs = controllers.build(ca_pem="PEM", cluster_cidr="10.128.0.0/9")
        tasks = [
            group.create_task(runner.run(admin, specs, clock, recorder=recorder, metadata_client=admin.metadata_only())),
            group.create_task(scheduling.run(admin, clock, rng=random.Random(1))),
        ]
        made = World(here, root, group, Relay(admin, clock, group))
        for name in simulated.node_names(nodes):
            made.start(name)

        async def ready() -> bool:
            return sum(is_condition_true(node, "Ready") for node in await made.objects(NODES)) == nodes

        await made.until("all nodes Ready", ready)
        yield made
        for task in (*tasks, *made.nodes.values()):
            task.cancel()
