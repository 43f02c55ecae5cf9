"""The attach/detach controller: what pods want is attached, once; what nobody wants is detached when the node has let go."""

from __future__ import annotations

import pytest
from tests.unit.controllers.world import World

from steersman.api.resources import CSI_DRIVERS, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTACHMENTS
from steersman.controllers import attachdetach
from steersman.loop.attachments import attachment_name, unique_name
from steersman.machinery.meta import Obj, name_of

DRIVER, HANDLE = "d.example", "h1"
UNIQUE = unique_name(DRIVER, HANDLE)
MANAGED = {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}


@pytest.fixture
def world() -> World:
    made = World(attachdetach.spec())
    for name in ("n1", "n2"):
        status = {"conditions": [{"type": "Ready", "status": "True"}]}
        made.put(NODES, {"metadata": {"name": name, "annotations": MANAGED}, "spec": {}, "status": status})
    claim = made.put(
        PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "c"}, "spec": {"volumeName": "pv"}, "status": {"phase": "Bound"}}
    )
    ref = {"namespace": "default", "name": "c", "uid": claim["metadata"]["uid"]}
    csi = {"driver": DRIVER, "volumeHandle": HANDLE}
    spec = {"csi": csi, "claimRef": ref, "accessModes": ["ReadWriteOnce"]}
    made.put(PERSISTENT_VOLUMES, {"metadata": {"name": "pv"}, "spec": spec})
    made.settle()
    return made


def use(world: World, name: str = "p", node: str = "n1") -> None:
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]
    world.put(PODS, {"metadata": {"name": name}, "spec": {"nodeName": node, "volumes": volumes}})
    world.settle()


def attach(world: World, node: str = "n1") -> None:
    """What the driver's attacher does."""
    world.edit(VOLUME_ATTACHMENTS, attachment_name(HANDLE, DRIVER, node), lambda found: found.update(status={"attached": True}))
    world.settle()


def attachments(world: World) -> list[str]:
    return sorted(each["spec"]["nodeName"] for each in world.list(VOLUME_ATTACHMENTS))


def shown(world: World, node: str = "n1") -> list[str]:
    found = world.get(NODES, "", node)
    assert found is not None
    return [each["name"] for each in found["status"].get("volumesAttached") or ()]


def in_use(world: World, *names: str, node: str = "n1") -> None:
    world.edit(NODES, node, lambda found: found["status"].update(volumesInUse=list(names)))
    world.settle()


def test_a_volume_is_attached_for_its_pods_and_the_node_and_they_are_told(world: World) -> None:
    use(world)
    (made,) = world.list(VOLUME_ATTACHMENTS)
    assert name_of(made) == attachment_name(HANDLE, DRIVER, "n1")
    assert made["spec"] == {"attacher": DRIVER, "nodeName": "n1", "source": {"persistentVolumeName": "pv"}}
    assert shown(world) == [] and world.events() == []
    attach(world)
    assert shown(world) == [UNIQUE]
    assert world.events("SuccessfulAttachVolume") == ['AttachVolume.Attach succeeded for volume "pv" ']
    use(world, "q")
    assert attachments(world) == ["n1"] and len(world.events()) == 1


def test_a_volume_is_detached_once_the_kubelet_has_let_go_of_it(world: World) -> None:
    use(world)
    attach(world)
    in_use(world, UNIQUE)
    world.remove(PODS, "p")
    world.settle()
    assert attachments(world) == ["n1"] and shown(world) == [UNIQUE]
    in_use(world)
    assert attachments(world) == [] and shown(world) == []


@pytest.mark.parametrize(
    ("ready", "minutes", "taint", "left"),
    [
        ("Unknown", 5, False, ["n1"]),
        ("Unknown", 7, False, []),
        ("True", 7, False, ["n1"]),
        ("Unknown", 0, True, []),
    ],
    ids=["not yet", "not ready for six minutes", "a node that is well is waited for", "out of service"],
)
def test_a_node_that_does_not_answer_loses_its_volumes(
    world: World, ready: str, minutes: int, taint: bool, left: list[str]
) -> None:
    use(world)
    attach(world)
    in_use(world, UNIQUE)
    taints = [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}] if taint else []

    def change(node: Obj) -> None:
        node["status"]["conditions"] = [{"type": "Ready", "status": ready}]
        node["spec"]["taints"] = taints

    world.edit(NODES, "n1", change)
    world.remove(PODS, "p")
    world.settle()
    world.advance(minutes * 60)
    world.settle()
    assert attachments(world) == left


def test_the_volumes_of_a_node_that_is_gone_are_detached(world: World) -> None:
    use(world)
    attach(world)
    world.remove(NODES, "n1")
    world.remove(PODS, "p")
    world.settle()
    assert attachments(world) == []


@pytest.mark.parametrize("finished", ["Succeeded", "Failed"])
def test_pods_that_have_ended_need_no_volumes(world: World, finished: str) -> None:
    use(world)
    attach(world)
    world.edit(PODS, "p", lambda pod: pod.update(status={"phase": finished}))
    world.settle()
    assert attachments(world) == []


def test_a_volume_for_one_node_is_not_attached_to_two(world: World) -> None:
    use(world)
    attach(world)
    use(world, "q", "n2")
    assert attachments(world) == ["n1"]
    assert world.events("FailedAttachVolume") == ['Multi-Attach error for volume "pv" Volume is already used by pod(s) p']
    world.remove(PODS, "p")
    world.settle()
    assert attachments(world) == ["n2"]


def test_a_volume_for_many_nodes_is_attached_to_all(world: World) -> None:
    world.edit(PERSISTENT_VOLUMES, "pv", lambda found: found["spec"].update(accessModes=["ReadWriteMany"]))
    use(world)
    use(world, "q", "n2")
    assert attachments(world) == ["n1", "n2"]


def test_drivers_that_need_no_attaching_get_none(world: World) -> None:
    world.put(CSI_DRIVERS, {"metadata": {"name": DRIVER}, "spec": {"attachRequired": False}})
    use(world)
    assert attachments(world) == []


def test_what_the_attacher_has_against_it_is_told_to_the_pods(world: World) -> None:
    use(world)
    name = attachment_name(HANDLE, DRIVER, "n1")
    status = {"attached": False, "attachError": {"message": "no such disk"}}
    world.edit(VOLUME_ATTACHMENTS, name, lambda found: found.update(status=status))
    world.settle()
    assert world.events("FailedAttachVolume") == ['AttachVolume.Attach failed for volume "pv" : no such disk']


def test_a_claim_that_is_bound_later_is_attached_then(world: World) -> None:
    world.edit(PERSISTENT_VOLUME_CLAIMS, "c", lambda found: found.update(status={"phase": "Pending"}))
    use(world)
    assert attachments(world) == []
    world.edit(PERSISTENT_VOLUME_CLAIMS, "c", lambda found: found.update(status={"phase": "Bound"}))
    world.settle()
    assert attachments(world) == ["n1"]
