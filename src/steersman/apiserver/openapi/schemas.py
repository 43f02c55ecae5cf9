"""Definitions of the schema facts as OpenAPI v3 schemas (components/schemas)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from steersman.api.kinds import KindSpec
from steersman.api.schema.loader import PREFIX, Field, Type, schema
from steersman.apiserver.openapi.descriptions import texts
from steersman.machinery.meta import Obj

REF = "#/components/schemas/"
META = f"{PREFIX}apimachinery.pkg.apis.meta.v1."
_GVK = "x-kubernetes-group-version-kind"

# Scalars that upstream gives a definition of their own: clients know quantities and times by these names.
_NAMED: dict[str, tuple[str, Obj]] = {
    "quantity": (f"{PREFIX}apimachinery.pkg.api.resource.Quantity", {"oneOf": [{"type": "string"}, {"type": "number"}]}),
    "int-or-string": (
        f"{PREFIX}apimachinery.pkg.util.intstr.IntOrString",
        {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
    ),
    "time": (f"{META}Time", {"type": "string", "format": "date-time"}),
    "micro-time": (f"{META}MicroTime", {"type": "string", "format": "date-time"}),
    "raw": (f"{PREFIX}apimachinery.pkg.runtime.RawExtension", {"type": "object"}),
}
_BARE: dict[str, Obj] = {
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "double": {"type": "number", "format": "double"},
    "bytes": {"type": "string", "format": "byte"},
    "any": {},
}
_JSON = f"{PREFIX}apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON"
# What the facts know only as anything: fields of JSONSchemaProps, for which a bare {} is no schema to `kubectl explain`.
_ANYTHING = {
    "default": _JSON,
    "enum": _JSON,
    "example": _JSON,
    "items": f"{_JSON}SchemaPropsOrArray",
    "additionalItems": f"{_JSON}SchemaPropsOrBool",
    "additionalProperties": f"{_JSON}SchemaPropsOrBool",
    "dependencies": f"{_JSON}SchemaPropsOrStringArray",
}
PATCH = f"{META}Patch"
_FIELDS_V1 = f"{META}FieldsV1"
_FIXED: dict[str, Obj] = {
    **dict(_NAMED.values()),
    PATCH: {"type": "object"},
    _FIELDS_V1: {"type": "object"},
    # Never empty, even without the optional texts: kubectl takes an empty schema for none.
    **{name: {"description": "Any JSON value."} for name in _ANYTHING.values()},
}

_RBD = {"keyring": "/etc/ceph/keyring", "pool": "rbd", "user": "admin"}
_SCALE_IO = {"fsType": "xfs", "storageMode": "ThinProvisioned"}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "api.core.v1.AzureDiskVolumeSource": {"cachingMode": "ReadWrite", "fsType": "ext4", "kind": "Shared"},
    "api.core.v1.ContainerPort": {"protocol": "TCP"},
    "api.core.v1.ServicePort": {"protocol": "TCP"},
    "api.core.v1.ISCSIPersistentVolumeSource": {"iscsiInterface": "default"},
    "api.core.v1.ISCSIVolumeSource": {"iscsiInterface": "default"},
    "api.core.v1.RBDPersistentVolumeSource": _RBD,
    "api.core.v1.RBDVolumeSource": _RBD,
    "api.core.v1.ReplicationControllerSpec": {"replicas": 1},
    "api.core.v1.ScaleIOPersistentVolumeSource": _SCALE_IO,
    "api.core.v1.ScaleIOVolumeSource": _SCALE_IO,
    "api.resource.v1.DeviceToleration": {"operator": "Equal"},
}
"""Defaults as the documents show them: those that upstream declares at the field, which are few, and say more than empty."""


def _ref_name(kind: Type, field: str) -> str | None:
    """The definition that a value of that type, in a field of that name, refers to."""
    if kind.kind == "ref":
        return kind.ref
    if kind.kind == "any":
        return _ANYTHING.get(field)
    return _NAMED[kind.kind][0] if kind.kind in _NAMED else None


def _of_type(kind: Type, field: str) -> Obj:
    name = _ref_name(kind, field)
    if name is not None:
        return {"$ref": REF + name}
    if kind.kind == "list":
        assert kind.item is not None
        return {"type": "array", "items": _of_type(kind.item, field)}
    if kind.kind == "map":
        assert kind.item is not None
        return {"type": "object", "additionalProperties": _of_type(kind.item, field)}
    return dict(_BARE[kind.kind])


def _of_field(field: Field, defaults: Mapping[str, Any]) -> Obj:
    # The facts know managed fields only as any object.
    made: Obj = {"$ref": REF + _FIELDS_V1} if field.name == "fieldsV1" else _of_type(field.type, field.name)
    if "$ref" in made:
        made = {"allOf": [made]}
    if field.name in defaults:
        made["default"] = defaults[field.name]
    if field.list_type:
        made["x-kubernetes-list-type"] = field.list_type
    if field.list_map_keys:
        made["x-kubernetes-list-map-keys"] = list(field.list_map_keys)
    if field.map_type:
        made["x-kubernetes-map-type"] = field.map_type
    if field.merge_key:
        made["x-kubernetes-patch-merge-key"] = field.merge_key
    if field.patch_strategy:
        made["x-kubernetes-patch-strategy"] = ",".join(sorted(field.patch_strategy))
    return made


@cache
def component(name: str) -> Obj:
    """The schema of a definition's full name. Shared: never change it."""
    told = texts(name)
    described: Obj = {"description": told.whole} if told.whole else {}
    if name in _FIXED:
        return _FIXED[name] | described
    facts = schema().definition(name)
    made: Obj = {**described, "type": "object"}
    if facts.fields:
        made["properties"] = {
            key: ({"description": told.fields[key]} if key in told.fields else {})
            | _of_field(facts.fields[key], _DEFAULTS.get(name.removeprefix(PREFIX), {}))
            for key in sorted(facts.fields)
        }
    if facts.required:
        made["required"] = sorted(facts.required)
    if facts.map_type:
        made["x-kubernetes-map-type"] = facts.map_type
    if facts.gvks:
        made[_GVK] = [{"group": gvk.group, "kind": gvk.kind, "version": gvk.version} for gvk in facts.gvks]
    return made


@cache
def _references(name: str) -> tuple[str, ...]:
    if name in _FIXED:
        return ()
    fields = schema().definition(name).fields
    found = (_FIELDS_V1 if key == "fieldsV1" else _ref_name(field.type.leaf, key) for key, field in fields.items())
    return tuple(sorted({ref for ref in found if ref is not None}))


def components(names: Iterable[str]) -> dict[str, Obj]:
    """The named definitions and all they refer to, by name."""
    found: dict[str, Obj] = {}
    waiting = [name for name in names if known(name)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = component(name)
            waiting += _references(name)
    return dict(sorted(found.items()))


def known(name: str) -> bool:
    return name in _FIXED or name in schema()


def name_of(spec: KindSpec) -> str:
    """The definition of a kind: of the facts, or a name made for a kind that they do not have."""
    if spec.schema and spec.schema in schema():
        return spec.schema
    resource = spec.resource
    return ".".join([*reversed((resource.group or "core").split(".")), resource.version, resource.kind])


def unknown_kind(spec: KindSpec) -> Obj:
    """The schema of a kind without facts: its own, or any object with that kind's metadata."""
    if spec.openapi is not None:
        return spec.openapi
    resource = spec.resource
    return {
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"allOf": [{"$ref": f"{REF}{META}ObjectMeta"}]},
        },
        "x-kubernetes-preserve-unknown-fields": True,
        _GVK: [{"group": resource.group, "kind": resource.kind, "version": resource.version}],
    }


def unknown_list(spec: KindSpec) -> Obj:
    """The list of such a kind."""
    resource = spec.resource
    return {
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"allOf": [{"$ref": f"{REF}{META}ListMeta"}]},
            "items": {"type": "array", "items": {"$ref": REF + name_of(spec)}},
        },
        _GVK: [{"group": resource.group, "kind": spec.list_kind_name, "version": resource.version}],
    }


def list_name_of(spec: KindSpec) -> str:
    name = name_of(spec)
    return name.removesuffix(spec.kind) + spec.list_kind_name
