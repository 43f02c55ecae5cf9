"""What the schema facts say to server-side apply: keys of lists, what is atomic, what is always there, what nobody owns."""

from __future__ import annotations

from typing import Any

import pytest

from steersman.api.schema.applytypes import of_definition, of_kind
from steersman.api.schema.loader import PREFIX, schema
from steersman.machinery.apply import checking, fieldset
from steersman.machinery.apply.compare import compare
from steersman.machinery.apply.merging import merge
from steersman.machinery.apply.sets import of_config
from steersman.machinery.apply.types import Type

_VALUES: dict[str, list[Any]] = {"string": ["a", "b"], "int32": [1, 2], "int64": [1, 2]}


def keyed() -> list[Any]:
    """Every list of the built-in kinds whose items are told apart by keys."""
    found = []
    for name in schema().names():
        for field in schema().definition(name).fields.values():
            if field.list_type == "map":
                assert field.type.item is not None
                item = schema().definition(field.type.item.ref)
                kinds = [item.fields[key].type.kind for key in field.list_map_keys]
                short = f"{name.rpartition('.')[2]}.{field.name}"
                found.append(pytest.param(name, field.name, dict(zip(field.list_map_keys, kinds, strict=True)), id=short))
    return found


@pytest.mark.parametrize(("definition", "field", "keys"), keyed())
def test_items_of_keyed_lists_merge_by_all_their_keys(definition: str, field: str, keys: dict[str, str]) -> None:
    kind = of_definition(definition)
    one: dict[str, Any] = {key: _VALUES[word][0] for key, word in keys.items()}
    items = [one, *({**one, key: _VALUES[word][1]} for key, word in keys.items())]
    live, config = {field: items}, {field: [items[-1]]}
    assert checking.faults(live, kind) == []
    assert merge(live, config, kind) == live
    assert compare(live, {field: [*reversed(items)]}, kind).nothing
    owned = of_config(config, kind)
    assert len(owned[f"f:{field}"]) == 1
    assert all(f'"{key}":' in next(iter(owned[f"f:{field}"])) for key in keys)


def at(kind: str, path: str) -> Type:
    found = of_kind(PREFIX + kind)
    for part in path.split("."):
        found = found.items if part == "*" else found.of(part)
    return found


@pytest.mark.parametrize(
    ("kind", "path", "key"),
    [
        ("api.core.v1.Pod", "spec.containers.*.ports", 'k:{"containerPort":80,"protocol":"TCP"}'),
        ("api.core.v1.Pod", "spec.initContainers.*.ports", 'k:{"containerPort":80,"protocol":"TCP"}'),
        ("api.core.v1.Pod", "spec.ephemeralContainers.*.ports", 'k:{"containerPort":80,"protocol":"TCP"}'),
        ("api.core.v1.Service", "spec.ports", 'k:{"port":80,"protocol":"TCP"}'),
        ("api.core.v1.Pod", "spec.imagePullSecrets", 'k:{"name":""}'),
        ("api.core.v1.Pod", "spec.containers", 'k:{"name":""}'),
    ],
)
def test_keys_that_are_left_out_have_defaults(kind: str, path: str, key: str) -> None:
    item = {"containerPort": 80, "port": 80}
    assert at(kind, path).item({name: item[name] for name in at(kind, path).keys if name in item}) == key


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("api.apps.v1.Deployment", "spec.selector"),
        ("api.core.v1.Pod", "spec.nodeSelector"),
        ("api.core.v1.Service", "spec.selector"),
        ("api.core.v1.Pod", "spec.tolerations"),
        ("api.core.v1.Pod", "spec.containers.*.args"),
        ("api.core.v1.Pod", "spec.containers.*.env.*.valueFrom.secretKeyRef"),
        ("api.rbac.v1.ClusterRole", "rules"),
        ("api.rbac.v1.RoleBinding", "roleRef"),
        ("api.apps.v1.ControllerRevision", "data"),
        ("api.networking.v1.Ingress", "spec.rules"),
    ],
)
def test_these_are_owned_as_a_whole(kind: str, path: str) -> None:
    assert at(kind, path).leaf


def test_a_claim_reference_is_granular_though_references_are_atomic() -> None:
    assert not at("api.core.v1.PersistentVolume", "spec.claimRef").leaf


@pytest.mark.parametrize(
    ("kind", "obj", "owned"),
    [
        ("api.core.v1.ConfigMap", {"data": {"a": "1"}}, {"f:data": {".": {}, "f:a": {}}}),
        (
            "api.apps.v1.Deployment",
            {"spec": {"strategy": {"type": "Recreate"}, "template": {"spec": {"containers": [{"name": "c"}]}}}},
            {
                "f:spec": {
                    "f:strategy": {"f:type": {}},
                    "f:template": {"f:spec": {"f:containers": {'k:{"name":"c"}': {".": {}, "f:name": {}}}}},
                }
            },
        ),
        ("api.core.v1.Pod", {"spec": {"securityContext": {"runAsUser": 1}}}, {
            "f:spec": {"f:securityContext": {".": {}, "f:runAsUser": {}}}}),
        ("api.core.v1.Event", {"source": {"component": "x"}, "involvedObject": {"name": "p"}, "count": 1}, {
            "f:count": {}, "f:involvedObject": {}, "f:source": {"f:component": {}}}),
        (
            "api.core.v1.Pod",
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": "x", "namespace": "y", "uid": "z", "resourceVersion": "1", "generation": 1, "creationTimestamp": None,
                    "generateName": "x-", "labels": {"a": "b"}, "finalizers": ["f"], "ownerReferences": [{"uid": "u"}],
                },
            },
            {
                "f:metadata": {
                    "f:finalizers": {".": {}, 'v:"f"': {}},
                    "f:generateName": {},
                    "f:labels": {".": {}, "f:a": {}},
                    "f:ownerReferences": {".": {}, 'k:{"uid":"u"}': {}},
                }
            },
        ),
    ],
)  # fmt: skip
def test_a_creation_owns_what_go_would_not_have_written_of_an_empty_object(kind: str, obj: Any, owned: Any) -> None:
    assert fieldset.ordered(compare({}, obj, of_kind(PREFIX + kind)).touched) == owned


def test_metadata_of_a_template_is_owned_with_its_name() -> None:
    kind = of_kind(f"{PREFIX}api.core.v1.PodTemplate")
    assert of_config({"template": {"metadata": {"name": "x"}}}, kind) == {"f:template": {"f:metadata": {"f:name": {}}}}
