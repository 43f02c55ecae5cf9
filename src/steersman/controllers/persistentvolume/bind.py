"""Binding, step by step: the volume points to its claim, then the claim to its volume, then the claim's status says so.

Each step is a write that only succeeds on what was seen, and each can be found half done and be finished later: of two
claims that want one volume the second gets a conflict, and looks for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steersman.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from steersman.loop.spec import Decision, Result, Update
from steersman.loop.volumes import BIND_COMPLETED, BOUND_BY_CONTROLLER, is_reserved_for
from steersman.machinery.meta import Obj, annotations_of, dig, name_of, namespace_of, uid_of


def bind(volume: Obj, claim: Obj) -> Decision:
    wanted = _pointing_to(volume, claim)
    if wanted == volume:
        return _bind_claim(volume, claim)
    return Decision((Update(PERSISTENT_VOLUMES, wanted),), then=lambda done: _after(done, lambda _: _bind_claim(volume, claim)))


def claim_status(claim: Obj, phase: str, volume: Obj | None = None) -> Update | None:
    """The write that brings a claim's status to this; None if it is so already."""
    old = claim.get("status") or {}
    status = {key: value for key, value in old.items() if key not in ("phase", "accessModes", "capacity")}
    status["phase"] = phase
    if volume is not None:
        status["accessModes"] = dig(volume, "spec", "accessModes", default=[])
        # Once bound, the capacity is what the node reports after it has grown the file system.
        kept = old.get("capacity") if old.get("phase") == phase else None
        status["capacity"] = kept or dig(volume, "spec", "capacity", default={})
        if old.get("phase") != phase:
            # Later changes of the class are for whoever makes them, a CSI resizer, to tell.
            status.pop("currentVolumeAttributesClassName", None)
            if dig(volume, "spec", "volumeAttributesClassName"):
                status["currentVolumeAttributesClassName"] = volume["spec"]["volumeAttributesClassName"]
    return None if status == old else Update(PERSISTENT_VOLUME_CLAIMS, {**claim, "status": status}, "status")


def annotated(obj: Obj, **marks: str | None) -> Obj:
    """A copy with these annotations (`_` names them; None takes one away) set."""
    found = {key: value for key, value in annotations_of(obj).items() if key not in marks}
    found |= {key: value for key, value in marks.items() if value is not None}
    metadata = {key: value for key, value in obj["metadata"].items() if key != "annotations"}
    return {**obj, "metadata": {**metadata, "annotations": found} if found else metadata}


def _pointing_to(volume: Obj, claim: Obj) -> Obj:
    """The volume with a claimRef to the claim. What somebody else has reserved is not marked as the binder's doing."""
    ref = dig(volume, "spec", "claimRef", default={})
    if not is_reserved_for(volume, claim):
        volume = annotated(volume, **{BOUND_BY_CONTROLLER: "yes"})
    if ref.get("uid") == uid_of(claim):
        return volume
    made = {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "namespace": namespace_of(claim),
        "name": name_of(claim),
        "uid": uid_of(claim),
        "resourceVersion": claim["metadata"]["resourceVersion"],
    }
    return {**volume, "spec": {**volume["spec"], "claimRef": made}}


def _bind_claim(volume: Obj, claim: Obj) -> Decision:
    wanted, marks = claim, {BIND_COMPLETED: "yes"}
    if dig(claim, "spec", "volumeName") != name_of(volume):
        wanted = {**claim, "spec": {**claim["spec"], "volumeName": name_of(volume)}}
        marks[BOUND_BY_CONTROLLER] = "yes"
    if any(annotations_of(claim).get(key) is None for key in marks):
        wanted = annotated(wanted, **marks)
    if wanted == claim:
        return _tell(volume, claim)
    update = Update(PERSISTENT_VOLUME_CLAIMS, wanted)
    return Decision((update,), then=lambda done: _after(done, lambda answer: _tell(volume, answer)))


def _tell(volume: Obj, claim: Obj) -> Decision:
    update = claim_status(claim, "Bound", volume)
    return Decision((update,) if update is not None else ())


def _after(done: Sequence[Result], following: Any) -> Decision:
    """The next step, if the last one succeeded."""
    answer = done[-1].obj
    if answer is None:
        return Decision()
    decision: Decision = following(answer)
    return decision
