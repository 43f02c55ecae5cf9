"""[sig-api-machinery] ValidatingAdmissionPolicy and MutatingAdmissionPolicy: Deployments that are refused, and that are changed.

Against an API server in the process. API operations of the kinds are in test_api_operations.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.fakes.server import Everybody, World, world

from steersman.api.groups.admissionregistration_v1 import (
    MUTATING_POLICIES,
    MUTATING_POLICY_BINDINGS,
    VALIDATING_POLICIES,
    VALIDATING_POLICY_BINDINGS,
)
from steersman.api.resources import DEPLOYMENTS, NAMESPACES, REPLICA_SETS
from steersman.apiserver.admission.policies import MutatingPolicies, ValidatingPolicies
from steersman.machinery.errors import Invalid
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

VALIDATING = "[sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin]"
MUTATING = "[sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin]"
SPACE, MARK = "marked", {"policies": "true"}
RULE = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}
MATCH: Obj = {"namespaceSelector": {"matchLabels": MARK}, "resourceRules": [RULE]}


def run(scenario: Callable[[World], Awaitable[None]]) -> None:
    """In a namespace that the policies select; another one, `plain`, they do not."""

    async def main() -> None:
        asked = Everybody()
        plugins = (MutatingPolicies, ValidatingPolicies)
        async with world(plugins=lambda listers: [plugin(listers, asked) for plugin in plugins]) as running:
            await running.client.create(NAMESPACES, {"metadata": {"name": SPACE, "labels": MARK}})
            await running.client.create(NAMESPACES, {"metadata": {"name": "plain"}})
            await scenario(running)

    asyncio.run(main())


async def enforce(w: World, policy: tuple[Resource, Obj], binding: tuple[Resource, Obj]) -> None:
    for resource, spec in (policy, binding):
        await w.client.create(resource, {"metadata": {"name": "policy.example.com"}, "spec": spec})
        # Who reads waits for what is written, in the cache that policies are followed in too.
        await w.client.get(resource, "policy.example.com")


async def validate(w: World, **spec: Any) -> None:
    resources = {"namespaceSelector": {"matchLabels": MARK}}
    binding = {"policyName": "policy.example.com", "validationActions": ["Deny"], "matchResources": resources}
    policy = {"matchConstraints": MATCH, **spec}
    await enforce(w, (VALIDATING_POLICIES.resource, policy), (VALIDATING_POLICY_BINDINGS.resource, binding))


async def mutate(w: World, expression: str) -> None:
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}
    policy = {"matchConstraints": MATCH, "reinvocationPolicy": "Never", "failurePolicy": "Fail", "mutations": [mutation]}
    binding = {"policyName": "policy.example.com", "matchResources": {"namespaceSelector": {"matchLabels": MARK}}}
    await enforce(w, (MUTATING_POLICIES.resource, policy), (MUTATING_POLICY_BINDINGS.resource, binding))


async def create(w: World, resource: Resource, name: str, replicas: int, namespace: str = SPACE) -> Obj:
    labels = {"app": "nginx"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "nginx", "image": "nginx:latest"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return await w.client.create(resource, {"metadata": {"name": name, "labels": labels}, "spec": spec}, namespace)


@pytest.mark.conformance(f"{VALIDATING} should validate against a Deployment [Conformance]")
def test_a_deployment_is_validated_by_an_expression() -> None:
    async def scenario(w: World) -> None:
        said = "'wants replicas > 1, got ' + object.spec.replicas"
        await validate(w, validations=[{"expression": "object.spec.replicas > 1", "messageExpression": said}])
        with pytest.raises(Invalid) as refused:
            await create(w, DEPLOYMENTS, "marker-deployment", 1)
        # The message expression adds a number to a text: it has no value, and the expression is told in its place.
        lead = "ValidatingAdmissionPolicy 'policy.example.com' with binding 'policy.example.com' denied request: "
        assert refused.value.message.endswith(f"is forbidden: {lead}failed expression: object.spec.replicas > 1")
        await create(w, DEPLOYMENTS, "replicated", 2)
        await create(w, REPLICA_SETS, "non-replicated", 1)
        await create(w, DEPLOYMENTS, "elsewhere", 1, "plain")

    run(scenario)


@pytest.mark.conformance(f"{VALIDATING} should allow expressions to refer variables. [Conformance]")
def test_expressions_refer_to_variables() -> None:
    async def scenario(w: World) -> None:
        variables = [
            {"name": "replicas", "expression": "object.spec.replicas"},
            {"name": "oddReplicas", "expression": "variables.replicas % 2 == 1"},
        ]
        validations = [
            {"expression": "variables.replicas > 1"},
            {"expression": "variables.oddReplicas", "messageExpression": "string(variables.replicas) + ' is even'"},
        ]
        await validate(w, variables=variables, validations=validations)
        with pytest.raises(Invalid, match="failed expression: variables.replicas > 1"):
            await create(w, DEPLOYMENTS, "marker-deployment", 1)
        with pytest.raises(Invalid, match="4 is even"):
            await create(w, DEPLOYMENTS, "even", 4)
        await create(w, DEPLOYMENTS, "replicated", 3)
        await create(w, REPLICA_SETS, "non-replicated", 1)

    run(scenario)


@pytest.mark.conformance(f"{MUTATING} should mutate a Deployment [Conformance]")
def test_a_deployment_is_mutated_by_an_expression() -> None:
    async def scenario(w: World) -> None:
        await mutate(w, "Object{spec: Object.spec{replicas: object.spec.replicas + 10}}")
        assert (await create(w, DEPLOYMENTS, "marker-deployment", 1))["spec"]["replicas"] == 11
        assert (await create(w, REPLICA_SETS, "not-a-deployment", 1))["spec"]["replicas"] == 1
        assert (await create(w, DEPLOYMENTS, "elsewhere", 1, "plain"))["spec"]["replicas"] == 1

    run(scenario)


@pytest.mark.conformance(f"{MUTATING} should mutate a Deployment with annotations [Conformance]")
def test_a_deployment_gets_annotations() -> None:
    async def scenario(w: World) -> None:
        await mutate(w, "Object{metadata: Object.metadata{annotations: {'my-key': 'my-value'}}}")
        made = await create(w, DEPLOYMENTS, "annotated", 1)
        assert made["metadata"]["annotations"] == {"my-key": "my-value"}
        assert (await w.client.get(DEPLOYMENTS, "annotated", SPACE))["metadata"]["annotations"] == {"my-key": "my-value"}
        assert "annotations" not in (await create(w, DEPLOYMENTS, "elsewhere", 1, "plain"))["metadata"]

    run(scenario)
