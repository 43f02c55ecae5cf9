"""What becomes of a volume: it is free, bound, released by a claim that is gone, and then kept or given to its provisioner."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from steersman.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from steersman.controllers.persistentvolume.bind import annotated
from steersman.loop.spec import Action, Decision, Emit, Fetch, Result, Snapshot, Update
from steersman.loop.volumes import BOUND_BY_CONTROLLER, PROVISIONED_BY, mode
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Key, Obj, annotations_of, dig, format_time, name_of, uid_of


def reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    volume = snapshot.get(PERSISTENT_VOLUMES, *key)
    if volume is None:
        return Decision()
    ref = dig(volume, "spec", "claimRef")
    if ref is None or not ref.get("uid"):
        # Without a uid it is reserved by hand for a claim that may not be there yet.
        return _phase(volume, now, "Available")
    claim = snapshot.get(PERSISTENT_VOLUME_CLAIMS, ref["namespace"], ref["name"])
    if claim is None or uid_of(claim) != ref["uid"]:
        return _if_really_gone(volume, ref, now)
    named = dig(claim, "spec", "volumeName")
    if named == name_of(volume):
        return _phase(volume, now, "Bound")
    if not named:
        # The claim's own turn goes on from here, but for what it can't bind.
        if mode(volume) == mode(claim):
            return Decision()
        text = (
            f'Cannot bind PersistentVolume to requested PersistentVolumeClaim "{name_of(claim)}" due to incompatible volumeMode.'
        )
        return Decision((Emit(volume, "Warning", "VolumeMismatch", text),))
    return _passed_over(volume, now)


def _if_really_gone(volume: Obj, ref: Obj, now: datetime) -> Decision:
    """Data may be deleted now: ask the server itself, not a cache that may not have seen a new claim yet."""

    def answered(done: Sequence[Result]) -> Decision:
        found, error = done[0].obj, done[0].error
        if error is not None and not isinstance(error, NotFound):
            return Decision()
        if found is not None and uid_of(found) == ref["uid"]:
            return Decision()
        return _release(volume, now)

    return Decision((Fetch(PERSISTENT_VOLUME_CLAIMS, ref["namespace"], ref["name"]),), then=answered)


def _passed_over(volume: Obj, now: datetime) -> Decision:
    """Its claim has taken another volume."""
    spec = volume["spec"]
    if PROVISIONED_BY in annotations_of(volume) and spec.get("persistentVolumeReclaimPolicy") == "Delete":
        return _release(volume, now)
    if BOUND_BY_CONTROLLER in annotations_of(volume):
        free = {key: value for key, value in spec.items() if key != "claimRef"}
        return Decision((Update(PERSISTENT_VOLUMES, {**annotated(volume, **{BOUND_BY_CONTROLLER: None}), "spec": free}),))
    # Reserved by hand: the reservation stays, for the next claim of that name.
    ref = {key: value for key, value in spec["claimRef"].items() if key not in ("uid", "resourceVersion")}
    return Decision((Update(PERSISTENT_VOLUMES, {**volume, "spec": {**spec, "claimRef": ref}}),))


def _release(volume: Obj, now: datetime) -> Decision:
    phase = dig(volume, "status", "phase")
    policy = dig(volume, "spec", "persistentVolumeReclaimPolicy", default="Retain")
    if phase == "Failed":
        return Decision()
    if policy == "Delete" and PROVISIONED_BY not in annotations_of(volume):
        text = f'error getting deleter volume plugin for volume "{name_of(volume)}": no deletable volume plugin matched'
        return _phase(volume, now, "Failed", "VolumeFailedDelete", text)
    if policy == "Recycle":
        return _phase(volume, now, "Failed", "VolumeFailedRecycle", "No recycler plugin found for the volume!")
    # Retain keeps it for a person to look after; Delete is the provisioner's work, which waits for this phase.
    return _phase(volume, now, "Released")


def _phase(volume: Obj, now: datetime, phase: str, reason: str = "", message: str = "") -> Decision:
    old = volume.get("status") or {}
    if old.get("phase") == phase:
        # What others say about it in the status is theirs.
        return Decision()
    status = {"phase": phase, **({"message": message} if message else {}), "lastPhaseTransitionTime": format_time(now)}
    actions: list[Action] = [Update(PERSISTENT_VOLUMES, {**volume, "status": status}, "status")]
    if reason:
        actions.append(Emit(volume, "Warning", reason, message))
    return Decision(actions)
