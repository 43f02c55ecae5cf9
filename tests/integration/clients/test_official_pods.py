"""The official client and running pods: commands, logs and ports over WebSockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from kubernetes import client as k8s
from kubernetes import watch
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward, stream
from tests.e2e.harness import eventually
from tests.integration.clients.served import PATIENCE_S


@pytest.fixture(scope="module")
def pod(api: k8s.ApiClient) -> Iterator[tuple[str, str]]:
    """A running one, and its namespace: two containers, of which one talks and one serves."""
    core = k8s.CoreV1Api(api)
    namespace = core.create_namespace(k8s.V1Namespace(metadata=k8s.V1ObjectMeta(generate_name="pods-"))).metadata.name
    eventually(lambda: core.list_namespaced_service_account(namespace).items, what="its service account")
    talk = ["sh", "-c", "echo one; echo two; echo three >&2; sleep infinity"]
    containers = [
        k8s.V1Container(name="talks", image="busybox", command=talk),
        k8s.V1Container(name="serves", image="nginx", ports=[k8s.V1ContainerPort(container_port=80)]),
    ]
    spec = k8s.V1PodSpec(containers=containers, termination_grace_period_seconds=0)
    core.create_namespaced_pod(namespace, k8s.V1Pod(metadata=k8s.V1ObjectMeta(name="web"), spec=spec))
    eventually(
        lambda: [s.ready for s in core.read_namespaced_pod("web", namespace).status.container_statuses or ()] == [True, True],
        what="both run",
    )
    yield "web", namespace
    core.delete_namespace(namespace)


def exec_in(api: k8s.ApiClient, pod: tuple[str, str], *command: str, **options: Any) -> Any:
    wanted = {"container": "talks", "stdin": False, "stdout": True, "stderr": True, "tty": False, **options}
    return stream(k8s.CoreV1Api(api).connect_get_namespaced_pod_exec, *pod, command=list(command), **wanted)


def test_a_command_says_what_it_says_and_how_it_ended(api: k8s.ApiClient, pod: tuple[str, str]) -> None:
    assert exec_in(api, pod, "hostname") == "web\n"
    assert exec_in(api, pod, "sh", "-c", "echo out; echo err >&2", binary=True) in (b"out\nerr\n", b"err\nout\n")
    running = exec_in(api, pod, "sh", "-c", "echo out; echo err >&2; exit 3", _preload_content=False)
    running.run_forever(timeout=PATIENCE_S)
    assert (running.read_stdout(), running.read_stderr()) == ("out\n", "err\n")
    assert running.returncode == 3
    assert running.subprotocol == "v5.channel.k8s.io"
    running.close()
    fine = exec_in(api, pod, "true", _preload_content=False)
    fine.run_forever(timeout=PATIENCE_S)
    assert yaml.safe_load(fine.read_channel(3)) == {"metadata": {}, "status": "Success"}


def test_what_cannot_be_run_is_told(api: k8s.ApiClient, pod: tuple[str, str]) -> None:
    with pytest.raises(ApiException) as missing:
        exec_in(api, ("none", pod[1]), "true")
    assert missing.value.status == 0 and "404 Not Found" in missing.value.reason
    with pytest.raises(ApiException) as which:
        exec_in(api, pod, "true", container="other")
    assert "container other is not valid for pod web" in which.value.reason


def test_logs_are_read_whole_in_part_and_followed(api: k8s.ApiClient, pod: tuple[str, str]) -> None:
    core = k8s.CoreV1Api(api)
    assert core.read_namespaced_pod_log(*pod, container="talks") == "one\ntwo\nthree\n"
    assert core.read_namespaced_pod_log(*pod, container="talks", tail_lines=1) == "three\n"
    assert core.read_namespaced_pod_log(*pod, container="talks", limit_bytes=5) == "one\nt"
    stamped = core.read_namespaced_pod_log(*pod, container="talks", timestamps=True, since_seconds=600)
    assert [line.split(" ", 1)[1] for line in stamped.splitlines()] == ["one", "two", "three"]
    with pytest.raises(ApiException) as which:
        core.read_namespaced_pod_log(*pod)
    assert "choose one of: [talks serves]" in json.loads(which.value.body)["message"]
    seen, following = [], watch.Watch()
    for line in following.stream(core.read_namespaced_pod_log, *pod, container="talks", _request_timeout=PATIENCE_S):
        seen.append(line)
        if line == "three":
            following.stop()
    assert seen == ["one", "two", "three"]


def test_a_port_of_a_pod_is_a_socket_here(api: k8s.ApiClient, pod: tuple[str, str]) -> None:
    forwarded = portforward(k8s.CoreV1Api(api).connect_get_namespaced_pod_portforward, *pod, ports="80")
    local = forwarded.socket(80)
    local.settimeout(PATIENCE_S)
    local.sendall(b"GET /hello HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
    answer = b""
    while b"/hello\n" not in answer and (data := local.recv(4096)):
        answer += data
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"web /hello\n")
    assert forwarded.error(80) is None
    forwarded.close()


def test_attaching_shows_what_is_said_from_now_on(api: k8s.ApiClient, pod: tuple[str, str]) -> None:
    core = k8s.CoreV1Api(api)
    talk = ["sh", "-c", "trap 'echo later; exit 4' TERM; sleep infinity"]
    spec = k8s.V1PodSpec(containers=[k8s.V1Container(name="c", image="busybox", command=talk)], restart_policy="Never")
    core.create_namespaced_pod(pod[1], k8s.V1Pod(metadata=k8s.V1ObjectMeta(name="attached"), spec=spec))
    eventually(lambda: core.read_namespaced_pod("attached", pod[1]).status.phase == "Running", what="it runs")
    attached = stream(
        core.connect_get_namespaced_pod_attach,
        "attached",
        pod[1],
        stdin=False,
        stdout=True,
        stderr=True,
        tty=False,
        _preload_content=False,
    )
    core.delete_namespaced_pod("attached", pod[1])
    attached.run_forever(timeout=PATIENCE_S)
    assert attached.read_stdout() == "later\n"
    attached.close()
