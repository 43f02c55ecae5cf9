"""Jobs, daemon sets, stateful sets and budgets as users meet them: real containers, upstream's kubectl."""

from __future__ import annotations

from functools import partial

import pytest
from tests.e2e.harness import Cluster, Failed, eventually, told

pytestmark = pytest.mark.root

IMAGE = "steersman.example/hello:1"
POD = f"""containers: [{{name: c, image: {IMAGE}, imagePullPolicy: IfNotPresent, command: [sh, -c, COMMAND]}}]
      terminationGracePeriodSeconds: 0"""


@pytest.fixture
def space(cluster: Cluster, namespace: str) -> str:
    cluster.steersman("example", "--image-only", "1")
    return namespace


def pod(command: str, restart: str = "") -> str:
    text = POD.replace("COMMAND", f'"{command}"')
    return f"{text}\n      restartPolicy: {restart}" if restart else text


def test_a_job_runs_each_index_and_kubectl_waits_for_it(cluster: Cluster, space: str) -> None:
    cluster.apply(
        f"""
apiVersion: batch/v1
kind: Job
metadata: {{name: sum}}
spec:
  completions: 3
  parallelism: 3
  completionMode: Indexed
  template:
    spec:
      {pod("echo index $JOB_COMPLETION_INDEX on $(hostname)", "Never")}
""",
        namespace=space,
    )
    cluster.kubectl("wait", "-n", space, "--for=condition=complete", "job/sum", "--timeout=240s")
    wanted = [f"index {number} on sum-{number}" for number in range(3)]
    eventually(lambda: sorted(cluster.kubectl("logs", "-n", space, "-l", "job-name=sum").splitlines()) == wanted)
    status = cluster.get("-n", space, "job", "sum")["status"]
    assert status["succeeded"] == 3 and status["completedIndexes"] == "0-2"
    assert cluster.kubectl("get", "-n", space, "job", "sum", "--no-headers").split()[1:3] == ["Complete", "3/3"]
    cluster.kubectl("delete", "-n", space, "job", "sum", "--timeout=240s")
    eventually(lambda: not cluster.get("-n", space, "pods")["items"])


def test_a_job_that_fails_says_why(cluster: Cluster, space: str) -> None:
    cluster.apply(
        f"""
apiVersion: batch/v1
kind: Job
metadata: {{name: broken}}
spec:
  backoffLimit: 0
  template:
    spec:
      {pod("exit 3", "Never")}
""",
        namespace=space,
    )
    cluster.kubectl("wait", "-n", space, "--for=condition=failed", "job/broken", "--timeout=240s")
    describing = partial(cluster.kubectl, "describe", "-n", space, "job", "broken")
    told(describing, "BackoffLimitExceeded", "Job has reached the specified backoff limit")


def test_daemon_sets_and_stateful_sets_roll_out_and_back(cluster: Cluster, space: str) -> None:
    cluster.apply(
        f"""
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: agent}}
spec:
  selector: {{matchLabels: {{app: agent}}}}
  template:
    metadata: {{labels: {{app: agent}}}}
    spec:
      {pod("sleep 1000")}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db}}
spec:
  serviceName: db
  replicas: 2
  selector: {{matchLabels: {{app: db}}}}
  template:
    metadata: {{labels: {{app: db}}}}
    spec:
      {pod("sleep 1000")}
""",
        namespace=space,
    )
    for name in ("daemonset/agent", "statefulset/db"):
        cluster.kubectl("rollout", "status", "-n", space, name, "--timeout=240s")
        cluster.kubectl("set", "env", "-n", space, name, "ROUND=2")
        cluster.kubectl("rollout", "status", "-n", space, name, "--timeout=240s")
        history = cluster.kubectl("rollout", "history", "-n", space, name)
        assert [line.split()[0] for line in history.splitlines() if line[:1].isdigit()] == ["1", "2"], name
        cluster.kubectl("rollout", "undo", "-n", space, name)
        cluster.kubectl("rollout", "status", "-n", space, name, "--timeout=240s")
    pods = cluster.get("-n", space, "pods")["items"]
    assert sorted(item["metadata"]["name"] for item in pods if item["metadata"]["labels"]["app"] == "db") == ["db-0", "db-1"]
    assert not any(item["spec"]["containers"][0].get("env") for item in pods)
    assert cluster.kubectl("exec", "-n", space, "db-1", "--", "hostname").strip() == "db-1"
    cluster.kubectl("scale", "-n", space, "statefulset", "db", "--replicas=1")
    cluster.kubectl("wait", "-n", space, "--for=delete", "pod/db-1", "--timeout=240s")


def test_a_budget_keeps_the_last_pod_from_being_evicted(cluster: Cluster, space: str) -> None:
    cluster.apply(
        f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      {pod("sleep 1000")}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: web}}
spec: {{minAvailable: 1, selector: {{matchLabels: {{app: web}}}}}}
""",
        namespace=space,
    )
    cluster.kubectl("rollout", "status", "-n", space, "deployment/web", "--timeout=240s")
    eventually(lambda: cluster.get("-n", space, "pdb", "web")["status"]["currentHealthy"] == 1)
    node = cluster.get("nodes")["items"][0]["metadata"]["name"]
    flags = ("--pod-selector=app=web", "--ignore-daemonsets", "--timeout=12s")
    try:
        with pytest.raises(Failed, match="Cannot evict pod as it would violate the pod's disruption budget"):
            cluster.kubectl("drain", node, *flags)
    finally:
        cluster.kubectl("uncordon", node)
