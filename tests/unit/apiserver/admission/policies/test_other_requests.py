"""Policies about what is no plain write: subresources with bodies of their own, connections, custom resources, other versions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.fakes.server import World, pod, world
from tests.unit.apiserver.admission.policies.objects import (
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

SCALERS = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers"
WIDGETS = "/apis/example.com/{}/namespaces/default/widgets"


def scale(replicas: int) -> Obj:
    meta = {"name": "web", "namespace": "default"}
    return {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": meta, "spec": {"replicas": replicas}}


def test_policies_about_scale_see_a_scale() -> None:
    async def scenario() -> None:
        async with world(plugins=plugins()) as w:
            match = rules("deployments/scale")
            seen = "object.kind == 'Scale' && request.kind.kind == 'Scale' && request.subResource == 'scale'"
            check = validating(f"{seen} && object.spec.replicas <= oldObject.spec.replicas + 2", match=match)
            change = mutating("Object{spec: Object.spec{replicas: object.spec.replicas + 1}}", match=match)
            await install(w, check, binding(), change, mutating_binding())
            assert await message(w, "POST", DEPLOYMENTS, deployment()) == ""
            assert await message(w, "PUT", f"{DEPLOYMENTS}/web/scale", scale(2)) == ""
            assert (await w.obj("GET", f"{DEPLOYMENTS}/web"))["spec"]["replicas"] == 3
            assert "failed expression" in await message(w, "PUT", f"{DEPLOYMENTS}/web/scale", scale(5))
            assert (await w.obj("GET", f"{DEPLOYMENTS}/web"))["spec"]["replicas"] == 3

    asyncio.run(scenario())


@pytest.mark.parametrize(("resources", "refused"), [("pods/eviction", True), ("pods", False), ("pods/*", True)])
def test_an_eviction_is_one_request(resources: str, refused: bool) -> None:
    async def scenario() -> None:
        async with world(plugins=plugins()) as w:
            bad = "request.operation == 'CREATE' && object.kind == 'Eviction' && object.metadata.name != 'web'"
            await w.obj("POST", "/api/v1/namespaces", {"metadata": {"name": "default"}})
            await w.obj("POST", "/api/v1/namespaces/default/pods", pod())
            await install(w, validating(bad, match=rules(resources, "")), binding())
            body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web"}}
            told = await message(w, "POST", "/api/v1/namespaces/default/pods/web/eviction", body)
            assert told.endswith(f"failed expression: {bad}") if refused else told == ""

    asyncio.run(scenario())


def test_a_connection_shows_its_options() -> None:
    async def scenario() -> None:
        async with world(plugins=plugins()) as w:
            seen = "request.operation == 'CONNECT' && request.kind.kind == 'PodExecOptions' && request.subResource == 'exec'"
            check = f"{seen} && request.name == 'web' && !('rm' in object.command)"
            await install(w, validating(check, match=rules("pods/exec", "", operations=["CONNECT"])), binding())
            await w.obj("POST", "/api/v1/namespaces/default/pods", pod())
            target = "/api/v1/namespaces/default/pods/web/exec?command={}"
            assert "failed expression" in await message(w, "POST", target.format("rm"))
            assert await message(w, "POST", target.format("ls")) == "pod web does not have a host assigned"

    asyncio.run(scenario())


def test_a_mutation_in_another_version_comes_back_in_that_of_the_request() -> None:
    async def scenario() -> None:
        async with world(plugins=plugins()) as w:
            match = rules("horizontalpodautoscalers", "autoscaling")
            expression = "Object{spec: Object.spec{targetCPUUtilizationPercentage: 70}}"
            await install(w, mutating(expression, match=match), mutating_binding())
            target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
            memory = {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 50}}
            spec: Obj = {"maxReplicas": 3, "scaleTargetRef": target, "metrics": [{"type": "Resource", "resource": memory}]}
            made = await w.obj("POST", SCALERS.format("v2"), {"metadata": {"name": "h"}, "spec": spec})
            assert made["apiVersion"] == "autoscaling/v2"
            targets = {item["resource"]["name"]: item["resource"]["target"] for item in made["spec"]["metrics"]}
            assert {name: found["averageUtilization"] for name, found in targets.items()} == {"memory": 50, "cpu": 70}

    asyncio.run(scenario())


def _definition() -> Obj:
    item = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "size": {"type": "integer", "default": 3}},
    }
    listed = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": item}
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"items": listed, "free": free}}}}
    versions = [
        {"name": name, "served": True, "storage": name == "v1", "schema": {"openAPIV3Schema": schema}} for name in ("v1", "v2")
    ]
    names = {"plural": "widgets", "kind": "Widget"}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": versions}
    head = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    return {**head, "metadata": {"name": "widgets.example.com"}, "spec": spec}


async def _defined(w: World, *policies: Any) -> None:
    await install(w, _definition(), *policies)
    for _ in range(100):
        if (await w.raw("GET", "/apis/example.com/v2/widgets")).status == 200:
            return
        await w.clock.advance(0.05)
    raise AssertionError("the definition is not served")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_custom_resources_are_mutated_by_their_schema(version: str) -> None:
    async def scenario() -> None:
        async with world(plugins=plugins()) as w:
            match = rules("widgets", "example.com")
            added = "Object{spec: Object.spec{items: [Object.spec.items{name: 'b'}]}}"
            free = "[JSONPatch{op: 'add', path: '/spec/free', value: {'x': [dyn(1), dyn(2.5), dyn(true), dyn('a')]}}]"
            check = validating("object.spec.items.size() == 2 && object.apiVersion == 'example.com/v1'", match=match)
            await _defined(w, mutating(added, free, match=match), mutating_binding(), check, binding())
            body = {"apiVersion": f"example.com/{version}", "kind": "Widget", "metadata": {"name": "w"}}
            made = await w.obj("POST", WIDGETS.format(version), {**body, "spec": {"items": [{"name": "a", "size": 1}]}})
            assert made["apiVersion"] == f"example.com/{version}", made.get("message")
            assert made["spec"]["items"] == [{"name": "a", "size": 1}, {"name": "b", "size": 3}]
            assert made["spec"]["free"] == {"x": [1, 2.5, True, "a"]}

    asyncio.run(scenario())
