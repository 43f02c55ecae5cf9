"""Warnings about expressions that do not fit the kinds they are about, and the status that they are told in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.fakes.server import Everybody, world
from tests.unit.apiserver.admission.policies.objects import BASE, rules, validating

from steersman.api.groups import BUILTIN
from steersman.api.kinds import KindSpec
from steersman.apiserver.admission.policies.plugins import ValidatingPolicies
from steersman.apiserver.admission.policies.typechecking import warnings
from steersman.apiserver.contracts import AdmissionPlugin, Listers
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

_SPEC = {"size": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}}
WIDGETS = KindSpec(
    resource=Resource("example.com", "v1", "widgets", True, "Widget"),
    openapi={"type": "object", "properties": {"spec": {"type": "object", "properties": _SPEC}}},
)


class Served:
    def __init__(self) -> None:
        self._specs = [*BUILTIN, WIDGETS]

    def at(self, group: str, version: str, plural: str) -> KindSpec | None:
        return next((spec for spec in self._specs if spec.resource[:3] == (group, version, plural)), None)

    def of(self, api_version: str, kind: str) -> KindSpec | None:
        return next((spec for spec in self._specs if (spec.resource.api_version, spec.kind) == (api_version, kind)), None)


def told(expression: str, match: Obj | None = None, **spec: Any) -> list[str]:
    return [item["warning"] for item in warnings(validating(expression, match=match, **spec), Served())]


@pytest.mark.parametrize(
    "expression",
    [
        "object.spec.replicas > 1",
        "object.metadata.labels['a'] == 'b' && has(object.metadata.annotations)",
        "object.spec.template.spec.containers.all(c, c.image.startsWith('a') && c.resources.limits['cpu'] == '1')",
        "object.spec.strategy.rollingUpdate.maxSurge == 1 || object.spec.strategy.rollingUpdate.maxSurge == '10%'",
        "oldObject == null || object.metadata.creationTimestamp == oldObject.metadata.creationTimestamp",
        "authorizer.requestResource.check('create').allowed() && request.namespace == namespaceObject.metadata.name",
    ],
)
def test_what_fits_is_not_warned_about(expression: str) -> None:
    assert told(expression) == []


@pytest.mark.parametrize(
    ("expression", "warning"),
    [
        ("object.spec.replicas > '1'", "found no matching overload for '_>_' applied to '(int, string)'"),
        ("object.spec.replica > 1", "undefined field 'replica'"),
        ("object.spec.template.spec.containers.all(c, c.imag == '')", "undefined field 'imag'"),
    ],
)
def test_what_does_not_fit_is_told_with_the_kind(expression: str, warning: str) -> None:
    (found,) = told(expression)
    assert found.startswith(f"apps/v1, Kind=Deployment: ERROR: <input>:1:{found.split(':')[4]}: {warning}\n | {expression}\n")
    assert found.endswith("^\n")


def test_every_kind_is_checked_that_is_named_without_a_star() -> None:
    match = rules()
    match["resourceRules"][0]["resources"] = ["replicasets", "deployments", "deployments/status", "*/scale", "nothing"]
    (found,) = told("object.spec.strategy.type == 'Recreate'", match)
    assert found.startswith("apps/v1, Kind=ReplicaSet: ERROR: <input>:1:12: undefined field 'strategy'")
    (found,) = told("object.spec.nothing", match)
    assert found.count("Kind=Deployment") == found.count("Kind=ReplicaSet") == 1
    assert found.index("Deployment") < found.index("ReplicaSet")
    assert told("object.nothing", rules("*")) == told("object.nothing", rules(group="*")) == []


def test_variables_messages_and_parameters_have_types() -> None:
    variables = [{"name": "n", "expression": "object.spec.replicas"}]
    assert "'(int, string)'" in told("variables.n == 'x'", variables=variables)[0]
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    assert "'(string, int)'" in told("params.data['a'] == 1", paramKind=kind)[0]
    assert told("params.whatever == 1", paramKind={"apiVersion": "example.com/v1", "kind": "Unknown"}) == []
    policy = validating({"expression": "true", "messageExpression": "'got ' + object.spec.replicas"})
    (found,) = warnings(policy, Served())
    assert found["fieldRef"] == "spec.validations[0].messageExpression"


def test_custom_resources_are_checked_by_their_schema() -> None:
    match = rules("widgets", "example.com")
    assert told("object.spec.size > 1 && object.metadata.name != '' && object.kind == 'Widget'", match) == []
    (found,) = told("object.spec.size == 'a'", match)
    assert found.startswith("example.com/v1, Kind=Widget: ")


def test_the_status_says_it_once_for_each_generation() -> None:
    made: list[ValidatingPolicies] = []

    def plugins(listers: Listers) -> list[AdmissionPlugin]:
        made.append(ValidatingPolicies(listers, Everybody()))
        return [made[0]]

    async def scenario() -> None:
        async with world(plugins=plugins) as w, asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(made[0].check_types(w.client, w.clock))

            async def status(generation: int) -> Obj:
                for _ in range(100):
                    found = await w.obj("GET", f"{BASE}/validatingadmissionpolicies/p")
                    if (found.get("status") or {}).get("observedGeneration") == generation:
                        return dict(found["status"])
                    await w.clock.advance(0)
                raise AssertionError(found)

            await w.obj("POST", f"{BASE}/validatingadmissionpolicies", validating("object.spec.replicas > '1'"))
            (warning,) = (await status(1))["typeChecking"]["expressionWarnings"]
            assert warning["fieldRef"] == "spec.validations[0].expression"
            policy = await w.obj("GET", f"{BASE}/validatingadmissionpolicies/p")
            policy["spec"]["validations"][0]["expression"] = "object.spec.replicas > 1"
            await w.obj("PUT", f"{BASE}/validatingadmissionpolicies/p", policy)
            assert await status(2) == {"observedGeneration": 2, "typeChecking": {}}
            version = (await w.obj("GET", f"{BASE}/validatingadmissionpolicies/p"))["metadata"]["resourceVersion"]
            await w.clock.advance(5)
            assert (await w.obj("GET", f"{BASE}/validatingadmissionpolicies/p"))["metadata"]["resourceVersion"] == version
            telling.cancel()

    asyncio.run(scenario())
