"""Evictions and disruption budgets: what is allowed is spent once, what is not is refused in upstream's words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.fakes.server import World, pod, world

from steersman.api.resources import POD_DISRUPTION_BUDGETS, PODS
from steersman.machinery.errors import TooManyRequests
from steersman.machinery.meta import Obj, condition, is_condition_true

LABELS = {"app": "web"}


def run(scenario: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        async with world() as w:
            await scenario(w)

    asyncio.run(main())


async def running(w: World, name: str, *, ready: bool = True, phase: str = "Running") -> None:
    """A pod that holds on when it is deleted."""
    body = pod(name, labels=LABELS, finalizers=["example.com/hold"])
    await w.client.create(PODS, body)
    status = {"phase": phase, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    await w.client.patch(PODS, name, {"status": status}, "default", subresource="status")


async def budget(w: World, allowed: int, *, observed: int = 1, name: str = "web", policy: str = "", **status: Any) -> None:
    spec: Obj = {"minAvailable": 2, "selector": {"matchLabels": LABELS}}
    if policy:
        spec["unhealthyPodEvictionPolicy"] = policy
    metadata = {"name": name, "namespace": "default"}
    made = await w.client.create(
        POD_DISRUPTION_BUDGETS, {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}
    )
    numbers = {"currentHealthy": 2 + allowed, "desiredHealthy": 2, "expectedPods": 3, "disruptionsAllowed": allowed}
    made["status"] = {**numbers, "observedGeneration": observed, **status}
    await w.client.update(POD_DISRUPTION_BUDGETS, made, subresource="status")


async def evict(w: World, name: str, query: str = "") -> Obj:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}}
    return await w.obj("POST", f"/api/v1/namespaces/default/pods/{name}/eviction{query}", body)


def test_an_allowed_disruption_is_spent_once() -> None:
    async def scenario(w: World) -> None:
        for name in ("a", "b"):
            await running(w, name)
        await budget(w, 1)
        assert (await evict(w, "a", "?dryRun=All"))["status"] == "Success"
        answers = await asyncio.gather(evict(w, "a"), evict(w, "b"))
        assert sorted(answer["status"] for answer in answers) == ["Failure", "Success"]
        refused = next(answer for answer in answers if answer["status"] == "Failure")
        assert (refused["code"], refused["reason"]) == (429, "TooManyRequests")
        assert refused["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
        text = "The disruption budget web needs 2 healthy pods and has 3 currently"
        assert refused["details"]["causes"] == [{"reason": "DisruptionBudget", "message": text}]
        found = await w.client.get(POD_DISRUPTION_BUDGETS, "web", "default")
        assert found["status"]["disruptionsAllowed"] == 0 and len(found["status"]["disruptedPods"]) == 1
        gone = [item for item in (await w.client.list(PODS, "default"))["items"] if item["metadata"].get("deletionTimestamp")]
        (mark,) = [condition(item, "DisruptionTarget") for item in gone]
        assert mark is not None and mark["reason"] == "EvictionByEvictionAPI"

    run(scenario)


def test_a_budget_not_counted_yet_asks_for_another_try() -> None:
    async def scenario(w: World) -> None:
        await running(w, "a")
        await budget(w, 5, observed=0)
        answer = await evict(w, "a")
        assert answer["code"] == 429 and answer["details"]["retryAfterSeconds"] == 10
        assert answer["details"]["causes"][0]["message"] == "The disruption budget web is still being processed by the server."
        with pytest.raises(TooManyRequests):
            body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a", "namespace": "default"}}
            await w.client.create(PODS, body, "default", name="a", subresource="eviction")
        assert not is_condition_true(await w.client.get(PODS, "a", "default"), "DisruptionTarget")

    run(scenario)


def test_two_budgets_for_a_pod_are_refused() -> None:
    async def scenario(w: World) -> None:
        await running(w, "a")
        await budget(w, 1)
        await budget(w, 1, name="other")
        answer = await evict(w, "a")
        text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        assert (answer["code"], answer["message"]) == (500, text)

    run(scenario)


UNREADY = [("", 2, True), ("IfHealthyBudget", 2, True), ("IfHealthyBudget", 1, False), ("AlwaysAllow", 1, True)]


@pytest.mark.parametrize(("policy", "healthy", "goes"), UNREADY)
def test_an_unready_pod_goes_when_the_budget_is_met_without_it_or_does_not_care(policy: str, healthy: int, goes: bool) -> None:
    async def scenario(w: World) -> None:
        await running(w, "a", ready=False)
        await budget(w, 0, policy=policy, currentHealthy=healthy)
        assert ((await evict(w, "a"))["status"] == "Success") == goes

    run(scenario)


@pytest.mark.parametrize("phase", ["Pending", "Succeeded", "Failed"])
def test_pods_that_do_no_work_are_not_guarded(phase: str) -> None:
    async def scenario(w: World) -> None:
        await running(w, "a", phase=phase)
        await budget(w, 0)
        assert (await evict(w, "a"))["status"] == "Success"

    run(scenario)


def test_a_budget_that_could_not_be_counted_says_why() -> None:
    async def scenario(w: World) -> None:
        await running(w, "a")
        why = {"type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed", "message": "no scale"}
        await budget(w, 0, conditions=[{**why, "lastTransitionTime": "2026-01-01T00:00:00Z"}])
        cause = (await evict(w, "a"))["details"]["causes"][0]["message"]
        assert cause == "The disruption budget web does not allow evicting pods currently because it failed sync: no scale"

    run(scenario)
