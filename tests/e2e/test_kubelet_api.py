"""The kubelet's own API, of a real node: what it tells of pods, of the machine and of itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.e2e.harness import Cluster, eventually

from steersman.machinery import yamlio
from steersman.machinery.meta import Obj

pytestmark = pytest.mark.root

SCRIPT = "dd if=/dev/zero of=/disk/a bs=1M count=3; dd if=/dev/zero of=/memory/a bs=1M count=2; echo full; sleep 9999"
WRITER: Obj = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "writer"},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "volumes": [{"name": "disk", "emptyDir": {}}, {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}}],
        "containers": [
            {
                "name": "main",
                "image": "steersman.example/hello:1",
                "imagePullPolicy": "Never",
                "command": ["sh", "-c", SCRIPT],
                "resources": {"limits": {"memory": "64Mi"}},
                "volumeMounts": [{"name": "disk", "mountPath": "/disk"}, {"name": "memory", "mountPath": "/memory"}],
                "readinessProbe": {"exec": {"command": ["test", "-e", "/memory/a"]}, "periodSeconds": 1},
            }
        ],
    },
}  # fmt: skip


def told(cluster: Cluster, path: str) -> str:
    """What the kubelet says, through the API server."""
    return cluster.kubectl("get", "--raw", f"/api/v1/nodes/node-1/proxy/{path}")


@pytest.fixture
def writer(cluster: Cluster, namespace: str) -> str:
    """The namespace of a pod that has written into its volumes."""
    cluster.steersman("example", "--image-only", "1")
    cluster.apply(yamlio.dump(WRITER), namespace=namespace)
    cluster.kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod/writer", "--timeout=240s")
    eventually(lambda: "full" in cluster.kubectl("logs", "-n", namespace, "writer"), what="it has written all")
    return namespace


def test_the_summary_has_cpu_memory_disks_and_network(cluster: Cluster, writer: str) -> None:
    def summary() -> Any:
        found = json.loads(told(cluster, "stats/summary"))
        pod = next(each for each in found["pods"] if each["podRef"]["namespace"] == writer)
        # Volumes are measured now and then: it may have been in the middle of the writing.
        used = {each["name"]: each.get("usedBytes", 0) for each in pod.get("volume", ())}
        measured = used.get("memory") == 2 << 20 and used.get("disk", 0) >= 3 << 20
        return (found["node"], pod) if "usageNanoCores" in pod["cpu"] and measured else None

    node, pod = eventually(summary)
    (container,) = pod["containers"]
    assert container["memory"]["workingSetBytes"] + container["memory"]["availableBytes"] == 64 << 20
    assert container["rootfs"]["capacityBytes"] > container["rootfs"]["usedBytes"] and container["logs"]["usedBytes"] > 0
    assert pod["network"]["name"] == "eth0" and pod["network"]["txBytes"] >= 0
    assert pod["process_stats"]["process_count"] >= 1
    volumes = {each["name"]: each for each in pod["volume"]}
    assert volumes["disk"]["usedBytes"] < 4 << 20
    assert volumes["memory"]["capacityBytes"] == 8 << 20
    assert 3 << 20 <= pod["ephemeral-storage"]["usedBytes"] < 5 << 20, "memory is no disk"
    assert node["nodeName"] == "node-1" and node["network"]["name"] == "eth0"
    for part in ("imageFs", "containerFs"):
        assert node["runtime"][part]["capacityBytes"] > node["runtime"][part]["usedBytes"] > 0
    assert node["rlimit"]["maxpid"] > node["rlimit"]["curproc"] > 0
    assert [each["name"] for each in node["systemContainers"]] == ["kubelet"]
    brief = json.loads(told(cluster, "stats/summary?only_cpu_and_memory=true"))
    assert set(brief["node"]) == {"nodeName", "systemContainers", "startTime", "cpu", "memory"}


def test_metrics_name_the_pod_its_network_and_its_probes(cluster: Cluster, writer: str) -> None:
    def of_the_pod(metric: str) -> list[str]:
        lines = told(cluster, "metrics/cadvisor").splitlines()
        return [line for line in lines if line.startswith(metric) and writer in line]

    received = eventually(lambda: of_the_pod("container_network_receive_bytes_total"))
    assert len(received) == 1 and 'interface="eth0"' in received[0]
    limit = eventually(lambda: of_the_pod("container_spec_memory_limit_bytes"))
    assert limit and limit[0].endswith(f" {64 << 20}")
    assert any(
        "Readiness" in line and "successful" in line and writer in line for line in told(cluster, "metrics/probes").splitlines()
    )
    own = told(cluster, "metrics")
    assert 'kubelet_node_name{node="node-1"} 1' in own
    assert 'kubelet_runtime_operations_total{operation_type="run_podsandbox"}' in own


def test_the_kubelet_shows_its_configuration_its_health_and_the_nodes_logs(cluster: Cluster) -> None:
    shown = json.loads(told(cluster, "configz"))["kubeletconfig"]
    assert shown["clusterDNS"] == ["10.96.0.10"] and shown["staticPodPath"] == str(cluster.state / "manifests")
    assert shown["healthzPort"] == 10248
    assert cluster.curl("http://127.0.0.1:10248/healthz") == "ok"
    assert told(cluster, "healthz/syncloop") == "ok"
    assert "<pre>" in told(cluster, "logs/")
    refused = cluster.kubectl("get", "--raw", "/api/v1/nodes/node-1/proxy/logs/no-such-file", code=1)
    assert "404" in refused or "could not find" in refused
