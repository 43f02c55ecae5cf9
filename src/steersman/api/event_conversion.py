"""Events have two forms: core/v1, which is stored, and events.k8s.io/v1. Both directions, on whole objects."""

from __future__ import annotations

from steersman.machinery.meta import Obj

_NEW_TO_CORE = {
    "note": "message",
    "regarding": "involvedObject",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_CORE_TO_NEW = {core: new for new, core in _NEW_TO_CORE.items()}


def to_core(obj: Obj) -> Obj:
    """events.k8s.io/v1 -> core/v1."""
    return {_NEW_TO_CORE.get(key, key): value for key, value in obj.items()} | {"apiVersion": "v1"}


def from_core(obj: Obj) -> Obj:
    """core/v1 -> events.k8s.io/v1."""
    return {_CORE_TO_NEW.get(key, key): value for key, value in obj.items()} | {"apiVersion": "events.k8s.io/v1"}
