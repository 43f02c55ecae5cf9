"""Messages that are one value in JSON: times, quantities, int-or-strings, free-form objects; and bytes, which are base64 there.

`READERS` has, per type word, what makes the JSON value of a message's bytes; None means that JSON has nothing.
`WRITERS` goes the other way.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson

from steersman.api.protobuf.wire import BYTES, END, Malformed, int64, put_bytes, put_varint, skip, tag_bytes, varint

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE, _TWO, _THREE = 1 << 3, 2 << 3, 3 << 3
_FIRST_BYTES, _THIRD_BYTES = tag_bytes(1, BYTES), tag_bytes(3, BYTES)
_INT32 = 1 << 31


def _numbers(data: bytes) -> tuple[int, int]:
    """Fields 1 and 2 of a message of two numbers."""
    seconds = nanos = place = 0
    end = len(data)
    while place < end:
        tag, place = varint(data, place)
        if tag == _ONE:
            seconds, place = int64(data, place)
        elif tag == _TWO:
            nanos, place = int64(data, place)
        else:
            place = skip(data, place, tag, end)
    return seconds, nanos


@lru_cache(maxsize=1024)
def _moment(seconds: int) -> str:
    try:
        return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
    except OverflowError:
        raise Malformed("Time.MarshalJSON: year outside of range [0,9999]") from None


_ESCAPED = tuple((character.encode(), f"\\u{ord(character):04x}".encode()) for character in "<>&\u2028\u2029")
"""Go's encoder has no such character in JSON, lest somebody puts it into a web page."""

_NO_TIME = "0001-01-01T00:00:00"


def read_time(data: bytes) -> str | None:
    """metav1.Time. Go sends its zero time as an empty message."""
    if not data:
        return None
    text = _moment(_numbers(data)[0])
    return None if text == _NO_TIME else text + "Z"


def read_micro_time(data: bytes) -> str | None:
    if not data:
        return None
    seconds, nanos = _numbers(data)
    more, nanos = divmod(nanos, 1_000_000_000)
    text = _moment(seconds + more)
    return None if text == _NO_TIME and not nanos else f"{text}.{nanos // 1000:06d}Z"


def read_quantity(data: bytes) -> str:
    return _first(data).decode("utf-8", "replace") or "0"


def read_int_or_string(data: bytes) -> int | str:
    kind = number = place = 0
    text = b""
    end = len(data)
    while place < end:
        tag, place = varint(data, place)
        if tag == _ONE:
            kind, place = varint(data, place)
        elif tag == _TWO:
            number, place = int64(data, place)
        elif tag == _THREE | BYTES:
            size, place = varint(data, place)
            text, place = data[place : place + size], place + size
        else:
            place = skip(data, place, tag, end)
    if place > end:
        raise Malformed(END)
    if kind == 0:
        return (number + _INT32) % (_INT32 << 1) - _INT32
    if kind == 1:
        return text.decode("utf-8", "replace")
    raise Malformed("impossible IntOrString.Type")


def read_raw(data: bytes) -> Any:
    """RawExtension, FieldsV1 and JSON: JSON, in a message of one field."""
    text = _first(data)
    if not text:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"json: error calling MarshalJSON for type runtime.RawExtension: {error}") from None


def read_bytes(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _first(data: bytes) -> bytes:
    """Field 1, of bytes, of a message."""
    found = b""
    place, end = 0, len(data)
    while place < end:
        tag, place = varint(data, place)
        if tag == _ONE | BYTES:
            size, place = varint(data, place)
            found, place = data[place : place + size], place + size
            if place > end:
                raise Malformed(END)
        else:
            place = skip(data, place, tag, end)
    return found


READERS: dict[str, Callable[[bytes], Any]] = {
    "time": read_time,
    "micro-time": read_micro_time,
    "quantity": read_quantity,
    "int-or-string": read_int_or_string,
    "raw": read_raw,
    "any": read_raw,
    "bytes": read_bytes,
}


def _timestamp(seconds: int, nanos: int) -> bytes:
    out = bytearray((_ONE,))
    put_varint(out, seconds)
    out.append(_TWO)
    put_varint(out, nanos)
    return bytes(out)


@lru_cache(maxsize=1024)
def write_time(value: str) -> bytes:
    return _timestamp((datetime.fromisoformat(value) - _EPOCH) // timedelta(seconds=1), 0)


def write_micro_time(value: str) -> bytes:
    whole = (datetime.fromisoformat(value) - _EPOCH) // timedelta(microseconds=1)
    return _timestamp(whole // 1_000_000, whole % 1_000_000 * 1000)


def write_quantity(value: Any) -> bytes:
    out = bytearray()
    put_bytes(out, _FIRST_BYTES, str(value).encode())
    return bytes(out)


def write_int_or_string(value: int | str) -> bytes:
    out = bytearray((_ONE, isinstance(value, str), _TWO))
    put_varint(out, 0 if isinstance(value, str) else value)
    put_bytes(out, _THIRD_BYTES, value.encode() if isinstance(value, str) else b"")
    return bytes(out)


def write_raw(value: Any) -> bytes:
    """As Go writes JSON: its clients compare the bytes of a ControllerRevision with their own."""
    text = orjson.dumps(value)
    for plain, escaped in _ESCAPED:
        if plain in text:
            text = text.replace(plain, escaped)
    out = bytearray()
    put_bytes(out, _FIRST_BYTES, text)
    return bytes(out)


def write_bytes(value: str) -> bytes:
    try:
        return base64.b64decode(value)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


WRITERS: dict[str, Callable[[Any], bytes]] = {
    "time": write_time,
    "micro-time": write_micro_time,
    "quantity": write_quantity,
    "int-or-string": write_int_or_string,
    "raw": write_raw,
    "any": write_raw,
    "bytes": write_bytes,
}
