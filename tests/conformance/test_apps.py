"""[sig-apps] Deployment, ReplicaSet, ReplicationController; [sig-api-machinery] Garbage collector: who makes, owns, ends pods.

What a StatefulSet has in common with these is here as well, the rest in test_apps_statefulsets.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.conformance.objects import SLEEP, controller, pod, replication_controller
from tests.conformance.space import Space, condition, eventually

from steersman.api.resources import DEPLOYMENTS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, dig, name_of, uid_of

pytestmark = pytest.mark.root

IDLE: dict[str, Any] = {"image": "conformance.example/never:1", "imagePullPolicy": "Never"}
"""A container that never starts: enough where only objects count."""


def ready(count: int) -> Callable[[Obj], bool]:
    return lambda it: dig(it, "status", "readyReplicas", default=0) == count


def available(count: int) -> Callable[[Obj], bool]:
    return lambda it: (
        dig(it, "status", "availableReplicas", default=0) == count
        and dig(it, "status", "replicas", default=0) == count
        and dig(it, "status", "observedGeneration") == it["metadata"]["generation"]
    )


def owner(obj: Obj) -> str:
    """The uid of what controls it; empty if nothing does."""
    return next((ref["uid"] for ref in obj["metadata"].get("ownerReferences") or () if ref.get("controller")), "")


WORKLOADS = {
    "Deployment": (DEPLOYMENTS, controller),
    "ReplicaSet": (REPLICA_SETS, controller),
    "ReplicationController": (REPLICATION_CONTROLLERS, replication_controller),
    "StatefulSet": (STATEFUL_SETS, controller),
}


STATEFUL_SET = "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should"


def each(**codenames: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("resource", "make"),
        [pytest.param(*WORKLOADS[kind], id=kind, marks=pytest.mark.conformance(name)) for kind, name in codenames.items()],
    )


@each(
    Deployment="[sig-apps] Deployment Deployment should have a working scale subresource [Conformance]",
    ReplicaSet="[sig-apps] ReplicaSet Replicaset should have a working scale subresource [Conformance]",
    ReplicationController="[sig-apps] ReplicationController should get and update a ReplicationController scale [Conformance]",
    StatefulSet=f"{STATEFUL_SET} have a working scale subresource [Conformance]",
)
def test_the_scale_subresource(space: Space, resource: Resource, make: Callable[..., Obj]) -> None:
    space.create(resource, make("w"))
    space.until(resource, "w", ready(1))
    scale = space.get(resource, "w", subresource="scale")
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert scale["spec"]["replicas"] == 1 and scale["status"] == {"replicas": 1, "selector": "app=w"}
    scale["metadata"]["resourceVersion"] = ""
    scale["spec"]["replicas"] = 2
    assert space.update(resource, scale, subresource="scale")["spec"]["replicas"] == 2
    space.until(resource, "w", ready(2))
    space.patch(resource, "w", {"spec": {"replicas": 4}}, subresource="scale")
    assert space.get(resource, "w")["spec"]["replicas"] == 4
    space.until(resource, "w", ready(4))


@each(
    ReplicaSet="[sig-apps] ReplicaSet should serve a basic image on each replica with a public image [Conformance]",
    ReplicationController=(
        "[sig-apps] ReplicationController should serve a basic image on each replica with a public image [Conformance]"
    ),
)
def test_each_replica_answers(space: Space, resource: Resource, make: Callable[..., Obj]) -> None:
    space.create(resource, make("w", 2, ""))
    space.until(resource, "w", ready(2))
    for each_pod in space.list(PODS, "app=w"):
        url = f"http://{each_pod['status']['podIP']}:8080"
        eventually(partial(_says, space, url, f"from {name_of(each_pod)},"))


def _says(space: Space, url: str, text: str) -> bool:
    return text in space.cluster.curl(url)


@each(
    ReplicaSet=("[sig-apps] ReplicaSet should adopt matching pods on creation and release no longer matching pods [Conformance]"),
    ReplicationController="[sig-apps] ReplicationController should adopt matching pods on creation [Conformance]",
)
def test_an_orphan_that_matches_is_adopted(space: Space, resource: Resource, make: Callable[..., Obj]) -> None:
    space.running(pod(SLEEP, name="orphan", labels={"app": "w"}, spec={"restartPolicy": "Always"}))
    made = space.create(resource, make("w"))
    space.until(PODS, "orphan", lambda it: owner(it) == uid_of(made))
    space.until(resource, "w", ready(1))
    assert [name_of(it) for it in space.list(PODS)] == ["orphan"]


@each(
    ReplicaSet=("[sig-apps] ReplicaSet should adopt matching pods on creation and release no longer matching pods [Conformance]"),
    ReplicationController="[sig-apps] ReplicationController should release no longer matching pods [Conformance]",
)
def test_a_pod_that_no_longer_matches_is_released(space: Space, resource: Resource, make: Callable[..., Obj]) -> None:
    made = space.create(resource, make("w"))
    (first,) = eventually(lambda: space.list(PODS, "app=w"))
    space.patch(PODS, name_of(first), {"metadata": {"labels": {"app": "not-matching"}}})
    space.until(PODS, name_of(first), lambda it: owner(it) == "")
    (second,) = eventually(lambda: space.list(PODS, "app=w"))
    assert owner(second) == uid_of(made) and uid_of(second) != uid_of(first)


@each(
    Deployment="[sig-apps] Deployment should validate Deployment Status endpoints [Conformance]",
    ReplicaSet="[sig-apps] ReplicaSet should validate Replicaset Status endpoints [Conformance]",
    StatefulSet=f"{STATEFUL_SET} validate Statefulset Status endpoints [Conformance]",
)
def test_the_status_subresource(space: Space, resource: Resource, make: Callable[..., Obj]) -> None:
    space.create(resource, make("w"))
    space.until(resource, "w", ready(1))

    def update() -> Obj:
        found = space.get(resource, "w", subresource="status")
        found["status"]["conditions"] = [{"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set"}]
        return space.update(resource, found, subresource="status")

    assert condition(eventually(update), "StatusUpdate") == "True"
    assert condition(space.get(resource, "w"), "StatusUpdate") == "True"
    change = {"status": {"conditions": [{"type": "StatusPatched", "status": "True"}]}}
    assert condition(space.patch(resource, "w", change, subresource="status"), "StatusPatched") == "True"


@each(
    Deployment="[sig-apps] Deployment should run the lifecycle of a Deployment [Conformance]",
    ReplicaSet="[sig-apps] ReplicaSet Replace and Patch tests [Conformance]",
    ReplicationController="[sig-apps] ReplicationController should test the lifecycle of a ReplicationController [Conformance]",
    StatefulSet=f"{STATEFUL_SET} list, patch and delete a collection of StatefulSets [Conformance]",
)
def test_the_life_of_a_workload(space: Space, resource: Resource, make: Callable[..., Obj]) -> None:
    with space.watching(resource, label_selector="app=w") as watching:
        space.create(resource, make("w"))
        assert watching.next().type == "ADDED"
        space.until(resource, "w", ready(1))
        template = {"metadata": {"labels": {"patched": "yes"}}, "spec": {"terminationGracePeriodSeconds": 1}}
        change = {"metadata": {"labels": {"patched": "yes"}}, "spec": {"replicas": 2, "template": template}}
        space.patch(resource, "w", change, kind="strategic")
        found = space.until(resource, "w", ready(2))
        assert found["metadata"]["labels"] == {"app": "w", "patched": "yes"}
        assert found["spec"]["template"]["metadata"]["labels"] == {"app": "w", "patched": "yes"}

        def replace() -> Obj:
            current = space.get(resource, "w")
            current["spec"]["replicas"] = 1
            return space.update(resource, current)

        eventually(replace)
        space.until(resource, "w", ready(1))
        assert any(it["metadata"]["name"] == "w" for it in space.api.list(resource, label_selector="patched=yes")["items"])
        space.delete_collection(resource, "app=w")
        watching.until("DELETED")
    if resource is REPLICATION_CONTROLLERS:
        # By their age they leave their pods unless they are told otherwise.
        eventually(lambda: [owner(it) for it in space.list(PODS)] == [""])
    else:
        eventually(lambda: space.list(PODS) == [])


@pytest.mark.conformance("[sig-apps] ReplicaSet should list and delete a collection of ReplicaSets [Conformance]")
def test_replica_sets_are_deleted_together(space: Space) -> None:
    for name in ("a", "b"):
        made = controller(name, 1, **IDLE)
        made["metadata"]["labels"] = {"e2e": "yes"}
        space.create(REPLICA_SETS, made)
    assert len(space.list(REPLICA_SETS, "e2e=yes")) == 2
    space.delete_collection(REPLICA_SETS, "e2e=yes")
    assert space.list(REPLICA_SETS, "e2e=yes") == []


def change_template(space: Space, name: str, value: str) -> None:
    change = {"spec": {"template": {"metadata": {"annotations": {"version": value}}}}}
    space.patch(DEPLOYMENTS, name, change)


def replica_sets(space: Space) -> list[Obj]:
    """Oldest revision first."""
    return sorted(
        space.list(REPLICA_SETS), key=lambda it: int(it["metadata"]["annotations"]["deployment.kubernetes.io/revision"])
    )


@pytest.mark.conformance("[sig-apps] Deployment RollingUpdateDeployment should delete old pods and create new ones [Conformance]")
def test_a_rolling_update_replaces_even_adopted_pods(space: Space) -> None:
    made = controller("w")
    made["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "3546343826724305832"}
    old = space.create(REPLICA_SETS, made)
    space.until(REPLICA_SETS, "w", ready(1))
    new = space.create(DEPLOYMENTS, controller("w", env=[{"name": "NEW", "value": "1"}]))
    # Before its own pod is ready the adopted one counts.
    found = space.until(DEPLOYMENTS, "w", lambda it: available(1)(it) and it["status"].get("updatedReplicas") == 1)
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3546343826724305833"
    first, second = replica_sets(space)
    assert uid_of(first) == uid_of(old) and owner(first) == owner(second) == uid_of(new)
    assert [it["spec"]["replicas"] for it in (first, second)] == [0, 1]


@pytest.mark.conformance("[sig-apps] Deployment RecreateDeployment should delete old pods and create new ones [Conformance]")
def test_recreate_ends_the_old_before_it_starts_the_new(space: Space) -> None:
    space.create(DEPLOYMENTS, controller("w", spec={"strategy": {"type": "Recreate"}}))
    space.until(DEPLOYMENTS, "w", available(1))
    living: set[str] = set()
    started: list[str] = []
    with space.watching(PODS) as watching:
        change_template(space, "w", "2")
        while len(started) < 2:
            event = watching.next()
            name = name_of(event.object)
            if event.type == "DELETED" or event.object["status"]["phase"] in ("Succeeded", "Failed"):
                living.discard(name)
            elif dig(event.object, "status", "phase") == "Running" and name not in started:
                assert not living, "both revisions ran at once"
                living.add(name)
                started.append(name)
    space.until(DEPLOYMENTS, "w", available(1))


@pytest.mark.conformance("[sig-apps] Deployment deployment should delete old replica sets [Conformance]")
def test_the_history_is_limited(space: Space) -> None:
    space.create(DEPLOYMENTS, controller("w", spec={"revisionHistoryLimit": 0}))
    space.until(DEPLOYMENTS, "w", available(1))
    change_template(space, "w", "2")
    eventually(
        lambda: [it["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for it in space.list(REPLICA_SETS)] == ["2"]
    )


@pytest.mark.conformance("[sig-apps] Deployment deployment should support rollover [Conformance]")
def test_a_rollout_is_overtaken_by_the_next(space: Space) -> None:
    space.create(DEPLOYMENTS, controller("w", 2))
    space.until(DEPLOYMENTS, "w", available(2))
    # The second revision never becomes ready, and is overtaken.
    space.patch(DEPLOYMENTS, "w", {"spec": {"template": {"spec": {"nodeSelector": {"no": "such"}}}}})
    eventually(lambda: len(space.list(REPLICA_SETS)) == 2)
    space.patch(
        DEPLOYMENTS, "w", {"spec": {"template": {"spec": {"nodeSelector": None}, "metadata": {"annotations": {"v": "3"}}}}}
    )
    space.until(DEPLOYMENTS, "w", available(2))
    eventually(lambda: [it["spec"]["replicas"] for it in replica_sets(space)] == [0, 0, 2])


@pytest.mark.conformance("[sig-apps] Deployment deployment should support proportional scaling [Conformance]")
def test_scaling_in_the_middle_of_a_rollout_is_shared_out(space: Space) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    space.create(DEPLOYMENTS, controller("w", 10, spec={"strategy": strategy}))
    space.until(DEPLOYMENTS, "w", available(10))
    space.patch(DEPLOYMENTS, "w", {"spec": {"template": {"spec": {"nodeSelector": {"no": "such"}}}}})
    eventually(lambda: [it["spec"]["replicas"] for it in replica_sets(space)] == [8, 5])
    space.patch(DEPLOYMENTS, "w", {"spec": {"replicas": 30}})
    eventually(lambda: [it["spec"]["replicas"] for it in replica_sets(space)] == [20, 13])


GC = "[sig-api-machinery] Garbage collector should"


def replicas(space: Space, name: str, count: int) -> Obj:
    """A ReplicationController whose pods are all there (running is not what counts here)."""
    made = space.create(REPLICATION_CONTROLLERS, replication_controller(name, count, **IDLE))
    eventually(lambda: len(space.list(PODS, f"app={name}")) == count)
    space.until(REPLICATION_CONTROLLERS, name, lambda it: dig(it, "status", "replicas") == count)
    return made


@pytest.mark.conformance(f"{GC} delete pods created by rc when not orphaning [Conformance]")
def test_pods_go_with_their_controller(space: Space) -> None:
    replicas(space, "w", 2)
    space.delete(REPLICATION_CONTROLLERS, "w", propagation="Background")
    eventually(lambda: space.list(PODS) == [])


@pytest.mark.conformance(f"{GC} orphan pods created by rc if delete options say so [Serial] [Conformance]")
def test_pods_are_left_as_orphans(space: Space) -> None:
    replicas(space, "w", 10)
    space.delete(REPLICATION_CONTROLLERS, "w", propagation="Orphan")
    space.gone(REPLICATION_CONTROLLERS, "w")
    found = space.list(PODS)
    assert len(found) == 10 and not any(it["metadata"].get("ownerReferences") for it in found)
    # Whoever collects garbage has by now seen what follows as well.
    replicas(space, "later", 1)
    space.delete(REPLICATION_CONTROLLERS, "later", propagation="Background")
    eventually(lambda: space.list(PODS, "app=later") == [])
    assert len(space.list(PODS, "app=w")) == 10


@pytest.mark.conformance(
    f"{GC} keep the rc around until all its pods are deleted if the deleteOptions says so [Serial] [Conformance]"
)
def test_a_controller_in_foreground_deletion_goes_last(space: Space) -> None:
    replicas(space, "w", 10)
    # One pod is held, and so its controller.
    held = name_of(space.list(PODS)[0])
    space.patch(PODS, held, {"metadata": {"finalizers": ["conformance.example/hold"]}})
    space.delete(REPLICATION_CONTROLLERS, "w", propagation="Foreground")
    found = space.get(REPLICATION_CONTROLLERS, "w")
    assert found["metadata"]["finalizers"] == ["foregroundDeletion"] and found["metadata"]["deletionTimestamp"]
    eventually(lambda: [name_of(it) for it in space.list(PODS)] == [held])
    assert space.exists(REPLICATION_CONTROLLERS, "w")
    space.patch(PODS, held, {"metadata": {"finalizers": None}})
    space.gone(REPLICATION_CONTROLLERS, "w")
    assert space.list(PODS) == []


@pytest.mark.conformance(
    f"{GC} not delete dependents that have both valid owner and owner that's waiting for dependents to be deleted [Serial] "
    "[Conformance]"
)
def test_a_second_owner_keeps_a_pod(space: Space) -> None:
    replicas(space, "w", 10)
    stay = space.create(REPLICATION_CONTROLLERS, replication_controller("stay", 0))
    ref = {"apiVersion": "v1", "kind": "ReplicationController", "name": "stay", "uid": uid_of(stay)}
    kept = sorted(name_of(it) for it in space.list(PODS, "app=w"))[:5]
    for name in kept:
        space.patch(PODS, name, [{"op": "add", "path": "/metadata/ownerReferences/-", "value": ref}], kind="json")
    space.delete(REPLICATION_CONTROLLERS, "w", propagation="Foreground")
    space.gone(REPLICATION_CONTROLLERS, "w")
    found = space.list(PODS, "app=w")
    assert sorted(name_of(it) for it in found) == kept
    for each_pod in found:
        assert "deletionTimestamp" not in each_pod["metadata"]
        assert [it["name"] for it in each_pod["metadata"]["ownerReferences"]] == ["stay"]


@pytest.mark.conformance(f"{GC} not be blocked by dependency circle [Conformance]")
def test_a_circle_of_owners_is_collected(space: Space) -> None:
    made = [space.create(PODS, pod(SLEEP, name=f"pod{number}", **IDLE)) for number in (1, 2, 3)]
    for each_pod, its_owner in zip(made, (made[2], made[0], made[1]), strict=True):
        ref = {"apiVersion": "v1", "kind": "Pod", "name": name_of(its_owner), "uid": uid_of(its_owner)}
        ref_blocking: dict[str, Any] = {**ref, "controller": True, "blockOwnerDeletion": True}
        space.patch(PODS, name_of(each_pod), {"metadata": {"ownerReferences": [ref_blocking]}})
    space.delete(PODS, "pod1", propagation="Foreground")
    eventually(lambda: space.list(PODS) == [])


@pytest.mark.conformance(f"{GC} delete RS created by deployment when not orphaning [Conformance]")
def test_replica_sets_go_with_their_deployment(space: Space) -> None:
    space.create(DEPLOYMENTS, controller("w", 2, **IDLE))
    eventually(lambda: len(space.list(PODS)) == 2)
    space.delete(DEPLOYMENTS, "w", propagation="Background")
    eventually(lambda: space.list(REPLICA_SETS) == [] and space.list(PODS) == [])


@pytest.mark.conformance(f"{GC} orphan RS created by deployment when deleteOptions.PropagationPolicy is Orphan [Conformance]")
def test_replica_sets_are_left_as_orphans(space: Space) -> None:
    space.create(DEPLOYMENTS, controller("w", 2, **IDLE))
    eventually(lambda: len(space.list(PODS)) == 2)
    space.delete(DEPLOYMENTS, "w", propagation="Orphan")
    space.gone(DEPLOYMENTS, "w")
    (left,) = space.list(REPLICA_SETS)
    assert not left["metadata"].get("ownerReferences")
    assert [owner(it) for it in space.list(PODS)] == [uid_of(left)] * 2
