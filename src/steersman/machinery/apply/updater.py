"""What a write does to who owns what: `update` follows writes of any kind, `apply` is server-side apply itself.

Whoever changes a field owns it from then on, alone; with apply that is a conflict unless forced, and who applies owns all that is
applied, changed or not. What an applier no longer applies and nobody else owns is removed.
Source: KEP-555; sigs.k8s.io/structured-merge-diff, merge; apimachinery/pkg/util/managedfields.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import orjson

from steersman.machinery.apply import checking, fieldset, sets
from steersman.machinery.apply.compare import Comparison, compare
from steersman.machinery.apply.fieldset import FieldSet
from steersman.machinery.apply.managers import Managed, ManagerId, Managers
from steersman.machinery.apply.merging import merge
from steersman.machinery.apply.removing import remove
from steersman.machinery.apply.sets import of_config, struct_fields_too
from steersman.machinery.apply.types import KeyFault, Type
from steersman.machinery.meta import Obj

Reset = Callable[[FieldSet], FieldSet]
"""Leaves out of a set what an endpoint does not write: status of the main endpoint, spec of the status endpoint."""


class Versions(Protocol):
    """A kind in all its versions."""

    def type_of(self, api_version: str) -> Type | None:
        """None for a version that is not served."""

    def convert(self, obj: Obj, api_version: str) -> Obj:
        """The object in another served version. It is not changed."""


class Writer(NamedTuple):
    """Who writes, in which version, through which endpoint; now: RFC 3339."""

    who: ManagerId
    api_version: str
    reset: Reset
    now: str


class Fault(Exception):
    """The applied (or the live) object does not fit the type. The text is upstream's."""


class Conflicts(Exception):
    """What cannot be applied without force: who owns which path, sorted."""

    def __init__(self, found: list[tuple[ManagerId, fieldset.Path]]) -> None:
        super().__init__(f"{len(found)} conflicts")
        self.found = found


class Applied(NamedTuple):
    """obj is None if applying changed nothing but maybe who owns it."""

    obj: Obj | None
    managers: Managers


def update(old: Obj, new: Obj, managers: Managers, writer: Writer, versions: Versions) -> Managers:
    """The managers after a write from old (empty: a creation) to new, both without managedFields. Raises KeyFault."""
    kind = versions.type_of(writer.api_version)
    assert kind is not None, "written through a version that is not served"
    found = compare(old, new, kind).without(writer.reset)
    if found.nothing:
        return managers
    made = dict(managers)
    mine = made.pop(writer.who, None)
    made = _give_way(old, new, made, _Compared(writer, found, versions))
    touched = found.touched
    before = fieldset.difference(mine.fields, found.removed) if mine is not None else fieldset.EMPTY
    if touched:
        made[writer.who] = Managed(fieldset.union(before, touched), writer.api_version, writer.now)
    elif before and mine is not None:
        made[writer.who] = mine._replace(fields=before, api_version=writer.api_version)
    return made


def folded(managers: Managers, versions: Versions) -> Managers:
    """The managers of an object whose type may have changed since (custom resources)."""
    made: Managers = {}
    for who, managed in managers.items():
        kind = versions.type_of(managed.api_version)
        made[who] = managed if kind is None else managed._replace(fields=sets.folded(managed.fields, kind))
    return made


class _Compared:
    """The comparison of a write in every version that is asked for."""

    def __init__(self, writer: Writer, found: Comparison, versions: Versions) -> None:
        self._reset, self._versions = writer.reset, versions
        self._found: dict[str, Comparison | None] = {writer.api_version: found}

    def at(self, api_version: str, old: Obj, new: Obj) -> Comparison | None:
        if api_version not in self._found:
            kind = self._versions.type_of(api_version)
            self._found[api_version] = (
                None
                if kind is None
                else compare(
                    self._versions.convert(old, api_version) if old else old, self._versions.convert(new, api_version), kind
                ).without(self._reset)
            )
        return self._found[api_version]


def _give_way(old: Obj, new: Obj, managers: Managers, compared: _Compared) -> Managers:
    """The others without what was changed, added or removed. Those of versions no longer served go."""
    made: Managers = {}
    for who, managed in managers.items():
        found = compared.at(managed.api_version, old, new)
        if found is None:
            continue
        fields = managed.fields
        for changed in found:
            fields = fieldset.difference(fields, changed)
        if fields is managed.fields:
            made[who] = managed
        elif fields:
            made[who] = managed._replace(fields=fields)
    return made


def apply(live: Obj, config: Obj, managers: Managers, writer: Writer, versions: Versions, *, force: bool = False) -> Applied:
    """Apply a configuration. live and config are without managedFields and are not changed; live is empty for a creation.

    Raises Fault, Conflicts, and RecursionError for what is too deep.
    """
    kind = versions.type_of(writer.api_version)
    assert kind is not None, "applied through a version that is not served"
    _fit(config, kind, "patch", config, writer.api_version)
    try:
        merged = merge(live, config, kind)
        fields = writer.reset(of_config(config, kind))
        last = managers.get(writer.who)
        others = {who: managed for who, managed in managers.items() if who != writer.who}
        owners = {**others, writer.who: Managed(fields, writer.api_version, "")}
        if last is not None and last.fields:
            # Empty lists are applied but owned by nobody: once more, so that applying twice is applying once.
            merged = merge(_prune(merged, last, owners, writer.api_version, versions), config, kind)
        found = compare(live, merged, kind).without(writer.reset)
        compared = _Compared(writer, found, versions)
        if not force:
            _refuse_conflicts(live, merged, others, compared)
        made = _give_way(live, merged, others, compared)
    except KeyFault as fault:
        _fit(live, kind, "live", live, writer.api_version)
        raise Fault(str(fault)) from fault
    unchanged = live == merged and _bytes(live) == _bytes(merged)
    if fields:
        time = (last.time if last is not None else "") if unchanged else writer.now
        made[writer.who] = Managed(fields, writer.api_version, time)
    return Applied(None if unchanged else merged, made)


def _bytes(obj: Obj) -> bytes:
    try:
        return orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)
    except TypeError as fault:
        raise RecursionError(str(fault)) from fault


def _fit(obj: Obj, kind: Type, what: str, named: Obj, api_version: str) -> None:
    found = checking.faults(obj, kind)
    if found:
        meta = named.get("metadata")
        meta = meta if isinstance(meta, dict) else {}
        name = f"{meta.get('namespace') or ''}/{meta.get('name') or ''}"
        gvk = f"{api_version}, Kind={named.get('kind') or ''}"
        raise Fault(f"failed to create typed {what} object ({name}; {gvk}): {checking.text(found)}")


def _refuse_conflicts(live: Obj, merged: Obj, others: Managers, compared: _Compared) -> None:
    conflicts = []
    for who, managed in sorted(others.items()):
        found = compared.at(managed.api_version, live, merged)
        if found is not None:
            mine = fieldset.intersection(managed.fields, found.touched)
            conflicts += [(who, path) for path in fieldset.paths(mine)]
    if conflicts:
        raise Conflicts(conflicts)


def _prune(merged: Obj, last: Managed, owners: Managers, api_version: str, versions: Versions) -> Obj:
    """Without what the applier applied last time and nobody owns now."""
    kind = versions.type_of(last.api_version)
    if kind is None:
        return merged
    # What one version calls owned, another may have elsewhere: each is looked at in its own.
    at_last = versions.convert(merged, last.api_version)
    owned = _owned(owners, last.api_version)
    given_up = fieldset.difference(struct_fields_too(last.fields, kind), struct_fields_too(owned, kind))
    pruned: Obj = remove(at_last, given_up, kind)
    version = last.api_version
    for other in sorted({managed.api_version for managed in owners.values()} - {last.api_version}):
        other_kind = versions.type_of(other)
        if other_kind is None:
            continue
        whole, rest = versions.convert(merged, other), versions.convert(pruned, other)
        lost = fieldset.difference(_everything(whole, other_kind), _everything(rest, other_kind))
        gone = fieldset.difference(lost, struct_fields_too(_owned(owners, other), other_kind))
        if gone != lost:
            pruned, version = remove(whole, gone, other_kind), other
    return versions.convert(pruned, api_version) if version != api_version else pruned


def _owned(owners: Managers, api_version: str) -> FieldSet:
    owned = fieldset.EMPTY
    for managed in owners.values():
        if managed.api_version == api_version:
            owned = fieldset.union(owned, managed.fields)
    return owned


def _everything(obj: Obj, kind: Type) -> FieldSet:
    return struct_fields_too(of_config(obj, kind), kind)
