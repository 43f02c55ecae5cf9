"""A whole cluster in virtual time: API server with its real policy, scheduler, controllers, and simulated nodes."""

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
from steersman.api.resources import DEPLOYMENTS, EVENTS, NODES, PODS
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
from steersman.machinery.meta import Obj, condition, dig, is_condition_true, is_deleting, name_of, parse_time
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


def test_a_deployment_rolls_out_over_all_nodes_and_becomes_ready_when_its_program_is(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
        await w.deploy(20, containers=[{"name": "c", "image": "slow:1", "readinessProbe": probe}])
        await w.here.clock.advance(15, settle_turns=60)
        assert await w.available() == 0
        assert {pod["status"]["phase"] for pod in await w.pods()} == {"Running"}

        async def rolled_out() -> bool:
            return await w.available() == 20

        await w.until("the rollout", rolled_out)
        pods = await w.pods()
        assert {pod["spec"]["nodeName"] for pod in pods} == set(simulated.node_names(10))
        assert len({pod["status"]["podIP"] for pod in pods}) == 20
        ranges = {name_of(node): node["spec"]["podCIDR"].removesuffix(".0/24") for node in await w.objects(NODES)}
        assert all(pod["status"]["podIP"].startswith(ranges[pod["spec"]["nodeName"]]) for pod in pods)

    play(tmp_path, 10, scenario)


def test_a_crashing_pod_is_started_again_with_growing_pauses(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        metadata = {"name": "crashing", "namespace": "default"}
        spec = {"containers": [{"name": "c", "image": "crashing"}]}
        await w.client.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        starts: set[str] = set()
        waiting: set[str] = set()
        for _ in range(400):
            await w.here.clock.advance(1, settle_turns=60)
            status = dig(await w.client.get(PODS, "crashing", "default"), "status", "containerStatuses", 0, "state", default={})
            starts |= {dig(status, "running", "startedAt", default="")} - {""}
            waiting |= {dig(status, "waiting", "reason", default="")} - {""}
            if dig(status, "waiting", "reason") == "CrashLoopBackOff":
                assert dig(await w.client.get(PODS, "crashing", "default"), "status", "phase") == "Running"
        moments = [moment for text in sorted(starts) if (moment := parse_time(text)) is not None]
        gaps = [(later - earlier).total_seconds() for earlier, later in zip(moments, moments[1:], strict=False)]
        # Three seconds of life, then at once, 10, 20, 40, 80, 160 s of waiting.
        assert len(gaps) == 6
        assert all(abs(gap - wanted) <= 2 for gap, wanted in zip(gaps, (3, 13, 23, 43, 83, 163), strict=True)), gaps
        assert "CrashLoopBackOff" in waiting
        assert "BackOff" in {event["reason"] for event in await w.objects(EVENTS, "default")}

    play(tmp_path, 1, scenario)


def test_the_pods_of_a_node_that_dies_move_and_it_takes_part_again_when_it_is_back(tmp_path: Path) -> None:
    async def scenario(w: World) -> None:
        await w.deploy(6, containers=[{"name": "c", "image": "nginx"}])

        async def rolled_out() -> bool:
            return await w.available() == 6

        await w.until("the rollout", rolled_out)
        assert "sim-0002" in {pod["spec"]["nodeName"] for pod in await w.pods()}
        w.kill("sim-0002")

        async def unknown() -> bool:
            return (condition(await w.client.get(NODES, "sim-0002"), "Ready") or {}).get("status") == "Unknown"

        await w.until("the node's silence is noticed", unknown, limit_s=70)

        async def moved() -> bool:
            pods = await w.pods()
            return len(pods) == 6 and all(
                is_condition_true(pod, "Ready") and pod["spec"]["nodeName"] != "sim-0002" for pod in pods
            )

        await w.until("the pods' moving", moved, limit_s=400)
        w.start("sim-0002")

        async def back() -> bool:
            gone = all(pod["spec"]["nodeName"] != "sim-0002" for pod in await w.objects(PODS, "default"))
            return gone and is_condition_true(await w.client.get(NODES, "sim-0002"), "Ready")

        await w.until("the node's return, and the end of what was left there", back)

    play(tmp_path, 3, scenario)
