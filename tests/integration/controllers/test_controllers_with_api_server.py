"""All controllers on our API server, in virtual time: rollouts, endpoints, deletions, a silent node."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.fakes.server import World, world

from steersman import controllers
from steersman.api.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    REPLICA_SETS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from steersman.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from steersman.apiserver.lookup import Lookup
from steersman.client.events import EventRecorder
from steersman.loop import runner
from steersman.machinery.clock import VirtualClock
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import (
    Obj,
    annotations_of,
    condition,
    dig,
    format_micro_time,
    format_time,
    is_condition_true,
    is_deleting,
    name_of,
    namespace_of,
)

READY_KINDS = (("Ready", "True"), ("MemoryPressure", "False"), ("DiskPressure", "False"), ("PIDPressure", "False"))


class Cluster:
    """The API server, the controllers, and a scheduler and kubelets that act when told."""

    def __init__(self, here: World) -> None:
        self.here, self.client = here, here.client
        self.alive = {"n1", "n2", "n3"}
        self.addresses = itertools.count(1)

    async def list(self, resource: Resource, namespace: str = "") -> list[Obj]:
        items: list[Obj] = (await self.client.list(resource, namespace))["items"]
        return items

    async def pass_time(self, seconds: float = 0.2) -> None:
        await self.here.clock.advance(seconds, settle_turns=300)

    async def until(self, what: str, holds: Callable[[], Awaitable[bool]], *, limit_s: int = 120) -> None:
        """Let time pass, kubelets at work, until it holds."""
        for _ in range(limit_s * 2):
            if await holds():
                return
            await self.kubelets()
            await self.pass_time(0.5)
        raise AssertionError(f"never happened: {what}")

    async def add_nodes(self) -> None:
        for name in sorted(self.alive):
            moment = format_time(self.here.clock.now())
            times = {"lastHeartbeatTime": moment, "lastTransitionTime": moment}
            conditions = [
                {"type": kind, "status": status, "reason": "x", "message": "x", **times} for kind, status in READY_KINDS
            ]
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"conditions": conditions}}
            await self.client.create(NODES, node)
            await self.client.create(LEASES, lease(name, format_micro_time(self.here.clock.now())))

    async def kubelets(self) -> None:
        """Bind pods, report those bound as ready, finish deleted ones, renew leases."""
        for name in sorted(self.alive):
            renewed = {"spec": {"renewTime": format_micro_time(self.here.clock.now())}}
            await self.client.patch(LEASES, name, renewed, "kube-node-lease")
        for pod in await self.list(PODS):
            name, namespace = name_of(pod), namespace_of(pod)
            node = dig(pod, "spec", "nodeName")
            if node is None and not is_deleting(pod):
                target = {"apiVersion": "v1", "kind": "Node", "name": sorted(self.alive)[0]}
                binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
                await self.client.create(PODS, binding, namespace, name=name, subresource="binding")
            elif node in self.alive and is_deleting(pod):
                await self.client.delete(PODS, name, namespace, grace_period_s=0)
            elif node in self.alive and not is_condition_true(pod, "Ready"):
                moment = format_time(self.here.clock.now())
                ready = {"type": "Ready", "status": "True", "lastTransitionTime": moment}
                address = f"10.244.0.{next(self.addresses)}"
                status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": [ready]}
                await self.client.patch(PODS, name, {"status": status}, namespace, kind="strategic", subresource="status")

    async def deployment(self) -> Obj:
        return await self.client.get(DEPLOYMENTS, "web", "shop")

    async def rolled_out(self) -> bool:
        found = await self.deployment()
        progressing = condition(found, "Progressing") or {}
        status = found.get("status") or {}
        observed = status.get("observedGeneration") == found["metadata"]["generation"]
        return (
            observed
            and progressing.get("reason") == "NewReplicaSetAvailable"
            and status.get("replicas") == status.get("updatedReplicas")
        )

    async def left(self) -> dict[str, int]:
        kinds = (CONFIG_MAPS, DEPLOYMENTS, ENDPOINTS, ENDPOINT_SLICES, PODS, REPLICA_SETS, SERVICE_ACCOUNTS, SERVICES)
        counts = {resource.plural: len(await self.list(resource, "shop")) for resource in kinds}
        return {plural: count for plural, count in counts.items() if count}


def lease(name: str, moment: str) -> Obj:
    metadata = {"name": name, "namespace": "kube-node-lease"}
    spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": moment}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


@asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    servers: list[World] = []
    lifecycle = NamespaceLifecycle(Lookup(lambda resource: servers[0].server.registry.lister(resource)), VirtualClock())
    async with world(admission=[lifecycle]) as here, asyncio.TaskGroup() as group:
        servers.append(here)
        for name in ("kube-node-lease", "shop"):
            await here.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        recorder = EventRecorder(here.client, "controller-manager", "", here.clock)
        specs = controllers.build("PEM", "10.244.0.0/16")
        metadata = here.client.metadata_only()
        running = group.create_task(runner.run(here.client, specs, here.clock, recorder=recorder, metadata_client=metadata))
        made = Cluster(here)
        await made.add_nodes()
        await made.pass_time()
        yield made
        running.cancel()


def application(replicas: int = 3) -> tuple[Obj, Obj]:
    labels = {"app": "web"}
    container = {"name": "c", "image": "registry/web:1", "ports": [{"name": "http", "containerPort": 8080}]}
    template: dict[str, Any] = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": "http"}]},
    }
    return deployment, service


async def started(c: Cluster, replicas: int = 3) -> None:
    deployment, service = application(replicas)
    await c.client.create(SERVICES, service)
    await c.client.create(DEPLOYMENTS, deployment)
    await c.until("the rollout", c.rolled_out)


def image(text: str) -> Obj:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": text}]}}}}


def test_an_application_rolls_out_updates_and_rolls_back() -> None:
    async def scenario() -> None:
        async with cluster() as c:
            await started(c)
            (slice_,) = await c.list(ENDPOINT_SLICES, "shop")
            assert len(slice_["endpoints"]) == 3 and slice_["ports"][0]["port"] == 8080
            (endpoints,) = await c.list(ENDPOINTS, "shop")
            assert len(endpoints["subsets"][0]["addresses"]) == 3
            (first,) = await c.list(REPLICA_SETS, "shop")
            generation = (await c.deployment())["metadata"]["generation"]
            await c.client.patch(DEPLOYMENTS, "web", image("registry/web:2"), "shop", kind="strategic")
            await c.until("the update", c.rolled_out)
            found = await c.deployment()
            assert annotations_of(found)["deployment.kubernetes.io/revision"] == "2"
            assert found["metadata"]["generation"] == generation + 1
            await c.client.patch(DEPLOYMENTS, "web", image("registry/web:1"), "shop", kind="strategic")
            await c.until("the rollback", c.rolled_out)
            sets = {name_of(rs): rs["spec"]["replicas"] for rs in await c.list(REPLICA_SETS, "shop")}
            assert len(sets) == 2 and sets[name_of(first)] == 3
            await c.pass_time(5)
            reasons = {event["reason"] for event in await c.list(EVENTS, "shop")}
            assert {"ScalingReplicaSet", "SuccessfulCreate", "SuccessfulDelete"} <= reasons

    asyncio.run(scenario())


def test_deleting_takes_along_what_belongs_to_it() -> None:
    async def scenario() -> None:
        async with cluster() as c:
            await started(c)
            await c.client.delete(DEPLOYMENTS, "web", "shop", propagation="Foreground")

            async def workload_gone() -> bool:
                return not {"deployments", "replicasets", "pods"} & (await c.left()).keys()

            await c.until("the foreground deletion", workload_gone)
            await started_again(c)
            before = {name_of(pod) for pod in await c.list(PODS, "shop")}
            await c.client.delete(DEPLOYMENTS, "web", "shop", propagation="Orphan")
            await c.until("the orphaning", lambda: absent(c, DEPLOYMENTS))
            assert {name_of(pod) for pod in await c.list(PODS, "shop")} == before
            await started_again(c)
            assert {name_of(pod) for pod in await c.list(PODS, "shop")} == before
            await c.client.delete(NAMESPACES, "shop")
            await c.until("the namespace's end", lambda: absent(c, NAMESPACES))
            assert await c.left() == {}

    asyncio.run(scenario())


async def started_again(c: Cluster) -> None:
    await c.client.create(DEPLOYMENTS, application()[0])
    await c.until("the rollout", c.rolled_out)


async def absent(c: Cluster, resource: Resource) -> bool:
    return not any(name_of(obj) in ("web", "shop") for obj in await c.list(resource))


def test_a_silent_node_loses_its_pods_to_others() -> None:
    async def scenario() -> None:
        async with cluster() as c:
            cidrs = {name_of(node): node["spec"].get("podCIDR") for node in await c.list(NODES)}
            assert len(set(cidrs.values())) == 3 and None not in cidrs.values()
            await started(c)
            c.alive.discard("n1")

            async def unknown() -> bool:
                return (condition(await c.client.get(NODES, "n1"), "Ready") or {}).get("status") == "Unknown"

            await c.until("the node's being unreachable", unknown)

            async def elsewhere() -> bool:
                running = [pod for pod in await c.list(PODS, "shop") if is_condition_true(pod, "Ready") and not is_deleting(pod)]
                return len(running) == 3 and all(pod["spec"]["nodeName"] == "n2" for pod in running)

            await c.until("the pods' moving", elsewhere, limit_s=400)
            (slice_,) = await c.list(ENDPOINT_SLICES, "shop")
            assert {item["nodeName"] for item in slice_["endpoints"] if item["conditions"]["ready"]} == {"n2"}

            await c.client.delete(NODES, "n1")

            async def none_left() -> bool:
                return all(dig(pod, "spec", "nodeName") != "n1" for pod in await c.list(PODS, "shop"))

            await c.until("the lost pods' collection", none_left)

    asyncio.run(scenario())
