"""The disruption controller: what budgets allow, and marks that grow stale."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.controllers.world import START, World

from steersman.api.resources import DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS, STATEFUL_SETS
from steersman.controllers import disruption
from steersman.machinery.meta import Obj, condition, format_time, owner_reference

LABELS = {"app": "web"}


def world() -> World:
    return World(*disruption.SPECS)


def pods(w: World, count: int, owner: Obj | None = None, *, ready: int | None = None, prefix: str = "p") -> None:
    for number in range(count):
        conditions = [{"type": "Ready", "status": "True" if number < (count if ready is None else ready) else "False"}]
        meta: Obj = {"name": f"{prefix}{number}", "labels": LABELS}
        if owner is not None:
            meta["ownerReferences"] = [owner_reference(owner)]
        w.put(PODS, {"metadata": meta, "spec": {"nodeName": "n"}, "status": {"phase": "Running", "conditions": conditions}})


def budget(w: World, **spec: Any) -> None:
    w.put(POD_DISRUPTION_BUDGETS, {"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": LABELS}, **spec}})
    w.settle()


def status(w: World) -> Obj:
    found = w.get(POD_DISRUPTION_BUDGETS, "default", "web")
    assert found is not None
    return dict(found["status"])


def numbers(w: World) -> tuple[int, int, int, int]:
    found = status(w)
    return found["expectedPods"], found["desiredHealthy"], found["currentHealthy"], found["disruptionsAllowed"]


def reason(w: World) -> tuple[str, str]:
    found = condition(status(w)["conditions"], "DisruptionAllowed")
    assert found is not None
    return found["status"], found["reason"]


CASES: list[tuple[Obj, int, tuple[int, int, int, int]]] = [
    ({"maxUnavailable": 1}, 4, (4, 3, 4, 1)),
    ({"maxUnavailable": 1}, 3, (4, 3, 3, 0)),
    ({"maxUnavailable": "30%"}, 4, (4, 2, 4, 2)),
    ({"maxUnavailable": 9}, 2, (4, 0, 2, 2)),
    ({"minAvailable": 3}, 4, (4, 3, 4, 1)),
    ({"minAvailable": "60%"}, 4, (4, 3, 4, 1)),
    ({"minAvailable": 5}, 4, (4, 5, 4, 0)),
    ({}, 4, (0, 0, 4, 0)),
]


@pytest.mark.parametrize(("spec", "ready", "expected"), CASES)
def test_what_is_allowed(spec: Obj, ready: int, expected: tuple[int, int, int, int]) -> None:
    w = world()
    deployment = w.put(DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": {"replicas": 4}})
    sets = [
        w.put(
            REPLICA_SETS, {"metadata": {"name": name, "ownerReferences": [owner_reference(deployment)]}, "spec": {"replicas": 9}}
        )
        for name in ("old", "new")
    ]
    pods(w, 1, sets[0], ready=min(ready, 1), prefix="old")
    pods(w, 3, sets[1], ready=ready - 1, prefix="new")
    budget(w, **spec)
    assert numbers(w) == expected
    assert reason(w) == (("True", "SufficientPods") if expected[3] else ("False", "InsufficientPods"))
    w.writes.clear()
    w.reconcile(disruption.SPECS[0], ("default", "web"))
    assert w.writes == []


def test_owners_of_all_kinds_add_up_and_pods_without_one_are_told() -> None:
    w = world()
    pods(w, 2, w.put(STATEFUL_SETS, {"metadata": {"name": "db"}, "spec": {"replicas": 2}}), prefix="db-")
    pods(w, 3, w.put(REPLICA_SETS, {"metadata": {"name": "rs"}, "spec": {"replicas": 3}}), prefix="rs-")
    pods(w, 1, prefix="alone")
    budget(w, maxUnavailable=1)
    assert numbers(w) == (5, 4, 6, 2)
    assert "(selector: app=web)" in w.events("UnmanagedPods")[0]


def test_an_owner_without_scale_allows_nothing_and_says_why() -> None:
    w = world()
    pods(w, 1, {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "uid": "1"}})
    budget(w, maxUnavailable=1)
    assert numbers(w) == (0, 0, 0, 0) and reason(w) == ("False", "SyncFailed")
    assert status(w)["conditions"][0]["message"] == "jobs.batch does not implement the scale subresource"


def test_no_pods_is_told() -> None:
    w = world()
    budget(w, minAvailable=1)
    assert set(w.events("NoPods")) == {"No matching pods found"} and numbers(w) == (0, 1, 0, 0)


def test_an_evicted_pod_counts_as_gone_for_two_minutes_and_then_as_staying() -> None:
    w = world()
    pods(w, 3)
    budget(w, minAvailable=1)
    assert numbers(w) == (3, 1, 3, 2)
    evicted = {"p0": format_time(START)}
    w.edit(POD_DISRUPTION_BUDGETS, "web", lambda found: found["status"].update(disruptedPods=evicted, disruptionsAllowed=1))
    w.settle()
    assert numbers(w) == (3, 1, 2, 1) and status(w)["disruptedPods"] == evicted
    w.advance(121)
    w.settle()
    assert numbers(w) == (3, 1, 3, 2) and "disruptedPods" not in status(w)
    assert w.events("NotDeleted") == ["Pod was expected by PDB default/web to be deleted but it wasn't"]


def test_a_mark_that_led_to_nothing_is_taken_back() -> None:
    w = world()
    pods(w, 2)
    for name, why in (("p0", "EvictionByEvictionAPI"), ("p1", "TerminationByKubelet")):
        mark = {"type": "DisruptionTarget", "status": "True", "reason": why, "lastTransitionTime": format_time(START)}
        pod = w.get(PODS, "default", name) or {}
        w.put(PODS, {**pod, "status": {"phase": "Running", "conditions": [mark]}})
    w.settle()
    w.now += timedelta(seconds=119)
    w.tick()
    w.settle()
    assert w.writes == []
    w.advance(1)
    w.settle()
    marks = [(condition(pod, "DisruptionTarget") or {})["status"] for pod in w.list(PODS)]
    assert marks == ["False", "True"]
