"""A runtime that does not answer, is not ready, or has no network: what the Node says, and what becomes of pods meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from steersman.cri.interface import RuntimeFault
from steersman.cri.messages import EventKind, SandboxConfig, SandboxState
from steersman.kubelet.kit import NodeFacts
from steersman.kubelet.runtimehealth import RuntimeHealth
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import condition

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World

_CALLS = ("status", "list_pod_sandboxes", "list_containers", "version", "run_pod_sandbox", "stop_container")
_LIMIT_S = 10.0


class Silence:
    """Between `begin()` and `end()` no call is answered: each takes its limit, as on a socket nobody reads from."""

    def __init__(self, world: World) -> None:
        self._world, self._calls = world, 0
        runtime: Any = world.runtime
        self._over = asyncio.Event()
        self._over.set()
        for name in _CALLS:
            setattr(runtime, name, self._wrapped(getattr(runtime, name)))

    def _wrapped(self, call: Any) -> Any:
        async def wrapped(*args: Any, **more: Any) -> Any:
            if not self._over.is_set():
                await self._world.clock.sleep(_LIMIT_S)
                raise RuntimeFault(f"the container runtime at /x did not answer {call.__name__} within {_LIMIT_S:g} s")
            return await call(*args, **more)

        return wrapped

    def begin(self) -> None:
        self._over.clear()

    def end(self) -> None:
        self._over.set()


def ready(world: World) -> tuple[str, str]:
    """Status and message of the node's condition."""
    found = condition(world.api.objects["nodes"]["", "n1"], "Ready")
    assert found is not None
    return found["status"], found["message"]


def test_a_runtime_that_hangs_makes_the_node_not_ready_and_harms_no_pod(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        silence = Silence(world)
        async with world.kubelet():
            world.create()
            await world.until(lambda: world.api.pod()["status"]["phase"] == "Running")
            await world.until(lambda: ready(world)[0] == "True")
            caplog.clear()
            begun_s = world.clock.monotonic()
            silence.begin()
            await world.until(lambda: ready(world) == ("False", "container runtime is down"))
            # Thirty seconds after its last answer, which was up to five before, and then up to ten for a report.
            assert 24 <= world.clock.monotonic() - begun_s <= 42
            await world.settle()
            assert "NodeNotReady: Node n1 status is now: NodeNotReady" in world.api.events()
            begun_s = world.clock.monotonic()
            await world.until(lambda: world.clock.monotonic() - begun_s > 240, limit_s=300)
            text = "PLEG is not healthy: pleg was last seen active "
            assert ready(world)[1].startswith(f"[container runtime is down, {text}")
            assert ready(world)[1].endswith(" ago; threshold is 3m0s]")
            lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
            assert len([line for line in lines if line.startswith("container runtime does not answer")]) == 1
            assert len(lines) <= 4, lines

            begun_s = world.clock.monotonic()
            silence.end()
            await world.until(lambda: ready(world)[0] == "True")
            assert world.clock.monotonic() - begun_s <= _LIMIT_S + 5 + 1
            world.runtime.exit("app", 1)
            await world.until(lambda: world.api.pod()["status"]["containerStatuses"][0]["restartCount"] == 1)
            assert not any(line.startswith("stop ") for line in world.runtime.log)

    asyncio.run(scenario())


def test_a_pod_that_comes_while_the_runtime_is_down_starts_when_it_is_back(world: World) -> None:
    async def scenario() -> None:
        silence = Silence(world)
        async with world.kubelet():
            silence.begin()
            await world.until(lambda: ready(world)[0] == "False")
            world.create()
            before = len(world.api.events())
            begun_s = world.clock.monotonic()
            await world.until(lambda: world.clock.monotonic() - begun_s > 60)
            assert len(world.api.events()) == before, "nothing is tried that cannot go well"
            silence.end()
            await world.until(lambda: world.api.pod()["status"]["phase"] == "Running", limit_s=20)

    asyncio.run(scenario())


def test_without_a_network_the_node_and_its_pods_say_so_in_upstream_s_words(world: World) -> None:
    async def scenario() -> None:
        runtime: Any = world.runtime
        fault = "Network plugin returns error: cni plugin not initialized"

        async def status() -> tuple[str, str]:
            return "", fault

        async with world.kubelet():
            working, runtime.status = runtime.status, status
            told = f"container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:{fault}"
            await world.until(lambda: ready(world) == ("False", told))
            world.create()
            await world.until(lambda: f"NetworkNotReady: network is not ready: {told}" in world.api.events())
            world.api.put("pods", {**world.api.pod(), "metadata": {**world.api.pod()["metadata"], "name": "host", "uid": "u2"}})
            runtime.status = working
            await world.until(lambda: world.api.pod()["status"]["phase"] == "Running" and ready(world)[0] == "True")

    asyncio.run(scenario())


def test_a_restarted_kubelet_does_not_call_its_node_unready_for_want_of_what_it_can_know(world: World) -> None:
    async def scenario() -> None:
        async with world.kubelet():
            await world.until(lambda: ready(world)[0] == "True")
        world.runtime.pod_cidr = ""
        before = len(world.api.events())
        async with world.kubelet():
            await world.settle()
            assert world.runtime.pod_cidr and "NodeNotReady" not in "".join(world.api.events()[before:])

    asyncio.run(scenario())


def test_what_a_failed_sandbox_leaves_brings_no_next_attempt_before_its_time_and_is_removed(world: World) -> None:
    """containerd keeps a sandbox whose network can neither be made nor unmade: hundreds of attempts followed each other."""

    async def scenario() -> None:
        runtime: Any = world.runtime
        working, attempts, broken = runtime.run_pod_sandbox, [], True

        async def failing(config: SandboxConfig) -> str:
            made: str = await working(config)
            if broken:
                attempts.append(world.clock.monotonic())
                runtime.sandboxes[made] = replace(runtime.sandboxes[made], state=SandboxState.NOT_READY)
                world.runtime._tell(EventKind.STOPPED, made, config.uid)
                raise RuntimeFault("failed to setup network for sandbox")
            return made

        runtime.run_pod_sandbox = failing
        async with world.kubelet():
            world.create()
            await world.until(lambda: len(attempts) == 4)
            pauses = [after - before for before, after in itertools.pairwise(attempts)]
            assert all(10 <= pause <= 15.2 for pause in pauses), pauses
            assert len(world.runtime.sandboxes) <= 2
            assert (
                "FailedCreatePodSandBox: Failed to create pod sandbox: failed to setup network for sandbox" in world.api.events()
            )
            broken = False
            await world.until(lambda: world.api.pod()["status"]["phase"] == "Running", limit_s=16)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("idle_s", "runtime_fault", "network_fault", "told"),
    [
        (0, "", "", []),
        (179, "", "", []),
        (185.4, "", "", ["PLEG is not healthy: pleg was last seen active 3m5s ago; threshold is 3m0s"]),
        (0, "no crun", "", ["container runtime not ready: RuntimeReady=false reason:RuntimeNotReady message:no crun"]),
        (
            0, "a", "b",
            [
                "container runtime not ready: RuntimeReady=false reason:RuntimeNotReady message:a",
                "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:b",
            ],
        ),
    ],
)  # fmt: skip
def test_problems_are_told_as_upstream_tells_them(
    world: World, idle_s: float, runtime_fault: str, network_fault: str, told: list[str]
) -> None:
    async def scenario() -> None:
        runtime: Any = world.runtime

        async def status() -> tuple[str, str]:
            return runtime_fault, network_fault

        runtime.status = status
        health = RuntimeHealth(runtime, NodeFacts(), VirtualClock(), lambda: idle_s)
        assert health.problems()[0] == "container runtime status check may not have completed yet"
        await health.check()
        assert health.problems() == told

    asyncio.run(scenario())


def test_trouble_that_comes_back_after_somebody_else_has_found_it_over_is_told() -> None:
    """The kubelet's start asks as well, and the node's network is there before the first beat: the next beat saw no change."""
    network = [""]

    class Runtime:
        async def status(self) -> tuple[str, str]:
            return "", network[0]

    async def scenario() -> None:
        clock, told = VirtualClock(), list[float]()
        runtime: Any = Runtime()
        health = RuntimeHealth(runtime, NodeFacts(), clock)
        network[0] = "no pod range yet"
        await health.check()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(health.run(5, lambda: told.append(clock.monotonic())))
            await clock.advance(1)
            network[0] = ""
            await health.check()
            network[0] = "the bridge is gone"
            await clock.advance(5)
            running.cancel()
        assert told == [5]

    asyncio.run(scenario())
