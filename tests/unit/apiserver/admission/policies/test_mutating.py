"""MutatingAdmissionPolicies in force: what they make of objects, in which order, and what is told when one fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.fakes.server import config_map, world
from tests.unit.apiserver.admission.policies.objects import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    binding,
    deployment,
    install,
    mutating,
    mutating_binding,
    plugins,
    rules,
    validating,
)

from steersman.apiserver.contracts import AdmissionPlugin, AdmissionRequest, Listers
from steersman.machinery.meta import Obj

MAPS = rules("configmaps", "")


def made(*objects: Obj, body: Obj | None = None, target: str = DEPLOYMENTS) -> Obj:
    """What comes of a POST once these objects are there: the object, or the Status."""

    async def scenario() -> Obj:
        async with world(plugins=plugins()) as server:
            await install(server, *objects)
            return await server.obj("POST", target, body or deployment())

    return asyncio.run(scenario())


def data(*expressions: str, **spec: Any) -> dict[str, str]:
    """What is in a config map after a policy of these mutations."""
    found = made(mutating(*expressions, match=MAPS, **spec), mutating_binding(), body=config_map("a"), target=CONFIG_MAPS)
    assert "data" in found or found["kind"] == "ConfigMap", found
    return found.get("data") or {}


def told(*expressions: str, body: Obj | None = None, **spec: Any) -> str:
    return str(made(mutating(*expressions, **spec), mutating_binding(), body=body).get("message") or "")


def test_an_apply_configuration_is_merged_by_the_schema() -> None:
    sidecar = "Object.spec.template.spec.containers{name: 'side', image: 'proxy:1'}"
    template = f"Object.spec.template{{spec: Object.spec.template.spec{{containers: [{sidecar}]}}}}"
    found = made(
        mutating(f"Object{{metadata: Object.metadata{{labels: {{'a': 'b'}}}}, spec: Object.spec{{template: {template}}}}}"),
        mutating_binding(),
        body=deployment(labels={"x": "y"}),
    )
    assert found["metadata"]["labels"] == {"a": "b", "x": "y"}
    first, second = found["spec"]["template"]["spec"]["containers"]
    assert (first["name"], second["name"], second["image"]) == ("main", "side", "proxy:1")
    # What was added has its defaults, and nobody owns it.
    assert second["terminationMessagePath"] == "/dev/termination-log"
    assert "side" not in json.dumps(found["metadata"]["managedFields"])


_ADD = "JSONPatch{op: 'add', path: '/data', value: {'a': 'b'}}"


@pytest.mark.parametrize(
    ("patch", "found"),
    [
        (f"[{_ADD}]", {"a": "b"}),
        (f"[{_ADD}, JSONPatch{{op: 'copy', from: '/data/a', path: '/data/c'}}]", {"a": "b", "c": "b"}),
        (f"[{_ADD}, JSONPatch{{op: 'remove', path: '/data/a'}}]", {}),
        (f"[JSONPatch{{op: 'test', path: '/metadata/name', value: 'z'}}, {_ADD}]", {}),
        (f"object.metadata.name == 'a' ? [{_ADD}] : [JSONPatch{{op: 'remove', path: '/metadata'}}]", {"a": "b"}),
        ("[JSONPatch{op: 'add', path: '/metadata/labels', value: Object{a: 'b'}}]", {}),
    ],
)
def test_a_json_patch_is_applied(patch: str, found: dict[str, str]) -> None:
    assert data(patch) == found


def test_an_object_in_a_patch_must_be_named_after_its_place() -> None:
    text = 'type mismatch: unexpected type name "Object.wrong", expected "Object"'
    assert text in told("[JSONPatch{op: 'add', path: '/spec', value: Object.wrong{}}]")


def test_every_mutation_sees_what_the_one_before_has_made() -> None:
    first = "Object{data: Object.data{a: '1'}}"
    second = "Object{data: Object.data{b: object.data.a + '2'}}"
    assert data(first, second) == {"a": "1", "b": "12"}


def test_policies_run_in_the_order_of_their_names() -> None:
    append = "Object{{data: Object.data{{seen: object.?data.?seen.orValue('') + '{}'}}}}"
    policies = [mutating(append.format(name), name=name, match=MAPS) for name in "cab"]
    bindings = [mutating_binding(name, name=f"of-{name}") for name in "abc"]
    assert made(*policies, *bindings, body=config_map("a"), target=CONFIG_MAPS)["data"] == {"seen": "abc"}


def test_validating_policies_see_the_result() -> None:
    change = mutating("Object{spec: Object.spec{replicas: 9}}")
    found = made(change, mutating_binding(), validating("object.spec.replicas < 5"), binding())
    assert "failed expression: object.spec.replicas < 5" in found["message"]


def test_match_conditions_variables_and_parameters_work_as_everywhere() -> None:
    reference = {"name": "settings", "parameterNotFoundAction": "Deny"}
    policy = mutating(
        "Object{spec: Object.spec{replicas: variables.most}}",
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
        variables=[{"name": "most", "expression": "int(params.data.most)"}],
        matchConditions=[{"name": "small", "expression": "object.spec.replicas < 3"}],
    )
    settings = {**config_map("settings"), "data": {"most": "3"}}
    objects = policy, mutating_binding(paramRef=reference), settings
    assert made(*objects)["spec"]["replicas"] == 3
    assert made(*objects, body=deployment(replicas=5))["spec"]["replicas"] == 5


LEAD = "policy 'p' with binding 'b' denied request: "


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("Object{spec: Object.spec{replicas: object.spec.nothing}}", "no such key: nothing"),
        (
            "Object{spec: Object.metadata{}}",
            'type mismatch: unexpected type name "Object.metadata", expected "Object.spec", '
            "which matches field name path from root Object type",
        ),
        (
            "Object{spec: Object.spec{nothing: 1}}",
            "error applying patch: failed to convert patch object to typed object: .spec.nothing: field not declared in schema",
        ),
        (
            "Object{spec: Object.spec{selector: Object.spec.selector{matchLabels: {'a': 'b'}}}}",
            "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.selector",
        ),
        ("[JSONPatch{op: 'remove', path: '/spec/nothing'}]", "JSON Patch: "),
    ],
)
def test_a_mutation_that_fails_refuses_the_request(expression: str, text: str) -> None:
    found = told(expression)
    assert found.startswith(LEAD)
    assert text in found
    assert told(expression, failurePolicy="Ignore") == ""


def test_all_failures_are_causes_and_the_first_is_the_message() -> None:
    async def scenario() -> None:
        async with world(plugins=plugins()) as server:
            wrong = ["Object{spec: Object.spec{replicas: object.spec.a}}", "Object{spec: Object.spec{replicas: object.spec.b}}"]
            await install(server, mutating(*wrong), mutating_binding())
            answer = await server.raw("POST", DEPLOYMENTS, deployment())
            found = json.loads(answer.body)
            assert (answer.status, found["code"], found["reason"]) == (403, 403, "Invalid")
            assert [cause["message"].endswith(key) for cause, key in zip(found["details"]["causes"], "ab")] == [True, True]
            assert found["message"] == found["details"]["causes"][0]["message"]

    asyncio.run(scenario())


def test_a_policy_that_cannot_be_configured_refuses_by_its_name() -> None:
    found = told("Object{}", paramKind={"apiVersion": "example.com/v1", "kind": "Limit"})
    text = "failed to find resource referenced by paramKind: 'example.com/v1, Kind=Limit'"
    assert found == f'policy "p" denied request: failed to configure policy: {text}'


def test_a_patch_that_makes_something_else_of_the_object_is_an_internal_error() -> None:
    status = made(mutating("[JSONPatch{op: 'add', path: '/spec/nothing', value: 1}]", failurePolicy="Ignore"), mutating_binding())
    assert (status["code"], status["reason"]) == (500, "InternalError")


def test_deletions_are_not_mutated() -> None:
    async def scenario() -> None:
        async with world(plugins=plugins()) as server:
            await server.obj("POST", "/api/v1/namespaces", {"metadata": {"name": "default"}})
            await server.obj("POST", CONFIG_MAPS, config_map("a"))
            await install(server, mutating("Object{data: Object.data{a: object.data.nothing}}", match=MAPS), mutating_binding())
            assert (await server.raw("DELETE", f"{CONFIG_MAPS}/a")).status == 200

    asyncio.run(scenario())


class _Later:
    """A plugin after the policies that changes an object once, as a webhook would."""

    name = "Later"

    def __init__(self) -> None:
        self.turns = 0

    async def admit(self, request: AdmissionRequest) -> None:
        if request.resource.plural == "configmaps" and request.obj is not None:
            self.turns += 1
            request.obj.setdefault("data", {})["later"] = "yes"
            request.changed_from_outside = True

    async def validate(self, request: AdmissionRequest) -> None: ...


@pytest.mark.parametrize(("again", "seen"), [("Never", "1"), ("IfNeeded", "11")])
def test_what_has_changed_later_is_shown_again_to_who_wants_to_see_it(again: str, seen: str) -> None:
    later = _Later()

    def chain(listers: Listers) -> Sequence[AdmissionPlugin]:
        return [*plugins()(listers), later]

    async def scenario() -> None:
        async with world(plugins=chain) as server:
            count = "Object{data: Object.data{seen: object.?data.?seen.orValue('') + '1'}}"
            await install(server, mutating(count, match=MAPS, again=again), mutating_binding())
            found = await server.obj("POST", CONFIG_MAPS, config_map("a"))
            assert found["data"] == {"seen": seen, "later": "yes"}
            assert later.turns == 2

    asyncio.run(scenario())


def test_updates_are_mutated_and_keep_who_owns_what() -> None:
    async def scenario() -> None:
        async with world(plugins=plugins()) as server:
            await server.obj("POST", "/api/v1/namespaces", {"metadata": {"name": "default"}})
            before = await server.obj("POST", DEPLOYMENTS, deployment())
            await install(server, mutating("Object{metadata: Object.metadata{annotations: {'a': 'b'}}}"), mutating_binding())
            after = await server.obj("PUT", f"{DEPLOYMENTS}/web", deployment(replicas=2))
            assert after["metadata"]["annotations"] == {"a": "b"}
            assert after["spec"]["replicas"] == 2
            for key in ("uid", "creationTimestamp"):
                assert after["metadata"][key] == before["metadata"][key]

    asyncio.run(scenario())
