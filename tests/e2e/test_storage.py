"""Storage that outlives pods: a stateful set's claims get volumes on the node, whose data stays, and goes with the claim."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conformance.api import Api
from tests.e2e.harness import Cluster, eventually

from steersman.api.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from steersman.machinery.errors import NotFound
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, annotations_of, dig, is_condition_true, uid_of

pytestmark = pytest.mark.root

MANIFEST = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 0
      securityContext: {fsGroup: 3000}
      containers:
        - name: main
          image: IMAGE
          command: [sh, -c, "test -e /data/born || hostname > /data/born; echo $(hostname) >> /data/lives; exec sleep 10000"]
          securityContext: {runAsUser: 1000}
          volumeMounts:
            - {name: data, mountPath: /data}
            - {name: data, mountPath: /part, subPath: inner}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}
"""
SHARING = """
apiVersion: v1
kind: Pod
metadata: {name: reader}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: IMAGE
      command: [sh, -c, "cat /data/born; touch /data/x || echo refused; exec sleep 10000"]
      volumeMounts: [{name: data, mountPath: /data}, {name: scratch, mountPath: /scratch}]
  volumes:
    - {name: data, persistentVolumeClaim: {claimName: data-db-0, readOnly: true}}
    - name: scratch
      ephemeral:
        volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}
"""


def ready(api: Api, name: str, namespace: str) -> Obj | None:
    found = api.get(PODS, name, namespace)
    return found if is_condition_true(found, "Ready") else None


def gone(api: Api, resource: Resource, name: str, namespace: str = "") -> bool:
    try:
        api.get(resource, name, namespace)
    except NotFound:
        return True
    return False


def test_data_outlives_pods_and_goes_with_its_claim(cluster: Cluster, api: Api, namespace: str) -> None:
    image = cluster.steersman("example", "--image-only", "1").strip()
    cluster.apply(MANIFEST.replace("IMAGE", image), namespace=namespace)
    first = eventually(lambda: ready(api, "db-0", namespace))
    eventually(lambda: ready(api, "db-1", namespace))

    claim = api.get(PERSISTENT_VOLUME_CLAIMS, "data-db-0", namespace)
    assert (claim["spec"]["storageClassName"], claim["status"]["phase"]) == ("local-path", "Bound")
    volume = api.get(PERSISTENT_VOLUMES, claim["spec"]["volumeName"])
    folder = Path(volume["spec"]["local"]["path"])
    assert (volume["status"]["phase"], folder) == ("Bound", cluster.state / "local-path" / volume["metadata"]["name"])
    # Ready is a container that runs, not one that has done its work.
    born = folder / "born"
    eventually(lambda: born.exists() and born.read_text() == "db-0\n")
    assert born.stat().st_gid == 3000
    eventually(lambda: (folder / "lives").exists() and (folder / "lives").read_text() == "db-0\n")
    assert (folder / "inner").is_dir(), "the subPath"

    api.delete(PODS, "db-0", namespace)
    eventually(lambda: uid_of(ready(api, "db-0", namespace) or first) != uid_of(first))
    lives = ("exec", "-n", namespace, "db-0", "--", "cat", "/data/lives")
    eventually(lambda: cluster.kubectl(*lives) == "db-0\ndb-0\n")

    cluster.apply(SHARING.replace("IMAGE", image), namespace=namespace)
    eventually(lambda: ready(api, "reader", namespace))
    logs = eventually(lambda: "refused" in (said := cluster.kubectl("logs", "-n", namespace, "reader")) and said)
    assert logs.startswith("db-0\n") and "Read-only" in logs
    scratch = api.get(PERSISTENT_VOLUME_CLAIMS, "reader-scratch", namespace)
    scratch_folder = cluster.state / "local-path" / scratch["spec"]["volumeName"]
    assert scratch_folder.is_dir()

    # A claim in use stays until nothing uses it.
    api.delete(PERSISTENT_VOLUME_CLAIMS, "data-db-0", namespace)
    assert dig(api.get(PERSISTENT_VOLUME_CLAIMS, "data-db-0", namespace), "metadata", "finalizers")
    api.delete(PODS, "reader", namespace)
    eventually(lambda: not scratch_folder.exists(), what="the ephemeral volume goes with its pod")
    assert (folder / "born").exists()
    cluster.kubectl("delete", "statefulset", "-n", namespace, "db")
    eventually(lambda: gone(api, PERSISTENT_VOLUMES, volume["metadata"]["name"]))
    assert gone(api, PERSISTENT_VOLUME_CLAIMS, "data-db-0", namespace) and not folder.exists()

    kept = api.get(PERSISTENT_VOLUME_CLAIMS, "data-db-1", namespace)["spec"]["volumeName"]
    assert (cluster.state / "local-path" / kept / "born").read_text() == "db-1\n", "nobody asked for this one to go"
    api.delete(PERSISTENT_VOLUME_CLAIMS, "data-db-1", namespace)
    eventually(lambda: gone(api, PERSISTENT_VOLUMES, kept))
    eventually(lambda: not any("remove." in key for key in annotations_of(api.get(NODES, "node-1"))))
