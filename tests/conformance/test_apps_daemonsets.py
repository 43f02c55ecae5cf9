"""[sig-apps] Daemon set, ControllerRevision: a pod on each node that should have one, and what its template was before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.conformance.objects import SLEEP, named, template
from tests.conformance.space import Space, condition, eventually, is_ready

from steersman.api.resources import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS
from steersman.machinery.meta import Obj, dig, labels_of, name_of, owner_reference, uid_of

pytestmark = pytest.mark.root

SET = "[sig-apps] Daemon set [Serial] should"
HASH = "controller-revision-hash"


def daemon_set(*, spec: Obj | None = None, **pods: Any) -> Obj:
    made: Obj = template({"app": "w"}, SLEEP)
    made["spec"] |= pods
    return named("w", {"app": "w"}, spec={"selector": {"matchLabels": {"app": "w"}}, "template": made, **(spec or {})})


def settled(desired: int = 1) -> Callable[[Obj], bool]:
    """Its pods are there, ready and of the newest template."""
    return lambda it: (
        it["status"].get("observedGeneration") == it["metadata"]["generation"]
        and it["status"]["desiredNumberScheduled"] == desired == it["status"]["currentNumberScheduled"]
        and desired == it["status"]["numberReady"] == it["status"].get("updatedNumberScheduled", 0)
        and it["status"]["numberMisscheduled"] == 0
    )


def running(space: Space, **fields: Any) -> Obj:
    """The pod, once there is one."""
    space.create(DAEMON_SETS, daemon_set(**fields))
    return current(space)


def current(space: Space) -> Obj:
    """Its only pod, once it is settled: the status may be that of a pod before."""

    def only() -> Obj | None:
        pods = space.list(PODS)
        return pods[0] if len(pods) == 1 and is_ready(pods[0]) and settled()(space.get(DAEMON_SETS, "w")) else None

    found: Obj = eventually(only)
    assert found["spec"]["nodeName"] == "node-1"
    return found


@pytest.mark.conformance(f"{SET} run and stop simple daemon [Conformance]")
def test_a_pod_that_is_deleted_is_replaced(space: Space) -> None:
    first = running(space)
    space.delete(PODS, name_of(first))
    space.gone(PODS, name_of(first))
    assert uid_of(current(space)) != uid_of(first)
    space.delete(DAEMON_SETS, "w")
    eventually(lambda: space.list(PODS) == [])


@pytest.mark.conformance(f"{SET} run and stop complex daemon [Conformance]")
def test_pods_are_where_their_node_selector_says(space: Space) -> None:
    label = f"conformance.example/{space.name}"

    def paint(value: str | None) -> None:
        space.api.patch(NODES, "node-1", {"metadata": {"labels": {label: value}}})

    space.create(DAEMON_SETS, daemon_set(nodeSelector={label: "blue"}))
    space.until(DAEMON_SETS, "w", settled(0))
    assert space.list(PODS) == []
    try:
        paint("blue")
        first = current(space)
        paint("green")
        space.gone(PODS, name_of(first))
        space.until(DAEMON_SETS, "w", settled(0))
        space.patch(DAEMON_SETS, "w", {"spec": {"template": {"spec": {"nodeSelector": {label: "green"}}}}})
        space.until(DAEMON_SETS, "w", settled())
        assert uid_of(current(space)) != uid_of(first)
    finally:
        paint(None)


@pytest.mark.conformance(f"{SET} retry creating failed daemon pods [Conformance]")
def test_a_pod_that_failed_is_replaced(space: Space) -> None:
    first = running(space)
    space.patch(PODS, name_of(first), {"status": {"phase": "Failed"}}, subresource="status")
    space.gone(PODS, name_of(first))
    assert uid_of(current(space)) != uid_of(first)


@pytest.mark.conformance(f"{SET} update pod when spec was updated and update strategy is RollingUpdate [Conformance]")
def test_a_new_template_replaces_the_pod(space: Space) -> None:
    first = running(space, spec={"updateStrategy": {"type": "RollingUpdate"}})
    change = {"spec": {"template": {"spec": {"containers": [{"name": "main", "env": [{"name": "NEW", "value": "1"}]}]}}}}
    space.patch(DAEMON_SETS, "w", change, kind="strategic")
    space.gone(PODS, name_of(first))
    second = current(space)
    assert second["spec"]["containers"][0]["env"] == [{"name": "NEW", "value": "1"}]
    history = {labels_of(it)[HASH]: it["revision"] for it in space.list(CONTROLLER_REVISIONS)}
    assert history == {labels_of(first)[HASH]: 1, labels_of(second)[HASH]: 2}


@pytest.mark.conformance(f"{SET} list and delete a collection of DaemonSets [Conformance]")
def test_daemon_sets_are_deleted_together(space: Space) -> None:
    running(space)
    assert [name_of(it) for it in space.api.list(DAEMON_SETS, label_selector="app=w")["items"]] == ["w"]
    space.delete_collection(DAEMON_SETS, "app=w")
    assert space.list(DAEMON_SETS, "app=w") == []


@pytest.mark.conformance(f"{SET} verify changes to a daemon set status [Conformance]")
def test_the_status_of_a_daemon_set_is_changed(space: Space) -> None:
    running(space)

    def update() -> Obj:
        found = space.get(DAEMON_SETS, "w", subresource="status")
        found["status"]["conditions"] = [{"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set"}]
        return space.update(DAEMON_SETS, found, subresource="status")

    with space.watching(DAEMON_SETS) as watching:
        eventually(update)
        while condition(watching.next().object, "StatusUpdate") != "True":
            pass
        change = {"status": {"conditions": [{"type": "StatusPatched", "status": "True"}]}}
        assert condition(space.patch(DAEMON_SETS, "w", change, subresource="status"), "StatusPatched") == "True"
        while condition(watching.next().object, "StatusPatched") != "True":
            pass
    assert dig(space.get(DAEMON_SETS, "w"), "status", "numberReady") == 1


@pytest.mark.conformance(
    "[sig-apps] ControllerRevision [Serial] should manage the lifecycle of a ControllerRevision [Conformance]"
)
def test_the_life_of_a_controller_revision(space: Space) -> None:
    running(space)
    (first,) = space.list(CONTROLLER_REVISIONS, "app=w")
    patched = space.patch(CONTROLLER_REVISIONS, name_of(first), {"metadata": {"labels": {name_of(first): "patched"}}})
    assert labels_of(patched)[name_of(first)] == "patched" and patched["revision"] == 1
    metadata = {
        "name": "second",
        "labels": {"app": "w"},
        "ownerReferences": [owner_reference({"apiVersion": "apps/v1", "kind": "DaemonSet", **space.get(DAEMON_SETS, "w")})],
    }
    space.create(CONTROLLER_REVISIONS, {"metadata": metadata, "data": first["data"], "revision": 2})
    assert len(space.list(CONTROLLER_REVISIONS, "app=w")) == 2
    space.delete(CONTROLLER_REVISIONS, name_of(first))
    assert [name_of(it) for it in space.list(CONTROLLER_REVISIONS, "app=w")] == ["second"]

    def update() -> Obj:
        found = space.get(CONTROLLER_REVISIONS, "second")
        found["metadata"]["labels"]["second"] = "updated"
        return space.update(CONTROLLER_REVISIONS, found)

    assert labels_of(eventually(update))["second"] == "updated"
    space.patch(DAEMON_SETS, "w", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}})
    eventually(lambda: len(space.list(CONTROLLER_REVISIONS, "app=w")) == 2)
    space.delete_collection(CONTROLLER_REVISIONS, "second=updated")
    (left,) = space.list(CONTROLLER_REVISIONS, "app=w")
    assert left["revision"] == 3
