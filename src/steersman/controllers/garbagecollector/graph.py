"""Owners of an object as the caches know them: solid, waiting for their dependents, not there, or of an unknown kind."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from steersman.loop.spec import Snapshot
from steersman.machinery.gvk import Resource, split_api_version
from steersman.machinery.meta import Obj, is_deleting, namespace_of, uid_of

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


class State(Enum):
    SOLID = "exists, with that uid"
    WAITING = "is being deleted in the foreground and waits for this one"
    ABSENT = "isn't in the cache: to be confirmed by a live read"
    UNKNOWN = "is of a kind that isn't served, or can't be an owner of this one"


class Kinds:
    """Which resource serves an owner reference's kind. Learns anew at each discovery."""

    def __init__(self) -> None:
        self._exact: dict[tuple[str, str], Resource] = {}
        self._by_group: dict[tuple[str, str], Resource] = {}

    def learn(self, resources: Sequence[Resource]) -> None:
        self._exact = {(resource.api_version, resource.kind): resource for resource in resources}
        self._by_group = {(resource.group, resource.kind): resource for resource in resources}

    def resource(self, ref: Obj) -> Resource | None:
        """Another version of the same kind does as well: a reference outlives the version it was written with."""
        api_version, kind = ref.get("apiVersion", ""), ref.get("kind", "")
        return self._exact.get((api_version, kind)) or self._by_group.get((split_api_version(api_version)[0], kind))


def references(obj: Obj) -> list[Obj]:
    found: list[Obj] = obj["metadata"].get("ownerReferences") or []
    return found


def owner_state(kinds: Kinds, snapshot: Snapshot, resource: Resource, obj: Obj, ref: Obj) -> State:
    owners = kinds.resource(ref)
    if owners is None or (owners.namespaced and not resource.namespaced):
        return State.UNKNOWN
    owner = snapshot.get(owners, namespace_of(obj) if owners.namespaced else "", ref.get("name", ""))
    return state_of(owner, ref)


def state_of(owner: Obj | None, ref: Obj) -> State:
    if owner is None or uid_of(owner) != ref["uid"]:
        return State.ABSENT
    waits = is_deleting(owner) and FOREGROUND in (owner["metadata"].get("finalizers") or ())
    return State.WAITING if waits and ref.get("blockOwnerDeletion") else State.SOLID
