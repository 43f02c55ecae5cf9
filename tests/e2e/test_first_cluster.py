"""What a person sees first: the cluster stands, the example answers, pods find services and the API."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from tests.e2e.harness import ADDRESS, Cluster, eventually, told

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def example(cluster: Cluster) -> str:
    """The output of `steersman example`, whose objects the tests of this module look at."""
    return cluster.steersman("example")


def test_the_example_is_answered_by_every_pod(example: str) -> None:
    said = re.findall(r"Hello from (hello-\S+), version 1", example)
    assert len(said) == 9 and len(set(said)) == 3


def test_cluster_ip_and_node_port_are_answered_by_all_three_pods_in_turn(cluster: Cluster, example: str) -> None:
    address = cluster.get("service", "hello")["spec"]["clusterIP"]
    for url in (f"http://{address}", f"http://{ADDRESS}:30080"):

        def in_turn(url: str = url) -> bool:
            # Rules that are written anew meanwhile, for a pod that goes, begin at the first.
            return sorted(Counter(cluster.curl(url) for _ in range(12)).values()) == [4, 4, 4]

        eventually(in_turn)


def test_get_all_looks_as_upstream_prints_it(cluster: Cluster, example: str) -> None:
    lines = cluster.kubectl("get", "all", "-A", "-o", "wide").splitlines()
    headers = [re.split(r"\s{2,}", line.strip()) for line in lines if line.startswith("NAMESPACE")]
    assert headers[0] == [
        "NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED NODE", "READINESS GATES",
    ]  # fmt: skip
    assert headers[1] == ["NAMESPACE", "NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE", "SELECTOR"]
    # Not those that another test's namespace takes with it.
    pods = [line for line in lines if line.startswith("default ") and " pod/hello-" in line]
    assert len(pods) == 3 and all(re.search(r"1/1 +Running +0 +\S+ +10\.244\.0\.\d+ +node-1 ", line) for line in pods)
    assert any(re.search(r"default +service/kubernetes +ClusterIP +10\.96\.0\.1 +<none> +443/TCP", line) for line in lines)
    assert any(re.search(r"default +deployment.apps/hello +3/3 +3 +3 ", line) for line in lines)
    assert any(re.search(r"default +replicaset.apps/hello-\w+ +3 +3 +3 ", line) for line in lines)


def test_a_pod_finds_a_service_by_name_and_reaches_it(cluster: Cluster, example: str) -> None:
    pod = cluster.get("pods", "-l", "app=hello")["items"][0]["metadata"]["name"]
    for name in ("hello", "hello.default", "hello.default.svc.cluster.local"):
        told(partial(cluster.kubectl, "exec", pod, "--", "wget", "-qO-", f"http://{name}"), "Hello from hello-")


def test_a_pod_reaches_itself_through_its_service(cluster: Cluster, example: str) -> None:
    pod = cluster.get("pods", "-l", "app=hello")["items"][0]["metadata"]["name"]
    asking = ("exec", pod, "--", "wget", "-qO-", "http://hello")
    eventually(lambda: len({cluster.kubectl(*asking) for _ in range(3)}) == 3)


def test_a_pod_reaches_the_api_with_its_token_and_may_only_what_it_was_given(cluster: Cluster, example: str) -> None:
    pod = cluster.get("pods", "-l", "app=hello")["items"][0]["metadata"]["name"]
    mount = "/var/run/secrets/kubernetes.io/serviceaccount"
    read = cluster.kubectl("exec", pod, "--", "sh", "-c", f"cat {mount}/namespace; wc -c < {mount}/ca.crt; cat {mount}/token")
    assert read.startswith("default")
    token = read.split()[-1]
    ca = cluster.state / "pki" / "ca.crt"
    api = ("--cacert", str(ca), "-H", f"Authorization: Bearer {token}", "--resolve", "kubernetes.default:443:10.96.0.1")
    assert '"gitVersion"' in cluster.curl("https://kubernetes.default/version", *api)
    refused = cluster.curl("https://kubernetes.default/api/v1/namespaces/default/secrets", *api)
    assert 'User \\"system:serviceaccount:default:default\\" cannot list resource \\"secrets\\"' in refused
    resolved = cluster.kubectl("exec", pod, "--", "nslookup", "kubernetes.default.svc.cluster.local")
    assert "10.96.0.1" in resolved


def test_up_again_changes_nothing(cluster: Cluster, example: str) -> None:
    parts = {part: cluster.pid(part) for part in ("supervisor", "apiserver", "control", "node")}
    cluster.up()
    assert {part: cluster.pid(part) for part in parts} == parts


def test_status_tells_of_every_part(cluster: Cluster, example: str) -> None:
    said = cluster.steersman("status")
    for word in ("supervisor", "apiserver", "control", "node-1: Ready"):
        assert word in said

    def counts_what_runs() -> bool:
        # Pods of the tests before may be on their way out.
        running = sum(pod["status"]["phase"] == "Running" for pod in cluster.get("-A", "pods")["items"])
        return running >= 3 and f"{running} Running" in cluster.steersman("status")

    eventually(counts_what_runs)


def test_files_with_keys_are_readable_by_root_alone(cluster: Cluster) -> None:
    for path in [*(cluster.state / "pki").iterdir(), *(cluster.state / "kubeconfig").iterdir(), cluster.state / "store.db"]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_secrets_and_tokens_of_pods_never_touch_a_disk(cluster: Cluster, example: str) -> None:
    mounts = (line.split() for line in (Path("/proc/self/mountinfo").read_text().splitlines()))
    kinds = {parts[4]: parts[parts.index("-") + 1] for parts in mounts}
    # Pods of other tests may be on their way out, half unmounted.
    uids = [pod["metadata"]["uid"] for pod in cluster.get("pods", "-l", "app=hello")["items"]]
    folders = [cluster.state / "kubelet" / "pods" / uid / "volumes" / "kubernetes.io~projected" for uid in uids]
    tokens = [token for folder in folders for token in folder.glob("kube-api-access-*")]
    assert len(tokens) >= 3
    assert {kinds.get(str(path)) for path in tokens} == {"tmpfs"}
