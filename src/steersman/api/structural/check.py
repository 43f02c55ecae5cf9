"""Is a JSONSchemaProps a structural schema? Every violation, at its path, in upstream's words.

What is asked of every level: `_general`. Of levels outside allOf, anyOf, oneOf and not: `_level`. Of levels inside: `_inside`.
Source: apiextensions-apiserver pkg/apiserver/schema/validation.go, pkg/apis/apiextensions/validation. Not here: rules of CEL.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from steersman.api.structural import check_extensions
from steersman.api.structural.formats import FORMATS, NUMBERS
from steersman.api.structural.model import RESOURCE_FIELDS
from steersman.machinery import re2
from steersman.machinery.fielderrors import FieldError, forbidden, invalid, not_supported, required
from steersman.machinery.meta import Obj

TYPES = ("array", "boolean", "integer", "number", "object", "string")
_UNSUPPORTED = ("id", "$ref", "definitions", "dependencies", "patternProperties", "additionalItems")
_MAP_TYPES, _LIST_TYPES = ("atomic", "granular"), ("atomic", "set", "map")
_ROOT_FIELDS = {
    "description": "Description", "type": "Type", "format": "Format", "title": "Title", "maximum": "Maximum",
    "exclusiveMaximum": "ExclusiveMaximum", "minimum": "Minimum", "exclusiveMinimum": "ExclusiveMinimum",
    "maxLength": "MaxLength", "minLength": "MinLength", "pattern": "Pattern", "maxItems": "MaxItems", "minItems": "MinItems",
    "uniqueItems": "UniqueItems", "multipleOf": "MultipleOf", "required": "Required", "items": "Items",
    "properties": "Properties", "externalDocs": "ExternalDocs", "example": "Example",
    "x-kubernetes-preserve-unknown-fields": "XPreserveUnknownFields", "x-kubernetes-validations": "XValidations",
}  # fmt: skip
_EMPTY_INSIDE = ("type", "title", "description", "x-kubernetes-list-map-keys", "x-kubernetes-validations")
_UNDEFINED_INSIDE = ("default", "additionalProperties", "x-kubernetes-list-type", "x-kubernetes-map-type")
_FALSE_INSIDE = (
    "nullable",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
)
_JUNCTORS = ("allOf", "anyOf", "oneOf")
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]


def check(raw: Obj, path: str, *, has_status: bool) -> list[FieldError]:
    """Violations in the schema of a version, at `path` (…openAPIV3Schema). has_status: the status subresource is on."""
    errors: list[FieldError] = []
    if has_status:
        errors += _beside_status(raw, path)
    if raw.get("nullable"):
        errors.append(forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    _general(raw, path, errors)
    _level(raw, path, "root", errors)
    return errors


def unknown_formats(raw: Any) -> Iterator[str]:
    """Formats anywhere in a schema that are not checked: upstream warns of them."""
    if not isinstance(raw, dict):
        return
    name = raw.get("format")
    if name and name not in FORMATS and name not in NUMBERS:
        yield name
    for _, inner in children(raw, ""):
        yield from unknown_formats(inner)


def children(raw: Obj, path: str) -> Iterator[tuple[str, Obj]]:
    """All schemas directly inside one, with their paths."""
    for key, inner in (raw.get("properties") or {}).items():
        yield f"{path}.properties[{key}]", inner
    for key in ("items", "additionalProperties", "not"):
        if isinstance(raw.get(key), dict):
            yield f"{path}.{key}", raw[key]
    for key in _JUNCTORS:
        for index, inner in enumerate(raw.get(key) or ()):
            yield f"{path}.{key}[{index}]", inner


def _beside_status(raw: Obj, path: str) -> list[FieldError]:
    if raw.get("type", "object") != "object":
        text = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
        return [invalid(f"{path}.type", raw["type"], text)]
    if any(value and key not in _ROOT_FIELDS for key, value in raw.items()):
        allowed = " ".join(_ROOT_FIELDS.values())
        text = f"only [{allowed}] fields are allowed at the root of the schema if the status subresource is enabled"
        return [invalid(path, raw, text)]
    return []


def _general(raw: Obj, path: str, errors: list[FieldError]) -> None:
    if raw.get("uniqueItems"):
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        errors.append(forbidden(f"{path}.uniqueItems", text))
    errors += [forbidden(f"{path}.{key}", f"{key} is not supported") for key in _UNSUPPORTED if raw.get(key)]
    kind = raw.get("type")
    if kind and kind not in TYPES:
        errors.append(not_supported(f"{path}.type", kind, TYPES))
    if raw.get("additionalProperties") is not None and raw.get("properties"):
        text = "additionalProperties and properties are mutual exclusive"
        errors.append(forbidden(f"{path}.additionalProperties", text))
    if isinstance(raw.get("items"), list):
        errors.append(forbidden(f"{path}.items", "items must be a schema object and not an array"))
    if raw.get("x-kubernetes-preserve-unknown-fields") is False:
        errors.append(invalid(f"{path}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined"))
    if raw.get("pattern"):
        try:
            re2.check(raw["pattern"])
        except ValueError as fault:
            text = f"must be a valid regular expression, but isn't: {fault}"
            errors.append(invalid(f"{path}.pattern", raw["pattern"], text))
    map_type, list_type = raw.get("x-kubernetes-map-type"), raw.get("x-kubernetes-list-type")
    if map_type is not None:
        if map_type not in _MAP_TYPES:
            errors.append(not_supported(f"{path}.x-kubernetes-map-type", map_type, _MAP_TYPES))
        if kind != "object":
            text = "must be object if x-kubernetes-map-type is specified"
            errors.append(invalid(f"{path}.type", kind or "", text) if kind else required(f"{path}.type", text))
    if list_type is not None:
        if list_type not in _LIST_TYPES:
            errors.append(not_supported(f"{path}.x-kubernetes-list-type", list_type, _LIST_TYPES))
        if kind != "array":
            text = "must be array if x-kubernetes-list-type is specified"
            errors.append(invalid(f"{path}.type", kind or "", text) if kind else required(f"{path}.type", text))
    check_extensions.check(raw, path, errors)
    for inner_path, inner in children(raw, path):
        _general(inner, inner_path, errors)


def _level(raw: Obj, path: str, where: str, errors: list[FieldError]) -> None:
    """A level outside the junctors. where: root, field or item."""
    _type_of_level(raw, path, where, errors)
    if where == "root":
        if raw.get("type") and raw["type"] != "object":
            errors.append(invalid(f"{path}.type", raw["type"], "must be object at the root"))
        if raw.get("additionalProperties") is not None:
            errors.append(forbidden(f"{path}.additionalProperties", "must not be used at the root"))
    if raw.get("type") == "array" and raw.get("items") is None:
        errors.append(required(f"{path}.items", "must be specified"))
    embedded = bool(raw.get("x-kubernetes-embedded-resource"))
    if embedded:
        _embedded(raw, path, errors)
    if where == "root" or embedded:
        _resource_fields(raw, path, errors)
    for key, inner in (raw.get("properties") or {}).items():
        if (where == "root" or embedded) and key == "metadata":
            _metadata(inner, f"{path}.properties[metadata]", errors)
        _level(inner, f"{path}.properties[{key}]", "field", errors)
    if isinstance(raw.get("additionalProperties"), dict):
        _level(raw["additionalProperties"], f"{path}.additionalProperties", "field", errors)
    if isinstance(raw.get("items"), dict):
        _level(raw["items"], f"{path}.items", "item", errors)
    _junctors(raw, path, errors)


def _type_of_level(raw: Obj, path: str, where: str, errors: list[FieldError]) -> None:
    int_or_string = raw.get("x-kubernetes-int-or-string")
    if int_or_string:
        key = f"{path}.x-kubernetes-int-or-string"
        for other in ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"):
            if raw.get(other):
                errors.append(invalid(f"{path}.{other}", True, "must be false if x-kubernetes-int-or-string is true"))
        if raw.get("type"):
            errors.append(forbidden(f"{path}.type", f"must be empty if {key.rpartition('.')[2]} is true"))
    if raw.get("type") or int_or_string or (raw.get("x-kubernetes-preserve-unknown-fields") and where != "root"):
        return
    text = {
        "root": "must not be empty at the root",
        "item": "must not be empty for specified array items",
        "field": "must not be empty for specified object fields",
    }
    errors.append(required(f"{path}.type", text[where]))


def _embedded(raw: Obj, path: str, errors: list[FieldError]) -> None:
    if raw.get("type") != "object":
        text = "must be object if x-kubernetes-embedded-resource is true"
        errors.append(invalid(f"{path}.type", raw["type"], text) if raw.get("type") else required(f"{path}.type", text))
    if raw.get("additionalProperties") is not None:
        text = "must not be used if x-kubernetes-embedded-resource is set"
        errors.append(forbidden(f"{path}.additionalProperties", text))
    if not raw.get("properties") and not raw.get("x-kubernetes-preserve-unknown-fields"):
        text = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        errors.append(required(f"{path}.properties", text))


def _resource_fields(raw: Obj, path: str, errors: list[FieldError]) -> None:
    properties = raw.get("properties") or {}
    for key in RESOURCE_FIELDS[:2]:
        kind = (properties.get(key) or {}).get("type")
        if kind is not None and kind != "string":
            errors.append(invalid(f"{path}.properties[{key}].type", kind, "must be string"))


def _metadata(raw: Obj, path: str, errors: list[FieldError]) -> None:
    if raw.get("type") and raw["type"] != "object":
        errors.append(invalid(f"{path}.type", raw["type"], "must be object"))
    further = set(raw) - {"type", "properties", "description"}
    if further or set(raw.get("properties") or ()) - {"name", "generateName"}:
        text = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        errors.append(forbidden(path, text))


def _junctors(raw: Obj, path: str, errors: list[FieldError]) -> None:
    """What stands in allOf, anyOf, oneOf and not may only narrow what stands outside."""
    int_or_string = bool(raw.get("x-kubernetes-int-or-string"))
    for key in _JUNCTORS:
        for index, inner in enumerate(raw.get(key) or ()):
            at = f"{path}.{key}[{index}]"
            if int_or_string and _is_int_or_string(raw, key, index):
                continue
            _inside(inner, raw, at, path, errors)
    if raw.get("not") is not None:
        _inside(raw["not"], raw, f"{path}.not", path, errors)


def _is_int_or_string(raw: Obj, key: str, index: int) -> bool:
    """The two forms that int-or-string may spell out: anyOf [integer, string], or an allOf that begins with it."""
    if key == "anyOf":
        return bool(raw["anyOf"] == _INT_OR_STRING)
    return key == "allOf" and index == 0 and bool(raw["allOf"][0] == {"anyOf": _INT_OR_STRING})


def _inside(raw: Obj, outside: Obj | None, path: str, outer_path: str, errors: list[FieldError]) -> None:
    errors += [forbidden(f"{path}.{key}", "must be empty to be structural") for key in _EMPTY_INSIDE if raw.get(key)]
    errors += [
        forbidden(f"{path}.{key}", "must be undefined to be structural") for key in _UNDEFINED_INSIDE if raw.get(key) is not None
    ]
    errors += [forbidden(f"{path}.{key}", "must be false to be structural") for key in _FALSE_INSIDE if raw.get(key)]
    around = outside or {}
    known = around.get("properties") or {}
    for key, inner in (raw.get("properties") or {}).items():
        here, there = f"{path}.properties[{key}]", f"{outer_path}.properties[{key}]"
        if key == "metadata":
            errors.append(forbidden(here, "must not be specified in a nested context"))
        found = known.get(key)
        if found is None and isinstance(around.get("additionalProperties"), dict):
            found, there = around["additionalProperties"], f"{outer_path}.additionalProperties"
        if found is None:
            errors.append(required(there, f"because it is defined in {here}"))
        else:
            _inside(inner, found, here, there, errors)
    if isinstance(raw.get("items"), dict):
        found = around.get("items")
        if not isinstance(found, dict):
            errors.append(required(f"{outer_path}.items", f"because it is defined in {path}.items"))
        else:
            _inside(raw["items"], found, f"{path}.items", f"{outer_path}.items", errors)
    for key in _JUNCTORS:
        for index, inner in enumerate(raw.get(key) or ()):
            _inside(inner, outside, f"{path}.{key}[{index}]", outer_path, errors)
    if raw.get("not") is not None:
        _inside(raw["not"], outside, f"{path}.not", outer_path, errors)
