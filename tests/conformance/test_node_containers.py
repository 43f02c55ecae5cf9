"""[sig-node] Containers, Container Runtime, InitContainer, Kubelet: what runs, how it ends, and what is told of it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from tests.conformance.objects import IMAGE, SLEEP, container, pod
from tests.conformance.space import Space, condition, container_status, eventually

from steersman.api.resources import PODS
from steersman.machinery.meta import Obj, dig

pytestmark = pytest.mark.root
FALLBACK = {"terminationMessagePolicy": "FallbackToLogsOnError"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param(
            {},
            "entrypoint default\n",
            marks=pytest.mark.conformance(
                "[sig-node] Containers should use the image defaults if command and args are blank [NodeConformance] "
                "[Conformance]"
            ),
        ),
        pytest.param(
            {"args": ["override", "arguments"]},
            "entrypoint override arguments\n",
            marks=pytest.mark.conformance(
                "[sig-node] Containers should be able to override the image's default arguments (container cmd) "
                "[NodeConformance] "
                "[Conformance]"
            ),
        ),
        pytest.param(
            {"command": ["echo", "override"]},
            "override\n",
            marks=pytest.mark.conformance(
                "[sig-node] Containers should be able to override the image's default command (container entrypoint) "
                "[NodeConformance] [Conformance]"
            ),
        ),
        pytest.param(
            {"command": ["echo"], "args": ["override", "arguments"]},
            "override arguments\n",
            marks=pytest.mark.conformance(
                "[sig-node] Containers should be able to override the image's default command and arguments [NodeConformance] "
                "[Conformance]"
            ),
        ),
    ],
)
def test_command_and_args_override_the_images(space: Space, echo_image: str, fields: Any, said: str) -> None:
    assert space.output(pod(**fields, image=echo_image)) == said


@pytest.mark.conformance(
    "[sig-node] Container Runtime blackbox test when starting a container that exits should run with the expected status "
    "[NodeConformance] [Conformance]"
)
@pytest.mark.parametrize(
    ("policy", "phase", "ready", "restarts"),
    [("Always", "Running", "True", 2), ("OnFailure", "Succeeded", "False", 1), ("Never", "Failed", "False", 0)],
)
def test_an_exit_is_followed_by_what_the_restart_policy_says(
    space: Space, policy: str, phase: str, ready: str, restarts: int
) -> None:
    # As upstream's: it fails first, then succeeds, then (if started a third time) stays.
    script = f"""
        n=$(wc -l < /v/count); echo x >> /v/count
        case $n in 0) exit 1;; 1) exit 0;; *) {SLEEP};; esac
    """
    script = f"touch /v/count; {script}"
    volume = {"volumes": [{"name": "v", "emptyDir": {}}], "restartPolicy": policy}
    space.create(PODS, pod(script, spec=volume, volumeMounts=[{"name": "v", "mountPath": "/v"}]))
    found = space.until(
        PODS,
        "pod",
        lambda it: (
            it["status"]["phase"] == phase
            and container_status(it)["restartCount"] == restarts
            and condition(it, "Ready") == ready
        ),
    )
    assert container_status(found)["ready"] is (ready == "True")
    assert list(container_status(found)["state"]) == ["running" if policy == "Always" else "terminated"]


@pytest.mark.parametrize(
    ("script", "fields", "message"),
    [
        pytest.param(
            "echo -n DONE > /dev/termination-custom-log",
            {"terminationMessagePath": "/dev/termination-custom-log", "securityContext": {"runAsUser": 1000}},
            "DONE",
            marks=pytest.mark.conformance(
                "[sig-node] Container Runtime blackbox test on terminated container should report termination message if "
                "TerminationMessagePath is set as non-root user and at a non-default path [NodeConformance] [Conformance]"
            ),
        ),
        pytest.param(
            "echo -n DONE; exit 1",
            FALLBACK,
            "DONE",
            marks=pytest.mark.conformance(
                "[sig-node] Container Runtime blackbox test on terminated container should report termination message from log "
                "output if TerminationMessagePolicy FallbackToLogsOnError is set [NodeConformance] [Conformance]"
            ),
        ),
        pytest.param(
            "echo DONE",
            FALLBACK,
            None,
            marks=pytest.mark.conformance(
                "[sig-node] Container Runtime blackbox test on terminated container should report termination message as empty "
                "when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set [NodeConformance] [Conformance]"
            ),
        ),
        pytest.param(
            "echo -n OK > /dev/termination-log; echo DONE",
            FALLBACK,
            "OK",
            marks=pytest.mark.conformance(
                "[sig-node] Container Runtime blackbox test on terminated container should report termination message from file "
                "when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set [NodeConformance] [Conformance]"
            ),
        ),
    ],
)
def test_the_termination_message_is_reported(space: Space, script: str, fields: Any, message: str | None) -> None:
    done = space.finished(pod(script, **fields))
    terminated = container_status(done)["state"]["terminated"]
    assert terminated.get("message") == message
    assert terminated["reason"] == ("Error" if "exit 1" in script else "Completed")


@pytest.mark.conformance(
    "[sig-node] Kubelet when scheduling a busybox command in a pod should print the output to logs [NodeConformance] "
    "[Conformance]"
)
def test_output_is_in_the_logs(space: Space) -> None:
    said = space.output(pod("echo 'Hello World'; echo 'Hello errors' >&2"))
    # Two pipes: which one is read first is nobody's promise.
    assert sorted(said.splitlines()) == ["Hello World", "Hello errors"]


@pytest.mark.conformance(
    "[sig-node] Kubelet when scheduling a busybox command that always fails in a pod should have an terminated reason "
    "[NodeConformance] [Conformance]"
)
def test_a_failed_container_has_a_reason(space: Space) -> None:
    space.create(PODS, pod("exit 3", spec={"restartPolicy": "Always"}))

    def ended(it: Any) -> Any:
        status = container_status(it)
        return dig(status, "state", "terminated") or dig(status, "lastState", "terminated")

    found = ended(space.until(PODS, "pod", ended))
    assert (found["reason"], found["exitCode"]) == ("Error", 3)


@pytest.mark.conformance(
    "[sig-node] Kubelet when scheduling a busybox command that always fails in a pod should be possible to delete "
    "[NodeConformance] [Conformance]"
)
def test_a_pod_that_always_fails_can_be_deleted(space: Space) -> None:
    space.create(PODS, pod("exit 1", spec={"restartPolicy": "Always"}))
    space.until(PODS, "pod", lambda it: container_status(it)["restartCount"] > 0)
    space.delete(PODS, "pod")
    space.gone(PODS, "pod")


@pytest.mark.conformance(
    "[sig-node] Kubelet when scheduling a read only busybox container should not write to root filesystem [LinuxOnly] "
    "[NodeConformance] [Conformance]"
)
def test_a_read_only_root_cannot_be_written(space: Space) -> None:
    script = "echo test > /file; sleep 0; test -e /file && exit 1; exit 0"
    assert "Read-only file system" in space.output(pod(script, securityContext={"readOnlyRootFilesystem": True}))


INIT_1 = container("true", name="init1")
INIT_2 = container("true", name="init2")
BROKEN = container("exit 1", name="init1")


@pytest.mark.conformance(
    "[sig-node] InitContainer [NodeConformance] should invoke init containers on a RestartNever pod [Conformance]"
)
def test_init_containers_run_to_their_end_before_the_others(space: Space) -> None:
    done = space.finished(pod("true", spec={"initContainers": [INIT_1, INIT_2]}))
    assert done["status"]["phase"] == "Succeeded" and condition(done, "Initialized") == "True"
    inits = done["status"]["initContainerStatuses"]
    assert [(it["name"], it["ready"], it["state"]["terminated"]["exitCode"]) for it in inits] == [
        ("init1", True, 0), ("init2", True, 0),
    ]  # fmt: skip
    first, second = (it["state"]["terminated"] for it in inits)
    assert first["finishedAt"] <= second["startedAt"] <= container_status(done)["state"]["terminated"]["startedAt"]


@pytest.mark.conformance(
    "[sig-node] InitContainer [NodeConformance] should invoke init containers on a RestartAlways pod [Conformance]"
)
def test_init_containers_run_before_those_that_stay(space: Space) -> None:
    found = space.running(pod(SLEEP, spec={"initContainers": [INIT_1, INIT_2], "restartPolicy": "Always"}))
    assert found["status"]["phase"] == "Running" and condition(found, "Initialized") == "True"
    assert all(it["state"]["terminated"]["exitCode"] == 0 for it in found["status"]["initContainerStatuses"])


@pytest.mark.conformance(
    "[sig-node] InitContainer [NodeConformance] should not start app containers if init containers fail on a RestartAlways pod "
    "[Conformance]"
)
def test_a_failing_init_container_is_repeated_and_keeps_the_others_from_starting(space: Space) -> None:
    space.create(PODS, pod(SLEEP, spec={"initContainers": [BROKEN, INIT_2], "restartPolicy": "Always"}))
    found = space.until(PODS, "pod", lambda it: container_status(it, "init1")["restartCount"] >= 2)
    assert found["status"]["phase"] == "Pending" and condition(found, "Initialized") == "False"
    assert container_status(found, "init2")["state"] == {"waiting": {"reason": "PodInitializing"}}
    assert container_status(found)["state"] == {"waiting": {"reason": "PodInitializing"}}
    (initialized,) = [it for it in found["status"]["conditions"] if it["type"] == "Initialized"]
    assert initialized["reason"] == "ContainersNotInitialized"
    assert initialized["message"] == "containers with incomplete status: [init1 init2]"


@pytest.mark.conformance(
    "[sig-node] InitContainer [NodeConformance] should not start app containers and fail the pod if init containers fail on a "
    "RestartNever pod [Conformance]"
)
def test_a_failed_init_container_fails_a_pod_that_is_not_restarted(space: Space) -> None:
    done = space.finished(pod(SLEEP, spec={"initContainers": [container("true", name="init0"), BROKEN]}))
    assert done["status"]["phase"] == "Failed" and condition(done, "Initialized") == "False"
    assert container_status(done, "init0")["state"]["terminated"]["exitCode"] == 0
    assert container_status(done, "init1")["state"]["terminated"]["exitCode"] == 1
    assert container_status(done)["state"] == {"waiting": {"reason": "PodInitializing"}}


@pytest.mark.conformance(
    "[sig-node] Ephemeral Containers [NodeConformance] will start an ephemeral container in an existing pod [Conformance]"
)
def test_an_ephemeral_container_starts_in_a_running_pod(space: Space) -> None:
    space.running(pod(SLEEP, name="target"))
    debugger = {"name": "debugger", "image": IMAGE, "command": ["sh", "-c", "echo polo; sleep 1000"]}
    patch = {"spec": {"ephemeralContainers": [debugger]}}
    space.patch(PODS, "target", patch, kind="strategic", subresource="ephemeralcontainers")
    space.until(PODS, "target", lambda it: dig(it["status"]["ephemeralContainerStatuses"][0], "state", "running"))
    eventually(lambda: space.logs("target", container="debugger") == "polo\n")


def _ephemeral_run(count: int, pod: Obj) -> bool:
    return [list(status["state"]) for status in pod["status"]["ephemeralContainerStatuses"]] == [["running"]] * count


@pytest.mark.conformance(
    "[sig-node] Ephemeral Containers [NodeConformance] should update the ephemeral containers in an existing pod [Conformance]"
)
def test_ephemeral_containers_can_be_added_to(space: Space) -> None:
    space.running(pod(SLEEP, name="target"))

    def add(name: str) -> Obj:
        found = space.get(PODS, "target", subresource="ephemeralcontainers")
        found["spec"].setdefault("ephemeralContainers", []).append({"name": name, "image": IMAGE, "command": ["sleep", "1000"]})
        return space.update(PODS, found, subresource="ephemeralcontainers")

    for count, name in enumerate(("debugger", "debugger2"), 1):
        # Between reading and writing the kubelet may write the status: a conflict.
        eventually(partial(add, name))
        space.until(PODS, "target", partial(_ephemeral_run, count))
