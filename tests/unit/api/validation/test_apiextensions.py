"""What is refused of CustomResourceDefinitions, and how."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from steersman.api.customresources import definition
from steersman.api.defaults.apiextensions import custom_resource_definition
from steersman.api.strategies.apiextensions import DEFINITION
from steersman.api.validation import apiextensions as validation
from steersman.machinery.meta import Obj

SCHEMA: Obj = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "a": {"type": "string"},
                "n": {"type": "integer"},
                "l": {"type": "array", "items": {"type": "string"}},
            },
        }
    },
}


def crd(**spec: Any) -> Obj:
    obj: Obj = {
        "metadata": {"name": "foos.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "foos", "kind": "Foo"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": copy.deepcopy(SCHEMA)}}],
            **spec,
        },
    }
    custom_resource_definition(obj)
    DEFINITION.prepare_create(obj)
    return obj


def first(obj: Obj) -> Obj:
    found: Obj = obj["spec"]["versions"][0]
    return found


def put(*path: Any, value: Any) -> Callable[[Obj], None]:
    def change(obj: Obj) -> None:
        for step in path[:-1]:
            obj = obj[step]
        obj[path[-1]] = value

    return change


def in_version(key: str, value: Any) -> Callable[[Obj], None]:
    return put("spec", "versions", 0, key, value=value)


def second(**more: Any) -> Callable[[Obj], None]:
    """With another version."""

    def change(obj: Obj) -> None:
        obj["spec"]["versions"].append({**copy.deepcopy(first(obj)), "name": "v2", "storage": False, **more})

    return change


def test_a_plain_definition_is_fine_and_gets_its_defaults() -> None:
    obj = crd()
    assert validation.validate(obj) == []
    assert obj["spec"]["names"] == {"plural": "foos", "kind": "Foo", "singular": "foo", "listKind": "FooList"}
    assert obj["spec"]["conversion"] == {"strategy": "None"}
    assert obj["status"]["storedVersions"] == ["v1"]


SCALE = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
COLUMN = {"name": "A", "type": "string", "jsonPath": ".spec.a"}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (
            put("metadata", "name", value="foo.example.com"),
            'metadata.name: Invalid value: "foo.example.com": must be spec.names.plural+"."+spec.group',
        ),
        (put("spec", "scope", value="x"), 'spec.scope: Unsupported value: "x": supported values: "Cluster", "Namespaced"'),
        (put("spec", "scope", value=""), "spec.scope: Required value"),
        (put("spec", "names", "listKind", value="Foo"), "kind and listKind may not be the same"),
        (put("spec", "names", "singular", value="Foo"), "spec.names.singular: Invalid value: "),
        (put("spec", "names", "kind", value="a b"), "may have mixed case, but should otherwise match: a DNS-1035 label"),
        (put("spec", "names", "shortNames", value=["A"]), "spec.names.shortNames[0]: Invalid value: "),
        (put("spec", "preserveUnknownFields", value=True), "spec.preserveUnknownFields: Invalid value: true: cannot set to true"),
        (in_version("storage", False), "must have exactly one version marked as storage version"),
        (in_version("name", "V1"), "spec.versions[0].name: Invalid value: "),
        (second(name="v1"), "must contain unique version names"),
        (in_version("schema", {}), "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required"),
        (in_version("schema", {"openAPIV3Schema": {}}), "spec.validation.openAPIV3Schema.type: Required value"),
        (
            second(schema={"openAPIV3Schema": {"type": "array", "items": {"type": "string"}}}),
            "spec.versions[1].schema.openAPIV3Schema.type: Invalid value",
        ),
        (in_version("deprecationWarning", "x"), "can only be set for deprecated versions"),
        (in_version("subresources", {"scale": {}}), "spec.subresources.scale.specReplicasPath: Required value"),
        (
            in_version("subresources", {"scale": {**SCALE, "specReplicasPath": ".status.x"}}),
            'spec.subresources.scale.specReplicasPath: Invalid value: ".status.x": should be a json path under .spec',
        ),
        (
            in_version("subresources", {"scale": {**SCALE, "labelSelectorPath": ".x.y"}}),
            "should be a json path under either .spec or .status",
        ),
        (
            in_version("additionalPrinterColumns", [{**COLUMN, "type": "x"}]),
            'spec.additionalPrinterColumns[0].type: Invalid value: "x": must be one of boolean,date,integer,number,string',
        ),
        (
            in_version("additionalPrinterColumns", [{**COLUMN, "jsonPath": "spec"}]),
            "must be a simple json path starting with .",
        ),
        (in_version("selectableFields", [{"jsonPath": ".spec.none"}]), "is an invalid path: does not refer to a valid field"),
        (in_version("selectableFields", [{"jsonPath": ".spec.l.x"}]), "is an invalid path: must not contain arrays"),
        (in_version("selectableFields", [{"jsonPath": ".metadata.name"}]), "must not point to fields in metadata"),
        (in_version("selectableFields", [{"jsonPath": ".spec"}]), "must point to a field of type string, boolean or integer"),
        (in_version("selectableFields", [{"jsonPath": ".spec.a"}] * 2), "Duplicate value"),
        (in_version("selectableFields", [{"jsonPath": ".spec.a"}] * 9), "Too many: 9: must have at most 8 items"),
        (put("spec", "conversion", value={"strategy": "x"}), 'spec.conversion.strategy: Unsupported value: "x"'),
        (put("spec", "conversion", value={"strategy": "Webhook"}), "spec.conversion.webhookClientConfig: Required value"),
        (
            put("spec", "conversion", value={"strategy": "None", "webhook": {"conversionReviewVersions": ["v1"]}}),
            "spec.conversion.conversionReviewVersions: Forbidden: should not be set when strategy is not set to Webhook",
        ),
        (
            put("spec", "conversion", value={"strategy": "Webhook", "webhook": {"clientConfig": {"url": "http://x"}}}),
            "'https' is the only allowed URL scheme",
        ),
        (put("status", "storedVersions", value=["v1", "v0"]), "v0 was previously a storage version, and must remain"),
    ],
)
def test_a_wrong_definition_is_refused_in_upstreams_words(change: Callable[[Obj], None], error: str) -> None:
    obj = crd()
    change(obj)
    assert error in "; ".join(map(str, validation.validate(obj)))


def test_a_group_wants_a_domain_and_one_of_the_project_an_approval() -> None:
    assert "should be a domain with at least one dot" in str(validation.validate(crd(group="foo")))
    found = [str(error) for error in validation.validate(crd(group="x.k8s.io")) if "annotations" in error.path]
    assert found == [
        "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation "
        '"api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111'
    ]


def established() -> Obj:
    obj = crd()
    obj["status"]["conditions"] = [{"type": "Established", "status": "True"}]
    return obj


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (put("spec", "group", value="x.y"), 'spec.group: Invalid value: "x.y": field is immutable'),
        (put("spec", "names", "plural", value="x"), 'spec.names.plural: Invalid value: "x": field is immutable'),
        (put("spec", "names", "kind", value="X"), 'spec.names.kind: Invalid value: "X": field is immutable'),
        (put("spec", "scope", value="Cluster"), 'spec.scope: Invalid value: "Cluster": field is immutable'),
        (put("spec", "versions", value=[]), "must have exactly one version marked as storage version"),
    ],
)
def test_what_an_established_definition_may_not_change(change: Callable[[Obj], None], error: str) -> None:
    old = established()
    new = copy.deepcopy(old)
    change(new)
    assert error in "; ".join(map(str, validation.validate_update(new, old)))


def test_an_update_is_not_refused_for_what_is_stored_already() -> None:
    old = established()
    first(old)["schema"]["openAPIV3Schema"]["properties"]["bad"] = {}
    new = copy.deepcopy(old)
    new["spec"]["names"]["shortNames"] = ["f"]
    assert validation.validate_update(new, old) == []


def test_a_new_storage_version_is_remembered_beside_the_old_one() -> None:
    old = established()
    new = copy.deepcopy(old)
    second(storage=True)(new)
    first(new)["storage"] = False
    DEFINITION.prepare_update(new, old)
    assert new["status"]["storedVersions"] == ["v1", "v2"]
    assert validation.validate_update(new, old) == []


def test_schemas_inside_items_have_types_too() -> None:
    inner: Obj = {"type": "array", "items": {"type": 5, "nosuch": 1}}
    schema: Obj = {"type": "object", "properties": {"l": inner, "m": {"type": "object", "additionalProperties": "x"}}}
    obj: Obj = {"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}}
    errors, unknown = definition.settle(obj)
    assert errors == [
        "json: cannot unmarshal number into Go struct field JSONSchemaProps.type of type string",
        "json: cannot unmarshal string into Go value of type apiextensions.JSONSchemaPropsOrBool",
    ]
    assert unknown == ["spec.versions[0].schema.openAPIV3Schema.properties[l].items.nosuch"]
