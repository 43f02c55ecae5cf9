"""What pods use, as `kubectl top` shows it, and an autoscaler that acts on it."""

from __future__ import annotations

from functools import partial

import pytest
from tests.e2e.harness import Cluster, eventually, told

pytestmark = pytest.mark.root

BUSY = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: busy}
spec:
  selector: {matchLabels: {app: busy}}
  template:
    metadata: {labels: {app: busy}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: burner
        image: steersman.example/hello:1
        command: [sh, -c, "while :; do :; done"]
        resources: {requests: {cpu: 50m}, limits: {cpu: 250m}}
      - name: sleeper
        image: steersman.example/hello:1
        command: [sleep, "100000"]
        resources: {requests: {cpu: 50m}}
"""
SCALER = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: busy}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: busy}
  maxReplicas: 2
  behavior: {scaleUp: {stabilizationWindowSeconds: 0}}
  metrics:
  - type: Resource
    resource: {name: cpu, target: {type: Utilization, averageUtilization: 30}}
"""


def top(cluster: Cluster, *what: str) -> dict[tuple[str, ...], tuple[int, int]]:
    """The names in a row -> (millicores, MiB)."""
    found = {}
    for line in cluster.kubectl("top", *what, "--no-headers").splitlines():
        words = line.split()
        memory = next(place for place, word in enumerate(words) if word.endswith("Mi"))
        cpu = next(word for word in words if word.endswith("m"))
        names = tuple(word for word in words[:memory] if word != cpu and not word.endswith("%"))
        found[names] = (int(cpu.removesuffix("m")), int(words[memory].removesuffix("Mi")))
    return found


def test_a_busy_pod_shows_and_gets_company(cluster: Cluster, namespace: str) -> None:
    cluster.steersman("example", "--image-only", "1")
    cluster.apply(BUSY, namespace=namespace)
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/busy", "--timeout=240s")
    pod = cluster.get("-n", namespace, "pods")["items"][0]["metadata"]["name"]

    def busy() -> bool:
        return 60 <= top(cluster, "pods", "-n", namespace).get((pod,), (0, 0))[0] <= 400

    eventually(busy, what="a pod that uses up to a quarter of a core")
    parts = top(cluster, "pods", "-n", namespace, "--containers", "-l", "app=busy")
    (burner, _), (sleeper, memory) = parts[pod, "burner"], parts[pod, "sleeper"]
    assert burner > 10 * sleeper and memory < 32
    ((node, (cpu, used)),) = top(cluster, "nodes").items()
    assert node == ("node-1",) and cpu > burner // 2 and used > 50
    assert "cpu" in cluster.kubectl("get", "podmetrics", "-n", namespace).lower()

    cluster.apply(SCALER, namespace=namespace)

    def grown() -> bool:
        return bool(cluster.get("-n", namespace, "deployment", "busy")["spec"]["replicas"] == 2)

    eventually(grown, within_s=300, what="a second replica")
    told(
        partial(cluster.kubectl, "describe", "hpa", "-n", namespace, "busy"),
        "New size: 2; reason: cpu resource utilization (percentage of request) above target",
        "AbleToScale",
        "TooManyReplicas",
    )
