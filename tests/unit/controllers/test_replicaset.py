"""The replicaset controller: counts, choice of victims, adoption, status, events."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.unit.controllers.world import START, World

from steersman.api.resources import PODS, REPLICA_SETS, REPLICATION_CONTROLLERS
from steersman.controllers import replicaset
from steersman.loop.spec import Action, Create, Delete
from steersman.machinery.errors import Forbidden, NotFound
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, format_time, name_of, owner_reference

LABELS = {"app": "web"}
COST = {"controller.kubernetes.io/pod-deletion-cost": "-1"}


def world() -> World:
    return World(*replicaset.SPECS)


def replica_set(replicas: int, **spec: object) -> Obj:
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    return {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template, **spec},
    }


def pod(
    name: str, owner: Obj | None = None, *, node: str = "n1", phase: str = "Running", ready: bool = True, **extra: object
) -> Obj:
    meta: Obj = {"name": name, "namespace": "default", "labels": LABELS, **extra}
    if owner is not None:
        meta["ownerReferences"] = [owner_reference(owner)]
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": format_time(START)}] if ready else []
    return {"metadata": meta, "spec": {"nodeName": node} if node else {}, "status": {"phase": phase, "conditions": conditions}}


def status_of(w: World, resource: Resource = REPLICA_SETS) -> Obj:
    found = w.get(resource, "default", "web")
    assert found is not None
    return {key: value for key, value in found["status"].items() if key != "conditions"}


def test_missing_pods_are_created_with_labels_owner_and_one_status_write() -> None:
    w = world()
    owner = w.put(REPLICA_SETS, replica_set(3))
    w.settle()
    pods = w.list(PODS)
    assert len(pods) == 3
    assert all(p["metadata"]["labels"] == LABELS for p in pods)
    assert pods[0]["metadata"]["ownerReferences"] == [owner_reference(owner)]
    assert name_of(pods[0]).startswith("web-")
    assert status_of(w) == {"replicas": 3, "fullyLabeledReplicas": 3, "observedGeneration": 1, "terminatingReplicas": 0}
    assert w.events("SuccessfulCreate") == [f"Created pod: {name_of(p)}" for p in pods]
    assert len(w.writes) == 4


def test_a_settled_replica_set_writes_nothing() -> None:
    w = world()
    w.put(REPLICA_SETS, replica_set(2))
    w.settle()
    w.writes.clear()
    assert w.reconcile(replicaset.SPECS[0], ("default", "web")) == []


def test_replication_controllers_use_the_same_code_without_the_terminating_count() -> None:
    w = world()
    w.put(REPLICATION_CONTROLLERS, {**replica_set(2), "spec": {**replica_set(2)["spec"], "selector": LABELS}})
    w.settle()
    assert len(w.list(PODS)) == 2
    assert status_of(w, REPLICATION_CONTROLLERS) == {"replicas": 2, "fullyLabeledReplicas": 2, "observedGeneration": 1}


def test_a_turn_creates_at_most_the_burst() -> None:
    w = world()
    w.put(REPLICA_SETS, replica_set(700))
    w.reconcile(replicaset.SPECS[0], ("default", "web"))
    assert len(w.list(PODS)) == 500
    w.settle()
    assert len(w.list(PODS)) == 700


VICTIMS: list[tuple[str, list[Obj], list[str]]] = [
    ("unassigned before assigned", [pod("a"), pod("b", node="")], ["b"]),
    ("pending before running", [pod("a"), pod("b", phase="Pending")], ["b"]),
    ("unready before ready", [pod("a"), pod("b", ready=False)], ["b"]),
    ("cheaper before dearer", [pod("a"), pod("b", annotations=COST)], ["b"]),
    ("the crowded node first", [pod("a", node="n2"), pod("b"), pod("c")], ["b"]),
    ("assignment before cost", [pod("a", annotations=COST), pod("b", node="")], ["b"]),
    ("the newer before the much older", [
        pod("a", creationTimestamp=format_time(START - timedelta(days=9))),
        pod("b", creationTimestamp=format_time(START - timedelta(seconds=9))),
    ], ["b"]),
    ("of about the same age the lower uid", [
        pod("a", creationTimestamp=format_time(START - timedelta(seconds=100)), uid="9"),
        pod("b", creationTimestamp=format_time(START - timedelta(seconds=110)), uid="1"),
    ], ["b"]),
]  # fmt: skip


@pytest.mark.parametrize(("why", "pods", "gone"), VICTIMS, ids=[case[0] for case in VICTIMS])
def test_scaling_down_chooses(why: str, pods: list[Obj], gone: list[str]) -> None:
    w = world()
    w.grace = lambda _: False
    owner = w.put(REPLICA_SETS, replica_set(len(pods) - 1))
    for item in pods:
        item["metadata"]["ownerReferences"] = [owner_reference(owner)]
        w.put(PODS, item)
    w.settle()
    left = {name_of(item) for item in w.list(PODS)}
    assert [name_of(item) for item in pods if name_of(item) not in left] == gone
    assert w.events("SuccessfulDelete") == [f"Deleted pod: {name}" for name in gone]


def test_terminating_pods_are_replaced_at_once_and_counted_apart() -> None:
    w = world()
    owner = w.put(REPLICA_SETS, replica_set(1))
    w.put(PODS, pod("a", owner, deletionTimestamp=format_time(START), deletionGracePeriodSeconds=30))
    w.settle()
    assert len(w.list(PODS)) == 2
    assert status_of(w)["terminatingReplicas"] == 1 and status_of(w)["replicas"] == 1


def test_orphans_are_adopted_after_reading_the_owner_again_and_strangers_are_released() -> None:
    w = world()
    owner = w.put(REPLICA_SETS, replica_set(2))
    w.put(PODS, pod("orphan"))
    stranger = pod("stranger", owner)
    stranger["metadata"]["labels"] = {"app": "other"}
    w.put(PODS, stranger)
    w.settle()
    refs = {name_of(p): p["metadata"].get("ownerReferences") for p in w.list(PODS)}
    assert refs["orphan"] == [owner_reference(owner)]
    assert refs["stranger"] == []
    assert len(w.list(PODS)) == 3


def test_no_adoption_when_the_fresh_owner_is_being_deleted() -> None:
    w = world()
    w.put(REPLICA_SETS, replica_set(1))
    w.put(PODS, pod("orphan"))
    decision = replicaset.SPECS[0].reconcile(w, ("default", "web"), START)
    w.edit(REPLICA_SETS, "web", lambda rs: rs["metadata"].update(deletionTimestamp=format_time(START), finalizers=["x/y"]))
    assert decision.then is not None
    assert list(decision.then(w._perform(decision)).actions) == []


def test_a_failed_creation_stops_the_batch_sets_replica_failure_and_success_clears_it() -> None:
    w = world()
    w.put(REPLICA_SETS, replica_set(3))

    def fault(action: Action) -> Exception | None:
        return Forbidden.of("", "pods", "", "exceeded quota") if isinstance(action, Create) and w.list(PODS) else None

    w.fault = fault
    w.settle()
    (message,) = set(w.events("FailedCreate"))
    assert message.startswith("Error creating: ") and message.endswith("forbidden: exceeded quota")
    assert len(w.list(PODS)) == 1
    found = w.get(REPLICA_SETS, "default", "web")
    assert found is not None
    failure = found["status"]["conditions"][0]
    assert (failure["type"], failure["status"], failure["reason"]) == ("ReplicaFailure", "True", "FailedCreate")
    w.fault = lambda _: None
    w.advance(2)
    w.settle()
    found = w.get(REPLICA_SETS, "default", "web")
    assert found is not None and "conditions" not in found["status"] and found["status"]["replicas"] == 3


def test_a_terminating_namespace_makes_no_events() -> None:
    w = world()
    w.put(REPLICA_SETS, replica_set(1))
    cause = {"reason": "NamespaceTerminating", "message": "", "field": "metadata.namespace"}
    w.fault = lambda action: Forbidden.of("", "pods", "x", "because", causes=[cause]) if isinstance(action, Create) else None
    w.settle()
    assert w.emitted == []


def test_availability_waits_for_min_ready_seconds_and_comes_back_in_time() -> None:
    w = world()
    owner = w.put(REPLICA_SETS, replica_set(1, minReadySeconds=10))
    w.put(PODS, pod("a", owner))
    w.now = START + timedelta(seconds=4)
    w.settle()
    assert "availableReplicas" not in status_of(w) and status_of(w)["readyReplicas"] == 1
    w.advance(6)
    w.settle()
    assert status_of(w)["availableReplicas"] == 1


def test_a_pod_that_was_gone_already_counts_as_deleted() -> None:
    w = world()
    owner = w.put(REPLICA_SETS, replica_set(0))
    w.put(PODS, pod("a", owner))
    w.fault = lambda action: NotFound.of("", "pods", "a") if isinstance(action, Delete) else None
    w.reconcile(replicaset.SPECS[0], ("default", "web"))
    assert w.events("FailedDelete") == [] and "conditions" not in status_of(w)
