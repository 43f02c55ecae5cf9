"""Each node's DNS as an endpoint of the Service, from the Node that says so to its end."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from tests.unit.controllers.world import World

from steersman.api.resources import ENDPOINT_SLICES, NODES
from steersman.controllers import nodedns
from steersman.machinery.meta import Obj


def node(ready: str = "True", *, port: str = "10053", address: str = "192.0.2.7") -> Obj:
    conditions = [{"type": "Ready", "status": ready}]
    addresses = [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": address}]
    annotations = {"dns.steersman.io/port": port} if port else {}
    return {"metadata": {"name": "n1", "annotations": annotations}, "status": {"conditions": conditions, "addresses": addresses}}


def world(made: Obj) -> World:
    w = World(nodedns.SPEC)
    w.put(NODES, made)
    w.settle()
    return w


def _set_status(status: Obj, obj: Obj) -> None:
    obj["status"] = status


def endpoints(w: World) -> Any:
    found = w.get(ENDPOINT_SLICES, "kube-system", "kube-dns-n1")
    return found and found["endpoints"]


def test_a_ready_node_is_asked_and_asks_itself_first() -> None:
    w = world(node())
    ready = {"ready": True, "serving": True, "terminating": False}
    assert endpoints(w) == [
        {"addresses": ["192.0.2.7"], "conditions": ready, "nodeName": "n1", "hints": {"forNodes": [{"name": "n1"}]}}
    ]
    found = w.get(ENDPOINT_SLICES, "kube-system", "kube-dns-n1")
    assert found is not None and found["metadata"]["labels"]["kubernetes.io/service-name"] == "kube-dns"
    assert [(port["port"], port["protocol"]) for port in found["ports"]] == [(10053, "UDP"), (10053, "TCP")]


def test_a_node_that_falls_silent_is_not_asked_until_it_is_back_and_one_that_goes_takes_its_endpoint_along() -> None:
    w = world(node())
    for status in (node("Unknown")["status"], node("True")["status"]):
        w.edit(NODES, "n1", partial(_set_status, status), "")
        w.settle()
        assert endpoints(w)[0]["conditions"]["ready"] is (status["conditions"][0]["status"] == "True")
    w.writes.clear()
    w.edit(NODES, "n1", lambda obj: obj["metadata"].update(labels={"a": "b"}), "")
    w.settle()
    assert not w.writes
    w.remove(NODES, "n1", "")
    w.settle()
    assert endpoints(w) is None


@pytest.mark.parametrize("made", [node(port=""), node(port="none"), node(port="70000"), node(address="fd00::7")])
def test_a_node_that_answers_no_dns_is_no_endpoint(made: Obj) -> None:
    assert endpoints(world(made)) is None


def test_what_another_publishes_is_left_to_it_and_taken_over_from_a_node_of_ours() -> None:
    other: Obj = {
        "metadata": {"namespace": "kube-system", "name": "kube-dns-n1", "labels": {nodedns.MANAGED_BY: "somebody"}},
        "addressType": "IPv4",
        "ports": [],
        "endpoints": [],
    }
    w = World(nodedns.SPEC)
    w.put(ENDPOINT_SLICES, other)
    w.put(NODES, node(port=""))
    w.settle()
    assert endpoints(w) == [] and not w.writes
    w.edit(NODES, "n1", lambda obj: obj["metadata"].update(annotations={"dns.steersman.io/port": "53"}), "")
    w.settle()
    found = w.get(ENDPOINT_SLICES, "kube-system", "kube-dns-n1")
    assert found is not None and found["metadata"]["labels"][nodedns.MANAGED_BY] == nodedns.MANAGER
    assert found["ports"][0]["port"] == 53
