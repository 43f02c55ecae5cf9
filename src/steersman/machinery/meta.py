"""Reading and making object metadata. Objects are plain dicts with the API's camelCase keys (design decision 2)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeAlias

Obj: TypeAlias = dict[str, Any]
"""A Kubernetes object, or a part of one."""

Key: TypeAlias = tuple[str, str]
"""(namespace, name); the namespace of a cluster-scoped object is the empty string."""

_DRAWN_AT_ONCE = 256
_drawn: list[bytes] = []
# A forked process would give out the same ones.
os.register_at_fork(after_in_child=_drawn.clear)


def metadata(obj: Obj) -> Obj:
    """The metadata, made if missing."""
    found: Obj = obj.setdefault("metadata", {})
    return found


def name_of(obj: Obj) -> str:
    return str((obj.get("metadata") or {}).get("name") or "")


def namespace_of(obj: Obj) -> str:
    return str((obj.get("metadata") or {}).get("namespace") or "")


def uid_of(obj: Obj) -> str:
    return str((obj.get("metadata") or {}).get("uid") or "")


def key_of(obj: Obj) -> Key:
    return namespace_of(obj), name_of(obj)


def labels_of(obj: Obj) -> dict[str, str]:
    return (obj.get("metadata") or {}).get("labels") or {}


def annotations_of(obj: Obj) -> dict[str, str]:
    return (obj.get("metadata") or {}).get("annotations") or {}


def resource_version_of(obj: Obj) -> int:
    """The resourceVersion as a number; 0 when there is none. Ours and upstream's are comparable (KEP-5504)."""
    value = (obj.get("metadata") or {}).get("resourceVersion") or "0"
    return int(value) if str(value).isdigit() else 0


def is_deleting(obj: Obj) -> bool:
    return bool((obj.get("metadata") or {}).get("deletionTimestamp"))


def _sixteen_bytes() -> bytes:
    """Of the system's randomness, asked for many at a time: asking lets go of the interpreter, which a busy thread then keeps."""
    try:
        return _drawn.pop()
    except IndexError:
        block = os.urandom(16 * _DRAWN_AT_ONCE)
        _drawn.extend(block[place : place + 16] for place in range(16, len(block), 16))
        return block[:16]


def new_uid() -> str:
    """A random UUID, version 4 (RFC 9562): each object that is created gets one, so not by way of uuid.UUID."""
    drawn = bytearray(_sixteen_bytes())
    drawn[6] = drawn[6] & 0x0F | 0x40
    drawn[8] = drawn[8] & 0x3F | 0x80
    text = drawn.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def dig(obj: Any, *path: str | int, default: Any = None) -> Any:
    """Follow keys and indexes; `default` where something is missing or null on the way.

    >>> dig({"spec": {"ports": [{"port": 80}]}}, "spec", "ports", 0, "port")
    80
    """
    for step in path:
        try:
            obj = obj[step]
        except (KeyError, IndexError, TypeError):
            return default
        if obj is None:
            return default
    return obj


def format_time(moment: datetime) -> str:
    """metav1.Time: RFC 3339, UTC, whole seconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micro_time(moment: datetime) -> str:
    """metav1.MicroTime: RFC 3339, UTC, six digits, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str | None) -> datetime | None:
    """An RFC 3339 time as aware UTC; None for empty or malformed text. Digits beyond microseconds are cut."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def controller_of(obj: Obj) -> Obj | None:
    """The owner reference with `controller: true`, if any."""
    for ref in (obj.get("metadata") or {}).get("ownerReferences") or ():
        if ref.get("controller"):
            found: Obj = ref
            return found
    return None


def owner_reference(owner: Obj, *, controller: bool = True, block_deletion: bool = True) -> Obj:
    """A reference to `owner`, as controllers write it."""
    ref: Obj = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
    }
    if controller:
        ref["controller"] = True
    if block_deletion:
        ref["blockOwnerDeletion"] = True
    return ref


def condition(obj_or_conditions: Obj | Iterable[Obj] | None, kind: str) -> Obj | None:
    """The status condition of that type, from an object or a list of conditions."""
    if isinstance(obj_or_conditions, dict):
        found = dig(obj_or_conditions, "status", "conditions", default=())
    else:
        found = obj_or_conditions or ()
    return next((item for item in found if item.get("type") == kind), None)


def is_condition_true(obj_or_conditions: Obj | Iterable[Obj] | None, kind: str) -> bool:
    found = condition(obj_or_conditions, kind)
    return found is not None and found.get("status") == "True"


def set_condition(
    conditions: list[Obj], kind: str, status: str, now: datetime, *, reason: str = "", message: str = "", **extra: Any
) -> bool:
    """Set a condition in place; lastTransitionTime moves only when the status flips. True if anything changed."""
    found = condition(conditions, kind)
    wanted: Obj = {"type": kind, "status": status, **extra}
    if reason:
        wanted["reason"] = reason
    if message:
        wanted["message"] = message
    if found is not None and found.get("status") == status:
        wanted["lastTransitionTime"] = found.get("lastTransitionTime")
    else:
        wanted["lastTransitionTime"] = format_time(now)
    if found is None:
        conditions.append(wanted)
        return True
    changed = {k: v for k, v in found.items() if k in wanted} != wanted or ("reason" in found) != bool(reason)
    found.pop("reason", None)
    found.pop("message", None)
    found.update(wanted)
    return changed
