"""Whole objects in their envelope, found by the kind they say they are; and the events of a watch around them."""

from __future__ import annotations

from steersman.api.protobuf import envelope, facts
from steersman.api.protobuf.encode import encode
from steersman.api.protobuf.wire import BYTES, put_bytes, tag_bytes
from steersman.api.schema.loader import schema
from steersman.machinery.gvk import GroupVersionKind, split_api_version
from steersman.machinery.meta import Obj

_ONE, _TWO = tag_bytes(1, BYTES), tag_bytes(2, BYTES)


def pack(obj: Obj) -> bytes | None:
    """The wire form of an object or list; None if its kind has none (custom resources)."""
    api_version, kind = obj.get("apiVersion", ""), obj.get("kind", "")
    name = schema().name_for(GroupVersionKind(*split_api_version(api_version), kind))
    if name is None or not facts.known(name):
        return None
    return envelope.pack(api_version, kind, encode(name, obj))


def watch_frame(kind: str, obj: Obj) -> bytes:
    """A WatchEvent, without an envelope of its own, behind its length in four bytes."""
    event, raw = bytearray(), bytearray()
    put_bytes(raw, _ONE, pack(obj) or b"")
    put_bytes(event, _ONE, kind.encode())
    put_bytes(event, _TWO, raw)
    return len(event).to_bytes(4, "big") + event
