"""Pods that end for the node: over a limit of their own, and by rank when the node's disk fills up; and a node that recovers.

The kubelet's files lie on a small filesystem of their own, so that it is certain what runs short and nobody else's disk matters.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator

import pytest
from tests.e2e.alone import NODE, Alone
from tests.e2e.harness import eventually

from steersman.cluster.example import deploy
from steersman.machinery.clock import RealClock
from steersman.machinery.meta import Obj, condition

pytestmark = pytest.mark.root

IMAGE = "steersman.example/hello:1"
SETTINGS = """
evictionHard: {nodefs.available: 50%, memory.available: 1Mi}
evictionPressureTransitionPeriod: 2s
"""


class Small(Alone):
    """Its kubelet has 64 MiB."""

    settings_of_kubelet = SETTINGS

    def kubelet(self) -> None:
        self.paths.kubelet.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(self.paths.kubelet)], check=True)
        super().kubelet()

    def remove(self) -> None:
        kubelet = self.parts.get("kubelet")
        if kubelet is not None:
            kubelet.process.kill()
            kubelet.process.wait()
            subprocess.run(["umount", "-l", str(self.paths.kubelet)], check=True)
        super().remove()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Small]:
    made = Small(f"stm-small-{os.getpid()}")
    try:
        for name in ("scheduler", "controller-manager"):
            made.elected(name)
        made.apiserver()
        made.etcd()
        eventually(lambda: made.kubectl("get", "--raw", "/readyz") == "ok")
        made.kubelet()
        eventually(lambda: (condition(made.get("node", NODE), "Ready") or {}).get("status") == "True")
        assert asyncio.run(deploy.build_image(made.paths, made.settings, RealClock())) == IMAGE
        eventually(lambda: made.get("serviceaccount", "default"))
        yield made
    except BaseException:
        for name, part in made.parts.items():
            print(f"--- {name}\n{part.said[-3000:]}")
        raise
    finally:
        made.remove()


def start(cluster: Small, name: str, script: str, *, limit: str = "", priority: str = "") -> None:
    volume: Obj = {"name": "data", "emptyDir": {"sizeLimit": limit} if limit else {}}
    main = {"name": "main", "image": IMAGE, "imagePullPolicy": "Never", "command": ["sh", "-c", f"{script}; sleep 1000"]}
    spec = {
        "terminationGracePeriodSeconds": 0,
        "containers": [{**main, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
        "volumes": [volume],
        **({"priorityClassName": priority} if priority else {}),
    }
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(obj))


def write(size_mib: int) -> str:
    return f"dd if=/dev/zero of=/data/file bs=1M count={size_mib}"


def ended(cluster: Small, name: str) -> Obj:
    """The status of the pod, once it was evicted."""
    found: Obj = eventually(
        lambda: status if (status := cluster.get("pod", name)["status"])["phase"] == "Failed" else None, what=f"{name} ends"
    )
    assert found["reason"] == "Evicted"
    return found


def events(cluster: Small, reason: str) -> list[Obj]:
    return [item for item in cluster.get("events")["items"] if item["reason"] == reason]


def test_a_pod_that_fills_its_volume_ends(cluster: Small) -> None:
    start(cluster, "full", write(2), limit="1Mi")
    status = ended(cluster, "full")
    assert status["message"] == 'Usage of EmptyDir volume "data" exceeds the limit "1Mi". '
    assert condition(status.get("conditions"), "DisruptionTarget") is None
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137
    said = eventually(lambda: [item for item in events(cluster, "Evicted") if item["involvedObject"]["name"] == "full"])
    assert (said[0]["type"], said[0]["message"]) == ("Warning", status["message"])


def test_a_full_disk_ends_pods_by_rank_and_the_node_recovers(cluster: Small) -> None:
    high = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(high))
    start(cluster, "important", write(20), priority="high")
    start(cluster, "small", write(4))
    # Together they are more than half of what there is; without the largest of the unimportant they are not.
    eventually(lambda: all(cluster.get("pod", name)["status"]["phase"] == "Running" for name in ("important", "small")))
    start(cluster, "large", write(16))
    status = ended(cluster, "large")
    assert status["message"].startswith("The node was low on resource: ephemeral-storage. Threshold quantity: 32Mi, available: ")
    disrupted = condition(status.get("conditions"), "DisruptionTarget") or {}
    assert (disrupted["status"], disrupted["reason"]) == ("True", "TerminationByKubelet")
    assert disrupted["message"] == status["message"]
    eventually(lambda: (condition(cluster.get("node", NODE), "DiskPressure") or {})["status"] == "False")
    assert cluster.get("pod", "important")["status"]["phase"] == "Running"
    assert cluster.get("pod", "small")["status"]["phase"] == "Running"

    def reasons() -> dict[str, str]:
        found = cluster.get("events", "--field-selector=involvedObject.kind=Node")["items"]
        return {item["reason"]: item["message"] for item in found}

    eventually(lambda: "NodeHasNoDiskPressure" in reasons())
    assert reasons()["EvictionThresholdMet"] == "Attempting to reclaim ephemeral-storage"
    assert reasons()["NodeHasDiskPressure"] == f"Node {NODE} status is now: NodeHasDiskPressure"
    eventually(lambda: not cluster.get("node", NODE)["spec"].get("taints"), what="the taint goes")
    start(cluster, "later", "true")
    eventually(lambda: cluster.get("pod", "later")["status"]["phase"] == "Running")
