"""The end of objects' lives: what keeps a deleted object, and how a deletion marks it. Pure.

The one kind that is named here is Namespace, whose spec.finalizers count as finalizers (core-v1 section 5).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from steersman.api.kinds import Strategy
from steersman.machinery.meta import Obj, format_time, metadata, parse_time

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"


def is_namespace(obj: Obj) -> bool:
    return obj.get("kind") == "Namespace" and obj.get("apiVersion") == "v1"


def held(obj: Obj) -> bool:
    """Whether finalizers keep the object."""
    if obj["metadata"].get("finalizers"):
        return True
    return is_namespace(obj) and bool((obj.get("spec") or {}).get("finalizers"))


def finished(obj: Obj) -> bool:
    """Whether an object that is being deleted has nothing left to wait for."""
    meta = obj["metadata"]
    return bool(meta.get("deletionTimestamp")) and not meta.get("deletionGracePeriodSeconds") and not held(obj)


def set_propagation(obj: Obj, strategy: Strategy, policy: str) -> None:
    """Add or remove the garbage collector's finalizers as the policy (empty: not said) demands."""
    if not strategy.garbage_collected:
        return
    meta = metadata(obj)
    existing = list(meta.get("finalizers") or ())
    if not policy:
        if ORPHAN in existing or FOREGROUND in existing:
            return
        policy = "Orphan" if strategy.default_orphan else "Background"
    wanted = [name for name in existing if name not in (ORPHAN, FOREGROUND)]
    if policy == "Orphan":
        wanted.append(ORPHAN)
    elif policy == "Foreground":
        wanted.append(FOREGROUND)
    if wanted:
        meta["finalizers"] = wanted
    else:
        meta.pop("finalizers", None)


def mark(obj: Obj, strategy: Strategy, asked_s: int | None, now: datetime) -> None:
    """Mark the object as being deleted, in place. Marked objects only ever get their grace shortened."""
    grace_s = strategy.graceful_seconds(obj, asked_s) if strategy.graceful_seconds is not None else None
    meta = metadata(obj)
    if meta.get("deletionTimestamp"):
        if grace_s is not None and asked_s is not None:
            _shorten(meta, grace_s, now)
        return
    meta["deletionTimestamp"] = format_time(now + timedelta(seconds=grace_s or 0))
    if is_namespace(obj):
        obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
    else:
        meta["deletionGracePeriodSeconds"] = grace_s or 0
    if meta.get("generation"):
        meta["generation"] += 1


def _shorten(meta: Obj, grace_s: int, now: datetime) -> None:
    before_s = meta.get("deletionGracePeriodSeconds") or 0
    if grace_s >= before_s:
        return
    deadline = parse_time(meta["deletionTimestamp"]) or now
    earlier = deadline - timedelta(seconds=before_s - grace_s)
    if earlier < now:
        earlier, grace_s = now, min(grace_s, 1)
    meta["deletionTimestamp"] = format_time(earlier)
    meta["deletionGracePeriodSeconds"] = grace_s
