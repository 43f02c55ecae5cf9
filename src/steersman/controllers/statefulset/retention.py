"""Whom a claim belongs to, so that it goes with its owner: persistentVolumeClaimRetentionPolicy (KEP-1847).

whenDeleted Delete: the set. whenScaled Delete: the pod, from when its ordinal is not wanted any more. Retain: nobody.
"""

from __future__ import annotations

from steersman.api.resources import PODS, STATEFUL_SETS
from steersman.controllers.statefulset.identity import ordinal_of, ordinals
from steersman.machinery.meta import Obj, controller_of, dig, name_of, owner_reference, uid_of


def _policy(owner: Obj, when: str) -> bool:
    return bool(dig(owner, "spec", "persistentVolumeClaimRetentionPolicy", when, default="Retain") == "Delete")


def deletes(owner: Obj) -> bool:
    """Whether claims may go at all."""
    return _policy(owner, "whenDeleted") or _policy(owner, "whenScaled")


def corrected(owner: Obj, pod: Obj, claim: Obj) -> Obj | None:
    """The claim with the owner it should have; None if it has it, or if somebody else controls it."""
    references = claim["metadata"].get("ownerReferences") or []
    if any(ref.get("controller") and not _ours(ref, owner, pod) for ref in references):
        return None
    wanted: list[Obj] = []
    if _policy(owner, "whenScaled") and ordinal_of(name_of(pod))[1] not in ordinals(owner):
        wanted = [owner_reference({"apiVersion": PODS.api_version, "kind": PODS.kind, **pod}, block_deletion=False)]
    elif _policy(owner, "whenDeleted"):
        wanted = [
            owner_reference({"apiVersion": STATEFUL_SETS.api_version, "kind": STATEFUL_SETS.kind, **owner}, block_deletion=False)
        ]
    kept = [ref for ref in references if not _ours(ref, owner, pod)]
    if kept + wanted == references:
        return None
    return {**claim, "metadata": {**claim["metadata"], "ownerReferences": kept + wanted}}


def is_stale(claim: Obj, pod: Obj | None, name: str) -> bool:
    """Whether the claim belongs to an earlier pod of that name: it is about to be collected, so nothing may mount it again."""
    ref = controller_of(claim)
    if ref is None or ref.get("kind") != PODS.kind or ref["name"] != name:
        return False
    return pod is None or ref["uid"] != uid_of(pod)


def _ours(ref: Obj, owner: Obj, pod: Obj) -> bool:
    if ref.get("kind") == STATEFUL_SETS.kind:
        return bool(ref["uid"] == uid_of(owner))
    return bool(ref.get("kind") == PODS.kind and ref["name"] == name_of(pod))
