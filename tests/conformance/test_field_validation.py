"""[sig-api-machinery] FieldValidation of custom resources: by kubectl, and by server-side apply."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.conformance.space import Space, eventually

from steersman.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from steersman.client.interface import Answer
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, is_condition_true

pytestmark = pytest.mark.root

VALIDATION = "[sig-api-machinery] FieldValidation should"
GROUP = "validation.example.com"
_TEXT = {"type": "string"}
BARS: Obj = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "bars": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": _TEXT, "age": _TEXT, "bazs": {"type": "array", "items": _TEXT}},
                    },
                }
            },
        }
    },
}
FREE: Obj = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
EMBEDDED: Obj = {
    "type": "object",
    "x-kubernetes-embedded-resource": True,
    "properties": {"spec": {"type": "object", "properties": {"foo": _TEXT}}},
}
_numbers = itertools.count(1)

Define = Callable[[Obj], Resource]


@pytest.fixture
def define(space: Space) -> Iterator[Define]:
    """Makes a kind with a schema, and waits until it is served and published."""
    made: list[str] = []

    def create(schema: Obj) -> Resource:
        number = next(_numbers)
        plural, kind = f"samples{number}", f"Sample{number}"
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        names = {"plural": plural, "singular": plural[:-1] + "x", "kind": kind, "listKind": f"{kind}List"}
        spec = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]}
        name = f"{plural}.{GROUP}"
        definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name}}
        space.api.create(CUSTOM_RESOURCE_DEFINITIONS, {**definition, "spec": spec})
        made.append(name)
        eventually(lambda: is_condition_true(space.api.get(CUSTOM_RESOURCE_DEFINITIONS, name), "Established"))
        document = f"/openapi/v3/apis/{GROUP}/v1"
        eventually(lambda: f'"kind":"{kind}"'.encode() in space.api.request("GET", document).body)
        return Resource(GROUP, "v1", plural, kind=kind)

    yield create
    for name in made:
        space.api.delete(CUSTOM_RESOURCE_DEFINITIONS, name)
    # Discovery is without them when the next test looks.
    eventually(lambda: not any(name in served(space) for name in made))


def served(space: Space) -> set[str]:
    """The names of the group's resources, as those of their definitions."""
    answer = space.api.request("GET", f"/apis/{GROUP}/v1")
    listed = json.loads(answer.body)["resources"] if answer.status == 200 else ()
    return {f"{item['name']}.{GROUP}" for item in listed}


def sample(resource: Resource, **fields: Any) -> Obj:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "mine"}, **fields}


def create_and_apply(space: Space, obj: Obj) -> None:
    text = json.dumps(obj)
    for verb in ("create", "apply"):
        space.kubectl(verb, "--validate=true", "-f", "-", stdin=text)
        space.kubectl("delete", "-f", "-", stdin=text)


@pytest.mark.conformance(f"{VALIDATION} create/apply a CR with unknown fields for CRD with no validation schema [Conformance]")
def test_without_a_schema_anything_goes(space: Space, define: Define) -> None:
    create_and_apply(space, sample(define(FREE), spec={"anything": [{"goes": 1}]}, more="x"))


@pytest.mark.conformance(f"{VALIDATION} create/apply a valid CR for CRD with validation schema [Conformance]")
def test_what_fits_the_schema_goes(space: Space, define: Define) -> None:
    create_and_apply(space, sample(define(BARS), spec={"bars": [{"name": "one", "age": "10", "bazs": ["x"]}]}))


@pytest.mark.conformance(
    f"{VALIDATION} create/apply an invalid CR with extra properties for CRD with validation schema [Conformance]"
)
def test_what_the_schema_does_not_know_is_refused(space: Space, define: Define) -> None:
    text = json.dumps(sample(define(BARS), spec={"bars": [{"name": "one"}], "extra": "property"}))
    for verb in ("create", "apply"):
        assert 'unknown field "spec.extra"' in space.kubectl(verb, "--validate=true", "-f", "-", stdin=text, code=1)


def apply(space: Space, resource: Resource, text: str) -> Answer:
    path = f"{resource.path(space.name)}/mine?fieldManager=field_validation_mgr&fieldValidation=Strict"
    return space.api.request("PATCH", path, text.encode(), Content_Type="application/apply-patch+yaml")


@pytest.mark.conformance(f"{VALIDATION} detect duplicates in a CR when preserving unknown fields [Conformance]")
def test_duplicates_are_refused_where_unknown_fields_are_kept(space: Space, define: Define) -> None:
    resource = define(FREE)
    text = (
        f"apiVersion: {resource.api_version}\nkind: {resource.kind}\nmetadata:\n  name: mine\n"
        "spec:\n  unknown: uk1\n  unknown: uk2\n  ports:\n  - port: 1\n    port: 2\n"
    )
    answer = apply(space, resource, text)
    said = json.loads(answer.body)["message"]
    assert answer.status == 400
    assert 'line 7: key "unknown" already set in map' in said and 'line 10: key "port" already set in map' in said


@pytest.mark.conformance(
    f"{VALIDATION} detect unknown metadata fields in both the root and embedded object of a CR [Conformance]"
)
def test_unknown_metadata_is_refused_in_the_object_and_what_it_embeds(space: Space, define: Define) -> None:
    spec = {"type": "object", "properties": {"template": EMBEDDED}}
    resource = define({"type": "object", "properties": {"spec": spec}})
    inner = {"apiVersion": "foo/v1", "kind": "Sub", "metadata": {"name": "sub", "unknownSubMeta": "x"}, "spec": {"foo": "bar"}}
    obj = sample(resource, spec={"template": inner})
    obj["metadata"]["unknownMeta"] = "x"
    answer = apply(space, resource, json.dumps(obj))
    said = json.loads(answer.body)["message"]
    assert answer.status == 500
    assert ".metadata.unknownMeta: field not declared in schema" in said
    assert ".spec.template.metadata.unknownSubMeta: field not declared in schema" in said
    path = f"{resource.path(space.name)}?fieldValidation=Strict"
    said = json.loads(space.api.request("POST", path, json.dumps(obj).encode(), Content_Type="application/json").body)["message"]
    assert 'unknown field "metadata.unknownMeta"' in said and 'unknown field "spec.template.metadata.unknownSubMeta"' in said
