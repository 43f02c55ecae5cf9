"""watch: initial events, resuming, bookmarks, ends, and the forms of frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from tests.fakes.server import World, config_map, world

from steersman.api.resources import CONFIG_MAPS, NAMESPACES
from steersman.apiserver.http import RawConnection, Request
from steersman.machinery.meta import Obj

MAPS = "/api/v1/namespaces/default/configmaps"


def run(scenario: Callable[[World], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with world(**settings) as w:
            await scenario(w)

    asyncio.run(main())


@asynccontextmanager
async def watching(w: World, query: str, **headers: str) -> AsyncIterator[AsyncIterator[Obj]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with w.transport.stream("GET", f"{MAPS}?watch=1&{query}", headers=named) as answer:

        async def frames() -> AsyncIterator[Obj]:
            async for chunk in answer.chunks():
                for line in chunk.splitlines():
                    yield orjson.loads(line)

        yield frames()


def short(frame: Obj) -> tuple[str, str]:
    return frame["type"], frame["object"]["metadata"].get("name", "")


def test_without_a_version_a_watch_begins_with_what_is_there() -> None:
    async def scenario(w: World) -> None:
        await w.client.create(CONFIG_MAPS, config_map("a"))
        async with watching(w, "") as frames:
            assert short(await anext(frames)) == ("ADDED", "a")
            await w.client.patch(CONFIG_MAPS, "a", {"data": {"x": "y"}}, "default")
            await w.client.delete(CONFIG_MAPS, "a", "default")
            assert short(await anext(frames)) == ("MODIFIED", "a")
            last = await anext(frames)
            assert last["type"] == "DELETED" and last["object"]["data"] == {"x": "y"}
            assert int(last["object"]["metadata"]["resourceVersion"]) == await w.store.progress()

    run(scenario)


def test_from_a_version_a_watch_shows_what_came_after() -> None:
    async def scenario(w: World) -> None:
        made = await w.client.create(CONFIG_MAPS, config_map("a"))
        await w.client.create(CONFIG_MAPS, config_map("b"))
        async with watching(w, f"resourceVersion={made['metadata']['resourceVersion']}") as frames:
            assert short(await anext(frames)) == ("ADDED", "b")

    run(scenario)


def test_a_version_that_is_no_longer_kept_is_an_error_event() -> None:
    async def scenario(w: World) -> None:
        made = await w.client.create(CONFIG_MAPS, config_map("a"))
        for number in range(4):
            await w.client.patch(CONFIG_MAPS, "a", {"data": {"n": str(number)}}, "default")
        version = int(made["metadata"]["resourceVersion"])
        await w.server.feed.settle()
        async with watching(w, f"resourceVersion={version}") as frames:
            frame = await anext(frames)
            assert frame["type"] == "ERROR" and frame["object"]["code"] == 410
            assert frame["object"]["message"] == f"too old resource version: {version} ({version + 2})"
            with pytest.raises(StopAsyncIteration):
                await anext(frames)

    run(scenario, watch_cache_events=2)


def test_initial_events_end_with_a_marked_bookmark() -> None:
    async def scenario(w: World) -> None:
        made = await w.client.create(CONFIG_MAPS, config_map("a"))
        query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        async with watching(w, query) as frames:
            assert short(await anext(frames)) == ("ADDED", "a")
            mark = await anext(frames)
            assert mark["type"] == "BOOKMARK"
            meta = mark["object"]["metadata"]
            assert meta["annotations"] == {"k8s.io/initial-events-end": "true"}
            assert meta["resourceVersion"] == made["metadata"]["resourceVersion"]

    run(scenario)


@pytest.mark.parametrize("form", ["PartialObjectMetadata", "Table"])
def test_bookmarks_have_the_form_that_was_asked_for(form: str) -> None:
    """Else the metadata client's informers, which know no other kind, fail at the first."""

    async def scenario(w: World) -> None:
        query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        async with watching(w, query, accept=f"application/json;as={form};g=meta.k8s.io;v=v1,application/json") as frames:
            mark = await anext(frames)
            assert mark["type"] == "BOOKMARK"
            assert (mark["object"]["kind"], mark["object"]["apiVersion"]) == (form, "meta.k8s.io/v1")
            metadata = mark["object"]["rows"][0]["object"]["metadata"] if form == "Table" else mark["object"]["metadata"]
            assert metadata["annotations"] == {"k8s.io/initial-events-end": "true"}
            assert int(mark["object"]["metadata"]["resourceVersion"]) == await w.store.progress()

    run(scenario)


def test_bookmarks_come_each_minute_and_before_the_end() -> None:
    async def scenario(w: World) -> None:
        made = await w.client.create(CONFIG_MAPS, config_map("a"))
        version = made["metadata"]["resourceVersion"]
        async with watching(w, f"resourceVersion={version}&allowWatchBookmarks=true&timeoutSeconds=100") as frames:
            seen: list[Obj] = []

            async def read() -> None:
                async for frame in frames:
                    seen.append(frame)

            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(read())
                await w.clock.advance(61)
                assert [frame["type"] for frame in seen] == ["BOOKMARK"]
                await w.clock.advance(38)
                assert len(seen) == 2 and not reading.done()
                await w.clock.advance(2)
                assert reading.done()

    run(scenario)


def test_selectors_hold_for_watches() -> None:
    async def scenario(w: World) -> None:
        await w.client.create(CONFIG_MAPS, config_map("a", labels={"x": "1"}))
        async with watching(w, "labelSelector=x%3D1&fieldSelector=metadata.name%3Da") as frames:
            assert short(await anext(frames)) == ("ADDED", "a")
            await w.client.create(CONFIG_MAPS, config_map("b", labels={"x": "1"}))
            await w.client.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"x": "2"}}}, "default")
            gone = await anext(frames)
            assert short(gone) == ("DELETED", "a") and gone["object"]["metadata"]["labels"] == {"x": "1"}

    run(scenario)


def test_frames_are_tables_for_those_who_ask_with_columns_once() -> None:
    async def scenario(w: World) -> None:
        await w.client.create(CONFIG_MAPS, config_map("a"))
        await w.client.create(CONFIG_MAPS, config_map("b"))
        async with watching(w, "", accept="application/json;as=Table;v=v1;g=meta.k8s.io") as frames:
            first, second = (await anext(frames))["object"], (await anext(frames))["object"]
            assert first["kind"] == second["kind"] == "Table"
            assert first["columnDefinitions"] and second["columnDefinitions"] is None
            assert [first["rows"][0]["cells"][0], second["rows"][0]["cells"][0]] == ["a", "b"]

    run(scenario)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("sendInitialEvents=true", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        ("resourceVersionMatch=NotOlderThan", "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"),
    ],
)
def test_impossible_watches_are_refused(query: str, text: str) -> None:
    async def scenario(w: World) -> None:
        status = await w.obj("GET", f"{MAPS}?watch=true&{query}")
        assert status["code"] == 422 and text in status["message"]

    run(scenario)


def test_stopping_the_server_ends_its_watches() -> None:
    async def scenario(w: World) -> None:
        async with watching(w, "") as frames:
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(anext(frames, None))
                await w.clock.advance(1)
                await w.server.stop()
                assert await reading is None

    run(scenario)


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/api/v1/watch/configmaps", {("default", "a"), ("default", "b"), ("other", "a")}),
        ("/api/v1/watch/namespaces/default/configmaps", {("default", "a"), ("default", "b")}),
        ("/api/v1/watch/namespaces/default/configmaps?labelSelector=x%3Dy", {("default", "b")}),
        ("/api/v1/watch/namespaces/default/configmaps/a", {("default", "a")}),
        ("/api/v1/watch/namespaces/default", {("", "default")}),
        ("/api/v1/watch/namespaces", {("", "default"), ("", "other")}),
    ],
)
def test_the_deprecated_form_of_a_watch_shows_what_its_path_names(path: str, seen: set[tuple[str, str]]) -> None:
    async def scenario(w: World) -> None:
        for name in ("default", "other"):
            await w.client.create(NAMESPACES, {"metadata": {"name": name}})
        await w.client.create(CONFIG_MAPS, config_map("a"))
        await w.client.create(CONFIG_MAPS, config_map("b", labels={"x": "y"}))
        await w.client.create(CONFIG_MAPS, config_map("a", namespace="other"))
        target = f"{path}{'&' if '?' in path else '?'}timeoutSeconds=1"
        found: set[tuple[str, str]] = set()
        async with asyncio.TaskGroup() as tasks, w.transport.stream("GET", target) as answer:
            tasks.create_task(w.clock.advance(2))
            async for chunk in answer.chunks():
                for line in chunk.splitlines():
                    metadata = orjson.loads(line)["object"]["metadata"]
                    found.add((metadata.get("namespace", ""), metadata["name"]))
        assert found == seen

    run(scenario)


def test_component_statuses_cannot_be_watched() -> None:
    async def scenario(w: World) -> None:
        answer = await w.raw("GET", "/api/v1/componentstatuses?watch=1")
        assert answer.status == 405
        assert orjson.loads(answer.body)["message"] == 'watch is not supported on resources of kind "componentstatuses"'

    run(scenario)


class Browser:
    """A client of a watch that stays until `left`."""

    def __init__(self) -> None:
        self.got, self.closed = b"", False
        self.has_b, self.left = asyncio.Event(), asyncio.Event()

    async def read(self) -> bytes:
        await self.left.wait()
        return b""

    async def write(self, data: bytes) -> None:
        self.got += data
        if b'"b"' in self.got:
            self.has_b.set()

    async def close(self) -> None:
        self.closed = True


def test_browsers_watch_over_a_websocket() -> None:
    async def scenario(w: World) -> None:
        browser = Browser()

        async def take_over() -> RawConnection:
            return browser

        headers = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "authorization": "Bearer x",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
            "sec-websocket-protocol": "base64url.bearer.authorization.k8s.io.YQ, base64.binary.k8s.io",
        }
        for name in ("a", "b"):
            await w.client.create(CONFIG_MAPS, config_map(name))

        async def leave() -> None:
            await browser.has_b.wait()
            browser.left.set()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(leave())
            answer = await w.server.handler(Request("GET", MAPS, "watch=1", headers, take_over=take_over))
        assert answer.upgraded and browser.closed
        head, _, rest = browser.got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ") and head.endswith(b"Sec-WebSocket-Protocol: base64.binary.k8s.io")
        seen = []
        while rest:
            # Frames of text, longer than 125 bytes and shorter than 65536.
            assert rest[:2] == b"\x81\x7e"
            end = 4 + int.from_bytes(rest[2:4], "big")
            seen.append(short(orjson.loads(rest[4:end])))
            rest = rest[end:]
        assert seen == [("ADDED", "a"), ("ADDED", "b")]

    run(scenario)
