"""The scheduler against our API server, in process: real bindings, conditions and events, in virtual time."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from tests.fakes.server import World, world

from steersman.api.resources import EVENTS, NAMESPACES, NODES, PODS
from steersman.machinery.meta import Obj, condition, dig, is_deleting
from steersman.scheduler import run as scheduler


def node(name: str, cpu: str = "2") -> Obj:
    allocatable = {"cpu": cpu, "memory": "8Gi", "pods": "10"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "status": {"allocatable": allocatable, "capacity": allocatable},
    }


def pod(name: str, cpu: str = "1", **spec: Any) -> Obj:
    container = {"name": "c", "image": "app", "resources": {"requests": {"cpu": cpu}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [container], **spec},
    }


async def make_node(here: World, made: Obj) -> None:
    created = await here.client.create(NODES, made)
    # The API server takes status only through its subresource.
    await here.client.update(NODES, {**created, "status": made["status"]}, subresource="status")


async def settle(here: World, seconds: float = 0.1) -> None:
    await here.clock.advance(seconds, settle_turns=400)


def test_pods_are_bound_told_and_bound_again_when_room_is_made() -> None:
    async def scenario() -> None:
        async with world() as here, asyncio.TaskGroup() as group:
            running = group.create_task(scheduler.run(here.client, here.clock, rng=random.Random(1)))
            await make_node(here, node("n1"))
            for name in ("a", "b", "late"):
                await here.client.create(PODS, pod(name))
                await settle(here)
            bound = await here.client.get(PODS, "a", "default")
            assert dig(bound, "spec", "nodeName") == "n1"
            assert (condition(bound, "PodScheduled") or {})["status"] == "True"
            waiting = condition(await here.client.get(PODS, "late", "default"), "PodScheduled") or {}
            message = "0/1 nodes are available: 1 Insufficient cpu."
            assert (waiting["reason"], waiting["message"].partition(" no new claims to deallocate, preemption: ")[0]) == (
                "Unschedulable",
                message,
            )

            await here.client.delete(PODS, "a", "default", grace_period_s=0)
            await settle(here)
            assert dig(await here.client.get(PODS, "late", "default"), "spec", "nodeName") == "n1"

            events = (await here.client.list(EVENTS, "default"))["items"]
            reasons = {(event["involvedObject"]["name"], event["reason"]) for event in events}
            assert {("a", "Scheduled"), ("late", "FailedScheduling"), ("late", "Scheduled")} <= reasons
            running.cancel()

    asyncio.run(scenario())


def test_a_scheduler_that_starts_anew_counts_what_is_there() -> None:
    async def scenario() -> None:
        async with world() as here:
            await make_node(here, node("n1"))
            for name in ("a", "b"):
                async with asyncio.TaskGroup() as group:
                    running = group.create_task(scheduler.run(here.client, here.clock, rng=random.Random(1)))
                    await here.client.create(PODS, pod(name, cpu="1500m"))
                    await settle(here)
                    running.cancel()
            assert dig(await here.client.get(PODS, "a", "default"), "spec", "nodeName") == "n1"
            assert dig(await here.client.get(PODS, "b", "default"), "spec", "nodeName") is None

    asyncio.run(scenario())


def test_a_pod_of_higher_priority_takes_the_place_of_others_once_they_have_ended() -> None:
    async def scenario() -> None:
        async with world() as here, asyncio.TaskGroup() as group:
            running = group.create_task(scheduler.run(here.client, here.clock, rng=random.Random(1)))
            await make_node(here, node("n1"))
            await here.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
            for name in ("a", "b"):
                await here.client.create(PODS, pod(name))
                await settle(here)
            created = await here.client.create(PODS, pod("urgent", priority=100))
            await settle(here)

            ending = await here.client.list(PODS, "default", field_selector="spec.nodeName=n1")
            victims = [item for item in ending["items"] if is_deleting(item)]
            assert len(victims) == 1, "one is enough"
            mark = condition(victims[0], "DisruptionTarget") or {}
            assert (mark["status"], mark["reason"]) == ("True", "PreemptionByScheduler")
            urgent = await here.client.get(PODS, "urgent", "default")
            told = condition(urgent, "PodScheduled") or {}
            assert dig(urgent, "status", "nominatedNodeName") == "n1"
            assert told["message"] == "0/1 nodes are available: 1 Insufficient cpu."

            # Others of lower priority must not take the place that will be free.
            await here.client.create(PODS, pod("late"))
            await here.client.delete(PODS, victims[0]["metadata"]["name"], "default", grace_period_s=0)
            await settle(here, 2)
            assert dig(await here.client.get(PODS, "urgent", "default"), "spec", "nodeName") == "n1"
            assert dig(await here.client.get(PODS, "late", "default"), "spec", "nodeName") is None
            events = (await here.client.list(EVENTS, "default"))["items"]
            texts = [event["message"] for event in events if event["reason"] == "Preempted"]
            assert texts == [f"Preempted by pod {created['metadata']['uid']} on node n1"]
            running.cancel()

    asyncio.run(scenario())
