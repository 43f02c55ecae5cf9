"""What becomes of a claim: it waits, is given a volume, has one made for it, or has lost its own."""

from __future__ import annotations

from collections.abc import Sequence

from steersman.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES
from steersman.controllers.persistentvolume.bind import annotated, bind, claim_status
from steersman.loop.pods import node_of
from steersman.loop.spec import Action, Decision, Emit, Result, Snapshot, Update
from steersman.loop.volumes import (
    BETA_PROVISIONER,
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    PROVISIONER,
    SELECTED_NODE,
    best,
    class_of,
    default_class,
    is_reserved_for,
    mismatch,
    names_class,
    waits_for_consumer,
)
from steersman.machinery.meta import Key, Obj, annotations_of, dig, is_deleting, name_of, namespace_of, uid_of

PODS_BY_CLAIM = "unscheduled-pods-by-claim"
_IN_TREE = "kubernetes.io/"


def reconcile(snapshot: Snapshot, key: Key) -> Decision:
    claim = snapshot.get(PERSISTENT_VOLUME_CLAIMS, *key)
    if claim is None:
        return Decision()
    if BIND_COMPLETED in annotations_of(claim):
        return _bound(snapshot, claim)
    if is_deleting(claim):
        return Decision()
    if dig(claim, "spec", "volumeName"):
        return _prebound(snapshot, claim)
    return _unbound(snapshot, claim)


def _bound(snapshot: Snapshot, claim: Obj) -> Decision:
    """Check that the volume is still there and still the claim's."""
    named = dig(claim, "spec", "volumeName")
    if not named:
        return _lost(claim, "ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
    volume = snapshot.get(PERSISTENT_VOLUMES, "", named)
    if volume is None:
        return _lost(claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
    ref = dig(volume, "spec", "claimRef")
    if ref is None or ref.get("uid") == uid_of(claim):
        return Decision() if is_deleting(claim) else bind(volume, claim)
    return _lost(claim, "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")


def _lost(claim: Obj, reason: str, message: str) -> Decision:
    update = claim_status(claim, "Lost")
    if update is None:
        return Decision()
    return Decision((update, Emit(claim, "Warning", reason, message)))


def _prebound(snapshot: Snapshot, claim: Obj) -> Decision:
    """The claim names its volume, which may come later, or be another's."""
    volume = snapshot.get(PERSISTENT_VOLUMES, "", claim["spec"]["volumeName"])
    if volume is None:
        return _pending(claim)
    if dig(volume, "spec", "claimRef") is None:
        if why := mismatch(volume, claim):
            return _pending(claim, "Warning", "VolumeMismatch", f'Cannot bind to requested volume "{name_of(volume)}": {why}')
        return bind(volume, claim)
    if is_reserved_for(volume, claim):
        return bind(volume, claim)
    if BOUND_BY_CONTROLLER in annotations_of(claim):
        # Its binding was broken off half way, and the volume has since gone to another.
        return _lost(claim, "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
    text = f'volume "{name_of(volume)}" already bound to a different claim.'
    return _pending(claim, "Warning", "FailedBinding", text)


def _unbound(snapshot: Snapshot, claim: Obj) -> Decision:
    if not names_class(claim) and (chosen := default_class(snapshot.list(STORAGE_CLASSES))) is not None:
        # Made before there was a default class (KEP-3333).
        spec = {**claim["spec"], "storageClassName": name_of(chosen)}
        return Decision((Update(PERSISTENT_VOLUME_CLAIMS, {**claim, "spec": spec}),))
    class_name = class_of(claim)
    storage_class = snapshot.get(STORAGE_CLASSES, "", class_name) if class_name else None
    waits = waits_for_consumer(storage_class)
    volume = best(snapshot.list(PERSISTENT_VOLUMES), claim, waits=waits)
    if volume is not None:
        return bind(volume, claim)
    if waits and not annotations_of(claim).get(SELECTED_NODE):
        return _pending(claim, "Normal", *_waiting_for(snapshot, claim))
    if not class_name:
        text = "no persistent volumes available for this claim and no storage class is set"
        return _pending(claim, "Normal", "FailedBinding", text)
    return _provision(claim, class_name, storage_class)


def _waiting_for(snapshot: Snapshot, claim: Obj) -> tuple[str, str]:
    pods = snapshot.indexed(PODS, PODS_BY_CLAIM, f"{namespace_of(claim)}/{name_of(claim)}")
    names = sorted(name_of(pod) for pod in pods if not node_of(pod))
    if not names:
        return "WaitForFirstConsumer", "waiting for first consumer to be created before binding"
    return "WaitForPodScheduled", f"waiting for pod{'s' if len(names) > 1 else ''} {','.join(names)} to be scheduled"


def _provision(claim: Obj, class_name: str, storage_class: Obj | None) -> Decision:
    """Provisioners stand outside: an annotation tells the class's one to go to work."""
    if storage_class is None:
        return _pending(claim, "Warning", "ProvisioningFailed", f'storageclass.storage.k8s.io "{class_name}" not found')
    provisioner = str(storage_class["provisioner"])
    if provisioner.startswith(_IN_TREE):
        return _pending(claim, "Warning", "ProvisioningFailed", f"no volume plugin matched name: {provisioner}")
    if annotations_of(claim).get(PROVISIONER) == provisioner:
        return _pending(claim)
    text = (
        f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system "
        "administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."
    )
    marked = annotated(claim, **{PROVISIONER: provisioner, BETA_PROVISIONER: provisioner})

    def told(done: Sequence[Result]) -> Decision:
        answer = done[0].obj
        return _pending(answer, "Normal", "ExternalProvisioning", text) if answer is not None else Decision()

    return Decision((Update(PERSISTENT_VOLUME_CLAIMS, marked),), then=told)


def _pending(claim: Obj, kind: str = "", reason: str = "", message: str = "") -> Decision:
    update = claim_status(claim, "Pending")
    actions: list[Action] = [] if update is None else [update]
    if reason:
        actions.append(Emit(claim, kind, reason, message))
    return Decision(actions)
