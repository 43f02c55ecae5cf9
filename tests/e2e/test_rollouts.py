"""Deployments as users roll them: a new image without a failed request, undo, scale."""

from __future__ import annotations

import pytest
from tests.e2e.harness import Cluster, eventually, example_manifest
from tests.e2e.traffic import asking

pytestmark = pytest.mark.root


@pytest.fixture
def web(cluster: Cluster, namespace: str) -> str:
    """Deployment and Service `hello` in the test's namespace, available; the namespace."""
    for version in ("1", "2"):
        cluster.steersman("example", "--image-only", version)
    manifest = example_manifest()
    cluster.apply(manifest, namespace=namespace)
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/hello", "--timeout=240s")
    return namespace


def test_a_new_image_rolls_without_a_failed_request_and_undo_brings_the_old_one_back(cluster: Cluster, web: str) -> None:
    address = cluster.get("-n", web, "service", "hello")["spec"]["clusterIP"]
    with asking(cluster, address) as counts:
        eventually(lambda: "version 1" in cluster.curl(f"http://{address}"))
        cluster.kubectl("set", "image", "-n", web, "deployment/hello", "hello=steersman.example/hello:2")
        said = cluster.kubectl("rollout", "status", "-n", web, "deployment/hello", "--timeout=240s")
        assert "successfully rolled out" in said
        eventually(lambda: all("version 2" in cluster.curl(f"http://{address}") for _ in range(6)))
        history = cluster.kubectl("rollout", "history", "-n", web, "deployment/hello")
        assert [line.split()[0] for line in history.splitlines() if line[:1].isdigit()] == ["1", "2"]
        cluster.kubectl("rollout", "undo", "-n", web, "deployment/hello")
        cluster.kubectl("rollout", "status", "-n", web, "deployment/hello", "--timeout=240s")
        eventually(lambda: all("version 1" in cluster.curl(f"http://{address}") for _ in range(6)))
    assert counts.good > 10 and counts.bad == 0


def test_scale_to_ten_and_to_one(cluster: Cluster, web: str) -> None:
    for replicas in (10, 1):
        cluster.kubectl("scale", "-n", web, "deployment", "hello", f"--replicas={replicas}")
        cluster.kubectl("rollout", "status", "-n", web, "deployment/hello", "--timeout=240s")

        def settled(wanted: int = replicas) -> bool:
            return len(cluster.get("-n", web, "pods")["items"]) == wanted

        eventually(settled)

    def endpoints() -> int:
        return sum(len(item["endpoints"]) for item in cluster.get("-n", web, "endpointslices")["items"])

    eventually(lambda: endpoints() == 1, what="one endpoint")
