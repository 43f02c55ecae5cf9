"""Rows of flowcontrol.apiserver.k8s.io."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from steersman.api.kinds import TableSpec
from steersman.api.printers.cells import AGE, NAME, age, col, count, spec, text
from steersman.machinery.meta import Obj, condition, dig, name_of


def _flow_schema(obj: Obj, now: datetime) -> list[Any]:
    wanted = obj.get("spec") or {}
    dangling = condition(obj, "Dangling")
    return [
        name_of(obj),
        str(dig(wanted, "priorityLevelConfiguration", "name", default="")),
        count(wanted.get("matchingPrecedence")),
        text(dig(wanted, "distinguisherMethod", "type")),
        age(obj, now),
        "?" if dangling is None else str(dangling.get("status") or ""),
    ]


def _precedence(obj: Obj) -> tuple[int, str]:
    """Schemas are listed in the order in which they are asked whether a request matches."""
    return int(dig(obj, "spec", "matchingPrecedence", default=0)), name_of(obj)


def _priority_level(obj: Obj, now: datetime) -> list[Any]:
    wanted = obj.get("spec") or {}
    limits = wanted.get("limited") or {}
    queuing = dig(limits, "limitResponse", "queuing", default={})
    return [
        name_of(obj),
        str(wanted.get("type") or ""),
        limits.get("nominalConcurrencyShares", "<none>"),
        queuing.get("queues", "<none>"),
        queuing.get("handSize", "<none>"),
        queuing.get("queueLengthLimit", "<none>"),
        age(obj, now),
    ]


TABLES: dict[str, TableSpec] = {
    "FlowSchema": replace(
        spec(
            _flow_schema,
            NAME,
            col("PriorityLevel"),
            col("MatchingPrecedence"),
            col("DistinguisherMethod"),
            AGE,
            col("MissingPL"),
        ),
        order=_precedence,
    ),
    "PriorityLevelConfiguration": spec(
        _priority_level,
        NAME,
        col("Type"),
        col("NominalConcurrencyShares"),
        col("Queues"),
        col("HandSize"),
        col("QueueLengthLimit"),
        AGE,
    ),
}
