"""A node over a containerd of the test's own: pods and their streams, CNI, every sort of workload; what containerd can do to it.

The rest of the end-to-end and conformance tests run over containerd with `pytest -m root --cluster-runtime containerd`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e import workloads
from tests.e2e.harness import eventually
from tests.e2e.machine import ContainerdCluster
from tests.fakes import containerd as containerds

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(containerds.lacking()), reason=f"needs {containerds.lacking()}")]

_POD = """
apiVersion: v1
kind: Pod
metadata: {name: tool, labels: {app: tool}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: busybox
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "echo started; mkdir /www; cp /about/labels /www/x; exec httpd -f -p 8080 -h /www"]
    ports: [{containerPort: 8080, hostPort: 18080}]
    startupProbe: {exec: {command: [test, -e, /www/x]}, periodSeconds: 1, timeoutSeconds: 30, failureThreshold: 100}
    readinessProbe: {httpGet: {port: 8080, path: /x}, periodSeconds: 1}
    livenessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1, timeoutSeconds: 30}
    volumeMounts: [{name: about, mountPath: /about}, {name: scratch, mountPath: /scratch}]
  - name: short
    image: busybox
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "echo why > /dev/termination-log; exit 3"]
  volumes:
  - {name: scratch, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  - {name: about, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
"""
_LABELS = 'app="tool"'


@pytest.fixture(scope="module")
def cluster() -> Iterator[ContainerdCluster]:
    made = ContainerdCluster(f"stm-cri-{os.getpid()}")
    try:
        made.up()
        made.steersman("example", "--image-only", "1")
        yield made
        conflist = made.daemon.root / "cni" / "10-steersman.conflist"
        assert conflist.exists()
        made.steersman("down")
        assert not conflist.exists()
        eventually(lambda: not made.daemon.leftovers(), what="containerd's shims and mounts to go")
    finally:
        made.remove()


def running(cluster: ContainerdCluster, name: str) -> bool:
    """The pod's first container is ready."""
    return bool(cluster.get("pod", name)["status"]["containerStatuses"][0]["ready"])


def ready(cluster: ContainerdCluster) -> Any:
    """The node's condition."""
    return next(item for item in cluster.get("node", "node-1")["status"]["conditions"] if item["type"] == "Ready")


def test_a_node_over_containerd(cluster: ContainerdCluster) -> None:
    node = cluster.get("node", "node-1")
    assert node["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://")
    assert node["spec"]["podCIDR"] in (cluster.daemon.root / "cni" / "10-steersman.conflist").read_text()

    # Three pods behind a Service: images, addresses, the proxy, names.
    assert "Hello from" in cluster.steersman("example")
    cluster.apply(_POD)
    eventually(lambda: running(cluster, "tool"))
    pod = cluster.get("pod", "tool")
    assert pod["status"]["containerStatuses"][0]["containerID"].startswith("containerd://")
    eventually(lambda: cluster.kubectl("logs", "tool", "-c", "c") == "started\n")
    inside = ("tool", "-c", "c", "--")
    assert cluster.kubectl("exec", "-i", *inside, "sh", "-c", "cat; exit 3", stdin="in", code=3).startswith("in")
    assert "no-such-program" in cluster.kubectl("exec", *inside, "no-such-program", code=1)
    eventually(lambda: "10.96." in cluster.kubectl("exec", *inside, "nslookup", "hello.default.svc.cluster.local"))
    assert "Hello" in cluster.kubectl("exec", *inside, "wget", "-qO-", "http://hello")
    assert "tmpfs" in cluster.kubectl("exec", *inside, "grep", " /scratch ", "/proc/mounts")
    assert cluster.curl(f"http://{pod['status']['podIP']}:8080/x") == _LABELS
    assert cluster.curl(f"http://{pod['status']['hostIP']}:18080/x") == _LABELS
    assert "docker.io/library/busybox:latest" in cluster.steersman("image", "ls")

    short = eventually(lambda: cluster.get("pod", "tool")["status"]["containerStatuses"][1]["lastState"]["terminated"])
    assert (short["exitCode"], short["message"], short["reason"]) == (3, "why\n", "Error")


def test_logs_are_followed_and_ports_forwarded(cluster: ContainerdCluster) -> None:
    following = cluster.popen("kubectl", "logs", "-f", "tool", "-c", "c")
    forwarding = cluster.popen("kubectl", "port-forward", "pod/tool", "18081:8080")
    try:
        assert following.stdout is not None and following.stdout.readline() == "started\n"
        cluster.kubectl("exec", "tool", "-c", "c", "--", "sh", "-c", "echo more > /proc/1/fd/1")
        assert following.stdout.readline() == "more\n"
        assert forwarding.stdout is not None and "Forwarding from 127.0.0.1:18081" in forwarding.stdout.readline()
        assert [cluster.curl("http://127.0.0.1:18081/x") for _ in range(3)] == [_LABELS] * 3
    finally:
        for process in (following, forwarding):
            process.kill()
            process.communicate(timeout=240)


def test_containerd_is_killed_and_comes_back(cluster: ContainerdCluster) -> None:
    """What runs goes on meanwhile, and new pods start afterwards."""
    pod = cluster.get("pod", "tool")
    cluster.kill_containerd()
    assert cluster.curl(f"http://{pod['status']['podIP']}:8080/x") == _LABELS
    cluster.start_containerd()
    eventually(lambda: cluster.kubectl("exec", "tool", "-c", "c", "--", "true", code=None) == "", what="exec after the restart")
    cluster.kubectl("scale", "deployment/hello", "--replicas=4")
    cluster.kubectl("rollout", "status", "deployment/hello", "--timeout=240s")
    again = cluster.get("pods", "-l", "app=hello")["items"]
    assert [item["status"]["containerStatuses"][0]["restartCount"] for item in again] == [0] * 4
    assert cluster.get("pod", "tool")["status"]["containerStatuses"][0]["restartCount"] == 0


def test_the_kubelet_is_killed_and_finds_its_containers_again(cluster: ContainerdCluster) -> None:
    before, address = cluster.pid("node"), cluster.get("pod", "tool")["status"]["podIP"]
    os.kill(before, signal.SIGKILL)
    assert cluster.curl(f"http://{address}:8080/x") == _LABELS
    eventually(lambda: cluster.pid("node") not in (0, before))
    cluster.kubectl("delete", "pod", "tool")
    cluster.kubectl("rollout", "status", "deployment/hello", "--timeout=240s")
    again = cluster.get("pods", "-l", "app=hello")["items"]
    assert [item["status"]["containerStatuses"][0]["restartCount"] for item in again] == [0] * 4
    cluster.kubectl("delete", "deployment", "hello")


def test_a_containerd_that_hangs_is_told_by_the_node_harms_no_pod_and_is_taken_up_again(cluster: ContainerdCluster) -> None:
    cluster.apply(_POD)
    eventually(lambda: running(cluster, "tool"))
    address, log = cluster.get("pod", "tool")["status"]["podIP"], cluster.state / "logs" / "node.log"
    before = len(log.read_text())
    cluster.daemon.hang()
    try:
        told = eventually(lambda: ready(cluster) if ready(cluster)["status"] == "False" else None)
        assert (told["reason"], told["message"]) == ("KubeletNotReady", "container runtime is down")
        assert cluster.curl(f"http://{address}:8080/x") == _LABELS
        eventually(lambda: cluster.kubectl("logs", "tool", "-c", "c") == "started\n")
        silent = cluster.kubectl("exec", "tool", "-c", "c", "--", "true", code=1)
        assert "did not answer Exec within 10 s" in silent
        lines = log.read_text()[before:].splitlines()
        assert len([line for line in lines if "container runtime does not answer" in line]) == 1
        assert len(lines) < 12, lines
    finally:
        cluster.daemon.go_on()
    eventually(lambda: ready(cluster)["status"] == "True")
    eventually(lambda: cluster.kubectl("exec", "tool", "-c", "c", "--", "true", code=None) == "")
    assert cluster.get("pod", "tool")["status"]["containerStatuses"][0]["restartCount"] == 0
    cluster.kubectl("delete", "pod", "tool")


def test_another_s_network_configuration_is_honoured_and_its_faults_are_told(cluster: ContainerdCluster) -> None:
    cluster.kubectl("delete", "pod", "tool", "--ignore-not-found")
    conf = cluster.daemon.root / "cni"
    theirs, ours = conf / "00-theirs.conflist", conf / "10-steersman.conflist"
    theirs.write_text('{"cniVersion": "0.4.0", "name": "theirs", "plugins": [{"type": "no-such-plugin"}]}')
    eventually(lambda: not ours.exists(), what="ours to make room")
    cluster.apply(_POD)
    of = ("events", "--field-selector", "involvedObject.name=tool,reason=FailedCreatePodSandBox")
    told = str(eventually(lambda: cluster.get(*of)["items"][0]["message"]))
    assert told.startswith('Failed to create pod sandbox: failed to setup network for sandbox "')
    assert 'failed to find plugin "no-such-plugin" in path [/usr/lib/cni]' in told

    theirs.write_text('{"cniVersion": "0.4.0", "name": "theirs", "plugins": []}')
    start = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:"
    text = f"{start}Network plugin returns error: cni plugin not initialized"
    eventually(lambda: ready(cluster)["message"] == text)
    theirs.unlink()
    eventually(lambda: ready(cluster)["status"] == "True")
    assert ours.exists()
    eventually(lambda: running(cluster, "tool"))
    cluster.kubectl("delete", "pod", "tool")


def test_every_sort_of_workload(cluster: ContainerdCluster) -> None:
    space = "workloads"
    workloads.begin(cluster, space)
    workloads.indexed_job(cluster, space)
    workloads.daemon_set(cluster, space)
    workloads.stateful_set(cluster, space)
    workloads.load_balancer(cluster, space)
    workloads.autoscaler_up(cluster, space)
    workloads.cron_job(cluster, space)
    workloads.autoscaler_down(cluster, space)
    workloads.drain(cluster, space, "node-1")
    cluster.kubectl("delete", "namespace", space, "--timeout=240s")
