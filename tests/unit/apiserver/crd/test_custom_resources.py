"""Custom resources through the server: served as soon as their definition is, and like every other kind."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from tests.fakes.server import World, world

from steersman.api.customresources import specs
from steersman.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from steersman.client.interface import WatchEvent
from steersman.machinery.clock import VirtualClock
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, condition, name_of
from steersman.store.memory import MemoryStore

GROUP = "stable.example.com"
TABS = Resource(GROUP, "v1", "crontabs", kind="CronTab")
PATH = TABS.path("default")
CRDS = CUSTOM_RESOURCE_DEFINITIONS.path()
MERGE = "application/merge-patch+json"
SPEC: Obj = {
    "type": "object",
    "required": ["cron"],
    "properties": {
        "cron": {"type": "string", "minLength": 1},
        "replicas": {"type": "integer", "minimum": 1, "default": 2},
        "image": {"type": "string"},
    },
}


def crd(**version: Any) -> Obj:
    status = {"type": "object", "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}}}
    schema: Obj = {"type": "object", "properties": {"spec": copy.deepcopy(SPEC), "status": status}}
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"crontabs.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"], "categories": ["all"]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}, "scale": scale},
                    "selectableFields": [{"jsonPath": ".spec.image"}],
                    **version,
                }
            ],
        },
    }


def tab(name: str = "a", **spec: Any) -> Obj:
    return {"apiVersion": f"{GROUP}/v1", "kind": "CronTab", "metadata": {"name": name}, "spec": {"cron": "*", **spec}}


async def established(w: World, name: str = f"crontabs.{GROUP}") -> Obj:
    """The definition, once its kind is served."""
    async for event in w.client.watch(CUSTOM_RESOURCE_DEFINITIONS, field_selector=f"metadata.name={name}"):
        found = condition(event.object, "Established")
        if found is not None and found["status"] == "True":
            return event.object
    raise AssertionError("the watch ended")


@asynccontextmanager
async def tabs(**version: Any) -> AsyncIterator[World]:
    """A world where CronTabs are defined."""
    async with world() as w:
        await w.obj("POST", "/api/v1/namespaces", {"metadata": {"name": "default"}})
        answer = await w.raw("POST", CRDS, crd(**version))
        assert answer.status == 201, answer.body
        await established(w)
        yield w


def run(scenario: Callable[[World], Awaitable[None]], **version: Any) -> None:
    async def main() -> None:
        async with tabs(**version) as w:
            await scenario(w)

    asyncio.run(main())


async def changed(w: World, change: Callable[[Obj], None]) -> None:
    """Change the definition."""
    obj = await w.client.get(CUSTOM_RESOURCE_DEFINITIONS, f"crontabs.{GROUP}")
    change(obj)
    await w.client.update(CUSTOM_RESOURCE_DEFINITIONS, obj)


async def eventually(w: World, what: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(200):
        if await what():
            return
        await w.clock.advance(0.05)
    raise AssertionError("it never came true")


def test_a_custom_resource_is_created_pruned_defaulted_and_read() -> None:
    async def scenario(w: World) -> None:
        answer = await w.raw("POST", PATH, tab(unknown=1))
        assert answer.status == 201
        assert answer.headers["warning"] == '299 - "unknown field \\"spec.unknown\\""'
        made = orjson.loads(answer.body)
        assert made["spec"] == {"cron": "*", "replicas": 2}
        assert made["metadata"]["generation"] == 1
        assert await w.obj("GET", f"{PATH}/a") == made
        listed = await w.obj("GET", TABS.path())
        assert (listed["kind"], listed["items"]) == ("CronTabList", [made])

    run(scenario)


def test_unknown_fields_are_named_when_the_client_is_strict() -> None:
    async def scenario(w: World) -> None:
        refused = await w.obj("POST", f"{PATH}?fieldValidation=Strict", {**tab(x=1), "y": 1})
        assert refused["message"] == (
            'CronTab in version "v1" cannot be handled as a CronTab: '
            'strict decoding error: unknown field "spec.x", unknown field "y"'
        )
        assert (await w.raw("POST", f"{PATH}?fieldValidation=Ignore", tab(x=1))).headers.get("warning") is None

    run(scenario)


def test_a_wrong_custom_resource_is_refused_with_every_cause() -> None:
    async def scenario(w: World) -> None:
        refused = await w.obj("POST", PATH, tab(cron="", replicas=0, image=5))
        assert (refused["code"], refused["reason"]) == (422, "Invalid")
        assert refused["details"]["group"] == GROUP
        assert sorted(cause["field"] for cause in refused["details"]["causes"]) == ["spec.cron", "spec.image", "spec.replicas"]
        assert (await w.obj("POST", PATH, {**tab(), "kind": "Other"}))["message"] == (
            f'CronTab.{GROUP} "a" is invalid: kind: Invalid value: "Other": must be CronTab'
        )
        assert "Object 'Kind' is missing in" in (await w.obj("POST", PATH, {"spec": {}}))["message"]
        assert (await w.obj("POST", PATH, {**tab(), "apiVersion": f"{GROUP}/v2"}))["message"] == (
            f"the API version in the data ({GROUP}/v2) does not match the expected API version ({GROUP}/v1)"
        )

    run(scenario)


def test_status_and_spec_are_written_apart() -> None:
    async def scenario(w: World) -> None:
        assert "status" not in await w.obj("POST", PATH, {**tab(), "status": {"replicas": 1}})
        both = {"spec": {"cron": "x"}, "status": {"replicas": 7}, "metadata": {"labels": {"l": "x"}}}
        after = orjson.loads((await w.raw("PATCH", f"{PATH}/a/status", both, content_type=MERGE)).body)
        assert (after["spec"]["cron"], after["status"], after["metadata"].get("labels")) == ("*", {"replicas": 7}, None)
        assert after["metadata"]["generation"] == 1
        after = orjson.loads((await w.raw("PATCH", f"{PATH}/a", both, content_type=MERGE)).body)
        assert (after["spec"]["cron"], after["status"]) == ("x", {"replicas": 7})
        assert after["metadata"]["generation"] == 2

    run(scenario)


def test_its_scale_is_where_the_definition_says() -> None:
    async def scenario(w: World) -> None:
        await w.obj("POST", PATH, tab())
        await w.raw("PATCH", f"{PATH}/a/status", {"status": {"replicas": 1, "selector": "a=b"}}, content_type=MERGE)
        scale = await w.obj("GET", f"{PATH}/a/scale")
        assert (scale["spec"], scale["status"]) == ({"replicas": 2}, {"replicas": 1, "selector": "a=b"})
        scale["spec"]["replicas"] = 5
        assert (await w.obj("PUT", f"{PATH}/a/scale", scale))["spec"] == {"replicas": 5}
        assert (await w.obj("GET", f"{PATH}/a"))["spec"]["replicas"] == 5
        # The schema has its say here as well.
        refused = orjson.loads((await w.raw("PATCH", f"{PATH}/a/scale", {"spec": {"replicas": 0}}, content_type=MERGE)).body)
        assert refused["code"] == 422

    run(scenario)


def test_strategic_patches_are_not_for_custom_resources_and_an_update_needs_a_version() -> None:
    async def scenario(w: World) -> None:
        made = await w.obj("POST", PATH, tab())
        refused = await w.raw("PATCH", f"{PATH}/a", {}, content_type="application/strategic-merge-patch+json")
        assert refused.status == 415
        del made["metadata"]["resourceVersion"]
        refused_update = await w.obj("PUT", f"{PATH}/a", made)
        assert "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in refused_update["message"]
        made["metadata"]["name"] = "b"
        assert (await w.obj("PUT", f"{PATH}/b", made))["reason"] == "NotFound"
        patched = await w.raw(
            "PATCH", f"{PATH}/a", [{"op": "add", "path": "/spec/image", "value": "i"}], content_type="application/json-patch+json"
        )
        assert orjson.loads(patched.body)["spec"]["image"] == "i"

    run(scenario)


def test_selectable_fields_select_in_lists_and_watches_and_others_are_unknown() -> None:
    async def scenario(w: World) -> None:
        for name, image in (("a", "one"), ("b", "two"), ("c", "one")):
            await w.obj("POST", PATH, tab(name, image=image))
        listed = await w.client.list(TABS, field_selector="spec.image=one")
        assert [name_of(item) for item in listed["items"]] == ["a", "c"]
        refused = await w.obj("GET", f"{PATH}?fieldSelector=spec.cron%3Dx")
        assert (refused["code"], refused["message"]) == (400, "field label not supported: spec.cron")
        events: list[WatchEvent] = []
        async with asyncio.TaskGroup() as tasks:

            async def follow() -> None:
                async for event in w.client.watch(TABS, field_selector="spec.image=one", resource_version=version):
                    events.append(event)
                    if len(events) == 2:
                        return

            version = listed["metadata"]["resourceVersion"]
            tasks.create_task(follow())
            for name, image in (("a", "two"), ("b", "one")):
                await w.raw("PATCH", f"{PATH}/{name}", {"spec": {"image": image}}, content_type=MERGE)
        assert [(event.type, name_of(event.object)) for event in events] == [("DELETED", "a"), ("ADDED", "b")]

    run(scenario)


def test_a_changed_default_shows_in_what_is_stored_and_watches_begin_anew() -> None:
    async def scenario(w: World) -> None:
        await w.obj("POST", PATH, tab())

        def with_image(obj: Obj) -> None:
            obj["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["image"]["default"] = "d"

        async with asyncio.TaskGroup() as tasks:

            async def follow() -> None:
                async for _ in w.client.watch(TABS):
                    pass

            tasks.create_task(follow())
            await changed(w, with_image)

            async def there() -> bool:
                return bool((await w.obj("GET", f"{PATH}/a"))["spec"].get("image") == "d")

            await eventually(w, there)
        assert (await w.client.list(TABS, field_selector="spec.image=d"))["items"]

    run(scenario)


def test_a_field_that_the_schema_loses_is_not_read_any_more_and_comes_back_with_it() -> None:
    async def scenario(w: World) -> None:
        await w.obj("POST", PATH, tab(image="i"))

        def without(obj: Obj) -> None:
            version = obj["spec"]["versions"][0]
            del version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["image"]
            del version["selectableFields"]

        def back(obj: Obj) -> None:
            obj["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["image"] = {
                "type": "string"
            }

        for change, wanted in ((without, None), (back, "i")):
            await changed(w, change)

            async def seen(wanted: str | None = wanted) -> bool:
                return bool((await w.obj("GET", f"{PATH}/a"))["spec"].get("image") == wanted)

            await eventually(w, seen)

    run(scenario)


def test_two_versions_show_the_same_object() -> None:
    async def scenario(w: World) -> None:
        def add(obj: Obj) -> None:
            old = obj["spec"]["versions"][0]
            obj["spec"]["versions"].append({**copy.deepcopy(old), "name": "v2", "storage": False, "deprecated": True})

        await changed(w, add)
        v2 = TABS._replace(version="v2")

        async def served() -> bool:
            return (await w.raw("GET", v2.path("default"))).status == 200

        await eventually(w, served)
        await w.obj("POST", PATH, tab())
        answer = await w.raw("GET", v2.path("default", "a"))
        assert orjson.loads(answer.body)["apiVersion"] == f"{GROUP}/v2"
        assert answer.headers["warning"] == f'299 - "{GROUP}/v2 CronTab is deprecated"'
        await w.raw("PATCH", v2.path("default", "a"), {"spec": {"image": "i"}}, content_type=MERGE)
        seen = await w.obj("GET", f"{PATH}/a")
        assert (seen["apiVersion"], seen["spec"]["image"]) == (f"{GROUP}/v1", "i")

        def swap(obj: Obj) -> None:
            for version in obj["spec"]["versions"]:
                version["storage"] = not version["storage"]

        await changed(w, swap)
        definition = await w.client.get(CUSTOM_RESOURCE_DEFINITIONS, f"crontabs.{GROUP}")
        assert definition["status"]["storedVersions"] == ["v1", "v2"]
        assert (await w.obj("GET", f"{PATH}/a"))["spec"]["image"] == "i"

    run(scenario)


def test_discovery_and_openapi_know_the_kind_and_forget_it() -> None:
    async def scenario(w: World) -> None:
        resources = (await w.obj("GET", f"/apis/{GROUP}/v1"))["resources"]
        assert [resource["name"] for resource in resources] == ["crontabs", "crontabs/scale", "crontabs/status"]
        assert (resources[0]["shortNames"], resources[0]["categories"]) == (["ct"], ["all"])
        v3 = await w.obj("GET", f"/openapi/v3/apis/{GROUP}/v1")
        schema = v3["components"]["schemas"]["com.example.stable.v1.CronTab"]
        assert schema["properties"]["spec"]["required"] == ["cron"]
        v2 = await w.obj("GET", "/openapi/v2")
        assert v2["definitions"]["com.example.stable.v1.CronTab"]["properties"]["spec"]["properties"]["cron"]["minLength"] == 1
        patch = v3["paths"][TABS.path("{namespace}", "{name}")]["patch"]["requestBody"]["content"]
        assert "application/strategic-merge-patch+json" not in patch
        await w.client.delete(CUSTOM_RESOURCE_DEFINITIONS, f"crontabs.{GROUP}")

        async def gone() -> bool:
            return (await w.raw("GET", f"/apis/{GROUP}/v1")).status == 404

        await eventually(w, gone)
        assert GROUP not in str(await w.obj("GET", "/apis"))
        assert "com.example.stable.v1.CronTab" not in (await w.obj("GET", "/openapi/v2"))["definitions"]

    run(scenario)


def test_a_definition_goes_after_its_instances_and_takes_no_new_ones_meanwhile() -> None:
    async def scenario(w: World) -> None:
        held = tab()
        held["metadata"]["finalizers"] = ["example.com/hold"]
        await w.obj("POST", PATH, held)
        await w.obj("POST", PATH, tab("b"))
        deleted = await w.client.delete(CUSTOM_RESOURCE_DEFINITIONS, f"crontabs.{GROUP}")
        assert deleted["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]

        async def alone() -> bool:
            return [name_of(item) for item in (await w.client.list(TABS))["items"]] == ["a"]

        await eventually(w, alone)
        refused = await w.obj("POST", PATH, tab("c"))
        assert (refused["code"], refused["message"]) == (
            403,
            f'crontabs.{GROUP} "c" is forbidden: create not allowed while custom resource definition is terminating',
        )
        verbs = (await w.obj("GET", f"/apis/{GROUP}/v1"))["resources"][0]["verbs"]
        assert verbs == ["delete", "deletecollection", "get", "list", "watch"]
        await w.raw("PATCH", f"{PATH}/a", {"metadata": {"finalizers": None}}, content_type=MERGE)

        async def gone() -> bool:
            return (await w.raw("GET", f"{CRDS}/crontabs.{GROUP}")).status == 404

        await eventually(w, gone)
        assert (await w.raw("GET", PATH)).status == 404

    run(scenario)


def test_a_definition_can_come_back_and_has_no_old_instances() -> None:
    async def scenario(w: World) -> None:
        await w.obj("POST", PATH, tab())
        await w.client.delete(CUSTOM_RESOURCE_DEFINITIONS, f"crontabs.{GROUP}")

        async def gone() -> bool:
            return (await w.raw("GET", f"{CRDS}/crontabs.{GROUP}")).status == 404

        await eventually(w, gone)
        await w.obj("POST", CRDS, crd())
        await established(w)
        assert (await w.client.list(TABS))["items"] == []
        assert (await w.raw("POST", PATH, tab())).status == 201

    run(scenario)


def test_a_definition_of_one_server_is_served_by_all_that_share_the_store_and_after_a_restart() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        store = MemoryStore(clock)
        async with world(store=store) as one, world(store=store) as other:
            await one.obj("POST", "/api/v1/namespaces", {"metadata": {"name": "default"}})
            await one.obj("POST", CRDS, crd())
            await established(other)
            assert (await other.raw("POST", PATH, tab())).status == 201
            assert (await one.obj("GET", f"{PATH}/a"))["spec"]["cron"] == "*"

    asyncio.run(scenario())


def test_a_cluster_scoped_kind_has_no_namespaces() -> None:
    async def scenario() -> None:
        async with world() as w:
            definition = crd()
            definition["spec"]["scope"] = "Cluster"
            await w.obj("POST", CRDS, definition)
            await established(w)
            path = TABS._replace(namespaced=False).path()
            assert (await w.raw("POST", path, tab())).status == 201
            assert (await w.raw("GET", f"{path}/a")).status == 200
            assert (await w.raw("GET", f"{PATH}/a")).status == 404

    asyncio.run(scenario())


def test_a_definition_of_a_built_in_kind_changes_nothing() -> None:
    async def scenario() -> None:
        async with world() as w:
            definition = crd()
            definition["metadata"] = {
                "name": "leases.coordination.k8s.io",
                "annotations": {"api-approved.kubernetes.io": "unapproved, a test"},
            }
            definition["spec"] |= {"group": "coordination.k8s.io", "names": {"plural": "leases", "kind": "Lease"}}
            assert (await w.raw("POST", CRDS, definition)).status == 201
            await established(w, "leases.coordination.k8s.io")
            listed = await w.obj("GET", "/apis/coordination.k8s.io/v1/leases")
            assert listed["kind"] == "LeaseList"

    asyncio.run(scenario())


def test_tables_have_the_columns_of_the_definition() -> None:
    columns = [{"name": "Cron", "type": "string", "jsonPath": ".spec.cron", "priority": 1}]

    async def scenario(w: World) -> None:
        await w.obj("POST", PATH, tab())
        table = await w.obj("GET", PATH, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
        assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Cron"]
        assert table["columnDefinitions"][1]["priority"] == 1
        assert table["rows"][0]["cells"] == ["a", "*"]

    run(scenario, additionalPrinterColumns=columns)


def test_a_definition_that_cannot_be_served_keeps_no_other_from_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = specs.specs

    def stumbles(definition: Obj) -> Any:
        if name_of(definition).startswith("bad"):
            raise KeyError("type")
        return made(definition)

    monkeypatch.setattr(specs, "specs", stumbles)

    async def scenario(w: World) -> None:
        for kind in ("Bad", "Good"):
            wanted = crd()
            wanted["metadata"]["name"] = f"{kind.lower()}s.{GROUP}"
            wanted["spec"]["names"] = {"plural": f"{kind.lower()}s", "kind": kind}
            await w.client.create(CUSTOM_RESOURCE_DEFINITIONS, wanted)
            await established(w, name_of(wanted))
        listed = {plural: (await w.raw("GET", f"/apis/{GROUP}/v1/{plural}")).status for plural in ("bads", "goods", "crontabs")}
        assert listed == {"bads": 404, "goods": 200, "crontabs": 200}

    run(scenario)
    assert f"a definition is not served as it is now: name=bads.{GROUP}" in caplog.text
