"""metadata.managedFields: who owns what. `Managers` is what the walkers work with, entries are how objects have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import orjson

from steersman.machinery.apply import fieldset
from steersman.machinery.apply.fieldset import FieldSet
from steersman.machinery.kept import kept
from steersman.machinery.meta import Obj

APPLY, UPDATE = "Apply", "Update"
MOST_UPDATES = 10
"""More entries of operation Update than this are folded: every client that ever wrote has one."""
_ANCIENT = "ancient-changes"
_FIELDS_V1 = "FieldsV1"


class ManagerId(NamedTuple):
    """Who: what tells entries apart. api_version is empty for operation Apply, which has one entry over all versions."""

    name: str
    operation: str
    api_version: str
    subresource: str


class Managed(NamedTuple):
    """What they own, as seen in which version, and since when (RFC 3339; empty if not known)."""

    fields: FieldSet
    api_version: str
    time: str


Managers: TypeAlias = dict[ManagerId, Managed]
_NOBODY: Managers = {}


def manager_id(name: str, operation: str, api_version: str, subresource: str = "") -> ManagerId:
    return ManagerId(name, operation, api_version if operation == UPDATE else "", subresource)


def stored(entries: Sequence[Obj] | None) -> Managers:
    """Entries that this server has written: they need no checking."""
    if not entries:
        return {}
    return {_id(entry): Managed(entry["fieldsV1"], entry["apiVersion"], entry.get("time") or "") for entry in entries}


def decode(entries: Any) -> Managers:
    """Entries that a client has sent. Raises ValueError with upstream's text."""
    if not isinstance(entries, list):
        raise ValueError("managedFields is no list")
    found: Managers = {}
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict) or entry.get("operation") not in (APPLY, UPDATE):
            raise ValueError("operation must be `Apply` or `Update`")
        if not entry.get("apiVersion"):
            raise ValueError("apiVersion must not be empty")
        kind = entry.get("fieldsType") or ""
        if not kind:
            raise ValueError(f"missing fieldsType in managed fields entry {index}")
        if kind != _FIELDS_V1:
            raise ValueError(f'invalid fieldsType "{kind}" in managed fields entry {index}')
        fields = fieldset.ordered(fieldset.decode(entry.get("fieldsV1") or {}))
        found[_id(entry)] = Managed(fields, str(entry["apiVersion"]), str(entry.get("time") or ""))
    return found


def _id(entry: Obj) -> ManagerId:
    operation = entry["operation"]
    version = entry["apiVersion"] if operation == UPDATE else ""
    return ManagerId(entry.get("manager") or "", operation, version, entry.get("subresource") or "")


def is_reset(entries: Any) -> bool:
    """`[]` or `[{}]`: the way to say that nobody owns anything."""
    return isinstance(entries, list) and entries in ([], [{}])


def entry(who: ManagerId, managed: Managed) -> Obj:
    """One entry, of fields that are sorted (fieldset.ordered)."""
    return _entry(who, managed, managed)


def encode(managers: Managers, before: Managers | None = None) -> list[Obj]:
    """Entries in upstream's order: by operation, time, manager, version and subresource. Raises RecursionError.

    before: managers as `stored` gave them, whose fields need no sorting.
    """
    found = sorted(managers.items(), key=_order) if len(managers) > 1 else managers.items()
    known = before or _NOBODY
    return [_entry(who, managed, known.get(who)) for who, managed in found]


def _order(item: tuple[ManagerId, Managed]) -> tuple[str, ...]:
    who, managed = item
    return (who.operation, managed.time, who.name, managed.api_version, who.subresource)


def _entry(who: ManagerId, managed: Managed, before: Managed | None) -> Obj:
    entry: Obj = {"manager": who.name, "operation": who.operation, "apiVersion": managed.api_version}
    if not who.name:
        del entry["manager"]
    if managed.time:
        entry["time"] = managed.time
    entry["fieldsType"] = _FIELDS_V1
    sorted_already = before is not None and before.fields is managed.fields
    entry["fieldsV1"] = managed.fields if sorted_already else _ordered(_dump(managed.fields))
    if who.subresource:
        entry["subresource"] = who.subresource
    return entry


def _dump(fields: FieldSet) -> bytes:
    try:
        return orjson.dumps(fields)
    except TypeError as fault:
        raise RecursionError(str(fault)) from fault


@kept(256, 64 * 1024)
def _ordered(raw: bytes) -> FieldSet:
    """Sorted once for all objects of the same shape. Shared: never change it."""
    return fieldset.ordered(orjson.loads(raw))


def same_but_times(left: Sequence[Obj], right: Sequence[Obj]) -> bool:
    """Whether entries own the same, whatever their times say."""
    return len(left) == len(right) and stored_without_times(left) == stored_without_times(right)


def stored_without_times(entries: Sequence[Obj]) -> dict[ManagerId, tuple[FieldSet, str]]:
    return {who: (managed.fields, managed.api_version) for who, managed in stored(entries).items()}


def capped(managers: Managers) -> Managers:
    """The oldest of too many updaters become one, per version: `ancient-changes`."""
    updaters = [who for who in managers if who.operation == UPDATE]
    if len(updaters) <= MOST_UPDATES:
        return managers
    updaters.sort(key=lambda who: (managers[who].time, who))
    made = dict(managers)
    left = len(updaters)
    first: dict[str, ManagerId] = {}
    for who in updaters:
        if left <= MOST_UPDATES:
            break
        managed = managers[who]
        version = managed.api_version
        earlier = first.get(version)
        if earlier is None:
            first[version] = who
            continue
        bucket = ManagerId(_ANCIENT, UPDATE, version, "")
        before = made.get(bucket) or made.pop(earlier)
        if who != bucket:
            made.pop(who)
        made[bucket] = Managed(fieldset.union(before.fields, managed.fields), version, managed.time)
        left -= 1
    return made
