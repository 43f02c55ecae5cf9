"""CustomResourceDefinitions: names and conditions, and the KindSpecs that come of them."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from steersman.api.customresources import openapi, specs
from steersman.api.customresources.naming import accept
from steersman.api.customresources.status import next_status
from steersman.api.customresources.table import table
from steersman.machinery.meta import Obj, condition

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA: Obj = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string"}}}}}


def version(name: str = "v1", *, storage: bool = True, **more: Any) -> Obj:
    return {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": SCHEMA}, **more}


def definition(plural: str = "foos", *versions: Obj, kind: str = "Foo", group: str = "example.com", **status: Any) -> Obj:
    return {
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": list(versions) or [version()],
        },
        "status": status,
    }


def settled(obj: Obj, *others: Obj) -> Obj:
    """With the status it has when nothing is left to do."""
    obj = copy.deepcopy(obj)
    for _ in range(5):
        status = next_status(obj, [obj, *others], NOW)
        if status is None:
            return obj
        obj["status"] = status
    raise AssertionError("conditions never settle")


def verdicts(obj: Obj) -> dict[str, tuple[str, str]]:
    return {item["type"]: (item["status"], item["reason"]) for item in obj["status"]["conditions"]}


def test_names_are_accepted_first_and_the_definition_is_established_in_a_second_step() -> None:
    obj = definition()
    first = next_status(obj, [obj], NOW)
    assert first is not None
    assert first["acceptedNames"] == obj["spec"]["names"]
    assert verdicts({"status": first}) == {"NamesAccepted": ("True", "NoConflicts"), "Established": ("False", "Installing")}
    assert verdicts(settled(obj)) == {"NamesAccepted": ("True", "NoConflicts"), "Established": ("True", "InitialNamesAccepted")}


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        ({"singular": "foo"}, "SingularConflict", '"foo" is already in use'),
        ({"shortNames": ["f", "foos"]}, "ShortNamesConflict", '"foos" is already in use'),
        ({"kind": "Foo"}, "KindConflict", '"Foo" is already in use'),
        ({"listKind": "FooList"}, "ListKindConflict", '"FooList" is already in use'),
    ],
)
def test_a_name_that_another_definition_of_the_group_has_is_refused(change: Obj, reason: str, message: str) -> None:
    first, second = settled(definition()), definition("bars", kind="Bar")
    second["spec"]["names"].update(change)
    found = accept(second, [first, second])
    assert (found.status, found.reason, found.message) == ("False", reason, message)
    assert found.accepted["plural"] == "bars"
    assert verdicts(settled(second, first))["Established"] == ("False", "NotAccepted")


def test_names_of_other_groups_are_no_conflict() -> None:
    other = settled(definition(group="other.com"))
    assert verdicts(settled(definition(), other))["NamesAccepted"] == ("True", "NoConflicts")


def test_an_established_definition_stays_established_when_its_new_names_are_taken() -> None:
    first, second = settled(definition()), settled(definition("bars", kind="Bar"))
    second["spec"]["names"]["shortNames"] = ["foo"]
    found = settled(second, first)
    assert verdicts(found) == {
        "NamesAccepted": ("False", "ShortNamesConflict"),
        "Established": ("True", "InitialNamesAccepted"),
    }
    assert "shortNames" not in found["status"]["acceptedNames"]


@pytest.mark.parametrize(
    ("annotation", "verdict"),
    [
        ("https://github.com/kubernetes/kubernetes/pull/1", ("True", "ApprovedAnnotation")),
        ("unapproved, experimental", ("False", "UnapprovedAnnotation")),
        ("x", ("False", "InvalidAnnotation")),
        (None, ("False", "MissingAnnotation")),
    ],
)
def test_groups_of_the_project_show_whether_they_are_approved(annotation: str | None, verdict: tuple[str, str]) -> None:
    obj = definition(group="things.k8s.io")
    obj["metadata"]["annotations"] = {"api-approved.kubernetes.io": annotation} if annotation is not None else {}
    assert verdicts(settled(obj))["KubernetesAPIApprovalPolicyConformant"] == verdict


def test_a_definition_that_is_being_deleted_is_left_alone() -> None:
    obj = definition()
    obj["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert next_status(obj, [obj], NOW) is None


def test_nothing_is_served_before_the_names_are_accepted() -> None:
    assert specs.specs(definition()) == []
    assert [spec.resource.path() for spec in specs.specs(settled(definition()))] == ["/apis/example.com/v1/foos"]


def test_versions_differ_by_their_name_only_and_what_is_not_served_is_not_there() -> None:
    obj = settled(
        definition("foos", version("v1"), version("v2", storage=False), {**version("v3", storage=False), "served": False})
    )
    stored, other = specs.specs(obj)
    assert (stored.resource.version, stored.conversion) == ("v1", None)
    assert other.conversion is not None
    assert other.conversion.storage == stored.resource
    assert other.conversion.to_storage({"apiVersion": "example.com/v2", "spec": 1}) == {"apiVersion": "example.com/v1", "spec": 1}
    assert other.conversion.from_storage({"apiVersion": "example.com/v1"}) == {"apiVersion": "example.com/v2"}


def test_with_a_conversion_webhook_every_version_says_who_is_asked_and_what_is_stored() -> None:
    client = {"url": "https://127.0.0.1:1/convert"}
    conversion = {"strategy": "Webhook", "webhook": {"clientConfig": client, "conversionReviewVersions": ["v1"]}}
    obj = settled(definition("foos", version("v1"), version("v2", storage=False)))
    obj["spec"]["conversion"] = conversion
    stored, other = specs.specs(obj)
    for spec in (stored, other):
        assert spec.conversion is None and spec.webhook is not None
        assert (spec.webhook.client, spec.webhook.reviews) == (client, ("v1",))
        assert spec.storage == stored.resource
    obj = settled(definition())
    obj["spec"]["conversion"] = conversion
    (alone,) = specs.specs(obj)
    assert (alone.webhook, alone.storage) == (None, alone.resource), "there is nothing to convert"


def test_a_deprecated_version_warns_and_names_a_better_one() -> None:
    obj = settled(
        definition(
            "foos",
            version("v1"),
            version("v1beta1", storage=False, deprecated=True),
            version("v1alpha1", storage=False, deprecated=True, deprecationWarning="go away"),
        )
    )
    assert [spec.deprecation for spec in specs.specs(obj)] == [
        "",
        "example.com/v1beta1 Foo is deprecated; use example.com/v1 Foo",
        "go away",
    ]


def test_equal_schemas_make_equal_readings_so_that_nothing_is_loaded_anew() -> None:
    one, same = (specs.specs(settled(definition()))[0] for _ in range(2))
    assert one.read == same.read
    other = definition()
    other["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": {"type": "object"}}
    assert specs.specs(settled(other))[0].read != one.read


def test_stored_objects_are_read_by_the_schema_of_the_version_they_were_written_as() -> None:
    def with_default(value: str) -> Obj:
        return {"openAPIV3Schema": {"type": "object", "properties": {"x": {"type": "string", "default": value}}}}

    versions = (version("v1", schema=with_default("one")), version("v2", storage=False, schema=with_default("two")))
    read = specs.specs(settled(definition("foos", *versions)))[0].read
    assert read is not None
    for stored, wanted in (("v1", "one"), ("v2", "two"), ("v0", "one")):
        obj: Obj = {"apiVersion": f"example.com/{stored}", "gone": 1}
        read(obj)
        assert obj == {"apiVersion": f"example.com/{stored}", "x": wanted}


def test_generation_counts_everything_but_metadata_and_status() -> None:
    cases: list[tuple[Obj, int]] = [({"status": {}}, 1), ({}, 2)]
    for sub, grown in cases:
        spec = specs.specs(settled(definition("foos", version(subresources=sub))))[0]
        old: Obj = {"metadata": {"generation": 1}, "spec": {"a": "x"}, "status": {"b": 1}}
        new: Obj = {"metadata": {"labels": {"l": "x"}}, "spec": {"a": "x"}, "status": {"b": 2}}
        spec.strategy.prepare_update(new, old)
        assert new["metadata"]["generation"] == grown
        assert new["status"] == ({"b": 1} if sub else {"b": 2})


def cells(column: Obj, obj: Obj) -> Any:
    return table([{"name": "x", **column}]).cells({"metadata": {"name": "n"}, **obj}, NOW)[1]


@pytest.mark.parametrize(
    ("kind", "value", "cell"),
    [
        ("string", "a", "a"),
        ("string", 5, "5"),
        ("string", {"a": 1}, '{"a":1}'),
        ("integer", 5, 5),
        ("integer", "5", None),
        ("integer", -7.9, -7),
        ("integer", 1e300, -(2**63)),
        ("integer", 2**64 - 1, -(2**63)),
        ("number", 5, 5.0),
        ("boolean", True, True),
        ("boolean", "true", None),
        ("date", "2025-12-31T23:59:00Z", "60s"),
        ("date", "x", "<invalid>"),
        ("string", None, None),
    ],
)
def test_a_column_shows_values_of_its_type(kind: str, value: Any, cell: Any) -> None:
    assert cells({"type": kind, "jsonPath": ".spec.x"}, {"spec": {"x": value}}) == cell
    assert cells({"type": kind, "jsonPath": ".spec.y"}, {"spec": {"x": value}}) is None


def test_without_columns_name_and_age_are_shown() -> None:
    made = table([])
    assert [column.name for column in made.columns] == ["Name", "Age"]
    assert made.cells({"metadata": {"name": "n", "creationTimestamp": "2025-12-31T23:59:00Z"}}, NOW) == ["n", "60s"]


def test_the_published_schema_has_the_fields_of_every_resource() -> None:
    made = specs.specs(settled(definition()))[0].openapi
    assert made is not None
    assert sorted(made["properties"]) == ["apiVersion", "kind", "metadata", "spec"]
    assert made["x-kubernetes-group-version-kind"] == [{"group": "example.com", "kind": "Foo", "version": "v1"}]
    assert openapi.v2(made)["properties"]["metadata"]["$ref"] == "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def test_version_two_of_openapi_says_nothing_of_what_it_cannot_say() -> None:
    nullable: Obj = {"type": "string", "nullable": True}
    made: Obj = {
        "type": "object",
        "properties": {
            "n": {"type": "object", "nullable": True, "properties": {"a": {"type": "string"}}},
            "p": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"a": {"type": "string"}}},
            "l": {"type": "array", "x-kubernetes-preserve-unknown-fields": True, "items": {"type": "string"}},
            "o": {"type": "object", "oneOf": [{"required": ["a"]}], "properties": {"a": {"type": "string", "not": {}}}},
            "r": {"type": "object", "required": ["a", "b"], "properties": {"a": nullable, "b": {"type": "string"}}},
            "m": {"type": "object", "required": ["a"], "additionalProperties": nullable},
        },
    }
    assert openapi.v2(made)["properties"] == {
        "n": {},
        "p": {"x-kubernetes-preserve-unknown-fields": True},
        "l": {"x-kubernetes-preserve-unknown-fields": True},
        "o": {"type": "object", "properties": {"a": {"type": "string"}}},
        "r": {"type": "object", "required": ["b"], "properties": {"a": {}, "b": {"type": "string"}}},
        "m": {"type": "object", "additionalProperties": {}},
    }


def test_the_established_condition_keeps_its_time() -> None:
    obj = settled(definition())
    found = condition(obj, "Established")
    assert found is not None
    assert found["lastTransitionTime"] == "2026-01-01T00:00:00Z"
