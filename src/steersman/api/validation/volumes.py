"""Validation of a pod's volumes."""

from __future__ import annotations

from collections.abc import Sequence

from steersman.api.validation import volume_sources
from steersman.api.validation.claims import claim_spec
from steersman.api.validation.common import Errors, annotation_map, label, label_map, needs, subdomain, unique
from steersman.machinery.fielderrors import forbidden, invalid, required
from steersman.machinery.meta import Obj

_MORE_THAN_ONE = "may not specify more than 1 volume type"


def volumes(errors: Errors, path: str, items: Sequence[Obj], *, is_pod: bool, pod_name: str) -> dict[str, Obj]:
    """Check spec.volumes; the volumes by name. `is_pod`: False in a template, where names are not known yet."""
    found: dict[str, Obj] = {}
    seen: set[str] = set()
    made = {f"{pod_name}-{item.get('name', '')}" for item in items if item.get("ephemeral")} if pod_name else set()
    for index, item in enumerate(items):
        inner, name = f"{path}[{index}]", item.get("name") or ""
        _source(errors, inner, item, is_pod=is_pod, pod_name=pod_name)
        if needs(errors, f"{inner}.name", name):
            label(errors, f"{inner}.name", name)
            if unique(errors, f"{inner}.name", name, seen):
                found[name] = item
        claim = (item.get("persistentVolumeClaim") or {}).get("claimName")
        if claim and claim in made:
            text = "must not reference a PVC that gets created for an ephemeral volume"
            errors.append(invalid(f"{inner}.persistentVolumeClaim.claimName", claim, text))
    return found


def _source(errors: Errors, path: str, item: Obj, *, is_pod: bool, pod_name: str) -> None:
    found = False
    for kind, source in item.items():
        if kind == "name" or source is None:
            continue
        inner = f"{path}.{kind}"
        if found:
            errors.append(forbidden(inner, _MORE_THAN_ONE))
            continue
        found = True
        check = volume_sources.CHECKS.get(kind)
        if check is not None:
            check(errors, inner, source)
        elif kind == "ephemeral":
            _ephemeral(errors, inner, source, item.get("name") or "", pod_name)
        elif kind != "image" or is_pod:
            volume_sources.needed(errors, inner, source, volume_sources.NEEDED.get(kind, ()))
    if not found:
        errors.append(required(path, "must specify a volume type"))


def _ephemeral(errors: Errors, path: str, source: Obj, name: str, pod_name: str) -> None:
    template = source.get("volumeClaimTemplate")
    if template is None:
        errors.append(required(f"{path}.volumeClaimTemplate"))
        return
    inner = f"{path}.volumeClaimTemplate"
    meta = template.get("metadata") or {}
    label_map(errors, f"{inner}.metadata.labels", meta.get("labels"))
    annotation_map(errors, f"{inner}.metadata.annotations", meta.get("annotations"))
    for key in meta:
        if key not in ("labels", "annotations", "creationTimestamp"):
            errors.append(forbidden(f"{inner}.metadata.{key}", "cannot be set"))
    claim_spec(errors, f"{inner}.spec", template.get("spec") or {})
    if pod_name and name:
        subdomain(errors, f"{path.rpartition('.')[0]}.name", f"{pod_name}-{name}")
