"""Objects of a server whose store is encrypted: what lies there, rotation, values nobody can open, and a file that changes."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.server import World, config_map, pod, world

from steersman.apiserver.encryption import reload
from steersman.apiserver.encryption.config import load
from steersman.apiserver.encryption.store import EncryptedStore
from steersman.client.interface import Answer
from steersman.machinery import yamlio
from steersman.machinery.clock import VirtualClock
from steersman.machinery.meta import Obj
from steersman.store.interface import Delete, Put, Store
from steersman.store.memory import MemoryStore

SECRETS = "/api/v1/namespaces/default/secrets"
KEY = "/registry/secrets/default/token"


def keys(*names: str) -> Obj:
    return {"keys": [{"name": name, "secret": base64.b64encode(name[:1].encode() * 32).decode()} for name in names]}


def write(path: Path, *providers: Obj, resources: tuple[str, ...] = ("secrets",)) -> Path:
    body = {
        "kind": "EncryptionConfiguration",
        "apiVersion": "apiserver.config.k8s.io/v1",
        "resources": [{"resources": list(resources), "providers": list(providers)}],
    }
    path.write_text(yamlio.dump(body))
    return path


def secret(value: str = "hidden", name: str = "token") -> Obj:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"value": base64.b64encode(value.encode()).decode()}}


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 120))


async def stored(store: Store, key: str = KEY) -> bytes:
    entry, _ = await store.get(key)
    assert entry is not None
    return entry.value


class Kept(MemoryStore):
    """Outlives the server over it."""

    async def close(self) -> None:
        return None


def serving(store: MemoryStore, path: Path | None, **settings: Any) -> AbstractAsyncContextManager[World]:
    return world(store=store, encryption_provider_config=path, **settings)


@asynccontextmanager
async def watching(w: World, target: str) -> AsyncIterator[AsyncIterator[Obj]]:
    async with w.transport.stream("GET", target) as answer:

        async def frames() -> AsyncIterator[Obj]:
            async for chunk in answer.chunks():
                for line in chunk.splitlines():
                    yield orjson.loads(line)

        yield frames()


def status(answer: Answer) -> Obj:
    found: Obj = orjson.loads(answer.body)
    return found


def test_what_is_named_is_encrypted_and_nothing_else_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Kept(VirtualClock())
        path = write(tmp_path / "e.yaml", {"aescbc": keys("key1")}, {"identity": {}})
        async with serving(store, path) as w:
            assert (await w.raw("POST", SECRETS, secret())).status == 201
            assert (await w.raw("POST", "/api/v1/namespaces/default/configmaps", config_map())).status == 201
            value = await stored(store)
            assert value.startswith(b"k8s:enc:aescbc:v1:key1:") and b"Secret" not in value
            assert (await stored(store, "/registry/configmaps/default/settings")).startswith(b'{"kind":"ConfigMap"')
            assert (await w.obj("GET", f"{SECRETS}/token"))["data"] == secret()["data"]
            assert [item["metadata"]["name"] for item in (await w.obj("GET", SECRETS))["items"]] == ["token"]

    run(scenario)


def test_a_watch_shows_plain_objects(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Kept(VirtualClock())
        async with serving(store, write(tmp_path / "e.yaml", {"aesgcm": keys("key1")})) as w:
            begin = (await w.obj("GET", SECRETS))["metadata"]["resourceVersion"]
            async with watching(w, f"{SECRETS}?watch=true&resourceVersion={begin}") as frames:
                await w.raw("POST", SECRETS, secret())
                await w.raw("DELETE", f"{SECRETS}/token")
                for type_ in ("ADDED", "DELETED"):
                    frame = await anext(frames)
                    assert (frame["type"], frame["object"]["data"]) == (type_, secret()["data"])

    run(scenario)


def test_rotation_rewrites_at_the_next_write_even_if_nothing_changes(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Kept(VirtualClock())
        path = tmp_path / "e.yaml"
        async with serving(store, None) as w:
            await w.raw("POST", SECRETS, secret())
            assert (await stored(store)).startswith(b'{"kind":"Secret"')
        for providers, lead in (
            ([{"aescbc": keys("one")}, {"identity": {}}], b"k8s:enc:aescbc:v1:one:"),
            ([{"aescbc": keys("two", "one")}], b"k8s:enc:aescbc:v1:two:"),
            ([{"secretbox": keys("box")}, {"aescbc": keys("two")}], b"k8s:enc:secretbox:v1:box:"),
            ([{"identity": {}}, {"secretbox": keys("box")}], b'{"kind":"Secret"'),
        ):
            async with serving(store, write(path, *providers)) as w:
                found = await w.obj("GET", f"{SECRETS}/token")
                assert found["data"] == secret()["data"]
                same = await w.obj("PUT", f"{SECRETS}/token", found)
                assert (await stored(store)).startswith(lead)
                assert same["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]
                # Now it is as it should be, and a write that changes nothing writes nothing.
                again = await w.obj("PUT", f"{SECRETS}/token", same)
                assert again["metadata"]["resourceVersion"] == same["metadata"]["resourceVersion"]

    run(scenario)


@pytest.mark.parametrize(
    ("providers", "why"),
    [
        ([{"aescbc": keys("two")}], "no matching key was found for the provided AES transformer"),
        ([{"identity": {}}], "no matching prefix found"),
        (None, "identity transformer tried to read encrypted data"),
    ],
)
def test_what_cannot_be_decrypted_is_a_500_and_the_rest_is_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, providers: list[Obj] | None, why: str
) -> None:
    async def scenario() -> None:
        store = Kept(VirtualClock())
        path = tmp_path / "e.yaml"
        async with serving(store, write(path, {"aescbc": keys("one")})) as w:
            await w.raw("POST", SECRETS, secret())
        async with serving(store, write(path, *providers) if providers else None) as w:
            text = f'Internal error occurred: unable to transform key "{KEY}": {why}'
            other = "/api/v1/namespaces/other/secrets"
            for method, target, body in (
                ("GET", f"{SECRETS}/token", None),
                ("GET", SECRETS, None),
                ("GET", f"{SECRETS}?labelSelector=a=b", None),
                ("GET", "/api/v1/secrets?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", None),
                ("PUT", f"{SECRETS}/token", secret("other")),
                ("DELETE", f"{SECRETS}/token", None),
                ("DELETE", SECRETS, None),
                ("POST", SECRETS, secret("other")),
            ):
                answer = await w.raw(method, target, body)
                said = status(answer)
                assert (answer.status, said["reason"], said["message"]) == (500, "InternalError", text), (method, target)
            assert (await w.raw("GET", other)).status == 200
            assert (await w.raw("POST", SECRETS, secret(name="new"))).status == 201
            assert (await w.raw("GET", f"{SECRETS}/new")).status == 200
            assert (await w.raw("GET", "/api/v1/namespaces/default/configmaps")).status == 200
        if providers:
            assert f"key={KEY}" in caplog.text and why in caplog.text
        assert "aGlkZGVu" not in caplog.text and "hidden" not in caplog.text

    run(scenario)


def test_a_value_moved_to_another_key_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Kept(VirtualClock())
        path = write(tmp_path / "e.yaml", {"aesgcm": keys("one")})
        async with serving(store, path) as w:
            await w.raw("POST", SECRETS, secret())
            await store.commit([], [Put("/registry/secrets/default/mine", await stored(store))])
            answer = await w.raw("GET", f"{SECRETS}/mine")
            assert answer.status == 500 and "cipher: message authentication failed" in status(answer)["message"]
            assert (await w.raw("GET", f"{SECRETS}/token")).status == 200
            # Once it is gone, lists are well again.
            assert (await w.raw("GET", SECRETS)).status == 500
            await store.commit([], [Delete("/registry/secrets/default/mine")])
            assert (await w.raw("GET", SECRETS)).status == 200

    run(scenario)


def test_watchers_are_sent_away_when_something_cannot_be_read(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Kept(VirtualClock())
        path = write(tmp_path / "e.yaml", {"aesgcm": keys("one")})
        async with serving(store, path) as w:
            begin = (await w.obj("GET", SECRETS))["metadata"]["resourceVersion"]
            async with watching(w, f"{SECRETS}?watch=true&resourceVersion={begin}") as frames:
                await store.commit([], [Put(KEY, b"k8s:enc:aesgcm:v1:one:spoilt")])
                assert [frame async for frame in frames] == []
            for query in (f"watch=true&resourceVersion={begin}", ""):
                assert (await w.raw("GET", f"{SECRETS}?{query}")).status == 500

    run(scenario)


def test_a_file_that_changes_is_taken_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
        store = Kept(VirtualClock())
        path = write(tmp_path / "e.yaml", {"aescbc": keys("one")})
        async with serving(store, path, encryption_reload=True) as w:
            await w.raw("POST", SECRETS, secret())
            for content, lead in (
                (keys("two", "one"), b"k8s:enc:aescbc:v1:two:"),
                (keys("three", "two"), b"k8s:enc:aescbc:v1:three:"),
            ):
                write(path, {"aescbc": content})
                await w.clock.advance(reload.LOOK_S)
                await w.raw("PUT", f"{SECRETS}/token", secret())
                assert (await stored(store)).startswith(lead)
            path.write_text("broken: [")
            await w.clock.advance(3 * reload.LOOK_S)
            assert caplog.text.count("not taken up") == 1
            await w.raw("PUT", f"{SECRETS}/token", secret("changed"))
            assert (await stored(store)).startswith(b"k8s:enc:aescbc:v1:three:")
            text = (await w.raw("GET", "/metrics")).body.decode()
            assert 'automatic_reloads_total{status="success"} 2.0' in text
            assert 'automatic_reloads_total{status="failure"} 1.0' in text

    run(scenario)


def test_what_could_not_be_read_can_be_once_its_key_is_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Kept(VirtualClock())
        path = write(tmp_path / "e.yaml", {"aescbc": keys("one")})
        async with serving(store, path) as w:
            await w.raw("POST", SECRETS, secret())
        write(path, {"aescbc": keys("two")})
        async with serving(store, path, encryption_reload=True) as w:
            assert (await w.raw("GET", f"{SECRETS}/token")).status == 500
            write(path, {"aescbc": keys("two", "one")})
            await w.clock.advance(reload.LOOK_S)
            assert (await w.obj("GET", f"{SECRETS}/token"))["data"] == secret()["data"]
            assert (await w.raw("GET", SECRETS)).status == 200

    run(scenario)


def test_without_the_flag_a_changed_file_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Kept(VirtualClock())
        path = write(tmp_path / "e.yaml", {"aescbc": keys("one")})
        async with serving(store, path) as w:
            write(path, {"aescbc": keys("two")})
            await w.clock.advance(10 * reload.LOOK_S)
            await w.raw("POST", SECRETS, secret())
            assert (await stored(store)).startswith(b"k8s:enc:aescbc:v1:one:")

    run(scenario)


def test_everything_encrypted_leaves_the_servers_own_keys_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Kept(VirtualClock())
        path = write(tmp_path / "e.yaml", {"aesgcm": keys("one")}, resources=("*.*",))
        async with serving(store, path) as w:
            assert (await w.raw("POST", "/api/v1/namespaces/default/pods", pod())).status == 201
            crd = {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": "widgets.example.org"},
                "spec": {
                    "group": "example.org",
                    "scope": "Namespaced",
                    "names": {"plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList"},
                    "versions": [
                        {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
                    ],
                },
            }
            assert (await w.raw("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)).status == 201
            await w.clock.advance(30)
            widget = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "w"}}
            assert (await w.raw("POST", "/apis/example.org/v1/namespaces/default/widgets", widget)).status == 201
            await store.commit([], [Put("/registry/masterleases/192.0.2.1", b"{}")])
            encrypted = EncryptedStore(store, load(path), ["pods"], ["apps"])
            await encrypted.commit([], [Put("/registry/ranges/serviceips/1", b"x"), Put("/registry/masterleases/a", b"{}")])
            found = {entry.key: entry.value[:8] for entry in (await store.range("/registry/")).entries}
            plain = {key for key, lead in found.items() if lead != b"k8s:enc:"}
            assert plain == {"/registry/masterleases/192.0.2.1", "/registry/masterleases/a", "/registry/ranges/serviceips/1"} | {
                key for key in plain if key.startswith("/registry/compaction/")
            }
            assert {"/registry/pods/default/web", "/registry/example.org/widgets/default/w"} <= found.keys()

    run(scenario)


@given(values=st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.binary(max_size=60)), max_size=8))
def test_any_values_come_back_through_the_store(
    values: list[tuple[str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.mktemp("e") / "e.yaml", {"secretbox": keys("one")})

    async def scenario() -> None:
        inner = MemoryStore(VirtualClock())
        store = EncryptedStore(inner, load(path), ["secrets"], [])
        wanted = {}
        async with store.watch("/registry/", after=await store.progress()) as batches:
            for name, value in values:
                await store.commit([], [Put(f"/registry/secrets/default/{name}", value)])
                wanted[f"/registry/secrets/default/{name}"] = value
                (event,) = await anext(batches)
                assert event.value == value
        found = await store.range("/registry/")
        assert {entry.key: entry.value for entry in found.entries} == wanted
        assert all(entry.value.startswith(b"k8s:enc:") for entry in (await inner.range("/registry/")).entries)

    run(scenario)
