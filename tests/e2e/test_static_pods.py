"""Static pods: manifests in a directory of the node become pods, which the API shows and cannot take away."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.harness import Cluster, eventually

from steersman.machinery import yamlio
from steersman.machinery.meta import Obj

pytestmark = pytest.mark.root

PORT = 18080
"""Of the node, for a pod on its network."""


class Manifest:
    """One file in the node's directory of manifests, for a pod in that namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self.namespace = cluster, namespace
        self.path = cluster.state / "manifests" / f"{namespace}.yaml"
        self.name = f"web-{cluster.get('nodes')['items'][0]['metadata']['name']}"

    def write(self, text: str) -> None:
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(text)

    def pod(self, say: str = "one", *, port: int = 8080, **more: Any) -> None:
        """A pod that answers what it is told to say."""
        script = f"mkdir /www; echo {say} > /www/index.html; exec httpd -f -p {port} -h /www"
        container = {"name": "main", "image": "steersman.example/hello:1", "command": ["sh", "-c", script]}
        container["imagePullPolicy"] = "Never"
        spec = {"terminationGracePeriodSeconds": 1, "containers": [container], **more}
        meta = {"name": "web", "namespace": self.namespace, "labels": {"app": "web"}}
        self.write(yamlio.dump({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}))

    def shown(self) -> Obj | None:
        found = self._cluster.get("pods", "-n", self.namespace)["items"]
        return found[0] if found else None

    def ready(self, say: str = "one", port: int = 8080) -> Obj:
        """The mirror, once the pod behind it answers so."""

        def answers() -> Obj | None:
            pod = self.shown()
            status = (pod or {}).get("status") or {}
            if not any(item["type"] == "Ready" and item["status"] == "True" for item in status.get("conditions") or ()):
                return None
            return pod if self._cluster.curl(f"http://{status['podIP']}:{port}").strip() == say else None

        found: Obj = eventually(answers, what=f"static pod says {say}")
        return found


@pytest.fixture
def manifest(cluster: Cluster, namespace: str) -> Iterator[Manifest]:
    cluster.steersman("example", "--image-only", "1")
    made = Manifest(cluster, namespace)
    yield made
    made.path.unlink(missing_ok=True)
    eventually(lambda: made.shown() is None, what="the mirror goes with the file")


def test_a_static_pod_lives_as_its_file_says(cluster: Cluster, manifest: Manifest) -> None:
    manifest.pod()
    first = manifest.ready()
    assert first["metadata"]["name"] == manifest.name
    assert first["metadata"]["annotations"]["kubernetes.io/config.source"] == "file"
    said = cluster.kubectl("exec", "-n", manifest.namespace, manifest.name, "--", "cat", "/www/index.html")
    assert said.strip() == "one"

    # The mirror is deleted, and comes back; the container runs on.
    cluster.kubectl("delete", "pod", "-n", manifest.namespace, manifest.name, "--wait=false")
    eventually(lambda: (manifest.shown() or first)["metadata"]["uid"] != first["metadata"]["uid"])
    again = manifest.ready()
    assert again["status"]["containerStatuses"][0]["containerID"] == first["status"]["containerStatuses"][0]["containerID"]

    # A bad manifest is told of, and changes nothing.
    manifest.write("apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: []}\n")

    def told() -> bool:
        events = cluster.get("events", "-A", "--field-selector", "reason=FailedValidation")["items"]
        return any(str(manifest.path) in event["message"] for event in events)

    eventually(told, what="an event names the bad manifest")
    assert manifest.ready()["metadata"]["uid"] == again["metadata"]["uid"]

    # A changed one replaces the pod.
    manifest.pod("two")
    changed = manifest.ready("two")
    assert changed["metadata"]["uid"] != again["metadata"]["uid"]


def test_a_killed_node_part_finds_its_static_pods_again(cluster: Cluster, manifest: Manifest) -> None:
    manifest.pod()
    before = manifest.ready()
    old = cluster.kill("node")
    eventually(lambda: cluster.pid("node") not in (0, old))
    eventually(lambda: "Ready" in cluster.kubectl("get", "nodes"))
    after = manifest.ready()
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["containerID"] == before["status"]["containerStatuses"][0]["containerID"]


def test_static_pods_need_no_api_server(cluster: Cluster, manifest: Manifest) -> None:
    manifest.pod(port=PORT, hostNetwork=True)
    manifest.ready(port=PORT)
    server = cluster.pid("apiserver")
    os.kill(server, signal.SIGSTOP)
    try:
        manifest.pod("meanwhile", port=PORT, hostNetwork=True)
        url = f"http://127.0.0.1:{PORT}"
        eventually(lambda: cluster.run("curl", "-s", "-m", "15", url, code=None).strip() == "meanwhile")
    finally:
        os.kill(server, signal.SIGCONT)
    manifest.ready("meanwhile", PORT)
