"""Validation of what a CustomResourceDefinition says of each version: schema, subresources, columns, selectable fields.

Errors are told where upstream's older form has them: what is equal in all versions at spec itself, else at the version.
"""

from __future__ import annotations

from typing import Any

from steersman.api.customresources.fields import parts_of
from steersman.api.structural import check, check_defaults
from steersman.api.structural.model import Node, build
from steersman.api.structural.rules import check as check_rules
from steersman.api.validation.common import Errors, needs, unique
from steersman.machinery.fielderrors import FieldError, invalid, required, too_many
from steersman.machinery.jsonpath.path import Path
from steersman.machinery.meta import Obj, dig

_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_SELECTABLE_TYPES = ("string", "boolean", "integer")
_MAX_SELECTABLE = 8
_SELECTABLE_TEXT = (
    "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."
)
_SCALE_PATHS = (
    ("specReplicasPath", (".spec.",), "should be a json path under .spec", True),
    ("statusReplicasPath", (".status.",), "should be a json path under .status", True),
    ("labelSelectorPath", (".spec.", ".status."), "should be a json path under either .spec or .status", False),
)
_SCHEMA, _SUBRESOURCES, _COLUMNS, _SELECTABLE = "schema", "subresources", "additionalPrinterColumns", "selectableFields"


def validate(versions: list[Obj]) -> list[FieldError]:
    errors: Errors = []
    common = {key: _equal(versions, key) for key in (_SCHEMA, _SUBRESOURCES, _COLUMNS, _SELECTABLE)}
    for index, version in enumerate(versions):
        own = f"spec.versions[{index}]"
        _deprecation(errors, own, version)
        raw = dig(version, _SCHEMA, "openAPIV3Schema")
        if raw is None:
            errors.append(required(f"{own}.schema.openAPIV3Schema", "schemas are required"))
        first = index == 0
        if raw is not None and (first or not common[_SCHEMA]):
            path = "spec.validation" if common[_SCHEMA] else f"{own}.schema"
            has_status = dig(version, _SUBRESOURCES, "status") is not None
            errors += _schema(raw, f"{path}.openAPIV3Schema", has_status=has_status)
        if first or not common[_SUBRESOURCES]:
            _subresources(errors, _place(own, _SUBRESOURCES, common), version.get(_SUBRESOURCES) or {})
        if first or not common[_COLUMNS]:
            for place, column in enumerate(version.get(_COLUMNS) or ()):
                _column(errors, f"{_place(own, _COLUMNS, common)}[{place}]", column)
        if (first or not common[_SELECTABLE]) and raw is not None:
            _selectable(errors, _place(own, _SELECTABLE, common), version.get(_SELECTABLE) or [], build(raw))
    return errors


def _equal(versions: list[Obj], key: str) -> bool:
    return all(version.get(key) == versions[0].get(key) for version in versions)


def _place(own: str, key: str, common: dict[str, bool]) -> str:
    return f"spec.{key}" if common[key] else f"{own}.{key}"


def _schema(raw: Obj, path: str, *, has_status: bool) -> list[FieldError]:
    """Defaults and rules are looked at only when the schema itself is right."""
    found = check.check(raw, path, has_status=has_status)
    if found:
        return found
    root = build(raw)
    rules = check_rules.check(root, path)
    return rules or check_defaults.check(root, path)


def _deprecation(errors: Errors, path: str, version: Obj) -> None:
    warning = version.get("deprecationWarning")
    if warning is None:
        return
    at = f"{path}.deprecationWarning"
    if not version.get("deprecated"):
        errors.append(invalid(at, warning, "can only be set for deprecated versions"))
    if not warning:
        errors.append(invalid(at, warning, "must be at least 1 character"))
    if len(warning) > 256:
        errors.append(invalid(at, warning, "must be <= 256 characters"))
    if not warning.isprintable():
        errors.append(invalid(at, warning, "must only contain printable UTF-8 characters"))


def _subresources(errors: Errors, path: str, found: Obj) -> None:
    scale = found.get("scale")
    if scale is None:
        return
    for key, leads, text, demanded in _SCALE_PATHS:
        value = scale.get(key) or ""
        if not value:
            if demanded:
                errors.append(required(f"{path}.scale.{key}", text))
        elif not _is_simple(value):
            errors.append(invalid(f"{path}.scale.{key}", value, "should be a valid json path"))
        elif not value.startswith(leads):
            errors.append(invalid(f"{path}.scale.{key}", value, text))


def _is_simple(path: str) -> bool:
    """`.spec.replicas`: names only."""
    parts = parts_of(path)
    return path.startswith(".") and all(parts) and not any(char in part for part in parts for char in "[]{}()*?@$ '\"\\")


def _column(errors: Errors, path: str, column: Obj) -> None:
    needs(errors, f"{path}.name", column.get("name"))
    kind, form, where = column.get("type") or "", column.get("format") or "", column.get("jsonPath") or ""
    if needs(errors, f"{path}.type", kind, f"must be one of {','.join(_COLUMN_TYPES)}") and kind not in _COLUMN_TYPES:
        errors.append(invalid(f"{path}.type", kind, f"must be one of {','.join(_COLUMN_TYPES)}"))
    if form and form not in _COLUMN_FORMATS:
        errors.append(invalid(f"{path}.format", form, f"must be one of {','.join(_COLUMN_FORMATS)}"))
    if needs(errors, f"{path}.JSONPath", where):
        try:
            if not where.startswith("."):
                raise ValueError("must be a simple json path starting with .")
            Path(where)
        except ValueError as fault:
            text = "must be a simple json path starting with ." if not where.startswith(".") else str(fault)
            errors.append(invalid(f"{path}.JSONPath", where, text))


def _selectable(errors: Errors, path: str, found: list[Obj], root: Node) -> None:
    if len(found) > _MAX_SELECTABLE:
        errors.append(too_many(path, len(found), _MAX_SELECTABLE))
    seen: set[Any] = set()
    for index, item in enumerate(found):
        at, where = f"{path}[{index}].jsonPath", item.get("jsonPath") or ""
        if not needs(errors, at, where):
            continue
        unique(errors, at, where, seen)
        if not _is_simple(where):
            errors.append(invalid(at, where, "is an invalid path: must be a simple json path starting with ."))
            continue
        parts = parts_of(where)
        if parts[0] == "metadata":
            errors.append(invalid(at, where, "must not point to fields in metadata"))
            continue
        node, wrong = _follow(root, parts)
        if wrong:
            errors.append(invalid(at, where, f"is an invalid path: {wrong}"))
        elif node.type not in _SELECTABLE_TYPES:
            errors.append(invalid(at, where, _SELECTABLE_TEXT))


def _follow(root: Node, parts: tuple[str, ...]) -> tuple[Node, str]:
    """The schema at a path, or why there is none."""
    node = root
    for part in parts:
        if node.type == "array":
            return node, "must not contain arrays"
        inner = node.properties.get(part)
        if inner is None:
            return node, f'does not refer to a valid field: "{part}"'
        node = inner
    return node, ""
