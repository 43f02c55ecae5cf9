"""The proxy's decisions: which endpoints a port gets, and the rules made of them, checked by nft itself where root allows."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from steersman.machinery.meta import Obj
from steersman.proxy import rules
from steersman.proxy.rules import ProxyConfig, Table
from steersman.proxy.services import NodeView, ServicePort, service_ports

NODE = NodeView("here", "zone-a")
CONFIG = ProxyConfig("10.244.0.0/16", "10.96.0.0/16", ("192.0.2.1",))


def service(**spec: Any) -> Obj:
    ports = [{"port": 80, "protocol": "TCP"}]
    return {
        "metadata": {"namespace": "default", "name": "web"},
        "spec": {"type": "ClusterIP", "clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.1"], "ports": ports, **spec},
    }


def endpoint(last: int, node: str = "there", **more: Any) -> Obj:
    return {"addresses": [f"10.244.0.{last}"], "nodeName": node, **more}


def slices(*endpoints: Obj) -> list[Obj]:
    labels = {"kubernetes.io/service-name": "web"}
    return [
        {
            "metadata": {"namespace": "default", "name": "web-x", "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
            "endpoints": list(endpoints),
        }
    ]


def only(found: list[ServicePort]) -> ServicePort:
    (port,) = found
    return port


TERMINATING: dict[str, Any] = {"conditions": {"ready": False, "serving": True, "terminating": True}}
NOT_READY: dict[str, Any] = {"conditions": {"ready": False, "serving": False}}


@pytest.mark.parametrize(
    ("endpoints", "cluster", "local"),
    [
        ([], [], []),
        ([endpoint(2), endpoint(3, "here")], [2, 3], [3]),
        ([endpoint(2, **NOT_READY), endpoint(3)], [3], []),
        ([endpoint(2, **TERMINATING), endpoint(3)], [3], []),
        ([endpoint(2, **TERMINATING), endpoint(3, "here", **TERMINATING)], [2, 3], [3]),
        ([endpoint(2, hints={"forZones": [{"name": "zone-a"}]}), endpoint(3, hints={"forZones": [{"name": "b"}]})], [2], []),
        ([endpoint(2, hints={"forZones": [{"name": "zone-a"}]}), endpoint(3)], [2, 3], []),
        ([endpoint(2, hints={"forZones": [{"name": "b"}]}), endpoint(3, hints={"forZones": [{"name": "b"}]})], [2, 3], []),
    ],
)
def test_endpoints_follow_readiness_termination_and_topology(endpoints: list[Obj], cluster: list[int], local: list[int]) -> None:
    port = only(service_ports([service()], slices(*endpoints), NODE))
    assert [int(each.ip.rsplit(".")[-1]) for each in port.cluster] == cluster
    assert [int(each.ip.rsplit(".")[-1]) for each in port.local] == local


@pytest.mark.parametrize(
    "unserved",
    [
        service(clusterIP="None", clusterIPs=["None"]),
        service(type="ExternalName", clusterIP=""),
        {**service(), "metadata": {"name": "web", "labels": {"service.kubernetes.io/service-proxy-name": "other"}}},
        {**service(), "metadata": {"name": "web", "labels": {"service.kubernetes.io/headless": ""}}},
    ],
)
def test_services_that_are_not_for_this_proxy_are_left_alone(unserved: Obj) -> None:
    assert service_ports([unserved], [], NODE) == []


def made(spec: dict[str, Any], *endpoints: Obj) -> Table:
    return rules.table(service_ports([service(**spec)], slices(*endpoints), NODE), CONFIG)


def test_a_service_without_endpoints_rejects_and_one_with_only_remote_ones_drops_under_the_local_policy() -> None:
    assert made({}).elements["no-endpoint-services"] == {"10.96.1.1 . tcp . 80": "goto reject-chain"}
    local = made({"internalTrafficPolicy": "Local"}, endpoint(2))
    assert local.elements["no-endpoint-services"] == {"10.96.1.1 . tcp . 80": "drop"}


def test_equal_tables_need_no_script_and_a_removed_service_leaves_nothing() -> None:
    table = made({"sessionAffinity": "ClientIP"}, endpoint(2), endpoint(3, "here"))
    assert rules.difference(table, table) == ""
    script = rules.difference(table, Table())
    for chain in table.chains:
        assert f"delete chain ip kube-proxy {chain}\n" in script
    assert "delete element ip kube-proxy service-ips" in script


def sticky(seconds: int) -> dict[str, Any]:
    return {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}}


def test_an_affinity_of_another_length_is_kept_in_another_set() -> None:
    short, long = (made(sticky(seconds), endpoint(2)) for seconds in (60, 120))
    assert list(short.affinity_sets.values()) == [60] and list(long.affinity_sets.values()) == [120]
    script = rules.difference(short, long)
    for name in short.affinity_sets:
        assert f"delete set ip kube-proxy {name}\n" in script
    for name in long.affinity_sets:
        assert f"add set ip kube-proxy {name} {{ type ipv4_addr; flags dynamic,timeout; timeout 120s; }}\n" in script


SPECS: list[dict[str, Any]] = [
    {},
    {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}]},
    {"type": "NodePort", "externalTrafficPolicy": "Local", "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}]},
    {"sessionAffinity": "ClientIP", "internalTrafficPolicy": "Local"},
    sticky(60),
    sticky(120),
    {"externalIPs": ["198.51.100.7"]},
]


@pytest.mark.root
def test_nft_takes_every_table_and_every_step_between_two_of_them() -> None:
    tables = [Table()]
    for spec in SPECS:
        for endpoints in ([], [endpoint(2)], [endpoint(2), endpoint(3, "here"), endpoint(4)]):
            tables.append(made(spec, *endpoints))
    tables.append(Table())
    script = rules.base(CONFIG)
    script += "".join(rules.difference(old, new) for old, new in zip(tables, tables[1:], strict=False))
    # A namespace of its own that ends with the process: nothing is left behind.
    done = subprocess.run(["unshare", "--net", "nft", "-f", "-"], input=script.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
