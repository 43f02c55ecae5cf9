"""Services of type LoadBalancer: an address that answers, is given back, and harms nothing else that the node answers on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.harness import ADDRESS, Cluster, Failed, eventually, example_manifest

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def hello(cluster: Cluster) -> Iterator[str]:
    """A namespace with the example's three pods."""
    cluster.steersman("example", "--image-only", "1")
    cluster.kubectl("create", "namespace", "balanced")
    cluster.apply(example_manifest(), namespace="balanced")
    cluster.kubectl("-n", "balanced", "rollout", "status", "deployment/hello", "--timeout=240s")
    yield "balanced"
    cluster.kubectl("delete", "namespace", "balanced")


def balancer(name: str, port: int, **spec: Any) -> str:
    ports = [{"port": port, "targetPort": "http"}]
    whole = {"type": "LoadBalancer", "selector": {"app": "hello"}, "ports": ports, **spec}
    return json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": whole})


def shown(cluster: Cluster, namespace: str, name: str) -> list[str]:
    return cluster.kubectl("get", "service", name, "-n", namespace, "--no-headers").split()


def test_a_load_balancer_answers_on_the_nodes_address_until_it_is_deleted(cluster: Cluster, hello: str) -> None:
    cluster.apply(balancer("front", 8080), namespace=hello)
    eventually(lambda: shown(cluster, hello, "front")[3] == ADDRESS, what="EXTERNAL-IP")
    said = eventually(lambda: cluster.curl(f"http://{ADDRESS}:8080"))
    assert said.startswith("Hello from hello-")
    pod = cluster.get("pods", "-n", hello, "-l", "app=hello")["items"][0]["metadata"]["name"]
    assert "Hello" in cluster.kubectl("exec", "-n", hello, pod, "--", "wget", "-qO-", f"http://{ADDRESS}:8080")
    node_port = cluster.get("service", "front", "-n", hello)["spec"]["ports"][0]["nodePort"]
    assert "Hello" in cluster.curl(f"http://{ADDRESS}:{node_port}")
    cluster.kubectl("delete", "service", "front", "-n", hello)
    eventually(lambda: cluster.run("curl", "-sS", "--max-time", "5", f"http://{ADDRESS}:8080", code=7), what="refusal")


def test_ports_of_the_node_and_of_other_services_are_not_taken_from_them(cluster: Cluster, hello: str) -> None:
    cluster.apply(balancer("first", 8081), namespace=hello)
    eventually(lambda: shown(cluster, hello, "first")[3] == ADDRESS, what="EXTERNAL-IP")
    refused = {"api": 6443, "kubelet": 10250, "second": 8081}
    for name, port in refused.items():
        cluster.apply(balancer(name, port), namespace=hello)

    def told(name: str) -> str:
        events = cluster.get(
            "events", "-n", hello, "--field-selector", f"involvedObject.name={name},reason=SyncLoadBalancerFailed"
        )
        return str(events["items"][0]["message"])

    start = "Error syncing load balancer: failed to ensure load balancer: port"
    assert eventually(lambda: told("api")) == f"{start} 6443/TCP of {ADDRESS} is reserved for the node"
    assert eventually(lambda: told("kubelet")) == f"{start} 10250/TCP of {ADDRESS} is reserved for the node"
    assert eventually(lambda: told("second")) == f"{start} 8081/TCP of {ADDRESS} is used by service {hello}/first"
    assert {shown(cluster, hello, name)[3] for name in refused} == {"<pending>"}
    assert cluster.kubectl("get", "--raw", "/readyz", "--server", f"https://{ADDRESS}:6443") == "ok"
    cluster.kubectl("delete", "service", "first", "-n", hello)
    eventually(lambda: shown(cluster, hello, "second")[3] == ADDRESS, what="the address passed on")
    assert "Hello" in eventually(lambda: cluster.curl(f"http://{ADDRESS}:8081"))
    cluster.kubectl("delete", "service", *refused, "-n", hello)


def test_only_clients_of_the_source_ranges_are_answered(cluster: Cluster, hello: str) -> None:
    cluster.apply(balancer("guarded", 8082, loadBalancerSourceRanges=["10.244.0.0/16"]), namespace=hello)
    pod = cluster.get("pods", "-n", hello, "-l", "app=hello")["items"][0]["metadata"]["name"]
    inside = ("exec", "-n", hello, pod, "--", "timeout", "3", "wget", "-qO-", f"http://{ADDRESS}:8082")
    assert "Hello" in eventually(lambda: cluster.kubectl(*inside))
    with pytest.raises(Failed, match="timed out"):
        cluster.curl(f"http://{ADDRESS}:8082", "--max-time", "2")
    cluster.apply(balancer("guarded", 8082, loadBalancerSourceRanges=[f"{ADDRESS}/32"]), namespace=hello)
    assert "Hello" in eventually(lambda: cluster.curl(f"http://{ADDRESS}:8082", "--max-time", "2"))
    with pytest.raises(Failed):
        cluster.kubectl(*inside)
    cluster.kubectl("delete", "service", "guarded", "-n", hello)
