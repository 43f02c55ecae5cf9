"""A node over a containerd of the test's own: pods, CNI, streams; containerd comes back after its end; `down` leaves nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e.harness import eventually
from tests.fakes import containerd as containerds
from tools.throwaway import Cluster

from steersman.cri.native import build

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(containerds.lacking()), reason=f"needs {containerds.lacking()}")]

_POD = """
apiVersion: v1
kind: Pod
metadata: {name: tool, labels: {app: tool}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: busybox
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "echo started; mkdir /www; echo mine > /www/x; exec httpd -f -p 8080 -h /www"]
    ports: [{containerPort: 8080, hostPort: 18080}]
    readinessProbe: {exec: {command: [test, -e, /www/x]}, periodSeconds: 1}
"""


class Machine:
    """A cluster's namespace with a containerd in it, which can be ended and started again."""

    def __init__(self) -> None:
        self.cluster = Cluster(f"stm-cri-{os.getpid()}")
        self.root = Path(tempfile.mkdtemp(prefix="stm-cri-", dir="/var/tmp"))
        build.build_busybox(str(self.root / "busybox.tar"))
        self.stack = ExitStack()

    def start_containerd(self) -> containerds.Containerd:
        archives = [self.root / "busybox.tar"]
        wrap = self.cluster.netns.wrap([])
        return self.stack.enter_context(containerds.running(self.root / "d", archives, wrap=wrap, loopback=False))

    def remove(self) -> None:
        try:
            self.cluster.remove()
        finally:
            self.stack.close()
            shutil.rmtree(self.root, ignore_errors=True)


@pytest.fixture
def machine() -> Iterator[Machine]:
    made = Machine()
    try:
        yield made
    finally:
        made.remove()


def test_a_node_over_containerd(machine: Machine) -> None:
    cluster, daemon = machine.cluster, machine.start_containerd()
    cluster.steersman("up", "--node-name", "node-1", "--runtime", "containerd", "--runtime-endpoint", daemon.socket)
    node = cluster.get("node", "node-1")
    assert node["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://")
    conflist = daemon.root / "cni" / "10-steersman.conflist"
    assert node["spec"]["podCIDR"] in conflist.read_text()

    # Three pods behind a Service: images, addresses, the proxy, names.
    assert "Hello from" in cluster.steersman("example")
    cluster.apply(_POD)
    cluster.kubectl("wait", "pod/tool", "--for=condition=Ready", "--timeout=60s")
    pod = cluster.get("pod", "tool")
    assert pod["status"]["containerStatuses"][0]["containerID"].startswith("containerd://")
    assert cluster.kubectl("logs", "tool") == "started\n"
    assert cluster.kubectl("exec", "-i", "tool", "--", "sh", "-c", "cat; exit 3", stdin="in", code=3).startswith("in")
    assert cluster.kubectl("exec", "tool", "--", "nslookup", "hello.default.svc.cluster.local").count("10.96.")
    assert "Hello" in cluster.kubectl("exec", "tool", "--", "wget", "-qO-", "http://hello")
    assert cluster.curl(f"http://{pod['status']['podIP']}:8080/x") == "mine\n"
    assert cluster.curl(f"http://{pod['status']['hostIP']}:18080/x") == "mine\n"
    assert "docker.io/library/busybox:latest" in cluster.steersman("image", "ls")

    # containerd goes and comes back: what runs goes on, and new pods start.
    machine.stack.close()
    assert cluster.curl(f"http://{pod['status']['podIP']}:8080/x") == "mine\n"
    machine.start_containerd()
    eventually(lambda: cluster.kubectl("exec", "tool", "--", "true", code=None) == "", what="exec after containerd's restart")
    cluster.kubectl("scale", "deployment/hello", "--replicas=4")
    cluster.kubectl("rollout", "status", "deployment/hello", "--timeout=60s")
    cluster.kubectl("delete", "pod", "tool")
    again = cluster.get("pods", "-l", "app=hello")["items"]
    assert all(item["status"]["containerStatuses"][0]["restartCount"] == 0 for item in again)

    cluster.steersman("down")
    assert not conflist.exists()
    eventually(lambda: not daemon.leftovers(), within_s=5, what="containerd's shims and mounts to go")
