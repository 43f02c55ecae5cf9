"""Pulling plugs: containers, pods, and each part of the cluster are killed; what runs goes on, what is missing comes back."""

from __future__ import annotations

import pytest
from tests.conformance.api import Api
from tests.e2e.harness import Cluster, eventually, example_manifest
from tests.e2e.traffic import asking

from steersman.api.resources import PODS
from steersman.machinery.meta import Obj, dig

pytestmark = pytest.mark.root

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: steady}
spec:
  replicas: 2
  selector: {matchLabels: {app: steady}}
  template:
    metadata: {labels: {app: steady}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: steersman.example/hello:1
          imagePullPolicy: Never
          command: [sh, -c, "trap 'exit 0' TERM; echo trapped; while :; do sleep 1; done"]
"""


@pytest.fixture
def steady(cluster: Cluster, namespace: str) -> str:
    """Two pods that do nothing, running; the namespace."""
    cluster.steersman("example", "--image-only", "1")
    cluster.apply(DEPLOYMENT, namespace=namespace)
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/steady", "--timeout=240s")
    return namespace


def container_ids(cluster: Cluster, namespace: str) -> dict[str, str]:
    pods = cluster.get("-n", namespace, "pods")["items"]
    return {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["containerID"] for pod in pods}


def kill(cluster: Cluster, part: str) -> None:
    """kill -9, and wait until the supervisor has brought the part back and the API answers."""
    pid = cluster.kill(part)
    eventually(lambda: cluster.pid(part) not in (0, pid))
    eventually(lambda: cluster.kubectl("get", "--raw", "/readyz") == "ok")


def waiting_for(pod: Obj) -> str:
    """Why its container does not run."""
    return str(dig(pod, "status", "containerStatuses", 0, "state", "waiting", "reason", default=""))


def test_a_container_whose_process_is_killed_is_started_again_with_back_off(cluster: Cluster, api: Api, steady: str) -> None:
    name = next(iter(container_ids(cluster, steady)))

    def restarts() -> int:
        return int(cluster.get("-n", steady, "pod", name)["status"]["containerStatuses"][0]["restartCount"])

    def end() -> None:
        # The first process of a container is not touched by a signal that it has no trap for, or not yet.
        eventually(lambda: cluster.kubectl("logs", "-n", steady, name) == "trapped\n", what="it listens to signals")
        cluster.kubectl("exec", "-n", steady, name, "--", "kill", "-TERM", "1", code=None)

    cluster.kubectl("exec", "-n", steady, name, "--", "kill", "-9", "1", code=None)
    end()
    eventually(lambda: restarts() == 1)
    eventually(lambda: cluster.get("-n", steady, "pod", name)["status"]["containerStatuses"][0]["ready"])
    with api.watching(PODS, steady, field_selector=f"metadata.name={name}") as watching:
        # What is there already: from now on every state is seen, however short.
        assert watching.next().type == "ADDED"
        end()
        while waiting_for(watching.next().object) != "CrashLoopBackOff":
            pass
    told = ("describe", "-n", steady, "pod", name)
    eventually(lambda: "Back-off restarting failed container" in cluster.kubectl(*told))
    eventually(lambda: restarts() == 2)


def test_a_deleted_pod_is_replaced(cluster: Cluster, steady: str) -> None:
    before = container_ids(cluster, steady)
    gone = next(iter(before))
    cluster.kubectl("delete", "pod", "-n", steady, gone)

    def replaced() -> bool:
        now = container_ids(cluster, steady)
        return gone not in now and len(now) == 2

    eventually(replaced)
    cluster.kubectl("rollout", "status", "-n", steady, "deployment/steady", "--timeout=240s")


@pytest.mark.parametrize("part", ["node", "apiserver", "control"])
def test_a_killed_part_comes_back_and_running_containers_do_not_notice(cluster: Cluster, steady: str, part: str) -> None:
    before = container_ids(cluster, steady)
    kill(cluster, part)
    cluster.kubectl("scale", "-n", steady, "deployment", "steady", "--replicas=3")
    cluster.kubectl("rollout", "status", "-n", steady, "deployment/steady", "--timeout=240s")
    after = container_ids(cluster, steady)
    assert before.items() <= after.items()
    restarts = [p["status"]["containerStatuses"][0]["restartCount"] for p in cluster.get("-n", steady, "pods")["items"]]
    assert restarts == [0, 0, 0]


def test_parts_killed_in_turn_under_load_cost_no_request_and_everything_converges(cluster: Cluster, namespace: str) -> None:
    cluster.steersman("example", "--image-only", "1")
    cluster.apply(example_manifest(), namespace=namespace)
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/hello", "--timeout=240s")
    address = cluster.get("-n", namespace, "service", "hello")["spec"]["clusterIP"]
    eventually(lambda: "Hello" in cluster.curl(f"http://{address}"))
    with asking(cluster, address) as counts:
        for replicas, part in enumerate(("node", "apiserver", "control", "node", "control", "apiserver"), start=4):
            cluster.kubectl("scale", "-n", namespace, "deployment", "hello", f"--replicas={replicas}")
            kill(cluster, part)
        cluster.kubectl("rollout", "status", "-n", namespace, "deployment/hello", "--timeout=240s")
    assert counts.good > 10 and counts.bad == 0
    pods = cluster.get("-n", namespace, "pods")["items"]
    assert len(pods) == 9
    assert {pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods} == {0}


def test_up_right_after_the_supervisor_was_killed_takes_over_while_the_old_parts_still_end(cluster: Cluster, steady: str) -> None:
    """It used to find the lock held by the orphaned parts, start nothing, and wait in vain."""
    before = container_ids(cluster, steady)
    cluster.kill("supervisor")
    cluster.up()
    eventually(lambda: cluster.get("-n", steady, "deployment", "steady")["status"].get("availableReplicas") == 2)
    assert container_ids(cluster, steady) == before


def test_after_kill_9_of_everything_up_brings_the_same_cluster_and_pods_back(cluster: Cluster, steady: str) -> None:
    before = container_ids(cluster, steady)
    # The supervisor first, so that it does not start again what is killed next.
    for part in ("supervisor", "node", "control", "apiserver"):
        try:
            cluster.kill(part)
        except ProcessLookupError:
            continue
    cluster.up()
    eventually(lambda: cluster.get("-n", steady, "deployment", "steady")["status"].get("availableReplicas") == 2)
    assert container_ids(cluster, steady) == before
