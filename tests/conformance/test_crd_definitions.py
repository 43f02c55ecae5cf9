"""[sig-api-machinery] CustomResourceDefinition resources, and their watch: an API server in the process does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.conformance.crds import define, definition, instance, resource
from tests.fakes.server import World, world

from steersman.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from steersman.client.interface import WatchEvent
from steersman.machinery.errors import NotFound
from steersman.machinery.meta import Obj, is_condition_true, name_of

DEFINITIONS = "[sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin]"
SIMPLE = f"{DEFINITIONS} Simple CustomResourceDefinition"
GROUP, VERSION, PLURAL = "apiextensions.k8s.io", "v1", "customresourcedefinitions"


def run(scenario: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        async with world() as running:
            await scenario(running)

    asyncio.run(main())


async def eventually(w: World, holds: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(200):
        if await holds():
            return
        await w.clock.advance(0.05)
    raise AssertionError("it never came true")


async def gone(w: World, name: str) -> None:
    async def missing() -> bool:
        try:
            await w.client.get(CUSTOM_RESOURCE_DEFINITIONS, name)
        except NotFound:
            return True
        return False

    await eventually(w, missing)


@pytest.mark.conformance(f"{SIMPLE} creating/deleting custom resource definition objects works [Conformance]")
def test_a_definition_comes_and_goes() -> None:
    async def scenario(w: World) -> None:
        made = await define(w, definition())
        path = resource(made).path()
        assert (await w.obj("GET", path))["items"] == []
        await w.client.delete(CUSTOM_RESOURCE_DEFINITIONS, name_of(made))
        await gone(w, name_of(made))
        assert (await w.raw("GET", path)).status == 404

    run(scenario)


@pytest.mark.conformance(f"{SIMPLE} listing custom resource definition objects works [Conformance]")
def test_definitions_are_listed_and_deleted_by_label() -> None:
    async def scenario(w: World) -> None:
        made = [await define(w, definition(labels={"walk": "yes"})) for _ in range(10)]
        other = await define(w, definition())
        listed = await w.client.list(CUSTOM_RESOURCE_DEFINITIONS, label_selector="walk=yes")
        assert {name_of(item): item["spec"] for item in listed["items"]} == {name_of(item): item["spec"] for item in made}
        await w.client.delete_collection(CUSTOM_RESOURCE_DEFINITIONS, label_selector="walk=yes")
        for item in made:
            await gone(w, name_of(item))
        assert [name_of(item) for item in (await w.client.list(CUSTOM_RESOURCE_DEFINITIONS))["items"]] == [name_of(other)]

    run(scenario)


@pytest.mark.conformance(f"{SIMPLE} getting/updating/patching custom resource definition status sub-resource works [Conformance]")
def test_the_status_of_a_definition_is_read_updated_and_patched() -> None:
    async def scenario(w: World) -> None:
        made = await define(w, definition())
        name = name_of(made)
        status = await w.client.get(CUSTOM_RESOURCE_DEFINITIONS, name, subresource="status")
        assert status["spec"] == made["spec"]
        condition = {"type": "", "status": "", "lastTransitionTime": None, "message": "updated"}
        status["status"]["conditions"].append(condition)
        updated = await w.client.update(CUSTOM_RESOURCE_DEFINITIONS, status, subresource="status")
        assert "updated" in [item.get("message") for item in updated["status"]["conditions"]]
        read = await w.client.get(CUSTOM_RESOURCE_DEFINITIONS, name)
        assert "updated" in [item.get("message") for item in read["status"]["conditions"]]
        patch = [{"op": "add", "path": "/status/conditions", "value": [{"message": "patched"}]}]
        patched = await w.client.patch(CUSTOM_RESOURCE_DEFINITIONS, name, patch, kind="json", subresource="status")
        assert [item.get("message") for item in patched["status"]["conditions"]] == ["patched"]
        # A condition without a type is in nobody's way: those of the server come again.
        async for event in w.client.watch(CUSTOM_RESOURCE_DEFINITIONS, field_selector=f"metadata.name={name}"):
            if is_condition_true(event.object, "Established"):
                break
        await w.client.create(resource(made), instance(made, "one"))

    run(scenario)


@pytest.mark.conformance(
    f"{DEFINITIONS} should include custom resource definition resources in discovery documents [Conformance]"
)
def test_discovery_has_the_definitions() -> None:
    async def scenario(w: World) -> None:
        (group,) = [item for item in (await w.obj("GET", "/apis"))["groups"] if item["name"] == GROUP]
        alone = await w.obj("GET", f"/apis/{GROUP}")
        assert alone["name"] == GROUP
        for found in (group, alone):
            assert {"groupVersion": f"{GROUP}/{VERSION}", "version": VERSION} in found["versions"]
        listed = await w.obj("GET", f"/apis/{GROUP}/{VERSION}")
        assert listed["groupVersion"] == f"{GROUP}/{VERSION}"
        assert PLURAL in [item["name"] for item in listed["resources"]]

    run(scenario)


def _with_defaults(**defaults: str) -> list[Obj]:
    """The JSON patch that leaves just these defaults of the fields a and b."""
    at = "/spec/versions/0/schema/openAPIV3Schema/properties"
    return [
        {
            "op": "replace",
            "path": f"{at}/{key}",
            "value": {"type": "string", **({"default": defaults[key]} if key in defaults else {})},
        }
        for key in ("a", "b")
    ]


@pytest.mark.conformance(f"{DEFINITIONS} custom resource defaulting for requests and from storage works [Conformance]")
def test_defaults_are_set_in_requests_and_in_what_was_stored() -> None:
    text = {"type": "string"}

    async def scenario(w: World) -> None:
        made = await define(w, definition({"type": "object", "properties": {"a": text, "b": text}}))
        kind = resource(made)

        async def has(name: str, **wanted: Any) -> bool:
            found = await w.client.get(kind, name)
            return {key: found[key] for key in "ab" if key in found} == wanted

        assert "a" not in await w.client.create(kind, instance(made, "first"))
        await w.client.patch(CUSTOM_RESOURCE_DEFINITIONS, name_of(made), _with_defaults(a="A"), kind="json")
        await eventually(w, lambda: has("first", a="A"))
        assert (await w.client.create(kind, instance(made, "second")))["a"] == "A"
        await w.client.patch(CUSTOM_RESOURCE_DEFINITIONS, name_of(made), _with_defaults(b="B"), kind="json")
        await eventually(w, lambda: has("second", a="A", b="B"))
        # What was never written out has the default that holds now.
        assert await has("first", b="B")
        listed = {name_of(item): (item.get("a"), item["b"]) for item in (await w.client.list(kind))["items"]}
        assert listed == {"first": (None, "B"), "second": ("A", "B")}

    run(scenario)


@pytest.mark.conformance(
    "[sig-api-machinery] CustomResourceDefinition Watch [Privileged:ClusterAdmin] CustomResourceDefinition Watch "
    "watch on custom resource definition objects [Conformance]"
)
def test_watches_by_name_see_their_custom_resource_only() -> None:
    async def scenario(w: World) -> None:
        made = await define(w, definition())
        kind = resource(made)
        seen: dict[str, list[WatchEvent]] = {"name1": [], "name2": []}

        start = (await w.client.list(kind))["metadata"]["resourceVersion"]

        async def follow(name: str) -> None:
            async for event in w.client.watch(
                kind, resource_version=start, field_selector=f"metadata.name={name}", bookmarks=False
            ):
                seen[name].append(event)
                if event.type == "DELETED":
                    return

        async with asyncio.TaskGroup() as tasks:
            for name in seen:
                tasks.create_task(follow(name))
            for name in seen:
                assert (await w.client.create(kind, instance(made, name)))["metadata"]["uid"]
            for name in seen:
                await w.client.patch(kind, name, [{"op": "add", "path": "/dummy", "value": "test"}], kind="json")
            for name in seen:
                await w.client.delete(kind, name)
        for name, events in seen.items():
            assert [(event.type, name_of(event.object)) for event in events] == [
                ("ADDED", name),
                ("MODIFIED", name),
                ("DELETED", name),
            ]
            assert [event.object.get("dummy") for event in events] == [None, "test", "test"]

    run(scenario)
