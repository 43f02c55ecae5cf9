"""kr8s: its objects do what kubectl does, in blocking calls and on asyncio."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import kr8s
import kr8s.asyncio
import kr8s.asyncio.objects
import kr8s.objects
import pytest
from tests.e2e.harness import eventually
from tests.integration.clients.served import PATIENCE_S, Served

pytestmark = pytest.mark.filterwarnings("ignore:Kubernetes version v1.36.*is not supported:UserWarning")

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "c",
                "image": "nginx",
                "command": ["sh", "-c", "echo hello; sleep infinity"],
                "ports": [{"containerPort": 80}],
            }
        ],
    },
}
DEFINITION: dict[str, Any] = {
    "metadata": {"name": "kites.kr8s.example.com"},
    "spec": {
        "group": "kr8s.example.com",
        "scope": "Namespaced",
        "names": {"plural": "kites", "kind": "Kite"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                "subresources": {"status": {}},
            }
        ],
    },
}


@pytest.fixture(scope="module")
def cluster_api(served: Served, api: object) -> Any:
    return kr8s.api(kubeconfig=str(served.kubeconfig))


@pytest.fixture
def web(cluster_api: Any, namespace: str) -> Iterator[Any]:
    """A running pod."""
    made = kr8s.objects.Pod({**POD, "metadata": {**POD["metadata"], "namespace": namespace}}, api=cluster_api)
    made.create()
    made.wait("condition=Ready", timeout=PATIENCE_S)
    yield made
    made.delete()


def test_the_server_says_what_it_is_and_has(cluster_api: Any) -> None:
    assert cluster_api.version()["gitVersion"].startswith("v1.36")
    kinds = {(found["version"], found["kind"]) for found in cluster_api.api_resources()}
    assert {("v1", "Pod"), ("apps/v1", "Deployment"), ("autoscaling/v2", "HorizontalPodAutoscaler")} <= kinds
    assert "apps/v1" in list(cluster_api.api_versions())
    assert cluster_api.whoami() == "kubernetes-admin"
    assert cluster_api.lookup_kind("deploy") == ("deployment.apps/v1", "deployments", True)


def test_a_pod_is_waited_for_changed_executed_in_and_read(web: Any, cluster_api: Any, namespace: str) -> None:
    assert web.exists() and web.ready()
    web.label(tier="front")
    web.annotate({"example.com/note": "x"})
    found = list(cluster_api.get("pods", namespace=namespace, label_selector={"tier": "front"}))
    assert [pod.name for pod in found] == ["web"] and found[0].annotations["example.com/note"] == "x"
    web.remove_label("tier")
    web.refresh()
    assert "tier" not in web.labels and web.labels["app"] == "web"
    done = web.exec(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 3)
    assert web.exec(["hostname"]).stdout == b"web\n"
    assert list(web.logs()) == ["hello"]
    table = next(iter(cluster_api.get("pods", namespace=namespace, as_object=kr8s.objects.Table)))
    assert [column["name"] for column in table.column_definitions][:3] == ["Name", "Ready", "Status"]


def test_a_port_is_forwarded(web: Any) -> None:
    with web.portforward(remote_port=80) as port:
        assert httpx.get(f"http://127.0.0.1:{port}/hello", timeout=PATIENCE_S).text == "web /hello\n"
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as plain:
            plain.sendall(b"GET /again HTTP/1.0\r\n\r\n")
            assert plain.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_deployment_is_scaled_and_its_pods_are_found(cluster_api: Any, namespace: str) -> None:
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": POD["spec"]},
    }
    deployment = kr8s.objects.Deployment({"metadata": {"name": "web", "namespace": namespace}, "spec": spec}, api=cluster_api)
    deployment.create()
    eventually(deployment.ready, what="the deployment is ready")
    deployment.scale(3)
    assert deployment.replicas == 3
    deployment.wait("jsonpath='{.status.readyReplicas}'=3", timeout=PATIENCE_S)
    assert len(deployment.pods()) == 3
    deployment.delete(propagation_policy="Foreground")
    deployment.wait("delete", timeout=PATIENCE_S)


def test_a_node_is_cordoned_and_tainted(cluster_api: Any) -> None:
    node: Any = kr8s.objects.Node.get("sim-0001", api=cluster_api)

    def tainted() -> bool:
        node.refresh()
        return bool(node.taints)

    node.cordon()
    assert node.unschedulable
    eventually(tainted, what="the taint of cordoned nodes is there")
    node.uncordon()
    assert not node.unschedulable
    eventually(lambda: not tainted(), what="the taint of cordoned nodes is gone")
    node.taint("example.com/a", "b", effect="PreferNoSchedule")
    assert [taint["key"] for taint in node.taints] == ["example.com/a"]
    node.patch([{"op": "remove", "path": "/spec/taints"}], type="json")


def test_kinds_of_ones_own_are_classes(cluster_api: Any, namespace: str) -> None:
    definition = kr8s.objects.CustomResourceDefinition(DEFINITION, api=cluster_api)
    definition.create()
    try:
        definition.wait("condition=Established", timeout=PATIENCE_S)
        Kite = kr8s.objects.new_class("Kite", version="kr8s.example.com/v1", namespaced=True, plural="kites")
        kite = Kite({"metadata": {"name": "red", "namespace": namespace}, "spec": {"tail": 3}}, api=cluster_api)
        kite.create()
        kite.patch({"status": {"flies": True}}, subresource="status")
        assert Kite.get("red", namespace=namespace, api=cluster_api).status.flies is True
        child = kr8s.objects.ConfigMap({"metadata": {"name": "child", "namespace": namespace}}, api=cluster_api)
        child.create()
        kite.adopt(child)
        kite.delete()
        child.wait("delete", timeout=PATIENCE_S)
    finally:
        definition.delete()


def test_on_asyncio_pods_are_watched_and_many_objects_made(served: Served, api: object, namespace: str) -> None:
    async def scenario() -> None:
        cluster_api = await kr8s.asyncio.api(kubeconfig=str(served.kubeconfig))
        configs = [
            await kr8s.asyncio.objects.ConfigMap(
                {"metadata": {"name": f"c-{number}", "namespace": namespace, "labels": {"of": "tests"}}}, api=cluster_api
            )
            for number in range(3)
        ]
        await kr8s.asyncio.create(configs, api=cluster_api)
        found = cluster_api.get("configmaps", namespace=namespace, label_selector="of=tests")
        assert [one["metadata"]["name"] async for one in found] == ["c-0", "c-1", "c-2"]
        pod = await kr8s.asyncio.objects.Pod({**POD, "metadata": {"name": "web", "namespace": namespace}}, api=cluster_api)
        await pod.create()
        async for kind, seen in pod.watch():
            if kind in ("ADDED", "MODIFIED") and seen.status.get("phase") == "Running":
                break
        await pod.wait("condition=Ready", timeout=PATIENCE_S)
        await pod.delete()
        await pod.wait("delete", timeout=PATIENCE_S)

    asyncio.run(asyncio.wait_for(scenario(), 3 * PATIENCE_S))
