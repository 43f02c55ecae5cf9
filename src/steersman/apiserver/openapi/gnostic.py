"""How the messages of gnostic's protobuf form are put together; which fields they have is in gnostic_v2.py and gnostic_v3.py.

A Writer appends one field to a message. Plain fields that are false, 0 or empty are left out, as proto3 has it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import orjson

from steersman.api.protobuf.wire import BYTES, FIXED64, VARINT, put_bytes, put_varint, tag_bytes

_tag = cache(tag_bytes)

Writer = Callable[[bytearray, int, Any], None]
"""Gets the message to append to, the field's number, and the value as JSON has it."""
Fields = Mapping[str, tuple[int, Writer]]
"""JSON key -> number and writer."""


def text(out: bytearray, number: int, value: Any) -> None:
    if value:
        put_bytes(out, _tag(number, BYTES), value.encode())


def flag(out: bytearray, number: int, value: Any) -> None:
    if value:
        out += _tag(number, VARINT) + b"\x01"


def one_of_flag(out: bytearray, number: int, value: Any) -> None:
    """A boolean that is one of several possible fields: false is written, too."""
    out += _tag(number, VARINT) + (b"\x01" if value else b"\x00")


def integer(out: bytearray, number: int, value: Any) -> None:
    if value:
        out += _tag(number, VARINT)
        put_varint(out, value & 0xFFFF_FFFF_FFFF_FFFF)


def double(out: bytearray, number: int, value: Any) -> None:
    if value:
        out += _tag(number, FIXED64) + struct.pack("<d", value)


def anything(out: bytearray, number: int, value: Any) -> None:
    """An Any: its `yaml` is JSON, which YAML readers read as well."""
    inner = bytearray()
    put_bytes(inner, _tag(2, BYTES), orjson.dumps(value) + b"\n")
    put_bytes(out, _tag(number, BYTES), inner)


def each(writer: Writer) -> Writer:
    """A repeated field."""

    def write(out: bytearray, number: int, values: list[Any]) -> None:
        for value in values:
            writer(out, number, value)

    return write


def inside(field: int, writer: Writer) -> Writer:
    """A message whose only field is what `writer` writes."""

    def write(out: bytearray, number: int, value: Any) -> None:
        inner = bytearray()
        writer(inner, field, value)
        put_bytes(out, _tag(number, BYTES), inner)

    return write


def named(writer: Writer) -> Writer:
    """A map as repeated pairs: name = 1, value = 2."""

    def write(out: bytearray, number: int, values: Mapping[str, Any]) -> None:
        tag = _tag(number, BYTES)
        for name, value in values.items():
            pair = bytearray()
            put_bytes(pair, b"\x0a", name.encode())
            writer(pair, 2, value)
            put_bytes(out, tag, pair)

    return write


_extensions = named(anything)


def fill(out: bytearray, fields: Fields, extension: int, value: Mapping[str, Any]) -> None:
    """Append an object's fields to a message; keys that begin with `x-` go into the field numbered `extension`."""
    for key, item in value.items():
        found = fields.get(key)
        if found is not None:
            found[1](out, found[0], item)
        elif extension and key.startswith("x-"):
            _extensions(out, extension, {key: item})


def message(fields: Fields, extension: int = 0) -> Writer:
    def write(out: bytearray, number: int, value: Mapping[str, Any]) -> None:
        inner = bytearray()
        fill(inner, fields, extension, value)
        put_bytes(out, _tag(number, BYTES), inner)

    return write


def document(fields: Fields, value: Mapping[str, Any]) -> bytes:
    """A whole document."""
    out = bytearray()
    fill(out, fields, 0, value)
    return bytes(out)
