"""Volumes of a CSI driver in real containers: mounted, kept over a kill of the kubelet, unmounted with the pod."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.api import Api
from tests.e2e.harness import Cluster, eventually
from tests.fakes.csidriver import NAME

from steersman.api.resources import CSI_NODES, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTACHMENTS
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj, is_condition_true, labels_of

pytestmark = pytest.mark.root

ROOT = Path(__file__).parents[2]
MANIFEST = f"""
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {{name: {NAME}}}
spec: {{attachRequired: true, fsGroupPolicy: File, volumeLifecycleModes: [Persistent, Ephemeral]}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {{name: csi-NAMESPACE}}
spec:
  capacity: {{storage: 1Mi}}
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  persistentVolumeReclaimPolicy: Retain
  csi: {{driver: {NAME}, volumeHandle: kept}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: data}}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  volumeName: csi-NAMESPACE
  resources: {{requests: {{storage: 1Mi}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: user}}
spec:
  terminationGracePeriodSeconds: 0
  securityContext: {{fsGroup: 3000}}
  containers:
    - name: main
      image: IMAGE
      command: [sh, -c, "echo born > /data/born && echo x > /own/x; exec sleep 10000"]
      volumeMounts: [{{name: data, mountPath: /data}}, {{name: own, mountPath: /own}}]
  volumes:
    - {{name: data, persistentVolumeClaim: {{claimName: data}}}}
    - {{name: own, csi: {{driver: {NAME}}}}}
"""


@pytest.fixture
def driver(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    """The driver's folder; it runs as a process of its own, on the node."""
    command = [sys.executable, "-m", "tests.fakes.csidriver", str(tmp_path), str(cluster.state / "kubelet" / "plugins_registry")]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"})
    try:
        yield tmp_path
    finally:
        process.terminate()
        process.wait(120)


def registered(api: Api) -> bool:
    found = api.get(CSI_NODES, "node-1")
    return [each["name"] for each in found["spec"]["drivers"] or ()] == [NAME]


def ready(api: Api, namespace: str) -> Obj | None:
    found = api.get(PODS, "user", namespace)
    return found if is_condition_true(found, "Ready") else None


def attachments(api: Api) -> list[Obj]:
    return list(api.list(VOLUME_ATTACHMENTS)["items"])


def gone(api: Api, namespace: str) -> bool:
    try:
        api.get(PODS, "user", namespace)
    except NotFound:
        return True
    return False


def mounts_of(cluster: Cluster, what: str) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if str(cluster.state) in line and what in line]


def test_volumes_of_a_csi_driver_come_and_go_with_their_pod(cluster: Cluster, api: Api, namespace: str, driver: Path) -> None:
    image = cluster.steersman("example", "--image-only", "1").strip()
    eventually(lambda: registered(api))
    eventually(lambda: labels_of(api.get(NODES, "node-1"))["topology.folders.csi/node"] == "here")
    cluster.apply(MANIFEST.replace("IMAGE", image).replace("NAMESPACE", namespace), namespace=namespace)
    try:
        volume = f"kubernetes.io/csi/{NAME}^kept"
        eventually(lambda: api.get(NODES, "node-1")["status"].get("volumesInUse") == [volume])
        (attachment,) = eventually(lambda: attachments(api))
        assert ready(api, namespace) is None and attachment["spec"]["nodeName"] == "node-1"
        attached: Obj = {"status": {"attached": True}}
        api.patch(VOLUME_ATTACHMENTS, attachment["metadata"]["name"], attached, subresource="status")
        eventually(lambda: ready(api, namespace))
        assert [each["name"] for each in api.get(NODES, "node-1")["status"]["volumesAttached"]] == [volume]
        born = driver / "data" / "kept" / "born"
        assert eventually(born.exists) and born.parent.stat().st_gid == 3000
        assert len(mounts_of(cluster, "globalmount")) == 1 and len(mounts_of(cluster, "kubernetes.io~csi")) == 2

        # As a resizer does in the end.
        api.patch(PERSISTENT_VOLUMES, f"csi-{namespace}", {"spec": {"capacity": {"storage": "2Gi"}}})
        cluster.kill("node")
        eventually(lambda: (driver / "calls").read_text().count("NodeStageVolume\n") == 2, what="the new kubelet stages again")
        after = eventually(lambda: ready(api, namespace))
        assert after is not None and after["status"]["containerStatuses"][0]["restartCount"] == 0
        # Its server may be up a moment later than its pods.
        inside = ("exec", "-n", namespace, "user", "--", "cat", "/data/born", "/own/x")
        eventually(lambda: cluster.kubectl(*inside) == "born\nx\n")
        eventually(lambda: api.get(PERSISTENT_VOLUME_CLAIMS, "data", namespace)["status"]["capacity"] == {"storage": "2Gi"})
        eventually(lambda: "NodeExpandVolume\n" in (driver / "calls").read_text())

        api.delete(PODS, "user", namespace)
        eventually(lambda: gone(api, namespace))
        eventually(lambda: not mounts_of(cluster, "globalmount") and not mounts_of(cluster, "kubernetes.io~csi"))
        eventually(lambda: not attachments(api))
        eventually(lambda: not api.get(NODES, "node-1")["status"].get("volumesInUse"))
        eventually(lambda: not api.get(NODES, "node-1")["status"].get("volumesAttached"))
        calls = (driver / "calls").read_text()
        assert calls.count("NodeUnpublishVolume\n") == 2 and calls.count("NodeUnstageVolume\n") == 1
        assert born.read_text() == "born\n", "the data is the driver's"
    finally:
        cluster.kubectl("delete", "pv", f"csi-{namespace}", "--wait=false")
        cluster.kubectl("delete", "csidriver", NAME)
