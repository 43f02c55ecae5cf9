"""What a pod's status says of the resources of the pod as a whole: allocatedResources and resources (KEP-5419). Pure.

Those of its containers are in containerstatus.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from steersman.api.podresources import Usage, pod_total
from steersman.kubelet import resources
from steersman.kubelet.resize.amounts import RESIZABLE, applied
from steersman.machinery.meta import Obj, dig


def pod_resources(pod: Obj, actuated: Mapping[str, Obj], phase: str) -> Obj:
    """The two fields. `pod` has what is allocated; `actuated`: what runs with something else, and with what."""
    made: Obj = {}
    if allocated := _texts(pod_total(pod["spec"], "requests")):
        made["allocatedResources"] = allocated
    actual = applied(pod, actuated)
    requests, limits = (pod_total(actual["spec"], side) for side in ("requests", "limits"))
    if phase == "Running":
        # Then it is what the pod's control group enforces, and that has no limit unless all containers have one.
        group = resources.pod_resources(actual)
        enforced = {"cpu": group.cpu_quota, "memory": group.memory_limit}
        requests = _only(requests, actual, "requests", frozenset(RESIZABLE))
        limits = _only(limits, actual, "limits", frozenset(key for key in RESIZABLE if enforced[key]))
    made["resources"] = {side: _texts(found) for side, found in (("limits", limits), ("requests", requests)) if found}
    return made


def _only(total: Usage, pod: Obj, side: str, chosen: frozenset[str]) -> Usage:
    """The chosen ones, and others that the pod's own resources list."""
    listed = dig(pod, "spec", "resources", side, default=None) or {}
    return {key: amount for key, amount in total.items() if key in chosen or (key in listed and key not in RESIZABLE)}


def _texts(found: Usage) -> dict[str, str]:
    return {key: str(found[key]) for key in sorted(found)}
