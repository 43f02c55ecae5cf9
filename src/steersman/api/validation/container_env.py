"""Validation of a container's environment: literal values, references to fields, resources, config maps, secrets and files."""

from __future__ import annotations

from collections.abc import Sequence

from steersman.api.validation.common import Errors, complain, needs, subdomain
from steersman.api.validation.resources import is_hugepages
from steersman.machinery import names, quantity
from steersman.machinery.fielderrors import invalid, not_found, not_supported, required
from steersman.machinery.kept import kept
from steersman.machinery.meta import Obj

ENV_FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
    "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
VOLUME_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_KNOWN_FIELDS = frozenset({*ENV_FIELDS, *VOLUME_FIELDS, "spec.restartPolicy", "spec.schedulerName", "status.phase", "spec.host"})
_SUBSCRIPTED = ("metadata.labels", "metadata.annotations")

_AMOUNTS = (
    "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory",
)  # fmt: skip
_CPU_DIVISORS = ("1m", "1")
_BYTE_DIVISORS = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
_DIVISORS = {
    "cpu": (_CPU_DIVISORS, "cpu"),
    "memory": (_BYTE_DIVISORS, "memory"),
    "ephemeral-storage": (_BYTE_DIVISORS, "local ephemeral storage"),
    "hugepages": (_BYTE_DIVISORS, "hugepages"),
}
_ENV_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_TOO_MANY = "may not have more than one field specified at a time"


def env(errors: Errors, path: str, items: Sequence[Obj], volumes: dict[str, Obj]) -> None:
    """A container's env list. `volumes`: the pod's volumes by name, for fileKeyRef."""
    for index, item in enumerate(items):
        name = item.get("name")
        if not name:
            errors.append(required(f"{path}[{index}].name"))
        elif not name.isidentifier():
            complain(errors, f"{path}[{index}].name", name, names.env_var_name(name))
        source = item.get("valueFrom")
        if source is not None:
            _value_from(errors, f"{path}[{index}].valueFrom", item, source, volumes)


def _value_from(errors: Errors, path: str, item: Obj, source: Obj, volumes: dict[str, Obj]) -> None:
    count = 0
    for kind in _ENV_SOURCES:
        ref = source.get(kind)
        if ref is None:
            continue
        count += 1
        inner = f"{path}.{kind}"
        if kind == "fieldRef":
            field_ref(errors, inner, ref, ENV_FIELDS)
        elif kind == "resourceFieldRef":
            resource_field_ref(errors, inner, ref, volume=False)
        elif kind == "fileKeyRef":
            _file_key_ref(errors, inner, ref, volumes)
        else:
            _key_ref(errors, inner, ref)
    if not count:
        expected = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        errors.append(invalid(path, "", f"must specify one of: {expected}"))
    elif item.get("value"):
        errors.append(invalid(path, "", "may not be specified when `value` is not empty"))
    elif count > 1:
        errors.append(invalid(path, "", _TOO_MANY))


def _key_ref(errors: Errors, path: str, ref: Obj) -> None:
    name, key = ref.get("name") or "", ref.get("key") or ""
    subdomain(errors, f"{path}.name", name)
    if needs(errors, f"{path}.key", key):
        complain(errors, f"{path}.key", key, names.config_map_key(key))


def _file_key_ref(errors: Errors, path: str, ref: Obj, volumes: dict[str, Obj]) -> None:
    if needs(errors, f"{path}.key", ref.get("key")):
        complain(errors, f"{path}.key", ref["key"], names.env_var_name(ref["key"]))
    needs(errors, f"{path}.path", ref.get("path"))
    name = ref.get("volumeName")
    if not needs(errors, f"{path}.volumeName", name):
        return
    volume = volumes.get(name or "")
    if volume is None:
        errors.append(not_found(f"{path}.volumeName", name))
    elif volume.get("emptyDir") is None:
        errors.append(invalid(f"{path}.volumeName", name, "referenced volume must be of type emptyDir"))


@kept(512)
def _field_path_complaint(path: str, api_version: str) -> str:
    """Why a downward API field cannot be read; empty if it can."""
    if api_version != "v1":
        return f"unsupported pod version: {api_version}"
    base, bracket, _ = path.partition("['")
    if bracket and path.endswith("']"):
        return "" if base in _SUBSCRIPTED else f"field label does not support subscript: {path}"
    return "" if path in _KNOWN_FIELDS else f"field label not supported: {path}"


def field_ref(errors: Errors, path: str, ref: Obj, supported: Sequence[str]) -> None:
    """A downward API field: of an environment variable or a volume."""
    field = ref.get("fieldPath")
    if not needs(errors, f"{path}.fieldPath", field):
        return
    assert field is not None
    complaint = _field_path_complaint(field, ref.get("apiVersion") or "v1")
    if complaint:
        errors.append(invalid(f"{path}.fieldPath", field, f"error converting fieldPath: {complaint}"))
        return
    base, bracket, rest = field.partition("['")
    if bracket:
        key = rest[:-2]
        complain(errors, path, key, names.qualified_name(key.lower() if base == "metadata.annotations" else key))
    else:
        actual = "spec.nodeName" if field == "spec.host" else field
        if actual not in supported:
            errors.append(not_supported(f"{path}.fieldPath", actual, supported))


def resource_field_ref(errors: Errors, path: str, ref: Obj, *, volume: bool) -> None:
    """A container resource as a value. In volumes it names the container."""
    resource = ref.get("resource") or ""
    if volume:
        needs(errors, f"{path}.containerName", ref.get("containerName"))
    if not needs(errors, f"{path}.resource", resource):
        return
    kind = resource.partition(".")[2]
    if resource not in _AMOUNTS and not (resource.startswith(("limits.", "requests.")) and is_hugepages(kind)):
        errors.append(not_supported(f"{path}.resource", resource, _AMOUNTS))
    divisor = ref.get("divisor")
    if divisor is None or quantity.parse(divisor).is_zero:
        return
    allowed, shown = _DIVISORS.get("hugepages" if is_hugepages(kind) else kind, ((), ""))
    if allowed and divisor not in allowed:
        text = f"only divisor's values {', '.join(allowed)} are supported with the {shown} resource"
        text = text.replace("1m, 1 are", "1m and 1 are")
        errors.append(invalid(f"{path}.divisor", resource, text))


def env_from(errors: Errors, path: str, items: Sequence[Obj]) -> None:
    for index, item in enumerate(items):
        inner = f"{path}[{index}]"
        if item.get("prefix"):
            complain(errors, f"{inner}.prefix", item["prefix"], names.env_var_name(item["prefix"]))
        count = 0
        for kind in ("configMapRef", "secretRef"):
            ref = item.get(kind)
            if ref is None:
                continue
            count += 1
            if needs(errors, f"{inner}.{kind}.name", ref.get("name")):
                subdomain(errors, f"{inner}.{kind}.name", ref["name"])
        if not count:
            errors.append(invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif count > 1:
            errors.append(invalid(path, "", _TOO_MANY))
