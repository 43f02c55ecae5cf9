"""Validation of storage classes, volume attributes classes and volume attachments. CSI kinds: csi.py."""

from __future__ import annotations

from collections.abc import Sequence

from steersman.api.equality import same
from steersman.api.validation.common import (
    IMMUTABLE,
    Errors,
    complain,
    immutable,
    needs,
    not_negative,
    one_of,
    subdomain,
    unique,
)  # fmt: skip
from steersman.api.validation.scheduling import label_key
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, duplicate, forbidden, invalid, required, too_long
from steersman.machinery.meta import Obj

_MAX_PARAMETERS, _MAX_PARAMETER_BYTES = 512, 256 * 1024
_ATTACHER_LIMIT, _MESSAGE_LIMIT = 63, 1024
_ONE_SOURCE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
_DEPRECATED_KEYS = {
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}


def _provisioner(errors: Errors, path: str, value: str) -> None:
    if needs(errors, path, value):
        complain(errors, path, value, names.qualified_name(value.lower()))


def _parameters(errors: Errors, values: dict[str, str], *, needed: bool = False) -> None:
    if needed and not values:
        errors.append(required("parameters", "must contain at least one key/value pair"))
    if len(values) > _MAX_PARAMETERS:
        errors.append(FieldError("parameters", "FieldValueTooLong", "Too long", f"may not be more than {_MAX_PARAMETERS} bytes"))
        return
    for key in values:
        if not key:
            errors.append(invalid("parameters", key, "field can not be empty."))
    if sum(len(key.encode()) + len(value.encode()) for key, value in values.items()) > _MAX_PARAMETER_BYTES:
        errors.append(too_long("parameters", _MAX_PARAMETER_BYTES))


def validate_storage_class(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    _provisioner(errors, "provisioner", obj.get("provisioner") or "")
    _parameters(errors, obj.get("parameters") or {})
    one_of(errors, "reclaimPolicy", obj.get("reclaimPolicy"), ("Delete", "Retain"))
    one_of(errors, "volumeBindingMode", obj.get("volumeBindingMode"), ("Immediate", "WaitForFirstConsumer"), optional=False)
    _topologies(errors, "allowedTopologies", obj.get("allowedTopologies") or ())
    return errors


def _topologies(errors: Errors, path: str, terms: Sequence[Obj]) -> None:
    """Terms of topology labels, none twice."""
    seen: list[dict[str, set[str]]] = []
    for index, term in enumerate(terms):
        inner, found = f"{path}[{index}]", dict[str, set[str]]()
        keys: set[str] = set()
        for position, item in enumerate(term.get("matchLabelExpressions") or ()):
            where, key = f"{inner}.matchLabelExpressions[{position}]", item.get("key") or ""
            values: set[str] = set()
            needs(errors, f"{where}.values", item.get("values"))
            for number, value in enumerate(item.get("values") or ()):
                unique(errors, f"{where}.values[{number}]", value, values)
            label_key(errors, f"{where}.key", key)
            unique(errors, f"{where}.key", key, keys)
            found[key] = values
        if found in seen:
            errors.append(duplicate(f"{inner}.matchLabelExpressions", ""))
        seen.append(found)


def validate_storage_class_update(new: Obj, old: Obj) -> list[FieldError]:
    errors = validate_storage_class(new)
    if not same(new.get("parameters"), old.get("parameters")):
        errors.append(forbidden("parameters", "updates to parameters are forbidden."))
    if new.get("provisioner") != old.get("provisioner"):
        errors.append(forbidden("provisioner", "updates to provisioner are forbidden."))
    if new.get("reclaimPolicy") != old.get("reclaimPolicy"):
        errors.append(forbidden("reclaimPolicy", "updates to reclaimPolicy are forbidden."))
    immutable(errors, "volumeBindingMode", new.get("volumeBindingMode"), old.get("volumeBindingMode"))
    return errors


def topology_warnings(new: Obj, old: Obj | None) -> list[str]:
    """Of a storage class: labels of nodes that have newer names."""
    found = []
    for index, term in enumerate(new.get("allowedTopologies") or ()):
        for position, item in enumerate(term.get("matchLabelExpressions") or ()):
            text = _DEPRECATED_KEYS.get(item.get("key") or "")
            if text:
                found.append(f"allowedTopologies[{index}].matchLabelExpressions[{position}].key: {text}")
    return found


def validate_attributes_class(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    _provisioner(errors, "driverName", obj.get("driverName") or "")
    _parameters(errors, obj.get("parameters") or {}, needed=True)
    return errors


def validate_attributes_class_update(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    for key in ("driverName", "parameters"):
        if not same(new.get(key), old.get(key)):
            errors.append(forbidden(key, f"updates to {key} are forbidden."))
    return errors


def validate_attachment(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    attacher = spec.get("attacher") or ""
    if needs(errors, "spec.attacher", attacher):
        if len(attacher) > _ATTACHER_LIMIT:
            errors.append(too_long("spec.attacher", _ATTACHER_LIMIT))
        subdomain(errors, "spec.attacher", attacher.lower())
    source = spec.get("source") or {}
    volume, inline = source.get("persistentVolumeName"), source.get("inlineVolumeSpec")
    if volume is None and inline is None:
        errors.append(required("spec.source", _ONE_SOURCE))
    elif volume is not None and inline is not None:
        errors.append(forbidden("spec.source", _ONE_SOURCE))
    elif volume is not None:
        if not volume:
            errors.append(required("spec.source.persistentVolumeName"))
        else:
            subdomain(errors, "spec.source.persistentVolumeName", volume)
    name = spec.get("nodeName") or ""
    subdomain(errors, "spec.nodeName", name)
    _attachment_status(errors, obj.get("status") or {})
    return errors


def _attachment_status(errors: Errors, status: Obj) -> None:
    metadata = status.get("attachmentMetadata") or {}
    if sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items()) > _MAX_PARAMETER_BYTES:
        errors.append(too_long("status.attachmentMetadata", _MAX_PARAMETER_BYTES))
    for key in ("attachError", "detachError"):
        error = status.get(key) or {}
        if len((error.get("message") or "").encode()) > _MESSAGE_LIMIT:
            errors.append(too_long(f"status.{key}.message", _MESSAGE_LIMIT))
        not_negative(errors, f"status.{key}.errorCode", error.get("errorCode"))


def validate_attachment_update(new: Obj, old: Obj) -> list[FieldError]:
    errors = validate_attachment(new)
    if not same(new.get("spec"), old.get("spec")):
        errors.append(invalid("spec", new.get("spec"), IMMUTABLE))
    return errors
