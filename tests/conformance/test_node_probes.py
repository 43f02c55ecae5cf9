"""[sig-node] Probing container, Container Lifecycle Hook, PreStop."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.objects import SLEEP, pod
from tests.conformance.space import Space, condition, container_status, eventually

from steersman.api.resources import EVENTS, PODS
from steersman.machinery.meta import Obj, parse_time

pytestmark = pytest.mark.root

NODE = "[NodeConformance] [Conformance]"
QUICK = {"periodSeconds": 1, "failureThreshold": 1}
PATIENT = {"periodSeconds": 1, "timeoutSeconds": 60}
"""For what must not fail because the machine is slow. (A second is the default.)"""
RESTARTED = {"restartPolicy": "Always"}
HEALTHZ = "mkdir -p /www; echo ok > /www/healthz; httpd -p 8080 -h /www;"
"""A server whose /healthz is there until something removes it."""


@pytest.mark.parametrize(
    ("script", "probe"),
    [
        pytest.param(
            f"echo ok > /tmp/health; (sleep 2; rm /tmp/health) & {SLEEP}",
            {"exec": {"command": ["cat", "/tmp/health"]}},
            marks=pytest.mark.conformance(
                f'[sig-node] Probing container should be restarted with a exec "cat /tmp/health" liveness probe {NODE}'
            ),
        ),
        pytest.param(
            f"{HEALTHZ} (sleep 2; rm /www/healthz) & {SLEEP}",
            {"httpGet": {"path": "/healthz", "port": 8080}},
            marks=pytest.mark.conformance(
                f"[sig-node] Probing container should be restarted with a /healthz http liveness probe {NODE}"
            ),
        ),
    ],
)
def test_a_container_that_is_not_alive_is_restarted(space: Space, script: str, probe: Obj) -> None:
    space.create(PODS, pod(script, spec=RESTARTED, livenessProbe={**probe, **QUICK, "initialDelaySeconds": 1}))
    space.until(PODS, "pod", lambda it: container_status(it)["restartCount"] >= 1)


GRPC_SERVER = Path(__file__).with_name("grpchealth_server.py")


def begun(probe: Obj) -> Obj:
    """A startup probe: the liveness probe is not run before its program listens, however long that takes."""
    return {**probe, **PATIENT, "failureThreshold": 600}


def grpc_server(port: int, probed: int, readiness: Obj | None = None, **more: Any) -> Obj:
    """A pod with a gRPC server on `port`, whose liveness probe asks on `probed`. Its program is this machine's Python."""
    # The image is busybox; the machine's files, read-only, are where there is a gRPC library.
    script = f"exec chroot /host {sys.executable} {GRPC_SERVER} {port}"
    machine: Obj = {"name": "host", "hostPath": {"path": "/"}}
    return pod(
        script,
        spec={**RESTARTED, "volumes": [machine]},
        volumeMounts=[{"name": "host", "mountPath": "/host", "readOnly": True}],
        livenessProbe={"grpc": {"port": probed}, "initialDelaySeconds": 1, **QUICK, "timeoutSeconds": 60},
        readinessProbe=readiness,
        **more,
    )


@pytest.mark.conformance(f"[sig-node] Probing container should *not* be restarted with a GRPC liveness probe {NODE}")
def test_a_grpc_server_that_is_alive_is_left_alone(space: Space) -> None:
    # Ready when the liveness probe has been run four times: the server counts.
    counted = {"grpc": {"port": 5000, "service": "asked-often"}, **PATIENT}
    startup = begun({"grpc": {"port": 5000, "service": "begun"}})
    found = space.running(grpc_server(5000, 5000, counted, startupProbe=startup))
    assert container_status(found)["restartCount"] == 0


@pytest.mark.conformance(f"[sig-node] Probing container should be restarted with a GRPC liveness probe {NODE}")
def test_a_container_without_the_probed_grpc_server_is_restarted(space: Space) -> None:
    created = grpc_server(5000, 2333)
    created["spec"]["containers"][0]["livenessProbe"]["timeoutSeconds"] = 1
    space.create(PODS, created)
    space.until(PODS, "pod", lambda it: container_status(it)["restartCount"] >= 1)

    def told() -> bool:
        """The event is written beside the status."""
        messages = [it["message"] for it in space.list(EVENTS) if it["reason"] == "Unhealthy"]
        return any("timeout: failed to connect service" in text and ":2333" in text for text in messages)

    eventually(told)


@pytest.mark.conformance(f"[sig-node] Probing container should have monotonically increasing restart count {NODE}")
def test_the_restart_count_only_grows(space: Space) -> None:
    probe = {"httpGet": {"path": "/nothing", "port": 8080}, **QUICK}
    seen: list[int] = []
    with space.watching(PODS) as watching:
        space.create(PODS, pod(f"{HEALTHZ} {SLEEP}", spec=RESTARTED, livenessProbe=probe))
        while not seen or seen[-1] < 2:
            for status in watching.next().object["status"].get("containerStatuses") or ():
                seen.append(status["restartCount"])
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("script", "probe"),
    [
        pytest.param(
            f"echo ok > /tmp/health; {SLEEP}",
            {"exec": {"command": ["cat", "/tmp/health"]}},
            marks=pytest.mark.conformance(
                f'[sig-node] Probing container should *not* be restarted with a exec "cat /tmp/health" liveness probe {NODE}'
            ),
        ),
        pytest.param(
            f"{HEALTHZ} {SLEEP}",
            {"httpGet": {"path": "/healthz", "port": 8080}},
            marks=pytest.mark.conformance(
                f"[sig-node] Probing container should *not* be restarted with a /healthz http liveness probe {NODE}"
            ),
        ),
        pytest.param(
            f"{HEALTHZ} rm /www/healthz; {SLEEP}",
            {"tcpSocket": {"port": 8080}},
            marks=pytest.mark.conformance(
                f"[sig-node] Probing container should *not* be restarted with a tcp:8080 liveness probe {NODE}"
            ),
        ),
    ],
)
def test_a_container_that_is_alive_is_left_alone(space: Space, script: str, probe: Obj) -> None:
    # The readiness probe, run as often, tells how many times the liveness probe must have been run.
    count = {"exec": {"command": ["sh", "-c", "echo x >> /count; test $(wc -l < /count) -gt 3"]}, **PATIENT}
    probes: Obj = {"livenessProbe": {**probe, **PATIENT, "failureThreshold": 1, "initialDelaySeconds": 1}}
    found = space.running(pod(script, spec=RESTARTED, readinessProbe=count, startupProbe=begun(probe), **probes))
    assert container_status(found)["restartCount"] == 0


@pytest.mark.conformance(
    f"[sig-node] Probing container with readiness probe should not be ready before initial delay and never restart {NODE}"
)
def test_readiness_waits_for_the_initial_delay(space: Space) -> None:
    found = space.running(
        pod(SLEEP, readinessProbe={"exec": {"command": ["true"]}, "initialDelaySeconds": 3, "periodSeconds": 1})
    )
    started = parse_time(container_status(found)["state"]["running"]["startedAt"])
    (ready,) = [parse_time(it["lastTransitionTime"]) for it in found["status"]["conditions"] if it["type"] == "Ready"]
    assert started is not None and ready is not None and (ready - started).total_seconds() >= 2
    assert container_status(found)["restartCount"] == 0


@pytest.mark.conformance(
    f"[sig-node] Probing container with readiness probe that fails should never be ready and never restart {NODE}"
)
def test_what_is_never_ready_runs_on(space: Space) -> None:
    probe = {"exec": {"command": ["sh", "-c", "echo x >> /count; false"]}, "periodSeconds": 1}
    space.create(PODS, pod(SLEEP, spec=RESTARTED, readinessProbe=probe))
    space.until(PODS, "pod", lambda it: it["status"]["phase"] == "Running")
    eventually(lambda: int(space.exec("pod", "wc", "-l", "/count").split()[0]) >= 3)
    found = space.get(PODS, "pod")
    assert condition(found, "Ready") == "False" and container_status(found)["restartCount"] == 0
    assert container_status(found)["ready"] is False and container_status(found)["started"] is True


def hook_server(space: Space) -> str:
    """A pod that notes what it is asked for; its address."""
    made = space.running(
        pod(
            name="server",
            readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1},
            command=["httpd", "-f", "-vv", "-p", "8080", "-h", "/tmp"],
        )
    )
    return str(made["status"]["podIP"])


def asked(space: Space, what: str) -> bool:
    return f"url:/{what}" in space.logs("server")


WAYS = ("exec", "http")


def hook(way: str, address: str, what: str) -> Obj:
    if way == "exec":
        return {"exec": {"command": ["sh", "-c", f"wget -qO- http://{address}:8080/{what}; true"]}}
    return {"httpGet": {"host": address, "port": 8080, "path": f"/{what}"}}


HOOK = "[sig-node] Container Lifecycle Hook when create a pod with lifecycle hook should execute"


@pytest.mark.parametrize(
    "way",
    [pytest.param(way, marks=pytest.mark.conformance(f"{HOOK} poststart {way} hook properly {NODE}")) for way in WAYS],
)
def test_the_post_start_hook_is_executed(space: Space, way: str) -> None:
    address = hook_server(space)
    space.running(pod(SLEEP, lifecycle={"postStart": hook(way, address, "started")}))
    eventually(lambda: asked(space, "started"))


@pytest.mark.parametrize(
    "way",
    [pytest.param(way, marks=pytest.mark.conformance(f"{HOOK} prestop {way} hook properly {NODE}")) for way in WAYS],
)
def test_the_pre_stop_hook_is_executed(space: Space, way: str) -> None:
    address = hook_server(space)
    space.running(pod(SLEEP, spec={"terminationGracePeriodSeconds": 120}, lifecycle={"preStop": hook(way, address, "stopping")}))
    space.delete(PODS, "pod")
    space.gone(PODS, "pod")
    eventually(lambda: asked(space, "stopping"))


@pytest.mark.conformance("[sig-node] PreStop should call prestop when killing a pod [Conformance]")
def test_a_pod_is_told_before_it_is_killed(space: Space) -> None:
    address = hook_server(space)
    write = {"exec": {"command": ["wget", "-qO-", "--post-data=x", f"http://{address}:8080/write"]}}
    space.running(pod(SLEEP, spec={"terminationGracePeriodSeconds": 120}, lifecycle={"preStop": write}))
    space.delete(PODS, "pod")
    eventually(lambda: asked(space, "write"))
