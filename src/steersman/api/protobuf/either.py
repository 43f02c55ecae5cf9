"""What is one of two things in a schema of custom resources: a schema or a boolean, a list of schemas, some names.

JSON has the thing itself and the schema facts call it any JSON. On the wire it is a message with a field for each, told here as
facts.py tells other messages. Source: upstream apiextensions/v1 marshal.go.
"""

from __future__ import annotations

from typing import Any

from steersman.api.schema.loader import PREFIX, Type
from steersman.machinery.meta import Obj

_PROPS = f"{PREFIX}apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
_OR_ARRAY, _OR_BOOL, _OR_STRINGS = f"{_PROPS}OrArray", f"{_PROPS}OrBool", f"{_PROPS}OrStringArray"
_SCHEMA = Type("ref", ref=_PROPS)
EITHER = "either"
"""The kind of a Type whose `ref` is one of MESSAGES."""

MESSAGES: dict[str, dict[str, tuple[int, Type]]] = {
    _OR_ARRAY: {"schema": (1, _SCHEMA), "list": (2, Type("list", item=_SCHEMA))},
    _OR_BOOL: {"allows": (1, Type("boolean")), "schema": (2, _SCHEMA)},
    _OR_STRINGS: {"schema": (1, _SCHEMA), "list": (2, Type("list", item=Type("string")))},
}
FIELDS: dict[str, dict[str, Type]] = {
    _PROPS: {
        "items": Type(EITHER, ref=_OR_ARRAY),
        "additionalItems": Type(EITHER, ref=_OR_BOOL),
        "additionalProperties": Type(EITHER, ref=_OR_BOOL),
        "dependencies": Type("map", item=Type(EITHER, ref=_OR_STRINGS)),
    }
}
"""Fields of definitions that are such a thing."""


def together(parts: Obj) -> Any:
    """The thing that JSON has, of the fields of the message. A boolean that is not there is false."""
    if parts.get("list"):
        return parts["list"]
    return parts["schema"] if "schema" in parts else parts.get("allows", False)


def apart(value: Any) -> Obj:
    """The fields of the message."""
    if isinstance(value, dict):
        return {"schema": value, "allows": True}
    return {"list": value} if isinstance(value, list) else {"allows": value}
