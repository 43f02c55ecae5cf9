"""Nodes and their machines: initialisation, addresses, machines gone or off, routes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fakes.cloud import Machines, RouteTable
from tests.unit.controllers.world import World

from steersman.api.resources import NODES
from steersman.cloud.controllers import node, nodelifecycle, route
from steersman.cloud.interface import InstanceMetadata, InstanceNotFound, Route
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj, condition

NEW = {"key": "node.cloudprovider.kubernetes.io/uninitialized", "value": "true", "effect": "NoSchedule"}
OTHER = {"key": "mine", "effect": "NoSchedule"}
INSIDE = {"type": "InternalIP", "address": "10.0.0.4"}
HOST = {"type": "Hostname", "address": "n1"}


def found(w: World, name: str = "n1") -> Obj:
    obj = w.get(NODES, "", name)
    assert obj is not None
    return obj


def ready(status: str) -> Obj:
    return {"conditions": [{"type": "Ready", "status": status}]}


def test_a_new_node_learns_what_its_cloud_knows_and_loses_the_taint() -> None:
    known = InstanceMetadata("cloud://i-1", "m5.large", (INSIDE,), "eu-1a", "eu-1", {"example.com/rack": "7"})
    w = World(node.spec(Machines(known)))
    w.put(NODES, {"metadata": {"name": "n1"}, "spec": {"taints": [NEW, OTHER]}, "status": {"addresses": [HOST]}})
    w.settle()
    done = found(w)
    assert done["spec"] == {"providerID": "cloud://i-1", "taints": [OTHER]}
    assert done["status"]["addresses"] == [INSIDE, HOST]
    assert done["metadata"]["labels"] == {
        "node.kubernetes.io/instance-type": "m5.large",
        "beta.kubernetes.io/instance-type": "m5.large",
        "topology.kubernetes.io/zone": "eu-1a",
        "failure-domain.beta.kubernetes.io/zone": "eu-1a",
        "topology.kubernetes.io/region": "eu-1",
        "failure-domain.beta.kubernetes.io/region": "eu-1",
        "example.com/rack": "7",
    }
    assert w.events("Synced") == ["Node synced successfully"]


def test_a_node_its_cloud_does_not_know_stays_tainted_and_is_tried_again() -> None:
    machines = Machines(broken=InstanceNotFound("no such instance"))
    w = World(node.spec(machines))
    w.put(NODES, {"metadata": {"name": "n1"}, "spec": {"taints": [NEW]}})
    w.settle()
    assert found(w)["spec"]["taints"] == [NEW] and not w.writes
    machines.broken = None
    w.advance(5)
    w.settle()
    assert found(w)["spec"] == {"providerID": "cloud://1"}


def test_addresses_are_asked_for_every_five_minutes_and_not_with_each_heartbeat() -> None:
    machines = Machines(InstanceMetadata("cloud://1", addresses=(INSIDE,)))
    w = World(node.spec(machines))
    w.put(NODES, {"metadata": {"name": "n1"}, "status": {"addresses": [HOST]}})
    w.settle()
    for _ in range(3):
        w.advance(60)
        w.edit(NODES, "n1", lambda obj: obj["status"].update(conditions=[{"type": "Ready", "status": str(w.now)}]))
        w.settle()
    assert machines.asked == 1 and found(w)["status"]["addresses"] == [INSIDE, HOST]
    outside = {"type": "ExternalIP", "address": "203.0.113.4"}
    machines.known = InstanceMetadata("cloud://1", addresses=(INSIDE, outside))
    w.advance(120)
    w.settle()
    assert machines.asked == 2 and found(w)["status"]["addresses"] == [INSIDE, outside, HOST]


@pytest.mark.parametrize(
    ("status", "taints", "stays"),
    [("True", [], True), ("False", [], False), ("Unknown", [], False), ("Unknown", [NEW], True)],
)
def test_a_node_goes_when_it_is_not_ready_and_its_machine_is_gone(status: str, taints: list[Obj], stays: bool) -> None:
    w = World(nodelifecycle.spec(Machines(gone={"n1"})))
    w.put(NODES, {"metadata": {"name": "n1"}, "spec": {"taints": taints}, "status": ready(status)})
    w.tick()
    w.settle()
    assert (w.get(NODES, "", "n1") is not None) is stays
    text = "Deleting node n1 because it does not exist in the cloud provider"
    assert w.events("DeletingNode") == ([] if stays else [text])


def test_a_machine_that_is_switched_off_taints_its_node_until_it_is_ready_again() -> None:
    w = World(nodelifecycle.spec(Machines(off={"n1"})))
    w.put(NODES, {"metadata": {"name": "n1"}, "spec": {"taints": [OTHER]}, "status": ready("Unknown")})
    w.tick()
    w.settle()
    off = {"key": "node.cloudprovider.kubernetes.io/shutdown", "effect": "NoSchedule"}
    assert found(w)["spec"]["taints"] == [OTHER, off]
    writes = len(w.writes)
    w.tick()
    w.settle()
    assert len(w.writes) == writes
    w.edit(NODES, "n1", lambda obj: obj.update(status=ready("True")))
    w.tick()
    w.settle()
    assert found(w)["spec"]["taints"] == [OTHER]


def routed(table: RouteTable, **nodes: str) -> World:
    w = World(route.spec(table, "kubernetes", "10.244.0.0/16", VirtualClock()))
    for name, cidr in nodes.items():
        w.put(NODES, {"metadata": {"name": name}, "spec": {"podCIDR": cidr, "podCIDRs": [cidr]} if cidr else {}})
    w.tick()
    w.settle()
    return w


def unavailable(w: World, name: str) -> Any:
    item = condition(found(w, name), "NetworkUnavailable")
    return item and (item["status"], item["reason"], item["message"])


def test_every_pod_range_gets_a_route_and_stale_ones_go() -> None:
    others = Route("172.16.0.0/24", "elsewhere")
    stale = [Route("10.244.9.0/24", "gone"), Route("10.244.2.0/24", "n1"), Route("10.244.7.0/24", "n1", blackhole=True)]
    table = RouteTable([others, *stale])
    w = routed(table, n1="10.244.1.0/24", n2="10.244.2.0/24", n3="")
    assert [(each.destination_cidr, each.target_node) for each in table.routes] == [
        ("172.16.0.0/24", "elsewhere"), ("10.244.1.0/24", "n1"), ("10.244.2.0/24", "n2"),
    ]  # fmt: skip
    assert unavailable(w, "n1") == ("False", "RouteCreated", "RouteController created a route")
    assert unavailable(w, "n3") is None


def test_a_route_that_fails_is_told_and_made_at_a_later_turn() -> None:
    table = RouteTable(refused={"n1"})
    w = routed(table, n1="10.244.1.0/24")
    uid = found(w)["metadata"]["uid"]
    assert unavailable(w, "n1") == ("True", "NoRouteCreated", "RouteController failed to create a route")
    assert w.events("FailedToCreateRoute") == [
        f"Could not create route {uid} 10.244.1.0/24 for node n1 after 0s: the table is full"
    ]
    table.refused.clear()
    w.advance(10)
    w.settle()
    assert unavailable(w, "n1") == ("False", "RouteCreated", "RouteController created a route")
