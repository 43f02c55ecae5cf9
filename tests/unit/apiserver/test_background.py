"""What goes on beside the requests: a loop that stumbles is logged and goes on, and no client loses its connection for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.fakes.server import World, world

from steersman.apiserver.aggregation.aggregator import Aggregator
from steersman.apiserver.crd.cleanup import Cleanup
from steersman.apiserver.crd.definitions import Definitions
from steersman.apiserver.flowcontrol.configuration import Configuration
from steersman.apiserver.flowcontrol.control import FlowControl
from steersman.apiserver.flowcontrol.maintenance import Maintenance
from steersman.apiserver.metricsapi.poller import Poller
from steersman.apiserver.watchcache.cache import WatchCache
from steersman.store.memory import MemoryStore

LEVELS = "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}],
    },
}
LEVEL = {
    "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
    "kind": "PriorityLevelConfiguration",
    "metadata": {"name": "mine"},
    "spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 1, "limitResponse": {"type": "Reject"}}},
}


async def nothing(w: World) -> None:
    return None


async def a_level(w: World) -> None:
    made = await w.obj("POST", LEVELS, LEVEL)
    assert made["kind"] == LEVEL["kind"], made


async def a_definition(w: World) -> None:
    await w.obj("POST", DEFINITIONS, WIDGETS)


async def a_definition_that_goes(w: World) -> None:
    await a_definition(w)
    await w.clock.advance(1)
    await w.raw("DELETE", f"{DEFINITIONS}/widgets.example.com")


async def somebody_asks_for_metrics(w: World) -> None:
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(w.raw("GET", "/apis/metrics.k8s.io/v1beta1/nodes"))
        await w.clock.advance(10)
    assert asking.result().status == 200


Doing = Callable[[World], Awaitable[None]]


@pytest.mark.parametrize(
    ("owner", "method", "begin"),
    [
        (MemoryStore, "compact", nothing),
        (FlowControl, "adjust", nothing),
        (FlowControl, "configure", a_level),
        (Maintenance, "ensure", nothing),
        (Configuration, "_write_conditions", a_level),
        (Definitions, "_install_all", a_definition),
        (Definitions, "_look", a_definition),
        (Cleanup, "_attempt", a_definition_that_goes),
        (Aggregator, "_take_in", a_definition),
        (Poller, "_round", somebody_asks_for_metrics),
        (WatchCache, "forget_before", nothing),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)).rpartition(".")[2],
)
def test_a_loop_that_stumbles_once_goes_on(
    owner: Any, method: str, begin: Doing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[bool] = []
    real = getattr(owner, method)

    def stumbling(*args: Any, **named: Any) -> Any:
        calls.append(True)
        if len(calls) == 1:
            raise AttributeError("something nobody has thought of")
        return real(*args, **named)

    async def scenario() -> None:
        async with world(begins=True) as w:
            monkeypatch.setattr(owner, method, stumbling)
            await begin(w)
            for _ in range(15):
                await w.clock.advance(60)
            assert len(calls) > 1
            assert (await w.raw("GET", "/api/v1/namespaces")).status == 200

    with caplog.at_level(logging.ERROR):
        asyncio.run(scenario())
    assert "something nobody has thought of" in caplog.text
