"""What the printers share: column shorthands, ages, placeholders, and texts of selectors, containers and lists.

Placeholders: `<none>` is empty by choice, `<unset>` an optional field without a value, `<unknown>` cannot be computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from steersman.api.kinds import Column, TableSpec
from steersman.machinery import duration, labels, quantity
from steersman.machinery.meta import Obj, dig, format_time, name_of, parse_time

NAME = Column("Name", format="name")
AGE = Column("Age")
CONTAINERS = Column("Containers", priority=1)
IMAGES = Column("Images", priority=1)
SELECTOR = Column("Selector", priority=1)

Cells = Callable[[Obj, datetime], list[Any]]

_ACCESS_MODES = (
    ("ReadWriteOnce", "RWO"),
    ("ReadOnlyMany", "ROX"),
    ("ReadWriteMany", "RWX"),
    ("ReadWriteOncePod", "RWOP"),
)
_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


def col(name: str, type: str = "string", priority: int = 0) -> Column:
    return Column(name, type=type, priority=priority)


def wide(name: str) -> Column:
    """A column that only `-o wide` shows."""
    return Column(name, priority=1)


def spec(cells: Cells, *columns: Column) -> TableSpec:
    return TableSpec(columns, cells)


def since(timestamp: str | None, now: datetime, missing: str = "<unknown>") -> str:
    """How long ago, as tables show it."""
    moment = parse_time(timestamp)
    return missing if moment is None else duration.human((now - moment).total_seconds())


def age(obj: Obj, now: datetime) -> str:
    return since(dig(obj, "metadata", "creationTimestamp"), now)


def text(value: Any, missing: str = "<none>") -> str:
    """A string field; `missing` where it is absent or empty."""
    return str(value) if value not in (None, "") else missing


def flag(value: bool | None) -> str:
    """An optional boolean as text."""
    return "<unset>" if value is None else str(bool(value))


def label_map(values: Mapping[str, str] | None) -> str:
    return ",".join(f"{key}={values[key]}" for key in sorted(values)) if values else "<none>"


def label_selector(selector: Obj | None, *, bad: str = "<error>", empty: str = "<none>") -> str:
    """A LabelSelector object as selector text."""
    if not selector:
        return empty
    try:
        return str(labels.from_label_selector(selector)) or empty
    except ValueError:
        return bad


def containers(pod_spec: Obj | None) -> list[str]:
    """Two cells: names and images of the containers, init containers left out."""
    found = (pod_spec or {}).get("containers") or ()
    return [",".join(item.get("name", "") for item in found), ",".join(item.get("image", "") for item in found)]


def limited(items: list[str], most: int, empty: str) -> str:
    """The first items, and how many more there are."""
    if not items:
        return empty
    shown = ",".join(items[:most])
    return f"{shown} + {len(items) - most} more..." if len(items) > most else shown


def load_balancer(status: Obj | None) -> str:
    """The addresses of status.loadBalancer.ingress: unique, sorted."""
    found = {item.get("ip") or item.get("hostname") for item in dig(status, "loadBalancer", "ingress", default=())}
    return ",".join(sorted(point for point in found if point))


def access_modes(modes: Iterable[str] | None) -> str:
    present = set(modes or ())
    return ",".join(short for mode, short in _ACCESS_MODES if mode in present)


def storage_class(obj: Obj) -> str:
    """The class of a volume or claim; the old annotation wins."""
    annotated = dig(obj, "metadata", "annotations", _CLASS_ANNOTATION)
    return str(annotated if annotated is not None else dig(obj, "spec", "storageClassName", default=""))


def amount(value: Any) -> str:
    """A quantity in canonical form; 0 where there is none."""
    if value is None:
        return "0"
    try:
        return quantity.canonical(value)
    except ValueError:
        return str(value)


def count(value: Any) -> int:
    """An integer field; 0 where it is absent."""
    return int(value or 0)


def terminating_or(obj: Obj, phase: Any) -> str:
    return "Terminating" if dig(obj, "metadata", "deletionTimestamp") else str(phase or "")


def created_at(obj: Obj) -> str | None:
    moment = parse_time(dig(obj, "metadata", "creationTimestamp"))
    return None if moment is None else format_time(moment)


def name_and_age(obj: Obj, now: datetime) -> list[Any]:
    return [name_of(obj), age(obj, now)]


def _default_cells(obj: Obj, _now: datetime) -> list[Any]:
    return [name_of(obj), created_at(obj)]


_DEFAULT = spec(_default_cells, NAME, col("Created At", "date"))


def default_table() -> TableSpec:
    """For kinds without a printer of their own: the name and the time of creation."""
    return _DEFAULT
