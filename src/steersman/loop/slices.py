"""EndpointSlices that hold wanted endpoints: the least change to those that exist.

Every slice changed goes to every node, so slices are updated in place, filled before new ones are made, and never rebalanced.
Source: upstream staging/src/k8s.io/endpointslice/reconciler.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from steersman.api.resources import ENDPOINT_SLICES
from steersman.loop.spec import Action, Create, Delete, Update
from steersman.machinery.meta import Key, Obj, dig, is_deleting, labels_of, name_of, namespace_of, uid_of

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MAX_ENDPOINTS = 100
PortKey = tuple[tuple[str, str, int, str], ...]


@dataclass(slots=True)
class Group:
    """Endpoints that share a set of ports."""

    ports: list[Obj]
    endpoints: list[Obj] = field(default_factory=list)


@dataclass(slots=True)
class _Fill:
    """A slice that stays, with what it shall hold."""

    slice: Obj
    endpoints: list[Obj]
    changed: bool


@dataclass(slots=True)
class _Plan:
    keep: list[_Fill] = field(default_factory=list)
    create: list[Group] = field(default_factory=list)
    doomed: list[Obj] = field(default_factory=list)


def port_key(ports: Iterable[Obj]) -> PortKey:
    return tuple(
        sorted(
            (port.get("name") or "", port.get("protocol", "TCP"), port.get("port") or 0, port.get("appProtocol") or "")
            for port in ports
        )
    )


def slice_index(managed_by: str) -> Callable[[Obj], Iterable[str]]:
    """Index function: slices managed by that controller, by `namespace/service`."""

    def index(found: Obj) -> Iterable[str]:
        labels = labels_of(found)
        if labels.get(MANAGED_BY) != managed_by or SERVICE_NAME not in labels:
            return ()
        return (f"{namespace_of(found)}/{labels[SERVICE_NAME]}",)

    return index


def slice_keys(managed_by: str) -> Callable[[Obj], Iterable[Key]]:
    """For Watch.keys: slices managed by that controller to the service they belong to."""
    index = slice_index(managed_by)

    def keys(found: Obj) -> Iterable[Key]:
        return [(namespace_of(found), labels_of(found)[SERVICE_NAME]) for _ in index(found)]

    return keys


def changes(existing: Sequence[Obj], groups: Mapping[PortKey, Group], blank: Obj, *, placeholder: bool) -> list[Action]:
    """What turns the existing slices of one address type into slices of `groups`.

    `blank`: a slice with metadata and addressType, to which endpoints and ports are added. `placeholder`: keep one empty slice
    where there would be none, which tells consumers that the service is known.
    """
    plan = _Plan()
    of_ports: dict[PortKey, list[Obj]] = {}
    for found in existing:
        if not is_deleting(found):
            of_ports.setdefault(port_key(found.get("ports") or ()), []).append(found)
    for key, group in groups.items():
        _plan_group(plan, group, of_ports.pop(key, []), labels_of(blank))
    for slices in of_ports.values():
        plan.doomed += slices
    if placeholder and not plan.keep and not plan.create:
        plan.create.append(Group([]))
    return _actions(plan, blank)


def _plan_group(plan: _Plan, group: Group, slices: Sequence[Obj], labels: Mapping[str, str]) -> None:
    missing = {_identity(item): item for item in group.endpoints}
    fills = []
    for found in slices:
        old = found.get("endpoints") or []
        kept = [new for item in old if (new := missing.pop(_identity(item), None)) is not None]
        if kept:
            fills.append(_Fill(found, kept, kept != old or labels_of(found) != labels))
        else:
            plan.doomed.append(found)
    left = list(missing.values())
    for fill in sorted((item for item in fills if item.changed), key=lambda item: -len(item.endpoints)):
        room = MAX_ENDPOINTS - len(fill.endpoints)
        fill.endpoints += left[:room]
        left = left[room:]
    fitting = [item for item in fills if not item.changed and len(item.endpoints) + len(left) <= MAX_ENDPOINTS]
    if left and fitting:
        fullest = max(fitting, key=lambda item: len(item.endpoints))
        fullest.endpoints += left
        fullest.changed = True
        left = []
    plan.keep += fills
    for start in range(0, len(left), MAX_ENDPOINTS):
        plan.create.append(Group(group.ports, left[start : start + MAX_ENDPOINTS]))


def _identity(endpoint: Obj) -> tuple[object, ...]:
    return (*endpoint["addresses"], dig(endpoint, "targetRef", "uid"), endpoint.get("hostname"))


def _actions(plan: _Plan, blank: Obj) -> list[Action]:
    """Slices that would be deleted are reused for what would be created."""
    actions: list[Action] = []
    doomed = list(plan.doomed)
    for group in plan.create:
        if doomed:
            reused = doomed.pop(0)
            was_empty = not reused.get("endpoints") and not reused.get("ports")
            stays = was_empty and not group.endpoints and labels_of(reused) == labels_of(blank)
            plan.keep.append(_Fill({**reused, "ports": group.ports}, group.endpoints, not stays))
        else:
            actions.append(Create(ENDPOINT_SLICES, {**blank, "endpoints": group.endpoints, "ports": group.ports}))
    actions += [_update(fill, blank) for fill in plan.keep if fill.changed]
    actions += [Delete(ENDPOINT_SLICES, namespace_of(gone), name_of(gone), uid=uid_of(gone)) for gone in doomed]
    return actions


def _update(fill: _Fill, blank: Obj) -> Update:
    meta = {**fill.slice["metadata"], "labels": labels_of(blank)}
    annotations = {**(meta.get("annotations") or {}), **(blank["metadata"].get("annotations") or {})}
    if annotations:
        meta["annotations"] = annotations
    return Update(ENDPOINT_SLICES, {**fill.slice, "metadata": meta, "endpoints": fill.endpoints})
