"""get and list: resourceVersion rules, pages, selectors, and the forms of answers."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from tests.fakes.server import World, config_map, pod, world

from steersman.api.resources import CONFIG_MAPS, EVENTS, EVENTS_V1, PODS
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj
from steersman.store.interface import RangeResult
from steersman.store.memory import MemoryStore

MAPS = "/api/v1/namespaces/default/configmaps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"


def run(scenario: Callable[[World], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with world(**settings) as w:
            await scenario(w)

    asyncio.run(main())


async def fill(w: World, count: int) -> None:
    for number in range(count):
        await w.client.create(CONFIG_MAPS, config_map(f"m{number}", labels={"n": str(number)}))


def names(page: Obj) -> list[str]:
    return [item["metadata"]["name"] for item in page["items"]]


def test_pages_show_the_list_as_it_was_when_the_first_was_read() -> None:
    async def scenario(w: World) -> None:
        await fill(w, 5)
        first = await w.obj("GET", f"{MAPS}?limit=2")
        assert names(first) == ["m0", "m1"] and first["metadata"]["remainingItemCount"] == 3
        await w.client.delete(CONFIG_MAPS, "m2", "default")
        await w.client.create(CONFIG_MAPS, config_map("m9"))
        second = await w.obj("GET", f"{MAPS}?limit=2&continue={quote(first['metadata']['continue'])}")
        assert names(second) == ["m2", "m3"]
        assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        last = await w.obj("GET", f"{MAPS}?limit=2&continue={quote(second['metadata']['continue'])}")
        assert names(last) == ["m4"] and "continue" not in last["metadata"] and "remainingItemCount" not in last["metadata"]

    run(scenario)


def test_a_continue_token_is_upstreams_and_expires_into_one_that_goes_on_inconsistently() -> None:
    async def scenario(w: World) -> None:
        await fill(w, 3)
        first = await w.obj("GET", f"{MAPS}?limit=1")
        token = orjson.loads(base64.urlsafe_b64decode(first["metadata"]["continue"] + "=="))
        version = int(first["metadata"]["resourceVersion"])
        assert token == {"v": "meta.k8s.io/v1", "rv": version, "start": "m0\0"}
        await w.client.delete(CONFIG_MAPS, "m1", "default")
        await w.server.feed.settle()
        await w.store.compact(version + 1)
        gone = await w.obj("GET", f"{MAPS}?limit=1&continue={first['metadata']['continue']}")
        assert (gone["code"], gone["reason"]) == (410, "Expired")
        assert gone["message"].startswith("The provided continue parameter is too old to display a consistent list result.")
        rest = await w.obj("GET", f"{MAPS}?limit=1&continue={gone['metadata']['continue']}")
        assert names(rest) == ["m2"]

    run(scenario)


MATCH = "resourceVersionMatch"
NO_NUMBER = 'invalid resource version: resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax'


@pytest.mark.parametrize(
    ("query", "code", "text"),
    [
        ("resourceVersionMatch=Exact", 422, "resourceVersionMatch is forbidden unless resourceVersion is provided"),
        (f"resourceVersion=0&{MATCH}=Exact", 422, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'),
        (f"resourceVersion=1&{MATCH}=x", 422, 'Unsupported value: "x": supported values: "Exact", "NotOlderThan", ""'),
        ("sendInitialEvents=true", 422, "sendInitialEvents is forbidden for list"),
        ("resourceVersion=abc", 400, NO_NUMBER),
        ("continue=xyz", 400, "continue key is not valid"),
        ("continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NSwic3RhcnQiOiJhXHUwMDAwIn0&resourceVersion=5", 400,
         "specifying resource version is not allowed when using continue"),
        ("fieldSelector=spec.x=1", 400, '"spec.x" is not a known field selector: only "metadata.name", "metadata.namespace"'),
        ("labelSelector=a%20b%20c", 400, "unable to parse requirement"),
        ("resourceVersion=99&resourceVersionMatch=Exact", 504, "Timeout: Too large resource version: 99, current: "),
    ],
)  # fmt: skip
def test_impossible_lists_are_refused_with_upstreams_words(query: str, code: int, text: str) -> None:
    async def scenario(w: World) -> None:
        status = await w.obj("GET", f"{MAPS}?{query}")
        assert status["code"] == code and text in status["message"]

    run(scenario)


def test_an_exact_list_shows_the_past() -> None:
    async def scenario(w: World) -> None:
        await fill(w, 2)
        then = (await w.client.list(CONFIG_MAPS))["metadata"]["resourceVersion"]
        await w.client.delete(CONFIG_MAPS, "m0", "default")
        await w.server.feed.settle()
        exact = await w.obj("GET", f"{MAPS}?resourceVersion={then}&resourceVersionMatch=Exact")
        assert names(exact) == ["m0", "m1"] and exact["metadata"]["resourceVersion"] == then
        assert names(await w.obj("GET", f"{MAPS}?resourceVersion={then}")) == ["m1"]
        await w.store.compact(int(then) + 1)
        old = await w.obj("GET", f"{MAPS}?resourceVersion={then}&resourceVersionMatch=Exact")
        assert (old["code"], old["message"]) == (410, "The resourceVersion for the provided list is too old.")

    run(scenario)


def test_a_get_waits_three_seconds_for_a_version_to_come() -> None:
    async def scenario(w: World) -> None:
        await fill(w, 1)
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(w.obj("GET", f"{MAPS}/m0?resourceVersion=1000"))
            await w.clock.advance(4)
            status = await asked
        assert status["code"] == 504 and status["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
        bad = await w.obj("GET", f"{MAPS}/m0?resourceVersion=abc")
        assert bad["code"] == 500 and "reason" not in bad

    run(scenario)


def test_selectors_choose_by_labels_and_fields_over_all_namespaces() -> None:
    async def scenario(w: World) -> None:
        for name, node in (("a", "n1"), ("b", "n2"), ("c", "n1")):
            body = pod(name, labels={"app": name})
            body["spec"]["nodeName"] = node
            await w.client.create(PODS, body)
        assert names(await w.client.list(PODS, field_selector="spec.nodeName=n1")) == ["a", "c"]
        assert names(await w.client.list(PODS, label_selector="app in (b,c)", field_selector="spec.nodeName=n1")) == ["c"]
        assert names(await w.client.list(PODS, field_selector="metadata.name=b")) == ["b"]
        assert names(await w.client.list(PODS, "other")) == []
        status = await w.obj("GET", "/api/v1/pods?fieldSelector=spec.x%3D1")
        assert status["message"] == "field label not supported: spec.x"

    run(scenario)


def test_a_kind_of_two_versions_is_one_kind() -> None:
    async def scenario(w: World) -> None:
        event: Obj = {
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"}, "message": "hello",
            "involvedObject": {"kind": "Pod", "name": "web", "namespace": "default"}, "reason": "R", "type": "Normal",
        }  # fmt: skip
        made = await w.client.create(EVENTS, event)
        new = await w.client.get(EVENTS_V1, "e", "default")
        assert new["note"] == "hello" and new["regarding"]["name"] == "web" and "message" not in new
        assert new["metadata"] == made["metadata"] and new["apiVersion"] == "events.k8s.io/v1"
        assert names(await w.client.list(EVENTS_V1, field_selector="regarding.name=web")) == ["e"]
        assert names(await w.client.list(EVENTS, field_selector="involvedObject.name=other")) == []

    run(scenario)


def test_tables_and_metadata_are_given_to_those_who_ask() -> None:
    async def scenario(w: World) -> None:
        await w.client.create(PODS, pod())
        table = await w.obj("GET", "/api/v1/namespaces/default/pods", accept=TABLE)
        assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
        assert [column["name"] for column in table["columnDefinitions"]][:3] == ["Name", "Ready", "Status"]
        (row,) = table["rows"]
        assert row["cells"][0] == "web" and row["object"]["kind"] == "PartialObjectMetadata"
        bare = await w.obj("GET", "/api/v1/pods?includeObject=None", accept=TABLE)
        assert bare["rows"][0]["object"] is None
        for query in ("?includeObject=X", "?includeObject=X&watch=1"):
            refused = await w.raw("GET", f"/api/v1/pods{query}", accept=TABLE)
            why = "Invalid value: \"X\": must be 'Metadata', 'Object', 'None', or empty"
            text = f"Unable to convert to Table as requested: includeObject: {why}"
            assert (refused.status, orjson.loads(refused.body)["message"]) == (400, text)
        partial = await w.obj("GET", "/api/v1/namespaces/default/pods/web", accept=PARTIAL)
        assert partial.keys() == {"kind", "apiVersion", "metadata"} and partial["metadata"]["name"] == "web"
        listed = await w.obj("GET", "/api/v1/pods", accept=PARTIAL_LIST)
        assert listed["kind"] == "PartialObjectMetadataList" and names(listed) == ["web"]

    run(scenario)


def test_answers_come_as_yaml_or_indented_or_not_at_all() -> None:
    async def scenario(w: World) -> None:
        await fill(w, 1)
        assert (await w.raw("GET", f"{MAPS}/m0", accept="application/yaml")).body.startswith(b"apiVersion: v1\n")
        assert b'\n  "kind": "ConfigMap"' in (await w.raw("GET", f"{MAPS}/m0", user_agent="curl/8")).body
        for no in ("false", "False", "f"):
            assert b"\n" not in (await w.raw("GET", f"{MAPS}/m0?pretty={no}", user_agent="curl/8")).body
        refused = await w.raw("GET", f"{MAPS}/m0", accept="application/cbor")
        assert refused.status == 406
        fallback = await w.raw("GET", f"{MAPS}/m0", accept="application/vnd.kubernetes.protobuf,application/json")
        assert fallback.status == 200

    run(scenario)


def test_long_lists_have_the_length_they_say() -> None:
    async def scenario(w: World) -> None:
        await fill(w, 150)
        answer = await w.raw("GET", MAPS)
        listed = orjson.loads(answer.body)
        assert len(listed["items"]) == 150 and "kind" not in listed["items"][99]

    run(scenario)


def test_an_exact_list_shows_nothing_of_what_changes_while_it_is_looked_up() -> None:
    class Slow(MemoryStore):
        """Something is made while it looks whether it remembers a revision."""

        beside: Callable[[], Awaitable[None]] | None = None

        async def range(
            self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0, count_only: bool = False
        ) -> RangeResult:
            if revision and self.beside is not None:
                beside, self.beside = self.beside, None
                await beside()
            return await super().range(prefix, start=start, limit=limit, revision=revision, count_only=count_only)

    async def main() -> None:
        store = Slow(VirtualClock())
        async with world(store=store) as w:
            await w.obj("POST", "/api/v1/namespaces/default/pods", pod("a"))
            revision = (await w.obj("GET", "/api/v1/pods"))["metadata"]["resourceVersion"]

            async def make() -> None:
                await w.obj("POST", "/api/v1/namespaces/default/pods", pod("b"))
                await w.obj("GET", "/api/v1/pods")

            store.beside = make
            found = await w.obj("GET", f"/api/v1/pods?resourceVersion={revision}&resourceVersionMatch=Exact")
            assert (names(found), found["metadata"]["resourceVersion"]) == (["a"], revision)

    asyncio.run(main())
