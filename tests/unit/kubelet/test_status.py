"""status: what a pod shows, for views of what runs. Transitions are told as golden lines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from steersman.cri.messages import Container, ContainerState, NamespaceMode, Sandbox, SandboxState
from steersman.kubelet.probes.results import ProbeResults, Result
from steersman.kubelet.status import Ending, Situation, generate
from steersman.kubelet.statuswriter import status_patch
from steersman.kubelet.view import PodView
from steersman.machinery.meta import Obj

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUNNING, EXITED = ContainerState.RUNNING, ContainerState.EXITED
BOX = Sandbox("s0", "web", "u1", "default", 0, SandboxState.READY, NOW, NamespaceMode.POD, ("10.0.0.1",), {}, {})


def make(name: str, state: ContainerState = RUNNING, code: int = 0, attempt: int = 0) -> Container:
    ended = NOW if state is EXITED else None
    reason = "" if state is not EXITED else ("Error" if code else "Completed")
    return Container(
        f"{name}{attempt}", "s0", name, attempt, state, "i:1", "sha", NOW, NOW, ended, code, reason, "", {}, {}, ""
    )  # fmt: skip


def pod(policy: str = "Always", init: tuple[str, ...] = (), names: tuple[str, ...] = ("a",), **status: object) -> Obj:
    return {
        "metadata": {"name": "web", "namespace": "default", "uid": "u1", "generation": 3},
        "spec": {
            "restartPolicy": policy,
            "containers": [{"name": name, "image": "i:1"} for name in names],
            "initContainers": [{"name": name, "image": "i:1"} for name in init],
        },
        "status": {"phase": "Pending", "qosClass": "BestEffort", **status},
    }


def told(status: Obj) -> str:
    """A status in one line: phase, conditions that are True, containers."""

    def state(item: Obj) -> str:
        (kind, body) = next(iter(item["state"].items()))
        more = {"waiting": body.get("reason"), "running": "", "terminated": str(body.get("exitCode"))}[kind]
        flags = ("+ready" if item["ready"] else "") + ("+started" if item["started"] else "")
        last = item["lastState"].get("terminated")
        return f"{item['name']}={kind}:{more}{flags}#{item['restartCount']}" + (f"<{last['exitCode']}" if last else "")

    true = [item["type"] for item in status["conditions"] if item["status"] == "True"]
    parts = [state(item) for key in ("initContainerStatuses", "containerStatuses") for item in status.get(key) or ()]
    return f"{status['phase']} [{' '.join(true)}] {' '.join(parts)}"


UP = "PodReadyToStartContainers"
CASES: dict[str, tuple[Obj, list[Container], dict[str, tuple[str, str]], str]] = {
    "nothing yet": (pod(), [], {}, f"Pending [{UP} Initialized PodScheduled] a=waiting:ContainerCreating#0"),
    "running": (
        pod(), [make("a")], {}, f"Running [{UP} Initialized Ready ContainersReady PodScheduled] a=running:+ready+started#0",
    ),
    "init runs": (
        pod(init=("i",)), [make("i")], {},
        f"Pending [{UP} PodScheduled] i=running:+started#0 a=waiting:PodInitializing#0",
    ),
    "init done": (
        pod(init=("i",)), [make("i", EXITED)], {},
        f"Pending [{UP} Initialized PodScheduled] i=terminated:0+ready#0 a=waiting:PodInitializing#0",
    ),
    "init failed for good": (
        pod("Never", ("i",)), [make("i", EXITED, 1)], {},
        f"Failed [{UP} PodScheduled] i=terminated:1#0 a=waiting:PodInitializing#0",
    ),
    "crashed, restart pending": (
        pod(), [make("a", EXITED, 1)], {"a": ("CrashLoopBackOff", "m")},
        f"Running [{UP} Initialized PodScheduled] a=waiting:CrashLoopBackOff#0<1",
    ),
    "restarted once": (
        pod(), [make("a", attempt=1), make("a", EXITED, 2)], {},
        f"Running [{UP} Initialized Ready ContainersReady PodScheduled] a=running:+ready+started#1<2",
    ),
    "image missing": (
        pod(), [], {"a": ("ErrImagePull", "m")}, f"Pending [{UP} Initialized PodScheduled] a=waiting:ErrImagePull#0",
    ),
    "one of two done under Never": (
        pod("Never", names=("a", "b")), [make("a", EXITED), make("b")], {},
        f"Running [{UP} Initialized PodScheduled] a=terminated:0#0 b=running:+ready+started#0",
    ),
    "both done under Never": (
        pod("Never", names=("a", "b")), [make("a", EXITED), make("b", EXITED)], {},
        f"Succeeded [{UP} Initialized PodScheduled] a=terminated:0#0 b=terminated:0#0",
    ),
    "one failed under OnFailure": (
        pod("OnFailure", names=("a", "b")), [make("a", EXITED, 1), make("b", EXITED)], {},
        f"Running [{UP} Initialized PodScheduled] a=terminated:1#0 b=terminated:0#0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_status(name: str) -> None:
    given, have, reasons, wanted = CASES[name]
    view = PodView.of("u1", [BOX], have)
    situation = Situation("fake", ("192.168.0.1",), reasons)
    status = generate(given, view, ProbeResults(), given["status"], NOW, situation)
    assert told(status) == wanted
    assert status["observedGeneration"] == 3
    assert {item.get("observedGeneration") for item in status["conditions"]} == {3}


def test_a_terminal_phase_is_withheld_while_something_runs_and_shown_once_it_stopped() -> None:
    given = pod()
    ending = Ending("Evicted", "too much")
    situation = Situation("fake", (), {}, terminating=True, ending=ending)
    before = generate(given, PodView.of("u1", [BOX], [make("a")]), ProbeResults(), {"phase": "Running"}, NOW, situation)
    assert before["phase"] == "Running" and "reason" not in before
    stopped = Situation("fake", (), {}, terminating=True, stopped=True, ending=ending)
    view = PodView.of("u1", [BOX], [make("a", EXITED, 137)])
    after = generate(given, view, ProbeResults(), before, NOW, stopped)
    assert (after["phase"], after["reason"], after["message"]) == ("Failed", "Evicted", "too much")


def test_a_running_container_that_vanished_from_the_runtime_counts_as_lost() -> None:
    given = pod()
    running = generate(given, PodView.of("u1", [BOX], [make("a")]), ProbeResults(), {}, NOW, Situation("fake"))
    lost = generate(given, PodView.of("u1", [BOX], []), ProbeResults(), running, NOW, Situation("fake"))
    (entry,) = lost["containerStatuses"]
    assert entry["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert entry["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
    assert entry["restartCount"] == 1


def test_readiness_gates_and_others_conditions_are_respected() -> None:
    given = pod()
    given["spec"]["readinessGates"] = [{"conditionType": "lb/ready"}]
    view, results = PodView.of("u1", [BOX], [make("a")]), ProbeResults()
    status = generate(given, view, results, {}, NOW, Situation("fake"))
    (ready,) = [item for item in status["conditions"] if item["type"] == "Ready"]
    assert ready["message"] == 'corresponding condition of pod readiness gate "lb/ready" does not exist.'
    old = {**status, "conditions": [{"type": "lb/ready", "status": "True"}, *status["conditions"]]}
    status = generate(given, view, results, old, NOW + timedelta(seconds=5), Situation("fake"))
    assert status["conditions"][0] == {"type": "lb/ready", "status": "True"}
    (ready,) = [item for item in status["conditions"] if item["type"] == "Ready"]
    assert (ready["status"], ready["lastTransitionTime"]) == ("True", "2026-01-01T00:00:05Z")


def test_readiness_needs_the_probe_to_have_succeeded() -> None:
    given = pod()
    given["spec"]["containers"][0]["readinessProbe"] = {"exec": {}}
    view, results = PodView.of("u1", [BOX], [make("a")]), ProbeResults()
    assert told(generate(given, view, results, {}, NOW, Situation("f"))).endswith("a=running:+started#0")
    results.readiness["a0"] = Result.SUCCESS
    assert told(generate(given, view, results, {}, NOW, Situation("f"))).endswith("a=running:+ready+started#0")


def test_the_patch_holds_what_differs_and_leaves_others_conditions_alone() -> None:
    base = {
        "phase": "Pending", "reason": "R", "podIPs": [{"ip": "1"}],
        "conditions": [{"type": "Ready", "status": "False", "reason": "Old"}, {"type": "Theirs", "status": "True"}],
        "containerStatuses": [{"name": "a", "lastState": {}}],
    }  # fmt: skip
    wanted = {
        "phase": "Running", "podIPs": [{"ip": "2"}],
        "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": None}],
        "containerStatuses": [{"name": "a"}],
    }  # fmt: skip
    assert status_patch(base, wanted) == {
        "phase": "Running",
        "reason": None,
        "podIPs": [{"$patch": "replace"}, {"ip": "2"}],
        "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": None, "reason": None}],
    }
