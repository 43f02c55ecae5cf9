"""metrics.k8s.io/v1beta1: NodeMetrics and PodMetrics. Never stored; not part of upstream's own API server (metrics-server's)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from steersman.api import resources as r
from steersman.api.kinds import Column, KindSpec, TableSpec
from steersman.machinery import duration, quantity
from steersman.machinery.meta import Obj, name_of

_COLUMNS = (
    Column("Name", format="name", description="Name of the resource"),
    Column("cpu", format="quantity"),
    Column("memory", format="quantity"),
    Column("Window", format="duration"),
)


def _cells(obj: Obj, _: datetime) -> list[Any]:
    """A pod's row shows the sum of its containers."""
    parts = [obj] if "usage" in obj else obj["containers"]
    cpu, memory = quantity.ZERO, quantity.Quantity(0, quantity.BINARY_SI)
    for part in parts:
        cpu += quantity.parse(part["usage"]["cpu"])
        memory += quantity.parse(part["usage"]["memory"])
    return [name_of(obj), str(cpu), str(memory), duration.format_go(duration.parse_go(obj["window"]))]


_TABLE = TableSpec(_COLUMNS, _cells)

KINDS: tuple[KindSpec, ...] = tuple(
    KindSpec(resource=resource, verbs=("get", "list"), table=_TABLE, virtual=True) for resource in (r.NODE_METRICS, r.POD_METRICS)
)
