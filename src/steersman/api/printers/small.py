"""Rows of groups with one or two kinds: policy, coordination, node, apiregistration, resource claims."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from steersman.api.kinds import TableSpec
from steersman.api.printers.cells import AGE, NAME, age, col, count, name_and_age, spec
from steersman.machinery.meta import Obj, condition, dig, is_deleting, name_of


def _or_not_available(value: Any) -> str:
    return "N/A" if value is None else str(value)


def _disruption_budget(obj: Obj, now: datetime) -> list[Any]:
    wanted = obj.get("spec") or {}
    return [
        name_of(obj),
        _or_not_available(wanted.get("minAvailable")),
        _or_not_available(wanted.get("maxUnavailable")),
        count(dig(obj, "status", "disruptionsAllowed")),
        age(obj, now),
    ]


def _lease(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), str(dig(obj, "spec", "holderIdentity", default="")), age(obj, now)]


def _lease_candidate(obj: Obj, now: datetime) -> list[Any]:
    wanted = obj.get("spec") or {}
    shown = [str(wanted.get(key) or "") for key in ("leaseName", "binaryVersion", "emulationVersion")]
    return [name_of(obj), *shown, age(obj, now)]


def _runtime_class(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), str(obj.get("handler") or ""), age(obj, now)]


def _api_service(obj: Obj, now: datetime) -> list[Any]:
    service = dig(obj, "spec", "service")
    shown = f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "Local"
    found = condition(obj, "Available")
    if found is None:
        available = "Unknown"
    elif found.get("status") == "True":
        available = "True"
    else:
        available = f"{found.get('status')} ({found.get('reason', '')})"
    return [name_of(obj), shown, available, age(obj, now)]


def _resource_claim(obj: Obj, now: datetime) -> list[Any]:
    words = ["deleted"] if is_deleting(obj) else []
    if dig(obj, "status", "allocation") is not None:
        words.append("allocated")
        if dig(obj, "status", "reservedFor"):
            words.append("reserved")
    elif not words:
        words.append("pending")
    return [name_of(obj), ",".join(words), age(obj, now)]


def _resource_slice(obj: Obj, now: datetime) -> list[Any]:
    wanted = obj.get("spec") or {}
    shown = [str(wanted.get("nodeName") or ""), str(wanted.get("driver") or ""), str(dig(wanted, "pool", "name", default=""))]
    return [name_of(obj), *shown, age(obj, now)]


TABLES: dict[tuple[str, str], TableSpec] = {
    ("policy", "PodDisruptionBudget"): spec(
        _disruption_budget,
        NAME,
        col("Min Available"),
        col("Max Unavailable"),
        col("Allowed Disruptions", "integer"),
        AGE,
    ),
    ("coordination.k8s.io", "Lease"): spec(_lease, NAME, col("Holder"), AGE),
    ("coordination.k8s.io", "LeaseCandidate"): spec(
        _lease_candidate, NAME, col("LeaseName"), col("BinaryVersion"), col("EmulationVersion"), AGE
    ),
    ("node.k8s.io", "RuntimeClass"): spec(_runtime_class, NAME, col("Handler"), AGE),
    ("apiregistration.k8s.io", "APIService"): spec(_api_service, NAME, col("Service"), col("Available"), AGE),
    ("resource.k8s.io", "DeviceClass"): spec(name_and_age, NAME, AGE),
    ("resource.k8s.io", "ResourceClaimTemplate"): spec(name_and_age, NAME, AGE),
    ("resource.k8s.io", "ResourceClaim"): spec(_resource_claim, NAME, col("State"), AGE),
    ("resource.k8s.io", "ResourceSlice"): spec(_resource_slice, NAME, col("Node"), col("Driver"), col("Pool"), AGE),
}
