"""What kinds are to server-side apply: their types, and which fields each endpoint leaves to others.

Writing through /status, say, neither owns nor contests what it cannot change. Source: GetResetFields of upstream's strategies.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from steersman.api.kinds import KindSpec
from steersman.api.schema.applytypes import of_kind
from steersman.machinery.apply import fieldset
from steersman.machinery.apply.fieldset import FieldSet
from steersman.machinery.apply.types import ANY, Type
from steersman.machinery.apply.updater import Reset

_WHOLE_METADATA = {
    "admissionregistration.k8s.io",
    "apiregistration.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "resource.k8s.io",
    "storage.k8s.io",
}
"""Groups of built-in kinds whose status endpoint leaves all of metadata alone, as that of custom resources does."""
_STATUS = {
    "CertificateSigningRequest": "spec status.conditions",
    "Deployment": "spec metadata.labels",
    "Pod": "spec metadata.deletionTimestamp metadata.ownerReferences",
    "ServiceCIDR": "spec metadata",
}
_PARTS = {"approval": "spec status.certificate", "finalize": "status"}


def type_of(spec: KindSpec) -> Type:
    if spec.schema:
        return of_kind(spec.schema)
    return spec.apply_type or ANY


def reset(spec: KindSpec, subresource: str, *, creating: bool = False) -> Reset:
    """What an endpoint leaves out of sets of fields."""
    if subresource == "ephemeralcontainers":
        return _ephemeral_only
    if subresource == "resize":
        return _resources_only
    return _leaving(_left_alone(spec, subresource, creating))


def _left_alone(spec: KindSpec, subresource: str, creating: bool) -> str:
    if subresource == "status":
        whole = not spec.schema or spec.resource.group in _WHOLE_METADATA
        return _STATUS.get(spec.kind, "spec") if spec.schema and not whole else "spec metadata"
    if subresource:
        return _PARTS.get(subresource, "")
    if spec.subresource("status") is None:
        return ""
    return "status spec" if spec.kind == "CertificateSigningRequest" and not creating else "status"


@cache
def _leaving(paths: str) -> Callable[[FieldSet], FieldSet]:
    """Of `spec metadata.labels`."""
    if not paths:
        return lambda fields: fields
    left = fieldset.of(*(tuple(f"f:{name}" for name in path.split(".")) for path in paths.split()))
    return lambda fields: fieldset.recursive_difference(fields, left)


def _ephemeral_only(fields: FieldSet) -> FieldSet:
    return _only(fields, ("f:spec", "f:ephemeralContainers"))


def _resources_only(fields: FieldSet) -> FieldSet:
    made: FieldSet = {}
    for key in ("f:containers", "f:initContainers"):
        for element in fieldset.at(fields, "f:spec", key) or ():
            if element != fieldset.SELF:
                for part in ("f:resources", "f:resizePolicy"):
                    made = fieldset.union(made, _only(fields, ("f:spec", key, element, part)))
    return made


def _only(fields: FieldSet, path: fieldset.Path) -> FieldSet:
    """What is at a path and below it."""
    node = fieldset.at(fields, *path)
    if node is None:
        return fieldset.EMPTY
    for element in reversed(path):
        node = {element: node}
    return node
