"""The columns of custom resources: additionalPrinterColumns, each a JSONPath. Source: tableconvertor.go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from steersman.api.kinds import Column, TableSpec
from steersman.api.printers.cells import NAME, since
from steersman.machinery.jsonpath.path import Path, text_of
from steersman.machinery.meta import Obj, name_of, parse_time

_LEAST = -(1 << 63)
_AGE: Obj = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def table(columns: Sequence[Obj]) -> TableSpec:
    """The TableSpec of a version's additionalPrinterColumns; of a version without any: name and age."""
    shown = [(Path(column["jsonPath"]), column["type"]) for column in columns or (_AGE,)]

    def cells(obj: Obj, now: datetime) -> list[Any]:
        return [name_of(obj), *(_cell(obj, path, kind, now) for path, kind in shown)]

    return TableSpec((NAME, *map(_column, columns or (_AGE,))), cells)


def _column(column: Obj) -> Column:
    description = column.get("description") or f"Custom resource definition column (in JSONPath format): {column['jsonPath']}"
    return Column(column["name"], column["type"], column.get("format") or "", column.get("priority") or 0, description)


def _cell(obj: Obj, path: Path, kind: str, now: datetime) -> Any:
    """The first value found, as a column of that type has it; None where there is none, or one of another type."""
    found = path.find(obj)
    if not found or found[0] is None:
        return None
    value = found[0]
    if kind == "string":
        return text_of(value)
    if kind == "date":
        if not isinstance(value, str) or parse_time(value) is None:
            return "<invalid>"
        return since(value, now)
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _int64(value) if kind == "integer" else float(value)


def _int64(value: float) -> int:
    """As Go converts numbers: those that do not fit become the least."""
    return int(value) if -_LEAST > value >= _LEAST else _LEAST
