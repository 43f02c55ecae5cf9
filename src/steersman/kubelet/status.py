"""The status of a pod, from its spec, the runtime's view of it, probe results and what the API showed before.

Pure. containerstatus.py words single containers, conditions.py the conditions, statuswriter.py sends the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from steersman.cri.messages import SandboxState
from steersman.kubelet import pods
from steersman.kubelet.conditions import pod_conditions
from steersman.kubelet.containerstatus import Facts, container_statuses
from steersman.kubelet.probes.results import ProbeResults
from steersman.kubelet.resize.told import pod_resources
from steersman.kubelet.view import PodView, has_network
from steersman.machinery.meta import Obj, dig, format_time


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the kubelet itself ended the pod: goes into phase, reason and message."""

    reason: str
    message: str
    phase: str = "Failed"
    disruption: Obj | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """What the worker knows beside the view.

    reasons: container -> (waiting reason, message) of failed starts. terminating: the pod is being stopped.
    stopped: everything has been seen dead after terminating: the status may become final.
    """

    runtime_name: str
    host_ips: Sequence[str] = ()
    reasons: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    terminating: bool = False
    stopped: bool = False
    ending: Ending | None = None
    actuated: Mapping[str, Obj] = field(default_factory=dict)
    """Containers that run with other cpu and memory than allocated, and with which."""
    resize: Sequence[Obj] = ()
    """Conditions of a resize, without times."""
    restarting: bool = False
    """All containers are being removed, to begin anew."""


def generate(pod: Obj, view: PodView, results: ProbeResults, old: Obj, now: datetime, situation: Situation) -> Obj:
    """The status to show. `old` is the last one known (API or own)."""
    facts = Facts(pod, view, results, old, now, situation.runtime_name, situation.reasons, situation.terminating)
    facts.closed, facts.actuated, facts.restarting = situation.stopped, situation.actuated, situation.restarting
    status: Obj = {}
    if generation := dig(pod, "metadata", "generation", default=0):
        status["observedGeneration"] = max(generation, old.get("observedGeneration") or 0)
    init, regular, ephemeral = container_statuses(facts)
    ended = pods.is_terminal_phase(old.get("phase") or "")
    status["phase"] = old["phase"] if ended else _phase(pod, init, regular, situation)
    _keep_reason(status, old, situation)
    if not ended and _withheld(status, view, situation):
        status["phase"] = old.get("phase") or "Pending"
        _copy_reason(status, old)
    status["qosClass"] = pods.qos_class(pod)
    status["startTime"] = old.get("startTime") or format_time(now)
    status |= pod_resources(pod, situation.actuated, status["phase"])
    for key in ("nominatedNodeName", "resize", "resourceClaimStatuses", "extendedResourceClaimStatus"):
        if old.get(key):
            status[key] = old[key]
    _addresses(status, pod, view, old, situation)
    if init:
        status["initContainerStatuses"] = init
    status["containerStatuses"] = regular
    if ephemeral:
        status["ephemeralContainerStatuses"] = ephemeral
    sandbox = view.sandbox
    networked = sandbox is not None and sandbox.state is SandboxState.READY and has_network(sandbox)
    killed = situation.ending if pods.is_terminal_phase(status["phase"]) else None
    disruption = killed.disruption if killed is not None else None
    existing = list(old.get("conditions") or dig(pod, "status", "conditions", default=None) or ())
    resize = () if situation.stopped else situation.resize
    status["conditions"] = pod_conditions(
        pod, status, existing, now, networked=networked, disruption=disruption, resize=resize, restarting=situation.restarting
    )
    if _never_began(status, view, old):
        for key in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
            status.pop(key, None)
    return status


def _never_began(status: Obj, view: PodView, old: Obj) -> bool:
    """The pod was refused: upstream shows nothing of its containers, which would look as if they still were being made."""
    return pods.is_terminal_phase(status["phase"]) and not (view.sandboxes or view.containers or old.get("containerStatuses"))


def _withheld(status: Obj, view: PodView, situation: Situation) -> bool:
    """A terminal phase is shown only when nothing can still run."""
    return pods.is_terminal_phase(status["phase"]) and not situation.stopped and bool(view.running)


def _keep_reason(status: Obj, old: Obj, situation: Situation) -> None:
    if situation.ending is not None:
        status["reason"], status["message"] = situation.ending.reason, situation.ending.message
    elif old.get("phase") == status["phase"]:
        _copy_reason(status, old)


def _copy_reason(status: Obj, old: Obj) -> None:
    for key in ("reason", "message"):
        status.pop(key, None)
        if old.get(key):
            status[key] = old[key]


def _phase(pod: Obj, init: list[Obj], regular: list[Obj], situation: Situation) -> str:
    """The pod's phase: first match of upstream's table."""
    if situation.ending is not None:
        return situation.ending.phase
    initialised = any(_has_run(item) for item in regular)
    if any(_failed_init(pod, item) and not _begins_anew(item, situation) for item in init):
        return "Failed"
    unfinished = any(_unfinished_init(pod, item, initialised) for item in init)
    waiting = running = unknown = stopped = failed = restartable = 0
    specs = {spec["name"]: spec for spec in pods.containers(pod)}
    for item in regular:
        state, last = item["state"], item.get("lastState") or {}
        if "running" in state:
            running += 1
        elif "terminated" in state or "terminated" in last:
            code = (state.get("terminated") or last["terminated"])["exitCode"]
            stopped += 1
            failed += code != 0
            restartable += _begins_anew(item, situation) or pods.may_restart(pod, specs[item["name"]], code)
        elif "waiting" in state:
            waiting += 1
        else:
            unknown += 1
    phase = "Pending"
    if unfinished or waiting or unknown:
        phase = "Pending"
    elif running:
        phase = "Running"
    elif stopped:
        over = not restartable or (situation.terminating and not pods.is_static(pod))
        phase = ("Failed" if failed else "Succeeded") if over else "Running"
    if situation.stopped and not pods.is_static(pod) and not pods.is_terminal_phase(phase):
        return "Failed"
    return phase


def _begins_anew(item: Obj, situation: Situation) -> bool:
    return situation.restarting and not situation.terminating and "waiting" in item["state"]


def _has_run(item: Obj) -> bool:
    return "running" in item["state"] or "terminated" in item["state"] or bool((item.get("lastState") or {}).get("terminated"))


def _exit_code(item: Obj) -> int | None:
    found = item["state"].get("terminated") or (item.get("lastState") or {}).get("terminated")
    return None if found is None else int(found["exitCode"])


def _failed_init(pod: Obj, item: Obj) -> bool:
    spec = pods.find_container(pod, item["name"]) or {}
    if pods.is_sidecar(spec) or "running" in item["state"]:
        return False
    code = _exit_code(item)
    return code is not None and code != 0 and not pods.may_restart(pod, spec, code, init=True)


def _unfinished_init(pod: Obj, item: Obj, initialised: bool) -> bool:
    spec = pods.find_container(pod, item["name"]) or {}
    if pods.is_sidecar(spec):
        return not initialised and not item.get("started")
    return not initialised and (item["state"].get("terminated") or {}).get("exitCode") != 0


def _addresses(status: Obj, pod: Obj, view: PodView, old: Obj, situation: Situation) -> None:
    """hostIPs always; podIPs of the sandbox, the node's with host network; they survive the sandbox's end."""
    if situation.host_ips:
        status["hostIP"] = situation.host_ips[0]
        status["hostIPs"] = [{"ip": ip} for ip in situation.host_ips]
    sandbox = view.sandbox
    ips: Sequence[str] = ()
    if pods.is_host_network(pod):
        ips = situation.host_ips if sandbox is not None or old.get("podIP") else ()
    elif sandbox is not None:
        ips = sandbox.ips
    if not ips:
        ips = [item["ip"] for item in old.get("podIPs") or ()]
    if ips:
        status["podIP"] = ips[0]
        status["podIPs"] = [{"ip": ip} for ip in ips]
