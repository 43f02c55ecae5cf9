"""What is wrong with an object, worded as Go's conversion of a map to a struct words it: for results of strategic merge patches,
which upstream never turns into JSON. All other objects come as JSON: schema/walk.py has their words.
"""

from __future__ import annotations

from typing import Any

from steersman.api.schema.loader import Type, definition
from steersman.api.schema.walk import go_type, walk_type

_RESTORED = {"ref": "struct from:", "list": "slice from", "map": "map from"}
_BUILDS = {"ref": dict, "map": dict, "list": list}
_KINDS = {"string": str, "boolean": bool, "int32": int, "int64": int, "integer": int, "double": float, "number": float}
_FREE = ("raw", "any")


def fault(value: Any, schema: str) -> str | None:
    """The first complaint about an object of a definition (full name), in the order of the definition's fields."""
    return _fault(value, Type("ref", ref=schema))


def _fault(value: Any, kind: Type) -> str | None:
    if value is None or kind.kind in _FREE:
        return None
    if kind.kind in _KINDS:
        return _scalar(value, kind)
    expected = _BUILDS.get(kind.kind)
    if expected is None:
        return walk_type(value, kind)
    if not isinstance(value, expected):
        return f"cannot restore {_RESTORED[kind.kind]} {_kind(value)}"
    if kind.kind == "ref":
        fields = definition(kind.ref).fields
        inner = ((value.get(name), field.type) for name, field in fields.items())
    else:
        assert kind.item is not None
        item = kind.item
        inner = ((part, item) for part in (value.values() if isinstance(value, dict) else value))
    return next((found for part, its in inner if (found := _fault(part, its)) is not None), None)


def _scalar(value: Any, kind: Type) -> str | None:
    wanted, given = _KINDS[kind.kind], type(value)
    if given is wanted or (given is int and wanted is float) or (given is float and wanted is int and value.is_integer()):
        return None
    # Go would convert these, but not as JSON means them.
    if (given, wanted) in ((int, str), (float, int)):
        return f"cannot convert {_kind(value)} to {go_type(kind)}"
    return f"unrecognized type: {go_type(kind)}"


def _kind(value: Any) -> str:
    """Go's reflect.Kind of decoded JSON."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "int64" if isinstance(value, int) else "float64"
    return "map" if isinstance(value, dict) else "slice" if isinstance(value, list) else "string"
