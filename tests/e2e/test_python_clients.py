"""The official Python client and containers that really run: what is typed arrives, terminals are ones, ports lead inside."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client as k8s
from kubernetes import config
from kubernetes.config.incluster_config import InClusterConfigLoader
from kubernetes.stream import portforward, stream
from tests.conformance.objects import IMAGE
from tests.e2e.harness import Cluster, eventually

from steersman.network.netns import entered

pytestmark = [
    pytest.mark.root,
    # The client leaves its WebSockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
SERVE = "mkdir -p /www; echo hello from $HOSTNAME > /www/index.html; exec httpd -f -p 8080 -h /www"


@pytest.fixture
def core(cluster: Cluster) -> Iterator[Any]:
    """The official client, in the cluster's network namespace."""
    assert cluster.steersman("example", "--image-only", "1").strip() == IMAGE
    with entered(f"/run/netns/{cluster.netns.name}"), config.new_client_from_config(str(cluster.kubeconfig)) as made:
        yield k8s.CoreV1Api(made)
        gc.collect()


@pytest.fixture
def pod(core: Any, namespace: str) -> tuple[str, str]:
    container = k8s.V1Container(name="c", image=IMAGE, command=["sh", "-c", SERVE])
    spec = k8s.V1PodSpec(containers=[container], termination_grace_period_seconds=0)
    core.create_namespaced_pod(namespace, k8s.V1Pod(metadata=k8s.V1ObjectMeta(name="web"), spec=spec))
    eventually(lambda: core.read_namespaced_pod("web", namespace).status.phase == "Running", what="the pod runs")
    return "web", namespace


def run(core: Any, pod: tuple[str, str], *command: str, **options: Any) -> Any:
    wanted = {"stdin": True, "stdout": True, "stderr": True, "tty": False, **options}
    return stream(core.connect_get_namespaced_pod_exec, *pod, command=list(command), _preload_content=False, **wanted)


def test_what_is_typed_arrives_and_its_end_as_well(core: Any, pod: tuple[str, str]) -> None:
    talking = run(core, pod, "sh", "-c", "while read line; do echo got $line; done; echo end >&2; exit 5")
    talking.write_stdin("one\n")
    assert talking.readline_stdout(timeout=180) == "got one"
    talking.write_stdin("two\n")
    assert talking.readline_stdout(timeout=180) == "got two"
    # The end of what is typed: only this version of the protocol has it.
    assert talking.subprotocol == "v5.channel.k8s.io"
    talking.close_channel(0)
    talking.run_forever(timeout=180)
    assert talking.read_stderr() == "end\n" and talking.returncode == 5
    talking.close()


def test_a_megabyte_of_bytes_comes_back_as_it_was(core: Any, pod: tuple[str, str]) -> None:
    sent = bytes(range(256)) * 4096
    echoing = run(core, pod, "sh", "-c", f"head -c {len(sent)}", binary=True)
    for start in range(0, len(sent), 65536):
        echoing.write_stdin(sent[start : start + 65536])
    got = b""
    while len(got) < len(sent):
        got += echoing.read_stdout(timeout=180)
    assert got == sent
    echoing.close()


def test_a_terminal_is_one(core: Any, pod: tuple[str, str]) -> None:
    terminal = run(core, pod, "sh", tty=True)
    terminal.write_channel(4, '{"Width":123,"Height":45}')
    terminal.write_stdin("stty size; exit 3\n")
    terminal.run_forever(timeout=180)
    assert "45 123" in terminal.read_stdout() and terminal.returncode == 3
    terminal.close()


def test_a_port_leads_into_the_pod(core: Any, pod: tuple[str, str]) -> None:
    def answer() -> bytes:
        forwarded = portforward(core.connect_get_namespaced_pod_portforward, *pod, ports="8080")
        local = forwarded.socket(8080)
        local.settimeout(180)
        local.sendall(b"GET / HTTP/1.0\r\n\r\n")
        got = b""
        while data := local.recv(4096):
            got += data
        forwarded.close()
        return got

    eventually(lambda: answer().endswith(b"hello from web\n"), what="the pod's server answers")


def test_the_credentials_inside_a_pod_lead_to_the_api_server(core: Any, pod: tuple[str, str], tmp_path: Path) -> None:
    place = "/var/run/secrets/kubernetes.io/serviceaccount"
    for name in ("token", "ca.crt"):
        (tmp_path / name).write_text(
            stream(
                core.connect_get_namespaced_pod_exec,
                *pod,
                command=["cat", f"{place}/{name}"],
                stdin=False,
                stdout=True,
                stderr=True,
                tty=False,
            )
        )
    inside = run(core, pod, "env", stdin=False)
    inside.run_forever(timeout=180)
    environment = dict(line.split("=", 1) for line in inside.read_stdout().splitlines() if "=" in line)
    configuration = k8s.Configuration()
    InClusterConfigLoader(str(tmp_path / "token"), str(tmp_path / "ca.crt"), environ=environment).load_and_set(configuration)
    assert configuration.host == "https://10.96.0.1:443"
    with k8s.ApiClient(configuration) as made:
        who = k8s.AuthenticationV1Api(made).create_self_subject_review(k8s.V1SelfSubjectReview()).status.user_info
    assert who.username == f"system:serviceaccount:{pod[1]}:default"
    assert who.extra["authentication.kubernetes.io/pod-name"] == ["web"]
