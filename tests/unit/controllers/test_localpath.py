"""Volumes on nodes' own disks: made where the scheduler chose, gone when the node has removed the folder; ephemeral volumes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controllers.world import World

from steersman.api.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES
from steersman.controllers import ephemeralvolume, localpath, persistentvolume, storageprotection
from steersman.loop import localpath as names
from steersman.loop.volumes import PROVISIONED_BY, SELECTED_NODE
from steersman.machinery.meta import Obj, annotations_of, dig, is_deleting, name_of

UID = "00000000-0000-4000-8000-000000000001"
NAME = f"pvc-{UID}"
ASKED = names.removal_key(NAME)


def world() -> World:
    w = World(persistentvolume.SPEC, localpath.SPEC, *storageprotection.SPECS)
    mode = {"volumeBindingMode": "WaitForFirstConsumer", "reclaimPolicy": "Delete"}
    w.put(STORAGE_CLASSES, {"metadata": {"name": "local-path"}, "provisioner": "steersman.io/local-path", **mode})
    w.put(NODES, {"metadata": {"name": "n1", "annotations": {names.DIRECTORY: "/srv/local"}}})
    w.put(NODES, {"metadata": {"name": "bare"}})
    return w


def claim(w: World, node: str = "n1", **spec: Any) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    held = ["kubernetes.io/pvc-protection"]
    metadata = {"name": "data", "uid": UID, "finalizers": held, "annotations": {SELECTED_NODE: node} if node else {}}
    body = {"metadata": metadata, "spec": {"storageClassName": "local-path", **spec}, "status": {"phase": "Pending"}}
    w.put(PERSISTENT_VOLUME_CLAIMS, body)
    w.settle()


def found(w: World) -> Obj:
    return w.objects[PERSISTENT_VOLUMES]["", NAME]


def node(w: World) -> Obj:
    return w.objects[NODES]["", "n1"]


def delete_claim(w: World) -> None:
    def gone(obj: Obj) -> None:
        obj["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    w.edit(PERSISTENT_VOLUME_CLAIMS, "data", gone)
    w.settle()


def answer(w: World) -> None:
    """What the kubelet does once the folder is gone."""
    w.edit(NODES, "n1", lambda obj: obj["metadata"]["annotations"].update({ASKED: names.DONE}))
    w.settle()


def test_a_claim_gets_a_folder_of_the_selected_node_as_its_volume() -> None:
    w = world()
    claim(w)
    made = found(w)
    assert made["spec"]["local"] == {"path": f"/srv/local/{NAME}"}
    terms = made["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert terms == [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1"]}]}]
    assert annotations_of(made)[PROVISIONED_BY] == "steersman.io/local-path"
    assert dig(w.objects[PERSISTENT_VOLUME_CLAIMS]["default", "data"], "status", "phase") == "Bound"
    assert w.events("ProvisioningSucceeded") == [f"Successfully provisioned volume {NAME}"]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"volumeMode": "Block"}, "steersman.io/local-path makes no block volumes"),
        (
            {"accessModes": ["ReadWriteMany"]},
            "steersman.io/local-path supports the access modes ReadWriteOnce and ReadWriteOncePod only",
        ),
        ({"selector": {"matchLabels": {"a": "b"}}}, "claim.Spec.Selector is not supported"),
        ({"node": "bare"}, 'node "bare" offers no local path'),
    ],
)
def test_what_can_not_be_provisioned_is_told(asked: Obj, why: str) -> None:
    w = world()
    claim(w, **asked)
    assert w.objects.get(PERSISTENT_VOLUMES, {}) == {}
    assert w.events("ProvisioningFailed") == [f'failed to provision volume with StorageClass "local-path": {why}']
    kept = annotations_of(w.objects[PERSISTENT_VOLUME_CLAIMS]["default", "data"])
    assert (SELECTED_NODE in kept) == ("node" not in asked), "a node that can't is given back for another choice"


def test_a_volume_goes_with_its_claim_but_only_after_the_node_has_removed_the_folder() -> None:
    w = world()
    claim(w)
    delete_claim(w)
    assert is_deleting(found(w)) and annotations_of(node(w))[ASKED] == names.ASKED
    answer(w)
    assert w.objects[PERSISTENT_VOLUMES] == {}
    assert annotations_of(node(w)) == {names.DIRECTORY: "/srv/local"}, "nothing is left of the conversation"


def test_a_volume_in_use_is_not_removed_whoever_deletes_it() -> None:
    w = world()
    claim(w)
    w.edit(PERSISTENT_VOLUMES, NAME, lambda obj: obj["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z"))
    w.settle()
    assert ASKED not in annotations_of(node(w))


def test_a_volume_that_is_to_be_kept_stays() -> None:
    w = world()
    claim(w)
    w.edit(PERSISTENT_VOLUMES, NAME, lambda obj: obj["spec"].update(persistentVolumeReclaimPolicy="Retain"))
    delete_claim(w)
    assert found(w)["status"]["phase"] == "Released"
    w.edit(PERSISTENT_VOLUMES, NAME, lambda obj: obj["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z"))
    w.settle()
    assert w.objects[PERSISTENT_VOLUMES] == {}
    assert ASKED not in annotations_of(node(w)), "its folder stays"


def test_a_node_that_has_left_takes_its_volumes_along() -> None:
    w = world()
    claim(w)
    w.remove(NODES, "n1")
    delete_claim(w)
    assert w.objects[PERSISTENT_VOLUMES] == {}


@pytest.mark.parametrize(
    ("name", "is_one"), [(NAME, True), ("pvc-1", False), (f"{NAME}/..", False), ("..", False), (f"x{NAME}", False)]
)
def test_only_names_of_volumes_are_names_of_folders_to_remove(name: str, is_one: bool) -> None:
    assert names.is_volume_name(name) == is_one


# --- generic ephemeral volumes


def ephemeral_pod(**metadata: Any) -> Obj:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": spec}
    volume = {"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}
    return {"metadata": {"name": "p", **metadata}, "spec": {"volumes": [volume]}}


def test_a_pod_owns_the_claims_of_its_ephemeral_volumes() -> None:
    w = World(ephemeralvolume.SPEC)
    pod = w.put(PODS, ephemeral_pod())
    w.settle()
    made = w.objects[PERSISTENT_VOLUME_CLAIMS]["default", "p-scratch"]
    assert made["metadata"]["labels"] == {"a": "b"}
    ref = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": pod["metadata"]["uid"]}
    assert made["metadata"]["ownerReferences"] == [{**ref, "controller": True, "blockOwnerDeletion": True}]
    w.remove(PERSISTENT_VOLUME_CLAIMS, "p-scratch")
    w.settle()
    assert [name_of(item) for item in w.list(PERSISTENT_VOLUME_CLAIMS)] == ["p-scratch"], "made again"


def test_a_claim_that_only_has_the_name_is_not_taken() -> None:
    w = World(ephemeralvolume.SPEC)
    w.put(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "p-scratch"}, "spec": {}})
    w.put(PODS, ephemeral_pod())
    w.settle()
    text = 'ephemeral volume scratch: PVC "default/p-scratch" was not created for pod "default/p" (pod is not owner)'
    assert w.events("FailedBinding") == [text]
