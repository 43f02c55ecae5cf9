"""A kubelet with fakes around it: pods from creation to the end."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from steersman.cri.messages import ContainerState
from steersman.machinery.meta import Obj, condition

if TYPE_CHECKING:
    from tests.unit.kubelet.conftest import World


def phase(world: World) -> str:
    return str(world.api.pod()["status"]["phase"])


def state(world: World, index: int = 0, kind: str = "containerStatuses") -> Obj:
    found: Obj = world.api.pod()["status"][kind][index]
    return found


def test_a_pod_comes_up_without_any_time_passing(world: World) -> None:
    async def scenario() -> None:
        async with world.kubelet():
            world.create()
            before = world.clock.monotonic()
            await world.until(lambda: phase(world) == "Running")
            assert world.clock.monotonic() == before
            status = world.api.pod()["status"]
            assert status["podIP"].startswith("10.244.0.")
            assert status["hostIPs"] == [{"ip": "192.168.0.5"}]
            assert status["containerStatuses"][0]["ready"] is True
            ready = condition(status["conditions"], "Ready")
            assert ready is not None and ready["status"] == "True"
            await world.settle()
            reasons = [line.partition(":")[0] for line in world.api.events()]
            assert reasons[-3:] == ["Pulled", "Created", "Started"]

    asyncio.run(scenario())


def test_a_deleted_pod_is_stopped_then_removed_from_the_api_then_from_the_node(world: World) -> None:
    async def scenario() -> None:
        async with world.kubelet():
            world.create()
            await world.until(lambda: phase(world) == "Running")
            world.delete(grace_s=5)
            await world.until(lambda: ("default", "web") not in world.api.objects["pods"])
            await world.until(lambda: not world.runtime.sandboxes)
            assert "stop app 5" in world.runtime.log
            assert not world.config.pod_dir("u1").exists()
            assert "Killing: Stopping container app" in world.api.events()

    asyncio.run(scenario())


def test_a_container_that_a_killed_kubelet_made_and_did_not_start_counts_as_no_run(world: World) -> None:
    async def scenario() -> None:
        async with world.kubelet():
            world.create()
            await world.until(lambda: phase(world) == "Running")
        made = world.runtime.named("app")
        world.runtime.containers[made.id] = replace(made, state=ContainerState.CREATED, started_at=None)
        # Nobody was shown it, either.
        world.api.put("pods", {**world.api.pod("web"), "status": {"phase": "Pending"}})
        async with world.kubelet():
            await world.until(lambda: made.id not in world.runtime.containers and bool(world.runtime.containers))
            await world.until(lambda: phase(world) == "Running")
            assert state(world)["restartCount"] == 0

    asyncio.run(scenario())


def node_ready(world: World) -> str:
    ready = condition(world.api.objects["nodes"]["", world.config.node_name], "Ready")
    return str(ready and ready["status"])


def test_a_node_that_was_given_up_objects_as_soon_as_it_hears_of_it(world: World) -> None:
    """It used to look at its own last report only, saw nothing new in it, and stayed NotReady for five minutes."""

    async def scenario() -> None:
        async with world.kubelet():
            await world.until(lambda: node_ready(world) == "True")
            node = copy.deepcopy(world.api.objects["nodes"]["", world.config.node_name])
            for item in node["status"]["conditions"]:
                item.update(status="Unknown", reason="NodeStatusUnknown")
            world.api.put("nodes", node)
            assert node_ready(world) == "Unknown"
            before = world.clock.monotonic()
            await world.until(lambda: node_ready(world) == "True")
            assert world.clock.monotonic() - before <= 11

    asyncio.run(scenario())


def test_news_that_overtakes_the_answer_to_a_report_is_believed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is the older of the two; taken as the newest it hid that the node was given up."""

    async def scenario() -> None:
        async with world.kubelet():
            await world.until(lambda: node_ready(world) == "True")
            given_up = copy.deepcopy(world.api.objects["nodes"]["", world.config.node_name])
            for item in given_up["status"]["conditions"]:
                item.update(status="Unknown", reason="NodeStatusUnknown")
            patch, overtaken = world.api.patch, asyncio.Event()

            async def slow(*args: Any, **named: Any) -> Obj:
                answer = copy.deepcopy(await patch(*args, **named))
                monkeypatch.undo()
                world.api.put("nodes", given_up)
                await world.settle()
                overtaken.set()
                return answer

            monkeypatch.setattr(world.api, "patch", slow)
            world.api.put("nodes", given_up)
            await world.until(overtaken.is_set)
            await world.until(lambda: node_ready(world) == "True", limit_s=11)

    asyncio.run(scenario())


def test_what_an_administrator_adds_to_the_capacity_becomes_allocatable_at_once(world: World) -> None:
    thing = "example.com/thing"

    def offered() -> object:
        return world.api.objects["nodes"]["", world.config.node_name]["status"]["allocatable"].get(thing)

    def advertise(amount: str | None) -> None:
        node = copy.deepcopy(world.api.objects["nodes"]["", world.config.node_name])
        node["status"]["capacity"].pop(thing, None)
        if amount is not None:
            node["status"]["capacity"][thing] = amount
        world.api.put("nodes", node)

    async def scenario() -> None:
        async with world.kubelet():
            await world.until(lambda: node_ready(world) == "True")
            before = world.clock.monotonic()
            for amount in ("5", "7", None, "5"):
                advertise(amount)
                await world.until(lambda: offered() == amount)  # noqa: B023
            assert world.clock.monotonic() == before

    asyncio.run(scenario())


@pytest.mark.parametrize("again", [True, False])
def test_a_node_that_is_deleted_comes_back_or_stays_away_as_configured(world: World, again: bool) -> None:
    async def scenario() -> None:
        world.config = replace(world.config, register_again=again)
        async with world.kubelet():
            await world.until(lambda: node_ready(world) == "True")
            world.api.drop("nodes", "", world.config.node_name)
            begin = world.clock.monotonic()
            await world.until(lambda: world.clock.monotonic() > begin + 25)
            assert (("", world.config.node_name) in world.api.objects["nodes"]) is again

    asyncio.run(scenario())
