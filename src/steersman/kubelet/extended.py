"""Extended resources of a Node: those that others advertise in its capacity (administrators, by a patch of nodes/status).

node.py makes the rest of the status. Device plugins are not here. Source: upstream nodestatus/setters.go MachineInfo.
"""

from __future__ import annotations

from collections.abc import Mapping

from steersman.machinery.meta import Obj


def allocatable(shown: Obj, own: Mapping[str, str]) -> dict[str, str | None]:
    """What a status that shows extended resources has to say of them as allocatable: all there is; None = it is to go.

    `own`: the capacity that the kubelet itself answers for.
    """
    capacity, offered = shown.get("capacity") or {}, shown.get("allocatable") or {}
    made: dict[str, str | None] = {name: None for name in offered if _is_extended(name) and name not in own}
    return {**made, **{name: amount for name, amount in capacity.items() if _is_extended(name) and name not in own}}


def is_settled(shown: Obj, own: Mapping[str, str]) -> bool:
    offered = shown.get("allocatable") or {}
    return all(offered.get(name) == amount for name, amount in allocatable(shown, own).items())


def _is_extended(name: str) -> bool:
    domain, slash, _ = name.partition("/")
    return (
        bool(slash) and domain != "kubernetes.io" and not domain.endswith(".kubernetes.io") and not name.startswith("requests.")
    )
