"""decide: what a pod needs, for views of what runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from steersman.cri.messages import Container, ContainerState, NamespaceMode, Sandbox, SandboxState
from steersman.kubelet.backoff import Backoff
from steersman.kubelet.decide import backoff_key, decide
from steersman.kubelet.pods import container_hash
from steersman.kubelet.probes.results import ProbeResults, Result
from steersman.kubelet.view import HASH_ANNOTATION, PodView
from steersman.machinery.meta import Obj

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUNNING, EXITED, CREATED = ContainerState.RUNNING, ContainerState.EXITED, ContainerState.CREATED


def spec(name: str, **more: object) -> Obj:
    return {"name": name, "image": "i:1", **more}


def sandbox(number: int = 0, state: SandboxState = SandboxState.READY, ips: tuple[str, ...] = ("10.0.0.1",)) -> Sandbox:
    return Sandbox(f"s{number}", "web", "u1", "default", number, state, NOW, NamespaceMode.POD, ips, {}, {})


def container(
    name: str, state: ContainerState = RUNNING, code: int = 0, attempt: int = 0, box: str = "s0", image: str = "i:1"
) -> Container:
    ended = NOW - timedelta(seconds=1) if state is EXITED else None
    notes = {HASH_ANNOTATION: container_hash({"name": name, "image": image})}
    return Container(
        f"{name}-{attempt}", box, name, attempt, state, image, image, NOW, NOW, ended, code, "", "", {}, notes, "",
    )  # fmt: skip


@dataclass
class Case:
    """`wanted`: sandbox attempt made, kills, starts, waiting, whether the pod is killed."""

    containers: list[Obj] = field(default_factory=lambda: [spec("a")])
    init: list[Obj] = field(default_factory=list)
    policy: str = "Always"
    boxes: list[Sandbox] = field(default_factory=lambda: [sandbox()])
    have: list[Container] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    makes: int | None = None
    kills: list[str] = field(default_factory=list)
    starts: list[str] = field(default_factory=list)
    ends: bool = False
    over: bool = False


SIDE = spec("side", restartPolicy="Always")

CASES = {
    "a new pod gets a sandbox and its containers": Case(boxes=[], makes=0, starts=["a"]),
    "with init containers only the first of them starts": Case(
        init=[spec("i"), spec("j")], boxes=[], makes=0, starts=["i"]
    ),
    "nothing to do for what runs": Case(have=[container("a")]),
    "an exited container starts again under Always": Case(have=[container("a", EXITED)], starts=["a"]),
    "a succeeded one does not under OnFailure, and the pod is over": Case(
        policy="OnFailure", have=[container("a", EXITED)], ends=True
    ),
    "a failed one does under OnFailure": Case(policy="OnFailure", have=[container("a", EXITED, 1)], starts=["a"]),
    "nothing restarts under Never": Case(
        containers=[spec("a"), spec("b")], policy="Never", have=[container("a", EXITED, 1), container("b")]
    ),
    "a rule of the container's own lets it restart under Never": Case(
        containers=[
            spec("a", restartPolicyRules=[{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}])
        ],
        policy="Never",
        have=[container("a", EXITED, 42)],
        starts=["a"],
    ),
    "the second init container follows the first": Case(
        init=[spec("i"), spec("j")], have=[container("i", EXITED)], starts=["j"]
    ),
    "while an init container runs nothing starts": Case(init=[spec("i")], have=[container("i")]),
    "a failed init container is repeated": Case(init=[spec("i")], have=[container("i", EXITED, 1)], starts=["i"]),
    "a failed init container ends a pod that never restarts": Case(
        init=[spec("i")], policy="Never", have=[container("i", EXITED, 1)], ends=True
    ),
    "regular containers follow the last init container": Case(
        init=[spec("i")], have=[container("i", EXITED)], starts=["a"]
    ),
    "a sidecar that has started lets the next one start": Case(
        init=[SIDE, spec("i")], have=[container("side")], starts=["i"]
    ),
    "a sidecar whose startup probe is pending holds the next one": Case(
        init=[spec("side", restartPolicy="Always", startupProbe={"exec": {}}), spec("i")], have=[container("side")]
    ),
    "a sidecar restarts even while regular containers run": Case(
        init=[SIDE], have=[container("side", EXITED), container("a")], starts=["side"]
    ),
    "a changed image replaces the container": Case(have=[container("a", image="old:1")], kills=["a"], starts=["a"]),
    "a failed liveness probe replaces it": Case(
        have=[container("a")], failed={"livenessProbe": "a-0"}, kills=["a"], starts=["a"]
    ),
    "a failed startup probe only kills it under Never": Case(
        containers=[spec("a"), spec("b")], policy="Never", have=[container("a"), container("b")],
        failed={"startupProbe": "a-0"}, kills=["a"],
    ),
    "a container that was made but never started is made again": Case(
        have=[container("a", CREATED)], kills=["a"], starts=["a"]
    ),
    "a dead sandbox is replaced, and its containers with it": Case(
        boxes=[sandbox(0, SandboxState.NOT_READY)], have=[container("a", EXITED, 137)], makes=1, starts=["a"]
    ),
    "a sandbox without an address is replaced": Case(boxes=[sandbox(ips=())], makes=1, starts=["a"], ends=True),
    "no new sandbox when nothing would start in it": Case(
        policy="OnFailure", boxes=[sandbox(0, SandboxState.NOT_READY)], have=[container("a", EXITED)]
    ),
    "a sandbox lost after the init containers of a pod that never restarts is its end": Case(
        init=[spec("i")], policy="Never", boxes=[sandbox(0, SandboxState.NOT_READY)], have=[container("i", EXITED)], over=True
    ),
    "what still runs in it is ended first": Case(
        containers=[spec("a"), spec("b")], policy="Never", boxes=[sandbox(0, SandboxState.NOT_READY)],
        have=[container("a")], ends=True,
    ),
    "a sandbox lost before anything has run is made again whatever the policy": Case(
        policy="Never", boxes=[sandbox(0, SandboxState.NOT_READY)], have=[container("a", CREATED)], makes=1, starts=["a"]
    ),
    "a rule of a container's own brings a sandbox back under Never": Case(
        containers=[spec("a", restartPolicy="Always")], policy="Never", boxes=[sandbox(0, SandboxState.NOT_READY)],
        have=[container("a", EXITED, 137)], makes=1, starts=["a"],
    ),
    "init containers run again in a new sandbox": Case(
        init=[spec("i")], boxes=[sandbox(1), sandbox(0, SandboxState.NOT_READY)],
        have=[container("i", EXITED), container("a", EXITED, 137)], starts=["i"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_decide(name: str) -> None:
    case = CASES[name]
    pod: Obj = {
        "metadata": {"name": "web", "namespace": "default", "uid": "u1"},
        "spec": {"containers": case.containers, "initContainers": case.init, "restartPolicy": case.policy},
    }
    results = ProbeResults()
    for kind, container_id in case.failed.items():
        results.of(kind)[container_id] = Result.FAILURE
    plan = decide(pod, PodView.of("u1", case.boxes, case.have), NOW, Backoff(), results)
    assert plan.create_sandbox == case.makes
    assert [kill.container.name for kill in plan.kills] == case.kills
    assert [start.spec["name"] for start in plan.starts] == case.starts
    assert plan.kill_pod is case.ends
    assert plan.over is case.over


def test_a_second_crash_waits_for_its_back_off() -> None:
    pod: Obj = {
        "metadata": {"name": "web", "namespace": "default", "uid": "u1"},
        "spec": {"containers": [spec("a")], "restartPolicy": "Always"},
    }
    backoff, view = Backoff(), PodView.of("u1", [sandbox()], [container("a", EXITED, 1, attempt=1)])
    first = decide(pod, view, NOW, backoff, ProbeResults())
    assert first.starts[0].attempt == 2 and first.starts[0].ended is not None
    backoff.next(backoff_key(pod, spec("a")), first.starts[0].ended, NOW - timedelta(seconds=2))
    second = decide(pod, view, NOW, backoff, ProbeResults())
    assert second.starts == []
    assert second.waiting == {"a": ("CrashLoopBackOff", "back-off 10s restarting failed container=a pod=web_default(u1)")}
    assert second.again_after_s == 9


def test_the_back_off_doubles_to_five_minutes_and_is_forgotten_after_a_long_run() -> None:
    backoff, at, delays = Backoff(), NOW, []
    for _ in range(7):
        backoff.next("k", at, at)
        delays.append(backoff.delay("k"))
        at += timedelta(seconds=backoff.delay("k"))
    assert delays == [10, 20, 40, 80, 160, 300, 300]
    assert backoff.remaining("k", at, at) == 300
    later = at + timedelta(seconds=601)
    assert backoff.remaining("k", later, later) == 0
