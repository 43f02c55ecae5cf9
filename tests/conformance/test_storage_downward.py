"""[sig-storage] Downward API volume and Projected downwardAPI: what a pod is told of itself in files."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.objects import SLEEP, volume_pod
from tests.conformance.space import Space, eventually

from steersman.api.resources import NODES, PODS
from steersman.machinery import quantity
from steersman.machinery.meta import Obj

pytestmark = pytest.mark.root

NODE = "[NodeConformance] [Conformance]"
Volume = Callable[..., Obj]


def plain(*items: Obj, **more: int) -> Obj:
    return {"downwardAPI": {"items": list(items), **more}}


def projected(*items: Obj, **more: int) -> Obj:
    return {"projected": {"sources": [{"downwardAPI": {"items": list(items)}}], **more}}


def each(behaviour: str, *, tags: str = NODE) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "volume",
        [
            pytest.param(make, id=area, marks=pytest.mark.conformance(f"[sig-storage] {area} {behaviour} {tags}"))
            for area, make in (("Downward API volume", plain), ("Projected downwardAPI", projected))
        ],
    )


def field(path: str, **more: int) -> Obj:
    return {"path": "file", "fieldRef": {"fieldPath": path}, **more}


def resource(name: str) -> Obj:
    return {"path": "file", "resourceFieldRef": {"containerName": "main", "resource": name}}


def limited(volume: Obj) -> Obj:
    made = volume_pod("cat /v/file", volume)
    made["spec"]["containers"][0]["resources"] = {
        "requests": {"cpu": "250m", "memory": "32Mi"},
        "limits": {"cpu": "1250m", "memory": "64Mi"},
    }
    return made


@each("should provide podname only")
def test_the_pods_name(space: Space, volume: Volume) -> None:
    assert space.output(volume_pod("cat /v/file", volume(field("metadata.name")), name="downward")) == "downward"


@each("should set DefaultMode on files", tags="[LinuxOnly] " + NODE)
def test_the_default_mode(space: Space, volume: Volume) -> None:
    made = volume_pod("stat -L -c %a /v/file", volume(field("metadata.name"), defaultMode=0o400))
    assert space.output(made) == "400\n"


@each("should set mode on item file", tags="[LinuxOnly] " + NODE)
def test_the_mode_of_an_item(space: Space, volume: Volume) -> None:
    assert space.output(volume_pod("stat -L -c %a /v/file", volume(field("metadata.name", mode=0o400)))) == "400\n"


@each("should provide container's cpu limit")
def test_the_cpu_limit_in_whole_cores(space: Space, volume: Volume) -> None:
    assert space.output(limited(volume(resource("limits.cpu")))) == "2"


@each("should provide container's memory limit")
def test_the_memory_limit_in_bytes(space: Space, volume: Volume) -> None:
    assert space.output(limited(volume(resource("limits.memory")))) == str(64 << 20)


@each("should provide container's cpu request")
def test_the_cpu_request_in_whole_cores(space: Space, volume: Volume) -> None:
    assert space.output(limited(volume(resource("requests.cpu")))) == "1"


@each("should provide container's memory request")
def test_the_memory_request_in_bytes(space: Space, volume: Volume) -> None:
    assert space.output(limited(volume(resource("requests.memory")))) == str(32 << 20)


def allocatable(space: Space, name: str) -> str:
    return str(quantity.value(space.api.get(NODES, "node-1")["status"]["allocatable"][name]))


@each("should provide node allocatable (cpu) as default cpu limit if the limit is not set")
def test_without_a_cpu_limit_the_nodes_allocatable(space: Space, volume: Volume) -> None:
    assert space.output(volume_pod("cat /v/file", volume(resource("limits.cpu")))) == allocatable(space, "cpu")


@each("should provide node allocatable (memory) as default memory limit if the limit is not set")
def test_without_a_memory_limit_the_nodes_allocatable(space: Space, volume: Volume) -> None:
    assert space.output(volume_pod("cat /v/file", volume(resource("limits.memory")))) == allocatable(space, "memory")


@each("should update labels on modification")
def test_labels_follow_the_object(space: Space, volume: Volume) -> None:
    made = volume_pod(SLEEP, volume(field("metadata.labels")))
    made["metadata"]["labels"] = {"key1": "value1", "key2": "value2"}
    space.running(made)
    assert space.exec("pod", "cat", "/v/file") == 'key1="value1"\nkey2="value2"'
    space.patch(PODS, "pod", {"metadata": {"labels": {"key3": "value3"}}})
    eventually(lambda: space.exec("pod", "cat", "/v/file").endswith('key3="value3"'), within_s=300)


@each("should update annotations on modification")
def test_annotations_follow_the_object(space: Space, volume: Volume) -> None:
    made = volume_pod(SLEEP, volume(field("metadata.annotations")))
    made["metadata"]["annotations"] = {"builder": "bar"}
    space.running(made)
    assert 'builder="bar"' in space.exec("pod", "cat", "/v/file")
    space.patch(PODS, "pod", {"metadata": {"annotations": {"builder": "foo"}}})
    eventually(lambda: 'builder="foo"' in space.exec("pod", "cat", "/v/file"), within_s=300)
