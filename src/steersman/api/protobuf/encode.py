"""From objects as JSON has them to Kubernetes' protobuf wire form.

Only what is in the object is written: readers take what is missing for zero. Fields that the facts have no number for are left
out. The object has been checked against its schema before; a value of a wrong type raises TypeError or ValueError.
Not here: the envelope around objects (envelope.py), watch frames (apiserver/handlers/frames.py).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

from steersman.api.protobuf import either
from steersman.api.protobuf.facts import numbered
from steersman.api.protobuf.special import WRITERS
from steersman.api.protobuf.wire import BYTES, FIXED64, VARINT, put_bytes, put_varint, tag_bytes
from steersman.api.schema.loader import Type
from steersman.machinery.meta import Obj

Write: TypeAlias = "Callable[[bytearray, Any], None]"
"""Appends a field with its tag, or with all its tags if the value is a list or a map."""

_KEY = tag_bytes(1, BYTES)
_INTEGERS = ("int32", "int64", "integer", "boolean")


def encode(name: str, obj: Obj) -> bytes:
    """The message of an object of a definition (full name)."""
    out = bytearray()
    _write_fields(out, obj, _writers(name))
    return bytes(out)


def _write_fields(out: bytearray, obj: Obj, writers: dict[str, Write]) -> None:
    for key, value in obj.items():
        write = writers.get(key)
        if write is not None and value is not None:
            write(out, value)


@cache
def _writers(name: str) -> dict[str, Write]:
    """By field. Fields of embedded messages are written as one such message each: readers put them together."""
    found: dict[str, Write] = {}
    for field, embedded, number, _ in numbered(name):
        write = _field(field.type, number)
        for outer in reversed(embedded):
            write = _wrapped(tag_bytes(outer, BYTES), write)
        found[field.name] = write
    return found


def _field(kind: Type, number: int) -> Write:
    if kind.kind == "list":
        assert kind.item is not None
        return _each(_field(kind.item, number))
    if kind.kind == "map":
        assert kind.item is not None
        element = _field(kind.item, 1 if kind.item.kind == "list" else 2)
        return _entries(tag_bytes(number, BYTES), _wrapped(tag_bytes(2, BYTES), element) if kind.item.kind == "list" else element)
    if kind.kind in _INTEGERS:
        return _integer(tag_bytes(number, VARINT))
    if kind.kind == "double":
        return _double(tag_bytes(number, FIXED64))
    tag = tag_bytes(number, BYTES)
    if kind.kind == "string":
        return lambda out, value: put_bytes(out, tag, value.encode("utf-8", "replace"))
    if kind.kind == "ref":
        return _message(tag, kind.ref)
    if kind.kind == either.EITHER:
        write = _message(tag, kind.ref)
        return lambda out, value: write(out, either.apart(value))
    special = WRITERS[kind.kind]
    return lambda out, value: put_bytes(out, tag, special(value))


def _message(tag: bytes, name: str) -> Write:
    def write(out: bytearray, value: Obj) -> None:
        inner = bytearray()
        _write_fields(inner, value, _writers(name))
        put_bytes(out, tag, inner)

    return write


def _wrapped(tag: bytes, write_inner: Write) -> Write:
    def write(out: bytearray, value: Any) -> None:
        inner = bytearray()
        write_inner(inner, value)
        put_bytes(out, tag, inner)

    return write


def _each(write_one: Write) -> Write:
    def write(out: bytearray, values: list[Any]) -> None:
        for value in values:
            write_one(out, value)

    return write


def _entries(tag: bytes, write_value: Write) -> Write:
    def write(out: bytearray, values: Obj) -> None:
        for key, value in values.items():
            inner = bytearray()
            put_bytes(inner, _KEY, key.encode("utf-8", "replace"))
            if value is not None:
                write_value(inner, value)
            put_bytes(out, tag, inner)

    return write


def _integer(tag: bytes) -> Write:
    def write(out: bytearray, value: int) -> None:
        out += tag
        put_varint(out, value)

    return write


def _double(tag: bytes) -> Write:
    def write(out: bytearray, value: float) -> None:
        out += tag
        out += struct.pack("<d", value)

    return write
