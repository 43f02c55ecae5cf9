"""[sig-api-machinery] CustomResourcePublishOpenAPI: what definitions publish, and what upstream's kubectl makes of it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.conformance import crds
from tests.e2e.harness import eventually
from tests.fakes.loopback import Kubectl, serving

from steersman.machinery import yamlio
from steersman.machinery.meta import Obj, name_of

PUBLISH = "[sig-api-machinery] CustomResourcePublishOpenAPI [Privileged:ClusterAdmin]"
WITHIN_S = 120
ADDED = ("apiVersion", "kind", "metadata")
_PRESERVE = "x-kubernetes-preserve-unknown-fields"

FOO: Obj = yamlio.load("""
description: Foo, to be tested with
type: object
properties:
  spec:
    type: object
    description: What is wanted of Foo
    properties:
      bars:
        description: List of bars.
        type: array
        items:
          type: object
          required: [name]
          properties:
            name: {description: Name of the bar., type: string}
            age: {description: Age of the bar., type: string}
            feeling: {description: How the bar feels., type: string, enum: [Great, Down]}
            bazs: {description: List of bazs., type: array, items: {type: string}}
  status:
    description: What is of Foo
    type: object
    properties:
      bars:
        type: array
        items:
          type: object
          properties:
            available: {description: Whether the bar is there., type: boolean}
            quxType: {description: Where qux is., type: string, pattern: in-tree|out-of-tree}
""")
WALDO: Obj = yamlio.load("""
description: Waldo, to be tested with
type: object
properties:
  spec: {description: What is wanted of Waldo, type: object, properties: {dummy: {description: Nothing., type: object}}}
  status: {description: What is of Waldo, type: object, properties: {bars: {type: array, items: {type: object}}}}
""")


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Against a server of its own."""
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield Kubectl(server.config, tmp_path_factory.mktemp("cache"))


Define = Callable[..., Obj]


@pytest.fixture
def define(kubectl: Kubectl) -> Iterator[Define]:
    """Makes a definition, and waits until all of its versions are published; afterwards none of them is."""
    made: list[Obj] = []

    def create(schema: Obj | None, group: str, *versions: str) -> Obj:
        wanted = crds.definition(schema, group=f"test-{group}.example.com", versions=versions, scope="Namespaced")
        kubectl("create", "-f", "-", stdin=json.dumps(wanted))
        made.append(wanted)
        for version in versions:
            becomes(kubectl, wanted, version, there=True)
        return wanted

    yield create
    for wanted in made:
        kubectl("delete", "crd", name_of(wanted))
        for version in wanted["spec"]["versions"]:
            becomes(kubectl, wanted, version["name"], there=False)


def definition_name(wanted: Obj, version: str) -> str:
    spec = wanted["spec"]
    return ".".join([*reversed(spec["group"].split(".")), version, spec["names"]["kind"]])


def documents(kubectl: Kubectl, wanted: Obj, version: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The definitions of v2, and the schemas of v3 of the group-version, which are none if it is not served."""
    definitions: dict[str, Any] = json.loads(kubectl("get", "--raw", "/openapi/v2"))["definitions"]
    index = json.loads(kubectl("get", "--raw", "/openapi/v3"))["paths"]
    entry = index.get(f"apis/{wanted['spec']['group']}/{version}")
    if entry is None:
        return definitions, {}
    return definitions, json.loads(kubectl("get", "--raw", entry["serverRelativeURL"]))["components"]["schemas"]


def published(kubectl: Kubectl, wanted: Obj, version: str) -> bool:
    """Whether both documents have it. Raises ValueError, to be asked again, if only one has."""
    name = definition_name(wanted, version)
    second, third = (name in schemas for schemas in documents(kubectl, wanted, version))
    if second != third:
        raise ValueError(f"{name} is published in only one version of OpenAPI")
    return second


def becomes(kubectl: Kubectl, wanted: Obj, version: str, *, there: bool) -> None:
    """Wait until it is published, or is no more."""
    eventually(lambda: published(kubectl, wanted, version) == there, within_s=WITHIN_S)


def says(kubectl: Kubectl, wanted: Obj, version: str, schema: Obj, third_schema: Obj | None = None) -> None:
    """What is published of a version is its schema, and what every object has."""
    name = definition_name(wanted, version)
    for schemas, expected in zip(documents(kubectl, wanted, version), (schema, third_schema or schema), strict=True):
        found = copy.deepcopy(schemas[name])
        kind = {"group": wanted["spec"]["group"], "version": version, "kind": wanted["spec"]["names"]["kind"]}
        assert found.pop("x-kubernetes-group-version-kind") == [kind]
        for key in ADDED:
            (found.get("properties") or {}).pop(key, None)
        if not found.get("properties"):
            found.pop("properties", None)
        assert found == expected


def goes(kubectl: Kubectl, obj: Obj) -> None:
    """kubectl creates and applies it, validating."""
    text = json.dumps(obj)
    for verb in ("create", "apply"):
        kubectl(verb, "-f", "-", stdin=text)
        kubectl("delete", "-f", "-", stdin=text)


def is_refused(kubectl: Kubectl, obj: Obj, why: str) -> None:
    for verb in ("create", "apply"):
        assert why in kubectl(verb, "-f", "-", stdin=json.dumps(obj), code=1)


def explains(kubectl: Kubectl, path: str, *parts: str) -> None:
    """The explanation has these patterns in it, in this order."""
    told = kubectl("explain", path)
    assert re.search(".*".join(parts), told, re.DOTALL), told


@pytest.mark.conformance(f"{PUBLISH} works for CRD with validation schema [Conformance]")
def test_a_schema_is_what_kubectl_validates_by_and_explains(kubectl: Kubectl, define: Define) -> None:
    made = define(FOO, "foo", "v1")
    says(kubectl, made, "v1", FOO)

    def foo(**spec: Any) -> Obj:
        return crds.instance(made, "mine", spec=spec)

    goes(kubectl, foo(bars=[{"name": "bar"}]))
    is_refused(kubectl, foo(foo=True), 'unknown field "spec.foo"')
    is_refused(kubectl, foo(bars=[{"age": "10"}]), "spec.bars[0].name: Required value")
    is_refused(kubectl, foo(bars=[{"name": "bar", "feeling": "Odd"}]), 'spec.bars[0].feeling: Unsupported value: "Odd"')
    plural = made["spec"]["names"]["plural"]
    explains(
        kubectl,
        plural,
        *("DESCRIPTION:", "Foo, to be tested with", "FIELDS:", "apiVersion", "<string>", "APIVersion defines"),
        *("spec", "<Object>", "What is wanted of Foo"),
    )
    explains(
        kubectl,
        f"{plural}.metadata",
        *(
            "DESCRIPTION:",
            "Standard object's metadata",
            "FIELDS:",
            "creationTimestamp",
            "<string>",
            "CreationTimestamp is a timestamp",
        ),
    )
    explains(
        kubectl,
        f"{plural}.spec",
        *("DESCRIPTION:", "What is wanted of Foo", "FIELDS:", "bars", r"<\[\]Object>", "List of bars"),
    )
    explains(
        kubectl,
        f"{plural}.spec.bars",
        *("bars", r"<\[\]Object>", "DESCRIPTION:", "List of bars", "FIELDS:"),
        *("bazs", r"<\[\]string>", "List of bazs", "name", "<string>", "-required-", "Name of the bar"),
    )
    assert 'field "bars2" does not exist' in kubectl("explain", f"{plural}.spec.bars2", code=1)


@pytest.mark.conformance(f"{PUBLISH} works for CRD without validation schema [Conformance]")
def test_without_a_schema_anything_goes(kubectl: Kubectl, define: Define) -> None:
    made = define(None, "empty", "v1")
    says(kubectl, made, "v1", {"type": "object"}, crds.FREE)
    goes(kubectl, crds.instance(made, "mine", a={"b": [{"c": "d"}]}))
    explains(kubectl, made["spec"]["names"]["plural"], "DESCRIPTION:", "<empty>")


@pytest.mark.conformance(f"{PUBLISH} works for CRD preserving unknown fields at the schema root [Conformance]")
def test_where_the_root_keeps_unknown_fields_anything_goes(kubectl: Kubectl, define: Define) -> None:
    schema = {**WALDO, _PRESERVE: True}
    made = define(schema, "unknown-at-root", "v1")
    says(kubectl, made, "v1", {"type": "object"}, schema)
    goes(kubectl, crds.instance(made, "mine", a={"b": [{"c": "d"}]}))
    explains(kubectl, made["spec"]["names"]["plural"], "KIND:", made["spec"]["names"]["kind"])


@pytest.mark.conformance(f"{PUBLISH} works for CRD preserving unknown fields in an embedded object [Conformance]")
def test_where_a_field_keeps_unknown_fields_anything_goes_inside(kubectl: Kubectl, define: Define) -> None:
    schema = copy.deepcopy(WALDO)
    schema["properties"]["spec"][_PRESERVE] = True
    made = define(schema, "unknown-in-nested", "v1")
    second = copy.deepcopy(schema)
    # kubectl takes nothing that has a type or fields for what anything may be in.
    second["properties"]["spec"] = {"description": "What is wanted of Waldo", _PRESERVE: True}
    says(kubectl, made, "v1", second, schema)
    goes(kubectl, crds.instance(made, "mine", spec={"a": None, "b": [{"c": "d"}]}))
    is_refused(kubectl, crds.instance(made, "mine", status={"a": 1}), 'unknown field "status.a"')
    explains(kubectl, made["spec"]["names"]["plural"], "DESCRIPTION:", "Waldo, to be tested with")


@pytest.mark.conformance(f"{PUBLISH} works for multiple CRDs of different groups [Conformance]")
def test_kinds_of_different_groups_are_published(kubectl: Kubectl, define: Define) -> None:
    foo, waldo = define(FOO, "foo", "v1"), define(WALDO, "waldo", "v1beta1")
    says(kubectl, foo, "v1", FOO)
    says(kubectl, waldo, "v1beta1", WALDO)


@pytest.mark.conformance(f"{PUBLISH} works for multiple CRDs of same group but different versions [Conformance]")
def test_versions_of_a_group_are_published(kubectl: Kubectl, define: Define) -> None:
    several = define(FOO, "multi-ver", "v2", "v3")
    foo, waldo = define(FOO, "common-group", "v4"), define(WALDO, "common-group", "v5")
    for made, version, schema in ((several, "v2", FOO), (several, "v3", FOO), (foo, "v4", FOO), (waldo, "v5", WALDO)):
        says(kubectl, made, version, schema)


@pytest.mark.conformance(f"{PUBLISH} works for multiple CRDs of same group and version but different kinds [Conformance]")
def test_kinds_of_a_version_are_published(kubectl: Kubectl, define: Define) -> None:
    foo, waldo = define(FOO, "common-group", "v6"), define(WALDO, "common-group", "v6")
    says(kubectl, foo, "v6", FOO)
    says(kubectl, waldo, "v6", WALDO)


@pytest.mark.conformance(f"{PUBLISH} updates the published spec when one version gets renamed [Conformance]")
def test_a_renamed_version_is_published_by_its_new_name(kubectl: Kubectl, define: Define) -> None:
    made = define(FOO, "multi-ver", "v2", "v3")
    at = "/spec/versions/1/name"
    patch = [{"op": "test", "path": at, "value": "v3"}, {"op": "replace", "path": at, "value": "v4"}]
    kubectl("patch", "crd", name_of(made), "--type=json", "-p", json.dumps(patch))
    becomes(kubectl, made, "v4", there=True)
    becomes(kubectl, made, "v3", there=False)
    says(kubectl, made, "v4", FOO)
    says(kubectl, made, "v2", FOO)
    made["spec"]["versions"][1]["name"] = "v4"


@pytest.mark.conformance(f"{PUBLISH} removes definition from spec when one version gets changed to not be served [Conformance]")
def test_a_version_that_is_not_served_is_not_published(kubectl: Kubectl, define: Define) -> None:
    made = define(FOO, "multi-to-single-ver", "v5", "v6alpha1")
    patch = [{"op": "replace", "path": "/spec/versions/1/served", "value": False}]
    kubectl("patch", "crd", name_of(made), "--type=json", "-p", json.dumps(patch))
    becomes(kubectl, made, "v6alpha1", there=False)
    says(kubectl, made, "v5", FOO)
