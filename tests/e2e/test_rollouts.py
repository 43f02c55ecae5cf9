"""Deployments as users roll them: a new image without a failed request, undo, scale."""

from __future__ import annotations

import signal

import pytest
from tests.e2e.harness import Cluster, eventually

pytestmark = pytest.mark.root

# A client in the host's namespace, counting what fails. Every request is a new connection.
CLIENT = """
bad=0; good=0
trap 'echo "good=$good bad=$bad"; exit 0' TERM
while :; do if curl -sf --max-time 5 http://$1 >/dev/null; then good=$((good+1)); else bad=$((bad+1)); fi; done
"""


@pytest.fixture
def web(cluster: Cluster, namespace: str) -> str:
    """Deployment and Service `hello` in the test's namespace, available; the namespace."""
    for version in ("1", "2"):
        cluster.steersman("example", "--image-only", version)
    manifest = example_manifest()
    cluster.apply(manifest, namespace=namespace)
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/hello", "--timeout=60s")
    return namespace


def example_manifest() -> str:
    from importlib import resources

    text = resources.files("steersman.cluster.example").joinpath("hello.yaml").read_text()
    return text.replace(", nodePort: 30080", "")


def test_a_new_image_rolls_without_a_failed_request_and_undo_brings_the_old_one_back(cluster: Cluster, web: str) -> None:
    address = cluster.get("-n", web, "service", "hello")["spec"]["clusterIP"]
    client = cluster.popen("sh", "-c", CLIENT, "client", address)
    try:
        eventually(lambda: "version 1" in cluster.curl(f"http://{address}"))
        cluster.kubectl("set", "image", "-n", web, "deployment/hello", "hello=steersman.example/hello:2")
        said = cluster.kubectl("rollout", "status", "-n", web, "deployment/hello", "--timeout=90s")
        assert "successfully rolled out" in said
        eventually(lambda: all("version 2" in cluster.curl(f"http://{address}") for _ in range(6)))
        history = cluster.kubectl("rollout", "history", "-n", web, "deployment/hello")
        assert [line.split()[0] for line in history.splitlines() if line[:1].isdigit()] == ["1", "2"]
        cluster.kubectl("rollout", "undo", "-n", web, "deployment/hello")
        cluster.kubectl("rollout", "status", "-n", web, "deployment/hello", "--timeout=90s")
        eventually(lambda: all("version 1" in cluster.curl(f"http://{address}") for _ in range(6)))
    finally:
        # nsenter becomes the shell itself, so this is the client's own pid.
        client.send_signal(signal.SIGTERM)
        said, _ = client.communicate(timeout=30)
    counts = dict(part.split("=") for part in said.split())
    assert int(counts["good"]) > 50 and counts["bad"] == "0", said


def test_scale_to_ten_and_to_one(cluster: Cluster, web: str) -> None:
    for replicas in (10, 1):
        cluster.kubectl("scale", "-n", web, "deployment", "hello", f"--replicas={replicas}")
        cluster.kubectl("rollout", "status", "-n", web, "deployment/hello", "--timeout=90s")

        def settled(wanted: int = replicas) -> bool:
            return len(cluster.get("-n", web, "pods")["items"]) == wanted

        eventually(settled)
    slices = cluster.get("-n", web, "endpointslices")["items"]
    assert sum(len(item["endpoints"]) for item in slices) == 1
