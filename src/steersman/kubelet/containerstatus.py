"""The status entries of single containers. Pure part of status.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from steersman.cri.messages import Container, ContainerState
from steersman.kubelet import pods
from steersman.kubelet.probes.results import ProbeResults
from steersman.kubelet.resize.amounts import in_force
from steersman.kubelet.view import PodView
from steersman.machinery.meta import Obj, dig, format_time, is_deleting

UNKNOWN = "ContainerStatusUnknown"
RESTARTED = "RestartingAllContainers"
_REMOVED = "The container is removed because RestartAllContainers in place"
_LOST = "The container could not be located when the pod was "


@dataclass(slots=True)
class Facts:
    """What the entries are made from; see status.Situation."""

    pod: Obj
    view: PodView
    results: ProbeResults
    old: Obj
    now: datetime
    runtime_name: str
    reasons: Mapping[str, tuple[str, str]]
    terminating: bool
    closed: bool = False
    restarting: bool = False
    """All containers are being removed, to begin anew."""
    actuated: Mapping[str, Obj] = field(default_factory=dict)


def container_statuses(facts: Facts) -> tuple[list[Obj], list[Obj], list[Obj]]:
    """(init in spec order, regular by name, ephemeral by name)."""
    default = "PodInitializing" if pods.init_containers(facts.pod) else "ContainerCreating"
    init = [_entry(facts, spec, default, "init") for spec in pods.init_containers(facts.pod)]
    regular = [_entry(facts, spec, default, "regular") for spec in pods.containers(facts.pod)]
    ephemeral = [_entry(facts, spec, "ContainerCreating", "ephemeral") for spec in pods.ephemeral_containers(facts.pod)]
    return init, sorted(regular, key=_name), sorted(ephemeral, key=_name)


def _name(entry: Obj) -> str:
    return str(entry["name"])


_LISTS = {"init": "initContainerStatuses", "regular": "containerStatuses", "ephemeral": "ephemeralContainerStatuses"}


def _entry(facts: Facts, spec: Obj, default: str, kind: str) -> Obj:
    old = next((item for item in facts.old.get(_LISTS[kind]) or () if item["name"] == spec["name"]), None)
    history = facts.view.history(spec["name"])
    if history:
        entry = _from_runtime(facts, spec, history, old or {})
    else:
        entry = _from_memory(facts, spec, old, default, kind)
    _pending_restart(facts, spec, entry, kind)
    if facts.closed:
        _close(entry)
    running = history[0] if history and "running" in entry["state"] else None
    started, ready = facts.results.started(spec, running), facts.results.ready(spec, running)
    if kind == "init" and not pods.is_sidecar(spec):
        # Probes are not for plain init containers: ready means done.
        started = running is not None
        ready = dig(entry, "state", "terminated", "exitCode") == 0
    entry["ready"], entry["started"] = ready, started
    return entry


def _from_runtime(facts: Facts, spec: Obj, history: list[Container], old: Obj) -> Obj:
    newest = history[0]
    entry: Obj = {
        "name": spec["name"],
        "state": _state(facts, newest),
        "lastState": {},
        "restartCount": max(newest.attempt, 0),
        "image": newest.image or spec.get("image", ""),
        "imageID": newest.image_ref,
        "containerID": f"{facts.runtime_name}://{newest.id}",
    }
    before = next((item for item in history[1:] if item.state is ContainerState.EXITED), None)
    if before is not None:
        entry["lastState"] = {"terminated": _terminated(facts, before)}
    elif old.get("lastState") and (old.get("restartCount") == entry["restartCount"] or "waiting" in old["state"]):
        entry["lastState"] = old["lastState"]
    _extras(spec, entry, newest, facts.actuated.get(spec["name"]))
    return entry


def _state(facts: Facts, container: Container) -> Obj:
    if container.state is ContainerState.RUNNING:
        return {"running": {"startedAt": format_time(container.started_at or container.created_at)}}
    if container.state is ContainerState.EXITED:
        return {"terminated": _terminated(facts, container)}
    return {"waiting": {"reason": "ContainerCreating"}}


def _terminated(facts: Facts, container: Container) -> Obj:
    made: Obj = {"exitCode": container.exit_code}
    if container.reason:
        made["reason"] = container.reason
    if container.message:
        made["message"] = container.message
    made["startedAt"] = format_time(container.started_at) if container.started_at else None
    made["finishedAt"] = format_time(container.finished_at) if container.finished_at else None
    made["containerID"] = f"{facts.runtime_name}://{container.id}"
    return made


def _extras(spec: Obj, entry: Obj, container: Container, actuated: Obj | None) -> None:
    """What is to be told beside the state: ids, mounts, resources in force. `spec` has those that are allocated."""
    if container.user is not None:
        uid, gid, groups = container.user
        entry["user"] = {"linux": {"uid": uid, "gid": gid, "supplementalGroups": list(groups)}}
    mounts = []
    for mount in spec.get("volumeMounts") or ():
        made: Obj = {"name": mount["name"], "mountPath": mount["mountPath"]}
        if mount.get("readOnly"):
            made["readOnly"] = True
            wanted = mount.get("recursiveReadOnly") in ("Enabled", "IfPossible")
            made["recursiveReadOnly"] = "Enabled" if wanted else "Disabled"
        mounts.append(made)
    if mounts:
        entry["volumeMounts"] = mounts
    resources = spec.get("resources") or {}
    if resources.get("requests"):
        entry["allocatedResources"] = dict(resources["requests"])
    if actuated is not None and container.state is ContainerState.RUNNING:
        resources = in_force(resources, actuated)
    # Also when there are none: that it is there says that this kubelet can resize.
    entry["resources"] = {key: value for key, value in resources.items() if key in ("limits", "requests", "claims")}


def _from_memory(facts: Facts, spec: Obj, old: Obj | None, default: str, kind: str) -> Obj:
    """A container the runtime does not know: not yet made, or lost."""
    entry: Obj = {
        "name": spec["name"],
        "state": {"waiting": {"reason": default}},
        "lastState": {},
        "restartCount": 0,
        "image": spec.get("image", ""),
        "imageID": "",
    }
    if old is None:
        return entry
    entry["restartCount"] = old.get("restartCount") or 0
    entry["lastState"] = old.get("lastState") or {}
    if facts.restarting and kind != "ephemeral":
        if "waiting" not in old["state"]:
            entry["lastState"] = (
                old["state"] if "terminated" in old["state"] else {"terminated": _made_up(137, RESTARTED, _REMOVED)}
            )
        return entry
    if "terminated" in old["state"]:
        return {**old}
    if "running" in old["state"]:
        if kind == "init" and not pods.is_sidecar(spec) and _initialised(facts):
            text = "Unable to get init container status from container runtime and pod has been initialized, "
            text += "treat it as exited normally"
            entry["state"] = {"terminated": {"exitCode": 0, "reason": "Completed", "message": text}}
            return entry
        text = f"{_LOST}deleted.  The container used to be Running"
        entry["lastState"] = {"terminated": _made_up(137, UNKNOWN, text)}
        if not is_deleting(facts.pod):
            entry["restartCount"] += 1
    return entry


def _made_up(code: int, reason: str, message: str) -> dict[str, Any]:
    return {"exitCode": code, "reason": reason, "message": message, "startedAt": None, "finishedAt": None}


def _initialised(facts: Facts) -> bool:
    return any(facts.view.newest(spec["name"]) for spec in pods.containers(facts.pod))


def _pending_restart(facts: Facts, spec: Obj, entry: Obj, kind: str) -> None:
    """A container that will be tried again shows why it waits; how it ended moves to lastState."""
    found = facts.reasons.get(spec["name"])
    if found is None or "running" in entry["state"] or facts.terminating or facts.closed:
        return
    ended = entry["state"].get("terminated")
    if ended is not None:
        if kind == "ephemeral" or not pods.may_restart(facts.pod, spec, ended["exitCode"], init=kind == "init"):
            return
        entry["lastState"] = entry["state"]
    reason, message = found
    entry["state"] = {"waiting": {"reason": reason, "message": message} if message else {"reason": reason}}


def _close(entry: Obj) -> None:
    """After the pod has stopped: whatever is not known to have ended counts as lost."""
    if "terminated" in entry["state"]:
        return
    if dig(entry, "lastState", "terminated") is not None and "waiting" in entry["state"]:
        entry["state"], entry["lastState"] = entry["lastState"], {}
        return
    if entry["state"].get("waiting") is not None and not entry.get("containerID"):
        return
    entry["state"] = {"terminated": _made_up(137, UNKNOWN, f"{_LOST}terminated")}
