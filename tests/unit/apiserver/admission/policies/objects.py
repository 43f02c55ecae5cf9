"""Policies, bindings and what they are about, for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.fakes.server import Everybody, World

from steersman.apiserver.admission.policies import MutatingPolicies, ValidatingPolicies
from steersman.apiserver.contracts import AdmissionPlugin, Listers, RequestInfo
from steersman.machinery.meta import Obj

GROUP = "admissionregistration.k8s.io/v1"
BASE = f"/apis/{GROUP}"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


def plugins(denied: Callable[[RequestInfo], bool] | None = None) -> Callable[[Listers], Sequence[AdmissionPlugin]]:
    """denied: what the authorizer says no to, when a policy asks."""
    asked = Everybody(denied)
    return lambda listers: [MutatingPolicies(listers, asked), ValidatingPolicies(listers, asked)]


def rules(resources: str = "deployments", group: str = "apps", version: str = "v1", operations: Sequence[str] = ("*",)) -> Obj:
    rule = {"apiGroups": [group], "apiVersions": [version], "operations": list(operations), "resources": [resources]}
    return {"resourceRules": [rule]}


def validating(*expressions: str | Obj, name: str = "p", match: Obj | None = None, **spec: Any) -> Obj:
    given = [{"expression": item} if isinstance(item, str) else item for item in expressions]
    found = {"matchConstraints": match or rules(), "validations": given, **spec}
    return {"apiVersion": GROUP, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": found}


def binding(policy: str = "p", *actions: str, name: str = "b", **spec: Any) -> Obj:
    found = {"policyName": policy, "validationActions": list(actions) or ["Deny"], **spec}
    return {"apiVersion": GROUP, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": found}


def mutating(*expressions: str, name: str = "p", match: Obj | None = None, again: str = "Never", **spec: Any) -> Obj:
    """Expressions with `JSONPatch{` are JSON patches."""
    found = {
        "matchConstraints": match or rules(),
        "reinvocationPolicy": again,
        "mutations": [_mutation(item) for item in expressions],
    }
    return {"apiVersion": GROUP, "kind": "MutatingAdmissionPolicy", "metadata": {"name": name}, "spec": {**found, **spec}}


def _mutation(expression: str) -> Obj:
    if "JSONPatch{" in expression:
        return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def mutating_binding(policy: str = "p", *, name: str = "b", **spec: Any) -> Obj:
    found = {"policyName": policy, **spec}
    return {"apiVersion": GROUP, "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": found}


def deployment(name: str = "web", replicas: int = 1, **metadata: Any) -> Obj:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "nginx"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    meta = {"name": name, "namespace": "default", **metadata}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


async def install(world: World, *objects: Obj) -> None:
    """Create policies, bindings and what they need; when this returns they are in force."""
    await world.obj("POST", "/api/v1/namespaces", {"metadata": {"name": "default", "labels": {"env": "prod"}}})
    for obj in objects:
        plural = obj["kind"].lower()
        plural = f"{plural[:-1]}ies" if plural.endswith("y") else f"{plural}s"
        base = f"/apis/{obj['apiVersion']}" if "/" in obj["apiVersion"] else "/api/v1"
        inside = f"/namespaces/{obj['metadata']['namespace']}" if "namespace" in obj["metadata"] else ""
        made = await world.obj("POST", f"{base}{inside}/{plural}", obj)
        assert made["kind"] == obj["kind"], made.get("message")
        # Reading waits for the cache that the policies are followed in.
        await world.obj("GET", f"{base}{inside}/{plural}/{obj['metadata']['name']}")


async def message(world: World, method: str, target: str, body: Obj | None = None) -> str:
    """What an error says; empty for none."""
    found = await world.obj(method, target, body)
    return str(found.get("message") or "") if found.get("status") == "Failure" else ""
