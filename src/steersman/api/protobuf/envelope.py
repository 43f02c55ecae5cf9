"""The envelope around every object: four bytes, then runtime.Unknown with the kind, and the object as bytes.

Go's texts for what is no such envelope are kept.
"""

from __future__ import annotations

from typing import NamedTuple

from steersman.api.protobuf.wire import BYTES, END, Malformed, put_bytes, skip, tag_bytes, varint

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
PREFIX = b"k8s\x00"
_ONE, _TWO = tag_bytes(1, BYTES), tag_bytes(2, BYTES)
_TRAILER = tag_bytes(3, BYTES) + b"\0" + tag_bytes(4, BYTES) + b"\0"


class Envelope(NamedTuple):
    """What is in an envelope; texts that were not sent are empty."""

    api_version: str
    kind: str
    raw: bytes


def unpack(body: bytes) -> Envelope:
    """Raises Malformed."""
    if not body:
        raise Malformed("empty data")
    if not body.startswith(PREFIX):
        raise Malformed(f"provided data does not appear to be a protobuf message, expected prefix [{' '.join(map(str, PREFIX))}]")
    if len(body) == len(PREFIX):
        raise Malformed("empty body")
    try:
        kind, raw = _two_fields(body, len(PREFIX))
        version, name = _two_fields(kind, 0)
    except IndexError:
        raise Malformed(END) from None
    return Envelope(version.decode("utf-8", "replace"), name.decode("utf-8", "replace"), raw)


def _two_fields(data: bytes, place: int) -> tuple[bytes, bytes]:
    """Fields 1 and 2, both bytes."""
    found = [b"", b""]
    end = len(data)
    while place < end:
        tag, place = varint(data, place)
        if tag in (_ONE[0], _TWO[0]):
            size, place = varint(data, place)
            found[tag == _TWO[0]], place = data[place : place + size], place + size
            if place > end:
                raise Malformed(END)
        else:
            place = skip(data, place, tag, end)
    return found[0], found[1]


def pack(api_version: str, kind: str, raw: bytes | bytearray) -> bytes:
    names = bytearray()
    put_bytes(names, _ONE, api_version.encode())
    put_bytes(names, _TWO, kind.encode())
    out = bytearray(PREFIX)
    put_bytes(out, _ONE, names)
    put_bytes(out, _TWO, raw)
    return bytes(out + _TRAILER)
