"""`kubectl wait` against an API server in process."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.server import World, pod, world
from tests.unit.cli.kubectl.commands.line import Ran, ran

from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj

PODS = Resource("", "v1", "pods")
LATE = "error: timed out waiting for the condition on pods/web\n"


def ready(status: str = "True") -> Obj:
    return {**pod(), "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": status}]}}


def run(line: str, *objects: Obj) -> Ran:
    async def scenario() -> Ran:
        async with world() as made:
            for obj in objects:
                created = await made.client.create(PODS, obj)
                await made.client.update(PODS, {**created, "status": obj.get("status") or {}}, subresource="status")
            return await ran(f"wait {line}", transport=made.transport, clock=made.clock)

    return asyncio.run(scenario())


TOLD = {
    "pod/web --for=condition=ready": (0, "pod/web condition met\n", ""),
    "pod/web --for=condition=Ready -o name": (0, "pod/web\n", ""),
    "pod/web --for=condition=Ready=false --timeout=0": (1, "", "error: condition not met for pods/web\n"),
    "pod/web --for=condition=Nope --timeout=10ms": (1, "", LATE),
    "pod/web --for=jsonpath={.status.phase}=Running": (0, "pod/web condition met\n", ""),
    "pod/web --for=jsonpath=.status.phase": (0, "pod/web condition met\n", ""),
    "pod/web --for=jsonpath={.status.nope}=x --timeout=10ms": (1, "", LATE),
    "pod/web --for=jsonpath={.spec.containers}=x": (
        1, "", "error: jsonpath leads to a nested object or list which is not supported\n",
    ),
    "pod/web --for=jsonpath={..name}=x": (
        1, "", "error: given jsonpath expression matches more than one value\n",
    ),
    "pod/web --for=jsonpath=": (1, "", "error: jsonpath expression cannot be empty\n"),
    "pod/web --for=foo": (1, "", 'error: unrecognized condition: "foo"\n'),
    "pod/web --for=create": (0, "pod/web condition met\n", ""),
    "pod/nope --for=delete": (0, "", ""),
    "pod/nope --for=condition=Ready": (1, "", 'Error from server (NotFound): pods "nope" not found\n'),
    "pod -l nope=x --for=condition=Ready": (1, "", "error: no matching resources found\n"),
    "pod/web --for=delete --timeout=10ms": (1, "", LATE),
}  # fmt: skip


@pytest.mark.parametrize("line", TOLD)
def test_what_is_told_is_what_upstream_tells(line: str) -> None:
    assert run(line, ready()) == TOLD[line]


def test_waiting_ends_when_the_condition_comes() -> None:
    async def scenario() -> Ran:
        async with world() as made:
            await made.client.create(PODS, pod())
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(ran("wait pod/web --for=condition=Ready", transport=made.transport, clock=made.clock))
                await _settled(made)
                await made.client.patch(PODS, "web", {"status": ready()["status"]}, "default", subresource="status")
            return waiting.result()

    assert asyncio.run(scenario()) == (0, "pod/web condition met\n", "")


async def _settled(made: World) -> None:
    """Lets the other side come to wait."""
    await made.clock.advance(0.1)
