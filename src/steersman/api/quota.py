"""What an object uses of a ResourceQuota: names of quota resources and amounts. Shared by whoever counts and whoever refuses.

Source: API docs, Resource Quotas; upstream pkg/quota/v1/evaluator/core.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from steersman.api.podresources import Usage, add, pod_total
from steersman.api.qos import qos_class
from steersman.api.resources import PERSISTENT_VOLUME_CLAIMS, PODS, RESOURCE_CLAIMS, SERVICES
from steersman.machinery import quantity
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, annotations_of, dig, parse_time
from steersman.machinery.quantity import Quantity

_ONE = Quantity.of(1)
_OWN_NAMES = frozenset(
    ("pods", "services", "configmaps", "secrets", "persistentvolumeclaims", "replicationcontrollers", "resourcequotas")
)
"""Core resources that are also counted under their bare name."""
_PLAIN = ("cpu", "memory", "ephemeral-storage")
_TO_STATE = frozenset(f"{prefix}{name}" for prefix in ("", "requests.", "limits.") for name in ("cpu", "memory"))
_OLD_CLASS = "volume.beta.kubernetes.io/storage-class"
_BY_DEVICE_CLASS = ".deviceclass.resource.k8s.io/devices"
_ALL_DEVICES = 32
"""As many as an allocation can have at most: what a claim counts that takes all there are."""


def usage(resource: Resource, obj: Obj, now: datetime) -> Usage:
    """For pods, claims of volumes and of devices, and services more than their number."""
    found: Usage = {f"count/{resource.qualified}": _ONE}
    if not resource.group and resource.plural in _OWN_NAMES:
        found[resource.plural] = _ONE
    if resource == PODS:
        return _pod(found, obj, now)
    if resource == SERVICES:
        _service(found, obj)
    elif resource == PERSISTENT_VOLUME_CLAIMS:
        _claim(found, obj)
    elif resource == RESOURCE_CLAIMS:
        _devices(found, obj)
    return found


def counts(resource: Resource, name: str) -> bool:
    """Whether objects of that resource can use any of what a quota calls `name`."""
    if name == f"count/{resource.qualified}":
        return True
    if resource == RESOURCE_CLAIMS:
        return name.endswith(_BY_DEVICE_CLASS)
    if resource.group:
        return False
    if resource == PODS:
        bare = name.removeprefix("requests.").removeprefix("limits.")
        # An extended resource is one with a domain, as requests.example.com/gpu.
        return name == "pods" or bare in _PLAIN or bare.startswith("hugepages-") or name.startswith("requests.") and "/" in name
    if resource == SERVICES:
        return name == "services" or name.startswith("services.")
    if resource == PERSISTENT_VOLUME_CLAIMS:
        return name in ("persistentvolumeclaims", "requests.storage") or ".storageclass.storage.k8s.io/" in name
    return name == resource.plural and name in _OWN_NAMES


def unnamed(spec: Obj, names: Iterable[str]) -> dict[str, list[str]]:
    """Of the quota resources `names` those that a pod does not state, each with the containers that miss it, sorted.

    Who is limited in processor or memory has to say how much is wanted, or it could not be counted.
    """
    stated = {*_stated(spec)}
    asked = sorted(name for name in names if name in _TO_STATE and name not in stated)
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    found = {name: sorted(str(item.get("name")) for item in containers if name not in _stated(item)) for name in asked}
    return {name: who for name, who in found.items() if who}


def _stated(holder: Obj) -> set[str]:
    requests, limits = (dig(holder, "resources", field, default={}) for field in ("requests", "limits"))
    return {*requests, *(f"requests.{name}" for name in requests), *(f"limits.{name}" for name in limits)}


def covers(quota: Obj, resource: Resource, obj: Obj) -> bool:
    """Whether all scopes of the quota fit the object. Scopes are about pods, one about claims."""
    rules = [{"scopeName": name, "operator": "Exists"} for name in dig(quota, "spec", "scopes", default=())]
    rules += dig(quota, "spec", "scopeSelector", "matchExpressions", default=())
    return all(_fits(rule, resource, obj) for rule in rules)


def _fits(rule: Obj, resource: Resource, obj: Obj) -> bool:
    name, spec = rule["scopeName"], obj.get("spec") or {}
    if name == "VolumeAttributesClass":
        return resource == PERSISTENT_VOLUME_CLAIMS and any(_named(rule, chosen) for chosen in _attributes_classes(obj))
    if resource != PODS:
        return False
    match name:
        case "BestEffort":
            return qos_class(spec) == "BestEffort"
        case "NotBestEffort":
            return qos_class(spec) != "BestEffort"
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "PriorityClass":
            return _named(rule, spec.get("priorityClassName") or "")
        case "CrossNamespacePodAffinity":
            return _crosses(spec)
    return False


def _attributes_classes(claim: Obj) -> Iterable[str]:
    """What the claim asks for, has and is being changed to: on the way from one class to another it counts with both."""
    status = claim.get("status") or {}
    found = {
        dig(claim, "spec", "volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        dig(status, "modifyVolumeStatus", "targetVolumeAttributesClassName"),
    }
    return sorted(name for name in found if name) or [""]


def _named(rule: Obj, value: str) -> bool:
    match rule["operator"]:
        case "In":
            return value in rule["values"]
        case "NotIn":
            return value not in rule["values"]
        case "Exists":
            return bool(value)
    return not value


def _crosses(spec: Obj) -> bool:
    """Whether an affinity term looks into other namespaces."""
    for kind in ("podAffinity", "podAntiAffinity"):
        found = dig(spec, "affinity", kind, default={})
        terms = list(found.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        terms += [item["podAffinityTerm"] for item in found.get("preferredDuringSchedulingIgnoredDuringExecution") or ()]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False


def _pod(found: Usage, pod: Obj, now: datetime) -> Usage:
    """A pod that has ended, or should have by now, uses nothing but its name."""
    if dig(pod, "status", "phase") in ("Succeeded", "Failed") or _overdue(pod, now):
        return {"count/pods": _ONE}
    spec = pod.get("spec") or {}
    for name, amount in pod_total(_held(pod), "requests").items():
        found[f"requests.{name}"] = amount
        if name in _PLAIN or name.startswith("hugepages-"):
            found[name] = amount
    for name, amount in pod_total(spec, "limits").items():
        if name in _PLAIN:
            found[f"limits.{name}"] = amount
    return found


def _held(pod: Obj) -> Obj:
    """The spec, with the largest of asked, allocated and actual requests per container: a resize counts with both (KEP-1287)."""
    spec: Obj = pod.get("spec") or {}
    made = dict(spec)
    for key, statuses in (("containers", "containerStatuses"), ("initContainers", "initContainerStatuses")):
        known = {item.get("name"): item for item in dig(pod, "status", statuses, default=None) or ()}
        if known:
            made[key] = [_larger(item, known.get(item.get("name"))) for item in spec.get(key) or ()]
    return made


def _larger(container: Obj, status: Obj | None) -> Obj:
    """A container with requests no smaller than its status says that it has."""
    asked: dict[str, str] = dig(container, "resources", "requests", default={})
    most = dict(asked)
    for listed in (dig(status or {}, "allocatedResources", default={}), dig(status or {}, "resources", "requests", default={})):
        for name, value in (listed or {}).items():
            if name in most and quantity.parse(most[name]) < quantity.parse(value):
                most[name] = value
    return container if most == asked else {**container, "resources": {**container["resources"], "requests": most}}


def _overdue(pod: Obj, now: datetime) -> bool:
    deleted, grace_s = parse_time(dig(pod, "metadata", "deletionTimestamp")), dig(pod, "metadata", "deletionGracePeriodSeconds")
    return deleted is not None and grace_s is not None and deleted + timedelta(seconds=grace_s) < now


def _service(found: Usage, service: Obj) -> None:
    spec = service.get("spec") or {}
    kind, ports = spec.get("type"), len(spec.get("ports") or ())
    if kind == "LoadBalancer":
        found["services.loadbalancers"] = _ONE
    if kind == "NodePort" or (kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts", True)):
        found["services.nodeports"] = Quantity.of(ports)


def _claim(found: Usage, claim: Obj) -> None:
    storage = dig(claim, "spec", "resources", "requests", "storage")
    name = annotations_of(claim).get(_OLD_CLASS) or dig(claim, "spec", "storageClassName", default="")
    prefix = f"{name}.storageclass.storage.k8s.io/"
    if name:
        found[f"{prefix}persistentvolumeclaims"] = _ONE
    if storage is not None:
        found["requests.storage"] = quantity.parse(storage)
        if name:
            found[f"{prefix}requests.storage"] = found["requests.storage"]


def _devices(found: Usage, claim: Obj) -> None:
    """By class; of alternatives the most that any of them would take of it."""
    for request in dig(claim, "spec", "devices", "requests", default=()):
        most: dict[str, int] = {}
        for wanted in request.get("firstAvailable") or [request.get("exactly") or request]:
            name = wanted.get("deviceClassName", "")
            many = _ALL_DEVICES if wanted.get("allocationMode") == "All" else wanted.get("count", 1)
            most[name] = max(most.get(name, 0), many)
        add(found, {f"{name}{_BY_DEVICE_CLASS}": Quantity.of(many) for name, many in most.items()})
