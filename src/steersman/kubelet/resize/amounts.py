"""The cpu and memory of a pod's containers, as the resize of a pod sees them. Pure.

An `Allocation` maps container names to {requests, limits} of cpu and memory; the name '' is the pod itself (KEP-2837).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from steersman.kubelet import pods
from steersman.machinery import quantity
from steersman.machinery.meta import Obj, dig

RESIZABLE = ("cpu", "memory")
POD = ""
Allocation = dict[str, Obj]


def of_resources(resources: Obj | None) -> Obj:
    """The part of a resources block that can be resized."""
    made: Obj = {}
    for side in ("limits", "requests"):
        listed = (resources or {}).get(side) or {}
        if chosen := {key: str(listed[key]) for key in RESIZABLE if key in listed}:
            made[side] = chosen
    return made


def of_pod(pod: Obj) -> Allocation:
    """What its spec asks for."""
    made = {spec["name"]: of_resources(spec.get("resources")) for spec in pods.init_containers(pod) + pods.containers(pod)}
    if own := dig(pod, "spec", "resources", default=None):
        made[POD] = of_resources(own)
    return made


def changed(new: Obj | None, old: Obj | None) -> set[str]:
    """Which of cpu and memory differ, by amount and not by spelling."""
    return {
        key
        for key in RESIZABLE
        for side in ("limits", "requests")
        if _milli((new or {}).get(side), key) != _milli((old or {}).get(side), key)
    }


def same(new: Mapping[str, Obj], old: Mapping[str, Obj]) -> bool:
    return all(not changed(new.get(name), old.get(name)) for name in new.keys() | old.keys())


def _milli(listed: Mapping[str, str] | None, key: str) -> int | None:
    return quantity.milli(listed[key]) if listed and key in listed else None


def increases(new: Mapping[str, Obj], old: Mapping[str, Obj]) -> bool:
    """Whether any request grows in sum."""
    return any(_sum(new.values(), key) > _sum(old.values(), key) for key in RESIZABLE)


def _sum(listed: Iterable[Obj], key: str) -> int:
    return sum(_milli(each.get("requests"), key) or 0 for each in listed)


def applied(pod: Obj, allocation: Mapping[str, Obj]) -> Obj:
    """The pod with these resources; the very same one if they are what it asks for, in the same words."""
    spec = pod.get("spec") or {}
    parts: Obj = {}
    for key in ("initContainers", "containers"):
        listed = spec.get(key) or []
        made = [_with(item, allocation.get(item["name"])) for item in listed]
        if any(new is not old for new, old in zip(made, listed, strict=True)):
            parts[key] = made
    if POD in allocation and (own := _with(spec, allocation[POD])) is not spec:
        parts["resources"] = own["resources"]
    return {**pod, "spec": {**spec, **parts}} if parts else pod


def _with(holder: Obj, amounts: Obj | None) -> Obj:
    """A container, or a pod's spec, with other amounts of cpu and memory."""
    if amounts is None or of_resources(holder.get("resources")) == amounts:
        return holder
    return {**holder, "resources": in_force(holder.get("resources"), amounts)}


def in_force(resources: Obj | None, amounts: Obj) -> Obj:
    """A resources block with other amounts of cpu and memory; the rest of it stays."""
    made = dict(resources or {})
    for side in ("limits", "requests"):
        rest = {key: value for key, value in (made.get(side) or {}).items() if key not in RESIZABLE}
        if both := {**rest, **(amounts.get(side) or {})}:
            made[side] = both
        else:
            made.pop(side, None)
    return made
