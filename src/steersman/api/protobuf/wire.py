"""The protobuf encoding's own parts: variable-length numbers, tags, values of unknown fields. Nothing of Kubernetes is here."""

from __future__ import annotations

VARINT, FIXED64, BYTES, START_GROUP, END_GROUP, FIXED32 = range(6)
_WIDEST = 10
_MASK = (1 << 64) - 1
_SIGN = 1 << 63


class Malformed(ValueError):
    """The bytes are no such message; the text is as Go's decoders word it."""


END = "unexpected EOF"


def varint(data: bytes, place: int) -> tuple[int, int]:
    """The unsigned number at a place, and the place behind it. Raises IndexError at the end of the data, Malformed."""
    value = data[place]
    place += 1
    if value < 0x80:
        return value, place
    value &= 0x7F
    shift = 7
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK, place
        shift += 7
        if shift >= 7 * _WIDEST:
            raise Malformed("proto: integer overflow")


def int64(data: bytes, place: int) -> tuple[int, int]:
    """The signed number at a place."""
    value, place = varint(data, place)
    return value - ((value & _SIGN) << 1), place


def skip(data: bytes, place: int, tag: int, end: int) -> int:
    """The place behind the value of a field that nobody knows. Groups may nest as deep as they like."""
    depth = 0
    while True:
        kind = tag & 7
        if tag < 8:
            raise Malformed(f"proto: illegal tag {tag >> 3} (wire type {kind})")
        if kind == VARINT:
            _, place = varint(data, place)
        elif kind == BYTES:
            size, place = varint(data, place)
            place += size
        elif kind == FIXED64:
            place += 8
        elif kind == FIXED32:
            place += 4
        elif kind == START_GROUP:
            depth += 1
        elif kind == END_GROUP:
            depth -= 1
            if depth < 0:
                raise Malformed("proto: unexpected end of group")
        else:
            raise Malformed(f"proto: illegal wireType {kind}")
        if place > end:
            raise Malformed(END)
        if not depth:
            return place
        tag, place = varint(data, place)


def put_varint(out: bytearray, value: int) -> None:
    """Append a number; negative ones as their 64-bit complement."""
    value &= _MASK
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def put_bytes(out: bytearray, tag: bytes, data: bytes | bytearray) -> None:
    """Append a field of bytes; `tag` is encoded already."""
    out += tag
    put_varint(out, len(data))
    out += data


def tag_bytes(number: int, kind: int) -> bytes:
    out = bytearray()
    put_varint(out, number << 3 | kind)
    return bytes(out)
