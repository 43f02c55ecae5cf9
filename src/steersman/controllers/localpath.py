"""The local-path provisioner: a folder on the node a claim's first pod was given, as a volume of type `local`.

It decides and writes objects only; the folders are the kubelets' (loop/localpath.py says how they work together). Claims
come with the node the scheduler selected; a volume goes when its claim has gone and its policy is Delete.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from steersman.api.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from steersman.loop import localpath
from steersman.loop.localpath import ASKED, DIRECTORY, DONE, NODE
from steersman.loop.spec import ControllerSpec, Create, Decision, Delete, Emit, Fetch, Patch, Result, Snapshot, Update, Watch
from steersman.loop.volumes import (
    DELETION_FINALIZER,
    PROVISIONED_BY,
    PROVISIONER,
    SELECTED_NODE,
    class_of,
    mode,
    waits_for_consumer,
)
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Key, Obj, annotations_of, dig, is_deleting, key_of, labels_of, name_of, namespace_of, uid_of

_MODES = {"ReadWriteOnce", "ReadWriteOncePod"}
_HOSTNAME = "kubernetes.io/hostname"


def reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    return _claim(snapshot, key) if key[0] else _volume(snapshot, key)


# --- claims: volumes come ------------------------------------------------------------------------------------------------


def _claim(snapshot: Snapshot, key: Key) -> Decision:
    claim = snapshot.get(PERSISTENT_VOLUME_CLAIMS, *key)
    if claim is None or is_deleting(claim) or dig(claim, "spec", "volumeName"):
        return Decision()
    if annotations_of(claim).get(PROVISIONER) != localpath.NAME:
        return Decision()
    storage_class = snapshot.get(STORAGE_CLASSES, "", class_of(claim))
    if storage_class is None or storage_class["provisioner"] != localpath.NAME:
        return Decision()
    if snapshot.get(PERSISTENT_VOLUMES, "", localpath.volume_name(uid_of(claim))) is not None:
        return Decision()
    waits = waits_for_consumer(storage_class)
    if waits and not annotations_of(claim).get(SELECTED_NODE):
        return Decision()
    if why := _impossible(claim, waits):
        return Decision((_failure(claim, storage_class, why),))
    selected = annotations_of(claim)[SELECTED_NODE]
    node = snapshot.get(NODES, "", selected)
    if node is None or DIRECTORY not in annotations_of(node):
        # Without the annotation the scheduler chooses again.
        kept = {name: value for name, value in annotations_of(claim).items() if name != SELECTED_NODE}
        freed = {**claim, "metadata": {**claim["metadata"], "annotations": kept}}
        why = f'node "{selected}" offers no local path'
        return Decision((_failure(claim, storage_class, why), Update(PERSISTENT_VOLUME_CLAIMS, freed)))
    return _provision(claim, storage_class, node)


def _impossible(claim: Obj, waits: bool) -> str:
    if mode(claim) != "Filesystem":
        return f"{localpath.NAME} makes no block volumes"
    if not set(dig(claim, "spec", "accessModes", default=())) <= _MODES:
        return f"{localpath.NAME} supports the access modes ReadWriteOnce and ReadWriteOncePod only"
    if dig(claim, "spec", "dataSource") is not None or dig(claim, "spec", "dataSourceRef") is not None:
        return f"{localpath.NAME} makes empty volumes only"
    if dig(claim, "spec", "selector") is not None:
        return "claim.Spec.Selector is not supported"
    return "" if waits else "no node was selected: the class needs volumeBindingMode WaitForFirstConsumer"


def _failure(claim: Obj, storage_class: Obj, why: str) -> Emit:
    text = f'failed to provision volume with StorageClass "{name_of(storage_class)}": {why}'
    return Emit(claim, "Warning", "ProvisioningFailed", text)


def _provision(claim: Obj, storage_class: Obj, node: Obj) -> Decision:
    volume = _made(claim, storage_class, node)

    def told(done: Sequence[Result]) -> Decision:
        if done[0].obj is None:
            return Decision()
        text = f"Successfully provisioned volume {name_of(volume)}"
        return Decision((Emit(claim, "Normal", "ProvisioningSucceeded", text),))

    return Decision((Create(PERSISTENT_VOLUMES, volume),), then=told)


def _made(claim: Obj, storage_class: Obj, node: Obj) -> Obj:
    name, policy = localpath.volume_name(uid_of(claim)), storage_class.get("reclaimPolicy") or "Delete"
    hostname = {"key": _HOSTNAME, "operator": "In", "values": [labels_of(node).get(_HOSTNAME) or name_of(node)]}
    metadata: Obj = {"name": name, "annotations": {PROVISIONED_BY: localpath.NAME, NODE: name_of(node)}}
    if policy == "Delete":
        metadata["finalizers"] = [DELETION_FINALIZER]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": metadata,
        "spec": {
            "capacity": {"storage": dig(claim, "spec", "resources", "requests", "storage")},
            "accessModes": claim["spec"]["accessModes"],
            "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": name_of(storage_class),
            "local": {"path": f"{annotations_of(node)[DIRECTORY]}/{name}"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [hostname]}]}},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": namespace_of(claim),
                "name": name_of(claim),
                "uid": uid_of(claim),
                "resourceVersion": claim["metadata"]["resourceVersion"],
            },
        },
    }


# --- volumes: and go -----------------------------------------------------------------------------------------------------


def _volume(snapshot: Snapshot, key: Key) -> Decision:
    volume = snapshot.get(PERSISTENT_VOLUMES, *key)
    if volume is None:
        return _forget(snapshot, key[1])
    if annotations_of(volume).get(PROVISIONED_BY) != localpath.NAME:
        return Decision()
    deletes = volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
    if not is_deleting(volume):
        if deletes and dig(volume, "status", "phase") == "Released":
            return Decision((Delete(PERSISTENT_VOLUMES, "", name_of(volume), uid_of(volume)),))
        return Decision()
    finalizers = volume["metadata"].get("finalizers") or []
    if DELETION_FINALIZER not in finalizers:
        return Decision()
    if not deletes:
        # The policy was changed: the data stays, for a person to look after.
        return _let_go(volume)
    if finalizers != [DELETION_FINALIZER]:
        # Others still hold it, as something may use it.
        return Decision()
    return _remove(snapshot, volume)


def _remove(snapshot: Snapshot, volume: Obj) -> Decision:
    where = annotations_of(volume).get(NODE, "")
    node = snapshot.get(NODES, "", where)
    if node is None:
        return Decision((Fetch(NODES, "", where),), then=lambda done: _let_go_if_missing(volume, done))
    answer = dict(localpath.removals(node)).get(name_of(volume))
    if answer == DONE:
        return _let_go(volume)
    if answer is None:
        return Decision((Patch(NODES, "", where, localpath.marking([name_of(volume)], ASKED)),))
    return Decision()


def _let_go_if_missing(volume: Obj, done: Sequence[Result]) -> Decision:
    """A node that has left the cluster has taken its disk along."""
    return _let_go(volume) if isinstance(done[0].error, NotFound) else Decision()


def _let_go(volume: Obj) -> Decision:
    finalizers = [item for item in volume["metadata"]["finalizers"] if item != DELETION_FINALIZER]
    return Decision((Update(PERSISTENT_VOLUMES, {**volume, "metadata": {**volume["metadata"], "finalizers": finalizers}}),))


def _forget(snapshot: Snapshot, name: str) -> Decision:
    """Take away what is left of the conversation about a volume that is gone."""
    asked = [node for node in snapshot.list(NODES) if localpath.removal_key(name) in annotations_of(node)]
    return Decision([Patch(NODES, "", name_of(node), localpath.marking([name], None)) for node in asked])


def _of_node(node: Obj) -> Iterable[Key]:
    return [("", volume) for volume, _ in localpath.removals(node)]


SPEC = ControllerSpec(
    name="local-path-provisioner-controller",
    watches=(
        Watch(PERSISTENT_VOLUME_CLAIMS, keys=lambda obj: (key_of(obj),)),
        Watch(PERSISTENT_VOLUMES, keys=lambda obj: (key_of(obj),)),
        Watch(STORAGE_CLASSES),
        Watch(NODES, keys=_of_node),
    ),
    reconcile=reconcile,
)
