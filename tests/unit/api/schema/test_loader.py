"""The schema facts say what strategic merge and decoding need."""

from __future__ import annotations

import pytest

from steersman.api.groups import BODIES, BUILTIN
from steersman.api.kinds import KindSpec
from steersman.api.schema.checker import checker
from steersman.api.schema.loader import FieldMeta, definition, patch_meta, schema
from steersman.machinery.gvk import GroupVersionKind

POD = "io.k8s.api.core.v1.Pod"


def at(name: str, *path: str) -> FieldMeta:
    """Follow fields and, with `[]`, list items."""
    meta: FieldMeta | None = patch_meta(name)
    for step in path:
        assert meta is not None, path
        meta = meta.items() if step == "[]" else meta.field(step)
    assert meta is not None, path
    return meta


@pytest.mark.parametrize(
    ("path", "strategy", "merge_key"),
    [
        (("spec", "containers"), {"merge"}, "name"),
        (("spec", "containers", "[]", "ports"), {"merge"}, "containerPort"),
        (("spec", "containers", "[]", "args"), set(), ""),
        (("spec", "volumes"), {"merge", "retainKeys"}, "name"),
        (("metadata", "finalizers"), {"merge"}, ""),
    ],
)
def test_lists_know_their_merge_keys_and_strategies(path: tuple[str, ...], strategy: set[str], merge_key: str) -> None:
    meta = at(POD, *path)
    assert (meta.is_list, set(meta.strategy), meta.merge_key) == (True, strategy, merge_key)


def test_values_of_maps_have_the_type_of_the_map() -> None:
    assert at(POD, "spec", "containers", "[]", "resources", "limits", "cpu").type.kind == "quantity"


def test_what_the_schema_does_not_know_has_no_metadata() -> None:
    assert patch_meta(POD).field("nope") is None
    assert at("io.k8s.api.apps.v1.ControllerRevision", "data").field("spec") is None


def test_optional_fields_are_no_unions_and_required_ones_are_marked() -> None:
    port = definition("io.k8s.api.core.v1.ContainerPort")
    assert port.required == {"containerPort"}
    assert {name: field.type.kind for name, field in port.fields.items()} == {
        "containerPort": "int32", "hostIP": "string", "hostPort": "int32", "name": "string", "protocol": "string",
    }  # fmt: skip


def test_kinds_are_found_by_group_version_kind() -> None:
    assert schema().name_for(GroupVersionKind("apps", "v1", "Deployment")) == "io.k8s.api.apps.v1.Deployment"
    assert schema().name_for(GroupVersionKind("apps", "v1", "Nope")) is None


@pytest.mark.parametrize("spec", [*BUILTIN, *BODIES.values()], ids=lambda spec: f"{spec.resource.group}/{spec.kind}")
def test_every_kind_has_a_schema_that_accepts_its_least_object(spec: KindSpec) -> None:
    names = {GroupVersionKind(*gvk)[2] for gvk in definition(spec.schema).gvks}
    assert spec.kind in names
    assert checker(spec.schema).accepts({"metadata": {"name": "a"}} if spec.kind != "DeleteOptions" else {})


def test_definitions_that_contain_themselves_can_be_checked() -> None:
    name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"
    nested = {"type": "object", "properties": {"a": {"properties": {"b": {"type": "string"}}}}}
    version = {"name": "v1", "schema": {"openAPIV3Schema": nested}}
    assert checker(name).accepts({"spec": {"versions": [version]}})
    assert not checker(name).accepts({"spec": {"versions": [{"name": 1}]}})
