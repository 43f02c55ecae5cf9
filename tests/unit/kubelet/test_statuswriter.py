"""What the status writer sends: differences of what is the kubelet's, and again what others overwrote."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from tests.fakes.client import FakeClient

from steersman.api.resources import PODS
from steersman.kubelet.statuswriter import StatusWriter, status_patch
from steersman.machinery.clock import VirtualClock
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, condition


def ready(status: str, **more: Any) -> Obj:
    return {"type": "Ready", "status": status, **more}


def test_conditions_of_others_are_never_sent_even_if_they_changed_since() -> None:
    gate_then, gate_now = {"type": "example.com/gate", "status": "False"}, {"type": "example.com/gate", "status": "True"}
    wanted = {"phase": "Running", "conditions": [gate_then, ready("True")]}
    assert status_patch({"phase": "Running", "conditions": [gate_now, ready("True")]}, wanted) == {}


def test_a_disruption_made_by_the_kubelet_is_sent() -> None:
    made = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}
    assert status_patch({}, {"conditions": [made]}) == {"conditions": [made]}


def test_resources_that_are_gone_are_taken_out() -> None:
    base = {"resources": {"limits": {"cpu": "2"}, "requests": {"cpu": "1", "memory": "1Gi"}}, "allocatedResources": {"cpu": "1"}}
    wanted = {"resources": {"requests": {"cpu": "1"}}, "allocatedResources": {"cpu": "1"}}
    assert status_patch(base, wanted) == {"resources": {"limits": None, "requests": {"cpu": "1", "memory": None}}}


def test_a_pod_that_was_marked_unready_while_its_node_was_silent_is_ready_again_once_the_kubelet_sees_it() -> None:
    async def scenario() -> None:
        client = FakeClient()
        pod = {"metadata": {"namespace": "x", "name": "p", "uid": "u"}, "status": {"conditions": [ready("True")]}}
        client.put(PODS, pod)
        async with asyncio.TaskGroup() as group:
            writer = StatusWriter(client, VirtualClock(), group)
            writer.observe(await client.get(PODS, "p", "x"))
            writer.set("u", {"conditions": [ready("True")]})
            await client.patch(
                PODS, "p", {"status": {"conditions": [ready("False")]}}, "x", kind="strategic", subresource="status"
            )
            writer.observe(await client.get(PODS, "p", "x"))
        found = condition(await client.get(PODS, "p", "x"), "Ready")
        assert found is not None and found["status"] == "True"

    asyncio.run(scenario())


class Busy(FakeClient):
    """The first write takes long: `before` happens before the server has it, `after` before it is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[], Awaitable[None]] | None = None
        self.after: Callable[[], Awaitable[None]] | None = None

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Obj | Sequence[Obj],
        namespace: str = "",
        *,
        kind: str = "merge",
        subresource: str = "",
    ) -> Obj:
        before, after, self.before, self.after = self.before, self.after, None, None
        if before is not None:
            await before()
        answer = await super().patch(resource, name, patch, namespace, kind=kind, subresource=subresource)
        if after is not None:
            await after()
        return answer


@pytest.mark.parametrize("first", [True, False])
def test_what_others_overwrite_while_a_status_is_on_its_way_is_sent_again(first: bool) -> None:
    """The pod was called unready for a minute: news that came while the writer was busy was noted, and not acted on."""

    async def scenario() -> None:
        client = Busy()
        client.put(
            PODS, {"metadata": {"namespace": "x", "name": "p", "uid": "u"}, "status": {"conditions": [ready("True")]}}
        )  # fmt: skip
        async with asyncio.TaskGroup() as group:
            writer = StatusWriter(client, VirtualClock(), group)

            async def overwrite() -> None:
                await client.patch(PODS, "p", {"status": {"conditions": [ready("False")]}}, "x", subresource="status")

            async def hear() -> None:
                if not first:
                    await overwrite()
                writer.observe(await client.get(PODS, "p", "x"))

            writer.observe(await client.get(PODS, "p", "x"))
            client.before, client.after = overwrite if first else None, hear
            writer.set("u", {"phase": "Running", "conditions": [ready("True")]})
        status = (await client.get(PODS, "p", "x"))["status"]
        assert status == {"phase": "Running", "conditions": [ready("True")]}

    asyncio.run(scenario())


def test_the_end_of_a_pod_is_not_taken_back_whoever_told_it() -> None:
    async def scenario() -> None:
        client = FakeClient()
        client.put(PODS, {"metadata": {"namespace": "x", "name": "p", "uid": "u"}, "status": {"phase": "Running"}})
        async with asyncio.TaskGroup() as group:
            writer = StatusWriter(client, VirtualClock(), group)
            writer.observe(await client.get(PODS, "p", "x"))
            writer.set("u", {"phase": "Running", "conditions": [ready("True")]})
            await client.patch(
                PODS, "p", {"status": {"phase": "Failed", "reason": "Tired"}}, "x", kind="strategic", subresource="status"
            )
            writer.observe(await client.get(PODS, "p", "x"))
            writer.set("u", {"phase": "Running", "conditions": [ready("False")]})
        status = (await client.get(PODS, "p", "x"))["status"]
        assert (status["phase"], status["reason"]) == ("Failed", "Tired")
        assert status["conditions"] == [ready("False")], "the rest is told as ever"

    asyncio.run(scenario())
