"""The proxy at work: what becomes of changes and of what fails, with nft and connection tracking played by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from tests.unit.proxy.test_rules import endpoint, service, slices

from steersman.client.interface import Client
from steersman.machinery.clock import Clock, VirtualClock
from steersman.machinery.meta import Obj
from steersman.proxy import conntrack, kernel, run
from steersman.proxy.conntrack import Backends
from steersman.proxy.nftables import NftFault
from steersman.proxy.run import RETRY_S, Options, Proxy


class Known(list[Obj]):
    """What an informer knows."""

    def get(self, _namespace: str, _name: str) -> Obj | None:
        return None


class Node:
    """A proxy whose rules nft takes, unless `refuses`. `meanwhile` is called while it takes them."""

    def __init__(self, patch: pytest.MonkeyPatch, clock: Clock, *services: Obj) -> None:
        self.refuses = False
        self.meanwhile: Callable[[], object] = lambda: None
        self.services = Known(services)
        self.proxy = Proxy(cast(Client, None), Options(node_name="here", node_ips=("192.0.2.1",)), clock)
        found: dict[str, Any] = {"_services": self.services, "_slices": Known(slices(endpoint(2, "here"))), "_node": Known()}
        for name, known in found.items():
            patch.setattr(self.proxy, name, known)
        patch.setattr(run, "run_script", self._nft)
        patch.setattr(kernel, "set_timeouts", lambda: None)

    async def _nft(self, _script: str, _clock: Clock) -> None:
        if self.refuses:
            raise NftFault("no")
        self.meanwhile()


def test_a_change_that_comes_while_others_are_applied_is_not_taken_for_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        node = Node(monkeypatch, clock)

        def change() -> None:
            node.services.append(service())
            node.refuses = True
            node.proxy._changed()

        node.meanwhile = change
        async with asyncio.TaskGroup() as group:
            following = group.create_task(node.proxy._follow())
            node.proxy._changed()
            await clock.advance(30)
            assert node.proxy._status.health_page("/healthz").status == 200
            await clock.advance(40)
            assert node.proxy._status.health_page("/healthz").status == 503
            node.refuses, node.meanwhile = False, lambda: None
            await clock.advance(RETRY_S + 1)
            assert node.proxy._status.health_page("/healthz").status == 200
            following.cancel()

    asyncio.run(scenario())


def test_flows_that_could_not_be_ended_are_ended_after_the_next_change(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Backends] = []

    def end(backends: Backends) -> int:
        asked.append(backends)
        if len(asked) == 1:
            raise OSError("the kernel had no room for its answer")
        return 1

    monkeypatch.setattr(conntrack, "end_stale_flows", end)

    async def scenario() -> None:
        node = Node(monkeypatch, VirtualClock(), service(ports=[{"port": 53, "protocol": "UDP"}]))
        for _ in range(3):
            assert await node.proxy.sync()

    asyncio.run(scenario())
    assert len(asked) == 2 and asked[0] == asked[1] != {}
