"""Types of a CustomResourceDefinition as it comes in: the schema facts, and the schemas that the facts only know as any JSON.

`items` and `additionalProperties` of a JSONSchemaProps are a schema, or a list or a boolean in its place; Go decodes them with
code of its own.
"""

from __future__ import annotations

from typing import Any

from steersman.api.schema.walk import json_kind, walk
from steersman.api.structural.check import children
from steersman.machinery.meta import Obj

PACKAGE = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
_SCHEMA = f"{PACKAGE}JSONSchemaProps"
_EITHER: dict[str, tuple[type, str]] = {
    "items": (list, "apiextensions.JSONSchemaPropsOrArray"),
    "additionalProperties": (bool, "apiextensions.JSONSchemaPropsOrBool"),
}


def settle(obj: Obj) -> tuple[list[str], list[str]]:
    """`KindSpec.settle` of definitions."""
    cleaned, found = walk(obj, f"{PACKAGE}CustomResourceDefinition")
    obj.clear()
    obj.update(cleaned)
    errors, unknown = list(found.errors), list(found.unknown)
    for index, version in enumerate((obj.get("spec") or {}).get("versions") or ()):
        raw = (version.get("schema") or {}).get("openAPIV3Schema")
        if isinstance(raw, dict):
            _either(raw, f"spec.versions[{index}].schema.openAPIV3Schema", errors, unknown)
    return errors, unknown


def _either(raw: Obj, path: str, errors: list[str], unknown: list[str]) -> None:
    for key, (other, name) in _EITHER.items():
        value: Any = raw.get(key)
        if value is None or isinstance(value, other):
            continue
        if not isinstance(value, dict):
            errors.append(f"json: cannot unmarshal {json_kind(value)} into Go value of type {name}")
            del raw[key]
            continue
        cleaned, found = walk(value, _SCHEMA)
        raw[key] = cleaned
        errors += found.errors
        unknown += [f"{path}.{key}.{inner}" for inner in found.unknown]
    for inner_path, inner in children(raw, path):
        _either(inner, inner_path, errors, unknown)
