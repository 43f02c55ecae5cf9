"""A kubelet that watches its node: who ends, what the pod and the Node show, and who is still taken in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from steersman.machinery.meta import Obj, condition

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World


def watching(world: World, **configuration: Any) -> None:
    """From the start, with these thresholds and no others."""
    settings = {**world.config.configuration, "evictionHard": {}, **configuration}
    world.config = replace(world.config, watch_resources=True, configuration=settings)


def play(world: World, scenario: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with world.kubelet():
            await scenario()

    asyncio.run(whole())


def start(world: World, name: str, priority: int = 0, **spec: Any) -> None:
    plain = {"name": "app", "image": "busybox:1", "imagePullPolicy": "IfNotPresent"}
    world.api.put("pods", {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", "generation": 1},
        "spec": {"nodeName": "n1", "restartPolicy": "Always", "priority": priority, "containers": [plain], **spec},
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    })  # fmt: skip


def shown(world: World, name: str) -> Obj:
    found: Obj = world.api.pod(name)["status"]
    return found


def in_phase(world: World, name: str, phase: str) -> Callable[[], bool]:
    return lambda: shown(world, name).get("phase") == phase


def test_a_pod_over_the_limit_of_its_volume_ends(world: World) -> None:
    async def scenario() -> None:
        start(world, "web", volumes=[{"name": "data", "emptyDir": {"sizeLimit": "1Mi"}}])
        await world.until(in_phase(world, "web", "Running"))
        folder = world.config.pod_dir("uid-web") / "volumes" / "kubernetes.io~empty-dir" / "data"
        (folder / "file").write_bytes(bytes(2 << 20))
        await world.until(in_phase(world, "web", "Failed"))
        found = shown(world, "web")
        text = 'Usage of EmptyDir volume "data" exceeds the limit "1Mi". '
        assert (found["reason"], found["message"]) == ("Evicted", text)
        assert f"Evicted: {text}" in world.api.events()
        assert "stop app 2" in world.runtime.log, "the shortest time there is"

    watching(world)
    play(world, scenario)


def test_under_pressure_the_least_important_end_first_and_new_ones_are_refused(world: World) -> None:
    async def scenario() -> None:
        start(world, "critical", priority=2_000_000_000)
        await world.until(in_phase(world, "critical", "Running"))
        found = condition(world.api.objects["nodes"]["", "n1"], "MemoryPressure") or {}
        assert (found["status"], found["reason"]) == ("True", "KubeletHasInsufficientMemory")
        start(world, "late")
        await world.until(in_phase(world, "late", "Failed"))
        status = shown(world, "late")
        assert status["reason"] == "Evicted"
        assert status["message"] == "Pod was rejected: The node had condition: [MemoryPressure]. "
        assert in_phase(world, "critical", "Running")()
        assert "EvictionThresholdMet: Attempting to reclaim memory" in world.api.events()
        assert "NodeHasInsufficientMemory: Node n1 status is now: NodeHasInsufficientMemory" in world.api.events()

    watching(world, evictionHard={"memory.available": "99.99%"})
    play(world, scenario)


def test_soft_thresholds_end_one_pod_after_the_other(world: World) -> None:
    async def scenario() -> None:
        names = ("middle", "low", "high")
        for name, priority in zip(names, (5, -5, 500), strict=True):
            # The condition shows at once, so they must tolerate it to be taken in.
            start(world, name, priority, tolerations=[{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}])
        await world.until(lambda: all(in_phase(world, name, "Running")() for name in names))

        await world.until(lambda: all(in_phase(world, name, "Failed")() for name in names))
        stopped = [line.split()[-1] for line in world.runtime.log if line.startswith("stop sandbox")]
        assert [world.runtime.sandboxes[key].name for key in stopped] == ["low", "middle", "high"]
        disrupted = condition(shown(world, "low")["conditions"], "DisruptionTarget") or {}
        assert disrupted["reason"] == "TerminationByKubelet"
        assert disrupted["message"].startswith("The node was low on resource: memory. Threshold quantity: ")

    watching(
        world, evictionSoft={"memory.available": "99.99%"}, evictionSoftGracePeriod={"memory.available": "30s"},
        evictionMaxPodGracePeriod=7,
    )  # fmt: skip
    play(world, scenario)
