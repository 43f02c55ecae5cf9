"""Pod conditions, in the kubelet's order. Pure part of status.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from steersman.kubelet import pods
from steersman.machinery.meta import Obj, dig, format_time, is_condition_true

RESIZE = ("PodResizePending", "PodResizeInProgress")
"""Taken away when they no longer hold."""
OWNED = (
    "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled", "AllContainersRestarting", *RESIZE,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Verdict:
    status: str
    reason: str = ""
    message: str = ""


_TRUE = _Verdict("True")


def _by_name(statuses: Iterable[Obj]) -> dict[str, Obj]:
    return {item["name"]: item for item in statuses}


def _initialized(pod: Obj, status: Obj) -> _Verdict:
    specs = pods.init_containers(pod)
    if not specs:
        return _TRUE
    if status["phase"] == "Succeeded":
        return _Verdict("True", "PodCompleted")
    regular = status.get("containerStatuses") or []
    if any("running" in item["state"] or "terminated" in item["state"] or item.get("lastState") for item in regular):
        return _TRUE
    found = _by_name(status.get("initContainerStatuses") or [])
    unknown = [spec["name"] for spec in specs if spec["name"] not in found]
    incomplete = [
        spec["name"]
        for spec in specs
        if (entry := found.get(spec["name"])) is not None
        and not (entry.get("started") if pods.is_sidecar(spec) else entry.get("ready"))
    ]
    return _listed("ContainersNotInitialized", "incomplete", incomplete, unknown)


def _listed(reason: str, word: str, names: Sequence[str], unknown: Sequence[str]) -> _Verdict:
    texts = []
    if names:
        texts.append(f"containers with {word} status: [{' '.join(names)}]")
    if unknown:
        texts.append(f"containers with unknown status: [{' '.join(unknown)}]")
    return _Verdict("False", reason, ", ".join(texts)) if texts else _TRUE


def _containers_ready(pod: Obj, status: Obj) -> _Verdict:
    if status["phase"] == "Succeeded":
        return _Verdict("False", "PodCompleted")
    if status["phase"] == "Failed":
        return _Verdict("False", "PodFailed")
    found = _by_name((status.get("containerStatuses") or []) + (status.get("initContainerStatuses") or []))
    specs = pods.sidecars(pod) + pods.containers(pod)
    unknown = [spec["name"] for spec in specs if spec["name"] not in found]
    unready = [spec["name"] for spec in specs if spec["name"] in found and not found[spec["name"]]["ready"]]
    return _listed("ContainersNotReady", "unready", unready, unknown)


def _ready(pod: Obj, containers_ready: _Verdict, existing: Iterable[Obj]) -> _Verdict:
    if containers_ready.status != "True":
        return containers_ready
    listed = list(existing)
    texts = []
    for gate in dig(pod, "spec", "readinessGates", default=None) or ():
        wanted = gate["conditionType"]
        found = next((item for item in listed if item["type"] == wanted), None)
        if found is None:
            texts.append(f'corresponding condition of pod readiness gate "{wanted}" does not exist.')
        elif found["status"] != "True":
            texts.append(f'the status of pod readiness gate "{wanted}" is not "True", but {found["status"]}')
    return _Verdict("False", "ReadinessGatesNotReady", ", ".join(texts)) if texts else _TRUE


def _restarting(status: Obj, restarting: bool) -> _Verdict:
    if pods.is_terminal_phase(status["phase"]):
        return _Verdict("False", f"Pod{'Completed' if status['phase'] == 'Succeeded' else 'Failed'}")
    if restarting:
        return _Verdict("True", "RestartAllContainersStarted", "container exited with restart policy rule")
    return _Verdict("False")


def pod_conditions(
    pod: Obj,
    status: Obj,
    existing: Sequence[Obj],
    now: datetime,
    *,
    networked: bool,
    disruption: Obj | None = None,
    resize: Sequence[Obj] = (),
    restarting: bool = False,
) -> list[Obj]:
    """All conditions for `status` (whose phase and container statuses are final). `existing`: what the API shows now.

    Those of others are kept as found. disruption: {reason, message} of a kubelet-made DisruptionTarget. resize: {type, reason,
    message, observedGeneration} of those that tell of a resize.
    """
    generation = dig(pod, "metadata", "generation", default=0)
    containers_ready = _containers_ready(pod, status)
    verdicts = {
        "PodReadyToStartContainers": _TRUE if networked else _Verdict("False"),
        "Initialized": _initialized(pod, status),
        "Ready": _ready(pod, containers_ready, existing),
        "ContainersReady": containers_ready,
        "PodScheduled": _TRUE,
    }
    if pods.may_restart_all(pod):
        verdicts["AllContainersRestarting"] = _restarting(status, restarting)
    own = {*verdicts, *RESIZE} | ({"DisruptionTarget"} if disruption else set())
    out = [item for item in existing if item["type"] not in own]
    for item in resize:
        verdict = _Verdict("True", item.get("reason", ""), item.get("message", ""))
        out.append(_condition(item["type"], verdict, existing, item.get("observedGeneration") or generation, now))
    if disruption is not None:
        verdict = _Verdict("True", disruption["reason"], disruption["message"])
        out.append(_condition("DisruptionTarget", verdict, existing, generation, now))
    out += [_condition(kind, verdict, existing, generation, now) for kind, verdict in verdicts.items()]
    return out


def _condition(kind: str, verdict: _Verdict, existing: Sequence[Obj], generation: int, now: datetime) -> Obj:
    old = next((item for item in existing if item["type"] == kind), None)
    moved = format_time(now)
    if old is not None and old.get("status") == verdict.status:
        moved = old.get("lastTransitionTime") or moved
    made: Obj = {"type": kind, "status": verdict.status, "lastProbeTime": None, "lastTransitionTime": moved}
    if generation:
        made["observedGeneration"] = generation
    if verdict.reason:
        made["reason"] = verdict.reason
    if verdict.message:
        made["message"] = verdict.message
    return made


def is_ready(status: Obj) -> bool:
    return is_condition_true(status.get("conditions"), "Ready")
