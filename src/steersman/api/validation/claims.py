"""Validation of persistent volume claims and claim templates."""

from __future__ import annotations

from steersman.api.validation.common import Errors, label_selector, needs, one_of, subdomain
from steersman.machinery import quantity
from steersman.machinery.fielderrors import forbidden, invalid, not_supported, required
from steersman.machinery.meta import Obj

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")


def access_modes(errors: Errors, path: str, modes: list[str], detail: str) -> None:
    """accessModes of claims and volumes. `detail`: text when there are none."""
    if not needs(errors, path, modes, detail):
        return
    for mode in modes:
        if mode not in ACCESS_MODES:
            errors.append(not_supported(path, mode, ACCESS_MODES))
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        errors.append(forbidden(path, "may not use ReadWriteOncePod with other access modes"))


def positive_amount(errors: Errors, path: str, value: str) -> None:
    if quantity.parse(value).milli <= 0:
        errors.append(invalid(path, value, "must be greater than zero"))


def claim_spec(errors: Errors, path: str, spec: Obj) -> None:
    """The spec of a claim or of a claim template."""
    access_modes(errors, f"{path}.accessModes", spec.get("accessModes") or [], "at least 1 access mode is required")
    if spec.get("selector") is not None:
        label_selector(errors, f"{path}.selector", spec["selector"])
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if storage is None:
        errors.append(required(f"{path}.resources[storage]"))
    else:
        positive_amount(errors, f"{path}.resources[storage]", storage)
    for key in ("storageClassName", "volumeAttributesClassName"):
        if spec.get(key):
            subdomain(errors, f"{path}.{key}", spec[key])
    one_of(errors, f"{path}.volumeMode", spec.get("volumeMode"), VOLUME_MODES)
    source, ref = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None:
        _data_source(errors, f"{path}.dataSource", source)
    if ref is not None:
        _data_source(errors, f"{path}.dataSourceRef", ref)
        if source is not None and {k: ref.get(k) for k in ("apiGroup", "kind", "name")} != {
            k: source.get(k) for k in ("apiGroup", "kind", "name")
        }:
            errors.append(invalid(path, spec.get("dataSource"), "must match dataSourceRef"))


def _data_source(errors: Errors, path: str, source: Obj) -> None:
    needs(errors, f"{path}.name", source.get("name"))
    kind = source.get("kind") or ""
    needs(errors, f"{path}.kind", kind)
    if not source.get("apiGroup") and kind != "PersistentVolumeClaim":
        text = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        errors.append(invalid(path, kind, text))
