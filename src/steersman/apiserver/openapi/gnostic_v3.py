"""OpenAPI v3 as gnostic's openapi.v3.Document (OpenAPIv3.proto). Parts that our documents never have are left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steersman.apiserver.openapi.gnostic import (
    Fields,
    Writer,
    anything,
    document,
    double,
    each,
    flag,
    inside,
    integer,
    message,
    named,
    one_of_flag,
    text,
)

MEDIA_TYPE = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"
OLD_MEDIA_TYPE = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf"


def encode(value: Mapping[str, Any]) -> bytes:
    """The message of a document in its JSON form."""
    return document(_DOCUMENT, value)


_SCHEMA: dict[str, tuple[int, Writer]] = {}
_plain_schema = message(_SCHEMA, 36)
_schema_inside = inside(1, _plain_schema)
_reference = inside(2, message({"$ref": (1, text), "description": (3, text)}))


def _schema(out: bytearray, number: int, value: Mapping[str, Any]) -> None:
    """SchemaOrReference."""
    (_reference if "$ref" in value else _schema_inside)(out, number, value)


_schemas = inside(1, named(_schema))
_an_allowed_schema, _allowed = inside(1, _schema), inside(2, one_of_flag)


def _additional(out: bytearray, number: int, value: Any) -> None:
    (_allowed if isinstance(value, bool) else _an_allowed_schema)(out, number, value)


def _default(out: bytearray, number: int, value: Any) -> None:
    """DefaultType: numbers, booleans and texts only."""
    if isinstance(value, bool):
        inside(2, one_of_flag)(out, number, value)
    elif isinstance(value, int | float):
        inside(1, double)(out, number, value)
    elif isinstance(value, str):
        inside(3, text)(out, number, value)


_SCHEMA.update(
    {
        "nullable": (1, flag), "readOnly": (3, flag), "writeOnly": (4, flag), "example": (7, anything), "deprecated": (8, flag),
        "title": (9, text), "multipleOf": (10, double), "maximum": (11, double), "exclusiveMaximum": (12, flag),
        "minimum": (13, double), "exclusiveMinimum": (14, flag), "maxLength": (15, integer), "minLength": (16, integer),
        "pattern": (17, text), "maxItems": (18, integer), "minItems": (19, integer), "uniqueItems": (20, flag),
        "maxProperties": (21, integer), "minProperties": (22, integer), "required": (23, each(text)),
        "enum": (24, each(anything)), "type": (25, text), "allOf": (26, each(_schema)), "oneOf": (27, each(_schema)),
        "anyOf": (28, each(_schema)), "not": (29, _plain_schema), "items": (30, inside(1, _schema)),
        "properties": (31, _schemas), "additionalProperties": (32, _additional), "default": (33, _default),
        "description": (34, text), "format": (35, text),
    }
)  # fmt: skip

_contents = inside(1, named(message({"schema": (1, _schema)}, 5)))
_PARAMETER: Fields = {
    "name": (1, text), "in": (2, text), "description": (3, text), "required": (4, flag), "schema": (10, _schema),
}  # fmt: skip
_parameters = each(inside(1, message(_PARAMETER, 14)))
_BODY: Fields = {"description": (1, text), "content": (2, _contents), "required": (3, flag)}
_RESPONSE: Fields = {"description": (1, text), "content": (3, _contents)}
_OPERATION: Fields = {
    "tags": (1, each(text)), "summary": (2, text), "description": (3, text), "operationId": (5, text),
    "parameters": (6, _parameters), "requestBody": (7, inside(1, message(_BODY, 4))),
    "responses": (8, inside(2, named(inside(1, message(_RESPONSE, 5))))), "deprecated": (10, flag),
}  # fmt: skip
_operation = message(_OPERATION, 13)
_PATH: Fields = {
    "get": (4, _operation), "put": (5, _operation), "post": (6, _operation), "delete": (7, _operation),
    "options": (8, _operation), "head": (9, _operation), "patch": (10, _operation), "parameters": (13, _parameters),
}  # fmt: skip
_SCHEME: Fields = {"type": (1, text), "description": (2, text), "name": (3, text), "in": (4, text)}
_COMPONENTS: Fields = {
    "schemas": (1, _schemas),
    "securitySchemes": (7, inside(1, named(inside(1, message(_SCHEME, 9))))),
}
_DOCUMENT: Fields = {
    "openapi": (1, text),
    "info": (2, message({"title": (1, text), "description": (2, text), "version": (6, text)})),
    "paths": (4, inside(1, named(message(_PATH, 14)))),
    "components": (5, message(_COMPONENTS, 10)),
}
