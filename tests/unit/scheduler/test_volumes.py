"""Pods with claims: where their volumes let them go, what is written for those that wait, and that nothing is given twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.fakes.client import FakeClient

from steersman.api.resources import CSI_NODES, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES
from steersman.client.events import EventRecorder
from steersman.loop.volumes import BIND_COMPLETED, BOUND_BY_CONTROLLER, SELECTED_NODE
from steersman.machinery.clock import VirtualClock
from steersman.machinery.errors import NotFound
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, annotations_of, condition
from steersman.scheduler.profiles import default_profile
from steersman.scheduler.run import Scheduler

IMMEDIATE = "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."
ZONE = "topology.kubernetes.io/zone"
HOST = "kubernetes.io/hostname"


class Api(FakeClient):
    """Binds as the API server does."""

    async def create(self, resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = "") -> Obj:
        answer = await super().create(resource, obj, namespace, name=name, subresource=subresource)
        if subresource == "binding":
            bound = self._found(PODS, namespace, name)
            self.put(PODS, {**bound, "spec": {**bound["spec"], "nodeName": obj["target"]["name"]}})
        return answer

    def found(self, resource: Resource, name: str) -> Obj:
        return self._found(resource, "x" if resource.namespaced else "", name)

    def where(self, name: str) -> str:
        return str(self.found(PODS, name)["spec"].get("nodeName", ""))

    def told(self, name: str) -> str:
        return str((condition(self.found(PODS, name), "PodScheduled") or {}).get("message", ""))

    def selected(self, name: str) -> str:
        return annotations_of(self.found(PERSISTENT_VOLUME_CLAIMS, name)).get(SELECTED_NODE, "")

    def change(self, resource: Resource, name: str, change: Callable[[Obj], None]) -> None:
        obj = self.found(resource, name)
        change(obj)
        self.put(resource, obj)


def pod(name: str, *claims: str, **spec: Any) -> Obj:
    volumes = [{"name": each, "persistentVolumeClaim": {"claimName": each}} for each in claims]
    body = {"schedulerName": "default-scheduler", "containers": [{"name": "c"}], "volumes": volumes, **spec}
    return {"metadata": {"name": name, "namespace": "x"}, "spec": body}


def node(name: str, **labels: str) -> Obj:
    allocatable = {"cpu": "9", "memory": "8Gi", "pods": "10"}
    return {"metadata": {"name": name, "labels": {HOST: name, **labels}}, "spec": {}, "status": {"allocatable": allocatable}}


def claim(name: str, volume: str = "", *, storage_class: str = "late", bound: bool = True, size: str = "1Gi") -> Obj:
    spec: Obj = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
        "storageClassName": storage_class,
    }
    annotations = {}
    if volume:
        spec["volumeName"] = volume
        annotations = {BIND_COMPLETED: "yes"} if bound else {}
    metadata = {"name": name, "namespace": "x", "annotations": annotations}
    return {"metadata": metadata, "spec": spec, "status": {"phase": "Bound" if volume and bound else "Pending"}}


def volume(name: str, host: str = "", *, storage_class: str = "late", size: str = "1Gi", zone: str = "") -> Obj:
    spec: Obj = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}, "storageClassName": storage_class}
    if host:
        wanted = [{"key": HOST, "operator": "In", "values": [host]}]
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": wanted}]}}
    labels = {ZONE: zone} if zone else {}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": {"phase": "Available"}}


def storage_class(
    name: str = "late", provisioner: str = "x.example/disk", mode: str = "WaitForFirstConsumer", **more: Any
) -> Obj:
    return {"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode, **more}


def bind(api: Api, name: str, made: Obj) -> None:
    """What binder and provisioner do in the end."""
    api.put(PERSISTENT_VOLUMES, made)

    def change(obj: Obj) -> None:
        obj["spec"]["volumeName"] = made["metadata"]["name"]
        obj["metadata"].setdefault("annotations", {})[BIND_COMPLETED] = "yes"

    api.change(PERSISTENT_VOLUME_CLAIMS, name, change)


def run(api: Api, scenario: Callable[[VirtualClock], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = VirtualClock()
        recorder = EventRecorder(api, "default-scheduler", "", clock)
        scheduler = Scheduler(api, clock, default_profile(), recorder, random.Random(1))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(scheduler.run())
            await clock.advance(0.01, settle_turns=50)
            await scenario(clock)
            task.cancel()

    asyncio.run(main())


def cluster() -> Api:
    api = Api()
    for name in ("n1", "n2"):
        api.put(NODES, node(name, **{"zone": f"zone-{name}", ZONE: name}))
    api.put(STORAGE_CLASSES, storage_class())
    api.put(STORAGE_CLASSES, storage_class("now", mode="Immediate"))
    api.put(STORAGE_CLASSES, storage_class("hand", provisioner="kubernetes.io/no-provisioner"))
    terms = [{"matchLabelExpressions": [{"key": "zone", "values": ["zone-n2"]}]}]
    api.put(STORAGE_CLASSES, storage_class("zonal", allowedTopologies=terms))
    return api


@pytest.mark.parametrize(
    ("claims", "volumes", "outcome"),
    [
        ([claim("a", "v")], [volume("v", "n2")], "n2"),
        ([claim("a", "v"), claim("b", "w")], [volume("v", "n2"), volume("w")], "n2"),
        (
            [claim("a", "v"), claim("b", "w")],
            [volume("v", "n1"), volume("w", "n2")],
            "0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity.",
        ),
        ([claim("a", "v")], [volume("v", zone="n0__n2")], "n2"),
        ([claim("a", "v")], [volume("v", zone="n0")], "0/2 nodes are available: 2 node(s) had no available volume zone."),
        ([], [], '0/2 nodes are available: persistentvolumeclaim "a" not found.'),
        ([claim("a", storage_class="now")], [], IMMEDIATE),
        ([claim("a", "v", bound=False)], [volume("v")], IMMEDIATE),
        (
            [claim("a", "gone")],
            [],
            "0/2 nodes are available: 2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s).",
        ),
        (
            [claim("a", storage_class="hand", size="2Gi")],
            [volume("v", "n1", storage_class="hand")],
            "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.",
        ),
    ],
    ids=["bound", "two bound", "apart", "zone", "other zone", "missing", "immediate", "half bound", "volume gone", "too small"],
)  # fmt: skip
def test_a_pod_goes_where_its_volumes_are_or_is_told_why_not(claims: list[Obj], volumes: list[Obj], outcome: str) -> None:
    api = cluster()
    for made in volumes:
        api.put(PERSISTENT_VOLUMES, made)
    for made in claims:
        api.put(PERSISTENT_VOLUME_CLAIMS, made)
    api.put(PODS, pod("p", *([made["metadata"]["name"] for made in claims] or ["a"])))

    async def scenario(clock: VirtualClock) -> None:
        await clock.advance(0.1, settle_turns=50)
        assert api.where("p") or api.told("p").partition(" no new claims to deallocate, preemption: ")[0] == outcome
        assert api.where("p") in (outcome, "")

    run(api, scenario)


def test_a_claim_that_waits_is_told_the_node_and_the_pod_is_bound_when_it_has_its_volume() -> None:
    api = cluster()
    api.put(PERSISTENT_VOLUME_CLAIMS, claim("a", storage_class="zonal"))
    api.put(PODS, pod("p", "a"))

    async def scenario(clock: VirtualClock) -> None:
        assert (api.selected("a"), api.where("p")) == ("n2", "")
        bind(api, "a", volume("made", "n2"))
        await clock.advance(0.01, settle_turns=50)
        assert api.where("p") == "n2"

    run(api, scenario)


def test_a_pod_whose_claim_can_not_be_had_on_a_node_is_scheduled_anew() -> None:
    api = cluster()
    api.put(PERSISTENT_VOLUME_CLAIMS, claim("a"))
    api.put(PODS, pod("p", "a"))

    async def scenario(clock: VirtualClock) -> None:
        assert api.selected("a")
        api.change(PERSISTENT_VOLUME_CLAIMS, "a", lambda obj: obj["metadata"]["annotations"].pop(SELECTED_NODE))
        await clock.advance(0.01, settle_turns=50)
        text = 'running PreBind plugin "VolumeBinding": binding volumes: provisioning failed for PVC "a"'
        assert (api.told("p"), api.selected("a")) == (text, "")
        await clock.advance(3, settle_turns=50)
        assert api.selected("a"), "tried again after a while"
        await clock.advance(601, settle_turns=50)
        assert api.told("p").endswith("timed out waiting for the condition")

    run(api, scenario)


def test_of_volumes_that_are_there_each_claim_is_promised_its_own() -> None:
    api = cluster()
    for name in ("v1", "v2"):
        api.put(PERSISTENT_VOLUMES, volume(name, "n1", storage_class="hand"))
    api.put(PERSISTENT_VOLUMES, volume("large", "n2", storage_class="hand", size="5Gi"))
    for name in ("a", "b", "c", "d"):
        api.put(PERSISTENT_VOLUME_CLAIMS, claim(name, storage_class="hand"))
    api.put(PODS, pod("pair", "a", "b"))
    api.put(PODS, pod("third", "c"))
    api.put(PODS, pod("late", "d"))

    async def scenario(clock: VirtualClock) -> None:
        await clock.advance(0.1, settle_turns=50)
        kept = {
            name: api.found(PERSISTENT_VOLUMES, name)["spec"].get("claimRef", {}).get("name") for name in ("v1", "v2", "large")
        }
        assert kept == {"v1": "a", "v2": "b", "large": "c"}
        assert annotations_of(api.found(PERSISTENT_VOLUMES, "v1")) == {BOUND_BY_CONTROLLER: "yes"}
        assert "2 node(s) didn't find available persistent volumes to bind" in api.told("late")
        for claimed, name in (("a", "v1"), ("b", "v2")):
            bind(api, claimed, api.found(PERSISTENT_VOLUMES, name))
        await clock.advance(0.01, settle_turns=50)
        assert (api.where("pair"), api.where("third")) == ("n1", "")
        api.put(PERSISTENT_VOLUMES, volume("new", "n2", storage_class="hand"))
        await clock.advance(2, settle_turns=50)
        assert api.found(PERSISTENT_VOLUMES, "new")["spec"]["claimRef"]["name"] == "d", "a new volume wakes who waits for one"

    run(api, scenario)


def test_a_pod_that_is_deleted_while_its_volume_is_made_is_not_bound() -> None:
    api = cluster()
    api.put(PERSISTENT_VOLUME_CLAIMS, claim("a"))
    api.put(PODS, pod("p", "a"))

    async def scenario(clock: VirtualClock) -> None:
        at = api.selected("a")
        await api.delete(PODS, "p", "x", grace_period_s=0)
        await clock.advance(0.01, settle_turns=50)
        bind(api, "a", volume("made", at))
        await clock.advance(0.01, settle_turns=50)
        assert [call for call in api.calls if "binding" in call] == []

    run(api, scenario)


def test_an_ephemeral_volume_waits_for_its_claim() -> None:
    api = cluster()
    api.put(PODS, pod("p", volumes=[{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}}]))

    async def scenario(clock: VirtualClock) -> None:
        text = 'waiting for ephemeral volume controller to create the persistentvolumeclaim "p-scratch"'
        assert text in api.told("p")
        owner = {"kind": "Pod", "name": "p", "uid": api.found(PODS, "p")["metadata"]["uid"], "controller": True}
        made = claim("p-scratch")
        made["metadata"]["ownerReferences"] = [owner]
        api.put(PERSISTENT_VOLUME_CLAIMS, made)
        await clock.advance(2, settle_turns=50)
        assert api.selected("p-scratch")

    run(api, scenario)


# --- NodeVolumeLimits ------------------------------------------------------------------------------------------------

DRIVER = "x.example/disk"


def csi_node(name: str, count: int | None) -> Obj:
    entry: Obj = {"name": DRIVER, "nodeID": name, "topologyKeys": None}
    if count is not None:
        entry["allocatable"] = {"count": count}
    return {"metadata": {"name": name}, "spec": {"drivers": [entry]}}


def csi_volume(name: str, handle: str = "", driver: str = DRIVER) -> Obj:
    made = volume(name)
    made["spec"]["csi"] = {"driver": driver, "volumeHandle": handle or name}
    return made


def bound_claims(api: Api, *names: str, driver: str = DRIVER) -> None:
    for name in names:
        made = csi_volume(f"v-{name}", driver=driver)
        made["spec"]["claimRef"] = {"namespace": "x", "name": name, "uid": "u"}
        api.put(PERSISTENT_VOLUMES, made)
        api.put(PERSISTENT_VOLUME_CLAIMS, claim(name, f"v-{name}"))


FULL = "0/1 nodes are available: 1 node(s) exceed max volume count."


def test_a_node_takes_as_many_volumes_as_its_driver_says_and_more_when_one_goes_or_the_limit_rises() -> None:
    api = cluster()
    api.drop(NODES, "", "n2")
    api.put(CSI_NODES, csi_node("n1", 2))
    bound_claims(api, "a", "b", "c", "d")

    async def scenario(clock: VirtualClock) -> None:
        for name in ("a", "b", "c"):
            api.put(PODS, pod(name, name))
            await clock.advance(5)
        assert [api.where(name) for name in "abc"] == ["n1", "n1", ""] and api.told("c").startswith(FULL)
        api.put(PODS, pod("shares", "a"))
        await clock.advance(5)
        assert api.where("shares") == "n1", "what is there already counts once"
        api.drop(PODS, "x", "b")
        await clock.advance(15)
        assert api.where("c") == "n1"
        api.put(PODS, pod("d", "d"))
        await clock.advance(5)
        assert api.where("d") == ""
        api.put(CSI_NODES, csi_node("n1", 3))
        await clock.advance(15)
        assert api.where("d") == "n1"

    run(api, scenario)


@pytest.mark.parametrize(("count", "driver"), [(None, DRIVER), (1, "other.example")], ids=["no limit", "of another driver"])
def test_volumes_without_a_limit_are_not_counted(count: int | None, driver: str) -> None:
    api = cluster()
    api.drop(NODES, "", "n2")
    api.put(CSI_NODES, csi_node("n1", count))
    bound_claims(api, "a", "b", driver=driver)

    async def scenario(clock: VirtualClock) -> None:
        for name in ("a", "b"):
            api.put(PODS, pod(name, name))
        await clock.advance(5)
        assert [api.where(name) for name in "ab"] == ["n1", "n1"]

    run(api, scenario)


def test_claims_that_get_their_volume_later_count_already() -> None:
    api = cluster()
    api.put(CSI_NODES, csi_node("n1", 1))
    api.put(CSI_NODES, csi_node("n2", 1))
    api.put(STORAGE_CLASSES, storage_class())

    async def scenario(clock: VirtualClock) -> None:
        for name in ("a", "b", "c"):
            api.put(PERSISTENT_VOLUME_CLAIMS, claim(name))
            api.put(PODS, pod(name, name))
            await clock.advance(5)
            if node_name := api.selected(name):
                made = csi_volume(f"v-{name}")
                made["spec"]["claimRef"] = {"namespace": "x", "name": name, "uid": "u"}
                bind(api, name, made)
                await clock.advance(5)
                assert api.where(name) == node_name
        assert {api.where("a"), api.where("b")} == {"n1", "n2"}
        assert api.told("c").startswith("0/2 nodes are available: 2 node(s) exceed max volume count.")

    run(api, scenario)


# --- VolumeRestrictions ----------------------------------------------------------------------------------------------

ONE_POD = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"


def test_a_claim_of_one_pod_is_given_to_the_next_when_that_one_is_gone() -> None:
    api = cluster()
    bound_claims(api, "a")
    only = claim("a", "v-a")
    only["spec"]["accessModes"] = ["ReadWriteOncePod"]
    api.put(PERSISTENT_VOLUME_CLAIMS, only)

    async def scenario(clock: VirtualClock) -> None:
        api.put(PODS, pod("first", "a"))
        await clock.advance(5)
        api.put(PODS, pod("second", "a"))
        await clock.advance(5)
        assert api.where("first") and not api.where("second")
        assert api.told("second").startswith(f"0/2 nodes are available: 2 {ONE_POD}.")
        api.drop(PODS, "x", "first")
        await clock.advance(15)
        assert api.where("second")

    run(api, scenario)


def test_who_matters_more_gets_the_claim() -> None:
    api = cluster()
    bound_claims(api, "a")
    only = claim("a", "v-a")
    only["spec"]["accessModes"] = ["ReadWriteOncePod"]
    api.put(PERSISTENT_VOLUME_CLAIMS, only)

    async def scenario(clock: VirtualClock) -> None:
        api.put(PODS, pod("first", "a"))
        await clock.advance(5)
        high = pod("second", "a")
        high["spec"]["priority"] = 100
        api.put(PODS, high)
        await clock.advance(5)
        with pytest.raises(NotFound):
            api.found(PODS, "first")

    run(api, scenario)
