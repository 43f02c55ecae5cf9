"""Resources inside resources (x-kubernetes-embedded-resource), and the metadata of the outermost: types, form, validity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from steersman.api.schema import zeros
from steersman.api.schema.checker import checker
from steersman.api.schema.walk import json_kind, walk
from steersman.api.structural.model import Node, join
from steersman.api.validation.common import Errors, annotation_map, complain, label_map
from steersman.api.validation.objectmeta import finalizer_list, owner_list
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, invalid, required
from steersman.machinery.meta import Obj

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def settle_metadata(resource: Obj, path: str = "") -> tuple[list[str], list[str]]:
    """Metadata as Go would read and write it, in place. Type errors, and paths of unknown fields."""
    found = resource.get("metadata")
    if found is None:
        resource.pop("metadata", None)
        return [], []
    if not isinstance(found, dict):
        return [f"json: cannot unmarshal {json_kind(found)} into Go struct field .metadata of type v1.ObjectMeta"], []
    check = checker(OBJECT_META)
    if check.accepts(found) and check.drop_nulls(found) and check.canonicalize(found):
        zeros.drop(found, OBJECT_META)
        return [], []
    cleaned, findings = walk(found, OBJECT_META)
    zeros.drop(cleaned, OBJECT_META)
    resource["metadata"] = cleaned
    lead = join(path, "metadata")
    return findings.errors, [f"{lead}.{name}" for name in findings.unknown]


def settle(obj: Obj, root: Node) -> tuple[list[str], list[str]]:
    """`settle_metadata` of a resource and of all that are embedded in it."""
    errors, unknown = settle_metadata(obj)
    for path, resource in resources(obj, root):
        more_errors, more_unknown = settle_metadata(resource, path)
        errors += more_errors
        unknown += more_unknown
    return errors, unknown


def resources(value: Any, node: Node, path: str = "") -> Iterator[tuple[str, Obj]]:
    """All embedded resources with their paths."""
    if not node.embeds:
        return
    if isinstance(value, list):
        if node.items is not None:
            for index, item in enumerate(value):
                yield from resources(item, node.items, f"{path}[{index}]")
        return
    if not isinstance(value, dict):
        return
    if node.embedded:
        yield path, value
    for key, item in value.items():
        inner = node.of(key)
        if inner is not None:
            yield from resources(item, inner, join(path, key))


def validate(obj: Obj, root: Node) -> list[FieldError]:
    """What is wrong with embedded resources."""
    errors: Errors = []
    for path, resource in resources(obj, root):
        for key in ("apiVersion", "kind"):
            value = resource.get(key)
            if not value:
                errors.append(required(join(path, key), "must not be empty"))
            elif not isinstance(value, str):
                errors.append(invalid(join(path, key), value, "must be a string"))
        version = resource.get("apiVersion")
        if isinstance(version, str) and version.count("/") > 1:
            errors.append(invalid(join(path, "apiVersion"), version, f"unexpected GroupVersion string: {version}"))
        kind = resource.get("kind")
        if isinstance(kind, str) and kind:
            complain(errors, join(path, "kind"), kind, names.dns1035_label(kind.lower()))
        _metadata(errors, join(path, "metadata"), resource.get("metadata") or {})
    return errors


def _metadata(errors: Errors, path: str, meta: Obj) -> None:
    for key in ("name", "generateName"):
        if meta.get(key):
            complain(errors, f"{path}.{key}", meta[key], names.path_segment(meta[key]))
    if meta.get("namespace"):
        complain(errors, f"{path}.namespace", meta["namespace"], names.dns1123_label(meta["namespace"]))
    label_map(errors, f"{path}.labels", meta.get("labels"))
    annotation_map(errors, f"{path}.annotations", meta.get("annotations"))
    if meta.get("ownerReferences"):
        owner_list(errors, meta["ownerReferences"], f"{path}.ownerReferences")
    if meta.get("finalizers"):
        finalizer_list(errors, meta["finalizers"], f"{path}.finalizers", free=True)
