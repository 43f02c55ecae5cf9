"""Ranges of cluster IPs stay while they are needed."""

from __future__ import annotations

from tests.unit.controllers.world import World

from steersman.api.resources import IP_ADDRESSES, SERVICE_CIDRS
from steersman.controllers import servicecidrs
from steersman.loop.spec import Delete
from steersman.machinery.meta import Obj, condition, name_of


def world(**cidrs: str) -> World:
    w = World(servicecidrs.SPEC)
    for name, cidr in cidrs.items():
        w.put(SERVICE_CIDRS, {"metadata": {"name": name}, "spec": {"cidrs": [cidr]}})
    w.settle()
    return w


def hold(w: World, address: str, managed: bool = True) -> None:
    labels = {"ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"} if managed else {}
    w.put(IP_ADDRESSES, {"metadata": {"name": address, "labels": labels}, "spec": {}})
    w.settle()


def delete(w: World, name: str) -> list[str]:
    w._carry_out(Delete(SERVICE_CIDRS, "", name))
    w.settle()
    w.advance(11)
    w.settle()
    return [name_of(cidr) for cidr in w.list(SERVICE_CIDRS)]


def ready(w: World, name: str) -> tuple[str, str]:
    found: Obj = condition(next(cidr for cidr in w.list(SERVICE_CIDRS) if name_of(cidr) == name), "Ready") or {}
    return found["status"], found["reason"]


def test_a_new_range_is_held_and_ready() -> None:
    w = world(a="10.9.0.0/24")
    assert w.list(SERVICE_CIDRS)[0]["metadata"]["finalizers"] == [servicecidrs.FINALIZER]
    assert ready(w, "a") == ("True", "")


def test_a_range_that_nobody_uses_goes_after_a_moment() -> None:
    w = world(a="10.9.0.0/24")
    hold(w, "10.8.0.1")
    hold(w, "10.9.0.1", managed=False)
    assert delete(w, "a") == []


def test_a_range_in_use_stays_until_its_last_address_is_given_back() -> None:
    w = world(a="10.9.0.0/24")
    hold(w, "10.9.0.1")
    assert delete(w, "a") == ["a"]
    assert ready(w, "a") == ("False", "Terminating")
    assert len(w.events("KubernetesServiceCIDRDeletionPending")) == 1
    w.remove(IP_ADDRESSES, "10.9.0.1")
    w.settle()
    assert w.list(SERVICE_CIDRS) == []


def test_a_range_goes_when_another_has_its_addresses() -> None:
    w = world(a="10.9.0.0/24", wider="10.9.0.0/16")
    hold(w, "10.9.0.1")
    assert delete(w, "a") == ["wider"]
    assert delete(w, "wider") == ["wider"]
    w.put(SERVICE_CIDRS, {"metadata": {"name": "again"}, "spec": {"cidrs": ["10.9.0.0/24"]}})
    w.settle()
    w.advance(11)
    w.settle()
    assert [name_of(cidr) for cidr in w.list(SERVICE_CIDRS)] == ["again"]
