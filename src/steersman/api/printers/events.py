"""The row of an Event, of core/v1 and events.k8s.io/v1 alike: one object, two sets of field names."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from steersman.api.kinds import Column
from steersman.api.printers.cells import col, since, spec, wide
from steersman.machinery.meta import Obj, dig, name_of


def _either(event: Obj, core: str, events: str) -> Any:
    return event.get(core) or event.get(events)


def _source(event: Obj) -> str:
    source = _either(event, "source", "deprecatedSource") or {}
    component = source.get("component") or _either(event, "reportingComponent", "reportingController") or ""
    host = source.get("host") or event.get("reportingInstance")
    return f"{component}, {host}" if host else str(component)


def _object(about: Obj) -> str:
    kind = str(about.get("kind") or "").lower()
    return f"{kind}/{about['name']}" if about.get("name") else kind


def _cells(event: Obj, now: datetime) -> list[Any]:
    about = _either(event, "involvedObject", "regarding") or {}
    series = event.get("series")
    first = since(_either(event, "firstTimestamp", "deprecatedFirstTimestamp") or event.get("eventTime"), now)
    if series:
        last = since(series.get("lastObservedTime"), now)
    else:
        last = since(_either(event, "lastTimestamp", "deprecatedLastTimestamp"), now, missing=first)
    return [
        last,
        str(event.get("type") or ""),
        str(event.get("reason") or ""),
        _object(about),
        str(about.get("fieldPath") or ""),
        _source(event),
        str(_either(event, "message", "note") or "").strip(),
        first,
        dig(series, "count") or _either(event, "count", "deprecatedCount") or 1,
        name_of(event),
    ]


EVENT = spec(
    _cells,
    col("Last Seen"),
    col("Type"),
    col("Reason"),
    col("Object"),
    wide("Subobject"),
    wide("Source"),
    col("Message"),
    wide("First Seen"),
    wide("Count"),
    Column("Name", format="name", priority=1),
)
