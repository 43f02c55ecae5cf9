"""Pods that are resized in place: accepted, put off, carried out, failed, and remembered over a restart of the kubelet."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from steersman.cri.interface import RuntimeFault
from steersman.machinery.meta import Obj, condition

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World

CAPACITY = {"cpu": "4", "memory": "8Gi", "pods": "110"}
MIB = 1 << 20


def amounts(cpu: str, memory: str) -> Obj:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu, "memory": memory}}


def app(resources: Obj, **more: list[Obj]) -> Obj:
    return {"name": "app", "image": "busybox:1", "imagePullPolicy": "IfNotPresent", "resources": resources, **more}


def shown(world: World, name: str = "web") -> Obj:
    found: Obj = world.api.pod(name)["status"]
    return found


def in_force(world: World, name: str = "web") -> Obj:
    found: Obj = shown(world, name)["containerStatuses"][0]["resources"]
    return found


def says(world: World, kind: str, name: str = "web") -> Obj | None:
    return condition(shown(world, name).get("conditions"), kind)


def start(world: World, name: str, resources: Obj, **more: list[Obj]) -> None:
    found = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", "generation": 1},
        "spec": {"nodeName": "n1", "restartPolicy": "Always", "containers": [app(resources, **more)]},
        "status": {"phase": "Pending"},
    }  # fmt: skip
    world.api.put("pods", found)


def resize(world: World, resources: Obj, name: str = "web") -> None:
    """What the API server does on a patch of pods/resize."""
    found = copy.deepcopy(world.api.pod(name))
    found["spec"]["containers"][0]["resources"] = resources
    found["metadata"]["generation"] += 1
    world.api.put("pods", found)


def running(world: World, name: str = "web") -> Callable[[], bool]:
    return lambda: shown(world, name).get("phase") == "Running"


@pytest.fixture
def node(world: World) -> World:
    world.config = replace(world.config, capacity=CAPACITY, eviction_hard_memory="0")
    return world


def play(world: World, scenario: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with world.kubelet():
            await scenario()

    asyncio.run(whole())


def test_a_resize_changes_the_running_container_and_not_its_life(node: World) -> None:
    async def scenario() -> None:
        start(node, "web", amounts("1", "100Mi"))
        await node.until(running(node))
        before = node.runtime.named("app").id
        resize(node, amounts("2", "200Mi"))
        await node.until(lambda: in_force(node) == amounts("2", "200Mi"))
        entry = shown(node)["containerStatuses"][0]
        assert entry["restartCount"] == 0 and node.runtime.named("app").id == before
        assert entry["allocatedResources"] == {"cpu": "2", "memory": "200Mi"}
        told = node.runtime.configs[before].resources
        assert (told.cpu_shares, told.cpu_quota, told.memory_limit) == (2048, 200_000, 200 * MIB)
        assert shown(node)["observedGeneration"] == 2
        await node.until(lambda: says(node, "PodResizeInProgress") is None)
        said = [text for text in node.api.events() if text.startswith("Resize")]
        body = '{"containers":[{"name":"app","resources":' + str(amounts("2", "200Mi")).replace("'", '"').replace(" ", "")
        assert said == [f"ResizeStarted: Pod resize started: {body}}}],\"generation\":2}}",
                        f"ResizeCompleted: Pod resize completed: {body}}}],\"generation\":2}}"]  # fmt: skip

    play(node, scenario)


def test_a_container_without_limits_follows_those_of_its_pod(node: World) -> None:
    async def scenario() -> None:
        start(node, "web", {})
        found = copy.deepcopy(node.api.pod("web"))
        found["spec"]["resources"] = amounts("1", "100Mi")
        node.api.put("pods", found)
        await node.until(running(node))
        again = copy.deepcopy(node.api.pod("web"))
        again["spec"]["resources"] = amounts("2", "200Mi")
        again["metadata"]["generation"] += 1
        node.api.put("pods", again)
        await node.until(lambda: any(text.startswith("ResizeCompleted") for text in node.api.events()))
        told = node.runtime.configs[node.runtime.named("app").id].resources
        assert (told.cpu_quota, told.memory_limit) == (200_000, 200 * MIB)

    play(node, scenario)


def test_a_container_whose_policy_says_so_is_restarted(node: World) -> None:
    async def scenario() -> None:
        policy = [{"resourceName": "cpu", "restartPolicy": "NotRequired"}]
        policy += [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
        start(node, "web", amounts("1", "100Mi"), resizePolicy=policy)
        await node.until(running(node))
        resize(node, amounts("2", "100Mi"))
        await node.until(lambda: in_force(node) == amounts("2", "100Mi"))
        assert shown(node)["containerStatuses"][0]["restartCount"] == 0
        resize(node, amounts("2", "200Mi"))
        await node.until(lambda: shown(node)["containerStatuses"][0]["restartCount"] == 1 and running(node)())
        await node.until(lambda: in_force(node) == amounts("2", "200Mi") and says(node, "PodResizeInProgress") is None)
        assert "Killing: Container app resize requires restart" in node.api.events()

    play(node, scenario)


def test_what_does_not_fit_is_deferred_until_there_is_room(node: World) -> None:
    async def scenario() -> None:
        start(node, "web", amounts("1", "100Mi"))
        start(node, "other", amounts("2", "100Mi"))
        await node.until(lambda: running(node)() and running(node, "other")())
        resize(node, amounts("3", "100Mi"))
        await node.until(lambda: says(node, "PodResizePending") is not None)
        found = says(node, "PodResizePending") or {}
        assert (found["status"], found["reason"], found["observedGeneration"]) == ("True", "Deferred", 2)
        assert found["message"] == "Node didn't have enough resource: cpu, requested: 3000, used: 2000, capacity: 4000"
        assert in_force(node) == amounts("1", "100Mi")
        assert shown(node)["containerStatuses"][0]["allocatedResources"]["cpu"] == "1"
        resize(node, amounts("1", "100Mi"), "other")
        await node.until(lambda: in_force(node) == amounts("3", "100Mi") and says(node, "PodResizePending") is None)
        assert any(text.startswith("ResizeDeferred: Pod resize deferred: ") for text in node.api.events())

    play(node, scenario)


def test_a_resize_that_is_taken_back_is_no_longer_pending(node: World) -> None:
    async def scenario() -> None:
        start(node, "web", amounts("1", "100Mi"))
        await node.until(running(node))
        resize(node, amounts("5", "100Mi"))
        await node.until(lambda: says(node, "PodResizePending") is not None)
        resize(node, amounts("1000m", "100Mi"))
        await node.until(lambda: says(node, "PodResizePending") is None)
        assert "update app" not in node.runtime.log

    play(node, scenario)


def test_guaranteed_pods_beside_a_static_cpu_manager_are_never_resized(node: World) -> None:
    async def scenario() -> None:
        start(node, "web", amounts("1", "100Mi"))
        await node.until(running(node))
        resize(node, amounts("2", "100Mi"))
        await node.until(lambda: says(node, "PodResizePending") is not None)
        found = says(node, "PodResizePending") or {}
        assert found["reason"] == "Infeasible"
        assert found["message"] == "Resize is infeasible for Guaranteed Pods alongside CPU Manager static policy"

    node.config = replace(node.config, configuration={**node.config.configuration, "cpuManagerPolicy": "static"})
    play(node, scenario)


def test_memory_is_not_taken_from_under_a_container(node: World) -> None:
    async def scenario() -> None:
        start(node, "web", amounts("1", "200Mi"))
        await node.until(running(node))
        node.runtime.memory_usage = 150 * MIB
        resize(node, amounts("1", "100Mi"))
        await node.until(lambda: (says(node, "PodResizeInProgress") or {}).get("reason") == "Error")
        assert (says(node, "PodResizeInProgress") or {})["message"] == (
            f'cannot decrease memory limits: attempting to set container "app" memory limit ({100 * MIB}) '
            f"below current usage ({150 * MIB})"
        )
        assert in_force(node) == amounts("1", "200Mi")
        node.runtime.memory_usage = 50 * MIB
        await node.until(lambda: in_force(node) == amounts("1", "100Mi") and says(node, "PodResizeInProgress") is None)

    play(node, scenario)


def test_what_the_runtime_refuses_is_tried_again(node: World) -> None:
    async def scenario() -> None:
        start(node, "web", amounts("1", "100Mi"))
        await node.until(running(node))
        node.runtime.refuse["update app"] = RuntimeFault("no such cgroup")
        resize(node, amounts("2", "100Mi"))
        await node.until(lambda: (says(node, "PodResizeInProgress") or {}).get("message") == "no such cgroup")
        assert len([text for text in node.api.events() if text.startswith("ResizeError")]) == 1
        node.runtime.refuse.clear()
        await node.until(lambda: in_force(node) == amounts("2", "100Mi"))

    play(node, scenario)


def test_a_restarted_kubelet_knows_what_it_had_allocated(node: World) -> None:
    async def whole() -> None:
        async with node.kubelet():
            start(node, "web", amounts("1", "100Mi"))
            start(node, "other", amounts("2", "100Mi"))
            await node.until(lambda: running(node)() and running(node, "other")())
        resize(node, amounts("3", "100Mi"))
        async with node.kubelet():
            await node.until(lambda: says(node, "PodResizePending") is not None)
            assert in_force(node) == amounts("1", "100Mi")
            node.runtime.refuse["update app"] = RuntimeFault("not now")
            resize(node, amounts("2", "100Mi"))
            await node.until(lambda: (says(node, "PodResizeInProgress") or {}).get("reason") == "Error")
        node.runtime.refuse.clear()
        async with node.kubelet():
            await node.until(lambda: in_force(node) == amounts("2", "100Mi"))
            assert "update app" in node.runtime.log

    asyncio.run(whole())
