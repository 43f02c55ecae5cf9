"""The daemon set controller: where pods run, how they are replaced, what the status says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.controllers.world import START, World

from steersman.api.resources import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS
from steersman.controllers import daemonset
from steersman.controllers.daemonset.backoff import FailedPods
from steersman.controllers.daemonset.nodes import judge, target_of, with_tolerations
from steersman.loop.revisions import POD_HASH
from steersman.machinery.meta import Obj, format_time, is_deleting, labels_of, name_of

LABELS = {"app": "agent"}
GENERATION = "deprecated.daemonset.template.generation"
TAINT = {"key": "x", "value": "y"}


def tainted(key: str, effect: str) -> Obj:
    return node("n", taints=[{"key": f"node.kubernetes.io/{key}", "effect": effect}])


def node(name: str, *, labels: dict[str, str] | None = None, taints: list[Obj] | None = None) -> Obj:
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": {"taints": taints or []}}


def daemon_set(image: str = "agent:1", *, strategy: Obj | None = None, pod: Obj | None = None, **spec: Any) -> Obj:
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": image}], **(pod or {})}}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    return {
        "metadata": {"name": "agent", "annotations": {GENERATION: "1"}},
        "spec": {"selector": {"matchLabels": LABELS}, "template": template, "updateStrategy": strategy or rolling, **spec},
    }


def world(nodes: int = 3) -> World:
    w = World(daemonset.spec())
    for number in range(nodes):
        w.put(NODES, node(f"n{number}"))
    return w


def kubelet(w: World) -> bool:
    """The scheduler and the kubelets: bind, run, finish deleted pods. Whether anything was to be done."""
    todo = [pod for pod in w.list(PODS) if is_deleting(pod) or not pod.get("status")]
    for pod in todo:
        if is_deleting(pod):
            w.remove(PODS, name_of(pod))
        else:
            w.edit(PODS, name_of(pod), lambda found: found["spec"].update(nodeName=target_of(found)))
            w.make_ready(pod)
    return bool(todo)


def run(w: World) -> None:
    w.settle()
    while kubelet(w):
        w.settle()


def status(w: World) -> Obj:
    found = w.get(DAEMON_SETS, "default", "agent")
    assert found is not None
    return dict(found["status"])


def by_node(w: World) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pod in w.list(PODS):
        found.setdefault(target_of(pod), []).append(pod["spec"]["containers"][0]["image"])
    return found


PLACES: list[tuple[str, Obj, Obj, tuple[bool, bool]]] = [
    ("a plain node", {}, node("n"), (True, True)),
    ("another name", {"nodeName": "m"}, node("n"), (False, False)),
    ("a label that is missing", {"nodeSelector": {"disk": "ssd"}}, node("n"), (False, False)),
    ("a label that is there", {"nodeSelector": {"disk": "ssd"}}, node("n", labels={"disk": "ssd"}), (True, True)),
    ("a NoSchedule taint", {}, node("n", taints=[{**TAINT, "effect": "NoSchedule"}]), (False, True)),
    ("a NoExecute taint", {}, node("n", taints=[{**TAINT, "effect": "NoExecute"}]), (False, False)),
    ("a preference", {}, node("n", taints=[{**TAINT, "effect": "PreferNoSchedule"}]), (True, True)),
    ("a tolerated taint", {"tolerations": [{"operator": "Exists"}]},
     node("n", taints=[{**TAINT, "effect": "NoExecute"}]), (True, True)),
    ("a node that is not ready", {}, tainted("not-ready", "NoExecute"), (True, True)),
    ("a cordoned node", {}, tainted("unschedulable", "NoSchedule"), (True, True)),
    ("no network", {}, tainted("network-unavailable", "NoSchedule"), (False, True)),
    ("no network, but the host's", {"hostNetwork": True},
     tainted("network-unavailable", "NoSchedule"), (True, True)),
]  # fmt: skip


@pytest.mark.parametrize(("why", "spec", "where", "expected"), PLACES, ids=[case[0] for case in PLACES])
def test_where_pods_start_and_stay(why: str, spec: Obj, where: Obj, expected: tuple[bool, bool]) -> None:
    verdict = judge(with_tolerations(spec), where)
    assert (verdict.run, verdict.stay) == expected


def test_every_node_gets_one_pod_that_names_it_and_the_status_counts_them() -> None:
    w = world()
    w.put(DAEMON_SETS, daemon_set())
    run(w)
    assert by_node(w) == {f"n{number}": ["agent:1"] for number in range(3)}
    (revision,) = w.list(CONTROLLER_REVISIONS)
    pod = w.list(PODS)[0]
    assert labels_of(pod)[POD_HASH] == labels_of(revision)[POD_HASH] and labels_of(pod)["pod-template-generation"] == "1"
    assert len(pod["spec"]["tolerations"]) == 6
    assert status(w) == {
        "currentNumberScheduled": 3, "numberMisscheduled": 0, "desiredNumberScheduled": 3, "numberReady": 3,
        "updatedNumberScheduled": 3, "numberAvailable": 3, "observedGeneration": 1,
    }  # fmt: skip
    assert len(w.events("SuccessfulCreate")) == 3
    w.writes.clear()
    assert w.reconcile(w.specs[0], ("default", "agent")) == []


def test_nodes_that_come_get_a_pod_and_a_lost_node_s_unscheduled_pod_is_removed() -> None:
    w = world(1)
    w.put(DAEMON_SETS, daemon_set())
    run(w)
    w.put(NODES, node("late"))
    w.settle()
    assert len(w.list(PODS)) == 2
    w.remove(NODES, "late")
    w.settle()
    assert list(by_node(w)) == ["n0"]


def test_a_node_that_no_longer_fits_loses_its_pod_but_only_execution_taints_drive_it_away() -> None:
    w = world(2)
    w.put(DAEMON_SETS, daemon_set())
    run(w)
    w.edit(NODES, "n0", lambda n: n["spec"].update(taints=[{**TAINT, "effect": "NoSchedule"}]))
    run(w)
    assert len(w.list(PODS)) == 2 and status(w)["numberMisscheduled"] == 1
    w.edit(NODES, "n0", lambda n: n["spec"].update(taints=[{**TAINT, "effect": "NoExecute"}]))
    run(w)
    assert list(by_node(w)) == ["n1"] and status(w)["desiredNumberScheduled"] == 1


def test_a_second_pod_on_a_node_goes_and_the_oldest_stays() -> None:
    w = world(1)
    w.put(DAEMON_SETS, daemon_set())
    run(w)
    (first,) = w.list(PODS)
    second = {**first, "metadata": {**first["metadata"], "name": "second", "uid": "2"}}
    second["metadata"]["creationTimestamp"] = format_time(START + timedelta(seconds=5))
    w.put(PODS, second)
    run(w)
    assert [name_of(pod) for pod in w.list(PODS)] == [name_of(first)]


def update(w: World, image: str = "agent:2") -> None:
    """A new template, with the generation that the API server counts."""

    def change(found: Obj) -> None:
        found["spec"]["template"]["spec"]["containers"][0].update(image=image)
        found["metadata"]["annotations"][GENERATION] = str(int(found["metadata"]["annotations"][GENERATION]) + 1)

    w.edit(DAEMON_SETS, "agent", change)


def test_a_rolling_update_takes_no_more_pods_away_than_allowed() -> None:
    w = world(5)
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "40%", "maxSurge": 0}}
    w.put(DAEMON_SETS, daemon_set(strategy=rolling))
    run(w)
    least: list[int] = []
    w.after_step = lambda: least.append(sum(bool(pod.get("status")) and not is_deleting(pod) for pod in w.list(PODS)))
    update(w)
    run(w)
    assert min(least) == 3
    assert {image for images in by_node(w).values() for image in images} == {"agent:2"}
    assert status(w)["updatedNumberScheduled"] == 5 and len(w.list(CONTROLLER_REVISIONS)) == 2


def test_surging_starts_the_new_pod_beside_the_old_one_and_never_leaves_a_node_without() -> None:
    w = world(3)
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    w.put(DAEMON_SETS, daemon_set(strategy=rolling))
    run(w)
    seen: list[tuple[int, int]] = []

    def note() -> None:
        ready = [pod for pod in w.list(PODS) if pod.get("status") and not is_deleting(pod)]
        going = [pod for pod in w.list(PODS) if is_deleting(pod)]
        seen.append((len({target_of(pod) for pod in ready}), len(w.list(PODS)) - len(going)))

    w.after_step = note
    update(w)
    run(w)
    assert min(ready for ready, _ in seen) == 3 and max(count for _, count in seen) == 4
    assert by_node(w) == {f"n{number}": ["agent:2"] for number in range(3)}


def test_on_delete_replaces_only_what_is_deleted_and_old_templates_come_back_with_a_new_number() -> None:
    w = world(2)
    w.put(DAEMON_SETS, daemon_set(strategy={"type": "OnDelete"}, revisionHistoryLimit=1))
    run(w)
    update(w)
    run(w)
    assert {image for images in by_node(w).values() for image in images} == {
        "agent:1"
    } and "updatedNumberScheduled" not in status(w)
    w.remove(PODS, name_of(w.list(PODS)[0]))
    run(w)
    assert sorted(by_node(w).values()) == [["agent:1"], ["agent:2"]]
    update(w, "agent:1")
    run(w)
    assert sorted(item["revision"] for item in w.list(CONTROLLER_REVISIONS)) == [2, 3]
    for image in ("agent:3", "agent:4"):
        update(w, image)
        run(w)
    assert len(w.list(CONTROLLER_REVISIONS)) == 4, "two in use, one current, one kept"


def test_a_name_taken_by_another_template_counts_as_a_collision() -> None:
    w = world(1)
    w.put(DAEMON_SETS, daemon_set())
    w.settle()
    (revision,) = w.list(CONTROLLER_REVISIONS)
    w.remove(CONTROLLER_REVISIONS, name_of(revision))
    strange = {**revision["metadata"], "ownerReferences": [], "labels": {}}
    w.put(CONTROLLER_REVISIONS, {"metadata": strange, "data": {"other": True}, "revision": 1})
    run(w)
    assert status(w)["collisionCount"] == 1 and len(w.list(CONTROLLER_REVISIONS)) == 2


def test_failed_pods_are_replaced_later_and_later() -> None:
    w = world(1)
    w.put(DAEMON_SETS, daemon_set())
    run(w)
    for pause_s in (1, 4):
        failed = name_of(w.list(PODS)[0])
        w.edit(PODS, failed, lambda pod: pod["status"].update(phase="Failed"))
        run(w)
        assert w.events("FailedDaemonPod")[-1] == f"Found failed daemon pod default/{failed} on node n0, will try to kill it"
        assert name_of(w.list(PODS)[0]) != failed
        again = name_of(w.list(PODS)[0])
        w.edit(PODS, again, lambda pod: pod["status"].update(phase="Failed"))
        run(w)
        assert name_of(w.list(PODS)[0]) == again
        w.advance(pause_s)
        run(w)
        assert name_of(w.list(PODS)[0]) != again
        w.advance(pause_s * 2)


def test_the_back_off_doubles_to_fifteen_minutes_and_is_forgotten_after_thirty() -> None:
    failed, now, pauses = FailedPods(), START, []
    for _ in range(12):
        assert failed.wait_s("n", now) == 0
        pauses.append(failed.wait_s("n", now))
        now += timedelta(seconds=pauses[-1])
    assert pauses[:3] == [1, 2, 4] and pauses[-1] == 900
    assert failed.wait_s("n", now + timedelta(hours=1)) == 0
    assert failed.wait_s("n", now + timedelta(hours=1)) == 1


def test_availability_by_time_comes_without_an_event() -> None:
    w = world(1)
    w.put(DAEMON_SETS, daemon_set(minReadySeconds=10))
    run(w)
    assert status(w)["numberUnavailable"] == 1
    w.advance(10)
    run(w)
    assert status(w)["numberAvailable"] == 1 and "numberUnavailable" not in status(w)


def test_a_set_that_selects_everything_does_nothing_but_say_so() -> None:
    w = world(1)
    w.put(DAEMON_SETS, {**daemon_set(), "spec": {**daemon_set()["spec"], "selector": {}}})
    run(w)
    assert w.list(PODS) == [] and w.events("SelectingAll")


def test_a_turn_starts_at_most_the_burst() -> None:
    w = world(300)
    w.put(DAEMON_SETS, daemon_set())
    w.reconcile(w.specs[0], ("default", "agent"))
    w.reconcile(w.specs[0], ("default", "agent"))
    assert len(w.list(PODS)) == 250
    w.settle()
    assert len(w.list(PODS)) == 300
