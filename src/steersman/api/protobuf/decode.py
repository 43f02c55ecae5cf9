"""From Kubernetes' protobuf wire form to objects as JSON has them.

A message is read in one pass along the table of its definition (tables.py): tag -> what to do with the value. Fields that the
table does not have are skipped. Whatever the bytes are, the answer is an object or Malformed.
Not here: the envelope around objects (envelope.py), defaults, the check of values (api/decode.py).
"""

from __future__ import annotations

import struct
from typing import Any

from steersman.api.protobuf.either import together
from steersman.api.protobuf.tables import (
    BOOL,
    DOUBLE,
    EACH_BOOL,
    EACH_INT,
    EITHER,
    EMBEDDED,
    INT32,
    MAP,
    MESSAGE,
    MESSAGES,
    PACKED_BOOLS,
    TEXT,
    TEXTS,
    VALUE,
    VALUES,
    Entry,
    Table,
    Tags,
    table,
)
from steersman.api.protobuf.wire import BYTES, END, VARINT, Malformed, int64, skip, varint
from steersman.machinery.meta import Obj

_KEY, _VALUE = 1 << 3 | BYTES, 2 << 3 | BYTES
_INT32 = 1 << 31
_WHOLE = 1 << 63


def decode(name: str, data: bytes) -> Obj:
    """The object of a definition (full name) in a message. Raises Malformed."""
    obj: Obj = {}
    try:
        _message(data, 0, len(data), table(name).tags, obj)
    except IndexError:
        raise Malformed(END) from None
    except RecursionError:
        raise Malformed("proto: nested too deeply") from None
    return obj


def _message(data: bytes, place: int, end: int, tags: Tags, into: Obj) -> None:
    while place < end:
        tag = data[place]
        place += 1
        if tag >= 0x80:
            tag, place = varint(data, place - 1)
        found = tags.get(tag)
        if found is None:
            _check_known(tags, tag)
            place = skip(data, place, tag, end)
            continue
        op, key, more = found
        if op >= TEXT:  # length-delimited, the usual case
            size = data[place]
            place += 1
            if size >= 0x80:
                size, place = varint(data, place - 1)
            start = place
            place += size
            if place > end:
                raise Malformed(END)
            if op == TEXT:
                if size or more:
                    into[key] = str(data[start:place], "utf-8", "replace")
                elif key in into:
                    del into[key]
            elif op == MESSAGE:
                inner = into.get(key)
                if inner is None:
                    inner = into[key] = {}
                _message(data, start, place, more.tags, inner)
            elif op == MESSAGES:
                inner = {}
                _message(data, start, place, more.tags, inner)
                into.setdefault(key, []).append(inner)
            elif op == TEXTS:
                into.setdefault(key, []).append(str(data[start:place], "utf-8", "replace"))
            elif op == VALUE:
                value = more(data[start:place])
                if value is not None:
                    into[key] = value
            elif op == MAP:
                _entry(data, start, place, more, into.setdefault(key, {}))
            elif op == EMBEDDED:
                _message(data, start, place, more, into)
            elif op == EITHER:
                inner = {}
                _message(data, start, place, more.tags, inner)
                into[key] = together(inner)
            elif op == VALUES:
                into.setdefault(key, []).append(more(data[start:place]))
            else:
                _packed(data, start, place, op, into.setdefault(key, []))
        else:
            place = _scalar(data, place, found, into)
    if place != end:
        raise Malformed(END)


def _scalar(data: bytes, place: int, found: Entry, into: Obj) -> int:
    """A value that is no bytes. Returns the place behind it."""
    op, key, keeps_zero = found
    value: Any
    if op == DOUBLE:
        (value,) = struct.unpack_from("<d", data[place : place + 8].ljust(8, b"\0"))
        place += 8
        if value.is_integer() and abs(value) < _WHOLE:
            # As in JSON, where Go writes 1 and not 1.0.
            value = int(value)
    else:
        value, place = int64(data, place)
    if op == INT32:
        value = _int32(value)
    elif op == BOOL:
        value = value != 0
    elif op in (EACH_INT, EACH_BOOL):
        into.setdefault(key, []).append(value != 0 if op == EACH_BOOL else value)
        return place
    if value or keeps_zero:
        into[key] = value
    elif key in into:
        del into[key]
    return place


def _int32(value: int) -> int:
    return (value + _INT32) % (_INT32 << 1) - _INT32


def _packed(data: bytes, place: int, end: int, op: int, into: list[Any]) -> None:
    """Numbers sent as one field: proto2 readers take them too."""
    while place < end:
        value, place = int64(data, place)
        into.append(value != 0 if op == PACKED_BOOLS else value)
    if place != end:
        raise Malformed(END)


def _entry(data: bytes, place: int, end: int, item: tuple[int, Any], into: Obj) -> None:
    """One entry of a map: a message of key and value, both of which may be missing."""
    key, start, stop = "", 0, 0
    while place < end:
        tag, place = varint(data, place)
        if tag in (_KEY, _VALUE):
            size, place = varint(data, place)
            if place + size > end:
                raise Malformed(END)
            if tag == _KEY:
                key = str(data[place : place + size], "utf-8", "replace")
            else:
                start, stop = place, place + size
            place += size
        else:
            place = skip(data, place, tag, end)
    op, more = item
    if op == TEXT:
        into[key] = str(data[start:stop], "utf-8", "replace")
    elif op == VALUE:
        value = more(data[start:stop])
        if value is not None:
            into[key] = value
    else:
        assert isinstance(more, Table)
        inner: Obj = {}
        _message(data, start, stop, more.tags, inner)
        into[key] = inner if op == MESSAGE else together(inner) if op == EITHER else inner.get("items", [])


def _check_known(tags: Tags, tag: int) -> None:
    """Raises Malformed for a known field with a value of another wire type."""
    for other in range(tag & ~7, (tag & ~7) + 6):
        if other in tags and tag & 7 in (VARINT, BYTES, 1, 5):
            name = tags[other][1]
            raise Malformed(f"proto: wrong wireType = {tag & 7} for field {name[:1].upper() + name[1:]}")
