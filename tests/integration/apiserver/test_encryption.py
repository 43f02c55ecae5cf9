"""Encryption at rest down to the bytes on disk: SQLite's file and log, an etcd, keys that rotate while the server runs."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.fakes.etcd import START_S, Member, members
from tests.fakes.server import Everybody, config

from steersman.api.resources import CONFIG_MAPS, SECRETS
from steersman.apiserver.run import APIServer, Parts
from steersman.client.interface import Client
from steersman.machinery import yamlio
from steersman.machinery.clock import Clock, RealClock, VirtualClock
from steersman.machinery.meta import Obj
from steersman.store.etcd import EtcdStore
from steersman.store.etcd_calls import TLS
from steersman.store.interface import Store
from steersman.store.sqlite import SQLiteStore

VALUE = "correct-horse-battery-staple-" * 200
"""Longer than a page: it has overflow pages of its own."""
BASE64 = base64.b64encode(VALUE.encode())


def secret(name: str = "token") -> Obj:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"value": BASE64.decode()}}


def write(path: Path, *providers: Obj) -> Path:
    body = {
        "kind": "EncryptionConfiguration",
        "apiVersion": "apiserver.config.k8s.io/v1",
        "resources": [{"resources": ["secrets"], "providers": list(providers)}],
    }
    path.write_text(yamlio.dump(body))
    return path


def keys(*names: str) -> Obj:
    return {"keys": [{"name": name, "secret": base64.b64encode(name[:1].encode() * 32).decode()} for name in names]}


@asynccontextmanager
async def served(store: Store, path: Path | None, clock: Clock) -> AsyncIterator[Client]:
    everybody = Everybody()
    settings = config(encryption_provider_config=path)
    server = APIServer(settings, store, clock, parts=lambda *_: Parts(everybody, everybody, ()))
    try:
        await server.start(listen=False)
        try:
            yield server.client
        finally:
            await server.stop()
    finally:
        await store.close()


def on_disk(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(directory.glob("store.db*")))


def told(directory: Path) -> bool:
    """Whether the files have any part of the value, plain or in base64."""
    content = on_disk(directory)
    return any(part in content for part in (BASE64[400:440], BASE64[4000:4040], b"correct-horse"))


def test_nothing_of_a_secret_is_in_the_file_nor_in_its_log(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = RealClock()
        path = write(tmp_path / "e.yaml", {"aesgcm": keys("one")})
        store = await SQLiteStore.open(tmp_path / "store.db", clock, overwrite=True)
        async with served(store, path, clock) as client:
            await client.create(SECRETS, secret(), "default")
            await client.create(CONFIG_MAPS, {**secret(), "kind": "ConfigMap", "data": {"open": "seen"}}, "default")
            found = await client.get(SECRETS, "token", "default")
            await client.update(SECRETS, {**found, "immutable": True})
            assert not told(tmp_path)
            content = on_disk(tmp_path)
            assert b"k8s:enc:aesgcm:v1:one:" in content and b'"open":"seen"' in content
        assert not told(tmp_path)

    asyncio.run(scenario())


def test_what_was_plain_before_is_gone_after_rewriting_and_compaction(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        async with served(await SQLiteStore.open(tmp_path / "store.db", clock), None, clock) as client:
            for name in ("token", "deleted"):
                await client.create(SECRETS, secret(name), "default")
            await client.delete(SECRETS, "deleted", "default")
        assert told(tmp_path)

        for names in (("one",), ("two", "one")):
            path = write(tmp_path / "e.yaml", {"aescbc": keys(*names)}, {"identity": {}})
            store = await SQLiteStore.open(tmp_path / "store.db", clock, overwrite=True)
            async with served(store, path, clock) as client:
                # What `kubectl get secrets -A -o json | kubectl replace -f -` does.
                for found in (await client.list(SECRETS))["items"]:
                    await client.update(SECRETS, {**found, "kind": "Secret", "apiVersion": "v1"})
                await store.compact(await store.progress())
            assert not told(tmp_path)
        with sqlite3.connect(tmp_path / "store.db") as connection:
            connection.execute("VACUUM")
        assert not told(tmp_path)
        assert b"k8s:enc:aescbc:v1:two:" in on_disk(tmp_path) and b"k8s:enc:aescbc:v1:one:" not in on_disk(tmp_path)

    asyncio.run(scenario())


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Member]:
    (member,) = members(tmp_path)
    member.start()
    try:
        yield member
    finally:
        member.kill()


def test_in_an_etcd_it_is_ciphertext_for_all_servers_with_the_keys(etcd: Member, tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = RealClock()

        async def opened() -> EtcdStore:
            return await EtcdStore.open([etcd.url], TLS(), clock, patience_s=START_S)

        first = write(tmp_path / "first.yaml", {"secretbox": keys("one")}, {"aesgcm": keys("two")})
        second = write(tmp_path / "second.yaml", {"aesgcm": keys("two")}, {"secretbox": keys("one")})
        async with served(await opened(), first, clock) as one, served(await opened(), second, clock) as two:
            await one.create(SECRETS, secret(), "default")
            found = await two.get(SECRETS, "token", "default")
            assert found["data"] == secret()["data"]
            raw = await opened()
            entry, _ = await raw.get("/registry/secrets/default/token")
            assert entry is not None and entry.value.startswith(b"k8s:enc:secretbox:v1:one:")
            # Each writes with its own first provider, and both read.
            await two.update(SECRETS, found)
            assert (await one.get(SECRETS, "token", "default"))["data"] == secret()["data"]
            entry, _ = await raw.get("/registry/secrets/default/token")
            assert entry is not None and entry.value.startswith(b"k8s:enc:aesgcm:v1:two:")
            await raw.close()

    asyncio.run(scenario())
