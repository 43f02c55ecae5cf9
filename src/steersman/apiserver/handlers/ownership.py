"""metadata.managedFields on the way of a write: who writes, what they own afterwards, and what a client says about it itself.

Following ownership never fails a write: an object that cannot be followed loses its managedFields. Not here: apply.py.
"""

from __future__ import annotations

import logging

import orjson

from steersman.api.managedfields import reset, type_of
from steersman.api.schema.applytypes import NOT_OWNED_METADATA
from steersman.api.schema.zeros import fill
from steersman.apiserver.contracts import Call
from steersman.apiserver.handlers.write import Write
from steersman.apiserver.registry import Registry, Served
from steersman.machinery.apply import managers
from steersman.machinery.apply.compare import compare
from steersman.machinery.apply.fieldset import EMPTY, FieldSet, ordered
from steersman.machinery.apply.managers import UPDATE, Managed, Managers, manager_id
from steersman.machinery.apply.types import KeyFault, Type
from steersman.machinery.apply.updater import Versions, Writer, folded, update
from steersman.machinery.gvk import split_api_version
from steersman.machinery.kept import kept
from steersman.machinery.meta import Obj, metadata

log = logging.getLogger(__name__)

_LONGEST_NAME = 128


class KindVersions:
    """updater.Versions of a served kind: the other versions that are served of it."""

    def __init__(self, registry: Registry, served: Served) -> None:
        self._registry, self._served = registry, served

    def _at(self, api_version: str) -> Served | None:
        resource = self._served.resource
        if api_version == resource.api_version:
            return self._served
        found = self._registry.lookup(*split_api_version(api_version), resource.plural)
        # Of kinds of the same name in different groups only those are the same kind that are stored as one.
        return found if found is not None and found.stored and found.cache is self._served.cache else None

    def aside(self, owners: Managers) -> Managers:
        """Those in versions that only a webhook could tell: they keep what they own."""
        if self._served.spec.webhook is None:
            return {}
        mine = self._served.resource.api_version
        return {who: managed for who, managed in owners.items() if managed.api_version != mine and self._served_at(managed)}

    def _served_at(self, managed: Managed) -> bool:
        version = split_api_version(managed.api_version)
        return self._registry.lookup(*version, self._served.resource.plural) is not None

    def type_of(self, api_version: str) -> Type | None:
        found = self._at(api_version)
        return type_of(found.spec) if found is not None else None

    def convert(self, obj: Obj, api_version: str) -> Obj:
        source, target = self._at(str(obj.get("apiVersion") or "")), self._at(api_version)
        assert target is not None, "asked for a version without a type"
        if source is None or source is target:
            return obj
        stored = source.to_storage(obj)
        return target.convert(stored) if target.convert is not None else stored


def manager_name(call: Call, asked: str) -> str:
    """The fieldManager option, or the first part of the client's User-Agent."""
    return asked or _name_of(call.request.headers.get("user-agent", ""))


@kept(64)
def _name_of(agent: str) -> str:
    agent = agent.partition("/")[0]
    printable = "".join(letter for letter in agent if letter.isprintable())
    return printable.encode()[:_LONGEST_NAME].decode("utf-8", "ignore") or "unknown"


def writer(write: Write, *, creating: bool = False) -> Writer:
    """Who writes by this request, if it is no apply."""
    version = write.served.resource.api_version
    who = manager_id(manager_name(write.call, write.options.field_manager), UPDATE, version, write.subresource)
    return Writer(who, version, reset(write.served.spec, write.subresource, creating=creating), write.api.timestamp())


def follow_create(write: Write, obj: Obj) -> None:
    """Set the managedFields of a new object, in place: its creator owns all of it."""
    who = writer(write, creating=True)
    if "managedFields" in obj["metadata"] or "spec" not in obj:
        _follow(write, {}, obj, _sent(obj) or {}, who)
        return
    fields = _fields_of_new(write, obj, who)
    if fields:
        obj["metadata"]["managedFields"] = [managers.entry(who.who, Managed(fields, who.api_version, who.now))]


_FIELDS: dict[tuple[Type, bytes], FieldSet] = {}
_MOST_FIELDS = 256


def _fields_of_new(write: Write, obj: Obj, who: Writer) -> FieldSet:
    """The fields of a new object, sorted; computed once for all that only have other names (pods of a ReplicaSet)."""
    kind = type_of(write.served.spec)
    try:
        return _found_fields(kind, obj, who)
    except (KeyFault, RecursionError, TypeError) as fault:
        log.debug("ownership was not followed: resource=%s error=%s", write.served.resource.qualified, fault)
        return EMPTY


def _found_fields(kind: Type, obj: Obj, who: Writer) -> FieldSet:
    """Raises KeyFault, RecursionError, TypeError (for objects that are too deep)."""
    meta = {key: value for key, value in obj["metadata"].items() if key not in NOT_OWNED_METADATA}
    shape = (kind, orjson.dumps({**obj, "metadata": meta}))
    found = _FIELDS.get(shape)
    if found is None:
        found = ordered(compare({}, obj, kind).without(who.reset).touched)
        if len(_FIELDS) >= _MOST_FIELDS:
            _FIELDS.clear()
        _FIELDS[shape] = found
    return found


def follow_update(write: Write, new: Obj, old: Obj) -> None:
    """Set the managedFields of an object after a write, in place."""
    meta = metadata(new)
    live = metadata(old).get("managedFields")
    sent = meta.get("managedFields")
    owners: Managers | None
    if write.subresource or sent is None or sent == live:
        owners = managers.stored(live)
    elif managers.is_reset(sent):
        owners = {}
    else:
        owners = _sent(new) or managers.stored(live)
    if not owners:
        # Nobody owns anything: it stays so until somebody applies.
        meta.pop("managedFields", None)
        return
    if write.subresource == "status" and write.served.spec.schema:
        # Nulls that are always written (lastProbeTime) are owned with the condition that they are in.
        fill(new, write.served.spec.schema)
    _follow(write, old, new, current(write.served, owners, write.api.registry), writer(write))


def current(served: Served, owners: Managers, registry: Registry) -> Managers:
    """Stored managers as the type is now: a definition may have changed since."""
    return owners if served.spec.schema else folded(owners, KindVersions(registry, served))


def _sent(obj: Obj) -> Managers | None:
    """What a client says itself, if it makes sense."""
    try:
        return managers.decode(metadata(obj).get("managedFields") or [])
    except ValueError:
        return None


def _follow(write: Write, old: Obj, new: Obj, owners: Managers, who: Writer) -> None:
    try:
        versions = KindVersions(write.api.registry, write.served)
        put(new, {**followed(old, new, owners, who, versions), **versions.aside(owners)}, owners)
    except (KeyFault, RecursionError) as fault:
        log.debug("ownership was not followed: resource=%s error=%s", write.served.resource.qualified, fault)
        put(new, {})


def followed(old: Obj, new: Obj, owners: Managers, who: Writer, versions: Versions) -> Managers:
    """The managers after a write; not more updaters than may be. Raises KeyFault."""
    return managers.capped(update(old, new, owners, who, versions))


def put(obj: Obj, made: Managers, before: Managers | None = None) -> None:
    """before: those that the object had, as they were stored. Raises RecursionError."""
    meta = metadata(obj)
    if made:
        meta["managedFields"] = managers.encode(made, before)
    else:
        meta.pop("managedFields", None)


def same_but_times(new: Obj, old: Obj) -> bool:
    """Whether the same is owned by the same, whatever times say."""
    mine, theirs = new["metadata"].get("managedFields") or (), old["metadata"].get("managedFields") or ()
    return mine == theirs or managers.same_but_times(mine, theirs)
