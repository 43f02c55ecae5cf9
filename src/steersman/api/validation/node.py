"""Validation of nodes and namespaces."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from steersman.api.validation import resources
from steersman.api.validation.common import Errors, complain
from steersman.api.validation.scheduling import taints
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, duplicate, forbidden, invalid
from steersman.machinery.meta import Obj, is_deleting


def validate_node(node: Obj) -> list[FieldError]:
    errors: Errors = []
    spec, status = node.get("spec") or {}, node.get("status") or {}
    if spec.get("taints"):
        taints(errors, "metadata.taints", spec["taints"])
    for kind in ("capacity", "allocatable"):
        for name, value in (status.get(kind) or {}).items():
            resources.amount(errors, f"status.{kind}.{name}", name, value)
    if spec.get("podCIDRs"):
        _pod_cidrs(errors, spec["podCIDRs"])
    return errors


def _pod_cidrs(errors: Errors, items: Sequence[str]) -> None:
    versions: list[int] = []
    for index, item in enumerate(items):
        texts = names.cidr(item)
        complain(errors, f"spec.podCIDRs[{index}]", item, texts)
        if not texts:
            versions.append(ipaddress.ip_network(item, strict=False).version)
    if len(versions) != len(set(versions)):
        errors.append(invalid("spec.podCIDRs", list(items), "may specify no more than one CIDR for each IP family"))


def validate_node_update(new: Obj, old: Obj) -> list[FieldError]:
    errors = validate_node(new)
    spec, stored, status = new.get("spec") or {}, old.get("spec") or {}, new.get("status") or {}
    seen: list[Obj] = []
    for index, address in enumerate(status.get("addresses") or ()):
        if address in seen:
            errors.append(duplicate(f"status.addresses[{index}]", address))
        seen.append(address)
    if stored.get("podCIDRs") and spec.get("podCIDRs") != stored["podCIDRs"]:
        errors.append(forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid'))
    if stored.get("providerID") and spec.get("providerID") != stored["providerID"]:
        errors.append(forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid'))
    if (spec.get("externalID") or "") != (stored.get("externalID") or ""):
        errors.append(forbidden("spec.externalID", "may not be updated"))
    features = status.get("declaredFeatures") or []
    if features != sorted(features):
        errors.append(invalid("status.declaredFeatures", features, "list must be sorted alphabetically"))
    for index, name in enumerate(features):
        if name in features[:index]:
            errors.append(duplicate(f"status.declaredFeatures[{index}]", name))
    return errors


def validate_namespace_status(new: Obj, old: Obj) -> list[FieldError]:
    phase = (new.get("status") or {}).get("phase") or ""
    if is_deleting(new):
        if phase != "Terminating":
            text = "may only be 'Terminating' if `deletionTimestamp` is not empty"
            return [invalid("status.Phase", phase, text)]
    elif phase != "Active":
        return [invalid("status.Phase", phase, "may only be 'Active' if `deletionTimestamp` is empty")]
    return []


def validate_namespace(namespace: Obj) -> list[FieldError]:
    errors: Errors = []
    for name in (namespace.get("spec") or {}).get("finalizers") or ():
        complain(errors, "spec.finalizers", name, names.qualified_name(name))
        if "/" not in name and name not in ("kubernetes", "orphan", "foregroundDeletion"):
            text = "name is neither a standard finalizer name nor is it fully qualified"
            errors.append(invalid("spec.finalizers", name, text))
    return errors
