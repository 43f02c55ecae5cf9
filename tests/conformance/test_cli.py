"""[sig-cli] Kubectl client: the real kubectl, doing what it does."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from functools import partial

import pytest
from tests.conformance.objects import IMAGE, SLEEP, controller, pod, replication_controller, service
from tests.conformance.space import Space, eventually, is_ready

from steersman.api.resources import DEPLOYMENTS, PODS, REPLICATION_CONTROLLERS, SERVICES
from steersman.machinery.meta import Obj, dig, name_of

pytestmark = pytest.mark.root

KUBECTL = "[sig-cli] Kubectl client"


def as_manifest(kind: str, obj: Obj, api_version: str = "v1") -> str:
    return json.dumps({"apiVersion": api_version, "kind": kind, **obj})


def primary(space: Space, count: int = 1) -> list[Obj]:
    """A ReplicationController `primary` of servers, by kubectl; its pods once they are ready."""
    space.kubectl("create", "-f", "-", stdin=as_manifest("ReplicationController", replication_controller("primary", count, "")))
    space.until(REPLICATION_CONTROLLERS, "primary", lambda it: dig(it, "status", "readyReplicas", default=0) == count)
    return space.list(PODS, "app=primary")


@pytest.mark.conformance(f"{KUBECTL} Kubectl api-versions should check if v1 is in available api versions [Conformance]")
def test_api_versions(space: Space) -> None:
    assert "v1" in space.kubectl("api-versions").splitlines()


@pytest.mark.conformance(
    f"{KUBECTL} Kubectl cluster-info should check if Kubernetes control plane services is included in cluster-info [Conformance]"
)
def test_cluster_info(space: Space) -> None:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", space.kubectl("cluster-info"))
    assert "Kubernetes control plane is running at https://" in plain


@pytest.mark.conformance(f"{KUBECTL} Kubectl version should check is all data is printed [Conformance]")
def test_version(space: Space) -> None:
    # After it kubectl may remark on the distance between the versions.
    found, _ = json.JSONDecoder().raw_decode(space.kubectl("version", "-o", "json"))
    for side in ("clientVersion", "serverVersion"):
        assert {"major", "minor", "gitVersion", "gitCommit", "buildDate", "goVersion", "platform"} <= found[side].keys()


@pytest.mark.conformance(
    f"{KUBECTL} Kubectl describe should check if kubectl describe prints relevant information for rc and pods [Conformance]"
)
def test_describe(space: Space) -> None:
    (made,) = primary(space)
    space.create(SERVICES, service("primary"))
    wanted = {
        ("pod", name_of(made)): f"Namespace:        {space.name}|Labels:           app=primary|Status:           Running|IP:"
        f"|Controlled By:  ReplicationController/primary|Image:          {IMAGE}|State:          Running|QoS Class:|Node:",
        ("rc", "primary"): "Name:         primary|Selector:     app=primary|Replicas:     1 current / 1 desired|Pod Template:"
        "|Pods Status:  1 Running / 0 Waiting / 0 Succeeded / 0 Failed|Events:|SuccessfulCreate",
        ("service", "primary"): "Name:|Labels:|app=primary|Type:|ClusterIP|IP:|http  80/TCP|Endpoints:|Session Affinity:",
        ("namespace", space.name): "Name:|Labels:|Annotations:|Status:|Active",
        ("node", "node-1"): "Name:|Labels:|Conditions:|Addresses:|Capacity:|Kernel Version:|Pods:",
    }
    for (kind, name), words in wanted.items():
        eventually(partial(_is_described, space, kind, name, words.split("|")))


def _is_described(space: Space, kind: str, name: str, words: Sequence[str]) -> bool:
    """Raises ValueError, to be asked again, with what kubectl says: events are written beside what they tell of."""
    said = space.kubectl("describe", kind, name)
    if missing := [word for word in words if word not in said]:
        raise ValueError(f"{missing} not in {said}")
    return True


@pytest.mark.conformance(f"{KUBECTL} Kubectl diff should check if kubectl diff finds a difference for Deployments [Conformance]")
def test_diff(space: Space) -> None:
    made = controller("httpd", 0)
    space.kubectl("apply", "-f", "-", stdin=as_manifest("Deployment", made, "apps/v1"))
    made["spec"]["template"]["spec"]["containers"][0]["image"] = "busybox:other"
    said = space.kubectl("diff", "-f", "-", stdin=as_manifest("Deployment", made, "apps/v1"), code=1)
    assert re.search(rf"^-\s+(- )?image: {IMAGE}$", said, re.M)
    assert re.search(r"^\+\s+(- )?image: busybox:other$", said, re.M)


def _greets(space: Space, url: str) -> bool:
    return "Hello" in space.cluster.curl(url)


def _all_ready(space: Space, count: int) -> bool:
    return [is_ready(it) for it in space.list(PODS)] == [True] * count


@pytest.mark.conformance(f"{KUBECTL} Kubectl expose should create services for rc [Conformance]")
def test_expose(space: Space) -> None:
    primary(space)
    space.kubectl("expose", "rc", "primary", "--name=rm2", "--port=1234", "--target-port=8080")
    eventually(lambda: len(space.addresses("rm2")) == 1 and next(iter(space.addresses("rm2"))).endswith(":8080"))
    space.kubectl("expose", "service", "rm2", "--name=rm3", "--port=2345", "--target-port=8080")
    for name, port in (("rm2", 1234), ("rm3", 2345)):
        found = space.get(SERVICES, name)
        assert [(it["port"], it["targetPort"]) for it in found["spec"]["ports"]] == [(port, 8080)]
        eventually(partial(_greets, space, f"http://{found['spec']['clusterIP']}:{port}"))


@pytest.mark.conformance(f"{KUBECTL} Kubectl label should update the label on a resource [Conformance]")
def test_label(space: Space) -> None:
    space.create(PODS, pod(SLEEP))
    space.kubectl("label", "pods", "pod", "testing-label=testing-label-value")
    assert "testing-label-value" in space.kubectl("get", "pod", "pod", "-L", "testing-label")
    space.kubectl("label", "pods", "pod", "testing-label-")
    assert "testing-label-value" not in space.kubectl("get", "pod", "pod", "-L", "testing-label")


@pytest.mark.conformance(f"{KUBECTL} Kubectl patch should add annotations for pods in rc [Conformance]")
def test_patch(space: Space) -> None:
    for made in primary(space, 2):
        space.kubectl("patch", "pod", name_of(made), "-p", '{"metadata":{"annotations":{"x":"y"}}}')
    assert [it["metadata"]["annotations"]["x"] for it in space.list(PODS)] == ["y", "y"]


@pytest.mark.conformance(f"{KUBECTL} Kubectl run pod should create a pod from an image when restart is Never [Conformance]")
@pytest.mark.conformance(f"{KUBECTL} Kubectl replace should update a single-container pod's image [Conformance]")
def test_run_and_replace(space: Space, echo_image: str) -> None:
    space.kubectl("run", "e2e-test-httpd-pod", "--restart=Never", f"--image={IMAGE}", "--labels=run=e2e")
    found = space.until(PODS, "e2e-test-httpd-pod", is_ready)
    assert [it["image"] for it in found["spec"]["containers"]] == [IMAGE] and found["spec"]["restartPolicy"] == "Never"
    found["spec"]["containers"][0]["image"] = echo_image

    def replace() -> str:
        """Between reading and writing the kubelet may write the status: a conflict."""
        current = space.get(PODS, "e2e-test-httpd-pod")
        return space.kubectl("replace", "-f", "-", stdin=json.dumps(current | {"spec": found["spec"]}))

    eventually(replace)
    assert space.get(PODS, "e2e-test-httpd-pod")["spec"]["containers"][0]["image"] == echo_image


@pytest.mark.conformance(f"{KUBECTL} Kubectl server-side dry-run should check if kubectl can dry-run update Pods [Conformance]")
def test_dry_run(space: Space) -> None:
    space.kubectl("run", "dry", f"--image={IMAGE}", "--labels=run=dry")
    change = {"spec": {"containers": [{"name": "dry", "image": "other.example/image:1"}]}}
    said = space.kubectl("patch", "pod", "dry", "-p", json.dumps(change), "--dry-run=server", "-o", "json")
    assert json.loads(said)["spec"]["containers"][0]["image"] == "other.example/image:1"
    assert space.get(PODS, "dry")["spec"]["containers"][0]["image"] == IMAGE


@pytest.mark.conformance(f"{KUBECTL} Update Demo should create and stop a replication controller [Conformance]")
@pytest.mark.conformance(f"{KUBECTL} Update Demo should scale a replication controller [Conformance]")
def test_scaling_and_stopping(space: Space) -> None:
    assert len(primary(space, 2)) == 2
    for count in (1, 2):
        space.kubectl("scale", "rc", "primary", f"--replicas={count}", "--timeout=4m")
        eventually(partial(_all_ready, space, count))
    space.kubectl("delete", "rc", "primary", "--grace-period=0", "--force")
    eventually(lambda: space.list(PODS) == [])


@pytest.mark.conformance(f"{KUBECTL} Guestbook application should create and stop a working application [Conformance]")
def test_front_and_back(space: Space) -> None:
    # The front passes on to the back by the name of its Service.
    script = """mkdir -p /www/cgi-bin; cat > /www/cgi-bin/ask <<'END'
#!/bin/sh
echo Content-Type: text/plain; echo; wget -qO- http://backend
END
chmod +x /www/cgi-bin/ask; exec httpd -f -p 8080 -h /www"""
    for name, what, count in (("backend", "", 2), ("frontend", script, 1)):
        space.kubectl("apply", "-f", "-", stdin=as_manifest("Deployment", controller(name, count, what), "apps/v1"))
        space.kubectl("apply", "-f", "-", stdin=as_manifest("Service", service(name)))
    space.kubectl("rollout", "status", "deployment/backend", "deployment/frontend", "--timeout=240s")
    address = space.get(SERVICES, "frontend")["spec"]["clusterIP"]
    eventually(lambda: "Hello from backend-" in space.cluster.curl(f"http://{address}/cgi-bin/ask"))
    space.kubectl("delete", "deployment,service", "--all", "--grace-period=0", "--force")
    eventually(lambda: space.list(PODS) == [])
    assert space.list(DEPLOYMENTS) == []


@pytest.mark.conformance("[sig-cli] Kubectl logs logs should be able to retrieve and filter logs [Conformance]")
def test_logs(space: Space) -> None:
    script = f"for i in $(seq 1 20); do echo $i /api/v1/namespaces; done; sleep 2; echo last; {SLEEP}"
    space.running(pod(script))
    eventually(lambda: "last" in space.kubectl("logs", "pod"))
    lines = space.kubectl("logs", "pod", "main").splitlines()
    assert lines == [f"{number} /api/v1/namespaces" for number in range(1, 21)] + ["last"]
    assert space.kubectl("logs", "pod", "main", "--tail=1") == "last\n"
    assert space.kubectl("logs", "pod", "main", "--limit-bytes=1") == "1"
    stamped = space.kubectl("logs", "pod", "main", "--tail=1", "--timestamps")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d) last\n", stamped)
    # Whoever reads the lines sets their times, and may have been late for all.
    eventually(lambda: len(space.kubectl("logs", "pod", "main", "--since=1s").splitlines()) <= 1)
    assert space.kubectl("logs", "pod", "main", "--since=24h").splitlines() == lines


@pytest.mark.conformance(f"{KUBECTL} Proxy server should support proxy with --port 0 [Conformance]")
def test_proxy_on_a_port(space: Space) -> None:
    process = space.cluster.popen("kubectl", "proxy", "--port=0")
    try:
        assert process.stdout is not None
        found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert found
        answer = eventually(lambda: space.cluster.curl(f"http://127.0.0.1:{found[1]}/api/"))
        assert "v1" in json.loads(answer)["versions"]
    finally:
        stop(process)


@pytest.mark.conformance(f"{KUBECTL} Proxy server should support --unix-socket=/path [Conformance]")
def test_proxy_on_a_socket(space: Space) -> None:
    path = space.cluster.state / "kubectl-proxy.sock"
    process = space.cluster.popen("kubectl", "proxy", f"--unix-socket={path}")
    try:
        eventually(path.exists)
        answer = eventually(lambda: space.cluster.curl("http://localhost/api/", "--unix-socket", str(path)))
        assert "v1" in json.loads(answer)["versions"]
    finally:
        stop(process)


def stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(60)
    if process.stdout is not None:
        process.stdout.close()
