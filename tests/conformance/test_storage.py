"""[sig-storage] ConfigMap, Secrets, Projected, Downward API volume: files made of objects, and that they follow them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import pytest
from tests.conformance.objects import SLEEP, container, named, pod, volume_pod
from tests.conformance.space import Space, eventually

from steersman.api.resources import CONFIG_MAPS, PODS, SECRETS
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

pytestmark = pytest.mark.root


@dataclass(frozen=True)
class Source:
    """One way to mount an object's data. `area` is how upstream's codenames begin."""

    area: str
    resource: Resource
    projected: bool

    def object(self, name: str, data: dict[str, str]) -> Obj:
        return named(name, data={key: self.value(value) for key, value in data.items()})

    def value(self, text: str) -> str:
        return text if self.resource is CONFIG_MAPS else base64.b64encode(text.encode()).decode()

    def volume(self, name: str, *, mode: int | None = None, optional: bool = False, **more: Any) -> Obj:
        options = {**more, **({"optional": True} if optional else {})}
        default = {"defaultMode": mode} if mode is not None else {}
        if self.projected:
            kind = "configMap" if self.resource is CONFIG_MAPS else "secret"
            return {"projected": {"sources": [{kind: {"name": name, **options}}], **default}}
        if self.resource is CONFIG_MAPS:
            return {"configMap": {"name": name, **options, **default}}
        return {"secret": {"secretName": name, **options, **default}}


CONFIG_MAP = Source("ConfigMap", CONFIG_MAPS, False)
SECRET = Source("Secrets", SECRETS, False)
PROJECTED_CONFIG_MAP = Source("Projected configMap", CONFIG_MAPS, True)
PROJECTED_SECRET = Source("Projected secret", SECRETS, True)
SOURCES = (CONFIG_MAP, SECRET, PROJECTED_CONFIG_MAP, PROJECTED_SECRET)
NODE = "[NodeConformance] [Conformance]"


def each(behaviour: str, *, tags: str = NODE, sources: tuple[Source, ...] = SOURCES) -> pytest.MarkDecorator:
    """One run for each source, under `[sig-storage] <area> <behaviour> <tags>`."""
    return pytest.mark.parametrize(
        "source",
        [
            pytest.param(source, id=source.area, marks=pytest.mark.conformance(f"[sig-storage] {source.area} {behaviour} {tags}"))
            for source in sources
        ],
    )


def shown(path: str) -> str:
    """A script that tells mode, user, group and content of a file, following links."""
    return f"stat -L -c '%a %u %g' {path}; cat {path}"


@each("should be consumable from pods in volume")
def test_keys_are_files(space: Space, source: Source) -> None:
    space.create(source.resource, source.object("data", {"data-1": "value-1"}))
    assert space.output(volume_pod(shown("/v/data-1"), source.volume("data"))) == "644 0 0\nvalue-1"


@each("should be consumable from pods in volume with defaultMode set", tags="[LinuxOnly] " + NODE)
def test_files_have_the_default_mode(space: Space, source: Source) -> None:
    space.create(source.resource, source.object("data", {"data-1": "value-1"}))
    assert space.output(volume_pod(shown("/v/data-1"), source.volume("data", mode=0o400))) == "400 0 0\nvalue-1"


@each("should be consumable from pods in volume with mappings")
def test_items_choose_paths(space: Space, source: Source) -> None:
    space.create(source.resource, source.object("data", {"data-1": "value-1", "data-2": "value-2"}))
    volume = source.volume("data", items=[{"key": "data-2", "path": "path/to/data-2"}])
    assert space.output(volume_pod(f"ls /v; {shown('/v/path/to/data-2')}", volume)) == "path\n644 0 0\nvalue-2"


ITEM_MODE = "should be consumable from pods in volume with mappings and Item {} set"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(
            source,
            id=source.area,
            marks=pytest.mark.conformance(f"[sig-storage] {source.area} {ITEM_MODE.format(word)} [LinuxOnly] {NODE}"),
        )
        # Upstream writes the word in two ways.
        for source, word in ((CONFIG_MAP, "mode"), (PROJECTED_CONFIG_MAP, "mode"), (SECRET, "Mode"), (PROJECTED_SECRET, "Mode"))
    ],
)
def test_items_have_modes_of_their_own(space: Space, source: Source) -> None:
    space.create(source.resource, source.object("data", {"data-1": "value-1"}))
    volume = source.volume("data", items=[{"key": "data-1", "path": "new", "mode": 0o400}])
    assert space.output(volume_pod(shown("/v/new"), volume)) == "400 0 0\nvalue-1"


@each("should be consumable from pods in volume as non-root", sources=(CONFIG_MAP, PROJECTED_CONFIG_MAP))
def test_files_are_readable_for_other_users(space: Space, source: Source) -> None:
    space.create(source.resource, source.object("data", {"data-1": "value-1"}))
    spec = {"securityContext": {"runAsUser": 1000}}
    assert space.output(volume_pod(f"id -u; {shown('/v/data-1')}", source.volume("data"), spec=spec)) == "1000\n644 0 0\nvalue-1"


@each("should be consumable from pods in volume with mappings as non-root", sources=(CONFIG_MAP, PROJECTED_CONFIG_MAP))
def test_items_are_readable_for_other_users(space: Space, source: Source) -> None:
    space.create(source.resource, source.object("data", {"data-1": "value-1"}))
    volume = source.volume("data", items=[{"key": "data-1", "path": "path/to/data-1"}])
    spec = {"securityContext": {"runAsUser": 1000}}
    assert space.output(volume_pod(f"id -u; {shown('/v/path/to/data-1')}", volume, spec=spec)) == "1000\n644 0 0\nvalue-1"


@each(
    "should be consumable from pods in volume as non-root with defaultMode and fsGroup set",
    tags="[LinuxOnly] " + NODE,
    sources=(SECRET, PROJECTED_SECRET),
)
def test_files_belong_to_the_fs_group(space: Space, source: Source) -> None:
    space.create(source.resource, source.object("data", {"data-1": "value-1"}))
    spec = {"securityContext": {"runAsUser": 1000, "fsGroup": 1001}}
    made = volume_pod(shown("/v/data-1"), source.volume("data", mode=0o440), spec=spec)
    assert space.output(made) == "440 0 1001\nvalue-1"


IN_TWO = "should be consumable in multiple volumes in {}"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(
            source, id=source.area, marks=pytest.mark.conformance(f"[sig-storage] {source.area} {IN_TWO.format(where)} {NODE}")
        )
        for source, where in (
            (CONFIG_MAP, "the same pod"),
            (PROJECTED_CONFIG_MAP, "the same pod"),
            (SECRET, "a pod"),
            (PROJECTED_SECRET, "a pod"),
        )
    ],
)
def test_one_object_in_two_volumes(space: Space, source: Source) -> None:
    space.create(source.resource, source.object("data", {"data-1": "value-1"}))
    volumes = [{"name": name, **source.volume("data")} for name in ("a", "b")]
    mounts = [{"name": name, "mountPath": f"/{name}", "readOnly": True} for name in ("a", "b")]
    assert space.output(pod("cat /a/data-1 /b/data-1", spec={"volumes": volumes}, volumeMounts=mounts)) == "value-1value-1"


@each("updates should be reflected in volume", sources=(CONFIG_MAP, PROJECTED_CONFIG_MAP))
def test_changes_come_to_running_pods(space: Space, source: Source) -> None:
    space.create(source.resource, source.object("data", {"data-1": "value-1"}))
    space.running(volume_pod(f"cat /v/data-1; {SLEEP}", source.volume("data")))
    assert space.exec("pod", "cat", "/v/data-1") == "value-1"
    space.patch(source.resource, "data", {"data": {"data-1": source.value("value-2")}})
    eventually(lambda: space.exec("pod", "cat", "/v/data-1") == "value-2", within_s=300)


@each("optional updates should be reflected in volume")
def test_optional_objects_come_change_and_go(space: Space, source: Source) -> None:
    for name in ("delete", "update"):
        space.create(source.resource, source.object(name, {"data": "value-1"}))
    names = ("delete", "update", "create")
    volumes = [{"name": name, **source.volume(name, optional=True)} for name in names]
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in names]
    space.running(pod(SLEEP, spec={"volumes": volumes}, volumeMounts=mounts))
    show = ("sh", "-c", "cat /delete/data; cat /update/data; cat /create/data; true")
    assert space.exec("pod", *show).startswith("value-1value-1cat: can't open '/create/data'")
    space.delete(source.resource, "delete")
    space.patch(source.resource, "update", {"data": {"data": source.value("value-3")}})
    space.create(source.resource, source.object("create", {"data": "value-1"}))

    def settled() -> bool:
        said = space.exec("pod", *show)
        return said.startswith("value-3value-1") and "can't open '/delete/data'" in said

    eventually(settled, within_s=300)


@pytest.mark.conformance(f"[sig-storage] ConfigMap binary data should be reflected in volume {NODE}")
def test_binary_data_is_written_as_it_is(space: Space) -> None:
    binary = base64.b64encode(bytes((0xDE, 0xCA, 0xFE, 0xBA, 0xD0, 0xFE, 0xFF))).decode()
    space.create(CONFIG_MAPS, named("data", data={"data-1": "value-1"}, binaryData={"dump.bin": binary}))
    made = volume_pod("cat /v/data-1; echo; hexdump -v -e '/1 \"%02x\"' /v/dump.bin", CONFIG_MAP.volume("data"))
    assert space.output(made) == "value-1\ndecafebad0feff"


@pytest.mark.conformance(
    "[sig-storage] Secrets should be able to mount in a volume regardless of a different secret existing with same name in "
    f"different namespace {NODE}"
)
def test_a_secret_is_that_of_the_pods_namespace(space: Space) -> None:
    space.create(SECRETS, SECRET.object("data", {"data-1": "value-1"}))
    space.api.create(SECRETS, SECRET.object("data", {"this_should_not_match_content_of_other_secret": "x"}), "default")
    try:
        assert space.output(volume_pod("ls /v; cat /v/data-1", SECRET.volume("data"))) == "data-1\nvalue-1"
    finally:
        space.api.delete(SECRETS, "data", "default")


@pytest.mark.conformance("[sig-storage] EmptyDir wrapper volumes should not conflict [Conformance]")
def test_volumes_of_several_kinds_do_not_conflict(space: Space) -> None:
    space.create(SECRETS, SECRET.object("data", {"data-1": "secret"}))
    space.create(CONFIG_MAPS, CONFIG_MAP.object("data", {"data-1": "config"}))
    volumes = [{"name": "s", **SECRET.volume("data")}, {"name": "c", **CONFIG_MAP.volume("data")}]
    mounts = [{"name": "s", "mountPath": "/s", "readOnly": True}, {"name": "c", "mountPath": "/c", "readOnly": True}]
    assert space.output(pod("cat /s/data-1 /c/data-1", spec={"volumes": volumes}, volumeMounts=mounts)) == "secretconfig"


@pytest.mark.conformance(
    "[sig-storage] Projected combined should project all components that make up the projection API [Projection] "
    "[NodeConformance] [Conformance]"
)
def test_a_projected_volume_holds_parts_of_several_objects(space: Space) -> None:
    space.create(SECRETS, SECRET.object("s", {"secret-data": "secret-value-1"}))
    space.create(CONFIG_MAPS, CONFIG_MAP.object("c", {"configmap-data": "configmap-value-1"}))
    name = {"path": "podname", "fieldRef": {"fieldPath": "metadata.name"}}
    sources = [
        {"secret": {"name": "s", "items": [{"key": "secret-data", "path": "secret-data"}]}},
        {"configMap": {"name": "c", "items": [{"key": "configmap-data", "path": "configmap-data"}]}},
        {"downwardAPI": {"items": [name]}},
    ]
    script = "cat /v/podname; echo; cat /v/secret-data; echo; cat /v/configmap-data"
    made = volume_pod(script, {"projected": {"sources": sources}}, name="projected")
    assert space.output(made) == "projected\nsecret-value-1\nconfigmap-value-1"


@each("should be immutable if `immutable` field is set", tags="[Conformance]", sources=(CONFIG_MAP, SECRET))
def test_an_immutable_object_stays(space: Space, source: Source) -> None:
    space.create(source.resource, source.object("data", {"data-1": "value-1"}))
    space.patch(source.resource, "data", {"data": {"data-1": source.value("value-2")}})
    space.patch(source.resource, "data", {"immutable": True})
    for change in ({"data": {"data-1": source.value("value-3")}}, {"immutable": False}):
        path = source.resource.path(space.name, "data")
        said = space.api.request("PATCH", path, str(change).replace("'", '"').replace("F", "f").encode(), **MERGE)
        assert said.status == 422, said.body
    found = space.patch(source.resource, "data", {"metadata": {"labels": {"changed": "yes"}}})
    assert found["metadata"]["labels"] == {"changed": "yes"} and found["data"] == {"data-1": source.value("value-2")}
    space.delete(source.resource, "data")
    assert not space.exists(source.resource, "data")


MERGE = {"Content_Type": "application/merge-patch+json"}

SUBPATHS: dict[str, Obj] = {
    "configmap": {"configMap": {"name": "data"}},
    "secret": {"secret": {"secretName": "data"}},
    "projected": {"projected": {"sources": [{"configMap": {"name": "data"}}]}},
    "downward": {"downwardAPI": {"items": [{"path": "data-1", "fieldRef": {"fieldPath": "metadata.labels['say']"}}]}},
}


@pytest.mark.parametrize(
    "volume",
    [
        pytest.param(
            volume,
            id=word,
            marks=pytest.mark.conformance(
                f"[sig-storage] Subpath Atomic writer volumes should support subpaths with {word} pod [Conformance]"
            ),
        )
        for word, volume in SUBPATHS.items()
    ],
)
def test_a_file_of_a_volume_is_mounted_alone(space: Space, volume: Obj) -> None:
    space.create(SECRETS, SECRET.object("data", {"data-1": "value-1"}))
    space.create(CONFIG_MAPS, CONFIG_MAP.object("data", {"data-1": "value-1"}))
    made = volume_pod("cat /v/alone", volume, mount={"mountPath": "/v/alone", "subPath": "data-1"})
    made["metadata"]["labels"] = {"say": "value-1"}
    assert space.output(made) == "value-1"


@pytest.mark.conformance(
    "[sig-storage] Subpath Atomic writer volumes should support subpaths with configmap pod with mountPath of existing file "
    "[Conformance]"
)
def test_a_file_of_a_volume_is_mounted_over_a_file_of_the_image(space: Space) -> None:
    space.create(CONFIG_MAPS, CONFIG_MAP.object("data", {"data-1": "value-1"}))
    made = volume_pod("cat /etc/group", SUBPATHS["configmap"], mount={"mountPath": "/etc/group", "subPath": "data-1"})
    assert space.output(made) == "value-1"


@pytest.mark.conformance(
    "[sig-storage] EmptyDir wrapper volumes should not cause race condition when used for configmaps [Serial] [Conformance]"
)
def test_many_volumes_of_many_pods_are_mounted(space: Space) -> None:
    names = [f"racey-{number}" for number in range(50)]
    for name in names:
        space.create(CONFIG_MAPS, CONFIG_MAP.object(name, {"data-1": name}))
    volumes = [{"name": name, **CONFIG_MAP.volume(name)} for name in names]
    mounts = [{"name": name, "mountPath": f"/etc/{name}"} for name in names]
    spec = {"volumes": volumes, "containers": [container("cat /etc/*/data-1 | wc -c", volumeMounts=mounts)]}
    for number in range(5):
        space.create(PODS, pod(name=f"pod-{number}", spec=spec))
    for number in range(5):
        space.until(PODS, f"pod-{number}", lambda it: it["status"]["phase"] == "Succeeded")
        assert space.logs(f"pod-{number}") == f"{len(''.join(names))}\n"
