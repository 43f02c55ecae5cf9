"""API servers over one etcd: what one writes the others serve at once; an etcd that dies is told, and is found again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.fakes.etcd import START_S, Member, members
from tests.fakes.server import Everybody, config, config_map

from steersman.__main__ import main as command
from steersman.api.resources import CONFIG_MAPS
from steersman.apiserver.run import APIServer, Parts
from steersman.client.interface import Client
from steersman.machinery.clock import RealClock
from steersman.machinery.errors import Conflict, ServerTimeout
from steersman.store import etcd_calls
from steersman.store.etcd import EtcdStore
from steersman.store.etcd_calls import TLS

CLOCK = RealClock()


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Member]:
    (member,) = members(tmp_path)
    member.start()
    try:
        yield member
    finally:
        member.kill()


@asynccontextmanager
async def served(url: str) -> AsyncIterator[Client]:
    """A client of an API server of its own over that etcd."""
    store = await EtcdStore.open([url], TLS(), CLOCK, patience_s=START_S)
    everybody = Everybody()
    server = APIServer(config(), store, CLOCK, parts=lambda *_: Parts(everybody, everybody, ()))
    try:
        await server.start(listen=False)
        try:
            yield server.client
        finally:
            await server.stop()
    finally:
        await store.close()


def test_two_servers_over_one_etcd_serve_each_others_objects_and_one_write_of_two_wins(etcd: Member) -> None:
    async def scenario() -> None:
        async with served(etcd.url) as one, served(etcd.url) as two:
            for number in range(20):
                made = await one.create(CONFIG_MAPS, config_map(f"c{number}"), "default")
                assert await two.get(CONFIG_MAPS, f"c{number}", "default") == made
                await two.update(CONFIG_MAPS, {**made, "data": {"by": "two"}})
                with pytest.raises(Conflict):
                    await one.update(CONFIG_MAPS, {**made, "data": {"by": "one"}})
            assert await one.list(CONFIG_MAPS, "default") == await two.list(CONFIG_MAPS, "default")

    asyncio.run(asyncio.wait_for(scenario(), 180))


def test_requests_fail_while_etcd_is_dead_and_succeed_when_it_is_back(etcd: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with served(etcd.url) as client:
            await client.create(CONFIG_MAPS, config_map("before"), "default")
            etcd.kill()
            with monkeypatch.context() as impatient:
                impatient.setattr(etcd_calls, "PATIENCE_S", 0.3)
                with pytest.raises(ServerTimeout):
                    await client.create(CONFIG_MAPS, config_map("lost"), "default")
                with pytest.raises(ServerTimeout):
                    await client.get(CONFIG_MAPS, "before", "default")
            etcd.start()
            while True:
                try:
                    await client.create(CONFIG_MAPS, config_map("after"), "default")
                    break
                except ServerTimeout:
                    await CLOCK.sleep(0.05)
                except Conflict:
                    break  # one that was not answered had been made
            found = await client.list(CONFIG_MAPS, "default")
            assert [item["metadata"]["name"] for item in found["items"]] == ["after", "before"]

    asyncio.run(asyncio.wait_for(scenario(), 180))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--etcd-servers", "localhost:2379"], "'localhost:2379' is no etcd address"),
        (["--etcd-servers", "https://127.0.0.1:1", "--etcd-certfile", "a"], "--etcd-certfile and --etcd-keyfile go together"),
        (["--etcd-servers", "https://127.0.0.1:1", "--etcd-cafile", "/nonexistent"], "No such file or directory: '/nonexistent'"),
    ],
)
def test_flags_that_cannot_be_are_told_in_one_line(flags: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    needed = ["--tls-cert-file", "--tls-private-key-file", "--client-ca-file", "--service-account-signing-key-file"]
    assert command(["apiserver", *flags, *(word for flag in needed for word in (flag, "none"))]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert told in lines[-1] and not any("Traceback" in line for line in lines)
