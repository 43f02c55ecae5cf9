"""[sig-storage] PersistentVolumes and claims of CSI drivers, and pods that name a driver: the objects, with their controllers."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from tests.conformance.objects import SLEEP, pod
from tests.conformance.space import Space, eventually

from steersman.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, dig, name_of

pytestmark = pytest.mark.root

VOLUMES = "[sig-storage] PersistentVolumes CSI Conformance should"
DRIVER = "walk.example.com"


def create_pair(space: Space, suffix: str) -> tuple[Obj, Obj]:
    """A volume and its claim, bound to each other. The volume is named after the namespace: volumes are the cluster's."""
    name, labels = f"{space.name}-{suffix}", {"walk": space.name}
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": space.name}
    space.create(
        PERSISTENT_VOLUMES,
        {
            "metadata": {"name": name, "labels": labels},
            "spec": {
                **spec,
                "capacity": {"storage": "1Mi"},
                "persistentVolumeReclaimPolicy": "Retain",
                "csi": {"driver": DRIVER, "volumeHandle": name},
            },
        },
    )
    space.create(
        PERSISTENT_VOLUME_CLAIMS,
        {
            "metadata": {"name": suffix, "labels": labels},
            "spec": {**spec, "volumeName": name, "resources": {"requests": {"storage": "1Mi"}}},
        },
    )
    claim = space.until(PERSISTENT_VOLUME_CLAIMS, suffix, bound)
    return space.until(PERSISTENT_VOLUMES, name, bound), claim


def bound(obj: Obj) -> bool:
    return bool(dig(obj, "status", "phase", default="") == "Bound")


def update(space: Space, resource: Resource, name: str) -> Obj:
    """Label it. Between reading and writing a controller may write: a conflict."""
    obj = space.get(resource, name)
    obj["metadata"]["labels"]["updated"] = "true"
    return space.update(resource, obj)


def update_status(space: Space, resource: Resource, name: str, **fields: Any) -> Obj:
    """`conditions` are added to those that are there."""
    obj = space.get(resource, name)
    if added := fields.pop("conditions", ()):
        fields["conditions"] = [*(obj["status"].get("conditions") or ()), *added]
    return space.update(resource, {**obj, "status": {**obj["status"], **fields}}, subresource="status")


@pytest.mark.conformance(f"{VOLUMES} run through the lifecycle of a PV and a PVC [Conformance]")
def test_a_volume_and_its_claim_live_and_go(space: Space) -> None:
    volume, claim = create_pair(space, "first")
    chosen = f"walk={space.name}"
    for resource, obj in ((PERSISTENT_VOLUMES, volume), (PERSISTENT_VOLUME_CLAIMS, claim)):
        (listed,) = space.list(resource, chosen)
        assert listed["metadata"]["uid"] == obj["metadata"]["uid"]
        patched = space.patch(resource, name_of(obj), {"metadata": {"labels": {"patched": "true"}}})
        assert patched["metadata"]["labels"]["patched"] == "true"
    for resource, obj in ((PERSISTENT_VOLUME_CLAIMS, claim), (PERSISTENT_VOLUMES, volume)):
        space.delete(resource, name_of(obj))
        space.gone(resource, name_of(obj))

    volume, claim = create_pair(space, "second")
    for resource, obj in ((PERSISTENT_VOLUMES, volume), (PERSISTENT_VOLUME_CLAIMS, claim)):
        updated = eventually(partial(update, space, resource, name_of(obj)))
        assert updated["metadata"]["labels"]["updated"] == "true"
    for resource, obj in ((PERSISTENT_VOLUME_CLAIMS, claim), (PERSISTENT_VOLUMES, volume)):
        space.delete_collection(resource, chosen)
        space.gone(resource, name_of(obj))


@pytest.mark.conformance(f"{VOLUMES} apply changes to a pv/pvc status [Conformance]")
def test_the_status_of_a_volume_and_its_claim_can_be_written(space: Space) -> None:
    volume, claim = create_pair(space, "status")
    (listed,) = space.list(PERSISTENT_VOLUMES, f"walk={space.name}")
    assert name_of(listed) == name_of(volume)
    assert [name_of(it) for it in space.list(PERSISTENT_VOLUME_CLAIMS)] == ["status"]
    for resource, obj in ((PERSISTENT_VOLUMES, volume), (PERSISTENT_VOLUME_CLAIMS, claim)):
        assert bound(space.get(resource, name_of(obj), subresource="status"))

    for kind in ("Patched", "Updated"):
        condition = {"type": kind, "status": "True", "reason": "Tested", "message": f"{kind} by a test"}
        told = {"reason": kind, "message": condition["message"]}
        if kind == "Patched":
            claim = space.patch(PERSISTENT_VOLUME_CLAIMS, "status", {"status": {"conditions": [condition]}}, subresource="status")
            volume = space.patch(PERSISTENT_VOLUMES, name_of(volume), {"status": told}, subresource="status")
        else:
            claim = eventually(partial(update_status, space, PERSISTENT_VOLUME_CLAIMS, "status", conditions=[condition]))
            volume = eventually(partial(update_status, space, PERSISTENT_VOLUMES, name_of(volume), **told))
        assert claim["status"]["conditions"][-1]["type"] == kind
        assert (volume["status"]["reason"], volume["status"]["message"]) == (kind, condition["message"])
    space.delete(PERSISTENT_VOLUME_CLAIMS, "status")
    space.delete(PERSISTENT_VOLUMES, name_of(volume))


@pytest.mark.conformance("[sig-storage] CSIInlineVolumes should support CSIVolumeSource in Pod API [Conformance]")
def test_a_pod_may_name_a_volume_of_a_driver(space: Space) -> None:
    drivers = Resource("storage.k8s.io", "v1", "csidrivers", False, "CSIDriver")
    driver = f"{space.name}.example.com"
    space.create(drivers, {"metadata": {"name": driver}, "spec": {"volumeLifecycleModes": ["Ephemeral"]}})
    volume = {"name": "v", "csi": {"driver": driver, "volumeAttributes": {"a": "b"}}}
    made = space.create(PODS, pod(SLEEP, spec={"volumes": [volume], "nodeSelector": {"no": "node"}}))
    found = [it for it in space.get(PODS, "pod")["spec"]["volumes"] if it["name"] == "v"]
    assert found == [volume]
    assert [it["metadata"]["uid"] for it in space.list(PODS)] == [made["metadata"]["uid"]]
    patched = space.patch(PODS, "pod", {"metadata": {"labels": {"patched": "true"}}})
    assert patched["metadata"]["labels"]["patched"] == "true"
    space.delete(PODS, "pod", grace_period_s=0)
    space.gone(PODS, "pod")
    space.delete(drivers, driver)
