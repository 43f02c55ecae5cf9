"""The binder: which volume a claim gets, how the two come to know of each other, and what becomes of a volume left alone."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controllers.world import World

from steersman.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES
from steersman.controllers import persistentvolume
from steersman.loop.spec import Action, Update
from steersman.loop.volumes import BIND_COMPLETED, BOUND_BY_CONTROLLER, PROVISIONED_BY, PROVISIONER, SELECTED_NODE
from steersman.machinery.errors import Conflict
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, annotations_of, dig

ONCE, MANY = ["ReadWriteOnce"], ["ReadWriteOnce", "ReadWriteMany"]
PROVISIONED = {PROVISIONED_BY: "x.example/disk"}


def world() -> World:
    return World(persistentvolume.SPEC)


def volume(name: str, size: str = "1Gi", *, modes: list[str] | None = None, labels: Any = None, **spec: Any) -> Obj:
    spec = {"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem", **spec}
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"capacity": {"storage": size}, "accessModes": modes or ONCE, "hostPath": {"path": "/x"}, **spec},
        "status": {"phase": "Pending"},
    }


def claim(size: str = "1Gi", *, modes: list[str] | None = None, annotations: Any = None, **spec: Any) -> Obj:
    spec = {"accessModes": modes or ONCE, "resources": {"requests": {"storage": size}}, "volumeMode": "Filesystem", **spec}
    return {
        "metadata": {"name": "data", "annotations": annotations or {}},
        "spec": {key: value for key, value in spec.items() if value is not None},
        "status": {"phase": "Pending"},
    }


def storage_class(name: str = "fast", *, waits: bool = False, provisioner: str = "x.example/disk", **parts: Any) -> Obj:
    mode = "WaitForFirstConsumer" if waits else "Immediate"
    return {"metadata": {"name": name, **parts}, "provisioner": provisioner, "volumeBindingMode": mode}


def found(w: World, name: str = "data") -> Obj:
    return w.objects[PERSISTENT_VOLUME_CLAIMS]["default", name]


def kept(w: World, name: str) -> Obj:
    return w.objects[PERSISTENT_VOLUMES]["", name]


def phases(w: World) -> dict[str, str]:
    return {name: dig(obj, "status", "phase") for (_, name), obj in w.objects.get(PERSISTENT_VOLUMES, {}).items()}


@pytest.mark.parametrize(
    ("volumes", "asked", "given"),
    [
        ([volume("big", "9Gi"), volume("close", "2Gi"), volume("small", "1Gi")], claim("2Gi"), "close"),
        ([volume("small", "1Gi")], claim("2Gi"), None),
        ([volume("any", "1Gi", modes=MANY), volume("once", "5Gi")], claim(), "once"),
        ([volume("once")], claim(modes=MANY), None),
        ([volume("classy", storageClassName="fast"), volume("plain", "3Gi")], claim(), "plain"),
        ([volume("plain"), volume("classy", "3Gi", storageClassName="fast")], claim(storageClassName="fast"), "classy"),
        ([volume("block", volumeMode="Block")], claim(), None),
        ([volume("b", labels={"tier": "b"})], claim(selector={"matchLabels": {"tier": "a"}}), None),
        ([volume("b", labels={"tier": "b"})], claim(selector={"matchLabels": {"tier": "b"}}), "b"),
        ([volume("mine", "9Gi", claimRef={"namespace": "default", "name": "data"}), volume("free")], claim(), "mine"),
        ([volume("other", claimRef={"namespace": "default", "name": "other"})], claim(), None),
        ([volume("named", "9Gi"), volume("close")], claim(volumeName="named"), "named"),
    ],
    ids=[
        "smallest that fits", "none is large enough", "fewest access modes before size", "lacks an access mode",
        "no class, no volume of a class", "same class", "other mode", "selector fails", "selector matches",
        "reserved by the volume", "reserved for another", "reserved by the claim",
    ],
)  # fmt: skip
def test_a_claim_gets_the_volume_that_fits_closest(volumes: list[Obj], asked: Obj, given: str | None) -> None:
    w = world()
    for item in volumes:
        w.put(PERSISTENT_VOLUMES, item)
    w.put(STORAGE_CLASSES, storage_class())
    w.settle()
    w.put(PERSISTENT_VOLUME_CLAIMS, asked)
    w.settle()
    assert found(w)["spec"].get("volumeName") == given
    assert [name for name, phase in phases(w).items() if phase == "Bound"] == ([given] if given else [])
    assert dig(found(w), "status", "phase") == ("Bound" if given else "Pending")


def test_both_sides_know_of_each_other_and_of_who_bound_them() -> None:
    w = world()
    w.put(PERSISTENT_VOLUMES, volume("v", "5Gi", modes=MANY))
    made = w.put(PERSISTENT_VOLUME_CLAIMS, claim())
    w.settle()
    assert annotations_of(found(w)) == {BIND_COMPLETED: "yes", BOUND_BY_CONTROLLER: "yes"}
    assert found(w)["status"] == {"phase": "Bound", "accessModes": MANY, "capacity": {"storage": "5Gi"}}
    assert annotations_of(kept(w, "v")) == {BOUND_BY_CONTROLLER: "yes"}
    ref = kept(w, "v")["spec"]["claimRef"]
    assert ref == {
        "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": "default", "name": "data",
        "uid": made["metadata"]["uid"], "resourceVersion": made["metadata"]["resourceVersion"],
    }  # fmt: skip
    assert kept(w, "v")["status"]["phase"] == "Bound"
    before = len(w.writes)
    w.edit(PERSISTENT_VOLUME_CLAIMS, "data", lambda obj: obj["metadata"].update(labels={"a": "b"}))
    w.settle()
    assert len(w.writes) == before, "what is bound is left alone"


def test_a_claim_has_the_attributes_class_of_its_volume_when_it_is_bound_and_others_tell_of_changes() -> None:
    w = world()
    w.put(PERSISTENT_VOLUMES, volume("v", volumeAttributesClassName="gold"))
    w.put(PERSISTENT_VOLUME_CLAIMS, claim(volumeAttributesClassName="gold"))
    w.settle()
    assert found(w)["status"]["currentVolumeAttributesClassName"] == "gold"
    w.edit(PERSISTENT_VOLUMES, "v", lambda obj: obj["spec"].update(volumeAttributesClassName="silver"))
    w.settle()
    assert found(w)["status"]["currentVolumeAttributesClassName"] == "gold"


def test_a_claim_waits_for_a_volume_that_comes_later_even_the_one_it_names() -> None:
    w = world()
    w.put(PERSISTENT_VOLUME_CLAIMS, claim(volumeName="late"))
    w.settle()
    assert found(w)["status"]["phase"] == "Pending"
    w.put(PERSISTENT_VOLUMES, volume("late"))
    w.settle()
    assert (found(w)["status"]["phase"], phases(w)) == ("Bound", {"late": "Bound"})
    assert annotations_of(found(w)) == {BIND_COMPLETED: "yes"}, "bound by a person, not by the controller"


@pytest.mark.parametrize("step", range(1, 5))
def test_a_binding_broken_off_anywhere_is_finished(step: int) -> None:
    w = world()
    w.put(PERSISTENT_VOLUMES, volume("v"))
    w.settle()
    writes = iter(range(1, 99))

    def fault(action: Action) -> Conflict | None:
        broken = isinstance(action, Update) and next(writes) == step
        return Conflict.of("", "x", "x") if broken else None

    w.fault = fault
    w.put(PERSISTENT_VOLUME_CLAIMS, claim())
    for _ in range(3):
        w.settle()
        w.advance(2)
    assert (found(w)["status"]["phase"], phases(w)) == ("Bound", {"v": "Bound"})


def test_of_two_claims_that_want_one_volume_the_second_finds_another() -> None:
    w = world()
    for name in ("v1", "v2"):
        w.put(PERSISTENT_VOLUMES, volume(name))
    w.settle()
    for name in ("a", "b"):
        w.put(PERSISTENT_VOLUME_CLAIMS, {**claim(), "metadata": {"name": name}})
    w.settle()
    assert sorted(dig(found(w, name), "spec", "volumeName") for name in ("a", "b")) == ["v1", "v2"]


@pytest.mark.parametrize(
    ("asked", "reason", "message"),
    [
        (claim(), "FailedBinding", "no persistent volumes available for this claim and no storage class is set"),
        (claim(storageClassName="late"), "WaitForFirstConsumer", "waiting for first consumer to be created before binding"),
        (claim(storageClassName="none"), "ProvisioningFailed", 'storageclass.storage.k8s.io "none" not found'),
        (claim(storageClassName="hand"), "ProvisioningFailed", "no volume plugin matched name: kubernetes.io/no-provisioner"),
        (claim("9Gi", volumeName="v"), "VolumeMismatch", 'Cannot bind to requested volume "v": requested PV is too small'),
        (claim(volumeName="taken"), "FailedBinding", 'volume "taken" already bound to a different claim.'),
    ],
)
def test_an_event_says_what_a_claim_waits_for(asked: Obj, reason: str, message: str) -> None:
    w = world()
    w.put(STORAGE_CLASSES, storage_class("late", waits=True))
    w.put(STORAGE_CLASSES, storage_class("hand", provisioner="kubernetes.io/no-provisioner"))
    w.put(PERSISTENT_VOLUMES, volume("v", storageClassName="other"))
    w.put(PERSISTENT_VOLUMES, volume("taken", claimRef={"namespace": "default", "name": "other", "uid": "u"}))
    w.put(PERSISTENT_VOLUME_CLAIMS, asked)
    w.settle()
    assert w.events(reason)[-1:] == [message]
    assert found(w)["status"] == {"phase": "Pending"}


def test_a_claim_whose_class_waits_is_left_to_the_scheduler_and_then_to_the_provisioner() -> None:
    w = world()
    w.put(STORAGE_CLASSES, storage_class(waits=True))
    w.put(PERSISTENT_VOLUMES, volume("free", storageClassName="fast"))
    w.put(PODS, {"metadata": {"name": "p"}, "spec": {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}})
    w.put(PERSISTENT_VOLUME_CLAIMS, claim(storageClassName="fast"))
    w.settle()
    assert w.events() == ["waiting for pod p to be scheduled"]
    w.edit(PERSISTENT_VOLUME_CLAIMS, "data", lambda obj: obj["metadata"].update(annotations={SELECTED_NODE: "n1"}))
    w.settle()
    assert annotations_of(found(w))[PROVISIONER] == "x.example/disk"
    assert [text.partition(" either")[0] for text in w.events("ExternalProvisioning")] == ["Waiting for a volume to be created"]
    assert dig(found(w), "spec", "volumeName") is None, "a free volume may be on the wrong node"
    ref = {"namespace": "default", "name": "data", "uid": found(w)["metadata"]["uid"]}
    w.put(PERSISTENT_VOLUMES, volume("made", storageClassName="fast", claimRef=ref))
    w.settle()
    assert (found(w)["spec"]["volumeName"], phases(w)["made"]) == ("made", "Bound")


def test_a_claim_made_before_there_was_a_default_class_gets_it_later() -> None:
    w = world()
    w.put(PERSISTENT_VOLUME_CLAIMS, claim())
    w.put(PERSISTENT_VOLUME_CLAIMS, {**claim(storageClassName=""), "metadata": {"name": "none"}})
    w.settle()
    w.put(STORAGE_CLASSES, storage_class(annotations={"storageclass.kubernetes.io/is-default-class": "true"}))
    w.settle()
    assert [found(w, name)["spec"].get("storageClassName") for name in ("data", "none")] == ["fast", ""]


@pytest.mark.parametrize(
    ("policy", "annotations", "phase", "event"),
    [
        ("Retain", {}, "Released", []),
        ("Delete", PROVISIONED, "Released", []),
        (
            "Delete",
            {},
            "Failed",
            ['error getting deleter volume plugin for volume "v": no deletable volume plugin matched'],
        ),
        ("Recycle", {}, "Failed", ["No recycler plugin found for the volume!"]),
    ],
)
def test_a_volume_whose_claim_is_gone_is_reclaimed(policy: str, annotations: Obj, phase: str, event: list[str]) -> None:
    w = world()
    w.put(PERSISTENT_VOLUMES, volume("v", persistentVolumeReclaimPolicy=policy))
    w.put(PERSISTENT_VOLUME_CLAIMS, claim())
    w.settle()
    w.edit(PERSISTENT_VOLUMES, "v", lambda obj: obj["metadata"]["annotations"].update(annotations))
    w.remove(PERSISTENT_VOLUME_CLAIMS, "data")
    w.settle()
    assert (phases(w), w.events()) == ({"v": phase}, event)
    w.put(PERSISTENT_VOLUME_CLAIMS, claim())
    w.settle()
    assert found(w)["status"]["phase"] == "Pending", "what others wrote is not given to a namesake"


def test_what_others_say_in_the_status_of_a_volume_stays_while_its_phase_does() -> None:
    w = world()
    w.put(PERSISTENT_VOLUMES, volume("v"))
    w.put(PERSISTENT_VOLUME_CLAIMS, claim())
    w.settle()
    w.edit(PERSISTENT_VOLUMES, "v", lambda obj: obj["status"].update(reason="Slow", message="the disk is slow"))
    w.settle()
    assert kept(w, "v")["status"]["message"] == "the disk is slow"


class Lagging(World):
    """Its cache can miss claims that the server has."""

    blind = False

    def get(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        return None if self.blind and resource == PERSISTENT_VOLUME_CLAIMS else super().get(resource, namespace, name)

    def _found(self, resource: Resource, namespace: str, name: str) -> Obj:
        return self.objects[resource][namespace, name]


def test_a_claim_that_only_the_cache_misses_keeps_its_volume() -> None:
    w = Lagging(persistentvolume.SPEC)
    w.put(PERSISTENT_VOLUMES, volume("v"))
    w.put(PERSISTENT_VOLUME_CLAIMS, claim())
    w.settle()
    w.blind = True
    w.reconcile(persistentvolume.SPEC, ("", "v"))
    assert phases(w) == {"v": "Bound"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.remove(PERSISTENT_VOLUMES, "v"), "Bound claim has lost its PersistentVolume. Data on the volume is lost!"),
        (
            lambda w: w.edit(PERSISTENT_VOLUMES, "v", lambda obj: obj["spec"]["claimRef"].update(uid="other")),
            "Two claims are bound to the same volume, this one is bound incorrectly",
        ),
    ],
    ids=["volume gone", "volume taken"],
)
def test_a_claim_that_has_lost_its_volume_says_so(change: Any, message: str) -> None:
    w = world()
    w.put(PERSISTENT_VOLUMES, volume("v"))
    w.put(PERSISTENT_VOLUME_CLAIMS, claim())
    w.settle()
    change(w)
    w.settle()
    assert (found(w)["status"]["phase"], w.events()[-1]) == ("Lost", message)


def test_a_volume_passed_over_by_its_claim_is_free_again() -> None:
    w = world()
    made = w.put(PERSISTENT_VOLUME_CLAIMS, claim(volumeName="v"))
    ref = {"namespace": "default", "name": "data", "uid": made["metadata"]["uid"], "resourceVersion": "1"}
    bound = volume("bound", claimRef=ref)
    bound["metadata"]["annotations"] = {BOUND_BY_CONTROLLER: "yes"}
    w.put(PERSISTENT_VOLUMES, bound)
    w.put(PERSISTENT_VOLUMES, volume("reserved", claimRef=ref))
    w.settle()
    assert kept(w, "bound")["spec"].get("claimRef") is None
    assert kept(w, "reserved")["spec"]["claimRef"] == {"namespace": "default", "name": "data"}
    assert phases(w) == {"bound": "Available", "reserved": "Available"}
