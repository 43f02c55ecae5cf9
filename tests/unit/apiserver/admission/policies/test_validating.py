"""ValidatingAdmissionPolicies in force: whom they are about, with which parameters, and what the client is told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.fakes.server import World, config_map, world
from tests.unit.apiserver.admission.policies.objects import (
    BASE,
    CONFIG_MAPS,
    DEPLOYMENTS,
    binding,
    deployment,
    install,
    message,
    mutating,
    mutating_binding,
    plugins,
    rules,
    validating,
)

from steersman.machinery.meta import Obj

DENIED = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: "
REFUSED = 'deployments.apps "web" is forbidden: ' + DENIED


def answered(*objects: Obj, body: Obj | None = None, target: str = DEPLOYMENTS) -> str:
    """What is said to a POST once these objects are there."""

    async def scenario() -> str:
        async with world(plugins=plugins()) as server:
            await install(server, *objects)
            return await message(server, "POST", target, body or deployment(replicas=7))

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("reason", "code"), [("", 422), ("Forbidden", 403), ("Unauthorized", 401), ("RequestEntityTooLarge", 413)]
)
def test_a_refusal_is_a_status_of_the_policys_reason(reason: str, code: int) -> None:
    async def scenario() -> None:
        async with world(plugins=plugins()) as server:
            check = {"expression": "object.spec.replicas <= 5", **({"reason": reason} if reason else {})}
            await install(server, validating(check), binding())
            answer = await server.raw("POST", DEPLOYMENTS, deployment(replicas=7))
            text = f"{DENIED}failed expression: object.spec.replicas <= 5"
            assert answer.status == code
            found = json.loads(answer.body)
            assert (found["reason"], found["code"]) == (reason or "Invalid", code)
            assert found["message"] == f'deployments.apps "web" is forbidden: {text}'
            assert found["details"] == {"name": "web", "group": "apps", "kind": "deployments", "causes": [{"message": text}]}
            assert (await server.raw("POST", DEPLOYMENTS, deployment(replicas=5))).status == 201

    asyncio.run(scenario())


def test_updates_and_deletions_are_judged_too() -> None:
    async def scenario() -> None:
        async with world(plugins=plugins()) as server:
            grows = "request.operation != 'UPDATE' || object.spec.replicas >= oldObject.spec.replicas"
            stays = "request.operation != 'DELETE' || (object == null && oldObject.metadata.name != 'web')"
            await install(server, validating(grows, stays), binding())
            assert await message(server, "POST", DEPLOYMENTS, deployment(replicas=3)) == ""
            assert grows in await message(server, "PUT", f"{DEPLOYMENTS}/web", deployment(replicas=2))
            assert await message(server, "PUT", f"{DEPLOYMENTS}/web", deployment(replicas=4)) == ""
            assert stays in await message(server, "DELETE", f"{DEPLOYMENTS}/web")
            await server.obj("DELETE", f"{BASE}/validatingadmissionpolicybindings/b")
            await server.obj("GET", f"{BASE}/validatingadmissionpolicybindings")
            assert await message(server, "DELETE", f"{DEPLOYMENTS}/web") == ""

    asyncio.run(scenario())


def test_a_policy_that_changes_is_followed() -> None:
    async def scenario() -> None:
        async with world(plugins=plugins()) as server:
            await install(server, validating("false"), binding())
            assert await message(server, "POST", DEPLOYMENTS, deployment()) != ""
            policy = await server.obj("GET", f"{BASE}/validatingadmissionpolicies/p")
            policy["spec"]["validations"][0]["expression"] = "true"
            await server.obj("PUT", f"{BASE}/validatingadmissionpolicies/p", policy)
            await server.obj("GET", f"{BASE}/validatingadmissionpolicies/p")
            assert await message(server, "POST", DEPLOYMENTS, deployment()) == ""

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("match", "refused"),
    [
        (rules(), True),
        (rules("*", "*", "*"), True),
        (rules("pods", ""), False),
        (rules("deployments/scale"), False),
        (rules(operations=["UPDATE"]), False),
        ({**rules(), "namespaceSelector": {"matchLabels": {"env": "prod"}}}, True),
        ({**rules(), "namespaceSelector": {"matchLabels": {"env": "test"}}}, False),
        ({**rules(), "objectSelector": {"matchLabels": {"checked": "yes"}}}, False),
        ({**rules(), "excludeResourceRules": rules()["resourceRules"]}, False),
        ({"resourceRules": [{**rules()["resourceRules"][0], "resourceNames": ["web"]}]}, True),
        ({"resourceRules": [{**rules()["resourceRules"][0], "resourceNames": ["other"]}]}, False),
    ],
)
def test_a_policy_is_about_what_its_constraints_and_its_bindings_say(match: Obj, refused: bool) -> None:
    told = REFUSED + "failed expression: false" if refused else ""
    assert answered(validating("false", match=match), binding()) == told
    assert answered(validating("false"), binding(matchResources=match)) == told


def test_without_a_binding_nothing_is_refused() -> None:
    assert answered(validating("false")) == ""
    assert answered(validating("false"), binding("other")) == ""


def test_an_equivalent_version_is_seen_as_the_policy_names_it() -> None:
    async def scenario() -> None:
        async with world(plugins=plugins()) as server:
            seen = "object.apiVersion == 'autoscaling/v1' && request.kind.version == 'v1' && request.requestKind.version == 'v2'"
            check = f"{seen} && object.spec.targetCPUUtilizationPercentage == 50"
            match = rules("horizontalpodautoscalers", "autoscaling", "v1")
            exact = {**match, "matchPolicy": "Exact"}
            both = validating(check, match=match), validating("false", name="exact", match=exact)
            await install(server, *both, binding(), binding("exact", name="exact"))
            metric = {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
            }
            spec = {
                "maxReplicas": 3,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "metrics": [metric],
            }
            target = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
            assert await message(server, "POST", target, {"metadata": {"name": "h"}, "spec": spec}) == ""
            metric["resource"] = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}
            assert DENIED in await message(server, "POST", target, {"metadata": {"name": "i"}, "spec": spec})

    asyncio.run(scenario())


def test_what_admission_is_made_of_cannot_be_refused() -> None:
    everything = rules("*", "*", "*")
    policy = validating("false", name="q")
    assert (
        answered(validating("false", match=everything), binding(), body=policy, target=f"{BASE}/validatingadmissionpolicies")
        == ""
    )


def test_warnings_go_to_the_client_and_refuse_nothing() -> None:
    async def scenario() -> None:
        async with world(plugins=plugins()) as server:
            await install(server, validating({"expression": "false", "message": "too many"}), binding("p", "Warn", "Audit"))
            answer = await server.raw("POST", DEPLOYMENTS, deployment())
            assert answer.status == 201
            text = "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': too many"
            assert answer.headers["warning"] == f'299 - "{text}"'

    asyncio.run(scenario())


# --- parameters --------------------------------------------------------------------------------------------------------

KIND = {"apiVersion": "v1", "kind": "ConfigMap"}
CHECK = {"expression": "object.spec.replicas <= int(params.data.most)", "messageExpression": "'at most ' + params.data.most"}


def limit(name: str, most: int, **labels: str) -> Obj:
    return {**config_map(name, labels=labels), "data": {"most": str(most)}}


def by_param(reference: Obj, *params: Obj, **spec: Any) -> str:
    reference = {"parameterNotFoundAction": "Deny", **reference}
    return answered(validating(CHECK, paramKind=KIND, **spec), binding(paramRef=reference), *params)


NOT_FOUND = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ({"name": "three"}, REFUSED + "at most 3"),
        ({"name": "three", "namespace": "default"}, REFUSED + "at most 3"),
        ({"name": "nine"}, ""),
        ({"name": "none"}, REFUSED + NOT_FOUND),
        ({"name": "none", "parameterNotFoundAction": "Allow"}, ""),
        ({"name": "three", "namespace": "elsewhere"}, REFUSED + NOT_FOUND),
        ({"selector": {"matchLabels": {"tier": "low"}}}, REFUSED + "at most 3"),
        ({"selector": {"matchLabels": {"tier": "high"}}}, ""),
        ({"selector": {}}, REFUSED + "at most 3"),
        ({"selector": {"matchLabels": {"tier": "none"}}}, REFUSED + NOT_FOUND),
    ],
)
def test_parameters_are_found_by_name_or_selector(reference: Obj, told: str) -> None:
    assert by_param(reference, limit("three", 3, tier="low"), limit("nine", 9, tier="high")) == told


def test_a_missing_parameter_counts_as_the_failure_policy_says() -> None:
    assert by_param({"name": "none"}, failurePolicy="Ignore") == ""


@pytest.mark.parametrize(
    ("kind", "reference", "text"),
    [
        (
            {"apiVersion": "example.com/v1", "kind": "Limit"},
            {"name": "x"},
            "ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: "
            "failed to find resource referenced by paramKind: 'example.com/v1, Kind=Limit'",
        ),
        (
            {"apiVersion": "v1", "kind": "Node"},
            {"name": "x", "namespace": "default"},
            DENIED + "failed to configure binding: paramRef.namespace must not be provided for a cluster-scoped `paramKind`",
        ),
    ],
)
def test_parameters_that_cannot_be_are_told(kind: Obj, reference: Obj, text: str) -> None:
    policy = validating("true", paramKind=kind)
    bound = binding(paramRef={"parameterNotFoundAction": "Deny", **reference})
    assert answered(policy, bound) == f'deployments.apps "web" is forbidden: {text}'


def test_a_namespaced_parameter_needs_a_namespace() -> None:
    match = rules("namespaces", "")
    policy = validating("true", paramKind=KIND, match=match)
    bound = binding(paramRef={"name": "three", "parameterNotFoundAction": "Deny"})
    told = answered(policy, bound, body={"metadata": {"name": "n"}}, target="/api/v1/namespaces")
    assert told.endswith("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")


def test_a_binding_without_a_reference_has_no_parameter() -> None:
    assert answered(validating("params == null", paramKind=KIND), binding()) == ""


def test_custom_resources_are_parameters_as_soon_as_they_are_served() -> None:
    schema = {"type": "object", "properties": {"most": {"type": "integer"}}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "limits.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Cluster",
            "names": {"plural": "limits", "kind": "Limit"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }

    async def served(server: World) -> None:
        while (await server.raw("GET", "/apis/example.com/v1/limits")).status != 200:
            await server.clock.advance(0.1)

    async def scenario() -> None:
        async with world(plugins=plugins()) as server:
            kind = {"apiVersion": "example.com/v1", "kind": "Limit"}
            policy = validating("object.spec.replicas <= params.most", paramKind=kind)
            bound = binding(paramRef={"name": "three", "parameterNotFoundAction": "Deny"})
            await install(server, policy, bound, definition)
            await served(server)
            limit_obj = {"apiVersion": "example.com/v1", "kind": "Limit", "metadata": {"name": "three"}, "most": 3}
            await server.obj("POST", "/apis/example.com/v1/limits", limit_obj)
            told = await message(server, "POST", DEPLOYMENTS, deployment(replicas=7))
            assert told == REFUSED + "failed expression: object.spec.replicas <= params.most"
            assert await message(server, "POST", DEPLOYMENTS, deployment(replicas=3)) == ""

    asyncio.run(scenario())


def test_the_authorizer_is_asked_about_the_user() -> None:
    async def scenario() -> None:
        async with world(plugins=plugins(lambda info: info.verb == "exempt")) as server:
            check = (
                "authorizer.requestResource.check('create').allowed() && !authorizer.requestResource.check('exempt').allowed()"
            )
            await install(server, validating(check, match=rules("configmaps", "")), binding())
            assert await message(server, "POST", CONFIG_MAPS, config_map("a")) == ""

    asyncio.run(scenario())


def test_checks_are_counted_by_policy_and_by_what_came_of_them() -> None:
    async def scenario() -> None:
        async with world(plugins=plugins()) as server:
            await install(server, validating("object.spec.replicas < 5"), binding("p", "Warn", "Audit"))
            change = mutating("Object{spec: Object.spec{paused: object.spec.replicas > 3}}", name="m")
            await install(server, change, mutating_binding("m"))
            for replicas in (1, 7, 8):
                assert await message(server, "POST", DEPLOYMENTS, deployment(f"d{replicas}", replicas)) == ""
            lines = (await server.raw("GET", "/metrics")).body.decode().splitlines()
            name, labels = "apiserver_validating_admission_policy_check_total", 'policy="p",policy_binding="b"'
            for action in ("audit", "warn"):
                assert f'{name}{{enforcement_action="{action}",error_type="invalid_error",{labels}}} 2' in map(_sorted, lines)
            name, labels = "apiserver_mutating_admission_policy_check_total", 'policy="m",policy_binding="b"'
            assert f'{name}{{error_type="no_error",{labels}}} 3' in map(_sorted, lines)

    asyncio.run(scenario())


def _sorted(line: str) -> str:
    """A line of metrics, its labels in order, its number whole."""
    name, opened, rest = line.partition("{")
    labels, _, number = rest.partition("} ")
    return f"{name}{{{','.join(sorted(labels.split(',')))}}} {number.removesuffix('.0')}" if opened else line
