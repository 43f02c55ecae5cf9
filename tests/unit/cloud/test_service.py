"""The service controller: what the provider is asked, what users are told, and when nothing is done."""

from __future__ import annotations

import pytest
from tests.fakes.cloud import Balancers
from tests.unit.controllers.world import World

from steersman.api.resources import NODES, SERVICES
from steersman.cloud.controllers import service
from steersman.cloud.interface import ProviderError
from steersman.machinery.meta import Obj, dig

WEB: Obj = {"metadata": {"name": "web"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}


def world(*nodes: str, checks_health: bool = True) -> tuple[World, Balancers]:
    cloud = Balancers(checks_health=checks_health)
    made = World(service.spec(cloud, "kubernetes"))
    for name in nodes:
        made.put(NODES, {"metadata": {"name": name}})
    return made, cloud


def found(w: World) -> Obj:
    obj = w.get(SERVICES, "default", "web")
    assert obj is not None
    return obj


def address(w: World) -> str | None:
    ip: str | None = dig(found(w), "status", "loadBalancer", "ingress", 0, "ip")
    return ip


def reasons(w: World) -> list[str]:
    return [event.reason for event in w.emitted]


def test_a_new_service_gets_finalizer_load_balancer_and_address() -> None:
    w, cloud = world("n1", "n2")
    made = w.put(SERVICES, WEB)
    w.settle()
    assert found(w)["metadata"]["finalizers"] == ["service.kubernetes.io/load-balancer-cleanup"]
    assert address(w) == "203.0.113.7"
    assert reasons(w) == ["EnsuringLoadBalancer", "EnsuredLoadBalancer"]
    name = ("a" + made["metadata"]["uid"].replace("-", ""))[:32]
    assert cloud.there == {name: ["n1", "n2"]}


def test_the_provider_is_asked_again_only_for_what_concerns_it() -> None:
    w, cloud = world("n1")
    w.put(SERVICES, WEB)
    w.settle()
    w.edit(SERVICES, "web", lambda obj: obj["spec"].update(selector={"app": "x"}))
    w.edit(SERVICES, "web", lambda obj: obj["metadata"].update(labels={"a": "b"}))
    w.edit(NODES, "n1", lambda obj: obj.update(status={"conditions": [{"type": "Ready", "status": "False"}]}))
    w.advance(100)
    w.settle()
    assert cloud.calls == ["ensure web"]
    w.edit(SERVICES, "web", lambda obj: obj["spec"].update(ports=[{"port": 81}]))
    w.settle()
    assert cloud.calls == ["ensure web", "ensure web"]


@pytest.mark.parametrize("spec", [{"type": "ClusterIP"}, {"type": "LoadBalancer", "loadBalancerClass": "example.com/mine"}])
def test_services_of_others_are_left_alone(spec: Obj) -> None:
    w, cloud = world("n1")
    w.put(SERVICES, {"metadata": {"name": "web"}, "spec": spec})
    w.settle()
    assert not cloud.calls and not w.emitted and not w.writes


def test_a_deleted_service_waits_for_its_load_balancer_to_go() -> None:
    w, cloud = world("n1")
    w.put(SERVICES, WEB)
    w.settle()
    w.emitted.clear()
    cloud.broken = ProviderError("cannot now")
    w.edit(SERVICES, "web", lambda obj: obj["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z"))
    w.settle()
    assert cloud.there and w.get(SERVICES, "default", "web") is not None
    expected = ["Error syncing load balancer: failed to delete load balancer: cannot now"]
    assert w.events("SyncLoadBalancerFailed") == expected
    cloud.broken = None
    w.advance(5)
    w.settle()
    assert not cloud.there and w.get(SERVICES, "default", "web") is None
    assert reasons(w)[-2:] == ["DeletingLoadBalancer", "DeletedLoadBalancer"]


def test_a_service_that_is_no_load_balancer_any_more_loses_address_and_finalizer() -> None:
    w, cloud = world("n1")
    w.put(SERVICES, WEB)
    w.settle()
    w.edit(SERVICES, "web", lambda obj: obj["spec"].update(type="ClusterIP"))
    w.settle()
    assert not cloud.there and address(w) is None and "finalizers" not in found(w)["metadata"]


def test_a_service_whose_finalizer_was_torn_off_is_cleaned_up_after_all() -> None:
    w, cloud = world("n1")
    w.put(SERVICES, WEB)
    w.settle()
    w.remove(SERVICES, "web")
    w.settle()
    assert not cloud.there and reasons(w)[-2:] == ["DeletingLoadBalancer", "DeletedLoadBalancer"]


def test_one_made_anew_under_the_same_name_gets_its_own() -> None:
    w, cloud = world("n1")
    first = w.put(SERVICES, WEB)
    w.settle()
    w.remove(SERVICES, "web")
    w.put(SERVICES, WEB)
    w.settle()
    w.advance(1)
    w.settle()
    assert cloud.calls == ["ensure web", "delete web", "ensure web"]
    assert found(w)["metadata"]["uid"] != first["metadata"]["uid"] and len(cloud.there) == 1


def test_a_failure_is_told_and_tried_again() -> None:
    w, cloud = world("n1")
    cloud.broken = ProviderError("no quota")
    w.put(SERVICES, WEB)
    w.settle()
    assert w.events("SyncLoadBalancerFailed") == ["Error syncing load balancer: failed to ensure load balancer: no quota"]
    assert address(w) is None
    cloud.broken = None
    w.advance(5)
    w.settle()
    assert address(w) == "203.0.113.7"


def test_a_failure_that_cost_the_address_shows_in_the_status() -> None:
    w, cloud = world("n1")
    w.put(SERVICES, WEB)
    w.settle()
    cloud.broken = ProviderError("port 22 is reserved", {})
    w.edit(SERVICES, "web", lambda obj: obj["spec"].update(ports=[{"port": 80}, {"port": 22}]))
    w.settle()
    assert address(w) is None


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({"metadata": {"labels": {"node.kubernetes.io/exclude-from-external-load-balancers": ""}}}, ["n1"]),
        ({"metadata": {"labels": {"node.kubernetes.io/exclude-from-external-load-balancers": "false"}}}, ["n1", "n2"]),
        ({"spec": {"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]}}, ["n1"]),
        ({"spec": {"unschedulable": True}}, ["n1", "n2"]),
    ],
)
def test_which_nodes_take_traffic(change: Obj, left: list[str]) -> None:
    w, cloud = world("n1", "n2")
    w.put(SERVICES, WEB)
    w.settle()

    def apply(node: Obj) -> None:
        for part, content in change.items():
            node.setdefault(part, {}).update(content)

    w.edit(NODES, "n2", apply)
    w.settle()
    assert list(cloud.there.values()) == [left]
    assert w.events("UpdatedLoadBalancer") == ([] if len(left) == 2 else ["Updated load balancer with new hosts"])


def test_without_nodes_users_are_warned() -> None:
    w, cloud = world("n1")
    w.put(SERVICES, WEB)
    w.settle()
    cloud.broken = ProviderError("not now")
    w.remove(NODES, "n1")
    w.settle()
    assert w.events("UnAvailableLoadBalancer") == ["There are no available nodes for LoadBalancer"]
    assert w.events("UpdateLoadBalancerFailed") == [
        "Error updating load balancer with new hosts [] [node names limited, total number of nodes: 0], error: not now"
    ]


def test_what_one_releases_another_that_waits_gets_at_once() -> None:
    w, cloud = world("n1")
    w.put(SERVICES, {**WEB, "metadata": {"name": "first"}})
    w.settle()
    cloud.broken = ProviderError("port 80 is used")
    w.put(SERVICES, WEB)
    w.settle()
    cloud.broken = None
    w.edit(SERVICES, "first", lambda obj: obj["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z"))
    w.settle()
    assert address(w) == "203.0.113.7"


def test_a_load_balancer_that_checks_no_health_is_told_which_nodes_are_ready() -> None:
    def ready(status: str) -> None:
        w.edit(NODES, "n1", lambda obj: obj.update(status={"conditions": [{"type": "Ready", "status": status}]}))
        w.settle()

    w, cloud = world("n1", "n2", checks_health=False)
    w.put(SERVICES, WEB)
    w.settle()
    assert list(cloud.there.values()) == [["n1", "n2"]], "if none is ready, all may be"
    ready("True")
    assert list(cloud.there.values()) == [["n1"]]
    ready("Unknown")
    assert list(cloud.there.values()) == [["n1", "n2"]]
    assert cloud.calls == ["ensure web", "update web", "update web"]
