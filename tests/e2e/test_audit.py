"""docs/audit.md, typed; then what upstream's kubectl does is in the log as upstream's API server would write it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.documents import commands, typed
from tests.e2e.harness import Cluster, eventually, told

pytestmark = pytest.mark.root

METADATA = {
    *("kind", "apiVersion", "level", "auditID", "stage", "requestURI", "verb", "user", "sourceIPs", "userAgent", "objectRef"),
    *("responseStatus", "requestReceivedTimestamp", "stageTimestamp", "annotations"),
}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster(f"stm-audit-{os.getpid()}")
    try:
        made.steersman("up", "--simulated-nodes", "1")
        yield made
    finally:
        made.remove()


class Log:
    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[str]:
        """Those that are there as a whole."""
        return self.path.read_text().rpartition("\n")[0].splitlines()

    def until(self, verb: str, resource: str, name: str = "", subresource: str = "", *, count: int = 1) -> list[dict[str, Any]]:
        """So many events of such requests: they are written when the answer is out already."""
        found: list[dict[str, Any]] = []

        def written() -> bool:
            found[:] = self.of(verb, resource, name, subresource)
            return len(found) >= count

        eventually(written, what=f"events of {verb} {resource} {name} {subresource}")
        assert len(found) == count
        return found

    def of(self, verb: str, resource: str, name: str = "", subresource: str = "") -> list[dict[str, Any]]:
        """The events of such requests, in order."""
        found = []
        for line in self.lines():
            event = json.loads(line)
            ref = event.get("objectRef") or {}
            wanted = (verb, resource, name, subresource)
            if (event["verb"], ref.get("resource"), ref.get("name", ""), ref.get("subresource", "")) == wanted:
                found.append(event)
        return found


def test_what_kubectl_does_is_recorded_as_the_policy_says(cluster: Cluster, tmp_path: Path) -> None:
    record, metrics = commands("audit.md")
    before, look, after = record.rpartition("grep ")
    typed(cluster, before, tmp_path)
    # Who types takes longer than the line does to be written.
    told(partial(typed, cluster, look + after, tmp_path), '"verb":"create"')
    assert "apiserver_audit_event_total" in typed(cluster, metrics, tmp_path)
    path = tmp_path / "audit.log"
    log = Log(path)
    assert path.stat().st_mode & 0o777 == 0o600

    cluster.kubectl("create", "secret", "generic", "token", "--from-literal=value=correct-horse")
    (event,) = log.until("create", "secrets", "token")
    assert event.keys() == METADATA
    assert (event["level"], event["stage"], event["responseStatus"]["code"]) == ("Metadata", "ResponseComplete", 201)
    assert event["user"]["username"] == "kubernetes-admin" and "system:masters" in event["user"]["groups"]
    assert event["userAgent"].startswith("kubectl/") and event["sourceIPs"]
    assert event["requestURI"].startswith("/api/v1/namespaces/default/secrets?fieldManager=kubectl-create")
    assert "correct-horse" not in path.read_text() and "Y29ycmVjdC1ob3JzZQ==" not in path.read_text()

    cluster.kubectl("create", "deployment", "web", "--image", "nginx")
    (event,) = log.until("create", "deployments", "web")
    assert event["objectRef"] | {"apiGroup": "apps", "apiVersion": "v1", "namespace": "default"} == event["objectRef"]
    assert event["requestObject"]["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx"
    assert event["responseObject"]["metadata"]["uid"] and "managedFields" not in event["responseObject"]["metadata"]

    cluster.kubectl("scale", "deployment", "web", "--replicas", "0")
    (event,) = log.until("patch", "deployments", "web", "scale")
    assert event["requestObject"] == {"spec": {"replicas": 0}}
    cluster.kubectl("patch", "deployment", "web", "-p", '{"spec":{"replicas":1}}')
    (event,) = log.until("patch", "deployments", "web")
    assert event["requestObject"] == {"spec": {"replicas": 1}} and event["responseObject"]["spec"]["replicas"] == 1

    cluster.kubectl("run", "shell", "--image", "busybox", "--", "sleep", "1000")
    eventually(lambda: cluster.get("pod", "shell")["status"]["phase"] == "Running")
    assert cluster.kubectl("exec", "shell", "--", "echo", "hi") == "hi\n"
    eventually(lambda: len(log.of("get", "pods", "shell", "exec") + log.of("create", "pods", "shell", "exec")) == 2)
    started, over = log.of("get", "pods", "shell", "exec") or log.of("create", "pods", "shell", "exec")
    assert (started["stage"], over["stage"]) == ("ResponseStarted", "ResponseComplete")
    assert started["auditID"] == over["auditID"] and over["responseStatus"]["code"] == 101
    assert "command=echo&command=hi" in started["requestURI"]

    with cluster.popen("kubectl", "get", "configmaps", "--watch-only") as watching:
        try:
            eventually(lambda: [e for e in log.of("watch", "configmaps") if e["userAgent"].startswith("kubectl/")])
        finally:
            watching.terminate()
    events = eventually(
        lambda: len(found := [e for e in log.of("watch", "configmaps") if e["userAgent"].startswith("kubectl/")]) == 2 and found
    )
    assert [event["stage"] for event in events] == ["ResponseStarted", "ResponseComplete"]
    assert "watch=true" in events[0]["requestURI"]

    cluster.run("kubectl", "delete", "pod", "nobody", "--as", "eve", "--as-group", "system:authenticated", code=1)
    (event,) = log.until("delete", "pods", "nobody")
    assert (event["user"]["username"], event["impersonatedUser"]["username"]) == ("kubernetes-admin", "eve")
    assert event["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert (event["responseStatus"]["reason"], event["responseStatus"]["code"]) == ("Forbidden", 403)

    refused = cluster.run("kubectl", "--kubeconfig", "/dev/null", "--server", server_of(cluster), "--token", "wrong",
                          "--insecure-skip-tls-verify", "get", "nodes", code=1)  # fmt: skip
    assert "logged in" in refused or "Unauthorized" in refused
    failed = eventually(lambda: [json.loads(line) for line in log.lines() if '"code":401' in line])
    assert failed[-1]["stage"] == "ResponseStarted" and failed[-1]["user"] == {}
    assert failed[-1]["responseStatus"]["message"] == "Authentication failed, attempted: bearer"

    # Controllers act as themselves, and it is told why they may.
    made = eventually(lambda: cluster.get("replicasets", "-l", "app=web")["items"][0]["metadata"]["name"])
    (event,) = log.until("create", "replicasets", made)
    assert event["user"]["username"] == "system:serviceaccount:kube-system:deployment-controller"
    assert re.match(
        r'RBAC: allowed by ClusterRoleBinding "system:controller:deployment-controller" of ClusterRole '
        r'"system:controller:deployment-controller" to ServiceAccount "deployment-controller/kube-system"',
        event["annotations"]["authorization.k8s.io/reason"],
    )
    assert not log.of("update", "leases") and "/readyz" not in path.read_text()


def server_of(cluster: Cluster) -> str:
    return cluster.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
