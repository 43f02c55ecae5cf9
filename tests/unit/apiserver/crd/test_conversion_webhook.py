"""Custom resources whose versions a webhook converts, through the server: reads, writes, watches; without the webhook, too."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.conformance.crds import convert_host_and_port, define, host_and_port, instance, resource
from tests.fakes.server import World, world
from tests.fakes.webhook import Hook, webhook

from steersman.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from steersman.machinery.errors import NotFound, StatusError
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, name_of

SPACE = "default"
_PATIENCE_S = 30

Scenario = Callable[[World, Hook, Obj], Awaitable[None]]


def run(directory: Path, scenario: Scenario, **more: Any) -> None:
    """In a world where the definition is served."""

    async def main() -> None:
        async with webhook(directory, convert_host_and_port) as hook, world() as w:
            wanted = host_and_port(hook=hook.config, **more)
            await scenario(w, hook, await define(w, wanted))

    asyncio.run(main())


def both(made: Obj) -> tuple[Resource, Resource]:
    return resource(made, "v1"), resource(made, "v2")


async def some(w: World, made: Obj, count: int) -> None:
    for number in range(count):
        await w.client.create(resource(made, "v1"), instance(made, f"n{number}", "v1", hostPort=f"h:{number}"), SPACE)


async def first_event(w: World, kind: Resource, **options: Any) -> tuple[str, Obj]:
    async with asyncio.timeout(_PATIENCE_S):
        async for event in w.client.watch(kind, SPACE, bookmarks=False, **options):
            return event.type, event.object
    raise AssertionError("the watch ended")


def test_writes_in_another_version_are_stored_in_one(tmp_path: Path) -> None:
    async def scenario(w: World, hook: Hook, made: Obj) -> None:
        first, second = both(made)
        created = await w.client.create(second, instance(made, "a", "v2", host="h", port="1"), SPACE)
        assert (created["host"], created["apiVersion"]) == ("h", second.api_version)
        found = await w.store.range(f"/registry/{first.group}/{first.plural}/")
        assert orjson.loads(found.entries[0].value)["hostPort"] == "h:1"
        created["port"] = "2"
        updated = await w.client.update(second, created)
        assert (updated["port"], updated["metadata"]["generation"]) == ("2", 2)
        patched = await w.client.patch(second, "a", {"host": "i"}, SPACE)
        assert (patched["host"], patched["port"]) == ("i", "2")
        assert (await w.client.get(first, "a", SPACE))["hostPort"] == "i:2"
        await w.client.patch(first, "a", {"hostPort": "j:3"}, SPACE)
        assert (await w.client.get(second, "a", SPACE))["host"] == "j"
        with pytest.raises(StatusError, match="the object has been modified"):
            await w.client.update(second, updated)
        await w.client.delete(second, "a", SPACE)
        with pytest.raises(NotFound):
            await w.client.get(first, "a", SPACE)

    run(tmp_path, scenario)


def test_writers_of_both_versions_at_once_lose_nothing(tmp_path: Path) -> None:
    async def scenario(w: World, hook: Hook, made: Obj) -> None:
        kinds = both(made)
        await some(w, made, 1)
        async with asyncio.TaskGroup() as tasks:
            for number, kind in zip(range(20), itertools.cycle(kinds)):
                tasks.create_task(w.client.patch(kind, "n0", {"metadata": {"labels": {f"l{number}": "x"}}}, SPACE))
        assert len((await w.client.get(kinds[1], "n0", SPACE))["metadata"]["labels"]) == 20

    run(tmp_path, scenario)


def test_lists_in_pages_of_a_version_and_of_old_revisions(tmp_path: Path) -> None:
    async def scenario(w: World, hook: Hook, made: Obj) -> None:
        first, second = both(made)
        await some(w, made, 5)
        page = await w.client.list(second, SPACE, limit=2)
        revision = page["metadata"]["resourceVersion"]
        await w.client.delete(first, "n3", SPACE)
        seen = [item["port"] for item in page["items"]]
        while token := page["metadata"].get("continue"):
            page = await w.client.list(second, SPACE, limit=2, continue_=token)
            seen += [item["port"] for item in page["items"]]
        assert seen == ["0", "1", "2", "3", "4"]
        exact = await w.obj("GET", f"{second.path(SPACE)}?resourceVersion={revision}&resourceVersionMatch=Exact")
        assert [item["port"] for item in exact["items"]] == seen
        assert [item["port"] for item in (await w.client.list(second, SPACE))["items"]] == ["0", "1", "2", "4"]
        table = await w.obj("GET", second.path(SPACE), accept="application/json;as=Table;v=v1;g=meta.k8s.io")
        assert [row["object"]["apiVersion"] for row in table["rows"]] == ["meta.k8s.io/v1"] * 4

    run(tmp_path, scenario)


def test_a_watch_goes_on_from_a_list_of_the_same_version(tmp_path: Path) -> None:
    async def scenario(w: World, hook: Hook, made: Obj) -> None:
        first, second = both(made)
        await some(w, made, 1)
        listed = await w.client.list(second, SPACE)
        await w.client.patch(first, "n0", {"hostPort": "h:9"}, SPACE)
        start = listed["metadata"]["resourceVersion"]
        kind, obj = await first_event(w, second, resource_version=start)
        assert (kind, obj["port"], obj["apiVersion"]) == ("MODIFIED", "9", second.api_version)

    run(tmp_path, scenario)


def test_without_the_webhook_only_what_needs_no_conversion_works(tmp_path: Path) -> None:
    async def scenario(w: World, hook: Hook, made: Obj) -> None:
        first, second = both(made)
        await some(w, made, 1)
        hook.answering = None
        kind = f"{first.api_version}, Kind={first.kind}"
        assert (await w.client.get(first, "n0", SPACE))["hostPort"] == "h:0"
        for target in (f"{second.path(SPACE)}/n0", second.path(SPACE)):
            refused = await w.obj("GET", target)
            assert refused["code"] == 500
            assert refused["message"].startswith(f"conversion webhook for {kind} failed: Post ")
        refused = await w.obj("POST", second.path(SPACE), instance(made, "b", "v2", host="h"))
        assert refused["code"] == 500 and f"{second.api_version}, Kind={second.kind} failed" in refused["message"]
        assert [name_of(item) for item in (await w.client.list(first, SPACE))["items"]] == ["n0"]
        hook.answering = convert_host_and_port
        assert (await w.client.get(second, "n0", SPACE))["port"] == "0"

    run(tmp_path, scenario)


def test_a_watch_outlives_an_outage_of_the_webhook(tmp_path: Path) -> None:
    async def scenario(w: World, hook: Hook, made: Obj) -> None:
        _, second = both(made)
        events: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

        async def follow() -> None:
            async for event in w.client.watch(second, SPACE, bookmarks=False):
                events.put_nowait((event.type, event.object["port"]))

        async with asyncio.timeout(_PATIENCE_S), asyncio.TaskGroup() as tasks:
            following = tasks.create_task(follow())
            await some(w, made, 1)
            assert await events.get() == ("ADDED", "0")
            hook.answering = None
            await w.client.patch(resource(made, "v1"), "n0", {"hostPort": "h:9"}, SPACE)
            with pytest.raises(StatusError, match="failed: Post"):
                await w.client.list(second, SPACE)
            hook.answering = convert_host_and_port
            assert [item["port"] for item in (await w.client.list(second, SPACE))["items"]] == ["9"]
            assert await events.get() == ("MODIFIED", "9")
            following.cancel()

    run(tmp_path, scenario)


def test_a_definition_goes_with_its_instances_without_the_webhook(tmp_path: Path) -> None:
    async def scenario(w: World, hook: Hook, made: Obj) -> None:
        await some(w, made, 2)
        hook.answering = None
        await w.client.delete(CUSTOM_RESOURCE_DEFINITIONS, name_of(made))
        for _ in range(200):
            if not (await w.client.list(CUSTOM_RESOURCE_DEFINITIONS))["items"]:
                break
            await w.clock.advance(0.1)
        else:
            raise AssertionError("it stayed")
        assert not (await w.store.range(f"/registry/{made['spec']['group']}/")).entries

    run(tmp_path, scenario)


def test_nobody_is_asked_before_a_version_is_wanted_that_needs_it(tmp_path: Path) -> None:
    async def scenario(w: World, hook: Hook, made: Obj) -> None:
        first, second = both(made)
        await some(w, made, 3)
        await w.client.list(first, SPACE)
        assert hook.asked == []
        await w.client.list(second, SPACE)
        (asked,) = hook.asked
        assert [name_of(obj) for obj in asked["request"]["objects"]] == ["n0", "n1", "n2"]
        await w.client.list(second, SPACE)
        assert len(hook.asked) == 1, "what was converted is kept"

    run(tmp_path, scenario)


def test_from_strategy_none_to_a_webhook_and_back(tmp_path: Path) -> None:
    async def strategy(w: World, made: Obj, conversion: Obj) -> None:
        changed = await w.client.get(CUSTOM_RESOURCE_DEFINITIONS, name_of(made))
        changed["spec"]["conversion"] = conversion
        await w.client.update(CUSTOM_RESOURCE_DEFINITIONS, changed)
        generation = w.server.registry.generation
        for _ in range(50):
            if w.server.registry.generation != generation:
                break
            await w.clock.advance(0.01)

    async def scenario(w: World, hook: Hook, made: Obj) -> None:
        first, second = both(made)
        await some(w, made, 1)
        assert (await w.client.get(second, "n0", SPACE))["host"] == "h"
        webhook_conversion = made["spec"]["conversion"]
        await strategy(w, made, {"strategy": "None"})
        found = await w.client.get(second, "n0", SPACE)
        assert (found["apiVersion"], found.get("host"), found.get("hostPort")) == (second.api_version, None, "h:0")
        await strategy(w, made, webhook_conversion)
        assert (await w.client.get(second, "n0", SPACE))["host"] == "h"
        assert (await w.client.get(first, "n0", SPACE))["hostPort"] == "h:0"

    run(tmp_path, scenario)


def test_who_applied_in_one_version_keeps_what_is_owned_when_another_writes_in_another(tmp_path: Path) -> None:
    async def scenario(w: World, hook: Hook, made: Obj) -> None:
        first, second = both(made)
        config = instance(made, "a", "v1", hostPort="h:1")
        apply = {"content_type": "application/apply-patch+yaml"}
        await w.raw("PATCH", f"{first.path(SPACE)}/a?fieldManager=one", config, **apply)
        await w.client.patch(second, "a", {"metadata": {"labels": {"a": "b"}}}, SPACE)
        await w.raw("PATCH", f"{second.path(SPACE)}/a?fieldManager=two", instance(made, "a", "v2", host="h"), **apply)
        entries = (await w.client.get(second, "a", SPACE))["metadata"]["managedFields"]
        owned = {(entry["manager"], entry["apiVersion"]): entry["fieldsV1"] for entry in entries}
        assert owned["one", first.api_version] == {"f:hostPort": {}}
        assert owned["two", second.api_version] == {"f:host": {}}
        assert ("tests", second.api_version) in owned

    run(tmp_path, scenario)
