"""What a Node's status says, and what of it has to be written: conditions, images, differences. Pure; node.py sends it.

Source: upstream pkg/kubelet/nodestatus/setters.go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from steersman.cri.messages import Image
from steersman.machinery.meta import Obj, condition

OWN = frozenset(("MemoryPressure", "DiskPressure", "PIDPressure", "Ready"))
"""The conditions that the kubelet writes."""
SHARED: dict[str, Obj | list[Obj]] = {"conditions": [], "capacity": {}, "allocatable": {}}
"""What others write into as well."""
_MAX_IMAGE_NAMES = 5
_PRESSURES = (
    ("MemoryPressure", "HasSufficientMemory", "has sufficient memory available",
     "HasInsufficientMemory", "has insufficient memory available"),
    ("DiskPressure", "HasNoDiskPressure", "has no disk pressure", "HasDiskPressure", "has disk pressure"),
    ("PIDPressure", "HasSufficientPID", "has sufficient PID available",
     "HasInsufficientPID", "has insufficient PID available"),
)  # fmt: skip
"""(condition, reason and message when all is well, and when it is not): `Kubelet` goes before, in events `Node`."""


def conditions(old: Obj, pressures: Collection[str], problems: Sequence[str], now: str) -> list[Obj]:
    """All of the Node's: others' as they are in the `old` status, and the kubelet's own. problems: why it is not ready."""
    made = [item for item in old.get("conditions") or () if item["type"] not in OWN]
    for kind, well, so, ill, message in _PRESSURES:
        pressed = kind in pressures
        reason, text = (ill, message) if pressed else (well, so)
        made.append(_condition(old, kind, pressed, f"Kubelet{reason}", f"kubelet {text}", now))
    if problems:
        text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        made.append(_condition(old, "Ready", False, "KubeletNotReady", text, now))
    else:
        made.append(_condition(old, "Ready", True, "KubeletReady", "kubelet is posting ready status", now))
    return made


def _condition(old: Obj, kind: str, holds: bool, reason: str, message: str, now: str) -> Obj:
    status = "True" if holds else "False"
    found = condition(old.get("conditions"), kind)
    known = found.get("lastTransitionTime") if found is not None and found["status"] == status else None
    return {
        "type": kind,
        "status": status,
        "lastHeartbeatTime": now,
        "lastTransitionTime": known or now,
        "reason": reason,
        "message": message,
    }


def images(found: Iterable[Image], most: int) -> list[Obj]:
    """The largest, as many as that; negative: all."""
    largest = sorted(found, key=lambda image: (-image.size_bytes, image.id))
    return [
        {"names": list(image.repo_digests + image.repo_tags)[:_MAX_IMAGE_NAMES], "sizeBytes": image.size_bytes}
        for image in (largest[:most] if most >= 0 else largest)
        if image.repo_digests or image.repo_tags
    ]


def same(old: Obj, new: Obj) -> bool:
    """Whether nothing of the kubelet's own has changed but the time of its word."""
    return _ours(new, new) == _ours(old, new)


def _ours(status: Obj, made: Obj) -> Obj:
    """The part of a status that the kubelet makes, without heartbeats; of capacities those that are in `made`.

    Others add resources to a Node (device plugins, administrators): they are no reason to write. Nor is an empty list (of
    images), which the API shows as none.
    """
    own = [
        {key: value for key, value in item.items() if key != "lastHeartbeatTime"}
        for item in status.get("conditions") or ()
        if item["type"] in OWN
    ]
    amounts = {
        key: {name: (status.get(key) or {}).get(name) for name in made.get(key) or ()} for key in ("capacity", "allocatable")
    }
    known = ("addresses", "daemonEndpoints", "nodeInfo", "images", "volumesInUse")
    return {"conditions": own, **amounts, **{key: status.get(key) or None for key in known}}


def patch(old: Obj, new: Obj) -> Obj:
    """The strategic merge patch of the status that makes the new one of the old one."""
    made = {key: value for key, value in new.items() if key not in ("conditions", "addresses")}
    if new["addresses"] != old.get("addresses"):
        made["addresses"] = [{"$patch": "replace"}, *new["addresses"]]
    made["conditions"] = [item for item in new["conditions"] if item["type"] in OWN]
    return {key: value for key, value in made.items() if key == "conditions" or (value or None) != (old.get(key) or None)}


def turned(node: Obj, old: Obj) -> Iterator[str]:
    """Reasons of the events about what the node's conditions now say and the old status did not."""
    for kind, well, _, ill, _ in _PRESSURES:
        new, known = condition(node, kind), condition(old.get("conditions"), kind)
        if new is not None and new["status"] != (known["status"] if known is not None else "False"):
            yield f"Node{ill if new['status'] == 'True' else well}"
    ready, before = condition(node, "Ready"), condition(old.get("conditions"), "Ready")
    if ready is not None and (before is None or before["status"] != ready["status"]):
        yield "NodeReady" if ready["status"] == "True" else "NodeNotReady"
