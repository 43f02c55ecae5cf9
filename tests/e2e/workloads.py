"""One workload of each sort, applied together, and what must come true of each: for whole clusters of any make.

`begin()` applies them; then the functions named after them may be called in any order, `drain()` last. The nodes need the image.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.e2e.harness import Cluster, eventually, told

from steersman.machinery.meta import condition

IMAGE = "steersman.example/hello:1"
_MANIFEST = """
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
      containers:
      - name: c
        image: IMAGE
        command: [sh, -c, "hostname >> /data/lives; exec sleep 100000"]
        readinessProbe: {exec: {command: [test, -s, /data/lives]}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: c, image: IMAGE, command: [sleep, "100000"]}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: c, image: IMAGE, command: [echo, tick]}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: sum}
spec:
  completions: 3
  parallelism: 3
  completionMode: Indexed
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: IMAGE, command: [sh, -c, "echo index $JOB_COMPLETION_INDEX on $(hostname)"]}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: elastic}
spec:
  selector: {matchLabels: {app: elastic}}
  template:
    metadata: {labels: {app: elastic}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: c
        image: IMAGE
        command: [sh, -c, "while :; do while [ -e /tmp/load ]; do :; done; sleep 0.2; done"]
        resources: {requests: {cpu: 50m}, limits: {cpu: 250m}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: elastic}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: elastic}
  maxReplicas: 2
  behavior: {scaleUp: {stabilizationWindowSeconds: 0}, scaleDown: {stabilizationWindowSeconds: 0}}
  metrics:
  - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: front}
spec:
  replicas: 2
  selector: {matchLabels: {app: front}}
  template:
    metadata: {labels: {app: front}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: c
        image: IMAGE
        readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {type: LoadBalancer, selector: {app: front}, ports: [{port: 8090, targetPort: 8080}]}
"""


def begin(cluster: Cluster, namespace: str) -> None:
    """Create the namespace and everything in it; the load on the autoscaler's pod begins as soon as it runs."""
    cluster.kubectl("create", "namespace", namespace)
    # Pods are refused before it is there.
    eventually(lambda: cluster.get("serviceaccount", "default", "-n", namespace))
    cluster.apply(_MANIFEST.replace("IMAGE", IMAGE), namespace=namespace)
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/elastic", "--timeout=240s")
    _load(cluster, namespace, "touch")


def stateful_set(cluster: Cluster, namespace: str) -> None:
    """Pods in order, each with a volume whose data a new pod of the same name finds."""
    cluster.kubectl("rollout", "status", "-n", namespace, "statefulset/db", "--timeout=240s")
    before = _pod(cluster, namespace, "db-1")["metadata"]["uid"]
    lives = cluster.kubectl("exec", "-n", namespace, "db-1", "--", "cat", "/data/lives")
    cluster.kubectl("delete", "pod", "-n", namespace, "db-1")

    def another() -> bool:
        # Not by `rollout status`: what it looks at may be of the time before.
        pod = _pod(cluster, namespace, "db-1")
        ready = condition(pod["status"].get("conditions"), "Ready") or {}
        return pod["metadata"]["uid"] != before and ready.get("status") == "True"

    eventually(another, what="another db-1")
    assert cluster.kubectl("exec", "-n", namespace, "db-1", "--", "cat", "/data/lives") == f"{lives}db-1\n"


def daemon_set(cluster: Cluster, namespace: str) -> None:
    """A pod on every node."""
    cluster.kubectl("rollout", "status", "-n", namespace, "daemonset/agent", "--timeout=240s")
    nodes = sorted(item["metadata"]["name"] for item in cluster.get("nodes")["items"])
    assert sorted(item["spec"]["nodeName"] for item in _pods(cluster, namespace, "app=agent")) == nodes


def indexed_job(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("wait", "-n", namespace, "--for=condition=complete", "job/sum", "--timeout=240s")
    wanted = [f"index {number} on sum-{number}" for number in range(3)]
    eventually(lambda: sorted(cluster.kubectl("logs", "-n", namespace, "-l", "job-name=sum").splitlines()) == wanted)
    assert cluster.get("job", "sum", "-n", namespace)["status"]["completedIndexes"] == "0-2"


def cron_job(cluster: Cluster, namespace: str) -> None:
    """A full minute brought a Job, which succeeded."""
    last = eventually(lambda: cluster.get("cronjob", "tick", "-n", namespace)["status"]["lastSuccessfulTime"], within_s=300)
    assert last
    jobs = [item["metadata"] for item in cluster.get("jobs", "-n", namespace)["items"]]
    assert any(job["name"].startswith("tick-") and job["ownerReferences"][0]["kind"] == "CronJob" for job in jobs)


def load_balancer(cluster: Cluster, namespace: str) -> str:
    """Its URL, which all pods behind it answer."""
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/front", "--timeout=240s")
    address = eventually(
        lambda: cluster.get("service", "front", "-n", namespace)["status"]["loadBalancer"]["ingress"][0]["ip"], what="an address"
    )
    url = f"http://{address}:8090"
    names = {item["metadata"]["name"] for item in _pods(cluster, namespace, "app=front")}
    seen: set[str] = set()

    def all_answered() -> bool:
        said = cluster.curl(url)
        seen.update(name for name in names if name in said)
        return seen == names

    eventually(all_answered, what=f"answers of {names}")
    return url


def autoscaler_up(cluster: Cluster, namespace: str) -> None:
    """What `begin()` loaded has shown in the metrics, and got company."""
    eventually(lambda: cluster.get("deployment", "elastic", "-n", namespace)["status"].get("readyReplicas") == 2, within_s=300)
    pods = {item["metadata"]["name"] for item in _pods(cluster, namespace, "app=elastic")}
    shown = eventually(lambda: cluster.kubectl("top", "pods", "-n", namespace, "-l", "app=elastic", "--no-headers"))
    assert {line.split()[0] for line in shown.splitlines()} <= pods
    _load(cluster, namespace, "rm", "-f")


def autoscaler_down(cluster: Cluster, namespace: str) -> None:
    """After autoscaler_up()."""
    eventually(lambda: cluster.get("deployment", "elastic", "-n", namespace)["status"]["replicas"] == 1, within_s=300)
    told(
        partial(cluster.kubectl, "describe", "hpa", "elastic", "-n", namespace),
        "New size: 2; reason: cpu resource utilization (percentage of request) above target",
        "New size: 1; reason: All metrics below target",
    )


def drain(cluster: Cluster, namespace: str, node: str) -> None:
    """kubectl drain leaves only the daemon's pod on the node; after uncordon everything is Ready again."""
    flags = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=240s")
    assert f"node/{node} drained" in cluster.kubectl("drain", node, *flags)
    left = [item for item in _pods(cluster, namespace) if item["spec"].get("nodeName") == node and _alive(item)]
    assert [item["metadata"]["labels"].get("app") for item in left] == ["agent"]
    cluster.kubectl("uncordon", node)
    for name in ("statefulset/db", "deployment/front", "deployment/elastic"):
        cluster.kubectl("rollout", "status", "-n", namespace, name, "--timeout=240s")


def _load(cluster: Cluster, namespace: str, *command: str) -> None:
    for item in _pods(cluster, namespace, "app=elastic"):
        cluster.kubectl("exec", "-n", namespace, item["metadata"]["name"], "--", *command, "/tmp/load")


def _pods(cluster: Cluster, namespace: str, selector: str = "") -> list[Any]:
    found: list[Any] = cluster.get("pods", "-n", namespace, "-l", selector)["items"]
    return found


def _pod(cluster: Cluster, namespace: str, name: str) -> Any:
    return cluster.get("pod", name, "-n", namespace)


def _alive(pod: Any) -> bool:
    return pod["status"]["phase"] not in ("Succeeded", "Failed") and "deletionTimestamp" not in pod["metadata"]
