"""A pod with `hostUsers: false` on a real node: root inside is nobody outside, and its volumes are its own all the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.e2e.harness import Cluster, eventually

from steersman.machinery import yamlio
from steersman.machinery.meta import Obj

pytestmark = pytest.mark.root

_SCRIPT = """
tr -s ' ' < /proc/self/uid_map
stat -c '%n %u:%g' /empty /memory /config/..data/key /secret/..data/key /var/run/secrets/kubernetes.io/serviceaccount/token
cat /config/key /secret/key && echo
touch /empty/made /memory/made && echo written
echo bye > /dev/termination-log && sleep 1000
"""


def test_root_inside_is_not_root_outside_and_volumes_are_its_own(cluster: Cluster, namespace: str) -> None:
    cluster.steersman("example", "--image-only", "1")
    cluster.kubectl("create", "configmap", "c", "--from-literal=key=configured", "-n", namespace)
    cluster.kubectl("create", "secret", "generic", "s", "--from-literal=key=hidden", "-n", namespace)
    names: dict[str, Obj] = {"empty": {"emptyDir": {}}, "memory": {"emptyDir": {"medium": "Memory"}}}
    names |= {"config": {"configMap": {"name": "c"}}, "secret": {"secret": {"secretName": "s"}}}
    container = {
        "name": "main",
        "image": "steersman.example/hello:1",
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", _SCRIPT],
        "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in names],
    }
    volumes = [{"name": name, **source} for name, source in names.items()]
    spec = {"hostUsers": False, "terminationGracePeriodSeconds": 0, "containers": [container], "volumes": volumes}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mapped", "namespace": namespace}, "spec": spec}
    cluster.apply(yamlio.dump(pod), namespace=namespace)

    def running() -> Obj | None:
        found: Obj = cluster.get("pod", "mapped", "-n", namespace)
        return found if found.get("status", {}).get("phase") == "Running" else None

    made: Obj = eventually(running, what="the pod runs")

    def log() -> list[str]:
        return cluster.kubectl("logs", "mapped", "-n", namespace).splitlines()

    eventually(lambda: "written" in log(), what="the script has written")
    lines = [line.strip() for line in log()]
    inside, outside, length = (int(word) for word in lines[0].split())
    assert (inside, length) == (0, 65536)
    assert outside >= 65536
    assert {line.split()[-1] for line in lines[1:6]} == {"0:0"}
    assert lines[6:] == ["configuredhidden", "written"]
    assert cluster.kubectl("exec", "mapped", "-n", namespace, "--", "id", "-u").strip() == "0"
    sleeping = [entry for entry in Path("/proc").glob("[0-9]*") if _owner(entry) == outside]
    assert sleeping, "its processes run as the mapped user"
    file = cluster.state / "kubelet" / "pods" / made["metadata"]["uid"] / "userns"
    assert str(outside) in file.read_text()
    cluster.kubectl("delete", "pod", "mapped", "-n", namespace)
    eventually(lambda: not file.exists(), what="the range is given back")


def _owner(process: Path) -> int:
    try:
        return os.stat(process).st_uid
    except FileNotFoundError:
        return -1
