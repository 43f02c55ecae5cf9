"""Objects as events carry them: JSON, whatever they were on the wire, without managedFields if the policy says so. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from steersman.api.protobuf import envelope, facts
from steersman.api.protobuf.decode import decode
from steersman.api.schema.loader import schema
from steersman.apiserver.negotiate import PROTOBUF
from steersman.machinery.gvk import GroupVersionKind, split_api_version
from steersman.machinery.meta import Obj

_STATUS = b'"kind":"Status"'
_BOUNDED = ("status", "message", "reason", "details", "code")


def read(body: bytes, media_type: str) -> Any:
    """What a body says. Raises ValueError, also for what is no object."""
    if media_type == PROTOBUF:
        return _from_protobuf(body)
    if media_type.endswith("yaml"):
        from steersman.machinery import yamlio  # PyYAML is loaded only by those who send YAML

        return yamlio.load(body)
    return orjson.loads(body)


def _from_protobuf(body: bytes) -> Obj:
    said = envelope.unpack(body)
    name = schema().name_for(GroupVersionKind(*split_api_version(said.api_version), said.kind))
    if name is None or not facts.known(name):
        raise ValueError(f"{said.kind} has no protobuf form")
    return {"kind": said.kind, "apiVersion": said.api_version, **decode(name, said.raw)}


def without_managed_fields(obj: Any) -> Any:
    """Of an object, of the items of a list, of the objects in a Table. `obj` is not changed."""
    if not isinstance(obj, dict):
        return obj
    changed = _bare(obj)
    if isinstance(items := obj.get("items"), list):
        changed["items"] = [_bare(item) for item in items]
    if isinstance(rows := obj.get("rows"), list):
        changed["rows"] = [
            {**row, "object": _bare(row["object"])} if isinstance(row, dict) and "object" in row else row for row in rows
        ]
    return changed


def _bare(obj: Any) -> Any:
    if not isinstance(obj, dict):
        return obj
    meta = obj.get("metadata")
    if not isinstance(meta, dict) or "managedFields" not in meta:
        return dict(obj)
    return {**obj, "metadata": {key: value for key, value in meta.items() if key != "managedFields"}}


def may_be_status(body: bytes) -> bool:
    """Whether it is worth parsing: `kind` is among the first fields."""
    return _STATUS in body[:200].replace(b" ", b"")


def bounded_status(status: Obj) -> Obj:
    """responseStatus of a Status: what it says, and no more."""
    return {"metadata": {}, **{key: status[key] for key in _BOUNDED if status.get(key)}}
