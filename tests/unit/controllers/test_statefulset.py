"""The stateful set controller: order, identity, claims, updates; and its law, that order is never broken."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.controllers.world import World

from steersman.api.resources import CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from steersman.controllers import statefulset
from steersman.loop.spec import Create, Delete
from steersman.machinery.errors import Forbidden
from steersman.machinery.meta import Obj, dig, is_deleting, labels_of, name_of

LABELS = {"app": "db"}
ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}


def stateful_set(replicas: int = 3, *, image: str = "db:1", claims: bool = False, **spec: Any) -> Obj:
    container = {"name": "c", "image": image}
    template = {
        "metadata": {"labels": LABELS},
        "spec": {"containers": [container], "volumes": [{"name": "data", "emptyDir": {}}]},
    }
    if claims:
        spec["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}]
    return {
        "metadata": {"name": "db"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": LABELS}, "serviceName": "db", "template": template,
            "podManagementPolicy": "OrderedReady", "updateStrategy": ROLLING, **spec,
        },
    }  # fmt: skip


def world(**spec: Any) -> World:
    w = World(statefulset.SPEC)
    w.put(STATEFUL_SETS, stateful_set(**spec))
    w.settle()
    return w


def names(w: World) -> list[str]:
    return sorted(name_of(pod) for pod in w.list(PODS))


def ready(w: World, name: str) -> None:
    w.edit(PODS, name, lambda pod: pod["spec"].update(nodeName="n1"))
    found = w.get(PODS, "default", name)
    assert found is not None
    w.make_ready(found)
    w.settle()


def kubelet(w: World) -> None:
    """Everything runs or ends as it should, until nothing changes."""
    while todo := [pod for pod in w.list(PODS) if is_deleting(pod) or not (pod.get("status") or {}).get("conditions")]:
        pod = todo[0]
        if is_deleting(pod):
            w.remove(PODS, name_of(pod))
            w.settle()
        else:
            ready(w, name_of(pod))


def status(w: World) -> Obj:
    found = w.get(STATEFUL_SETS, "default", "db")
    assert found is not None
    return {key: value for key, value in found["status"].items() if not key.endswith("Revision")}


def images(w: World) -> list[str]:
    return [pod["spec"]["containers"][0]["image"] for pod in sorted(w.list(PODS), key=name_of)]


def update(w: World, image: str, **spec: Any) -> None:
    def change(found: Obj) -> None:
        found["spec"]["template"]["spec"]["containers"][0]["image"] = image
        found["spec"].update(spec)

    w.edit(STATEFUL_SETS, "db", change)
    w.settle()


def test_pods_come_one_by_one_each_when_the_one_before_is_ready() -> None:
    w = world()
    assert names(w) == ["db-0"]
    ready(w, "db-0")
    assert names(w) == ["db-0", "db-1"]
    kubelet(w)
    assert names(w) == ["db-0", "db-1", "db-2"]
    assert status(w) == {
        "replicas": 3, "readyReplicas": 3, "availableReplicas": 3, "currentReplicas": 3, "updatedReplicas": 3,
        "collisionCount": 0, "observedGeneration": 1,
    }  # fmt: skip
    assert w.events("SuccessfulCreate") == [f"create Pod db-{number} in StatefulSet db successful" for number in range(3)]
    w.writes.clear()
    assert w.reconcile(statefulset.SPEC, ("default", "db")) == []


def test_a_pod_has_its_name_hostname_labels_and_claims() -> None:
    w = world(claims=True, ordinals={"start": 5})
    (pod,) = w.list(PODS)
    (revision,) = w.list(CONTROLLER_REVISIONS)
    assert (name_of(pod), pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("db-5", "db-5", "db")
    assert labels_of(pod) == {
        **LABELS, "statefulset.kubernetes.io/pod-name": "db-5", "apps.kubernetes.io/pod-index": "5",
        "controller-revision-hash": name_of(revision),
    }  # fmt: skip
    assert pod["spec"]["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "data-db-5"}}]
    (claim,) = w.list(PERSISTENT_VOLUME_CLAIMS)
    assert name_of(claim) == "data-db-5" and labels_of(claim) == LABELS and "ownerReferences" not in claim["metadata"]
    assert w.events("SuccessfulCreate")[0] == "create Claim data-db-5 Pod db-5 in StatefulSet db success"


def test_a_pod_is_not_made_without_its_claim() -> None:
    w = World(statefulset.SPEC)
    w.fault = lambda action: (
        Forbidden.of("", "x", "", "no") if isinstance(action, Create) and "data" in name_of(action.obj) else None
    )
    w.put(STATEFUL_SETS, stateful_set(claims=True))
    w.settle()
    assert names(w) == [] and "failed error" in w.events("FailedCreate")[0]
    w.fault = lambda _: None
    w.advance(1)
    w.settle()
    assert names(w) == ["db-0"]


def test_parallel_pods_come_and_go_all_at_once() -> None:
    w = world(podManagementPolicy="Parallel")
    assert names(w) == ["db-0", "db-1", "db-2"]
    w.edit(STATEFUL_SETS, "db", lambda found: found["spec"].update(replicas=1))
    w.settle()
    assert names(w) == ["db-0"]


def test_scaling_down_takes_the_highest_first_and_waits_for_it_to_be_gone() -> None:
    w = world()
    kubelet(w)
    w.edit(STATEFUL_SETS, "db", lambda found: found["spec"].update(replicas=0))
    w.settle()
    assert [name_of(pod) for pod in w.list(PODS) if is_deleting(pod)] == ["db-2"]
    w.remove(PODS, "db-2")
    w.settle()
    assert [name_of(pod) for pod in w.list(PODS) if is_deleting(pod)] == ["db-1"]
    kubelet(w)
    assert names(w) == [] and status(w)["replicas"] == 0


def test_scaling_down_waits_while_a_wanted_pod_is_not_ready() -> None:
    w = world()
    kubelet(w)
    w.edit(PODS, "db-0", lambda pod: pod["status"].update(conditions=[]))
    w.edit(STATEFUL_SETS, "db", lambda found: found["spec"].update(replicas=1))
    w.settle()
    assert not any(is_deleting(pod) for pod in w.list(PODS))
    ready(w, "db-0")
    assert [name_of(pod) for pod in w.list(PODS) if is_deleting(pod)] == ["db-2"]


@pytest.mark.parametrize(("phase", "reason"), [("Failed", "RecreatingFailedPod"), ("Succeeded", "RecreatingTerminatedPod")])
def test_finished_pods_are_made_anew_under_the_same_name(phase: str, reason: str) -> None:
    w = world()
    kubelet(w)
    w.edit(PODS, "db-1", lambda pod: (pod["status"].update(phase=phase), pod["spec"].pop("nodeName")))
    w.settle()
    assert names(w) == ["db-0", "db-1", "db-2"] and w.events(reason)
    found = w.get(PODS, "default", "db-1")
    assert found is not None and "status" not in found


def test_an_update_goes_from_the_top_one_by_one_and_then_is_what_is_current() -> None:
    w = world()
    kubelet(w)
    update(w, "db:2")
    assert [name_of(pod) for pod in w.list(PODS) if is_deleting(pod)] == ["db-2"]
    w.remove(PODS, "db-2")
    w.settle()
    assert images(w) == ["db:1", "db:1", "db:2"] and not any(is_deleting(pod) for pod in w.list(PODS))
    found = w.get(STATEFUL_SETS, "default", "db")
    assert found is not None and found["status"]["currentRevision"] != found["status"]["updateRevision"]
    kubelet(w)
    found = w.get(STATEFUL_SETS, "default", "db")
    assert found is not None and found["status"]["currentRevision"] == found["status"]["updateRevision"]
    assert images(w) == ["db:2"] * 3 and status(w)["currentReplicas"] == 3


def test_pods_below_the_partition_stay_and_come_back_as_they_were() -> None:
    w = world()
    kubelet(w)
    update(w, "db:2", updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}})
    kubelet(w)
    assert images(w) == ["db:1", "db:1", "db:2"]
    w.remove(PODS, "db-0")
    w.settle()
    kubelet(w)
    assert images(w) == ["db:1", "db:1", "db:2"] and status(w)["updatedReplicas"] == 1


def test_on_delete_leaves_pods_until_they_are_deleted() -> None:
    w = world(updateStrategy={"type": "OnDelete"})
    kubelet(w)
    update(w, "db:2")
    kubelet(w)
    assert images(w) == ["db:1"] * 3
    w.remove(PODS, "db-1")
    w.settle()
    assert images(w) == ["db:1", "db:2", "db:1"]


def test_an_update_that_breaks_stops_at_the_first_pod() -> None:
    w = world()
    kubelet(w)
    update(w, "db:broken")
    w.remove(PODS, "db-2")
    w.settle()
    w.advance(1000)
    w.settle()
    assert images(w) == ["db:1", "db:1", "db:broken"] and not any(is_deleting(pod) for pod in w.list(PODS))


RETENTION: list[tuple[str, str, dict[str, str | None], dict[str, str | None]]] = [
    ("Retain", "Retain", {"data-db-0": None, "data-db-1": None}, {"data-db-0": None, "data-db-1": None}),
    ("Delete", "Retain", {"data-db-0": "db", "data-db-1": "db"}, {"data-db-0": "db", "data-db-1": "db"}),
    ("Retain", "Delete", {"data-db-0": None, "data-db-1": None}, {"data-db-0": None, "data-db-1": "db-1"}),
    ("Delete", "Delete", {"data-db-0": "db", "data-db-1": "db"}, {"data-db-0": "db", "data-db-1": "db-1"}),
]


@pytest.mark.parametrize(("deleted", "scaled", "before", "after"), RETENTION, ids=[f"{case[0]}-{case[1]}" for case in RETENTION])
def test_claims_belong_to_whom_the_retention_policy_says(
    deleted: str, scaled: str, before: dict[str, str | None], after: dict[str, str | None]
) -> None:
    policy = {"whenDeleted": deleted, "whenScaled": scaled}
    w = world(replicas=2, claims=True, persistentVolumeClaimRetentionPolicy=policy)
    kubelet(w)

    def owners() -> dict[str, str | None]:
        found = {name_of(claim): claim["metadata"].get("ownerReferences") or [] for claim in w.list(PERSISTENT_VOLUME_CLAIMS)}
        return {name: refs[0]["name"] if refs else None for name, refs in found.items()}

    assert owners() == before
    w.edit(STATEFUL_SETS, "db", lambda found: found["spec"].update(replicas=1))
    w.settle()
    assert owners() == after


def test_a_claim_of_an_earlier_pod_is_waited_for_until_it_is_collected() -> None:
    w = world(replicas=2, claims=True, persistentVolumeClaimRetentionPolicy={"whenScaled": "Delete"})
    kubelet(w)
    w.edit(STATEFUL_SETS, "db", lambda found: found["spec"].update(replicas=1))
    w.settle()
    kubelet(w)
    w.edit(STATEFUL_SETS, "db", lambda found: found["spec"].update(replicas=2))
    w.settle()
    assert names(w) == ["db-0"]
    w.edit(
        PERSISTENT_VOLUME_CLAIMS, "data-db-1", lambda claim: claim["metadata"].update(deletionTimestamp="now", finalizers=["x/y"])
    )
    w.remove(PERSISTENT_VOLUME_CLAIMS, "data-db-1")
    w.settle()
    assert names(w) == ["db-0", "db-1"]


def test_orphans_of_the_right_name_are_adopted_and_others_are_left() -> None:
    w = World(statefulset.SPEC)
    for name in ("db-0", "db-x", "web-1"):
        w.put(PODS, {"metadata": {"name": name, "labels": LABELS}, "spec": {}})
    w.put(STATEFUL_SETS, stateful_set(1))
    w.settle()
    owners = {name_of(pod): pod["metadata"].get("ownerReferences") for pod in w.list(PODS)}
    assert owners["db-0"] and not owners["db-x"] and not owners["web-1"]


def test_a_set_that_is_being_deleted_makes_nothing() -> None:
    w = World(statefulset.SPEC)
    gone = stateful_set()
    gone["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["orphan"]}
    w.put(STATEFUL_SETS, gone)
    w.settle()
    assert w.list(PODS) == [] and w.list(CONTROLLER_REVISIONS) == []


def _scale(replicas: int, owner: Obj) -> None:
    owner["spec"]["replicas"] = replicas


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("scale"), st.integers(0, 4)),
        st.tuples(st.just("update"), st.integers(1, 3)),
        st.tuples(st.sampled_from(["ready", "unready", "fail", "gone"]), st.integers(0, 4)),
    ),
    max_size=30,
)


@settings(max_examples=120, deadline=None)
@given(STEPS)
def test_whatever_happens_order_is_kept(steps: list[tuple[str, int]]) -> None:
    """A pod is made only when all before it are ready, and none is taken away while another is not well, except by failing."""
    w = World(statefulset.SPEC)

    def healthy(number: int) -> bool:
        found = w.get(PODS, "default", f"db-{number}")
        return found is not None and not is_deleting(found) and bool((found.get("status") or {}).get("conditions"))

    def failed(pod: Obj) -> bool:
        return bool(dig(pod, "status", "phase") == "Failed")

    def watch(action: Any) -> None:
        """Called before each write."""
        if isinstance(action, Create) and action.resource == PODS:
            number = int(name_of(action.obj)[3:])
            assert all(healthy(lower) for lower in range(number))
        if isinstance(action, Delete) and action.resource == PODS:
            found = w.get(PODS, "default", action.name)
            assert found is not None
            if not failed(found):
                owner = w.get(STATEFUL_SETS, "default", "db")
                assert owner is not None
                assert all(healthy(number) for number in range(owner["spec"]["replicas"]) if f"db-{number}" != action.name)
                # One that failed below what is scaled away goes at the same time, as upstream's does.
                assert not any(is_deleting(pod) and not failed(pod) for pod in w.list(PODS))

    w.fault = watch
    w.put(STATEFUL_SETS, stateful_set())
    w.settle()
    for what, number in steps:
        name = f"db-{number}"
        found = w.get(PODS, "default", name)
        if what == "scale":
            w.edit(STATEFUL_SETS, "db", partial(_scale, number))
        elif what == "update":
            update(w, f"db:{number}")
        elif found is not None and what == "gone" and is_deleting(found):
            w.remove(PODS, name)
        elif found is not None and what == "ready" and not is_deleting(found):
            ready(w, name)
        elif found is not None and found.get("status") and what == "unready":
            w.edit(PODS, name, lambda pod: pod["status"].update(conditions=[]))
        elif found is not None and found.get("status") and what == "fail":
            w.edit(PODS, name, lambda pod: pod["status"].update(phase="Failed", conditions=[]))
        w.settle()
    kubelet(w)
    owner = w.get(STATEFUL_SETS, "default", "db")
    assert owner is not None
    assert len(names(w)) == owner["spec"]["replicas"] and len(set(images(w))) <= 1
