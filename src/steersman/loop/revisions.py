"""The history of a workload's template: ControllerRevisions, as daemon sets and stateful sets keep them.

A revision's data is a patch that puts its template back; clients apply it as it is (`kubectl rollout undo`). Pure.
Source: upstream pkg/controller/history.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from steersman.api.resources import CONTROLLER_REVISIONS
from steersman.loop.hashing import content_hash
from steersman.loop.spec import Action, Create, Decision, Delete, Fetch, Result, Update
from steersman.machinery.errors import AlreadyExists
from steersman.machinery.meta import (
    Obj,
    annotations_of,
    controller_of,
    dig,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)

HASH = "controller.kubernetes.io/hash"
POD_HASH = "controller-revision-hash"
_NAME_CHARS = 223


def data_of(owner: Obj) -> Obj:
    return {"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}}


def in_order(value: Any) -> Any:
    """With the keys of all its objects in order: clients in Go compare a revision's bytes with their own, which are."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value)}
    return [in_order(item) for item in value] if isinstance(value, list) else value


def template_of(revision: Obj) -> Obj:
    """The pod template a revision stands for."""
    return {key: value for key, value in revision["data"]["spec"]["template"].items() if key != "$patch"}


def number_of(revision: Obj) -> int:
    return int(revision.get("revision") or 0)


def ordered(revisions: Sequence[Obj]) -> list[Obj]:
    """Oldest first."""
    return sorted(revisions, key=lambda item: (number_of(item), dig(item, "metadata", "creationTimestamp"), name_of(item)))


def find_current(owner: Obj, revisions: Sequence[Obj]) -> Obj | None:
    """The newest revision of the owner's template as it is now."""
    wanted = data_of(owner)
    return next((item for item in reversed(ordered(revisions)) if item.get("data") == wanted), None)


def make(owner: Obj, number: int, hash_label: str) -> Obj:
    """A revision of the template. Its labels are the template's, so that the owner's selector finds it."""
    data = in_order(data_of(owner))
    digest = content_hash(data, dig(owner, "status", "collisionCount", default=0) or None)
    labels = {**dig(owner, "spec", "template", "metadata", "labels", default={}), hash_label: digest}
    metadata: Obj = {
        "name": f"{name_of(owner)[:_NAME_CHARS]}-{digest}",
        "namespace": namespace_of(owner),
        "labels": labels,
        "ownerReferences": [owner_reference(owner)],
    }
    if annotations_of(owner):
        metadata["annotations"] = dict(annotations_of(owner))
    return {
        "apiVersion": CONTROLLER_REVISIONS.api_version,
        "kind": CONTROLLER_REVISIONS.kind,
        "metadata": metadata,
        "data": data,
        "revision": number,
    }


@dataclass(frozen=True, slots=True)
class History:
    """What is known of the current template: its revision, or what must be written before there is one."""

    current: Obj | None
    first: Decision | None


def look_up(owner: Obj, revisions: Sequence[Obj], hash_label: str, count_collision: Callable[[int], Action]) -> History:
    """The current revision. A new template gets one; one that comes back gets the highest number again.

    `count_collision` makes the status write for a name that belongs to another template.
    """
    found = find_current(owner, revisions)
    highest = max((number_of(item) for item in revisions), default=0)
    if found is None:
        made = make(owner, highest + 1, hash_label)
        return History(
            None, Decision((Create(CONTROLLER_REVISIONS, made),), then=lambda done: _made(owner, made, done, count_collision))
        )
    if number_of(found) < highest:
        return History(found, Decision((Update(CONTROLLER_REVISIONS, {**found, "revision": highest + 1}),)))
    return History(found, None)


def _made(owner: Obj, made: Obj, results: Sequence[Result], count_collision: Callable[[int], Action]) -> Decision:
    """The new revision's own event brings the owner back."""
    if not isinstance(results[0].error, AlreadyExists):
        return Decision()

    def compared(found: Sequence[Result]) -> Decision:
        taken = found[0].obj
        if taken is None:
            return Decision()
        holder = controller_of(taken)
        if holder is not None and holder["uid"] == uid_of(owner) and taken.get("data") == made["data"]:
            return Decision()
        return Decision((count_collision(int(dig(owner, "status", "collisionCount", default=0)) + 1),))

    return Decision((Fetch(CONTROLLER_REVISIONS, namespace_of(made), name_of(made)),), then=compared)


def surplus(owner: Obj, revisions: Sequence[Obj], in_use: Collection[str]) -> list[Delete]:
    """Deletions of the oldest revisions beyond revisionHistoryLimit, of those not in use (by name)."""
    limit = int(dig(owner, "spec", "revisionHistoryLimit", default=10))
    idle = [item for item in ordered(revisions) if name_of(item) not in in_use]
    return [
        Delete(CONTROLLER_REVISIONS, namespace_of(item), name_of(item), uid_of(item))
        for item in idle[: max(0, len(idle) - limit)]
    ]


def hash_of(revision: Obj, hash_label: str) -> str:
    return labels_of(revision).get(hash_label, "")
