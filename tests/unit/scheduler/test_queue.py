"""The scheduling queue: order, back-off, hints, gates; on numbers for time."""

from __future__ import annotations

from typing import Any

import pytest

from steersman.machinery.meta import Obj
from steersman.scheduler.framework import Event, Happening
from steersman.scheduler.podinfo import PodInfo, PodInfos
from steersman.scheduler.profiles import default_profile
from steersman.scheduler.queue import Place, QueuedPod, SchedulingQueue

INFOS = PodInfos()
FIT = frozenset({"NodeResourcesFit"})


def pod(name: str, **spec: Any) -> PodInfo:
    spec.setdefault("containers", [{"name": "c", "resources": {"requests": {"cpu": "1"}}}])
    return INFOS.make({"metadata": {"name": name, "namespace": "x", "uid": f"uid-{name}"}, "spec": spec})


def queue_of(*infos: PodInfo) -> SchedulingQueue:
    queue = SchedulingQueue(default_profile())
    for place, info in enumerate(infos):
        queue.add(info, float(place))
    return queue


def popped(queue: SchedulingQueue, now_s: float) -> QueuedPod:
    queued = queue.pop(now_s)
    assert queued is not None
    return queued


def node(cpu: str = "4", **parts: Any) -> Obj:
    return {"metadata": {"name": "n", **parts}, "spec": {}, "status": {"allocatable": {"cpu": cpu, "pods": "10"}}}


def test_higher_priority_first_then_who_came_first() -> None:
    queue = queue_of(pod("a"), pod("b"), pod("urgent", priority=10))
    assert [popped(queue, 5).info.key[1] for _ in range(3)] == ["urgent", "a", "b"]
    assert queue.pop(5) is None


def test_a_rejected_pod_waits_for_an_event_its_plugin_cares_about() -> None:
    queue = queue_of(pod("a"))
    queue.reject(popped(queue, 0), FIT, 0)
    assert queue.pop(100) is None
    queue.happened(Event(Happening.NODE_LABEL, node(), node()), 100)
    assert queue.pop(100) is None
    queue.happened(Event(Happening.NODE_ADD, None, node(cpu="100m")), 100)
    assert queue.pop(100) is None, "that node is too small"
    queue.happened(Event(Happening.NODE_ADD, None, node()), 100)
    assert popped(queue, 100).info.key == ("x", "a")


def test_back_off_doubles_up_to_ten_seconds_but_an_idle_scheduler_does_not_wait_for_it() -> None:
    queue = queue_of(pod("a"), pod("other"))
    ends = []
    for attempt in range(6):
        queued = popped(queue, 1000.0 * attempt)
        if queued.info.key[1] == "other":
            queue.delete(queued.info.key)
            queued = popped(queue, 1000.0 * attempt)
        queue.reject(queued, FIT, 1000.0 * attempt)
        ends.append(queued.backoff_end_s - 1000.0 * attempt)
        queue.happened(Event(Happening.ASSIGNED_POD_DELETE, {"spec": {}}), 1000.0 * attempt)
        assert queue.place_of(("x", "a")) is Place.BACKOFF
    assert ends == [1, 2, 4, 8, 10, 10]


def test_after_an_error_the_back_off_is_waited_for_in_any_case() -> None:
    queue = queue_of(pod("a"))
    queue.fail(popped(queue, 0), 0.5)
    assert queue.pop(0.6) is None
    assert queue.next_flush_s(0.6) == pytest.approx(0.4)
    assert popped(queue, 1.0).errors == 1


def test_a_pod_that_no_event_spoke_for_is_tried_again_after_five_minutes() -> None:
    queue = queue_of(pod("a"))
    queue.reject(popped(queue, 0), FIT, 0)
    assert queue.pop(299) is None
    assert popped(queue, 300).rejections == 1


def test_gated_pods_are_not_tried_until_their_gates_are_gone_and_never_time_out() -> None:
    gated = pod("a", schedulingGates=[{"name": "x.io/wait"}])
    queue = queue_of(gated)
    assert queue.pop(10_000) is None
    assert queue.place_of(gated.key) is Place.GATED
    queue.update(pod("a"), 10_000)
    assert popped(queue, 10_000).info.key == gated.key


def test_a_deleted_pod_is_forgotten_wherever_it_is() -> None:
    queue = queue_of(pod("active"), pod("rejected"), pod("flying"))
    rejected = popped(queue, 5)
    assert rejected.info.key[1] == "active"
    queue.reject(rejected, FIT, 5)
    flying = popped(queue, 5)
    for name in ("active", "rejected", "flying"):
        queue.delete(("x", name))
    queue.reject(flying, FIT, 5)
    queue.happened(Event(Happening.ASSIGNED_POD_DELETE, {"spec": {}}), 100)
    assert (len(queue), queue.pop(1000)) == (0, None)


def test_a_pods_own_change_wakes_it_only_if_it_helps() -> None:
    queue = queue_of(pod("a"))
    queue.reject(popped(queue, 0), frozenset({"TaintToleration"}), 0)
    tolerant = pod("a", tolerations=[{"operator": "Exists"}])
    queue.update(tolerant, 100, [Event(Happening.POD_SCALE_DOWN, pod("a").obj, tolerant.obj)])
    assert queue.pop(100) is None
    queue.update(tolerant, 100, [Event(Happening.POD_TOLERATION, pod("a").obj, tolerant.obj)])
    assert popped(queue, 100).info is tolerant


def test_a_pod_is_held_back_while_its_victims_are_told_to_go_and_then_tried_if_anything_happened() -> None:
    profile = default_profile()
    assert profile.post_filter is not None
    queue = SchedulingQueue(profile)
    queue.add(pod("a"), 0)
    profile.post_filter.preempting.add("uid-a")
    queue.reject(popped(queue, 0), FIT, 0)
    queue.happened(Event(Happening.ASSIGNED_POD_DELETE, {"spec": {}}), 100)
    assert (queue.pop(100), queue.place_of(("x", "a"))) == (None, Place.GATED)
    profile.post_filter.preempting.clear()
    queue.release(("x", "a"), 100)
    assert popped(queue, 100).info.key == ("x", "a")


def test_an_activated_pod_is_tried_at_once_whatever_it_waits_for() -> None:
    queue = queue_of(pod("rejected"), pod("failed"))
    queue.reject(popped(queue, 5), FIT, 5)
    queue.fail(popped(queue, 5), 5)
    for name in ("rejected", "failed"):
        queue.activate(("x", name), 5.1)
    assert {popped(queue, 5.1).info.key[1] for _ in range(2)} == {"rejected", "failed"}


TAINTED: Obj = {**node(), "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}], "unschedulable": True}}


def term(key: str = "zone", app: str = "x", **more: Any) -> Obj:
    return {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}, **more}


def affine(section: str, *terms: Obj) -> dict[str, Any]:
    return {"affinity": {section: {"requiredDuringSchedulingIgnoredDuringExecution": list(terms)}}}


def other(app: str = "x", namespace: str = "x", **spec: Any) -> Obj:
    return {"metadata": {"name": "o", "namespace": namespace, "uid": "o", "labels": {"app": app}}, "spec": spec}


SPREAD: Obj = {
    "topologySpreadConstraints": [
        {"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "nodeTaintsPolicy": "Honor", **term()},
    ]
}
NEAR, AWAY = affine("podAffinity", term()), affine("podAntiAffinity", term())
ADDED, GONE, RELABELED = Happening.ASSIGNED_POD_ADD, Happening.ASSIGNED_POD_DELETE, Happening.ASSIGNED_POD_LABEL


@pytest.mark.parametrize(
    ("plugin", "spec", "event", "wakes"),
    [
        ("PodTopologySpread", SPREAD, Event(ADDED, None, other()), True),
        ("PodTopologySpread", SPREAD, Event(ADDED, None, other("y")), False),
        ("PodTopologySpread", SPREAD, Event(GONE, other()), True),
        ("PodTopologySpread", SPREAD, Event(GONE, other(namespace="z")), False),
        ("PodTopologySpread", SPREAD, Event(RELABELED, other("y"), other()), True),
        ("PodTopologySpread", SPREAD, Event(RELABELED, other("y"), other("z")), False),
        ("PodTopologySpread", SPREAD, Event(Happening.NODE_ADD, None, node(labels={"zone": "a"})), True),
        ("PodTopologySpread", SPREAD, Event(Happening.NODE_ADD, None, node()), False),
        ("PodTopologySpread", SPREAD, Event(Happening.NODE_DELETE, node(labels={"zone": "a"})), True),
        ("PodTopologySpread", SPREAD, Event(Happening.NODE_LABEL, node(labels={"zone": "a"}), node(labels={"zone": "b"})), True),
        ("PodTopologySpread", SPREAD, Event(Happening.NODE_LABEL, node(labels={"k": "a"}), node(labels={"k": "b"})), False),
        ("InterPodAffinity", NEAR, Event(ADDED, None, other()), True),
        ("InterPodAffinity", NEAR, Event(ADDED, None, other(namespace="z")), False),
        ("InterPodAffinity", NEAR, Event(RELABELED, other("y"), other()), True),
        ("InterPodAffinity", NEAR, Event(GONE, other()), False),
        ("InterPodAffinity", AWAY, Event(ADDED, None, other()), False),
        ("InterPodAffinity", AWAY, Event(GONE, other()), True),
        ("InterPodAffinity", AWAY, Event(RELABELED, other(), other("y")), True),
        ("InterPodAffinity", {}, Event(GONE, other(**affine("podAntiAffinity", term(app="own")))), True),
        ("InterPodAffinity", {}, Event(GONE, other(**AWAY)), False),
        ("InterPodAffinity", NEAR, Event(Happening.NODE_ADD, None, node(labels={"zone": "a"})), True),
        ("InterPodAffinity", NEAR, Event(Happening.NODE_ADD, None, node()), False),
    ],
)
def test_hints_about_other_pods(plugin: str, spec: dict[str, Any], event: Event, wakes: bool) -> None:
    metadata = {"name": "a", "namespace": "x", "uid": "uid-a", "labels": {"app": "own"}}
    info = INFOS.make({"metadata": metadata, "spec": {"containers": [], **spec}})
    queue = queue_of(info)
    queue.reject(popped(queue, 0), frozenset({plugin}), 0)
    queue.happened(event, 100)
    assert (queue.pop(100) is not None) is wakes


@pytest.mark.parametrize(
    ("plugin", "info", "event", "wakes"),
    [
        ("NodeUnschedulable", pod("a"), Event(Happening.NODE_TAINT, TAINTED, node()), True),
        ("NodeUnschedulable", pod("a"), Event(Happening.NODE_TAINT, node(), TAINTED), False),
        ("TaintToleration", pod("a"), Event(Happening.NODE_TAINT, TAINTED, node()), True),
        ("TaintToleration", pod("a"), Event(Happening.NODE_ADD, None, TAINTED), False),
        ("NodeName", pod("a"), Event(Happening.NODE_ADD, None, node()), True),
        (
            "NodeAffinity",
            pod("a", nodeSelector={"d": "s"}),
            Event(Happening.NODE_LABEL, node(), node(labels={"d": "s"})),
            True,
        ),
        ("NodeAffinity", pod("a", nodeSelector={"d": "s"}), Event(Happening.NODE_ADD, None, node()), False),
        ("NodeResourcesFit", pod("a"), Event(Happening.NODE_ALLOCATABLE, node(cpu="500m"), node(cpu="4")), True),
        ("NodeResourcesFit", pod("a"), Event(Happening.NODE_ALLOCATABLE, node(cpu="4"), node(cpu="3")), False),
        ("NodeResourcesFit", pod("a"), Event(Happening.NODE_ALLOCATABLE, node(cpu="100m"), node(cpu="500m")), False),
        (
            "NodePorts",
            pod("a", containers=[{"name": "c", "ports": [{"hostPort": 80}]}]),
            Event(Happening.ASSIGNED_POD_DELETE, {"spec": {"containers": [{"ports": [{"hostPort": 80}]}]}}),
            True,
        ),
        (
            "NodePorts",
            pod("a", containers=[{"name": "c", "ports": [{"hostPort": 80}]}]),
            Event(Happening.ASSIGNED_POD_DELETE, {"spec": {"containers": [{"ports": [{"hostPort": 81}]}]}}),
            False,
        ),
    ],
)
def test_hints(plugin: str, info: PodInfo, event: Event, wakes: bool) -> None:
    queue = queue_of(info)
    queue.reject(popped(queue, 0), frozenset({plugin}), 0)
    queue.happened(event, 100)
    assert (queue.pop(100) is not None) is wakes
