"""The Table and PartialObjectMetadata forms of stored objects."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from steersman.api.kinds import TableSpec
from steersman.apiserver.registry import Served
from steersman.apiserver.storage import Stored
from steersman.machinery.errors import BadRequest
from steersman.machinery.meta import Obj


def table(served: Served, items: list[Stored], list_meta: Obj, version: str, include: str, now: datetime) -> Obj:
    """A meta.k8s.io Table. include: Metadata (PartialObjectMetadata per row), Object, or None."""
    objs = (served.decode(stored) for stored in items)
    return of_objs(spec_of(served), objs, list_meta, version, include, now)


def of_objs(spec: TableSpec, objs: Iterable[Obj], list_meta: Obj, version: str, include: str, now: datetime) -> Obj:
    """The Table of any objects, stored or not."""
    if spec.order is not None:
        objs = sorted(objs, key=spec.order)
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": list_meta,
        "columnDefinitions": [
            {
                "name": column.name,
                "type": column.type,
                "format": column.format,
                "description": column.description,
                "priority": column.priority,
            }
            for column in spec.columns
        ],
        "rows": [_row(spec, obj, version, include, now) for obj in objs],
    }


def bookmark(served: Served, mark: Obj, version: str, include: str) -> Obj:
    """A watch's bookmark: a Table of one row with nothing in its cells."""
    made = of_objs(spec_of(served), (), {"resourceVersion": mark["metadata"]["resourceVersion"]}, version, include, datetime.min)
    shown = {"Metadata": partial_of(mark, version), "Object": mark}.get(include)
    made["rows"] = [{"cells": [None] * len(made["columnDefinitions"]), "object": shown}]
    made["columnDefinitions"] = None
    return made


def spec_of(served: Served) -> TableSpec:
    if served.spec.table is not None:
        return served.spec.table
    from steersman.api import printers

    resource = served.resource
    return printers.TABLES.get((resource.group, resource.kind)) or printers.default_table()


def _row(spec: TableSpec, obj: Obj, version: str, include: str, now: datetime) -> Obj:
    row: Obj = {"cells": spec.cells(obj, now), "object": None}
    conditions = spec.conditions(obj) if spec.conditions else None
    if conditions:
        row["conditions"] = conditions
    if include == "Metadata":
        row["object"] = partial_of(obj, version)
    elif include == "Object":
        row["object"] = obj
    return row


def include_object(asked: str) -> str:
    """The `includeObject` of a request, Metadata if it says nothing. Raises BadRequest."""
    if asked not in ("", "Metadata", "Object", "None"):
        what = f"includeObject: Invalid value: \"{asked}\": must be 'Metadata', 'Object', 'None', or empty"
        raise BadRequest(f"Unable to convert to Table as requested: {what}")
    return asked or "Metadata"


def partial(served: Served, stored: Stored, version: str) -> Obj:
    """PartialObjectMetadata."""
    return partial_of(served.decode(stored), version)


def partial_of(obj: Obj, version: str) -> Obj:
    metadata = obj["metadata"]
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": metadata}


def partial_list(served: Served, items: list[Stored], list_meta: Obj, version: str) -> Obj:
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": list_meta,
        "items": [partial(served, stored, version) for stored in items],
    }
