"""Validation of resource amounts: requests and limits of containers and pods, names of resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from steersman.api.validation.common import NOT_NEGATIVE, Errors, complain, label, needs, one_of, unique
from steersman.machinery import names, quantity
from steersman.machinery.fielderrors import duplicate, forbidden, invalid, not_found, required
from steersman.machinery.kept import kept
from steersman.machinery.meta import Obj

HUGEPAGES = "hugepages-"
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
STANDARD = frozenset(
    {
        *_COMPUTE, "storage", "pods", "resourcequotas", "services", "services.nodeports", "services.loadbalancers",
        "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims", "requests.storage",
        *(f"requests.{name}" for name in _COMPUTE), *(f"limits.{name}" for name in _COMPUTE),
    }
)  # fmt: skip
_COUNTED = frozenset(
    {"pods", "resourcequotas", "services", "services.nodeports", "services.loadbalancers", "replicationcontrollers", "secrets",
     "configmaps", "persistentvolumeclaims"}
)  # fmt: skip
_NATIVE_PREFIX = "kubernetes.io/"


def is_hugepages(name: str) -> bool:
    return name.startswith(HUGEPAGES)


def is_native(name: str) -> bool:
    return "/" not in name or _NATIVE_PREFIX in name


def is_extended(name: str) -> bool:
    if is_native(name) or name.startswith("requests."):
        return False
    return not names.qualified_name(f"requests.{name}")


def may_overcommit(name: str) -> bool:
    return is_native(name) and not is_hugepages(name)


@kept(1024)
def _container_resource_texts(name: str) -> tuple[str, ...]:
    texts = resource_name_texts(name)
    if "/" not in name:
        if name not in _COMPUTE and not is_hugepages(name):
            texts.append("must be a standard resource for containers")
    elif not is_native(name) and not is_extended(name):
        texts.append("doesn't follow extended resource name standard")
    return tuple(texts)


def resource_name_texts(name: str) -> list[str]:
    """What is wrong with a resource name of any kind."""
    texts = names.qualified_name(name)
    if "/" not in name and name not in STANDARD and not is_hugepages(name):
        texts = [*texts, "must be a standard resource type or fully qualified"]
    return list(texts)


def container_resource_name(errors: Errors, path: str, name: str) -> None:
    complain(errors, path, name, _container_resource_texts(name))


def amount(errors: Errors, path: str, name: str, value: str) -> None:
    """A quantity of a resource: not negative, whole for what is counted."""
    parsed = quantity.parse(value)
    if parsed.milli < 0:
        errors.append(invalid(path, value, NOT_NEGATIVE))
    if (name in _COUNTED or is_extended(name)) and parsed.milli % 1000:
        errors.append(invalid(path, value, "must be an integer"))


def _hugepage_amount(errors: Errors, path: str, name: str, value: str) -> None:
    try:
        size = quantity.value(name.removeprefix(HUGEPAGES))
    except ValueError:
        size = 0
    if size <= 0 or quantity.value(value) % size:
        errors.append(invalid(path, value, f"{value} is not positive integer multiple of {name}"))


def amounts(errors: Errors, path: str, values: Mapping[str, str]) -> None:
    """A resource list of container resources: limits, requests, overhead."""
    for name, value in values.items():
        if name in _COMPUTE and value[:1] != "-":
            continue
        inner = f"{path}[{name}]"
        container_resource_name(errors, inner, name)
        amount(errors, inner, name, value)
        if is_hugepages(name):
            _hugepage_amount(errors, inner, name, value)


def requirements(errors: Errors, path: str, value: Obj, claims: Sequence[str] = ()) -> None:
    """Container resources: names, amounts, requests within limits. `claims`: names of the pod's resource claims."""
    limits, requests = value.get("limits") or {}, value.get("requests") or {}
    if limits:
        amounts(errors, f"{path}.limits", limits)
    if requests:
        amounts(errors, f"{path}.requests", requests)
        _requests_within(errors, path, requests, limits)
    everything = limits.keys() | requests.keys()
    if any(is_hugepages(name) for name in everything) and not everything & {"cpu", "memory"}:
        errors.append(forbidden(path, "HugePages require cpu or memory"))
    if value.get("claims"):
        _claims(errors, f"{path}.claims", value["claims"], claims)


def _requests_within(errors: Errors, path: str, requests: Mapping[str, str], limits: Mapping[str, str]) -> None:
    for name, value in requests.items():
        limit = limits.get(name)
        if limit is None:
            if not may_overcommit(name):
                errors.append(required(f"{path}.limits", "Limit must be set for non overcommitable resources"))
        elif value != limit:
            asked, most = quantity.parse(value), quantity.parse(limit)
            if asked != most and not may_overcommit(name):
                errors.append(invalid(f"{path}.requests", value, f"must be equal to {name} limit of {limit}"))
            elif most < asked:
                errors.append(invalid(f"{path}.requests", value, f"must be less than or equal to {name} limit of {limit}"))


def _claims(errors: Errors, path: str, claims: Sequence[Obj], known: Sequence[str]) -> None:
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        inner, name, request = f"{path}[{index}]", claim.get("name") or "", claim.get("request") or ""
        if not needs(errors, f"{inner}.name", name):
            continue
        key = f"{name}/{request}" if request else name
        if name in seen and request:
            errors.append(duplicate(inner, key))
        else:
            unique(errors, inner, key, seen)
        if request:
            label(errors, f"{inner}.request", request)
        if name not in known:
            where = f"must be one of the names in pod.spec.resourceClaims: {', '.join(known)}"
            text = where if known else "must be one of the names in pod.spec.resourceClaims which is empty"
            errors.append(replace(not_found(f"{inner}.name", name), detail=text))


def resize_policy(errors: Errors, path: str, policies: Sequence[Obj], pod_restart_policy: str) -> None:
    seen: set[str] = set()
    for index, policy in enumerate(policies):
        inner, name, restart = f"{path}[{index}]", policy.get("resourceName") or "", policy.get("restartPolicy") or ""
        if name:
            unique(errors, inner, name, seen)
        one_of(errors, f"{inner}.resourceName", name, ("cpu", "memory"), optional=False)
        one_of(errors, f"{inner}.restartPolicy", restart, ("NotRequired", "RestartContainer"), optional=False)
        if pod_restart_policy == "Never" and restart and restart != "NotRequired":
            errors.append(invalid(inner, restart, "must be 'NotRequired' when pod `restartPolicy` is 'Never'"))
