"""The running scheduler on a fake API: bindings, assumed pods, failures told and tried again, events that wake pods."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.fakes.client import FakeClient

from steersman.api.resources import NODES, PODS
from steersman.client.events import EventRecorder
from steersman.machinery.clock import VirtualClock
from steersman.machinery.errors import Conflict
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, condition
from steersman.scheduler.profiles import default_profile
from steersman.scheduler.run import BINDERS, Scheduler


class Api(FakeClient):
    """Binds as the API server does: the binding sets spec.nodeName."""

    async def create(self, resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = "") -> Obj:
        if subresource == "binding" and self.failures.get("binding"):
            await self._turn("binding")
        answer = await super().create(resource, obj, namespace, name=name, subresource=subresource)
        if subresource == "binding":
            bound = self._found(PODS, namespace, name)
            assert obj["metadata"]["uid"] == bound["metadata"]["uid"]
            self.put(PODS, {**bound, "spec": {**bound["spec"], "nodeName": obj["target"]["name"]}})
        return answer

    def where(self, name: str) -> str:
        found: str = self.tables[("", "pods")].objects[("x", name)]["spec"].get("nodeName", "")
        return found

    def told(self, name: str) -> Obj:
        return condition(self.tables[("", "pods")].objects[("x", name)], "PodScheduled") or {}

    def events(self) -> list[tuple[str, str]]:
        table = self.tables.get(("", "events"))
        return [(event["reason"], event["message"]) for event in table.objects.values()] if table else []


def pod(name: str, cpu: str = "1", **spec: Any) -> Obj:
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
    return {
        "metadata": {"name": name, "namespace": "x", "generation": 1},
        "spec": {"schedulerName": "default-scheduler", "containers": [container], **spec},
    }


def node(name: str, cpu: str = "2", **spec: Any) -> Obj:
    allocatable = {"cpu": cpu, "memory": "8Gi", "pods": "10"}
    return {"metadata": {"name": name}, "spec": spec, "status": {"allocatable": allocatable}}


def run(api: Api, scenario: Callable[[VirtualClock], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = VirtualClock()
        recorder = EventRecorder(api, "default-scheduler", "", clock)
        scheduler = Scheduler(api, clock, default_profile(), recorder, random.Random(1))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(scheduler.run())
            await clock.advance(0.01)
            await scenario(clock)
            task.cancel()

    asyncio.run(main())


def test_pods_are_bound_and_an_event_says_where() -> None:
    api = Api()
    api.put(NODES, node("n1"))
    api.put(PODS, pod("a"))

    async def scenario(clock: VirtualClock) -> None:
        api.put(PODS, pod("b"))
        api.put(PODS, pod("stranger", schedulerName="other"))
        await clock.advance(0.01)
        assert (api.where("a"), api.where("b"), api.where("stranger")) == ("n1", "n1", "")
        assert ("Scheduled", "Successfully assigned x/a to n1") in api.events()

    run(api, scenario)


def test_a_pod_that_fits_nowhere_is_told_why_and_bound_when_room_is_made() -> None:
    api = Api()
    api.put(NODES, node("n1"))
    api.put(PODS, pod("big", cpu="2"))

    async def scenario(clock: VirtualClock) -> None:
        assert api.where("big") == "n1"
        api.put(PODS, pod("late"))
        await clock.advance(0.01)
        message = (
            "0/1 nodes are available: 1 Insufficient cpu. "
            "no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
        )
        assert {key: api.told("late")[key] for key in ("status", "reason", "message", "observedGeneration")} == {
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "observedGeneration": 1,
        }
        assert ("FailedScheduling", message) in api.events()
        writes = len(api.calls)
        await clock.advance(200)
        assert len(api.calls) == writes, "a pod that waits costs nothing"
        api.drop(PODS, "x", "big")
        await clock.advance(0.01)
        assert api.where("late") == "n1"

    run(api, scenario)


def test_a_pod_waits_for_the_first_node_without_back_off() -> None:
    api = Api()
    api.put(PODS, pod("a"))

    async def scenario(clock: VirtualClock) -> None:
        assert api.told("a")["message"] == "no nodes available to schedule pods"
        api.put(NODES, node("n1"))
        await clock.advance(0.01)
        assert api.where("a") == "n1"

    run(api, scenario)


def test_a_failed_binding_gives_the_room_back_and_is_tried_again() -> None:
    api = Api()
    api.put(NODES, node("n1", cpu="1"))
    api.fail_next("create", Conflict("pod is already assigned"))
    api.put(PODS, pod("a"))

    async def scenario(clock: VirtualClock) -> None:
        assert (api.where("a"), api.told("a")["reason"]) == ("", "SchedulerError")
        await clock.advance(2)
        assert api.where("a") == "n1"

    run(api, scenario)


class LossyApi(Api):
    """Makes bindings, but its answer never arrives."""

    async def create(self, resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = "") -> Obj:
        answer = await super().create(resource, obj, namespace, name=name, subresource=subresource)
        if subresource == "binding":
            for _ in range(5):
                await asyncio.sleep(0)  # noqa: TID251
            raise ConnectionError("the connection broke")
        return answer


def test_a_binding_whose_answer_was_lost_keeps_its_room() -> None:
    api = LossyApi()
    api.put(NODES, node("n1", cpu="1"))
    api.put(PODS, pod("a"))

    async def scenario(clock: VirtualClock) -> None:
        await clock.advance(30)
        assert api.where("a") == "n1"
        api.put(PODS, pod("b"))
        await clock.advance(30)
        assert api.where("b") == ""

    run(api, scenario)


def test_decisions_do_not_wait_for_bindings_but_count_them() -> None:
    api = Api()
    api.put(NODES, node("n1"))
    api.put(NODES, node("n2"))
    for number in range(6):
        api.put(PODS, pod(f"p{number}"))

    async def scenario(clock: VirtualClock) -> None:
        bound = sorted(api.where(f"p{number}") for number in range(6))
        assert bound == ["", "", "n1", "n1", "n2", "n2"]

    run(api, scenario)


def test_pods_of_lower_priority_make_room_are_told_why_and_the_place_is_kept() -> None:
    api = Api()
    api.put(NODES, node("n1"))
    api.put(PODS, pod("low", cpu="2"))

    async def scenario(clock: VirtualClock) -> None:
        assert api.where("low") == "n1"
        api.put(PODS, pod("high", priority=10))
        await clock.advance(0.01)
        assert ("x", "low") not in api.tables[("", "pods")].objects
        marks = [body["status"]["conditions"][0] for call, body in zip(api.calls, api.bodies, strict=True) if call[2] == "low"
                 and call[1] == "pods/status"]  # fmt: skip
        assert [(mark["type"], mark["reason"], mark["message"]) for mark in marks] == [
            (
                "DisruptionTarget",
                "PreemptionByScheduler",
                "default-scheduler: preempting to accommodate a higher priority pod",
            )
        ]
        uid = api.tables[("", "pods")].objects[("x", "high")]["metadata"]["uid"]
        assert ("Preempted", f"Preempted by pod {uid} on node n1") in api.events()
        assert api.where("high") == "n1"

    run(api, scenario)


def test_a_failed_eviction_does_not_leave_the_preemptor_waiting() -> None:
    api = Api()
    api.put(NODES, node("n1"))
    api.put(PODS, pod("low", cpu="2"))

    async def scenario(clock: VirtualClock) -> None:
        api.fail_next("delete", ConnectionError("the connection broke"))
        api.put(PODS, pod("high", priority=10))
        await clock.advance(5)
        assert api.where("high") == "n1"

    run(api, scenario)


class SlowApi(Api):
    """Bindings are not answered until `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def create(self, resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = "") -> Obj:
        if subresource == "binding":
            await self.go.wait()
        return await super().create(resource, obj, namespace, name=name, subresource=subresource)


def test_a_victim_whose_binding_was_not_sent_yet_is_just_not_bound() -> None:
    api = SlowApi()
    api.put(NODES, {**node("n1"), "status": {"allocatable": {"cpu": "2", "memory": "8Gi", "pods": "100"}}})
    for number in range(BINDERS):
        api.put(PODS, pod(f"filler{number}", cpu="0", priority=20))

    async def scenario(clock: VirtualClock) -> None:
        api.put(PODS, pod("low", cpu="2"))
        await clock.advance(0.01)
        api.put(PODS, pod("high", cpu="2", priority=10))
        await clock.advance(0.01)
        api.go.set()
        await clock.advance(5)
        assert (api.where("high"), api.where("low"), api.where("filler0")) == ("n1", "", "n1")
        assert not [call for call in api.calls if call[0] == "delete"]

    run(api, scenario)


def test_a_displaced_pod_that_has_a_new_place_is_not_bound_to_the_old_one() -> None:
    api = SlowApi()
    api.put(NODES, {**node("n1"), "status": {"allocatable": {"cpu": "2", "memory": "8Gi", "pods": "100"}}})
    for number in range(BINDERS):
        api.put(PODS, pod(f"filler{number}", cpu="0", priority=20))

    async def scenario(clock: VirtualClock) -> None:
        api.put(PODS, pod("low", cpu="2"))
        await clock.advance(0.01)
        api.put(PODS, pod("high", cpu="2", priority=10))
        await clock.advance(0.01)
        api.put(NODES, node("n2"))
        await clock.advance(5)
        api.go.set()
        await clock.advance(1)
        assert (api.where("high"), api.where("low")) == ("n1", "n2")

    run(api, scenario)


@pytest.mark.parametrize("verb", ["binding", "patch", "delete"])
def test_an_answer_that_makes_no_sense_costs_a_try_and_not_the_scheduler(verb: str, caplog: pytest.LogCaptureFixture) -> None:
    api = Api()
    api.put(NODES, node("n1"))
    api.put(PODS, pod("low", cpu="2"))

    async def scenario(clock: VirtualClock) -> None:
        await clock.advance(3)
        api.fail_next(verb, ValueError("a proxy's page"))
        # Fits nowhere (patch), takes the other's place (delete), gets a node (binding).
        api.put(PODS, pod("large", cpu="20"))
        api.put(PODS, pod("high", cpu="2", priority=10))
        await clock.advance(60)
        assert api.where("high") == "n1"
        assert not api.failures[verb]

    with caplog.at_level(logging.ERROR):
        run(api, scenario)
    assert "a proxy's page" in caplog.text


def test_an_uncordoned_node_wakes_the_pods_it_kept_away() -> None:
    api = Api()
    api.put(NODES, node("n1", unschedulable=True))
    api.put(PODS, pod("a"))

    async def scenario(clock: VirtualClock) -> None:
        assert api.told("a")["message"] == (
            "0/1 nodes are available: 1 node(s) were unschedulable. "
            "no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        )
        api.put(NODES, node("n1"))
        await clock.advance(0.01)
        assert api.where("a") == "n1"

    run(api, scenario)
