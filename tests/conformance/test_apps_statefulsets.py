"""[sig-apps] StatefulSet: in which order pods come, change and go."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.conformance.api import Watching
from tests.conformance.objects import SLEEP, controller, pod
from tests.conformance.space import Space, eventually, is_ready

from steersman.api.resources import CONTROLLER_REVISIONS, PODS, STATEFUL_SETS
from steersman.client.interface import WatchEvent
from steersman.machinery.meta import Obj, dig, is_deleting, labels_of, name_of, uid_of

pytestmark = pytest.mark.root

SET = "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic]"
HASH = "controller-revision-hash"
UNBROKEN = {
    "exec": {"command": ["test", "!", "-e", "/tmp/broken"]},
    "periodSeconds": 1,
    "failureThreshold": 1,
    # A slow machine is no broken pod.
    "timeoutSeconds": 60,
}


def stateful(replicas: int, **spec: Any) -> Obj:
    """Its pods end at once, and gracefully: one is gone before the next of its name is made."""
    made = controller("w", replicas, readinessProbe=UNBROKEN, spec={"serviceName": "w", **spec})
    made["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 10
    return made


def ready(count: int) -> Callable[[Obj], bool]:
    return lambda it: (
        dig(it, "status", "readyReplicas", default=0) == count
        and dig(it, "status", "observedGeneration") == it["metadata"]["generation"]
    )


def running(space: Space, replicas: int, **spec: Any) -> Obj:
    space.create(STATEFUL_SETS, stateful(replicas, **spec))
    return space.until(STATEFUL_SETS, "w", ready(replicas))


def break_all(space: Space) -> None:
    for each in space.list(PODS):
        space.exec(name_of(each), "touch", "/tmp/broken")
    space.until(STATEFUL_SETS, "w", ready(0))


def mend(space: Space, name: str) -> None:
    space.exec(name, "rm", "/tmp/broken")


def scale(space: Space, replicas: int) -> None:
    """Returns when the controller has done what it does about it."""
    space.patch(STATEFUL_SETS, "w", {"spec": {"replicas": replicas}})
    space.until(STATEFUL_SETS, "w", lambda it: it["status"]["observedGeneration"] == it["metadata"]["generation"])


def names(space: Space) -> list[str]:
    return sorted(name_of(it) for it in space.list(PODS))


class Course:
    """What happens to the pods of a set, in order: `+0` for ordinal 0 that is made, `-0` when it is asked to go."""

    def __init__(self, watching: Watching) -> None:
        self.steps: list[str] = []
        self.unready_at: dict[str, list[str]] = {}
        """By step: which of the others were not ready, or on their way."""
        self._watching = watching
        self._pods: dict[str, Obj] = {}

    def follow(self, *steps: str) -> None:
        """These, and no others before them."""
        done = len(self.steps)
        while len(self.steps) < done + len(steps):
            self._see(self._watching.next())
        assert self.steps[done:] == list(steps)

    def _see(self, event: WatchEvent) -> None:
        found = event.object
        ordinal = name_of(found).rpartition("-")[2]
        before = self._pods.pop(ordinal, None)
        if before is None and event.type != "DELETED":
            self._step(f"+{ordinal}")
        if before is not None and not is_deleting(before) and (is_deleting(found) or event.type == "DELETED"):
            self._step(f"-{ordinal}")
        if event.type != "DELETED":
            self._pods[ordinal] = found

    def _step(self, step: str) -> None:
        self.steps.append(step)
        self.unready_at[step] = [name for name, each in self._pods.items() if is_deleting(each) or not is_ready(each)]


@pytest.mark.conformance(
    f"{SET} Scaling should happen in predictable order and halt if any stateful pod is unhealthy [Slow] [Conformance]"
)
def test_scaling_has_an_order_and_halts_at_an_unhealthy_pod(space: Space) -> None:
    with space.watching(PODS) as watching:
        running(space, 1)
        break_all(space)
        scale(space, 3)
        assert names(space) == ["w-0"]
        mend(space, "w-0")
        space.until(STATEFUL_SETS, "w", ready(3))
        seen = Course(watching)
        seen.follow("+0", "+1", "+2")
        break_all(space)
        scale(space, 0)
        assert [is_deleting(it) for it in space.list(PODS)] == [False] * 3
        # The one that is not well itself does not hold its own going up.
        for name in ("w-0", "w-1"):
            mend(space, name)
        eventually(lambda: names(space) == [])
        seen.follow("-2", "-1", "-0")
        # None was made while one before it was not ready. (One that is ready may go while a lower one is not yet.)
        assert [seen.unready_at[step] for step in ("+0", "+1", "+2")] == [[]] * 3
    space.until(STATEFUL_SETS, "w", lambda it: it["status"]["replicas"] == 0)


@pytest.mark.conformance(f"{SET} Burst scaling should run to completion even with unhealthy pods [Slow] [Conformance]")
def test_parallel_scaling_does_not_wait(space: Space) -> None:
    running(space, 1, podManagementPolicy="Parallel")
    break_all(space)
    scale(space, 3)
    eventually(lambda: names(space) == ["w-0", "w-1", "w-2"])
    assert not is_ready(space.get(PODS, "w-0"))
    mend(space, "w-0")
    space.until(STATEFUL_SETS, "w", ready(3))
    break_all(space)
    scale(space, 0)
    eventually(lambda: names(space) == [])
    space.until(STATEFUL_SETS, "w", lambda it: it["status"]["replicas"] == 0)


def _is_another(was: str, found: Obj) -> bool:
    return uid_of(found) != was and is_ready(found)


def change(space: Space, version: str, **rolling: Any) -> str:
    """Another template; its revision, once the controller knows it."""
    spec: Obj = {"template": {"metadata": {"annotations": {"version": version}}}}
    if rolling:
        spec["updateStrategy"] = {"rollingUpdate": rolling}
    space.patch(STATEFUL_SETS, "w", {"spec": spec})
    found = space.until(STATEFUL_SETS, "w", lambda it: it["status"]["observedGeneration"] == it["metadata"]["generation"])
    return str(found["status"]["updateRevision"])


def revisions(space: Space) -> list[str]:
    """Of the pods, by ordinal; each is ready and stays."""
    found = sorted(space.list(PODS), key=name_of)
    assert len(found) == 3 and all(is_ready(it) and not is_deleting(it) for it in found)
    return [labels_of(it)[HASH] for it in found]


def updated(revision: str) -> Callable[[Obj], bool]:
    """All pods are of this revision, which has become the current one."""
    return lambda it: (
        ready(3)(it)
        and it["status"]["currentRevision"] == it["status"]["updateRevision"] == revision
        and it["status"]["currentReplicas"] == it["status"]["updatedReplicas"] == 3
    )


@pytest.mark.conformance(f"{SET} should perform rolling updates and roll backs of template modifications [Conformance]")
def test_updates_replace_pods_one_by_one_from_the_last_to_the_first(space: Space) -> None:
    with space.watching(PODS) as watching:
        first = running(space, 3)["status"]["currentRevision"]
        space.until(STATEFUL_SETS, "w", updated(first))
        seen = Course(watching)
        seen.follow("+0", "+1", "+2")
        second = change(space, "two")
        during = space.get(STATEFUL_SETS, "w")["status"]
        assert second != first and (during["currentRevision"], during["updateRevision"]) == (first, second)
        space.until(STATEFUL_SETS, "w", updated(second))
        assert revisions(space) == [second] * 3
        seen.follow("-2", "+2", "-1", "+1", "-0", "+0")
        # What was there before is found again.
        space.patch(STATEFUL_SETS, "w", {"spec": {"template": {"metadata": {"annotations": None}}}})
        space.until(STATEFUL_SETS, "w", updated(first))
        assert revisions(space) == [first] * 3
        seen.follow("-2", "+2", "-1", "+1", "-0", "+0")
        assert seen.unready_at == dict.fromkeys(seen.steps, [])
    numbers = {name_of(it): it["revision"] for it in space.list(CONTROLLER_REVISIONS)}
    assert numbers == {first: 3, second: 2}


@pytest.mark.conformance(
    f"{SET} should perform canary updates and phased rolling updates of template modifications [Conformance]"
)
def test_a_partition_holds_an_update_back(space: Space) -> None:
    first = running(space, 3)["status"]["currentRevision"]
    second = change(space, "two", partition=3)
    assert second != first and revisions(space) == [first] * 3
    space.patch(STATEFUL_SETS, "w", {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 2}}}})
    canary = space.until(STATEFUL_SETS, "w", lambda it: ready(3)(it) and it["status"].get("updatedReplicas") == 1)
    assert (canary["status"]["currentRevision"], canary["status"]["currentReplicas"]) == (first, 2)
    assert revisions(space) == [first, first, second]
    # Pods that are lost meanwhile come back as they were.
    for lost in (0, 2):
        was = uid_of(space.get(PODS, f"w-{lost}"))
        space.delete(PODS, f"w-{lost}")
        space.until(PODS, f"w-{lost}", partial(_is_another, was))
    assert revisions(space) == [first, first, second]
    space.patch(STATEFUL_SETS, "w", {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 1}}}})
    space.until(STATEFUL_SETS, "w", lambda it: ready(3)(it) and it["status"].get("updatedReplicas") == 2)
    assert revisions(space) == [first, second, second]
    space.patch(STATEFUL_SETS, "w", {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}})
    space.until(STATEFUL_SETS, "w", updated(second))
    assert revisions(space) == [second] * 3


@pytest.mark.conformance(f"{SET} Should recreate evicted statefulset [Conformance]")
def test_a_pod_that_its_node_rejects_is_made_anew(space: Space) -> None:
    # The scheduler would not send it there: it is bound by hand, and the kubelet has no such port left.
    taken: dict[str, Any] = {"ports": [{"containerPort": 21017, "hostPort": 21017}]}
    space.running(pod(SLEEP, spec={"nodeName": "node-1"}, **taken))
    made = stateful(1)
    made["spec"]["template"]["spec"] |= {"nodeName": "node-1"}
    made["spec"]["template"]["spec"]["containers"][0] |= taken
    with space.watching(PODS, field_selector="metadata.name=w-0") as watching:
        space.create(STATEFUL_SETS, made)
        rejected = watching.until("DELETED")
        assert rejected["status"]["phase"] == "Failed" and rejected["status"]["reason"] == "NodePorts"
        again = watching.until("ADDED")
        assert uid_of(again) != uid_of(rejected)
    space.delete(PODS, "pod")
    space.until(PODS, "w-0", is_ready)
