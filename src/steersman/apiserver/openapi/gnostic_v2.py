"""OpenAPI v2 as gnostic's openapi.v2.Document (OpenAPIv2.proto): what kubectl and Helm ask for. Parts that our documents never
have (examples, file schemas, OAuth, ...) are left out.
"""

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

MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
OLD_MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
"""What clients ask for, although `@` may not be in a media type; they get the other one."""


def encode(value: Mapping[str, Any]) -> bytes:
    """The message of a document in its JSON form."""
    return document(_DOCUMENT, value)


_SCHEMA: dict[str, tuple[int, Writer]] = {}
_schema = message(_SCHEMA, 31)
_schemas = inside(1, named(_schema))
_an_allowed_schema, _allowed = inside(1, _schema), inside(2, one_of_flag)


def _additional(out: bytearray, number: int, value: Any) -> None:
    (_allowed if isinstance(value, bool) else _an_allowed_schema)(out, number, value)


def _one_or_many(writer: Writer) -> Writer:
    """A field that JSON may have bare or as a list."""
    many = inside(1, each(writer))

    def write(out: bytearray, number: int, value: Any) -> None:
        many(out, number, value if isinstance(value, list) else [value])

    return write


_SCHEMA.update(
    {
        "$ref": (1, text), "format": (2, text), "title": (3, text), "description": (4, text), "default": (5, anything),
        "multipleOf": (6, double), "maximum": (7, double), "exclusiveMaximum": (8, flag), "minimum": (9, double),
        "exclusiveMinimum": (10, flag), "maxLength": (11, integer), "minLength": (12, integer), "pattern": (13, text),
        "maxItems": (14, integer), "minItems": (15, integer), "uniqueItems": (16, flag), "maxProperties": (17, integer),
        "minProperties": (18, integer), "required": (19, each(text)), "enum": (20, each(anything)),
        "additionalProperties": (21, _additional), "type": (22, _one_or_many(text)), "items": (23, _one_or_many(_schema)),
        "allOf": (24, each(_schema)), "properties": (25, _schemas), "readOnly": (27, flag), "example": (30, anything),
    }
)  # fmt: skip

_BODY: Fields = {"description": (1, text), "name": (2, text), "in": (3, text), "required": (4, flag), "schema": (5, _schema)}
_PLAIN: Fields = {"required": (1, flag), "in": (2, text), "description": (3, text), "name": (4, text)}
_IN_PATH: Fields = {**_PLAIN, "type": (5, text), "format": (6, text), "uniqueItems": (19, flag)}
_QUERY: Fields = {**_PLAIN, "type": (6, text), "format": (7, text), "uniqueItems": (20, flag)}
# ParametersItem.parameter, then Parameter.body_parameter or .non_body_parameter and in that the kind of place.
_PARAMETERS: dict[str, Writer] = {
    "body": inside(1, inside(1, message(_BODY, 6))),
    "query": inside(1, inside(2, inside(3, message(_QUERY, 23)))),
    "path": inside(1, inside(2, inside(4, message(_IN_PATH, 22)))),
}


def _parameter(out: bytearray, number: int, value: Mapping[str, Any]) -> None:
    _PARAMETERS[value["in"]](out, number, value)


_RESPONSE: Fields = {"description": (1, text), "schema": (2, inside(1, _schema))}
_OPERATION: Fields = {
    "tags": (1, each(text)), "summary": (2, text), "description": (3, text), "operationId": (5, text),
    "produces": (6, each(text)), "consumes": (7, each(text)), "parameters": (8, each(_parameter)),
    "responses": (9, inside(1, named(inside(1, message(_RESPONSE, 5))))), "schemes": (10, each(text)), "deprecated": (11, flag),
}  # fmt: skip
_operation = message(_OPERATION, 13)
_PATH: Fields = {
    "get": (2, _operation), "put": (3, _operation), "post": (4, _operation), "delete": (5, _operation),
    "options": (6, _operation), "head": (7, _operation), "patch": (8, _operation), "parameters": (9, each(_parameter)),
}  # fmt: skip
_API_KEY: Fields = {"type": (1, text), "name": (2, text), "in": (3, text), "description": (4, text)}
_DOCUMENT: Fields = {
    "swagger": (1, text),
    "info": (2, message({"title": (1, text), "version": (2, text), "description": (3, text)})),
    "paths": (8, inside(2, named(message(_PATH, 10)))),
    "definitions": (9, _schemas),
    "security": (12, each(inside(1, named(inside(1, each(text)))))),
    "securityDefinitions": (13, inside(1, named(inside(2, message(_API_KEY))))),
}
