"""Endpoints, EndpointSlices and mirrored slices from the same services and pods."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controllers.world import START, World

from steersman.api.resources import ENDPOINT_SLICES, ENDPOINTS, NODES, PODS, SERVICES
from steersman.controllers import endpoints, endpointslice, endpointslicemirroring
from steersman.loop.slices import port_key
from steersman.loop.spec import Call, Create, Delete, Emit, Update
from steersman.machinery.meta import Obj, annotations_of, format_time, labels_of, name_of, uid_of


def service(name: str = "web", **spec: Any) -> Obj:
    ports = [{"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP"}]
    base = {"selector": {"app": "web"}, "ports": ports, "clusterIP": "10.96.0.9", "ipFamilies": ["IPv4"]}
    return {"metadata": {"name": name, "labels": {"team": "a"}}, "spec": {**base, **spec}}


def pod(number: int, *, ready: bool = True, port: int = 8080, **spec: Any) -> Obj:
    moment = format_time(START)
    address = f"10.244.{number // 250}.{number % 250 + 1}"
    container = {"name": "c", "ports": [{"name": "web", "containerPort": port, "protocol": "TCP"}]}
    return {
        "metadata": {"name": f"p{number:03}", "labels": {"app": "web"}, "uid": f"uid-{number}"},
        "spec": {"nodeName": "n1", "containers": [container], **spec},
        "status": {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}, {"ip": f"fd00::{number + 1:x}"}],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": moment}],
        },
    }


def world(*pods: Obj, **spec: Any) -> World:
    w = World(endpoints.SPEC, endpointslice.SPEC, endpointslicemirroring.SPEC)
    w.put(NODES, {"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z1"}}})
    w.put(SERVICES, service(**spec))
    for item in pods:
        w.put(PODS, item)
    w.settle()
    return w


def slices(w: World) -> list[Obj]:
    return w.list(ENDPOINT_SLICES)


def published(w: World) -> Obj:
    found = w.get(ENDPOINTS, "default", "web")
    assert found is not None
    return found


def test_a_pod_becomes_an_address_and_an_endpoint() -> None:
    w = world(pod(1))
    ref = {"kind": "Pod", "namespace": "default", "name": "p001", "uid": "uid-1"}
    assert published(w)["subsets"] == [
        {
            "addresses": [{"ip": "10.244.0.2", "nodeName": "n1", "targetRef": ref}],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }
    ]
    assert labels_of(published(w)) == {"team": "a", "endpoints.kubernetes.io/managed-by": "endpoint-controller"}
    (found,) = slices(w)
    assert found["endpoints"] == [
        {
            "addresses": ["10.244.0.2"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": "n1",
            "targetRef": ref,
            "zone": "z1",
        }
    ]
    assert found["addressType"] == "IPv4" and found["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert labels_of(found) == {
        "team": "a",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    assert found["metadata"]["ownerReferences"][0]["kind"] == "Service"
    assert annotations_of(found) == {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"}


STATES: list[tuple[str, Obj, dict[str, Any], tuple[bool, bool, bool] | None, str]] = [
    ("ready", pod(1), {}, (True, True, False), "addresses"),
    ("not ready", pod(1, ready=False), {}, (False, False, False), "notReadyAddresses"),
    ("not ready but published", pod(1, ready=False), {"publishNotReadyAddresses": True}, (True, False, False), "addresses"),
    ("finished", {**pod(1), "status": {**pod(1)["status"], "phase": "Succeeded"}}, {}, None, ""),
    ("without an address", {**pod(1), "status": {"phase": "Pending"}}, {}, None, ""),
    ("unknown port name", pod(1, containers=[{"name": "c"}]), {}, None, ""),
]


@pytest.mark.parametrize(("why", "item", "spec", "conditions", "field"), STATES, ids=[case[0] for case in STATES])
def test_a_pod_that_is(why: str, item: Obj, spec: Obj, conditions: tuple[bool, bool, bool] | None, field: str) -> None:
    w = world(item, **spec)
    (found,) = slices(w)
    shown = [tuple(endpoint["conditions"].values()) for endpoint in found["endpoints"]]
    assert shown == ([conditions] if conditions else [])
    assert [key for subset in published(w).get("subsets", ()) for key in subset if key != "ports"] == ([field] if field else [])


def test_a_terminating_pod_leaves_endpoints_but_stays_in_slices_as_serving() -> None:
    w = world(pod(1))
    w.edit(PODS, "p001", lambda p: p["metadata"].update(deletionTimestamp=format_time(START), deletionGracePeriodSeconds=30))
    w.settle()
    assert "subsets" not in published(w)
    assert slices(w)[0]["endpoints"][0]["conditions"] == {"ready": False, "serving": True, "terminating": True}


def test_a_headless_service_without_ports_lists_hostnames_and_carries_its_label() -> None:
    w = world(pod(1, hostname="one", subdomain="web"), pod(2, hostname="two", subdomain="other"), ports=[], clusterIP="None")
    (found,) = slices(w)
    assert [item.get("hostname") for item in found["endpoints"]] == ["one", None]
    assert found["ports"] == [] and labels_of(found)["service.kubernetes.io/headless"] == ""
    assert labels_of(published(w))["service.kubernetes.io/headless"] == ""
    assert [item.get("hostname") for item in published(w)["subsets"][0]["addresses"]] == ["one", None]


def test_both_families_get_slices_but_endpoints_only_the_first() -> None:
    w = world(pod(1), ipFamilies=["IPv6", "IPv4"])
    assert {item["addressType"]: item["endpoints"][0]["addresses"] for item in slices(w)} == {
        "IPv4": ["10.244.0.2"],
        "IPv6": ["fd00::2"],
    }
    assert published(w)["subsets"][0]["addresses"][0]["ip"] == "fd00::2"


def test_pods_with_different_numbers_for_a_port_name_are_grouped_apart() -> None:
    w = world(pod(1, port=8080), pod(2, port=9090))
    assert sorted(port_key(item["ports"])[0][2] for item in slices(w)) == [8080, 9090]
    assert [subset["ports"][0]["port"] for subset in published(w)["subsets"]] == [8080, 9090]


def test_slices_hold_a_hundred_and_one_more_pod_changes_one_slice() -> None:
    w = world(*[pod(number) for number in range(150)])
    assert sorted(len(item["endpoints"]) for item in slices(w)) == [50, 100]
    w.writes.clear()
    w.put(PODS, pod(200))
    w.settle()
    written = [action for action in w.writes if not isinstance(action, Emit | Call) and action.resource == ENDPOINT_SLICES]
    assert len(written) == 1 and isinstance(written[0], Update)
    assert sorted(len(item["endpoints"]) for item in slices(w)) == [51, 100]


def test_without_pods_one_empty_slice_is_kept_and_reused() -> None:
    w = world()
    (empty,) = slices(w)
    assert empty["endpoints"] == [] and empty["ports"] == []
    w.put(PODS, pod(1))
    w.settle()
    (filled,) = slices(w)
    assert name_of(filled) == name_of(empty) and len(filled["endpoints"]) == 1
    w.remove(PODS, "p001")
    w.settle()
    assert [len(item["endpoints"]) for item in slices(w)] == [0]
    assert not any(isinstance(action, Delete) for action in w.writes)


def test_nothing_is_written_when_nothing_changed() -> None:
    w = world(*[pod(number) for number in range(120)])
    w.writes.clear()
    for spec in w.specs:
        assert w.reconcile(spec, ("default", "web")) == []


def test_slices_and_endpoints_changed_by_others_are_put_right_and_others_slices_left_alone() -> None:
    w = world(pod(1))
    foreign = {"metadata": {"name": "x", "labels": {"kubernetes.io/service-name": "web"}}, "addressType": "IPv4", "endpoints": []}
    w.put(ENDPOINT_SLICES, foreign)
    w.edit(ENDPOINT_SLICES, name_of(slices(w)[0]), lambda item: item.update(endpoints=[]))
    w.edit(ENDPOINTS, "web", lambda item: item.update(subsets=[]))
    w.settle()
    assert sorted(len(item["endpoints"]) for item in slices(w)) == [0, 1]
    assert len(published(w)["subsets"]) == 1


def test_pods_of_unknown_nodes_are_left_out_until_the_node_is_there() -> None:
    w = world(pod(1, nodeName="n2"))
    assert slices(w)[0]["endpoints"] == []
    w.put(NODES, {"metadata": {"name": "n2"}})
    w.advance(5)
    w.settle()
    assert len(slices(w)[0]["endpoints"]) == 1


def test_traffic_distribution_hints_only_for_ready_endpoints() -> None:
    w = world(pod(1), pod(2, ready=False), trafficDistribution="PreferSameNode")
    hints = [item.get("hints") for item in slices(w)[0]["endpoints"]]
    assert hints == [{"forZones": [{"name": "z1"}], "forNodes": [{"name": "n1"}]}, None]


def test_endpoints_go_with_their_service_but_those_without_one_are_never_touched() -> None:
    w = world(pod(1))
    w.put(ENDPOINTS, {"metadata": {"name": "leader"}})
    w.remove(SERVICES, "web")
    w.settle()
    assert [name_of(item) for item in w.list(ENDPOINTS)] == ["leader"]


@pytest.mark.parametrize("spec", [{"selector": {}}, {"type": "ExternalName"}])
def test_services_without_selector_or_of_external_names_are_left_alone(spec: Obj) -> None:
    w = world(pod(1), **spec)
    assert w.writes == []


def test_more_than_a_thousand_addresses_are_cut_ready_ones_first() -> None:
    subsets: list[Obj] = [
        {"addresses": [{"ip": str(n)} for n in range(6)], "notReadyAddresses": [{"ip": "x"}] * 4, "ports": [1]},
        {"addresses": [{"ip": str(n)} for n in range(2)], "ports": [2]},
    ]
    assert endpoints.truncate(subsets, 10)
    assert [(len(s.get("addresses", ())), len(s.get("notReadyAddresses", ()))) for s in subsets] == [(6, 2), (2, 0)]
    assert endpoints.truncate(subsets, 5)
    assert [(len(s.get("addresses", ())), len(s.get("notReadyAddresses", ()))) for s in subsets] == [(4, 0), (1, 0)]


def by_hand(**metadata: Any) -> Obj:
    subset = {
        "addresses": [{"ip": "192.0.2.1"}, {"ip": "nonsense"}],
        "notReadyAddresses": [{"ip": "2001:db8::1"}],
        "ports": [{"port": 5}],
    }
    return {"metadata": {"name": "web", **metadata}, "subsets": [subset]}


def test_hand_made_endpoints_are_mirrored_and_follow_their_end() -> None:
    w = world(selector={})
    w.put(ENDPOINTS, by_hand(labels={"k": "v"}))
    w.settle()
    shown = {item["addressType"]: [(e["addresses"], e["conditions"]) for e in item["endpoints"]] for item in slices(w)}
    assert shown == {"IPv4": [(["192.0.2.1"], {"ready": True})], "IPv6": [(["2001:db8::1"], {"ready": False})]}
    assert labels_of(slices(w)[0]) == {
        "k": "v",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io",
    }
    assert w.events("InvalidIPAddress")
    w.remove(ENDPOINTS, "web")
    w.settle()
    assert slices(w) == []


@pytest.mark.parametrize("metadata", [{"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}, {"name": "kubernetes"}])
def test_endpoints_that_say_so_or_belong_to_the_api_server_are_not_mirrored(metadata: Obj) -> None:
    w = world(selector={}, name=str(metadata.get("name", "web")))
    w.put(ENDPOINTS, by_hand(**metadata))
    w.settle()
    assert not any(isinstance(action, Create) for action in w.writes) and uid_of(w.list(ENDPOINTS)[0])


def test_zones_are_worked_out_for_who_asks_for_it_as_long_as_that_can_be() -> None:
    w = World(endpointslice.SPEC)
    for name, zone in (("n1", "z1"), ("n2", "z2")):
        status = {"allocatable": {"cpu": "2"}, "conditions": [{"type": "Ready", "status": "True"}]}
        w.put(NODES, {"metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}}, "status": status})
    made = service(trafficDistribution="PreferSameNode")
    made["metadata"]["annotations"] = {"service.kubernetes.io/topology-mode": "Auto"}
    w.put(SERVICES, made)
    for number, node in ((1, "n1"), (2, "n2")):
        w.put(PODS, pod(number, nodeName=node))
    w.settle()
    assert [item["hints"] for item in slices(w)[0]["endpoints"]] == [{"forZones": [{"name": z}]} for z in ("z1", "z2")]
    assert [item.reason for item in w.emitted] == ["TopologyAwareHintsEnabled"]
    w.put(PODS, pod(2, nodeName="n2", ready=False))
    w.settle()
    assert [item.get("hints") for item in slices(w)[0]["endpoints"]] == [None, None]
    assert [item.reason for item in w.emitted] == ["TopologyAwareHintsEnabled", "TopologyAwareHintsDisabled"]


def test_zones_are_worked_out_anew_when_nodes_have_changed() -> None:
    w = World(endpointslice.SPEC)

    def node(name: str, zone: str, ready: str = "True") -> Obj:
        status = {"allocatable": {"cpu": "2"}, "conditions": [{"type": "Ready", "status": ready}]}
        return {"metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}}, "status": status}

    made = service()
    made["metadata"]["annotations"] = {"service.kubernetes.io/topology-mode": "Auto"}
    w.put(SERVICES, made)
    w.put(NODES, node("n1", "z1"))
    for number in (1, 2):
        w.put(PODS, pod(number, nodeName="n1"))
    w.settle()
    assert [item.get("hints") for item in slices(w)[0]["endpoints"]] == [None, None]
    w.put(NODES, node("n2", "z2"))
    w.settle()
    assert {item["hints"]["forZones"][0]["name"] for item in slices(w)[0]["endpoints"]} == {"z1", "z2"}
    w.put(NODES, node("n2", "z2", ready="Unknown"))
    w.settle()
    assert [item.get("hints") for item in slices(w)[0]["endpoints"]] == [None, None]
