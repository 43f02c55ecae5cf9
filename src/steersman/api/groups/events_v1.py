"""events.k8s.io/v1: the same events as the core group's, with other field names; stored as core/v1."""

from __future__ import annotations

from steersman.api import resources as r
from steersman.api.event_conversion import from_core, to_core
from steersman.api.groups.common import selectable
from steersman.api.kinds import Conversion, KindSpec
from steersman.api.strategies import event

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
