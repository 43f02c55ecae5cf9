"""How a custom resource's schema is published: what its definition says, with the fields that every resource has.

Source: apiextensions-apiserver pkg/controller/openapi/builder.
"""

from __future__ import annotations

import copy
from typing import Any

from steersman.api.structural.model import Node
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

_META = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1."
_TEXTS = {
    "apiVersion": "APIVersion defines the group and version, and with them the schema, that this object is written in.",
    "kind": "Kind is the REST resource that this object represents, in CamelCase. It cannot be changed.",
    "metadata": "Standard object's metadata.",
}
_GVK = "x-kubernetes-group-version-kind"
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_JUNCTORS = ("allOf", "anyOf", "oneOf", "not", "nullable")


def schema(resource: Resource, root: Node) -> Obj:
    """The OpenAPI v3 schema of one version, for components/schemas."""
    made: Obj = copy.deepcopy(root.raw) or {"type": "object", _PRESERVE: True}
    _embedded(made)
    made["properties"] = _with_resource_fields(made.get("properties") or {})
    made[_GVK] = [{"group": resource.group, "kind": resource.kind, "version": resource.version}]
    return made


def _with_resource_fields(properties: Obj) -> Obj:
    added: Obj = {
        "apiVersion": {"type": "string", "description": _TEXTS["apiVersion"]},
        "kind": {"type": "string", "description": _TEXTS["kind"]},
        "metadata": {"description": _TEXTS["metadata"], "allOf": [{"$ref": f"{_META}ObjectMeta"}]},
    }
    return dict(sorted({**properties, **added}.items()))


def _embedded(raw: Any) -> None:
    """Resources inside have the same fields, in place."""
    if not isinstance(raw, dict):
        return
    for inner in (*(raw.get("properties") or {}).values(), raw.get("items"), raw.get("additionalProperties")):
        if isinstance(inner, dict):
            _embedded(inner)
            if inner.get("x-kubernetes-embedded-resource"):
                inner["properties"] = _with_resource_fields(inner.get("properties") or {})
                inner["required"] = sorted({*(inner.get("required") or ()), "apiVersion", "kind"})


def v2(made: Obj) -> Obj:
    """A published v3 schema as OpenAPI v2 can say it: no alternatives, and nothing about values that may be of any form."""
    if _GVK in made and made.get(_PRESERVE):
        # kubectl takes every field that is not named for unknown as soon as one is.
        return {"type": "object", _GVK: made[_GVK]}
    return _v2(made)


def _v2(raw: Obj) -> Obj:
    made = {key: value for key, value in raw.items() if key not in _JUNCTORS}
    reference = next((part["$ref"] for part in raw.get("allOf") or () if "$ref" in part), None)
    if reference is not None:
        return {**made, "$ref": reference.replace("#/components/schemas/", "#/definitions/")}
    if raw.get("nullable") or raw.get(_PRESERVE):
        for key in ("properties", "items"):
            made.pop(key, None)
    # Nor does kubectl cope with arrays of nothing, or with objects of anything.
    if raw.get("nullable") or (raw.get(_PRESERVE) and raw.get("type") in ("object", "array")):
        made.pop("type", None)
    _demand_what_may_not_be_null(made)
    if "properties" in made:
        made["properties"] = {key: _v2(value) for key, value in made["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), dict):
            made[key] = _v2(made[key])
    return made


def _demand_what_may_not_be_null(made: Obj) -> None:
    """`required` of one level, in place: what may be null has no type in v2, and is not asked for."""
    known, values = made.get("properties") or {}, made.get("additionalProperties")
    wanted = [key for key in made.get("required") or () if not (known.get(key) or {}).get("nullable")]
    if isinstance(values, dict) and values.get("nullable"):
        wanted = []
    made.pop("required", None)
    if wanted:
        made["required"] = wanted
