"""events.k8s.io/v1: the same events as the core group's, with other field names; stored as core/v1."""

from __future__ import annotations

from steersman.api import resources as r
from steersman.api.groups.common import selectable
from steersman.api.kinds import Conversion, KindSpec
from steersman.api.strategies import event
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


EVENTS = KindSpec(
    resource=r.EVENTS_V1,
    short_names=("ev",),
    schema="io.k8s.api.events.v1.Event",
    strategy=event.EVENT_V1,
    selectable=selectable(*(f"regarding.{name}" for name in event.REFERENCE_FIELDS), "reason", "reportingController", "type"),
    strict_field_message=True,
    conversion=Conversion(storage=r.EVENTS, to_storage=to_core, from_storage=from_core),
    ttl_s=event.TTL_S,
)

KINDS: tuple[KindSpec, ...] = (EVENTS,)
