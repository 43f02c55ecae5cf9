"""Nodes: silence, taints, what they do to pods, address ranges, and pods that nobody else removes."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.controllers.world import START, World

from steersman.api.resources import LEASES, NODES, PODS
from steersman.controllers import nodeipam, nodelifecycle, podgc, tainteviction
from steersman.controllers.nodelifecycle.zones import Disruption, disruption, rate
from steersman.controllers.tainteviction import seconds_tolerated
from steersman.loop.spec import Delete, Patch
from steersman.machinery.meta import Obj, condition, format_micro_time, format_time, is_condition_true, is_deleting, name_of

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"


def node(name: str, ready: str = "True", **spec: Any) -> Obj:
    kinds = ("Ready", ready), ("MemoryPressure", "False"), ("DiskPressure", "False"), ("PIDPressure", "False")
    heartbeat = {"lastHeartbeatTime": format_time(START), "lastTransitionTime": format_time(START)}
    conditions = [{"type": kind, "status": status, **heartbeat} for kind, status in kinds]
    labels = {"kubernetes.io/os": "linux"}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": {"conditions": conditions}}


def pod(name: str, where: str = "n1", *, tolerations: Any = (), **metadata: Any) -> Obj:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": format_time(START)}
    return {
        "metadata": {"name": name, **metadata},
        "spec": {"nodeName": where, "tolerations": list(tolerations)},
        "status": {"phase": "Running", "conditions": [ready]},
    }


class Fleet(World):
    """Nodes whose kubelets renew their leases until told to stop."""

    def __init__(self, *names: str) -> None:
        super().__init__(nodelifecycle.spec(), tainteviction.spec())
        self.alive = set(names)
        for name in names:
            self.put(NODES, node(name))
        self.renew()
        self.tick()
        self.settle()

    def renew(self) -> None:
        for name in self.alive:
            spec = {"renewTime": format_micro_time(self.now)}
            self.put(LEASES, {"metadata": {"name": name, "namespace": "kube-node-lease"}, "spec": spec})

    def run(self, seconds: int) -> None:
        for _ in range(seconds // 5):
            self.advance(5)
            self.renew()
            self.settle()

    def node(self, name: str) -> Obj:
        found = self.get(NODES, "", name)
        assert found is not None
        return found

    def taints(self, name: str) -> set[tuple[str, str]]:
        return {(taint["key"], taint["effect"]) for taint in self.node(name)["spec"].get("taints") or ()}


def test_a_node_that_renews_its_lease_is_left_alone() -> None:
    fleet = Fleet("n1", "n2")
    fleet.run(30)
    fleet.writes.clear()
    fleet.run(300)
    assert fleet.writes == []
    assert fleet.events("RegisteredNode") == [f"Node {n} event: Registered Node {n} in Controller" for n in ("n1", "n2")]


def test_a_silent_node_turns_unknown_after_the_grace_period_and_its_pods_leave_after_their_patience() -> None:
    fleet = Fleet("n1", "n2", "n3")
    fleet.put(
        PODS, pod("p", tolerations=[{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}])
    )
    fleet.alive.discard("n1")
    fleet.run(50)
    assert is_condition_true(fleet.node("n1"), "Ready")
    fleet.run(10)
    found = condition(fleet.node("n1"), "Ready")
    assert found is not None and found["status"] == "Unknown"
    assert (found["reason"], found["message"]) == ("NodeStatusUnknown", "Kubelet stopped posting node status.")
    assert fleet.taints("n1") == {(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")}
    assert not is_condition_true(fleet.list(PODS)[0], "Ready") and fleet.events("NodeNotReady")[-1] == "Node is not ready"
    fleet.run(280)
    assert not is_deleting(fleet.list(PODS)[0])
    fleet.run(30)
    (gone,) = fleet.list(PODS)
    assert is_deleting(gone) and is_condition_true(gone, "DisruptionTarget")
    assert fleet.events("TaintManagerEviction") == ["Marking for deletion Pod default/p"]


def test_a_node_that_comes_back_loses_its_taints_and_spares_its_pods() -> None:
    fleet = Fleet("n1", "n2", "n3")
    tolerations = [{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]
    fleet.put(PODS, pod("p", tolerations=tolerations))
    fleet.alive.discard("n1")
    fleet.run(90)
    fleet.alive.add("n1")
    fleet.edit(NODES, "n1", lambda found: found["status"].update(node("n1")["status"]))
    fleet.run(600)
    assert fleet.taints("n1") == set() and not is_deleting(fleet.list(PODS)[0])
    assert fleet.events("TaintManagerEviction") == ["Cancelling deletion of Pod default/p"]


def test_when_all_nodes_fall_silent_none_is_given_up() -> None:
    fleet = Fleet("n1", "n2")
    fleet.alive.clear()
    fleet.run(120)
    assert fleet.taints("n1") == {(UNREACHABLE, "NoSchedule")} == fleet.taints("n2")


def test_nodes_of_a_zone_are_given_up_one_in_ten_seconds() -> None:
    fleet = Fleet(*[f"n{number}" for number in range(1, 8)])
    fleet.alive -= {"n1", "n2", "n3"}
    fleet.run(55)
    counts = []
    for _ in range(6):
        counts.append(sum((UNREACHABLE, "NoExecute") in fleet.taints(name) for name in ("n1", "n2", "n3")))
        fleet.run(5)
    assert counts == [1, 1, 2, 2, 3, 3]


def test_a_kubelet_that_says_not_ready_gets_the_other_taint_and_a_swap_needs_no_turn() -> None:
    fleet = Fleet("n1", "n2", "n3")
    fleet.edit(NODES, "n1", lambda found: found["status"].update(node("n1", "False")["status"]))
    fleet.run(5)
    assert fleet.taints("n1") == {(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")}
    fleet.edit(NODES, "n1", lambda found: found["status"].update(node("n1", "Unknown")["status"]))
    fleet.run(5)
    assert fleet.taints("n1") == {(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")}


def test_conditions_and_cordons_become_taints_and_foreign_taints_stay() -> None:
    fleet = Fleet("n1")
    foreign = {"key": "example.com/mine", "effect": "NoSchedule", "value": "v"}

    def change(found: Obj) -> None:
        found["spec"].update(unschedulable=True, taints=[foreign, {"key": NOT_READY, "effect": "NoSchedule"}])
        found["status"]["conditions"][1]["status"] = "True"

    fleet.edit(NODES, "n1", change)
    fleet.settle()
    assert fleet.taints("n1") == {
        ("example.com/mine", "NoSchedule"),
        ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
    }
    assert fleet.node("n1")["spec"]["taints"][0] == foreign
    assert fleet.node("n1")["metadata"]["labels"]["beta.kubernetes.io/os"] == "linux"


def test_a_node_that_never_reported_turns_unknown_too() -> None:
    fleet = Fleet("n1")
    fleet.put(NODES, {"metadata": {"name": "mute"}, "spec": {}})
    fleet.run(70)
    found = condition(fleet.node("mute"), "Ready")
    assert found is not None and found["reason"] == "NodeStatusNeverUpdated"


def test_a_removed_node_is_noted() -> None:
    fleet = Fleet("n1")
    fleet.remove(NODES, "n1", "")
    fleet.settle()
    assert fleet.events("RemovingNode") == ["Node n1 event: Removing Node n1 from Controller"]


STATES = [
    (3, 0, Disruption.NONE, 0.1),
    (0, 3, Disruption.FULL, 0.1),
    (2, 3, Disruption.PARTIAL, 0.0),
    (20, 40, Disruption.PARTIAL, 0.01),
    (1, 2, Disruption.NONE, 0.1),
]


@pytest.mark.parametrize(("ready", "not_ready", "state", "per_second"), STATES)
def test_zone_states_and_rates(ready: int, not_ready: int, state: Disruption, per_second: float) -> None:
    assert disruption(ready, not_ready) is state
    assert rate(state, ready + not_ready) == per_second


TAINT = {"key": "k", "value": "v", "effect": "NoExecute"}
PATIENCE: list[tuple[str, list[Obj], float | None]] = [
    ("no toleration", [], 0.0),
    ("for ever", [{"key": "k", "operator": "Exists"}], None),
    ("for a while", [{"key": "k", "operator": "Exists", "tolerationSeconds": 30}], 30.0),
    ("not at all", [{"key": "k", "operator": "Exists", "tolerationSeconds": -1}], 0.0),
    ("another value", [{"key": "k", "value": "w"}], 0.0),
    ("the same value", [{"key": "k", "operator": "Equal", "value": "v"}], None),
    ("another effect", [{"key": "k", "operator": "Exists", "effect": "NoSchedule"}], 0.0),
    ("everything", [{"operator": "Exists"}], None),
]


@pytest.mark.parametrize(("why", "tolerations", "seconds"), PATIENCE, ids=[case[0] for case in PATIENCE])
def test_a_pod_stays(why: str, tolerations: list[Obj], seconds: float | None) -> None:
    assert seconds_tolerated(tolerations, [TAINT]) == seconds


def test_a_taint_without_a_time_counts_from_when_it_is_seen_and_pods_that_come_later_have_their_own_time() -> None:
    w = World(tainteviction.spec())
    w.put(NODES, node("n1", taints=[{**TAINT, "timeAdded": format_time(START - timedelta(hours=1))}]))
    w.put(PODS, pod("later", tolerations=[{"operator": "Exists", "tolerationSeconds": 30}]))
    w.settle()
    assert not is_deleting(w.list(PODS)[0])
    w.advance(30)
    w.settle()
    assert is_deleting(w.list(PODS)[0])


# --- pod garbage collection -----------------------------------------------------------------------------------------


def collected(w: World) -> None:
    w.tick()
    w.settle()


def test_pods_of_a_node_that_is_gone_fail_after_the_quarantine_and_a_live_read() -> None:
    w = World(podgc.spec())
    w.put(PODS, pod("orphan"))
    w.put(NODES, node("n2"))
    w.put(PODS, pod("fine", "n2"))
    collected(w)
    w.advance(39)
    w.settle()
    assert w.writes == []
    w.advance(1)
    w.settle()
    assert [name_of(item) for item in w.list(PODS)] == ["fine"]
    failed = w.writes[0]
    assert isinstance(failed, Patch) and isinstance(failed.patch, dict) and failed.patch["status"]["phase"] == "Failed"
    assert failed.patch["status"]["conditions"][0]["reason"] == "DeletionByPodGC"
    deleted = w.writes[1]
    assert isinstance(deleted, Delete) and deleted.grace_period_s == 0


def test_a_node_that_the_live_read_still_finds_keeps_its_pods() -> None:
    w = World(podgc.spec())
    w.put(PODS, pod("p"))
    collected(w)
    w.now += timedelta(seconds=60)
    decision = w.specs[0].reconcile(w, ("", ""), w.now)
    w.put(NODES, node("n1"))
    assert decision.then is not None and list(decision.then(w._perform(decision)).actions) == []


def test_unscheduled_terminating_pods_and_those_of_nodes_out_of_service_are_finished_off() -> None:
    w = World(podgc.spec())
    going: Obj = {"deletionTimestamp": format_time(START), "finalizers": ["x/y"]}
    w.put(PODS, pod("unscheduled", "", **going))
    taint = {"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}
    w.put(NODES, node("n1", "Unknown", taints=[taint]))
    w.put(PODS, pod("stuck", **going))
    w.put(PODS, pod("running"))
    collected(w)
    assert sorted(action.name for action in w.writes if isinstance(action, Delete)) == ["stuck", "unscheduled"]


def test_finished_pods_beyond_the_threshold_go_evicted_ones_first_then_the_oldest() -> None:
    w = World(podgc.spec(terminated_threshold=1))
    w.put(NODES, node("n1"))
    for name, minute, reason in (("old", 1, ""), ("new", 9, ""), ("evicted", 5, "Evicted")):
        moment = format_time(START + timedelta(minutes=minute))
        w.put(PODS, {**pod(name, creationTimestamp=moment), "status": {"phase": "Failed", "reason": reason}})
    collected(w)
    assert [name_of(item) for item in w.list(PODS)] == ["new"]
    assert [action.name for action in w.writes if isinstance(action, Delete)] == ["evicted", "old"]


# --- address ranges -----------------------------------------------------------------------------------------------


def ranges(w: World) -> dict[str, str]:
    return {name_of(item): item["spec"].get("podCIDR", "") for item in w.list(NODES)}


def test_each_node_gets_the_next_free_range_and_a_deleted_node_s_is_used_again() -> None:
    w = World(nodeipam.spec("10.244.0.0/16"))
    for name in ("a", "b"):
        w.put(NODES, {"metadata": {"name": name}, "spec": {}})
    w.settle()
    assert ranges(w) == {"a": "10.244.0.0/24", "b": "10.244.1.0/24"}
    assert w.list(NODES)[0]["spec"]["podCIDRs"] == ["10.244.0.0/24"]
    w.remove(NODES, "a", "")
    w.put(NODES, {"metadata": {"name": "c"}, "spec": {}})
    w.settle()
    assert ranges(w) == {"b": "10.244.1.0/24", "c": "10.244.0.0/24"}


def test_an_exhausted_cluster_range_is_told_and_served_when_a_node_leaves() -> None:
    w = World(nodeipam.spec("10.0.0.0/23"))
    for name in ("a", "b", "c"):
        w.put(NODES, {"metadata": {"name": name}, "spec": {}})
    w.settle()
    assert ranges(w)["c"] == "" and w.events("CIDRNotAvailable")
    w.remove(NODES, "a", "")
    w.settle()
    assert ranges(w)["c"] == "10.0.0.0/24"


def test_both_families() -> None:
    w = World(nodeipam.spec("10.0.0.0/16,fd00::/48"))
    w.put(NODES, {"metadata": {"name": "a"}, "spec": {}})
    w.settle()
    assert w.list(NODES)[0]["spec"]["podCIDRs"] == ["10.0.0.0/24", "fd00::/64"]


@settings(derandomize=True, max_examples=50)
@given(st.lists(st.one_of(st.none(), st.integers(0, 40)), max_size=20), st.integers(20, 26))
def test_ranges_never_overlap(given_by_hand: list[int | None], prefix: int) -> None:
    networks = list(ipaddress.ip_network("10.0.0.0/16").subnets(new_prefix=prefix))
    nodes: list[Obj] = []
    for index, place in enumerate(dict.fromkeys(p for p in given_by_hand if p is not None and p < len(networks))):
        nodes.append({"metadata": {"name": f"m{index}", "uid": "u"}, "spec": {"podCIDR": str(networks[place])}})
    nodes += [{"metadata": {"name": f"n{index}", "uid": "u"}, "spec": {}} for index, p in enumerate(given_by_hand) if p is None]
    decision = nodeipam.allocate(nodes, [ipaddress.ip_network("10.0.0.0/16")])
    taken = [ipaddress.ip_network(item["spec"]["podCIDR"]) for item in nodes if item["spec"]]
    for action in decision.actions:
        assert isinstance(action, Patch) and isinstance(action.patch, dict)
        taken.append(ipaddress.ip_network(action.patch["spec"]["podCIDR"]))
    assert len(taken) == len(nodes)
    assert not any(one.overlaps(other) for place, one in enumerate(taken) for other in taken[:place])
