"""LimitRanger: what containers don't say of their resources is filled in, and what pods and claims ask for keeps to the bounds.

Source: upstream plugin/pkg/admission/limitranger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from steersman.api.podresources import pod_total
from steersman.api.resources import LIMIT_RANGES, PERSISTENT_VOLUME_CLAIMS, PODS
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.contracts import AdmissionRequest
from steersman.apiserver.lookup import Lookup
from steersman.machinery import quantity
from steersman.machinery.meta import Obj, dig, name_of
from steersman.machinery.quantity import Quantity

Amounts: TypeAlias = Mapping[str, Quantity]
Check: TypeAlias = Callable[[str, str, Quantity, Amounts, Amounts], str]
"""check(type, resource, bound, requests, limits): what is wrong, or nothing."""

_ANNOTATION = "kubernetes.io/limit-ranger"


class LimitRanger:
    name = "LimitRanger"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def admit(self, request: AdmissionRequest) -> None:
        """Pods only: claims have no defaults."""
        if request.obj is None or request.resource != PODS or not _concerns(request):
            return
        lister = self._lookup.listers(LIMIT_RANGES)
        # One that was made just before the pod counts: that there is none has to be sure.
        await lister.settle()
        for limit_range in _sorted(lister.list(request.namespace)):
            _fill(request.obj, limit_range)

    async def validate(self, request: AdmissionRequest) -> None:
        if request.obj is None or not _concerns(request):
            return
        lister = self._lookup.listers(LIMIT_RANGES)
        if request.resource != PODS:
            # Of pods `admit` has seen to it.
            await lister.settle()
        for limit_range in _sorted(lister.list(request.namespace)):
            wrong = sorted(set(_faults(request.obj, limit_range, pod=request.resource == PODS)))
            if wrong:
                raise refused(request, wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]")


def _sorted(ranges: list[Obj]) -> list[Obj]:
    return sorted(ranges, key=name_of) if len(ranges) > 1 else ranges


def _concerns(request: AdmissionRequest) -> bool:
    """A pod's containers change by resizing only; a claim can grow."""
    if request.resource == PODS:
        return (request.operation, request.subresource) in (("CREATE", ""), ("UPDATE", "resize"))
    return request.resource == PERSISTENT_VOLUME_CLAIMS and not request.subresource and request.operation in ("CREATE", "UPDATE")


def _limits_of(limit_range: Obj, kind: str) -> Iterable[Obj]:
    return (item for item in dig(limit_range, "spec", "limits", default=()) if item.get("type") == kind)


# --- defaults ----------------------------------------------------------------------------------------------------------


def _fill(pod: Obj, limit_range: Obj) -> None:
    """Sets what is missing and says so in an annotation."""
    defaults: dict[str, dict[str, str]] = {"requests": {}, "limits": {}}
    for item in _limits_of(limit_range, "Container"):
        defaults["requests"].update(item.get("defaultRequest") or {})
        defaults["limits"].update(item.get("default") or {})
    notes: list[str] = []
    for key, what in (("containers", "container"), ("initContainers", "init container")):
        for container in pod["spec"].get(key) or ():
            for field, word in (("requests", "request"), ("limits", "limit")):
                if added := _complete(container, field, defaults[field]):
                    notes.append(f"{', '.join(added)} {word} for {what} {container.get('name')}")
    if notes:
        pod["metadata"]["annotations"] = {
            **(pod["metadata"].get("annotations") or {}),
            _ANNOTATION: f"LimitRanger plugin set: {'; '.join(notes)}",
        }


def _complete(container: Obj, field: str, defaults: Mapping[str, str]) -> list[str]:
    """The names that were added."""
    present = dig(container, "resources", field, default={})
    added = sorted(name for name in defaults if name not in present)
    if added:
        resources = container.setdefault("resources", {})
        resources[field] = {**present, **{name: defaults[name] for name in added}}
    return added


# --- bounds ------------------------------------------------------------------------------------------------------------


def _faults(obj: Obj, limit_range: Obj, *, pod: bool) -> Iterable[str]:
    spec = obj["spec"]
    if not pod:
        requests = _amounts(spec, "requests")
        for item in _limits_of(limit_range, "PersistentVolumeClaim"):
            yield from _outside(item, {"min": _at_least, "max": _asked_at_most}, requests, {})
        return
    for item in _limits_of(limit_range, "Container"):
        for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
            yield from _outside(item, _BOUNDS, _amounts(container, "requests"), _amounts(container, "limits"))
    # What the runtime takes beside the containers is not theirs to answer for.
    bare = {key: value for key, value in spec.items() if key != "overhead"}
    for item in _limits_of(limit_range, "Pod"):
        yield from _outside(item, _BOUNDS, pod_total(bare, "requests"), pod_total(bare, "limits"))


def _amounts(holder: Obj, field: str) -> Amounts:
    return {name: quantity.parse(value) for name, value in dig(holder, "resources", field, default={}).items()}


def _outside(item: Obj, bounds: Mapping[str, Check], requests: Amounts, limits: Amounts) -> Iterable[str]:
    for field, check in bounds.items():
        for name, bound in (item.get(field) or {}).items():
            if wrong := check(item["type"], name, quantity.parse(bound), requests, limits):
                yield wrong


def _at_least(kind: str, name: str, bound: Quantity, requests: Amounts, limits: Amounts) -> str:
    request, limit = requests.get(name), limits.get(name)
    rule = f"minimum {name} usage per {kind} is {bound}"
    if request is None:
        return f"{rule}.  No request is specified"
    if request < bound:
        return f"{rule}, but request is {request}"
    return f"{rule}, but limit is {limit}" if limit is not None and limit < bound else ""


def _at_most(kind: str, name: str, bound: Quantity, requests: Amounts, limits: Amounts) -> str:
    request, limit = requests.get(name), limits.get(name)
    rule = f"maximum {name} usage per {kind} is {bound}"
    if limit is None:
        return f"{rule}.  No limit is specified"
    if limit > bound:
        return f"{rule}, but limit is {limit}"
    return f"{rule}, but request is {request}" if request is not None and request > bound else ""


def _asked_at_most(kind: str, name: str, bound: Quantity, requests: Amounts, _limits: Amounts) -> str:
    request = requests.get(name)
    rule = f"maximum {name} usage per {kind} is {bound}"
    if request is None:
        return f"{rule}.  No request is specified"
    return f"{rule}, but request is {request}" if request > bound else ""


def _in_proportion(kind: str, name: str, bound: Quantity, requests: Amounts, limits: Amounts) -> str:
    request, limit = requests.get(name), limits.get(name)
    rule = f"{name} max limit to request ratio per {kind} is {bound}"
    if not request:
        return f"{rule}, but no request is specified or request is 0"
    if not limit:
        return f"{rule}, but no limit is specified or limit is 0"
    # Whole numbers: limit / request > bound.
    if limit.nano * 10**9 > bound.nano * request.nano:
        return f"{rule}, but provided ratio is {limit.nano / request.nano:f}"
    return ""


_BOUNDS: Mapping[str, Check] = {"min": _at_least, "max": _at_most, "maxLimitRequestRatio": _in_proportion}
