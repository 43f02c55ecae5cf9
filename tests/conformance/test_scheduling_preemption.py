"""[sig-scheduling] SchedulerPreemption: who has to leave for whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from tests.conformance.objects import SLEEP, controller, named, pod
from tests.conformance.space import Space, eventually
from tests.conformance.test_scheduling import unschedulable

from steersman.api.resources import NODES, PODS, PRIORITY_CLASSES, REPLICA_SETS
from steersman.machinery.errors import Invalid, NotFound
from steersman.machinery.meta import Obj, condition, dig, is_deleting, labels_of, name_of

pytestmark = pytest.mark.root

PREEMPTION = "[sig-scheduling] SchedulerPreemption [Serial]"
THING = "conformance.example/preempted"


@contextmanager
def classes(space: Space, **values: int) -> Iterator[None]:
    """PriorityClasses; names are the cluster's, so they carry the namespace's."""
    try:
        for name, value in values.items():
            space.api.create(
                PRIORITY_CLASSES,
                {
                    "apiVersion": PRIORITY_CLASSES.api_version,
                    "kind": "PriorityClass",
                    "metadata": {"name": f"{space.name}-{name}"},
                    "value": value,
                },
            )
        yield
    finally:
        for name in values:
            space.api.delete(PRIORITY_CLASSES, f"{space.name}-{name}")


@contextmanager
def things(space: Space, amount: int) -> Iterator[None]:
    """The node has so many of an extended resource. Its kubelet says that they are all there to be had."""

    def is_offered() -> bool:
        status = space.api.get(NODES, "node-1")["status"]
        return bool(status["allocatable"].get(THING) == status["capacity"].get(THING))

    def advertise(value: str | None) -> None:
        space.api.patch(NODES, "node-1", {"status": {"capacity": {THING: value}}}, subresource="status")
        eventually(is_offered)

    advertise(str(amount))
    try:
        yield
    finally:
        advertise(None)


def wants(amount: int) -> Obj:
    return {"resources": {"requests": {THING: str(amount)}, "limits": {THING: str(amount)}}}


def asking(space: Space, name: str, amount: int, priority: str, **fields: Any) -> Obj:
    """A pod of that class."""
    made = pod(SLEEP, name=name, labels={"name": name}, spec={"priorityClassName": priority}, **wants(amount))
    made["metadata"] |= fields
    return made


def bound(it: Obj) -> bool:
    return bool(dig(it, "spec", "nodeName"))


@pytest.mark.conformance(f"{PREEMPTION} validates basic preemption works [Conformance]")
def test_the_lowest_priority_has_to_leave(space: Space) -> None:
    with classes(space, low=1, medium=100, high=1000), things(space, 4):
        for name, kind in (("low", "low"), ("medium", "medium")):
            space.create(PODS, asking(space, name, 2, f"{space.name}-{kind}"))
            space.until(PODS, name, bound)
        space.create(PODS, asking(space, "high", 2, f"{space.name}-high"))
        space.until(PODS, "high", bound)
        space.gone(PODS, "low")
        assert not is_deleting(space.get(PODS, "medium"))


@pytest.mark.conformance(f"{PREEMPTION} validates lower priority pod preemption by critical pod [Conformance]")
def test_a_critical_pod_makes_others_leave(space: Space) -> None:
    with classes(space, low=1, medium=100), things(space, 4):
        for name, kind in (("low", "low"), ("medium", "medium")):
            space.create(PODS, asking(space, name, 2, f"{space.name}-{kind}"))
            space.until(PODS, name, bound)
        # Elsewhere such pods need a quota that lets them in.
        critical = Space(space.cluster, space.api, "kube-system")
        critical.create(PODS, asking(space, space.name, 2, "system-cluster-critical"))
        try:
            found = critical.until(PODS, space.name, bound)
            assert found["spec"]["priority"] == 2_000_000_000
            space.gone(PODS, "low")
            assert not is_deleting(space.get(PODS, "medium"))
        finally:
            critical.delete(PODS, space.name, grace_period_s=0)


@pytest.mark.conformance(f"{PREEMPTION} validates pod disruption condition is added to the preempted pod [Conformance]")
def test_a_preempted_pod_says_why_it_left(space: Space) -> None:
    with classes(space, low=1, high=1000), things(space, 1):
        space.create(PODS, asking(space, "victim", 1, f"{space.name}-low", finalizers=["example.com/test-finalizer"]))
        space.until(PODS, "victim", bound)
        space.create(PODS, asking(space, "preemptor", 1, f"{space.name}-high"))
        victim = space.until(PODS, "victim", is_deleting)
        why = condition(victim, "DisruptionTarget") or {}
        assert (why["status"], why["reason"]) == ("True", "PreemptionByScheduler")
        space.patch(PODS, "victim", {"metadata": {"finalizers": None}})
        space.gone(PODS, "victim")
        space.until(PODS, "preemptor", bound)


@pytest.mark.conformance(f"{PREEMPTION} PreemptionExecutionPath runs ReplicaSets to verify preemption running path [Conformance]")
def test_no_more_pods_are_preempted_than_must(space: Space) -> None:
    with classes(space, p1=1, p2=2, p3=3, p4=4), things(space, 1000), space.watching(PODS) as watching:
        for name, amount in (("pod1", 200), ("pod2", 300), ("pod3", 450)):
            made = controller(name, **wants(amount))
            made["spec"]["template"]["spec"]["priorityClassName"] = f"{space.name}-p{name[-1]}"
            space.create(REPLICA_SETS, made)
            space.until(REPLICA_SETS, name, lambda it: it["status"].get("availableReplicas") == 1)
        space.create(PODS, asking(space, "pod4", 500, f"{space.name}-p4"))
        space.until(PODS, "pod4", bound)
        # Those that came after the victims find no room and preempt nobody.
        for name in ("pod1", "pod2"):
            (left,) = eventually(partial(_staying, space, name))
            unschedulable(space, name_of(left), f"Insufficient {THING}")
        space.create(PODS, named("end", spec=pod(SLEEP)["spec"]))
        seen: Counter[str] = Counter()
        while (event := watching.next()).object["metadata"]["name"] != "end":
            seen[labels_of(event.object).get("app", "")] += event.type == "ADDED"
        assert seen == {"pod1": 2, "pod2": 2, "pod3": 1, "": 1}


@pytest.mark.conformance(
    f"{PREEMPTION} PriorityClass endpoints verify PriorityClass endpoints can be operated with different HTTP methods "
    "[Conformance]"
)
def test_the_value_of_a_priority_class_stays(space: Space) -> None:
    api, names = space.api, [f"{space.name}-p{number}" for number in (1, 2)]
    with classes(space, p1=1, p2=2):
        for name in names:
            with pytest.raises(Invalid, match="may not be changed in an update"):
                api.patch(PRIORITY_CLASSES, name, {"value": 10}, kind="strategic")
            changed = {**api.get(PRIORITY_CLASSES, name), "value": 10}
            with pytest.raises(Invalid, match="may not be changed in an update"):
                api.update(PRIORITY_CLASSES, changed)
        api.patch(PRIORITY_CLASSES, names[0], {"description": "updated description"}, kind="strategic")
        api.update(PRIORITY_CLASSES, {**api.get(PRIORITY_CLASSES, names[1]), "description": "updated description"})
        found = [it for it in api.list(PRIORITY_CLASSES)["items"] if name_of(it) in names]
        assert [(it["value"], it["description"]) for it in found] == [(1, "updated description"), (2, "updated description")]
    with pytest.raises(NotFound):
        api.get(PRIORITY_CLASSES, names[0])


def _staying(space: Space, name: str) -> list[Obj]:
    return [it for it in space.list(PODS, f"app={name}") if not is_deleting(it)]
