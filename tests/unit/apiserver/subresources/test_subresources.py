"""scale, binding, eviction, ephemeral containers and resize."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.fakes.server import World, pod, world

from steersman.api.resources import DEPLOYMENTS, PODS
from steersman.machinery.errors import BadRequest, Conflict, Invalid, NotFound
from steersman.machinery.meta import Obj, condition


def run(scenario: Callable[[World], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with world(**settings) as w:
            await scenario(w)

    asyncio.run(main())


def deployment() -> Obj:
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}},
        },
    }  # fmt: skip


def binding(node: str = "n1", **metadata: str) -> Obj:
    return {
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "web", "namespace": "default", **metadata},
        "target": {"kind": "Node", "name": node},
    }  # fmt: skip


def test_scale_shows_and_sets_the_replicas() -> None:
    async def scenario(w: World) -> None:
        made = await w.client.create(DEPLOYMENTS, deployment())
        scale = await w.client.get(DEPLOYMENTS, "web", "default", subresource="scale")
        assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
        assert scale["spec"] == {"replicas": 2} and scale["status"] == {"replicas": 0, "selector": "app=web"}
        assert scale["metadata"]["uid"] == made["metadata"]["uid"]
        path = "/apis/apps/v1/namespaces/default/deployments/web/scale"
        assert (await w.obj("PUT", path, {**scale, "spec": {"replicas": 5}}))["spec"] == {"replicas": 5}
        merged = await w.client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 0}}, "default", subresource="scale")
        assert merged["spec"] == {}
        now = await w.client.get(DEPLOYMENTS, "web", "default")
        assert now["spec"]["replicas"] == 0 and now["metadata"]["generation"] == 3
        stale = await w.obj("PUT", path, scale)
        assert stale["reason"] == "Conflict"
        with pytest.raises(Invalid, match="spec.replicas: Invalid value: -1: must be greater than or equal to 0"):
            await w.client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": -1}}, "default", subresource="scale")

    run(scenario)


def test_binding_puts_a_pod_on_a_node_once() -> None:
    async def scenario(w: World) -> None:
        await w.client.create(PODS, pod())
        status = await w.client.create(PODS, binding(), "default", name="web", subresource="binding")
        assert status["status"] == "Success" and status["code"] == 201
        bound = await w.client.get(PODS, "web", "default")
        assert bound["spec"]["nodeName"] == "n1"
        scheduled = condition(bound, "PodScheduled")
        assert scheduled is not None and scheduled["status"] == "True"
        with pytest.raises(Conflict) as caught:
            await w.client.create(PODS, binding("n2"), "default", name="web", subresource="binding")
        assert caught.value.message == (
            'Operation cannot be fulfilled on pods/binding "web": pod web is already assigned to node "n1"'
        )

    run(scenario)


@pytest.mark.parametrize(
    ("body", "error", "text"),
    [
        (binding(name="other"), BadRequest, "name in URL does not match name in Binding object"),
        (binding(""), Invalid, "target.name: Required value"),
        (binding(uid="x"), Conflict, "UID in precondition: x"),
    ],
)
def test_bindings_are_refused_with_upstreams_words(body: Obj, error: type[Exception], text: str) -> None:
    async def scenario(w: World) -> None:
        await w.client.create(PODS, pod())
        with pytest.raises(error, match=text):
            await w.client.create(PODS, body, "default", name="web", subresource="binding")

    run(scenario)


def test_posting_to_bindings_is_the_same() -> None:
    async def scenario(w: World) -> None:
        await w.client.create(PODS, pod())
        answer = await w.raw("POST", "/api/v1/namespaces/default/bindings", binding())
        assert answer.status == 201
        assert (await w.client.get(PODS, "web", "default"))["spec"]["nodeName"] == "n1"

    run(scenario)


def test_eviction_deletes() -> None:
    async def scenario(w: World) -> None:
        await w.client.create(PODS, pod())
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web", "namespace": "default"}}
        dry = await w.raw("POST", "/api/v1/namespaces/default/pods/web/eviction?dryRun=All", body)
        assert dry.status == 201
        await w.client.get(PODS, "web", "default")
        status = await w.client.create(PODS, body, "default", name="web", subresource="eviction")
        assert status["status"] == "Success"
        with pytest.raises(NotFound):
            await w.client.get(PODS, "web", "default")

    run(scenario)


def test_ephemeral_containers_are_added_and_stay() -> None:
    async def scenario(w: World) -> None:
        await w.client.create(PODS, pod())
        path = "/api/v1/namespaces/default/pods/web/ephemeralcontainers"
        patch = {
            "spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox"}], "containers": [{"name": "c", "image": "x"}]}
        }
        kind = "application/strategic-merge-patch+json"
        answer = await w.raw("PATCH", path, patch, content_type=kind)
        assert answer.status == 200
        now = await w.client.get(PODS, "web", "default")
        assert [item["name"] for item in now["spec"]["ephemeralContainers"]] == ["debug"]
        assert now["spec"]["containers"][0]["image"] == "nginx" and now["metadata"]["generation"] == 2
        now["spec"]["ephemeralContainers"] = []
        status = await w.obj("PUT", path, now)
        assert 'existing ephemeral containers "debug" may not be removed' in status["message"]

    run(scenario)


def test_resize_changes_resources_only() -> None:
    async def scenario(w: World) -> None:
        body = pod()
        body["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1"}}
        made = await w.client.create(PODS, body)
        container = {**made["spec"]["containers"][0], "image": "other", "resources": {"requests": {"cpu": "2"}}}
        resized = await w.client.update(PODS, {**made, "spec": {**made["spec"], "containers": [container]}}, subresource="resize")
        assert resized["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "2"}}
        assert resized["spec"]["containers"][0]["image"] == "nginx"
        more = {**container, "resources": {"requests": {"cpu": "2", "example.com/gpu": "1"}, "limits": {"example.com/gpu": "1"}}}
        with pytest.raises(Invalid, match="only cpu and memory resources are mutable"):
            await w.client.update(PODS, {**resized, "spec": {**made["spec"], "containers": [more]}}, subresource="resize")

    run(scenario)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("c2", "c1"), r"spec.containers\[0\].name: Forbidden: {0}, spec.containers\[1\].name: Forbidden: {0}"),
        (("c1", "new"), r"spec.containers\[1\].name: Forbidden: {0}"),
        (("c1",), "spec.containers: Forbidden: containers may not be added or removed on resize"),
    ],
)
def test_a_resize_is_not_there_to_move_containers(names: tuple[str, ...], words: str) -> None:
    async def scenario(w: World) -> None:
        body = pod()
        body["spec"]["containers"] = [{"name": name, "image": "nginx"} for name in ("c1", "c2")]
        made = await w.client.create(PODS, body)
        containers = [{**made["spec"]["containers"][0], "name": name} for name in names]
        with pytest.raises(Invalid, match=words.format("containers may not be renamed or reordered on resize")):
            await w.client.update(PODS, {**made, "spec": {**made["spec"], "containers": containers}}, subresource="resize")

    run(scenario)
