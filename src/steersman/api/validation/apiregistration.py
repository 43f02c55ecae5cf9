"""Validation of APIServices. Source: upstream kube-aggregator/pkg/apis/apiregistration/validation."""

from __future__ import annotations

import base64

from steersman.api.validation.common import Errors, needs, one_of, port
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, invalid, required
from steersman.machinery.meta import Obj, name_of

_STATUSES = ("False", "True", "Unknown")
_HIGHEST_GROUP, _HIGHEST_VERSION = 20_000, 1_000


def validate_name(name: str) -> list[str]:
    """More is said by validate_create, which knows the spec."""
    return names.path_segment(name)


def validate_create(obj: Obj) -> list[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    group, version = spec.get("group") or "", spec.get("version") or ""
    wanted = f"{version}.{group}"
    if name_of(obj) != wanted:
        errors.append(invalid("metadata.name", name_of(obj), f'must be `spec.version+"."+spec.group`: "{wanted}"'))
    if not group and version != "v1":
        errors.append(required("spec.group", "only v1 may have an empty group and it better be legacy kube"))
    errors += [invalid("spec.version", version, text) for text in names.dns1035_label(version)]
    _priority(errors, "spec.groupPriorityMinimum", spec.get("groupPriorityMinimum") or 0, _HIGHEST_GROUP)
    _priority(errors, "spec.versionPriority", spec.get("versionPriority") or 0, _HIGHEST_VERSION)
    _service(errors, spec)
    return errors


def validate_update(new: Obj, old: Obj) -> list[FieldError]:
    return validate_create(new)


def validate_status(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    for index, item in enumerate((new.get("status") or {}).get("conditions") or ()):
        one_of(errors, f"status.conditions[{index}].status", item.get("status"), _STATUSES, optional=False)
    return errors


def _priority(errors: Errors, path: str, value: int, highest: int) -> None:
    if not 0 < value <= highest:
        errors.append(invalid(path, value, f"must be positive and less than {highest}"))


def _service(errors: Errors, spec: Obj) -> None:
    service, bundle, careless = spec.get("service"), spec.get("caBundle"), spec.get("insecureSkipTLSVerify")
    if service is None:
        if bundle:
            text = "local APIServices may not have a caBundle"
            errors.append(invalid("spec.caBundle", f"{len(base64.b64decode(bundle))} bytes", text))
        if careless:
            text = "local APIServices may not have insecureSkipTLSVerify"
            errors.append(invalid("spec.insecureSkipTLSVerify", True, text))
        return
    needs(errors, "spec.service.namespace", service.get("namespace"))
    needs(errors, "spec.service.name", service.get("name"))
    port(errors, "spec.service.port", service.get("port") or 0)
    if careless and bundle:
        errors.append(invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present"))
